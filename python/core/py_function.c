// SPDX-License-Identifier: Apache-2.0
// A process of functions: receives a pickled function, calls it for each block until the runtime hangs up. The Python
// side gives two callables: begin(payload) returns the function, which takes a Batch and returns one.
#include "py_core.h"
#include <string.h>

typedef struct serving {
    py_state *state;
    PyObject *begin, *describe, *function;
    PyObject *details; // of the last failure: bytes, until the next call
    PyThreadState *thread;
} serving;

// The pending exception as a message and its pickled form.
static hr_status take_failure(serving *s, const void **details, size_t *details_bytes,
                              hr_error *err)
{
    PyObject *type, *value, *trace, *pair = NULL;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace)
        PyException_SetTraceback(value, trace);
    if (value)
        pair = PyObject_CallFunctionObjArgs(s->describe, value, NULL);
    const char *text = NULL, *bytes = NULL;
    Py_ssize_t count = 0;
    if (pair && PyArg_ParseTuple(pair, "sy#", &text, &bytes, &count)) {
        PyOS_snprintf(err->message, sizeof err->message, "%s", text);
        Py_XDECREF(s->details);
        s->details = PyBytes_FromStringAndSize(bytes, count);
        if (s->details && details) {
            *details = PyBytes_AsString(s->details);
            *details_bytes = (size_t)count;
        }
    } else {
        PyOS_snprintf(err->message, sizeof err->message,
                      "the function failed and its exception cannot be described");
    }
    PyErr_Clear();
    Py_XDECREF(pair);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    err->status = HR_USER;
    return HR_USER;
}

static hr_status begin(void *context, const void *payload, size_t bytes, hr_error *err)
{
    serving *s = context;
    hr_status status = HR_OK;
    PyEval_RestoreThread(s->thread);
    Py_XDECREF(s->function);
    s->function = PyObject_CallFunction(s->begin, "y#", (const char *)payload, (Py_ssize_t)bytes);
    if (!s->function)
        status = take_failure(s, NULL, NULL, err);
    s->thread = PyEval_SaveThread();
    return status;
}

static hr_status call(void *context, const hr_block *in, hr_block **out, const void **details,
                      size_t *details_bytes, hr_error *err)
{
    serving *s = context;
    hr_status status = HR_OK;
    PyEval_RestoreThread(s->thread);
    PyObject *batch = py_batch_wrap(s->state, NULL, hr_block_ref(in), 1);
    PyObject *made = batch ? PyObject_CallFunctionObjArgs(s->function, batch, NULL) : NULL;
    Py_XDECREF(batch);
    if (made && Py_TYPE(made) != s->state->batch_type)
        PyErr_Format(PyExc_TypeError, "a function's process made %R instead of a Batch",
                     Py_TYPE(made));
    if (PyErr_Occurred())
        status = take_failure(s, details, details_bytes, err);
    else
        *out = hr_block_ref(((py_batch *)made)->block);
    Py_XDECREF(made);
    s->thread = PyEval_SaveThread();
    return status;
}

PyObject *py_function_serve(PyObject *module, PyObject *args)
{
    serving s = {.state = py_module_state(module)};
    const hr_function_server server = {sizeof server, begin, call, &s};
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "OO", &s.begin, &s.describe))
        return NULL;
    s.thread = PyEval_SaveThread();
    hr_status status = hr_function_serve(&server, &err);
    PyEval_RestoreThread(s.thread);
    Py_XDECREF(s.function);
    Py_XDECREF(s.details);
    if (status < 0)
        return py_raise(s.state, status, &err);
    Py_RETURN_NONE;
}
