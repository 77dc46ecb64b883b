// SPDX-License-Identifier: Apache-2.0
// The page of a trainer's run: figures that its workers measured, from Python's numbers into the library's.
#include "py_core.h"
#include <stdlib.h>

typedef struct page_arrays {
    hr_check_worker_figures *workers;
    hr_check_sample *samples;
    double **delays; // of each worker
    const char **stalls;
    hr_trainer_life *life_rows;
    const hr_trainer_life **lives; // of life_rows
    hr_trainer_dataset *others;
    Py_ssize_t worker_count, sample_count, stall_count, life_count, other_count;
} page_arrays;

static void arrays_free(page_arrays *a)
{
    for (Py_ssize_t i = 0; a->delays && i < a->worker_count; i++)
        free(a->delays[i]);
    free(a->delays);
    free(a->workers);
    free(a->samples);
    free(a->stalls);
    free(a->life_rows);
    free(a->lives);
    free(a->others);
}

static double *take_delays(PyObject *list, size_t *count_out)
{
    Py_ssize_t count = PyList_Size(list);
    double *made = malloc((size_t)(count + 1) * sizeof *made);
    if (!made)
        return (double *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        made[i] = PyFloat_AsDouble(PyList_GetItem(list, i));
        if (PyErr_Occurred()) {
            free(made);
            return NULL;
        }
    }
    *count_out = (size_t)count;
    return made;
}

static int take_worker(PyObject *item, hr_check_worker_figures *w, double **delays_out)
{
    hr_feed_stats *f = &w->feed;
    PyObject *delays = NULL;
    long long batches = 0, rows = 0, bytes = 0;
    int end = 0;
    if (!PyArg_ParseTuple(item, "izdLLLddddddO!", &end, &w->message, &w->loop_s, &batches, &rows,
                          &bytes, &f->delay_p50_s, &f->delay_p95_s, &f->delay_max_s, &f->wait_s,
                          &f->own_s, &f->first_batch_s, &PyList_Type, &delays))
        return -1;
    w->end = (hr_worker_end)end;
    f->batches = batches;
    f->rows = rows;
    f->bytes = bytes;
    w->delays = *delays_out = take_delays(delays, &w->delay_count);
    return w->delays ? 0 : -1;
}

static int take_sample(PyObject *item, hr_check_sample *s)
{
    long long rows = 0;
    unsigned long long used = 0;
    if (!PyArg_ParseTuple(item, "dLK", &s->at_s, &rows, &used))
        return -1;
    s->rows = rows;
    s->used_bytes = used;
    return 0;
}

static int take_life(PyObject *item, hr_trainer_life *life)
{
    long long from = 0;
    const char *reason = NULL;
    if (!PyArg_ParseTuple(item, "dLz", &life->seconds, &from, &reason))
        return -1;
    life->from_checkpoint = from;
    life->reason = (char *)reason; // the tuple's, which outlives the call
    return 0;
}

static int take_ends(PyObject *stalls, PyObject *lives, page_arrays *a)
{
    a->stall_count = PyList_Size(stalls);
    a->life_count = PyList_Size(lives);
    a->stalls = calloc((size_t)a->stall_count + 1, sizeof *a->stalls);
    a->life_rows = calloc((size_t)a->life_count + 1, sizeof *a->life_rows);
    a->lives = calloc((size_t)a->life_count + 1, sizeof *a->lives);
    if (!a->stalls || !a->life_rows || !a->lives) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < a->stall_count; i++)
        if (!(a->stalls[i] = PyUnicode_AsUTF8AndSize(PyList_GetItem(stalls, i), NULL)))
            return -1;
    for (Py_ssize_t i = 0; i < a->life_count; i++) {
        a->lives[i] = &a->life_rows[i];
        if (take_life(PyList_GetItem(lives, i), &a->life_rows[i]))
            return -1;
    }
    return 0;
}

static int take_others(py_state *state, PyObject *others, page_arrays *a)
{
    a->other_count = PyList_Size(others);
    a->others = calloc((size_t)a->other_count + 1, sizeof *a->others);
    if (!a->others) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < a->other_count; i++) {
        PyObject *dataset = NULL;
        if (!PyArg_ParseTuple(PyList_GetItem(others, i), "sO!", &a->others[i].name,
                              state->dataset_type, &dataset))
            return -1;
        a->others[i].dataset = ((py_dataset *)dataset)->handle;
    }
    return 0;
}

static int take_arrays(PyObject *workers, PyObject *samples, page_arrays *a)
{
    a->worker_count = PyList_Size(workers);
    a->sample_count = PyList_Size(samples);
    a->workers = calloc((size_t)a->worker_count + 1, sizeof *a->workers);
    a->delays = calloc((size_t)a->worker_count + 1, sizeof *a->delays);
    a->samples = calloc((size_t)a->sample_count + 1, sizeof *a->samples);
    if (!a->workers || !a->delays || !a->samples) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < a->worker_count; i++)
        if (take_worker(PyList_GetItem(workers, i), &a->workers[i], &a->delays[i]))
            return -1;
    for (Py_ssize_t i = 0; i < a->sample_count; i++)
        if (take_sample(PyList_GetItem(samples, i), &a->samples[i]))
            return -1;
    return 0;
}

PyObject *py_check_page(PyObject *module, PyObject *args)
{
    py_state *state = py_module_state(module);
    PyObject *runtime = NULL, *dataset = NULL, *workers = NULL, *samples = NULL, *result = NULL;
    PyObject *stalls = NULL, *lives = NULL, *others = NULL;
    hr_stream_stats busy = {0};
    hr_check_figures f = {.size = sizeof f, .stream = &busy};
    unsigned long long peak = 0;
    int touch = 0;
    page_arrays a = {0};
    char *text = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "O!O!zp(dddddddd)KO!O!O!O!O!", state->runtime_type, &runtime,
                          state->dataset_type, &dataset, &f.title, &touch, &busy.storage_s,
                          &busy.decompress_s, &busy.decode_s, &busy.transform_s, &busy.function_s,
                          &busy.batch_s, &busy.spill_s, &busy.memory_s, &peak, &PyList_Type,
                          &workers, &PyList_Type, &samples, &PyList_Type, &stalls, &PyList_Type,
                          &lives, &PyList_Type, &others))
        return NULL;
    if (take_arrays(workers, samples, &a) == 0 && take_ends(stalls, lives, &a) == 0 &&
        take_others(state, others, &a) == 0) {
        f.others = a.others;
        f.other_count = a.other_count;
        f.touch = touch;
        f.stalls = a.stalls;
        f.stall_count = a.stall_count;
        f.lives = a.lives;
        f.life_count = a.life_count;
        f.peak_bytes = peak;
        f.workers = a.workers;
        f.worker_count = a.worker_count;
        f.samples = a.samples;
        f.sample_count = (size_t)a.sample_count;
        hr_status status = hr_check_print_page(((py_runtime *)runtime)->handle,
                                               ((py_dataset *)dataset)->handle, &f, &text, &err);
        result = status ? py_raise(state, status, &err) : py_take_text(text);
    }
    arrays_free(&a);
    return result;
}
