// SPDX-License-Identifier: Apache-2.0
// The room's door: the runtime as one handle, its pools, and flows: ordered parallel maps with back-pressure.
//
// A flow takes pieces of work one by one in plan order, works on several at once, and gives results on in the order
// taken. Its window (slots and bytes) bounds how far it runs ahead. Pool threads serve all flows of a runtime, those
// nearest to a consumer first, so that what is begun is finished before more is begun. A callback that cannot go on
// returns HR_AGAIN and is called again after a kick (hr__flow_kick, or anything that frees memory). Nothing here
// knows formats or rows.
#ifndef HR_EXEC_EXEC_H
#define HR_EXEC_EXEC_H

#include "base/ledger.h"
#include "base/option.h"
#include "base/stats.h"
#include "store/store.h"
#include <headrace/runtime.h>

extern const hr_option_table hr__runtime_options;

// --- the runtime's parts (borrowed) ---
HR_USE_RESULT hr_status
hr__runtime_check(const hr_runtime *runtime,
                  hr_error *err); // DENIED in a child after fork, CANCELLED once interrupted
bool hr__runtime_is_foreign(const hr_runtime *runtime); // we are a child after fork: free nothing
hr_store *hr__runtime_store(hr_runtime *runtime);
hr_ledger *hr__runtime_ledger(hr_runtime *runtime);
hr_scratch *hr__runtime_scratch(hr_runtime *runtime);
uint64_t hr__runtime_budget_bytes(const hr_runtime *runtime);
uint64_t hr__runtime_arena_bytes(const hr_runtime *runtime); // three quarters of it
// What is made from a runtime keeps it; the last one out frees it
hr_runtime *hr__runtime_ref(hr_runtime *runtime);
void hr__runtime_unref(hr_runtime **runtime);
bool hr__runtime_interrupted(const hr_runtime *runtime);
// The service thread and its socket: started at first need (also by opening, when the folder can be had).
HR_USE_RESULT hr_status hr__runtime_service(hr_runtime *runtime, hr_service **out, hr_error *err);
// Who gets messages of peers that carry this tag (hr__service_pair); the tag must outlive the peer.
typedef struct hr_peer_owner {
    void (*message)(struct hr_peer_owner *owner, hr_peer *peer, uint32_t type, const void *bytes,
                    size_t count); // service thread; must not block
    void (*gone)(struct hr_peer_owner *owner, hr_peer *peer);
} hr_peer_owner;
// Samples anonymous memory of this process and the given ones every 20 ms while open, and the arena's pages.
typedef struct hr_memory_sampler hr_memory_sampler;
HR_USE_RESULT hr_status hr__sampler_open(hr_runtime *runtime, hr_memory_sampler **out,
                                         hr_error *err);
void hr__sampler_watch(hr_memory_sampler *sampler, pid_t pid);
// *peak_out: largest sum of anonymous memory and arena pages; shared pages counted once.
void hr__sampler_close(hr_memory_sampler **sampler, uint64_t *peak_out,
                       uint64_t *peak_anonymous_out);

// --- slots of trainers, and the bell (slots.c) ---
enum { HR_SLOT_CPU, HR_SLOT_GPU, HR_SLOT_INGEST, HR_SLOT_KINDS }; // ingest: threads of the pool
typedef struct hr_slots_wish {
    const char *name, *detail; // who asks, and how its numbers came about: for messages
    double slots[HR_SLOT_KINDS];
} hr_slots_wish;
typedef struct hr_slots_claim hr_slots_claim;
// LIMIT: more than there are. AGAIN: others hold them; the words say who. Giving back rings the bell.
HR_USE_RESULT hr_status hr__slots_take(hr_runtime *runtime, const hr_slots_wish *wish,
                                       hr_slots_claim **out, hr_error *err);
void hr__slots_give(hr_runtime *runtime, hr_slots_claim **claim);
bool hr__slots_all_of_this_thread(hr_runtime *runtime); // so that waiting for them would be forever
void hr__slots_print(hr_runtime *runtime, hr_text *out); // a line for `headrace memory`
// Something happened that a thread may wait for. Read the bell, look around, then await its next ring; it may also
// come back early.
uint32_t hr__runtime_bell(const hr_runtime *runtime);
void hr__runtime_ring(hr_runtime *runtime); // any thread, and signal handlers
void hr__runtime_await_bell(hr_runtime *runtime, uint32_t seen, uint64_t timeout_ns);

// --- crews: flows that share a reservation of the pool's threads (crew.c) ---
// While its flows have something to do, so many threads work for them before any works for others. The sum of all
// reservations is the caller's to bound (slots of HR_SLOT_INGEST). Closing gives the reservation back; flows may go on.
typedef struct hr_crew hr_crew;
HR_USE_RESULT hr_status hr__crew_open(hr_runtime *runtime, uint32_t threads, hr_crew **out,
                                      hr_error *err);
void hr__crew_close(hr_crew **crew);

