// SPDX-License-Identifier: Apache-2.0
// headrace._core.Trainer: the driver's side. Callbacks come within a wait, on its thread, which looks for signals ten
// times a second. The workers' side is py_session.c.
#include "py_core.h"

#define SLICE_S 0.1

struct py_trainer {
    PyObject_HEAD hr_trainer *handle; // NULL: finished
    PyObject *runtime;
    PyObject *callbacks[4];
    PyThreadState *thread; // of the wait that runs it, while the GIL is released
    PyObject
        *raised[3]; // what a callback raised, kept until the wait raises it; no further one is made
};
enum { ON_REPORT, ON_LINE, ON_CHECKPOINT, ON_RESTART, CALLBACKS };

// --- callbacks ---

static int is_wanted(py_trainer *self, int which)
{
    return !self->raised[0] && self->callbacks[which] && self->callbacks[which] != Py_None;
}

// Takes the arguments. Whatever a callback raises is raised by the wait, and ends its trainer. It is not left set:
// others of the same wait have callbacks to come.
static hr_status call_back(py_trainer *self, int which, PyObject *args)
{
    PyObject *result = args ? PyObject_Call(self->callbacks[which], args, NULL) : NULL;
    Py_XDECREF(args);
    if (result) {
        Py_DECREF(result);
        return HR_OK;
    }
    PyErr_Fetch(&self->raised[0], &self->raised[1], &self->raised[2]);
    hr_trainer_cancel(self->handle);
    return HR_CANCELLED;
}

static hr_status report_back(void *context, int64_t rank, const char *json, hr_error *err)
{
    py_trainer *self = context;
    hr_status status = self->raised[0] ? HR_CANCELLED : HR_OK;
    if (!is_wanted(self, ON_REPORT))
        return status;
    PyEval_RestoreThread(self->thread);
    status = call_back(self, ON_REPORT, Py_BuildValue("(Ls)", (long long)rank, json));
    self->thread = PyEval_SaveThread();
    hr_error words = {HR_CANCELLED, "a callback raised an exception"};
    if (status != HR_OK && err)
        *err = words;
    return status;
}

static void line_back(void *context, int64_t rank, const char *line)
{
    py_trainer *self = context;
    if (!is_wanted(self, ON_LINE))
        return;
    PyEval_RestoreThread(self->thread);
    PyObject *text = PyUnicode_DecodeUTF8(line, (Py_ssize_t)__builtin_strlen(line), "replace");
    call_back(self, ON_LINE, text ? Py_BuildValue("(LN)", (long long)rank, text) : NULL);
    self->thread = PyEval_SaveThread();
}

static void checkpoint_back(void *context, int64_t rank, const char *json, const char *folder)
{
    py_trainer *self = context;
    if (!is_wanted(self, ON_CHECKPOINT))
        return;
    PyEval_RestoreThread(self->thread);
    PyObject *path = PyUnicode_DecodeFSDefault(folder);
    call_back(self, ON_CHECKPOINT,
              path ? Py_BuildValue("(LsN)", (long long)rank, json, path) : NULL);
    self->thread = PyEval_SaveThread();
}

static void restart_back(void *context, int64_t number, const char *reason)
{
    py_trainer *self = context;
    if (!is_wanted(self, ON_RESTART))
        return;
    PyEval_RestoreThread(self->thread);
    PyObject *text = PyUnicode_DecodeUTF8(reason, (Py_ssize_t)__builtin_strlen(reason), "replace");
    call_back(self, ON_RESTART, text ? Py_BuildValue("(LN)", (long long)number, text) : NULL);
    self->thread = PyEval_SaveThread();
}

// --- results ---

static const char *const ends[] = {"done", "failed", "died", "idle", "cancelled"};

static PyObject *worker_dict(const hr_worker_result *w)
{
    return Py_BuildValue("{s:L,s:s,s:i,s:L,s:L,s:L,s:z,s:y#}", "rank", (long long)w->rank, "end",
                         ends[w->end], "exit_code", (int)w->exit_code, "batches",
                         (long long)w->batches, "rows", (long long)w->rows, "undelivered_rows",
                         (long long)w->undelivered_rows, "message", w->message, "details",
                         w->details ? (const char *)w->details : "", (Py_ssize_t)w->details_bytes);
}

