// SPDX-License-Identifier: Apache-2.0
// Blocks into a Parquet file. Caller-serialised.
//
// Blocks of any size are regrouped: rows go to the columns' chunks as they come and nothing of a block is kept, so that
// a writer never holds memory of the store. What it holds is a row group in its stored form. A group ends at
// row_group_rows rows or, where the caller left that to us, at GROUP_BYTES of plain values if these come first: a
// million rows of a tensor would not fit in memory.
//
// After a failure the columns of the group may differ in rows, so that the writer refuses everything but close.
#include "format/parquet/pq_write.h"
#include "base/text.h"
#include "format/codec.h"

#define GROUP_ROWS     ((int64_t)1 << 20)
#define GROUP_BYTES    ((int64_t)128 << 20)
#define PAGE_BYTES     ((int64_t)1 << 20)
#define PAGE_BYTES_MIN 64
#define PAGE_BYTES_MAX ((int64_t)1 << 30)
#define CREATED_BY     "headrace version 0.1.0"
#define FORMAT_VERSION 1 // what every reader takes (parquet.thrift, FileMetaData.version)
#define METADATA_ROOT  "schema"

struct hr_parquet_writer {
    hr_sink *sink; // borrowed
    hr_schema *schema;
    hr_pqw_chunk *chunks;
    int32_t chunk_count;
    hr_pqw_scratch scratch;
    hr_pqw_bytes groups; // finished RowGroup structs
    int64_t group_count;
    int64_t rows;       // of finished groups
    int64_t group_rows; // of the group at hand
    int64_t group_bytes;
    int64_t group_rows_max;
    int64_t group_bytes_max;
    bool failed, finished;
};

static hr_status set_options(hr_parquet_writer *writer, const hr_parquet_write_options *options,
                             hr_error *err)
{
    hr_parquet_write_options o = options ? *options : (hr_parquet_write_options){0};
    if (o.row_group_rows < 0)
        return HR_FAIL(err, HR_INVALID,
                       "row_group_rows is %lld; it must be positive, or 0 for %lld",
                       (long long)o.row_group_rows, (long long)GROUP_ROWS);
    if (o.page_bytes != 0 && (o.page_bytes < PAGE_BYTES_MIN || o.page_bytes > PAGE_BYTES_MAX))
        return HR_FAIL(err, HR_INVALID, "page_bytes is %lld; allowed are %d to %lld, or 0 for %lld",
                       (long long)o.page_bytes, PAGE_BYTES_MIN, (long long)PAGE_BYTES_MAX,
                       (long long)PAGE_BYTES);
    writer->group_rows_max = o.row_group_rows ? o.row_group_rows : GROUP_ROWS;
    writer->group_bytes_max = o.row_group_rows ? INT64_MAX : GROUP_BYTES;
    writer->scratch.page_bytes_max = o.page_bytes ? o.page_bytes : PAGE_BYTES;
    writer->scratch.zstd = o.zstd;
    writer->scratch.level = o.level;
    return o.zstd ? hr__codec_check(HR_CODEC_ZSTD, err) : HR_OK;
}

hr_status hr__parquet_writer_open(hr_sink *sink, const hr_schema *schema,
                                  const hr_parquet_write_options *options, hr_parquet_writer **out,
                                  hr_error *err)
{
    hr_parquet_writer *writer = NULL;
    hr_status status;
    HR_GO(hr__alloc_zero(1, sizeof *writer, &writer, err));
    writer->sink = sink;
    writer->schema = hr_schema_ref((hr_schema *)schema);
    HR_GO(set_options(writer, options, err));
    int32_t count = hr_schema_count(schema);
    HR_GO(hr__alloc_zero((size_t)HR_MAX(count, 1), sizeof *writer->chunks, &writer->chunks, err));
    for (; writer->chunk_count < count; writer->chunk_count++) {
        hr_pqw_chunk *chunk = &writer->chunks[writer->chunk_count];
        HR_GO(hr__pqw_chunk_init(chunk, hr_schema_field(schema, writer->chunk_count), err));
    }
    HR_GO(hr__sink_write(sink, PQ_MAGIC, PQ_MAGIC_BYTES, err));
    *out = writer;
    return HR_OK;
out:
    hr__parquet_writer_close(&writer);
    return status;
}

void hr__parquet_writer_close(hr_parquet_writer **out)
{
    hr_parquet_writer *writer = *out;
    if (writer == NULL)
        return;
    for (int32_t i = 0; i < writer->chunk_count; i++)
        hr__pqw_chunk_release(&writer->chunks[i]);
    hr__free(writer->chunks);
    HR_VEC_FINISH(&writer->scratch.page);
    HR_VEC_FINISH(&writer->scratch.squeezed);
    HR_VEC_FINISH(&writer->groups);
    hr_schema_unref(&writer->schema);
    hr__free(writer);
    *out = NULL;
}

