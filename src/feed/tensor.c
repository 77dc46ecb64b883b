// SPDX-License-Identifier: Apache-2.0
//
// A column as a dense row-major array: the block's own memory where that will do, memory of the reader's own where not.
//
//   no nulls, a number, read      the block's memory
//   no nulls, a number, write     the same pages, copied on write, seen by this batch alone (a copy, where the
//                                 same rows are out twice)
//   BOOL, nulls, "nan" on integers   values converted and filled into recycled memory
//
// What a column's tensor has for a type depends on its field and the policy, never on whether this batch happens to
// hold a null: with HR_NULLS_NAN a nullable integer column is float in every batch.
#include "feed/feed_parts.h"

#include "block/block.h"
#include "kernel/kernel.h"
#include <math.h>
#include <string.h>

typedef struct hr_dense_type {
    hr_type_id from;
    hr_num num;
    hr_type_id as; // dates and times come as their integers
} hr_dense_type;

static const hr_dense_type dense_types[] = {
    {HR_TYPE_BOOL, HR_NUM_BOOL, HR_TYPE_BOOL},
    {HR_TYPE_INT8, HR_NUM_I8, HR_TYPE_INT8},
    {HR_TYPE_INT16, HR_NUM_I16, HR_TYPE_INT16},
    {HR_TYPE_INT32, HR_NUM_I32, HR_TYPE_INT32},
    {HR_TYPE_INT64, HR_NUM_I64, HR_TYPE_INT64},
    {HR_TYPE_UINT8, HR_NUM_U8, HR_TYPE_UINT8},
    {HR_TYPE_UINT16, HR_NUM_U16, HR_TYPE_UINT16},
    {HR_TYPE_UINT32, HR_NUM_U32, HR_TYPE_UINT32},
    {HR_TYPE_UINT64, HR_NUM_U64, HR_TYPE_UINT64},
    {HR_TYPE_FLOAT16, HR_NUM_F16, HR_TYPE_FLOAT16},
    {HR_TYPE_BFLOAT16, HR_NUM_BF16, HR_TYPE_BFLOAT16},
    {HR_TYPE_FLOAT32, HR_NUM_F32, HR_TYPE_FLOAT32},
    {HR_TYPE_FLOAT64, HR_NUM_F64, HR_TYPE_FLOAT64},
    {HR_TYPE_DATE32, HR_NUM_I32, HR_TYPE_INT32},
    {HR_TYPE_TIME32, HR_NUM_I32, HR_TYPE_INT32},
    {HR_TYPE_TIME64, HR_NUM_I64, HR_TYPE_INT64},
    {HR_TYPE_TIMESTAMP, HR_NUM_I64, HR_TYPE_INT64},
    {HR_TYPE_DURATION, HR_NUM_I64, HR_TYPE_INT64},
};

static const hr_dense_type *dense_type(hr_type_id id)
{
    for (size_t i = 0; i < HR_COUNTOF(dense_types); i++)
        if (dense_types[i].from == id)
            return &dense_types[i];
    return NULL;
}

// What is to be made of a column.
typedef struct hr_dense_plan {
    const char *name;
    const hr_column *column;
    const hr_dense_type *in;
    const hr_dense_type *out;
    int64_t null_count;
    int64_t row_values;
    double fill; // where a value is null
} hr_dense_plan;

static bool is_float_num(hr_num num)
{
    return num == HR_NUM_F16 || num == HR_NUM_BF16 || num == HR_NUM_F32 || num == HR_NUM_F64;
}

static hr_status fail_type(const char *name, const hr_type *type, hr_error *err)
{
    char text[128];
    const char *use = "read it with hr_batch_column or hr_batch_block";
    if (type->id == HR_TYPE_DECIMAL128 || type->id == HR_TYPE_DECIMAL256)
        use = "cast it to float64 in a map, or read it with hr_batch_column";
    else if (type->id == HR_TYPE_LIST)
        use = "lists of one length are tensors when read with lists=\"auto\"; others: "
              "hr_batch_column gives offsets and items";
    return HR_FAIL(err, HR_INVALID, "column '%s' of type %s has no dense form: %s", name,
                   hr_type_print(type, text, sizeof text), use);
}

