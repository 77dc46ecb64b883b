// SPDX-License-Identifier: Apache-2.0
// Blocks shared as Arrow arrays: no copy, but for bfloat16, which Arrow does not know and gets as float32.
//
// Every node holds a reference to the block and its own small allocation, so that a consumer may move a child out,
// release the rest and keep the child as long as it likes.
#include "base/buffer.h"
#include "block/block.h"
#include "kernel/kernel.h"

#include <string.h>

typedef struct array_node {
    hr_block *block; // a reference
    hr_buffer *copy; // a reference: validity and floats of a bfloat16 column
    const void *buffers[3];
} array_node;

static void release_array(struct ArrowArray *array)
{
    array_node *node = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++)
        if (array->children[i]->release)
            array->children[i]->release(array->children[i]);
    if (array->dictionary && array->dictionary->release)
        array->dictionary->release(array->dictionary);
    hr_block_unref(&node->block);
    hr__buffer_unref(&node->copy);
    hr__free(node);
    *array = (struct ArrowArray){0};
}

// A node with zeroed (released) children and a reference to the block; buffers are the caller's to set.
static hr_status open_node(const hr_block *block, int64_t child_count, bool dictionary,
                           struct ArrowArray *out, hr_error *err)
{
    array_node *node = NULL;
    size_t nodes = (size_t)child_count + dictionary;
    HR_TRY(hr__alloc_zero(1, sizeof *node + nodes * (sizeof *out + sizeof out), &node, err));
    struct ArrowArray *children = (struct ArrowArray *)(node + 1);
    *out = (struct ArrowArray){.n_children = child_count,
                               .children = (struct ArrowArray **)(children + nodes),
                               .buffers = node->buffers,
                               .private_data = node,
                               .release = release_array};
    node->block = hr_block_ref(block);
    for (int64_t i = 0; i < child_count; i++)
        out->children[i] = &children[i];
    out->dictionary = dictionary ? &children[child_count] : NULL;
    return HR_OK;
}

// The column's rows as float32 at offset 0.
static hr_status widen(const hr_column *c, hr_column *out, hr_buffer **copy_out, hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    int64_t values, bytes;
    int64_t bits_bytes = HR_ALIGN_UP((c->rows + 7) / 8, (int64_t)HR_ALIGN);
    if (HR_MUL_OVERFLOWS(c->rows, hr__type_row_values(c->type), &values) ||
        HR_MUL_OVERFLOWS(values, 4, &bytes) || HR_ADD_OVERFLOWS(bytes, bits_bytes, &bytes))
        return HR_FAIL(err, HR_LIMIT, "%lld rows of bfloat16 are too many for a copy",
                       (long long)c->rows);
    HR_TRY(hr__buffer_alloc((size_t)bytes, copy_out, err));
    uint8_t *memory = (uint8_t *)(*copy_out)->data; // ours alone until it is handed out
    const uint16_t *from = (const uint16_t *)c->data + c->offset * hr__type_row_values(c->type);
    k->cast.to[HR_NUM_BF16][HR_NUM_F32](memory + bits_bytes, from, (size_t)values);
    *out = *c;
    out->data = memory + bits_bytes;
    out->offset = 0;
    if (c->validity) {
        memset(memory, 0, (size_t)bits_bytes);
        k->bits.copy(memory, 0, c->validity, (size_t)c->offset, (size_t)c->rows);
        out->validity = memory;
    }
    return HR_OK;
}

// The values are an array of their own, which may outlive the column's.
static hr_status export_tensor(const hr_block *block, const hr_column *c, struct ArrowArray *out,
                               hr_error *err)
{
    struct ArrowArray *items = out->children[0];
    int64_t values;
    if (HR_MUL_OVERFLOWS(c->offset + c->rows, hr__type_row_values(c->type), &values))
        return HR_FAIL(err, HR_LIMIT, "a tensor column of more than 2^63 values");
    HR_TRY(open_node(block, 0, false, items, err));
    items->length = values;
    items->n_buffers = 2;
    items->buffers[1] = c->data;
    array_node *node = out->private_data;
    ((array_node *)items->private_data)->copy = hr__buffer_ref(node->copy);
    return HR_OK;
}

static void set_buffers(const hr_column *c, struct ArrowArray *out)
{
    out->length = c->rows;
    out->offset = c->offset;
    out->null_count = c->validity ? c->null_count : 0;
    out->buffers[0] = out->null_count == 0 ? NULL : c->validity;
    switch (c->type->id) {
    case HR_TYPE_NULL:
        out->null_count = c->rows;
        break;
    case HR_TYPE_TENSOR:
        out->n_buffers = 1;
        break;
    case HR_TYPE_LIST:
        out->n_buffers = 2;
        out->buffers[1] = c->offsets;
        break;
    case HR_TYPE_STRING:
    case HR_TYPE_BINARY:
        out->n_buffers = 3;
        out->buffers[1] = c->offsets;
        out->buffers[2] = c->data;
        break;
    default:
        out->n_buffers = 2;
        out->buffers[1] = c->data;
        break;
    }
}

static hr_status export_column(const hr_block *block, const hr_column *c, struct ArrowArray *out,
                               hr_error *err)
{
    for (; c; c = c->child) {
        hr_column wide = *c;
        bool tensor = c->type->id == HR_TYPE_TENSOR;
        const hr_type *number = tensor ? c->type->item : c->type;
        HR_TRY(open_node(block, c->type->id == HR_TYPE_LIST || tensor,
                         c->type->id == HR_TYPE_DICTIONARY, out, err));
        if (number->id == HR_TYPE_BFLOAT16)
            HR_TRY(widen(c, &wide, &((array_node *)out->private_data)->copy, err));
        set_buffers(&wide, out);
        if (tensor)
            return export_tensor(block, &wide, out, err);
        if (c->child)
            out = out->dictionary ? out->dictionary : out->children[0];
    }
    return HR_OK;
}

hr_status hr_block_export(const hr_block *block, struct ArrowArray *out, hr_error *err)
{
    struct ArrowArray made = {0};
    hr_status status;
    HR_TRY(open_node(block, block->column_count, false, &made, err));
    made.length = block->rows;
    made.n_buffers = 1;
    for (int32_t i = 0; i < block->column_count; i++)
        HR_GO(export_column(block, &block->columns[i], made.children[i], err));
    *out = made;
    return HR_OK;
out:
    made.release(&made);
    return status;
}
