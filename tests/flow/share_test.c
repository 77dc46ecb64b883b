// SPDX-License-Identifier: Apache-2.0
// Several streams in one budget: each goes on whatever the others do, the rows are the same, and the budget holds.
//
// The file has 28 columns of which each keeps a page and often a dictionary open, so that one stream alone would use
// more than a budget of 32 MiB, and two more than 64.
#include "flow_support.h"

#include <pthread.h>
#include <stdatomic.h>

#define ROWS        120000
#define GROUP_ROWS  50000
#define BATCH_ROWS  1000
#define COLUMNS     28
#define STREAMS_MAX 4

static char zstd_folder[64], plain_folder[64];
static uint64_t expected; // the checksum of all rows

static void write_wide(const char *folder, const char *codec)
{
    hr_runtime *rt = runtime_of(2, 512 * MIB);
    hr_dataset *ids = NULL, *wide = NULL;
    hr_write_options o = HR_WRITE_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    char text[4096] = "";
    size_t at = 0;
    // Values that repeat seldom: a page is large, and there are dictionaries.
    for (int i = 0; i < COLUMNS - 1; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%sc%d = id * %d %% %d", i ? "; " : "",
                               i, 2 * i + 7919, 30000 + 4000 * i);
    o.codec = codec;
    o.file_rows = ROWS;
    o.row_group_rows = GROUP_ROWS;
    ok(hr_range(rt, ROWS, 8, &ids, &err));
    ok(hr_dataset_map(ids, text, &wide, &err));
    ok(hr_dataset_write_parquet(wide, folder, &o, &err));
    hr_dataset_unref(&wide);
    hr_dataset_unref(&ids);
    hr_runtime_close(&rt);
}

// --- one reader ---

typedef struct reader {
    hr_feed *feed;
    int64_t rows;
    uint64_t sum;
    int sleep_ms; // between batches, now and then
    hr_batch **kept;
    size_t kept_count, kept_max; // 0: keeps none
    hr_status status;
    hr_error err;
} reader;

static hr_feed *batches_of(const hr_dataset *d, int64_t batch_rows)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    o.batch_rows = batch_rows;
    return feed_of(d, &o);
}

static bool step(reader *r)
{
    hr_batch *batch = NULL;
    r->status = hr_feed_next(r->feed, &batch, &r->err);
    if (r->status != HR_OK)
        return false;
    r->rows += hr_batch_rows(batch);
    r->sum += hr_batch_checksum(batch);
    if (r->kept_count < r->kept_max)
        r->kept[r->kept_count++] = batch;
    else
        hr_batch_unref(&batch);
    if (r->sleep_ms && r->rows % (20 * BATCH_ROWS) == 0)
        sleep_ms(r->sleep_ms);
    return true;
}

static void finish(reader *r, bool whole)
{
    if (whole && r->status != HR_END)
        fail_msg("%s after %lld rows: %s", hr_status_name(r->status), (long long)r->rows,
                 r->err.message);
    if (whole) {
        assert_int_equal(r->rows, ROWS);
        assert_true(r->sum == expected);
    }
    hr_feed_close(&r->feed);
    for (size_t i = 0; i < r->kept_count; i++)
        hr_batch_unref(&r->kept[i]);
    free(r->kept);
}

static void *run(void *arg)
{
    while (step(arg)) {
    }
    return NULL;
}

// --- the budget ---

typedef struct budget {
    hr_runtime *rt;
    int64_t bytes, before;
} budget;

static budget budget_of(int64_t threads, int64_t mib)
{
    budget b = {.bytes = mib * MIB, .before = anonymous_bytes()};
    b.rt = runtime_of(threads, b.bytes);
    return b;
}

static void close_budget(budget *b)
{
    hr_memory_stats m;
    hr_runtime_memory(b->rt, &m, sizeof m);
    assert_true(m.peak_bytes <= m.budget_bytes);
    assert_true(m.arena_peak_bytes <= m.budget_bytes / 4 * 3);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true((int64_t)m.arena_peak_bytes + anonymous_bytes() - b->before <= b->bytes + 64 * MIB);
#endif
    hr_runtime_close(&b->rt);
}

// Streams whose readers take turns in one thread (reader i takes i + 1 batches), or run in a thread each.
static void check_side_by_side(const char *folder, int64_t threads, int64_t mib, int streams,
                               bool in_threads)
{
    budget b = budget_of(threads, mib);
    hr_dataset *d = files_of(b.rt, folder);
    reader r[STREAMS_MAX] = {0};
    pthread_t ids[STREAMS_MAX];
    bool any = true;
    for (int i = 0; i < streams; i++)
        r[i].feed = batches_of(d, BATCH_ROWS);
    for (int i = 0; i < streams && in_threads; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, run, &r[i]), 0);
    while (!in_threads && any) {
        any = false;
        for (int i = 0; i < streams; i++)
            for (int n = 0; n <= i && r[i].status == HR_OK; n++)
                any |= step(&r[i]);
    }
    for (int i = 0; i < streams; i++) {
        if (in_threads)
            pthread_join(ids[i], NULL);
        finish(&r[i], true);
    }
    hr_dataset_unref(&d);
    close_budget(&b);
}

