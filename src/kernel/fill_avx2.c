// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of fill_loops.h: the compiler vectorises them as they are.
#include "kernel/dispatch.h"
#include "kernel/fill_loops.h"

void hr__fill_fill_avx2(hr_kernels *kernels)
{
    fill_fill(kernels);
}
