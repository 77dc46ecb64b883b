// SPDX-License-Identifier: Apache-2.0
// A dataset becomes a pipe. Row-local steps and functions of the user move down to the leaves, where they are the
// stages of a branch: everything that a row needs runs in one task. What speaks of row numbers (limit, split,
// repartition) stays a node of the tree where rows can be counted without running; else what is below it becomes an
// inner run, whose output is cut.
#include "base/hash.h"
#include "plan/epoch_cache.h"
#include "plan/shuffle.h"
#include <stdatomic.h>
#include <string.h>

// What lies between the leaf and the root, nearest to the leaf first.
typedef struct suffix {
    hr_stage stages[HR_BRANCH_STAGES_MAX];
    int32_t count;
    hr_sample samples[HR_BRANCH_SAMPLES_MAX]; // of what the leaf gives
    int32_t sample_count;
    uint64_t salt; // of the way from the root
} suffix;

static const suffix nothing = {.count = 0};

static hr_status lower(const hr_dataset *dataset, const suffix *above, hr_pipe **out,
                       hr_error *err);
static hr_status lower_node(hr_node *n, const suffix *above, hr_pipe **out, hr_error *err);

static hr_status pipe_make(hr_runtime *rt, hr_pipe_kind kind, int32_t children, hr_pipe **out,
                           hr_error *err)
{
    hr_pipe *p;
    HR_TRY(hr__alloc_zero(1, sizeof *p, &p, err));
    hr_status status =
        hr__alloc_zero((size_t)HR_MAX(children, 1), sizeof *p->children, &p->children, err);
    if (status != HR_OK) {
        hr__free(p);
        return status;
    }
    p->kind = kind;
    p->runtime = rt;
    p->rows = -1;
    *out = p;
    return HR_OK;
}

static void branch_free(hr_branch *b)
{
    if (!b)
        return;
    for (int32_t i = 0; i < b->stage_count; i++) {
        hr__program_unref(&b->stages[i].program);
        hr__node_unref(&b->stages[i].node);
    }
    hr__epoch_cache_close(&b->cache);
    hr__program_unref(&b->shuffle_program);
    hr__pipe_free(&b->inner);
    hr__node_unref(&b->origin);
    hr_schema_unref(&b->origin_schema);
    hr__free(b->columns);
    hr__free(b->terms);
    hr__free(b);
}

void hr__pipe_free(hr_pipe **pipe)
{
    hr_pipe *p = *pipe;
    *pipe = NULL;
    if (!p)
        return;
    for (int32_t i = 0; i < p->child_count; i++)
        hr__pipe_free(&p->children[i]);
    hr__free(p->children);
    branch_free(p->branch);
    hr_schema_unref(&p->schema);
    hr__free(p);
}

bool hr__pipe_row_exact(const hr_pipe *pipe)
{
    if (pipe->kind == HR_PIPE_LEAF)
        return pipe->branch->row_exact && (!pipe->branch->inner || pipe->branch->inner_rows);
    for (int32_t i = 0; i < pipe->child_count; i++)
        if (!hr__pipe_row_exact(pipe->children[i]))
            return false;
    return true;
}

bool hr__pipe_has_function(const hr_pipe *pipe)
{
    for (int32_t i = 0; pipe->branch && i < pipe->branch->stage_count; i++)
        if (pipe->branch->stages[i].kind != HR_STAGE_PROGRAM)
            return true;
    for (int32_t i = 0; i < pipe->child_count; i++)
        if (hr__pipe_has_function(pipe->children[i]))
            return true;
    return false;
}

// Whether a function's calls would be others in smaller tasks: only one that is called for so many rows as they are
// read does not notice.
static bool has_calls(const hr_branch *b)
{
    int32_t functions = 0;
    bool exact = !b->sample_count;
    for (int32_t i = 0; i < b->stage_count; i++) {
        const hr_stage *stage = &b->stages[i];
        if (stage->kind == HR_STAGE_PROGRAM)
            exact &= functions > 0 || !hr__program_has_predicate(stage->program);
        else if (functions++ > 0 || !stage->node->batch_rows || !exact)
            return true;
    }
    return false;
}

