// SPDX-License-Identifier: Apache-2.0
// The store as a handle: opening, closing, and what it counts.
//
// Closing takes the owner's reference. Blocks and ports that outlive it (a batch that somebody still holds) keep
// the memory mapped: it goes with the last of them, so that no view ever dangles.
#include "store/channel.h"
#include "store/share.h"
#include "store/spill.h"

bool hr__store_forked(const hr_store *store)
{
    return store->fork_generation != hr__fork_generation();
}

static void finish(hr_store *store)
{
    for (size_t i = 0; i < store->chunks.count; i++) {
        for (size_t j = 0; j < HR_ENTRY_CHUNK; j++) {
            hr_entry *entry = &store->chunks.items[i][j];
            if (entry->state != HR_ENTRY_FREE && entry->extent)
                hr__extent_give(store, entry->extent);
        }
        hr__free(store->chunks.items[i]);
    }
    HR_VEC_FINISH(&store->offered);
    HR_VEC_FINISH(&store->chunks);
    hr__spill_free(store);
    hr__extents_finish(store);
    hr__arena_close(&store->arena);
    hr__cond_finish(&store->idle);
    hr__mutex_finish(&store->lock);
    hr__free(store);
}

void hr__store_hold(hr_store *store)
{
    atomic_fetch_add_explicit(&store->refs, 1, memory_order_relaxed); // the caller has one
}

void hr__store_let_go(hr_store *store)
{
    // Release what this holder did, acquire what the others did before the last one frees it.
    if (atomic_fetch_sub_explicit(&store->refs, 1, memory_order_acq_rel) == 1)
        finish(store);
}

hr_status hr__store_open(const hr_store_config *config, hr_store **out, hr_error *err)
{
    hr_store *store = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *store, &store, err));
    hr__mutex_init(&store->lock);
    hr__cond_init(&store->idle);
    atomic_init(&store->refs, 1);
    store->fork_generation = hr__fork_generation();
    store->ledger = config->ledger;
    store->wake = config->wake;
    store->wake_context = config->wake_context;
    store->reclaim = config->reclaim;
    store->reclaim_context = config->reclaim_context;
    store->bytes_max = config->arena_bytes_max / HR_EXTENT_BYTES_MIN * HR_EXTENT_BYTES_MIN;
    store->arena.fd = store->arena.read_fd = -1;
    hr_status status = HR_OK;
    if (!store->bytes_max)
        status = HR_FAIL(err, HR_INVALID, "store: %llu bytes of shared memory, at least %u needed",
                         (unsigned long long)config->arena_bytes_max, HR_EXTENT_BYTES_MIN);
    if (status == HR_OK)
        status = hr__arena_open(&store->arena, store->bytes_max, err);
    if (status == HR_OK && config->spill_dir)
        status = hr__spill_open(store, config->spill_dir, config->spill_direct, err);
    if (status) {
        hr__spill_close(store);
        finish(store);
        return status;
    }
    *out = store;
    return HR_OK;
}

void hr__store_close(hr_store **store_)
{
    hr_store *store = *store_;
    *store_ = NULL;
    if (!store || hr__store_forked(store))
        return;
    hr__spill_close(store);
    hr__store_let_go(store);
}

void hr__store_room(hr_store *store, bool waiting)
{
    if (waiting && store->wake)
        store->wake(store->wake_context);
}

void hr__store_set_reserve(hr_store *store, uint64_t bytes)
{
    hr__mutex_lock(&store->lock);
    bool waiting = bytes < store->reserve_bytes && store->refused;
    if (waiting)
        store->refused = false;
    store->reserve_bytes = bytes;
    hr__mutex_unlock(&store->lock);
    hr__store_room(store, waiting);
}

static uint64_t trim(hr_store *store, uint64_t bytes, bool anyway)
{
    uint64_t done = 0;
    hr__mutex_lock(&store->lock);
    if (anyway || store->idle_bytes)
        done = hr__extent_trim(store, bytes);
    if (done < bytes && hr__offered_drop(store, bytes - done))
        done += hr__extent_trim(store, bytes - done);
    hr__mutex_unlock(&store->lock);
    return done;
}

uint64_t hr__store_trim(hr_store *store, uint64_t bytes)
{
    return trim(store, bytes, true);
}

uint64_t hr__store_trim_offered(hr_store *store, uint64_t bytes)
{
    return trim(store, bytes, false);
}

void hr__store_count_consumed(hr_store *store, uint64_t bytes)
{
    hr__mutex_lock(&store->lock);
    store->consumed_bytes += bytes;
    hr__mutex_unlock(&store->lock);
}

void hr__store_count_leased(hr_store *store, hr_share *share, uint64_t leased_more,
                            uint64_t copied_more)
{
    hr__mutex_lock(&store->lock);
    store->leased_bytes += leased_more; // modulo 2^64: "more" may be less
    store->copied_bytes += copied_more;
    if (share)
        share->leased_bytes += leased_more;
    hr__mutex_unlock(&store->lock);
}

// Bytes in memory that a series keeps or somebody has pinned. Lock held.
static uint64_t needed_bytes(const hr_store *store)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < store->chunks.count; i++)
        for (size_t j = 0; j < HR_ENTRY_CHUNK; j++) {
            const hr_entry *entry = &store->chunks.items[i][j];
            if (entry->state != HR_ENTRY_FREE && entry->extent &&
                (entry->pins || entry->series_count))
                bytes += entry->extent->charged_bytes;
        }
    return bytes;
}

void hr__store_stats(hr_store *store, hr_store_stats *out)
{
    hr__mutex_lock(&store->lock);
    const hr_spill *spill = store->spill;
    *out = (hr_store_stats){
        .arena_bytes_max = store->bytes_max,
        .arena_used_bytes = store->used_bytes - store->idle_bytes,
        .arena_charged_bytes = store->extents.charged_bytes,
        .arena_peak_bytes = store->extents.peak_bytes,
        .object_count = store->object_count,
        .needed_bytes = needed_bytes(store),
        .consumed_bytes = store->consumed_bytes,
        .waiting = store->waiting,
        .leased_bytes = store->leased_bytes,
        .copied_bytes = store->copied_bytes,
    };
    if (spill) {
        out->disk_bytes = spill->disk_bytes;
        out->spilled_bytes = spill->written.bytes;
        out->spilled_objects = spill->written.objects;
        out->spill_write_ns = hr__count_ns(&spill->written);
        out->restored_bytes = spill->read.bytes;
        out->restored_objects = spill->read.objects;
        out->restore_read_ns = hr__count_ns(&spill->read);
    }
    hr__mutex_unlock(&store->lock);
}
