// SPDX-License-Identifier: Apache-2.0
// The footer: FileMetaData, read from the file's end with one read (more only when it is longer than 64 KiB), checked
// against the file's size, and kept in one bump of memory with a ceiling.
//
//   ... data ...  FileMetaData (Thrift)  u32 bytes of it  "PAR1"
//
// The row groups' own counts of rows are believed, not the file's, which some writers left at zero.
// What a column needs later (offsets, sizes, codec, statistics) is taken; the rest is skipped.
#include "format/parquet/pq.h"
#include <inttypes.h>
#include <string.h>

#define TAIL_READ_BYTES 65536

typedef struct parser {
    pq_thrift thrift;
    pq_file *file;
    const char *name; // of the source, for messages
    hr_error *err;
} parser;

// Words a failure of the Thrift reader with the place in the file.
static hr_status thrift_status(parser *p, const char *part)
{
    if (!hr__thrift_failed(&p->thrift))
        return HR_OK;
    return HR_FAIL(p->err, HR_CORRUPT, "%s: footer at byte %" PRIu64 ", %s: %s", p->name,
                   p->file->data_end + hr__cursor_offset(&p->thrift.cursor), part,
                   p->thrift.what ? p->thrift.what : "its bytes end in the middle");
}

static hr_status text(parser *p, pq_wire wire, const char **out)
{
    uint32_t bytes = 0;
    const uint8_t *data = hr__thrift_binary(&p->thrift, wire, &bytes);
    if (!data)
        return HR_OK; // the caller's check of the Thrift reader words it
    return hr__bump_text(&p->file->bump, (const char *)data, bytes, out, p->err);
}

static void time_type(pq_thrift *t, pq_logical_type *out)
{
    pq_wire wire;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        if (id == PQ_TIME_IS_ADJUSTED_TO_UTC) {
            out->adjusted_to_utc = hr__thrift_bool(t, wire);
        } else if (id == PQ_TIME_UNIT && hr__thrift_struct(t, wire)) {
            for (int16_t unit = 0; hr__thrift_field(t, &unit, &wire);) {
                out->unit = (pq_time_unit)unit;
                hr__thrift_skip(t, wire);
            }
        } else {
            hr__thrift_skip(t, wire);
        }
    }
}

static void number_type(pq_thrift *t, pq_logical_type *out)
{
    pq_wire wire;
    bool is_decimal = out->kind == PQ_LOGICAL_DECIMAL;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        if (is_decimal && id == PQ_DECIMAL_SCALE)
            out->scale = hr__thrift_i32(t, wire);
        else if (is_decimal && id == PQ_DECIMAL_PRECISION)
            out->precision = hr__thrift_i32(t, wire);
        else if (!is_decimal && id == PQ_INT_BIT_WIDTH)
            out->bit_width = hr__thrift_i32(t, wire);
        else if (!is_decimal && id == PQ_INT_IS_SIGNED)
            out->is_signed = hr__thrift_bool(t, wire);
        else
            hr__thrift_skip(t, wire);
    }
}

// A union: one field, whose id is the kind.
static void logical_type(pq_thrift *t, pq_logical_type *out)
{
    pq_wire wire;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        out->kind = (pq_logical)id;
        if ((id == PQ_LOGICAL_TIME || id == PQ_LOGICAL_TIMESTAMP) && wire == PQ_WIRE_STRUCT)
            time_type(t, out);
        else if ((id == PQ_LOGICAL_DECIMAL || id == PQ_LOGICAL_INTEGER) && wire == PQ_WIRE_STRUCT)
            number_type(t, out);
        else
            hr__thrift_skip(t, wire);
    }
}

