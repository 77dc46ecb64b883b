// SPDX-License-Identifier: Apache-2.0
// One column of a row group: rows are added until the group is complete, pages are cut, compressed and kept on the way.
//
//   chunk      dictionary page? data page...
//   data page  (version 1: every reader has it)
//     header   PageHeader, in the Thrift compact protocol, with the CRC of what follows as it is stored
//     body     u32 bytes, repetition levels?   u32 bytes, definition levels?   values      compressed as one
//
// A page holds whole rows and is cut before it would exceed page_bytes, save where one row does. Pages of a dictionary
// have the bit width that its entries needed when the page was cut, so the dictionary may grow until the group ends.
#include "format/parquet/pq_write.h"
#include "base/hash.h"
#include "format/codec.h"

#define FIRST_LEVEL_BYTES 4 // the length in front of levels

hr_status hr__pqw_chunk_init(hr_pqw_chunk *chunk, const hr_field *field, hr_error *err)
{
    *chunk = (hr_pqw_chunk){0};
    HR_TRY(hr__pqw_leaf_init(&chunk->leaf, field, err));
    if (chunk->leaf.dictionary)
        HR_TRY(hr__map_open(&chunk->entries, err));
    hr__pqw_hybrid_reset(&chunk->rep, hr__pqw_bit_width((uint64_t)chunk->leaf.max_rep));
    hr__pqw_hybrid_reset(&chunk->def, hr__pqw_bit_width((uint64_t)chunk->leaf.max_def));
    return HR_OK;
}

void hr__pqw_chunk_release(hr_pqw_chunk *chunk)
{
    HR_VEC_FINISH(&chunk->pages);
    HR_VEC_FINISH(&chunk->body);
    HR_VEC_FINISH(&chunk->codes);
    HR_VEC_FINISH(&chunk->dictionary);
    HR_VEC_FINISH(&chunk->translation);
    hr__pqw_hybrid_release(&chunk->rep);
    hr__pqw_hybrid_release(&chunk->def);
    hr__pqw_hybrid_release(&chunk->packed);
    hr__pqw_stats_release(&chunk->stats);
    hr__map_close(&chunk->entries);
}

static void forget_translation(hr_pqw_chunk *chunk)
{
    if (chunk->translation.count > 0) // every entry becomes -1
        memset(chunk->translation.items, 0xff,
               chunk->translation.count * sizeof *chunk->translation.items);
}

hr_status hr__pqw_chunk_block(hr_pqw_chunk *chunk, const hr_column *column, hr_error *err)
{
    if (!chunk->leaf.dictionary)
        return HR_OK;
    for (int32_t i = 0; i < chunk->leaf.nest; i++)
        column = column->child;
    size_t codes = (size_t)column->child->rows;
    chunk->translation.count = 0;
    HR_TRY(HR_VEC_RESERVE(&chunk->translation, codes, err));
    chunk->translation.count = codes;
    forget_translation(chunk);
    return HR_OK;
}

// --- pages ---

static hr_status put_levels(hr_pqw_hybrid *levels, hr_pqw_bytes *page, hr_error *err)
{
    if (levels->width == 0)
        return HR_OK;
    HR_TRY(hr__pqw_hybrid_end(levels, err));
    uint32_t bytes = (uint32_t)levels->out.count;
    HR_TRY(hr__pqw_put(page, &bytes, FIRST_LEVEL_BYTES, err));
    HR_TRY(hr__pqw_put(page, levels->out.items, bytes, err));
    hr__pqw_hybrid_reset(levels, levels->width);
    return HR_OK;
}

static hr_status put_codes(hr_pqw_chunk *chunk, hr_pqw_bytes *page, hr_error *err)
{
    uint64_t code_max = chunk->dictionary_count > 0 ? (uint64_t)chunk->dictionary_count - 1 : 0;
    uint8_t width = (uint8_t)HR_MAX(hr__pqw_bit_width(code_max), 1u);
    hr__pqw_hybrid_reset(&chunk->packed, width);
    for (size_t i = 0; i < chunk->codes.count; i++)
        HR_TRY(hr__pqw_hybrid_run(&chunk->packed, chunk->codes.items[i], 1, err));
    HR_TRY(hr__pqw_hybrid_end(&chunk->packed, err));
    HR_TRY(hr__pqw_put(page, &width, 1, err));
    return hr__pqw_put(page, chunk->packed.out.items, chunk->packed.out.count, err);
}

