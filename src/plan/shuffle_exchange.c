// SPDX-License-Identifier: Apache-2.0
// The order of rows that are not in memory, or not all: two passes through the store.
//
//   pass 1   read flow -> pieces -> [deal: a chunk of pieces each] -> an object a chunk and part, with keys
//   pass 2   part after part: its objects are restored (ahead, by a cursor), sorted by key, gathered in units, dropped
//
// Each part is a series of the store, so what does not fit the budget is on disk, the parts needed last first. An
// object holds rows in plan order and one more column, their keys: nothing else about a row is remembered. Parts are
// made small against the arena from what the first chunk shows of the rows' sizes; how many there are does not enter
// into the order. A part that turns out too large all the same is dealt again by the bits below (shuffle_deal.c does
// both).
#include "plan/shuffle_exchange.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define TASK_BYTES     (2ll << 20)
#define PARTS_MAX      4096
#define CHUNK_SHARE    16 // of the arena: two are dealt at once while a third is read
#define PART_SHARE     10 // of the arena: one is given on while the next is restored
#define PART_SHARE_MAX 4  // larger ones are dealt again

// --- pass 1: pieces in order ---

static hr_status put_piece(void *self, hr_piece *piece, hr_error *err)
{
    hr_exchange *x = self;
    hr_status status = HR_OK;
    if (piece->epoch_end)
        return HR_OK;
    hr__mutex_lock(&x->mutex);
    if (piece->unit != x->unit) {
        x->unit = piece->unit;
        x->unit_row = 0;
    }
    // Units of inner runs are cut by memory: their rows are numbered through.
    hr_deal_source source = {
        .object = piece->object,
        .first = piece->first,
        .rows = piece->rows,
        .unit = x->numbered_through ? 0 : (uint64_t)piece->unit,
        .unit_row = x->numbered_through ? piece->start.order_row : x->unit_row,
    };
    if (x->pieces_bytes >= 2 * x->chunk_bytes) {
        x->put_blocked = true;
        status = HR_AGAIN;
    } else {
        status = HR_VEC_PUSH(&x->pieces, source, err);
    }
    if (status == HR_OK)
        x->pieces_bytes += piece->bytes;
    bool enough = x->pieces_bytes >= x->chunk_bytes;
    hr__mutex_unlock(&x->mutex);
    if (status != HR_OK)
        return status;
    x->unit_row += piece->rows;
    if (enough)
        hr__flow_kick(x->deal);
    return HR_OK;
}

static void read_ended(void *self, hr_status status, const hr_error *err)
{
    hr_exchange *x = self;
    hr__mutex_lock(&x->mutex);
    x->read_over = true;
    x->read_status = status;
    x->error = *err;
    hr__mutex_unlock(&x->mutex);
    hr__flow_kick(x->deal);
}

// What is dealt makes room, so it goes first; only where nothing is may the next piece use the reserve.
static bool hungry(void *self)
{
    hr_exchange *x = self;
    return atomic_load(&x->dealing) == 0;
}

static void kick_read(hr_exchange *x)
{
    hr__mutex_lock(&x->mutex);
    hr_read_flow *read = x->stopping ? NULL : x->read;
    hr__mutex_unlock(&x->mutex);
    if (read)
        hr__read_kick(read);
}

// --- pass 1: how many parts ---

hr_status hr__exchange_insert_parts(hr_exchange *x, uint32_t at, uint32_t count, uint64_t span,
                                    hr_error *err)
{
    hr_exchange_part *made;
    hr_status status = HR_OK;
    HR_TRY(hr__alloc_zero(count, sizeof *made, &made, err));
    for (uint32_t p = 0; status == HR_OK && p < count; p++) {
        made[p].span = span;
        status = hr__series_open(hr__runtime_store(x->runtime), &made[p].series, err);
    }
    if (status == HR_OK)
        status =
            hr__vec_reserve(&x->parts, x->part_count, &x->part_room, count, sizeof *x->parts, err);
    if (status == HR_OK) {
        memmove(x->parts + at + count, x->parts + at, (x->part_count - at) * sizeof *x->parts);
        memcpy(x->parts + at, made, count * sizeof *made);
        x->part_count += count;
    }
    for (uint32_t p = 0; status != HR_OK && p < count; p++)
        hr__series_close(&made[p].series);
    hr__free(made);
    return status;
}

