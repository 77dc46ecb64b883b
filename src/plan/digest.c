// SPDX-License-Identifier: Apache-2.0
// A plan's identity as a number, so that a position is not applied to other rows. It takes in everything that decides
// which rows come, in what order of fragments, and with what values; the same plan built in another process has the
// same. Not in it: folders and times of files, options of speed, the seed and order of a stream (a position has them).
//
// What it sees of data is bounded, for it is made before the first row: of files their names and sizes and the first
// one's footer (a stream whose order needs all footers adds them), of blocks in memory SAMPLE_ROWS rows, of a function
// its name and what was said of it (its payload in processes; a C function is its name).
#include "base/hash.h"
#include "plan/plan_internal.h"
#include <string.h>

#define SAMPLE_ROWS 16384

static uint64_t add_number(uint64_t h, int64_t value)
{
    return hr__hash64(&value, sizeof value, h);
}

static uint64_t add_text(uint64_t h, const char *text)
{
    return hr__hash64(text, strlen(text) + 1, h);
}

static uint64_t add_schema(uint64_t h, const hr_schema *schema)
{
    for (int32_t i = 0; i < hr_schema_count(schema); i++) {
        const hr_field *f = hr_schema_field(schema, i);
        h = hr__types_hash(f->type, add_text(h, f->name));
    }
    return h;
}

// --- rows in memory ---

static bool bit(const void *bits, int64_t at)
{
    return ((const uint8_t *)bits)[at / 8] >> (at % 8) & 1;
}

static void range_of(const hr_column *c, int64_t row, int64_t *first, int64_t *end)
{
    if (c->type->large) {
        *first = ((const int64_t *)c->offsets)[c->offset + row];
        *end = ((const int64_t *)c->offsets)[c->offset + row + 1];
    } else {
        *first = ((const int32_t *)c->offsets)[c->offset + row];
        *end = ((const int32_t *)c->offsets)[c->offset + row + 1];
    }
}

// What lies under a null does not count. Types nest no deeper than a schema may.
static uint64_t add_value(uint64_t h, const hr_column *c, int64_t row)
{
    int64_t bytes = hr_type_row_bytes(c->type), first, end;
    const uint8_t *data = c->data;
    if (c->type->id == HR_TYPE_NULL || (c->validity && !bit(c->validity, c->offset + row)))
        return add_number(h, -1);
    switch (c->type->id) {
    case HR_TYPE_BOOL:
        return add_number(h, bit(data, c->offset + row));
    case HR_TYPE_DICTIONARY:
        return add_value(h, c->child, ((const int32_t *)c->data)[c->offset + row]);
    case HR_TYPE_STRING:
    case HR_TYPE_BINARY:
        range_of(c, row, &first, &end);
        return hr__hash64(data + first, (size_t)(end - first), add_number(h, end - first));
    case HR_TYPE_LIST:
        range_of(c, row, &first, &end);
        h = add_number(h, end - first);
        bytes = hr_type_row_bytes(c->child->type);
        if (bytes > 0 && !c->child->validity && c->child->type->id != HR_TYPE_DICTIONARY)
            return hr__hash64((const uint8_t *)c->child->data + (c->child->offset + first) * bytes,
                              (size_t)((end - first) * bytes), h);
        for (; first < end; first++)
            h = add_value(h, c->child, first);
        return h;
    default:
        return hr__hash64(data + (c->offset + row) * bytes, (size_t)bytes, h);
    }
}

static uint64_t add_blocks(uint64_t h, hr_block *const *blocks, int32_t count)
{
    int64_t rows = 0, at = 0;
    for (int32_t i = 0; i < count; i++) {
        h = add_number(h, hr_block_rows(blocks[i]));
        rows += hr_block_rows(blocks[i]);
    }
    int64_t step = rows / SAMPLE_ROWS + 1;
    for (int32_t i = 0; i < count; i++) {
        int32_t columns = hr_schema_count(hr_block_schema(blocks[i]));
        for (; at < hr_block_rows(blocks[i]); at += step)
            for (int32_t k = 0; k < columns; k++)
                h = add_value(h, hr_block_column(blocks[i], k), at);
        at -= hr_block_rows(blocks[i]);
    }
    return h;
}

// --- nodes ---

static uint64_t add_origin(uint64_t h, const hr_node *n)
{
    h = add_schema(h, n->schema);
    if (n->kind == HR_NODE_FILES)
        return hr__hash64(&(uint64_t){hr__files_digest(n->files)}, sizeof(uint64_t), h);
    if (n->kind == HR_NODE_BLOCKS)
        return add_blocks(h, n->blocks, n->block_count);
    if (n->kind == HR_NODE_READER) {
        h = add_text(h, n->source);
        for (int32_t i = 0; i < n->reader->fragment_count; i++)
            h = add_number(h, n->reader->fragments[i].rows);
    }
    for (size_t i = 0; i < n->kept.count; i++)
        h = add_number(h, n->kept.rows[i]);
    return h;
}

static uint64_t add_node(uint64_t h, const hr_node *n)
{
    const int64_t members[] = {n->kind, n->number,     n->index,           n->equal,
                               n->seed, n->batch_rows, (int64_t)n->digest, n->input_count};
    h = hr__hash64(members, sizeof members, h);
    if (n->kind == HR_NODE_FUNCTION || n->kind == HR_NODE_PROCESS)
        return add_text(h, n->name);
    return n->input_count ? h : add_origin(h, n);
}

// As deep as what a user chained by hand (lower.c).
static hr_status digest(const hr_dataset *dataset, uint64_t before, uint64_t *out, hr_error *err)
{
    uint64_t h = before;
    if (dataset->chain && !hr__chain_is_identity(dataset->chain))
        HR_TRY(hr__chain_digest(dataset->chain, h, &h, err));
    h = add_node(h, dataset->node);
    for (int32_t i = 0; i < dataset->node->input_count; i++)
        HR_TRY(digest(dataset->node->inputs[i], h, &h, err));
    *out = h;
    return HR_OK;
}

hr_status hr__dataset_digest(const hr_dataset *dataset, uint64_t *out, hr_error *err)
{
    return digest(dataset, 0, out, err);
}

uint64_t hr__function_digest(const char *const *argv, const void *payload, size_t bytes)
{
    const char *program = strrchr(argv[0], '/');
    uint64_t h =
        add_text(0, program ? program + 1 : argv[0]); // where it is installed does not count
    for (int i = 1; argv[i]; i++)
        h = add_text(h, argv[i]);
    return hr__hash64(payload, bytes, h);
}
