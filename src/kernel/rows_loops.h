// SPDX-License-Identifier: Apache-2.0
/*
 * Rows of any width fetched by index: the loop under dictionaries and takes. Widths that fit a register
 * or two have a copy of fixed size; wide rows are copied by memcpy with the next rows asked for early,
 * because a row from a random place begins with a cache miss that its own copy cannot hide.
 */
#ifndef HR_KERNEL_ROWS_LOOPS_H
#define HR_KERNEL_ROWS_LOOPS_H

#include "kernel/loop.h"

enum {
    ROWS_AHEAD = 8,           // narrow rows: this many fetches in flight
    ROWS_PREFETCH_BYTES = 256 // of a wide row; the hardware prefetcher takes over from there
};

#define ROWS_FIXED(NAME, INDEX, WIDTH)                                                             \
    HR_INLINE void NAME(uint8_t *out, const uint8_t *in, const INDEX *index, size_t count)         \
    {                                                                                              \
        HR_UNROLL_8                                                                                \
        for (size_t i = 0; i < count; i++)                                                         \
            memcpy(out + i * WIDTH, in + (size_t)index[i] * WIDTH, WIDTH);                         \
    }

#define ROWS_GATHER(NAME, INDEX)                                                                   \
    ROWS_FIXED(NAME##_1, INDEX, 1)                                                                 \
    ROWS_FIXED(NAME##_2, INDEX, 2)                                                                 \
    ROWS_FIXED(NAME##_4, INDEX, 4)                                                                 \
    ROWS_FIXED(NAME##_8, INDEX, 8)                                                                 \
    ROWS_FIXED(NAME##_12, INDEX, 12)                                                               \
    ROWS_FIXED(NAME##_16, INDEX, 16)                                                               \
    static void NAME##_any(uint8_t *out, const uint8_t *in, const INDEX *index, size_t count,      \
                           size_t width)                                                           \
    {                                                                                              \
        size_t lead = HR_MIN(width, ROWS_PREFETCH_BYTES);                                          \
        size_t ahead = width >= 4096 ? 1 : ROWS_AHEAD;                                             \
        for (size_t i = 0; i < count; i++) {                                                       \
            if (i + ahead < count) {                                                               \
                const uint8_t *next = in + (size_t)index[i + ahead] * width;                       \
                for (size_t at = 0; at < lead; at += 64)                                           \
                    HR_PREFETCH(next + at);                                                        \
            }                                                                                      \
            memcpy(out + i * width, in + (size_t)index[i] * width, width);                         \
        }                                                                                          \
    }                                                                                              \
    static void NAME(void *out, const void *in, const INDEX *index, size_t count, size_t width)    \
    {                                                                                              \
        switch (width) {                                                                           \
        case 1:                                                                                    \
            NAME##_1(out, in, index, count);                                                       \
            break;                                                                                 \
        case 2:                                                                                    \
            NAME##_2(out, in, index, count);                                                       \
            break;                                                                                 \
        case 4:                                                                                    \
            NAME##_4(out, in, index, count);                                                       \
            break;                                                                                 \
        case 8:                                                                                    \
            NAME##_8(out, in, index, count);                                                       \
            break;                                                                                 \
        case 12:                                                                                   \
            NAME##_12(out, in, index, count);                                                      \
            break;                                                                                 \
        case 16:                                                                                   \
            NAME##_16(out, in, index, count);                                                      \
            break;                                                                                 \
        default:                                                                                   \
            NAME##_any(out, in, index, count, width);                                              \
        }                                                                                          \
    }

#endif
