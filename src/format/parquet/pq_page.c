// SPDX-License-Identifier: Apache-2.0
// Pages: found by walking headers through a window of the file, made ready one by one.
//
// The window adapts: while pages are small it grows (to 1 MiB) and holds them whole, so that a chunk of many small
// pages costs a read a MiB; when pages are large it shrinks to what a header needs, and each page's bytes are read by
// the thread that prepares it. Large uncompressed PLAIN pages of fixed width are not read at all before their values
// are wanted: fills read them from the file to their place (pq_value.c).
#include "format/parquet/pq_page.h"
#include "base/hash.h"
#include "base/stats.h"
#include <inttypes.h>
#include <string.h>

#define WINDOW_FIRST_BYTES  (64u << 10)
#define WINDOW_LEAST_BYTES  (4u << 10)
#define WINDOW_MOST_BYTES   (1u << 20)
#define LARGE_PAGE_BYTES    (64u << 10) // larger ones stay in the file where their form allows
#define LEVELS_PREFIX_BYTES (16u << 10)

typedef struct header {
    int32_t type, stored_bytes, raw_bytes;
    bool has_body; // the header of its own type was there
    int32_t entries, dictionary_encoding;
    pq_page page;
} header;

hr_status hr__pq_page_context(const pq_column *column, const pq_page *page, hr_status status,
                              hr_error *err)
{
    const char *name = column->fragment->reader->base.source->name;
    if (page)
        hr__error_context(err, "%s: column '%s', row group %d, page %d at byte %" PRIu64, name,
                          column->leaf->path, column->fragment->index, page->number,
                          page->header_at);
    else
        hr__error_context(err, "%s: column '%s', row group %d", name, column->leaf->path,
                          column->fragment->index);
    return status;
}

static void data_header(pq_thrift *t, header *h)
{
    pq_wire wire;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        if (id == PQ_DATA_PAGE_NUM_VALUES)
            h->page.level_count = hr__thrift_i32(t, wire);
        else if (id == PQ_DATA_PAGE_ENCODING)
            h->page.encoding = hr__thrift_i32(t, wire);
        else if (id == PQ_DATA_PAGE_DEFINITION_LEVEL_ENCODING)
            h->page.definition_encoding = hr__thrift_i32(t, wire);
        else if (id == PQ_DATA_PAGE_REPETITION_LEVEL_ENCODING)
            h->page.repetition_encoding = hr__thrift_i32(t, wire);
        else
            hr__thrift_skip(t, wire);
    }
}

static void data_header_v2(pq_thrift *t, header *h)
{
    pq_wire wire;
    pq_page *p = &h->page;
    p->is_v2 = true;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        switch (id) {
        case PQ_DATA_PAGE_V2_NUM_VALUES:
            p->level_count = hr__thrift_i32(t, wire);
            break;
        case PQ_DATA_PAGE_V2_NUM_NULLS:
            p->v2_nulls = hr__thrift_i32(t, wire);
            break;
        case PQ_DATA_PAGE_V2_NUM_ROWS:
            p->v2_rows = hr__thrift_i32(t, wire);
            break;
        case PQ_DATA_PAGE_V2_ENCODING:
            p->encoding = hr__thrift_i32(t, wire);
            break;
        case PQ_DATA_PAGE_V2_DEFINITION_LEVELS_BYTE_LENGTH:
            p->definition_bytes = (uint32_t)hr__thrift_i32(t, wire);
            break;
        case PQ_DATA_PAGE_V2_REPETITION_LEVELS_BYTE_LENGTH:
            p->repetition_bytes = (uint32_t)hr__thrift_i32(t, wire);
            break;
        case PQ_DATA_PAGE_V2_IS_COMPRESSED:
            p->is_compressed = hr__thrift_bool(t, wire);
            break;
        default:
            hr__thrift_skip(t, wire);
        }
    }
}

