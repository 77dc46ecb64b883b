// SPDX-License-Identifier: Apache-2.0
// One life of a trainer: all workers started, watched until the last is over, and nothing of them left.
//
// A worker that dies or sleeps does not end a life unless the options say so: its rank is given up, the others go on,
// and the result tells. A worker whose loop failed does: the others get a moment to end by themselves (they are
// likely to fail of the same), then they are ended.
#include "train/train_parts.h"

#include "base/os.h"
#include <string.h>

#define GRACE_NS (2000ull * 1000 * 1000) // for the others, after one failed

// What this life begins from: the last checkpoint of this trainer, else the one that it was given.
static hr_status choose_checkpoint(hr_trainer *trainer, hr_error *err)
{
    char *path = NULL;
    HR_TRY(hr__run_folder_last(&trainer->run, &path, err));
    if (!path && trainer->checkpoint)
        return HR_OK; // read already
    if (!path && trainer->options.resume_from)
        HR_TRY(hr__checkpoint_find(trainer->options.resume_from, &path, err));
    if (!path)
        return HR_OK;
    hr__free(trainer->checkpoint);
    hr__checkpoint_finish(&trainer->restored);
    trainer->checkpoint = path;
    HR_TRY(hr__checkpoint_read(path, NULL, &trainer->restored, err));
    size_t bytes = trainer->run.path ? strlen(trainer->run.path) : 0;
    bool ours = bytes > 0 && strncmp(path, trainer->run.path, bytes) == 0 && path[bytes] == '/' &&
                !strchr(path + bytes + 1, '/');
    trainer->run.begun_from = ours ? trainer->restored.number : -1;
    return HR_OK;
}

hr_status hr__life_start(hr_trainer *trainer, hr_error *err)
{
    size_t datasets = (size_t)trainer->options.dataset_count + 1; // none is no reason to fail
    hr__run_folder_clean(&trainer->run);
    HR_TRY(choose_checkpoint(trainer, err));
    trainer->life_started_ns = trainer->moved_ns = hr__now_ns();
    trainer->stall_told = false;
    trainer->memory_kills = hr__memory_kills();
    HR_TRY(hr__alloc_zero((size_t)trainer->options.workers, sizeof *trainer->workers,
                          &trainer->workers, err));
    trainer->worker_count = trainer->options.workers;
    for (int64_t rank = 0; rank < trainer->worker_count; rank++)
        trainer->workers[rank].rank = rank;
    for (int64_t rank = 0; rank < trainer->worker_count; rank++)
        HR_TRY(hr__alloc_zero(datasets, sizeof(bool), &trainer->workers[rank].restored, err));
    for (int64_t rank = 0; rank < trainer->worker_count; rank++)
        HR_TRY(hr__worker_start(trainer, &trainer->workers[rank], err));
    return HR_OK;
}

void hr__life_stop(hr_trainer *trainer)
{
    for (int64_t i = 0; i < trainer->worker_count; i++)
        hr__worker_kill(&trainer->workers[i]); // all at once, then one by one
    for (int64_t i = 0; i < trainer->worker_count; i++)
        hr__worker_finish(&trainer->workers[i]); // after it no callback comes any more
    hr__passes_close(trainer);
    hr__inbox_free(trainer);
    hr__free(trainer->workers);
    trainer->workers = NULL;
    trainer->worker_count = 0;
}

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

bool hr__worker_failed(const hr_worker *worker)
{
    return worker->finished && worker->status != HR_OK;
}

// Died: its process is over and it never said that its loop was.
bool hr__worker_died(const hr_worker *worker)
{
    return worker->ended && !worker->finished;
}

bool hr__deaths_count(const hr_trainer *trainer)
{
    return trainer->options.fail_fast || trainer->options.max_failures != 0;
}

static uint64_t end_ns(const hr_worker *worker)
{
    return worker->finished ? worker->finished_ns : worker->ended_ns;
}

const hr_worker *hr__life_culprit(const hr_trainer *trainer)
{
    const hr_worker *first = NULL;
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        const hr_worker *worker = &trainer->workers[i];
        bool guilty = hr__worker_failed(worker) ||
                      (hr__worker_died(worker) && !worker->cancelled && hr__deaths_count(trainer));
        if (guilty && (!first || end_ns(worker) < end_ns(first)))
            first = worker;
    }
    return first;
}

void hr__life_cancel(hr_trainer *trainer)
{
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        hr_worker *worker = &trainer->workers[i];
        if (worker->ended || worker->finished || worker->reaped)
            continue;
        worker->cancelled = true;
        hr__worker_kill(worker);
    }
}

int64_t hr__life_watch(hr_trainer *trainer, uint64_t now)
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
        worker->ended_ns = now;
        hr__passes_leave(trainer, worker, !worker->finished);
    }
    hr__passes_retire(trainer);
    hr__inbox_retry(trainer);
    const hr_worker *culprit = running > 0 ? hr__life_culprit(trainer) : NULL;
    if (culprit && (!culprit->finished || now - culprit->finished_ns > GRACE_NS))
        hr__life_cancel(trainer);
    return running;
}
