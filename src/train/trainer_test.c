// SPDX-License-Identifier: Apache-2.0
// Trainers as objects: several at once, slots, lives, checkpoints. This program starts itself as the worker.
#include "base/os.h"
#include "base/stats.h"
#include "base/unit.h"
#include "train/run_folder.h"
#include <headrace/headrace.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS 4000

// --- the worker's side ---

// How often this was called for this name in the folder that the payload names, over all lives.
static int count_up(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "a+");
    if (!file)
        return -1;
    fputc('x', file);
    fflush(file);
    long bytes = ftell(file);
    fclose(file);
    return (int)bytes;
}

static hr_status write_model(const char *folder, const char *text, hr_error *err)
{
    char path[600];
    snprintf(path, sizeof path, "%s/deep", folder);
    HR_TRY(hr__folder_make(path, err));
    snprintf(path, sizeof path, "%s/deep/model", folder);
    HR_TRY(hr__file_write(path, text, strlen(text), err));
    snprintf(path, sizeof path, "%s/headrace.json", folder); // never taken for ours
    return hr__file_write(path, "{}", 2, err);
}

static hr_status report_checkpoints(hr_session *session, const char *folder, int count,
                                    hr_error *err)
{
    char model[512], json[64];
    snprintf(model, sizeof model, "%s/model%lld", folder, (long long)hr_session_rank(session));
    for (int i = 0; i < count; i++) {
        snprintf(json, sizeof json, "{\"loss\": %d, \"nan\": 1}", (i * 7) % 5);
        HR_TRY(hr__folder_make(model, err));
        HR_TRY(write_model(model, json, err));
        HR_TRY(hr_session_report_checkpoint(session, json, model, err));
    }
    return HR_OK;
}

static hr_status read_some(hr_session *session, int64_t batches, hr_feed **out, hr_error *err)
{
    hr_stream_options options = HR_STREAM_OPTIONS_INIT;
    options.batch_rows = 50;
    HR_TRY(hr_session_feed(session, "train", &options, NULL, out, err));
    for (int64_t i = 0; i < batches; i++) {
        hr_batch *batch = NULL;
        HR_TRY(hr_feed_next(*out, &batch, err));
        hr_batch_unref(&batch);
    }
    return HR_OK;
}

// Commits at step 5, 10, ...; rank 0 dies in its first two lives, at step 12.
static hr_status learn(hr_session *session, const char *folder, hr_error *err)
{
    const char *from = hr_session_checkpoint(session);
    bool first = hr_session_rank(session) == 0;
    int life = first ? count_up(folder, "life") : 1;
    if (first && (from != NULL) != (life > 1))
        return HR_FAIL(err, HR_USER, "life %d begins from %s", life, from ? from : "nothing");
    for (int n = 1; n <= 20; n++) {
        if (n % 5 == 0)
            HR_TRY(hr_session_report_checkpoint(session, "{}", NULL, err));
        if (n == 12 && life < 3 && first)
            (void)raise(SIGKILL);
    }
    return HR_OK;
}

// Rank 0 fails; the other reports a checkpoint when the trainer has seen that: it has reaped rank 0 by then.
static hr_status fail_first(hr_session *session, const char *folder, hr_error *err)
{
    char path[300];
    pid_t pid = getpid();
    (void)snprintf(path, sizeof path, "%s/pid", folder);
    if (hr_session_rank(session) == 0) {
        HR_TRY(hr__file_write(path, &pid, sizeof pid, err));
        return HR_FAIL(err, HR_USER, "the first one fails");
    }
    while (kill(pid, 0) == 0) { // our own, until the file tells
        FILE *file = fopen(path, "r");
        if (file && fread(&pid, sizeof pid, 1, file) != 1)
            pid = getpid();
        if (file)
            fclose(file);
    }
    return hr_session_report_checkpoint(session, "{}", NULL, err);
}

