// SPDX-License-Identifier: Apache-2.0
// The global order: one function of (data, seed, epoch), whichever way the rows go and whatever memory there is.
#include "flow_support.h"

#define ROWS       20000
#define FILE_ROWS  6000
#define GROUP_ROWS 1700

static char folder[64]; // ROWS rows in 4 files, row groups of GROUP_ROWS

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

static hr_dataset *read_files(hr_runtime *rt)
{
    return files_of(rt, folder);
}

static hr_dataset *kept_files(hr_runtime *rt)
{
    hr_dataset *d = read_files(rt), *kept = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_materialize(d, &kept, &err));
    hr_dataset_unref(&d);
    return kept;
}

// Epochs of a stream in the global order.
static void pass_global(pass *p, const hr_dataset *d, uint64_t seed, int64_t batch_rows)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    o.batch_rows = batch_rows;
    o.shuffle = HR_SHUFFLE_GLOBAL;
    o.seed = seed;
    o.epochs = 2;
    pass_over(p, d, &o);
    assert_ended(p);
}

static bool same_epochs(const pass *a, const pass *b)
{
    return is_same(a, b);
}

static void global__is_one_order_by_any_way(void **state)
{
    static const int64_t threads[] = {1, 2, 8};
    static const int64_t batches[] = {0, 7, 1000, 30000};
    static const int64_t budgets[] = {16 * MIB, 64 * MIB, 256 * MIB};
    pass first = {0};
    for (size_t t = 0; t < COUNTOF(threads); t++)
        for (size_t m = 0; m < COUNTOF(budgets); m++) {
            hr_runtime *rt = runtime_of(threads[t], budgets[m]);
            for (int kept = 0; kept < 2; kept++) {
                hr_dataset *d = kept ? kept_files(rt) : read_files(rt);
                for (size_t b = 0; b < COUNTOF(batches); b++) {
                    pass p;
                    pass_global(&p, d, 7, batches[b]);
                    if (!first.ids)
                        first = p;
                    else if (!same_epochs(&first, &p))
                        fail_msg("%s, %d threads, %d MiB, batches of %d: another order",
                                 kept ? "kept" : "files", (int)threads[t], (int)(budgets[m] / MIB),
                                 (int)batches[b]);
                    if (p.ids != first.ids)
                        pass_finish(&p);
                }
                hr_dataset_unref(&d);
            }
            hr_runtime_close(&rt);
        }
    assert_each_once(&first, 0, ROWS);
    assert_each_once(&first, 1, ROWS);
    assert_true(memcmp(first.ids, first.ids + ROWS, ROWS * sizeof *first.ids) != 0);
    pass_finish(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(global__is_one_order_by_any_way),
    };
    return cmocka_run_group_tests_name("global", tests, set_up, tear_down);
}
