// SPDX-License-Identifier: Apache-2.0
// The batcher inside: what its taker (batch_take.c) and the rest of it (batcher.c) share.
#ifndef HR_PLAN_BATCH_PARTS_H
#define HR_PLAN_BATCH_PARTS_H

#include "plan/rounds.h"
#include <stdatomic.h>

typedef struct hr_waiting { // a piece or a round that waits, or what is left of it
    hr_object_id object;    // a reference
    hr_round *round;        // instead: a reference
    int64_t first, rows, bytes;
    hr_place_in_order at;
} hr_waiting;

struct hr_batcher {
    hr_batch_config config;
    hr_out_sink sink;
    hr_read_flow *read;
    hr_flow *flow;
    hr_mutex mutex;
    HR_VEC(hr_piece) queue; // guards: mutex. From queue_at on
    size_t queue_at;        // guards: mutex
    uint64_t queue_bytes;   // guards: mutex
    bool put_blocked;       // guards: mutex. The read flow was told HR_AGAIN
    bool read_over;         // guards: mutex
    bool reading;           // guards: mutex. `read` is set
    hr_status read_status;  // guards: mutex
    hr_error read_error;
    // the taker's
    hr_rounds *rounds;        // NULL: nothing is permuted
    HR_VEC(hr_waiting) carry; // what the next batches are made of
    size_t carry_at;
    int64_t carry_rows, carry_bytes;
    uint64_t epoch;
    bool begun;             // some piece of the epoch was seen
    bool passed;            // nothing is passed over any more
    int64_t more_pieces;    // still to be passed over
    int64_t batch;          // the next one's number in its epoch
    int64_t rows_before;    // of this epoch's order
    hr_cut cut;             // of this epoch; its tail, once that is reached
    int64_t pad_rows;       // the tail is padded: its rows, which all its batches repeat
    hr_place_in_order step; // from where the step of the next batch can be made
    uint64_t least_bytes;   // that the share was told
    _Atomic int64_t dropped_rows, padded_rows;
    // The next piece may use the reserve only when no batch could be made without it: room for what can be made goes
    // first.
    _Atomic bool lacking;    // the taker needs more rows
    _Atomic int32_t gathers; // taken and not laid out yet
};

typedef enum hr_item_kind { HR_ITEM_VIEWS, HR_ITEM_GATHER, HR_ITEM_EPOCH_END } hr_item_kind;

typedef struct hr_gather_source {
    hr_object_id object; // a reference
    hr_round *round;     // instead: a reference
    int64_t first, rows;
} hr_gather_source;

typedef struct hr_batch_item {
    hr_item_kind kind;
    uint32_t epoch;
    int64_t batch, count;      // the first one's number, and how many
    int64_t row_index;         // of the first row of all
    hr_object_id object;       // views: a reference; gathered: the result
    int64_t first, rows;       // of all of them
    int64_t given, given_rows; // batches, and rows
    int64_t row_bytes;
    int64_t end_row; // padded: of the step; else 0
    hr_cut cut;      // no rows: one batch of all rows
    hr_place_in_order at;
    hr_gather_source *sources;
    int32_t source_count;
    bool cycle;   // the sources are repeated from row `first` of theirs on
    bool counted; // in gathers
} hr_batch_item;

// The flow's take. Caller-serialised.
HR_USE_RESULT hr_status hr__batch_take(hr_batcher *batcher, hr_batch_item *item,
                                       uint64_t *weight_bytes, hr_error *err);
void hr__batcher_tell_hungry(hr_batcher *batcher); // the read flow may use the reserve now
void hr__waiting_release(hr_batcher *batcher, hr_waiting *waiting);

#endif
