// SPDX-License-Identifier: Apache-2.0
// The typed graph: adding nodes, finding equal ones, folding literals.
//
// A node's identity is a packed key of everything that decides its value, looked up in a map: so common parts are
// found while the graph is built and never searched for. Folding runs the node itself on one row, by the same code that
// runs it on data: a constant cannot differ from the column it stands for.
#include "expr/expr_graph.h"
#include "expr/expr_run.h"

#include <string.h>

// What makes two nodes equal. No padding: it is compared as bytes.
typedef struct node_key {
    int32_t op, sub, cls, num, of, weak, is_tensor, nullable, column;
    int32_t type_id, unit, item_id, ndim, large;
    int32_t args[HR_EXPR_ARGS_MAX], arg_count;
    int64_t row_values, literal, timezone, shape[HR_TENSOR_DIMS_MAX];
} node_key;

static node_key key_of(const hr_node *n)
{
    node_key key;
    memset(&key, 0, sizeof key);
    key.op = (int32_t)n->op;
    key.sub = n->sub;
    key.cls = (int32_t)n->cls;
    key.num = (int32_t)n->num;
    key.of = (int32_t)n->of;
    key.weak = n->weak;
    key.is_tensor = n->is_tensor;
    key.nullable = n->nullable;
    key.column = n->column;
    key.type_id = (int32_t)n->type.id;
    key.unit = (int32_t)n->type.unit;
    key.item_id = n->type.item ? (int32_t)n->type.item->id : 0;
    key.ndim = n->type.ndim;
    key.large = n->type.large;
    memcpy(key.args, n->args, sizeof key.args);
    key.arg_count = n->arg_count;
    key.row_values = n->row_values;
    key.literal = n->literal.i;
    key.timezone = (int64_t)(intptr_t)n->type.timezone;
    memcpy(key.shape, n->type.shape, sizeof(int64_t) * (size_t)n->type.ndim);
    return key;
}

hr_status hr__graph_open(const hr_schema *source, hr_graph *graph, hr_error *err)
{
    *graph = (hr_graph){0};
    HR_TRY(hr__map_open(&graph->known, err));
    graph->source = hr_schema_ref(source);
    return HR_OK;
}

static void node_release(hr_node *n)
{
    hr_expr_unref(&n->text);
    hr__free(n->list);
    hr__free((void *)n->list_names);
    n->list = NULL;
    n->list_names = NULL;
}

void hr__graph_close(hr_graph *graph)
{
    for (size_t i = 0; i < graph->nodes.count; i++)
        node_release(&graph->nodes.items[i]);
    HR_VEC_FINISH(&graph->nodes);
    hr__map_close(&graph->known);
    hr_schema_unref(&graph->source);
}

// The key of a text goes on with its bytes.
static hr_status known_key(const hr_node *n, void **out, size_t *bytes_out, hr_error *err)
{
    node_key key = key_of(n);
    size_t text = n->text ? strlen(n->text->text) : 0;
    char *bytes;
    HR_TRY(hr__alloc(sizeof key + text, &bytes, err));
    memcpy(bytes, &key, sizeof key);
    if (text)
        memcpy(bytes + sizeof key, n->text->text, text);
    *out = bytes;
    *bytes_out = sizeof key + text;
    return HR_OK;
}

static size_t names_bytes(const hr_node *n)
{
    size_t bytes = sizeof(char *) * (size_t)n->list_count;
    for (int32_t i = 0; i < n->list_count; i++)
        bytes += strlen(n->list_names[i]) + 1;
    return bytes;
}

// Appends; owned parts are copied or referred to.
static hr_status append(hr_graph *g, const hr_node *node, hr_error *err)
{
    if (g->nodes.count >= HR_GRAPH_NODES_MAX)
        return HR_FAIL(err, HR_LIMIT, "expressions: more than %d operations in one chain",
                       HR_GRAPH_NODES_MAX);
    hr_node n = *node;
    HR_TRY(HR_VEC_RESERVE(&g->nodes, 1, err));
    n.list = NULL;
    n.list_names = NULL;
    if (node->list_count) {
        char **names;
        size_t pointers = sizeof(char *) * (size_t)node->list_count;
        HR_TRY(hr__alloc(sizeof(int32_t) * (size_t)node->list_count, &n.list, err));
        if (hr__alloc(names_bytes(node), &names, err) != HR_OK) {
            hr__free(n.list);
            return HR_NOMEM;
        }
        memcpy(n.list, node->list, sizeof(int32_t) * (size_t)node->list_count);
        char *at = (char *)names + pointers;
        for (int32_t i = 0; i < node->list_count; i++) {
            size_t bytes = strlen(node->list_names[i]) + 1;
            names[i] = memcpy(at, node->list_names[i], bytes);
            at += bytes;
        }
        n.list_names = (const char *const *)names;
    }
    n.text = hr_expr_ref(node->text);
    g->nodes.items[g->nodes.count++] = n;
    return HR_OK;
}

