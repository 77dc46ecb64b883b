// SPDX-License-Identifier: Apache-2.0
// What logic, choice and null handling mean in typed nodes. One row, one function.
//
// Over rows `and` and `or` are Kleene's: false and null is false, true or null is true. Over the values of tensors a
// null row is null as a whole, whatever the other operand says.
#include "expr/expr_graph.h"

enum {
    NUMBERS = 1u << HR_CLASS_NUMBER,
    TIMES = 1u << HR_CLASS_TIME,
    BOOLS = 1u << HR_CLASS_BOOL,
    TEXTS = 1u << HR_CLASS_TEXT
};

static bool is_bool(const hr_node *n, bool value)
{
    return n->cls == HR_CLASS_BOOL && hr__node_is_literal(n) && !n->is_tensor &&
           (n->literal.bytes[0] & 1) == value;
}

// The index of the BOOL literal `value` among two, or -1.
static int literal_among(const hr_graph *g, int32_t a, int32_t b, bool value)
{
    return is_bool(hr__graph_node(g, a), value) ? 0 : is_bool(hr__graph_node(g, b), value) ? 1 : -1;
}

hr_status hr__graph_logic(hr_graph *g, hr_node_op op, int sub, int32_t a, int32_t b, int32_t *out,
                          hr_error *err)
{
    int32_t args[2] = {a, b};
    bool neutral = op == HR_NODE_AND; // true and x is x; false or x is x
    int i = literal_among(g, a, b, neutral);
    if (i >= 0 || a == b) {
        *out = i < 0 ? a : args[1 - i];
        return HR_OK;
    }
    i = literal_among(g, a, b, !neutral);
    bool tensor = hr__graph_node(g, a)->is_tensor || hr__graph_node(g, b)->is_tensor;
    if (i >= 0 && sub == 0 && !tensor) {
        *out = args[i];
        return HR_OK;
    }
    return hr__graph_op(g, op, sub || tensor, HR_NUM_BOOL, args, 2, out, err);
}

hr_status hr__graph_negate(hr_graph *g, int32_t node, int32_t *out, hr_error *err)
{
    static const hr_compare contrary[HR_COMPARE_COUNT] = {
        HR_COMPARE_NE, HR_COMPARE_EQ, HR_COMPARE_GE, HR_COMPARE_GT, HR_COMPARE_LE, HR_COMPARE_LT};
    const hr_node n = *hr__graph_node(g, node);
    if (n.op == HR_NODE_NOT) {
        *out = n.args[0];
        return HR_OK;
    }
    // Not of floats: not (x < 1) holds for NaN.
    if (n.op == HR_NODE_COMPARE && n.of < HR_NUM_INT_COUNT)
        return hr__graph_op(g, HR_NODE_COMPARE, (int)contrary[n.sub], HR_NUM_BOOL, n.args, 2, out,
                            err);
    if (n.op == HR_NODE_TEXT_COMPARE)
        return hr__graph_op(g, n.op, (int)contrary[n.sub], HR_NUM_BOOL, n.args, 2, out, err);
    return hr__graph_op(g, HR_NODE_NOT, 0, HR_NUM_BOOL, &node, 1, out, err);
}

hr_status hr__graph_is_null(hr_graph *g, int32_t node, int32_t *out, hr_error *err)
{
    const hr_node *n = hr__graph_node(g, node);
    if (hr__node_is_null(n) || !n->nullable)
        return hr__graph_bool(g, hr__node_is_null(n), out, err);
    if (n->is_tensor) {
        *out = n->null_node;
        return n->null_node >= 0 ? HR_OK : hr__graph_bool(g, false, out, err);
    }
    return hr__graph_op(g, HR_NODE_IS_NULL, 0, HR_NUM_BOOL, &node, 1, out, err);
}

// A bool; a bare null becomes one.
static hr_status as_bool(hr_graph *g, const char *name, int32_t *node, hr_error *err)
{
    HR_TRY(hr__graph_unify(g, name, BOOLS, node, 1, err));
    return hr__graph_node(g, *node)->cls == HR_CLASS_NULL
               ? hr__graph_cast(g, *node, HR_NUM_BOOL, node, err)
               : HR_OK;
}

static hr_status bind_logic(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                            int32_t *out, hr_error *err)
{
    int32_t a[2] = {args[0], args[1]};
    for (int i = 0; i < 2; i++)
        HR_TRY(as_bool(g, f->name, &a[i], err));
    HR_TRY(hr__graph_broadcast(g, f->name, a, 2, err));
    return hr__graph_logic(g, (hr_node_op)f->op, 0, a[0], a[1], out, err);
}

static hr_status bind_not(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                          int32_t *out, hr_error *err)
{
    int32_t a = args[0];
    HR_TRY(as_bool(g, f->name, &a, err));
    return hr__graph_negate(g, a, out, err);
}

// Of operands that unify has brought together.
static hr_status choose(hr_graph *g, hr_node_op op, hr_node_op text_op, int32_t like,
                        const int32_t *args, int32_t count, int32_t *out, hr_error *err)
{
    if (hr__graph_node(g, like)->cls == HR_CLASS_TEXT)
        return hr__graph_text_op(g, text_op, args, count, out, err);
    return hr__graph_op_like(g, op, 0, like, args, count, out, err);
}

