// SPDX-License-Identifier: Apache-2.0
// What became of workers, of lives and of the run, in words.
#include "train/train_parts.h"

#include "base/os.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

hr_worker_end hr__worker_end_of(const hr_worker *worker)
{
    if (worker->finished)
        return worker->status == HR_OK ? HR_WORKER_DONE : HR_WORKER_FAILED;
    if (worker->idle)
        return HR_WORKER_IDLE;
    return worker->cancelled ? HR_WORKER_CANCELLED : HR_WORKER_DIED;
}

static void describe_death(const hr_worker *worker, char *out, size_t room)
{
    int signal_number = worker->exit_code - 128;
    if (signal_number == SIGKILL && worker->memory_kills > 0)
        snprintf(out, room,
                 "it was killed by signal 9, and the kernel killed %lld process%s for want of "
                 "memory meanwhile: give it more memory, or ask for smaller batches or fewer "
                 "workers",
                 (long long)worker->memory_kills, worker->memory_kills == 1 ? "" : "es");
    else if (signal_number == SIGKILL)
        snprintf(out, room,
                 "it was killed by signal 9 (SIGKILL): somebody ended it, or memory "
                 "was out (the system's log tells)");
    else if (signal_number > 0)
        snprintf(out, room, "it was killed by signal %d (%s)", signal_number,
                 strsignal(signal_number));
    else
        snprintf(out, room, "it exited with code %d before its loop was finished",
                 worker->exit_code);
}

// How a worker ended, other than well; NULL: well. May return `buffer`.
static const char *describe_end(const hr_worker *worker, char *buffer, size_t room)
{
    switch (hr__worker_end_of(worker)) {
    case HR_WORKER_FAILED:
        return worker->message ? worker->message : "its loop failed";
    case HR_WORKER_IDLE:
        return "it asked for nothing and reported nothing for worker_idle_s, and was ended";
    case HR_WORKER_CANCELLED:
        return "it was ended with the run";
    case HR_WORKER_DIED:
        describe_death(worker, buffer, room);
        return buffer;
    case HR_WORKER_DONE:
        break;
    }
    return NULL;
}

// Room for one more; NULL: none, and a life stays untold.
static hr_trainer_life *add_life(hr_trainer *trainer)
{
    hr_trainer_life *life = NULL;
    if (HR_VEC_RESERVE(&trainer->lives, 1, NULL) != HR_OK ||
        hr__alloc_zero(1, sizeof *life, &life, NULL) != HR_OK)
        return NULL;
    trainer->lives.items[trainer->lives.count++] = life;
    return life;
}

const char *hr__life_note(hr_trainer *trainer, const hr_worker *culprit)
{
    char words[512], reason[HR_ERROR_MESSAGE_BYTES];
    trainer->life_count++;
    hr_trainer_life *life = add_life(trainer);
    if (!life)
        return NULL;
    *life =
        (hr_trainer_life){.seconds = (double)(hr__now_ns() - trainer->life_started_ns) * 1e-9,
                          .from_checkpoint = trainer->checkpoint ? trainer->restored.number : -1,
                          .rank = culprit ? culprit->rank : -1,
                          .end = culprit ? hr__worker_end_of(culprit) : HR_WORKER_DONE};
    if (culprit)
        snprintf(reason, sizeof reason, "worker %lld: %s", (long long)culprit->rank,
                 describe_end(culprit, words, sizeof words));
    else if (trainer->status != HR_OK) {
        life->end = HR_WORKER_CANCELLED;
        snprintf(reason, sizeof reason, "%s", trainer->error.message);
    } else {
        return NULL;
    }
    if (hr__strdup(reason, &life->reason, NULL) != HR_OK)
        life->reason = NULL;
    return life->reason;
}

void hr__lives_free(hr_trainer_life **lives, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        hr__free(lives[i]->reason);
        hr__free(lives[i]);
    }
    hr__free(lives);
}

// --- the run ---

