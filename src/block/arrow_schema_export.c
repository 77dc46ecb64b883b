// SPDX-License-Identifier: Apache-2.0
// Our schemas as Arrow's. Every node is one allocation that holds its texts and room for its children, so that a
// consumer may move a child out and release the rest, as the C Data Interface allows.
#include "block/block.h"

#include <stdio.h>
#include <string.h>

#define FORMAT_BYTES_MAX 32 // of every format but a timestamp's, which has its time zone behind

typedef struct node_text {
    const char *name;
    char format[FORMAT_BYTES_MAX];
    const char *timezone;
    const char *metadata;
    size_t metadata_bytes;
    int64_t flags;
} node_text;

static void release_schema(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++)
        if (schema->children[i]->release)
            schema->children[i]->release(schema->children[i]);
    if (schema->dictionary && schema->dictionary->release)
        schema->dictionary->release(schema->dictionary);
    hr__free(schema->private_data);
    *schema = (struct ArrowSchema){0};
}

// Children are zeroed: released ones until they are filled.
static hr_status open_node(const node_text *text, int64_t child_count, bool dictionary,
                           struct ArrowSchema *out, hr_error *err)
{
    size_t format_bytes = strlen(text->format), name_bytes = strlen(text->name) + 1;
    size_t zone_bytes = text->timezone ? strlen(text->timezone) : 0;
    size_t nodes = (size_t)child_count + dictionary;
    size_t children_bytes = nodes * (sizeof *out + sizeof out);
    char *at;
    HR_TRY(hr__alloc_zero(
        1, children_bytes + text->metadata_bytes + format_bytes + zone_bytes + 1 + name_bytes, &at,
        err));
    *out = (struct ArrowSchema){.flags = text->flags,
                                .n_children = child_count,
                                .private_data = at,
                                .release = release_schema};
    struct ArrowSchema *children = (struct ArrowSchema *)at;
    out->children = (struct ArrowSchema **)(children + nodes);
    for (int64_t i = 0; i < child_count; i++)
        out->children[i] = &children[i];
    out->dictionary = dictionary ? &children[child_count] : NULL;
    at += children_bytes;
    if (text->metadata)
        out->metadata = memcpy(at, text->metadata, text->metadata_bytes);
    at += text->metadata_bytes;
    out->format = memcpy(at, text->format, format_bytes);
    at += format_bytes;
    if (zone_bytes)
        memcpy(at, text->timezone, zone_bytes);
    at += zone_bytes + 1;
    out->name = memcpy(at, text->name, name_bytes);
    return HR_OK;
}

static void leaf_format(const hr_type *t, node_text *text)
{
    static const char *const plain[HR_TYPE_ID_COUNT] = {
        [HR_TYPE_NULL] = "n",       [HR_TYPE_BOOL] = "b",    [HR_TYPE_INT8] = "c",
        [HR_TYPE_INT16] = "s",      [HR_TYPE_INT32] = "i",   [HR_TYPE_INT64] = "l",
        [HR_TYPE_UINT8] = "C",      [HR_TYPE_UINT16] = "S",  [HR_TYPE_UINT32] = "I",
        [HR_TYPE_UINT64] = "L",     [HR_TYPE_FLOAT16] = "e", [HR_TYPE_BFLOAT16] = "f",
        [HR_TYPE_FLOAT32] = "f",    [HR_TYPE_FLOAT64] = "g", [HR_TYPE_DATE32] = "tdD",
        [HR_TYPE_DICTIONARY] = "i",
    };
    static const char units[] = "smun";
    char *to = text->format;
    switch (t->id) {
    case HR_TYPE_TIME32:
    case HR_TYPE_TIME64:
        snprintf(to, FORMAT_BYTES_MAX, "tt%c", units[t->unit]);
        break;
    case HR_TYPE_TIMESTAMP:
        snprintf(to, FORMAT_BYTES_MAX, "ts%c:", units[t->unit]);
        text->timezone = t->timezone;
        break;
    case HR_TYPE_DURATION:
        snprintf(to, FORMAT_BYTES_MAX, "tD%c", units[t->unit]);
        break;
    case HR_TYPE_DECIMAL128:
    case HR_TYPE_DECIMAL256:
        snprintf(to, FORMAT_BYTES_MAX, "d:%d,%d%s", (int)t->precision, (int)t->scale,
                 t->id == HR_TYPE_DECIMAL256 ? ",256" : "");
        break;
    case HR_TYPE_FIXED_BINARY:
        snprintf(to, FORMAT_BYTES_MAX, "w:%d", (int)t->width_bytes);
        break;
    case HR_TYPE_BINARY:
        snprintf(to, FORMAT_BYTES_MAX, "%s", t->large ? "Z" : "z");
        break;
    case HR_TYPE_STRING:
        snprintf(to, FORMAT_BYTES_MAX, "%s", t->large ? "U" : "u");
        break;
    case HR_TYPE_LIST:
        snprintf(to, FORMAT_BYTES_MAX, "%s", t->large ? "+L" : "+l");
        break;
    default:
        snprintf(to, FORMAT_BYTES_MAX, "%s", plain[t->id]);
        break;
    }
}

