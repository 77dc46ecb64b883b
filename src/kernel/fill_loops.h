// SPDX-License-Identifier: Apache-2.0
/*
 * Constants and ramps. Stores are ordinary ones: what is filled here is read soon, by whoever gets the
 * batch, and should be found in a cache.
 */
#ifndef HR_KERNEL_FILL_LOOPS_H
#define HR_KERNEL_FILL_LOOPS_H

#include "kernel/loop.h"

#include <string.h>

#define FILL(NAME, AT, T)                                                                          \
    static void NAME(void *out, const void *value, size_t count)                                   \
    {                                                                                              \
        AT *to = out;                                                                              \
        const T constant = *(const AT *)value;                                                     \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = constant;                                                                      \
    }

FILL(fill_2, at_u16, uint16_t)
FILL(fill_4, at_u32, uint32_t)
FILL(fill_8, at_u64, uint64_t)

static void fill_constant(void *out, const void *value, size_t width, size_t count)
{
    if (count == 0)
        return;
    switch (width) {
    case 1:
        memset(out, *(const uint8_t *)value, count);
        return;
    case 2:
        fill_2(out, value, count);
        return;
    case 4:
        fill_4(out, value, count);
        return;
    case 8:
        fill_8(out, value, count);
        return;
    }
    // Other widths: the first value, then what is there already, doubled up to 4 KiB a copy.
    uint8_t *to = out;
    size_t done = width, total = width * count;
    memcpy(to, value, width);
    while (done < total) {
        size_t whole = HR_MIN(done, HR_MAX(4096 / width, 1) * width);
        size_t piece = HR_MIN(whole, total - done);
        memcpy(to + done, to, piece);
        done += piece;
    }
}

static void fill_iota_i32(int32_t *out, int32_t first, int32_t step, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (int32_t)((uint32_t)first + (uint32_t)i * (uint32_t)step);
}

static void fill_iota_i64(int64_t *out, int64_t first, int64_t step, size_t count)
{
    uint64_t value = (uint64_t)first;
    for (size_t i = 0; i < count; i++, value += (uint64_t)step)
        out[i] = (int64_t)value;
}

static void fill_range_rows(int64_t *out, int64_t first, size_t row_values, size_t rows)
{
    for (size_t row = 0; row < rows; row++, out += row_values) {
        const int64_t value = (int64_t)((uint64_t)first + row);
        for (size_t i = 0; i < row_values; i++)
            out[i] = value;
    }
}

#ifndef FILL_STREAM
static void fill_stream(void *out, const void *in, size_t bytes)
{
    memcpy(out, in, bytes);
}
#endif

static void fill_fill(hr_kernels *kernels)
{
    kernels->fill.constant = fill_constant;
    kernels->fill.iota_i32 = fill_iota_i32;
    kernels->fill.iota_i64 = fill_iota_i64;
    kernels->fill.range_rows = fill_range_rows;
    kernels->fill.stream = fill_stream;
}

#endif
