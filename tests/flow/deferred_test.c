// SPDX-License-Identifier: Apache-2.0
// Deferred streams: nothing is made before a reader asks, and until then one may go on from a position instead.
#include "flow_support.h"
#include <stdatomic.h>

#define ROWS 3000

static char folder[64]; // ROWS in 3 files, row groups of 170

static int set_up(void **state)
{
    make_folder(folder);
    write_rows(folder, ROWS, 1100, 170);
    return 0;
}

static int tear_down(void **state)
{
    remove_folder(folder);
    return 0;
}

static hr_stream_options options_of(hr_shuffle shuffle)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    o.shuffle = shuffle;
    o.seed = 77;
    o.window_rows = 600;
    o.batch_rows = 250;
    o.epochs = 3;
    o.deferred = true;
    return o;
}

static void assert_same(const hr_position *a, const hr_position *b)
{
    char x[HR_POSITION_BYTES_MAX], y[HR_POSITION_BYTES_MAX];
    assert_string_equal(hr_position_print(a, x), hr_position_print(b, y));
}

static hr_status count_calls(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    atomic_fetch_add((_Atomic int *)context, 1);
    *out = hr_block_ref(in);
    return HR_OK;
}

static void deferred__makes_nothing_before_a_rank_asks(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = files_of(rt, folder), *counted = NULL;
    hr_stream_options o = options_of(HR_SHUFFLE_WINDOW);
    hr_error err = HR_ERROR_INIT;
    hr_stream *s = NULL;
    hr_feed *feeds[2] = {NULL};
    _Atomic int calls = 0;
    pass p = {0};
    hr_stream_stats stats;
    hr_position at;
    ok(hr_dataset_map_blocks(d, count_calls, &calls, NULL, &counted, &err));
    o.ranks = 2;
    ok(hr_dataset_stream(counted, &o, &s, &err));
    for (int r = 0; r < 2; r++)
        ok(hr_feed_open_rank(s, r, NULL, &feeds[r], &err));
    int before = calls; // to find its schema
    sleep_ms(50);
    hr_stream_get_stats(s, &stats, sizeof stats);
    assert_int_equal(calls, before);
    assert_int_equal(stats.blocks, 0);
    hr_feed_position(feeds[0], &at);
    fails(hr_feed_go_on(feeds[0], &at, &err), HR_UNSUPPORTED, "open another one");
    for (int step = 0; step < 6; step++) {
        for (int r = 0; r < 2; r++) {
            hr_batch *batch = NULL;
            ok(hr_feed_next(feeds[1 - r], &batch, &err));
            pass_note(&p, batch);
            hr_batch_unref(&batch);
        }
    }
    assert_int_equal(p.count, ROWS);
    assert_true(calls > before);
    pass_finish(&p);
    for (int r = 0; r < 2; r++)
        hr_feed_close(&feeds[r]);
    hr_stream_close(&s);
    hr_dataset_unref(&counted);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

// Nobody says how many epochs there will be: what is made for those that never come takes the trainer's processors.
static void endless__makes_one_epoch_ahead_at_most(void **state)
{
    for (int ranks = 1; ranks <= 3; ranks++) {
        hr_runtime *rt = runtime_of(2, 64 * MIB);
        hr_dataset *d = files_of(rt, folder), *counted = NULL;
        hr_stream_options o = options_of(ranks == 2 ? HR_SHUFFLE_NONE : HR_SHUFFLE_WINDOW);
        hr_error err = HR_ERROR_INIT;
        hr_stream *s = NULL;
        hr_feed *feeds[3] = {NULL};
        _Atomic int calls = 0;
        pass three = {0};
        ok(hr_dataset_map_blocks(d, count_calls, &calls, NULL, &counted, &err));
        int before = calls;
        pass_over(&three, counted, &o);
        assert_int_equal(three.count, ROWS * o.epochs);
        pass_finish(&three);
        int an_epoch = (calls - before) / (int)o.epochs;
        o.epochs = HR_EPOCHS_ENDLESS;
        o.deferred = false;
        o.ranks = ranks;
        before = calls;
        ok(hr_dataset_stream(counted, &o, &s, &err));
        for (int r = 0; r < ranks; r++)
            ok(hr_feed_open_rank(s, r, NULL, &feeds[r], &err));
        for (int begun = 1; begun <= 6; begun++) {
            int want = (begun + 1) * an_epoch;
            for (int ms = 0; ms < WAIT_S * 1000 && calls - before < want; ms++)
                sleep_ms(1);
            sleep_ms(10);
            assert_int_equal(calls - before, want);
            for (int r = 0; r < ranks; r++) {
                hr_batch *batch = NULL;
                while (hr_feed_next(feeds[r], &batch, &err) == HR_OK)
                    hr_batch_unref(&batch);
                ok(hr_feed_next_epoch(feeds[r], &err)); // waits for its first batch
            }
        }
        for (int r = 0; r < ranks; r++)
            hr_feed_close(&feeds[r]);
        hr_stream_close(&s);
        hr_dataset_unref(&counted);
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
    }
}

// From each of some places, by way of another one, and once at the last epoch's end.
static void deferred__goes_on_as_a_stream_that_is_opened_there(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = files_of(rt, folder);
    hr_error err = HR_ERROR_INIT;
    for (int k = 0; k < 4; k++) {
        hr_stream_options o = options_of((hr_shuffle)k);
        hr_position places[4], at;
        hr_feed *feed = feed_of(d, &o);
        pass whole = {0};
        for (int i = 0; i < 4; i++) {
            hr_feed_position(feed, &places[i]);
            for (int n = 0; n < 9; n++) {
                hr_batch *batch = NULL;
                if (hr_feed_next(feed, &batch, &err) == HR_END)
                    ok(hr_feed_next_epoch(feed, &err));
                else
                    pass_note(&whole, batch);
                hr_batch_unref(&batch);
            }
        }
        pass_feed(&whole, feed);
        hr_feed_close(&feed);
        for (int i = 0; i < 4; i++) {
            int64_t first = places[i].epoch * ROWS + places[i].row;
            pass rest = {0};
            feed = feed_of(d, &o);
            ok(hr_feed_go_on(feed, &places[3 - i], &err));
            ok(hr_feed_go_on(feed, &places[i], &err));
            hr_feed_position(feed, &at);
            assert_same(&at, &places[i]);
            pass_feed(&rest, feed);
            assert_int_equal(rest.count, 3 * ROWS - first);
            assert_memory_equal(rest.ids, whole.ids + first, (size_t)rest.count * sizeof *rest.ids);
            pass_finish(&rest);
            hr_feed_close(&feed);
        }
        pass_finish(&whole);
    }
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void deferred__refuses_what_it_cannot_go_on_from(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = files_of(rt, folder), *other = filter_of(d, "id > 3");
    hr_stream_options o = options_of(HR_SHUFFLE_BLOCKS);
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    hr_position at, here;
    hr_feed *feed = feed_of(other, &o);
    hr_feed_position(feed, &at);
    hr_feed_close(&feed);
    feed = feed_of(d, &o);
    hr_feed_position(feed, &here);
    fails(hr_feed_go_on(feed, &at, &err), HR_INVALID, "other data");
    at = here;
    at.epoch = 3;
    fails(hr_feed_go_on(feed, &at, &err), HR_INVALID, "the stream's last one is 2");
    hr_feed_position(feed, &at);
    assert_same(&at, &here);
    ok(hr_feed_next(feed, &batch, &err));
    assert_int_equal(hr_batch_first_row(batch), 0);
    fails(hr_feed_go_on(feed, &here, &err), HR_UNSUPPORTED, "before its first batch");
    hr_batch_unref(&batch);
    hr_feed_close(&feed);
    o.deferred = false;
    feed = feed_of(d, &o);
    fails(hr_feed_go_on(feed, &here, &err), HR_UNSUPPORTED, "has begun");
    hr_feed_close(&feed);
    hr_dataset_unref(&other);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deferred__makes_nothing_before_a_rank_asks),
        cmocka_unit_test(endless__makes_one_epoch_ahead_at_most),
        cmocka_unit_test(deferred__goes_on_as_a_stream_that_is_opened_there),
        cmocka_unit_test(deferred__refuses_what_it_cannot_go_on_from),
    };
    return cmocka_run_group_tests_name("deferred", tests, set_up, tear_down);
}
