// SPDX-License-Identifier: Apache-2.0
/*
 * Reductions. Everything is reduced in fixed lanes over fixed blocks, so that the order of additions, and
 * with it the last bit, is part of the source and not of the instruction set:
 *
 *     block of 512 valid values, as doubles  ->  8 lanes  ->  a tree of 3 additions  ->  merged
 *
 * Sums merge by an exact two-sum (Knuth, TAOCP 2, 4.2.2, theorem B) into high + low. Moments are taken in
 * passes over the block, which is in the L1 cache, and merged by Chan, Golub and LeVeque ("Updating formulae
 * and a pairwise algorithm for computing sample variances", 1979). The difference of two means is what a
 * merge depends on, and far from zero (time stamps) doubles are too coarse for it: so a mean has a low part.
 */
#ifndef HR_KERNEL_REDUCE_LOOPS_H
#define HR_KERNEL_REDUCE_LOOPS_H

#include "kernel/loop.h"

enum { REDUCE_BLOCK = 512, REDUCE_LANES = 8, EXTENT_LANES = 32, TOUCH_LANES = 16 };

static void sum_add(hr_sum *inout, double value)
{
    double high = inout->high + value;
    double part = high - inout->high;
    double lost = (inout->high - (high - part)) + (value - part);
    // Past infinity there is nothing left to compensate, and inf - inf would poison the sum.
    double low = high - high == 0 ? inout->low + lost : 0;
    inout->high = high + low;
    inout->low = high - high == 0 ? low - (inout->high - high) : 0;
}

static void sum_merge(hr_sum *inout, const hr_sum *other)
{
    sum_add(inout, other->high);
    sum_add(inout, other->low);
}

/** The sum of f(x) over a block, in lanes; f is x, x - center, or (x - center)^2. */
#define BLOCK_SUM(NAME, PARAMETER, TERM)                                                           \
    HR_NOINLINE static double NAME(const double *x PARAMETER, size_t count)                        \
    {                                                                                              \
        double lane[REDUCE_LANES] = {0};                                                           \
        size_t i = 0;                                                                              \
        for (; i + REDUCE_LANES <= count; i += REDUCE_LANES)                                       \
            for (unsigned j = 0; j < REDUCE_LANES; j++)                                            \
                lane[j] += TERM(x[i + j]);                                                         \
        for (; i < count; i++)                                                                     \
            lane[i % REDUCE_LANES] += TERM(x[i]);                                                  \
        return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +                                       \
               ((lane[1] + lane[5]) + (lane[3] + lane[7]));                                        \
    }
#define TERM_VALUE(x)     (x)
#define TERM_DEVIATION(x) ((x)-center)
#define TERM_SQUARE(x)    (((x)-center) * ((x)-center))
#define NO_CENTER
#define CENTER , double center
BLOCK_SUM(block_sum, NO_CENTER, TERM_VALUE)
BLOCK_SUM(block_deviations, CENTER, TERM_DEVIATION)
BLOCK_SUM(block_squares, CENTER, TERM_SQUARE)

/** Adds to a mean that has a low part, and gives both back as the nearest double and what is left. */
static void mean_add(hr_moments *inout, double step)
{
    double high = inout->mean + step, part = high - inout->mean;
    double low = (inout->mean - (high - part)) + (step - part) + inout->mean_low;
    inout->mean = high + low;
    inout->mean_low = low - (inout->mean - high);
}

static void moments_merge(hr_moments *inout, const hr_moments *other)
{
    if (other->count == 0)
        return;
    if (inout->count == 0) {
        *inout = *other;
        return;
    }
    double n = (double)inout->count, m = (double)other->count, all = n + m;
    double delta = (other->mean - inout->mean) + (other->mean_low - inout->mean_low);
    mean_add(inout, delta * (m / all));
    inout->m2 += other->m2 + delta * delta * (n * m / all);
    inout->count += other->count;
}

static void moments_of_block(hr_moments *inout, const double *x, size_t count)
{
    double n = (double)count, center = block_sum(x, count) / n;
    hr_moments block = {.count = count, .mean = center};
    // The center is rounded: what it missed is the mean of the deviations, and they are small.
    double missed = block_deviations(x, center, count) / n;
    block.m2 = block_squares(x, center, count) - n * missed * missed;
    mean_add(&block, missed);
    moments_merge(inout, &block);
}

/** Valid values as doubles, packed; up to 64 rows. Returns how many. */
#define PACK_WORD(NAME, AT)                                                                        \
    HR_INLINE size_t NAME(double *out, const AT *in, uint64_t word, unsigned rows)                 \
    {                                                                                              \
        size_t kept = 0;                                                                           \
        if (word == low_mask(rows)) {                                                              \
            for (unsigned i = 0; i < rows; i++)                                                    \
                out[i] = (double)in[i];                                                            \
            return rows;                                                                           \
        }                                                                                          \
        for (; word; word &= word - 1)                                                             \
            out[kept++] = (double)in[__builtin_ctzll(word)];                                       \
        return kept;                                                                               \
    }

