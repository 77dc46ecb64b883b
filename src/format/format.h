// SPDX-License-Identifier: Apache-2.0
// The room's door: files to fragments, fragments to columns in memory that the caller hands in; and back.
//
//   reader    an open file: schema and list of fragments (row groups). Immutable, thread-safe.
//   fragment  one fragment opened for reading some columns. Thread-safe: several passes may run at once over different
//             rows; pages that two passes share are decoded to values by each but read and decompressed once.
//   pass      one read of a row range, by one thread: begin, measure, then fill columns piece by piece.
//
// A pass cuts its range in pieces so that what is decoded is transformed while still in cache: fill(column, rows)
// continues where that column stopped. Every column has a cursor of its own.
#ifndef HR_FORMAT_FORMAT_H
#define HR_FORMAT_FORMAT_H

#include "base/ledger.h"
#include "base/text.h"
#include "block/block.h"
#include "block/wire.h"
#include "io/io.h"

typedef struct hr_reader hr_reader;
typedef struct hr_fragment hr_fragment;
typedef struct hr_pass hr_pass;

typedef enum hr_compare_op {
    HR_OP_EQ,
    HR_OP_NE,
    HR_OP_LT,
    HR_OP_LE,
    HR_OP_GT,
    HR_OP_GE,
    HR_OP_IS_NULL,
    HR_OP_IS_NOT_NULL
} hr_compare_op;
typedef struct hr_predicate_term {
    int32_t column;
    hr_compare_op op;
    hr_type_id literal_id;
    int64_t i;
    double f;
    const char *text;
} hr_predicate_term;

typedef struct hr_fragment_info {
    int64_t rows;
    int64_t stored_bytes;  // what must be read for all columns
    int64_t decoded_bytes; // estimate, all columns
} hr_fragment_info;

typedef struct hr_open_options {
    bool verify_checksums; // page CRCs
    // Lists of numbers whose lengths are all equal become TENSOR (decided from the first fragment of the first file; a
    // later row of another length is an error that says to read with lists="ragged").
    bool tensors_from_lists;
    const hr_schema *
        expected; // of the first file, for those after it: nothing is looked for; NULL: this is the first
} hr_open_options;

typedef struct hr_format {
    const char *name;                 // "parquet"
    const char *suffixes[4];          // NULL-ended
    bool (*probe)(hr_source *source); // by magic bytes; false also on error
    hr_status (*open)(hr_source *source, const hr_open_options *options, hr_reader **out,
                      hr_error *err); // refs source
    void (*close)(hr_reader *reader);
    hr_status (*inspect)(hr_reader *reader, bool json, hr_text *out,
                         hr_error *err); // for `headrace inspect`
    // Of a file none of whose columns can be read: whether the pages of its first fragment are what it says, so that
    // CORRUPT goes before UNSUPPORTED. NULL: nothing to look at.
    hr_status (*check)(hr_reader *reader, hr_scratch *scratch, hr_error *err);
    // True when no row of the fragment can satisfy all terms.
    bool (*prune)(hr_reader *reader, int32_t fragment, const hr_predicate_term *terms,
                  int32_t term_count);
    // columns: indexes in the reader's schema, ascending.
    hr_status (*fragment_open)(hr_reader *reader, int32_t index, const int32_t *columns,
                               int32_t column_count, hr_scratch *scratch, hr_fragment **out,
                               hr_error *err);
    void (*fragment_close)(hr_fragment *fragment);
    // Before any pass: rows before `first` will hardly be asked for, so what holds them alone is passed over without a
    // look where that can be. NULL: it makes no difference.
    void (*fragment_start)(hr_fragment *fragment, int64_t first);
    // Hints that rows [first, first + rows) will be asked for: starts I/O. Called on the io pool.
    void (*fragment_will_need)(hr_fragment *fragment, int64_t first, int64_t rows);
    hr_status (*pass_begin)(hr_fragment *fragment, int64_t first, int64_t rows, hr_pass **out,
                            hr_error *err);
    // Sets has_validity, data_bytes and child rows of column `i` (index into columns[]) in node (and its child nodes)
    // for the pass's range. Loads and decompresses the pages of the range. Exact for var-width data.
    hr_status (*pass_measure)(hr_pass *pass, int32_t i, hr_layout *layout, int32_t node,
                              hr_error *err);
    // Decodes the next `rows` rows of column i to row `at` of the slot. Var-width appends (offsets[at] is set already).
    hr_status (*pass_fill)(hr_pass *pass, int32_t i, int64_t rows, hr_slot *slot, int64_t at,
                           hr_error *err);
    // Between measuring and filling, or when column i is filled: lets its pages go while others are read, so that a
    // pass needs memory for one column at a time. They stay while there is memory and are made again otherwise. NULL:
    // nothing is held.
    void (*pass_release)(hr_pass *pass, int32_t i);
    void (*pass_end)(hr_pass *pass); // pages nobody needs any more are given back
} hr_format;

// What every reader begins with.
struct hr_reader {
    const hr_format *format;
    hr_source *source;
    // Arrow-like; nested columns that are not done yet are absent from it and named in unsupported
    hr_schema *schema;
    const hr_fragment_info *fragments;
    int32_t fragment_count;
    int64_t rows;
    uint64_t digest; // of what describes the rows: a footer
    const char *const
        *unsupported; // "column 'a': struct", for the message when such a column is asked for
    int32_t unsupported_count;
};

extern const hr_format *const hr__formats[]; // NULL-ended
// By suffix, then by probing. UNSUPPORTED says which formats there are.
HR_USE_RESULT hr_status hr__format_open(hr_source *source, const hr_open_options *options,
                                        hr_reader **out, hr_error *err);
void hr__reader_close(hr_reader **reader);

// Synthetic rows, a reader without a file (synthetic.c): fragments of max(1, rows / blocks) rows, row i filled with
// i, int64. as_range: a plain column; else a tensor of `shape`.
HR_USE_RESULT hr_status hr__synthetic_open(int64_t rows, const int64_t *shape, int32_t ndim,
                                           int64_t blocks, const char *column, bool as_range,
                                           hr_reader **out, hr_error *err);

// The reader with one more column, the last: `name`, int64, first_number + the row's number in the reader
// (numbered.c). Takes inner, also on failure. INVALID: it has such a column.
HR_USE_RESULT hr_status hr__numbered_open(hr_reader **inner, const char *name, int64_t first_number,
                                          hr_reader **out, hr_error *err);

// --- writing Parquet (pq_writer.c) ---
typedef struct hr_parquet_writer hr_parquet_writer;
typedef struct hr_parquet_write_options {
    bool zstd;
    int level;
    int64_t row_group_rows;
    int64_t page_bytes;
} hr_parquet_write_options;
HR_USE_RESULT hr_status hr__parquet_writer_open(hr_sink *sink, const hr_schema *schema,
                                                const hr_parquet_write_options *options,
                                                hr_parquet_writer **out,
                                                hr_error *err); // borrows sink
HR_USE_RESULT hr_status hr__parquet_writer_add(hr_parquet_writer *writer, const hr_block *block,
                                               hr_error *err);
HR_USE_RESULT hr_status hr__parquet_writer_finish(hr_parquet_writer *writer,
                                                  hr_error *err); // footer; then commits the sink
void hr__parquet_writer_close(hr_parquet_writer **writer);

#endif
