// SPDX-License-Identifier: Apache-2.0
// Opening a stream: its options, the sizes that memory is planned by, the position that it goes on from; and figures.
#include "base/option.h"
#include "base/text.h"
#include "plan/epoch_cache.h"
#include "plan/lanes.h"
#include "plan/stream_parts.h"
#include <stdio.h>
#include <string.h>

#define PREFETCH_BYTES_MIN (32ll << 20)
#define WINDOW_ROWS        16384
#define WINDOW_BYTES       (64ll << 20) // a default window holds no more, by the footers
#define LANES              8
#define PIECES_AT_ONCE     4            // beside the oldest
#define LANE_BYTES_MIN     (64ll << 10) // of a lane's piece
#define RANKS_MAX          4096

static const char *const shuffle_choices[] = {"none", "blocks", "window", "global", NULL};
static const char *const tail_choices[] = {"uneven", "drop", "pad", NULL};
static const hr_option_row stream_rows[] = {
    {"batch_rows", HR_OPTION_INT, offsetof(hr_stream_options, batch_rows), 0, 0, 1e12, NULL,
     "rows a batch; 0: whole blocks", "--batch-rows", "batch_size"},
    {"drop_last", HR_OPTION_BOOL, offsetof(hr_stream_options, drop_last), 0, 0, 1, NULL,
     "as tail=\"drop\"", NULL, "drop_last"},
    {"prefetch_blocks", HR_OPTION_INT, offsetof(hr_stream_options, prefetch_blocks), 0, -1, 4000,
     NULL, "batches made ahead of each reader; 0: by bytes, -1: none", "--prefetch",
     "prefetch_batches"},
    {"prefetch_bytes", HR_OPTION_BYTES, offsetof(hr_stream_options, prefetch_bytes), 0, 0, 1e15,
     NULL, "made ahead of all readers together; 0: found from data and budget"},
    {"ranks", HR_OPTION_INT, offsetof(hr_stream_options, ranks), 1, 1, RANKS_MAX, NULL, "readers",
     "--workers"},
    {"epochs", HR_OPTION_INT, offsetof(hr_stream_options, epochs), 1, -1, 1e9, NULL,
     "passes; -1: endless", "--epochs"},
    {"shuffle", HR_OPTION_CHOICE, offsetof(hr_stream_options, shuffle), 0, 0, 3, shuffle_choices,
     "order of rows", "--shuffle", "shuffle"},
    {"window_rows", HR_OPTION_INT, offsetof(hr_stream_options, window_rows), 0, 0, 1e9, NULL,
     "rows permuted together by shuffle=\"window\"; 0: 16,384, or what 64 MiB hold",
     "--window-rows", "window_rows"},
    {"first_epoch", HR_OPTION_INT, offsetof(hr_stream_options, first_epoch), 0, 0, 1e9, NULL,
     "number of the first epoch", "--epoch", "epoch"},
    {"global_batch_rows", HR_OPTION_INT, offsetof(hr_stream_options, global_batch_rows), 0, 0, 1e12,
     NULL, "rows a step over all ranks; instead of batch_rows", "--global-batch-rows",
     "global_batch_size"},
    {"tail", HR_OPTION_CHOICE, offsetof(hr_stream_options, tail), 0, 0, 2, tail_choices,
     "what becomes of the rows that do not fill an epoch's last step", "--tail", "tail"},
    {"order_lanes", HR_OPTION_INT, offsetof(hr_stream_options, order_lanes), LANES, 1,
     HR_ORDER_LANES_MAX, NULL, "lanes that shuffle=\"window\" takes rows from", "--order-lanes",
     "order_lanes"},
    {"deferred", HR_OPTION_BOOL, offsetof(hr_stream_options, deferred), 0, 0, 1, NULL,
     "nothing is read before a batch is asked for"},
};
const hr_option_table hr__stream_options =
    HR_OPTION_TABLE("stream", hr_stream_options, stream_rows, "iter_batches and its kin");

// --- options ---

