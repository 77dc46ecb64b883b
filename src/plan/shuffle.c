// SPDX-License-Identifier: Apache-2.0
// A shuffle at work: two flows, nearer to the consumer first.
//
//   source -> [sort: a part each] -> queue of sorted parts -> [emit: a unit each] -> one unit that waits to be taken
//
// A unit is unit_rows rows of the order, wherever parts end, so how the order is cut depends neither on the source
// nor on memory. Units are gathered in parallel straight from where the rows lie.
#include "plan/shuffle.h"
#include <stdatomic.h>
#include <string.h>

#define UNIT_BYTES                                                                                 \
    (2ll                                                                                           \
     << 20) // large enough that handing over costs nothing, small enough that many are under way

typedef struct queued {
    hr_sorted_part *part; // a reference
    int64_t at;
} queued;

struct hr_shuffler {
    hr_shuffle_config config;
    hr_runtime *runtime;
    hr_flow *sort, *emit;
    uint32_t part; // the sorter's taker's: the next
    // the emitter's taker
    int64_t row; // of the order: where the next unit begins
    int64_t unit;
    hr_mutex mutex;
    hr_part_source *source; // guards: mutex, until it is there
    int64_t unit_rows;      // guards: mutex. 0: not known yet
    bool loading;           // guards: mutex. A part of a source that loads one by one
    HR_VEC(queued) queue;   // guards: mutex. From queue_at on
    size_t queue_at;        // guards: mutex
    bool sort_over;         // guards: mutex
    hr_status sort_status;  // guards: mutex. When over
    hr_error sort_error;
    hr_unit waiting;  // guards: mutex
    bool full, over;  // guards: mutex
    hr_status status; // guards: mutex. When over
    hr_error error;
};

typedef struct sort_item {
    uint32_t number;
    hr_sorted_part *part;
} sort_item;

typedef struct emit_item {
    hr_sorted_part **parts; // references
    hr_row_run *runs;
    int32_t run_count;
    int64_t row, unit, rows, bytes;
    hr_object_id object;
} emit_item;

// --- the memory of an index ---

hr_status hr__index_take(hr_runtime *runtime, size_t bytes, void *out, hr_error *err)
{
    uint64_t *head;
    HR_TRY(hr__alloc_aligned(HR_ALIGN_UP(bytes, HR_ALIGN) + HR_ALIGN, HR_ALIGN, &head, err));
    *head = bytes;
    hr__ledger_force_charge(hr__runtime_ledger(runtime), HR_LEDGER_HEAP, bytes);
    *(void **)out = (uint8_t *)head + HR_ALIGN;
    return HR_OK;
}

void hr__index_give(hr_runtime *runtime, void *memory)
{
    if (!memory)
        return;
    uint64_t *head = (uint64_t *)(void *)((uint8_t *)memory - HR_ALIGN);
    hr__ledger_uncharge(hr__runtime_ledger(runtime), HR_LEDGER_HEAP, *head);
    hr__free(head);
}

// --- parts ---

hr_status hr__sorted_part_make(hr_runtime *runtime, hr_rowset *set, int64_t count,
                               hr_sorted_part **out, hr_error *err)
{
    hr_sorted_part *p = NULL;
    hr_status status;
    HR_GO(hr__alloc_zero(1, sizeof *p, &p, err));
    p->refs = 1;
    p->runtime = runtime;
    p->count = count;
    HR_GO(hr__index_take(runtime, (size_t)count * sizeof *p->rows, &p->rows, err));
    p->set = set;
    *out = p;
    return HR_OK;
out:
    hr__free(p);
    hr__rowset_unref(&set);
    return status;
}

void hr__sorted_part_unref(hr_sorted_part **part)
{
    hr_sorted_part *p = *part;
    *part = NULL;
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    hr__index_give(p->runtime, p->rows);
    hr__rowset_unref(&p->set);
    hr__free(p);
}

static hr_sorted_part *part_ref(hr_sorted_part *part)
{
    atomic_fetch_add_explicit(&part->refs, 1, memory_order_relaxed);
    return part;
}

// --- sorting ---

int64_t hr__shuffle_unit_rows(int64_t row_bytes, int64_t align_rows, uint64_t arena_bytes)
{
    int64_t rows = HR_MAX(1, UNIT_BYTES / HR_MAX(row_bytes, 1));
    if (align_rows <= 0)
        return rows;
    if (align_rows <= rows)
        return rows / align_rows * align_rows;
    // A batch that is large is made at once if several fit; else of pieces.
    return (uint64_t)align_rows <= arena_bytes / 12 / (uint64_t)HR_MAX(row_bytes, 1) ? align_rows
                                                                                     : rows;
}

