// SPDX-License-Identifier: Apache-2.0
// Selecting rows into a new span: measure, then append.
//
// There are two ways to name rows: a range, and a list of indexes. A range of a column is a range of each of its
// children, so it walks down the chain with one copy a buffer. Indexes gather by kernel; only a list whose items are
// themselves variable (or nullable) goes row by row, each row a range of the child.
//
// Dictionaries: a block's values are appended once a column and its codes shifted, unless the span already begins
// with the same values, as it does for blocks of one file.
#include "block/wire.h"
#include "kernel/kernel.h"

#include <string.h>

static hr_status fail_offsets(const hr_column *column, hr_error *err)
{
    char name[96];
    return HR_FAIL(err, HR_CORRUPT, "offsets of a %s column decrease, or pass what was planned",
                   hr_type_print(column->type, name, sizeof name));
}

static bool has_bytes(const hr_type *type)
{
    return type->id == HR_TYPE_STRING || type->id == HR_TYPE_BINARY;
}

// --- measuring ---

// Adds what rows [first, first + rows) need below `node`, whose own rows are counted already.
static hr_status measure_range(const hr_column *c, int64_t first, int64_t rows, hr_layout *layout,
                               hr_layout_node *node, hr_error *err)
{
    for (;;) {
        if (!hr__type_has_offsets(c->type))
            return HR_OK;
        int64_t begin = hr__column_offset(c, first), end = hr__column_offset(c, first + rows);
        if (begin < 0 || end < begin)
            return fail_offsets(c, err);
        if (has_bytes(c->type)) {
            if (HR_ADD_OVERFLOWS(node->data_bytes, end - begin, &node->data_bytes))
                return fail_offsets(c, err);
            return HR_OK;
        }
        node = &layout->nodes[node->child];
        c = c->child;
        first = begin;
        rows = end - begin;
        if (first > c->rows || rows > c->rows - first ||
            HR_ADD_OVERFLOWS(node->rows, rows, &node->rows))
            return fail_offsets(c, err);
    }
}

// The sum of the lengths of rows of values with 32-bit offsets; -1: offsets that go back. Apart from the others
// because each string of a shuffled batch comes by here.
static int64_t sum_lengths32(const int32_t *offsets, const uint32_t *indexes, int64_t count)
{
    int64_t total = 0;
    int32_t wrong = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t begin = offsets[indexes[i]], end = offsets[indexes[i] + (size_t)1];
        wrong |= begin | (end < begin ? -1 : 0);
        total += (int64_t)end - begin;
    }
    return wrong < 0 ? -1 : total;
}

static hr_status measure_indexes(const hr_column *c, const uint32_t *indexes, int64_t count,
                                 hr_layout *layout, hr_layout_node *node, hr_error *err)
{
    if (!hr__type_has_offsets(c->type))
        return HR_OK;
    bool deep = c->child && hr__type_has_offsets(c->child->type);
    int64_t total = 0;
    if (!c->child && !c->type->large) {
        total = sum_lengths32((const int32_t *)c->offsets + c->offset, indexes, count);
        if (total < 0)
            return fail_offsets(c, err);
        node->data_bytes += total;
        return HR_OK;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t begin = hr__column_offset(c, indexes[i]),
                end = hr__column_offset(c, indexes[i] + 1ll);
        if (begin < 0 || end < begin || (c->child && end > c->child->rows) ||
            HR_ADD_OVERFLOWS(total, end - begin, &total))
            return fail_offsets(c, err);
        if (deep)
            HR_TRY(measure_range(c->child, begin, end - begin, layout, &layout->nodes[node->child],
                                 err));
    }
    if (c->child)
        layout->nodes[node->child].rows += total;
    else
        node->data_bytes += total;
    return HR_OK;
}

static hr_status measure_column(const hr_column *column, const uint32_t *indexes, int64_t count,
                                hr_layout *layout, hr_layout_node *node, hr_error *err)
{
    HR_TRY(indexes ? measure_indexes(column, indexes, count, layout, node, err)
                   : measure_range(column, 0, count, layout, node, err));
    for (const hr_column *c = column;; c = c->child, node = &layout->nodes[node->child]) {
        node->has_validity = c->validity && c->null_count != 0;
        if (c->type->id == HR_TYPE_DICTIONARY) {
            layout->nodes[node->child].rows = c->child->rows;
            HR_TRY(measure_range(c->child, 0, c->child->rows, layout, &layout->nodes[node->child],
                                 err));
        }
        if (!c->child)
            return HR_OK;
    }
}

