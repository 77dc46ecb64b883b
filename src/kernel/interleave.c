// SPDX-License-Identifier: Apache-2.0
// The reference object of interleave_loops.h.
#include "kernel/dispatch.h"
#include "kernel/interleave_loops.h"

TRANSPOSE_PLAIN(transpose_f32, float, at_f32)
TRANSPOSE_PLAIN(transpose_f64, double, at_f64)
INTERLEAVE(interleave_to_f32, float, at_f32, F32, transpose_f32)
INTERLEAVE(interleave_to_f64, double, at_f64, F64, transpose_f64)

void hr__interleave_fill_c(hr_kernels *kernels)
{
    kernels->interleave.to_f32 = interleave_to_f32;
    kernels->interleave.to_f64 = interleave_to_f64;
    kernels->interleave.strided = interleave_strided;
}
