// SPDX-License-Identifier: Apache-2.0
// Preprocessors: what they learn, how chains fit, what is applied and saved.
#include "base/unit.h"
#include "block/block.h"
#include "block/wire.h"
#include <headrace/prep.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 5000

typedef struct rig {
    hr_runtime *runtime;
    hr_dataset *dataset;
} rig;

static const char *const two[] = {"a", "b", NULL};

// a: large mean; b: float with nulls and NaN; c: constant.
static hr_block *make_block(int64_t first, int64_t rows)
{
    static const hr_type i64 = {.id = HR_TYPE_INT64}, f32 = {.id = HR_TYPE_FLOAT32};
    static const hr_type f64 = {.id = HR_TYPE_FLOAT64}, str = {.id = HR_TYPE_STRING};
    static const hr_field fields[] = {
        {"a", &i64, false}, {"b", &f32, true}, {"c", &f64, false}, {"s", &str, false}};
    hr_error err = HR_ERROR_INIT;
    hr_schema *schema = NULL;
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_block *block = NULL;
    void *memory = NULL;
    assert_ok(hr_schema_make(fields, 4, &schema, &err), &err);
    assert_ok(hr__layout_init(&layout, schema, rows, &err), &err);
    assert_ok(hr__layout_finish(&layout, &err), &err);
    assert_ok(hr__alloc_aligned(layout.span_bytes, 64, &memory, &err), &err);
    assert_ok(hr__builder_init(&builder, &layout, memory, &err), &err);
    memset(builder.slots[1].validity, 0, (size_t)(rows + 7) / 8);
    for (int64_t i = 0; i < rows; i++) {
        int64_t row = first + i;
        ((int64_t *)builder.slots[0].data)[i] = 1000000000000 + row * row % 977;
        ((float *)builder.slots[1].data)[i] = row % 11 == 3 ? NAN : (float)(row % 101) * 0.37f;
        if (row % 7 != 0)
            ((uint8_t *)builder.slots[1].validity)[i / 8] |= (uint8_t)(1 << (i % 8));
        ((double *)builder.slots[2].data)[i] = 0.1;
        ((int32_t *)builder.slots[3].offsets)[i + 1] = 0;
    }
    builder.slots[1].null_count = -1;
    hr__builder_seal(&builder, rows);
    assert_ok(hr__block_open(memory, layout.span_bytes, schema, HR_VALIDATE_FULL, hr__free, memory,
                             &block, &err),
              &err);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr_schema_unref(&schema);
    return block;
}

static void rig_open(rig *r)
{
    hr_error err = HR_ERROR_INIT;
    hr_runtime_options budget = HR_RUNTIME_OPTIONS_INIT;
    hr_block *blocks[5];
    budget.memory_bytes = 64 << 20;
    budget.threads = 2;
    assert_ok(hr_runtime_open(&budget, &r->runtime, &err), &err);
    for (int i = 0; i < 5; i++)
        blocks[i] = make_block(i * ROWS / 5, ROWS / 5);
    assert_ok(hr_from_blocks(r->runtime, blocks, 5, hr_block_schema(blocks[0]), &r->dataset, &err),
              &err);
    for (int i = 0; i < 5; i++)
        hr_block_unref(&blocks[i]);
}

static void rig_close(rig *r)
{
    hr_dataset_unref(&r->dataset);
    hr_runtime_close(&r->runtime);
}

static hr_prep *scaler(const char *const *columns)
{
    hr_error err = HR_ERROR_INIT;
    hr_prep *prep = NULL;
    assert_ok(hr_prep_standard_scaler(columns, NULL, &prep, &err), &err);
    return prep;
}

