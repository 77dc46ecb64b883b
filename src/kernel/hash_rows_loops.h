// SPDX-License-Identifier: Apache-2.0
/*
 * Row hashes, a column at a time into one 64-bit accumulator a row.
 *
 *     seed     acc = avalanche(seed + row index * odd constant)
 *     column   acc = mix(acc, word)          a row of up to 8 bytes, zero extended
 *              acc = mix(mix(acc, w0), w1)   up to 16
 *              acc = mix(acc, XXH3(piece))   more: for each piece of 16 KiB, then the length
 *              acc = mix(turn(acc), NULL)    null
 *     finish   sum += avalanche(acc)
 *
 * mix is a bijection of the accumulator for any word, and of the word for any accumulator: two rows that
 * differ in one column never collide there. Rows of variable length always go the way of pieces. A piece
 * of floats is looked through for a NaN first, while it comes into the L1 cache; only if there is one it is
 * copied with its NaNs made one. XXH3 is the same function in all of its vector forms.
 */
#ifndef HR_KERNEL_HASH_ROWS_LOOPS_H
#define HR_KERNEL_HASH_ROWS_LOOPS_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "kernel/loop.h"

enum { HASH_PIECE_BYTES = 16384 };
static const uint64_t hash_odd = 0x9e3779b97f4a7c15ull, hash_null = 0xd6e8feb86659fd93ull;

HR_INLINE uint64_t mix(uint64_t acc, uint64_t word)
{
    uint64_t x = acc + word;
    x = (x ^ x >> 32) * hash_odd;
    return x ^ x >> 29;
}

HR_INLINE uint64_t mix_null(uint64_t acc)
{
    return mix(acc << 32 | acc >> 32, hash_null);
}

HR_INLINE uint64_t avalanche(uint64_t x)
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

static void hash_seed(uint64_t *acc, uint64_t first_row, size_t rows, uint64_t seed)
{
    for (size_t i = 0; i < rows; i++)
        acc[i] = avalanche(seed + (first_row + i) * hash_odd);
}

static void hash_seed_at(uint64_t *acc, const uint64_t *row_index, size_t rows, uint64_t seed)
{
    for (size_t i = 0; i < rows; i++)
        acc[i] = avalanche(seed + row_index[i] * hash_odd);
}

// Whether the bits are a NaN's; signed, because that is how vectors compare.
#define NAN_F16(x)  ((int16_t)((x)&0x7fff) > 0x7c00)
#define NAN_BF16(x) ((int16_t)((x)&0x7fff) > 0x7f80)
#define NAN_F32(x)  ((int32_t)((x)&0x7fffffff) > 0x7f800000)
#define NAN_F64(x)  ((int64_t)((x)&0x7fffffffffffffffull) > 0x7ff0000000000000ll)

// A stored value as the word that is mixed in: zero extended, NaN made one.
#define WORD_PLAIN(x) ((uint64_t)(x))
#define WORD_F16(x)   ((uint64_t)(NAN_F16(x) ? 0x7e00u : (x)))
#define WORD_BF16(x)  ((uint64_t)(NAN_BF16(x) ? 0x7fc0u : (x)))
#define WORD_F32(x)   ((uint64_t)(NAN_F32(x) ? 0x7fc00000u : (x)))
#define WORD_F64(x)   (NAN_F64(x) ? 0x7ff8000000000000ull : (x))

/** One word a row. Rows are taken 64 at a time with their validity. */
#define HASH_WORDS(NAME, AT, WORD)                                                                 \
    static void NAME(uint64_t *acc, const void *values, const uint8_t *valid, size_t valid_offset, \
                     size_t rows)                                                                  \
    {                                                                                              \
        const AT *in = values;                                                                     \
        if (!valid) {                                                                              \
            for (size_t i = 0; i < rows; i++)                                                      \
                acc[i] = mix(acc[i], WORD(in[i]));                                                 \
            return;                                                                                \
        }                                                                                          \
        size_t at = 0;                                                                             \
        for (; rows - at >= 64; at += 64) {                                                        \
            uint64_t bits = bits_get(valid, valid_offset + at, 64);                                \
            for (uint64_t i = 0; i < 64; i++) {                                                    \
                uint64_t there = 0 - (bits >> i & 1), old = acc[at + i];                           \
                acc[at + i] = (mix(old, WORD(in[at + i])) & there) | (mix_null(old) & ~there);     \
            }                                                                                      \
        }                                                                                          \
        for (; at < rows; at++)                                                                    \
            acc[at] =                                                                              \
                bit_at(valid, valid_offset + at) ? mix(acc[at], WORD(in[at])) : mix_null(acc[at]); \
    }

