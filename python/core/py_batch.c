// SPDX-License-Identifier: Apache-2.0
// headrace._core.Batch: rows with their position, or a bare block. Memory goes back to the feed when the batch and
// all that was made of it (columns, tensors, Arrow arrays) are gone.
#include "py_core.h"

PyObject *py_batch_wrap(py_state *state, hr_batch *batch, hr_block *block, int writable)
{
    hr_error err = HR_ERROR_INIT;
    hr_status status = batch && !block ? hr_batch_block(batch, &block, &err) : HR_OK;
    py_batch *self = status ? NULL : py_new(state->batch_type);
    if (!self) {
        hr_batch_unref(&batch);
        hr_block_unref(&block);
        return status ? py_raise(state, status, &err) : NULL;
    }
    self->batch = batch;
    self->block = block;
    self->writable = writable;
    return (PyObject *)self;
}

static void batch_dealloc(py_batch *self)
{
    hr_block_unref(&self->block);
    hr_batch_unref(&self->batch);
    py_free((PyObject *)self);
}

static Py_ssize_t batch_length(py_batch *self)
{
    return (Py_ssize_t)hr_block_rows(self->block);
}

static PyObject *column_at(py_batch *self, int32_t index)
{
    py_state *state = py_state_of((PyObject *)self);
    py_column *column = py_new(state->column_type);
    if (column) {
        column->batch = (py_batch *)Py_NewRef((PyObject *)self);
        column->index = index;
    }
    return (PyObject *)column;
}

static int find_column(py_batch *self, PyObject *key)
{
    const hr_schema *schema = hr_block_schema(self->block);
    const char *name = PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, NULL) : NULL;
    if (name) {
        int32_t index = hr_schema_find(schema, name);
        if (index < 0) {
            hr_error err = {HR_NOT_FOUND, {0}};
            PyOS_snprintf(err.message, sizeof err.message, "batch has no column '%.200s'", name);
            py_raise(py_state_of((PyObject *)self), HR_NOT_FOUND, &err);
        }
        return index;
    }
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "a column's name is needed");
    return -1;
}

static PyObject *batch_getitem(py_batch *self, PyObject *key)
{
    int index = find_column(self, key);
    return index < 0 ? NULL : column_at(self, index);
}

static PyObject *batch_columns(py_batch *self, PyObject *unused)
{
    int32_t count = hr_schema_count(hr_block_schema(self->block));
    PyObject *list = PyList_New(count);
    for (int32_t i = 0; list && i < count; i++) {
        PyObject *column = column_at(self, i);
        if (!column || PyList_SetItem(list, i, column))
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *batch_slice(py_batch *self, PyObject *args)
{
    long long first, rows;
    hr_block *made = NULL;
    hr_error err = HR_ERROR_INIT;
    py_state *state = py_state_of((PyObject *)self);
    if (!PyArg_ParseTuple(args, "LL", &first, &rows))
        return NULL;
    hr_status status = hr_block_slice(self->block, first, rows, &made, &err);
    return status ? py_raise(state, status, &err)
                  : py_batch_wrap(state, NULL, made, self->writable);
}

static PyObject *number_of(py_batch *self, int64_t (*get)(const hr_batch *))
{
    return self->batch ? PyLong_FromLongLong(get(self->batch)) : Py_NewRef(Py_None);
}

static PyObject *batch_get_epoch(py_batch *self, void *unused)
{
    return number_of(self, hr_batch_epoch);
}
static PyObject *batch_get_step(py_batch *self, void *unused)
{
    return number_of(self, hr_batch_step);
}
static PyObject *batch_get_first_row(py_batch *self, void *unused)
{
    return number_of(self, hr_batch_first_row);
}
static PyObject *batch_get_rows(py_batch *self, void *unused)
{
    return PyLong_FromLongLong(hr_block_rows(self->block));
}
static PyObject *batch_get_nbytes(py_batch *self, void *unused)
{
    return PyLong_FromLongLong(hr_block_bytes(self->block));
}
static PyObject *batch_get_schema(py_batch *self, void *unused)
{
    return py_schema_wrap(py_state_of((PyObject *)self), hr_block_schema(self->block));
}

static PyObject *batch_sum(py_batch *self, uint64_t (*sum)(const hr_batch *))
{
    uint64_t value;
    if (!self->batch) {
        PyErr_SetString(PyExc_TypeError, "a batch of a feed is needed");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS value = sum(self->batch);
    Py_END_ALLOW_THREADS return PyLong_FromUnsignedLongLong(value);
}

static PyObject *batch_touch(py_batch *self, PyObject *unused)
{
    return batch_sum(self, hr_batch_touch);
}

static PyObject *batch_checksum(py_batch *self, PyObject *unused)
{
    return batch_sum(self, hr_batch_checksum);
}

static PyObject *batch_arrow_array(py_batch *self, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"requested_schema", NULL};
    PyObject *requested = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", keys, &requested))
        return NULL;
    return py_array_capsules(py_state_of((PyObject *)self), self->block);
}

static PyObject *batch_repr(py_batch *self)
{
    return PyUnicode_FromFormat("<headrace.Batch of %lld rows, %d columns>",
                                (long long)hr_block_rows(self->block),
                                (int)hr_schema_count(hr_block_schema(self->block)));
}

static PyMethodDef methods[] = {
    {"columns", (PyCFunction)batch_columns, METH_NOARGS,
     "All columns, in the order of the schema."},
    {"slice", (PyCFunction)batch_slice, METH_VARARGS, "(first, rows): shares the memory."},
    {"dlpacks", (PyCFunction)py_batch_dlpacks, METH_VARARGS,
     "(make, nulls='error'): a dict of name and make(DLPack capsule) of each column; memory that "
     "may be written and nobody else sees."},
    {"touch", (PyCFunction)batch_touch, METH_NOARGS,
     "Reads every byte: the sum of its 64-bit words."},
    {"checksum", (PyCFunction)batch_checksum, METH_NOARGS,
     "Depends on every value and its place in the epoch."},
    {"__arrow_c_array__", (PyCFunction)(void (*)(void))batch_arrow_array,
     METH_VARARGS | METH_KEYWORDS, "As a struct array."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"rows", (getter)batch_get_rows, NULL, NULL, NULL},
    {"nbytes", (getter)batch_get_nbytes, NULL, "Bytes of the rows' data.", NULL},
    {"schema", (getter)batch_get_schema, NULL, NULL, NULL},
    {"epoch", (getter)batch_get_epoch, NULL, NULL, NULL},
    {"step", (getter)batch_get_step, NULL, NULL, NULL},
    {"first_row", (getter)batch_get_first_row, NULL,
     "Index of its first row in the order of its epoch.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "Rows of columns in memory that is shared with the runtime."},
    {Py_tp_dealloc, batch_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_repr, batch_repr},
    {Py_mp_length, batch_length},
    {Py_mp_subscript, batch_getitem},
    {0, NULL},
};
PyType_Spec py_batch_spec = {"headrace._core.Batch", sizeof(py_batch), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
