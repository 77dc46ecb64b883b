// SPDX-License-Identifier: Apache-2.0
// Functions in processes: this program is its own function process, which does what the payload says.
#include "base/option.h"
#include "base/thread.h"
#include "block/block_sample.h"
#include "exec/exec_sample.h"
#include "exec/udf_growth.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAK_BYTES ((size_t)24 << 20)

// --- the process's side ---

static char what[64];

static hr_status begin(void *context, const void *payload, size_t bytes, hr_error *err)
{
    snprintf(what, sizeof what, "%.*s", (int)bytes, (const char *)payload);
    if (strcmp(what, "no-begin") == 0)
        return hr__error_set(err, HR_USER, "no module named 'nowhere'");
    return HR_OK;
}

static hr_status run(void *context, const hr_block *in, hr_block **out, const void **details,
                     size_t *details_bytes, hr_error *err)
{
    static hr_block *kept;
    static char *leaked;
    static int64_t calls;
    if (strcmp(what, "fail") == 0) {
        *details = "pickled";
        *details_bytes = 7;
        return hr__error_set(err, HR_USER, "ValueError: bad row");
    }
    if (strcmp(what, "die") == 0)
        kill(getpid(), SIGKILL);
    if (strncmp(what, "once:", 5) == 0 && access(what + 5, F_OK) != 0) {
        FILE *f = fopen(what + 5, "w");
        fclose(f);
        _exit(3);
    }
    if (strcmp(what, "sleep") == 0)
        for (;;)
            pause();
    if (strcmp(what, "keep") == 0 && !kept)
        kept = hr_block_ref(in);
    if (strcmp(what, "write") == 0)
        ((int64_t *)(uintptr_t)hr_block_column(in, 0)->data)[0] += 1;
    // Both say in the first row how many calls this process had.
    calls++;
    if (strcmp(what, "leak") == 0) {
        char **more = malloc(LEAK_BYTES);
        memset(more, 1, LEAK_BYTES);
        *more = leaked;
        leaked = (char *)more;
        ((int64_t *)(uintptr_t)hr_block_column(in, 0)->data)[0] = calls;
    }
    if (strcmp(what, "hoard") == 0) {
        ((int64_t *)(uintptr_t)hr_block_column(in, 0)->data)[0] = calls;
        (void)hr_block_ref(in); // for ever
    }
    *out = hr_block_ref(in);
    return HR_OK;
}

// --- the runtime's side ---

static hr_udf *open_udf(hr_runtime *rt, const char *payload)
{
    const char *argv[] = {"/proc/self/exe", NULL};
    hr_udf_config config = {.argv = argv,
                            .payload = payload,
                            .payload_bytes = strlen(payload),
                            .processes_max = 2,
                            .name = payload};
    hr_udf *udf = NULL;
    assert_int_equal(hr__udf_open(rt, &config, &udf, NULL), HR_OK);
    return udf;
}

static hr_block *numbers(int64_t rows)
{
    static const hr_type type = {.id = HR_TYPE_INT64};
    const hr_field field = {"x", &type, false};
    hr_schema *schema = NULL;
    hr_block *block = NULL;
    hr_column column = {.type = &type, .rows = rows};
    int64_t *values = malloc((size_t)rows * 8 + 64);
    for (int64_t i = 0; i < rows; i++)
        values[i] = i;
    column.data = values;
    assert_int_equal(hr_schema_make(&field, 1, &schema, NULL), HR_OK);
    assert_int_equal(hr__block_make(schema, rows, &column, free, values, &block, NULL), HR_OK);
    hr_schema_unref(&schema);
    return block;
}

static void check_echo(hr_udf *udf, int64_t rows)
{
    hr_error err = HR_ERROR_INIT;
    hr_block *in = numbers(rows), *out = NULL;
    hr_status status = hr__udf_call(udf, in, &out, &err);
    if (status)
        fail_msg("%s", err.message);
    assert_int_equal(out->rows, rows);
    assert_true(hr_schema_equal(out->schema, in->schema));
    assert_memory_equal(out->columns[0].data, in->columns[0].data, (size_t)rows * 8);
    hr_block_unref(&in);
    hr_block_unref(&out);
}