static hr_status write_group(hr_parquet_writer *writer, hr_error *err)
{
    int64_t begin = (int64_t)hr__sink_bytes(writer->sink), plain_bytes = 0, stored_bytes = 0;
    hr_pqw_thrift t = hr__pqw_thrift(&writer->groups, err);
    hr__pqw_struct_begin(&t);
    hr__pqw_field_list(&t, PQ_GROUP_COLUMNS, PQ_WIRE_STRUCT, (size_t)writer->chunk_count);
    for (int32_t i = 0; i < writer->chunk_count; i++)
        HR_TRY(hr__pqw_chunk_write(&writer->chunks[i], writer->sink, &writer->scratch, &t,
                                   &plain_bytes, &stored_bytes, err));
    hr__pqw_field_i64(&t, PQ_GROUP_TOTAL_BYTE_SIZE, plain_bytes);
    hr__pqw_field_i64(&t, PQ_GROUP_NUM_ROWS, writer->group_rows);
    hr__pqw_field_i64(&t, PQ_GROUP_FILE_OFFSET, begin);
    hr__pqw_field_i64(&t, PQ_GROUP_TOTAL_COMPRESSED_SIZE, stored_bytes);
    hr__pqw_struct_end(&t);
    writer->rows += writer->group_rows;
    writer->group_count++;
    writer->group_rows = writer->group_bytes = 0;
    return t.status;
}

static int64_t rows_bytes(const hr_parquet_writer *writer, const hr_block *block, int64_t first,
                          int64_t rows)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < writer->chunk_count; i++)
        bytes +=
            hr__pqw_rows_bytes(&writer->chunks[i].leaf, hr_block_column(block, i), first, rows);
    return bytes;
}

