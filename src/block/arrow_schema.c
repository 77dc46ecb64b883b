// SPDX-License-Identifier: Apache-2.0
// Arrow schemas read as ours: format strings (https://arrow.apache.org/docs/format/CDataInterface.html), dictionaries,
// fixed-size lists as tensors.
//
// A fixed-size list of numbers, or of fixed-size lists of numbers, is a tensor. With the extension
// arrow.fixed_shape_tensor its storage is one flat list and the shape stands in the extension's JSON. Other
// extensions are read as their storage. What we do not have is UNSUPPORTED, naming the field and the format.
#include "base/arena.h"
#include "block/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMPORT_BYTES_MAX ((size_t)64 << 20) // types and names of one schema while it is read

typedef struct format_row {
    const char *format;
    hr_type type;
} format_row;

static const format_row formats[] = {
    {"n", {.id = HR_TYPE_NULL}},
    {"b", {.id = HR_TYPE_BOOL}},
    {"c", {.id = HR_TYPE_INT8}},
    {"C", {.id = HR_TYPE_UINT8}},
    {"s", {.id = HR_TYPE_INT16}},
    {"S", {.id = HR_TYPE_UINT16}},
    {"i", {.id = HR_TYPE_INT32}},
    {"I", {.id = HR_TYPE_UINT32}},
    {"l", {.id = HR_TYPE_INT64}},
    {"L", {.id = HR_TYPE_UINT64}},
    {"e", {.id = HR_TYPE_FLOAT16}},
    {"f", {.id = HR_TYPE_FLOAT32}},
    {"g", {.id = HR_TYPE_FLOAT64}},
    {"z", {.id = HR_TYPE_BINARY}},
    {"Z", {.id = HR_TYPE_BINARY, .large = true}},
    {"u", {.id = HR_TYPE_STRING}},
    {"U", {.id = HR_TYPE_STRING, .large = true}},
    {"tdD", {.id = HR_TYPE_DATE32}},
    {"tdm", {.id = HR_TYPE_TIMESTAMP, .unit = HR_MILLISECOND}}, // date64: the same 64 bits
    {"tts", {.id = HR_TYPE_TIME32, .unit = HR_SECOND}},
    {"ttm", {.id = HR_TYPE_TIME32, .unit = HR_MILLISECOND}},
    {"ttu", {.id = HR_TYPE_TIME64, .unit = HR_MICROSECOND}},
    {"ttn", {.id = HR_TYPE_TIME64, .unit = HR_NANOSECOND}},
    {"tDs", {.id = HR_TYPE_DURATION, .unit = HR_SECOND}},
    {"tDm", {.id = HR_TYPE_DURATION, .unit = HR_MILLISECOND}},
    {"tDu", {.id = HR_TYPE_DURATION, .unit = HR_MICROSECOND}},
    {"tDn", {.id = HR_TYPE_DURATION, .unit = HR_NANOSECOND}},
};

// For the message; matched by prefix.
static const struct {
    const char *format, *name;
} foreign[] = {
    {"+s", "struct"},
    {"+m", "map"},
    {"+ud:", "dense union"},
    {"+us:", "sparse union"},
    {"+r", "run-end encoded"},
    {"vu", "string view"},
    {"vz", "binary view"},
    {"+vl", "list view"},
    {"+vL", "large list view"},
    {"tiM", "interval of months"},
    {"tiD", "interval of days"},
    {"tin", "interval of months, days and nanoseconds"},
    {"d:", "decimal of another width"},
    {"+w:", "fixed-size list of other than numbers"},
};

typedef struct importer {
    hr_bump bump;
    const char *field;
    char index_format;
} importer;

static hr_status unsupported(const importer *in, const char *format, hr_error *err)
{
    const char *name = "unknown type";
    for (size_t i = 0; i < HR_COUNTOF(foreign); i++)
        if (strncmp(format, foreign[i].format, strlen(foreign[i].format)) == 0)
            name = foreign[i].name;
    return HR_FAIL(
        err, HR_UNSUPPORTED,
        "column '%.100s': Arrow format '%.40s' (%s) is not supported: convert the column first",
        in->field, format, name);
}

// --- the metadata of a node: int32 pairs, then for each {int32 bytes, key} {int32 bytes, value} ---