static void learn_rows(hr_shuffler *s, int64_t row_bytes)
{
    uint64_t arena = hr__runtime_arena_bytes(s->runtime);
    int64_t rows = s->config.unit_rows;
    if (!rows)
        rows = hr__shuffle_unit_rows(row_bytes, s->config.align_rows, arena);
    double bytes = (double)rows * (double)row_bytes * 9 / 4;
    if (s->config.share)
        hr__share_raise(s->config.share, (uint64_t)HR_MIN(bytes, (double)arena));
    hr__mutex_lock(&s->mutex);
    s->unit_rows = rows;
    hr__mutex_unlock(&s->mutex);
}

static hr_status sort_take(void *self, void *item, uint64_t *weight_bytes, hr_error *err)
{
    hr_shuffler *s = self;
    uint32_t count;
    int64_t row_bytes = 0;
    hr__mutex_lock(&s->mutex);
    hr_part_source *source = s->source;
    bool known = s->unit_rows > 0, loading = s->loading;
    hr__mutex_unlock(&s->mutex);
    if (!source || loading)
        return HR_AGAIN; // it is being opened
    HR_TRY(source->ops->parts(source, &count, &row_bytes, err));
    if (!known)
        learn_rows(s, row_bytes);
    if (s->part == count)
        return HR_END;
    ((sort_item *)item)->number = s->part++;
    *weight_bytes = 1;
    hr__mutex_lock(&s->mutex);
    s->loading = source->ops->one_by_one;
    hr__mutex_unlock(&s->mutex);
    return HR_OK;
}

static hr_status sort_work(void *self, void *item, bool oldest, hr_error *err)
{
    hr_shuffler *s = self;
    sort_item *it = item;
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_BATCH);
    hr_status status = s->source->ops->load(s->source, it->number, &it->part, err);
    hr__busy_leave(mark);
    return status;
}

// Lock held.
static int64_t queued_rows(const hr_shuffler *s)
{
    int64_t rows = 0;
    for (size_t i = s->queue_at; i < s->queue.count; i++)
        rows += s->queue.items[i].part->count - s->queue.items[i].at;
    return rows;
}

static hr_status sort_give(void *self, void *item, hr_error *err)
{
    hr_shuffler *s = self;
    sort_item *it = item;
    hr_status status = HR_AGAIN;
    hr__mutex_lock(&s->mutex);
    size_t ahead = s->queue.count - s->queue_at;
    // A unit may be of many parts.
    if (ahead < 1 + s->source->ops->parts_ahead || queued_rows(s) < s->unit_rows) {
        if (s->queue_at == s->queue.count)
            s->queue.count = s->queue_at = 0;
        queued q = {it->part, 0};
        status = HR_VEC_PUSH(&s->queue, q, err);
        if (status == HR_OK)
            it->part = NULL;
    }
    hr__mutex_unlock(&s->mutex);
    if (status == HR_OK)
        hr__flow_kick(s->emit);
    return status;
}

static void sort_drop(void *self, void *item)
{
    hr_shuffler *s = self;
    hr__sorted_part_unref(&((sort_item *)item)->part);
    hr__mutex_lock(&s->mutex);
    bool next = s->loading;
    s->loading = false;
    hr__mutex_unlock(&s->mutex);
    if (next)
        hr__flow_kick(s->sort);
}

static void sort_ended(void *self, hr_status status, const hr_error *err)
{
    hr_shuffler *s = self;
    hr__mutex_lock(&s->mutex);
    s->sort_over = true;
    s->sort_status = status;
    s->sort_error = *err;
    hr__mutex_unlock(&s->mutex);
    hr__flow_kick(s->emit);
}

// --- emitting ---

// Lock held. Passes over `rows` of the queue, as many as there are; notes them as runs when `it` is given. Parts
// that are used up are moved to `done`.
static int64_t pass_rows(hr_shuffler *s, int64_t rows, emit_item *it)
{
    int64_t left = rows;
    while (left > 0 && s->queue_at < s->queue.count) {
        queued *q = &s->queue.items[s->queue_at];
        int64_t n = HR_MIN(left, q->part->count - q->at);
        if (it && n) {
            it->parts[it->run_count] = part_ref(q->part);
            it->runs[it->run_count++] = (hr_row_run){q->part->set, q->part->rows + q->at, n};
        }
        q->at += n;
        left -= n;
        if (q->at == q->part->count) {
            hr__sorted_part_unref(&q->part);
            s->queue_at++;
        }
    }
    return rows - left;
}

