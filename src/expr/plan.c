// SPDX-License-Identifier: Apache-2.0
// Plans: which nodes are run for some outputs, in which order, and where their values lie meanwhile.
//
// Buffers are handed out like registers: a step takes one for its result and gives back those whose last reader it is.
// They all have the size of the widest value times the values of a chunk. TEMP_BYTES is the size of one, so that an
// operation's operands stay in the first-level cache; LIVE_BYTES that of all that may be in use at once, so that the
// whole walk stays in the second-level one. Measured over 50 to 100 MB on Zen 1 (32 KiB and 512 KiB of cache): 8 and
// 16 KiB are alike, 4 KiB pays for calls (a third more time), 32 KiB for misses (a tenth).
#include "expr/expr_program.h"
#include "expr/expr_run.h"

#include <stdlib.h>
#include <string.h>

#define TEMP_BYTES (16 << 10)
#define LIVE_BYTES (192 << 10)
#define PACK_BYTES (64 << 10) // of packed rows in a chunk

typedef HR_VEC(int32_t) hr_indexes;

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

// Whether a node computes from the null bits of its argument alone.
static bool reads_values(const hr_graph *g, const hr_node *reader)
{
    return reader->op != HR_NODE_IS_NULL && !hr__text_by_code(g->nodes.items, reader);
}

static hr_status visit(hr_map *seen, hr_indexes *found, int32_t node, hr_error *err)
{
    if (hr__map_get(seen, &node, sizeof node, NULL))
        return HR_OK;
    HR_TRY(hr__map_put(seen, &node, sizeof node, 0, err));
    return HR_VEC_PUSH(found, node, err);
}

// All nodes that `nodes` need, ascending: arguments come before what uses them. `seen` tells their places.
static hr_status collect(const hr_graph *g, const int32_t *nodes, int32_t count, hr_map *seen,
                         hr_indexes *found, hr_error *err)
{
    for (int32_t i = 0; i < count; i++)
        HR_TRY(visit(seen, found, nodes[i], err));
    for (size_t i = 0; i < found->count; i++) {
        const hr_node *n = hr__graph_node(g, found->items[i]);
        for (int32_t a = 0; a < n->arg_count; a++)
            HR_TRY(visit(seen, found, n->args[a], err));
        for (int32_t a = 0; a < n->list_count; a++)
            HR_TRY(visit(seen, found, n->list[a], err));
    }
    if (found->count > 1)
        qsort(found->items, found->count, sizeof *found->items, ascending);
    for (size_t i = 0; i < found->count; i++)
        HR_TRY(hr__map_put(seen, &found->items[i], sizeof found->items[i], i, err));
    return HR_OK;
}

hr_status hr__graph_sources(const hr_graph *graph, const int32_t *nodes, int32_t count,
                            bool *needed, hr_error *err)
{
    hr_map *seen = NULL;
    hr_indexes found = {0};
    hr_status status;
    HR_GO(hr__map_open(&seen, err));
    HR_GO(collect(graph, nodes, count, seen, &found, err));
    for (size_t i = 0; i < found.count; i++) {
        const hr_node *n = hr__graph_node(graph, found.items[i]);
        if (n->op == HR_NODE_COLUMN)
            needed[n->column] = true;
    }
out:
    hr__map_close(&seen);
    HR_VEC_FINISH(&found);
    return status;
}

static int32_t place_of(const hr_map *seen, int32_t node)
{
    uint64_t place = 0;
    bool found = hr__map_get(seen, &node, sizeof node, &place);
    HR_ASSERT(found);
    return (int32_t)place;
}

static hr_status make_steps(const hr_graph *g, const hr_indexes *found, const hr_map *seen,
                            hr_plan *plan, hr_error *err)
{
    HR_TRY(hr__alloc_zero(found->count + 1, sizeof *plan->steps, &plan->steps, err));
    plan->step_count = (int32_t)found->count;
    for (int32_t s = 0; s < plan->step_count; s++) {
        hr_step *step = &plan->steps[s];
        const hr_node *n = hr__graph_node(g, found->items[s]);
        *step =
            (hr_step){.node = found->items[s], .data_buffer = -1, .valid_buffer = -1, .output = -1};
        for (int32_t a = 0; a < n->arg_count; a++) {
            step->args[a] = place_of(seen, n->args[a]);
            plan->steps[step->args[a]].values_needed |= reads_values(g, n);
        }
        plan->list_max = HR_MAX(plan->list_max, n->list_count);
        if (n->list_count == 0)
            continue;
        HR_TRY(hr__alloc((size_t)n->list_count * sizeof *step->list, &step->list, err));
        for (int32_t a = 0; a < n->list_count; a++)
            step->list[a] = place_of(seen, n->list[a]);
    }
    return HR_OK;
}

