// SPDX-License-Identifier: Apache-2.0
// A plan from the words of a command line: a source, steps in the order given, and the runtime that they run in.
//
// Assignments and scalers wait until somebody needs their output. A filter does: what stands before it belongs to the
// dataset, so that rows are filtered by what was computed. What still waits at the end is the caller's to apply, or to
// run as a preprocessor that is timed and reported as such. Samples and parts are as filters: they say which rows there
// are.
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 1000

static hr_status make_scaler(char *text, hr_prep **out, hr_error *err)
{
    static cli_names names; // empty where the text is wrong: refused in words below
    if (!cli_split(text, &names))
        names.items[0] = NULL;
    return hr_prep_standard_scaler(names.items, NULL, out, err);
}

hr_status cli_plan_prep(cli_plan *plan, hr_prep **out, hr_error *err)
{
    hr_status status = HR_OK;
    if (plan->waiting_count == 1)
        *out = hr_prep_ref(plan->waiting[0]);
    else if (plan->waiting_count > 1)
        status = hr_prep_chain(plan->waiting, plan->waiting_count, out, err);
    while (plan->waiting_count > 0)
        hr_prep_unref(&plan->waiting[--plan->waiting_count]);
    return status;
}

hr_status cli_plan_replace(cli_plan *plan, hr_status status, hr_dataset *next)
{
    if (status != HR_OK)
        return status;
    hr_dataset_unref(&plan->dataset);
    plan->dataset = next;
    return HR_OK;
}

hr_status cli_plan_apply(cli_plan *plan, hr_error *err)
{
    hr_prep *prep = NULL, *fitted = NULL;
    hr_dataset *next = NULL;
    hr_status status = cli_plan_prep(plan, &prep, err);
    if (status != HR_OK || !prep)
        return status;
    status = hr_prep_fit(prep, plan->dataset, &fitted, err);
    if (status == HR_OK)
        status = hr_prep_transform(fitted, plan->dataset, &next, err);
    status = cli_plan_replace(plan, status, next);
    hr_prep_unref(&fitted);
    hr_prep_unref(&prep);
    return status;
}

static hr_status fail_step(const cli_step *step, const char *takes, hr_error *err)
{
    err->status = HR_INVALID;
    (void)snprintf(err->message, sizeof err->message, "%s takes %s, not '%.100s'", step->flag,
                   takes, step->text);
    return HR_INVALID;
}

// "0.1", or "0.1,7" with a seed.
static hr_status sample(const hr_dataset *rows, const cli_step *step, hr_dataset **out,
                        hr_error *err)
{
    char *end = NULL;
    unsigned long long seed = 0;
    double share = strtod(step->text, &end);
    bool good = end != step->text && share > 0 && share <= 1;
    if (good && *end == ',') {
        const char *text = end + 1;
        errno = 0;
        seed = strtoull(text, &end, 10);
        good = errno == 0 && text[0] >= '0' && text[0] <= '9';
    }
    if (!good || *end != '\0')
        return fail_step(step,
                         "a share of the rows above 0 and at most 1, and a seed, as 0.1 or "
                         "0.1,7",
                         err);
    return hr_dataset_random_sample(rows, share, seed, false, out, err);
}

// "2/5": the third of five contiguous parts of nearly equal row counts.
static hr_status part(const hr_dataset *rows, const cli_step *step, hr_dataset **out, hr_error *err)
{
    hr_dataset *parts[PARTS_MAX] = {NULL};
    double shares[PARTS_MAX];
    char *end = NULL;
    const char *second;
    long index = strtol(step->text, &end, 10), count = 0;
    bool good = end != step->text && *end == '/';
    if (good) {
        second = end + 1;
        count = strtol(second, &end, 10);
        good = end != second && *end == '\0';
    }
    if (!good || count < 1 || count > PARTS_MAX || index < 0 || index >= count)
        return fail_step(step, "a part, counted from 0, of at most 1000, as 0/5 to 4/5", err);
    for (long i = 0; i < count; i++)
        shares[i] = 1.0 / (double)count;
    if (count == 1) {
        *out = hr_dataset_ref(rows);
        return HR_OK;
    }
    hr_status status =
        hr_dataset_split_proportionately(rows, shares, (int32_t)count - 1, parts, err);
    if (status == HR_OK)
        *out = hr_dataset_ref(parts[index]);
    for (long i = 0; i < count; i++)
        hr_dataset_unref(&parts[i]);
    return status;
}

static hr_status filter(const hr_dataset *rows, const cli_step *step, hr_dataset **out,
                        hr_error *err)
{
    return hr_dataset_filter(rows, step->text, out, err);
}

typedef hr_status (*row_step)(const hr_dataset *rows, const cli_step *step, hr_dataset **out,
                              hr_error *err);
static const struct {
    const char *flag;
    row_step make;
} row_steps[] = {{"--filter", filter}, {"--sample", sample}, {"--split", part}};

// NULL: it changes columns, not which rows there are.
static row_step find_row_step(const char *flag)
{
    for (size_t i = 0; i < sizeof row_steps / sizeof row_steps[0]; i++)
        if (strcmp(flag, row_steps[i].flag) == 0)
            return row_steps[i].make;
    return NULL;
}

static hr_status take_step(cli_plan *plan, const cli_step *step, hr_error *err)
{
    hr_dataset *next = NULL;
    hr_status status;
    row_step make = find_row_step(step->flag);
    if (make) {
        status = cli_plan_apply(plan, err);
        if (status == HR_OK)
            status = make(plan->dataset, step, &next, err);
        return cli_plan_replace(plan, status, next);
    }
    hr_prep **to = &plan->waiting[plan->waiting_count];
    status = strcmp(step->flag, "--map") == 0 ? hr_prep_map(step->text, to, err)
                                              : make_scaler(step->text, to, err);
    plan->waiting_count += status == HR_OK;
    return status;
}

hr_status cli_plan_open(cli_plan *plan, const hr_runtime_options *budget, const char *source,
                        const hr_read_options *read, const cli_steps *steps, hr_error *err)
{
    cli_interrupt_begin(NULL); // a runtime that is killed while it opens would leave its socket
    hr_status status = hr_runtime_open(budget, &plan->runtime, err);
    if (status == HR_OK) {
        cli_interrupt_begin(plan->runtime);
        status = hr_open_source(plan->runtime, source, read, &plan->source, err);
    }
    if (status == HR_OK)
        plan->dataset = hr_dataset_ref(plan->source);
    for (int i = 0; status == HR_OK && steps && i < steps->count; i++)
        status = take_step(plan, &steps->items[i], err);
    return status;
}

void cli_plan_close(cli_plan *plan)
{
    cli_interrupt_end();
    while (plan->waiting_count > 0)
        hr_prep_unref(&plan->waiting[--plan->waiting_count]);
    hr_dataset_unref(&plan->dataset);
    hr_dataset_unref(&plan->source);
    hr_runtime_close(&plan->runtime);
}
