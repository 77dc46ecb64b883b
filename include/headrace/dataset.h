// SPDX-License-Identifier: Apache-2.0
/**
 * Datasets: lazy plans over rows. Nothing is read before a result is asked for, save what a schema needs (one footer).
 *
 * A dataset is immutable and reference-counted: it may be shared between threads. Every operation returns a new
 * reference in *out and borrows its inputs. Rows have an order: that of the files by name, and in a file as it stands.
 */
#ifndef HEADRACE_DATASET_H
#define HEADRACE_DATASET_H

#include <headrace/block.h>
#include <headrace/expr.h>
#include <headrace/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hr_dataset hr_dataset;

/* --- sources --- */

/** What a column of lists of numbers is read as. */
typedef enum hr_lists { HR_LISTS_AUTO = 0, HR_LISTS_RAGGED = 1 } hr_lists;

typedef struct hr_read_options {
    size_t size;
    const char *const *columns; /**< NULL-ended names to read; NULL: all that can be read */
    bool verify_checksums;      /**< check page CRCs where the file has them */
    hr_lists lists;             /**< AUTO: those of one length are tensors. RAGGED: always lists */
    const char *const *paths;   /**< further paths, NULL-ended, after the one of the call */
    /** The name of a further int64 column: which row of the source each is (hr_dataset_locate).
     *  Read alone, nothing is decoded. Default: none */
    const char *row_numbers;
} hr_read_options;
#define HR_READ_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(hr_read_options), NULL, false, HR_LISTS_AUTO, NULL, NULL                            \
    }

/** Parquet files: a file, a glob or a folder (recursively). One footer is read now, the others as
 *  they are needed. NOT_FOUND: no file; CORRUPT, UNSUPPORTED: name the file and the place. A later
 *  file of another schema is INVALID when it is reached: names file and column. */
HR_API HR_USE_RESULT hr_status hr_read_parquet(hr_runtime *runtime, const char *path,
                                               const hr_read_options *options, hr_dataset **out,
                                               hr_error *err);
/** Rows {id: i} for i in [0, rows), int64, in blocks as Ray cut them: max(1, rows / blocks) rows
 *  each. blocks 0: 200. */
HR_API HR_USE_RESULT hr_status hr_range(hr_runtime *runtime, int64_t rows, int64_t blocks,
                                        hr_dataset **out, hr_error *err);
/** Rows of one int64 tensor column "data" of `shape` (ndim sizes), row i filled with i. INVALID: a
 *  shape of 0 or over 8 dimensions, or of over 2^40 values. */
HR_API HR_USE_RESULT hr_status hr_range_tensor(hr_runtime *runtime, int64_t rows,
                                               const int64_t *shape, int32_t ndim, int64_t blocks,
                                               hr_dataset **out, hr_error *err);
/** Blocks in memory, all of one schema (INVALID: names the block that has another). Refs them. */
HR_API HR_USE_RESULT hr_status hr_from_blocks(hr_runtime *runtime, hr_block *const *blocks,
                                              int32_t count, const hr_schema *schema,
                                              hr_dataset **out, hr_error *err);
/** Reads an Arrow stream to its end, no copy. Takes the stream, also on failure. IO: the stream's own
 *  failure, in its words; UNSUPPORTED: names the field. */
HR_API HR_USE_RESULT hr_status hr_from_arrow(hr_runtime *runtime, struct ArrowArrayStream *stream,
                                             hr_dataset **out, hr_error *err);
/** What one file holds, for people or (json) as one object: schema, row groups, codecs, encodings, statistics.
 *  Needs no runtime. *out is freed with hr_text_free. CORRUPT, UNSUPPORTED: name the place. */
HR_API HR_USE_RESULT hr_status hr_inspect(const char *path, bool json, char **out, hr_error *err);
/** Anything the command line calls SOURCE: a path, glob or folder of Parquet files, "range:ROWS[,blocks=N]" or
 *  "range_tensor:ROWSxAxBxC[,blocks=N]". */
