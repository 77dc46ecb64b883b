// SPDX-License-Identifier: Apache-2.0
/*
 * Prefix sums of deltas, as DELTA_BINARY_PACKED stores them (Parquet Encodings.md): a block has a least
 * delta and, bit-packed, what each delta has above it. Sums wrap, as the format demands, so they are made
 * in unsigned integers.
 */
#include "kernel/dispatch.h"
#include "kernel/loop.h"

static void delta_sum_i32(int32_t *out, const uint32_t *packed, size_t count, int32_t min_delta,
                          int32_t *last)
{
    uint32_t sum = (uint32_t)*last;
    for (size_t i = 0; i < count; i++) {
        sum += packed[i] + (uint32_t)min_delta;
        out[i] = (int32_t)sum;
    }
    *last = (int32_t)sum;
}

static void delta_sum_i64(int64_t *out, const uint64_t *packed, size_t count, int64_t min_delta,
                          int64_t *last)
{
    uint64_t sum = (uint64_t)*last;
    for (size_t i = 0; i < count; i++) {
        sum += packed[i] + (uint64_t)min_delta;
        out[i] = (int64_t)sum;
    }
    *last = (int64_t)sum;
}

void hr__delta_fill_c(hr_kernels *kernels)
{
    kernels->delta.sum_i32 = delta_sum_i32;
    kernels->delta.sum_i64 = delta_sum_i64;
}
