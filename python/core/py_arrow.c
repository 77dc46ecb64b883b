// SPDX-License-Identifier: Apache-2.0
// The Arrow PyCapsule interface, both ways (arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html). A
// capsule that nobody took releases what it holds.
#include "py_core.h"

static void schema_capsule_free(PyObject *capsule)
{
    struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");
    if (schema->release)
        schema->release(schema);
    PyMem_Free(schema);
}

static void array_capsule_free(PyObject *capsule)
{
    struct ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");
    if (array->release)
        array->release(array);
    PyMem_Free(array);
}

static void stream_capsule_free(PyObject *capsule)
{
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
    if (stream->release) {
        Py_BEGIN_ALLOW_THREADS stream->release(stream);
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(stream);
}

// Puts a filled struct into its capsule; frees it when that fails.
static PyObject *put(void *filled, const char *name, PyCapsule_Destructor free_capsule,
                     void (*release)(void *))
{
    PyObject *capsule = PyCapsule_New(filled, name, free_capsule);
    if (!capsule) {
        release(filled);
        PyMem_Free(filled);
    }
    return capsule;
}

static void release_schema(void *schema)
{
    ((struct ArrowSchema *)schema)->release(schema);
}
static void release_array(void *array)
{
    ((struct ArrowArray *)array)->release(array);
}
static void release_stream(void *stream)
{
    ((struct ArrowArrayStream *)stream)->release(stream);
}

PyObject *py_schema_capsule(py_state *state, const hr_schema *schema)
{
    hr_error err = HR_ERROR_INIT;
    struct ArrowSchema *out = PyMem_Calloc(1, sizeof *out);
    hr_status status = out ? hr_schema_export(schema, out, &err) : HR_NOMEM;
    if (status) {
        PyMem_Free(out);
        return py_raise(state, status, &err);
    }
    return put(out, "arrow_schema", schema_capsule_free, release_schema);
}

PyObject *py_array_capsules(py_state *state, const hr_block *block)
{
    hr_error err = HR_ERROR_INIT;
    PyObject *schema = py_schema_capsule(state, hr_block_schema(block)), *array, *both;
    struct ArrowArray *out = schema ? PyMem_Calloc(1, sizeof *out) : NULL;
    if (!schema)
        return NULL;
    hr_status status = out ? hr_block_export(block, out, &err) : HR_NOMEM;
    if (status) {
        PyMem_Free(out);
        Py_DECREF(schema);
        return py_raise(state, status, &err);
    }
    array = put(out, "arrow_array", array_capsule_free, release_array);
    both = array ? PyTuple_Pack(2, schema, array) : NULL;
    Py_XDECREF(array);
    Py_DECREF(schema);
    return both;
}

typedef struct export_job {
    const hr_dataset *dataset;
    struct ArrowArrayStream *out;
} export_job;

static hr_status run_export(void *arg, hr_error *err)
{
    export_job *job = arg;
    return hr_dataset_export(job->dataset, job->out, err);
}

PyObject *py_stream_capsule(py_state *state, py_dataset *dataset)
{
    hr_error err = HR_ERROR_INIT;
    hr_status status = HR_OK;
    export_job job = {dataset->handle, PyMem_Calloc(1, sizeof *job.out)};
    if (!job.out)
        return PyErr_NoMemory();
    int raised = py_wait(dataset->runtime, run_export, &job, &status, &err);
    if (raised || status) {
        if (job.out->release)
            job.out->release(job.out);
        PyMem_Free(job.out);
        return raised ? NULL : py_raise(state, status, &err);
    }
    return put(job.out, "arrow_array_stream", stream_capsule_free, release_stream);
}

typedef struct import_job {
    hr_runtime *runtime;
    struct ArrowArrayStream *stream;
    hr_dataset *made;
} import_job;

static hr_status run_import(void *arg, hr_error *err)
{
    import_job *job = arg;
    return hr_from_arrow(job->runtime, job->stream, &job->made, err);
}

static PyObject *dataset_of_stream(py_state *state, PyObject *runtime, PyObject *source)
{
    hr_error err = HR_ERROR_INIT;
    hr_status status = HR_OK;
    PyObject *capsule = PyObject_CallMethod(source, "__arrow_c_stream__", NULL);
    import_job job = {((py_runtime *)runtime)->handle, NULL, NULL};
    if (!capsule)
        return NULL;
    // Whoever takes a stream empties the capsule's struct: hr_from_arrow releases what it was given.
    job.stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
    int raised = job.stream ? py_wait(runtime, run_import, &job, &status, &err) : -1;
    Py_DECREF(capsule);
    if (raised) {
        hr_dataset_unref(&job.made);
        return NULL;
    }
    return status ? py_raise(state, status, &err) : py_dataset_wrap(state, job.made, runtime);
}

static hr_status import_array(PyObject *schema_capsule, PyObject *array_capsule, hr_block **out,
                              hr_error *err)
{
    struct ArrowSchema *schema = PyCapsule_GetPointer(schema_capsule, "arrow_schema");
    struct ArrowArray *array = PyCapsule_GetPointer(array_capsule, "arrow_array");
    hr_schema *ours = NULL;
    if (!schema || !array)
        return HR_INVALID;
    hr_status status = hr_schema_import(schema, &ours, err);
    if (status == HR_OK)
        status = hr_block_import(array, ours, out, err);
    hr_schema_unref(&ours);
    return status;
}

static hr_block *block_of_array(py_state *state, PyObject *source)
{
    hr_error err = HR_ERROR_INIT;
    hr_block *block = NULL;
    PyObject *pair = PyObject_CallMethod(source, "__arrow_c_array__", NULL), *schema, *array;
    if (!pair)
        return NULL;
    if (!PyArg_ParseTuple(pair, "OO", &schema, &array)) {
        Py_DECREF(pair);
        return NULL;
    }
    hr_status status = import_array(schema, array, &block, &err);
    Py_DECREF(pair);
    if (status && !PyErr_Occurred())
        py_raise(state, status, &err);
    return block;
}

PyObject *py_from_arrow(PyObject *module, PyObject *args)
{
    py_state *state = py_module_state(module);
    PyObject *runtime, *source;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "O!O", state->runtime_type, &runtime, &source))
        return NULL;
    if (PyObject_HasAttrString(source, "__arrow_c_stream__"))
        return dataset_of_stream(state, runtime, source);
    if (!PyObject_HasAttrString(source, "__arrow_c_array__")) {
        PyErr_Format(PyExc_TypeError,
                     "from_arrow: %R has neither __arrow_c_stream__ nor __arrow_c_array__",
                     Py_TYPE(source));
        return NULL;
    }
    hr_block *block = block_of_array(state, source);
    if (!block)
        return NULL;
    hr_status status = hr_from_blocks(((py_runtime *)runtime)->handle, &block, 1,
                                      hr_block_schema(block), &made, &err);
    hr_block_unref(&block);
    return status ? py_raise(state, status, &err) : py_dataset_wrap(state, made, runtime);
}

PyObject *py_block_from_arrow(PyObject *module, PyObject *args)
{
    py_state *state = py_module_state(module);
    PyObject *source;
    if (!PyArg_ParseTuple(args, "O", &source))
        return NULL;
    hr_block *block = block_of_array(state, source);
    return block ? py_batch_wrap(state, NULL, block, 0) : NULL;
}
