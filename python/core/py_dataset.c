// SPDX-License-Identifier: Apache-2.0
// headrace._core.Dataset: an immutable plan. Each operation returns a new one; keywords that Python users see are in
// headrace/dataset.py, which holds one of these.
#include "py_core.h"

PyObject *py_dataset_wrap(py_state *state, hr_dataset *handle, PyObject *runtime)
{
    py_dataset *self = py_new(state->dataset_type);
    if (!self) {
        hr_dataset_unref(&handle);
        return NULL;
    }
    self->handle = handle;
    self->runtime = Py_NewRef(runtime);
    return (PyObject *)self;
}

static void dataset_dealloc(py_dataset *self)
{
    // Dropping a plan may end processes and threads.
    Py_BEGIN_ALLOW_THREADS hr_dataset_unref(&self->handle);
    Py_END_ALLOW_THREADS Py_XDECREF(self->runtime);
    py_free((PyObject *)self);
}

// `made` by its address: the call that fills it may stand beside it among the arguments.
static PyObject *finish(py_dataset *self, hr_status status, hr_dataset **made, const hr_error *err)
{
    py_state *state = py_state_of((PyObject *)self);
    return status ? py_raise(state, status, err) : py_dataset_wrap(state, *made, self->runtime);
}

// --- row by row ---

static PyObject *dataset_map(py_dataset *self, PyObject *args)
{
    const char *text;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "s", &text))
        return NULL;
    return finish(self, hr_dataset_map(self->handle, text, &made, &err), &made, &err);
}

static PyObject *dataset_assign(py_dataset *self, PyObject *args)
{
    const char *name;
    PyObject *value, *expr;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "sO", &name, &value) ||
        !(expr = py_expr_from(py_state_of((PyObject *)self), value)))
        return NULL;
    hr_status status =
        hr_dataset_assign(self->handle, name, ((py_expr *)expr)->handle, &made, &err);
    Py_DECREF(expr);
    return finish(self, status, &made, &err);
}

static PyObject *dataset_filter(py_dataset *self, PyObject *value)
{
    py_state *state = py_state_of((PyObject *)self);
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (PyUnicode_Check(value)) {
        const char *text = PyUnicode_AsUTF8AndSize(value, NULL);
        return text ? finish(self, hr_dataset_filter(self->handle, text, &made, &err), &made, &err)
                    : NULL;
    }
    if (Py_TYPE(value) != state->expr_type) {
        PyErr_SetString(PyExc_TypeError, "filter: an expression or its text is needed");
        return NULL;
    }
    return finish(self,
                  hr_dataset_filter_expr(self->handle, ((py_expr *)value)->handle, &made, &err),
                  &made, &err);
}

typedef hr_status (*names_call)(const hr_dataset *, const char *const *, hr_dataset **, hr_error *);

static PyObject *with_names(py_dataset *self, PyObject *sequence, names_call call)
{
    const char **names = NULL;
    PyObject *holder = NULL;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (py_names(sequence, &names, &holder))
        return NULL;
    hr_status status = call(self->handle, names, &made, &err);
    PyMem_Free(names);
    Py_XDECREF(holder);
    return finish(self, status, &made, &err);
}

static PyObject *dataset_select(py_dataset *self, PyObject *names)
{
    return with_names(self, names, hr_dataset_select);
}

static PyObject *dataset_drop(py_dataset *self, PyObject *names)
{
    return with_names(self, names, hr_dataset_drop);
}

static PyObject *dataset_rename(py_dataset *self, PyObject *args)
{
    const char *from, *to;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "ss", &from, &to))
        return NULL;
    return finish(self, hr_dataset_rename(self->handle, from, to, &made, &err), &made, &err);
}

