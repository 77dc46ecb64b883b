// SPDX-License-Identifier: Apache-2.0
// Space inside the arena: extents by size class, warm pages first.
//
//   fresh address space --take--> extent in use --give--> free list of its class (LIFO: the warmest first)
//            ^                                                  |
//            +-------------- punched, coldest first ------------+
//
// First touch of fresh pages runs at about 1 GiB/s, a copy between warm ones at ten times that; so an extent keeps
// its pages (and their charge) when it is given back. Pages are punched only when the budget or the ledger refuses
// new ones; an extent without pages is address space again, of no class. An extent is charged for the pages that
// its users asked for, not for its class's size.
#include "store/store_priv.h"

#include "base/os.h"

// Steps of an eighth of a power of two, whole pages.
static uint64_t class_bytes(uint64_t bytes)
{
    bytes = HR_MAX(bytes, (uint64_t)HR_EXTENT_BYTES_MIN);
    uint64_t power = (uint64_t)1 << (63 - HR_CLZ64(bytes));
    return HR_ALIGN_UP(bytes, HR_MAX(power / 8, (uint64_t)HR_EXTENT_BYTES_MIN));
}

static uint32_t class_index(uint64_t bytes)
{
    uint32_t power = 63 - (uint32_t)HR_CLZ64(bytes);
    return power * 8 + (uint32_t)((bytes - ((uint64_t)1 << power)) >> (power - 3));
}

static void unlink_idle(hr_extents *e, hr_extent *x)
{
    if (x->class_newer)
        x->class_newer->class_older = x->class_older;
    else
        e->newest[x->class_index] = x->class_older;
    if (x->class_older)
        x->class_older->class_newer = x->class_newer;
    if (x->idle_newer)
        x->idle_newer->idle_older = x->idle_older;
    else
        e->idle_newest = x->idle_older;
    if (x->idle_older)
        x->idle_older->idle_newer = x->idle_newer;
    else
        e->idle_oldest = x->idle_newer;
    x->class_newer = x->class_older = x->idle_newer = x->idle_older = NULL;
    e->idle_bytes -= x->charged_bytes;
}

static void link_idle(hr_extents *e, hr_extent *x)
{
    x->class_newer = x->idle_newer = NULL;
    x->class_older = e->newest[x->class_index];
    if (x->class_older)
        x->class_older->class_newer = x;
    e->newest[x->class_index] = x;
    x->idle_older = e->idle_newest;
    if (x->idle_older)
        x->idle_older->idle_newer = x;
    else
        e->idle_oldest = x;
    e->idle_newest = x;
    e->idle_bytes += x->charged_bytes;
}

static void uncharge(hr_store *store, uint64_t bytes)
{
    store->extents.charged_bytes -= bytes;
    hr__ledger_uncharge(store->ledger, HR_LEDGER_ARENA, bytes);
}

// Lock held, let go of while the kernel works.
static void punch(hr_store *store, uint64_t offset, uint64_t bytes)
{
    hr_error err = HR_ERROR_INIT;
    hr__mutex_unlock(&store->lock);
    hr_status status = hr__punch(store->arena.fd, offset, bytes, &err);
    hr__mutex_lock(&store->lock);
    HR_ASSERT(status == HR_OK);
}

uint64_t hr__extent_trim(hr_store *store, uint64_t bytes)
{
    hr_extents *e = &store->extents;
    uint64_t done = 0;
    while (done < bytes && e->idle_oldest) {
        hr_extent *x = e->idle_oldest;
        unlink_idle(e, x);
        punch(store, x->offset, x->bytes);
        uncharge(store, x->charged_bytes);
        done += x->charged_bytes;
        hr__ranges_add(&e->ranges, x->offset, x->bytes);
        hr__free(x);
    }
    return done;
}

// Asks the others that share the ledger. Lock held, let go of meanwhile.
static bool reclaim(hr_store *store, uint64_t bytes)
{
    if (!store->reclaim)
        return false;
    hr__mutex_unlock(&store->lock);
    uint64_t done = store->reclaim(store->reclaim_context, bytes);
    hr__mutex_lock(&store->lock);
    return done > 0;
}

