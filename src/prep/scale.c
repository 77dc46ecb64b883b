// SPDX-License-Identifier: Apache-2.0
// StandardScaler: (x - mean) / std, std with ddof 0 (the divisor is the count, as scikit-learn has it).
//
// Learning is a merge of moments (count, mean, sum of squared differences; Chan, Golub and LeVeque 1979), so that a
// large mean costs no digits. Nulls and NaN are passed over. A column whose variance is no more than the rounding
// of its mean is constant (scikit-learn's bound: n eps var + (n mean eps)^2) and divides by 1. Applying computes in
// float64 whatever the column is.
#include "prep/prep_parts.h"

#include "base/option.h"
#include "block/block.h"
#include "kernel/kernel.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define CHUNK_ROWS 4096

typedef struct hr_scaler {
    hr_prep base;
    char **columns; // NULL-ended
    int32_t count;
    hr_type_id type;     // of the result
    hr_moments *learned; // count; NULL: not fitted
} hr_scaler;

static const hr_scaler *as_scaler(const hr_prep *prep)
{
    return (const hr_scaler *)prep;
}

static void scaler_close(hr_prep *prep)
{
    hr_scaler *scaler = (hr_scaler *)prep;
    hr__names_free(scaler->columns);
    hr__free(scaler->learned);
}

static hr_status scaler_new(const char *const *columns, hr_type_id type, hr_scaler **out,
                            hr_error *err)
{
    hr_scaler *scaler = NULL;
    HR_TRY(hr__prep_new(&hr__prep_class_scaler, sizeof *scaler, &scaler, err));
    hr_prep *prep = &scaler->base;
    scaler->type = type;
    hr_status status = hr__names_copy(columns, &scaler->columns, &scaler->count, err);
    if (status != HR_OK) {
        hr_prep_unref(&prep);
        return status;
    }
    *out = scaler;
    return HR_OK;
}

static hr_status check_options(const char *const *columns, hr_type_id type, hr_error *err)
{
    if (!columns || !columns[0])
        return HR_FAIL(err, HR_INVALID, "StandardScaler: no columns were named");
    for (const char *const *a = columns; *a; a++)
        for (const char *const *b = columns; b < a; b++)
            if (strcmp(*a, *b) == 0)
                return HR_FAIL(err, HR_INVALID, "StandardScaler: column '%s' is named twice", *a);
    if (type != HR_TYPE_FLOAT64 && type != HR_TYPE_FLOAT32)
        return HR_FAIL(err, HR_INVALID,
                       "StandardScaler: the result is float64 or float32, not type %d", (int)type);
    return HR_OK;
}

hr_status hr_prep_standard_scaler(const char *const *columns,
                                  const hr_standard_scaler_options *options, hr_prep **out,
                                  hr_error *err)
{
    hr_standard_scaler_options given;
    hr_scaler *scaler = NULL;
    HR_TRY(hr__options_copy("StandardScaler", options, &given, sizeof given, err));
    hr_type_id type = given.type == HR_TYPE_NULL ? HR_TYPE_FLOAT64 : given.type;
    HR_TRY(check_options(columns, type, err));
    HR_TRY(scaler_new(columns, type, &scaler, err));
    *out = &scaler->base;
    return HR_OK;
}

static hr_fit_status scaler_fit_status(const hr_prep *prep)
{
    return as_scaler(prep)->learned ? HR_FITTED : HR_NOT_FITTED;
}

// --- learning ---

static const char *const *scaler_columns(const hr_prep *prep)
{
    return (const char *const *)as_scaler(prep)->columns;
}

static hr_status scaler_check(const hr_prep *prep, const hr_schema *schema, hr_error *err)
{
    char text[512];
    for (char **name = as_scaler(prep)->columns; *name; name++) {
        int32_t index = hr_schema_find(schema, *name);
        if (index < 0)
            return HR_FAIL(err, HR_NOT_FOUND, "StandardScaler: no column '%s'; there are: %s",
                           *name, hr__schema_print(schema, text, sizeof text));
        const hr_type *type = hr_schema_field(schema, index)->type;
        if (!hr__type_is_number(type))
            return HR_FAIL(err, HR_INVALID,
                           "StandardScaler: column '%s' is %s; it takes columns of single numbers",
                           *name, hr_type_print(type, text, sizeof text));
    }
    return HR_OK;
}

static size_t scaler_state_bytes(const hr_prep *prep)
{
    return (size_t)as_scaler(prep)->count * sizeof(hr_moments);
}