// --- flows ---
typedef struct hr_flow hr_flow;
typedef struct hr_flow_ops {
    size_t item_bytes;
    // Fills the next item (zeroed); sets *weight_bytes (what it will hold until given on). One thread at a time.
    // HR_END: no more.
    hr_status (*take)(void *self, void *item, uint64_t *weight_bytes, hr_error *err);
    // Several items at once. `oldest`: nothing before this item is unfinished: it may use the reserve. HR_AGAIN:
    // leave the item as it was. HR_LIMIT: memory lacks; the oldest is asked again alone, no other work of the pool
    // under way, and its second HR_LIMIT ends the flow. Refused, an item holds no memory that others may need.
    hr_status (*work)(void *self, void *item, bool oldest, hr_error *err);
    // In order of taking, one thread at a time. HR_AGAIN: no room downstream. HR_END: nobody wants more: the flow ends.
    hr_status (*give)(void *self, void *item, hr_error *err);
    // Frees what an item holds, given on or not.
    void (*drop)(void *self, void *item);
    // Once: after the last give (HR_END), a failure, or a cancellation. In order with give.
    void (*ended)(void *self, hr_status status, const hr_error *err);
} hr_flow_ops;
typedef struct hr_flow_config {
    const char *name;
    int level;             // distance to the consumer: lower is served first
    uint32_t window_slots; // items taken and not given on, at most
    uint64_t window_bytes; // the sum of their weights, at most; one item is always let in
    hr_busy *busy;         // accounts the threads' time; may be NULL
    hr_crew *crew;         // NULL: of the flow whose callback opens it, or of none
    // May be NULL. `head`, the oldest, has waited for room for a while, and younger ones may hold it: drops what
    // `item`, which is done, made; it is worked on again. False: it cannot, or need not. Newest first.
    bool (*undo)(void *self, const void *head, void *item);
    // May be NULL. `head` has been without room for so long, and nothing could be undone. Told again and again.
    void (*stuck)(void *self, const void *head, uint64_t for_ns);
    hr_cause blocked_cause; // what a head that waits (HR_AGAIN from work) waits for; 0: MEMORY
} hr_flow_config;
HR_USE_RESULT hr_status hr__flow_open(hr_runtime *runtime, const hr_flow_ops *ops, void *self,
                                      const hr_flow_config *config, hr_flow **out, hr_error *err);
void hr__flow_kick(hr_flow *flow); // something that returned HR_AGAIN may go on; any thread
// Cancels, waits until no callback runs or will run. It may still be kicked: for flows that kick each other, all of
// which are stopped before one is closed.
void hr__flow_stop(hr_flow *flow);
void hr__flow_close(hr_flow **flow); // stops and frees
// For work that waits: whether the flow that this thread works for was cancelled. False on other threads.
bool hr__flow_is_unwanted(void);
bool hr__flow_wait(hr_flow *flow, uint64_t timeout_ns); // until it ended; false: time is up

// --- functions in processes (udf.c): started at first need, restarted when they die ---
typedef struct hr_udf hr_udf;
typedef struct hr_udf_config {
    const char *const *argv; // NULL-ended; copied, as the rest
    const void *payload;
    size_t payload_bytes;
    int processes_max;
    const char *name; // for messages
} hr_udf_config;
HR_USE_RESULT hr_status hr__udf_open(hr_runtime *runtime, const hr_udf_config *config, hr_udf **out,
                                     hr_error *err);
void hr__udf_close(hr_udf **udf);
// Runs the function on a block in one of the processes and waits; any thread. Blocks of the arena are seen there
// without a copy, others are copied into a segment. *out is a block on the pipeline's heap, checked in full. HR_USER:
// the function failed (its details are this thread's hr_user_error_details until the next call). A process that dies
// is restarted and the block tried again; a block that killed three is HR_USER and says so.
HR_USE_RESULT hr_status hr__udf_call(hr_udf *udf, const hr_block *in, hr_block **out,
                                     hr_error *err);
// How many processes were replaced because their memory had grown (udf_growth.h), so far.
int64_t hr__udf_replaced(const hr_udf *udf);

// The process's side, as hr_function_serve tells it.
typedef struct hr_udf_server {
    hr_status (*begin)(void *context, const void *payload, size_t bytes, hr_error *err);
    hr_status (*function)(void *context, const hr_block *in, hr_block **out, const void **details,
                          size_t *details_bytes, hr_error *err);
    void *context;
} hr_udf_server;
HR_USE_RESULT hr_status hr__udf_serve(const hr_udf_server *server, hr_error *err);
// The details of the last failure of a function in this process; the copy is the thread's until its next call.
const void *hr__udf_get_details(size_t *count_out);

// The io pool: hints that may block for a while. False: the queue is full, the hint was dropped.
bool hr__io_submit(hr_runtime *runtime, void (*run)(void *a, int64_t b, int64_t c), void *a,
                   int64_t b, int64_t c);

#endif
