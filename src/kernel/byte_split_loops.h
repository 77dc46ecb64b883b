// SPDX-License-Identifier: Apache-2.0
/*
 * BYTE_STREAM_SPLIT (Parquet Encodings.md): byte j of every value stands in stream j.
 *
 *     values    a0 a1 a2 a3  b0 b1 b2 b3  c0 c1 c2 c3
 *     streams   a0 b0 c0 | a1 b1 c1 | a2 b2 c2 | a3 b3 c3
 *
 * Joining is a transpose of bytes. The common widths have loops of their own with the width a constant,
 * which keeps the inner loop unrolled; others go stream by stream over pieces that stay in the L1 cache.
 */
#ifndef HR_KERNEL_BYTE_SPLIT_LOOPS_H
#define HR_KERNEL_BYTE_SPLIT_LOOPS_H

#include "kernel/loop.h"

enum { PIECE_VALUES = 512 };

#define JOIN_WIDTH(NAME, T, WIDTH)                                                                 \
    static void NAME(uint8_t *out, const uint8_t *in, size_t stream_bytes, size_t count)           \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            T value = 0;                                                                           \
            for (unsigned j = 0; j < WIDTH; j++)                                                   \
                value |= (T)((T)in[j * stream_bytes + i] << (8 * j));                              \
            memcpy(out + i * WIDTH, &value, WIDTH);                                                \
        }                                                                                          \
    }

JOIN_WIDTH(join_2, uint16_t, 2)
JOIN_WIDTH(join_4, uint32_t, 4)
JOIN_WIDTH(join_8, uint64_t, 8)

static void join_any(uint8_t *out, const uint8_t *in, size_t stream_bytes, size_t width,
                     size_t count)
{
    for (size_t at = 0; at < count; at += PIECE_VALUES) {
        size_t end = HR_MIN(at + PIECE_VALUES, count);
        for (size_t j = 0; j < width; j++)
            for (size_t i = at; i < end; i++)
                out[i * width + j] = in[j * stream_bytes + i];
    }
}

#endif
