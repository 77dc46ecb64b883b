// SPDX-License-Identifier: Apache-2.0
/*
 * Comparisons into byte masks, and the classes of floats.
 */
#ifndef HR_KERNEL_COMPARE_LOOPS_H
#define HR_KERNEL_COMPARE_LOOPS_H

#include "kernel/loop.h"

#define COMPARE(NAME, OP, SUFFIX, T, AT)                                                           \
    static void NAME##_##SUFFIX##_vv(uint8_t *out, const void *a, const void *b, size_t count)     \
    {                                                                                              \
        const AT *as = a, *bs = b;                                                                 \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            out[i] = as[i] OP bs[i];                                                               \
    }                                                                                              \
    static void NAME##_##SUFFIX##_vs(uint8_t *out, const void *a, const void *b, size_t count)     \
    {                                                                                              \
        if (count == 0)                                                                            \
            return;                                                                                \
        const AT *as = a;                                                                          \
        const T y = *(const AT *)b;                                                                \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            out[i] = as[i] OP y;                                                                   \
    }                                                                                              \
    static void NAME##_##SUFFIX##_sv(uint8_t *out, const void *a, const void *b, size_t count)     \
    {                                                                                              \
        if (count == 0)                                                                            \
            return;                                                                                \
        const AT *bs = b;                                                                          \
        const T x = *(const AT *)a;                                                                \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            out[i] = x OP bs[i];                                                                   \
    }

#define COMPARE_ALL(SUFFIX, T, AT, U)                                                              \
    COMPARE(compare_eq, ==, SUFFIX, T, AT)                                                         \
    COMPARE(compare_ne, !=, SUFFIX, T, AT)                                                         \
    COMPARE(compare_lt, <, SUFFIX, T, AT)                                                          \
    COMPARE(compare_le, <=, SUFFIX, T, AT)                                                         \
    COMPARE(compare_gt, >, SUFFIX, T, AT)                                                          \
    COMPARE(compare_ge, >=, SUFFIX, T, AT)

#define COMPARE_SET(OP, NAME, SUFFIX)                                                              \
    kernels->arith.compare[OP][HR_SHAPE_VV][HR_NUM_##SUFFIX] = NAME##_##SUFFIX##_vv;               \
    kernels->arith.compare[OP][HR_SHAPE_VS][HR_NUM_##SUFFIX] = NAME##_##SUFFIX##_vs;               \
    kernels->arith.compare[OP][HR_SHAPE_SV][HR_NUM_##SUFFIX] = NAME##_##SUFFIX##_sv;
#define COMPARE_SET_ALL(SUFFIX, T, AT, U)                                                          \
    COMPARE_SET(HR_COMPARE_EQ, compare_eq, SUFFIX)                                                 \
    COMPARE_SET(HR_COMPARE_NE, compare_ne, SUFFIX)                                                 \
    COMPARE_SET(HR_COMPARE_LT, compare_lt, SUFFIX)                                                 \
    COMPARE_SET(HR_COMPARE_LE, compare_le, SUFFIX)                                                 \
    COMPARE_SET(HR_COMPARE_GT, compare_gt, SUFFIX)                                                 \
    COMPARE_SET(HR_COMPARE_GE, compare_ge, SUFFIX)

HR_EACH_ARITH(COMPARE_ALL)

/** Classes by the bits without the sign, against those of infinity. */
#define CLASSIFY(NAME, OP, AT, MAGNITUDE, INFINITE)                                                \
    static void NAME(uint8_t *out, const void *in, size_t count)                                   \
    {                                                                                              \
        const AT *from = in;                                                                       \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            out[i] = (from[i] & MAGNITUDE) OP INFINITE;                                            \
    }

#define F32_MAGNITUDE 0x7fffffff
#define F32_INFINITE  0x7f800000
#define F64_MAGNITUDE 0x7fffffffffffffffll
#define F64_INFINITE  0x7ff0000000000000ll
CLASSIFY(classify_nan_f32, >, at_i32, F32_MAGNITUDE, F32_INFINITE)
CLASSIFY(classify_nan_f64, >, at_i64, F64_MAGNITUDE, F64_INFINITE)
CLASSIFY(classify_finite_f32, <, at_i32, F32_MAGNITUDE, F32_INFINITE)
CLASSIFY(classify_finite_f64, <, at_i64, F64_MAGNITUDE, F64_INFINITE)
CLASSIFY(classify_inf_f32, ==, at_i32, F32_MAGNITUDE, F32_INFINITE)
CLASSIFY(classify_inf_f64, ==, at_i64, F64_MAGNITUDE, F64_INFINITE)

static void compare_fill(hr_kernels *kernels)
{
    HR_EACH_ARITH(COMPARE_SET_ALL)
    kernels->arith.classify[HR_CLASSIFY_NAN][HR_NUM_F32] = classify_nan_f32;
    kernels->arith.classify[HR_CLASSIFY_NAN][HR_NUM_F64] = classify_nan_f64;
    kernels->arith.classify[HR_CLASSIFY_FINITE][HR_NUM_F32] = classify_finite_f32;
    kernels->arith.classify[HR_CLASSIFY_FINITE][HR_NUM_F64] = classify_finite_f64;
    kernels->arith.classify[HR_CLASSIFY_INF][HR_NUM_F32] = classify_inf_f32;
    kernels->arith.classify[HR_CLASSIFY_INF][HR_NUM_F64] = classify_inf_f64;
}

#endif
