// SPDX-License-Identifier: Apache-2.0
// Values of a column as Python objects: for people (show, iter_rows), and for types that no array holds. Dates, times
// and decimals come as their integers; headrace/_convert.py gives them their names.
#include "py_core.h"
#include <math.h>
#include <string.h>

static int is_valid(const hr_column *c, int64_t row)
{
    int64_t bit = c->offset + row;
    return c->type->id != HR_TYPE_NULL &&
           (!c->validity || (c->validity[bit >> 3] >> (bit & 7) & 1));
}

static double half_to_double(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY)
                   : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                  : ldexp(fraction, -24);
    return half >> 15 ? -value : value;
}

static double bfloat_to_double(uint16_t upper)
{
    uint32_t bits = (uint32_t)upper << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// The `row`th item of a primitive array.
static PyObject *number_at(hr_type_id id, const void *data, int64_t row)
{
    switch (id) {
    case HR_TYPE_INT8:
        return PyLong_FromLong(((const int8_t *)data)[row]);
    case HR_TYPE_INT16:
        return PyLong_FromLong(((const int16_t *)data)[row]);
    case HR_TYPE_INT32:
    case HR_TYPE_DATE32:
    case HR_TYPE_TIME32:
        return PyLong_FromLong(((const int32_t *)data)[row]);
    case HR_TYPE_INT64:
    case HR_TYPE_TIME64:
    case HR_TYPE_TIMESTAMP:
    case HR_TYPE_DURATION:
        return PyLong_FromLongLong(((const int64_t *)data)[row]);
    case HR_TYPE_UINT8:
        return PyLong_FromLong(((const uint8_t *)data)[row]);
    case HR_TYPE_UINT16:
        return PyLong_FromLong(((const uint16_t *)data)[row]);
    case HR_TYPE_UINT32:
        return PyLong_FromUnsignedLong(((const uint32_t *)data)[row]);
    case HR_TYPE_UINT64:
        return PyLong_FromUnsignedLongLong(((const uint64_t *)data)[row]);
    case HR_TYPE_FLOAT16:
        return PyFloat_FromDouble(half_to_double(((const uint16_t *)data)[row]));
    case HR_TYPE_BFLOAT16:
        return PyFloat_FromDouble(bfloat_to_double(((const uint16_t *)data)[row]));
    case HR_TYPE_FLOAT32:
        return PyFloat_FromDouble(((const float *)data)[row]);
    case HR_TYPE_FLOAT64:
        return PyFloat_FromDouble(((const double *)data)[row]);
    default:
        return NULL;
    }
}

static int64_t offset_at(const hr_column *c, int64_t at)
{
    return c->type->large ? ((const int64_t *)c->offsets)[at] : ((const int32_t *)c->offsets)[at];
}

static PyObject *wide_integer(const void *bytes, Py_ssize_t count)
{
    PyObject *type = PyImport_ImportModule("builtins"), *result = NULL;
    PyObject *integer = type ? PyObject_GetAttrString(type, "int") : NULL;
    PyObject *from = integer ? PyObject_GetAttrString(integer, "from_bytes") : NULL;
    PyObject *args = from ? Py_BuildValue("(y#s)", (const char *)bytes, count, "little") : NULL;
    PyObject *kwargs = args ? Py_BuildValue("{s:O}", "signed", Py_True) : NULL;
    if (kwargs)
        result = PyObject_Call(from, args, kwargs);
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(from);
    Py_XDECREF(integer);
    Py_XDECREF(type);
    return result;
}

// Types nest to HR_TYPE_DEPTH_MAX levels, which bounds the recursion.
static PyObject *value_at(const hr_column *c, int64_t row)
{
    int64_t at = c->offset + row;
    const uint8_t *data = c->data;
    if (!is_valid(c, row))
        Py_RETURN_NONE;
    switch (c->type->id) {
    case HR_TYPE_BOOL:
        return PyBool_FromLong(data[at >> 3] >> (at & 7) & 1);
    case HR_TYPE_STRING:
        return PyUnicode_DecodeUTF8((const char *)data + offset_at(c, at),
                                    (Py_ssize_t)(offset_at(c, at + 1) - offset_at(c, at)),
                                    "replace");
    case HR_TYPE_BINARY:
        return PyBytes_FromStringAndSize((const char *)data + offset_at(c, at),
                                         (Py_ssize_t)(offset_at(c, at + 1) - offset_at(c, at)));
    case HR_TYPE_FIXED_BINARY:
        return PyBytes_FromStringAndSize((const char *)data + at * c->type->width_bytes,
                                         c->type->width_bytes);
    case HR_TYPE_DECIMAL128:
        return wide_integer(data + at * 16, 16);
    case HR_TYPE_DECIMAL256:
        return wide_integer(data + at * 32, 32);
    case HR_TYPE_DICTIONARY:
        return value_at(c->child, ((const int32_t *)c->data)[at]);
    case HR_TYPE_LIST: {
        int64_t first = offset_at(c, at), count = offset_at(c, at + 1) - first;
        PyObject *list = PyList_New((Py_ssize_t)count);
        for (int64_t i = 0; list && i < count; i++) {
            PyObject *item = value_at(c->child, first + i);
            if (!item || PyList_SetItem(list, (Py_ssize_t)i, item))
                Py_CLEAR(list);
        }
        return list;
    }
    case HR_TYPE_TENSOR: {
        int64_t count = hr_type_row_bytes(c->type) / hr_type_row_bytes(c->type->item);
        PyObject *list = PyList_New((Py_ssize_t)count);
        for (int64_t i = 0; list && i < count; i++) {
            PyObject *item = number_at(c->type->item->id, data, at * count + i);
            if (!item || PyList_SetItem(list, (Py_ssize_t)i, item))
                Py_CLEAR(list);
        }
        return list;
    }
    default:
        return number_at(c->type->id, data, at);
    }
}

PyObject *py_column_values(py_state *state, py_batch *batch, int32_t index)
{
    const hr_column *c = hr_block_column(batch->block, index);
    PyObject *list = PyList_New((Py_ssize_t)c->rows);
    for (int64_t i = 0; list && i < c->rows; i++) {
        PyObject *value = value_at(c, i);
        if (!value || PyList_SetItem(list, (Py_ssize_t)i, value))
            Py_CLEAR(list);
    }
    return list;
}
