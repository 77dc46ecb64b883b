// SPDX-License-Identifier: Apache-2.0
// Evaluation: values against scalar references, and the same values however rows are cut, wherever they are written.
#include "base/unit.h"
#include "expr/expr_sample.h"
#include "kernel/kernel.h"

// --- values as a reference sees them ---

typedef struct ref {
    bool null;
    double f;
    int64_t i;
} ref;

static const hr_column *column(const sample *s, const char *name)
{
    return &s->columns[hr_schema_find(s->schema, name)];
}

static ref get(const sample *s, const char *name, int64_t row)
{
    const hr_column *c = column(s, name);
    ref r = {.null = !hr__column_is_valid(c, row)};
    int64_t at = c->offset + row;
    switch (c->type->id) {
    case HR_TYPE_INT8:
        r.i = ((const int8_t *)c->data)[at];
        break;
    case HR_TYPE_UINT8:
        r.i = ((const uint8_t *)c->data)[at];
        break;
    case HR_TYPE_INT32:
    case HR_TYPE_DATE32:
        r.i = ((const int32_t *)c->data)[at];
        break;
    case HR_TYPE_UINT32:
        r.i = ((const uint32_t *)c->data)[at];
        break;
    case HR_TYPE_BOOL:
        r.i = ((const uint8_t *)c->data)[at / 8] >> (at % 8) & 1;
        break;
    case HR_TYPE_FLOAT32:
        r.f = (double)((const float *)c->data)[at];
        return r;
    case HR_TYPE_FLOAT64:
        r.f = ((const double *)c->data)[at];
        return r;
    default:
        r.i = ((const int64_t *)c->data)[at];
    }
    r.f = (double)r.i;
    return r;
}

typedef ref ref_fn(const sample *s, int64_t row);
typedef struct claim {
    const char *text, *type;
    ref_fn *reference;
} claim;

#define G(name) get(s, name, row)
#define REF(name, ...)                                                                             \
    static ref name(const sample *s, int64_t row)                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define NULL_IF(x)                                                                                 \
    if (x)                                                                                         \
        return (ref)                                                                               \
        {                                                                                          \
            .null = true                                                                           \
        }
#define INT(x)                                                                                     \
    return (ref)                                                                                   \
    {                                                                                              \
        .i = (int64_t)(x), .f = (double)(int64_t)(x)                                               \
    }
#define FLT(x)                                                                                     \
    return (ref)                                                                                   \
    {                                                                                              \
        .f = (x)                                                                                   \
    }

REF(add_wraps, ref a = G("i8"); NULL_IF(a.null); INT((int8_t)(a.i + 100));)
REF(twice, ref a = G("i64"); NULL_IF(a.null); INT((uint64_t)a.i * 4);)
REF(mixed_sign, ref a = G("i8"), b = G("u8"); NULL_IF(a.null || b.null); INT((int16_t)(a.i - b.i));)
REF(int_float, ref a = G("i32"), b = G("f32"); NULL_IF(a.null || b.null); FLT(a.f + b.f);)
REF(small_float, ref a = G("i8"), b = G("f32"); NULL_IF(a.null || b.null);
    FLT((double)((float)a.i * (float)b.f));)
REF(true_division, ref a = G("i32"), b = G("i8"); NULL_IF(a.null || b.null); FLT(a.f / b.f);)
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
REF(floors, ref a = G("i32"), b = G("i8"); NULL_IF(a.null || b.null || b.i == 0);
    INT((int32_t)floor_div(a.i, b.i));)
REF(modulo, ref a = G("i32"), b = G("i8"); NULL_IF(a.null || b.null || b.i == 0);
    INT(a.i - b.i * floor_div(a.i, b.i));)
REF(modulo_7, ref a = G("i8"); NULL_IF(a.null); INT(a.i - 7 * floor_div(a.i, 7));)
REF(power_int, ref a = G("i64"); NULL_IF(a.null); uint64_t x = (uint64_t)a.i; INT(x * x * x);)
REF(power_float, ref a = G("f64"); NULL_IF(a.null); FLT(pow(a.f, 3));)
REF(square, ref a = G("f32"); NULL_IF(a.null); FLT((double)((float)a.f * (float)a.f));)
REF(below, ref a = G("i32"); NULL_IF(a.null); INT(a.i < 3);)
REF(below_float, ref a = G("i8"); NULL_IF(a.null); INT(a.f < 2.5);)
REF(nan_differs, ref a = G("f64"), b = G("f32"); NULL_IF(a.null || b.null); INT(a.f != b.f);)
REF(sign_u64, ref a = G("i64"), b = G("u64"); NULL_IF(a.null || b.null);
    INT(a.i < 0 || (uint64_t)a.i < (uint64_t)b.i);)
