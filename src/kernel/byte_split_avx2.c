// SPDX-License-Identifier: Apache-2.0
/*
 * Byte streams joined by AVX2: 32 values at a step, their bytes brought together by interleaving pairs of
 * registers, first bytes, then words of 2 and of 4. Interleaving works in halves of 16 bytes, so that a
 * register ends with 16 bytes of values of the first half and 16 of the second; the last step puts equal
 * halves together.
 */
#include <immintrin.h>

#include "kernel/byte_split_loops.h"
#include "kernel/dispatch.h"

enum { STEP = 32 };

HR_INLINE __m256i load(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

/** Stores n registers whose low halves come first, then their high halves. */
HR_INLINE void store_halves(uint8_t *out, const __m256i *x, unsigned n)
{
    for (unsigned i = 0; i < n; i += 2) {
        __m256i low = _mm256_permute2x128_si256(x[i], x[i + 1], 0x20);
        __m256i high = _mm256_permute2x128_si256(x[i], x[i + 1], 0x31);
        _mm256_storeu_si256((__m256i *)(out + i * 16), low);
        _mm256_storeu_si256((__m256i *)(out + (n + i) * 16), high);
    }
}

static size_t join_2_steps(uint8_t *out, const uint8_t *in, size_t stream_bytes, size_t count)
{
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        __m256i a = load(in + i), b = load(in + stream_bytes + i);
        __m256i x[2] = {_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)};
        store_halves(out + i * 2, x, 2);
    }
    return i;
}

/** Four streams into four registers of 4-byte words, values 0-3, 4-7, 8-11, 12-15 of each half. */
HR_INLINE void join_words(__m256i *x, const uint8_t *in, size_t stream_bytes)
{
    __m256i a = load(in), b = load(in + stream_bytes);
    __m256i c = load(in + 2 * stream_bytes), d = load(in + 3 * stream_bytes);
    __m256i ab_low = _mm256_unpacklo_epi8(a, b), ab_high = _mm256_unpackhi_epi8(a, b);
    __m256i cd_low = _mm256_unpacklo_epi8(c, d), cd_high = _mm256_unpackhi_epi8(c, d);
    x[0] = _mm256_unpacklo_epi16(ab_low, cd_low);
    x[1] = _mm256_unpackhi_epi16(ab_low, cd_low);
    x[2] = _mm256_unpacklo_epi16(ab_high, cd_high);
    x[3] = _mm256_unpackhi_epi16(ab_high, cd_high);
}

static size_t join_4_steps(uint8_t *out, const uint8_t *in, size_t stream_bytes, size_t count)
{
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        __m256i x[4];
        join_words(x, in + i, stream_bytes);
        store_halves(out + i * 4, x, 4);
    }
    return i;
}

static size_t join_8_steps(uint8_t *out, const uint8_t *in, size_t stream_bytes, size_t count)
{
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        __m256i low[4], high[4], x[8];
        join_words(low, in + i, stream_bytes);
        join_words(high, in + 4 * stream_bytes + i, stream_bytes);
        for (unsigned j = 0; j < 4; j++) {
            x[2 * j] = _mm256_unpacklo_epi32(low[j], high[j]);
            x[2 * j + 1] = _mm256_unpackhi_epi32(low[j], high[j]);
        }
        store_halves(out + i * 8, x, 8);
    }
    return i;
}

static void byte_split_join(uint8_t *out, const uint8_t *in, size_t stream_bytes, size_t width,
                            size_t count)
{
    size_t done;
    switch (width) {
    case 2:
        done = join_2_steps(out, in, stream_bytes, count);
        join_2(out + done * 2, in + done, stream_bytes, count - done);
        break;
    case 4:
        done = join_4_steps(out, in, stream_bytes, count);
        join_4(out + done * 4, in + done, stream_bytes, count - done);
        break;
    case 8:
        done = join_8_steps(out, in, stream_bytes, count);
        join_8(out + done * 8, in + done, stream_bytes, count - done);
        break;
    default:
        join_any(out, in, stream_bytes, width, count);
    }
}

void hr__byte_split_fill_avx2(hr_kernels *kernels)
{
    kernels->byte_split.join = byte_split_join;
}
