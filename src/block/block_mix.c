// SPDX-License-Identifier: Apache-2.0
// Rows from anywhere: a permutation over rows of several blocks, written as one span.
//
// A column at a time: its output is written in order, its rows are read from where they lie. A row is named by block
// and row, 8 bytes that serve all columns; per column a small table says where each block's values begin. Narrow values
// are fetched into the cache in the order in which they lie before they are read in another: read at random from
// memory, each line costs its whole latency (14 cycles a value of 4 bytes in rounds of 16,384 rows, 8 so; 28 columns
// from zstd Parquet). Values of fixed width and strings have loops of their own; lists go row by row, as ranges do.
#include "block/wire.h"
#include "kernel/kernel.h"

#include <string.h>

typedef struct source { // a column of one block
    const uint8_t *data;
    const uint8_t *validity;
    const void *offsets;
    int64_t offset; // in bits, for validity and booleans; in values, for offsets
    int32_t shift;  // of its codes
} source;

#define LINE_BYTES      64
#define WIDE_LEAD_BYTES 256 // of a wide value; the hardware goes on from there

typedef struct range { // of a block's rows that take part; low > high: none
    uint32_t low, high;
    int64_t rows; // that do
} range;

typedef struct mix {
    hr_block *const *blocks;
    int32_t count;
    const hr_row_ref *order;
    int64_t rows;
    source *sources;
    const uint8_t **bases; // of sources: where values begin
    range *ranges;
} mix;

static void find_ranges(mix *m)
{
    for (int32_t b = 0; b < m->count; b++)
        m->ranges[b] = (range){UINT32_MAX, 0, 0};
    for (int64_t i = 0; i < m->rows; i++) {
        range *r = &m->ranges[m->order[i].block];
        r->low = HR_MIN(r->low, m->order[i].row);
        r->high = HR_MAX(r->high, m->order[i].row);
        r->rows++;
    }
}

// Of ranges that are dense enough: elsewhere most of what came would not be read.
static void fetch_values(const mix *m, size_t width)
{
    for (int32_t b = 0; b < m->count; b++) {
        const range *r = &m->ranges[b];
        if (r->rows == 0 || (int64_t)r->high - r->low >= 4 * r->rows)
            continue;
        const uint8_t *at = m->bases[b] + r->low * width;
        const uint8_t *end = m->bases[b] + ((size_t)r->high + 1) * width;
        for (; at < end; at += LINE_BYTES)
            HR_PREFETCH(at);
    }
}

// --- measuring ---

// Rows of each block, so that its part is measured as any gather is. ends[b] is where block b's part of `sorted` ends.
static void split_by_block(const hr_row_ref *order, int64_t rows, int64_t *ends, uint32_t *sorted,
                           int32_t count)
{
    for (int64_t i = 0; i < rows; i++)
        ends[order[i].block + 1]++;
    for (int32_t b = 0; b < count; b++)
        ends[b + 1] += ends[b];
    for (int64_t i = 0; i < rows; i++) // ends[b] moves from the part's start to its end
        sorted[ends[order[i].block]++] = order[i].row;
}

hr_status hr__mix_layout(const hr_schema *schema, hr_block *const *blocks, int32_t count,
                         const hr_row_ref *order, int64_t rows, hr_layout *layout, hr_error *err)
{
    int64_t *ends = NULL, begin = 0;
    uint32_t *sorted = NULL;
    hr_layout more = {0};
    hr_status status;
    bool first = true;
    HR_GO(hr__alloc_zero((size_t)count + 1, sizeof *ends, &ends, err));
    HR_GO(hr__alloc((size_t)HR_MAX(rows, 1) * sizeof *sorted, &sorted, err));
    split_by_block(order, rows, ends, sorted, count);
    for (int32_t b = 0; b < count; begin = ends[b++]) {
        if (ends[b] == begin)
            continue;
        HR_GO(hr__take_layout(blocks[b], sorted + begin, ends[b] - begin, first ? layout : &more,
                              err));
        if (!first)
            HR_GO(hr__layout_add(layout, &more, err));
        hr__layout_release(&more);
        first = false;
    }
    if (first)
        HR_GO(hr__layout_init(layout, schema, 0, err));
    status = hr__layout_finish(layout, err);
out:
    hr__layout_release(&more);
    hr__free(sorted);
    hr__free(ends);
    return status;
}

