// SPDX-License-Identifier: Apache-2.0
// A trainer's options: checked, then copied, since a trainer outlives the call that starts it.
//
// The payload goes into shared memory at once and the preprocessor into the run's folder: neither is kept here.
#include "train/train_parts.h"

#include "base/option.h"
#include "train/session_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROW(name, type, zero, min, max, help, ...)                                                 \
    {                                                                                              \
#name, type, offsetof(hr_trainer_options, name), zero, min, max, NULL, help, __VA_ARGS__   \
    }
static const hr_option_row trainer_rows[] = {
    ROW(workers, HR_OPTION_INT, 1, 1, 4096, "worker processes", NULL, "num_workers"),
    ROW(worker_idle_s, HR_OPTION_SECONDS, 0, 0, 1e9,
        "seconds after which a worker that asks for nothing and reports nothing is ended; 0: "
        "never",
        NULL, NULL),
    ROW(ingest_bytes, HR_OPTION_BYTES, 0, 0, 1e18,
        "bytes that each pass over a dataset reads ahead at most; 0: as the stream finds", NULL,
        "ingest_bytes"),
    ROW(ingest_threads, HR_OPTION_INT, 0, 0, 256,
        "threads of the runtime that work for this trainer first while it has work for them", NULL,
        "ingest_threads"),
    ROW(keep, HR_OPTION_INT, 0, 0, 1e9, "checkpoints that stay; 0: all", NULL, "num_to_keep"),
    ROW(max_failures, HR_OPTION_INT, 0, HR_FAILURES_ENDLESS, 1e9,
        "how often failed workers are started again, from the last checkpoint; -1: always", NULL,
        "max_failures"),
    ROW(stall_warning_s, HR_OPTION_SECONDS, 30, HR_STALL_SILENT, 1e9,
        "seconds without movement after which a line says who waits for whom; -1: never", NULL,
        NULL),
};
#undef ROW
const hr_option_table hr__trainer_options = HR_OPTION_TABLE(
    "trainer", hr_trainer_options, trainer_rows, "ScalingConfig, FailureConfig, CheckpointConfig");

static hr_status check_options(const hr_trainer_options *o, hr_error *err)
{
    if (hr__worker_is_none()) // its own trainer's workers would start trainers too, without end
        return HR_FAIL(err, HR_INVALID,
                       "this process was started as a trainer's worker and starts a trainer "
                       "instead: call hr_worker_main first in main");
    if (o->argv && !o->argv[0])
        return HR_FAIL(err, HR_INVALID, "trainer: argv names no worker program");
    for (int32_t i = 0; i < o->dataset_count; i++) {
        const char *name = o->datasets[i].name;
        if (!name || !name[0] || strlen(name) > HR_WIRE_NAME_MAX || !o->datasets[i].dataset)
            return HR_FAIL(err, HR_INVALID,
                           "trainer: dataset %d has no name of 1 to %u bytes, or no data", (int)i,
                           HR_WIRE_NAME_MAX);
        for (int32_t j = 0; j < i; j++)
            if (strcmp(name, o->datasets[j].name) == 0)
                return HR_FAIL(err, HR_INVALID, "trainer: two datasets are called '%s'", name);
    }
    if (o->preprocessor_bytes > 0 && !o->run_folder)
        return HR_FAIL(err, HR_INVALID,
                       "trainer: a preprocessor is kept in checkpoints, and there is no "
                       "run_folder for them");
    return HR_OK;
}

// --- copies ---

static hr_status copy_text(const char **field, hr_error *err)
{
    char *copy = NULL;
    const char *from = *field;
    *field = NULL;
    if (!from)
        return HR_OK;
    HR_TRY(hr__strdup(from, &copy, err));
    *field = copy;
    return HR_OK;
}

static hr_status copy_argv(hr_trainer_options *o, hr_error *err)
{
    const char *const *from = o->argv;
    const char **copy = NULL;
    size_t count = 0;
    o->argv = NULL;
    if (!from)
        return HR_OK;
    while (from[count])
        count++;
    HR_TRY(hr__alloc_zero(count + 1, sizeof *copy, &copy, err));
    o->argv = copy;
    for (size_t i = 0; i < count; i++) {
        const char *arg = from[i];
        HR_TRY(copy_text(&arg, err));
        copy[i] = arg;
    }
    return HR_OK;
}

