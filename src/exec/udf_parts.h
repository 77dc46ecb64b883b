// SPDX-License-Identifier: Apache-2.0
// What the two files of the runtime's side of functions in processes share: udf.c (calls, results, life) and
// udf_process.c (processes and their segments).
#pragma once
#include "base/thread.h"
#include "exec/exec.h"
#include "exec/udf_growth.h"
#include <stdatomic.h>

#define HR_UDF_SLICE_NS      ((uint64_t)50 * 1000000) // of a wait: how soon an interruption is seen
#define HR_UDF_PROCESSES_MAX 256
#define HR_UDF_ARGS_MAX      64

typedef enum hr_udf_slot_state {
    SLOT_EMPTY,
    SLOT_WANTED,  // the supervisor's
    SLOT_STARTED, // its caller's from here
    SLOT_FAILED,
    SLOT_BUSY,
    SLOT_IDLE,
} hr_udf_slot_state;

typedef struct hr_udf_segment {
    int fd; // -1: none
    uint64_t bytes;
    void *memory; // input only: mapped for writing
} hr_udf_segment;

typedef struct hr_udf_slot {
    hr_udf_slot_state state;
    pid_t pid;
    int fd; // our end of the pair
    bool begun;
    hr_udf_segment in, out;
    hr_udf_growth growth;
    hr_error failure; // FAILED: why
} hr_udf_slot;

struct hr_udf {
    hr_runtime *runtime; // a reference
    pid_t pid;           // of the process that opened it
    char *name;
    char *argv[HR_UDF_ARGS_MAX + 1];
    int payload_fd;
    uint64_t payload_bytes;
    int processes_max;
    _Atomic int64_t replaced; // processes, because of their growth
    int wake_fd;              // readable once it closes: whoever polls sees it
    hr_thread supervisor;
    hr_mutex mutex;
    hr_cond changed;                         // a slot's state, closing, or the last caller left
    bool closing;                            // guards: mutex
    int callers;                             // guards: mutex
    hr_udf_slot slots[HR_UDF_PROCESSES_MAX]; // guards: mutex, for the state; see above
};

// Adds to the ledger; what it refuses even after the idle pages went is charged all the same.
void hr__udf_charge(hr_udf *udf, uint64_t bytes);

// A segment of at least `bytes`: the one there is or a new one, mapped for writing when `map`. LIMIT, IO.
hr_status hr__udf_segment_fit(hr_udf *udf, hr_udf_segment *s, uint64_t bytes, bool map,
                              hr_error *err);
void hr__udf_segment_drop(hr_udf *udf, hr_udf_segment *s);

// A process for this caller alone: its slot, BUSY. Waits while all are busy. The caller gives it back (IDLE) or ends
// it.
hr_status hr__udf_acquire(hr_udf *udf, hr_udf_slot **out, hr_error *err);
void hr__udf_give_back(hr_udf *udf, hr_udf_slot *s);

// Ends the process whatever it is at, and empties the slot. Returns its exit code, for which one that hung up by
// itself (not by_us) is given a moment.
int hr__udf_end_process(hr_udf *udf, hr_udf_slot *s, bool by_us);

// The supervisor's thread: arg is the hr_udf. Returns once it is closing and the last caller left.
void hr__udf_supervise(void *arg);

// CANCELLED once nobody wants the result, or the runtime's own failure. Not under the mutex.
hr_status hr__udf_check_wanted(hr_udf *udf, hr_error *err);

// CANCELLED once it is closing. Under the mutex.
hr_status hr__udf_check_open(hr_udf *udf, hr_error *err);