HR_API HR_USE_RESULT hr_status hr_open_source(hr_runtime *runtime, const char *source,
                                              const hr_read_options *options, hr_dataset **out,
                                              hr_error *err);

/* --- row by row: these fuse with the read and with each other --- */

/** Assignments in order, as "x = (x - 3) / 2; y = log1p(x)". A new name is appended, an old one replaced.
 *  INVALID, UNSUPPORTED: where in the text, and what was expected there or what types met. */
HR_API HR_USE_RESULT hr_status hr_dataset_map(const hr_dataset *dataset, const char *assignments,
                                              hr_dataset **out, hr_error *err);
/** One assignment from a tree. Statuses as hr_dataset_map. */
HR_API HR_USE_RESULT hr_status hr_dataset_assign(const hr_dataset *dataset, const char *name,
                                                 const hr_expr *expr, hr_dataset **out,
                                                 hr_error *err);
/** Keeps the rows for which the predicate is true (null counts as false). Statuses as hr_dataset_map. */
HR_API HR_USE_RESULT hr_status hr_dataset_filter(const hr_dataset *dataset, const char *predicate,
                                                 hr_dataset **out, hr_error *err);
/** The same from a tree. */
HR_API HR_USE_RESULT hr_status hr_dataset_filter_expr(const hr_dataset *dataset,
                                                      const hr_expr *predicate, hr_dataset **out,
                                                      hr_error *err);
/** These columns, in this order. names: NULL-ended. NOT_FOUND names the column and lists those there are. */
HR_API HR_USE_RESULT hr_status hr_dataset_select(const hr_dataset *dataset,
                                                 const char *const *names, hr_dataset **out,
                                                 hr_error *err);
/** All columns but these. NOT_FOUND as hr_dataset_select. */
HR_API HR_USE_RESULT hr_status hr_dataset_drop(const hr_dataset *dataset, const char *const *names,
                                               hr_dataset **out, hr_error *err);
/** Another name for a column. INVALID: there is a column `to` already. NOT_FOUND as hr_dataset_select. */
HR_API HR_USE_RESULT hr_status hr_dataset_rename(const hr_dataset *dataset, const char *from,
                                                 const char *to, hr_dataset **out, hr_error *err);

/** What a null becomes in a tensor. */
typedef enum hr_nulls {
    HR_NULLS_ERROR = 0, /**< INVALID names the column */
    HR_NULLS_NAN = 1,   /**< of a float */
    HR_NULLS_VALUE = 2, /**< a number that is told beside it */
} hr_nulls;
typedef struct hr_pack_options {
    size_t size;
    /** Of the tensor: FLOAT32 (default), FLOAT64, or the integer type that all columns have */
    hr_type_id type;
    hr_nulls nulls;
    double null_value; /**< with HR_NULLS_VALUE */
    bool keep;         /**< the columns also stay as they are */
} hr_pack_options;
#define HR_PACK_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(hr_pack_options), HR_TYPE_NULL, HR_NULLS_ERROR, 0.0, false                          \
    }
/** Number columns and tensors side by side as one tensor column `as`, [rows, values], row-major.
 *  NOT_FOUND: no such column; INVALID: one that is no number. A null under HR_NULLS_ERROR is INVALID
 *  when the rows are made. */
HR_API HR_USE_RESULT hr_status hr_dataset_pack(const hr_dataset *dataset, const char *const *names,
                                               const char *as, const hr_pack_options *options,
                                               hr_dataset **out, hr_error *err);

/* --- functions of the user --- */

/** Turns one block into another (any row count, one schema throughout). Called from several threads
 *  at once; `in` is borrowed, *out a reference. A failure is returned to whoever pulls the rows,
 *  with the row range put before its message. */
typedef hr_status (*hr_block_function)(void *context, const hr_block *in, hr_block **out,
                                       hr_error *err);

