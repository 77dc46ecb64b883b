// SPDX-License-Identifier: Apache-2.0
// The module headrace._core: multi-phase, its types made for each interpreter, its state freed with it. Sources of
// rows are functions here; what else is a method of the type it acts on.
#include "py_core.h"

py_state *py_module_state(PyObject *module)
{
    return PyModule_GetState(module);
}

py_state *py_state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

void *py_new(PyTypeObject *type)
{
    return PyType_GenericAlloc(type, 0);
}

void py_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF((PyObject *)type);
}

PyObject *py_take_text(char *text)
{
    PyObject *result = PyUnicode_DecodeUTF8(text, (Py_ssize_t)__builtin_strlen(text), "replace");
    hr_text_free(text);
    return result;
}

int py_names(PyObject *sequence, const char ***out, PyObject **holder_out)
{
    *out = NULL;
    *holder_out = NULL;
    if (sequence == Py_None)
        return 0;
    if (PyUnicode_Check(sequence)) {
        PyErr_SetString(PyExc_TypeError, "a list of strings is needed, not one string");
        return -1;
    }
    PyObject *holder = PySequence_Tuple(sequence);
    Py_ssize_t count = holder ? PyTuple_Size(holder) : 0;
    const char **names = holder ? PyMem_Calloc((size_t)count + 1, sizeof *names) : NULL;
    for (Py_ssize_t i = 0; names && i < count; i++) {
        if (!(names[i] = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(holder, i), NULL))) {
            PyMem_Free(names);
            names = NULL;
        }
    }
    if (!names) {
        Py_XDECREF(holder);
        return PyErr_Occurred() ? -1 : (PyErr_NoMemory(), -1);
    }
    *out = names;
    *holder_out = holder;
    return 0;
}

// --- sources ---

static hr_runtime *open_handle(py_state *state, PyObject *runtime)
{
    hr_runtime *handle = ((py_runtime *)runtime)->handle;
    hr_error err = {HR_CANCELLED, "the runtime was shut down"};
    if (!handle)
        py_raise(state, HR_CANCELLED, &err);
    return handle;
}

typedef struct read_job {
    hr_runtime *runtime;
    const char *path;
    hr_read_options options;
    hr_dataset *made;
} read_job;

static hr_status run_read(void *arg, hr_error *err)
{
    read_job *job = arg;
    return hr_read_parquet(job->runtime, job->path, &job->options, &job->made, err);
}

static PyObject *read_parquet(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"runtime",          "path",   "paths", "columns",
                           "verify_checksums", "ragged", NULL};
    py_state *state = py_module_state(module);
    read_job job = {.options = HR_READ_OPTIONS_INIT};
    PyObject *runtime, *more = Py_None, *columns = Py_None, *more_holder = NULL,
                       *columns_holder = NULL;
    const char **paths = NULL, **names = NULL;
    int verify = 0, ragged = 0, raised;
    hr_status status = HR_OK;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!s|OOpp", keys, state->runtime_type, &runtime,
                                     &job.path, &more, &columns, &verify, &ragged) ||
        !(job.runtime = open_handle(state, runtime)) || py_names(more, &paths, &more_holder))
        return NULL;
    raised = py_names(columns, &names, &columns_holder);
    job.options.paths = paths;
    job.options.columns = names;
    job.options.verify_checksums = verify;
    job.options.lists = ragged ? HR_LISTS_RAGGED : HR_LISTS_AUTO;
    if (!raised)
        raised = py_wait(runtime, run_read, &job, &status, &err);
    PyMem_Free(paths);
    PyMem_Free(names);
    Py_XDECREF(more_holder);
    Py_XDECREF(columns_holder);
    if (raised) {
        hr_dataset_unref(&job.made);
        return NULL;
    }
    return status ? py_raise(state, status, &err) : py_dataset_wrap(state, job.made, runtime);
}

static PyObject *range(PyObject *module, PyObject *args)
{
    py_state *state = py_module_state(module);
    PyObject *runtime;
    long long rows, blocks;
    hr_runtime *handle;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "O!LL", state->runtime_type, &runtime, &rows, &blocks) ||
        !(handle = open_handle(state, runtime)))
        return NULL;
    hr_status status = hr_range(handle, rows, blocks, &made, &err);
    return status ? py_raise(state, status, &err) : py_dataset_wrap(state, made, runtime);
}