REF(u64_negative, ref a = G("u64"); NULL_IF(a.null); INT(1);)
REF(too_large, ref a = G("i8"); NULL_IF(a.null); INT(a.i + 300);)
REF(kleene_and, ref a = G("flag"), b = G("i32"); bool fa = !a.null && !a.i;
    bool fb = !b.null && !(b.i > 0); if (fa || fb) INT(0); NULL_IF(a.null || b.null); INT(1);)
REF(kleene_or, ref a = G("flag"), b = G("i32"); bool ta = !a.null && a.i;
    bool tb = !b.null && b.i > 0; if (ta || tb) INT(1); NULL_IF(a.null || b.null); INT(0);)
REF(negated, ref a = G("flag"), b = G("f64"); NULL_IF(a.null || b.null); INT(!a.i == (b.f < 1));)
REF(where_null_is_false, ref c = G("flag"), a = G("i32"), b = G("i8");
    ref r = !c.null && c.i ? a : b; NULL_IF(r.null); INT(r.i);)
REF(clipped, ref a = G("i32"); NULL_IF(a.null); INT(a.i < -3 ? -3 : a.i > 5 ? 5 : a.i);)
REF(least, ref a = G("f64"), b = G("f32"); NULL_IF(a.null || b.null);
    FLT(isnan(a.f) || isnan(b.f) ? NAN : fmin(a.f, b.f));)
REF(logs, ref a = G("i32"); NULL_IF(a.null); FLT(log1p(fabs(a.f)));)
REF(nulls, ref a = G("f64"); INT(a.null);)
REF(not_nulls, ref a = G("s"); INT(!a.null);)
REF(null_sum, ref a = G("i32"), b = G("i8"); INT(a.null || b.null);)
REF(filled, ref a = G("i32"), b = G("i64"); ref r = a.null ? b : a; NULL_IF(r.null); INT(r.i);)
REF(filled_0, ref a = G("f64"); FLT(a.null ? -1.5 : a.f);)
REF(filled_nan, ref a = G("f64"); NULL_IF(a.null); FLT(isnan(a.f) ? 7 : a.f);)
REF(to_bool, ref a = G("f64"); NULL_IF(a.null); INT(a.f != 0);)
REF(from_bool, ref a = G("flag"); NULL_IF(a.null); INT(a.i);)
REF(to_int, ref a = G("f64"); NULL_IF(a.null); INT(isnan(a.f) ? 0 : (int64_t)a.f);)
REF(day_literal, ref a = G("day"); NULL_IF(a.null); INT(a.i >= -5);)
REF(ts_finer, ref a = G("ts"); NULL_IF(a.null); INT(a.i <= 3);)
REF(ts_int, ref a = G("ts"); NULL_IF(a.null); INT(a.i == 4);)
REF(half, ref a = G("f32"); NULL_IF(a.null); FLT(a.f / 2 + 1);)
REF(constant, INT(3);)