// Mean and std of a column by the definition, in long double; NaN and nulls passed over.
static void truth(int column, double *mean, double *std)
{
    hr_block *block = make_block(0, ROWS);
    const hr_column *c = hr_block_column(block, column);
    long double sum = 0, squares = 0;
    int64_t count = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < ROWS; i++) {
            long double x = column == 0   ? (long double)((const int64_t *)c->data)[i]
                            : column == 1 ? (long double)((const float *)c->data)[i]
                                          : (long double)((const double *)c->data)[i];
            if (!hr__column_is_valid(c, i) || isnan(x))
                continue;
            if (pass == 0) {
                sum += x;
                count++;
            } else {
                squares += (x - sum / count) * (x - sum / count);
            }
        }
    *mean = (double)(sum / count);
    *std = (double)sqrtl(squares / count);
    hr_block_unref(&block);
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want)))
        fail_msg("%.17g, expected %.17g", got, want);
}

static double stat(const char *json, const char *name)
{
    const char *at = strstr(json, name);
    assert_non_null(at);
    return strtod(at + strlen(name) + 2, NULL);
}

static void scaler__learns_mean_and_std_to_the_last_digits(void **unused)
{
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_prep *prep = scaler(two), *fitted = NULL;
    char *json = NULL;
    double mean, std;
    rig_open(&r);
    assert_int_equal(hr_prep_fit_status(prep), HR_NOT_FITTED);
    assert_ok(hr_prep_fit(prep, r.dataset, &fitted, &err), &err);
    assert_int_equal(hr_prep_fit_status(fitted), HR_FITTED);
    assert_int_equal(hr_prep_fit_status(prep), HR_NOT_FITTED);
    assert_ok(hr_prep_learned(fitted, &json, &err), &err);
    truth(0, &mean, &std);
    near(stat(json, "mean(a)\""), mean);
    near(stat(json, "std(a)\""), std);
    truth(1, &mean, &std);
    near(stat(json, "mean(b)\""), mean);
    near(stat(json, "std(b)\""), std);
    hr_text_free(json);
    hr_prep_unref(&prep);
    hr_prep_unref(&fitted);
    rig_close(&r);
}

static void scaler__applies_lazily_and_to_a_block_alike(void **unused)
{
    static const char *const three[] = {"a", "b", "c", NULL};
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_prep *prep = scaler(three), *fitted = NULL;
    hr_dataset *ready = NULL;
    hr_block *lazily = NULL, *input = make_block(0, ROWS), *at_once = NULL;
    double mean, std;
    rig_open(&r);
    assert_ok(hr_prep_fit(prep, r.dataset, &fitted, &err), &err);
    assert_ok(hr_prep_transform(fitted, r.dataset, &ready, &err), &err);
    assert_ok(hr_dataset_take(ready, ROWS, &lazily, &err), &err);
    assert_ok(hr_prep_transform_block(fitted, input, &at_once, &err), &err);
    for (int c = 0; c < 3; c++) {
        truth(c, &mean, &std);
        const hr_column *x = hr_block_column(lazily, c), *y = hr_block_column(at_once, c);
        assert_int_equal(x->type->id, HR_TYPE_FLOAT64);
        assert_int_equal(y->type->id, HR_TYPE_FLOAT64);
        for (int64_t i = 0; i < ROWS; i++) {
            double u = ((const double *)x->data)[x->offset + i];
            double v = ((const double *)y->data)[y->offset + i];
            assert_int_equal(hr__column_is_valid(x, i), hr__column_is_valid(y, i));
            if (!hr__column_is_valid(x, i))
                continue;
            assert_true(u == v || (isnan(u) && isnan(v)));
            if (c == 0)
                assert_true(fabs(u - (double)(1000000000000 + i * i % 977 - mean) / std) < 1e-9);
            if (c == 2)
                assert_true(u == 0.0); // constant: divided by 1, not by rounding
        }
    }
    assert_ptr_equal(hr_block_column(at_once, 3)->data, hr_block_column(input, 3)->data);
    hr_block_unref(&input);
    assert_int_equal(hr_block_rows(at_once), ROWS);
    hr_block_unref(&lazily);
    hr_block_unref(&at_once);
    hr_dataset_unref(&ready);
    hr_prep_unref(&prep);
    hr_prep_unref(&fitted);
    rig_close(&r);
}