// Charges `bytes` more pages, punching idle ones where it must. What is offered goes before others are asked.
static hr_status charge(hr_store *store, uint64_t bytes)
{
    hr_extents *e = &store->extents;
    for (;;) { // the lock is let go of on the way: both are asked again
        uint64_t most = store->bytes_max + store->idle_bytes; // may go, and stands beside
        if (e->charged_bytes + bytes > most) {
            if (!hr__extent_trim(store, e->charged_bytes + bytes - most))
                return HR_AGAIN;
            continue;
        }
        if (hr__ledger_try_charge(store->ledger, HR_LEDGER_ARENA, bytes))
            break;
        if (!hr__extent_trim(store, bytes) && (store->idle_bytes || !reclaim(store, bytes)))
            return HR_AGAIN;
    }
    e->charged_bytes += bytes;
    e->peak_bytes = HR_MAX(e->peak_bytes, e->charged_bytes);
    return HR_OK;
}

// Address space for a new extent: punched ranges first, then the newest segment, then one more segment.
static hr_status take_space(hr_store *store, uint64_t bytes, uint64_t *offset_out, hr_error *err)
{
    hr_extents *e = &store->extents;
    hr_arena *arena = &store->arena;
    for (;;) {
        if (hr__ranges_take(&e->ranges, bytes, offset_out))
            return HR_OK;
        hr_segment *s =
            arena->segments.count ? &arena->segments.items[arena->segments.count - 1] : NULL;
        if (s && s->bytes - s->used_bytes >= bytes) {
            *offset_out = s->offset + s->used_bytes;
            s->used_bytes += bytes;
            return HR_OK;
        }
        uint64_t left_at = s ? s->offset + s->used_bytes : 0;
        uint64_t left = s ? s->bytes - s->used_bytes : 0;
        hr_status status = hr__arena_grow(arena, bytes, err);
        if (status == HR_OK && left) {
            hr__ranges_add(&e->ranges, left_at, left);
            arena->segments.items[arena->segments.count - 2].used_bytes += left;
        }
        // Out of address space: idle extents give theirs back until it fits or none is left.
        if (status && !hr__extent_trim(store, bytes))
            return store->used_bytes ? HR_AGAIN : status;
    }
}

static hr_status take_fresh(hr_store *store, uint64_t bytes, hr_extent **out, hr_error *err)
{
    hr_extent *x = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *x, &x, err));
    hr_status status = charge(store, bytes);
    if (status == HR_OK) {
        x->charged_bytes = bytes;
        x->bytes = class_bytes(bytes);
        x->class_index = class_index(x->bytes);
        status = take_space(store, x->bytes, &x->offset, err);
        if (status)
            uncharge(store, bytes);
    }
    if (status) {
        hr__free(x);
        return status;
    }
    const hr_segment *s = hr__arena_find(&store->arena, x->offset);
    x->memory = s->memory + (x->offset - s->offset);
    *out = x;
    return HR_OK;
}

hr_status hr__extent_take(hr_store *store, uint64_t bytes, hr_extent **out, hr_error *err)
{
    hr_extents *e = &store->extents;
    bytes = hr__page_up(HR_MAX(bytes, 1u));
    uint32_t first = class_index(class_bytes(bytes));
    // A warm extent up to a quarter too large beats fresh pages.
    for (uint32_t i = first; i < HR_MIN(first + 3, (uint32_t)HR_EXTENT_CLASSES); i++) {
        hr_extent *x = e->newest[i];
        if (!x)
            continue;
        unlink_idle(e, x);
        uint64_t more = bytes > x->charged_bytes ? bytes - x->charged_bytes : 0;
        if (more && charge(store, more) != HR_OK) {
            link_idle(e, x);
            continue;
        }
        x->charged_bytes += more;
        *out = x;
        return HR_OK;
    }
    return take_fresh(store, bytes, out, err);
}

void hr__extent_give(hr_store *store, hr_extent *extent)
{
    link_idle(&store->extents, extent);
}

void hr__extent_shrink(hr_store *store, hr_extent *extent, uint64_t bytes)
{
    bytes = hr__page_up(HR_MAX(bytes, 1u));
    if (extent->charged_bytes <= bytes)
        return;
    uint64_t less = extent->charged_bytes - bytes;
    extent->charged_bytes = bytes;
    punch(store, extent->offset + bytes, extent->bytes - bytes);
    uncharge(store, less);
}

void hr__extents_finish(hr_store *store)
{
    hr_extents *e = &store->extents;
    while (e->idle_oldest) {
        hr_extent *x = e->idle_oldest;
        unlink_idle(e, x);
        uncharge(store, x->charged_bytes);
        hr__free(x);
    }
    hr__ranges_finish(&e->ranges);
}
