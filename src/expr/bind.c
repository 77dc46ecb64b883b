// SPDX-License-Identifier: Apache-2.0
// Lowering a tree to the typed graph: names become source columns or what was computed before, calls become nodes.
//
// The walk keeps its own stack and remembers by address what it has lowered, so a tree that shares parts costs as much
// as its distinct nodes, however large it would be written out. What each function means in typed nodes is said by its
// row's bind function (fn_math.c, fn_null.c).
#include "expr/expr_graph.h"

#include <string.h>

static hr_status bind_text(hr_graph *g, const hr_expr *e, int32_t *out, hr_error *err)
{
    hr_node n = {.op = HR_NODE_TEXT,
                 .cls = HR_CLASS_TEXT,
                 .weak = true,
                 .type = {.id = HR_TYPE_STRING},
                 .row_values = 1,
                 .text = (hr_expr *)e};
    return hr__graph_add(g, &n, out, err);
}

static hr_status bind_leaf(hr_graph *g, const hr_expr *e, hr_resolve_fn *resolve, void *context,
                           int32_t *out, hr_error *err)
{
    hr_node n = {.op = HR_NODE_LITERAL, .weak = true, .row_values = 1};
    switch (e->kind) {
    case HR_EXPR_COLUMN:
        *out = resolve(context, e->text);
        if (*out < 0)
            return HR_FAIL(err, HR_INVALID, "there is no column '%.200s'", e->text);
        return HR_OK;
    case HR_EXPR_INT:
        return hr__graph_int(g, e->i, out, err);
    case HR_EXPR_BOOL:
        return hr__graph_bool(g, e->i != 0, out, err);
    case HR_EXPR_TEXT:
        return bind_text(g, e, out, err);
    case HR_EXPR_FLOAT:
        n.cls = HR_CLASS_NUMBER;
        n.num = HR_NUM_F64;
        n.type = *hr__num_type(HR_NUM_F64);
        n.literal.f = e->f;
        return hr__graph_add(g, &n, out, err);
    default:
        n.weak = false;
        n.cls = HR_CLASS_NULL;
        n.num = HR_NUM_U8;
        n.nullable = true;
        return hr__graph_add(g, &n, out, err);
    }
}

static hr_status bind_cast(hr_graph *g, const hr_expr *e, int32_t arg, int32_t *out, hr_error *err)
{
    const hr_node *n = hr__graph_node(g, arg);
    hr_num num = (hr_num)hr__num_of_type(e->cast);
    char from[96], to[32];
    switch (n->cls) {
    case HR_CLASS_NUMBER:
    case HR_CLASS_BOOL:
    case HR_CLASS_TIME:
    case HR_CLASS_NULL:
        return hr__graph_cast(g, arg, num, out, err);
    case HR_CLASS_TEXT:
    case HR_CLASS_OTHER:
        break;
    }
    if (n->op == HR_NODE_COLUMN && (num == HR_NUM_F64 || num == HR_NUM_F32) &&
        (n->type.id == HR_TYPE_DECIMAL128 || n->type.id == HR_TYPE_DECIMAL256)) {
        HR_TRY(hr__graph_op(g, HR_NODE_DECIMAL, 0, HR_NUM_F64, &arg, 1, out, err));
        return hr__graph_cast(g, *out, num, out, err);
    }
    return HR_FAIL(err, HR_UNSUPPORTED,
                   "cast of %s to %s: numbers, bools and times are cast, decimals only to float64 "
                   "and float32",
                   hr_type_print(&n->type, from, sizeof from),
                   hr_type_print(hr__num_type(num), to, sizeof to));
}

typedef struct level {
    const hr_expr *expr;
    int32_t next; // argument
    int32_t args[HR_EXPR_ARGS_MAX];
} level;

static hr_status bind_node(hr_graph *g, const level *l, hr_resolve_fn *resolve, void *context,
                           int32_t *out, hr_error *err)
{
    const hr_expr *e = l->expr;
    if (e->kind == HR_EXPR_CALL)
        return e->function->bind(g, e->function, l->args, e->arg_count, out, err);
    if (e->kind == HR_EXPR_CAST)
        return bind_cast(g, e, l->args[0], out, err);
    return bind_leaf(g, e, resolve, context, out, err);
}

hr_status hr__graph_bind(hr_graph *g, const hr_expr *expr, hr_resolve_fn *resolve, void *context,
                         int32_t *out, hr_error *err)
{
    HR_VEC(level) stack = {0};
    hr_map *done = NULL;
    hr_status status;
    int32_t node = -1;
    HR_GO(hr__map_open(&done, err));
    HR_GO(HR_VEC_PUSH(&stack, ((level){.expr = expr}), err));
    while (stack.count > 0) {
        level *l = &stack.items[stack.count - 1];
        uint64_t known;
        if (l->next < l->expr->arg_count) {
            const hr_expr *arg = l->expr->args[l->next];
            if (hr__map_get(done, &arg, sizeof arg, &known))
                l->args[l->next++] = (int32_t)known;
            else
                HR_GO(HR_VEC_PUSH(&stack, ((level){.expr = arg}), err));
            continue;
        }
        HR_GO(bind_node(g, l, resolve, context, &node, err));
        HR_GO(hr__map_put(done, &l->expr, sizeof l->expr, (uint64_t)node, err));
        stack.count--;
    }
    *out = node;
out:
    HR_VEC_FINISH(&stack);
    hr__map_close(&done);
    return status;
}

hr_status hr__graph_check_output(const hr_graph *g, int32_t node, hr_error *err)
{
    const hr_node *n = hr__graph_node(g, node);
    if (n->is_tensor && n->cls == HR_CLASS_BOOL)
        return HR_FAIL(err, HR_INVALID,
                       "a tensor of bool is no column: cast(..., uint8) makes one");
    return HR_OK;
}

// --- the type of an expression ---

typedef struct type_scope {
    hr_graph graph;
    hr_status status;
    hr_error *err;
} type_scope;

static int32_t resolve_source(void *context, const char *name)
{
    type_scope *s = context;
    int32_t index = hr_schema_find(s->graph.source, name), node = -1;
    if (index >= 0 && (s->status = hr__graph_column(&s->graph, index, &node, s->err)) != HR_OK)
        return -1;
    return node;
}

hr_status hr_expr_type(const hr_expr *expr, const hr_schema *schema, hr_type *out, hr_error *err)
{
    type_scope s = {.err = err};
    int32_t node;
    if (!expr || !schema)
        return HR_FAIL(err, HR_INVALID, "expression: no %s given", expr ? "schema" : "expression");
    HR_TRY(hr__graph_open(schema, &s.graph, err));
    hr_status status = hr__graph_bind(&s.graph, expr, resolve_source, &s, &node, err);
    if (s.status)
        status = s.status;
    if (!status)
        status = hr__graph_check_output(&s.graph, node, err);
    if (!status)
        *out = hr__graph_node(&s.graph, node)->type;
    hr__graph_close(&s.graph);
    return status;
}
