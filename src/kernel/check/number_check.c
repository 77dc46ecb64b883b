// SPDX-License-Identifier: Apache-2.0
/*
 * Checks of what computes: cast, arith, affine. The plain code works in __int128 and long double, which
 * hold every value of every type exactly.
 */
#include "kernel/check/check.h"

#include <float.h>
#include <math.h>

__extension__ typedef __int128 wide_int;
static_assert(LDBL_MANT_DIG >= 64, "long double must hold a 64-bit integer");

static bool is_float(hr_num type)
{
    return type >= HR_NUM_F32 && type <= HR_NUM_BF16;
}
static bool is_signed(hr_num type)
{
    return type <= HR_NUM_I64;
}

/** A half (11 bits, least exponent -24) or a bfloat16 (8 bits, -133) from its bits. */
static long double short_float(uint16_t word, int bits, int exponent_bits)
{
    int fraction = bits - 1, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = word >> fraction & ((1 << exponent_bits) - 1);
    long double mantissa = word & ((1 << fraction) - 1), value;
    if (exponent == (1 << exponent_bits) - 1)
        value = mantissa != 0 ? (long double)NAN : (long double)INFINITY;
    else if (exponent == 0)
        value = ldexpl(mantissa, 1 - bias - fraction);
    else
        value = ldexpl(mantissa + (1 << fraction), exponent - bias - fraction);
    return word & 0x8000 ? -value : value;
}

static long double float_of(hr_num type, const void *at)
{
    float f;
    double d;
    uint16_t h;
    switch (type) {
    case HR_NUM_F32:
        memcpy(&f, at, 4);
        return (long double)f;
    case HR_NUM_F64:
        memcpy(&d, at, 8);
        return (long double)d;
    default:
        memcpy(&h, at, 2);
        return type == HR_NUM_F16 ? short_float(h, 11, 5) : short_float(h, 8, 8);
    }
}

static wide_int int_of(hr_num type, const void *at)
{
    uint64_t word = 0;
    size_t width = hr__num_bytes(type);
    memcpy(&word, at, width);
    if (type == HR_NUM_BOOL)
        return word != 0;
    if (is_signed(type))
        return (int64_t)(word << (64 - 8 * width)) >> (64 - 8 * width);
    return word;
}

static uint16_t short_of(long double value, int bits, int exponent_bits)
{
    int fraction = bits - 1, bias = (1 << (exponent_bits - 1)) - 1, exponent;
    uint16_t sign = signbit(value) ? 0x8000 : 0,
             special = (uint16_t)(((1 << exponent_bits) - 1) << fraction);
    if (isnan(value))
        return special | 1;
    value = fabsl(value);
    if (value == 0 || isinf(value))
        return sign | (value == 0 ? 0 : special);
    frexpl(value, &exponent);
    // The unit in the last place, not less than that of subnormals.
    int unit = HR_MAX(exponent - bits, 1 - bias - fraction);
    long double units = rintl(ldexpl(value, -unit));
    if (units >= ldexpl(1, bits))
        units /= 2, unit++;
    int stored = unit + bias + fraction;
    if (units < ldexpl(1, fraction))
        return sign | (uint16_t)units;
    if (stored >= (1 << exponent_bits) - 1)
        return sign | special;
    return sign | (uint16_t)(stored << fraction) |
           (uint16_t)((uint32_t)units & ((1u << fraction) - 1));
}

static wide_int limit_of(hr_num type, bool greatest)
{
    int bits = (int)(8 * hr__num_bytes(type));
    if (is_signed(type))
        return greatest ? ((wide_int)1 << (bits - 1)) - 1 : -((wide_int)1 << (bits - 1));
    return greatest ? ((wide_int)1 << bits) - 1 : 0;
}

static void plain_cast(void *out, hr_num to, const void *in, hr_num from)
{
    bool real = is_float(from);
    long double x = real ? float_of(from, in) : (long double)int_of(from, in);
    uint64_t word = 0;
    if (to == HR_NUM_F32) {
        float f = (float)x;
        memcpy(out, &f, 4);
        return;
    }
    if (to == HR_NUM_F64) {
        double d = (double)x;
        memcpy(out, &d, 8);
        return;
    }
    if (to == HR_NUM_F16)
        word = short_of(x, 11, 5);
    else if (to == HR_NUM_BF16)
        word = short_of(x, 8, 8);
    else if (to == HR_NUM_BOOL)
        word = x != 0;
    else if (!real)
        word = (uint64_t)int_of(from, in);
    else if (!isnan(x))
        word = (uint64_t)(x <= (long double)limit_of(to, false)  ? limit_of(to, false)
                          : x >= (long double)limit_of(to, true) ? limit_of(to, true)
                                                                 : (wide_int)x);
    memcpy(out, &word, hr__num_bytes(to));
}

