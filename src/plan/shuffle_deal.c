// SPDX-License-Identifier: Apache-2.0
// Dealing: rows of some sources, each to the part that its key names; a part's rows become one object.
//
//   prepare   a source at a time: its block, its keys, and its row numbers in the order of parts (a counting sort)
//   gather    a part at a time: the rows of that part from all sources, in plan order, with their keys
//
// What was made is kept when there is no room, and the next call goes on from there.
#include "plan/shuffle_exchange.h"
#include <string.h>

struct hr_dealt {
    hr_block *block; // of the keyed schema
    uint64_t *keys;  // NULL: they are the block's own
    uint32_t *order;
    uint32_t *starts;
};

// --- a source ---

static void release_block(void *owner)
{
    hr_block *block = owner;
    hr_block_unref(&block);
}

static hr_status open_source(const hr_exchange *x, const hr_deal_source *s, hr_block **out,
                             hr_error *err)
{
    hr_block *whole = NULL;
    HR_TRY(hr__store_block(hr__runtime_store(x->runtime), s->object,
                           s->keyed ? x->keyed : x->config.schema, &whole, err));
    hr_status status = hr_block_slice(whole, s->first, s->rows, out, err);
    hr_block_unref(&whole);
    return status;
}

// The block with the keys as one more column.
static hr_status add_keys(const hr_exchange *x, const hr_deal_source *s, hr_dealt *d, hr_error *err)
{
    hr_row_keys keys = hr__row_keys(x->config.seed, HR_RNG_GLOBAL, x->config.epoch, s->unit);
    int32_t count = d->block->column_count;
    hr_column *columns;
    hr_block *keyed = NULL;
    HR_TRY(hr__index_take(x->runtime, (size_t)s->rows * sizeof *d->keys, &d->keys, err));
    for (int64_t i = 0; i < s->rows; i++)
        d->keys[i] = hr__row_key(&keys, (uint64_t)(s->unit_row + i));
    HR_TRY(hr__alloc_zero((size_t)count + 1, sizeof *columns, &columns, err));
    memcpy(columns, d->block->columns, (size_t)count * sizeof *columns);
    columns[count] =
        (hr_column){.type = hr__type_primitive(HR_TYPE_UINT64), .rows = s->rows, .data = d->keys};
    hr_status status =
        hr__block_make(x->keyed, s->rows, columns, release_block, d->block, &keyed, err);
    hr__free(columns);
    if (status == HR_OK)
        d->block = keyed;
    return status;
}

static uint32_t part_of(uint64_t key, const hr_deal *deal)
{
    return hr__key_part(deal->span ? key * deal->span : key, deal->part_count);
}

static void order_rows(const hr_deal *deal, const uint64_t *keys, int64_t rows, hr_dealt *d)
{
    uint32_t *starts = d->starts, at = 0;
    for (int64_t i = 0; i < rows; i++)
        starts[part_of(keys[i], deal) + 1]++;
    // starts[p + 1] is where p begins; dealing its rows moves it to where p ends.
    for (uint32_t p = 0; p < deal->part_count; p++) {
        uint32_t count = starts[p + 1];
        starts[p + 1] = at;
        at += count;
    }
    for (int64_t i = 0; i < rows; i++)
        d->order[starts[part_of(keys[i], deal) + 1]++] = (uint32_t)i;
}

static hr_status prepare(hr_deal *deal, const hr_deal_source *s, hr_dealt *d, hr_error *err)
{
    hr_exchange *x = deal->exchange;
    HR_TRY(open_source(x, s, &d->block, err));
    if (!s->keyed)
        HR_TRY(add_keys(x, s, d, err));
    HR_TRY(hr__index_take(x->runtime, (size_t)s->rows * sizeof *d->order, &d->order, err));
    HR_TRY(hr__alloc_zero((size_t)deal->part_count + 1, sizeof *d->starts, &d->starts, err));
    const hr_column *c = &d->block->columns[d->block->column_count - 1];
    order_rows(deal, (const uint64_t *)c->data + c->offset, s->rows, d);
    return HR_OK;
}

