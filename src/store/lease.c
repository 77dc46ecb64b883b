// SPDX-License-Identifier: Apache-2.0
// The bytes that leases hold, object by object.
#include "store/lease.h"

#define NONE UINT32_MAX

hr_status hr__leases_init(hr_leases *leases, uint32_t capacity, hr_error *err)
{
    *leases = (hr_leases){.capacity = capacity, .last = NONE};
    HR_TRY(hr__alloc_zero(capacity, sizeof *leases->groups, &leases->groups, err));
    for (uint32_t i = 0; i < capacity; i++)
        leases->groups[i].next = i + 1 < capacity ? i + 1 : NONE;
    return HR_OK;
}

void hr__leases_finish(hr_leases *leases)
{
    hr__free(leases->groups);
    leases->groups = NULL;
}

uint32_t hr__leases_add(hr_leases *leases, hr_object_id object, uint64_t bytes)
{
    uint32_t index = leases->last;
    if (index == NONE || leases->groups[index].object != object) {
        index = leases->first_free;
        HR_ASSERT(index != NONE);
        leases->first_free = leases->groups[index].next;
        leases->groups[index] = (hr_lease_group){object, bytes, 0, NONE};
        leases->bytes += bytes;
        leases->last = index;
    }
    leases->groups[index].count++;
    leases->count++;
    return index;
}

void hr__leases_drop(hr_leases *leases, uint32_t index)
{
    hr_lease_group *group = &leases->groups[index];
    HR_ASSERT(group->count > 0);
    leases->count--;
    if (--group->count)
        return;
    leases->bytes -= group->bytes;
    group->next = leases->first_free;
    leases->first_free = index;
    if (leases->last == index)
        leases->last = NONE;
}
