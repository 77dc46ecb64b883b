// SPDX-License-Identifier: Apache-2.0
// Who leaves memory when it is short.
#include "store/evict.h"

bool hr__evict_now(hr_store *store, uint64_t bytes)
{
    return false;
}

hr_status hr__evict_start(hr_store *store, uint64_t bytes, hr_error *err)
{
    return HR_AGAIN;
}

void hr__evict_watch(hr_store *store) {}

hr_status hr__restore_want(hr_store *store, hr_entry *entry, hr_error *err)
{
    return HR_AGAIN;
}

void hr__spill_forget(hr_store *store, hr_entry *entry) {}

void hr__restore_ahead(hr_store *store, hr_entry *entry) {}
