// SPDX-License-Identifier: Apache-2.0
// Inside the ingest check: the job that a worker gets, what it brings back, and the report made of it.
#ifndef HR_TRAIN_CHECK_PARTS_H
#define HR_TRAIN_CHECK_PARTS_H

#include "base/stats.h"
#include "base/text.h"
#include <headrace/train.h>

#define HR_CHECK_DATASET     "train"
#define HR_CHECK_MAGIC       0x314b4843u // "CHK1"
#define HR_CHECK_DELAYS_MAX  1024
#define HR_CHECK_EPOCHS_KEPT 2048
#define HR_CHECK_SAMPLES_MAX 512

// The payload of a check's worker. The same program at both ends: bytes as they lie, after magic and size.
typedef struct hr_check_job {
    uint32_t magic, bytes;
    int64_t batch_rows, global_batch_rows, epochs, prefetch_blocks, window_rows, order_lanes;
    uint64_t seed;
    double seconds;
    uint32_t shuffle, tail, touch, unused;
    char digest[1024]; // empty: none
} hr_check_job;

// What it sends with its end.
typedef struct hr_check_result {
    uint32_t magic, bytes_of_this;
    int64_t batches, rows, bytes, epochs;
    uint64_t checksum;
    uint64_t first_batch_ns; // by the monotonic clock, which all processes share; 0: none came
    double loop_s, wait_s, own_s;
    double delay_p50_s, delay_p95_s, delay_max_s;
    int64_t copied_batches, copied_bytes;
    uint32_t delay_count, epoch_count;
    double delays[HR_CHECK_DELAYS_MAX];   // evenly spaced quantiles, to merge several workers'
    double epoch_s[HR_CHECK_EPOCHS_KEPT]; // of the first ones
} hr_check_result;

typedef struct hr_check_worker_report {
    bool has_result; // it came to its end
    hr_check_result result;
    hr_worker_end end;
    int32_t exit_code;
    int64_t rows, batches, undelivered_rows;
    char *message;
} hr_check_worker_report;

struct hr_check_report {
    // what was asked
    int64_t batch_rows, global_batch_rows, epochs_asked;
    hr_shuffle shuffle;
    uint64_t seed;
    bool bulk, touch;
    char source[256], plan[1024];
    // preprocessing
    double preprocess_s;
    char *prep;                         // its repr; NULL: none
    char *prep_stats, *prep_stats_json; // of the transform; NULL: none
    // the loop, over all workers
    int64_t worker_count;
    hr_check_worker_report *workers;
    double first_batch_s, loop_s, wait_s, own_s;
    double delay_p50_s, delay_p95_s, delay_max_s;
    int64_t rows, batches, bytes, epochs, copied_batches, copied_bytes;
    uint64_t checksum;
    uint32_t epoch_count;
    double epoch_s[HR_CHECK_EPOCHS_KEPT]; // the slowest worker's
    // what the runtime says
    hr_stream_stats stream;
    hr_memory_stats memory;
    uint64_t spilled_bytes, restored_bytes, peak_bytes;
    int threads;
    char *stats, *stats_json; // of the dataset, after the loop
    double share[HR_CAUSES];  // of the workers' time; sums to 1
    uint32_t sample_count;
    hr_check_sample samples[HR_CHECK_SAMPLES_MAX];
    // of a trainer that is no check; borrowed from its figures
    const char *title; // NULL: it is a check
    const char *const *stalls;
    int64_t stall_count;
    const hr_trainer_life *const *lives;
    int64_t life_count;
    const hr_trainer_dataset *others;
    char **others_stats_json; // of each
    int64_t other_count;
};

// ingest_check.c: of all workers, from those of each.
void hr__check_merge_delays(hr_check_report *report);
// check_report.c: shares, and the sentence that says what would widen it.
void hr__check_attribute(hr_check_report *report);
void hr__check_widest(const hr_check_report *report, hr_text *out);
// check_html.c: as text of XML, with U+FFFD for what that does not take.
void hr__html_escape(hr_text *out, const char *text);
// check_stages.c: `stats_json` is that of hr_dataset_stats; NULL or without stages: nothing.
void hr__html_stages(const char *stats_json, hr_text *out);

#endif