static hr_status act(hr_session *session, const char *role, const char *folder, hr_error *err)
{
    hr_feed *feed = NULL;
    if (strcmp(role, "sleep") == 0)
        for (;;)
            pause();
    if (strcmp(role, "read") == 0) {
        hr_status status = read_some(session, 3, &feed, err);
        hr_feed_close(&feed);
        return status;
    }
    if (strcmp(role, "commit") == 0)
        return report_checkpoints(session, folder, 4, err);
    if (strcmp(role, "learn") == 0)
        return learn(session, folder, err);
    if (strcmp(role, "fail_first") == 0)
        return fail_first(session, folder, err);
    if (strcmp(role, "fail") == 0)
        return HR_FAIL(err, HR_USER, "not well, time %d", count_up(folder, "fails"));
    if (strcmp(role, "die") == 0)
        return raise(SIGKILL) == 0 ? HR_IO : HR_IO;
    if (strcmp(role, "missing") == 0)
        return hr_session_report_checkpoint(session, "{}", "/nowhere/at/all", err);
    return HR_FAIL(err, HR_USER, "no such role: %s", role);
}

static hr_status loop(hr_session *session, void *context, hr_error *err)
{
    char role[32] = "", folder[256] = "", text[300] = "";
    size_t bytes = 0;
    const void *payload = hr_session_payload(session, &bytes);
    memcpy(text, payload, HR_MIN(bytes, sizeof text - 1));
    char *space = strchr(text, ' ');
    snprintf(role, sizeof role, "%.*s", (int)(space - text), text);
    snprintf(folder, sizeof folder, "%s", space + 1);
    return act(session, role, folder, err);
}

// --- the trainer's side ---

typedef struct bench {
    hr_runtime *runtime;
    hr_dataset *dataset;
    hr_trainer_dataset datasets[1];
    char folder[64], run[96], payload[128];
    int reports, checkpoints, restarts, lines;
    hr_trainer *own; // its callbacks try to wait for it
    char last[512], line[512];
} bench;

static void bench_open(bench *b)
{
    hr_error err = HR_ERROR_INIT;
    hr_runtime_options o = HR_RUNTIME_OPTIONS_INIT;
    memset(b, 0, sizeof *b);
    o.memory_bytes = 64 << 20;
    o.threads = 2;
    o.cpus = 2;
    assert_ok(hr_runtime_open(&o, &b->runtime, &err), &err);
    assert_ok(hr_range(b->runtime, ROWS, 20, &b->dataset, &err), &err);
    b->datasets[0] = (hr_trainer_dataset){"train", b->dataset, true};
    snprintf(b->folder, sizeof b->folder, "/tmp/headrace-train-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->run, sizeof b->run, "%s/run", b->folder);
}

static void bench_close(bench *b)
{
    hr_memory_stats memory;
    hr_slots_stats slots;
    hr_runtime_memory(b->runtime, &memory, sizeof memory);
    hr_runtime_slots(b->runtime, &slots, sizeof slots);
    assert_int_equal(memory.leased_bytes, 0);
    assert_int_equal(slots.holders, 0);
    hr_dataset_unref(&b->dataset);
    hr_runtime_close(&b->runtime);
    hr__folder_remove(b->folder);
}

static hr_status on_report(void *context, int64_t rank, const char *json, hr_error *err)
{
    bench *b = context;
    int32_t ended;
    hr_trainer_result *result = NULL;
    b->reports++;
    if (b->own) {
        assert_int_equal(hr_trainers_wait(&b->own, 1, 0, &ended, err), HR_INVALID);
        assert_int_equal(hr_trainer_finish(&b->own, &result, err), HR_INVALID);
        assert_non_null(b->own);
        hr_trainer_cancel(b->own);
    }
    return HR_OK;
}

static void on_checkpoint(void *context, int64_t rank, const char *json, const char *folder)
{
    bench *b = context;
    struct stat info;
    assert_int_equal(stat(folder, &info), 0); // it stands there when we are told
    snprintf(b->last, sizeof b->last, "%s", folder);
    b->checkpoints++;
}

static void on_restart(void *context, int64_t number, const char *reason)
{
    bench *b = context;
    assert_int_equal(number, ++b->restarts);
    assert_non_null(strstr(reason, "worker 0"));
}

static hr_trainer_options options_of(bench *b, const char *role)
{
    hr_trainer_options o = HR_TRAINER_OPTIONS_INIT;
    snprintf(b->payload, sizeof b->payload, "%s %s", role, b->folder);
    o.payload = b->payload;
    o.payload_bytes = strlen(b->payload);
    o.datasets = b->datasets;
    o.dataset_count = 1;
    o.on_report = on_report;
    o.on_checkpoint = on_checkpoint;
    o.on_restart = on_restart;
    o.context = b;
    return o;
}

static bool stands(const char *folder, const char *name)
{
    char path[700];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &info) == 0;
}

