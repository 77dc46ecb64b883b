// SPDX-License-Identifier: Apache-2.0
// A run: start the workers, feed them, watch them, say how each ended.
//
// The caller's thread is the loop. A worker that dies or sleeps does not end the run: its rank is given up, the
// others go on, and the result tells. A worker whose loop failed does: the others get a moment to end by
// themselves, then they are ended.
#include "train/train_parts.h"

#include "base/option.h"
#include "base/os.h"
#include <stdio.h>
#include <string.h>

#define WAIT_NS  (20ull * 1000 * 1000)
#define TICK_NS  (100ull * 1000 * 1000)
#define GRACE_NS (2000ull * 1000 * 1000) // for the others, after one failed

#define ROW(name, type, zero, min, max, help)                                                      \
    {                                                                                              \
#name, type, offsetof(hr_trainer_options, name), zero, min, max, NULL, help                \
    }
static const hr_option_row trainer_rows[] = {
    ROW(workers, HR_OPTION_INT, 1, 1, 4096, "worker processes"),
    ROW(worker_idle_s, HR_OPTION_SECONDS, 0, 0, 1e9,
        "seconds after which a worker that asks for nothing and reports nothing is ended; 0: "
        "never"),
};
#undef ROW
static const hr_option_table trainer_table = {"trainer", sizeof(hr_trainer_options), trainer_rows,
                                              HR_COUNTOF(trainer_rows)};

static hr_status check_options(const hr_trainer_options *o, hr_error *err)
{
    if (!o->argv || !o->argv[0])
        return HR_FAIL(err, HR_INVALID, "trainer: argv names no worker program");
    for (int32_t i = 0; i < o->dataset_count; i++) {
        const char *name = o->datasets[i].name;
        if (!name || !name[0] || strlen(name) > HR_WIRE_NAME_MAX || !o->datasets[i].dataset)
            return HR_FAIL(err, HR_INVALID,
                           "trainer: dataset %d has no name of 1 to %u bytes, or no data", (int)i,
                           HR_WIRE_NAME_MAX);
        for (int32_t j = 0; j < i; j++)
            if (strcmp(name, o->datasets[j].name) == 0)
                return HR_FAIL(err, HR_INVALID, "trainer: two datasets are called '%s'", name);
    }
    return HR_OK;
}

static hr_status make_payload(hr_trainer *trainer, hr_error *err)
{
    uint64_t bytes = trainer->options.payload_bytes;
    HR_TRY(hr__memfd("headrace-payload", bytes + sizeof bytes, &trainer->payload_fd, err));
    HR_TRY(hr__pwrite_full(trainer->payload_fd, &bytes, sizeof bytes, 0, err));
    return hr__pwrite_full(trainer->payload_fd, trainer->options.payload, (size_t)bytes,
                           sizeof bytes, err);
}

static hr_status trainer_open(hr_runtime *runtime, const hr_trainer_options *options,
                              hr_trainer *trainer, hr_error *err)
{
    *trainer = (hr_trainer){.runtime = runtime, .payload_fd = -1};
    trainer->inbox_last = &trainer->inbox;
    hr__mutex_init(&trainer->mutex);
    hr__cond_init(&trainer->arrived);
    HR_TRY(hr__options_resolve(&trainer_table, options, &trainer->options, err));
    HR_TRY(check_options(&trainer->options, err));
    HR_TRY(hr__runtime_check(runtime, err));
    HR_TRY(hr__runtime_service(runtime, &trainer->service, err));
    HR_TRY(make_payload(trainer, err));
    HR_TRY(hr__sampler_open(runtime, &trainer->sampler, err));
    HR_TRY(hr__alloc_zero((size_t)trainer->options.workers, sizeof *trainer->workers,
                          &trainer->workers, err));
    trainer->worker_count = trainer->options.workers;
    for (int64_t rank = 0; rank < trainer->worker_count; rank++)
        trainer->workers[rank].rank = rank;
    for (int64_t rank = 0; rank < trainer->worker_count; rank++)
        HR_TRY(hr__worker_start(trainer, &trainer->workers[rank], err));
    return HR_OK;
}