static const claim claims[] = {
    {"i8 + 100", "int8", add_wraps},
    {"i64 * 2 * 2", "int64", twice},
    {"i8 - u8", "int16", mixed_sign},
    {"i32 + f32", "float64", int_float},
    {"i8 * f32", "float32", small_float},
    {"i32 / i8", "float64", true_division},
    {"i32 // i8", "int32", floors},
    {"i32 % i8", "int32", modulo},
    {"i8 % 7", "int8", modulo_7},
    {"i64 ** 3", "int64", power_int},
    {"pow(f64, 3)", "float64", power_float},
    {"f32 ** 2", "float32", square},
    {"i32 < 3", "bool", below},
    {"3 > i32", "bool", below},
    {"not i32 >= 3", "bool", below},
    {"i8 < 2.5", "bool", below_float},
    {"f64 != f32", "bool", nan_differs},
    {"i64 < u64", "bool", sign_u64},
    {"u64 > i64", "bool", sign_u64},
    {"u64 > -1", "bool", u64_negative},
    {"i8 + 300", "int64", too_large},
    {"flag and i32 > 0", "bool", kleene_and},
    {"flag or i32 > 0", "bool", kleene_or},
    {"(not flag) == (f64 < 1)", "bool", negated},
    {"where(flag, i32, i8)", "int32", where_null_is_false},
    {"clip(i32, -3, 5)", "int32", clipped},
    {"min(f64, f32)", "float64", least},
    {"log1p(abs(cast(i32, int64)))", "float64", logs},
    {"is_null(f64)", "bool", nulls},
    {"s is not null", "bool", not_nulls},
    {"i32 + i8 is null", "bool", null_sum},
    {"fill_null(i32, i64)", "int64", filled},
    {"fill_null(f64, -1.5)", "float64", filled_0},
    {"fill_nan(f64, 7)", "float64", filled_nan},
    {"cast(f64, bool)", "bool", to_bool},
    {"cast(flag, float32)", "float32", from_bool},
    {"cast(f64, int16)", "int16", to_int},
    {"day >= '1969-12-27'", "bool", day_literal},
    {"'1970-01-01T00:00:00.0000035' > ts", "bool", ts_finer},
    {"ts == 4", "bool", ts_int},
    {"f32 / 2 + 1", "float32", half},
    {"1 + 2", "int64", constant},
};

// Evaluates the only output of `text` over rows [0, rows) in cuts of `cut`.
static hr_slot evaluate(const sample *s, const char *text, int64_t cut, hr_schema **schema_out)
{
    char assignment[512];
    hr_program *p = NULL;
    hr_eval *e = NULL;
    hr_error err = HR_ERROR_INIT;
    snprintf(assignment, sizeof assignment, "out = %s", text);
    if (sample_program(s, assignment, NULL, &p, &err) || hr__eval_open(p, &e, &err))
        fail_msg("%s: %s", text, err.message);
    int64_t bytes = hr__eval_var_bytes(e, 0, s->columns, s->rows);
    hr_slot slot = sample_slot(hr_schema_field(hr__program_schema(p), 0), s->rows, bytes);
    for (int64_t at = 0; at < s->rows; at += cut) {
        hr_column inputs[2 * SAMPLE_TYPES];
        int64_t rows = HR_MIN(cut, s->rows - at);
        for (int i = 0; i < 2 * SAMPLE_TYPES; i++) {
            inputs[i] = s->columns[i];
            inputs[i].offset += at;
            inputs[i].rows = rows;
        }
        if (hr__eval_column(e, 0, inputs, rows, &slot, at, &err))
            fail_msg("%s: %s", text, err.message);
    }
    *schema_out = hr_schema_ref(hr__program_schema(p));
    slot.type = hr_schema_field(*schema_out, 0)->type;
    hr__eval_close(&e);
    hr__program_unref(&p);
    return slot;
}

static void check_claim(const sample *s, const claim *c)
{
    hr_schema *schema;
    hr_slot slot = evaluate(s, c->text, s->rows + 1, &schema);
    hr_column out = sample_slot_column(&slot);
    char type[64];
    assert_string_equal(hr_type_print(slot.type, type, sizeof type), c->type);
    sample read = {.schema = schema, .columns = {out}};
    for (int64_t row = 0; row < s->rows; row++) {
        ref want = c->reference(s, row);
        ref got = {0};
        if (slot.type->id == HR_TYPE_INT16) { // the one type that get does not know
            got.null = !hr__column_is_valid(&out, row);
            got.f = (double)((const int16_t *)slot.data)[row];
        } else {
            got = get(&read, "out", row);
        }
        bool same = got.null == want.null &&
                    (want.null || got.f == want.f || (isnan(got.f) && isnan(want.f)));
        if (!same && !want.null && !got.null && c->reference == logs)
            same = fabs(got.f - want.f) <= 2e-16 * fabs(want.f) * 2;
        if (!same)
            fail_msg("%s, row %lld: %s %g, wanted %s %g", c->text, (long long)row,
                     got.null ? "null" : "", got.f, want.null ? "null" : "", want.f);
    }
    sample_slot_finish(&slot);
    hr_schema_unref(&schema);
}

