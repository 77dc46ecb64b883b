// SPDX-License-Identifier: Apache-2.0
// The consumer's end of a channel: takes descriptors from the ring, maps what they name, gives leases back.
//
// Nothing here asks the runtime: a batch that lies ready costs a compare-and-swap and a bell. The bell is an
// eventfd (or a direct call in the owner's process), rung only while the owner asks for it. A consumer that finds
// nothing spins for some microseconds when there is more than one processor, then sleeps on the ring's futex, and
// looks every 200 ms whether the owner still lives.
#include "store/port.h"

#include "base/cpu.h"
#include "base/os.h"
#include "store/channel.h"

#include <string.h>

#define SPIN_NS  3000u
#define SLICE_NS 200000000u

hr_status hr__ring_check(const hr_ring *ring, size_t ring_bytes, hr_error *err)
{
    if (ring_bytes < HR_RING_SLOTS_AT || ring->magic != HR_RING_MAGIC ||
        ring->version != HR_RING_VERSION)
        return HR_FAIL(err, HR_CORRUPT,
                       "stream: not a ring of version %u (%zu bytes): runtime and worker must be "
                       "of one release",
                       HR_RING_VERSION, ring_bytes);
    uint64_t end = hr__ring_returns_at(ring->slots) + (uint64_t)ring->leases * sizeof(uint32_t);
    if (ring->slots < 1 || ring->slots > HR_CHANNEL_SLOTS_MAX || ring->leases < 1 ||
        end > ring_bytes || ring->schema_at < end || ring->schema_at > ring_bytes ||
        ring->schema_bytes > ring_bytes - ring->schema_at)
        return HR_FAIL(err, HR_CORRUPT,
                       "stream: a ring of %u slots and %u leases does not fit in %zu bytes",
                       ring->slots, ring->leases, ring_bytes);
    return HR_OK;
}

static void free_port(hr_port *port)
{
    hr__leases_finish(&port->leases);
    hr__free(port->taken);
    hr_schema_unref(&port->schema);
    hr__mutex_finish(&port->lock);
    hr__free(port);
}

hr_status hr__port_make(hr_ring *ring, size_t ring_bytes, const hr_schema *schema,
                        const hr_port_end *end, hr_port **out, hr_error *err)
{
    hr_port *port = NULL;
    HR_TRY(hr__ring_check(ring, ring_bytes, err));
    HR_TRY(hr__alloc_zero(1, sizeof *port, &port, err));
    hr__mutex_init(&port->lock);
    port->fork_generation = hr__fork_generation();
    port->schema = hr_schema_ref(schema);
    port->ring = ring;
    port->slots = ring->slots;
    port->lease_count = ring->leases;
    port->lease_bytes_max = ring->lease_bytes_max;
    port->end = *end;
    port->spins = hr__cpu_count() > 1;
    hr_status status = hr__alloc_zero(port->lease_count, sizeof *port->taken, &port->taken, err);
    if (status == HR_OK)
        status = hr__leases_init(&port->leases, port->lease_count, err);
    if (status)
        free_port(port);
    else
        *out = port;
    return status;
}

// --- in the owner's process ---

typedef struct local_end {
    hr_channel *channel;
    hr_reader reader; // private mappings only
} local_end;

static void local_bell(void *context)
{
    hr__channel_rang(((local_end *)context)->channel);
}

static void local_close(void *context, hr_port *port)
{
    local_end *end = context;
    hr__reader_finish(&end->reader);
    hr__channel_detach(end->channel);
    hr__free(end);
}

hr_status hr__port_open_local(hr_channel *channel, hr_port **out, hr_error *err)
{
    local_end *end = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *end, &end, err));
    hr_status status = hr__channel_attach(channel, err);
    if (status) {
        hr__free(end);
        return status;
    }
    end->channel = channel;
    hr__reader_init(&end->reader, channel->store->arena.read_fd);
    const hr_port_end table = {
        .context = end, .reader = &end->reader, .bell = local_bell, .close = local_close};
    status = hr__port_make(channel->ring, channel->ring_bytes, channel->schema, &table, out, err);
    if (status)
        local_close(end, NULL);
    return status;
}

// --- everywhere ---

static bool port_forked(const hr_port *port)
{
    return port->fork_generation != hr__fork_generation();
}

