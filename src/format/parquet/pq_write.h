// SPDX-License-Identifier: Apache-2.0
// What the files of the Parquet writer share. Caller-serialised throughout.
//
//   pq_writer.c         rows of blocks into row groups; the file's head and footer
//   pq_write_chunk.c    one column of a row group: pages cut, compressed and kept until the group is complete
//   pq_write_shred.c    rows of a column into levels and runs of values
//   pq_write_values.c   runs of values into the PLAIN encoding; dictionary codes
//   pq_write_levels.c   the RLE and bit-packing hybrid, for levels and codes
//   pq_write_stats.c    minimum, maximum and counts of a chunk
//   pq_write_schema.c   types of blocks into leaves and schema elements
//   pq_write_thrift.c   the Thrift compact protocol, outwards
#ifndef HR_FORMAT_PARQUET_PQ_WRITE_H
#define HR_FORMAT_PARQUET_PQ_WRITE_H

#include "base/map.h"
#include "base/vec.h"
#include "block/block.h"
#include "format/format.h"
#include "format/parquet/pq_format.h"
#include <string.h>

#define HR_PQW_NEST_MAX       8  // lists within lists
#define HR_PQW_STAT_BYTES_MAX 64 // a longer minimum or maximum is cut to this
#define HR_PQW_PAGE_BYTES_MAX (INT32_MAX - 1024)

typedef HR_VEC(uint8_t) hr_pqw_bytes;
HR_USE_RESULT hr_status hr__pqw_put(hr_pqw_bytes *out, const void *bytes, size_t count,
                                    hr_error *err);
HR_USE_RESULT hr_status hr__pqw_varint(hr_pqw_bytes *out, uint64_t value, hr_error *err);

// --- Thrift (pq_write_thrift.c): the first failure sticks, so a struct is written and then checked once ---
typedef struct hr_pqw_thrift {
    hr_pqw_bytes *out;
    hr_error *err;
    hr_status status;
    int depth;
    int16_t last_id[16]; // of the struct at each depth: field ids are written as differences
} hr_pqw_thrift;

hr_pqw_thrift hr__pqw_thrift(hr_pqw_bytes *out, hr_error *err);
void hr__pqw_struct_begin(hr_pqw_thrift *t); // also an item of a list
void hr__pqw_struct_end(hr_pqw_thrift *t);
void hr__pqw_field_bool(hr_pqw_thrift *t, int16_t id, bool value);
void hr__pqw_field_i8(hr_pqw_thrift *t, int16_t id, int8_t value);
void hr__pqw_field_i32(hr_pqw_thrift *t, int16_t id, int32_t value);
void hr__pqw_field_i64(hr_pqw_thrift *t, int16_t id, int64_t value);
void hr__pqw_field_binary(hr_pqw_thrift *t, int16_t id, const void *bytes, size_t count);
void hr__pqw_field_struct(hr_pqw_thrift *t, int16_t id); // a begin: end it
void hr__pqw_field_empty(hr_pqw_thrift *t, int16_t id);  // a struct without fields
void hr__pqw_field_list(hr_pqw_thrift *t, int16_t id, pq_wire item, size_t count);
void hr__pqw_item_i32(hr_pqw_thrift *t, int32_t value);
void hr__pqw_item_binary(hr_pqw_thrift *t, const void *bytes, size_t count);
void hr__pqw_raw(hr_pqw_thrift *t, const void *bytes, size_t count); // items written before

// --- leaves (pq_write_schema.c) ---

// How a value of the block becomes a value of the file.
typedef enum hr_pqw_form {
    HR_PQW_NULL,    // there are none
    HR_PQW_BOOL,    // bits to bits
    HR_PQW_COPY,    // the same bytes
    HR_PQW_WIDEN,   // 8 and 16 bits to INT32
    HR_PQW_BF16,    // to FLOAT
    HR_PQW_SECONDS, // to milliseconds
    HR_PQW_DECIMAL, // little-endian to the shortest big-endian form of the precision
    HR_PQW_TEXT,    // offsets and bytes to length and bytes
} hr_pqw_form;

