// SPDX-License-Identifier: Apache-2.0
// A reader with one more column, the last: where each row stands in its source. It wraps any other reader; the numbers
// cost an iota, and whoever reads them alone decodes nothing.
#include "format/format.h"
#include "kernel/kernel.h"

typedef struct numbered {
    hr_reader base;
    hr_reader *inner;
    int64_t first_number;
    int64_t *fragment_rows; // rows before each fragment
} numbered;

typedef struct numbered_fragment {
    const numbered *reader;
    hr_fragment *inner;
    int64_t first_number;
    int32_t inner_columns; // those before our own
} numbered_fragment;

typedef struct numbered_pass {
    const numbered_fragment *fragment;
    hr_pass *inner;
    int64_t next;
} numbered_pass;

static const hr_format *format_of(const numbered *r)
{
    return r->inner->format;
}

static void close_reader(hr_reader *reader)
{
    numbered *r = (numbered *)reader;
    hr__reader_close(&r->inner);
    hr_schema_unref(&r->base.schema);
    hr__free(r->fragment_rows);
    hr__free(r);
}

static hr_status inspect(hr_reader *reader, bool json, hr_text *out, hr_error *err)
{
    numbered *r = (numbered *)reader;
    return format_of(r)->inspect(r->inner, json, out, err);
}

// A fragment goes when one term cannot be; nothing is known about terms of our own column.
static bool prune(hr_reader *reader, int32_t fragment, const hr_predicate_term *terms,
                  int32_t term_count)
{
    numbered *r = (numbered *)reader;
    int32_t columns = hr_schema_count(r->inner->schema);
    for (int32_t i = 0; format_of(r)->prune && i < term_count; i++)
        if (terms[i].column < columns && format_of(r)->prune(r->inner, fragment, &terms[i], 1))
            return true;
    return false;
}

static hr_status fragment_open(hr_reader *reader, int32_t index, const int32_t *columns,
                               int32_t column_count, hr_scratch *scratch, hr_fragment **out,
                               hr_error *err)
{
    numbered *r = (numbered *)reader;
    int32_t own = hr_schema_count(r->inner->schema), count = column_count;
    numbered_fragment *f = NULL;
    if (count > 0 && columns[count - 1] == own)
        count--;
    HR_TRY(hr__alloc_zero(1, sizeof *f, &f, err));
    hr_status status =
        format_of(r)->fragment_open(r->inner, index, columns, count, scratch, &f->inner, err);
    if (status != HR_OK) {
        hr__free(f);
        return status;
    }
    f->reader = r;
    f->first_number = r->first_number + r->fragment_rows[index];
    f->inner_columns = count;
    *out = (hr_fragment *)f;
    return HR_OK;
}

static void fragment_close(hr_fragment *fragment)
{
    numbered_fragment *f = (numbered_fragment *)fragment;
    format_of(f->reader)->fragment_close(f->inner);
    hr__free(f);
}

static void fragment_start(hr_fragment *fragment, int64_t first)
{
    numbered_fragment *f = (numbered_fragment *)fragment;
    if (format_of(f->reader)->fragment_start)
        format_of(f->reader)->fragment_start(f->inner, first);
}

static void fragment_will_need(hr_fragment *fragment, int64_t first, int64_t rows)
{
    numbered_fragment *f = (numbered_fragment *)fragment;
    format_of(f->reader)->fragment_will_need(f->inner, first, rows);
}

static hr_status pass_begin(hr_fragment *fragment, int64_t first, int64_t rows, hr_pass **out,
                            hr_error *err)
{
    numbered_fragment *f = (numbered_fragment *)fragment;
    numbered_pass *p = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *p, &p, err));
    hr_status status = format_of(f->reader)->pass_begin(f->inner, first, rows, &p->inner, err);
    if (status != HR_OK) {
        hr__free(p);
        return status;
    }
    p->fragment = f;
    p->next = f->first_number + first;
    *out = (hr_pass *)p;
    return HR_OK;
}

