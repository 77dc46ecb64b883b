// SPDX-License-Identifier: Apache-2.0
// How fast the store spills, against plain direct sequential writes of as many bytes to the same disk: by one thread,
// and by as many as the store has.
//
//   store_spill_bench FOLDER [MIB] [OBJECT_KIB]
//
// Prints both and their ratio (the store's own write time, as the statistics have it), then reading back in order.
#include "base/os.h"
#include "base/thread.h"
#include "store/spill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_BYTES ((size_t)8 << 20)

typedef struct raw_part {
    int fd;
    uint64_t from, bytes;
    hr_status status;
} raw_part;

static void write_raw(void *part_)
{
    raw_part *part = part_;
    uint8_t *memory = NULL;
    part->status = hr__alloc_aligned(REQUEST_BYTES, 4096, &memory, NULL);
    if (part->status)
        return;
    memset(memory, 0x5a, REQUEST_BYTES);
    for (uint64_t at = 0; at < part->bytes && part->status == HR_OK; at += REQUEST_BYTES)
        part->status = hr__disk_write(part->fd, memory, REQUEST_BYTES, part->from + at, NULL);
    hr__free(memory);
}

static double raw_mib_s(const char *folder, uint64_t bytes, int count)
{
    hr_spill file = {.fd = -1, .dir = (char *)folder};
    hr_thread threads[HR_SPILL_THREADS] = {0};
    raw_part parts[HR_SPILL_THREADS];
    hr_error err = HR_ERROR_INIT;
    uint64_t each = bytes / (unsigned)count / REQUEST_BYTES * REQUEST_BYTES;
    if (hr__disk_open(&file, true, &err) != HR_OK ||
        hr__preallocate(file.fd, 0, each * (unsigned)count, &err) != HR_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    uint64_t begin = hr__now_ns();
    for (int i = 0; i < count; i++) {
        parts[i] = (raw_part){file.fd, each * (uint64_t)i, each, HR_OK};
        if (hr__thread_start(&threads[i], "raw", HR_THREAD_NORMAL, write_raw, &parts[i], NULL))
            exit(1);
    }
    for (int i = 0; i < count; i++)
        hr__thread_join(&threads[i]);
    double seconds = (double)(hr__now_ns() - begin) / 1e9;
    hr__close_fd(&file.fd);
    return (double)(each * (unsigned)count) / 1048576 / seconds;
}

static void wake(void *context)
{
    atomic_fetch_add((_Atomic uint32_t *)context, 1);
    hr__futex_wake(context, 1);
}

static hr_object create(hr_store *store, size_t bytes, _Atomic uint32_t *wakes)
{
    hr_error err = HR_ERROR_INIT;
    for (;;) {
        hr_object object;
        uint32_t seen = atomic_load(wakes);
        hr_status status = hr__store_create(store, bytes, false, &object, &err);
        if (status == HR_OK)
            return object;
        if (status != HR_AGAIN) {
            fprintf(stderr, "%s\n", err.message);
            exit(1);
        }
        (void)hr__futex_wait(wakes, seen, 1000000000u);
    }
}

static void read_back(hr_store *store, hr_series *series, _Atomic uint32_t *wakes)
{
    hr_series_cursor *cursor = NULL;
    if (hr__series_cursor_open(series, true, &cursor, NULL) != HR_OK)
        exit(1);
    for (size_t i = 0; i < hr__series_count(series); i++) {
        const uint8_t *memory;
        size_t bytes;
        hr__series_cursor_move(cursor, i);
        for (;;) {
            uint32_t seen = atomic_load(wakes);
            hr_status status =
                hr__store_pin(store, hr__series_at(series, i), &memory, &bytes, NULL);
            if (status == HR_OK)
                break;
            if (status != HR_AGAIN)
                exit(1);
            (void)hr__futex_wait(wakes, seen, 1000000000u);
        }
        if (memory[0] != (uint8_t)i)
            exit(2);
        hr__store_unpin(store, hr__series_at(series, i));
    }
    hr__series_cursor_close(&cursor);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "/tmp";
    uint64_t total = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1024) << 20;
    size_t each = (argc > 3 ? strtoull(argv[3], NULL, 10) : 4096) << 10;
    _Atomic uint32_t wakes = 0;
    hr_ledger ledger;
    hr_store *store = NULL;
    hr_series *series = NULL;
    hr_store_stats stats;
    hr_error err = HR_ERROR_INIT;
    double one = raw_mib_s(folder, total, 1), all = raw_mib_s(folder, total, HR_SPILL_THREADS);
    hr__ledger_init(&ledger, total);
    hr_store_config config = {&ledger, total / 4, folder, true, wake, &wakes};
    if (hr__store_open(&config, &store, &err) || hr__series_open(store, &series, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    uint64_t begin = hr__now_ns();
    for (uint64_t i = 0; i < total / each; i++) {
        hr_object object = create(store, each, &wakes);
        memset(object.memory, (int)i, each);
        hr__store_seal(store, object.id, each);
        if (hr__series_add(series, object.id, &err) != HR_OK)
            return 1;
    }
    double wall = (double)(hr__now_ns() - begin) / 1e9;
    hr__store_stats(store, &stats);
    double mib = (double)stats.spilled_bytes / 1048576;
    double own = mib / ((double)stats.spill_write_ns / 1e9);
    one = (one + raw_mib_s(folder, total, 1)) / 2;
    all = (all + raw_mib_s(folder, total, HR_SPILL_THREADS)) / 2;
    printf(
        "raw %.0f MiB/s (one thread), %.0f (%d); store %.0f MiB/s over %.0f MiB: %.2f and %.2f of "
        "it; made %.0f MiB/s\n",
        one, all, HR_SPILL_THREADS, own, mib, own / one, own / all, (double)total / 1048576 / wall);
    begin = hr__now_ns();
    read_back(store, series, &wakes);
    wall = (double)(hr__now_ns() - begin) / 1e9;
    hr__store_stats(store, &stats);
    printf("read back %.0f MiB/s, of it %.0f MiB from disk at %.0f MiB/s\n",
           (double)total / 1048576 / wall, (double)stats.restored_bytes / 1048576,
           (double)stats.restored_bytes / 1048576 /
               ((double)HR_MAX(stats.restore_read_ns, 1u) / 1e9));
    hr__series_close(&series);
    hr__store_close(&store);
    return 0;
}