static hr_status element(parser *p, pq_element *e)
{
    pq_thrift *t = &p->thrift;
    pq_wire wire;
    *e = (pq_element){.name = "", .type = -1, .repetition = -1, .converted = -1};
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        switch (id) {
        case PQ_ELEMENT_TYPE:
            e->type = hr__thrift_i32(t, wire);
            break;
        case PQ_ELEMENT_TYPE_LENGTH:
            e->type_length = hr__thrift_i32(t, wire);
            break;
        case PQ_ELEMENT_REPETITION_TYPE:
            e->repetition = hr__thrift_i32(t, wire);
            break;
        case PQ_ELEMENT_NAME:
            HR_TRY(text(p, wire, &e->name));
            break;
        case PQ_ELEMENT_NUM_CHILDREN:
            e->child_count = hr__thrift_i32(t, wire);
            break;
        case PQ_ELEMENT_CONVERTED_TYPE:
            e->converted = hr__thrift_i32(t, wire);
            break;
        case PQ_ELEMENT_SCALE:
            e->scale = hr__thrift_i32(t, wire);
            break;
        case PQ_ELEMENT_PRECISION:
            e->precision = hr__thrift_i32(t, wire);
            break;
        case PQ_ELEMENT_LOGICAL_TYPE:
            if (hr__thrift_struct(t, wire))
                logical_type(t, &e->logical);
            break;
        default:
            hr__thrift_skip(t, wire);
        }
    }
    HR_TRY(thrift_status(p, "schema"));
    // Some writers state a type length or children count of zero, and a type for groups is wrong.
    if (e->child_count < 0 || (e->child_count > 0 && e->type >= 0) ||
        e->type > PQ_TYPE_FIXED_LEN_BYTE_ARRAY || e->type < -1)
        return HR_FAIL(p->err, HR_CORRUPT, "%s: footer, schema element '%s': type %d, %d children",
                       p->name, e->name, e->type, e->child_count);
    if (e->type == PQ_TYPE_FIXED_LEN_BYTE_ARRAY &&
        (e->type_length <= 0 || e->type_length > 1 << 24))
        return HR_FAIL(p->err, HR_CORRUPT,
                       "%s: footer, schema element '%s': length %d, allowed 1 to %d", p->name,
                       e->name, e->type_length, 1 << 24);
    return HR_OK;
}

static hr_status elements(parser *p, pq_wire wire)
{
    pq_element *items = NULL;
    uint32_t count = hr__thrift_list(&p->thrift, wire, PQ_WIRE_STRUCT);
    HR_TRY(thrift_status(p, "schema"));
    HR_TRY(hr__bump_array(&p->file->bump, HR_MAX(count, 1), sizeof *items, &items, p->err));
    p->file->leaf_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        HR_TRY(element(p, &items[i]));
        p->file->leaf_count += items[i].type >= 0;
    }
    p->file->elements = items;
    p->file->element_count = (int32_t)count;
    return HR_OK;
}

static pq_bytes bytes_field(pq_thrift *t, pq_wire wire)
{
    pq_bytes b = {0};
    b.data = hr__thrift_binary(t, wire, &b.bytes);
    return b;
}

static void statistics(pq_thrift *t, pq_statistics *s)
{
    pq_wire wire;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        switch (id) {
        case PQ_STATISTICS_MAX:
            s->legacy_max = bytes_field(t, wire);
            break;
        case PQ_STATISTICS_MIN:
            s->legacy_min = bytes_field(t, wire);
            break;
        case PQ_STATISTICS_NULL_COUNT:
            s->null_count = hr__thrift_i64(t, wire);
            break;
        case PQ_STATISTICS_MAX_VALUE:
            s->max = bytes_field(t, wire);
            break;
        case PQ_STATISTICS_MIN_VALUE:
            s->min = bytes_field(t, wire);
            break;
        case PQ_STATISTICS_IS_MAX_VALUE_EXACT:
            s->max_is_inexact = !hr__thrift_bool(t, wire);
            break;
        case PQ_STATISTICS_IS_MIN_VALUE_EXACT:
            s->min_is_inexact = !hr__thrift_bool(t, wire);
            break;
        default:
            hr__thrift_skip(t, wire);
        }
    }
}

typedef struct chunk_places {
    int64_t data, dictionary;
    bool has_dictionary;
} chunk_places;

static void column_metadata(pq_thrift *t, pq_chunk *c, chunk_places *places)
{
    pq_wire wire;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        switch (id) {
        case PQ_COLUMN_TYPE:
            c->type = hr__thrift_i32(t, wire);
            break;
        case PQ_COLUMN_ENCODINGS:
            for (uint32_t i = hr__thrift_list(t, wire, PQ_WIRE_I32); i > 0; i--)
                c->encodings |= 1u << (hr__thrift_i32(t, PQ_WIRE_I32) & 31);
            break;
        case PQ_COLUMN_CODEC:
            c->codec = hr__thrift_i32(t, wire);
            break;
        case PQ_COLUMN_NUM_VALUES:
            c->values = hr__thrift_i64(t, wire);
            break;
        case PQ_COLUMN_TOTAL_UNCOMPRESSED_SIZE:
            c->uncompressed_bytes = hr__thrift_i64(t, wire);
            break;
        case PQ_COLUMN_TOTAL_COMPRESSED_SIZE:
            c->compressed_bytes = hr__thrift_i64(t, wire);
            break;
        case PQ_COLUMN_DATA_PAGE_OFFSET:
            places->data = hr__thrift_i64(t, wire);
            break;
        case PQ_COLUMN_DICTIONARY_PAGE_OFFSET:
            places->dictionary = hr__thrift_i64(t, wire);
            places->has_dictionary = true;
            break;
        case PQ_COLUMN_STATISTICS:
            if (hr__thrift_struct(t, wire))
                statistics(t, &c->statistics);
            break;
        default:
            hr__thrift_skip(t, wire);
        }
    }
}