// --- appending ---

static hr_status open_sources(const mix *m, int32_t column, hr_slot *slot, hr_error *err)
{
    for (int32_t b = 0; b < m->count; b++) {
        const hr_column *c = &m->blocks[b]->columns[column];
        size_t width = hr__type_has_offsets(c->type) || c->type->id == HR_TYPE_BOOL
                           ? 0
                           : (size_t)hr_type_row_bytes(c->type);
        HR_ASSERT(c->type->id == slot->type->id && c->type->large == slot->type->large);
        m->sources[b] = (source){
            .data = c->data ? (const uint8_t *)c->data + (size_t)c->offset * width : NULL,
            .validity = c->null_count ? c->validity : NULL,
            .offsets = c->offsets,
            .offset = c->offset,
        };
        m->bases[b] = m->sources[b].data;
        if (m->ranges[b].rows > 0) // what has no part was not planned for
            HR_TRY(hr__take_append_dictionary(c, slot, &m->sources[b].shift, err));
    }
    return HR_OK;
}

static bool bit_at(const uint8_t *bits, int64_t at)
{
    return bits[at >> 3] >> (at & 7) & 1;
}

static void put_bits(const mix *m, uint8_t *to, bool validity)
{
    for (int64_t at = 0; at < m->rows; at += 8) {
        uint8_t byte = 0;
        for (int64_t i = at; i < HR_MIN(at + 8, m->rows); i++) {
            const source *s = &m->sources[m->order[i].block];
            const uint8_t *bits = validity ? s->validity : s->data;
            bool set = !bits || bit_at(bits, s->offset + m->order[i].row);
            byte |= (uint8_t)(set << (i - at));
        }
        to[at >> 3] = byte;
    }
}

static hr_status mix_validity(const mix *m, hr_slot *slot, hr_error *err)
{
    if (slot->validity) {
        put_bits(m, slot->validity, true);
        slot->null_count =
            m->rows - (int64_t)hr__kernels()->bits.count(slot->validity, 0, (size_t)m->rows);
        return HR_OK;
    }
    for (int64_t i = 0; i < m->rows; i++) {
        const source *s = &m->sources[m->order[i].block];
        if (s->validity && !bit_at(s->validity, s->offset + m->order[i].row))
            return HR_FAIL(err, HR_INVALID, "a null where the plan has no room for nulls");
    }
    return HR_OK;
}

static bool any_validity(const mix *m)
{
    for (int32_t b = 0; b < m->count; b++)
        if (m->sources[b].validity)
            return true;
    return false;
}

#define MIX_VALUES(type)                                                                           \
    do {                                                                                           \
        type *restrict to = slot->data;                                                            \
        for (int64_t i = 0; i < m->rows; i++) {                                                    \
            hr_row_ref at = m->order[i];                                                           \
            memcpy(&to[i], bases[at.block] + (size_t)at.row * sizeof(type), sizeof(type));         \
        }                                                                                          \
    } while (0)

static void mix_values(const mix *m, hr_slot *slot, size_t width)
{
    uint8_t *out = slot->data;
    const uint8_t *const *restrict bases = m->bases;
    if (width < LINE_BYTES)
        fetch_values(m, width);
    switch (width) {
    case 1:
        MIX_VALUES(uint8_t);
        return;
    case 2:
        MIX_VALUES(uint16_t);
        return;
    case 4:
        MIX_VALUES(uint32_t);
        return;
    case 8:
        MIX_VALUES(uint64_t);
        return;
    default:
        for (int64_t i = 0; i < m->rows; i++, out += width) {
            hr_row_ref next = m->order[HR_MIN(i + 1, m->rows - 1)];
            for (size_t at = 0; at < HR_MIN(width, (size_t)WIDE_LEAD_BYTES); at += LINE_BYTES)
                HR_PREFETCH(bases[next.block] + next.row * width + at);
            memcpy(out, bases[m->order[i].block] + m->order[i].row * width, width);
        }
    }
}

