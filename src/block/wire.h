// SPDX-License-Identifier: Apache-2.0
// The span: a block as one position-independent run of bytes. The same bytes stand in shared memory, in a spill file
// and on the network. Specified in docs/format/block.md.
//
//   0        magic "HRBK", version, header_bytes
//   16       rows, span_bytes (used)
//   32       column count, buffer count, checks
//   64       buffer table: {offset, bytes} each 16 bytes, in the order of the walk below
//   ...      per node {rows (children may have more), null_count}: one per column or child
//   aligned  buffers, each 64-byte aligned and padded with at least 64 readable bytes
//
// Walk: for each column validity, offsets, data, then its child the same way. An absent buffer is {0, 0}.
//
// Building goes in three steps, so that the memory can be an arena extent of exactly the right size:
//   1. hr__layout_init(rows); for each node say whether it has validity, how many bytes or child rows it needs;
//      hr__layout_finish tells the bytes;
//   2. hr__builder_init in that memory gives writable pointers for each node;
//   3. hr__builder_seal writes the header. Fewer rows (and bytes) than laid out may be sealed.
#ifndef HR_BLOCK_WIRE_H
#define HR_BLOCK_WIRE_H

#include "block/block.h"

#define HR_SPAN_MAGIC      0x4b425248u // "HRBK"
#define HR_SPAN_VERSION    1
#define HR_SPAN_HEAD_BYTES 64 // before the buffer table
#define HR_SPAN_NODE_BYTES 64 // three buffers of 16 in the table, and its 16 of {rows, null_count}
#define HR_SPAN_PAD_BYTES  64 // readable after each buffer
#define HR_SPAN_NODES_MAX  8192
#define HR_SPAN_ROWS_MAX   ((int64_t)1 << 40)

// One column or child while it is planned.
typedef struct hr_layout_node {
    const hr_type *type;
    int64_t rows; // capacity; a child's own
    bool has_validity;
    int64_t data_bytes; // STRING, BINARY: bytes of all values; others: filled by hr__layout_finish
    int32_t child;      // index of the child's node, or -1
    uint64_t validity_at, offsets_at, data_at; // filled by hr__layout_finish; 0: absent
} hr_layout_node;

typedef struct hr_layout {
    hr_layout_node *nodes; // columns first (index = column), then children
    int32_t node_count;
    int32_t column_count;
    int64_t rows;
    size_t span_bytes;
} hr_layout;

// Nodes for every column and child; validity set where the field is nullable; child rows and data bytes zero.
HR_USE_RESULT hr_status hr__layout_init(hr_layout *layout, const hr_schema *schema, int64_t rows,
                                        hr_error *err);
// Places the buffers. LIMIT: a size overflows (or 32-bit offsets would).
HR_USE_RESULT hr_status hr__layout_finish(hr_layout *layout, hr_error *err);
void hr__layout_release(hr_layout *layout);

// Where to write. Same meaning as hr_column, without offset.
typedef struct hr_slot {
    const hr_type *type;
    int64_t rows;      // capacity
    uint8_t *validity; // NULL: the node has none. The writer sets every bit of its rows
    void *offsets;     // offsets[0] is set to 0 by hr__builder_init
    void *data;
    int64_t data_bytes;
    int64_t null_count; // the writer's; -1 when it did not count
    struct hr_slot *child;
    int64_t written; // a child's rows used, set by the writer of its parent
} hr_slot;

typedef struct hr_builder {
    void *memory;
    const hr_layout *layout;
    hr_slot *slots; // node_count
} hr_builder;

HR_USE_RESULT hr_status hr__builder_init(hr_builder *builder, const hr_layout *layout, void *memory,
                                         hr_error *err);
// Writes the header over `rows` rows (<= layout rows) and zeroes the padding; the builder's slots are void then.
void hr__builder_seal(hr_builder *builder, int64_t rows);
void hr__builder_release(hr_builder *builder);

// Bytes of a node's buffers when it holds `rows` rows; data bytes of STRING and BINARY are told by their offsets
// and 0 here. false: a size does not fit.
typedef struct hr_node_bytes {
    int64_t validity, offsets, data;
} hr_node_bytes;
bool hr__node_bytes(const hr_type *type, int64_t rows, hr_node_bytes *out);
// Stands in the header, so that a span is not read under a schema of other types. Names do not count.
uint64_t hr__types_hash(const hr_type *type, uint64_t before);
// Of the header and its tables, whose first 48 bytes stand before the hash itself.
uint64_t hr__span_head_hash(const uint8_t *span, size_t header_bytes);

// What a scan needs without opening the block.
HR_USE_RESULT hr_status hr__span_peek(const void *span, size_t bytes, int64_t *rows_out,
                                      size_t *span_bytes_out, hr_error *err);

// --- selecting rows into a new span (block_take.c): the two steps of a gather ---
// Layout for rows of `block` named by `indexes` (NULL: rows [0, count) in order).
HR_USE_RESULT hr_status hr__take_layout(const hr_block *block, const uint32_t *indexes,
                                        int64_t count, hr_layout *layout, hr_error *err);
// Appends them at row `at` of the builder's slots (offsets continue). For a batch cut over several blocks: layouts
// are added with hr__layout_add, then each block appends its rows.
HR_USE_RESULT hr_status hr__take_append(const hr_block *block, const uint32_t *indexes,
                                        int64_t count, hr_builder *builder, int64_t at,
                                        hr_error *err);
// The same for one column: `node` is the column's in the layout. Row numbers in indexes are the caller's to have
// checked.
HR_USE_RESULT hr_status hr__take_measure_column(const hr_column *column, const uint32_t *indexes,
                                                int64_t count, hr_layout *layout, int32_t node,
                                                hr_error *err);
HR_USE_RESULT hr_status hr__take_append_column(const hr_column *column, const uint32_t *indexes,
                                               int64_t count, hr_slot *slot, int64_t at,
                                               hr_error *err);
// --- rows from anywhere (block_mix.c): blocks are seen as one, one after the other; row i of the span is its row
// indexes[i] ---
typedef struct hr_mixture {
    hr_block *const *blocks;
    int32_t count;
    const uint32_t *indexes;
    int64_t rows; // that come out
    bool all;     // of the blocks, each once
} hr_mixture;
// The layout of such a span, finished. INVALID: a row that the blocks have not.
HR_USE_RESULT hr_status hr__mix_layout(const hr_schema *schema, const hr_mixture *of,
                                       hr_layout *layout, hr_error *err);
// Into a builder of that layout.
HR_USE_RESULT hr_status hr__mix_append(const hr_mixture *of, hr_builder *builder, hr_error *err);
// One row of a column behind those that the slot has, and the values of its dictionary before any (block_take.c).
HR_USE_RESULT hr_status hr__take_append_row(const hr_column *column, int64_t row, hr_slot *slot,
                                            int64_t at, int32_t shift, hr_error *err);
HR_USE_RESULT hr_status hr__take_append_dictionary(const hr_column *column, hr_slot *slot,
                                                   int32_t *shift_out, hr_error *err);
void hr__codes_shift(int32_t *codes, int64_t count, int32_t shift);
// Adds the needs of `more` (same schema, not finished) to `layout` (not finished).
HR_USE_RESULT hr_status hr__layout_add(hr_layout *layout, const hr_layout *more, hr_error *err);

#endif