// --- several at once ---

static void trainers__run_at_once_in_one_thread(void **unused)
{
    enum { TRIALS = 4 };
    bench b;
    hr_trainer *trainers[TRIALS] = {NULL};
    hr_error err = HR_ERROR_INIT;
    int32_t ended = -1;
    bench_open(&b);
    for (int i = 0; i < TRIALS; i++) {
        hr_trainer_options o = options_of(&b, i == 2 ? "sleep" : "read");
        assert_ok(hr_trainer_start(b.runtime, &o, &trainers[i], &err), &err);
    }
    for (int n = 0; n < TRIALS - 1; n++) {
        hr_trainer_result *result = NULL;
        assert_ok(hr_trainers_wait(trainers, TRIALS, 60, &ended, &err), &err);
        assert_int_not_equal(ended, 2); // it sleeps
        assert_true(hr_trainer_has_ended(trainers[ended]));
        assert_ok(hr_trainer_finish(&trainers[ended], &result, &err), &err);
        assert_int_equal(result->workers[0]->end, HR_WORKER_DONE);
        assert_int_equal(result->life_count, 1);
        assert_null(result->lives[0]->reason);
        hr_trainer_result_free(&result);
    }
    assert_status(hr_trainers_wait(trainers, TRIALS, 0.05, &ended, &err), HR_TIMEOUT);
    hr_trainer_cancel(trainers[2]);
    assert_ok(hr_trainers_wait(trainers, TRIALS, 60, &ended, &err), &err);
    assert_int_equal(ended, 2);
    hr_trainer_result *result = NULL;
    assert_status(hr_trainer_finish(&trainers[2], &result, &err), HR_CANCELLED);
    assert_int_equal(result->workers[0]->end, HR_WORKER_CANCELLED);
    hr_trainer_result_free(&result);
    assert_status(hr_trainers_wait(trainers, TRIALS, 1, &ended, &err), HR_END);
    bench_close(&b);
}

static void worker__that_never_became_one_starts_no_trainer(void **unused)
{
    bench b;
    char parent[32];
    hr_trainer *trainer = NULL;
    hr_error err = HR_ERROR_INIT;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "read");
    snprintf(parent, sizeof parent, "%ld", (long)getppid());
    assert_int_equal(setenv("HEADRACE_WORKER_OF", parent, 1), 0);
    assert_status(hr_trainer_start(b.runtime, &o, &trainer, &err), HR_INVALID);
    assert_message_has(&err, "call hr_worker_main first in main");
    assert_int_equal(unsetenv("HEADRACE_WORKER_OF"), 0);
    bench_close(&b);
}

static void trainer__that_runs_is_ended_by_finish(void **unused)
{
    bench b;
    hr_trainer *trainer = NULL;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "sleep");
    assert_ok(hr_trainer_start(b.runtime, &o, &trainer, &err), &err);
    assert_status(hr_trainer_finish(&trainer, &result, &err), HR_CANCELLED);
    assert_null(trainer);
    assert_int_equal(result->workers[0]->end, HR_WORKER_CANCELLED);
    hr_trainer_result_free(&result);
    bench_close(&b);
}

