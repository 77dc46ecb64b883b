// SPDX-License-Identifier: Apache-2.0
// Spans: planning where the buffers of a block go, and reading such a span back as a block.
//
// wire.h draws the span; docs/format/block.md specifies it. Sizes are computed in one place, hr__node_bytes, by the
// planner, the builder and the reader, so that they cannot disagree. A span is read with every number checked before
// use: the header is copied out once, so that a writer who still changes it cannot change what was checked.
#include "block/wire.h"

#include "base/cursor.h"
#include "base/hash.h"

#include <string.h>

bool hr__node_bytes(const hr_type *type, int64_t rows, hr_node_bytes *out)
{
    hr_node_bytes need = {(rows + 7) / 8, 0, 0};
    int64_t row_bytes = hr_type_row_bytes(type);
    if (rows < 0 || rows > HR_SPAN_ROWS_MAX)
        return false;
    if (hr__type_has_offsets(type))
        need.offsets = (rows + 1) * (type->large ? 8 : 4);
    else if (type->id == HR_TYPE_BOOL)
        need.data = (rows + 7) / 8;
    else if (HR_MUL_OVERFLOWS(rows, row_bytes, &need.data))
        return false;
    *out = need;
    return true;
}

uint64_t hr__types_hash(const hr_type *type, uint64_t before)
{
    for (; type; type = type->item) {
        int64_t members[8 + HR_TENSOR_DIMS_MAX] = {type->id,          type->unit,   type->precision,
                                                   type->scale,       type->ndim,   type->large,
                                                   type->width_bytes, type->ordered};
        memcpy(members + 8, type->shape, sizeof type->shape);
        before = hr__hash64(members, sizeof members, before);
        if (type->timezone)
            before = hr__hash64(type->timezone, strlen(type->timezone), before);
    }
    return before;
}

uint64_t hr__span_head_hash(const uint8_t *span, size_t header_bytes)
{
    return hr__hash64(span + 56, header_bytes - 56, hr__hash64(span, 48, 0));
}

// --- planning ---

hr_status hr__layout_init(hr_layout *layout, const hr_schema *schema, int64_t rows, hr_error *err)
{
    hr_layout made = {.rows = rows, .column_count = hr_schema_count(schema)};
    if (rows < 0 || rows > HR_SPAN_ROWS_MAX)
        return HR_FAIL(err, HR_INVALID, "a block of %lld rows, allowed are 0 to %lld",
                       (long long)rows, (long long)HR_SPAN_ROWS_MAX);
    made.node_count = hr__schema_node_count(schema);
    HR_TRY(hr__alloc_zero((size_t)made.node_count, sizeof *made.nodes, &made.nodes, err));
    int32_t next = made.column_count;
    for (int32_t i = 0; i < made.column_count; i++) {
        const hr_field *field = hr_schema_field(schema, i);
        hr_layout_node *node = &made.nodes[i];
        *node = (hr_layout_node){.type = field->type, .rows = rows, .child = -1};
        node->has_validity = field->nullable && field->type->id != HR_TYPE_NULL;
        for (const hr_type *t = hr__type_child(field->type); t; t = hr__type_child(t)) {
            made.nodes[next] = (hr_layout_node){.type = t, .child = -1};
            node->child = next;
            node = &made.nodes[next++];
        }
    }
    HR_ASSERT(next == made.node_count);
    *layout = made;
    return HR_OK;
}

void hr__layout_release(hr_layout *layout)
{
    if (!layout)
        return;
    hr__free(layout->nodes);
    *layout = (hr_layout){0};
}

// Gives a buffer its place; false when the span outgrows what any machine has.
static bool place(uint64_t *at, int64_t bytes, uint64_t *out)
{
    if (bytes < 0 || bytes > INT64_MAX / 4 || *at > INT64_MAX / 4)
        return false;
    *out = *at;
    *at += HR_ALIGN_UP((uint64_t)bytes, HR_ALIGN) + HR_SPAN_PAD_BYTES;
    return true;
}

