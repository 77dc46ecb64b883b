// SPDX-License-Identifier: Apache-2.0
// Rows of a column into repetition levels, definition levels and runs of valid values (the Dremel form; README of
// apache/parquet-format, "Nested Encoding").
//
//   rep: 0 starts a row, d goes on with the list at depth d
//   def: how much of the branch is there: each optional node and each list that is not empty adds one
//
// Levels are said as runs, so that a tensor's row costs a few calls however many values it has. The walk goes down the
// chain of lists, as deep as the type (at most HR_PQW_NEST_MAX); values that lie one after another in the
// child are put as one run, over the borders of rows.
#include "format/parquet/pq_write.h"

typedef struct shredder {
    hr_pqw_chunk *chunk;
    hr_error *err;
    hr_column leaf;      // where the values lie
    int64_t first, rows; // of the run of valid values that is not put yet
} shredder;

// What a list-like column is at its place.
static void list_range(const hr_column *column, int64_t row, int64_t *begin_out, int64_t *end_out)
{
    int64_t at = column->offset + row;
    if (column->type->id == HR_TYPE_TENSOR) {
        int64_t values = hr__type_row_values(column->type);
        *begin_out = at * values, *end_out = (at + 1) * values;
    } else if (column->type->large) {
        const int64_t *offsets = column->offsets;
        *begin_out = offsets[at], *end_out = offsets[at + 1];
    } else {
        const int32_t *offsets = column->offsets;
        *begin_out = offsets[at], *end_out = offsets[at + 1];
    }
}

// The items of a list-like column as a column, from the first item in memory.
static hr_column items_of(const hr_column *column)
{
    if (column->type->id == HR_TYPE_LIST)
        return *column->child;
    int64_t values = hr__type_row_values(column->type);
    return (hr_column){.type = column->type->item,
                       .rows = (column->offset + column->rows) * values,
                       .data = column->data};
}

static hr_status put_values(shredder *s)
{
    hr_pqw_chunk *chunk = s->chunk;
    if (s->rows == 0)
        return HR_OK;
    int64_t first = s->first, rows = s->rows;
    s->rows = 0;
    if (chunk->leaf.coded)
        return hr__pqw_codes_put(chunk, &s->leaf, first, rows, s->err);
    return hr__pqw_values_put(&chunk->leaf, &s->leaf, first, rows, &chunk->body,
                              &chunk->stored_values, s->err);
}

static hr_status add_valid(shredder *s, int64_t first, int64_t rows)
{
    if (s->rows > 0 && s->first + s->rows == first) {
        s->rows += rows;
        return HR_OK;
    }
    HR_TRY(put_values(s));
    s->first = first;
    s->rows = rows;
    return HR_OK;
}

static hr_status row_valid(const shredder *s, int64_t row, bool *valid_out)
{
    const hr_column *leaf = &s->leaf;
    int64_t code;
    *valid_out = leaf->validity == NULL ||
                 (leaf->validity[(leaf->offset + row) >> 3] >> ((leaf->offset + row) & 7) & 1);
    if (!*valid_out || !s->chunk->leaf.coded)
        return HR_OK;
    return hr__pqw_code_at(s->chunk, leaf, row, &code, valid_out, s->err);
}

// How many rows from `row` on (to `end`) are as valid as it is.
static hr_status valid_run(const shredder *s, int64_t row, int64_t end, bool *valid_out,
                           int64_t *run_out)
{
    const hr_column *leaf = &s->leaf;
    if (s->chunk->leaf.form == HR_PQW_NULL && !s->chunk->leaf.coded) {
        *valid_out = false, *run_out = end - row;
        return HR_OK;
    }
    if (leaf->validity == NULL && !s->chunk->leaf.coded) {
        *valid_out = true, *run_out = end - row;
        return HR_OK;
    }
    HR_TRY(row_valid(s, row, valid_out));
    int64_t next = row + 1;
    uint8_t whole = *valid_out ? 0xff : 0;
    while (next < end) {
        int64_t bit = leaf->offset + next;
        if (!s->chunk->leaf.coded && (bit & 7) == 0 && end - next >= 8 &&
            leaf->validity[bit >> 3] == whole) {
            next += 8;
            continue;
        }
        bool valid;
        HR_TRY(row_valid(s, next, &valid));
        if (valid != *valid_out)
            break;
        next++;
    }
    *run_out = next - row;
    return HR_OK;
}

