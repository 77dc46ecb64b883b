// SPDX-License-Identifier: Apache-2.0
// `headrace which`: the rows of one step. It runs the order itself, over the numbers of rows alone: nothing of other
// columns is decoded but what filters read.
#include "cli.h"

#include <stdio.h>
#include <string.h>

#define RUNS_SHOWN 40
#define ROW_COLUMN "headrace row"

typedef struct which_flags {
    cli_steps steps;
    int64_t batch_rows, global_batch_rows, workers, rank, epoch, step, seed, window_rows, memory;
    const char *shuffle;
    bool all;
} which_flags;

#define FLAG(field) offsetof(which_flags, field)
static const cli_flag flags[] = {
    {"--step", "S", CLI_INT, FLAG(step), "the step, from 0", 0},
    {"--epoch", "E", CLI_INT, FLAG(epoch), "of this epoch (default 0)", 0},
    {"--rank", "R", CLI_INT, FLAG(rank), "one worker's part of it (default: the whole step)", 0},
    {"--workers", "W", CLI_INT, FLAG(workers), "number of workers (default 1)", 1},
    {"--batch-rows", "N", CLI_INT, FLAG(batch_rows), "rows a batch", 1},
    {"--global-batch-rows", "N", CLI_INT, FLAG(global_batch_rows), "rows a step instead", 1},
    {"--map", "'x = x * 2'", CLI_STEP, FLAG(steps), "as in check, where a filter needs it"},
    {"--filter", "'x > 3'", CLI_STEP, FLAG(steps), "as in check; may be repeated"},
    {"--shuffle", CLI_SHUFFLES, CLI_TEXT, FLAG(shuffle), "the order of rows (default none)"},
    {"--seed", "N", CLI_INT, FLAG(seed), "of the shuffle (default 0)", 0},
    {"--window-rows", "N", CLI_INT, FLAG(window_rows), "rows permuted together", 2},
    {"--all", NULL, CLI_BOOL, FLAG(all), "every run of rows (default: the first 40)"},
    {"--memory", "BYTES", CLI_BYTES, FLAG(memory), "the budget, as 1GiB"},
    {NULL},
};
#undef FLAG

static hr_status make_plan(hr_runtime *runtime, const char *source, const which_flags *given,
                           hr_dataset **out, hr_error *err)
{
    static const char *const names[] = {ROW_COLUMN, NULL};
    hr_read_options read = HR_READ_OPTIONS_INIT;
    hr_dataset *at = NULL, *next = NULL;
    read.row_numbers = ROW_COLUMN;
    hr_status status = hr_open_source(runtime, source, &read, &at, err);
    for (int i = 0; status == HR_OK && i < given->steps.count; i++) {
        const cli_step *step = &given->steps.items[i];
        bool filter = strcmp(step->flag, "--filter") == 0;
        status = filter ? hr_dataset_filter(at, step->text, &next, err)
                        : hr_dataset_map(at, step->text, &next, err);
        if (status == HR_OK) {
            hr_dataset_unref(&at);
            at = next;
        }
    }
    if (status == HR_OK)
        status = hr_dataset_select(at, names, out, err);
    hr_dataset_unref(&at);
    return status;
}

static int64_t step_rows(const which_flags *given)
{
    return given->global_batch_rows ? given->global_batch_rows : given->batch_rows * given->workers;
}

// The step's batch of a stream with one reader, whose batches are steps.
static hr_status find_step(const hr_dataset *rows, const which_flags *given, hr_shuffle shuffle,
                           hr_batch **out, hr_error *err)
{
    hr_stream_options order = HR_STREAM_OPTIONS_INIT;
    hr_stream *stream = NULL;
    hr_feed *feed = NULL;
    order.batch_rows = step_rows(given);
    order.shuffle = shuffle;
    order.seed = (uint64_t)given->seed;
    order.window_rows = given->window_rows;
    order.first_epoch = given->epoch;
    hr_status status = hr_dataset_stream(rows, &order, &stream, err);
    if (status == HR_OK)
        status = hr_feed_open(&stream, NULL, &feed, err);
    int64_t step = 0;
    for (; status == HR_OK; step++) {
        hr_batch_unref(out);
        status = hr_feed_next(feed, out, err);
        if (status == HR_OK && step == given->step)
            break;
    }
    hr_feed_close(&feed);
    if (status != HR_END)
        return status;
    err->status = HR_NOT_FOUND;
    snprintf(err->message, sizeof err->message,
             "the epoch has %lld steps of %lld rows, no step %lld", (long long)(step - 1),
             (long long)order.batch_rows, (long long)given->step);
    return HR_NOT_FOUND;
}

