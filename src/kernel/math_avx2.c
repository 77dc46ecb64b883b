// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of math_loops.h: the compiler vectorises them as they are.
#include "kernel/dispatch.h"
#include "kernel/math_loops.h"

void hr__math_fill_avx2(hr_kernels *kernels)
{
    math_fill(kernels);
}
