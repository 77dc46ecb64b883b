// SPDX-License-Identifier: Apache-2.0
// A channel inside, for port.c (the same process) and service.c (another one).
//
// Locks: channel.lock guards everything not said to be constant; it comes before store.lock. `changed` is called
// without it.
#ifndef HR_STORE_CHANNEL_H
#define HR_STORE_CHANNEL_H

#include "store/lease.h"
#include "store/ring.h"
#include "store/store_priv.h"

// What the owner knows of a lease number.
typedef enum hr_out_state { HR_OUT_FREE, HR_OUT_QUEUED, HR_OUT_TAKEN } hr_out_state;
typedef struct hr_out {
    hr_object_id object;
    const uint8_t *memory;
    uint64_t span_bytes, row_bytes;
    uint32_t state, group, next;
} hr_out;

typedef struct hr_queued {
    hr_descriptor descriptor;
    uint32_t lease;
    uint64_t row_bytes; // of its rows
} hr_queued;

struct hr_channel {
    hr_mutex lock;
    hr_cond quiet; // no callback runs
    hr_store *store;
    struct hr_share *share;   // constant once a consumer comes; a reference. NULL: none
    hr_schema *schema;        // constant
    uint32_t slots, leases;   // constant
    uint64_t lease_bytes_max; // constant
    int ring_fd;              // constant
    hr_ring *ring;            // constant
    size_t ring_bytes;        // constant
    hr_out *outs;             // [leases]
    hr_queued *queue;         // [slots]
    uint32_t first_free;
    uint64_t head, tail; // descriptors seen taken, and pushed
    uint32_t return_head;
    hr_leases out; // what is at the consumer
    bool attached, gone, finished, broken, closed;
    uint64_t undelivered_bytes, delivered, delivered_rows, copied_bytes;
    uint64_t told_leased_bytes, told_copied_bytes; // what the store's statistics have of ours
    uint32_t epoch;
    uint64_t step;
    uint32_t refs; // the owner and the consumer's end
    uint32_t calls;
    void (*changed)(void *context);
    void *changed_context;
};

// The consumer's end comes (INVALID when there was one already) and goes: its leases return then.
HR_USE_RESULT hr_status hr__channel_attach(hr_channel *channel, hr_error *err);
void hr__channel_detach(hr_channel *channel);
void hr__channel_hold(hr_channel *channel); // one more reference, for an offer
void hr__channel_drop(hr_channel *channel);
// The consumer rang: collects and tells the owner.
void hr__channel_rang(hr_channel *channel);

// object.c: pins an object and tells where it lies.
typedef struct hr_place {
    const uint8_t *memory;
    uint64_t offset, span_bytes;
    hr_range segment;
} hr_place;
HR_USE_RESULT hr_status hr__object_pin_place(hr_store *store, hr_object_id id, hr_place *out,
                                             hr_error *err);
// Unpins and drops one reference of each.
void hr__objects_return(hr_store *store, const hr_object_id *ids, size_t count);
// Adds to what stands in the statistics (differences may be negative).
void hr__store_count_leased(hr_store *store, struct hr_share *share, uint64_t leased_more,
                            uint64_t copied_more);

#endif