static void trainer_close(hr_trainer *trainer)
{
    for (int64_t i = 0; i < trainer->worker_count; i++)
        hr__worker_finish(&trainer->workers[i]); // after it no callback comes any more
    hr__passes_close(trainer);
    hr__inbox_free(trainer);
    hr__sampler_close(&trainer->sampler, NULL, NULL);
    hr__close_fd(&trainer->payload_fd);
    hr__free(trainer->workers);
    hr__cond_finish(&trainer->arrived);
    hr__mutex_finish(&trainer->mutex);
}

// --- watching ---

// Whether it asked for, took or reported anything since we last looked; waiting for us is no idleness.
static void watch_idleness(hr_trainer *trainer, hr_worker *worker, uint64_t now)
{
    bool waiting;
    if (trainer->options.worker_idle_s <= 0 || worker->reaped || worker->finished)
        return;
    uint64_t mark = hr__passes_progress(trainer, worker, &waiting) + worker->messages +
                    hr__report_ring_written(worker->ring);
    if (waiting || mark != worker->active_mark) {
        worker->active_mark = mark;
        worker->active_ns = now;
        return;
    }
    if ((double)(now - worker->active_ns) * 1e-9 >= trainer->options.worker_idle_s) {
        worker->idle = true;
        hr__worker_kill(worker);
    }
}

static bool has_failed(const hr_worker *worker)
{
    return worker->finished && worker->status != HR_OK;
}

// Died: its process is over and it never said that its loop was.
static bool has_died(const hr_worker *worker)
{
    return worker->ended && !worker->finished;
}

// Returns how many are still at work.
static int64_t watch_workers(hr_trainer *trainer, uint64_t now)
{
    int64_t running = 0;
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        hr_worker *worker = &trainer->workers[i];
        if (worker->ended)
            continue;
        watch_idleness(trainer, worker, now);
        if (!hr__worker_watch(worker, now)) {
            running++;
            continue;
        }
        worker->ended = true;
        hr__passes_leave(trainer, worker, !worker->finished);
    }
    hr__passes_retire(trainer);
    return running;
}

static void cancel_workers(hr_trainer *trainer)
{
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        hr_worker *worker = &trainer->workers[i];
        if (worker->ended || worker->finished || worker->reaped)
            continue;
        worker->cancelled = true;
        hr__worker_kill(worker);
    }
}

static const hr_worker *first_failed(const hr_trainer *trainer)
{
    const hr_worker *first = NULL;
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        const hr_worker *worker = &trainer->workers[i];
        if (has_failed(worker) && (!first || worker->finished_ns < first->finished_ns))
            first = worker;
    }
    return first;
}

static hr_status look_around(hr_trainer *trainer, uint64_t now, uint64_t *ticked_ns, hr_error *err)
{
    if (hr__runtime_interrupted(trainer->runtime))
        return HR_FAIL(err, HR_CANCELLED, "interrupted");
    const hr_worker *failed = first_failed(trainer);
    if (failed && now - failed->finished_ns > GRACE_NS)
        cancel_workers(trainer);
    if (trainer->options.on_tick && now - *ticked_ns >= TICK_NS) {
        *ticked_ns = now;
        return trainer->options.on_tick(trainer->options.context, err);
    }
    return HR_OK;
}

static hr_status run_loop(hr_trainer *trainer, hr_error *err)
{
    hr_status status = HR_OK;
    uint64_t ticked = hr__now_ns();
    for (;;) {
        hr_status now_status = hr__inbox_drain(trainer, WAIT_NS, status == HR_OK ? err : NULL);
        uint64_t now = hr__now_ns();
        if (now_status == HR_OK && status == HR_OK)
            now_status = look_around(trainer, now, &ticked, err);
        if (now_status != HR_OK && status == HR_OK) {
            status = now_status;
            cancel_workers(trainer);
        }
        if (watch_workers(trainer, now) == 0)
            return status;
    }
}

// --- the result ---

static hr_worker_end end_of(const hr_worker *worker)
{
    if (worker->finished)
        return worker->status == HR_OK ? HR_WORKER_DONE : HR_WORKER_FAILED;
    if (worker->idle)
        return HR_WORKER_IDLE;
    return worker->cancelled ? HR_WORKER_CANCELLED : HR_WORKER_DIED;
}