static hr_status resolve_options(hr_stream *s, const hr_stream_options *options, hr_error *err)
{
    hr_stream_options *o = &s->options;
    HR_TRY(hr__options_resolve(&hr__stream_options, options, o, err));
    if (o->batch_rows && o->global_batch_rows)
        return HR_FAIL(err, HR_INVALID,
                       "batch_rows %lld and global_batch_rows %lld: give one of them",
                       (long long)o->batch_rows, (long long)o->global_batch_rows);
    if (o->global_batch_rows && o->global_batch_rows < o->ranks)
        return HR_FAIL(err, HR_INVALID,
                       "global_batch_rows %lld for %lld ranks: each rank needs a row of each step",
                       (long long)o->global_batch_rows, (long long)o->ranks);
    if (o->drop_last && o->tail == HR_TAIL_PAD)
        return HR_FAIL(err, HR_INVALID, "drop_last and tail \"pad\": give one of them");
    if (o->drop_last)
        o->tail = HR_TAIL_DROP;
    s->cut =
        (hr_cut){.rows = o->global_batch_rows ? o->global_batch_rows : o->batch_rows * o->ranks,
                 .ranks = o->ranks};
    if (!s->cut.rows && o->tail == HR_TAIL_PAD)
        return HR_FAIL(err, HR_INVALID, "tail \"pad\" with whole blocks: give batch_rows");
    return HR_OK;
}

static hr_status lower(hr_stream *s, const hr_dataset *dataset, hr_error *err)
{
    hr_dataset *permuted = NULL;
    if (s->options.shuffle == HR_SHUFFLE_NONE)
        return hr__pipe_lower(dataset, &s->pipe, err);
    bool global = s->options.shuffle == HR_SHUFFLE_GLOBAL;
    HR_TRY(global ? hr_dataset_random_shuffle(dataset, s->options.seed, &permuted, err)
                  : hr_dataset_randomize_block_order(dataset, s->options.seed, &permuted, err));
    hr_status status = hr__pipe_lower(permuted, &s->pipe, err);
    hr_dataset_unref(&permuted);
    if (status == HR_OK &&
        global) { // nothing is done to its units: they are what steps are cut from
        s->pipe->branch->unit_rows = 0;
        s->pipe->branch->align_rows = s->cut.rows;
    }
    return status;
}

// --- the position ---

static hr_status fail_order(const char *what, int64_t found, int64_t here, hr_error *err)
{
    return HR_FAIL(err, HR_INVALID,
                   "position: it was made with %s %lld, this stream has %lld: the order of rows "
                   "would be another",
                   what, (long long)found, (long long)here);
}

static hr_status check_position(const hr_stream *s, const hr_position *p, hr_error *err)
{
    const hr_position *here = &s->start;
    if (p->shuffle != here->shuffle)
        return HR_FAIL(err, HR_INVALID, "position: it was made with shuffle \"%s\", not \"%s\"",
                       p->shuffle <= HR_SHUFFLE_GLOBAL ? shuffle_choices[p->shuffle] : "?",
                       shuffle_choices[here->shuffle]);
    if (p->plan_hash != here->plan_hash)
        return HR_FAIL(
            err, HR_INVALID,
            "position: it is of other data or of other steps over it (plan %016llx, here "
            "%016llx): check the files, their order and sizes, the columns, filters and "
            "functions",
            (unsigned long long)p->plan_hash, (unsigned long long)here->plan_hash);
    if (p->shuffle != HR_SHUFFLE_NONE && p->seed != here->seed)
        return HR_FAIL(err, HR_INVALID,
                       "position: it was made with seed %llu, not %llu: go on with that seed (its "
                       "epochs differ from each other without another one)",
                       (unsigned long long)p->seed, (unsigned long long)here->seed);
    if (p->window_rows != here->window_rows)
        return fail_order("window_rows", p->window_rows, here->window_rows, err);
    if (p->order_lanes != here->order_lanes)
        return fail_order("order_lanes", p->order_lanes, here->order_lanes, err);
    if (p->epoch < 0 || p->epoch > UINT32_MAX || p->step < 0 || p->row < 0 || p->unit < 0 ||
        p->unit_row < 0 || p->order_row < 0 || p->order_row > p->row || p->more_units < 0 ||
        p->more_units >= RANKS_MAX || p->step > INT64_MAX / s->options.ranks)
        return HR_FAIL(err, HR_INVALID, "position: its numbers cannot be");
    return HR_OK;
}

