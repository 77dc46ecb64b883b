// SPDX-License-Identifier: Apache-2.0
// Packing columns into one row-major tensor: runs of scalar columns go through the interleave kernel at once, which
// converts and fills; tensors are converted row by row behind each other.
#include "expr/expr_run.h"

#include <math.h>

// Where a row's values stand and who they are.
typedef struct pack_part {
    const hr_node *node;
    const hr_reg *reg;
    int64_t at; // value in the row
} pack_part;

static bool any_null(const hr_frame *f, const hr_reg *reg)
{
    return reg->valid &&
           f->k->bits.count((const uint8_t *)reg->valid, 0, (size_t)f->rows) != (size_t)f->rows;
}

static void convert_fill(const hr_frame *f, const hr_node *n, void *out)
{
    f->k->cast.to[HR_NUM_F64][n->num](out, &n->null_fill, 1);
}

// One value a row, the same for all.
static void put_constant(hr_frame *f, const hr_node *n, char *out, const pack_part *part)
{
    size_t width = hr__num_bytes(n->num), stride = (size_t)n->row_values * width;
    uint8_t value[8];
    if (part->reg->valid)
        convert_fill(f, n, value);
    else
        f->k->cast.to[part->node->num][n->num](value, part->reg->data, 1);
    for (int64_t i = 0; i < f->rows; i++)
        for (int64_t v = 0; v < part->node->row_values; v++)
            memcpy(out + (size_t)i * stride + (size_t)(part->at + v) * width, value, width);
}

static void put_tensor(hr_frame *f, const hr_node *n, char *out, const pack_part *part)
{
    size_t width = hr__num_bytes(n->num), stride = (size_t)n->row_values * width;
    size_t values = (size_t)part->node->row_values, in_width = hr__num_bytes(part->node->num);
    const char *in = part->reg->data;
    uint8_t fill[8];
    convert_fill(f, n, fill);
    for (int64_t i = 0; i < f->rows; i++) {
        char *to = out + (size_t)i * stride + (size_t)part->at * width;
        if (part->reg->valid && !hr__bit(part->reg->valid, i))
            f->k->fill.constant(to, fill, width, values);
        else
            f->k->cast.to[part->node->num][n->num](to, in + (size_t)i * values * in_width, values);
    }
}

// An integer column among integers of its type.
static void put_integer(hr_frame *f, const hr_node *n, char *out, const pack_part *part)
{
    size_t width = hr__num_bytes(n->num), stride = (size_t)n->row_values * width;
    uint8_t fill[8];
    char *to = out + (size_t)part->at * width;
    f->k->interleave.strided(to, stride, part->reg->data, width, width, (size_t)f->rows);
    if (!part->reg->valid)
        return;
    convert_fill(f, n, fill);
    for (int64_t i = 0; i < f->rows; i++)
        if (!hr__bit(part->reg->valid, i))
            memcpy(to + (size_t)i * stride, fill, width);
}

static void flush(hr_frame *f, const hr_node *n, char *out, int64_t at, size_t count)
{
    size_t width = hr__num_bytes(n->num);
    if (count == 0)
        return;
    if (n->num == HR_NUM_F32)
        f->k->interleave.to_f32((float *)(void *)(out + (size_t)at * width), (size_t)n->row_values,
                                f->columns, count, (size_t)f->rows);
    else
        f->k->interleave.to_f64((double *)(void *)(out + (size_t)at * width), (size_t)n->row_values,
                                f->columns, count, (size_t)f->rows);
}

// `args` are the registers of the node's list.
void hr__run_pack(hr_frame *f, const hr_node *n, hr_reg *out, const hr_reg *const *args)
{
    size_t count = 0; // of the run of scalar columns that is being gathered
    int64_t at = 0, run_at = 0;
    out->valid = NULL;
    for (int32_t i = 0; i < n->list_count; i++) {
        pack_part part = {&f->nodes[n->list[i]], args[i], at};
        at += part.node->row_values;
        if (n->null_error && any_null(f, part.reg)) {
            f->status =
                HR_FAIL(f->err, HR_INVALID,
                        "pack: column '%s' has a null in rows %lld to %lld; fill or drop it",
                        n->list_names[i], (long long)f->row, (long long)(f->row + f->rows - 1));
            return;
        }
        bool gather = !part.reg->scalar && !part.node->is_tensor && hr__num_is_float(n->num);
        if (gather) {
            f->columns[count++] = (hr_interleave_column){
                part.reg->data, part.node->num, (const uint8_t *)part.reg->valid, 0, n->null_fill};
            continue;
        }
        flush(f, n, out->data, run_at, count);
        count = 0;
        run_at = at;
        if (part.reg->scalar)
            put_constant(f, n, out->data, &part);
        else if (part.node->is_tensor)
            put_tensor(f, n, out->data, &part);
        else
            put_integer(f, n, out->data, &part);
    }
    flush(f, n, out->data, run_at, count);
}