static hr_status pass_measure(hr_pass *pass, int32_t i, hr_layout *layout, int32_t node,
                              hr_error *err)
{
    numbered_pass *p = (numbered_pass *)pass;
    if (i < p->fragment->inner_columns)
        return format_of(p->fragment->reader)->pass_measure(p->inner, i, layout, node, err);
    layout->nodes[node].has_validity = false;
    return HR_OK;
}

static hr_status pass_fill(hr_pass *pass, int32_t i, int64_t rows, hr_slot *slot, int64_t at,
                           hr_error *err)
{
    numbered_pass *p = (numbered_pass *)pass;
    if (i < p->fragment->inner_columns)
        return format_of(p->fragment->reader)->pass_fill(p->inner, i, rows, slot, at, err);
    hr__kernels()->fill.iota_i64((int64_t *)slot->data + at, p->next, 1, (size_t)rows);
    if (slot->validity)
        hr__kernels()->bits.set(slot->validity, (size_t)at, (size_t)rows, true);
    p->next += rows;
    return HR_OK;
}

static void pass_release(hr_pass *pass, int32_t i)
{
    numbered_pass *p = (numbered_pass *)pass;
    if (i < p->fragment->inner_columns && format_of(p->fragment->reader)->pass_release)
        format_of(p->fragment->reader)->pass_release(p->inner, i);
}

static void pass_end(hr_pass *pass)
{
    numbered_pass *p = (numbered_pass *)pass;
    format_of(p->fragment->reader)->pass_end(p->inner);
    hr__free(p);
}

static const hr_format numbered_format = {
    .name = "numbered",
    .close = close_reader,
    .inspect = inspect,
    .prune = prune,
    .fragment_open = fragment_open,
    .fragment_close = fragment_close,
    .fragment_start = fragment_start,
    .fragment_will_need = fragment_will_need,
    .pass_begin = pass_begin,
    .pass_measure = pass_measure,
    .pass_fill = pass_fill,
    .pass_release = pass_release,
    .pass_end = pass_end,
};

static hr_status make_schema(const hr_schema *inner, const char *name, hr_schema **out,
                             hr_error *err)
{
    static const hr_type number = {.id = HR_TYPE_INT64};
    int32_t count = hr_schema_count(inner);
    hr_field *fields = NULL;
    if (hr_schema_find(inner, name) >= 0)
        return HR_FAIL(err, HR_INVALID, "row_numbers: there is a column '%s' already", name);
    HR_TRY(hr__alloc_zero((size_t)count + 1, sizeof *fields, &fields, err));
    for (int32_t i = 0; i < count; i++)
        fields[i] = *hr_schema_field(inner, i);
    fields[count] = (hr_field){name, &number, false};
    hr_status status = hr_schema_make(fields, count + 1, out, err);
    hr__free(fields);
    return status;
}

hr_status hr__numbered_open(hr_reader **inner, const char *name, int64_t first_number,
                            hr_reader **out, hr_error *err)
{
    numbered *r = NULL;
    hr_reader *taken = *inner;
    hr_status status;
    *inner = NULL;
    HR_GO(hr__alloc_zero(1, sizeof *r, &r, err));
    r->base = *taken;
    r->base.format = &numbered_format;
    r->base.schema = NULL;
    r->first_number = first_number;
    HR_GO(hr__alloc_zero((size_t)HR_MAX(taken->fragment_count, 1), sizeof *r->fragment_rows,
                         &r->fragment_rows, err));
    for (int32_t i = 1; i < taken->fragment_count; i++)
        r->fragment_rows[i] = r->fragment_rows[i - 1] + taken->fragments[i - 1].rows;
    HR_GO(make_schema(taken->schema, name, &r->base.schema, err));
    r->inner = taken;
    *out = &r->base;
    return HR_OK;
out:
    if (r)
        hr__free(r->fragment_rows);
    hr__free(r);
    hr__reader_close(&taken);
    return status;
}
