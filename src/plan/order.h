// SPDX-License-Identifier: Apache-2.0
// The window shuffle as arithmetic: which row comes in which round. Knows row counts and nothing else; immutable.
//
//   units, in their order of (seed, epoch)      dealt to lanes: each to that of the fewest rows, ties to the lowest
//   lane 0   [unit 0        ][unit 3  ]
//   lane 1   [unit 1  ][unit 4          ]       a round takes window_rows rows: the same share of each lane that has
//   lane 2   [unit 2             ]              rows left, from its front, across the units' borders
//            |round 0|round 1|…
//
// So a round is a function of the footers, the position within an epoch is a round, and whatever reads rounds needs one
// unit of each lane open. Lanes end at different rounds: between two such ends the shares stay the same (a phase),
// which makes every question here a division.
#ifndef HR_PLAN_ORDER_H
#define HR_PLAN_ORDER_H

#include "base/error.h"

#define HR_ORDER_LANES_MAX 256

typedef struct hr_order hr_order;

// Lanes are never more than units, nor than window_rows. Rows of units are positive, their sum fits 63 bits.
HR_USE_RESULT hr_status hr__order_open(const int64_t *unit_rows, size_t unit_count, int64_t lanes,
                                       int64_t window_rows, hr_order **out, hr_error *err);
void hr__order_close(hr_order **order);
int32_t hr__order_lanes(const hr_order *order);
int64_t hr__order_rounds(const hr_order *order);
int64_t hr__order_lane_rows(const hr_order *order, int32_t lane);
// The lane's row with which its share of a round begins; where it has none, and behind the last round: its end.
int64_t hr__order_begin(const hr_order *order, int64_t round, int32_t lane);
// The round that takes this row of a lane.
int64_t hr__order_round_of(const hr_order *order, int32_t lane, int64_t row);
// The unit that holds this row of a lane, and the lane's row with which it begins.
size_t hr__order_unit(const hr_order *order, int32_t lane, int64_t row, int64_t *begin_out);
// Rows of all lanes before a round.
int64_t hr__order_rows_before(const hr_order *order, int64_t round);
// The order of a round's `count` rows, numbered lane by lane after filters.
void hr__order_permute(uint64_t seed, uint64_t epoch, int64_t round, uint32_t *out, uint32_t count);

#endif
