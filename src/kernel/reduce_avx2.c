// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of reduce_loops.h: the compiler vectorises them as they are.
#include "kernel/dispatch.h"
#include "kernel/reduce_loops.h"

void hr__reduce_fill_avx2(hr_kernels *kernels)
{
    reduce_fill(kernels);
}
