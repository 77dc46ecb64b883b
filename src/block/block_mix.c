// SPDX-License-Identifier: Apache-2.0
// Rows from anywhere: blocks seen as one, whose rows are written in another order.
//
//   blocks    [a b c][d e][f g h i]      rows 0 to 8
//   flat       a b c  d e  f g h i       one column of them, brought together in order: whole lines
//   indexes    4 0 8 2 ...
//   span       e a i c ...               taken from there, in cache
//
// A column at a time. Read at random from where they lie, values cost the latency of a line each; what is brought
// together first is read in order, which the hardware foresees, and a column of a window (64 KiB of numbers) stays in
// the second cache while it is taken from. What is wide, or much more than is taken, is taken from where it lies.
#include "block/mix_parts.h"
#include "kernel/kernel.h"

#include <string.h>

#define WIDE_BYTES  64 // of a value, on average: a line each, wherever it lies
#define SPARSE_ROWS 4  // so many rows for each that comes out
#define SHORT_BYTES 16
#define AHEAD_ROWS  16

// Where each row lies that comes out.
static hr_status find_refs(const hr_mixture *of, int64_t flat_rows, hr_table_row **out,
                           hr_error *err)
{
    hr_table_row *lines = NULL, *refs = NULL;
    int64_t at = 0;
    hr_status status;
    HR_GO(hr__alloc((size_t)HR_MAX(flat_rows, 1) * sizeof *lines, &lines, err));
    HR_GO(hr__alloc((size_t)HR_MAX(of->rows, 1) * sizeof *refs, &refs, err));
    for (int32_t b = 0; b < of->count; b++)
        for (int64_t i = 0; i < of->blocks[b]->rows; i++)
            lines[at++] = (hr_table_row){(uint32_t)b, (uint32_t)i};
    hr__kernels()->take.rows32(refs, lines, of->indexes, (size_t)of->rows, sizeof *refs);
    *out = refs;
out:
    hr__free(lines);
    return status;
}

// --- measuring ---

// Rows of each block, so that its part is measured as any gather is. ends[b] is where block b's part of `sorted` ends.
static hr_status split_by_block(const hr_mixture *of, int64_t *ends, uint32_t *sorted,
                                hr_error *err)
{
    hr_table_row *refs = NULL;
    HR_TRY(find_refs(of, hr__mix_rows(of), &refs, err));
    for (int64_t i = 0; i < of->rows; i++)
        ends[refs[i].base + 1]++;
    for (int32_t b = 0; b < of->count; b++)
        ends[b + 1] += ends[b];
    for (int64_t i = 0; i < of->rows; i++) // ends[b] moves from the part's start to its end
        sorted[ends[refs[i].base]++] = refs[i].row;
    hr__free(refs);
    return HR_OK;
}

static hr_status add_layout(const hr_block *block, const uint32_t *indexes, int64_t rows,
                            hr_layout *layout, hr_error *err)
{
    hr_layout more = {0};
    if (rows == 0)
        return HR_OK;
    if (!layout->nodes)
        return hr__take_layout(block, indexes, rows, layout, err);
    HR_TRY(hr__take_layout(block, indexes, rows, &more, err));
    hr_status status = hr__layout_add(layout, &more, err);
    hr__layout_release(&more);
    return status;
}

hr_status hr__mix_layout(const hr_schema *schema, const hr_mixture *of, hr_layout *layout,
                         hr_error *err)
{
    int64_t *ends = NULL, begin = 0;
    uint32_t *sorted = NULL;
    hr_layout made = {0};
    hr_status status;
    int64_t flat_rows = hr__mix_rows(of);
    HR_ASSERT(!of->all || of->rows == flat_rows);
    if (!hr__kernels()->take.check32(of->indexes, (size_t)of->rows, (uint64_t)flat_rows))
        return HR_FAIL(err, HR_INVALID, "an index of a row is past the blocks' %lld rows",
                       (long long)flat_rows);
    if (!of->all) {
        HR_GO(hr__alloc_zero((size_t)of->count + 1, sizeof *ends, &ends, err));
        HR_GO(hr__alloc((size_t)HR_MAX(of->rows, 1) * sizeof *sorted, &sorted, err));
        HR_GO(split_by_block(of, ends, sorted, err));
    }
    for (int32_t b = 0; b < of->count; b++) {
        if (of->all)
            HR_GO(add_layout(of->blocks[b], NULL, of->blocks[b]->rows, &made, err));
        else
            HR_GO(add_layout(of->blocks[b], sorted + begin, ends[b] - begin, &made, err));
        begin = ends ? ends[b] : 0;
    }
    if (!made.nodes)
        HR_GO(hr__layout_init(&made, schema, 0, err));
    HR_GO(hr__layout_finish(&made, err));
    *layout = made;
    made = (hr_layout){0};
out:
    hr__layout_release(&made);
    hr__free(sorted);
    hr__free(ends);
    return status;
}