static PyObject *life_dict(const hr_trainer_life *life)
{
    return Py_BuildValue("{s:d,s:L,s:L,s:s,s:z}", "seconds", life->seconds, "from_checkpoint",
                         (long long)life->from_checkpoint, "rank", (long long)life->rank, "end",
                         ends[life->end], "reason", life->reason);
}

static PyObject *list_of(int64_t count, PyObject *(*make)(const void *from, int64_t i),
                         const void *from)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (int64_t i = 0; list && i < count; i++) {
        PyObject *item = make(from, i);
        if (!item || PyList_SetItem(list, (Py_ssize_t)i, item))
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *worker_at(const void *from, int64_t i)
{
    return worker_dict(((hr_worker_result *const *)from)[i]);
}
static PyObject *life_at(const void *from, int64_t i)
{
    return life_dict(((hr_trainer_life *const *)from)[i]);
}

static PyObject *result_dict(const hr_trainer_result *r)
{
    const hr_stream_stats *s = r->stream;
    PyObject *workers = list_of(r->worker_count, worker_at, r->workers);
    PyObject *lives = list_of(r->life_count, life_at, r->lives);
    PyObject *last =
        r->last_checkpoint ? PyUnicode_DecodeFSDefault(r->last_checkpoint) : Py_NewRef(Py_None);
    PyObject *busy = Py_BuildValue(
        "{s:d,s:d,s:d,s:d,s:d,s:d,s:d,s:d}", "storage_s", s->storage_s, "decompress_s",
        s->decompress_s, "decode_s", s->decode_s, "transform_s", s->transform_s, "function_s",
        s->function_s, "batch_s", s->batch_s, "spill_s", s->spill_s, "memory_s", s->memory_s);
    if (!workers || !lives || !last || !busy) {
        Py_XDECREF(workers);
        Py_XDECREF(lives);
        Py_XDECREF(last);
        Py_XDECREF(busy);
        return NULL;
    }
    return Py_BuildValue("{s:N,s:N,s:N,s:N,s:K,s:K,s:d,s:L,s:L,s:L,s:L,s:L}", "workers", workers,
                         "lives", lives, "last_checkpoint", last, "busy", busy,
                         "peak_anonymous_bytes", (unsigned long long)r->peak_anonymous_bytes,
                         "peak_bytes", (unsigned long long)r->peak_bytes, "seconds", r->seconds,
                         "rows", (long long)s->rows, "batches", (long long)s->batches,
                         "source_bytes", (long long)s->source_bytes, "checkpoints",
                         (long long)r->checkpoints, "stalls", (long long)r->stalls);
}

// (result, 0, None) or (result, status, message): what a failed run still knows is worth having.
static PyObject *finish(py_trainer *self)
{
    py_state *state = py_state_of((PyObject *)self);
    hr_error err = HR_ERROR_INIT;
    hr_trainer_result *result = NULL;
    hr_status status;
    Py_BEGIN_ALLOW_THREADS status = hr_trainer_finish(&self->handle, &result, &err);
    Py_END_ALLOW_THREADS PyObject *known = result ? result_dict(result) : NULL;
    hr_trainer_result_free(&result);
    for (int i = 0; i < CALLBACKS && !self->handle; i++)
        Py_CLEAR(self->callbacks[i]);
    if (!known)
        return PyErr_Occurred() ? NULL : py_raise(state, status, &err);
    return Py_BuildValue("(Niz)", known, (int)status, status ? err.message : NULL);
}

// datasets: a list of (name, Dataset, split). The array borrows what the list holds.
static int read_datasets(py_state *state, PyObject *list, hr_trainer_dataset **out,
                         int32_t *count_out)
{
    Py_ssize_t count = PyList_Size(list);
    hr_trainer_dataset *made = PyMem_Calloc((size_t)count + 1, sizeof *made);
    if (!made) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *dataset;
        int split;
        if (!PyArg_ParseTuple(PyList_GetItem(list, i), "sO!p", &made[i].name, state->dataset_type,
                              &dataset, &split)) {
            PyMem_Free(made);
            return -1;
        }
        made[i].dataset = ((py_dataset *)dataset)->handle;
        made[i].split = split;
    }
    *out = made;
    *count_out = (int32_t)count;
    return 0;
}

