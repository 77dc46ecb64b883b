// SPDX-License-Identifier: Apache-2.0
/*
 * Arithmetic on two operands, each a vector or one value. Integers compute in the unsigned type of their
 * width, so that wrapping is defined; types below int would be promoted, so results are cast back.
 */
#ifndef HR_KERNEL_ARITH_LOOPS_H
#define HR_KERNEL_ARITH_LOOPS_H

#include "kernel/loop.h"

/** The three shapes of OP(T, U, x, y), an expression of type T. */
#define ARITH(OP, SUFFIX, T, AT, U)                                                                \
    static void OP##_##SUFFIX##_vv(void *out, const void *a, const void *b, size_t count)          \
    {                                                                                              \
        AT *to = out;                                                                              \
        const AT *as = a, *bs = b;                                                                 \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = OP(T, U, as[i], bs[i]);                                                        \
    }                                                                                              \
    static void OP##_##SUFFIX##_vs(void *out, const void *a, const void *b, size_t count)          \
    {                                                                                              \
        if (count == 0)                                                                            \
            return;                                                                                \
        AT *to = out;                                                                              \
        const AT *as = a;                                                                          \
        const T y = *(const AT *)b;                                                                \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = OP(T, U, as[i], y);                                                            \
    }                                                                                              \
    static void OP##_##SUFFIX##_sv(void *out, const void *a, const void *b, size_t count)          \
    {                                                                                              \
        if (count == 0)                                                                            \
            return;                                                                                \
        AT *to = out;                                                                              \
        const AT *bs = b;                                                                          \
        const T x = *(const AT *)a;                                                                \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = OP(T, U, x, bs[i]);                                                            \
    }

#define ARITH_SET(TABLE, OP, SUFFIX)                                                               \
    kernels->arith.TABLE[HR_SHAPE_VV][HR_NUM_##SUFFIX] = OP##_##SUFFIX##_vv;                       \
    kernels->arith.TABLE[HR_SHAPE_VS][HR_NUM_##SUFFIX] = OP##_##SUFFIX##_vs;                       \
    kernels->arith.TABLE[HR_SHAPE_SV][HR_NUM_##SUFFIX] = OP##_##SUFFIX##_sv;

// The 1u keeps a product of uint16_t, which would be promoted to int, unsigned.
#define add_int(T, U, x, y)   ((T)(U)((U)(x) + (U)(y)))
#define sub_int(T, U, x, y)   ((T)(U)((U)(x) - (U)(y)))
#define mul_int(T, U, x, y)   ((T)(U)(1u * (U)(x) * (U)(y)))
#define min_int(T, U, x, y)   ((x) < (y) ? (x) : (y))
#define max_int(T, U, x, y)   ((x) > (y) ? (x) : (y))
#define add_float(T, U, x, y) ((x) + (y))
#define sub_float(T, U, x, y) ((x) - (y))
#define mul_float(T, U, x, y) ((x) * (y))
#define div_float(T, U, x, y) ((x) / (y))
#define min_float(T, U, x, y) ((x) < (y) || (x) != (x) ? (x) : (y))
#define max_float(T, U, x, y) ((x) > (y) || (x) != (x) ? (x) : (y))

#define ARITH_INT(SUFFIX, T, AT, U)                                                                \
    ARITH(add_int, SUFFIX, T, AT, U)                                                               \
    ARITH(sub_int, SUFFIX, T, AT, U)                                                               \
    ARITH(mul_int, SUFFIX, T, AT, U)                                                               \
    ARITH(min_int, SUFFIX, T, AT, U)                                                               \
    ARITH(max_int, SUFFIX, T, AT, U)
#define ARITH_FLOAT(SUFFIX, T, AT, U)                                                              \
    ARITH(add_float, SUFFIX, T, AT, U)                                                             \
    ARITH(sub_float, SUFFIX, T, AT, U)                                                             \
    ARITH(mul_float, SUFFIX, T, AT, U)                                                             \
    ARITH(div_float, SUFFIX, T, AT, U)                                                             \
    ARITH(min_float, SUFFIX, T, AT, U)                                                             \
    ARITH(max_float, SUFFIX, T, AT, U)
#define ARITH_SET_INT(SUFFIX, T, AT, U)                                                            \
    ARITH_SET(binary[HR_ARITH_ADD], add_int, SUFFIX)                                               \
    ARITH_SET(binary[HR_ARITH_SUB], sub_int, SUFFIX)                                               \
    ARITH_SET(binary[HR_ARITH_MUL], mul_int, SUFFIX)                                               \
    ARITH_SET(binary[HR_ARITH_MIN], min_int, SUFFIX)                                               \
    ARITH_SET(binary[HR_ARITH_MAX], max_int, SUFFIX)
#define ARITH_SET_FLOAT(SUFFIX, T, AT, U)                                                          \
    ARITH_SET(binary[HR_ARITH_ADD], add_float, SUFFIX)                                             \
    ARITH_SET(binary[HR_ARITH_SUB], sub_float, SUFFIX)                                             \
    ARITH_SET(binary[HR_ARITH_MUL], mul_float, SUFFIX)                                             \
    ARITH_SET(binary[HR_ARITH_DIV], div_float, SUFFIX)                                             \
    ARITH_SET(binary[HR_ARITH_MIN], min_float, SUFFIX)                                             \
    ARITH_SET(binary[HR_ARITH_MAX], max_float, SUFFIX)

HR_EACH_INT(ARITH_INT)
HR_EACH_FLOAT(ARITH_FLOAT)

static void mask_and(uint8_t *out, const uint8_t *a, const uint8_t *b, size_t count)
{
    HR_INDEPENDENT
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] & b[i];
}

static void mask_or(uint8_t *out, const uint8_t *a, const uint8_t *b, size_t count)
{
    HR_INDEPENDENT
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] | b[i];
}

static void mask_xor(uint8_t *out, const uint8_t *a, const uint8_t *b, size_t count)
{
    HR_INDEPENDENT
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] ^ b[i];
}

