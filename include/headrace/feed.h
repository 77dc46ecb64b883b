// SPDX-License-Identifier: Apache-2.0
/**
 * Feeds: a trainer's end of a stream. Batches come with their position; their memory is shared with
 * the runtime and goes back when the batch is released.
 *
 * A feed is used by one thread at a time. A batch is immutable, reference-counted and may be shared
 * between threads. Batches may be kept: when a reader holds more than its share of the arena,
 * further batches come in memory of its own (counted). After fork() a child's calls return
 * HR_DENIED; batches it inherited must not be used there.
 */
#ifndef HEADRACE_FEED_H
#define HEADRACE_FEED_H

#include <headrace/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hr_feed hr_feed;
typedef struct hr_batch hr_batch;

/** Where a reader's time went, in seconds, since it was opened. Fields are appended in later releases. */
typedef struct hr_feed_stats {
    int64_t batches, rows, bytes, epochs;
    double delay_p50_s, delay_p95_s, delay_max_s; /**< waiting for the next batch */
    double wait_s;                                /**< all of it */
    double own_s;                                 /**< between batches: the trainer's own */
    double first_batch_s;                         /**< from opening to the first batch */
    int64_t copied_batches, copied_bytes;         /**< handed over in memory of the reader's own */
} hr_feed_stats;

typedef struct hr_feed_options {
    size_t size;
    double timeout_s; /**< of one next: HR_TIMEOUT when nothing came. Default: none */
    /** A folder: rank-R.digest in it gets a line a batch; reads every batch whole. Default: none. */
    const char *digest;
} hr_feed_options;
#define HR_FEED_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(hr_feed_options), 0, NULL                                                           \
    }

/** The one end of a stream of one rank. Takes the stream, also on failure. */
HR_API HR_USE_RESULT hr_status hr_feed_open(hr_stream **stream, const hr_feed_options *options,
                                            hr_feed **out, hr_error *err);
/** The end of one rank, in this process; borrows the stream. INVALID: no such rank, or its end is open already. */
HR_API HR_USE_RESULT hr_status hr_feed_open_rank(hr_stream *stream, int64_t rank,
                                                 const hr_feed_options *options, hr_feed **out,
                                                 hr_error *err);
HR_API void hr_feed_close(hr_feed **feed); /**< batches that are still held stay valid */
/** The next batch of the epoch; *out is a reference. END: the epoch is over (again until
 *  hr_feed_next_epoch). TIMEOUT: nothing came within timeout_s. CANCELLED: the stream or its runtime
 *  was closed or interrupted. Failures of the pipeline (IO, CORRUPT, INVALID, LIMIT, USER) come from
 *  here, behind the batches that were made before them. */
HR_API HR_USE_RESULT hr_status hr_feed_next(hr_feed *feed, hr_batch **out, hr_error *err);
/** Goes to the next epoch; what is left of this one is passed over. HR_END: there is none. */
HR_API HR_USE_RESULT hr_status hr_feed_next_epoch(hr_feed *feed, hr_error *err);
/** Where the feed stands: after the last batch that was delivered, not what was made ahead; once the
 *  epoch's END was seen, at the start of the next one. Any one rank's position restores all ranks
 *  (hr_stream_options.position). */
HR_API void hr_feed_position(const hr_feed *feed, hr_position *out);
/** Goes on from a position instead of the start, up to the same last epoch: of a deferred stream of one rank, before
 *  anything was asked of it. UNSUPPORTED: it was begun, or is not deferred; open another one there. INVALID: as
 *  hr_dataset_stream says, or the position is behind the last epoch. After a failure it stands where it stood. */
HR_API HR_USE_RESULT hr_status hr_feed_go_on(hr_feed *feed, const hr_position *position,
                                             hr_error *err);
/** out_bytes: sizeof *out. */
HR_API void hr_feed_get_stats(hr_feed *feed, hr_feed_stats *out, size_t out_bytes);
/** Delays so far, ascending: at most `count` quantiles, evenly spaced, each for as many batches. Returns how
 *  many were written. */
HR_API size_t hr_feed_delays(hr_feed *feed, double *out, size_t count);
/** The schema of the batches. Borrowed from the feed. */
HR_API const hr_schema *hr_feed_schema(const hr_feed *feed);

