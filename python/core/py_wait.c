// SPDX-License-Identifier: Apache-2.0
// Calls that wait. Python runs signal handlers in the main thread, between two of its own instructions: a call that
// waits for minutes would hold Ctrl-C back for minutes. So the main thread hands the call to a thread and looks for
// signals ten times a second; when a handler raises, the runtime is interrupted and the call comes back soon.
#include "py_core.h"
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_US 100000

typedef struct wait_job {
    py_job run;
    void *arg;
    hr_status status;
    hr_error *err;
    PyThread_type_lock done; // held until the job is done
} wait_job;

static void run_job(void *arg)
{
    wait_job *job = arg;
    job->status = job->run(job->arg, job->err);
    PyThread_release_lock(job->done);
}

static int is_main_thread(void)
{
    return syscall(SYS_gettid) == getpid();
}

static void run_here(wait_job *job)
{
    Py_BEGIN_ALLOW_THREADS job->status = job->run(job->arg, job->err);
    Py_END_ALLOW_THREADS
}

// The first slices are short: most calls are done within a millisecond, and their thread is then already gone.
static int watch(wait_job *job, hr_runtime *runtime)
{
    int raised = 0;
    for (;;) {
        PyLockStatus got;
        Py_BEGIN_ALLOW_THREADS got = PyThread_acquire_lock_timed(job->done, SLICE_US, 0);
        Py_END_ALLOW_THREADS if (got == PY_LOCK_ACQUIRED) break;
        if (!raised && PyErr_CheckSignals() < 0) {
            raised = 1;
            hr_runtime_interrupt(runtime);
        }
    }
    PyThread_release_lock(job->done);
    if (raised)
        hr_runtime_resume(runtime);
    return raised;
}

int py_wait(PyObject *runtime, py_job run, void *arg, hr_status *status_out, hr_error *err)
{
    wait_job job = {run, arg, HR_OK, err, NULL};
    hr_runtime *handle = runtime ? ((py_runtime *)runtime)->handle : NULL;
    int raised = 0;
    if (handle && is_main_thread())
        job.done = PyThread_allocate_lock();
    if (job.done) {
        PyThread_acquire_lock(job.done, NOWAIT_LOCK);
        if (PyThread_start_new_thread(run_job, &job) == (unsigned long)-1)
            run_here(&job);
        else
            raised = watch(&job, handle);
        PyThread_free_lock(job.done);
    } else {
        run_here(&job);
    }
    *status_out = job.status;
    return raised ? -1 : 0;
}
