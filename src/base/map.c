// SPDX-License-Identifier: Apache-2.0
// The hash map: entries in order of insertion, and an index over them.
//
//     slots   [ 2 | - | 0 | x | 1 | ... ]      open addressing, linear; entry index, EMPTY or REMOVED
//     entries [ {hash, key, value} {..} {..} ]  in order of insertion; removed ones stay until the next rebuild
//     keys    "alphabetagamma..."               the copied keys, one after another
//
// The hash is seeded with the map's address and the time: names in a hostile file cannot be chosen to collide.
#include "base/map.h"
#include "base/hash.h"
#include "base/os.h"
#include "base/vec.h"

#include <string.h>

#define FIRST_SLOTS 16
#define EMPTY       UINT32_MAX
#define REMOVED     (UINT32_MAX - 1)
#define ENTRIES_MAX ((size_t)1 << 30)

typedef struct entry {
    uint64_t hash;
    uint64_t value;
    size_t key_offset;
    size_t key_bytes;
    bool live;
} entry;

struct hr_map {
    uint64_t seed;
    uint32_t *slots;
    size_t slot_count; // a power of two
    size_t slots_used; // live and REMOVED
    size_t live_count;
    HR_VEC(entry) entries;
    HR_VEC(char) keys;
};

hr_status hr__map_open(hr_map **out, hr_error *err)
{
    hr_map *map = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *map, &map, err));
    map->seed = hr__now_ns() ^ (uint64_t)(uintptr_t)map;
    *out = map;
    return HR_OK;
}

void hr__map_close(hr_map **map)
{
    hr_map *m = *map;
    if (!m)
        return;
    hr__free(m->slots);
    HR_VEC_FINISH(&m->entries);
    HR_VEC_FINISH(&m->keys);
    hr__free(m);
    *map = NULL;
}

// The slot that holds the key, or SIZE_MAX.
static size_t find(const hr_map *map, uint64_t hash, const void *key, size_t key_bytes)
{
    if (!map->slot_count)
        return SIZE_MAX;
    size_t mask = map->slot_count - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        uint32_t index = map->slots[at];
        if (index == EMPTY)
            return SIZE_MAX;
        if (index == REMOVED)
            continue;
        const entry *e = &map->entries.items[index];
        if (e->hash == hash && e->key_bytes == key_bytes &&
            (!key_bytes || memcmp(map->keys.items + e->key_offset, key, key_bytes) == 0))
            return at;
    }
}

static void insert_slot(hr_map *map, uint64_t hash, uint32_t index)
{
    size_t mask = map->slot_count - 1, at = hash & mask;
    while (map->slots[at] != EMPTY)
        at = (at + 1) & mask;
    map->slots[at] = index;
    map->slots_used++;
}

// Moves the live entries (and their keys) together: only when nothing can fail any more.
static void compact(hr_map *map)
{
    size_t to = 0, key_to = 0;
    for (size_t i = 0; i < map->entries.count; i++) {
        entry e = map->entries.items[i];
        if (!e.live)
            continue;
        if (e.key_bytes)
            memmove(map->keys.items + key_to, map->keys.items + e.key_offset, e.key_bytes);
        e.key_offset = key_to;
        key_to += e.key_bytes;
        map->entries.items[to++] = e;
    }
    map->entries.count = to;
    map->keys.count = key_to;
}

// A slot table at most half full after one more entry.
static hr_status rebuild(hr_map *map, hr_error *err)
{
    size_t slot_count = FIRST_SLOTS;
    uint32_t *slots = NULL;
    if (map->live_count >= ENTRIES_MAX)
        return HR_FAIL(err, HR_LIMIT, "a map of more than %zu entries", ENTRIES_MAX);
    while (slot_count < 2 * (map->live_count + 1))
        slot_count *= 2;
    HR_TRY(hr__alloc(slot_count * sizeof *slots, &slots, err));
    memset(slots, 0xFF, slot_count * sizeof *slots);
    hr__free(map->slots);
    map->slots = slots;
    map->slot_count = slot_count;
    map->slots_used = 0;
    compact(map);
    for (size_t i = 0; i < map->entries.count; i++)
        insert_slot(map, map->entries.items[i].hash, (uint32_t)i);
    return HR_OK;
}

hr_status hr__map_put(hr_map *map, const void *key, size_t key_bytes, uint64_t value, hr_error *err)
{
    uint64_t hash = hr__hash64(key, key_bytes, map->seed);
    size_t slot = find(map, hash, key, key_bytes);
    if (slot != SIZE_MAX) {
        map->entries.items[map->slots[slot]].value = value;
        return HR_OK;
    }
    // Three quarters full, or an entry array full of removed ones: rebuild, which also grows.
    if ((map->slots_used + 1) * 4 > map->slot_count * 3)
        HR_TRY(rebuild(map, err));
    HR_TRY(HR_VEC_RESERVE(&map->keys, key_bytes, err));
    HR_TRY(HR_VEC_RESERVE(&map->entries, 1, err));
    entry e = {hash, value, map->keys.count, key_bytes, true};
    if (key_bytes)
        memcpy(map->keys.items + map->keys.count, key, key_bytes);
    map->keys.count += key_bytes;
    insert_slot(map, hash, (uint32_t)map->entries.count);
    map->entries.items[map->entries.count++] = e;
    map->live_count++;
    return HR_OK;
}

bool hr__map_get(const hr_map *map, const void *key, size_t key_bytes, uint64_t *value_out)
{
    size_t slot = find(map, hr__hash64(key, key_bytes, map->seed), key, key_bytes);
    if (slot == SIZE_MAX)
        return false;
    if (value_out)
        *value_out = map->entries.items[map->slots[slot]].value;
    return true;
}

bool hr__map_remove(hr_map *map, const void *key, size_t key_bytes)
{
    size_t slot = find(map, hr__hash64(key, key_bytes, map->seed), key, key_bytes);
    if (slot == SIZE_MAX)
        return false;
    map->entries.items[map->slots[slot]].live = false;
    map->slots[slot] = REMOVED;
    map->live_count--;
    return true;
}
