// SPDX-License-Identifier: Apache-2.0
/*
 * The table, filled weakest instruction set first: the references set every entry, each better set then
 * overwrites what it does better. The first caller fills it; others that come meanwhile wait for the few
 * microseconds that takes.
 */
#include "kernel/dispatch.h"

#include <stdatomic.h>

#include "base/cpu.h"

static void fill_c(hr_kernels *kernels)
{
    static hr_kernels_fill_fn *const fills[] = {
        hr__unpack_fill_c, hr__delta_fill_c,     hr__byte_split_fill_c, hr__dict_fill_c,
        hr__bits_fill_c,   hr__spread_fill_c,    hr__take_fill_c,       hr__cast_fill_c,
        hr__arith_fill_c,  hr__compare_fill_c,   hr__math_fill_c,       hr__affine_fill_c,
        hr__reduce_fill_c, hr__hash_rows_fill_c, hr__interleave_fill_c, hr__fill_fill_c,
    };
    for (size_t i = 0; i < HR_COUNTOF(fills); i++)
        fills[i](kernels);
}

#ifdef HR_KERNEL_AVX2
static void fill_avx2(hr_kernels *kernels)
{
    static hr_kernels_fill_fn *const fills[] = {
        hr__unpack_fill_avx2,    hr__delta_fill_avx2,      hr__byte_split_fill_avx2,
        hr__dict_fill_avx2,      hr__bits_fill_avx2,       hr__spread_fill_avx2,
        hr__cast_fill_avx2,      hr__arith_fill_avx2,      hr__compare_fill_avx2,
        hr__math_fill_avx2,      hr__affine_fill_avx2,     hr__reduce_fill_avx2,
        hr__hash_rows_fill_avx2, hr__interleave_fill_avx2, hr__fill_fill_avx2,
        hr__take_fill_avx2,
    };
    for (size_t i = 0; i < HR_COUNTOF(fills); i++)
        fills[i](kernels);
}
#endif

void hr__kernels_fill(hr_kernels *kernels, unsigned features)
{
    fill_c(kernels);
#ifdef HR_KERNEL_AVX2
    if (!(features & HR_CPU_AVX2))
        return;
    fill_avx2(kernels);
#endif
}

const char *hr__kernels_isa(unsigned features)
{
#ifdef HR_KERNEL_AVX2
    if (features & HR_CPU_AVX2)
        return "avx2";
#endif
    return "c";
}

const hr_kernels *hr__kernels(void)
{
    enum { EMPTY, FILLING, FILLED };
    static hr_kernels table;
    static atomic_int state;
    // Acquire pairs with the release below: who sees FILLED sees the table.
    if (HR_LIKELY(atomic_load_explicit(&state, memory_order_acquire) == FILLED))
        return &table;
    int expected = EMPTY;
    if (atomic_compare_exchange_strong_explicit(&state, &expected, FILLING, memory_order_acquire,
                                                memory_order_acquire)) {
        hr__kernels_fill(&table, hr__cpu_features());
        atomic_store_explicit(&state, FILLED, memory_order_release);
        return &table;
    }
    while (atomic_load_explicit(&state, memory_order_acquire) != FILLED)
        ;
    return &table;
}
