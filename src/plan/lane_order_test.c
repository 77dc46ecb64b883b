// SPDX-License-Identifier: Apache-2.0
// The window shuffle as arithmetic: each row once, in rounds that one can divide one's way to, well mixed, and the same
// on every machine.
#include "plan/order.h"

#include "base/rng.h"
#include "base/unit.h"

typedef struct layout {
    size_t count;
    int64_t lanes, window;
    int64_t rows[64];
} layout;

static const layout layouts[] = {
    {1, 8, 100, {1000}},
    {3, 8, 100, {10, 1, 5}},
    {8, 8, 64, {100, 100, 100, 100, 100, 100, 100, 100}},
    {12, 8, 50, {100, 3, 70, 100, 9, 1, 1, 1, 400, 30, 20, 10}},
    {20, 5, 7, {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}},
    {5, 8, 3, {10, 20, 30, 40, 50}},
    {2, 2, 1000000, {10, 20}},
    {4, 256, 1, {3, 1, 4, 1}},
    {0, 8, 100, {0}},
};

static int64_t total_of(const layout *l)
{
    int64_t total = 0;
    for (size_t i = 0; i < l->count; i++)
        total += l->rows[i];
    return total;
}

static hr_order *open_order(const layout *l)
{
    hr_order *o = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr__order_open(l->rows, l->count, l->lanes, l->window, &o, &err), &err);
    return o;
}

// Walks over rounds and lanes as a reader does, marking each (unit, row).
static void order__gives_each_row_once(void **state)
{
    for (size_t i = 0; i < HR_COUNTOF(layouts); i++) {
        const layout *l = &layouts[i];
        hr_order *o = open_order(l);
        hr_error err = HR_ERROR_INIT;
        bool *seen[64] = {NULL};
        int64_t rows = 0;
        for (size_t u = 0; u < l->count; u++)
            assert_ok(hr__alloc_zero((size_t)l->rows[u], 1, &seen[u], &err), &err);
        for (int64_t round = 0; round < hr__order_rounds(o); round++) {
            int64_t of_round = 0;
            assert_int_equal(hr__order_rows_before(o, round), rows);
            for (int32_t lane = 0; lane < hr__order_lanes(o); lane++) {
                int64_t end = hr__order_begin(o, round + 1, lane);
                for (int64_t row = hr__order_begin(o, round, lane); row < end; row++) {
                    int64_t begin = 0;
                    size_t u = hr__order_unit(o, lane, row, &begin);
                    assert_int_equal(hr__order_round_of(o, lane, row), round);
                    assert_true(row >= begin && row - begin < l->rows[u]);
                    assert_false(seen[u][row - begin]);
                    seen[u][row - begin] = true;
                    of_round++;
                }
            }
            assert_true(of_round > 0 && of_round <= l->window);
            rows += of_round;
        }
        assert_int_equal(rows, total_of(l));
        for (size_t u = 0; u < l->count; u++)
            hr__free(seen[u]);
        hr__order_close(&o);
    }
}

// Rounds take from as many lanes as have rows, and are as large as the window as long as each of those can give its
// share.
static void order__keeps_rounds_full_when_lanes_end(void **state)
{
    const layout l = {9, 8, 80, {100, 100, 100, 100, 100, 100, 100, 100, 3000}};
    hr_order *o = open_order(&l);
    assert_int_equal(hr__order_lanes(o), 8);
    assert_int_equal(hr__order_rows_before(o, 10), 800); // ten rounds of ten rows of each lane
    int64_t rounds = hr__order_rounds(o);
    for (int64_t k = 10; k + 1 < rounds; k++) // then the last lane alone, by the window
        assert_int_equal(hr__order_rows_before(o, k + 1) - hr__order_rows_before(o, k), 80);
    assert_int_equal(hr__order_rows_before(o, rounds), 3800);
    hr__order_close(&o);
}