// How values compare, for statistics.
typedef enum hr_pqw_order {
    HR_PQW_ORDER_NONE,
    HR_PQW_ORDER_SIGNED,
    HR_PQW_ORDER_UNSIGNED,
    HR_PQW_ORDER_FLOAT,
    HR_PQW_ORDER_HALF,
    HR_PQW_ORDER_BYTES,
    HR_PQW_ORDER_DECIMAL, // big-endian, signed
} hr_pqw_order;

typedef struct hr_pqw_leaf {
    const hr_field *field; // of the schema: the column
    const hr_type *type;   // of the values
    pq_type physical;
    hr_pqw_form form;
    hr_pqw_order order;
    int32_t source_bytes; // of a value in the block; 0: bits, or of any length
    int32_t stored_bytes; // of a value in the file; 0: the same
    int32_t nest;         // lists above the values
    int32_t max_def, max_rep;
    bool coded;      // the column is a dictionary
    bool dictionary; // and so is the chunk
} hr_pqw_leaf;

// UNSUPPORTED names a column that Parquet cannot hold.
HR_USE_RESULT hr_status hr__pqw_leaf_init(hr_pqw_leaf *leaf, const hr_field *field, hr_error *err);
void hr__pqw_write_elements(hr_pqw_thrift *t, const hr_pqw_leaf *leaf); // of its whole branch
int32_t hr__pqw_element_count(const hr_pqw_leaf *leaf);
void hr__pqw_write_path(hr_pqw_thrift *t, int16_t id, const hr_pqw_leaf *leaf);

// --- the hybrid (pq_write_levels.c): Encodings.md, "Run Length Encoding / Bit-Packing Hybrid" ---
typedef struct hr_pqw_hybrid {
    hr_pqw_bytes out;
    uint32_t width; // bits of a value; 0: nothing is written
    uint32_t value; // of the run at hand
    int64_t repeat; // its length
    uint32_t pending[8];
    uint32_t pending_count;
    size_t header_at; // where the open bit-packed run has its header, when `groups` is not 0
    uint32_t groups;
} hr_pqw_hybrid;

void hr__pqw_hybrid_reset(hr_pqw_hybrid *hybrid, uint32_t width); // keeps the memory
void hr__pqw_hybrid_release(hr_pqw_hybrid *hybrid);
HR_USE_RESULT hr_status hr__pqw_hybrid_flush(hr_pqw_hybrid *hybrid, hr_error *err);
HR_USE_RESULT hr_status hr__pqw_hybrid_end(hr_pqw_hybrid *hybrid, hr_error *err);
uint32_t hr__pqw_bit_width(uint64_t value_max);
// `count` times `value`.
HR_USE_RESULT static inline hr_status hr__pqw_hybrid_run(hr_pqw_hybrid *hybrid, uint32_t value,
                                                         int64_t count, hr_error *err)
{
    if (hybrid->width == 0 || count == 0)
        return HR_OK;
    if (hybrid->value != value && hybrid->repeat > 0)
        HR_TRY(hr__pqw_hybrid_flush(hybrid, err));
    hybrid->value = value;
    hybrid->repeat += count;
    return HR_OK;
}

// --- statistics (pq_write_stats.c) ---
typedef struct hr_pqw_stats {
    int64_t null_count;
    int64_t nan_count;
    bool any;
    union {
        int64_t i;
        uint64_t u;
        double f;
    } min, max;
    hr_pqw_bytes min_bytes, max_bytes; // BYTES and DECIMAL
} hr_pqw_stats;

void hr__pqw_stats_reset(hr_pqw_stats *stats);
void hr__pqw_stats_release(hr_pqw_stats *stats);
// `count` values in their stored form; of a BOOLEAN column from bit `first` on.
HR_USE_RESULT hr_status hr__pqw_stats_add(hr_pqw_stats *stats, const hr_pqw_leaf *leaf,
                                          const uint8_t *stored, int64_t first, int64_t count,
                                          hr_error *err);
void hr__pqw_stats_write(hr_pqw_thrift *t, int16_t id, const hr_pqw_stats *stats,
                         const hr_pqw_leaf *leaf);

