// SPDX-License-Identifier: Apache-2.0
// What the files of the room share: the store, its extents and its table of objects.
//
// Locks: store.lock guards everything here that is not said to be constant. It is held for bookkeeping alone: never
// while pages are punched, a disk is waited for, or a callback runs. A channel's lock comes before the store's.
#ifndef HR_STORE_STORE_PRIV_H
#define HR_STORE_STORE_PRIV_H

#include "base/thread.h"
#include "base/vec.h"
#include <stdatomic.h>
#include "store/store.h"

#define HR_EXTENT_BYTES_MIN  4096u
#define HR_EXTENT_CLASSES    512
#define HR_SEGMENT_BYTES_MAX ((uint64_t)1 << 30)

// --- range.c: free ranges of a file, sorted, joined when they touch ---
typedef struct hr_range {
    uint64_t offset, bytes;
} hr_range;
typedef struct hr_ranges {
    HR_VEC(hr_range) list;
} hr_ranges;
// A range that cannot be noted for want of heap is lost (it stays unused): never an error.
void hr__ranges_add(hr_ranges *ranges, uint64_t offset, uint64_t bytes);
bool hr__ranges_take(hr_ranges *ranges, uint64_t bytes, uint64_t *offset_out); // first fit
void hr__ranges_finish(hr_ranges *ranges);

// --- segment.c: the memfd and its mappings ---
typedef struct hr_segment {
    uint64_t offset, bytes; // in the memfd; a page lies between segments, so ranges never join
    uint8_t *memory;
    uint64_t used_bytes; // handed out so far
} hr_segment;
typedef struct hr_arena {
    int fd;      // read and write, ours alone
    int read_fd; // what others get
    uint64_t room_bytes, segment_bytes, next_offset;
    HR_VEC(hr_segment) segments;
} hr_arena;
HR_USE_RESULT hr_status hr__arena_open(hr_arena *arena, uint64_t resident_bytes_max, hr_error *err);
void hr__arena_close(hr_arena *arena);
// Maps one more segment with room for `bytes`; LIMIT when the address space is used up.
HR_USE_RESULT hr_status hr__arena_grow(hr_arena *arena, uint64_t bytes, hr_error *err);
const hr_segment *hr__arena_find(const hr_arena *arena, uint64_t offset);

// A reader's own view of an arena: segments mapped when first met. Thread-safe.
typedef struct hr_reader_segment {
    uint64_t offset, bytes;
    uint8_t *shared, *private_;
} hr_reader_segment;
// A span of which rows were handed out to be written. They lie in one private mapping, which is forgotten as a whole
// when the last of them is back: until then a row is handed out once.
typedef struct hr_reader_claim {
    uint64_t offset, bytes;
    int64_t rows_end; // rows below it were handed out
    uint32_t count;   // how often it is out
} hr_reader_claim;
typedef struct hr_reader {
    int fd; // borrowed
    hr_mutex lock;
    HR_VEC(hr_reader_segment) segments; // guards: all
    HR_VEC(hr_reader_claim) claims;
} hr_reader;
void hr__reader_init(hr_reader *reader, int fd);
void hr__reader_finish(hr_reader *reader);
HR_USE_RESULT hr_status hr__reader_at(hr_reader *reader, const hr_range *segment, uint64_t offset,
                                      uint64_t bytes, uint8_t **out, hr_error *err);
// The same copied on write, for rows [first_row, end_row) of what lies there, until hr__reader_unclaim. NULL: they
// may have been written already.
HR_USE_RESULT hr_status hr__reader_claim(hr_reader *reader, const hr_range *segment,
                                         const hr_range *span, int64_t first_row, int64_t end_row,
                                         uint8_t **out, hr_error *err);
void hr__reader_unclaim(hr_reader *reader, uint64_t offset, uint8_t *memory);

