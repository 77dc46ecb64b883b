// SPDX-License-Identifier: Apache-2.0
// Reserved threads, counted in work and not in time: heavy work waits until light work went on, so where a
// reservation is not kept a test comes to its (generous) bound and fails.
#include "base/os.h"
#include "base/thread.h"
#include "exec/exec_sample.h"
#include <sched.h>
#include <stdatomic.h>

#define BOUND_NS (20ull * 1000 * 1000 * 1000)
#define FLOWS    4 // of a heavy rig

typedef struct rig rig;
typedef struct rig_flow { // the `self` of a flow
    rig *rig;
    int index;
} rig_flow;
struct rig {
    hr_runtime *runtime;
    hr_flow *flows[FLOWS];
    rig_flow selves[FLOWS];
    int level; // heavy flows are nearer to their consumer (0): without a reservation they come first
    int64_t count; // items of each flow; -1: until `enough`
    _Atomic int64_t taken[FLOWS];
    _Atomic int64_t begun, made, beside, beside_max;
    _Atomic bool enough, in_time;
    rig *waits_for;    // its work waits until that rig's work is done; NULL: it does not wait
    rig *begins_after; // its work waits until that rig's work was begun
    rig *inner;        // opened by its first callback
    hr_crew *crew;     // of its flows
    int64_t until_two; // its work waits until two of it are under way
};

typedef struct work_item {
    int64_t number;
} work_item;

static hr_status take(void *self, void *item, uint64_t *weight, hr_error *err)
{
    rig_flow *f = self;
    rig *r = f->rig;
    if (atomic_load(&r->enough) || atomic_load(&r->taken[f->index]) == r->count)
        return HR_END;
    ((work_item *)item)->number = atomic_fetch_add(&r->taken[f->index], 1);
    *weight = 1;
    return HR_OK;
}

// Until the condition holds, or the bound: *in_time tells.
#define AWAIT(rig_, condition)                                                                     \
    do {                                                                                           \
        uint64_t until = hr__now_ns() + BOUND_NS;                                                  \
        while (!(condition) && hr__now_ns() < until)                                               \
            sched_yield();                                                                         \
        if (!(condition))                                                                          \
            atomic_store(&(rig_)->in_time, false);                                                 \
    } while (0)

static hr_status work(void *self, void *item, bool oldest, hr_error *err)
{
    rig *r = ((rig_flow *)self)->rig;
    int64_t beside = atomic_fetch_add(&r->beside, 1) + 1;
    if (beside > atomic_load(&r->beside_max))
        atomic_store(&r->beside_max, beside);
    atomic_fetch_add(&r->begun, 1);
    if (r->begins_after)
        AWAIT(r, atomic_load(&r->begins_after->begun) > 0);
    if (r->waits_for)
        AWAIT(r, atomic_load(&r->waits_for->made) == r->waits_for->count);
    if (r->until_two)
        AWAIT(r, atomic_load(&r->beside_max) >= 2);
    atomic_fetch_sub(&r->beside, 1);
    atomic_fetch_add(&r->made, 1);
    return HR_OK;
}

static hr_status give(void *self, void *item, hr_error *err)
{
    return HR_OK;
}

static void drop(void *self, void *item) {}

static void open_flows(rig *r, int flows)
{
    static const hr_flow_ops ops = {sizeof(work_item), take, work, give, drop, NULL};
    for (int i = 0; i < flows; i++) {
        hr_error err = HR_ERROR_INIT;
        hr_flow_config config = {.name = "test",
                                 .level = r->level,
                                 .window_slots = 4,
                                 .window_bytes = 100,
                                 .crew = r->crew};
        r->selves[i] = (rig_flow){r, i};
        assert_ok(hr__flow_open(r->runtime, &ops, &r->selves[i], &config, &r->flows[i], &err),
                  &err);
    }
}

static void close_flows(rig *r)
{
    for (int i = 0; i < FLOWS; i++)
        hr__flow_close(&r->flows[i]);
}

// The light (guest, inner) work ends within the bound; then the heavy work, which is endless, is told to.
static void wait_for(rig *light, rig *heavy)
{
    assert_true(hr__flow_wait(light->flows[0], 2 * BOUND_NS));
    atomic_store(&heavy->enough, true);
    for (int i = 0; i < FLOWS; i++)
        assert_true(hr__flow_wait(heavy->flows[i], 2 * BOUND_NS));
    assert_true(heavy->in_time);
    assert_int_equal(light->made, light->count);
}

