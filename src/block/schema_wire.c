// SPDX-License-Identifier: Apache-2.0
// A schema as bytes and back: for processes that attach to a stream. Specified in docs/format/block.md.
//
//   0   "HRSC"   u16 version   u16 0   u32 bytes in all   u32 fields
//   16  per field: u32 name bytes, name, u8 nullable, u8 levels, then per level of its type
//         u8 id, u8 unit, u8 flags, u8 dimensions, i32 precision, i32 scale, i32 width_bytes,
//         if flags & 4: u32 bytes, time zone; i64 per dimension
//
// Parsing never trusts: every read is bounded, arrays are sized by the bytes there are, and hr_schema_make checks
// names and types as it does for anybody.
#include "base/cursor.h"
#include "block/block.h"

#include <string.h>

#define SCHEMA_MAGIC      0x43535248u // "HRSC"
#define SCHEMA_VERSION    1
#define SCHEMA_HEAD_BYTES 16
#define LEVEL_BYTES_MIN   16 // a level without time zone and dimensions
#define FIELD_BYTES_MIN   (4 + 1 + 1 + LEVEL_BYTES_MIN)

enum { FLAG_LARGE = 1, FLAG_ORDERED = 2, FLAG_TIMEZONE = 4 };

// Writes where `at` is not NULL, and counts in any case.
typedef struct writer {
    uint8_t *at;
    size_t bytes;
} writer;

static void put(writer *w, const void *bytes, size_t count)
{
    if (w->at)
        w->at = (uint8_t *)memcpy(w->at, bytes, count) + count;
    w->bytes += count;
}

static void put_u32(writer *w, uint64_t value)
{
    uint32_t v = (uint32_t)value;
    put(w, &v, sizeof v);
}

static void put_text(writer *w, const char *text)
{
    size_t bytes = strlen(text);
    put_u32(w, bytes);
    put(w, text, bytes);
}

static void put_level(writer *w, const hr_type *t)
{
    uint8_t flags = (uint8_t)((t->large ? FLAG_LARGE : 0) | (t->ordered ? FLAG_ORDERED : 0) |
                              (t->timezone ? FLAG_TIMEZONE : 0));
    uint8_t head[4] = {(uint8_t)t->id, (uint8_t)t->unit, flags, (uint8_t)t->ndim};
    put(w, head, sizeof head);
    put_u32(w, (uint32_t)t->precision);
    put_u32(w, (uint32_t)t->scale);
    put_u32(w, (uint32_t)t->width_bytes);
    if (t->timezone)
        put_text(w, t->timezone);
    put(w, t->shape, (size_t)t->ndim * sizeof t->shape[0]);
}

static void put_schema(writer *w, const hr_schema *schema, size_t bytes)
{
    put_u32(w, SCHEMA_MAGIC);
    put_u32(w, SCHEMA_VERSION);
    put_u32(w, bytes);
    put_u32(w, (uint32_t)hr_schema_count(schema));
    for (int32_t i = 0; i < hr_schema_count(schema); i++) {
        const hr_field *field = hr_schema_field(schema, i);
        uint8_t head[2] = {field->nullable, 0};
        put_text(w, field->name);
        for (const hr_type *t = field->type; t; t = t->item)
            head[1]++;
        put(w, head, sizeof head);
        for (const hr_type *t = field->type; t; t = t->item)
            put_level(w, t);
    }
}

hr_status hr__schema_write(const hr_schema *schema, void **bytes_out, size_t *count_out,
                           hr_error *err)
{
    writer measure = {0};
    void *bytes = NULL;
    put_schema(&measure, schema, 0);
    if (measure.bytes > UINT32_MAX)
        return HR_FAIL(err, HR_LIMIT, "a schema of %zu bytes, allowed are %u", measure.bytes,
                       UINT32_MAX);
    HR_TRY(hr__alloc(measure.bytes, &bytes, err));
    writer w = {bytes, 0};
    put_schema(&w, schema, measure.bytes);
    *bytes_out = bytes;
    *count_out = measure.bytes;
    return HR_OK;
}

typedef struct parser {
    hr_cursor cursor;
    char *text; // room for every name and time zone with its end
    hr_type *types;
} parser;

static const char *get_text(parser *p)
{
    uint32_t bytes = hr__cursor_u32(&p->cursor);
    const uint8_t *from = hr__cursor_take(&p->cursor, bytes);
    if (!from)
        return NULL;
    if (memchr(from, 0, bytes)) {
        p->cursor.failed = true;
        return NULL;
    }
    char *to = memcpy(p->text, from, bytes);
    to[bytes] = 0;
    p->text += bytes + 1;
    return to;
}

