// SPDX-License-Identifier: Apache-2.0
// Checkpoints, the trainer's side: who may fill a folder, and its becoming the newest.
//
// The worker copies and makes durable, in its own time; the trainer's thread names, renames and answers. Of all ranks
// that report one the lowest is kept: the others are told so at once and go on. A life that is about to be ended, as a
// worker of it failed, commits no more: its others run on for a moment, past rows that the failed one was not
// given, and the next life would begin behind those.
#include "train/train_parts.h"

#include <string.h>

static bool is_lowest(const hr_trainer *trainer, const hr_worker *worker)
{
    for (int64_t rank = 0; rank < worker->rank; rank++)
        if (!trainer->workers[rank].ended && !trainer->workers[rank].finished)
            return false;
    return true;
}

static void forget_staged(hr_worker *worker)
{
    hr__free(worker->staged);
    hr__free(worker->staged_metrics);
    worker->staged = NULL;
    worker->staged_metrics = NULL;
}

hr_status hr__commit_stage(hr_trainer *trainer, hr_worker *worker, hr_cursor *c, hr_error *err)
{
    char metrics[HR_REPORT_BYTES_MAX + 1];
    hr_error local = HR_ERROR_INIT;
    uint32_t request = hr__cursor_u32(c);
    hr_status status = HR_OK;
    if (!hr__wire_text(c, metrics, sizeof metrics))
        status = HR_FAIL(&local, HR_INVALID, "a checkpoint without metrics: give {} at least");
    else
        HR_TRY(hr__call_report(trainer, worker->rank, metrics, err));
    forget_staged(worker);
    if (status == HR_OK && (!is_lowest(trainer, worker) || hr__life_culprit(trainer)))
        status = HR_END;
    if (status == HR_OK)
        status = hr__run_folder_stage(&trainer->run, &worker->staged, &local);
    if (status == HR_OK)
        status = hr__strdup(metrics, &worker->staged_metrics, &local);
    if (status != HR_OK)
        forget_staged(worker);
    hr__worker_answer(worker, HR_WIRE_STAGE, request, status,
                      status == HR_OK    ? worker->staged
                      : status == HR_END ? "-"
                                         : local.message);
    return HR_OK;
}

void hr__commit_take(hr_trainer *trainer, hr_worker *worker, hr_cursor *c)
{
    hr_error err = HR_ERROR_INIT;
    char *path = NULL, *doomed = NULL;
    uint32_t request = hr__cursor_u32(c), good = hr__cursor_u32(c);
    hr_status status;
    if (!worker->staged || !good || c->failed) {
        forget_staged(worker);
        hr__worker_answer(worker, HR_WIRE_COMMITTED, request, HR_INVALID, "nothing was staged");
        return;
    }
    status =
        hr__run_folder_commit(&trainer->run, worker->staged, worker->staged_metrics, &path, &err);
    if (status == HR_OK)
        doomed = hr__run_folder_retire(&trainer->run);
    hr__worker_answer(worker, HR_WIRE_COMMITTED, request, status,
                      status != HR_OK ? err.message
                      : doomed        ? doomed
                                      : "-");
    if (status == HR_OK && trainer->options.on_checkpoint)
        trainer->options.on_checkpoint(trainer->options.context, worker->rank,
                                       worker->staged_metrics, path);
    forget_staged(worker);
    hr__free(path);
    hr__free(doomed);
}