static void share__two_streams_go_on_in_any_budget(void **state)
{
    check_side_by_side(zstd_folder, 1, 32, 2, false);
    check_side_by_side(plain_folder, 2, 32, 2, true);
    check_side_by_side(zstd_folder, 8, 64, 2, false);
    check_side_by_side(plain_folder, 8, 64, 2, false);
    check_side_by_side(zstd_folder, 8, 64, 2, true);
    check_side_by_side(zstd_folder, 8, 128, 2, true);
}

static void share__one_stream_goes_on_in_the_least_budget(void **state)
{
    check_side_by_side(zstd_folder, 8, 16, 1, false);
    check_side_by_side(plain_folder, 1, 16, 1, false);
}

static void share__four_streams_go_on(void **state)
{
    check_side_by_side(zstd_folder, 8, 96, 4, false);
    check_side_by_side(zstd_folder, 2, 96, 4, true);
}

// One stream is full and nobody reads it, or is left half-way: the other must not notice.
static void share__a_stream_that_sleeps_holds_nobody_up(void **state)
{
    budget b = budget_of(8, 64);
    hr_dataset *d = files_of(b.rt, zstd_folder);
    for (int abandoned = 0; abandoned < 2; abandoned++) {
        reader sleeper = {.feed = batches_of(d, BATCH_ROWS)};
        for (int i = 0; i < 60; i++)
            assert_true(step(&sleeper));
        reader other = {.feed = batches_of(d, BATCH_ROWS)};
        run(&other);
        finish(&other, true);
        if (!abandoned)
            run(&sleeper);
        finish(&sleeper, !abandoned);
    }
    hr_dataset_unref(&d);
    close_budget(&b);
}

static void share__of_a_slow_reader_is_its_own(void **state)
{
    budget b = budget_of(2, 64);
    hr_dataset *d = files_of(b.rt, zstd_folder);
    reader r[2] = {{.feed = batches_of(d, BATCH_ROWS), .sleep_ms = 10},
                   {.feed = batches_of(d, 777)}};
    pthread_t slow;
    assert_int_equal(pthread_create(&slow, NULL, run, &r[0]), 0);
    run(&r[1]);
    pthread_join(slow, NULL);
    finish(&r[0], true);
    finish(&r[1], true);
    hr_dataset_unref(&d);
    close_budget(&b);
}

// Readers that keep every batch are handed copies beyond their share, and what they kept stays as it was.
static void share__readers_may_keep_everything(void **state)
{
    budget b = budget_of(8, 64);
    hr_dataset *d = files_of(b.rt, zstd_folder);
    reader r[2] = {0};
    hr_feed_stats stats;
    for (int i = 0; i < 2; i++) {
        r[i].feed = batches_of(d, BATCH_ROWS);
        r[i].kept_max = ROWS / BATCH_ROWS;
        r[i].kept = calloc(r[i].kept_max, sizeof *r[i].kept);
    }
    while (step(&r[0]) | step(&r[1])) {
    }
    for (int i = 0; i < 2; i++) {
        uint64_t sum = 0;
        for (size_t k = 0; k < r[i].kept_count; k++)
            sum += hr_batch_checksum(r[i].kept[k]);
        assert_true(sum == expected);
        hr_feed_get_stats(r[i].feed, &stats, sizeof stats);
        assert_true(stats.copied_batches > 0);
        for (size_t k = 0; k < r[i].kept_count; k++)
            hr_batch_unref(&r[i].kept[k]);
        r[i].kept_count = 0;
        finish(&r[i], true);
    }
    hr_dataset_unref(&d);
    hr_runtime_close(&b.rt); // what was kept is the readers' own and not in the budget
}

