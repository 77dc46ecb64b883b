// SPDX-License-Identifier: Apache-2.0
// Rows without a file: row i of an int64 column is i, or a tensor filled with i. What examples and the ingest check run
// over when nothing shall be read.
//
// A fragment is a block of max(1, rows / blocks) rows, the last one takes the rest: 1005 rows in 10 blocks make 11
// (that is how `range_tensor` has always been cut, and scripts count on it).
#include "format/format.h"
#include "base/stats.h"
#include "kernel/kernel.h"
#include <inttypes.h>
#include <stdio.h>

#define FRAGMENTS_MAX (1 << 24)
#define VALUES_MAX    (INT64_C(1) << 40) // in one row

static const hr_format synthetic_format;

typedef struct synthetic {
    hr_reader base;
    hr_fragment_info *infos;
    int64_t block_rows;
    int64_t row_values;
    bool as_range;
} synthetic;

typedef struct synthetic_fragment {
    const synthetic *reader;
    int64_t first; // of the fragment, in the whole
    int64_t rows;
    int32_t column_count;
} synthetic_fragment;

typedef struct synthetic_pass {
    const synthetic_fragment *fragment;
    int64_t next, end; // in the whole
} synthetic_pass;

static void close_reader(hr_reader *reader)
{
    synthetic *s = (synthetic *)reader;
    if (!s)
        return;
    hr_schema_unref(&s->base.schema);
    hr__source_unref(&s->base.source);
    hr__free(s->infos);
    hr__free(s);
}

static hr_status inspect(hr_reader *reader, bool json, hr_text *out, hr_error *err)
{
    const synthetic *s = (const synthetic *)reader;
    char type[256];
    const hr_field *field = hr_schema_field(reader->schema, 0);
    hr_type_print(field->type, type, sizeof type);
    hr__text_add(out,
                 json ? "{\"format\":\"synthetic\",\"name\":\"%s\",\"rows\":%" PRId64
                        ",\"columns\":[{\"name\":\"%s\",\"type\":\"%s\"}],\"blocks\":%d}\n"
                      : "%s: %" PRId64 " rows\n  %s: %s\n  %d blocks\n",
                 reader->source->name, reader->rows, field->name, type, s->base.fragment_count);
    return HR_OK;
}

static bool prune(hr_reader *reader, int32_t fragment, const hr_predicate_term *terms,
                  int32_t term_count)
{
    return false;
}

static hr_status fragment_open(hr_reader *reader, int32_t index, const int32_t *columns,
                               int32_t column_count, hr_scratch *scratch, hr_fragment **out,
                               hr_error *err)
{
    synthetic_fragment *f = NULL;
    if (index < 0 || index >= reader->fragment_count || column_count > 1 ||
        (column_count == 1 && columns[0] != 0))
        return HR_FAIL(err, HR_INVALID, "%s: block %d of %d, %d columns of 1", reader->source->name,
                       index, reader->fragment_count, column_count);
    HR_TRY(hr__alloc_zero(1, sizeof *f, &f, err));
    f->reader = (const synthetic *)reader;
    f->first = index * f->reader->block_rows;
    f->rows = reader->fragments[index].rows;
    f->column_count = column_count;
    *out = (hr_fragment *)f;
    return HR_OK;
}

static void fragment_close(hr_fragment *fragment)
{
    hr__free(fragment);
}

static void fragment_will_need(hr_fragment *fragment, int64_t first, int64_t rows)
{
    // There is nothing to read.
}

static hr_status pass_begin(hr_fragment *fragment, int64_t first, int64_t rows, hr_pass **out,
                            hr_error *err)
{
    const synthetic_fragment *f = (const synthetic_fragment *)fragment;
    synthetic_pass *p = NULL;
    if (first < 0 || rows < 0 || first > f->rows || rows > f->rows - first)
        return HR_FAIL(err, HR_INVALID, "rows %" PRId64 " to %" PRId64 " of %" PRId64, first,
                       first + rows, f->rows);
    HR_TRY(hr__alloc_zero(1, sizeof *p, &p, err));
    p->fragment = f;
    p->next = f->first + first;
    p->end = p->next + rows;
    *out = (hr_pass *)p;
    return HR_OK;
}

static hr_status pass_measure(hr_pass *pass, int32_t i, hr_layout *layout, int32_t node,
                              hr_error *err)
{
    layout->nodes[node].has_validity = false;
    return HR_OK;
}