// Whether a step's values are written by a kernel, so that they may go straight to the output.
static bool writes_values(const hr_node *n)
{
    bool source = n->op == HR_NODE_COLUMN || n->op == HR_NODE_LITERAL;
    return !source && (n->cls == HR_CLASS_NUMBER || n->cls == HR_CLASS_TIME) &&
           n->num != HR_NUM_BOOL;
}

static bool needs_buffer(const hr_node *n, const hr_step *step)
{
    if (n->op == HR_NODE_LITERAL || n->op == HR_NODE_TEXT || step->output >= 0)
        return false;
    if (n->op != HR_NODE_COLUMN)
        return true;
    return n->cls == HR_CLASS_BOOL || (n->cls == HR_CLASS_TEXT && step->values_needed);
}

static size_t value_bytes(const hr_node *n)
{
    if (n->cls == HR_CLASS_TEXT)
        return sizeof(hr_view);
    return n->op == HR_NODE_COLUMN && n->cls == HR_CLASS_OTHER ? 1 : hr__num_bytes(n->num);
}

static hr_status find_last_uses(const hr_graph *g, const hr_plan *plan, int32_t **out,
                                hr_error *err)
{
    int32_t *last;
    HR_TRY(hr__alloc((size_t)(plan->step_count + 1) * sizeof *last, &last, err));
    for (int32_t s = 0; s < plan->step_count; s++) {
        const hr_step *step = &plan->steps[s];
        const hr_node *n = hr__graph_node(g, step->node);
        last[s] = s;
        for (int32_t a = 0; a < n->arg_count; a++)
            last[step->args[a]] = s;
        for (int32_t a = 0; a < n->list_count; a++)
            last[step->list[a]] = s;
    }
    for (int32_t i = 0; i < plan->output_count; i++) // read once more when all steps are done
        last[plan->output_steps[i]] = plan->step_count;
    *out = last;
    return HR_OK;
}

// Takes a free number, or a new one.
static hr_status take_buffer(hr_indexes *free_list, int32_t *count, int32_t *out, hr_error *err)
{
    if (free_list->count) {
        *out = free_list->items[--free_list->count];
        return HR_OK;
    }
    *out = (*count)++;
    return HR_VEC_RESERVE(free_list, 1, err);
}

static hr_status hand_out(const hr_graph *g, hr_plan *plan, hr_error *err)
{
    hr_indexes data = {0}, valid = {0};
    int32_t *last = NULL, *ends = NULL, *next = NULL;
    hr_status status;
    HR_GO(find_last_uses(g, plan, &last, err));
    // Lists of the steps whose buffers end at a step.
    HR_GO(hr__alloc((size_t)(plan->step_count + 1) * sizeof *ends, &ends, err));
    HR_GO(hr__alloc((size_t)(plan->step_count + 1) * sizeof *next, &next, err));
    memset(ends, 0xff, (size_t)(plan->step_count + 1) * sizeof *ends);
    for (int32_t s = 0; s < plan->step_count; s++) {
        hr_step *step = &plan->steps[s];
        if (needs_buffer(hr__graph_node(g, step->node), step))
            HR_GO(take_buffer(&data, &plan->data_buffers, &step->data_buffer, err));
        HR_GO(take_buffer(&valid, &plan->valid_buffers, &step->valid_buffer, err));
        next[s] = ends[last[s]];
        ends[last[s]] = s;
        for (int32_t e = ends[s]; e >= 0; e = next[e]) {
            if (plan->steps[e].data_buffer >= 0)
                HR_GO(HR_VEC_PUSH(&data, plan->steps[e].data_buffer, err));
            HR_GO(HR_VEC_PUSH(&valid, plan->steps[e].valid_buffer, err));
        }
    }
out:
    HR_VEC_FINISH(&data);
    HR_VEC_FINISH(&valid);
    hr__free(last);
    hr__free(ends);
    hr__free(next);
    return status;
}

