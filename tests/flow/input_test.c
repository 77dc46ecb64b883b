// SPDX-License-Identifier: Apache-2.0
// Inputs that are not there, not alike, or change while they are read; processes that fork; readers that are
// interrupted. Each ends with words that name the file, never with other rows or a standstill.
#include "flow_support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void input__that_is_not_there_is_named(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_read_options o = HR_READ_OPTIONS_INIT;
    const char *columns[] = {"id", "nowhere", NULL};
    char folder[64], path[96];
    hr_dataset *d = NULL, *other = NULL;
    hr_error err = HR_ERROR_INIT;
    make_folder(folder);
    fails(hr_read_parquet(rt, "/tmp/headrace-no-such-file.parquet", NULL, &d, &err), HR_NOT_FOUND,
          "headrace-no-such-file");
    fails(hr_read_parquet(rt, folder, NULL, &d, &err), HR_NOT_FOUND, folder);
    write_rows(folder, 100, 0, 100);
    o.columns = columns;
    fails(hr_read_parquet(rt, folder, &o, &d, &err), HR_NOT_FOUND, "nowhere");
    assert_non_null(strstr(err.message, "id, x"));
    d = files_of(rt, folder);
    fails(hr_dataset_select(d, columns, &other, &err), HR_NOT_FOUND, "nowhere");
    fails(hr_dataset_drop(d, columns, &other, &err), HR_NOT_FOUND, "id, x");
    fails(hr_dataset_rename(d, "nowhere", "here", &other, &err), HR_NOT_FOUND, "id, x");
    fails(hr_dataset_filter(d, "nowhere > 1", &other, &err), HR_INVALID, "'nowhere'");
    fails(hr_dataset_map(d, "y = nowhere + 1", &other, &err), HR_INVALID, "'nowhere'");
    assert_null(other);
    hr_dataset_unref(&d);
    file_of(folder, 0, path);
    assert_int_equal(truncate(path, 0), 0);
    assert_true(hr_read_parquet(rt, folder, NULL, &d, &err) < 0);
    assert_non_null(strstr(err.message, "part-00000"));
    hr_runtime_close(&rt);
    remove_folder(folder);
}

// A folder whose file 2 is not like the others.
static void input__of_two_schemas_ends_at_the_odd_file(void **state)
{
    static const char *const odd[] = {"id = id + 0.5", "more = id", "id2 = id"};
    static const char *const words[] = {"'id'", "'more'", "'id2'"};
    for (size_t k = 0; k < COUNTOF(odd); k++) {
        hr_runtime *rt = runtime_of(2, 64 * MIB);
        char folder[64], other[64], from[96], to[96];
        hr_dataset *d = NULL, *changed = NULL;
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        hr_error err = HR_ERROR_INIT;
        pass p;
        make_folder(folder);
        make_folder(other);
        write_rows(folder, 4000, 1000, 300);
        d = files_of(rt, folder);
        ok(hr_dataset_map(d, odd[k], &changed, &err));
        ok(hr_dataset_write_parquet(changed, other, NULL, &err));
        hr_dataset_unref(&changed);
        hr_dataset_unref(&d);
        file_of(other, 0, from);
        file_of(folder, 2, to);
        assert_int_equal(rename(from, to), 0);
        d = files_of(rt, folder); // one footer is read
        o.batch_rows = 100;
        pass_over(&p, d, &o);
        assert_int_equal(p.status, HR_INVALID);
        assert_non_null(strstr(p.err.message, "part-00002"));
        assert_non_null(strstr(p.err.message, words[k]));
        assert_int_equal(p.count, 2000); // all rows before it came
        pass_finish(&p);
        int64_t rows;
        fails(hr_dataset_count(d, &rows, &err), HR_INVALID, "part-00002");
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
        remove_folder(folder);
        for (int i = 0; i < 100; i++) {
            file_of(other, i, from);
            unlink(from);
        }
        rmdir(other);
    }
}

