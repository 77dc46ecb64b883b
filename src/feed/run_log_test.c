// SPDX-License-Identifier: Apache-2.0
// Digests of runs compared: written as text here, as a feed writes them (feed_test.c has the writing side).
#include "base/text.h"
#include "base/unit.h"
#include <headrace/base.h>
#include <headrace/feed.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "# headrace digest 1 rank 0 plan 00000000000000aa seed 7\n"

static char folder[64];
static char made[32][128];
static int made_count;

static char *make(const char *name)
{
    char *path = made[made_count++];
    assert_true(made_count < 32);
    (void)snprintf(path, sizeof made[0], "%s/%s", folder, name);
    return path;
}

static const char *put(const char *name, const char *text)
{
    char *path = make(name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    return path;
}

static const char *sub(const char *name)
{
    char *path = make(name);
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static void check(const char *a, const char *b, bool same_wanted, const char *words)
{
    hr_error err = HR_ERROR_INIT;
    bool same = !same_wanted;
    char *text = NULL;
    assert_ok(hr_digest_diff(a, b, &same, &text, &err), &err);
    assert_int_equal(same, same_wanted);
    if (!strstr(text, words))
        fail_msg("'%s' is not in:\n%s", words, text);
    hr_text_free(text);
}

static void refused(const char *a, const char *b, hr_status status, const char *words)
{
    hr_error err = HR_ERROR_INIT;
    bool same;
    char *text = NULL;
    assert_int_equal(hr_digest_diff(a, b, &same, &text, &err), status);
    if (!strstr(err.message, words))
        fail_msg("'%s' is not in: %s", words, err.message);
}

static void diff__same_runs_are_the_same(void **state)
{
    const char *a = put("a", HEAD "0 0 4 0a 01\n0 1 4 0b 02\n1 0 4 0c 03\n");
    check(a, a, true, "the same rows");
    // killed after step 1, resumed from before it: the step comes again; its line was cut the first time
    const char *b =
        put("b", HEAD "0 0 4 0a 01\n0 1 4 0b 02\n1 0 4 0\n" HEAD "0 1 4 0b 77\n1 0 4 0c 78\n");
    check(a, b, true, "the same rows");
}

static void diff__sums_add_up_over_ranks(void **state)
{
    const char *one = put("one", HEAD "0 0 8 0000000000000003 01\n0 1 8 10 02\n");
    const char *two = sub("two");
    (void)put("two/rank-0.digest", HEAD "0 0 4 01 01\n0 1 4 0f 02\n");
    (void)put("two/rank-1.digest", HEAD "0 0 4 02 01\n0 1 4 01 02\n");
    check(one, two, true, "2 ranks");
}

static void diff__the_first_difference_is_named(void **state)
{
    const char *a = put("p", HEAD "0 0 4 0a 01\n0 1 4 0b 02\n0 2 4 0c 03\n");
    check(a, put("q", HEAD "0 0 4 0a 01\n0 1 4 99 02\n0 2 4 98 03\n"), false,
          "epoch 0, step 1; 1 steps before it");
    check(a, put("r", HEAD "0 0 4 0a 01\n0 1 4 0b 02\n"), false, "only the first has this step");
    check(put("s", HEAD "0 0 4 0a 01\n0 2 4 0c 03\n"), a, false, "epoch 0, step 1");
}

static void diff__steps_of_other_sizes_compare_where_both_end(void **state)
{
    const char *a = put("sa", HEAD "0 0 4 01 01\n0 1 4 02 02\n0 2 4 04 03\n1 0 4 10 04\n");
    check(a, put("sb", HEAD "0 0 6 02 01\n0 1 6 05 02\n1 0 4 10 04\n"), false,
          "all 2 of these places, to row 4 of epoch 1");
    check(a, put("sc", HEAD "0 0 6 02 01\n0 1 6 06 02\n1 0 4 10 04\n"), false,
          "rows 0 to 11 of epoch 0");
    check(a, put("sd", HEAD "0 0 8 03 01\n0 1 4 05 02\n"), false, "rows 8 to 11 of epoch 0");
    check(a, put("se", HEAD "0 0 5 02 01\n"), false, "no such place");
}

static void diff__what_is_no_digest_is_refused(void **state)
{
    const char *a = put("u", HEAD "0 0 4 0a 01\n");
    refused(a, put("v", "hello\n"), HR_CORRUPT, "no digest");
    refused(a, put("w", HEAD "0 0 4 0a 01\n0 x 4 0a 01\n0 2 4 0a 01\n"), HR_CORRUPT, "line 3");
    refused(a, put("x", HEAD "0 0 4 0a 01\n" HEAD "0 0 4 0b 01\n"), HR_CORRUPT, "came twice");
    refused(a, "/nonexistent/digest", HR_NOT_FOUND, "/nonexistent/digest");
    refused(sub("empty"), a, HR_NOT_FOUND, "no rank-*.digest");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diff__same_runs_are_the_same),
        cmocka_unit_test(diff__sums_add_up_over_ranks),
        cmocka_unit_test(diff__the_first_difference_is_named),
        cmocka_unit_test(diff__steps_of_other_sizes_compare_where_both_end),
        cmocka_unit_test(diff__what_is_no_digest_is_refused),
    };
    (void)snprintf(folder, sizeof folder, "/tmp/hr-digest-XXXXXX");
    assert_non_null(mkdtemp(folder));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    while (made_count > 0) // newest first: files before their folders
        assert_int_equal(remove(made[--made_count]), 0);
    return failed || rmdir(folder) != 0;
}
