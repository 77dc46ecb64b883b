// SPDX-License-Identifier: Apache-2.0
// `headrace which`: the rows of one step. It runs the order itself, over the numbers of rows alone.
#include "cli.h"

#include <stdio.h>
#include <string.h>

#define RUNS_SHOWN 40
#define ROW_COLUMN "headrace row"

typedef struct which_flags {
    cli_steps steps;
    uint64_t seed;
    int64_t batch_rows, global_batch_rows, workers, rank, epoch, step, window_rows, order_lanes,
        memory;
    int shuffle; // hr_shuffle
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
    {"--scale", "a,b", CLI_STEP, FLAG(steps), "as in check, where a filter needs it"},
    {"--sample", CLI_SAMPLE, CLI_STEP, FLAG(steps), "as in check"},
    {"--split", CLI_PART, CLI_STEP, FLAG(steps), "as in check"},
    {"--shuffle", CLI_SHUFFLES, CLI_WORD, FLAG(shuffle), "the order of rows (default none)"},
    {"--seed", "N", CLI_SEED, FLAG(seed), "of the shuffle (default 0)"},
    {"--window-rows", "N", CLI_INT, FLAG(window_rows), "rows permuted together", 1},
    {"--order-lanes", "N", CLI_INT, FLAG(order_lanes),
     "lanes that a window takes rows from (default 8)", 1},
    {"--all", NULL, CLI_BOOL, FLAG(all), "every run of rows (default: the first 40)"},
    {"--memory", "BYTES", CLI_BYTES, FLAG(memory), "the budget, as 1GiB"},
    {NULL},
};
#undef FLAG

// The numbers of the rows alone: no other column is decoded but what filters read.
static hr_status select_numbers(cli_plan *plan, hr_dataset **out, hr_error *err)
{
    static const char *const names[] = {ROW_COLUMN, NULL};
    hr_status status = cli_plan_apply(plan, err);
    return status == HR_OK ? hr_dataset_select(plan->dataset, names, out, err) : status;
}

static int64_t step_rows(const which_flags *given)
{
    return given->global_batch_rows ? given->global_batch_rows : given->batch_rows * given->workers;
}

// The step's batch of a stream with one reader, whose batches are steps.
static hr_status find_step(const hr_dataset *rows, const which_flags *given, hr_batch **out,
                           hr_error *err)
{
    hr_stream_options order = HR_STREAM_OPTIONS_INIT;
    hr_stream *stream = NULL;
    hr_feed *feed = NULL;
    order.batch_rows = step_rows(given);
    order.shuffle = (hr_shuffle)given->shuffle;
    order.seed = given->seed;
    order.window_rows = given->window_rows;
    order.order_lanes = given->order_lanes;
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

static hr_status print_rows(const hr_dataset *source, const int64_t *numbers, int64_t from,
                            int64_t to, bool all, hr_error *err)
{
    hr_row_place first = {0}, last = {0}, place;
    int64_t runs = 0, began = from;
    for (int64_t i = from; i < to; i++) {
        hr_status status = hr_dataset_locate(source, numbers[i], &place, err);
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
static hr_status print_step(const hr_dataset *source, const hr_batch *batch,
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
    printf(": %lld row%s\n", (long long)(to - from), to - from == 1 ? "" : "s");
    return print_rows(source, numbers, from, to, given->all, err);
}

static hr_status which(const char *source, const which_flags *given, hr_error *err)
{
    hr_runtime_options budget = HR_RUNTIME_OPTIONS_INIT;
    hr_read_options read = HR_READ_OPTIONS_INIT;
    cli_plan plan = {NULL};
    hr_dataset *rows = NULL;
    hr_batch *batch = NULL;
    budget.memory_bytes = given->memory;
    read.row_numbers = ROW_COLUMN;
    hr_status status = cli_plan_open(&plan, &budget, source, &read, &given->steps, err);
    if (status == HR_OK)
        status = select_numbers(&plan, &rows, err);
    if (status == HR_OK)
        status = find_step(rows, given, &batch, err);
    if (status == HR_OK)
        status = print_step(plan.source, batch, given, err);
    hr_batch_unref(&batch);
    hr_dataset_unref(&rows);
    cli_plan_close(&plan);
    return status;
}

static int run_which(const cli_command *self, int argc, char **argv)
{
    static which_flags given = {.workers = 1, .rank = -1, .step = -1};
    hr_error err = HR_ERROR_INIT;
    int operands = cli_parse(self, argc, argv, &given);
    if (operands < 0)
        return operands == -2 ? CLI_OK : CLI_USAGE;
    if (given.step < 0 || step_rows(&given) == 0)
        return cli_usage("which", "--step and --batch-rows (or --global-batch-rows) are needed");
    if (given.batch_rows > INT64_MAX / given.workers)
        return cli_usage("which", "--batch-rows %lld of --workers %lld are too many",
                         (long long)given.batch_rows, (long long)given.workers);
    if (given.rank >= given.workers)
        return cli_usage("which", "--rank %lld of --workers %lld", (long long)given.rank,
                         (long long)given.workers);
    hr_status status = which(argv[0], &given, &err);
    return status == HR_OK ? CLI_OK : cli_interrupt_code(cli_fail(status, &err));
}

const cli_command cli_which = {
    "which",
    "SOURCE",
    "file, row group and row of each row of a step",
    "The order's flags are those of the run that is asked about; SOURCE, filters, samples and "
    "splits too.",
    flags,
    1,
    1,
    false,
    run_which,
};
