// SPDX-License-Identifier: Apache-2.0
/**
 * Trainers: worker processes fed and watched, and the ingest check, the trainer that only reads and measures.
 *
 * A trainer belongs to one thread: the one that starts it also waits for it and finishes it (workers
 * end with that thread), and every callback comes on it, from within hr_trainers_wait or
 * hr_trainer_run. One thread may run many trainers at once. hr_trainer_cancel may be called from
 * callbacks and from any thread. A session belongs to one worker process and one thread.
 */
#ifndef HEADRACE_TRAIN_H
#define HEADRACE_TRAIN_H

#include <headrace/feed.h>
#include <headrace/prep.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- the driver's side --- */

typedef struct hr_trainer_dataset {
    const char *name; /**< "train", ... */
    const hr_dataset *dataset;
    bool split; /**< each rank gets its part of the steps; false: each rank gets everything */
} hr_trainer_dataset;

typedef enum hr_worker_end {
    HR_WORKER_DONE = 0,
    HR_WORKER_FAILED = 1,    /**< its loop returned a failure: `message` has its words */
    HR_WORKER_DIED = 2,      /**< without a word: a signal, or an exit before it was done */
    HR_WORKER_IDLE = 3,      /**< ended by worker_idle_s */
    HR_WORKER_CANCELLED = 4, /**< ended with the run */
} hr_worker_end;

/** What became of a worker. Fields are appended in later releases. */
typedef struct hr_worker_result {
    int64_t rank;
    hr_worker_end end;
    int32_t exit_code;        /**< or 128 + signal */
    int64_t batches, rows;    /**< delivered to it */
    int64_t undelivered_rows; /**< of the epoch it was in, known to be its own and not delivered */
    char *message;            /**< of its failure; NULL when done */
    const void *details;      /**< of its failure, as the session sent them (a pickled exception) */
    size_t details_bytes;
    int64_t reports_replaced; /**< reports that a later one took the place of */
} hr_worker_result;

#define HR_FAILURES_ENDLESS (-1)
#define HR_STALL_SILENT     (-1.0)

/** Zero means the default, for every field. What it points to is copied when the trainer starts, and
 *  datasets are referenced; `context` is the caller's until the trainer is finished. */
typedef struct hr_trainer_options {
    size_t size;
    int64_t workers; /**< default 1 */
    /** The worker program, NULL-ended; it calls hr_session_open. NULL: this program itself, which
     *  begins with hr_worker_main. */
    const char *const *argv;
    const void *payload; /**< given to each worker: hr_session_payload */
    size_t payload_bytes;
    const hr_trainer_dataset *datasets;
    int32_t dataset_count;
    /** A worker that asks for nothing and reports nothing for so long is ended; 0: never. Counted from
     *  its start, so more than its imports take */
    double worker_idle_s;
    /** Called for each report (metrics coalesce when a worker is faster) and each line that a worker
     *  prints through its session (rank -1: the trainer's own words, as the watchdog's). May be
     *  NULL. A value other than HR_OK ends the run. */
    hr_status (*on_report)(void *context, int64_t rank, const char *json, hr_error *err);
    void (*on_line)(void *context, int64_t rank, const char *line);
    /** Called about ten times a second, for progress and signals: another value than HR_OK cancels the run. */
    hr_status (*on_tick)(void *context, hr_error *err);
    void *context;

    const char *name; /**< in messages, and of who holds slots; default "trainer" */
    /** Slots of the runtime's ledger that the trainer takes while it runs, fractions allowed: its own
     *  and those of each worker. Ingest takes none. Default none. */
    double cpus, gpus, worker_cpus, worker_gpus;
    /** Read-ahead of each pass over a dataset is bounded by so many bytes, so that one trainer leaves
     *  room to others. A ceiling, not a reservation: what the oldest task needs it gets. 0: the stream's own. */
    int64_t ingest_bytes;

    /** Where checkpoints are kept, as checkpoint_000000 and on; made when missing, held by one trainer
     *  at a time. NULL: workers cannot report checkpoints. */
    const char *run_folder;
    /** A checkpoint's folder, or a run's (its last one): where the workers begin */
    const char *resume_from;
    int64_t keep; /**< the newest so many checkpoints stay; 0: all */
    /** With keep: those stay whose metric of this name is largest, and the last */
    const char *keep_metric;
    bool keep_smallest;       /**< smallest instead */
    const void *preprocessor; /**< kept in each checkpoint as preprocessor.json */
    size_t preprocessor_bytes;
    /** How often all workers are ended and started again, from the last checkpoint, after one failed,
     *  died or was idle. 0: never: who died is told of, the others go on. HR_FAILURES_ENDLESS. */
    int64_t max_failures;
    /** A worker that dies ends the run at once, as with max_failures; without: the others go on */
    bool fail_fast;
    /** Nothing moved for so long: a line says who waits for whom. Default 30; HR_STALL_SILENT */
    double stall_warning_s;
    /** A checkpoint was committed (after on_report had its metrics); `folder` is its path. */
    void (*on_checkpoint)(void *context, int64_t rank, const char *json, const char *folder);
    /** Workers are started again for the n-th time; `reason` says which one failed, and of what. */
    void (*on_restart)(void *context, int64_t number, const char *reason);
    /** Threads of the runtime (hr_runtime_options.threads) that are reserved while the trainer runs: whenever its
     *  passes have work, so many work for them before any works for others, so that another trainer's
     *  heavy functions cannot starve it. What it leaves idle others use. All trainers together reserve
     *  at most what there are: one that finds too few free is AGAIN, one that asks for more than there
     *  are LIMIT, as with slots. Default none: served in turn with all others. */
    int64_t ingest_threads;
} hr_trainer_options;
#define HR_TRAINER_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(hr_trainer_options), 0, NULL, NULL, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, 0, \
            0, 0, 0, 0, NULL, NULL, 0, NULL, false, NULL, 0, 0, false, 0, NULL, NULL, 0            \
    }