static void udf__gives_back_what_the_function_made(void **state)
{
    hr_runtime *rt = sample_runtime(2, 64);
    hr_udf *udf = open_udf(rt, "echo");
    check_echo(udf, 5);
    check_echo(udf, 100000); // new segments, both ways
    check_echo(udf, 1);
    check_echo(udf, 0);
    assert_int_equal(hr__udf_replaced(udf), 0);
    hr__udf_close(&udf);
    assert_null(udf);
    assert_int_equal(hr__runtime_ledger(rt)->kind_used_bytes[HR_LEDGER_HEAP], 0);
    hr_runtime_close(&rt);
}

static void udf__lets_the_function_keep_its_input(void **state)
{
    hr_runtime *rt = sample_runtime(2, 64);
    hr_udf *udf = open_udf(rt, "keep");
    for (int i = 0; i < 4; i++)
        check_echo(udf, 1000 + i);
    hr__udf_close(&udf);
    hr_runtime_close(&rt);
}

static void udf__changes_in_place_stay_with_the_call(void **state)
{
    hr_runtime *rt = sample_runtime(2, 64);
    hr_udf *udf = open_udf(rt, "write");
    hr_block *in = numbers(10), *out = NULL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hr__udf_call(udf, in, &out, NULL), HR_OK);
        assert_int_equal(((const int64_t *)out->columns[0].data)[0], 1);
        assert_int_equal(((const int64_t *)in->columns[0].data)[0], 0);
        hr_block_unref(&out);
    }
    hr_block_unref(&in);
    hr__udf_close(&udf);
    hr_runtime_close(&rt);
}

static void check_failure(const char *payload, hr_status expected, const char *words)
{
    hr_runtime *rt = sample_runtime(2, 64);
    hr_udf *udf = open_udf(rt, payload);
    hr_error err = HR_ERROR_INIT;
    hr_block *in = numbers(10), *out = NULL;
    assert_int_equal(hr__udf_call(udf, in, &out, &err), expected);
    if (!strstr(err.message, words))
        fail_msg("'%s' does not say '%s'", err.message, words);
    assert_null(out);
    hr_block_unref(&in);
    hr__udf_close(&udf);
    hr_runtime_close(&rt);
}

static void udf__failure_carries_words_and_details(void **state)
{
    size_t count = 0;
    check_failure("fail", HR_USER, "ValueError: bad row");
    const void *details = hr__udf_get_details(&count);
    assert_int_equal(count, 7);
    assert_memory_equal(details, "pickled", 7);
    check_failure("no-begin", HR_USER, "no module named");
    assert_null(hr__udf_get_details(&count));
}

static void udf__three_deaths_by_one_block_stop_the_job(void **state)
{
    check_failure("die", HR_USER, "died 3 times at this block of 10 rows (killed by signal 9");
}

static void udf__a_death_is_followed_by_another_try(void **state)
{
    char path[64], payload[96];
    snprintf(path, sizeof path, "/tmp/hr-udf-%ld", (long)getpid());
    snprintf(payload, sizeof payload, "once:%s", path);
    hr_runtime *rt = sample_runtime(2, 64);
    hr_udf *udf = open_udf(rt, payload);
    check_echo(udf, 10);
    unlink(path);
    hr__udf_close(&udf);
    hr_runtime_close(&rt);
}

// 24 MiB a call with a bound of 64: a process has four calls, and the first is not judged. The thread sanitizer's own
// memory grows with what is touched: fewer then.
static void check_growth(const char *payload, int64_t rows)
{
    hr_runtime *rt = sample_runtime(2, 64);
    hr_udf *udf = open_udf(rt, payload);
    hr_block *in = numbers(rows), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    int64_t calls = 0, replaced = 0;
    for (int64_t i = 0; i < 12; i++) {
        if (hr__udf_call(udf, in, &out, &err))
            fail_msg("%s", err.message);
        const int64_t *values = out->columns[0].data, *given = in->columns[0].data;
        assert_int_equal(values[0], ++calls);
        assert_memory_equal(values + 1, given + 1, (size_t)(rows - 1) * 8);
        hr_block_unref(&out);
        if (hr__udf_replaced(udf) > replaced) {
            assert_true(calls <= 4 && calls >= (HR_THREAD_SANITIZER ? 2 : 4));
            assert_int_equal(hr__udf_replaced(udf), ++replaced);
            calls = 0;
        }
    }
    assert_true(replaced >= 3);
    hr_block_unref(&in);
    hr__udf_close(&udf);
    assert_int_equal(hr__runtime_ledger(rt)->kind_used_bytes[HR_LEDGER_HEAP], 0);
    hr_runtime_close(&rt);
}

static void udf__process_that_leaks_is_replaced_between_calls(void **state)
{
    check_growth("leak", 10);
}

