// SPDX-License-Identifier: Apache-2.0
// The reference object of reduce_loops.h.
#include "kernel/dispatch.h"
#include "kernel/reduce_loops.h"

void hr__reduce_fill_c(hr_kernels *kernels)
{
    reduce_fill(kernels);
}
