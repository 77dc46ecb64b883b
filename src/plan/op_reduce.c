// SPDX-License-Identifier: Apache-2.0
// Reductions: a state for each task, made in parallel, folded in the order of rows: the sum is the same for any
// number of threads.
#include "plan/plan_internal.h"

typedef struct reducer {
    const hr_reduce *reduce;
    void *context, *total;
    hr_mutex mutex;
    hr_status status; // guards: mutex
    hr_error error;
} reducer;

static hr_status step(void *self, const hr_block *block, void *state, hr_error *err)
{
    reducer *r = self;
    return r->reduce->step(r->context, state, block, err);
}

static hr_status fold(void *self, void *state, hr_error *err)
{
    reducer *r = self;
    return r->reduce->fold(r->context, r->total, state, err);
}

static void ended(void *self, hr_status status, const hr_error *err)
{
    reducer *r = self;
    hr__mutex_lock(&r->mutex);
    r->status = status;
    r->error = *err;
    hr__mutex_unlock(&r->mutex);
}

hr_status hr__dataset_reduce(const hr_dataset *dataset, const char *const *columns,
                             const hr_reduce *reduce, void *context, void *total, hr_error *err)
{
    hr_dataset *narrow = NULL;
    hr_pipe *pipe = NULL;
    hr_read_flow *read = NULL;
    hr_runtime *rt = dataset->runtime;
    reducer r = {.reduce = reduce, .context = context, .total = total};
    hr_status status;
    hr__mutex_init(&r.mutex);
    HR_GO(hr_dataset_select(dataset, columns, &narrow, err));
    HR_GO(hr__pipe_lower(narrow, &pipe, err));
    hr_read_config config = {
        .pipe = pipe,
        .place = HR_PLACE_SCRATCH,
        .epochs = 1,
        .task_bytes = 1 << 20,
        .window_slots = 4 * (uint32_t)hr_runtime_threads(rt),
        .window_bytes = hr__runtime_budget_bytes(rt) / 16,
        .level = 15,
        .stats = narrow->stats,
    };
    hr_piece_sink sink = {.step = step,
                          .put_state = fold,
                          .state_bytes = reduce->state_bytes,
                          .ended = ended,
                          .self = &r};
    HR_GO(hr__read_open(&config, &sink, &read, err));
    (void)hr__read_wait(read, UINT64_MAX);
    hr__mutex_lock(&r.mutex);
    status = r.status == HR_END ? HR_OK : hr__error_copy(err, &r.error);
    hr__mutex_unlock(&r.mutex);
out:
    hr__read_close(&read);
    hr__pipe_free(&pipe);
    hr_dataset_unref(&narrow);
    hr__mutex_finish(&r.mutex);
    return status;
}
