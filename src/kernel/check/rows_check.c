// SPDX-License-Identifier: Apache-2.0
// Checks of what moves rows: take, interleave, fill.
#include "kernel/check/check.h"

#define TAKE_CASE(INDEX, BITS)                                                                     \
    {                                                                                              \
        INDEX *index = hr__check_words(check, count * sizeof(INDEX));                              \
        uint8_t *out = hr__check_bytes(check, count * width);                                      \
        size_t in_offset = hr__check_below(check, 9), out_offset = hr__check_below(check, 9);      \
        const uint8_t *bits = hr__check_bitmap(check, in_offset + entries);                        \
        uint8_t *made = hr__check_bytes(check, (out_offset + count + 7) / 8);                      \
        for (size_t i = 0; i < count; i++)                                                         \
            index[i] %= entries;                                                                   \
        CLAIM(check, check->kernels->take.check##BITS(index, count, entries), count, entries);     \
        check->kernels->take.rows##BITS(out, in, index, count, width);                             \
        check->kernels->take.bits##BITS(made, out_offset, bits, in_offset, index, count);          \
        for (size_t i = 0; i < count; i++) {                                                       \
            CLAIM(check, memcmp(out + i * width, in + index[i] * width, width) == 0, width, i);    \
            CLAIM(check, bit_at(made, out_offset + i) == bit_at(bits, in_offset + index[i]), 0,    \
                  i);                                                                              \
        }                                                                                          \
        if (count) {                                                                               \
            index[count - 1] = (INDEX)entries;                                                     \
            CLAIM(check, !check->kernels->take.check##BITS(index, count, entries), count,          \
                  entries);                                                                        \
        }                                                                                          \
    }

#define TAKE_VAR_CASE(OFFSET, INDEX, OFFSETS, BYTES)                                               \
    {                                                                                              \
        size_t element = 1 + hr__check_below(check, 4), longest = 1 + hr__check_below(check, 40);  \
        OFFSET *offsets = hr__check_words(check, (entries + 1) * sizeof(OFFSET));                  \
        OFFSET *made = hr__check_words(check, (count + 1) * sizeof(OFFSET));                       \
        INDEX *index = hr__check_words(check, count * sizeof(INDEX));                              \
        offsets[0] = (OFFSET)hr__check_below(check, 5);                                            \
        for (size_t i = 0; i < entries; i++)                                                       \
            offsets[i + 1] = offsets[i] + (OFFSET)hr__check_below(check, longest);                 \
        for (size_t i = 0; i < count; i++)                                                         \
            index[i] %= entries;                                                                   \
        const uint8_t *values = hr__check_bytes(check, (size_t)offsets[entries] * element);        \
        CLAIM(check, check->kernels->take.OFFSETS(made, 7, offsets, index, count), count, 0);      \
        uint8_t *bytes = hr__check_bytes(check, (size_t)(made[count] - 7) * element);              \
        check->kernels->take.BYTES(bytes, made, values, offsets, index, count, element);           \
        CLAIM(check, made[0] == 7, made[0], 0);                                                    \
        for (size_t i = 0; i < count; i++) {                                                       \
            OFFSET length = offsets[index[i] + (size_t)1] - offsets[index[i]];                     \
            CLAIM(check, made[i + 1] - made[i] == length, i, length);                              \
            CLAIM(check,                                                                           \
                  memcmp(bytes + (size_t)(made[i] - 7) * element,                                  \
                         values + (size_t)offsets[index[i]] * element,                             \
                         (size_t)length * element) == 0,                                           \
                  i, length);                                                                      \
        }                                                                                          \
    }

static void mixed_case(hr_check *check, size_t width, size_t entries, size_t count)
{
    const void *bases[5];
    for (size_t b = 0; b < HR_COUNTOF(bases); b++)
        bases[b] = hr__check_bytes(check, entries * width);
    hr_table_row *rows = hr__check_words(check, (count + 1) * sizeof *rows);
    uint8_t *out = hr__check_bytes(check, count * width);
    for (size_t i = 0; i < count; i++)
        rows[i] = (hr_table_row){rows[i].base % HR_COUNTOF(bases), rows[i].row % (uint32_t)entries};
    check->kernels->take.mixed(out, bases, rows, count, width);
    for (size_t i = 0; i < count; i++)
        CLAIM(check,
              memcmp(out + i * width, (const uint8_t *)bases[rows[i].base] + rows[i].row * width,
                     width) == 0,
              width, i);
}

#define TOGETHER_CASE(COLUMNS, WIDTH, JOIN, PART)                                                  \
    {                                                                                              \
        const void *columns[COLUMNS];                                                              \
        void *out[COLUMNS];                                                                        \
        uint8_t *rows = hr__check_bytes(check, entries * 16);                                      \
        uint32_t *index = hr__check_words(check, (count + 1) * sizeof *index);                     \
        for (size_t k = 0; k < COLUMNS; k++) {                                                     \
            columns[k] = hr__check_bytes(check, entries * WIDTH);                                  \
            out[k] = hr__check_bytes(check, count * WIDTH);                                        \
        }                                                                                          \
        for (size_t i = 0; i < count; i++)                                                         \
            index[i] %= (uint32_t)entries;                                                         \
        check->kernels->take.JOIN(rows, columns, entries);                                         \
        check->kernels->take.PART(out, rows, index, count);                                        \
        for (size_t k = 0; k < COLUMNS; k++)                                                       \
            for (size_t i = 0; i < count; i++)                                                     \
                CLAIM(check,                                                                       \
                      memcmp((const uint8_t *)out[k] + WIDTH * i,                                  \
                             (const uint8_t *)columns[k] + WIDTH * index[i], WIDTH) == 0,          \
                      k, i);                                                                       \
    }

static void together_cases(hr_check *check, size_t entries, size_t count)
{
    TOGETHER_CASE(4, 4, join4x4, part4x4)
    TOGETHER_CASE(2, 8, join2x8, part2x8)
}

void hr__check_take(hr_check *check)
{
    static const size_t widths[] = {1, 2, 4, 8, 12, 16, 5, 700, 5000};
    for (size_t w = 0; w < HR_COUNTOF(widths); w++) {
        size_t width = widths[w], entries = 1 + hr__check_below(check, 40);
        size_t count = hr__check_below(check, 100);
        const uint8_t *in = hr__check_bytes(check, entries * width);
        TAKE_CASE(uint32_t, 32)
        TAKE_CASE(uint64_t, 64)
        mixed_case(check, width, entries, count);
        together_cases(check, entries, count);
        TAKE_VAR_CASE(int32_t, uint32_t, offsets32, bytes32)
        TAKE_VAR_CASE(int64_t, uint32_t, offsets64, bytes64)
        TAKE_VAR_CASE(int32_t, uint64_t, offsets32_by64, bytes32_by64)
        TAKE_VAR_CASE(int64_t, uint64_t, offsets64_by64, bytes64_by64)
        hr__check_release(check);
    }
    const int32_t huge[] = {0, 0x40000000}, backward[] = {5, 3};
    const uint32_t twice[] = {0, 0};
    int32_t out[3];
    CLAIM(check, !check->kernels->take.offsets32(out, 0, huge, twice, 2), 0, 0);
    CLAIM(check, check->kernels->take.offsets32(out, 0, huge, twice, 1), 0, 0);
    CLAIM(check, !check->kernels->take.offsets32(out, 0, backward, twice, 1), 0, 0);
}

#define MATRIX_CASE(T, TYPE, FIELD)                                                                \
    {                                                                                              \
        T *out = hr__check_words(check, rows * stride * sizeof(T));                                \
        T *before = hr__check_words(check, rows * stride * sizeof(T));                             \
        memcpy(before, out, rows *stride * sizeof(T));                                             \
        check->kernels->interleave.FIELD(out, stride, columns, column_count, rows);                \
        for (size_t r = 0; r < rows; r++)                                                          \
            for (size_t c = 0; c < stride; c++) {                                                  \
                T want = before[r * stride + c];                                                   \
                if (c < column_count && columns[c].valid &&                                        \
                    !bit_at(columns[c].valid, columns[c].valid_offset + r))                        \
                    want = (T)columns[c].fill;                                                     \
                else if (c < column_count)                                                         \
                    check->reference->cast.to[columns[c].type][TYPE](                              \
                        &want,                                                                     \
                        (const uint8_t *)columns[c].values + r * hr__num_bytes(columns[c].type),   \
                        1);                                                                        \
                CLAIM(check, hr__check_same(TYPE, &out[r * stride + c], &want), r, c);             \
            }                                                                                      \
    }

void hr__check_interleave(hr_check *check)
{
    hr_interleave_column columns[40];
    size_t column_count = 1 + hr__check_below(check, 40), rows = hr__check_below(check, 200);
    size_t stride = column_count + hr__check_below(check, 3);
    for (size_t c = 0; c < column_count; c++) {
        hr_interleave_column *column = &columns[c];
        memset(column, 0, sizeof *column);
        column->type = (hr_num)hr__check_below(check, HR_NUM_COUNT);
        column->values = hr__check_values(check, column->type, rows);
        column->fill = -1.25 * (double)c;
        if (hr__check_random(check) & 1) {
            column->valid_offset = hr__check_below(check, 20);
            column->valid = hr__check_bitmap(check, column->valid_offset + rows);
        }
    }
    MATRIX_CASE(float, HR_NUM_F32, to_f32)
    MATRIX_CASE(double, HR_NUM_F64, to_f64)
    static const size_t widths[] = {1, 2, 4, 8, 16, 7};
    size_t width = widths[hr__check_below(check, HR_COUNTOF(widths))];
    size_t in_stride = width + hr__check_below(check, 3),
           out_stride = width + hr__check_below(check, 3);
    if (rows == 0)
        return;
    const uint8_t *in = hr__check_bytes(check, (rows - 1) * in_stride + width);
    uint8_t *out = hr__check_bytes(check, (rows - 1) * out_stride + width);
    uint8_t *before = hr__check_bytes(check, (rows - 1) * out_stride + width);
    memcpy(before, out, (rows - 1) * out_stride + width);
    check->kernels->interleave.strided(out, out_stride, in, in_stride, width, rows);
    for (size_t i = 0; i < (rows - 1) * out_stride + width; i++) {
        uint8_t want =
            i % out_stride < width ? in[i / out_stride * in_stride + i % out_stride] : before[i];
        CLAIM(check, out[i] == want, width, i);
    }
}

void hr__check_fill(hr_check *check)
{
    size_t count = hr__check_below(check, 300), rows = hr__check_below(check, 20);
    for (size_t width = 1; width <= 20; width++) {
        const uint8_t *value = hr__check_bytes(check, width);
        uint8_t *out = hr__check_bytes(check, count * width);
        check->kernels->fill.constant(out, value, width, count);
        for (size_t i = 0; i < count * width; i++)
            CLAIM(check, out[i] == value[i % width], width, i);
    }
    int32_t *narrow = hr__check_words(check, count * 4), first32 = (int32_t)hr__check_random(check);
    int64_t *wide = hr__check_words(check, count * 8), first = (int64_t)hr__check_random(check);
    int64_t *range = hr__check_words(check, count * rows * 8);
    check->kernels->fill.iota_i32(narrow, first32, -3, count);
    check->kernels->fill.iota_i64(wide, first, 1000000007, count);
    check->kernels->fill.range_rows(range, first, count, rows);
    for (size_t i = 0; i < count; i++) {
        CLAIM(check, narrow[i] == (int32_t)((uint32_t)first32 - 3u * (uint32_t)i), i, 0);
        CLAIM(check, wide[i] == (int64_t)((uint64_t)first + 1000000007u * i), i, 0);
    }
    for (size_t i = 0; i < count * rows; i++)
        CLAIM(check, range[i] == (int64_t)((uint64_t)first + i / count), i, count);
    size_t bytes = hr__check_below(check, 1000), shift = hr__check_below(check, 64);
    const uint8_t *from = hr__check_bytes(check, bytes);
    uint8_t *to = hr__check_bytes(check, bytes + shift);
    check->kernels->fill.stream(to + shift, from, bytes);
    for (size_t i = 0; i < bytes; i++)
        CLAIM(check, to[shift + i] == from[i], i, shift);
}