static hr_num arithmetic_of(hr_type_id id)
{
    static const hr_num nums[] = {
        [HR_TYPE_INT8] = HR_NUM_I8,     [HR_TYPE_INT16] = HR_NUM_I16,
        [HR_TYPE_INT32] = HR_NUM_I32,   [HR_TYPE_INT64] = HR_NUM_I64,
        [HR_TYPE_UINT8] = HR_NUM_U8,    [HR_TYPE_UINT16] = HR_NUM_U16,
        [HR_TYPE_UINT32] = HR_NUM_U32,  [HR_TYPE_UINT64] = HR_NUM_U64,
        [HR_TYPE_FLOAT16] = HR_NUM_F16, [HR_TYPE_BFLOAT16] = HR_NUM_BF16,
        [HR_TYPE_FLOAT32] = HR_NUM_F32, [HR_TYPE_FLOAT64] = HR_NUM_F64,
    };
    return nums[id];
}

// The rows of a chunk that have a value and are no NaN, as bits.
static void mask_nan(const hr_kernels *k, hr_num num, const void *values, const uint8_t *valid,
                     size_t valid_offset, size_t rows, uint8_t *bits_out)
{
    uint8_t bytes[CHUNK_ROWS];
    k->arith.classify[HR_CLASSIFY_NAN][num](bytes, values, rows);
    k->arith.invert(bytes, bytes, rows);
    k->bits.from_bytes(bits_out, 0, bytes, rows);
    if (valid)
        k->bits.logic[HR_LOGIC_AND](bits_out, 0, bits_out, 0, valid, valid_offset, rows);
}

// NaN is rare, so it is not looked for: a chunk whose mean comes out as no number is done again without its NaN.
static void chunk_moments(const hr_kernels *k, hr_num num, const void *values, const uint8_t *valid,
                          size_t valid_offset, size_t rows, hr_moments *total)
{
    hr_moments chunk = {0};
    k->reduce.moments[num](&chunk, values, valid, valid_offset, rows);
    if (!isfinite(chunk.mean) && num >= HR_NUM_INT_COUNT) {
        uint8_t bits[CHUNK_ROWS / 8];
        mask_nan(k, num, values, valid, valid_offset, rows, bits);
        chunk = (hr_moments){0};
        k->reduce.moments[num](&chunk, values, bits, 0, rows);
    }
    k->reduce.moments_merge(total, &chunk);
}

static void column_moments(const hr_column *column, hr_moments *total)
{
    const hr_kernels *k = hr__kernels();
    hr_num num = arithmetic_of(column->type->id);
    size_t width = hr__num_bytes(num);
    float widened[CHUNK_ROWS];
    for (int64_t first = 0; first < column->rows; first += CHUNK_ROWS) {
        size_t rows = (size_t)HR_MIN(column->rows - first, (int64_t)CHUNK_ROWS);
        size_t at = (size_t)(column->offset + first);
        const void *values = (const uint8_t *)column->data + at * width;
        hr_num as = num;
        if (num >= HR_NUM_ARITH_COUNT) { // half floats have no arithmetic of their own
            k->cast.to[num][HR_NUM_F32](widened, values, rows);
            values = widened;
            as = HR_NUM_F32;
        }
        chunk_moments(k, as, values, column->validity, at, rows, total);
    }
}

static hr_status scaler_step(const hr_prep *prep, void *state, const hr_block *block, hr_error *err)
{
    hr_moments *moments = state;
    for (int32_t i = 0; i < as_scaler(prep)->count; i++) {
        int32_t index = hr_schema_find(hr_block_schema(block), as_scaler(prep)->columns[i]);
        if (index < 0)
            return HR_FAIL(err, HR_NOT_FOUND, "StandardScaler: a block has no column '%s'",
                           as_scaler(prep)->columns[i]);
        column_moments(hr_block_column(block, index), &moments[i]);
    }
    return HR_OK;
}

static hr_status scaler_fold(const hr_prep *prep, void *total, const void *state, hr_error *err)
{
    for (int32_t i = 0; i < as_scaler(prep)->count; i++)
        hr__kernels()->reduce.moments_merge((hr_moments *)total + i, (const hr_moments *)state + i);
    return HR_OK;
}

static hr_status scaler_learn(const hr_prep *prep, const void *total, hr_prep **out, hr_error *err)
{
    const hr_moments *moments = total;
    hr_scaler *fitted = NULL;
    for (int32_t i = 0; i < as_scaler(prep)->count; i++)
        if (moments[i].count > 0 && !(isfinite(moments[i].mean) && isfinite(moments[i].m2)))
            return HR_FAIL(err, HR_INVALID,
                           "StandardScaler: column '%s' holds an infinity (or values whose squares "
                           "are): clip() it in a map first",
                           as_scaler(prep)->columns[i]);
    HR_TRY(scaler_new(scaler_columns(prep), as_scaler(prep)->type, &fitted, err));
    hr_prep *base = &fitted->base;
    hr_status status =
        hr__alloc_zero((size_t)fitted->count, sizeof *moments, &fitted->learned, err);
    if (status != HR_OK) {
        hr_prep_unref(&base);
        return status;
    }
    memcpy(fitted->learned, moments, (size_t)fitted->count * sizeof *moments);
    *out = base;
    return HR_OK;
}

