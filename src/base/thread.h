// SPDX-License-Identifier: Apache-2.0
// Mutexes, conditions, named threads. Nothing here fails but starting a thread.
#ifndef HR_BASE_THREAD_H
#define HR_BASE_THREAD_H

#include "base/error.h"
#include <pthread.h>

typedef struct hr_mutex {
    pthread_mutex_t inner;
} hr_mutex;
#define HR_MUTEX_INIT                                                                              \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER                                                                  \
    } // for a static one
typedef struct hr_cond {
    pthread_cond_t inner;
} hr_cond; // waits by the monotonic clock
typedef struct hr_thread {
    pthread_t inner;
    bool started;
} hr_thread;

void hr__mutex_init(hr_mutex *m);
void hr__mutex_finish(hr_mutex *m);
void hr__mutex_lock(hr_mutex *m);
void hr__mutex_unlock(hr_mutex *m);
void hr__cond_init(hr_cond *c);
void hr__cond_finish(hr_cond *c);
void hr__cond_signal(hr_cond *c);
void hr__cond_broadcast(hr_cond *c);
void hr__cond_wait(hr_cond *c, hr_mutex *m);
bool hr__cond_wait_ns(hr_cond *c, hr_mutex *m, uint64_t timeout_ns); // false: time is up

// Runs something once in a process, whoever comes first; the others wait until it was done.
typedef pthread_once_t hr_once;
#define HR_ONCE_INIT PTHREAD_ONCE_INIT
void hr__once(hr_once *once, void (*run)(void));
// Calls `run` in every child that the program forks from now on. It may only note that it happened.
void hr__at_fork_child(void (*run)(void));

typedef enum hr_thread_class {
    HR_THREAD_NORMAL,
    HR_THREAD_BATCH, // yields to trainers: SCHED_BATCH and a lower priority, where the system allows
} hr_thread_class;
// The thread blocks all signals. The name (15 characters) is what top and gdb show.
HR_USE_RESULT hr_status hr__thread_start(hr_thread *t, const char *name, hr_thread_class class_,
                                         void (*run)(void *), void *arg, hr_error *err);
void hr__thread_join(hr_thread *t); // no-op when not started

#endif
