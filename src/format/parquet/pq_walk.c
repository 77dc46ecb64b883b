// SPDX-License-Identifier: Apache-2.0
// Finding pages: from header to header through a window of the file.
//
// The window adapts: while pages are small it grows (to 1 MiB) and holds them whole, so that a chunk of many small
// pages costs a read a MiB; when pages are large it shrinks to what a header needs, and each page's bytes are read by
// the thread that prepares it.
//
// Pages before the row that a fragment is entered at are passed over: where they are not small their headers alone are
// read, and windows are not kept for them. How many rows they hold is told by their headers, of lists in v1 pages by
// their levels alone, which nobody reads then; save of tensors, whose rows all have the same count of items.
#include "format/parquet/pq_page.h"

#define WINDOW_LEAST_BYTES (4u << 10)
#define WINDOW_MOST_BYTES  (1u << 20)
// Headers read alone: a system call costs about as much as copying this much.
#define PASS_BYTES_MIN    (8u << 10)
#define PASS_HEADER_BYTES 512

void hr__pq_window_unref(pq_column *column, pq_window **window)
{
    pq_window *w = *window;
    *window = NULL;
    if (!w || --w->refs > 0)
        return;
    hr__scratch_give(column->fragment->scratch, w->data);
    hr__free(w);
}

hr_status hr__pq_window_read(pq_column *column, uint64_t at, size_t bytes, pq_window **out,
                             hr_error *err)
{
    pq_window *w = NULL;
    hr_status status = HR_OK;
    HR_TRY(hr__alloc_zero(1, sizeof *w, &w, err));
    w->begin = at;
    w->bytes = bytes;
    w->refs = 1;
    HR_GO(hr__scratch_take(column->fragment->scratch, w->bytes, &w->data, err));
    HR_GO(hr__pq_read(column, w->begin, w->bytes, w->data, err));
    *out = w;
    return HR_OK;
out:
    hr__scratch_give(column->fragment->scratch, w->data);
    hr__free(w);
    return status;
}

// A new window from the walk's place.
static hr_status move_window(pq_column *column, size_t bytes, hr_error *err)
{
    pq_window *w = NULL;
    uint64_t left = column->end_at - column->next_at;
    HR_TRY(hr__pq_window_read(column, column->next_at, (size_t)HR_MIN(bytes, left), &w, err));
    hr__mutex_lock(&column->mutex);
    hr__pq_window_unref(column, &column->window);
    column->window = w;
    hr__mutex_unlock(&column->mutex);
    return HR_OK;
}

static bool in_window(const pq_window *w, uint64_t at)
{
    return w && at >= w->begin && at < w->begin + w->bytes;
}

// Whether the next page's header is all that is wanted of it, so far as the page before tells.
static bool passes_over(const pq_column *column)
{
    return column->rows_seen >= 0 && column->last_bytes >= PASS_BYTES_MIN &&
           column->rows_seen + column->last_rows < column->from_row;
}

static hr_status header_alone(pq_column *column, pq_header *h, size_t *bytes_out, hr_error *err)
{
    uint8_t bytes[PASS_HEADER_BYTES];
    uint64_t left = column->end_at - column->next_at;
    size_t count = (size_t)HR_MIN(sizeof bytes, left);
    HR_TRY(hr__pq_read(column, column->next_at, count, bytes, err));
    return hr__pq_header_parse(bytes, count, count == left, h, bytes_out, err);
}

static hr_status next_header(pq_column *column, pq_header *h, size_t *bytes_out, hr_error *err)
{
    size_t want = column->window_bytes;
    if (passes_over(column) && !in_window(column->window, column->next_at)) {
        HR_TRY(header_alone(column, h, bytes_out, err));
        if (*bytes_out > 0)
            return HR_OK;
    }
    for (;;) {
        const pq_window *w = column->window;
        uint64_t left = column->end_at - column->next_at;
        size_t there = 0;
        if (in_window(w, column->next_at))
            there = (size_t)(w->begin + w->bytes - column->next_at);
        if (there > 0)
            HR_TRY(hr__pq_header_parse(w->data + (column->next_at - w->begin), there, there == left,
                                       h, bytes_out, err));
        if (there > 0 && *bytes_out > 0)
            return HR_OK;
        if (there >= PQ_HEADER_BYTES_MAX)
            return HR_FAIL(err, HR_LIMIT, "its header takes more than %u bytes",
                           PQ_HEADER_BYTES_MAX);
        while (want <= there)
            want *= 4;
        HR_TRY(move_window(column, want, err));
    }
}

static hr_status check_header(const pq_column *column, const pq_header *h, size_t header_bytes,
                              hr_error *err)
{
    return hr__pq_header_check(column, h, column->end_at - column->next_at - header_bytes,
                               column->chunk->values - column->levels_seen, err);
}

static void set_window(pq_column *column, const pq_header *h, bool inside)
{
    if (inside)
        column->window_bytes = HR_MIN(column->window_bytes * 2, WINDOW_MOST_BYTES);
    else if ((uint32_t)h->stored_bytes > PQ_LARGE_PAGE_BYTES)
        column->window_bytes = WINDOW_LEAST_BYTES;
    else
        column->window_bytes = WINDOW_MOST_BYTES / 4;
}

