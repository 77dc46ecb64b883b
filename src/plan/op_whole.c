// SPDX-License-Identifier: Apache-2.0
// Operations on whole datasets, and functions of the user: each is a node of its own.
#include "base/option.h"
#include "plan/plan_internal.h"
#include <stdio.h>
#include <string.h>

#define BLOCKS_MAX 100000000 // of repartition: each has a place in a list

#define LABEL_BYTES 512

// Makes a dataset over a new node whose one input is `dataset`. The node's numbers are set by `fill`, when given.
static hr_status over(const hr_dataset *dataset, hr_node_kind kind, const char *name,
                      hr_node **node_out, hr_error *err)
{
    const hr_schema *schema = NULL;
    // A schema that only a run could tell is asked for when it is needed.
    if (dataset->chain)
        schema = hr__chain_schema(dataset->chain);
    else {
        hr__mutex_lock(&dataset->node->mutex);
        schema = dataset->node->schema;
        hr__mutex_unlock(&dataset->node->mutex);
    }
    if (kind == HR_NODE_FUNCTION || kind == HR_NODE_PROCESS)
        schema = NULL;
    return hr__node_make(dataset->runtime, kind, name, schema, &dataset, 1, node_out, err);
}

static hr_status finish(const hr_dataset *dataset, hr_node *node, const char *step,
                        hr_dataset **out, hr_error *err)
{
    char label[LABEL_BYTES];
    (void)snprintf(label, sizeof label, "%s->%s", dataset->label, step);
    return hr__dataset_make(dataset->runtime, node, NULL, label, out, err);
}

hr_status hr_dataset_limit(const hr_dataset *dataset, int64_t rows, hr_dataset **out, hr_error *err)
{
    hr_node *node;
    char name[64];
    if (rows < 0)
        return HR_FAIL(err, HR_INVALID, "limit of %lld rows: it must be 0 or more",
                       (long long)rows);
    (void)snprintf(name, sizeof name, "limit(%lld)", (long long)rows);
    HR_TRY(over(dataset, HR_NODE_LIMIT, name, &node, err));
    node->number = rows;
    return finish(dataset, node, "limit", out, err);
}

hr_status hr_dataset_union(const hr_dataset *const *datasets, int32_t count, hr_dataset **out,
                           hr_error *err)
{
    const hr_schema *first, *other;
    hr_node *node;
    char a[256], b[256];
    if (count < 1)
        return HR_FAIL(err, HR_INVALID, "union of no datasets");
    HR_TRY(hr_dataset_schema(datasets[0], &first, err));
    for (int32_t i = 1; i < count; i++) {
        HR_TRY(hr_dataset_schema(datasets[i], &other, err));
        if (!hr_schema_equal(first, other))
            return HR_FAIL(err, HR_INVALID, "union: dataset %d has the schema (%s), the first (%s)",
                           (int)i, hr__schema_print(other, a, sizeof a),
                           hr__schema_print(first, b, sizeof b));
        if (datasets[i]->runtime != datasets[0]->runtime)
            return HR_FAIL(err, HR_INVALID, "union: dataset %d belongs to another runtime", (int)i);
    }
    HR_TRY(hr__node_make(datasets[0]->runtime, HR_NODE_UNION, "union", first, datasets, count,
                         &node, err));
    return finish(datasets[0], node, "union", out, err);
}

hr_status hr_dataset_repartition(const hr_dataset *dataset, int64_t blocks, hr_dataset **out,
                                 hr_error *err)
{
    hr_node *node;
    char name[64];
    if (blocks < 1 || blocks > BLOCKS_MAX)
        return HR_FAIL(err, HR_INVALID, "repartition in %lld blocks: from 1 to %d",
                       (long long)blocks, BLOCKS_MAX);
    (void)snprintf(name, sizeof name, "repartition(%lld)", (long long)blocks);
    HR_TRY(over(dataset, HR_NODE_REPARTITION, name, &node, err));
    node->number = blocks;
    return finish(dataset, node, "repartition", out, err);
}

hr_status hr_dataset_split(const hr_dataset *dataset, int32_t count, int32_t index, bool equal,
                           hr_dataset **out, hr_error *err)
{
    hr_node *node;
    char name[64];
    if (count < 1 || index < 0 || index >= count)
        return HR_FAIL(err, HR_INVALID,
                       "split %d of %d: the index must be from 0 to the count less one", (int)index,
                       (int)count);
    (void)snprintf(name, sizeof name, "split(%d of %d%s)", (int)index, (int)count,
                   equal ? ", equal" : "");
    HR_TRY(over(dataset, HR_NODE_SPLIT, name, &node, err));
    node->number = count;
    node->index = index;
    node->equal = equal;
    return finish(dataset, node, "split", out, err);
}

