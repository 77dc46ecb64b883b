// SPDX-License-Identifier: Apache-2.0
// One value as JSON, without loss where JSON can carry it:
//
//   integers, bool        as they are
//   floats                the shortest digits that read back as the same value of that type; NaN and infinities null
//   date32, timestamp     "2024-02-29", "2024-02-29T12:00:00.000001" (with time zone: in UTC, ending in Z)
//   time32, time64        "12:00:00.001"; duration "PT1.5S"
//   decimal               "12.50", quoted: a JSON number would pass through float64
//   string                quoted; bytes that are not UTF-8 become U+FFFD
//   binary, fixed_binary  base64, quoted
//   list, tensor          nested lists, all values
//   dictionary            the value
//
// Lists are walked with a stack of our own, as deep as types may nest.
#include "base/text.h"
#include "block/block.h"
#include "kernel/kernel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t unit_per_second[] = {1, 1000, 1000000, 1000000000};
static const int unit_digits[] = {0, 3, 6, 9};

// The fewest digits that read back as the same bits; plain notation where it is not long.
static void put_short_float(hr_text *out, float value, hr_num to, const void *bits)
{
    char digits[32];
    int precision = 1;
    if (!isfinite(value)) {
        hr__text_put(out, "null", 4);
        return;
    }
    for (; precision < 9; precision++) {
        uint8_t back[4];
        snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        float read = strtof(digits, NULL);
        hr__kernels()->cast.to[HR_NUM_F32][to](back, &read, 1);
        if (memcmp(back, bits, hr__num_bytes(to)) == 0)
            break;
    }
    snprintf(digits, sizeof digits, "%.*e", precision - 1, (double)value);
    int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
    if (value == 0 || (exponent >= -5 && exponent < 16))
        hr__text_add(out, "%.*f", HR_MAX(0, precision - 1 - exponent), (double)value);
    else
        hr__text_put(out, digits, strlen(digits));
}

static void put_float(hr_text *out, hr_type_id id, const uint8_t *at)
{
    hr_num num = HR_NUM_F32;
    float value;
    double wide;
    if (id == HR_TYPE_FLOAT64) {
        memcpy(&wide, at, sizeof wide);
        hr__text_double(out, wide);
        return;
    }
    if (id == HR_TYPE_FLOAT16)
        num = HR_NUM_F16;
    else if (id == HR_TYPE_BFLOAT16)
        num = HR_NUM_BF16;
    hr__kernels()->cast.to[num][HR_NUM_F32](&value, at, 1);
    put_short_float(out, value, num, at);
}

static int64_t read_int(hr_type_id id, const uint8_t *at)
{
    union {
        int8_t i8;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        uint16_t u16;
        uint32_t u32;
    } v;
    switch (id) {
    case HR_TYPE_INT8:
        memcpy(&v, at, 1);
        return v.i8;
    case HR_TYPE_UINT8:
        return *at;
    case HR_TYPE_INT16:
        memcpy(&v, at, 2);
        return v.i16;
    case HR_TYPE_UINT16:
        memcpy(&v, at, 2);
        return v.u16;
    case HR_TYPE_INT32:
    case HR_TYPE_DATE32:
    case HR_TYPE_TIME32:
    case HR_TYPE_DICTIONARY:
        memcpy(&v, at, 4);
        return v.i32;
    case HR_TYPE_UINT32:
        memcpy(&v, at, 4);
        return v.u32;
    default:
        memcpy(&v, at, 8);
        return v.i64;
    }
}

static void put_number(hr_text *out, hr_type_id id, const uint8_t *at)
{
    if (id >= HR_TYPE_FLOAT16 && id <= HR_TYPE_FLOAT64)
        put_float(out, id, at);
    else if (id == HR_TYPE_UINT64)
        hr__text_add(out, "%llu", (unsigned long long)read_int(id, at));
    else
        hr__text_add(out, "%lld", (long long)read_int(id, at));
}

static int64_t floor_divide(int64_t a, int64_t by, int64_t *rest_out)
{
    int64_t quotient = a / by, rest = a % by;
    if (rest < 0) {
        rest += by;
        quotient--;
    }
    *rest_out = rest;
    return quotient;
}

