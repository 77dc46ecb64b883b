// SPDX-License-Identifier: Apache-2.0
// Writing out and reading back.
//
// A spill thread takes up to 32 MiB of victims at once, puts them into plan order and gives them one range of the
// file if there is one: large objects are written from where they lie, small ones are gathered into writes of 8 MiB
// first. An object is readable while it is written; when that is done its memory goes, unless somebody pinned it
// meanwhile.
//
// Restoring: first what somebody waits for, then what lies ahead of cursors, as far as there is room without
// driving out anything that is needed sooner. A restored object keeps its disk copy: to leave again costs nothing.
#include "store/spill.h"

#include "base/os.h"

#include <stdlib.h>
#include <string.h>

static uint64_t disk_size(const hr_entry *entry)
{
    return hr__page_up(HR_MAX(entry->span_bytes, (size_t)1));
}

// --- writing ---

typedef struct spill_job {
    hr_entry *entries[HR_SPILL_JOB_COUNT];
    uint64_t offsets[HR_SPILL_JOB_COUNT];
    const uint8_t *memory[HR_SPILL_JOB_COUNT];
    size_t sizes[HR_SPILL_JOB_COUNT];
    size_t count, done;
    uint64_t bytes, charged_bytes;
} spill_job;

static int nearer_first(const void *a_, const void *b_)
{
    const hr_entry *a = *(hr_entry *const *)a_, *b = *(hr_entry *const *)b_;
    if (a->next_use != b->next_use)
        return a->next_use < b->next_use ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

// Chooses what leaves: clean ones at once, dirty ones into the job. Returns whether memory came free already.
static bool choose(hr_store *store, spill_job *job, uint64_t goal)
{
    hr_spill *spill = store->spill;
    uint64_t freed = 0;
    // An even share of the goal, so that all threads write at once.
    uint64_t share = HR_MAX(goal / HR_SPILL_THREADS, (uint64_t)HR_FUSE_BYTES);
    share = HR_MIN(share, HR_SPILL_JOB_BYTES);
    hr__evict_plan(store);
    for (size_t i = 0; i < spill->victims.count; i++) {
        hr_entry *entry = spill->victims.items[i];
        if (freed + job->charged_bytes >= goal || job->bytes >= share ||
            job->count == HR_SPILL_JOB_COUNT ||
            (spill->wanted_distance && entry->next_use <= spill->wanted_distance))
            break;
        if (entry->disk_bytes) {
            freed += entry->extent->charged_bytes;
            hr__entry_drop_memory(store, entry);
        } else if (!spill->failed) {
            job->entries[job->count++] = entry;
            job->bytes += disk_size(entry);
            job->charged_bytes += entry->extent->charged_bytes;
        }
    }
    qsort(job->entries, job->count, sizeof *job->entries, nearer_first);
    spill->wanted_bytes -= HR_MIN(spill->wanted_bytes, freed + job->charged_bytes);
    if (!spill->wanted_bytes)
        spill->wanted_distance = 0;
    return freed > 0;
}

static void begin_job(hr_store *store, spill_job *job)
{
    hr_spill *spill = store->spill;
    uint64_t offset = 0;
    bool whole = hr__disk_take_whole(spill, job->bytes, &offset);
    for (size_t i = 0; i < job->count; i++) {
        hr_entry *entry = job->entries[i];
        entry->io = HR_IO_WRITING;
        job->memory[i] = entry->extent->memory;
        job->sizes[i] = disk_size(entry);
        job->offsets[i] = whole ? offset : hr__disk_take(spill, job->sizes[i]);
        offset += job->sizes[i];
    }
    spill->writing_bytes += job->charged_bytes;
    hr__count_begin(&spill->written);
}

static uint8_t *take_fuse(hr_store *store, uint8_t **fuse)
{
    // Where the budget is small the writes are.
    if (*fuse || store->ledger->limit_bytes / 16 < HR_FUSE_BYTES ||
        !hr__ledger_try_charge(store->ledger, HR_LEDGER_HEAP, HR_FUSE_BYTES))
        return *fuse;
    if (hr__alloc_aligned(HR_FUSE_BYTES, HR_EXTENT_BYTES_MIN, fuse, NULL) != HR_OK)
        hr__ledger_uncharge(store->ledger, HR_LEDGER_HEAP, HR_FUSE_BYTES);
    return *fuse;
}

// Without the lock. Sets job->done: what stands on disk.
static hr_status write_job(hr_store *store, spill_job *job, uint8_t **fuse, hr_error *err)
{
    int fd = store->spill->fd;
    while (job->done < job->count) {
        size_t i = job->done, bytes = 0, end = i;
        if (job->sizes[i] <= HR_FUSE_OBJECT_MAX && take_fuse(store, fuse))
            for (; end < job->count && job->sizes[end] <= HR_FUSE_OBJECT_MAX &&
                   bytes + job->sizes[end] <= HR_FUSE_BYTES &&
                   job->offsets[end] == job->offsets[i] + bytes;
                 end++) {
                memcpy(*fuse + bytes, job->memory[end], job->sizes[end]);
                bytes += job->sizes[end];
            }
        if (end > i + 1) {
            HR_TRY(hr__disk_write(fd, *fuse, bytes, job->offsets[i], err));
        } else {
            end = i + 1;
            HR_TRY(hr__disk_write(fd, job->memory[i], job->sizes[i], job->offsets[i], err));
        }
        job->done = end;
    }
    return HR_OK;
}

// The words of a failure: how much is on disk, what is free, what to do.
static void note_failure(hr_store *store, hr_status status, const hr_error *cause)
{
    hr_spill *spill = store->spill;
    uint64_t free_bytes = 0;
    char disk[32], left[32];
    hr_status told = hr__free_bytes(spill->dir, &free_bytes, NULL);
    hr__format_bytes(spill->disk_bytes, disk);
    hr__format_bytes(free_bytes, left);
    spill->failed = hr__error_set(
        &spill->error, status,
        "spill: %s: %s of spilled data in '%s', %s free there: make room, name another folder for "
        "spilling, or raise the memory budget",
        cause->message, disk, spill->dir, told ? "an unknown amount is" : left);
}

static void end_job(hr_store *store, spill_job *job, hr_status status, const hr_error *cause)
{
    hr_spill *spill = store->spill;
    uint64_t written = 0;
    for (size_t i = 0; i < job->count; i++) {
        hr_entry *entry = job->entries[i];
        entry->io = HR_IO_NONE;
        if (i < job->done) {
            written += entry->span_bytes;
            entry->disk_offset = job->offsets[i];
            entry->disk_bytes = job->sizes[i];
            spill->clean_bytes += entry->extent->charged_bytes;
        } else {
            hr__disk_give(spill, job->offsets[i], job->sizes[i]);
        }
        if (i < job->done && !entry->pins && entry->series_count)
            hr__entry_drop_memory(store, entry);
        hr__entry_free_if_done(store, entry);
    }
    spill->writing_bytes -= job->charged_bytes;
    hr__count_end(&spill->written, written, job->done);
    if (status)
        note_failure(store, status, cause);
}

// Wakes whoever waits for room. Lock held, let go of.
static void tell_room(hr_store *store)
{
    hr__mutex_unlock(&store->lock);
    hr__store_room(store, true);
    hr__mutex_lock(&store->lock);
}

bool hr__spill_next(hr_store *store, uint8_t **fuse)
{
    hr_spill *spill = store->spill;
    uint64_t goal = hr__evict_over(store);
    hr_error err = HR_ERROR_INIT;
    spill_job *job = NULL;
    if (!goal || spill->fruitless || spill->truncating || !store->kept_bytes ||
        hr__alloc_zero(1, sizeof *job, &job, NULL) != HR_OK)
        return false;
    bool freed = choose(store, job, goal);
    spill->fruitless = !freed && !job->count;
    if (job->count) {
        begin_job(store, job);
        if (hr__evict_over(store))
            hr__spill_ring(spill); // for the next thread
        hr__mutex_unlock(&store->lock);
        hr_status status = write_job(store, job, fuse, &err);
        hr__mutex_lock(&store->lock);
        end_job(store, job, status, &err);
    }
    bool did = freed || job->count;
    if (did) {
        spill->ahead = spill->disk_bytes > 0;
        tell_room(store);
    }
    hr__free(job);
    return did;
}

void hr__spill_forget(hr_store *store, hr_entry *entry)
{
    hr_spill *spill = store->spill;
    if (!spill)
        return;
    if (entry->wanted)
        for (size_t i = 0; i < spill->wanted.count; i++)
            if (spill->wanted.items[i] == entry)
                spill->wanted.items[i--] = spill->wanted.items[--spill->wanted.count];
    if (!entry->disk_bytes)
        return;
    hr__disk_give(spill, entry->disk_offset, entry->disk_bytes);
    entry->disk_bytes = 0;
    if (spill->failed == HR_LIMIT) // there is room on the disk again
        spill->failed = HR_OK;
    if (!spill->disk_bytes)
        hr__spill_ring(spill); // the file's space goes back
}

// --- reading ---

hr_status hr__restore_want(hr_store *store, hr_entry *entry, hr_error *err)
{
    hr_spill *spill = store->spill;
    if (entry->io_status)
        return HR_FAIL(err, entry->io_status,
                       "spill: an object of %zu bytes could not be read back from '%s'",
                       entry->span_bytes, spill->dir);
    HR_ASSERT(spill && (entry->disk_bytes || entry->io == HR_IO_READING));
    if (spill->stopping)
        return HR_FAIL(err, HR_CANCELLED, "store: closed while an object was on disk");
    if (!entry->wanted && entry->io != HR_IO_READING) {
        HR_TRY(HR_VEC_PUSH(&spill->wanted, entry, err));
        entry->wanted = true;
    }
    hr__spill_ring(spill);
    return HR_AGAIN;
}

// Reads it into `extent`. Lock held, let go of.
static void restore(hr_store *store, hr_entry *entry, hr_extent *extent)
{
    hr_spill *spill = store->spill;
    hr_error err = HR_ERROR_INIT;
    entry->io = HR_IO_READING;
    hr__entry_set_memory(store, entry, extent); // counted as used from here on
    hr__count_begin(&spill->read);
    hr__mutex_unlock(&store->lock);
    hr_status status =
        hr__disk_read(spill->fd, extent->memory, entry->disk_bytes, entry->disk_offset, &err);
    hr__mutex_lock(&store->lock);
    entry->io = HR_IO_NONE;
    hr__count_end(&spill->read, status ? 0 : entry->span_bytes, status ? 0 : 1);
    if (status) {
        entry->io_status = status;
        hr__entry_drop_memory(store, entry);
    }
    hr__entry_free_if_done(store, entry);
    spill->fruitless = false; // it may leave again
    tell_room(store);
}

// Room for an object that is needed at `distance`: from what is free, else from what is needed later.
static hr_extent *room_for(hr_store *store, const hr_entry *entry, uint64_t distance, bool urgent)
{
    hr_extent *extent = NULL;
    uint64_t bytes = disk_size(entry);
    hr_status status = hr__room_take(store, bytes, urgent, &extent, NULL);
    if (status == HR_AGAIN && hr__evict_clean(store, bytes, distance))
        status = hr__room_take(store, bytes, urgent, &extent, NULL);
    return status ? NULL : extent;
}

static bool restore_wanted(hr_store *store)
{
    hr_spill *spill = store->spill;
    while (spill->wanted.count) {
        hr_entry *entry = spill->wanted.items[0];
        // While room is made the lock is let go of: it may be freed, or restored by the other thread.
        spill->wanted.count--;
        memmove(spill->wanted.items, spill->wanted.items + 1,
                spill->wanted.count * sizeof *spill->wanted.items);
        entry->wanted = false;
        if (entry->extent || entry->io != HR_IO_NONE || !entry->disk_bytes)
            continue;
        entry->refs++;
        entry->io = HR_IO_READING; // ours
        hr_extent *extent = room_for(store, entry, 0, true);
        entry->io = HR_IO_NONE;
        entry->refs--;
        if (extent) {
            entry->awaited = true;
            restore(store, entry, extent);
            return true;
        }
        hr__evict_want(spill, disk_size(entry));
        if (entry->refs && HR_VEC_PUSH(&spill->wanted, entry, NULL) == HR_OK)
            entry->wanted = true;
        hr__entry_free_if_done(store, entry);
        return false;
    }
    return false;
}

// The first object at or after a cursor, within its window, that is not in memory.
static hr_entry *next_ahead(const hr_series_cursor *cursor, uint64_t window_bytes,
                            uint64_t *distance_out)
{
    const hr_series *series = cursor->series;
    size_t count = series->entries.count;
    uint64_t bytes = 0;
    for (size_t step = 0; step < count && bytes < window_bytes; step++) {
        size_t at = cursor->index + step;
        if (at >= count) {
            if (!cursor->cyclic)
                return NULL;
            at = (at - count) % count;
        }
        hr_entry *entry = series->entries.items[at];
        bytes += disk_size(entry);
        if (!entry->extent && entry->io == HR_IO_NONE && entry->disk_bytes && !entry->io_status) {
            *distance_out = step + series->distance;
            return entry;
        }
    }
    return NULL;
}

static bool restore_ahead(hr_store *store)
{
    hr_spill *spill = store->spill;
    uint64_t window = HR_MIN(store->bytes_max / 4, (uint64_t)512 << 20);
    hr_entry *best = NULL;
    uint64_t best_distance = 0, distance = 0;
    if (!spill->ahead)
        return false;
    for (hr_series *s = store->series; s; s = s->next)
        for (hr_series_cursor *c = s->cursors; c; c = c->next) {
            hr_entry *entry = next_ahead(c, window, &distance);
            if (entry && (!best || distance < best_distance)) {
                best = entry;
                best_distance = distance;
            }
        }
    spill->ahead_bytes = 0;
    if (!best) {
        spill->ahead = false;
        return false;
    }
    best->refs++;
    best->io = HR_IO_READING;
    hr_extent *extent = room_for(store, best, best_distance, false);
    best->io = HR_IO_NONE;
    best->refs--;
    if (extent) {
        restore(store, best, extent);
        return true;
    }
    // Somebody who is needed later may be written out for it; if nobody is, room must come from elsewhere.
    if (!spill->wanted_bytes) {
        spill->wanted_bytes = disk_size(best);
        spill->wanted_distance = HR_MAX(best_distance, 1u);
    }
    spill->ahead = false;
    spill->ahead_bytes = disk_size(best);
    hr__entry_free_if_done(store, best);
    return false;
}

bool hr__restore_next(hr_store *store)
{
    return restore_wanted(store) || restore_ahead(store);
}

hr_status hr__store_spill_error(hr_store *store, hr_error *err)
{
    hr_status status = HR_OK;
    hr__mutex_lock(&store->lock);
    if (store->spill && store->spill->failed)
        status = hr__error_copy(err, &store->spill->error);
    hr__mutex_unlock(&store->lock);
    return status;
}
