// SPDX-License-Identifier: Apache-2.0
/*
 * Functions of one value that have a vector form: signs, roots and roundings.
 */
#ifndef HR_KERNEL_MATH_LOOPS_H
#define HR_KERNEL_MATH_LOOPS_H

#include <math.h>

#include "kernel/loop.h"

#define UNARY(OP, SUFFIX, T, AT, U)                                                                \
    static void OP##_##SUFFIX(void *out, const void *in, size_t count)                             \
    {                                                                                              \
        AT *to = out;                                                                              \
        const AT *from = in;                                                                       \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = OP(T, U, from[i]);                                                             \
    }
#define UNARY_SET(ENUM, OP, SUFFIX) kernels->arith.unary[ENUM][HR_NUM_##SUFFIX] = OP##_##SUFFIX;

#define neg_int(T, U, x)       ((T)(U)(0 - (U)(x)))
#define abs_signed(T, U, x)    ((x) < 0 ? (T)(U)(0 - (U)(x)) : (x))
#define abs_unsigned(T, U, x)  (x)
#define sign_signed(T, U, x)   ((T)(((x) > 0) - ((x) < 0)))
#define sign_unsigned(T, U, x) ((T)((x) > 0))
#define neg_float(T, U, x)     (-(x))
#define sign_float(T, U, x)    ((x) > 0 ? (T)1 : (x) < 0 ? (T)-1 : (x))
#define abs_f32(T, U, x)       fabsf(x)
#define abs_f64(T, U, x)       fabs(x)
#define sqrt_f32(T, U, x)      sqrtf(x)
#define sqrt_f64(T, U, x)      sqrt(x)
#define floor_f32(T, U, x)     floorf(x)
#define floor_f64(T, U, x)     floor(x)
#define ceil_f32(T, U, x)      ceilf(x)
#define ceil_f64(T, U, x)      ceil(x)
#define round_f32(T, U, x)     rintf(x)
#define round_f64(T, U, x)     rint(x)
#define trunc_f32(T, U, x)     truncf(x)
#define trunc_f64(T, U, x)     trunc(x)

#define UNARY_SIGNED(SUFFIX, T, AT, U)                                                             \
    UNARY(neg_int, SUFFIX, T, AT, U)                                                               \
    UNARY(abs_signed, SUFFIX, T, AT, U)                                                            \
    UNARY(sign_signed, SUFFIX, T, AT, U)
#define UNARY_UNSIGNED(SUFFIX, T, AT, U)                                                           \
    UNARY(neg_int, SUFFIX, T, AT, U)                                                               \
    UNARY(abs_unsigned, SUFFIX, T, AT, U)                                                          \
    UNARY(sign_unsigned, SUFFIX, T, AT, U)
#define UNARY_FLOAT(SUFFIX, T, AT, U)                                                              \
    UNARY(neg_float, SUFFIX, T, AT, U)                                                             \
    UNARY(sign_float, SUFFIX, T, AT, U)

HR_EACH_SIGNED(UNARY_SIGNED)
HR_EACH_UNSIGNED(UNARY_UNSIGNED)
HR_EACH_FLOAT(UNARY_FLOAT)

#define UNARY_BOTH(NAME)                                                                           \
    UNARY(NAME##_f32, F32, float, at_f32, uint32_t)                                                \
    UNARY(NAME##_f64, F64, double, at_f64, uint64_t)
#define UNARY_SET_BOTH(ENUM, NAME)                                                                 \
    UNARY_SET(ENUM, NAME##_f32, F32)                                                               \
    UNARY_SET(ENUM, NAME##_f64, F64)

UNARY_BOTH(abs)
UNARY_BOTH(sqrt)
UNARY_BOTH(floor)
UNARY_BOTH(ceil)
UNARY_BOTH(round)
UNARY_BOTH(trunc)

#define MATH_SET_SIGNED(SUFFIX, T, AT, U)                                                          \
    UNARY_SET(HR_UNARY_NEG, neg_int, SUFFIX)                                                       \
    UNARY_SET(HR_UNARY_ABS, abs_signed, SUFFIX)                                                    \
    UNARY_SET(HR_UNARY_SIGN, sign_signed, SUFFIX)
#define MATH_SET_UNSIGNED(SUFFIX, T, AT, U)                                                        \
    UNARY_SET(HR_UNARY_NEG, neg_int, SUFFIX)                                                       \
    UNARY_SET(HR_UNARY_ABS, abs_unsigned, SUFFIX)                                                  \
    UNARY_SET(HR_UNARY_SIGN, sign_unsigned, SUFFIX)
#define MATH_SET_FLOAT(SUFFIX, T, AT, U)                                                           \
    UNARY_SET(HR_UNARY_NEG, neg_float, SUFFIX)                                                     \
    UNARY_SET(HR_UNARY_SIGN, sign_float, SUFFIX)

static void math_fill(hr_kernels *kernels)
{
    HR_EACH_SIGNED(MATH_SET_SIGNED)
    HR_EACH_UNSIGNED(MATH_SET_UNSIGNED)
    HR_EACH_FLOAT(MATH_SET_FLOAT)
    UNARY_SET_BOTH(HR_UNARY_ABS, abs)
    UNARY_SET_BOTH(HR_UNARY_SQRT, sqrt)
    UNARY_SET_BOTH(HR_UNARY_FLOOR, floor)
    UNARY_SET_BOTH(HR_UNARY_CEIL, ceil)
    UNARY_SET_BOTH(HR_UNARY_ROUND, round)
    UNARY_SET_BOTH(HR_UNARY_TRUNC, trunc)
}

#endif
