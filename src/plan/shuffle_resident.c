// SPDX-License-Identifier: Apache-2.0
// The order of rows that lie in memory: they stay where they are, only an index of their keys is sorted.
//
//   keys flow   runs of RUN_ROWS rows: keys, dealt to parts            (in parallel; all of them before the first part)
//   load        one part: its slices of all runs, sorted               (in parallel, a few parts ahead of the gathers)
//
// Blocks of a series are pinned for as long as the epoch's order is being given. So this way is only taken where
// they are all in memory and leave the arena room for others; the index is 16 bytes a row, so rows must not be tiny.
#include "plan/shuffle.h"
#include <stdatomic.h>
#include <string.h>

#define RUN_ROWS      65536
#define PART_ROWS     32768 // sorting one fits the second-level cache
#define ROW_BYTES_MIN 64    // below, the index is more than a quarter of the data

typedef struct row_unit { // a unit of the plan
    uint32_t block;
    hr_row_keys keys;
    int64_t first; // row of the block
    int64_t start; // row of the epoch
} row_unit;

typedef struct key_run {
    hr_keyed_row *rows; // dealt to parts
    uint32_t *starts;   // parts + 1
} key_run;

typedef struct resident {
    hr_part_source base;
    hr_shuffle_config config;
    hr_runtime *runtime;
    hr_flow *sort, *keys;
    hr_rowset *set;
    HR_VEC(hr_block *) blocks; // until the set has them
    HR_VEC(row_unit) units;
    int64_t rows, bytes;
    uint32_t parts;
    int64_t run_rows;
    key_run *runs;
    size_t run_count, run_taken;
    hr_mutex mutex;
    bool keyed;       // guards: mutex. All runs are there
    hr_status status; // guards: mutex. When they are not and never will be
    hr_error error;
} resident;

// --- which ---

bool hr__pipe_is_resident(const hr_pipe *p)
{
    if (p->kind == HR_PIPE_LEAF) {
        const hr_node *n = p->branch->origin;
        return !p->branch->stage_count && n &&
               (n->kind == HR_NODE_BLOCKS || n->kind == HR_NODE_SERIES);
    }
    for (int32_t i = 0; i < p->child_count; i++)
        if (!hr__pipe_is_resident(p->children[i]))
            return false;
    return true;
}

static void add_sizes(const hr_pipe *p, int64_t *rows, int64_t *kept_bytes, int64_t *bytes)
{
    const hr_node *n = p->branch ? p->branch->origin : NULL;
    for (int32_t i = 0; i < p->child_count; i++)
        add_sizes(p->children[i], rows, kept_bytes, bytes);
    if (n && n->kind == HR_NODE_SERIES) {
        *rows += n->kept.total_rows;
        *kept_bytes += n->kept.total_bytes;
        *bytes += n->kept.total_bytes;
    }
    for (int32_t i = 0; n && n->kind == HR_NODE_BLOCKS && i < n->block_count; i++) {
        *rows += hr_block_rows(n->blocks[i]);
        *bytes += hr_block_bytes(n->blocks[i]);
    }
}

bool hr__resident_fits(const hr_shuffle_config *c)
{
    hr_runtime *rt = c->inner->runtime;
    int64_t rows = 0, kept = 0, bytes = 0;
    if (c->partitions || !hr__pipe_is_resident(c->inner))
        return false;
    add_sizes(c->inner, &rows, &kept, &bytes);
    return bytes / HR_MAX(rows, 1) >= ROW_BYTES_MIN &&
           (uint64_t)kept <= hr__runtime_arena_bytes(rt) / 8 * 5 &&
           (uint64_t)rows <= hr__runtime_budget_bytes(rt) / 8 / sizeof(hr_keyed_row);
}

// --- units ---

static hr_status block_of(const resident *r, const hr_unit *u, hr_block **out, hr_error *err)
{
    const hr_node *n = u->branch->origin;
    if (n->kind == HR_NODE_SERIES)
        return hr__store_block(hr__runtime_store(r->runtime),
                               hr__series_at(n->kept.series, (size_t)u->fragment),
                               u->branch->origin_schema, out, err);
    *out = hr_block_ref(n->blocks[u->fragment]);
    return HR_OK;
}

