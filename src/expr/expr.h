// SPDX-License-Identifier: Apache-2.0
// The room's door: trees, and programs: a chain of row-local steps in one normal form.
//
// However many maps, filters, renames and selections were chained, a program is
//     one predicate over source columns (or none)  +  for each output column a tree over source columns.
// Chaining substitutes: after `x = x * 2`, a later `y = x + 1` holds (x * 2) + 1, and common parts are shared. So a
// program reads each source column once, and what a column pruned from the output needs is not read at all.
#ifndef HR_EXPR_EXPR_H
#define HR_EXPR_EXPR_H

#include "base/stats.h"
#include "block/block.h"
#include "block/wire.h"
#include <headrace/expr.h>

// "x = x * 2; y = log(x)": assignments in order, split and parsed. Each name is freed with the list.
typedef struct hr_assignment {
    char *name;
    hr_expr *expr;
} hr_assignment;
HR_USE_RESULT hr_status hr__assignments_parse(const char *text, hr_assignment **out,
                                              int32_t *count_out, hr_error *err);
void hr__assignments_free(hr_assignment *list, int32_t count);

// --- chaining (caller-serialised) ---
typedef struct hr_chain hr_chain;
HR_USE_RESULT hr_status hr__chain_open(const hr_schema *source, hr_chain **out, hr_error *err);
HR_USE_RESULT hr_status hr__chain_clone(const hr_chain *chain, hr_chain **out, hr_error *err);
void hr__chain_close(hr_chain **chain);
HR_USE_RESULT hr_status hr__chain_assign(hr_chain *chain, const char *name, const hr_expr *expr,
                                         hr_error *err); // replaces or appends
HR_USE_RESULT hr_status hr__chain_filter(hr_chain *chain, const hr_expr *predicate,
                                         hr_error *err); // BOOL; null counts as false
HR_USE_RESULT hr_status hr__chain_select(hr_chain *chain, const char *const *names, int32_t count,
                                         hr_error *err);
HR_USE_RESULT hr_status hr__chain_drop(hr_chain *chain, const char *const *names, int32_t count,
                                       hr_error *err);
HR_USE_RESULT hr_status hr__chain_rename(hr_chain *chain, const char *from, const char *to,
                                         hr_error *err);
// Packs number columns (and tensors) into one TENSOR column of `type` (FLOAT32, FLOAT64, or the integer type that all
// have), [row, values in column order]; they leave the output unless `keep`, and the new column stands last. null_fill
// stands for nulls; null_error: a null is an error that names the column.
typedef struct hr_pack {
    const char *const *names;
    int32_t count;
    hr_type_id type;
    const char *out_name;
    bool keep;
    bool null_error;
    double null_fill;
} hr_pack;
HR_USE_RESULT hr_status hr__chain_pack(hr_chain *chain, const hr_pack *pack, hr_error *err);
// Of the output so far; borrowed until the next step; NULL: no memory
const hr_schema *hr__chain_schema(const hr_chain *chain);
// What the chain computes, as a number that is the same in another process; `before` enters into it (chain_digest.c).
HR_USE_RESULT hr_status hr__chain_digest(const hr_chain *chain, uint64_t before, uint64_t *out,
                                         hr_error *err);
bool hr__chain_is_identity(const hr_chain *chain); // nothing but the source's columns as they are

// --- programs (immutable, shared by threads) ---
typedef struct hr_program hr_program;
HR_USE_RESULT hr_status hr__chain_finish(const hr_chain *chain, hr_program **out, hr_error *err);
hr_program *hr__program_ref(const hr_program *program);
void hr__program_unref(hr_program **program);
const hr_schema *hr__program_schema(const hr_program *program); // of the output; borrowed
// Source columns that must be read, ascending; those the predicate needs come with in_predicate true.
int32_t hr__program_sources(const hr_program *program, const int32_t **indexes_out,
                            const bool **in_predicate_out);
bool hr__program_has_predicate(const hr_program *program);
// The source column that output `index` is, unchanged; or -1 when it is computed.
int32_t hr__program_passthrough(const hr_program *program, int32_t index);
// The source column in whose memory output `index` may be computed in place (same width, nothing reads the old value
// later); or -1. Two outputs never get the same column.
int32_t hr__program_in_place(const hr_program *program, int32_t index);
// Conjuncts `source column <op> literal` of the predicate, for pruning by statistics.
typedef enum hr_relation {
    HR_EQ,
    HR_NE,
    HR_LT,
    HR_LE,
    HR_GT,
    HR_GE,
    HR_IS_NULL,
    HR_IS_NOT_NULL
} hr_relation; // same order as format's hr_compare_op
typedef struct hr_literal {
    hr_type_id id; /* BOOL, INT64, FLOAT64, STRING */
    int64_t i;
    double f;
    const char *text;
} hr_literal;
typedef struct hr_conjunct {
    int32_t column;
    hr_relation compare;
    hr_literal literal;
} hr_conjunct;
int32_t hr__program_conjuncts(const hr_program *program, const hr_conjunct **out);
// Heap that one worker needs beside inputs and outputs (a constant, cache-sized).
size_t hr__program_scratch_bytes(const hr_program *program);

// --- running. One evaluator a thread ---
typedef struct hr_eval hr_eval;
HR_USE_RESULT hr_status hr__eval_open(const hr_program *program, hr_eval **out, hr_error *err);
void hr__eval_close(hr_eval **eval);
// Rows of `inputs` (indexed by source column; those not needed may be zeroed) for which the predicate holds: their
// indexes, ascending, in selected (room for `rows`).
HR_USE_RESULT hr_status hr__eval_filter(hr_eval *eval, const hr_column *inputs, int64_t rows,
                                        uint32_t *selected, int64_t *count_out, hr_error *err);
// Computes output column `index` for rows [0, rows) of inputs into slots at row `at`. Inputs are compacted already when
// there is a predicate. An output computed in place has its slot's data where the input's data is (its validity may
// lie there too). Validity of the slot is written when the slot has it; INVALID when a null meets a slot without.
// Variable-width outputs (fill_null of a string) append. null_count becomes -1, or 0 for a slot without validity.
HR_USE_RESULT hr_status hr__eval_column(hr_eval *eval, int32_t index, const hr_column *inputs,
                                        int64_t rows, hr_slot *slot, int64_t at, hr_error *err);
// All computed outputs (passthrough ones are skipped) in one cache-sized walk; slots indexed by output column.
HR_USE_RESULT hr_status hr__eval_columns(hr_eval *eval, const hr_column *inputs, int64_t rows,
                                         hr_slot *slots, int64_t at, hr_error *err);
// Bytes that a variable-width computed output needs for these inputs (upper bound); 0 for others.
int64_t hr__eval_var_bytes(hr_eval *eval, int32_t index, const hr_column *inputs, int64_t rows);

#endif
