// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of hash_rows_loops.h: the compiler vectorises them as they are.
#include "kernel/dispatch.h"
#include "kernel/hash_rows_loops.h"

void hr__hash_rows_fill_avx2(hr_kernels *kernels)
{
    hash_fill(kernels);
}
