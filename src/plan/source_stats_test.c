// SPDX-License-Identifier: Apache-2.0
// Readings at the source are counted, whoever reads: a streamed pass each time, a kept one once.
#include "plan/plan_sample.h"

#define ROWS 1000

static hr_source_stats figures(const hr_dataset *dataset)
{
    hr_source_stats stats;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_dataset_get_source_stats(dataset, &stats, sizeof stats, &err), &err);
    return stats;
}

static void read_all(const hr_dataset *dataset)
{
    hr_dataset *kept = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_dataset_materialize(dataset, &kept, &err), &err);
    assert_int_equal(figures(kept).sources, 0);
    hr_dataset_unref(&kept);
}

static void source_stats__count_each_reading(void **state)
{
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *d = NULL, *mapped = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_range(rt, ROWS, 7, &d, &err), &err);
    assert_ok(hr_dataset_map(d, "x = id * 2", &mapped, &err), &err);
    assert_int_equal(figures(mapped).rows_read, 0);
    read_all(mapped);
    read_all(d);
    hr_source_stats stats = figures(mapped);
    assert_int_equal(stats.sources, 1);
    assert_int_equal(stats.rows, ROWS);
    assert_int_equal(stats.rows_read, 2 * ROWS);
    assert_int_equal(stats.bytes_read, 2 * ROWS * 8);
    hr_dataset_unref(&mapped);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void source_stats__of_what_was_kept_are_read_once(void **state)
{
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *d = NULL, *kept = NULL, *of_kept = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_range(rt, ROWS, 7, &d, &err), &err);
    assert_ok(hr_dataset_materialize(d, &kept, &err), &err);
    assert_ok(hr_dataset_map(kept, "x = id + 1", &of_kept, &err), &err);
    read_all(of_kept);
    read_all(of_kept);
    assert_int_equal(figures(d).rows_read, ROWS);
    hr_dataset_unref(&of_kept);
    hr_dataset_unref(&kept);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void source_stats__name_a_source_once(void **state)
{
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *a = NULL, *b = NULL, *both = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_range(rt, ROWS, 7, &a, &err), &err);
    assert_ok(hr_range(rt, 10, 1, &b, &err), &err);
    const hr_dataset *parts[] = {a, b, a};
    assert_ok(hr_dataset_union(parts, 3, &both, &err), &err);
    read_all(both);
    assert_int_equal(figures(both).sources, 2);
    assert_int_equal(figures(both).rows, ROWS + 10);
    assert_int_equal(figures(both).rows_read, 2 * ROWS + 10);
    hr_dataset_unref(&both);
    hr_dataset_unref(&b);
    hr_dataset_unref(&a);
    hr_runtime_close(&rt);
}

static void next_limit(hr_dataset **d, int64_t rows)
{
    hr_dataset *limited = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_dataset_limit(*d, rows, &limited, &err), &err);
    hr_dataset_unref(d);
    *d = limited;
}

static void source_stats__repartition_behind_a_filter_runs_it_once(void **state)
{
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *d = NULL, *some = NULL, *cut = NULL;
    hr_error err = HR_ERROR_INIT;
    int64_t blocks = 0, rows = 0;
    assert_ok(hr_range(rt, ROWS, 7, &d, &err), &err);
    assert_ok(hr_dataset_filter(d, "id % 2 == 0", &some, &err), &err);
    assert_ok(hr_dataset_repartition(some, 5, &cut, &err), &err);
    assert_ok(hr_dataset_num_blocks(cut, &blocks, &err), &err);
    assert_ok(hr_dataset_count(cut, &rows, &err), &err);
    assert_true(blocks == 5 && rows == ROWS / 2);
    next_limit(&cut, 100);
    read_all(cut);
    read_all(cut);
    assert_int_equal(figures(d).rows_read, ROWS);
    hr_dataset_unref(&cut);
    hr_dataset_unref(&some);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

// Each limit asks whether the rows below can be counted; asked anew at each level, that were 2^60 questions.
static void plan__of_many_limits_is_lowered_in_no_time(void **state)
{
    hr_runtime *rt = sample_runtime(1);
    hr_dataset *d = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_range(rt, ROWS, 7, &d, &err), &err);
    for (int i = 0; i < 60; i++)
        next_limit(&d, ROWS - i);
    read_all(d);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_stats__count_each_reading),
        cmocka_unit_test(source_stats__of_what_was_kept_are_read_once),
        cmocka_unit_test(source_stats__name_a_source_once),
        cmocka_unit_test(source_stats__repartition_behind_a_filter_runs_it_once),
        cmocka_unit_test(plan__of_many_limits_is_lowered_in_no_time),
    };
    return cmocka_run_group_tests_name("source_stats", tests, NULL, NULL);
}
