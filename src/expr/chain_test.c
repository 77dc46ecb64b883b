// SPDX-License-Identifier: Apache-2.0
// Chains and programs: what steps become, what is asked of a program, packing, and memory that fails.
#include "base/unit.h"
#include "expr/expr_sample.h"
#include "kernel/kernel.h"

static hr_schema *make_schema(void)
{
    static const hr_type i32 = {.id = HR_TYPE_INT32}, f32 = {.id = HR_TYPE_FLOAT32};
    static const hr_type f64 = {.id = HR_TYPE_FLOAT64}, text = {.id = HR_TYPE_STRING};
    static const hr_type flag = {.id = HR_TYPE_BOOL}, u8 = {.id = HR_TYPE_UINT8};
    static const hr_type day = {.id = HR_TYPE_DATE32}, i64 = {.id = HR_TYPE_INT64};
    static const hr_type tensor = {.id = HR_TYPE_TENSOR, .item = &u8, .ndim = 1, .shape = {3}};
    const hr_field fields[] = {{"a", &i32, true},    {"b", &f32, false},    {"c", &f64, true},
                               {"s", &text, true},   {"flag", &flag, true}, {"day", &day, true},
                               {"t", &tensor, true}, {"n", &i64, false}};
    hr_schema *schema = NULL;
    assert_int_equal(hr_schema_make(fields, 8, &schema, NULL), HR_OK);
    return schema;
}

static hr_chain *open_chain(void)
{
    hr_schema *schema = make_schema();
    hr_chain *chain = NULL;
    assert_int_equal(hr__chain_open(schema, &chain, NULL), HR_OK);
    hr_schema_unref(&schema);
    return chain;
}

// "x = ..." or "filter ..."; the status.
static hr_status step(hr_chain *chain, const char *text, hr_error *err)
{
    hr_assignment *list = NULL;
    int32_t count = 0;
    hr_expr *e = NULL;
    hr_status status;
    if (strncmp(text, "filter ", 7) == 0) {
        HR_GO(hr_expr_parse(text + 7, &e, err));
        HR_GO(hr__chain_filter(chain, e, err));
    } else {
        HR_GO(hr__assignments_parse(text, &list, &count, err));
        for (int32_t i = 0; i < count; i++)
            HR_GO(hr__chain_assign(chain, list[i].name, list[i].expr, err));
    }
out:
    hr__assignments_free(list, count);
    hr_expr_unref(&e);
    return status;
}

static void takes(hr_chain *chain, const char *text)
{
    hr_error err = HR_ERROR_INIT;
    if (step(chain, text, &err) != HR_OK)
        fail_msg("%s: %s", text, err.message);
}

static void refuses(hr_chain *chain, const char *text, hr_status status, const char *part)
{
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(step(chain, text, &err), status);
    if (!strstr(err.message, part))
        fail_msg("%s: '%s' lacks '%s'", text, err.message, part);
}

static void has_schema(const hr_chain *chain, const char *want)
{
    char text[512];
    assert_string_equal(hr__schema_print(hr__chain_schema(chain), text, sizeof text), want);
}

static void chain__substitutes_and_prunes(void **state)
{
    hr_chain *chain = open_chain();
    hr_program *p = NULL;
    const int32_t *sources;
    const bool *in_predicate;
    const char *const keep[] = {"y", "a", "b"}, *const drop[] = {"a"};
    assert_true(hr__chain_is_identity(chain));
    takes(chain, "a = a * 2; y = a + 1; filter_me = c > 0");
    takes(chain, "filter filter_me and not flag");
    assert_int_equal(hr__chain_select(chain, keep, 3, NULL), HR_OK);
    assert_int_equal(hr__chain_drop(chain, drop, 1, NULL), HR_OK);
    assert_int_equal(hr__chain_rename(chain, "b", "z", NULL), HR_OK);
    has_schema(chain, "y: int32, z: float32");
    assert_false(hr__chain_is_identity(chain));
    assert_int_equal(hr__chain_finish(chain, &p, NULL), HR_OK);
    assert_int_equal(hr__program_sources(p, &sources, &in_predicate), 4);
    assert_int_equal(sources[0], 0);
    assert_int_equal(sources[1], 1);
    assert_int_equal(sources[2], 2);
    assert_int_equal(sources[3], 4);
    assert_false(in_predicate[0]);
    assert_true(in_predicate[2] && in_predicate[3]);
    assert_true(hr__program_has_predicate(p));
    assert_int_equal(hr__program_passthrough(p, 0), -1);
    assert_int_equal(hr__program_passthrough(p, 1), 1);
    assert_int_equal(hr__program_in_place(p, 0), 0);
    hr__program_unref(&p);
    hr__chain_close(&chain);
}

