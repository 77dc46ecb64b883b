// SPDX-License-Identifier: Apache-2.0
// The spill file: one large file without a name, so that it goes with the process however that ends. Written past
// the page cache where the file system takes it: the pages would only stand twice, and the machine is short of
// memory already.
//
// Space is allocated ahead in large steps, because writes that extend a file go one at a time and writes into
// allocated space go side by side. Freed ranges are used again; when nothing is left in the file, its space goes
// back.
#include "store/spill.h"

#include "base/log.h"
#include "base/option.h"
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ALLOCATE_BYTES ((uint64_t)256 << 20)

static _Atomic uint64_t fail_countdown[2]; // by hr_disk_operation
static _Atomic int fail_errnum[2];

void hr__disk_fail_after(hr_disk_operation kind, uint64_t n, int errnum)
{
    atomic_store(&fail_errnum[kind], errnum);
    atomic_store(&fail_countdown[kind], n);
}

static hr_status injected(hr_disk_operation kind, const char *what, hr_error *err)
{
    uint64_t left = atomic_load(&fail_countdown[kind]);
    while (left && !atomic_compare_exchange_weak(&fail_countdown[kind], &left, left - 1))
        ;
    return left == 1 ? hr__error_errno(err, atomic_load(&fail_errnum[kind]), "%s", what) : HR_OK;
}

// A named file, unlinked at once: where the file system has no O_TMPFILE.
static hr_status open_unlinked(hr_spill *spill, int flags, hr_error *err)
{
    char path[1024];
    int bytes = snprintf(path, sizeof path, "%s/.headrace-spill-%ld", spill->dir, (long)getpid());
    if (bytes < 0 || (size_t)bytes >= sizeof path)
        return HR_FAIL(err, HR_INVALID, "the path is too long");
    HR_TRY(hr__open_file(path, flags | O_CREAT | O_EXCL, 0600, &spill->fd, err));
    (void)!unlink(path);
    return HR_OK;
}

hr_status hr__disk_open(hr_spill *spill, bool direct, hr_error *err)
{
    hr_status status = HR_IO;
    for (int i = direct ? 0 : 1; i < 2 && status; i++) {
        int flags = O_RDWR | O_CLOEXEC | (i == 0 ? O_DIRECT : 0);
        status = hr__open_file(spill->dir, flags | O_TMPFILE, 0600, &spill->fd, NULL);
        if (status)
            status = open_unlinked(spill, flags, err);
    }
    if (status)
        hr__error_context(err, "spill folder '%s'", spill->dir);
    return status;
}

hr_status hr__disk_write(int fd, const void *from, size_t bytes, uint64_t offset, hr_error *err)
{
    HR_TRY(injected(HR_DISK_WRITE, "write", err));
    return hr__pwrite_full(fd, from, bytes, offset, err);
}

hr_status hr__disk_read(int fd, void *to, size_t bytes, uint64_t offset, hr_error *err)
{
    size_t got = 0;
    HR_TRY(injected(HR_DISK_READ, "read", err));
    HR_TRY(hr__pread_full(fd, to, bytes, offset, &got, err));
    if (got != bytes)
        return HR_FAIL(err, HR_IO, "read %zu of %zu bytes at offset %llu: the spill file was cut",
                       got, bytes, (unsigned long long)offset);
    return HR_OK;
}

bool hr__disk_take_whole(hr_spill *spill, uint64_t bytes, uint64_t *offset_out)
{
    if (!hr__ranges_take(&spill->ranges, bytes, offset_out)) {
        if (spill->end - spill->disk_bytes >= bytes)
            return false;
        *offset_out = spill->end;
        spill->end += bytes;
    }
    spill->disk_bytes += bytes;
    return true;
}

uint64_t hr__disk_take(hr_spill *spill, uint64_t bytes)
{
    uint64_t offset;
    spill->disk_bytes += bytes;
    if (hr__ranges_take(&spill->ranges, bytes, &offset))
        return offset;
    offset = spill->end;
    spill->end += bytes;
    return offset;
}

void hr__disk_give(hr_spill *spill, uint64_t offset, uint64_t bytes)
{
    spill->disk_bytes -= bytes;
    hr__ranges_add(&spill->ranges, offset, bytes);
}

void hr__count_begin(hr_spill_count *count)
{
    if (count->active++ == 0)
        count->begun_ns = hr__now_ns();
}

void hr__count_end(hr_spill_count *count, uint64_t bytes, uint64_t objects)
{
    count->bytes += bytes;
    count->objects += objects;
    if (--count->active == 0)
        count->busy_ns += hr__now_ns() - count->begun_ns;
}

uint64_t hr__count_ns(const hr_spill_count *count)
{
    return count->busy_ns + (count->active ? hr__now_ns() - count->begun_ns : 0);
}

// --- the threads ---

static void log_count(const hr_spill_count *count, const char *what, const char *direction,
                      bool loud)
{
    double seconds = (double)HR_MAX(hr__count_ns(count), 1u) / 1e9;
    double mib = (double)count->bytes / 1048576.0;
    hr__log(HR_LOG_INFO, "%s %.0f MiB, %llu objects, %s throughput %.0f MiB/s.%s", what, mib,
            (unsigned long long)count->objects, direction, mib / seconds,
            loud ? " Set HEADRACE_VERBOSE_SPILL_LOGS=0 to disable this message." : "");
}

