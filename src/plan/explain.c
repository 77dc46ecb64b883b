// SPDX-License-Identifier: Apache-2.0
// What people ask of a dataset: how many rows and blocks, how it will run, how it ran.
#include "base/text.h"
#include "plan/plan_internal.h"
#include <string.h>

// --- counts ---

static hr_status exact_rows_of_node(const hr_node *n, int64_t *rows, bool *known, hr_error *err)
{
    int64_t below = 0;
    *known = true;
    switch (n->kind) {
    case HR_NODE_FILES:
        HR_TRY(hr__files_open_all(n->files, err));
        for (size_t i = 0; i < hr__files_count(n->files); i++) {
            const hr_fragment_info *infos;
            int32_t count;
            HR_TRY(hr__files_fragments(n->files, i, &infos, &count, err));
            for (int32_t f = 0; f < count; f++)
                *rows += infos[f].rows;
        }
        return HR_OK;
    case HR_NODE_READER:
        *rows = n->reader->rows;
        return HR_OK;
    case HR_NODE_BLOCKS:
        for (int32_t i = 0; i < n->block_count; i++)
            *rows += hr_block_rows(n->blocks[i]);
        return HR_OK;
    case HR_NODE_SERIES:
        *rows = n->kept.total_rows;
        return HR_OK;
    case HR_NODE_FUNCTION:
    case HR_NODE_PROCESS:
    case HR_NODE_SAMPLE:
        *known = false;
        return HR_OK;
    case HR_NODE_UNION:
        for (int32_t i = 0; i < n->input_count && *known; i++) {
            HR_TRY(hr__dataset_exact_rows(n->inputs[i], &below, known, err));
            *rows += below;
        }
        return HR_OK;
    default:
        break;
    }
    HR_TRY(hr__dataset_exact_rows(n->inputs[0], &below, known, err));
    *rows = below;
    if (n->kind == HR_NODE_LIMIT)
        *rows = HR_MIN(below, n->number);
    if (n->kind == HR_NODE_SLICE)
        *rows = HR_MIN(HR_MAX(below - n->index, 0), n->number);
    if (n->kind == HR_NODE_SPLIT && n->equal)
        *rows = below / n->number;
    if (n->kind == HR_NODE_SPLIT && !n->equal)
        *known = false; // by blocks: told by walking them
    return HR_OK;
}

hr_status hr__dataset_exact_rows(const hr_dataset *dataset, int64_t *rows_out, bool *known_out,
                                 hr_error *err)
{
    int64_t rows = 0;
    bool known = true, filtered = false;
    if (dataset->chain && !hr__chain_is_identity(dataset->chain)) {
        hr_program *program = NULL;
        HR_TRY(hr__chain_finish(dataset->chain, &program, err));
        filtered = hr__program_has_predicate(program);
        hr__program_unref(&program);
    }
    if (!filtered)
        HR_TRY(exact_rows_of_node(dataset->node, &rows, &known, err));
    *known_out = known && !filtered;
    *rows_out = rows;
    return HR_OK;
}

static hr_status count_step(void *context, void *state, const hr_block *block, hr_error *err)
{
    *(int64_t *)state += hr_block_rows(block);
    return HR_OK;
}

static hr_status count_fold(void *context, void *total, const void *state, hr_error *err)
{
    *(int64_t *)total += *(const int64_t *)state;
    return HR_OK;
}

// Walks the units where their rows are exact; runs the plan over its narrowest column where they are not.
static hr_status count_by_run(const hr_dataset *dataset, int64_t *rows_out, hr_error *err)
{
    static const hr_reduce reduce = {"count", sizeof(int64_t), count_step, count_fold};
    const hr_schema *schema;
    const char *names[2] = {NULL, NULL};
    int64_t least = INT64_MAX;
    HR_TRY(hr_dataset_schema(dataset, &schema, err));
    for (int32_t i = 0; i < hr_schema_count(schema); i++) {
        const hr_field *f = hr_schema_field(schema, i);
        int64_t bytes = hr_type_row_bytes(f->type);
        if (f->type->id == HR_TYPE_BOOL)
            bytes = 1;
        if (names[0] && (bytes == 0 || bytes >= least))
            continue;
        names[0] = f->name;
        least = bytes ? bytes : INT64_MAX - 1;
    }
    *rows_out = 0;
    return hr__dataset_reduce(dataset, names, &reduce, NULL, rows_out, err);
}

