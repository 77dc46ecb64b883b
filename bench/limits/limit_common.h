// SPDX-License-Identifier: Apache-2.0
// What the limit programs share: a clock, threads that start together, passes, and one line of JSON.
//
// A limit is a bare loop that does the least a job can do, with memory that is warm. It is a bound to compare with, not
// a design: nothing is checked here, nothing is handed to anybody.
#ifndef HR_BENCH_LIMIT_COMMON_H
#define HR_BENCH_LIMIT_COMMON_H

#include "base/thread.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define LIMIT_THREADS_MAX 64
#define LIMIT_PASSES_MAX  1000

static inline double limit_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void limit_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

// Anonymous memory, written once so that its pages are there.
static inline void *limit_warm(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        limit_die("mmap");
    memset(memory, 1, bytes);
    return memory;
}

// The touch: the sum of every 64-bit word, the rest byte by byte.
static inline uint64_t limit_sum(const void *bytes, size_t count)
{
    const uint64_t *words = bytes;
    const uint8_t *tail = (const uint8_t *)bytes + count / 8 * 8;
    uint64_t sum = 0;
    for (size_t i = 0; i < count / 8; i++)
        sum += words[i];
    for (size_t i = 0; i < count % 8; i++)
        sum += tail[i];
    return sum;
}

// `--name value` as a number; 0 and more.
static inline uint64_t limit_option(int argc, char **argv, const char *name, uint64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoull(argv[i + 1], NULL, 10);
    return otherwise;
}

typedef struct limit_worker {
    void (*run)(struct limit_worker *worker);
    void *job;
    int index, count;
    uint64_t sum;
    hr_thread thread;
} limit_worker;

static inline void limit_enter(void *argument)
{
    limit_worker *worker = argument;
    worker->run(worker);
}

// Runs `run` on `threads` threads and returns the seconds until the last is done.
static inline double limit_pass(void (*run)(limit_worker *), void *job, int threads,
                                uint64_t *sum_out)
{
    limit_worker workers[LIMIT_THREADS_MAX];
    double begin = limit_now();
    for (int i = 0; i < threads; i++) {
        workers[i] = (limit_worker){.run = run, .job = job, .index = i, .count = threads};
        if (hr__thread_start(&workers[i].thread, "limit", HR_THREAD_NORMAL, limit_enter,
                             &workers[i], NULL) != HR_OK)
            limit_die("a thread");
    }
    *sum_out = 0;
    for (int i = 0; i < threads; i++) {
        hr__thread_join(&workers[i].thread);
        *sum_out += workers[i].sum;
    }
    return limit_now() - begin;
}

static inline int limit_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The first pass apart, then `steady` more; one JSON line. `bytes` is the payload of a pass.
static inline void limit_report(const char *name, void (*run)(limit_worker *), void *job,
                                int threads, int steady, double bytes)
{
    double seconds[LIMIT_PASSES_MAX];
    uint64_t sum, again;
    double first = limit_pass(run, job, threads, &sum);
    for (int i = 0; i < steady; i++) {
        seconds[i] = limit_pass(run, job, threads, &again);
        if (again != sum) {
            fprintf(stderr, "%s: pass %d has another sum\n", name, i + 1);
            exit(1);
        }
    }
    qsort(seconds, (size_t)steady, sizeof *seconds, limit_order);
    printf("{\"name\": \"%s\", \"threads\": %d, \"first_s\": %.6f, \"passes\": %d, \"min_s\": "
           "%.6f, \"median_s\": %.6f, \"max_s\": %.6f, \"mib\": %.1f, \"gib_per_s\": %.2f, "
           "\"sum\": \"%016llx\"}\n",
           name, threads, first, steady, seconds[0], seconds[steady / 2], seconds[steady - 1],
           bytes / 1048576, bytes / 1073741824 / seconds[0], (unsigned long long)sum);
    fflush(stdout);
}

static inline int limit_threads(int argc, char **argv)
{
    uint64_t threads = limit_option(argc, argv, "--threads", 2);
    return threads < 1 || threads > LIMIT_THREADS_MAX ? 2 : (int)threads;
}

static inline int limit_passes(int argc, char **argv)
{
    uint64_t passes = limit_option(argc, argv, "--passes", 5);
    return passes < 1 || passes > LIMIT_PASSES_MAX ? 5 : (int)passes;
}

#endif
