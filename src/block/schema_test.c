// SPDX-License-Identifier: Apache-2.0
#include "base/unit.h"
#include "block/block_sample.h"

static const hr_type i32 = {.id = HR_TYPE_INT32}, text = {.id = HR_TYPE_STRING};

static void assert_prints(const hr_type *type, const char *expected)
{
    char buffer[128];
    assert_string_equal(hr_type_print(type, buffer, sizeof buffer), expected);
}

static void type__prints_as_people_write_it(void **state)
{
    assert_prints(&i32, "int32");
    assert_prints(&(hr_type){.id = HR_TYPE_STRING, .large = true}, "large_string");
    assert_prints(&(hr_type){.id = HR_TYPE_LIST, .item = &text}, "list<string>");
    hr_type tensor = {.id = HR_TYPE_TENSOR, .item = &i32, .ndim = 3, .shape = {80, 80, 4}};
    assert_prints(&tensor, "tensor<int32>[80, 80, 4]");
    assert_prints(&(hr_type){.id = HR_TYPE_LIST, .large = true, .item = &tensor},
                  "large_list<tensor<int32>[80, 80, 4]>");
    hr_type when = {.id = HR_TYPE_TIMESTAMP, .unit = HR_MICROSECOND, .timezone = "UTC"};
    assert_prints(&when, "timestamp[us, UTC]");
    when.timezone = NULL;
    assert_prints(&when, "timestamp[us]");
    assert_prints(&(hr_type){.id = HR_TYPE_DECIMAL128, .precision = 10, .scale = 2},
                  "decimal(10, 2)");
    assert_prints(&(hr_type){.id = HR_TYPE_DICTIONARY, .item = &text}, "dictionary<string>");
    assert_prints(&(hr_type){.id = (hr_type_id)99}, "?");
    char small[9];
    assert_string_equal(hr_type_print(&tensor, small, sizeof small), "tensor<i");
}

static void type__names_parse_back(void **state)
{
    for (int id = 0; id < HR_TYPE_ID_COUNT; id++) {
        char buffer[64];
        const hr_type *type = hr__type_primitive(id);
        if (type)
            assert_int_equal(hr__type_id_parse(hr_type_print(type, buffer, sizeof buffer)), id);
    }
    assert_int_equal(hr__type_id_parse("int33"), -1);
    assert_int_equal(hr__type_id_parse("list"), -1);
    assert_int_equal(hr__type_id_parse(NULL), -1);
    assert_null(hr__type_primitive(HR_TYPE_LIST));
    assert_null(hr__type_primitive((hr_type_id)77));
}

static void type__widths_tell_rows(void **state)
{
    hr_type tensor = {.id = HR_TYPE_TENSOR, .item = &i32, .ndim = 2, .shape = {3, 5}};
    assert_int_equal(hr_type_row_bytes(&tensor), 60);
    assert_int_equal(hr__type_value_bytes(&tensor), 4);
    assert_int_equal(hr__type_row_values(&tensor), 15);
    assert_int_equal(hr_type_row_bytes(&(hr_type){.id = HR_TYPE_DECIMAL256}), 32);
    assert_int_equal(hr_type_row_bytes(&(hr_type){.id = HR_TYPE_BOOL}), 0);
    assert_int_equal(hr_type_row_bytes(&text), 0);
}

static void schema__refuses_what_does_not_fit(void **state)
{
    const hr_type boolean = {.id = HR_TYPE_BOOL}, dict = {.id = HR_TYPE_DICTIONARY, .item = &text};
    const hr_type list = {.id = HR_TYPE_LIST, .item = &i32};
    const hr_type bad[] = {
        {.id = (hr_type_id)27},
        {.id = HR_TYPE_LIST},
        {.id = HR_TYPE_TENSOR, .ndim = 1, .shape = {1}},
        {.id = HR_TYPE_TENSOR, .item = &boolean, .ndim = 1, .shape = {1}},
        {.id = HR_TYPE_TENSOR, .item = &i32, .ndim = 0},
        {.id = HR_TYPE_TENSOR, .item = &i32, .ndim = 9},
        {.id = HR_TYPE_TENSOR, .item = &i32, .ndim = 2, .shape = {2, 0}},
        {.id = HR_TYPE_DICTIONARY, .item = &dict},
        {.id = HR_TYPE_DICTIONARY, .item = &list},
        {.id = HR_TYPE_DECIMAL128, .precision = 39},
        {.id = HR_TYPE_DECIMAL256, .precision = 10, .scale = 77},
        {.id = HR_TYPE_TIME32, .unit = HR_NANOSECOND},
        {.id = HR_TYPE_TIME64, .unit = HR_SECOND},
        {.id = HR_TYPE_TIMESTAMP, .unit = (hr_time_unit)4},
        {.id = HR_TYPE_FIXED_BINARY},
    };
    hr_schema *schema = NULL;
    hr_error err = HR_ERROR_INIT;
    for (size_t i = 0; i < HR_COUNTOF(bad); i++) {
        hr_field field = {"odd", &bad[i], true};
        assert_int_equal(hr_schema_make(&field, 1, &schema, &err), HR_INVALID);
        assert_non_null(strstr(err.message, "'odd'"));
    }
    hr_type huge = {.id = HR_TYPE_TENSOR, .item = &i32, .ndim = 2, .shape = {1ll << 40, 1ll << 40}};
    hr_field field = {"odd", &huge, true};
    assert_int_equal(hr_schema_make(&field, 1, &schema, &err), HR_LIMIT);
    hr_type deep[HR_TYPE_DEPTH_MAX];
    for (int i = 0; i < HR_TYPE_DEPTH_MAX; i++)
        deep[i] = (hr_type){.id = HR_TYPE_LIST, .item = &deep[i + 1]};
    deep[HR_TYPE_DEPTH_MAX - 1].item = &i32; // one level too many
    field.type = deep;
    assert_int_equal(hr_schema_make(&field, 1, &schema, &err), HR_LIMIT);
    field.type = &deep[1];
    assert_int_equal(hr_schema_make(&field, 1, &schema, &err), HR_OK);
    hr_schema_unref(&schema);
    hr_field twice[] = {{"a", &i32, true}, {"b", &i32, true}, {"a", &text, true}};
    assert_int_equal(hr_schema_make(twice, 3, &schema, &err), HR_INVALID);
    twice[2].name = "";
    assert_int_equal(hr_schema_make(twice, 3, &schema, &err), HR_INVALID);
    twice[2].name = "\xff";
    assert_int_equal(hr_schema_make(twice, 3, &schema, &err), HR_INVALID);
    assert_int_equal(hr_schema_make(NULL, -1, &schema, &err), HR_INVALID);
}

