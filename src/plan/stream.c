// SPDX-License-Identifier: Apache-2.0
// Streams running: batches dealt to ranks, each through a channel of its own.
//
// One leg serves all ranks: batch b of an epoch is rank b % ranks' of step b / ranks. A rank whose channel is full
// holds the leg up, as it should while all train in step. But when another rank has waited for LAG_NS with nothing
// left, the full one is let go: its undelivered batches are taken back, the shared leg passes it over from there on,
// and when it asks again a leg of its own makes what it missed (and all that follows), from the place that the oldest
// batch taken back names. So a rank that sleeps never holds up its peers, and loses nothing when it wakes.
#include "plan/stream_parts.h"

#include "base/os.h"
#include "plan/epoch_cache.h"
#include <string.h>

#define LAG_NS (100ull * 1000 * 1000)

// --- the lagging rank ---

typedef struct taken_back {
    hr_stream *stream;
    hr_rank_end *end;
} taken_back;

// Where the batches that begin with this one, for this rank, can be made again.
static hr_leg_start start_of(const hr_stream *s, int64_t rank, const hr_descriptor *d)
{
    bool steps = s->cut.rows > 0;
    int64_t batch = (int64_t)d->step * s->options.ranks;
    return (hr_leg_start){
        .batches = {.epoch = d->epoch,
                    .row = steps ? d->step_row : (int64_t)d->row_index,
                    .batch = steps ? batch : batch + rank,
                    .round = d->unit},
        .at = {.unit = d->unit, .unit_row = d->unit_row, .order_row = d->order_row},
    };
}

static void take_back(void *context, const hr_descriptor *d)
{
    taken_back *t = context;
    // Newest first: the last one called is the oldest.
    t->end->resume = start_of(t->stream, t->end->rank, d);
    if (d->object) {
        hr__store_unref(hr__runtime_store(t->stream->runtime), d->object);
        atomic_fetch_add_explicit(&t->stream->revoked, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&t->stream->batches, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&t->stream->rows, d->rows, memory_order_relaxed);
    }
}

// Whether some other rank has had nothing for too long.
static bool somebody_starves(hr_stream *s, int64_t rank)
{
    uint64_t now = hr__now_ns();
    for (int64_t r = 0; r < s->options.ranks; r++) {
        hr_channel_state state;
        if (r == rank || s->ranks[r].state != HR_RANK_SHARED)
            continue;
        hr__channel_state(s->ranks[r].channel, &state);
        if (!state.gone && state.waiting && state.undelivered == 0 &&
            now - state.waiting_since_ns > LAG_NS)
            return true;
    }
    return false;
}

// Lets a rank go from the descriptor that it has no room for, or from the oldest that it is taken back.
static void detach(hr_stream *s, hr_rank_end *end, const hr_descriptor *next)
{
    taken_back t = {s, end};
    end->resume = start_of(s, end->rank, next);
    hr__channel_revoke(end->channel, 0, take_back, &t);
    end->state = HR_RANK_DETACHED;
}

// A detached rank that asks again gets a leg of its own. Lock held.
static void resume(hr_stream *s, hr_rank_end *end)
{
    hr_channel_state state;
    hr_error err = HR_ERROR_INIT;
    hr__channel_state(end->channel, &state);
    if (state.gone)
        end->state = HR_RANK_GONE;
    if (end->state != HR_RANK_DETACHED || !state.waiting || s->closing)
        return;
    end->state = HR_RANK_OWN;
    if (hr__leg_open(s, end->rank, &end->resume, &end->own, &err) != HR_OK)
        hr__channel_finish(end->channel, err.status, err.message);
}

// A deferred stream begins when some rank waits. Lock held.
static void begin(hr_stream *s)
{
    bool waits = false;
    hr_error err = HR_ERROR_INIT;
    for (int64_t r = 0; r < s->options.ranks && !s->begun && !waits; r++) {
        hr_channel_state state;
        hr__channel_state(s->ranks[r].channel, &state);
        waits = state.waiting;
    }
    if (!waits || hr__stream_begin(s, &err) == HR_OK)
        return;
    for (int64_t r = 0; r < s->options.ranks; r++)
        hr__channel_finish(s->ranks[r].channel, err.status, err.message);
}