static void eval__agrees_with_scalar_references(void **state)
{
    static const int64_t sizes[] = {0, 1, 63, 64, 65, 1023, 2048, 2049, 5000};
    for (size_t z = 0; z < HR_COUNTOF(sizes); z++) {
        sample s;
        sample_init(&s, sizes[z], 7 + z);
        for (size_t i = 0; i < HR_COUNTOF(claims); i++)
            check_claim(&s, &claims[i]);
        sample_finish(&s);
    }
}

static const char *const texts[] = {
    "ti * 2 + 1",
    "ti + i64",
    "ti / i8",
    "ti // i32",
    "ti % (i32 - 1)",
    "where(flag, ti, 0)",
    "where(ti > 0, ti, i64)",
    "where(ti > i64, 1, 0)",
    "fill_null(ti, -1)",
    "fill_null(ti * i64, i32)",
    "is_null(ti * i64)",
    "is_null(where(flag, ti, tin // i8))",
    "cast(tf > 0 and flag, uint8)",
    "cast(not (tf > 0 or ti > 0), int8)",
    "min(tf, ti)",
    "sqrt(abs(tf))",
    "fill_nan(tf, f32)",
    "cast(is_null(fill_null(ti, i64)), int8)",
    "tf ** 2",
    "s == 'abc'",
    "s < d",
    "d >= 'b'",
    "'c' == d",
    "not d == s",
    "fill_null(s, 'none')",
    "fill_null(d, s)",
    "where(flag, s, d)",
    "where(i32 > 0, 'pos', null)",
    "fill_null(where(flag, s, null), d)",
    "'x'",
    "null",
    "true",
    "cast(null, float32)",
    "cast(dec, float64)",
    "cast(dec, float32) * 2",
    "is_null(dec)",
    "is_null(nil)",
    "where(flag, nil, i32)",
    "f16 + 1",
    "f16 * f32",
    "floor(f16)",
    "f16 < 0",
    "where(flag, day, dayn)",
    "fill_null(day, '2024-02-29')",
    "max(ts, 3)",
    "cast(ts, int32)",
    "day == dayn",
    "flag != flagn",
    "fill_null(flag, false)",
    "where(flag, flagn, i32 < 0)",
    "is_nan(i32)",
    "is_inf(f64 / 0)",
    "i32 + null",
    "flag and null",
    "flag or null",
    "-u8",
    "sign(f64)",
    "exp(i8) - expm1(i8)",
    "tanh(f32) + sin(f32) * cos(f32)",
    "round(f64) + trunc(f64)",
    "(i32 + i8) * (i32 + i8) - (i8 + i32)",
    "i64 ** 0",
    "f64 ** 0.5",
    "i32 ** -1",
};

static void eval__gives_the_same_however_rows_are_cut(void **state)
{
    static const int64_t cuts[] = {1, 7, 64, 1000};
    sample s;
    sample_init(&s, 2100, 99);
    for (size_t t = 0; t < HR_COUNTOF(texts); t++) {
        hr_schema *whole_schema, *schema;
        hr_slot whole = evaluate(&s, texts[t], s.rows, &whole_schema);
        hr_column want = sample_slot_column(&whole);
        for (size_t c = 0; c < HR_COUNTOF(cuts); c++) {
            hr_slot slot = evaluate(&s, texts[t], cuts[c], &schema);
            hr_column got = sample_slot_column(&slot);
            for (int64_t row = 0; row < s.rows; row++) {
                char a[256], b[256];
                sample_value(&want, row, a, sizeof a);
                sample_value(&got, row, b, sizeof b);
                if (strcmp(a, b) != 0)
                    fail_msg("%s, cut %lld, row %lld: %s, whole %s", texts[t], (long long)cuts[c],
                             (long long)row, b, a);
            }
            sample_slot_finish(&slot);
            hr_schema_unref(&schema);
        }
        sample_slot_finish(&whole);
        hr_schema_unref(&whole_schema);
    }
    sample_finish(&s);
}

