// SPDX-License-Identifier: Apache-2.0
// Inside the room: pages, the columns of an open fragment, and the cursors of a pass.
//
// A page goes UNREAD -> BUSY (one thread prepares it, without the lock) -> READY (immutable, pinned by passes) ->
// UNREAD again once all its rows were passed. To prepare is to read, check, decompress, and turn levels and encoding
// into one of a few forms that can be entered anywhere:
//
//   slots   one for each place of a value, null or not (flat: a row; list: an item)
//   dense   the values that are there; slot_valid says which slots have one
//   ends    lists: where row k's slots end: [ends[k], ends[k + 1]); slots before ends[0] continue the page before
#ifndef HR_FORMAT_PARQUET_PQ_PAGE_H
#define HR_FORMAT_PARQUET_PQ_PAGE_H

#include "base/thread.h"
#include "base/vec.h"
#include "format/parquet/pq.h"

// Bytes of the file that a walk over page headers read ahead; pages inside it need no read of their own.
typedef struct pq_window {
    uint8_t *data;
    uint64_t begin;
    size_t bytes;
    int32_t refs; // guarded by the column's mutex
} pq_window;

typedef enum pq_state { PQ_UNREAD, PQ_BUSY, PQ_READY } pq_state;

typedef enum pq_form {
    PQ_FORM_NONE,        // no values
    PQ_FORM_FIXED,       // stored values one after another, in memory or in the file (values NULL)
    PQ_FORM_BITS,        // booleans
    PQ_FORM_SPLIT,       // byte streams
    PQ_FORM_CODES,       // RLE and bit-packed runs of dictionary codes
    PQ_FORM_VAR_PLAIN,   // {u32 length, bytes}...; `index` has the place of each PQ_MARK_EVERY-th
    PQ_FORM_VAR_OFFSETS, // bytes, `index` has dense + 1 offsets
} pq_form;

#define PQ_MARK_EVERY       64
#define PQ_LARGE_PAGE_BYTES (64u << 10) // larger ones stay in the file where their form allows

typedef struct pq_page {
    // From the header; immutable.
    int32_t number;
    uint64_t header_at, payload_at;
    uint32_t stored_bytes, raw_bytes, crc;
    bool has_crc, is_v2, is_compressed;
    int32_t level_count; // values and nulls
    int32_t v2_nulls, v2_rows;
    int32_t encoding, definition_encoding, repetition_encoding;
    uint32_t definition_bytes, repetition_bytes; // v2

    // From the page index; immutable. Such a page's header is read when it is first prepared (payload_at 0 until then),
    // and it begins a row.
    bool is_listed;
    uint32_t listed_bytes; // header and payload

    // Guarded by the column's mutex.
    pq_state state;
    int32_t pins;
    int64_t row_first, rows; // rows that begin in it; -1: not known yet
    int64_t continued; // slots before its first row, as pages passed over tell; -1: they do not
    int64_t rows_passed;
    bool looked_at;    // for its rows alone
    pq_window *window; // holds the payload; may be NULL

    // Prepared; immutable while READY.
    void *memory;        // payload or decompressed payload
    void *levels_memory; // bitmaps, ends
    void *values_memory; // decoded deltas, marks
    size_t held_bytes;
    int64_t begins; // lists: rows that begin in it, as its levels tell
    int64_t slots, dense;
    const uint32_t *ends;      // lists: rows + 1
    const uint8_t *row_valid;  // lists: NULL: no null rows
    const uint8_t *slot_valid; // NULL: every slot has a value
    pq_form form;
    const uint8_t *values;
    size_t values_bytes;
    uint64_t values_at; // FIXED in the file
    const uint32_t *index;
    unsigned bit_width;
} pq_page;

// A header as read; `page` has what is kept of it.
typedef struct pq_header {
    int32_t type, stored_bytes, raw_bytes;
    bool has_body; // the header of its own type was there
    int32_t entries, dictionary_encoding;
    pq_page page;
} pq_header;

typedef HR_VEC(pq_page *) pq_pages;

