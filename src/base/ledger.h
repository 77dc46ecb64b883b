// SPDX-License-Identifier: Apache-2.0
// The one count of bytes: arena pages and the pipeline's heap draw on the same limit. Thread-safe (atomics).
//
// A ledger never blocks and never calls out: it says yes or no. Who is told no asks less, frees, or waits its turn.
#ifndef HR_BASE_LEDGER_H
#define HR_BASE_LEDGER_H

#include "base/error.h"

typedef enum hr_ledger_kind {
    HR_LEDGER_ARENA,   // pages of shared segments that were touched and not given back
    HR_LEDGER_SCRATCH, // decode scratch, read buffers
    HR_LEDGER_HEAP,    // everything else of the pipeline
    HR_LEDGER_KINDS,
} hr_ledger_kind;

typedef struct hr_ledger {
    uint64_t limit_bytes;
    _Atomic uint64_t used_bytes; // of all kinds
    _Atomic uint64_t peak_bytes;
    _Atomic uint64_t kind_used_bytes[HR_LEDGER_KINDS];
    _Atomic uint64_t kind_peak_bytes[HR_LEDGER_KINDS];
} hr_ledger;

void hr__ledger_init(hr_ledger *ledger, uint64_t limit_bytes);
bool hr__ledger_try_charge(hr_ledger *ledger, hr_ledger_kind kind,
                           uint64_t bytes); // false: over the limit
void hr__ledger_force_charge(hr_ledger *ledger, hr_ledger_kind kind,
                             uint64_t bytes); // memory that exists already
void hr__ledger_uncharge(hr_ledger *ledger, hr_ledger_kind kind, uint64_t bytes);

// Recycled scratch memory, charged as SCRATCH: a cache of warm buffers by quarters of a power of two. Thread-safe.
// Scratch is taken and given back thousands of times a second, so freed buffers stay charged and warm up to
// keep_bytes_max, and are freed beyond it.
typedef struct hr_scratch hr_scratch;
HR_USE_RESULT hr_status hr__scratch_open(hr_ledger *ledger, uint64_t keep_bytes_max,
                                         hr_scratch **out, hr_error *err);
void hr__scratch_close(hr_scratch **scratch);
// 64-byte aligned, readable and writable to the next multiple of 64 past `bytes` plus 64 more (SIMD slack).
// Over the ledger's limit, once everything spare is gone: HR_LIMIT naming the size.
HR_USE_RESULT hr_status hr__scratch_take(hr_scratch *scratch, size_t bytes, void *out,
                                         hr_error *err);
void hr__scratch_give(hr_scratch *scratch, void *memory); // NULL is fine
// Frees every kept buffer; returns the bytes given back.
uint64_t hr__scratch_trim(hr_scratch *scratch);

// What somebody keeps to save work and can make again (pages of a file, idle pages of an arena): it goes when the
// ledger refuses. Who waits for memory keeps nothing else.
typedef struct hr_spare {
    // Frees some of it that nobody uses at the moment; returns the bytes. Any thread; may give scratch, not take it.
    uint64_t (*give)(struct hr_spare *self, uint64_t bytes);
    bool first;            // asked before all others, and before kept buffers go
    struct hr_spare *next; // the scratch's
} hr_spare;
void hr__scratch_add_spare(hr_scratch *scratch, hr_spare *spare);
void hr__scratch_remove_spare(hr_scratch *scratch,
                              hr_spare *spare); // waits for a call of `give` under way
// Spares that are `first`, kept buffers, then the other spares in turn, until `bytes` are back or nothing is left;
// returns how many.
uint64_t hr__scratch_reclaim(hr_scratch *scratch, uint64_t bytes);

#endif