static void describe_end(hr_worker *worker, hr_worker_result *out)
{
    char words[160];
    const char *reason = NULL;
    switch (out->end) {
    case HR_WORKER_IDLE:
        reason = "it asked for nothing and reported nothing for worker_idle_s, and was ended";
        break;
    case HR_WORKER_CANCELLED:
        reason = "it was ended with the run";
        break;
    case HR_WORKER_DIED:
        if (worker->exit_code > 128)
            snprintf(words, sizeof words, "it was killed by signal %d", worker->exit_code - 128);
        else
            snprintf(words, sizeof words, "it exited with code %d before its loop was finished",
                     worker->exit_code);
        reason = words;
        break;
    default:
        break;
    }
    if (reason && !worker->message && hr__strdup(reason, &worker->message, NULL) != HR_OK)
        worker->message = NULL;
    out->message = worker->message;
    worker->message = NULL;
}

static hr_status make_result(hr_trainer *trainer, uint64_t started, hr_trainer_result **out,
                             hr_error *err)
{
    hr_trainer_result *result = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *result, &result, err));
    hr_status status = hr__alloc_zero((size_t)trainer->worker_count, sizeof *result->workers,
                                      &result->workers, err);
    if (status != HR_OK) {
        hr__free(result);
        return status;
    }
    result->worker_count = trainer->worker_count;
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        hr_worker *worker = &trainer->workers[i];
        hr_worker_result *to = &result->workers[i];
        *to =
            (hr_worker_result){.rank = i,
                               .end = end_of(worker),
                               .exit_code = worker->exit_code,
                               .batches = worker->batches,
                               .rows = worker->rows,
                               .undelivered_rows = worker->undelivered_rows,
                               .details = worker->details,
                               .details_bytes = worker->details_bytes,
                               .reports_replaced = (int64_t)hr__report_ring_replaced(worker->ring)};
        describe_end(worker, to);
        worker->details = NULL; // the result's now
    }
    hr__passes_close(trainer);
    result->stream = trainer->stats;
    hr__sampler_close(&trainer->sampler, &result->peak_bytes, &result->peak_anonymous_bytes);
    result->seconds = (double)(hr__now_ns() - started) * 1e-9;
    *out = result;
    return HR_OK;
}

// What the run came to, when nothing went wrong in the loop itself.
static hr_status judge(hr_trainer *trainer, hr_error *err)
{
    int64_t died = 0;
    const hr_worker *failed = first_failed(trainer), *first_dead = NULL;
    if (failed)
        return HR_FAIL(err, failed->status, "worker %lld: %s", (long long)failed->rank,
                       failed->message ? failed->message : "its loop failed");
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        died += has_died(&trainer->workers[i]);
        if (has_died(&trainer->workers[i]) && !first_dead)
            first_dead = &trainer->workers[i];
    }
    if (died < trainer->worker_count)
        return HR_OK;
    if (first_dead->idle)
        return HR_FAIL(err, HR_TIMEOUT,
                       "no worker finished: worker %lld asked for nothing and reported nothing for "
                       "%.3g s (worker_idle_s)",
                       (long long)first_dead->rank, trainer->options.worker_idle_s);
    return HR_FAIL(
        err, HR_IO,
        "no worker finished: worker %lld ended with code %d (%s) before its loop was; is "
        "the program right? its own messages stand above",
        (long long)first_dead->rank, first_dead->exit_code, trainer->options.argv[0]);
}

hr_status hr_trainer_run(hr_runtime *runtime, const hr_trainer_options *options,
                         hr_trainer_result **out, hr_error *err)
{
    hr_trainer trainer;
    uint64_t started = hr__now_ns();
    hr_status status = trainer_open(runtime, options, &trainer, err);
    if (status == HR_OK) {
        status = run_loop(&trainer, err);
        hr_status judged = status == HR_OK ? judge(&trainer, err) : status;
        status = make_result(&trainer, started, out, judged == HR_OK ? err : NULL);
        if (judged != HR_OK)
            status = judged;
    }
    trainer_close(&trainer);
    return status;
}

void hr_trainer_result_free(hr_trainer_result **result_inout)
{
    hr_trainer_result *result = result_inout ? *result_inout : NULL;
    if (!result)
        return;
    *result_inout = NULL;
    for (int64_t i = 0; i < result->worker_count; i++) {
        hr__free(result->workers[i].message);
        hr__free((void *)result->workers[i].details);
    }
    hr__free(result->workers);
    hr__free(result);
}
