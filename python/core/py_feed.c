// SPDX-License-Identifier: Apache-2.0
// headrace._core.Feed: a trainer's end of a stream, as an iterator of batches. A wait is cut in slices of a tenth of a
// second (the feed's own timeout), so that Ctrl-C ends it whatever the pipeline is at.
#include "py_core.h"

#define HR_PY_DELAYS_MAX 1024

PyObject *py_feed_wrap(py_state *state, hr_feed *feed, PyObject *owner)
{
    py_feed *self = py_new(state->feed_type);
    if (!self) {
        hr_feed_close(&feed);
        return NULL;
    }
    self->handle = feed;
    self->owner = owner ? Py_NewRef(owner) : NULL;
    return (PyObject *)self;
}

PyObject *py_feed_opened_by(PyObject *feed, PyObject *object, const char *method, PyObject *args,
                            PyObject *kwargs)
{
    py_feed *self = (py_feed *)feed;
    if (!self)
        return NULL;
    self->method = PyObject_GetAttrString(object, method);
    self->args = Py_NewRef(args);
    self->kwargs = kwargs ? PyDict_Copy(kwargs) : PyDict_New();
    if (self->method && self->kwargs)
        return feed;
    Py_DECREF(feed);
    return NULL;
}

int py_stream_options(py_state *state, PyObject *kwargs, hr_stream_options *out,
                      hr_position *position)
{
    static char *keys[] = {"batch_rows",
                           "drop_last",
                           "prefetch_blocks",
                           "prefetch_bytes",
                           "epochs",
                           "shuffle",
                           "seed",
                           "window_rows",
                           "first_epoch",
                           "global_batch_rows",
                           "tail",
                           "order_lanes",
                           "position",
                           NULL};
    long long rows = 0, blocks = 0, bytes = 0, epochs = 0, window = 0, first_epoch = 0, step = 0,
              lanes = 0;
    unsigned long long seed = 0;
    int drop_last = 0, shuffle = 0, tail = 0;
    const char *from = NULL;
    hr_error err = HR_ERROR_INIT;
    PyObject *none = PyTuple_New(0);
    int ok =
        none && PyArg_ParseTupleAndKeywords(none, kwargs, "|LpLLLiKLLLiLz", keys, &rows, &drop_last,
                                            &blocks, &bytes, &epochs, &shuffle, &seed, &window,
                                            &first_epoch, &step, &tail, &lanes, &from);
    Py_XDECREF(none);
    if (!ok)
        return -1;
    out->batch_rows = rows;
    out->drop_last = drop_last;
    out->prefetch_blocks = blocks;
    out->prefetch_bytes = bytes;
    out->epochs = epochs;
    out->shuffle = (hr_shuffle)shuffle;
    out->seed = seed;
    out->window_rows = window;
    out->first_epoch = first_epoch;
    out->global_batch_rows = step;
    out->tail = (hr_tail)tail;
    out->order_lanes = lanes;
    if (!from)
        return 0;
    hr_status status = hr_position_parse(from, position, &err);
    if (status) {
        py_raise(state, status, &err);
        return -1;
    }
    out->position = position;
    return 0;
}

static int refuse(py_feed *self)
{
    if (self->handle && !self->busy)
        return 0;
    hr_error err = {HR_INVALID, {0}};
    PyOS_snprintf(err.message, sizeof err.message, "%s",
                  self->handle ? "another thread is reading this feed" : "the feed was closed");
    py_raise(py_state_of((PyObject *)self), HR_INVALID, &err);
    return -1;
}

