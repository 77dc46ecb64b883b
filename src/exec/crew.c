// SPDX-License-Identifier: Apache-2.0
// Crews: flows that share a reservation of the pool's threads.
//
// A reservation is a right of way, not a thread set aside. When a thread looks for something to do it looks first
// among the flows of crews that have fewer threads at work than they reserved; only then among all. So a crew with
// work has its threads as soon as callbacks end, and what it leaves idle others use. A callback is never
// interrupted: the wait is at most the shortest of those under way.
//
// Where reservations take every thread, flows without one are guests: while none of them is at work one is let in,
// and then not again for GUEST_PAUSE times as long as it took. So whatever is reserved everything goes on, and a
// reservation loses a ninth of one thread at most.
#include "base/os.h"
#include "exec/exec_internal.h"

#define GUEST_PAUSE 8

struct hr_crew {
    hr_runtime *runtime;
    uint32_t refs;    // guards: pool mutex. Its owner, and its flows
    uint32_t threads; // that it reserved
    uint32_t working; // guards: pool mutex. Threads in callbacks of its flows
};

static _Thread_local hr_crew *crew_here; // of the flow whose callback this thread runs

hr_status hr__crew_open(hr_runtime *runtime, uint32_t threads, hr_crew **out, hr_error *err)
{
    hr_crew *crew;
    hr_pool *pool = &runtime->pool;
    HR_TRY(hr__alloc_zero(1, sizeof *crew, &crew, err));
    *crew = (hr_crew){.runtime = runtime, .refs = 1, .threads = threads};
    hr__mutex_lock(&pool->mutex);
    pool->reserved += threads;
    hr__mutex_unlock(&pool->mutex);
    *out = crew;
    return HR_OK;
}

void hr__crew_close(hr_crew **crew_inout)
{
    hr_crew *crew = *crew_inout;
    *crew_inout = NULL;
    if (!crew)
        return;
    hr_pool *pool = &crew->runtime->pool;
    hr__mutex_lock(&pool->mutex);
    pool->reserved -= crew->threads;
    crew->threads = 0;
    hr__crew_unref_locked(crew);
    hr__mutex_unlock(&pool->mutex);
}

// --- the pool's side (all under its mutex) ---

hr_crew *hr__crew_ref_locked(hr_crew *crew)
{
    crew = crew ? crew : crew_here;
    if (crew)
        crew->refs++;
    return crew;
}

void hr__crew_unref_locked(hr_crew *crew)
{
    if (crew && --crew->refs == 0)
        hr__free(crew);
}

bool hr__crew_may(const hr_crew *crew, hr_turn turn)
{
    if (turn == HR_TURN_OWED)
        return crew && crew->working < crew->threads;
    return turn == HR_TURN_ANYBODY || !crew || crew->threads == 0;
}

bool hr__crew_guest_turn(const hr_pool *pool)
{
    return pool->guests == 0 && hr__now_ns() >= pool->guest_at_ns;
}

uint64_t hr__crew_enter(hr_pool *pool, hr_crew *crew)
{
    crew_here = crew;
    if (crew)
        crew->working++;
    if (pool->reserved == 0 || !hr__crew_may(crew, HR_TURN_GUESTS))
        return 0;
    pool->guests++;
    return hr__now_ns();
}

void hr__crew_leave(hr_pool *pool, hr_crew *crew, uint64_t entered_ns)
{
    crew_here = NULL;
    if (crew)
        crew->working--;
    if (entered_ns == 0) // not as a guest
        return;
    uint64_t now = hr__now_ns();
    pool->guests--;
    pool->guest_at_ns = now + GUEST_PAUSE * (now - entered_ns);
}
