// SPDX-License-Identifier: Apache-2.0
// Schemas: immutable lists of fields in one allocation, with a table to find a field by its name.
//
//   [hr_schema][fields][types of all levels][find table][index formats][names and time zones]
//
// make walks the fields twice: once to check and to count, once to copy. The find table is open addressing over the
// hash of the name, at most half full. Limits: HR_SPAN_NODES_MAX columns with their children, so that any schema can
// become a span.
#include "base/hash.h"
#include "block/wire.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct hr_schema {
    _Atomic uint32_t refs;
    int32_t count;
    int32_t node_count;
    uint32_t find_mask;
    hr_field *fields;
    int32_t *find; // index + 1, or 0
    char *index_formats;
};

typedef struct schema_need {
    size_t types, nodes, text_bytes;
} schema_need;

static hr_status check_field(const hr_field *field, int32_t index, schema_need *need, hr_error *err)
{
    char what[128];
    if (!field->name || !field->name[0])
        return HR_FAIL(err, HR_INVALID, "field %d of the schema has no name", (int)index);
    size_t name_bytes = strlen(field->name);
    if (!hr__utf8_check(field->name, name_bytes))
        return HR_FAIL(err, HR_INVALID, "the name of field %d is not UTF-8", (int)index);
    snprintf(what, sizeof what, "column '%.100s'", field->name);
    HR_TRY(hr__type_check(field->type, what, err));
    need->text_bytes += name_bytes + 1;
    need->nodes++;
    for (const hr_type *t = field->type; t; t = t->item) {
        need->types++;
        need->nodes += hr__type_child(t) ? 1 : 0;
        need->text_bytes += t->timezone ? strlen(t->timezone) + 1 : 0;
        if (t->id < HR_TYPE_LIST || t->id == HR_TYPE_TENSOR) {
            need->types += t->id == HR_TYPE_TENSOR;
            break;
        }
    }
    return HR_OK;
}

static const char *copy_text(char **text, const char *from)
{
    size_t bytes = strlen(from) + 1;
    char *to = memcpy(*text, from, bytes);
    *text += bytes;
    return to;
}

// Copies what the id speaks of and nothing else, so that equal types have equal members.
static hr_type clean_node(const hr_type *from, char **text)
{
    hr_type to = {.id = from->id};
    switch (from->id) {
    case HR_TYPE_TIMESTAMP:
        to.timezone = from->timezone ? copy_text(text, from->timezone) : NULL;
        to.unit = from->unit;
        break;
    case HR_TYPE_TIME32:
    case HR_TYPE_TIME64:
    case HR_TYPE_DURATION:
        to.unit = from->unit;
        break;
    case HR_TYPE_DECIMAL128:
    case HR_TYPE_DECIMAL256:
        to.precision = from->precision;
        to.scale = from->scale;
        break;
    case HR_TYPE_FIXED_BINARY:
        to.width_bytes = from->width_bytes;
        break;
    case HR_TYPE_STRING:
    case HR_TYPE_BINARY:
    case HR_TYPE_LIST:
        to.large = from->large;
        break;
    case HR_TYPE_TENSOR:
        to.ndim = from->ndim;
        memcpy(to.shape, from->shape, (size_t)from->ndim * sizeof to.shape[0]);
        break;
    case HR_TYPE_DICTIONARY:
        to.ordered = from->ordered;
        break;
    default:
        break;
    }
    return to;
}

static const hr_type *copy_type(const hr_type *from, hr_type **types, char **text)
{
    const hr_type *first = *types;
    for (;;) {
        hr_type *to = (*types)++;
        *to = clean_node(from, text);
        bool last = from->id < HR_TYPE_LIST;
        if (last)
            return first;
        to->item = *types;
        from = from->item;
    }
}

static hr_status add_to_find(hr_schema *schema, int32_t index, hr_error *err)
{
    const char *name = schema->fields[index].name;
    uint32_t at = (uint32_t)hr__hash64(name, strlen(name), 0) & schema->find_mask;
    for (; schema->find[at]; at = (at + 1) & schema->find_mask)
        if (strcmp(schema->fields[schema->find[at] - 1].name, name) == 0)
            return HR_FAIL(err, HR_INVALID, "columns %d and %d have the same name '%.100s'",
                           (int)schema->find[at] - 1, (int)index, name);
    schema->find[at] = index + 1;
    return HR_OK;
}

static hr_status make_empty(int32_t count, const schema_need *need, hr_schema **out,
                            hr_type **types_out, char **text_out, hr_error *err)
{
    size_t find_count = 4;
    while (find_count < 2 * (size_t)count)
        find_count *= 2;
    size_t fields_bytes = (size_t)count * sizeof(hr_field);
    size_t types_bytes = need->types * sizeof(hr_type);
    size_t find_bytes = find_count * sizeof(int32_t);
    hr_schema *schema = NULL;
    HR_TRY(hr__alloc_zero(1,
                          sizeof *schema + fields_bytes + types_bytes + find_bytes + (size_t)count +
                              need->text_bytes,
                          &schema, err));
    char *at = (char *)(schema + 1);
    schema->refs = 1;
    schema->count = count;
    schema->node_count = (int32_t)need->nodes;
    schema->find_mask = (uint32_t)find_count - 1;
    schema->fields = (hr_field *)at;
    *types_out = (hr_type *)(at += fields_bytes);
    schema->find = (int32_t *)(at += types_bytes);
    schema->index_formats = at += find_bytes;
    if (count)
        memset(schema->index_formats, 'i', (size_t)count);
    *text_out = at + count;
    *out = schema;
    return HR_OK;
}

