// SPDX-License-Identifier: Apache-2.0
// The memory sampler: every 20 ms the anonymous memory of all processes of a job and the arena's pages, so that the
// peak that a report gives is the machine's and not only the ledger's. Shared pages are counted once: they are in the
// arena's figure.
#include "base/os.h"
#include "base/vec.h"
#include "exec/exec_internal.h"
#include <unistd.h>

#define SAMPLE_NS (20ull * 1000 * 1000)

struct hr_memory_sampler {
    hr_runtime *runtime;
    hr_thread thread;
    hr_mutex mutex;
    hr_cond changed;
    bool stopping;                             // guards: mutex
    HR_VEC(pid_t) pids;                        // guards: mutex
    uint64_t peak_bytes, peak_anonymous_bytes; // guards: mutex
};

static void sample(hr_memory_sampler *s)
{
    hr_store_stats stats;
    uint64_t anonymous = 0;
    for (size_t i = 0; i < s->pids.count; i++)
        anonymous += hr__anonymous_bytes(s->pids.items[i]);
    hr__store_stats(s->runtime->store, &stats);
    s->peak_anonymous_bytes = HR_MAX(s->peak_anonymous_bytes, anonymous);
    s->peak_bytes = HR_MAX(s->peak_bytes, anonymous + stats.arena_charged_bytes);
}

static void sampler_run(void *arg)
{
    hr_memory_sampler *s = arg;
    hr__mutex_lock(&s->mutex);
    while (!s->stopping) {
        sample(s);
        (void)hr__cond_wait_ns(&s->changed, &s->mutex, SAMPLE_NS);
    }
    hr__mutex_unlock(&s->mutex);
}

hr_status hr__sampler_open(hr_runtime *runtime, hr_memory_sampler **out, hr_error *err)
{
    hr_memory_sampler *s = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *s, &s, err));
    s->runtime = runtime;
    hr__mutex_init(&s->mutex);
    hr__cond_init(&s->changed);
    HR_GO(HR_VEC_PUSH(&s->pids, getpid(), err));
    HR_GO(hr__thread_start(&s->thread, "hr-memory", HR_THREAD_NORMAL, sampler_run, s, err));
    *out = s;
    return HR_OK;
out:
    hr__sampler_close(&s, NULL, NULL);
    return status;
}

void hr__sampler_watch(hr_memory_sampler *s, pid_t pid)
{
    hr__mutex_lock(&s->mutex);
    // Without memory for the number the process goes unwatched: a figure of the report, not its data.
    if (HR_VEC_PUSH(&s->pids, pid, NULL) != HR_OK)
        s->peak_bytes = HR_MAX(s->peak_bytes, 1);
    hr__mutex_unlock(&s->mutex);
}

void hr__sampler_close(hr_memory_sampler **sampler, uint64_t *peak_out,
                       uint64_t *peak_anonymous_out)
{
    hr_memory_sampler *s = *sampler;
    if (!s)
        return;
    hr__mutex_lock(&s->mutex);
    if (s->thread.started)
        sample(s);
    s->stopping = true;
    hr__cond_broadcast(&s->changed);
    hr__mutex_unlock(&s->mutex);
    hr__thread_join(&s->thread);
    if (peak_out)
        *peak_out = s->peak_bytes;
    if (peak_anonymous_out)
        *peak_anonymous_out = s->peak_anonymous_bytes;
    hr__cond_finish(&s->changed);
    hr__mutex_finish(&s->mutex);
    HR_VEC_FINISH(&s->pids);
    hr__free(s);
    *sampler = NULL;
}
