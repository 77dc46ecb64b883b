// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of compare_loops.h: the compiler vectorises them as they are.
#include "kernel/dispatch.h"
#include "kernel/compare_loops.h"

void hr__compare_fill_avx2(hr_kernels *kernels)
{
    compare_fill(kernels);
}