static void dictionary_header(pq_thrift *t, header *h)
{
    pq_wire wire;
    for (int16_t id = 0; hr__thrift_field(t, &id, &wire);) {
        if (id == PQ_DICTIONARY_PAGE_NUM_VALUES)
            h->entries = hr__thrift_i32(t, wire);
        else if (id == PQ_DICTIONARY_PAGE_ENCODING)
            h->dictionary_encoding = hr__thrift_i32(t, wire);
        else
            hr__thrift_skip(t, wire);
    }
}

// `whole` says that no more bytes are to come: then ending early is wrong too. *bytes_out 0: more bytes are needed.
static hr_status parse_header(const uint8_t *bytes, size_t count, bool whole, header *h,
                              size_t *bytes_out, hr_error *err)
{
    pq_thrift t = hr__thrift(bytes, count);
    pq_wire wire;
    *h = (header){.type = -1, .stored_bytes = -1, .raw_bytes = -1, .entries = -1};
    h->page.level_count = -1;
    h->page.is_compressed = true;
    for (int16_t id = 0; hr__thrift_field(&t, &id, &wire);) {
        bool is_body = false;
        if (id == PQ_PAGE_HEADER_TYPE) {
            h->type = hr__thrift_i32(&t, wire);
        } else if (id == PQ_PAGE_HEADER_UNCOMPRESSED_PAGE_SIZE) {
            h->raw_bytes = hr__thrift_i32(&t, wire);
        } else if (id == PQ_PAGE_HEADER_COMPRESSED_PAGE_SIZE) {
            h->stored_bytes = hr__thrift_i32(&t, wire);
        } else if (id == PQ_PAGE_HEADER_CRC) {
            h->page.crc = (uint32_t)hr__thrift_i32(&t, wire);
            h->page.has_crc = true;
        } else if (id == PQ_PAGE_HEADER_DATA && hr__thrift_struct(&t, wire)) {
            data_header(&t, h);
            is_body = h->type == PQ_PAGE_DATA;
        } else if (id == PQ_PAGE_HEADER_DATA_V2 && hr__thrift_struct(&t, wire)) {
            data_header_v2(&t, h);
            is_body = h->type == PQ_PAGE_DATA_V2;
        } else if (id == PQ_PAGE_HEADER_DICTIONARY && hr__thrift_struct(&t, wire)) {
            dictionary_header(&t, h);
            is_body = h->type == PQ_PAGE_DICTIONARY;
        } else {
            hr__thrift_skip(&t, wire);
        }
        h->has_body |= is_body;
    }
    *bytes_out = 0;
    if (hr__thrift_truncated(&t) && !whole)
        return HR_OK;
    if (hr__thrift_failed(&t))
        return HR_FAIL(err, HR_CORRUPT, "its header: %s",
                       t.what ? t.what : "the chunk ends in the middle of it");
    *bytes_out = hr__cursor_offset(&t.cursor);
    return HR_OK;
}

void hr__pq_window_unref(pq_column *column, pq_window **window)
{
    pq_window *w = *window;
    *window = NULL;
    if (!w || --w->refs > 0)
        return;
    hr__scratch_give(column->fragment->scratch, w->data);
    hr__free(w);
}

static hr_status timed_read(pq_column *column, uint64_t at, size_t bytes, void *to, hr_error *err)
{
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_STORAGE);
    hr_status status = hr__source_read(column->fragment->reader->base.source, at, bytes, to, err);
    hr__busy_leave(mark);
    return status;
}

// A new window from the walk's place.
static hr_status read_window(pq_column *column, size_t bytes, hr_error *err)
{
    pq_window *w = NULL;
    hr_status status = HR_OK;
    HR_TRY(hr__alloc_zero(1, sizeof *w, &w, err));
    w->begin = column->next_at;
    w->bytes = (size_t)HR_MIN(bytes, column->end_at - column->next_at);
    w->refs = 1;
    HR_GO(hr__scratch_take(column->fragment->scratch, w->bytes, &w->data, err));
    HR_GO(timed_read(column, w->begin, w->bytes, w->data, err));
    hr__mutex_lock(&column->mutex);
    hr__pq_window_unref(column, &column->window);
    column->window = w;
    hr__mutex_unlock(&column->mutex);
    return HR_OK;
out:
    hr__scratch_give(column->fragment->scratch, w->data);
    hr__free(w);
    return status;
}