void hr__check_cast(hr_check *check)
{
    for (int from = 0; from < HR_NUM_COUNT; from++)
        for (int to = 0; to < HR_NUM_COUNT; to++) {
            size_t count = hr__check_below(check, 70), to_bytes = hr__num_bytes((hr_num)to);
            size_t from_bytes = hr__num_bytes((hr_num)from);
            uint8_t *in = hr__check_values(check, (hr_num)from, count);
            uint8_t *out = hr__check_bytes(check, count * to_bytes), want[8];
            check->kernels->cast.to[from][to](out, in, count);
            for (size_t i = 0; i < count; i++) {
                plain_cast(want, (hr_num)to, in + i * from_bytes, (hr_num)from);
                if (from == to)
                    memcpy(want, in + i * from_bytes, from_bytes);
                CLAIM(check, hr__check_same((hr_num)to, out + i * to_bytes, want), from * 100 + to,
                      i);
            }
            if (from_bytes == to_bytes) {
                check->kernels->cast.to[from][to](in, in, count);
                CLAIM(check, memcmp(in, out, count * to_bytes) == 0, from, to);
            }
            hr__check_release(check);
        }
}

void hr__check_decimal(hr_check *check)
{
    for (size_t width = 1; width <= 16; width++) {
        size_t count = hr__check_below(check, 40);
        const uint8_t *in = hr__check_bytes(check, count * width);
        uint8_t *out = hr__check_bytes(check, count * 16);
        check->kernels->cast.decimal(out, in, width, count);
        for (size_t i = 0; i < count * 16; i++) {
            const uint8_t *value = in + i / 16 * width;
            uint8_t want =
                i % 16 < width ? value[width - 1 - i % 16] : (value[0] & 0x80 ? 0xff : 0);
            CLAIM(check, out[i] == want, width, i);
        }
    }
}

/** One operation on values i of two operands by shape, by plain code; false where it has no result. */
static void plain_float(void *out, hr_num type, int op, const void *a, const void *b)
{
    double x = (double)float_of(type, a), y = (double)float_of(type, b);
    volatile double d = 0;
    volatile float f = 0;
    switch (op) {
    case HR_ARITH_ADD:
        d = x + y, f = (float)x + (float)y;
        break;
    case HR_ARITH_SUB:
        d = x - y, f = (float)x - (float)y;
        break;
    case HR_ARITH_MUL:
        d = x * y, f = (float)x * (float)y;
        break;
    case HR_ARITH_DIV:
        d = x / y, f = (float)x / (float)y;
        break;
    case HR_ARITH_POW:
        d = pow(x, y), f = powf((float)x, (float)y);
        break;
    default:
        d = isnan(x) || isnan(y) ? NAN : (op == HR_ARITH_MIN) == (x < y) ? x : y;
        f = (float)d;
    }
    double wide = d;
    float narrow = f;
    memcpy(out, type == HR_NUM_F32 ? (void *)&narrow : (void *)&wide, hr__num_bytes(type));
}

static void plain_int(void *out, hr_num type, int op, const void *a, const void *b)
{
    wide_int x = int_of(type, a), y = int_of(type, b);
    wide_int z = op == HR_ARITH_ADD   ? x + y
                 : op == HR_ARITH_SUB ? x - y
                 : op == HR_ARITH_MIN ? HR_MIN(x, y)
                 : op == HR_ARITH_MAX ? HR_MAX(x, y)
                                      : (wide_int)((uint64_t)x * (uint64_t)y);
    uint64_t word = (uint64_t)z;
    memcpy(out, &word, hr__num_bytes(type));
}

static bool equal_zeros(hr_num type, const void *a, const void *b)
{
    return is_float(type) && float_of(type, a) == 0 && float_of(type, b) == 0;
}

