// SPDX-License-Identifier: Apache-2.0
/*
 * The AVX2 object of spread_loops.h, with bits moved by pdep and pext, and values of 4 and 8 bytes moved 8
 * and 4 at a time: the same two instructions turn a byte of the bitmap into the lane each value comes from.
 *
 *     bits 1 0 1 1 (lane 0 first)     spread  lanes 0 - 1 2 (- is zeroed)     compact  lanes 0 2 3
 */
#include <immintrin.h>

#include "kernel/dispatch.h"
#include "kernel/loop.h"

static uint64_t deposit(uint64_t value, uint64_t mask)
{
    return _pdep_u64(value, mask);
}
static uint64_t extract(uint64_t value, uint64_t mask)
{
    return _pext_u64(value, mask);
}

#include "kernel/spread_loops.h"

static const uint64_t lane_numbers = 0x0706050403020100ull;

/** Each of 8 bits as a byte of ones. */
HR_INLINE uint64_t byte_mask(uint64_t bits)
{
    return _pdep_u64(bits, 0x0101010101010101ull) * 0xff;
}

/** Lane numbers in bytes, as indices for a permutation of 8 lanes of 4 bytes. */
HR_INLINE __m256i lanes_of(uint64_t numbers)
{
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)numbers));
}

/** As lanes_of, for 4 lanes of 8 bytes: each number n becomes the pair 2n, 2n + 1. */
HR_INLINE __m256i wide_lanes_of(uint64_t numbers)
{
    __m256i n = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128((int)(uint32_t)numbers));
    n = _mm256_add_epi64(n, n);
    return _mm256_or_si256(n, _mm256_slli_epi64(_mm256_add_epi64(n, _mm256_set1_epi64x(1)), 32));
}

/**
 * Spreads the rows below `end`, from the back, LANES at a time, as long as a whole load of dense values is
 * within the `total` there are, or within what is in place. Mixed words only: the caller has the others.
 */
#define SPREAD_WORD(NAME, T, LANES, INDICES, WIDEN)                                                \
    static size_t NAME(T *out, const T *in, size_t dense, size_t readable, uint64_t word)          \
    {                                                                                              \
        for (unsigned i = 64; i > 0;) {                                                            \
            i -= LANES;                                                                            \
            uint64_t bits = word >> i & low_mask(LANES);                                           \
            size_t first = dense - ones(bits);                                                     \
            if (first + LANES <= readable) {                                                       \
                uint64_t mask = byte_mask(bits);                                                   \
                __m256i x = _mm256_loadu_si256((const void *)(in + first));                        \
                x = _mm256_permutevar8x32_epi32(x, INDICES(_pdep_u64(lane_numbers, mask)));        \
                __m256i keep = WIDEN(_mm_cvtsi64_si128((long long)mask));                          \
                _mm256_storeu_si256((void *)(out + i), _mm256_and_si256(x, keep));                 \
            } else {                                                                               \
                spread_step((void *)(out + i), (const void *)in, dense, bits, LANES, sizeof(T));   \
            }                                                                                      \
            dense = first;                                                                         \
        }                                                                                          \
        return dense;                                                                              \
    }

SPREAD_WORD(spread_word_4, at_u32, 8, lanes_of, _mm256_cvtepi8_epi32)
SPREAD_WORD(spread_word_8, at_u64, 4, wide_lanes_of, _mm256_cvtepi8_epi64)

static size_t spread_lanes(void *out_, const void *in_, const uint8_t *bits, size_t offset,
                           size_t rows, size_t width)
{
    if (width != 4 && width != 8)
        return spread_spread(out_, in_, bits, offset, rows, width);
    uint8_t *out = out_;
    const uint8_t *in = in_;
    size_t total = bits_count(bits, offset, rows), dense = total;
    size_t readable = out == in ? rows : total;
    for (size_t end = rows; end > 0;) {
        unsigned step = end % 64 ? end % 64 : 64;
        size_t at = end - step;
        uint64_t word = bits_get(bits, offset + at, step);
        uint8_t *to = out + at * width;
        end = at;
        if (word == low_mask(step)) {
            dense -= step;
            memmove(to, in + dense * width, step * width);
        } else if (word == 0) {
            memset(to, 0, step * width);
        } else if (step < 64) {
            dense = spread_step(to, in, dense, word, step, width);
        } else if (width == 4) {
            dense = spread_word_4((void *)to, (const void *)in, dense, readable, word);
        } else {
            dense = spread_word_8((void *)to, (const void *)in, dense, readable, word);
        }
    }
    return total;
}

/** Keeps the rows of one word; whole stores are made while `room` values fit. */
#define COMPACT_WORD(NAME, T, LANES, INDICES)                                                      \
    static size_t NAME(T *out, const T *in, size_t room, uint64_t word)                            \
    {                                                                                              \
        size_t kept = 0;                                                                           \
        for (unsigned i = 0; i < 64; i += LANES) {                                                 \
            uint64_t bits = word >> i & low_mask(LANES);                                           \
            if (kept + LANES <= room) {                                                            \
                __m256i x = _mm256_loadu_si256((const void *)(in + i));                            \
                x = _mm256_permutevar8x32_epi32(                                                   \
                    x, INDICES(_pext_u64(lane_numbers, byte_mask(bits))));                         \
                _mm256_storeu_si256((void *)(out + kept), x);                                      \
            } else {                                                                               \
                compact_step((void *)(out + kept), (const void *)(in + i), bits, sizeof(T));       \
            }                                                                                      \
            kept += ones(bits);                                                                    \
        }                                                                                          \
        return kept;                                                                               \
    }

COMPACT_WORD(compact_word_4, at_u32, 8, lanes_of)
COMPACT_WORD(compact_word_8, at_u64, 4, wide_lanes_of)

static size_t compact_lanes(void *out_, const void *in_, const uint8_t *bits, size_t offset,
                            size_t rows, size_t width)
{
    if (width != 4 && width != 8)
        return spread_compact(out_, in_, bits, offset, rows, width);
    uint8_t *out = out_;
    const uint8_t *in = in_;
    size_t total = bits_count(bits, offset, rows), kept = 0;
    for (size_t at = 0; at < rows; at += 64) {
        unsigned step = (unsigned)HR_MIN(rows - at, 64);
        uint64_t word = bits_get(bits, offset + at, step);
        uint8_t *to = out + kept * width;
        const uint8_t *from = in + at * width;
        if (word == low_mask(step)) {
            memmove(to, from, step * width);
            kept += step;
        } else if (step < 64 || word == 0) {
            compact_step(to, from, word, width);
            kept += ones(word);
        } else if (width == 4) {
            kept += compact_word_4((void *)to, (const void *)from, total - kept, word);
        } else {
            kept += compact_word_8((void *)to, (const void *)from, total - kept, word);
        }
    }
    return total;
}

void hr__spread_fill_avx2(hr_kernels *kernels)
{
    spread_fill(kernels);
    kernels->spread.spread = spread_lanes;
    kernels->spread.compact = compact_lanes;
}
