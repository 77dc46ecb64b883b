// SPDX-License-Identifier: Apache-2.0
// The progress line: on a terminal, on standard error, gone when the work is done; silent in a pipe.
#include "cli.h"

#include <stdio.h>
#include <unistd.h>

static void print_rate(double rows_per_s)
{
    if (rows_per_s >= 1e6)
        fprintf(stderr, "%.1fM rows/s", rows_per_s / 1e6);
    else if (rows_per_s >= 1e3)
        fprintf(stderr, "%.1fk rows/s", rows_per_s / 1e3);
    else
        fprintf(stderr, "%.0f rows/s", rows_per_s);
}

void cli_progress_begin(cli_progress *progress)
{
    progress->shown = isatty(STDERR_FILENO) == 1;
    progress->began_s = hr_process_age_s();
}

hr_status cli_progress_tick(void *context, int64_t rows, int64_t rows_expected, hr_error *err)
{
    static const char bar[] = "##########";
    cli_progress *progress = context;
    if (!progress->shown)
        return HR_OK;
    double elapsed = hr_process_age_s() - progress->began_s;
    fprintf(stderr, "\rreading: ");
    if (rows_expected > 0) {
        double part = (double)rows / (double)rows_expected;
        part = part > 1 ? 1 : part;
        fprintf(stderr, "%3.0f%%|%-10.*s| %lld/%lld rows", part * 100, (int)(part * 10), bar,
                (long long)rows, (long long)rows_expected);
    } else {
        fprintf(stderr, "%lld rows", (long long)rows);
    }
    fprintf(stderr, " [%02d:%02d, ", (int)elapsed / 60, (int)elapsed % 60);
    print_rate(elapsed > 0 ? (double)rows / elapsed : 0);
    fprintf(stderr, "]\033[K");
    return HR_OK;
}

void cli_progress_end(cli_progress *progress)
{
    if (progress->shown)
        fprintf(stderr, "\r\033[K");
}