HASH_WORDS(hash_words_1, at_u8, WORD_PLAIN)
HASH_WORDS(hash_words_2, at_u16, WORD_PLAIN)
HASH_WORDS(hash_words_4, at_u32, WORD_PLAIN)
HASH_WORDS(hash_words_8, at_u64, WORD_PLAIN)
HASH_WORDS(hash_words_f16, at_u16, WORD_F16)
HASH_WORDS(hash_words_bf16, at_u16, WORD_BF16)
HASH_WORDS(hash_words_f32, at_u32, WORD_F32)
HASH_WORDS(hash_words_f64, at_u64, WORD_F64)

/** Whether a piece holds a NaN, and the piece with its NaNs made one. */
#define NANS(NAME, AT, U, IS_NAN, WORD)                                                            \
    static bool has_nan_##NAME(const void *values, size_t bytes)                                   \
    {                                                                                              \
        const AT *in = values;                                                                     \
        U found = 0;                                                                               \
        for (size_t i = 0; i < bytes / sizeof(U); i++)                                             \
            found |= (U)IS_NAN(in[i]);                                                             \
        return found != 0;                                                                         \
    }                                                                                              \
    static void one_nan_##NAME(void *out, const void *values, size_t bytes)                        \
    {                                                                                              \
        const AT *in = values;                                                                     \
        AT *to = out;                                                                              \
        for (size_t i = 0; i < bytes / sizeof(U); i++)                                             \
            to[i] = (U)WORD(in[i]);                                                                \
    }

NANS(f16, at_u16, uint16_t, NAN_F16, WORD_F16)
NANS(bf16, at_u16, uint16_t, NAN_BF16, WORD_BF16)
NANS(f32, at_u32, uint32_t, NAN_F32, WORD_F32)
NANS(f64, at_u64, uint64_t, NAN_F64, WORD_F64)

typedef struct nan_way {
    bool (*has_nan)(const void *values, size_t bytes);
    void (*one_nan)(void *out, const void *values, size_t bytes);
} nan_way;

static nan_way nan_way_of(hr_num type)
{
    switch (type) {
    case HR_NUM_F16:
        return (nan_way){has_nan_f16, one_nan_f16};
    case HR_NUM_BF16:
        return (nan_way){has_nan_bf16, one_nan_bf16};
    case HR_NUM_F32:
        return (nan_way){has_nan_f32, one_nan_f32};
    case HR_NUM_F64:
        return (nan_way){has_nan_f64, one_nan_f64};
    default:
        return (nan_way){NULL, NULL};
    }
}

static uint64_t hash_bytes(uint64_t acc, const uint8_t *at, size_t bytes, nan_way way)
{
    for (size_t done = 0; done < bytes; done += HASH_PIECE_BYTES) {
        size_t piece = HR_MIN(bytes - done, HASH_PIECE_BYTES);
        if (way.has_nan && way.has_nan(at + done, piece)) {
            uint64_t copy[HASH_PIECE_BYTES / 8];
            way.one_nan(copy, at + done, piece);
            acc = mix(acc, XXH3_64bits(copy, piece));
        } else {
            acc = mix(acc, XXH3_64bits(at + done, piece));
        }
    }
    return mix(acc, bytes);
}

