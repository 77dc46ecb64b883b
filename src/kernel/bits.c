// SPDX-License-Identifier: Apache-2.0
// The reference object of bits_loops.h.
#include "kernel/dispatch.h"
#include "kernel/bits_loops.h"

void hr__bits_fill_c(hr_kernels *kernels)
{
    bits_fill(kernels);
}