static hr_status start_at(hr_stream *s, const hr_position *position, hr_error *err)
{
    HR_TRY(check_position(s, position, err));
    s->start = *position;
    s->start.seed = s->options.seed;
    return HR_OK;
}

// Of an order that is the same for all who read it, so that any of them can go on from another's place.
static hr_status set_start(hr_stream *s, const hr_dataset *dataset, hr_error *err)
{
    hr_stream_options *o = &s->options;
    bool window = o->shuffle == HR_SHUFFLE_WINDOW;
    // By what the sources' rows take, not by what is made of them: so packing columns does not change the order.
    int64_t fits = WINDOW_BYTES / HR_MAX(hr__pipe_source_row_bytes(s->pipe), 1);
    if (!o->window_rows)
        o->window_rows = HR_MIN(WINDOW_ROWS, HR_MAX(fits, 1));
    s->start = (hr_position){
        .epoch = o->first_epoch,
        .seed = o->seed,
        .shuffle = o->shuffle,
        .window_rows = window ? o->window_rows : 0,
        .order_lanes = window ? o->order_lanes : 0,
    };
    HR_TRY(hr__dataset_digest(dataset, &s->start.plan_hash, err));
    if (o->shuffle != HR_SHUFFLE_NONE) // such an order opens all footers before its first row
        HR_TRY(hr__pipe_add_footers(s->pipe, &s->start.plan_hash, err));
    if (!o->position)
        return HR_OK;
    const hr_position *position = o->position;
    o->position = NULL; // borrowed until here
    return start_at(s, position, err);
}

hr_status hr__stream_go_on(hr_stream *s, const hr_position *position, hr_error *err)
{
    hr_stream_options *o = &s->options;
    hr_status status;
    int64_t end = s->start.epoch + o->epochs;
    hr__mutex_lock(&s->mutex); // nobody begins it meanwhile
    if (s->begun || o->ranks != 1)
        status = HR_FAIL(err, HR_UNSUPPORTED, "this stream has begun, or has several ranks");
    else if (o->epochs > 0 && position->epoch >= end)
        status = HR_FAIL(err, HR_INVALID, "position: epoch %lld, the stream's last one is %lld",
                         (long long)position->epoch, (long long)end - 1);
    else
        status = start_at(s, position, err);
    if (status == HR_OK && o->epochs > 0)
        o->epochs = end - s->start.epoch;
    hr__mutex_unlock(&s->mutex);
    return status;
}

// --- sizes ---

static void choose_prefetch(hr_stream *s)
{
    hr_stream_options *o = &s->options;
    int64_t promised = (int64_t)hr__share_promised(s->share);
    int64_t bytes = o->prefetch_bytes;
    if (!bytes) // small, so that it stays warm, and enough to ride over a slow task of each thread
        bytes = HR_MAX(PREFETCH_BYTES_MIN, 4 * HR_TASK_BYTES * hr_runtime_threads(s->runtime));
    s->share_bytes = HR_MIN(bytes, promised / 2) / o->ranks;
}

// What lies open for a shuffle. A step touches so many rounds, and each lane's rows of them lie in as many pieces as
// they fill and one more, which lanes of equal units need all at once.
static double open_bytes(const hr_stream *s, int64_t row_bytes)
{
    const hr_stream_options *o = &s->options;
    int64_t rounds = 1 + (HR_MAX(s->cut.rows, 1) + o->window_rows - 2) / o->window_rows;
    double rows = (double)row_bytes * (double)o->window_rows * (double)rounds;
    return rows + 2 * (double)(o->order_lanes * s->piece_bytes);
}

