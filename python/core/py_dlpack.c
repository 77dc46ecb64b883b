// SPDX-License-Identifier: Apache-2.0
// Memory as DLPack capsules (https://dmlc.github.io/dlpack/latest/c_api.html), the old form and the versioned one: how
// torch and JAX take it without a copy.
//
//   capsule ──▶ dl_share ──▶ owner: a Tensor, or the Batch whose memory it is
//
// A batch's columns become a dict in one call (dlpacks): a loop that only reads is then bound by what torch takes for
// a tensor, not by Python's calls.
#include "py_core.h"

typedef struct dl_tensor {
    void *data;
    int32_t device_type, device_id;
    int32_t ndim;
    uint8_t type_code, type_bits;
    uint16_t type_lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} dl_tensor;

typedef struct dl_managed {
    dl_tensor tensor;
    void *context;
    void (*deleter)(struct dl_managed *);
} dl_managed;

typedef struct dl_versioned {
    uint32_t major, minor;
    void *context;
    void (*deleter)(struct dl_versioned *);
    uint64_t flags; // bit 0: read-only
    dl_tensor tensor;
} dl_versioned;

enum { DL_INT = 0, DL_UINT = 1, DL_FLOAT = 2, DL_BFLOAT = 4, DL_BOOL = 6 };

typedef struct dl_share {
    union {
        dl_managed managed;
        dl_versioned versioned;
    } u;
    PyObject *owner;
    int64_t shape[1 + HR_TENSOR_DIMS_MAX], strides[1 + HR_TENSOR_DIMS_MAX];
} dl_share;

// Consumers call it from any thread, with the GIL or without.
static void share_free(dl_share *share)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    Py_DECREF(share->owner);
    PyMem_Free(share);
    PyGILState_Release(gil);
}

static void managed_delete(dl_managed *m)
{
    share_free(m->context);
}
static void versioned_delete(dl_versioned *v)
{
    share_free(v->context);
}

// A capsule that nobody took.
static void capsule_free(PyObject *capsule)
{
    if (PyCapsule_IsValid(capsule, "dltensor"))
        managed_delete(PyCapsule_GetPointer(capsule, "dltensor"));
    else if (PyCapsule_IsValid(capsule, "dltensor_versioned"))
        versioned_delete(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
}

static void fill_dl(const hr_tensor *t, dl_share *share, dl_tensor *to)
{
    int64_t stride = 1;
    hr_type_id id = t->type;
    for (int32_t i = t->ndim - 1; i >= 0; i--) {
        share->shape[i] = t->shape[i];
        share->strides[i] = stride;
        stride *= t->shape[i];
    }
    *to = (dl_tensor){.data = (void *)(uintptr_t)t->data,
                      .device_type = 1,
                      .ndim = t->ndim,
                      .type_bits = (uint8_t)(8 * t->item_bytes),
                      .type_lanes = 1,
                      .shape = share->shape,
                      .strides = share->strides};
    to->type_code = id == HR_TYPE_BOOL                               ? DL_BOOL
                    : id == HR_TYPE_BFLOAT16                         ? DL_BFLOAT
                    : id >= HR_TYPE_FLOAT16 && id <= HR_TYPE_FLOAT64 ? DL_FLOAT
                    : id >= HR_TYPE_UINT8 && id <= HR_TYPE_UINT64    ? DL_UINT
                                                                     : DL_INT;
}

PyObject *py_dlpack(const hr_tensor *tensor, PyObject *owner, int versioned)
{
    dl_share *share = PyMem_Calloc(1, sizeof *share);
    if (!share)
        return PyErr_NoMemory();
    share->owner = Py_NewRef(owner);
    PyObject *capsule;
    if (versioned) {
        share->u.versioned =
            (dl_versioned){.major = 1, .context = share, .deleter = versioned_delete};
        share->u.versioned.flags = tensor->writable ? 0 : 1;
        fill_dl(tensor, share, &share->u.versioned.tensor);
        capsule = PyCapsule_New(&share->u.versioned, "dltensor_versioned", capsule_free);
    } else {
        share->u.managed = (dl_managed){.context = share, .deleter = managed_delete};
        fill_dl(tensor, share, &share->u.managed.tensor);
        capsule = PyCapsule_New(&share->u.managed, "dltensor", capsule_free);
    }
    if (!capsule)
        share_free(share);
    return capsule;
}

static int refuse_type(py_state *state, const hr_field *field)
{
    hr_type_id id = field->type->id;
    char type[128];
    hr_error err = {HR_UNSUPPORTED, {0}};
    if ((id >= HR_TYPE_BOOL && id <= HR_TYPE_FLOAT64) || id == HR_TYPE_TENSOR)
        return 0;
    PyOS_snprintf(err.message, sizeof err.message,
                  "column '%.200s' is %s: there are no such tensors; cast it, or leave it out with "
                  "select_columns",
                  field->name, hr_type_print(field->type, type, sizeof type));
    py_raise(state, HR_UNSUPPORTED, &err);
    return -1;
}

// Writable memory of this batch's own. The GIL is let go of: a page may have to be mapped, or a column converted.
static PyObject *column_capsule(py_state *state, py_batch *batch, int32_t index, hr_nulls nulls,
                                double value)
{
    hr_error err = HR_ERROR_INIT;
    hr_tensor tensor;
    hr_status status;
    if (!batch->batch || nulls > HR_NULLS_VALUE) {
        py_tensor *made = (py_tensor *)py_tensor_make(state, batch, index, 1, 1, nulls, value);
        PyObject *capsule = made ? py_dlpack(&made->tensor, (PyObject *)made, 0) : NULL;
        Py_XDECREF((PyObject *)made);
        return capsule;
    }
    Py_BEGIN_ALLOW_THREADS status =
        hr_batch_tensor(batch->batch, index, HR_TENSOR_WRITE, nulls, value, &tensor, &err);
    Py_END_ALLOW_THREADS return status ? py_raise(state, status, &err)
                                       : py_dlpack(&tensor, (PyObject *)batch, 0);
}

PyObject *py_batch_dlpacks(py_batch *self, PyObject *args)
{
    PyObject *make, *words = Py_None;
    hr_nulls nulls;
    double value;
    py_state *state = py_state_of((PyObject *)self);
    if (!PyArg_ParseTuple(args, "O|O", &make, &words) || py_nulls(words, &nulls, &value))
        return NULL;
    const hr_schema *schema = hr_block_schema(self->block);
    PyObject *dict = PyDict_New();
    for (int32_t i = 0; dict && i < hr_schema_count(schema); i++) {
        const hr_field *field = hr_schema_field(schema, i);
        PyObject *capsule =
            refuse_type(state, field) ? NULL : column_capsule(state, self, i, nulls, value);
        PyObject *tensor = capsule ? PyObject_CallFunctionObjArgs(make, capsule, NULL) : NULL;
        if (!tensor || PyDict_SetItemString(dict, field->name, tensor))
            Py_CLEAR(dict);
        Py_XDECREF(tensor);
        Py_XDECREF(capsule);
    }
    return dict;
}