static void ring_bell(hr_port *port)
{
    // Sequentially consistent with the store in channel.c: either the owner's look sees what we did, or we see it
    // armed.
    if (!port->end.alive ||
        atomic_exchange_explicit(&port->ring->armed, 0, memory_order_seq_cst) == 1)
        port->end.bell(port->end.context);
}

// Maps what a descriptor that we took names; books the lease.
static hr_status book_lease(hr_port *port, const hr_ring_slot *slot, hr_lease *out, hr_error *err)
{
    uint8_t *memory = NULL;
    if (slot->lease >= port->lease_count || port->taken[slot->lease].out)
        return HR_FAIL(err, HR_CORRUPT, "stream: lease number %u, allowed are %u that are not out",
                       slot->lease, port->lease_count);
    const hr_range segment = {slot->segment_offset, slot->segment_bytes};
    if (!port->end.alive) {
        const local_end *end = port->end.context;
        out->span = end->channel->outs[slot->lease].memory;
    } else {
        HR_TRY(hr__reader_at(port->end.reader, &segment, slot->offset, slot->span_bytes, &memory,
                             err));
        out->span = memory;
    }
    out->span_bytes = slot->span_bytes;
    out->slot = slot->lease;
    hr__mutex_lock(&port->lock);
    port->taken[slot->lease] = (hr_taken){
        .out = true,
        .group = hr__leases_add(&port->leases, slot->descriptor.object, slot->span_bytes),
        .segment = segment,
        .offset = slot->offset,
        .span_bytes = slot->span_bytes,
    };
    hr__mutex_unlock(&port->lock);
    return HR_OK;
}

// AGAIN: nothing lies ready.
static hr_status take(hr_port *port, hr_lease *out, hr_error *err)
{
    hr_ring_slot *slot = hr__ring_slot(port->ring, port->slots, port->head);
    uint32_t expected = HR_RING_READY;
    hr_status status = HR_OK;
    // Acquire: the descriptor that the owner wrote before it said READY.
    if (!atomic_compare_exchange_strong_explicit(&slot->state, &expected, HR_RING_TAKING,
                                                 memory_order_acquire, memory_order_relaxed))
        return HR_AGAIN;
    hr_lease lease = {.descriptor = slot->descriptor, .slot = HR_LEASE_NONE};
    if (slot->descriptor.kind == HR_DESCRIPTOR_BATCH)
        status = book_lease(port, slot, &lease, err);
    // Release: the slot may be filled again only after we copied it out.
    atomic_store_explicit(&slot->state, HR_RING_TAKEN, memory_order_release);
    port->head++;
    port->waited = false;
    atomic_store_explicit(&port->ring->waiting, 0, memory_order_relaxed);
    if (status == HR_OK)
        *out = lease;
    ring_bell(port);
    return status;
}

static bool spin(hr_port *port)
{
    const hr_ring_slot *slot = hr__ring_slot(port->ring, port->slots, port->head);
    if (!port->spins)
        return false;
    uint64_t until = hr__now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < 32; i++)
            if (atomic_load_explicit(&slot->state, memory_order_relaxed) == HR_RING_READY)
                return true;
    } while (hr__now_ns() < until);
    return false;
}

static hr_status ended(hr_port *port, hr_error *err)
{
    char message[sizeof port->ring->finish_message];
    memcpy(message, port->ring->finish_message, sizeof message);
    message[sizeof message - 1] = 0;
    hr_status status = (hr_status)port->ring->finish_status;
    if (status >= HR_OK || status < HR_USER)
        return HR_END;
    return HR_FAIL(err, status, "%s", message);
}

// Sleeps until the owner signals, for a slice at most.
static void wait_a_slice(hr_port *port, uint32_t seen, uint64_t now, uint64_t deadline)
{
    hr_ring *ring = port->ring;
    const hr_ring_slot *slot = hr__ring_slot(ring, port->slots, port->head);
    if (!port->waited)
        atomic_store_explicit(&ring->waiting_since_ns, now, memory_order_relaxed);
    // Sequentially consistent with signal_consumer in channel.c; the futex looks at `signal` again.
    atomic_store_explicit(&ring->waiting, 1, memory_order_seq_cst);
    if (!port->waited) {
        port->waited = true;
        ring_bell(port);
    }
    if (atomic_load_explicit(&slot->state, memory_order_relaxed) != HR_RING_READY)
        (void)hr__futex_wait(&ring->signal, seen, HR_MIN(deadline - now, (uint64_t)SLICE_NS));
}

