// SPDX-License-Identifier: Apache-2.0
// From schema elements to columns. The elements are a tree in preorder; each child of the root is a column of ours:
//
//   leaf, required or optional            flat column                     levels: definition 0..1
//   leaf, repeated                        list of required values         definition 0..1
//   LIST { repeated leaf }                the old two-level list          definition 0..2
//   LIST { repeated group { leaf } }      the three-level list            definition 0..3
//   anything else                         named in `unsupported`: struct, map, list of struct, ...
//
// Types follow pyarrow: TIMESTAMP adjusted to UTC has the zone "UTC", INT96 is timestamp[ns], ENUM and BSON stay
// binary, JSON is a string, UUID and INTERVAL are fixed binary. Lists of equal length become tensors later
// (pq_tensor.c), since that takes a look at a page.
#include "format/parquet/pq.h"
#include "base/text.h"
#include "base/map.h"
#include <string.h>

typedef struct shape {
    const pq_element *leaf; // the values; NULL: not read
    bool is_list, list_optional, item_optional;
    const char *unsupported;
    int32_t next; // the element after the column
    int32_t leaves;
} shape;

static const char *const type_names[] = {"BOOLEAN", "INT32",  "INT64",      "INT96",
                                         "FLOAT",   "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"};
static const char *const encoding_names[] = {
    "PLAIN",          "GROUP_VAR_INT",       "PLAIN_DICTIONARY",        "RLE",
    "BIT_PACKED",     "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY",
    "RLE_DICTIONARY", "BYTE_STREAM_SPLIT"};

const char *hr__pq_type_name(int32_t type)
{
    return type >= 0 && type < (int32_t)HR_COUNTOF(type_names) ? type_names[type] : "unknown type";
}

const char *hr__pq_encoding_name(int32_t encoding)
{
    if (encoding < 0 || encoding >= (int32_t)HR_COUNTOF(encoding_names))
        return "unknown encoding";
    return encoding_names[encoding];
}

static bool is_list_annotated(const pq_element *e)
{
    return e->logical.kind == PQ_LOGICAL_LIST ||
           (e->logical.kind == PQ_LOGICAL_NONE && e->converted == PQ_CONVERTED_LIST);
}

static bool is_map_annotated(const pq_element *e)
{
    return e->logical.kind == PQ_LOGICAL_MAP || e->converted == PQ_CONVERTED_MAP ||
           e->converted == PQ_CONVERTED_MAP_KEY_VALUE;
}

// The element behind the subtree that begins at `at`, and how many leaves it has. Children are counted down on a
// stack of our own; CORRUPT when they are more than the elements.
static hr_status subtree_end(const pq_reader *reader, int32_t at, int32_t *end_out,
                             int32_t *leaves_out, hr_error *err)
{
    const pq_file *f = &reader->file;
    int32_t left[PQ_DEPTH_MAX] = {1}, depth = 0, leaves = 0;
    while (depth >= 0) {
        if (left[depth] == 0) {
            depth--;
            continue;
        }
        if (at >= f->element_count)
            return HR_FAIL(err, HR_CORRUPT, "%s: schema: children are missing after %d elements",
                           reader->base.source->name, f->element_count);
        left[depth]--;
        leaves += f->elements[at].type >= 0;
        int32_t children = f->elements[at++].child_count;
        if (children == 0)
            continue;
        if (depth + 1 == PQ_DEPTH_MAX)
            return HR_FAIL(err, HR_LIMIT, "%s: schema: nested deeper than %d",
                           reader->base.source->name, PQ_DEPTH_MAX);
        left[++depth] = children;
    }
    *end_out = at;
    *leaves_out = leaves;
    return HR_OK;
}

