// SPDX-License-Identifier: Apache-2.0
// Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11, section 3.4).
//
// The key is the seed; the 128-bit counter is (counter, stream), low word first. What these functions return is part of
// the promise that order depends on data, seed and epoch alone: a change here changes every shuffle ever resumed.
#include "base/rng.h"

#define ROUNDS     10
#define MULTIPLY_0 UINT32_C(0xD2511F53)
#define MULTIPLY_1 UINT32_C(0xCD9E8D57)
#define WEYL_0     UINT32_C(0x9E3779B9)
#define WEYL_1     UINT32_C(0xBB67AE85)

// Added to the seed for each draw that had to be made again.
#define RETRY_STEP UINT64_C(0xD1B54A32D192ED03)

void hr__rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4])
{
    uint32_t x0 = (uint32_t)counter, x1 = (uint32_t)(counter >> 32);
    uint32_t x2 = (uint32_t)stream, x3 = (uint32_t)(stream >> 32);
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)MULTIPLY_0 * x0, p1 = (uint64_t)MULTIPLY_1 * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ key0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ key1;
        x3 = (uint32_t)p0;
        key0 += WEYL_0;
        key1 += WEYL_1;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

uint64_t hr__rng_u64(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint32_t out[4];
    hr__rng_block(seed, stream, counter, out);
    return (uint64_t)out[1] << 32 | out[0];
}

uint64_t hr__rng_below(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t bound)
{
    HR_ASSERT(bound > 0);
    // Lemire, "Fast Random Integer Generation in an Interval" (2019): the high half of draw * bound, unless the low
    // half falls in the part that would make some results likelier than others.
    uint64_t rejected_below = -bound % bound;
    for (;; seed += RETRY_STEP) {
        uint32_t out[4];
        hr__rng_block(seed, stream, counter, out);
        for (int half = 0; half < 4; half += 2) {
            uint64_t draw = (uint64_t)out[half + 1] << 32 | out[half];
            unsigned __int128 product = (unsigned __int128)draw * bound;
            if ((uint64_t)product >= rejected_below)
                return (uint64_t)(product >> 64);
        }
    }
}

void hr__rng_permute(uint64_t seed, uint64_t stream, uint32_t *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = i;
    // One block serves four steps: step i takes word i % 4 of block i / 4. A word that must be drawn again (once in
    // 2^32 / i) comes from a counter no block of this loop has.
    uint32_t words[4], block = UINT32_MAX;
    for (uint32_t i = count; i-- > 1;) {
        uint64_t bound = (uint64_t)i + 1;
        if (block != i / 4) {
            block = i / 4;
            hr__rng_block(seed, stream, block, words);
        }
        uint64_t product = words[i % 4] * bound;
        uint64_t j = product >> 32;
        // What is rejected is below 2^32 % bound, and so below bound: mostly nothing need be divided.
        if (HR_UNLIKELY((uint32_t)product < bound) &&
            (uint32_t)product < (UINT64_C(1) << 32) % bound)
            j = hr__rng_below(seed, stream, UINT64_C(1) << 32 | i, bound);
        uint32_t swapped = out[i];
        out[i] = out[j];
        out[j] = swapped;
    }
}

uint64_t hr__rng_stream(unsigned purpose, uint64_t index)
{
    HR_ASSERT(purpose < 256 && index < UINT64_C(1) << 56);
    return (uint64_t)purpose << 56 | index;
}
