// SPDX-License-Identifier: Apache-2.0
// The text form: what parses, what it is printed as, and what each refusal says.
#include "base/unit.h"
#include "expr/expr.h"
#include "expr/expr_tree.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static hr_expr *parse(const char *text)
{
    hr_expr *e = NULL;
    hr_error err = HR_ERROR_INIT;
    if (hr_expr_parse(text, &e, &err) != HR_OK)
        fail_msg("%s", err.message);
    return e;
}

static void prints_as(const char *text, const char *printed)
{
    char buffer[512], again[512];
    hr_expr *e = parse(text);
    assert_string_equal(hr_expr_print(e, buffer, sizeof buffer), printed);
    hr_expr *f = parse(buffer);
    assert_true(hr__expr_equal(e, f));
    assert_string_equal(hr_expr_print(f, again, sizeof again), printed);
    hr_expr_unref(&e);
    hr_expr_unref(&f);
}

static void refuses(const char *text, size_t position, const char *part)
{
    hr_expr *e = NULL;
    hr_error err = HR_ERROR_INIT;
    char place[32];
    assert_int_equal(hr_expr_parse(text, &e, &err), HR_INVALID);
    assert_null(e);
    snprintf(place, sizeof place, "position %zu", position);
    if (!strstr(err.message, place) || !strstr(err.message, part))
        fail_msg("'%s': %s, wanted %s and %s", text, err.message, place, part);
}

static void parse__binds_operators_as_documented(void **state)
{
    prints_as("a + b * c", "a + b * c");
    prints_as("(a + b) * c", "(a + b) * c");
    prints_as("a - (b - c)", "a - (b - c)");
    prints_as("a - b - c", "a - b - c");
    prints_as("a / b // c % d", "a / b // c % d");
    prints_as("-a ** b", "-a ** b");
    prints_as("(-a) ** b", "(-a) ** b");
    prints_as("a ** -b ** c", "a ** -b ** c");
    prints_as("a ** b ** c", "a ** b ** c");
    prints_as("(a ** b) ** c", "(a ** b) ** c");
    prints_as("-2 ** 2", "-2 ** 2");
    prints_as("(-2) ** 2", "(-2) ** 2");
    prints_as("not a == b and c or d", "not a == b and c or d");
    prints_as("not (a and b)", "not (a and b)");
    prints_as("(a or b) and not not c", "(a or b) and not not c");
    prints_as("(a < b) == (c < d)", "(a < b) == (c < d)");
    prints_as("a + 1 is null", "is_null(a + 1)");
    prints_as("a is not null and b", "not is_null(a) and b");
    prints_as("- - a", "--a");
    prints_as("-(3)", "-3");
    prints_as("where(a > 3, min(a, b), cast(c, float32))",
              "where(a > 3, min(a, b), cast(c, float32))");
    prints_as("cast(a, bool)", "cast(a, bool)");
}

static void parse__reads_literals_and_names(void **state)
{
    prints_as("0x1f", "31");
    prints_as("-9223372036854775808", "-9223372036854775808");
    prints_as("9223372036854775807", "9223372036854775807");
    prints_as("1e3", "1000.0");
    prints_as("-1.5e3", "-1500.0");
    prints_as(".5", "0.5");
    prints_as("0.1", "0.1");
    prints_as("1e300", "1e300");
    prints_as("1.25e-300", "1.25e-300");
    prints_as("0.00012", "0.00012");
    prints_as("5e-324", "5e-324");
    prints_as("-0.0", "-0.0");
    prints_as("nan + -inf", "nan + -inf");
    prints_as("'it''s'", "'it''s'");
    prints_as("''", "''");
    prints_as("`any name` + `b``c` + `null` + _b2", "`any name` + `b``c` + `null` + _b2");
    prints_as("`exp`", "exp");
    prints_as("true and false or null", "true and false or null");
}

static void parse__refuses_with_the_position(void **state)
{
    refuses("", 1, "found the end");
    refuses("a +", 4, "found the end");
    refuses("a + )", 5, "found ')'");
    refuses("(a", 3, "the bracket at position 1 is open");
    refuses("a)", 2, "nothing is open");
    refuses("a b", 3, "found 'b'");
    refuses("a = 3", 3, "== compares");
    refuses("a < b < c", 7, "do not chain");
    refuses("a < b is null", 7, "brackets");
    refuses("foo(a)", 1, "no function is called 'foo'");
    refuses("min(a)", 1, "takes 2 arguments");
    refuses("min(a, b, c)", 9, "takes 2 arguments");
    refuses("exp()", 5, "found ')'");
    refuses("cast(a)", 7, "the type of cast");
    refuses("cast(a, string)", 9, "found 'string'");
    refuses("(a, b)", 3, "only between");
    refuses("'open", 1, "no closing '");
    refuses("`open", 1, "no closing `");
    refuses("``", 1, "needs a character");
    refuses("3x", 2, "right after a number");
    refuses("1e", 1, "exponent");
    refuses("1e999", 1, "too large");
    refuses("9223372036854775808", 1, "int64");
    refuses("99999999999999999999", 1, "64 bits");
    refuses("0x", 1, "hexadecimal");
    refuses("a & b", 3, "write and, or, not");
    refuses("\"a\"", 1, "single quotes");
    refuses("a == not b", 6, "brackets around");
    refuses("a is 3", 6, "null, or not null");
    refuses("and", 1, "found 'and'");
    refuses("a ; b", 3, "one expression");
}

