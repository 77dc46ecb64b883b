// SPDX-License-Identifier: Apache-2.0
// Several readers of one stream: who gets what, and that none of them can hold up or lose anything of another.
#include "flow_support.h"

#include <pthread.h>
#include <stdatomic.h>

#define RANKS_MAX 8
#define BATCH     250
#define LAG_MS    100 // after which a rank that is behind is let go (plan/stream.c)

typedef struct reader {
    hr_stream *stream;
    hr_feed *feed;
    int64_t rank;
    int64_t sleep_after;   // batches; -1: never
    int sleep_ms;          // 0: until `wake`
    int64_t close_after;   // batches; -1: never
    _Atomic bool *wake;    // set by others
    _Atomic int *finished; // counts those that came to the end
    bool opens_late;       // sleeps before it opens
    pass pass;
    pthread_t thread;
} reader;

static void rest(reader *r)
{
    if (r->sleep_ms)
        sleep_ms(r->sleep_ms);
    if (r->wake)
        wait_until(atomic_load(r->wake)); // else the others stand still
}

static hr_status open_end(reader *r)
{
    hr_feed_options o = HR_FEED_OPTIONS_INIT;
    o.timeout_s = WAIT_S;
    return hr_feed_open_rank(r->stream, r->rank, &o, &r->feed, &r->pass.err);
}

static void *reader_run(void *arg)
{
    reader *r = arg;
    hr_batch *batch = NULL;
    pass *p = &r->pass;
    if (r->opens_late)
        rest(r);
    p->status = r->feed ? HR_OK : open_end(r);
    if (p->status != HR_OK)
        return NULL;
    for (int64_t n = 0;; n++) {
        if (n == r->close_after) {
            hr_feed_close(&r->feed);
            return NULL;
        }
        if (n == r->sleep_after && !r->opens_late)
            rest(r);
        p->status = hr_feed_next(r->feed, &batch, &p->err);
        if (p->status == HR_END && ++p->epochs <= EPOCHS_NOTED) {
            p->epoch_at[p->epochs] = p->count;
            p->status = hr_feed_next_epoch(r->feed, &p->err);
            n--;
            if (p->status == HR_OK)
                continue;
        }
        if (p->status != HR_OK)
            break;
        pass_note(p, batch);
        hr_batch_unref(&batch);
    }
    hr_feed_close(&r->feed);
    if (r->finished)
        atomic_fetch_add(r->finished, 1);
    return NULL;
}

static reader reader_of(hr_stream *stream, int64_t rank)
{
    return (reader){.stream = stream, .rank = rank, .sleep_after = -1, .close_after = -1};
}

static void start(reader *r)
{
    assert_int_equal(pthread_create(&r->thread, NULL, reader_run, r), 0);
}

static void join(reader *r)
{
    assert_int_equal(pthread_join(r->thread, NULL), 0);
}

static hr_dataset *range_of(hr_runtime *rt, int64_t rows)
{
    hr_dataset *d = NULL, *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_range(rt, rows, 20, &d, &err));
    ok(hr_dataset_map(d, "x = id * 0.5", &out, &err));
    hr_dataset_unref(&d);
    return out;
}

// Batch b of an epoch's whole steps is rank b % ranks'; what is left is shared in order. `epochs` times.
static void assert_share(const reader *r, int64_t ranks, int64_t rows, int64_t epochs)
{
    const pass *p = &r->pass;
    int64_t at = 0;
    if (p->status != HR_END)
        fail_msg("rank %d ended as %s: %s", (int)r->rank, hr_status_name(p->status),
                 p->err.message);
    for (int64_t e = 0; e < epochs; e++) {
        for (int64_t step = 0; step < rows; step += ranks * BATCH) {
            int64_t of = rows - step < ranks * BATCH ? rows - step : ranks * BATCH;
            int64_t begin = step + of * r->rank / ranks, end = step + of * (r->rank + 1) / ranks;
            for (int64_t i = begin; i < end; i++, at++)
                if (at >= p->count || p->ids[at] != i)
                    fail_msg("rank %d, row %d of %d: id %d, expected %d", (int)r->rank, (int)at,
                             (int)p->count, at < p->count ? (int)p->ids[at] : -1, (int)i);
        }
    }
    assert_int_equal(p->count, at);
    assert_int_equal(p->epochs, epochs);
}