static void chain__gives_memory_in_place_once(void **state)
{
    hr_chain *chain = open_chain(), *copy = NULL;
    hr_program *p = NULL;
    const char *const keep[] = {"x", "y", "a", "n", "c"};
    takes(chain, "x = a + 1; y = a * 2; c = n * c; n = n");
    assert_int_equal(hr__chain_clone(chain, &copy, NULL), HR_OK);
    assert_int_equal(hr__chain_select(copy, keep, 5, NULL), HR_OK);
    assert_int_equal(hr__chain_finish(copy, &p, NULL), HR_OK);
    assert_int_equal(hr__program_in_place(p, 0), -1); // a is read by three
    assert_int_equal(hr__program_in_place(p, 1), -1);
    assert_int_equal(hr__program_in_place(p, 4), 2); // not n, which passes through
    hr__program_unref(&p);
    has_schema(chain, "a: int32, b: float32, c: float64, s: string, flag: bool, day: date32, "
                      "t: tensor<uint8>[3], n: int64, x: int32, y: int32");
    hr__chain_close(&copy);
    hr__chain_close(&chain);
}

static void chain__refuses_with_names(void **state)
{
    hr_chain *chain = open_chain();
    hr_error err = HR_ERROR_INIT;
    const char *const twice[] = {"a", "a"}, *const none[] = {"zz"};
    refuses(chain, "y = nope + 1", HR_INVALID, "no column 'nope'");
    refuses(chain, "y = s + 1", HR_INVALID, "'+' does not take (string, int64)");
    refuses(chain, "y = flag * 2", HR_INVALID, "cast a bool");
    refuses(chain, "y = day + 1", HR_INVALID, "cast(x, int64) gives the number");
    refuses(chain, "y = t > 1", HR_INVALID, "tensor of bool");
    refuses(chain, "y = n // t", HR_INVALID, "cast one of them to float64");
    refuses(chain, "y = day == 'tomorrow'", HR_INVALID, "2024-01-31");
    refuses(chain, "y = day == '2023-02-29'", HR_INVALID, "2024-01-31");
    refuses(chain, "y = cast(s, float64)", HR_UNSUPPORTED, "cast of string");
    refuses(chain, "y = where(a, 1, 2)", HR_INVALID, "'where'");
    refuses(chain, "filter a", HR_INVALID, "must be bool");
    refuses(chain, "filter t > 1", HR_INVALID, "one for each row");
    assert_int_equal(hr__chain_select(chain, twice, 2, &err), HR_INVALID);
    assert_int_equal(hr__chain_select(chain, none, 1, &err), HR_NOT_FOUND);
    assert_non_null(strstr(err.message, "there are: a, b, c, s"));
    assert_int_equal(hr__chain_rename(chain, "a", "b", &err), HR_INVALID);
    assert_true(hr__chain_is_identity(chain));
    hr__chain_close(&chain);
}

static void program__shares_common_parts(void **state)
{
    hr_chain *chain = open_chain();
    hr_program *p = NULL;
    takes(chain, "x = a; n = n * 2");
    for (int i = 0; i < 300; i++) // far deeper than one expression may be
        takes(chain, "x = x + x; n = n + 1; c = (c + b) * (b + c)");
    assert_int_equal(hr__chain_finish(chain, &p, NULL), HR_OK);
    assert_true(hr__program_scratch_bytes(p) < 512 << 10);
    hr__program_unref(&p);
    hr__chain_close(&chain);
}

// --- conjuncts ---