// From the first chunk: what came of as many units; and what the footers say of all.
static hr_status choose_parts(hr_exchange *x, int64_t units_seen, bool is_all, int64_t rows,
                              int64_t bytes, hr_error *err)
{
    int64_t units = 0, decoded = 0;
    double arena = (double)hr__runtime_arena_bytes(x->runtime);
    HR_TRY(hr__pipe_count_units(x->config.inner, &units, &decoded, err));
    double seen = (double)bytes / (double)HR_MAX(units_seen, 1) * (double)units;
    double all = HR_MAX(seen, (double)decoded) + 8.0 * (double)rows;
    double parts = is_all ? (double)bytes / arena * PART_SHARE : all / arena * PART_SHARE;
    uint32_t count = (uint32_t)HR_MIN(HR_MAX(parts + 1, 1), PARTS_MAX);
    if (x->config.partitions)
        count = x->config.partitions;
    x->row_bytes = bytes / HR_MAX(rows, 1);
    return hr__exchange_insert_parts(x, 0, count, count, err);
}

// --- pass 1: dealing ---

static hr_status deal_take(void *self, void *item, uint64_t *weight_bytes, hr_error *err)
{
    hr_exchange *x = self;
    hr_deal *d = item;
    int64_t rows = 0, bytes = 0;
    hr_status status = HR_OK;
    hr__mutex_lock(&x->mutex);
    if (!x->read_over && x->pieces_bytes < x->chunk_bytes)
        status = HR_AGAIN;
    else if (!x->pieces.count)
        status = x->read_status == HR_END ? HR_END : hr__error_copy(err, &x->error);
    if (status == HR_OK) {
        d->sources = x->pieces.items; // all of them: at most two chunks
        d->source_count = x->pieces.count;
        bytes = x->pieces_bytes;
        memset(&x->pieces, 0, sizeof x->pieces);
        x->pieces_bytes = 0;
        atomic_fetch_add(&x->dealing, 1);
        d->counted = true;
    }
    bool kick = x->put_blocked, is_all = x->read_over;
    int64_t units_seen = x->unit + 1;
    x->put_blocked = false;
    hr__mutex_unlock(&x->mutex);
    if (kick)
        kick_read(x);
    HR_TRY(status);
    for (size_t i = 0; i < d->source_count; i++)
        rows += d->sources[i].rows;
    if (!x->part_count)
        HR_TRY(choose_parts(x, units_seen, is_all, rows, bytes, err));
    d->exchange = x;
    d->part_count = x->part_count;
    *weight_bytes = (uint64_t)bytes;
    return HR_OK;
}

static hr_status deal_work(void *self, void *item, bool oldest, hr_error *err)
{
    return hr__deal_run(item, 0, oldest, err);
}

static hr_status deal_give(void *self, void *item, hr_error *err)
{
    hr_exchange *x = self;
    HR_TRY(hr__store_spill_error(hr__runtime_store(x->runtime), err));
    HR_TRY(hr__deal_keep(item, 0, err));
    return HR_OK;
}

static void deal_drop(void *self, void *item)
{
    hr_exchange *x = self;
    hr_deal *d = item;
    bool counted = d->counted;
    hr__deal_finish(d, x->runtime);
    if (counted && atomic_fetch_sub(&x->dealing, 1) == 1)
        kick_read(x);
}

static void deal_ended(void *self, hr_status status, const hr_error *err)
{
    hr_exchange *x = self;
    hr__mutex_lock(&x->mutex);
    x->dealt = status == HR_END;
    x->status = status == HR_END ? HR_OK : status;
    if (status != HR_END)
        x->error = *err;
    hr__mutex_unlock(&x->mutex);
    hr__flow_kick(x->sort);
}

// --- pass 2 ---

