// SPDX-License-Identifier: Apache-2.0
// Blocks: reference-counted columns over memory of an owner, and views that share them.
//
// One allocation holds the block, its columns and all their children:
//
//   [hr_block][column 0 .. n-1][children of column 0, then of column 1, ...]
//
// A view (slice, projection) copies these few hundred bytes and holds a reference to the block that it looks at; the
// memory itself is never copied. Children are shared with nobody: a view has its own descriptions of them.
#include "block/block.h"

#include <stdatomic.h>
#include <string.h>

hr_status hr__block_alloc(const hr_schema *schema, int64_t rows, hr_block **out, hr_error *err)
{
    hr_block *block = NULL;
    int32_t count = hr_schema_count(schema);
    size_t nodes = (size_t)hr__schema_node_count(schema);
    HR_TRY(hr__alloc_zero(1, sizeof *block + nodes * sizeof(hr_column), &block, err));
    block->refs = 1;
    block->rows = rows;
    block->column_count = count;
    block->columns = (hr_column *)(block + 1);
    block->schema = hr_schema_ref(schema);
    hr_column *next = block->columns + count;
    for (int32_t i = 0; i < count; i++) {
        hr_column *column = &block->columns[i];
        column->type = hr_schema_field(schema, i)->type;
        column->rows = rows;
        for (const hr_type *t = hr__type_child(column->type); t; t = hr__type_child(t)) {
            next->type = t;
            column->child = next;
            column = next++;
        }
    }
    *out = block;
    return HR_OK;
}

hr_block *hr_block_ref(const hr_block *block)
{
    hr_block *b = (hr_block *)block; // the count is the one thing that changes
    if (b)
        atomic_fetch_add_explicit(&b->refs, 1,
                                  memory_order_relaxed); // whoever refs holds one already
    return b;
}

void hr_block_unref(hr_block **block)
{
    hr_block *b = block ? *block : NULL;
    if (!b)
        return;
    *block = NULL;
    // Release our reads to the last holder, acquire everybody's before the memory goes.
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (b->release)
        b->release(b->owner);
    hr_schema_unref(&b->schema);
    hr__free(b);
}

int64_t hr_block_rows(const hr_block *block)
{
    return block ? block->rows : 0;
}

const hr_schema *hr_block_schema(const hr_block *block)
{
    return block ? block->schema : NULL;
}

const hr_column *hr_block_column(const hr_block *block, int32_t index)
{
    return block && index >= 0 && index < block->column_count ? &block->columns[index] : NULL;
}

int64_t hr_block_bytes(const hr_block *block)
{
    int64_t bytes = 0;
    for (int32_t i = 0; block && i < block->column_count; i++)
        bytes += hr__column_bytes(&block->columns[i]);
    return bytes;
}

// Fills a column of ours and its children from another chain of the same type; types stay those of our schema, whose
// life is the block's.
static hr_status copy_chain(hr_column *to, const hr_column *from, hr_error *err)
{
    for (;;) {
        if (!from || from->type->id != to->type->id)
            return HR_FAIL(err, HR_INVALID, "a column's items do not fit its type");
        const hr_type *type = to->type;
        hr_column *child = (hr_column *)to->child;
        *to = *from;
        to->type = type;
        to->child = child;
        if (!child)
            return HR_OK;
        to = child;
        from = from->child;
    }
}

hr_status hr__block_make(const hr_schema *schema, int64_t rows, const hr_column *columns,
                         void (*release)(void *), void *owner, hr_block **out, hr_error *err)
{
    hr_block *block = NULL;
    hr_status status;
    HR_GO(hr__block_alloc(schema, rows, &block, err));
    for (int32_t i = 0; i < block->column_count; i++) {
        const hr_field *field = hr_schema_field(schema, i);
        if (columns[i].rows != rows || !hr__type_equal(columns[i].type, field->type)) {
            char found[96], wanted[96];
            status = HR_FAIL(err, HR_INVALID,
                             "column '%.100s': %lld rows of %s, the block has %lld of %s",
                             field->name, (long long)columns[i].rows,
                             hr_type_print(columns[i].type, found, sizeof found), (long long)rows,
                             hr_type_print(field->type, wanted, sizeof wanted));
            goto out;
        }
        HR_GO(copy_chain(&block->columns[i], &columns[i], err));
    }
    block->release = release;
    block->owner = owner;
    *out = block;
    block = NULL;
out:
    hr_block_unref(&block);
    return status;
}

static void release_parent(void *owner)
{
    hr_block *parent = owner;
    hr_block_unref(&parent);
}

hr_status hr_block_slice(const hr_block *block, int64_t first, int64_t rows, hr_block **out,
                         hr_error *err)
{
    hr_block *view = NULL;
    hr_status status;
    if (!block || first < 0 || rows < 0 || first > block->rows || rows > block->rows - first)
        return HR_FAIL(err, HR_INVALID, "rows %lld to %lld of a block of %lld", (long long)first,
                       (long long)((uint64_t)first + (uint64_t)rows),
                       (long long)hr_block_rows(block));
    HR_GO(hr__block_alloc(block->schema, rows, &view, err));
    for (int32_t i = 0; i < view->column_count; i++) {
        hr_column part = hr__column_slice(&block->columns[i], first, rows);
        HR_GO(copy_chain(&view->columns[i], &part, err));
    }
    view->release = release_parent;
    view->owner = hr_block_ref(block);
    *out = view;
    view = NULL;
out:
    hr_block_unref(&view);
    return status;
}
