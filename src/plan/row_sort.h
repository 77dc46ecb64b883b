// SPDX-License-Identifier: Apache-2.0
// The index of a global order: keys of rows, dealt to parts by their top bits, each part sorted by itself.
//
//   key          part = high 64 bits of key x parts; so part after part is the order of keys
//   in a part    the low 64 bits of the same product ascend with the key
//
// Rows of equal keys (there will hardly ever be two) keep the order in which they were entered.
#ifndef HR_PLAN_ROW_SORT_H
#define HR_PLAN_ROW_SORT_H

#include "kernel/kernel.h"
#include "plan/row_keys.h"

typedef struct hr_keyed_row {
    uint64_t key;
    hr_table_row row;
} hr_keyed_row;

HR_INLINE uint32_t hr__key_part(uint64_t key, uint32_t parts)
{
    return (uint32_t)(((unsigned __int128)key * parts) >> 64);
}

// Entries in the order of their parts, those of one part as they came. starts has parts + 1.
void hr__keys_deal(const hr_keyed_row *in, size_t count, uint32_t parts, hr_keyed_row *out,
                   uint32_t *starts);
// Entries of one part, sorted; `spare` has room for as many; buckets for hr__keys_buckets(count) + 1.
void hr__keys_sort(const hr_keyed_row *in, size_t count, uint32_t parts, hr_keyed_row *spare,
                   uint32_t *buckets, hr_table_row *out);
uint32_t hr__keys_buckets(size_t count);

#endif
