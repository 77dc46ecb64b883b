// SPDX-License-Identifier: Apache-2.0
// Rows from anywhere: a permutation over rows of several blocks, written as one span.
//
// A column at a time: its output is written in order, its rows are read from where they lie. A row is named by block
// and row, 8 bytes that serve all columns; per column a small table says where each block's values begin. Narrow values
// are fetched into the cache in the order in which they lie, while the column before is written: read at random from
// memory, each line costs its whole latency. Values of fixed width and strings have loops of their own; lists go row by
// row, as ranges do.
#include "block/wire.h"
#include "kernel/kernel.h"

#include <string.h>

typedef struct source { // a column of one block
    const uint8_t *data;
    const uint8_t *validity;
    const void *offsets; // of row 0
    int64_t data_bytes;  // strings: where the last one ends
    int64_t offset;      // in bits, for validity and booleans
    int32_t shift;       // of its codes
} source;

#define LINE_BYTES      64
#define SHORT_BYTES     16
#define WIDE_LEAD_BYTES 256 // of a wide value; the hardware goes on from there

typedef struct range { // of a block's rows that take part; low > high: none
    uint32_t low, high;
    int64_t rows; // that do
} range;

#define STEP_ROWS 64 // between two looks at what is to be fetched

typedef struct stretch { // of memory to fetch
    const uint8_t *at, *end;
} stretch;

// What the next column will read, fetched a few lines at a time.
typedef struct fetcher {
    stretch *stretches; // two for each block
    int32_t count, next;
    size_t lines_a_step;
} fetcher;

