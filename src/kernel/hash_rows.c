// SPDX-License-Identifier: Apache-2.0
// The reference object of hash_rows_loops.h.
#include "kernel/dispatch.h"
#include "kernel/hash_rows_loops.h"

void hr__hash_rows_fill_c(hr_kernels *kernels)
{
    hash_fill(kernels);
}
