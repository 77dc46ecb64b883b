// SPDX-License-Identifier: Apache-2.0
// Options by table: from a caller's struct, from the environment, from text.
//
// A field that is zero was left alone: it takes the value of HEADRACE_NAME when that is set, else its default. Bounds
// are checked after that, once, for all three origins, and every message names the option as the caller knows it.
#include "base/option.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES_MAX 64

const char *hr__env(const char *name)
{
    const char *value = secure_getenv(name);
    return value && *value ? value : NULL;
}

char *const *hr__env_all(void)
{
    static char *const none[] = {NULL};
    return environ ? environ : none;
}

static void *field(const hr_option_row *row, void *options)
{
    return (char *)options + row->offset;
}

static bool is_zero(const hr_option_row *row, void *options)
{
    switch (row->type) {
    case HR_OPTION_INT:
    case HR_OPTION_BYTES:
        return *(int64_t *)field(row, options) == 0;
    case HR_OPTION_SECONDS:
        return *(double *)field(row, options) == 0;
    case HR_OPTION_BOOL:
        return *(uint8_t *)field(row, options) == 0;
    case HR_OPTION_TEXT:
        return *(const char **)field(row, options) == NULL;
    case HR_OPTION_CHOICE:
        return *(int *)field(row, options) == 0;
    }
    return false;
}

static size_t choice_count(const hr_option_row *row)
{
    size_t count = 0;
    while (row->choices && row->choices[count])
        count++;
    return count;
}

static void list_choices(const hr_option_row *row, char *out, size_t room)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; row->choices && row->choices[i] && used < room; i++) {
        int bytes = snprintf(out + used, room - used, "%s%s", i ? ", " : "", row->choices[i]);
        used += bytes > 0 ? (size_t)bytes : 0;
    }
}

static hr_status out_of_bounds(const hr_option_row *row, const char *found, hr_error *err)
{
    if (row->type == HR_OPTION_SECONDS)
        return HR_FAIL(err, HR_INVALID, "option '%s' is %s: allowed are %g to %g seconds",
                       row->name, found, row->min, row->max);
    return HR_FAIL(err, HR_INVALID, "option '%s' is %s: allowed are %.0f to %.0f%s", row->name,
                   found, row->min, row->max, row->type == HR_OPTION_BYTES ? " bytes" : "");
}

// Rows whose min and max are both zero have no bounds.
static hr_status check_bounds(const hr_option_row *row, void *options, hr_error *err)
{
    bool bounded = row->min != 0 || row->max != 0;
    char found[64];
    if (row->type == HR_OPTION_INT || row->type == HR_OPTION_BYTES) {
        int64_t value = *(int64_t *)field(row, options);
        if (!bounded || ((double)value >= row->min && (double)value <= row->max))
            return HR_OK;
        snprintf(found, sizeof found, "%" PRId64, value);
        return out_of_bounds(row, found, err);
    }
    if (row->type == HR_OPTION_SECONDS) {
        double value = *(double *)field(row, options);
        if (!isnan(value) && (!bounded || (value >= row->min && value <= row->max)))
            return HR_OK;
        snprintf(found, sizeof found, "%g", value);
        return out_of_bounds(row, found, err);
    }
    if (row->type == HR_OPTION_CHOICE) {
        int value = *(int *)field(row, options);
        char choices[256];
        if (value >= 0 && (size_t)value < choice_count(row))
            return HR_OK;
        list_choices(row, choices, sizeof choices);
        return HR_FAIL(err, HR_INVALID, "option '%s' is %d: allowed are %s, numbered from 0",
                       row->name, value, choices);
    }
    if (row->type == HR_OPTION_BOOL && *(uint8_t *)field(row, options) > 1)
        return HR_FAIL(err, HR_INVALID, "option '%s' is %u: allowed are 0 and 1", row->name,
                       *(uint8_t *)field(row, options));
    return HR_OK;
}

static hr_status not_a(const hr_option_row *row, const char *value, const char *what, hr_error *err)
{
    return HR_FAIL(err, HR_INVALID, "option '%s' is '%.64s': expected %s", row->name, value, what);
}

static hr_status parse_int(const hr_option_row *row, const char *value, void *to, hr_error *err)
{
    char *end = NULL;
    errno = 0;
    long long parsed = strtoll(value, &end, 10);
    if (end == value || *end || errno)
        return not_a(row, value, "a whole number", err);
    *(int64_t *)to = parsed;
    return HR_OK;
}

static hr_status parse_seconds(const hr_option_row *row, const char *value, void *to, hr_error *err)
{
    char *end = NULL;
    double parsed = strtod(value, &end), scale = 1;
    if (end != value && strcmp(end, "ms") == 0)
        scale = 1e-3;
    else if (end == value || (*end && strcmp(end, "s") != 0) || !isfinite(parsed))
        return not_a(row, value, "seconds, as in 2.5 or 250ms", err);
    *(double *)to = parsed * scale;
    return HR_OK;
}

static hr_status parse_bool(const hr_option_row *row, const char *value, void *to, hr_error *err)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < HR_COUNTOF(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            *(bool *)to = i % 2;
            return HR_OK;
        }
    }
    return not_a(row, value, "true or false", err);
}

