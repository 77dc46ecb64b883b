// SPDX-License-Identifier: Apache-2.0
/*
 * Prefix sums in a register by shifted additions:
 *
 *     x                  a    b    c     d
 *     + x up by 1 lane   a    ab   bc    cd
 *     + that up by 2     a    ab   abc   abcd
 *
 * then the low half's total goes into the high half, and the sum so far into all. What the steps of the
 * loop wait for is only the addition of totals.
 */
#include <immintrin.h>

#include "kernel/dispatch.h"
#include "kernel/loop.h"

static void delta_sum_i32(int32_t *out, const uint32_t *packed, size_t count, int32_t min_delta,
                          int32_t *last)
{
    const __m256i least = _mm256_set1_epi32(min_delta), top = _mm256_set1_epi32(7);
    __m256i sum = _mm256_set1_epi32(*last);
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(packed + i));
        x = _mm256_add_epi32(x, least);
        x = _mm256_add_epi32(x, _mm256_slli_si256(x, 4));
        x = _mm256_add_epi32(x, _mm256_slli_si256(x, 8));
        __m256i low_total = _mm256_shuffle_epi32(_mm256_permute2x128_si256(x, x, 0x08), 0xff);
        x = _mm256_add_epi32(x, low_total);
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_add_epi32(x, sum));
        sum = _mm256_add_epi32(sum, _mm256_permutevar8x32_epi32(x, top));
    }
    uint32_t rest = (uint32_t)_mm256_cvtsi256_si32(sum);
    for (; i < count; i++) {
        rest += packed[i] + (uint32_t)min_delta;
        out[i] = (int32_t)rest;
    }
    *last = (int32_t)rest;
}

static void delta_sum_i64(int64_t *out, const uint64_t *packed, size_t count, int64_t min_delta,
                          int64_t *last)
{
    const __m256i least = _mm256_set1_epi64x(min_delta);
    __m256i sum = _mm256_set1_epi64x(*last);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(packed + i));
        x = _mm256_add_epi64(x, least);
        x = _mm256_add_epi64(x, _mm256_slli_si256(x, 8));
        __m256i low_total = _mm256_permute2x128_si256(x, x, 0x08);
        x = _mm256_add_epi64(x, _mm256_unpackhi_epi64(low_total, low_total));
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_add_epi64(x, sum));
        sum = _mm256_add_epi64(sum, _mm256_permute4x64_epi64(x, 0xff));
    }
    uint64_t rest = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(sum));
    for (; i < count; i++) {
        rest += packed[i] + (uint64_t)min_delta;
        out[i] = (int64_t)rest;
    }
    *last = (int64_t)rest;
}

void hr__delta_fill_avx2(hr_kernels *kernels)
{
    kernels->delta.sum_i32 = delta_sum_i32;
    kernels->delta.sum_i64 = delta_sum_i64;
}