// The rules of LogicalTypes.md, «Lists» with its backward compatibility, for one repeated group inside a list.
static void list_shape(const pq_element *list, const pq_element *repeated, shape *s)
{
    char tuple[256];
    s->is_list = true;
    s->list_optional = list->repetition == PQ_OPTIONAL;
    if (repeated->type >= 0) {
        s->leaf = repeated;
        return;
    }
    size_t n = strlen(list->name);
    bool is_tuple = n + 7 < sizeof tuple && strncmp(repeated->name, list->name, n) == 0 &&
                    strcmp(repeated->name + n, "_tuple") == 0;
    const pq_element *item = repeated + 1;
    if (repeated->child_count != 1 || is_tuple || strcmp(repeated->name, "array") == 0)
        s->unsupported = "list of struct";
    else if (item->repetition == PQ_REPEATED || is_list_annotated(item))
        s->unsupported = "list of list";
    else if (item->type < 0)
        s->unsupported = is_map_annotated(item) ? "list of map" : "list of struct";
    else
        s->leaf = item;
    s->item_optional = s->leaf && item->repetition == PQ_OPTIONAL;
}

static hr_status column_shape(const pq_reader *reader, int32_t at, shape *s, hr_error *err)
{
    const pq_element *e = &reader->file.elements[at];
    *s = (shape){0};
    HR_TRY(subtree_end(reader, at, &s->next, &s->leaves, err));
    if (e->type >= 0) {
        s->leaf = e;
        s->is_list = e->repetition == PQ_REPEATED;
        s->item_optional = e->repetition == PQ_OPTIONAL;
        if (e->repetition < PQ_REQUIRED || e->repetition > PQ_REPEATED)
            s->unsupported = e->repetition == PQ_VECTOR ? "vector" : "column without repetition";
    } else if (is_map_annotated(e)) {
        s->unsupported = "map";
    } else if (e->logical.kind == PQ_LOGICAL_VARIANT) {
        s->unsupported = "variant";
    } else if (is_list_annotated(e) && e->child_count == 1 && e[1].repetition == PQ_REPEATED &&
               e->repetition != PQ_REPEATED) {
        list_shape(e, e + 1, s);
    } else {
        s->unsupported = e->repetition == PQ_REPEATED ? "repeated struct" : "struct";
    }
    return HR_OK;
}

static hr_status mismatch(const pq_reader *reader, const pq_leaf *leaf, const char *what,
                          hr_error *err)
{
    return HR_FAIL(err, HR_CORRUPT, "%s: column '%s': %s stored as %s", reader->base.source->name,
                   leaf->path, what, hr__pq_type_name(leaf->physical));
}

static hr_status decimal_type(const pq_reader *reader, pq_leaf *leaf, const pq_element *e,
                              hr_error *err)
{
    bool logical = e->logical.kind == PQ_LOGICAL_DECIMAL;
    int32_t precision = logical ? e->logical.precision : e->precision;
    int32_t scale = logical ? e->logical.scale : e->scale;
    if (precision < 1 || precision > 76 || scale < 0 || scale > precision)
        return HR_FAIL(err, HR_CORRUPT,
                       "%s: column '%s': decimal(%d, %d); precision 1 to 76 and scale up to it",
                       reader->base.source->name, leaf->path, precision, scale);
    leaf->item.id = precision > 38 ? HR_TYPE_DECIMAL256 : HR_TYPE_DECIMAL128;
    leaf->item.precision = precision;
    leaf->item.scale = scale;
    switch (leaf->physical) {
    case PQ_TYPE_INT32:
    case PQ_TYPE_INT64:
        leaf->convert = PQ_CONVERT_DECIMAL_INT;
        return HR_OK;
    case PQ_TYPE_FIXED_LEN_BYTE_ARRAY:
        leaf->convert = PQ_CONVERT_DECIMAL_FIXED;
        if (leaf->stored_bytes > (precision > 38 ? 32 : 16))
            return mismatch(reader, leaf, "decimal of more bytes than its precision needs", err);
        return HR_OK;
    case PQ_TYPE_BYTE_ARRAY:
        leaf->convert = PQ_CONVERT_DECIMAL_BYTES;
        return HR_OK;
    default:
        return mismatch(reader, leaf, "decimal", err);
    }
}

