// SPDX-License-Identifier: Apache-2.0
// Flows under many threads: the order given is the order taken, whatever comes in between. Delays are spins of a
// length drawn from a seed, so that threads overtake each other; nothing sleeps.
#include "base/os.h"
#include "base/rng.h"
#include "base/thread.h"
#include "exec/exec_sample.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define THREADS 8

typedef struct rig {
    int64_t count;           // items; then HR_END
    int64_t fail_at, end_at; // -1: never. Work fails, give says HR_END
    int64_t limit_at;        // -1: never. Work says HR_LIMIT there, at most limit_times
    int64_t limit_times;     // -1: always
    uint32_t again;          // one call in so many says HR_AGAIN; 0: none
    bool kicks_itself;       // each of those after a kick, so that nobody need kick it
    uint32_t spin;           // at most so many turns
    uint64_t weight;         // of each item
    hr_flow *flow;           // set before callbacks run
    int64_t taken;           // the taker's
    _Atomic int64_t given, dropped, made;
    _Atomic int64_t held, held_max; // taken and not dropped
    _Atomic int limits, worked_at_limit;
    _Atomic uint64_t calls;
    _Atomic bool taking, giving;
    _Atomic int working, ended;
    hr_status end_status;
    hr_error end_error;
} rig;

typedef struct test_item {
    int64_t number, square;
    bool live, worked;
} test_item;

static uint32_t draw(rig *r)
{
    uint64_t call = atomic_fetch_add(&r->calls, 1);
    return (uint32_t)(hr__rng_u64(1234, 1, call) >> 32);
}

static void spin(rig *r)
{
    uint32_t turns = r->spin ? draw(r) % r->spin : 0;
    for (volatile uint32_t i = 0; i < turns; i++) {
    }
}

// HR_AGAIN now and then; whoever says it is kicked, at once or by another call.
static bool says_again(rig *r)
{
    if (!r->again || draw(r) % r->again)
        return false;
    if (r->kicks_itself || draw(r) % 2)
        hr__flow_kick(r->flow); // before it is known that it waits
    return true;
}

static hr_status rig_take(void *self, void *to, uint64_t *weight, hr_error *err)
{
    rig *r = self;
    test_item *it = to;
    assert_false(atomic_exchange(&r->taking, true));
    hr_status status = HR_OK;
    spin(r);
    if (r->taken == r->count) {
        status = HR_END;
    } else if (says_again(r)) {
        status = HR_AGAIN;
    } else {
        *it = (test_item){.number = r->taken++, .live = true};
        *weight = r->weight;
        int64_t held = atomic_fetch_add(&r->held, 1) + 1, most = atomic_load(&r->held_max);
        while (held > most && !atomic_compare_exchange_weak(&r->held_max, &most, held)) {
        }
    }
    atomic_store(&r->taking, false);
    return status;
}

static hr_status rig_work(void *self, void *item, bool oldest, hr_error *err)
{
    rig *r = self;
    test_item *it = item;
    int64_t before = atomic_load(&r->given);
    assert_true(it->live && !it->worked);
    if (oldest)
        assert_true(before == it->number);
    int beside = atomic_fetch_add(&r->working, 1);
    spin(r);
    hr_status status = HR_OK;
    if (it->number == r->limit_at &&
        (r->limit_times < 0 || atomic_load(&r->limits) < r->limit_times)) {
        atomic_fetch_add(&r->limits, 1);
        atomic_store(&r->worked_at_limit, beside);
        status = HR_FAIL(err, HR_LIMIT, "too much at %lld", (long long)it->number);
    } else if (it->number == r->fail_at) {
        status = HR_FAIL(err, HR_CORRUPT, "broken at %lld", (long long)it->number);
    } else if (says_again(r)) {
        status = HR_AGAIN;
    } else {
        it->square = it->number * it->number;
        it->worked = true;
        atomic_fetch_add(&r->made, 1);
    }
    atomic_fetch_sub(&r->working, 1);
    return status;
}

