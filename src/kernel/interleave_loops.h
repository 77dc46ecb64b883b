// SPDX-License-Identifier: Apache-2.0
/*
 * Columns to a row-major matrix, through a tile that stays in the L1 cache:
 *
 *     16 columns x 64 rows:   convert and fill nulls, column by column   ->   tile [16][64]
 *                             transpose                                  ->   64 pieces of rows
 *
 * The includer defines TRANSPOSE_F32 and TRANSPOSE_F64: they lay a tile's first `columns` columns and
 * `rows` rows into out, whose rows are `stride` values apart.
 */
#ifndef HR_KERNEL_INTERLEAVE_LOOPS_H
#define HR_KERNEL_INTERLEAVE_LOOPS_H

#include "kernel/convert.h"

enum { TILE_COLUMNS = 16, TILE_ROWS = 64 };

#define TRANSPOSE_PLAIN(NAME, T, AT)                                                               \
    HR_UNUSED static void NAME(AT *out, size_t stride, const T tile[][TILE_ROWS], size_t columns,  \
                               size_t rows)                                                        \
    {                                                                                              \
        if (columns == TILE_COLUMNS) {                                                             \
            for (size_t r = 0; r < rows; r++)                                                      \
                for (size_t c = 0; c < TILE_COLUMNS; c++)                                          \
                    out[r * stride + c] = tile[c][r];                                              \
            return;                                                                                \
        }                                                                                          \
        for (size_t r = 0; r < rows; r++)                                                          \
            for (size_t c = 0; c < columns; c++)                                                   \
                out[r * stride + c] = tile[c][r];                                                  \
    }

#define LOAD_COLUMN(SUFFIX, AT, TO, T)                                                             \
    static void load_##SUFFIX##_##TO(T *out, const void *values, size_t first, size_t rows)        \
    {                                                                                              \
        const AT *in = (const AT *)values + first;                                                 \
        for (size_t i = 0; i < rows; i++)                                                          \
            out[i] = TO_##TO(FROM_##SUFFIX(in[i]));                                                \
    }
HR_EACH_CAST(LOAD_COLUMN, F32, float)
HR_EACH_CAST(LOAD_COLUMN, F64, double)
#define LOAD_ENTRY(SUFFIX, AT, TO) [HR_NUM_##SUFFIX] = load_##SUFFIX##_##TO,

#define INTERLEAVE(NAME, T, AT, TO, TRANSPOSE)                                                     \
    static void load_tile_##TO(T tile[][TILE_ROWS], const hr_interleave_column *columns,           \
                               size_t column_count, size_t first, size_t rows)                     \
    {                                                                                              \
        static void (*const load[HR_NUM_COUNT])(T *, const void *, size_t,                         \
                                                size_t) = {HR_EACH_CAST(LOAD_ENTRY, TO)};          \
        for (size_t c = 0; c < column_count; c++) {                                                \
            const hr_interleave_column *column = &columns[c];                                      \
            load[column->type](tile[c], column->values, first, rows);                              \
            uint64_t word =                                                                        \
                valid_word(column->valid, column->valid_offset, first, (unsigned)rows);            \
            if (word == low_mask((unsigned)rows))                                                  \
                continue;                                                                          \
            const T fill = (T)column->fill;                                                        \
            for (size_t i = 0; i < rows; i++)                                                      \
                tile[c][i] = word >> i & 1 ? tile[c][i] : fill;                                    \
        }                                                                                          \
    }                                                                                              \
    static void NAME(T *out_, size_t out_stride, const hr_interleave_column *columns,              \
                     size_t column_count, size_t rows)                                             \
    {                                                                                              \
        AT *out = out_;                                                                            \
        alignas(HR_ALIGN) T tile[TILE_COLUMNS][TILE_ROWS];                                         \
        for (size_t first = 0; first < rows; first += TILE_ROWS) {                                 \
            size_t tile_rows = HR_MIN(rows - first, TILE_ROWS);                                    \
            for (size_t c = 0; c < column_count; c += TILE_COLUMNS) {                              \
                size_t tile_columns = HR_MIN(column_count - c, TILE_COLUMNS);                      \
                load_tile_##TO(tile, columns + c, tile_columns, first, tile_rows);                 \
                TRANSPOSE(out + first * out_stride + c, out_stride, (const T(*)[TILE_ROWS])tile,   \
                          tile_columns, tile_rows);                                                \
            }                                                                                      \
        }                                                                                          \
    }

#define STRIDED(WIDTH)                                                                             \
    for (size_t i = 0; i < rows; i++)                                                              \
        memcpy(to + i * out_stride, from + i * in_stride, WIDTH);

HR_UNUSED static void interleave_strided(void *out, size_t out_stride, const void *in,
                                         size_t in_stride, size_t width, size_t rows)
{
    uint8_t *to = out;
    const uint8_t *from = in;
    if (out_stride == width && in_stride == width) {
        if (rows)
            memcpy(to, from, width * rows);
        return;
    }
    switch (width) {
    case 1:
        STRIDED(1)
        break;
    case 2:
        STRIDED(2)
        break;
    case 4:
        STRIDED(4)
        break;
    case 8:
        STRIDED(8)
        break;
    case 16:
        STRIDED(16)
        break;
    default:
        STRIDED(width)
    }
}

#endif