// Whether `value` is one of the type's own: an integer column is not filled with 0.5 or 1e30.
static bool fits(hr_num num, double value)
{
    static const double low[HR_NUM_INT_COUNT] = {-128.0, -32768.0, -2147483648.0, -0x1p63,
                                                 0.0,    0.0,      0.0,           0.0};
    static const double high[HR_NUM_INT_COUNT] = {127.0, 32767.0, 2147483647.0, 0x1p63,
                                                  255.0, 65535.0, 4294967295.0, 0x1p64};
    if (is_float_num(num))
        return true;
    if (num == HR_NUM_BOOL)
        return value == 0.0 || value == 1.0;
    if (value != trunc(value) || value < low[num])
        return false;
    return num == HR_NUM_I64 || num == HR_NUM_U64 ? value < high[num] : value <= high[num];
}

// The type under HR_NULLS_NAN: floats keep theirs.
static hr_type_id nan_type(hr_num num)
{
    switch (num) {
    case HR_NUM_I8:
    case HR_NUM_I16:
    case HR_NUM_U8:
    case HR_NUM_U16:
    case HR_NUM_BOOL:
        return HR_TYPE_FLOAT32;
    default:
        return HR_TYPE_FLOAT64;
    }
}

static hr_status make_plan(const hr_batch *batch, int32_t index, hr_nulls nulls, double null_value,
                           hr_dense_plan *plan, hr_error *err)
{
    const hr_schema *schema = hr_block_schema(batch->block);
    const hr_field *field = hr_schema_field(schema, index);
    if (!field)
        return HR_FAIL(err, HR_INVALID, "column %d of a batch of %d columns", (int)index,
                       (int)hr_schema_count(schema));
    const hr_type *type = field->type;
    const hr_type *item = type->id == HR_TYPE_TENSOR ? type->item : type;
    const hr_dense_type *in = dense_type(item->id);
    if (!in)
        return fail_type(field->name, type, err);
    const hr_column *column = hr_block_column(batch->block, index);
    int64_t null_count = column->validity ? hr__column_null_count(column) : 0;
    *plan = (hr_dense_plan){field->name, column, in, in, null_count, hr__type_row_values(type), 0};
    if (nulls == HR_NULLS_NAN && field->nullable && !is_float_num(in->num))
        plan->out = dense_type(nan_type(in->num));
    if (nulls == HR_NULLS_NAN)
        plan->fill = (double)NAN;
    if (nulls == HR_NULLS_VALUE)
        plan->fill = null_value;
    if (nulls == HR_NULLS_VALUE && !fits(in->num, null_value))
        return HR_FAIL(err, HR_INVALID,
                       "column '%s' is %s, and nulls are to become %.17g, which is "
                       "none of its values: give another value, or cast the column",
                       field->name, hr_type_print(type, (char[128]){0}, 128), null_value);
    if (nulls == HR_NULLS_ERROR && null_count > 0)
        return HR_FAIL(err, HR_INVALID,
                       "column '%s' has %lld nulls in rows [%lld, %lld) of its epoch: choose what "
                       "they become (nulls: nan or a value), or fill_null() them in a map",
                       field->name, (long long)null_count, (long long)batch->first_row,
                       (long long)(batch->first_row + hr_batch_rows(batch)));
    return HR_OK;
}

static void describe(const hr_dense_plan *plan, hr_tensor *out)
{
    const hr_type *type = plan->column->type;
    *out = (hr_tensor){.type = plan->out->as, .ndim = 1};
    out->shape[0] = plan->column->rows;
    if (type->id == HR_TYPE_TENSOR) {
        for (int32_t i = 0; i < type->ndim; i++)
            out->shape[1 + i] = type->shape[i];
        out->ndim = 1 + type->ndim;
    }
    out->item_bytes = (int32_t)hr__num_bytes(plan->out->num);
}

static const uint8_t *first_value(const hr_dense_plan *plan)
{
    return (const uint8_t *)plan->column->data +
           (size_t)plan->column->offset * (size_t)plan->row_values * hr__num_bytes(plan->in->num);
}