static hr_status place_node(hr_layout_node *node, uint64_t *at, hr_error *err)
{
    hr_node_bytes need;
    char name[96];
    if (!hr__node_bytes(node->type, node->rows, &need))
        goto too_large;
    if (node->type->id == HR_TYPE_NULL)
        node->has_validity = false;
    if (node->type->id == HR_TYPE_STRING || node->type->id == HR_TYPE_BINARY) {
        if (!node->type->large && node->data_bytes > INT32_MAX)
            return HR_FAIL(
                err, HR_LIMIT,
                "%lld bytes of %s in one block do not fit 32-bit offsets: ask for fewer rows "
                "a block, or for a large_%s",
                (long long)node->data_bytes, hr_type_print(node->type, name, sizeof name), name);
    } else {
        node->data_bytes = need.data;
    }
    bool has_data = node->type->id != HR_TYPE_NULL && node->type->id != HR_TYPE_LIST;
    node->validity_at = node->offsets_at = node->data_at = 0;
    if ((node->has_validity && !place(at, need.validity, &node->validity_at)) ||
        (need.offsets && !place(at, need.offsets, &node->offsets_at)) ||
        (has_data && !place(at, node->data_bytes, &node->data_at)))
        goto too_large;
    return HR_OK;
too_large:
    return HR_FAIL(err, HR_LIMIT, "%lld rows of %s are larger than a block can be",
                   (long long)node->rows, hr_type_print(node->type, name, sizeof name));
}

hr_status hr__layout_finish(hr_layout *layout, hr_error *err)
{
    uint64_t at = HR_SPAN_HEAD_BYTES + (uint64_t)layout->node_count * HR_SPAN_NODE_BYTES;
    for (int32_t i = 0; i < layout->column_count; i++) {
        for (int32_t n = i; n >= 0; n = layout->nodes[n].child) {
            hr_layout_node *node = &layout->nodes[n];
            HR_TRY(place_node(node, &at, err));
            int64_t child_rows = node->child >= 0 ? layout->nodes[node->child].rows : 0;
            if (!node->type->large && child_rows > INT32_MAX)
                return HR_FAIL(
                    err, HR_LIMIT,
                    "column %d: %lld items in one block do not fit 32 bits: ask for fewer "
                    "rows a block, or for a large_list",
                    (int)i, (long long)child_rows);
        }
    }
    layout->span_bytes = (size_t)at;
    return HR_OK;
}

hr_status hr__layout_add(hr_layout *layout, const hr_layout *more, hr_error *err)
{
    HR_ASSERT(layout->node_count == more->node_count);
    if (HR_ADD_OVERFLOWS(layout->rows, more->rows, &layout->rows))
        return HR_FAIL(err, HR_LIMIT, "a block of more than 2^63 rows");
    for (int32_t i = 0; i < layout->node_count; i++) {
        hr_layout_node *to = &layout->nodes[i];
        const hr_layout_node *from = &more->nodes[i];
        HR_ASSERT(to->type->id == from->type->id && to->child == from->child);
        to->has_validity |= from->has_validity;
        if (HR_ADD_OVERFLOWS(to->rows, from->rows, &to->rows) ||
            HR_ADD_OVERFLOWS(to->data_bytes, from->data_bytes, &to->data_bytes))
            return HR_FAIL(err, HR_LIMIT, "a block of more than 2^63 bytes");
    }
    return HR_OK;
}

// --- reading ---

typedef struct span_head {
    int64_t rows;
    uint64_t span_bytes, header_bytes, head_hash, types_hash;
    uint32_t column_count, node_count, buffer_count;
} span_head;

static hr_status read_head(const void *span, size_t bytes, span_head *head, hr_error *err)
{
    hr_cursor c = hr__cursor(span, bytes);
    uint32_t magic = hr__cursor_u32(&c), version = hr__cursor_u32(&c);
    head->header_bytes = hr__cursor_u64(&c);
    head->rows = (int64_t)hr__cursor_u64(&c);
    head->span_bytes = hr__cursor_u64(&c);
    head->column_count = hr__cursor_u32(&c);
    head->node_count = hr__cursor_u32(&c);
    head->buffer_count = hr__cursor_u32(&c);
    hr__cursor_u32(&c);
    head->head_hash = hr__cursor_u64(&c);
    head->types_hash = hr__cursor_u64(&c);
    if (c.failed || magic != HR_SPAN_MAGIC)
        return HR_FAIL(err, HR_CORRUPT, "these %zu bytes are not a block", bytes);
    if (version != HR_SPAN_VERSION)
        return HR_FAIL(err, HR_UNSUPPORTED, "block of version %u, this build reads %d", version,
                       HR_SPAN_VERSION);
    if (head->rows < 0 || head->rows > HR_SPAN_ROWS_MAX)
        return HR_FAIL(err, HR_CORRUPT, "block of %lld rows, allowed are 0 to %lld",
                       (long long)head->rows, (long long)HR_SPAN_ROWS_MAX);
    if (head->node_count > HR_SPAN_NODES_MAX || head->buffer_count != 3 * head->node_count ||
        head->header_bytes != HR_SPAN_HEAD_BYTES + (uint64_t)head->node_count * HR_SPAN_NODE_BYTES)
        return HR_FAIL(err, HR_CORRUPT,
                       "block of %u columns and items with %u buffers and a header of %llu bytes",
                       head->node_count, head->buffer_count,
                       (unsigned long long)head->header_bytes);
    if (head->span_bytes > bytes || head->header_bytes > head->span_bytes)
        return HR_FAIL(err, HR_CORRUPT, "block of %llu bytes, header %llu, in %zu bytes",
                       (unsigned long long)head->span_bytes, (unsigned long long)head->header_bytes,
                       bytes);
    return HR_OK;
}