typedef struct hr_function_options {
    size_t size;
    const char *name; /**< for explain and statistics */
    /** Of what it returns; NULL: found by running it on the first rows when first needed */
    const hr_schema *schema;
    int64_t batch_rows; /**< rows a call, cut from each fragment's start; 0: blocks as they come */
    void (*release)(
        void *context); /**< called once when nobody can call the function any more; may be NULL */
} hr_function_options;
#define HR_FUNCTION_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(hr_function_options), NULL, NULL, 0, NULL                                           \
    }
/** `context` is the caller's until options.release was called with it; on failure it never is. */
HR_API HR_USE_RESULT hr_status hr_dataset_map_blocks(const hr_dataset *dataset,
                                                     hr_block_function function, void *context,
                                                     const hr_function_options *options,
                                                     hr_dataset **out, hr_error *err);

/** A function that runs in processes of its own: each is started as argv with a connection in
 *  HEADRACE_FUNCTION_FD and gets `payload` first; then blocks in, blocks out (hr_function_serve is
 *  its side). */
typedef struct hr_process_options {
    size_t size;
    const char *const *argv; /**< NULL-ended */
    const void *payload;     /**< copied */
    size_t payload_bytes;
    int64_t processes; /**< at most; 0: as many as threads */
    const char *name;
    int64_t batch_rows; /**< as hr_function_options */
    const hr_schema *schema;
    /** Tells it from others in hr_position.plan_hash; NULL: the payload does */
    const char *identity;
} hr_process_options;
#define HR_PROCESS_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(hr_process_options), NULL, NULL, 0, 0, NULL, 0, NULL, NULL                          \
    }
/** Processes are started when rows are first asked for. INVALID: argv names no program. */
HR_API HR_USE_RESULT hr_status hr_dataset_map_process(const hr_dataset *dataset,
                                                      const hr_process_options *options,
                                                      hr_dataset **out, hr_error *err);
/** The process's side of it: receives the payload (`begin`), then calls `function` for each block
 *  until the runtime hangs up. A failure of `function` carries err->message and, from *details, up
 *  to 64 KiB of bytes (a pickled exception) to the runtime's side. Returns HR_END. */
typedef struct hr_function_server {
    size_t size;
    hr_status (*begin)(void *context, const void *payload, size_t bytes, hr_error *err);
    hr_status (*function)(void *context, const hr_block *in, hr_block **out, const void **details,
                          size_t *details_bytes, hr_error *err);
    void *context;
} hr_function_server;
#define HR_FUNCTION_SERVER_INIT                                                                    \
    {                                                                                              \
        sizeof(hr_function_server), NULL, NULL, NULL                                               \
    }
HR_API HR_USE_RESULT hr_status hr_function_serve(const hr_function_server *server, hr_error *err);
/** The details of the last HR_USER failure that this thread was given (borrowed until its next
 *  call); NULL when there are none. */
HR_API const void *hr_user_error_details(size_t *bytes_out);

/* --- whole datasets --- */

/** The first `rows` rows (fewer where there are fewer). Nothing behind them is read. */
HR_API HR_USE_RESULT hr_status hr_dataset_limit(const hr_dataset *dataset, int64_t rows,
                                                hr_dataset **out, hr_error *err);
/** One after the other. INVALID: schemas differ, or they are of several runtimes. */
HR_API HR_USE_RESULT hr_status hr_dataset_union(const hr_dataset *const *datasets, int32_t count,
                                                hr_dataset **out, hr_error *err);
/** The same rows in `blocks` blocks of nearly equal row counts, in order. Where only a run can tell how
 *  many rows there are, it is run once and kept (materialize). */
HR_API HR_USE_RESULT hr_status hr_dataset_repartition(const hr_dataset *dataset, int64_t blocks,
                                                      hr_dataset **out, hr_error *err);
/** Part `index` of `count` contiguous parts: by blocks, or (equal) of exactly rows / count rows
 *  each, the rest dropped. INVALID: equal, and only a run can tell how many rows there are. */
