// SPDX-License-Identifier: Apache-2.0
// The ledger of CPU and GPU slots, and the runtime's bell.
//
// Slots are a promise between trainers, not threads: who takes some keeps others from starting until it gives them
// back. Ingest takes none, so no set of trainers can keep itself from being fed. A wish is granted whole or not at
// all; what can never be granted is refused at once. Counts are whole numbers of ten-thousandths, so that ten times
// 0.1 is one.
//
// The bell is a count that a futex waits on: whoever waits for several things at once (trainers' messages, slots)
// reads it, looks around, and waits for it to change. Ringing is async-signal-safe.
#include "exec/exec_internal.h"

#include "base/option.h"
#include "base/os.h"
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define PARTS        10000 // of a slot
#define SLOTS_MAX    1e6
#define HOLDERS_TOLD 4

struct hr_slots_claim {
    hr_slots_claim *next;
    char name[64];
    int64_t parts[HR_SLOT_KINDS];
    const void *thread;
};

static const char *const kind_names[HR_SLOT_KINDS] = {"CPU", "GPU", "ingest thread"};
static const char *const option_names[HR_SLOT_KINDS] = {"cpus", "gpus", "threads"};
static _Thread_local char here; // its address stands for the thread

static int64_t total_parts(const hr_runtime *rt, int kind)
{
    return rt->slots[kind] * PARTS;
}

static int64_t used_parts(const hr_runtime *rt, int kind)
{
    int64_t used = 0;
    for (const hr_slots_claim *c = rt->claims; c; c = c->next)
        used += c->parts[kind];
    return used;
}

static bool holds_some(const hr_slots_claim *c)
{
    for (int kind = 0; kind < HR_SLOT_KINDS; kind++)
        if (c->parts[kind] > 0)
            return true;
    return false;
}

static double slots_of(int64_t parts)
{
    return (double)parts / PARTS;
}

static hr_status fail_never(const hr_runtime *rt, int kind, const hr_slots_wish *wish,
                            hr_error *err)
{
    const char *unit = kind_names[kind];
    long long there = (long long)rt->slots[kind];
    return HR_FAIL(err, HR_LIMIT,
                   "%s asks for %g %ss (%s) and there %s %lld: it can never start; ask for fewer, "
                   "or open the runtime with more (%s, now %lld)",
                   wish->name, wish->slots[kind], unit, wish->detail ? wish->detail : "in all",
                   there == 1 ? "is" : "are", there, option_names[kind], there);
}

// slots_mutex held.
static hr_status fail_again(const hr_runtime *rt, int kind, const hr_slots_wish *wish,
                            hr_error *err)
{
    hr_text text;
    int told = 0, more = 0;
    hr__text_init(&text, 512);
    for (const hr_slots_claim *c = rt->claims; c; c = c->next) {
        if (c->parts[kind] == 0)
            continue;
        if (told == HOLDERS_TOLD) {
            more++;
            continue;
        }
        hr__text_add(&text, "%s%s holds %g", told ? ", " : "", c->name, slots_of(c->parts[kind]));
        told++;
    }
    if (more > 0)
        hr__text_add(&text, ", %d more hold some", more);
    hr_status status =
        HR_FAIL(err, HR_AGAIN, "%s waits for %g %s%s: %s of %lld", wish->name, wish->slots[kind],
                kind_names[kind], wish->slots[kind] == 1 ? "" : "s", hr__text_str(&text),
                (long long)rt->slots[kind]);
    hr__text_finish(&text);
    return status;
}

hr_status hr__slots_take(hr_runtime *rt, const hr_slots_wish *wish, hr_slots_claim **out,
                         hr_error *err)
{
    hr_slots_claim *claim = NULL;
    hr_status status = HR_OK;
    HR_TRY(hr__alloc_zero(1, sizeof *claim, &claim, err));
    snprintf(claim->name, sizeof claim->name, "%s", wish->name);
    claim->thread = &here;
    for (int kind = 0; kind < HR_SLOT_KINDS && status == HR_OK; kind++) {
        if (!(wish->slots[kind] >= 0 && wish->slots[kind] <= SLOTS_MAX)) {
            status = HR_FAIL(err, HR_INVALID, "%s asks for %g %ss", wish->name, wish->slots[kind],
                             kind_names[kind]);
            break;
        }
        claim->parts[kind] = llround(wish->slots[kind] * PARTS);
        if (claim->parts[kind] > total_parts(rt, kind))
            status = fail_never(rt, kind, wish, err);
    }
    hr__mutex_lock(&rt->slots_mutex);
    for (int kind = 0; kind < HR_SLOT_KINDS && status == HR_OK; kind++)
        if (claim->parts[kind] > total_parts(rt, kind) - used_parts(rt, kind))
            status = fail_again(rt, kind, wish, err);
    if (status == HR_OK) {
        hr_slots_claim **last = &rt->claims;
        while (*last)
            last = &(*last)->next;
        *last = claim;
        *out = claim;
    }
    hr__mutex_unlock(&rt->slots_mutex);
    if (status != HR_OK)
        hr__free(claim);
    return status;
}

