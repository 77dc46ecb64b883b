// SPDX-License-Identifier: Apache-2.0
// The room's door: blocks kept, in shared memory and on disk when they must, and handed to whoever reads them.
//
//   store    one memfd arena, sized by the budget, and the table of objects (spans) in it. Thread-safe.
//   object   created -> (written by its creator) -> sealed -> dropped. Sealed objects are immutable.
//   series   objects kept in plan order (a materialised dataset): these may spill; cursors tell what is needed next.
//   channel  the seam: descriptors in order, from the runtime to one consumer, through a ring in shared memory.
//   port     the consumer's end of a stream, in this process or another: the only part that `feed` uses.
//
// Arena: a sparse memfd, mapped whole by the owner (read-write) and by readers (read-only). Extents come in size
// classes of eighths of a power of two (4 KiB at least), each with a LIFO list of free extents: warm pages first.
// Pages are charged to the ledger (HR_LEDGER_ARENA) when an extent is first used and uncharged only when they are
// punched out. A class without a free extent takes fresh address space; when the charge is refused, idle free
// extents of other classes are punched, coldest first, until it fits. Address space is plentiful (the memfd is
// sparse), so classes never split or join.
#ifndef HR_STORE_STORE_H
#define HR_STORE_STORE_H

#include "base/ledger.h"
#include "base/text.h"
#include "block/block.h"
#include <sys/types.h>

typedef struct hr_store hr_store;
typedef uint64_t hr_object_id; // index and generation; 0 is none

typedef struct hr_store_config {
    hr_ledger *ledger;        // shared with the pipeline's heap; borrowed
    uint64_t arena_bytes_max; // resident pages at most
    const char *spill_dir;    // NULL: nothing may spill
    bool spill_direct;        // O_DIRECT where the file system takes it
    void (*wake)(
        void *
            context); // room or a restored object may be there: called without locks, from any thread
    void *wake_context;
    // May be NULL. The ledger refused `bytes`: others give back what they can make again; returns how many, 0: nothing.
    // Any thread, no locks held.
    uint64_t (*reclaim)(void *context, uint64_t bytes);
    void *reclaim_context;
} hr_store_config;

HR_USE_RESULT hr_status hr__store_open(const hr_store_config *config, hr_store **out,
                                       hr_error *err);
void hr__store_close(hr_store **store); // streams and series closed before; waits for I/O under way

// --- objects ---
typedef struct hr_object {
    hr_object_id id;
    uint8_t *memory; // in the owner's read-write mapping
    size_t bytes;    // room: at least what was asked
} hr_object;
// An unsealed object with one reference. HR_AGAIN: no room now (spilling was started where something can spill; wake
// will come). HR_LIMIT: can never fit; words the size it needs and the budget. `urgent` may use the reserve.
HR_USE_RESULT hr_status hr__store_create(hr_store *store, size_t bytes, bool urgent, hr_object *out,
                                         hr_error *err);
void hr__store_set_reserve(
    hr_store *store,
    uint64_t bytes); // room that only urgent creations may use; of those without a share

// --- shares: what open work is promised of the arena (share.c) ---
typedef struct hr_share hr_share;
typedef struct hr_share_want {
    // Without so much it cannot go on: the oldest piece, the next batch and what it is made of
    uint64_t least;
    uint64_t good;  // with so much it works on several pieces at once
    uint64_t fast;  // more makes it hardly faster
    uint64_t piece; // a typical one: consumers may keep a few; 0: there are none
} hr_share_want;
// LIMIT: the promises of what is open leave less than `least`; words the size that all need.
HR_USE_RESULT hr_status hr__share_open(hr_store *store, const hr_share_want *want, hr_share **out,
                                       hr_error *err);
void hr__share_close(hr_share **share); // objects may outlive it
// Nothing more will be made in it: what was promised and is not used is others' from here on. It stays to be closed.
void hr__share_release(hr_share *share);
uint64_t hr__share_promised(hr_share *share);
uint64_t hr__share_lease_bytes(const hr_share *share); // that its consumers may keep, all together
uint64_t
hr__share_most(hr_share *share); // that it can have at most, beside what others are promised
// Whether others hold nothing but what they were promised: it will have more only when they are closed.
bool hr__share_has_all(hr_share *share);
void hr__share_raise(hr_share *share, uint64_t least); // more than was thought, as far as there is
// As hr__store_create, of a share (NULL: of none).
HR_USE_RESULT hr_status hr__store_create_in(hr_store *store, hr_share *share, size_t bytes,
                                            bool urgent, hr_object *out, hr_error *err);
