// SPDX-License-Identifier: Apache-2.0
// The bounded queue: a ring under one mutex. It carries hints to the io pool, thousands a second at most, so nothing
// cleverer is needed; a push wakes one consumer, a stop all of them.
#include "base/queue.h"
#include "base/mem.h"

struct hr_queue {
    hr_mutex mutex;
    hr_cond not_empty;
    size_t capacity;
    size_t first; // guards: mutex
    size_t count; // guards: mutex
    bool stopped; // guards: mutex
    void *items[];
};

hr_status hr__queue_open(size_t capacity, hr_queue **out, hr_error *err)
{
    hr_queue *queue = NULL;
    size_t bytes;
    if (capacity == 0 || HR_MUL_OVERFLOWS(capacity, sizeof queue->items[0], &bytes) ||
        HR_ADD_OVERFLOWS(bytes, sizeof *queue, &bytes))
        return HR_FAIL(err, HR_INVALID, "a queue of %zu items", capacity);
    HR_TRY(hr__alloc_zero(1, bytes, &queue, err));
    hr__mutex_init(&queue->mutex);
    hr__cond_init(&queue->not_empty);
    queue->capacity = capacity;
    *out = queue;
    return HR_OK;
}

void hr__queue_close(hr_queue **queue)
{
    hr_queue *q = *queue;
    if (!q)
        return;
    hr__cond_finish(&q->not_empty);
    hr__mutex_finish(&q->mutex);
    hr__free(q);
    *queue = NULL;
}

void hr__queue_stop(hr_queue *queue)
{
    hr__mutex_lock(&queue->mutex);
    queue->stopped = true;
    hr__cond_broadcast(&queue->not_empty);
    hr__mutex_unlock(&queue->mutex);
}

bool hr__queue_try_push(hr_queue *queue, void *item)
{
    hr__mutex_lock(&queue->mutex);
    bool taken = !queue->stopped && queue->count < queue->capacity;
    if (taken) {
        queue->items[(queue->first + queue->count) % queue->capacity] = item;
        queue->count++;
        hr__cond_signal(&queue->not_empty);
    }
    hr__mutex_unlock(&queue->mutex);
    return taken;
}

bool hr__queue_pop(hr_queue *queue, void **item_out)
{
    hr__mutex_lock(&queue->mutex);
    while (!queue->stopped && queue->count == 0)
        hr__cond_wait(&queue->not_empty, &queue->mutex);
    bool given = queue->count > 0;
    if (given) {
        *item_out = queue->items[queue->first];
        queue->first = (queue->first + 1) % queue->capacity;
        queue->count--;
    }
    hr__mutex_unlock(&queue->mutex);
    return given;
}