// What both ways of annotating say, as a logical type.
static pq_logical_type annotation(const pq_element *e)
{
    static const pq_logical_type converted[] = {
        [PQ_CONVERTED_UTF8] = {.kind = PQ_LOGICAL_STRING},
        [PQ_CONVERTED_ENUM] = {.kind = PQ_LOGICAL_ENUM},
        [PQ_CONVERTED_DECIMAL] = {.kind = PQ_LOGICAL_DECIMAL},
        [PQ_CONVERTED_DATE] = {.kind = PQ_LOGICAL_DATE},
        [PQ_CONVERTED_TIME_MILLIS] = {PQ_LOGICAL_TIME, 0, 0, PQ_UNIT_MILLIS, true, 0, 0},
        [PQ_CONVERTED_TIME_MICROS] = {PQ_LOGICAL_TIME, 0, 0, PQ_UNIT_MICROS, true, 0, 0},
        [PQ_CONVERTED_TIMESTAMP_MILLIS] = {PQ_LOGICAL_TIMESTAMP, 0, 0, PQ_UNIT_MILLIS, true, 0, 0},
        [PQ_CONVERTED_TIMESTAMP_MICROS] = {PQ_LOGICAL_TIMESTAMP, 0, 0, PQ_UNIT_MICROS, true, 0, 0},
        [PQ_CONVERTED_UINT_8] = {PQ_LOGICAL_INTEGER, 0, 0, 0, 0, 8, false},
        [PQ_CONVERTED_UINT_16] = {PQ_LOGICAL_INTEGER, 0, 0, 0, 0, 16, false},
        [PQ_CONVERTED_UINT_32] = {PQ_LOGICAL_INTEGER, 0, 0, 0, 0, 32, false},
        [PQ_CONVERTED_UINT_64] = {PQ_LOGICAL_INTEGER, 0, 0, 0, 0, 64, false},
        [PQ_CONVERTED_INT_8] = {PQ_LOGICAL_INTEGER, 0, 0, 0, 0, 8, true},
        [PQ_CONVERTED_INT_16] = {PQ_LOGICAL_INTEGER, 0, 0, 0, 0, 16, true},
        [PQ_CONVERTED_INT_32] = {PQ_LOGICAL_INTEGER, 0, 0, 0, 0, 32, true},
        [PQ_CONVERTED_INT_64] = {PQ_LOGICAL_INTEGER, 0, 0, 0, 0, 64, true},
        [PQ_CONVERTED_JSON] = {.kind = PQ_LOGICAL_JSON},
        [PQ_CONVERTED_BSON] = {.kind = PQ_LOGICAL_BSON},
        [PQ_CONVERTED_INTERVAL] = {.kind = PQ_LOGICAL_INTERVAL_RESERVED},
    };
    if (e->logical.kind != PQ_LOGICAL_NONE && e->logical.kind <= PQ_LOGICAL_VECTOR)
        return e->logical;
    if (e->converted < 0 || e->converted >= (int32_t)HR_COUNTOF(converted))
        return (pq_logical_type){0};
    return converted[e->converted];
}

static void plain_type(pq_leaf *leaf)
{
    static const hr_type_id ids[] = {HR_TYPE_BOOL,      HR_TYPE_INT32,       HR_TYPE_INT64,
                                     HR_TYPE_TIMESTAMP, HR_TYPE_FLOAT32,     HR_TYPE_FLOAT64,
                                     HR_TYPE_BINARY,    HR_TYPE_FIXED_BINARY};
    leaf->item.id = ids[leaf->physical];
    leaf->convert = PQ_CONVERT_COPY;
    if (leaf->physical == PQ_TYPE_BOOLEAN)
        leaf->convert = PQ_CONVERT_BOOL;
    if (leaf->physical == PQ_TYPE_BYTE_ARRAY)
        leaf->convert = PQ_CONVERT_BYTES;
    if (leaf->physical == PQ_TYPE_FIXED_LEN_BYTE_ARRAY)
        leaf->item.width_bytes = leaf->stored_bytes;
    if (leaf->physical == PQ_TYPE_INT96) {
        leaf->item.unit = HR_NANOSECOND;
        leaf->convert = PQ_CONVERT_INT96;
    }
}

