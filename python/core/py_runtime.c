// SPDX-License-Identifier: Apache-2.0
// headrace._core.Runtime: shared memory, threads and budgets. Datasets keep what they need of it after it was closed.
#include "py_core.h"

static PyObject *runtime_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"memory_bytes", "threads", "io_threads", "spill_dir",
                            "cpus",         "gpus",    NULL};
    hr_runtime_options o = HR_RUNTIME_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    long long memory = 0, threads = 0, io_threads = 0, cpus = 0, gpus = 0;
    hr_status status;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|LLLzLL", names, &memory, &threads, &io_threads,
                                     &o.spill_dir, &cpus, &gpus))
        return NULL;
    o.memory_bytes = memory;
    o.threads = threads;
    o.io_threads = io_threads;
    o.cpus = cpus;
    o.gpus = gpus;
    py_runtime *self = py_new(type);
    if (!self)
        return NULL;
    Py_BEGIN_ALLOW_THREADS status = hr_runtime_open(&o, &self->handle, &err);
    Py_END_ALLOW_THREADS if (status)
    {
        py_state *state = py_state_of((PyObject *)self);
        Py_DECREF(self);
        return py_raise(state, status, &err);
    }
    return (PyObject *)self;
}

static PyObject *runtime_close(py_runtime *self, PyObject *unused)
{
    hr_runtime *handle = self->handle;
    self->handle = NULL;
    Py_BEGIN_ALLOW_THREADS hr_runtime_close(&handle);
    Py_END_ALLOW_THREADS Py_RETURN_NONE;
}

static void runtime_dealloc(py_runtime *self)
{
    Py_XDECREF(runtime_close(self, NULL));
    py_free((PyObject *)self);
}

static int check_open(py_runtime *self)
{
    if (self->handle)
        return 0;
    hr_error err = {HR_CANCELLED, "the runtime was shut down"};
    py_raise(py_state_of((PyObject *)self), HR_CANCELLED, &err);
    return -1;
}

static PyObject *runtime_memory(py_runtime *self, PyObject *unused)
{
    hr_memory_stats s;
    if (check_open(self))
        return NULL;
    hr_runtime_memory(self->handle, &s, sizeof s);
    return Py_BuildValue(
        "{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:d,s:d,s:K,s:K,s:K}", "budget_bytes",
        (unsigned long long)s.budget_bytes, "used_bytes", (unsigned long long)s.used_bytes,
        "peak_bytes", (unsigned long long)s.peak_bytes, "arena_used_bytes",
        (unsigned long long)s.arena_used_bytes, "arena_peak_bytes",
        (unsigned long long)s.arena_peak_bytes, "object_count", (unsigned long long)s.object_count,
        "needed_bytes", (unsigned long long)s.needed_bytes, "spilled_bytes",
        (unsigned long long)s.spilled_bytes, "spilled_objects",
        (unsigned long long)s.spilled_objects, "restored_bytes",
        (unsigned long long)s.restored_bytes, "restored_objects",
        (unsigned long long)s.restored_objects, "spill_write_s", s.spill_write_s, "restore_read_s",
        s.restore_read_s, "consumed_bytes", (unsigned long long)s.consumed_bytes, "leased_bytes",
        (unsigned long long)s.leased_bytes, "copied_bytes", (unsigned long long)s.copied_bytes);
}

static PyObject *runtime_slots(py_runtime *self, PyObject *unused)
{
    hr_slots_stats s;
    if (check_open(self))
        return NULL;
    hr_runtime_slots(self->handle, &s, sizeof s);
    return Py_BuildValue("{s:d,s:d,s:d,s:d,s:L,s:L,s:L}", "cpus", s.cpus, "gpus", s.gpus,
                         "cpus_used", s.cpus_used, "gpus_used", s.gpus_used, "holders",
                         (long long)s.holders, "ingest_threads", (long long)s.ingest_threads,
                         "ingest_threads_reserved", (long long)s.ingest_threads_reserved);
}

static PyObject *runtime_repr(py_runtime *self)
{
    char text[512];
    return self->handle ? PyUnicode_FromFormat("<headrace.Runtime: %s>",
                                               hr_runtime_describe(self->handle, text, sizeof text))
                        : PyUnicode_FromString("<headrace.Runtime: closed>");
}

static PyObject *runtime_threads(py_runtime *self, void *unused)
{
    return check_open(self) ? NULL : PyLong_FromLong(hr_runtime_threads(self->handle));
}

static PyObject *runtime_open(py_runtime *self, void *unused)
{
    return PyBool_FromLong(self->handle != NULL);
}

static PyObject *runtime_interrupt(py_runtime *self, PyObject *unused)
{
    if (check_open(self))
        return NULL;
    hr_runtime_interrupt(self->handle);
    Py_RETURN_NONE;
}

static PyObject *runtime_resume(py_runtime *self, PyObject *unused)
{
    if (check_open(self))
        return NULL;
    hr_runtime_resume(self->handle);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"close", (PyCFunction)runtime_close, METH_NOARGS,
     "Ends its threads and gives the memory back."},
    {"memory", (PyCFunction)runtime_memory, METH_NOARGS,
     "What it holds now and held at most, in bytes, as a dict."},
    {"interrupt", (PyCFunction)runtime_interrupt, METH_NOARGS,
     "Cancels everything that waits in this runtime, in whatever thread."},
    {"resume", (PyCFunction)runtime_resume, METH_NOARGS,
     "Forgets an interruption: later calls work again."},
    {"slots", (PyCFunction)runtime_slots, METH_NOARGS,
     "The CPU and GPU slots that trainers share, and those that are taken, as a dict."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"threads", (getter)runtime_threads, NULL, "How many threads decode and transform.", NULL},
    {"is_open", (getter)runtime_open, NULL, "False once it was closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "Runtime(memory_bytes=0, threads=0, io_threads=0, spill_dir=None, "
                "cpus=0, gpus=0)\n--\n\nShared "
                "memory, threads and "
                "budgets. Zero means the default."},
    {Py_tp_new, runtime_new},
    {Py_tp_dealloc, runtime_dealloc},
    {Py_tp_repr, runtime_repr},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, NULL},
};
PyType_Spec py_runtime_spec = {"headrace._core.Runtime", sizeof(py_runtime), 0, Py_TPFLAGS_DEFAULT,
                               slots};
