// SPDX-License-Identifier: Apache-2.0
// Keys are uniform, so one counting sort by the bits below the part leaves a few entries in each bucket, and an
// insertion sort over all of it moves each by a few places. Both run over memory that fits the second-level cache.
#include "plan/row_sort.h"

#include <string.h>

#define BUCKET_ROWS 4

static void starts_of_counts(uint32_t *starts, uint32_t parts)
{
    uint32_t at = 0;
    for (uint32_t p = 0; p <= parts; p++) {
        uint32_t count = starts[p];
        starts[p] = at;
        at += count;
    }
}

// Placing moved each start to where the next part begins.
static void put_back(uint32_t *starts, uint32_t parts)
{
    memmove(starts + 1, starts, parts * sizeof *starts);
    starts[0] = 0;
}

void hr__keys_deal(const hr_keyed_row *in, size_t count, uint32_t parts, hr_keyed_row *out,
                   uint32_t *starts)
{
    memset(starts, 0, ((size_t)parts + 1) * sizeof *starts);
    for (size_t i = 0; i < count; i++)
        starts[hr__key_part(in[i].key, parts)]++;
    starts_of_counts(starts, parts);
    for (size_t i = 0; i < count; i++)
        out[starts[hr__key_part(in[i].key, parts)]++] = in[i];
    put_back(starts, parts);
}

uint32_t hr__keys_buckets(size_t count)
{
    return (uint32_t)(count / BUCKET_ROWS) + 1;
}

static uint32_t bucket_of(uint64_t key, uint32_t parts, uint32_t buckets)
{
    uint64_t below = key * parts; // modulo 2^64
    return (uint32_t)(((unsigned __int128)below * buckets) >> 64);
}

void hr__keys_sort(const hr_keyed_row *in, size_t count, uint32_t parts, hr_keyed_row *spare,
                   uint32_t *buckets, hr_table_row *out)
{
    uint32_t n = hr__keys_buckets(count);
    memset(buckets, 0, ((size_t)n + 1) * sizeof *buckets);
    for (size_t i = 0; i < count; i++)
        buckets[bucket_of(in[i].key, parts, n)]++;
    starts_of_counts(buckets, n);
    for (size_t i = 0; i < count; i++)
        spare[buckets[bucket_of(in[i].key, parts, n)]++] = in[i];
    for (size_t i = 1; i < count; i++) {
        hr_keyed_row moved = spare[i];
        size_t at = i;
        for (; at > 0 && spare[at - 1].key > moved.key; at--)
            spare[at] = spare[at - 1];
        spare[at] = moved;
    }
    for (size_t i = 0; i < count; i++)
        out[i] = spare[i].row;
}
