// SPDX-License-Identifier: Apache-2.0
// The page of a trainer that is no check of ours: a report made of the figures that it measured itself.
#include "base/option.h"
#include "plan/plan.h"
#include "train/check_parts.h"

#include <string.h>

static const hr_option_row page_rows[] = {
    {"worker_count", HR_OPTION_INT, offsetof(hr_check_figures, worker_count), 0, 0, 4096, NULL,
     "workers that measured"},
    {"stall_count", HR_OPTION_INT, offsetof(hr_check_figures, stall_count), 0, 0, 1 << 20, NULL,
     "lines of the watchdog"},
    {"life_count", HR_OPTION_INT, offsetof(hr_check_figures, life_count), 0, 0, INT64_MAX, NULL,
     "starts of the workers"},
    {"other_count", HR_OPTION_INT, offsetof(hr_check_figures, other_count), 0, 0, 1024, NULL,
     "datasets that were read besides"},
};
static const hr_option_table page_table =
    HR_CALL_OPTION_TABLE("figures", hr_check_figures, page_rows, NULL);

static void take_worker(hr_check_report *report, int64_t rank, const hr_check_worker_figures *from)
{
    hr_check_worker_report *to = &report->workers[rank];
    hr_check_result *r = &to->result;
    to->has_result = true;
    to->end = from->end;
    to->message = (char *)from->message; // the caller's: not freed with the report
    to->rows = r->rows = from->feed.rows;
    to->batches = r->batches = from->feed.batches;
    r->loop_s = from->loop_s;
    r->wait_s = from->feed.wait_s;
    r->own_s = from->feed.own_s;
    r->delay_p50_s = from->feed.delay_p50_s;
    r->delay_p95_s = from->feed.delay_p95_s;
    r->delay_max_s = from->feed.delay_max_s;
    r->delay_count = (uint32_t)HR_MIN(from->delay_count, (size_t)HR_CHECK_DELAYS_MAX);
    if (r->delay_count)
        memcpy(r->delays, from->delays, r->delay_count * sizeof *r->delays);
    report->rows += from->feed.rows;
    report->batches += from->feed.batches;
    report->bytes += from->feed.bytes;
    report->wait_s += from->feed.wait_s;
    report->own_s += from->feed.own_s;
    report->loop_s = HR_MAX(report->loop_s, from->loop_s);
    if (from->feed.batches &&
        (report->first_batch_s <= 0 || from->feed.first_batch_s < report->first_batch_s))
        report->first_batch_s = from->feed.first_batch_s;
}

static hr_status take_samples(hr_check_report *report, const hr_check_sample *samples, size_t count,
                              hr_error *err)
{
    size_t first = count > HR_CHECK_SAMPLES_MAX ? count - HR_CHECK_SAMPLES_MAX : 0;
    for (size_t i = first; i < count; i++) {
        const hr_check_sample *s = &samples[i], *before = i > first ? s - 1 : s;
        if (!(s->at_s >= before->at_s) || s->rows < before->rows || s->at_s < 0)
            return HR_FAIL(err, HR_INVALID, "sample %zu: time and rows only grow", i);
        report->samples[report->sample_count++] = *s;
    }
    return HR_OK;
}

static hr_status take_others(hr_check_report *report, const hr_check_figures *f, hr_error *err)
{
    if (f->other_count == 0)
        return HR_OK;
    HR_TRY(hr__alloc_zero((size_t)f->other_count, sizeof *report->others_stats_json,
                          &report->others_stats_json, err));
    report->others = f->others;
    report->other_count = f->other_count;
    for (int64_t i = 0; i < f->other_count; i++)
        HR_TRY(hr_dataset_stats(f->others[i].dataset, true, &report->others_stats_json[i], err));
    return HR_OK;
}

static hr_status fill_report(hr_check_report *report, hr_runtime *runtime,
                             const hr_dataset *dataset, const hr_check_figures *f, hr_error *err)
{
    HR_TRY(take_samples(report, f->samples, f->sample_count, err));
    if (f->worker_count)
        HR_TRY(hr__alloc_zero((size_t)f->worker_count, sizeof *report->workers, &report->workers,
                              err));
    report->worker_count = f->worker_count;
    for (int64_t i = 0; i < f->worker_count; i++)
        take_worker(report, i, &f->workers[i]);
    hr__check_merge_delays(report);
    report->touch = f->touch;
    report->title = f->title;
    report->stalls = f->stalls;
    report->stall_count = f->stall_count;
    report->lives = f->lives;
    report->life_count = f->life_count;
    report->peak_bytes = f->peak_bytes;
    if (f->stream)
        report->stream = *f->stream;
    hr_runtime_memory(runtime, &report->memory, sizeof report->memory);
    report->threads = hr_runtime_threads(runtime);
    hr__dataset_source_name(dataset, report->source, sizeof report->source);
    hr__dataset_stage_name(dataset, report->plan, sizeof report->plan);
    hr__check_attribute(report);
    HR_TRY(take_others(report, f, err));
    HR_TRY(hr_dataset_stats(dataset, true, &report->stats_json, err));
    return hr_dataset_stats(dataset, false, &report->stats, err);
}

hr_status hr_check_print_page(hr_runtime *runtime, const hr_dataset *dataset,
                              const hr_check_figures *figures, char **out, hr_error *err)
{
    hr_check_figures f;
    hr_check_report *report = NULL;
    HR_TRY(hr__options_resolve(&page_table, figures, &f, err));
    HR_TRY(hr__runtime_check(runtime, err));
    HR_TRY(hr__alloc_zero(1, sizeof *report, &report, err));
    hr_status status = fill_report(report, runtime, dataset, &f, err);
    if (status == HR_OK)
        status = hr_check_print_html(report, out, err);
    hr_text_free(report->stats);
    hr_text_free(report->stats_json);
    for (int64_t i = 0; i < report->other_count; i++)
        hr_text_free(report->others_stats_json[i]);
    hr__free(report->others_stats_json);
    hr__free(report->workers);
    hr__free(report);
    return status;
}