// --- a column chunk (pq_write_chunk.c) ---
typedef struct hr_pqw_chunk {
    hr_pqw_leaf leaf;
    hr_pqw_bytes pages; // finished
    int64_t values;     // of finished pages, nulls among them
    int64_t page_count;
    int64_t plain_bytes; // of finished pages before compression, headers included
    hr_pqw_stats stats;

    // the page at hand
    hr_pqw_hybrid rep, def;
    hr_pqw_bytes body;     // values; bits when BOOLEAN
    int64_t page_values;   // entries: with nulls and empty lists
    int64_t stored_values; // values in the body
    int64_t page_bytes;    // estimate

    // a dictionary's
    HR_VEC(uint32_t) codes; // of the page
    hr_pqw_bytes dictionary;
    hr_map *entries; // stored value to code
    int64_t dictionary_count;
    HR_VEC(int64_t) translation; // of the codes of the block at hand; -1: not known yet
    hr_pqw_hybrid packed;
} hr_pqw_chunk;

typedef struct hr_pqw_scratch {
    hr_pqw_bytes page, squeezed;
    bool zstd;
    int level;
    int64_t page_bytes_max;
} hr_pqw_scratch;

HR_USE_RESULT hr_status hr__pqw_chunk_init(hr_pqw_chunk *chunk, const hr_field *field,
                                           hr_error *err);
void hr__pqw_chunk_reset(hr_pqw_chunk *chunk);
void hr__pqw_chunk_release(hr_pqw_chunk *chunk);
// Said once for each block, before its rows: forgets the translation of the last block's codes.
HR_USE_RESULT hr_status hr__pqw_chunk_block(hr_pqw_chunk *chunk, const hr_column *column,
                                            hr_error *err);
HR_USE_RESULT hr_status hr__pqw_chunk_add(hr_pqw_chunk *chunk, const hr_column *column,
                                          int64_t first, int64_t rows, hr_pqw_scratch *scratch,
                                          hr_error *err);
HR_USE_RESULT hr_status hr__pqw_chunk_finish_page(hr_pqw_chunk *chunk, hr_pqw_scratch *scratch,
                                                  hr_error *err);
// Writes the finished chunk to the sink and its ColumnChunk to t; adds its sizes.
HR_USE_RESULT hr_status hr__pqw_chunk_write(hr_pqw_chunk *chunk, hr_sink *sink,
                                            hr_pqw_scratch *scratch, hr_pqw_thrift *t,
                                            int64_t *plain_bytes_inout, int64_t *stored_bytes_inout,
                                            hr_error *err);

// --- rows to levels and values (pq_write_shred.c) ---
HR_USE_RESULT hr_status hr__pqw_shred(hr_pqw_chunk *chunk, const hr_column *column, int64_t first,
                                      int64_t rows, hr_error *err);
// About the bytes of rows [first, first + rows) in the file: never less with more rows.
int64_t hr__pqw_rows_bytes(const hr_pqw_leaf *leaf, const hr_column *column, int64_t first,
                           int64_t rows);

// --- values (pq_write_values.c) ---
// Appends rows [first, first + count) of a column of values, all valid, in the PLAIN encoding, and adds them to
// *stored_inout, which is the bit that a BOOLEAN column goes on at.
HR_USE_RESULT hr_status hr__pqw_values_put(const hr_pqw_leaf *leaf, const hr_column *column,
                                           int64_t first, int64_t count, hr_pqw_bytes *out,
                                           int64_t *stored_inout, hr_error *err);
// The same for a DICTIONARY column: codes of the chunk's own dictionary, or the values themselves.
HR_USE_RESULT hr_status hr__pqw_codes_put(hr_pqw_chunk *chunk, const hr_column *column,
                                          int64_t first, int64_t count, hr_error *err);
// The code of a valid row, and whether the value behind it is there too.
HR_USE_RESULT hr_status hr__pqw_code_at(const hr_pqw_chunk *chunk, const hr_column *column,
                                        int64_t row, int64_t *code_out, bool *valid_out,
                                        hr_error *err);

#endif
