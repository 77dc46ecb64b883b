// SPDX-License-Identifier: Apache-2.0
// Batches: what the port leases, as blocks; and copies of it where the reader holds too much.
//
// A reader may keep whatever it likes. What it keeps pins the arena, so past its share of leases the rows are
// copied into memory of its own and the lease goes back at once: the feed never stands still because of what is
// kept. That memory is recycled: fresh pages cost ten times what a copy between warm ones does.
#include "feed/feed_parts.h"

#include "block/wire.h"
#include <string.h>
#include <unistd.h>

// --- the end that feed and batches share ---

// Counted in the child: a look at it costs less than asking for our pid
static _Atomic uint32_t forks;
static hr_once forks_once = HR_ONCE_INIT;

static void note_fork(void)
{
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    hr__at_fork_child(note_fork);
}

hr_status hr__end_open(hr_port *port, const hr_feed_origin *origin, hr_feed_end **out,
                       hr_error *err)
{
    hr_feed_end *end = NULL;
    hr_status status = hr__alloc_zero(1, sizeof *end, &end, err);
    if (status != HR_OK) {
        hr__port_close(&port);
        return status;
    }
    hr__once(&forks_once, watch_forks);
    end->refs = 1;
    end->pid = getpid();
    end->forks = atomic_load_explicit(&forks, memory_order_relaxed);
    end->port = port;
    end->origin = *origin;
    hr__mutex_init(&end->mutex);
    *out = end;
    return HR_OK;
}

hr_feed_end *hr__end_ref(hr_feed_end *end)
{
    // Relaxed: whoever refs has a reference already.
    atomic_fetch_add_explicit(&end->refs, 1, memory_order_relaxed);
    return end;
}

void hr__end_unref(hr_feed_end **end_inout)
{
    hr_feed_end *end = *end_inout;
    *end_inout = NULL;
    // Acquire and release: the last one out must see what the others did.
    if (!end || atomic_fetch_sub_explicit(&end->refs, 1, memory_order_acq_rel) != 1)
        return;
    hr__port_close(&end->port);
    if (end->origin.released)
        end->origin.released(end->origin.arg);
    for (int32_t i = 0; i < end->kept_count; i++)
        hr__free(end->kept[i].memory);
    hr__mutex_finish(&end->mutex);
    hr__free(end);
}

bool hr__end_is_foreign(const hr_feed_end *end)
{
    return end->forks != atomic_load_explicit(&forks, memory_order_relaxed);
}

hr_status hr__end_take_memory(hr_feed_end *end, size_t bytes, hr_own_buffer *out, hr_error *err)
{
    int32_t best = -1;
    hr__mutex_lock(&end->mutex);
    for (int32_t i = end->kept_count - 1; i >= 0; i--) // newest first: the warmest
        if (end->kept[i].bytes >= bytes && end->kept[i].bytes / 2 <= bytes) {
            best = i;
            break;
        }
    if (best >= 0) {
        *out = end->kept[best];
        end->kept[best] = end->kept[--end->kept_count];
    }
    hr__mutex_unlock(&end->mutex);
    if (best >= 0)
        return HR_OK;
    size_t room = HR_ALIGN_UP(bytes + HR_ALIGN, 4096); // readable past its end
    void *memory = NULL;
    HR_TRY(hr__alloc_aligned(room, HR_ALIGN, &memory, err));
    *out = (hr_own_buffer){memory, room};
    return HR_OK;
}

void hr__end_give_memory(hr_feed_end *end, hr_own_buffer *buffer)
{
    void *surplus = buffer->memory;
    if (!surplus)
        return;
    hr__mutex_lock(&end->mutex);
    if (end->kept_count == HR_OWN_BUFFERS_KEPT) { // the oldest goes: sizes may have changed
        surplus = end->kept[0].memory;
        memmove(&end->kept[0], &end->kept[1], sizeof end->kept[0] * (HR_OWN_BUFFERS_KEPT - 1));
        end->kept[HR_OWN_BUFFERS_KEPT - 1] = *buffer;
    } else {
        end->kept[end->kept_count++] = *buffer;
        surplus = NULL;
    }
    hr__mutex_unlock(&end->mutex);
    *buffer = (hr_own_buffer){0};
    hr__free(surplus);
}

// --- holds ---

static void hold_close(void *owner)
{
    hr_hold *hold = owner;
    if (hr__end_is_foreign(hold->end))
        return;
    if (hold->leased)
        hr__port_release(hold->end->port, &hold->lease);
    hr__end_give_memory(hold->end, &hold->own);
    hr__end_unref(&hold->end);
    hr__free(hold);
}

// The rows of the lease as a block that borrows it. Bounds are checked once an object: the bytes come from another
// process.
static hr_status open_rows(hr_feed_end *end, const hr_lease *lease, void (*release)(void *),
                           void *owner, hr_block **out, hr_error *err)
{
    const hr_descriptor *d = &lease->descriptor;
    hr_validate_level level = d->object == end->checked ? HR_VALIDATE_NONE : HR_VALIDATE_BOUNDS;
    hr_block *whole = NULL;
    HR_TRY(hr__block_open(lease->span, lease->span_bytes, hr__port_schema(end->port), level,
                          release, owner, &whole, err));
    end->checked = d->object;
    if (d->first_row == 0 && d->rows == hr_block_rows(whole)) {
        *out = whole;
        return HR_OK;
    }
    hr_status status = hr_block_slice(whole, d->first_row, d->rows, out, err);
    if (status == HR_OK) {
        hr_block_unref(&whole); // the slice keeps it
        return HR_OK;
    }
    whole->release = NULL; // on failure the caller still owns it
    hr_block_unref(&whole);
    return status;
}