/** One start of all workers, up to its end. Fields are appended in later releases. */
typedef struct hr_trainer_life {
    double seconds;
    int64_t from_checkpoint; /**< number of the checkpoint it began from; -1: none */
    int64_t rank;            /**< whose end ended it; -1: it came to its end, or was cancelled */
    hr_worker_end end;
    char *reason; /**< one line; NULL: it came to its end */
} hr_trainer_life;

/** What became of a run. Allocated by the library, with all that it points to; fields are appended in later
 *  releases. */
typedef struct hr_trainer_result {
    int64_t worker_count;
    hr_worker_result **workers; /**< by rank, of the last life */
    /** Largest sample of the workers' and this process's anonymous memory together */
    uint64_t peak_anonymous_bytes;
    hr_stream_stats *stream; /**< sums over all streams that workers opened */
    double seconds;
    uint64_t peak_bytes; /**< the same with the arena's pages, each counted once */
    int64_t life_count;  /**< 1 + restarts */
    hr_trainer_life **lives;
    int64_t checkpoints; /**< committed by this trainer */
    /** Path of the last one committed, or of the one resumed from; NULL: none */
    char *last_checkpoint;
    int64_t stalls; /**< how often the watchdog spoke */
} hr_trainer_result;

typedef struct hr_trainer hr_trainer;

/** Takes slots and starts the workers. AGAIN: slots are taken; the words say by whom ("waits for 2
 *  CPUs: trial A holds 2 of 2"); ask again when a trainer ended. LIMIT: it can never fit: what was
 *  asked, what there is, what to change. INVALID: an option; NOT_FOUND, CORRUPT: resume_from. */
HR_API HR_USE_RESULT hr_status hr_trainer_start(hr_runtime *runtime,
                                                const hr_trainer_options *options, hr_trainer **out,
                                                hr_error *err);
/** Runs trainers of one runtime (feeds them, calls back, watches, restarts) until one has ended:
 *  *ended_out is its index, the lowest of several; its slots are free by then. TIMEOUT: none did in
 *  timeout_s seconds (0: look once; negative: no bound). END: all of them are NULL. Entries may be
 *  NULL. Not from within a callback. */
HR_API HR_USE_RESULT hr_status hr_trainers_wait(hr_trainer *const *trainers, int32_t count,
                                                double timeout_s, int32_t *ended_out,
                                                hr_error *err);
/** Whether hr_trainers_wait would return for it at once. */
HR_API bool hr_trainer_has_ended(const hr_trainer *trainer);
/** Rows that the workers of this life have taken so far, of all datasets. For whoever waits for it. */
HR_API int64_t hr_trainer_rows(const hr_trainer *trainer);
/** Asks: its workers are ended, and hr_trainers_wait tells when they are. Any thread. */
HR_API void hr_trainer_cancel(hr_trainer *trainer);
/** Frees the trainer; one that still runs is cancelled first. The status is the run's, as hr_trainer_run
 *  tells. *out is set in every case but NOMEM. NULL is fine. */
HR_API HR_USE_RESULT hr_status hr_trainer_finish(hr_trainer **trainer, hr_trainer_result **out,
                                                 hr_error *err);