static hr_status rig_give(void *self, void *item, hr_error *err)
{
    rig *r = self;
    test_item *it = item;
    assert_false(atomic_exchange(&r->giving, true));
    spin(r);
    hr_status status = HR_OK;
    assert_true(it->live && it->worked);
    assert_int_equal(it->number, atomic_load(&r->given));
    assert_int_equal(it->square, it->number * it->number);
    if (says_again(r))
        status = HR_AGAIN;
    else if (it->number == r->end_at)
        status = HR_END;
    else
        atomic_fetch_add(&r->given, 1);
    atomic_store(&r->giving, false);
    return status;
}

static void rig_drop(void *self, void *item)
{
    rig *r = self;
    test_item *it = item;
    if (it->live) { // what was never filled has nothing to drop
        it->live = false;
        atomic_fetch_add(&r->dropped, 1);
        atomic_fetch_sub(&r->held, 1);
    }
}

static void rig_ended(void *self, hr_status status, const hr_error *err)
{
    rig *r = self;
    assert_int_equal(atomic_load(&r->working), 0);
    r->end_status = status;
    r->end_error = *err;
    atomic_fetch_add(&r->ended, 1);
}

static const hr_flow_ops rig_ops = {sizeof(test_item), rig_take, rig_work,
                                    rig_give,          rig_drop, rig_ended};

static rig rig_of(int64_t count)
{
    return (rig){.count = count, .fail_at = -1, .end_at = -1, .limit_at = -1, .weight = 1};
}

static void rig_open(rig *r, hr_runtime *rt, uint32_t slots, uint64_t bytes, int level)
{
    hr_flow_config config = {
        .name = "test", .level = level, .window_slots = slots, .window_bytes = bytes};
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr__flow_open(rt, &rig_ops, r, &config, &r->flow, &err), &err);
}

// What says HR_AGAIN without a kick of its own is kicked from here.
static void kick_until_ended(rig *r)
{
    while (!hr__flow_wait(r->flow, 100000))
        hr__flow_kick(r->flow);
}

static void rig_close(rig *r)
{
    hr__flow_close(&r->flow);
    assert_null(r->flow);
    assert_int_equal(atomic_load(&r->ended), 1);
    assert_int_equal(atomic_load(&r->held), 0);
    assert_int_equal(atomic_load(&r->dropped), r->taken);
}

static void flow__gives_in_the_order_taken(void **state)
{
    static const int threads[] = {1, 2, THREADS};
    for (size_t t = 0; t < HR_COUNTOF(threads); t++) {
        hr_runtime *rt = sample_runtime(threads[t], 16);
        rig r = rig_of(3000);
        r.spin = 2000;
        rig_open(&r, rt, 16, UINT64_MAX, 0);
        kick_until_ended(&r);
        assert_int_equal(r.end_status, HR_END);
        assert_int_equal(atomic_load(&r.given), 3000);
        assert_true(atomic_load(&r.held_max) <= 16);
        rig_close(&r);
        hr_runtime_close(&rt);
    }
}

static void flow__goes_on_after_again_from_every_callback(void **state)
{
    for (uint32_t again = 2; again <= 9; again += 7) {
        hr_runtime *rt = sample_runtime(THREADS, 16);
        rig r = rig_of(2000);
        r.again = again;
        r.spin = 500;
        rig_open(&r, rt, 8, UINT64_MAX, 0);
        kick_until_ended(&r);
        assert_int_equal(r.end_status, HR_END);
        assert_int_equal(atomic_load(&r.given), 2000);
        rig_close(&r);
        hr_runtime_close(&rt);
    }
}

static void flow__a_kick_that_races_with_again_is_not_lost(void **state)
{
    hr_runtime *rt = sample_runtime(THREADS, 16);
    for (int round = 0; round < 20; round++) {
        rig r = rig_of(200);
        r.again = 3;
        r.kicks_itself = true;
        r.spin = 200;
        rig_open(&r, rt, 4, UINT64_MAX, 0);
        assert_true(hr__flow_wait(r.flow, 60000000000u));
        assert_int_equal(atomic_load(&r.given), 200);
        rig_close(&r);
    }
    hr_runtime_close(&rt);
}