void hr__check_arith(hr_check *check)
{
    for (int t = 0; t < HR_NUM_ARITH_COUNT; t++)
        for (int op = 0; op < HR_ARITH_COUNT; op++)
            for (int shape = 0; shape < HR_SHAPE_COUNT; shape++) {
                hr_num type = (hr_num)t;
                hr_binary_fn *run = check->kernels->arith.binary[op][shape][t];
                size_t count = hr__check_below(check, 70), width = hr__num_bytes(type);
                bool has = is_float(type) || op < HR_ARITH_DIV;
                CLAIM(check, has == (run != NULL), op, t);
                if (!has || !run)
                    continue;
                size_t a_step = shape == HR_SHAPE_SV ? 0 : width;
                size_t b_step = shape == HR_SHAPE_VS ? 0 : width;
                uint8_t *a = hr__check_values(check, type, a_step ? count : 1);
                uint8_t *b = hr__check_values(check, type, b_step ? count : 1);
                uint8_t *out = hr__check_bytes(check, count * width), want[8];
                run(out, a, b, count);
                for (size_t i = 0; i < count; i++) {
                    (is_float(type) ? plain_float : plain_int)(want, type, op, a + i * a_step,
                                                               b + i * b_step);
                    const uint8_t *got = out + i * width;
                    // The lesser of -0 and 0 may be either.
                    bool either =
                        (op == HR_ARITH_MIN || op == HR_ARITH_MAX) && equal_zeros(type, got, want);
                    CLAIM(check, either || hr__check_same(type, got, want),
                          op * 100 + shape * 10 + t, i);
                }
                uint8_t *same = a_step ? a : b;
                run(same, a, b, count);
                CLAIM(check, memcmp(same, out, count * width) == 0, op, t);
                hr__check_release(check);
            }
}

void hr__check_divide(hr_check *check)
{
    for (int t = 0; t < HR_NUM_INT_COUNT; t++)
        for (int shape = 0; shape < HR_SHAPE_COUNT; shape++) {
            hr_num type = (hr_num)t;
            size_t count = 1 + hr__check_below(check, 70), width = hr__num_bytes(type), bad = 0;
            size_t a_step = shape == HR_SHAPE_SV ? 0 : width;
            size_t b_step = shape == HR_SHAPE_VS ? 0 : width;
            const uint8_t *a = hr__check_values(check, type, count);
            const uint8_t *b = hr__check_values(check, type, count);
            uint8_t *floor = hr__check_bytes(check, count * width);
            uint8_t *mod = hr__check_bytes(check, count * width);
            uint8_t *zeros = hr__check_bytes(check, count);
            size_t floor_bad =
                check->kernels->arith.divide[HR_DIVIDE_FLOOR][shape][t](floor, a, b, count, NULL);
            size_t mod_bad =
                check->kernels->arith.divide[HR_DIVIDE_MOD][shape][t](mod, a, b, count, zeros);
            for (size_t i = 0; i < count; i++) {
                wide_int x = int_of(type, a + i * a_step), y = int_of(type, b + i * b_step);
                wide_int r = y ? x % y : 0, q = y ? x / y : 0;
                if (r != 0 && (r < 0) != (y < 0))
                    r += y, q -= 1;
                uint64_t r_word = (uint64_t)r, q_word = (uint64_t)q;
                CLAIM(check, memcmp(mod + i * width, &r_word, width) == 0, t * 10 + shape, i);
                CLAIM(check, memcmp(floor + i * width, &q_word, width) == 0, t * 10 + shape, i);
                CLAIM(check, zeros[i] == (y == 0), t, i);
                bad += y == 0;
            }
            CLAIM(check, bad == floor_bad && bad == mod_bad, bad, mod_bad);
            hr__check_release(check);
        }
    // Floats, as CPython 3.11 prints them.
    static const double cases[][4] = {{7, 2, 3, 1},
                                      {-7, 2, -4, 1},
                                      {7, -2, -4, -1},
                                      {-7, -2, 3, -1},
                                      {0.3, 0.1, 2, 0.09999999999999998},
                                      {1e300, 3, 0, 0},
                                      {-1, INFINITY, -1, INFINITY}};
    for (size_t i = 0; i < HR_COUNTOF(cases); i++) {
        double q, r, want_q = cases[i][2], want_r = cases[i][3];
        if (i == 5)
            r = fmod(1e300, 3), want_r = r, want_q = (1e300 - r) / 3;
        check->kernels->arith.divide[HR_DIVIDE_FLOOR][HR_SHAPE_VV][HR_NUM_F64](
            &q, &cases[i][0], &cases[i][1], 1, NULL);
        check->kernels->arith.divide[HR_DIVIDE_MOD][HR_SHAPE_VV][HR_NUM_F64](&r, &cases[i][0],
                                                                             &cases[i][1], 1, NULL);
        CLAIM(check, q == want_q && r == want_r, i, 0);
    }
}

