// SPDX-License-Identifier: Apache-2.0
// Makes the table that the other examples read: a folder of Parquet files with the columns id, fare and distance.
//
//     make_trips trips/ [ROWS]
#include <headrace/headrace.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "trips/";
    long long rows = argc > 2 ? strtoll(argv[2], NULL, 10) : 20000;
    hr_write_options write = HR_WRITE_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = NULL;
    hr_dataset *ids = NULL, *trips = NULL;
    hr_status status;
    int64_t written = 0;
    write.row_group_rows = 4096;
    write.rows_out = &written;
    if ((status = hr_runtime_open(NULL, &rt, &err)) == HR_OK &&
        (status = hr_range(rt, rows, 4, &ids, &err)) == HR_OK &&
        (status = hr_dataset_map(
             ids, "distance = (id * 7919 % 2000) / 100; fare = 2.5 + 1.75 * distance", &trips,
             &err)) == HR_OK)
        status = hr_dataset_write_parquet(trips, folder, &write, &err);
    if (status == HR_OK)
        printf("%lld rows in %s\n", (long long)written, folder);
    else
        fprintf(stderr, "headrace: %s\n", err.message);
    hr_dataset_unref(&trips), hr_dataset_unref(&ids), hr_runtime_close(&rt);
    return status == HR_OK ? 0 : 1;
}
