// SPDX-License-Identifier: Apache-2.0
// The reference object of affine_loops.h.
#include "kernel/affine_loops.h"
#include "kernel/dispatch.h"

void hr__affine_fill_c(hr_kernels *kernels)
{
    affine_fill(kernels);
}
