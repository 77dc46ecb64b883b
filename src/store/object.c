// SPDX-License-Identifier: Apache-2.0
// The table of objects.
//
//   create -> CREATED (one writer) -> seal -> SEALED (immutable) -> last reference -> free
//
// An id is the index of an entry and its generation, so that a stale id is caught and not mistaken for a newer
// object. A sealed object is in memory (extent), on disk (disk_bytes), or both. Pinned, it is in memory and stays.
// References and pins are plain counters under the store's lock: a creation with its release costs some hundred
// nanoseconds, which a block of a megabyte does not notice.
#include "store/channel.h"
#include "store/share.h"
#include "store/spill.h"

#include "base/log.h"
#include "block/wire.h"

static hr_object_id entry_id(const hr_entry *entry)
{
    return (uint64_t)entry->generation << 32 | entry->index;
}

hr_entry *hr__entry_find(hr_store *store, hr_object_id id)
{
    uint32_t index = (uint32_t)id;
    HR_ASSERT(index / HR_ENTRY_CHUNK < store->chunks.count);
    hr_entry *entry = &store->chunks.items[index / HR_ENTRY_CHUNK][index % HR_ENTRY_CHUNK];
    HR_ASSERT(entry->generation == (uint32_t)(id >> 32) && entry->state != HR_ENTRY_FREE);
    return entry;
}

static hr_status take_entry(hr_store *store, hr_entry **out, hr_error *err)
{
    if (!store->free_entries) {
        hr_entry *chunk = NULL;
        HR_TRY(HR_VEC_RESERVE(&store->chunks, 1, err));
        HR_TRY(hr__alloc_zero(HR_ENTRY_CHUNK, sizeof *chunk, &chunk, err));
        for (uint32_t i = HR_ENTRY_CHUNK; i-- > 0;) {
            chunk[i].index = (uint32_t)store->chunks.count * HR_ENTRY_CHUNK + i;
            chunk[i].next = store->free_entries;
            store->free_entries = &chunk[i];
        }
        store->chunks.items[store->chunks.count++] = chunk;
    }
    hr_entry *entry = store->free_entries;
    store->free_entries = entry->next;
    *entry = (hr_entry){.index = entry->index, .generation = entry->generation + 1};
    *out = entry;
    return HR_OK;
}

static void give_entry(hr_store *store, hr_entry *entry)
{
    entry->state = HR_ENTRY_FREE;
    entry->next = store->free_entries;
    store->free_entries = entry;
}

void hr__entry_drop_memory(hr_store *store, hr_entry *entry)
{
    if (!entry->extent)
        return;
    store->used_bytes -= entry->extent->charged_bytes;
    if (entry->share)
        entry->share->used -= entry->extent->charged_bytes;
    if (entry->series_count)
        store->kept_bytes -= entry->extent->charged_bytes;
    if (entry->disk_bytes)
        store->spill->clean_bytes -= entry->extent->charged_bytes;
    hr__extent_give(store, entry->extent);
    entry->extent = NULL;
}

void hr__entry_set_memory(hr_store *store, hr_entry *entry, hr_extent *extent)
{
    entry->extent = extent;
    store->used_bytes += extent->charged_bytes;
    if (entry->share)
        entry->share->used += extent->charged_bytes;
    if (entry->disk_bytes)
        store->spill->clean_bytes += extent->charged_bytes;
    if (entry->series_count)
        store->kept_bytes += extent->charged_bytes;
}

void hr__entry_join_share(hr_entry *entry, hr_share *share)
{
    entry->share = share;
    share->refs++;
    share->used += entry->extent->charged_bytes;
}

void hr__entry_leave_share(hr_entry *entry, bool for_good)
{
    hr_share *share = entry->share;
    if (!share)
        return;
    uint64_t bytes = entry->extent ? entry->extent->charged_bytes : 0;
    share->used -= bytes;
    if (for_good) // it took that much of what was promised
        share->promised -= HR_MIN(share->promised, bytes);
    hr__share_drop(share);
    entry->share = NULL;
}

void hr__entry_free_if_done(hr_store *store, hr_entry *entry)
{
    if (entry->refs || entry->io != HR_IO_NONE)
        return;
    HR_ASSERT(entry->pins == 0);
    hr__entry_leave_share(entry, false);
    hr__entry_drop_memory(store, entry);
    hr__spill_forget(store, entry);
    give_entry(store, entry);
    store->object_count--;
}

