// SPDX-License-Identifier: Apache-2.0
// A program inside: outputs over one graph, and for each way it is run a plan with its temporaries laid out.
//
// A plan is a list of steps in order of evaluation; each writes a register. Temporaries are buffers of one size,
// reused as soon as the last reader has run, so a plan of any length works in a few cache-sized buffers. The last step
// of an output writes into the output itself. What decides the size of a chunk stands in plan.c.
#ifndef HR_EXPR_EXPR_PROGRAM_H
#define HR_EXPR_EXPR_PROGRAM_H

#include "expr/expr_graph.h"

typedef struct hr_step {
    int32_t node;
    int32_t args[HR_EXPR_ARGS_MAX]; // steps
    int32_t *list;                  // PACK: steps; owned by the plan
    int32_t data_buffer;            // -1: none
    int32_t valid_buffer;
    int32_t output;     // computed straight into this output's slot; -1
    bool values_needed; // COLUMN of text
} hr_step;

typedef struct hr_plan {
    hr_step *steps;
    int32_t step_count;
    int32_t *outputs, *output_steps; // output_count each
    int32_t output_count;
    bool piece; // a chunk is at most chunk_values values of one row
    int64_t chunk_rows, chunk_values;
    int32_t data_buffers, valid_buffers;
    size_t data_buffer_bytes, valid_buffer_bytes;
    int64_t mask_values; // the most values that a step has in a chunk
    int32_t list_max;    // of PACKs
} hr_plan;

typedef struct hr_output {
    char *name;
    int32_t node;
} hr_output;

struct hr_chain {
    hr_graph graph;
    HR_VEC(hr_output) outputs;
    int32_t predicate; // -1: none
    hr_schema *schema; // made when asked for
};

struct hr_program {
    _Atomic uint32_t refs;
    hr_graph graph;
    hr_output *outputs;
    int32_t output_count;
    int32_t predicate;
    hr_schema *schema;
    int32_t *sources;
    bool *source_in_predicate;
    int32_t source_count;
    int32_t *in_place; // source column by output, or -1
    hr_plan filter;    // outputs: none; the predicate is the last step
    hr_plan *each;     // by output; empty where it passes through
    hr_plan *groups;   // all computed outputs, by shape
    int32_t group_count;
    HR_VEC(hr_conjunct) conjuncts;
};

// A plan that computes `nodes`, for the outputs of those indexes (outputs NULL: for none).
HR_USE_RESULT hr_status hr__plan_make(const hr_graph *graph, const int32_t *nodes,
                                      const int32_t *outputs, int32_t count, hr_plan *plan,
                                      hr_error *err);
void hr__plan_release(hr_plan *plan);
size_t hr__plan_scratch_bytes(const hr_plan *plan);
// Source columns that a node reads: their flags are set in `needed` (by column; room for all).
HR_USE_RESULT hr_status hr__graph_sources(const hr_graph *graph, const int32_t *nodes,
                                          int32_t count, bool *needed, hr_error *err);
HR_USE_RESULT hr_status hr__program_find_conjuncts(hr_program *program, hr_error *err);

#endif