static void drop_dealt(hr_dealt *d, hr_runtime *rt)
{
    hr_block_unref(&d->block);
    hr__index_give(rt, d->keys);
    hr__index_give(rt, d->order);
    hr__free(d->starts);
    memset(d, 0, sizeof *d);
}

// --- a part ---

static hr_status gather_part(hr_deal *deal, uint32_t part, bool oldest, hr_error *err)
{
    hr_exchange *x = deal->exchange;
    hr_target target = {x->runtime, HR_PLACE_ARENA, oldest, x->config.share, NULL};
    hr_gather_piece *pieces;
    hr_result made = {0};
    int32_t count = 0;
    hr_status status = HR_OK;
    HR_TRY(hr__alloc_zero(HR_MAX(deal->dealt_count, 1), sizeof *pieces, &pieces, err));
    for (size_t i = 0; i < deal->dealt_count; i++) {
        const hr_dealt *d = &deal->dealt[i];
        int64_t rows = (int64_t)d->starts[part + 1] - d->starts[part];
        if (rows)
            pieces[count++] = (hr_gather_piece){d->block, d->order + d->starts[part], rows};
    }
    if (count)
        status = hr__gather(x->keyed, pieces, count, &target, &made, err);
    hr__free(pieces);
    HR_TRY(status);
    deal->objects[part] = made.object;
    deal->bytes[part] = made.bytes;
    return HR_OK;
}

hr_status hr__deal_run(hr_deal *deal, uint32_t first_part, bool oldest, hr_error *err)
{
    if (!deal->dealt)
        HR_TRY(
            hr__alloc_zero(HR_MAX(deal->source_count, 1), sizeof *deal->dealt, &deal->dealt, err));
    if (!deal->objects)
        HR_TRY(hr__alloc_zero(deal->part_count, sizeof *deal->objects, &deal->objects, err));
    if (!deal->bytes)
        HR_TRY(hr__alloc_zero(deal->part_count, sizeof *deal->bytes, &deal->bytes, err));
    for (; deal->dealt_count < deal->source_count; deal->dealt_count++) {
        hr_dealt *d = &deal->dealt[deal->dealt_count];
        hr_status status = prepare(deal, &deal->sources[deal->dealt_count], d, err);
        if (status != HR_OK) {
            drop_dealt(d, deal->exchange->runtime);
            return status;
        }
    }
    while (deal->made < deal->part_count) {
        if (oldest)
            HR_TRY(hr__deal_keep(deal, first_part, err));
        HR_TRY(gather_part(deal, deal->made, oldest, err));
        deal->made++;
    }
    for (size_t i = 0; i < deal->dealt_count; i++) // what is dealt makes room
        drop_dealt(&deal->dealt[i], deal->exchange->runtime);
    return HR_OK;
}

hr_status hr__deal_keep(hr_deal *deal, uint32_t first_part, hr_error *err)
{
    for (; deal->kept < deal->made; deal->kept++) {
        hr_exchange_part *part = &deal->exchange->parts[first_part + deal->kept];
        hr_object_id object = deal->objects[deal->kept];
        if (!object)
            continue;
        deal->objects[deal->kept] = 0; // taken, also on failure
        HR_TRY(hr__series_add(part->series, object, err));
        part->bytes += deal->bytes[deal->kept];
    }
    return HR_OK;
}

void hr__deal_finish(hr_deal *deal, hr_runtime *runtime)
{
    hr_store *store = hr__runtime_store(runtime);
    for (size_t i = 0; deal->dealt && i < deal->source_count; i++)
        drop_dealt(&deal->dealt[i], runtime);
    hr__free(deal->dealt);
    for (size_t i = 0; i < deal->source_count; i++)
        hr__store_unref(store, deal->sources[i].object);
    hr__free(deal->sources);
    for (uint32_t p = 0; deal->objects && p < deal->part_count; p++)
        hr__store_unref(store, deal->objects[p]);
    hr__free(deal->objects);
    hr__free(deal->bytes);
    *deal = (hr_deal){0};
}