static void input__cut_short_after_it_was_opened_is_an_error(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    char folder[64], path[96];
    struct stat st;
    make_folder(folder);
    write_rows(folder, 200000, 0, 5000);
    file_of(folder, 0, path);
    hr_dataset *d = files_of(rt, path);
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    pass p;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
    o.batch_rows = 1000;
    pass_over(&p, d, &o);
    assert_true(p.status == HR_IO || p.status == HR_CORRUPT);
    assert_non_null(strstr(p.err.message, "part-00000"));
    for (int64_t i = 0; i < p.count; i++)
        assert_int_equal(p.ids[i], i);
    pass_finish(&p);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
    remove_folder(folder);
}

// More files than stay open: the second epoch opens them anew.
static void input__that_changes_between_epochs_is_an_error_or_nothing(void **state)
{
    enum { FILES = 90 };
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    char folder[64], path[96], last[96];
    make_folder(folder);
    write_rows(folder, FILES * 10, 10, 10);
    for (int change = 0; change < 2; change++) {
        hr_dataset *d = files_of(rt, folder);
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        hr_feed *feed;
        hr_batch *batch = NULL;
        hr_error err = HR_ERROR_INIT;
        pass p = {0};
        o.batch_rows = 10;
        o.epochs = 4;
        o.prefetch_blocks = 1;
        feed = feed_of(d, &o);
        while (hr_feed_next(feed, &batch, &err) == HR_OK)
            hr_batch_unref(&batch);
        file_of(folder, 40, path);
        file_of(folder, FILES - 1, last);
        if (change == 0) {
            assert_int_equal(unlink(last), 0);
        } else { // another file in its place
            char other[64], from[96];
            make_folder(other);
            write_rows(other, 77, 0, 30);
            file_of(other, 0, from);
            assert_int_equal(rename(from, path), 0);
            remove_folder(other);
        }
        ok(hr_feed_next_epoch(feed, &err));
        pass_feed(&p, feed);
        assert_true(p.status == HR_NOT_FOUND || p.status == HR_CORRUPT || p.status == HR_END);
        if (p.status != HR_END)
            assert_non_null(strstr(p.err.message, change == 0 ? "part-00089" : "part-00040"));
        int64_t files = change == 0 ? FILES : FILES - 1;
        for (int64_t i = 0; i < p.count; i++)
            assert_int_equal(p.ids[i], i % (files * 10));
        pass_finish(&p);
        hr_feed_close(&feed);
        hr_dataset_unref(&d);
    }
    hr_runtime_close(&rt);
    remove_folder(folder);
}