// --- bringing together ---

static hr_status mix_codes(hr_mix *m, int32_t column, hr_slot *slot, hr_error *err)
{
    HR_TRY(hr__mix_room(m, (size_t)m->flat_rows * sizeof(int32_t), err));
    int32_t *to = m->flat;
    for (int32_t b = 0; b < m->of->count; b++) {
        const hr_column *c = hr__mix_column(m, b, column);
        if (c->rows == 0)
            continue;
        memcpy(to, (const int32_t *)c->data + c->offset, (size_t)c->rows * sizeof *to);
        hr__codes_shift(to, c->rows, m->shifts[b]);
        to += c->rows;
    }
    hr__kernels()->take.rows32(slot->data, m->flat, m->of->indexes, (size_t)m->of->rows,
                               sizeof *to);
    return HR_OK;
}

// --- strings ---

// The length that all strings of a column have (hashes, codes, dates do); 0: they have several.
#define DEFINE_ONE_LENGTH(name, type)                                                              \
    static int64_t name(const type *offsets, int64_t rows)                                         \
    {                                                                                              \
        type length = offsets[1] - offsets[0], other = 0;                                          \
        for (int64_t i = 0; i < rows; i++)                                                         \
            other |= (offsets[i + 1] - offsets[i]) ^ length;                                       \
        return other ? 0 : length;                                                                 \
    }
DEFINE_ONE_LENGTH(one_length32, int32_t)
DEFINE_ONE_LENGTH(one_length64, int64_t)

static int64_t one_length(const hr_mix *m, int32_t column)
{
    int64_t length = 0;
    for (int32_t b = 0; b < m->of->count; b++) {
        const hr_column *c = hr__mix_column(m, b, column);
        if (c->rows == 0)
            continue;
        int64_t own = c->type->large
                          ? one_length64((const int64_t *)c->offsets + c->offset, c->rows)
                          : one_length32((const int32_t *)c->offsets + c->offset, c->rows);
        if (own <= 0 || (length && own != length))
            return 0;
        length = own;
    }
    return length;
}

// The offsets of a string further on: what lies at random is then here when its turn comes.
static void ask_ahead(const hr_mix *m, int64_t i, size_t width)
{
    const hr_table_row *next = &m->refs[HR_MIN(i + AHEAD_ROWS, m->of->rows - 1)];
    HR_PREFETCH((const uint8_t *)m->offsets[next->base] + next->row * width);
}

// A column's offsets behind those of others; false: one is outside of the column's bytes.
#define DEFINE_PUT_OFFSETS(name, type)                                                             \
    static bool name(type *to, type at, const hr_column *c)                                        \
    {                                                                                              \
        const type *from = (const type *)c->offsets + c->offset, first = from[0];                  \
        type last = from[c->rows], outside = 0;                                                    \
        for (int64_t i = 0; i <= c->rows; i++) {                                                   \
            outside |= from[i] < first || from[i] > last;                                          \
            to[i] = at + (from[i] - first);                                                        \
        }                                                                                          \
        return !outside;                                                                           \
    }
DEFINE_PUT_OFFSETS(put_offsets32, int32_t)
DEFINE_PUT_OFFSETS(put_offsets64, int64_t)

// Row i's string is between the two offsets `at`, in `from`. A short one is copied as SHORT_BYTES, whatever lies behind
// it: no call, no loop. `from` must have so many to spare.
#define TAKE_STRINGS(type, find, spare)                                                            \
    do {                                                                                           \
        type *restrict ends = (type *)slot->offsets + 1;                                           \
        uint8_t *restrict to = slot->data;                                                         \
        int64_t end = 0, room = slot->data_bytes;                                                  \
        for (int64_t i = 0; i < m->of->rows; i++) {                                                \
            find;                                                                                  \
            int64_t begin = at[0], bytes = (int64_t)at[1] - begin;                                 \
            if (bytes < 0 || bytes > room - end)                                                   \
                return false;                                                                      \
            if (spare && bytes <= SHORT_BYTES && end <= room - SHORT_BYTES)                        \
                memcpy(to + end, from + begin, SHORT_BYTES);                                       \
            else if (bytes)                                                                        \
                memcpy(to + end, from + begin, (size_t)bytes);                                     \
            end += bytes;                                                                          \
            ends[i] = (type)end; /* the layout saw to it that it fits */                           \
        }                                                                                          \
        return true;                                                                               \
    } while (0)