// --- applying ---

static double std_of(const hr_moments *m)
{
    if (m->count == 0)
        return (double)NAN;
    double n = (double)m->count;
    double variance = m->m2 / n;
    double rounding = n * m->mean * DBL_EPSILON;
    return variance <= n * DBL_EPSILON * variance + rounding * rounding ? 0.0 : sqrt(variance);
}

// (cast(x, float64) - mean) / std, cast to the result's type.
static hr_status scaled(const hr_scaler *scaler, int32_t i, hr_expr **out, hr_error *err)
{
    hr_status status;
    hr_expr *column = NULL, *wide = NULL, *mean = NULL, *shifted = NULL, *std = NULL, *ratio = NULL;
    double divisor = std_of(&scaler->learned[i]);
    HR_GO(hr_expr_column(scaler->columns[i], &column, err));
    HR_GO(hr_expr_cast(column, HR_TYPE_FLOAT64, &wide, err));
    // Nothing was learned from a column without values: what it holds becomes NaN.
    HR_GO(hr_expr_float(isnan(divisor) ? (double)NAN : scaler->learned[i].mean, &mean, err));
    HR_GO(hr_expr_call("-", (hr_expr *const[]){wide, mean}, 2, &shifted, err));
    HR_GO(hr_expr_float(isnan(divisor) || divisor == 0.0 ? 1.0 : divisor, &std, err));
    HR_GO(hr_expr_call("/", (hr_expr *const[]){shifted, std}, 2, &ratio, err));
    if (scaler->type == HR_TYPE_FLOAT64) {
        *out = ratio;
        ratio = NULL;
    } else {
        status = hr_expr_cast(ratio, scaler->type, out, err);
    }
out:
    hr_expr_unref(&column);
    hr_expr_unref(&wide);
    hr_expr_unref(&mean);
    hr_expr_unref(&shifted);
    hr_expr_unref(&std);
    hr_expr_unref(&ratio);
    return status;
}

static hr_status scaler_transform(const hr_prep *prep, hr_prep_sink *sink, hr_error *err)
{
    const hr_scaler *scaler = as_scaler(prep);
    for (int32_t i = 0; i < scaler->count; i++) {
        hr_expr *expr = NULL;
        HR_TRY(scaled(scaler, i, &expr, err));
        hr_status status = sink->assign(sink, scaler->columns[i], expr, err);
        hr_expr_unref(&expr);
        HR_TRY(status);
    }
    return HR_OK;
}

// --- telling ---

static void scaler_print(const hr_prep *prep, hr_text *out)
{
    const hr_scaler *scaler = as_scaler(prep);
    hr__text_add(out, "StandardScaler(columns=");
    hr__names_print(scaler->columns, out);
    for (int32_t i = 0; scaler->learned && i < scaler->count; i++) {
        const hr_moments *m = &scaler->learned[i];
        hr__text_add(out, "%s'mean(%s)': ", i > 0 ? ", " : ", stats={", scaler->columns[i]);
        hr__text_double(out, m->count > 0 ? m->mean : (double)NAN);
        hr__text_add(out, ", 'std(%s)': ", scaler->columns[i]);
        hr__text_double(out, std_of(m));
    }
    hr__text_add(out, "%s)", scaler->learned ? "}" : "");
}

