// SPDX-License-Identifier: Apache-2.0
/**
 * Streams: a dataset running, cut in batches, dealt to one or more ranks.
 *
 * Rows come in an order that depends on (data, seed, epoch) alone. A stream works ahead of its
 * readers as far as its prefetch depth says and no further. It has one owner; its ends (feed.h) may
 * be read from other threads and processes.
 */
#ifndef HEADRACE_STREAM_H
#define HEADRACE_STREAM_H

#include <headrace/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hr_stream hr_stream;

typedef enum hr_shuffle {
    HR_SHUFFLE_NONE = 0,
    HR_SHUFFLE_BLOCKS = 1, /**< fragments in an order of (seed, epoch) */
    HR_SHUFFLE_WINDOW = 2, /**< the same, and rows permuted within windows of `window_rows` */
} hr_shuffle;

#define HR_PREFETCH_NONE  (-1)
#define HR_EPOCHS_ENDLESS (-1)

typedef struct hr_stream_options {
    size_t size;
    int64_t batch_rows; /**< rows a batch; 0: whole blocks */
    bool drop_last;     /**< an epoch's last batch of fewer rows is dropped (and counted) */
    int64_t
        prefetch_blocks; /**< batches (or blocks) made ahead of each reader; 0: by bytes; HR_PREFETCH_NONE: none */
    int64_t
        prefetch_bytes; /**< made ahead of all readers together; 0: found from the data and the budget */
    int64_t ranks;      /**< readers; batch b of an epoch goes to rank b % ranks. Default 1 */
    int64_t epochs; /**< default 1; HR_EPOCHS_ENDLESS */
    hr_shuffle shuffle;
    uint64_t seed;
    int64_t window_rows; /**< default 16,384 */
    int64_t first_epoch; /**< the number of the first epoch: it enters into the order */
    int64_t first_step;  /**< batches of the first epoch that are passed over, not delivered */
    int64_t
        only_rank; /**< with first_step: 1 + the rank that this stream serves alone, of `ranks`; 0: all */
} hr_stream_options;
#define HR_STREAM_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(hr_stream_options), 0, false, 0, 0, 0, 0, HR_SHUFFLE_NONE, 0, 0, 0, 0, 0            \
    }

/** Starts a stream. Work begins at once. INVALID: an option out of its bounds. LIMIT: one block
 *  does not fit the budget; the message says the size it needs. Other failures of the plan are
 *  returned by the feed when it reaches them. */
HR_API HR_USE_RESULT hr_status hr_dataset_stream(const hr_dataset *dataset,
                                                 const hr_stream_options *options, hr_stream **out,
                                                 hr_error *err);
/** Borrowed. The schema of the batches. */
HR_API const hr_schema *hr_stream_schema(const hr_stream *stream);
HR_API int64_t hr_stream_ranks(const hr_stream *stream);
/** Ends it: work under way is cancelled, memory goes back when the last batch is given back. */
HR_API void hr_stream_close(hr_stream **stream);

/** Where the pipeline's threads were busy while this stream ran, in thread-seconds, and what became of its memory. */
typedef struct hr_stream_stats {
    double storage_s, decompress_s, decode_s, transform_s, function_s, batch_s, spill_s,
        memory_s; /**< memory_s: waiting for room */
    int64_t rows, blocks, batches, dropped_rows;
    int64_t source_bytes; /**< read from storage */
    int64_t revoked;      /**< batches taken back from readers that lagged, made again for them */
} hr_stream_stats;
HR_API void hr_stream_get_stats(const hr_stream *stream, hr_stream_stats *out);

#ifdef __cplusplus
}
#endif
#endif
