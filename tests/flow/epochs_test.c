// SPDX-License-Identifier: Apache-2.0
// Memory stays flat: what the tenth epoch weighs, the two hundredth does too. The arena, whose pages are touched when
// they are first needed, is within its budget.
#include "flow_support.h"

#define ROWS   40000
#define EPOCHS 200
#define SETTLE 20
// Sanitizers keep what was freed for a while.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GROWTH_MAX (256 * MIB)
#else
#define GROWTH_MAX (2 * MIB)
#endif

static void memory_is_flat(const char *folder, hr_shuffle shuffle, const char *filter)
{
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_dataset *all = NULL, *some = NULL;
    hr_feed *feed;
    hr_batch *batch = NULL;
    hr_status status = HR_OK;
    hr_memory_stats memory;
    int64_t settled = 0, rows = 0;
    o.batch_rows = 256;
    o.epochs = EPOCHS;
    o.shuffle = shuffle;
    o.window_rows = 2048;
    ok(hr_read_parquet(rt, folder, NULL, &all, &err));
    ok(hr_dataset_filter(all, filter, &some, &err));
    feed = feed_of(some, &o);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        while ((status = hr_feed_next(feed, &batch, &err)) == HR_OK) {
            rows += hr_batch_rows(batch);
            hr_batch_unref(&batch);
        }
        assert_int_equal(status, HR_END);
        if (epoch == SETTLE)
            settled = anonymous_bytes();
        if (epoch + 1 < EPOCHS)
            ok(hr_feed_next_epoch(feed, &err));
    }
    int64_t grown = anonymous_bytes() - settled;
    if (grown > GROWTH_MAX)
        fail_msg("%d epochs later the process weighs %lld KiB more", EPOCHS - SETTLE,
                 (long long)(grown >> 10));
    assert_true(rows > EPOCHS * 1000);
    hr_runtime_memory(rt, &memory, sizeof memory);
    assert_true(memory.peak_bytes <= 64 * MIB);
    hr_feed_close(&feed);
    hr_dataset_unref(&some);
    hr_dataset_unref(&all);
    hr_runtime_close(&rt);
}

static void epochs__memory_is_flat(void **state)
{
    char folder[64];
    make_folder(folder);
    write_rows(folder, ROWS, 11000, 3000);
    memory_is_flat(folder, HR_SHUFFLE_NONE, "id >= 0");
    memory_is_flat(folder, HR_SHUFFLE_WINDOW, "id % 3 == 0");
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(epochs__memory_is_flat)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
