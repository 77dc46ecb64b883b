// SPDX-License-Identifier: Apache-2.0
/*
 * The AVX2 object of bits_loops.h (popcnt and tzcnt as instructions), with bytes and levels packed into bits
 * by movemask and bits dealt to bytes by pdep.
 */
#include <immintrin.h>

#include "kernel/bits_loops.h"
#include "kernel/dispatch.h"

HR_INLINE __m256i load(const void *at)
{
    return _mm256_loadu_si256(at);
}

HR_INLINE uint64_t mask_of(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)_mm256_movemask_epi8(high) << 32;
}

HR_INLINE uint64_t equal_64(const uint8_t *bytes, __m256i value)
{
    return mask_of(_mm256_cmpeq_epi8(load(bytes), value),
                   _mm256_cmpeq_epi8(load(bytes + 32), value));
}

static size_t from_bytes_64(uint8_t *out, size_t out_offset, const uint8_t *bytes, size_t count)
{
    size_t head = HR_MIN((8 - out_offset % 8) % 8, count);
    size_t total = bits_from_bytes(out, out_offset, bytes, head), at = head;
    const __m256i zero = _mm256_setzero_si256();
    for (; count - at >= 64; at += 64) {
        uint64_t word = ~equal_64(bytes + at, zero);
        store64(out + (out_offset + at) / 8, word);
        total += ones(word);
    }
    return total + bits_from_bytes(out, out_offset + at, bytes + at, count - at);
}

static void to_bytes_64(uint8_t *out, const uint8_t *bits, size_t offset, size_t count)
{
    size_t at = 0;
    for (; count - at >= 64; at += 64) {
        uint64_t word = bits_get(bits, offset + at, 64);
        for (unsigned i = 0; i < 64; i += 8)
            store64(out + at + i, _pdep_u64(word >> i & 0xff, 0x0101010101010101ull));
    }
    bits_to_bytes(out + at, bits, offset + at, count - at);
}

void hr__bits_fill_avx2(hr_kernels *kernels)
{
    bits_fill(kernels);
    kernels->bits.from_bytes = from_bytes_64;
    kernels->bits.to_bytes = to_bytes_64;
}
