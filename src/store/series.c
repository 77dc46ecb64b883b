// SPDX-License-Identifier: Apache-2.0
// Objects kept in plan order, and the cursors that say what is needed next.
#include "store/spill.h"

hr_status hr__series_open(hr_store *store, hr_series **out, hr_error *err)
{
    hr_series *series = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *series, &series, err));
    hr__store_hold(store);
    series->store = store;
    hr__mutex_lock(&store->lock);
    series->next = store->series;
    store->series = series;
    hr__mutex_unlock(&store->lock);
    *out = series;
    return HR_OK;
}

// Lock held. Before an object is kept for long, pages that its span does not reach go back: while nobody else can see
// it, because the lock is let go of.
static void shrink(hr_store *store, hr_entry *entry)
{
    hr_extent *extent = entry->extent;
    uint64_t need = hr__page_up(HR_MAX(entry->span_bytes, (size_t)1));
    if (!extent || entry->series_count || entry->io != HR_IO_NONE ||
        extent->charged_bytes - HR_MIN(need, extent->charged_bytes) < need / 8 + 65536)
        return;
    entry->pins++;
    store->used_bytes -= extent->charged_bytes;
    hr__extent_shrink(store, extent, need);
    store->used_bytes += extent->charged_bytes;
    entry->pins--;
}

static void keep(hr_store *store, hr_entry *entry)
{
    if (entry->series_count++ == 0 && entry->extent)
        store->kept_bytes += entry->extent->charged_bytes;
}

static void unkeep(hr_store *store, hr_entry *entry)
{
    HR_ASSERT(entry->series_count > 0);
    if (--entry->series_count == 0 && entry->extent)
        store->kept_bytes -= entry->extent->charged_bytes;
    entry->refs--;
    hr__entry_free_if_done(store, entry);
}

hr_status hr__series_add(hr_series *series, hr_object_id id, hr_error *err)
{
    hr_store *store = series->store;
    hr__mutex_lock(&store->lock);
    hr_entry *entry = hr__entry_find(store, id);
    HR_ASSERT(entry->state == HR_ENTRY_SEALED);
    hr_status status = HR_VEC_PUSH(&series->entries, entry, err);
    if (status == HR_OK) {
        hr__entry_leave_share(entry, !store->spill);
        shrink(store, entry);
        keep(store, entry);
        hr__evict_changed(store);
    }
    hr__mutex_unlock(&store->lock);
    if (status)
        hr__store_unref(store, id);
    return status;
}

void hr__series_set_distance(hr_series *series, uint64_t objects)
{
    hr__mutex_lock(&series->store->lock);
    series->distance = objects;
    hr__mutex_unlock(&series->store->lock);
}

size_t hr__series_count(const hr_series *series)
{
    hr__mutex_lock(&series->store->lock);
    size_t count = series->entries.count;
    hr__mutex_unlock(&series->store->lock);
    return count;
}

hr_object_id hr__series_at(const hr_series *series, size_t index)
{
    hr__mutex_lock(&series->store->lock);
    HR_ASSERT(index < series->entries.count);
    const hr_entry *entry = series->entries.items[index];
    hr__mutex_unlock(&series->store->lock);
    return (uint64_t)entry->generation << 32 | entry->index; // constant while the series keeps it
}

void hr__series_close(hr_series **series_)
{
    hr_series *series = *series_;
    *series_ = NULL;
    if (!series || hr__store_forked(series->store))
        return;
    hr_store *store = series->store;
    hr__mutex_lock(&store->lock);
    HR_ASSERT(!series->cursors);
    hr_series **at = &store->series;
    while (*at != series)
        at = &(*at)->next;
    *at = series->next;
    for (size_t i = 0; i < series->entries.count; i++)
        unkeep(store, series->entries.items[i]);
    hr__evict_changed(store);
    bool waiting = store->refused;
    store->refused = false;
    hr__mutex_unlock(&store->lock);
    HR_VEC_FINISH(&series->entries);
    hr__free(series);
    hr__store_room(store, waiting);
    hr__store_let_go(store);
}

hr_status hr__series_cursor_open(hr_series *series, bool cyclic, hr_series_cursor **out,
                                 hr_error *err)
{
    hr_series_cursor *cursor = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *cursor, &cursor, err));
    cursor->series = series;
    cursor->cyclic = cyclic;
    hr__mutex_lock(&series->store->lock);
    cursor->next = series->cursors;
    series->cursors = cursor;
    hr__evict_changed(series->store);
    hr__mutex_unlock(&series->store->lock);
    *out = cursor;
    return HR_OK;
}

void hr__series_cursor_move(hr_series_cursor *cursor, size_t index)
{
    hr_store *store = cursor->series->store;
    hr__mutex_lock(&store->lock);
    cursor->index = index;
    hr__evict_changed(store);
    hr__mutex_unlock(&store->lock);
}

void hr__series_cursor_close(hr_series_cursor **cursor_)
{
    hr_series_cursor *cursor = *cursor_;
    *cursor_ = NULL;
    if (!cursor || hr__store_forked(cursor->series->store))
        return;
    hr_store *store = cursor->series->store;
    hr__mutex_lock(&store->lock);
    hr_series_cursor **at = &cursor->series->cursors;
    while (*at != cursor)
        at = &(*at)->next;
    *at = cursor->next;
    hr__evict_changed(store);
    hr__mutex_unlock(&store->lock);
    hr__free(cursor);
}
