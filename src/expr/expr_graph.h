// SPDX-License-Identifier: Apache-2.0
// The typed graph: trees lowered over a schema into nodes that each run as one pass of a kernel.
//
// A node is known by what it computes (operation, type, arguments), so an equal part is one node however often it was
// written, and its arguments always have smaller indexes than itself: the order of the array is an order of evaluation.
// Every conversion is a node: an operation sees operands of one type and one shape. What has only literals as arguments
// is computed when it is added and becomes a literal.
//
// Nulls are per row: a tensor row is null as a whole. Nodes only ever get added; a failed step may leave unused ones.
#ifndef HR_EXPR_EXPR_GRAPH_H
#define HR_EXPR_EXPR_GRAPH_H

#include "base/map.h"
#include "base/vec.h"
#include "block/block.h"
#include "expr/expr.h"
#include "expr/expr_tree.h"
#include "kernel/kernel.h"

#define HR_GRAPH_NODES_MAX (1 << 20)

typedef enum hr_node_op {
    HR_NODE_COLUMN,  // of the source
    HR_NODE_LITERAL, // a number, bool or time; null when `nullable`
    HR_NODE_TEXT,    // a text literal
    HR_NODE_CAST,
    HR_NODE_DECIMAL, // a decimal column as float64
    HR_NODE_BROADCAST,
    HR_NODE_ARITH,        // sub: hr_arith
    HR_NODE_DIVIDE,       // sub: hr_divide; integer divisors are not 0 where valid
    HR_NODE_NULL_IF_ZERO, // integers
    HR_NODE_UNARY,        // sub: hr_unary
    HR_NODE_COMPARE,      // sub: hr_compare
    HR_NODE_CLASSIFY,     // sub: hr_classify
    HR_NODE_AND,          // sub 1: null when either is null; else Kleene
    HR_NODE_OR,
    HR_NODE_XOR, // sub 1: negated
    HR_NODE_NOT,
    HR_NODE_SELECT, // condition (null counts as false), then, else
    HR_NODE_FILL_NULL,
    HR_NODE_IS_NULL,
    HR_NODE_TEXT_COMPARE,
    HR_NODE_TEXT_SELECT,
    HR_NODE_TEXT_FILL,
    HR_NODE_PACK, // list
    HR_NODE_COUNT
} hr_node_op;

typedef enum hr_class {
    HR_CLASS_NUMBER,
    HR_CLASS_BOOL,
    HR_CLASS_TIME, // dates, times, timestamps, durations: integers with a unit
    HR_CLASS_TEXT, // STRING, BINARY, DICTIONARY of them
    HR_CLASS_NULL,
    HR_CLASS_OTHER, // may pass through and be asked for nulls, nothing else
} hr_class;

typedef struct hr_node {
    hr_node_op op;
    int8_t sub;
    hr_class cls;
    hr_num num; // how values lie in memory (NUMBER, TIME, BOOL)
    hr_num of;  // of the arguments, where it differs in kind: COMPARE, CAST
    bool is_tensor;
    bool weak; // a literal as it was written, or a computation of such: takes its partner's type
    bool nullable; // may be null
    int64_t row_values;
    hr_type type; // item and timezone are static or the source schema's
    int32_t args[HR_EXPR_ARGS_MAX];
    int32_t arg_count;
    int32_t column;    // COLUMN
    int32_t null_node; // of a tensor: a BOOL node that tells which rows are null; -1: none
    union {
        uint8_t bytes[8]; // LITERAL, as `num` lies in memory; BOOL: bit 0
        int64_t i;
        uint64_t u;
        double f;
        float f32;
    } literal;
    hr_expr *text; // TEXT: a reference
    // PACK
    int32_t *list; // owned
    int32_t list_count;
    bool null_error;
    double null_fill;
    const char *const *list_names; // owned, for messages; one allocation
} hr_node;

typedef struct hr_graph {
    hr_schema *source;
    HR_VEC(hr_node) nodes;
    hr_map *known;
} hr_graph;

HR_USE_RESULT hr_status hr__graph_open(const hr_schema *source, hr_graph *graph, hr_error *err);
HR_USE_RESULT hr_status hr__graph_clone(const hr_graph *graph, hr_graph *out, hr_error *err);
void hr__graph_close(hr_graph *graph);

static inline const hr_node *hr__graph_node(const hr_graph *graph, int32_t index)
{
    HR_DASSERT(index >= 0 && (size_t)index < graph->nodes.count);
    return &graph->nodes.items[index];
}

// Adds a node or finds the equal one; folds. Of `node` the caller fills op, sub, of, args, type, num, cls, is_tensor,
// row_values and what the operation needs; the rest is derived. Pointers to nodes are void afterwards.
HR_USE_RESULT hr_status hr__graph_add(hr_graph *graph, const hr_node *node, int32_t *out,
                                      hr_error *err);
