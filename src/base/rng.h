// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: a pure function of (seed, stream, counter), so that no thread and no retry can
// change a draw. Philox 4x32-10 (Salmon et al., SC'11), of which one call gives 128 bits.
#ifndef HR_BASE_RNG_H
#define HR_BASE_RNG_H

#include "base/compiler.h"

void hr__rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);
uint64_t hr__rng_u64(uint64_t seed, uint64_t stream, uint64_t counter);
uint64_t hr__rng_below(uint64_t seed, uint64_t stream, uint64_t counter,
                       uint64_t bound); // uniform, no modulo bias
// A permutation of 0..count-1 (Fisher-Yates over the stream's counters).
void hr__rng_permute(uint64_t seed, uint64_t stream, uint32_t *out, uint32_t count);
// Streams of one seed that must not meet: hr__rng_stream(HR_RNG_BLOCK_ORDER, epoch).
enum { HR_RNG_BLOCK_ORDER = 1, HR_RNG_WINDOW = 2, HR_RNG_SAMPLE = 3, HR_RNG_GLOBAL = 4 };
uint64_t hr__rng_stream(unsigned purpose, uint64_t index);

#endif
