// SPDX-License-Identifier: Apache-2.0
/*
 * Dense values to rows and back, by a bitmap, 64 rows at a step: a full word is a copy, an empty one is a
 * fill or a skip, a mixed one goes row by row without branches.
 *
 *     bits    1 0 0 1 1          dense  a b c
 *     spread  a 0 0 b c          the k-th value goes to the k-th set bit; from the back, so that it may be
 *                                done in place: the row written is never before the value read
 *
 * The includer defines deposit(value, mask), which puts the low bits of a value, in order, where a mask has
 * ones, and extract(value, mask), the contrary.
 */
#ifndef HR_KERNEL_SPREAD_LOOPS_H
#define HR_KERNEL_SPREAD_LOOPS_H

#include "kernel/loop.h"

/** The steps of both directions for a fixed width, or a variable one when W is a parameter. */
#define SPREAD_STEP(NAME, PARAMETER, W)                                                            \
    HR_INLINE size_t NAME(uint8_t *out, const uint8_t *in, size_t dense, uint64_t word,            \
                          unsigned step PARAMETER)                                                 \
    {                                                                                              \
        for (unsigned i = step; i-- > 0;) {                                                        \
            if (word >> i & 1)                                                                     \
                memmove(out + i * (W), in + --dense * (W), W);                                     \
            else                                                                                   \
                memset(out + i * (W), 0, W);                                                       \
        }                                                                                          \
        return dense;                                                                              \
    }
#define WIDTH_PARAMETER , size_t width
#define NO_PARAMETER

/** As SPREAD_STEP, for values that fit a register: no branch on the bit. `in` has values before `dense`. */
#define SPREAD_STEP_INT(NAME, AT, T)                                                               \
    HR_INLINE size_t NAME(uint8_t *out, const uint8_t *in, size_t dense, uint64_t word,            \
                          unsigned step)                                                           \
    {                                                                                              \
        AT *to = (AT *)(void *)out;                                                                \
        const AT *from = (const AT *)(const void *)in;                                             \
        unsigned i = step;                                                                         \
        while (i > 0 && dense > 0) {                                                               \
            uint64_t bit = word >> --i & 1;                                                        \
            to[i] = (T)(from[dense - 1] & (T)(0 - bit));                                           \
            dense -= bit;                                                                          \
        }                                                                                          \
        memset(to, 0, i * sizeof(T));                                                              \
        return dense;                                                                              \
    }

SPREAD_STEP_INT(spread_step_1, at_u8, uint8_t)
SPREAD_STEP_INT(spread_step_2, at_u16, uint16_t)
SPREAD_STEP_INT(spread_step_4, at_u32, uint32_t)
SPREAD_STEP_INT(spread_step_8, at_u64, uint64_t)
SPREAD_STEP(spread_step_16, NO_PARAMETER, 16)
SPREAD_STEP(spread_step_any, WIDTH_PARAMETER, width)

HR_INLINE size_t spread_step(uint8_t *out, const uint8_t *in, size_t dense, uint64_t word,
                             unsigned step, size_t width)
{
    switch (width) {
    case 1:
        return spread_step_1(out, in, dense, word, step);
    case 2:
        return spread_step_2(out, in, dense, word, step);
    case 4:
        return spread_step_4(out, in, dense, word, step);
    case 8:
        return spread_step_8(out, in, dense, word, step);
    case 16:
        return spread_step_16(out, in, dense, word, step);
    default:
        return spread_step_any(out, in, dense, word, step, width);
    }
}

static size_t spread_spread(void *out_, const void *in, const uint8_t *bits, size_t offset,
                            size_t rows, size_t width)
{
    uint8_t *out = out_;
    size_t total = bits_count(bits, offset, rows), dense = total;
    for (size_t end = rows; end > 0;) {
        unsigned step = end % 64 ? end % 64 : 64;
        size_t at = end - step;
        uint64_t word = bits_get(bits, offset + at, step);
        end = at;
        if (word == low_mask(step)) {
            dense -= step;
            memmove(out + at * width, (const uint8_t *)in + dense * width, step * width);
        } else if (word == 0) {
            memset(out + at * width, 0, step * width);
        } else {
            dense = spread_step(out + at * width, in, dense, word, step, width);
        }
    }
    return total;
}