/* --- positions as text --- */

#define HR_POSITION_BYTES_MAX 512
/** One JSON object; `buffer` has HR_POSITION_BYTES_MAX bytes. Returns it. */
HR_API const char *hr_position_print(const hr_position *position, char *buffer);
/** Reads it back. INVALID: not a position; the message says what was found. */
HR_API HR_USE_RESULT hr_status hr_position_parse(const char *text, hr_position *out, hr_error *err);

/** Compares what two runs were given, by their digests: files, or folders with those of all ranks. *same_out: the same
 *  rows in the same steps, whatever the number of ranks. *text_out says so, or names the first step that differs; freed
 *  with hr_text_free. CORRUPT: no digest, or one that contradicts itself. */
HR_API HR_USE_RESULT hr_status hr_digest_diff(const char *a, const char *b, bool *same_out,
                                              char **text_out, hr_error *err);

/* --- batches --- */

HR_API hr_batch *hr_batch_ref(const hr_batch *batch);
HR_API void hr_batch_unref(hr_batch **batch);
HR_API int64_t hr_batch_rows(const hr_batch *batch);
HR_API int64_t hr_batch_bytes(const hr_batch *batch); /**< of its rows' data */
HR_API int64_t hr_batch_epoch(const hr_batch *batch); /**< its number; the first is first_epoch */
HR_API int64_t hr_batch_step(const hr_batch *batch);  /**< of the epoch, from 0 */
/** The first row's index in the order of its epoch, over all ranks. */
HR_API int64_t hr_batch_first_row(const hr_batch *batch);
/** The batch as a block: a new reference; the batch's memory stays as long as either. */
HR_API HR_USE_RESULT hr_status hr_batch_block(const hr_batch *batch, hr_block **out, hr_error *err);
/** A column by its name. Borrowed from the batch. NOT_FOUND lists the columns there are. */
HR_API HR_USE_RESULT hr_status hr_batch_column(const hr_batch *batch, const char *name,
                                               const hr_column **out, hr_error *err);

/** A column seen as a dense row-major array. */
typedef struct hr_tensor {
    hr_type_id type; /**< a number, or BOOL as bytes 0/1 */
    int32_t ndim;    /**< rows first */
    int64_t shape[1 + HR_TENSOR_DIMS_MAX];
    int32_t item_bytes;
    const void *data; /**< borrowed from the batch */
    bool writable;    /**< writes stay with this batch */
} hr_tensor;
typedef enum hr_tensor_mode { HR_TENSOR_READ = 0, HR_TENSOR_WRITE = 1 } hr_tensor_mode;
/** Without a copy where the column has no nulls and is not BOOL (dates, times, timestamps and
 *  durations come as their integers). Nulls by policy: HR_NULLS_ERROR: INVALID names the column and
 *  counts them; NAN: floats keep their type, integers of up to 16 bits become float32, others
 *  float64. WRITE: memory that may be written and that nobody else sees. INVALID: strings, lists,
 *  decimals: says what to use. */
HR_API HR_USE_RESULT hr_status hr_batch_tensor(hr_batch *batch, int32_t column, hr_tensor_mode mode,
                                               hr_nulls nulls, double null_value, hr_tensor *out,
                                               hr_error *err);
/** The values of a column of exactly this type without nulls; borrowed from the batch. INVALID names the type found. */
HR_API HR_USE_RESULT hr_status hr_batch_f64(const hr_batch *batch, const char *name,
                                            const double **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_batch_f32(const hr_batch *batch, const char *name,
                                            const float **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_batch_i64(const hr_batch *batch, const char *name,
                                            const int64_t **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_batch_i32(const hr_batch *batch, const char *name,
                                            const int32_t **out, hr_error *err);
/** Reads every byte of the rows' data: the sum of its 64-bit words. */
HR_API uint64_t hr_batch_touch(const hr_batch *batch);
/** The sum mod 2^64 over its rows of a hash of (index of the row in its epoch's order, its values;
 *  nulls canonical): adds up over batches and ranks. */
HR_API uint64_t hr_batch_checksum(const hr_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
