// SPDX-License-Identifier: Apache-2.0
// The ingest check, the driver's side: preprocess, run the workers, gather what they measured.
#include "train/check_parts.h"

#include "base/option.h"
#include "base/os.h"
#include "plan/plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_NS (20ull * 1000 * 1000)

#define ROW(name, type, zero, min, max, help, ...)                                                 \
    {                                                                                              \
#name, type, offsetof(hr_check_options, name), zero, min, max, NULL, help, __VA_ARGS__     \
    }
static const hr_option_row check_rows[] = {
    ROW(workers, HR_OPTION_INT, 1, 1, 4096, "worker processes", "--workers", NULL),
    ROW(batch_rows, HR_OPTION_INT, 0, 0, 1e12, "rows a batch; 0: whole blocks", "--batch-rows",
        "batch_size"),
    ROW(global_batch_rows, HR_OPTION_INT, 0, 0, 1e12, "rows a step; instead of batch_rows",
        "--global-batch-rows", NULL),
    ROW(order_lanes, HR_OPTION_INT, 0, 0, 256, "lanes of a window shuffle; 0: 8", "--order-lanes",
        NULL),
    ROW(epochs, HR_OPTION_INT, 1, 1, 1e12, "times that the dataset is read", "--epochs",
        "num_epochs"),
    ROW(seconds, HR_OPTION_SECONDS, 0, 0, 1e9,
        "whole epochs until so long has passed; 0: by epochs", "--seconds", "runtime_seconds"),
    ROW(prefetch_blocks, HR_OPTION_INT, 0, HR_PREFETCH_NONE, 4000,
        "batches made ahead of each worker; 0: by bytes; -1: none", "--prefetch",
        "prefetch_blocks"),
    ROW(window_rows, HR_OPTION_INT, 0, 0, 1e9, "rows that a window shuffle permutes together",
        "--window-rows", NULL),
    ROW(worker_idle_s, HR_OPTION_SECONDS, 0, 0, 1e9,
        "seconds after which a worker that asks for nothing is ended; 0: never", "--worker-idle",
        "worker_idle_s"),
};
#undef ROW
const hr_option_table hr__check_options =
    HR_OPTION_TABLE("check", hr_check_options, check_rows, "DummyTrainer");

typedef struct hr_check_run_state {
    hr_runtime *runtime;
    hr_check_options options;
    hr_check_report *report;
    hr_dataset *ready; // preprocessed
    int64_t *rows;     // by worker, as they report
    int64_t rows_expected;
    uint64_t began_ns;
    uint64_t loop_ns, sample_ns,
        sampled_ns; // when workers were started; samples: how often, the last
    hr_memory_stats before;
} hr_check_run_state;

// --- preprocessing ---

static hr_status apply_prep(hr_check_run_state *run, const hr_dataset *dataset, const hr_prep *prep,
                            hr_error *err)
{
    hr_status status;
    hr_prep *fitted = NULL;
    hr_fit_status fit = hr_prep_fit_status(prep);
    if (fit == HR_NOT_FITTED || fit == HR_PARTIALLY_FITTED)
        HR_TRY(hr_prep_fit(prep, dataset, &fitted, err));
    else
        fitted = hr_prep_ref(prep);
    char repr[4096];
    HR_GO(hr__strdup(hr_prep_print(fitted, repr, sizeof repr), &run->report->prep, err));
    HR_GO(hr_prep_transform(fitted, dataset, &run->ready, err));
out:
    hr_prep_unref(&fitted);
    return status;
}

static hr_status preprocess(hr_check_run_state *run, const hr_dataset *dataset, const hr_prep *prep,
                            hr_error *err)
{
    hr_check_report *report = run->report;
    uint64_t began = hr__now_ns();
    if (prep)
        HR_TRY(apply_prep(run, dataset, prep, err));
    else
        run->ready = hr_dataset_ref(dataset);
    if (run->options.bulk) {
        hr_dataset *kept = NULL;
        HR_TRY(hr_dataset_materialize(run->ready, &kept, err));
        hr_dataset_unref(&run->ready);
        run->ready = kept;
    }
    report->preprocess_s = (double)(hr__now_ns() - began) * 1e-9;
    HR_TRY(hr_dataset_stats(run->ready, false, &report->prep_stats, err));
    return hr_dataset_stats(run->ready, true, &report->prep_stats_json, err);
}

