// SPDX-License-Identifier: Apache-2.0
// `headrace check SOURCE`: the ingest alone: read, preprocess, feed to workers that only read and measure.
//
// Assignments and scalers after the last filter, sample or split are the check's preprocessor, timed and reported as
// such.
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct check_flags {
    cli_names columns, tensor;
    cli_steps steps;
    int64_t batch_rows, global_batch_rows, epochs, workers, prefetch, memory, threads, window_rows,
        order_lanes;
    double seconds, idle_s;
    uint64_t seed;
    const char *spill, *digest, *html;
    int shuffle, tail; // hr_shuffle, hr_tail
    bool whole_blocks, bulk, touch, json, checksums;
} check_flags;

#define FLAG(field) offsetof(check_flags, field)
static const cli_flag flags[] = {
    {"--columns", "a,b", CLI_NAMES, FLAG(columns), "read these columns alone"},
    {"--map", "'x = x * 2'", CLI_STEP, FLAG(steps),
     "assign; may be repeated, runs in the order given"},
    {"--filter", "'x > 3'", CLI_STEP, FLAG(steps), "keep these rows; may be repeated"},
    {"--scale", "a,b", CLI_STEP, FLAG(steps), "standard scaling, learned from the data first"},
    {"--sample", CLI_SAMPLE, CLI_STEP, FLAG(steps), "about this share of the rows, by a seed"},
    {"--split", CLI_PART, CLI_STEP, FLAG(steps), "part I, from 0, of N parts of the rows in order"},
    {"--tensor", "a,b", CLI_NAMES, FLAG(tensor), "hand these out as one float32 tensor, `tensor`"},
    {"--batch-rows", "N", CLI_INT, FLAG(batch_rows), "rows a batch", 1},
    {"--global-batch-rows", "N", CLI_INT, FLAG(global_batch_rows),
     "rows a step, shared by the workers; instead of --batch-rows", 1},
    {"--tail", "uneven|drop|pad", CLI_WORD, FLAG(tail),
     "what becomes of rows that fill no step (default uneven)"},
    {"--whole-blocks", NULL, CLI_BOOL, FLAG(whole_blocks), "blocks as they come (the default)"},
    {"--epochs", "N", CLI_INT, FLAG(epochs), "times to read it all (default 1)", 1},
    {"--seconds", "S", CLI_SECONDS, FLAG(seconds), "whole epochs until so long has passed"},
    {"--workers", "N", CLI_INT, FLAG(workers), "worker processes (default 1)", 1},
    {"--prefetch", "N|auto", CLI_INT, FLAG(prefetch), "batches made ahead; 0: none; auto: by bytes",
     0, "auto", -1},
    {"--shuffle", CLI_SHUFFLES, CLI_WORD, FLAG(shuffle), "the order of rows (default none)"},
    {"--seed", "N", CLI_SEED, FLAG(seed), "of the shuffle (default 0)"},
    {"--window-rows", "N", CLI_INT, FLAG(window_rows), "rows permuted together (default 16384)", 1},
    {"--order-lanes", "N", CLI_INT, FLAG(order_lanes),
     "lanes that a window takes rows from (default 8)", 1},
    {"--bulk", NULL, CLI_BOOL, FLAG(bulk), "materialise first, then feed"},
    {"--memory", "BYTES", CLI_BYTES, FLAG(memory),
     "the budget, as 1GiB (default: 30 % of available)"},
    {"--spill", "DIR", CLI_TEXT, FLAG(spill), "where what does not fit goes; none: nowhere"},
    {"--threads", "N", CLI_INT, FLAG(threads), "that decode and transform (default: processors)",
     1},
    {"--touch", NULL, CLI_BOOL, FLAG(touch), "read and checksum every byte of every batch"},
    {"--verify", NULL, CLI_BOOL, FLAG(checksums), "check page checksums where files have them"},
    {"--worker-idle", "S", CLI_SECONDS, FLAG(idle_s), "end a worker that is idle for so long"},
    {"--digest", "DIR", CLI_TEXT, FLAG(digest),
     "log what each worker was given, for `headrace diff`"},
    {"--json", NULL, CLI_BOOL, FLAG(json), "one JSON object instead of text"},
    {"--html", "FILE", CLI_TEXT, FLAG(html), "the report as a page too: one file, nothing to load"},
    {NULL},
};
#undef FLAG

static const char more[] = "JSON: first_batch_s counts from the start of this process. checksum "
                           "(16 hex digits; null without --touch) is\n"
                           "the sum mod 2^64 over all rows of a hash of (the row's index in its "
                           "epoch, its values). touched_mib_s is bytes\n"
                           "over the loop's time, handed_mib_s bytes over the time spent waiting "
                           "(without --touch: over the loop's time).\n"
                           "wait holds shares of the workers' time by cause, which sum to 1.";

static int print_report(const hr_check_report *report, bool json, hr_error *err, hr_status *status)
{
    char *text = NULL;
    *status = hr_check_print(report, json, &text, err);
    if (*status != HR_OK)
        return CLI_OK;
    int code = cli_print(text);
    return code == CLI_OK && hr_check_lost_workers(report) > 0 ? CLI_WORKER_LOST : code;
}

static hr_status fail_html(const char *path, int number, hr_error *err)
{
    err->status = number == ENOSPC || number == EDQUOT ? HR_LIMIT : HR_IO;
    (void)snprintf(err->message, sizeof err->message, "--html '%.200s': %s", path,
                   strerror(number));
    return err->status;
}

