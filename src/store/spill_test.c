// SPDX-License-Identifier: Apache-2.0
// Series that are larger than the arena: who leaves, who comes back, and what happens when the disk does not take it.
#include "base/log.h"
#include "base/thread.h"
#include "store/spill.h"
#include "store/store_test_support.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64];

static int count_files(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static hr_series *make_series(hr_store *store, size_t count, size_t bytes)
{
    hr_series *series = NULL;
    assert_int_equal(hr__series_open(store, &series, NULL), HR_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hr__series_add(series, make_object(store, bytes, i), NULL), HR_OK);
    return series;
}

static const uint8_t *pin_waiting(hr_store *store, hr_object_id id, size_t *bytes)
{
    hr_error err = HR_ERROR_INIT;
    const uint8_t *memory = NULL;
    hr_status status;
    wait_until((status = hr__store_pin(store, id, &memory, bytes, &err)) != HR_AGAIN);
    assert_ok(status, &err);
    return memory;
}

static void read_series(hr_store *store, hr_series *series, hr_series_cursor *cursor)
{
    for (size_t i = 0; i < hr__series_count(series); i++) {
        hr_object_id id = hr__series_at(series, i);
        size_t bytes = 0;
        hr__series_cursor_move(cursor, i);
        assert_true(has_pattern(pin_waiting(store, id, &bytes), bytes, i));
        hr__store_unpin(store, id);
    }
}

static void keeps_four_times_the_arena(size_t bytes, size_t count, uint64_t arena)
{
    test_store t;
    hr_store_stats stats, before;
    hr_series_cursor *cursor = NULL;
    test_store_open(&t, arena, arena * 2, folder);
    hr_series *series = make_series(t.store, count, bytes);
    assert_int_equal(count_files(), 0); // it has no name
    hr__store_stats(t.store, &stats);
    assert_true(stats.arena_peak_bytes <= arena);
    assert_true(stats.spilled_bytes >= count * bytes - arena);
    assert_true(stats.spill_write_ns > 0);
    assert_int_equal(hr__series_cursor_open(series, true, &cursor, NULL), HR_OK);
    read_series(t.store, series, cursor);
    hr__store_stats(t.store, &before);
    for (int epoch = 0; epoch < 2; epoch++)
        read_series(t.store, series, cursor);
    hr__store_stats(t.store, &stats);
    // Each object was written once at most, and some need not be read again in each epoch.
    assert_true(stats.spilled_bytes <= count * bytes);
    assert_true(stats.restored_objects - before.restored_objects < 2 * count);
    assert_true(stats.arena_peak_bytes <= arena);
    assert_true(stats.disk_bytes >= stats.spilled_bytes);
    hr__series_cursor_close(&cursor);
    hr__series_close(&series);
    // What was being read ahead goes when it has come.
    wait_until((hr__store_stats(t.store, &stats), stats.object_count == 0));
    assert_int_equal(stats.disk_bytes, 0);
    test_store_close(&t);
}

static void spill__keeps_four_times_the_arena(void **unused)
{
    keeps_four_times_the_arena(MIB + 4096, 64, 16 * MIB);
}

static void spill__fuses_small_objects(void **unused)
{
    keeps_four_times_the_arena(24 << 10, 1500, 8 * MIB);
}

static void evict__takes_the_farthest_next_use(void **unused)
{
    test_store t;
    hr_series_cursor *cursor = NULL;
    test_store_open(&t, 16 * MIB, 32 * MIB, folder);
    hr_series *series = make_series(t.store, 10, MIB);
    hr__mutex_lock(&t.store->lock);
    hr__evict_plan(t.store); // no cursor: the newest first
    assert_int_equal(t.store->spill->victims.count, 10);
    assert_ptr_equal(t.store->spill->victims.items[0], series->entries.items[9]);
    hr__mutex_unlock(&t.store->lock);
    assert_int_equal(hr__series_cursor_open(series, true, &cursor, NULL), HR_OK);
    hr__series_cursor_move(cursor, 4);
    hr__mutex_lock(&t.store->lock);
    hr__evict_plan(t.store); // cyclic: what was just read
    assert_ptr_equal(t.store->spill->victims.items[0], series->entries.items[3]);
    assert_ptr_equal(t.store->spill->victims.items[9], series->entries.items[4]);
    hr__mutex_unlock(&t.store->lock);
    hr_series_cursor *other = NULL;
    assert_int_equal(hr__series_cursor_open(series, false, &other, NULL), HR_OK);
    hr__series_cursor_move(other, 2);
    hr__mutex_lock(&t.store->lock);
    hr__evict_plan(t.store); // two cursors: the nearer one counts
    assert_ptr_equal(t.store->spill->victims.items[0], series->entries.items[1]);
    hr__mutex_unlock(&t.store->lock);
    hr__series_cursor_close(&other);
    hr__series_cursor_close(&cursor);
    hr__series_close(&series);
    test_store_close(&t);
}

static void spill__pinned_objects_stay_and_creation_waits(void **unused)
{
    test_store t;
    size_t bytes = 0;
    test_store_open(&t, 8 * MIB, 32 * MIB, folder);
    hr_series *series = make_series(t.store, 6, MIB);
    const uint8_t *memory[6];
    for (size_t i = 0; i < 6; i++)
        memory[i] = pin_waiting(t.store, hr__series_at(series, i), &bytes);
    hr_object_id filler[3] = {make_object(t.store, MIB, 90), make_object(t.store, MIB, 91)};
    assert_int_equal(try_object(t.store, MIB, 92), 0);
    for (size_t i = 0; i < 6; i++)
        assert_true(has_pattern(memory[i], bytes, i));
    hr__store_unpin(t.store, hr__series_at(series, 3));
    filler[2] = make_object(t.store, MIB, 92); // the unpinned one left
    assert_true(atomic_load(&t.wakes) > 0);
    for (size_t i = 0; i < 6; i++)
        if (i != 3)
            hr__store_unpin(t.store, hr__series_at(series, i));
    assert_true(has_pattern(pin_waiting(t.store, hr__series_at(series, 3), &bytes), bytes, 3));
    hr__store_unpin(t.store, hr__series_at(series, 3));
    for (int i = 0; i < 3; i++)
        hr__store_unref(t.store, filler[i]);
    hr__series_close(&series);
    test_store_close(&t);
}

// Makes one more object and keeps it.
static hr_status keep_one(hr_store *store, hr_series *series, hr_error *err)
{
    hr_object object;
    HR_TRY(hr__store_create(store, MIB, false, &object, err));
    hr__store_seal(store, object.id, MIB);
    return hr__series_add(series, object.id, err);
}

static void spill__a_full_disk_is_an_error_with_numbers(void **unused)
{
    test_store t;
    hr_error err = HR_ERROR_INIT;
    hr_series *series = NULL;
    hr_status status = HR_OK;
    test_store_open(&t, 8 * MIB, 32 * MIB, folder);
    assert_int_equal(hr__series_open(t.store, &series, NULL), HR_OK);
    hr__disk_fail_after(HR_DISK_WRITE, 1, ENOSPC);
    wait_until((status = keep_one(t.store, series, &err)) < 0);
    assert_int_equal(status, HR_LIMIT);
    assert_message_has(&err, folder);
    assert_message_has(&err, "free there");
    assert_int_equal(hr__store_spill_error(t.store, &err), HR_LIMIT);
    hr__series_close(&series);
    test_store_close(&t);
}

// One whose memory went; without a cursor it does not come back by itself. 0: none yet.
static hr_object_id find_spilled(hr_store *store, const hr_series *series)
{
    size_t at = 0, count = series->entries.count;
    hr__mutex_lock(&store->lock);
    while (at < count && series->entries.items[at]->extent)
        at++;
    hr__mutex_unlock(&store->lock);
    return at < count ? hr__series_at(series, at) : 0;
}

static void restore__an_io_error_reaches_who_pins(void **unused)
{
    test_store t;
    hr_error err = HR_ERROR_INIT;
    const uint8_t *memory = NULL;
    size_t bytes = 0;
    hr_object_id id = 0;
    hr_status status = HR_OK;
    test_store_open(&t, 8 * MIB, 32 * MIB, folder);
    hr_series *series = make_series(t.store, 20, MIB);
    wait_until((id = find_spilled(t.store, series)) != 0);
    hr__disk_fail_after(HR_DISK_READ, 1, EIO);
    wait_until((status = hr__store_pin(t.store, id, &memory, &bytes, &err)) != HR_AGAIN);
    assert_int_equal(status, HR_IO);
    assert_message_has(&err, folder);
    hr__series_close(&series);
    test_store_close(&t);
}

static void spill__without_a_folder_kept_data_has_a_limit(void **unused)
{
    test_store t;
    hr_error err = HR_ERROR_INIT;
    hr_object object;
    test_store_open(&t, 4 * MIB, 32 * MIB, NULL);
    hr_series *series = make_series(t.store, 4, MIB);
    assert_int_equal(hr__store_create(t.store, MIB, false, &object, &err), HR_LIMIT);
    assert_non_null(strstr(err.message, "spill folder"));
    hr__series_close(&series);
    test_store_close(&t);
    hr_store_config config = {&t.ledger, 4 * MIB, "/nonexistent/folder", true, NULL, NULL};
    assert_true(hr__store_open(&config, &t.store, &err) < 0);
    assert_non_null(strstr(err.message, "/nonexistent/folder"));
}

// --- several threads: makers, readers of cyclic cursors, pins ---

typedef struct crowd {
    test_store t;
    hr_series *series;
    _Atomic uint32_t wrong;
} crowd;

static void read_around(void *context)
{
    crowd *c = context;
    hr_series_cursor *cursor = NULL;
    size_t count = hr__series_count(c->series), bytes = 0;
    if (hr__series_cursor_open(c->series, true, &cursor, NULL) != HR_OK)
        return;
    for (size_t i = 0; i < count * 3; i++) {
        hr_object_id id = hr__series_at(c->series, i % count);
        hr__series_cursor_move(cursor, i % count);
        if (!has_pattern(pin_waiting(c->t.store, id, &bytes), bytes, i % count))
            atomic_fetch_add(&c->wrong, 1);
        hr__store_unpin(c->t.store, id);
    }
    hr__series_cursor_close(&cursor);
}

static void make_and_drop(void *context)
{
    crowd *c = context;
    for (uint64_t i = 0; i < 200; i++)
        hr__store_unref(c->t.store, make_object(c->t.store, 200000 + i * 1000, i));
}

static void spill__serves_cursors_and_makers_at_once(void **unused)
{
    crowd c = {0};
    hr_thread threads[4] = {0};
    test_store_open(&c.t, 16 * MIB, 32 * MIB, folder);
    c.series = make_series(c.t.store, 100, 300 << 10);
    for (int i = 0; i < 4; i++)
        assert_int_equal(hr__thread_start(&threads[i], "crowd", HR_THREAD_NORMAL,
                                          i < 2 ? read_around : make_and_drop, &c, NULL),
                         HR_OK);
    for (int i = 0; i < 4; i++)
        hr__thread_join(&threads[i]);
    assert_int_equal(atomic_load(&c.wrong), 0);
    hr__series_close(&c.series);
    test_store_close(&c.t);
}

static char lines[4][200];
static _Atomic int line_count;

static void note_line(void *context, hr_log_level level, const char *line)
{
    int at = atomic_fetch_add(&line_count, 1);
    if (at < 4)
        snprintf(lines[at], sizeof lines[at], "%d %s", (int)level, line);
}

static void spill__logs_in_the_known_words(void **unused)
{
    test_store t;
    atomic_store(&line_count, 0);
    hr_log_set_sink(note_line, NULL);
    test_store_open(&t, 8 * MIB, 32 * MIB, folder);
    hr_series *series = make_series(t.store, 20, MIB);
    hr__series_close(&series);
    test_store_close(&t);
    hr_log_set_sink(NULL, NULL);
    assert_true(atomic_load(&line_count) >= 1);
    static const char *const parts[] = {"2 Spilled ", " MiB, ", " objects, write throughput ",
                                        " MiB/s."};
    const char *at = lines[0];
    for (size_t i = 0; i < 4; i++) { // with a number between any two
        assert_memory_equal(at, parts[i], strlen(parts[i]));
        at += strlen(parts[i]) + strspn(at + strlen(parts[i]), "0123456789");
    }
    assert_string_equal(at, "");
}

static void stats__print_the_known_lines(void **unused)
{
    hr_store_stats s = {.arena_bytes_max = 300 * MIB,
                        .arena_used_bytes = 150 * MIB,
                        .object_count = 7,
                        .needed_bytes = 100 * MIB};
    hr_text text;
    hr__text_init(&text, 4096);
    hr__store_stats_print(&s, &text);
    assert_string_equal(hr__text_str(&text),
                        "--- Aggregate object store stats across all nodes ---\n"
                        "Plasma memory usage 150 MiB, 7 objects, 50.0% full, "
                        "33.33% needed\n");
    s.spilled_bytes = 2000 * MIB, s.spilled_objects = 40, s.spill_write_ns = 2000000000u;
    s.restored_bytes = 500 * MIB, s.restored_objects = 10, s.restore_read_ns = 250000000u;
    s.consumed_bytes = 12 * MIB, s.waiting = 1, s.needed_bytes = 0;
    hr__text_clear(&text);
    hr__store_stats_print(&s, &text);
    assert_string_equal(hr__text_str(&text),
                        "--- Aggregate object store stats across all nodes ---\n"
                        "Plasma memory usage 150 MiB, 7 objects, 50.0% full, 0.0% needed\n"
                        "Spilled 2000 MiB, 40 objects, avg write throughput 1000 MiB/s\n"
                        "Restored 500 MiB, 10 objects, avg read throughput 2000 MiB/s\n"
                        "Objects consumed by Ray tasks: 12 MiB.\n"
                        "Object fetches queued, waiting for available memory.\n");
    hr__text_finish(&text);
}

// Keeps more than fits, says so, and waits to be killed.
static int keep_and_wait(void)
{
    test_store t;
    test_store_open(&t, 8 * MIB, 32 * MIB, folder);
    (void)make_series(t.store, 30, MIB);
    if (write(STDOUT_FILENO, "x", 1) != 1)
        return 1;
    while (pause() != 0)
        ;
    return 0;
}

static void spill__nothing_is_left_after_sigkill(void **unused)
{
    int ready[2];
    char byte = 0, self[256];
    pid_t pid = 0;
    assert_int_equal(hr__self_path(self, sizeof self, NULL), HR_OK);
    assert_int_equal(pipe(ready), 0);
    int saved = dup(STDOUT_FILENO);
    assert_int_equal(dup2(ready[1], STDOUT_FILENO), STDOUT_FILENO);
    const char *argv[] = {self, folder, NULL};
    hr_spawn spawn = {.argv = argv, .die_with_parent = true};
    assert_int_equal(hr__spawn(&spawn, &pid, NULL), HR_OK);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    close(saved);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    bool done = false;
    int code = 0;
    assert_int_equal(hr__reap(pid, true, &done, &code, NULL), HR_OK);
    assert_int_equal(count_files(), 0);
    close(ready[0]);
    close(ready[1]);
}

int main(int argc, char **argv)
{
    snprintf(folder, sizeof folder, "%s", argc > 1 ? argv[1] : "/tmp/hr-spill-XXXXXX");
    if (argc > 1)
        return keep_and_wait();
    if (!mkdtemp(folder))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stats__print_the_known_lines),
        cmocka_unit_test(evict__takes_the_farthest_next_use),
        cmocka_unit_test(spill__keeps_four_times_the_arena),
        cmocka_unit_test(spill__fuses_small_objects),
        cmocka_unit_test(spill__pinned_objects_stay_and_creation_waits),
        cmocka_unit_test(spill__a_full_disk_is_an_error_with_numbers),
        cmocka_unit_test(restore__an_io_error_reaches_who_pins),
        cmocka_unit_test(spill__without_a_folder_kept_data_has_a_limit),
        cmocka_unit_test(spill__serves_cursors_and_makers_at_once),
        cmocka_unit_test(spill__logs_in_the_known_words),
        cmocka_unit_test(spill__nothing_is_left_after_sigkill),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
