// SPDX-License-Identifier: Apache-2.0
// Pieces of lanes become rounds, whose rows are permuted.
//
// hr_rounds is the taker's and caller-serialised. A round is shared by the gathers that read it; its order is found by
// the first of them, so that the taker, whom all wait for, need not.
#ifndef HR_PLAN_ROUNDS_H
#define HR_PLAN_ROUNDS_H

#include "plan/plan_internal.h"

typedef struct hr_round_part {
    hr_object_id object; // a reference
    int64_t first, rows;
} hr_round_part;

typedef struct hr_round {
    _Atomic uint32_t refs;
    hr_runtime *runtime; // borrowed
    uint64_t seed;
    uint32_t epoch;
    int64_t number;
    int64_t rows, bytes;
    hr_round_part *parts;
    int32_t part_count;
    hr_mutex mutex;
    uint32_t *order;     // guards: mutex, as all below, until it is there. Of the parts' rows
    hr_block **blocks;   // the parts; they keep their pins
    int32_t block_count; // opened so far
} hr_round;
hr_round *hr__round_ref(hr_round *round);
void hr__round_unref(hr_round **round);
// Finds the order and opens the parts; from then on `order` and `blocks` may be read. HR_AGAIN: a part is being read
// back from disk.
HR_USE_RESULT hr_status hr__round_prepare(hr_round *round, const hr_schema *schema, hr_error *err);

typedef struct hr_rounds hr_rounds;
HR_USE_RESULT hr_status hr__rounds_open(hr_runtime *runtime, uint64_t seed, int64_t first_round,
                                        hr_rounds **out, hr_error *err);
void hr__rounds_close(hr_rounds **rounds);
// Takes the piece, also on failure.
HR_USE_RESULT hr_status hr__rounds_put(hr_rounds *rounds, hr_piece *piece, hr_error *err);
// The next complete round that has rows; NULL: none is. The caller's reference.
HR_USE_RESULT hr_status hr__rounds_next(hr_rounds *rounds, hr_round **out, hr_error *err);
int64_t hr__rounds_bytes(const hr_rounds *rounds); // of rows that no round was made of yet
void hr__rounds_end_epoch(hr_rounds *rounds);      // all that was put was taken

#endif