hr_status hr__port_next(hr_port *port, uint64_t timeout_ns, hr_lease *out, hr_error *err)
{
    if (port_forked(port))
        return HR_FAIL(err, HR_DENIED,
                       "stream: opened by the parent of this process: a forked child copies what "
                       "it needs or opens its own");
    uint64_t start = hr__now_ns();
    uint64_t deadline = timeout_ns > UINT64_MAX - start ? UINT64_MAX : start + timeout_ns;
    bool spun = false;
    for (;;) {
        uint32_t seen = atomic_load_explicit(&port->ring->signal, memory_order_acquire);
        bool finished = atomic_load_explicit(&port->ring->finished, memory_order_acquire);
        hr_status status = take(port, out, err);
        if (status != HR_AGAIN)
            return status;
        if (finished) // read before the slot: what was pushed before the end was seen
            return ended(port, err);
        if (port->end.alive && spun && !port->end.alive(port->end.context))
            return HR_FAIL(err, HR_CANCELLED,
                           "stream: the runtime that fed this process is gone (it ended or was "
                           "killed)");
        uint64_t now = hr__now_ns();
        if (now >= deadline)
            return HR_TIMEOUT;
        if (!spun && spin(port)) {
            spun = true;
            continue;
        }
        spun = true;
        wait_a_slice(port, seen, now, deadline);
    }
}

void hr__port_release(hr_port *port, const hr_lease *lease)
{
    if (lease->slot == HR_LEASE_NONE || port_forked(port))
        return;
    hr__mutex_lock(&port->lock);
    HR_ASSERT(lease->slot < port->lease_count && port->taken[lease->slot].out);
    hr_taken *taken = &port->taken[lease->slot];
    if (taken->private_)
        hr__reader_unclaim(port->end.reader, taken->offset, taken->private_);
    hr__leases_drop(&port->leases, taken->group);
    *taken = (hr_taken){.out = false};
    atomic_store_explicit(
        hr__ring_return(port->ring, port->slots, port->lease_count, port->return_tail), lease->slot,
        memory_order_relaxed);
    // Release: the number stands there, and all reading of the span is over.
    atomic_store_explicit(&port->ring->return_tail, ++port->return_tail, memory_order_release);
    hr__mutex_unlock(&port->lock);
    ring_bell(port);
}

hr_status hr__port_private(hr_port *port, const hr_lease *lease, void **out, hr_error *err)
{
    if (port_forked(port) || lease->slot == HR_LEASE_NONE)
        return HR_FAIL(err, HR_INVALID, "stream: no such lease in this process");
    hr__mutex_lock(&port->lock);
    hr_taken *taken = &port->taken[lease->slot];
    hr_status status = HR_OK;
    const hr_range span = {taken->offset, taken->span_bytes};
    const hr_descriptor *d = &lease->descriptor;
    if (!taken->private_)
        status = hr__reader_claim(port->end.reader, &taken->segment, &span, d->first_row,
                                  d->first_row + d->rows, &taken->private_, err);
    if (status == HR_OK)
        *out = taken->private_;
    hr__mutex_unlock(&port->lock);
    return status;
}

uint64_t hr__port_leased_bytes(const hr_port *port_)
{
    hr_port *port = (hr_port *)port_; // the lock alone is written
    hr__mutex_lock(&port->lock);
    uint64_t bytes = port->leases.bytes;
    // So many small leases that numbers run short: as if the share were used up, so that the feed copies.
    if (port->leases.count >= (port->lease_count - port->slots) / 2)
        bytes = HR_MAX(bytes, port->lease_bytes_max);
    hr__mutex_unlock(&port->lock);
    return bytes;
}

uint64_t hr__port_lease_bytes_max(const hr_port *port)
{
    return port->lease_bytes_max;
}

void hr__port_count_copied(hr_port *port, uint64_t bytes)
{
    atomic_fetch_add_explicit(&port->ring->copied_bytes, bytes, memory_order_relaxed);
}

const hr_schema *hr__port_schema(const hr_port *port)
{
    return port->schema;
}

void hr__port_close(hr_port **port_)
{
    hr_port *port = *port_;
    *port_ = NULL;
    if (!port || port_forked(port))
        return;
    port->end.close(port->end.context, port);
    free_port(port);
}