static void tells(const char *filter, const char *want)
{
    static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">=", "null", "not null"};
    hr_chain *chain = open_chain();
    hr_program *p = NULL;
    const hr_conjunct *c;
    char step_text[256], text[512] = "";
    snprintf(step_text, sizeof step_text, "filter %s", filter);
    takes(chain, step_text);
    assert_int_equal(hr__chain_finish(chain, &p, NULL), HR_OK);
    int32_t count = hr__program_conjuncts(p, &c);
    for (int32_t i = 0; i < count; i++) {
        size_t at = strlen(text);
        char literal[64] = "";
        if (c[i].literal.id == HR_TYPE_STRING)
            snprintf(literal, sizeof literal, " '%s'", c[i].literal.text);
        else if (c[i].literal.id == HR_TYPE_FLOAT64)
            snprintf(literal, sizeof literal, " %g", c[i].literal.f);
        else if (c[i].compare < HR_IS_NULL)
            snprintf(literal, sizeof literal, " %lld", (long long)c[i].literal.i);
        snprintf(text + at, sizeof text - at, "%s%d %s%s", i ? "; " : "", (int)c[i].column,
                 ops[c[i].compare], literal);
    }
    assert_string_equal(text, want);
    hr__program_unref(&p);
    hr__chain_close(&chain);
}

static void conjuncts__never_exclude_what_the_predicate_keeps(void **state)
{
    tells("a > 3 and 5 <= n and s == 'x'", "0 > 3; 7 >= 5; 3 == 'x'");
    tells("a > 3 or n > 2", "");
    tells("not (a > 3)", "0 <= 3");
    tells("not (b > 3)", "");
    tells("a < 2.5", "0 <= 2");
    tells("a >= 2.5", "0 > 2");
    tells("a == 2.5", "");
    tells("a < 2.0", "0 < 2");
    tells("a > 3000000000", "0 > 3000000000");
    tells("b < 0.5", "1 < 0.5");
    tells("b != 0.5", "");
    tells("b < 1e300", "1 < 1e+300");
    tells("c == nan", "");
    tells("flag", "4 == 1");
    tells("not flag and flag != false", "4 == 0; 4 == 1");
    tells("s is null and c is not null", "3 null; 2 not null");
    tells("day >= '2024-01-01'", "5 >= 19723");
    tells("a + 1 > 3", "");
    tells("cast(a, int8) > 3", "");
    tells("cast(a, float32) > 3", "");
    tells("cast(n, float64) > 3", "7 > 3");
}

// --- packing ---

static void pack__lays_columns_row_by_row(void **state)
{
    enum { ROWS = 3000 };
    static int32_t a[ROWS];
    static float b[ROWS];
    static double c[ROWS];
    static uint8_t t[3 * ROWS], valid[ROWS / 8 + 1];
    hr_chain *chain = open_chain();
    hr_program *p = NULL;
    hr_eval *e = NULL;
    hr_error err = HR_ERROR_INIT;
    const char *const names[] = {"a", "b", "t", "one", "cc"};
    const char *const drop[] = {"s", "flag", "day", "n", "c"};
    hr_pack pack = {
        .names = names, .count = 5, .type = HR_TYPE_FLOAT32, .out_name = "x", .null_fill = NAN};
    for (int i = 0; i < ROWS; i++) {
        a[i] = i;
        b[i] = (float)i / 2;
        c[i] = i * 3;
        for (int v = 0; v < 3; v++)
            t[3 * i + v] = (uint8_t)(i + v);
        valid[i / 8] |= (uint8_t)((i % 5 != 2) << (i % 8));
    }
    takes(chain, "one = 1; cc = c + 1");
    assert_int_equal(hr__chain_pack(chain, &pack, &err), HR_OK);
    assert_int_equal(hr__chain_drop(chain, drop, 5, &err), HR_OK);
    has_schema(chain, "x: tensor<float32>[7]");
    assert_int_equal(hr__chain_finish(chain, &p, &err), HR_OK);
    assert_int_equal(hr__eval_open(p, &e, &err), HR_OK);
    assert_int_equal(hr__program_in_place(p, 0), -1);
    hr_column inputs[8] = {{.rows = ROWS, .null_count = -1, .validity = valid, .data = a},
                           {.rows = ROWS, .null_count = 0, .data = b},
                           {.rows = ROWS, .null_count = -1, .validity = valid, .data = c},
                           {0},
                           {0},
                           {0},
                           {.rows = ROWS, .null_count = -1, .validity = valid, .data = t}};
    hr_slot slot = sample_slot(hr_schema_field(hr__program_schema(p), 0), ROWS, 0);
    assert_int_equal(hr__eval_columns(e, inputs, ROWS, &slot, 0, &err), HR_OK);
    for (int i = 0; i < ROWS; i++) {
        const float *row = (const float *)slot.data + (size_t)i * 7;
        bool is_valid = i % 5 != 2;
        assert_true(is_valid ? row[0] == (float)i : isnan(row[0]));
        assert_true(row[1] == (float)i / 2 && row[5] == 1);
        for (int v = 0; v < 3; v++)
            assert_true(is_valid ? row[2 + v] == (uint8_t)(i + v) : isnan(row[2 + v]));
        assert_true(is_valid ? row[6] == (float)(i * 3 + 1) : isnan(row[6]));
    }
    sample_slot_finish(&slot);
    hr__eval_close(&e);
    hr__program_unref(&p);
    hr__chain_close(&chain);
}