// --- starting ---

typedef struct start_args {
    hr_trainer_options o;
    PyObject *runtime, *holder;
    const char **argv;
    hr_trainer_dataset *datasets;
    PyObject *callbacks[CALLBACKS];
} start_args;

static void args_finish(start_args *a)
{
    PyMem_Free(a->datasets);
    PyMem_Free(a->argv);
    Py_XDECREF(a->holder);
}

static int args_read(start_args *a, py_state *state, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"runtime",
                           "argv",
                           "payload",
                           "datasets",
                           "workers",
                           "worker_idle_s",
                           "on_report",
                           "on_line",
                           "on_checkpoint",
                           "on_restart",
                           "name",
                           "cpus",
                           "gpus",
                           "worker_cpus",
                           "worker_gpus",
                           "run_folder",
                           "resume_from",
                           "keep",
                           "keep_metric",
                           "preprocessor",
                           "keep_smallest",
                           "fail_fast",
                           "max_failures",
                           "ingest_bytes",
                           "ingest_threads",
                           "stall_warning_s",
                           NULL};
    PyObject *sequence, *list;
    const char *payload, *preprocessor = NULL;
    Py_ssize_t payload_bytes, preprocessor_bytes = 0;
    long long workers = 1, keep = 0, max_failures = 0, ingest_bytes = 0;
    long long ingest_threads = 0;
    int keep_smallest = 0, fail_fast = 0;
    hr_trainer_options *o = &a->o;
    *a = (start_args){.o = HR_TRAINER_OPTIONS_INIT};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!Oy#O!|LdOOOOzddddzzLzz#ppLLLd", keys, state->runtime_type, &a->runtime,
            &sequence, &payload, &payload_bytes, &PyList_Type, &list, &workers, &o->worker_idle_s,
            &a->callbacks[ON_REPORT], &a->callbacks[ON_LINE], &a->callbacks[ON_CHECKPOINT],
            &a->callbacks[ON_RESTART], &o->name, &o->cpus, &o->gpus, &o->worker_cpus,
            &o->worker_gpus, &o->run_folder, &o->resume_from, &keep, &o->keep_metric, &preprocessor,
            &preprocessor_bytes, &keep_smallest, &fail_fast, &max_failures, &ingest_bytes,
            &ingest_threads, &o->stall_warning_s) ||
        read_datasets(state, list, &a->datasets, &o->dataset_count) ||
        py_names(sequence, &a->argv, &a->holder)) {
        args_finish(a);
        return -1;
    }
    o->workers = workers;
    o->argv = a->argv;
    o->payload = payload;
    o->payload_bytes = (size_t)payload_bytes;
    o->datasets = a->datasets;
    o->preprocessor = preprocessor;
    o->preprocessor_bytes = (size_t)preprocessor_bytes;
    o->keep = keep;
    o->keep_smallest = keep_smallest;
    o->fail_fast = fail_fast;
    o->max_failures = max_failures;
    o->ingest_bytes = ingest_bytes;
    o->ingest_threads = ingest_threads;
    o->on_report = report_back;
    o->on_line = line_back;
    o->on_checkpoint = checkpoint_back;
    o->on_restart = restart_back;
    return 0;
}

// A trainer that runs; AGAIN: NULL without an exception, the words in err.
static py_trainer *start(py_state *state, start_args *a, hr_error *err)
{
    py_trainer *self = py_new(state->trainer_type);
    hr_runtime *runtime = ((py_runtime *)a->runtime)->handle;
    hr_status status;
    if (!self)
        return NULL;
    self->runtime = Py_NewRef(a->runtime);
    for (int i = 0; i < CALLBACKS; i++)
        self->callbacks[i] = Py_XNewRef(a->callbacks[i]);
    a->o.context = self;
    if (!runtime) {
        hr_error closed = {HR_CANCELLED, "the runtime was shut down"};
        *err = closed;
        status = HR_CANCELLED;
    } else {
        Py_BEGIN_ALLOW_THREADS status = hr_trainer_start(runtime, &a->o, &self->handle, err);
        Py_END_ALLOW_THREADS
    }
    if (status == HR_OK)
        return self;
    Py_DECREF((PyObject *)self);
    if (status != HR_AGAIN)
        py_raise(state, status, err);
    return NULL;
}

