// SPDX-License-Identifier: Apache-2.0
// The Parquet room's inner header, reading side: what a footer says, what a column becomes, and the reader over both.
//
//   pq_file     the footer as read: schema elements, row groups, column chunks with statistics. Immutable.
//   pq_leaf     one column of the file that we read: its place in the file and the type it becomes. Immutable.
//   pq_reader   hr_reader with both.
//
// Everything is bounded before it is believed: counts against the bytes that are left, offsets against the file's
// size, metadata memory against a ceiling.
#ifndef HR_FORMAT_PARQUET_PQ_H
#define HR_FORMAT_PARQUET_PQ_H

#include "base/arena.h"
#include "base/cursor.h"
#include "format/codec.h"
#include "format/format.h"
#include "format/parquet/pq_format.h"

// Limits, named in the messages that refuse what is beyond them.
#define PQ_FOOTER_BYTES_MAX (1u << 30)
#define PQ_HEADER_BYTES_MAX (8u << 20) // one page header, statistics included
#define PQ_PAGE_VALUES_MAX  (1 << 27)  // values or levels of one page
#define PQ_PAGE_BYTES_MAX   (1u << 30) // one page, decompressed
#define PQ_DEPTH_MAX        64         // nesting of the schema, and of skipped Thrift structs

// --- Thrift compact protocol (pq_thrift.c) ---

// A bounded reader. After a failure every call returns zero or false; `what` says what was wrong, NULL if the bytes
// ended.
typedef struct pq_thrift {
    hr_cursor cursor;
    const char *what;
} pq_thrift;

pq_thrift hr__thrift(const void *bytes, size_t count);
bool hr__thrift_failed(const pq_thrift *t);
bool hr__thrift_truncated(const pq_thrift *t); // failed, and only because the bytes ended
// The next field of a struct: false at its end or on failure. *id carries the last id, 0 at first.
bool hr__thrift_field(pq_thrift *t, int16_t *id, pq_wire *wire);
// The value of a field of type `wire`; another type than the one asked for is a failure.
int32_t hr__thrift_i32(pq_thrift *t, pq_wire wire); // also from a byte or an i16
int64_t hr__thrift_i64(pq_thrift *t, pq_wire wire);
bool hr__thrift_bool(pq_thrift *t, pq_wire wire);
const uint8_t *hr__thrift_binary(pq_thrift *t, pq_wire wire, uint32_t *bytes_out); // borrowed
bool hr__thrift_struct(pq_thrift *t, pq_wire wire);
// The count of a list whose items are `item`; never more than the bytes that are left.
uint32_t hr__thrift_list(pq_thrift *t, pq_wire wire, pq_wire item);
void hr__thrift_skip(pq_thrift *t, pq_wire wire);
// Fails with `what` (static text) unless something failed before.
void hr__thrift_fail(pq_thrift *t, const char *what);

// --- the footer (pq_footer.c) ---

typedef struct pq_logical_type {
    pq_logical kind;
    int32_t scale, precision;
    pq_time_unit unit;
    bool adjusted_to_utc;
    int32_t bit_width;
    bool is_signed;
} pq_logical_type;

typedef struct pq_element {
    const char *name;
    int32_t type; // pq_type; -1: a group
    int32_t type_length;
    int32_t repetition;
    int32_t child_count;
    int32_t converted; // pq_converted; -1: none
    int32_t scale, precision;
    pq_logical_type logical;
} pq_element;

typedef struct pq_bytes {
    const uint8_t *data; // NULL: absent. Borrowed from the footer
    uint32_t bytes;
} pq_bytes;

typedef struct pq_statistics {
    pq_bytes min, max;               // of the type's own order
    pq_bytes legacy_min, legacy_max; // signed order
    int64_t null_count;              // -1: unknown
    bool min_is_inexact, max_is_inexact;
} pq_statistics;

typedef struct pq_chunk {
    int32_t type;
    int32_t codec;
    uint32_t encodings; // a bit each
    int64_t values;
    int64_t uncompressed_bytes, compressed_bytes;
    int64_t start;    // of its first page, the dictionary page included
    int64_t index_at; // the offset index, as the file says it; 0: none
    int32_t index_bytes;
    pq_statistics statistics;
} pq_chunk;