static hr_status integer_type(const pq_reader *reader, pq_leaf *leaf, const pq_logical_type *l,
                              hr_error *err)
{
    static const hr_type_id ids[2][4] = {
        {HR_TYPE_UINT8, HR_TYPE_UINT16, HR_TYPE_UINT32, HR_TYPE_UINT64},
        {HR_TYPE_INT8, HR_TYPE_INT16, HR_TYPE_INT32, HR_TYPE_INT64}};
    int32_t size = l->bit_width == 8    ? 0
                   : l->bit_width == 16 ? 1
                   : l->bit_width == 32 ? 2
                   : l->bit_width == 64 ? 3
                                        : -1;
    if (size < 0 || leaf->physical != (size == 3 ? PQ_TYPE_INT64 : PQ_TYPE_INT32))
        return mismatch(reader, leaf, "integer of another width", err);
    leaf->item.id = ids[l->is_signed][size];
    leaf->convert = size < 2 ? PQ_CONVERT_NARROW : PQ_CONVERT_COPY;
    return HR_OK;
}

static hr_status time_type(const pq_reader *reader, pq_leaf *leaf, const pq_logical_type *l,
                           hr_error *err)
{
    if (l->unit < PQ_UNIT_MILLIS || l->unit > PQ_UNIT_NANOS)
        return mismatch(reader, leaf, "time of an unknown unit", err);
    leaf->item.unit = (hr_time_unit)(HR_MILLISECOND + (l->unit - PQ_UNIT_MILLIS));
    if (l->kind == PQ_LOGICAL_TIMESTAMP) {
        leaf->item.id = HR_TYPE_TIMESTAMP;
        leaf->item.timezone = l->adjusted_to_utc ? "UTC" : NULL;
        return leaf->physical == PQ_TYPE_INT64 ? HR_OK : mismatch(reader, leaf, "timestamp", err);
    }
    leaf->item.id = l->unit == PQ_UNIT_MILLIS ? HR_TYPE_TIME32 : HR_TYPE_TIME64;
    if (leaf->physical != (l->unit == PQ_UNIT_MILLIS ? PQ_TYPE_INT32 : PQ_TYPE_INT64))
        return mismatch(reader, leaf, "time", err);
    return HR_OK;
}

static hr_status fixed_type(const pq_reader *reader, pq_leaf *leaf, int32_t bytes, const char *what,
                            hr_error *err)
{
    if (leaf->physical != PQ_TYPE_FIXED_LEN_BYTE_ARRAY || leaf->stored_bytes != bytes)
        return mismatch(reader, leaf, what, err);
    return HR_OK;
}

