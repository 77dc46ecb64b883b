// SPDX-License-Identifier: Apache-2.0
/*
 * Several columns side by side, by registers: squares of four rows and four columns of 4 bytes, or two and two of 8,
 * are turned on their way in and on their way out.
 */
#include <immintrin.h>
#include <string.h>

#include "kernel/dispatch.h"

HR_INLINE void turn4(__m128i x[4])
{
    __m128i a = _mm_unpacklo_epi32(x[0], x[1]), b = _mm_unpackhi_epi32(x[0], x[1]);
    __m128i c = _mm_unpacklo_epi32(x[2], x[3]), d = _mm_unpackhi_epi32(x[2], x[3]);
    x[0] = _mm_unpacklo_epi64(a, c);
    x[1] = _mm_unpackhi_epi64(a, c);
    x[2] = _mm_unpacklo_epi64(b, d);
    x[3] = _mm_unpackhi_epi64(b, d);
}

HR_INLINE void turn2(__m128i x[2])
{
    __m128i a = x[0];
    x[0] = _mm_unpacklo_epi64(a, x[1]);
    x[1] = _mm_unpackhi_epi64(a, x[1]);
}

HR_INLINE __m128i load16(const void *from)
{
    return _mm_loadu_si128(from);
}

// SIDE rows of SIDE columns of WIDTH bytes; then the rows that are left, one by one.
#define TOGETHER(JOIN, PART, SIDE, WIDTH, TURN)                                                    \
    static void JOIN(void *rows, const void *const *columns, size_t count)                         \
    {                                                                                              \
        uint8_t *to = rows;                                                                        \
        size_t i = 0;                                                                              \
        for (; i + SIDE <= count; i += SIDE) {                                                     \
            __m128i x[SIDE];                                                                       \
            for (size_t k = 0; k < SIDE; k++)                                                      \
                x[k] = load16((const uint8_t *)columns[k] + WIDTH * i);                            \
            TURN(x);                                                                               \
            for (size_t k = 0; k < SIDE; k++)                                                      \
                _mm_storeu_si128((void *)(to + 16 * (i + k)), x[k]);                               \
        }                                                                                          \
        for (; i < count; i++)                                                                     \
            for (size_t k = 0; k < SIDE; k++)                                                      \
                memcpy(to + 16 * i + WIDTH * k, (const uint8_t *)columns[k] + WIDTH * i, WIDTH);   \
    }                                                                                              \
    static void PART(void *const *out, const void *rows, const uint32_t *index, size_t count)      \
    {                                                                                              \
        const uint8_t *from = rows;                                                                \
        size_t i = 0;                                                                              \
        for (; i + SIDE <= count; i += SIDE) {                                                     \
            __m128i x[SIDE];                                                                       \
            for (size_t k = 0; k < SIDE; k++)                                                      \
                x[k] = load16(from + 16 * (size_t)index[i + k]);                                   \
            TURN(x);                                                                               \
            for (size_t k = 0; k < SIDE; k++)                                                      \
                _mm_storeu_si128((void *)((uint8_t *)out[k] + WIDTH * i), x[k]);                   \
        }                                                                                          \
        for (; i < count; i++)                                                                     \
            for (size_t k = 0; k < SIDE; k++)                                                      \
                memcpy((uint8_t *)out[k] + WIDTH * i, from + 16 * (size_t)index[i] + WIDTH * k,    \
                       WIDTH);                                                                     \
    }

TOGETHER(take_join4x4, take_part4x4, 4, 4, turn4)
TOGETHER(take_join2x8, take_part2x8, 2, 8, turn2)

void hr__take_fill_avx2(hr_kernels *kernels)
{
    kernels->take.join4x4 = take_join4x4;
    kernels->take.part4x4 = take_part4x4;
    kernels->take.join2x8 = take_join2x8;
    kernels->take.part2x8 = take_part2x8;
}