static PyObject *feed_close(py_feed *self, PyObject *unused)
{
    hr_feed *handle = self->handle;
    if (self->busy) {
        refuse(self);
        return NULL;
    }
    self->handle = NULL;
    if (handle) {
        Py_BEGIN_ALLOW_THREADS hr_feed_close(&handle);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

static void feed_dealloc(py_feed *self)
{
    Py_XDECREF(feed_close(self, NULL));
    Py_XDECREF(self->owner);
    Py_XDECREF(self->method);
    Py_XDECREF(self->args);
    Py_XDECREF(self->kwargs);
    py_free((PyObject *)self);
}

static PyObject *feed_next(py_feed *self)
{
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    hr_status status;
    py_state *state = py_state_of((PyObject *)self);
    if (self->over || refuse(self))
        return NULL; // StopIteration, or what refuse said
    do {
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS status = hr_feed_next(self->handle, &batch, &err);
        Py_END_ALLOW_THREADS self->busy = 0;
        if (PyErr_CheckSignals() < 0) {
            hr_batch_unref(&batch);
            return NULL;
        }
    } while (status == HR_TIMEOUT);
    if (status == HR_END)
        return NULL; // StopIteration
    return status ? py_raise(state, status, &err) : py_batch_wrap(state, batch, NULL, 0);
}

static PyObject *feed_next_epoch(py_feed *self, PyObject *unused)
{
    hr_error err = HR_ERROR_INIT;
    hr_status status;
    if (self->over)
        Py_RETURN_FALSE;
    if (refuse(self))
        return NULL;
    do {
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS status = hr_feed_next_epoch(self->handle, &err);
        Py_END_ALLOW_THREADS self->busy = 0;
        if (PyErr_CheckSignals() < 0)
            return NULL;
    } while (status == HR_TIMEOUT);
    if (status < 0)
        return py_raise(py_state_of((PyObject *)self), status, &err);
    return PyBool_FromLong(status == HR_OK);
}

static int position_of(py_feed *self, hr_position *out)
{
    *out = self->at;
    if (self->over)
        return 0;
    if (refuse(self))
        return -1;
    hr_feed_position(self->handle, out);
    return 0;
}

static PyObject *feed_position(py_feed *self, PyObject *unused)
{
    hr_position p;
    if (position_of(self, &p))
        return NULL;
    return Py_BuildValue("{s:L,s:L,s:L,s:K,s:K}", "epoch", (long long)p.epoch, "step",
                         (long long)p.step, "row", (long long)p.row, "seed",
                         (unsigned long long)p.seed, "plan_hash", (unsigned long long)p.plan_hash);
}

static PyObject *call_json(const char *function, PyObject *value)
{
    PyObject *json = PyImport_ImportModule("json");
    PyObject *made = json ? PyObject_CallMethod(json, function, "O", value) : NULL;
    Py_XDECREF(json);
    return made;
}

static PyObject *feed_state_dict(py_feed *self, PyObject *unused)
{
    char text[HR_POSITION_BYTES_MAX];
    hr_position p;
    if (position_of(self, &p))
        return NULL;
    PyObject *string = PyUnicode_FromString(hr_position_print(&p, text));
    PyObject *made = string ? call_json("loads", string) : NULL;
    Py_XDECREF(string);
    return made;
}

// The words of an opening as a number; 0 where they are not there.
static long long word_of(PyObject *kwargs, const char *name)
{
    PyObject *value = PyDict_GetItemString(kwargs, name); // borrowed
    long long number = value ? PyLong_AsLongLong(value) : 0;
    if (PyErr_Occurred())
        PyErr_Clear(); // the opening refused it already
    return number;
}

// Whether a position is within the epochs of this feed, of which `left` are to come; the place behind the last row is.
static int is_within(py_feed *self, const hr_position *p, long long first, long long left)
{
    hr_error err = HR_ERROR_INIT;
    if (p->epoch >= first && (left > 0 || (left == 0 && p->row == 0)))
        return 1;
    PyOS_snprintf(
        err.message, sizeof err.message,
        "position: it is in epoch %lld, and this reads %s %lld: ask for the epoch where it is",
        (long long)p->epoch, p->epoch < first ? "from epoch" : "no more than epoch",
        p->epoch < first ? first : p->epoch + left - 1);
    py_raise(py_state_of((PyObject *)self), HR_INVALID, &err);
    return 0;
}

// Words that open the feed at a position; epochs are counted from the first one, wherever it goes on.
static PyObject *words_at(py_feed *self, const char *text, const hr_position *p, int *over_out)
{
    long long all = word_of(self->kwargs, "epochs"), epochs = all;
    long long first = word_of(self->kwargs, "first_epoch");
    if (all >= 0)
        epochs = (all ? all : 1) + first - p->epoch;
    if (!is_within(self, p, first, all >= 0 ? epochs : 1))
        return NULL;
    PyObject *words = PyDict_Copy(self->kwargs);
    PyObject *position = words ? PyUnicode_FromString(text) : NULL;
    *over_out = all >= 0 && epochs <= 0;
    PyObject *left = position ? PyLong_FromLongLong(epochs) : NULL;
    if (!left || PyDict_SetItemString(words, "position", position) ||
        PyDict_SetItemString(words, "epochs", left))
        Py_CLEAR(words);
    Py_XDECREF(left);
    Py_XDECREF(position);
    return words;
}

// Where nothing was read yet the same stream goes on there; else another one is opened.
static int go_on(py_feed *self, const hr_position *p, PyObject *words)
{
    hr_error err = HR_ERROR_INIT;
    hr_status status = self->handle ? hr_feed_go_on(self->handle, p, &err) : HR_UNSUPPORTED;
    if (status == HR_OK)
        return 0;
    if (status != HR_UNSUPPORTED) {
        py_raise(py_state_of((PyObject *)self), status, &err);
        return -1;
    }
    py_feed *made = (py_feed *)PyObject_Call(self->method, self->args, words);
    if (!made)
        return -1;
    hr_feed *handle = made->handle; // it becomes ours, and ours goes with it
    made->handle = self->handle;
    self->handle = handle;
    Py_DECREF((PyObject *)made);
    return 0;
}

static PyObject *feed_load_state_dict(py_feed *self, PyObject *state)
{
    hr_position p;
    hr_error err = HR_ERROR_INIT;
    int over = 0, failed = 1;
    if (!self->over && refuse(self))
        return NULL;
    PyObject *text = PyUnicode_Check(state) ? Py_NewRef(state) : call_json("dumps", state);
    const char *json = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    hr_status status = json ? hr_position_parse(json, &p, &err) : HR_OK;
    if (status)
        py_raise(py_state_of((PyObject *)self), status, &err);
    PyObject *words = json && !status ? words_at(self, json, &p, &over) : NULL;
    if (words) {
        failed = over ? 0 : go_on(self, &p, words);
        if (!failed) {
            self->over = over;
            self->at = p;
        }
    }
    Py_XDECREF(words);
    Py_XDECREF(text);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *feed_stats(py_feed *self, PyObject *unused)
{
    hr_feed_stats s;
    if (refuse(self))
        return NULL;
    hr_feed_get_stats(self->handle, &s, sizeof s);
    return Py_BuildValue(
        "{s:L,s:L,s:L,s:L,s:d,s:d,s:d,s:d,s:d,s:d,s:L,s:L}", "batches", (long long)s.batches,
        "rows", (long long)s.rows, "bytes", (long long)s.bytes, "epochs", (long long)s.epochs,
        "delay_p50_s", s.delay_p50_s, "delay_p95_s", s.delay_p95_s, "delay_max_s", s.delay_max_s,
        "wait_s", s.wait_s, "own_s", s.own_s, "first_batch_s", s.first_batch_s, "copied_batches",
        (long long)s.copied_batches, "copied_bytes", (long long)s.copied_bytes);
}

static PyObject *feed_delays(py_feed *self, PyObject *args)
{
    double found[HR_PY_DELAYS_MAX];
    Py_ssize_t count = 0;
    if (!PyArg_ParseTuple(args, "n", &count) || refuse(self))
        return NULL;
    count = count < 0 ? 0 : count > HR_PY_DELAYS_MAX ? HR_PY_DELAYS_MAX : count;
    count = (Py_ssize_t)hr_feed_delays(self->handle, found, (size_t)count);
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++) {
        PyObject *value = PyFloat_FromDouble(found[i]);
        if (!value || PyList_SetItem(list, i, value))
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *feed_schema(py_feed *self, void *unused)
{
    return refuse(self)
               ? NULL
               : py_schema_wrap(py_state_of((PyObject *)self), hr_feed_schema(self->handle));
}

static PyObject *feed_enter(PyObject *self, PyObject *unused)
{
    return Py_NewRef(self);
}

static PyObject *feed_exit(py_feed *self, PyObject *args)
{
    return feed_close(self, NULL);
}

static PyMethodDef methods[] = {
    {"close", (PyCFunction)feed_close, METH_NOARGS,
     "Ends it. Batches that are still held stay valid."},
    {"next_epoch", (PyCFunction)feed_next_epoch, METH_NOARGS,
     "Goes to the next epoch; False when there is none."},
    {"position", (PyCFunction)feed_position, METH_NOARGS,
     "Where it stands, after the last batch delivered."},
    {"state_dict", (PyCFunction)feed_state_dict, METH_NOARGS,
     "Where it stands, as a dict that JSON can carry: any one rank's restores all."},
    {"load_state_dict", (PyCFunction)feed_load_state_dict, METH_O,
     "Goes on from what state_dict said, at any number of ranks. Epochs count from the first."},
    {"stats", (PyCFunction)feed_stats, METH_NOARGS, "Where the reader's time went, in seconds."},
    {"delays", (PyCFunction)feed_delays, METH_VARARGS,
     "delays(count): so many quantiles of the waits for batches, at most, in seconds."},
    {"__enter__", (PyCFunction)feed_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)feed_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"schema", (getter)feed_schema, NULL, "Of its batches.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "Batches in order; an iteration ends with the epoch."},
    {Py_tp_dealloc, feed_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, feed_next},
    {0, NULL},
};
PyType_Spec py_feed_spec = {"headrace._core.Feed", sizeof(py_feed), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