hr_status hr__span_peek(const void *span, size_t bytes, int64_t *rows_out, size_t *span_bytes_out,
                        hr_error *err)
{
    span_head head;
    HR_TRY(read_head(span, bytes, &head, err));
    *rows_out = head.rows;
    *span_bytes_out = (size_t)head.span_bytes;
    return HR_OK;
}

typedef struct span_reader {
    const uint8_t *span;
    span_head head;
    hr_cursor buffers, nodes;
    int32_t column; // for messages
} span_reader;

// The next buffer of the table; *at_out NULL when it is absent.
static hr_status next_buffer(span_reader *r, const char *what, const uint8_t **at_out,
                             int64_t *bytes_out, hr_error *err)
{
    uint64_t at = hr__cursor_u64(&r->buffers), bytes = hr__cursor_u64(&r->buffers);
    uint64_t end = r->head.span_bytes;
    *at_out = NULL;
    *bytes_out = 0;
    if (at == 0 && bytes == 0)
        return HR_OK;
    if (at % HR_ALIGN || at < r->head.header_bytes || at > end || end - at < HR_SPAN_PAD_BYTES ||
        bytes > end - at - HR_SPAN_PAD_BYTES)
        return HR_FAIL(
            err, HR_CORRUPT,
            "block, column %d: %s of %llu bytes at byte %llu of %llu: not in the span, not "
            "aligned to %d, or not padded",
            (int)r->column, what, (unsigned long long)bytes, (unsigned long long)at,
            (unsigned long long)end, HR_ALIGN);
    *at_out = r->span + at;
    *bytes_out = (int64_t)bytes;
    return HR_OK;
}

static hr_status check_size(const span_reader *r, const char *what, bool present, int64_t found,
                            bool wanted, int64_t need, hr_error *err)
{
    if (present == wanted && found == (wanted ? need : 0))
        return HR_OK;
    return HR_FAIL(err, HR_CORRUPT, "block, column %d: %s of %lld bytes where %lld belong",
                   (int)r->column, what, (long long)found, (long long)(wanted ? need : 0));
}

static int64_t offset_at(const hr_column *column, int64_t index)
{
    return column->type->large ? ((const int64_t *)column->offsets)[index]
                               : ((const int32_t *)column->offsets)[index];
}

// First and last offset against what they point into: enough for an honest writer; FULL looks between.
static hr_status check_ends(const span_reader *r, const hr_column *column, int64_t limit,
                            hr_error *err)
{
    int64_t first = offset_at(column, 0), last = offset_at(column, column->rows);
    if (first < 0 || last < first || last > limit)
        return HR_FAIL(err, HR_CORRUPT, "block, column %d: offsets from %lld to %lld into %lld",
                       (int)r->column, (long long)first, (long long)last, (long long)limit);
    return HR_OK;
}

static hr_status read_node(span_reader *r, hr_column *column, hr_error *err)
{
    const hr_type *type = column->type;
    const uint8_t *validity, *offsets, *data;
    int64_t validity_bytes, offsets_bytes, data_bytes;
    hr_node_bytes need;
    column->rows = (int64_t)hr__cursor_u64(&r->nodes);
    column->null_count = (int64_t)hr__cursor_u64(&r->nodes);
    if (!hr__node_bytes(type, column->rows, &need) || column->null_count < -1 ||
        column->null_count > column->rows)
        return HR_FAIL(err, HR_CORRUPT, "block, column %d: %lld rows with %lld nulls",
                       (int)r->column, (long long)column->rows, (long long)column->null_count);
    HR_TRY(next_buffer(r, "validity", &validity, &validity_bytes, err));
    HR_TRY(next_buffer(r, "offsets", &offsets, &offsets_bytes, err));
    HR_TRY(next_buffer(r, "data", &data, &data_bytes, err));
    bool variable = type->id == HR_TYPE_STRING || type->id == HR_TYPE_BINARY;
    bool has_data = type->id != HR_TYPE_NULL && type->id != HR_TYPE_LIST;
    HR_TRY(check_size(r, "validity", validity, validity_bytes, validity && type->id != HR_TYPE_NULL,
                      need.validity, err));
    HR_TRY(check_size(r, "offsets", offsets, offsets_bytes, need.offsets > 0, need.offsets, err));
    HR_TRY(
        check_size(r, "data", data, data_bytes, has_data, variable ? data_bytes : need.data, err));
    column->validity = validity;
    column->offsets = offsets;
    column->data = data;
    if (type->id == HR_TYPE_NULL)
        column->null_count = column->rows;
    else if (!validity)
        column->null_count = 0;
    return variable ? check_ends(r, column, data_bytes, err) : HR_OK;
}

