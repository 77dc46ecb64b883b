// SPDX-License-Identifier: Apache-2.0
// What was read at the sources of a dataset. Origins count the rows that they gave, whoever asked: a trial, an epoch, a
// fit, a look at the first rows. So a reading that was shared shows as one, and one that was not cannot hide.
#include "plan/plan_internal.h"

#include "base/option.h"
#include <stdatomic.h>

typedef HR_VEC(const hr_node *) node_list;

void hr__node_count(hr_node *node, int64_t rows, int64_t bytes)
{
    atomic_fetch_add_explicit(&node->rows_read, rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&node->bytes_made, bytes, memory_order_relaxed);
}

static hr_status add_once(node_list *list, const hr_node *node, hr_error *err)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == node)
            return HR_OK;
    return HR_VEC_PUSH(list, node, err);
}

static int64_t rows_of_blocks(const hr_node *node)
{
    int64_t rows = 0;
    for (int32_t i = 0; i < node->block_count; i++)
        rows += hr_block_rows(node->blocks[i]);
    return rows;
}

static void add_origin(const hr_node *node, hr_source_stats *to)
{
    int64_t rows = -1, bytes = atomic_load_explicit(&node->bytes_made, memory_order_relaxed);
    if (node->kind == HR_NODE_FILES)
        hr__files_figures(node->files, &rows, &bytes);
    else
        rows = node->kind == HR_NODE_READER ? node->reader->rows : rows_of_blocks(node);
    to->sources++;
    to->rows = to->rows < 0 || rows < 0 ? -1 : to->rows + rows;
    to->rows_read += atomic_load_explicit(&node->rows_read, memory_order_relaxed);
    to->bytes_read += bytes;
}

hr_status hr_dataset_get_source_stats(const hr_dataset *dataset, hr_source_stats *out,
                                      size_t out_bytes, hr_error *err)
{
    hr_source_stats stats = {0};
    node_list nodes = {0};
    hr_status status;
    HR_GO(add_once(&nodes, dataset->node, err));
    for (size_t i = 0; i < nodes.count; i++) {
        const hr_node *node = nodes.items[i];
        if (node->input_count == 0 && node->kind != HR_NODE_SERIES)
            add_origin(node, &stats);
        for (int32_t k = 0; k < node->input_count; k++)
            HR_GO(add_once(&nodes, node->inputs[k]->node, err));
    }
    hr__stats_copy(out, out_bytes, &stats, sizeof stats);
out:
    HR_VEC_FINISH(&nodes);
    return status;
}