hr_status hr__room_take(hr_store *store, uint64_t bytes, bool urgent, hr_extent **out,
                        hr_error *err)
{
    uint64_t held = urgent ? 0 : store->reserve_bytes;
    if (store->used_bytes - store->idle_bytes + bytes + held > store->bytes_max)
        return HR_AGAIN;
    hr_status status = hr__extent_take(store, bytes, out, err);
    while (status == HR_AGAIN && hr__offered_drop(store, bytes))
        status = hr__extent_take(store, bytes, out, err);
    return status;
}

bool hr__store_lacks_ledger(hr_store *store, const hr_share *share, size_t bytes)
{
    uint64_t need = hr__page_up(bytes);
    hr__mutex_lock(&store->lock);
    bool room = store->used_bytes - store->idle_bytes + need <= store->bytes_max &&
                (!share || hr__share_allows(store, share, need, true));
    hr__mutex_unlock(&store->lock);
    return room;
}

// Room in the share, then in the arena: there what is kept may have to leave first.
static hr_status take_room(hr_store *store, hr_share *share, uint64_t need, bool urgent,
                           hr_extent **out, hr_error *err)
{
    if (share) {
        HR_TRY(hr__share_check(store, share, need, err));
        if (!hr__share_allows(store, share, need, urgent))
            return HR_AGAIN;
    }
    hr_status status = hr__room_take(store, need, urgent, out, err);
    if (status == HR_AGAIN && hr__evict_now(store, need))
        status = hr__room_take(store, need, urgent, out, err);
    return status == HR_AGAIN ? hr__evict_start(store, need, err) : status;
}

static hr_status create_locked(hr_store *store, hr_share *share, size_t bytes, bool urgent,
                               hr_object *out, hr_error *err)
{
    uint64_t need = hr__page_up(HR_MAX(bytes, (size_t)1));
    if (need > store->bytes_max || need > store->ledger->limit_bytes || need < bytes)
        return HR_FAIL(err, HR_LIMIT,
                       "store: an object of %zu bytes does not fit in the %llu bytes that shared "
                       "memory may take: it needs a memory budget of at least %llu bytes",
                       bytes, (unsigned long long)store->bytes_max,
                       (unsigned long long)(need / 3 * 4 + HR_EXTENT_BYTES_MIN));
    hr_entry *entry = NULL;
    HR_TRY(take_entry(store, &entry, err));
    hr_extent *extent = NULL;
    hr_status status = take_room(store, share, need, urgent, &extent, err);
    if (status) {
        give_entry(store, entry);
        return status;
    }
    entry->state = HR_ENTRY_CREATED;
    entry->refs = 1;
    entry->bytes = bytes;
    entry->share = share;
    if (share)
        share->refs++;
    hr__entry_set_memory(store, entry, extent);
    store->object_count++;
    *out = (hr_object){entry_id(entry), extent->memory, bytes};
    return HR_OK;
}

hr_status hr__store_create(hr_store *store, size_t bytes, bool urgent, hr_object *out,
                           hr_error *err)
{
    return hr__store_create_in(store, NULL, bytes, urgent, out, err);
}

hr_status hr__store_create_in(hr_store *store, hr_share *share, size_t bytes, bool urgent,
                              hr_object *out, hr_error *err)
{
    if (hr__store_forked(store))
        return HR_FAIL(err, HR_DENIED,
                       "store: used in a forked child of the process that opened it");
    hr__mutex_lock(&store->lock);
    if (store->waiting)
        store->waiting--;
    hr_status status = create_locked(store, share, bytes, urgent, out, err);
    if (status == HR_AGAIN)
        store->waiting++, store->refused = true;
    hr__evict_watch(store);
    hr__mutex_unlock(&store->lock);
    return status;
}

void hr__store_seal(hr_store *store, hr_object_id id, size_t span_bytes)
{
    hr__mutex_lock(&store->lock);
    hr_entry *entry = hr__entry_find(store, id);
    HR_ASSERT(entry->state == HR_ENTRY_CREATED && span_bytes <= entry->bytes);
    entry->state = HR_ENTRY_SEALED;
    entry->span_bytes = span_bytes;
    hr__mutex_unlock(&store->lock);
}

void hr__store_ref(hr_store *store, hr_object_id id)
{
    hr__mutex_lock(&store->lock);
    hr__entry_find(store, id)->refs++;
    hr__mutex_unlock(&store->lock);
}

// Lock held.
static hr_status pin_entry(hr_store *store, hr_object_id id, hr_entry **out, hr_error *err)
{
    hr_entry *entry = hr__entry_find(store, id);
    HR_ASSERT(entry->state == HR_ENTRY_SEALED);
    if (!entry->extent || entry->io == HR_IO_READING)
        return hr__restore_want(store, entry, err);
    entry->pins++;
    entry->awaited = false;
    *out = entry;
    return HR_OK;
}