static void share__a_materialisation_goes_on_beside_a_stream(void **state)
{
    budget b = budget_of(8, 64);
    hr_dataset *d = files_of(b.rt, zstd_folder), *kept = NULL, *some = NULL;
    hr_error err = HR_ERROR_INIT;
    reader sleeper = {.feed = batches_of(d, BATCH_ROWS)};
    assert_true(step(&sleeper));
    ok(hr_dataset_materialize(d, &kept, &err));
    reader other = {.feed = batches_of(kept, BATCH_ROWS)};
    while (step(&sleeper) | step(&other)) {
    }
    finish(&sleeper, true);
    finish(&other, true);
    // And a filter, whose columns go through scratch, beside it.
    ok(hr_dataset_filter(d, "id % 2 == 0 and c1 >= 0", &some, &err));
    reader filtered = {.feed = batches_of(some, BATCH_ROWS)};
    other = (reader){.feed = batches_of(d, BATCH_ROWS)};
    while (step(&filtered) | step(&other)) {
    }
    assert_int_equal(filtered.status, HR_END);
    assert_int_equal(filtered.rows, ROWS / 2);
    finish(&filtered, false);
    finish(&other, true);
    hr_dataset_unref(&some);
    hr_dataset_unref(&kept);
    hr_dataset_unref(&d);
    close_budget(&b);
}

static void share__one_stream_too_many_is_a_limit_when_it_opens(void **state)
{
    budget b = budget_of(2, 32);
    hr_dataset *d = files_of(b.rt, zstd_folder);
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_stream *streams[32] = {0};
    hr_error err = HR_ERROR_INIT;
    hr_status status = HR_OK;
    int count = 0;
    o.batch_rows = BATCH_ROWS;
    while (count < 32 && (status = hr_dataset_stream(d, &o, &streams[count], &err)) == HR_OK)
        count++;
    assert_int_equal(status, HR_LIMIT);
    assert_true(count >= 2);
    assert_non_null(strstr(err.message, "memory budget of at least"));
    hr_stream_close(&streams[--count]); // its promise is free again
    ok(hr_dataset_stream(d, &o, &streams[count], &err));
    for (int i = 0; i <= count; i++)
        hr_stream_close(&streams[i]);
    hr_dataset_unref(&d);
    close_budget(&b);
}

// Its feed is still open, and is asked for its place; what was kept for its epochs goes as well.
static void share__of_a_stream_that_ended_is_free(void **state)
{
    budget b = budget_of(2, 32);
    hr_dataset *d = files_of(b.rt, zstd_folder);
    hr_feed *feeds[12] = {0};
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    hr_memory_stats m;
    hr_position at;
    for (size_t i = 0; i < COUNTOF(feeds); i++) {
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        pass p = {0};
        o.batch_rows = 8000;
        o.epochs = 1 + (int64_t)i % 2;
        o.shuffle = i % 3 ? HR_SHUFFLE_NONE : HR_SHUFFLE_WINDOW;
        o.window_rows = 2000;
        feeds[i] = feed_of(d, &o);
        pass_feed(&p, feeds[i]);
        assert_ended(&p);
        assert_int_equal(p.count, o.epochs * ROWS);
        pass_finish(&p);
    }
    hr_runtime_memory(b.rt, &m, sizeof m);
    assert_true(m.object_count <= 2); // the last batch may be on its way back
    for (size_t i = 0; i < COUNTOF(feeds); i++) {
        assert_int_equal(hr_feed_next(feeds[i], &batch, &err), HR_END);
        hr_feed_position(feeds[i], &at);
        assert_int_equal(at.epoch, 1 + (int64_t)i % 2); // the next
        assert_int_equal(at.row, 0);
        hr_feed_close(&feeds[i]);
    }
    hr_dataset_unref(&d);
    close_budget(&b);
}

// Streams at rest at their first epoch's end have begun the next, and keep what they were promised: what is left is
// enough for one more, or it is refused.
static void check_at_rest(hr_dataset *d, int64_t rows, int64_t batch_rows)
{
    hr_feed *feeds[64] = {0};
    hr_error err = HR_ERROR_INIT;
    hr_status status = HR_OK;
    size_t count = 0;
    for (; count < COUNTOF(feeds); count++) {
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        hr_feed_options wait = HR_FEED_OPTIONS_INIT;
        hr_stream *stream = NULL;
        reader r = {0};
        o.batch_rows = batch_rows;
        o.epochs = -1;
        o.shuffle = HR_SHUFFLE_WINDOW;
        o.seed = count;
        wait.timeout_s = 20;
        if ((status = hr_dataset_stream(d, &o, &stream, &err)) != HR_OK)
            break;
        ok(hr_feed_open(&stream, &wait, &feeds[count], &err));
        r.feed = feeds[count];
        run(&r);
        if (r.status != HR_END || r.rows != rows)
            fail_msg("stream %zu: %s after %lld rows: %s", count, hr_status_name(r.status),
                     (long long)r.rows, r.err.message);
    }
    assert_int_equal(status, HR_LIMIT);
    assert_true(count >= 2);
    while (count > 0)
        hr_feed_close(&feeds[--count]);
}

