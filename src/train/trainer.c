// SPDX-License-Identifier: Apache-2.0
// A trainer: start the workers, feed them, watch them, start them again, say how each ended.
//
//   start ──▶ step … step ──▶ ended ──▶ finish         a step never waits; hr_trainers_wait makes them, and waits for
//                  ▲    │                              the runtime's bell in between
//                  └────┘ a life ended and another begins
//
// When it ends, everything is given back at once (slots, shared memory, processes) and the result is made: finish
// only hands it over.
#include "train/train_parts.h"

#include "base/os.h"
#include <stdatomic.h>
#include <string.h>

#define WAIT_NS (20ull * 1000 * 1000) // reports come without a ring
#define TICK_NS (100ull * 1000 * 1000)

static hr_status make_payload(hr_trainer *trainer, hr_error *err)
{
    const void *payload = trainer->options.payload;
    uint64_t bytes = trainer->options.payload_bytes;
    HR_TRY(hr__memfd("headrace-payload", bytes + sizeof bytes, &trainer->payload_fd, err));
    HR_TRY(hr__pwrite_full(trainer->payload_fd, &bytes, sizeof bytes, 0, err));
    trainer->options.payload = NULL; // the caller's; it stands in the file now
    return hr__pwrite_full(trainer->payload_fd, payload, (size_t)bytes, sizeof bytes, err);
}

static hr_status trainer_open(hr_trainer *trainer, const hr_trainer_options *options, hr_error *err)
{
    HR_TRY(hr__trainer_options_copy(options, &trainer->options, err));
    HR_TRY(hr__trainer_slots(trainer, err));
    HR_TRY(hr__runtime_service(trainer->runtime, &trainer->service, err));
    HR_TRY(make_payload(trainer, err));
    HR_TRY(hr__run_folder_open(&trainer->options, &trainer->run, err));
    trainer->options.preprocessor = NULL; // the caller's; it stands in the folder now
    HR_TRY(hr__sampler_open(trainer->runtime, &trainer->sampler, err));
    return hr__life_start(trainer, err);
}

// Nothing that others could want is held after it.
static void trainer_let_go(hr_trainer *trainer)
{
    hr__life_stop(trainer);
    hr__run_folder_close(&trainer->run);
    hr__checkpoint_finish(&trainer->restored);
    hr__free(trainer->checkpoint);
    trainer->checkpoint = NULL;
    hr__sampler_close(&trainer->sampler, NULL, NULL);
    hr__close_fd(&trainer->payload_fd);
    hr__crew_close(&trainer->crew);
    if (trainer->slots)
        hr__slots_give(trainer->runtime, &trainer->slots);
}

static void trainer_free(hr_trainer *trainer)
{
    trainer_let_go(trainer);
    hr_trainer_result_free(&trainer->result);
    hr__lives_free(trainer->lives.items, (int64_t)trainer->lives.count);
    hr__trainer_options_free(&trainer->options);
    hr__mutex_finish(&trainer->mutex);
    hr__runtime_unref(&trainer->runtime);
    hr__free(trainer);
}

hr_status hr_trainer_start(hr_runtime *runtime, const hr_trainer_options *options, hr_trainer **out,
                           hr_error *err)
{
    hr_trainer *trainer = NULL;
    HR_TRY(hr__runtime_check(runtime, err));
    HR_TRY(hr__alloc_zero(1, sizeof *trainer, &trainer, err));
    trainer->runtime = hr__runtime_ref(runtime);
    trainer->payload_fd = trainer->run.lock_fd = -1;
    trainer->inbox_last = &trainer->inbox;
    trainer->started_ns = trainer->ticked_ns = hr__now_ns();
    hr__mutex_init(&trainer->mutex);
    hr_status status = trainer_open(trainer, options, err);
    if (status == HR_OK)
        *out = trainer;
    else
        trainer_free(trainer);
    return status;
}

// --- steps ---

// The first thing that goes wrong outside of the workers is what the run came to.
static void note_status(hr_trainer *trainer, hr_status status, const hr_error *err)
{
    if (status == HR_OK || trainer->status != HR_OK)
        return;
    trainer->status = status;
    hr__error_copy(&trainer->error, err);
    trainer->error.status = status;
    hr__life_cancel(trainer);
}

