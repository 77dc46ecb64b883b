// SPDX-License-Identifier: Apache-2.0
// Pages made ready one by one: read, checked, decompressed, their levels and encoding turned into a form (pq_page.h).
//
// Large uncompressed PLAIN pages of fixed width are not read at all before their values are wanted: fills read them
// from the file to their place (pq_value.c).
#include "format/parquet/pq_page.h"
#include "base/hash.h"
#include "base/stats.h"
#include <inttypes.h>
#include <string.h>

#define LEVELS_PREFIX_BYTES (16u << 10)
#define FRONT_BYTES         (136u << 10) // has a whole block of zstd

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

hr_status hr__pq_read(pq_column *column, uint64_t at, size_t bytes, void *to, hr_error *err)
{
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_STORAGE);
    hr_status status = hr__source_read(column->fragment->reader->base.source, at, bytes, to, err);
    hr__busy_leave(mark);
    return status;
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
        HR_TRY(hr__pq_read(column, page->payload_at, page->stored_bytes, *memory, err));
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

static hr_status dictionary_page(pq_column *column, const pq_header *h, hr_error *err)
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

hr_status hr__pq_dictionary_keep(pq_column *column, const pq_header *h, hr_error *err)
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
    const pq_header h = {.page = column->dictionary_page,
                         .entries = column->dictionary_entries,
                         .dictionary_encoding = column->dictionary_encoding};
    hr_status status = dictionary_page(column, &h, err);
    return status ? hr__pq_page_context(column, &h.page, status, err) : HR_OK;
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
        leaf->convert == PQ_CONVERT_NULL || page->stored_bytes < PQ_LARGE_PAGE_BYTES ||
        (column->fragment->reader->options.verify_checksums && page->has_crc))
        return HR_OK;
    if (leaf->is_list || leaf->max_definition || page->is_v2) {
        bytes = LEVELS_PREFIX_BYTES;
        HR_TRY(hr__scratch_take(scratch, page->stored_bytes / 4 + bytes, &prefix, err));
        for (size_t want = bytes, got = 0; got < want;) {
            HR_GO(hr__pq_read(column, page->payload_at + got, want - got, prefix + got, err));
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
    if (page->is_listed && !page->payload_at)
        HR_TRY(hr__pq_index_header(column, page, err));
    HR_TRY(prepare_in_file(column, page, &done, err));
    if (done)
        return HR_OK;
    size_t plain = page->is_v2 ? (size_t)page->definition_bytes + page->repetition_bytes : 0;
    HR_TRY(raw_bytes(column, page, plain, &bytes, &count, &page->memory, err));
    page->held_bytes += page->memory ? count : 0;
    HR_TRY(hr__pq_levels_read(column, page, bytes, count, &used, err));
    return hr__pq_values_read(column, page, bytes + used, count - used, err);
}

// Repetition levels out of the page's front, of which `bytes` are there. *more_out: nothing can be said without more.
static hr_status rows_of_front(pq_column *column, const pq_page *page, const uint8_t *front,
                               size_t bytes, int64_t *rows_out, bool *more_out, hr_error *err)
{
    hr_scratch *scratch = column->fragment->scratch;
    hr_codec codec = page->is_compressed ? (hr_codec)column->chunk->codec : HR_CODEC_NONE;
    size_t room = HR_MIN(LEVELS_PREFIX_BYTES, page->raw_bytes), got = 0, need = 4;
    uint8_t *raw = NULL;
    hr_status status = HR_OK;
    *more_out = false;
    for (;; room = need) {
        uint32_t length = 0;
        HR_GO(hr__scratch_take(scratch, HR_MAX(room, 1), &raw, err));
        hr_busy_mark mark = hr__busy_switch(HR_CAUSE_DECOMPRESS);
        got = hr__codec_prefix(codec, front, bytes, raw, room);
        hr__busy_leave(mark);
        if (got >= 4) {
            memcpy(&length, raw, 4);
            need = 4 + (size_t)length;
        }
        if (got >= need || got < room || need > page->raw_bytes / 2) // mostly levels: no gain
            break;
        hr__scratch_give(scratch, raw);
        raw = NULL;
    }
    *more_out = got < HR_MIN(room, need);
    if (got >= need)
        status = hr__pq_starts_count(column, raw + 4, need - 4, page->level_count, rows_out, err);
out:
    hr__scratch_give(scratch, raw);
    return status;
}

static hr_status count_rows(pq_column *column, const pq_page *page, int64_t *rows_out,
                            hr_error *err)
{
    hr_scratch *scratch = column->fragment->scratch;
    const pq_window *w = page->window;
    size_t all = page->stored_bytes, bytes = w ? all : HR_MIN(all, FRONT_BYTES);
    uint8_t *memory = NULL;
    bool more = false;
    hr_status status = HR_OK;
    for (;; bytes = all) {
        const uint8_t *front = w ? w->data + (page->payload_at - w->begin) : NULL;
        if (!w) {
            HR_GO(hr__scratch_take(scratch, HR_MAX(bytes, 1), &memory, err));
            HR_GO(hr__pq_read(column, page->payload_at, bytes, memory, err));
            front = memory;
        }
        HR_GO(rows_of_front(column, page, front, bytes, rows_out, &more, err));
        if (!more || bytes == all)
            break;
        hr__scratch_give(scratch, memory);
        memory = NULL;
    }
out:
    hr__scratch_give(scratch, memory);
    return status;
}

hr_status hr__pq_page_rows(pq_column *column, const pq_page *page, int64_t *rows_out, hr_error *err)
{
    *rows_out = -1;
    if (!column->leaf->is_list || page->is_v2 || page->repetition_encoding != PQ_ENCODING_RLE ||
        (column->fragment->reader->options.verify_checksums && page->has_crc))
        return HR_OK;
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_DECODE);
    hr_status status = count_rows(column, page, rows_out, err);
    hr__busy_leave(mark);
    return status ? hr__pq_page_context(column, page, status, err) : HR_OK;
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
