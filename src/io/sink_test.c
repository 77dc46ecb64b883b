// SPDX-License-Identifier: Apache-2.0
#include "base/unit.h"
#include "io/io.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct place {
    char folder[64];
    char path[128];
} place;

static int make_place(void **state)
{
    static place p;
    snprintf(p.folder, sizeof p.folder, "/tmp/hr-sink-XXXXXX");
    if (mkdtemp(p.folder) == NULL)
        return -1;
    snprintf(p.path, sizeof p.path, "%s/out.bin", p.folder);
    *state = &p;
    return 0;
}

static int drop_place(void **state)
{
    place *p = *state;
    unlink(p->path);
    return rmdir(p->folder); // fails when anything was left behind
}

static int count_files(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static size_t read_back(const char *path, char *to, size_t room)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return SIZE_MAX;
    size_t count = fread(to, 1, room, file);
    fclose(file);
    return count;
}

static void sink__shows_the_file_only_after_commit(void **state)
{
    place *p = *state;
    hr_sink *sink = NULL;
    char back[16];
    assert_int_equal(hr__sink_open(p->path, &sink, NULL), HR_OK);
    assert_int_equal(hr__sink_write(sink, "hello ", 6, NULL), HR_OK);
    assert_int_equal(hr__sink_write(sink, "there", 5, NULL), HR_OK);
    assert_int_equal(hr__sink_bytes(sink), 11);
    assert_int_equal(access(p->path, F_OK), -1);
    assert_int_equal(hr__sink_commit(sink, NULL), HR_OK);
    assert_int_equal(read_back(p->path, back, sizeof back), 11);
    assert_memory_equal(back, "hello there", 11);
    hr__sink_close(&sink);
    assert_null(sink);
    assert_int_equal(count_files(p->folder), 1);
}

static void sink__leaves_nothing_without_commit(void **state)
{
    place *p = *state;
    hr_sink *sink = NULL;
    assert_int_equal(hr__sink_open(p->path, &sink, NULL), HR_OK);
    assert_int_equal(hr__sink_write(sink, "x", 1, NULL), HR_OK);
    assert_int_equal(count_files(p->folder), 1);
    hr__sink_close(&sink);
    assert_int_equal(count_files(p->folder), 0);
}

static void sink__keeps_the_old_file_until_commit(void **state)
{
    place *p = *state;
    char back[16];
    for (int i = 0; i < 3; i++) {
        hr_sink *sink = NULL;
        assert_int_equal(hr__sink_open(p->path, &sink, NULL), HR_OK);
        assert_int_equal(hr__sink_write(sink, i == 0 ? "old" : "newer", i == 0 ? 3 : 5, NULL),
                         HR_OK);
        if (i != 1) // the second is abandoned
            assert_int_equal(hr__sink_commit(sink, NULL), HR_OK);
        hr__sink_close(&sink);
        assert_int_equal(read_back(p->path, back, sizeof back), i == 2 ? 5 : 3);
    }
    assert_memory_equal(back, "newer", 5);
}

