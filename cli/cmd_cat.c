// SPDX-License-Identifier: Apache-2.0
// `headrace cat SOURCE`: rows as a table, or as JSON lines. JSON lines stream: any number of rows in bounded memory.
#include "cli.h"

typedef struct cat_flags {
    int64_t rows, memory;
    cli_names columns;
    cli_steps steps;
    bool json;
} cat_flags;

#define ALL_ROWS     INT64_MAX
#define DEFAULT_ROWS 20
#define ROWS_AT_ONCE 1024

static const cli_flag flags[] = {
    {"--rows", "N", CLI_INT, offsetof(cat_flags, rows), "rows at most, or all (default 20)", 0,
     "all", ALL_ROWS},
    {"--columns", "a,b", CLI_NAMES, offsetof(cat_flags, columns), "these columns alone"},
    {"--filter", "'x > 3'", CLI_STEP, offsetof(cat_flags, steps), "keep these rows"},
    {"--sample", CLI_SAMPLE, CLI_STEP, offsetof(cat_flags, steps), "about this share of the rows"},
    {"--split", CLI_PART, CLI_STEP, offsetof(cat_flags, steps),
     "part I, from 0, of N parts of the rows in order"},
    {"--json", NULL, CLI_BOOL, offsetof(cat_flags, json), "one JSON object a line"},
    {"--memory", "BYTES", CLI_BYTES, offsetof(cat_flags, memory), "the budget, as 1GiB"},
    {NULL},
};

// Through a feed and not as an Arrow stream, whose failures have words and no status.
static int print_lines(const hr_dataset *dataset, hr_error *err, hr_status *status)
{
    hr_stream_options options = HR_STREAM_OPTIONS_INIT;
    hr_stream *stream = NULL;
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    int code = CLI_OK;
    options.batch_rows = ROWS_AT_ONCE;
    *status = hr_dataset_stream(dataset, &options, &stream, err);
    if (*status == HR_OK)
        *status = hr_feed_open(&stream, NULL, &feed, err);
    while (*status == HR_OK && code == CLI_OK) {
        hr_block *block = NULL;
        char *text = NULL;
        *status = hr_feed_next(feed, &batch, err);
        if (*status == HR_OK)
            *status = hr_batch_block(batch, &block, err);
        if (*status == HR_OK)
            *status = hr_block_print(block, HR_PRINT_JSON, &text, err);
        if (*status == HR_OK)
            code = cli_print(text);
        hr_block_unref(&block);
        hr_batch_unref(&batch);
    }
    hr_feed_close(&feed);
    if (*status == HR_END)
        *status = HR_OK;
    return code;
}

static int print_table(const hr_dataset *dataset, int64_t rows, hr_error *err, hr_status *status)
{
    hr_block *block = NULL;
    char *text = NULL;
    *status = hr_dataset_take(dataset, rows, &block, err);
    if (*status == HR_OK)
        *status = hr_block_print(block, HR_PRINT_TABLE, &text, err);
    hr_block_unref(&block);
    return *status == HR_OK ? cli_print(text) : CLI_OK;
}

static int cat(const char *source, const cat_flags *given, hr_error *err, hr_status *status)
{
    int code = CLI_OK;
    hr_runtime_options budget = HR_RUNTIME_OPTIONS_INIT;
    hr_read_options read = HR_READ_OPTIONS_INIT;
    cli_plan plan = {NULL};
    budget.memory_bytes = given->memory;
    read.columns = given->columns.count > 0 ? given->columns.items : NULL;
    *status = cli_plan_open(&plan, &budget, source, &read, &given->steps, err);
    if (*status == HR_OK && given->rows != ALL_ROWS) {
        hr_dataset *some = NULL;
        *status = hr_dataset_limit(plan.dataset, given->rows, &some, err);
        *status = cli_plan_replace(&plan, *status, some);
    }
    if (*status == HR_OK && given->json)
        code = print_lines(plan.dataset, err, status);
    else if (*status == HR_OK)
        code = print_table(plan.dataset, given->rows, err, status);
    cli_plan_close(&plan);
    return code;
}

static int run_cat(const cli_command *self, int argc, char **argv)
{
    static cat_flags given = {.rows = DEFAULT_ROWS};
    hr_error err = HR_ERROR_INIT;
    hr_status status = HR_OK;
    int code = CLI_OK, operands = cli_parse(self, argc, argv, &given);
    if (operands < 0)
        code = operands == -2 ? CLI_OK : CLI_USAGE;
    else
        code = cat(argv[0], &given, &err, &status);
    if (status != HR_OK)
        code = cli_interrupt_code(cli_fail(status, &err));
    return code;
}

const cli_command cli_cat = {
    "cat", "SOURCE", "rows as a table, or as JSON lines", NULL, flags, 1, 1, false, run_cat,
};
