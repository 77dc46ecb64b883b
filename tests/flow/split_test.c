// SPDX-License-Identifier: Apache-2.0
// Samples and parts: which rows, whatever the threads, batches and epochs; together all of them, and none twice.
#include "flow_support.h"

#include <math.h>

#define ROWS 20000

static char folder[64];

static int set_up(void **state)
{
    make_folder(folder);
    write_rows(folder, ROWS, 6000, 1700);
    return 0;
}

static int tear_down(void **state)
{
    remove_folder(folder);
    return 0;
}

static hr_status pass_on(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    *out = hr_block_ref(in);
    return HR_OK;
}

typedef hr_dataset *(*plan)(hr_runtime *rt);

static hr_dataset *read_files(hr_runtime *rt)
{
    return files_of(rt, folder);
}

static hr_dataset *sample_of(hr_dataset *d, double fraction, uint64_t seed, bool each_epoch)
{
    hr_dataset *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_random_sample(d, fraction, seed, each_epoch, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *plain(hr_runtime *rt)
{
    return sample_of(read_files(rt), 0.3, 5, false);
}

static hr_dataset *filtered(hr_runtime *rt)
{
    hr_dataset *d = read_files(rt), *a = NULL, *b = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_map(d, "x = x * 2", &a, &err));
    ok(hr_dataset_filter(a, "id % 2 == 1", &b, &err));
    hr_dataset_unref(&d);
    hr_dataset_unref(&a);
    return sample_of(b, 0.3, 5, false);
}

static hr_dataset *behind_function(hr_runtime *rt)
{
    hr_dataset *d = read_files(rt), *a = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_map_blocks(d, pass_on, NULL, NULL, &a, &err));
    hr_dataset_unref(&d);
    return sample_of(a, 0.3, 5, false);
}

static hr_dataset *kept(hr_runtime *rt)
{
    hr_dataset *d = read_files(rt), *a = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_materialize(d, &a, &err));
    hr_dataset_unref(&d);
    return sample_of(a, 0.3, 5, false);
}

static hr_dataset *before_function(hr_runtime *rt)
{
    hr_dataset *d = plain(rt), *a = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_map_blocks(d, pass_on, NULL, NULL, &a, &err));
    hr_dataset_unref(&d);
    return a;
}

static hr_dataset *twice(hr_runtime *rt)
{
    return sample_of(sample_of(read_files(rt), 0.6, 1, false), 0.5, 2, false);
}

static const struct {
    const char *name;
    plan make;
    double rows; // expected
} plans[] = {
    {"files", plain, 0.3 * ROWS},
    {"behind map and filter", filtered, 0.15 * ROWS},
    {"behind a function", behind_function, 0.3 * ROWS},
    {"before a function", before_function, 0.3 * ROWS},
    {"kept", kept, 0.3 * ROWS},
    {"a sample of a sample", twice, 0.3 * ROWS},
};

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void split__a_sample_is_the_same_for_any_threads_batches_and_order(void **state)
{
    static const int64_t threads[] = {1, 2, 8};
    static const int64_t batches[] = {0, 7, 1000};
    for (size_t i = 0; i < COUNTOF(plans); i++) {
        pass first = {0};
        for (size_t t = 0; t < COUNTOF(threads); t++) {
            hr_runtime *rt = runtime_of(threads[t], 64 * MIB);
            hr_dataset *d = plans[i].make(rt);
            for (int shuffle = 0; shuffle < 4; shuffle++)
                for (size_t b = 0; b < COUNTOF(batches); b++) {
                    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
                    pass p;
                    o.batch_rows = batches[b];
                    o.shuffle = (hr_shuffle)shuffle;
                    o.epochs = 2;
                    pass_over(&p, d, &o);
                    assert_ended(&p);
                    assert_int_equal(p.count % 2, 0); // each epoch the same
                    for (int e = 0; e < 2; e++)
                        qsort(p.ids + e * p.count / 2, (size_t)p.count / 2, sizeof *p.ids,
                              ascending);
                    if (!first.ids) {
                        first = p;
                        assert_true(fabs((double)p.count / 2 - plans[i].rows) < 5 * sqrt(ROWS));
                        assert_memory_equal(p.ids, p.ids + p.count / 2,
                                            (size_t)p.count / 2 * sizeof *p.ids);
                        continue;
                    }
                    if (p.count != first.count ||
                        memcmp(p.ids, first.ids, (size_t)p.count * sizeof *p.ids) != 0)
                        fail_msg("%s, %d threads, batches of %d, shuffle %d: other rows",
                                 plans[i].name, (int)threads[t], (int)batches[b], shuffle);
                    pass_finish(&p);
                }
            hr_dataset_unref(&d);
            hr_runtime_close(&rt);
        }
        pass_finish(&first);
    }
}

