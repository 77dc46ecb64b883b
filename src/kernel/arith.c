// SPDX-License-Identifier: Apache-2.0
/*
 * The reference object of arith_loops.h, and what has no vector form: division as Python does it, powers.
 *
 * Floored division of floats follows CPython's float_divmod: the quotient is made from the remainder, so
 * that quotient * divisor + remainder is as near to the dividend as floats allow.
 */
#include <math.h>

#include "kernel/arith_loops.h"
#include "kernel/dispatch.h"

/** Quotient rounded down, and remainder with the divisor's sign, of OP(x, y); y is not 0. */
#define FLOOR_SIGNED(T, U, x, y)                                                                   \
    ((y) == -1 ? (T)(U)(0 - (U)(x)) : (T)((x) / (y) - ((x) % (y) != 0 && ((x) < 0) != ((y) < 0))))
#define MOD_SIGNED(T, U, x, y)                                                                     \
    ((y) == -1 ? (T)0 : (T)((x) % (y) + ((x) % (y) != 0 && ((x) < 0) != ((y) < 0) ? (y) : 0)))
#define FLOOR_UNSIGNED(T, U, x, y) ((T)((x) / (y)))
#define MOD_UNSIGNED(T, U, x, y)   ((T)((x) % (y)))

/** One loop serves the three shapes: division costs more than the step does. */
#define DIVIDE_INT(NAME, OP, SUFFIX, T, AT, U)                                                     \
    HR_INLINE size_t NAME##_##SUFFIX(void *out, const void *a, size_t a_step, const void *b,       \
                                     size_t b_step, size_t count, uint8_t *zeros)                  \
    {                                                                                              \
        AT *to = out;                                                                              \
        const AT *as = a, *bs = b;                                                                 \
        size_t bad = 0;                                                                            \
        for (size_t i = 0; i < count; i++) {                                                       \
            T x = as[i * a_step], y = bs[i * b_step];                                              \
            bool zero = y == 0;                                                                    \
            bad += zero;                                                                           \
            if (zeros)                                                                             \
                zeros[i] = zero;                                                                   \
            to[i] = zero ? (T)0 : OP(T, U, x, y);                                                  \
        }                                                                                          \
        return bad;                                                                                \
    }                                                                                              \
    DIVIDE_SHAPES(NAME, SUFFIX)

#define DIVIDE_FLOAT(NAME, OP, SUFFIX, T, AT, U)                                                   \
    HR_INLINE size_t NAME##_##SUFFIX(void *out, const void *a, size_t a_step, const void *b,       \
                                     size_t b_step, size_t count, uint8_t *zeros)                  \
    {                                                                                              \
        AT *to = out;                                                                              \
        const AT *as = a, *bs = b;                                                                 \
        if (zeros && count)                                                                        \
            memset(zeros, 0, count);                                                               \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = OP(as[i * a_step], bs[i * b_step]);                                            \
        return 0;                                                                                  \
    }                                                                                              \
    DIVIDE_SHAPES(NAME, SUFFIX)

#define DIVIDE_SHAPES(NAME, SUFFIX)                                                                \
    static size_t NAME##_##SUFFIX##_vv(void *out, const void *a, const void *b, size_t count,      \
                                       uint8_t *zeros)                                             \
    {                                                                                              \
        return NAME##_##SUFFIX(out, a, 1, b, 1, count, zeros);                                     \
    }                                                                                              \
    static size_t NAME##_##SUFFIX##_vs(void *out, const void *a, const void *b, size_t count,      \
                                       uint8_t *zeros)                                             \
    {                                                                                              \
        return NAME##_##SUFFIX(out, a, 1, b, 0, count, zeros);                                     \
    }                                                                                              \
    static size_t NAME##_##SUFFIX##_sv(void *out, const void *a, const void *b, size_t count,      \
                                       uint8_t *zeros)                                             \
    {                                                                                              \
        return NAME##_##SUFFIX(out, a, 0, b, 1, count, zeros);                                     \
    }

#define MOD_REAL(NAME, T, FMOD, COPYSIGN)                                                          \
    static T NAME(T x, T y)                                                                        \
    {                                                                                              \
        T rest = FMOD(x, y);                                                                       \
        if (y == 0)                                                                                \
            return rest;                                                                           \
        if (rest == 0)                                                                             \
            return COPYSIGN(0, y);                                                                 \
        return (y < 0) != (rest < 0) ? rest + y : rest;                                            \
    }

#define FLOOR_REAL(NAME, T, FMOD, FLOOR, COPYSIGN)                                                 \
    static T NAME(T x, T y)                                                                        \
    {                                                                                              \
        if (y == 0)                                                                                \
            return x / y;                                                                          \
        T rest = FMOD(x, y), quotient = (x - rest) / y;                                            \
        if (rest != 0 && (y < 0) != (rest < 0))                                                    \
            quotient -= 1;                                                                         \
        if (quotient == 0)                                                                         \
            return COPYSIGN(0, x / y);                                                             \
        T floored = FLOOR(quotient);                                                               \
        return quotient - floored > (T)0.5 ? floored + 1 : floored;                                \
    }

MOD_REAL(mod_f32, float, fmodf, copysignf)
MOD_REAL(mod_f64, double, fmod, copysign)
FLOOR_REAL(floor_f32, float, fmodf, floorf, copysignf)
FLOOR_REAL(floor_f64, double, fmod, floor, copysign)

#define DIVIDE_SIGNED(SUFFIX, T, AT, U)                                                            \
    DIVIDE_INT(divide_floor, FLOOR_SIGNED, SUFFIX, T, AT, U)                                       \
    DIVIDE_INT(divide_mod, MOD_SIGNED, SUFFIX, T, AT, U)
#define DIVIDE_UNSIGNED(SUFFIX, T, AT, U)                                                          \
    DIVIDE_INT(divide_floor, FLOOR_UNSIGNED, SUFFIX, T, AT, U)                                     \
    DIVIDE_INT(divide_mod, MOD_UNSIGNED, SUFFIX, T, AT, U)
#define DIVIDE_SET(SUFFIX, T, AT, U)                                                               \
    ARITH_SET(divide[HR_DIVIDE_FLOOR], divide_floor, SUFFIX)                                       \
    ARITH_SET(divide[HR_DIVIDE_MOD], divide_mod, SUFFIX)

HR_EACH_SIGNED(DIVIDE_SIGNED)
HR_EACH_UNSIGNED(DIVIDE_UNSIGNED)
DIVIDE_FLOAT(divide_floor, floor_f32, F32, float, at_f32, uint32_t)
DIVIDE_FLOAT(divide_floor, floor_f64, F64, double, at_f64, uint64_t)
DIVIDE_FLOAT(divide_mod, mod_f32, F32, float, at_f32, uint32_t)
DIVIDE_FLOAT(divide_mod, mod_f64, F64, double, at_f64, uint64_t)

#define pow_f32(T, U, x, y) powf(x, y)
#define pow_f64(T, U, x, y) pow(x, y)
ARITH(pow_f32, F32, float, at_f32, uint32_t)
ARITH(pow_f64, F64, double, at_f64, uint64_t)

void hr__arith_fill_c(hr_kernels *kernels)
{
    arith_fill(kernels);
    HR_EACH_ARITH(DIVIDE_SET)
    ARITH_SET(binary[HR_ARITH_POW], pow_f32, F32)
    ARITH_SET(binary[HR_ARITH_POW], pow_f64, F64)
}