static bool metadata_find(const char *metadata, const char *key, const char **value_out,
                          size_t *bytes_out)
{
    int32_t pairs = 0;
    if (!metadata)
        return false;
    memcpy(&pairs, metadata, sizeof pairs);
    metadata += sizeof pairs;
    for (int32_t i = 0; i < pairs; i++) {
        int32_t bytes[2];
        const char *text[2];
        for (int part = 0; part < 2; part++) {
            memcpy(&bytes[part], metadata, sizeof bytes[part]);
            if (bytes[part] < 0)
                return false;
            text[part] = metadata + sizeof bytes[part];
            metadata = text[part] + bytes[part];
        }
        if ((size_t)bytes[0] == strlen(key) && memcmp(text[0], key, (size_t)bytes[0]) == 0) {
            *value_out = text[1];
            *bytes_out = (size_t)bytes[1];
            return true;
        }
    }
    return false;
}

// A cursor over the extension's JSON: enough of it to find two arrays of integers in an object.
typedef struct json {
    const char *at, *end;
} json;

static char json_peek(json *j)
{
    while (j->at < j->end && strchr(" \t\r\n", *j->at) && *j->at)
        j->at++;
    return j->at < j->end ? *j->at : 0;
}

static bool json_eat(json *j, char c)
{
    if (json_peek(j) != c || c == 0)
        return false;
    j->at++;
    return true;
}

// The text between quotes, escapes left as they are.
static bool json_string(json *j, const char **text_out, size_t *bytes_out)
{
    if (!json_eat(j, '"'))
        return false;
    *text_out = j->at;
    for (; j->at < j->end && *j->at != '"'; j->at++)
        if (*j->at == '\\')
            j->at++;
    if (j->at >= j->end)
        return false;
    *bytes_out = (size_t)(j->at++ - *text_out);
    return true;
}