static bool may_shrink(const hr_stream *s)
{
    return s->piece_bytes > LANE_BYTES_MIN && !hr__pipe_has_function(s->pipe);
}

// Sizes that memory is planned by. A batch is made of pieces that are about as large together. A whole step waits
// before the first of its batches is made; a shuffle has rounds waiting, and pieces of each lane open.
static void choose_sizes(hr_stream *s)
{
    const hr_stream_options *o = &s->options;
    int64_t row = hr__pipe_row_bytes(s->pipe), unit = hr__pipe_unit_bytes(s->pipe);
    int64_t arena = (int64_t)hr__runtime_arena_bytes(s->runtime), units = 0;
    bool steps = s->cut.rows > 0;
    s->step_bytes = (int64_t)HR_MIN((double)row * (double)s->cut.rows, 1e15);
    s->batch_bytes = s->step_bytes / o->ranks;
    s->piece_bytes = steps ? HR_MIN(unit, HR_MAX(HR_TASK_BYTES, s->batch_bytes)) : unit;
    if (o->shuffle != HR_SHUFFLE_WINDOW)
        return;
    int64_t fair = HR_MAX(LANE_BYTES_MIN, arena / (8 * o->order_lanes));
    s->piece_bytes = HR_MIN(unit, HR_MIN(HR_TASK_BYTES, fair));
    if (hr__pipe_has_function(s->pipe)) // the order depends on it
        s->piece_bytes = HR_MIN(unit, HR_LANE_CALL_BYTES);
    while (may_shrink(s) && open_bytes(s, row) > (double)arena / 2)
        s->piece_bytes /= 2;
    // Batches of a round are made together.
    int64_t group = (int64_t)HR_MIN((double)row * (double)o->window_rows, HR_GATHER_BYTES);
    s->batch_bytes = HR_MAX(s->batch_bytes, group);
    // Where much would be asked for, all footers say whether there is that much; the shuffle reads them anyway.
    int64_t of_sources = 0;
    s->all_bytes = INT64_MAX;
    if (open_bytes(s, row) > (double)arena / 4 &&
        hr__pipe_count_units(s->pipe, &units, &of_sources, NULL) == HR_OK)
        s->all_bytes = (int64_t)HR_MIN((double)of_sources * (double)row /
                                           (double)HR_MAX(hr__pipe_source_row_bytes(s->pipe), 1),
                                       1e15);
}

// What the stream is promised of the arena. Without the least it could stand still: the pieces of a step, a batch laid
// out, and one piece more; extents may be an eighth larger.
static hr_status ask_for_share(hr_stream *s, hr_error *err)
{
    uint64_t piece = (uint64_t)s->piece_bytes, open = 0;
    if (s->options.shuffle == HR_SHUFFLE_WINDOW)
        open = (uint64_t)HR_MIN(open_bytes(s, hr__pipe_row_bytes(s->pipe)),
                                (double)HR_MIN(s->all_bytes, (int64_t)1e15));
    uint64_t least = ((uint64_t)(s->step_bytes + s->batch_bytes) + open + piece) / 8 * 9;
    if (s->cut.rows)
        least += piece;
    if (hr__pipe_has_inner(s->pipe))
        least = HR_MAX(2 * least, hr__runtime_arena_bytes(s->runtime) / 4);
    uint64_t kept = (uint64_t)s->options.ranks * HR_MAX(piece, 1),
             good = least + PIECES_AT_ONCE * piece;
    hr_share_want want = {least, good, good + 2 * PREFETCH_BYTES_MIN + 6 * kept, kept};
    return hr__share_open(hr__runtime_store(s->runtime), &want, &s->share, err);
}

