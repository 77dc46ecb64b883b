// SPDX-License-Identifier: Apache-2.0
// The budget holds, and what a reader keeps is its own affair: it never stands still and nothing it keeps changes.
#include "flow_support.h"

#define BUDGET (64 * MIB)

// Rows of 80 x 80 int64 (50 KiB): 4,000 of them are 195 MiB.
static hr_dataset *tensors(hr_runtime *rt, int64_t rows, int64_t blocks)
{
    static const int64_t shape[] = {80, 80};
    hr_dataset *d = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_range_tensor(rt, rows, shape, 2, blocks, &d, &err));
    return d;
}

static void memory__stays_in_its_budget_with_ten_times_the_data(void **state)
{
    static const int64_t batch_rows[] = {0, 16, 100};
    for (size_t k = 0; k < COUNTOF(batch_rows); k++) {
        hr_runtime *rt = runtime_of(2, BUDGET);
        hr_dataset *d = tensors(rt, 13000, 200), *mapped = NULL; // 635 MiB
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        hr_memory_stats m;
        hr_error err = HR_ERROR_INIT;
        hr_batch *batch = NULL;
        int64_t before = anonymous_bytes(), most = 0, rows = 0;
        o.batch_rows = batch_rows[k];
        o.shuffle = k == 2 ? HR_SHUFFLE_WINDOW : HR_SHUFFLE_NONE;
        o.window_rows = 50;
        ok(hr_dataset_map(d, "data = data + 1", &mapped, &err));
        hr_feed *feed = feed_of(mapped, &o);
        hr_status status;
        while ((status = hr_feed_next(feed, &batch, &err)) == HR_OK) {
            rows += hr_batch_rows(batch);
            hr_batch_unref(&batch);
            int64_t now = anonymous_bytes() - before;
            most = now > most ? now : most;
        }
        assert_int_equal(status, HR_END);
        assert_int_equal(rows, 13000);
        hr_runtime_memory(rt, &m, sizeof m);
        assert_true(m.peak_bytes <= m.budget_bytes);
        assert_true(m.arena_peak_bytes <= (uint64_t)BUDGET / 4 * 3);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        assert_true(most < BUDGET); // the arena is shared memory and not in this figure
#endif
        hr_feed_close(&feed);
        hr_dataset_unref(&mapped);
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
    }
}

