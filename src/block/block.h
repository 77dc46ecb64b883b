// SPDX-License-Identifier: Apache-2.0
// The currency: what a block is, inside. Columns in the Arrow layout over memory that somebody else owns.
//
// A block lies in one span when it was built by hr_builder (wire.h), or in many buffers when it came from Arrow.
// Readers see no difference: they go through hr_column. Immutable once made; the reference count is atomic.
#ifndef HR_BLOCK_BLOCK_H
#define HR_BLOCK_BLOCK_H

#include "base/mem.h"
#include <headrace/block.h>

struct hr_block {
    _Atomic uint32_t refs;
    int32_t column_count;
    int64_t rows;
    hr_schema *schema;  // a reference
    hr_column *columns; // column_count, children hang in the same allocation
    const void *span;   // the span it lies in, or NULL
    size_t span_bytes;
    void (*release)(void *owner); // called once, after the last reference; may be NULL
    void *owner;
};

// Columns over a span (wire.h) as a block; checks header and buffer table (see hr_validate_level). On success the
// block takes `owner`; on failure the caller keeps it.
typedef enum hr_validate_level {
    HR_VALIDATE_NONE,   // our own, sealed by us
    HR_VALIDATE_BOUNDS, // header and buffer table lie inside the span
    HR_VALIDATE_FULL, // also offsets ascend, codes are below the dictionary's length, strings are UTF-8
} hr_validate_level;
HR_USE_RESULT hr_status hr__block_open(const void *span, size_t bytes, const hr_schema *schema,
                                       hr_validate_level level, void (*release)(void *),
                                       void *owner, hr_block **out, hr_error *err);
// A block over columns that lie anywhere (copied shallowly; children too). Takes owner on success.
HR_USE_RESULT hr_status hr__block_make(const hr_schema *schema, int64_t rows,
                                       const hr_column *columns, void (*release)(void *),
                                       void *owner, hr_block **out, hr_error *err);
HR_USE_RESULT hr_status hr__block_validate(const hr_block *block, hr_validate_level level,
                                           hr_error *err);
// One column and its children as FULL checks them; `text`: also UTF-8.
HR_USE_RESULT hr_status hr__column_validate(const hr_column *column, const char *name,
                                            bool nullable, bool text, hr_error *err);
// A block with room for the schema's columns and their children, these zeroed and chained (column i, its child, the
// child's child): the caller fills them. It has no owner yet: unref frees it alone.
HR_USE_RESULT hr_status hr__block_alloc(const hr_schema *schema, int64_t rows, hr_block **out,
                                        hr_error *err);
// One column's rows [first, first + rows) as a view.
hr_column hr__column_slice(const hr_column *column, int64_t first, int64_t rows);
bool hr__column_is_valid(const hr_column *column, int64_t row);
int64_t hr__column_null_count(const hr_column *column); // counts when -1
int64_t hr__column_bytes(const hr_column *column);      // the rows' own bytes
// Where row `row` begins (STRING, BINARY, LIST): an index into data, or a row of the child. row == rows: where the
// last ends.
int64_t hr__column_offset(const hr_column *column, int64_t row);
// All rows of several blocks of equal schema as one new block on the heap (to_arrow of small results, tests).
HR_USE_RESULT hr_status hr__block_concat(hr_block *const *blocks, size_t count,
                                         const hr_schema *schema, hr_block **out, hr_error *err);
// Prints one value as JSON (cat, show, iter_rows; strings quoted, bytes as base64, tensors as nested lists).
struct hr_text;
void hr__column_print_json(const hr_column *column, int64_t row, struct hr_text *out);

// --- types (type.c) ---
#define HR_TYPE_ID_COUNT        (HR_TYPE_DICTIONARY + 1)
#define HR_TYPE_DEPTH_MAX       16 // a list of lists of ...: levels, the innermost included
#define HR_TENSOR_ROW_BYTES_MAX ((int64_t)1 << 40) // one row of a tensor
const hr_type *
hr__type_child(const hr_type *type); // the item where it is a column of its own (LIST, DICTIONARY)
const hr_type *hr__type_primitive(hr_type_id id); // static; for ids without parameters
bool hr__type_equal(const hr_type *a, const hr_type *b);
bool hr__type_is_number(const hr_type *type);   // INT8..UINT64, FLOAT16..FLOAT64
bool hr__type_has_offsets(const hr_type *type); // STRING, BINARY, LIST
int32_t hr__type_value_bytes(
    const hr_type
        *type); // one value: a tensor's item, a dictionary's code; 0: BOOL, NULL, variable
int64_t
hr__type_row_values(const hr_type *type); // values a row: a tensor's product of shape, else 1
// "int32", "string", ... as the user writes them; -1 when it is none.
int hr__type_id_parse(const char *name);
HR_USE_RESULT hr_status hr__type_check(const hr_type *type, const char *what, hr_error *err);

// --- schemas ---
// A schema as bytes (to attach to a stream from another process) and back; parsing is bounded and never trusts.
HR_USE_RESULT hr_status hr__schema_write(const hr_schema *schema, void **bytes_out,
                                         size_t *count_out, hr_error *err);
HR_USE_RESULT hr_status hr__schema_parse(const void *bytes, size_t count, hr_schema **out,
                                         hr_error *err);
// A new schema from chosen fields of another, renamed where names[i] is not NULL.
HR_USE_RESULT hr_status hr__schema_project(const hr_schema *schema, const int32_t *indexes,
                                           const char *const *names, int32_t count, hr_schema **out,
                                           hr_error *err);
// "a: int32, b: string" for messages.
const char *hr__schema_print(const hr_schema *schema, char *buffer, size_t room);
int32_t hr__schema_node_count(const hr_schema *schema); // columns and their children
// How Arrow wrote the codes of a field's dictionary ("c" to "L"; 'i' unless hr_schema_import saw another one): for
// hr_block_import, which turns them into int32.
char hr__schema_index_format(const hr_schema *schema, int32_t index);
void hr__schema_set_index_format(hr_schema *schema, int32_t index, char format);

bool hr__utf8_check(const void *bytes, size_t count); // well-formed UTF-8 (validate.c)

#endif