static PyObject *range_tensor(PyObject *module, PyObject *args)
{
    py_state *state = py_module_state(module);
    PyObject *runtime, *shape;
    long long rows, blocks;
    int64_t dims[HR_TENSOR_DIMS_MAX];
    hr_runtime *handle;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "O!LO!L", state->runtime_type, &runtime, &rows, &PyTuple_Type,
                          &shape, &blocks) ||
        !(handle = open_handle(state, runtime)))
        return NULL;
    Py_ssize_t ndim = PyTuple_Size(shape);
    if (ndim < 1 || ndim > HR_TENSOR_DIMS_MAX) {
        PyErr_Format(PyExc_ValueError, "shape: 1 to %d dimensions, not %zd", HR_TENSOR_DIMS_MAX,
                     ndim);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < ndim; i++) {
        dims[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, i));
        if (dims[i] == -1 && PyErr_Occurred())
            return NULL;
    }
    hr_status status = hr_range_tensor(handle, rows, dims, (int32_t)ndim, blocks, &made, &err);
    return status ? py_raise(state, status, &err) : py_dataset_wrap(state, made, runtime);
}

static PyObject *from_batches(PyObject *module, PyObject *args)
{
    py_state *state = py_module_state(module);
    PyObject *runtime, *list;
    hr_runtime *handle;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "O!O!", state->runtime_type, &runtime, &PyList_Type, &list) ||
        !(handle = open_handle(state, runtime)))
        return NULL;
    Py_ssize_t count = PyList_Size(list);
    hr_block **blocks = PyMem_Calloc((size_t)count + 1, sizeof *blocks);
    if (!blocks)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *batch = PyList_GetItem(list, i);
        if (Py_TYPE(batch) != state->batch_type) {
            PyErr_SetString(PyExc_TypeError, "from_batches: batches are needed");
            count = 0;
        } else {
            blocks[i] = ((py_batch *)batch)->block;
        }
    }
    hr_status status = HR_INVALID;
    if (count)
        status =
            hr_from_blocks(handle, blocks, (int32_t)count, hr_block_schema(blocks[0]), &made, &err);
    else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "from_batches: at least one is needed, for the schema");
    PyMem_Free(blocks);
    if (PyErr_Occurred())
        return NULL;
    return status ? py_raise(state, status, &err) : py_dataset_wrap(state, made, runtime);
}

static PyObject *memory_summary(PyObject *module, PyObject *args)
{
    const char *what = "";
    char *text = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_status status;
    if (!PyArg_ParseTuple(args, "|s", &what))
        return NULL;
    Py_BEGIN_ALLOW_THREADS status = hr_memory_summary(what, &text, &err);
    Py_END_ALLOW_THREADS return status ? py_raise(py_module_state(module), status, &err)
                                       : py_take_text(text);
}

static PyObject *checkpoint_find(PyObject *module, PyObject *args)
{
    PyObject *folder = NULL;
    char *path = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "O&", PyUnicode_FSConverter, &folder))
        return NULL;
    hr_status status = hr_checkpoint_find(PyBytes_AsString(folder), &path, &err);
    Py_DECREF(folder);
    if (status)
        return py_raise(py_module_state(module), status, &err);
    PyObject *result = PyUnicode_DecodeFSDefault(path);
    hr_text_free(path);
    return result;
}

static PyObject *options_describe(PyObject *module, PyObject *args)
{
    const char *name = NULL;
    char *text = NULL;
    int json = 0;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "zp", &name, &json))
        return NULL;
    hr_status status = hr_options_describe(name, json, &text, &err);
    return status ? py_raise(py_module_state(module), status, &err) : py_take_text(text);
}

static PyObject *version(PyObject *module, PyObject *unused)
{
    return PyUnicode_FromString(hr_version());
}