static void trainer__may_be_cancelled_and_no_more_in_its_callbacks(void **unused)
{
    bench b;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    int32_t ended;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "commit");
    o.run_folder = b.run;
    assert_ok(hr_trainer_start(b.runtime, &o, &b.own, &err), &err);
    assert_ok(hr_trainers_wait(&b.own, 1, 60, &ended, &err), &err);
    assert_int_equal(b.reports, 1);
    assert_status(hr_trainer_finish(&b.own, &result, &err), HR_CANCELLED);
    hr_trainer_result_free(&result);
    bench_close(&b);
}

// --- slots ---

static void slots__are_taken_waited_for_and_given_back(void **unused)
{
    bench b;
    hr_trainer *a = NULL, *second = NULL;
    hr_trainer_result *result = NULL;
    hr_slots_stats slots;
    hr_error err = HR_ERROR_INIT;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "sleep");
    o.name = "A";
    o.cpus = 0.5;
    o.worker_cpus = 0.75;
    o.workers = 2;
    assert_ok(hr_trainer_start(b.runtime, &o, &a, &err), &err);
    hr_runtime_slots(b.runtime, &slots, sizeof slots);
    assert_true(slots.cpus == 2 && slots.cpus_used == 2 && slots.holders == 1);
    hr_trainer_options p = options_of(&b, "read");
    p.name = "B";
    p.worker_cpus = 1;
    assert_int_equal(hr_trainer_start(b.runtime, &p, &second, &err), HR_AGAIN);
    assert_message_has(&err, "B waits for 1 CPU: A holds 2 of 2");
    assert_status(hr_trainer_run(b.runtime, &p, &result, &err), HR_LIMIT); // nobody would free them
    assert_message_has(&err, "this very thread");
    p.worker_cpus = 0; // who takes none always starts
    assert_ok(hr_trainer_run(b.runtime, &p, &result, &err), &err);
    hr_trainer_result_free(&result);
    assert_status(hr_trainer_finish(&a, &result, &err), HR_CANCELLED);
    hr_trainer_result_free(&result);
    p.worker_cpus = 1;
    assert_ok(hr_trainer_run(b.runtime, &p, &result, &err), &err);
    hr_trainer_result_free(&result);
    bench_close(&b);
}

static void slots__that_can_never_be_had_are_refused_at_once(void **unused)
{
    bench b;
    hr_trainer *trainer = NULL;
    hr_error err = HR_ERROR_INIT;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "read");
    o.worker_cpus = 3;
    assert_status(hr_trainer_start(b.runtime, &o, &trainer, &err), HR_LIMIT);
    assert_message_has(&err, "asks for 3 CPUs");
    assert_message_has(&err, "there are 2");
    o.worker_cpus = 0;
    o.gpus = 0.5;
    assert_status(hr_trainer_start(b.runtime, &o, &trainer, &err), HR_LIMIT);
    assert_message_has(&err, "GPU");
    o.gpus = -1;
    assert_status(hr_trainer_start(b.runtime, &o, &trainer, &err), HR_INVALID);
    bench_close(&b);
}

// --- the watchdog ---

static void on_line(void *context, int64_t rank, const char *line)
{
    bench *b = context;
    assert_int_equal(rank, -1);
    snprintf(b->line, sizeof b->line, "%s", line);
    b->lines++;
}

static _Atomic bool stuck_may_go;

static hr_status stuck_function(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    static _Atomic int calls;
    if (calls++ > 0) // the first one finds the schema
        wait_until(stuck_may_go);
    *out = hr_block_ref(in);
    return HR_OK;
}