static void parse__bounds_depth(void **state)
{
    enum { COUNT = 100000 };
    char *text;
    hr_expr *e = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr__alloc(COUNT * 2 + 2, &text, NULL), HR_OK);
    memset(text, '(', COUNT);
    text[COUNT] = 0;
    assert_int_equal(hr_expr_parse(text, &e, &err), HR_INVALID);
    assert_non_null(strstr(err.message, "position"));
    memset(text, '-', COUNT);
    assert_int_equal(hr_expr_parse(text, &e, &err), HR_INVALID);
    for (int i = 0; i < COUNT; i++)
        memcpy(text + 2 * i, "a+", 2);
    memcpy(text + 2 * COUNT - 1, "", 1);
    assert_int_equal(hr_expr_parse(text, &e, &err), HR_INVALID);
    assert_non_null(strstr(err.message, "nested deeper"));
    text[2 * 900 - 1] = 0; // what is allowed round trips
    e = parse(text);
    hr_expr *again = parse(hr_expr_print(e, text, COUNT));
    assert_true(hr__expr_equal(e, again));
    hr_expr_unref(&e);
    hr_expr_unref(&again);
    hr__free(text);
}

static void print__survives_a_tree_that_is_huge_when_written_out(void **state)
{
    hr_expr *e = parse("x");
    char buffer[64];
    for (int i = 0; i < 500; i++) {
        hr_expr *pair[2] = {e, e}, *sum = NULL;
        assert_int_equal(hr_expr_call("+", pair, 2, &sum, NULL), HR_OK);
        hr_expr_unref(&e);
        e = sum;
    }
    hr_expr_print(e, buffer, sizeof buffer);
    assert_int_equal(strlen(buffer), sizeof buffer - 1);
    hr_expr_unref(&e);
}

static void print__gives_back_every_double(void **state)
{
    uint64_t bits = 12345;
    for (int i = 0; i < 20000; i++) {
        double value;
        char buffer[64];
        hr_expr *e = NULL;
        bits = bits * 6364136223846793005ULL + 1442695040888963407ULL;
        memcpy(&value, &bits, sizeof value);
        assert_int_equal(hr_expr_float(value, &e, NULL), HR_OK);
        hr_expr *f = parse(hr_expr_print(e, buffer, sizeof buffer));
        if (!hr__expr_equal(e, f))
            fail_msg("%a printed as %s", value, buffer);
        hr_expr_unref(&e);
        hr_expr_unref(&f);
    }
}

static void call__checks_its_arguments(void **state)
{
    hr_expr *e = NULL, *x = parse("x"), *args[3] = {x, x, x};
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr_expr_call("nope", args, 1, &e, &err), HR_INVALID);
    assert_int_equal(hr_expr_call("min", args, 3, &e, &err), HR_INVALID);
    assert_int_equal(hr_expr_call("-", args, 3, &e, &err), HR_INVALID);
    assert_non_null(strstr(err.message, "takes 1 or 2 arguments, found 3"));
    assert_int_equal(hr_expr_cast(x, HR_TYPE_STRING, &e, &err), HR_INVALID);
    assert_int_equal(hr_expr_column("", &e, &err), HR_INVALID);
    assert_null(e);
    hr_expr_unref(&x);
}

static void assignments__split_and_keep_order(void **state)
{
    hr_assignment *list = NULL;
    int32_t count = 0;
    char buffer[64];
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr__assignments_parse("x = x * 2; `a b` = log(';') ;", &list, &count, &err),
                     HR_OK);
    assert_int_equal(count, 2);
    assert_string_equal(list[0].name, "x");
    assert_string_equal(list[1].name, "a b");
    assert_string_equal(hr_expr_print(list[1].expr, buffer, sizeof buffer), "log(';')");
    hr__assignments_free(list, count);
    assert_int_equal(hr__assignments_parse("x * 2", &list, &count, &err), HR_INVALID);
    assert_int_equal(hr__assignments_parse("x = 2 y = 3", &list, &count, &err), HR_INVALID);
    assert_int_equal(hr__assignments_parse("", &list, &count, &err), HR_INVALID);
    assert_int_equal(hr__assignments_parse("null = 3", &list, &count, &err), HR_INVALID);
}

static hr_status parse_some(void *context, hr_error *err)
{
    hr_expr *e = NULL;
    hr_status status = hr_expr_parse(context, &e, err);
    hr_expr_unref(&e);
    return status;
}

static void parse__survives_failing_allocations(void **state)
{
    char text[] = "where(a > 3 and not b is null, min(`c d`, -2.5), cast('x', float32) ** 2)";
    assert_true(hr__unit_torture(parse_some, text) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse__binds_operators_as_documented),
        cmocka_unit_test(parse__reads_literals_and_names),
        cmocka_unit_test(parse__refuses_with_the_position),
        cmocka_unit_test(parse__bounds_depth),
        cmocka_unit_test(print__survives_a_tree_that_is_huge_when_written_out),
        cmocka_unit_test(print__gives_back_every_double),
        cmocka_unit_test(call__checks_its_arguments),
        cmocka_unit_test(assignments__split_and_keep_order),
        cmocka_unit_test(parse__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
