// SPDX-License-Identifier: Apache-2.0
// The evaluator: walks chunks, runs a plan's steps on each, and puts what is not written in place where it belongs.
//
// For every chunk the registers are set up anew: a buffer, or the output itself, or (columns of numbers) the input
// where it lies. Validity goes to the output last, and for a row that is walked in pieces with its last piece: input
// and output may be the same memory, and every piece must see what the row was. Caller-serialised; the program is
// shared.
#include "expr/expr_program.h"
#include "expr/expr_run.h"

#include <string.h>

const hr_node_row hr__node_rows[HR_NODE_COUNT] = {
    [HR_NODE_COLUMN] = {hr__run_column, false},
    [HR_NODE_LITERAL] = {hr__run_literal, false},
    [HR_NODE_TEXT] = {hr__run_text, false},
    [HR_NODE_CAST] = {hr__run_cast, true},
    [HR_NODE_DECIMAL] = {hr__run_decimal, true},
    [HR_NODE_BROADCAST] = {hr__run_broadcast, true},
    [HR_NODE_ARITH] = {hr__run_arith, true},
    [HR_NODE_DIVIDE] = {hr__run_divide, true},
    [HR_NODE_NULL_IF_ZERO] = {hr__run_null_if_zero, true},
    [HR_NODE_UNARY] = {hr__run_unary, true},
    [HR_NODE_COMPARE] = {hr__run_compare, true},
    [HR_NODE_CLASSIFY] = {hr__run_classify, true},
    [HR_NODE_AND] = {hr__run_and, false},
    [HR_NODE_OR] = {hr__run_or, false},
    [HR_NODE_XOR] = {hr__run_xor, true},
    [HR_NODE_NOT] = {hr__run_not, true},
    [HR_NODE_SELECT] = {hr__run_select, false},
    [HR_NODE_FILL_NULL] = {hr__run_fill_null, false},
    [HR_NODE_IS_NULL] = {hr__run_is_null, false},
    [HR_NODE_TEXT_COMPARE] = {hr__run_text_compare, true},
    [HR_NODE_TEXT_SELECT] = {hr__run_text_select, false},
    [HR_NODE_TEXT_FILL] = {hr__run_text_fill, false},
    [HR_NODE_PACK] = {hr__run_pack, false},
};

struct hr_eval {
    hr_program *program;
    void *scratch;       // as the plan that runs lays it out
    const hr_reg **args; // of the step that runs
    uint8_t *table;      // for all dictionary comparisons of a plan, one after the other
    size_t table_bytes;
    const uint8_t **tables; // by step
};

// --- nodes without arguments ---

static void load_validity(hr_frame *f, const hr_column *c, hr_reg *out)
{
    out->valid = NULL;
    if (!c->validity || c->null_count == 0)
        return;
    f->k->bits.copy((uint8_t *)out->valid_room, 0, c->validity, (size_t)(c->offset + f->row),
                    (size_t)f->rows);
    if (f->k->bits.count((const uint8_t *)out->valid_room, 0, (size_t)f->rows) != (size_t)f->rows)
        out->valid = out->valid_room;
}

void hr__run_column(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    const hr_column *c = &f->inputs[n->column];
    int64_t row = c->offset + f->row;
    size_t width = n->type.id == HR_TYPE_DECIMAL128   ? 16
                   : n->type.id == HR_TYPE_DECIMAL256 ? 32
                                                      : hr__num_bytes(n->num);
    load_validity(f, c, out);
    switch (n->cls) {
    case HR_CLASS_BOOL:
        f->k->bits.copy(out->data, 0, c->data, (size_t)row, (size_t)f->rows);
        break;
    case HR_CLASS_TEXT:
        hr__text_dictionary_nulls(c, f->row, f->rows, &out->valid, out->valid_room);
        if (f->values_needed)
            hr__text_views(c, f->row, f->rows, out->data);
        break;
    case HR_CLASS_NULL:
        out->valid = f->zeros;
        break;
    default:
        // A piece is of a tensor's row; a scalar beside it is the row's one value.
        row = row * n->row_values + (n->is_tensor ? f->value : 0);
        out->data = c->data ? (char *)c->data + (size_t)row * width : NULL;
    }
}

void hr__run_literal(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    static const hr_view nothing = {"", 0};
    out->data = n->cls == HR_CLASS_TEXT ? (void *)&nothing : (void *)n->literal.bytes;
    out->valid = n->nullable ? f->zeros : NULL;
    out->scalar = true;
}