static void mask_andnot(uint8_t *out, const uint8_t *a, const uint8_t *b, size_t count)
{
    HR_INDEPENDENT
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] & (b[i] ^ 1);
}

static void mask_invert(uint8_t *out, const uint8_t *mask, size_t count)
{
    HR_INDEPENDENT
    for (size_t i = 0; i < count; i++)
        out[i] = mask[i] ^ 1;
}

#define SELECT(NAME, AT, T)                                                                        \
    static void NAME(void *out, const uint8_t *mask, const void *a, bool a_is_scalar,              \
                     const void *b, bool b_is_scalar, size_t count)                                \
    {                                                                                              \
        AT *to = out;                                                                              \
        const AT *as = a, *bs = b;                                                                 \
        if (a_is_scalar && b_is_scalar) {                                                          \
            const T x = *as, y = *bs;                                                              \
            HR_INDEPENDENT                                                                         \
            for (size_t i = 0; i < count; i++)                                                     \
                to[i] = mask[i] ? x : y;                                                           \
        } else if (a_is_scalar) {                                                                  \
            const T x = *as;                                                                       \
            HR_INDEPENDENT                                                                         \
            for (size_t i = 0; i < count; i++)                                                     \
                to[i] = mask[i] ? x : bs[i];                                                       \
        } else if (b_is_scalar) {                                                                  \
            const T y = *bs;                                                                       \
            HR_INDEPENDENT                                                                         \
            for (size_t i = 0; i < count; i++)                                                     \
                to[i] = mask[i] ? as[i] : y;                                                       \
        } else {                                                                                   \
            HR_INDEPENDENT                                                                         \
            for (size_t i = 0; i < count; i++) {                                                   \
                T x = as[i], y = bs[i];                                                            \
                to[i] = mask[i] ? x : y;                                                           \
            }                                                                                      \
        }                                                                                          \
    }

SELECT(select_1, at_u8, uint8_t)
SELECT(select_2, at_u16, uint16_t)
SELECT(select_4, at_u32, uint32_t)
SELECT(select_8, at_u64, uint64_t)

static void select_width(void *out, const uint8_t *mask, const void *a, bool a_is_scalar,
                         const void *b, bool b_is_scalar, size_t count, size_t width)
{
    if (count == 0)
        return;
    switch (width) {
    case 1:
        select_1(out, mask, a, a_is_scalar, b, b_is_scalar, count);
        return;
    case 2:
        select_2(out, mask, a, a_is_scalar, b, b_is_scalar, count);
        return;
    case 4:
        select_4(out, mask, a, a_is_scalar, b, b_is_scalar, count);
        return;
    case 8:
        select_8(out, mask, a, a_is_scalar, b, b_is_scalar, count);
        return;
    }
    uint8_t *to = out;
    for (size_t i = 0; i < count; i++)
        memmove(to + i * width,
                mask[i] ? (const uint8_t *)a + (a_is_scalar ? 0 : i * width)
                        : (const uint8_t *)b + (b_is_scalar ? 0 : i * width),
                width);
}

static void arith_fill(hr_kernels *kernels)
{
    HR_EACH_INT(ARITH_SET_INT)
    HR_EACH_FLOAT(ARITH_SET_FLOAT)
    kernels->arith.logic[HR_LOGIC_AND] = mask_and;
    kernels->arith.logic[HR_LOGIC_OR] = mask_or;
    kernels->arith.logic[HR_LOGIC_XOR] = mask_xor;
    kernels->arith.logic[HR_LOGIC_ANDNOT] = mask_andnot;
    kernels->arith.invert = mask_invert;
    kernels->arith.select = select_width;
}

#endif