// One row of a small table, as JSON.
static void shows(const sample *s, const char *text, int64_t row, const char *want)
{
    hr_schema *schema;
    hr_slot slot = evaluate(s, text, s->rows, &schema);
    hr_column c = sample_slot_column(&slot);
    char got[256];
    if (strcmp(sample_value(&c, row, got, sizeof got), want) != 0)
        fail_msg("%s: %s, wanted %s", text, got, want);
    sample_slot_finish(&slot);
    hr_schema_unref(&schema);
}

static void eval__knows_its_corner_cases(void **state)
{
    sample s;
    sample_init(&s, 100, 3);
    shows(&s, "1 // 0", 0, "null");
    shows(&s, "7 // -2", 0, "-4");
    shows(&s, "-7 % 3", 0, "2");
    shows(&s, "7.5 // 2", 0, "3");
    shows(&s, "2 ** 10", 0, "1024");
    shows(&s, "2 ** -1", 0, "0.5");
    shows(&s, "1 / 0", 0, "null"); // JSON has no infinity
    shows(&s, "0.1 + 0.2", 0, "0.30000000000000004");
    shows(&s, "null and false", 0, "false");
    shows(&s, "null or false", 0, "null");
    shows(&s, "where(null, 1, 2)", 0, "2");
    shows(&s, "fill_null(null, 'a''b')", 0, "\"a'b\"");
    shows(&s, "where(1 < 2, 'yes', 'no')", 0, "\"yes\"");
    shows(&s, "cast(3.99, int8)", 0, "3");
    shows(&s, "cast(300, uint8)", 0, "44");
    shows(&s, "cast(nan, int32)", 0, "0");
    shows(&s, "round(2.5)", 0, "2");
    shows(&s, "min(nan, 1)", 0, "null");
    shows(&s, "9223372036854775807 + 1", 0, "-9223372036854775808");
    shows(&s, "'a' < 'b'", 0, "true");
    shows(&s, "nan != nan", 0, "true");
    sample_finish(&s);
}

// x = (x - 1) * 3 over large tensors: rows are walked in pieces, in place and not.
static void eval__walks_large_tensors_in_pieces_and_in_place(void **state)
{
    enum { ROWS = 5, VALUES = 7000 };
    static const hr_type i64 = {.id = HR_TYPE_INT64};
    static const hr_type tensor = {
        .id = HR_TYPE_TENSOR, .item = &i64, .ndim = 2, .shape = {70, 100}};
    static const char *const program[] = {"x = (x - 1) * 3 + 2 * y", "x = fill_null(x, y) * 2",
                                          "x = where(x > y, x, y) // y"};
    const hr_field fields[] = {{"x", &tensor, true}, {"y", &i64, true}};
    sample s = {0};
    uint64_t seed = 5;
    s.rows = ROWS;
    assert_int_equal(hr_schema_make(fields, 2, &s.schema, NULL), HR_OK);
    for (size_t t = 0; t < HR_COUNTOF(program); t++) {
        hr_program *p = NULL;
        hr_eval *e = NULL;
        assert_int_equal(sample_program(&s, program[t], NULL, &p, NULL), HR_OK);
        assert_int_equal(hr__program_in_place(p, 0), 0);
        assert_true(hr__program_scratch_bytes(p) < 256 << 10);
        assert_int_equal(hr__eval_open(p, &e, NULL), HR_OK);
        hr_slot slot = sample_slot(hr_schema_field(hr__program_schema(p), 0), ROWS, 0);
        hr_slot here = sample_slot(hr_schema_field(hr__program_schema(p), 0), ROWS, 0);
        int64_t *x = here.data, y[ROWS] = {3, 2, 0, -4, 5};
        uint8_t y_valid = 0x0f;
        free(here.validity);
        here.validity = malloc(64);
        memset(here.validity, 0x1d, 64);
        for (int64_t i = 0; i < (int64_t)ROWS * VALUES; i++)
            x[i] = (int64_t)(sample_next(&seed) % 1000) - 500;
        hr_column inputs[] = {
            {.type = &tensor,
             .rows = ROWS,
             .null_count = -1,
             .validity = here.validity,
             .data = here.data},
            {.type = &i64, .rows = ROWS, .null_count = -1, .validity = &y_valid, .data = y}};
        int64_t *old = malloc((size_t)ROWS * VALUES * 8);
        memcpy(old, x, (size_t)ROWS * VALUES * 8);
        assert_int_equal(hr__eval_column(e, 0, inputs, ROWS, &slot, 0, NULL), HR_OK);
        assert_memory_equal(old, x, (size_t)ROWS * VALUES * 8);
        assert_int_equal(hr__eval_columns(e, inputs, ROWS, &here, 0, NULL), HR_OK);
        for (int64_t i = 0; i < (int64_t)ROWS * VALUES; i++) {
            int64_t row = i / VALUES, a = old[i], b = y[row];
            bool va = 0x1d >> row & 1, vb = y_valid >> row & 1;
            bool valid = t == 0 ? va && vb : t == 1 ? va || vb : vb && b != 0;
            int64_t want = t == 0   ? (a - 1) * 3 + 2 * b
                           : t == 1 ? (va ? a : b) * 2
                                    : floor_div(va && a > b ? a : b, b ? b : 1);
            assert_int_equal(slot.validity[0] >> row & 1, valid);
            assert_int_equal(here.validity[0] >> row & 1, valid);
            if (valid) {
                assert_int_equal(((int64_t *)slot.data)[i], want);
                assert_int_equal(x[i], want);
            }
        }
        free(old);
        sample_slot_finish(&slot);
        sample_slot_finish(&here);
        hr__eval_close(&e);
        hr__program_unref(&p);
    }
    sample_finish(&s);
}