// Lock held. Whole units that nobody wants are passed over.
static void skip_rows(hr_shuffler *s)
{
    int64_t first = s->config.first_row / s->unit_rows * s->unit_rows;
    if (s->row < first)
        s->row += pass_rows(s, first - s->row, NULL);
    s->unit = s->row / s->unit_rows;
}

static hr_status take_unit(hr_shuffler *s, emit_item *it, hr_error *err)
{
    int64_t rows = queued_rows(s), need = 0;
    if (s->unit_rows) {
        skip_rows(s);
        need = s->unit_rows - s->row % s->unit_rows;
        rows = queued_rows(s);
    }
    if (!s->sort_over && (!need || rows < need))
        return HR_AGAIN;
    if (s->sort_over && s->sort_status != HR_END && (!need || rows < need))
        return hr__error_copy(err, &s->sort_error);
    if (rows == 0)
        return HR_END;
    size_t most = s->queue.count - s->queue_at;
    HR_TRY(hr__alloc_zero(most, sizeof *it->parts, &it->parts, err));
    HR_TRY(hr__alloc_zero(most, sizeof *it->runs, &it->runs, err));
    it->row = s->row;
    it->unit = s->unit;
    it->rows = pass_rows(s, need, it);
    s->row += it->rows;
    s->unit = (s->row + s->unit_rows - 1) / s->unit_rows;
    return HR_OK;
}

static hr_status emit_take(void *self, void *item, uint64_t *weight_bytes, hr_error *err)
{
    hr_shuffler *s = self;
    emit_item *it = item;
    hr__mutex_lock(&s->mutex);
    size_t before = s->queue_at;
    hr_status status = take_unit(s, it, err);
    bool room = s->queue_at != before;
    hr__mutex_unlock(&s->mutex);
    if (room)
        hr__flow_kick(s->sort);
    *weight_bytes = (uint64_t)it->rows;
    return status;
}

// The program over rows that were gathered: its inputs are some of the origin's columns.
static hr_status apply_program(hr_shuffler *s, const hr_block *block, const hr_target *target,
                               hr_result *out, hr_error *err)
{
    const int32_t *sources;
    const bool *in_predicate;
    hr_column *columns = NULL;
    int32_t all = hr_schema_count(s->config.schema);
    int32_t count = hr__program_sources(s->config.program, &sources, &in_predicate);
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(all, 1), sizeof *columns, &columns, err));
    for (int32_t i = 0; i < count; i++)
        columns[sources[i]] = *hr_block_column(block, i);
    hr_rows rows = {s->config.schema, columns, all, hr_block_rows(block)};
    hr_status status = hr__program_apply_rows(s->config.program, &rows, target, out, err);
    hr__free(columns);
    return status;
}

static hr_status emit_work(void *self, void *item, bool oldest, hr_error *err)
{
    hr_shuffler *s = self;
    emit_item *it = item;
    hr_target target = {s->runtime, HR_PLACE_ARENA, oldest, s->config.share, NULL};
    hr_target between = {.runtime = s->runtime, .place = HR_PLACE_SCRATCH};
    hr_result made = {0}, done = {0};
    HR_TRY(hr__rows_gather(it->runs, it->run_count, s->config.program ? &between : &target, &made,
                           err));
    if (s->config.program) {
        hr_status status = apply_program(s, made.block, &target, &done, err);
        hr_block_unref(&made.block);
        HR_TRY(status);
        made = done;
    }
    it->object = made.object;
    it->bytes = made.bytes;
    for (int32_t i = 0; i < it->run_count; i++) // what is used up goes now
        hr__sorted_part_unref(&it->parts[i]);
    return HR_OK;
}

static hr_status emit_give(void *self, void *item, hr_error *err)
{
    hr_shuffler *s = self;
    emit_item *it = item;
    hr__mutex_lock(&s->mutex);
    bool full = s->full;
    if (!full) {
        s->waiting = (hr_unit){.fragment = it->unit,
                               .row_index = it->row,
                               .rows = it->rows,
                               .bytes = it->bytes,
                               .object = it->object};
        s->full = true;
        it->object = 0;
    }
    hr__mutex_unlock(&s->mutex);
    if (full)
        return HR_AGAIN;
    s->config.rewake(s->config.rewake_context);
    return HR_OK;
}

