// SPDX-License-Identifier: Apache-2.0
// headrace._core.Session: a worker process's end of the trainer that started it.
#include "py_core.h"

static PyObject *fail(py_session *self, hr_status status, const hr_error *err)
{
    return py_raise(py_state_of((PyObject *)self), status, err);
}

static PyObject *session_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    hr_error err = HR_ERROR_INIT;
    hr_status status;
    if (!PyArg_ParseTuple(args, ""))
        return NULL;
    py_session *self = py_new(type);
    if (!self)
        return NULL;
    Py_BEGIN_ALLOW_THREADS status = hr_session_open(&self->handle, &err);
    Py_END_ALLOW_THREADS if (status)
    {
        fail(self, status, &err);
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    return (PyObject *)self;
}

static void session_dealloc(py_session *self)
{
    Py_BEGIN_ALLOW_THREADS hr_session_close(&self->handle);
    Py_END_ALLOW_THREADS py_free((PyObject *)self);
}

static PyObject *session_feed(py_session *self, PyObject *args, PyObject *kwargs)
{
    hr_stream_options options = HR_STREAM_OPTIONS_INIT;
    hr_feed_options feed_options = HR_FEED_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_feed *feed = NULL;
    const char *dataset;
    hr_status status;
    hr_position position;
    py_state *state = py_state_of((PyObject *)self);
    feed_options.timeout_s = 0.1; // py_feed.c looks for signals in between
    if (!PyArg_ParseTuple(args, "s", &dataset) ||
        py_stream_options(state, kwargs, &options, &position))
        return NULL;
    Py_BEGIN_ALLOW_THREADS status =
        hr_session_feed(self->handle, dataset, &options, &feed_options, &feed, &err);
    Py_END_ALLOW_THREADS return status
        ? fail(self, status, &err)
        : py_feed_opened_by(py_feed_wrap(state, feed, (PyObject *)self), (PyObject *)self, "feed",
                            args, kwargs);
}

static PyObject *session_report(py_session *self, PyObject *args)
{
    const char *json;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "s", &json))
        return NULL;
    hr_status status = hr_session_report(self->handle, json, &err);
    if (status)
        return fail(self, status, &err);
    Py_RETURN_NONE;
}

// report_checkpoint(json, folder=None): returns when it is durable.
static PyObject *session_report_checkpoint(py_session *self, PyObject *args)
{
    const char *json;
    PyObject *folder = NULL, *path = Py_None;
    hr_error err = HR_ERROR_INIT;
    hr_status status;
    if (!PyArg_ParseTuple(args, "s|O", &json, &path) ||
        (path != Py_None && !PyUnicode_FSConverter(path, &folder)))
        return NULL;
    const char *text = folder ? PyBytes_AsString(folder) : NULL;
    Py_BEGIN_ALLOW_THREADS status = hr_session_report_checkpoint(self->handle, json, text, &err);
    Py_END_ALLOW_THREADS Py_XDECREF(folder);
    if (status)
        return fail(self, status, &err);
    Py_RETURN_NONE;
}

static PyObject *session_line(py_session *self, PyObject *args)
{
    const char *line;
    hr_error err = HR_ERROR_INIT;
    hr_status status;
    if (!PyArg_ParseTuple(args, "s", &line))
        return NULL;
    Py_BEGIN_ALLOW_THREADS status = hr_session_line(self->handle, line, &err);
    Py_END_ALLOW_THREADS if (status) return fail(self, status, &err);
    Py_RETURN_NONE;
}

static PyObject *session_stats(py_session *self, PyObject *args)
{
    const char *dataset;
    char *text = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_status status;
    if (!PyArg_ParseTuple(args, "s", &dataset))
        return NULL;
    Py_BEGIN_ALLOW_THREADS status = hr_session_stats(self->handle, dataset, &text, &err);
    Py_END_ALLOW_THREADS return status ? fail(self, status, &err) : py_take_text(text);
}

// finish(message=None, details=b""): a message means that the loop failed.
static PyObject *session_finish(py_session *self, PyObject *args)
{
    const char *message = NULL, *details = NULL;
    Py_ssize_t details_bytes = 0;
    hr_error err = HR_ERROR_INIT;
    hr_status status;
    if (!PyArg_ParseTuple(args, "|zy#", &message, &details, &details_bytes))
        return NULL;
    Py_BEGIN_ALLOW_THREADS status = hr_session_finish(
        self->handle, message ? HR_USER : HR_OK, message, details, (size_t)details_bytes, &err);
    Py_END_ALLOW_THREADS if (status) return fail(self, status, &err);
    Py_RETURN_NONE;
}

static PyObject *session_payload(py_session *self, void *unused)
{
    size_t bytes = 0;
    const void *payload = hr_session_payload(self->handle, &bytes);
    return PyBytes_FromStringAndSize(payload, (Py_ssize_t)bytes);
}

static PyObject *session_checkpoint(py_session *self, void *unused)
{
    const char *folder = hr_session_checkpoint(self->handle);
    if (!folder)
        Py_RETURN_NONE;
    return PyUnicode_DecodeFSDefault(folder);
}

static PyObject *session_rank(py_session *self, void *unused)
{
    return PyLong_FromLongLong(hr_session_rank(self->handle));
}

static PyObject *session_world_size(py_session *self, void *unused)
{
    return PyLong_FromLongLong(hr_session_world_size(self->handle));
}

static PyMethodDef methods[] = {
    {"feed", (PyCFunction)(void (*)(void))session_feed, METH_VARARGS | METH_KEYWORDS,
     "This rank's shard as a Feed."},
    {"report", (PyCFunction)session_report, METH_VARARGS, "Metrics as JSON; never blocks."},
    {"report_checkpoint", (PyCFunction)session_report_checkpoint, METH_VARARGS,
     "(json, folder=None): metrics, and what is in the folder as the run's newest checkpoint; "
     "returns when it is durable."},
    {"line", (PyCFunction)session_line, METH_VARARGS, "A line for the user."},
    {"stats", (PyCFunction)session_stats, METH_VARARGS, "The statistics text of a shard."},
    {"finish", (PyCFunction)session_finish, METH_VARARGS,
     "The loop ended, or failed with a message and details."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"payload", (getter)session_payload, NULL, "What the trainer gave to each worker.", NULL},
    {"checkpoint", (getter)session_checkpoint, NULL,
     "The folder that this life begins from, or None.", NULL},
    {"rank", (getter)session_rank, NULL, NULL, NULL},
    {"world_size", (getter)session_world_size, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "Session()\n--\n\nAttaches to the runtime that started this process."},
    {Py_tp_new, session_new},
    {Py_tp_dealloc, session_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, NULL},
};
PyType_Spec py_session_spec = {"headrace._core.Session", sizeof(py_session), 0, Py_TPFLAGS_DEFAULT,
                               slots};
