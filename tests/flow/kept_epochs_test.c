// SPDX-License-Identifier: Apache-2.0
// Epochs from memory: what fits is read once, the order stays what it was, and whoever needs the room gets it.
#include "flow_support.h"

#define ROWS       1000000
#define MANY_ROWS  4000000
#define GROUP_ROWS 25000

static char folder[64], many[64];
static int64_t decoded_bytes, many_bytes; // of all rows

static hr_dataset *read_files(hr_runtime *rt)
{
    return files_of(rt, folder);
}

static int64_t bytes_of(const char *path)
{
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = runtime_of(1, 64 * MIB);
    hr_dataset *d = files_of(rt, path);
    int64_t bytes = 0;
    ok(hr_dataset_size_bytes(d, &bytes, &err));
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
    return bytes;
}

static int set_up(void **state)
{
    make_folder(folder);
    make_folder(many);
    write_rows(folder, ROWS, ROWS / 4, GROUP_ROWS);
    write_rows(many, MANY_ROWS, MANY_ROWS / 4, 2 * GROUP_ROWS);
    decoded_bytes = bytes_of(folder);
    many_bytes = bytes_of(many);
    return 0;
}

static int tear_down(void **state)
{
    remove_folder(folder);
    remove_folder(many);
    return 0;
}

typedef struct figures {
    hr_stream_stats stats;
    pass rows;
} figures;

static hr_status pass_on(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    ++*(_Atomic int64_t *)context;
    *out = hr_block_ref(in);
    return HR_OK;
}

static void read_epochs(figures *f, const hr_dataset *d, hr_shuffle shuffle, int64_t epochs)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_stream *stream = NULL, *kept = NULL;
    hr_feed *feed = NULL;
    hr_error err = HR_ERROR_INIT;
    memset(f, 0, sizeof *f);
    o.batch_rows = 1000;
    o.epochs = epochs;
    o.shuffle = shuffle;
    o.window_rows = 8192;
    o.prefetch_bytes = MIB; // the stream itself takes little
    ok(hr_dataset_stream(d, &o, &stream, &err));
    kept = stream;
    ok(hr_feed_open(&stream, NULL, &feed, &err));
    pass_feed(&f->rows, feed);
    assert_ended(&f->rows);
    hr_stream_get_stats(kept, &f->stats, sizeof f->stats);
    hr_feed_close(&feed);
}

static void kept__reads_once_what_fits(void **state)
{
    for (int shuffle = 0; shuffle < 4; shuffle++) {
        hr_runtime *rt = runtime_of(2, 16 * decoded_bytes + 256 * MIB);
        hr_dataset *d = read_files(rt);
        figures one, three;
        read_epochs(&one, d, (hr_shuffle)shuffle, 1);
        read_epochs(&three, d, (hr_shuffle)shuffle, 3);
        assert_int_equal(three.rows.count, 3 * ROWS);
        assert_memory_equal(one.rows.ids, three.rows.ids, ROWS * sizeof *one.rows.ids);
        assert_true(one.rows.sums[0] == three.rows.sums[0]);
        print_message("shuffle %d: %lld bytes of one epoch, %lld of three, %lld rows kept\n",
                      shuffle, (long long)one.stats.source_bytes,
                      (long long)three.stats.source_bytes, (long long)three.stats.memory_rows);
        assert_true(three.stats.source_bytes <= one.stats.source_bytes * 11 / 10);
        assert_true(three.stats.memory_rows >= 2 * ROWS / 10 * 9);
        pass_finish(&one.rows);
        pass_finish(&three.rows);
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
    }
}

static void kept__streams_the_rest_again(void **state)
{
    for (int shuffle = 0; shuffle < 4; shuffle++) {
        hr_runtime *all = runtime_of(2, 16 * decoded_bytes + 256 * MIB);
        hr_runtime *rt = runtime_of(2, decoded_bytes / 3 * 2);
        hr_dataset *d = read_files(rt), *whole = read_files(all);
        figures some, reference;
        read_epochs(&some, d, (hr_shuffle)shuffle, 3);
        read_epochs(&reference, whole, (hr_shuffle)shuffle, 3);
        print_message("shuffle %d: %lld of %lld rows kept, %lld bytes\n", shuffle,
                      (long long)some.stats.memory_rows, 2ll * ROWS,
                      (long long)some.stats.source_bytes);
        assert_true(is_same(&some.rows, &reference.rows));
        if (shuffle < 2) // the others hold a window, or the parts of an order
            assert_true(some.stats.memory_rows > ROWS / 10);
        assert_true(some.stats.memory_rows + some.stats.reread_rows >= 2 * ROWS);
        pass_finish(&some.rows);
        pass_finish(&reference.rows);
        hr_dataset_unref(&d);
        hr_dataset_unref(&whole);
        hr_runtime_close(&rt);
        hr_runtime_close(&all);
    }
}

