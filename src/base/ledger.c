// SPDX-License-Identifier: Apache-2.0
// The one count of bytes.
//
// The limit is kept by a single word, the bytes used by all kinds: a charge is one compare-and-swap on it, so two
// threads can never both take the last bytes. The counts by kind follow it and are only reported. Every access is
// relaxed: the numbers publish no memory, whoever hands memory on does that by means of its own.
#include "base/ledger.h"

#include <stdatomic.h>

void hr__ledger_init(hr_ledger *ledger, uint64_t limit_bytes)
{
    ledger->limit_bytes = limit_bytes;
    atomic_init(&ledger->used_bytes, 0);
    atomic_init(&ledger->peak_bytes, 0);
    for (int kind = 0; kind < HR_LEDGER_KINDS; kind++) {
        atomic_init(&ledger->kind_used_bytes[kind], 0);
        atomic_init(&ledger->kind_peak_bytes[kind], 0);
    }
}

static void raise_peak(_Atomic uint64_t *peak, uint64_t value)
{
    uint64_t seen = atomic_load_explicit(peak, memory_order_relaxed);
    while (value > seen && !atomic_compare_exchange_weak_explicit(
                               peak, &seen, value, memory_order_relaxed, memory_order_relaxed))
        ;
}

static void note_charge(hr_ledger *ledger, hr_ledger_kind kind, uint64_t bytes, uint64_t used)
{
    raise_peak(&ledger->peak_bytes, used);
    uint64_t before =
        atomic_fetch_add_explicit(&ledger->kind_used_bytes[kind], bytes, memory_order_relaxed);
    raise_peak(&ledger->kind_peak_bytes[kind], before + bytes);
}

bool hr__ledger_try_charge(hr_ledger *ledger, hr_ledger_kind kind, uint64_t bytes)
{
    uint64_t used = atomic_load_explicit(&ledger->used_bytes, memory_order_relaxed), after;
    do {
        if (HR_ADD_OVERFLOWS(used, bytes, &after) || after > ledger->limit_bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&ledger->used_bytes, &used, after,
                                                    memory_order_relaxed, memory_order_relaxed));
    note_charge(ledger, kind, bytes, after);
    return true;
}

void hr__ledger_force_charge(hr_ledger *ledger, hr_ledger_kind kind, uint64_t bytes)
{
    uint64_t before = atomic_fetch_add_explicit(&ledger->used_bytes, bytes, memory_order_relaxed);
    note_charge(ledger, kind, bytes, before + bytes);
}

void hr__ledger_uncharge(hr_ledger *ledger, hr_ledger_kind kind, uint64_t bytes)
{
    // By kind first: the sum of the kinds is never above the total by more than a charge under way.
    uint64_t before =
        atomic_fetch_sub_explicit(&ledger->kind_used_bytes[kind], bytes, memory_order_relaxed);
    HR_ASSERT(before >= bytes);
    before = atomic_fetch_sub_explicit(&ledger->used_bytes, bytes, memory_order_relaxed);
    HR_ASSERT(before >= bytes);
}
