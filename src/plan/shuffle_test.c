// SPDX-License-Identifier: Apache-2.0
// The global order at its source: keys that stay what they are, uniform, each row once, whatever the parts.
#include "base/os.h"
#include "plan/plan_sample.h"
#include "plan/shuffle.h"

#include <math.h>
#include <stdlib.h>

// --- keys ---

static void shuffle__keys_stay_what_they_are(void **state)
{
    hr_row_keys a = hr__row_keys(0, HR_RNG_GLOBAL, 0, 0), b = hr__row_keys(7, HR_RNG_GLOBAL, 3, 11);
    hr_row_keys s = hr__row_keys(7, HR_RNG_SAMPLE, 0, 11);
    assert_true(hr__row_key(&a, 0) == UINT64_C(0x8c27a2374df77c71));
    assert_true(hr__row_key(&a, 1) == UINT64_C(0xde7ea9a575c09f39));
    assert_true(hr__row_key(&b, 5) == UINT64_C(0xc0f834ff97878a9e));
    assert_true(hr__row_key(&s, 5) == UINT64_C(0xacbaf045712e61e6));
}

static int by_key(const void *a_, const void *b_)
{
    const hr_keyed_row *a = a_, *b = b_;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->row.row < b->row.row ? -1 : a->row.row > b->row.row;
}

static void shuffle__sorts_as_a_plain_sort_does(void **state)
{
    enum { COUNT = 5000 };
    static hr_keyed_row in[COUNT], dealt[COUNT], spare[COUNT], plain[COUNT];
    static uint32_t starts[300], buckets[COUNT];
    static hr_table_row out[COUNT];
    for (uint32_t parts = 1; parts < 299; parts = parts * 3 + 1) {
        for (uint32_t i = 0; i < COUNT; i++) {
            uint64_t key = hr__rng_u64(1, parts, i);
            in[i] = (hr_keyed_row){i % 7 ? key : key & ~UINT64_C(0xFFFFFFFFFFFFF),
                                   {0, i}}; // some are equal
        }
        memcpy(plain, in, sizeof in);
        qsort(plain, COUNT, sizeof *plain, by_key);
        hr__keys_deal(in, COUNT, parts, dealt, starts);
        assert_int_equal(starts[parts], COUNT);
        for (uint32_t p = 0; p < parts; p++)
            hr__keys_sort(dealt + starts[p], starts[p + 1] - starts[p], parts, spare, buckets,
                          out + starts[p]);
        for (uint32_t i = 0; i < COUNT; i++)
            assert_int_equal(out[i].row, plain[i].row.row);
    }
}

// --- orders ---

// The ids of an epoch, in the global order, from whichever source; returns how many.
static int64_t order_of(const hr_dataset *d, const hr_shuffle_config *like, int64_t *ids,
                        int64_t room)
{
    hr_shuffle_config config = *like;
    hr_shuffler *shuffler = NULL;
    hr_pipe *pipe = NULL;
    hr_unit unit;
    hr_error err = HR_ERROR_INIT;
    hr_status status;
    int64_t count = 0;
    assert_ok(hr__pipe_lower(d, &pipe, &err), &err);
    hr_store *store = hr__runtime_store(pipe->runtime);
    config.inner = pipe;
    config.schema = pipe->schema;
    assert_ok(hr__shuffle_open(&config, &shuffler, &err), &err);
    while ((status = hr__shuffle_next(shuffler, &unit, &err)) != HR_END) {
        hr_block *block = NULL;
        if (status == HR_AGAIN) {
            hr__sleep_ns(100000);
            continue;
        }
        assert_ok(status, &err);
        assert_ok(hr__store_block(store, unit.object, pipe->schema, &block, &err), &err);
        const hr_column *c = hr_block_column(block, 0);
        for (int64_t i = 0; i < c->rows; i++, count++)
            if (count < room)
                ids[count] = ((const int64_t *)c->data)[i];
        hr_block_unref(&block);
        hr__store_unref(store, unit.object);
    }
    hr__shuffle_close(&shuffler);
    hr__pipe_free(&pipe);
    return count;
}

static void nobody(void *context) {}