static PyObject *dataset_pack(py_dataset *self, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"names", "as_", "type", "nulls", "keep", NULL};
    hr_pack_options o = HR_PACK_OPTIONS_INIT;
    PyObject *sequence, *nulls = Py_None, *holder = NULL;
    const char *as, **names = NULL;
    int type = 0, keep = 0;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Os|iOp", keys, &sequence, &as, &type, &nulls,
                                     &keep) ||
        py_nulls(nulls, &o.nulls, &o.null_value) || py_names(sequence, &names, &holder))
        return NULL;
    o.type = (hr_type_id)type;
    o.keep = keep;
    hr_status status = hr_dataset_pack(self->handle, names, as, &o, &made, &err);
    PyMem_Free(names);
    Py_XDECREF(holder);
    return finish(self, status, &made, &err);
}

static PyObject *dataset_map_process(py_dataset *self, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"argv",       "payload", "processes", "name",
                           "batch_rows", "schema",  "identity",  NULL};
    hr_process_options o = HR_PROCESS_OPTIONS_INIT;
    PyObject *sequence, *holder = NULL, *schema = Py_None;
    const char *payload, **argv = NULL;
    Py_ssize_t payload_bytes = 0;
    long long processes = 0, batch_rows = 0;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oy#|LzLOz", keys, &sequence, &payload,
                                     &payload_bytes, &processes, &o.name, &batch_rows, &schema,
                                     &o.identity))
        return NULL;
    if (schema != Py_None && Py_TYPE(schema) != py_state_of((PyObject *)self)->schema_type) {
        PyErr_SetString(PyExc_TypeError, "map_process: schema is a Schema, or None");
        return NULL;
    }
    if (py_names(sequence, &argv, &holder))
        return NULL;
    o.argv = argv;
    o.payload = payload;
    o.payload_bytes = (size_t)payload_bytes;
    o.processes = processes;
    o.batch_rows = batch_rows;
    o.schema = schema == Py_None ? NULL : ((py_schema *)schema)->handle;
    hr_status status = hr_dataset_map_process(self->handle, &o, &made, &err);
    PyMem_Free(argv);
    Py_XDECREF(holder);
    return finish(self, status, &made, &err);
}

// --- whole datasets ---

static PyObject *dataset_limit(py_dataset *self, PyObject *args)
{
    long long rows;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "L", &rows))
        return NULL;
    return finish(self, hr_dataset_limit(self->handle, rows, &made, &err), &made, &err);
}

static PyObject *dataset_union(py_dataset *self, PyObject *others)
{
    py_state *state = py_state_of((PyObject *)self);
    Py_ssize_t count = PySequence_Size(others);
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (count < 0)
        return NULL;
    const hr_dataset **list = PyMem_Calloc((size_t)count + 1, sizeof *list);
    if (!list)
        return PyErr_NoMemory();
    list[0] = self->handle;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(others, i);
        if (!item || Py_TYPE(item) != state->dataset_type) {
            Py_XDECREF(item);
            PyMem_Free(list);
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "union: datasets are needed");
            return NULL;
        }
        list[i + 1] = ((py_dataset *)item)->handle;
        Py_DECREF(item); // the sequence holds it
    }
    hr_status status = hr_dataset_union(list, (int32_t)(count + 1), &made, &err);
    PyMem_Free(list);
    return finish(self, status, &made, &err);
}

static PyObject *dataset_repartition(py_dataset *self, PyObject *args)
{
    long long blocks;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "L", &blocks))
        return NULL;
    return finish(self, hr_dataset_repartition(self->handle, blocks, &made, &err), &made, &err);
}

static PyObject *dataset_split(py_dataset *self, PyObject *args)
{
    int count, index, equal;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "iip", &count, &index, &equal))
        return NULL;
    return finish(self, hr_dataset_split(self->handle, count, index, equal, &made, &err), &made,
                  &err);
}

static PyObject *dataset_randomize(py_dataset *self, PyObject *args)
{
    unsigned long long seed;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "K", &seed))
        return NULL;
    return finish(self, hr_dataset_randomize_block_order(self->handle, seed, &made, &err), &made,
                  &err);
}

