// SPDX-License-Identifier: Apache-2.0
// Streams: batches dealt to ranks, each through a channel of its own.
//
// One leg serves all ranks: batch b of an epoch goes to rank b % ranks. A rank whose channel is full holds the leg
// up, as it should while all train in step. But when another rank has waited for LAG_NS with nothing left, the full
// one is let go: its undelivered batches are taken back, the shared leg passes it over from there on, and when it
// asks again a leg of its own makes what it missed (and all that follows). So a rank that sleeps never holds up its
// peers, and loses nothing when it wakes.
#include "base/option.h"
#include "base/os.h"
#include "base/text.h"
#include "plan/plan_internal.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define LAG_NS             (100ull * 1000 * 1000)
#define TASK_BYTES         (2ll << 20)
#define PREFETCH_BYTES_MIN (32ll << 20)
#define WINDOW_ROWS        16384
#define PIECES_AT_ONCE     4 // beside the oldest
#define RANKS_MAX          4096
#define LANES              8

typedef enum rank_state { RANK_SHARED, RANK_DETACHED, RANK_OWN, RANK_GONE } rank_state;

typedef struct leg {
    hr_stream *stream;
    int64_t only_rank; // -1: all
    uint64_t first_epoch;
    int64_t first_batch; // of the first epoch; those before are passed over
    int64_t end_rank;    // epoch ends pushed so far
    hr_batcher *batcher;
    bool over; // guards: stream mutex
} leg;

typedef struct rank_end {
    hr_stream *stream;
    int64_t rank;
    hr_channel *channel;
    rank_state state;      // guards: stream mutex
    uint64_t resume_epoch; // guards: stream mutex. RANK_DETACHED
    int64_t resume_batch;  // guards: stream mutex
    leg *own;              // guards: stream mutex
    uint64_t busy_since_ns;
} rank_end;

struct hr_stream {
    hr_runtime *runtime; // a reference
    hr_dataset *dataset; // a reference
    hr_pipe *pipe;
    uint64_t plan_hash;
    hr_share *share; // of the arena: all legs' and readers'
    hr_stream_options options;
    hr_busy busy;
    hr_mutex mutex;
    leg *shared;
    rank_end *ranks;
    bool closing;                     // guards: mutex
    int64_t share_bytes;              // made ahead for each rank
    int64_t batch_bytes, piece_bytes; // of a typical batch, and of what it is made of
    _Atomic int64_t rows, blocks, batches, revoked;
};

static const char *const shuffle_choices[] = {"none", "blocks", "window", NULL};
static const char *const tail_choices[] = {"uneven", "drop", "pad", NULL};
static const hr_option_row stream_rows[] = {
    {"batch_rows", HR_OPTION_INT, offsetof(hr_stream_options, batch_rows), 0, 0, 1e12, NULL,
     "rows a batch; 0: whole blocks"},
    {"drop_last", HR_OPTION_BOOL, offsetof(hr_stream_options, drop_last), 0, 0, 1, NULL,
     "an epoch's last batch of fewer rows is dropped"},
    {"prefetch_blocks", HR_OPTION_INT, offsetof(hr_stream_options, prefetch_blocks), 0, -1, 4000,
     NULL, "batches made ahead of each reader; 0: by bytes, -1: none"},
    {"prefetch_bytes", HR_OPTION_BYTES, offsetof(hr_stream_options, prefetch_bytes), 0, 0, 1e15,
     NULL, "made ahead of all readers together; 0: found from data and budget"},
    {"ranks", HR_OPTION_INT, offsetof(hr_stream_options, ranks), 1, 1, RANKS_MAX, NULL, "readers"},
    {"epochs", HR_OPTION_INT, offsetof(hr_stream_options, epochs), 1, -1, 1e15, NULL,
     "passes; -1: endless"},
    {"shuffle", HR_OPTION_CHOICE, offsetof(hr_stream_options, shuffle), 0, 0, 2, shuffle_choices,
     "order of rows"},
    {"window_rows", HR_OPTION_INT, offsetof(hr_stream_options, window_rows), WINDOW_ROWS, 2, 1e9,
     NULL, "rows permuted together by shuffle=\"window\""},
    {"first_epoch", HR_OPTION_INT, offsetof(hr_stream_options, first_epoch), 0, 0, 1e15, NULL,
     "number of the first epoch"},
    {"global_batch_rows", HR_OPTION_INT, offsetof(hr_stream_options, global_batch_rows), 0, 0, 1e12,
     NULL, "rows a step over all ranks; instead of batch_rows"},
    {"tail", HR_OPTION_CHOICE, offsetof(hr_stream_options, tail), 0, 0, 2, tail_choices,
     "what becomes of the rows that do not fill an epoch's last step"},
    {"order_lanes", HR_OPTION_INT, offsetof(hr_stream_options, order_lanes), LANES, 1, 4096, NULL,
     "lanes that shuffle=\"window\" takes rows from"},
    {"first_step", HR_OPTION_INT, offsetof(hr_stream_options, first_step), 0, 0, 1e15, NULL,
     "batches of the first epoch passed over"},
    {"only_rank", HR_OPTION_INT, offsetof(hr_stream_options, only_rank), 0, 0, RANKS_MAX, NULL,
     "1 + the rank served alone; 0: all"},
};
static const hr_option_table stream_table = {"stream", sizeof(hr_stream_options), stream_rows,
                                             HR_COUNTOF(stream_rows)};

