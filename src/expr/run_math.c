// SPDX-License-Identifier: Apache-2.0
// Running number nodes: each is one call of a kernel over the chunk, and whole-word work on validity.
//
// Null slots hold whatever the kernel makes of what stood under them. That is safe because no kernel traps: integers
// wrap, the division by zero that could trap is handled by the kernel and made null before it.
#include "expr/expr_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void hr__run_strict(const hr_frame *f, hr_reg *out, const hr_reg *const *args, int32_t count)
{
    size_t words = (size_t)hr__words(f->rows);
    out->valid = NULL;
    for (int32_t i = 0; i < count; i++) {
        const uint64_t *v = args[i]->valid;
        if (!v)
            continue;
        if (!out->valid)
            memcpy(out->valid_room, v, words * sizeof *v);
        else
            for (size_t w = 0; w < words; w++)
                out->valid_room[w] &= v[w];
        out->valid = out->valid_room;
    }
}

// Two scalars make one value, which stays a scalar.
static hr_shape shape_of(hr_reg *out, const hr_reg *const *args, size_t *count)
{
    const hr_reg *a = args[0], *b = args[1];
    out->scalar = a->scalar && b->scalar;
    if (out->scalar) {
        *count = 1;
        return HR_SHAPE_VV;
    }
    return b->scalar ? HR_SHAPE_VS : a->scalar ? HR_SHAPE_SV : HR_SHAPE_VV;
}

static size_t count_of(const hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *arg)
{
    out->scalar = arg->scalar;
    return arg->scalar ? 1 : (size_t)hr__frame_count(f, n);
}

void hr__run_cast(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    const hr_reg *a = args[0];
    size_t count = count_of(f, n, out, a);
    hr__run_strict(f, out, args, 1);
    if (n->of == HR_NUM_BOOL && n->num != HR_NUM_BOOL) {
        f->k->bits.to_bytes(f->mask, a->data, 0, count);
        f->k->cast.to[HR_NUM_BOOL][n->num](out->data, f->mask, count);
    } else if (n->num == HR_NUM_BOOL && n->of != HR_NUM_BOOL) {
        f->k->cast.to[n->of][HR_NUM_BOOL](f->mask, a->data, count);
        f->k->bits.from_bytes(out->data, 0, f->mask, count);
    } else if (n->num == n->of && f->nodes[n->args[0]].op == HR_NODE_COLUMN) {
        out->data = a->data; // a time as its integer: the column itself
    } else if (n->num == HR_NUM_BOOL) {
        memcpy(out->data, a->data, (size_t)hr__words((int64_t)count) * 8);
    } else {
        f->k->cast.to[n->of][n->num](out->data, a->data, count);
    }
}

// --- decimals ---

// Two's complement little-endian, `bytes` long, as decimal digits; returns how many.
static size_t decimal_digits(const uint8_t *value, size_t bytes, char digits[96], bool *negative)
{
    uint32_t limbs[8];
    size_t limb_count = bytes / 4, count = 0;
    memcpy(limbs, value, bytes);
    *negative = limbs[limb_count - 1] >> 31;
    uint64_t carry = 1;
    for (size_t i = 0; *negative && i < limb_count; i++) {
        carry += (uint32_t)~limbs[i];
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    for (bool more = true; more;) {
        uint64_t rest = 0;
        more = false;
        for (size_t i = limb_count; i-- > 0;) {
            rest = rest << 32 | limbs[i];
            limbs[i] = (uint32_t)(rest / 10);
            rest %= 10;
            more |= limbs[i] != 0;
        }
        digits[count++] = (char)('0' + rest);
    }
    for (size_t i = 0; i < count / 2; i++) {
        char c = digits[i];
        digits[i] = digits[count - 1 - i];
        digits[count - 1 - i] = c;
    }
    return count;
}

// Correctly rounded: digits and exponent through strtod, which sees no decimal point and so no locale.
static double decimal_by_text(const uint8_t *value, size_t bytes, int32_t scale)
{
    char text[128];
    bool negative;
    size_t count = decimal_digits(value, bytes, text, &negative);
    snprintf(text + count, sizeof text - count, "e%d", (int)-scale);
    double d = strtod(text, NULL);
    return negative ? -d : d;
}

void hr__run_decimal(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const hr_type *type = &f->nodes[n->args[0]].type;
    size_t bytes = type->id == HR_TYPE_DECIMAL128 ? 16 : 32;
    const uint8_t *in = args[0]->data;
    double *to = out->data;
    bool exact = type->scale >= 0 && type->scale < (int32_t)HR_COUNTOF(tens);
    hr__run_strict(f, out, args, 1);
    for (int64_t i = 0; i < f->rows; i++, in += bytes) {
        int64_t low, high, more = 0;
        memcpy(&low, in, 8);
        memcpy(&high, in + 8, 8);
        for (size_t b = 16; b < bytes; b += 8) {
            int64_t word;
            memcpy(&word, in + b, 8);
            more |= word ^ (low >> 63);
        }
        // Below 2^53 the integer is a double and the division rounds once.
        bool small = low >= -(1LL << 53) && low <= 1LL << 53 && high == low >> 63 && more == 0;
        to[i] = exact && small ? (double)low / tens[type->scale]
                               : decimal_by_text(in, bytes, type->scale);
    }
}

// --- arithmetic ---

void hr__run_arith(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    size_t count = (size_t)hr__frame_count(f, n);
    hr_shape shape = shape_of(out, args, &count);
    hr__run_strict(f, out, args, 2);
    f->k->arith.binary[n->sub][shape][n->num](out->data, args[0]->data, args[1]->data, count);
}

void hr__run_divide(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    size_t count = (size_t)hr__frame_count(f, n);
    hr_shape shape = shape_of(out, args, &count);
    hr__run_strict(f, out, args, 2);
    f->k->arith.divide[n->sub][shape][n->num](out->data, args[0]->data, args[1]->data, count, NULL);
}

void hr__run_null_if_zero(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    static const uint64_t zero = 0;
    size_t count = (size_t)f->rows, words = (size_t)hr__words(f->rows);
    f->k->arith.compare[HR_COMPARE_NE][HR_SHAPE_VS][n->num](f->mask, args[0]->data, &zero, count);
    memcpy(out->data, args[0]->data, count * hr__num_bytes(n->num));
    size_t some = f->k->bits.from_bytes((uint8_t *)f->bits[0], 0, f->mask, count);
    hr__run_strict(f, out, args, 1);
    if (some == count)
        return;
    for (size_t w = 0; w < words; w++)
        out->valid_room[w] = f->bits[0][w] & (out->valid ? out->valid[w] : ~0ULL);
    out->valid = out->valid_room;
}

void hr__run_unary(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    size_t count = count_of(f, n, out, args[0]);
    hr__run_strict(f, out, args, 1);
    f->k->arith.unary[n->sub][n->num](out->data, args[0]->data, count);
}

void hr__run_compare(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    size_t count = (size_t)hr__frame_count(f, n);
    hr_shape shape = shape_of(out, args, &count);
    hr__run_strict(f, out, args, 2);
    f->k->arith.compare[n->sub][shape][n->of](f->mask, args[0]->data, args[1]->data, count);
    f->k->bits.from_bytes(out->data, 0, f->mask, count);
}

void hr__run_classify(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    size_t count = count_of(f, n, out, args[0]);
    hr__run_strict(f, out, args, 1);
    f->k->arith.classify[n->sub][n->of](f->mask, args[0]->data, count);
    f->k->bits.from_bytes(out->data, 0, f->mask, count);
}