typedef struct mix {
    hr_block *const *blocks;
    int32_t count;
    const hr_row_ref *order;
    int64_t rows;
    int32_t column_count;
    source *sources;
    const uint8_t **bases; // of sources: where values begin
    range *ranges;
    fetcher *fetch;
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

static void fetch_stretch(fetcher *f, const uint8_t *at, const uint8_t *end, size_t *bytes)
{
    if (at < end) {
        f->stretches[f->count++] = (stretch){at, end};
        *bytes += (size_t)(end - at);
    }
}

// Ranges that are dense enough: elsewhere most of what came would not be read. Wide values fetch for themselves.
static void plan_fetch(const mix *m, int32_t column)
{
    fetcher *f = m->fetch;
    size_t bytes = 0;
    f->count = f->next = 0;
    if (column == m->column_count)
        return;
    for (int32_t b = 0; b < m->count; b++) {
        const range *r = &m->ranges[b];
        const hr_column *c = &m->blocks[b]->columns[column];
        if (r->rows == 0 || (int64_t)r->high - r->low >= 4 * r->rows || !c->data)
            continue;
        bool strings = hr__type_has_offsets(c->type);
        size_t width = strings ? (c->type->large ? 8 : 4) : (size_t)hr_type_row_bytes(c->type);
        const uint8_t *values = strings ? c->offsets : c->data;
        if (c->child || width >= LINE_BYTES || c->type->id == HR_TYPE_BOOL)
            continue;
        values += (size_t)c->offset * width;
        fetch_stretch(f, values + r->low * width, values + ((size_t)r->high + 1) * width, &bytes);
        if (strings) {
            const uint8_t *data = c->data;
            fetch_stretch(f, data + hr__column_offset(c, r->low),
                          data + hr__column_offset(c, r->high + 1ll), &bytes);
        }
    }
    f->lines_a_step = bytes / LINE_BYTES * STEP_ROWS / (size_t)HR_MAX(m->rows, 1) + 1;
}

static void fetch_lines(fetcher *f)
{
    for (size_t n = f->lines_a_step; n > 0 && f->next < f->count; n--) {
        stretch *s = &f->stretches[f->next];
        HR_PREFETCH(s->at);
        s->at += LINE_BYTES;
        if (s->at >= s->end)
            f->next++;
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

static bool has_strings(const hr_column *c)
{
    return c->offsets && !c->child && c->rows > 0;
}

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
            .offsets = c->offsets ? (const uint8_t *)c->offsets +
                                        (size_t)c->offset * (c->type->large ? 8 : 4)
                                  : NULL,
            .data_bytes = has_strings(c) ? hr__column_offset(c, c->rows) : 0,
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

// Bits of validity (a source without: all set) or of values.
static void put_bits(const mix *m, uint8_t *to, bool validity)
{
    static const uint8_t set[1] = {0xff};
    for (int32_t b = 0; b < m->count; b++)
        m->bases[b] = validity ? m->sources[b].validity : m->sources[b].data;
    for (int64_t at = 0; at < m->rows; at += 8) {
        uint32_t byte = 0;
        for (int64_t i = at; i < HR_MIN(at + 8, m->rows); i++) {
            hr_row_ref ref = m->order[i];
            const uint8_t *bits = m->bases[ref.block];
            int64_t bit = bits ? m->sources[ref.block].offset + ref.row : 0;
            byte |= (uint32_t)((bits ? bits : set)[bit >> 3] >> (bit & 7) & 1) << (i - at);
        }
        to[at >> 3] = (uint8_t)byte;
    }
    for (int32_t b = 0; b < m->count; b++)
        m->bases[b] = m->sources[b].data;
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
        for (int64_t from = 0; from < m->rows; from += STEP_ROWS) {                                \
            fetch_lines(m->fetch);                                                                 \
            for (int64_t i = from; i < HR_MIN(from + STEP_ROWS, m->rows); i++) {                   \
                hr_row_ref at = m->order[i];                                                       \
                memcpy(&to[i], bases[at.block] + (size_t)at.row * sizeof(type), sizeof(type));     \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static void mix_values(const mix *m, hr_slot *slot, size_t width)
{
    uint8_t *out = slot->data;
    const uint8_t *const *restrict bases = m->bases;
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

// A short string is copied as SHORT_BYTES where both sides have so many: no call, no loop.
#define DEFINE_MIX_STRINGS(name, type)                                                             \
    static bool name(const mix *m, hr_slot *slot)                                                  \
    {                                                                                              \
        type *restrict ends = (type *)slot->offsets + 1;                                           \
        uint8_t *restrict to = slot->data;                                                         \
        int64_t end = 0, room = slot->data_bytes;                                                  \
        for (int64_t i = 0; i < m->rows; i++) {                                                    \
            if (i % STEP_ROWS == 0)                                                                \
                fetch_lines(m->fetch);                                                             \
            const source *s = &m->sources[m->order[i].block];                                      \
            const type *at = (const type *)s->offsets + m->order[i].row;                           \
            int64_t begin = at[0], bytes = (int64_t)at[1] - begin;                                 \
            if (bytes < 0 || bytes > room - end)                                                   \
                return false;                                                                      \
            if (bytes <= SHORT_BYTES && begin <= s->data_bytes - SHORT_BYTES &&                    \
                end <= room - SHORT_BYTES)                                                         \
                memcpy(to + end, s->data + begin, SHORT_BYTES);                                    \
            else if (bytes)                                                                        \
                memcpy(to + end, s->data + begin, (size_t)bytes);                                  \
            end += bytes;                                                                          \
            ends[i] = (type)end; /* the layout saw to it that it fits */                           \
        }                                                                                          \
        return true;                                                                               \
    }
DEFINE_MIX_STRINGS(mix_strings32, int32_t)
DEFINE_MIX_STRINGS(mix_strings64, int64_t)

static hr_status mix_strings(const mix *m, hr_slot *slot, hr_error *err)
{
    bool large = slot->type->large;
    return (large ? mix_strings64(m, slot) : mix_strings32(m, slot))
               ? HR_OK
               : HR_FAIL(err, HR_CORRUPT, "strings are longer than was planned");
}

static hr_status mix_column(const mix *m, int32_t column, hr_slot *slot, hr_error *err)
{
    hr_type_id id = slot->type->id;
    HR_TRY(open_sources(m, column, slot, err));
    plan_fetch(m, column + 1);
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
    fetcher fetch = {0};
    mix m = {.blocks = blocks,
             .count = count,
             .order = order,
             .rows = rows,
             .column_count = builder->layout->column_count,
             .fetch = &fetch};
    hr_status status;
    HR_ASSERT(rows <= builder->layout->rows);
    size_t room = (size_t)HR_MAX(count, 1);
    HR_GO(hr__alloc_zero(room, sizeof *m.sources, &m.sources, err));
    HR_GO(hr__alloc_zero(room, sizeof *m.bases, &m.bases, err));
    HR_GO(hr__alloc_zero(room, sizeof *m.ranges, &m.ranges, err));
    HR_GO(hr__alloc_zero(2 * room, sizeof *fetch.stretches, &fetch.stretches, err));
    find_ranges(&m);
    for (int32_t i = 0; i < builder->layout->column_count; i++)
        HR_GO(mix_column(&m, i, &builder->slots[i], err));
out:
    hr__free(fetch.stretches);
    hr__free(m.ranges);
    hr__free(m.bases);
    hr__free(m.sources);
    return status;
}