static hr_status read_columns(span_reader *r, hr_block *block, hr_error *err)
{
    for (int32_t i = 0; i < block->column_count; i++) {
        r->column = i;
        const hr_column *parent = NULL;
        for (hr_column *c = &block->columns[i]; c; c = (hr_column *)c->child) {
            HR_TRY(read_node(r, c, err));
            if (!parent && c->rows != block->rows)
                return HR_FAIL(err, HR_CORRUPT, "block, column %d: %lld rows in a block of %lld",
                               (int)i, (long long)c->rows, (long long)block->rows);
            if (parent && parent->type->id == HR_TYPE_LIST)
                HR_TRY(check_ends(r, parent, c->rows, err));
            if (parent && parent->type->id == HR_TYPE_DICTIONARY && c->rows > INT32_MAX)
                return HR_FAIL(err, HR_CORRUPT, "block, column %d: a dictionary of %lld values",
                               (int)i, (long long)c->rows);
            parent = c;
        }
    }
    return HR_OK;
}

static hr_status check_schema(const span_head *head, const hr_schema *schema, hr_error *err)
{
    uint64_t hash = 0;
    for (int32_t i = 0; i < hr_schema_count(schema); i++)
        hash = hr__types_hash(hr_schema_field(schema, i)->type, hash);
    if ((int32_t)head->column_count != hr_schema_count(schema) ||
        (int32_t)head->node_count != hr__schema_node_count(schema) || head->types_hash != hash)
        return HR_FAIL(
            err, HR_CORRUPT,
            "block of %u columns (%u with items, types %016llx), its schema has %d (%d, %016llx)",
            head->column_count, head->node_count, (unsigned long long)head->types_hash,
            (int)hr_schema_count(schema), (int)hr__schema_node_count(schema),
            (unsigned long long)hash);
    return HR_OK;
}

hr_status hr__block_open(const void *span, size_t bytes, const hr_schema *schema,
                         hr_validate_level level, void (*release)(void *), void *owner,
                         hr_block **out, hr_error *err)
{
    span_reader r = {.span = span};
    hr_block *block = NULL;
    uint8_t *tables = NULL;
    hr_status status;
    if ((uintptr_t)span % HR_ALIGN)
        return HR_FAIL(err, HR_INVALID, "a span must stand at a multiple of %d bytes", HR_ALIGN);
    HR_TRY(read_head(span, bytes, &r.head, err));
    HR_TRY(check_schema(&r.head, schema, err));
    const uint8_t *head = span;
    if (level != HR_VALIDATE_NONE) { // somebody may still write there: check and use the same copy
        HR_GO(hr__alloc((size_t)r.head.header_bytes, &tables, err));
        head = memcpy(tables, span, (size_t)r.head.header_bytes);
        if (hr__span_head_hash(head, (size_t)r.head.header_bytes) != r.head.head_hash) {
            status = HR_FAIL(err, HR_CORRUPT, "the block's header does not match its check");
            goto out;
        }
    }
    size_t table_bytes = (size_t)r.head.buffer_count * 16;
    r.buffers = hr__cursor(head + HR_SPAN_HEAD_BYTES, table_bytes);
    r.nodes = hr__cursor(head + HR_SPAN_HEAD_BYTES + table_bytes, (size_t)r.head.node_count * 16);
    HR_GO(hr__block_alloc(schema, r.head.rows, &block, err));
    HR_GO(read_columns(&r, block, err));
    if (level == HR_VALIDATE_FULL)
        HR_GO(hr__block_validate(block, level, err));
    block->span = span;
    block->span_bytes = (size_t)r.head.span_bytes;
    block->release = release;
    block->owner = owner;
    *out = block;
    block = NULL;
    status = HR_OK;
out:
    hr__free(tables);
    hr_block_unref(&block);
    return status;
}
