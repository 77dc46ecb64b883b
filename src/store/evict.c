// SPDX-License-Identifier: Apache-2.0
// Who leaves memory when it is short: of the objects that series keep, the one whose next use is farthest.
//
// The plan knows the future: each cursor says what is read next, and cyclic ones come around. The distance of an
// object is the least over all cursors; without a cursor it is the place in the series, as if one stood at the
// start. A plan is made by one look over all series, when something must leave: some microseconds for thousands of
// objects, against milliseconds for what is then written.
//
// Writing begins when four fifths of the room are used, so that creations rarely wait. What has a disk copy already
// leaves without a write.
#include "store/spill.h"

#include <stdlib.h>

#define HIGH_WATER(bytes_max) ((bytes_max) / 5 * 4)
#define LOW_WATER(bytes_max)  (HIGH_WATER(bytes_max) - HR_MIN((bytes_max) / 16, (uint64_t)64 << 20))

static uint64_t distance_in(const hr_series *series, size_t index)
{
    uint64_t least = series->cursors ? HR_NEVER : index;
    for (const hr_series_cursor *c = series->cursors; c; c = c->next) {
        uint64_t distance = HR_NEVER;
        if (index >= c->index)
            distance = index - c->index;
        else if (c->cyclic)
            distance = HR_MAX(series->entries.count, c->index) - c->index + index;
        least = HR_MIN(least, distance);
    }
    return least > HR_NEVER - series->distance ? HR_NEVER : least + series->distance;
}

bool hr__entry_can_leave(const hr_entry *entry)
{
    return entry->extent && !entry->pins && entry->io == HR_IO_NONE && entry->series_count;
}

static int farther_first(const void *a_, const void *b_)
{
    const hr_entry *a = *(hr_entry *const *)a_, *b = *(hr_entry *const *)b_;
    if (a->next_use != b->next_use)
        return a->next_use > b->next_use ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index; // any order, but always the same
}

void hr__evict_plan(hr_store *store)
{
    hr_spill *spill = store->spill;
    spill->victims.count = 0;
    for (hr_series *s = store->series; s; s = s->next)
        for (size_t i = 0; i < s->entries.count; i++)
            s->entries.items[i]->next_use = HR_NEVER;
    for (hr_series *s = store->series; s; s = s->next)
        for (size_t i = 0; i < s->entries.count; i++) {
            hr_entry *entry = s->entries.items[i];
            entry->next_use = entry->awaited ? 0 : HR_MIN(entry->next_use, distance_in(s, i));
            entry->planned = false;
        }
    for (hr_series *s = store->series; s; s = s->next)
        for (size_t i = 0; i < s->entries.count; i++) {
            hr_entry *entry = s->entries.items[i];
            if (entry->planned || !hr__entry_can_leave(entry))
                continue;
            if (HR_VEC_PUSH(&spill->victims, entry, NULL) != HR_OK)
                break; // short of heap: those found so far
            entry->planned = true;
        }
    if (spill->victims.count)
        qsort(spill->victims.items, spill->victims.count, sizeof *spill->victims.items,
              farther_first);
}

bool hr__evict_clean(hr_store *store, uint64_t bytes, uint64_t distance)
{
    hr_spill *spill = store->spill;
    if (!spill || !spill->clean_bytes)
        return false;
    uint64_t freed = 0;
    hr__evict_plan(store);
    for (size_t i = 0; i < spill->victims.count && freed < bytes; i++) {
        hr_entry *entry = spill->victims.items[i];
        if (entry->next_use <= distance)
            break;
        if (!entry->disk_bytes)
            continue;
        freed += entry->extent->charged_bytes;
        hr__entry_drop_memory(store, entry);
    }
    return freed > 0;
}

bool hr__evict_now(hr_store *store, uint64_t bytes)
{
    return hr__evict_clean(store, bytes, 0);
}

uint64_t hr__evict_over(const hr_store *store)
{
    const hr_spill *spill = store->spill;
    uint64_t gone = spill->writing_bytes + store->idle_bytes; // or as good as
    uint64_t used = store->used_bytes - HR_MIN(store->used_bytes, gone);
    uint64_t over = used > HIGH_WATER(store->bytes_max) ? used - LOW_WATER(store->bytes_max) : 0;
    return HR_MAX(over, spill->wanted_bytes);
}

static bool anything_dirty_can_leave(hr_store *store)
{
    hr__evict_plan(store);
    for (size_t i = 0; i < store->spill->victims.count; i++)
        if (!store->spill->victims.items[i]->disk_bytes)
            return true;
    return false;
}

hr_status hr__evict_never(const hr_store *store, uint64_t bytes, hr_error *err)
{
    return HR_FAIL(err, HR_LIMIT,
                   "store: %llu bytes of kept data and %llu more do not fit in the %llu bytes "
                   "that shared memory may take, and nothing may spill: name a spill folder, "
                   "raise the memory budget, or stream instead of keeping",
                   (unsigned long long)store->kept_bytes, (unsigned long long)bytes,
                   (unsigned long long)store->bytes_max);
}

void hr__evict_want(hr_spill *spill, uint64_t bytes)
{
    spill->wanted_bytes = HR_MAX(spill->wanted_bytes, bytes);
    if (spill
            ->wanted_distance) // a look among those needed later alone says nothing about the others
        spill->fruitless = false;
    spill->wanted_distance = 0;
}

hr_status hr__evict_start(hr_store *store, uint64_t bytes, hr_error *err)
{
    hr_spill *spill = store->spill;
    if (!spill) {
        if (store->kept_bytes + bytes <= store->bytes_max)
            return HR_AGAIN;
        return hr__evict_never(store, bytes, err);
    }
    if (spill->failed && anything_dirty_can_leave(store))
        return hr__error_copy(err, &spill->error);
    hr__evict_want(spill, bytes);
    hr__spill_ring(spill);
    return HR_AGAIN;
}

void hr__evict_watch(hr_store *store)
{
    hr_spill *spill = store->spill;
    if (!spill)
        return;
    bool over = !spill->fruitless && !spill->failed && store->kept_bytes && hr__evict_over(store);
    if (over || spill->wanted.count || spill->ahead)
        hr__spill_ring(spill);
}

void hr__evict_unpinned(hr_store *store)
{
    if (store->spill)
        store->spill->fruitless = false;
}

void hr__evict_room(hr_store *store)
{
    hr_spill *spill = store->spill;
    if (!spill)
        return;
    if (spill->ahead_bytes &&
        store->used_bytes - store->idle_bytes + store->reserve_bytes + spill->ahead_bytes <=
            store->bytes_max)
        spill->ahead = true;
    hr__evict_watch(store);
}

void hr__evict_changed(hr_store *store)
{
    hr_spill *spill = store->spill;
    if (!spill)
        return;
    spill->fruitless = false;
    spill->ahead = spill->disk_bytes > 0;
    hr__evict_watch(store);
}
