// SPDX-License-Identifier: Apache-2.0
// Ours, as the limits and the peers are measured: a source through maps into batches, every byte summed as 64-bit
// words by one consumer in this process; the first pass apart, then steady ones. Prints a line of JSON.
//
//     stream_touch SOURCE [--batch-rows N] [--map TEXT]... [--threads N] [--passes N]
#include <headrace/headrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAPS_MAX   16
#define PASSES_MAX 100

typedef struct job {
    const char *source;
    const char *maps[MAPS_MAX];
    int map_count, passes;
    hr_runtime_options runtime;
    hr_stream_options stream;
} job;

typedef struct sums {
    double seconds;
    int64_t rows, bytes;
    uint64_t sum;
} sums;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int parse(int argc, char **argv, job *j)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (argv[i][0] != '-' && !j->source) {
            j->source = argv[i];
            continue;
        }
        if (!value)
            return 2;
        if (strcmp(argv[i], "--batch-rows") == 0)
            j->stream.batch_rows = strtoll(value, NULL, 10);
        else if (strcmp(argv[i], "--threads") == 0)
            j->runtime.threads = strtoll(value, NULL, 10);
        else if (strcmp(argv[i], "--passes") == 0)
            j->passes = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--map") == 0 && j->map_count < MAPS_MAX)
            j->maps[j->map_count++] = value;
        else
            return 2;
        i++;
    }
    return j->source && j->passes > 0 && j->passes < PASSES_MAX ? 0 : 2;
}

static hr_status open_feed(const job *j, hr_runtime *rt, hr_feed **out, hr_error *err)
{
    hr_dataset *dataset = NULL, *mapped = NULL;
    hr_stream *stream = NULL;
    hr_status status = hr_open_source(rt, j->source, NULL, &dataset, err);
    for (int i = 0; status == HR_OK && i < j->map_count; i++) {
        status = hr_dataset_map(dataset, j->maps[i], &mapped, err);
        hr_dataset_unref(&dataset);
        dataset = mapped;
        mapped = NULL;
    }
    if (status == HR_OK)
        status = hr_dataset_stream(dataset, &j->stream, &stream, err);
    if (status == HR_OK)
        status = hr_feed_open(&stream, NULL, out, err);
    hr_dataset_unref(&dataset);
    return status;
}

// A stream of its own for each pass: what one keeps of its epochs in memory is not reading.
static hr_status pass(const job *j, hr_runtime *rt, sums *out, hr_error *err)
{
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    double begin = now_s();
    *out = (sums){0};
    hr_status status = open_feed(j, rt, &feed, err);
    while (status == HR_OK && (status = hr_feed_next(feed, &batch, err)) == HR_OK) {
        out->rows += hr_batch_rows(batch);
        out->bytes += hr_batch_bytes(batch);
        out->sum += hr_batch_touch(batch);
        hr_batch_unref(&batch);
    }
    out->seconds = now_s() - begin;
    hr_feed_close(&feed);
    return status == HR_END ? HR_OK : status;
}

int main(int argc, char **argv)
{
    job j = {.passes = 5, .runtime = HR_RUNTIME_OPTIONS_INIT, .stream = HR_STREAM_OPTIONS_INIT};
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = NULL;
    sums first = {0}, s = {0};
    double seconds[PASSES_MAX];
    if (parse(argc, argv, &j) != 0) {
        fprintf(stderr, "usage: stream_touch SOURCE [--batch-rows N] [--map TEXT]... [--threads N] "
                        "[--passes N]\n");
        return 2;
    }
    hr_status status = hr_runtime_open(&j.runtime, &rt, &err);
    if (status == HR_OK)
        status = pass(&j, rt, &first, &err);
    for (int i = 0; status == HR_OK && i < j.passes; i++) {
        status = pass(&j, rt, &s, &err);
        seconds[i] = s.seconds;
    }
    hr_runtime_close(&rt);
    if (status != HR_OK) {
        fprintf(stderr, "stream_touch: %s\n", err.message);
        return 1;
    }
    qsort(seconds, (size_t)j.passes, sizeof *seconds, order);
    printf("{\"name\": \"headrace\", \"first_s\": %.6f, \"passes\": %d, \"min_s\": %.6f, "
           "\"median_s\": %.6f, \"max_s\": %.6f, "
           "\"rows\": %lld, \"mib\": %.1f, \"sum\": \"%016llx\"}\n",
           first.seconds, j.passes, seconds[0], seconds[j.passes / 2], seconds[j.passes - 1],
           (long long)s.rows, (double)s.bytes / 1048576, (unsigned long long)s.sum);
    return 0;
}