// Overwrites the rows that are null; what stands there is whatever the producer left.
static void fill_nulls(const hr_dense_plan *plan, uint8_t *values)
{
    const hr_kernels *k = hr__kernels();
    size_t width = hr__num_bytes(plan->out->num);
    size_t row_values = (size_t)plan->row_values;
    uint8_t value[8] = {0};
    k->cast.to[HR_NUM_F64][plan->out->num](value, &plan->fill, 1);
    for (int64_t row = 0; row < plan->column->rows; row++)
        if (!hr__column_is_valid(plan->column, row))
            k->fill.constant(values + (size_t)row * row_values * width, value, width, row_values);
}

// Values of the column in memory of the reader's own: converted, nulls filled.
static void convert(const hr_dense_plan *plan, uint8_t *to)
{
    const hr_kernels *k = hr__kernels();
    size_t count = (size_t)plan->column->rows * (size_t)plan->row_values;
    if (plan->in->num == HR_NUM_BOOL) {
        // A tensor's booleans are bits too; to bytes first, then in place is not possible: the width grows.
        size_t offset = (size_t)plan->column->offset * (size_t)plan->row_values;
        size_t width = hr__num_bytes(plan->out->num);
        uint8_t *bytes =
            to + count * (width - 1); // at the end, so that widening never overtakes it
        k->bits.to_bytes(bytes, plan->column->data, offset, count);
        if (plan->out->num == HR_NUM_F32)
            for (size_t i = 0; i < count; i++) {
                float f = (float)bytes[i];
                memcpy(to + i * sizeof f, &f, sizeof f);
            }
    } else if (count > 0) {
        k->cast.to[plan->in->num][plan->out->num](to, first_value(plan), count);
    }
    if (plan->null_count > 0)
        fill_nulls(plan, to);
}

static hr_made_tensor *find_made(hr_batch *batch, const hr_made_tensor *wanted)
{
    for (hr_made_tensor *m = batch->made; m; m = m->next)
        if (m->column == wanted->column && m->mode == wanted->mode && m->nulls == wanted->nulls &&
            memcmp(&m->null_value, &wanted->null_value, sizeof m->null_value) == 0)
            return m;
    return NULL;
}

static hr_status make_tensor(hr_batch *batch, const hr_dense_plan *plan, hr_made_tensor *made,
                             hr_error *err)
{
    size_t bytes =
        (size_t)plan->column->rows * (size_t)plan->row_values * hr__num_bytes(plan->out->num);
    HR_TRY(hr__end_take_memory(batch->hold->end, bytes, &made->own, err));
    convert(plan, made->own.memory);
    made->tensor.data = made->own.memory;
    made->tensor.writable = true;
    return HR_OK;
}

// The block's own memory under another address, where this batch may write; not writable: there is none. A batch in
// memory of the reader's own is written where it lies.
static hr_status map_writable(hr_batch *batch, const hr_dense_plan *plan, hr_tensor *tensor,
                              hr_error *err)
{
    const uint8_t *data = first_value(plan);
    if (batch->hold->leased && plan->column->rows > 0) {
        uint8_t *span = NULL;
        HR_TRY(hr__batch_private(batch, &span, err));
        if (!span)
            return HR_OK;
        HR_ASSERT(data >= batch->hold->lease.span &&
                  data < batch->hold->lease.span + batch->hold->lease.span_bytes);
        data = span + (data - batch->hold->lease.span);
    }
    tensor->writable = true;
    tensor->data = data;
    return HR_OK;
}

// batch->mutex is held: two threads that ask for the same tensor get the same memory.
static hr_status find_or_make(hr_batch *batch, const hr_dense_plan *plan,
                              const hr_made_tensor *wanted, hr_tensor *out, hr_error *err)
{
    hr_made_tensor *made = find_made(batch, wanted);
    if (!made) {
        HR_TRY(hr__alloc_zero(1, sizeof *made, &made, err));
        *made = *wanted;
        describe(plan, &made->tensor);
        bool own = plan->null_count > 0 || plan->in != plan->out || plan->in->num == HR_NUM_BOOL;
        hr_status status = own ? HR_OK : map_writable(batch, plan, &made->tensor, err);
        if (status == HR_OK && !made->tensor.writable)
            status = make_tensor(batch, plan, made, err);
        if (status != HR_OK) {
            hr__free(made);
            return status;
        }
        made->next = batch->made;
        batch->made = made;
    }
    *out = made->tensor;
    return HR_OK;
}