static hr_crew *open_crew(hr_runtime *rt, uint32_t threads)
{
    hr_crew *crew = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr__crew_open(rt, threads, &crew, &err), &err);
    return crew;
}

static void crew__has_its_thread_whatever_floods_the_pool(void **state)
{
    hr_runtime *rt = sample_runtime(2, 16);
    rig heavy = {.runtime = rt, .count = -1, .in_time = true};
    rig light = {.runtime = rt, .count = 500, .in_time = true, .begins_after = &heavy, .level = 10};
    heavy.waits_for = &light; // every piece of it lasts as long as all of the light work
    light.crew = open_crew(rt, 1);
    open_flows(&light, 1);
    open_flows(&heavy, FLOWS);
    wait_for(&light, &heavy);
    close_flows(&light);
    close_flows(&heavy);
    hr__crew_close(&light.crew);
    hr_runtime_close(&rt);
}

static void crew__what_it_leaves_idle_others_use(void **state)
{
    hr_runtime *rt = sample_runtime(2, 16);
    rig others = {.runtime = rt, .count = 1, .in_time = true, .until_two = 1};
    hr_crew *idle = open_crew(rt, 2);
    open_flows(&others, 2);
    for (int i = 0; i < 2; i++)
        assert_true(hr__flow_wait(others.flows[i], 2 * BOUND_NS));
    assert_true(others.in_time);
    close_flows(&others);
    hr__crew_close(&idle);
    hr_runtime_close(&rt);
}

static void crew__that_reserved_all_lets_guests_through(void **state)
{
    hr_runtime *rt = sample_runtime(1, 16);
    rig all = {.runtime = rt, .count = -1, .in_time = true};
    rig guest = {.runtime = rt, .count = 50, .in_time = true, .level = 10};
    all.crew = open_crew(rt, 1);
    open_flows(&all, FLOWS);
    open_flows(&guest, 1);
    wait_for(&guest, &all);
    assert_true(all.made > guest.made); // it kept its right of way
    close_flows(&guest);
    close_flows(&all);
    hr__crew_close(&all.crew);
    hr_runtime_close(&rt);
}

static hr_status open_inner(void *self, void *item, bool oldest, hr_error *err)
{
    rig_flow *f = self;
    if (f->index == 0) // of no crew by its own words
        open_flows(f->rig->inner, 1);
    f->index = 1;
    atomic_fetch_add(&f->rig->made, 1);
    return HR_OK;
}

static void crew__is_that_of_flows_its_callbacks_open(void **state)
{
    static const hr_flow_ops ops = {sizeof(work_item), take, open_inner, give, drop, NULL};
    hr_runtime *rt = sample_runtime(2, 16);
    hr_error err = HR_ERROR_INIT;
    hr_flow *outer = NULL;
    rig inner = {.runtime = rt, .count = 100, .in_time = true, .level = 10};
    rig heavy = {.runtime = rt, .count = -1, .in_time = true, .waits_for = &inner};
    rig opener = {.runtime = rt, .count = 2, .in_time = true, .inner = &inner};
    rig_flow self = {&opener, 0};
    hr_crew *crew = open_crew(rt, 1);
    hr_flow_config config = {.name = "outer", .window_slots = 1, .window_bytes = 1, .crew = crew};
    inner.begins_after = &heavy;
    assert_ok(hr__flow_open(rt, &ops, &self, &config, &outer, &err), &err);
    assert_true(hr__flow_wait(outer, 2 * BOUND_NS));
    open_flows(&heavy, FLOWS);
    wait_for(&inner, &heavy);
    hr__flow_close(&outer);
    close_flows(&inner);
    close_flows(&heavy);
    hr__crew_close(&crew);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crew__has_its_thread_whatever_floods_the_pool),
        cmocka_unit_test(crew__what_it_leaves_idle_others_use),
        cmocka_unit_test(crew__that_reserved_all_lets_guests_through),
        cmocka_unit_test(crew__is_that_of_flows_its_callbacks_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
