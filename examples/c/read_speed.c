// SPDX-License-Identifier: Apache-2.0
// How fast a source can be read in batches, with every value looked at: two epochs, then where the time went.
//
//     read_speed SOURCE [BATCH_ROWS]        SOURCE: a path, a glob, a folder, or range_tensor:1000x80x80x4
#include <headrace/headrace.h>
#include <stdio.h>
#include <stdlib.h>

// One epoch: sums of all bytes, so that none was only promised.
static hr_status read_epoch(hr_feed *feed, hr_error *err)
{
    hr_batch *batch = NULL;
    long long rows = 0, bytes = 0;
    unsigned long long sum = 0;
    hr_status status;
    while ((status = hr_feed_next(feed, &batch, err)) == HR_OK) {
        rows += hr_batch_rows(batch);
        bytes += hr_batch_bytes(batch);
        sum += hr_batch_touch(batch);
        hr_batch_unref(&batch);
    }
    if (status != HR_END)
        return status;
    printf("%lld rows, %lld bytes, sum %llx\n", rows, bytes, sum);
    return hr_feed_next_epoch(feed, err);
}

int main(int argc, char **argv)
{
    hr_stream_options order = HR_STREAM_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = NULL;
    hr_dataset *dataset = NULL;
    hr_stream *stream = NULL;
    hr_feed *feed = NULL;
    hr_feed_stats stats;
    hr_status status;
    order.batch_rows = argc > 2 ? strtoll(argv[2], NULL, 10) : 1024;
    order.epochs = 2;
    if ((status = hr_runtime_open(NULL, &rt, &err)) == HR_OK &&
        (status = hr_open_source(rt, argc > 1 ? argv[1] : "trips/", NULL, &dataset, &err)) ==
            HR_OK &&
        (status = hr_dataset_stream(dataset, &order, &stream, &err)) == HR_OK)
        status = hr_feed_open(&stream, NULL, &feed, &err); // takes stream
    while (status == HR_OK)
        status = read_epoch(feed, &err);
    if (status == HR_END) {
        hr_feed_get_stats(feed, &stats, sizeof stats);
        printf("%lld batches; waited %.3f s for them, %.3f s for the first; own time %.3f s\n",
               (long long)stats.batches, stats.wait_s, stats.first_batch_s, stats.own_s);
    } else {
        fprintf(stderr, "headrace: %s\n", err.message);
    }
    hr_feed_close(&feed), hr_stream_close(&stream), hr_dataset_unref(&dataset),
        hr_runtime_close(&rt);
    return status == HR_END ? 0 : 1;
}