static hr_status look_around(hr_trainer *trainer, uint64_t now, hr_error *err)
{
    if (hr__runtime_interrupted(trainer->runtime))
        return HR_FAIL(err, HR_CANCELLED, "interrupted");
    if (atomic_load_explicit(&trainer->cancel_asked, memory_order_relaxed))
        return HR_FAIL(err, HR_CANCELLED, "%s was cancelled", trainer->options.name);
    if (now - trainer->ticked_ns < TICK_NS)
        return HR_OK;
    trainer->ticked_ns = now;
    hr__stall_watch(trainer, now);
    return trainer->options.on_tick ? trainer->options.on_tick(trainer->options.context, err)
                                    : HR_OK;
}

static void end_trainer(hr_trainer *trainer)
{
    if (trainer->status == HR_OK)
        trainer->status = hr__trainer_judge(trainer, &trainer->error);
    hr__trainer_sum_up(trainer);
    trainer_let_go(trainer);
    trainer->ended = true;
}

static bool may_restart(const hr_trainer *trainer)
{
    int64_t max = trainer->options.max_failures;
    return max == HR_FAILURES_ENDLESS || trainer->life_count <= max; // this life is counted
}

// A life is over: another one, or the end.
static void end_life(hr_trainer *trainer)
{
    hr_error err = HR_ERROR_INIT;
    const hr_worker *culprit = trainer->status == HR_OK ? hr__life_culprit(trainer) : NULL;
    const char *reason = hr__life_note(trainer, culprit);
    if (!culprit || !may_restart(trainer)) {
        end_trainer(trainer);
        return;
    }
    hr__life_stop(trainer);
    if (trainer->options.on_restart)
        trainer->options.on_restart(trainer->options.context, trainer->life_count,
                                    reason ? reason : "a worker failed");
    hr_status status = hr__life_start(trainer, &err);
    if (status != HR_OK) {
        note_status(trainer, status, &err);
        hr__life_stop(trainer); // the next step finds nobody at work
    }
}

static void step(hr_trainer *trainer)
{
    hr_error err = HR_ERROR_INIT;
    hr_status status = hr__inbox_drain(trainer, &err);
    note_status(trainer, status, &err);
    uint64_t now = hr__now_ns();
    if (trainer->status == HR_OK) {
        status = look_around(trainer, now, &err);
        note_status(trainer, status, &err);
    }
    if (hr__life_watch(trainer, now) == 0)
        end_life(trainer);
}

// For the one call that runs it. INVALID: another thread does, or it is a callback of this one that asks.
static hr_status enter(hr_trainer *trainer, hr_error *err)
{
    // Acquire, with the release of leave: what the last call wrote is seen.
    if (atomic_exchange_explicit(&trainer->waited_for, true, memory_order_acquire))
        return HR_FAIL(err, HR_INVALID,
                       "%s is waited for already, by another thread or by the call that this "
                       "callback is of: only cancelling is possible meanwhile",
                       trainer->options.name);
    return HR_OK;
}

static void leave(hr_trainer *trainer)
{
    atomic_store_explicit(&trainer->waited_for, false, memory_order_release);
}

static hr_status enter_all(hr_trainer *const *trainers, int32_t count, hr_runtime **out,
                           hr_error *err)
{
    hr_status status = HR_OK;
    int32_t entered = 0;
    *out = NULL;
    for (; entered < count && status == HR_OK; entered++) {
        hr_trainer *trainer = trainers[entered];
        if (!trainer)
            continue;
        if (hr__runtime_is_foreign(trainer->runtime))
            status = hr__runtime_check(trainer->runtime, err);
        else if (*out && trainer->runtime != *out)
            status = HR_FAIL(err, HR_INVALID,
                             "the trainers are of several runtimes: wait for "
                             "those of each one by themselves");
        else
            status = enter(trainer, err);
        if (status != HR_OK)
            break;
        *out = trainer->runtime;
    }
    for (int32_t i = 0; i < entered && status != HR_OK; i++)
        if (trainers[i])
            leave(trainers[i]);
    return status == HR_OK && !*out ? HR_END : status;
}

static hr_status wait_inside(hr_runtime *runtime, hr_trainer *const *trainers, int32_t count,
                             double timeout_s, int32_t *ended_out, hr_error *err)
{
    uint64_t began = hr__now_ns();
    uint64_t timeout_ns =
        timeout_s < 0 || timeout_s > 1e9 ? UINT64_MAX : (uint64_t)(timeout_s * 1e9);
    for (;;) {
        uint32_t seen = hr__runtime_bell(runtime);
        int32_t first = count;
        for (int32_t i = 0; i < count; i++) {
            if (trainers[i] && !trainers[i]->ended)
                step(trainers[i]);
            if (trainers[i] && trainers[i]->ended)
                first = HR_MIN(first, i);
        }
        if (first < count) {
            *ended_out = first;
            return HR_OK;
        }
        uint64_t waited = hr__now_ns() - began;
        if (waited >= timeout_ns)
            return HR_FAIL(err, HR_TIMEOUT, "no trainer ended within %.3g s", timeout_s);
        hr__runtime_await_bell(runtime, seen, HR_MIN(WAIT_NS, timeout_ns - waited));
    }
}

