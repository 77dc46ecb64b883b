// SPDX-License-Identifier: Apache-2.0
// The owner's end of the seam: descriptors into the ring, leases back out of it.
//
// Each descriptor is pushed with a number for its lease. What the number stands for is kept here, in `outs`:
//
//   FREE -> QUEUED (pushed, object pinned) -> TAKEN (found taken by collect) -> FREE (its number came back: unpinned)
//                      \-> FREE (revoked)
//
// The ring is bounded by its slots, what the consumer holds by the lease numbers; a descriptor leaves its slot as
// it is taken, so batches that somebody keeps do not stop the ring. The consumer's words are read, checked against
// our own books and never trusted (ring.h).
#include "store/channel.h"
#include "store/share.h"

#include "base/os.h"
#include "block/wire.h"

#include <string.h>

#define LEASES_BEYOND_SLOTS                                                                        \
    8192u // numbers for what a consumer may keep; ports ask for copies at half of them
#define RETURNS_AT_ONCE 64

static void open_ring(hr_channel *c, const void *schema, size_t schema_bytes)
{
    hr_ring *ring = c->ring;
    ring->magic = HR_RING_MAGIC;
    ring->version = HR_RING_VERSION;
    ring->slots = c->slots;
    ring->leases = c->leases;
    ring->lease_bytes_max = c->lease_bytes_max;
    ring->total_bytes = c->ring_bytes;
    ring->schema_at = hr__ring_returns_at(c->slots) + (uint64_t)c->leases * sizeof(uint32_t);
    ring->schema_bytes = schema_bytes;
    memcpy((uint8_t *)ring + ring->schema_at, schema, schema_bytes);
}

static void free_channel(hr_channel *c)
{
    hr_store *store = c->store;
    if (c->share) {
        hr__mutex_lock(&store->lock);
        c->share->leased_bytes -= c->told_leased_bytes;
        hr__share_drop(c->share);
        hr__mutex_unlock(&store->lock);
    }
    if (c->ring)
        hr__unmap(c->ring, c->ring_bytes);
    hr__close_fd(&c->ring_fd);
    hr__leases_finish(&c->out);
    hr__free(c->outs);
    hr__free(c->queue);
    hr_schema_unref(&c->schema);
    hr__cond_finish(&c->quiet);
    hr__mutex_finish(&c->lock);
    hr__free(c);
    hr__store_let_go(store);
}

hr_status hr__channel_open(hr_store *store, const hr_schema *schema, uint32_t slots,
                           uint64_t lease_bytes_max, hr_channel **out, hr_error *err)
{
    hr_channel *c = NULL;
    void *bytes = NULL, *ring = NULL;
    size_t count = 0;
    if (slots < 1 || slots > HR_CHANNEL_SLOTS_MAX)
        return HR_FAIL(err, HR_INVALID, "stream: %u slots, allowed are 1 to %d", slots,
                       HR_CHANNEL_SLOTS_MAX);
    HR_TRY(hr__alloc_zero(1, sizeof *c, &c, err));
    hr__store_hold(store);
    hr__mutex_init(&c->lock);
    hr__cond_init(&c->quiet);
    c->store = store;
    c->schema = hr_schema_ref(schema);
    c->slots = slots;
    c->leases = slots + LEASES_BEYOND_SLOTS;
    c->lease_bytes_max = lease_bytes_max;
    c->ring_fd = -1;
    c->refs = 1;
    hr_status status = HR_OK;
    HR_GO(hr__schema_write(schema, &bytes, &count, err));
    HR_GO(hr__alloc_zero(c->leases, sizeof *c->outs, &c->outs, err));
    HR_GO(hr__alloc_zero(c->slots, sizeof *c->queue, &c->queue, err));
    HR_GO(hr__leases_init(&c->out, c->leases, err));
    c->ring_bytes = hr__page_up(hr__ring_returns_at(slots) + c->leases * sizeof(uint32_t) + count);
    HR_GO(hr__memfd("headrace-ring", c->ring_bytes, &c->ring_fd, err));
    HR_GO(hr__map_fd(c->ring_fd, 0, c->ring_bytes, HR_MAP_WRITE, &ring, err));
    c->ring = ring;
    open_ring(c, bytes, count);
    for (uint32_t i = 0; i < c->leases; i++)
        c->outs[i].next = i + 1;
out:
    hr__free(bytes);
    if (status)
        free_channel(c);
    else
        *out = c;
    return status;
}