// How many of the rows the group at hand takes: at least one.
static int64_t rows_for_group(const hr_parquet_writer *writer, const hr_block *block, int64_t first,
                              int64_t rows)
{
    int64_t low = 1, high = HR_MIN(rows, writer->group_rows_max - writer->group_rows);
    int64_t room = writer->group_bytes_max - writer->group_bytes;
    if (rows_bytes(writer, block, first, high) <= room)
        return high;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (rows_bytes(writer, block, first, middle) <= room)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static hr_status add_rows(hr_parquet_writer *writer, const hr_block *block, hr_error *err)
{
    int64_t first = 0, rows = hr_block_rows(block);
    if (rows == 0)
        return HR_OK;
    for (int32_t i = 0; i < writer->chunk_count; i++)
        HR_TRY(hr__pqw_chunk_block(&writer->chunks[i], hr_block_column(block, i), err));
    while (first < rows) {
        int64_t step = rows_for_group(writer, block, first, rows - first);
        int64_t bytes = rows_bytes(writer, block, first, step);
        for (int32_t i = 0; i < writer->chunk_count; i++)
            HR_TRY(hr__pqw_chunk_add(&writer->chunks[i], hr_block_column(block, i), first, step,
                                     &writer->scratch, err));
        writer->group_rows += step;
        writer->group_bytes += bytes;
        first += step;
        if (writer->group_rows >= writer->group_rows_max ||
            writer->group_bytes >= writer->group_bytes_max ||
            (first < rows && writer->group_bytes_max != INT64_MAX))
            HR_TRY(write_group(writer, err));
    }
    return HR_OK;
}

static hr_status check_block(const hr_parquet_writer *writer, const hr_block *block, hr_error *err)
{
    const hr_schema *schema = hr_block_schema(block);
    if (writer->failed || writer->finished)
        return HR_FAIL(err, HR_INVALID, "the Parquet writer has %s; nothing can be added to it",
                       writer->failed ? "failed before" : "finished");
    if (hr_schema_count(schema) != writer->chunk_count)
        return HR_FAIL(err, HR_INVALID, "the block has %d columns, the Parquet file %d",
                       hr_schema_count(schema), writer->chunk_count);
    for (int32_t i = 0; i < writer->chunk_count; i++) {
        const hr_field *have = hr_schema_field(schema, i), *want = writer->chunks[i].leaf.field;
        char have_type[128], want_type[128];
        if (strcmp(have->name, want->name) != 0 || !hr__type_equal(have->type, want->type))
            return HR_FAIL(err, HR_INVALID, "column %d: the block has '%s' %s, the file '%s' %s", i,
                           have->name, hr_type_print(have->type, have_type, sizeof have_type),
                           want->name, hr_type_print(want->type, want_type, sizeof want_type));
    }
    return HR_OK;
}

hr_status hr__parquet_writer_add(hr_parquet_writer *writer, const hr_block *block, hr_error *err)
{
    HR_TRY(check_block(writer, block, err));
    hr_status status = add_rows(writer, block, err);
    writer->failed |= status != HR_OK;
    return status;
}

// --- the footer ---

static void write_schema(const hr_parquet_writer *writer, hr_pqw_thrift *t)
{
    size_t count = 1;
    for (int32_t i = 0; i < writer->chunk_count; i++)
        count += (size_t)hr__pqw_element_count(&writer->chunks[i].leaf);
    hr__pqw_field_list(t, PQ_FILE_SCHEMA, PQ_WIRE_STRUCT, count);
    hr__pqw_struct_begin(t);
    hr__pqw_field_binary(t, PQ_ELEMENT_NAME, METADATA_ROOT, strlen(METADATA_ROOT));
    hr__pqw_field_i32(t, PQ_ELEMENT_NUM_CHILDREN, writer->chunk_count);
    hr__pqw_struct_end(t);
    for (int32_t i = 0; i < writer->chunk_count; i++)
        hr__pqw_write_elements(t, &writer->chunks[i].leaf);
}

// One row for each tensor of more than one dimension: its list in the file is flat.
static void write_shape(hr_pqw_thrift *t, const hr_field *field, hr_error *err)
{
    hr_text key, value;
    hr__text_init(&key, (size_t)1 << 20);
    hr__text_init(&value, 256);
    hr__text_add(&key, "%s%s", PQ_KEY_SHAPE_PREFIX, field->name);
    for (int32_t d = 0; d < field->type->ndim; d++)
        hr__text_add(&value, "%s%lld", d ? "," : "", (long long)field->type->shape[d]);
    if ((key.failed || value.failed) && t->status == HR_OK)
        t->status = HR_FAIL(err, HR_NOMEM, "no memory for the shape of column '%s'", field->name);
    hr__pqw_struct_begin(t);
    hr__pqw_field_binary(t, PQ_KEY_VALUE_KEY, hr__text_str(&key), key.bytes);
    hr__pqw_field_binary(t, PQ_KEY_VALUE_VALUE, hr__text_str(&value), value.bytes);
    hr__pqw_struct_end(t);
    hr__text_finish(&key);
    hr__text_finish(&value);
}

static bool has_shape(const hr_field *field)
{
    return field->type->id == HR_TYPE_TENSOR && field->type->ndim > 1;
}

static void write_shapes(const hr_parquet_writer *writer, hr_pqw_thrift *t, hr_error *err)
{
    size_t count = 0;
    for (int32_t i = 0; i < writer->chunk_count; i++)
        count += has_shape(writer->chunks[i].leaf.field);
    if (count == 0)
        return;
    hr__pqw_field_list(t, PQ_FILE_KEY_VALUE_METADATA, PQ_WIRE_STRUCT, count);
    for (int32_t i = 0; i < writer->chunk_count; i++)
        if (has_shape(writer->chunks[i].leaf.field))
            write_shape(t, writer->chunks[i].leaf.field, err);
}

static hr_status write_footer(hr_parquet_writer *writer, hr_error *err)
{
    hr_pqw_bytes *footer = &writer->scratch.page;
    footer->count = 0;
    hr_pqw_thrift t = hr__pqw_thrift(footer, err);
    hr__pqw_struct_begin(&t);
    hr__pqw_field_i32(&t, PQ_FILE_VERSION, FORMAT_VERSION);
    write_schema(writer, &t);
    hr__pqw_field_i64(&t, PQ_FILE_NUM_ROWS, writer->rows);
    hr__pqw_field_list(&t, PQ_FILE_ROW_GROUPS, PQ_WIRE_STRUCT, (size_t)writer->group_count);
    hr__pqw_raw(&t, writer->groups.items, writer->groups.count);
    write_shapes(writer, &t, err);
    hr__pqw_field_binary(&t, PQ_FILE_CREATED_BY, CREATED_BY, strlen(CREATED_BY));
    hr__pqw_field_list(&t, PQ_FILE_COLUMN_ORDERS, PQ_WIRE_STRUCT, (size_t)writer->chunk_count);
    for (int32_t i = 0; i < writer->chunk_count; i++) {
        hr__pqw_struct_begin(&t);
        hr__pqw_field_empty(&t, PQ_ORDER_TYPE_DEFINED);
        hr__pqw_struct_end(&t);
    }
    hr__pqw_struct_end(&t);
    HR_TRY(t.status);
    if (footer->count > INT32_MAX)
        return HR_FAIL(err, HR_LIMIT,
                       "the footer has %zu bytes, allowed are %d; write larger row "
                       "groups, or several files",
                       footer->count, INT32_MAX);
    uint32_t bytes = (uint32_t)footer->count;
    HR_TRY(hr__pqw_put(footer, &bytes, sizeof bytes, err));
    HR_TRY(hr__pqw_put(footer, PQ_MAGIC, PQ_MAGIC_BYTES, err));
    return hr__sink_write(writer->sink, footer->items, footer->count, err);
}

hr_status hr__parquet_writer_finish(hr_parquet_writer *writer, hr_error *err)
{
    hr_status status;
    if (writer->failed || writer->finished)
        return HR_FAIL(err, HR_INVALID, "the Parquet writer has %s",
                       writer->failed ? "failed before: its file is not whole" : "finished before");
    if (writer->group_rows > 0)
        HR_GO(write_group(writer, err));
    HR_GO(write_footer(writer, err));
    HR_GO(hr__sink_commit(writer->sink, err));
    writer->finished = true;
    return HR_OK;
out:
    writer->failed = true;
    return status;
}