static void input__is_the_parents_alone_after_a_fork(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = NULL, *other = NULL;
    hr_stream *mine = NULL;
    hr_feed *feed;
    hr_batch *batch = NULL;
    hr_block *block = NULL;
    struct ArrowArrayStream arrow = {0};
    struct ArrowArray array = {0};
    hr_error err = HR_ERROR_INIT;
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    int64_t rows = 0;
    int status = 0;
    o.batch_rows = 100;
    ok(hr_range(rt, 50000, 50, &d, &err));
    feed = feed_of(d, &o);
    ok(hr_feed_next(feed, &batch, &err));
    ok(hr_dataset_export(d, &arrow, &err));
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { // says by its exit code which of them was not refused
        int wrong = 0;
        hr_batch *next = NULL;
        wrong |= hr_feed_next(feed, &next, &err) != HR_DENIED ? 1 : 0;
        wrong |= hr_dataset_stream(d, &o, &mine, &err) != HR_DENIED ? 2 : 0;
        wrong |= hr_dataset_take(d, 5, &block, &err) != HR_DENIED ? 4 : 0;
        wrong |= hr_dataset_map(d, "x = id", &other, &err) != HR_DENIED ? 8 : 0;
        wrong |= arrow.get_next(&arrow, &array) == 0 ? 16 : 0;
        wrong |= hr_dataset_materialize(d, &other, &err) != HR_DENIED ? 32 : 0;
        arrow.release(&arrow);
        hr_feed_close(&feed);
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
        _exit(wrong);
    }
    wait_until(waitpid(pid, &status, WNOHANG) != 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    do {
        rows += hr_batch_rows(batch);
        hr_batch_unref(&batch);
    } while (hr_feed_next(feed, &batch, &err) == HR_OK);
    assert_int_equal(rows, 50000);
    assert_int_equal(arrow.get_next(&arrow, &array), 0);
    array.release(&array);
    arrow.release(&arrow);
    hr_feed_close(&feed);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static _Atomic int64_t calls;

static hr_status slow(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    calls++;
    sleep_ms(1);
    *out = hr_block_ref(in);
    return HR_OK;
}

// Once the function runs; returns how often it was called by then.
static void *interrupt_soon(void *rt)
{
    wait_until(calls > 0);
    hr_runtime_interrupt(rt);
    return (void *)(intptr_t)calls;
}

static void input__of_an_interrupted_runtime_is_cancelled(void **state)
{
    for (int k = 0; k < 3; k++) {
        hr_runtime *rt = runtime_of(2, 64 * MIB);
        hr_dataset *d = NULL, *f = NULL, *kept = NULL;
        hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
        hr_error err = HR_ERROR_INIT;
        hr_block *block = NULL;
        pthread_t thread;
        void *before;
        pass p;
        calls = 0;
        o.batch_rows = 10;
        ok(hr_range(rt, 1000000, 100, &d, &err));
        ok(hr_dataset_map_blocks(d, slow, NULL, &o, &f, &err));
        assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, rt), 0);
        if (k == 0) {
            pass_over(&p, f, NULL);
            assert_int_equal(p.status, HR_CANCELLED);
            pass_finish(&p);
        } else if (k == 1) {
            assert_int_equal(hr_dataset_materialize(f, &kept, &err), HR_CANCELLED);
        } else {
            assert_int_equal(hr_dataset_take(f, 1000000, &block, &err), HR_CANCELLED);
        }
        pthread_join(thread, &before);
        assert_true(calls - (intptr_t)before < 100); // a block's calls are 1,000
        assert_int_equal(hr_dataset_take(d, 5, &block, &err), HR_CANCELLED);
        hr_dataset_unref(&f);
        hr_dataset_unref(&d);
        hr_runtime_close(&rt);
    }
}

// Streams over files that are left at any moment: hints on the io pool may still be under way.
static void input__is_let_go_at_any_moment(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    char folder[64];
    make_folder(folder);
    write_rows(folder, 20000, 500, 100);
    for (int round = 0; round < 60; round++) {
        hr_dataset *d = files_of(rt, folder), *limit = NULL;
        hr_stream_options o = HR_STREAM_OPTIONS_INIT;
        hr_feed *feed;
        hr_batch *batch = NULL;
        hr_error err = HR_ERROR_INIT;
        o.batch_rows = 300;
        o.epochs = HR_EPOCHS_ENDLESS;
        o.shuffle = round % 2 ? HR_SHUFFLE_WINDOW : HR_SHUFFLE_NONE;
        ok(hr_dataset_filter(d, "id % 2 == 0", &limit, &err));
        hr_dataset_unref(&d);
        ok(hr_dataset_limit(limit, 6000, &d, &err));
        feed = feed_of(round % 3 ? limit : d, &o);
        for (int i = 0; i < round / 4; i++) {
            ok(hr_feed_next(feed, &batch, &err));
            hr_batch_unref(&batch);
        }
        hr_feed_close(&feed);
        hr_dataset_unref(&limit);
        hr_dataset_unref(&d);
    }
    hr_runtime_close(&rt);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input__that_is_not_there_is_named),
        cmocka_unit_test(input__of_two_schemas_ends_at_the_odd_file),
        cmocka_unit_test(input__cut_short_after_it_was_opened_is_an_error),
        cmocka_unit_test(input__that_changes_between_epochs_is_an_error_or_nothing),
        cmocka_unit_test(input__is_the_parents_alone_after_a_fork),
        cmocka_unit_test(input__of_an_interrupted_runtime_is_cancelled),
        cmocka_unit_test(input__is_let_go_at_any_moment),
    };
    return cmocka_run_group_tests_name("input", tests, NULL, NULL);
}