hr_status hr_schema_make(const hr_field *fields, int32_t count, hr_schema **out, hr_error *err)
{
    schema_need need = {0};
    hr_schema *schema = NULL;
    hr_type *types;
    char *text;
    hr_status status = HR_OK;
    if (count < 0 || (count > 0 && !fields))
        return HR_FAIL(err, HR_INVALID, "a schema of %d fields", (int)count);
    for (int32_t i = 0; i < count; i++) {
        HR_TRY(check_field(&fields[i], i, &need, err));
        if (need.nodes > HR_SPAN_NODES_MAX)
            return HR_FAIL(err, HR_LIMIT, "%d columns with their items are more than %d",
                           (int)count, HR_SPAN_NODES_MAX);
    }
    HR_TRY(make_empty(count, &need, &schema, &types, &text, err));
    for (int32_t i = 0; i < count; i++) {
        schema->fields[i].name = copy_text(&text, fields[i].name);
        schema->fields[i].nullable = fields[i].nullable || fields[i].type->id == HR_TYPE_NULL;
        schema->fields[i].type = copy_type(fields[i].type, &types, &text);
        HR_GO(add_to_find(schema, i, err));
    }
    *out = schema;
    schema = NULL;
out:
    hr_schema_unref(&schema);
    return status;
}

hr_schema *hr_schema_ref(const hr_schema *schema)
{
    hr_schema *s = (hr_schema *)schema; // the count is the one thing that changes
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1,
                                  memory_order_relaxed); // whoever refs holds one already
    return s;
}

void hr_schema_unref(hr_schema **schema)
{
    if (!schema || !*schema)
        return;
    // Release our reads to the last holder, acquire everybody's before freeing.
    if (atomic_fetch_sub_explicit(&(*schema)->refs, 1, memory_order_acq_rel) == 1)
        hr__free(*schema);
    *schema = NULL;
}

int32_t hr_schema_count(const hr_schema *schema)
{
    return schema ? schema->count : 0;
}

const hr_field *hr_schema_field(const hr_schema *schema, int32_t index)
{
    return schema && index >= 0 && index < schema->count ? &schema->fields[index] : NULL;
}

int32_t hr_schema_find(const hr_schema *schema, const char *name)
{
    if (!schema || !name)
        return -1;
    uint32_t at = (uint32_t)hr__hash64(name, strlen(name), 0) & schema->find_mask;
    for (; schema->find[at]; at = (at + 1) & schema->find_mask)
        if (strcmp(schema->fields[schema->find[at] - 1].name, name) == 0)
            return schema->find[at] - 1;
    return -1;
}

bool hr_schema_equal(const hr_schema *a, const hr_schema *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->count != b->count)
        return false;
    for (int32_t i = 0; i < a->count; i++)
        if (a->fields[i].nullable != b->fields[i].nullable ||
            strcmp(a->fields[i].name, b->fields[i].name) != 0 ||
            !hr__type_equal(a->fields[i].type, b->fields[i].type))
            return false;
    return true;
}

hr_status hr__schema_project(const hr_schema *schema, const int32_t *indexes,
                             const char *const *names, int32_t count, hr_schema **out,
                             hr_error *err)
{
    hr_field *fields = NULL;
    hr_schema *made = NULL;
    hr_status status;
    if (count < 0)
        return HR_FAIL(err, HR_INVALID, "a schema of %d fields", (int)count);
    HR_TRY(hr__alloc_zero((size_t)count, sizeof *fields, &fields, err));
    for (int32_t i = 0; i < count; i++) {
        const hr_field *field = hr_schema_field(schema, indexes[i]);
        if (!field) {
            status = HR_FAIL(err, HR_INVALID, "field %d of %d", (int)indexes[i],
                             (int)hr_schema_count(schema));
            goto out;
        }
        fields[i] = *field;
        if (names && names[i])
            fields[i].name = names[i];
    }
    HR_GO(hr_schema_make(fields, count, &made, err));
    for (int32_t i = 0; i < count; i++)
        made->index_formats[i] = schema->index_formats[indexes[i]];
    *out = made;
out:
    hr__free(fields);
    return status;
}

const char *hr__schema_print(const hr_schema *schema, char *buffer, size_t room)
{
    size_t at = 0;
    if (room)
        buffer[0] = 0;
    for (int32_t i = 0; i < hr_schema_count(schema) && at + 1 < room; i++) {
        int n = snprintf(buffer + at, room - at, "%s%s: ", i ? ", " : "", schema->fields[i].name);
        if (n < 0 || (size_t)n >= room - at)
            break;
        at += (size_t)n;
        hr_type_print(schema->fields[i].type, buffer + at, room - at);
        at += strlen(buffer + at);
    }
    return buffer;
}

int32_t hr__schema_node_count(const hr_schema *schema)
{
    return schema->node_count;
}

char hr__schema_index_format(const hr_schema *schema, int32_t index)
{
    return index >= 0 && index < schema->count ? schema->index_formats[index] : 'i';
}

void hr__schema_set_index_format(hr_schema *schema, int32_t index, char format)
{
    HR_ASSERT(index >= 0 && index < schema->count);
    schema->index_formats[index] = format;
}