static void share__of_a_shuffle_is_enough_beside_any_number_at_rest(void **state)
{
    budget b = budget_of(2, 64);
    hr_dataset *numbers = NULL, *d = files_of(b.rt, zstd_folder);
    hr_error err = HR_ERROR_INIT;
    ok(hr_range(b.rt, 200000, 20, &numbers, &err));
    check_at_rest(numbers, 200000, 256);
    check_at_rest(numbers, 200000, 30001); // a step takes rows of three rounds
    check_at_rest(d, ROWS, 256);
    hr_dataset_unref(&numbers);
    hr_dataset_unref(&d);
    close_budget(&b);
}

// Rows of 61 columns that are made of one: pieces are many times larger than the source says.
static hr_dataset *expanding(hr_runtime *rt, int64_t first, int64_t rows, int64_t pieces)
{
    hr_dataset *ids = NULL, *wide = NULL;
    hr_error err = HR_ERROR_INIT;
    char text[4096];
    size_t at = (size_t)snprintf(text, sizeof text, "id = id + %lld", (long long)first);
    for (int i = 0; i < 60; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "; x%d = id * %d", i, i);
    ok(hr_range(rt, rows, pieces, &ids, &err));
    ok(hr_dataset_map(ids, text, &wide, &err));
    hr_dataset_unref(&ids);
    return wide;
}

#define SMALL_ROWS 3000
#define LARGE_ROWS 24000

// Small pieces behind a large one are done first, and hold what it lacks of the share: they are made again.
static void share__the_oldest_finds_room_that_younger_ones_hold(void **state)
{
    for (int threads = 1; threads <= 4; threads += 3) {
        budget b = budget_of(threads, 64);
        hr_dataset *numbers = NULL, *parts[10], *all = NULL;
        hr_error err = HR_ERROR_INIT;
        hr_batch *batch = NULL;
        pass p = {0};
        int64_t rows = 0;
        for (size_t i = 0; i < COUNTOF(parts); i++) {
            int64_t n = i % 2 ? LARGE_ROWS : 5 * SMALL_ROWS;
            parts[i] = expanding(b.rt, rows, n, i % 2 ? 1 : 5);
            rows += n;
        }
        ok(hr_dataset_union((const hr_dataset *const *)parts, COUNTOF(parts), &all, &err));
        ok(hr_range(b.rt, 8000000, 64, &numbers, &err)); // read by nobody
        hr_feed *before = batches_of(numbers, BATCH_ROWS), *feed = batches_of(all, SMALL_ROWS / 2),
                *after = batches_of(numbers, BATCH_ROWS);
        while ((p.status = hr_feed_next(feed, &batch, &p.err)) == HR_OK) {
            pass_note(&p, batch);
            hr_batch_unref(&batch);
            if (p.batches % 10 == 0)
                sleep_ms(20); // what can be made ahead is
        }
        assert_ids(&p, 0, 1, rows);
        pass_finish(&p);
        hr_feed_close(&feed);
        hr_feed_close(&before);
        hr_feed_close(&after);
        hr_dataset_unref(&numbers);
        hr_dataset_unref(&all);
        for (size_t i = 0; i < COUNTOF(parts); i++)
            hr_dataset_unref(&parts[i]);
        close_budget(&b);
    }
}

static int write_files(void **state)
{
    make_folder(zstd_folder);
    make_folder(plain_folder);
    write_wide(zstd_folder, "zstd");
    write_wide(plain_folder, "none");
    budget b = budget_of(2, 1024);
    hr_dataset *d = files_of(b.rt, zstd_folder);
    reader r = {.feed = batches_of(d, BATCH_ROWS)};
    run(&r);
    expected = r.sum;
    finish(&r, true);
    hr_dataset_unref(&d);
    hr_runtime_close(&b.rt);
    return 0;
}

static int remove_files(void **state)
{
    remove_folder(zstd_folder);
    remove_folder(plain_folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(share__one_stream_goes_on_in_the_least_budget),
        cmocka_unit_test(share__two_streams_go_on_in_any_budget),
        cmocka_unit_test(share__four_streams_go_on),
        cmocka_unit_test(share__a_stream_that_sleeps_holds_nobody_up),
        cmocka_unit_test(share__of_a_slow_reader_is_its_own),
        cmocka_unit_test(share__of_a_shuffle_is_enough_beside_any_number_at_rest),
        cmocka_unit_test(share__readers_may_keep_everything),
        cmocka_unit_test(share__a_materialisation_goes_on_beside_a_stream),
        cmocka_unit_test(share__one_stream_too_many_is_a_limit_when_it_opens),
        cmocka_unit_test(share__of_a_stream_that_ended_is_free),
        cmocka_unit_test(share__the_oldest_finds_room_that_younger_ones_hold),
    };
    return cmocka_run_group_tests_name("share", tests, write_files, remove_files);
}
