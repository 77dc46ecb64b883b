// SPDX-License-Identifier: Apache-2.0
/*
 * The reference object of math_loops.h, and the transcendental functions: loops over libm, which is within
 * 1 ulp. glibc's vector forms allow 4, so they are not used.
 */
#include "kernel/dispatch.h"
#include "kernel/math_loops.h"

#define exp_f32(T, U, x)   expf(x)
#define exp_f64(T, U, x)   exp(x)
#define expm1_f32(T, U, x) expm1f(x)
#define expm1_f64(T, U, x) expm1(x)
#define log_f32(T, U, x)   logf(x)
#define log_f64(T, U, x)   log(x)
#define log1p_f32(T, U, x) log1pf(x)
#define log1p_f64(T, U, x) log1p(x)
#define log2_f32(T, U, x)  log2f(x)
#define log2_f64(T, U, x)  log2(x)
#define log10_f32(T, U, x) log10f(x)
#define log10_f64(T, U, x) log10(x)
#define sin_f32(T, U, x)   sinf(x)
#define sin_f64(T, U, x)   sin(x)
#define cos_f32(T, U, x)   cosf(x)
#define cos_f64(T, U, x)   cos(x)
#define tanh_f32(T, U, x)  tanhf(x)
#define tanh_f64(T, U, x)  tanh(x)

UNARY_BOTH(exp)
UNARY_BOTH(expm1)
UNARY_BOTH(log)
UNARY_BOTH(log1p)
UNARY_BOTH(log2)
UNARY_BOTH(log10)
UNARY_BOTH(sin)
UNARY_BOTH(cos)
UNARY_BOTH(tanh)

void hr__math_fill_c(hr_kernels *kernels)
{
    math_fill(kernels);
    UNARY_SET_BOTH(HR_UNARY_EXP, exp)
    UNARY_SET_BOTH(HR_UNARY_EXPM1, expm1)
    UNARY_SET_BOTH(HR_UNARY_LOG, log)
    UNARY_SET_BOTH(HR_UNARY_LOG1P, log1p)
    UNARY_SET_BOTH(HR_UNARY_LOG2, log2)
    UNARY_SET_BOTH(HR_UNARY_LOG10, log10)
    UNARY_SET_BOTH(HR_UNARY_SIN, sin)
    UNARY_SET_BOTH(HR_UNARY_COS, cos)
    UNARY_SET_BOTH(HR_UNARY_TANH, tanh)
}