static void kept__calls_functions_again_and_gives_room_back(void **state)
{
    hr_runtime *rt = runtime_of(2, 6 * decoded_bytes + 64 * MIB);
    hr_dataset *d = read_files(rt), *mapped = NULL, *called = NULL, *kept = NULL;
    hr_error err = HR_ERROR_INIT;
    _Atomic int64_t calls = 0;
    hr_function_options f = HR_FUNCTION_OPTIONS_INIT;
    hr_memory_stats before, after;
    figures one, three;
    f.batch_rows = 5000;
    hr_runtime_memory(rt, &before, sizeof before);
    ok(hr_dataset_map(d, "x = x + 1", &mapped, &err));
    ok(hr_dataset_map_blocks(mapped, pass_on, &calls, &f, &called, &err));
    read_epochs(&one, called, HR_SHUFFLE_NONE, 1);
    int64_t each = calls;
    calls = 0;
    read_epochs(&three, called, HR_SHUFFLE_NONE, 3);
    assert_true(calls >= 3 * (each - 1)); // the first epoch of all also learned the schema
    assert_true(three.stats.source_bytes <= one.stats.source_bytes * 11 / 10);
    assert_int_equal(three.rows.count, 3 * ROWS);
    assert_true(one.rows.sums[0] == three.rows.sums[0]);
    ok(hr_dataset_materialize(d, &kept, &err));
    hr_dataset_unref(&kept);
    pass_finish(&one.rows);
    pass_finish(&three.rows);
    hr_dataset_unref(&called);
    hr_dataset_unref(&mapped);
    hr_dataset_unref(&d);
    hr_runtime_memory(rt, &after, sizeof after);
    assert_int_equal(after.object_count, before.object_count);
    hr_runtime_close(&rt);
}

// What the stream needs of the budget for itself, at most.
static const int64_t stream_bytes[] = {24 * MIB, 24 * MIB, 40 * MIB};

static void kept__keeps_what_there_is_room_for(void **state)
{
    for (int shuffle = 0; shuffle < 3; shuffle++) {
        for (int part = 2; part <= 6; part++) {
            int64_t budget = many_bytes * part / 4;
            hr_runtime *rt = runtime_of(2, budget);
            hr_dataset *d = files_of(rt, many);
            figures one, three;
            hr_memory_stats memory;
            read_epochs(&one, d, (hr_shuffle)shuffle, 1);
            read_epochs(&three, d, (hr_shuffle)shuffle, 3);
            hr_runtime_memory(rt, &memory, sizeof memory);
            double expected = (double)(budget / 16 * 15 - stream_bytes[shuffle]) / many_bytes;
            double kept = (double)three.stats.memory_rows / (2.0 * MANY_ROWS);
            print_message("shuffle %d, budget %.2f of the data: %.2f of later rows kept\n", shuffle,
                          part / 4.0, kept);
            assert_true(kept >= (expected < 1 ? expected : 1));
            assert_true(memory.peak_bytes <= memory.budget_bytes);
            assert_true(three.stats.memory_rows + three.stats.reread_rows >= 2 * MANY_ROWS);
            assert_true(three.stats.memory_rows + three.stats.reread_rows <= 3 * MANY_ROWS);
            // A page may be read for a part of its rows.
            double bytes = (double)three.stats.source_bytes / (double)one.stats.source_bytes;
            assert_true(bytes <= 3 - 2 * kept + 0.15);
            pass_finish(&one.rows);
            pass_finish(&three.rows);
            hr_dataset_unref(&d);
            hr_runtime_close(&rt);
        }
    }
}

static void kept__never_reads_more_than_without(void **state)
{
    for (int shuffle = 0; shuffle < 3; shuffle++) {
        hr_runtime *rt = runtime_of(2, 24 * MIB);
        hr_dataset *d = files_of(rt, many);
        figures one, three;
        read_epochs(&one, d, (hr_shuffle)shuffle, 1);
        read_epochs(&three, d, (hr_shuffle)shuffle, 3);
        print_message("shuffle %d: %lld bytes of one epoch, %lld of three\n", shuffle,
                      (long long)one.stats.source_bytes, (long long)three.stats.source_bytes);
        assert_true(three.stats.source_bytes <= one.stats.source_bytes * 305 / 100);
        pass_finish(&one.rows);
        pass_finish(&three.rows);
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
    }
}

static void kept__remembers_what_a_filter_left_nothing_of(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = read_files(rt), *none = NULL, *few = NULL;
    hr_error err = HR_ERROR_INIT;
    figures one, three;
    ok(hr_dataset_filter(d, "id % 2 == 3", &none, &err)); // statistics do not tell
    read_epochs(&one, none, HR_SHUFFLE_NONE, 1);
    read_epochs(&three, none, HR_SHUFFLE_NONE, 3);
    assert_int_equal(three.rows.count, 0);
    assert_true(one.stats.source_bytes > 0);
    assert_int_equal(three.stats.source_bytes, one.stats.source_bytes);
    assert_int_equal(three.stats.memory_rows, 2 * ROWS);
    pass_finish(&three.rows);
    ok(hr_dataset_filter(d, "(id * 7) % 1000003 < 7000", &few, &err));
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        figures again;
        read_epochs(&again, few, (hr_shuffle)shuffle, 1);
        read_epochs(&three, few, (hr_shuffle)shuffle, 3);
        assert_int_equal(three.rows.count, 3 * again.rows.count);
        assert_true(three.rows.sums[0] == again.rows.sums[0]);
        if (shuffle == 0) // checksums are of an order
            assert_true(three.rows.sums[2] == again.rows.sums[0]);
        assert_true(three.stats.source_bytes <= again.stats.source_bytes * 11 / 10);
        pass_finish(&again.rows);
        pass_finish(&three.rows);
    }
    hr_dataset_unref(&few);
    hr_dataset_unref(&none);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept__reads_once_what_fits),
        cmocka_unit_test(kept__streams_the_rest_again),
        cmocka_unit_test(kept__keeps_what_there_is_room_for),
        cmocka_unit_test(kept__never_reads_more_than_without),
        cmocka_unit_test(kept__remembers_what_a_filter_left_nothing_of),
        cmocka_unit_test(kept__calls_functions_again_and_gives_room_back),
    };
    return cmocka_run_group_tests_name("kept_epochs", tests, set_up, tear_down);
}
