// SPDX-License-Identifier: Apache-2.0
// headrace._core.Prep: a preprocessor. Fitting returns a new one; headrace/preprocessors.py keeps the one it has.
#include "py_core.h"

// `made` by its address: the call that fills it may stand beside it among the arguments.
static PyObject *wrap(py_state *state, hr_status status, hr_prep **made, const hr_error *err)
{
    if (status)
        return py_raise(state, status, err);
    py_prep *self = py_new(state->prep_type);
    if (!self) {
        hr_prep_unref(made);
        return NULL;
    }
    self->handle = *made;
    return (PyObject *)self;
}

static void prep_dealloc(py_prep *self)
{
    Py_BEGIN_ALLOW_THREADS hr_prep_unref(&self->handle);
    Py_END_ALLOW_THREADS py_free((PyObject *)self);
}

#define STATE(type) ((py_state *)PyType_GetModuleState((PyTypeObject *)(type)))

static PyObject *prep_map(PyObject *type, PyObject *args)
{
    const char *text;
    hr_prep *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "s", &text))
        return NULL;
    return wrap(STATE(type), hr_prep_map(text, &made, &err), &made, &err);
}

static PyObject *prep_process(PyObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"argv", "payload", "processes", "name", "batch_rows", "identity", NULL};
    hr_process_options o = HR_PROCESS_OPTIONS_INIT;
    PyObject *sequence, *holder = NULL;
    const char *payload, **argv = NULL;
    Py_ssize_t payload_bytes = 0;
    long long processes = 0, batch_rows = 0;
    hr_prep *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oy#|LzLz", keys, &sequence, &payload,
                                     &payload_bytes, &processes, &o.name, &batch_rows,
                                     &o.identity) ||
        py_names(sequence, &argv, &holder))
        return NULL;
    o.argv = argv;
    o.payload = payload;
    o.payload_bytes = (size_t)payload_bytes;
    o.processes = processes;
    o.batch_rows = batch_rows;
    hr_status status = hr_prep_map_process(&o, &made, &err);
    PyMem_Free(argv);
    Py_XDECREF(holder);
    return wrap(STATE(type), status, &made, &err);
}

static PyObject *prep_standard_scaler(PyObject *type, PyObject *args)
{
    hr_standard_scaler_options o = HR_STANDARD_SCALER_OPTIONS_INIT;
    PyObject *sequence, *holder = NULL;
    const char **names = NULL;
    int result_type = 0;
    hr_prep *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "O|i", &sequence, &result_type) ||
        py_names(sequence, &names, &holder))
        return NULL;
    o.type = (hr_type_id)result_type;
    hr_status status = hr_prep_standard_scaler(names, &o, &made, &err);
    PyMem_Free(names);
    Py_XDECREF(holder);
    return wrap(STATE(type), status, &made, &err);
}

static PyObject *prep_chain(PyObject *type, PyObject *list)
{
    Py_ssize_t count = PySequence_Size(list);
    hr_prep **handles = count < 0 ? NULL : PyMem_Calloc((size_t)count + 1, sizeof *handles),
            *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!handles)
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(list, i);
        if (!item || Py_TYPE(item) != STATE(type)->prep_type) {
            Py_XDECREF(item);
            PyMem_Free(handles);
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "chain: preprocessors are needed");
            return NULL;
        }
        handles[i] = ((py_prep *)item)->handle;
        Py_DECREF(item);
    }
    hr_status status = hr_prep_chain(handles, (int32_t)count, &made, &err);
    PyMem_Free(handles);
    return wrap(STATE(type), status, &made, &err);
}

static PyObject *prep_load(PyObject *type, PyObject *args)
{
    const char *json;
    hr_prep *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "s", &json))
        return NULL;
    return wrap(STATE(type), hr_prep_load(json, &made, &err), &made, &err);
}

typedef struct fit_job {
    const hr_prep *prep;
    const hr_dataset *dataset;
    hr_prep *fitted;
    hr_dataset *made;
} fit_job;

static hr_status run_fit(void *arg, hr_error *err)
{
    fit_job *job = arg;
    return hr_prep_fit(job->prep, job->dataset, &job->fitted, err);
}

static hr_status run_transform(void *arg, hr_error *err)
{
    fit_job *job = arg;
    return hr_prep_transform(job->prep, job->dataset, &job->made, err);
}

