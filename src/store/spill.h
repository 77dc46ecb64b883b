// SPDX-License-Identifier: Apache-2.0
// The disk behind the store: its threads, its file, and the series that say who is needed when.
//
// Everything is guarded by store.lock, which the spill threads let go of while they read and write.
#ifndef HR_STORE_SPILL_H
#define HR_STORE_SPILL_H

#include "store/evict.h"

#define HR_SPILL_THREADS   2
#define HR_SPILL_JOB_BYTES ((uint64_t)32 << 20) // one thread writes so much before it looks again
#define HR_SPILL_JOB_COUNT 512
#define HR_FUSE_BYTES      ((size_t)8 << 20) // small objects are gathered into writes of this size
#define HR_FUSE_OBJECT_MAX ((size_t)1 << 20) // larger ones are written from where they lie
#define HR_NEVER           UINT64_MAX

struct hr_series {
    hr_store *store;
    HR_VEC(hr_entry *) entries; // a reference of each
    hr_series_cursor *cursors;
    uint64_t distance; // added to that of each object
    hr_series *next;
};
struct hr_series_cursor {
    hr_series *series;
    size_t index;
    bool cyclic;
    hr_series_cursor *next;
};

// Bytes, objects and the time in which at least one thread was at it.
typedef struct hr_spill_count {
    uint64_t bytes, objects, busy_ns, begun_ns;
    uint32_t active;
    uint64_t logged_bytes, logged_ns;
} hr_spill_count;

struct hr_spill {
    hr_thread threads[HR_SPILL_THREADS];
    hr_cond work;
    uint64_t rings; // how often `work` was signalled: a thread may have been looking elsewhere
    bool stopping, truncating;
    char *dir;
    int fd;
    bool verbose;
    uint64_t loud_bytes; // the next total at which the log line says how to be rid of it
    hr_ranges ranges;    // free within the file
    uint64_t end, allocated, disk_bytes;
    uint64_t writing_bytes;     // of memory: will be free when they are written
    uint64_t clean_bytes;       // of memory: on disk already
    uint64_t wanted_bytes;      // creations and restores that were refused
    uint64_t wanted_distance;   // victims must be needed later than this
    bool fruitless;             // nothing could leave at the last look, and nothing changed since
    bool ahead;                 // cursors moved, or room came: look ahead of them
    uint64_t ahead_bytes;       // what the last look ahead found no room for
    HR_VEC(hr_entry *) wanted;  // somebody waits for them
    HR_VEC(hr_entry *) victims; // of one plan
    hr_status failed;           // HR_OK, or why nothing is written any more
    hr_error error;
    hr_spill_count written, read;
};

HR_USE_RESULT hr_status hr__spill_open(hr_store *store, const char *dir, bool direct,
                                       hr_error *err);
void hr__spill_close(hr_store *store); // waits for I/O under way
void hr__spill_free(hr_store *store);
void hr__spill_ring(hr_spill *spill); // there may be work. Lock held
// What the spill threads do; each returns false when there was nothing of its kind. Lock held, let go of meanwhile.
bool hr__restore_next(hr_store *store);
bool hr__spill_next(hr_store *store, uint8_t **fuse);
// evict.c. Fills spill->victims: unpinned, sealed, resident, farthest next use first.
void hr__evict_plan(hr_store *store);
bool hr__evict_clean(hr_store *store, uint64_t bytes, uint64_t distance);
uint64_t hr__evict_over(const hr_store *store); // bytes to write so that the arena has room again
void hr__evict_want(hr_spill *spill, uint64_t bytes); // whoever may leave, near or far. Lock held
bool hr__entry_can_leave(const hr_entry *entry);
// disk.c: the file. Offsets are multiples of 4 KiB.
HR_USE_RESULT hr_status hr__disk_open(hr_spill *spill, bool direct, hr_error *err);
HR_USE_RESULT hr_status hr__disk_write(int fd, const void *from, size_t bytes, uint64_t offset,
                                       hr_error *err);
HR_USE_RESULT hr_status hr__disk_read(int fd, void *to, size_t bytes, uint64_t offset,
                                      hr_error *err);
// One range for all, unless that would grow the file while so much lies free in pieces.
bool hr__disk_take_whole(hr_spill *spill, uint64_t bytes, uint64_t *offset_out);
uint64_t hr__disk_take(hr_spill *spill, uint64_t bytes);
void hr__disk_give(hr_spill *spill, uint64_t offset, uint64_t bytes);
void hr__count_begin(hr_spill_count *count);
void hr__count_end(hr_spill_count *count, uint64_t bytes, uint64_t objects);
uint64_t hr__count_ns(const hr_spill_count *count);
// Tests: the n-th operation of that kind from now fails with errnum (1 = the next; 0: none).
typedef enum hr_disk_operation { HR_DISK_READ, HR_DISK_WRITE } hr_disk_operation;
void hr__disk_fail_after(hr_disk_operation kind, uint64_t n, int errnum);

#endif