// Compresses where that was asked for, and tells which bytes are to be stored.
static hr_status squeeze(hr_pqw_scratch *scratch, const uint8_t *bytes, size_t count,
                         const uint8_t **stored_out, size_t *stored_bytes_out, hr_error *err)
{
    *stored_out = bytes;
    *stored_bytes_out = count;
    if (!scratch->zstd)
        return HR_OK;
    size_t bound = hr__codec_bound(HR_CODEC_ZSTD, count);
    scratch->squeezed.count = 0;
    HR_TRY(HR_VEC_RESERVE(&scratch->squeezed, bound, err));
    HR_TRY(hr__codec_compress(HR_CODEC_ZSTD, scratch->level, bytes, count, scratch->squeezed.items,
                              bound, stored_bytes_out, err));
    *stored_out = scratch->squeezed.items;
    return HR_OK;
}

typedef struct page {
    pq_page_type type;
    pq_encoding encoding;
    int64_t values;
    const uint8_t *bytes;
    size_t count;
} page;

// Appends a page, header and body, to `out`.
static hr_status put_page(const hr_pqw_leaf *leaf, const page *p, hr_pqw_scratch *scratch,
                          hr_pqw_bytes *out, int64_t *plain_bytes_inout, hr_error *err)
{
    const uint8_t *stored;
    size_t stored_bytes, before = out->count;
    HR_TRY(squeeze(scratch, p->bytes, p->count, &stored, &stored_bytes, err));
    if (p->count > INT32_MAX || stored_bytes > INT32_MAX)
        return HR_FAIL(err, HR_LIMIT, "column '%s': a page of %zu bytes, allowed are %d",
                       leaf->field->name, HR_MAX(p->count, stored_bytes), INT32_MAX);
    hr_pqw_thrift t = hr__pqw_thrift(out, err);
    hr__pqw_struct_begin(&t);
    hr__pqw_field_i32(&t, PQ_PAGE_HEADER_TYPE, p->type);
    hr__pqw_field_i32(&t, PQ_PAGE_HEADER_UNCOMPRESSED_PAGE_SIZE, (int32_t)p->count);
    hr__pqw_field_i32(&t, PQ_PAGE_HEADER_COMPRESSED_PAGE_SIZE, (int32_t)stored_bytes);
    hr__pqw_field_i32(&t, PQ_PAGE_HEADER_CRC, (int32_t)hr__crc32(0, stored, stored_bytes));
    if (p->type == PQ_PAGE_DATA) {
        hr__pqw_field_struct(&t, PQ_PAGE_HEADER_DATA);
        hr__pqw_field_i32(&t, PQ_DATA_PAGE_NUM_VALUES, (int32_t)p->values);
        hr__pqw_field_i32(&t, PQ_DATA_PAGE_ENCODING, p->encoding);
        hr__pqw_field_i32(&t, PQ_DATA_PAGE_DEFINITION_LEVEL_ENCODING, PQ_ENCODING_RLE);
        hr__pqw_field_i32(&t, PQ_DATA_PAGE_REPETITION_LEVEL_ENCODING, PQ_ENCODING_RLE);
    } else {
        hr__pqw_field_struct(&t, PQ_PAGE_HEADER_DICTIONARY);
        hr__pqw_field_i32(&t, PQ_DICTIONARY_PAGE_NUM_VALUES, (int32_t)p->values);
        hr__pqw_field_i32(&t, PQ_DICTIONARY_PAGE_ENCODING, p->encoding);
    }
    hr__pqw_struct_end(&t);
    hr__pqw_struct_end(&t);
    HR_TRY(t.status);
    *plain_bytes_inout += (int64_t)(out->count - before + p->count);
    return hr__pqw_put(out, stored, stored_bytes, err);
}

static void page_reset(hr_pqw_chunk *chunk)
{
    hr__pqw_hybrid_reset(&chunk->rep, chunk->rep.width);
    hr__pqw_hybrid_reset(&chunk->def, chunk->def.width);
    chunk->body.count = 0;
    chunk->codes.count = 0;
    chunk->page_values = chunk->stored_values = chunk->page_bytes = 0;
}

