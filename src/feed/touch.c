// SPDX-License-Identifier: Apache-2.0
//
// Reading every byte of a batch: as a plain sum (how fast can it be read?) and as a checksum (are these the right rows
// in the right order?).
//
// The checksum of a row is a hash of its index in the epoch and of its values, column by column; that of a batch is
// the sum over its rows. So it adds up over batches and ranks however rows are cut. A row's hash knows nothing of
// layout: bytes under a null count as nothing, a dictionary hashes as the values it names, 32- and 64-bit offsets
// are the same. Rows go through in runs small enough for a cache to keep their accumulators.
#include "feed/feed_parts.h"

#include "block/block.h"
#include "kernel/kernel.h"

#define RUN_ROWS  512
#define DEPTH_MAX 8 // of lists in lists; what lies deeper is not looked at

static void hash_column(uint64_t *acc, const hr_column *column, int64_t first, size_t rows,
                        int depth);

static hr_num number_of(const hr_type *type)
{
    switch (type->id) {
    case HR_TYPE_FLOAT16:
        return HR_NUM_F16;
    case HR_TYPE_BFLOAT16:
        return HR_NUM_BF16;
    case HR_TYPE_FLOAT32:
        return HR_NUM_F32;
    case HR_TYPE_FLOAT64:
        return HR_NUM_F64;
    default: // only the width matters
        switch (hr__type_value_bytes(type)) {
        case 1:
            return HR_NUM_U8;
        case 2:
            return HR_NUM_U16;
        case 4:
            return HR_NUM_U32;
        default:
            return HR_NUM_U64;
        }
    }
}

// The shape of a fixed-width row: values of one type.
static void fixed_shape(const hr_type *type, hr_num *num_out, size_t *per_row_out)
{
    switch (type->id) {
    case HR_TYPE_DECIMAL128:
    case HR_TYPE_DECIMAL256:
        *num_out = HR_NUM_U64;
        *per_row_out = type->id == HR_TYPE_DECIMAL128 ? 2 : 4;
        return;
    case HR_TYPE_FIXED_BINARY:
        *num_out = HR_NUM_U8;
        *per_row_out = (size_t)type->width_bytes;
        return;
    case HR_TYPE_TENSOR:
        *num_out = number_of(type->item);
        *per_row_out = (size_t)hr__type_row_values(type);
        return;
    default:
        *num_out = number_of(type);
        *per_row_out = 1;
    }
}

static bool is_fixed(const hr_type *type)
{
    return type->id != HR_TYPE_NULL && type->id != HR_TYPE_BOOL && type->id != HR_TYPE_LIST &&
           type->id != HR_TYPE_STRING && type->id != HR_TYPE_BINARY &&
           type->id != HR_TYPE_DICTIONARY;
}

static void hash_fixed(uint64_t *acc, const hr_column *column, size_t at, size_t rows)
{
    hr_num num;
    size_t per_row;
    fixed_shape(column->type, &num, &per_row);
    const uint8_t *values = (const uint8_t *)column->data + at * per_row * hr__num_bytes(num);
    hr__kernels()->hash.fixed(acc, values, num, per_row, column->validity, at, rows);
}

// Strings, and lists of plain numbers: rows of a varying number of values.
static void hash_variable(uint64_t *acc, const hr_column *column, const void *values, hr_num num,
                          size_t at, size_t rows)
{
    const hr_kernels *k = hr__kernels();
    if (column->type->large)
        k->hash.var64(acc, values, num, (const int64_t *)column->offsets + at, column->validity, at,
                      rows);
    else
        k->hash.var32(acc, values, num, (const int32_t *)column->offsets + at, column->validity, at,
                      rows);
}

static void list_range(const hr_column *column, size_t at, int64_t *begin_out, int64_t *end_out)
{
    if (column->type->large) {
        *begin_out = ((const int64_t *)column->offsets)[at];
        *end_out = ((const int64_t *)column->offsets)[at + 1];
    } else {
        *begin_out = ((const int32_t *)column->offsets)[at];
        *end_out = ((const int32_t *)column->offsets)[at + 1];
    }
}

// One row whose items are hashed singly: those that hold nulls, and lists of strings or of lists.
static void hash_items(uint64_t *acc, const hr_column *items, int64_t begin, int64_t end, int depth)
{
    const hr_kernels *k = hr__kernels();
    uint64_t hashes[RUN_ROWS];
    uint64_t length = (uint64_t)(end - begin);
    k->hash.fixed(acc, &length, HR_NUM_U64, 1, NULL, 0, 1);
    while (begin < end) {
        size_t run = (size_t)HR_MIN(end - begin, (int64_t)RUN_ROWS);
        k->hash.seed(hashes, 0, run, length);
        hash_column(hashes, items, begin, run, depth + 1);
        k->hash.finish_sum(hashes, hashes, run);
        k->hash.fixed(acc, hashes, HR_NUM_U64, run, NULL, 0, 1);
        begin += (int64_t)run;
    }
}

