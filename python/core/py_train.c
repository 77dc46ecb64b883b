// SPDX-License-Identifier: Apache-2.0
// The driver's side of a trainer: headrace._core.trainer_run starts workers, calls back for reports and lines on the
// caller's thread, and looks for signals ten times a second. The workers' side is py_session.c.
#include "py_core.h"

typedef struct run_state {
    PyThreadState *thread; // while the GIL is released
    PyObject *on_report, *on_line;
    int raised; // an exception of a callback or a signal is set
} run_state;

static void take_gil(run_state *run)
{
    PyEval_RestoreThread(run->thread);
}
static void leave_gil(run_state *run)
{
    run->thread = PyEval_SaveThread();
}

static hr_status report_back(void *context, int64_t rank, const char *json, hr_error *err)
{
    run_state *run = context;
    take_gil(run);
    if (!run->raised && run->on_report != Py_None) {
        PyObject *result = PyObject_CallFunction(run->on_report, "Ls", (long long)rank, json);
        run->raised = !result;
        Py_XDECREF(result);
    }
    int raised = run->raised;
    leave_gil(run);
    return raised ? HR_CANCELLED : HR_OK;
}

static void line_back(void *context, int64_t rank, const char *line)
{
    run_state *run = context;
    take_gil(run);
    if (!run->raised && run->on_line != Py_None) {
        PyObject *result = PyObject_CallFunction(run->on_line, "Ls", (long long)rank, line);
        run->raised = !result;
        Py_XDECREF(result);
    }
    leave_gil(run);
}

static hr_status tick_back(void *context, hr_error *err)
{
    run_state *run = context;
    take_gil(run);
    if (!run->raised)
        run->raised = PyErr_CheckSignals() < 0;
    int raised = run->raised;
    leave_gil(run);
    return raised ? HR_CANCELLED : HR_OK;
}

static PyObject *worker_dict(const hr_worker_result *w)
{
    static const char *const ends[] = {"done", "failed", "died", "idle", "cancelled"};
    return Py_BuildValue("{s:L,s:s,s:i,s:L,s:L,s:L,s:z,s:y#}", "rank", (long long)w->rank, "end",
                         ends[w->end], "exit_code", (int)w->exit_code, "batches",
                         (long long)w->batches, "rows", (long long)w->rows, "undelivered_rows",
                         (long long)w->undelivered_rows, "message", w->message, "details",
                         w->details ? (const char *)w->details : "", (Py_ssize_t)w->details_bytes);
}

static PyObject *result_dict(const hr_trainer_result *r)
{
    PyObject *workers = PyList_New((Py_ssize_t)r->worker_count);
    for (int64_t i = 0; workers && i < r->worker_count; i++) {
        PyObject *worker = worker_dict(&r->workers[i]);
        if (!worker || PyList_SetItem(workers, (Py_ssize_t)i, worker))
            Py_CLEAR(workers);
    }
    const hr_stream_stats *s = &r->stream;
    return workers
               ? Py_BuildValue("{s:N,s:K,s:d,s:L,s:L,s:{s:d,s:d,s:d,s:d,s:d,s:d,s:d,s:d}}",
                               "workers", workers, "peak_anonymous_bytes",
                               (unsigned long long)r->peak_anonymous_bytes, "seconds", r->seconds,
                               "rows", (long long)s->rows, "batches", (long long)s->batches, "busy",
                               "storage_s", s->storage_s, "decompress_s", s->decompress_s,
                               "decode_s", s->decode_s, "transform_s", s->transform_s, "function_s",
                               s->function_s, "batch_s", s->batch_s, "spill_s", s->spill_s,
                               "memory_s", s->memory_s)
               : NULL;
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

// (result, None) or (result, exception): what a failed run still knows is worth having.
PyObject *py_trainer_run(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"runtime",       "argv",      "payload", "datasets", "workers",
                           "worker_idle_s", "on_report", "on_line", NULL};
    py_state *state = py_module_state(module);
    hr_trainer_options o = HR_TRAINER_OPTIONS_INIT;
    hr_trainer_result *result = NULL;
    hr_trainer_dataset *datasets = NULL;
    hr_error err = HR_ERROR_INIT;
    run_state run = {.on_report = Py_None, .on_line = Py_None};
    PyObject *runtime, *sequence, *list, *holder = NULL;
    const char *payload, **argv = NULL;
    Py_ssize_t payload_bytes;
    long long workers = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!Oy#O!|LdOO", keys, state->runtime_type,
                                     &runtime, &sequence, &payload, &payload_bytes, &PyList_Type,
                                     &list, &workers, &o.worker_idle_s, &run.on_report,
                                     &run.on_line) ||
        read_datasets(state, list, &datasets, &o.dataset_count) ||
        py_names(sequence, &argv, &holder)) {
        PyMem_Free(datasets);
        return NULL;
    }
    o.workers = workers;
    o.argv = argv;
    o.payload = payload;
    o.payload_bytes = (size_t)payload_bytes;
    o.datasets = datasets;
    o.on_report = report_back;
    o.on_line = line_back;
    o.on_tick = tick_back;
    o.context = &run;
    leave_gil(&run);
    hr_status status = hr_trainer_run(((py_runtime *)runtime)->handle, &o, &result, &err);
    take_gil(&run);
    PyMem_Free(datasets);
    PyMem_Free(argv);
    Py_XDECREF(holder);
    PyObject *known = result && !run.raised ? result_dict(result) : NULL;
    hr_trainer_result_free(&result);
    if (run.raised || (!known && PyErr_Occurred())) {
        Py_XDECREF(known);
        return NULL;
    }
    if (!known)
        return py_raise(state, status, &err);
    return Py_BuildValue("(Niz)", known, (int)status, status ? err.message : NULL);
}