static void udf__inputs_that_a_function_hoards_are_its_growth(void **state)
{
    check_growth("hoard", (int64_t)LEAK_BYTES / 8);
}

static void udf__growth_is_bounded_by_half_the_budget_of_all_processes(void **state)
{
    const uint64_t mib = 1 << 20;
    assert_int_equal(hr__udf_growth_bound(8192 * mib, 4), 1024 * mib);
    assert_int_equal(hr__udf_growth_bound(64 * mib, 2), 64 * mib);
    hr_udf_growth g = {0, 900 * mib};
    assert_false(hr__udf_growth_exceeds(&g, 64 * mib)); // its first call
    g.held_bytes = 964 * mib;
    assert_false(hr__udf_growth_exceeds(&g, 64 * mib));
    g.held_bytes++;
    assert_true(hr__udf_growth_exceeds(&g, 64 * mib));
    g.held_bytes = 10; // smaller than at first
    assert_false(hr__udf_growth_exceeds(&g, 64 * mib));
}

typedef struct sleeper {
    hr_udf *udf;
    hr_status status;
    _Atomic bool called;
} sleeper;

static void call_sleeper(void *arg)
{
    sleeper *s = arg;
    hr_block *in = numbers(3), *out = NULL;
    s->called = true;
    s->status = hr__udf_call(s->udf, in, &out, NULL);
    hr_block_unref(&in);
}

static void udf__interruption_ends_a_call_that_sleeps(void **state)
{
    hr_runtime *rt = sample_runtime(2, 64);
    sleeper s = {.udf = open_udf(rt, "sleep")};
    hr_thread thread = {0};
    assert_int_equal(hr__thread_start(&thread, "sleeper", HR_THREAD_NORMAL, call_sleeper, &s, NULL),
                     HR_OK);
    while (!s.called)
        sched_yield();
    hr_runtime_interrupt(rt);
    hr__thread_join(&thread);
    assert_int_equal(s.status, HR_CANCELLED);
    hr__udf_close(&s.udf);
    hr_runtime_close(&rt);
}

static void call_many(void *arg)
{
    for (int i = 0; i < 20; i++)
        check_echo(arg, 100 + i);
}

static void udf__serves_more_callers_than_processes(void **state)
{
    hr_runtime *rt = sample_runtime(2, 64);
    hr_udf *udf = open_udf(rt, "echo");
    hr_thread threads[5] = {0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(
            hr__thread_start(&threads[i], "caller", HR_THREAD_NORMAL, call_many, udf, NULL), HR_OK);
    for (int i = 0; i < 5; i++)
        hr__thread_join(&threads[i]);
    hr__udf_close(&udf);
    hr_runtime_close(&rt);
}

static void udf__program_that_is_not_there_is_named(void **state)
{
    hr_runtime *rt = sample_runtime(2, 64);
    const char *argv[] = {"/nowhere/python", NULL};
    hr_udf_config config = {.argv = argv, .name = "f"};
    hr_udf *udf = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_block *in = numbers(3), *out = NULL;
    assert_int_equal(hr__udf_open(rt, &config, &udf, NULL), HR_OK);
    assert_int_equal(hr__udf_call(udf, in, &out, &err), HR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere/python"));
    hr_block_unref(&in);
    hr__udf_close(&udf);
    hr_runtime_close(&rt);
}

int main(void)
{
    if (hr__env("HEADRACE_FUNCTION_FD")) {
        hr_udf_server server = {begin, run, NULL};
        return hr__udf_serve(&server, NULL) == HR_END ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(udf__gives_back_what_the_function_made),
        cmocka_unit_test(udf__lets_the_function_keep_its_input),
        cmocka_unit_test(udf__changes_in_place_stay_with_the_call),
        cmocka_unit_test(udf__failure_carries_words_and_details),
        cmocka_unit_test(udf__three_deaths_by_one_block_stop_the_job),
        cmocka_unit_test(udf__a_death_is_followed_by_another_try),
        cmocka_unit_test(udf__process_that_leaks_is_replaced_between_calls),
        cmocka_unit_test(udf__inputs_that_a_function_hoards_are_its_growth),
        cmocka_unit_test(udf__growth_is_bounded_by_half_the_budget_of_all_processes),
        cmocka_unit_test(udf__interruption_ends_a_call_that_sleeps),
        cmocka_unit_test(udf__serves_more_callers_than_processes),
        cmocka_unit_test(udf__program_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
