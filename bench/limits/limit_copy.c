// SPDX-License-Identifier: Apache-2.0
// What the memory of this machine does: copy, read, write, double.
//
//     limit_copy [--mib 1024] [--passes 5] [--threads 2]
//
// One line of JSON for each, on one thread and on `--threads`. The payload is counted once.
#include "limit_common.h"

typedef struct copy_job {
    uint64_t *from, *to;
    size_t words;
} copy_job;

// The part of the words that a worker has.
static size_t part(const limit_worker *worker, size_t *count_out)
{
    const copy_job *job = worker->job;
    size_t each = job->words / (size_t)worker->count;
    *count_out = each;
    return each * (size_t)worker->index;
}

static void run_copy(limit_worker *worker)
{
    copy_job *job = worker->job;
    size_t count, at = part(worker, &count);
    memcpy(job->to + at, job->from + at, count * 8);
    __asm__ volatile("" : : "r"(job->to) : "memory");
}

static void run_read(limit_worker *worker)
{
    copy_job *job = worker->job;
    size_t count, at = part(worker, &count);
    worker->sum = limit_sum(job->from + at, count * 8);
}

static void run_write(limit_worker *worker)
{
    copy_job *job = worker->job;
    size_t count, at = part(worker, &count);
    memset(job->to + at, 3, count * 8);
    __asm__ volatile("" : : "r"(job->to) : "memory");
}

static void run_double(limit_worker *worker)
{
    copy_job *job = worker->job;
    size_t count, at = part(worker, &count);
    for (size_t i = at; i < at + count; i++)
        job->to[i] = job->from[i] * 2;
    __asm__ volatile("" : : "r"(job->to) : "memory");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(limit_worker *);
    } kinds[] = {
        {"copy", run_copy}, {"read", run_read}, {"write", run_write}, {"double", run_double}};
    copy_job job;
    int threads = limit_threads(argc, argv), passes = limit_passes(argc, argv);
    size_t bytes = limit_option(argc, argv, "--mib", 1024) << 20;
    job.words = bytes / 8;
    job.from = limit_warm(bytes);
    job.to = limit_warm(bytes);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        limit_report(kinds[i].name, kinds[i].run, &job, 1, passes, (double)bytes);
        if (threads > 1)
            limit_report(kinds[i].name, kinds[i].run, &job, threads, passes, (double)bytes);
    }
    return 0;
}