/** Calls FLUSH(block, values) for blocks of REDUCE_BLOCK valid values, and a last shorter one. */
#define REDUCE_BLOCKS(NAME, PACK, STATE, AT, FLUSH)                                                \
    static void NAME(STATE *inout, const void *in_, const uint8_t *valid, size_t valid_offset,     \
                     size_t count)                                                                 \
    {                                                                                              \
        const AT *in = in_;                                                                        \
        double block[REDUCE_BLOCK + 64];                                                           \
        size_t held = 0;                                                                           \
        for (size_t at = 0; at < count; at += 64) {                                                \
            unsigned rows = (unsigned)HR_MIN(count - at, 64);                                      \
            uint64_t word = valid_word(valid, valid_offset, at, rows);                             \
            held += PACK(block + held, in + at, word, rows);                                       \
            if (held >= REDUCE_BLOCK) {                                                            \
                FLUSH(inout, block, REDUCE_BLOCK);                                                 \
                held -= REDUCE_BLOCK;                                                              \
                memcpy(block, block + REDUCE_BLOCK, held * sizeof block[0]);                       \
            }                                                                                      \
        }                                                                                          \
        if (held)                                                                                  \
            FLUSH(inout, block, held);                                                             \
    }
#define FLUSH_SUM(inout, block, values)     sum_add(inout, block_sum(block, values))
#define FLUSH_MOMENTS(inout, block, values) moments_of_block(inout, block, values)

