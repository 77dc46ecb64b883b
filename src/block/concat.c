// SPDX-License-Identifier: Apache-2.0
// Several blocks as one, on the heap: for small results and for tests. Batches in shared memory are cut with
// block_take.c.
#include "block/wire.h"

#include <string.h>

static hr_status plan(hr_block *const *blocks, size_t count, const hr_schema *schema,
                      hr_layout *layout, hr_error *err)
{
    hr_layout more = {0};
    hr_status status = HR_OK;
    HR_TRY(hr__layout_init(layout, schema, 0, err));
    for (int32_t i = 0; i < layout->node_count; i++)
        layout->nodes[i].has_validity = false; // only where a block has nulls
    for (size_t i = 0; i < count; i++) {
        HR_GO(hr__take_layout(blocks[i], NULL, blocks[i]->rows, &more, err));
        HR_GO(hr__layout_add(layout, &more, err));
        hr__layout_release(&more);
    }
    HR_GO(hr__layout_finish(layout, err));
out:
    hr__layout_release(&more);
    return status;
}

hr_status hr__block_concat(hr_block *const *blocks, size_t count, const hr_schema *schema,
                           hr_block **out, hr_error *err)
{
    hr_layout layout = {0};
    hr_builder builder = {0};
    void *memory = NULL;
    hr_status status;
    for (size_t i = 0; i < count; i++)
        if (!hr_schema_equal(blocks[i]->schema, schema))
            return HR_FAIL(err, HR_INVALID, "block %zu of %zu has another schema", i, count);
    HR_GO(plan(blocks, count, schema, &layout, err));
    HR_GO(hr__alloc_aligned(layout.span_bytes, HR_ALIGN, &memory, err));
    HR_GO(hr__builder_init(&builder, &layout, memory, err));
    int64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        HR_GO(hr__take_append(blocks[i], NULL, blocks[i]->rows, &builder, at, err));
        at += blocks[i]->rows;
    }
    hr__builder_seal(&builder, at);
    HR_GO(hr__block_open(memory, layout.span_bytes, schema, HR_VALIDATE_NONE, hr__free, memory, out,
                         err));
    memory = NULL;
out:
    hr__free(memory);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    return status;
}