static hr_status leaf_type(const pq_reader *reader, pq_leaf *leaf, const pq_element *e,
                           hr_error *err)
{
    pq_logical_type l = annotation(e);
    plain_type(leaf);
    switch (l.kind) {
    case PQ_LOGICAL_STRING:
    case PQ_LOGICAL_JSON:
        if (leaf->physical != PQ_TYPE_BYTE_ARRAY)
            return mismatch(reader, leaf, "string", err);
        leaf->item.id = HR_TYPE_STRING;
        return HR_OK;
    case PQ_LOGICAL_DECIMAL:
        return decimal_type(reader, leaf, e, err);
    case PQ_LOGICAL_DATE:
        leaf->item.id = HR_TYPE_DATE32;
        return leaf->physical == PQ_TYPE_INT32 ? HR_OK : mismatch(reader, leaf, "date", err);
    case PQ_LOGICAL_TIME:
    case PQ_LOGICAL_TIMESTAMP:
        return time_type(reader, leaf, &l, err);
    case PQ_LOGICAL_INTEGER:
        return integer_type(reader, leaf, &l, err);
    case PQ_LOGICAL_UNKNOWN:
        leaf->item = (hr_type){.id = HR_TYPE_NULL};
        leaf->convert = PQ_CONVERT_NULL;
        return HR_OK;
    case PQ_LOGICAL_FLOAT16:
        leaf->item = (hr_type){.id = HR_TYPE_FLOAT16};
        return fixed_type(reader, leaf, 2, "float16", err);
    case PQ_LOGICAL_UUID:
        return fixed_type(reader, leaf, 16, "UUID", err);
    case PQ_LOGICAL_INTERVAL_RESERVED:
        return fixed_type(reader, leaf, 12, "interval", err);
    default: // ENUM, BSON, GEOMETRY, GEOGRAPHY and what comes later: the stored bytes
        return HR_OK;
    }
}

static int32_t value_bytes(const hr_type *item, int32_t stored_bytes)
{
    switch (item->id) {
    case HR_TYPE_INT8:
    case HR_TYPE_UINT8:
        return 1;
    case HR_TYPE_INT16:
    case HR_TYPE_UINT16:
        return 2;
    case HR_TYPE_TIMESTAMP:
        return 8;
    case HR_TYPE_DECIMAL128:
        return 16;
    case HR_TYPE_DECIMAL256:
        return 32;
    case HR_TYPE_BOOL:
    case HR_TYPE_STRING:
    case HR_TYPE_BINARY:
    case HR_TYPE_NULL:
        return 0;
    default:
        return stored_bytes;
    }
}

static hr_status make_path(pq_reader *reader, const pq_element *top, const pq_element *leaf,
                           const char **out, hr_error *err)
{
    hr_text path;
    hr__text_init(&path, 4096);
    for (const pq_element *e = top; e <= leaf; e++)
        hr__text_add(&path, "%s%s", e == top ? "" : ".", e->name);
    hr_status status =
        hr__bump_text(&reader->bump, hr__text_str(&path), strlen(hr__text_str(&path)), out, err);
    hr__text_finish(&path);
    return status;
}

static hr_status make_leaf(pq_reader *reader, const pq_element *top, const shape *s,
                           int32_t chunk_index, pq_leaf *leaf, hr_error *err)
{
    static const int32_t stored[] = {0, 4, 8, 12, 4, 8, 0, 0};
    *leaf = (pq_leaf){.name = top->name, .chunk_index = chunk_index, .is_list = s->is_list};
    HR_TRY(make_path(reader, top, s->leaf, &leaf->path, err));
    leaf->physical = (pq_type)s->leaf->type;
    leaf->stored_bytes = stored[leaf->physical];
    if (leaf->physical == PQ_TYPE_FIXED_LEN_BYTE_ARRAY)
        leaf->stored_bytes = s->leaf->type_length;
    HR_TRY(leaf_type(reader, leaf, s->leaf, err));
    leaf->value_bytes = value_bytes(&leaf->item, leaf->stored_bytes);
    leaf->list_definition = s->list_optional;
    leaf->max_definition = (uint8_t)(s->list_optional + s->is_list + s->item_optional);
    leaf->nullable = s->is_list ? s->list_optional : s->item_optional;
    leaf->type = leaf->item;
    if (s->is_list)
        leaf->type = (hr_type){.id = HR_TYPE_LIST, .item = &leaf->item};
    if (leaf->convert == PQ_CONVERT_NULL)
        leaf->nullable |= !s->is_list;
    for (int32_t g = 0; g < reader->file.group_count; g++) {
        int32_t found = reader->file.groups[g].chunks[chunk_index].type;
        if (found != (int32_t)leaf->physical)
            return HR_FAIL(err, HR_CORRUPT, "%s: column '%s', row group %d: %s, the schema says %s",
                           reader->base.source->name, leaf->path, g, hr__pq_type_name(found),
                           hr__pq_type_name((int32_t)leaf->physical));
    }
    return HR_OK;
}