static hr_status next_header(pq_column *column, header *h, size_t *bytes_out, hr_error *err)
{
    size_t want = column->window_bytes;
    for (;;) {
        const pq_window *w = column->window;
        uint64_t left = column->end_at - column->next_at;
        size_t there = 0;
        if (w && column->next_at >= w->begin && column->next_at < w->begin + w->bytes)
            there = (size_t)(w->begin + w->bytes - column->next_at);
        if (there > 0)
            HR_TRY(parse_header(w->data + (column->next_at - w->begin), there, there == left, h,
                                bytes_out, err));
        if (there > 0 && *bytes_out > 0)
            return HR_OK;
        if (there >= PQ_HEADER_BYTES_MAX)
            return HR_FAIL(err, HR_LIMIT, "its header takes more than %u bytes",
                           PQ_HEADER_BYTES_MAX);
        while (want <= there)
            want *= 4;
        HR_TRY(read_window(column, want, err));
    }
}

static hr_status check_header(const pq_column *column, const header *h, size_t header_bytes,
                              hr_error *err)
{
    uint64_t left = column->end_at - column->next_at - header_bytes;
    if (h->type < 0 || h->stored_bytes < 0 || h->raw_bytes < 0 || (uint64_t)h->stored_bytes > left)
        return HR_FAIL(err, HR_CORRUPT,
                       "page of type %d, %d bytes stored and %d raw; its chunk has %" PRIu64
                       " left",
                       h->type, h->stored_bytes, h->raw_bytes, left);
    bool is_data = h->type == PQ_PAGE_DATA || h->type == PQ_PAGE_DATA_V2;
    if ((is_data || h->type == PQ_PAGE_DICTIONARY) && !h->has_body)
        return HR_FAIL(err, HR_CORRUPT, "page of type %d without the header of that type", h->type);
    if ((uint32_t)h->raw_bytes > PQ_PAGE_BYTES_MAX)
        return HR_FAIL(err, HR_LIMIT, "page of %d bytes, allowed %u", h->raw_bytes,
                       PQ_PAGE_BYTES_MAX);
    if (!is_data)
        return HR_OK;
    const pq_page *p = &h->page;
    int64_t more = column->chunk->values - column->levels_seen;
    if (p->level_count < 0 || p->level_count > more)
        return HR_FAIL(err, HR_CORRUPT, "page of %d values, its chunk has %" PRId64 " to come",
                       p->level_count, more);
    if (p->level_count > PQ_PAGE_VALUES_MAX)
        return HR_FAIL(err, HR_LIMIT, "page of %d values, allowed %d", p->level_count,
                       PQ_PAGE_VALUES_MAX);
    uint64_t levels = (uint64_t)p->definition_bytes + p->repetition_bytes;
    if (p->is_v2 &&
        (levels > (uint64_t)h->stored_bytes || levels > (uint64_t)h->raw_bytes || p->v2_rows < 0 ||
         p->v2_rows > p->level_count || (!column->leaf->is_list && p->v2_rows != p->level_count)))
        return HR_FAIL(err, HR_CORRUPT,
                       "page of %d rows and %d values, levels of %" PRIu64 " bytes in %d",
                       p->v2_rows, p->level_count, levels, h->stored_bytes);
    return HR_OK;
}