// Whether an urgent object of so many bytes that was refused found room in the arena, and none in the ledger.
bool hr__store_lacks_ledger(hr_store *store, const hr_share *share, size_t bytes);

void hr__store_seal(hr_store *store, hr_object_id id, size_t span_bytes);
void hr__store_ref(hr_store *store, hr_object_id id);
void hr__store_unref(hr_store *store,
                     hr_object_id id); // at zero: extent and disk copy are free. 0 is fine
// Makes the object stay in memory and tells where it is. HR_AGAIN: it is on disk; its restoring has begun, wake
// follows. An I/O error of the restoring is returned here.
HR_USE_RESULT hr_status hr__store_pin(hr_store *store, hr_object_id id, const uint8_t **memory_out,
                                      size_t *span_bytes_out, hr_error *err);
void hr__store_unpin(hr_store *store, hr_object_id id);
// A pinned object as a block: the block holds the pin and a reference until it is released.
HR_USE_RESULT hr_status hr__store_block(hr_store *store, hr_object_id id, const hr_schema *schema,
                                        hr_block **out, hr_error *err);

// --- offered objects: kept as long as nobody lacks the room ---
// Takes a reference of its own if there is room now, or what was offered with a higher order can go. When it is the
// only one the object counts to no share.
bool hr__store_offer(hr_store *store, hr_object_id id, uint64_t order);
// HR_OK: it is there, the caller has a reference, and it counts to the share (NULL: to none) while anybody holds it.
// HR_AGAIN: it is there, but the share has no room for it now, as in hr__store_create_in. HR_END: it is gone.
HR_USE_RESULT hr_status hr__store_take_offered(hr_store *store, hr_share *share, hr_object_id id,
                                               bool urgent);
void hr__store_withdraw(hr_store *store, hr_object_id id); // fine when it is gone

// Gives pages of idle extents back, coldest first, then those of what was offered, until `bytes` are back or none is
// left; tells how many. For whoever shares the ledger and was refused.
uint64_t hr__store_trim(hr_store *store, uint64_t bytes);
// The same as long as something is offered that can go: that is done without first.
uint64_t hr__store_trim_offered(hr_store *store, uint64_t bytes);

// --- series: kept objects in plan order ---
typedef struct hr_series hr_series;
typedef struct hr_series_cursor hr_series_cursor;
HR_USE_RESULT hr_status hr__series_open(hr_store *store, hr_series **out, hr_error *err);
void hr__series_close(hr_series **series); // drops its references
// As if so many objects came before it, for choosing who leaves: series that are read one after the other.
void hr__series_set_distance(hr_series *series, uint64_t objects);
HR_USE_RESULT hr_status hr__series_add(hr_series *series, hr_object_id id,
                                       hr_error *err); // takes the caller's reference
size_t hr__series_count(const hr_series *series);
hr_object_id hr__series_at(const hr_series *series, size_t index);
// A consumer that reads the series from `index` on; cyclic: and again from its start. Victims are the objects whose
// nearest next use over all cursors is farthest; with no cursor open: as if one stood at the start.
HR_USE_RESULT hr_status hr__series_cursor_open(hr_series *series, bool cyclic,
                                               hr_series_cursor **out, hr_error *err);
void hr__series_cursor_move(hr_series_cursor *cursor,
                            size_t index); // also restores ahead, as far as there is room
void hr__series_cursor_close(hr_series_cursor **cursor);
// A spill or restore that failed for good (disk full, I/O): HR_OK when there was none.
hr_status hr__store_spill_error(hr_store *store, hr_error *err);

// --- statistics ---
typedef struct hr_store_stats {
    uint64_t arena_bytes_max, arena_used_bytes /* of live objects */,
        arena_charged_bytes /* pages */, arena_peak_bytes;
    uint64_t object_count, needed_bytes; // referenced by a series or pinned
    uint64_t spilled_bytes, spilled_objects, spill_write_ns, disk_bytes;
    uint64_t restored_bytes, restored_objects, restore_read_ns;
    uint64_t consumed_bytes;             // handed to consumers and tasks
    uint64_t waiting;                    // creations that were refused and not yet tried again
    uint64_t leased_bytes, copied_bytes; // out at consumers; copied into consumers' own memory
} hr_store_stats;
void hr__store_stats(hr_store *store, hr_store_stats *out);
void hr__store_count_consumed(hr_store *store, uint64_t bytes);
// The text of reference section 5 (`memory --stats-only`), line for line.
void hr__store_stats_print(const hr_store_stats *stats, hr_text *out);

