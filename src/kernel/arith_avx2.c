// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of arith_loops.h: the compiler vectorises them as they are.
#include "kernel/dispatch.h"
#include "kernel/arith_loops.h"

void hr__arith_fill_avx2(hr_kernels *kernels)
{
    arith_fill(kernels);
}