static hr_status add_unit(resident *r, const hr_unit *u, hr_error *err)
{
    hr_block *block = NULL;
    HR_TRY(block_of(r, u, &block, err));
    hr_status status = HR_VEC_PUSH(&r->blocks, block, err);
    if (status != HR_OK) {
        hr_block_unref(&block);
        return status;
    }
    if (hr_block_rows(block) > UINT32_MAX)
        return HR_AGAIN; // its rows have no 32-bit numbers
    row_unit unit = {
        .block = (uint32_t)r->blocks.count - 1,
        .keys = hr__row_keys(r->config.seed, HR_RNG_GLOBAL, r->config.epoch, r->units.count),
        .first = u->first,
        .start = r->rows,
    };
    r->rows += u->rows;
    r->bytes += u->bytes;
    return HR_VEC_PUSH(&r->units, unit, err);
}

static hr_status add_units(resident *r, hr_error *err)
{
    hr_units *units = NULL;
    hr_unit unit;
    hr_status status;
    HR_TRY(hr__units_open(r->config.inner, NULL, r->config.epoch, NULL, NULL, &units, err));
    while ((status = hr__units_next(units, &unit, err)) == HR_OK) {
        if (unit.rows)
            HR_GO(add_unit(r, &unit, err));
    }
    if (status == HR_END)
        status = HR_OK;
out:
    hr__units_close(&units);
    return status;
}

static hr_status make_set(resident *r, hr_error *err)
{
    const int32_t *sources = NULL;
    const bool *in_predicate;
    hr_schema *narrow = NULL;
    if (r->config.program) {
        int32_t count = hr__program_sources(r->config.program, &sources, &in_predicate);
        HR_TRY(hr__schema_project(r->config.schema, sources, NULL, count, &narrow, err));
    }
    hr_block **blocks = r->blocks.items;
    uint32_t count = (uint32_t)r->blocks.count;
    r->blocks.items = NULL; // the set's now
    HR_VEC_FINISH(&r->blocks);
    hr_status status =
        hr__rowset_make(narrow ? narrow : r->config.schema, sources, blocks, count, &r->set, err);
    hr_schema_unref(&narrow);
    return status;
}

// --- the keys flow ---

typedef struct key_item {
    size_t run;
} key_item;

static hr_status keys_take(void *self, void *item, uint64_t *weight_bytes, hr_error *err)
{
    resident *r = self;
    if (r->run_taken == r->run_count)
        return HR_END;
    ((key_item *)item)->run = r->run_taken++;
    *weight_bytes = 1;
    return HR_OK;
}

static size_t unit_at(const resident *r, int64_t row)
{
    size_t low = 0, high = r->units.count - 1;
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        if (r->units.items[middle].start <= row)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static void fill_keys(const resident *r, int64_t first, int64_t rows, hr_keyed_row *out)
{
    size_t u = unit_at(r, first);
    for (int64_t at = 0; at < rows; u++) {
        const row_unit *unit = &r->units.items[u];
        int64_t end = u + 1 < r->units.count ? unit[1].start : r->rows;
        int64_t skip = first + at - unit->start, n = HR_MIN(end - first - at, rows - at);
        for (int64_t i = 0; i < n; i++)
            out[at + i] = (hr_keyed_row){hr__row_key(&unit->keys, (uint64_t)(skip + i)),
                                         {unit->block, (uint32_t)(unit->first + skip + i)}};
        at += n;
    }
}

static hr_status keys_work(void *self, void *item, bool oldest, hr_error *err)
{
    resident *r = self;
    key_run *run = &r->runs[((key_item *)item)->run];
    int64_t first = (int64_t)((key_item *)item)->run * r->run_rows;
    int64_t rows = HR_MIN(r->run_rows, r->rows - first);
    hr_keyed_row *made = NULL, *dealt = NULL;
    hr_status status;
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_BATCH);
    if (!run->starts)
        HR_GO(hr__alloc_zero((size_t)r->parts + 1, sizeof *run->starts, &run->starts, err));
    HR_GO(hr__index_take(r->runtime, (size_t)rows * sizeof *made, &made, err));
    HR_GO(hr__index_take(r->runtime, (size_t)rows * sizeof *dealt, &dealt, err));
    fill_keys(r, first, rows, made);
    hr__keys_deal(made, (size_t)rows, r->parts, dealt, run->starts);
    run->rows = dealt;
out:
    hr__index_give(r->runtime, made);
    hr__busy_leave(mark);
    return status;
}

static hr_status keys_give(void *self, void *item, hr_error *err)
{
    return HR_OK;
}

static void keys_drop(void *self, void *item) {}

static void keys_ended(void *self, hr_status status, const hr_error *err)
{
    resident *r = self;
    hr__mutex_lock(&r->mutex);
    r->keyed = status == HR_END;
    r->status = status == HR_END ? HR_OK : status;
    r->error = *err;
    hr__mutex_unlock(&r->mutex);
    hr__flow_kick(r->sort);
}