static void emit_drop(void *self, void *item)
{
    hr_shuffler *s = self;
    emit_item *it = item;
    for (int32_t i = 0; i < it->run_count; i++)
        hr__sorted_part_unref(&it->parts[i]);
    hr__free(it->parts);
    hr__free(it->runs);
    if (it->object)
        hr__store_unref(hr__runtime_store(s->runtime), it->object);
    *it = (emit_item){0};
}

static void emit_ended(void *self, hr_status status, const hr_error *err)
{
    hr_shuffler *s = self;
    hr__mutex_lock(&s->mutex);
    s->over = true;
    s->status = status;
    s->error = *err;
    hr__mutex_unlock(&s->mutex);
    s->config.rewake(s->config.rewake_context);
}

// --- life ---

static hr_status open_flows(hr_shuffler *s, bool resident, hr_error *err)
{
    static const hr_flow_ops sort_ops = {sizeof(sort_item), sort_take, sort_work,
                                         sort_give,         sort_drop, sort_ended};
    static const hr_flow_ops emit_ops = {sizeof(emit_item), emit_take, emit_work,
                                         emit_give,         emit_drop, emit_ended};
    uint32_t threads = (uint32_t)hr_runtime_threads(s->runtime);
    hr_flow_config sort = {.name = "sort",
                           .level = 22,
                           .window_slots = resident ? 2 * threads : 1,
                           .window_bytes = UINT64_MAX,
                           .busy = s->config.busy,
                           .blocked_cause = HR_CAUSE_SPILL};
    hr_flow_config emit = {.name = "shuffle",
                           .level = 20,
                           .window_slots = 2 * threads,
                           .window_bytes = UINT64_MAX,
                           .busy = s->config.busy};
    HR_TRY(hr__flow_open(s->runtime, &emit_ops, s, &emit, &s->emit, err));
    return hr__flow_open(s->runtime, &sort_ops, s, &sort, &s->sort, err);
}

hr_status hr__shuffle_open(const hr_shuffle_config *config, hr_shuffler **out, hr_error *err)
{
    hr_shuffler *s = NULL;
    hr_part_source *source = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *s, &s, err));
    s->config = *config;
    s->runtime = config->inner->runtime;
    hr__mutex_init(&s->mutex);
    bool resident = hr__resident_fits(config);
    HR_GO(open_flows(s, resident, err));
    status = resident ? hr__resident_open(config, s->sort, &source, err) : HR_AGAIN;
    if (status == HR_AGAIN)
        status = hr__exchange_open(config, s->sort, &source, err);
    if (status != HR_OK)
        goto out;
    hr__mutex_lock(&s->mutex);
    s->source = source;
    hr__mutex_unlock(&s->mutex);
    hr__flow_kick(s->sort);
    *out = s;
    return HR_OK;
out:
    hr__shuffle_close(&s);
    return status;
}

hr_status hr__shuffle_next(hr_shuffler *s, hr_unit *out, hr_error *err)
{
    hr_status status = HR_AGAIN;
    hr__mutex_lock(&s->mutex);
    if (s->full) {
        *out = s->waiting;
        s->full = false;
        status = HR_OK;
    } else if (s->over) {
        status = s->status == HR_END ? HR_END : hr__error_copy(err, &s->error);
    }
    hr__mutex_unlock(&s->mutex);
    if (status == HR_OK)
        hr__flow_kick(s->emit);
    return status;
}

void hr__shuffle_close(hr_shuffler **shuffle)
{
    hr_shuffler *s = *shuffle;
    *shuffle = NULL;
    if (!s)
        return;
    // Each kicks the others, so all stand still before one is freed.
    if (s->emit)
        hr__flow_stop(s->emit);
    if (s->sort)
        hr__flow_stop(s->sort);
    if (s->source)
        s->source->ops->stop(s->source);
    hr__flow_close(&s->emit);
    hr__flow_close(&s->sort);
    for (size_t i = s->queue_at; i < s->queue.count; i++)
        hr__sorted_part_unref(&s->queue.items[i].part);
    HR_VEC_FINISH(&s->queue);
    if (s->source)
        s->source->ops->close(s->source);
    if (s->full)
        hr__store_unref(hr__runtime_store(s->runtime), s->waiting.object);
    hr__mutex_finish(&s->mutex);
    hr__free(s);
}
