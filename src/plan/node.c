// SPDX-License-Identifier: Apache-2.0
// Nodes: an origin of rows, or an operation on datasets. Immutable but for a function's schema, which is found by
// running it.
#include "plan/plan_internal.h"
#include <stdatomic.h>

hr_status hr__node_make(hr_runtime *runtime, hr_node_kind kind, const char *name,
                        const hr_schema *schema, const hr_dataset *const *inputs,
                        int32_t input_count, hr_node **out, hr_error *err)
{
    hr_node *n = NULL;
    hr_status status = HR_OK;
    HR_TRY(hr__runtime_check(runtime, err));
    HR_TRY(hr__alloc_zero(1, sizeof *n, &n, err));
    n->refs = 1;
    n->kind = kind;
    n->runtime = hr__runtime_ref(runtime);
    hr__mutex_init(&n->mutex);
    n->schema = schema ? hr_schema_ref(schema) : NULL;
    HR_GO(hr__strdup(name, &n->name, err));
    HR_GO(hr__alloc_zero((size_t)HR_MAX(input_count, 1), sizeof *n->inputs, &n->inputs, err));
    for (; n->input_count < input_count; n->input_count++)
        n->inputs[n->input_count] = hr_dataset_ref(inputs[n->input_count]);
    *out = n;
    return HR_OK;
out:
    hr__node_unref(&n);
    return status;
}

hr_node *hr__node_ref(hr_node *node)
{
    atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    return node;
}

static void free_kept(hr_kept *kept)
{
    hr__series_close(&kept->series);
    hr__free(kept->rows);
    hr__free(kept->bytes);
}

void hr__node_unref(hr_node **node)
{
    hr_node *n = *node;
    *node = NULL;
    if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (n->function_release)
        n->function_release(n->function_context);
    hr__udf_close(&n->udf);
    free_kept(&n->kept);
    hr__reader_close(&n->reader);
    hr__files_unref(&n->files);
    for (int32_t i = 0; i < n->block_count; i++)
        hr_block_unref(&n->blocks[i]);
    hr__free(n->blocks);
    for (int32_t i = 0; i < n->input_count; i++)
        hr_dataset_unref(&n->inputs[i]);
    hr__free(n->inputs);
    if (n->kept_input)
        hr_dataset_unref(&n->kept_input);
    hr_schema_unref(&n->schema);
    hr__free(n->name);
    hr__free(n->source);
    hr__mutex_finish(&n->mutex);
    hr__runtime_unref(&n->runtime);
    hr__free(n);
}

// Runs the function on the first rows of its input: what it returns has the schema that all its results must have.
static hr_status find_schema(hr_node *n, hr_schema **out, hr_error *err)
{
    hr_block *in = NULL, *result = NULL;
    hr_status status;
    HR_TRY(hr_dataset_take(n->inputs[0], n->batch_rows ? HR_MIN(n->batch_rows, 1024) : 1024, &in,
                           err));
    HR_GO(hr__function_call(n, in, &result, err));
    *out = hr_schema_ref(hr_block_schema(result));
out:
    if (status != HR_OK)
        hr__error_context(err, "%s on the first rows, to learn its schema", n->name);
    hr_block_unref(&result);
    hr_block_unref(&in);
    return status;
}

hr_status hr__node_schema(hr_node *node, const hr_schema **out, hr_error *err)
{
    hr__mutex_lock(&node->mutex);
    hr_schema *known = node->schema;
    hr__mutex_unlock(&node->mutex);
    if (!known) {
        hr_schema *found = NULL;
        if (node->kind == HR_NODE_FUNCTION || node->kind == HR_NODE_PROCESS) {
            HR_TRY(find_schema(node, &found, err));
        } else { // an operation on datasets whose schema was not known yet
            const hr_schema *of_input;
            HR_TRY(hr_dataset_schema(node->inputs[0], &of_input, err));
            found = hr_schema_ref(of_input);
        }
        hr__mutex_lock(&node->mutex);
        if (!node->schema) {
            node->schema = found;
            found = NULL;
        }
        known = node->schema;
        hr__mutex_unlock(&node->mutex);
        hr_schema_unref(&found);
    }
    *out = known;
    return HR_OK;
}
