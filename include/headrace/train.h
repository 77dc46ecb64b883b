// SPDX-License-Identifier: Apache-2.0
/**
 * Trainers: worker processes fed and watched, and the ingest check, the trainer that only reads and measures.
 *
 * hr_trainer_run is called by one thread and returns when all workers ended. A session belongs to
 * one worker process and one thread.
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
    HR_WORKER_FAILED = 1,
    HR_WORKER_DIED = 2,
    HR_WORKER_IDLE = 3,
    HR_WORKER_CANCELLED = 4
} hr_worker_end;

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

typedef struct hr_trainer_options {
    size_t size;
    int64_t workers;         /**< default 1 */
    const char *const *argv; /**< the worker program, NULL-ended; it calls hr_session_open */
    const void *payload;     /**< given to each worker: hr_session_payload */
    size_t payload_bytes;
    const hr_trainer_dataset *datasets;
    int32_t dataset_count;
    double
        worker_idle_s; /**< a worker that asks for nothing and reports nothing for so long is ended; 0: never */
    /** Called on the caller's thread for each report (metrics coalesce when a worker is faster) and
     *  each line that a worker prints through its session. May be NULL. A value other than HR_OK
     *  ends the run. */
    hr_status (*on_report)(void *context, int64_t rank, const char *json, hr_error *err);
    void (*on_line)(void *context, int64_t rank, const char *line);
    /** Called about ten times a second, for progress and signals: another value than HR_OK cancels the run. */
    hr_status (*on_tick)(void *context, hr_error *err);
    void *context;
} hr_trainer_options;
#define HR_TRAINER_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(hr_trainer_options), 0, NULL, NULL, 0, NULL, 0, 0, NULL, NULL, NULL, NULL           \
    }

typedef struct hr_trainer_result {
    int64_t worker_count;
    hr_worker_result *workers;
    uint64_t
        peak_anonymous_bytes; /**< largest sample of the workers' and this process's anonymous memory together */
    hr_stream_stats stream; /**< of all streams that workers opened */
    double seconds;
    uint64_t peak_bytes; /**< the same with the arena's pages, each counted once */
} hr_trainer_result;

/** Starts the workers, feeds them, waits. HR_OK: all are done, or some died and the others
 *  finished: see result. A worker's loop failed: the
 *  status and words it ended with. CANCELLED: interrupted. *out is set
 *  whenever workers were started; free it. */
HR_API HR_USE_RESULT hr_status hr_trainer_run(hr_runtime *runtime,
                                              const hr_trainer_options *options,
                                              hr_trainer_result **out, hr_error *err);
HR_API void hr_trainer_result_free(hr_trainer_result **result);

/* --- the worker's side --- */

typedef struct hr_session hr_session;
/** Attaches to the runtime that started this process. INVALID: no runtime did. */
HR_API HR_USE_RESULT hr_status hr_session_open(hr_session **out, hr_error *err);
HR_API int64_t hr_session_rank(const hr_session *session);
HR_API int64_t hr_session_world_size(const hr_session *session);
HR_API const void *hr_session_payload(const hr_session *session, size_t *bytes_out);
/** This rank's shard of a dataset as a feed. Ranks that ask with equal options read one shared
 *  pass; options.ranks is set for you. Asking again opens another feed. NOT_FOUND: the trainer has
 *  no such dataset. */
HR_API HR_USE_RESULT hr_status hr_session_feed(hr_session *session, const char *dataset,
                                               const hr_stream_options *options,
                                               const hr_feed_options *feed_options, hr_feed **out,
                                               hr_error *err);
/** Never blocks: when the runtime lags, older metrics that were not taken are replaced, and counted. */
HR_API HR_USE_RESULT hr_status hr_session_report(hr_session *session, const char *json,
                                                 hr_error *err);
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

/* --- the ingest check --- */

typedef struct hr_check_options {
    size_t size;
    int64_t workers;
    int64_t batch_rows;      /**< 0: whole blocks */
    int64_t epochs;          /**< default 1 */
    double seconds;          /**< when set: whole epochs until so long has passed */
    int64_t prefetch_blocks; /**< as hr_stream_options */
    bool bulk;               /**< materialise first */
    bool touch;              /**< read every byte of every batch in the worker, and checksum it */
    hr_shuffle shuffle;
    uint64_t seed;
    int64_t window_rows;
    double worker_idle_s;
    const char *
        worker_program; /**< a program that calls hr_check_worker; NULL: this one with the argument "worker" */
    double
        start_s; /**< seconds this process had been running when the command began: first_batch_s counts from there */
    hr_status (*on_tick)(void *context, int64_t rows, int64_t rows_expected,
                         hr_error *err); /**< progress */
    void *context;
} hr_check_options;
#define HR_CHECK_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(hr_check_options), 0, 0, 0, 0.0, 0, false, false, HR_SHUFFLE_NONE, 0, 0, 0.0, NULL, \
            0.0, NULL, NULL                                                                        \
    }

typedef struct hr_check_report hr_check_report;
/** Runs the ingest alone. prep may be NULL; it is fitted first when it needs to be. *out is set when workers ran. */
HR_API HR_USE_RESULT hr_status hr_check_run(hr_runtime *runtime, const hr_dataset *dataset,
                                            const hr_prep *prep, const hr_check_options *options,
                                            hr_check_report **out, hr_error *err);
/** The report as the guide prints it, then where the time went; json: one object. Freed with hr_text_free. */
HR_API HR_USE_RESULT hr_status hr_check_print(const hr_check_report *report, bool json, char **out,
                                              hr_error *err);
HR_API void hr_check_free(hr_check_report **report);
/** The body of a check's worker process: returns its exit code. */
HR_API int hr_check_worker(void);

#ifdef __cplusplus
}
#endif
#endif
