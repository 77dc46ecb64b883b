// SPDX-License-Identifier: Apache-2.0
// The check's worker: a training loop that only reads and measures.
//
// The clock is looked at between epochs alone, so that at least one epoch is read whole. With `touch` every byte of
// every batch is read, as part of the checksum.
#include "feed/feed.h"
#include "base/log.h"
#include "base/os.h"
#include "train/check_parts.h"
#include <stdio.h>
#include <string.h>

#define REPORT_NS (50ull * 1000 * 1000)

typedef struct hr_check_loop {
    hr_session *session;
    hr_feed *feed;
    hr_check_job job;
    hr_check_result *result;
    uint64_t started_ns, reported_ns;
} hr_check_loop;

static hr_status read_job(hr_session *session, hr_check_job *job, hr_error *err)
{
    size_t bytes = 0;
    const void *payload = hr_session_payload(session, &bytes);
    if (bytes != sizeof *job)
        return HR_FAIL(err, HR_INVALID,
                       "the payload of this worker has %zu bytes, a check's has "
                       "%zu: was it started by a check of another release?",
                       bytes, sizeof *job);
    memcpy(job, payload, sizeof *job);
    if (job->magic != HR_CHECK_MAGIC || job->bytes != sizeof *job)
        return HR_FAIL(err, HR_INVALID, "the payload of this worker is no check's job");
    return HR_OK;
}

static hr_status open_feed(hr_check_loop *loop, hr_error *err)
{
    const hr_check_job *job = &loop->job;
    hr_stream_options options = HR_STREAM_OPTIONS_INIT;
    options.batch_rows = job->batch_rows;
    options.global_batch_rows = job->global_batch_rows;
    options.tail = (hr_tail)job->tail;
    options.order_lanes = job->order_lanes;
    options.prefetch_blocks = job->prefetch_blocks;
    options.epochs = job->seconds > 0 ? HR_EPOCHS_ENDLESS : job->epochs;
    options.shuffle = (hr_shuffle)job->shuffle;
    options.seed = job->seed;
    options.window_rows = job->window_rows;
    hr_feed_options feed = HR_FEED_OPTIONS_INIT;
    feed.digest = job->digest[0] ? job->digest : NULL;
    return hr_session_feed(loop->session, HR_CHECK_DATASET, &options, &feed, &loop->feed, err);
}

// For the progress line; a trainer that lags sees the latest.
static hr_status report_rows(hr_check_loop *loop, uint64_t now, hr_error *err)
{
    char text[64];
    if (now - loop->reported_ns < REPORT_NS)
        return HR_OK;
    loop->reported_ns = now;
    snprintf(text, sizeof text, "{\"rows\": %lld}", (long long)loop->result->rows);
    return hr_session_report(loop->session, text, err);
}

static hr_status read_epoch(hr_check_loop *loop, hr_error *err)
{
    hr_check_result *result = loop->result;
    for (;;) {
        hr_batch *batch = NULL;
        hr_status status = hr_feed_next(loop->feed, &batch, err);
        if (status == HR_END)
            return HR_OK;
        HR_TRY(status);
        uint64_t now = hr__now_ns();
        if (result->first_batch_ns == 0)
            result->first_batch_ns = now;
        if (loop->job.touch)
            result->checksum += hr_batch_checksum(batch);
        result->rows += hr_batch_rows(batch);
        hr_batch_unref(&batch);
        HR_TRY(report_rows(loop, now, err));
    }
}

static hr_status read_epochs(hr_check_loop *loop, hr_error *err)
{
    hr_check_result *result = loop->result;
    for (;;) {
        uint64_t began = hr__now_ns();
        if (result->epochs > 0) {
            hr_status status = hr_feed_next_epoch(loop->feed, err);
            if (status == HR_END)
                return HR_OK;
            HR_TRY(status);
        }
        HR_TRY(read_epoch(loop, err));
        uint64_t now = hr__now_ns();
        if (result->epoch_count < HR_CHECK_EPOCHS_KEPT)
            result->epoch_s[result->epoch_count++] = (double)(now - began) * 1e-9;
        result->epochs++;
        double elapsed = (double)(now - loop->started_ns) * 1e-9;
        if (loop->job.seconds > 0 ? elapsed >= loop->job.seconds
                                  : result->epochs >= loop->job.epochs)
            return HR_OK;
    }
}

static void sum_up(hr_check_loop *loop)
{
    hr_check_result *result = loop->result;
    hr_feed_stats stats;
    result->loop_s = (double)(hr__now_ns() - loop->started_ns) * 1e-9;
    hr_feed_get_stats(loop->feed, &stats, sizeof stats);
    result->batches = stats.batches;
    result->bytes = stats.bytes;
    result->wait_s = stats.wait_s;
    result->own_s = stats.own_s;
    result->delay_p50_s = stats.delay_p50_s;
    result->delay_p95_s = stats.delay_p95_s;
    result->delay_max_s = stats.delay_max_s;
    result->copied_batches = stats.copied_batches;
    result->copied_bytes = stats.copied_bytes;
    result->delay_count = (uint32_t)hr_feed_delays(loop->feed, result->delays, HR_CHECK_DELAYS_MAX);
}

static hr_status run_loop(hr_check_loop *loop, hr_error *err)
{
    HR_TRY(read_job(loop->session, &loop->job, err));
    loop->started_ns = hr__now_ns();
    HR_TRY(open_feed(loop, err));
    HR_TRY(read_epochs(loop, err));
    sum_up(loop);
    return HR_OK;
}

int hr_check_worker(void)
{
    hr_error err = HR_ERROR_INIT;
    hr_check_loop loop = {NULL};
    hr_status status = hr_session_open(&loop.session, &err);
    if (status == HR_OK)
        status = hr__alloc_zero(1, sizeof *loop.result, &loop.result, &err);
    if (status == HR_OK) {
        loop.result->magic = HR_CHECK_MAGIC;
        loop.result->bytes_of_this = sizeof *loop.result;
        status = run_loop(&loop, &err);
    }
    if (loop.session) {
        bool good = status == HR_OK;
        hr_error last = HR_ERROR_INIT;
        // When even this cannot be told the trainer is gone, and nobody is left to tell.
        if (hr_session_finish(loop.session, status, good ? NULL : err.message,
                              good ? loop.result : NULL, good ? sizeof *loop.result : 0,
                              &last) != HR_OK)
            status = last.status;
    } else {
        hr__log(HR_LOG_ERROR, "check worker: %s", err.message);
    }
    hr_feed_close(&loop.feed);
    hr_session_close(&loop.session);
    hr__free(loop.result);
    return status == HR_OK ? 0 : 1;
}
