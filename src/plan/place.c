// SPDX-License-Identifier: Apache-2.0
// Where a new span goes. A span in scratch or on the heap is freed with the last reference to its block, so its owner
// is a small record of its own.
#include "plan/place.h"

typedef struct span_owner {
    hr_runtime *runtime; // scratch: a reference, as blocks may outlive the stream that made them
    void *memory;
    bool scratch;
} span_owner;

static void release_span(void *owner)
{
    span_owner *o = owner;
    if (o->scratch)
        hr__scratch_give(hr__runtime_scratch(o->runtime), o->memory);
    else
        hr__free(o->memory);
    hr__runtime_unref(&o->runtime);
    hr__free(o);
}

// Urgent, and the arena has room, but the ledger has none: what others use at the moment comes back when they are done,
// so the flow lets this one go on alone.
static hr_status take_object(const hr_target *target, size_t bytes, hr_object *out, hr_error *err)
{
    hr_store *store = hr__runtime_store(target->runtime);
    hr_status status = hr__store_create_in(store, target->share, bytes, target->oldest, out, err);
    if (status != HR_AGAIN || !target->oldest ||
        !hr__store_lacks_ledger(store, target->share, bytes))
        return status;
    const hr_ledger *ledger = hr__runtime_ledger(target->runtime);
    return HR_FAIL(err, HR_LIMIT,
                   "%zu bytes of rows do not fit: %llu of %llu bytes of the memory budget are in "
                   "use; give it more memory or fewer threads",
                   bytes, (unsigned long long)ledger->used_bytes,
                   (unsigned long long)ledger->limit_bytes);
}

hr_status hr__span_take(const hr_target *target, size_t bytes, hr_span_memory *out, hr_error *err)
{
    hr_span_memory span = {.target = *target, .bytes = bytes};
    switch (target->place) {
    case HR_PLACE_ARENA:
        HR_TRY(take_object(target, bytes, &span.object, err));
        span.memory = span.object.memory;
        break;
    case HR_PLACE_SCRATCH:
        HR_TRY(hr__scratch_take(hr__runtime_scratch(target->runtime), bytes, &span.memory, err));
        break;
    case HR_PLACE_HEAP:
        HR_TRY(hr__alloc_aligned(HR_ALIGN_UP(bytes, HR_ALIGN), HR_ALIGN, &span.memory, err));
        break;
    }
    *out = span;
    return HR_OK;
}

void hr__span_drop(hr_span_memory *span)
{
    if (!span->memory)
        return;
    switch (span->target.place) {
    case HR_PLACE_ARENA:
        hr__store_unref(hr__runtime_store(span->target.runtime), span->object.id);
        break;
    case HR_PLACE_SCRATCH:
        hr__scratch_give(hr__runtime_scratch(span->target.runtime), span->memory);
        break;
    case HR_PLACE_HEAP:
        hr__free(span->memory);
        break;
    }
    span->memory = NULL;
}

hr_status hr__span_done(hr_span_memory *span, const hr_schema *schema, int64_t rows, hr_result *out,
                        hr_error *err)
{
    int64_t sealed_rows = 0;
    size_t used = 0;
    span_owner *owner = NULL;
    hr_status status;
    *out = (hr_result){.rows = rows};
    HR_GO(hr__span_peek(span->memory, span->bytes, &sealed_rows, &used, err));
    HR_ASSERT(sealed_rows == rows && used <= span->bytes);
    out->bytes = (int64_t)used;
    if (span->target.place == HR_PLACE_ARENA) {
        hr__store_seal(hr__runtime_store(span->target.runtime), span->object.id, used);
        out->object = span->object.id;
        span->memory = NULL;
        return HR_OK;
    }
    HR_GO(hr__alloc(sizeof *owner, &owner, err));
    *owner = (span_owner){hr__runtime_ref(span->target.runtime), span->memory,
                          span->target.place == HR_PLACE_SCRATCH};
    status = hr__block_open(span->memory, used, schema, HR_VALIDATE_NONE, release_span, owner,
                            &out->block, err);
    if (status == HR_OK) {
        span->memory = NULL;
        return HR_OK;
    }
    hr__runtime_unref(&owner->runtime);
    hr__free(owner);
out:
    hr__span_drop(span);
    return status;
}