static hr_status parse_choice(const hr_option_row *row, const char *value, void *to, hr_error *err)
{
    char choices[256];
    for (int i = 0; row->choices && row->choices[i]; i++) {
        if (strcmp(value, row->choices[i]) == 0) {
            *(int *)to = i;
            return HR_OK;
        }
    }
    list_choices(row, choices, sizeof choices);
    return not_a(row, value, choices, err);
}

static hr_status parse_row(const hr_option_row *row, const char *value, void *options,
                           hr_error *err)
{
    void *to = field(row, options);
    uint64_t bytes;
    switch (row->type) {
    case HR_OPTION_INT:
        return parse_int(row, value, to, err);
    case HR_OPTION_BYTES:
        // A named value such as -1 is a number, not a size.
        if (*value == '-')
            return parse_int(row, value, to, err);
        hr_status status = hr__parse_bytes(value, &bytes, err);
        if (status != HR_OK) {
            hr__error_context(err, "option '%s'", row->name);
            return status;
        }
        *(int64_t *)to = (int64_t)bytes;
        return HR_OK;
    case HR_OPTION_SECONDS:
        return parse_seconds(row, value, to, err);
    case HR_OPTION_BOOL:
        return parse_bool(row, value, to, err);
    case HR_OPTION_TEXT:
        *(const char **)to = value;
        return HR_OK;
    case HR_OPTION_CHOICE:
        return parse_choice(row, value, to, err);
    }
    return HR_FAIL(err, HR_INVALID, "option '%s' has no type", row->name);
}

static void apply_default(const hr_option_row *row, void *options)
{
    if (row->type == HR_OPTION_INT || row->type == HR_OPTION_BYTES)
        *(int64_t *)field(row, options) = (int64_t)row->default_value;
    else if (row->type == HR_OPTION_SECONDS)
        *(double *)field(row, options) = row->default_value;
}

const char *hr__option_variable(const char *name, char *out, size_t room)
{
    (void)snprintf(out, room, "HEADRACE_%s", name);
    for (char *c = out; *c; c++) {
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    }
    return out;
}

static hr_status fill(const hr_option_table *table, const hr_option_row *row, void *options,
                      hr_error *err)
{
    char name[NAME_BYTES_MAX];
    const char *value =
        table->call_only ? NULL : hr__env(hr__option_variable(row->name, name, sizeof name));
    if (!value) {
        apply_default(row, options);
        return HR_OK;
    }
    hr_status status = parse_row(row, value, options, err);
    if (status != HR_OK)
        hr__error_context(err, "environment variable %s", name);
    else if (is_zero(row, options))
        apply_default(row, options);
    return status;
}

// Copies what the caller's struct has and we know; a longer struct may only have zeros behind that.
hr_status hr__options_copy(const char *name, const void *from, void *to, size_t struct_bytes,
                           hr_error *err)
{
    size_t size;
    memset(to, 0, struct_bytes);
    memcpy(to, &struct_bytes, sizeof struct_bytes);
    if (!from)
        return HR_OK;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size)
        return HR_FAIL(err, HR_INVALID,
                       "%s options: their size is %zu: make them with the _INIT macro", name, size);
    for (size_t at = struct_bytes; at < size; at++) {
        if (((const uint8_t *)from)[at])
            return HR_FAIL(err, HR_UNSUPPORTED,
                           "%s options: byte %zu is set, this release knows %zu: the program was "
                           "built for a newer headrace than %s",
                           name, at, struct_bytes, hr_version());
    }
    memcpy((uint8_t *)to + sizeof size, (const uint8_t *)from + sizeof size,
           HR_MIN(size, struct_bytes) - sizeof size);
    return HR_OK;
}

hr_status hr__options_resolve(const hr_option_table *table, const void *from, void *to,
                              hr_error *err)
{
    HR_TRY(hr__options_copy(table->name, from, to, table->struct_bytes, err));
    for (size_t i = 0; i < table->row_count; i++) {
        const hr_option_row *row = &table->rows[i];
        if (is_zero(row, to))
            HR_TRY(fill(table, row, to, err));
        HR_TRY(check_bounds(row, to, err));
    }
    return HR_OK;
}

void hr__stats_copy(void *out, size_t out_bytes, const void *from, size_t from_bytes)
{
    size_t known = HR_MIN(out_bytes, from_bytes);
    memcpy(out, from, known);
    memset((uint8_t *)out + known, 0, out_bytes - known);
}

// The command line writes batch-rows, the struct batch_rows.
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        if (*a != *b && !(*a == '_' && *b == '-'))
            return false;
    }
    return *a == *b;
}

hr_status hr__option_parse(const hr_option_table *table, const char *name, const char *value,
                           void *to, hr_error *err)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const hr_option_row *row = &table->rows[i];
        if (!same_name(row->name, name))
            continue;
        HR_TRY(parse_row(row, value, to, err));
        return is_zero(row, to) ? HR_OK : check_bounds(row, to, err);
    }
    char known[512];
    size_t used = 0;
    known[0] = 0;
    for (size_t i = 0; i < table->row_count && used < sizeof known; i++) {
        int bytes =
            snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", table->rows[i].name);
        used += bytes > 0 ? (size_t)bytes : 0;
    }
    return HR_FAIL(err, HR_INVALID, "no option '%.64s' in %s: there are %s", name, table->name,
                   known);
}