static bool follows(const hr_row_place *a, const hr_row_place *b)
{
    return a->source == b->source && a->fragment == b->fragment && a->row + 1 == b->row;
}

static void print_run(const hr_row_place *first, const hr_row_place *last, int64_t at)
{
    printf("  %9lld  %s  row group %lld  ", (long long)at, first->source,
           (long long)first->fragment);
    if (first->row == last->row)
        printf("row %lld\n", (long long)first->row);
    else
        printf("rows %lld to %lld\n", (long long)first->row, (long long)last->row);
}

static hr_status print_rows(const hr_dataset *dataset, const int64_t *numbers, int64_t from,
                            int64_t to, bool all, hr_error *err)
{
    hr_row_place first = {0}, last = {0}, place;
    int64_t runs = 0, began = from;
    for (int64_t i = from; i < to; i++) {
        hr_status status = hr_dataset_locate(dataset, numbers[i], &place, err);
        if (status != HR_OK)
            return status;
        if (i > from && !follows(&last, &place)) {
            if (all || runs < RUNS_SHOWN)
                print_run(&first, &last, began - from);
            runs++;
        }
        if (i == from || !follows(&last, &place)) {
            first = place;
            began = i;
        }
        last = place;
    }
    if (to > from && (all || runs++ < RUNS_SHOWN))
        print_run(&first, &last, began - from);
    if (!all && runs > RUNS_SHOWN)
        printf("  and %lld more runs of rows: --all shows them\n", (long long)(runs - RUNS_SHOWN));
    return HR_OK;
}

// The part of one rank, as streams cut it: [rank G / W, (rank + 1) G / W) of the rows that the step has.
static hr_status print_step(const hr_dataset *dataset, const hr_batch *batch,
                            const which_flags *given, hr_error *err)
{
    const int64_t *numbers;
    hr_status status = hr_batch_i64(batch, ROW_COLUMN, &numbers, err);
    int64_t rows = hr_batch_rows(batch), from = 0, to = rows;
    if (status != HR_OK)
        return status;
    printf("epoch %lld, step %lld", (long long)given->epoch, (long long)given->step);
    if (given->rank >= 0) {
        from = given->rank * rows / given->workers;
        to = (given->rank + 1) * rows / given->workers;
        printf(", rank %lld of %lld", (long long)given->rank, (long long)given->workers);
    }
    printf(": %lld rows\n", (long long)(to - from));
    return print_rows(dataset, numbers, from, to, given->all, err);
}

static hr_status which(const char *source, const which_flags *given, hr_shuffle shuffle,
                       hr_error *err)
{
    hr_runtime_options budget = HR_RUNTIME_OPTIONS_INIT;
    hr_runtime *runtime = NULL;
    hr_dataset *rows = NULL;
    hr_batch *batch = NULL;
    budget.memory_bytes = given->memory;
    cli_interrupt_begin(NULL);
    hr_status status = hr_runtime_open(&budget, &runtime, err);
    if (status == HR_OK) {
        cli_interrupt_begin(runtime);
        status = make_plan(runtime, source, given, &rows, err);
    }
    if (status == HR_OK)
        status = find_step(rows, given, shuffle, &batch, err);
    if (status == HR_OK)
        status = print_step(rows, batch, given, err);
    cli_interrupt_end();
    hr_batch_unref(&batch);
    hr_dataset_unref(&rows);
    hr_runtime_close(&runtime);
    return status;
}

static int run_which(const cli_command *self, int argc, char **argv)
{
    static which_flags given = {.workers = 1, .rank = -1, .step = -1};
    hr_error err = HR_ERROR_INIT;
    hr_shuffle shuffle = HR_SHUFFLE_NONE;
    int operands = cli_parse(self, argc, argv, &given);
    if (operands < 0)
        return operands == -2 ? CLI_OK : CLI_USAGE;
    if (given.step < 0 || step_rows(&given) == 0)
        return cli_usage("which", "--step and --batch-rows (or --global-batch-rows) are needed");
    if (given.rank >= given.workers)
        return cli_usage("which", "--rank %lld of --workers %lld", (long long)given.rank,
                         (long long)given.workers);
    if (cli_shuffle("which", given.shuffle, &shuffle) != 0)
        return CLI_USAGE;
    hr_status status = which(argv[0], &given, shuffle, &err);
    return status == HR_OK ? CLI_OK : cli_interrupt_code(cli_fail(status, &err));
}

const cli_command cli_which = {
    "which",
    "SOURCE",
    "file, row group and row of each row of a step",
    "The order's flags are those of the run that is asked about; SOURCE and filters too.",
    flags,
    1,
    1,
    false,
    run_which,
};