static hr_status preprocess_watched(hr_check_run_state *run, const hr_dataset *dataset,
                                    const hr_prep *prep, hr_error *err)
{
    hr_memory_sampler *sampler = NULL;
    uint64_t anonymous;
    HR_TRY(hr__sampler_open(run->runtime, &sampler, err));
    hr_status status = preprocess(run, dataset, prep, err);
    hr__sampler_close(&sampler, &run->report->peak_bytes, &anonymous);
    hr__dataset_source_name(dataset, run->report->source, sizeof run->report->source);
    if (run->ready)
        hr__dataset_stage_name(run->ready, run->report->plan, sizeof run->report->plan);
    return status;
}

// --- running ---

static int64_t rows_so_far(const hr_check_run_state *run)
{
    int64_t rows = 0;
    for (int64_t i = 0; i < run->options.workers; i++)
        rows += run->rows[i];
    return rows;
}

// When there is no room for another sample every second one goes, and later ones come half as often.
static void add_sample(hr_check_run_state *run, int64_t rows)
{
    hr_check_report *report = run->report;
    hr_memory_stats memory;
    if (report->sample_count == HR_CHECK_SAMPLES_MAX) {
        report->sample_count /= 2;
        for (uint32_t i = 0; i < report->sample_count; i++)
            report->samples[i] = report->samples[2 * i];
        run->sample_ns *= 2;
    }
    run->sampled_ns = hr__now_ns();
    hr_runtime_memory(run->runtime, &memory, sizeof memory);
    report->samples[report->sample_count++] =
        (hr_check_sample){.at_s = (double)(run->sampled_ns - run->loop_ns) * 1e-9,
                          .rows = rows,
                          .used_bytes = memory.used_bytes};
}

static void sample(hr_check_run_state *run)
{
    if (hr__now_ns() - run->sampled_ns >= run->sample_ns)
        add_sample(run, rows_so_far(run));
}

static hr_status on_report(void *context, int64_t rank, const char *json, hr_error *err)
{
    hr_check_run_state *run = context;
    const char *rows = strstr(json, "\"rows\": ");
    if (rows)
        run->rows[rank] = strtoll(rows + strlen("\"rows\": "), NULL, 10);
    sample(run);
    return HR_OK;
}

static hr_status on_tick(void *context, hr_error *err)
{
    hr_check_run_state *run = context;
    sample(run);
    if (!run->options.on_tick)
        return HR_OK;
    return run->options.on_tick(run->options.context, rows_so_far(run), run->rows_expected, err);
}

static hr_check_job make_job(const hr_check_options *o)
{
    return (hr_check_job){.magic = HR_CHECK_MAGIC,
                          .bytes = sizeof(hr_check_job),
                          .batch_rows = o->batch_rows,
                          .global_batch_rows = o->global_batch_rows,
                          .epochs = o->epochs,
                          .prefetch_blocks = o->prefetch_blocks,
                          .window_rows = o->window_rows,
                          .order_lanes = o->order_lanes,
                          .seed = o->seed,
                          .seconds = o->seconds,
                          .shuffle = (uint32_t)o->shuffle,
                          .tail = (uint32_t)o->tail,
                          .touch = o->touch};
}

static hr_status run_workers(hr_check_run_state *run, hr_trainer_result **out, hr_error *err)
{
    char self[4096];
    hr_check_job job = make_job(&run->options);
    const char *program = run->options.worker_program, *digest = run->options.digest;
    if (digest && snprintf(job.digest, sizeof job.digest, "%s", digest) >= (int)sizeof job.digest)
        return HR_FAIL(err, HR_INVALID, "digest: a path of at most %zu bytes",
                       sizeof job.digest - 1);
    if (!program) {
        HR_TRY(hr__self_path(self, sizeof self, err));
        program = self;
    }
    const char *argv[] = {program, "worker", NULL};
    const hr_trainer_dataset dataset = {HR_CHECK_DATASET, run->ready, true};
    hr_trainer_options options = HR_TRAINER_OPTIONS_INIT;
    options.workers = run->options.workers;
    options.argv = argv;
    options.payload = &job;
    options.payload_bytes = sizeof job;
    options.datasets = &dataset;
    options.dataset_count = 1;
    options.worker_idle_s = run->options.worker_idle_s;
    run->loop_ns = hr__now_ns();
    run->sample_ns = SAMPLE_NS;
    add_sample(run, 0);
    options.on_report = on_report;
    options.on_tick = on_tick;
    options.context = run;
    return hr_trainer_run(run->runtime, &options, out, err);
}