static void hash_list(uint64_t *acc, const hr_column *column, size_t at, size_t rows, int depth)
{
    const hr_column *items = column->child;
    bool plain = is_fixed(items->type) && items->type->id != HR_TYPE_TENSOR;
    hr_num num = HR_NUM_U8;
    size_t per_row = 1;
    if (plain)
        fixed_shape(items->type, &num, &per_row);
    plain = plain && per_row == 1;
    const uint8_t *values =
        plain ? (const uint8_t *)items->data + (size_t)items->offset * hr__num_bytes(num) : NULL;
    if (plain && !items->validity) {
        hash_variable(acc, column, values, num, at, rows);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        int64_t begin, end;
        list_range(column, at + i, &begin, &end);
        hr_column row = hr__column_slice(items, begin, end - begin);
        bool is_null = column->validity && !(column->validity[(at + i) / 8] >> ((at + i) % 8) & 1);
        // A row's way depends on the row alone, so that it hashes the same in whatever batch it stands.
        if (is_null || (plain && hr__column_null_count(&row) == 0))
            hash_variable(acc + i, column, values, num, at + i, 1);
        else if (depth < DEPTH_MAX)
            hash_items(acc + i, items, begin, end, depth);
    }
}

// As the values that the codes name.
static void hash_dictionary(uint64_t *acc, const hr_column *column, size_t at, size_t rows,
                            int depth)
{
    const int32_t *codes = (const int32_t *)column->data + at;
    for (size_t i = 0; i < rows; i++) {
        bool is_null = column->validity && !(column->validity[(at + i) / 8] >> ((at + i) % 8) & 1);
        bool known = !is_null && codes[i] >= 0 && codes[i] < column->child->rows;
        if (known && depth < DEPTH_MAX)
            hash_column(acc + i, column->child, codes[i], 1, depth + 1);
        else
            hr__kernels()->hash.nulls(acc + i, 1);
    }
}

// Rows [first, first + rows) of the column, counted from its own offset.
static void hash_column(uint64_t *acc, const hr_column *column, int64_t first, size_t rows,
                        int depth)
{
    const hr_kernels *k = hr__kernels();
    size_t at = (size_t)(column->offset + first);
    switch (column->type->id) {
    case HR_TYPE_NULL:
        k->hash.nulls(acc, rows);
        return;
    case HR_TYPE_BOOL:
        k->hash.bits(acc, column->data, at, column->validity, at, rows);
        return;
    case HR_TYPE_STRING:
    case HR_TYPE_BINARY:
        hash_variable(acc, column, column->data, HR_NUM_U8, at, rows);
        return;
    case HR_TYPE_LIST:
        hash_list(acc, column, at, rows, depth);
        return;
    case HR_TYPE_DICTIONARY:
        hash_dictionary(acc, column, at, rows, depth);
        return;
    default:
        hash_fixed(acc, column, at, rows);
    }
}

uint64_t hr_batch_checksum(const hr_batch *batch)
{
    const hr_kernels *k = hr__kernels();
    uint64_t acc[RUN_ROWS];
    uint64_t sum = 0;
    int64_t rows = hr_batch_rows(batch);
    int32_t columns = hr_schema_count(hr_block_schema(batch->block));
    for (int64_t first = 0; first < rows; first += RUN_ROWS) {
        size_t run = (size_t)HR_MIN(rows - first, (int64_t)RUN_ROWS);
        k->hash.seed(acc, (uint64_t)(batch->first_row + first), run, 0);
        for (int32_t c = 0; c < columns; c++)
            hash_column(acc, hr_block_column(batch->block, c), first, run, 0);
        sum += k->hash.finish_sum(NULL, acc, run);
    }
    return sum;
}

// --- the plain sum ---

static uint64_t touch_bytes(const void *bytes, size_t first, size_t count)
{
    return bytes && count > 0 ? hr__kernels()->reduce.touch((const uint8_t *)bytes + first, count)
                              : 0;
}

static uint64_t touch_bits(const uint8_t *bits, size_t first, size_t count)
{
    return count > 0 ? touch_bytes(bits, first / 8, (first + count + 7) / 8 - first / 8) : 0;
}

static uint64_t touch_column(const hr_column *column)
{
    hr_column at = *column;
    uint64_t sum = 0;
    for (;;) { // down the children: each has one
        size_t first = (size_t)at.offset, rows = (size_t)at.rows;
        sum += touch_bits(at.validity, first, rows);
        if (is_fixed(at.type)) {
            hr_num num;
            size_t per_row;
            fixed_shape(at.type, &num, &per_row);
            size_t row_bytes = per_row * hr__num_bytes(num);
            return sum + touch_bytes(at.data, first * row_bytes, rows * row_bytes);
        }
        if (at.type->id == HR_TYPE_BOOL)
            return sum + touch_bits(at.data, first, rows);
        if (at.type->id == HR_TYPE_NULL || rows == 0)
            return sum;
        if (at.type->id == HR_TYPE_DICTIONARY) {
            sum += touch_bytes(at.data, first * sizeof(int32_t), rows * sizeof(int32_t));
            at = *at.child;
            continue;
        }
        size_t offset_bytes = at.type->large ? sizeof(int64_t) : sizeof(int32_t);
        int64_t begin, end, unused;
        list_range(&at, first, &begin, &unused);
        list_range(&at, first + rows - 1, &unused, &end);
        sum += touch_bytes(at.offsets, first * offset_bytes, (rows + 1) * offset_bytes);
        if (at.type->id != HR_TYPE_LIST)
            return sum + touch_bytes(at.data, (size_t)begin, (size_t)(end - begin));
        at = hr__column_slice(at.child, begin, end - begin);
    }
}

uint64_t hr_batch_touch(const hr_batch *batch)
{
    uint64_t sum = 0;
    int32_t columns = hr_schema_count(hr_block_schema(batch->block));
    for (int32_t c = 0; c < columns; c++)
        sum += touch_column(hr_block_column(batch->block, c));
    return sum;
}
