// SPDX-License-Identifier: Apache-2.0
// Sources and listings: ranges are checked, patterns match as shells do, a missing file is named.
#include "base/unit.h"
#include "io/source.h"
#include "base/mem.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void glob__matches_as_shells_do(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool matches;
    } rows[] = {
        {"*.parquet", "a.parquet", true},
        {"*.parquet", "a/b.parquet", false},
        {"*", ".hidden", false},
        {".*", ".hidden", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"[a-c]x", "bx", true},
        {"[!a-c]x", "bx", false},
        {"[x", "[x", true},
        {"**/*.p", "a/b/c.p", true},
        {"**/*.p", "c.p", true},
        {"**", "a/b", true},
        {"a/**/z", "a/b/c/z", true},
        {"a/**/z", "a/z", true},
        {"a/**/z", "b/z", false},
        {"**/z", "a/.b/z", false},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXbYbZ", false},
        {"*/x/*.p", "q/x/r.p", true},
        {"", "", true},
    };
    for (size_t i = 0; i < HR_COUNTOF(rows); i++)
        if (hr__glob_match(rows[i].pattern, rows[i].path) != rows[i].matches)
            fail_msg("pattern '%s' on '%s'", rows[i].pattern, rows[i].path);
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void check_listing(const char *pattern, const char *suffix, const char *expected)
{
    hr_listing listing = {0};
    char names[4096] = "";
    hr_error err = HR_ERROR_INIT;
    hr_status status = hr__list(&pattern, 1, suffix, &listing, &err);
    for (size_t i = 0; i < listing.count; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s ", strrchr(listing.paths[i], '/') + 1);
    }
    assert_int_equal(status, *expected ? HR_OK : HR_NOT_FOUND);
    assert_string_equal(names, expected);
    if (!*expected)
        assert_non_null(strstr(err.message, pattern));
    hr__listing_free(&listing);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    return remove(path);
}