// --- gathering ---

static hr_status take_worker(hr_check_worker_report *to, hr_worker_result *from, hr_error *err)
{
    to->end = from->end;
    to->exit_code = from->exit_code;
    to->rows = from->rows;
    to->batches = from->batches;
    to->undelivered_rows = from->undelivered_rows;
    to->message = from->message;
    from->message = NULL;
    if (from->end != HR_WORKER_DONE)
        return HR_OK;
    if (from->details_bytes == sizeof to->result)
        memcpy(&to->result, from->details, sizeof to->result);
    if (to->result.magic != HR_CHECK_MAGIC || to->result.bytes_of_this != sizeof to->result ||
        to->result.delay_count > HR_CHECK_DELAYS_MAX ||
        to->result.epoch_count > HR_CHECK_EPOCHS_KEPT)
        return HR_FAIL(err, HR_CORRUPT,
                       "worker %lld ended well and brought no result of a check: is the worker "
                       "program of another release?",
                       (long long)from->rank);
    to->has_result = true;
    return HR_OK;
}

void hr__check_merge_delays(hr_check_report *report)
{
    hr_samples all = {0};
    const hr_check_result *only = NULL;
    int64_t count = 0;
    for (int64_t i = 0; i < report->worker_count; i++) {
        if (!report->workers[i].has_result)
            continue;
        const hr_check_result *r = &report->workers[i].result;
        only = r;
        count++;
        for (uint32_t j = 0; j < r->delay_count; j++)
            hr__samples_add(&all, r->delays[j]);
        report->delay_max_s = HR_MAX(report->delay_max_s, r->delay_max_s);
    }
    if (count == 1) { // exact
        report->delay_p50_s = only->delay_p50_s;
        report->delay_p95_s = only->delay_p95_s;
    } else {
        report->delay_p50_s = hr__samples_quantile(&all, 0.50);
        report->delay_p95_s = hr__samples_quantile(&all, 0.95);
    }
    hr__samples_finish(&all);
}

// The loop ended when the slowest worker's did; what the driver saw after that, while they told it, goes.
static void end_samples(hr_check_run_state *run, uint64_t first_ns)
{
    hr_check_report *report = run->report;
    if (first_ns == UINT64_MAX || first_ns < run->loop_ns)
        return;
    double end_s = (double)(first_ns - run->loop_ns) * 1e-9 + report->loop_s;
    add_sample(run, report->rows);
    hr_check_sample *end = &report->samples[--report->sample_count];
    hr_check_sample last = *end;
    while (report->sample_count > 1 && end[-1].at_s >= end_s) {
        last.used_bytes = end[-1].used_bytes;
        end--;
        report->sample_count--;
    }
    last.at_s = end_s;
    *end = last;
    report->sample_count++;
}

static void add_up(hr_check_run_state *run)
{
    hr_check_report *report = run->report;
    uint64_t first_ns = UINT64_MAX;
    for (int64_t i = 0; i < report->worker_count; i++) {
        const hr_check_result *r = &report->workers[i].result;
        if (!report->workers[i].has_result)
            continue;
        report->rows += r->rows;
        report->batches += r->batches;
        report->bytes += r->bytes;
        report->copied_batches += r->copied_batches;
        report->copied_bytes += r->copied_bytes;
        report->checksum += r->checksum;
        report->epochs = HR_MAX(report->epochs, r->epochs);
        report->loop_s = HR_MAX(report->loop_s, r->loop_s);
        report->wait_s += r->wait_s;
        report->own_s += r->own_s;
        if (r->first_batch_ns != 0)
            first_ns = HR_MIN(first_ns, r->first_batch_ns);
        report->epoch_count = HR_MAX(report->epoch_count, r->epoch_count);
        for (uint32_t e = 0; e < r->epoch_count; e++)
            report->epoch_s[e] = HR_MAX(report->epoch_s[e], r->epoch_s[e]);
    }
    if (first_ns != UINT64_MAX && first_ns > run->began_ns)
        report->first_batch_s = run->options.start_s + (double)(first_ns - run->began_ns) * 1e-9;
    end_samples(run, first_ns);
    hr__check_merge_delays(report);
}

