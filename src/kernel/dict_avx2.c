// SPDX-License-Identifier: Apache-2.0
// The AVX2 object of dict_loops.h: the compiler vectorises them as they are.
#include "kernel/dispatch.h"
#include "kernel/dict_loops.h"

void hr__dict_fill_avx2(hr_kernels *kernels)
{
    dict_fill(kernels);
}
