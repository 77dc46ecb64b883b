// SPDX-License-Identifier: Apache-2.0
// Failures become exceptions in one place: headrace.Error with .status, and for each status a class that is also what
// Python programs catch (INVALID is a ValueError, NOT_FOUND a KeyError and a FileNotFoundError, ...).
//
// A failure of the user's own function carries the pickled exception beside its message. It is rebuilt by
// headrace._worker.rebuild, which compares it with the message first: the details are the last ones of the whole
// process.
#include "py_core.h"
#include <string.h>

static const struct {
    hr_status status;
    const char *name;
    const char *bases[2];
} rows[] = {
    {HR_INVALID, "headrace.InvalidError", {"ValueError", NULL}},
    {HR_NOMEM, "headrace.NoMemoryError", {"MemoryError", NULL}},
    {HR_IO, "headrace.StorageError", {"OSError", NULL}},
    {HR_CORRUPT, "headrace.CorruptError", {NULL, NULL}},
    {HR_UNSUPPORTED, "headrace.UnsupportedError", {"NotImplementedError", NULL}},
    {HR_NOT_FOUND, "headrace.NotFoundError", {"KeyError", "FileNotFoundError"}},
    {HR_DENIED, "headrace.DeniedError", {"PermissionError", NULL}},
    {HR_LIMIT, "headrace.LimitError", {NULL, NULL}},
    {HR_TIMEOUT, "headrace.TimeoutError", {"TimeoutError", NULL}},
    {HR_CANCELLED, "headrace.CancelledError", {NULL, NULL}},
    {HR_USER, "headrace.FunctionError", {NULL, NULL}},
};

// KeyError shows the repr of its message: our classes show the message.
static PyObject *error_dict(PyObject *builtins, const char *status)
{
    PyObject *dict = PyDict_New(), *base = PyObject_GetAttrString(builtins, "Exception"),
             *str = NULL;
    PyObject *name = status ? PyUnicode_FromString(status) : Py_NewRef(Py_None);
    if (base)
        str = PyObject_GetAttrString(base, "__str__");
    if (!dict || !str || !name || PyDict_SetItemString(dict, "__str__", str) ||
        PyDict_SetItemString(dict, "status", name))
        Py_CLEAR(dict);
    Py_XDECREF(base);
    Py_XDECREF(str);
    Py_XDECREF(name);
    return dict;
}

static PyObject *error_bases(PyObject *builtins, PyObject *error, const char *const names[2])
{
    PyObject *list = PyList_New(0), *tuple = NULL;
    int failed = !list || PyList_Append(list, error);
    for (int i = 0; i < 2 && names[i] && !failed; i++) {
        PyObject *base = PyObject_GetAttrString(builtins, names[i]);
        failed = !base || PyList_Append(list, base);
        Py_XDECREF(base);
    }
    if (!failed)
        tuple = PyList_AsTuple(list);
    Py_XDECREF(list);
    return tuple;
}

static int add_error(PyObject *module, PyObject *builtins, py_state *state, int index,
                     const char *name, const char *status, PyObject *bases)
{
    PyObject *dict = error_dict(builtins, status);
    if (dict)
        state->errors[index] = PyErr_NewException(name, bases, dict);
    Py_XDECREF(dict);
    return state->errors[index]
               ? PyModule_AddObjectRef(module, strchr(name, '.') + 1, state->errors[index])
               : -1;
}

int py_errors_init(PyObject *module, py_state *state)
{
    PyObject *builtins = PyImport_ImportModule("builtins");
    int failed = !builtins || add_error(module, builtins, state, 0, "headrace.Error", NULL, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !failed; i++) {
        PyObject *bases = error_bases(builtins, state->errors[0], rows[i].bases);
        failed = !bases || add_error(module, builtins, state, -rows[i].status, rows[i].name,
                                     hr_status_name(rows[i].status), bases);
        Py_XDECREF(bases);
    }
    Py_XDECREF(builtins);
    return failed ? -1 : 0;
}

// The exception that the user's function raised; NULL with none set when there are no details or they are another's.
static PyObject *rebuild(const hr_error *err)
{
    size_t count = 0;
    const void *details = hr_user_error_details(&count);
    PyObject *worker, *made;
    if (!details)
        return NULL;
    worker = PyImport_ImportModule("headrace._worker");
    made = worker ? PyObject_CallMethod(worker, "rebuild", "y#s", (const char *)details,
                                        (Py_ssize_t)count, err->message)
                  : NULL;
    Py_XDECREF(worker);
    if (!made)
        PyErr_Clear();
    if (made == Py_None)
        Py_CLEAR(made);
    return made;
}

PyObject *py_raise(py_state *state, hr_status status, const hr_error *err)
{
    int index = status < 0 && status > -PY_STATUS_COUNT ? -status : 0;
    PyObject *made = status == HR_USER ? rebuild(err) : NULL;
    if (made) {
        PyErr_SetObject((PyObject *)Py_TYPE(made), made);
        Py_DECREF(made);
        return NULL;
    }
    PyErr_SetString(state->errors[index], err->message[0] ? err->message : hr_status_name(status));
    return NULL;
}
