// SPDX-License-Identifier: Apache-2.0
// What each object of a family offers the table: a function that sets its entries. Private to the room.
#ifndef HR_KERNEL_DISPATCH_H
#define HR_KERNEL_DISPATCH_H

#include "kernel/kernel.h"

typedef void hr_kernels_fill_fn(hr_kernels *kernels);

// The references; together they set every entry.
hr_kernels_fill_fn hr__unpack_fill_c, hr__delta_fill_c, hr__byte_split_fill_c, hr__dict_fill_c;
hr_kernels_fill_fn hr__bits_fill_c, hr__spread_fill_c, hr__take_fill_c, hr__cast_fill_c;
hr_kernels_fill_fn hr__arith_fill_c, hr__compare_fill_c, hr__math_fill_c, hr__affine_fill_c;
hr_kernels_fill_fn hr__reduce_fill_c, hr__hash_rows_fill_c, hr__interleave_fill_c, hr__fill_fill_c;

// AVX2 with BMI1, BMI2, FMA and F16C: only what wins over the reference.
hr_kernels_fill_fn hr__unpack_fill_avx2, hr__delta_fill_avx2, hr__byte_split_fill_avx2;
hr_kernels_fill_fn hr__dict_fill_avx2, hr__bits_fill_avx2, hr__spread_fill_avx2, hr__cast_fill_avx2;
hr_kernels_fill_fn hr__arith_fill_avx2, hr__compare_fill_avx2, hr__math_fill_avx2;
hr_kernels_fill_fn hr__affine_fill_avx2, hr__reduce_fill_avx2, hr__hash_rows_fill_avx2;
hr_kernels_fill_fn hr__interleave_fill_avx2, hr__fill_fill_avx2, hr__take_fill_avx2;

#endif