#define COMPACT_STEP(NAME, PARAMETER, W)                                                           \
    HR_INLINE uint8_t *NAME(uint8_t *out, const uint8_t *in, uint64_t word PARAMETER)              \
    {                                                                                              \
        for (; word; word &= word - 1, out += (W))                                                 \
            memmove(out, in + (size_t)__builtin_ctzll(word) * (W), W);                             \
        return out;                                                                                \
    }

COMPACT_STEP(compact_step_1, NO_PARAMETER, 1)
COMPACT_STEP(compact_step_2, NO_PARAMETER, 2)
COMPACT_STEP(compact_step_4, NO_PARAMETER, 4)
COMPACT_STEP(compact_step_8, NO_PARAMETER, 8)
COMPACT_STEP(compact_step_16, NO_PARAMETER, 16)
COMPACT_STEP(compact_step_any, WIDTH_PARAMETER, width)

HR_INLINE uint8_t *compact_step(uint8_t *out, const uint8_t *in, uint64_t word, size_t width)
{
    switch (width) {
    case 1:
        return compact_step_1(out, in, word);
    case 2:
        return compact_step_2(out, in, word);
    case 4:
        return compact_step_4(out, in, word);
    case 8:
        return compact_step_8(out, in, word);
    case 16:
        return compact_step_16(out, in, word);
    default:
        return compact_step_any(out, in, word, width);
    }
}

static size_t spread_compact(void *out, const void *in_, const uint8_t *bits, size_t offset,
                             size_t rows, size_t width)
{
    const uint8_t *in = in_;
    uint8_t *to = out;
    for (size_t at = 0; at < rows; at += 64) {
        unsigned step = (unsigned)HR_MIN(rows - at, 64);
        uint64_t word = bits_get(bits, offset + at, step);
        if (word == low_mask(step)) {
            memmove(to, in + at * width, step * width);
            to += step * width;
        } else {
            to = compact_step(to, in + at * width, word, width);
        }
    }
    return (size_t)(to - (uint8_t *)out) / width;
}

static size_t spread_spread_bits(uint8_t *out, size_t out_offset, const uint8_t *in,
                                 size_t in_offset, const uint8_t *bits, size_t offset, size_t rows)
{
    size_t dense = 0;
    unsigned step;
    for (size_t at = 0; at < rows; at += step) {
        step = bits_step(out_offset, at, rows);
        uint64_t word = bits_get(bits, offset + at, step);
        unsigned kept = ones(word);
        uint64_t values = kept ? deposit(bits_get(in, in_offset + dense, kept), word) : 0;
        bits_put(out, out_offset + at, step, values);
        dense += kept;
    }
    return dense;
}

static size_t spread_compact_bits(uint8_t *out, size_t out_offset, const uint8_t *in,
                                  size_t in_offset, const uint8_t *bits, size_t offset, size_t rows)
{
    size_t dense = 0;
    for (size_t at = 0; at < rows; at += 64) {
        unsigned step = (unsigned)HR_MIN(rows - at, 64);
        uint64_t word = bits_get(bits, offset + at, step);
        unsigned kept = ones(word);
        if (kept)
            bits_put(out, out_offset + dense, kept,
                     extract(bits_get(in, in_offset + at, step), word));
        dense += kept;
    }
    return dense;
}

static void spread_fill(hr_kernels *kernels)
{
    kernels->spread.spread = spread_spread;
    kernels->spread.compact = spread_compact;
    kernels->spread.spread_bits = spread_spread_bits;
    kernels->spread.compact_bits = spread_compact_bits;
}

#endif