// The payload in memory: out of the window, or read. `memory` is to be given back by the caller.
static hr_status stored_bytes(pq_column *column, const pq_page *page, const uint8_t **bytes_out,
                              void **memory, hr_error *err)
{
    const pq_window *w = page->window;
    const pq_reader *reader = column->fragment->reader;
    const uint8_t *bytes = NULL;
    if (w) {
        bytes = w->data + (page->payload_at - w->begin);
    } else {
        HR_TRY(hr__scratch_take(column->fragment->scratch, page->stored_bytes, memory, err));
        HR_TRY(timed_read(column, page->payload_at, page->stored_bytes, *memory, err));
        bytes = *memory;
    }
    if (reader->options.verify_checksums && page->has_crc) {
        uint32_t found = hr__crc32(0, bytes, page->stored_bytes);
        if (found != page->crc)
            return HR_FAIL(err, HR_CORRUPT, "checksum %08x, its header says %08x", found,
                           page->crc);
    }
    *bytes_out = bytes;
    return HR_OK;
}

static hr_status decompress(pq_column *column, const uint8_t *in, size_t in_bytes, uint8_t *out,
                            size_t out_bytes, hr_error *err)
{
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_DECOMPRESS);
    hr_status status =
        hr__codec_decompress((hr_codec)column->chunk->codec, in, in_bytes, out, out_bytes, err);
    hr__busy_leave(mark);
    return status;
}

// Payload to raw bytes. The first `plain` bytes are not compressed (v2 levels) and are copied before the others, so
// that levels and values lie together. *memory holds them, unless they lie in the window.
static hr_status raw_bytes(pq_column *column, const pq_page *page, size_t plain,
                           const uint8_t **bytes_out, size_t *count_out, void **memory,
                           hr_error *err)
{
    const uint8_t *stored = NULL;
    void *packed = NULL;
    hr_codec codec = (hr_codec)column->chunk->codec;
    hr_status status = HR_OK;
    if (codec == HR_CODEC_NONE || !page->is_compressed) {
        HR_TRY(stored_bytes(column, page, bytes_out, memory, err));
        *count_out = page->stored_bytes;
        return HR_OK;
    }
    size_t in_bytes = page->stored_bytes - plain, out_bytes = page->raw_bytes - plain;
    if (!hr__codec_can_hold(codec, in_bytes, out_bytes))
        return HR_FAIL(err, HR_CORRUPT, "%zu bytes of %s cannot hold %zu bytes", in_bytes,
                       hr__codec_name((int)codec), out_bytes);
    HR_GO(stored_bytes(column, page, &stored, &packed, err));
    HR_GO(hr__scratch_take(column->fragment->scratch, page->raw_bytes, memory, err));
    memcpy(*memory, stored, plain);
    // Some writers store no bytes at all for no values.
    if (out_bytes > 0)
        HR_GO(decompress(column, stored + plain, in_bytes, (uint8_t *)*memory + plain, out_bytes,
                         err));
    *bytes_out = *memory;
    *count_out = page->raw_bytes;
out:
    hr__scratch_give(column->fragment->scratch, packed);
    return status;
}

void hr__pq_dictionary_drop(pq_column *column)
{
    hr__scratch_give(column->fragment->scratch, column->dictionary.memory);
    column->dictionary = (pq_dictionary){0};
}

static hr_status dictionary_page(pq_column *column, const header *h, hr_error *err)
{
    const uint8_t *bytes = NULL;
    size_t count = 0;
    void *memory = NULL;
    hr_status status = raw_bytes(column, &h->page, 0, &bytes, &count, &memory, err);
    if (!status)
        status =
            hr__pq_dictionary_read(column, h->entries, h->dictionary_encoding, bytes, count, err);
    hr__scratch_give(column->fragment->scratch, memory);
    if (status && !column->dictionary.present)
        hr__pq_dictionary_drop(column);
    return status;
}

// The column's dictionary, and where it is found again.
static hr_status keep_dictionary(pq_column *column, const header *h, hr_error *err)
{
    HR_TRY(dictionary_page(column, h, err));
    column->dictionary_page = h->page;
    column->dictionary_page.window = NULL; // it may be gone by then
    column->dictionary_page.header_at = column->next_at;
    column->dictionary_page.number = (int32_t)column->pages.count;
    column->dictionary_entries = h->entries;
    column->dictionary_encoding = h->dictionary_encoding;
    return HR_OK;
}

