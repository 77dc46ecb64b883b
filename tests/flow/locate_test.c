// SPDX-License-Identifier: Apache-2.0
// Row numbers name the place of each row, in whatever order and after whatever filter rows come.
#include "flow_support.h"

#define ROWS       20000
#define FILE_ROWS  7000
#define GROUP_ROWS 1500

static int64_t id_of(const hr_row_place *place)
{
    const char *name = strstr(place->source, "part-");
    assert_non_null(name);
    return strtoll(name + 5, NULL, 10) * FILE_ROWS + place->fragment * GROUP_ROWS + place->row;
}

static void numbers_name_their_rows(hr_runtime *rt, const char *folder, const char *filter,
                                    hr_shuffle shuffle, int64_t wanted)
{
    hr_error err = HR_ERROR_INIT;
    hr_read_options read = HR_READ_OPTIONS_INIT;
    hr_stream_options order = HR_STREAM_OPTIONS_INIT;
    hr_dataset *all = NULL, *some = NULL;
    hr_feed *feed;
    hr_batch *batch = NULL;
    hr_status status;
    int64_t rows = 0;
    read.row_numbers = "place";
    order.batch_rows = 100;
    order.shuffle = shuffle;
    order.window_rows = 512;
    ok(hr_read_parquet(rt, folder, &read, &all, &err));
    ok(hr_dataset_filter(all, filter, &some, &err));
    feed = feed_of(some, &order);
    while ((status = hr_feed_next(feed, &batch, &err)) == HR_OK) {
        const int64_t *id, *number;
        ok(hr_batch_i64(batch, "id", &id, &err));
        ok(hr_batch_i64(batch, "place", &number, &err));
        for (int64_t i = 0; i < hr_batch_rows(batch); i++) {
            hr_row_place place;
            ok(hr_dataset_locate(some, number[i], &place, &err));
            assert_int_equal(id_of(&place), id[i]);
        }
        rows += hr_batch_rows(batch);
        hr_batch_unref(&batch);
    }
    assert_int_equal(status, HR_END);
    assert_int_equal(rows, wanted);
    hr_feed_close(&feed);
    hr_dataset_unref(&some);
    hr_dataset_unref(&all);
}

static void locate__names_every_row_in_every_order(void **state)
{
    hr_error err = HR_ERROR_INIT;
    char folder[64];
    hr_runtime *rt = NULL;
    make_folder(folder);
    write_rows(folder, ROWS, FILE_ROWS, GROUP_ROWS);
    ok(hr_runtime_open(NULL, &rt, &err));
    for (int shuffle = HR_SHUFFLE_NONE; shuffle <= HR_SHUFFLE_WINDOW; shuffle++) {
        numbers_name_their_rows(rt, folder, "id >= 0", (hr_shuffle)shuffle, ROWS);
        numbers_name_their_rows(rt, folder, "id > 12345", (hr_shuffle)shuffle, ROWS - 12346);
        numbers_name_their_rows(rt, folder, "place > 0", (hr_shuffle)shuffle, ROWS - 1);
    }
    hr_runtime_close(&rt);
    remove_folder(folder);
}

static void locate__refuses_what_has_no_place(void **state)
{
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = NULL;
    hr_dataset *ids = NULL, *kept = NULL;
    hr_row_place place;
    ok(hr_runtime_open(NULL, &rt, &err));
    ok(hr_range(rt, 10, 2, &ids, &err));
    ok(hr_dataset_locate(ids, 7, &place, &err));
    assert_int_equal(place.fragment, 1);
    assert_int_equal(place.row, 2);
    assert_int_equal(hr_dataset_locate(ids, 10, &place, &err), HR_NOT_FOUND);
    assert_int_equal(hr_dataset_locate(ids, -1, &place, &err), HR_NOT_FOUND);
    ok(hr_dataset_materialize(ids, &kept, &err));
    assert_int_equal(hr_dataset_locate(kept, 0, &place, &err), HR_INVALID);
    hr_dataset_unref(&kept);
    hr_dataset_unref(&ids);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locate__names_every_row_in_every_order),
        cmocka_unit_test(locate__refuses_what_has_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