static void schema__finds_any_of_many_names(void **state)
{
    enum { COUNT = 1000 };
    static char names[COUNT][12];
    static hr_field fields[COUNT];
    hr_schema *schema = NULL;
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "c%d", i);
        fields[i] = (hr_field){names[i], &i32, false};
    }
    assert_int_equal(hr_schema_make(fields, COUNT, &schema, NULL), HR_OK);
    memset(names, 0, sizeof names); // the schema has copies
    for (int i = 0; i < COUNT; i++) {
        char name[12];
        snprintf(name, sizeof name, "c%d", i);
        assert_int_equal(hr_schema_find(schema, name), i);
    }
    assert_int_equal(hr_schema_find(schema, "c1000"), -1);
    assert_int_equal(hr_schema_find(schema, NULL), -1);
    assert_null(hr_schema_field(schema, COUNT));
    assert_null(hr_schema_field(schema, -1));
    hr_schema_unref(&schema);
    assert_int_equal(hr_schema_make(NULL, 0, &schema, NULL), HR_OK);
    assert_int_equal(hr_schema_find(schema, "a"), -1);
    hr_schema_unref(&schema);
}

static void schema__bytes_come_back_equal(void **state)
{
    hr_schema *schema = NULL, *back = NULL;
    hr_error err = HR_ERROR_INIT;
    void *bytes = NULL;
    size_t count = 0;
    assert_int_equal(sample_schema(&schema, &err), HR_OK);
    assert_int_equal(hr__schema_write(schema, &bytes, &count, &err), HR_OK);
    assert_int_equal(hr__schema_parse(bytes, count, &back, &err), HR_OK);
    assert_true(hr_schema_equal(schema, back));
    hr_schema_unref(&back);
    for (size_t cut = 0; cut < count; cut++) {
        uint8_t *part = NULL; // exactly as long, so that reading past it is seen
        assert_int_equal(hr__alloc(cut, &part, NULL), HR_OK);
        memcpy(part, bytes, cut);
        assert_int_equal(hr__schema_parse(part, cut, &back, &err), HR_CORRUPT);
        if (cut >= 16) {
            uint32_t told = (uint32_t)cut;
            memcpy(part + 8, &told, sizeof told);
            assert_int_equal(hr__schema_parse(part, cut, &back, &err), HR_CORRUPT);
        }
        hr__free(part);
    }
    uint64_t n = 1;
    hr_status status = HR_NOMEM;
    for (; status == HR_NOMEM && n < 100; n++) {
        hr__mem_fail_after(n);
        status = hr__schema_parse(bytes, count, &back, &err);
        hr__mem_fail_after(0);
    }
    assert_int_equal(status, HR_OK);
    ((uint8_t *)bytes)[4] = 2;
    hr_schema_unref(&back);
    assert_int_equal(hr__schema_parse(bytes, count, &back, &err), HR_UNSUPPORTED);
    hr__free(bytes);
    hr_schema_unref(&schema);
}

static void utf8__is_checked_to_the_letter(void **state)
{
    static const char *const good[] = {"",
                                       "plain ascii, long",
                                       "\xc2\x80",
                                       "\xed\x9f\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "12345678\xe2\x82\xac"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "12345678\xe2\x82",
                                      "\xe2\x28\xa1"};
    for (size_t i = 0; i < HR_COUNTOF(good); i++)
        assert_true(hr__utf8_check(good[i], strlen(good[i])));
    for (size_t i = 0; i < HR_COUNTOF(bad); i++)
        assert_false(hr__utf8_check(bad[i], strlen(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(type__prints_as_people_write_it),
        cmocka_unit_test(type__names_parse_back),
        cmocka_unit_test(type__widths_tell_rows),
        cmocka_unit_test(schema__refuses_what_does_not_fit),
        cmocka_unit_test(schema__finds_any_of_many_names),
        cmocka_unit_test(schema__bytes_come_back_equal),
        cmocka_unit_test(utf8__is_checked_to_the_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