static void flow__delivers_a_failure_in_its_turn(void **state)
{
    hr_runtime *rt = sample_runtime(THREADS, 16);
    for (int64_t at = 0; at < 400; at += 57) {
        rig r = rig_of(400);
        r.fail_at = at;
        r.spin = 1000;
        rig_open(&r, rt, 16, UINT64_MAX, 0);
        kick_until_ended(&r);
        assert_int_equal(r.end_status, HR_CORRUPT);
        assert_message_has(&r.end_error, "broken at");
        assert_int_equal(atomic_load(&r.given), at);
        rig_close(&r);
    }
    hr_runtime_close(&rt);
}

static void flow__ends_when_give_wants_no_more(void **state)
{
    hr_runtime *rt = sample_runtime(THREADS, 16);
    rig r = rig_of(100000000);
    r.end_at = 321;
    r.spin = 300;
    rig_open(&r, rt, 16, UINT64_MAX, 0);
    kick_until_ended(&r);
    assert_int_equal(r.end_status, HR_END);
    assert_int_equal(atomic_load(&r.given), 321);
    rig_close(&r);
    hr_runtime_close(&rt);
}

static void flow__a_window_of_bytes_lets_one_item_in(void **state)
{
    hr_runtime *rt = sample_runtime(THREADS, 16);
    rig r = rig_of(500), s = rig_of(500);
    r.weight = 100;
    r.spin = s.spin = 300;
    rig_open(&r, rt, 16, 10, 0); // each is heavier than the window
    kick_until_ended(&r);
    assert_int_equal(atomic_load(&r.given), 500);
    assert_int_equal(atomic_load(&r.held_max), 1);
    rig_close(&r);
    s.weight = 100;
    rig_open(&s, rt, 16, 400, 0);
    kick_until_ended(&s);
    assert_true(atomic_load(&s.held_max) <= 4);
    rig_close(&s);
    hr_runtime_close(&rt);
}

static void flow__a_limit_ends_it_only_when_met_alone(void **state)
{
    hr_runtime *rt = sample_runtime(THREADS, 16);
    rig r = rig_of(300);
    r.limit_at = 150;
    r.limit_times = 1; // others gave back what it lacked
    r.spin = 5000;
    rig_open(&r, rt, 16, UINT64_MAX, 0);
    kick_until_ended(&r);
    if (atomic_load(&r.worked_at_limit) > 0) { // it met others, so it was tried again
        assert_int_equal(r.end_status, HR_END);
        assert_int_equal(atomic_load(&r.given), 300);
    }
    rig_close(&r);
    rig s = rig_of(300);
    s.limit_at = 150;
    s.limit_times = -1;
    s.spin = 1000;
    rig_open(&s, rt, 16, UINT64_MAX, 0);
    assert_true(hr__flow_wait(s.flow, 60000000000u)); // no kick is needed to find out
    assert_int_equal(s.end_status, HR_LIMIT);
    assert_int_equal(atomic_load(&s.given), 150);
    assert_int_equal(atomic_load(&s.worked_at_limit), 0);
    rig_close(&s);
    hr_runtime_close(&rt);
}

static void flow__closes_at_any_moment(void **state)
{
    hr_runtime *rt = sample_runtime(THREADS, 16);
    for (uint32_t round = 0; round < 150; round++) {
        rig r[6];
        for (size_t i = 0; i < HR_COUNTOF(r); i++) {
            r[i] = rig_of(100000);
            r[i].again = i % 2 ? 5 : 0;
            r[i].spin = 400;
            rig_open(&r[i], rt, 4 + (uint32_t)i, UINT64_MAX, (int)i % 3);
        }
        for (volatile uint32_t i = 0; i < round * 700; i++) {
        }
        if (round % 3 == 0)
            hr__flow_stop(r[2].flow);
        for (size_t i = 0; i < HR_COUNTOF(r); i++) {
            rig_close(&r[(i + round) % HR_COUNTOF(r)]);
            assert_int_equal(r[(i + round) % HR_COUNTOF(r)].end_status, HR_CANCELLED);
        }
    }
    hr_runtime_close(&rt);
}