// Keeps every batch, to the end of `epochs`.
static void check_kept(int64_t rows, int64_t blocks, int64_t batch_rows, hr_shuffle shuffle)
{
    enum { KEPT_MAX = 8000 };
    hr_runtime *rt = runtime_of(2, BUDGET);
    hr_dataset *d = tensors(rt, rows, blocks);
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_feed_stats stats;
    hr_memory_stats m;
    hr_error err = HR_ERROR_INIT;
    hr_batch **kept = calloc(KEPT_MAX, sizeof *kept);
    uint64_t *sums = calloc(KEPT_MAX, sizeof *sums);
    int64_t count = 0, got = 0;
    hr_status status;
    o.batch_rows = batch_rows;
    o.shuffle = shuffle;
    o.window_rows = 40;
    hr_feed *feed = feed_of(d, &o);
    while ((status = hr_feed_next(feed, &kept[count], &err)) == HR_OK) {
        sums[count] = hr_batch_checksum(kept[count]);
        got += hr_batch_rows(kept[count]);
        assert_true(++count < KEPT_MAX);
    }
    if (status != HR_END)
        fail_msg("blocks of %d rows, batches of %d: %s after %d rows", (int)(rows / blocks),
                 (int)batch_rows, err.message, (int)got);
    assert_int_equal(got, rows);
    hr_feed_get_stats(feed, &stats, sizeof stats);
    assert_true(stats.copied_batches > 0);
    hr_runtime_memory(rt, &m, sizeof m);
    assert_true(m.arena_peak_bytes <= (uint64_t)BUDGET / 4 * 3);
    assert_true(m.copied_bytes > 0);
    hr_feed_close(&feed); // what is kept stays
    for (int64_t i = 0; i < count; i++) {
        assert_true(hr_batch_checksum(kept[i]) == sums[i]);
        hr_batch_unref(&kept[i]);
    }
    free(kept);
    free(sums);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void memory__of_a_reader_that_keeps_every_batch_is_its_own(void **state)
{
    check_kept(3000, 200, 16, HR_SHUFFLE_NONE);
    check_kept(3000, 200, 37, HR_SHUFFLE_NONE); // gathered
    check_kept(3000, 200, 0, HR_SHUFFLE_NONE);
    check_kept(3000, 10, 0, HR_SHUFFLE_NONE); // blocks of 14 MiB
    check_kept(3000, 10, 100, HR_SHUFFLE_NONE);
    check_kept(3000, 60, 64, HR_SHUFFLE_WINDOW);
    check_kept(3000, 3000, 1, HR_SHUFFLE_NONE);
}

static void memory__a_block_larger_than_the_budget_is_a_limit(void **state)
{
    hr_runtime *rt = runtime_of(2, BUDGET);
    hr_dataset *d = tensors(rt, 4000, 2); // blocks of 97 MiB
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    pass p;
    pass_over(&p, d, NULL);
    assert_int_equal(p.status, HR_LIMIT);
    assert_non_null(strstr(p.err.message, "memory budget of at least"));
    pass_finish(&p);
    // The same data in batches streams, as tasks are cut smaller; a batch that cannot fit is a limit again.
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    hr_error err = HR_ERROR_INIT;
    int64_t rows = 0;
    o.batch_rows = 50;
    feed = feed_of(d, &o);
    while (hr_feed_next(feed, &batch, &err) == HR_OK) {
        rows += hr_batch_rows(batch);
        hr_batch_unref(&batch);
    }
    assert_int_equal(rows, 4000);
    hr_feed_close(&feed);
    o.batch_rows = 2000;
    feed = feed_of(d, &o);
    fails(hr_feed_next(feed, &batch, &err), HR_LIMIT, "memory budget of at least");
    hr_feed_close(&feed);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

// From a batch that is small beside the budget to one that is too large: each ends, with the rows or with a limit.
static void memory__batches_of_any_size_end(void **state)
{
    for (int64_t batch_rows = 25; batch_rows <= 800; batch_rows = batch_rows * 3 / 2) {
        for (int keeps = 0; keeps < 2; keeps++) {
            hr_runtime *rt = runtime_of(2, BUDGET);
            hr_dataset *d = tensors(rt, 2000, 30);
            hr_stream_options o = HR_STREAM_OPTIONS_INIT;
            hr_error err = HR_ERROR_INIT;
            hr_batch *batch = NULL, *last = NULL;
            hr_status status;
            int64_t rows = 0;
            o.batch_rows = batch_rows;
            hr_feed *feed = feed_of(d, &o);
            while ((status = hr_feed_next(feed, &batch, &err)) == HR_OK) {
                rows += hr_batch_rows(batch);
                hr_batch_unref(&last);
                last = keeps ? batch : NULL; // as a loop does that rebinds its variable
                if (!keeps)
                    hr_batch_unref(&batch);
                batch = NULL;
            }
            if (status != HR_LIMIT && (status != HR_END || rows != 2000))
                fail_msg("batches of %d rows: %s after %d: %s", (int)batch_rows,
                         hr_status_name(status), (int)rows, err.message);
            if (batch_rows < 200)
                assert_int_equal(status, HR_END);
            hr_batch_unref(&last);
            hr_feed_close(&feed);
            hr_dataset_unref(&d);
            hr_runtime_close(&rt);
        }
    }
}

static void memory__two_streams_share_a_budget(void **state)
{
    hr_runtime *rt = runtime_of(2, BUDGET);
    hr_dataset *d = tensors(rt, 3000, 100);
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    o.batch_rows = 32;
    hr_feed *a = feed_of(d, &o), *b = feed_of(d, &o);
    int64_t rows_a = 0, rows_b = 0;
    while (hr_feed_next(a, &batch, &err) == HR_OK) { // b waits, full, all the while
        rows_a += hr_batch_rows(batch);
        hr_batch_unref(&batch);
    }
    while (hr_feed_next(b, &batch, &err) == HR_OK) {
        rows_b += hr_batch_rows(batch);
        hr_batch_unref(&batch);
    }
    assert_int_equal(rows_a, 3000);
    assert_int_equal(rows_b, 3000);
    hr_feed_close(&a);
    hr_feed_close(&b);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void memory__repartition_in_one_block_is_a_limit_when_it_is_too_large(void **state)
{
    hr_runtime *rt = runtime_of(2, BUDGET);
    hr_dataset *d = tensors(rt, 3000, 100), *one = NULL, *some = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    int64_t rows = 0;
    ok(hr_dataset_repartition(d, 1, &one, &err));
    ok(hr_dataset_repartition(d, 40, &some, &err));
    hr_feed *feed = feed_of(one, NULL);
    fails(hr_feed_next(feed, &batch, &err), HR_LIMIT, "memory budget of at least");
    hr_feed_close(&feed);
    feed = feed_of(some, NULL);
    while (hr_feed_next(feed, &batch, &err) == HR_OK) {
        assert_int_equal(hr_batch_rows(batch), 75);
        rows += 75;
        hr_batch_unref(&batch);
    }
    assert_int_equal(rows, 3000);
    hr_feed_close(&feed);
    hr_dataset_unref(&one);
    hr_dataset_unref(&some);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void memory__a_budget_below_16_mib_is_refused(void **state)
{
    hr_runtime_options o = HR_RUNTIME_OPTIONS_INIT;
    hr_runtime *rt = NULL;
    hr_error err = HR_ERROR_INIT;
    o.memory_bytes = 16 * MIB - 1;
    fails(hr_runtime_open(&o, &rt, &err), HR_LIMIT, "16.0 MiB");
    assert_null(rt);
    o.memory_bytes = (int64_t)1 << 50;
    fails(hr_runtime_open(&o, &rt, &err), HR_LIMIT, "available");
    o.memory_bytes = 16 * MIB;
    ok(hr_runtime_open(&o, &rt, &err));
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory__stays_in_its_budget_with_ten_times_the_data),
        cmocka_unit_test(memory__of_a_reader_that_keeps_every_batch_is_its_own),
        cmocka_unit_test(memory__a_block_larger_than_the_budget_is_a_limit),
        cmocka_unit_test(memory__batches_of_any_size_end),
        cmocka_unit_test(memory__two_streams_share_a_budget),
        cmocka_unit_test(memory__repartition_in_one_block_is_a_limit_when_it_is_too_large),
        cmocka_unit_test(memory__a_budget_below_16_mib_is_refused),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