hr_status hr_dataset_count(const hr_dataset *dataset, int64_t *rows_out, hr_error *err)
{
    bool known;
    int64_t rows;
    HR_TRY(hr__runtime_check(dataset->runtime, err));
    HR_TRY(hr__dataset_exact_rows(dataset, &rows, &known, err));
    if (!known)
        HR_TRY(count_by_run(dataset, &rows, err));
    *rows_out = rows;
    return HR_OK;
}

static hr_status count_units(const hr_dataset *dataset, int64_t *units, int64_t *bytes,
                             hr_error *err)
{
    hr_pipe *pipe = NULL;
    HR_TRY(hr__pipe_lower(dataset, &pipe, err));
    hr_status status = hr__pipe_count_units(pipe, units, bytes, err);
    hr__pipe_free(&pipe);
    return status;
}

hr_status hr_dataset_num_blocks(const hr_dataset *dataset, int64_t *blocks_out, hr_error *err)
{
    int64_t bytes;
    return count_units(dataset, blocks_out, &bytes, err);
}

hr_status hr_dataset_size_bytes(const hr_dataset *dataset, int64_t *bytes_out, hr_error *err)
{
    int64_t units;
    return count_units(dataset, &units, bytes_out, err);
}

// --- explain ---

static void explain_branch(const hr_branch *b, int depth, hr_text *out);

static void explain_pipe(const hr_pipe *p, int depth, hr_text *out)
{
    if (p->kind == HR_PIPE_LEAF) {
        explain_branch(p->branch, depth, out);
        return;
    }
    hr__text_add(out, "%*s", 2 * depth, "");
    if (p->kind == HR_PIPE_CONCAT)
        hr__text_add(out, "one after the other:\n");
    else if (p->kind == HR_PIPE_PERMUTE)
        hr__text_add(out, "blocks in an order of (seed %llu, epoch):\n",
                     (unsigned long long)p->seed);
    else
        hr__text_add(out, "%s %lld to %lld, nothing behind them is read:\n",
                     p->by_units ? "blocks" : "rows", (long long)p->skip,
                     (long long)(p->skip + HR_MAX(p->rows, 0)));
    for (int32_t i = 0; i < p->child_count; i++)
        explain_pipe(p->children[i], depth + 1, out);
}

static void explain_program(const hr_program *program, hr_text *out)
{
    const hr_schema *schema = hr__program_schema(program);
    int32_t same = 0, computed = 0, in_place = 0;
    for (int32_t i = 0; i < hr_schema_count(schema); i++) {
        same += hr__program_passthrough(program, i) >= 0;
        computed += hr__program_passthrough(program, i) < 0;
        in_place += hr__program_in_place(program, i) >= 0;
    }
    hr__text_add(out, "%s%s", hr__program_has_predicate(program) ? "filter, " : "",
                 computed ? "compute " : "keep ");
    if (computed)
        hr__text_add(out, "%d column%s (%d in place), keep ", (int)computed,
                     computed == 1 ? "" : "s", (int)in_place);
    hr__text_add(out, "%d, in C, in pieces that stay in cache\n", (int)same);
}

static void explain_process(const hr_node *node, hr_text *out)
{
    long long replaced = hr__udf_replaced(node->udf);
    hr__text_add(out, "%s, in processes of its own", node->name);
    if (replaced)
        hr__text_add(out, ", %lld of them replaced so far as their memory had grown", replaced);
    hr__text_add(out, "\n");
}