hr_status hr_batch_tensor(hr_batch *batch, int32_t column, hr_tensor_mode mode, hr_nulls nulls,
                          double null_value, hr_tensor *out, hr_error *err)
{
    if (hr__end_is_foreign(batch->hold->end))
        return HR_FAIL(err, HR_DENIED, "this batch belongs to process %d, and this is a fork of it",
                       (int)batch->hold->end->pid);
    hr_dense_plan plan;
    HR_TRY(make_plan(batch, column, nulls, null_value, &plan, err));
    if (mode == HR_TENSOR_READ && plan.null_count == 0 && plan.in == plan.out &&
        plan.in->num != HR_NUM_BOOL) {
        describe(&plan, out);
        out->data = first_value(&plan);
        return HR_OK;
    }
    hr_made_tensor wanted = {.column = column,
                             .mode = mode,
                             .nulls = nulls,
                             .null_value = nulls == HR_NULLS_VALUE ? null_value : 0.0};
    hr__mutex_lock(&batch->mutex);
    hr_status status = find_or_make(batch, &plan, &wanted, out, err);
    hr__mutex_unlock(&batch->mutex);
    return status;
}

void hr__batch_drop_tensors(hr_batch *batch)
{
    while (batch->made) {
        hr_made_tensor *made = batch->made;
        batch->made = made->next;
        hr__end_give_memory(batch->hold->end, &made->own);
        hr__free(made);
    }
}

// --- values of exactly one type ---

static hr_status exact_values(const hr_batch *batch, const char *name, hr_type_id id,
                              const void **out, hr_error *err)
{
    const hr_column *column = NULL;
    char text[128];
    HR_TRY(hr_batch_column(batch, name, &column, err));
    if (column->type->id != id)
        return HR_FAIL(err, HR_INVALID,
                       "column '%s' is %s, not %s: cast it in a map, or ask for "
                       "what it is",
                       name, hr_type_print(column->type, text, sizeof text),
                       hr_type_print(hr__type_primitive(id), (char[32]){0}, 32));
    int64_t nulls = column->validity ? hr__column_null_count(column) : 0;
    if (nulls > 0)
        return HR_FAIL(err, HR_INVALID,
                       "column '%s' has %lld nulls: use hr_batch_tensor and say "
                       "what they become, or fill_null() them in a map",
                       name, (long long)nulls);
    *out = (const uint8_t *)column->data +
           (size_t)column->offset * (size_t)hr__type_value_bytes(column->type);
    return HR_OK;
}

hr_status hr_batch_f64(const hr_batch *batch, const char *name, const double **out, hr_error *err)
{
    const void *values = NULL;
    HR_TRY(exact_values(batch, name, HR_TYPE_FLOAT64, &values, err));
    *out = values;
    return HR_OK;
}

hr_status hr_batch_f32(const hr_batch *batch, const char *name, const float **out, hr_error *err)
{
    const void *values = NULL;
    HR_TRY(exact_values(batch, name, HR_TYPE_FLOAT32, &values, err));
    *out = values;
    return HR_OK;
}

hr_status hr_batch_i64(const hr_batch *batch, const char *name, const int64_t **out, hr_error *err)
{
    const void *values = NULL;
    HR_TRY(exact_values(batch, name, HR_TYPE_INT64, &values, err));
    *out = values;
    return HR_OK;
}

hr_status hr_batch_i32(const hr_batch *batch, const char *name, const int32_t **out, hr_error *err)
{
    const void *values = NULL;
    HR_TRY(exact_values(batch, name, HR_TYPE_INT32, &values, err));
    *out = values;
    return HR_OK;
}