static hr_status judge_culprit(const hr_trainer *trainer, const hr_worker *culprit, hr_error *err)
{
    char words[512];
    const char *text = describe_end(culprit, words, sizeof words);
    long long rank = (long long)culprit->rank, lives = (long long)trainer->life_count;
    hr_status status = culprit->finished ? culprit->status : culprit->idle ? HR_TIMEOUT : HR_IO;
    if (lives > 1)
        return HR_FAIL(err, status, "worker %lld, after %lld restart%s: %s", rank, lives - 1,
                       lives == 2 ? "" : "s", text);
    return HR_FAIL(err, status, "worker %lld: %s", rank, text);
}

hr_status hr__trainer_judge(hr_trainer *trainer, hr_error *err)
{
    int64_t died = 0;
    const hr_worker *culprit = hr__life_culprit(trainer), *first_dead = NULL;
    if (culprit)
        return judge_culprit(trainer, culprit, err);
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        died += hr__worker_died(&trainer->workers[i]);
        if (hr__worker_died(&trainer->workers[i]) && !first_dead)
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
        (long long)first_dead->rank, first_dead->exit_code,
        trainer->options.argv ? trainer->options.argv[0] : "this program");
}

static hr_status sum_up_worker(hr_worker *worker, hr_trainer_result *result)
{
    char words[512];
    hr_worker_result *to = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *to, &to, NULL));
    *to = (hr_worker_result){.rank = worker->rank,
                             .end = hr__worker_end_of(worker),
                             .exit_code = worker->exit_code,
                             .batches = worker->batches,
                             .rows = worker->rows,
                             .undelivered_rows = worker->undelivered_rows,
                             .details = worker->details,
                             .details_bytes = worker->details_bytes};
    worker->details = NULL; // the result's now
    if (worker->ring)
        to->reports_replaced = (int64_t)hr__report_ring_replaced(worker->ring);
    const char *text = describe_end(worker, words, sizeof words);
    if (text && hr__strdup(text, &to->message, NULL) != HR_OK)
        to->message = NULL;
    result->workers[result->worker_count++] = to;
    return HR_OK;
}

void hr__trainer_sum_up(hr_trainer *trainer)
{
    hr_trainer_result *result = NULL;
    size_t workers = (size_t)HR_MAX(trainer->worker_count, (int64_t)1);
    if (hr__alloc_zero(1, sizeof *result, &result, NULL) != HR_OK)
        return;
    hr_status status = hr__alloc_zero(workers, sizeof *result->workers, &result->workers, NULL);
    if (status == HR_OK)
        status = hr__alloc(sizeof *result->stream, &result->stream, NULL);
    for (int64_t i = 0; i < trainer->worker_count && status == HR_OK; i++)
        status = sum_up_worker(&trainer->workers[i], result);
    if (status != HR_OK) {
        hr_trainer_result_free(&result);
        return;
    }
    hr__passes_close(trainer);
    *result->stream = trainer->stats;
    hr__sampler_close(&trainer->sampler, &result->peak_bytes, &result->peak_anonymous_bytes);
    result->seconds = (double)(hr__now_ns() - trainer->started_ns) * 1e-9;
    result->life_count = (int64_t)trainer->lives.count;
    result->lives = trainer->lives.items;
    trainer->lives.items = NULL;
    HR_VEC_FINISH(&trainer->lives);
    result->stalls = trainer->stalls;
    result->checkpoints = trainer->run.committed;
    if (hr__run_folder_last(&trainer->run, &result->last_checkpoint, NULL) != HR_OK)
        result->last_checkpoint = NULL;
    if (!result->last_checkpoint) { // the one it began from, if any
        result->last_checkpoint = trainer->checkpoint;
        trainer->checkpoint = NULL;
    }
    trainer->result = result;
}

void hr_trainer_result_free(hr_trainer_result **result_inout)
{
    hr_trainer_result *result = result_inout ? *result_inout : NULL;
    if (!result)
        return;
    *result_inout = NULL;
    for (int64_t i = 0; i < result->worker_count; i++) {
        hr__free(result->workers[i]->message);
        hr__free((void *)result->workers[i]->details);
        hr__free(result->workers[i]);
    }
    hr__lives_free(result->lives, result->life_count);
    hr__free(result->workers);
    hr__free(result->stream);
    hr__free(result->last_checkpoint);
    hr__free(result);
}
