// SPDX-License-Identifier: Apache-2.0
// Options by table, and the log that the environment steers.
#include "base/log.h"
#include "base/option.h"
#include "base/unit.h"

#include <stdlib.h>

typedef struct job {
    size_t size;
    int64_t batch_rows;
    int64_t memory_bytes;
    double idle_s;
    bool drop_last;
    const char *name;
    int mode;
    int64_t free_number; // no bounds
} job;

static const char *const modes[] = {"none", "blocks", "window", NULL};
static const hr_option_row rows[] = {
    {"batch_rows", HR_OPTION_INT, offsetof(job, batch_rows), 256, -1, 1e6, NULL, "Rows a batch."},
    {"memory_bytes", HR_OPTION_BYTES, offsetof(job, memory_bytes), 1 << 30, 1 << 20, 1e15, NULL,
     "The budget.", "--memory", "budget"},
    {"idle_s", HR_OPTION_SECONDS, offsetof(job, idle_s), 2.5, 0.001, 3600, NULL, "Patience."},
    {"drop_last", HR_OPTION_BOOL, offsetof(job, drop_last), 0, 0, 0, NULL, "Whole batches only."},
    {"name", HR_OPTION_TEXT, offsetof(job, name), 0, 0, 0, NULL, "Who."},
    {"mode", HR_OPTION_CHOICE, offsetof(job, mode), 0, 0, 0, modes, "Order."},
    {"free_number", HR_OPTION_INT, offsetof(job, free_number), 0, 0, 0, NULL, "Any."},
};
static const hr_option_table table = HR_OPTION_TABLE("job", job, rows, "work");
static const hr_option_table call_table = HR_CALL_OPTION_TABLE("call", job, rows, NULL);
static hr_error err;

static void options__null_means_defaults(void **state)
{
    job j;
    assert_ok(hr__options_resolve(&table, NULL, &j, &err), &err);
    assert_int_equal(j.size, sizeof j);
    assert_int_equal(j.batch_rows, 256);
    assert_int_equal(j.memory_bytes, 1 << 30);
    assert_true(j.idle_s == 2.5);
    assert_false(j.drop_last);
    assert_null(j.name);
    assert_int_equal(j.mode, 0);
}

static void options__short_struct_has_a_zero_tail(void **state)
{
    job given = {.size = offsetof(job, memory_bytes), .batch_rows = 5, .memory_bytes = 7}, j;
    assert_ok(hr__options_resolve(&table, &given, &j, &err), &err);
    assert_int_equal(j.batch_rows, 5);
    assert_int_equal(j.memory_bytes, 1 << 30);
    given.size = 0;
    assert_status(hr__options_resolve(&table, &given, &j, &err), HR_INVALID);
}

static void options__longer_struct_must_be_zero_there(void **state)
{
    struct {
        job known;
        int64_t later;
    } given = {{.size = sizeof given, .batch_rows = 9}, 0};
    job j;
    assert_ok(hr__options_resolve(&table, &given, &j, &err), &err);
    assert_int_equal(j.batch_rows, 9);
    assert_int_equal(j.size, sizeof j);
    given.later = 1;
    assert_status(hr__options_resolve(&table, &given, &j, &err), HR_UNSUPPORTED);
}

static void stats__write_what_the_caller_has_room_for(void **state)
{
    const int64_t counted[] = {1, 2, 3};
    int64_t out[] = {-1, -1, -1, -1, -1};
    hr__stats_copy(out, 2 * sizeof *out, counted, sizeof counted); // built for an older library
    assert_true(out[0] == 1 && out[1] == 2 && out[2] == -1);
    hr__stats_copy(out, 4 * sizeof *out, counted, sizeof counted); // for a newer one
    assert_true(out[2] == 3 && out[3] == 0 && out[4] == -1);
}

static void options__bounds_name_the_option(void **state)
{
    job given = {.size = sizeof given, .batch_rows = -2}, j;
    assert_status(hr__options_resolve(&table, &given, &j, &err), HR_INVALID);
    assert_string_equal(err.message, "option 'batch_rows' is -2: allowed are -1 to 1000000");
    given = (job){.size = sizeof given, .batch_rows = -1, .idle_s = 4000};
    assert_status(hr__options_resolve(&table, &given, &j, &err), HR_INVALID);
    assert_message_has(&err, "option 'idle_s' is 4000: allowed are 0.001 to 3600 seconds");
    given = (job){.size = sizeof given, .mode = 3};
    assert_status(hr__options_resolve(&table, &given, &j, &err), HR_INVALID);
    assert_message_has(&err, "none, blocks, window");
    given = (job){.size = sizeof given, .free_number = INT64_MIN};
    assert_ok(hr__options_resolve(&table, &given, &j, &err), &err);
}

static void options__environment_fills_what_was_left_alone(void **state)
{
    job given = {.size = sizeof given}, j;
    setenv("HEADRACE_BATCH_ROWS", "77", 1);
    setenv("HEADRACE_MODE", "window", 1);
    assert_ok(hr__options_resolve(&table, &given, &j, &err), &err);
    assert_int_equal(j.batch_rows, 77);
    assert_int_equal(j.mode, 2);
    assert_ok(hr__options_resolve(&call_table, &given, &j, &err), &err); // not for one call
    assert_true(j.batch_rows == 256 && j.mode == 0);
    given.batch_rows = 5;
    assert_ok(hr__options_resolve(&table, &given, &j, &err), &err);
    assert_int_equal(j.batch_rows, 5);
    given.batch_rows = 0;
    setenv("HEADRACE_BATCH_ROWS", "many", 1);
    assert_status(hr__options_resolve(&table, &given, &j, &err), HR_INVALID);
    assert_message_has(&err, "environment variable HEADRACE_BATCH_ROWS");
    setenv("HEADRACE_BATCH_ROWS", "", 1); // empty is unset
    assert_null(hr__env("HEADRACE_BATCH_ROWS"));
    assert_ok(hr__options_resolve(&table, &given, &j, &err), &err);
    assert_int_equal(j.batch_rows, 256);
    unsetenv("HEADRACE_BATCH_ROWS");
    unsetenv("HEADRACE_MODE");
}

