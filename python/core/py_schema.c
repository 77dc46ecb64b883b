// SPDX-License-Identifier: Apache-2.0
// headrace._core.Schema: names and types in order.
#include "py_core.h"

PyObject *py_schema_wrap(py_state *state, const hr_schema *handle)
{
    py_schema *self = py_new(state->schema_type);
    if (self)
        self->handle = hr_schema_ref(handle);
    return (PyObject *)self;
}

PyObject *py_type_name(const hr_type *type)
{
    char text[512];
    return PyUnicode_FromString(hr_type_print(type, text, sizeof text));
}

static void schema_dealloc(py_schema *self)
{
    hr_schema_unref(&self->handle);
    py_free((PyObject *)self);
}

static Py_ssize_t schema_length(py_schema *self)
{
    return hr_schema_count(self->handle);
}

static PyObject *field_tuple(const hr_field *field)
{
    char text[512];
    return Py_BuildValue("(ssiO)", field->name, hr_type_print(field->type, text, sizeof text),
                         (int)field->type->id, field->nullable ? Py_True : Py_False);
}

// (name, type as text, type id, nullable) of each.
static PyObject *schema_fields(py_schema *self, PyObject *unused)
{
    int32_t count = hr_schema_count(self->handle);
    PyObject *list = PyList_New(count);
    for (int32_t i = 0; list && i < count; i++) {
        PyObject *field = field_tuple(hr_schema_field(self->handle, i));
        if (!field || PyList_SetItem(list, i, field))
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *schema_names(py_schema *self, void *unused)
{
    int32_t count = hr_schema_count(self->handle);
    PyObject *list = PyList_New(count);
    for (int32_t i = 0; list && i < count; i++) {
        PyObject *name = PyUnicode_FromString(hr_schema_field(self->handle, i)->name);
        if (!name || PyList_SetItem(list, i, name))
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *schema_repr(py_schema *self)
{
    char text[512];
    PyObject *result = PyUnicode_FromString("");
    for (int32_t i = 0; result && i < hr_schema_count(self->handle); i++) {
        const hr_field *field = hr_schema_field(self->handle, i);
        PyObject *longer = PyUnicode_FromFormat("%U%s%s: %s", result, i ? "\n" : "", field->name,
                                                hr_type_print(field->type, text, sizeof text));
        Py_DECREF(result);
        result = longer;
    }
    return result;
}

static PyObject *schema_compare(PyObject *a, PyObject *b, int op)
{
    if (Py_TYPE(a) != Py_TYPE(b) || (op != Py_EQ && op != Py_NE))
        Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong(hr_schema_equal(((py_schema *)a)->handle, ((py_schema *)b)->handle) ==
                           (op == Py_EQ));
}

static PyObject *schema_arrow(py_schema *self, PyObject *unused)
{
    return py_schema_capsule(py_state_of((PyObject *)self), self->handle);
}

static PyMethodDef methods[] = {
    {"fields", (PyCFunction)schema_fields, METH_NOARGS,
     "(name, type, type id, nullable) of each column."},
    {"__arrow_c_schema__", (PyCFunction)schema_arrow, METH_NOARGS, "As an Arrow struct schema."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef getset[] = {
    {"names", (getter)schema_names, NULL, "The columns' names.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "Names and types of columns."},
    {Py_tp_dealloc, schema_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_repr, schema_repr},
    {Py_tp_richcompare, schema_compare},
    {Py_mp_length, schema_length},
    {0, NULL},
};
PyType_Spec py_schema_spec = {"headrace._core.Schema", sizeof(py_schema), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