// Opened before the check runs, so that a path that cannot be written costs nothing.
static hr_status open_html(const char *path, FILE **out, hr_error *err)
{
    if (!path)
        return HR_OK;
    *out = fopen(path, "w");
    return *out ? HR_OK : fail_html(path, errno, err);
}

static hr_status write_html(const hr_check_report *report, const char *path, FILE **file,
                            hr_error *err)
{
    char *page = NULL;
    if (!*file)
        return HR_OK;
    hr_status status = hr_check_print_html(report, &page, err);
    if (status != HR_OK)
        return status;
    errno = 0;
    bool written = fputs(page, *file) >= 0 && fflush(*file) == 0;
    hr_text_free(page);
    if (!written)
        return fail_html(path, errno, err);
    int failed = fclose(*file);
    *file = NULL;
    return failed ? fail_html(path, errno, err) : HR_OK;
}

static hr_check_options make_options(const check_flags *given, cli_progress *progress)
{
    hr_check_options options = HR_CHECK_OPTIONS_INIT;
    options.workers = given->workers;
    options.batch_rows = given->whole_blocks ? 0 : given->batch_rows;
    options.epochs = given->epochs;
    options.seconds = given->seconds;
    // On the command line 0 is none and auto the default; in the library 0 is the default.
    options.prefetch_blocks = given->prefetch == 0    ? HR_PREFETCH_NONE
                              : given->prefetch == -1 ? 0
                                                      : given->prefetch;
    options.bulk = given->bulk;
    options.touch = given->touch;
    options.shuffle = (hr_shuffle)given->shuffle;
    options.tail = (hr_tail)given->tail;
    options.order_lanes = given->order_lanes;
    options.global_batch_rows = given->global_batch_rows;
    options.seed = given->seed;
    options.window_rows = given->window_rows;
    options.worker_idle_s = given->idle_s;
    options.start_s = hr_process_age_s();
    options.on_tick = cli_progress_tick;
    options.context = progress;
    options.digest = given->digest;
    return options;
}

static hr_status pack_tensor(cli_plan *plan, const cli_names *columns, hr_error *err)
{
    hr_dataset *next = NULL;
    if (columns->count == 0)
        return HR_OK;
    hr_status status = cli_plan_apply(plan, err);
    if (status == HR_OK)
        status = hr_dataset_pack(plan->dataset, columns->items, "tensor", NULL, &next, err);
    return cli_plan_replace(plan, status, next);
}

static int check(const char *source, const check_flags *given, hr_error *err, hr_status *status)
{
    int code = CLI_OK;
    hr_runtime_options budget = HR_RUNTIME_OPTIONS_INIT;
    hr_read_options read = HR_READ_OPTIONS_INIT;
    hr_check_report *report = NULL;
    hr_prep *prep = NULL;
    cli_plan plan = {NULL};
    cli_progress progress = {false, 0};
    FILE *html = NULL;
    budget.memory_bytes = given->memory;
    budget.threads = given->threads;
    budget.spill_dir = given->spill;
    read.columns = given->columns.count > 0 ? given->columns.items : NULL;
    read.verify_checksums = given->checksums;
    *status = open_html(given->html, &html, err);
    if (*status == HR_OK)
        *status = cli_plan_open(&plan, &budget, source, &read, &given->steps, err);
    if (*status == HR_OK)
        *status = pack_tensor(&plan, &given->tensor, err);
    if (*status == HR_OK)
        *status = cli_plan_prep(&plan, &prep, err);
    if (*status == HR_OK) {
        cli_progress_begin(&progress);
        hr_check_options options = make_options(given, &progress);
        *status = hr_check_run(plan.runtime, plan.dataset, prep, &options, &report, err);
        cli_progress_end(&progress);
    }
    if (report && *status == HR_OK)
        *status = write_html(report, given->html, &html, err);
    if (report && *status == HR_OK)
        code = print_report(report, given->json, err, status);
    hr_check_free(&report);
    hr_prep_unref(&prep);
    cli_plan_close(&plan);
    if (html) // of a check that failed: nothing stands in it
        (void)fclose(html);
    return code;
}

// A run that goes on adds to its log; a check is always another run.
static bool has_digest(const char *folder)
{
    char path[PATH_MAX];
    int bytes = snprintf(path, sizeof path, "%s/rank-0.digest", folder);
    return bytes > 0 && bytes < (int)sizeof path && access(path, F_OK) == 0;
}

static int run_check(const cli_command *self, int argc, char **argv)
{
    static check_flags given;
    hr_error err = HR_ERROR_INIT;
    hr_status status = HR_OK;
    given.prefetch = -1;
    int code, operands = cli_parse(self, argc, argv, &given);
    if (operands < 0)
        code = operands == -2 ? CLI_OK : CLI_USAGE;
    else if (given.whole_blocks && given.batch_rows > 0)
        code = cli_usage(self->name, "--whole-blocks and --batch-rows exclude each other");
    else if (given.epochs > 0 && given.seconds > 0)
        code = cli_usage(self->name, "--epochs and --seconds exclude each other");
    else if (given.global_batch_rows > 0 && (given.whole_blocks || given.batch_rows > 0))
        code =
            cli_usage(self->name, "--global-batch-rows excludes --batch-rows and --whole-blocks");
    else if (given.digest && has_digest(given.digest))
        code = cli_usage(self->name,
                         "--digest %s: the log of a run is there already; name another folder, or "
                         "remove it",
                         given.digest);
    else
        code = check(argv[0], &given, &err, &status);
    if (status != HR_OK)
        code = cli_interrupt_code(cli_fail(status, &err));
    return code;
}

const cli_command cli_check = {
    "check", "SOURCE",  "run the ingest alone and say where the time goes", more, flags, 1, 1,
    false,   run_check,
};