static void options__parse_as_the_command_line(void **state)
{
    static const char *const good[][2] = {{"batch-rows", "12"}, {"memory_bytes", "64MiB"},
                                          {"idle_s", "250ms"},  {"drop-last", "yes"},
                                          {"name", "x y"},      {"mode", "blocks"}};
    static const char *const bad[][2] = {
        {"batch-rows", "12x"}, {"batch-rows", "-5"},  {"batch_rows", "99999999999999999999"},
        {"memory_bytes", "1"}, {"memory_bytes", "q"}, {"idle_s", "soon"},
        {"idle_s", "nan"},     {"drop-last", "2"},    {"mode", "mixed"},
        {"nonesuch", "1"},     {"batch", "1"},        {"idle_s", ""}};
    job j = {.size = sizeof j};
    for (size_t i = 0; i < HR_COUNTOF(good); i++)
        assert_ok(hr__option_parse(&table, good[i][0], good[i][1], &j, &err), &err);
    assert_int_equal(j.batch_rows, 12);
    assert_int_equal(j.memory_bytes, 64 << 20);
    assert_true(j.idle_s == 0.25);
    assert_true(j.drop_last);
    assert_string_equal(j.name, "x y");
    assert_int_equal(j.mode, 1);
    for (size_t i = 0; i < HR_COUNTOF(bad); i++) {
        job k = {.size = sizeof k};
        assert_status(hr__option_parse(&table, bad[i][0], bad[i][1], &k, &err), HR_INVALID);
    }
    assert_status(hr__option_parse(&table, "nonesuch", "1", &j, &err), HR_INVALID);
    assert_message_has(&err, "batch_rows, memory_bytes");
}

static void options__print_shows_every_row(void **state)
{
    hr_text t;
    hr__text_init(&t, 10000);
    hr__options_print(&table, &t);
    for (size_t i = 0; i < HR_COUNTOF(rows); i++)
        assert_non_null(strstr(hr__text_str(&t), rows[i].name));
    assert_non_null(strstr(hr__text_str(&t), "job: job, in Python work\n"));
    assert_non_null(
        strstr(hr__text_str(&t), "bytes, 1.0 MiB to 909.49 TiB, default 1.00 GiB: The budget.\n"));
    assert_non_null(
        strstr(hr__text_str(&t), "also HEADRACE_MEMORY_BYTES, --memory, in Python budget=\n"));
    assert_non_null(strstr(hr__text_str(&t), "choice, one of none, blocks, window: Order.\n"));
    hr__text_clear(&t);
    hr__options_print(&call_table, &t);
    assert_null(strstr(hr__text_str(&t), "HEADRACE_"));
    assert_non_null(strstr(hr__text_str(&t), " also --memory, in Python budget=\n"));
    hr__text_clear(&t);
    hr__options_print_json(&table, &t);
    assert_non_null(strstr(hr__text_str(&t),
                           "{\"name\": \"mode\", \"type\": \"choice\", \"default\": \"none\", "
                           "\"choices\": [\"none\", \"blocks\", \"window\"]"));
    assert_non_null(
        strstr(hr__text_str(&t),
               "\"environment\": \"HEADRACE_IDLE_S\", \"flag\": null, \"keyword\": null}"));
    hr__text_finish(&t);
}

static char last_line[256];
static int last_level = -1;

static void remember(void *context, hr_log_level level, const char *line)
{
    *(int *)context = (int)level;
    size_t bytes = strlen(line);
    bytes = HR_MIN(bytes, sizeof last_line - 1);
    memcpy(last_line, line, bytes);
    last_line[bytes] = 0;
}

static void log__goes_to_the_sink_as_one_line(void **state)
{
    hr_log_set_sink(remember, &last_level);
    hr__log(HR_LOG_WARNING, "request %d\nretried", 3);
    assert_string_equal(last_line, "request 3 retried");
    assert_int_equal(last_level, HR_LOG_WARNING);
    hr_log_set_sink(NULL, NULL);
}

static void log__trace_follows_the_environment(void **state)
{
    setenv("HEADRACE_TRACE", "sched,io,nonsense", 1);
    assert_true(hr__trace_on(HR_TOPIC_SCHED));
    assert_true(hr__trace_on(HR_TOPIC_IO));
    assert_false(hr__trace_on(HR_TOPIC_STORE));
    hr_log_set_sink(remember, &last_level);
    hr__trace(HR_TOPIC_IO, "read %d", 5);
    assert_string_equal(last_line, "read 5");
    hr__trace(HR_TOPIC_STORE, "unseen");
    assert_string_equal(last_line, "read 5");
    hr_log_set_sink(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options__null_means_defaults),
        cmocka_unit_test(options__short_struct_has_a_zero_tail),
        cmocka_unit_test(options__longer_struct_must_be_zero_there),
        cmocka_unit_test(stats__write_what_the_caller_has_room_for),
        cmocka_unit_test(options__bounds_name_the_option),
        cmocka_unit_test(options__environment_fills_what_was_left_alone),
        cmocka_unit_test(options__parse_as_the_command_line),
        cmocka_unit_test(options__print_shows_every_row),
        cmocka_unit_test(log__goes_to_the_sink_as_one_line),
        cmocka_unit_test(log__trace_follows_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
