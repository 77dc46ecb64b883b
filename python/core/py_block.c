// SPDX-License-Identifier: Apache-2.0
// Blocks of Python's memory: arrays enter without a copy (their buffers are held until the last reference goes, on
// whatever thread that is), lists of strings are laid out here. A block is built as an Arrow struct array and imported.
//
// A column is a tuple:
//   (name, type id, unit, timezone, array, valid or None, shape)   dense: shape () is a plain column, else a tensor's
//   (name, STRING or BINARY, list of str, bytes or None)
//   (name, LIST, item type id, int64 offsets, items, valid or None)
#include "py_core.h"
#include <string.h>

#define BUFFERS_EACH 4

// What a block made here holds.
typedef struct holder {
    struct ArrowArray *arrays; // children, and their children behind them
    struct ArrowArray **children;
    const void **buffers; // three an array
    hr_field *fields;
    hr_type *types; // two a column: its own and its item's
    Py_buffer *views;
    Py_ssize_t view_count, column_count;
    void **memory; // PyMem_Free
    Py_ssize_t memory_count;
    int64_t rows;
} holder;

static void holder_free(holder *h)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    for (Py_ssize_t i = 0; h->views && i < h->view_count; i++)
        PyBuffer_Release(&h->views[i]);
    for (Py_ssize_t i = 0; h->memory && i < h->memory_count; i++)
        PyMem_Free(h->memory[i]);
    PyMem_Free(h->arrays);
    PyMem_Free(h->children);
    PyMem_Free(h->buffers);
    PyMem_Free(h->fields);
    PyMem_Free(h->types);
    PyMem_Free(h->views);
    PyMem_Free(h->memory);
    PyMem_Free(h);
    PyGILState_Release(gil);
}

static void release_struct(struct ArrowArray *array)
{
    holder *h = array->private_data;
    array->release = NULL;
    holder_free(h);
}

static void release_child(struct ArrowArray *array)
{
    array->release = NULL; // the struct frees all
}

static holder *holder_make(Py_ssize_t columns)
{
    size_t count = (size_t)columns + 1;
    holder *h = PyMem_Calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->column_count = columns;
    h->rows = -1;
    h->arrays = PyMem_Calloc(2 * count, sizeof *h->arrays);
    h->children = PyMem_Calloc(2 * count, sizeof *h->children);
    h->buffers = PyMem_Calloc(6 * count, sizeof *h->buffers);
    h->fields = PyMem_Calloc(count, sizeof *h->fields);
    h->types = PyMem_Calloc(2 * count, sizeof *h->types);
    h->views = PyMem_Calloc(BUFFERS_EACH * count, sizeof *h->views);
    h->memory = PyMem_Calloc(BUFFERS_EACH * count, sizeof *h->memory);
    if (h->arrays && h->children && h->buffers && h->fields && h->types && h->views && h->memory)
        return h;
    holder_free(h);
    return NULL;
}

static void *take_memory(holder *h, size_t bytes)
{
    void *memory = PyMem_Calloc(bytes + 64, 1);
    if (memory)
        h->memory[h->memory_count++] = memory;
    else
        PyErr_NoMemory();
    return memory;
}

static const Py_buffer *take_view(holder *h, PyObject *object, int64_t bytes, const char *name)
{
    Py_buffer *view = &h->views[h->view_count];
    if (PyObject_GetBuffer(object, view, PyBUF_C_CONTIGUOUS))
        return NULL;
    h->view_count++;
    if (bytes >= 0 && view->len < bytes) {
        PyErr_Format(PyExc_ValueError, "column '%s': a buffer of %zd bytes where %lld are needed",
                     name, view->len, (long long)bytes);
        return NULL;
    }
    return view;
}

static int set_rows(holder *h, int64_t rows, const char *name)
{
    if (h->rows < 0)
        h->rows = rows;
    if (h->rows == rows)
        return 0;
    PyErr_Format(PyExc_ValueError, "column '%s' has %lld rows, the ones before it %lld", name,
                 (long long)rows, (long long)h->rows);
    return -1;
}

// Bytes of 0 and 1 as bits; counts the zeros.
static uint8_t *pack_bits(holder *h, const uint8_t *bytes, int64_t rows, int64_t *zeros_out)
{
    uint8_t *bits = take_memory(h, (size_t)(rows + 7) / 8);
    *zeros_out = 0;
    for (int64_t i = 0; bits && i < rows; i++) {
        bits[i >> 3] |= (uint8_t)((bytes[i] != 0) << (i & 7));
        *zeros_out += bytes[i] == 0;
    }
    return bits;
}

static int set_validity(holder *h, struct ArrowArray *array, hr_field *field, PyObject *valid)
{
    if (valid == Py_None)
        return 0;
    const Py_buffer *view = take_view(h, valid, array->length, field->name);
    uint8_t *bits = view ? pack_bits(h, view->buf, array->length, &array->null_count) : NULL;
    array->buffers[0] = bits;
    field->nullable = true;
    return bits ? 0 : -1;
}

