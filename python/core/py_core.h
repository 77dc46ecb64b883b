// SPDX-License-Identifier: Apache-2.0
// What the files of the extension share: the module's state, errors, waiting, and how objects are made of handles.
//
// Each type is a heap type around one reference to a handle of the library. Nothing is global: the state hangs on the
// module and is found through the type. Every call that can wait runs without the GIL (py_wait), and Ctrl-C ends it.
#ifndef HR_PYTHON_PY_CORE_H
#define HR_PYTHON_PY_CORE_H

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <headrace/headrace.h>

#define PY_STATUS_COUNT 12

typedef struct py_state {
    PyTypeObject *runtime_type, *dataset_type, *schema_type, *batch_type, *column_type,
        *tensor_type, *feed_type, *expr_type, *prep_type, *session_type, *trainer_type;
    PyObject *errors[PY_STATUS_COUNT]; // by -status; 0: the base, headrace.Error
} py_state;

// --- objects ---
typedef struct py_runtime {
    PyObject_HEAD hr_runtime *handle; // NULL once closed
} py_runtime;

typedef struct py_dataset {
    PyObject_HEAD hr_dataset *handle;
    PyObject *runtime; // to interrupt it
} py_dataset;

typedef struct py_schema {
    PyObject_HEAD hr_schema *handle;
} py_schema;

typedef struct py_batch {
    PyObject_HEAD hr_batch *batch; // NULL: a bare block
    hr_block *block;
    int writable; // the block's memory is this process's own (functions in processes)
} py_batch;

typedef struct py_column {
    PyObject_HEAD py_batch *batch;
    int32_t index;
} py_column;

// Dense memory with a shape: what NumPy and torch see. The owner keeps the memory.
typedef struct py_tensor {
    PyObject_HEAD PyObject *owner;
    void *own_memory; // converted values; NULL: the owner's
    hr_tensor tensor;
    Py_ssize_t shape[1 + HR_TENSOR_DIMS_MAX], strides[1 + HR_TENSOR_DIMS_MAX];
} py_tensor;

typedef struct py_feed {
    PyObject_HEAD hr_feed *handle;
    hr_stream *stream; // NULL: the feed's own, or a session's
    PyObject *owner;   // what must live as long: a session
    int busy;          // a thread is inside next: another one is refused
    PyObject *method;  // what opened it, and with which words: load_state_dict opens it anew
    PyObject *args, *kwargs;
    int over;       // it was told to go on behind its last epoch
    hr_position at; // over: where
} py_feed;

typedef struct py_expr {
    PyObject_HEAD hr_expr *handle;
} py_expr;

typedef struct py_prep {
    PyObject_HEAD hr_prep *handle;
} py_prep;

typedef struct py_session {
    PyObject_HEAD hr_session *handle;
} py_session;

typedef struct py_trainer py_trainer; // py_train.c

py_state *py_state_of(PyObject *self);       // of an object of ours
py_state *py_module_state(PyObject *module); // of the module
void *py_new(PyTypeObject *type);            // zeroed, or NULL with an exception
void py_free(PyObject *self);                // the end of a tp_dealloc

// --- errors ---
int py_errors_init(PyObject *module, py_state *state);
// Sets the exception for a failure and returns NULL. A user's function's exception comes back as itself.
PyObject *py_raise(py_state *state, hr_status status, const hr_error *err);

// --- waiting ---
typedef hr_status (*py_job)(void *arg, hr_error *err);
// Runs the job without the GIL. In the main thread it runs in a thread of its own while this one looks for signals:
// when a handler raises, the runtime is interrupted, the job awaited, and -1 returned with that exception set.
// `runtime` may be NULL (then signals wait). Returns 0 with *status_out set otherwise.
int py_wait(PyObject *runtime, py_job job, void *arg, hr_status *status_out, hr_error *err);

// --- conversions ---
// A sequence of strings as a NULL-ended array that lives in *holder (a tuple; the array is freed by PyMem_Free).
// None: NULL.
int py_names(PyObject *sequence, const char ***out, PyObject **holder_out);
PyObject *py_take_text(char *text); // as str; frees text
PyObject *py_dataset_wrap(py_state *state, hr_dataset *handle, PyObject *runtime); // takes handle
PyObject *py_schema_wrap(py_state *state, const hr_schema *handle);                // refs it
PyObject *py_batch_wrap(py_state *state, hr_batch *batch, hr_block *block,
                        int writable);                                   // takes both
PyObject *py_feed_wrap(py_state *state, hr_feed *feed, PyObject *owner); // takes feed
// The feed was opened by this method of the object. Passes on (and gives up, on failure) the reference to the feed.
PyObject *py_feed_opened_by(PyObject *feed, PyObject *object, const char *method, PyObject *args,
                            PyObject *kwargs);
PyObject *py_expr_from(py_state *state,
                       PyObject *value); // Expr as is (new ref), numbers, str, None
PyObject *py_type_name(const hr_type *type);
PyObject *py_tensor_make(py_state *state, py_batch *batch, int32_t index, int writable,
                         size_t alignment, hr_nulls nulls, double value);
PyObject *py_column_values(py_state *state, py_batch *batch,
                           int32_t index); // a list of Python values
// batch_rows, drop_last, ...; a position, given as text, is kept in *position.
int py_stream_options(py_state *state, PyObject *kwargs, hr_stream_options *out,
                      hr_position *position);
int py_nulls(PyObject *value, hr_nulls *out, double *value_out); // "error", "nan", a number
// A capsule of this memory, which the owner keeps; versioned: it can say that it is read-only.
PyObject *py_dlpack(const hr_tensor *tensor, PyObject *owner, int versioned);
PyObject *py_batch_dlpacks(py_batch *self, PyObject *args); // a method of Batch

// --- Arrow (py_arrow.c) ---
PyObject *py_schema_capsule(py_state *state, const hr_schema *schema);
PyObject *py_array_capsules(py_state *state, const hr_block *block);
PyObject *py_stream_capsule(py_state *state, py_dataset *dataset);
PyObject *py_from_arrow(PyObject *module, PyObject *args);
PyObject *py_block_from_arrow(PyObject *module, PyObject *args);
PyObject *py_block_from_columns(PyObject *module, PyObject *args);

// --- what waits in other programs (py_train.c, py_function.c) ---
PyObject *py_trainer_run(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *py_trainer_start(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *py_trainers_wait(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *py_function_serve(PyObject *module, PyObject *args);
// --- the page of a run (py_check.c) ---
PyObject *py_check_page(PyObject *module, PyObject *args);

extern PyType_Spec py_runtime_spec, py_dataset_spec, py_schema_spec, py_batch_spec, py_column_spec,
    py_tensor_spec, py_feed_spec, py_expr_spec, py_prep_spec, py_session_spec, py_trainer_spec;
extern PyMethodDef py_module_methods[];

#endif
