// SPDX-License-Identifier: Apache-2.0
// A share inside, for object.c and channel.c. All with store.lock held.
#ifndef HR_STORE_SHARE_H
#define HR_STORE_SHARE_H

#include "store/store_priv.h"

struct hr_share {
    struct hr_share *next; // the store's list, until nothing of it is left
    hr_store *store;
    uint64_t promised, least;
    uint64_t used;         // of its objects that no series keeps
    uint64_t leased_bytes; // at its consumers, as far as their channels know
    uint64_t lease_bytes;  // constant: they may have so many
    uint64_t refs;         // who opened it, its objects, its channels
    bool open;             // and more may be made in it
};

// Bytes that shares (but `except`) have or were promised.
uint64_t hr__shares_held(const hr_store *store, const hr_share *except);
bool hr__share_allows(const hr_store *store, const hr_share *share, uint64_t bytes, bool urgent);
// LIMIT: it will never be allowed, whatever comes back.
HR_USE_RESULT hr_status hr__share_check(const hr_store *store, const hr_share *share,
                                        uint64_t bytes, hr_error *err);
void hr__share_drop(hr_share *share); // a reference

#endif