static hr_status parts(hr_part_source *source, uint32_t *count_out, int64_t *row_bytes_out,
                       hr_error *err)
{
    hr_exchange *x = (hr_exchange *)source;
    hr__mutex_lock(&x->mutex);
    hr_status status = x->dealt ? HR_OK : x->status ? hr__error_copy(err, &x->error) : HR_AGAIN;
    hr__mutex_unlock(&x->mutex);
    HR_TRY(status);
    *count_out = x->part_count;
    *row_bytes_out = x->row_bytes;
    return HR_OK;
}

// Parts are needed one after the other from this one on: who is on disk comes back in time, who is far leaves first.
static hr_status move_to(hr_exchange *x, uint32_t part, hr_error *err)
{
    uint64_t distance = 0;
    for (uint32_t p = part; p < x->part_count; p++) {
        hr__series_set_distance(x->parts[p].series, distance);
        distance += hr__series_count(x->parts[p].series);
    }
    for (uint32_t p = part; p < HR_MIN(part + 2, x->part_count); p++)
        if (!x->parts[p].cursor)
            HR_TRY(hr__series_cursor_open(x->parts[p].series, false, &x->parts[p].cursor, err));
    return HR_OK;
}

// Pins the part's objects. HR_AGAIN keeps those that are there.
static hr_status pin_part(hr_exchange *x, uint32_t part, hr_error *err)
{
    hr_store *store = hr__runtime_store(x->runtime);
    hr_series *series = x->parts[part].series;
    size_t count = hr__series_count(series);
    HR_TRY(hr__store_spill_error(store, err));
    HR_TRY(HR_VEC_RESERVE(&x->blocks, count - x->blocks.count, err));
    while (x->blocks.count < count) {
        hr_block *block;
        HR_TRY(
            hr__store_block(store, hr__series_at(series, x->blocks.count), x->keyed, &block, err));
        x->blocks.items[x->blocks.count++] = block;
    }
    return HR_OK;
}

static hr_status make_set(hr_exchange *x, hr_rowset **out, hr_error *err)
{
    const int32_t *sources = NULL;
    const bool *in_predicate;
    hr_schema *narrow = NULL;
    if (x->config.program) {
        int32_t count = hr__program_sources(x->config.program, &sources, &in_predicate);
        HR_TRY(hr__schema_project(x->config.schema, sources, NULL, count, &narrow, err));
    }
    hr_block **blocks = x->blocks.items;
    uint32_t count = (uint32_t)x->blocks.count;
    memset(&x->blocks, 0, sizeof x->blocks);
    hr_status status =
        hr__rowset_make(narrow ? narrow : x->config.schema, sources, blocks, count, out, err);
    hr_schema_unref(&narrow);
    return status;
}

static void enter_rows(const hr_exchange *x, hr_block *const *blocks, uint32_t count,
                       hr_keyed_row *rows)
{
    int32_t key = hr_schema_count(x->config.schema);
    size_t at = 0;
    for (uint32_t b = 0; b < count; b++) {
        const hr_column *c = hr_block_column(blocks[b], key);
        const uint64_t *keys = (const uint64_t *)c->data + c->offset;
        for (int64_t i = 0; i < c->rows; i++)
            rows[at++] = (hr_keyed_row){keys[i], {b, (uint32_t)i}};
    }
}

static hr_status sort_blocks(hr_exchange *x, uint32_t span, hr_sorted_part **out, hr_error *err)
{
    hr_keyed_row *rows = NULL, *spare = NULL;
    uint32_t *buckets = NULL;
    hr_rowset *set = NULL;
    hr_sorted_part *made = NULL;
    size_t count = 0;
    hr_status status;
    for (size_t b = 0; b < x->blocks.count; b++)
        count += (size_t)hr_block_rows(x->blocks.items[b]);
    HR_GO(hr__index_take(x->runtime, (count + 1) * sizeof *rows, &rows, err));
    HR_GO(hr__index_take(x->runtime, (count + 1) * sizeof *spare, &spare, err));
    HR_GO(
        hr__index_take(x->runtime, (hr__keys_buckets(count) + 1) * sizeof *buckets, &buckets, err));
    enter_rows(x, x->blocks.items, (uint32_t)x->blocks.count, rows);
    HR_GO(make_set(x, &set, err));
    HR_GO(hr__sorted_part_make(x->runtime, set, (int64_t)count, &made, err));
    hr__keys_sort(rows, count, span, spare, buckets, made->rows);
    *out = made;
out:
    hr__index_give(x->runtime, rows);
    hr__index_give(x->runtime, spare);
    hr__index_give(x->runtime, buckets);
    return status;
}

