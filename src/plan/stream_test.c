// SPDX-License-Identifier: Apache-2.0
// Streams at their channels: what is left of a rank's share, ranks that are given up, and every allocation failing in
// turn.
#include "plan/plan_sample.h"

#define ROWS  1000
#define BATCH 100

static hr_stream *stream_of(const hr_dataset *d, int64_t ranks, int64_t epochs)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_stream *s = NULL;
    hr_error err = HR_ERROR_INIT;
    o.batch_rows = BATCH;
    o.ranks = ranks;
    o.epochs = epochs;
    assert_ok(hr_dataset_stream(d, &o, &s, &err), &err);
    return s;
}

static void stream__tells_what_a_rank_did_not_get(void **state)
{
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *d = sample_range(rt, ROWS, 7), *filtered = NULL, *cut = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_stream *s = stream_of(d, 3, 2);
    hr_port *port = NULL;
    int64_t rows = 0;
    assert_int_equal(hr__stream_undelivered_rows(s, 0), 300 + 33); // the last 100 are shared
    assert_int_equal(hr__stream_undelivered_rows(s, 2), 300 + 34);
    assert_ok(hr__port_open_local(hr__stream_channel(s, 0), &port, &err), &err);
    assert_ok(sample_pull(port, 3, INT64_MAX, &rows, &err), &err);
    assert_int_equal(hr__stream_undelivered_rows(s, 0), 33);
    assert_ok(sample_pull(port, 2, INT64_MAX, &rows, &err), &err); // one of the second epoch
    assert_int_equal(hr__stream_undelivered_rows(s, 0), 233);
    assert_null(hr__stream_channel(s, 3));
    hr__port_close(&port);
    hr_stream_close(&s);
    assert_ok(hr_dataset_filter(d, "id > 3", &filtered, &err), &err);
    assert_ok(hr_dataset_repartition(d, 4, &cut, &err), &err);
    s = stream_of(filtered, 1, 1);
    assert_int_equal(hr__stream_undelivered_rows(s, 0), -1);
    hr_stream_close(&s);
    s = stream_of(cut, 1, 1);
    assert_int_equal(hr__stream_undelivered_rows(s, 0), -1);
    hr_stream_close(&s);
    hr_dataset_unref(&cut);
    hr_dataset_unref(&filtered);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

// A thousand rows in fragments of 142: seven, and one of six.
static void stream__counts_blocks_and_batches(void **state)
{
    static const int64_t batch_rows[] = {0, 100, 500}, batches[] = {8, 10, 2};
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *d = sample_range(rt, ROWS, 7);
    for (int i = 0; i < 3; i++) {
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        hr_stream_stats stats;
        hr_stream *s = NULL;
        hr_port *port = NULL;
        hr_error err = HR_ERROR_INIT;
        int64_t rows = 0;
        o.batch_rows = batch_rows[i];
        o.epochs = 2;
        assert_ok(sample_open(d, &o, &s, &port, &err), &err);
        assert_int_equal(sample_pull(port, INT64_MAX, INT64_MAX, &rows, &err), HR_END);
        hr_stream_get_stats(s, &stats, sizeof stats);
        assert_int_equal(stats.rows, 2 * ROWS);
        assert_int_equal(stats.blocks, 2 * 8);
        assert_int_equal(stats.batches, 2 * batches[i]);
        hr__port_close(&port);
        hr_stream_close(&s);
    }
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void stream__goes_on_without_ranks_that_are_given_up(void **state)
{
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *d = sample_range(rt, ROWS, 7);
    hr_error err = HR_ERROR_INIT;
    for (int given_up = 0; given_up < 3; given_up++) {
        hr_stream *s = stream_of(d, 3, 100);
        hr_port *ports[3] = {NULL};
        int64_t rows = 0;
        for (int i = 0; i < 3; i++)
            assert_ok(hr__port_open_local(hr__stream_channel(s, i), &ports[i], &err), &err);
        assert_ok(sample_pull(ports[given_up], 1, INT64_MAX, &rows, &err), &err);
        hr__stream_abandon(s, given_up);
        rows = 0;
        for (int i = 0; i < 3; i++)
            if (i != given_up)
                assert_ok(sample_pull(ports[i], 30, INT64_MAX, &rows, &err), &err);
        for (int i = 0; i < 3; i++)
            hr__stream_abandon(s, i);
        for (int i = 0; i < 3; i++)
            hr__port_close(&ports[i]);
        hr_stream_close(&s);
    }
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

// --- torture ---

static hr_status read_all(const hr_dataset *d, int64_t *rows, hr_error *err)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    o.batch_rows = 60;
    o.shuffle = HR_SHUFFLE_WINDOW;
    o.window_rows = 50;
    return sample_read(d, &o, INT64_MAX, rows, err);
}

static hr_status pass_on(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    *out = hr_block_ref(in);
    return HR_OK;
}

// Builds a plan with a bit of everything and runs it to a stream, to kept blocks and to a block.
static hr_status run_all(hr_runtime *rt, hr_error *err)
{
    hr_dataset *d[7] = {NULL};
    hr_block *block = NULL;
    int64_t rows = 0;
    hr_status status;
    HR_GO(hr_range(rt, ROWS, 7, &d[0], err));
    HR_GO(hr_dataset_map(d[0], "x = id * 2", &d[1], err));
    HR_GO(hr_dataset_filter(d[1], "id % 4 != 1", &d[2], err));
    HR_GO(hr_dataset_map_blocks(d[2], pass_on, NULL, NULL, &d[3], err));
    HR_GO(hr_dataset_limit(d[3], 500, &d[4], err));
    HR_GO(hr_dataset_materialize(d[4], &d[5], err));
    HR_GO(hr_dataset_repartition(d[5], 3, &d[6], err));
    HR_GO(read_all(d[6], &rows, err));
    assert_int_equal(rows, 500);
    HR_GO(hr_dataset_take(d[3], 700, &block, err));
    assert_int_equal(hr_block_rows(block), 700);
out:
    hr_block_unref(&block);
    for (int i = 6; i >= 0; i--)
        hr_dataset_unref(&d[i]);
    return status;
}

static void stream__survives_every_failed_allocation(void **state)
{
    hr_runtime *rt = sample_runtime(1);
    assert_true(sample_torture(rt, run_all, 900) > 300);
    hr_runtime_close(&rt);
}

// The threads are at the stream's flow when its other half cannot be made.
static void stream__that_cannot_be_opened_waits_for_nobody(void **state)
{
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *d = sample_range(rt, ROWS, 7);
    int failed = 0;
    for (unsigned n = 1; n < 100; n++) {
        hr_error err = HR_ERROR_INIT;
        hr_stream *s = NULL;
        hr__mem_fail_after(n);
        hr_status status = hr_dataset_stream(d, NULL, &s, &err);
        hr__mem_fail_after(0);
        assert_true(status == HR_OK || status == HR_NOMEM);
        failed += status != HR_OK;
        hr_stream_close(&s);
    }
    assert_true(failed > 10);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream__tells_what_a_rank_did_not_get),
        cmocka_unit_test(stream__counts_blocks_and_batches),
        cmocka_unit_test(stream__goes_on_without_ranks_that_are_given_up),
        cmocka_unit_test(stream__that_cannot_be_opened_waits_for_nobody),
        cmocka_unit_test(stream__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