// Until the watchdog says so.
static void run_stalled(const char *role, int64_t workers, const char *words)
{
    bench b;
    hr_trainer *trainer = NULL;
    hr_trainer_result *result = NULL;
    hr_dataset *stuck = NULL;
    hr_error err = HR_ERROR_INIT;
    int32_t ended;
    bench_open(&b);
    stuck_may_go = false;
    assert_ok(hr_dataset_map_blocks(b.dataset, stuck_function, NULL, NULL, &stuck, &err), &err);
    b.datasets[0].dataset = stuck;
    hr_trainer_options o = options_of(&b, role);
    o.workers = workers;
    o.on_line = on_line;
    o.stall_warning_s = 0.1;
    assert_ok(hr_trainer_start(b.runtime, &o, &trainer, &err), &err);
    hr_dataset_unref(&stuck);
    wait_until(hr_trainers_wait(&trainer, 1, 0.02, &ended, &err) != HR_TIMEOUT ||
               strstr(b.line, words));
    assert_false(hr_trainer_has_ended(trainer));
    stuck_may_go = true;
    assert_status(hr_trainer_finish(&trainer, &result, &err), HR_CANCELLED);
    assert_int_equal(result->stalls, b.lines);
    hr_trainer_result_free(&result);
    bench_close(&b);
}

static void watchdog__says_who_waits_for_whom(void **unused)
{
    run_stalled("read", 1, "whose pipeline waits for a function of yours");
    run_stalled("sleep", 2, "worker 0 has not asked for anything yet; worker 1 has not");
}

// --- lives ---

static void lives__go_on_from_the_last_checkpoint(void **unused)
{
    bench b;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "learn");
    o.workers = 2;
    o.run_folder = b.run;
    o.max_failures = 5;
    assert_ok(hr_trainer_run(b.runtime, &o, &result, &err), &err);
    assert_int_equal(result->life_count, 3);
    assert_int_equal(b.restarts, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(result->lives[i]->rank, 0);
        assert_int_equal(result->lives[i]->end, HR_WORKER_DIED);
        assert_non_null(strstr(result->lives[i]->reason, "signal 9"));
    }
    assert_int_equal(result->lives[0]->from_checkpoint, -1);
    assert_int_equal(result->lives[1]->from_checkpoint, 1);
    assert_int_equal(result->lives[2]->from_checkpoint, 3);
    assert_int_equal(result->checkpoints, b.checkpoints);
    assert_string_equal(result->last_checkpoint, b.last);
    hr_trainer_result_free(&result);
    bench_close(&b);
}

static void lives__are_as_many_as_failures_are_allowed(void **unused)
{
    bench b;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "fail");
    o.max_failures = 2;
    assert_status(hr_trainer_run(b.runtime, &o, &result, &err), HR_USER);
    assert_message_has(&err, "after 2 restarts: not well, time 3");
    assert_int_equal(result->life_count, 3);
    hr_trainer_result_free(&result);
    bench_close(&b);
}

static void life__that_failed_commits_no_more(void **unused)
{
    bench b;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "fail_first");
    o.workers = 2;
    o.run_folder = b.run;
    assert_status(hr_trainer_run(b.runtime, &o, &result, &err), HR_USER);
    assert_int_equal(result->workers[1]->end, HR_WORKER_DONE); // its report was taken
    assert_int_equal(b.reports, 1);
    assert_int_equal(result->checkpoints, 0);
    hr_trainer_result_free(&result);
    bench_close(&b);
}

static void death__ends_the_run_where_that_was_asked(void **unused)
{
    bench b;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "die");
    o.fail_fast = true;
    assert_status(hr_trainer_run(b.runtime, &o, &result, &err), HR_IO);
    assert_message_has(&err, "worker 0: it was killed by signal 9");
    hr_trainer_result_free(&result);
    bench_close(&b);
}

// --- checkpoints ---

static void checkpoint__has_the_loops_files_and_ours(void **unused)
{
    bench b;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    char *path = NULL;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "commit");
    o.workers = 2; // rank 1's are reported, and not kept
    o.run_folder = b.run;
    o.preprocessor = "{\"fitted\": 1}";
    o.preprocessor_bytes = strlen(o.preprocessor);
    assert_ok(hr_trainer_run(b.runtime, &o, &result, &err), &err);
    assert_int_equal(b.reports, 8);
    assert_in_range(b.checkpoints, 4, 8); // rank 1's are, once rank 0 has finished
    assert_int_equal(result->checkpoints, b.checkpoints);
    assert_true(stands(b.last, "deep/model"));
    assert_true(stands(b.last, "preprocessor.json"));
    assert_ok(hr_checkpoint_find(b.run, &path, &err), &err);
    assert_string_equal(path, b.last);
    hr_checkpoint read;
    assert_ok(hr__checkpoint_read(path, "loss", &read, &err), &err);
    assert_true(read.has_score && read.world_size == 2);
    hr__checkpoint_finish(&read);
    hr_text_free(path);
    hr_trainer_result_free(&result);
    bench_close(&b);
}