hr_status hr__take_measure_column(const hr_column *column, const uint32_t *indexes, int64_t count,
                                  hr_layout *layout, int32_t node, hr_error *err)
{
    return measure_column(column, indexes, count, layout, &layout->nodes[node], err);
}

static hr_status check_rows(const hr_block *block, const uint32_t *indexes, int64_t count,
                            hr_error *err)
{
    if (count < 0 || (!indexes && count > block->rows))
        return HR_FAIL(err, HR_INVALID, "%lld rows of a block of %lld", (long long)count,
                       (long long)block->rows);
    if (indexes && !hr__kernels()->take.check32(indexes, (size_t)count, (uint64_t)block->rows))
        return HR_FAIL(err, HR_INVALID, "an index of a row is past the block's %lld rows",
                       (long long)block->rows);
    return HR_OK;
}

hr_status hr__take_layout(const hr_block *block, const uint32_t *indexes, int64_t count,
                          hr_layout *layout, hr_error *err)
{
    hr_layout made = {0};
    hr_status status;
    HR_TRY(check_rows(block, indexes, count, err));
    HR_TRY(hr__layout_init(&made, block->schema, count, err));
    for (int32_t i = 0; i < block->column_count; i++)
        HR_GO(measure_column(&block->columns[i], indexes, count, &made, &made.nodes[i], err));
    *layout = made;
    return HR_OK;
out:
    hr__layout_release(&made);
    return status;
}

// --- appending ---

static hr_status append_validity(const hr_column *c, const uint32_t *indexes, int64_t first,
                                 int64_t rows, hr_slot *slot, int64_t at, hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    if (c->type->id == HR_TYPE_NULL)
        return HR_OK;
    if (!slot->validity) {
        for (int64_t i = 0; c->validity && c->null_count != 0 && i < rows; i++)
            if (!hr__column_is_valid(c, indexes ? indexes[i] : first + i))
                return HR_FAIL(err, HR_INVALID, "a null where the plan has no room for nulls");
        return HR_OK;
    }
    if (at == 0)
        slot->null_count = 0;
    if (!c->validity) {
        k->bits.set(slot->validity, (size_t)at, (size_t)rows, true);
        return HR_OK;
    }
    if (indexes)
        k->take.bits32(slot->validity, (size_t)at, c->validity, (size_t)c->offset, indexes,
                       (size_t)rows);
    else
        k->bits.copy(slot->validity, (size_t)at, c->validity, (size_t)(c->offset + first),
                     (size_t)rows);
    if (slot->null_count >= 0)
        slot->null_count += rows - (int64_t)k->bits.count(slot->validity, (size_t)at, (size_t)rows);
    return HR_OK;
}

static int64_t slot_offset(const hr_slot *slot, int64_t at)
{
    return slot->type->large ? ((const int64_t *)slot->offsets)[at]
                             : ((const int32_t *)slot->offsets)[at];
}

static int64_t slot_room(const hr_slot *slot)
{
    return slot->child ? slot->child->rows : slot->data_bytes;
}

// Continues the slot's offsets with those of a range; tells the range of bytes or items behind it.
static hr_status append_offsets(const hr_column *c, int64_t first, int64_t rows, hr_slot *slot,
                                int64_t at, int64_t *begin_out, int64_t *length_out, hr_error *err)
{
    int64_t begin = hr__column_offset(c, first),
            length = hr__column_offset(c, first + rows) - begin;
    int64_t start = slot_offset(slot, at);
    if (begin < 0 || length < 0 || length > slot_room(slot) - start)
        return fail_offsets(c, err);
    if (c->type->large) {
        const int64_t *from = (const int64_t *)c->offsets + c->offset + first;
        int64_t *to = (int64_t *)slot->offsets + at;
        for (int64_t i = 1; i <= rows; i++)
            to[i] = start + (from[i] - begin);
    } else {
        const int32_t *from = (const int32_t *)c->offsets + c->offset + first;
        int32_t *to = (int32_t *)slot->offsets + at;
        int32_t by = (int32_t)(start - begin);
        for (int64_t i = 1; i <= rows; i++)
            to[i] = (int32_t)((uint32_t)from[i] + (uint32_t)by);
    }
    *begin_out = begin;
    *length_out = length;
    return HR_OK;
}

void hr__codes_shift(int32_t *codes, int64_t count, int32_t shift)
{
    for (int64_t i = 0; shift && i < count; i++)
        codes[i] += shift;
}