static hr_status copy_datasets(hr_trainer_options *o, hr_error *err)
{
    const hr_trainer_dataset *from = o->datasets;
    hr_trainer_dataset *copy = NULL;
    int32_t count = o->dataset_count;
    o->datasets = NULL;
    o->dataset_count = 0;
    if (count == 0)
        return HR_OK;
    HR_TRY(hr__alloc_zero((size_t)count, sizeof *copy, &copy, err));
    o->datasets = copy;
    for (int32_t i = 0; i < count; i++) {
        copy[i] = from[i];
        HR_TRY(copy_text(&copy[i].name, err));
        copy[i].dataset = hr_dataset_ref(from[i].dataset);
        o->dataset_count++;
    }
    return HR_OK;
}

hr_status hr__trainer_options_copy(const hr_trainer_options *from, hr_trainer_options *to,
                                   hr_error *err)
{
    hr_trainer_options given;
    HR_TRY(hr__options_resolve(&hr__trainer_options, from, &given, err));
    HR_TRY(check_options(&given, err));
    if (!given.name || !given.name[0])
        given.name = "trainer";
    *to = given;
    // Nothing of the caller's is left in `to`, whatever fails: what is not copied yet is not freed.
    to->argv = NULL;
    to->datasets = NULL;
    to->dataset_count = 0;
    to->name = to->run_folder = to->resume_from = to->keep_metric = NULL;
    hr_status status;
    const char **const texts[] = {&to->name, &to->run_folder, &to->resume_from, &to->keep_metric};
    const char *const originals[] = {given.name, given.run_folder, given.resume_from,
                                     given.keep_metric};
    for (size_t i = 0; i < HR_COUNTOF(texts); i++) {
        *texts[i] = originals[i];
        HR_GO(copy_text(texts[i], err));
    }
    to->argv = given.argv;
    HR_GO(copy_argv(to, err));
    to->datasets = given.datasets;
    to->dataset_count = given.dataset_count;
    HR_GO(copy_datasets(to, err));
    return HR_OK;
out:
    hr__trainer_options_free(to);
    return status;
}

void hr__trainer_options_free(hr_trainer_options *o)
{
    for (const char *const *arg = o->argv; arg && *arg; arg++)
        hr__free((void *)*arg);
    hr__free((void *)o->argv);
    for (int32_t i = 0; i < o->dataset_count; i++) {
        hr_dataset *dataset = (hr_dataset *)o->datasets[i].dataset;
        hr__free((void *)o->datasets[i].name);
        hr_dataset_unref(&dataset);
    }
    hr__free((void *)o->datasets);
    hr__free((void *)o->name);
    hr__free((void *)o->run_folder);
    hr__free((void *)o->resume_from);
    hr__free((void *)o->keep_metric);
    memset(o, 0, sizeof *o);
}

// --- slots ---

hr_status hr__trainer_slots(hr_trainer *trainer, hr_error *err)
{
    const hr_trainer_options *o = &trainer->options;
    const double each[] = {o->cpus, o->worker_cpus, o->gpus, o->worker_gpus};
    char detail[160];
    for (size_t i = 0; i < HR_COUNTOF(each); i++)
        if (!(each[i] >= 0) || isinf(each[i]))
            return HR_FAIL(err, HR_INVALID, "%s: %g slots: at least 0 are to be asked for", o->name,
                           each[i]);
    snprintf(detail, sizeof detail,
             "for itself: %g CPUs, %g GPUs; for each of %lld workers: %g, %g; ingest_threads %lld",
             o->cpus, o->gpus, (long long)o->workers, o->worker_cpus, o->worker_gpus,
             (long long)o->ingest_threads);
    const hr_slots_wish wish = {
        .name = o->name,
        .detail = detail,
        .slots = {[HR_SLOT_CPU] = o->cpus + (double)o->workers * o->worker_cpus,
                  [HR_SLOT_GPU] = o->gpus + (double)o->workers * o->worker_gpus,
                  [HR_SLOT_INGEST] = (double)o->ingest_threads}};
    HR_TRY(hr__slots_take(trainer->runtime, &wish, &trainer->slots, err));
    if (o->ingest_threads == 0)
        return HR_OK;
    return hr__crew_open(trainer->runtime, (uint32_t)o->ingest_threads, &trainer->crew, err);
}