static void eval__in_place_equals_out_of_place(void **state)
{
    static const char *const program[] = {
        "f64 = f64 * 2 - i32",    "f64 = where(flag, f64, i64)", "f64 = fill_null(f64, 0)",
        "f64 = fill_nan(f64, 1)", "f64 = cast(f64, int64) ** 3", "f64 = f64 - f64 * f64"};
    sample s;
    sample_init(&s, 3000, 21);
    int32_t f64 = hr_schema_find(s.schema, "f64");
    for (size_t t = 0; t < HR_COUNTOF(program); t++) {
        hr_program *p = NULL;
        hr_eval *e = NULL;
        hr_column inputs[2 * SAMPLE_TYPES];
        char a[64], b[64];
        assert_int_equal(sample_program(&s, program[t], NULL, &p, NULL), HR_OK);
        assert_int_equal(hr__program_in_place(p, 0), f64);
        assert_int_equal(hr__eval_open(p, &e, NULL), HR_OK);
        const hr_field *field = hr_schema_field(hr__program_schema(p), 0);
        hr_slot apart = sample_slot(field, s.rows, 0), here = sample_slot(field, s.rows, 0);
        assert_int_equal(hr__eval_column(e, 0, s.columns, s.rows, &apart, 0, NULL), HR_OK);
        // The input lies in the slot, its validity too.
        memcpy(inputs, s.columns, sizeof inputs);
        const hr_column *c = &s.columns[f64];
        memcpy(here.data, (const double *)c->data + c->offset, (size_t)s.rows * 8);
        if (here.validity)
            hr__kernels()->bits.copy(here.validity, 0, c->validity, (size_t)c->offset,
                                     (size_t)s.rows);
        inputs[f64].data = here.data;
        inputs[f64].offset = 0;
        uint8_t *bits = calloc(1, 1000);
        hr__kernels()->bits.copy(bits, 0, c->validity, (size_t)c->offset, (size_t)s.rows);
        inputs[f64].validity = here.validity ? here.validity : bits;
        assert_int_equal(hr__eval_column(e, 0, inputs, s.rows, &here, 0, NULL), HR_OK);
        hr_column x = sample_slot_column(&apart), y = sample_slot_column(&here);
        for (int64_t row = 0; row < s.rows; row++)
            assert_string_equal(sample_value(&x, row, a, sizeof a),
                                sample_value(&y, row, b, sizeof b));
        free(bits);
        sample_slot_finish(&apart);
        sample_slot_finish(&here);
        hr__eval_close(&e);
        hr__program_unref(&p);
    }
    sample_finish(&s);
}