static void scaler__refuses_what_is_no_number(void **unused)
{
    static const char *const text[] = {"s", NULL}, *const none[] = {"zz", NULL};
    static const char *const repeated[] = {"a", "a", NULL}, *const empty[] = {NULL};
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_prep *fitted = NULL, *prep = NULL;
    hr_dataset *ready = NULL;
    rig_open(&r);
    prep = scaler(text);
    assert_status(hr_prep_fit(prep, r.dataset, &fitted, &err), HR_INVALID);
    assert_message_has(&err, "'s' is string");
    assert_status(hr_prep_transform(prep, r.dataset, &ready, &err), HR_INVALID);
    assert_message_has(&err, "not been fitted");
    hr_prep_unref(&prep);
    prep = scaler(none);
    assert_status(hr_prep_fit(prep, r.dataset, &fitted, &err), HR_NOT_FOUND);
    hr_prep_unref(&prep);
    assert_status(hr_prep_standard_scaler(repeated, NULL, &prep, &err), HR_INVALID);
    assert_status(hr_prep_standard_scaler(empty, NULL, &prep, &err), HR_INVALID);
    rig_close(&r);
}

static hr_status doubled(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    ++*(int *)context;
    *out = hr_block_ref(in);
    return HR_OK;
}

static void count_release(void *context)
{
    *(int *)context += 1000000;
}

static void chain__learns_from_what_comes_before(void **unused)
{
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_prep *parts[3] = {NULL}, *chain = NULL, *nested = NULL, *fitted = NULL, *again = NULL;
    char text[2048], *json = NULL, *second = NULL;
    rig_open(&r);
    assert_ok(hr_prep_map("a = a - 1000000000000; d = c * 2", &parts[0], &err), &err);
    parts[1] = scaler(two);
    parts[2] = scaler((const char *const[]){"a", "d", NULL});
    assert_ok(hr_prep_chain(parts, 3, &chain, &err), &err);
    assert_int_equal(hr_prep_fit_status(chain), HR_NOT_FITTED);
    assert_status(hr_prep_chain(&chain, 1, &nested, &err), HR_INVALID);
    assert_ok(hr_prep_fit(chain, r.dataset, &fitted, &err), &err);
    assert_int_equal(hr_prep_fit_status(fitted), HR_FITTED);
    hr_prep_print(fitted, text, sizeof text);
    assert_non_null(strstr(text,
                           "Chain(preprocessors=(BatchMapper(a = a - 1000000000000; d = c * 2), "
                           "StandardScaler(columns=['a', 'b'], stats={'mean(a)': "));
    assert_ok(hr_prep_learned(fitted, &json, &err), &err);
    double mean, std; // the second scaler saw what the first one made
    truth(0, &mean, &std);
    assert_true(fabs(stat(json, "mean(a)\"") - (mean - 1e12)) < 1e-3);
    const char *last = strrchr(json, '{');
    assert_true(fabs(stat(last, "mean(a)\"")) < 1e-9);
    near(stat(last, "std(a)\""), 1.0);
    hr_text_free(json);
    assert_ok(hr_prep_save(fitted, &json, &err), &err);
    assert_ok(hr_prep_load(json, &again, &err), &err);
    assert_ok(hr_prep_save(again, &second, &err), &err);
    assert_string_equal(json, second);
    assert_int_equal(hr_prep_fit_status(again), HR_FITTED);
    hr_text_free(json);
    hr_text_free(second);
    for (int i = 0; i < 3; i++)
        hr_prep_unref(&parts[i]);
    hr_prep_unref(&chain);
    hr_prep_unref(&fitted);
    hr_prep_unref(&again);
    rig_close(&r);
}

