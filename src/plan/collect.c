// SPDX-License-Identifier: Apache-2.0
// The caller's thread takes blocks, in order: take, Arrow export, writing. The blocks are on the heap (or in
// scratch), so what the caller keeps does not hold the arena.
#include "plan/plan_internal.h"
#include <errno.h>
#include <string.h>

#define COLLECT_PIECES 8
#define POLL_NS        (100ull * 1000 * 1000)

struct hr_collector {
    hr_runtime *runtime; // a reference
    hr_dataset *dataset; // a reference
    hr_pipe *pipe;
    hr_read_flow *read;
    hr_mutex mutex;
    hr_cond changed;
    hr_piece pieces[COLLECT_PIECES]; // guards: mutex. A ring
    uint32_t head, count;            // guards: mutex
    bool over;                       // guards: mutex
    hr_status status;                // guards: mutex
    hr_error error;
};

static hr_status put(void *self, hr_piece *piece, hr_error *err)
{
    hr_collector *c = self;
    hr_status status = HR_OK;
    if (piece->epoch_end)
        return HR_OK;
    hr__mutex_lock(&c->mutex);
    if (c->count == COLLECT_PIECES) {
        status = HR_AGAIN;
    } else {
        c->pieces[(c->head + c->count++) % COLLECT_PIECES] = *piece;
        hr__cond_signal(&c->changed);
    }
    hr__mutex_unlock(&c->mutex);
    return status;
}

static void ended(void *self, hr_status status, const hr_error *err)
{
    hr_collector *c = self;
    hr__mutex_lock(&c->mutex);
    c->over = true;
    c->status = status;
    c->error = *err;
    hr__cond_signal(&c->changed);
    hr__mutex_unlock(&c->mutex);
}

hr_status hr__collector_open(const hr_dataset *dataset, hr_place place, int64_t task_bytes,
                             hr_collector **out, hr_error *err)
{
    hr_collector *c = NULL;
    hr_status status;
    HR_TRY(hr__runtime_check(dataset->runtime, err));
    HR_TRY(hr__alloc_zero(1, sizeof *c, &c, err));
    c->runtime = hr__runtime_ref(dataset->runtime);
    c->dataset = hr_dataset_ref(dataset);
    hr__mutex_init(&c->mutex);
    hr__cond_init(&c->changed);
    HR_GO(hr__pipe_lower(dataset, &c->pipe, err));
    hr_read_config read = {
        .pipe = c->pipe,
        .place = place,
        .epochs = 1,
        .task_bytes = task_bytes,
        .task_bytes_max = (int64_t)(hr__runtime_arena_bytes(c->runtime) / 16),
        .window_slots = 2 * (uint32_t)hr_runtime_threads(c->runtime),
        .window_bytes = hr__runtime_arena_bytes(c->runtime) / 8,
        .level = 5,
        .stats = dataset->stats,
    };
    hr_piece_sink sink = {.put = put, .ended = ended, .self = c};
    HR_GO(hr__read_open(&read, &sink, &c->read, err));
    *out = c;
    return HR_OK;
out:
    hr__collector_close(&c);
    return status;
}

hr_status hr__collector_next(hr_collector *c, hr_block **out, int64_t *unit_out, hr_error *err)
{
    hr_status status = HR_OK;
    HR_TRY(hr__runtime_check(c->runtime, err));
    hr__mutex_lock(&c->mutex);
    while (!c->count && !c->over)
        (void)hr__cond_wait_ns(&c->changed, &c->mutex, POLL_NS);
    if (c->count) {
        *out = c->pieces[c->head].block;
        *unit_out = c->pieces[c->head].unit;
        c->head = (c->head + 1) % COLLECT_PIECES;
        c->count--;
    } else {
        status = c->status == HR_END ? HR_END : hr__error_copy(err, &c->error);
    }
    hr__mutex_unlock(&c->mutex);
    if (status == HR_OK)
        hr__read_kick(c->read);
    return status;
}