HR_API HR_USE_RESULT hr_status hr_dataset_split(const hr_dataset *dataset, int32_t count,
                                                int32_t index, bool equal, hr_dataset **out,
                                                hr_error *err);
/** Blocks in an order that depends on the seed and the epoch alone. */
HR_API HR_USE_RESULT hr_status hr_dataset_randomize_block_order(const hr_dataset *dataset,
                                                                uint64_t seed, hr_dataset **out,
                                                                hr_error *err);
/** All rows in an order that depends on the seed and the epoch alone: uniform, and another one in each
 *  epoch of a stream (materialize it for one that stays). Rows that lie in memory stay there and are
 *  gathered; others go through the store, and the disk behind it where they are more than the budget.
 *  LIMIT when that is full: the message has the numbers. */
HR_API HR_USE_RESULT hr_status hr_dataset_random_shuffle(const hr_dataset *dataset, uint64_t seed,
                                                         hr_dataset **out, hr_error *err);
/** About `fraction` (0 to 1) of the rows, each kept or not by a key of (seed, where it stands): the
 *  same ones for any threads and batches, and in each epoch, unless each_epoch. */
HR_API HR_USE_RESULT hr_status hr_dataset_random_sample(const hr_dataset *dataset, double fraction,
                                                        uint64_t seed, bool each_epoch,
                                                        hr_dataset **out, hr_error *err);
/** Rows [0, rows[0]), [rows[0], rows[1]), ... and the rest: count + 1 datasets into `out`, whose entries
 *  are NULL before. rows ascend from 0; beyond the end parts are empty. Where only a run can tell how
 *  many rows there are, it is run once and kept (materialize). */
HR_API HR_USE_RESULT hr_status hr_dataset_split_at_indices(const hr_dataset *dataset,
                                                           const int64_t *rows, int32_t count,
                                                           hr_dataset **out, hr_error *err);
/** Parts of these shares of the rows, and the rest: count + 1 datasets. Each share is over 0, their sum
 *  below 1. INVALID: some part would be empty. */
HR_API HR_USE_RESULT hr_status hr_dataset_split_proportionately(const hr_dataset *dataset,
                                                                const double *shares, int32_t count,
                                                                hr_dataset **out, hr_error *err);
typedef struct hr_split_options {
    size_t size;
    double test_share; /**< of the rows, over 0 and below 1; or */
    int64_t test_rows; /**< how many */
    bool shuffle;      /**< rows are shuffled first, and kept: both parts stay what they are */
    uint64_t seed;     /**< of the shuffle */
} hr_split_options;
#define HR_SPLIT_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(hr_split_options), 0.0, 0, false, 0                                                 \
    }
/** The last rows are the test part. INVALID: not one of the two sizes is given, or a part is empty. */
HR_API HR_USE_RESULT hr_status hr_dataset_train_test_split(const hr_dataset *dataset,
                                                           const hr_split_options *options,
                                                           hr_dataset **train_out,
                                                           hr_dataset **test_out, hr_error *err);
/** Runs the plan now and keeps its blocks in the store, spilled beyond the budget, until the last
 *  reference to *out goes. LIMIT: the disk is full, or spilling is off; the message has the numbers. */
HR_API HR_USE_RESULT hr_status hr_dataset_materialize(const hr_dataset *dataset, hr_dataset **out,
                                                      hr_error *err);

HR_API hr_dataset *hr_dataset_ref(const hr_dataset *dataset);
HR_API void hr_dataset_unref(hr_dataset **dataset);

/* --- questions --- */

/** Borrowed from the dataset. May run a function of the user on the first rows. */
HR_API HR_USE_RESULT hr_status hr_dataset_schema(const hr_dataset *dataset, const hr_schema **out,
                                                 hr_error *err);
/** From footers where that suffices, else by running the plan. */
HR_API HR_USE_RESULT hr_status hr_dataset_count(const hr_dataset *dataset, int64_t *rows_out,
                                                hr_error *err);