hr_status hr__pq_dictionary_reload(pq_column *column, hr_error *err)
{
    const header h = {.page = column->dictionary_page,
                      .entries = column->dictionary_entries,
                      .dictionary_encoding = column->dictionary_encoding};
    hr_status status = dictionary_page(column, &h, err);
    return status ? hr__pq_page_context(column, &h.page, status, err) : HR_OK;
}

static void set_window(pq_column *column, const header *h, bool inside)
{
    if (inside)
        column->window_bytes = HR_MIN(column->window_bytes * 2, WINDOW_MOST_BYTES);
    else if ((uint32_t)h->stored_bytes > LARGE_PAGE_BYTES)
        column->window_bytes = WINDOW_LEAST_BYTES;
    else
        column->window_bytes = WINDOW_MOST_BYTES / 4;
}

static hr_status walk_one(pq_column *column, header *h, pq_page **out, hr_error *err)
{
    size_t header_bytes = 0;
    HR_TRY(next_header(column, h, &header_bytes, err));
    HR_TRY(check_header(column, h, header_bytes, err));
    pq_page *p = &h->page;
    p->payload_at = column->next_at + header_bytes;
    p->stored_bytes = (uint32_t)h->stored_bytes;
    p->raw_bytes = (uint32_t)h->raw_bytes;
    const pq_window *w = column->window;
    bool inside = p->payload_at + p->stored_bytes <= w->begin + w->bytes;
    p->window = inside ? column->window : NULL;
    if (h->type == PQ_PAGE_DICTIONARY)
        HR_TRY(keep_dictionary(column, h, err));
    set_window(column, h, inside);
    if (h->type == PQ_PAGE_DATA || h->type == PQ_PAGE_DATA_V2) {
        HR_TRY(hr__alloc_zero(1, sizeof **out, out, err));
        p->row_first = p->rows = -1;
        if (!column->leaf->is_list)
            p->rows = p->level_count;
        else if (p->is_v2)
            p->rows = p->v2_rows;
        **out = *p;
        if (inside) {
            hr__mutex_lock(&column->mutex);
            column->window->refs++;
            hr__mutex_unlock(&column->mutex);
        }
        column->levels_seen += p->level_count;
    }
    column->next_at = p->payload_at + p->stored_bytes;
    return HR_OK;
}

hr_status hr__pq_page_walk(pq_column *column, pq_page **out, hr_error *err)
{
    *out = NULL;
    while (!*out && column->levels_seen < column->chunk->values &&
           column->next_at < column->end_at) {
        header h;
        uint64_t at = column->next_at;
        int32_t number = (int32_t)column->pages.count;
        hr_status status = walk_one(column, &h, out, err);
        if (status) {
            const pq_page place = {.number = number, .header_at = at};
            return hr__pq_page_context(column, &place, status, err);
        }
        if (*out) {
            (*out)->number = number;
            (*out)->header_at = at;
        }
    }
    return HR_OK;
}

hr_status hr__pq_headers_check(pq_column *column, hr_error *err)
{
    for (int32_t number = 0;
         column->levels_seen < column->chunk->values && column->next_at < column->end_at;
         number++) {
        header h;
        size_t bytes = 0;
        hr_status status = next_header(column, &h, &bytes, err);
        if (status == HR_OK)
            status = check_header(column, &h, bytes, err);
        if (status != HR_OK) {
            const pq_page place = {.number = number, .header_at = column->next_at};
            return hr__pq_page_context(column, &place, status, err);
        }
        if (h.type == PQ_PAGE_DATA || h.type == PQ_PAGE_DATA_V2)
            column->levels_seen += h.page.level_count;
        column->next_at += bytes + (uint64_t)h.stored_bytes;
    }
    return HR_OK;
}