// How many rows begin in a page; -1: its header does not tell.
static int64_t count_rows(const pq_column *column, const pq_page *page)
{
    int64_t items = column->leaf->row_values, end = column->levels_seen + page->level_count;
    if (!column->leaf->is_list)
        return page->level_count;
    if (page->is_v2)
        return page->v2_rows;
    // Each level is an item of a tensor. Only where all of the page is passed over: what is read says for itself.
    if (items == 0 || column->rows_seen < 0 || end > column->from_row * items)
        return -1;
    return (end + items - 1) / items - (column->levels_seen + items - 1) / items;
}

static void find_rows(pq_column *column, pq_page *page)
{
    int64_t items = column->leaf->row_values;
    page->row_first = page->continued = -1;
    page->rows = count_rows(column, page);
    if (items > 0 && column->from_row > 0 && column->rows_seen >= 0)
        page->continued = HR_MIN((items - column->levels_seen % items) % items, page->level_count);
    column->last_bytes = page->stored_bytes;
    column->last_rows = HR_MAX(page->rows, 0);
    column->levels_seen += page->level_count;
    if (page->rows < 0 || column->rows_seen < 0)
        column->rows_seen = -1;
    else
        column->rows_seen += page->rows;
}

static hr_status take_page(pq_column *column, pq_page *page, bool inside, pq_page **out,
                           hr_error *err)
{
    HR_TRY(hr__alloc_zero(1, sizeof **out, out, err));
    find_rows(column, page);
    // Rows that end before it are hardly asked for: then the page is read from the file.
    bool passed =
        page->rows >= 0 && column->rows_seen >= 0 && column->rows_seen <= column->from_row;
    page->window = inside && !passed ? column->window : NULL;
    **out = *page;
    if (page->window) {
        hr__mutex_lock(&column->mutex);
        column->window->refs++;
        hr__mutex_unlock(&column->mutex);
    }
    return HR_OK;
}

static hr_status walk_one(pq_column *column, pq_header *h, pq_page **out, hr_error *err)
{
    size_t header_bytes = 0;
    HR_TRY(next_header(column, h, &header_bytes, err));
    HR_TRY(check_header(column, h, header_bytes, err));
    pq_page *p = &h->page;
    p->payload_at = column->next_at + header_bytes;
    const pq_window *w = column->window;
    bool inside =
        in_window(w, column->next_at) && p->payload_at + p->stored_bytes <= w->begin + w->bytes;
    if (h->type == PQ_PAGE_DICTIONARY) {
        p->window = inside ? column->window : NULL;
        HR_TRY(hr__pq_dictionary_keep(column, h, err));
    }
    set_window(column, h, inside);
    if (h->type == PQ_PAGE_DATA || h->type == PQ_PAGE_DATA_V2)
        HR_TRY(take_page(column, p, inside, out, err));
    column->next_at = p->payload_at + p->stored_bytes;
    return HR_OK;
}

static bool is_over(const pq_column *column)
{
    return column->levels_seen >= column->chunk->values || column->next_at >= column->end_at;
}

static hr_status fail_at(const pq_column *column, int32_t number, uint64_t at, hr_status status,
                         hr_error *err)
{
    const pq_page place = {.number = number, .header_at = at};
    return hr__pq_page_context(column, &place, status, err);
}

hr_status hr__pq_page_walk(pq_column *column, pq_page **out, hr_error *err)
{
    *out = NULL;
    while (!*out && !is_over(column)) {
        pq_header h;
        uint64_t at = column->next_at;
        int32_t number = (int32_t)column->pages.count;
        hr_status status = walk_one(column, &h, out, err);
        if (status)
            return fail_at(column, number, at, status, err);
        if (*out) {
            (*out)->number = number;
            (*out)->header_at = at;
        }
    }
    return HR_OK;
}

hr_status hr__pq_dictionary_walk(pq_column *column, uint64_t end_at, bool *there_out, hr_error *err)
{
    pq_header h;
    pq_page *none = NULL;
    size_t bytes = 0;
    uint64_t at = column->next_at;
    *there_out = at == end_at;
    if (is_over(column) || at >= end_at)
        return HR_OK;
    hr_status status = next_header(column, &h, &bytes, err);
    if (!status)
        status = check_header(column, &h, bytes, err);
    if (!status && h.type == PQ_PAGE_DICTIONARY &&
        at + bytes + (uint64_t)h.stored_bytes == end_at) {
        status = walk_one(column, &h, &none, err);
        *there_out = true;
    }
    return status ? fail_at(column, 0, at, status, err) : HR_OK;
}

hr_status hr__pq_headers_check(pq_column *column, hr_error *err)
{
    for (int32_t number = 0; !is_over(column); number++) {
        pq_header h;
        size_t bytes = 0;
        hr_status status = next_header(column, &h, &bytes, err);
        if (status == HR_OK)
            status = check_header(column, &h, bytes, err);
        if (status != HR_OK)
            return fail_at(column, number, column->next_at, status, err);
        if (h.type == PQ_PAGE_DATA || h.type == PQ_PAGE_DATA_V2)
            column->levels_seen += h.page.level_count;
        column->next_at += bytes + (uint64_t)h.stored_bytes;
    }
    return HR_OK;
}