static hr_status gather(hr_check_run_state *run, hr_trainer_result *result, hr_error *err)
{
    hr_check_report *report = run->report;
    HR_TRY(hr__alloc_zero((size_t)result->worker_count, sizeof *report->workers, &report->workers,
                          err));
    report->worker_count = result->worker_count;
    for (int64_t i = 0; i < result->worker_count; i++)
        HR_TRY(take_worker(&report->workers[i], result->workers[i], err));
    add_up(run);
    report->stream = *result->stream;
    report->peak_bytes = HR_MAX(report->peak_bytes, result->peak_bytes);
    hr_runtime_memory(run->runtime, &report->memory, sizeof report->memory);
    report->spilled_bytes = report->memory.spilled_bytes - run->before.spilled_bytes;
    report->restored_bytes = report->memory.restored_bytes - run->before.restored_bytes;
    report->threads = hr_runtime_threads(run->runtime);
    HR_TRY(hr_dataset_stats(run->ready, false, &report->stats, err));
    HR_TRY(hr_dataset_stats(run->ready, true, &report->stats_json, err));
    hr__check_attribute(report);
    return HR_OK;
}

static hr_status run_check(hr_check_run_state *run, const hr_dataset *dataset, const hr_prep *prep,
                           bool *ran_out, hr_error *err)
{
    hr_trainer_result *result = NULL;
    HR_TRY(hr__alloc_zero((size_t)run->options.workers, sizeof *run->rows, &run->rows, err));
    HR_TRY(preprocess_watched(run, dataset, prep, err));
    hr_status status = run_workers(run, &result, err);
    if (result) {
        hr_status gathered = gather(run, result, status == HR_OK ? err : NULL);
        *ran_out = gathered == HR_OK;
        status = status == HR_OK ? gathered : status;
    }
    hr_trainer_result_free(&result);
    return status;
}

hr_status hr_check_run(hr_runtime *runtime, const hr_dataset *dataset, const hr_prep *prep,
                       const hr_check_options *options, hr_check_report **out, hr_error *err)
{
    hr_check_run_state run = {.runtime = runtime, .began_ns = hr__now_ns(), .rows_expected = -1};
    bool ran = false;
    HR_TRY(hr__options_resolve(&hr__check_options, options, &run.options, err));
    HR_TRY(hr__runtime_check(runtime, err));
    HR_TRY(hr__alloc_zero(1, sizeof *run.report, &run.report, err));
    hr_runtime_memory(runtime, &run.before, sizeof run.before);
    run.report->batch_rows = run.options.batch_rows;
    run.report->global_batch_rows = run.options.global_batch_rows;
    run.report->epochs_asked = run.options.seconds > 0 ? 0 : run.options.epochs;
    run.report->shuffle = run.options.shuffle;
    run.report->seed = run.options.seed;
    run.report->bulk = run.options.bulk;
    run.report->touch = run.options.touch;
    hr_status status = run_check(&run, dataset, prep, &ran, err);
    hr_dataset_unref(&run.ready);
    hr__free(run.rows);
    if (ran)
        *out = run.report;
    else
        hr_check_free(&run.report);
    return status;
}

int64_t hr_check_lost_workers(const hr_check_report *report)
{
    int64_t lost = 0;
    for (int64_t i = 0; i < report->worker_count; i++)
        lost +=
            report->workers[i].end == HR_WORKER_DIED || report->workers[i].end == HR_WORKER_IDLE;
    return lost;
}

void hr_check_free(hr_check_report **report_inout)
{
    hr_check_report *report = report_inout ? *report_inout : NULL;
    if (!report)
        return;
    *report_inout = NULL;
    for (int64_t i = 0; report->workers && i < report->worker_count; i++)
        hr__free(report->workers[i].message);
    hr__free(report->workers);
    hr__free(report->prep);
    hr_text_free(report->prep_stats);
    hr_text_free(report->prep_stats_json);
    hr_text_free(report->stats);
    hr_text_free(report->stats_json);
    hr__free(report);
}