typedef struct pq_group {
    int64_t rows;
    pq_chunk *chunks; // leaf_count of the file
} pq_group;

typedef struct pq_file {
    hr_bump bump;
    uint8_t *footer;
    uint32_t footer_bytes;
    uint64_t data_end; // where the footer begins: no page reaches past it
    const pq_element *elements;
    int32_t element_count;
    int32_t leaf_count;
    pq_group *groups;
    int32_t group_count;
    int64_t rows;
    const char *created_by;
    int32_t version;
    uint8_t *column_orders; // a field id of ColumnOrder each; NULL: not told
    // An old parquet-mr that forgot the dictionary page's header in chunk sizes
    bool pads_dictionary;
} pq_file;

HR_USE_RESULT hr_status hr__pq_file_read(hr_source *source, pq_file *file, hr_error *err);
// The same of a footer at hand: takes `footer`.
HR_USE_RESULT hr_status hr__pq_file_parse(const char *name, uint64_t data_end, uint8_t *footer,
                                          uint32_t footer_bytes, pq_file *file, hr_error *err);
void hr__pq_file_finish(pq_file *file);

// --- columns (pq_schema.c) ---

// How a stored value becomes a value of the column's type.
typedef enum pq_convert {
    PQ_CONVERT_COPY,          // the same bytes
    PQ_CONVERT_NARROW,        // INT32 to its low one or two bytes
    PQ_CONVERT_BOOL,          // bits
    PQ_CONVERT_BYTES,         // BYTE_ARRAY to STRING, BINARY
    PQ_CONVERT_INT96,         // to nanoseconds
    PQ_CONVERT_DECIMAL_INT,   // INT32, INT64 to 16 or 32 bytes
    PQ_CONVERT_DECIMAL_FIXED, // big-endian of fixed length
    PQ_CONVERT_DECIMAL_BYTES, // big-endian of any length
    PQ_CONVERT_NULL,          // no values
} pq_convert;

typedef struct pq_leaf {
    const char *name;    // the column's
    const char *path;    // "a.list.element", for messages
    int32_t chunk_index; // among the file's leaves
    pq_type physical;
    int32_t stored_bytes; // of one value: 1, 4, 8, 12, type_length; 0: BYTE_ARRAY, and bits
    int32_t value_bytes;  // of one value of the type; 0: BOOL, STRING, BINARY, NULL
    pq_convert convert;
    hr_type item; // what a leaf value is
    hr_type type; // the column's: item, LIST of item, TENSOR of item
    bool nullable;
    bool is_list;            // a repeated column: LIST, or TENSOR
    int64_t row_values;      // TENSOR: values a row; else 0
    uint8_t max_definition;  // at most 3 (flat: 1)
    uint8_t list_definition; // is_list: the level at which the list is there but empty
} pq_leaf;

typedef struct pq_reader {
    hr_reader base;
    hr_open_options options;
    pq_file file;
    hr_bump bump;
    pq_leaf *leaves; // in the order of base.schema
    int32_t leaf_count;
    hr_fragment_info *infos;
} pq_reader;

// Fills leaves and unsupported of the reader from its file.
HR_USE_RESULT hr_status hr__pq_schema_read(pq_reader *reader, hr_error *err);
// The hr_schema of the leaves as they are now (after tensors were decided).
HR_USE_RESULT hr_status hr__pq_schema_make(pq_reader *reader, hr_error *err);

// --- other parts ---
bool hr__pq_prune(hr_reader *reader, int32_t fragment, const hr_predicate_term *terms,
                  int32_t term_count);
HR_USE_RESULT hr_status hr__pq_inspect(hr_reader *reader, bool json, hr_text *out, hr_error *err);
const char *hr__pq_type_name(int32_t type);
const char *hr__pq_encoding_name(int32_t encoding);

extern const hr_format hr__parquet_format;

#endif