const hr_schema *hr__collector_schema(const hr_collector *collector)
{
    return collector->pipe->schema;
}

void hr__collector_close(hr_collector **collector)
{
    hr_collector *c = *collector;
    *collector = NULL;
    if (!c || hr__runtime_is_foreign(c->runtime))
        return;
    hr__read_close(&c->read);
    while (c->count--) {
        hr_block_unref(&c->pieces[c->head].block);
        c->head = (c->head + 1) % COLLECT_PIECES;
    }
    hr__pipe_free(&c->pipe);
    hr_dataset_unref(&c->dataset);
    hr__cond_finish(&c->changed);
    hr__mutex_finish(&c->mutex);
    hr__runtime_unref(&c->runtime);
    hr__free(c);
}

// --- take ---

hr_status hr_dataset_take(const hr_dataset *dataset, int64_t rows, hr_block **out, hr_error *err)
{
    hr_dataset *first = NULL;
    hr_collector *c = NULL;
    HR_VEC(hr_block *) blocks = {0};
    hr_status status;
    HR_TRY(hr_dataset_limit(dataset, rows, &first, err));
    HR_GO(hr__collector_open(first, HR_PLACE_HEAP, 1 << 20, &c, err));
    for (;;) {
        hr_block *block;
        int64_t unit;
        status = hr__collector_next(c, &block, &unit, err);
        if (status == HR_END)
            break;
        if (status != HR_OK)
            goto out;
        status = HR_VEC_PUSH(&blocks, block, err);
        if (status != HR_OK) {
            hr_block_unref(&block);
            goto out;
        }
    }
    status = hr__block_concat(blocks.items, blocks.count, hr__collector_schema(c), out, err);
out:
    for (size_t i = 0; i < blocks.count; i++)
        hr_block_unref(&blocks.items[i]);
    HR_VEC_FINISH(&blocks);
    hr__collector_close(&c);
    hr_dataset_unref(&first);
    return status;
}

// --- Arrow export ---

typedef struct exported {
    hr_collector *collector;
    hr_error error;
} exported;

static int errno_of(hr_status status)
{
    switch (status) {
    case HR_NOMEM:
        return ENOMEM;
    case HR_INVALID:
        return EINVAL;
    case HR_UNSUPPORTED:
        return ENOTSUP;
    case HR_NOT_FOUND:
        return ENOENT;
    case HR_CANCELLED:
        return ECANCELED;
    default:
        return EIO;
    }
}

static int exported_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    exported *e = stream->private_data;
    hr_status status = hr_schema_export(hr__collector_schema(e->collector), out, &e->error);
    return status == HR_OK ? 0 : errno_of(status);
}

static int exported_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    exported *e = stream->private_data;
    hr_block *block = NULL;
    int64_t unit;
    hr_status status = hr__collector_next(e->collector, &block, &unit, &e->error);
    if (status == HR_END) {
        memset(out, 0, sizeof *out);
        return 0;
    }
    if (status == HR_OK)
        status = hr_block_export(block, out, &e->error);
    hr_block_unref(&block);
    return status == HR_OK ? 0 : errno_of(status);
}

static const char *exported_error(struct ArrowArrayStream *stream)
{
    exported *e = stream->private_data;
    return e->error.message[0] ? e->error.message : NULL;
}

static void exported_release(struct ArrowArrayStream *stream)
{
    exported *e = stream->private_data;
    hr__collector_close(&e->collector);
    hr__free(e);
    stream->release = NULL;
}

hr_status hr_dataset_export(const hr_dataset *dataset, struct ArrowArrayStream *out, hr_error *err)
{
    exported *e = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *e, &e, err));
    hr_status status = hr__collector_open(dataset, HR_PLACE_HEAP, 4 << 20, &e->collector, err);
    if (status != HR_OK) {
        hr__free(e);
        return status;
    }
    *out = (struct ArrowArrayStream){exported_schema, exported_next, exported_error,
                                     exported_release, e};
    return HR_OK;
}