static void explain_branch(const hr_branch *b, int depth, hr_text *out)
{
    hr__text_add(out, "%*s", 2 * depth, "");
    if (b->shuffled) {
        hr__text_add(out, "all rows in an order of (seed %llu, epoch), %s:\n",
                     (unsigned long long)b->shuffle_seed,
                     hr__pipe_is_resident(b->inner)
                         ? "gathered where they lie in memory when all are there"
                         : "written to the store by parts first");
        explain_pipe(b->inner, depth + 1, out);
        if (b->shuffle_program) {
            hr__text_add(out, "%*s-> ", 2 * depth + 2, "");
            explain_program(b->shuffle_program, out);
        }
    } else if (b->inner) {
        if (!b->inner_blocks && b->inner_limit < 0)
            hr__text_add(out, "rows numbered as they come:\n");
        else
            hr__text_add(out,
                         b->inner_blocks ? "cut in %lld blocks of rows:\n"
                                         : "the first %lld rows, run until they are there:\n",
                         (long long)(b->inner_blocks ? b->inner_blocks : b->inner_limit));
        explain_pipe(b->inner, depth + 1, out);
    } else {
        hr__text_add(out, "%s %s", b->origin->name, b->origin->source ? b->origin->source : "");
        if (b->origin->kind == HR_NODE_FILES)
            hr__text_add(out, " (%zu file%s)", hr__files_count(b->origin->files),
                         hr__files_count(b->origin->files) == 1 ? "" : "s");
        if (b->columns)
            hr__text_add(out, ": %d of %d columns", (int)b->column_count,
                         (int)hr_schema_count(b->origin_schema));
        if (b->origin->kind == HR_NODE_FILES)
            hr__text_add(out, ", kept decoded from one epoch to the next where there is room");
        if (b->term_count)
            hr__text_add(out, ", row groups left out by statistics (%d condition%s)",
                         (int)b->term_count, b->term_count == 1 ? "" : "s");
        hr__text_add(out, "\n");
    }
    for (int32_t i = 0; i < b->sample_count; i++)
        hr__text_add(out, "%*s-> a sample of %.6g %% of the rows (seed %llu)%s\n", 2 * depth + 2,
                     "", (double)b->samples[i].below / 0x1p64 * 100,
                     (unsigned long long)b->samples[i].seed,
                     b->samples[i].each_epoch ? ", another one in each epoch" : "");
    for (int32_t i = 0; i < b->stage_count; i++) {
        hr__text_add(out, "%*s-> ", 2 * depth + 2, "");
        if (b->stages[i].kind == HR_STAGE_PROGRAM)
            explain_program(b->stages[i].program, out);
        else if (b->stages[i].kind == HR_STAGE_PROCESS)
            explain_process(b->stages[i].node, out);
        else
            hr__text_add(out, "%s, a C function, on the pool's threads\n", b->stages[i].node->name);
    }
}

hr_status hr_dataset_explain(const hr_dataset *dataset, char **out, hr_error *err)
{
    hr_pipe *pipe = NULL;
    hr_text text;
    char schema[4096];
    HR_TRY(hr__pipe_lower(dataset, &pipe, err));
    hr__text_init(&text, 1 << 20);
    hr__text_add(&text, "%s: one stage, streamed\n", dataset->label);
    explain_pipe(pipe, 1, &text);
    hr__text_add(&text, "gives: %s\n", hr__schema_print(pipe->schema, schema, sizeof schema));
    hr__pipe_free(&pipe);
    hr_status status = hr__text_take(&text, out, err);
    hr__text_finish(&text);
    return status;
}

// A line for each function of the plan whose processes had to be replaced (exec/udf_growth.h).
static void print_replaced(const hr_dataset *dataset, hr_text *out)
{
    const hr_node *node = dataset->node;
    for (int32_t i = 0; i < node->input_count; i++)
        print_replaced(node->inputs[i], out);
    if (node->udf && hr__udf_replaced(node->udf))
        hr__text_add(out, "* %s: processes replaced as their memory had grown: %lld\n", node->name,
                     (long long)hr__udf_replaced(node->udf));
}

hr_status hr_dataset_stats(const hr_dataset *dataset, bool json, char **out, hr_error *err)
{
    hr_text text;
    int index = 1;
    hr__text_init(&text, 1 << 20);
    if (json)
        hr__text_add(&text, "{\"stages\": [");
    if (dataset->before) {
        hr__stage_stats_print(dataset->before, index++, json, &text);
        if (json)
            hr__text_add(&text, ", ");
    }
    hr__stage_stats_print(dataset->stats, index, json, &text);
    if (json)
        hr__text_add(&text, "]}");
    else
        print_replaced(dataset, &text);
    hr_status status = hr__text_take(&text, out, err);
    hr__text_finish(&text);
    return status;
}
