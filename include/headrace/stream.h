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
    HR_SHUFFLE_WINDOW = 2, /**< the same, dealt to lanes; rows permuted within rounds of lanes */
    HR_SHUFFLE_GLOBAL = 3, /**< all rows, uniform: hr_dataset_random_shuffle */
} hr_shuffle;

/** What becomes of the rows that do not fill an epoch's last step. */
typedef enum hr_tail {
    HR_TAIL_UNEVEN = 0, /**< shared among the ranks; one whose part is empty gets no batch */
    HR_TAIL_DROP = 1,   /**< not delivered, and counted */
    HR_TAIL_PAD = 2,    /**< repeated from their first on until they fill the step, and counted */
} hr_tail;

#define HR_PREFETCH_NONE  (-1)
#define HR_EPOCHS_ENDLESS (-1)

/**
 * A place in the order of rows: what was delivered before it, and where to read on. It names no
 * rank, worker, thread or node: with the position of any one rank all ranks go on, however many
 * they are then. Kept as text by hr_position_print (feed.h).
 */
typedef struct hr_position {
    int64_t epoch;
    int64_t step; /**< steps of the epoch that are complete */
    int64_t row;  /**< rows of the epoch's order, over all ranks, that those steps held */
    uint64_t seed;
    uint64_t plan_hash; /**< of the data and what is done to it */
    hr_shuffle shuffle;
    int64_t window_rows, order_lanes; /**< shuffle "window"; else 0 */
    /* Where to read on: a place at or before `row`, from which rows are made and passed over. */
    int64_t unit;       /**< fragment, counted in the epoch's order, or named; "window": round */
    int64_t unit_row;   /**< row in it, before filters */
    int64_t order_row;  /**< the first row of the epoch's order from there on */
    int64_t more_units; /**< whole blocks: of those behind `row`, how many other ranks have */
} hr_position;

/**
 * Rows are delivered in steps. A step has global_batch_rows rows, or ranks x batch_rows; rank r of W
 * gets rows [r G / W, (r + 1) G / W) of its G rows, as one batch. So with global_batch_rows the steps
 * are the same for every number of ranks; with batch_rows the order of rows is.
 *
 * "window": the fragments, in their order of (seed, epoch), are dealt to `order_lanes` lanes, each to
 * the one that has the fewest rows. A round takes window_rows rows, the same number from the front of
 * each lane, and permutes them; round follows round. Rows are counted before filters, so a round is
 * the same source rows whatever becomes of them. Two rows of one fragment that lie d rows apart are
 * separated by less than (d x lanes + 2 x window_rows) rows; a row never leaves its round.
 */
typedef struct hr_stream_options {
    size_t size;
    int64_t batch_rows; /**< rows a batch; 0: whole blocks, dealt to ranks in turn */
    bool drop_last;     /**< as tail = HR_TAIL_DROP */
    /** Batches (or blocks) made ahead of each reader; 0: by bytes; HR_PREFETCH_NONE: none */
    int64_t prefetch_blocks;
    /** Made ahead of all readers together; 0: found from the data and the budget */
    int64_t prefetch_bytes;
    int64_t ranks; /**< readers. Default 1 */
    /** From first_epoch, or from the position's, on. Default 1; HR_EPOCHS_ENDLESS: one epoch is made
     *  ahead of the reader that is farthest, and no more */
    int64_t epochs;
    hr_shuffle shuffle;
    uint64_t seed;
    /** Default 16,384, or what 64 MiB of source rows hold where they are wide, by the footers */
    int64_t window_rows;
    int64_t first_epoch;       /**< the number of the first epoch: it enters into the order */
    int64_t global_batch_rows; /**< rows a step, over all ranks; instead of batch_rows */
    hr_tail tail;
    int64_t order_lanes; /**< default 8, and never more than there are fragments */
    /** Go on from there; NULL: from the start of first_epoch. Borrowed */
    const hr_position *position;
    bool deferred; /**< nothing is read before a reader asks for a batch; hr_feed_go_on */
} hr_stream_options;
#define HR_STREAM_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(hr_stream_options), 0, false, 0, 0, 0, 0, HR_SHUFFLE_NONE, 0, 0, 0, 0,              \
            HR_TAIL_UNEVEN, 0, NULL, false                                                         \
    }

/** Starts a stream. Work begins at once, unless it is deferred. INVALID: an option out of its bounds,
 *  or a position of other data or of another order: the message says what differs. LIMIT: one block
 *  does not fit the budget; the message says the size it needs. Other failures of the plan are
 *  returned by the feed when it reaches them. */
HR_API HR_USE_RESULT hr_status hr_dataset_stream(const hr_dataset *dataset,
                                                 const hr_stream_options *options, hr_stream **out,
                                                 hr_error *err);
/** The schema of the batches. Borrowed from the stream. */
HR_API const hr_schema *hr_stream_schema(const hr_stream *stream);
/** How many readers it has. */
HR_API int64_t hr_stream_ranks(const hr_stream *stream);
/** Ends it: work under way is cancelled, memory goes back when the last batch is given back. */
HR_API void hr_stream_close(hr_stream **stream);

/** Where the pipeline's threads were busy while this stream ran, in thread-seconds, and what became of its memory.
 *  Fields are appended in later releases. */
typedef struct hr_stream_stats {
    double storage_s, decompress_s, decode_s, transform_s, function_s, batch_s, spill_s,
        memory_s; /**< memory_s: waiting for room */
    int64_t rows;
    int64_t blocks; /**< read or made; batches are cut from them */
    int64_t batches, dropped_rows;
    int64_t source_bytes; /**< read from storage */
    int64_t revoked;      /**< batches taken back from readers that lagged, made again for them */
    int64_t padded_rows;  /**< delivered twice to fill last steps (tail "pad") */
    int64_t memory_rows;  /**< taken decoded from memory, as an earlier epoch left them */
    int64_t reread_rows;  /**< read and decoded again, in epochs after the first */
} hr_stream_stats;
/** out_bytes: sizeof *out. */
HR_API void hr_stream_get_stats(const hr_stream *stream, hr_stream_stats *out, size_t out_bytes);

#ifdef __cplusplus
}
#endif
#endif