static hr_status check_chunk(parser *p, pq_chunk *c, int32_t group, uint32_t column)
{
    uint64_t end = 0;
    if (c->values == 0) {
        // Never read: some writers leave the offsets of an empty row group at zero.
        c->start = c->compressed_bytes = c->uncompressed_bytes = 0;
        return HR_OK;
    }
    if (c->start < PQ_MAGIC_BYTES || c->compressed_bytes < 0 || c->values < 0 ||
        HR_ADD_OVERFLOWS((uint64_t)c->start, (uint64_t)c->compressed_bytes, &end) ||
        end > p->file->data_end)
        return HR_FAIL(p->err, HR_CORRUPT,
                       "%s: footer, row group %d, column %u: %" PRId64 " bytes at %" PRId64
                       " with %" PRId64 " values; data lies from byte 4 to %" PRIu64,
                       p->name, group, column, c->compressed_bytes, c->start, c->values,
                       p->file->data_end);
    return HR_OK;
}

static hr_status chunk(parser *p, pq_chunk *c, int32_t group, uint32_t column)
{
    pq_thrift *t = &p->thrift;
    pq_wire wire;
    chunk_places places = {0};
    bool has_metadata = false, is_elsewhere = false, is_encrypted = false;
    uint32_t path_bytes = 0;
    *c = (pq_chunk){.type = -1, .statistics.null_count = -1};
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        if (id == PQ_CHUNK_META_DATA && hr__thrift_struct(t, wire)) {
            column_metadata(t, c, &places);
            has_metadata = true;
            continue;
        }
        is_encrypted |= id == PQ_CHUNK_CRYPTO_METADATA || id == PQ_CHUNK_ENCRYPTED_COLUMN_METADATA;
        if (id == PQ_CHUNK_OFFSET_INDEX_OFFSET) {
            c->index_at = hr__thrift_i64(t, wire);
            continue;
        }
        if (id == PQ_CHUNK_OFFSET_INDEX_LENGTH) {
            c->index_bytes = hr__thrift_i32(t, wire);
            continue;
        }
        if (id == PQ_CHUNK_FILE_PATH) {
            hr__thrift_binary(t, wire, &path_bytes);
            is_elsewhere = path_bytes > 0;
            continue;
        }
        hr__thrift_skip(t, wire);
    }
    HR_TRY(thrift_status(p, "column chunk"));
    if (is_encrypted)
        return HR_FAIL(p->err, HR_UNSUPPORTED, "%s: encryption (row group %d, column %u)", p->name,
                       group, column);
    if (is_elsewhere)
        return HR_FAIL(p->err, HR_UNSUPPORTED,
                       "%s: column chunks in other files (row group %d, column %u)", p->name, group,
                       column);
    if (!has_metadata)
        return HR_FAIL(p->err, HR_CORRUPT, "%s: footer, row group %d, column %u: no metadata",
                       p->name, group, column);
    // A dictionary offset of 0 is an old writer's word for none.
    c->start = places.data;
    if (places.has_dictionary && places.dictionary > 0 && places.dictionary < places.data)
        c->start = places.dictionary;
    return check_chunk(p, c, group, column);
}

static hr_status group_columns(parser *p, pq_wire wire, int32_t index, pq_group *g)
{
    uint32_t count = hr__thrift_list(&p->thrift, wire, PQ_WIRE_STRUCT);
    HR_TRY(thrift_status(p, "row group"));
    if (g->chunks || count != (uint32_t)p->file->leaf_count)
        return HR_FAIL(p->err, HR_CORRUPT,
                       "%s: footer, row group %d: %u column chunks, the schema has %d columns",
                       p->name, index, count, p->file->leaf_count);
    HR_TRY(hr__bump_array(&p->file->bump, HR_MAX(count, 1), sizeof *g->chunks, &g->chunks, p->err));
    for (uint32_t i = 0; i < count; i++)
        HR_TRY(chunk(p, &g->chunks[i], index, i));
    return HR_OK;
}