// Runs of the RLE and bit-packing hybrid (Encodings.md).
typedef struct pq_hybrid {
    const uint8_t *at, *end;
    unsigned width;
    uint64_t left; // of the current run
    bool packed;
    uint32_t value;     // repeated
    const uint8_t *run; // packed
    size_t run_bytes, run_next;
} pq_hybrid;

typedef struct pq_dictionary {
    bool present;
    int64_t entries;
    void *memory;
    const uint8_t *values;   // fixed: value_bytes each, converted. var: the bytes, padded
    const uint32_t *offsets; // var: entries + 1
    bool uniform;            // var: all entries are uniform_bytes long
    uint32_t uniform_bytes;
} pq_dictionary;

typedef struct pq_fragment pq_fragment;

typedef struct pq_column {
    pq_fragment *fragment;
    const pq_leaf *leaf;
    const pq_chunk *chunk;
    hr_mutex mutex;
    hr_cond changed;
    pq_pages pages; // guards: mutex; and all below
    bool entered, walking, walked;
    int64_t from_row;  // pages before it are passed over by their headers. Set before any pass
    int32_t users;     // passes that have pages pinned, or are about to
    size_t kept_bytes; // of prepared pages
    // Of the one thread that walks.
    uint64_t next_at, end_at;
    int64_t levels_seen;
    int64_t rows_seen;   // -1: not known
    uint32_t last_bytes; // of the page before, stored
    int64_t last_rows;   // the same; 0: none was seen
    pq_window *window;
    size_t window_bytes;
    // Set before the first data page is published; may go while nobody uses the column
    pq_dictionary dictionary;
    pq_page dictionary_page; // where it is read from again
    int32_t dictionary_entries, dictionary_encoding;
    bool dictionary_gone; // guards: mutex
} pq_column;

struct pq_fragment {
    hr_spare spare; // first. Pages, windows and dictionaries that no pass uses
    pq_reader *reader;
    int32_t index;
    const pq_group *group;
    hr_scratch *scratch;
    pq_column *columns;
    int32_t column_count;
};

// Where a pass stands inside one page's values.
typedef struct pq_cursor {
    const pq_page *page;
    int64_t dense;   // values passed
    pq_hybrid codes; // CODES: at `dense`
    size_t var_at;   // VAR_PLAIN: at `dense`
    uint8_t *buffer; // FIXED in the file, conversions
    int64_t buffer_first, buffer_count;
} pq_cursor;

// Puts "file: column 'x', row group 1, page 2 at byte 3: " before the message. Returns `status`.
hr_status hr__pq_page_context(const pq_column *column, const pq_page *page, hr_status status,
                              hr_error *err);

// --- pq_header.c ---
// `whole` says that no more bytes are to come: then ending early is wrong too. *bytes_out 0: more bytes are needed.
HR_USE_RESULT hr_status hr__pq_header_parse(const uint8_t *bytes, size_t count, bool whole,
                                            pq_header *h, size_t *bytes_out, hr_error *err);
// Against the bytes that are left behind it, and the values that its chunk has to come.
HR_USE_RESULT hr_status hr__pq_header_check(const pq_column *column, const pq_header *h,
                                            uint64_t left, int64_t more, hr_error *err);

// --- pq_walk.c: only the walking thread calls these, without the lock ---
// The next page of the chunk; *out NULL: there is none.
HR_USE_RESULT hr_status hr__pq_page_walk(pq_column *column, pq_page **out, hr_error *err);
// Before the first page: reads the chunk's dictionary. *there_out false: what lies between its begin and `end_at` is no
// dictionary, and nothing was passed.
HR_USE_RESULT hr_status hr__pq_dictionary_walk(pq_column *column, uint64_t end_at, bool *there_out,
                                               hr_error *err);
// Walks the headers alone, of a column of any nesting: whether its pages are what the chunk says.
HR_USE_RESULT hr_status hr__pq_headers_check(pq_column *column, hr_error *err);
HR_USE_RESULT hr_status hr__pq_window_read(pq_column *column, uint64_t at, size_t bytes,
                                           pq_window **out, hr_error *err);
