// SPDX-License-Identifier: Apache-2.0
// Fragments and passes: a row group opened for some columns, and one thread's reading of a range of its rows.
//
// A pass pins the pages of its range when it measures a column; filling walks over them with two cursors: one over rows
// (lists only), one over slots. Values are decoded densely to the front of their rows, then spread over the nulls, in
// chunks that stay in cache.
#include "format/parquet/pq_page.h"
#include "base/stats.h"
#include "kernel/kernel.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SPREAD_ROWS 4096 // decoded densely, then spread, at a time
#define VAR_ROWS    1024

typedef struct pass_column {
    pq_column *column;
    pq_pinned pinned;
    bool measured;
    // Rows (lists): page among the pinned, row in it. Slots: the same.
    size_t row_page, slot_page;
    int64_t row, slot;
    int64_t rows_left;
    pq_cursor cursor;
} pass_column;

typedef struct pass {
    pq_fragment *fragment;
    int64_t first, rows;
    pass_column columns[];
} pass;

// From the last column on. Passes come through the columns in order, again and again: were it the one used longest ago,
// every one would be gone when its turn comes; so the first ones stay.
static uint64_t give_spare(hr_spare *spare, uint64_t bytes)
{
    pq_fragment *f = (pq_fragment *)spare;
    uint64_t done = 0;
    for (int32_t i = f->column_count; i-- > 0 && done < bytes;)
        done += hr__pq_column_spare(&f->columns[i]);
    return done;
}

hr_status hr__pq_fragment_open(hr_reader *reader, int32_t index, const int32_t *columns,
                               int32_t column_count, hr_scratch *scratch, hr_fragment **out,
                               hr_error *err)
{
    pq_reader *r = (pq_reader *)reader;
    pq_fragment *f = NULL;
    if (index < 0 || index >= reader->fragment_count)
        return HR_FAIL(err, HR_INVALID, "%s: row group %d of %d", reader->source->name, index,
                       reader->fragment_count);
    HR_TRY(hr__alloc_zero(1, sizeof *f, &f, err));
    hr_status status = HR_OK;
    f->reader = r;
    f->index = index;
    f->group = &r->file.groups[index];
    f->scratch = scratch;
    f->column_count = column_count;
    HR_GO(hr__alloc_zero((size_t)column_count, sizeof *f->columns, &f->columns, err));
    for (int32_t i = 0; i < column_count; i++) {
        if (columns[i] < 0 || columns[i] >= r->leaf_count) {
            status = HR_FAIL(err, HR_INVALID, "%s: column %d of %d", reader->source->name,
                             columns[i], r->leaf_count);
            goto out;
        }
        pq_column *column = &f->columns[i];
        status = hr__pq_column_open(f, column, &r->leaves[columns[i]], err);
        if (status) {
            column->chunk = NULL;
            goto out;
        }
    }
    f->spare.give = give_spare;
    hr__scratch_add_spare(scratch, &f->spare);
    *out = (hr_fragment *)f;
    return HR_OK;
out:
    hr__pq_fragment_close((hr_fragment *)f);
    return status;
}

hr_status hr__pq_check_headers(hr_reader *reader, hr_scratch *scratch, hr_error *err)
{
    pq_reader *r = (pq_reader *)reader;
    pq_fragment fragment = {.reader = r, .scratch = scratch};
    hr_status status = HR_OK;
    if (r->file.group_count == 0)
        return HR_OK;
    fragment.group = &r->file.groups[0];
    for (int32_t i = 0; status == HR_OK && i < r->file.leaf_count; i++) {
        pq_column column = {0};
        char path[32];
        (void)snprintf(path, sizeof path, "number %d", i);
        const pq_leaf leaf = {.name = path, .path = path, .chunk_index = i, .is_list = true};
        if (hr__pq_column_open(&fragment, &column, &leaf, NULL) != HR_OK)
            continue; // a codec that is not here is no fault of the file
        hr_error own = HR_ERROR_INIT;
        if (hr__pq_headers_check(&column, &own) == HR_CORRUPT) // a limit is none either
            status = hr__error_copy(err, &own);
        hr__pq_column_close(&column);
    }
    return status;
}