static void order__deals_units_to_the_shortest_lane(void **state)
{
    const layout l = {6, 3, 9, {5, 9, 2, 2, 4, 1}};
    hr_order *o = open_order(&l);
    int64_t begin;
    assert_int_equal(hr__order_lane_rows(o, 0), 5 + 1); // ties go to the lowest
    assert_int_equal(hr__order_lane_rows(o, 1), 9);
    assert_int_equal(hr__order_lane_rows(o, 2), 2 + 2 + 4);
    assert_int_equal(hr__order_unit(o, 2, 3, &begin), 3);
    assert_int_equal(begin, 2);
    assert_int_equal(hr__order_unit(o, 0, 5, &begin), 5);
    assert_int_equal(begin, 5);
    hr__order_close(&o);
}

// Golden: a change of these is a change of every order that was ever resumed.
static void order__is_the_same_on_every_machine(void **state)
{
    uint32_t p[10], big[1000];
    static const uint32_t expected[10] = {7, 6, 5, 2, 3, 8, 4, 1, 0, 9};
    hr__order_permute(7, 3, 11, p, 10);
    assert_memory_equal(p, expected, sizeof p);
    hr__order_permute(UINT64_C(0xfedcba9876543210), 1, 2, big, 1000);
    uint64_t hash = 0;
    for (size_t i = 0; i < HR_COUNTOF(big); i++)
        hash = hash * 31 + big[i];
    assert_true(hash == UINT64_C(0x95e439d7a634327c));
}

// Chi-square over (place in the window a row comes from, place it goes to), eight bins each: 49 degrees of freedom.
static void order__mixes_a_round_evenly(void **state)
{
    enum { ROWS = 4096, BINS = 8, ROUNDS = 64 };
    static uint32_t p[ROWS];
    for (uint64_t seed = 0; seed < 4; seed++) {
        double found[BINS][BINS] = {{0}}, chi = 0;
        double expected = (double)ROWS * ROUNDS / (BINS * BINS);
        for (int64_t round = 0; round < ROUNDS; round++) {
            hr__order_permute(seed, 0, round, p, ROWS);
            for (uint32_t i = 0; i < ROWS; i++)
                found[i * BINS / ROWS][p[i] * BINS / ROWS]++;
        }
        for (int a = 0; a < BINS; a++)
            for (int b = 0; b < BINS; b++)
                chi += (found[a][b] - expected) * (found[a][b] - expected) / expected;
        assert_true(chi < 85.4 && chi > 20); // 0.999 of the distribution lies below 85.4
    }
}

static void order__differs_by_seed_epoch_and_round(void **state)
{
    uint32_t a[64], b[64];
    hr__order_permute(1, 2, 3, a, 64);
    hr__order_permute(1, 2, 3, b, 64);
    assert_memory_equal(a, b, sizeof a);
    hr__order_permute(2, 2, 3, b, 64);
    assert_memory_not_equal(a, b, sizeof a);
    hr__order_permute(1, 3, 3, b, 64);
    assert_memory_not_equal(a, b, sizeof a);
    hr__order_permute(1, 2, 4, b, 64);
    assert_memory_not_equal(a, b, sizeof a);
}

static hr_status open_and_close(void *context, hr_error *err)
{
    hr_order *o = NULL;
    HR_TRY(hr__order_open(layouts[3].rows, layouts[3].count, 8, 50, &o, err));
    hr__order_close(&o);
    return HR_OK;
}

static void order__survives_every_failed_allocation(void **state)
{
    assert_true(hr__unit_torture(open_and_close, NULL) >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order__gives_each_row_once),
        cmocka_unit_test(order__keeps_rounds_full_when_lanes_end),
        cmocka_unit_test(order__deals_units_to_the_shortest_lane),
        cmocka_unit_test(order__is_the_same_on_every_machine),
        cmocka_unit_test(order__mixes_a_round_evenly),
        cmocka_unit_test(order__differs_by_seed_epoch_and_round),
        cmocka_unit_test(order__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