static hr_status row_group(parser *p, int32_t index, pq_group *g)
{
    pq_thrift *t = &p->thrift;
    pq_wire wire;
    g->rows = -1;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        if (id == PQ_GROUP_COLUMNS)
            HR_TRY(group_columns(p, wire, index, g));
        else if (id == PQ_GROUP_NUM_ROWS)
            g->rows = hr__thrift_i64(t, wire);
        else
            hr__thrift_skip(t, wire);
    }
    HR_TRY(thrift_status(p, "row group"));
    if (g->rows < 0 || (!g->chunks && p->file->leaf_count > 0))
        return HR_FAIL(p->err, HR_CORRUPT, "%s: footer, row group %d: %" PRId64 " rows%s", p->name,
                       index, g->rows, g->chunks ? "" : ", no columns");
    if (HR_ADD_OVERFLOWS(p->file->rows, g->rows, &p->file->rows))
        return HR_FAIL(p->err, HR_CORRUPT, "%s: footer: more than 2^63 rows", p->name);
    return HR_OK;
}

static hr_status row_groups(parser *p, pq_wire wire)
{
    pq_file *f = p->file;
    uint32_t count = hr__thrift_list(&p->thrift, wire, PQ_WIRE_STRUCT);
    HR_TRY(thrift_status(p, "row groups"));
    // Field 2 comes before field 4 in every file; without it chunks could not be counted.
    if (!f->elements || f->groups)
        return HR_FAIL(p->err, HR_CORRUPT, "%s: footer: row groups %s", p->name,
                       f->groups ? "stand twice" : "stand before the schema");
    HR_TRY(hr__bump_array(&f->bump, HR_MAX(count, 1), sizeof *f->groups, &f->groups, p->err));
    for (uint32_t i = 0; i < count; i++)
        HR_TRY(row_group(p, (int32_t)i, &f->groups[i]));
    f->group_count = (int32_t)count;
    return HR_OK;
}

static hr_status column_orders(parser *p, pq_wire wire)
{
    pq_thrift *t = &p->thrift;
    uint32_t count = hr__thrift_list(t, wire, PQ_WIRE_STRUCT);
    uint8_t *orders = NULL;
    HR_TRY(thrift_status(p, "column orders"));
    HR_TRY(hr__bump_array(&p->file->bump, HR_MAX(count, 1), 1, &orders, p->err));
    for (uint32_t i = 0; i < count; i++) {
        for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
            orders[i] = id > 0 && id < 255 ? (uint8_t)id : 255;
            hr__thrift_skip(t, wire);
        }
    }
    // Orders of another count than the columns say nothing that can be trusted.
    if (count == (uint32_t)p->file->leaf_count)
        p->file->column_orders = orders;
    return thrift_status(p, "column orders");
}

// parquet-mr before 1.2.9 left the dictionary page's header out of the chunk's size (PARQUET-816).
static bool pads_dictionary(const char *created_by)
{
    unsigned part[3] = {0};
    if (strncmp(created_by, "parquet-mr", 10) != 0)
        return false;
    // One that does not tell its version is as old.
    const char *v = strstr(created_by, " version ");
    v = v ? v + strlen(" version ") : "";
    for (int i = 0; i < 3 && *v >= '0' && *v <= '9'; i++) {
        while (*v >= '0' && *v <= '9' && part[i] < 1000)
            part[i] = part[i] * 10 + (unsigned)(*v++ - '0');
        v += *v == '.';
    }
    return part[0] < 1 || (part[0] == 1 && (part[1] < 2 || (part[1] == 2 && part[2] < 9)));
}

