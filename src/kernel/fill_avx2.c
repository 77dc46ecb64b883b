// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of fill_loops.h: the compiler vectorises them as they are, save the copy past the cache. A store to a
// line that is not cached first reads it from memory; these do not, which is a third of the traffic of a large block.
#include "kernel/dispatch.h"

#include <immintrin.h>
#include <string.h>

#define FILL_STREAM

static void fill_stream(void *out, const void *in, size_t bytes)
{
    uint8_t *to = out;
    const uint8_t *from = in;
    size_t head = HR_MIN((size_t)(-(uintptr_t)to & 31), bytes);
    memcpy(to, from, head);
    to += head;
    from += head;
    bytes -= head;
    for (; bytes >= 128; bytes -= 128, to += 128, from += 128) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)from);
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(from + 32));
        __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)(from + 64));
        __m256i d = _mm256_loadu_si256((const __m256i *)(const void *)(from + 96));
        _mm256_stream_si256((__m256i *)(void *)to, a);
        _mm256_stream_si256((__m256i *)(void *)(to + 32), b);
        _mm256_stream_si256((__m256i *)(void *)(to + 64), c);
        _mm256_stream_si256((__m256i *)(void *)(to + 96), d);
    }
    memcpy(to, from, bytes);
    _mm_sfence(); // others may be told of it as soon as this returns
}

#include "kernel/fill_loops.h"

void hr__fill_fill_avx2(hr_kernels *kernels)
{
    fill_fill(kernels);
}
