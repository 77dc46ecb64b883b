// SPDX-License-Identifier: Apache-2.0
// The reference object of byte_split_loops.h, and the way back for writers.
#include "kernel/byte_split_loops.h"
#include "kernel/dispatch.h"

static void byte_split_join(uint8_t *out, const uint8_t *in, size_t stream_bytes, size_t width,
                            size_t count)
{
    switch (width) {
    case 2:
        join_2(out, in, stream_bytes, count);
        break;
    case 4:
        join_4(out, in, stream_bytes, count);
        break;
    case 8:
        join_8(out, in, stream_bytes, count);
        break;
    default:
        join_any(out, in, stream_bytes, width, count);
    }
}

static void byte_split_split(uint8_t *out, size_t stream_bytes, const uint8_t *in, size_t width,
                             size_t count)
{
    for (size_t at = 0; at < count; at += PIECE_VALUES) {
        size_t end = HR_MIN(at + PIECE_VALUES, count);
        for (size_t j = 0; j < width; j++)
            for (size_t i = at; i < end; i++)
                out[j * stream_bytes + i] = in[i * width + j];
    }
}

void hr__byte_split_fill_c(hr_kernels *kernels)
{
    kernels->byte_split.join = byte_split_join;
    kernels->byte_split.split = byte_split_split;
}
