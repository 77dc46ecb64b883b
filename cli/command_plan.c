// SPDX-License-Identifier: Apache-2.0
// A plan from the words of a command line: a source, steps in the order given, and the runtime that they run in.
//
// Assignments and scalers wait until somebody needs their output. A filter does: what stands before it belongs to the
// dataset, so that rows are filtered by what was computed. What still waits at the end is the caller's to apply, or to
// run as a preprocessor that is timed and reported as such.
#include "cli.h"

#include <string.h>

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

static hr_status take_step(cli_plan *plan, const cli_step *step, hr_error *err)
{
    hr_dataset *next = NULL;
    hr_status status;
    if (strcmp(step->flag, "--filter") == 0) {
        status = cli_plan_apply(plan, err);
        if (status == HR_OK)
            status = hr_dataset_filter(plan->dataset, step->text, &next, err);
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
        status = hr_open_source(plan->runtime, source, read, &plan->dataset, err);
    }
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
    hr_runtime_close(&plan->runtime);
}