static void list__sorts_and_leaves_out_hidden_names(void **state)
{
    char dir[] = "/tmp/headrace-io-XXXXXX", pattern[256];
    assert_non_null(mkdtemp(dir));
    snprintf(pattern, sizeof pattern, "%s/sub", dir);
    assert_int_equal(mkdir(pattern, 0700), 0);
    put(dir, "b.parquet", "bb");
    put(dir, "a.parquet", "a");
    put(dir, "_SUCCESS", "");
    put(dir, "note.txt", "");
    put(pattern, "c.parquet", "");
    put(pattern, ".d.parquet", "");
    check_listing(dir, ".parquet", "a.parquet b.parquet c.parquet ");
    check_listing(dir, NULL, "a.parquet b.parquet note.txt c.parquet ");
    snprintf(pattern, sizeof pattern, "%s/*.parquet", dir);
    check_listing(pattern, NULL, "a.parquet b.parquet ");
    snprintf(pattern, sizeof pattern, "%s/**/*.parquet", dir);
    check_listing(pattern, NULL, "a.parquet b.parquet c.parquet ");
    snprintf(pattern, sizeof pattern, "file://%s/a.parquet", dir);
    check_listing(pattern, NULL, "a.parquet ");
    snprintf(pattern, sizeof pattern, "%s/*.csv", dir);
    check_listing(pattern, NULL, "");
    snprintf(pattern, sizeof pattern, "%s/absent", dir);
    check_listing(pattern, NULL, "");
    assert_int_equal(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void list__tells_of_a_file_that_it_cannot_look_at(void **state)
{
    char dir[] = "/tmp/headrace-io-XXXXXX", path[256];
    const char *pattern = dir;
    hr_listing listing = {0};
    hr_error err = HR_ERROR_INIT;
    assert_non_null(mkdtemp(dir));
    put(dir, "a.parquet", "a");
    snprintf(path, sizeof path, "%s/gone.parquet", dir);
    assert_int_equal(symlink("nowhere", path), 0); // as one that vanished
    snprintf(path, sizeof path, "%s/loop.txt", dir);
    assert_int_equal(symlink("loop.txt", path), 0); // not asked for
    check_listing(dir, ".parquet", "a.parquet ");
    snprintf(path, sizeof path, "%s/loop.parquet", dir);
    assert_int_equal(symlink("loop.parquet", path), 0);
    assert_int_not_equal(hr__list(&pattern, 1, ".parquet", &listing, &err), HR_OK);
    assert_non_null(strstr(err.message, "loop.parquet"));
    hr__listing_free(&listing);
    assert_int_equal(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    pattern = "";
    assert_int_equal(hr__list(&pattern, 1, NULL, &listing, NULL), HR_INVALID);
    hr__listing_free(&listing);
}

static void list__enters_no_folder_from_within_itself(void **state)
{
    char dir[] = "/tmp/headrace-io-XXXXXX", path[256];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/sub", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put(dir, "a.parquet", "a");
    put(path, "b.parquet", "b");
    snprintf(path, sizeof path, "%s/loop", dir);
    assert_int_equal(symlink(".", path), 0);
    snprintf(path, sizeof path, "%s/sub/up", dir);
    assert_int_equal(symlink("..", path), 0);
    snprintf(path, sizeof path, "%s/twice", dir);
    assert_int_equal(symlink("sub", path), 0); // no loop: as it was asked for
    check_listing(dir, ".parquet", "a.parquet b.parquet b.parquet ");
    snprintf(path, sizeof path, "%s/**/*.parquet", dir);
    check_listing(path, NULL, "a.parquet b.parquet b.parquet ");
    snprintf(path, sizeof path, "%s/loop/*.parquet", dir);
    check_listing(path, NULL, "a.parquet ");
    assert_int_equal(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void source__refuses_what_lies_outside(void **state)
{
    hr_source *source = NULL;
    char to[8];
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr__source_memory("abcdef", 6, "six", &source, NULL), HR_OK);
    assert_int_equal(hr__source_read(source, 2, 3, to, NULL), HR_OK);
    assert_memory_equal(to, "cde", 3);
    assert_int_equal(hr__source_read(source, 6, 0, to, NULL), HR_OK);
    assert_int_equal(hr__source_read(source, 5, 2, to, &err), HR_CORRUPT);
    assert_non_null(strstr(err.message, "six"));
    assert_int_equal(hr__source_read(source, UINT64_MAX, 2, to, NULL), HR_CORRUPT);
    hr_source *other = hr__source_ref(source);
    hr__source_unref(&source);
    assert_null(source);
    assert_int_equal(hr__source_read(other, 0, 6, to, NULL), HR_OK);
    hr__source_unref(&other);
}

static void source__names_what_it_cannot_open(void **state)
{
    hr_source *source = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr__source_open("s3://bucket/x", &source, &err), HR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "s3"));
    assert_int_equal(hr__source_open("/nowhere/x.parquet", &source, &err), HR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere/x.parquet"));
    assert_int_equal(hr__source_open("/tmp", &source, &err), HR_INVALID);
}

static void source__notices_a_file_that_shrank(void **state)
{
    char path[] = "/tmp/headrace-io-XXXXXX", to[8];
    int fd = mkstemp(path);
    hr_source *source = NULL;
    assert_true(fd >= 0 && write(fd, "12345678", 8) == 8);
    assert_int_equal(hr__source_open(path, &source, NULL), HR_OK);
    assert_int_equal(source->bytes, 8);
    hr__source_will_need(source, 0, 100);
    assert_int_equal(ftruncate(fd, 4), 0);
    assert_int_equal(hr__source_read(source, 0, 8, to, NULL), HR_IO);
    hr__source_unref(&source);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(glob__matches_as_shells_do),
        cmocka_unit_test(list__sorts_and_leaves_out_hidden_names),
        cmocka_unit_test(list__tells_of_a_file_that_it_cannot_look_at),
        cmocka_unit_test(list__enters_no_folder_from_within_itself),
        cmocka_unit_test(source__refuses_what_lies_outside),
        cmocka_unit_test(source__names_what_it_cannot_open),
        cmocka_unit_test(source__notices_a_file_that_shrank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
