// SPDX-License-Identifier: Apache-2.0
// Programs: a chain frozen, with everything that readers and workers ask of it worked out once. Immutable,
// atomically counted.
#include "expr/expr_program.h"
#include "expr/expr_run.h"

#include <stdatomic.h>
#include <string.h>

static void program_free(hr_program *p)
{
    for (int32_t i = 0; i < p->output_count; i++) {
        if (p->outputs)
            hr__free(p->outputs[i].name);
        if (p->each)
            hr__plan_release(&p->each[i]);
    }
    for (int32_t i = 0; i < p->group_count; i++)
        hr__plan_release(&p->groups[i]);
    hr__plan_release(&p->filter);
    hr__free(p->outputs);
    hr__free(p->each);
    hr__free(p->groups);
    hr__free(p->sources);
    hr__free(p->source_in_predicate);
    hr__free(p->in_place);
    HR_VEC_FINISH(&p->conjuncts);
    hr__graph_close(&p->graph);
    hr_schema_unref(&p->schema);
    hr__free(p);
}

hr_program *hr__program_ref(const hr_program *program)
{
    hr_program *p = (hr_program *)program;
    // Relaxed: whoever copies a reference already sees the object.
    if (p)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void hr__program_unref(hr_program **program)
{
    hr_program *p = program ? *program : NULL;
    if (!p)
        return;
    *program = NULL;
    // Acquire-release: the last holder must see everything the others did before it frees.
    if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
        program_free(p);
}

static bool is_computed(const hr_program *p, int32_t output)
{
    return hr__graph_node(&p->graph, p->outputs[output].node)->op != HR_NODE_COLUMN;
}

static hr_status find_sources(hr_program *p, hr_error *err)
{
    int32_t columns = hr_schema_count(p->graph.source), *nodes = NULL;
    bool *needed = NULL, *in_predicate = NULL;
    hr_status status;
    HR_GO(hr__alloc_zero((size_t)columns + 1, sizeof *needed, &needed, err));
    HR_GO(hr__alloc_zero((size_t)columns + 1, sizeof *in_predicate, &in_predicate, err));
    HR_GO(hr__alloc_zero((size_t)p->output_count + 1, sizeof *nodes, &nodes, err));
    HR_GO(hr__alloc_zero((size_t)columns + 1, sizeof *p->sources, &p->sources, err));
    HR_GO(hr__alloc_zero((size_t)columns + 1, sizeof *p->source_in_predicate,
                         &p->source_in_predicate, err));
    for (int32_t i = 0; i < p->output_count; i++)
        nodes[i] = p->outputs[i].node;
    HR_GO(hr__graph_sources(&p->graph, nodes, p->output_count, needed, err));
    if (p->predicate >= 0)
        HR_GO(hr__graph_sources(&p->graph, &p->predicate, 1, in_predicate, err));
    for (int32_t c = 0; c < columns; c++) {
        if (!needed[c] && !in_predicate[c])
            continue;
        p->source_in_predicate[p->source_count] = in_predicate[c];
        p->sources[p->source_count++] = c;
    }
out:
    hr__free(nodes);
    hr__free(needed);
    hr__free(in_predicate);
    return status;
}

// Whether the values of column `c` have the size and place of the output's.
static bool fits_in_place(const hr_program *p, int32_t c, const hr_node *n)
{
    const hr_type *type = hr_schema_field(p->graph.source, c)->type;
    hr_class cls = hr__type_class(type);
    return (cls == HR_CLASS_NUMBER || cls == HR_CLASS_TIME) &&
           (type->id == HR_TYPE_TENSOR) == n->is_tensor &&
           hr__type_row_values(type) == n->row_values &&
           hr__type_value_bytes(type) == (int32_t)hr__num_bytes(n->num);
}

// An output may take the memory of a source column that no other output reads; of several, the one of its own name.
static hr_status find_in_place(hr_program *p, hr_error *err)
{
    int32_t columns = hr_schema_count(p->graph.source);
    int32_t *readers = NULL;
    bool *reads = NULL;
    hr_status status;
    HR_GO(hr__alloc_zero((size_t)columns + 1, sizeof *readers, &readers, err));
    HR_GO(hr__alloc_zero((size_t)columns + 1, sizeof *reads, &reads, err));
    HR_GO(hr__alloc_zero((size_t)p->output_count + 1, sizeof *p->in_place, &p->in_place, err));
    for (int pass = 0; pass < 2; pass++)
        for (int32_t o = 0; o < p->output_count; o++) {
            const hr_node *n = hr__graph_node(&p->graph, p->outputs[o].node);
            bool number = (n->cls == HR_CLASS_NUMBER || n->cls == HR_CLASS_TIME) &&
                          n->op != HR_NODE_PACK && n->op != HR_NODE_COLUMN;
            memset(reads, 0, (size_t)columns);
            HR_GO(hr__graph_sources(&p->graph, &p->outputs[o].node, 1, reads, err));
            int32_t best = -1;
            for (int32_t c = 0; c < columns; c++) {
                if (pass == 0)
                    readers[c] += reads[c];
                else if (number && reads[c] && readers[c] == 1 && fits_in_place(p, c, n) &&
                         (best < 0 || strcmp(hr_schema_field(p->graph.source, c)->name,
                                             p->outputs[o].name) == 0))
                    best = c;
            }
            p->in_place[o] = best;
        }
out:
    hr__free(readers);
    hr__free(reads);
    return status;
}

// The outputs that can be computed in one walk: of one shape; packs apart.
static int64_t group_of(const hr_program *p, int32_t output)
{
    const hr_node *n = hr__graph_node(&p->graph, p->outputs[output].node);
    if (n->op == HR_NODE_PACK)
        return -1 - output;
    return n->is_tensor ? n->row_values : 0;
}

static hr_status make_plans(hr_program *p, hr_error *err)
{
    int32_t *nodes = NULL, *outputs = NULL;
    bool *done = NULL;
    hr_status status = HR_OK;
    size_t room = (size_t)p->output_count + 1;
    HR_GO(hr__alloc_zero(room, sizeof *nodes, &nodes, err));
    HR_GO(hr__alloc_zero(room, sizeof *outputs, &outputs, err));
    HR_GO(hr__alloc_zero(room, sizeof *done, &done, err));
    HR_GO(hr__alloc_zero(room, sizeof *p->each, &p->each, err));
    HR_GO(hr__alloc_zero(room, sizeof *p->groups, &p->groups, err));
    if (p->predicate >= 0)
        HR_GO(hr__plan_make(&p->graph, &p->predicate, NULL, 1, &p->filter, err));
    for (int32_t i = 0; i < p->output_count; i++)
        if (is_computed(p, i))
            HR_GO(hr__plan_make(&p->graph, &p->outputs[i].node, &i, 1, &p->each[i], err));
    for (int32_t i = 0; i < p->output_count; i++) {
        int32_t count = 0;
        if (done[i] || !is_computed(p, i))
            continue; // one that passes through must not take the others of its shape with it
        for (int32_t j = i; j < p->output_count; j++) {
            if (done[j] || !is_computed(p, j) || group_of(p, j) != group_of(p, i))
                continue;
            nodes[count] = p->outputs[j].node;
            outputs[count++] = j;
            done[j] = true;
        }
        HR_GO(hr__plan_make(&p->graph, nodes, outputs, count, &p->groups[p->group_count], err));
        p->group_count++;
    }
out:
    hr__free(nodes);
    hr__free(outputs);
    hr__free(done);
    return status;
}

hr_status hr__chain_finish(const hr_chain *chain, hr_program **out, hr_error *err)
{
    hr_program *p;
    hr_status status;
    int32_t count = (int32_t)chain->outputs.count;
    HR_TRY(hr__alloc_zero(1, sizeof *p, &p, err));
    atomic_init(&p->refs, 1);
    p->predicate = chain->predicate;
    if (!hr__chain_schema(chain))
        HR_GO(HR_FAIL(err, HR_NOMEM, "no memory for the schema of %d columns", (int)count));
    p->schema = hr_schema_ref(hr__chain_schema(chain));
    HR_GO(hr__graph_clone(&chain->graph, &p->graph, err));
    HR_GO(hr__alloc_zero((size_t)count + 1, sizeof *p->outputs, &p->outputs, err));
    for (; p->output_count < count; p->output_count++) {
        const hr_output *o = &chain->outputs.items[p->output_count];
        p->outputs[p->output_count].node = o->node;
        HR_GO(hr__strdup(o->name, &p->outputs[p->output_count].name, err));
    }
    HR_GO(find_sources(p, err));
    HR_GO(find_in_place(p, err));
    HR_GO(make_plans(p, err));
    HR_GO(hr__program_find_conjuncts(p, err));
    *out = p;
    return HR_OK;
out:
    program_free(p);
    return status;
}

const hr_schema *hr__program_schema(const hr_program *program)
{
    return program->schema;
}

int32_t hr__program_sources(const hr_program *program, const int32_t **indexes_out,
                            const bool **in_predicate_out)
{
    if (indexes_out)
        *indexes_out = program->sources;
    if (in_predicate_out)
        *in_predicate_out = program->source_in_predicate;
    return program->source_count;
}

bool hr__program_has_predicate(const hr_program *program)
{
    return program->predicate >= 0;
}

int32_t hr__program_passthrough(const hr_program *program, int32_t index)
{
    HR_ASSERT(index >= 0 && index < program->output_count);
    const hr_node *n = hr__graph_node(&program->graph, program->outputs[index].node);
    return n->op == HR_NODE_COLUMN ? n->column : -1;
}

int32_t hr__program_in_place(const hr_program *program, int32_t index)
{
    HR_ASSERT(index >= 0 && index < program->output_count);
    return program->in_place[index];
}

int32_t hr__program_conjuncts(const hr_program *program, const hr_conjunct **out)
{
    *out = program->conjuncts.items;
    return (int32_t)program->conjuncts.count;
}

size_t hr__program_scratch_bytes(const hr_program *program)
{
    size_t most = hr__plan_scratch_bytes(&program->filter);
    for (int32_t i = 0; i < program->output_count; i++)
        most = HR_MAX(most, hr__plan_scratch_bytes(&program->each[i]));
    for (int32_t i = 0; i < program->group_count; i++)
        most = HR_MAX(most, hr__plan_scratch_bytes(&program->groups[i]));
    return most;
}
