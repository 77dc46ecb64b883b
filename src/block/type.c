// SPDX-License-Identifier: Apache-2.0
// Types: what the ids mean, how wide their values are, their names and their equality.
//
// A type has at most one item, so it is a chain (list of list of int32) and never a tree: everything here walks the
// chain in a loop, at most HR_TYPE_DEPTH_MAX steps. One table has a row for each id; the other functions read it.
#include "block/block.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct type_row {
    const char *name;
    uint8_t value_bytes; // 0: bits, variable, none, or told by the type itself
    bool plain;          // has no members besides the id
} type_row;

static const type_row type_rows[HR_TYPE_ID_COUNT] = {
    [HR_TYPE_NULL] = {"null", 0, true},
    [HR_TYPE_BOOL] = {"bool", 0, true},
    [HR_TYPE_INT8] = {"int8", 1, true},
    [HR_TYPE_INT16] = {"int16", 2, true},
    [HR_TYPE_INT32] = {"int32", 4, true},
    [HR_TYPE_INT64] = {"int64", 8, true},
    [HR_TYPE_UINT8] = {"uint8", 1, true},
    [HR_TYPE_UINT16] = {"uint16", 2, true},
    [HR_TYPE_UINT32] = {"uint32", 4, true},
    [HR_TYPE_UINT64] = {"uint64", 8, true},
    [HR_TYPE_FLOAT16] = {"float16", 2, true},
    [HR_TYPE_BFLOAT16] = {"bfloat16", 2, true},
    [HR_TYPE_FLOAT32] = {"float32", 4, true},
    [HR_TYPE_FLOAT64] = {"float64", 8, true},
    [HR_TYPE_DATE32] = {"date32", 4, true},
    [HR_TYPE_TIME32] = {"time32", 4, false},
    [HR_TYPE_TIME64] = {"time64", 8, false},
    [HR_TYPE_TIMESTAMP] = {"timestamp", 8, false},
    [HR_TYPE_DURATION] = {"duration", 8, false},
    [HR_TYPE_DECIMAL128] = {"decimal", 16, false},
    [HR_TYPE_DECIMAL256] = {"decimal256", 32, false},
    [HR_TYPE_FIXED_BINARY] = {"fixed_binary", 0, false},
    [HR_TYPE_BINARY] = {"binary", 0, true},
    [HR_TYPE_STRING] = {"string", 0, true},
    [HR_TYPE_LIST] = {"list", 0, false},
    [HR_TYPE_TENSOR] = {"tensor", 0, false},
    [HR_TYPE_DICTIONARY] = {"dictionary", 4, false},
};

#define PLAIN(type) [type] = {.id = type}
static const hr_type plain_types[HR_TYPE_ID_COUNT] = {
    PLAIN(HR_TYPE_NULL),    PLAIN(HR_TYPE_BOOL),    PLAIN(HR_TYPE_INT8),    PLAIN(HR_TYPE_INT16),
    PLAIN(HR_TYPE_INT32),   PLAIN(HR_TYPE_INT64),   PLAIN(HR_TYPE_UINT8),   PLAIN(HR_TYPE_UINT16),
    PLAIN(HR_TYPE_UINT32),  PLAIN(HR_TYPE_UINT64),  PLAIN(HR_TYPE_FLOAT16), PLAIN(HR_TYPE_BFLOAT16),
    PLAIN(HR_TYPE_FLOAT32), PLAIN(HR_TYPE_FLOAT64), PLAIN(HR_TYPE_DATE32),  PLAIN(HR_TYPE_BINARY),
    PLAIN(HR_TYPE_STRING),
};
#undef PLAIN

static const char *const unit_names[] = {"s", "ms", "us", "ns"};

static bool id_is_known(hr_type_id id)
{
    return (unsigned)id < HR_TYPE_ID_COUNT;
}

const hr_type *hr__type_primitive(hr_type_id id)
{
    return id_is_known(id) && type_rows[id].plain ? &plain_types[id] : NULL;
}

int hr__type_id_parse(const char *name)
{
    for (int id = 0; name && id < HR_TYPE_ID_COUNT; id++)
        if (type_rows[id].plain && strcmp(type_rows[id].name, name) == 0)
            return id;
    return -1;
}

bool hr__type_is_number(const hr_type *type)
{
    return type->id >= HR_TYPE_INT8 && type->id <= HR_TYPE_FLOAT64;
}

bool hr__type_has_offsets(const hr_type *type)
{
    return type->id == HR_TYPE_STRING || type->id == HR_TYPE_BINARY || type->id == HR_TYPE_LIST;
}