bool hr__pipe_has_calls(const hr_pipe *pipe)
{
    if (pipe->branch && has_calls(pipe->branch))
        return true;
    for (int32_t i = 0; i < pipe->child_count; i++)
        if (hr__pipe_has_calls(pipe->children[i]))
            return true;
    return false;
}

bool hr__pipe_has_inner(const hr_pipe *p)
{
    if (p->branch && p->branch->inner)
        return true;
    for (int32_t i = 0; i < p->child_count; i++)
        if (hr__pipe_has_inner(p->children[i]))
            return true;
    return false;
}

void hr__pipe_set_busy(hr_pipe *p, hr_busy *busy)
{
    if (p->branch && p->branch->inner) {
        p->branch->busy = busy;
        hr__pipe_set_busy(p->branch->inner, busy);
    }
    for (int32_t i = 0; i < p->child_count; i++)
        hr__pipe_set_busy(p->children[i], busy);
}

// --- leaves ---

static bool is_reader(const hr_node *n)
{
    return n->kind == HR_NODE_FILES || n->kind == HR_NODE_READER;
}

static hr_status add_identity(hr_branch *b, hr_error *err)
{
    hr_chain *chain = NULL;
    hr_stage stage = {.kind = HR_STAGE_PROGRAM};
    if (b->stage_count == HR_BRANCH_STAGES_MAX)
        return HR_FAIL(err, HR_LIMIT, "a plan of more than %d functions and maps in turn",
                       HR_BRANCH_STAGES_MAX);
    HR_TRY(hr__chain_open(b->origin_schema, &chain, err));
    hr_status status = hr__chain_finish(chain, &stage.program, err);
    hr__chain_close(&chain);
    HR_TRY(status);
    memmove(b->stages + 1, b->stages, (size_t)b->stage_count * sizeof *b->stages);
    b->stages[0] = stage;
    b->stage_count++;
    return HR_OK;
}

static hr_status note_reads(hr_branch *b, hr_error *err)
{
    const int32_t *sources;
    const bool *in_predicate;
    const hr_conjunct *conjuncts;
    hr_program *program = b->stages[0].program;
    int32_t count = hr__program_sources(program, &sources, &in_predicate);
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(count, 1), sizeof *b->columns, &b->columns, err));
    if (count)
        memcpy(b->columns, sources, (size_t)count * sizeof *sources);
    b->column_count = count;
    int32_t terms = hr__program_conjuncts(program, &conjuncts);
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(terms, 1), sizeof *b->terms, &b->terms, err));
    for (int32_t i = 0; i < terms; i++)
        b->terms[i] = (hr_predicate_term){
            .column = conjuncts[i].column,
            .op = (hr_compare_op)conjuncts[i].compare,
            .literal_id = conjuncts[i].literal.id,
            .i = conjuncts[i].literal.i,
            .f = conjuncts[i].literal.f,
            .text = conjuncts[i].literal.text,
        };
    b->term_count = terms;
    return HR_OK;
}

static hr_status make_leaf(hr_runtime *rt, hr_node *origin, const hr_schema *schema,
                           const suffix *above, hr_pipe **out, hr_error *err)
{
    hr_pipe *leaf = NULL;
    hr_branch *b = NULL;
    hr_status status;
    HR_TRY(pipe_make(rt, HR_PIPE_LEAF, 0, &leaf, err));
    HR_GO(hr__alloc_zero(1, sizeof *b, &b, err));
    leaf->branch = b;
    b->origin = origin ? hr__node_ref(origin) : NULL;
    b->origin_schema = hr_schema_ref(schema);
    b->row_exact = true;
    b->inner_limit = -1;
    for (int32_t i = 0; i < above->count; i++) {
        const hr_stage *s = &above->stages[i];
        b->stages[b->stage_count++] = (hr_stage){
            .kind = s->kind,
            .program = s->program ? hr__program_ref(s->program) : NULL,
            .node = s->node ? hr__node_ref(s->node) : NULL,
        };
        b->has_function |= s->kind != HR_STAGE_PROGRAM;
        if (s->kind != HR_STAGE_PROGRAM || hr__program_has_predicate(s->program))
            b->row_exact = false;
        if (s->node && s->node->batch_rows)
            b->function_rows = HR_MAX(b->function_rows, s->node->batch_rows);
    }
    const hr_stage *last =
        b->stage_count && !b->has_function ? &b->stages[b->stage_count - 1] : NULL;
    const hr_schema *made = last ? hr__program_schema(last->program) : NULL;
    for (int32_t i = 0; made && i < hr_schema_count(made); i++)
        b->made_row_bytes += hr_type_row_bytes(hr_schema_field(made, i)->type);
    b->salt = above->salt;
    b->sample_count = above->sample_count;
    memcpy(b->samples, above->samples, sizeof b->samples);
    if (b->sample_count) {
        b->row_exact = false;
        if (b->stage_count == 0 || b->stages[0].kind != HR_STAGE_PROGRAM)
            HR_GO(add_identity(b, err));
    }
    if (origin && is_reader(origin)) {
        if (b->stage_count == 0 || b->stages[0].kind != HR_STAGE_PROGRAM)
            HR_GO(add_identity(b, err));
        HR_GO(note_reads(b, err));
    }
    *out = leaf;
    return HR_OK;
out:
    hr__pipe_free(&leaf);
    return status;
}