static hr_status pass_fill(hr_pass *pass, int32_t i, int64_t rows, hr_slot *slot, int64_t at,
                           hr_error *err)
{
    synthetic_pass *p = (synthetic_pass *)pass;
    const synthetic *s = p->fragment->reader;
    if (rows > p->end - p->next)
        return HR_FAIL(err, HR_INVALID, "%" PRId64 " rows, %" PRId64 " are left", rows,
                       p->end - p->next);
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_DECODE);
    int64_t *out = (int64_t *)slot->data + at * s->row_values;
    if (s->as_range)
        hr__kernels()->fill.iota_i64(out, p->next, 1, (size_t)rows);
    else
        hr__kernels()->fill.range_rows(out, p->next, (size_t)s->row_values, (size_t)rows);
    if (slot->validity)
        hr__kernels()->bits.set(slot->validity, (size_t)at, (size_t)rows, true);
    hr__busy_leave(mark);
    p->next += rows;
    return HR_OK;
}

static void pass_end(hr_pass *pass)
{
    hr__free(pass);
}

static const hr_format synthetic_format = {
    .name = "synthetic",
    .close = close_reader,
    .inspect = inspect,
    .prune = prune,
    .fragment_open = fragment_open,
    .fragment_close = fragment_close,
    .fragment_will_need = fragment_will_need,
    .pass_begin = pass_begin,
    .pass_measure = pass_measure,
    .pass_fill = pass_fill,
    .pass_end = pass_end,
};

static hr_status check_shape(const int64_t *shape, int32_t ndim, int64_t *values_out, hr_error *err)
{
    int64_t values = 1;
    if (ndim < 1 || ndim > HR_TENSOR_DIMS_MAX)
        return HR_FAIL(err, HR_INVALID, "range_tensor: %d dimensions, allowed 1 to %d", ndim,
                       HR_TENSOR_DIMS_MAX);
    for (int32_t i = 0; i < ndim; i++) {
        if (shape[i] < 1 || HR_MUL_OVERFLOWS(values, shape[i], &values) || values > VALUES_MAX)
            return HR_FAIL(err, HR_INVALID,
                           "range_tensor: dimension %d is %" PRId64
                           "; each at least 1, their product at most 2^40",
                           i, shape[i]);
    }
    *values_out = values;
    return HR_OK;
}

static hr_status make_schema(synthetic *s, const int64_t *shape, int32_t ndim, const char *column,
                             hr_error *err)
{
    static const hr_type item = {.id = HR_TYPE_INT64};
    hr_type type = item;
    if (!s->as_range) {
        type = (hr_type){.id = HR_TYPE_TENSOR, .ndim = ndim, .item = &item};
        for (int32_t i = 0; i < ndim; i++)
            type.shape[i] = shape[i];
    }
    const hr_field field = {column, &type, false};
    return hr_schema_make(&field, 1, &s->base.schema, err);
}

static hr_status make_fragments(synthetic *s, int64_t rows, int64_t blocks, hr_error *err)
{
    s->block_rows = HR_MAX(rows / blocks, 1);
    int64_t count = rows / s->block_rows + (rows % s->block_rows > 0);
    if (count > FRAGMENTS_MAX)
        return HR_FAIL(err, HR_LIMIT, "%" PRId64 " blocks, allowed %d", count, FRAGMENTS_MAX);
    HR_TRY(hr__alloc_zero((size_t)count, sizeof *s->infos, &s->infos, err));
    for (int64_t i = 0; i < count; i++) {
        int64_t n = HR_MIN(s->block_rows, rows - i * s->block_rows), bytes = 0;
        if (HR_MUL_OVERFLOWS(n, s->row_values * 8, &bytes))
            bytes = INT64_MAX;
        s->infos[i] = (hr_fragment_info){.rows = n, .decoded_bytes = bytes};
    }
    s->base.fragments = s->infos;
    s->base.fragment_count = (int32_t)count;
    s->base.rows = rows;
    return HR_OK;
}

hr_status hr__synthetic_open(int64_t rows, const int64_t *shape, int32_t ndim, int64_t blocks,
                             const char *column, bool as_range, hr_reader **out, hr_error *err)
{
    synthetic *s = NULL;
    hr_status status = HR_OK;
    int64_t row_values = 1;
    if (rows < 0 || blocks < 1)
        return HR_FAIL(err, HR_INVALID,
                       "%" PRId64 " rows in %" PRId64 " blocks: at least 0 and 1 are allowed", rows,
                       blocks);
    if (!as_range)
        HR_TRY(check_shape(shape, ndim, &row_values, err));
    HR_TRY(hr__alloc_zero(1, sizeof *s, &s, err));
    s->base.format = &synthetic_format;
    s->as_range = as_range;
    s->row_values = row_values;
    HR_GO(hr__source_memory("", 0, as_range ? "range" : "range_tensor", &s->base.source, err));
    HR_GO(make_schema(s, shape, ndim, column, err));
    HR_GO(make_fragments(s, rows, blocks, err));
    *out = &s->base;
    return HR_OK;
out:
    close_reader(&s->base);
    return status;
}
