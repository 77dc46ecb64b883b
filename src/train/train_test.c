// SPDX-License-Identifier: Apache-2.0
// A trainer and workers: this program starts itself as the worker, what it does is told by the payload.
#include "base/os.h"
#include "base/unit.h"
#include "train/report_ring.h"
#include <headrace/headrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS   4000
#define BLOCKS 20
#define WHOLE  ((int64_t)ROWS * (ROWS - 1) / 2) // the sum of all ids

// --- the worker's side ---

static hr_status read_all(hr_session *session, const hr_stream_options *options, int64_t *sum,
                          int64_t *rows, hr_error *err)
{
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    hr_status status = hr_session_feed(session, "train", options, NULL, &feed, err);
    while (status == HR_OK && (status = hr_feed_next(feed, &batch, err)) == HR_OK) {
        const int64_t *ids = NULL;
        status = hr_batch_i64(batch, "id", &ids, err);
        for (int64_t i = 0; status == HR_OK && i < hr_batch_rows(batch); i++)
            *sum += ids[i];
        *rows += hr_batch_rows(batch);
        hr_batch_unref(&batch);
    }
    hr_feed_close(&feed);
    return status == HR_END ? HR_OK : status;
}

static hr_status report_sum(hr_session *session, int64_t sum, int64_t rows, hr_error *err)
{
    char text[128];
    snprintf(text, sizeof text, "%lld %lld", (long long)sum, (long long)rows);
    return hr_session_report(session, text, err);
}

static hr_status act(hr_session *session, const char *role, hr_error *err)
{
    hr_stream_options options = HR_STREAM_OPTIONS_INIT;
    int64_t sum = 0, rows = 0;
    bool first = hr_session_rank(session) == 0;
    options.batch_rows = 64;
    if (strcmp(role, "die") == 0 && first)
        return raise(SIGKILL) == 0 ? HR_IO : HR_IO;
    if (strcmp(role, "sleep") == 0 && first)
        for (;;)
            pause();
    if (strcmp(role, "fail") == 0 && first)
        return HR_FAIL(err, HR_USER, "the loop of rank 0 is not well");
    if (strcmp(role, "half") == 0 && first) {
        hr_feed *feed = NULL;
        hr_batch *batch = NULL;
        HR_TRY(hr_session_feed(session, "train", &options, NULL, &feed, err));
        for (int i = 0; i < 3; i++) {
            HR_TRY(hr_feed_next(feed, &batch, err));
            hr_batch_unref(&batch);
        }
        (void)raise(SIGKILL);
    }
    if (strcmp(role, "chatter") == 0)
        for (int i = 0; i < 100000; i++)
            HR_TRY(report_sum(session, i, i, err));
    if (strcmp(role, "lost") == 0)
        return hr_session_feed(session, "valid", &options, NULL, &(hr_feed *){NULL}, err);
    HR_TRY(hr_session_line(session, "begins", err));
    HR_TRY(read_all(session, &options, &sum, &rows, err));
    if (strcmp(role, "twice") == 0)
        HR_TRY(read_all(session, &options, &sum, &rows, err));
    return report_sum(session, sum, rows, err);
}

static int work(void)
{
    hr_session *session = NULL;
    hr_error err = HR_ERROR_INIT;
    char role[32] = "";
    size_t bytes = 0;
    if (hr_session_open(&session, &err) != HR_OK)
        return 3;
    const void *payload = hr_session_payload(session, &bytes);
    memcpy(role, payload, bytes < sizeof role - 1 ? bytes : sizeof role - 1);
    hr_status status = act(session, role, &err);
    hr_status told = hr_session_finish(session, status, err.message, "details", 7, NULL);
    hr_session_close(&session);
    return status == HR_OK && told == HR_OK ? 0 : 1;
}

// --- the trainer's side ---

typedef struct heard {
    int64_t sum, rows, reports, lines, ticks, ticks_max;
} heard;

static hr_status on_report(void *context, int64_t rank, const char *json, hr_error *err)
{
    heard *h = context;
    char *end = NULL;
    int64_t sum = strtoll(json, &end, 10);
    h->sum += sum;
    h->rows += strtoll(end, NULL, 10);
    h->reports++;
    return HR_OK;
}

static void on_line(void *context, int64_t rank, const char *line)
{
    assert_string_equal(line, "begins");
    ((heard *)context)->lines++;
}

static hr_status on_tick(void *context, hr_error *err)
{
    heard *h = context;
    if (++h->ticks == h->ticks_max)
        return HR_FAIL(err, HR_CANCELLED, "enough");
    return HR_OK;
}

