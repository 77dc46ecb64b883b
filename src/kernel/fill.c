// SPDX-License-Identifier: Apache-2.0
// The reference object of fill_loops.h.
#include "kernel/dispatch.h"
#include "kernel/fill_loops.h"

void hr__fill_fill_c(hr_kernels *kernels)
{
    fill_fill(kernels);
}