// --- what is above a node: its chain, then what was above the dataset ---

static hr_status extend(const hr_stage *stage, const suffix *above, suffix *to, hr_error *err)
{
    int32_t at = 0;
    if (above->count + (stage ? 1 : 0) > HR_BRANCH_STAGES_MAX - 1)
        return HR_FAIL(err, HR_LIMIT, "a plan of more than %d functions and maps in turn",
                       HR_BRANCH_STAGES_MAX - 1);
    if (stage)
        to->stages[at++] = *stage;
    memcpy(to->stages + at, above->stages, (size_t)above->count * sizeof *above->stages);
    to->count = at + above->count;
    to->salt = above->salt;
    to->sample_count = above->sample_count;
    memcpy(to->samples, above->samples, sizeof to->samples);
    return HR_OK;
}

// Takes `inner`, whose output is the leaf's input.
static void give_inner(hr_pipe *leaf, hr_pipe **inner, const hr_schema *schema)
{
    (*inner)->schema = hr_schema_ref(schema);
    leaf->branch->inner = *inner;
    *inner = NULL;
}

static hr_status lower_inner(const hr_dataset *input, const suffix *above, int64_t limit,
                             int64_t blocks, hr_pipe **out, hr_error *err)
{
    const hr_schema *schema;
    hr_pipe *inner = NULL, *leaf = NULL;
    hr_status status;
    HR_TRY(hr_dataset_schema(input, &schema, err));
    HR_TRY(lower(input, &nothing, &inner, err));
    HR_GO(make_leaf(input->runtime, NULL, schema, above, &leaf, err));
    give_inner(leaf, &inner, schema);
    leaf->branch->inner_limit = limit;
    if (blocks) {
        bool known;
        HR_GO(hr__dataset_exact_rows(input, &leaf->branch->inner_rows, &known, err));
        HR_ASSERT(known);
        leaf->branch->inner_blocks = blocks;
    }
    *out = leaf;
    leaf = NULL;
out:
    hr__pipe_free(&leaf);
    hr__pipe_free(&inner);
    return status;
}

static hr_status wrap(hr_runtime *rt, hr_pipe_kind kind, hr_pipe *child, hr_pipe **out,
                      hr_error *err)
{
    hr_status status = pipe_make(rt, kind, 1, out, err);
    if (status != HR_OK) {
        hr__pipe_free(&child);
        return status;
    }
    (*out)->children[0] = child;
    (*out)->child_count = 1;
    return HR_OK;
}

// Whether `asks` holds of the dataset's pipe, with nothing above it; remembered in `said`, as it never changes.
static hr_status ask(const hr_dataset *dataset, bool (*asks)(const hr_pipe *pipe),
                     _Atomic uint8_t *said, bool *answer_out, hr_error *err)
{
    enum { NO = 1, YES };
    hr_pipe *pipe = NULL;
    // Relaxed, both: every thread finds the same.
    uint8_t known = atomic_load_explicit(said, memory_order_relaxed);
    if (known) {
        *answer_out = known == YES;
        return HR_OK;
    }
    HR_TRY(lower(dataset, &nothing, &pipe, err));
    *answer_out = asks(pipe);
    hr__pipe_free(&pipe);
    atomic_store_explicit(said, *answer_out ? YES : NO, memory_order_relaxed);
    return HR_OK;
}