// A text literal's view lies in the valid buffer, which a literal does not need.
void hr__run_text(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    hr_view view = {n->text->text, (int64_t)strlen(n->text->text)};
    memcpy(out->valid_room, &view, sizeof view);
    out->data = out->valid_room;
    out->valid = NULL;
    out->scalar = true;
}

void hr__run_broadcast(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    size_t width = hr__num_bytes(n->num), values = (size_t)n->row_values;
    hr__run_strict(f, out, args, 1);
    if (f->piece) {
        memcpy(out->data, args[0]->data, width);
        out->scalar = true;
        return;
    }
    for (int64_t i = 0; i < f->rows; i++)
        if (n->num == HR_NUM_BOOL)
            f->k->bits.set(out->data, (size_t)i * values, values, hr__bit(args[0]->data, i));
        else
            f->k->fill.constant((char *)out->data + (size_t)i * values * width,
                                (const char *)args[0]->data + (size_t)i * width, width, values);
}

void hr__run_fold(const hr_graph *graph, hr_node *node, hr_view *view_out)
{
    uint64_t zeros[1] = {0}, bits[3][1], rooms[HR_EXPR_ARGS_MAX + 1][2], data[2] = {0};
    uint8_t mask[64];
    hr_reg regs[HR_EXPR_ARGS_MAX], out = {.data = data, .valid_room = rooms[HR_EXPR_ARGS_MAX]};
    const hr_reg *args[HR_EXPR_ARGS_MAX];
    hr_frame f = {.k = hr__kernels(),
                  .nodes = graph->nodes.items,
                  .rows = 1,
                  .mask = mask,
                  .bits = {bits[0], bits[1], bits[2]},
                  .zeros = zeros};
    for (int32_t i = 0; i < node->arg_count; i++) {
        const hr_node *a = hr__graph_node(graph, node->args[i]);
        regs[i] = (hr_reg){.valid_room = rooms[i]};
        hr__node_rows[a->op].run(&f, a, &regs[i], NULL);
        regs[i].scalar = false; // one row
        args[i] = &regs[i];
    }
    node->is_tensor = false;
    node->row_values = 1;
    hr__node_rows[node->op].run(&f, node, &out, args);
    node->nullable = out.valid && !hr__bit(out.valid, 0);
    if (node->cls == HR_CLASS_TEXT)
        *view_out = *(const hr_view *)out.data;
    else
        memcpy(node->literal.bytes, out.data,
               node->num == HR_NUM_BOOL ? 1 : hr__num_bytes(node->num));
    if (node->num == HR_NUM_BOOL)
        node->literal.bytes[0] &= 1;
}

int64_t hr__node_literal_int(const hr_node *n)
{
    int64_t value;
    hr__kernels()->cast.to[n->num][HR_NUM_I64](&value, n->literal.bytes, 1);
    return value;
}

double hr__node_literal_float(const hr_node *n)
{
    double value;
    hr__kernels()->cast.to[n->num][HR_NUM_F64](&value, n->literal.bytes, 1);
    return value;
}

// --- opening ---

hr_status hr__eval_open(const hr_program *program, hr_eval **out, hr_error *err)
{
    hr_eval *e;
    hr_status status;
    int32_t list_max = HR_EXPR_ARGS_MAX, steps = program->filter.step_count;
    for (int32_t i = 0; i < program->output_count; i++)
        list_max = HR_MAX(list_max, program->each[i].list_max);
    for (int32_t i = 0; i < program->group_count; i++)
        steps = HR_MAX(steps, program->groups[i].step_count);
    HR_TRY(hr__alloc_zero(1, sizeof *e, &e, err));
    e->program = hr__program_ref(program);
    HR_GO(hr__alloc_aligned(hr__program_scratch_bytes(program) + HR_ALIGN, HR_ALIGN, &e->scratch,
                            err));
    HR_GO(hr__alloc((size_t)list_max * sizeof *e->args, &e->args, err));
    HR_GO(hr__alloc_zero((size_t)steps + 1, sizeof *e->tables, &e->tables, err));
    *out = e;
    return HR_OK;
out:
    hr__eval_close(&e);
    return status;
}

void hr__eval_close(hr_eval **eval)
{
    hr_eval *e = eval ? *eval : NULL;
    if (!e)
        return;
    hr__program_unref(&e->program);
    hr__free(e->scratch);
    hr__free(e->args);
    hr__free(e->table);
    hr__free(e->tables);
    hr__free(e);
    *eval = NULL;
}