// Lock held. On failure *out is NULL or to be closed, without the lock.
static hr_status open_leg(hr_stream *s, int64_t only_rank, uint64_t epoch, int64_t batch, leg **out,
                          hr_error *err);

// --- the lagging rank ---

typedef struct taken_back {
    hr_stream *stream;
    rank_end *end;
} taken_back;

static void take_back(void *context, const hr_descriptor *d)
{
    taken_back *t = context;
    int64_t batch = (int64_t)d->step * t->stream->options.ranks + t->end->rank;
    t->end->resume_epoch = d->epoch; // newest first: the last one called is the oldest
    t->end->resume_batch = batch;
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
        if (r == rank || s->ranks[r].state != RANK_SHARED)
            continue;
        hr__channel_state(s->ranks[r].channel, &state);
        if (!state.gone && state.waiting && state.undelivered == 0 &&
            now - state.waiting_since_ns > LAG_NS)
            return true;
    }
    return false;
}

// Lets a rank go from `epoch` and `batch` on, or from what it is given back.
static void detach(hr_stream *s, rank_end *end, uint64_t epoch, int64_t batch)
{
    taken_back t = {s, end};
    end->resume_epoch = epoch;
    end->resume_batch = batch;
    hr__channel_revoke(end->channel, 0, take_back, &t);
    end->state = RANK_DETACHED;
}

// A detached rank that asks again gets a leg of its own. Lock held.
static void resume(hr_stream *s, rank_end *end)
{
    hr_channel_state state;
    hr_error err = HR_ERROR_INIT;
    hr__channel_state(end->channel, &state);
    if (state.gone)
        end->state = RANK_GONE;
    if (end->state != RANK_DETACHED || !state.waiting || s->closing)
        return;
    end->state = RANK_OWN;
    if (open_leg(s, end->rank, end->resume_epoch, end->resume_batch, &end->own, &err) != HR_OK)
        hr__channel_finish(end->channel, err.status, err.message);
}