/** Starts the workers, feeds them, waits; where slots are taken by trainers of other threads it waits for
 *  them too. HR_OK: all are done, or some died and the others finished: see result. A worker's loop
 *  failed: the status and words it ended with. CANCELLED: interrupted. *out is set whenever workers
 *  were started; free it. */
HR_API HR_USE_RESULT hr_status hr_trainer_run(hr_runtime *runtime,
                                              const hr_trainer_options *options,
                                              hr_trainer_result **out, hr_error *err);
HR_API void hr_trainer_result_free(hr_trainer_result **result);

/** The path of a checkpoint: `folder` itself when it is one's, else the newest one in it (a run's
 *  folder). *out is freed with hr_text_free. NOT_FOUND: there is none. */
HR_API HR_USE_RESULT hr_status hr_checkpoint_find(const char *folder, char **out, hr_error *err);

/* --- the worker's side --- */

typedef struct hr_session hr_session;
/** Attaches to the runtime that started this process. INVALID: no runtime did. */
HR_API HR_USE_RESULT hr_status hr_session_open(hr_session **out, hr_error *err);
/** This worker's number, from 0. */
HR_API int64_t hr_session_rank(const hr_session *session);
/** How many workers there are. */
HR_API int64_t hr_session_world_size(const hr_session *session);
/** What hr_trainer_options.payload was. Borrowed. */
HR_API const void *hr_session_payload(const hr_session *session, size_t *bytes_out);
/** The folder of the checkpoint that this life begins from (after a restart, or resume_from); NULL: from
 *  the start. Read-only, and there as long as this life lasts. Borrowed. */
HR_API const char *hr_session_checkpoint(const hr_session *session);
/** This rank's shard of a dataset as a feed. Ranks that ask with equal options read one shared
 *  pass; options.ranks is set for you. Asking again opens another feed, whose epochs go on after
 *  those of the one before. Where this life begins from a checkpoint, a rank's first feed of a
 *  dataset goes on at the row where the checkpoint's feed stood (hr_feed_position tells where):
 *  with the epochs that were left of that request. NOT_FOUND: the trainer has no such dataset.
 *  INVALID: the checkpoint's position is of other data, or of another order. */
HR_API HR_USE_RESULT hr_status hr_session_feed(hr_session *session, const char *dataset,
                                               const hr_stream_options *options,
                                               const hr_feed_options *feed_options, hr_feed **out,
                                               hr_error *err);
/** Never blocks: when the runtime lags, older metrics that were not taken are replaced, and counted. */
HR_API HR_USE_RESULT hr_status hr_session_report(hr_session *session, const char *json,
                                                 hr_error *err);
/** Metrics, and a checkpoint: what is in `folder` (NULL: nothing but the position) is copied into the
 *  run's folder, with where every feed of this session stands, and becomes its newest checkpoint,
 *  whole or not at all. Returns when it is durable; the folder is the caller's again. The lowest
 *  rank's is kept: for other ranks the metrics are reported and that is all, so all ranks may call
 *  it. No other thread may be reading a feed of this session meanwhile. LIMIT: the disk is full
 *  (the message has the numbers), IO: it failed; the checkpoint before stays. INVALID: the trainer
 *  has no run_folder. The names headrace.json and preprocessor.json in it are ours. */
HR_API HR_USE_RESULT hr_status hr_session_report_checkpoint(hr_session *session, const char *json,
                                                            const char *folder, hr_error *err);
/** A line for the user, in the order of this worker's lines. */
HR_API HR_USE_RESULT hr_status hr_session_line(hr_session *session, const char *line,
                                               hr_error *err);
/** The statistics text of a shard, as hr_dataset_stats. Freed with hr_text_free. */
HR_API HR_USE_RESULT hr_status hr_session_stats(hr_session *session, const char *dataset,
                                                char **out, hr_error *err);
/** Says that the loop ended (HR_OK), or failed with these words and details. */
HR_API HR_USE_RESULT hr_status hr_session_finish(hr_session *session, hr_status status,
                                                 const char *message, const void *details,
                                                 size_t details_bytes, hr_error *err);
HR_API void hr_session_close(hr_session **session);

/** A training loop. What it returns is how the worker ended; words of a failure go in err. */
typedef hr_status (*hr_worker_loop)(hr_session *session, void *context, hr_error *err);
/** One program that is both: call it first in main. In a worker that a trainer of this very program started
 *  (options.argv NULL) it opens the session, runs the loop, tells its end and returns the exit code; in
 *  any other process it returns -1 at once. */
HR_API int hr_worker_main(hr_worker_loop loop, void *context);

/* --- the ingest check --- */

