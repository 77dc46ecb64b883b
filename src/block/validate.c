// SPDX-License-Identifier: Apache-2.0
// Looking at every value before anybody trusts it: offsets ascend and end inside what they point into, codes are
// below the dictionary's length, strings are UTF-8, nulls are as many as was said.
//
// Codes are checked under nulls too (there 0 is fine even in an empty dictionary): so readers may look a code up
// before they look at the validity.
#include "block/block.h"
#include "kernel/kernel.h"

#include <string.h>

// Well-formed UTF-8 as Unicode's table 3-7: no overlong forms, no surrogates, nothing past U+10FFFF.
static size_t sequence_bytes(const uint8_t *p, size_t left)
{
    uint8_t b = p[0];
    uint8_t low = 0x80, high = 0xbf;
    size_t bytes;
    if (b < 0x80)
        return 1;
    if (b < 0xc2 || b > 0xf4)
        return 0;
    if (b < 0xe0)
        bytes = 2;
    else if (b < 0xf0)
        bytes = 3;
    else
        bytes = 4;
    if (left < bytes)
        return 0;
    if (b == 0xe0)
        low = 0xa0;
    else if (b == 0xed)
        high = 0x9f;
    else if (b == 0xf0)
        low = 0x90;
    else if (b == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

bool hr__utf8_check(const void *bytes, size_t count)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < count;) {
        uint64_t word;
        if (count - i >= 8) { // eight at a time while all are ASCII
            memcpy(&word, p + i, 8);
            if (!(word & 0x8080808080808080u)) {
                i += 8;
                continue;
            }
        }
        size_t step = sequence_bytes(p + i, count - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

static hr_status check_offsets(const hr_column *c, const char *name, hr_error *err)
{
    int64_t before = hr__column_offset(c, 0);
    if (before < 0)
        return HR_FAIL(err, HR_CORRUPT, "column '%.100s': the first offset is %lld", name,
                       (long long)before);
    for (int64_t i = 1; i <= c->rows; i++) {
        int64_t at = hr__column_offset(c, i);
        if (at < before)
            return HR_FAIL(err, HR_CORRUPT, "column '%.100s', row %lld: offset %lld after %lld",
                           name, (long long)i - 1, (long long)at, (long long)before);
        before = at;
    }
    if (c->child && before > c->child->rows)
        return HR_FAIL(err, HR_CORRUPT, "column '%.100s': offsets up to %lld, items %lld", name,
                       (long long)before, (long long)c->child->rows);
    return HR_OK;
}

static hr_status check_strings(const hr_column *c, const char *name, hr_error *err)
{
    int64_t begin = hr__column_offset(c, 0), end = hr__column_offset(c, c->rows);
    const uint8_t *data = c->data;
    if (begin == end)
        return HR_OK;
    bool ascii = true; // then no row can begin inside a character
    for (int64_t i = begin; i < end && ascii; i++)
        ascii = data[i] < 0x80;
    for (int64_t i = 0; i < c->rows && !ascii; i++) {
        int64_t from = hr__column_offset(c, i), to = hr__column_offset(c, i + 1);
        if (hr__column_is_valid(c, i) && !hr__utf8_check(data + from, (size_t)(to - from)))
            return HR_FAIL(err, HR_CORRUPT, "column '%.100s', row %lld: %lld bytes are not UTF-8",
                           name, (long long)i, (long long)(to - from));
    }
    return HR_OK;
}

static hr_status check_codes(const hr_column *c, const char *name, hr_error *err)
{
    const int32_t *codes = (const int32_t *)c->data + c->offset;
    int64_t entries = c->child->rows;
    for (int64_t i = 0; i < c->rows; i++) {
        if (codes[i] >= 0 && codes[i] < entries)
            continue;
        if (codes[i] == 0 && !hr__column_is_valid(c, i))
            continue;
        return HR_FAIL(err, HR_CORRUPT,
                       "column '%.100s', row %lld: dictionary index %d, entries %lld", name,
                       (long long)i, (int)codes[i], (long long)entries);
    }
    return HR_OK;
}

static hr_status check_nulls(const hr_column *c, const char *name, bool nullable, hr_error *err)
{
    if (c->null_count < 0 && nullable)
        return HR_OK;
    hr_column uncounted = *c;
    uncounted.null_count = -1;
    int64_t nulls = hr__column_null_count(&uncounted);
    if (c->null_count >= 0 && nulls != c->null_count)
        return HR_FAIL(err, HR_CORRUPT, "column '%.100s': %lld nulls, %lld were told", name,
                       (long long)nulls, (long long)c->null_count);
    if (!nullable && nulls)
        return HR_FAIL(err, HR_CORRUPT, "column '%.100s' has %lld nulls and is not nullable", name,
                       (long long)nulls);
    return HR_OK;
}

hr_status hr__column_validate(const hr_column *column, const char *name, bool nullable, bool text,
                              hr_error *err)
{
    for (const hr_column *c = column; c; c = c->child, nullable = true) {
        HR_TRY(check_nulls(c, name, nullable, err));
        if (hr__type_has_offsets(c->type))
            HR_TRY(check_offsets(c, name, err));
        if (c->type->id == HR_TYPE_STRING && text)
            HR_TRY(check_strings(c, name, err));
        if (c->type->id == HR_TYPE_DICTIONARY)
            HR_TRY(check_codes(c, name, err));
    }
    return HR_OK;
}

hr_status hr__block_validate(const hr_block *block, hr_validate_level level, hr_error *err)
{
    for (int32_t i = 0; level == HR_VALIDATE_FULL && i < block->column_count; i++) {
        const hr_field *field = hr_schema_field(block->schema, i);
        HR_TRY(hr__column_validate(&block->columns[i], field->name, field->nullable, true, err));
    }
    return HR_OK;
}
