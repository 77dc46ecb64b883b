// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "base/unit.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

static void text__grows_then_keeps_what_fits(void **state)
{
    hr_text t;
    hr__text_init(&t, 300);
    assert_string_equal(hr__text_str(&t), "");
    for (int i = 0; i < 50; i++)
        hr__text_add(&t, "%d,", i);
    assert_false(t.cut);
    hr__text_add(&t, "%0400d", 7);
    assert_true(t.cut);
    assert_int_equal(t.bytes, 300);
    assert_int_equal(strlen(hr__text_str(&t)), 300);
    hr__text_char(&t, 'x');
    assert_int_equal(t.bytes, 300);
    hr__text_clear(&t);
    hr__text_add(&t, "%s", "again");
    assert_string_equal(hr__text_str(&t), "again");
    hr__text_finish(&t);
}

static void text__long_format_is_whole(void **state)
{
    hr_text t;
    hr__text_init(&t, 10000);
    hr__text_add(&t, "%0300d|%s", 7, "end");
    assert_int_equal(t.bytes, 304);
    assert_string_equal(hr__text_str(&t) + 299, "7|end");
    hr__text_finish(&t);
}

static void text__failure_makes_it_empty(void **state)
{
    hr_text t;
    hr_error err = HR_ERROR_INIT;
    char *out = NULL;
    hr__text_init(&t, SIZE_MAX);
    hr__text_add(&t, "abc");
    hr__mem_fail_after(1);
    hr__text_add(&t, "%0200d", 1);
    assert_true(t.failed);
    assert_string_equal(hr__text_str(&t), "");
    hr__text_add(&t, "more");
    assert_string_equal(hr__text_str(&t), "");
    assert_status(hr__text_take(&t, &out, &err), HR_NOMEM);
    hr__text_clear(&t);
    hr__text_add(&t, "taken");
    assert_status(hr__text_take(&t, &out, &err), HR_OK);
    assert_string_equal(out, "taken");
    hr__free(out);
    assert_status(hr__text_take(&t, &out, &err), HR_OK);
    assert_string_equal(out, "");
    hr__free(out);
    hr__text_finish(&t);
}

static void check_json(const char *bytes, size_t count, const char *expected)
{
    hr_text t;
    hr__text_init(&t, 1000);
    hr__text_json(&t, bytes, count);
    assert_string_equal(hr__text_str(&t), expected);
    hr__text_finish(&t);
}

static void text__json_escapes_and_repairs(void **state)
{
    check_json("", 0, "\"\"");
    check_json("a\"b\\c\n\r\t\b\f\x01\x7f", 12, "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u007f\"");
    check_json("\0", 1, "\"\\u0000\"");
    check_json("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9,
               "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
    check_json("a\xFFz", 3, "\"a\xEF\xBF\xBDz\"");
    // Overlong, surrogate, past U+10FFFF, cut short: a replacement for each byte that begins nothing.
    check_json("\xC0\xAF", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    check_json("\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    check_json("\xF4\x90\x80\x80x", 5, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx\"");
    check_json("\xE2\x82", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static void check_double(double value, const char *expected)
{
    hr_text t;
    hr__text_init(&t, 100);
    hr__text_double(&t, value);
    assert_string_equal(hr__text_str(&t), expected);
    hr__text_finish(&t);
}

static void text__double_is_the_shortest_that_reads_back(void **state)
{
    check_double(0.1, "0.1");
    check_double(-2.5, "-2.5");
    check_double(0.1 + 0.2, "0.30000000000000004");
    check_double(5e-324, "5e-324");
    check_double(DBL_MAX, "1.7976931348623157e+308");
    check_double(123456789012345678.0, "1.2345678901234568e+17");
    check_double(0, "0");
    check_double(NAN, "null");
    check_double(-INFINITY, "null");
}

static void text__double_has_a_point_in_any_locale(void **state)
{
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") || setlocale(LC_NUMERIC, "fr_FR.UTF-8")) {
        check_double(1.5, "1.5");
        setlocale(LC_NUMERIC, "C");
    }
}

static void format__units_are_the_guides(void **state)
{
    char b[32];
    assert_string_equal(hr__format_bytes(5, b), "5 B");
    assert_string_equal(hr__format_bytes(12 * 1024, b), "12 KiB");
    assert_string_equal(hr__format_bytes(102400000, b), "97.7 MiB");
    assert_string_equal(hr__format_bytes(UINT64_C(1610612736), b), "1.50 GiB");
    assert_string_equal(hr__format_bytes(UINT64_MAX, b), "16777216.00 TiB");
    assert_string_equal(hr__format_seconds(1.2, b), "1.20s");
    assert_string_equal(hr__format_seconds(0.00345, b), "3.45ms");
    assert_string_equal(hr__format_seconds(12e-6, b), "12.00us");
    assert_string_equal(hr__format_seconds(NAN, b), "?");
}

static void parse__bytes_in_binary_multiples(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"1048576", 1048576},
                {"0", 0},
                {"1GiB", UINT64_C(1) << 30},
                {"512M", UINT64_C(512) << 20},
                {"1.5g", UINT64_C(3) << 29},
                {"1.50 GiB", UINT64_C(3) << 29},
                {"64kb", 65536},
                {".5k", 512},
                {"5 B", 5},
                {"1T", UINT64_C(1) << 40},
                {"8388607TiB", UINT64_C(8388607) << 40}};
    static const char *const bad[] = {"",
                                      "x",
                                      "GiB",
                                      "1 GiBs",
                                      "-1",
                                      "1.5.2",
                                      "1e9",
                                      "1X",
                                      ".",
                                      "8388608TiB",
                                      "99999999999999999999",
                                      "1 2",
                                      "1Gi b"};
    hr_error err = HR_ERROR_INIT;
    for (size_t i = 0; i < HR_COUNTOF(good); i++) {
        uint64_t bytes = 1;
        assert_ok(hr__parse_bytes(good[i].text, &bytes, &err), &err);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < HR_COUNTOF(bad); i++) {
        uint64_t bytes = 7;
        assert_status(hr__parse_bytes(bad[i], &bytes, &err), HR_INVALID);
        assert_int_equal(bytes, 7);
    }
    assert_message_has(&err, "'1Gi b'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text__grows_then_keeps_what_fits),
        cmocka_unit_test(text__long_format_is_whole),
        cmocka_unit_test(text__failure_makes_it_empty),
        cmocka_unit_test(text__json_escapes_and_repairs),
        cmocka_unit_test(text__double_is_the_shortest_that_reads_back),
        cmocka_unit_test(text__double_has_a_point_in_any_locale),
        cmocka_unit_test(format__units_are_the_guides),
        cmocka_unit_test(parse__bytes_in_binary_multiples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
