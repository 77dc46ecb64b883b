// SPDX-License-Identifier: Apache-2.0
// Who leaves memory and who comes back: what object.c and series.c ask of evict.c and spill.c. All with store.lock
// held.
#ifndef HR_STORE_EVICT_H
#define HR_STORE_EVICT_H

#include "store/store_priv.h"

// Frees objects that have a disk copy already, farthest next use first, until `bytes` more fit or none is left.
bool hr__evict_now(hr_store *store, uint64_t bytes);
// Starts writing out until `bytes` fit. AGAIN: under way, or nothing can leave now. Else: why it will never fit.
HR_USE_RESULT hr_status hr__evict_start(hr_store *store, uint64_t bytes, hr_error *err);
// LIMIT: kept data and `bytes` more do not fit where nothing may spill.
hr_status hr__evict_never(const hr_store *store, uint64_t bytes, hr_error *err);
// Memory was taken or given back: wakes the spill threads when that gives them work.
void hr__evict_watch(hr_store *store);
// An object that a series keeps was unpinned: it may leave. Room came: somebody may come back.
void hr__evict_unpinned(hr_store *store);
void hr__evict_room(hr_store *store);
// Who may leave or who is needed changed: objects, pins, cursors.
void hr__evict_changed(hr_store *store);
// Asks for an object that is on disk: AGAIN, or the error of an earlier try.
HR_USE_RESULT hr_status hr__restore_want(hr_store *store, hr_entry *entry, hr_error *err);
// The object is going: its disk copy is free.
void hr__offered_idle(hr_store *store, hr_entry *entry); // nobody else holds it any more. Lock held
bool hr__offered_drop(hr_store *store, uint64_t bytes); // offer.c. Lock held; false: there was none
void hr__spill_forget(hr_store *store, hr_entry *entry);

// object.c, for them
// Counts to no share any more; for_good: it stays in memory nevertheless.
void hr__entry_join_share(hr_entry *entry, hr_share *share);
void hr__entry_leave_share(hr_entry *entry, bool for_good);
void hr__entry_drop_memory(hr_store *store, hr_entry *entry);
void hr__entry_set_memory(hr_store *store, hr_entry *entry, hr_extent *extent);
HR_USE_RESULT hr_status hr__room_take(hr_store *store, uint64_t bytes, bool urgent, hr_extent **out,
                                      hr_error *err);

#endif
