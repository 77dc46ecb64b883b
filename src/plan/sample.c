// SPDX-License-Identifier: Apache-2.0
// Samples: each row is kept or not by a key of (seed, unit, row), so no thread, retry or batch size has a say, and
// every epoch keeps the same rows unless others are wanted.
//
// A row's number is that in its fragment, before anything is done to it: sampling and all that is done row by row may
// change places, so samples move down to the leaves. Above a function, whose rows have no such numbers, it is the
// number in the order of rows that the function gives.
#include "base/hash.h"
#include "plan/plan_internal.h"
#include "plan/row_keys.h"

int64_t hr__sample_rows(const hr_row_sample *sample, uint32_t *rows, int64_t count)
{
    for (int32_t s = 0; s < sample->count; s++) {
        const hr_sample *by = &sample->samples[s];
        hr_row_keys keys = hr__row_keys(by->seed, HR_RNG_SAMPLE,
                                        by->each_epoch ? sample->epoch + 1 : 0, sample->unit);
        int64_t kept = 0;
        for (int64_t i = 0; i < count; i++) {
            uint32_t row = rows[i];
            rows[kept] = row;
            kept += hr__row_key(&keys, (uint64_t)(sample->row + row)) < by->below;
        }
        count = kept;
    }
    return count;
}

hr_row_sample hr__unit_sample(const hr_unit *unit, int64_t first)
{
    const hr_branch *b = unit->branch;
    uint64_t name[] = {b->salt, b->inner ? 0 : (uint64_t)unit->part,
                       b->inner ? 0 : (uint64_t)unit->fragment};
    return (hr_row_sample){
        .samples = b->samples,
        .count = b->sample_count,
        .epoch = unit->epoch,
        .unit = hr__hash64(name, sizeof name, 0),
        .row = b->inner ? unit->row_index + first - unit->first : first,
    };
}