// --- a walk ---

typedef struct walk {
    hr_eval *eval;
    const hr_plan *plan;
    hr_frame f;
    hr_reg *regs; // by step
    char *data_buffers, *valid_buffers;
    hr_slot *slots; // by output, or one for the only output
    bool one_slot;
    int64_t at;
} walk;

static char *carve(char **at, size_t bytes)
{
    char *p = *at;
    *at += HR_ALIGN_UP(bytes, HR_ALIGN);
    return p;
}

// Answers by code, where the dictionary is not longer than what is asked.
static hr_status make_tables(walk *w, int64_t rows, hr_error *err)
{
    const hr_plan *plan = w->plan;
    const hr_node *nodes = w->f.nodes;
    size_t needed = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint8_t *at = w->eval->table;
        for (int32_t s = 0; s < plan->step_count; s++) {
            const hr_node *n = &nodes[plan->steps[s].node];
            w->eval->tables[s] = NULL;
            if (!hr__text_by_code(nodes, n))
                continue;
            const hr_column *c = &w->f.inputs[nodes[n->args[0]].column];
            if (c->child->rows > rows)
                continue;
            needed += pass == 0 ? (size_t)c->child->rows : 0;
            if (pass == 1) {
                hr__text_table(nodes, n, c, at);
                w->eval->tables[s] = at;
                at += c->child->rows;
            }
        }
        if (needed == 0)
            return HR_OK;
        if (needed > w->eval->table_bytes) {
            HR_TRY(hr__realloc(&w->eval->table, needed, err));
            w->eval->table_bytes = needed;
        }
    }
    return HR_OK;
}

static hr_status walk_init(walk *w, hr_eval *eval, const hr_plan *plan, const hr_column *inputs,
                           int64_t rows, hr_error *err)
{
    char *at = eval->scratch;
    size_t bits = (size_t)hr__words(plan->mask_values) * 8;
    *w = (walk){.eval = eval, .plan = plan};
    w->f = (hr_frame){.k = hr__kernels(),
                      .nodes = eval->program->graph.nodes.items,
                      .inputs = inputs,
                      .piece = plan->piece,
                      .err = err};
    w->regs = (hr_reg *)(void *)carve(&at, (size_t)plan->step_count * sizeof(hr_reg));
    w->f.columns = (hr_interleave_column *)(void *)carve(&at, (size_t)plan->list_max *
                                                                  sizeof(hr_interleave_column));
    w->f.mask = (uint8_t *)carve(&at, (size_t)plan->mask_values);
    for (int i = 0; i < 3; i++)
        w->f.bits[i] = (uint64_t *)(void *)carve(&at, bits);
    w->f.zeros = (uint64_t *)(void *)carve(&at, plan->valid_buffer_bytes);
    memset(w->f.zeros, 0, plan->valid_buffer_bytes);
    w->valid_buffers = carve(&at, plan->valid_buffer_bytes * (size_t)plan->valid_buffers);
    w->data_buffers = at;
    return make_tables(w, rows, err);
}

static hr_slot *slot_of(const walk *w, int32_t output)
{
    return w->one_slot ? w->slots : &w->slots[output];
}

// Where the chunk's values of an output go.
static char *slot_at(const walk *w, const hr_slot *slot, const hr_node *n)
{
    int64_t value = (w->at + w->f.row) * n->row_values + w->f.value;
    return (char *)slot->data + (size_t)value * hr__num_bytes(n->num);
}

static hr_status run_steps(walk *w)
{
    const hr_plan *plan = w->plan;
    const hr_reg **args = w->eval->args;
    for (int32_t s = 0; s < plan->step_count; s++) {
        const hr_step *step = &plan->steps[s];
        const hr_node *n = &w->f.nodes[step->node];
        hr_reg *r = &w->regs[s];
        *r = (hr_reg){.valid_room =
                          (uint64_t *)(void *)(w->valid_buffers + (size_t)step->valid_buffer *
                                                                      plan->valid_buffer_bytes)};
        if (step->output >= 0)
            r->data = slot_at(w, slot_of(w, step->output), n);
        else if (step->data_buffer >= 0)
            r->data = w->data_buffers + (size_t)step->data_buffer * plan->data_buffer_bytes;
        for (int32_t a = 0; a < n->arg_count; a++)
            args[a] = &w->regs[step->args[a]];
        for (int32_t a = 0; a < n->list_count; a++)
            args[a] = &w->regs[step->list[a]];
        w->f.values_needed = step->values_needed;
        w->f.table = w->eval->tables[s];
        hr__node_rows[n->op].run(&w->f, n, r, args);
        if (w->f.status)
            return w->f.status;
    }
    return HR_OK;
}