void hr__pq_fragment_close(hr_fragment *fragment)
{
    pq_fragment *f = (pq_fragment *)fragment;
    if (!f)
        return;
    if (f->spare.give)
        hr__scratch_remove_spare(f->scratch, &f->spare);
    for (int32_t i = 0; f->columns && i < f->column_count; i++)
        hr__pq_column_close(&f->columns[i]);
    hr__free(f->columns);
    hr__free(f);
}

void hr__pq_fragment_start(hr_fragment *fragment, int64_t first)
{
    pq_fragment *f = (pq_fragment *)fragment;
    for (int32_t i = 0; i < f->column_count; i++)
        f->columns[i].from_row = first;
}

void hr__pq_fragment_will_need(hr_fragment *fragment, int64_t first, int64_t rows)
{
    pq_fragment *f = (pq_fragment *)fragment;
    double all = (double)HR_MAX(f->group->rows, 1);
    for (int32_t i = 0; i < f->column_count; i++) {
        // Where the rows lie is a guess by proportion; a hint needs no more.
        const pq_chunk *chunk = f->columns[i].chunk;
        double from = (double)first / all, part = (double)rows / all;
        hr__source_will_need(f->reader->base.source,
                             (uint64_t)chunk->start +
                                 (uint64_t)(from * (double)chunk->compressed_bytes),
                             (uint64_t)(part * (double)chunk->compressed_bytes) + 65536);
    }
}

hr_status hr__pq_pass_begin(hr_fragment *fragment, int64_t first, int64_t rows, hr_pass **out,
                            hr_error *err)
{
    pq_fragment *f = (pq_fragment *)fragment;
    pass *p = NULL;
    if (first < 0 || rows < 0 || first > f->group->rows || rows > f->group->rows - first)
        return HR_FAIL(err, HR_INVALID,
                       "%s: row group %d: rows %" PRId64 " to %" PRId64 " of %" PRId64,
                       f->reader->base.source->name, f->index, first, first + rows, f->group->rows);
    HR_TRY(hr__alloc_zero(1, sizeof *p + (size_t)f->column_count * sizeof p->columns[0], &p, err));
    p->fragment = f;
    p->first = first;
    p->rows = rows;
    for (int32_t i = 0; i < f->column_count; i++) {
        p->columns[i].column = &f->columns[i];
        p->columns[i].rows_left = rows;
    }
    *out = (hr_pass *)p;
    return HR_OK;
}

// Rows count as passed once all of them were filled: who found no memory, or none for its result, comes again.
void hr__pq_pass_release(hr_pass *pass_, int32_t i)
{
    pass *p = (pass *)pass_;
    pass_column *c = &p->columns[i];
    int64_t passed = c->rows_left == 0 ? p->rows : 0;
    hr__pq_cursor_finish(c->column, &c->cursor);
    hr__pq_column_unpin(c->column, p->first, passed, &c->pinned);
    *c = (pass_column){.column = c->column, .rows_left = passed ? 0 : p->rows};
}

void hr__pq_pass_end(hr_pass *pass_)
{
    pass *p = (pass *)pass_;
    if (!p)
        return;
    for (int32_t i = 0; i < p->fragment->column_count; i++)
        hr__pq_pass_release(pass_, i);
    hr__free(p);
}

// --- measuring ---

typedef struct need {
    bool row_nulls, item_nulls;
    int64_t items, bytes;
} need;

static int64_t dense_before(const pq_page *page, int64_t slot)
{
    if (!page->slot_valid)
        return slot;
    return (int64_t)hr__kernels()->bits.count(page->slot_valid, 0, (size_t)slot);
}

