// SPDX-License-Identifier: Apache-2.0
// Building a block in place: pointers into a planned span, then its header over what was written.
//
// Nothing is copied when a block is sealed: buffers stay where the layout put them, and a block with fewer rows than
// planned only tells smaller sizes. Bits past the rows and the padding of each buffer are zeroed, so that readers may
// load whole vectors and equal blocks have equal bytes.
#include "block/wire.h"

#include <string.h>

hr_status hr__builder_init(hr_builder *builder, const hr_layout *layout, void *memory,
                           hr_error *err)
{
    hr_slot *slots = NULL;
    HR_ASSERT((uintptr_t)memory % HR_ALIGN == 0 && layout->span_bytes > 0);
    HR_TRY(hr__alloc_zero((size_t)layout->node_count, sizeof *slots, &slots, err));
    uint8_t *at = memory;
    for (int32_t i = 0; i < layout->node_count; i++) {
        const hr_layout_node *node = &layout->nodes[i];
        slots[i] = (hr_slot){
            .type = node->type,
            .rows = node->rows,
            .validity = node->validity_at ? at + node->validity_at : NULL,
            .offsets = node->offsets_at ? at + node->offsets_at : NULL,
            .data = node->data_at ? at + node->data_at : NULL,
            .data_bytes = node->data_bytes,
            .null_count = node->validity_at ? -1 : 0,
            .child = node->child >= 0 ? &slots[node->child] : NULL,
        };
        if (slots[i].offsets)
            memset(slots[i].offsets, 0, node->type->large ? 8 : 4);
    }
    *builder = (hr_builder){memory, layout, slots};
    return HR_OK;
}

void hr__builder_release(hr_builder *builder)
{
    if (!builder)
        return;
    hr__free(builder->slots);
    *builder = (hr_builder){0};
}

typedef struct sealer {
    uint8_t *memory;
    uint8_t *buffers, *nodes; // where the next entry of each table goes
    uint64_t end;
} sealer;

static void put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

// Writes a table entry and zeroes the padding.
static void seal_buffer(sealer *s, uint64_t at, int64_t bytes)
{
    put_u64(s->buffers, at);
    put_u64(s->buffers + 8, at ? (uint64_t)bytes : 0);
    s->buffers += 16;
    if (!at)
        return;
    uint64_t used = at + (uint64_t)bytes;
    uint64_t end = HR_ALIGN_UP(used, HR_ALIGN) + HR_SPAN_PAD_BYTES;
    memset(s->memory + used, 0, (size_t)(end - used));
    s->end = HR_MAX(s->end, end);
}

static void clear_tail_bits(uint8_t *bits, int64_t rows)
{
    if (bits && rows % 8)
        bits[rows / 8] &= (uint8_t)((1u << (rows % 8)) - 1);
}

static int64_t slot_offset(const hr_slot *slot, int64_t index)
{
    return slot->type->large ? ((const int64_t *)slot->offsets)[index]
                             : ((const int32_t *)slot->offsets)[index];
}

static void seal_node(sealer *s, const hr_layout_node *node, const hr_slot *slot, int64_t rows)
{
    hr_node_bytes need;
    HR_ASSERT(rows <= slot->rows && hr__node_bytes(node->type, rows, &need));
    int64_t null_count = slot->validity ? slot->null_count : 0;
    if (node->type->id == HR_TYPE_NULL)
        null_count = rows;
    if (node->type->id == HR_TYPE_STRING || node->type->id == HR_TYPE_BINARY)
        need.data = slot_offset(slot, rows);
    HR_ASSERT(need.data >= 0 && need.data <= node->data_bytes);
    HR_ASSERT(null_count >= -1 && null_count <= rows);
    clear_tail_bits(slot->validity, rows);
    if (node->type->id == HR_TYPE_BOOL)
        clear_tail_bits(slot->data, rows);
    seal_buffer(s, node->validity_at, need.validity);
    seal_buffer(s, node->offsets_at, need.offsets);
    seal_buffer(s, node->data_at, need.data);
    put_u64(s->nodes, (uint64_t)rows);
    put_u64(s->nodes + 8, (uint64_t)null_count);
    s->nodes += 16;
}

void hr__builder_seal(hr_builder *builder, int64_t rows)
{
    const hr_layout *layout = builder->layout;
    uint8_t *head = builder->memory;
    uint32_t node_count = (uint32_t)layout->node_count;
    size_t header_bytes = HR_SPAN_HEAD_BYTES + (size_t)node_count * HR_SPAN_NODE_BYTES;
    uint8_t *buffers = head + HR_SPAN_HEAD_BYTES;
    sealer s = {head, buffers, buffers + (size_t)node_count * 48, header_bytes};
    uint64_t types_hash = 0;
    HR_ASSERT(rows >= 0 && rows <= layout->rows);
    for (int32_t i = 0; i < layout->column_count; i++) {
        int64_t node_rows = rows;
        types_hash = hr__types_hash(layout->nodes[i].type, types_hash);
        for (int32_t n = i; n >= 0; n = layout->nodes[n].child) {
            const hr_slot *slot = &builder->slots[n];
            seal_node(&s, &layout->nodes[n], slot, node_rows);
            if (slot->child) // of a list its offsets tell; of a dictionary only the writer knows
                node_rows = slot->offsets ? slot_offset(slot, node_rows) : slot->child->written;
        }
    }
    put_u32(head, HR_SPAN_MAGIC);
    put_u32(head + 4, HR_SPAN_VERSION);
    put_u64(head + 8, header_bytes);
    put_u64(head + 16, (uint64_t)rows);
    put_u64(head + 24, s.end);
    put_u32(head + 32, (uint32_t)layout->column_count);
    put_u32(head + 36, node_count);
    put_u32(head + 40, 3 * node_count);
    put_u32(head + 44, 0);
    put_u64(head + 56, types_hash);
    put_u64(head + 48, hr__span_head_hash(head, header_bytes));
}