// How many rows, or values of one row, a chunk has.
static void size_chunks(const hr_graph *g, hr_plan *plan)
{
    int64_t row_values = 1, widest = 1, pack_bytes = 0;
    for (int32_t s = 0; s < plan->step_count; s++) {
        const hr_node *n = hr__graph_node(g, plan->steps[s].node);
        bool null_bits_only = n->op == HR_NODE_COLUMN && !plan->steps[s].values_needed;
        if (n->op == HR_NODE_PACK)
            pack_bytes = HR_MAX(pack_bytes, n->row_values * (int64_t)hr__num_bytes(n->num));
        if (null_bits_only && plan->step_count > 1 && n->is_tensor)
            continue;
        row_values = HR_MAX(row_values, n->row_values);
        widest = HR_MAX(widest, (int64_t)value_bytes(n));
    }
    int64_t values = TEMP_BYTES / widest;
    if (plan->data_buffers > 0)
        values = HR_MIN(values, LIVE_BYTES / (widest * plan->data_buffers));
    values = HR_MAX(values / 64 * 64, 64);
    plan->chunk_values = values;
    plan->piece = row_values > values && pack_bytes == 0;
    if (plan->piece)
        plan->chunk_rows = 1;
    else if (pack_bytes > 0)
        plan->chunk_rows = HR_MAX(HR_MIN(PACK_BYTES / pack_bytes, values), 1);
    else
        plan->chunk_rows = HR_MAX(values / row_values, 1);
    if (plan->chunk_rows > 64)
        plan->chunk_rows = plan->chunk_rows / 64 * 64;
}

static void size_buffers(const hr_graph *g, hr_plan *plan)
{
    for (int32_t s = 0; s < plan->step_count; s++) {
        const hr_node *n = hr__graph_node(g, plan->steps[s].node);
        int64_t count = plan->chunk_rows * (n->is_tensor ? n->row_values : 1);
        if (n->is_tensor && plan->piece)
            count = HR_MIN(plan->chunk_values, n->row_values);
        if (n->op != HR_NODE_PACK && n->op != HR_NODE_COLUMN)
            plan->mask_values = HR_MAX(plan->mask_values, count);
        if (plan->steps[s].data_buffer >= 0)
            plan->data_buffer_bytes =
                HR_MAX(plan->data_buffer_bytes, (size_t)count * value_bytes(n));
    }
    plan->mask_values = HR_MAX(plan->mask_values, plan->chunk_rows);
    plan->data_buffer_bytes = HR_ALIGN_UP(plan->data_buffer_bytes + 8, HR_ALIGN);
    plan->valid_buffer_bytes = HR_ALIGN_UP((size_t)hr__words(plan->chunk_rows) * 8, HR_ALIGN);
}

hr_status hr__plan_make(const hr_graph *graph, const int32_t *nodes, const int32_t *outputs,
                        int32_t count, hr_plan *plan, hr_error *err)
{
    hr_map *seen = NULL;
    hr_indexes found = {0};
    hr_plan made = {0};
    hr_status status;
    HR_GO(hr__map_open(&seen, err));
    HR_GO(collect(graph, nodes, count, seen, &found, err));
    HR_GO(make_steps(graph, &found, seen, &made, err));
    HR_GO(hr__alloc((size_t)count * sizeof *made.outputs + 1, &made.outputs, err));
    HR_GO(hr__alloc((size_t)count * sizeof *made.output_steps + 1, &made.output_steps, err));
    made.output_count = count;
    for (int32_t i = 0; i < count; i++) {
        hr_step *step = &made.steps[place_of(seen, nodes[i])];
        made.outputs[i] = outputs ? outputs[i] : -1;
        made.output_steps[i] = place_of(seen, nodes[i]);
        step->values_needed = true;
        if (outputs && step->output < 0 && writes_values(hr__graph_node(graph, nodes[i])))
            step->output = outputs[i];
    }
    HR_GO(hand_out(graph, &made, err));
    size_chunks(graph, &made);
    size_buffers(graph, &made);
    *plan = made;
    made = (hr_plan){0};
out:
    hr__map_close(&seen);
    HR_VEC_FINISH(&found);
    hr__plan_release(&made);
    return status;
}

void hr__plan_release(hr_plan *plan)
{
    for (int32_t s = 0; plan->steps && s < plan->step_count; s++)
        hr__free(plan->steps[s].list);
    hr__free(plan->steps);
    hr__free(plan->outputs);
    hr__free(plan->output_steps);
    *plan = (hr_plan){0};
}

size_t hr__plan_scratch_bytes(const hr_plan *plan)
{
    size_t mask = HR_ALIGN_UP((size_t)plan->mask_values, HR_ALIGN);
    size_t bits = HR_ALIGN_UP((size_t)hr__words(plan->mask_values) * 8, HR_ALIGN);
    return plan->data_buffer_bytes * (size_t)plan->data_buffers +
           plan->valid_buffer_bytes * (size_t)(plan->valid_buffers + 1) + mask + 3 * bits +
           (size_t)plan->step_count * sizeof(hr_reg) +
           (size_t)plan->list_max * sizeof(hr_interleave_column) + HR_ALIGN * 4;
}