// --- channels: the owner's end ---
#define HR_CHANNEL_SLOTS_MAX 4096
typedef enum hr_descriptor_kind {
    HR_DESCRIPTOR_BATCH = 0,
    HR_DESCRIPTOR_EPOCH_END = 1
} hr_descriptor_kind;
// Row numbers are of the epoch's order, over all ranks. What the position after it is made of travels with it.
typedef struct hr_descriptor {
    uint16_t kind;
    uint16_t more_units; // whole blocks: those of this step that are other ranks' and come behind
    uint32_t epoch;
    uint64_t step;       // of its epoch; for EPOCH_END: how many there were
    hr_object_id object; // 0 for EPOCH_END
    int64_t first_row;   // of the object's block
    int64_t rows;
    uint64_t row_index;        // of the first row; for EPOCH_END: rows of the epoch
    int64_t step_row, end_row; // its step begins with, and ends before
    int64_t unit, unit_row;    // from where the step can be made (plan knows what they mean)
    int64_t order_row;         // the first row made from there: not behind step_row
} hr_descriptor;

typedef struct hr_channel hr_channel; // one consumer; pushes are serialised by the caller
HR_USE_RESULT hr_status hr__channel_open(hr_store *store, const hr_schema *schema, uint32_t slots,
                                         uint64_t lease_bytes_max, hr_channel **out, hr_error *err);
// What its consumer keeps is counted to a share. Before its consumer comes.
void hr__channel_set_share(hr_channel *stream, hr_share *share);
void hr__channel_close(
    hr_channel *
        *stream); // the consumer sees HR_CANCELLED if the stream was not finished; its leases stay
                  // until its port closes or its process dies
// Takes one reference to descriptor->object (the caller's) on success. HR_AGAIN: the ring is full. HR_END: the
// consumer is gone.
HR_USE_RESULT hr_status hr__channel_push(hr_channel *stream, const hr_descriptor *descriptor,
                                         hr_error *err);
void hr__channel_finish(hr_channel *stream, hr_status status,
                        const char *message); // HR_END, or the error that the consumer gets
typedef struct hr_channel_state {
    bool attached, gone;        // a port was opened; its process died or closed it
    bool waiting;               // the consumer sleeps for the next descriptor
    uint64_t waiting_since_ns;  // 0 when not
    uint32_t undelivered;       // descriptors pushed and not taken
    uint64_t undelivered_bytes; // bytes of rows they stand for
    uint64_t delivered, delivered_rows, leased_bytes, copied_bytes;
    uint32_t epoch;
    uint64_t step; // after the last one delivered
} hr_channel_state;
// Takes returned leases back; cheap; also done by push and by the doorbell
void hr__channel_collect(hr_channel *stream);
void hr__channel_state(hr_channel *stream, hr_channel_state *out);
// Takes undelivered descriptors back, newest first, until at most `keep` are left; calls `back` for each (its object
// reference is the callee's then). The consumer is told to ask again from there: it finds the cut after what is left.
void hr__channel_revoke(hr_channel *stream, uint32_t keep,
                        void (*back)(void *context, const hr_descriptor *descriptor),
                        void *context);
// Setting it waits for a call under way: never from within `changed`. Called when the consumer took something,
// returned leases, waits, or is gone. Any thread, no locks held.
void hr__channel_on_change(hr_channel *stream, void (*changed)(void *context), void *context);

// --- ports: the consumer's end. Caller-serialised, release is thread-safe ---
typedef struct hr_port hr_port;
HR_USE_RESULT hr_status hr__port_open_local(hr_channel *stream, hr_port **out, hr_error *err);
// Leases must be released before, or are given back with it: views then dangle
void hr__port_close(hr_port **port);
const hr_schema *hr__port_schema(const hr_port *port);
typedef struct hr_lease {
    hr_descriptor descriptor;
    const uint8_t *span; // read-only
    size_t span_bytes;
    uint32_t slot; // internal
} hr_lease;
// HR_OK, HR_END (finished), HR_TIMEOUT, the stream's error, HR_CANCELLED when the owner is gone. EPOCH_END leases
// nothing.
HR_USE_RESULT hr_status hr__port_next(hr_port *port, uint64_t timeout_ns, hr_lease *out,
                                      hr_error *err);
