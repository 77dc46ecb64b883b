// SPDX-License-Identifier: Apache-2.0
// The sequence of rows is a function of (data, plan, seed, epoch): threads, delays and batch sizes have no say.
#include "flow_support.h"

#include <stdatomic.h>

static const int64_t thread_counts[] = {1, 2, 8};
static const int64_t batch_sizes[] = {0, 1, 7, 1000, 4096};

static char folder[64]; // 20,000 rows in 4 files, row groups of 1,700
#define ROWS       20000
#define FILE_ROWS  6000
#define GROUP_ROWS 1700

static int set_up(void **state)
{
    make_folder(folder);
    write_rows(folder, ROWS, FILE_ROWS, GROUP_ROWS);
    return 0;
}

static int tear_down(void **state)
{
    remove_folder(folder);
    return 0;
}

// Passes its rows on after a while that depends on nothing the pipeline knows.
static hr_status delay(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    _Atomic uint32_t *calls = context;
    uint32_t turn = atomic_fetch_add(calls, 1) * 2654435761u;
    if (turn >> 30 == 0)
        sleep_ms((int)(turn >> 26 & 3));
    *out = hr_block_ref(in);
    return HR_OK;
}

typedef hr_dataset *(*plan)(hr_runtime *rt);

static hr_dataset *read_files(hr_runtime *rt)
{
    return files_of(rt, folder);
}

