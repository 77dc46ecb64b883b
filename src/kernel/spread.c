// SPDX-License-Identifier: Apache-2.0
// The reference object of spread_loops.h, and bits moved one by one.
#include "kernel/dispatch.h"
#include "kernel/loop.h"

static uint64_t deposit(uint64_t value, uint64_t mask)
{
    uint64_t word = 0;
    for (; mask; mask &= mask - 1, value >>= 1)
        word |= value & 1 ? mask & (0 - mask) : 0;
    return word;
}

static uint64_t extract(uint64_t value, uint64_t mask)
{
    uint64_t word = 0;
    for (unsigned k = 0; mask; mask &= mask - 1, k++)
        word |= (uint64_t)((value & mask & (0 - mask)) != 0) << k;
    return word;
}

#include "kernel/spread_loops.h"

void hr__spread_fill_c(hr_kernels *kernels)
{
    spread_fill(kernels);
}