// Of an endless stream, which nobody may want to the end of what fits: one epoch ahead of the reader that is farthest.
static bool may_begin(void *context, uint64_t epoch)
{
    hr_stream *s = context;
    hr__mutex_lock(&s->mutex);
    bool may = epoch <= HR_MAX(s->epoch_read, (uint64_t)s->start.epoch) + 1;
    hr__mutex_unlock(&s->mutex);
    return may;
}

// Lock held.
static void note_epoch(hr_stream *s, const hr_rank_end *end)
{
    hr_channel_state state;
    hr__channel_state(end->channel, &state);
    if (state.epoch <= s->epoch_read)
        return;
    s->epoch_read = state.epoch;
    if (s->shared && s->shared->batcher)
        hr__batcher_kick_read(s->shared->batcher);
    for (int64_t r = 0; r < s->options.ranks; r++)
        if (s->ranks[r].own && s->ranks[r].own->batcher)
            hr__batcher_kick_read(s->ranks[r].own->batcher);
}

// Called when a channel changed; no locks held.
void hr__stream_channel_changed(void *context)
{
    hr_rank_end *end = context;
    hr_stream *s = end->stream;
    hr_leg *shared = NULL, *own = NULL;
    hr__mutex_lock(&s->mutex);
    if (!s->closing) {
        begin(s);
        resume(s, end);
        if (s->options.epochs < 0)
            note_epoch(s, end);
        shared = s->shared;
        own = end->own;
        if (shared && shared->batcher)
            hr__batcher_kick(shared->batcher);
        if (own && own->batcher)
            hr__batcher_kick(own->batcher);
        if (s->crowded)
            hr__turns_look(s);
    }
    hr__mutex_unlock(&s->mutex);
}

// --- dealing ---

static bool has_room(const hr_stream *s, const hr_channel_state *state)
{
    int64_t depth = s->options.prefetch_blocks;
    if (depth == HR_PREFETCH_NONE)
        return state->undelivered == 0 && state->waiting;
    if (depth > 0)
        return state->undelivered < (uint32_t)depth;
    return state->undelivered == 0 || (int64_t)state->undelivered_bytes < s->share_bytes;
}

bool hr__leg_serves(const hr_leg *l, int64_t rank)
{
    return l->only_rank >= 0 ? rank == l->only_rank
                             : l->stream->ranks[rank].state == HR_RANK_SHARED;
}

// Pushes to one rank. HR_OK also when nobody wants it: *taken false then.
static hr_status push(hr_leg *l, int64_t rank, const hr_descriptor *d, bool always, bool *taken,
                      hr_error *err)
{
    hr_stream *s = l->stream;
    hr_rank_end *end = &s->ranks[rank];
    hr_channel_state state;
    *taken = false;
    hr__mutex_lock(&s->mutex);
    bool wanted = hr__leg_serves(l, rank);
    hr__mutex_unlock(&s->mutex);
    if (!wanted)
        return HR_OK;
    hr__channel_state(end->channel, &state);
    bool full = (!always && !has_room(s, &state)) || state.undelivered >= HR_CHANNEL_SLOTS_MAX;
    // Not full, it may still say HR_AGAIN: the rows are being read back from disk, for which nobody is let go.
    hr_status status = full ? HR_AGAIN : hr__channel_push(end->channel, d, err);
    if (status == HR_OK) {
        *taken = true;
        return HR_OK;
    }
    hr__mutex_lock(&s->mutex);
    if (status == HR_END) { // the reader is gone
        end->state = HR_RANK_GONE;
        status = HR_OK;
    } else if (full && l->only_rank < 0 && somebody_starves(s, rank)) {
        detach(s, end, d);
        resume(s, end); // it may have begun to wait meanwhile, and will not ring again
        status = HR_OK;
    }
    hr__mutex_unlock(&s->mutex);
    return status;
}

