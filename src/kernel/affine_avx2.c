// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of affine_loops.h: the compiler vectorises them as they are.
#include "kernel/dispatch.h"
#include "kernel/affine_loops.h"

void hr__affine_fill_avx2(hr_kernels *kernels)
{
    affine_fill(kernels);
}