static PyObject *dataset_random_shuffle(py_dataset *self, PyObject *args)
{
    unsigned long long seed;
    hr_dataset *made = NULL;
    hr_error err = HR_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "K", &seed))
        return NULL;
    return finish(self, hr_dataset_random_shuffle(self->handle, seed, &made, &err), &made, &err);
}

// --- questions and results: these wait ---

typedef struct ask {
    const hr_dataset *dataset;
    int64_t number;
    const hr_schema *schema;
    hr_dataset *made;
    hr_block *block;
    char *text;
    const char *folder;
    hr_write_options write;
    const int64_t *rows;
    const double *shares;
    int32_t count;
    hr_dataset **parts;
    hr_split_options split;
    double fraction;
    unsigned long long seed;
    bool each_epoch;
} ask;

static hr_status ask_schema(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_schema(a->dataset, &a->schema, err);
}
static hr_status ask_count(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_count(a->dataset, &a->number, err);
}
static hr_status ask_blocks(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_num_blocks(a->dataset, &a->number, err);
}
static hr_status ask_bytes(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_size_bytes(a->dataset, &a->number, err);
}
static hr_status ask_explain(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_explain(a->dataset, &a->text, err);
}
static hr_status ask_stats(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_stats(a->dataset, a->number != 0, &a->text, err);
}
static hr_status ask_materialize(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_materialize(a->dataset, &a->made, err);
}
static hr_status ask_take(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_take(a->dataset, a->number, &a->block, err);
}
static hr_status ask_write(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_write_parquet(a->dataset, a->folder, &a->write, err);
}

// Waits for the answer; 0, or -1 with an exception.
static int ask_for(py_dataset *self, ask *a, py_job job)
{
    hr_status status = HR_OK;
    hr_error err = HR_ERROR_INIT;
    a->dataset = self->handle;
    if (py_wait(self->runtime, job, a, &status, &err))
        return -1;
    if (status)
        py_raise(py_state_of((PyObject *)self), status, &err);
    return status ? -1 : 0;
}

static PyObject *dataset_schema(py_dataset *self, PyObject *unused)
{
    ask a = {0};
    return ask_for(self, &a, ask_schema) ? NULL
                                         : py_schema_wrap(py_state_of((PyObject *)self), a.schema);
}

static PyObject *dataset_count(py_dataset *self, PyObject *unused)
{
    ask a = {0};
    return ask_for(self, &a, ask_count) ? NULL : PyLong_FromLongLong(a.number);
}

static PyObject *dataset_num_blocks(py_dataset *self, PyObject *unused)
{
    ask a = {0};
    return ask_for(self, &a, ask_blocks) ? NULL : PyLong_FromLongLong(a.number);
}

static PyObject *dataset_size_bytes(py_dataset *self, PyObject *unused)
{
    ask a = {0};
    return ask_for(self, &a, ask_bytes) ? NULL : PyLong_FromLongLong(a.number);
}

static PyObject *dataset_explain(py_dataset *self, PyObject *unused)
{
    ask a = {0};
    return ask_for(self, &a, ask_explain) ? NULL : py_take_text(a.text);
}

static PyObject *dataset_stats(py_dataset *self, PyObject *args)
{
    int json = 0;
    ask a = {0};
    if (!PyArg_ParseTuple(args, "|p", &json))
        return NULL;
    a.number = json;
    return ask_for(self, &a, ask_stats) ? NULL : py_take_text(a.text);
}

static PyObject *dataset_materialize(py_dataset *self, PyObject *unused)
{
    ask a = {0};
    if (ask_for(self, &a, ask_materialize)) {
        hr_dataset_unref(&a.made);
        return NULL;
    }
    return py_dataset_wrap(py_state_of((PyObject *)self), a.made, self->runtime);
}