void hr__channel_set_share(hr_channel *c, hr_share *share)
{
    hr__mutex_lock(&c->store->lock);
    share->refs++;
    hr__mutex_unlock(&c->store->lock);
    c->share = share;
}

void hr__channel_hold(hr_channel *c)
{
    hr__mutex_lock(&c->lock);
    c->refs++;
    hr__mutex_unlock(&c->lock);
}

void hr__channel_drop(hr_channel *c)
{
    hr__mutex_lock(&c->lock);
    HR_ASSERT(c->refs > 0);
    bool last = --c->refs == 0;
    hr__mutex_unlock(&c->lock);
    if (last)
        free_channel(c);
}

// Tells the consumer that there is something to see. Sequentially consistent with wait_a_slice in port.c: either it
// finds the signal bumped, or we find it waiting.
static void signal_consumer(hr_channel *c)
{
    atomic_fetch_add_explicit(&c->ring->signal, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&c->ring->waiting, memory_order_seq_cst))
        hr__futex_wake(&c->ring->signal, 1);
}

static void free_out(hr_channel *c, uint32_t lease)
{
    c->outs[lease].state = HR_OUT_FREE;
    c->outs[lease].next = c->first_free;
    c->first_free = lease;
}

// Brings the store's figures up to date with ours, which the callers change under c->lock.
static void tell_leased(hr_channel *c)
{
    hr__mutex_lock(&c->lock);
    uint64_t leased = c->out.bytes - c->told_leased_bytes;
    uint64_t copied = c->copied_bytes - c->told_copied_bytes;
    c->told_leased_bytes += leased;
    c->told_copied_bytes += copied;
    if (leased || copied)
        hr__store_count_leased(c->store, c->share, leased, copied);
    hr__mutex_unlock(&c->lock);
}

// What was taken since the last time. Lock held.
static void collect_taken(hr_channel *c)
{
    while (c->head < c->tail) {
        hr_ring_slot *slot = hr__ring_slot(c->ring, c->slots, c->head);
        if (atomic_load_explicit(&slot->state, memory_order_acquire) != HR_RING_TAKEN)
            return;
        hr_queued *q = &c->queue[c->head % c->slots];
        atomic_store_explicit(&slot->state, HR_RING_EMPTY, memory_order_relaxed);
        c->head++;
        c->epoch = q->descriptor.epoch;
        if (q->lease == HR_LEASE_NONE) {
            c->epoch++;
            c->step = 0;
            continue;
        }
        hr_out *out = &c->outs[q->lease];
        out->state = HR_OUT_TAKEN;
        out->group = hr__leases_add(&c->out, out->object, out->span_bytes);
        c->step = q->descriptor.step + 1;
        c->delivered++;
        c->delivered_rows += (uint64_t)q->descriptor.rows;
        c->undelivered_bytes -= q->row_bytes;
    }
}

// Up to RETURNS_AT_ONCE leases that came back, as objects to return. Lock held.
static size_t collect_returned(hr_channel *c, hr_object_id *ids)
{
    // Acquire: the takes that came before these returns are seen, too.
    uint32_t tail = atomic_load_explicit(&c->ring->return_tail, memory_order_acquire);
    size_t count = 0;
    collect_taken(c);
    if (tail - c->return_head > c->leases)
        c->broken = true; // its leases stay out until it is gone
    while (!c->broken && c->return_head != tail && count < RETURNS_AT_ONCE) {
        uint32_t lease = atomic_load_explicit(
            hr__ring_return(c->ring, c->slots, c->leases, c->return_head++), memory_order_relaxed);
        if (lease >= c->leases || c->outs[lease].state != HR_OUT_TAKEN)
            continue;
        ids[count++] = c->outs[lease].object;
        hr__leases_drop(&c->out, c->outs[lease].group);
        free_out(c, lease);
    }
    return count;
}

void hr__channel_collect(hr_channel *c)
{
    hr_object_id ids[RETURNS_AT_ONCE];
    size_t count;
    // Armed first: what comes after this look rings (sequentially consistent with the exchange in port.c).
    atomic_store_explicit(&c->ring->armed, 1, memory_order_seq_cst);
    do {
        hr__mutex_lock(&c->lock);
        count = collect_returned(c, ids);
        c->copied_bytes = atomic_load_explicit(&c->ring->copied_bytes, memory_order_relaxed);
        hr__mutex_unlock(&c->lock);
        tell_leased(c); // before they are free: never counted out and not used
        if (count)
            hr__objects_return(c->store, ids, count);
    } while (count == RETURNS_AT_ONCE);
}