static hr_status set_stat(json_t *into, const char *stat, const char *column, json_t *value,
                          hr_error *err)
{
    hr_text key;
    hr__text_init(&key, 1 << 20);
    hr__text_add(&key, "%s(%s)", stat, column);
    hr_status status = hr__saved_set(into, hr__text_str(&key), value, err);
    hr__text_finish(&key);
    return status;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static hr_status scaler_learned(const hr_prep *prep, json_t **out, hr_error *err)
{
    const hr_scaler *scaler = as_scaler(prep);
    hr_status status = HR_OK;
    json_t *stats = json_object();
    if (!stats)
        return HR_FAIL(err, HR_NOMEM, "out of memory while saving a preprocessor");
    for (int32_t i = 0; scaler->learned && i < scaler->count; i++) {
        const hr_moments *m = &scaler->learned[i];
        double mean = m->count > 0 ? m->mean : (double)NAN;
        HR_GO(set_stat(stats, "mean", scaler->columns[i], number_or_null(mean), err));
        HR_GO(set_stat(stats, "std", scaler->columns[i], number_or_null(std_of(m)), err));
    }
    *out = stats;
    stats = NULL;
out:
    json_decref(stats);
    return status;
}

// Moments themselves, so that what is loaded is what was saved to the last bit.
static hr_status save_moments(const hr_scaler *scaler, json_t *into, hr_error *err)
{
    json_t *list = json_array();
    hr_status status = HR_OK;
    for (int32_t i = 0; list && status == HR_OK && i < scaler->count; i++) {
        const hr_moments *m = &scaler->learned[i];
        json_t *row = json_pack("[I, f, f]", (json_int_t)m->count, m->mean, m->m2);
        if (!row || json_array_append_new(list, row) != 0)
            status = HR_FAIL(err, HR_NOMEM, "out of memory while saving a preprocessor");
    }
    if (status != HR_OK) {
        json_decref(list);
        return status;
    }
    return hr__saved_set(into, "moments", list, err);
}

static hr_status scaler_save(const hr_prep *prep, json_t *into, hr_error *err)
{
    const hr_scaler *scaler = as_scaler(prep);
    json_t *columns = json_array(), *stats = NULL;
    for (int32_t i = 0; columns && i < scaler->count; i++)
        if (json_array_append_new(columns, json_string(scaler->columns[i])) != 0) {
            json_decref(columns);
            return HR_FAIL(err, HR_NOMEM, "out of memory while saving a preprocessor");
        }
    HR_TRY(hr__saved_set(into, "columns", columns, err));
    HR_TRY(hr__saved_set(
        into, "type", json_string(scaler->type == HR_TYPE_FLOAT64 ? "float64" : "float32"), err));
    if (!scaler->learned)
        return HR_OK;
    HR_TRY(scaler_learned(prep, &stats, err));
    HR_TRY(hr__saved_set(into, "stats", stats, err));
    return save_moments(scaler, into, err);
}

static hr_status load_moments(const json_t *list, hr_scaler *scaler, hr_error *err)
{
    if (!json_is_array(list) || json_array_size(list) != (size_t)scaler->count)
        return HR_FAIL(err, HR_INVALID,
                       "saved StandardScaler: 'moments' has no entry for each of %d columns",
                       (int)scaler->count);
    HR_TRY(
        hr__alloc_zero((size_t)scaler->count + 1, sizeof *scaler->learned, &scaler->learned, err));
    for (int32_t i = 0; i < scaler->count; i++) {
        const json_t *row = json_array_get(list, (size_t)i);
        const json_t *count = json_array_get(row, 0);
        const json_t *mean = json_array_get(row, 1), *m2 = json_array_get(row, 2);
        if (!json_is_integer(count) || json_integer_value(count) < 0 || !json_is_number(mean) ||
            !json_is_number(m2) || json_number_value(m2) < 0)
            return HR_FAIL(err, HR_INVALID,
                           "saved StandardScaler: 'moments[%d]' is not [count, mean, m2]", (int)i);
        scaler->learned[i] = (hr_moments){(uint64_t)json_integer_value(count),
                                          json_number_value(mean), json_number_value(m2)};
    }
    return HR_OK;
}

static hr_status scaler_load(const json_t *from, hr_prep **out, hr_error *err)
{
    hr_status status;
    char **columns = NULL;
    int32_t count = 0;
    const char *type = NULL;
    hr_scaler *scaler = NULL;
    hr_prep *prep = NULL;
    const json_t *moments = json_object_get(from, "moments");
    HR_GO(hr__saved_names(from, "columns", &columns, &count, err));
    HR_GO(hr__saved_text(from, "type", &type, err));
    int id = hr__type_id_parse(type);
    HR_GO(check_options((const char *const *)columns, (hr_type_id)id, err));
    HR_GO(scaler_new((const char *const *)columns, (hr_type_id)id, &scaler, err));
    prep = &scaler->base;
    if (moments)
        HR_GO(load_moments(moments, scaler, err));
    *out = prep;
    prep = NULL;
out:
    hr_prep_unref(&prep);
    hr__names_free(columns);
    return status;
}

const hr_prep_class hr__prep_class_scaler = {
    .name = "StandardScaler",
    .close = scaler_close,
    .fit_status = scaler_fit_status,
    .transform = scaler_transform,
    .print = scaler_print,
    .learned = scaler_learned,
    .save = scaler_save,
    .load = scaler_load,
    .columns = scaler_columns,
    .check = scaler_check,
    .state_bytes = scaler_state_bytes,
    .step = scaler_step,
    .fold = scaler_fold,
    .learn = scaler_learn,
};