// --- a part that is too large ---

static bool is_too_large(const hr_exchange *x, uint32_t part)
{
    uint64_t most = hr__runtime_arena_bytes(x->runtime) / PART_SHARE_MAX;
    return (uint64_t)x->parts[part].bytes > most && x->parts[part].span < UINT64_MAX / PARTS_MAX;
}

static hr_status open_again(hr_exchange *x, uint32_t part, hr_error *err)
{
    double arena = (double)hr__runtime_arena_bytes(x->runtime);
    uint32_t count = (uint32_t)((double)x->parts[part].bytes / arena * PART_SHARE) + 1;
    count = HR_MAX(2, HR_MIN(count, PARTS_MAX));
    HR_TRY(hr__exchange_insert_parts(x, part + 1, count, x->parts[part].span * count, err));
    x->again_count = count;
    x->again_at = 0;
    return HR_OK;
}

// The part's next object, to be dealt alone.
static hr_status next_again(hr_exchange *x, const hr_exchange_part *part, hr_error *err)
{
    hr_store *store = hr__runtime_store(x->runtime);
    hr_object_id object = hr__series_at(part->series, x->again_at);
    const uint8_t *memory;
    size_t bytes;
    int64_t rows;
    HR_TRY(hr__store_pin(store, object, &memory, &bytes, err));
    hr_status status = hr__span_peek(memory, bytes, &rows, &bytes, err);
    hr__store_unpin(store, object);
    HR_TRY(status);
    x->again = (hr_deal){.exchange = x, .part_count = x->again_count, .span = part->span};
    HR_TRY(hr__alloc_zero(1, sizeof *x->again.sources, &x->again.sources, err));
    hr__store_ref(store, object);
    x->again.sources[0] = (hr_deal_source){.object = object, .rows = rows, .keyed = true};
    x->again.source_count = 1;
    return HR_OK;
}

static void drop_part(hr_exchange *x, uint32_t part)
{
    hr__series_cursor_close(&x->parts[part].cursor);
    hr__series_close(&x->parts[part].series);
}

// Deals the part's objects to new parts behind it, the first of which then has its place.
static hr_status deal_again(hr_exchange *x, uint32_t part, hr_error *err)
{
    if (!x->again_count)
        HR_TRY(open_again(x, part, err));
    for (size_t count = hr__series_count(x->parts[part].series); x->again_at < count;
         x->again_at++) {
        HR_TRY(hr__store_spill_error(hr__runtime_store(x->runtime), err));
        if (!x->again.source_count)
            HR_TRY(next_again(x, &x->parts[part], err));
        HR_TRY(hr__deal_run(&x->again, part + 1, true, err));
        HR_TRY(hr__deal_keep(&x->again, part + 1, err));
        hr__deal_finish(&x->again, x->runtime);
    }
    drop_part(x, part);
    x->part_count--;
    memmove(x->parts + part, x->parts + part + 1, (x->part_count - part) * sizeof *x->parts);
    x->again_count = 0;
    return HR_OK;
}

static hr_status load(hr_part_source *source, uint32_t part, hr_sorted_part **out, hr_error *err)
{
    hr_exchange *x = (hr_exchange *)source;
    while (is_too_large(x, part))
        HR_TRY(deal_again(x, part, err));
    if (!x->blocks.count)
        HR_TRY(move_to(x, part, err));
    HR_TRY(pin_part(x, part, err));
    HR_TRY(sort_blocks(x, x->parts[part].span, out, err));
    drop_part(x, part); // its objects go when the last row was taken
    return HR_OK;
}

// --- life ---

static void stop(hr_part_source *source)
{
    hr_exchange *x = (hr_exchange *)source;
    hr__mutex_lock(&x->mutex);
    x->stopping = true; // nobody kicks the reader any more
    hr__mutex_unlock(&x->mutex);
    if (x->deal)
        hr__flow_stop(x->deal);
    hr__read_close(&x->read);
}