static void split__samples_of_epochs_and_of_copies_differ_where_asked(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = sample_of(read_files(rt), 0.5, 9, true), *both[2], *joined = NULL, *all = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    pass p;
    o.epochs = 2;
    pass_over(&p, d, &o);
    assert_ended(&p);
    int64_t half = p.epoch_at[1];
    assert_true(half != p.count - half || memcmp(p.ids, p.ids + half, (size_t)half * 8) != 0);
    pass_finish(&p);
    both[0] = both[1] = read_files(rt);
    ok(hr_dataset_union((const hr_dataset *const *)both, 2, &joined, &err));
    hr_dataset_unref(&both[0]);
    joined = sample_of(joined, 0.5, 9, false);
    o.epochs = 1;
    pass_over(&p, joined, &o);
    assert_ended(&p);
    qsort(p.ids, (size_t)p.count, sizeof *p.ids, ascending);
    int64_t same = 0;
    for (int64_t i = 1; i < p.count; i++)
        same += p.ids[i] == p.ids[i - 1];
    assert_true(fabs((double)same - ROWS / 4.0) < 5 * sqrt(ROWS)); // in both by chance alone
    pass_finish(&p);
    fails(hr_dataset_random_sample(joined, 1.5, 0, false, &all, &err), HR_INVALID, "0 to 1");
    ok(hr_dataset_random_sample(joined, 1, 0, false, &all, &err));
    hr_dataset_unref(&all);
    hr_dataset_unref(&joined);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void append(pass *all, hr_dataset **part)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    pass p;
    o.epochs = 1;
    pass_over(&p, *part, &o);
    assert_ended(&p);
    all->ids = realloc(all->ids, (size_t)(all->count + p.count + 1) * sizeof *all->ids);
    if (p.count)
        memcpy(all->ids + all->count, p.ids, (size_t)p.count * sizeof *p.ids);
    all->count += p.count;
    all->status = HR_END;
    pass_finish(&p);
    hr_dataset_unref(part);
}

static void split__parts_are_all_rows_once(void **state)
{
    static const int64_t rows[] = {0, 1, 1, 9999, 17000, 50000};
    static const double shares[] = {0.2, 0.5};
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_error err = HR_ERROR_INIT;
    hr_dataset *d = read_files(rt), *odd = NULL, *parts[7] = {NULL}, *train = NULL, *test = NULL;
    int64_t count;
    pass all = {0};
    ok(hr_dataset_split_at_indices(d, rows, 6, parts, &err));
    for (int i = 0; i < 7; i++)
        append(&all, &parts[i]);
    assert_ids(&all, 0, 1, ROWS);
    pass_finish(&all);
    ok(hr_dataset_filter(d, "id % 2 == 1", &odd, &err)); // only a run tells how many
    ok(hr_dataset_split_proportionately(odd, shares, 2, parts, &err));
    ok(hr_dataset_count(parts[0], &count, &err));
    assert_int_equal(count, ROWS / 10);
    for (int i = 0; i < 3; i++)
        append(&all, &parts[i]);
    assert_ids(&all, 1, 2, ROWS / 2);
    pass_finish(&all);
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        hr_split_options o = HR_SPLIT_OPTIONS_INIT;
        o.test_share = 0.25;
        o.shuffle = shuffle;
        ok(hr_dataset_train_test_split(odd, &o, &train, &test, &err));
        ok(hr_dataset_count(test, &count, &err));
        assert_int_equal(count, ROWS / 8);
        append(&all, &train);
        append(&all, &test);
        if (shuffle)
            qsort(all.ids, (size_t)all.count, sizeof *all.ids, ascending);
        assert_ids(&all, 1, 2, ROWS / 2);
        pass_finish(&all);
        o.test_rows = 5;
        fails(hr_dataset_train_test_split(odd, &o, &train, &test, &err), HR_INVALID, "give one");
        o.test_share = 0;
        o.test_rows = ROWS;
        fails(hr_dataset_train_test_split(odd, &o, &train, &test, &err), HR_INVALID, "both need");
    }
    static const double all_of_it[] = {0.5, 0.5};
    static const int64_t back[] = {5, 3};
    fails(hr_dataset_split_proportionately(odd, all_of_it, 2, parts, &err), HR_INVALID, "below 1");
    fails(hr_dataset_split_at_indices(odd, back, 2, parts, &err), HR_INVALID, "ascend");
    hr_dataset_unref(&odd);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split__a_sample_is_the_same_for_any_threads_batches_and_order),
        cmocka_unit_test(split__samples_of_epochs_and_of_copies_differ_where_asked),
        cmocka_unit_test(split__parts_are_all_rows_once),
    };
    return cmocka_run_group_tests_name("split", tests, set_up, tear_down);
}