void hr__pqw_chunk_reset(hr_pqw_chunk *chunk)
{
    page_reset(chunk);
    hr__pqw_stats_reset(&chunk->stats);
    chunk->pages.count = 0;
    chunk->values = chunk->page_count = chunk->plain_bytes = 0;
    chunk->dictionary.count = 0;
    chunk->dictionary_count = 0;
    forget_translation(chunk);
}

hr_status hr__pqw_chunk_finish_page(hr_pqw_chunk *chunk, hr_pqw_scratch *scratch, hr_error *err)
{
    const hr_pqw_leaf *leaf = &chunk->leaf;
    page p = {.type = PQ_PAGE_DATA, .values = chunk->page_values};
    if (chunk->page_values == 0)
        return HR_OK;
    scratch->page.count = 0;
    HR_TRY(put_levels(&chunk->rep, &scratch->page, err));
    HR_TRY(put_levels(&chunk->def, &scratch->page, err));
    if (leaf->dictionary) {
        p.encoding = PQ_ENCODING_RLE_DICTIONARY;
        HR_TRY(put_codes(chunk, &scratch->page, err));
    } else {
        p.encoding = PQ_ENCODING_PLAIN;
        if (leaf->nest == 0) // nobody prunes by the items of lists
            HR_TRY(hr__pqw_stats_add(&chunk->stats, leaf, chunk->body.items, 0,
                                     chunk->stored_values, err));
        HR_TRY(hr__pqw_put(&scratch->page, chunk->body.items, chunk->body.count, err));
    }
    p.bytes = scratch->page.items;
    p.count = scratch->page.count;
    HR_TRY(put_page(leaf, &p, scratch, &chunk->pages, &chunk->plain_bytes, err));
    chunk->values += chunk->page_values;
    chunk->page_count++;
    page_reset(chunk);
    return HR_OK;
}

// --- rows ---