// Called when a channel changed; no locks held.
static void channel_changed(void *context)
{
    rank_end *end = context;
    hr_stream *s = end->stream;
    leg *shared = NULL, *own = NULL;
    hr__mutex_lock(&s->mutex);
    if (!s->closing) {
        resume(s, end);
        shared = s->shared;
        own = end->own;
        if (shared && shared->batcher)
            hr__batcher_kick(shared->batcher);
        if (own && own->batcher)
            hr__batcher_kick(own->batcher);
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

static bool serves(const hr_stream *s, const leg *l, int64_t rank)
{
    return l->only_rank >= 0 ? rank == l->only_rank : s->ranks[rank].state == RANK_SHARED;
}

// Pushes to one rank. HR_OK also when nobody wants it: *taken false then.
static hr_status push(leg *l, int64_t rank, const hr_descriptor *d, bool always, bool *taken,
                      hr_error *err)
{
    hr_stream *s = l->stream;
    rank_end *end = &s->ranks[rank];
    hr_channel_state state;
    *taken = false;
    hr__mutex_lock(&s->mutex);
    bool wanted = serves(s, l, rank);
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
        end->state = RANK_GONE;
        status = HR_OK;
    } else if (full && l->only_rank < 0 && somebody_starves(s, rank)) {
        detach(s, end, d->epoch, (int64_t)d->step * s->options.ranks + rank);
        resume(s, end); // it may have begun to wait meanwhile, and will not ring again
        status = HR_OK;
    }
    hr__mutex_unlock(&s->mutex);
    return status;
}

static bool anybody(leg *l)
{
    hr_stream *s = l->stream;
    bool any = false;
    hr__mutex_lock(&s->mutex);
    for (int64_t r = 0; r < s->options.ranks && !any; r++)
        any = l->only_rank >= 0 ? s->ranks[l->only_rank].state != RANK_GONE
                                : s->ranks[r].state == RANK_SHARED;
    hr__mutex_unlock(&s->mutex);
    return any;
}

static hr_status put_epoch_end(leg *l, const hr_out *out, hr_error *err)
{
    int64_t ranks = l->stream->options.ranks;
    for (; l->end_rank < ranks; l->end_rank++) {
        int64_t steps = out->batch / ranks + (l->end_rank < out->batch % ranks);
        hr_descriptor d = {.kind = HR_DESCRIPTOR_EPOCH_END,
                           .epoch = out->epoch,
                           .step = (uint64_t)steps,
                           .source_row = out->row_index};
        bool taken;
        HR_TRY(push(l, l->end_rank, &d, true, &taken, err));
    }
    l->end_rank = 0;
    return HR_OK;
}

static hr_status put(void *self, const hr_out *out, hr_error *err)
{
    leg *l = self;
    hr_stream *s = l->stream;
    if (!anybody(l))
        return HR_END;
    if (out->epoch_end)
        return put_epoch_end(l, out, err);
    hr_descriptor d = {
        .kind = HR_DESCRIPTOR_BATCH,
        .epoch = out->epoch,
        .step = (uint64_t)(out->batch / s->options.ranks),
        .object = out->object,
        .first_row = out->first,
        .rows = out->rows,
        .row_index = out->row_index,
    };
    bool taken = false;
    bool passed = out->epoch == l->first_epoch && out->batch < l->first_batch;
    if (!passed && out->object)
        HR_TRY(push(l, out->batch % s->options.ranks, &d, false, &taken, err));
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
    leg *l = self;
    hr_stream *s = l->stream;
    if (epoch == l->first_epoch && batch < l->first_batch)
        return false;
    hr__mutex_lock(&s->mutex);
    bool yes = serves(s, l, batch % s->options.ranks);
    hr__mutex_unlock(&s->mutex);
    return yes;
}

static void ended(void *self, hr_status status, const hr_error *err)
{
    leg *l = self;
    hr_stream *s = l->stream;
    hr__mutex_lock(&s->mutex);
    l->over = true;
    for (int64_t r = 0; r < s->options.ranks; r++) {
        if (serves(s, l, r))
            hr__channel_finish(s->ranks[r].channel, status, err->message);
    }
    hr__mutex_unlock(&s->mutex);
}

// --- legs ---

static int64_t skippable_rows(const hr_stream *s, int64_t first_batch)
{
    if (!first_batch || !hr__pipe_row_exact(s->pipe) || hr__pipe_has_function(s->pipe) ||
        s->options.shuffle == HR_SHUFFLE_WINDOW || !s->options.batch_rows)
        return 0;
    return first_batch > INT64_MAX / s->options.batch_rows ? INT64_MAX
                                                           : first_batch * s->options.batch_rows;
}

static hr_status open_leg(hr_stream *s, int64_t only_rank, uint64_t epoch, int64_t batch, leg **out,
                          hr_error *err)
{
    const hr_stream_options *o = &s->options;
    uint32_t threads = (uint32_t)hr_runtime_threads(s->runtime);
    uint64_t promised = hr__share_promised(s->share);
    int64_t unit_bytes = hr__pipe_unit_bytes(s->pipe);
    int64_t piece_bytes = o->batch_rows ? TASK_BYTES : unit_bytes;
    int64_t epochs = o->epochs;
    leg *l;
    HR_TRY(hr__alloc_zero(1, sizeof *l, &l, err));
    *l = (leg){.stream = s, .only_rank = only_rank, .first_epoch = epoch, .first_batch = batch};
    if (epochs > 0)
        epochs -= (int64_t)epoch - o->first_epoch;
    uint64_t window =
        HR_MIN(promised / 2, (uint64_t)HR_MAX(s->share_bytes * o->ranks, piece_bytes * threads));
    hr_read_config read = {
        .pipe = s->pipe,
        .share = s->share,
        .place = HR_PLACE_ARENA,
        .first_epoch = epoch,
        .epochs = epochs,
        .align_rows = o->batch_rows,
        .task_bytes = o->batch_rows ? TASK_BYTES : 0,
        .task_rows = o->shuffle == HR_SHUFFLE_WINDOW ? o->window_rows : 0,
        .skip_rows = skippable_rows(s, batch),
        .window_slots = o->batch_rows ? 4 * threads : threads + 1,
        .window_bytes = window,
        .level = 10,
        .busy = &s->busy,
        .stats = only_rank < 0 || o->only_rank ? s->dataset->stats : NULL,
    };
    hr_batch_config config = {
        .runtime = s->runtime,
        .share = s->share,
        .schema = s->pipe->schema,
        .batch_rows = o->batch_rows,
        .limit_rows = -1,
        .drop_last = o->drop_last,
        .permute = o->shuffle == HR_SHUFFLE_WINDOW,
        .seed = o->seed,
        .level = 0,
        .window_slots = 4 * threads,
        .window_bytes = (uint64_t)HR_MAX(TASK_BYTES, s->share_bytes / 2),
        .busy = &s->busy,
        .blocks = &s->blocks,
    };
    hr_out_sink sink = {.put = put, .wanted = wanted, .ended = ended, .self = l};
    *out = l; // readers may kick it at once
    return hr__batcher_open(&read, &config, &sink, &l->batcher, err);
}

static void close_leg(leg **l)
{
    if (!*l)
        return;
    hr__batcher_close(&(*l)->batcher);
    hr__free(*l);
    *l = NULL;
}

// --- life ---

static hr_status lower(hr_stream *s, const hr_dataset *dataset, hr_error *err)
{
    hr_dataset *permuted = NULL;
    if (s->options.shuffle == HR_SHUFFLE_NONE)
        return hr__pipe_lower(dataset, &s->pipe, err);
    HR_TRY(hr_dataset_randomize_block_order(dataset, s->options.seed, &permuted, err));
    hr_status status = hr__pipe_lower(permuted, &s->pipe, err);
    hr_dataset_unref(&permuted);
    return status;
}

static void choose_prefetch(hr_stream *s)
{
    hr_stream_options *o = &s->options;
    int64_t promised = (int64_t)hr__share_promised(s->share);
    int64_t bytes = o->prefetch_bytes;
    if (!bytes) // small, so that it stays warm, and enough to ride over a slow task of each thread
        bytes = HR_MAX(PREFETCH_BYTES_MIN, 4 * TASK_BYTES * hr_runtime_threads(s->runtime));
    s->share_bytes = HR_MIN(bytes, promised / 2) / o->ranks;
}

// Sizes that memory is planned by. A batch is made of pieces that are about as large together.
static void choose_sizes(hr_stream *s)
{
    int64_t row = hr__pipe_row_bytes(s->pipe);
    double batch = (double)row * (double)s->options.batch_rows;
    int64_t unit = hr__pipe_unit_bytes(s->pipe);
    s->batch_bytes = (int64_t)HR_MIN(batch, 1e15);
    int64_t task = HR_MAX(TASK_BYTES, s->batch_bytes);
    if (s->options.shuffle == HR_SHUFFLE_WINDOW)
        task = (int64_t)HR_MIN((double)s->options.window_rows * (double)row, 1e15);
    s->piece_bytes = s->options.batch_rows ? HR_MIN(unit, task) : unit;
}

// What the stream is promised of the arena. Without the least it could stand still: the pieces of a batch, the batch
// laid out, and one piece more; extents may be an eighth larger.
static hr_status open_share(hr_stream *s, hr_error *err)
{
    uint64_t piece = (uint64_t)s->piece_bytes;
    uint64_t least = (2 * (uint64_t)s->batch_bytes + piece) / 8 * 9;
    if (s->options.batch_rows)
        least += piece;
    if (hr__pipe_has_inner(s->pipe))
        least = HR_MAX(2 * least, hr__runtime_arena_bytes(s->runtime) / 4);
    uint64_t kept = (uint64_t)s->options.ranks * HR_MAX(piece, 1),
             good = least + PIECES_AT_ONCE * piece;
    hr_share_want want = {least, good, good + 2 * PREFETCH_BYTES_MIN + 6 * kept, kept};
    hr_status status = hr__share_open(hr__runtime_store(s->runtime), &want, &s->share, err);
    if (status)
        hr__error_context(
            err, "a stream of batches of %s",
            hr__format_bytes((uint64_t)HR_MAX(s->batch_bytes, s->piece_bytes), (char[32]){0}));
    return status;
}

// A whole block must fit. What its columns of fixed width take is known before anything is read.
static hr_status check_blocks(const hr_stream *s, hr_error *err)
{
    int64_t rows = hr__pipe_unit_rows(s->pipe), row = 0;
    uint64_t arena = hr__runtime_arena_bytes(s->runtime);
    char size[32], budget[32];
    for (int32_t i = 0; i < hr_schema_count(s->pipe->schema); i++)
        row += hr_type_row_bytes(hr_schema_field(s->pipe->schema, i)->type);
    double bytes = (double)rows * (double)row;
    if (s->options.batch_rows || !hr__pipe_row_exact(s->pipe) || hr__pipe_has_inner(s->pipe) ||
        s->pipe->kind != HR_PIPE_LEAF || bytes <= (double)arena)
        return HR_OK;
    return HR_FAIL(err, HR_LIMIT,
                   "a block of %lld rows takes %s or more: it needs a memory budget of at least "
                   "%s; or set batch_rows, or repartition",
                   (long long)rows, hr__format_bytes((uint64_t)HR_MIN(bytes, 1e18), size),
                   hr__format_bytes((uint64_t)HR_MIN(bytes * 3 / 2, 1e18), budget));
}

static hr_status open_channels(hr_stream *s, hr_error *err)
{
    const hr_stream_options *o = &s->options;
    HR_TRY(hr__alloc_zero((size_t)o->ranks, sizeof *s->ranks, &s->ranks, err));
    for (int64_t r = 0; r < o->ranks; r++) {
        rank_end *end = &s->ranks[r];
        end->stream = s;
        end->rank = r;
        end->state = !o->only_rank || r == o->only_rank - 1 ? RANK_SHARED : RANK_GONE;
        HR_TRY(hr__channel_open(
            hr__runtime_store(s->runtime), s->pipe->schema, HR_CHANNEL_SLOTS_MAX,
            hr__share_lease_bytes(s->share) / (uint64_t)o->ranks, &end->channel, err));
        hr__channel_set_share(end->channel, s->share);
        hr__channel_on_change(end->channel, channel_changed, end);
        if (end->state == RANK_GONE) {
            char text[96];
            (void)snprintf(text, sizeof text, "this stream serves rank %lld alone (only_rank)",
                           (long long)o->only_rank - 1);
            hr__channel_finish(end->channel, HR_INVALID, text);
        }
    }
    return HR_OK;
}

hr_status hr_dataset_stream(const hr_dataset *dataset, const hr_stream_options *options,
                            hr_stream **out, hr_error *err)
{
    hr_stream *s = NULL;
    hr_status status;
    hr_stream_options o;
    HR_TRY(hr__runtime_check(dataset->runtime, err));
    HR_TRY(hr__options_resolve(&stream_table, options, &o, err));
    if (o.only_rank > o.ranks)
        return HR_FAIL(err, HR_INVALID, "only_rank %lld of %lld ranks", (long long)o.only_rank,
                       (long long)o.ranks);
    if (o.position || o.global_batch_rows || o.tail == HR_TAIL_PAD)
        return HR_FAIL(err, HR_UNSUPPORTED, "position, global_batch_rows and tail \"pad\"");
    o.drop_last |= o.tail == HR_TAIL_DROP;
    HR_TRY(hr__alloc_zero(1, sizeof *s, &s, err));
    s->options = o;
    s->runtime = hr__runtime_ref(dataset->runtime);
    s->dataset = hr_dataset_ref(dataset);
    hr__mutex_init(&s->mutex);
    HR_GO(lower(s, dataset, err));
    HR_GO(hr__dataset_digest(dataset, &s->plan_hash, err));
    choose_sizes(s);
    HR_GO(check_blocks(s, err));
    HR_GO(open_share(s, err));
    choose_prefetch(s);
    HR_GO(open_channels(s, err));
    hr__mutex_lock(&s->mutex); // readers that change wait until the leg is known
    status = open_leg(s, o.only_rank - 1, (uint64_t)o.first_epoch, o.first_step, &s->shared, err);
    hr__mutex_unlock(&s->mutex);
    if (status == HR_OK) {
        *out = s;
        return HR_OK;
    }
out:
    hr_stream_close(&s);
    return status;
}

void hr_stream_close(hr_stream **stream)
{
    hr_stream *s = *stream;
    *stream = NULL;
    if (!s || hr__runtime_is_foreign(s->runtime))
        return;
    hr__mutex_lock(&s->mutex);
    s->closing = true;
    hr__mutex_unlock(&s->mutex);
    for (int64_t r = 0; s->ranks && r < s->options.ranks; r++)
        if (s->ranks[r].channel)
            hr__channel_on_change(s->ranks[r].channel, NULL, NULL);
    close_leg(&s->shared);
    for (int64_t r = 0; s->ranks && r < s->options.ranks; r++) {
        close_leg(&s->ranks[r].own);
        hr__channel_close(&s->ranks[r].channel);
    }
    hr__free(s->ranks);
    hr__share_close(&s->share);
    hr__pipe_free(&s->pipe);
    hr_dataset_unref(&s->dataset);
    hr__mutex_finish(&s->mutex);
    hr__runtime_unref(&s->runtime);
    hr__free(s);
}

const hr_schema *hr_stream_schema(const hr_stream *stream)
{
    return stream->pipe->schema;
}
int64_t hr_stream_ranks(const hr_stream *stream)
{
    return stream->options.ranks;
}
hr_channel *hr__stream_channel(hr_stream *stream, int64_t rank)
{
    return rank >= 0 && rank < stream->options.ranks ? stream->ranks[rank].channel : NULL;
}
hr_runtime *hr__stream_runtime(const hr_stream *stream)
{
    return stream->runtime;
}
uint64_t hr__stream_seed(const hr_stream *stream)
{
    return stream->options.seed;
}
uint64_t hr__stream_plan_hash(const hr_stream *stream)
{
    return stream->plan_hash;
}
const hr_busy *hr__stream_busy(const hr_stream *stream)
{
    return &stream->busy;
}

void hr__stream_abandon(hr_stream *stream, int64_t rank)
{
    rank_end *end = &stream->ranks[rank];
    hr__mutex_lock(&stream->mutex);
    detach(stream, end, 0, 0);
    end->state = RANK_GONE;
    if (stream->shared && stream->shared->batcher)
        hr__batcher_kick(stream->shared->batcher);
    if (end->own && end->own->batcher)
        hr__batcher_kick(end->own->batcher);
    hr__mutex_unlock(&stream->mutex);
}

// --- figures ---

// Rows of one epoch that are the rank's, where counts are exact; -1 where not.
static int64_t rank_rows(hr_stream *s, int64_t rank)
{
    int64_t batch_rows = s->options.batch_rows, ranks = s->options.ranks, rows = 0, total = 0,
            index = 0;
    hr_units *units = NULL;
    hr_unit unit;
    hr_status status;
    if (!hr__pipe_row_exact(s->pipe) || hr__pipe_has_inner(s->pipe) ||
        hr__units_open(s->pipe, NULL, 0, NULL, NULL, &units, NULL) != HR_OK)
        return -1;
    while ((status = hr__units_next(units, &unit, NULL)) == HR_OK) {
        total += unit.rows;
        if (!batch_rows && unit.rows && index++ % ranks == rank)
            rows += unit.rows;
        if (unit.object)
            hr__store_unref(hr__runtime_store(s->runtime), unit.object);
    }
    hr__units_close(&units);
    if (status != HR_END)
        return -1;
    if (!batch_rows)
        return rows;
    int64_t full = total / batch_rows, rest = s->options.drop_last ? 0 : total % batch_rows;
    rows = (full / ranks + (rank < full % ranks)) * batch_rows;
    return rows + (rest && full % ranks == rank ? rest : 0);
}

int64_t hr__stream_undelivered_rows(hr_stream *stream, int64_t rank)
{
    hr_channel_state state;
    int64_t each = rank_rows(stream, rank);
    if (each < 0)
        return -1;
    hr__channel_state(stream->ranks[rank].channel, &state);
    int64_t epochs_done = (int64_t)state.epoch - stream->options.first_epoch;
    int64_t delivered = (int64_t)state.delivered_rows - epochs_done * each;
    return HR_MAX(0, each - delivered);
}

void hr_stream_get_stats(const hr_stream *stream, hr_stream_stats *out)
{
    double s[HR_CAUSES];
    for (int i = 0; i < HR_CAUSES; i++)
        s[i] = (double)atomic_load_explicit(&stream->busy.ns[i], memory_order_relaxed) / 1e9;
    *out = (hr_stream_stats){
        .storage_s = s[HR_CAUSE_STORAGE],
        .decompress_s = s[HR_CAUSE_DECOMPRESS],
        .decode_s = s[HR_CAUSE_DECODE],
        .transform_s = s[HR_CAUSE_TRANSFORM],
        .function_s = s[HR_CAUSE_FUNCTION],
        .batch_s = s[HR_CAUSE_BATCH],
        .spill_s = s[HR_CAUSE_SPILL],
        .memory_s = s[HR_CAUSE_MEMORY],
        .rows = atomic_load_explicit(&stream->rows, memory_order_relaxed),
        .blocks = atomic_load_explicit(&stream->blocks, memory_order_relaxed),
        .batches = atomic_load_explicit(&stream->batches, memory_order_relaxed),
        .source_bytes =
            (int64_t)atomic_load_explicit(&stream->busy.read_bytes, memory_order_relaxed),
        .revoked = atomic_load_explicit(&stream->revoked, memory_order_relaxed),
    };
    if (stream->shared && stream->shared->batcher)
        out->dropped_rows = hr__batcher_dropped_rows(stream->shared->batcher);
}