hr_status hr__store_pin(hr_store *store, hr_object_id id, const uint8_t **memory_out,
                        size_t *span_bytes_out, hr_error *err)
{
    if (hr__store_forked(store))
        return HR_FAIL(err, HR_DENIED,
                       "store: used in a forked child of the process that opened it");
    hr_entry *entry = NULL;
    hr__mutex_lock(&store->lock);
    hr_status status = pin_entry(store, id, &entry, err);
    if (status == HR_OK) {
        *memory_out = entry->extent->memory;
        *span_bytes_out = entry->span_bytes;
    }
    hr__mutex_unlock(&store->lock);
    return status;
}

hr_status hr__object_pin_place(hr_store *store, hr_object_id id, hr_place *out, hr_error *err)
{
    hr_entry *entry = NULL;
    hr__mutex_lock(&store->lock);
    hr_status status = pin_entry(store, id, &entry, err);
    if (status == HR_OK) {
        const hr_extent *extent = entry->extent;
        const hr_segment *segment = hr__arena_find(&store->arena, extent->offset);
        *out = (hr_place){.memory = extent->memory,
                          .offset = extent->offset,
                          .span_bytes = entry->span_bytes,
                          .segment = {segment->offset, segment->bytes}};
    }
    hr__mutex_unlock(&store->lock);
    return status;
}

// Lock held; whether room may be there for creations that wait.
static bool unpin_entry(hr_store *store, hr_entry *entry)
{
    HR_ASSERT(entry->pins > 0);
    if (--entry->pins || !entry->series_count)
        return false;
    hr__evict_unpinned(store);
    return true;
}

static bool unref_entry(hr_store *store, hr_entry *entry)
{
    HR_ASSERT(entry->refs > 0);
    bool last = --entry->refs == 0;
    bool idle = entry->refs == 1 && entry->offered;
    if (idle)
        hr__offered_idle(store, entry);
    hr__entry_free_if_done(store, entry);
    return last || idle;
}

static void unlock_with_room(hr_store *store, bool room)
{
    if (room)
        hr__evict_room(store);
    // Not the count: a creation of somebody else lowers it, and who waits would be forgotten.
    bool waiting = room && store->refused;
    if (waiting)
        store->refused = false;
    hr__mutex_unlock(&store->lock);
    hr__store_room(store, waiting);
}

void hr__store_unref(hr_store *store, hr_object_id id)
{
    if (!id || hr__store_forked(store))
        return;
    hr__mutex_lock(&store->lock);
    unlock_with_room(store, unref_entry(store, hr__entry_find(store, id)));
}

void hr__store_unpin(hr_store *store, hr_object_id id)
{
    if (!id || hr__store_forked(store))
        return;
    hr__mutex_lock(&store->lock);
    unlock_with_room(store, unpin_entry(store, hr__entry_find(store, id)));
}

void hr__objects_return(hr_store *store, const hr_object_id *ids, size_t count)
{
    bool room = false;
    hr__mutex_lock(&store->lock);
    for (size_t i = 0; i < count; i++) {
        hr_entry *entry = hr__entry_find(store, ids[i]);
        room |= unpin_entry(store, entry);
        room |= unref_entry(store, entry);
    }
    unlock_with_room(store, room);
}

// What a block over an object holds on to.
typedef struct block_owner {
    hr_store *store;
    hr_object_id id;
} block_owner;

static void release_block(void *owner_)
{
    block_owner *owner = owner_;
    if (!hr__store_forked(owner->store)) {
        hr__store_unpin(owner->store, owner->id);
        hr__store_unref(owner->store, owner->id);
        hr__store_let_go(owner->store);
    }
    hr__free(owner);
}

hr_status hr__store_block(hr_store *store, hr_object_id id, const hr_schema *schema, hr_block **out,
                          hr_error *err)
{
    const uint8_t *memory = NULL;
    size_t bytes = 0;
    block_owner *owner = NULL;
    HR_TRY(hr__store_pin(store, id, &memory, &bytes, err));
    hr_status status = hr__alloc(sizeof *owner, &owner, err);
    if (status == HR_OK) {
        *owner = (block_owner){store, id};
        status =
            hr__block_open(memory, bytes, schema, HR_VALIDATE_NONE, release_block, owner, out, err);
    }
    if (status) {
        hr__free(owner);
        hr__store_unpin(store, id);
        return status;
    }
    hr__store_ref(store, id);
    hr__store_hold(store);
    return HR_OK;
}
