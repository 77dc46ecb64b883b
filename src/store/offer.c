// SPDX-License-Identifier: Apache-2.0
// Objects that may go: what somebody made, can make again, and would rather find here.
//
// They take what room there is, promised or not, and are dropped, newest first, before anything is written out or
// anybody has to wait. Who offered one asks by its id whether it is still there: the generation in the id tells.
#include "store/spill.h"

#define MARGIN_SHARE 16 // of the arena: left free, so that what is offered is not dropped at once

// Lock held. NULL: it is gone.
static hr_entry *find(hr_store *store, hr_object_id id)
{
    uint32_t index = (uint32_t)id;
    if (!id || index / HR_ENTRY_CHUNK >= store->chunks.count)
        return NULL;
    hr_entry *entry = &store->chunks.items[index / HR_ENTRY_CHUNK][index % HR_ENTRY_CHUNK];
    return entry->generation == (uint32_t)(id >> 32) && entry->offered ? entry : NULL;
}

// It counts to whose share it was made while anybody else holds it; then to none, and may go.
void hr__offered_idle(hr_store *store, hr_entry *entry)
{
    hr__entry_leave_share(entry, false);
    store->idle_bytes += entry->extent->charged_bytes;
}

static void withdraw(hr_store *store, hr_entry *entry)
{
    entry->offered = false;
    if (entry->refs == 1)
        store->idle_bytes -= entry->extent->charged_bytes;
    entry->refs--;
    hr__entry_free_if_done(store, entry);
}

bool hr__store_offer(hr_store *store, hr_object_id id)
{
    hr__mutex_lock(&store->lock);
    hr_entry *entry = hr__entry_find(store, id);
    HR_ASSERT(entry->refs > 0 && !entry->series_count);
    bool kept = !entry->offered && entry->extent &&
                store->used_bytes + store->bytes_max / MARGIN_SHARE <= store->bytes_max &&
                HR_VEC_PUSH(&store->offered, entry, NULL) == HR_OK;
    if (kept) {
        entry->offered = true;
        entry->refs++;
    }
    hr__mutex_unlock(&store->lock);
    return kept;
}

bool hr__store_take_offered(hr_store *store, hr_share *share, hr_object_id id)
{
    hr__mutex_lock(&store->lock);
    hr_entry *entry = find(store, id);
    if (entry && entry->refs++ == 1) {
        store->idle_bytes -= entry->extent->charged_bytes;
        if (share)
            hr__entry_join_share(entry, share);
    }
    hr__mutex_unlock(&store->lock);
    return entry;
}

void hr__store_withdraw(hr_store *store, hr_object_id id)
{
    if (hr__store_forked(store))
        return;
    hr__mutex_lock(&store->lock);
    hr_entry *entry = find(store, id);
    for (size_t i = store->offered.count; entry && i-- > 0;) {
        if (store->offered.items[i] != entry)
            continue;
        store->offered.items[i] = store->offered.items[--store->offered.count];
        withdraw(store, entry);
        break;
    }
    bool waiting = store->refused;
    store->refused = false;
    hr__mutex_unlock(&store->lock);
    hr__store_room(store, waiting);
}

bool hr__offered_drop(hr_store *store, uint64_t bytes)
{
    uint64_t freed = 0;
    size_t count = store->offered.count;
    for (size_t i = count; i-- > 0 && freed < bytes && store->idle_bytes;) {
        hr_entry *entry = store->offered.items[i];
        if (entry->refs > 1) // in use: its room would not come back
            continue;
        freed += entry->extent->charged_bytes;
        store->offered.items[i] = store->offered.items[--store->offered.count];
        withdraw(store, entry);
    }
    return freed > 0;
}
