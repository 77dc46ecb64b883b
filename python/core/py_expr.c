// SPDX-License-Identifier: Apache-2.0
// headrace._core.Expr: an expression tree. Python's operators build trees; nothing is evaluated here.
#include "py_core.h"
#include <string.h>

// `made` by its address: the call that fills it may stand beside it among the arguments.
static PyObject *wrap(py_state *state, hr_status status, hr_expr **made, const hr_error *err)
{
    if (status)
        return py_raise(state, status, err);
    py_expr *self = py_new(state->expr_type);
    if (!self) {
        hr_expr_unref(made);
        return NULL;
    }
    self->handle = *made;
    return (PyObject *)self;
}

static void expr_dealloc(py_expr *self)
{
    hr_expr_unref(&self->handle);
    py_free((PyObject *)self);
}

// NumPy scalars and others that are numbers by protocol: __index__ first, then __float__.
static PyObject *from_number(py_state *state, PyObject *value)
{
    hr_expr *made = NULL;
    hr_error err = HR_ERROR_INIT;
    PyObject *number = PyIndex_Check(value) ? PyNumber_Index(value) : PyNumber_Float(value);
    hr_status status = HR_OK;
    if (!number)
        return NULL;
    if (PyLong_Check(number)) {
        long long whole = PyLong_AsLongLong(number);
        if (whole != -1 || !PyErr_Occurred())
            status = hr_expr_int(whole, &made, &err);
    } else {
        status = hr_expr_float(PyFloat_AsDouble(number), &made, &err);
    }
    Py_DECREF(number);
    return PyErr_Occurred() ? NULL : wrap(state, status, &made, &err);
}

PyObject *py_expr_from(py_state *state, PyObject *value)
{
    hr_expr *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (Py_TYPE(value) == state->expr_type)
        return Py_NewRef(value);
    if (value == Py_None)
        return wrap(state, hr_expr_null(&made, &err), &made, &err);
    if (PyBool_Check(value))
        return wrap(state, hr_expr_bool(value == Py_True, &made, &err), &made, &err);
    if (PyUnicode_Check(value)) {
        const char *text = PyUnicode_AsUTF8AndSize(value, NULL);
        return text ? wrap(state, hr_expr_text(text, &made, &err), &made, &err) : NULL;
    }
    if (PyIndex_Check(value) || PyFloat_Check(value) || PyObject_HasAttrString(value, "__float__"))
        return from_number(state, value);
    PyErr_Format(PyExc_TypeError, "an expression, a number, a string or None is needed, not %R",
                 Py_TYPE(value));
    return NULL;
}

static PyObject *call(py_state *state, const char *name, PyObject *const *args, Py_ssize_t count)
{
    PyObject *made_args[8] = {0}, *result = NULL;
    hr_expr *handles[8], *made = NULL;
    hr_error err = HR_ERROR_INIT;
    Py_ssize_t i;
    if (count > 8) {
        PyErr_Format(PyExc_TypeError, "%s: more than 8 arguments", name);
        return NULL;
    }
    for (i = 0; i < count; i++) {
        if (!(made_args[i] = py_expr_from(state, args[i])))
            break;
        handles[i] = ((py_expr *)made_args[i])->handle;
    }
    if (i == count)
        result = wrap(state, hr_expr_call(name, handles, (int32_t)count, &made, &err), &made, &err);
    for (i = 0; i < count; i++)
        Py_XDECREF(made_args[i]);
    return result;
}

static PyObject *expr_add(PyObject *a, PyObject *b);

// Either side may be ours: the one whose type adds as ours does.
static PyObject *binary(const char *name, PyObject *a, PyObject *b)
{
    PyObject *both[2] = {a, b};
    PyObject *mine = PyType_GetSlot(Py_TYPE(a), Py_nb_add) == (void *)expr_add ? a : b;
    PyObject *result = call(py_state_of(mine), name, both, 2);
    if (!result && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        return Py_NewRef(Py_NotImplemented);
    }
    return result;
}

#define BINARY(slot, name)                                                                         \
    static PyObject *expr_##slot(PyObject *a, PyObject *b)                                         \
    {                                                                                              \
        return binary(name, a, b);                                                                 \
    }
#define UNARY(slot, name)                                                                          \
    static PyObject *expr_##slot(PyObject *a)                                                      \
    {                                                                                              \
        return call(py_state_of(a), name, &a, 1);                                                  \
    }
BINARY(add, "+")
BINARY(subtract, "-")
BINARY(multiply, "*")
BINARY(divide, "/")
BINARY(floor_divide, "//")
BINARY(remainder, "%")
BINARY(and, "and")
BINARY(or, "or")
UNARY(negative, "-")
UNARY(absolute, "abs")
UNARY(invert, "not")

static PyObject *expr_power(PyObject *a, PyObject *b, PyObject *modulo)
{
    return modulo == Py_None ? binary("**", a, b) : Py_NewRef(Py_NotImplemented);
}

static PyObject *expr_positive(PyObject *a)
{
    return Py_NewRef(a);
}

static PyObject *expr_compare(PyObject *a, PyObject *b, int op)
{
    static const char *const names[] = {"<", "<=", "==", "!=", ">", ">="};
    return binary(names[op], a, b);
}