hr_status hr_trainers_wait(hr_trainer *const *trainers, int32_t count, double timeout_s,
                           int32_t *ended_out, hr_error *err)
{
    hr_runtime *runtime = NULL;
    HR_TRY(enter_all(trainers, count, &runtime, err));
    hr_status status = wait_inside(runtime, trainers, count, timeout_s, ended_out, err);
    for (int32_t i = 0; i < count; i++)
        if (trainers[i])
            leave(trainers[i]);
    return status;
}

bool hr_trainer_has_ended(const hr_trainer *trainer)
{
    return trainer->ended;
}

int64_t hr_trainer_rows(const hr_trainer *trainer)
{
    return hr__passes_rows(trainer);
}

void hr_trainer_cancel(hr_trainer *trainer)
{
    // Relaxed: the ring publishes it.
    atomic_store_explicit(&trainer->cancel_asked, true, memory_order_relaxed);
    hr__runtime_ring(trainer->runtime);
}

hr_status hr_trainer_finish(hr_trainer **trainer_inout, hr_trainer_result **out, hr_error *err)
{
    hr_trainer *trainer = trainer_inout ? *trainer_inout : NULL;
    hr_error cancelled = HR_ERROR_INIT;
    if (!trainer)
        return HR_OK;
    if (hr__runtime_is_foreign(trainer->runtime)) {
        *trainer_inout = NULL;
        return hr__runtime_check(trainer->runtime, err); // our parent's
    }
    HR_TRY(enter(trainer, err));
    *trainer_inout = NULL;
    hr_status status = HR_FAIL(&cancelled, HR_CANCELLED, "%s was cancelled", trainer->options.name);
    note_status(trainer, trainer->ended ? HR_OK : status, &cancelled);
    trainer->options.on_report = NULL; // no callback from here
    trainer->options.on_line = NULL;
    trainer->options.on_checkpoint = NULL;
    while (!trainer->ended) {
        uint32_t seen = hr__runtime_bell(trainer->runtime);
        for (int64_t i = 0; i < trainer->worker_count; i++)
            hr__worker_kill(&trainer->workers[i]);
        step(trainer);
        if (!trainer->ended)
            hr__runtime_await_bell(trainer->runtime, seen, WAIT_NS);
    }
    status = trainer->status;
    if (status != HR_OK)
        hr__error_copy(err, &trainer->error);
    else if (!trainer->result)
        status =
            HR_FAIL(err, HR_NOMEM, "out of memory for the result of %s", trainer->options.name);
    *out = trainer->result;
    trainer->result = NULL;
    trainer_free(trainer);
    return status;
}

// Waits for slots that trainers of other threads hold.
static hr_status start_when_free(hr_runtime *runtime, const hr_trainer_options *options,
                                 hr_trainer **out, hr_error *err)
{
    for (;;) {
        uint32_t seen = hr__runtime_bell(runtime);
        hr_status status = hr_trainer_start(runtime, options, out, err);
        if (status != HR_AGAIN)
            return status;
        if (hr__slots_all_of_this_thread(runtime))
            return HR_FAIL(err, HR_LIMIT,
                           "trainers that this very thread runs hold the slots, and it cannot wait "
                           "for them here: start this one with hr_trainer_start, once one of them "
                           "ended");
        if (options && options->on_tick)
            HR_TRY(options->on_tick(options->context, err));
        hr__runtime_await_bell(runtime, seen, TICK_NS);
    }
}

hr_status hr_trainer_run(hr_runtime *runtime, const hr_trainer_options *options,
                         hr_trainer_result **out, hr_error *err)
{
    hr_trainer *trainer = NULL;
    int32_t ended;
    HR_TRY(start_when_free(runtime, options, &trainer, err));
    hr_status status = hr_trainers_wait(&trainer, 1, -1, &ended, err);
    hr_status run = hr_trainer_finish(&trainer, out, status == HR_OK ? err : NULL);
    return status != HR_OK ? status : run;
}