void hr__pq_window_unref(pq_column *column, pq_window **window); // under the mutex

// --- pq_index.c ---
// All pages, with their rows, where the column is entered in its middle and the page index tells; the dictionary is
// read. None: it does not, or is not worth it. As the walk.
HR_USE_RESULT hr_status hr__pq_index_read(pq_column *column, pq_pages *out, hr_error *err);
// The header of a page that the index told of; its payload too, unless it may stay in the file. As a page is prepared.
HR_USE_RESULT hr_status hr__pq_index_header(pq_column *column, pq_page *page, hr_error *err);
void hr__pq_pages_free(pq_pages *pages); // that nobody saw

// --- pq_page.c ---
HR_USE_RESULT hr_status hr__pq_read(pq_column *column, uint64_t at, size_t bytes, void *to,
                                    hr_error *err); // of the file; its time is the storage's
// The column's dictionary, and where it is found again. Only the walking thread calls it.
HR_USE_RESULT hr_status hr__pq_dictionary_keep(pq_column *column, const pq_header *h,
                                               hr_error *err);
// UNREAD to prepared; on failure nothing is held. The caller owns the page's BUSY state.
HR_USE_RESULT hr_status hr__pq_page_prepare(pq_column *column, pq_page *page, hr_error *err);
// How many rows begin in a v1 page of a list, by its repetition levels alone, which stand first in it: no more of it is
// read and decompressed than has those, about. -1: it cannot be told so. The caller owns the page's BUSY state.
HR_USE_RESULT hr_status hr__pq_page_rows(pq_column *column, const pq_page *page, int64_t *rows_out,
                                         hr_error *err);
void hr__pq_page_drop(pq_column *column, pq_page *page); // gives its memory back; under the mutex
void hr__pq_dictionary_drop(pq_column *column);          // nobody uses the column
// Reads the column's dictionary again. Only the walking thread calls it, without the lock.
HR_USE_RESULT hr_status hr__pq_dictionary_reload(pq_column *column, hr_error *err);

// --- pq_levels.c ---
void hr__hybrid_init(pq_hybrid *h, const uint8_t *bytes, size_t count, unsigned width);
bool hr__hybrid_run(pq_hybrid *h);                  // makes left > 0; false at the end
bool hr__hybrid_skip(pq_hybrid *h, uint64_t count); // false: fewer are left
// Decodes codes; false: fewer are left.
bool hr__hybrid_read(pq_hybrid *h, uint32_t *out, size_t count);
// Of values of one bit: bit i of out = value i == value. False: too few, or one above 1. Out has 8 bytes of room more.
HR_USE_RESULT bool hr__hybrid_bits(pq_hybrid *h, size_t count, uint8_t value, uint8_t *out);
// Levels of the page at `bytes` to slots, ends and bitmaps. *used_out: bytes they took.
HR_USE_RESULT hr_status hr__pq_levels_read(pq_column *column, pq_page *page, const uint8_t *bytes,
                                           size_t count, size_t *used_out, hr_error *err);
// How many of `count` repetition levels begin a row; -1: they are no such levels.
HR_USE_RESULT hr_status hr__pq_starts_count(pq_column *column, const uint8_t *bytes, size_t size,
                                            int32_t count, int64_t *rows_out, hr_error *err);
// How many of the first bytes of a v1 payload hold its levels, as far as `count` of them tell (may be more than count).
size_t hr__pq_levels_bytes(const pq_leaf *leaf, const pq_page *page, const uint8_t *bytes,
                           size_t count);

// --- pq_encoding.c ---
HR_USE_RESULT hr_status hr__pq_values_read(pq_column *column, pq_page *page, const uint8_t *bytes,
                                           size_t count, hr_error *err);
HR_USE_RESULT hr_status hr__pq_dictionary_read(pq_column *column, int32_t entries, int32_t encoding,
                                               const uint8_t *bytes, size_t count, hr_error *err);
