// SPDX-License-Identifier: Apache-2.0
// Worker processes: started with a connection and a ring for reports, watched, ended.
//
// A worker is over when its process was reaped and its connection reported gone: what it sent last is in the inbox
// by then. It dies with the thread that started it (PDEATHSIG), so that nothing outlives a trainer that was killed.
#include "train/train_parts.h"

#include "base/os.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define LINGER_NS (30ull * 1000 * 1000 * 1000) // after FINISH: time for the program's own clean-up
#define DRAIN_NS  (1ull * 1000 * 1000 * 1000)  // after its end: for the connection to be seen gone

static hr_status spawn_worker(hr_trainer *trainer, hr_worker *worker, int attach_fd, int report_fd,
                              hr_error *err)
{
    char rows[6][64], checkpoint[64 + HR_WIRE_PATH_MAX];
    char self[4096];
    const char *env[HR_COUNTOF(rows) + 2] = {NULL};
    const int fds[] = {attach_fd, report_fd, trainer->payload_fd};
    snprintf(rows[0], sizeof rows[0], "HEADRACE_ATTACH_FD=%d", attach_fd);
    snprintf(rows[1], sizeof rows[1], "HEADRACE_REPORT_FD=%d", report_fd);
    snprintf(rows[2], sizeof rows[2], "HEADRACE_PAYLOAD_FD=%d", trainer->payload_fd);
    snprintf(rows[3], sizeof rows[3], "HEADRACE_RANK=%lld", (long long)worker->rank);
    snprintf(rows[4], sizeof rows[4], "HEADRACE_WORLD_SIZE=%lld", (long long)trainer->worker_count);
    snprintf(rows[5], sizeof rows[5], "HEADRACE_WORKER_OF=%ld", (long)getpid());
    for (size_t i = 0; i < HR_COUNTOF(rows); i++)
        env[i] = rows[i];
    int bytes = snprintf(checkpoint, sizeof checkpoint, "HEADRACE_CHECKPOINT=%s",
                         trainer->checkpoint ? trainer->checkpoint : "");
    if (bytes < 0 || (size_t)bytes >= sizeof checkpoint)
        return HR_FAIL(err, HR_INVALID, "the path of the checkpoint is longer than %u bytes",
                       HR_WIRE_PATH_MAX);
    env[HR_COUNTOF(rows)] = checkpoint;
    const char *again[] = {self, NULL};
    if (!trainer->options.argv)
        HR_TRY(hr__self_path(self, sizeof self, err));
    const hr_spawn spawn = {.argv = trainer->options.argv ? trainer->options.argv : again,
                            .env = env,
                            .keep_fds = fds,
                            .keep_fd_count = (int)HR_COUNTOF(fds),
                            .die_with_parent = true};
    return hr__spawn(&spawn, &worker->pid, err);
}

hr_status hr__worker_start(hr_trainer *trainer, hr_worker *worker, hr_error *err)
{
    hr_status status;
    int attach_fd = -1, report_fd = -1;
    worker->owner.message = hr__inbox_message;
    worker->owner.gone = hr__inbox_gone;
    worker->trainer = trainer;
    HR_GO(hr__report_ring_make(&worker->ring, &report_fd, err));
    HR_GO(hr__service_pair(trainer->service, &worker->owner, &worker->peer, &attach_fd, err));
    HR_GO(spawn_worker(trainer, worker, attach_fd, report_fd, err));
    hr__sampler_watch(trainer->sampler, worker->pid);
    worker->active_ns = hr__now_ns();
out:
    hr__close_fd(&attach_fd); // the child has its own
    hr__close_fd(&report_fd);
    if (status != HR_OK)
        hr__error_context(err, "worker %lld", (long long)worker->rank);
    return status;
}

void hr__worker_kill(hr_worker *worker)
{
    if (worker->pid > 0 && !worker->reaped)
        (void)kill(worker->pid, SIGKILL);
}

static void reap(hr_worker *worker, bool wait, uint64_t now_ns)
{
    bool over = false;
    int code = 0;
    if (worker->reaped || worker->pid <= 0)
        return;
    // A process that cannot be waited for (somebody else reaped it) is over too, with no code to tell.
    if (hr__reap(worker->pid, wait, &over, &code, NULL) != HR_OK) {
        over = true;
        code = -1;
    }
    if (over) {
        worker->reaped = true;
        worker->reaped_ns = now_ns;
        worker->exit_code = code;
        worker->memory_kills = (int64_t)(hr__memory_kills() - worker->trainer->memory_kills);
    }
}

bool hr__worker_watch(hr_worker *worker, uint64_t now_ns)
{
    reap(worker, false, now_ns);
    if (worker->reaped)
        return worker->peer_gone || now_ns - worker->reaped_ns > DRAIN_NS;
    if (worker->finished && now_ns - worker->finished_ns > LINGER_NS)
        hr__worker_kill(worker);
    return false;
}

void hr__worker_finish(hr_worker *worker)
{
    hr__worker_kill(worker);
    reap(worker, true, hr__now_ns());
    if (worker->peer)
        hr__peer_close(worker->trainer->service, worker->peer);
    worker->peer = NULL;
    hr__report_ring_close(&worker->ring);
    hr__free(worker->message);
    hr__free(worker->details);
    hr__free(worker->restored);
    hr__free(worker->staged);
    hr__free(worker->staged_metrics);
    hr__free(worker->waiting);
    worker->message = worker->staged = worker->staged_metrics = NULL;
    worker->details = NULL;
    worker->waiting = NULL;
    worker->restored = NULL;
}