static hr_status bind_where(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                            int32_t *out, hr_error *err)
{
    int32_t a[3] = {args[0], args[1], args[2]};
    HR_TRY(as_bool(g, f->name, &a[0], err));
    HR_TRY(hr__graph_unify(g, f->name, NUMBERS | TIMES | BOOLS | TEXTS, a + 1, 2, err));
    const hr_node c = *hr__graph_node(g, a[0]);
    if (hr__graph_node(g, a[1])->cls == HR_CLASS_NULL) { // a choice between null and null
        *out = a[1];
        return HR_OK;
    }
    if (c.is_tensor && hr__graph_node(g, a[1])->cls == HR_CLASS_TEXT)
        return hr__graph_refuse(g, f->name, args, 3, err);
    if (c.is_tensor || hr__graph_node(g, a[1])->cls == HR_CLASS_BOOL)
        HR_TRY(hr__graph_broadcast(g, f->name, a, 3, err));
    bool tensor =
        c.is_tensor || hr__graph_node(g, a[1])->is_tensor || hr__graph_node(g, a[2])->is_tensor;
    if (c.op == HR_NODE_LITERAL && !tensor) {
        *out = is_bool(&c, true) ? a[1] : a[2];
        return HR_OK;
    }
    return choose(g, HR_NODE_SELECT, HR_NODE_TEXT_SELECT, a[1], a, 3, out, err);
}

static hr_status bind_is_null(hr_graph *g, const hr_function *f, const int32_t *args, int32_t count,
                              int32_t *out, hr_error *err)
{
    return hr__graph_is_null(g, args[0], out, err);
}

static hr_status bind_fill_null(hr_graph *g, const hr_function *f, const int32_t *args,
                                int32_t count, int32_t *out, hr_error *err)
{
    int32_t a[2] = {args[0], args[1]};
    HR_TRY(hr__graph_unify(g, f->name, NUMBERS | TIMES | BOOLS | TEXTS, a, 2, err));
    if (!hr__graph_node(g, a[0])->nullable || hr__node_is_null(hr__graph_node(g, a[1]))) {
        *out = a[0];
        return HR_OK;
    }
    const hr_node *x = hr__graph_node(g, a[0]);
    if (x->is_tensor && x->cls == HR_CLASS_BOOL)
        return hr__graph_refuse(g, f->name, args, 2, err);
    return choose(g, HR_NODE_FILL_NULL, HR_NODE_TEXT_FILL, a[0], a, 2, out, err);
}

// Whether values are NaN, infinite, finite: integers are never, but their nulls stay.
static hr_status bind_classify(hr_graph *g, const hr_function *f, const int32_t *args,
                               int32_t count, int32_t *out, hr_error *err)
{
    int32_t a = args[0];
    HR_TRY(hr__graph_unify(g, f->name, NUMBERS, &a, 1, err));
    const hr_node *n = hr__graph_node(g, a);
    if (n->cls == HR_CLASS_NULL)
        return hr__graph_cast(g, a, HR_NUM_BOOL, out, err);
    if (n->num < HR_NUM_INT_COUNT) {
        int32_t same[2] = {a, a};
        bool yes = f->op == HR_CLASSIFY_FINITE;
        return hr__graph_op(g, HR_NODE_COMPARE, yes ? HR_COMPARE_EQ : HR_COMPARE_NE, HR_NUM_BOOL,
                            same, 2, out, err);
    }
    if (n->num == HR_NUM_F16 || n->num == HR_NUM_BF16)
        HR_TRY(hr__graph_cast(g, a, HR_NUM_F32, &a, err));
    return hr__graph_op(g, HR_NODE_CLASSIFY, f->op, HR_NUM_BOOL, &a, 1, out, err);
}

static hr_status bind_fill_nan(hr_graph *g, const hr_function *f, const int32_t *args,
                               int32_t count, int32_t *out, hr_error *err)
{
    const hr_function is_nan = {.name = f->name, .op = HR_CLASSIFY_NAN};
    int32_t a[3] = {0, args[1], args[0]};
    const hr_node *x = hr__graph_node(g, args[0]);
    if (x->cls == HR_CLASS_NUMBER && x->num < HR_NUM_INT_COUNT && !x->weak) {
        *out = args[0]; // no NaN among integers, so the type stays too
        return HR_OK;
    }
    HR_TRY(hr__graph_unify(g, f->name, NUMBERS, a + 1, 2, err));
    if (hr__graph_node(g, a[2])->cls == HR_CLASS_NULL) {
        *out = a[2];
        return HR_OK;
    }
    HR_TRY(bind_classify(g, &is_nan, &a[2], 1, &a[0], err));
    return hr__graph_op_like(g, HR_NODE_SELECT, 0, a[2], a, 3, out, err);
}

const hr_function hr__functions_null[] = {
    {"or", 2, 2, HR_BIND_OR, HR_NODE_OR, bind_logic},
    {"and", 2, 2, HR_BIND_AND, HR_NODE_AND, bind_logic},
    {"not", 1, 1, HR_BIND_NOT, 0, bind_not},
    {"where", 3, 3, HR_BIND_NONE, 0, bind_where},
    {"is_null", 1, 1, HR_BIND_NONE, 0, bind_is_null},
    {"is_nan", 1, 1, HR_BIND_NONE, HR_CLASSIFY_NAN, bind_classify},
    {"is_inf", 1, 1, HR_BIND_NONE, HR_CLASSIFY_INF, bind_classify},
    {"is_finite", 1, 1, HR_BIND_NONE, HR_CLASSIFY_FINITE, bind_classify},
    {"fill_null", 2, 2, HR_BIND_NONE, 0, bind_fill_null},
    {"fill_nan", 2, 2, HR_BIND_NONE, 0, bind_fill_nan},
    {0},
};