static hr_status run(const char *role, int64_t workers, double idle_s, heard *h,
                     hr_trainer_result **out, hr_error *err)
{
    char self[4096];
    hr_runtime_options budget = HR_RUNTIME_OPTIONS_INIT;
    hr_trainer_options options = HR_TRAINER_OPTIONS_INIT;
    hr_runtime *runtime = NULL;
    hr_dataset *dataset = NULL;
    hr_memory_stats memory;
    budget.memory_bytes = 64 << 20;
    budget.threads = 2;
    assert_ok(hr__self_path(self, sizeof self, err), err);
    assert_ok(hr_runtime_open(&budget, &runtime, err), err);
    assert_ok(hr_range(runtime, ROWS, BLOCKS, &dataset, err), err);
    const hr_trainer_dataset datasets[] = {{"train", dataset, true}};
    const char *argv[] = {self, "act", NULL};
    options.workers = workers;
    options.argv = argv;
    options.payload = role;
    options.payload_bytes = strlen(role);
    options.datasets = datasets;
    options.dataset_count = 1;
    options.worker_idle_s = idle_s;
    options.on_report = on_report;
    options.on_line = on_line;
    options.on_tick = on_tick;
    options.context = h;
    hr_status status = hr_trainer_run(runtime, &options, out, err);
    hr_runtime_memory(runtime, &memory, sizeof memory);
    assert_int_equal(memory.leased_bytes, 0); // nothing stays pinned, whoever died
    hr_dataset_unref(&dataset);
    hr_runtime_close(&runtime);
    return status;
}

static void trainer__deals_every_row_once(void **unused)
{
    for (int64_t workers = 1; workers <= 3; workers++) {
        heard h = {0};
        hr_error err = HR_ERROR_INIT;
        hr_trainer_result *result = NULL;
        assert_ok(run("read", workers, 0, &h, &result, &err), &err);
        assert_int_equal(h.sum, WHOLE);
        assert_int_equal(h.rows, ROWS);
        assert_int_equal(h.lines, workers);
        assert_int_equal(result->worker_count, workers);
        for (int64_t i = 0; i < workers; i++) {
            assert_int_equal(result->workers[i]->end, HR_WORKER_DONE);
            assert_int_equal(result->workers[i]->undelivered_rows, 0);
            assert_memory_equal(result->workers[i]->details, "details", 7);
        }
        assert_true(result->peak_bytes > 0);
        hr_trainer_result_free(&result);
    }
}

static void trainer__gives_another_pass_to_who_asks_again(void **unused)
{
    heard h = {0};
    hr_error err = HR_ERROR_INIT;
    hr_trainer_result *result = NULL;
    assert_ok(run("twice", 2, 0, &h, &result, &err), &err);
    assert_int_equal(h.sum, 2 * WHOLE);
    assert_int_equal(h.rows, 2 * ROWS);
    hr_trainer_result_free(&result);
}

static void trainer__goes_on_when_a_worker_is_killed(void **unused)
{
    heard h = {0};
    hr_error err = HR_ERROR_INIT;
    hr_trainer_result *result = NULL;
    assert_ok(run("die", 2, 0, &h, &result, &err), &err);
    assert_int_equal(result->workers[0]->end, HR_WORKER_DIED);
    assert_int_equal(result->workers[0]->exit_code, 128 + SIGKILL);
    assert_non_null(strstr(result->workers[0]->message, "signal 9"));
    assert_int_equal(result->workers[1]->end, HR_WORKER_DONE);
    assert_int_equal(h.rows, result->workers[1]->rows);
    hr_trainer_result_free(&result);
}

static void trainer__tells_what_was_not_delivered_to_the_dead(void **unused)
{
    heard h = {0};
    hr_error err = HR_ERROR_INIT;
    hr_trainer_result *result = NULL;
    assert_ok(run("half", 2, 0, &h, &result, &err), &err);
    assert_int_equal(result->workers[0]->end, HR_WORKER_DIED);
    assert_int_equal(result->workers[0]->rows, 3 * 64);
    assert_true(result->workers[0]->undelivered_rows == -1 ||
                result->workers[0]->undelivered_rows + 3 * 64 + result->workers[1]->rows <= ROWS);
    assert_int_equal(result->workers[1]->end, HR_WORKER_DONE);
    hr_trainer_result_free(&result);
}