// What slots [from, to) of a page need.
static hr_status measure_slots(pass_column *c, const pq_page *page, int64_t from, int64_t to,
                               need *need_out, hr_error *err)
{
    int64_t bytes = 0, first = dense_before(page, from);
    int64_t count = to - from;
    if (page->slot_valid)
        count =
            (int64_t)hr__kernels()->bits.count(page->slot_valid, (size_t)from, (size_t)(to - from));
    need_out->item_nulls |= count < to - from;
    need_out->items += to - from;
    if (c->column->leaf->convert == PQ_CONVERT_BYTES) {
        hr_status status = hr__pq_var_bytes(c->column, page, first, count, &bytes, err);
        if (status)
            return hr__pq_page_context(c->column, page, status, err);
    }
    if (HR_ADD_OVERFLOWS(need_out->bytes, bytes, &need_out->bytes))
        return HR_FAIL(err, HR_LIMIT, "column '%s': more than 2^63 bytes", c->column->leaf->path);
    return HR_OK;
}

// The slots of rows [first, end) in page `i` of the pinned, its continuation of the row before included.
static void page_slots(const pass *p, const pass_column *c, size_t i, int64_t *from_out,
                       int64_t *to_out)
{
    const pq_page *page = c->pinned.pages.items[i];
    int64_t from = HR_MAX(p->first - page->row_first, 0);
    int64_t to = HR_MIN(p->first + p->rows - page->row_first, page->rows);
    if (c->column->leaf->is_list) {
        // What stands before the first row here continues a row of the page before, if that is ours.
        from = i > 0 && from == 0 ? 0 : page->ends[from];
        to = page->ends[HR_MAX(to, 0)];
    }
    *from_out = from;
    *to_out = to;
}

static bool has_row_nulls(const pass *p, const pq_page *page)
{
    int64_t from = HR_MAX(p->first - page->row_first, 0);
    int64_t to = HR_MIN(p->first + p->rows - page->row_first, page->rows);
    return page->row_valid && to > from &&
           hr__kernels()->bits.count(page->row_valid, (size_t)from, (size_t)(to - from)) <
               (size_t)(to - from);
}

// Where the pass begins in its first page.
static void enter(const pass *p, pass_column *c)
{
    if (c->pinned.pages.count == 0)
        return;
    const pq_page *page = c->pinned.pages.items[0];
    c->row = p->first - page->row_first;
    c->slot = c->column->leaf->is_list ? page->ends[c->row] : c->row;
}

static hr_status pin(pass *p, pass_column *c, hr_error *err)
{
    if (c->measured)
        return HR_OK;
    HR_TRY(hr__pq_column_pin(c->column, p->first, p->rows, &c->pinned, err));
    enter(p, c);
    c->measured = true;
    return HR_OK;
}

hr_status hr__pq_pass_measure(hr_pass *pass_, int32_t i, hr_layout *layout, int32_t node,
                              hr_error *err)
{
    pass *p = (pass *)pass_;
    pass_column *c = &p->columns[i];
    const pq_leaf *leaf = c->column->leaf;
    need all = {0};
    HR_TRY(pin(p, c, err));
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_DECODE);
    hr_status status = HR_OK;
    for (size_t k = 0; k < c->pinned.pages.count && !status; k++) {
        const pq_page *page = c->pinned.pages.items[k];
        int64_t from, to;
        page_slots(p, c, k, &from, &to);
        all.row_nulls |= has_row_nulls(p, page);
        status = measure_slots(c, page, from, to, &all, err);
    }
    hr__busy_leave(mark);
    HR_TRY(status);
    hr_layout_node *n = &layout->nodes[node];
    bool all_null = leaf->convert == PQ_CONVERT_NULL;
    if (leaf->type.id == HR_TYPE_LIST) {
        hr_layout_node *child = &layout->nodes[n->child];
        n->has_validity = all.row_nulls;
        child->has_validity = all.item_nulls && !all_null;
        child->rows = all.items;
        child->data_bytes = all.bytes;
    } else {
        n->has_validity = all.item_nulls && !leaf->is_list && !all_null;
        n->data_bytes = all.bytes;
    }
    return HR_OK;
}

