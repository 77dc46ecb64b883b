// SPDX-License-Identifier: Apache-2.0
#include "base/unit.h"
#include "base/text.h"
#include "block/block.h"

#include <math.h>
#include <string.h>

static void assert_prints(const hr_type *type, const void *value, const char *expected)
{
    hr_column column = {.type = type, .rows = 1, .data = value};
    hr_text out;
    hr__text_init(&out, 4096);
    hr__column_print_json(&column, 0, &out);
    assert_string_equal(hr__text_str(&out), expected);
    hr__text_finish(&out);
}

static void print__floats_have_the_fewest_digits(void **state)
{
    const hr_type f32 = {.id = HR_TYPE_FLOAT32}, f64 = {.id = HR_TYPE_FLOAT64};
    const hr_type f16 = {.id = HR_TYPE_FLOAT16}, bf16 = {.id = HR_TYPE_BFLOAT16};
    static const struct {
        float value;
        const char *expected;
    } cases[] = {{0.1f, "0.1"},          {10, "10"},
                 {-0.0f, "-0"},          {16777216, "16777216"},
                 {1e10f, "10000000000"}, {1e-5f, "0.00001"},
                 {1e20f, "1e+20"},       {1.5f, "1.5"},
                 {1e-45f, "1e-45"},      {NAN, "null"},
                 {-INFINITY, "null"},    {0.3333333433f, "0.33333334"}};
    for (size_t i = 0; i < HR_COUNTOF(cases); i++)
        assert_prints(&f32, &cases[i].value, cases[i].expected);
    double tenth = 0.1, nan = NAN;
    assert_prints(&f64, &tenth, "0.1");
    assert_prints(&f64, &nan, "null");
    uint16_t half = 0x2e66, brain = 0x3dcd, infinite = 0x7c00;
    assert_prints(&f16, &half, "0.1");
    assert_prints(&bf16, &brain, "0.1");
    assert_prints(&f16, &infinite, "null");
}

static void print__integers_to_their_ends(void **state)
{
    int64_t low = INT64_MIN;
    uint64_t high = UINT64_MAX;
    int8_t small = -128;
    uint16_t wide = 65535;
    assert_prints(&(hr_type){.id = HR_TYPE_INT64}, &low, "-9223372036854775808");
    assert_prints(&(hr_type){.id = HR_TYPE_UINT64}, &high, "18446744073709551615");
    assert_prints(&(hr_type){.id = HR_TYPE_INT8}, &small, "-128");
    assert_prints(&(hr_type){.id = HR_TYPE_UINT16}, &wide, "65535");
}

static void print__dates_and_times_are_iso(void **state)
{
    static const struct {
        int32_t days;
        const char *expected;
    } dates[] = {{0, "\"1970-01-01\""},
                 {-1, "\"1969-12-31\""},
                 {19782, "\"2024-02-29\""},
                 {-719468, "\"0000-03-01\""},
                 {-719529, "\"-0001-12-31\""},
                 {2932897, "\"+10000-01-01\""},
                 {INT32_MAX, "\"+5881580-07-11\""}};
    for (size_t i = 0; i < HR_COUNTOF(dates); i++)
        assert_prints(&(hr_type){.id = HR_TYPE_DATE32}, &dates[i].days, dates[i].expected);
    hr_type when = {.id = HR_TYPE_TIMESTAMP, .unit = HR_MICROSECOND, .timezone = "Europe/Paris"};
    int64_t value = 1709208000000001;
    assert_prints(&when, &value, "\"2024-02-29T12:00:00.000001Z\"");
    when = (hr_type){.id = HR_TYPE_TIMESTAMP, .unit = HR_SECOND};
    value = -1;
    assert_prints(&when, &value, "\"1969-12-31T23:59:59\"");
    when.unit = HR_NANOSECOND;
    value = INT64_MIN;
    assert_prints(&when, &value, "\"1677-09-21T00:12:43.145224192\"");
    int32_t millis = 43200001;
    assert_prints(&(hr_type){.id = HR_TYPE_TIME32, .unit = HR_MILLISECOND}, &millis,
                  "\"12:00:00.001\"");
    value = 90000000000; // past the day: not hidden
    assert_prints(&(hr_type){.id = HR_TYPE_TIME64, .unit = HR_MICROSECOND}, &value,
                  "\"25:00:00.000000\"");
    value = -1500;
    assert_prints(&(hr_type){.id = HR_TYPE_DURATION, .unit = HR_MILLISECOND}, &value,
                  "\"-PT1.500S\"");
    value = INT64_MIN;
    assert_prints(&(hr_type){.id = HR_TYPE_DURATION, .unit = HR_SECOND}, &value,
                  "\"-PT9223372036854775808S\"");
}