static hr_dataset *delayed(hr_runtime *rt)
{
    static _Atomic uint32_t calls;
    hr_dataset *d = read_files(rt), *out = NULL;
    hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    o.batch_rows = 256;
    ok(hr_dataset_map_blocks(d, delay, &calls, &o, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *filtered(hr_runtime *rt)
{
    hr_dataset *d = read_files(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_filter(d, "id % 3 == 1", &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *worked(hr_runtime *rt)
{
    hr_dataset *d = delayed(rt), *a = NULL, *b = NULL, *c = NULL, *e = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_pack_options pack = HR_PACK_OPTIONS_INIT;
    const char *names[] = {"y", "z", NULL}, *kept[] = {"id", "yz", "v", NULL};
    ok(hr_dataset_map(d, "y = x * 2 + 1; z = log1p(x)", &a, &err));
    ok(hr_dataset_filter(a, "id % 5 != 2", &b, &err));
    ok(hr_dataset_pack(b, names, "yz", &pack, &c, &err));
    ok(hr_dataset_select(c, kept, &e, &err));
    hr_dataset_unref(&c);
    ok(hr_dataset_rename(e, "yz", "features", &c, &err));
    hr_dataset_unref(&a);
    hr_dataset_unref(&b);
    hr_dataset_unref(&d);
    hr_dataset_unref(&e);
    return c;
}

static hr_dataset *limited(hr_runtime *rt)
{
    hr_dataset *d = read_files(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_limit(d, 7777, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *limited_behind_filter(hr_runtime *rt)
{
    hr_dataset *d = filtered(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_limit(d, 3333, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *joined(hr_runtime *rt)
{
    hr_dataset *parts[3] = {limited_behind_filter(rt), filtered(rt), NULL}, *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_limit(parts[1], 10, &parts[2], &err));
    ok(hr_dataset_union((const hr_dataset *const *)parts, 3, &out, &err));
    for (size_t i = 0; i < 3; i++)
        hr_dataset_unref(&parts[i]);
    return out;
}

static hr_dataset *cut_anew(hr_runtime *rt)
{
    hr_dataset *d = read_files(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_repartition(d, 13, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *cut_anew_behind_filter(hr_runtime *rt)
{
    hr_dataset *d = filtered(rt), *out = NULL, *more = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_repartition(d, 9, &out, &err));
    ok(hr_dataset_map(out, "x = x + 1", &more, &err));
    hr_dataset_unref(&d);
    hr_dataset_unref(&out);
    return more;
}

static hr_dataset *part(hr_runtime *rt)
{
    hr_dataset *d = read_files(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_split(d, 3, 1, false, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *mixed_blocks(hr_runtime *rt)
{
    hr_dataset *d = filtered(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_randomize_block_order(d, 5, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *mixed_made_blocks(hr_runtime *rt)
{
    hr_dataset *d = limited_behind_filter(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_randomize_block_order(d, 5, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static const struct {
    const char *name;
    plan make;
} plans[] = {
    {"files", read_files},
    {"a slow function", delayed},
    {"filter", filtered},
    {"function, map, filter, pack, select, rename", worked},
    {"limit", limited},
    {"limit behind a filter", limited_behind_filter},
    {"union", joined},
    {"repartition", cut_anew},
    {"repartition behind a filter", cut_anew_behind_filter},
    {"split by blocks", part},
    {"randomize_block_order", mixed_blocks},
    {"randomize_block_order behind limit behind filter", mixed_made_blocks},
};

static void order__is_the_same_for_any_threads_delays_and_batch_rows(void **state)
{
    for (size_t i = 0; i < COUNTOF(plans); i++) {
        pass first = {0};
        for (size_t t = 0; t < COUNTOF(thread_counts); t++) {
            hr_runtime *rt = runtime_of(thread_counts[t], 64 * MIB);
            for (size_t b = 0; b < COUNTOF(batch_sizes); b++) {
                if (batch_sizes[b] == 1 && thread_counts[t] != 2)
                    continue; // many batches, of which once is enough
                hr_stream_options o = HR_STREAM_OPTIONS_INIT;
                hr_dataset *d = plans[i].make(rt);
                pass p;
                o.batch_rows = batch_sizes[b];
                o.epochs = 2;
                pass_over(&p, d, &o);
                if (p.status != HR_END)
                    fail_msg("%s, %d threads, batches of %d: %s", plans[i].name,
                             (int)thread_counts[t], (int)batch_sizes[b], p.err.message);
                assert_int_equal(p.epochs, 2);
                if (batch_sizes[b])
                    assert_true(p.rows_max <= batch_sizes[b]);
                if (!first.ids) {
                    first = p;
                } else {
                    if (!is_same(&first, &p))
                        fail_msg("%s: other rows with %d threads and batches of %d", plans[i].name,
                                 (int)thread_counts[t], (int)batch_sizes[b]);
                    pass_finish(&p);
                }
                hr_dataset_unref(&d);
            }
            hr_runtime_close(&rt);
        }
        pass_finish(&first);
    }
}

static void order__is_what_each_operation_says(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    static const struct {
        plan make;
        int64_t first, step, count;
    } expected[] = {
        {read_files, 0, 1, ROWS}, {filtered, 1, 3, (ROWS + 1) / 3},
        {limited, 0, 1, 7777},    {limited_behind_filter, 1, 3, 3333},
        {cut_anew, 0, 1, ROWS},   {cut_anew_behind_filter, 1, 3, (ROWS + 1) / 3},
    };
    o.batch_rows = 640;
    for (size_t i = 0; i < COUNTOF(expected); i++) {
        hr_dataset *d = expected[i].make(rt);
        pass p;
        pass_over(&p, d, &o);
        assert_ids(&p, expected[i].first, expected[i].step, expected[i].count);
        assert_int_equal(p.batches, (expected[i].count + 639) / 640);
        pass_finish(&p);
        hr_dataset_unref(&d);
    }
    hr_runtime_close(&rt);
}

static void order__repartition_makes_blocks_of_nearly_equal_rows(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = cut_anew(rt);
    pass p;
    pass_over(&p, d, NULL);
    assert_ids(&p, 0, 1, ROWS);
    assert_int_equal(p.batches, 13);
    assert_int_equal(p.rows_min, ROWS / 13);
    assert_int_equal(p.rows_max, ROWS / 13 + 1);
    pass_finish(&p);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void order__parts_of_a_split_are_the_whole(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_error err = HR_ERROR_INIT;
    hr_dataset *of[3] = {read_files(rt), filtered(rt), limited_behind_filter(rt)};
    for (size_t k = 0; k < 3; k++) {
        pass whole, all = {0};
        pass_over(&whole, of[k], NULL);
        for (int i = 0; i < 5; i++) {
            hr_dataset *d = NULL;
            pass p;
            ok(hr_dataset_split(of[k], 5, i, false, &d, &err));
            pass_over(&p, d, NULL);
            assert_ended(&p);
            all.ids = realloc(all.ids, (size_t)(all.count + p.count + 1) * sizeof *all.ids);
            if (p.count > 0)
                memcpy(all.ids + all.count, p.ids, (size_t)p.count * sizeof *p.ids);
            all.count += p.count;
            pass_finish(&p);
            hr_dataset_unref(&d);
        }
        assert_int_equal(all.count, whole.count);
        assert_memory_equal(all.ids, whole.ids, (size_t)all.count * sizeof *all.ids);
        pass_finish(&all);
        pass_finish(&whole);
    }
    for (int i = 0; i < 7; i++) { // equal: exactly rows / 7 each
        hr_dataset *d = NULL;
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        pass p;
        o.batch_rows = 500;
        ok(hr_dataset_split(of[0], 7, i, true, &d, &err));
        pass_over(&p, d, &o);
        assert_ids(&p, i * (ROWS / 7), 1, ROWS / 7);
        pass_finish(&p);
        hr_dataset_unref(&d);
    }
    for (size_t k = 0; k < 3; k++)
        hr_dataset_unref(&of[k]);
    hr_runtime_close(&rt);
}

static void order__a_window_shuffle_gives_each_row_once_and_depends_on_seed_and_epoch(void **state)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    pass first = {0}, p;
    o.shuffle = HR_SHUFFLE_WINDOW;
    o.window_rows = 512;
    o.epochs = 3;
    o.seed = 11;
    for (size_t t = 0; t < COUNTOF(thread_counts); t++) {
        for (size_t b = 0; b < COUNTOF(batch_sizes); b++) {
            hr_runtime *rt = runtime_of(thread_counts[t], 64 * MIB);
            hr_dataset *d = read_files(rt);
            o.batch_rows = batch_sizes[b];
            pass_over(&p, d, &o);
            for (int e = 0; e < 3; e++)
                assert_each_once(&p, e, ROWS);
            if (first.ids) {
                assert_true(is_same(&first, &p));
                pass_finish(&p);
            } else {
                first = p;
            }
            hr_dataset_unref(&d);
            hr_runtime_close(&rt);
        }
    }
    int64_t *second = first.ids + first.epoch_at[1];
    assert_true(memcmp(first.ids, second, ROWS * sizeof *second) != 0);
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = read_files(rt);
    o.seed = 12;
    pass_over(&p, d, &o);
    assert_true(memcmp(first.ids, p.ids, ROWS * sizeof *p.ids) != 0);
    pass_finish(&p);
    o.seed = 11; // an epoch by its number is the same as one that was reached
    o.first_epoch = 2;
    o.epochs = 1;
    pass_over(&p, d, &o);
    assert_memory_equal(first.ids + first.epoch_at[2], p.ids, ROWS * sizeof *p.ids);
    pass_finish(&p);
    pass_finish(&first);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void order__drop_last_drops_the_short_batch_of_each_epoch(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = read_files(rt);
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    pass p;
    o.batch_rows = 1300;
    o.drop_last = true;
    o.epochs = 2;
    pass_over(&p, d, &o);
    assert_ended(&p);
    assert_int_equal(p.batches, 2 * (ROWS / 1300));
    assert_int_equal(p.rows_min, 1300);
    for (int64_t e = 0; e < 2; e++)
        for (int64_t i = 0; i < ROWS / 1300 * 1300; i++)
            assert_int_equal(p.ids[p.epoch_at[e] + i], i);
    pass_finish(&p);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order__is_what_each_operation_says),
        cmocka_unit_test(order__is_the_same_for_any_threads_delays_and_batch_rows),
        cmocka_unit_test(order__repartition_makes_blocks_of_nearly_equal_rows),
        cmocka_unit_test(order__parts_of_a_split_are_the_whole),
        cmocka_unit_test(order__a_window_shuffle_gives_each_row_once_and_depends_on_seed_and_epoch),
        cmocka_unit_test(order__drop_last_drops_the_short_batch_of_each_epoch),
    };
    return cmocka_run_group_tests_name("order", tests, set_up, tear_down);
}