static void pack__checks_types_nulls_and_names(void **state)
{
    enum { ROWS = 100 };
    static int64_t n[ROWS];
    static int32_t a[ROWS];
    uint8_t valid[13];
    const char *const numbers[] = {"n", "m"}, *const texts[] = {"s"}, *const mixed[] = {"n", "a"};
    const char *const one[] = {"a"}, *const keep[] = {"x"};
    hr_error err = HR_ERROR_INIT;
    hr_chain *chain = open_chain();
    hr_program *p = NULL;
    hr_eval *e = NULL;
    hr_pack pack = {.names = texts, .count = 1, .type = HR_TYPE_FLOAT32, .out_name = "x"};
    assert_int_equal(hr__chain_pack(chain, &pack, &err), HR_INVALID);
    assert_non_null(strstr(err.message, "'s' is string"));
    pack = (hr_pack){.names = mixed, .count = 2, .type = HR_TYPE_INT64, .out_name = "x"};
    assert_int_equal(hr__chain_pack(chain, &pack, &err), HR_INVALID);
    pack = (hr_pack){
        .names = one, .count = 1, .type = HR_TYPE_INT32, .out_name = "x", .null_fill = NAN};
    assert_int_equal(hr__chain_pack(chain, &pack, &err), HR_INVALID);
    pack = (hr_pack){.names = one, .count = 1, .type = HR_TYPE_FLOAT64, .out_name = "b"};
    assert_int_equal(hr__chain_pack(chain, &pack, &err), HR_INVALID);
    pack = (hr_pack){.names = one, .count = 1, .type = HR_TYPE_FLOAT64, .out_name = "a"};
    assert_int_equal(hr__chain_pack(chain, &pack, &err), HR_OK); // in its own name
    hr__chain_close(&chain);

    chain = open_chain();
    takes(chain, "m = n - 1");
    pack = (hr_pack){
        .names = numbers, .count = 2, .type = HR_TYPE_INT64, .out_name = "x", .keep = true};
    assert_int_equal(hr__chain_pack(chain, &pack, &err), HR_OK);
    takes(chain, "x = x * 10 + n"); // what is packed is a tensor like any other
    assert_int_equal(hr__chain_select(chain, keep, 1, &err), HR_OK);
    assert_int_equal(hr__chain_finish(chain, &p, &err), HR_OK);
    assert_int_equal(hr__eval_open(p, &e, &err), HR_OK);
    hr_column inputs[8] = {[7] = {.rows = ROWS, .null_count = 0, .data = n}};
    for (int i = 0; i < ROWS; i++)
        n[i] = i;
    hr_slot slot = sample_slot(hr_schema_field(hr__program_schema(p), 0), ROWS, 0);
    assert_int_equal(hr__eval_column(e, 0, inputs, ROWS, &slot, 0, &err), HR_OK);
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(((int64_t *)slot.data)[2 * i], i * 11);
        assert_int_equal(((int64_t *)slot.data)[2 * i + 1], (i - 1) * 10 + i);
    }
    sample_slot_finish(&slot);
    hr__eval_close(&e);
    hr__program_unref(&p);
    hr__chain_close(&chain);

    chain = open_chain();
    pack = (hr_pack){
        .names = one, .count = 1, .type = HR_TYPE_FLOAT32, .out_name = "x", .null_error = true};
    assert_int_equal(hr__chain_pack(chain, &pack, &err), HR_OK);
    assert_int_equal(hr__chain_select(chain, keep, 1, &err), HR_OK);
    assert_int_equal(hr__chain_finish(chain, &p, &err), HR_OK);
    assert_int_equal(hr__eval_open(p, &e, &err), HR_OK);
    memset(valid, 0xff, sizeof valid);
    inputs[0] = (hr_column){.rows = ROWS, .null_count = -1, .validity = valid, .data = a};
    slot = sample_slot(hr_schema_field(hr__program_schema(p), 0), ROWS, 0);
    assert_int_equal(hr__eval_column(e, 0, inputs, ROWS, &slot, 0, &err), HR_OK);
    valid[3] = 0;
    assert_int_equal(hr__eval_column(e, 0, inputs, ROWS, &slot, 0, &err), HR_INVALID);
    assert_non_null(strstr(err.message, "column 'a' has a null"));
    sample_slot_finish(&slot);
    hr__eval_close(&e);
    hr__program_unref(&p);
    hr__chain_close(&chain);
}