// Of one allocation each: what failed before is released by the caller's close.
hr_status hr__graph_clone(const hr_graph *graph, hr_graph *out, hr_error *err)
{
    hr_graph copy;
    void *key = NULL;
    size_t bytes;
    hr_status status;
    HR_TRY(hr__graph_open(graph->source, &copy, err));
    for (size_t i = 0; i < graph->nodes.count; i++) {
        const hr_node *n = &graph->nodes.items[i];
        HR_GO(append(&copy, n, err));
        if (n->op == HR_NODE_PACK)
            continue;
        HR_GO(known_key(n, &key, &bytes, err));
        HR_GO(hr__map_put(copy.known, key, bytes, i, err));
        hr__free(key);
        key = NULL;
    }
    *out = copy;
    return HR_OK;
out:
    hr__free(key);
    hr__graph_close(&copy);
    return status;
}

bool hr__node_is_null(const hr_node *n)
{
    return (n->op == HR_NODE_LITERAL && n->nullable) || (n->cls == HR_CLASS_NULL && !n->is_tensor);
}

bool hr__node_is_literal(const hr_node *n)
{
    return n->op == HR_NODE_LITERAL && !n->nullable;
}

// --- what is derived ---

static bool derive_nullable(const hr_graph *g, const hr_node *n)
{
    bool any = false;
    for (int32_t i = 0; i < n->arg_count; i++)
        any |= hr__graph_node(g, n->args[i])->nullable;
    switch (n->op) {
    case HR_NODE_COLUMN:
    case HR_NODE_LITERAL:
        return n->nullable;
    case HR_NODE_IS_NULL:
    case HR_NODE_PACK:
    case HR_NODE_TEXT:
        return false;
    case HR_NODE_NULL_IF_ZERO:
        return true;
    case HR_NODE_SELECT:
    case HR_NODE_TEXT_SELECT:
        return hr__graph_node(g, n->args[1])->nullable || hr__graph_node(g, n->args[2])->nullable;
    case HR_NODE_FILL_NULL:
    case HR_NODE_TEXT_FILL:
        return hr__graph_node(g, n->args[0])->nullable && hr__graph_node(g, n->args[1])->nullable;
    default:
        return any;
    }
}

// A literal in place of a node whose arguments are all literals; *done when it was one.
static hr_status fold(hr_graph *g, hr_node *n, bool *done, hr_expr **text_out, hr_error *err)
{
    bool all = n->arg_count > 0, null = false, weak = n->op != HR_NODE_CAST;
    *done = false;
    for (int32_t i = 0; i < n->arg_count; i++) {
        const hr_node *a = hr__graph_node(g, n->args[i]);
        all &= a->op == HR_NODE_LITERAL || a->op == HR_NODE_TEXT;
        null |= hr__node_is_null(a);
        weak &= a->weak;
    }
    if (!all && !(null && hr__node_rows[n->op].strict))
        return HR_OK;
    hr_node made = {.op = HR_NODE_LITERAL,
                    .cls = n->cls,
                    .num = n->num,
                    .is_tensor = n->is_tensor,
                    .row_values = n->row_values,
                    .type = n->type};
    if (!all || (null && hr__node_rows[n->op].strict)) {
        made.nullable = true;
    } else {
        hr_view view = {0};
        hr_node run = *n;
        hr__run_fold(g, &run, &view);
        made.literal = run.literal;
        made.nullable = run.nullable;
        made.weak = weak && !made.nullable;
        if (n->cls == HR_CLASS_TEXT && !made.nullable) {
            made.op = HR_NODE_TEXT;
            HR_TRY(hr__expr_make_text(HR_EXPR_TEXT, view.at, (size_t)view.bytes, text_out, err));
            made.text = *text_out;
        }
    }
    *n = made;
    *done = true;
    return HR_OK;
}