static void flow__many_run_at_once(void **state)
{
    enum { FLOWS = 40 };
    hr_runtime *rt = sample_runtime(THREADS, 16);
    static rig r[FLOWS];
    for (size_t i = 0; i < FLOWS; i++) {
        r[i] = rig_of(200);
        r[i].spin = 200;
        r[i].again = i % 4 == 0 ? 7 : 0;
        rig_open(&r[i], rt, 3, UINT64_MAX, (int)(i % 5));
    }
    for (size_t i = 0; i < FLOWS; i++) {
        kick_until_ended(&r[i]);
        assert_int_equal(atomic_load(&r[i].given), 200);
        rig_close(&r[i]);
    }
    hr_runtime_close(&rt);
}

static void flow__one_that_is_always_ready_starves_nobody(void **state)
{
    hr_runtime *rt = sample_runtime(1, 16);
    rig busy = rig_of(INT64_MAX), same = rig_of(100), behind = rig_of(100);
    rig_open(&busy, rt, 16, UINT64_MAX, 0);
    rig_open(&same, rt, 16, UINT64_MAX, 0);
    rig_open(&behind, rt, 16, UINT64_MAX, 9);
    assert_true(hr__flow_wait(same.flow, 60000000000u));
    assert_true(hr__flow_wait(behind.flow, 60000000000u));
    rig_close(&busy);
    rig_close(&same);
    rig_close(&behind);
    hr_runtime_close(&rt);
}

// A flow whose taker opens and closes another: on the only thread of the pool.
typedef struct nest {
    hr_runtime *rt;
    rig inner;
    int left;
    _Atomic int ended;
} nest;

static hr_status nest_take(void *self, void *item, uint64_t *weight, hr_error *err)
{
    nest *n = self;
    if (n->left-- == 0)
        return HR_END;
    n->inner = rig_of(1000000);
    n->inner.spin = 10;
    rig_open(&n->inner, n->rt, 4, UINT64_MAX, 20);
    rig_close(&n->inner);
    return HR_OK;
}

static hr_status nest_work(void *self, void *item, bool oldest, hr_error *err)
{
    return HR_OK;
}

static hr_status nest_give(void *self, void *item, hr_error *err)
{
    return HR_OK;
}

static void nest_drop(void *self, void *item) {}

static void nest_ended(void *self, hr_status status, const hr_error *err)
{
    atomic_fetch_add(&((nest *)self)->ended, 1);
}

static void flow__closes_another_on_the_only_thread(void **state)
{
    static const hr_flow_ops ops = {16, nest_take, nest_work, nest_give, nest_drop, nest_ended};
    hr_flow_config config = {.name = "outer", .window_slots = 2, .window_bytes = UINT64_MAX};
    hr_error err = HR_ERROR_INIT;
    nest n = {.rt = sample_runtime(1, 16), .left = 30};
    hr_flow *flow = NULL;
    assert_ok(hr__flow_open(n.rt, &ops, &n, &config, &flow, &err), &err);
    assert_true(hr__flow_wait(flow, 60000000000u));
    assert_int_equal(atomic_load(&n.ended), 1);
    hr__flow_close(&flow);
    hr_runtime_close(&n.rt);
}

static void flow__an_interrupted_runtime_cancels(void **state)
{
    hr_runtime *rt = sample_runtime(2, 16);
    hr_error err = HR_ERROR_INIT;
    rig r = rig_of(INT64_MAX), late = rig_of(1);
    rig_open(&r, rt, 16, UINT64_MAX, 0);
    hr_runtime_interrupt(rt);
    assert_true(hr__flow_wait(r.flow, 60000000000u));
    assert_int_equal(r.end_status, HR_CANCELLED);
    assert_message_has(&r.end_error, "interrupted");
    hr_flow_config config = {.name = "late", .window_slots = 1};
    assert_status(hr__flow_open(rt, &rig_ops, &late, &config, &late.flow, &err), HR_CANCELLED);
    rig_close(&r);
    hr_runtime_close(&rt);
}

// Two flows whose items need more than half of what there is: each is refused what another is at.
typedef struct crowd {
    int64_t taken, count;
    _Atomic int64_t given;
    _Atomic int *left; // shared
    hr_status end_status;
} crowd;

