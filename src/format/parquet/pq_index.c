// SPDX-License-Identifier: Apache-2.0
// The page index (OffsetIndex): where a chunk's pages lie and which rows they begin with, so that a fragment that is
// entered in its middle need not come through the headers before it, nor, of lists in v1 pages, through their levels.
//
// An index that does not fit its chunk (rows or offsets that go back, gaps, pages beyond the end) is passed over as if
// it were not there. One that fits makes the list of pages at once; a page's header is read with the page and must then
// say the same, or the file is CORRUPT: what was skipped by such an index may have been the wrong rows.
#include "format/parquet/pq_page.h"
#include <inttypes.h>
#include <stddef.h>

#define INDEX_BYTES_MAX (4u << 20)
#define PAGE_BYTES_LEAST                                                                           \
    (4u << 10) // of smaller ones a window holds many, and their headers cost nothing
#define HEADER_BYTES (4u << 10) // read first of pages whose values may stay in the file

typedef struct location {
    int64_t offset, first_row;
    int32_t bytes;
} location;

static location read_location(pq_thrift *t)
{
    location l = {-1, -1, -1};
    pq_wire wire;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        if (id == PQ_LOCATION_OFFSET)
            l.offset = hr__thrift_i64(t, wire);
        else if (id == PQ_LOCATION_COMPRESSED_PAGE_SIZE)
            l.bytes = hr__thrift_i32(t, wire);
        else if (id == PQ_LOCATION_FIRST_ROW_INDEX)
            l.first_row = hr__thrift_i64(t, wire);
        else
            hr__thrift_skip(t, wire);
    }
    return l;
}

// Whether it follows the page before as pages do.
static bool fits(const pq_column *column, const pq_page *before, const location *l)
{
    int64_t rows = column->fragment->group->rows;
    uint64_t at = before ? before->header_at + before->listed_bytes : (uint64_t)l->offset;
    return l->bytes > 0 && l->offset >= column->chunk->start && (uint64_t)l->offset == at &&
           at <= column->end_at && (uint32_t)l->bytes <= column->end_at - at &&
           (before ? l->first_row >= before->row_first : l->first_row == 0) && l->first_row <= rows;
}

// Pages as the list tells them. *fits_out false: they cannot be so.
static hr_status read_locations(const pq_column *column, pq_thrift *t, pq_wire list, pq_pages *out,
                                bool *fits_out, hr_error *err)
{
    *fits_out = true;
    for (uint32_t n = hr__thrift_list(t, list, PQ_WIRE_STRUCT); n > 0 && *fits_out; n--) {
        pq_page *before = out->count ? out->items[out->count - 1] : NULL, *page = NULL;
        const location l = read_location(t);
        *fits_out = !hr__thrift_failed(t) && fits(column, before, &l);
        if (!*fits_out)
            break;
        HR_TRY(HR_VEC_RESERVE(out, 1, err));
        HR_TRY(hr__alloc_zero(1, sizeof *page, &page, err));
        page->is_listed = true;
        page->number = (int32_t)out->count;
        page->header_at = (uint64_t)l.offset;
        page->listed_bytes = (uint32_t)l.bytes;
        page->continued = -1;
        page->row_first = l.first_row;
        page->rows = column->fragment->group->rows - l.first_row;
        if (before)
            before->rows = l.first_row - before->row_first;
        out->items[out->count++] = page;
    }
    return HR_OK;
}

static hr_status parse(const pq_column *column, const uint8_t *bytes, size_t count, pq_pages *out,
                       bool *fits_out, hr_error *err)
{
    pq_thrift t = hr__thrift(bytes, count);
    pq_wire wire;
    *fits_out = true;
    for (int16_t id = 0; *fits_out && hr__thrift_field(&t, &id, &wire);) {
        if (id == PQ_OFFSET_INDEX_PAGE_LOCATIONS && out->count == 0)
            HR_TRY(read_locations(column, &t, wire, out, fits_out, err));
        else
            hr__thrift_skip(&t, wire);
    }
    *fits_out = *fits_out && !hr__thrift_failed(&t) && out->count > 0;
    return HR_OK;
}