#define KEYWORDS(f) ((PyCFunction)(void (*)(void))(f))
PyMethodDef py_module_methods[] = {
    {"read_parquet", KEYWORDS(read_parquet), METH_VARARGS | METH_KEYWORDS, "(runtime, path, ...)"},
    {"range", range, METH_VARARGS, "(runtime, rows, blocks)"},
    {"range_tensor", range_tensor, METH_VARARGS, "(runtime, rows, shape, blocks)"},
    {"from_arrow", py_from_arrow, METH_VARARGS,
     "(runtime, object with __arrow_c_stream__ or __arrow_c_array__)"},
    {"from_batches", from_batches, METH_VARARGS, "(runtime, list of Batch)"},
    {"batch_from_arrow", py_block_from_arrow, METH_VARARGS,
     "A Batch of an object with __arrow_c_array__."},
    {"batch_from_columns", py_block_from_columns, METH_VARARGS, "A Batch of arrays and lists."},
    {"trainer_run", KEYWORDS(py_trainer_run), METH_VARARGS | METH_KEYWORDS,
     "Starts workers, feeds them, waits."},
    {"trainer_start", KEYWORDS(py_trainer_start), METH_VARARGS | METH_KEYWORDS,
     "As trainer_run, and returns a Trainer at once; a str, when slots are taken: by whom."},
    {"trainers_wait", KEYWORDS(py_trainers_wait), METH_VARARGS | METH_KEYWORDS,
     "(trainers, timeout=None): runs them until one ended: its index, or None."},
    {"function_serve", py_function_serve, METH_VARARGS,
     "(begin, describe): a process of functions."},
    {"checkpoint_find", checkpoint_find, METH_VARARGS,
     "(folder): the path of a checkpoint: the folder itself, or the newest one of a run's folder."},
    {"check_page", py_check_page, METH_VARARGS,
     "(runtime, dataset, touch, busy, peak_bytes, workers, samples): the page of a run, HTML."},
    {"memory_summary", memory_summary, METH_VARARGS, "(what): the text of `headrace memory`."},
    {"options_describe", options_describe, METH_VARARGS,
     "(name or None, json): the text of `headrace options`."},
    {"version", version, METH_NOARGS, "The library's version."},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **out)
{
    *out = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *out ? PyModule_AddType(module, *out) : -1;
}

static int module_exec(PyObject *module)
{
    py_state *s = py_module_state(module);
    return add_type(module, &py_runtime_spec, &s->runtime_type) ||
                   add_type(module, &py_dataset_spec, &s->dataset_type) ||
                   add_type(module, &py_schema_spec, &s->schema_type) ||
                   add_type(module, &py_batch_spec, &s->batch_type) ||
                   add_type(module, &py_column_spec, &s->column_type) ||
                   add_type(module, &py_tensor_spec, &s->tensor_type) ||
                   add_type(module, &py_feed_spec, &s->feed_type) ||
                   add_type(module, &py_expr_spec, &s->expr_type) ||
                   add_type(module, &py_prep_spec, &s->prep_type) ||
                   add_type(module, &py_session_spec, &s->session_type) ||
                   add_type(module, &py_trainer_spec, &s->trainer_type) || py_errors_init(module, s)
               ? -1
               : 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    py_state *s = py_module_state(module);
    for (int i = 0; i < PY_STATUS_COUNT; i++)
        Py_VISIT(s->errors[i]);
    return 0;
}

static int module_clear(PyObject *module)
{
    py_state *s = py_module_state(module);
    PyTypeObject **types[] = {&s->runtime_type, &s->dataset_type, &s->schema_type, &s->batch_type,
                              &s->column_type,  &s->tensor_type,  &s->feed_type,   &s->expr_type,
                              &s->prep_type,    &s->session_type, &s->trainer_type};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        Py_CLEAR(*types[i]);
    for (int i = 0; i < PY_STATUS_COUNT; i++)
        Py_CLEAR(s->errors[i]);
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static PyModuleDef module_def = {PyModuleDef_HEAD_INIT, "headrace._core",  "The core of headrace.",
                                 sizeof(py_state),      py_module_methods, module_slots,
                                 module_traverse,       module_clear,      module_free};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_def);
}
