// SPDX-License-Identifier: Apache-2.0
/*
 * Bit-packed integers, least significant bit first. Value i begins at bit i * width:
 *
 *     width 3:   byte 0        byte 1        byte 2
 *                22 111 000    5 444 333 2   777 666 55      (most significant bit at the left)
 *
 * Parquet Encodings.md, "RLE / Bit-Packing Hybrid" and "DELTA_BINARY_PACKED".
 *
 * A value is cut out of the 8 bytes that begin at its first byte; widths above 57 may need a ninth. Near
 * the end of the input, where 9 bytes cannot be read, missing bytes count as zero.
 */
#ifndef HR_KERNEL_UNPACK_LOOPS_H
#define HR_KERNEL_UNPACK_LOOPS_H

#include "kernel/loop.h"

/** The value at bit position `bit`, of an input that may end anywhere. */
static uint64_t unpack_at_end(const uint8_t *in, size_t in_bytes, size_t bit, unsigned width)
{
    size_t byte = bit / 8;
    unsigned shift = bit % 8;
    if (byte >= in_bytes)
        return 0;
    size_t left = in_bytes - byte;
    uint64_t word = load_tail(in + byte, HR_MIN(left, 8)) >> shift;
    if (shift + width > 64 && left > 8)
        word |= (uint64_t)in[byte + 8] << (64 - shift);
    return word & low_mask(width);
}

/** How many of `count` values from bit `bit` can be read as 9 bytes at their first byte. */
static size_t unpack_safe_count(size_t in_bytes, size_t bit, unsigned width, size_t count)
{
    if (in_bytes < 9 || bit / 8 > in_bytes - 9)
        return 0;
    size_t safe = ((in_bytes - 9) * 8 + 7 - bit) / width + 1;
    return HR_MIN(safe, count);
}

#define UNPACK(NAME, T)                                                                            \
    static void NAME(T *out, const uint8_t *in, size_t in_bytes, unsigned width, size_t first,     \
                     size_t count)                                                                 \
    {                                                                                              \
        if (width == 0 || count == 0) {                                                            \
            memset(out, 0, count * sizeof(T));                                                     \
            return;                                                                                \
        }                                                                                          \
        size_t bit = first * width, i = 0;                                                         \
        size_t safe = unpack_safe_count(in_bytes, bit, width, count);                              \
        uint64_t mask = low_mask(width);                                                           \
        if (width <= 57) {                                                                         \
            for (; i < safe; i++, bit += width)                                                    \
                out[i] = (T)(load64(in + bit / 8) >> (bit % 8) & mask);                            \
        } else {                                                                                   \
            for (; i < safe; i++, bit += width) {                                                  \
                uint64_t word = load64(in + bit / 8) >> (bit % 8);                                 \
                word |= (uint64_t)in[bit / 8 + 8] << 1 << (63 - bit % 8);                          \
                out[i] = (T)(word & mask);                                                         \
            }                                                                                      \
        }                                                                                          \
        for (; i < count; i++, bit += width)                                                       \
            out[i] = (T)unpack_at_end(in, in_bytes, bit, width);                                   \
    }

UNPACK(unpack_to_u8, uint8_t)
UNPACK(unpack_to_u16, uint16_t)
UNPACK(unpack_to_u32, uint32_t)
UNPACK(unpack_to_u64, uint64_t)

#endif
