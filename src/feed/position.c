// SPDX-License-Identifier: Apache-2.0
// Positions as text: one JSON object, so that it can be part of any checkpoint.
//
//   {"headrace_position":1,"plan":"0f3a…","seed":"7","epoch":2,"step":10,"row":10240,
//    "shuffle":"window","window_rows":16384,"order_lanes":8,"unit":0,"unit_row":0,"order_row":0,"more_units":0}
//
// Numbers of 64 bits without a sign are strings: many readers of JSON keep 53 bits. The text may come from anywhere,
// so each field is there once, of its type, within its bounds, and nothing else is.
#include "feed/feed.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define FORMAT        1
#define TEXT_MAX      ((size_t)4096)
#define FIELDS_STRING 3 // plan, seed, shuffle

static const char *const shuffles[] = {"none", "blocks", "window", "global"};

typedef struct number_field {
    const char *name;
    size_t offset;
    int64_t max;
} number_field;

#define FIELD(name) #name, offsetof(hr_position, name)
static const number_field numbers[] = {
    {FIELD(epoch), UINT32_MAX},      {FIELD(step), INT64_MAX},
    {FIELD(row), INT64_MAX},         {FIELD(window_rows), UINT32_MAX},
    {FIELD(order_lanes), 4096},      {FIELD(unit), INT64_MAX},
    {FIELD(unit_row), INT64_MAX},    {FIELD(order_row), INT64_MAX},
    {FIELD(more_units), UINT32_MAX},
};

const char *hr_position_print(const hr_position *p, char *buffer)
{
    int bytes =
        snprintf(buffer, HR_POSITION_BYTES_MAX,
                 "{\"headrace_position\": %d, \"plan\": \"%016" PRIx64 "\", \"seed\": \"%" PRIu64
                 "\", \"epoch\": %" PRId64 ", \"step\": %" PRId64 ", \"row\": %" PRId64
                 ", \"shuffle\": \"%s\", \"window_rows\": %" PRId64 ", \"order_lanes\": %" PRId64
                 ", \"unit\": %" PRId64 ", \"unit_row\": %" PRId64 ", \"order_row\": %" PRId64
                 ", \"more_units\": %" PRId64 "}",
                 FORMAT, p->plan_hash, p->seed, p->epoch, p->step, p->row,
                 shuffles[HR_MIN((size_t)p->shuffle, HR_COUNTOF(shuffles) - 1)], p->window_rows,
                 p->order_lanes, p->unit, p->unit_row, p->order_row, p->more_units);
    HR_ASSERT(bytes > 0 && bytes < HR_POSITION_BYTES_MAX);
    return buffer;
}

static hr_status fail_field(const char *name, const char *expected, hr_error *err)
{
    return HR_FAIL(err, HR_INVALID, "position: '%s' is not %s: was it made by another release?",
                   name, expected);
}

static hr_status parse_u64(const json_t *object, const char *name, int base, uint64_t *out,
                           hr_error *err)
{
    const char *text = json_string_value(json_object_get(object, name));
    static const char digits[] = "0123456789abcdef";
    uint64_t value = 0;
    if (!text || !*text)
        return fail_field(name, "a number as a string", err);
    for (; *text; text++) {
        const char *at = memchr(digits, *text, (size_t)base);
        if (!at || value > (UINT64_MAX - (uint64_t)(at - digits)) / (uint64_t)base)
            return fail_field(name, "a number of 64 bits as a string", err);
        value = value * (uint64_t)base + (uint64_t)(at - digits);
    }
    *out = value;
    return HR_OK;
}

static hr_status parse_shuffle(const json_t *object, hr_shuffle *out, hr_error *err)
{
    const char *text = json_string_value(json_object_get(object, "shuffle"));
    for (size_t i = 0; text && i < HR_COUNTOF(shuffles); i++)
        if (strcmp(text, shuffles[i]) == 0) {
            *out = (hr_shuffle)i;
            return HR_OK;
        }
    return fail_field("shuffle", "a shuffle that this release knows", err);
}

static hr_status parse_object(const json_t *object, hr_position *out, hr_error *err)
{
    const json_t *format = json_object_get(object, "headrace_position");
    if (!json_is_integer(format))
        return HR_FAIL(err, HR_INVALID,
                       "not a position: a JSON object with 'headrace_position' is expected");
    if (json_integer_value(format) != FORMAT)
        return HR_FAIL(err, HR_INVALID,
                       "position: format %" PRId64 ", this release reads format %d",
                       (int64_t)json_integer_value(format), FORMAT);
    HR_TRY(parse_u64(object, "plan", 16, &out->plan_hash, err));
    HR_TRY(parse_u64(object, "seed", 10, &out->seed, err));
    HR_TRY(parse_shuffle(object, &out->shuffle, err));
    for (size_t i = 0; i < HR_COUNTOF(numbers); i++) {
        const json_t *value = json_object_get(object, numbers[i].name);
        int64_t number = json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
        if (number < 0 || number > numbers[i].max)
            return fail_field(numbers[i].name, "a whole number within its bounds", err);
        memcpy((char *)out + numbers[i].offset, &number, sizeof number);
    }
    if (json_object_size(object) != 1 + FIELDS_STRING + HR_COUNTOF(numbers))
        return HR_FAIL(err, HR_INVALID, "position: %zu fields, a position has %zu",
                       json_object_size(object), 1 + FIELDS_STRING + HR_COUNTOF(numbers));
    if (out->order_row > out->row)
        return fail_field("order_row", "at or before 'row'", err);
    if (out->shuffle == HR_SHUFFLE_WINDOW && (!out->window_rows || !out->order_lanes))
        return fail_field("window_rows", "what a window shuffle has", err);
    return HR_OK;
}

hr_status hr_position_parse(const char *text, hr_position *out, hr_error *err)
{
    json_error_t at;
    hr_position made = {0};
    size_t bytes = strnlen(text, TEXT_MAX + 1);
    if (bytes > TEXT_MAX)
        return HR_FAIL(err, HR_INVALID, "not a position: a text of more than %zu bytes", TEXT_MAX);
    json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &at);
    if (!object)
        return HR_FAIL(err, HR_INVALID, "not a position: byte %d: %s", at.position, at.text);
    hr_status status = parse_object(object, &made, err);
    json_decref(object);
    if (status == HR_OK)
        *out = made;
    return status;
}