static hr_status ask_exact(hr_dataset *dataset, bool *answer_out, hr_error *err)
{
    return ask(dataset, hr__pipe_row_exact, &dataset->row_exact, answer_out, err);
}

// Rows [skip, skip + rows) of a dataset whose rows can be counted.
static hr_status lower_rows(const hr_dataset *input, const suffix *above, int64_t skip,
                            int64_t rows, hr_pipe **out, hr_error *err)
{
    hr_pipe *child = NULL;
    HR_TRY(lower(input, above, &child, err));
    HR_TRY(wrap(input->runtime, HR_PIPE_SLICE, child, out, err));
    (*out)->skip = skip;
    (*out)->rows = rows;
    return HR_OK;
}

static hr_status lower_limit(const hr_node *n, const suffix *above, hr_pipe **out, hr_error *err)
{
    bool exact;
    HR_TRY(ask_exact(n->inputs[0], &exact, err));
    return exact ? lower_rows(n->inputs[0], above, 0, n->number, out, err)
                 : lower_inner(n->inputs[0], above, n->number, 0, out, err);
}

static hr_status lower_slice(const hr_node *n, const suffix *above, hr_pipe **out, hr_error *err)
{
    bool exact;
    HR_TRY(ask_exact(n->inputs[0], &exact, err));
    if (!exact)
        return HR_FAIL(err, HR_INVALID,
                       "a split at rows needs row counts, which a filter or function makes "
                       "unknown: materialize the dataset first");
    return lower_rows(n->inputs[0], above, n->index, n->number, out, err);
}

static hr_status lower_split(const hr_node *n, const suffix *above, hr_pipe **out, hr_error *err)
{
    hr_pipe *child = NULL;
    int64_t rows = 0, units = 0, bytes = 0;
    bool known = false;
    HR_TRY(lower(n->inputs[0], above, &child, err));
    hr_status status = n->equal ? hr__dataset_exact_rows(n->inputs[0], &rows, &known, err)
                                : hr__pipe_count_units(child, &units, &bytes, err);
    if (status == HR_OK && n->equal && !known)
        status = HR_FAIL(err, HR_INVALID,
                         "an equal split needs row counts, which a filter or function makes "
                         "unknown: materialize the dataset first");
    if (status != HR_OK) {
        hr__pipe_free(&child);
        return status;
    }
    HR_TRY(wrap(n->runtime, HR_PIPE_SLICE, child, out, err));
    if (n->equal) {
        (*out)->rows = rows / n->number;
        (*out)->skip = n->index * (rows / n->number);
    } else { // the first units % count parts have one more
        int64_t each = units / n->number, more = units % n->number;
        (*out)->by_units = true;
        // The last part ends where the units do: how many an inner run makes is an estimate.
        (*out)->rows = n->index + 1 < n->number ? each + (n->index < more) : -1;
        (*out)->skip = n->index * each + HR_MIN(n->index, more);
    }
    return HR_OK;
}

static hr_status lower_union(const hr_node *n, const suffix *above, hr_pipe **out, hr_error *err)
{
    hr_pipe *p = NULL;
    HR_TRY(pipe_make(n->runtime, HR_PIPE_CONCAT, n->input_count, &p, err));
    suffix part = *above;
    for (int32_t i = 0; i < n->input_count; i++) {
        part.salt = hr__hash64(&(int64_t){i}, sizeof(int64_t), above->salt);
        hr_status status = lower(n->inputs[i], &part, &p->children[i], err);
        if (status != HR_OK) {
            hr__pipe_free(&p);
            return status;
        }
        p->child_count++;
    }
    *out = p;
    return HR_OK;
}

