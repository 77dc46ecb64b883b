// SPDX-License-Identifier: Apache-2.0
// The shared memory of one channel: a memfd that owner and consumer both map writable.
//
//   0          head: the owner's words, then the consumer's, on lines of their own
//   4096       slots[slots], 128 bytes each
//   ...        returns[leases]: lease numbers given back, in any order
//   schema_at  the schema as bytes
//
// A slot goes   EMPTY -> READY (owner) -> TAKING -> TAKEN (consumer) -> EMPTY (owner)
//               READY -> EMPTY when it is revoked
// READY is left by compare-and-swap alone, so exactly one side wins a descriptor. TAKING says that the consumer still
// copies it out: the owner refills TAKEN slots only.
//
// The owner believes nothing it finds here: what a lease number stands for is in its own heap, and a number or a
// count that cannot be is passed over. A consumer that writes nonsense loses its own descriptors and nobody else's.
#ifndef HR_STORE_RING_H
#define HR_STORE_RING_H

#include "store/store.h"

#include <stdatomic.h>

#define HR_RING_MAGIC   0x31474e52u // "RNG1"
#define HR_RING_VERSION 2u
#define HR_LEASE_NONE   UINT32_MAX

typedef enum hr_ring_state {
    HR_RING_EMPTY,
    HR_RING_READY,
    HR_RING_TAKING,
    HR_RING_TAKEN
} hr_ring_state;

typedef struct hr_ring_slot {
    _Atomic uint32_t state;
    uint32_t lease; // HR_LEASE_NONE for EPOCH_END
    hr_descriptor descriptor;
    uint64_t segment_offset, segment_bytes; // what to map
    uint64_t offset, span_bytes;            // where the span lies in the arena's file
} hr_ring_slot;
static_assert(sizeof(hr_ring_slot) == 128, "two lines a slot");

typedef struct hr_ring {
    uint32_t magic, version;
    uint32_t slots, leases;
    uint64_t lease_bytes_max, total_bytes;
    uint64_t schema_at, schema_bytes;
    int32_t finish_status; // set before `finished`
    char finish_message[512];
    alignas(64) _Atomic uint32_t signal; // the futex: bumped whenever there is something to see
    _Atomic uint32_t finished;
    _Atomic uint32_t armed; // the owner wants the bell; the consumer clears it as it rings
    alignas(64) _Atomic uint32_t waiting;
    _Atomic uint32_t return_tail; // lease numbers given back so far, modulo 2^32
    _Atomic uint64_t waiting_since_ns;
    _Atomic uint64_t copied_bytes;
} hr_ring;
static_assert(sizeof(hr_ring) <= 4096, "one page");

#define HR_RING_SLOTS_AT 4096u
static inline hr_ring_slot *hr__ring_slot(hr_ring *ring, uint32_t slots, uint64_t index)
{
    return (hr_ring_slot *)((uint8_t *)ring + HR_RING_SLOTS_AT) + index % slots;
}
static inline size_t hr__ring_returns_at(uint32_t slots)
{
    return HR_RING_SLOTS_AT + (size_t)slots * sizeof(hr_ring_slot);
}
static inline _Atomic uint32_t *hr__ring_return(hr_ring *ring, uint32_t slots, uint32_t leases,
                                                uint32_t index)
{
    return (_Atomic uint32_t *)((uint8_t *)ring + hr__ring_returns_at(slots)) + index % leases;
}

#endif
