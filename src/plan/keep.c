// SPDX-License-Identifier: Apache-2.0
// Materialising: the plan runs now, its blocks are kept in the store as a series in plan order. What does not fit
// spills: the store knows from the series what is read last.
#include "plan/plan_internal.h"
#include <stdio.h>
#include <string.h>

typedef struct keeper {
    hr_store *store;
    hr_kept kept;
    size_t capacity_rows, capacity_bytes;
    hr_mutex mutex;
    bool over;        // guards: mutex
    hr_status status; // guards: mutex
    hr_error error;
} keeper;

static hr_status put(void *self, hr_piece *piece, hr_error *err)
{
    keeper *k = self;
    size_t count = k->kept.count;
    if (piece->epoch_end)
        return HR_OK;
    HR_TRY(hr__vec_reserve(&k->kept.rows, count, &k->capacity_rows, 1, sizeof *k->kept.rows, err));
    HR_TRY(
        hr__vec_reserve(&k->kept.bytes, count, &k->capacity_bytes, 1, sizeof *k->kept.bytes, err));
    HR_TRY(hr__store_spill_error(k->store, err));
    HR_TRY(hr__series_add(k->kept.series, piece->object, err)); // takes the reference
    k->kept.rows[count] = piece->rows;
    k->kept.bytes[count] = piece->bytes;
    k->kept.total_rows += piece->rows;
    k->kept.total_bytes += piece->bytes;
    k->kept.count++;
    return HR_OK;
}

static void ended(void *self, hr_status status, const hr_error *err)
{
    keeper *k = self;
    hr__mutex_lock(&k->mutex);
    k->over = true;
    k->status = status;
    k->error = *err;
    hr__mutex_unlock(&k->mutex);
}

static void free_kept(hr_kept *kept)
{
    hr__series_close(&kept->series);
    hr__free(kept->rows);
    hr__free(kept->bytes);
    memset(kept, 0, sizeof *kept);
}

// An object must be whole in memory to be written and read, and several are under way at once.
static int64_t block_bytes_max(hr_runtime *rt)
{
    return (int64_t)hr__runtime_arena_bytes(rt) / (hr_runtime_threads(rt) + 4);
}

static hr_status run(const hr_dataset *dataset, keeper *k, hr_error *err)
{
    hr_runtime *rt = dataset->runtime;
    hr_pipe *pipe = NULL;
    hr_read_flow *read = NULL;
    hr_status status;
    HR_TRY(hr__pipe_lower(dataset, &pipe, err));
    hr_read_config config = {
        .pipe = pipe,
        .place = HR_PLACE_ARENA,
        .epochs = 1,
        .task_bytes_max = block_bytes_max(rt),
        .window_slots = (uint32_t)hr_runtime_threads(rt) + 1,
        .window_bytes = hr__runtime_arena_bytes(rt) / 4,
        .level = 15,
        .stats = dataset->stats,
    };
    hr_piece_sink sink = {.put = put, .ended = ended, .self = k};
    HR_GO(hr__read_open(&config, &sink, &read, err));
    (void)hr__read_wait(read, UINT64_MAX);
    hr__mutex_lock(&k->mutex);
    status = k->status == HR_END ? HR_OK : hr__error_copy(err, &k->error);
    hr__mutex_unlock(&k->mutex);
out:
    hr__read_close(&read);
    hr__pipe_free(&pipe);
    return status;
}

hr_status hr_dataset_materialize(const hr_dataset *dataset, hr_dataset **out, hr_error *err)
{
    keeper k = {.store = hr__runtime_store(dataset->runtime)};
    const hr_schema *schema;
    hr_node *node = NULL;
    char label[512], source[256];
    hr_status status;
    if (dataset->node->kind == HR_NODE_SERIES &&
        (!dataset->chain || hr__chain_is_identity(dataset->chain))) {
        *out = hr_dataset_ref(dataset); // it is
        return HR_OK;
    }
    HR_TRY(hr__runtime_check(dataset->runtime, err));
    hr__mutex_init(&k.mutex);
    HR_GO(hr_dataset_schema(dataset, &schema, err));
    HR_GO(hr__series_open(k.store, &k.kept.series, err));
    HR_GO(run(dataset, &k, err));
    HR_GO(hr__node_make(dataset->runtime, HR_NODE_SERIES, "kept", schema, NULL, 0, &node, err));
    HR_GO(hr__strdup(hr__dataset_source_name(dataset, source, sizeof source), &node->source, err));
    HR_GO(hr__dataset_digest(dataset, &node->digest, err));
    node->kept = k.kept;
    memset(&k.kept, 0, sizeof k.kept);
    (void)snprintf(label, sizeof label, "kept(%.480s)", dataset->label);
    HR_GO(hr__dataset_make(dataset->runtime, hr__node_ref(node), NULL, label, out, err));
    (*out)->before = hr__stage_stats_ref(dataset->stats);
out:
    hr__node_unref(&node);
    free_kept(&k.kept);
    hr__mutex_finish(&k.mutex);
    return status;
}

bool hr_dataset_is_materialized(const hr_dataset *dataset)
{
    return dataset->node->kind == HR_NODE_SERIES;
}