static int expr_bool(PyObject *self)
{
    PyErr_SetString(PyExc_TypeError,
                    "an expression has no truth value: use & | ~ instead of and, or, not, and "
                    "headrace.where instead of if");
    return -1;
}

static Py_hash_t expr_hash(PyObject *self)
{
    return (Py_hash_t)(((uintptr_t)self >> 4) & INTPTR_MAX);
}

static PyObject *expr_str(py_expr *self)
{
    char text[4096];
    return PyUnicode_FromString(hr_expr_print(self->handle, text, sizeof text));
}

static PyObject *expr_repr(py_expr *self)
{
    char text[4096];
    return PyUnicode_FromFormat("<headrace.Expr %s>",
                                hr_expr_print(self->handle, text, sizeof text));
}

static PyObject *expr_cast(py_expr *self, PyObject *args)
{
    int type;
    hr_expr *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "i", &type))
        return NULL;
    return wrap(py_state_of((PyObject *)self),
                hr_expr_cast(self->handle, (hr_type_id)type, &made, &err), &made, &err);
}

static PyObject *expr_type(py_expr *self, PyObject *schema)
{
    py_state *state = py_state_of((PyObject *)self);
    hr_type type;
    hr_error err = HR_ERROR_INIT;
    if (Py_TYPE(schema) != state->schema_type) {
        PyErr_SetString(PyExc_TypeError, "a Schema is needed");
        return NULL;
    }
    hr_status status = hr_expr_type(self->handle, ((py_schema *)schema)->handle, &type, &err);
    return status ? py_raise(state, status, &err) : py_type_name(&type);
}

static PyObject *expr_parse(PyObject *type, PyObject *args)
{
    const char *text;
    hr_expr *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "s", &text))
        return NULL;
    return wrap(PyType_GetModuleState((PyTypeObject *)type), hr_expr_parse(text, &made, &err),
                &made, &err);
}

static PyObject *expr_column(PyObject *type, PyObject *args)
{
    const char *name;
    hr_expr *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "s", &name))
        return NULL;
    return wrap(PyType_GetModuleState((PyTypeObject *)type), hr_expr_column(name, &made, &err),
                &made, &err);
}

static PyObject *expr_literal(PyObject *type, PyObject *value)
{
    return py_expr_from(PyType_GetModuleState((PyTypeObject *)type), value);
}

static PyObject *expr_call(PyObject *type, PyObject *args)
{
    PyObject *items[8];
    Py_ssize_t count = PyTuple_Size(args) - 1;
    const char *name = count >= 0 ? PyUnicode_AsUTF8AndSize(PyTuple_GetItem(args, 0), NULL) : NULL;
    if (!name || count > 8) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "call: a name and at most 8 arguments");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        items[i] = PyTuple_GetItem(args, i + 1);
    return call(PyType_GetModuleState((PyTypeObject *)type), name, items, count);
}

static PyObject *expr_is_null(PyObject *self, PyObject *unused)
{
    return call(py_state_of(self), "is_null", &self, 1);
}

static PyObject *expr_is_nan(PyObject *self, PyObject *unused)
{
    return call(py_state_of(self), "is_nan", &self, 1);
}

static PyObject *expr_fill_null(PyObject *self, PyObject *value)
{
    PyObject *both[2] = {self, value};
    return call(py_state_of(self), "fill_null", both, 2);
}

static PyMethodDef methods[] = {
    {"cast", (PyCFunction)expr_cast, METH_VARARGS, "To the type of this number (headrace._types)."},
    {"type", (PyCFunction)expr_type, METH_O, "The name of its type over a Schema."},
    {"is_null", (PyCFunction)expr_is_null, METH_NOARGS, "True where there is no value."},
    {"is_nan", (PyCFunction)expr_is_nan, METH_NOARGS, "True where the value is NaN."},
    {"fill_null", (PyCFunction)expr_fill_null, METH_O, "The value where there is none."},
    {"parse", (PyCFunction)expr_parse, METH_VARARGS | METH_CLASS, "From its text form."},
    {"column", (PyCFunction)expr_column, METH_VARARGS | METH_CLASS, "A column by its name."},
    {"literal", (PyCFunction)expr_literal, METH_O | METH_CLASS,
     "A number, string, truth value or None."},
    {"call", (PyCFunction)expr_call, METH_VARARGS | METH_CLASS,
     "(name, *args): a function or operator by its name."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "An expression over columns: row-local work that runs in C."},
    {Py_tp_dealloc, expr_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_repr, expr_repr},
    {Py_tp_str, expr_str},
    {Py_tp_hash, expr_hash},
    {Py_tp_richcompare, expr_compare},
    {Py_nb_add, expr_add},
    {Py_nb_subtract, expr_subtract},
    {Py_nb_multiply, expr_multiply},
    {Py_nb_true_divide, expr_divide},
    {Py_nb_floor_divide, expr_floor_divide},
    {Py_nb_remainder, expr_remainder},
    {Py_nb_power, expr_power},
    {Py_nb_and, expr_and},
    {Py_nb_or, expr_or},
    {Py_nb_invert, expr_invert},
    {Py_nb_negative, expr_negative},
    {Py_nb_positive, expr_positive},
    {Py_nb_absolute, expr_absolute},
    {Py_nb_bool, expr_bool},
    {0, NULL},
};
PyType_Spec py_expr_spec = {"headrace._core.Expr", sizeof(py_expr), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
