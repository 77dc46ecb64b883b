// SPDX-License-Identifier: Apache-2.0
// Running nodes: what one pass sees. Caller-serialised: a frame belongs to one evaluator.
//
// A chunk is `rows` rows; in a plan whose rows are wider than a temporary it is a piece of one row (`piece`). A
// register holds a node's values for the chunk: values of its type, bits for BOOL, hr_view for text. Validity is a
// bitmap over the chunk's rows, from bit 0, in whole words; bits past the rows are noise. A scalar register has one
// value for all.
#ifndef HR_EXPR_EXPR_RUN_H
#define HR_EXPR_EXPR_RUN_H

#include "expr/expr_graph.h"
#include <string.h>

typedef struct hr_view {
    const char *at;
    int64_t bytes;
} hr_view;

typedef struct hr_reg {
    void *data;
    uint64_t *valid;      // NULL: no nulls
    uint64_t *valid_room; // where it may be written
    bool scalar;
} hr_reg;

typedef struct hr_frame {
    const hr_kernels *k;
    const hr_node *nodes;
    const hr_column *inputs;
    int64_t row, rows;             // of the chunk, relative to the inputs
    bool piece;                    // of row `row`: values [value, value + values)
    int64_t value, values;         // meaningful in a piece
    bool values_needed;            // COLUMN of text: someone reads more than its validity
    uint8_t *mask;                 // bytes, one per value
    uint64_t *bits[3];             // scratch, one bit per value
    uint64_t *zeros;               // no bit set
    const uint8_t *table;          // TEXT_COMPARE with a dictionary: the answer by code, or NULL
    hr_interleave_column *columns; // PACK: room for its list
    hr_status status;              // PACK
    hr_error *err;
} hr_frame;

typedef void hr_run_fn(hr_frame *f, const hr_node *node, hr_reg *out, const hr_reg *const *args);

typedef struct hr_node_row {
    hr_run_fn *run;
    bool strict; // null when an argument is null
} hr_node_row;
extern const hr_node_row hr__node_rows[HR_NODE_COUNT];

hr_run_fn hr__run_column, hr__run_literal, hr__run_text, hr__run_broadcast;       // eval.c
hr_run_fn hr__run_cast, hr__run_decimal, hr__run_arith, hr__run_divide;           // run_math.c
hr_run_fn hr__run_null_if_zero, hr__run_unary, hr__run_compare, hr__run_classify; // run_math.c
hr_run_fn hr__run_and, hr__run_or, hr__run_xor, hr__run_not;                      // run_logic.c
hr_run_fn hr__run_select, hr__run_fill_null, hr__run_is_null;                     // run_logic.c
hr_run_fn hr__run_text_compare, hr__run_text_select, hr__run_text_fill;           // run_text.c
hr_run_fn hr__run_pack;                                                           // pack.c

static inline int64_t hr__words(int64_t bits)
{
    return (bits + 63) / 64;
}
static inline int64_t hr__frame_count(const hr_frame *f, const hr_node *n)
{
    if (!n->is_tensor)
        return f->rows;
    return f->piece ? f->values : f->rows * n->row_values;
}
static inline bool hr__bit(const uint64_t *bits, int64_t i)
{
    return bits[i >> 6] >> (i & 63) & 1;
}
// out->valid: null where any argument is null.
void hr__run_strict(const hr_frame *f, hr_reg *out, const hr_reg *const *args, int32_t count);
// The bits of a BOOL register for `count` values; `room` is used where it is scalar.
const uint64_t *hr__run_bits(const hr_reg *reg, int64_t count, uint64_t *room);
// Folds a node whose arguments are literals: fills `literal`, `nullable` of *node, or *view_out for text.
void hr__run_fold(const hr_graph *graph, hr_node *node, hr_view *view_out);

// --- text (run_text.c) ---
// Views of rows [first, first + rows) of a text column.
void hr__text_views(const hr_column *column, int64_t first, int64_t rows, hr_view *out);
// *valid loses the nulls that stand in a dictionary's values; where it was NULL, `room` takes it.
void hr__text_dictionary_nulls(const hr_column *column, int64_t first, int64_t rows,
                               uint64_t **valid, uint64_t *room);
// table[code]: whether the dictionary's value compares true with the literal.
void hr__text_table(const hr_node *nodes, const hr_node *node, const hr_column *column,
                    uint8_t *table);
// Whether a node is answered from a dictionary's codes.
bool hr__text_by_code(const hr_node *nodes, const hr_node *node);
int64_t hr__text_column_bytes(const hr_column *column, int64_t rows);

#endif
