// SPDX-License-Identifier: Apache-2.0
// Trainers that reserve ingest threads. The functions of both run in this process, so they can count each other: a
// heavy call lasts until the light trainer's last one is over. This program starts itself as the worker.
#include "base/os.h"
#include "exec/exec_sample.h"
#include <headrace/headrace.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define LIGHT_CALLS 60
#define HEAVY_CALLS 400
#define BOUND_NS    (20ull * 1000 * 1000 * 1000)

static hr_status read_all(hr_session *session, void *context, hr_error *err)
{
    hr_stream_options options = HR_STREAM_OPTIONS_INIT;
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    options.batch_rows = 10;
    HR_TRY(hr_session_feed(session, "train", &options, NULL, &feed, err));
    hr_status status;
    while ((status = hr_feed_next(feed, &batch, err)) == HR_OK)
        hr_batch_unref(&batch);
    hr_feed_close(&feed);
    return status == HR_END ? HR_OK : status;
}

// What the functions know of each other. The first call of each finds its schema and is not counted.
typedef struct calls {
    _Atomic int light, heavy;    // begun
    _Atomic int heavy_meanwhile; // begun while the light trainer was at it
    _Atomic int late;            // waits that came to their bound
} calls;

static hr_status light(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    calls *c = context;
    uint64_t until = hr__now_ns() + BOUND_NS;
    if (atomic_fetch_add(&c->light, 1) == 1)
        while (atomic_load(&c->heavy_meanwhile) == 0 && hr__now_ns() < until)
            sched_yield();
    *out = hr_block_ref(in);
    return HR_OK;
}

// Lasts until all light calls were made, or another heavy one began on the other thread: nothing light can happen then.
static hr_status heavy(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    calls *c = context;
    uint64_t until = hr__now_ns() + BOUND_NS;
    int done = atomic_load(&c->light);
    if (atomic_fetch_add(&c->heavy, 1) > 0 && done > 1 && done <= LIGHT_CALLS) {
        int mine = atomic_fetch_add(&c->heavy_meanwhile, 1) + 1;
        while (atomic_load(&c->light) <= LIGHT_CALLS && atomic_load(&c->heavy_meanwhile) == mine &&
               hr__now_ns() < until)
            sched_yield();
        if (hr__now_ns() >= until)
            atomic_fetch_add(&c->late, 1);
    }
    *out = hr_block_ref(in);
    return HR_OK;
}

// Two trainers at once; how many heavy calls were begun while the light one was being read.
static int run_both(int64_t ingest_threads)
{
    static const struct {
        const char *name;
        hr_block_function function;
        int blocks;
    } kinds[2] = {{"light", light, LIGHT_CALLS}, {"heavy", heavy, HEAVY_CALLS}};
    hr_runtime *rt = sample_runtime(2, 64);
    hr_error err = HR_ERROR_INIT;
    calls c = {0};
    hr_trainer *trainers[2] = {NULL};
    for (int i = 0; i < 2; i++) {
        hr_dataset *rows = NULL, *mapped = NULL;
        assert_ok(hr_range(rt, 10 * kinds[i].blocks, kinds[i].blocks, &rows, &err), &err);
        assert_ok(hr_dataset_map_blocks(rows, kinds[i].function, &c, NULL, &mapped, &err), &err);
        hr_trainer_dataset train = {"train", mapped, true};
        hr_trainer_options o = HR_TRAINER_OPTIONS_INIT;
        o.name = kinds[i].name;
        o.datasets = &train;
        o.dataset_count = 1;
        o.ingest_threads = i == 0 ? ingest_threads : 0;
        assert_ok(hr_trainer_start(rt, &o, &trainers[i], &err), &err);
        hr_dataset_unref(&rows);
        hr_dataset_unref(&mapped);
    }
    for (int i = 0; i < 2; i++) {
        int32_t ended;
        hr_trainer_result *result = NULL;
        assert_ok(hr_trainers_wait(trainers, 2, 120, &ended, &err), &err);
        assert_ok(hr_trainer_finish(&trainers[ended], &result, &err), &err);
        hr_trainer_result_free(&result);
    }
    assert_int_equal(c.late, 0);
    hr_runtime_close(&rt);
    return c.heavy_meanwhile;
}

static void reserved_threads__work_on_whatever_floods_the_others(void **state)
{
    int reserved = run_both(1);
    if (reserved > LIGHT_CALLS / 4)
        fail_msg("%d heavy calls while %d light ones were made", reserved, LIGHT_CALLS);
}

static void reserved_threads__are_never_more_than_there_are(void **state)
{
    hr_runtime *rt = sample_runtime(2, 64);
    hr_error err = HR_ERROR_INIT;
    hr_trainer *a = NULL, *b = NULL;
    hr_trainer_result *result = NULL;
    hr_slots_stats slots;
    hr_trainer_options o = HR_TRAINER_OPTIONS_INIT;
    o.name = "A";
    o.ingest_threads = 3;
    assert_status(hr_trainer_start(rt, &o, &a, &err), HR_LIMIT);
    assert_message_has(&err, "A asks for 3 ingest threads");
    assert_message_has(&err, "open the runtime with more (threads, now 2)");
    o.ingest_threads = -1;
    assert_status(hr_trainer_start(rt, &o, &a, &err), HR_INVALID);
    o.ingest_threads = 2;
    assert_ok(hr_trainer_start(rt, &o, &a, &err), &err);
    hr_runtime_slots(rt, &slots, sizeof slots);
    assert_int_equal(slots.ingest_threads, 2);
    assert_int_equal(slots.ingest_threads_reserved, 2);
    o.name = "B";
    o.ingest_threads = 1;
    assert_status(hr_trainer_start(rt, &o, &b, &err), HR_AGAIN);
    assert_message_has(&err, "B waits for 1 ingest thread: A holds 2 of 2");
    assert_int_not_equal(hr_trainer_finish(&a, &result, &err), HR_OK);
    hr_trainer_result_free(&result);
    assert_ok(hr_trainer_start(rt, &o, &b, &err), &err);
    assert_int_not_equal(hr_trainer_finish(&b, &result, &err), HR_OK);
    hr_trainer_result_free(&result);
    hr_runtime_slots(rt, &slots, sizeof slots);
    assert_int_equal(slots.ingest_threads_reserved, 0);
    hr_runtime_close(&rt);
}

int main(void)
{
    int code = hr_worker_main(read_all, NULL);
    if (code >= 0)
        return code;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_threads__work_on_whatever_floods_the_others),
        cmocka_unit_test(reserved_threads__are_never_more_than_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