void hr__port_release(hr_port *port, const hr_lease *lease);
uint64_t hr__port_leased_bytes(const hr_port *port);
uint64_t hr__port_lease_bytes_max(const hr_port *port);
void hr__port_count_copied(hr_port *port, uint64_t bytes);
// The span writable, copied on write, seen by this process alone: the lease's rows by this lease alone. Given back with
// the lease, forgotten with the last one on this span. NULL: the rows were handed out before and may have been written.
HR_USE_RESULT hr_status hr__port_private(hr_port *port, const hr_lease *lease, void **out,
                                         hr_error *err);

// --- other processes: the runtime's socket --- The owner listens on $XDG_RUNTIME_DIR/headrace/PID.sock (with
// PID.lock, flock'ed: a dead runtime's files are removed by whoever comes next), and on socket pairs it made for
// workers it starts. One service thread polls them all.
typedef struct hr_service hr_service;
typedef struct hr_peer hr_peer; // one connection
typedef struct hr_service_handler {
    // A message that is not the store's own, from a peer. type >= 64. Runs on the service thread: must not block.
    void (*message)(void *context, hr_peer *peer, uint32_t type, const void *bytes, size_t count);
    void (*gone)(void *context, hr_peer *peer); // its leases are back already
    // The stats text for `headrace memory`; what = "stats-only", "", or "json".
    void (*stats)(void *context, const char *what, hr_text *out);
    void *context;
} hr_service_handler;
HR_USE_RESULT hr_status hr__service_open(hr_store *store, const hr_service_handler *handler,
                                         hr_service **out, hr_error *err);
void hr__service_close(hr_service **service);
// A connected pair: the peer's fd is for a child process (pass its number in HEADRACE_ATTACH_FD), closed here
// afterwards.
HR_USE_RESULT hr_status hr__service_pair(hr_service *service, void *tag, hr_peer **peer_out,
                                         int *child_fd_out, hr_error *err);
void *hr__peer_tag(const hr_peer *peer);
// A stream that the peer may open by name.
HR_USE_RESULT hr_status hr__peer_offer(hr_peer *peer, const char *name, hr_channel *stream,
                                       hr_error *err);
HR_USE_RESULT hr_status hr__peer_send(hr_peer *peer, uint32_t type, const void *bytes, size_t count,
                                      hr_error *err); // never blocks
// A peer of hr__service_pair stays valid, gone or not, until it is closed here; one that connected by itself is
// freed after its `gone`. Waits for a callback of this peer under way. Its leases return at once: close it after
// its process ended.
void hr__peer_close(hr_service *service, hr_peer *peer);

// The worker's side: one connection a process.
typedef struct hr_client hr_client;
HR_USE_RESULT hr_status hr__client_open_fd(int fd, hr_client **out, hr_error *err); // takes fd
HR_USE_RESULT hr_status hr__client_open_pid(pid_t pid, hr_client **out, hr_error *err);
void hr__client_close(hr_client **client);
HR_USE_RESULT hr_status hr__client_port(hr_client *client, const char *stream_name, hr_port **out,
                                        hr_error *err);
HR_USE_RESULT hr_status hr__client_send(hr_client *client, uint32_t type, const void *bytes,
                                        size_t count, hr_error *err);
// The next message of the upper room; HR_TIMEOUT, HR_END when the runtime is gone.
HR_USE_RESULT hr_status hr__client_receive(hr_client *client, uint64_t timeout_ns,
                                           uint32_t *type_out, void *bytes, size_t room,
                                           size_t *count_out, hr_error *err);
HR_USE_RESULT hr_status hr__client_stats(hr_client *client, const char *what, hr_text *out,
                                         hr_error *err);
// Runtimes of this user that answer (pids), dead ones' files removed.
HR_USE_RESULT hr_status hr__runtimes(pid_t *pids, size_t room, size_t *count_out, hr_error *err);

#endif