static void print__decimals_are_exact(void **state)
{
    uint64_t value[4] = {1250, 0, 0, 0};
    hr_type type = {.id = HR_TYPE_DECIMAL128, .precision = 38, .scale = 2};
    assert_prints(&type, value, "\"12.50\"");
    value[0] = 5;
    assert_prints(&type, value, "\"0.05\"");
    type.scale = -3;
    assert_prints(&type, value, "\"5000\"");
    value[0] = 0;
    assert_prints(&type, value, "\"0\"");
    type.scale = 0;
    value[0] = value[1] = UINT64_MAX;
    assert_prints(&type, value, "\"-1\"");
    value[0] = 0x098a223fffffffff, value[1] = 0x4b3b4ca85a86c47a; // 10^38 - 1
    assert_prints(&type, value, "\"99999999999999999999999999999999999999\"");
    value[0] = 0, value[1] = 1ull << 63;
    assert_prints(&type, value, "\"-170141183460469231731687303715884105728\"");
    type = (hr_type){.id = HR_TYPE_DECIMAL256, .precision = 76, .scale = 76};
    value[1] = 0, value[3] = 1ull << 63;
    assert_prints(
        &type, value,
        "\"-5.7896044618658097711785492504343953926634992332820282019728792003956564819968\"");
}

static void print__bytes_and_texts_are_quoted(void **state)
{
    static const int32_t offsets[] = {0, 0, 1, 3, 6};
    static const char *const base64[] = {"\"\"", "\"AA==\"", "\"YWI=\"", "\"/v38\""};
    hr_type type = {.id = HR_TYPE_BINARY};
    hr_column column = {.type = &type, .rows = 4, .offsets = offsets, .data = "\0ab\xfe\xfd\xfc"};
    hr_text out;
    hr__text_init(&out, 4096);
    for (int i = 0; i < 4; i++) {
        hr__text_clear(&out);
        hr__column_print_json(&column, i, &out);
        assert_string_equal(hr__text_str(&out), base64[i]);
    }
    type.id = HR_TYPE_STRING;
    column.data = "x\"\\abc";
    hr__text_clear(&out);
    hr__column_print_json(&column, 2, &out);
    assert_string_equal(hr__text_str(&out), "\"\\\"\\\\\"");
    hr__text_finish(&out);
    assert_prints(&(hr_type){.id = HR_TYPE_FIXED_BINARY, .width_bytes = 2}, "hi", "\"aGk=\"");
}

static void print__tensors_nest_as_their_shape(void **state)
{
    const hr_type u8 = {.id = HR_TYPE_UINT8};
    const hr_type type = {.id = HR_TYPE_TENSOR, .item = &u8, .ndim = 3, .shape = {2, 1, 3}};
    assert_prints(&type, "\1\2\3\4\5\6", "[[[1,2,3]],[[4,5,6]]]");
}

static void print__stops_when_the_text_is_full(void **state)
{
    static const int64_t offsets[] = {0, INT64_C(1) << 40};
    const hr_type nothing = {.id = HR_TYPE_NULL};
    const hr_type type = {.id = HR_TYPE_LIST, .item = &nothing, .large = true};
    hr_column items = {.type = &nothing, .rows = INT64_C(1) << 40};
    hr_column column = {.type = &type, .rows = 1, .offsets = offsets, .child = &items};
    hr_text out;
    hr__text_init(&out, 100);
    hr__column_print_json(&column, 0, &out);
    assert_true(out.cut);
    hr__text_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(print__floats_have_the_fewest_digits),
        cmocka_unit_test(print__integers_to_their_ends),
        cmocka_unit_test(print__dates_and_times_are_iso),
        cmocka_unit_test(print__decimals_are_exact),
        cmocka_unit_test(print__bytes_and_texts_are_quoted),
        cmocka_unit_test(print__tensors_nest_as_their_shape),
        cmocka_unit_test(print__stops_when_the_text_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
