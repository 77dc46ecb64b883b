// SPDX-License-Identifier: Apache-2.0
/*
 * The AVX2 object of cast_loops.h, which the compiler vectorises, with halves by F16C. Its instructions
 * round and quieten as convert.h does.
 */
#include <immintrin.h>

#include "kernel/cast_loops.h"
#include "kernel/dispatch.h"

static void f16_to_f32(void *out, const void *in, size_t count)
{
    at_f32 *to = out;
    const at_u16 *from = in;
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps((float *)(to + i),
                         _mm256_cvtph_ps(_mm_loadu_si128((const void *)(from + i))));
    for (; i < count; i++)
        to[i] = f32_from_f16(from[i]);
}

static void f32_to_f16(void *out, const void *in, size_t count)
{
    at_u16 *to = out;
    const at_f32 *from = in;
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128(
            (void *)(to + i),
            _mm256_cvtps_ph(_mm256_loadu_ps((const float *)(from + i)), _MM_FROUND_TO_NEAREST_INT));
    for (; i < count; i++)
        to[i] = f16_from_f32(from[i]);
}

void hr__cast_fill_avx2(hr_kernels *kernels)
{
    cast_fill(kernels);
    kernels->cast.to[HR_NUM_F16][HR_NUM_F32] = f16_to_f32;
    kernels->cast.to[HR_NUM_F32][HR_NUM_F16] = f32_to_f16;
}