static double plain_unary(int op, double x, bool narrow)
{
    float f = (float)x;
    switch (op) {
    case HR_UNARY_NEG:
        return -x;
    case HR_UNARY_ABS:
        return fabs(x);
    case HR_UNARY_SIGN:
        return isnan(x) || x == 0 ? x : x > 0 ? 1 : -1;
    case HR_UNARY_SQRT:
        return narrow ? (double)sqrtf(f) : sqrt(x);
    case HR_UNARY_EXP:
        return narrow ? (double)expf(f) : exp(x);
    case HR_UNARY_EXPM1:
        return narrow ? (double)expm1f(f) : expm1(x);
    case HR_UNARY_LOG:
        return narrow ? (double)logf(f) : log(x);
    case HR_UNARY_LOG1P:
        return narrow ? (double)log1pf(f) : log1p(x);
    case HR_UNARY_LOG2:
        return narrow ? (double)log2f(f) : log2(x);
    case HR_UNARY_LOG10:
        return narrow ? (double)log10f(f) : log10(x);
    case HR_UNARY_SIN:
        return narrow ? (double)sinf(f) : sin(x);
    case HR_UNARY_COS:
        return narrow ? (double)cosf(f) : cos(x);
    case HR_UNARY_TANH:
        return narrow ? (double)tanhf(f) : tanh(x);
    case HR_UNARY_FLOOR:
        return floor(x);
    case HR_UNARY_CEIL:
        return ceil(x);
    case HR_UNARY_ROUND:
        return nearbyint(x);
    default:
        return trunc(x);
    }
}

void hr__check_unary(hr_check *check)
{
    for (int t = 0; t < HR_NUM_ARITH_COUNT; t++)
        for (int op = 0; op < HR_UNARY_COUNT; op++) {
            hr_num type = (hr_num)t;
            hr_unary_fn *run = check->kernels->arith.unary[op][t];
            size_t count = hr__check_below(check, 70), width = hr__num_bytes(type);
            bool has = is_float(type) || op < HR_UNARY_SQRT;
            CLAIM(check, has == (run != NULL), op, t);
            if (!has || !run)
                continue;
            uint8_t *in = hr__check_values(check, type, count);
            uint8_t *out = hr__check_bytes(check, count * width);
            run(out, in, count);
            for (size_t i = 0; i < count; i++) {
                uint8_t want[8];
                if (is_float(type)) {
                    double d = plain_unary(op, (double)float_of(type, in + i * width), width == 4);
                    float f = (float)d;
                    memcpy(want, width == 4 ? (void *)&f : (void *)&d, width);
                } else {
                    wide_int x = int_of(type, in + i * width);
                    uint64_t z = (uint64_t)(op == HR_UNARY_SIGN           ? (x > 0) - (x < 0)
                                            : op == HR_UNARY_NEG || x < 0 ? -x
                                                                          : x);
                    memcpy(want, &z, width);
                }
                CLAIM(check, hr__check_same(type, out + i * width, want), op * 100 + t, i);
            }
            run(in, in, count);
            CLAIM(check, memcmp(in, out, count * width) == 0, op, t);
            hr__check_release(check);
        }
}

static bool plain_compare(int op, hr_num type, const void *a, const void *b)
{
    long double x = is_float(type) ? float_of(type, a) : (long double)int_of(type, a);
    long double y = is_float(type) ? float_of(type, b) : (long double)int_of(type, b);
    const bool results[HR_COMPARE_COUNT] = {x == y, x != y, x<y, x <= y, x> y, x >= y};
    return results[op];
}

void hr__check_compare(hr_check *check)
{
    for (int t = 0; t < HR_NUM_ARITH_COUNT; t++)
        for (int op = 0; op < HR_COMPARE_COUNT; op++)
            for (int shape = 0; shape < HR_SHAPE_COUNT; shape++) {
                hr_num type = (hr_num)t;
                size_t count = hr__check_below(check, 70), width = hr__num_bytes(type);
                size_t a_step = shape == HR_SHAPE_SV ? 0 : width;
                size_t b_step = shape == HR_SHAPE_VS ? 0 : width;
                const uint8_t *a = hr__check_values(check, type, a_step ? count : 1);
                const uint8_t *b = hr__check_values(check, type, b_step ? count : 1);
                uint8_t *out = hr__check_bytes(check, count);
                check->kernels->arith.compare[op][shape][t](out, a, b, count);
                for (size_t i = 0; i < count; i++)
                    CLAIM(check, out[i] == plain_compare(op, type, a + i * a_step, b + i * b_step),
                          op * 100 + shape * 10 + t, i);
                hr__check_release(check);
            }
    for (hr_num type = HR_NUM_F32; type <= HR_NUM_F64; type++)
        for (int kind = 0; kind < HR_CLASSIFY_COUNT; kind++) {
            size_t count = hr__check_below(check, 100), width = hr__num_bytes(type);
            const uint8_t *in = hr__check_values(check, type, count);
            uint8_t *out = hr__check_bytes(check, count);
            check->kernels->arith.classify[kind][type](out, in, count);
            for (size_t i = 0; i < count; i++) {
                long double x = float_of(type, in + i * width);
                int want = kind == HR_CLASSIFY_NAN      ? isnan(x) != 0
                           : kind == HR_CLASSIFY_FINITE ? isfinite(x) != 0
                                                        : isinf(x) != 0;
                CLAIM(check, out[i] == want, kind, i);
            }
        }
}

