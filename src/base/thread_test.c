// SPDX-License-Identifier: Apache-2.0
// Threads, conditions and the queue between them.
#include "base/os.h"
#include "base/queue.h"
#include "base/thread.h"
#include "base/unit.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct seen {
    char name[16];
    bool signals_blocked;
} seen;

static void look(void *context)
{
    seen *s = context;
    sigset_t mask;
    prctl(PR_GET_NAME, s->name, 0, 0, 0);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    s->signals_blocked = sigismember(&mask, SIGINT) && sigismember(&mask, SIGCHLD);
}

static void thread__has_a_name_and_no_signals(void **state)
{
    hr_thread t = {0};
    hr_error err = HR_ERROR_INIT;
    seen s = {0};
    sigset_t mask;
    hr__thread_join(&t);
    assert_ok(hr__thread_start(&t, "a name of many letters", HR_THREAD_BATCH, look, &s, &err),
              &err);
    hr__thread_join(&t);
    hr__thread_join(&t);
    assert_string_equal(s.name, "a name of many ");
    assert_true(s.signals_blocked);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_false(sigismember(&mask, SIGINT));
}

static void thread__start_fails_without_memory(void **state)
{
    hr_thread t = {0};
    hr__mem_fail_after(1);
    assert_status(hr__thread_start(&t, "x", HR_THREAD_NORMAL, look, NULL, NULL), HR_NOMEM);
    assert_false(t.started);
    hr__thread_join(&t);
}

static int runs, forks;

static void count_run(void)
{
    runs++;
}

static void count_fork(void)
{
    forks++;
}

static void once__runs_once_and_fork_is_noticed(void **state)
{
    static hr_once once = HR_ONCE_INIT;
    hr__once(&once, count_run);
    hr__once(&once, count_run);
    assert_int_equal(runs, 1);
    hr__at_fork_child(count_fork);
    pid_t pid = fork();
    if (pid == 0)
        _exit(forks);
    int result = 0;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_int_equal(WEXITSTATUS(result), 1);
    assert_int_equal(forks, 0);
}

static void cond__wait_ends_when_the_time_is_up(void **state)
{
    hr_mutex m;
    hr_cond c;
    hr__mutex_init(&m);
    hr__cond_init(&c);
    hr__mutex_lock(&m);
    uint64_t begin_ns = hr__now_ns();
    while (hr__cond_wait_ns(&c, &m, 3000000))
        ;
    assert_true(hr__now_ns() - begin_ns >= 3000000);
    hr__mutex_unlock(&m);
    hr__cond_finish(&c);
    hr__mutex_finish(&m);
}

typedef struct meeting {
    hr_mutex mutex;
    hr_cond cond;
    bool arrived;
} meeting;

static void arrive(void *context)
{
    meeting *m = context;
    hr__mutex_lock(&m->mutex);
    m->arrived = true;
    hr__cond_broadcast(&m->cond);
    hr__mutex_unlock(&m->mutex);
}

static void cond__wait_for_ever_is_woken(void **state)
{
    meeting m = {.arrived = false};
    hr_thread t;
    hr_error err = HR_ERROR_INIT;
    hr__mutex_init(&m.mutex);
    hr__cond_init(&m.cond);
    hr__mutex_lock(&m.mutex);
    assert_ok(hr__thread_start(&t, "arrive", HR_THREAD_NORMAL, arrive, &m, &err), &err);
    while (!m.arrived)
        assert_true(hr__cond_wait_ns(&m.cond, &m.mutex, UINT64_MAX));
    hr__mutex_unlock(&m.mutex);
    hr__thread_join(&t);
    hr__cond_finish(&m.cond);
    hr__mutex_finish(&m.mutex);
}

static void queue__keeps_order_and_bounds(void **state)
{
    hr_queue *q = NULL;
    hr_error err = HR_ERROR_INIT;
    int items[3];
    void *item = NULL;
    assert_status(hr__queue_open(0, &q, &err), HR_INVALID);
    assert_status(hr__queue_open(SIZE_MAX / 4, &q, &err), HR_INVALID);
    assert_ok(hr__queue_open(2, &q, &err), &err);
    for (int round = 0; round < 5; round++) {
        assert_true(hr__queue_try_push(q, &items[0]));
        assert_true(hr__queue_try_push(q, &items[1]));
        assert_false(hr__queue_try_push(q, &items[2]));
        assert_true(hr__queue_pop(q, &item));
        assert_ptr_equal(item, &items[0]);
        assert_true(hr__queue_pop(q, &item));
        assert_ptr_equal(item, &items[1]);
    }
    assert_true(hr__queue_try_push(q, &items[2]));
    hr__queue_stop(q);
    assert_false(hr__queue_try_push(q, &items[0]));
    assert_true(hr__queue_pop(q, &item));
    assert_ptr_equal(item, &items[2]);
    assert_false(hr__queue_pop(q, &item));
    hr__queue_close(&q);
    assert_null(q);
    hr__queue_close(&q);
}

#define ITEMS 2000

typedef struct crowd {
    hr_queue *queue;
    _Atomic uint64_t sum;
} crowd;

static void produce(void *context)
{
    crowd *c = context;
    for (uintptr_t i = 1; i <= ITEMS; i++)
        while (!hr__queue_try_push(c->queue, (void *)i))
            sched_yield();
}

static void consume(void *context)
{
    crowd *c = context;
    void *item;
    while (hr__queue_pop(c->queue, &item))
        atomic_fetch_add(&c->sum, (uintptr_t)item);
}

static void queue__loses_nothing_between_threads(void **state)
{
    crowd c = {0};
    hr_thread producers[2], consumers[2];
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr__queue_open(4, &c.queue, &err), &err);
    for (int i = 0; i < 2; i++) {
        assert_ok(hr__thread_start(&consumers[i], "c", HR_THREAD_NORMAL, consume, &c, &err), &err);
        assert_ok(hr__thread_start(&producers[i], "p", HR_THREAD_NORMAL, produce, &c, &err), &err);
    }
    for (int i = 0; i < 2; i++)
        hr__thread_join(&producers[i]);
    hr__queue_stop(c.queue);
    for (int i = 0; i < 2; i++)
        hr__thread_join(&consumers[i]);
    assert_int_equal(c.sum, (uint64_t)ITEMS * (ITEMS + 1));
    hr__queue_close(&c.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread__has_a_name_and_no_signals),
        cmocka_unit_test(thread__start_fails_without_memory),
        cmocka_unit_test(once__runs_once_and_fork_is_noticed),
        cmocka_unit_test(cond__wait_ends_when_the_time_is_up),
        cmocka_unit_test(cond__wait_for_ever_is_woken),
        cmocka_unit_test(queue__keeps_order_and_bounds),
        cmocka_unit_test(queue__loses_nothing_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