const hr_type *hr__type_child(const hr_type *type)
{
    return type->id == HR_TYPE_LIST || type->id == HR_TYPE_DICTIONARY ? type->item : NULL;
}

int32_t hr__type_value_bytes(const hr_type *type)
{
    if (type->id == HR_TYPE_FIXED_BINARY)
        return type->width_bytes;
    if (type->id == HR_TYPE_TENSOR)
        return type_rows[type->item->id].value_bytes;
    return type_rows[type->id].value_bytes;
}

int64_t hr__type_row_values(const hr_type *type)
{
    int64_t values = 1;
    if (type->id == HR_TYPE_TENSOR)
        for (int32_t i = 0; i < type->ndim; i++)
            values *= type->shape[i]; // hr__type_check has seen that it fits
    return values;
}

int64_t hr_type_row_bytes(const hr_type *type)
{
    return type ? hr__type_value_bytes(type) * hr__type_row_values(type) : 0;
}

static bool node_equal(const hr_type *a, const hr_type *b)
{
    if (a->id != b->id || a->unit != b->unit || a->precision != b->precision ||
        a->scale != b->scale || a->width_bytes != b->width_bytes || a->large != b->large ||
        a->ordered != b->ordered || a->ndim != b->ndim)
        return false;
    for (int32_t i = 0; i < a->ndim && i < HR_TENSOR_DIMS_MAX; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    if (!a->timezone || !b->timezone)
        return a->timezone == b->timezone;
    return strcmp(a->timezone, b->timezone) == 0;
}

bool hr__type_equal(const hr_type *a, const hr_type *b)
{
    for (int depth = 0; depth <= HR_TYPE_DEPTH_MAX; depth++) {
        if (!a || !b)
            return a == b;
        if (!node_equal(a, b))
            return false;
        a = a->item, b = b->item;
    }
    return false;
}

static hr_status check_tensor(const hr_type *type, const char *what, hr_error *err)
{
    if (!type->item || !hr__type_is_number(type->item))
        return HR_FAIL(err, HR_INVALID, "%s: a tensor's items must be numbers", what);
    if (type->ndim < 1 || type->ndim > HR_TENSOR_DIMS_MAX)
        return HR_FAIL(err, HR_INVALID, "%s: a tensor of %d dimensions, allowed are 1 to %d", what,
                       (int)type->ndim, HR_TENSOR_DIMS_MAX);
    int64_t bytes = hr__type_value_bytes(type->item);
    for (int32_t i = 0; i < type->ndim; i++) {
        if (type->shape[i] < 1)
            return HR_FAIL(err, HR_INVALID,
                           "%s: dimension %d of a tensor is %lld, at least 1 needed", what, (int)i,
                           (long long)type->shape[i]);
        if (HR_MUL_OVERFLOWS(bytes, type->shape[i], &bytes) || bytes > HR_TENSOR_ROW_BYTES_MAX)
            return HR_FAIL(err, HR_LIMIT, "%s: a row of the tensor is larger than %lld bytes", what,
                           (long long)HR_TENSOR_ROW_BYTES_MAX);
    }
    return HR_OK;
}

static hr_status check_decimal(const hr_type *type, const char *what, hr_error *err)
{
    int max = type->id == HR_TYPE_DECIMAL128 ? 38 : 76;
    if (type->precision < 1 || type->precision > max)
        return HR_FAIL(err, HR_INVALID, "%s: decimal precision %d, allowed are 1 to %d", what,
                       (int)type->precision, max);
    if (type->scale < -max || type->scale > max)
        return HR_FAIL(err, HR_INVALID, "%s: decimal scale %d, allowed are %d to %d", what,
                       (int)type->scale, -max, max);
    return HR_OK;
}

static hr_status check_unit(const hr_type *type, const char *what, hr_error *err)
{
    bool coarse = type->unit == HR_SECOND || type->unit == HR_MILLISECOND;
    bool fine = type->unit == HR_MICROSECOND || type->unit == HR_NANOSECOND;
    if (!coarse && !fine)
        return HR_FAIL(err, HR_INVALID, "%s: time unit %d is none", what, (int)type->unit);
    if ((type->id == HR_TYPE_TIME32 && fine) || (type->id == HR_TYPE_TIME64 && coarse))
        return HR_FAIL(err, HR_INVALID, "%s: %s cannot be in %s", what, type_rows[type->id].name,
                       unit_names[type->unit]);
    return HR_OK;
}

static hr_status check_node(const hr_type *type, const char *what, hr_error *err)
{
    switch (type->id) {
    case HR_TYPE_TIME32:
    case HR_TYPE_TIME64:
    case HR_TYPE_TIMESTAMP:
    case HR_TYPE_DURATION:
        return check_unit(type, what, err);
    case HR_TYPE_DECIMAL128:
    case HR_TYPE_DECIMAL256:
        return check_decimal(type, what, err);
    case HR_TYPE_FIXED_BINARY:
        if (type->width_bytes < 1)
            return HR_FAIL(err, HR_INVALID, "%s: fixed_binary of %d bytes, at least 1 needed", what,
                           (int)type->width_bytes);
        return HR_OK;
    case HR_TYPE_LIST:
        return type->item ? HR_OK : HR_FAIL(err, HR_INVALID, "%s: a list without item type", what);
    case HR_TYPE_TENSOR:
        return check_tensor(type, what, err);
    case HR_TYPE_DICTIONARY:
        if (!type->item || type->item->id == HR_TYPE_NULL || type->item->id >= HR_TYPE_LIST)
            return HR_FAIL(err, HR_INVALID,
                           "%s: a dictionary's values must be numbers, times, strings or bytes",
                           what);
        return HR_OK;
    default:
        if (!id_is_known(type->id))
            return HR_FAIL(err, HR_INVALID, "%s: type id %d is none", what, (int)type->id);
        return HR_OK;
    }
}

hr_status hr__type_check(const hr_type *type, const char *what, hr_error *err)
{
    if (!type)
        return HR_FAIL(err, HR_INVALID, "%s: no type", what);
    for (int depth = 0; type; depth++) {
        if (depth == HR_TYPE_DEPTH_MAX)
            return HR_FAIL(err, HR_LIMIT, "%s: types nest deeper than %d", what, HR_TYPE_DEPTH_MAX);
        HR_TRY(check_node(type, what, err));
        type = type->id >= HR_TYPE_LIST ? type->item : NULL;
    }
    return HR_OK;
}

typedef struct printer {
    char *buffer;
    size_t room, at;
} printer;

HR_PRINTF(2, 3) static void put(printer *p, const char *format, ...)
{
    if (p->at + 1 >= p->room)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->buffer + p->at, p->room - p->at, format, args);
    va_end(args);
    if (n > 0)
        p->at = HR_MIN(p->at + (size_t)n, p->room - 1);
}

