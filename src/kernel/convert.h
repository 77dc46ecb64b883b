// SPDX-License-Identifier: Apache-2.0
/*
 * One value converted, for every pair of types: CONVERT(FROM, TO, value), built from FROM_<type> (the stored
 * value as a C number) and TO_<type>_<kind> (a C number as the stored value). No branches, so that loops of
 * them vectorise.
 *
 * To a half or a bfloat16 a value rounds once. Doubles and 64-bit integers pass through a float that was
 * rounded to odd: its last bit remembers whether anything was lost, which keeps the second rounding right
 * (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
 */
#ifndef HR_KERNEL_CONVERT_H
#define HR_KERNEL_CONVERT_H

#include "kernel/loop.h"

HR_INLINE uint32_t f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

HR_INLINE float f32_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

HR_INLINE float f32_from_f16(uint16_t half)
{
    uint32_t magnitude = half & 0x7fffu, sign = (half & 0x8000u) << 16;
    // The exponents differ by 112; a product with 2^112 also makes subnormal halves normal.
    uint32_t finite = f32_bits(f32_of_bits(magnitude << 13) * 0x1p112f);
    uint32_t special = 0x7f800000u | magnitude << 13 | (magnitude > 0x7c00 ? 0x400000u : 0);
    return f32_of_bits(sign | (magnitude >= 0x7c00 ? special : finite));
}

