// SPDX-License-Identifier: Apache-2.0
// Page headers: what stands before each page of a chunk, read and checked against what is left for it.
#include "format/parquet/pq_page.h"
#include <inttypes.h>

static void data_header(pq_thrift *t, pq_header *h)
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

static void data_header_v2(pq_thrift *t, pq_header *h)
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

static void dictionary_header(pq_thrift *t, pq_header *h)
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

hr_status hr__pq_header_parse(const uint8_t *bytes, size_t count, bool whole, pq_header *h,
                              size_t *bytes_out, hr_error *err)
{
    pq_thrift t = hr__thrift(bytes, count);
    pq_wire wire;
    *h = (pq_header){.type = -1, .stored_bytes = -1, .raw_bytes = -1, .entries = -1};
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
    h->page.stored_bytes = (uint32_t)h->stored_bytes;
    h->page.raw_bytes = (uint32_t)h->raw_bytes;
    *bytes_out = hr__cursor_offset(&t.cursor);
    return HR_OK;
}

hr_status hr__pq_header_check(const pq_column *column, const pq_header *h, uint64_t left,
                              int64_t more, hr_error *err)
{
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