// --- filling ---

static void add_nulls(hr_slot *slot, int64_t nulls)
{
    if (slot->null_count >= 0)
        slot->null_count += nulls;
}

// Dense values, then nulls between them: rows [at, at + rows) of the slot, of which `valid` are in the page.
static hr_status fill_fixed(pass_column *c, const pq_page *page, int64_t rows, int64_t valid,
                            hr_slot *slot, int64_t at, hr_error *err)
{
    size_t width = (size_t)c->column->leaf->value_bytes;
    uint8_t *out = (uint8_t *)slot->data + (size_t)at * width;
    HR_TRY(hr__pq_read_fixed(c->column, &c->cursor, (size_t)valid, out, err));
    if (valid < rows)
        hr__kernels()->spread.spread(out, out, page->slot_valid, (size_t)c->slot, (size_t)rows,
                                     width);
    return HR_OK;
}

static hr_status fill_bits(pass_column *c, const pq_page *page, int64_t rows, int64_t valid,
                           hr_slot *slot, int64_t at, hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    size_t from = (size_t)c->cursor.dense;
    if (valid == rows)
        k->bits.copy(slot->data, (size_t)at, page->values, from, (size_t)rows);
    else if (valid == 0)
        k->bits.set(slot->data, (size_t)at, (size_t)rows, false);
    else
        k->spread.spread_bits(slot->data, (size_t)at, page->values, from, page->slot_valid,
                              (size_t)c->slot, (size_t)rows);
    c->cursor.dense += valid;
    return HR_OK;
}

static int64_t offset_at(const hr_slot *slot, int64_t at)
{
    return slot->type->large ? ((const int64_t *)slot->offsets)[at]
                             : ((const int32_t *)slot->offsets)[at];
}

// offsets[at + 1 ...] from ends[1 ...] that count from `base`; null rows repeat the end before them.
static void put_offsets(hr_slot *slot, int64_t at, int64_t base, const uint32_t *ends,
                        const pq_page *page, int64_t first_slot, int64_t rows, bool spread)
{
    uint32_t expanded[VAR_ROWS + 1];
    if (spread) {
        size_t d = 0;
        for (int64_t i = 0; i < rows; i++) {
            int64_t bit = first_slot + i;
            d += page->slot_valid[bit / 8] >> (bit % 8) & 1;
            expanded[i + 1] = ends[d];
        }
        ends = expanded;
    }
    if (slot->type->large) {
        int64_t *to = (int64_t *)slot->offsets + at + 1;
        for (int64_t i = 0; i < rows; i++)
            to[i] = base + ends[i + 1];
    } else {
        int32_t *to = (int32_t *)slot->offsets + at + 1, low = (int32_t)base;
        for (int64_t i = 0; i < rows; i++)
            to[i] = low + (int32_t)ends[i + 1];
    }
}

static hr_status fill_var(pass_column *c, const pq_page *page, int64_t rows, int64_t valid,
                          hr_slot *slot, int64_t at, hr_error *err)
{
    uint32_t ends[VAR_ROWS + 1];
    int64_t base = offset_at(slot, at);
    HR_ASSERT(rows <= VAR_ROWS && base <= slot->data_bytes);
    ends[0] = 0;
    HR_TRY(hr__pq_read_var(c->column, &c->cursor, (size_t)valid, (uint8_t *)slot->data + base,
                           (size_t)(slot->data_bytes - base), ends, err));
    put_offsets(slot, at, base, ends, page, c->slot, rows, valid < rows);
    return HR_OK;
}