// Which rows of a tensor are null, as a node over rows; -1: none.
static hr_status null_node(hr_graph *g, int32_t index, int32_t *out, hr_error *err)
{
    const hr_node n = *hr__graph_node(g, index);
    int32_t of[HR_EXPR_ARGS_MAX], node = -1;
    if (n.op == HR_NODE_LITERAL)
        return n.nullable ? hr__graph_bool(g, true, out, err) : (*out = -1, HR_OK);
    if (n.op == HR_NODE_COLUMN && n.nullable) {
        hr_node made = {.op = HR_NODE_IS_NULL,
                        .cls = HR_CLASS_BOOL,
                        .num = HR_NUM_BOOL,
                        .type = {.id = HR_TYPE_BOOL},
                        .row_values = 1,
                        .args = {index},
                        .arg_count = 1};
        return hr__graph_add(g, &made, out, err);
    }
    *out = -1;
    if (!n.nullable)
        return HR_OK;
    for (int32_t i = 0; i < n.arg_count; i++)
        HR_TRY(hr__graph_is_null(g, n.args[i], &of[i], err));
    if (n.op == HR_NODE_FILL_NULL)
        return hr__graph_logic(g, HR_NODE_AND, 0, of[0], of[1], out, err);
    if (n.op == HR_NODE_SELECT && !hr__graph_node(g, n.args[0])->is_tensor) {
        int32_t args[3] = {n.args[0], of[1], of[2]};
        return hr__graph_op(g, HR_NODE_SELECT, 0, HR_NUM_BOOL, args, 3, out, err);
    }
    if (n.op == HR_NODE_SELECT) { // else is null, or then is null and the condition is not
        HR_TRY(hr__graph_negate(g, of[0], &node, err));
        HR_TRY(hr__graph_logic(g, HR_NODE_AND, 0, of[1], node, &node, err));
        return hr__graph_logic(g, HR_NODE_OR, 0, node, of[2], out, err);
    }
    node = of[0];
    for (int32_t i = 1; i < n.arg_count; i++)
        HR_TRY(hr__graph_logic(g, HR_NODE_OR, 0, node, of[i], &node, err));
    *out = node;
    return HR_OK;
}

hr_status hr__graph_add(hr_graph *g, const hr_node *node, int32_t *out, hr_error *err)
{
    hr_node n = *node;
    hr_expr *text = NULL;
    void *key = NULL;
    size_t bytes = 0;
    uint64_t found;
    bool folded = false;
    hr_status status = HR_OK;
    n.null_node = -1;
    if (n.op != HR_NODE_PACK)
        HR_GO(fold(g, &n, &folded, &text, err));
    n.nullable = derive_nullable(g, &n);
    int32_t index = (int32_t)g->nodes.count;
    if (n.op != HR_NODE_PACK) {
        HR_GO(known_key(&n, &key, &bytes, err));
        if (hr__map_get(g->known, key, bytes, &found)) {
            *out = (int32_t)found;
            goto out;
        }
    }
    HR_GO(append(g, &n, err));
    if (key && (status = hr__map_put(g->known, key, bytes, (uint64_t)index, err)) != HR_OK) {
        node_release(&g->nodes.items[--g->nodes.count]);
        goto out;
    }
    if (n.is_tensor) {
        int32_t nulls = -1;
        status = null_node(g, index, &nulls, err);
        g->nodes.items[index].null_node = nulls;
        if (status) { // half made: nobody may find it
            if (key)
                hr__map_remove(g->known, key, bytes);
            goto out;
        }
    }
    *out = index;
out:
    hr__free(key);
    hr_expr_unref(&text);
    return status;
}

// --- shorthands ---

hr_status hr__graph_column(hr_graph *g, int32_t column, int32_t *out, hr_error *err)
{
    const hr_field *field = hr_schema_field(g->source, column);
    int num = hr__num_of_type(field->type->id == HR_TYPE_TENSOR ? field->type->item->id
                                                                : field->type->id);
    hr_node n = {.op = HR_NODE_COLUMN,
                 .cls = hr__type_class(field->type),
                 .num = num < 0 ? HR_NUM_U8 : (hr_num)num,
                 .is_tensor = field->type->id == HR_TYPE_TENSOR,
                 .nullable = field->nullable,
                 .type = *field->type,
                 .row_values = hr__type_row_values(field->type),
                 .column = column};
    return hr__graph_add(g, &n, out, err);
}