void hr__check_select(hr_check *check)
{
    static const size_t widths[] = {1, 2, 3, 4, 8, 16};
    for (size_t w = 0; w < HR_COUNTOF(widths); w++) {
        size_t width = widths[w], count = 1 + hr__check_below(check, 100);
        bool a_one = hr__check_random(check) & 1, b_one = hr__check_random(check) & 1;
        uint8_t *mask = hr__check_bytes(check, count), *other = hr__check_bytes(check, count);
        uint8_t *a = hr__check_bytes(check, (a_one ? 1 : count) * width);
        uint8_t *b = hr__check_bytes(check, (b_one ? 1 : count) * width);
        uint8_t *out = hr__check_bytes(check, count * width), *made = hr__check_bytes(check, count);
        for (size_t i = 0; i < count; i++)
            mask[i] &= 1, other[i] &= 1;
        check->kernels->arith.select(out, mask, a, a_one, b, b_one, count, width);
        for (size_t i = 0; i < count; i++) {
            const uint8_t *want =
                mask[i] ? a + (a_one ? 0 : i * width) : b + (b_one ? 0 : i * width);
            CLAIM(check, memcmp(out + i * width, want, width) == 0, width, i);
        }
        for (int op = 0; op <= HR_LOGIC_COUNT; op++) {
            if (op < HR_LOGIC_COUNT)
                check->kernels->arith.logic[op](made, mask, other, count);
            else
                check->kernels->arith.invert(made, mask, count);
            for (size_t i = 0; i < count; i++) {
                const int x = mask[i], y = other[i];
                const int want[HR_LOGIC_COUNT + 1] = {x & y, x | y, x ^ y, x & !y, !x};
                CLAIM(check, made[i] == want[op], op, i);
            }
        }
    }
}

void hr__check_affine(hr_check *check)
{
    for (int t = 0; t < HR_NUM_ARITH_COUNT; t++) {
        hr_num type = (hr_num)t;
        size_t count = hr__check_below(check, 70), width = hr__num_bytes(type);
        const uint8_t *in = hr__check_values(check, type, count);
        double *mul = hr__check_words(check, count * 8), *div = hr__check_words(check, count * 8);
        volatile double shift = (double)hr__check_random(check) / 1e18, scale = 0.3 + shift;
        check->kernels->affine.mul[t](mul, in, shift, scale, count);
        check->kernels->affine.div[t](div, in, shift, scale, count);
        for (size_t i = 0; i < count; i++) {
            const uint8_t *at = in + i * width;
            volatile double x =
                (double)(is_float(type) ? float_of(type, at) : (long double)int_of(type, at));
            volatile double moved = x - shift;
            double a = moved * scale, b = moved / scale;
            CLAIM(check, hr__check_same(HR_NUM_F64, &mul[i], &a), t, i);
            CLAIM(check, hr__check_same(HR_NUM_F64, &div[i], &b), t, i);
        }
    }
    size_t count = hr__check_below(check, 70);
    float *in = hr__check_words(check, count * 4), *out = hr__check_words(check, count * 4);
    check->kernels->affine.mul_f32(out, in, 0.7f, 1.3f, count);
    for (size_t i = 0; i < count; i++) {
        volatile float moved = in[i] - 0.7f;
        float want = moved * 1.3f;
        CLAIM(check, hr__check_same(HR_NUM_F32, &out[i], &want), 0, i);
    }
    check->kernels->affine.div_f32(out, in, 0.7f, 1.3f, count);
    for (size_t i = 0; i < count; i++) {
        volatile float moved = in[i] - 0.7f;
        float want = moved / 1.3f;
        CLAIM(check, hr__check_same(HR_NUM_F32, &out[i], &want), 1, i);
    }
}