// Leaves the values in the file: reads only as much of the payload as has the levels. *done_out false: not this page.
static hr_status prepare_in_file(pq_column *column, pq_page *page, bool *done_out, hr_error *err)
{
    const pq_leaf *leaf = column->leaf;
    hr_scratch *scratch = column->fragment->scratch;
    bool raw = column->chunk->codec == HR_CODEC_NONE || (page->is_v2 && !page->is_compressed);
    uint8_t *prefix = NULL;
    size_t used = 0, bytes = 0;
    hr_status status = HR_OK;
    *done_out = false;
    if (!raw || page->encoding != PQ_ENCODING_PLAIN || leaf->stored_bytes == 0 || page->window ||
        leaf->convert == PQ_CONVERT_NULL || page->stored_bytes < LARGE_PAGE_BYTES ||
        (column->fragment->reader->options.verify_checksums && page->has_crc))
        return HR_OK;
    if (leaf->is_list || leaf->max_definition || page->is_v2) {
        bytes = LEVELS_PREFIX_BYTES;
        HR_TRY(hr__scratch_take(scratch, page->stored_bytes / 4 + bytes, &prefix, err));
        for (size_t want = bytes, got = 0; got < want;) {
            HR_GO(timed_read(column, page->payload_at + got, want - got, prefix + got, err));
            got = want;
            want = hr__pq_levels_bytes(leaf, page, prefix, got);
            if (want > page->stored_bytes / 4)
                goto out; // mostly levels: no page to leave in the file
            bytes = got;
        }
    }
    HR_GO(hr__pq_levels_read(column, page, prefix, bytes, &used, err));
    page->form = page->dense ? PQ_FORM_FIXED : PQ_FORM_NONE;
    page->values = NULL;
    page->values_at = page->payload_at + used;
    page->values_bytes = page->stored_bytes - used;
    if ((uint64_t)page->dense * (uint64_t)leaf->stored_bytes > page->values_bytes)
        status = HR_FAIL(err, HR_CORRUPT, "PLAIN: %zu bytes for %" PRId64 " values",
                         page->values_bytes, page->dense);
    *done_out = true;
out:
    hr__scratch_give(scratch, prefix);
    return status;
}

static hr_status prepare(pq_column *column, pq_page *page, hr_error *err)
{
    const uint8_t *bytes = NULL;
    size_t count = 0, used = 0;
    bool done = false;
    HR_TRY(prepare_in_file(column, page, &done, err));
    if (done)
        return HR_OK;
    size_t plain = page->is_v2 ? (size_t)page->definition_bytes + page->repetition_bytes : 0;
    HR_TRY(raw_bytes(column, page, plain, &bytes, &count, &page->memory, err));
    page->held_bytes += page->memory ? count : 0;
    HR_TRY(hr__pq_levels_read(column, page, bytes, count, &used, err));
    return hr__pq_values_read(column, page, bytes + used, count - used, err);
}

static void release_memory(pq_column *column, pq_page *page)
{
    hr_scratch *scratch = column->fragment->scratch;
    hr__scratch_give(scratch, page->memory);
    hr__scratch_give(scratch, page->levels_memory);
    hr__scratch_give(scratch, page->values_memory);
    page->memory = page->levels_memory = page->values_memory = NULL;
    page->held_bytes = 0;
    page->ends = NULL;
    page->row_valid = page->slot_valid = page->values = NULL;
    page->index = NULL;
}

hr_status hr__pq_page_prepare(pq_column *column, pq_page *page, hr_error *err)
{
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_DECODE);
    hr_status status = prepare(column, page, err);
    hr__busy_leave(mark);
    if (status) {
        release_memory(column, page);
        return hr__pq_page_context(column, page, status, err);
    }
    return HR_OK;
}

void hr__pq_page_drop(pq_column *column, pq_page *page)
{
    column->kept_bytes -= page->state == PQ_READY ? page->held_bytes : 0;
    release_memory(column, page);
    hr__pq_window_unref(column, &page->window);
    page->state = PQ_UNREAD;
}