static bool get_level(parser *p, hr_type *t)
{
    hr_cursor *c = &p->cursor;
    t->id = hr__cursor_u8(c);
    t->unit = hr__cursor_u8(c);
    uint8_t flags = hr__cursor_u8(c);
    t->ndim = hr__cursor_u8(c);
    t->precision = (int32_t)hr__cursor_u32(c);
    t->scale = (int32_t)hr__cursor_u32(c);
    t->width_bytes = (int32_t)hr__cursor_u32(c);
    t->large = flags & FLAG_LARGE;
    t->ordered = flags & FLAG_ORDERED;
    if (flags & FLAG_TIMEZONE)
        t->timezone = get_text(p);
    if (t->ndim > HR_TENSOR_DIMS_MAX)
        return false;
    for (int32_t i = 0; i < t->ndim; i++)
        t->shape[i] = (int64_t)hr__cursor_u64(c);
    return !c->failed;
}

static hr_status get_field(parser *p, hr_field *field, uint32_t index, hr_error *err)
{
    field->name = get_text(p);
    field->nullable = hr__cursor_u8(&p->cursor) != 0;
    uint8_t levels = hr__cursor_u8(&p->cursor);
    if (p->cursor.failed || levels < 1 || levels > HR_TYPE_DEPTH_MAX)
        return HR_FAIL(err, HR_CORRUPT,
                       "schema, field %u at byte %zu: cut, or %u levels of 1 to %d", index,
                       hr__cursor_offset(&p->cursor), levels, HR_TYPE_DEPTH_MAX);
    field->type = p->types;
    for (uint8_t i = 0; i < levels; i++) {
        hr_type *t = p->types++;
        if (!get_level(p, t))
            return HR_FAIL(err, HR_CORRUPT,
                           "schema, field %u, level %u at byte %zu: cut, or %d "
                           "dimensions of at most %d",
                           index, i, hr__cursor_offset(&p->cursor), (int)t->ndim,
                           HR_TENSOR_DIMS_MAX);
        bool nested = t->id >= HR_TYPE_LIST && t->id < HR_TYPE_ID_COUNT;
        if (nested != (i + 1 < levels))
            return HR_FAIL(err, HR_CORRUPT, "schema, field %u: type id %d at level %u of %u", index,
                           (int)t->id, i, levels);
        t->item = nested ? t + 1 : NULL;
    }
    return HR_OK;
}

hr_status hr__schema_parse(const void *bytes, size_t count, hr_schema **out, hr_error *err)
{
    parser p = {.cursor = hr__cursor(bytes, count)};
    hr_field *fields = NULL;
    hr_type *types = NULL;
    char *text = NULL;
    hr_status status;
    uint32_t magic = hr__cursor_u32(&p.cursor), version = hr__cursor_u32(&p.cursor);
    uint32_t total = hr__cursor_u32(&p.cursor), field_count = hr__cursor_u32(&p.cursor);
    if (p.cursor.failed || magic != SCHEMA_MAGIC)
        return HR_FAIL(err, HR_CORRUPT, "these %zu bytes are not a schema", count);
    if (version != SCHEMA_VERSION)
        return HR_FAIL(err, HR_UNSUPPORTED, "schema of version %u, this build reads %d", version,
                       SCHEMA_VERSION);
    if (total != count || field_count > (count - SCHEMA_HEAD_BYTES) / FIELD_BYTES_MIN)
        return HR_FAIL(err, HR_CORRUPT, "schema of %u bytes and %u fields in %zu bytes", total,
                       field_count, count);
    HR_GO(hr__alloc_zero(field_count, sizeof *fields, &fields, err));
    HR_GO(hr__alloc_zero(count / LEVEL_BYTES_MIN + 1, sizeof *types, &types, err));
    HR_GO(hr__alloc(count, &text,
                    err)); // each text has 4 bytes of length before it, and needs 1 after it
    p.types = types;
    p.text = text;
    for (uint32_t i = 0; i < field_count; i++)
        HR_GO(get_field(&p, &fields[i], i, err));
    if (hr__cursor_left(&p.cursor)) {
        status = HR_FAIL(err, HR_CORRUPT, "schema: %zu bytes after the last field",
                         hr__cursor_left(&p.cursor));
        goto out;
    }
    status = hr_schema_make(fields, (int32_t)field_count, out, err);
    if (status == HR_INVALID) { // the caller's argument is fine, the bytes are not
        hr__error_context(err, "schema");
        status = HR_CORRUPT;
        if (err)
            err->status = status;
    }
out:
    hr__free(text);
    hr__free(types);
    hr__free(fields);
    return status;
}