#define DEFINE_STRINGS(flat, placed, type)                                                         \
    static bool flat(const hr_mix *m, const type *offsets, const uint8_t *from, hr_slot *slot)     \
    {                                                                                              \
        TAKE_STRINGS(type, const type *at = offsets + m->of->indexes[i], true);                    \
    }                                                                                              \
    static bool placed(const hr_mix *m, hr_slot *slot)                                             \
    {                                                                                              \
        TAKE_STRINGS(type, const hr_table_row ref = m->refs[i];                                    \
                     const type *at = (const type *)m->offsets[ref.base] + ref.row;                \
                     const uint8_t *from = m->bases[ref.base];                                     \
                     ask_ahead(m, i, sizeof(type)), false);                                        \
    }
DEFINE_STRINGS(take_flat32, take_placed32, int32_t)
DEFINE_STRINGS(take_flat64, take_placed64, int64_t)

static hr_status fail_strings(hr_error *err)
{
    return HR_FAIL(err, HR_CORRUPT, "offsets of strings decrease, or pass what was planned");
}

// Strings of one length are values of that width.
static hr_status mix_equal(hr_mix *m, int32_t column, int64_t length, hr_slot *slot, hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    int64_t rows = m->of->rows;
    if (length > slot->data_bytes / rows)
        return fail_strings(err);
    if (slot->type->large)
        k->fill.iota_i64(slot->offsets, 0, length, (size_t)rows + 1);
    else
        k->fill.iota_i32(slot->offsets, 0, (int32_t)length, (size_t)rows + 1);
    const hr_mix_values values = {column, (size_t)length, slot->data};
    return hr__mix_values(m, &values, err);
}

static bool has_strings(const hr_slot *slot)
{
    return hr__type_has_offsets(slot->type) && !slot->child;
}

static hr_status count_bytes(const hr_mix *m, int32_t column, int64_t *out, hr_error *err)
{
    int64_t bytes = 0;
    for (int32_t b = 0; b < m->of->count; b++) {
        const hr_column *c = hr__mix_column(m, b, column);
        if (c->rows == 0)
            continue;
        int64_t begin = hr__column_offset(c, 0), end = hr__column_offset(c, c->rows);
        if (begin < 0 || end < begin || HR_ADD_OVERFLOWS(bytes, end - begin, &bytes))
            return fail_strings(err);
    }
    *out = bytes;
    return HR_OK;
}

static hr_status mix_strings(hr_mix *m, int32_t column, int64_t bytes, hr_slot *slot, hr_error *err)
{
    int64_t length = one_length(m, column), row = 0, at = 0;
    bool large = slot->type->large, fits = true;
    size_t offset_bytes = ((size_t)m->flat_rows + 1) * (large ? 8 : 4);
    if (length)
        return mix_equal(m, column, length, slot, err);
    HR_TRY(hr__mix_room(m, offset_bytes + (size_t)bytes + SHORT_BYTES, err));
    uint8_t *data = (uint8_t *)m->flat + offset_bytes;
    for (int32_t b = 0; b < m->of->count; b++) {
        const hr_column *c = hr__mix_column(m, b, column);
        if (c->rows == 0)
            continue;
        int64_t begin = hr__column_offset(c, 0), own = hr__column_offset(c, c->rows) - begin;
        if (own)
            memcpy(data + at, (const uint8_t *)c->data + begin, (size_t)own);
        fits &= large ? put_offsets64((int64_t *)m->flat + row, at, c)
                      : put_offsets32((int32_t *)m->flat + row, (int32_t)at, c);
        at += own;
        row += c->rows;
    }
    if (fits)
        fits = large ? take_flat64(m, m->flat, data, slot) : take_flat32(m, m->flat, data, slot);
    return fits ? HR_OK : fail_strings(err);
}

// --- from where they lie ---

static hr_status find_places(hr_mix *m, int32_t column, hr_error *err)
{
    if (!m->refs)
        HR_TRY(find_refs(m->of, m->flat_rows, &m->refs, err));
    for (int32_t b = 0; b < m->of->count; b++) {
        const hr_column *c = hr__mix_column(m, b, column);
        bool strings = hr__type_has_offsets(c->type);
        size_t width = strings ? 0 : (size_t)hr_type_row_bytes(c->type);
        m->bases[b] = c->data ? (const uint8_t *)c->data + (size_t)c->offset * width : NULL;
        m->offsets[b] = strings && c->offsets ? (const uint8_t *)c->offsets +
                                                    (size_t)c->offset * (c->type->large ? 8 : 4)
                                              : NULL;
    }
    return HR_OK;
}