static void sink__writes_sizes_around_its_buffer(void **state)
{
    place *p = *state;
    hr_sink *sink = NULL;
    size_t sizes[] = {1, 262143, 262144, 262145, 7, 1000000, 0, 262143, 1}, total = 0, at = 0;
    for (size_t i = 0; i < HR_COUNTOF(sizes); i++)
        total += sizes[i];
    uint8_t *bytes = malloc(total), *back = malloc(total + 1);
    for (size_t i = 0; i < total; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    assert_int_equal(hr__sink_open(p->path, &sink, NULL), HR_OK);
    for (size_t i = 0; i < HR_COUNTOF(sizes); i++) {
        assert_int_equal(hr__sink_write(sink, bytes + at, sizes[i], NULL), HR_OK);
        at += sizes[i];
        assert_int_equal(hr__sink_bytes(sink), at);
    }
    assert_int_equal(hr__sink_commit(sink, NULL), HR_OK);
    hr__sink_close(&sink);
    assert_int_equal(read_back(p->path, (char *)back, total + 1), total);
    assert_memory_equal(bytes, back, total);
    free(bytes);
    free(back);
}

static void sink__refuses_places_that_are_no_files(void **state)
{
    place *p = *state;
    hr_sink *sink = NULL;
    hr_error err = HR_ERROR_INIT;
    char missing[160];
    assert_int_equal(hr__sink_open(p->folder, &sink, &err), HR_INVALID);
    assert_non_null(strstr(err.message, "a folder"));
    assert_int_equal(hr__sink_open("/dev/null", &sink, &err), HR_INVALID);
    assert_int_equal(hr__sink_open("", &sink, &err), HR_INVALID);
    snprintf(missing, sizeof missing, "%s/no/such/out.bin", p->folder);
    assert_int_equal(hr__sink_open(missing, &sink, &err), HR_NOT_FOUND);
    assert_non_null(strstr(err.message, missing));
    snprintf(missing, sizeof missing, "%s/new/", p->folder);
    assert_int_equal(hr__sink_open(missing, &sink, &err), HR_INVALID);
    assert_null(sink);
}

static void sink__takes_nothing_after_commit(void **state)
{
    place *p = *state;
    hr_sink *sink = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr__sink_open(p->path, &sink, &err), HR_OK);
    assert_int_equal(hr__sink_commit(sink, &err), HR_OK);
    assert_int_equal(hr__sink_write(sink, "x", 1, &err), HR_INVALID);
    assert_int_equal(hr__sink_commit(sink, &err), HR_INVALID);
    hr__sink_close(&sink);
}

static void sink__survives_every_failed_allocation(void **state)
{
    place *p = *state;
    for (uint64_t n = 1;; n++) {
        hr_sink *sink = NULL;
        hr_error err = HR_ERROR_INIT;
        hr__mem_fail_after(n);
        hr_status status = hr__sink_open(p->path, &sink, &err);
        hr__mem_fail_after(0);
        if (status == HR_OK) {
            hr__sink_close(&sink);
            break;
        }
        assert_int_equal(status, HR_NOMEM);
        assert_null(sink);
        assert_int_equal(count_files(p->folder), 0);
    }
}

static void sink__says_the_numbers_of_a_full_disk(void **state)
{
    place *p = *state;
    hr_error err = HR_ERROR_INIT;
    hr_sink *sink = NULL;
    if (mount("tmpfs", p->folder, "tmpfs", 0, "size=1m") != 0) {
        print_message("skipped: sink__says_the_numbers_of_a_full_disk cannot mount: %s\n",
                      strerror(errno));
        skip();
    }
    // Nothing is asserted while it is mounted, so that it is unmounted whatever happens.
    uint8_t *bytes = calloc(1, 1 << 19);
    hr_status wrote = hr__sink_open(p->path, &sink, &err), again = HR_OK, committed = HR_OK;
    for (int i = 0; i < 4 && wrote == HR_OK; i++)
        wrote = hr__sink_write(sink, bytes, 1 << 19, &err);
    if (sink != NULL) {
        again = hr__sink_write(sink, bytes, 1, NULL);
        committed = hr__sink_commit(sink, NULL);
    }
    hr__sink_close(&sink);
    int left = count_files(p->folder);
    free(bytes);
    assert_int_equal(umount(p->folder), 0);
    assert_int_equal(wrote, HR_LIMIT);
    assert_non_null(strstr(err.message, p->path));
    assert_non_null(strstr(err.message, "1.0 MiB written"));
    assert_non_null(strstr(err.message, "512 KiB more to write"));
    assert_int_equal(again, HR_INVALID);
    assert_int_equal(committed, HR_INVALID);
    assert_int_equal(left, 0);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, drop_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(sink__shows_the_file_only_after_commit),
        IN_PLACE(sink__leaves_nothing_without_commit),
        IN_PLACE(sink__keeps_the_old_file_until_commit),
        IN_PLACE(sink__writes_sizes_around_its_buffer),
        IN_PLACE(sink__refuses_places_that_are_no_files),
        IN_PLACE(sink__takes_nothing_after_commit),
        IN_PLACE(sink__survives_every_failed_allocation),
        IN_PLACE(sink__says_the_numbers_of_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