hr_status hr_dataset_randomize_block_order(const hr_dataset *dataset, uint64_t seed,
                                           hr_dataset **out, hr_error *err)
{
    hr_node *node;
    char name[64];
    (void)snprintf(name, sizeof name, "randomize_block_order(%llu)", (unsigned long long)seed);
    HR_TRY(over(dataset, HR_NODE_PERMUTE, name, &node, err));
    node->seed = seed;
    return finish(dataset, node, "randomize_block_order", out, err);
}

hr_status hr_dataset_random_shuffle(const hr_dataset *dataset, uint64_t seed, hr_dataset **out,
                                    hr_error *err)
{
    hr_node *node;
    char name[64];
    (void)snprintf(name, sizeof name, "random_shuffle(%llu)", (unsigned long long)seed);
    HR_TRY(over(dataset, HR_NODE_SHUFFLE, name, &node, err));
    node->seed = seed;
    return finish(dataset, node, "random_shuffle", out, err);
}

// --- functions ---

static const hr_option_row function_rows[] = {
    {"name", HR_OPTION_TEXT, offsetof(hr_function_options, name), 0, 0, 0, NULL,
     "for explain and statistics"},
    {"batch_rows", HR_OPTION_INT, offsetof(hr_function_options, batch_rows), 0, 0, 1e12, NULL,
     "rows a call; 0: blocks as they come"},
};
const hr_option_table hr__function_options =
    HR_CALL_OPTION_TABLE("function", hr_function_options, function_rows, NULL);
static const hr_option_row process_rows[] = {
    {"processes", HR_OPTION_INT, offsetof(hr_process_options, processes), 0, 0, 256, NULL,
     "at most; 0: as many as threads", NULL, "concurrency"},
    {"name", HR_OPTION_TEXT, offsetof(hr_process_options, name), 0, 0, 0, NULL,
     "for explain and statistics"},
    {"batch_rows", HR_OPTION_INT, offsetof(hr_process_options, batch_rows), 0, 0, 1e12, NULL,
     "rows a call; 0: blocks as they come", NULL, "batch_size"},
    {"identity", HR_OPTION_TEXT, offsetof(hr_process_options, identity), 0, 0, 0, NULL,
     "what tells the function from others in a position; none: its payload"},
};
const hr_option_table hr__process_options =
    HR_CALL_OPTION_TABLE("process", hr_process_options, process_rows, "Dataset.map_batches");

hr_status hr_dataset_map_blocks(const hr_dataset *dataset, hr_block_function function,
                                void *context, const hr_function_options *options, hr_dataset **out,
                                hr_error *err)
{
    hr_function_options o;
    hr_node *node;
    char name[128];
    HR_TRY(hr__options_resolve(&hr__function_options, options, &o, err));
    (void)snprintf(name, sizeof name, "map_blocks(%.100s)", o.name ? o.name : "function");
    HR_TRY(over(dataset, HR_NODE_FUNCTION, name, &node, err));
    node->schema = o.schema ? hr_schema_ref(o.schema) : NULL;
    node->function = function;
    node->function_context = context;
    node->batch_rows = o.batch_rows;
    hr_status status = finish(dataset, hr__node_ref(node), name, out, err);
    if (status == HR_OK) // on failure the caller still owns its context
        node->function_release = o.release;
    hr__node_unref(&node);
    return status;
}

hr_status hr_dataset_map_process(const hr_dataset *dataset, const hr_process_options *options,
                                 hr_dataset **out, hr_error *err)
{
    hr_process_options o;
    hr_node *node;
    char name[128];
    HR_TRY(hr__options_resolve(&hr__process_options, options, &o, err));
    if (!o.argv || !o.argv[0])
        return HR_FAIL(err, HR_INVALID, "map_process: no program to start (argv)");
    (void)snprintf(name, sizeof name, "map_batches(%.100s)", o.name ? o.name : "function");
    HR_TRY(over(dataset, HR_NODE_PROCESS, name, &node, err));
    node->schema = o.schema ? hr_schema_ref(o.schema) : NULL;
    node->batch_rows = o.batch_rows;
    node->digest = hr__function_digest(o.argv, o.identity ? o.identity : o.payload,
                                       o.identity ? strlen(o.identity) : o.payload_bytes);
    hr_udf_config config = {
        .argv = o.argv,
        .payload = o.payload,
        .payload_bytes = o.payload_bytes,
        .processes_max = (int)(o.processes ? o.processes : hr_runtime_threads(dataset->runtime)),
        .name = name,
    };
    hr_status status = hr__udf_open(dataset->runtime, &config, &node->udf, err);
    if (status != HR_OK) {
        hr__node_unref(&node);
        return status;
    }
    return finish(dataset, node, "map_batches", out, err);
}