static hr_status entries(shredder *s, uint32_t rep_first, uint32_t rep_rest, uint32_t def,
                         int64_t count)
{
    hr_pqw_chunk *chunk = s->chunk;
    HR_TRY(hr__pqw_hybrid_run(&chunk->rep, rep_first, 1, s->err));
    HR_TRY(hr__pqw_hybrid_run(&chunk->rep, rep_rest, count - 1, s->err));
    HR_TRY(hr__pqw_hybrid_run(&chunk->def, def, count, s->err));
    chunk->page_values += count;
    return HR_OK;
}

static hr_status refuse_null(const shredder *s)
{
    return HR_FAIL(s->err, HR_INVALID, "column '%s' has a null and is not nullable",
                   s->chunk->leaf.field->name);
}

static hr_status shred_leaf(shredder *s, int64_t first, int64_t rows, bool optional,
                            uint32_t rep_first, uint32_t rep_rest, uint32_t def)
{
    for (int64_t row = first, end = first + rows, run; row < end; row += run) {
        bool valid;
        HR_TRY(valid_run(s, row, end, &valid, &run));
        if (!valid && !optional)
            return refuse_null(s);
        HR_TRY(entries(s, rep_first, rep_rest, def + (optional && valid), run));
        rep_first = rep_rest;
        if (valid)
            HR_TRY(add_valid(s, row, run));
        else
            s->chunk->stats.null_count += run;
    }
    return HR_OK;
}

static hr_status shred_lists(shredder *s, int32_t depth, const hr_column *column, int64_t first,
                             int64_t rows, bool optional, uint32_t rep_first, uint32_t rep_rest,
                             uint32_t def)
{
    if (depth == s->chunk->leaf.nest)
        return shred_leaf(s, first, rows, optional, rep_first, rep_rest, def);
    hr_column items = items_of(column);
    bool item_optional = column->type->id == HR_TYPE_LIST;
    for (int64_t row = first; row < first + rows; row++, rep_first = rep_rest) {
        int64_t begin, end;
        bool valid = column->validity == NULL || hr__column_is_valid(column, row);
        if (!valid && !optional)
            return refuse_null(s);
        list_range(column, row, &begin, &end);
        if (!valid || begin == end) {
            s->chunk->stats.null_count++;
            HR_TRY(entries(s, rep_first, rep_first, def + (optional && valid), 1));
            continue;
        }
        HR_TRY(shred_lists(s, depth + 1, &items, begin, end - begin, item_optional, rep_first,
                           (uint32_t)depth + 1, def + optional + 1));
    }
    return HR_OK;
}

hr_status hr__pqw_shred(hr_pqw_chunk *chunk, const hr_column *column, int64_t first, int64_t rows,
                        hr_error *err)
{
    shredder s = {.chunk = chunk, .err = err, .leaf = *column};
    if (rows == 0)
        return HR_OK;
    for (int32_t i = 0; i < chunk->leaf.nest; i++) {
        hr_column items = items_of(&s.leaf);
        s.leaf = items;
    }
    HR_TRY(shred_lists(&s, 0, column, first, rows, chunk->leaf.field->nullable, 0, 0, 0));
    return put_values(&s);
}

int64_t hr__pqw_rows_bytes(const hr_pqw_leaf *leaf, const hr_column *column, int64_t first,
                           int64_t rows)
{
    hr_column level = *column;
    int64_t begin, end, unused, outer = 0;
    for (int32_t i = 0; i < leaf->nest && rows > 0; i++) {
        list_range(&level, first, &begin, &unused);
        list_range(&level, first + rows - 1, &unused, &end);
        outer += rows; // an empty list has levels too
        hr_column items = items_of(&level);
        level = items;
        first = begin, rows = end - begin;
    }
    if (rows == 0)
        return outer;
    if (leaf->coded)
        return outer + rows * 4;
    if (leaf->form != HR_PQW_TEXT)
        return outer + rows * HR_MAX(leaf->stored_bytes, 1);
    int64_t at = level.offset + first;
    if (level.type->large)
        return outer + 4 * rows + ((const int64_t *)level.offsets)[at + rows] -
               ((const int64_t *)level.offsets)[at];
    return outer + 4 * rows + ((const int32_t *)level.offsets)[at + rows] -
           ((const int32_t *)level.offsets)[at];
}