static hr_status crowd_take(void *self, void *item, uint64_t *weight, hr_error *err)
{
    crowd *c = self;
    return c->taken++ < c->count ? HR_OK : HR_END;
}

static hr_status crowd_work(void *self, void *item, bool oldest, hr_error *err)
{
    crowd *c = self;
    hr_status status = HR_OK;
    for (int part = 0; part < 3 && status == HR_OK; part++) { // piece by piece, as memory is taken
        if (atomic_fetch_sub(c->left, 1) <= 0) {
            atomic_fetch_add(c->left, part + 1);
            return HR_FAIL(err, HR_LIMIT, "others are at it");
        }
        sched_yield();
    }
    atomic_fetch_add(c->left, 3);
    return status;
}

static hr_status crowd_give(void *self, void *item, hr_error *err)
{
    atomic_fetch_add(&((crowd *)self)->given, 1);
    return HR_OK;
}

static void crowd_drop(void *self, void *item) {}

static void crowd_ended(void *self, hr_status status, const hr_error *err)
{
    ((crowd *)self)->end_status = status;
}

static void flow__the_oldest_that_met_a_limit_is_asked_again_alone(void **state)
{
    static const hr_flow_ops ops = {sizeof(int), crowd_take, crowd_work,
                                    crowd_give,  crowd_drop, crowd_ended};
    hr_flow_config config = {.name = "crowd", .window_slots = 6, .window_bytes = UINT64_MAX};
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = sample_runtime(THREADS, 16);
    for (int round = 0; round < 30; round++) {
        _Atomic int left = 4;
        crowd crowds[3];
        hr_flow *flows[3];
        for (int i = 0; i < 3; i++) {
            crowds[i] = (crowd){.count = 60, .left = &left};
            assert_ok(hr__flow_open(rt, &ops, &crowds[i], &config, &flows[i], &err), &err);
        }
        for (int i = 0; i < 3; i++) {
            assert_true(hr__flow_wait(flows[i], 60000000000u));
            assert_int_equal(crowds[i].end_status, HR_END);
            assert_int_equal(atomic_load(&crowds[i].given), 60);
            hr__flow_close(&flows[i]);
        }
        assert_int_equal(atomic_load(&left), 4);
    }
    hr_runtime_close(&rt);
}

// Fails without words: the status must come through nevertheless.
static hr_status mute_work(void *self, void *item, bool oldest, hr_error *err)
{
    return HR_USER;
}

static void flow__a_failure_without_words_keeps_its_status(void **state)
{
    hr_flow_ops ops = rig_ops;
    hr_flow_config config = {.name = "mute", .window_slots = 2, .window_bytes = UINT64_MAX};
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = sample_runtime(2, 16);
    rig r = rig_of(5);
    ops.work = mute_work;
    assert_ok(hr__flow_open(rt, &ops, &r, &config, &r.flow, &err), &err);
    assert_true(hr__flow_wait(r.flow, 60000000000u));
    assert_int_equal(r.end_status, HR_USER);
    assert_int_equal(r.end_error.status, HR_USER);
    assert_message_has(&r.end_error, "mute failed");
    rig_close(&r);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flow__gives_in_the_order_taken),
        cmocka_unit_test(flow__goes_on_after_again_from_every_callback),
        cmocka_unit_test(flow__a_kick_that_races_with_again_is_not_lost),
        cmocka_unit_test(flow__delivers_a_failure_in_its_turn),
        cmocka_unit_test(flow__ends_when_give_wants_no_more),
        cmocka_unit_test(flow__a_window_of_bytes_lets_one_item_in),
        cmocka_unit_test(flow__a_limit_ends_it_only_when_met_alone),
        cmocka_unit_test(flow__closes_at_any_moment),
        cmocka_unit_test(flow__many_run_at_once),
        cmocka_unit_test(flow__one_that_is_always_ready_starves_nobody),
        cmocka_unit_test(flow__closes_another_on_the_only_thread),
        cmocka_unit_test(flow__an_interrupted_runtime_cancels),
        cmocka_unit_test(flow__the_oldest_that_met_a_limit_is_asked_again_alone),
        cmocka_unit_test(flow__a_failure_without_words_keeps_its_status),
    };
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
