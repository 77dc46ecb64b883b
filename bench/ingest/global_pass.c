// SPDX-License-Identifier: Apache-2.0
// A global shuffle, measured: rows of a range, kept in memory or made as they are read, in a random order into
// batches.
//
//     global_pass [--rows 600000] [--words 256] [--batch-rows 1024] [--budget-mib 4096] [--kept 1] [--passes 5]
//                 [--threads 2]
//
// Kept, it is to be compared with limit_gather of as many bytes a row; with --kept 0 and a small budget with writing
// and reading the data once (raw_write, store_spill_bench). Batches are given back unread, as limit_gather does not
// read its own. Prints a line of JSON.
#include <headrace/headrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PASSES_MAX 100

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

static int64_t option(int argc, char **argv, const char *name, int64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoll(argv[i + 1], NULL, 10);
    return otherwise;
}

static hr_status open_data(hr_runtime *rt, int64_t rows, int64_t words, bool kept, hr_dataset **out,
                           hr_error *err)
{
    hr_dataset *made = NULL;
    hr_status status = hr_range_tensor(rt, rows, &words, 1, 0, &made, err);
    if (status != HR_OK || !kept) {
        *out = made;
        return status;
    }
    status = hr_dataset_materialize(made, out, err);
    hr_dataset_unref(&made);
    return status;
}

static hr_status pass(hr_feed *feed, int64_t *rows, double *seconds, hr_error *err)
{
    hr_batch *batch = NULL;
    hr_status status;
    double begin = now_s();
    *rows = 0;
    while ((status = hr_feed_next(feed, &batch, err)) == HR_OK) {
        *rows += hr_batch_rows(batch);
        hr_batch_unref(&batch);
    }
    *seconds = now_s() - begin;
    return status == HR_END ? HR_OK : status;
}

int main(int argc, char **argv)
{
    int64_t rows = option(argc, argv, "--rows", 600000), words = option(argc, argv, "--words", 256);
    int64_t passes = option(argc, argv, "--passes", 5), seen = 0;
    hr_runtime_options runtime = HR_RUNTIME_OPTIONS_INIT;
    hr_stream_options stream_options = HR_STREAM_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = NULL;
    hr_dataset *data = NULL;
    hr_stream *stream = NULL;
    hr_feed *feed = NULL;
    hr_memory_stats memory = {0};
    double seconds[PASSES_MAX], first = 0;
    if (passes < 1 || passes >= PASSES_MAX)
        return 2;
    runtime.threads = option(argc, argv, "--threads", 2);
    runtime.memory_bytes = option(argc, argv, "--budget-mib", 4096) << 20;
    stream_options.batch_rows = option(argc, argv, "--batch-rows", 1024);
    stream_options.epochs = passes + 1;
    stream_options.shuffle = HR_SHUFFLE_GLOBAL;
    hr_status status = hr_runtime_open(&runtime, &rt, &err);
    if (status == HR_OK)
        status = open_data(rt, rows, words, option(argc, argv, "--kept", 1) != 0, &data, &err);
    if (status == HR_OK)
        status = hr_dataset_stream(data, &stream_options, &stream, &err);
    if (status == HR_OK)
        status = hr_feed_open(&stream, NULL, &feed, &err);
    if (status == HR_OK)
        status = pass(feed, &seen, &first, &err);
    for (int64_t i = 0; status == HR_OK && i < passes; i++) {
        status = hr_feed_next_epoch(feed, &err);
        if (status == HR_OK)
            status = pass(feed, &seen, &seconds[i], &err);
    }
    if (rt)
        hr_runtime_memory(rt, &memory, sizeof memory);
    hr_feed_close(&feed);
    hr_dataset_unref(&data);
    hr_runtime_close(&rt);
    if (status != HR_OK) {
        fprintf(stderr, "global_pass: %s\n", err.message);
        return 1;
    }
    qsort(seconds, (size_t)passes, sizeof *seconds, order);
    double bytes = (double)rows * (double)words * 8;
    printf(
        "{\"name\": \"headrace global\", \"first_s\": %.6f, \"passes\": %lld, \"min_s\": %.6f, "
        "\"median_s\": %.6f, \"max_s\": %.6f, \"rows\": %lld, \"mib\": %.1f, \"gib_per_s\": %.2f, "
        "\"spilled_mib\": %.1f}\n",
        first, (long long)passes, seconds[0], seconds[passes / 2], seconds[passes - 1],
        (long long)seen, bytes / 1048576, bytes / 1073741824 / seconds[0],
        (double)memory.spilled_bytes / 1048576);
    return 0;
}