// --- into the outputs ---

static hr_status store_validity(walk *w, const hr_slot *slot, const hr_reg *r, int32_t output)
{
    hr_frame *f = &w->f;
    const hr_program *p = w->eval->program;
    size_t rows = (size_t)f->rows, at = (size_t)(w->at + f->row);
    if (slot->validity && r->valid)
        f->k->bits.copy(slot->validity, at, (const uint8_t *)r->valid, 0, rows);
    else if (slot->validity)
        f->k->bits.set(slot->validity, at, rows, true);
    else if (r->valid && f->k->bits.count((const uint8_t *)r->valid, 0, rows) != rows)
        return HR_FAIL(f->err, HR_INVALID,
                       "column '%s' has a null in rows %lld to %lld and was said to have none",
                       p->outputs[output].name, (long long)at, (long long)(at + rows - 1));
    return HR_OK;
}

static hr_status store_text(walk *w, hr_slot *slot, const hr_node *n, const hr_reg *r,
                            int32_t output)
{
    const hr_view *views = r->data;
    int64_t at = w->at + w->f.row;
    bool large = n->type.large;
    int64_t end = large ? ((int64_t *)slot->offsets)[at] : ((int32_t *)slot->offsets)[at];
    for (int64_t i = 0; i < w->f.rows; i++) {
        hr_view v = views[r->scalar ? 0 : i];
        if (r->valid && !hr__bit(r->valid, i))
            v.bytes = 0;
        if (v.bytes > slot->data_bytes - end)
            return HR_FAIL(
                w->f.err, HR_LIMIT,
                "column '%s', row %lld: its texts need more than the %lld bytes laid out",
                w->eval->program->outputs[output].name, (long long)(at + i),
                (long long)slot->data_bytes);
        if (v.bytes)
            memcpy((char *)slot->data + end, v.at, (size_t)v.bytes);
        end += v.bytes;
        if (large)
            ((int64_t *)slot->offsets)[at + i + 1] = end;
        else
            ((int32_t *)slot->offsets)[at + i + 1] = (int32_t)end;
    }
    return HR_OK;
}

static void store_values(walk *w, const hr_slot *slot, const hr_node *n, const hr_reg *r)
{
    size_t width = hr__num_bytes(n->num), count = (size_t)hr__frame_count(&w->f, n);
    char *to = slot_at(w, slot, n);
    uint8_t value[8];
    if (r->scalar) {
        memcpy(value, r->data, width);
        w->f.k->fill.constant(to, value, width, count);
    } else if (r->data != to) {
        memmove(to, r->data, count * width);
    }
}

static hr_status store(walk *w, int32_t i, bool row_ends)
{
    int32_t output = w->plan->outputs[i];
    hr_slot *slot = slot_of(w, output);
    const hr_step *step = &w->plan->steps[w->plan->output_steps[i]];
    const hr_node *n = &w->f.nodes[step->node];
    const hr_reg *r = &w->regs[w->plan->output_steps[i]];
    if (row_ends)
        HR_TRY(store_validity(w, slot, r, output));
    slot->null_count = slot->validity ? -1 : 0;
    if (n->cls == HR_CLASS_TEXT)
        return store_text(w, slot, n, r, output);
    if (n->cls == HR_CLASS_NULL)
        return HR_OK;
    if (n->num != HR_NUM_BOOL) {
        store_values(w, slot, n, r);
        return HR_OK;
    }
    size_t at = (size_t)(w->at + w->f.row), rows = (size_t)w->f.rows;
    if (r->scalar)
        w->f.k->bits.set(slot->data, at, rows, *(const uint8_t *)r->data & 1);
    else
        w->f.k->bits.copy(slot->data, at, r->data, 0, rows);
    return HR_OK;
}

// Values of a row in a plan that walks pieces.
static int64_t row_values(const walk *w)
{
    int64_t most = 1;
    for (int32_t s = 0; s < w->plan->step_count; s++) {
        const hr_node *n = &w->f.nodes[w->plan->steps[s].node];
        if (n->is_tensor && (n->op != HR_NODE_COLUMN || w->plan->steps[s].values_needed))
            most = HR_MAX(most, n->row_values);
    }
    return most;
}