hr_status hr__graph_bool(hr_graph *g, bool value, int32_t *out, hr_error *err)
{
    hr_node n = {.op = HR_NODE_LITERAL,
                 .cls = HR_CLASS_BOOL,
                 .num = HR_NUM_BOOL,
                 .type = {.id = HR_TYPE_BOOL},
                 .row_values = 1,
                 .literal = {.i = value}};
    return hr__graph_add(g, &n, out, err);
}

hr_status hr__graph_int(hr_graph *g, int64_t value, int32_t *out, hr_error *err)
{
    hr_node n = {.op = HR_NODE_LITERAL,
                 .cls = HR_CLASS_NUMBER,
                 .num = HR_NUM_I64,
                 .weak = true,
                 .type = {.id = HR_TYPE_INT64},
                 .row_values = 1,
                 .literal = {.i = value}};
    return hr__graph_add(g, &n, out, err);
}

hr_status hr__graph_null_like(hr_graph *g, int32_t like, int32_t *out, hr_error *err)
{
    hr_node n = *hr__graph_node(g, like);
    hr_node made = {.op = HR_NODE_LITERAL,
                    .cls = n.cls,
                    .num = n.num,
                    .nullable = true,
                    .type = n.is_tensor ? *n.type.item : n.type,
                    .row_values = 1};
    if (n.cls == HR_CLASS_TEXT && n.type.id == HR_TYPE_DICTIONARY)
        made.type = *n.type.item;
    return hr__graph_add(g, &made, out, err);
}

// Type and shape from the arguments.
static hr_status add_op(hr_graph *g, hr_node_op op, int sub, hr_num num, const hr_type *scalar,
                        hr_class cls, const int32_t *args, int32_t count, int32_t *out,
                        hr_error *err)
{
    hr_node n = {.op = op,
                 .sub = (int8_t)sub,
                 .cls = cls,
                 .num = num,
                 .of = hr__graph_node(g, args[0])->num,
                 .type = *scalar,
                 .row_values = 1,
                 .arg_count = count};
    for (int32_t i = 0; i < count; i++) {
        const hr_node *a = hr__graph_node(g, args[i]);
        n.args[i] = args[i];
        if (!a->is_tensor || n.is_tensor)
            continue;
        n.is_tensor = true;
        n.row_values = a->row_values;
        n.type = a->type;
        n.type.item = hr__num_type(num);
    }
    return hr__graph_add(g, &n, out, err);
}

hr_status hr__graph_op(hr_graph *g, hr_node_op op, int sub, hr_num num, const int32_t *args,
                       int32_t count, int32_t *out, hr_error *err)
{
    return add_op(g, op, sub, num, hr__num_type(num),
                  num == HR_NUM_BOOL ? HR_CLASS_BOOL : HR_CLASS_NUMBER, args, count, out, err);
}

hr_status hr__graph_op_like(hr_graph *g, hr_node_op op, int sub, int32_t like, const int32_t *args,
                            int32_t count, int32_t *out, hr_error *err)
{
    const hr_node *n = hr__graph_node(g, like);
    hr_type scalar = n->is_tensor || n->type.id == HR_TYPE_DICTIONARY ? *n->type.item : n->type;
    return add_op(g, op, sub, n->num, &scalar, n->cls, args, count, out, err);
}

hr_status hr__graph_cast(hr_graph *g, int32_t node, hr_num num, int32_t *out, hr_error *err)
{
    const hr_node n = *hr__graph_node(g, node);
    if (n.cls == HR_CLASS_NULL) {
        hr_node made = {.op = HR_NODE_LITERAL,
                        .cls = num == HR_NUM_BOOL ? HR_CLASS_BOOL : HR_CLASS_NUMBER,
                        .num = num,
                        .nullable = true,
                        .type = *hr__num_type(num),
                        .row_values = 1};
        return hr__graph_add(g, &made, out, err);
    }
    if (n.num == num && n.cls != HR_CLASS_TIME && !n.weak) {
        *out = node;
        return HR_OK;
    }
    return hr__graph_op(g, HR_NODE_CAST, 0, num, &node, 1, out, err);
}
