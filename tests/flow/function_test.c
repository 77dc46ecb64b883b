// SPDX-License-Identifier: Apache-2.0
// Functions of the user in a stream: what they may return, what they may not, and how often they are called.
#include "flow_support.h"

#include <stdatomic.h>

typedef enum behaviour {
    PASS,
    TWICE,   // each row two times
    FEWER,   // the first half of the rows
    NONE,    // no rows at all, now and then
    FAIL,    // where id is `at`
    MUTE,    // the same without words
    ENDS,    // says HR_END there
    NOTHING, // says HR_OK there and gives no block
    OTHER,   // another schema there
} behaviour;

typedef struct user {
    behaviour what;
    int64_t at;
    _Atomic int64_t rows, calls;
    _Atomic int released;
} user;

static hr_status twice(const hr_block *in, const int64_t *ids, hr_block **out, hr_error *err)
{
    int64_t rows = hr_block_rows(in), *both = malloc((size_t)(2 * rows + 1) * sizeof *both);
    for (int64_t i = 0; i < rows; i++)
        both[2 * i] = both[2 * i + 1] = ids[i];
    hr_status status = block_of_ids(hr_block_schema(in), both, 2 * rows, out, err);
    free(both);
    return status;
}

static hr_status other(hr_block **out, hr_error *err)
{
    hr_schema *schema = schema_of("other", HR_TYPE_INT64);
    int64_t one = 1;
    hr_status status = block_of_ids(schema, &one, 1, out, err);
    hr_schema_unref(&schema);
    return status;
}

static hr_status user_run(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    user *u = context;
    const hr_column *c = hr_block_column(in, 0);
    const int64_t *ids = (const int64_t *)c->data + c->offset;
    int64_t rows = hr_block_rows(in), call = atomic_fetch_add(&u->calls, 1);
    bool here = rows > 0 && u->what >= FAIL && u->at >= ids[0] && u->at <= ids[rows - 1];
    atomic_fetch_add(&u->rows, rows);
    if (u->what == TWICE)
        return twice(in, ids, out, err);
    if (u->what == FEWER)
        return hr_block_slice(in, 0, rows / 2, out, err);
    if (u->what == NONE)
        return hr_block_slice(in, 0, call % 3 || ids[0] % 200 ? 0 : rows, out, err);
    if (here && u->what == FAIL) {
        snprintf(err->message, sizeof err->message, "ValueError: id %lld", (long long)u->at);
        return err->status = HR_USER;
    }
    if (here && u->what == MUTE)
        return HR_USER;
    if (here && u->what == ENDS)
        return HR_END;
    if (here && u->what == NOTHING)
        return HR_OK;
    if (here && u->what == OTHER)
        return other(out, err);
    *out = hr_block_ref(in);
    return HR_OK;
}

static void user_release(void *context)
{
    atomic_fetch_add(&((user *)context)->released, 1);
}