static hr_status run_chunk(walk *w, bool row_ends)
{
    HR_TRY(run_steps(w));
    for (int32_t i = 0; i < w->plan->output_count; i++)
        HR_TRY(store(w, i, row_ends));
    return HR_OK;
}

static hr_status run_walk(walk *w, int64_t rows)
{
    const hr_plan *plan = w->plan;
    int64_t values = plan->piece ? row_values(w) : 0;
    for (int64_t row = 0; row < rows; row += plan->chunk_rows) {
        w->f.row = row;
        w->f.rows = HR_MIN(plan->chunk_rows, rows - row);
        w->f.value = 0;
        if (!plan->piece) {
            HR_TRY(run_chunk(w, true));
            continue;
        }
        for (; w->f.value < values; w->f.value += w->f.values) {
            w->f.values = HR_MIN(plan->chunk_values, values - w->f.value);
            HR_TRY(run_chunk(w, w->f.value + w->f.values == values));
        }
    }
    return HR_OK;
}

hr_status hr__eval_filter(hr_eval *eval, const hr_column *inputs, int64_t rows, uint32_t *selected,
                          int64_t *count_out, hr_error *err)
{
    const hr_plan *plan = &eval->program->filter;
    walk w;
    int64_t count = 0;
    HR_ASSERT(eval->program->predicate >= 0);
    if (rows > (int64_t)UINT32_MAX)
        return HR_FAIL(err, HR_LIMIT, "filter: %lld rows at once, at most 2^32 - 1",
                       (long long)rows);
    HR_TRY(walk_init(&w, eval, plan, inputs, rows, err));
    for (int64_t row = 0; row < rows; row += plan->chunk_rows) {
        w.f.row = row;
        w.f.rows = HR_MIN(plan->chunk_rows, rows - row);
        HR_TRY(run_steps(&w));
        const hr_reg *r = &w.regs[plan->output_steps[0]];
        const uint64_t *bits = hr__run_bits(r, w.f.rows, w.f.bits[0]);
        if (r->valid) {
            for (int64_t i = 0; i < hr__words(w.f.rows); i++)
                w.f.bits[0][i] = bits[i] & r->valid[i];
            bits = w.f.bits[0];
        }
        count += (int64_t)w.f.k->bits.positions(selected + count, (const uint8_t *)bits, 0,
                                                (size_t)w.f.rows, (uint32_t)row);
    }
    *count_out = count;
    return HR_OK;
}

hr_status hr__eval_column(hr_eval *eval, int32_t index, const hr_column *inputs, int64_t rows,
                          hr_slot *slot, int64_t at, hr_error *err)
{
    const hr_plan *plan = &eval->program->each[index];
    walk w;
    if (hr__program_passthrough(eval->program, index) >= 0)
        return HR_FAIL(err, HR_INVALID, "column '%s' passes through: there is nothing to compute",
                       eval->program->outputs[index].name);
    HR_TRY(walk_init(&w, eval, plan, inputs, rows, err));
    w.slots = slot;
    w.one_slot = true;
    w.at = at;
    return run_walk(&w, rows);
}

hr_status hr__eval_columns(hr_eval *eval, const hr_column *inputs, int64_t rows, hr_slot *slots,
                           int64_t at, hr_error *err)
{
    for (int32_t i = 0; i < eval->program->group_count; i++) {
        walk w;
        HR_TRY(walk_init(&w, eval, &eval->program->groups[i], inputs, rows, err));
        w.slots = slots;
        w.at = at;
        HR_TRY(run_walk(&w, rows));
    }
    return HR_OK;
}

int64_t hr__eval_var_bytes(hr_eval *eval, int32_t index, const hr_column *inputs, int64_t rows)
{
    const hr_plan *plan = &eval->program->each[index];
    const hr_node *nodes = eval->program->graph.nodes.items;
    int64_t bytes = 0, literal = 0;
    if (plan->step_count == 0 || nodes[eval->program->outputs[index].node].cls != HR_CLASS_TEXT)
        return 0;
    for (int32_t s = 0; s < plan->step_count; s++) {
        const hr_node *n = &nodes[plan->steps[s].node];
        if (n->op == HR_NODE_TEXT)
            literal = HR_MAX(literal, (int64_t)strlen(n->text->text));
        else if (n->op == HR_NODE_COLUMN && n->cls == HR_CLASS_TEXT && plan->steps[s].values_needed)
            bytes += hr__text_column_bytes(&inputs[n->column], rows);
    }
    return bytes + literal * rows;
}