PyObject *py_trainer_start(PyObject *module, PyObject *args, PyObject *kwargs)
{
    py_state *state = py_module_state(module);
    start_args a;
    hr_error err = HR_ERROR_INIT;
    if (args_read(&a, state, args, kwargs))
        return NULL;
    py_trainer *self = start(state, &a, &err);
    args_finish(&a);
    if (!self && !PyErr_Occurred())
        return PyUnicode_FromString(err.message);
    return (PyObject *)self;
}

// --- waiting ---

// Sets what a callback of this trainer raised, unless another one's is set already. Whether it had raised.
static int raise_again(py_trainer *self)
{
    PyObject *type = self->raised[0], *value = self->raised[1], *trace = self->raised[2];
    self->raised[0] = self->raised[1] = self->raised[2] = NULL;
    if (!type)
        return 0;
    if (!PyErr_Occurred()) {
        PyErr_Restore(type, value, trace);
        return 1;
    }
    Py_DECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return 1;
}

// Waits in slices, looking for signals. Sets *ended_out, -1 when the time was up. -1: an exception is set.
static int wait_for(py_state *state, hr_trainer **handles, py_trainer **trainers, int32_t count,
                    double timeout, int32_t *ended_out)
{
    hr_error err = HR_ERROR_INIT;
    for (int32_t i = 0; i < count; i++)
        if (trainers[i] && trainers[i]->thread) {
            PyErr_SetString(PyExc_RuntimeError,
                            "this trainer is waited for already, by another thread or by the call "
                            "that this callback is of: only cancel() is possible meanwhile");
            return -1;
        }
    for (;;) {
        double slice = timeout < 0 || timeout > SLICE_S ? SLICE_S : timeout;
        PyThreadState *thread = PyEval_SaveThread();
        for (int32_t i = 0; i < count; i++)
            if (trainers[i])
                trainers[i]->thread = thread;
        hr_status status = hr_trainers_wait(handles, count, slice, ended_out, &err);
        PyEval_RestoreThread(thread);
        int raised = 0;
        for (int32_t i = 0; i < count; i++)
            if (trainers[i]) {
                raised |= raise_again(trainers[i]);
                trainers[i]->thread = NULL;
            }
        if (raised || PyErr_CheckSignals() < 0)
            return -1;
        if (status == HR_OK)
            return 0;
        *ended_out = -1;
        if (status == HR_END)
            return 0;
        if (status != HR_TIMEOUT) {
            py_raise(state, status, &err);
            return -1;
        }
        if (timeout >= 0 && (timeout -= slice) <= 0)
            return 0;
    }
}

static int read_timeout(PyObject *value, double *out)
{
    *out = value == Py_None ? -1 : PyFloat_AsDouble(value);
    if (PyErr_Occurred())
        return -1;
    if (value != Py_None && !(*out >= 0)) {
        PyErr_SetString(PyExc_ValueError,
                        "timeout: seconds, or None to wait for as long as it takes");
        return -1;
    }
    return 0;
}

PyObject *py_trainers_wait(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"trainers", "timeout", NULL};
    py_state *state = py_module_state(module);
    PyObject *sequence, *list, *timeout_value = Py_None;
    double timeout;
    int32_t ended = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", keys, &sequence, &timeout_value) ||
        read_timeout(timeout_value, &timeout) || !(list = PySequence_Tuple(sequence)))
        return NULL;
    Py_ssize_t count = PyTuple_Size(list);
    py_trainer **trainers = PyMem_Calloc((size_t)count + 1, sizeof *trainers);
    hr_trainer **handles = PyMem_Calloc((size_t)count + 1, sizeof *handles);
    int failed = !trainers || !handles;
    if (failed)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count && !failed; i++) {
        PyObject *item = PyTuple_GetItem(list, i);
        if (item == Py_None)
            continue;
        if (Py_TYPE(item) != state->trainer_type) {
            PyErr_SetString(PyExc_TypeError, "trainers_wait: Trainers, or None, are needed");
            failed = 1;
            break;
        }
        trainers[i] = (py_trainer *)item;
        handles[i] = trainers[i]->handle;
    }
    if (!failed)
        failed = wait_for(state, handles, trainers, (int32_t)count, timeout, &ended);
    PyMem_Free(trainers);
    PyMem_Free(handles);
    Py_DECREF(list);
    if (failed)
        return NULL;
    if (ended < 0)
        Py_RETURN_NONE;
    return PyLong_FromLong(ended);
}

