// SPDX-License-Identifier: Apache-2.0
// Free ranges of a file (address space of the arena, space of the spill file): a sorted array, neighbours joined.
// There are few of them: extents join this list only when their pages are punched, and blocks on disk go in plan order.
#include "store/store_priv.h"

#include <string.h>

// Index of the first range at or behind `offset`.
static size_t place(const hr_ranges *ranges, uint64_t offset)
{
    size_t low = 0, high = ranges->list.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges->list.items[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void erase(hr_ranges *ranges, size_t index)
{
    hr_range *items = ranges->list.items;
    memmove(items + index, items + index + 1, (ranges->list.count - index - 1) * sizeof *items);
    ranges->list.count--;
}

void hr__ranges_add(hr_ranges *ranges, uint64_t offset, uint64_t bytes)
{
    size_t at = place(ranges, offset);
    hr_range *items = ranges->list.items;
    bool joins_before = at > 0 && items[at - 1].offset + items[at - 1].bytes == offset;
    bool joins_after = at < ranges->list.count && offset + bytes == items[at].offset;
    HR_ASSERT(at == 0 || items[at - 1].offset + items[at - 1].bytes <= offset);
    HR_ASSERT(at == ranges->list.count || offset + bytes <= items[at].offset);
    if (joins_before && joins_after) {
        items[at - 1].bytes += bytes + items[at].bytes;
        erase(ranges, at);
    } else if (joins_before) {
        items[at - 1].bytes += bytes;
    } else if (joins_after) {
        items[at].offset = offset;
        items[at].bytes += bytes;
    } else if (HR_VEC_RESERVE(&ranges->list, 1, NULL) == HR_OK) {
        items = ranges->list.items;
        memmove(items + at + 1, items + at, (ranges->list.count - at) * sizeof *items);
        items[at] = (hr_range){offset, bytes};
        ranges->list.count++;
    }
}

bool hr__ranges_take(hr_ranges *ranges, uint64_t bytes, uint64_t *offset_out)
{
    for (size_t i = 0; i < ranges->list.count; i++) {
        hr_range *range = &ranges->list.items[i];
        if (range->bytes < bytes)
            continue;
        *offset_out = range->offset;
        range->offset += bytes;
        range->bytes -= bytes;
        if (!range->bytes)
            erase(ranges, i);
        return true;
    }
    return false;
}

void hr__ranges_finish(hr_ranges *ranges)
{
    HR_VEC_FINISH(&ranges->list);
}