// Rows [first, first + rows) of a column and of its children, save a dictionary's values, whose codes move by `shift`.
static hr_status append_range(const hr_column *c, int64_t first, int64_t rows, hr_slot *slot,
                              int64_t at, int32_t shift, hr_error *err)
{
    for (;;) {
        HR_ASSERT(at >= 0 && rows <= slot->rows - at && c->type->large == slot->type->large);
        HR_TRY(append_validity(c, NULL, first, rows, slot, at, err));
        if (rows == 0 || c->type->id == HR_TYPE_NULL)
            return HR_OK;
        if (c->type->id == HR_TYPE_BOOL) {
            hr__kernels()->bits.copy(slot->data, (size_t)at, c->data, (size_t)(c->offset + first),
                                     (size_t)rows);
            return HR_OK;
        }
        if (!hr__type_has_offsets(c->type)) {
            size_t width = (size_t)hr_type_row_bytes(c->type);
            uint8_t *to = (uint8_t *)slot->data + (size_t)at * width;
            memcpy(to, (const uint8_t *)c->data + (size_t)(c->offset + first) * width,
                   (size_t)rows * width);
            if (c->type->id == HR_TYPE_DICTIONARY)
                hr__codes_shift((int32_t *)slot->data + at, rows, shift);
            return HR_OK;
        }
        int64_t begin = 0, length = 0;
        int64_t start = slot_offset(slot, at);
        HR_TRY(append_offsets(c, first, rows, slot, at, &begin, &length, err));
        if (!c->child) {
            if (length)
                memcpy((uint8_t *)slot->data + start, (const uint8_t *)c->data + begin,
                       (size_t)length);
            return HR_OK;
        }
        c = c->child;
        slot = slot->child;
        first = begin;
        rows = length;
        at = start;
        if (first > c->rows || rows > c->rows - first)
            return fail_offsets(c, err);
        slot->written = at + rows;
    }
}

static bool gather_offsets(const hr_column *c, const uint32_t *indexes, int64_t count,
                           hr_slot *slot, int64_t at)
{
    const hr_kernels *k = hr__kernels();
    if (c->type->large) {
        int64_t *to = (int64_t *)slot->offsets + at;
        return k->take.offsets64(to, to[0], (const int64_t *)c->offsets + c->offset, indexes,
                                 (size_t)count);
    }
    int32_t *to = (int32_t *)slot->offsets + at;
    return k->take.offsets32(to, to[0], (const int32_t *)c->offsets + c->offset, indexes,
                             (size_t)count);
}

static void gather_bytes(const hr_column *c, const void *in, const uint32_t *indexes, int64_t count,
                         hr_slot *slot, int64_t at, void *out, size_t element_bytes)
{
    const hr_kernels *k = hr__kernels();
    if (c->type->large)
        k->take.bytes64(out, (const int64_t *)slot->offsets + at, in,
                        (const int64_t *)c->offsets + c->offset, indexes, (size_t)count,
                        element_bytes);
    else
        k->take.bytes32(out, (const int32_t *)slot->offsets + at, in,
                        (const int32_t *)c->offsets + c->offset, indexes, (size_t)count,
                        element_bytes);
}

static hr_status gather_items(const hr_column *c, const uint32_t *indexes, int64_t count,
                              hr_slot *slot, int64_t at, int32_t shift, hr_error *err)
{
    const hr_column *child = c->child;
    hr_slot *to = slot->child;
    int64_t child_at = slot_offset(slot, at);
    int64_t end = slot_offset(slot, at + count);
    size_t width = (size_t)hr_type_row_bytes(child->type);
    to->written = end;
    if (width && !child->validity && child->type->id != HR_TYPE_DICTIONARY) {
        gather_bytes(c, (const uint8_t *)child->data + (size_t)child->offset * width, indexes,
                     count, slot, at, (uint8_t *)to->data + (size_t)child_at * width, width);
        return append_validity(child, NULL, 0, end - child_at, to, child_at, err);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t begin = hr__column_offset(c, indexes[i]);
        int64_t length = hr__column_offset(c, indexes[i] + 1ll) - begin;
        if (begin < 0 || begin > child->rows || length > child->rows - begin)
            return fail_offsets(c, err);
        HR_TRY(append_range(child, begin, length, to, child_at, shift, err));
        child_at += length;
    }
    return HR_OK;
}