static bool anybody(hr_leg *l)
{
    hr_stream *s = l->stream;
    bool any = false;
    hr__mutex_lock(&s->mutex);
    for (int64_t r = 0; r < s->options.ranks && !any; r++)
        any = l->only_rank >= 0 ? s->ranks[l->only_rank].state != HR_RANK_GONE
                                : s->ranks[r].state == HR_RANK_SHARED;
    hr__mutex_unlock(&s->mutex);
    return any;
}

static hr_descriptor descriptor_of(const hr_stream *s, const hr_out *out)
{
    int64_t ranks = s->options.ranks;
    hr_descriptor d = {
        .kind = HR_DESCRIPTOR_BATCH,
        .epoch = out->epoch,
        .step = (uint64_t)(out->batch / ranks),
        .object = out->object,
        .first_row = out->first,
        .rows = out->rows,
        .row_index = out->row_index,
        .step_row = out->step_row,
        .end_row = out->end_row,
        .unit = out->at.unit,
        .unit_row = out->at.unit_row,
        .order_row = out->at.order_row,
    };
    if (s->cut.rows == 0)
        d.more_units = (uint16_t)(ranks - 1 - out->batch % ranks);
    return d;
}

// Whether all legs that there will ever be have made all they will. Lock held.
static bool is_made(const hr_stream *s)
{
    bool made = s->shared && s->shared->over;
    for (int64_t r = 0; r < s->options.ranks && made; r++) {
        const hr_rank_end *end = &s->ranks[r];
        made = end->state != HR_RANK_DETACHED && (!end->own || end->own->over);
    }
    return made;
}

// The leg's last epoch ends. When all is made, its readers have it: what else was promised and kept is others', before
// a reader is told and asks for more.
static void end_leg(hr_leg *l)
{
    hr_stream *s = l->stream;
    hr__mutex_lock(&s->mutex);
    l->over = true;
    bool made = is_made(s);
    hr__mutex_unlock(&s->mutex);
    if (!made)
        return;
    hr__share_release(s->share);
    hr__pipe_drop_pieces(s->pipe);
}

static hr_status put_epoch_end(hr_leg *l, const hr_out *out, hr_error *err)
{
    int64_t ranks = l->stream->options.ranks;
    hr_descriptor d = descriptor_of(l->stream, out);
    d.kind = HR_DESCRIPTOR_EPOCH_END;
    d.more_units = 0;
    if (out->epoch + 1 == l->stream->start.epoch + l->stream->options.epochs)
        end_leg(l);
    for (; l->end_rank < ranks; l->end_rank++) {
        bool taken;
        d.step = (uint64_t)(out->batch / ranks + (l->end_rank < out->batch % ranks));
        HR_TRY(push(l, l->end_rank, &d, true, &taken, err));
    }
    l->end_rank = 0;
    return HR_OK;
}

// What comes next is made from here on, should the leg begin again.
static void note_next(hr_leg *l, const hr_out *out)
{
    hr_stream *s = l->stream;
    int64_t ranks = s->options.ranks, batch = out->batch + 1;
    hr_leg_start next = {.batches = {.epoch = out->epoch, .round = out->at.unit}, .at = out->at};
    if (out->epoch_end) {
        next = (hr_leg_start){.batches = {.epoch = (uint64_t)out->epoch + 1}};
        batch = 0;
    } else if (s->cut.rows == 0) {
        next.batches.row = (int64_t)out->row_index + out->rows;
        next.batches.batch = batch;
    } else {
        next.batches.row = batch % ranks ? out->step_row : out->end_row;
        next.batches.batch = batch / ranks * ranks;
    }
    hr__mutex_lock(&s->mutex);
    l->next = next;
    l->passed = batch;
    l->pushed = true;
    l->stuck_ns = 0;
    if (s->crowded)
        hr__turns_look(s);
    hr__mutex_unlock(&s->mutex);
}

// Whether it was pushed before the leg began again.
static bool was_pushed(hr_leg *l, int64_t batch, uint32_t epoch)
{
    hr__mutex_lock(&l->stream->mutex);
    bool was = epoch == l->next.batches.epoch && batch < l->passed;
    hr__mutex_unlock(&l->stream->mutex);
    return was;
}