static void put_node(printer *p, const hr_type *type)
{
    const char *name = type_rows[type->id].name;
    const char *unit = (unsigned)type->unit < HR_COUNTOF(unit_names) ? unit_names[type->unit] : "?";
    switch (type->id) {
    case HR_TYPE_TIME32:
    case HR_TYPE_TIME64:
    case HR_TYPE_DURATION:
        put(p, "%s[%s]", name, unit);
        break;
    case HR_TYPE_TIMESTAMP:
        put(p, type->timezone ? "%s[%s, %s]" : "%s[%s]", name, unit, type->timezone);
        break;
    case HR_TYPE_DECIMAL128:
    case HR_TYPE_DECIMAL256:
        put(p, "%s(%d, %d)", name, (int)type->precision, (int)type->scale);
        break;
    case HR_TYPE_FIXED_BINARY:
        put(p, "%s[%d]", name, (int)type->width_bytes);
        break;
    case HR_TYPE_LIST:
    case HR_TYPE_TENSOR:
    case HR_TYPE_DICTIONARY:
        put(p, "%s%s<", type->large ? "large_" : "", name);
        break;
    default:
        put(p, "%s%s", type->large ? "large_" : "", name);
        break;
    }
}

static void put_close(printer *p, const hr_type *type)
{
    put(p, ">");
    if (type->id != HR_TYPE_TENSOR)
        return;
    for (int32_t i = 0; i < type->ndim && i < HR_TENSOR_DIMS_MAX; i++)
        put(p, "%s%lld", i ? ", " : "[", (long long)type->shape[i]);
    put(p, "]");
}

const char *hr_type_print(const hr_type *type, char *buffer, size_t room)
{
    const hr_type *open[HR_TYPE_DEPTH_MAX];
    int depth = 0;
    printer p = {buffer, room, 0};
    if (room)
        buffer[0] = 0;
    for (; type; type = type->item) {
        if (!id_is_known(type->id)) {
            put(&p, "?");
            break;
        }
        put_node(&p, type);
        if (type->id < HR_TYPE_LIST)
            break;
        if (depth == HR_TYPE_DEPTH_MAX) {
            put(&p, "?");
            break;
        }
        open[depth++] = type;
    }
    while (depth > 0)
        put_close(&p, open[--depth]);
    return buffer;
}