static void checkpoints__are_kept_by_number_or_by_metric(void **unused)
{
    // Metrics of 0, 1, 2, 3 are 0, 2, 4, 1.
    static const struct {
        int64_t keep;
        const char *metric;
        bool smallest;
        const char *kept, *gone;
    } cases[] = {{2, NULL, false, "checkpoint_000002", "checkpoint_000001"},
                 {2, "loss", false, "checkpoint_000002", "checkpoint_000001"},
                 {2, "loss", true, "checkpoint_000000", "checkpoint_000002"},
                 {1, NULL, false, "checkpoint_000003", "checkpoint_000002"}};
    for (size_t i = 0; i < HR_COUNTOF(cases); i++) {
        bench b;
        hr_trainer_result *result = NULL;
        hr_error err = HR_ERROR_INIT;
        bench_open(&b);
        hr_trainer_options o = options_of(&b, "commit");
        o.run_folder = b.run;
        o.keep = cases[i].keep;
        o.keep_metric = cases[i].metric;
        o.keep_smallest = cases[i].smallest;
        assert_ok(hr_trainer_run(b.runtime, &o, &result, &err), &err);
        assert_true(stands(b.run, "checkpoint_000003"));
        assert_true(stands(b.run, cases[i].kept));
        assert_false(stands(b.run, cases[i].gone));
        hr_trainer_result_free(&result);
        bench_close(&b);
    }
}

static void checkpoint__that_fails_is_an_error_and_leaves_nothing(void **unused)
{
    bench b;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    char *path = NULL;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "missing");
    assert_status(hr_trainer_run(b.runtime, &o, &result, &err), HR_INVALID);
    assert_message_has(&err, "run_folder");
    hr_trainer_result_free(&result);
    o.run_folder = b.run;
    assert_status(hr_trainer_run(b.runtime, &o, &result, &err), HR_NOT_FOUND);
    assert_message_has(&err, "/nowhere/at/all");
    hr_trainer_result_free(&result);
    assert_status(hr_checkpoint_find(b.run, &path, &err), HR_NOT_FOUND);
    assert_status(hr__file_write("/dev/full", "x", 1, &err), HR_LIMIT);
    assert_message_has(&err, "is full");
    o.resume_from = b.run;
    assert_status(hr_trainer_run(b.runtime, &o, &result, &err), HR_NOT_FOUND);
    bench_close(&b);
}

static void run_folder__belongs_to_one_trainer_at_a_time(void **unused)
{
    bench b;
    hr_trainer *first = NULL, *second = NULL;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    bench_open(&b);
    hr_trainer_options o = options_of(&b, "sleep");
    o.run_folder = b.run;
    assert_ok(hr_trainer_start(b.runtime, &o, &first, &err), &err);
    assert_status(hr_trainer_start(b.runtime, &o, &second, &err), HR_INVALID);
    assert_message_has(&err, "in use by another trainer");
    assert_status(hr_trainer_finish(&first, &result, &err), HR_CANCELLED);
    hr_trainer_result_free(&result);
    assert_ok(hr_trainer_start(b.runtime, &o, &second, &err), &err);
    assert_status(hr_trainer_finish(&second, &result, &err), HR_CANCELLED);
    hr_trainer_result_free(&result);
    bench_close(&b);
}

