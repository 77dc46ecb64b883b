// SPDX-License-Identifier: Apache-2.0
// Mutexes, conditions and threads over pthreads.
//
// What can only fail by a bug of ours (a mutex unlocked twice) is an assertion; only starting a thread can fail for
// reasons of the machine. Threads of ours take no signals: those belong to the program that uses the library, and its
// handlers must not run on a stack it does not know.
#include "base/thread.h"
#include "base/mem.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// What SCHED_BATCH threads give way by. A step of niceness is about a tenth of a share of the processor: at 5 a trainer
// on the same core gets three times as much, and with nothing else to run nothing is lost.
#define BATCH_NICENESS 5

#define NS_PER_S UINT64_C(1000000000)

void hr__mutex_init(hr_mutex *m)
{
    int failed = pthread_mutex_init(&m->inner, NULL);
    HR_ASSERT(!failed);
}

void hr__mutex_finish(hr_mutex *m)
{
    int failed = pthread_mutex_destroy(&m->inner);
    HR_ASSERT(!failed);
}

void hr__mutex_lock(hr_mutex *m)
{
    int failed = pthread_mutex_lock(&m->inner);
    HR_ASSERT(!failed);
}

void hr__mutex_unlock(hr_mutex *m)
{
    int failed = pthread_mutex_unlock(&m->inner);
    HR_ASSERT(!failed);
}

void hr__cond_init(hr_cond *c)
{
    pthread_condattr_t attributes;
    int failed = pthread_condattr_init(&attributes);
    HR_ASSERT(!failed);
    failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    HR_ASSERT(!failed);
    failed = pthread_cond_init(&c->inner, &attributes);
    HR_ASSERT(!failed);
    pthread_condattr_destroy(&attributes);
}

void hr__cond_finish(hr_cond *c)
{
    int failed = pthread_cond_destroy(&c->inner);
    HR_ASSERT(!failed);
}

void hr__cond_signal(hr_cond *c)
{
    pthread_cond_signal(&c->inner);
}

void hr__cond_broadcast(hr_cond *c)
{
    pthread_cond_broadcast(&c->inner);
}

void hr__cond_wait(hr_cond *c, hr_mutex *m)
{
    int failed = pthread_cond_wait(&c->inner, &m->inner);
    HR_ASSERT(!failed);
}

bool hr__cond_wait_ns(hr_cond *c, hr_mutex *m, uint64_t timeout_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t now_ns = (uint64_t)until.tv_sec * NS_PER_S + (uint64_t)until.tv_nsec, until_ns;
    if (HR_ADD_OVERFLOWS(now_ns, timeout_ns, &until_ns) || until_ns > INT64_MAX) {
        hr__cond_wait(c, m);
        return true;
    }
    until.tv_sec = (time_t)(until_ns / NS_PER_S);
    until.tv_nsec = (long)(until_ns % NS_PER_S);
    int failed = pthread_cond_timedwait(&c->inner, &m->inner, &until);
    HR_ASSERT(!failed || failed == ETIMEDOUT);
    return !failed;
}

void hr__once(hr_once *once, void (*run)(void))
{
    int failed = pthread_once(once, run);
    HR_ASSERT(!failed);
}

void hr__at_fork_child(void (*run)(void))
{
    int failed = pthread_atfork(NULL, NULL, run);
    HR_ASSERT(!failed);
}

typedef struct start {
    void (*run)(void *);
    void *arg;
    hr_thread_class class_;
    char name[16];
} start;

static void *thread_main(void *context)
{
    start s = *(start *)context;
    hr__free(context);
    prctl(PR_SET_NAME, s.name, 0, 0, 0);
    if (s.class_ == HR_THREAD_BATCH) {
        // Both are wishes: a sandbox may refuse them, and the work is the same at normal priority.
        struct sched_param none = {0};
        sched_setscheduler(0, SCHED_BATCH, &none);
        id_t self = (id_t)syscall(SYS_gettid);
        setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + BATCH_NICENESS);
    }
    s.run(s.arg);
    return NULL;
}

hr_status hr__thread_start(hr_thread *t, const char *name, hr_thread_class class_,
                           void (*run)(void *), void *arg, hr_error *err)
{
    start *s = NULL;
    t->started = false;
    HR_TRY(hr__alloc_zero(1, sizeof *s, &s, err));
    s->run = run;
    s->arg = arg;
    s->class_ = class_;
    snprintf(s->name, sizeof s->name, "%s", name);
    // The new thread inherits the mask, so it never has a moment with signals open.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&t->inner, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        hr__free(s);
        if (failed == EAGAIN)
            return HR_FAIL(err, HR_LIMIT,
                           "thread '%s' was refused: the limit on threads or address space of "
                           "this user or container is reached; raise it or use fewer threads",
                           name);
        return hr__error_errno(err, failed, "thread '%s'", name);
    }
    t->started = true;
    return HR_OK;
}

void hr__thread_join(hr_thread *t)
{
    if (!t->started)
        return;
    int failed = pthread_join(t->inner, NULL);
    HR_ASSERT(!failed);
    t->started = false;
}