// The metadata of arrow.fixed_shape_tensor: int32 pairs, then lengths and texts.
static size_t tensor_metadata(const hr_type *t, char *out)
{
    char json[32 + HR_TENSOR_DIMS_MAX * 24];
    const char *texts[4] = {"ARROW:extension:name", "arrow.fixed_shape_tensor",
                            "ARROW:extension:metadata", json};
    int32_t pairs = 2;
    int used = snprintf(json, sizeof json, "{\"shape\":[");
    for (int32_t i = 0; i < t->ndim; i++)
        used += snprintf(json + used, sizeof json - (size_t)used, "%s%lld", i ? "," : "",
                         (long long)t->shape[i]);
    snprintf(json + used, sizeof json - (size_t)used, "]}");
    char *at = (char *)memcpy(out, &pairs, sizeof pairs) + sizeof pairs;
    for (int i = 0; i < 4; i++) {
        int32_t bytes = (int32_t)strlen(texts[i]);
        at = (char *)memcpy(at, &bytes, sizeof bytes) + sizeof bytes;
        at = (char *)memcpy(at, texts[i], (size_t)bytes) + bytes;
    }
    return (size_t)(at - out);
}

static hr_status export_type(const hr_type *t, const char *name, bool nullable,
                             struct ArrowSchema *out, hr_error *err)
{
    for (;;) {
        char metadata[512];
        node_text text = {.name = name, .flags = nullable ? ARROW_FLAG_NULLABLE : 0};
        if (t->id == HR_TYPE_TENSOR) {
            int64_t values = hr__type_row_values(t);
            if (values > INT32_MAX)
                return HR_FAIL(err, HR_UNSUPPORTED,
                               "column '%.100s': Arrow has no tensors of %lld values a row", name,
                               (long long)values);
            snprintf(text.format, FORMAT_BYTES_MAX, "+w:%d", (int)values);
            text.metadata = metadata;
            text.metadata_bytes = tensor_metadata(t, metadata);
        } else {
            leaf_format(t, &text);
        }
        if (t->id == HR_TYPE_DICTIONARY && t->ordered)
            text.flags |= ARROW_FLAG_DICTIONARY_ORDERED;
        HR_TRY(open_node(&text, t->id == HR_TYPE_LIST || t->id == HR_TYPE_TENSOR,
                         t->id == HR_TYPE_DICTIONARY, out, err));
        if (!t->item)
            return HR_OK;
        nullable = t->id != HR_TYPE_TENSOR;
        name = t->id == HR_TYPE_DICTIONARY ? "" : "item";
        out = t->id == HR_TYPE_DICTIONARY ? out->dictionary : out->children[0];
        t = t->item;
    }
}

hr_status hr_schema_export(const hr_schema *schema, struct ArrowSchema *out, hr_error *err)
{
    struct ArrowSchema made = {0};
    hr_status status;
    int32_t count = hr_schema_count(schema);
    HR_TRY(open_node(&(node_text){.name = "", .format = "+s"}, count, false, &made, err));
    for (int32_t i = 0; i < count; i++) {
        const hr_field *field = hr_schema_field(schema, i);
        HR_GO(export_type(field->type, field->name, field->nullable, made.children[i], err));
    }
    *out = made;
    return HR_OK;
out:
    made.release(&made);
    return status;
}