static hr_status refuse(pq_reader *reader, const char **list, const pq_element *e, const char *why,
                        hr_error *err)
{
    hr_text line;
    hr__text_init(&line, 1024);
    hr__text_add(&line, "column '%s': %s", e->name, why);
    hr_status status = hr__bump_text(&reader->bump, hr__text_str(&line),
                                     strlen(hr__text_str(&line)), &list[0], err);
    hr__text_finish(&line);
    return status;
}

// One child of the root: a leaf of ours, or a line in unsupported.
static hr_status add_column(pq_reader *reader, hr_map *names, int32_t at, int32_t chunk_index,
                            const char **unsupported, shape *s, hr_error *err)
{
    const pq_element *top = &reader->file.elements[at];
    uint64_t seen = 0;
    HR_TRY(column_shape(reader, at, s, err));
    if (s->leaves == 0 && !s->unsupported)
        s->unsupported = "struct";
    if (!s->unsupported && hr__map_get(names, top->name, strlen(top->name), &seen))
        s->unsupported = "a second column of this name";
    if (!s->unsupported && !top->name[0])
        s->unsupported = "no name";
    if (s->unsupported)
        return refuse(reader, &unsupported[reader->base.unsupported_count++], top, s->unsupported,
                      err);
    HR_TRY(hr__map_put(names, top->name, strlen(top->name), 1, err));
    return make_leaf(reader, top, s, chunk_index, &reader->leaves[reader->leaf_count++], err);
}

hr_status hr__pq_schema_read(pq_reader *reader, hr_error *err)
{
    const pq_file *f = &reader->file;
    const char **unsupported = NULL;
    hr_map *names = NULL;
    hr_status status = HR_OK;
    int32_t columns = f->elements[0].child_count, end = 0, leaves = 0;
    HR_TRY(subtree_end(reader, 0, &end, &leaves, err));
    if (end != f->element_count || (f->elements[0].type >= 0))
        return HR_FAIL(err, HR_CORRUPT, "%s: schema: the tree has %d elements, the list %d",
                       reader->base.source->name, end, f->element_count);
    HR_TRY(
        hr__bump_array(&reader->bump, (size_t)columns + 1, sizeof *unsupported, &unsupported, err));
    HR_TRY(hr__bump_array(&reader->bump, (size_t)columns + 1, sizeof *reader->leaves,
                          &reader->leaves, err));
    HR_TRY(hr__map_open(&names, err));
    for (int32_t i = 0, at = 1, chunk_index = 0; i < columns; i++) {
        shape s;
        HR_GO(add_column(reader, names, at, chunk_index, unsupported, &s, err));
        at = s.next;
        chunk_index += s.leaves;
    }
    reader->base.unsupported = unsupported;
out:
    hr__map_close(&names);
    return status;
}

hr_status hr__pq_schema_make(pq_reader *reader, hr_error *err)
{
    hr_field *fields = NULL;
    HR_TRY(hr__bump_array(&reader->bump, (size_t)reader->leaf_count + 1, sizeof *fields, &fields,
                          err));
    for (int32_t i = 0; i < reader->leaf_count; i++) {
        const pq_leaf *leaf = &reader->leaves[i];
        fields[i] = (hr_field){leaf->name, &leaf->type, leaf->nullable};
    }
    hr_status status = hr_schema_make(fields, reader->leaf_count, &reader->base.schema, err);
    if (status)
        hr__error_context(err, "%s", reader->base.source->name);
    return status;
}