// On a machine that has much else to do the worker at work may seem idle too: it is given more time then.
static void trainer__ends_who_is_idle(void **unused)
{
    hr_worker_end other = HR_WORKER_IDLE;
    for (double idle_s = 0.25; other == HR_WORKER_IDLE; idle_s *= 2) {
        heard h = {0};
        hr_error err = HR_ERROR_INIT;
        hr_trainer_result *result = NULL;
        assert_true(idle_s < 100);
        hr_status status = run("sleep", 2, idle_s, &h, &result, &err);
        assert_int_equal(result->workers[0]->end, HR_WORKER_IDLE);
        other = result->workers[1]->end;
        assert_int_equal(status, other == HR_WORKER_IDLE ? HR_TIMEOUT : HR_OK);
        hr_trainer_result_free(&result);
    }
    assert_int_equal(other, HR_WORKER_DONE);
}

static void trainer__returns_a_loops_failure_as_it_was(void **unused)
{
    heard h = {0};
    hr_error err = HR_ERROR_INIT;
    hr_trainer_result *result = NULL;
    assert_status(run("fail", 2, 0, &h, &result, &err), HR_USER);
    assert_message_has(&err, "not well");
    assert_int_equal(result->workers[0]->end, HR_WORKER_FAILED);
    assert_int_equal(result->workers[0]->details_bytes, 7);
    hr_trainer_result_free(&result);
    assert_status(run("lost", 1, 0, &h, &result, &err), HR_NOT_FOUND);
    assert_message_has(&err, "'train'");
    hr_trainer_result_free(&result);
}

static void trainer__is_cancelled_from_its_tick(void **unused)
{
    heard h = {.ticks_max = 2};
    hr_error err = HR_ERROR_INIT;
    hr_trainer_result *result = NULL;
    assert_status(run("sleep", 1, 0, &h, &result, &err), HR_CANCELLED);
    assert_int_equal(result->workers[0]->end, HR_WORKER_CANCELLED);
    hr_trainer_result_free(&result);
}

static void report__never_blocks_and_the_latest_wins(void **unused)
{
    heard h = {0};
    hr_error err = HR_ERROR_INIT;
    hr_trainer_result *result = NULL;
    assert_ok(run("chatter", 1, 0, &h, &result, &err), &err);
    assert_int_equal(h.reports + result->workers[0]->reports_replaced, 100001);
    hr_trainer_result_free(&result);
}

static void report__ring_keeps_order_and_replaces_the_newest(void **unused)
{
    hr_report_ring *reader = NULL, *writer = NULL;
    hr_error err = HR_ERROR_INIT;
    char text[HR_REPORT_BYTES_MAX + 1];
    int fd = -1;
    assert_ok(hr__report_ring_make(&reader, &fd, &err), &err);
    assert_ok(hr__report_ring_attach(fd, &writer, &err), &err);
    hr__close_fd(&fd);
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_ok(hr__report_ring_write(writer, text, &err), &err);
    }
    for (int i = 0; i < 7; i++) {
        assert_true(hr__report_ring_read(reader, text));
        assert_int_equal(strtol(text, NULL, 10), i);
    }
    assert_true(hr__report_ring_read(reader, text));
    assert_string_equal(text, "19");
    assert_false(hr__report_ring_read(reader, text));
    assert_int_equal(hr__report_ring_replaced(reader), 12);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_ok(hr__report_ring_write(writer, text, &err), &err);
    assert_true(hr__report_ring_read(reader, text));
    assert_int_equal(strlen(text), HR_REPORT_BYTES_MAX);
    hr__report_ring_close(&writer);
    hr__report_ring_close(&reader);
}

static void session__says_when_no_trainer_started_it(void **unused)
{
    hr_session *session = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_status(hr_session_open(&session, &err), HR_INVALID);
    assert_message_has(&err, "not started by a headrace trainer");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trainer__deals_every_row_once),
        cmocka_unit_test(trainer__gives_another_pass_to_who_asks_again),
        cmocka_unit_test(trainer__goes_on_when_a_worker_is_killed),
        cmocka_unit_test(trainer__tells_what_was_not_delivered_to_the_dead),
        cmocka_unit_test(trainer__ends_who_is_idle),
        cmocka_unit_test(trainer__returns_a_loops_failure_as_it_was),
        cmocka_unit_test(trainer__is_cancelled_from_its_tick),
        cmocka_unit_test(report__never_blocks_and_the_latest_wins),
        cmocka_unit_test(report__ring_keeps_order_and_replaces_the_newest),
        cmocka_unit_test(session__says_when_no_trainer_started_it),
    };
    if (argc > 1 && strcmp(argv[1], "act") == 0)
        return work();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