// --- memory that fails ---

static hr_status whole_life(void *context, hr_error *err)
{
    const hr_schema *schema = context;
    static const char *const names[] = {"a", "b", "t"};
    hr_pack pack = {.names = names, .count = 3, .type = HR_TYPE_FLOAT32, .out_name = "x"};
    hr_chain *chain = NULL, *copy = NULL;
    hr_program *p = NULL;
    hr_eval *e = NULL;
    hr_status status;
    HR_GO(hr__chain_open(schema, &chain, err));
    HR_GO(step(chain, "filter s == 'abc' and a > 3", err));
    HR_GO(step(chain, "y = where(flag, 'x', s); t = t * a + 1; z = a * 2 + 3 * n", err));
    HR_GO(hr__chain_pack(chain, &pack, err));
    HR_GO(hr__chain_clone(chain, &copy, err));
    HR_GO(hr__chain_finish(copy, &p, err));
    HR_GO(hr__eval_open(p, &e, err));
out:
    hr__eval_close(&e);
    hr__program_unref(&p);
    hr__chain_close(&copy);
    hr__chain_close(&chain);
    return status;
}

static void chain__survives_failing_allocations(void **state)
{
    hr_schema *schema = make_schema();
    assert_true(hr__unit_torture(whole_life, schema) > 100);
    hr_schema_unref(&schema);
}

static void type__is_told_without_a_chain(void **state)
{
    static const char *const pairs[][2] = {{"a + 1", "int32"},
                                           {"a + n", "int64"},
                                           {"t * 0.5", "tensor<float64>[3]"},
                                           {"t + 1", "tensor<uint8>[3]"},
                                           {"fill_null(s, 'x')", "string"},
                                           {"a / a", "float64"},
                                           {"b * 2.5", "float32"},
                                           {"day", "date32"},
                                           {"null", "null"}};
    hr_schema *schema = make_schema();
    for (size_t i = 0; i < HR_COUNTOF(pairs); i++) {
        hr_expr *e = NULL;
        hr_type type;
        char text[64];
        assert_int_equal(hr_expr_parse(pairs[i][0], &e, NULL), HR_OK);
        assert_int_equal(hr_expr_type(e, schema, &type, NULL), HR_OK);
        assert_string_equal(hr_type_print(&type, text, sizeof text), pairs[i][1]);
        hr_expr_unref(&e);
    }
    hr_schema_unref(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain__substitutes_and_prunes),
        cmocka_unit_test(chain__gives_memory_in_place_once),
        cmocka_unit_test(chain__refuses_with_names),
        cmocka_unit_test(program__shares_common_parts),
        cmocka_unit_test(conjuncts__never_exclude_what_the_predicate_keeps),
        cmocka_unit_test(pack__lays_columns_row_by_row),
        cmocka_unit_test(pack__checks_types_nulls_and_names),
        cmocka_unit_test(chain__survives_failing_allocations),
        cmocka_unit_test(type__is_told_without_a_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