static uint64_t bytes_of_rows(const hr_place *place, int64_t rows)
{
    int64_t all = 0;
    size_t bytes = 0;
    if (hr__span_peek(place->memory, place->span_bytes, &all, &bytes, NULL) != HR_OK || all <= 0)
        return place->span_bytes;
    return (uint64_t)((double)place->span_bytes * (double)HR_MIN(rows, all) / (double)all);
}

static void fill_slot(hr_channel *c, const hr_descriptor *descriptor, const hr_place *place)
{
    hr_ring_slot *slot = hr__ring_slot(c->ring, c->slots, c->tail);
    hr_queued *q = &c->queue[c->tail % c->slots];
    *q = (hr_queued){*descriptor, HR_LEASE_NONE, 0};
    slot->descriptor = *descriptor;
    slot->lease = HR_LEASE_NONE;
    if (place) {
        q->lease = slot->lease = c->first_free;
        q->row_bytes = bytes_of_rows(place, descriptor->rows);
        hr_out *out = &c->outs[q->lease];
        c->first_free = out->next;
        *out = (hr_out){.object = descriptor->object,
                        .memory = place->memory,
                        .span_bytes = place->span_bytes,
                        .row_bytes = q->row_bytes,
                        .state = HR_OUT_QUEUED};
        slot->segment_offset = place->segment.offset;
        slot->segment_bytes = place->segment.bytes;
        slot->offset = place->offset;
        slot->span_bytes = place->span_bytes;
        c->undelivered_bytes += q->row_bytes;
    }
    c->tail++;
    // Release: the descriptor stands before the state says so.
    atomic_store_explicit(&slot->state, HR_RING_READY, memory_order_release);
    signal_consumer(c);
}

hr_status hr__channel_push(hr_channel *c, const hr_descriptor *descriptor, hr_error *err)
{
    hr_place place;
    hr_status status = HR_OK;
    hr__channel_collect(c);
    hr__mutex_lock(&c->lock);
    if (c->gone)
        status = HR_END;
    else if (c->finished)
        status = HR_FAIL(err, HR_INVALID, "stream: pushed to after it was finished");
    else if (c->tail - c->head == c->slots || c->first_free == c->leases)
        status = HR_AGAIN;
    else if (descriptor->kind == HR_DESCRIPTOR_BATCH)
        status = hr__object_pin_place(c->store, descriptor->object, &place, err);
    if (status == HR_OK)
        fill_slot(c, descriptor, descriptor->kind == HR_DESCRIPTOR_BATCH ? &place : NULL);
    hr__mutex_unlock(&c->lock);
    return status;
}

void hr__channel_finish(hr_channel *c, hr_status status, const char *message)
{
    hr__mutex_lock(&c->lock);
    if (!c->finished) {
        c->finished = true;
        c->ring->finish_status = status;
        size_t bytes = message ? strlen(message) : 0;
        bytes = HR_MIN(bytes, sizeof c->ring->finish_message - 1);
        memcpy(c->ring->finish_message, message ? message : "", bytes);
        c->ring->finish_message[bytes] = 0;
        // Release: status and words stand before it, and every descriptor does.
        atomic_store_explicit(&c->ring->finished, 1, memory_order_release);
        signal_consumer(c);
    }
    hr__mutex_unlock(&c->lock);
}

void hr__channel_revoke(hr_channel *c, uint32_t keep,
                        void (*back)(void *context, const hr_descriptor *descriptor), void *context)
{
    for (;;) {
        hr__mutex_lock(&c->lock);
        collect_taken(c);
        bool won = c->tail - c->head > keep;
        hr_descriptor descriptor;
        if (won) {
            hr_ring_slot *slot = hr__ring_slot(c->ring, c->slots, c->tail - 1);
            uint32_t expected = HR_RING_READY;
            // Of a consumer that is gone every descriptor is ours, also one that it was just taking.
            won = atomic_compare_exchange_strong_explicit(&slot->state, &expected, HR_RING_EMPTY,
                                                          memory_order_acq_rel,
                                                          memory_order_relaxed) ||
                  c->gone;
        }
        if (won) {
            hr_queued *q = &c->queue[--c->tail % c->slots];
            descriptor = q->descriptor;
            c->undelivered_bytes -= q->row_bytes;
            if (q->lease != HR_LEASE_NONE)
                free_out(c, q->lease);
        }
        hr__mutex_unlock(&c->lock);
        if (!won)
            return;
        if (descriptor.kind == HR_DESCRIPTOR_BATCH)
            hr__store_unpin(c->store, descriptor.object);
        back(context, &descriptor);
    }
}

