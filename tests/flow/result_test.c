// SPDX-License-Identifier: Apache-2.0
// What a plan comes to: kept blocks, counts, rows taken, files written, Arrow, a fit. The same rows as a stream gives.
#include "flow_support.h"

static hr_dataset *range_of(hr_runtime *rt, int64_t rows, int64_t blocks)
{
    hr_dataset *d = NULL, *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_range(rt, rows, blocks, &d, &err));
    ok(hr_dataset_map(d, "x = id * 0.5; y = id % 10", &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static void result__values_are_those_of_their_rows(void **state)
{
    static const int64_t batch_rows[] = {0, 7, 1000};
    char folder[64];
    make_folder(folder);
    write_rows(folder, 20000, 6000, 1700);
    hr_runtime *rt = runtime_of(4, 64 * MIB);
    hr_dataset *d = NULL, *mapped = NULL, *kept = NULL, *cut = NULL, *last = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_read_parquet(rt, folder, NULL, &d, &err));
    ok(hr_dataset_map(d, "z = x * 2 + 1", &mapped, &err));
    hr_dataset_unref(&d);
    d = filter_of(mapped, "id % 3 != 0");
    ok(hr_dataset_materialize(d, &kept, &err));
    ok(hr_dataset_repartition(kept, 11, &cut, &err));
    ok(hr_dataset_map(cut, "z = z + 1; w = z * x", &last, &err));
    for (size_t k = 0; k < COUNTOF(batch_rows); k++) {
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        hr_feed *feed;
        hr_batch *batch = NULL;
        int64_t rows = 0;
        o.batch_rows = batch_rows[k];
        o.shuffle = HR_SHUFFLE_WINDOW;
        o.window_rows = 300;
        feed = feed_of(last, &o);
        while (hr_feed_next(feed, &batch, &err) == HR_OK) {
            const int64_t *id;
            const double *w;
            hr_tensor x, v;
            int32_t at_x = hr_schema_find(hr_feed_schema(feed), "x");
            int32_t at_v = hr_schema_find(hr_feed_schema(feed), "v");
            ok(hr_batch_i64(batch, "id", &id, &err));
            ok(hr_batch_f64(batch, "w", &w, &err));
            ok(hr_batch_tensor(batch, at_x, HR_TENSOR_READ, HR_NULLS_ERROR, 0, &x, &err));
            ok(hr_batch_tensor(batch, at_v, HR_TENSOR_READ, HR_NULLS_ERROR, 0, &v, &err));
            for (int64_t i = 0; i < hr_batch_rows(batch); i++) {
                double half = (double)id[i] * 0.5;
                assert_true(((const double *)x.data)[i] == half);
                assert_true(w[i] == (half * 2 + 2) * half);
                assert_true(((const float *)v.data)[3 * i + 1] == (float)(id[i] % 11));
            }
            rows += hr_batch_rows(batch);
            hr_batch_unref(&batch);
        }
        assert_int_equal(rows, 20000 - 6667);
        hr_feed_close(&feed);
    }
    hr_dataset_unref(&last);
    hr_dataset_unref(&cut);
    hr_dataset_unref(&kept);
    hr_dataset_unref(&d);
    hr_dataset_unref(&mapped);
    hr_runtime_close(&rt);
    remove_folder(folder);
}

static void result__kept_is_the_same_and_runs_once(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = range_of(rt, 50000, 40), *f = filter_of(d, "y < 3"), *kept = NULL,
               *again = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    pass a, b;
    o.batch_rows = 128;
    o.epochs = 2;
    ok(hr_dataset_materialize(f, &kept, &err));
    ok(hr_dataset_materialize(kept, &again, &err));
    assert_true(hr_dataset_is_materialized(kept) && !hr_dataset_is_materialized(f));
    pass_over(&a, f, &o);
    pass_over(&b, again, &o);
    assert_true(is_same(&a, &b));
    pass_finish(&a);
    pass_finish(&b);
    hr_dataset_unref(&again);
    hr_dataset_unref(&kept);
    hr_dataset_unref(&f);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static uint64_t sum_of(const hr_dataset *d, int64_t batch_rows, int64_t epochs, int64_t rows)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_stream *s = NULL;
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_feed_options wait = HR_FEED_OPTIONS_INIT;
    uint64_t sum = 0, got = 0;
    wait.timeout_s = WAIT_S;
    o.batch_rows = batch_rows;
    o.epochs = epochs;
    ok(hr_dataset_stream(d, &o, &s, &err));
    ok(hr_feed_open(&s, &wait, &feed, &err));
    hr_status status;
    do {
        while ((status = hr_feed_next(feed, &batch, &err)) == HR_OK) {
            sum += hr_batch_checksum(batch);
            got += (uint64_t)hr_batch_rows(batch);
            hr_batch_unref(&batch);
        }
        if (status != HR_END)
            fail_msg("%s", err.message);
    } while (hr_feed_next_epoch(feed, &err) == HR_OK);
    assert_int_equal(got, rows * epochs);
    hr_feed_close(&feed);
    return sum;
}

static void result__kept_beyond_the_budget_spills_and_comes_back(void **state)
{
    static const int64_t shape[] = {80, 80};
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = NULL, *kept = NULL;
    hr_memory_stats m;
    hr_error err = HR_ERROR_INIT;
    ok(hr_range_tensor(rt, 3000, shape, 2, 60, &d, &err)); // 146 MiB
    ok(hr_dataset_materialize(d, &kept, &err));
    hr_runtime_memory(rt, &m, sizeof m);
    assert_true(m.spilled_bytes > 0);
    assert_true(m.arena_peak_bytes <= (uint64_t)(48 * MIB));
    uint64_t sum = sum_of(d, 64, 1, 3000);
    assert_true(sum_of(kept, 64, 1, 3000) == sum);
    assert_true(sum_of(kept, 0, 2, 3000) == 2 * sum);
    assert_true(sum_of(kept, 33, 2, 3000) == 2 * sum);
    hr_runtime_memory(rt, &m, sizeof m);
    assert_true(m.restored_bytes > 0 && m.peak_bytes <= m.budget_bytes);
    hr_dataset_unref(&kept);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
    hr_runtime_options o = HR_RUNTIME_OPTIONS_INIT;
    o.memory_bytes = 64 * MIB;
    o.spill_dir = "none";
    ok(hr_runtime_open(&o, &rt, &err));
    ok(hr_range_tensor(rt, 3000, shape, 2, 60, &d, &err));
    fails(hr_dataset_materialize(d, &kept, &err), HR_LIMIT, "spill");
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void result__counts_and_takes(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = range_of(rt, 50001, 40), *f = filter_of(d, "y < 3"), *limit = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_block *block = NULL;
    int64_t rows = 0;
    ok(hr_dataset_count(d, &rows, &err));
    assert_int_equal(rows, 50001);
    ok(hr_dataset_count(f, &rows, &err));
    assert_int_equal(rows, 15001);
    ok(hr_dataset_limit(f, 100, &limit, &err));
    ok(hr_dataset_count(limit, &rows, &err));
    assert_int_equal(rows, 100);
    static const int64_t takes[] = {0, 1, 33, 20000};
    for (size_t i = 0; i < COUNTOF(takes); i++) {
        ok(hr_dataset_take(f, takes[i], &block, &err));
        int64_t expected = takes[i] < 15001 ? takes[i] : 15001;
        assert_int_equal(hr_block_rows(block), expected);
        const hr_column *c = hr_block_column(block, 0);
        for (int64_t k = 0; k < expected; k++)
            assert_int_equal(((const int64_t *)c->data)[c->offset + k], k / 3 * 10 + k % 3);
        hr_block_unref(&block);
    }
    hr_dataset_unref(&limit);
    hr_dataset_unref(&f);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void result__written_reads_back_the_same(void **state)
{
    static const char *const codecs[] = {"zstd", "none"};
    hr_runtime *rt = runtime_of(3, 64 * MIB);
    hr_dataset *d = range_of(rt, 30000, 12), *f = filter_of(d, "y != 4"), *back = NULL;
    hr_dataset *none = filter_of(d, "id < 0");
    hr_error err = HR_ERROR_INIT;
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    pass a, b;
    o.batch_rows = 500;
    pass_over(&a, f, &o);
    for (int k = 0; k < 4; k++) {
        hr_write_options w = HR_WRITE_OPTIONS_INIT;
        int64_t rows = 0;
        char folder[64];
        make_folder(folder);
        w.codec = codecs[k % 2];
        w.row_group_rows = 700;
        w.file_rows = k / 2 ? 4444 : 0;
        w.rows_out = &rows;
        ok(hr_dataset_write_parquet(f, folder, &w, &err));
        assert_int_equal(rows, 27000);
        ok(hr_read_parquet(rt, folder, NULL, &back, &err));
        pass_over(&b, back, &o);
        assert_true(is_same(&a, &b));
        pass_finish(&b);
        fails(hr_dataset_write_parquet(f, folder, &w, &err), HR_INVALID, "already");
        hr_dataset_unref(&back);
        remove_folder(folder);
    }
    char folder[64];
    make_folder(folder);
    ok(hr_dataset_write_parquet(none, folder, NULL, &err)); // no rows keep their schema
    ok(hr_read_parquet(rt, folder, NULL, &back, &err));
    pass_over(&b, back, &o);
    assert_ended(&b);
    assert_int_equal(b.count, 0);
    pass_finish(&b);
    pass_finish(&a);
    hr_dataset_unref(&back);
    remove_folder(folder);
    hr_dataset_unref(&none);
    hr_dataset_unref(&f);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void result__an_export_outlives_its_dataset_and_runtime(void **state)
{
    for (int64_t pulls = 0; pulls < 80;
         pulls += 13) { // released at its start, its middle, after its end
        hr_runtime *rt = runtime_of(2, 64 * MIB);
        hr_dataset *d = range_of(rt, 50000, 40);
        struct ArrowArrayStream s = {0};
        struct ArrowSchema schema = {0};
        struct ArrowArray last = {0};
        hr_error err = HR_ERROR_INIT;
        int64_t next = 0;
        ok(hr_dataset_export(d, &s, &err));
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
        assert_int_equal(s.get_schema(&s, &schema), 0);
        assert_int_equal(schema.n_children, 3);
        schema.release(&schema);
        for (int64_t i = 0; i < pulls; i++) {
            struct ArrowArray array = {0};
            assert_int_equal(s.get_next(&s, &array), 0);
            if (!array.release)
                break;
            const int64_t *ids = (const int64_t *)array.children[0]->buffers[1];
            for (int64_t k = 0; k < array.length; k++)
                assert_int_equal(ids[array.children[0]->offset + k], next++);
            if (last.release)
                last.release(&last);
            last = array;
        }
        s.release(&s);
        if (last.release) { // what was pulled stays valid
            assert_int_equal(
                ((const int64_t *)last.children[0]->buffers[1])[last.children[0]->offset],
                next - last.length);
            last.release(&last);
        }
        if (pulls > 40)
            assert_int_equal(next, 50000);
    }
}

static void result__an_export_tells_a_failure(void **state)
{
    char folder[64], path[96];
    make_folder(folder);
    write_rows(folder, 3000, 1000, 500);
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = NULL;
    struct ArrowArrayStream s = {0};
    hr_error err = HR_ERROR_INIT;
    int code;
    ok(hr_read_parquet(rt, folder, NULL, &d, &err));
    file_of(folder, 1, path);
    assert_int_equal(truncate(path, 50), 0);
    ok(hr_dataset_export(d, &s, &err));
    for (;;) {
        struct ArrowArray array = {0};
        code = s.get_next(&s, &array);
        if (code || !array.release)
            break;
        array.release(&array);
    }
    assert_true(code != 0);
    assert_non_null(strstr(s.get_last_error(&s), "part-00001"));
    s.release(&s);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
    remove_folder(folder);
}

static void result__a_fit_is_the_same_for_any_threads(void **state)
{
    static const int64_t threads[] = {1, 2, 8};
    static const char *const columns[] = {"x", "y", NULL};
    char *first = NULL;
    for (size_t t = 0; t < COUNTOF(threads); t++) {
        hr_runtime *rt = runtime_of(threads[t], 64 * MIB);
        hr_dataset *d = range_of(rt, 100000, 37);
        hr_prep *scaler = NULL, *fitted = NULL;
        hr_error err = HR_ERROR_INIT;
        char *learned = NULL;
        ok(hr_prep_standard_scaler(columns, NULL, &scaler, &err));
        ok(hr_prep_fit(scaler, d, &fitted, &err));
        ok(hr_prep_learned(fitted, &learned, &err));
        if (!first)
            first = strdup(learned);
        assert_string_equal(first, learned);
        hr_text_free(learned);
        hr_prep_unref(&fitted);
        hr_prep_unref(&scaler);
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
    }
    free(first);
}

static void result__datasets_keep_their_runtime(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = range_of(rt, 1000, 10), *kept = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_block *block = NULL;
    hr_stream *s = NULL;
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    ok(hr_dataset_materialize(d, &kept, &err));
    ok(hr_dataset_stream(d, NULL, &s, &err));
    hr_runtime_close(&rt);
    hr_dataset_unref(&d);
    ok(hr_dataset_take(kept, 5, &block, &err));
    hr_dataset_unref(&kept);
    ok(hr_feed_open(&s, NULL, &feed, &err));
    ok(hr_feed_next(feed, &batch, &err));
    hr_feed_close(&feed); // the runtime goes here; block and batch stay
    assert_int_equal(hr_block_rows(block), 5);
    assert_int_equal(hr_batch_rows(batch), 100);
    (void)hr_batch_checksum(batch);
    hr_batch_unref(&batch);
    hr_block_unref(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(result__values_are_those_of_their_rows),
        cmocka_unit_test(result__kept_is_the_same_and_runs_once),
        cmocka_unit_test(result__kept_beyond_the_budget_spills_and_comes_back),
        cmocka_unit_test(result__counts_and_takes),
        cmocka_unit_test(result__written_reads_back_the_same),
        cmocka_unit_test(result__an_export_outlives_its_dataset_and_runtime),
        cmocka_unit_test(result__an_export_tells_a_failure),
        cmocka_unit_test(result__a_fit_is_the_same_for_any_threads),
        cmocka_unit_test(result__datasets_keep_their_runtime),
    };
    return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