typedef struct hr_check_options {
    size_t size;
    int64_t workers;         /**< default 1 */
    int64_t batch_rows;      /**< 0: whole blocks */
    int64_t epochs;          /**< default 1 */
    double seconds;          /**< when set: whole epochs until so long has passed */
    int64_t prefetch_blocks; /**< as hr_stream_options */
    bool bulk;               /**< materialise first */
    bool touch;              /**< read every byte of every batch in the worker, and checksum it */
    hr_shuffle shuffle;      /**< as hr_stream_options, as are the two below */
    uint64_t seed;
    int64_t window_rows;
    double worker_idle_s; /**< as hr_trainer_options */
    /** A program that calls hr_check_worker; NULL: this one with the argument "worker" */
    const char *worker_program;
    /** The age of this process when the command began: first_batch_s counts from there. */
    double start_s;
    /** About ten times a second, with the rows read by all workers and those there will be (-1: not
     *  known). Another value than HR_OK ends the check with it. May be NULL */
    hr_status (*on_tick)(void *context, int64_t rows, int64_t rows_expected, hr_error *err);
    void *context;      /**< of on_tick */
    const char *digest; /**< as hr_feed_options: what each worker was given, for hr_digest_diff */
    int64_t global_batch_rows; /**< as hr_stream_options, as are those below */
    hr_tail tail;
    int64_t order_lanes;
} hr_check_options;
#define HR_CHECK_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(hr_check_options), 0, 0, 0, 0.0, 0, false, false, HR_SHUFFLE_NONE, 0, 0, 0.0, NULL, \
            0.0, NULL, NULL, NULL, 0, HR_TAIL_UNEVEN, 0                                            \
    }

typedef struct hr_check_report hr_check_report;
/** Runs the ingest alone. prep may be NULL; it is fitted first when it needs to be. *out is set when workers ran. */
HR_API HR_USE_RESULT hr_status hr_check_run(hr_runtime *runtime, const hr_dataset *dataset,
                                            const hr_prep *prep, const hr_check_options *options,
                                            hr_check_report **out, hr_error *err);
/** The report as the guide prints it, then where the time went; json: one object. Freed with hr_text_free. */
HR_API HR_USE_RESULT hr_status hr_check_print(const hr_check_report *report, bool json, char **out,
                                              hr_error *err);
/** The report as one HTML page, well-formed as XML, with pictures in SVG; it loads nothing. Freed with
 *  hr_text_free. */
HR_API HR_USE_RESULT hr_status hr_check_print_html(const hr_check_report *report, char **out,
                                                   hr_error *err);
/** How many workers died or were ended as idle; the check went on without them. */
HR_API int64_t hr_check_lost_workers(const hr_check_report *report);
HR_API void hr_check_free(hr_check_report **report);

/* The page of a trainer that measured itself. Unstable: these structs may change in any release before 1.0. */

/** What was seen at a moment of a loop. */
typedef struct hr_check_sample {
    double at_s;         /**< since the workers were started */
    int64_t rows;        /**< that all of them had read */
    uint64_t used_bytes; /**< of the budget */
} hr_check_sample;
/** What a worker measured. */
typedef struct hr_check_worker_figures {
    hr_worker_end end;
    const char *message; /**< of a failure; NULL: none */
    double loop_s;
    hr_feed_stats feed;
    const double *delays; /**< quantiles, each for as many batches; the first 1024 are taken */
    size_t delay_count;
} hr_check_worker_figures;
typedef struct hr_check_figures {
    size_t size;
    bool touch;                     /**< every byte of every batch was read */
    const hr_stream_stats *stream;  /**< as hr_trainer_result has them */
    uint64_t peak_bytes;            /**< likewise */
    const hr_check_sample *samples; /**< by time; the last 512 are taken */
    size_t sample_count;
    const hr_check_worker_figures *workers;
    int64_t worker_count;
    const char *title;         /**< the run's name; NULL: the source's */
    const char *const *stalls; /**< lines of the watchdog: who waited for whom */
    int64_t stall_count;
    const hr_trainer_life *const *lives; /**< as hr_trainer_result has them */
    int64_t life_count;
    const hr_trainer_dataset *others; /**< datasets that were read besides: their stages */
    int64_t other_count;
} hr_check_figures;
/** The same page for a trainer that is no check and measured itself. dataset: that was read. Freed with
 *  hr_text_free. INVALID: samples do not ascend. */
HR_API HR_USE_RESULT hr_status hr_check_print_page(hr_runtime *runtime, const hr_dataset *dataset,
                                                   const hr_check_figures *figures, char **out,
                                                   hr_error *err);
/** The body of a check's worker process: returns its exit code. */
HR_API int hr_check_worker(void);

#ifdef __cplusplus
}
#endif
#endif
