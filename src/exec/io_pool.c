// SPDX-License-Identifier: Apache-2.0
// The io pool: threads of their own for what may wait for storage, so that slow reads do not starve decoding. What it
// is given are hints: when its queue is full they are dropped, and the reader waits for its bytes itself.
#include "exec/exec_internal.h"
#include <stdio.h>

#define IO_QUEUE_ITEMS 256

typedef struct io_item {
    void (*run)(void *a, int64_t b, int64_t c);
    void *a;
    int64_t b, c;
} io_item;

static void io_run(void *arg)
{
    hr_runtime *runtime = arg;
    void *next;
    while (hr__queue_pop(runtime->io_queue, &next)) {
        io_item *it = next;
        it->run(it->a, it->b, it->c);
        hr__free(it);
    }
}

hr_status hr__io_start(hr_runtime *runtime, int threads, hr_error *err)
{
    HR_TRY(hr__queue_open(IO_QUEUE_ITEMS, &runtime->io_queue, err));
    for (int i = 0; i < threads; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "hr-io-%d", i);
        HR_TRY(hr__thread_start(&runtime->io_threads[i], name, HR_THREAD_NORMAL, io_run, runtime,
                                err));
        runtime->io_thread_count++;
    }
    return HR_OK;
}

void hr__io_stop(hr_runtime *runtime)
{
    if (!runtime->io_queue)
        return;
    hr__queue_stop(runtime->io_queue); // what is queued still runs: it holds references
    for (int i = 0; i < runtime->io_thread_count; i++)
        hr__thread_join(&runtime->io_threads[i]);
    hr__queue_close(&runtime->io_queue);
}

bool hr__io_submit(hr_runtime *runtime, void (*run)(void *a, int64_t b, int64_t c), void *a,
                   int64_t b, int64_t c)
{
    io_item *it;
    if (hr__alloc(sizeof *it, &it, NULL) != HR_OK)
        return false;
    *it = (io_item){run, a, b, c};
    if (hr__queue_try_push(runtime->io_queue, it))
        return true;
    hr__free(it);
    return false;
}
