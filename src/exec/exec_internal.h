// SPDX-License-Identifier: Apache-2.0
// What the files of this room share: the runtime's inside.
#ifndef HR_EXEC_EXEC_INTERNAL_H
#define HR_EXEC_EXEC_INTERNAL_H

#include "base/queue.h"
#include "base/thread.h"
#include "exec/exec.h"

#define HR_THREADS_MAX 256

typedef struct hr_pool {
    hr_mutex mutex;
    hr_cond work;         // a flow has something to do, or the pool stops
    hr_cond quiet;        // a flow ended, or a callback came back
    hr_flow *flows;       // guards: mutex. By level, lowest first
    uint32_t idle;        // guards: mutex. Threads that wait for work
    uint64_t turns;       // guards: mutex. Looks for something to do so far
    uint64_t retry_at_ns; // guards: mutex
    uint64_t tickets;     // guards: mutex. Of heads that want to work alone, so far
    uint32_t working;     // guards: mutex. Items worked on, of all flows
    uint32_t reserved;    // guards: mutex. Threads that crews reserved together
    uint32_t guests;      // guards: mutex. Threads in callbacks of flows without a reservation
    uint64_t guest_at_ns; // guards: mutex. When the next of those has its turn
    bool stopping;        // guards: mutex
    int thread_count;
    hr_thread threads[HR_THREADS_MAX];
    struct hr_runtime *runtime;
} hr_pool;

struct hr_runtime {
    _Atomic uint32_t refs;
    _Atomic bool interrupted;
    int64_t pid;
    hr_ledger ledger;
    uint64_t arena_bytes;
    hr_scratch *scratch;
    hr_store *store;
    hr_spare offered, idle_pages; // the arena's, for whoever lacks scratch
    bool has_spare;
    hr_pool pool;
    hr_queue *io_queue;
    int io_thread_count;
    hr_thread io_threads[HR_THREADS_MAX];
    hr_mutex service_mutex;
    hr_service *service; // guards: service_mutex
    hr_mutex slots_mutex;
    hr_slots_claim *claims;       // guards: slots_mutex
    int64_t slots[HR_SLOT_KINDS]; // there are
    _Atomic uint32_t bell;
    char *spill_dir; // NULL: nowhere
    char describe[256];
};

// crew.c, under the pool's mutex. A turn says which flows are looked at.
typedef enum hr_turn { HR_TURN_GUESTS, HR_TURN_OWED, HR_TURN_ANYBODY } hr_turn;
bool hr__crew_may(const hr_crew *crew, hr_turn turn);
bool hr__crew_guest_turn(const hr_pool *pool);
// NULL: the crew of the flow whose callback this thread runs, if any.
hr_crew *hr__crew_ref_locked(hr_crew *crew);
void hr__crew_unref_locked(hr_crew *crew);
// Around a callback of a flow of this crew (NULL: none); leaving wants what entering returned.
uint64_t hr__crew_enter(hr_pool *pool, hr_crew *crew);
void hr__crew_leave(hr_pool *pool, hr_crew *crew, uint64_t entered_ns);

HR_USE_RESULT hr_status hr__pool_start(hr_runtime *runtime, int threads, hr_error *err);
void hr__pool_stop(hr_runtime *runtime);     // joins its threads; kicks are still taken
void hr__pool_finish(hr_runtime *runtime);   // nobody may kick any more
void hr__pool_kick_all(hr_runtime *runtime); // memory may be free: every flow tries again
HR_USE_RESULT hr_status hr__io_start(hr_runtime *runtime, int threads, hr_error *err);
void hr__io_stop(hr_runtime *runtime);

#endif