// Rows [at, at + rows) of the slot from slots [c->slot, c->slot + rows) of the page.
static hr_status fill_chunk(pass_column *c, const pq_page *page, int64_t rows, hr_slot *slot,
                            int64_t at, hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    const pq_leaf *leaf = c->column->leaf;
    int64_t valid = rows;
    if (page->slot_valid)
        valid = (int64_t)k->bits.count(page->slot_valid, (size_t)c->slot, (size_t)rows);
    add_nulls(slot, rows - valid);
    if (leaf->convert == PQ_CONVERT_NULL)
        return HR_OK;
    HR_ASSERT(slot->validity || valid == rows);
    if (slot->validity && page->slot_valid)
        k->bits.copy(slot->validity, (size_t)at, page->slot_valid, (size_t)c->slot, (size_t)rows);
    else if (slot->validity)
        k->bits.set(slot->validity, (size_t)at, (size_t)rows, true);
    if (leaf->convert == PQ_CONVERT_BYTES)
        return fill_var(c, page, rows, valid, slot, at, err);
    if (leaf->convert == PQ_CONVERT_BOOL)
        return fill_bits(c, page, rows, valid, slot, at, err);
    return fill_fixed(c, page, rows, valid, slot, at, err);
}

static hr_status fill_slots(pass_column *c, int64_t rows, hr_slot *slot, int64_t at, hr_error *err)
{
    while (rows > 0) {
        HR_ASSERT(c->slot_page < c->pinned.pages.count);
        const pq_page *page = c->pinned.pages.items[c->slot_page];
        if (c->slot == page->slots) {
            c->slot_page++;
            c->slot = 0;
            continue;
        }
        int64_t n = HR_MIN(rows, page->slots - c->slot);
        if (c->column->leaf->convert == PQ_CONVERT_BYTES)
            n = HR_MIN(n, VAR_ROWS);
        else if (page->slot_valid)
            n = HR_MIN(n, SPREAD_ROWS);
        hr_status status = HR_OK;
        if (c->cursor.page != page)
            status =
                hr__pq_cursor_seek(c->column, &c->cursor, page, dense_before(page, c->slot), err);
        if (!status)
            status = fill_chunk(c, page, n, slot, at, err);
        if (status)
            return hr__pq_page_context(c->column, page, status, err);
        c->slot += n;
        at += n;
        rows -= n;
    }
    return HR_OK;
}

static hr_status uneven(pass_column *c, const pq_page *page, int64_t row, int64_t items,
                        hr_error *err)
{
    hr_status status =
        HR_FAIL(err, HR_INVALID,
                "row %" PRId64 " of it has %" PRId64 " items, the tensor has %" PRId64
                ": the lists are not all equally long; read with lists=\"ragged\"",
                row, items, c->column->leaf->row_values);
    return hr__pq_page_context(c->column, page, status, err);
}

// The items of the row that ends a page, those in the pages behind it included.
static int64_t last_row_items(const pass_column *c, size_t at)
{
    const pq_page *page = c->pinned.pages.items[at];
    int64_t items = page->ends[page->rows] - page->ends[page->rows - 1];
    for (size_t i = at + 1; i < c->pinned.pages.count; i++) {
        const pq_page *next = c->pinned.pages.items[i];
        items += next->ends[0];
        if (next->rows > 0)
            break;
    }
    return items;
}

// Calls for each run of rows that begin in one page. Moves the row cursor.
static hr_status fill_tensor(pass_column *c, int64_t rows, hr_slot *slot, int64_t at, hr_error *err)
{
    int64_t values = c->column->leaf->row_values, left = rows;
    while (left > 0) {
        HR_ASSERT(c->row_page < c->pinned.pages.count);
        const pq_page *page = c->pinned.pages.items[c->row_page];
        int64_t n = HR_MIN(left, page->rows - c->row);
        const uint32_t *ends = page->ends + c->row;
        if (page->row_valid || page->slot_valid)
            return hr__pq_page_context(c->column, page,
                                       HR_FAIL(err, HR_INVALID,
                                               "null rows or items in what looked like tensors; "
                                               "read with lists=\"ragged\""),
                                       err);
        for (int64_t i = 0; i < n; i++) {
            int64_t items = ends[i + 1] - ends[i];
            if (c->row + i + 1 == page->rows)
                items = last_row_items(c, c->row_page);
            if (items != values)
                return uneven(c, page, c->row + i, items, err);
        }
        c->row += n;
        left -= n;
        if (c->row == page->rows) {
            c->row_page++;
            c->row = 0;
        }
    }
    return fill_slots(c, rows * values, slot, at * values, err);
}