// Days since 1970-01-01 as a date of the proleptic Gregorian calendar. Counts years from March, so that the leap day
// is the last of its year; 146097 days are 400 years, 719468 lie between 0000-03-01 and 1970-01-01.
static void put_date(hr_text *out, int64_t days)
{
    int64_t day_of_era;
    int64_t era = floor_divide(days + 719468, 146097, &day_of_era);
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_index = (5 * day_of_year + 2) / 153; // 0 is March
    int64_t day = day_of_year - (153 * month_index + 2) / 5 + 1;
    int64_t month = month_index < 10 ? month_index + 3 : month_index - 9;
    int64_t year = era * 400 + year_of_era + (month <= 2);
    if (year < 0)
        hr__text_add(out, "-%04lld-%02d-%02d", (long long)-year, (int)month, (int)day);
    else
        hr__text_add(out, year > 9999 ? "+%lld-%02d-%02d" : "%04lld-%02d-%02d", (long long)year,
                     (int)month, (int)day);
}

static void put_fraction(hr_text *out, hr_time_unit unit, int64_t fraction)
{
    if (unit != HR_SECOND)
        hr__text_add(out, ".%0*lld", unit_digits[unit], (long long)fraction);
}

// A time of day; what is outside the day (bytes are not to be trusted) is shown as it counts.
static void put_clock(hr_text *out, int64_t value, hr_time_unit unit)
{
    int64_t fraction;
    int64_t seconds = floor_divide(value, unit_per_second[unit], &fraction);
    const char *sign = seconds < 0 ? "-" : "";
    uint64_t s = seconds < 0 ? 0 - (uint64_t)seconds : (uint64_t)seconds;
    hr__text_add(out, "%s%02llu:%02d:%02d", sign, (unsigned long long)(s / 3600),
                 (int)(s / 60 % 60), (int)(s % 60));
    put_fraction(out, unit, fraction);
}

static void put_time(hr_text *out, const hr_type *type, const uint8_t *at)
{
    int64_t value = read_int(type->id, at), rest, days;
    hr__text_char(out, '"');
    switch (type->id) {
    case HR_TYPE_DATE32:
        put_date(out, value);
        break;
    case HR_TYPE_TIMESTAMP:
        days = floor_divide(value, 86400 * unit_per_second[type->unit], &rest);
        put_date(out, days);
        hr__text_char(out, 'T');
        put_clock(out, rest, type->unit);
        if (type->timezone)
            hr__text_char(out, 'Z');
        break;
    case HR_TYPE_DURATION: {
        uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        uint64_t per = (uint64_t)unit_per_second[type->unit];
        hr__text_add(out, "%sPT%llu", value < 0 ? "-" : "", (unsigned long long)(size / per));
        put_fraction(out, type->unit, (int64_t)(size % per));
        hr__text_char(out, 'S');
        break;
    }
    default:
        put_clock(out, value, type->unit);
        break;
    }
    hr__text_char(out, '"');
}

// Two's complement of `width` bytes to decimal digits, most significant first; returns how many.
static int decimal_digits(const uint8_t *at, int width, char digits[96], bool *negative_out)
{
    uint32_t limbs[8] = {0};
    int limb_count = width / 4, count = 0;
    memcpy(limbs, at, (size_t)width);
    *negative_out = limbs[limb_count - 1] >> 31;
    uint64_t carry = 1;
    for (int i = 0; *negative_out && i < limb_count; i++) {
        carry += (uint32_t)~limbs[i];
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    char reversed[96];
    for (int top = limb_count; top > 0;) {
        uint64_t rest = 0;
        for (int i = top - 1; i >= 0; i--) {
            rest = rest << 32 | limbs[i];
            limbs[i] = (uint32_t)(rest / 1000000000);
            rest %= 1000000000;
        }
        for (int i = 0; i < 9; i++, rest /= 10)
            reversed[count++] = (char)('0' + rest % 10);
        while (top > 0 && limbs[top - 1] == 0)
            top--;
    }
    while (count > 1 && reversed[count - 1] == '0')
        count--;
    for (int i = 0; i < count; i++)
        digits[i] = reversed[count - 1 - i];
    return count;
}

static void put_decimal(hr_text *out, const hr_type *type, const uint8_t *at)
{
    char digits[96];
    bool negative;
    int count = decimal_digits(at, hr__type_value_bytes(type), digits, &negative);
    int scale = type->scale;
    hr__text_put(out, negative ? "\"-" : "\"", negative ? 2 : 1);
    if (scale <= 0) {
        hr__text_put(out, digits, (size_t)count);
        for (int i = scale; i < 0 && digits[0] != '0'; i++)
            hr__text_char(out, '0');
    } else {
        int whole = count - scale;
        hr__text_put(out, whole > 0 ? digits : "0", whole > 0 ? (size_t)whole : 1);
        hr__text_char(out, '.');
        for (int i = whole; i < 0; i++)
            hr__text_char(out, '0');
        hr__text_put(out, digits + HR_MAX(whole, 0), (size_t)(count - HR_MAX(whole, 0)));
    }
    hr__text_char(out, '"');
}

static void put_base64(hr_text *out, const uint8_t *bytes, int64_t count)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    hr__text_char(out, '"');
    for (int64_t i = 0; i < count; i += 3) {
        int64_t left = count - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        char four[4] = {letters[group >> 18], letters[group >> 12 & 63],
                        left > 1 ? letters[group >> 6 & 63] : '=',
                        left > 2 ? letters[group & 63] : '='};
        hr__text_put(out, four, 4);
    }
    hr__text_char(out, '"');
}