// --- parts ---

static hr_status parts(hr_part_source *source, uint32_t *count_out, int64_t *row_bytes_out,
                       hr_error *err)
{
    resident *r = (resident *)source;
    hr__mutex_lock(&r->mutex);
    hr_status status = r->keyed ? HR_OK : r->status ? hr__error_copy(err, &r->error) : HR_AGAIN;
    hr__mutex_unlock(&r->mutex);
    HR_TRY(status);
    *count_out = r->rows ? r->parts : 0;
    *row_bytes_out = r->bytes / HR_MAX(r->rows, 1);
    return HR_OK;
}

static hr_status load(hr_part_source *source, uint32_t part, hr_sorted_part **out, hr_error *err)
{
    resident *r = (resident *)source;
    hr_keyed_row *rows = NULL, *spare = NULL;
    uint32_t *buckets = NULL;
    hr_sorted_part *made = NULL;
    size_t count = 0, at = 0;
    hr_status status;
    for (size_t i = 0; i < r->run_count; i++)
        count += r->runs[i].starts[part + 1] - r->runs[i].starts[part];
    HR_GO(hr__index_take(r->runtime, count * sizeof *rows, &rows, err));
    HR_GO(hr__index_take(r->runtime, count * sizeof *spare, &spare, err));
    HR_GO(
        hr__index_take(r->runtime, (hr__keys_buckets(count) + 1) * sizeof *buckets, &buckets, err));
    for (size_t i = 0; i < r->run_count; i++) {
        const key_run *run = &r->runs[i];
        size_t n = run->starts[part + 1] - run->starts[part];
        memcpy(rows + at, run->rows + run->starts[part], n * sizeof *rows);
        at += n;
    }
    HR_GO(hr__sorted_part_make(r->runtime, hr__rowset_ref(r->set), (int64_t)count, &made, err));
    hr__keys_sort(rows, count, r->parts, spare, buckets, made->rows);
    *out = made;
out:
    hr__index_give(r->runtime, rows);
    hr__index_give(r->runtime, spare);
    hr__index_give(r->runtime, buckets);
    return status;
}

// --- life ---

static void stop(hr_part_source *source)
{
    resident *r = (resident *)source;
    if (r->keys)
        hr__flow_stop(r->keys);
}

static void close_resident(hr_part_source *source)
{
    resident *r = (resident *)source;
    hr__flow_close(&r->keys);
    for (size_t i = 0; r->runs && i < r->run_count; i++) {
        hr__index_give(r->runtime, r->runs[i].rows);
        hr__free(r->runs[i].starts);
    }
    hr__free(r->runs);
    for (size_t i = 0; i < r->blocks.count; i++)
        hr_block_unref(&r->blocks.items[i]);
    HR_VEC_FINISH(&r->blocks);
    HR_VEC_FINISH(&r->units);
    hr__rowset_unref(&r->set);
    hr__mutex_finish(&r->mutex);
    hr__free(r);
}

hr_status hr__resident_open(const hr_shuffle_config *config, hr_flow *sort, hr_part_source **out,
                            hr_error *err)
{
    static const hr_part_source_ops ops = {
        .parts_ahead = 4, .parts = parts, .load = load, .stop = stop, .close = close_resident};
    static const hr_flow_ops keys_ops = {sizeof(key_item), keys_take, keys_work,
                                         keys_give,        keys_drop, keys_ended};
    resident *r = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *r, &r, err));
    r->base.ops = &ops;
    r->config = *config;
    r->runtime = config->inner->runtime;
    r->sort = sort;
    hr__mutex_init(&r->mutex);
    HR_GO(add_units(r, err));
    HR_GO(make_set(r, err));
    r->parts = (uint32_t)(r->rows / PART_ROWS) + 1;
    r->run_rows = HR_MAX(RUN_ROWS, 8 * (int64_t)r->parts);
    r->run_count = (size_t)((r->rows + r->run_rows - 1) / r->run_rows);
    HR_GO(hr__alloc_zero(HR_MAX(r->run_count, 1), sizeof *r->runs, &r->runs, err));
    hr_flow_config keys = {.name = "keys",
                           .level = 24,
                           .window_slots = 2 * (uint32_t)hr_runtime_threads(r->runtime),
                           .window_bytes = UINT64_MAX,
                           .busy = config->busy};
    HR_GO(hr__flow_open(r->runtime, &keys_ops, r, &keys, &r->keys, err));
    *out = &r->base;
    return HR_OK;
out:
    close_resident(&r->base);
    return status;
}