static struct ArrowArray *start_array(holder *h, Py_ssize_t at, int64_t rows, int64_t buffers)
{
    struct ArrowArray *array = &h->arrays[at];
    array->length = rows;
    array->n_buffers = buffers;
    array->buffers = &h->buffers[3 * at];
    array->release = release_child;
    return array;
}

static struct ArrowArray *start_child(holder *h, Py_ssize_t column, int64_t rows, int64_t buffers)
{
    Py_ssize_t at = h->column_count + column;
    struct ArrowArray *child = start_array(h, at, rows, buffers);
    h->children[at] = child;
    h->arrays[column].n_children = 1;
    h->arrays[column].children = &h->children[at];
    return child;
}

static int read_shape(PyObject *shape, hr_type *type, int64_t *values_out)
{
    Py_ssize_t ndim = PyTuple_Check(shape) ? PyTuple_Size(shape) : -1;
    *values_out = 1;
    if (ndim < 0 || ndim > HR_TENSOR_DIMS_MAX) {
        PyErr_Format(PyExc_ValueError, "a tensor of at most %d dimensions is needed",
                     HR_TENSOR_DIMS_MAX);
        return -1;
    }
    type->ndim = (int32_t)ndim;
    for (Py_ssize_t i = 0; i < ndim; i++) {
        type->shape[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, i));
        if (type->shape[i] < 0 || __builtin_mul_overflow(*values_out, type->shape[i], values_out)) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "a tensor's shape is too large or negative");
            return -1;
        }
    }
    return 0;
}

static int add_dense(holder *h, Py_ssize_t column, PyObject *args)
{
    hr_field *field = &h->fields[column];
    hr_type *type = &h->types[2 * column], *item = &h->types[2 * column + 1];
    PyObject *data, *valid, *shape;
    int id, unit;
    int64_t values = 1, each;
    if (!PyArg_ParseTuple(args, "siizOOO", &field->name, &id, &unit, &item->timezone, &data, &valid,
                          &shape) ||
        read_shape(shape, type, &values))
        return -1;
    int tensor = type->ndim > 0;
    item->id = (hr_type_id)id;
    item->unit = (hr_time_unit)unit;
    each = id == HR_TYPE_BOOL ? 1 : hr_type_row_bytes(item);
    if (tensor) {
        type->id = HR_TYPE_TENSOR;
        type->item = item;
    } else {
        *type = *item;
    }
    const Py_buffer *view = take_view(h, data, -1, field->name);
    if (!view)
        return -1;
    int64_t row_bytes = each * values;
    Py_ssize_t rows = view->ndim > 0 && view->shape ? view->shape[0]
                      : row_bytes                   ? view->len / row_bytes
                                                    : 0;
    if (each == 0 || view->len != rows * row_bytes) {
        PyErr_Format(PyExc_ValueError,
                     "column '%s': a buffer of %zd bytes is no %zd rows of %lld bytes", field->name,
                     view->len, rows, (long long)row_bytes);
        return -1;
    }
    if (set_rows(h, rows, field->name))
        return -1;
    struct ArrowArray *array = start_array(h, column, rows, tensor ? 1 : 2);
    struct ArrowArray *holds = tensor ? start_child(h, column, rows * values, 2) : array;
    int64_t zeros;
    holds->buffers[1] =
        id == HR_TYPE_BOOL ? pack_bits(h, view->buf, rows * values, &zeros) : view->buf;
    if (!holds->buffers[1] && rows)
        return -1;
    return set_validity(h, array, field, valid);
}

// The bytes of one item; NULL without an exception for None.
static const char *text_of(PyObject *item, int id, Py_ssize_t *count, const char *name)
{
    char *bytes;
    *count = 0;
    if (item == Py_None)
        return NULL;
    if (id == HR_TYPE_STRING && PyUnicode_Check(item))
        return PyUnicode_AsUTF8AndSize(item, count);
    if (id == HR_TYPE_BINARY && PyBytes_Check(item))
        return PyBytes_AsStringAndSize(item, &bytes, count) ? NULL : bytes;
    PyErr_Format(PyExc_TypeError, "column '%s': a value of %R where the others are %s", name,
                 Py_TYPE(item), id == HR_TYPE_STRING ? "str" : "bytes");
    return NULL;
}