static hr_status put(void *self, const hr_out *out, hr_error *err)
{
    hr_leg *l = self;
    hr_stream *s = l->stream;
    bool taken = false;
    if (!anybody(l))
        return HR_END;
    if (out->epoch_end) {
        HR_TRY(put_epoch_end(l, out, err));
        note_next(l, out);
        return HR_OK;
    }
    if (!was_pushed(l, out->batch, out->epoch)) {
        hr_descriptor d = descriptor_of(s, out);
        if (out->object)
            HR_TRY(push(l, out->batch % s->options.ranks, &d, false, &taken, err));
        note_next(l, out);
    }
    if (!taken) {
        if (out->object)
            hr__store_unref(hr__runtime_store(s->runtime), out->object);
        return HR_OK;
    }
    hr__store_count_consumed(hr__runtime_store(s->runtime), (uint64_t)out->bytes);
    atomic_fetch_add_explicit(&s->rows, out->rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->batches, 1, memory_order_relaxed);
    return HR_OK;
}

static bool wanted(void *self, int64_t batch, uint32_t epoch)
{
    hr_leg *l = self;
    hr_stream *s = l->stream;
    hr__mutex_lock(&s->mutex);
    bool yes = hr__leg_serves(l, batch % s->options.ranks) &&
               !(epoch == l->next.batches.epoch && batch < l->passed);
    hr__mutex_unlock(&s->mutex);
    return yes;
}

void hr__leg_finish(hr_leg *l, hr_status status, const char *message)
{
    hr_stream *s = l->stream;
    for (int64_t r = 0; r < s->options.ranks; r++)
        if (hr__leg_serves(l, r))
            hr__channel_finish(s->ranks[r].channel, status, message);
}

static void ended(void *self, hr_status status, const hr_error *err)
{
    hr_leg *l = self;
    hr_stream *s = l->stream;
    hr__mutex_lock(&s->mutex);
    if (!l->leaving) {
        l->ended = true;
        l->refused = status == HR_LIMIT && hr__leg_may_retry(l);
        if (l->refused)
            l->why = *err;
        else
            hr__leg_finish(l, status, err->message);
        if (l->refused || s->crowded)
            hr__turns_look(s);
    }
    hr__mutex_unlock(&s->mutex);
}

// --- legs ---

static hr_leg_start first_start(const hr_stream *s)
{
    const hr_position *p = &s->start;
    return (hr_leg_start){
        .batches = {.epoch = (uint64_t)p->epoch,
                    .row = p->row,
                    .more_pieces = p->more_units,
                    .batch = p->step * s->options.ranks,
                    .round = p->unit},
        .at = {.unit = p->unit, .unit_row = p->unit_row, .order_row = p->order_row},
    };
}

// Squeezed, one piece at a time is worked on, then smaller ones.
static hr_read_config read_config(const hr_stream *s, const hr_leg_start *start, int64_t only_rank)
{
    const hr_stream_options *o = &s->options;
    uint32_t threads = (uint32_t)hr_runtime_threads(s->runtime);
    bool blocks = s->cut.rows == 0, window = o->shuffle == HR_SHUFFLE_WINDOW;
    int64_t task_bytes = blocks ? hr__pipe_unit_bytes(s->pipe) : HR_TASK_BYTES;
    int64_t ahead = HR_MAX(s->share_bytes * o->ranks, task_bytes * threads);
    bool smaller = s->squeezed > 1 && !hr__pipe_has_calls(s->pipe);
    int shift = smaller ? 3 * (s->squeezed - 1) : 0;
    return (hr_read_config){
        .pipe = s->pipe,
        .share = s->share,
        .place = HR_PLACE_ARENA,
        .first_epoch = start->batches.epoch,
        .start = start->at,
        .pass_rows = start->batches.row,
        .epochs = o->epochs > 0 ? o->epochs - ((int64_t)start->batches.epoch - s->start.epoch)
                                : o->epochs,
        // Cut alike in each epoch, wherever a unit comes in it, pieces are found again (epoch_cache.c).
        .align_rows =
            s->cut.rows % o->ranks || (o->shuffle == HR_SHUFFLE_BLOCKS && o->epochs != 1) || shift
                ? 0
                : s->cut.rows / o->ranks,
        .task_bytes = window   ? HR_MAX(s->piece_bytes >> shift, 1)
                      : blocks ? 0
                               : HR_TASK_BYTES >> shift,
        .lanes = window ? o->order_lanes : 0,
        .window_rows = o->window_rows,
        .window_slots = s->squeezed ? 1
                        : blocks    ? threads + 1
                                    : 4 * threads,
        .window_bytes = HR_MIN(hr__share_promised(s->share) / 2, (uint64_t)ahead),
        .level = 10,
        .stats = only_rank < 0 ? s->dataset->stats : NULL,
    };
}