static void put_tensor(hr_text *out, const hr_type *type, const uint8_t *at)
{
    int64_t values = hr__type_row_values(type), inside[HR_TENSOR_DIMS_MAX];
    size_t width = (size_t)hr__type_value_bytes(type);
    int64_t product = 1;
    for (int32_t d = type->ndim; d-- > 0;)
        inside[d] = product *= type->shape[d];
    for (int64_t i = 0; i < values; i++) {
        for (int32_t d = 0; d < type->ndim; d++)
            if (i % inside[d] == 0)
                hr__text_char(out, '[');
        put_number(out, type->item->id, at + (size_t)i * width);
        for (int32_t d = 0; d < type->ndim; d++)
            if ((i + 1) % inside[d] == 0)
                hr__text_char(out, ']');
        if (i + 1 < values)
            hr__text_char(out, ',');
    }
}

static void put_scalar(hr_text *out, const hr_column *c, int64_t row)
{
    const hr_type *type = c->type;
    const uint8_t *data = c->data;
    int64_t at = c->offset + row;
    if (type->id == HR_TYPE_BOOL) {
        hr__text_add(out, "%s", data[at >> 3] >> (at & 7) & 1 ? "true" : "false");
        return;
    }
    if (hr__type_has_offsets(type)) {
        int64_t begin = hr__column_offset(c, row), bytes = hr__column_offset(c, row + 1) - begin;
        if (type->id == HR_TYPE_STRING)
            hr__text_json(out, bytes ? (const char *)data + begin : "", (size_t)bytes);
        else
            put_base64(out, bytes ? data + begin : NULL, bytes);
        return;
    }
    data += at * hr_type_row_bytes(type);
    switch (type->id) {
    case HR_TYPE_DECIMAL128:
    case HR_TYPE_DECIMAL256:
        put_decimal(out, type, data);
        break;
    case HR_TYPE_FIXED_BINARY:
        put_base64(out, data, type->width_bytes);
        break;
    case HR_TYPE_TENSOR:
        put_tensor(out, type, data);
        break;
    default:
        if (hr__type_is_number(type))
            put_number(out, type->id, data);
        else
            put_time(out, type, data);
        break;
    }
}

typedef struct open_list {
    const hr_column *items;
    int64_t next, end;
    bool first;
} open_list;

void hr__column_print_json(const hr_column *column, int64_t row, hr_text *out)
{
    open_list open[HR_TYPE_DEPTH_MAX];
    int depth = 0;
    for (;;) {
        bool valid = hr__column_is_valid(column, row);
        if (valid && column->type->id == HR_TYPE_DICTIONARY) {
            row = ((const int32_t *)column->data)[column->offset + row];
            column = column->child;
            continue;
        }
        if (valid && column->type->id == HR_TYPE_LIST) {
            HR_ASSERT(depth < HR_TYPE_DEPTH_MAX);
            open[depth++] = (open_list){column->child, hr__column_offset(column, row),
                                        hr__column_offset(column, row + 1), true};
            hr__text_char(out, '[');
        } else if (valid) {
            put_scalar(out, column, row);
        } else {
            hr__text_put(out, "null", 4);
        }
        for (; depth > 0 && open[depth - 1].next == open[depth - 1].end; depth--)
            hr__text_char(out, ']');
        if (depth == 0 || out->cut ||
            out->failed) // a list of nulls needs no bytes: it may claim any length
            return;
        open_list *top = &open[depth - 1];
        if (!top->first)
            hr__text_char(out, ',');
        top->first = false;
        column = top->items;
        row = top->next++;
    }
}