static hr_status file_metadata(parser *p)
{
    pq_thrift *t = &p->thrift;
    pq_file *f = p->file;
    pq_wire wire;
    f->created_by = "";
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        switch (id) {
        case PQ_FILE_VERSION:
            f->version = hr__thrift_i32(t, wire);
            break;
        case PQ_FILE_SCHEMA:
            if (f->elements)
                hr__thrift_fail(t, "a second schema");
            else
                HR_TRY(elements(p, wire));
            break;
        case PQ_FILE_ROW_GROUPS:
            HR_TRY(row_groups(p, wire));
            break;
        case PQ_FILE_CREATED_BY:
            HR_TRY(text(p, wire, &f->created_by));
            break;
        case PQ_FILE_COLUMN_ORDERS:
            HR_TRY(column_orders(p, wire));
            break;
        case PQ_FILE_ENCRYPTION_ALGORITHM:
            return HR_FAIL(p->err, HR_UNSUPPORTED, "%s: encryption (with a plain footer)", p->name);
        default:
            hr__thrift_skip(t, wire);
        }
    }
    HR_TRY(thrift_status(p, "metadata"));
    if (f->element_count < 1)
        return HR_FAIL(p->err, HR_CORRUPT, "%s: footer: no schema", p->name);
    f->pads_dictionary = pads_dictionary(f->created_by);
    return HR_OK;
}

hr_status hr__pq_file_parse(const char *name, uint64_t data_end, uint8_t *footer,
                            uint32_t footer_bytes, pq_file *file, hr_error *err)
{
    *file = (pq_file){.footer = footer, .footer_bytes = footer_bytes, .data_end = data_end};
    hr__bump_init(&file->bump, (1u << 20) + (size_t)footer_bytes * 96);
    parser p = {hr__thrift(footer, footer_bytes), file, name, err};
    hr_status status = file_metadata(&p);
    if (status)
        hr__pq_file_finish(file);
    return status;
}

void hr__pq_file_finish(pq_file *file)
{
    hr__bump_finish(&file->bump);
    hr__free(file->footer);
    *file = (pq_file){0};
}

// The last bytes of the file: what they say the footer's place is.
static hr_status check_tail(const hr_source *source, const uint8_t *tail, size_t tail_bytes,
                            uint32_t *footer_bytes_out, hr_error *err)
{
    uint32_t bytes = 0;
    if (source->bytes < PQ_MAGIC_BYTES + PQ_TAIL_BYTES)
        return HR_FAIL(err, HR_CORRUPT, "%s: %" PRIu64 " bytes; a Parquet file has at least 12",
                       source->name, source->bytes);
    if (memcmp(tail + tail_bytes - 4, PQ_MAGIC_ENCRYPTED, 4) == 0)
        return HR_FAIL(err, HR_UNSUPPORTED, "%s: encryption (of the footer)", source->name);
    if (memcmp(tail + tail_bytes - 4, PQ_MAGIC, 4) != 0)
        return HR_FAIL(err, HR_CORRUPT,
                       "%s: does not end in PAR1: not a Parquet file, or one cut short",
                       source->name);
    memcpy(&bytes, tail + tail_bytes - 8, 4);
    if (bytes == 0 || bytes > source->bytes - PQ_MAGIC_BYTES - PQ_TAIL_BYTES)
        return HR_FAIL(err, HR_CORRUPT, "%s: a footer of %u bytes in a file of %" PRIu64,
                       source->name, bytes, source->bytes);
    if (bytes > PQ_FOOTER_BYTES_MAX)
        return HR_FAIL(err, HR_LIMIT, "%s: a footer of %u bytes, allowed %u", source->name, bytes,
                       PQ_FOOTER_BYTES_MAX);
    *footer_bytes_out = bytes;
    return HR_OK;
}

hr_status hr__pq_file_read(hr_source *source, pq_file *file, hr_error *err)
{
    hr_status status = HR_OK;
    uint8_t *tail = NULL, *footer = NULL;
    uint32_t bytes = 0;
    size_t tail_bytes = (size_t)HR_MIN(source->bytes, TAIL_READ_BYTES);
    HR_TRY(hr__alloc(tail_bytes, &tail, err));
    HR_GO(hr__source_read(source, source->bytes - tail_bytes, tail_bytes, tail, err));
    HR_GO(check_tail(source, tail, tail_bytes, &bytes, err));
    uint64_t data_end = source->bytes - PQ_TAIL_BYTES - bytes;
    HR_GO(hr__alloc(bytes, &footer, err));
    if (bytes + PQ_TAIL_BYTES <= tail_bytes)
        memcpy(footer, tail + tail_bytes - PQ_TAIL_BYTES - bytes, bytes);
    else
        HR_GO(hr__source_read(source, data_end, bytes, footer, err));
    status = hr__pq_file_parse(source->name, data_end, footer, bytes, file, err);
    footer = NULL;
out:
    hr__free(tail);
    hr__free(footer);
    return status;
}