hr_status hr__leg_begin(hr_leg *l, hr_error *err)
{
    hr_stream *s = l->stream;
    const hr_leg_start *start = &l->next;
    hr_read_config read = read_config(s, start, l->only_rank);
    read.busy = &s->busy;
    read.crew = s->crew;
    read.may_begin = s->options.epochs < 0 ? may_begin : NULL;
    read.may_begin_context = s;
    hr_batch_config config = {
        .runtime = s->runtime,
        .share = s->share,
        .schema = s->pipe->schema,
        .cut = s->cut,
        .tail = s->options.tail,
        .limit_rows = -1,
        .permute = s->options.shuffle == HR_SHUFFLE_WINDOW,
        .seed = s->options.seed,
        .start = start->batches,
        .level = 0,
        .single = s->squeezed > 0,
        .window_slots = s->squeezed ? 1 : 4 * (uint32_t)hr_runtime_threads(s->runtime),
        .window_bytes = (uint64_t)HR_MAX(HR_TASK_BYTES, s->share_bytes / 2),
        .busy = &s->busy,
        .crew = s->crew,
        .blocks = &s->blocks,
    };
    hr_out_sink sink = {
        .put = put, .wanted = wanted, .stuck = hr__leg_stuck, .ended = ended, .self = l};
    l->ended = l->refused = l->leaving = l->pushed = false;
    l->begun_ns = hr__now_ns();
    l->stuck_ns = 0;
    return hr__batcher_open(&read, &config, &sink, &l->batcher, err);
}

hr_status hr__leg_open(hr_stream *s, int64_t only_rank, const hr_leg_start *start, hr_leg **out,
                       hr_error *err)
{
    hr_leg *l;
    HR_TRY(hr__alloc_zero(1, sizeof *l, &l, err));
    *l = (hr_leg){.stream = s, .only_rank = only_rank, .next = *start};
    *out = l; // readers may kick it at once
    if (!s->crowded || only_rank < 0)
        return hr__leg_begin(l, err);
    hr__turns_look(s); // it waits for its turn
    return HR_OK;
}

hr_status hr__stream_begin(hr_stream *s, hr_error *err)
{
    hr_leg_start start = first_start(s);
    s->begun = true;
    return hr__leg_open(s, -1, &start, &s->shared, err);
}

void hr__leg_close(hr_leg **l)
{
    if (!*l)
        return;
    hr__batcher_close(&(*l)->batcher);
    hr__free(*l);
    *l = NULL;
}

// --- a reader that is gone for good ---

static void throw_away(void *context, const hr_descriptor *d)
{
    hr_stream *s = context;
    if (d->object)
        hr__store_unref(hr__runtime_store(s->runtime), d->object);
}

void hr__stream_abandon(hr_stream *stream, int64_t rank)
{
    hr_rank_end *end = &stream->ranks[rank];
    hr__mutex_lock(&stream->mutex);
    hr__channel_revoke(end->channel, 0, throw_away, stream);
    end->state = HR_RANK_GONE;
    if (stream->shared && stream->shared->batcher)
        hr__batcher_kick(stream->shared->batcher);
    if (end->own && end->own->batcher)
        hr__batcher_kick(end->own->batcher);
    hr__mutex_unlock(&stream->mutex);
}