static PyObject *with_dataset(py_prep *self, PyObject *object, py_job run)
{
    py_state *state = py_state_of((PyObject *)self);
    hr_status status = HR_OK;
    hr_error err = HR_ERROR_INIT;
    if (Py_TYPE(object) != state->dataset_type) {
        PyErr_SetString(PyExc_TypeError, "a dataset is needed");
        return NULL;
    }
    py_dataset *dataset = (py_dataset *)object;
    fit_job job = {self->handle, dataset->handle, NULL, NULL};
    if (py_wait(dataset->runtime, run, &job, &status, &err)) {
        hr_prep_unref(&job.fitted);
        hr_dataset_unref(&job.made);
        return NULL;
    }
    if (run == run_fit)
        return wrap(state, status, &job.fitted, &err);
    return status ? py_raise(state, status, &err)
                  : py_dataset_wrap(state, job.made, dataset->runtime);
}

static PyObject *prep_fit(py_prep *self, PyObject *dataset)
{
    return with_dataset(self, dataset, run_fit);
}

static PyObject *prep_transform(py_prep *self, PyObject *dataset)
{
    return with_dataset(self, dataset, run_transform);
}

static PyObject *prep_transform_block(py_prep *self, PyObject *batch)
{
    py_state *state = py_state_of((PyObject *)self);
    hr_block *made = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_status status;
    if (Py_TYPE(batch) != state->batch_type) {
        PyErr_SetString(PyExc_TypeError, "a Batch is needed");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status =
        hr_prep_transform_block(self->handle, ((py_batch *)batch)->block, &made, &err);
    Py_END_ALLOW_THREADS return status ? py_raise(state, status, &err)
                                       : py_batch_wrap(state, NULL, made, 0);
}

static PyObject *prep_learned(py_prep *self, PyObject *unused)
{
    char *text = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_status status = hr_prep_learned(self->handle, &text, &err);
    return status ? py_raise(py_state_of((PyObject *)self), status, &err) : py_take_text(text);
}

static PyObject *prep_save(py_prep *self, PyObject *unused)
{
    char *text = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_status status = hr_prep_save(self->handle, &text, &err);
    return status ? py_raise(py_state_of((PyObject *)self), status, &err) : py_take_text(text);
}

static PyObject *prep_fit_status(py_prep *self, void *unused)
{
    return PyLong_FromLong(hr_prep_fit_status(self->handle));
}

static PyObject *prep_repr(py_prep *self)
{
    char text[4096];
    return PyUnicode_FromString(hr_prep_print(self->handle, text, sizeof text));
}

static PyMethodDef methods[] = {
    {"map", (PyCFunction)prep_map, METH_VARARGS | METH_CLASS, "Assignments as text."},
    {"process", (PyCFunction)(void (*)(void))prep_process,
     METH_VARARGS | METH_KEYWORDS | METH_CLASS, "A function in processes."},
    {"standard_scaler", (PyCFunction)prep_standard_scaler, METH_VARARGS | METH_CLASS,
     "(columns, type id)"},
    {"chain", (PyCFunction)prep_chain, METH_O | METH_CLASS, "One after the other."},
    {"load", (PyCFunction)prep_load, METH_VARARGS | METH_CLASS, "From JSON."},
    {"fit", (PyCFunction)prep_fit, METH_O, "Learns from a dataset; returns a fitted one."},
    {"transform", (PyCFunction)prep_transform, METH_O, "The dataset with it applied, lazily."},
    {"transform_block", (PyCFunction)prep_transform_block, METH_O, "A batch with it applied, now."},
    {"learned", (PyCFunction)prep_learned, METH_NOARGS, "What was learned, as JSON."},
    {"save", (PyCFunction)prep_save, METH_NOARGS, "As JSON."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"fit_status", (getter)prep_fit_status, NULL,
     "0 not fittable, 1 not fitted, 2 partially, 3 fitted.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "A preprocessor."}, {Py_tp_dealloc, prep_dealloc}, {Py_tp_methods, methods},
    {Py_tp_getset, getset},         {Py_tp_repr, prep_repr},       {0, NULL},
};
PyType_Spec py_prep_spec = {"headrace._core.Prep", sizeof(py_prep), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