PyObject *py_trainer_run(PyObject *module, PyObject *args, PyObject *kwargs)
{
    py_state *state = py_module_state(module);
    start_args a;
    hr_error err = HR_ERROR_INIT;
    int32_t ended;
    if (args_read(&a, state, args, kwargs))
        return NULL;
    py_trainer *self = start(state, &a, &err);
    args_finish(&a);
    if (!self)
        return PyErr_Occurred() ? NULL : py_raise(state, HR_LIMIT, &err);
    PyObject *result = NULL;
    if (wait_for(state, &self->handle, &self, 1, -1, &ended) == 0)
        result = finish(self);
    Py_DECREF((PyObject *)self);
    return result;
}

// --- the type ---

static int check_open(py_trainer *self)
{
    if (self->handle)
        return 0;
    PyErr_SetString(PyExc_ValueError, "this trainer is finished");
    return -1;
}

static void trainer_dealloc(py_trainer *self)
{
    hr_trainer_result *result = NULL;
    hr_status status;
    hr_error err = HR_ERROR_INIT;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    Py_BEGIN_ALLOW_THREADS status = hr_trainer_finish(&self->handle, &result, &err);
    Py_END_ALLOW_THREADS if (status == HR_OK || result) hr_trainer_result_free(&result);
    for (int i = 0; i < CALLBACKS; i++)
        Py_XDECREF(self->callbacks[i]);
    Py_XDECREF(self->runtime);
    PyErr_Restore(type, value, trace);
    py_free((PyObject *)self);
}

static PyObject *trainer_wait(py_trainer *self, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"timeout", NULL};
    PyObject *timeout_value = Py_None;
    double timeout;
    int32_t ended;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", keys, &timeout_value) ||
        read_timeout(timeout_value, &timeout) || check_open(self) ||
        wait_for(py_state_of((PyObject *)self), &self->handle, &self, 1, timeout, &ended))
        return NULL;
    return PyBool_FromLong(ended == 0);
}

static PyObject *trainer_cancel(py_trainer *self, PyObject *unused)
{
    if (self->handle)
        hr_trainer_cancel(self->handle);
    Py_RETURN_NONE;
}

static PyObject *trainer_finish(py_trainer *self, PyObject *unused)
{
    return check_open(self) ? NULL : finish(self);
}

static PyObject *trainer_ended(py_trainer *self, void *unused)
{
    return PyBool_FromLong(!self->handle || hr_trainer_has_ended(self->handle));
}

static PyObject *trainer_rows(py_trainer *self, void *unused)
{
    return PyLong_FromLongLong(self->handle ? hr_trainer_rows(self->handle) : 0);
}

static PyMethodDef methods[] = {
    {"wait", (PyCFunction)(void (*)(void))trainer_wait, METH_VARARGS | METH_KEYWORDS,
     "wait(timeout=None): runs it until it ended (True) or the time is up (False)."},
    {"cancel", (PyCFunction)trainer_cancel, METH_NOARGS,
     "Asks it to end; a wait tells when it has."},
    {"finish", (PyCFunction)trainer_finish, METH_NOARGS,
     "(result, status, message); a trainer that still runs is cancelled."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"ended", (getter)trainer_ended, NULL, NULL, NULL},
    {"rows", (getter)trainer_rows, NULL, "That the workers of this life took so far.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "Workers that run: made by trainer_start."},
    {Py_tp_dealloc, trainer_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, NULL},
};
PyType_Spec py_trainer_spec = {"headrace._core.Trainer", sizeof(py_trainer), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