// The rows laid out anew in memory of the reader's own.
static hr_status copy_rows(hr_hold *hold, const hr_block *rows, hr_block **out, hr_error *err)
{
    hr_status status;
    hr_layout layout = {0};
    hr_builder builder = {0};
    int64_t count = hr_block_rows(rows);
    HR_GO(hr__take_layout(rows, NULL, count, &layout, err));
    HR_GO(hr__layout_finish(&layout, err));
    HR_GO(hr__end_take_memory(hold->end, layout.span_bytes, &hold->own, err));
    HR_GO(hr__builder_init(&builder, &layout, hold->own.memory, err));
    HR_GO(hr__take_append(rows, NULL, count, &builder, 0, err));
    hr__builder_seal(&builder, count);
    HR_GO(hr__block_open(hold->own.memory, layout.span_bytes, hr_block_schema(rows),
                         HR_VALIDATE_NONE, hold_close, hold, out, err));
out:
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    return status;
}

// Sets *rows_out; the hold belongs to it then.
static hr_status hold_rows(hr_hold *hold, bool copy, hr_block **rows_out, hr_error *err)
{
    if (!copy)
        return open_rows(hold->end, &hold->lease, hold_close, hold, rows_out, err);
    hr_block *rows = NULL;
    HR_TRY(open_rows(hold->end, &hold->lease, NULL, NULL, &rows, err));
    hr_status status = copy_rows(hold, rows, rows_out, err);
    hr_block_unref(&rows);
    if (status == HR_OK) {
        hr__port_release(hold->end->port, &hold->lease);
        hold->leased = false;
    }
    return status;
}

static bool over_its_share(hr_feed_end *end)
{
    return hr__port_leased_bytes(end->port) >= hr__port_lease_bytes_max(end->port);
}

hr_status hr__batch_open(hr_feed_end *end, const hr_lease *lease, hr_batch **out,
                         int64_t *copied_out, hr_error *err)
{
    hr_status status;
    hr_batch *batch = NULL;
    hr_hold *hold = NULL;
    bool copy = over_its_share(end); // the lease at hand is in the count
    status = hr__alloc_zero(1, sizeof *hold, &hold, err);
    if (status != HR_OK) {
        hr__port_release(end->port, lease);
        return status;
    }
    hold->end = hr__end_ref(end);
    hold->lease = *lease;
    hold->leased = true;
    HR_GO(hr__alloc_zero(1, sizeof *batch, &batch, err));
    HR_GO(hold_rows(hold, copy, &batch->block, err));
    batch->refs = 1;
    batch->hold = hold;
    batch->bytes = hr_block_bytes(batch->block);
    batch->epoch = (int64_t)lease->descriptor.epoch;
    batch->step = (int64_t)lease->descriptor.step;
    batch->first_row = (int64_t)lease->descriptor.row_index;
    hr__mutex_init(&batch->mutex);
    *copied_out = copy ? batch->bytes : 0;
    if (copy)
        hr__port_count_copied(end->port, (uint64_t)batch->bytes);
    *out = batch;
    return HR_OK;
out:
    hold_close(hold);
    hr__free(batch);
    return status;
}

// --- batches ---

hr_batch *hr_batch_ref(const hr_batch *batch)
{
    hr_batch *shared = (hr_batch *)batch; // the count is not part of what is immutable
    atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    return shared;
}

void hr_batch_unref(hr_batch **batch_inout)
{
    hr_batch *batch = batch_inout ? *batch_inout : NULL;
    if (!batch)
        return;
    *batch_inout = NULL;
    if (hr__end_is_foreign(batch->hold->end))
        return;
    if (atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) != 1)
        return;
    hr__batch_drop_tensors(batch);
    hr_block_unref(&batch->block); // the hold goes with its last user
    hr__mutex_finish(&batch->mutex);
    hr__free(batch);
}

int64_t hr_batch_rows(const hr_batch *batch)
{
    return hr_block_rows(batch->block);
}

int64_t hr_batch_bytes(const hr_batch *batch)
{
    return batch->bytes;
}

int64_t hr_batch_epoch(const hr_batch *batch)
{
    return batch->epoch;
}

int64_t hr_batch_step(const hr_batch *batch)
{
    return batch->step;
}

int64_t hr_batch_first_row(const hr_batch *batch)
{
    return batch->first_row;
}

hr_status hr_batch_block(const hr_batch *batch, hr_block **out, hr_error *err)
{
    if (hr__end_is_foreign(batch->hold->end))
        return HR_FAIL(err, HR_DENIED, "this batch belongs to process %d, and this is a fork of it",
                       (int)batch->hold->end->pid);
    *out = hr_block_ref(batch->block);
    return HR_OK;
}

hr_status hr_batch_column(const hr_batch *batch, const char *name, const hr_column **out,
                          hr_error *err)
{
    const hr_schema *schema = hr_block_schema(batch->block);
    int32_t index = hr_schema_find(schema, name);
    if (index < 0) {
        char columns[512];
        return HR_FAIL(err, HR_NOT_FOUND, "the batch has no column '%s'; it has: %s", name,
                       hr__schema_print(schema, columns, sizeof columns));
    }
    *out = hr_block_column(batch->block, index);
    return HR_OK;
}

hr_status hr__batch_private(hr_batch *batch, uint8_t **out, hr_error *err)
{
    if (!batch->private_span) {
        void *mapped = NULL;
        HR_TRY(hr__port_private(batch->hold->end->port, &batch->hold->lease, &mapped, err));
        batch->private_span = mapped;
    }
    *out = batch->private_span;
    return HR_OK;
}