static hr_dataset *range_with(hr_runtime *rt, user *u, int64_t batch_rows, const hr_schema *schema)
{
    hr_dataset *d = NULL, *out = NULL;
    hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    o.name = "work";
    o.batch_rows = batch_rows;
    o.schema = schema;
    o.release = user_release;
    ok(hr_range(rt, 10000, 10, &d, &err));
    ok(hr_dataset_map_blocks(d, user_run, u, &o, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static void function__may_change_the_number_of_rows(void **state)
{
    static const int64_t threads[] = {1, 8};
    for (size_t t = 0; t < COUNTOF(threads); t++) {
        hr_runtime *rt = runtime_of(threads[t], 64 * MIB);
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        user two = {.what = TWICE}, half = {.what = FEWER}, none = {.what = NONE};
        hr_dataset *d = range_with(rt, &two, 100, NULL);
        pass p;
        o.batch_rows = 333;
        pass_over(&p, d, &o);
        assert_ended(&p);
        assert_int_equal(p.count, 20000);
        for (int64_t i = 0; i < p.count; i++)
            assert_int_equal(p.ids[i], i / 2);
        pass_finish(&p);
        hr_dataset_unref(&d);
        d = range_with(rt, &half, 100, NULL);
        pass_over(&p, d, &o);
        assert_ended(&p);
        assert_int_equal(p.count, 5000);
        for (int64_t i = 0; i < p.count; i++)
            assert_int_equal(p.ids[i], i / 50 * 100 + i % 50);
        pass_finish(&p);
        hr_dataset_unref(&d);
        d = range_with(rt, &none, 100, NULL);
        pass_over(&p, d, NULL);
        assert_ended(&p);
        pass_finish(&p);
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
        assert_int_equal(atomic_load(&two.released), 1);
        assert_int_equal(atomic_load(&half.released), 1);
    }
}

// Half of the rows of each call, of a shuffle of rows of 4 KiB: the sum of all checksums tells calls and order.
static uint64_t sum_of_halves(int64_t threads, int64_t mib, int64_t batch_rows, int64_t *rows_out)
{
    hr_runtime *rt = runtime_of(threads, mib * MIB);
    hr_dataset *d = NULL, *halves = NULL;
    hr_function_options f = HR_FUNCTION_OPTIONS_INIT;
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    hr_status status;
    user u = {.what = FEWER};
    uint64_t sum = 0;
    f.batch_rows = batch_rows;
    o.batch_rows = 100;
    o.shuffle = HR_SHUFFLE_WINDOW;
    o.window_rows = 3000;
    *rows_out = 0;
    ok(hr_range_tensor(rt, 20000, (int64_t[]){512}, 1, 10, &d, &err));
    ok(hr_dataset_map_blocks(d, user_run, &u, &f, &halves, &err));
    hr_feed *feed = feed_of(halves, &o);
    while ((status = hr_feed_next(feed, &batch, &err)) == HR_OK) {
        *rows_out += hr_batch_rows(batch);
        sum += hr_batch_checksum(batch);
        hr_batch_unref(&batch);
    }
    if (status != HR_END)
        fail_msg("%d MiB: %s: %s", (int)mib, hr_status_name(status), err.message);
    hr_feed_close(&feed);
    hr_dataset_unref(&halves);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
    return sum;
}

static void function__gets_the_same_rows_in_any_budget(void **state)
{
    static const int64_t budgets[] = {64, 100, 170, 300};
    for (int64_t batch_rows = 0; batch_rows <= 60; batch_rows += 60) {
        int64_t rows = 0, all = 0;
        uint64_t sum = sum_of_halves(2, 1024, batch_rows, &all);
        for (size_t i = 0; i < COUNTOF(budgets); i++)
            for (int64_t threads = 1; threads <= 4; threads += 3) {
                assert_true(sum_of_halves(threads, budgets[i], batch_rows, &rows) == sum);
                assert_int_equal(rows, all);
            }
    }
}

static void function__that_fails_is_told_with_its_rows_after_those_before_it(void **state)
{
    static const struct {
        behaviour what;
        const char *words;
    } cases[] = {
        {FAIL, "ValueError: id 4321"},  {MUTE, "without a message"}, {ENDS, "returned status 1"},
        {NOTHING, "returned no block"}, {OTHER, "other: int64"},
    };
    hr_runtime *rt = runtime_of(8, 64 * MIB);
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        user u = {.what = cases[i].what, .at = 4321};
        hr_dataset *d = range_with(rt, &u, 100, NULL);
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        pass p;
        o.batch_rows = 50;
        pass_over(&p, d, &o);
        assert_int_equal(p.status, HR_USER);
        assert_int_equal(p.err.status, HR_USER);
        assert_non_null(strstr(p.err.message, cases[i].words));
        assert_non_null(strstr(p.err.message, "map_blocks(work), rows 300 to 399 of block 4"));
        assert_true(p.count <= 4300 && p.count % 50 == 0);
        for (int64_t k = 0; k < p.count; k++)
            assert_int_equal(p.ids[k], k);
        pass_finish(&p);
        hr_dataset_unref(&d);
        assert_int_equal(atomic_load(&u.released), 1);
    }
    hr_runtime_close(&rt);
}

static void function__schema_is_learned_once_and_without_the_pool_waiting_for_itself(void **state)
{
    hr_runtime *rt = runtime_of(1, 64 * MIB);
    user inner = {.what = PASS}, outer = {.what = PASS}, bad = {.what = FAIL, .at = 3};
    hr_dataset *d = range_with(rt, &inner, 100, NULL), *out = NULL;
    hr_schema *schema = schema_of("id", HR_TYPE_INT64);
    hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    const hr_schema *found = NULL;
    pass p;
    o.schema = schema; // of the outer one: the inner one's is not asked for until it runs
    ok(hr_dataset_map_blocks(d, user_run, &outer, &o, &out, &err));
    assert_int_equal(atomic_load(&inner.calls), 0); // lazy
    pass_over(&p, out, NULL);
    assert_ids(&p, 0, 1, 10000);
    pass_finish(&p);
    ok(hr_dataset_schema(d, &found, &err));
    assert_true(hr_schema_equal(found, schema));
    assert_int_equal(atomic_load(&inner.rows), 10000 + 100); // the first rows twice
    hr_dataset_unref(&out);
    hr_dataset_unref(&d);
    d = range_with(rt, &bad, 100, NULL);
    fails(hr_dataset_schema(d, &found, &err), HR_USER, "to learn its schema");
    hr_dataset_unref(&d);
    hr_schema_unref(&schema);
    hr_runtime_close(&rt);
}

static hr_status count_rows(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    atomic_fetch_add((_Atomic int64_t *)context, hr_block_rows(in));
    *out = hr_block_ref(in);
    return HR_OK;
}

static void function__is_called_once_for_each_row_however_short_memory_is(void **state)
{
    static const int64_t shape[] = {80, 80};
    static const char *const steps[] = {NULL, "data = data + 1"};
    enum { ROWS = 2000 }; // 98 MiB
    for (size_t k = 0; k < COUNTOF(steps); k++) {
        hr_runtime *rt = runtime_of(4, 64 * MIB);
        hr_dataset *d = NULL, *f = NULL, *last = NULL;
        hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
        hr_stream_options s = HR_STREAM_OPTIONS_INIT;
        hr_feed *feed;
        hr_batch *kept[ROWS / 20] = {NULL};
        hr_error err = HR_ERROR_INIT;
        const hr_schema *schema = NULL;
        _Atomic int64_t seen = 0;
        int64_t count = 0, rows = 0;
        ok(hr_range_tensor(rt, ROWS, shape, 2, 20, &d, &err));
        ok(hr_dataset_schema(d, &schema, &err));
        o.schema = schema;
        o.batch_rows = 20;
        ok(hr_dataset_map_blocks(d, count_rows, &seen, &o, &f, &err));
        if (steps[k])
            ok(hr_dataset_map(f, steps[k], &last, &err));
        else
            last = hr_dataset_ref(f);
        s.batch_rows = 20;
        feed = feed_of(last, &s);
        while (hr_feed_next(feed, &kept[count], &err) == HR_OK)
            rows += hr_batch_rows(kept[count++]);
        assert_int_equal(rows, ROWS);
        assert_int_equal(atomic_load(&seen), ROWS);
        for (int64_t i = 0; i < count; i++)
            hr_batch_unref(&kept[i]);
        hr_feed_close(&feed);
        hr_dataset_unref(&last);
        hr_dataset_unref(&f);
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
    }
}

static void function__is_released_when_a_stream_is_left_in_the_middle(void **state)
{
    hr_runtime *rt = runtime_of(4, 64 * MIB);
    hr_error err = HR_ERROR_INIT;
    for (int round = 0; round < 10; round++) {
        user u = {.what = PASS};
        hr_dataset *d = range_with(rt, &u, 10, NULL);
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        hr_stream *s = NULL;
        hr_feed *feed = NULL;
        hr_batch *batch = NULL;
        o.batch_rows = 64;
        ok(hr_dataset_stream(d, &o, &s, &err));
        hr_dataset_unref(&d); // the stream keeps it
        ok(hr_feed_open(&s, NULL, &feed, &err));
        for (int i = 0; i < round; i++) {
            ok(hr_feed_next(feed, &batch, &err));
            hr_batch_unref(&batch);
        }
        assert_int_equal(atomic_load(&u.released), 0);
        hr_feed_close(&feed);
        assert_int_equal(atomic_load(&u.released), 1);
    }
    hr_runtime_close(&rt);
}

static _Atomic int64_t slow_calls;

static hr_status slow(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    slow_calls++;
    sleep_ms(1);
    *out = hr_block_ref(in);
    return HR_OK;
}

static void function__that_is_slow_does_not_hold_up_a_close(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = NULL, *f = NULL;
    hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
    hr_stream *s = NULL;
    hr_error err = HR_ERROR_INIT;
    o.batch_rows = 10;
    ok(hr_range(rt, 200000, 10, &d, &err)); // 2,000 calls a block
    ok(hr_dataset_map_blocks(d, slow, NULL, &o, &f, &err));
    ok(hr_dataset_stream(f, NULL, &s, &err));
    wait_until(slow_calls > 1); // the first one finds the schema
    int64_t before = slow_calls;
    hr_stream_close(&s);
    assert_true(slow_calls - before < 100);
    hr_dataset_unref(&f);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void function__of_a_failed_call_stays_the_callers(void **state)
{
    hr_runtime *rt = runtime_of(1, 64 * MIB);
    user u = {.what = PASS};
    hr_dataset *d = NULL, *out = NULL;
    hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    ok(hr_range(rt, 10, 1, &d, &err));
    o.release = user_release;
    o.batch_rows = -1;
    fails(hr_dataset_map_blocks(d, user_run, &u, &o, &out, &err), HR_INVALID, "batch_rows");
    assert_int_equal(atomic_load(&u.released), 0);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(function__may_change_the_number_of_rows),
        cmocka_unit_test(function__gets_the_same_rows_in_any_budget),
        cmocka_unit_test(function__that_fails_is_told_with_its_rows_after_those_before_it),
        cmocka_unit_test(function__schema_is_learned_once_and_without_the_pool_waiting_for_itself),
        cmocka_unit_test(function__is_called_once_for_each_row_however_short_memory_is),
        cmocka_unit_test(function__is_released_when_a_stream_is_left_in_the_middle),
        cmocka_unit_test(function__that_is_slow_does_not_hold_up_a_close),
        cmocka_unit_test(function__of_a_failed_call_stays_the_callers),
    };
    return cmocka_run_group_tests_name("function", tests, NULL, NULL);
}