// The node's input, run and kept as long as the node is there. Two that come at once both run it, and one result stays.
static hr_status keep_input(hr_node *n, hr_dataset **out, hr_error *err)
{
    hr_dataset *kept = NULL;
    hr__mutex_lock(&n->mutex);
    *out = n->kept_input ? hr_dataset_ref(n->kept_input) : NULL;
    hr__mutex_unlock(&n->mutex);
    if (*out)
        return HR_OK;
    HR_TRY(hr_dataset_materialize(n->inputs[0], &kept, err));
    hr__mutex_lock(&n->mutex);
    if (!n->kept_input)
        n->kept_input = hr_dataset_ref(kept);
    *out = hr_dataset_ref(n->kept_input);
    hr__mutex_unlock(&n->mutex);
    hr_dataset_unref(&kept);
    return HR_OK;
}

static hr_status lower_repartition(hr_node *n, const suffix *above, hr_pipe **out, hr_error *err)
{
    int64_t rows;
    bool known;
    hr_dataset *kept = NULL;
    HR_TRY(hr__dataset_exact_rows(n->inputs[0], &rows, &known, err));
    if (known)
        return lower_inner(n->inputs[0], above, -1, n->number, out, err);
    // Only a run can tell how many rows there are: it is kept, so that it is the only one.
    HR_TRY(keep_input(n, &kept, err));
    hr_status status = lower_inner(kept, above, -1, n->number, out, err);
    hr_dataset_unref(&kept);
    return status;
}

static hr_status lower_permute(const hr_node *n, const suffix *above, hr_pipe **out, hr_error *err)
{
    hr_pipe *child = NULL;
    HR_TRY(lower(n->inputs[0], above, &child, err));
    if (hr__pipe_has_inner(child)) {
        // A permutation needs all units before the first: those that are made by running are kept, and may spill.
        hr_dataset *kept = NULL;
        hr__pipe_free(&child);
        HR_TRY(hr_dataset_materialize(n->inputs[0], &kept, err));
        hr_status status = lower(kept, above, &child, err);
        hr_dataset_unref(&kept);
        HR_TRY(status);
    }
    HR_TRY(wrap(n->runtime, HR_PIPE_PERMUTE, child, out, err));
    (*out)->seed = n->seed;
    return HR_OK;
}

// Rows that lie in memory are shuffled as they are, and what is done to them comes after. *inner_out NULL: they do not.
static hr_status lower_resident(const hr_dataset *input, hr_branch *leaf, hr_pipe **inner_out,
                                hr_error *err)
{
    hr_program *program = NULL;
    hr_pipe *inner = NULL;
    hr_status status = HR_OK;
    if (!input->chain || hr__chain_is_identity(input->chain))
        return HR_OK; // nothing is done to them
    HR_TRY(hr__chain_finish(input->chain, &program, err));
    if (!hr__program_has_predicate(program)) {
        HR_GO(lower_node(input->node, &nothing, &inner, err));
        if (hr__pipe_is_resident(inner)) {
            leaf->shuffle_program = hr__program_ref(program);
            *inner_out = inner;
            inner = NULL;
        }
    }
out:
    hr__pipe_free(&inner);
    hr__program_unref(&program);
    return status;
}

static hr_status lower_shuffle(const hr_node *n, const suffix *above, hr_pipe **out, hr_error *err)
{
    const hr_dataset *input = n->inputs[0];
    const hr_schema *schema;
    hr_pipe *leaf = NULL, *inner = NULL;
    bool known;
    hr_status status;
    suffix below = {.salt = above->salt, .sample_count = above->sample_count}, rest = *above;
    memcpy(below.samples, above->samples, sizeof below.samples);
    rest.sample_count = 0; // samples are taken below, where rows have numbers
    HR_TRY(hr_dataset_schema(input, &schema, err));
    HR_TRY(make_leaf(n->runtime, NULL, schema, &rest, &leaf, err));
    if (!below.sample_count)
        HR_GO(lower_resident(input, leaf->branch, &inner, err));
    if (inner)
        HR_GO(hr__node_schema(input->node, &schema, err));
    else
        HR_GO(lower(input, &below, &inner, err));
    give_inner(leaf, &inner, schema);
    leaf->branch->shuffled = true;
    leaf->branch->shuffle_seed = n->seed;
    HR_GO(hr__dataset_exact_rows(input, &leaf->branch->inner_rows, &known, err));
    if (!known || below.sample_count)
        leaf->branch->inner_rows = 0;
    // Functions' input and positions must not depend on memory: how rows are cut is settled by the plan.
    leaf->branch->unit_rows = hr__shuffle_unit_rows(hr__pipe_row_bytes(leaf->branch->inner),
                                                    leaf->branch->function_rows, UINT64_MAX);
    *out = leaf;
    leaf = NULL;
out:
    hr__pipe_free(&inner);
    hr__pipe_free(&leaf);
    return status;
}

