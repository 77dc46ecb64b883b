// SPDX-License-Identifier: Apache-2.0
// The reference object of cast_loops.h, and decimals.
#include "kernel/cast_loops.h"
#include "kernel/dispatch.h"

static void cast_decimal(uint8_t *out, const uint8_t *in, size_t width, size_t count)
{
    for (size_t i = 0; i < count; i++, in += width, out += 16) {
        uint64_t low, high = in[0] & 0x80 ? ~0ull : 0;
        low = high;
        for (size_t j = 0; j < width; j++) {
            high = high << 8 | low >> 56;
            low = low << 8 | in[j];
        }
        store64(out, low);
        store64(out + 8, high);
    }
}

void hr__cast_fill_c(hr_kernels *kernels)
{
    cast_fill(kernels);
    kernels->cast.decimal = cast_decimal;
}