// How many of the rows go into `room` bytes; rows_bytes never falls, so halving finds it.
static int64_t rows_within(const hr_pqw_leaf *leaf, const hr_column *column, int64_t first,
                           int64_t rows, int64_t room)
{
    int64_t low = 0, high = rows;
    if (hr__pqw_rows_bytes(leaf, column, first, rows) <= room)
        return rows;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (hr__pqw_rows_bytes(leaf, column, first, middle) <= room)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

hr_status hr__pqw_chunk_add(hr_pqw_chunk *chunk, const hr_column *column, int64_t first,
                            int64_t rows, hr_pqw_scratch *scratch, hr_error *err)
{
    while (rows > 0) {
        int64_t room = scratch->page_bytes_max - chunk->page_bytes;
        int64_t step = rows_within(&chunk->leaf, column, first, rows, room);
        if (step == 0 && chunk->page_values > 0) {
            HR_TRY(hr__pqw_chunk_finish_page(chunk, scratch, err));
            continue;
        }
        step = HR_MAX(step, 1);
        int64_t bytes = hr__pqw_rows_bytes(&chunk->leaf, column, first, step);
        if (bytes > HR_PQW_PAGE_BYTES_MAX)
            return HR_FAIL(err, HR_LIMIT, "column '%s': a row of %lld bytes, a page holds %d",
                           chunk->leaf.field->name, (long long)bytes, HR_PQW_PAGE_BYTES_MAX);
        HR_TRY(hr__pqw_shred(chunk, column, first, step, err));
        chunk->page_bytes += bytes;
        first += step;
        rows -= step;
    }
    return HR_OK;
}

// --- the chunk's end ---

static void write_encodings(const hr_pqw_chunk *chunk, hr_pqw_thrift *t)
{
    bool dictionary = chunk->leaf.dictionary;
    hr__pqw_field_list(t, PQ_COLUMN_ENCODINGS, PQ_WIRE_I32, dictionary ? 3 : 2);
    hr__pqw_item_i32(t, PQ_ENCODING_PLAIN);
    hr__pqw_item_i32(t, PQ_ENCODING_RLE);
    if (dictionary)
        hr__pqw_item_i32(t, PQ_ENCODING_RLE_DICTIONARY);
}

static void write_encoding_stats(hr_pqw_thrift *t, pq_page_type type, pq_encoding encoding,
                                 int64_t count)
{
    hr__pqw_struct_begin(t);
    hr__pqw_field_i32(t, PQ_ENCODING_STATS_PAGE_TYPE, type);
    hr__pqw_field_i32(t, PQ_ENCODING_STATS_ENCODING, encoding);
    hr__pqw_field_i32(t, PQ_ENCODING_STATS_COUNT, (int32_t)count);
    hr__pqw_struct_end(t);
}

static void write_meta(const hr_pqw_chunk *chunk, bool zstd, int64_t dictionary_at, int64_t data_at,
                       int64_t stored_bytes, int64_t plain_bytes, hr_pqw_thrift *t)
{
    bool dictionary = chunk->leaf.dictionary;
    hr__pqw_struct_begin(t);
    hr__pqw_field_i64(t, PQ_CHUNK_FILE_OFFSET, 0);
    hr__pqw_field_struct(t, PQ_CHUNK_META_DATA);
    hr__pqw_field_i32(t, PQ_COLUMN_TYPE, chunk->leaf.physical);
    write_encodings(chunk, t);
    hr__pqw_write_path(t, PQ_COLUMN_PATH_IN_SCHEMA, &chunk->leaf);
    hr__pqw_field_i32(t, PQ_COLUMN_CODEC, zstd ? PQ_CODEC_ZSTD : PQ_CODEC_UNCOMPRESSED);
    hr__pqw_field_i64(t, PQ_COLUMN_NUM_VALUES, chunk->values);
    hr__pqw_field_i64(t, PQ_COLUMN_TOTAL_UNCOMPRESSED_SIZE, plain_bytes);
    hr__pqw_field_i64(t, PQ_COLUMN_TOTAL_COMPRESSED_SIZE, stored_bytes);
    hr__pqw_field_i64(t, PQ_COLUMN_DATA_PAGE_OFFSET, data_at);
    if (dictionary)
        hr__pqw_field_i64(t, PQ_COLUMN_DICTIONARY_PAGE_OFFSET, dictionary_at);
    hr__pqw_stats_write(t, PQ_COLUMN_STATISTICS, &chunk->stats, &chunk->leaf);
    hr__pqw_field_list(t, PQ_COLUMN_ENCODING_STATS, PQ_WIRE_STRUCT, dictionary ? 2 : 1);
    if (dictionary)
        write_encoding_stats(t, PQ_PAGE_DICTIONARY, PQ_ENCODING_PLAIN, 1);
    write_encoding_stats(t, PQ_PAGE_DATA,
                         dictionary ? PQ_ENCODING_RLE_DICTIONARY : PQ_ENCODING_PLAIN,
                         chunk->page_count);
    hr__pqw_struct_end(t);
    hr__pqw_struct_end(t);
}

hr_status hr__pqw_chunk_write(hr_pqw_chunk *chunk, hr_sink *sink, hr_pqw_scratch *scratch,
                              hr_pqw_thrift *t, int64_t *plain_bytes_inout,
                              int64_t *stored_bytes_inout, hr_error *err)
{
    const hr_pqw_leaf *leaf = &chunk->leaf;
    int64_t begin = (int64_t)hr__sink_bytes(sink), plain_bytes = 0;
    HR_TRY(hr__pqw_chunk_finish_page(chunk, scratch, err));
    if (leaf->dictionary) {
        page p = {.type = PQ_PAGE_DICTIONARY,
                  .encoding = PQ_ENCODING_PLAIN,
                  .values = chunk->dictionary_count,
                  .bytes = chunk->dictionary.count ? chunk->dictionary.items : (const uint8_t *)"",
                  .count = chunk->dictionary.count};
        if (leaf->nest == 0)
            HR_TRY(hr__pqw_stats_add(&chunk->stats, leaf, p.bytes, 0, p.values, err));
        scratch->page.count = 0;
        HR_TRY(put_page(leaf, &p, scratch, &scratch->page, &plain_bytes, err));
        HR_TRY(hr__sink_write(sink, scratch->page.items, scratch->page.count, err));
        hr__map_close(&chunk->entries);
        HR_TRY(hr__map_open(&chunk->entries, err));
    }
    int64_t data_at = (int64_t)hr__sink_bytes(sink);
    HR_TRY(hr__sink_write(sink, chunk->pages.items, chunk->pages.count, err));
    int64_t stored_bytes = (int64_t)hr__sink_bytes(sink) - begin;
    plain_bytes += chunk->plain_bytes;
    write_meta(chunk, scratch->zstd, begin, data_at, stored_bytes, plain_bytes, t);
    *plain_bytes_inout += plain_bytes;
    *stored_bytes_inout += stored_bytes;
    hr__pqw_chunk_reset(chunk);
    return t->status;
}
