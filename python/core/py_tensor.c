// SPDX-License-Identifier: Apache-2.0
// headrace._core.Tensor: dense row-major memory, by the buffer protocol (NumPy) and by DLPack (py_dlpack.c). It holds
// the batch it lies in, so it may outlive every other name for it.
#include "py_core.h"
#include <string.h>

#define HR_NULLS_RAW ((hr_nulls)3) // what stands where nulls are; for py_core's own use

int py_nulls(PyObject *value, hr_nulls *out, double *value_out)
{
    *out = HR_NULLS_ERROR;
    *value_out = 0.0;
    if (value == Py_None)
        return 0;
    if (PyUnicode_Check(value)) {
        const char *text = PyUnicode_AsUTF8AndSize(value, NULL);
        if (!text)
            return -1;
        if (strcmp(text, "nan") == 0)
            *out = HR_NULLS_NAN;
        else if (strcmp(text, "raw") == 0)
            *out = HR_NULLS_RAW;
        else if (strcmp(text, "error") != 0) {
            PyErr_Format(PyExc_ValueError, "nulls: 'error', 'nan' or a number, not '%s'", text);
            return -1;
        }
        return 0;
    }
    *value_out = PyFloat_AsDouble(value);
    *out = HR_NULLS_VALUE;
    return *value_out == -1.0 && PyErr_Occurred() ? -1 : 0;
}

static const char *format_of(hr_type_id id)
{
    switch (id) {
    case HR_TYPE_BOOL:
        return "?";
    case HR_TYPE_INT8:
        return "b";
    case HR_TYPE_INT16:
        return "h";
    case HR_TYPE_INT32:
    case HR_TYPE_DATE32:
    case HR_TYPE_TIME32:
        return "i";
    case HR_TYPE_INT64:
    case HR_TYPE_TIME64:
    case HR_TYPE_TIMESTAMP:
    case HR_TYPE_DURATION:
        return "l";
    case HR_TYPE_UINT8:
        return "B";
    case HR_TYPE_UINT16:
        return "H";
    case HR_TYPE_UINT32:
        return "I";
    case HR_TYPE_UINT64:
        return "L";
    case HR_TYPE_FLOAT16:
        return "e";
    case HR_TYPE_FLOAT32:
        return "f";
    case HR_TYPE_FLOAT64:
        return "d";
    default:
        return NULL;
    }
}

// The view of a bare block's column: dense types as they lie, truth values as bytes.
static hr_status tensor_of_block(py_batch *batch, int32_t index, hr_nulls nulls, hr_tensor *out,
                                 void **own, hr_error *err)
{
    const hr_column *c = hr_block_column(batch->block, index);
    const char *name = hr_schema_field(hr_block_schema(batch->block), index)->name;
    const hr_type *type = c->type, *item = type->id == HR_TYPE_TENSOR ? type->item : type;
    char text[128];
    err->status = HR_INVALID;
    memset(out, 0, sizeof *out);
    int dense =
        type->id == HR_TYPE_BOOL || item->id == HR_TYPE_BFLOAT16 || (format_of(item->id) != NULL);
    if (!dense) {
        PyOS_snprintf(err->message, sizeof err->message,
                      "column '%.200s' is %s: no dense array of numbers", name,
                      hr_type_print(type, text, sizeof text));
        return HR_INVALID;
    }
    int64_t missing = 0;
    for (int64_t i = 0; nulls != HR_NULLS_RAW && c->null_count != 0 && c->validity && i < c->rows;
         i++)
        missing += !(c->validity[(c->offset + i) >> 3] >> ((c->offset + i) & 7) & 1);
    if (missing) {
        PyOS_snprintf(err->message, sizeof err->message, "column '%.200s' has %lld nulls", name,
                      (long long)missing);
        return HR_INVALID;
    }
    out->type = item->id;
    out->ndim = 1;
    out->shape[0] = c->rows;
    out->writable = batch->writable;
    if (type->id == HR_TYPE_BOOL) {
        uint8_t *bytes = PyMem_Malloc(c->rows ? (size_t)c->rows : 1);
        if (!bytes)
            return HR_NOMEM;
        for (int64_t i = 0; i < c->rows; i++)
            bytes[i] =
                ((const uint8_t *)c->data)[(c->offset + i) >> 3] >> ((c->offset + i) & 7) & 1;
        *own = bytes;
        out->item_bytes = 1;
        out->data = bytes;
        out->writable = true;
        return HR_OK;
    }
    out->item_bytes = (int32_t)hr_type_row_bytes(item);
    if (type->id == HR_TYPE_TENSOR) {
        out->ndim = 1 + type->ndim;
        memcpy(&out->shape[1], type->shape, (size_t)type->ndim * sizeof *type->shape);
    }
    out->data = (const uint8_t *)c->data + c->offset * hr_type_row_bytes(type);
    return HR_OK;
}

// Memory of this tensor's own, at an address that `alignment` divides.
static int own_copy(py_tensor *self, hr_tensor *tensor, size_t alignment)
{
    size_t bytes = (size_t)tensor->item_bytes;
    for (int32_t i = 0; i < tensor->ndim; i++)
        bytes *= (size_t)tensor->shape[i];
    char *memory = PyMem_Malloc(bytes + alignment);
    if (!memory) {
        PyErr_NoMemory();
        return -1;
    }
    size_t beyond = (size_t)((uintptr_t)memory % alignment);
    char *data = memory + (beyond ? alignment - beyond : 0);
    if (bytes)
        memcpy(data, tensor->data, bytes);
    PyMem_Free(self->own_memory);
    self->own_memory = memory;
    tensor->data = data;
    tensor->writable = true;
    return 0;
}