static void shift_codes(const mix *m, hr_slot *slot)
{
    int32_t *codes = slot->data;
    bool any = false;
    for (int32_t b = 0; b < m->count; b++)
        any |= m->sources[b].shift != 0;
    for (int64_t i = 0; any && i < m->rows; i++)
        codes[i] += m->sources[m->order[i].block].shift;
}

static int64_t offset_at(const source *s, bool large, int64_t row)
{
    return large ? ((const int64_t *)s->offsets)[s->offset + row]
                 : ((const int32_t *)s->offsets)[s->offset + row];
}

static hr_status mix_strings(const mix *m, hr_slot *slot, hr_error *err)
{
    bool large = slot->type->large;
    int64_t end = 0;
    for (int64_t i = 0; i < m->rows; i++) {
        const source *s = &m->sources[m->order[i].block];
        int64_t begin = offset_at(s, large, m->order[i].row);
        int64_t bytes = offset_at(s, large, m->order[i].row + 1ll) - begin;
        if (bytes < 0 || bytes > slot->data_bytes - end)
            return HR_FAIL(err, HR_CORRUPT, "strings are longer than was planned");
        if (bytes)
            memcpy((uint8_t *)slot->data + end, s->data + begin, (size_t)bytes);
        end += bytes;
        if (large)
            ((int64_t *)slot->offsets)[i + 1] = end;
        else
            ((int32_t *)slot->offsets)[i + 1] = (int32_t)end; // the layout saw to it that it fits
    }
    return HR_OK;
}

static hr_status mix_column(const mix *m, int32_t column, hr_slot *slot, hr_error *err)
{
    hr_type_id id = slot->type->id;
    HR_TRY(open_sources(m, column, slot, err));
    if (id == HR_TYPE_NULL)
        return HR_OK;
    if (hr__type_has_offsets(slot->type) && slot->child) { // lists
        for (int64_t i = 0; i < m->rows; i++) {
            int32_t b = (int32_t)m->order[i].block;
            HR_TRY(hr__take_append_row(&m->blocks[b]->columns[column], m->order[i].row, slot, i,
                                       m->sources[b].shift, err));
        }
        return HR_OK;
    }
    if (slot->validity || any_validity(m))
        HR_TRY(mix_validity(m, slot, err));
    if (hr__type_has_offsets(slot->type))
        return mix_strings(m, slot, err);
    if (id == HR_TYPE_BOOL)
        put_bits(m, slot->data, false);
    else
        mix_values(m, slot, (size_t)hr_type_row_bytes(slot->type));
    if (id == HR_TYPE_DICTIONARY)
        shift_codes(m, slot);
    return HR_OK;
}

hr_status hr__mix_append(hr_block *const *blocks, int32_t count, const hr_row_ref *order,
                         int64_t rows, hr_builder *builder, hr_error *err)
{
    mix m = {.blocks = blocks, .count = count, .order = order, .rows = rows};
    hr_status status;
    HR_ASSERT(rows <= builder->layout->rows);
    size_t room = (size_t)HR_MAX(count, 1);
    HR_GO(hr__alloc_zero(room, sizeof *m.sources, &m.sources, err));
    HR_GO(hr__alloc_zero(room, sizeof *m.bases, &m.bases, err));
    HR_GO(hr__alloc_zero(room, sizeof *m.ranges, &m.ranges, err));
    find_ranges(&m);
    for (int32_t i = 0; i < builder->layout->column_count; i++)
        HR_GO(mix_column(&m, i, &builder->slots[i], err));
out:
    hr__free(m.ranges);
    hr__free(m.bases);
    hr__free(m.sources);
    return status;
}
