// SPDX-License-Identifier: Apache-2.0
#include <headrace/headrace.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const char *columns[] = {"fare", "distance", NULL};
    hr_read_options read = HR_READ_OPTIONS_INIT; // a field left alone means its default
    hr_stream_options order = HR_STREAM_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = NULL;
    hr_dataset *raw = NULL, *ready = NULL;
    hr_prep *scaler = NULL, *fitted = NULL;
    hr_stream *stream = NULL;
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    hr_status status;
    read.columns = columns;
    order.batch_rows = 1024;
    order.shuffle = HR_SHUFFLE_WINDOW;
    order.seed = 7;
    if ((status = hr_runtime_open(NULL, &rt, &err)) == HR_OK &&
        (status = hr_read_parquet(rt, argc > 1 ? argv[1] : "trips/", &read, &raw, &err)) == HR_OK &&
        (status = hr_prep_standard_scaler(columns, NULL, &scaler, &err)) == HR_OK &&
        (status = hr_prep_fit(scaler, raw, &fitted, &err)) == HR_OK &&
        (status = hr_prep_transform(fitted, raw, &ready, &err)) == HR_OK &&
        (status = hr_dataset_stream(ready, &order, &stream, &err)) == HR_OK)
        status = hr_feed_open(&stream, NULL, &feed, &err); // takes stream
    while (status == HR_OK && (status = hr_feed_next(feed, &batch, &err)) == HR_OK) {
        const double *fare; // borrowed from batch
        if ((status = hr_batch_f64(batch, "fare", &fare, &err)) == HR_OK)
            printf("%lld rows, first %g\n", (long long)hr_batch_rows(batch), fare[0]);
        hr_batch_unref(&batch); // the memory returns to the feed
    }
    if (status != HR_END)
        fprintf(stderr, "headrace: %s\n", err.message);
    hr_feed_close(&feed), hr_stream_close(&stream), hr_dataset_unref(&ready),
        hr_dataset_unref(&raw);
    hr_prep_unref(&fitted), hr_prep_unref(&scaler), hr_runtime_close(&rt);
    return status == HR_END ? 0 : 1;
}
