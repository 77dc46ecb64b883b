// SPDX-License-Identifier: Apache-2.0
// The tree inside: what hr_expr_parse makes, hr_expr_print writes and bind.c lowers. Immutable, atomically counted.
//
// A tree may share parts (it is a DAG), and nothing walks it by recursion: every walk has a stack of its own, bounded
// by HR_EXPR_DEPTH_MAX, which every constructor enforces.
#ifndef HR_EXPR_EXPR_TREE_H
#define HR_EXPR_EXPR_TREE_H

#include "base/mem.h"
#include <headrace/expr.h>

#define HR_EXPR_DEPTH_MAX 1000
#define HR_EXPR_TEXT_MAX  (1 << 20) // bytes of text that is parsed
#define HR_EXPR_ARGS_MAX  3

typedef enum hr_expr_kind {
    HR_EXPR_COLUMN, // text
    HR_EXPR_INT,
    HR_EXPR_FLOAT, // NaN is stored as one NaN
    HR_EXPR_BOOL,  // i is 0 or 1
    HR_EXPR_TEXT,
    HR_EXPR_NULL,
    HR_EXPR_CALL,
    HR_EXPR_CAST,
} hr_expr_kind;

// How tightly an operator binds; HR_BIND_NONE is written as a call.
enum {
    HR_BIND_NONE = 0,
    HR_BIND_OR = 1,
    HR_BIND_AND = 2,
    HR_BIND_NOT = 3,
    HR_BIND_COMPARE = 4, // does not chain
    HR_BIND_ADD = 5,
    HR_BIND_MUL = 6,
    HR_BIND_MINUS = 7, // unary
    HR_BIND_POW = 8,   // to the right
    HR_BIND_ATOM = 9,
};

struct hr_graph;
typedef struct hr_function hr_function;
// Lowers a call over nodes that are bound already; *out is a node of the graph.
typedef hr_status hr_bind_fn(struct hr_graph *graph, const hr_function *function,
                             const int32_t *args, int32_t count, int32_t *out, hr_error *err);

// One row a function: the tables stand in fn_math.c and fn_null.c and end with a NULL name.
struct hr_function {
    const char *name;
    int8_t args_min, args_max;
    int8_t precedence;
    int8_t op; // for the bind function: which of its family
    hr_bind_fn *bind;
};
extern const hr_function hr__functions_math[], hr__functions_null[];
const hr_function *hr__function_find(const char *name, size_t bytes); // NULL: none

struct hr_expr {
    _Atomic uint32_t refs;
    hr_expr_kind kind;
    int32_t depth; // 1 for a leaf
    int32_t arg_count;
    const hr_function *function; // CALL
    hr_type_id cast;             // CAST
    int64_t i;
    double f;
    hr_expr *next_dead; // links what hr_expr_unref still has to free
    hr_expr *args[HR_EXPR_ARGS_MAX];
    char text[]; // COLUMN, TEXT; NUL-terminated
};

bool hr__expr_equal(const hr_expr *a, const hr_expr *b); // the same tree
HR_USE_RESULT hr_status hr__expr_make_text(hr_expr_kind kind, const char *text, size_t bytes,
                                           hr_expr **out, hr_error *err);
HR_USE_RESULT hr_status hr__expr_make_call(const hr_function *function, hr_expr *const *args,
                                           int32_t count, hr_expr **out, hr_error *err);
// Whether a word means something else than a column when it stands alone (`and`, `null`, `nan`...).
bool hr__expr_is_reserved(const char *word, size_t bytes);
// Operator precedence of a node as print writes it.
int hr__expr_precedence(const hr_expr *expr);

#endif
