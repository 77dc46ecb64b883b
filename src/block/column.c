// SPDX-License-Identifier: Apache-2.0
// One column: views, nulls, and how many bytes its rows are.
//
// A column's row i stands at `offset + i` of its buffers. A list's offsets are rows of its child counted from the
// child's own first row, so a view of a list leaves the child as it is.
#include "block/block.h"
#include "kernel/kernel.h"

hr_column hr__column_slice(const hr_column *column, int64_t first, int64_t rows)
{
    hr_column part = *column;
    HR_ASSERT(first >= 0 && rows >= 0 && first <= column->rows && rows <= column->rows - first);
    part.offset += first;
    part.rows = rows;
    if (column->null_count == column->rows)
        part.null_count = rows;
    else if (column->null_count != 0 && rows != column->rows)
        part.null_count = -1;
    return part;
}

bool hr__column_is_valid(const hr_column *column, int64_t row)
{
    int64_t at = column->offset + row;
    if (column->type->id == HR_TYPE_NULL)
        return false;
    return !column->validity || (column->validity[at >> 3] >> (at & 7) & 1);
}

int64_t hr__column_null_count(const hr_column *column)
{
    if (column->type->id == HR_TYPE_NULL)
        return column->rows;
    if (!column->validity || column->rows == 0)
        return 0;
    if (column->null_count >= 0)
        return column->null_count;
    return column->rows - (int64_t)hr__kernels()->bits.count(
                              column->validity, (size_t)column->offset, (size_t)column->rows);
}

int64_t hr__column_offset(const hr_column *column, int64_t row)
{
    int64_t at = column->offset + row;
    return column->type->large ? ((const int64_t *)column->offsets)[at]
                               : ((const int32_t *)column->offsets)[at];
}

int64_t hr__column_bytes(const hr_column *column)
{
    int64_t bytes = 0, first = 0, rows = column->rows;
    for (const hr_column *c = column; c; c = c->child) {
        bytes += c->validity ? (rows + 7) / 8 : 0;
        if (hr__type_has_offsets(c->type)) {
            int64_t begin = hr__column_offset(c, first), end = hr__column_offset(c, first + rows);
            bytes += (rows + 1) * (c->type->large ? 8 : 4);
            if (!c->child)
                bytes += end - begin;
            first = begin;
            rows = end - begin;
        } else {
            bytes +=
                c->type->id == HR_TYPE_BOOL ? (rows + 7) / 8 : rows * hr_type_row_bytes(c->type);
            first = 0;
            rows = c->child ? c->child->rows : 0;
        }
    }
    return bytes;
}