/** A row of 2 to 16 bytes that has no register type of its own. */
static uint64_t hash_short(uint64_t acc, const uint8_t *at, size_t bytes, nan_way way)
{
    uint8_t row[16] = {0};
    memcpy(row, at, bytes);
    if (way.one_nan)
        way.one_nan(row, row, bytes);
    acc = mix(acc, load64(row));
    return bytes > 8 ? mix(acc, load64(row + 8)) : acc;
}

static void hash_fixed(uint64_t *acc, const void *values, hr_num type, size_t per_row,
                       const uint8_t *valid, size_t valid_offset, size_t rows)
{
    static void (*const words[HR_NUM_COUNT])(uint64_t *, const void *, const uint8_t *, size_t,
                                             size_t) = {
        hash_words_1,   hash_words_2,    hash_words_4, hash_words_8,   hash_words_1,
        hash_words_2,   hash_words_4,    hash_words_8, hash_words_f32, hash_words_f64,
        hash_words_f16, hash_words_bf16, hash_words_1};
    const uint8_t *in = values;
    size_t bytes = per_row * hr__num_bytes(type);
    nan_way way = nan_way_of(type);
    if (per_row == 1) {
        words[type](acc, values, valid, valid_offset, rows);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        if (valid && !bit_at(valid, valid_offset + i))
            acc[i] = mix_null(acc[i]);
        else if (bytes <= 16)
            acc[i] = hash_short(acc[i], in + i * bytes, bytes, way);
        else
            acc[i] = hash_bytes(acc[i], in + i * bytes, bytes, way);
    }
}

static void hash_bits(uint64_t *acc, const uint8_t *bits, size_t offset, const uint8_t *valid,
                      size_t valid_offset, size_t rows)
{
    for (size_t at = 0; at < rows; at += 64) {
        unsigned step = (unsigned)HR_MIN(rows - at, 64);
        uint64_t word = bits_get(bits, offset + at, step);
        uint64_t there = valid_word(valid, valid_offset, at, step);
        for (unsigned i = 0; i < step; i++) {
            uint64_t value = mix(acc[at + i], word >> i & 1);
            acc[at + i] = there >> i & 1 ? value : mix_null(acc[at + i]);
        }
    }
}

#define HASH_VAR(NAME, OFFSET)                                                                     \
    static void NAME(uint64_t *acc, const void *values, hr_num type, const OFFSET *offsets,        \
                     const uint8_t *valid, size_t valid_offset, size_t rows)                       \
    {                                                                                              \
        const uint8_t *in = values;                                                                \
        const size_t width = hr__num_bytes(type);                                                  \
        nan_way way = nan_way_of(type);                                                            \
        for (size_t i = 0; i < rows; i++) {                                                        \
            if (valid && !bit_at(valid, valid_offset + i))                                         \
                acc[i] = mix_null(acc[i]);                                                         \
            else                                                                                   \
                acc[i] = hash_bytes(acc[i], in + (size_t)offsets[i] * width,                       \
                                    (size_t)(offsets[i + 1] - offsets[i]) * width, way);           \
        }                                                                                          \
    }

HASH_VAR(hash_var32, int32_t)
HASH_VAR(hash_var64, int64_t)

static void hash_nulls(uint64_t *acc, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        acc[i] = mix_null(acc[i]);
}

static uint64_t hash_finish_sum(uint64_t *out, const uint64_t *acc, size_t rows)
{
    uint64_t sum = 0;
    if (!out) {
        for (size_t i = 0; i < rows; i++)
            sum += avalanche(acc[i]);
        return sum;
    }
    HR_INDEPENDENT
    for (size_t i = 0; i < rows; i++) {
        uint64_t done = avalanche(acc[i]);
        out[i] = done;
        sum += done;
    }
    return sum;
}

static void hash_fill(hr_kernels *kernels)
{
    kernels->hash.seed = hash_seed;
    kernels->hash.seed_at = hash_seed_at;
    kernels->hash.fixed = hash_fixed;
    kernels->hash.bits = hash_bits;
    kernels->hash.var32 = hash_var32;
    kernels->hash.var64 = hash_var64;
    kernels->hash.nulls = hash_nulls;
    kernels->hash.finish_sum = hash_finish_sum;
}

#endif
