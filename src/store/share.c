// SPDX-License-Identifier: Apache-2.0
// Shares: parts of the arena promised to those that work side by side (a stream, a materialisation).
//
//   0 .................... used ....... promised (T)          least: kept free for the oldest piece and the next batch
//                                | least |                    leases: what consumers may keep, of T - least
//
// The promises of all open shares fit in the arena together: that is checked once, when a share opens, and never taken
// back; a share that needs no more gives its own back. So what others do decides nothing: urgent objects always find
// room up to the share's own promise, and others leave `least` and the leases that consumers have not taken yet. A
// share gets what makes it fast, and of a large arena more, but at most half of what is not promised (more only where
// pieces are large), so that those that open later find some. Beyond its promise the urgent may use what nobody was
// promised.
#include "store/share.h"

#include "base/text.h"
#include "store/evict.h"

#define LEASED_PIECES 3 // that a consumer may keep before it is handed copies, where they fit

// What the share has a right to, or has.
static uint64_t hold(const hr_share *share)
{
    return share->open ? HR_MAX(share->promised, share->used) : share->used;
}

uint64_t hr__shares_held(const hr_store *store, const hr_share *except)
{
    uint64_t bytes = 0;
    for (const hr_share *s = store->shares; s; s = s->next)
        bytes += s == except ? 0 : hold(s);
    // What may spill makes room; what may not is here to stay.
    return bytes + (store->spill ? 0 : store->kept_bytes);
}

static uint64_t left_of(const hr_store *store, const hr_share *share)
{
    return store->bytes_max - HR_MIN(store->bytes_max, hr__shares_held(store, share));
}

// Lock held. Not what others were promised and have not used.
static uint64_t not_promised(const hr_store *store, const hr_share *share)
{
    uint64_t bytes = store->used_bytes - store->idle_bytes; // those go when room is short
    for (const hr_share *s = store->shares; s; s = s->next)
        bytes += s == share ? 0 : hold(s) - s->used;
    return store->bytes_max - HR_MIN(store->bytes_max, bytes);
}

bool hr__share_allows(const hr_store *store, const hr_share *share, uint64_t bytes, bool urgent)
{
    if (urgent)
        return share->used + bytes <= share->promised || bytes <= not_promised(store, share);
    uint64_t unleased = share->lease_bytes - HR_MIN(share->lease_bytes, share->leased_bytes);
    return share->used + bytes + share->least + unleased <= share->promised;
}

hr_status hr__share_check(const hr_store *store, const hr_share *share, uint64_t bytes,
                          hr_error *err)
{
    uint64_t most = left_of(store, share);
    if (bytes <= HR_MAX(most, share->promised))
        return HR_OK;
    if (!store->spill && store->kept_bytes)
        return hr__evict_never(store, bytes, err);
    return HR_FAIL(
        err, HR_LIMIT,
        "store: an object of %llu bytes does not fit in the %llu bytes of shared memory "
        "that are not promised to other work: it needs a memory budget of at least %llu "
        "bytes",
        (unsigned long long)bytes, (unsigned long long)most,
        (unsigned long long)((store->bytes_max - most + bytes) / 3 * 4 + HR_EXTENT_BYTES_MIN));
}

static hr_status admit(hr_store *store, hr_share *share, const hr_share_want *want, hr_error *err)
{
    uint64_t left = left_of(store, NULL);
    char a[32], b[32], c[32], d[32];
    share->least = want->least;
    if (left == store->bytes_max) // alone: an estimate does not keep it from trying
        share->least = HR_MIN(share->least, left);
    if (share->least > left)
        return HR_FAIL(
            err, HR_LIMIT,
            "it needs %s of shared memory to go on; %s of %s are promised to what is open already: "
            "close some of it, or give a memory budget of at least %s",
            hr__format_bytes(share->least, a), hr__format_bytes(store->bytes_max - left, b),
            hr__format_bytes(store->bytes_max, c),
            hr__format_bytes((store->bytes_max - left + share->least) / 3 * 4 + 4, d));
    uint64_t usual = HR_MIN(left / 2, HR_MAX(want->fast, left / 8));
    share->promised = HR_MAX(usual, HR_MIN(left / 8 * 7, want->good));
    share->promised = HR_MAX(share->promised, share->least);
    uint64_t beside = share->promised - share->least;
    if (want->piece)
        share->lease_bytes = HR_MAX(beside / 2, HR_MIN(beside, LEASED_PIECES * want->piece));
    share->open = true;
    return HR_OK;
}

hr_status hr__share_open(hr_store *store, const hr_share_want *want, hr_share **out, hr_error *err)
{
    hr_share *share;
    HR_TRY(hr__alloc_zero(1, sizeof *share, &share, err));
    share->store = store;
    share->refs = 1;
    hr__mutex_lock(&store->lock);
    hr_status status = admit(store, share, want, err);
    if (status == HR_OK) {
        share->next = store->shares;
        store->shares = share;
    }
    hr__mutex_unlock(&store->lock);
    if (status)
        hr__free(share);
    else
        *out = share;
    return status;
}

void hr__share_drop(hr_share *share)
{
    HR_ASSERT(share->refs > 0);
    if (--share->refs)
        return;
    hr_share **at = &share->store->shares;
    while (*at != share)
        at = &(*at)->next;
    *at = share->next;
    hr__free(share);
}

static void end_share(hr_share *share, bool drop)
{
    hr_store *store = share->store;
    hr__mutex_lock(&store->lock);
    share->open = false;
    if (drop)
        hr__share_drop(share);
    bool waiting = store->refused; // its promise is free
    store->refused = false;
    hr__mutex_unlock(&store->lock);
    hr__store_room(store, waiting);
}

void hr__share_close(hr_share **share_)
{
    hr_share *share = *share_;
    *share_ = NULL;
    if (share && !hr__store_forked(share->store))
        end_share(share, true);
}

void hr__share_release(hr_share *share)
{
    end_share(share, false);
}

uint64_t hr__share_promised(hr_share *share)
{
    hr__mutex_lock(&share->store->lock);
    uint64_t bytes = share->promised;
    hr__mutex_unlock(&share->store->lock);
    return bytes;
}

uint64_t hr__share_lease_bytes(const hr_share *share)
{
    return share->lease_bytes; // constant
}

uint64_t hr__share_most(hr_share *share)
{
    hr__mutex_lock(&share->store->lock);
    uint64_t bytes = HR_MAX(left_of(share->store, share), share->promised);
    hr__mutex_unlock(&share->store->lock);
    return bytes;
}

bool hr__share_has_all(hr_share *share)
{
    hr_store *store = share->store;
    uint64_t promised = 0;
    hr__mutex_lock(&store->lock);
    uint64_t others = store->used_bytes - store->idle_bytes - share->used;
    for (const hr_share *s = store->shares; s; s = s->next)
        promised += s != share && s->open ? HR_MIN(s->used, s->promised) : 0;
    hr__mutex_unlock(&store->lock);
    return others <= promised;
}

void hr__share_raise(hr_share *share, uint64_t least)
{
    hr_store *store = share->store;
    hr__mutex_lock(&store->lock);
    share->least = HR_MAX(share->least, HR_MIN(least, share->promised));
    if (share->promised < least + share->lease_bytes)
        share->promised =
            HR_MAX(share->promised, HR_MIN(least + share->lease_bytes, left_of(store, share)));
    share->least = HR_MAX(share->least, HR_MIN(least, share->promised));
    hr__mutex_unlock(&store->lock);
}