/** Blocks: fragments of the source, or what repartition, materialize made. */
HR_API HR_USE_RESULT hr_status hr_dataset_num_blocks(const hr_dataset *dataset, int64_t *blocks_out,
                                                     hr_error *err);
/** Exact for materialised data; else what the source's metadata says its decoded values take. */
HR_API HR_USE_RESULT hr_status hr_dataset_size_bytes(const hr_dataset *dataset, int64_t *bytes_out,
                                                     hr_error *err);
/** Where a row stands: a value of the column that hr_read_options.row_numbers made. */
typedef struct hr_row_place {
    const char *source; /**< the file; borrowed from the dataset */
    int64_t fragment;   /**< its row group, or block */
    int64_t row;        /**< in the fragment */
} hr_row_place;
/** Of a dataset over one source, also when row-local steps and filters follow the read. NOT_FOUND: it has no such row.
 *  INVALID: it was not read with row_numbers. */
HR_API HR_USE_RESULT hr_status hr_dataset_locate(const hr_dataset *dataset, int64_t number,
                                                 hr_row_place *out, hr_error *err);
/** Whether it reads from the store. */
HR_API bool hr_dataset_is_materialized(const hr_dataset *dataset);
/** The plan as it will run: what is fused, pushed down, run in C or in processes. Freed with hr_text_free. */
HR_API HR_USE_RESULT hr_status hr_dataset_explain(const hr_dataset *dataset, char **out,
                                                  hr_error *err);
/** Statistics of its stages as the guide prints them; of a stage that has not run yet it says so.
 *  json: one object. Freed with hr_text_free. */
HR_API HR_USE_RESULT hr_status hr_dataset_stats(const hr_dataset *dataset, bool json, char **out,
                                                hr_error *err);

/** What was read at the sources of a dataset. Fields are appended in later releases. */
typedef struct hr_source_stats {
    /** Origins of its rows: files, ranges, blocks; none when it was materialised */
    int64_t sources;
    int64_t rows; /**< of one whole reading of all of them; -1: footers were not all read yet */
    int64_t rows_read;  /**< that they gave so far, to whoever read them */
    int64_t bytes_read; /**< from storage; of origins without storage the bytes of the values */
} hr_source_stats;
/** How much was read at the sources, since they were opened, through any dataset made of them.
 *  out_bytes: sizeof *out. */
HR_API HR_USE_RESULT hr_status hr_dataset_get_source_stats(const hr_dataset *dataset,
                                                           hr_source_stats *out, size_t out_bytes,
                                                           hr_error *err);

/* --- results --- */

/** The first `rows` rows (fewer at the end) as one block on the heap. */
HR_API HR_USE_RESULT hr_status hr_dataset_take(const hr_dataset *dataset, int64_t rows,
                                               hr_block **out, hr_error *err);
/** Everything, as an Arrow stream that runs the plan as it is pulled; it holds a reference, and the
 *  caller releases it. */
HR_API HR_USE_RESULT hr_status hr_dataset_export(const hr_dataset *dataset,
                                                 struct ArrowArrayStream *out, hr_error *err);

typedef struct hr_write_options {
    size_t size;
    const char *codec;      /**< "zstd" (default) or "none" */
    int64_t row_group_rows; /**< default 122,880 */
    int64_t file_rows;      /**< rows a file at most; 0: one file a block */
    int64_t *rows_out;      /**< rows written, when not NULL */
} hr_write_options;
#define HR_WRITE_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(hr_write_options), NULL, 0, 0, NULL                                                 \
    }
/** Parquet files part-00000.parquet and so on in `folder`, which is made. Each appears when it is
 *  whole. INVALID: the folder has such files. */
HR_API HR_USE_RESULT hr_status hr_dataset_write_parquet(const hr_dataset *dataset,
                                                        const char *folder,
                                                        const hr_write_options *options,
                                                        hr_error *err);

#ifdef __cplusplus
}
#endif
#endif