static int add_texts(holder *h, Py_ssize_t column, PyObject *args)
{
    hr_field *field = &h->fields[column];
    hr_type *type = &h->types[2 * column];
    PyObject *list;
    int id;
    Py_ssize_t total = 0, count;
    if (!PyArg_ParseTuple(args, "siO!", &field->name, &id, &PyList_Type, &list))
        return -1;
    Py_ssize_t rows = PyList_Size(list);
    for (Py_ssize_t i = 0; i < rows; i++) {
        if (!text_of(PyList_GetItem(list, i), id, &count, field->name) && PyErr_Occurred())
            return -1;
        total += count;
    }
    type->id = (hr_type_id)id;
    type->large = true;
    field->nullable = true;
    uint8_t *bits = take_memory(h, (size_t)(rows + 7) / 8), *bytes = take_memory(h, (size_t)total);
    int64_t *offsets = take_memory(h, ((size_t)rows + 1) * sizeof *offsets), nulls = 0;
    if (!bits || !bytes || !offsets || set_rows(h, rows, field->name))
        return -1;
    for (Py_ssize_t i = 0; i < rows; i++) {
        const char *text = text_of(PyList_GetItem(list, i), id, &count, field->name);
        if (text) {
            memcpy(bytes + offsets[i], text, (size_t)count);
            bits[i >> 3] |= (uint8_t)(1 << (i & 7));
        }
        nulls += !text;
        offsets[i + 1] = offsets[i] + count;
    }
    struct ArrowArray *array = start_array(h, column, rows, 3);
    array->null_count = nulls;
    array->buffers[0] = nulls ? bits : NULL;
    array->buffers[1] = offsets;
    array->buffers[2] = bytes;
    return 0;
}

static int add_lists(holder *h, Py_ssize_t column, PyObject *args)
{
    hr_field *field = &h->fields[column];
    hr_type *type = &h->types[2 * column], *item = &h->types[2 * column + 1];
    PyObject *offsets, *items, *valid;
    int id, item_id;
    if (!PyArg_ParseTuple(args, "siiOOO", &field->name, &id, &item_id, &offsets, &items, &valid))
        return -1;
    type->id = HR_TYPE_LIST;
    type->large = true;
    type->item = item;
    item->id = (hr_type_id)item_id;
    int64_t each = hr_type_row_bytes(item);
    const Py_buffer *ends = take_view(h, offsets, (int64_t)sizeof(int64_t), field->name);
    const Py_buffer *values = ends ? take_view(h, items, 0, field->name) : NULL;
    if (!values || each == 0) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_TypeError, "column '%s': lists of numbers are needed", field->name);
        return -1;
    }
    int64_t rows = ends->len / (int64_t)sizeof(int64_t) - 1;
    if (set_rows(h, rows, field->name))
        return -1;
    struct ArrowArray *array = start_array(h, column, rows, 2);
    struct ArrowArray *child = start_child(h, column, values->len / each, 2);
    array->buffers[1] = ends->buf;
    child->buffers[1] = values->buf;
    return set_validity(h, array, field, valid);
}

static int add_column(holder *h, Py_ssize_t column, PyObject *args)
{
    int id = PyTuple_Check(args) && PyTuple_Size(args) >= 3
                 ? (int)PyLong_AsLong(PyTuple_GetItem(args, 1))
                 : -1;
    if (id == HR_TYPE_STRING || id == HR_TYPE_BINARY)
        return add_texts(h, column, args);
    if (id == HR_TYPE_LIST)
        return add_lists(h, column, args);
    if (id > HR_TYPE_NULL && id <= HR_TYPE_DURATION)
        return add_dense(h, column, args);
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_TypeError, "a column of type %d cannot be made from Python", id);
    return -1;
}

// Takes h.
static hr_status import(holder *h, hr_block **out, hr_error *err)
{
    hr_schema *schema = NULL;
    struct ArrowArray whole = {.length = h->rows < 0 ? 0 : h->rows,
                               .n_buffers = 1,
                               .n_children = h->column_count,
                               .buffers = &h->buffers[6 * h->column_count],
                               .children = h->children,
                               .release = release_struct,
                               .private_data = h};
    for (Py_ssize_t i = 0; i < h->column_count; i++) {
        h->children[i] = &h->arrays[i];
        h->fields[i].type = &h->types[2 * i];
    }
    hr_status status = hr_schema_make(h->fields, (int32_t)h->column_count, &schema, err);
    if (status == HR_OK)
        status = hr_block_import(&whole, schema, out, err);
    else
        release_struct(&whole);
    hr_schema_unref(&schema);
    return status;
}

PyObject *py_block_from_columns(PyObject *module, PyObject *args)
{
    py_state *state = py_module_state(module);
    PyObject *list;
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "O!", &PyList_Type, &list))
        return NULL;
    holder *h = holder_make(PyList_Size(list));
    if (!h)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < h->column_count; i++) {
        if (add_column(h, i, PyList_GetItem(list, i))) {
            holder_free(h);
            return NULL;
        }
    }
    hr_status status = import(h, &block, &err);
    return status ? py_raise(state, status, &err) : py_batch_wrap(state, NULL, block, 0);
}