static hr_stream *stream_of(const hr_dataset *d, int64_t ranks, int64_t epochs, int64_t prefetch)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_stream *s = NULL;
    hr_error err = HR_ERROR_INIT;
    o.batch_rows = BATCH;
    o.ranks = ranks;
    o.epochs = epochs;
    o.prefetch_blocks = prefetch;
    ok(hr_dataset_stream(d, &o, &s, &err));
    return s;
}

static void ranks__get_every_w_th_batch(void **state)
{
    static const int64_t worlds[] = {1, 2, 3, 8};
    static const int64_t prefetch[] = {0, 2, HR_PREFETCH_NONE};
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = range_of(rt, 30123);
    pass alone;
    hr_stream_options one = HR_STREAM_OPTIONS_INIT;
    one.batch_rows = 999;
    pass_over(&alone, d, &one);
    for (size_t w = 0; w < COUNTOF(worlds); w++) {
        for (size_t k = 0; k < COUNTOF(prefetch); k++) {
            hr_stream *s = stream_of(d, worlds[w], 1, prefetch[k]);
            reader r[RANKS_MAX];
            uint64_t sum = 0;
            for (int64_t i = 0; i < worlds[w]; i++) {
                r[i] = reader_of(s, i);
                start(&r[i]);
            }
            for (int64_t i = 0; i < worlds[w]; i++) {
                join(&r[i]);
                assert_share(&r[i], worlds[w], 30123, 1);
                sum += r[i].pass.sums[0];
                pass_finish(&r[i].pass);
            }
            assert_true(sum == alone.sums[0]);
            hr_stream_close(&s);
        }
    }
    pass_finish(&alone);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

// One rank stops; it is woken when all the others have finished.
static void check_sleeper(int64_t sleep_after, bool opens_late, int64_t epochs, int64_t prefetch)
{
    enum { WORLD = 3 };
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = range_of(rt, 30123);
    hr_stream *s = stream_of(d, WORLD, epochs, prefetch);
    hr_stream_stats stats;
    _Atomic bool wake = false;
    _Atomic int finished = 0;
    reader r[WORLD];
    for (int64_t i = 0; i < WORLD; i++) {
        r[i] = reader_of(s, i);
        r[i].finished = &finished;
    }
    r[1].sleep_after = sleep_after;
    r[1].opens_late = opens_late;
    r[1].wake = &wake;
    for (int64_t i = 0; i < WORLD; i++)
        start(&r[i]);
    join(&r[0]);
    join(&r[2]);
    assert_int_equal(atomic_load(&finished), 2); // while rank 1 sleeps
    atomic_store(&wake, true);
    join(&r[1]);
    for (int64_t i = 0; i < WORLD; i++) {
        assert_share(&r[i], WORLD, 30123, epochs);
        pass_finish(&r[i].pass);
    }
    hr_stream_get_stats(s, &stats, sizeof stats);
    assert_int_equal(stats.rows, 30123 * epochs);
    assert_int_equal(stats.batches, (30123 / (WORLD * BATCH) + 1) * WORLD * epochs);
    hr_stream_close(&s);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void ranks__one_that_sleeps_holds_up_nobody_and_loses_nothing(void **state)
{
    check_sleeper(0, false, 1, 2);
    check_sleeper(7, false, 1, 2);
    check_sleeper(7, false, 1, HR_PREFETCH_NONE);
    check_sleeper(20, false, 3, 4); // others are epochs ahead
    check_sleeper(40, false, 2, 1); // at the end of an epoch
    check_sleeper(41, false, 2, 1);
    check_sleeper(0, true, 2, 2); // nobody opened its end until all was over
}

// Steps of many megabytes in a budget that has room for one or two. All ranks but the first stop in their turn; they go
// on together, each with batches to be made for it alone, when the first has come to the end, or while it reads.
static void check_together(hr_shuffle shuffle, int64_t mib, int64_t ranks, int64_t batch_rows,
                           int pause_ms)
{
    enum { ROWS = 60000, LATE = 8 };
    hr_runtime *rt = runtime_of(2, mib * MIB);
    hr_dataset *ids = NULL, *d = NULL;
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_stream *s = NULL;
    hr_error err = HR_ERROR_INIT;
    _Atomic bool wake = false;
    char text[4096] = "", *seen = calloc(ROWS, 1);
    reader r[LATE];
    int64_t rows = 0;
    size_t at = 0;
    for (int i = 0; i < 60; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%sx%d = id * %d", i ? "; " : "", i, i);
    ok(hr_range(rt, ROWS, 12, &ids, &err));
    ok(hr_dataset_map(ids, text, &d, &err));
    o.batch_rows = batch_rows;
    o.ranks = ranks;
    o.shuffle = shuffle;
    o.window_rows = 4000;
    ok(hr_dataset_stream(d, &o, &s, &err));
    for (int64_t i = 0; i < ranks; i++) {
        r[i] = reader_of(s, i);
        r[i].sleep_after = i ? i % 4 : -1;
        r[i].sleep_ms = pause_ms;
        r[i].wake = pause_ms ? NULL : &wake;
        start(&r[i]);
    }
    join(&r[0]);
    atomic_store(&wake, true);
    for (int64_t i = 0; i < ranks; i++) {
        if (i > 0)
            join(&r[i]);
        if (r[i].pass.status != HR_END)
            fail_msg("rank %d of %d, %d MiB: %s: %s", (int)i, (int)ranks, (int)mib,
                     hr_status_name(r[i].pass.status), r[i].pass.err.message);
        for (int64_t k = 0; k < r[i].pass.count; k++)
            assert_int_equal(seen[r[i].pass.ids[k]]++, 0);
        rows += r[i].pass.count;
        pass_finish(&r[i].pass);
    }
    assert_int_equal(rows, ROWS);
    free(seen);
    hr_stream_close(&s);
    hr_dataset_unref(&d);
    hr_dataset_unref(&ids);
    hr_runtime_close(&rt);
}

static void ranks__that_lag_together_stand_in_nobodys_way(void **state)
{
    for (int shuffle = HR_SHUFFLE_NONE; shuffle <= HR_SHUFFLE_WINDOW; shuffle++)
        for (int pause_ms = 0; pause_ms <= 350; pause_ms += 350) {
            check_together((hr_shuffle)shuffle, 32, 4, 1000, pause_ms);
            check_together((hr_shuffle)shuffle, 32, 4, 3000, pause_ms);
            check_together((hr_shuffle)shuffle, 48, 8, 2000, pause_ms);
            check_together((hr_shuffle)shuffle, 64, 8, 3000, pause_ms);
        }
}

static void ranks__that_pause_at_random_get_all_of_theirs(void **state)
{
    enum { WORLD = 4, ROUNDS = 6 };
    hr_runtime *rt = runtime_of(3, 64 * MIB);
    hr_dataset *d = range_of(rt, 20000);
    uint32_t random = 12345;
    for (int round = 0; round < ROUNDS; round++) {
        hr_stream *s = stream_of(d, WORLD, 2, 1 + round % 3);
        reader r[WORLD];
        for (int64_t i = 0; i < WORLD; i++) {
            random = random * 1664525 + 1013904223;
            r[i] = reader_of(s, i);
            r[i].sleep_after = random >> 27;
            r[i].sleep_ms = LAG_MS - 10 + (int)(random >> 20 & 31) * (int)(i % 3);
            start(&r[i]);
        }
        for (int64_t i = 0; i < WORLD; i++) {
            join(&r[i]);
            assert_share(&r[i], WORLD, 20000, 2);
            pass_finish(&r[i].pass);
        }
        hr_stream_close(&s);
    }
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void ranks__one_that_closes_early_leaves_the_others_theirs(void **state)
{
    enum { WORLD = 3 };
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = range_of(rt, 30123);
    for (int64_t after = 0; after < 30; after += 7) {
        hr_stream *s = stream_of(d, WORLD, 2, 2);
        reader r[WORLD];
        for (int64_t i = 0; i < WORLD; i++)
            r[i] = reader_of(s, i);
        r[0].close_after = after;
        for (int64_t i = 0; i < WORLD; i++)
            start(&r[i]);
        for (int64_t i = 0; i < WORLD; i++) {
            join(&r[i]);
            if (i > 0)
                assert_share(&r[i], WORLD, 30123, 2);
            else
                assert_int_equal(r[i].pass.batches, after);
            pass_finish(&r[i].pass);
        }
        hr_stream_close(&s);
    }
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static hr_status slow(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    sleep_ms(3);
    *out = hr_block_ref(in);
    return HR_OK;
}

static void ranks__that_wait_are_told_when_the_stream_closes(void **state)
{
    enum { WORLD = 3 };
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = range_of(rt, 30000), *f = NULL;
    hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    o.batch_rows = 50;
    ok(hr_dataset_map_blocks(d, slow, NULL, &o, &f, &err));
    for (int round = 0; round < 8; round++) {
        hr_stream *s = stream_of(f, WORLD, HR_EPOCHS_ENDLESS, round % 2 ? 2 : HR_PREFETCH_NONE);
        reader r[WORLD];
        for (int64_t i = 0; i < WORLD; i++) {
            r[i] = reader_of(s, i);
            assert_int_equal(open_end(&r[i]), HR_OK);
            start(&r[i]);
        }
        sleep_ms(5 * round);
        hr_stream_close(&s);
        for (int64_t i = 0; i < WORLD; i++) {
            join(&r[i]);
            assert_int_equal(r[i].pass.status, HR_CANCELLED);
            pass_finish(&r[i].pass);
        }
    }
    hr_dataset_unref(&f);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void ranks__are_told_of_a_failure_each(void **state)
{
    enum { WORLD = 3 };
    char folder[64], path[96];
    make_folder(folder);
    write_rows(folder, 4000, 1000, 500);
    file_of(folder, 2, path);
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_read_parquet(rt, folder, NULL, &d, &err));
    assert_int_equal(truncate(path, 100), 0);
    hr_stream *s = stream_of(d, WORLD, 1, 0);
    reader r[WORLD];
    int64_t rows = 0;
    for (int64_t i = 0; i < WORLD; i++) {
        r[i] = reader_of(s, i);
        start(&r[i]);
    }
    for (int64_t i = 0; i < WORLD; i++) {
        join(&r[i]);
        assert_true(r[i].pass.status < 0 && r[i].pass.status != HR_TIMEOUT);
        assert_non_null(strstr(r[i].pass.err.message, "part-00002"));
        rows += r[i].pass.count;
        pass_finish(&r[i].pass);
    }
    assert_int_equal(rows, 1500); // all steps that were whole before it
    hr_stream_close(&s);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks__get_every_w_th_batch),
        cmocka_unit_test(ranks__one_that_sleeps_holds_up_nobody_and_loses_nothing),
        cmocka_unit_test(ranks__that_pause_at_random_get_all_of_theirs),
        cmocka_unit_test(ranks__that_lag_together_stand_in_nobodys_way),
        cmocka_unit_test(ranks__one_that_closes_early_leaves_the_others_theirs),
        cmocka_unit_test(ranks__that_wait_are_told_when_the_stream_closes),
        cmocka_unit_test(ranks__are_told_of_a_failure_each),
    };
    return cmocka_run_group_tests_name("ranks", tests, NULL, NULL);
}
