// SPDX-License-Identifier: Apache-2.0
// A global shuffle's least: every row of a table copied once, in random order, into batches.
//
//     limit_gather [--mib 1172] [--row-bytes 2048] [--buffer-kib 4096] [--buffers 16] [--passes 5] [--threads 2]
//
// The order is there already: nothing is hashed or sorted. Each thread fills buffers of its own in turn, as many as a
// prefetch holds, all warm. Ways: a plain copy; rows asked for early; and stores past the cache with rows asked for
// early. One line of JSON for each, on one thread and on `--threads`.
#include "kernel/kernel.h"
#include "limit_common.h"

#define AHEAD 8

typedef struct gather_job {
    const uint8_t *table;
    uint8_t *buffers;
    uint32_t *order;
    size_t rows, row_bytes, buffer_bytes, buffers_each;
} gather_job;

static void shuffle(uint32_t *order, size_t rows)
{
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < rows; i++)
        order[i] = (uint32_t)i;
    for (size_t i = rows; i-- > 1;) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        size_t j = state % (i + 1);
        uint32_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}

typedef void (*copy_row)(void *to, const void *from, size_t bytes);

static void copy_plain(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

static void copy_past(void *to, const void *from, size_t bytes)
{
    hr__kernels()->fill.stream(to, from, bytes);
}

static inline void gather(limit_worker *worker, copy_row copy, size_t ahead)
{
    const gather_job *job = worker->job;
    size_t each = job->rows / (size_t)worker->count, first = each * (size_t)worker->index;
    size_t batch_rows = job->buffer_bytes / job->row_bytes;
    uint8_t *mine = job->buffers + job->buffer_bytes * job->buffers_each * (size_t)worker->index;
    uint64_t sum = 0;
    for (size_t i = 0; i < each; i++) {
        size_t batch = i / batch_rows;
        uint8_t *to =
            mine + batch % job->buffers_each * job->buffer_bytes + i % batch_rows * job->row_bytes;
        if (ahead && i + ahead < each) {
            const uint8_t *next = job->table + job->order[first + i + ahead] * job->row_bytes;
            for (size_t at = 0; at < job->row_bytes && at < 256; at += 64)
                __builtin_prefetch(next + at);
        }
        copy(to, job->table + job->order[first + i] * job->row_bytes, job->row_bytes);
        sum += job->order[first + i];
    }
    __asm__ volatile("" : : "r"(mine) : "memory");
    worker->sum = sum;
}

static void run_plain(limit_worker *worker)
{
    gather(worker, copy_plain, 0);
}
static void run_early(limit_worker *worker)
{
    gather(worker, copy_plain, AHEAD);
}
static void run_early_two(limit_worker *worker)
{
    gather(worker, copy_plain, 2);
}
static void run_past(limit_worker *worker)
{
    gather(worker, copy_past, 2);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(limit_worker *);
    } ways[] = {{"gather", run_plain},
                {"gather, 8 rows early", run_early},
                {"gather, 2 rows early", run_early_two},
                {"gather, 2 rows early, past the cache", run_past}};
    int threads = limit_threads(argc, argv), passes = limit_passes(argc, argv);
    gather_job job = {.row_bytes = limit_option(argc, argv, "--row-bytes", 2048),
                      .buffer_bytes = limit_option(argc, argv, "--buffer-kib", 4096) << 10,
                      .buffers_each = limit_option(argc, argv, "--buffers", 16) / (size_t)threads};
    if (job.row_bytes == 0 || job.buffer_bytes < job.row_bytes || job.buffers_each == 0)
        return 2;
    job.rows = (limit_option(argc, argv, "--mib", 1172) << 20) / job.row_bytes;
    job.table = limit_warm(job.rows * job.row_bytes);
    job.buffers = limit_warm(job.buffer_bytes * job.buffers_each * (size_t)threads);
    job.order = limit_warm(job.rows * sizeof *job.order);
    shuffle(job.order, job.rows);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        double bytes = (double)job.rows * (double)job.row_bytes;
        limit_report(ways[i].name, ways[i].run, &job, 1, passes, bytes);
        if (threads > 1)
            limit_report(ways[i].name, ways[i].run, &job, threads, passes, bytes);
    }
    return 0;
}