static void eval__computes_what_stands_behind_a_column_that_passes(void **state)
{
    sample s;
    sample_init(&s, 3000, 5);
    hr_program *p = NULL;
    hr_eval *e = NULL;
    hr_slot slots[4];
    char got[64], want[64];
    assert_int_equal(sample_program(&s, "a = i64; b = i64 * 2; c = s; d = i32 + 1", NULL, &p, NULL),
                     HR_OK);
    assert_int_equal(hr__eval_open(p, &e, NULL), HR_OK);
    for (int i = 0; i < 4; i++)
        slots[i] = sample_slot(hr_schema_field(hr__program_schema(p), i), s.rows, 0);
    assert_int_equal(hr__eval_columns(e, s.columns, s.rows, slots, 0, NULL), HR_OK);
    for (int i = 1; i < 4; i += 2) {
        hr_slot alone = sample_slot(hr_schema_field(hr__program_schema(p), i), s.rows, 0);
        assert_int_equal(hr__eval_column(e, i, s.columns, s.rows, &alone, 0, NULL), HR_OK);
        hr_column x = sample_slot_column(&slots[i]), y = sample_slot_column(&alone);
        for (int64_t row = 0; row < s.rows; row++)
            assert_string_equal(sample_value(&x, row, got, sizeof got),
                                sample_value(&y, row, want, sizeof want));
        sample_slot_finish(&alone);
    }
    for (int i = 0; i < 4; i++)
        sample_slot_finish(&slots[i]);
    hr__eval_close(&e);
    hr__program_unref(&p);
    sample_finish(&s);
}

static void eval__filters_by_true_alone(void **state)
{
    static const struct {
        const char *filter;
        ref_fn *reference;
    } filters[] = {
        {"i32 < 3", below},     {"flag and i32 > 0", kleene_and}, {"flag or i32 > 0", kleene_or},
        {"f64 is null", nulls}, {"i64 < u64", sign_u64},          {"true", constant}};
    static uint32_t selected[SAMPLE_ROWS_MAX];
    sample s;
    sample_init(&s, SAMPLE_ROWS_MAX, 4);
    for (size_t t = 0; t < HR_COUNTOF(filters); t++) {
        hr_program *p = NULL;
        hr_eval *e = NULL;
        int64_t count = 0, want = 0;
        assert_int_equal(sample_program(&s, NULL, filters[t].filter, &p, NULL), HR_OK);
        assert_int_equal(hr__eval_open(p, &e, NULL), HR_OK);
        assert_int_equal(hr__eval_filter(e, s.columns, s.rows, selected, &count, NULL), HR_OK);
        for (int64_t row = 0; row < s.rows; row++) {
            ref r = filters[t].reference(&s, row);
            if (r.null || r.i == 0)
                continue;
            assert_true(want < count);
            assert_int_equal(selected[want++], row);
        }
        assert_int_equal(want, count);
        hr__eval_close(&e);
        hr__program_unref(&p);
    }
    sample_finish(&s);
}

static void eval__refuses_a_null_where_there_is_no_room_for_one(void **state)
{
    sample s;
    hr_program *p = NULL;
    hr_eval *e = NULL;
    hr_error err = HR_ERROR_INIT;
    sample_init(&s, 100, 4);
    assert_int_equal(sample_program(&s, "y = i32 + 1", NULL, &p, NULL), HR_OK);
    assert_int_equal(hr__eval_open(p, &e, NULL), HR_OK);
    hr_slot slot = sample_slot(hr_schema_field(hr__program_schema(p), 0), s.rows, 0);
    free(slot.validity);
    slot.validity = NULL;
    assert_int_equal(hr__eval_column(e, 0, s.columns, s.rows, &slot, 0, &err), HR_INVALID);
    assert_non_null(strstr(err.message, "'y'"));
    sample_slot_finish(&slot);
    hr__eval_close(&e);
    hr__program_unref(&p);
    sample_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eval__agrees_with_scalar_references),
        cmocka_unit_test(eval__gives_the_same_however_rows_are_cut),
        cmocka_unit_test(eval__knows_its_corner_cases),
        cmocka_unit_test(eval__walks_large_tensors_in_pieces_and_in_place),
        cmocka_unit_test(eval__in_place_equals_out_of_place),
        cmocka_unit_test(eval__computes_what_stands_behind_a_column_that_passes),
        cmocka_unit_test(eval__filters_by_true_alone),
        cmocka_unit_test(eval__refuses_a_null_where_there_is_no_room_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