static void function__is_released_once_when_nobody_can_call_it(void **unused)
{
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_function_options options = HR_FUNCTION_OPTIONS_INIT;
    hr_prep *prep = NULL;
    hr_dataset *one = NULL, *two_ = NULL;
    hr_block *block = make_block(0, 10), *out = NULL;
    int calls = 0;
    char *json = NULL;
    options.name = "doubled";
    options.release = count_release;
    options.schema = hr_block_schema(block);
    rig_open(&r);
    assert_ok(hr_prep_map_blocks(doubled, &calls, &options, &prep, &err), &err);
    assert_status(hr_prep_save(prep, &json, &err), HR_UNSUPPORTED);
    assert_ok(hr_prep_transform(prep, r.dataset, &one, &err), &err);
    assert_ok(hr_prep_transform(prep, r.dataset, &two_, &err), &err);
    assert_ok(hr_prep_transform_block(prep, block, &out, &err), &err);
    assert_int_equal(calls, 1);
    hr_prep_unref(&prep);
    hr_dataset_unref(&one);
    assert_int_equal(calls, 1);
    hr_dataset_unref(&two_);
    assert_int_equal(calls, 1000001);
    hr_block_unref(&block);
    hr_block_unref(&out);
    rig_close(&r);
}

static void load__refuses_what_was_not_saved(void **unused)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"headrace\": \"preprocessor\"}",
        "{\"headrace\": \"preprocessor\", \"version\": 2, \"class\": \"Chain\"}",
        "{\"headrace\": \"preprocessor\", \"version\": 1, \"class\": \"Nope\"}",
        "{\"headrace\": \"preprocessor\", \"version\": 1, \"class\": \"Chain\"}",
        "{\"headrace\": \"preprocessor\", \"version\": 1, \"class\": \"Chain\", \"preprocessors\": "
        "[1]}",
        "{\"headrace\": \"preprocessor\", \"version\": 1, \"class\": \"BatchMapper\", "
        "\"assignments\": \"x =\"}",
        "{\"headrace\": \"preprocessor\", \"version\": 1, \"class\": \"StandardScaler\", "
        "\"columns\": [\"a\"], "
        "\"type\": \"string\"}",
        "{\"headrace\": \"preprocessor\", \"version\": 1, \"class\": \"StandardScaler\", "
        "\"columns\": [\"a\"], "
        "\"type\": \"float64\", \"moments\": [[1, 2]]}",
        "{\"headrace\": \"preprocessor\", \"version\": 1, \"class\": \"StandardScaler\", "
        "\"columns\": [3], "
        "\"type\": \"float64\"}",
    };
    for (size_t i = 0; i < HR_COUNTOF(bad); i++) {
        hr_prep *prep = NULL;
        hr_error err = HR_ERROR_INIT;
        assert_true(hr_prep_load(bad[i], &prep, &err) < 0);
        assert_null(prep);
        assert_true(err.message[0] != 0);
    }
}

static hr_status make_and_apply(void *context, hr_error *err)
{
    hr_status status;
    hr_prep *parts[2] = {NULL}, *chain = NULL;
    hr_block *out = NULL;
    HR_GO(hr_prep_map("c = c * 2", &parts[0], err));
    HR_GO(hr_prep_map("d = c + 1", &parts[1], err));
    HR_GO(hr_prep_chain(parts, 2, &chain, err));
    HR_GO(hr_prep_transform_block(chain, context, &out, err));
    near(((const double *)hr_block_column(out, 4)->data)[0], 1.2);
out:
    hr_block_unref(&out);
    hr_prep_unref(&chain);
    hr_prep_unref(&parts[0]);
    hr_prep_unref(&parts[1]);
    return status;
}

static void prep__survives_failing_allocations(void **unused)
{
    hr_block *block = make_block(0, 10);
    assert_true(hr__unit_torture(make_and_apply, block) > 10);
    hr_block_unref(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scaler__learns_mean_and_std_to_the_last_digits),
        cmocka_unit_test(scaler__applies_lazily_and_to_a_block_alike),
        cmocka_unit_test(scaler__refuses_what_is_no_number),
        cmocka_unit_test(chain__learns_from_what_comes_before),
        cmocka_unit_test(function__is_released_once_when_nobody_can_call_it),
        cmocka_unit_test(load__refuses_what_was_not_saved),
        cmocka_unit_test(prep__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
