// SPDX-License-Identifier: Apache-2.0
// A port inside: port.c does the ring, and what differs between the owner's process and another one stands in a table.
#ifndef HR_STORE_PORT_H
#define HR_STORE_PORT_H

#include "store/lease.h"
#include "store/ring.h"
#include "store/store_priv.h"

// What stands behind a port: the channel itself, or a connection.
typedef struct hr_port_end {
    void *context;
    hr_reader *reader; // borrowed from context
    void (*bell)(void *context);
    bool (*alive)(void *context); // NULL: the owner is this process
    void (*close)(void *context, hr_port *port);
} hr_port_end;

// One lease number at the consumer.
typedef struct hr_taken {
    bool out;
    uint32_t group;
    hr_range segment;
    uint64_t offset, span_bytes;
    uint8_t *private_; // where it is mapped copy-on-write, if it was
} hr_taken;

struct hr_port {
    hr_mutex lock; // guards: taken, leases, return_tail
    uint32_t fork_generation;
    hr_schema *schema;
    hr_ring *ring;
    uint32_t slots, lease_count; // constant: as validated when it was opened
    uint64_t lease_bytes_max;
    uint64_t head;
    bool spins;  // before it sleeps: somebody else may have a processor meanwhile
    bool waited; // the owner was told that we wait
    hr_taken *taken;
    hr_leases leases;
    uint32_t return_tail;
    hr_port_end end;
};

// Over a ring of ring_bytes, checked here. On success the port closes `end`; the ring's mapping stays the end's.
HR_USE_RESULT hr_status hr__port_make(hr_ring *ring, size_t ring_bytes, const hr_schema *schema,
                                      const hr_port_end *end, hr_port **out, hr_error *err);
HR_USE_RESULT hr_status hr__ring_check(const hr_ring *ring, size_t ring_bytes, hr_error *err);

#endif
