// SPDX-License-Identifier: Apache-2.0
#include "base/os.h"
#include "base/stats.h"
#include "base/unit.h"

#include <math.h>

static void near(double found, double expected)
{
    if (fabs(found - expected) > 1e-12 * fabs(expected))
        fail_msg("%.17g is not %.17g", found, expected);
}

// Expected values are numpy.quantile's (2.4, method "linear").
static void samples__quantiles_equal_numpy(void **state)
{
    static const double values[] = {3.5, 1.25, 9.0, 2.0, 7.75, 4.0, 0.5, 6.0, 8.25, 5.5};
    static const double known[][2] = {{0, 0.5},
                                      {0.05, 0.8375},
                                      {0.25, 2.375},
                                      {0.5, 4.75},
                                      {0.9, 8.325},
                                      {0.95, 8.6625},
                                      {0.99, 8.932500000000001},
                                      {1, 9.0}};
    hr_samples s = {0};
    near(hr__samples_quantile(&s, 0.5), 0);
    for (size_t i = 0; i < HR_COUNTOF(values); i++)
        hr__samples_add(&s, values[i]);
    for (size_t i = 0; i < HR_COUNTOF(known); i++)
        near(hr__samples_quantile(&s, known[i][0]), known[i][1]);
    near(s.sum, 47.75);
    near(s.max, 9);
    assert_int_equal(s.seen, 10);
    hr__samples_finish(&s);
    hr__samples_add(&s, -3);
    near(s.max, -3);
    near(hr__samples_quantile(&s, 0.99), -3);
    hr__samples_finish(&s);
}

static void samples__reservoir_stands_for_all(void **state)
{
    hr_samples s = {0};
    for (int i = 0; i < 300000; i++)
        hr__samples_add(&s, i);
    assert_int_equal(s.count, 65536);
    assert_int_equal(s.seen, 300000);
    near(s.max, 299999);
    double median = hr__samples_quantile(&s, 0.5);
    assert_true(fabs(median - 150000) < 3000); // 5 standard deviations
    hr__samples_finish(&s);
}

static void samples__sums_stay_right_without_memory(void **state)
{
    hr_samples s = {0};
    hr__mem_fail_after(1);
    hr__samples_add(&s, 5);
    hr__samples_add(&s, 6);
    assert_int_equal(s.seen, 2);
    near(s.sum, 11);
    near(s.max, 6);
    hr__samples_finish(&s);
}

static uint64_t total(hr_busy *busy)
{
    uint64_t ns = 0;
    for (int i = 0; i < HR_CAUSES; i++)
        ns += busy->ns[i];
    return ns;
}

static void busy__spans_add_up_to_the_time(void **state)
{
    hr_busy outer = {0}, inner = {0};
    uint64_t begin_ns = hr__now_ns();
    hr_busy_mark before = hr__busy_enter(&outer, HR_CAUSE_DECODE);
    assert_null(before.busy);
    hr__sleep_ns(2000000);
    hr_busy_mark decode = hr__busy_switch(HR_CAUSE_STORAGE);
    assert_int_equal(decode.cause, HR_CAUSE_DECODE);
    hr__sleep_ns(1000000);
    hr_busy_mark storage = hr__busy_enter(&inner, HR_CAUSE_SPILL);
    hr__sleep_ns(1000000);
    hr__busy_leave(storage);
    hr__busy_leave(decode);
    hr__busy_leave(before);
    uint64_t spent_ns = hr__now_ns() - begin_ns;
    assert_true(outer.ns[HR_CAUSE_DECODE] >= 2000000);
    assert_true(outer.ns[HR_CAUSE_STORAGE] >= 1000000);
    assert_int_equal(outer.ns[HR_CAUSE_SPILL], 0);
    assert_true(inner.ns[HR_CAUSE_SPILL] >= 1000000);
    assert_true(total(&outer) + total(&inner) <= spent_ns);
    hr__busy_switch(HR_CAUSE_BATCH); // outside: nothing happens
    assert_int_equal(outer.ns[HR_CAUSE_BATCH], 0);
}

static void cause__names_are_in_order(void **state)
{
    assert_string_equal(hr__cause_name(HR_CAUSE_STORAGE), "storage");
    assert_string_equal(hr__cause_name(HR_CAUSE_CONSUMER), "consumer");
    assert_string_equal(hr__cause_name(HR_CAUSES), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples__quantiles_equal_numpy),
        cmocka_unit_test(samples__reservoir_stands_for_all),
        cmocka_unit_test(samples__sums_stay_right_without_memory),
        cmocka_unit_test(busy__spans_add_up_to_the_time),
        cmocka_unit_test(cause__names_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