static PyObject *dataset_take(py_dataset *self, PyObject *args)
{
    long long rows;
    ask a = {0};
    if (!PyArg_ParseTuple(args, "L", &rows))
        return NULL;
    a.number = rows;
    if (ask_for(self, &a, ask_take)) {
        hr_block_unref(&a.block);
        return NULL;
    }
    return py_batch_wrap(py_state_of((PyObject *)self), NULL, a.block, 0);
}

static PyObject *dataset_write_parquet(py_dataset *self, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"folder", "codec", "row_group_rows", "file_rows", NULL};
    ask a = {.write = HR_WRITE_OPTIONS_INIT};
    long long group = 0, file = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|zLL", keys, &a.folder, &a.write.codec, &group,
                                     &file))
        return NULL;
    a.write.row_group_rows = group;
    a.write.file_rows = file;
    a.write.rows_out = &a.number;
    return ask_for(self, &a, ask_write) ? NULL : PyLong_FromLongLong(a.number);
}

static PyObject *dataset_is_materialized(py_dataset *self, PyObject *unused)
{
    return PyBool_FromLong(hr_dataset_is_materialized(self->handle));
}

static PyObject *dataset_source_stats(py_dataset *self, PyObject *unused)
{
    hr_source_stats s;
    hr_error err = HR_ERROR_INIT;
    hr_status status = hr_dataset_get_source_stats(self->handle, &s, sizeof s, &err);
    if (status)
        return py_raise(py_state_of((PyObject *)self), status, &err);
    return Py_BuildValue("{s:L,s:L,s:L,s:L}", "sources", (long long)s.sources, "rows",
                         (long long)s.rows, "rows_read", (long long)s.rows_read, "bytes_read",
                         (long long)s.bytes_read);
}

// --- samples and parts: they may run the plan ---

static hr_status ask_random_sample(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_random_sample(a->dataset, a->fraction, a->seed, a->each_epoch, &a->made, err);
}

static hr_status ask_split_at(void *arg, hr_error *err)
{
    ask *a = arg;
    return a->rows
               ? hr_dataset_split_at_indices(a->dataset, a->rows, a->count, a->parts, err)
               : hr_dataset_split_proportionately(a->dataset, a->shares, a->count, a->parts, err);
}

static hr_status ask_train_test(void *arg, hr_error *err)
{
    ask *a = arg;
    return hr_dataset_train_test_split(a->dataset, &a->split, &a->parts[0], &a->parts[1], err);
}

// The parts as a list; references that it does not get are given back.
static PyObject *wrap_parts(py_dataset *self, ask *a, hr_status (*call)(void *, hr_error *),
                            int32_t count)
{
    bool failed = ask_for(self, a, call);
    PyObject *list = failed ? NULL : PyList_New(count);
    for (int32_t i = 0; i < count && list; i++) {
        PyObject *part = py_dataset_wrap(py_state_of((PyObject *)self), a->parts[i], self->runtime);
        a->parts[i] = NULL; // taken, also on failure
        if (!part || PyList_SetItem(list, i, part))
            Py_CLEAR(list);
    }
    for (int32_t i = 0; i < count; i++)
        hr_dataset_unref(&a->parts[i]);
    return list;
}

static PyObject *dataset_random_sample(py_dataset *self, PyObject *args)
{
    int each_epoch;
    ask a = {0};
    if (!PyArg_ParseTuple(args, "dKp", &a.fraction, &a.seed, &each_epoch))
        return NULL;
    a.each_epoch = each_epoch;
    if (ask_for(self, &a, ask_random_sample)) {
        hr_dataset_unref(&a.made);
        return NULL;
    }
    return py_dataset_wrap(py_state_of((PyObject *)self), a.made, self->runtime);
}

