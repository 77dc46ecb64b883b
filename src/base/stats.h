// SPDX-License-Identifier: Apache-2.0
// Numbers people watch: where time went by cause, and distributions. Thread-safe where atomics; no locks.
#ifndef HR_BASE_STATS_H
#define HR_BASE_STATS_H

#include "base/compiler.h"

// What a thread of ours can be busy with. The report speaks in these words, in this order.
typedef enum hr_cause {
    HR_CAUSE_STORAGE,    // waiting for bytes
    HR_CAUSE_DECOMPRESS, // codecs
    HR_CAUSE_DECODE,     // encodings, levels, synthetic values
    HR_CAUSE_TRANSFORM,  // expressions, filters
    HR_CAUSE_FUNCTION,   // the user's own function
    HR_CAUSE_BATCH,      // gathering and laying out batches
    HR_CAUSE_SPILL,      // writing out, reading back
    HR_CAUSE_MEMORY,     // waiting for room in the budget
    HR_CAUSE_HANDOVER,   // descriptors, leases, waking up
    HR_CAUSE_CONSUMER,   // the trainer's own time
    HR_CAUSES,
} hr_cause;
const char *hr__cause_name(hr_cause cause); // "storage", "decompress", ...

typedef struct hr_busy {
    _Atomic uint64_t ns[HR_CAUSES];
    _Atomic int32_t threads[HR_CAUSES]; // that are busy with it now, whose time is not in `ns` yet
    _Atomic uint64_t read_bytes;        // from storage, by the threads accounted here
} hr_busy;

// The calling thread is busy with `cause` from now, accounted to `busy` until the next call (nestable by restoring
// what it returns). NULL busy: not accounted. Two clock reads a switch (about 50 ns): for pages, not for values.
typedef struct hr_busy_mark {
    hr_busy *busy;
    hr_cause cause;
} hr_busy_mark;
hr_busy_mark hr__busy_enter(hr_busy *busy, hr_cause cause);
hr_busy_mark hr__busy_switch(hr_cause cause); // same busy, another cause; no-op outside
void hr__busy_leave(hr_busy_mark previous);
void hr__busy_count_read(uint64_t bytes); // for the calling thread's busy; no-op outside

// Distribution of durations: exact up to 64 Ki values, then reservoir by a counter-based generator. Caller-serialised.
typedef struct hr_samples {
    double *values;
    size_t count, capacity;
    uint64_t seen;
    double max, sum;
} hr_samples;
void hr__samples_add(hr_samples *s,
                     double value); // drops silently when memory fails; sum, max, seen stay right
double
hr__samples_quantile(hr_samples *s,
                     double q); // linear interpolation as numpy's default; 0 when empty; sorts
void hr__samples_finish(hr_samples *s);

#endif