void hr__channel_state(hr_channel *c, hr_channel_state *out)
{
    hr__channel_collect(c);
    hr__mutex_lock(&c->lock);
    *out = (hr_channel_state){
        .attached = c->attached,
        .gone = c->gone,
        .undelivered = (uint32_t)(c->tail - c->head),
        .undelivered_bytes = c->undelivered_bytes,
        .delivered = c->delivered,
        .delivered_rows = c->delivered_rows,
        .leased_bytes = c->out.bytes,
        .copied_bytes = c->copied_bytes,
        .epoch = c->epoch,
        .step = c->step,
    };
    out->waiting = c->attached && !c->gone && !out->undelivered &&
                   atomic_load_explicit(&c->ring->waiting, memory_order_acquire);
    if (out->waiting)
        out->waiting_since_ns =
            atomic_load_explicit(&c->ring->waiting_since_ns, memory_order_relaxed);
    hr__mutex_unlock(&c->lock);
}

void hr__channel_on_change(hr_channel *c, void (*changed)(void *context), void *context)
{
    hr__mutex_lock(&c->lock);
    c->changed = changed; // first: calls that begin while we wait are the new one's
    c->changed_context = context;
    while (c->calls)
        hr__cond_wait(&c->quiet, &c->lock);
    hr__mutex_unlock(&c->lock);
}

static void tell(hr_channel *c)
{
    hr__mutex_lock(&c->lock);
    void (*changed)(void *context) = c->changed;
    void *context = c->changed_context;
    if (changed)
        c->calls++;
    hr__mutex_unlock(&c->lock);
    if (!changed)
        return;
    changed(context);
    hr__mutex_lock(&c->lock);
    if (--c->calls == 0)
        hr__cond_broadcast(&c->quiet);
    hr__mutex_unlock(&c->lock);
}

void hr__channel_rang(hr_channel *c)
{
    hr__channel_collect(c);
    tell(c);
}

hr_status hr__channel_attach(hr_channel *c, hr_error *err)
{
    hr_status status = HR_OK;
    hr__mutex_lock(&c->lock);
    if (c->attached)
        status = HR_FAIL(err, HR_INVALID, "stream: it has a consumer already");
    else
        c->refs++;
    c->attached = true;
    hr__mutex_unlock(&c->lock);
    return status;
}

static void drop_descriptor(void *store, const hr_descriptor *descriptor)
{
    hr__store_unref(store, descriptor->object);
}

// Every lease that is out, some at a time, because returning calls out.
static void take_leases_back(hr_channel *c)
{
    uint32_t at = 0;
    while (at < c->leases) {
        hr_object_id ids[RETURNS_AT_ONCE];
        size_t count = 0;
        hr__mutex_lock(&c->lock);
        for (; at < c->leases && c->out.count && count < RETURNS_AT_ONCE; at++) {
            hr_out *out = &c->outs[at];
            if (out->state != HR_OUT_TAKEN)
                continue;
            ids[count++] = out->object;
            hr__leases_drop(&c->out, out->group);
            free_out(c, at);
        }
        if (!c->out.count)
            at = c->leases;
        hr__mutex_unlock(&c->lock);
        hr__objects_return(c->store, ids, count);
    }
    tell_leased(c);
}

void hr__channel_detach(hr_channel *c)
{
    hr__channel_collect(c);
    hr__mutex_lock(&c->lock);
    c->gone = true;
    bool closed = c->closed;
    hr__mutex_unlock(&c->lock);
    take_leases_back(c);
    if (closed)
        hr__channel_revoke(c, 0, drop_descriptor, c->store);
    tell(c);
    hr__channel_drop(c);
}

void hr__channel_close(hr_channel **channel)
{
    hr_channel *c = *channel;
    *channel = NULL;
    if (!c || hr__store_forked(c->store))
        return;
    hr__channel_finish(c, HR_CANCELLED, "stream: closed by the runtime before its end");
    hr__channel_on_change(c, NULL, NULL);
    hr__mutex_lock(&c->lock);
    c->closed =
        true; // what the revocation must leave (it is being taken) goes when the consumer does
    hr__mutex_unlock(&c->lock);
    hr__channel_revoke(c, 0, drop_descriptor, c->store);
    hr__channel_drop(c);
}