static hr_status lower_sample(const hr_node *n, const suffix *above, hr_pipe **out, hr_error *err)
{
    bool has_function;
    suffix more = *above;
    if (more.sample_count == HR_BRANCH_SAMPLES_MAX)
        return HR_FAIL(err, HR_LIMIT, "a plan of more than %d samples in turn",
                       HR_BRANCH_SAMPLES_MAX);
    more.samples[more.sample_count++] = (hr_sample){n->seed, n->below, n->equal};
    HR_TRY(
        ask(n->inputs[0], hr__pipe_has_function, &n->inputs[0]->has_function, &has_function, err));
    return has_function ? lower_inner(n->inputs[0], &more, -1, 0, out, err)
                        : lower(n->inputs[0], &more, out, err);
}

static hr_status lower_node(hr_node *n, const suffix *above, hr_pipe **out, hr_error *err)
{
    suffix more;
    switch (n->kind) {
    case HR_NODE_FILES:
    case HR_NODE_READER:
    case HR_NODE_BLOCKS:
    case HR_NODE_SERIES:
        return make_leaf(n->runtime, n, n->schema, above, out, err);
    case HR_NODE_FUNCTION:
    case HR_NODE_PROCESS: {
        // Learned now: threads of the pool that waited for a run of their own would wait for each other.
        const hr_schema *schema;
        HR_TRY(hr__node_schema(n, &schema, err));
        hr_stage stage = {
            .kind = n->kind == HR_NODE_FUNCTION ? HR_STAGE_FUNCTION : HR_STAGE_PROCESS, .node = n};
        HR_TRY(extend(&stage, above, &more, err));
        return lower(n->inputs[0], &more, out, err);
    }
    case HR_NODE_LIMIT:
        return lower_limit(n, above, out, err);
    case HR_NODE_UNION:
        return lower_union(n, above, out, err);
    case HR_NODE_REPARTITION:
        return lower_repartition(n, above, out, err);
    case HR_NODE_SPLIT:
        return lower_split(n, above, out, err);
    case HR_NODE_PERMUTE:
        return lower_permute(n, above, out, err);
    case HR_NODE_SAMPLE:
        return lower_sample(n, above, out, err);
    case HR_NODE_SLICE:
        return lower_slice(n, above, out, err);
    case HR_NODE_SHUFFLE:
        return lower_shuffle(n, above, out, err);
    }
    HR_ASSERT(!"a node of no kind");
    return HR_INVALID;
}

// Depth is bounded by what a user chained by hand; operations that could make it long (row-local ones) are one chain.
static hr_status lower(const hr_dataset *dataset, const suffix *above, hr_pipe **out, hr_error *err)
{
    hr_stage stage = {.kind = HR_STAGE_PROGRAM};
    suffix more;
    bool identity = !dataset->chain || hr__chain_is_identity(dataset->chain);
    if (!identity)
        HR_TRY(hr__chain_finish(dataset->chain, &stage.program, err));
    hr_status status = extend(identity ? NULL : &stage, above, &more, err);
    if (status == HR_OK)
        status = lower_node(dataset->node, &more, out, err);
    hr__program_unref(&stage.program);
    return status;
}

hr_status hr__pipe_lower(const hr_dataset *dataset, hr_pipe **out, hr_error *err)
{
    const hr_schema *schema;
    HR_TRY(hr__runtime_check(dataset->runtime, err));
    HR_TRY(hr_dataset_schema(dataset, &schema, err));
    HR_TRY(lower(dataset, &nothing, out, err));
    (*out)->schema = hr_schema_ref(schema);
    return HR_OK;
}