// Steps over one value by counting brackets.
static bool json_skip(json *j)
{
    int depth = 0;
    const char *text;
    size_t bytes;
    do {
        char c = json_peek(j);
        if (c == 0)
            return false;
        if (c == '"') {
            if (!json_string(j, &text, &bytes))
                return false;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return true; // the end of a bare word or number
        depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        j->at++;
        if (depth == 0 && strchr("}]", c))
            return true;
    } while (depth > 0 || (json_peek(j) && !strchr(",}]", json_peek(j))));
    return true;
}

static bool json_integers(json *j, int64_t *values, int32_t *count_out)
{
    int32_t count = 0;
    if (!json_eat(j, '['))
        return false;
    while (!json_eat(j, ']')) {
        int64_t value = 0;
        int digits = 0;
        if (count == HR_TENSOR_DIMS_MAX || (count > 0 && !json_eat(j, ',')))
            return false;
        for (char c = json_peek(j); j->at < j->end && c >= '0' && c <= '9' && digits < 18;
             digits++) {
            value = value * 10 + (c - '0');
            c = ++j->at < j->end ? *j->at : 0;
        }
        if (digits == 0)
            return false;
        values[count++] = value;
    }
    *count_out = count;
    return true;
}

// {"shape":[2,3], "permutation":[0,1], ...}: false unless there is a shape and rows are laid out in its order.
static bool parse_tensor_json(json j, hr_type *type)
{
    bool found = false;
    if (!json_eat(&j, '{'))
        return false;
    while (json_peek(&j) == '"') {
        const char *key;
        size_t bytes;
        if (!json_string(&j, &key, &bytes) || !json_eat(&j, ':'))
            return false;
        if (bytes == 5 && memcmp(key, "shape", 5) == 0) {
            found = true;
            if (!json_integers(&j, type->shape, &type->ndim))
                return false;
        } else if (bytes == 11 && memcmp(key, "permutation", 11) == 0 && json_peek(&j) == '[') {
            int64_t order[HR_TENSOR_DIMS_MAX];
            int32_t count;
            if (!json_integers(&j, order, &count))
                return false;
            for (int32_t i = 0; i < count; i++)
                if (order[i] != i)
                    return false;
        } else if (!json_skip(&j)) {
            return false;
        }
        if (!json_eat(&j, ','))
            break;
    }
    return found && json_eat(&j, '}');
}

// --- types ---

static const hr_type *plain_format(const char *format)
{
    for (size_t i = 0; i < HR_COUNTOF(formats); i++)
        if (strcmp(formats[i].format, format) == 0)
            return &formats[i].type;
    return NULL;
}

// Steps over an integer that fits 32 bits.
static bool next_int(const char **text, int32_t *out)
{
    char *end;
    long value = strtol(*text, &end, 10);
    if (end == *text || value < INT32_MIN || value > INT32_MAX)
        return false;
    *text = end;
    *out = (int32_t)value;
    return true;
}

static bool parse_width(const char *text, int32_t *out)
{
    return next_int(&text, out) && !*text && *out >= 0;
}

// "d:precision,scale" or "d:precision,scale,bits".
static bool parse_decimal(const char *text, hr_type *t)
{
    int32_t bits = 128;
    if (strncmp(text, "d:", 2) != 0)
        return false;
    text += 2;
    if (!next_int(&text, &t->precision) || *text++ != ',' || !next_int(&text, &t->scale))
        return false;
    if (*text == ',' && (text++, !next_int(&text, &bits)))
        return false;
    t->id = bits == 256 ? HR_TYPE_DECIMAL256 : HR_TYPE_DECIMAL128;
    return !*text && (bits == 128 || bits == 256);
}

static hr_status leaf_type(importer *in, const char *format, hr_type *t, hr_error *err)
{
    static const char units[] = "smun";
    const hr_type *plain = plain_format(format);
    if (plain) {
        *t = *plain;
        return HR_OK;
    }
    if (strncmp(format, "ts", 2) == 0 && format[2] && strchr(units, format[2]) &&
        format[3] == ':') {
        t->id = HR_TYPE_TIMESTAMP;
        t->unit = (hr_time_unit)(strchr(units, format[2]) - units);
        return format[4]
                   ? hr__bump_text(&in->bump, format + 4, strlen(format + 4), &t->timezone, err)
                   : HR_OK;
    }
    if (strncmp(format, "w:", 2) == 0) {
        t->id = HR_TYPE_FIXED_BINARY;
        return parse_width(format + 2, &t->width_bytes) ? HR_OK : unsupported(in, format, err);
    }
    if (parse_decimal(format, t))
        return HR_OK;
    return unsupported(in, format, err);
}

static hr_status tensor_type(importer *in, const struct ArrowSchema *s, hr_type *t, hr_error *err)
{
    const struct ArrowSchema *outer = s;
    const char *text;
    size_t bytes;
    int64_t stored = 1;
    hr_type *item;
    t->id = HR_TYPE_TENSOR;
    for (; strncmp(s->format, "+w:", 3) == 0; s = s->children[0]) {
        int32_t width;
        if (s->n_children != 1 || !s->children || !s->children[0] || !s->children[0]->format ||
            !parse_width(s->format + 3, &width) || width < 1)
            return HR_FAIL(err, HR_INVALID,
                           "column '%.100s': Arrow format '%.40s' of %lld children", in->field,
                           s->format, (long long)s->n_children);
        if (t->ndim == HR_TENSOR_DIMS_MAX)
            return HR_FAIL(err, HR_LIMIT, "column '%.100s': a tensor of more than %d dimensions",
                           in->field, HR_TENSOR_DIMS_MAX);
        t->shape[t->ndim++] = width;
        if (HR_MUL_OVERFLOWS(stored, (int64_t)width, &stored))
            return HR_FAIL(err, HR_LIMIT, "column '%.100s': a tensor of more than 2^63 values",
                           in->field);
    }
    HR_TRY(hr__bump_alloc(&in->bump, sizeof *item, &item, err));
    HR_TRY(leaf_type(in, s->format, item, err));
    t->item = item;
    if (!hr__type_is_number(item) || s->dictionary)
        return unsupported(in, outer->format, err);
    if (!metadata_find(outer->metadata, "ARROW:extension:name", &text, &bytes) ||
        bytes != strlen("arrow.fixed_shape_tensor") ||
        memcmp(text, "arrow.fixed_shape_tensor", bytes) != 0)
        return HR_OK;
    if (t->ndim != 1 ||
        !metadata_find(outer->metadata, "ARROW:extension:metadata", &text, &bytes) ||
        !parse_tensor_json((json){text, text + bytes}, t))
        return HR_FAIL(
            err, HR_UNSUPPORTED,
            "column '%.100s': an arrow.fixed_shape_tensor over nested lists, without a shape of "
            "1 to %d dimensions, or permuted",
            in->field, HR_TENSOR_DIMS_MAX);
    for (int32_t i = 0; i < t->ndim; i++)
        if (t->shape[i] < 1 || stored % t->shape[i] || (stored /= t->shape[i], false))
            return HR_FAIL(err, HR_INVALID,
                           "column '%.100s': the shape of its tensor is not its '%.40s'", in->field,
                           outer->format);
    return stored == 1
               ? HR_OK
               : HR_FAIL(err, HR_INVALID,
                         "column '%.100s': the shape of its tensor is smaller than its '%.40s'",
                         in->field, outer->format);
}

static hr_status import_type(importer *in, const struct ArrowSchema *s, const hr_type **out,
                             hr_error *err)
{
    for (int depth = 0;; depth++) {
        hr_type *t;
        if (depth == HR_TYPE_DEPTH_MAX)
            return HR_FAIL(err, HR_LIMIT, "column '%.100s': types nest deeper than %d", in->field,
                           HR_TYPE_DEPTH_MAX);
        HR_TRY(hr__bump_alloc(&in->bump, sizeof *t, &t, err));
        *out = t;
        out = &t->item;
        if (!s || !s->format || !s->release)
            return HR_FAIL(err, HR_INVALID,
                           "column '%.100s': an Arrow schema without format, or released",
                           in->field);
        if (s->dictionary) {
            if (!s->format[0] || s->format[1] || !strchr("cCsSiIlL", s->format[0]))
                return HR_FAIL(err, HR_INVALID,
                               "column '%.100s': dictionary codes of format '%.40s'", in->field,
                               s->format);
            t->id = HR_TYPE_DICTIONARY;
            t->ordered = s->flags & ARROW_FLAG_DICTIONARY_ORDERED;
            in->index_format = s->format[0];
            s = s->dictionary;
        } else if (strcmp(s->format, "+l") == 0 || strcmp(s->format, "+L") == 0) {
            if (s->n_children != 1 || !s->children)
                return HR_FAIL(err, HR_INVALID, "column '%.100s': a list of %lld children",
                               in->field, (long long)s->n_children);
            t->id = HR_TYPE_LIST;
            t->large = s->format[1] == 'L';
            s = s->children[0];
        } else if (strncmp(s->format, "+w:", 3) == 0) {
            return tensor_type(in, s, t, err);
        } else {
            return leaf_type(in, s->format, t, err);
        }
    }
}

hr_status hr_schema_import(const struct ArrowSchema *schema, hr_schema **out, hr_error *err)
{
    importer in = {0};
    hr_field *fields = NULL;
    char *index_formats = NULL;
    hr_schema *made = NULL;
    hr_status status;
    if (!schema || !schema->release || !schema->format)
        return HR_FAIL(err, HR_INVALID, "an Arrow schema that is missing or released");
    if (strcmp(schema->format, "+s") != 0)
        return HR_FAIL(err, HR_INVALID,
                       "an Arrow schema of format '%.40s', a table is a struct ('+s')",
                       schema->format);
    if (schema->n_children < 0 || schema->n_children > INT32_MAX ||
        (schema->n_children && !schema->children))
        return HR_FAIL(err, HR_INVALID, "an Arrow struct of %lld fields",
                       (long long)schema->n_children);
    size_t count = (size_t)schema->n_children;
    hr__bump_init(&in.bump, IMPORT_BYTES_MAX);
    HR_GO(hr__bump_array(&in.bump, count, sizeof *fields, &fields, err));
    HR_GO(hr__bump_array(&in.bump, count, 1, &index_formats, err));
    for (size_t i = 0; i < count; i++) {
        const struct ArrowSchema *child = schema->children[i];
        in.field = child && child->name ? child->name : "";
        in.index_format = 'i';
        HR_GO(import_type(&in, child, &fields[i].type, err));
        fields[i].name = in.field;
        fields[i].nullable = child->flags & ARROW_FLAG_NULLABLE;
        index_formats[i] = in.index_format;
    }
    HR_GO(hr_schema_make(fields, (int32_t)count, &made, err));
    for (size_t i = 0; i < count; i++)
        hr__schema_set_index_format(made, (int32_t)i, index_formats[i]);
    *out = made;
out:
    hr__bump_finish(&in.bump);
    return status;
}