static void shuffle__deals_parts_that_are_too_large_again(void **state)
{
    enum { ROWS = 1500000 };
    static int64_t first[ROWS], ids[ROWS];
    static const uint32_t parts[] = {0, 1, 3, 100};
    hr_runtime *rt = sample_runtime(2); // 32 MiB, of 57 MiB, and as much again of keys
    hr_dataset *d = sample_range(rt, ROWS, 13), *wide = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_memory_stats before, after;
    assert_ok(hr_dataset_map(d, "a = id * 3; b = id + 1; c = a + b; e = c * 2", &wide, &err), &err);
    hr_runtime_memory(rt, &before, sizeof before);
    for (size_t p = 0; p < HR_COUNTOF(parts); p++) {
        hr_shuffle_config c = {.seed = 5, .epoch = 2, .partitions = parts[p], .rewake = nobody};
        assert_int_equal(order_of(wide, &c, p ? ids : first, ROWS), ROWS);
        if (p)
            assert_memory_equal(first, ids, sizeof ids);
    }
    hr_runtime_memory(rt, &after, sizeof after);
    assert_int_equal(after.object_count, before.object_count);
    hr_dataset_unref(&wide);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void shuffle__passes_over_whole_units(void **state)
{
    enum { ROWS = 10000, UNIT = 300 };
    static int64_t all[ROWS], rest[ROWS];
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *d = sample_range(rt, ROWS, 4);
    hr_shuffle_config c = {.seed = 1, .unit_rows = UNIT, .rewake = nobody};
    assert_int_equal(order_of(d, &c, all, ROWS), ROWS);
    static const int64_t skips[] = {0, 299, 300, 4321, 9999, 10000, 50000};
    for (size_t i = 0; i < HR_COUNTOF(skips); i++) {
        int64_t passed = HR_MIN(skips[i] / UNIT * UNIT, ROWS);
        c.first_row = skips[i];
        assert_int_equal(order_of(d, &c, rest, ROWS), ROWS - passed);
        assert_memory_equal(rest, all + passed, (size_t)(ROWS - passed) * sizeof *rest);
    }
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

// --- uniformity ---

// Twice the root of a chi-square is nearly normal around the root of (2 freedom - 1), with deviation 1.
static double deviations(double chi_square, double freedom)
{
    return sqrt(2 * chi_square) - sqrt(2 * freedom - 1);
}

// Over many seeds: where each row stands, and which row follows which.
static void shuffle__is_uniform(void **state)
{
    enum { ROWS = 20, UNITS = 4, SEEDS = 40000 };
    static uint32_t places[ROWS][ROWS], pairs[ROWS][ROWS];
    static hr_keyed_row in[ROWS], spare[ROWS];
    uint32_t buckets[ROWS + 2];
    hr_table_row out[ROWS];
    double chi_places = 0, chi_pairs = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (uint32_t i = 0; i < ROWS; i++) {
            hr_row_keys keys = hr__row_keys(seed, HR_RNG_GLOBAL, seed % 3, i % UNITS);
            in[i] = (hr_keyed_row){hr__row_key(&keys, i / UNITS), {0, i}};
        }
        hr__keys_sort(in, ROWS, 1, spare, buckets, out);
        for (uint32_t i = 0; i < ROWS; i++)
            places[out[i].row][i]++;
        for (uint32_t i = 1; i < ROWS; i++)
            pairs[out[i - 1].row][out[i].row]++;
    }
    double place = (double)SEEDS / ROWS, pair = (double)SEEDS / ROWS;
    for (int a = 0; a < ROWS; a++)
        for (int b = 0; b < ROWS; b++) {
            chi_places += (places[a][b] - place) * (places[a][b] - place) / place;
            if (a != b)
                chi_pairs += (pairs[a][b] - pair) * (pairs[a][b] - pair) / pair;
        }
    // Row and column sums are fixed: so many less are free.
    double places_off = deviations(chi_places, (ROWS - 1) * (ROWS - 1));
    double pairs_off = deviations(chi_pairs, ROWS * (ROWS - 1) - 2 * (ROWS - 1));
    print_message("deviations: places %.2f, pairs %.2f\n", places_off, pairs_off);
    assert_true(fabs(places_off) < 4 && fabs(pairs_off) < 4);
}

// --- torture ---

static hr_status read_some(const hr_dataset *d, int64_t rows_max, int64_t *rows, hr_error *err)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    o.batch_rows = 60;
    o.shuffle = HR_SHUFFLE_GLOBAL;
    return sample_read(d, &o, rows_max, rows, err);
}

static hr_status run_both(hr_runtime *rt, hr_error *err)
{
    hr_dataset *d[4] = {NULL};
    int64_t rows = 0, kept_rows = 0;
    hr_status status;
    HR_GO(hr_range(rt, 1000, 7, &d[0], err));
    HR_GO(hr_dataset_map(d[0], "a = id * 2; b = id * 3; c = id * 5; e = id; f = id; g = id; h = id",
                         &d[1], err));
    HR_GO(hr_dataset_filter(d[1], "id % 4 != 1", &d[2], err));
    HR_GO(read_some(d[2], INT64_MAX, &rows, err));
    assert_int_equal(rows, 750);
    HR_GO(hr_dataset_materialize(d[1], &d[3], err));
    HR_GO(read_some(d[3], INT64_MAX, &kept_rows, err));
    assert_int_equal(kept_rows, 1000);
out:
    for (int i = 3; i >= 0; i--)
        hr_dataset_unref(&d[i]);
    return status;
}

static void shuffle__survives_every_failed_allocation(void **state)
{
    hr_runtime *rt = sample_runtime(1);
    assert_true(sample_torture(rt, run_both, 1200) > 400);
    hr_runtime_close(&rt);
}

static void shuffle__leaves_nothing_when_abandoned(void **state)
{
    hr_runtime *rt = sample_runtime(2);
    hr_dataset *d = sample_range(rt, 1000000, 16), *wide = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_memory_stats before, after;
    assert_ok(hr_dataset_map(d, "a = id * 2; b = id * 3; c = id * 5; e = id", &wide, &err), &err);
    hr_runtime_memory(rt, &before, sizeof before);
    for (int64_t most = 0; most < 1000000; most = most * 4 + 1) {
        int64_t rows = 0;
        assert_ok(read_some(wide, most, &rows, &err), &err);
        // What is being written goes when it is.
        wait_until((hr_runtime_memory(rt, &after, sizeof after),
                    after.object_count == before.object_count));
    }
    hr_dataset_unref(&wide);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffle__keys_stay_what_they_are),
        cmocka_unit_test(shuffle__sorts_as_a_plain_sort_does),
        cmocka_unit_test(shuffle__deals_parts_that_are_too_large_again),
        cmocka_unit_test(shuffle__passes_over_whole_units),
        cmocka_unit_test(shuffle__is_uniform),
        cmocka_unit_test(shuffle__leaves_nothing_when_abandoned),
        cmocka_unit_test(shuffle__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("shuffle", tests, NULL, NULL);
}