// Offsets and validity of the rows that begin in one page. Returns the offset behind them.
static int64_t fill_list_rows(pass_column *c, const pq_page *page, int64_t rows, hr_slot *slot,
                              int64_t at)
{
    const hr_kernels *k = hr__kernels();
    int64_t base = offset_at(slot, at) - page->ends[c->row];
    int64_t valid = rows;
    for (int64_t i = 1; i <= rows; i++) {
        int64_t end = base + page->ends[c->row + i];
        if (slot->type->large)
            ((int64_t *)slot->offsets)[at + i] = end;
        else
            ((int32_t *)slot->offsets)[at + i] = (int32_t)end;
    }
    if (page->row_valid)
        valid = (int64_t)k->bits.count(page->row_valid, (size_t)c->row, (size_t)rows);
    HR_ASSERT(slot->validity || valid == rows);
    if (slot->validity && page->row_valid)
        k->bits.copy(slot->validity, (size_t)at, page->row_valid, (size_t)c->row, (size_t)rows);
    else if (slot->validity)
        k->bits.set(slot->validity, (size_t)at, (size_t)rows, true);
    add_nulls(slot, rows - valid);
    return offset_at(slot, at + rows);
}

static hr_status fill_list(pass_column *c, int64_t rows, hr_slot *slot, int64_t at, hr_error *err)
{
    int64_t begin = offset_at(slot, at), end = begin;
    for (int64_t left = rows; left > 0;) {
        HR_ASSERT(c->row_page < c->pinned.pages.count);
        const pq_page *page = c->pinned.pages.items[c->row_page];
        int64_t n = HR_MIN(left, page->rows - c->row);
        if (n > 0) {
            end = fill_list_rows(c, page, n, slot, at);
            c->row += n;
            at += n;
            left -= n;
        }
        if (c->row < page->rows)
            continue;
        if (n > 0) { // the last row goes on behind the page
            end += last_row_items(c, c->row_page) -
                   (page->ends[page->rows] - page->ends[page->rows - 1]);
            if (slot->type->large)
                ((int64_t *)slot->offsets)[at] = end;
            else
                ((int32_t *)slot->offsets)[at] = (int32_t)end;
        }
        c->row_page++;
        c->row = 0;
    }
    HR_ASSERT(end <= slot->child->rows);
    slot->child->written += end - begin;
    return fill_slots(c, end - begin, slot->child, begin, err);
}

hr_status hr__pq_pass_fill(hr_pass *pass_, int32_t i, int64_t rows, hr_slot *slot, int64_t at,
                           hr_error *err)
{
    pass *p = (pass *)pass_;
    pass_column *c = &p->columns[i];
    if (rows > c->rows_left)
        return HR_FAIL(err, HR_INVALID, "column '%s': %" PRId64 " rows, %" PRId64 " are left",
                       c->column->leaf->path, rows, c->rows_left);
    HR_TRY(pin(p, c, err));
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_DECODE);
    hr_status status = HR_OK;
    if (c->column->leaf->type.id == HR_TYPE_TENSOR)
        status = fill_tensor(c, rows, slot, at, err);
    else if (c->column->leaf->is_list)
        status = fill_list(c, rows, slot, at, err);
    else
        status = fill_slots(c, rows, slot, at, err);
    hr__busy_leave(mark);
    c->rows_left -= rows;
    return status;
}