// Smaller pieces of lanes are slower, and the order is the same.
static hr_status open_share(hr_stream *s, hr_error *err)
{
    bool window = s->options.shuffle == HR_SHUFFLE_WINDOW;
    hr_status status = ask_for_share(s, err);
    while (status == HR_LIMIT && window && may_shrink(s)) {
        s->piece_bytes /= 2;
        status = ask_for_share(s, err);
    }
    if (status)
        hr__error_context(
            err, "a stream of batches of %s%s",
            hr__format_bytes((uint64_t)HR_MAX(s->batch_bytes, s->piece_bytes), (char[32]){0}),
            window ? ", shuffled in windows (window_rows)" : "");
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
    if (s->cut.rows || !hr__pipe_row_exact(s->pipe) || hr__pipe_has_inner(s->pipe) ||
        s->pipe->kind != HR_PIPE_LEAF || bytes <= (double)arena)
        return HR_OK;
    return HR_FAIL(err, HR_LIMIT,
                   "a block of %lld rows takes %s or more: it needs a memory budget of at least "
                   "%s; or set batch_rows, or repartition",
                   (long long)rows, hr__format_bytes((uint64_t)HR_MIN(bytes, 1e18), size),
                   hr__format_bytes((uint64_t)HR_MIN(bytes * 3 / 2, 1e18), budget));
}

// --- life ---

static hr_status open_channels(hr_stream *s, hr_error *err)
{
    int64_t ranks = s->options.ranks;
    HR_TRY(hr__alloc_zero((size_t)ranks, sizeof *s->ranks, &s->ranks, err));
    for (int64_t r = 0; r < ranks; r++) {
        hr_rank_end *end = &s->ranks[r];
        end->stream = s;
        end->rank = r;
        end->state = HR_RANK_SHARED;
        HR_TRY(hr__channel_open(
            hr__runtime_store(s->runtime), s->pipe->schema, HR_CHANNEL_SLOTS_MAX,
            hr__share_lease_bytes(s->share) / (uint64_t)ranks, &end->channel, err));
        hr__channel_set_share(end->channel, s->share);
        hr__channel_on_change(end->channel, hr__stream_channel_changed, end);
    }
    return HR_OK;
}

hr_status hr__dataset_stream(const hr_dataset *dataset, const hr_stream_options *options,
                             hr_crew *crew, hr_stream **out, hr_error *err)
{
    hr_stream *s = NULL;
    hr_status status;
    HR_TRY(hr__runtime_check(dataset->runtime, err));
    HR_TRY(hr__alloc_zero(1, sizeof *s, &s, err));
    s->runtime = hr__runtime_ref(dataset->runtime);
    s->dataset = hr_dataset_ref(dataset);
    s->crew = crew;
    hr__mutex_init(&s->mutex);
    hr__cond_init(&s->turns);
    HR_GO(resolve_options(s, options, err));
    HR_GO(lower(s, dataset, err));
    hr__pipe_set_busy(s->pipe, &s->busy);
    if (s->options.epochs != 1)
        HR_GO(hr__pipe_keep_pieces(s->pipe, err));
    HR_GO(set_start(s, dataset, err));
    choose_sizes(s);
    HR_GO(check_blocks(s, err));
    HR_GO(open_share(s, err));
    choose_prefetch(s);
    HR_GO(open_channels(s, err));
    hr__mutex_lock(&s->mutex); // readers that change wait until the leg is known
    status = s->options.deferred ? HR_OK : hr__stream_begin(s, err);
    hr__mutex_unlock(&s->mutex);
    if (status == HR_OK) {
        *out = s;
        return HR_OK;
    }
out:
    hr_stream_close(&s);
    return status;
}