#define SUM_FLOAT(SUFFIX, T, AT, U)                                                                \
    REDUCE_BLOCKS(sum_float_##SUFFIX, pack_##SUFFIX, hr_sum, AT, FLUSH_SUM)
#define MOMENTS(SUFFIX, T, AT, U)                                                                  \
    PACK_WORD(pack_##SUFFIX, AT)                                                                   \
    REDUCE_BLOCKS(moments_##SUFFIX, pack_##SUFFIX, hr_moments, AT, FLUSH_MOMENTS)

HR_EACH_ARITH(MOMENTS)
HR_EACH_FLOAT(SUM_FLOAT)

#define SUM_INT(SUFFIX, T, AT, U)                                                                  \
    static uint64_t sum_int_##SUFFIX(const void *in_, const uint8_t *valid, size_t valid_offset,   \
                                     size_t count)                                                 \
    {                                                                                              \
        const AT *in = in_;                                                                        \
        uint64_t sum = 0;                                                                          \
        if (!valid) {                                                                              \
            for (size_t i = 0; i < count; i++)                                                     \
                sum += (uint64_t)in[i];                                                            \
            return sum;                                                                            \
        }                                                                                          \
        for (size_t at = 0; at < count; at += 64) {                                                \
            unsigned rows = (unsigned)HR_MIN(count - at, 64);                                      \
            uint64_t word = bits_get(valid, valid_offset + at, rows);                              \
            for (unsigned i = 0; i < rows; i++)                                                    \
                sum += (uint64_t)in[at + i] & (0 - (word >> i & 1));                               \
        }                                                                                          \
        return sum;                                                                                \
    }
HR_EACH_INT(SUM_INT)

// For a type: its least and greatest, and what takes no part.
#define LEAST_I8     INT8_MIN
#define LEAST_I16    INT16_MIN
#define LEAST_I32    INT32_MIN
#define LEAST_I64    INT64_MIN
#define LEAST_U8     0
#define LEAST_U16    0
#define LEAST_U32    0
#define LEAST_U64    0
#define LEAST_F32    -__builtin_inff()
#define LEAST_F64    -__builtin_inf()
#define GREATEST_I8  INT8_MAX
#define GREATEST_I16 INT16_MAX
#define GREATEST_I32 INT32_MAX
#define GREATEST_I64 INT64_MAX
#define GREATEST_U8  UINT8_MAX
#define GREATEST_U16 UINT16_MAX
#define GREATEST_U32 UINT32_MAX
#define GREATEST_U64 UINT64_MAX
#define GREATEST_F32 __builtin_inff()
#define GREATEST_F64 __builtin_inf()

/** Lanes of least and greatest over whole strides; the caller does the rest value by value. */
#define EXTENT(SUFFIX, T, AT, U)                                                                   \
    HR_INLINE size_t extent_run_##SUFFIX(T *least, T *greatest, const AT *in, size_t count)        \
    {                                                                                              \
        U seen[EXTENT_LANES] = {0};                                                                \
        size_t i = 0, total = 0;                                                                   \
        for (; i + EXTENT_LANES <= count; i += EXTENT_LANES)                                       \
            for (unsigned j = 0; j < EXTENT_LANES; j++) {                                          \
                T x = in[i + j];                                                                   \
                least[j] = x < least[j] ? x : least[j];                                            \
                greatest[j] = x > greatest[j] ? x : greatest[j];                                   \
                seen[j] += x == x;                                                                 \
            }                                                                                      \
        for (unsigned j = 0; j < EXTENT_LANES; j++)                                                \
            total += seen[j];                                                                      \
        for (; i < count; i++) {                                                                   \
            least[0] = in[i] < least[0] ? in[i] : least[0];                                        \
            greatest[0] = in[i] > greatest[0] ? in[i] : greatest[0];                               \
            total += in[i] == in[i];                                                               \
        }                                                                                          \
        return total;                                                                              \
    }                                                                                              \
    static size_t extent_##SUFFIX(void *min_out, void *max_out, const void *in_,                   \
                                  const uint8_t *valid, size_t valid_offset, size_t count)         \
    {                                                                                              \
        const AT *in = in_;                                                                        \
        T least[EXTENT_LANES], greatest[EXTENT_LANES];                                             \
        size_t total = 0;                                                                          \
        /* Without a bitmap too, in runs short enough for a lane's count to fit 8 bits. */         \
        const size_t run = valid ? 64 : 64 * EXTENT_LANES;                                         \
        for (unsigned j = 0; j < EXTENT_LANES; j++) {                                              \
            least[j] = GREATEST_##SUFFIX;                                                          \
            greatest[j] = LEAST_##SUFFIX;                                                          \
        }                                                                                          \
        for (size_t at = 0; at < count; at += run) {                                               \
            size_t rows = HR_MIN(count - at, run);                                                 \
            uint64_t word = valid ? bits_get(valid, valid_offset + at, (unsigned)rows) : 0;        \
            if (!valid || word == low_mask((unsigned)rows)) {                                      \
                total += extent_run_##SUFFIX(least, greatest, in + at, rows);                      \
                continue;                                                                          \
            }                                                                                      \
            for (; word; word &= word - 1)                                                         \
                total += extent_run_##SUFFIX(least, greatest, in + at + __builtin_ctzll(word), 1); \
        }                                                                                          \
        if (total == 0)                                                                            \
            return 0;                                                                              \
        for (unsigned j = 1; j < EXTENT_LANES; j++) {                                              \
            least[0] = HR_MIN(least[j], least[0]);                                                 \
            greatest[0] = HR_MAX(greatest[j], greatest[0]);                                        \
        }                                                                                          \
        memcpy(min_out, least, sizeof(T));                                                         \
        memcpy(max_out, greatest, sizeof(T));                                                      \
        return total;                                                                              \
    }
HR_EACH_ARITH(EXTENT)

static uint64_t reduce_touch(const void *bytes, size_t byte_count)
{
    const uint8_t *in = bytes;
    uint64_t lane[TOUCH_LANES] = {0}, sum = 0;
    size_t at = 0;
    for (; byte_count - at >= TOUCH_LANES * 8; at += TOUCH_LANES * 8)
        for (unsigned j = 0; j < TOUCH_LANES; j++)
            lane[j] += load64(in + at + j * 8);
    for (unsigned j = 0; j < TOUCH_LANES; j++)
        sum += lane[j];
    for (; byte_count - at >= 8; at += 8)
        sum += load64(in + at);
    return sum + load_tail(in + at, byte_count - at);
}

#define REDUCE_SET(SUFFIX, T, AT, U)                                                               \
    kernels->reduce.moments[HR_NUM_##SUFFIX] = moments_##SUFFIX;                                   \
    kernels->reduce.extent[HR_NUM_##SUFFIX] = extent_##SUFFIX;
#define REDUCE_SET_INT(SUFFIX, T, AT, U)                                                           \
    kernels->reduce.sum_int[HR_NUM_##SUFFIX] = sum_int_##SUFFIX;
#define REDUCE_SET_FLOAT(SUFFIX, T, AT, U)                                                         \
    kernels->reduce.sum_float[HR_NUM_##SUFFIX] = sum_float_##SUFFIX;

static void reduce_fill(hr_kernels *kernels)
{
    HR_EACH_ARITH(REDUCE_SET)
    HR_EACH_INT(REDUCE_SET_INT)
    HR_EACH_FLOAT(REDUCE_SET_FLOAT)
    kernels->reduce.moments_merge = moments_merge;
    kernels->reduce.sum_merge = sum_merge;
    kernels->reduce.touch = reduce_touch;
}

#endif