void hr__slots_give(hr_runtime *rt, hr_slots_claim **claim_inout)
{
    hr_slots_claim *claim = *claim_inout;
    *claim_inout = NULL;
    if (!claim)
        return;
    hr__mutex_lock(&rt->slots_mutex);
    hr_slots_claim **at = &rt->claims;
    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    hr__mutex_unlock(&rt->slots_mutex);
    hr__free(claim);
    hr__runtime_ring(rt);
}

bool hr__slots_all_of_this_thread(hr_runtime *rt)
{
    bool all = true;
    hr__mutex_lock(&rt->slots_mutex);
    for (const hr_slots_claim *c = rt->claims; c; c = c->next)
        all &= c->thread == &here;
    hr__mutex_unlock(&rt->slots_mutex);
    return all;
}

void hr_runtime_slots(hr_runtime *rt, hr_slots_stats *out, size_t out_bytes)
{
    hr_slots_stats now = {.cpus = (double)rt->slots[HR_SLOT_CPU],
                          .gpus = (double)rt->slots[HR_SLOT_GPU],
                          .ingest_threads = rt->slots[HR_SLOT_INGEST]};
    hr__mutex_lock(&rt->slots_mutex);
    now.cpus_used = slots_of(used_parts(rt, HR_SLOT_CPU));
    now.gpus_used = slots_of(used_parts(rt, HR_SLOT_GPU));
    now.ingest_threads_reserved = used_parts(rt, HR_SLOT_INGEST) / PARTS;
    for (const hr_slots_claim *c = rt->claims; c; c = c->next)
        now.holders += holds_some(c);
    hr__mutex_unlock(&rt->slots_mutex);
    hr__stats_copy(out, out_bytes, &now, sizeof now);
}

void hr__slots_print(hr_runtime *rt, hr_text *out)
{
    hr_slots_stats s;
    hr_runtime_slots(rt, &s, sizeof s);
    hr__text_add(out, "Slots of trainers: %g of %g CPUs", s.cpus_used, s.cpus);
    if (s.gpus > 0)
        hr__text_add(out, ", %g of %g GPUs", s.gpus_used, s.gpus);
    if (s.ingest_threads_reserved > 0)
        hr__text_add(out, ", %lld of %lld ingest threads", (long long)s.ingest_threads_reserved,
                     (long long)s.ingest_threads);
    hr__mutex_lock(&rt->slots_mutex);
    const char *before = " (";
    for (const hr_slots_claim *c = rt->claims; c; c = c->next) {
        if (!holds_some(c))
            continue;
        hr__text_add(out, "%s%s: %g", before, c->name, slots_of(c->parts[HR_SLOT_CPU]));
        if (c->parts[HR_SLOT_GPU] > 0)
            hr__text_add(out, " and %g GPUs", slots_of(c->parts[HR_SLOT_GPU]));
        if (c->parts[HR_SLOT_INGEST] > 0)
            hr__text_add(out, " and %g ingest threads", slots_of(c->parts[HR_SLOT_INGEST]));
        before = ", ";
    }
    hr__mutex_unlock(&rt->slots_mutex);
    hr__text_add(out, "%s\n", before[0] == ',' ? ")" : "");
}

// --- the bell ---

uint32_t hr__runtime_bell(const hr_runtime *rt)
{
    // Acquire: what happened before the ring that is seen here is seen too.
    return atomic_load_explicit(&rt->bell, memory_order_acquire);
}

void hr__runtime_ring(hr_runtime *rt)
{
    atomic_fetch_add_explicit(&rt->bell, 1, memory_order_release);
    hr__futex_wake(&rt->bell, INT32_MAX);
}

void hr__runtime_await_bell(hr_runtime *rt, uint32_t seen, uint64_t timeout_ns)
{
    if (hr__runtime_bell(rt) == seen)
        (void)hr__futex_wait(&rt->bell, seen, timeout_ns);
}
