// SPDX-License-Identifier: Apache-2.0
// headrace._core.Column: one column of a batch. As a buffer it is a read-only array where its type is dense and it
// has no nulls; tensor() is the same with a choice about nulls and writing; values() are Python objects.
#include "py_core.h"
#include <string.h>

static const hr_column *column_of(const py_column *self)
{
    return hr_block_column(self->batch->block, self->index);
}

static void column_dealloc(py_column *self)
{
    Py_XDECREF((PyObject *)self->batch);
    py_free((PyObject *)self);
}

static Py_ssize_t column_length(py_column *self)
{
    return (Py_ssize_t)hr_block_rows(self->batch->block);
}

static PyObject *column_tensor(py_column *self, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"nulls", "writable", "alignment", NULL};
    PyObject *nulls = Py_None;
    int writable = 0, alignment = 1;
    hr_nulls policy;
    double value;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|Opi", keys, &nulls, &writable, &alignment) ||
        py_nulls(nulls, &policy, &value))
        return NULL;
    if (alignment < 1 || alignment > 4096) {
        PyErr_Format(PyExc_ValueError, "alignment %d: 1 to 4096 bytes", alignment);
        return NULL;
    }
    return py_tensor_make(py_state_of((PyObject *)self), self->batch, self->index, writable,
                          (size_t)alignment, policy, value);
}

static int column_getbuffer(py_column *self, Py_buffer *view, int flags)
{
    PyObject *tensor = py_tensor_make(py_state_of((PyObject *)self), self->batch, self->index, 0, 1,
                                      HR_NULLS_ERROR, 0.0);
    view->obj = NULL;
    if (!tensor) {
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        PyErr_Format(PyExc_BufferError, "%S", value);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(trace);
        return -1;
    }
    int failed =
        PyObject_GetBuffer(tensor, view, flags); // view->obj is the tensor: it keeps the rest
    Py_DECREF(tensor);
    return failed;
}

static PyObject *column_dlpack(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *tensor = py_tensor_make(py_state_of(self), ((py_column *)self)->batch,
                                      ((py_column *)self)->index, 1, 1, HR_NULLS_ERROR, 0.0);
    PyObject *method = tensor ? PyObject_GetAttrString(tensor, "__dlpack__") : NULL;
    PyObject *result = method ? PyObject_Call(method, args, kwargs) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(tensor);
    return result;
}

static PyObject *column_dlpack_device(PyObject *self, PyObject *unused)
{
    return Py_BuildValue("(ii)", 1, 0); // kDLCPU
}

static PyObject *column_values(py_column *self, PyObject *unused)
{
    return py_column_values(py_state_of((PyObject *)self), self->batch, self->index);
}

static int is_valid(const hr_column *c, int64_t row)
{
    int64_t bit = c->offset + row;
    return c->type->id != HR_TYPE_NULL &&
           (!c->validity || (c->validity[bit >> 3] >> (bit & 7) & 1));
}

// One byte a row, 0 where it is null.
static PyObject *column_valid(py_column *self, PyObject *unused)
{
    const hr_column *c = column_of(self);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)c->rows);
    char *to = bytes ? PyBytes_AsString(bytes) : NULL;
    for (int64_t i = 0; to && i < c->rows; i++)
        to[i] = (char)is_valid(c, i);
    return bytes;
}

static PyObject *column_null_count(py_column *self, void *unused)
{
    const hr_column *c = column_of(self);
    int64_t count = c->null_count;
    if (count < 0 || c->type->id == HR_TYPE_NULL) {
        count = 0;
        for (int64_t i = 0; i < c->rows; i++)
            count += !is_valid(c, i);
    }
    return PyLong_FromLongLong(count);
}

static PyObject *column_name(py_column *self, void *unused)
{
    return PyUnicode_FromString(
        hr_schema_field(hr_block_schema(self->batch->block), self->index)->name);
}

static PyObject *column_type(py_column *self, void *unused)
{
    return py_type_name(column_of(self)->type);
}

static PyObject *column_type_id(py_column *self, void *unused)
{
    return PyLong_FromLong(column_of(self)->type->id);
}

static PyObject *column_unit(py_column *self, void *unused)
{
    static const char *const names[] = {"s", "ms", "us", "ns"};
    const hr_type *type = column_of(self)->type;
    return PyUnicode_FromString(names[type->unit]);
}

static PyObject *column_timezone(py_column *self, void *unused)
{
    const char *zone = column_of(self)->type->timezone;
    return zone ? PyUnicode_FromString(zone) : Py_NewRef(Py_None);
}

static PyObject *column_item_type_id(py_column *self, void *unused)
{
    const hr_type *item = column_of(self)->type->item;
    return item ? PyLong_FromLong(item->id) : Py_NewRef(Py_None);
}

static PyObject *column_repr(py_column *self)
{
    char type[256];
    return PyUnicode_FromFormat(
        "<headrace.Column '%s': %s, %lld rows>",
        hr_schema_field(hr_block_schema(self->batch->block), self->index)->name,
        hr_type_print(column_of(self)->type, type, sizeof type),
        (long long)hr_block_rows(self->batch->block));
}

#define KEYWORDS(f) ((PyCFunction)(void (*)(void))(f))
static PyMethodDef methods[] = {
    {"tensor", KEYWORDS(column_tensor), METH_VARARGS | METH_KEYWORDS,
     "(nulls='error', writable=False, alignment=1): dense memory, copied where it lies at no such "
     "address. nulls: 'error', 'nan', 'raw' or a number."},
    {"values", (PyCFunction)column_values, METH_NOARGS,
     "Python values; None for nulls. Times are integers."},
    {"valid", (PyCFunction)column_valid, METH_NOARGS, "A byte a row, 0 where it is null."},
    {"__dlpack__", KEYWORDS(column_dlpack), METH_VARARGS | METH_KEYWORDS,
     "Writable memory that nobody else sees."},
    {"__dlpack_device__", (PyCFunction)column_dlpack_device, METH_NOARGS, "The CPU."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"name", (getter)column_name, NULL, NULL, NULL},
    {"type", (getter)column_type, NULL, "As text: 'tensor<int64>[80, 80, 4]'.", NULL},
    {"type_id", (getter)column_type_id, NULL, NULL, NULL},
    {"item_type_id", (getter)column_item_type_id, NULL, NULL, NULL},
    {"unit", (getter)column_unit, NULL, NULL, NULL},
    {"timezone", (getter)column_timezone, NULL, NULL, NULL},
    {"null_count", (getter)column_null_count, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "One column of a batch."},
    {Py_tp_dealloc, column_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_repr, column_repr},
    {Py_mp_length, column_length},
    {Py_bf_getbuffer, column_getbuffer},
    {0, NULL},
};
PyType_Spec py_column_spec = {"headrace._core.Column", sizeof(py_column), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
