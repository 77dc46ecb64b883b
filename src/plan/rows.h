// SPDX-License-Identifier: Apache-2.0
// Rows of many blocks, in any order, as one new span.
#ifndef HR_PLAN_ROWS_H
#define HR_PLAN_ROWS_H

#include "kernel/kernel.h"
#include "plan/plan_internal.h"

// Blocks that rows are taken from, and where their columns lie. Immutable, counted.
typedef struct hr_rowset {
    _Atomic uint32_t refs;
    hr_schema *schema; // of what is taken
    int32_t column_count;
    int32_t *columns; // of each field: its number in the blocks
    hr_block **blocks;
    uint32_t block_count;
    // Of each field: the first value in each block. NULL: some block has nulls in it, or its rows differ in width.
    const void ***bases;
} hr_rowset;
// Takes the blocks and their array, also on failure. columns: those wanted, in order (schema's fields); NULL: the
// first.
HR_USE_RESULT hr_status hr__rowset_make(const hr_schema *schema, const int32_t *columns,
                                        hr_block **blocks, uint32_t count, hr_rowset **out,
                                        hr_error *err);
hr_rowset *hr__rowset_ref(hr_rowset *set);
void hr__rowset_unref(hr_rowset **set);

typedef struct hr_row_run {
    hr_rowset *set;           // all of a gather's have one schema
    const hr_table_row *rows; // base: a block's number in the set
    int64_t count;
} hr_row_run;
// The rows of the runs, one run after the other. HR_AGAIN as hr__gather.
HR_USE_RESULT hr_status hr__rows_gather(const hr_row_run *runs, int32_t count,
                                        const hr_target *target, hr_result *out, hr_error *err);

#endif