static hr_status mix_in_place(hr_mix *m, int32_t column, hr_slot *slot, hr_error *err)
{
    int32_t *codes = slot->type->id == HR_TYPE_DICTIONARY ? slot->data : NULL;
    HR_TRY(find_places(m, column, err));
    if (has_strings(slot)) {
        bool fits = slot->type->large ? take_placed64(m, slot) : take_placed32(m, slot);
        return fits ? HR_OK : fail_strings(err);
    }
    hr__kernels()->take.mixed(slot->data, m->bases, m->refs, (size_t)m->of->rows,
                              (size_t)hr_type_row_bytes(slot->type));
    for (int64_t i = 0; codes && i < m->of->rows; i++)
        codes[i] += m->shifts[m->refs[i].base];
    return HR_OK;
}

static hr_status mix_by_row(hr_mix *m, int32_t column, hr_slot *slot, hr_error *err)
{
    HR_TRY(find_places(m, column, err));
    for (int64_t i = 0; i < m->of->rows; i++) {
        int32_t b = (int32_t)m->refs[i].base;
        HR_TRY(hr__take_append_row(hr__mix_column(m, b, column), m->refs[i].row, slot, i,
                                   m->shifts[b], err));
    }
    return HR_OK;
}

// --- columns ---

static hr_status open_column(hr_mix *m, int32_t column, hr_slot *slot, hr_error *err)
{
    for (int32_t b = 0; b < m->of->count; b++) {
        const hr_column *c = hr__mix_column(m, b, column);
        HR_ASSERT(c->type->id == slot->type->id && c->type->large == slot->type->large);
        if (m->used[b])
            HR_TRY(hr__take_append_dictionary(c, slot, &m->shifts[b], err));
    }
    return HR_OK;
}

// Whether so many bytes of values are taken from where they lie.
static bool is_placed(const hr_mix *m, int64_t bytes)
{
    return m->flat_rows / SPARSE_ROWS >= m->of->rows || bytes / m->flat_rows >= WIDE_BYTES ||
           bytes > INT32_MAX; // offsets of what is brought together are the column's own
}

static hr_status mix_column(hr_mix *m, int32_t column, hr_slot *slot, hr_error *err)
{
    hr_type_id id = slot->type->id;
    int64_t bytes = 0;
    if (id == HR_TYPE_NULL || m->of->rows == 0)
        return HR_OK;
    HR_TRY(open_column(m, column, slot, err));
    if (id == HR_TYPE_LIST)
        return mix_by_row(m, column, slot, err);
    if (id == HR_TYPE_BOOL)
        return HR_OK; // as bits
    if (has_strings(slot))
        HR_TRY(count_bytes(m, column, &bytes, err));
    else
        bytes = m->flat_rows * hr_type_row_bytes(slot->type);
    if (is_placed(m, bytes))
        return mix_in_place(m, column, slot, err);
    if (has_strings(slot))
        return mix_strings(m, column, bytes, slot, err);
    if (id == HR_TYPE_DICTIONARY)
        return mix_codes(m, column, slot, err);
    const hr_mix_values values = {column, (size_t)hr_type_row_bytes(slot->type), slot->data};
    return hr__mix_values(m, &values, err);
}

// Of dictionaries only those were planned for from which a row comes.
static hr_status find_used(hr_mix *m, hr_error *err)
{
    for (int32_t b = 0; m->of->all && b < m->of->count; b++)
        m->used[b] = m->of->blocks[b]->rows > 0;
    if (m->of->all)
        return HR_OK;
    HR_TRY(find_refs(m->of, m->flat_rows, &m->refs, err));
    for (int64_t i = 0; i < m->of->rows; i++)
        m->used[m->refs[i].base] = true;
    return HR_OK;
}

hr_status hr__mix_append(const hr_mixture *of, hr_builder *builder, hr_error *err)
{
    hr_mix m = {.of = of, .flat_rows = hr__mix_rows(of)};
    hr_status status = HR_OK;
    HR_ASSERT(of->rows <= builder->layout->rows);
    HR_GO(hr__alloc_zero((size_t)HR_MAX(of->count, 1), sizeof *m.bases, &m.bases, err));
    HR_GO(hr__alloc_zero((size_t)HR_MAX(of->count, 1), sizeof *m.offsets, &m.offsets, err));
    HR_GO(hr__alloc_zero((size_t)HR_MAX(of->count, 1), sizeof *m.shifts, &m.shifts, err));
    HR_GO(hr__alloc_zero((size_t)HR_MAX(of->count, 1), sizeof *m.used, &m.used, err));
    HR_GO(find_used(&m, err));
    for (int32_t i = 0; i < builder->layout->column_count; i++)
        HR_GO(mix_column(&m, i, &builder->slots[i], err));
    HR_GO(hr__mix_values_end(&m, err));
    HR_GO(hr__mix_bits(&m, builder, err));
out:
    hr__free(m.flat);
    hr__free(m.refs);
    hr__free(m.used);
    hr__free(m.shifts);
    hr__free(m.offsets);
    hr__free(m.bases);
    return status;
}
