// SPDX-License-Identifier: Apache-2.0
// The reference object of unpack_loops.h.
#include "kernel/dispatch.h"
#include "kernel/unpack_loops.h"

void hr__unpack_fill_c(hr_kernels *kernels)
{
    kernels->unpack.to_u8 = unpack_to_u8;
    kernels->unpack.to_u16 = unpack_to_u16;
    kernels->unpack.to_u32 = unpack_to_u32;
    kernels->unpack.to_u64 = unpack_to_u64;
}
