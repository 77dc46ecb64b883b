// SPDX-License-Identifier: Apache-2.0
// The bytes that leases hold. Views of one object come one after another: they share a group, which counts the object's
// bytes once. (An object that comes again later counts again: more than it is, never less.) Caller-serialised.
#ifndef HR_STORE_LEASE_H
#define HR_STORE_LEASE_H

#include "store/store.h"

typedef struct hr_lease_group {
    hr_object_id object;
    uint64_t bytes;
    uint32_t count; // leases; 0: free
    uint32_t next;  // free list
} hr_lease_group;

typedef struct hr_leases {
    hr_lease_group *groups; // capacity
    uint32_t capacity, count /* leases out */, first_free, last;
    uint64_t bytes;
} hr_leases;

HR_USE_RESULT hr_status hr__leases_init(hr_leases *leases, uint32_t capacity, hr_error *err);
void hr__leases_finish(hr_leases *leases);
// Fewer than `capacity` leases are out. Returns the group, for hr__leases_drop.
uint32_t hr__leases_add(hr_leases *leases, hr_object_id object, uint64_t bytes);
void hr__leases_drop(hr_leases *leases, uint32_t group);

#endif
