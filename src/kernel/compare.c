// SPDX-License-Identifier: Apache-2.0
// The reference object of compare_loops.h.
#include "kernel/compare_loops.h"
#include "kernel/dispatch.h"

void hr__compare_fill_c(hr_kernels *kernels)
{
    compare_fill(kernels);
}