PyObject *py_tensor_make(py_state *state, py_batch *batch, int32_t index, int writable,
                         size_t alignment, hr_nulls nulls, double value)
{
    hr_error err = HR_ERROR_INIT;
    hr_tensor tensor;
    void *own = NULL;
    hr_status status;
    if (batch->batch && nulls != HR_NULLS_RAW) {
        Py_BEGIN_ALLOW_THREADS status =
            hr_batch_tensor(batch->batch, index, writable ? HR_TENSOR_WRITE : HR_TENSOR_READ, nulls,
                            value, &tensor, &err);
        Py_END_ALLOW_THREADS
    } else {
        status = tensor_of_block(batch, index, nulls, &tensor, &own, &err);
    }
    if (status)
        return py_raise(state, status, &err);
    py_tensor *self = py_new(state->tensor_type);
    if (!self) {
        PyMem_Free(own);
        return NULL;
    }
    self->own_memory = own;
    self->owner = Py_NewRef((PyObject *)batch);
    // A block on the heap is shared: whoever wants to write gets a copy.
    if ((writable && !tensor.writable) || (uintptr_t)tensor.data % alignment) {
        if (own_copy(self, &tensor, alignment)) {
            Py_DECREF((PyObject *)self);
            return NULL;
        }
    }
    self->tensor = tensor;
    Py_ssize_t stride = tensor.item_bytes;
    for (int32_t i = tensor.ndim - 1; i >= 0; i--) {
        self->shape[i] = (Py_ssize_t)tensor.shape[i];
        self->strides[i] = stride;
        stride *= (Py_ssize_t)tensor.shape[i];
    }
    return (PyObject *)self;
}

static void tensor_dealloc(py_tensor *self)
{
    PyMem_Free(self->own_memory);
    Py_XDECREF(self->owner);
    py_free((PyObject *)self);
}

static int tensor_getbuffer(py_tensor *self, Py_buffer *view, int flags)
{
    static double nothing; // the address of an array without rows
    const hr_tensor *t = &self->tensor;
    const char *format = format_of(t->type);
    view->obj = NULL;
    if (!format) {
        PyErr_SetString(PyExc_BufferError,
                        "bfloat16 has no buffer format: cast it to float32, or use DLPack");
        return -1;
    }
    if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE && !t->writable) {
        PyErr_SetString(PyExc_BufferError,
                        "the batch is shared and may not be written: tensor(writable=True) may");
        return -1;
    }
    Py_ssize_t bytes = t->item_bytes;
    for (int32_t i = 0; i < t->ndim; i++)
        bytes *= self->shape[i];
    view->buf = t->data ? (void *)(uintptr_t)t->data : &nothing;
    view->obj = Py_NewRef((PyObject *)self);
    view->len = bytes;
    view->itemsize = t->item_bytes;
    view->readonly = !t->writable;
    view->ndim = t->ndim;
    view->format = (flags & PyBUF_FORMAT) == PyBUF_FORMAT ? (char *)(uintptr_t)format : NULL;
    view->shape = (flags & PyBUF_ND) == PyBUF_ND ? self->shape : NULL;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? self->strides : NULL;
    view->suboffsets = NULL;
    view->internal = NULL;
    return 0;
}

static PyObject *tensor_dlpack(py_tensor *self, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = Py_None, *version = Py_None, *device = Py_None, *copy = Py_None;
    long major = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO", keys, &stream, &version, &device,
                                     &copy))
        return NULL;
    if (version != Py_None) {
        PyObject *first = PySequence_GetItem(version, 0);
        major = first ? PyLong_AsLong(first) : -1;
        Py_XDECREF(first);
        if (major == -1 && PyErr_Occurred())
            return NULL;
    }
    // The old form cannot say that memory is read-only.
    if (major < 1 && !self->tensor.writable) {
        PyErr_SetString(PyExc_BufferError,
                        "the batch is shared: tensor(writable=True) can be a DLPack tensor");
        return NULL;
    }
    return py_dlpack(&self->tensor, (PyObject *)self, major >= 1);
}

static PyObject *tensor_device(PyObject *self, PyObject *unused)
{
    return Py_BuildValue("(ii)", 1, 0); // kDLCPU
}

static PyObject *tensor_type_id(py_tensor *self, void *unused)
{
    return PyLong_FromLong(self->tensor.type);
}

static PyMethodDef methods[] = {
    {"__dlpack__", (PyCFunction)(void (*)(void))tensor_dlpack, METH_VARARGS | METH_KEYWORDS,
     "A DLPack capsule."},
    {"__dlpack_device__", (PyCFunction)tensor_device, METH_NOARGS, "The CPU."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"type_id", (getter)tensor_type_id, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "Dense row-major memory."},
    {Py_tp_dealloc, tensor_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_bf_getbuffer, tensor_getbuffer},
    {0, NULL},
};
PyType_Spec py_tensor_spec = {"headrace._core.Tensor", sizeof(py_tensor), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