HR_USE_RESULT hr_status hr__graph_column(hr_graph *graph, int32_t column, int32_t *out,
                                         hr_error *err);
HR_USE_RESULT hr_status hr__graph_bool(hr_graph *graph, bool value, int32_t *out, hr_error *err);
// An integer as a weak literal.
HR_USE_RESULT hr_status hr__graph_int(hr_graph *graph, int64_t value, int32_t *out, hr_error *err);
// A null of a node's type.
HR_USE_RESULT hr_status hr__graph_null_like(hr_graph *graph, int32_t like, int32_t *out,
                                            hr_error *err);
// op(args) whose values are `num`, a tensor when an argument is one. BOOL class when num is HR_NUM_BOOL.
HR_USE_RESULT hr_status hr__graph_op(hr_graph *graph, hr_node_op op, int sub, hr_num num,
                                     const int32_t *args, int32_t count, int32_t *out,
                                     hr_error *err);
// The same with the type (but not the shape) of `like`: times stay times.
HR_USE_RESULT hr_status hr__graph_op_like(hr_graph *graph, hr_node_op op, int sub, int32_t like,
                                          const int32_t *args, int32_t count, int32_t *out,
                                          hr_error *err);
// Numbers, bools and times to a number or bool; the node itself when it is that already.
HR_USE_RESULT hr_status hr__graph_cast(hr_graph *graph, int32_t node, hr_num num, int32_t *out,
                                       hr_error *err);
// A literal that is not null.
bool hr__node_is_literal(const hr_node *node);
bool hr__node_is_null(const hr_node *node);     // a null literal
int64_t hr__node_literal_int(const hr_node *n); // of an integer literal; unsigned ones wrap
double hr__node_literal_float(const hr_node *n);

// --- type rules (promote.c) ---
int hr__num_of_type(hr_type_id id); // -1: none
const hr_type *hr__num_type(hr_num num);
bool hr__num_is_float(hr_num num);
bool hr__num_is_signed(hr_num num); // integers
hr_class hr__type_class(const hr_type *type);
hr_num hr__num_common(hr_num a, hr_num b);
// Brings nodes to one type and one shape, as include/headrace/expr.h says; `name` is for the message. `classes` is a
// set of 1 << hr_class. The class they have is nodes[0]'s afterwards; nulls have taken it.
HR_USE_RESULT hr_status hr__graph_unify(hr_graph *graph, const char *name, unsigned classes,
                                        int32_t *nodes, int32_t count, hr_error *err);
// Scalars that are not literals become tensors like the one among them.
HR_USE_RESULT hr_status hr__graph_broadcast(hr_graph *graph, const char *name, int32_t *nodes,
                                            int32_t count, hr_error *err);
// The message for an argument that a function does not take: INVALID, or UNSUPPORTED where a cast is missing.
hr_status hr__graph_refuse(const hr_graph *graph, const char *name, const int32_t *nodes,
                           int32_t count, hr_error *err);
// ISO text to the integer of a time type. `rest` is set when the text is finer than the unit: it lies
// between *value_out and the next.
HR_USE_RESULT hr_status hr__time_parse(const char *text, const hr_type *type, int64_t *value_out,
                                       bool *rest_out, hr_error *err);

// --- lowering (bind.c) ---
// Node of a column's name, or -1.
typedef int32_t hr_resolve_fn(void *context, const char *name);
HR_USE_RESULT hr_status hr__graph_bind(hr_graph *graph, const hr_expr *expr, hr_resolve_fn *resolve,
                                       void *context, int32_t *out, hr_error *err);
// A column can have this type (not tensors of bool).
HR_USE_RESULT hr_status hr__graph_check_output(const hr_graph *graph, int32_t node, hr_error *err);
HR_USE_RESULT hr_status hr__graph_negate(hr_graph *graph, int32_t node, int32_t *out,
                                         hr_error *err);
HR_USE_RESULT hr_status hr__graph_logic(hr_graph *graph, hr_node_op op, int sub, int32_t a,
                                        int32_t b, int32_t *out, hr_error *err);
// Text operands (fn_text.c); nodes are of class TEXT or null.
HR_USE_RESULT hr_status hr__graph_text_compare(hr_graph *graph, int compare, int32_t a, int32_t b,
                                               int32_t *out, hr_error *err);
HR_USE_RESULT hr_status hr__graph_text_op(hr_graph *graph, hr_node_op op, const int32_t *args,
                                          int32_t count, int32_t *out, hr_error *err);
HR_USE_RESULT hr_status hr__graph_is_null(hr_graph *graph, int32_t node, int32_t *out,
                                          hr_error *err);

#endif
