// SPDX-License-Identifier: Apache-2.0
// A disk that fills during a streamed global order: a real one of 24 MiB, a tmpfs in a mount namespace of the test's
// own. Where namespaces are not allowed the test is skipped.
#include "flow_support.h"
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define NOT_ALLOWED 77

static int count_entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return count;
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: " #condition "\n", __LINE__);                                \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static hr_status read_all(const hr_dataset *d, const hr_stream_options *order, hr_error *err)
{
    hr_stream *stream = NULL;
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    hr_status status = hr_dataset_stream(d, order, &stream, err);
    if (status == HR_OK)
        status = hr_feed_open(&stream, NULL, &feed, err);
    while (status == HR_OK) {
        status = hr_feed_next(feed, &batch, err);
        hr_batch_unref(&batch);
    }
    hr_feed_close(&feed);
    return status;
}

// In a child of its own; 0: all is as it should be.
static int shuffle_on_a_small_disk(const char *disk)
{
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = NULL;
    hr_dataset *big = NULL, *small = NULL;
    hr_memory_stats memory;
    int64_t shape[] = {1000};
    if ((unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", disk, "tmpfs", 0, "size=24m") != 0)
        return NOT_ALLOWED;
    hr_runtime_options o = HR_RUNTIME_OPTIONS_INIT;
    o.threads = 2;
    o.memory_bytes = 32 * MIB;
    o.spill_dir = disk;
    CHECK(hr_runtime_open(&o, &rt, &err) == HR_OK);
    CHECK(hr_range_tensor(rt, 20000, shape, 1, 100, &big, &err) == HR_OK); // 153 MiB
    hr_stream_options order = HR_STREAM_OPTIONS_INIT;
    order.batch_rows = 64;
    order.shuffle = HR_SHUFFLE_GLOBAL;
    CHECK(read_all(big, &order, &err) == HR_LIMIT);
    CHECK(strstr(err.message, disk) && strstr(err.message, "free there"));
    hr_dataset_unref(&big);
    hr_runtime_memory(rt, &memory, sizeof memory);
    CHECK(memory.object_count == 0 && memory.leased_bytes == 0);
    CHECK(count_entries(disk) == 0);
    // The runtime is as good as before.
    CHECK(hr_range(rt, 1000, 4, &small, &err) == HR_OK);
    CHECK(read_all(small, &order, &err) == HR_END);
    hr_dataset_unref(&small);
    hr_runtime_close(&rt);
    return 0;
}

static void global__a_disk_that_fills_is_an_error_and_leaves_nothing(void **state)
{
    char folder[64];
    int status = 0;
    make_folder(folder);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(shuffle_on_a_small_disk(folder));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    remove_folder(folder);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NOT_ALLOWED)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(global__a_disk_that_fills_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests_name("full_disk", tests, NULL, NULL);
}
