// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of interleave_loops.h: tiles are transposed in squares of 8 floats, or 4 doubles.
#include <immintrin.h>

#include "kernel/dispatch.h"
#include "kernel/interleave_loops.h"

TRANSPOSE_PLAIN(transpose_rest_f32, float, at_f32)
TRANSPOSE_PLAIN(transpose_rest_f64, double, at_f64)

/** Columns c..c+7 of rows r..r+7: pairs of columns, then fours, then the halves of registers exchanged. */
HR_INLINE void square_f32(at_f32 *out, size_t stride, const float tile[][TILE_ROWS], size_t c,
                          size_t r)
{
    __m256 x[8], y[8];
    for (unsigned i = 0; i < 8; i++)
        x[i] = _mm256_loadu_ps(&tile[c + i][r]);
    for (unsigned i = 0; i < 8; i += 4) {
        __m256 a = _mm256_unpacklo_ps(x[i], x[i + 1]), b = _mm256_unpackhi_ps(x[i], x[i + 1]);
        __m256 d = _mm256_unpacklo_ps(x[i + 2], x[i + 3]),
               e = _mm256_unpackhi_ps(x[i + 2], x[i + 3]);
        y[i] = _mm256_shuffle_ps(a, d, 0x44);
        y[i + 1] = _mm256_shuffle_ps(a, d, 0xee);
        y[i + 2] = _mm256_shuffle_ps(b, e, 0x44);
        y[i + 3] = _mm256_shuffle_ps(b, e, 0xee);
    }
    for (unsigned i = 0; i < 4; i++) {
        float *to = (float *)(out + (r + i) * stride + c);
        _mm256_storeu_ps(to, _mm256_permute2f128_ps(y[i], y[i + 4], 0x20));
        _mm256_storeu_ps(to + 4 * stride, _mm256_permute2f128_ps(y[i], y[i + 4], 0x31));
    }
}

HR_INLINE void square_f64(at_f64 *out, size_t stride, const double tile[][TILE_ROWS], size_t c,
                          size_t r)
{
    __m256d x[4], y[4];
    for (unsigned i = 0; i < 4; i++)
        x[i] = _mm256_loadu_pd(&tile[c + i][r]);
    for (unsigned i = 0; i < 4; i += 2) {
        y[i] = _mm256_unpacklo_pd(x[i], x[i + 1]);
        y[i + 1] = _mm256_unpackhi_pd(x[i], x[i + 1]);
    }
    for (unsigned i = 0; i < 2; i++) {
        double *to = (double *)(out + (r + i) * stride + c);
        _mm256_storeu_pd(to, _mm256_permute2f128_pd(y[i], y[i + 2], 0x20));
        _mm256_storeu_pd(to + 2 * stride, _mm256_permute2f128_pd(y[i], y[i + 2], 0x31));
    }
}

/** Whole squares, then the columns right of them, then the rows below. */
#define TRANSPOSE(NAME, REST, SQUARE, T, AT, SIDE)                                                 \
    static void NAME(AT *out, size_t stride, const T tile[][TILE_ROWS], size_t columns,            \
                     size_t rows)                                                                  \
    {                                                                                              \
        size_t square_columns = columns - columns % SIDE, square_rows = rows - rows % SIDE;        \
        for (size_t r = 0; r < square_rows; r += SIDE)                                             \
            for (size_t c = 0; c < square_columns; c += SIDE)                                      \
                SQUARE(out, stride, tile, c, r);                                                   \
        if (square_columns < columns)                                                              \
            REST(out + square_columns, stride, tile + square_columns, columns - square_columns,    \
                 square_rows);                                                                     \
        for (size_t r = square_rows; r < rows; r++)                                                \
            for (size_t c = 0; c < columns; c++)                                                   \
                out[r * stride + c] = tile[c][r];                                                  \
    }

TRANSPOSE(transpose_f32, transpose_rest_f32, square_f32, float, at_f32, 8)
TRANSPOSE(transpose_f64, transpose_rest_f64, square_f64, double, at_f64, 4)
INTERLEAVE(interleave_to_f32, float, at_f32, F32, transpose_f32)
INTERLEAVE(interleave_to_f64, double, at_f64, F64, transpose_f64)

void hr__interleave_fill_avx2(hr_kernels *kernels)
{
    kernels->interleave.to_f32 = interleave_to_f32;
    kernels->interleave.to_f64 = interleave_to_f64;
}
