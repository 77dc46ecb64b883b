// SPDX-License-Identifier: Apache-2.0
// Objects that may go: what somebody made, can make again, and would rather find here.
//
// They take what room there is, promised or not, of the arena or beside it (`bytes_max` bounds what is held, the ledger
// bounds all), and are dropped before anything is written out, anybody has to wait, or what others keep goes. Who
// offers one says its order: the highest goes first, so that what stays is the same from one round to the next. Who
// offered one asks by its id whether it is still there: the generation in the id tells.
#include "store/share.h"
#include "store/spill.h"

#define MARGIN_SHARE 16 // of the ledger: left free, so that what is offered is not dropped at once

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

// The first of those whose order is higher.
static size_t place_of(const hr_store *store, uint64_t order)
{
    size_t low = 0, high = store->offered.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (store->offered.items[middle]->offer_order <= order)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove_at(hr_store *store, size_t i)
{
    hr_entry **items = store->offered.items;
    memmove(items + i, items + i + 1, (--store->offered.count - i) * sizeof(hr_entry *));
}

// Drops idle ones at or after `first`, the highest first.
static uint64_t drop_from(hr_store *store, size_t first, uint64_t bytes)
{
    uint64_t freed = 0;
    for (size_t i = store->offered.count; i-- > first && freed < bytes && store->idle_bytes;) {
        hr_entry *entry = store->offered.items[i];
        if (entry->refs > 1) // in use: its room would not come back
            continue;
        freed += entry->extent->charged_bytes;
        remove_at(store, i);
        withdraw(store, entry);
    }
    return freed;
}

// Pages that nobody uses can be had; of those in use some are to be left.
static uint64_t lacking(const hr_store *store)
{
    const hr_ledger *ledger = store->ledger;
    uint64_t used = atomic_load_explicit(&ledger->used_bytes, memory_order_relaxed);
    uint64_t most = ledger->limit_bytes - ledger->limit_bytes / MARGIN_SHARE;
    used -= HR_MIN(used, store->extents.idle_bytes);
    return used > most ? used - most : 0;
}

bool hr__store_offer(hr_store *store, hr_object_id id, uint64_t order)
{
    hr__mutex_lock(&store->lock);
    hr_entry *entry = hr__entry_find(store, id);
    HR_ASSERT(entry->refs > 0 && !entry->series_count);
    bool kept =
        !entry->offered && entry->extent && HR_VEC_RESERVE(&store->offered, 1, NULL) == HR_OK;
    uint64_t lack = kept ? lacking(store) : 0;
    size_t at = place_of(store, order);
    kept = kept && (!lack || drop_from(store, at, lack) >= lack);
    if (kept) {
        hr_entry **items = store->offered.items;
        memmove(items + at + 1, items + at, (store->offered.count++ - at) * sizeof(hr_entry *));
        items[at] = entry;
        entry->offer_order = order;
        entry->offered = true;
        entry->refs++;
    }
    hr__mutex_unlock(&store->lock);
    return kept;
}

// Whether it may count to the share. Lock held.
static bool may_join(hr_store *store, const hr_entry *entry, const hr_share *share, bool urgent)
{
    return entry->refs > 1 || !share ||
           hr__share_allows(store, share, entry->extent->charged_bytes, urgent);
}

hr_status hr__store_take_offered(hr_store *store, hr_share *share, hr_object_id id, bool urgent)
{
    hr_status status = HR_OK;
    hr__mutex_lock(&store->lock);
    hr_entry *entry = find(store, id);
    if (!entry) {
        status = HR_END;
    } else if (!may_join(store, entry, share, urgent)) {
        store->refused = true;
        status = HR_AGAIN;
    } else if (entry->refs++ == 1) {
        store->idle_bytes -= entry->extent->charged_bytes;
        if (share)
            hr__entry_join_share(entry, share);
    }
    hr__mutex_unlock(&store->lock);
    return status;
}

void hr__store_withdraw(hr_store *store, hr_object_id id)
{
    if (hr__store_forked(store))
        return;
    hr__mutex_lock(&store->lock);
    hr_entry *entry = find(store, id);
    for (size_t i = entry ? place_of(store, entry->offer_order) : 0; i-- > 0;) {
        if (store->offered.items[i] != entry)
            continue;
        remove_at(store, i);
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
    return drop_from(store, 0, bytes) > 0;
}