static hr_status append_indexes(const hr_column *c, const uint32_t *indexes, int64_t count,
                                hr_slot *slot, int64_t at, int32_t shift, hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    HR_ASSERT(at >= 0 && count <= slot->rows - at && c->type->large == slot->type->large);
    HR_TRY(append_validity(c, indexes, 0, count, slot, at, err));
    if (count == 0 || c->type->id == HR_TYPE_NULL)
        return HR_OK;
    if (c->type->id == HR_TYPE_BOOL) {
        k->take.bits32(slot->data, (size_t)at, c->data, (size_t)c->offset, indexes, (size_t)count);
        return HR_OK;
    }
    if (!hr__type_has_offsets(c->type)) {
        size_t width = (size_t)hr_type_row_bytes(c->type);
        k->take.rows32((uint8_t *)slot->data + (size_t)at * width,
                       (const uint8_t *)c->data + (size_t)c->offset * width, indexes, (size_t)count,
                       width);
        if (c->type->id == HR_TYPE_DICTIONARY)
            hr__codes_shift((int32_t *)slot->data + at, count, shift);
        return HR_OK;
    }
    int64_t start = slot_offset(slot, at);
    if (!gather_offsets(c, indexes, count, slot, at) ||
        slot_offset(slot, at + count) > slot_room(slot))
        return fail_offsets(c, err);
    if (c->child)
        return gather_items(c, indexes, count, slot, at, shift, err);
    if (slot_offset(slot, at + count) > start)
        gather_bytes(c, c->data, indexes, count, slot, at, (uint8_t *)slot->data + start, 1);
    return HR_OK;
}

// Whether the slot's first rows are the same values, bit for bit.
static bool begins_with(const hr_slot *slot, const hr_column *values)
{
    int64_t rows = values->rows;
    if (slot->written < rows || slot->validity || values->validity)
        return false;
    if (values->type->id == HR_TYPE_BOOL)
        return false;
    if (!hr__type_has_offsets(values->type)) {
        size_t width = (size_t)hr_type_row_bytes(values->type);
        return memcmp(slot->data, (const uint8_t *)values->data + (size_t)values->offset * width,
                      (size_t)rows * width) == 0;
    }
    int64_t begin = hr__column_offset(values, 0);
    for (int64_t i = 1; i <= rows; i++)
        if (slot_offset(slot, i) != hr__column_offset(values, i) - begin)
            return false;
    int64_t bytes = slot_offset(slot, rows);
    return bytes == 0 ||
           memcmp(slot->data, (const uint8_t *)values->data + begin, (size_t)bytes) == 0;
}

// Sees to it that the span has the values of a column's dictionary, if there is one at any level.
hr_status hr__take_append_dictionary(const hr_column *c, hr_slot *slot, int32_t *shift_out,
                                     hr_error *err)
{
    *shift_out = 0;
    while (c && c->type->id != HR_TYPE_DICTIONARY)
        c = c->child, slot = slot->child;
    if (!c || c->child->rows == 0 || begins_with(slot->child, c->child))
        return HR_OK;
    hr_slot *values = slot->child;
    int64_t at = values->written;
    if (c->child->rows > values->rows - at)
        return HR_FAIL(err, HR_INVALID, "%lld dictionary values where %lld were planned",
                       (long long)(at + c->child->rows), (long long)values->rows);
    HR_TRY(append_range(c->child, 0, c->child->rows, values, at, 0, err));
    values->written = at + c->child->rows;
    *shift_out = (int32_t)at; // a layout has at most INT32_MAX values
    return HR_OK;
}

hr_status hr__take_append_row(const hr_column *column, int64_t row, hr_slot *slot, int64_t at,
                              int32_t shift, hr_error *err)
{
    return append_range(column, row, 1, slot, at, shift, err);
}

hr_status hr__take_append_column(const hr_column *column, const uint32_t *indexes, int64_t count,
                                 hr_slot *slot, int64_t at, hr_error *err)
{
    int32_t shift;
    HR_TRY(hr__take_append_dictionary(column, slot, &shift, err));
    return indexes ? append_indexes(column, indexes, count, slot, at, shift, err)
                   : append_range(column, 0, count, slot, at, shift, err);
}

hr_status hr__take_append(const hr_block *block, const uint32_t *indexes, int64_t count,
                          hr_builder *builder, int64_t at, hr_error *err)
{
    HR_TRY(check_rows(block, indexes, count, err));
    if (at < 0 || count > builder->layout->rows - at)
        return HR_FAIL(err, HR_INVALID, "%lld rows at row %lld where %lld were planned",
                       (long long)count, (long long)at, (long long)builder->layout->rows);
    for (int32_t i = 0; i < block->column_count; i++) {
        HR_TRY(hr__take_append_column(&block->columns[i], indexes, count, &builder->slots[i], at,
                                      err));
    }
    return HR_OK;
}
