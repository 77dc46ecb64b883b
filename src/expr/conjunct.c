// SPDX-License-Identifier: Apache-2.0
// Conjuncts for pruning: which parts of the predicate say `source column <op> literal`.
//
// What is told must never exclude a row that the predicate keeps. So a conversion of the column is looked through only
// where it keeps order and loses nothing, and a literal between two integers is rounded to the side that asks for less.
// Not equal is not told for floats: a NaN differs from every literal and statistics know nothing of it.
#include "expr/expr_program.h"

#include <math.h>

static hr_status push(hr_program *p, int32_t column, hr_relation relation, hr_literal literal,
                      hr_error *err)
{
    hr_conjunct c = {column, relation, literal};
    return HR_VEC_PUSH(&p->conjuncts, c, err);
}

static hr_status push_null(hr_program *p, int32_t column, bool null, hr_error *err)
{
    return push(p, column, null ? HR_IS_NULL : HR_IS_NOT_NULL, (hr_literal){.id = HR_TYPE_BOOL},
                err);
}

// The column under conversions that keep every value: to a wider integer, to a float that holds it.
static const hr_node *column_under(const hr_graph *g, const hr_node *n)
{
    while (n->op == HR_NODE_CAST) {
        const hr_node *a = hr__graph_node(g, n->args[0]);
        size_t from = hr__num_bytes(n->of), to = hr__num_bytes(n->num);
        bool ints = n->of < HR_NUM_INT_COUNT && n->num < HR_NUM_INT_COUNT;
        bool wider_int =
            ints && (n->of == n->num ||
                     (from < to && (hr__num_is_signed(n->num) || !hr__num_is_signed(n->of))));
        bool to_float = n->num == HR_NUM_F64 || (n->num == HR_NUM_F32 && from <= 2);
        if (a->cls == HR_CLASS_BOOL || !(wider_int || (to_float && n->of != HR_NUM_BOOL)))
            return NULL;
        n = a;
    }
    return n->op == HR_NODE_COLUMN && !n->is_tensor ? n : NULL;
}

// An integer column against a float: the nearest integer question that keeps as many rows or more.
static hr_status push_rounded(hr_program *p, const hr_node *column, hr_compare op, double v,
                              hr_error *err)
{
    hr_literal literal = {.id = HR_TYPE_INT64};
    double floor_v = floor(v);
    if (!(fabs(v) < 0x1p53) || op == HR_COMPARE_NE)
        return HR_OK; // also NaN; past 2^53 the conversion rounds
    literal.i = (int64_t)floor_v;
    if (floor_v != v) {
        if (op == HR_COMPARE_EQ)
            return HR_OK;
        op = op == HR_COMPARE_LT || op == HR_COMPARE_LE ? HR_COMPARE_LE : HR_COMPARE_GT;
    }
    return push(p, column->column, (hr_relation)op, literal, err);
}

static hr_status from_compare(hr_program *p, const hr_node *n, hr_error *err)
{
    const hr_graph *g = &p->graph;
    const hr_node *column = column_under(g, hr__graph_node(g, n->args[0]));
    const hr_node *c = hr__graph_node(g, n->args[1]);
    if (!column || !hr__node_is_literal(c))
        return HR_OK;
    if (column->num < HR_NUM_INT_COUNT && hr__num_is_float(c->num))
        return push_rounded(p, column, (hr_compare)n->sub, hr__node_literal_float(c), err);
    if (hr__num_is_float(column->num)) {
        hr_literal literal = {.id = HR_TYPE_FLOAT64, .f = hr__node_literal_float(c)};
        if (n->sub == HR_COMPARE_NE || isnan(literal.f))
            return HR_OK;
        return push(p, column->column, (hr_relation)n->sub, literal, err);
    }
    hr_literal literal = {.id = HR_TYPE_INT64, .i = hr__node_literal_int(c)};
    if (c->num == HR_NUM_U64 && literal.i < 0)
        return HR_OK; // past int64
    return push(p, column->column, (hr_relation)n->sub, literal, err);
}

static hr_status from_text(hr_program *p, const hr_node *n, hr_error *err)
{
    const hr_node *column = hr__graph_node(&p->graph, n->args[0]);
    const hr_node *c = hr__graph_node(&p->graph, n->args[1]);
    if (column->op != HR_NODE_COLUMN || c->op != HR_NODE_TEXT)
        return HR_OK;
    hr_literal literal = {.id = HR_TYPE_STRING, .text = c->text->text};
    return push(p, column->column, (hr_relation)n->sub, literal, err);
}

static hr_status from_term(hr_program *p, const hr_node *n, bool negated, hr_error *err)
{
    const hr_node *a = n->arg_count ? hr__graph_node(&p->graph, n->args[0]) : NULL;
    if (n->op == HR_NODE_COLUMN) {
        hr_literal literal = {.id = HR_TYPE_BOOL, .i = !negated};
        return push(p, n->column, HR_EQ, literal, err);
    }
    if (n->op == HR_NODE_IS_NULL && a->op == HR_NODE_COLUMN)
        return push_null(p, a->column, !negated, err);
    if (negated)
        return HR_OK;
    if (n->op == HR_NODE_COMPARE && !n->is_tensor)
        return from_compare(p, n, err);
    return n->op == HR_NODE_TEXT_COMPARE ? from_text(p, n, err) : HR_OK;
}

hr_status hr__program_find_conjuncts(hr_program *p, hr_error *err)
{
    HR_VEC(int32_t) waiting = {0};
    hr_status status = HR_OK;
    if (p->predicate >= 0)
        HR_GO(HR_VEC_PUSH(&waiting, p->predicate, err));
    while (waiting.count > 0 && p->conjuncts.count < 4096) {
        const hr_node *n = hr__graph_node(&p->graph, waiting.items[--waiting.count]);
        bool negated = n->op == HR_NODE_NOT;
        if (n->op == HR_NODE_AND) {
            HR_GO(HR_VEC_PUSH(&waiting, n->args[1], err));
            HR_GO(HR_VEC_PUSH(&waiting, n->args[0], err));
        } else {
            HR_GO(from_term(p, negated ? hr__graph_node(&p->graph, n->args[0]) : n, negated, err));
        }
    }
out:
    HR_VEC_FINISH(&waiting);
    return status;
}