static void close_exchange(hr_part_source *source)
{
    hr_exchange *x = (hr_exchange *)source;
    hr__flow_close(&x->deal);
    for (size_t i = 0; i < x->pieces.count; i++)
        hr__store_unref(hr__runtime_store(x->runtime), x->pieces.items[i].object);
    HR_VEC_FINISH(&x->pieces);
    hr__deal_finish(&x->again, x->runtime);
    for (size_t i = 0; i < x->blocks.count; i++)
        hr_block_unref(&x->blocks.items[i]);
    HR_VEC_FINISH(&x->blocks);
    for (uint32_t p = 0; p < x->part_count; p++)
        drop_part(x, p);
    hr__free(x->parts);
    hr_schema_unref(&x->keyed);
    hr__mutex_finish(&x->mutex);
    hr__free(x);
}

// The rows' schema and a column of keys, under a name that no other has.
static hr_status make_keyed(const hr_schema *schema, hr_schema **out, hr_error *err)
{
    int32_t count = hr_schema_count(schema);
    char name[32] = "key";
    hr_field *fields = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero((size_t)count + 1, sizeof *fields, &fields, err));
    for (int i = 1; hr_schema_find(schema, name) >= 0; i++)
        (void)snprintf(name, sizeof name, "key%d", i);
    for (int32_t i = 0; i < count; i++)
        fields[i] = *hr_schema_field(schema, i);
    fields[count] = (hr_field){name, hr__type_primitive(HR_TYPE_UINT64), false};
    status = hr_schema_make(fields, count + 1, out, err);
    hr__free(fields);
    return status;
}

static hr_status open_read(hr_exchange *x, hr_error *err)
{
    uint32_t threads = (uint32_t)hr_runtime_threads(x->runtime);
    hr_read_config config = {
        .pipe = x->config.inner,
        .share = x->config.share,
        .place = HR_PLACE_ARENA,
        .first_epoch = x->config.epoch,
        .epochs = 1,
        .task_bytes = TASK_BYTES,
        .task_bytes_max = HR_MIN(TASK_BYTES, x->chunk_bytes),
        .window_slots = 4 * threads,
        .window_bytes = (uint64_t)x->chunk_bytes,
        .level = 30,
        .busy = x->config.busy,
    };
    hr_piece_sink sink = {.put = put_piece, .ended = read_ended, .hungry = hungry, .self = x};
    hr_read_flow *read;
    HR_TRY(hr__read_open(&config, &sink, &read, err));
    hr__mutex_lock(&x->mutex);
    x->read = read;
    hr__mutex_unlock(&x->mutex);
    hr__read_kick(read);
    return HR_OK;
}

hr_status hr__exchange_open(const hr_shuffle_config *config, hr_flow *sort, hr_part_source **out,
                            hr_error *err)
{
    static const hr_part_source_ops ops = {.parts_ahead = 1,
                                           .one_by_one = true,
                                           .parts = parts,
                                           .load = load,
                                           .stop = stop,
                                           .close = close_exchange};
    static const hr_flow_ops deal_ops = {sizeof(hr_deal), deal_take, deal_work,
                                         deal_give,       deal_drop, deal_ended};
    hr_exchange *x = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *x, &x, err));
    x->base.ops = &ops;
    x->config = *config;
    x->runtime = config->inner->runtime;
    x->sort = sort;
    x->unit = -1;
    x->numbered_through = hr__pipe_has_inner(config->inner);
    x->chunk_bytes = (int64_t)(hr__runtime_arena_bytes(x->runtime) / CHUNK_SHARE);
    hr__mutex_init(&x->mutex);
    HR_GO(make_keyed(config->schema, &x->keyed, err));
    hr_flow_config deal = {.name = "deal",
                           .level = 25,
                           .window_slots = 2,
                           .window_bytes = UINT64_MAX,
                           .busy = config->busy};
    HR_GO(hr__flow_open(x->runtime, &deal_ops, x, &deal, &x->deal, err));
    HR_GO(open_read(x, err));
    *out = &x->base;
    return HR_OK;
out:
    stop(&x->base);
    close_exchange(&x->base);
    return status;
}
