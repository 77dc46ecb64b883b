// SPDX-License-Identifier: Apache-2.0
/*
 * Scale and shift: (x - shift) * scale and (x - shift) / scale, not contracted, so that a scaler agrees to
 * the last bit with the two operations it stands for.
 */
#ifndef HR_KERNEL_AFFINE_LOOPS_H
#define HR_KERNEL_AFFINE_LOOPS_H

#include "kernel/loop.h"

#define AFFINE(NAME, OP, OUT, OUT_AT, IN_AT)                                                       \
    HR_INLINE void NAME(OUT_AT *to, const IN_AT *from, OUT shift, OUT scale, size_t count)         \
    {                                                                                              \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = ((OUT)from[i] - shift) OP scale;                                               \
    }
#define AFFINE_F64(SUFFIX, T, AT, U)                                                               \
    AFFINE(affine_mul_loop_##SUFFIX, *, double, at_f64, AT)                                        \
    AFFINE(affine_div_loop_##SUFFIX, /, double, at_f64, AT)                                        \
    static void affine_mul_##SUFFIX(double *out, const void *in, double shift, double scale,       \
                                    size_t count)                                                  \
    {                                                                                              \
        affine_mul_loop_##SUFFIX(out, in, shift, scale, count);                                    \
    }                                                                                              \
    static void affine_div_##SUFFIX(double *out, const void *in, double shift, double scale,       \
                                    size_t count)                                                  \
    {                                                                                              \
        affine_div_loop_##SUFFIX(out, in, shift, scale, count);                                    \
    }
#define AFFINE_SET(SUFFIX, T, AT, U)                                                               \
    kernels->affine.mul[HR_NUM_##SUFFIX] = affine_mul_##SUFFIX;                                    \
    kernels->affine.div[HR_NUM_##SUFFIX] = affine_div_##SUFFIX;

HR_EACH_ARITH(AFFINE_F64)
AFFINE(affine_mul_loop_f32, *, float, at_f32, at_f32)
AFFINE(affine_div_loop_f32, /, float, at_f32, at_f32)

static void affine_mul_f32(float *out, const float *in, float shift, float scale, size_t count)
{
    affine_mul_loop_f32(out, in, shift, scale, count);
}

static void affine_div_f32(float *out, const float *in, float shift, float scale, size_t count)
{
    affine_div_loop_f32(out, in, shift, scale, count);
}

static void affine_fill(hr_kernels *kernels)
{
    HR_EACH_ARITH(AFFINE_SET)
    kernels->affine.mul_f32 = affine_mul_f32;
    kernels->affine.div_f32 = affine_div_f32;
}

#endif