// Pages of lists are worth it at any size: without it their levels must be read.
static bool is_worth_it(const pq_column *column, const pq_pages *pages)
{
    return column->leaf->is_list ||
           (uint64_t)column->chunk->compressed_bytes / pages->count >= PAGE_BYTES_LEAST;
}

void hr__pq_pages_free(pq_pages *pages)
{
    for (size_t i = 0; i < pages->count; i++)
        hr__free(pages->items[i]);
    HR_VEC_FINISH(pages);
}

hr_status hr__pq_index_read(pq_column *column, pq_pages *out, hr_error *err)
{
    const pq_chunk *chunk = column->chunk;
    uint64_t end = 0, at = (uint64_t)chunk->index_at;
    uint8_t *bytes = NULL;
    pq_pages pages = {0};
    bool good = false;
    hr_status status = HR_OK;
    if (column->from_row <= 0 || chunk->index_at <= 0 || chunk->index_bytes <= 0 ||
        (uint32_t)chunk->index_bytes > INDEX_BYTES_MAX ||
        HR_ADD_OVERFLOWS(at, (uint64_t)chunk->index_bytes, &end) ||
        end > column->fragment->reader->file.data_end)
        return HR_OK;
    HR_TRY(hr__scratch_take(column->fragment->scratch, (size_t)chunk->index_bytes, &bytes, err));
    HR_GO(hr__pq_read(column, at, (size_t)chunk->index_bytes, bytes, err));
    HR_GO(parse(column, bytes, (size_t)chunk->index_bytes, &pages, &good, err));
    if (good && is_worth_it(column, &pages))
        HR_GO(hr__pq_dictionary_walk(column, pages.items[0]->header_at, &good, err));
    else
        good = false;
    if (good) {
        *out = pages;
        pages = (pq_pages){0};
    }
out:
    hr__pq_pages_free(&pages);
    hr__scratch_give(column->fragment->scratch, bytes);
    return status;
}

static hr_status compare(const pq_column *column, const pq_page *page, const pq_header *h,
                         size_t header_bytes, hr_error *err)
{
    bool is_data = h->type == PQ_PAGE_DATA || h->type == PQ_PAGE_DATA_V2;
    bool tells =
        !column->leaf->is_list || h->page.is_v2; // others are compared when levels are read
    int64_t rows = h->page.is_v2 ? h->page.v2_rows : h->page.level_count;
    if (is_data && header_bytes + (uint64_t)h->stored_bytes == page->listed_bytes &&
        (!tells || rows == page->rows))
        return HR_OK;
    return HR_FAIL(err, HR_CORRUPT,
                   "page of type %d, %zu + %d bytes, %" PRId64
                   " rows; the file's page index says %u bytes and %" PRId64 " rows",
                   h->type, header_bytes, h->stored_bytes, tells ? rows : page->rows,
                   page->listed_bytes, page->rows);
}

hr_status hr__pq_index_header(pq_column *column, pq_page *page, hr_error *err)
{
    size_t all = page->listed_bytes, want = all, header_bytes = 0;
    pq_window *w = NULL;
    pq_header h;
    hr_status status = HR_OK;
    // Values that may be read to their places are left where they are.
    if (column->chunk->codec == HR_CODEC_NONE && all >= PQ_LARGE_PAGE_BYTES)
        want = HEADER_BYTES;
    for (; header_bytes == 0; want = HR_MIN(all, want * 4)) {
        hr__pq_window_unref(column, &w);
        HR_TRY(hr__pq_window_read(column, page->header_at, want, &w, err));
        HR_GO(hr__pq_header_parse(w->data, want, want == all, &h, &header_bytes, err));
    }
    HR_GO(hr__pq_header_check(column, &h, all - header_bytes, column->chunk->values, err));
    HR_GO(compare(column, page, &h, header_bytes, err));
    h.page.number = page->number;
    h.page.header_at = page->header_at;
    h.page.payload_at = page->header_at + header_bytes;
    // What a header tells stands first in a page; the rest may be looked at by others meanwhile.
    memcpy(page, &h.page, offsetof(pq_page, is_listed));
    if (w->bytes == all) {
        page->window = w; // of this page alone
        return HR_OK;
    }
out:
    hr__pq_window_unref(column, &w);
    return status;
}