// At most one line a second of each kind; what is left when the store closes.
static bool is_due(hr_spill_count *count, bool last)
{
    uint64_t now = hr__now_ns();
    if (count->bytes == count->logged_bytes || !hr__count_ns(count) ||
        (!last && count->logged_ns && now - count->logged_ns < 1000000000u))
        return false;
    count->logged_bytes = count->bytes;
    count->logged_ns = now;
    return true;
}

static void log_progress(hr_store *store, bool last)
{
    hr_spill *spill = store->spill;
    if (!spill->verbose)
        return;
    hr__mutex_lock(&store->lock);
    bool wrote = is_due(&spill->written, last), read = is_due(&spill->read, last), loud = false;
    hr_spill_count written = spill->written, restored = spill->read;
    while (wrote && written.bytes >= spill->loud_bytes) {
        spill->loud_bytes *= 2;
        loud = true;
    }
    hr__mutex_unlock(&store->lock);
    if (wrote)
        log_count(&written, "Spilled", "write", loud);
    if (read)
        log_count(&restored, "Restored", "read", false);
}

// Space for what was handed out and some more. A disk that cannot is told of by the write that fails.
static void allocate_ahead(hr_store *store)
{
    hr_spill *spill = store->spill;
    if (spill->end <= spill->allocated || spill->truncating)
        return;
    uint64_t from = spill->allocated, bytes = HR_ALIGN_UP(spill->end - from, ALLOCATE_BYTES);
    spill->allocated = from + bytes;
    hr__mutex_unlock(&store->lock);
    hr_status status = hr__preallocate(spill->fd, from, bytes, NULL);
    if (status && hr__trace_on(HR_TOPIC_SPILL))
        hr__trace(HR_TOPIC_SPILL, "no %llu bytes to allocate ahead", (unsigned long long)bytes);
    hr__mutex_lock(&store->lock);
}

// Nothing is left in the file: its space goes back. Meanwhile nobody writes.
static void give_back(hr_store *store)
{
    hr_spill *spill = store->spill;
    if (spill->disk_bytes || !spill->end || spill->written.active || spill->truncating)
        return;
    spill->ranges.list.count = 0;
    spill->end = spill->allocated = 0;
    spill->truncating = true;
    hr__mutex_unlock(&store->lock);
    int failed = ftruncate(spill->fd, 0); // if it fails the space is used again all the same
    hr__mutex_lock(&store->lock);
    spill->truncating = false;
    if (failed && hr__trace_on(HR_TOPIC_SPILL))
        hr__trace(HR_TOPIC_SPILL, "the spill file could not be cut");
}

void hr__spill_ring(hr_spill *spill)
{
    spill->rings++;
    hr__cond_signal(&spill->work);
}

static void work(void *store_)
{
    hr_store *store = store_;
    hr_spill *spill = store->spill;
    uint8_t *fuse = NULL; // made when first needed
    hr__mutex_lock(&store->lock);
    while (!spill->stopping) {
        uint64_t rings = spill->rings; // the lock is let go of below: a ring must not be missed
        give_back(store);
        allocate_ahead(store);
        if (hr__restore_next(store) || hr__spill_next(store, &fuse)) {
            hr__mutex_unlock(&store->lock);
            log_progress(store, false);
            hr__mutex_lock(&store->lock);
            continue;
        }
        if (rings == spill->rings && !spill->stopping)
            hr__cond_wait(&spill->work, &store->lock);
    }
    hr__mutex_unlock(&store->lock);
    if (fuse) {
        hr__free(fuse);
        hr__ledger_uncharge(store->ledger, HR_LEDGER_HEAP, HR_FUSE_BYTES);
    }
}

hr_status hr__spill_open(hr_store *store, const char *dir, bool direct, hr_error *err)
{
    hr_spill *spill = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *spill, &spill, err));
    const char *verbose = hr__env("HEADRACE_VERBOSE_SPILL_LOGS");
    spill->fd = -1;
    spill->verbose = !verbose || strcmp(verbose, "0") != 0;
    spill->loud_bytes = (uint64_t)2 << 30;
    hr__cond_init(&spill->work);
    store->spill = spill;
    HR_TRY(hr__strdup(dir, &spill->dir, err));
    HR_TRY(hr__disk_open(spill, direct, err));
    for (int i = 0; i < HR_SPILL_THREADS; i++)
        HR_TRY(
            hr__thread_start(&spill->threads[i], "hr-spill", HR_THREAD_NORMAL, work, store, err));
    return HR_OK;
}

void hr__spill_close(hr_store *store)
{
    hr_spill *spill = store->spill;
    if (!spill)
        return;
    hr__mutex_lock(&store->lock);
    spill->stopping = true;
    hr__cond_broadcast(&spill->work);
    hr__mutex_unlock(&store->lock);
    for (int i = 0; i < HR_SPILL_THREADS; i++)
        hr__thread_join(&spill->threads[i]);
    log_progress(store, true);
}

void hr__spill_free(hr_store *store)
{
    hr_spill *spill = store->spill;
    if (!spill)
        return;
    hr__ranges_finish(&spill->ranges);
    HR_VEC_FINISH(&spill->wanted);
    HR_VEC_FINISH(&spill->victims);
    hr__close_fd(&spill->fd);
    hr__free(spill->dir);
    hr__cond_finish(&spill->work);
    hr__free(spill);
    store->spill = NULL;
}
