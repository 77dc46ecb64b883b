// SPDX-License-Identifier: Apache-2.0
// The units of one epoch dealt to the lanes of a window shuffle, and pieces of them as its rounds need them.
// Caller-serialised.
#ifndef HR_PLAN_LANES_H
#define HR_PLAN_LANES_H

#include "plan/order.h"
#include "plan/plan_internal.h"

// A function's call behind a window shuffle, when it names no batch_rows, by the footers: as large as a lane's share of
// a round, and no larger than this, so that a round has room in small budgets.
#define HR_LANE_CALL_BYTES (512 << 10)

typedef struct hr_lanes hr_lanes;

typedef struct hr_lanes_config {
    int64_t lanes, window_rows;
    int64_t task_bytes;  // aimed at
    int64_t first_round; // those before are not read
    hr_share *share;     // borrowed, as hr__units_open wants it
    hr_hints *hints;     // borrowed; NULL: nothing is read ahead
    void (*rewake)(void *);
    void *rewake_context;
} hr_lanes_config;

typedef struct hr_lane_piece {
    hr_unit_run *run;    // a reference
    int64_t first, rows; // of its fragment
    int32_t lane;
    int64_t rounds_ready; // rounds below it are complete with this piece
    hr_marks *marks;      // the caller's to free
} hr_lane_piece;

HR_USE_RESULT hr_status hr__lanes_open(hr_pipe *pipe, uint64_t epoch, const hr_lanes_config *config,
                                       hr_lanes **out, hr_error *err);
// HR_END: the epoch is over. HR_AGAIN: as hr__units_next.
HR_USE_RESULT hr_status hr__lanes_next(hr_lanes *lanes, hr_lane_piece *out, hr_error *err);
void hr__lanes_close(hr_lanes **lanes);

#endif