static PyObject *split_by(py_dataset *self, PyObject *numbers, bool shares)
{
    PyObject *out = NULL;
    Py_ssize_t count = PySequence_Size(numbers);
    if (count < 0)
        return NULL;
    int64_t *rows = PyMem_Calloc((size_t)count + 1, sizeof *rows);
    double *parts_of = PyMem_Calloc((size_t)count + 1, sizeof *parts_of);
    hr_dataset **parts = PyMem_Calloc((size_t)count + 1, sizeof *parts);
    if (!rows || !parts_of || !parts || count > INT32_MAX - 1) {
        PyErr_NoMemory();
        goto out;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(numbers, i);
        if (!item)
            goto out;
        if (shares)
            parts_of[i] = PyFloat_AsDouble(item);
        else
            rows[i] = PyLong_AsLongLong(item);
        Py_DECREF(item);
        if (PyErr_Occurred())
            goto out;
    }
    ask a = {
        .rows = shares ? NULL : rows, .shares = parts_of, .count = (int32_t)count, .parts = parts};
    out = wrap_parts(self, &a, ask_split_at, (int32_t)count + 1);
out:
    PyMem_Free(rows);
    PyMem_Free(parts_of);
    PyMem_Free(parts);
    return out;
}

static PyObject *dataset_split_at_indices(py_dataset *self, PyObject *rows)
{
    return split_by(self, rows, false);
}

static PyObject *dataset_split_proportionately(py_dataset *self, PyObject *shares)
{
    return split_by(self, shares, true);
}

static PyObject *dataset_train_test_split(py_dataset *self, PyObject *args)
{
    int shuffle;
    unsigned long long seed;
    long long rows;
    hr_dataset *parts[2] = {NULL};
    ask a = {.parts = parts, .split = HR_SPLIT_OPTIONS_INIT};
    if (!PyArg_ParseTuple(args, "dLpK", &a.split.test_share, &rows, &shuffle, &seed))
        return NULL;
    a.split.test_rows = rows;
    a.split.shuffle = shuffle;
    a.split.seed = seed;
    return wrap_parts(self, &a, ask_train_test, 2);
}

// --- streams ---

typedef struct start {
    const hr_dataset *dataset;
    hr_stream_options options;
    hr_feed *feed;
} start;

static hr_status start_feed(void *arg, hr_error *err)
{
    start *s = arg;
    hr_stream *stream = NULL;
    hr_feed_options feed = HR_FEED_OPTIONS_INIT;
    feed.timeout_s = 0.1; // py_feed.c looks for signals in between
    hr_status status = hr_dataset_stream(s->dataset, &s->options, &stream, err);
    return status ? status : hr_feed_open(&stream, &feed, &s->feed, err);
}

static PyObject *dataset_feed(py_dataset *self, PyObject *args, PyObject *kwargs)
{
    start s = {.dataset = self->handle, .options = HR_STREAM_OPTIONS_INIT};
    hr_position position;
    hr_status status = HR_OK;
    hr_error err = HR_ERROR_INIT;
    py_state *state = py_state_of((PyObject *)self);
    if (PyTuple_Size(args) != 0) {
        PyErr_SetString(PyExc_TypeError, "feed takes keywords only");
        return NULL;
    }
    if (py_stream_options(state, kwargs, &s.options, &position))
        return NULL;
    s.options.deferred = true; // load_state_dict may come first
    if (py_wait(self->runtime, start_feed, &s, &status, &err)) {
        hr_feed_close(&s.feed);
        return NULL;
    }
    return status ? py_raise(state, status, &err)
                  : py_feed_opened_by(py_feed_wrap(state, s.feed, NULL), (PyObject *)self, "feed",
                                      args, kwargs);
}

static PyObject *dataset_arrow_stream(py_dataset *self, PyObject *args, PyObject *kwargs)
{
    static char *keys[] = {"requested_schema", NULL};
    PyObject *requested = Py_None; // best effort, says the protocol: ours is the schema
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", keys, &requested))
        return NULL;
    return py_stream_capsule(py_state_of((PyObject *)self), self);
}

