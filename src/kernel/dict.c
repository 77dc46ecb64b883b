// SPDX-License-Identifier: Apache-2.0
// The reference object of dict_loops.h.
#include "kernel/dict_loops.h"
#include "kernel/dispatch.h"

void hr__dict_fill_c(hr_kernels *kernels)
{
    dict_fill(kernels);
}
