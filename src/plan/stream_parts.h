// SPDX-License-Identifier: Apache-2.0
// A stream inside: what its opening (stream_open.c) and its running (stream.c) share.
#ifndef HR_PLAN_STREAM_PARTS_H
#define HR_PLAN_STREAM_PARTS_H

#include "plan/plan_internal.h"
#include <stdatomic.h>

#define HR_TASK_BYTES (2ll << 20)

typedef enum hr_rank_state {
    HR_RANK_SHARED,
    HR_RANK_DETACHED,
    HR_RANK_OWN,
    HR_RANK_GONE
} hr_rank_state;

// Where a leg begins.
typedef struct hr_leg_start {
    hr_batch_start batches;
    hr_place_in_order at;
} hr_leg_start;

// Its batcher comes and goes (leg_turns.c); all but the first three are guarded by the stream's mutex.
typedef struct hr_leg {
    hr_stream *stream;
    int64_t only_rank;   // -1: all
    int64_t end_rank;    // epoch ends pushed so far
    hr_batcher *batcher; // NULL: it rests
    hr_leg_start next;   // behind what was pushed last
    int64_t passed;      // batches of that epoch below it were pushed
    bool over;           // its last epoch was made
    bool pushed;         // something since it began
    uint64_t begun_ns;
    bool leaving;      // the batcher is being closed: what it says does not count
    bool ended;        // the batcher has
    bool refused;      // with LIMIT: `why`
    uint64_t stuck_ns; // so long it has been without room; 0: not that we know
    hr_error why;
} hr_leg;

typedef struct hr_rank_end {
    hr_stream *stream;
    int64_t rank;
    hr_channel *channel;
    hr_rank_state state; // guards: stream mutex
    hr_leg_start resume; // guards: stream mutex. HR_RANK_DETACHED
    hr_leg *own;         // guards: stream mutex
} hr_rank_end;

struct hr_stream {
    hr_runtime *runtime; // a reference
    hr_dataset *dataset; // a reference
    hr_pipe *pipe;
    hr_share *share; // of the arena: all legs' and readers'
    hr_stream_options options;
    hr_position start; // of its first batch
    hr_cut cut;        // its steps; no rows: whole blocks
    hr_busy busy;
    hr_crew *crew; // whose threads work for it; borrowed; NULL: nobody's in particular
    hr_mutex mutex;
    hr_leg *shared; // guards: mutex. NULL: nobody has asked a deferred stream
    hr_rank_end *ranks;
    uint64_t epoch_read; // guards: mutex. Of an endless stream: the reader's that is farthest
    bool begun, closing; // guards: mutex. begun: its shared leg was opened, or failed to
    // Legs that stand in each other's way, or in their own (leg_turns.c). Guards: mutex
    hr_cond turns;
    hr_thread turner; // at first need
    bool turn_due, crowded;
    int32_t squeezed;                  // how often its legs were begun again with less at once
    int64_t turn;                      // the rank whose leg was begun last
    int64_t dropped_rows, padded_rows; // by batchers that are closed
    int64_t share_bytes;               // made ahead for each rank
    // Of a typical batch, of a step, of what they are made of; of all, where a shuffle looked
    int64_t batch_bytes, step_bytes, piece_bytes, all_bytes;
    _Atomic int64_t rows, blocks, batches, revoked;
};

// Opens a leg: of one rank, or (-1) of all. Lock held. On failure *out is NULL or to be closed, without the lock.
HR_USE_RESULT hr_status hr__leg_open(hr_stream *stream, int64_t only_rank,
                                     const hr_leg_start *start, hr_leg **out, hr_error *err);
// Opens the leg that serves all ranks from the stream's start on. Lock held.
HR_USE_RESULT hr_status hr__stream_begin(hr_stream *stream, hr_error *err);
HR_USE_RESULT hr_status hr__leg_begin(hr_leg *leg,
                                      hr_error *err); // its batcher, from `next` on. Lock held
void hr__leg_close(hr_leg **leg);
bool hr__leg_serves(const hr_leg *leg, int64_t rank); // Lock held
// Fails the ranks that it serves. Lock held.
void hr__leg_finish(hr_leg *leg, hr_status status, const char *message);

// leg_turns.c
void hr__leg_stuck(void *leg, uint64_t for_ns); // as a sink's
// Lock held. Whether what ended with LIMIT is to be tried again with less at once.
bool hr__leg_may_retry(const hr_leg *leg);
void hr__turns_look(hr_stream *stream);          // something changed that may matter. Lock held
void hr__turns_close(hr_stream *stream);         // without the lock; `closing` is set
void hr__stream_channel_changed(void *rank_end); // as hr__channel_on_change wants it

#endif