#define KEYWORDS(f) ((PyCFunction)(void (*)(void))(f))
static PyMethodDef methods[] = {
    {"map", (PyCFunction)dataset_map, METH_VARARGS,
     "Assignments in order: 'x = (x - 3) / 2; y = log1p(x)'."},
    {"assign", (PyCFunction)dataset_assign, METH_VARARGS, "One assignment: (name, Expr)."},
    {"filter", (PyCFunction)dataset_filter, METH_O,
     "Keeps the rows for which an Expr (or its text) is true."},
    {"select", (PyCFunction)dataset_select, METH_O, "Keeps these columns."},
    {"drop", (PyCFunction)dataset_drop, METH_O, "Leaves these columns out."},
    {"rename", (PyCFunction)dataset_rename, METH_VARARGS, "(from, to)"},
    {"pack", KEYWORDS(dataset_pack), METH_VARARGS | METH_KEYWORDS,
     "Number columns side by side as one tensor column."},
    {"map_process", KEYWORDS(dataset_map_process), METH_VARARGS | METH_KEYWORDS,
     "A function in processes of its own."},
    {"limit", (PyCFunction)dataset_limit, METH_VARARGS, "The first rows."},
    {"union", (PyCFunction)dataset_union, METH_O, "This one and then each of a sequence."},
    {"repartition", (PyCFunction)dataset_repartition, METH_VARARGS,
     "The same rows in so many blocks."},
    {"split", (PyCFunction)dataset_split, METH_VARARGS, "(count, index, equal): one part."},
    {"randomize_block_order", (PyCFunction)dataset_randomize, METH_VARARGS,
     "Blocks in an order of (seed, epoch)."},
    {"random_shuffle", (PyCFunction)dataset_random_shuffle, METH_VARARGS,
     "All rows in an order of (seed, epoch)."},
    {"random_sample", (PyCFunction)dataset_random_sample, METH_VARARGS,
     "(fraction, seed, each_epoch): some of the rows."},
    {"split_at_indices", (PyCFunction)dataset_split_at_indices, METH_O, "Parts, cut at rows."},
    {"split_proportionately", (PyCFunction)dataset_split_proportionately, METH_O,
     "Parts of these shares, and the rest."},
    {"train_test_split", (PyCFunction)dataset_train_test_split, METH_VARARGS,
     "(share, rows, shuffle, seed): two parts."},
    {"schema", (PyCFunction)dataset_schema, METH_NOARGS, "Names and types."},
    {"count", (PyCFunction)dataset_count, METH_NOARGS, "Rows."},
    {"num_blocks", (PyCFunction)dataset_num_blocks, METH_NOARGS, "Blocks."},
    {"size_bytes", (PyCFunction)dataset_size_bytes, METH_NOARGS, "Bytes of the decoded values."},
    {"explain", (PyCFunction)dataset_explain, METH_NOARGS, "The plan as it will run."},
    {"stats", (PyCFunction)dataset_stats, METH_VARARGS, "(json=False): statistics of its stages."},
    {"source_stats", (PyCFunction)dataset_source_stats, METH_NOARGS,
     "What was read at its sources so far: {sources, rows, rows_read, bytes_read}."},
    {"materialize", (PyCFunction)dataset_materialize, METH_NOARGS,
     "Runs the plan now and keeps its blocks."},
    {"is_materialized", (PyCFunction)dataset_is_materialized, METH_NOARGS,
     "Whether it reads from the store."},
    {"take", (PyCFunction)dataset_take, METH_VARARGS, "The first rows as a Batch."},
    {"write_parquet", KEYWORDS(dataset_write_parquet), METH_VARARGS | METH_KEYWORDS,
     "Files in a folder; returns rows."},
    {"feed", KEYWORDS(dataset_feed), METH_VARARGS | METH_KEYWORDS,
     "Starts a stream of one rank and returns its Feed."},
    {"__arrow_c_stream__", KEYWORDS(dataset_arrow_stream), METH_VARARGS | METH_KEYWORDS,
     "Everything, as it is pulled."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, "A lazy plan over rows."},
    {Py_tp_dealloc, dataset_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};
PyType_Spec py_dataset_spec = {"headrace._core.Dataset", sizeof(py_dataset), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