hr_status hr_dataset_stream(const hr_dataset *dataset, const hr_stream_options *options,
                            hr_stream **out, hr_error *err)
{
    return hr__dataset_stream(dataset, options, NULL, out, err);
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
    hr__turns_close(s);
    for (int64_t r = 0; s->ranks && r < s->options.ranks; r++)
        if (s->ranks[r].channel)
            hr__channel_on_change(s->ranks[r].channel, NULL, NULL);
    hr__leg_close(&s->shared);
    for (int64_t r = 0; s->ranks && r < s->options.ranks; r++) {
        hr__leg_close(&s->ranks[r].own);
        hr__channel_close(&s->ranks[r].channel);
    }
    hr__free(s->ranks);
    hr__share_close(&s->share);
    hr__pipe_free(&s->pipe);
    hr_dataset_unref(&s->dataset);
    hr__cond_finish(&s->turns);
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
const hr_position *hr__stream_start(const hr_stream *stream)
{
    return &stream->start;
}
const hr_busy *hr__stream_busy(const hr_stream *stream)
{
    return &stream->busy;
}

// --- figures ---

// Of `total` rows of an epoch's order those behind its first `row` that are the rank's.
static int64_t rank_share(const hr_stream *s, int64_t rank, int64_t total, int64_t row)
{
    const hr_cut *cut = &s->cut;
    int64_t left = HR_MAX(total - row, 0), tail = left % cut->rows;
    int64_t each = hr__cut_part(cut, rank + 1) - hr__cut_part(cut, rank);
    int64_t rows = left / cut->rows * each;
    hr_cut last = {.rows = tail, .ranks = cut->ranks};
    if (tail && s->options.tail == HR_TAIL_PAD)
        rows += each;
    else if (tail && s->options.tail == HR_TAIL_UNEVEN)
        rows += hr__cut_part(&last, rank + 1) - hr__cut_part(&last, rank);
    return rows;
}

// Rows of an epoch from a row of its order on that are the rank's, where counts are exact; -1 where not.
static int64_t rank_rows(hr_stream *s, int64_t rank, int64_t row)
{
    int64_t rows = 0, total = 0, index = 0;
    hr_units *units = NULL;
    hr_unit unit;
    hr_status status;
    if (!hr__pipe_row_exact(s->pipe) || hr__pipe_has_inner(s->pipe) ||
        hr__units_open(s->pipe, NULL, 0, NULL, NULL, &units, NULL) != HR_OK)
        return -1;
    while ((status = hr__units_next(units, &unit, NULL)) == HR_OK) {
        total += unit.rows;
        if (unit.rows && index++ % s->options.ranks == rank && total > row)
            rows += unit.rows;
        if (unit.object)
            hr__store_unref(hr__runtime_store(s->runtime), unit.object);
    }
    hr__units_close(&units);
    if (status != HR_END)
        return -1;
    return s->cut.rows ? rank_share(s, rank, total, row) : rows;
}

int64_t hr__stream_undelivered_rows(hr_stream *stream, int64_t rank)
{
    hr_channel_state state;
    int64_t first = rank_rows(stream, rank, stream->start.row);
    int64_t each = stream->start.row ? rank_rows(stream, rank, 0) : first;
    if (each < 0)
        return -1;
    hr__channel_state(stream->ranks[rank].channel, &state);
    int64_t delivered = (int64_t)state.delivered_rows;
    int64_t epochs_done = HR_MAX((int64_t)state.epoch - stream->start.epoch, 0);
    if (epochs_done > 0)
        return HR_MAX(0, each - (delivered - first - (epochs_done - 1) * each));
    return HR_MAX(0, first - delivered);
}

void hr_stream_get_stats(const hr_stream *stream, hr_stream_stats *out, size_t out_bytes)
{
    double s[HR_CAUSES];
    for (int i = 0; i < HR_CAUSES; i++)
        s[i] = (double)atomic_load_explicit(&stream->busy.ns[i], memory_order_relaxed) / 1e9;
    hr_stream_stats now = {
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
    hr__pipe_kept_rows(stream->pipe, &now.memory_rows, &now.reread_rows);
    hr_mutex *mutex = (hr_mutex *)&stream->mutex; // it may begin, or begin again
    hr__mutex_lock(mutex);
    const hr_leg *leg = stream->shared;
    const hr_batcher *batcher = leg ? leg->batcher : NULL;
    now.dropped_rows = stream->dropped_rows + (batcher ? hr__batcher_dropped_rows(batcher) : 0);
    now.padded_rows = stream->padded_rows + (batcher ? hr__batcher_padded_rows(batcher) : 0);
    hr__mutex_unlock(mutex);
    hr__stats_copy(out, out_bytes, &now, sizeof now);
}
