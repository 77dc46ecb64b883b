// SPDX-License-Identifier: Apache-2.0
// Keys of rows: 64 bits that a row has of (seed, purpose, epoch, unit, row in the unit), whoever asks and whenever.
//
// A global order is the rows sorted by their keys; a sample is the rows whose keys are small. Two words of Philox
// name the unit, a mixing function whose every output bit depends on every input bit names the row: some nanoseconds
// a row. What these return is part of the promise that order depends on data, seed and epoch alone: a test has their
// values.
#ifndef HR_PLAN_ROW_KEYS_H
#define HR_PLAN_ROW_KEYS_H

#include "base/rng.h"

typedef struct hr_row_keys {
    uint64_t add, flip; // of the unit
} hr_row_keys;

HR_INLINE hr_row_keys hr__row_keys(uint64_t seed, unsigned purpose, uint64_t epoch, uint64_t unit)
{
    uint32_t words[4];
    hr__rng_block(seed, hr__rng_stream(purpose, epoch), unit, words);
    return (hr_row_keys){(uint64_t)words[1] << 32 | words[0], (uint64_t)words[3] << 32 | words[2]};
}

// Stafford's variant 13 of the finaliser of MurmurHash3, as in SplitMix64 (Steele, Lea, Flood, OOPSLA'14).
HR_INLINE uint64_t hr__row_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

// Twice, with another word of the unit between: units whose first words happen to lie close share no run of keys.
HR_INLINE uint64_t hr__row_key(const hr_row_keys *keys, uint64_t row)
{
    uint64_t x = hr__row_mix(keys->add + row * UINT64_C(0x9E3779B97F4A7C15));
    return hr__row_mix(x ^ keys->flip);
}

#endif
