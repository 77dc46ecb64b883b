// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "base/unit.h"

#include <errno.h>

static void error__message_is_one_line(void **state)
{
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(HR_FAIL(&err, HR_CORRUPT, "column '%s'", "a\nb\tc\x7f"), HR_CORRUPT);
    assert_string_equal(err.message, "column 'a b c '");
    assert_int_equal(err.status, HR_CORRUPT);
    assert_int_equal(HR_FAIL(NULL, HR_IO, "nobody asks"), HR_IO);
}

static void error__cut_leaves_whole_characters(void **state)
{
    hr_error err = HR_ERROR_INIT;
    char name[2048];
    memset(name, 'x', sizeof name);
    for (size_t at = 0; at + 3 < sizeof name; at += 3)
        memcpy(name + at, "\xE2\x82\xAC", 3);
    name[sizeof name - 1] = 0;
    HR_FAIL(&err, HR_CORRUPT, "%s", name);
    assert_int_equal(strlen(err.message), 1023);
    assert_int_equal(strlen(err.message) % 3, 0);
    HR_FAIL(&err, HR_CORRUPT, "a%s", name);
    assert_int_equal(strlen(err.message), 1 + 1020);
    // Bytes that are no UTF-8 at all are cut where the room ends.
    memset(name, 0x80, sizeof name - 1);
    HR_FAIL(&err, HR_CORRUPT, "%s", name);
    assert_true(strlen(err.message) >= 1019);
}

static void error__context_goes_in_front(void **state)
{
    hr_error err = HR_ERROR_INIT;
    HR_FAIL(&err, HR_CORRUPT, "dictionary index %d, entries %d", 70, 64);
    hr__error_context(&err, "page %d", 3);
    hr__error_context(&err, "file '%s'", "x.parquet");
    assert_string_equal(err.message, "file 'x.parquet': page 3: dictionary index 70, entries 64");
    assert_int_equal(err.status, HR_CORRUPT);
    hr__error_context(NULL, "nobody");
}

static void error__context_of_a_full_message_cuts_its_end(void **state)
{
    hr_error err = HR_ERROR_INIT;
    char name[1023];
    memset(name, 'x', sizeof name);
    HR_FAIL(&err, HR_IO, "%.*s", (int)sizeof name, name);
    hr__error_context(&err, "where");
    assert_int_equal(strlen(err.message), 1023);
    assert_memory_equal(err.message, "where: xx", 9);
    memset(name, 'y', sizeof name);
    hr__error_context(&err, "%.*s", (int)sizeof name, name);
    assert_int_equal(strlen(err.message), 1023);
    assert_int_equal(err.message[1022], 'y');
}

static void error__argument_may_be_the_message(void **state)
{
    hr_error err = HR_ERROR_INIT;
    HR_FAIL(&err, HR_IO, "inner");
    HR_FAIL(&err, HR_USER, "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
}

static void error__errno_finds_its_status(void **state)
{
    hr_error err = HR_ERROR_INIT;
    assert_status(hr__error_errno(&err, ENOENT, "open '%s'", "x"), HR_NOT_FOUND);
    assert_string_equal(err.message, "open 'x': No such file or directory");
    assert_status(hr__error_errno(NULL, EACCES, "x"), HR_DENIED);
    assert_status(hr__error_errno(NULL, ENOSPC, "x"), HR_LIMIT);
    assert_status(hr__error_errno(NULL, EMFILE, "x"), HR_LIMIT);
    assert_status(hr__error_errno(NULL, ENOMEM, "x"), HR_NOMEM);
    assert_status(hr__error_errno(NULL, EINTR, "x"), HR_CANCELLED);
    assert_status(hr__error_errno(NULL, EIO, "x"), HR_IO);
}

static void error__copy_accepts_nothing(void **state)
{
    hr_error from = HR_ERROR_INIT, to = HR_ERROR_INIT;
    HR_FAIL(&from, HR_LIMIT, "too much");
    assert_status(hr__error_copy(&to, &from), HR_LIMIT);
    assert_string_equal(to.message, "too much");
    assert_status(hr__error_copy(&to, &to), HR_LIMIT);
    assert_status(hr__error_copy(NULL, &from), HR_LIMIT);
    assert_status(hr__error_copy(&to, NULL), HR_OK);
}

static hr_status forward(hr_status status)
{
    HR_TRY(status);
    return HR_USER;
}

static void error__try_forwards_all_but_ok(void **state)
{
    assert_status(forward(HR_OK), HR_USER);
    assert_status(forward(HR_END), HR_END);
    assert_status(forward(HR_IO), HR_IO);
}

static void status__names_are_known(void **state)
{
    assert_string_equal(hr_status_name(HR_OK), "OK");
    for (int status = 1; status >= -11; status--)
        assert_string_not_equal(hr_status_name((hr_status)status), "?");
    assert_string_equal(hr_status_name((hr_status)-12), "?");
    assert_string_equal(hr_status_name((hr_status)3), "?");
    assert_string_equal(hr_version(), "0.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error__message_is_one_line),
        cmocka_unit_test(error__cut_leaves_whole_characters),
        cmocka_unit_test(error__context_goes_in_front),
        cmocka_unit_test(error__context_of_a_full_message_cuts_its_end),
        cmocka_unit_test(error__argument_may_be_the_message),
        cmocka_unit_test(error__errno_finds_its_status),
        cmocka_unit_test(error__copy_accepts_nothing),
        cmocka_unit_test(error__try_forwards_all_but_ok),
        cmocka_unit_test(status__names_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