// --- extent.c ---
typedef struct hr_extent {
    uint64_t offset, bytes; // in the memfd; of the class
    uint64_t charged_bytes; // pages from the start that were touched
    uint8_t *memory;
    uint32_t class_index;
    struct hr_extent *class_newer, *class_older; // among the free ones of its class
    struct hr_extent *idle_newer, *idle_older;   // among all free ones
} hr_extent;
typedef struct hr_extents {
    hr_extent *newest[HR_EXTENT_CLASSES]; // LIFO by class
    hr_extent *idle_newest, *idle_oldest; // by when it was given back
    hr_ranges ranges;                     // address space without pages
    uint64_t idle_bytes, charged_bytes, peak_bytes;
} hr_extents;
// All with store.lock held; take and trim let go of it while pages are punched. AGAIN: the budget or ledger refuses.
HR_USE_RESULT hr_status hr__extent_take(hr_store *store, uint64_t bytes, hr_extent **out,
                                        hr_error *err);
void hr__extent_give(hr_store *store, hr_extent *extent);
// Punches the pages beyond the first `bytes`.
void hr__extent_shrink(hr_store *store, hr_extent *extent, uint64_t bytes);
uint64_t hr__extent_trim(hr_store *store, uint64_t bytes); // idle ones, coldest first
void hr__extents_finish(hr_store *store);

// --- object.c ---
typedef enum hr_entry_state { HR_ENTRY_FREE, HR_ENTRY_CREATED, HR_ENTRY_SEALED } hr_entry_state;
typedef enum hr_entry_io { HR_IO_NONE, HR_IO_WRITING, HR_IO_READING } hr_entry_io;
typedef struct hr_entry {
    uint32_t index, generation;
    uint32_t refs, pins;
    uint32_t series_count; // how many series keep it
    uint8_t state, io;
    bool wanted;  // somebody waits for its restoring
    bool awaited; // restored for somebody who did not pin it yet
    bool planned; // within one plan
    bool offered; // may go when room is short (offer.c)
    hr_status io_status;
    size_t bytes, span_bytes;
    hr_extent *extent;                // NULL: on disk alone
    uint64_t disk_offset, disk_bytes; // disk_bytes 0: no copy
    uint64_t next_use;                // evict.c: distance, only valid within one plan
    struct hr_share *share;           // that it counts to; NULL: none. A reference
    uint64_t offer_order;             // offered: the highest goes first
    struct hr_entry *next;            // free list
} hr_entry;
#define HR_ENTRY_CHUNK 256

typedef struct hr_spill hr_spill;

struct hr_store {
    hr_mutex lock;
    hr_cond idle;             // a reference went (close waits)
    _Atomic uint32_t refs;    // the owner, ports, blocks
    uint32_t fork_generation; // constant
    hr_ledger *ledger;        // constant
    void (*wake)(void *context);
    void *wake_context;
    uint64_t (*reclaim)(void *context, uint64_t bytes); // constant
    void *reclaim_context;
    uint64_t bytes_max; // constant
    uint64_t reserve_bytes, used_bytes, kept_bytes;
    uint64_t waiting;
    bool refused; // a creation since the last wake
    uint64_t object_count, consumed_bytes, leased_bytes, copied_bytes;
    bool closed;
    hr_arena arena;
    hr_extents extents;
    HR_VEC(hr_entry *) chunks;
    hr_entry *free_entries;
    HR_VEC(hr_entry *) offered; // a reference of each, by offer_order
    uint64_t idle_bytes;        // of those that nobody else holds
    hr_series *series;          // list of open ones
    hr_share *shares;           // list of open ones, and of those that objects still count to
    hr_spill *spill;            // NULL: nothing may spill
};

bool hr__store_forked(const hr_store *store); // this is a child of the process that opened it
void hr__store_hold(hr_store *store);
void hr__store_let_go(hr_store *store);
hr_entry *hr__entry_find(hr_store *store, hr_object_id id);    // lock held; asserts that it lives
void hr__entry_free_if_done(hr_store *store, hr_entry *entry); // lock held
// Pages of an object went: wakes creations that wait. Without the lock.
void hr__store_room(hr_store *store, bool waiting);
// fork.c
uint32_t hr__fork_generation(void);

static inline uint64_t hr__page_up(uint64_t bytes)
{
    return HR_ALIGN_UP(bytes, (uint64_t)HR_EXTENT_BYTES_MIN);
}

#endif