// --- pq_delta.c ---
// DELTA_BINARY_PACKED: `count` integers of 4 or 8 bytes. *used_out: bytes it took.
HR_USE_RESULT hr_status hr__pq_delta_read(const uint8_t *bytes, size_t count, size_t width,
                                          int64_t values, void *out, size_t *used_out,
                                          hr_error *err);

// --- pq_value.c ---
void hr__pq_convert(const pq_leaf *leaf, void *out, const uint8_t *in, size_t count);
HR_USE_RESULT hr_status hr__pq_convert_bytes(const pq_leaf *leaf, uint8_t *out, const uint8_t *in,
                                             size_t count, hr_error *err);
void hr__pq_cursor_finish(pq_column *column, pq_cursor *cursor);
HR_USE_RESULT hr_status hr__pq_cursor_seek(pq_column *column, pq_cursor *cursor,
                                           const pq_page *page, int64_t dense, hr_error *err);
// The next `count` values: value_bytes each; bits; or bytes with relative ends (ends[0] is where the first began).
HR_USE_RESULT hr_status hr__pq_read_fixed(pq_column *column, pq_cursor *cursor, size_t count,
                                          uint8_t *out, hr_error *err);
HR_USE_RESULT hr_status hr__pq_read_var(pq_column *column, pq_cursor *cursor, size_t count,
                                        uint8_t *out, size_t room, uint32_t *ends, hr_error *err);
// Bytes of values [first, first + count) of a page.
HR_USE_RESULT hr_status hr__pq_var_bytes(pq_column *column, const pq_page *page, int64_t first,
                                         int64_t count, int64_t *bytes_out, hr_error *err);

// --- pq_column.c ---
HR_USE_RESULT hr_status hr__pq_column_open(pq_fragment *fragment, pq_column *column,
                                           const pq_leaf *leaf, hr_error *err);
void hr__pq_column_close(pq_column *column);
typedef struct pq_pinned {
    pq_pages pages;
    bool uses; // counted among the column's users
} pq_pinned;
// Prepares and pins, in order, the pages that hold rows [first, first + rows). Unpinned also after a failure.
HR_USE_RESULT hr_status hr__pq_column_pin(pq_column *column, int64_t first, int64_t rows,
                                          pq_pinned *pinned, hr_error *err);
// Unpins them, rows [first, first + rows) being passed; a page whose rows were all passed goes.
void hr__pq_column_unpin(pq_column *column, int64_t first, int64_t rows, pq_pinned *pinned);
// Gives back what no pass uses; returns about how many bytes.
uint64_t hr__pq_column_spare(pq_column *column);

// --- pq_tensor.c ---
// Lists of numbers whose rows are all equally long and whole become tensors.
HR_USE_RESULT hr_status hr__pq_tensors_find(pq_reader *reader, hr_error *err);

// --- pq_fragment.c: the vtable's functions ---
HR_USE_RESULT hr_status hr__pq_fragment_open(hr_reader *reader, int32_t index,
                                             const int32_t *columns, int32_t column_count,
                                             hr_scratch *scratch, hr_fragment **out, hr_error *err);
HR_USE_RESULT hr_status hr__pq_check_headers(hr_reader *reader, hr_scratch *scratch, hr_error *err);
void hr__pq_fragment_close(hr_fragment *fragment);
void hr__pq_fragment_start(hr_fragment *fragment, int64_t first);
void hr__pq_fragment_will_need(hr_fragment *fragment, int64_t first, int64_t rows);
HR_USE_RESULT hr_status hr__pq_pass_begin(hr_fragment *fragment, int64_t first, int64_t rows,
                                          hr_pass **out, hr_error *err);
HR_USE_RESULT hr_status hr__pq_pass_measure(hr_pass *pass, int32_t i, hr_layout *layout,
                                            int32_t node, hr_error *err);
HR_USE_RESULT hr_status hr__pq_pass_fill(hr_pass *pass, int32_t i, int64_t rows, hr_slot *slot,
                                         int64_t at, hr_error *err);
void hr__pq_pass_release(hr_pass *pass, int32_t i);
void hr__pq_pass_end(hr_pass *pass);

#endif