static void run_folder__is_cleaned_of_what_a_crash_left(void **unused)
{
    bench b;
    hr_run_folder run;
    hr_trainer_options o = HR_TRAINER_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    char path[200];
    bench_open(&b);
    snprintf(path, sizeof path, "%s/.staged.1.1/deep", b.run);
    assert_ok(hr__folder_make(path, &err), &err);
    snprintf(path, sizeof path, "%s/checkpoint_000041", b.run);
    assert_ok(hr__folder_make(path, &err), &err);
    o.run_folder = b.run;
    assert_ok(hr__run_folder_open(&o, &run, &err), &err);
    assert_false(stands(b.run, ".staged.1.1"));
    assert_int_equal(run.next, 42);
    assert_int_equal(run.last, -1); // it is not this trainer's
    hr__run_folder_close(&run);
    bench_close(&b);
}

static void checkpoint__text_is_read_with_care(void **unused)
{
    static const struct {
        const char *text;
        hr_status status;
    } cases[] = {
        {"", HR_CORRUPT},
        {"{}", HR_CORRUPT},
        {"[1]", HR_CORRUPT},
        {"{\"headrace\": \"checkpoint\", \"version\": 99}", HR_UNSUPPORTED},
        {"{\"headrace\": \"checkpoint\", \"version\": 1, \"positions\": {\"a\": 3}}", HR_CORRUPT},
        {"{\"headrace\": \"checkpoint\", \"version\": 1, \"positions\": {\"a\": {}}}", HR_INVALID},
        {"{\"headrace\": \"checkpoint\", \"version\": 1}", HR_OK},
    };
    bench b;
    char path[200];
    bench_open(&b);
    snprintf(path, sizeof path, "%s/headrace.json", b.folder);
    for (size_t i = 0; i < HR_COUNTOF(cases); i++) {
        hr_error err = HR_ERROR_INIT;
        hr_checkpoint read;
        assert_ok(hr__file_write(path, cases[i].text, strlen(cases[i].text), &err), &err);
        hr_status status = hr__checkpoint_read(b.folder, NULL, &read, &err);
        if ((status == HR_OK) != (cases[i].status == HR_OK))
            fail_msg("'%s': %s", cases[i].text, hr_status_name(status));
        if (status == HR_OK)
            hr__checkpoint_finish(&read);
    }
    int64_t number;
    assert_true(hr__checkpoint_number("checkpoint_000007", &number) && number == 7);
    assert_false(hr__checkpoint_number("checkpoint_7", &number));
    assert_false(hr__checkpoint_number("checkpoint_00000x", &number));
    assert_false(hr__checkpoint_number("checkpoint_0000000000000000000000", &number));
    bench_close(&b);
}

int main(int argc, char **argv)
{
    int code = hr_worker_main(loop, NULL);
    if (code >= 0)
        return code;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trainers__run_at_once_in_one_thread),
        cmocka_unit_test(trainer__that_runs_is_ended_by_finish),
        cmocka_unit_test(trainer__may_be_cancelled_and_no_more_in_its_callbacks),
        cmocka_unit_test(slots__are_taken_waited_for_and_given_back),
        cmocka_unit_test(slots__that_can_never_be_had_are_refused_at_once),
        cmocka_unit_test(watchdog__says_who_waits_for_whom),
        cmocka_unit_test(lives__go_on_from_the_last_checkpoint),
        cmocka_unit_test(life__that_failed_commits_no_more),
        cmocka_unit_test(worker__that_never_became_one_starts_no_trainer),
        cmocka_unit_test(lives__are_as_many_as_failures_are_allowed),
        cmocka_unit_test(death__ends_the_run_where_that_was_asked),
        cmocka_unit_test(checkpoint__has_the_loops_files_and_ours),
        cmocka_unit_test(checkpoints__are_kept_by_number_or_by_metric),
        cmocka_unit_test(checkpoint__that_fails_is_an_error_and_leaves_nothing),
        cmocka_unit_test(run_folder__belongs_to_one_trainer_at_a_time),
        cmocka_unit_test(run_folder__is_cleaned_of_what_a_crash_left),
        cmocka_unit_test(checkpoint__text_is_read_with_care),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