HR_INLINE uint16_t f16_from_f32(float value)
{
    uint32_t bits = f32_bits(value), magnitude = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
    // Added to 0.5, a float's last place is that of a subnormal half: the addition rounds.
    uint32_t small = f32_bits(f32_of_bits(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t normal = (magnitude + 0xc8000fffu + (magnitude >> 13 & 1)) >> 13;
    uint32_t half = magnitude < 0x38800000u ? small : normal;
    half = magnitude >= 0x47800000u ? 0x7c00u : half;
    half = magnitude > 0x7f800000u ? 0x7e00u | (magnitude >> 13 & 0x3ffu) : half;
    return (uint16_t)(sign | half);
}

HR_INLINE float f32_from_bf16(uint16_t value)
{
    return f32_of_bits((uint32_t)value << 16);
}

HR_INLINE uint16_t bf16_from_f32(float value)
{
    uint32_t bits = f32_bits(value);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded);
}

/** A double as a float rounded to odd. */
HR_INLINE float f32_odd_from_f64(double value)
{
    float near = (float)value;
    uint32_t bits = f32_bits(near);
    double back = (double)near, size = value < 0 ? -value : value, got = back < 0 ? -back : back;
    uint32_t truncated = (bits - (got > size ? 1u : 0u)) | 1u;
    return f32_of_bits(got < size || got > size ? truncated : bits);
}

/** 64-bit integers as doubles whose last bit remembers what was lost: bits under 2^11 are jammed into it. */
HR_INLINE double f64_odd_from_u64(uint64_t value)
{
    uint64_t jammed = (value & ~0x7ffull) | (uint64_t)((value & 0x7ff) != 0) << 11;
    return (double)(value >> 53 ? jammed : value);
}

HR_INLINE double f64_odd_from_i64(int64_t value)
{
    int64_t jammed = (value & ~0x7ffll) | (int64_t)((value & 0x7ff) != 0) << 11;
    bool wide = value > (1ll << 53) || value < -(1ll << 53);
    return (double)(wide ? jammed : value);
}

/**
 * A float to an integer: truncated, saturated, NaN as 0. BELOW is the greatest value of the float type that
 * does not pass the integer's maximum.
 */
#define SATURATE(NAME, FLOAT, INT, LEAST, BELOW, GREATEST)                                         \
    HR_INLINE INT NAME(FLOAT value)                                                                \
    {                                                                                              \
        FLOAT inside = value == value ? value : 0;                                                 \
        inside = inside < (FLOAT)(LEAST) ? (FLOAT)(LEAST) : inside;                                \
        inside = inside > (FLOAT)(BELOW) ? (FLOAT)(BELOW) : inside;                                \
        return value > (FLOAT)(BELOW) ? (GREATEST) : (INT)inside;                                  \
    }

SATURATE(i8_from_float, float, int8_t, INT8_MIN, 127, INT8_MAX)
SATURATE(i16_from_float, float, int16_t, INT16_MIN, 32767, INT16_MAX)
SATURATE(i32_from_float, float, int32_t, INT32_MIN, 2147483520, INT32_MAX)
SATURATE(i64_from_float, float, int64_t, INT64_MIN, 9223371487098961920ll, INT64_MAX)
SATURATE(u8_from_float, float, uint8_t, 0, 255, UINT8_MAX)
SATURATE(u16_from_float, float, uint16_t, 0, 65535, UINT16_MAX)
SATURATE(u32_from_float, float, uint32_t, 0, 4294967040u, UINT32_MAX)
SATURATE(u64_from_float, float, uint64_t, 0, 18446742974197923840ull, UINT64_MAX)
SATURATE(i8_from_double, double, int8_t, INT8_MIN, 127, INT8_MAX)
SATURATE(i16_from_double, double, int16_t, INT16_MIN, 32767, INT16_MAX)
SATURATE(i32_from_double, double, int32_t, INT32_MIN, INT32_MAX, INT32_MAX)
SATURATE(i64_from_double, double, int64_t, INT64_MIN, 9223372036854774784ll, INT64_MAX)
SATURATE(u8_from_double, double, uint8_t, 0, 255, UINT8_MAX)
SATURATE(u16_from_double, double, uint16_t, 0, 65535, UINT16_MAX)
SATURATE(u32_from_double, double, uint32_t, 0, UINT32_MAX, UINT32_MAX)
SATURATE(u64_from_double, double, uint64_t, 0, 18446744073709549568ull, UINT64_MAX)

// The stored value as a C number, whose type picks the way to the target.
#define FROM_PLAIN(x) (x)
#define FROM_I8       FROM_PLAIN
#define FROM_I16      FROM_PLAIN
#define FROM_I32      FROM_PLAIN
#define FROM_I64      FROM_PLAIN
#define FROM_U8       FROM_PLAIN
#define FROM_U16      FROM_PLAIN
#define FROM_U32      FROM_PLAIN
#define FROM_U64      FROM_PLAIN
#define FROM_F32      FROM_PLAIN
#define FROM_F64      FROM_PLAIN
#define FROM_F16      f32_from_f16
#define FROM_BF16     f32_from_bf16
#define FROM_BOOL(x)  ((uint8_t)((x) != 0))

/** To integers: integers wrap by a plain cast, floats saturate. */
#define TO_INT(INT, from_float, from_double, x)                                                    \
    _Generic((x), float : from_float, double : from_double, default : INT##_wrap)(x)

#define WRAP(NAME, INT)                                                                            \
    HR_INLINE INT NAME##_wrap(uint64_t value)                                                      \
    {                                                                                              \
        return (INT)value;                                                                         \
    }
WRAP(int8_t, int8_t)
WRAP(int16_t, int16_t)
WRAP(int32_t, int32_t)
WRAP(int64_t, int64_t)
WRAP(uint8_t, uint8_t)
WRAP(uint16_t, uint16_t)
WRAP(uint32_t, uint32_t)
WRAP(uint64_t, uint64_t)

#define TO_I8(x)  TO_INT(int8_t, i8_from_float, i8_from_double, x)
#define TO_I16(x) TO_INT(int16_t, i16_from_float, i16_from_double, x)
#define TO_I32(x) TO_INT(int32_t, i32_from_float, i32_from_double, x)
#define TO_I64(x) TO_INT(int64_t, i64_from_float, i64_from_double, x)
#define TO_U8(x)  TO_INT(uint8_t, u8_from_float, u8_from_double, x)
#define TO_U16(x) TO_INT(uint16_t, u16_from_float, u16_from_double, x)
#define TO_U32(x) TO_INT(uint32_t, u32_from_float, u32_from_double, x)
#define TO_U64(x) TO_INT(uint64_t, u64_from_float, u64_from_double, x)

/** A C number as a float that a shorter float may round from. */
HR_INLINE float odd_same(float value)
{
    return value;
}
HR_INLINE float odd_u64(uint64_t value)
{
    return f32_odd_from_f64(f64_odd_from_u64(value));
}
HR_INLINE float odd_i64(int64_t value)
{
    return f32_odd_from_f64(f64_odd_from_i64(value));
}
#define F32_ODD(x)                                                                                 \
    _Generic((x), double                                                                           \
             : f32_odd_from_f64, int32_t                                                           \
             : f32_odd_from_f64, uint32_t                                                          \
             : f32_odd_from_f64, int64_t                                                           \
             : odd_i64, uint64_t                                                                   \
             : odd_u64, default                                                                    \
             : odd_same)(x)

#define TO_F32(x)  ((float)(x))
#define TO_F64(x)  ((double)(x))
#define TO_F16(x)  f16_from_f32(F32_ODD(x))
#define TO_BF16(x) bf16_from_f32(F32_ODD(x))
#define TO_BOOL(x) ((uint8_t)((x) != 0))

// X(ENUM SUFFIX, type at any address, ...): every type of a cast.
#define HR_EACH_CAST(X, ...)                                                                       \
    X(I8, at_i8, __VA_ARGS__)                                                                      \
    X(I16, at_i16, __VA_ARGS__)                                                                    \
    X(I32, at_i32, __VA_ARGS__)                                                                    \
    X(I64, at_i64, __VA_ARGS__)                                                                    \
    X(U8, at_u8, __VA_ARGS__)                                                                      \
    X(U16, at_u16, __VA_ARGS__)                                                                    \
    X(U32, at_u32, __VA_ARGS__)                                                                    \
    X(U64, at_u64, __VA_ARGS__)                                                                    \
    X(F32, at_f32, __VA_ARGS__)                                                                    \
    X(F64, at_f64, __VA_ARGS__)                                                                    \
    X(F16, at_u16, __VA_ARGS__)                                                                    \
    X(BF16, at_u16, __VA_ARGS__)                                                                   \
    X(BOOL, at_u8, __VA_ARGS__)

#endif
