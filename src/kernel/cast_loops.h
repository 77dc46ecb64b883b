// SPDX-License-Identifier: Apache-2.0
/*
 * A loop for every pair of types, over the conversions of convert.h, and the table of them.
 */
#ifndef HR_KERNEL_CAST_LOOPS_H
#define HR_KERNEL_CAST_LOOPS_H

#include "kernel/convert.h"

#define CAST(TO, TO_AT, FROM, FROM_AT)                                                             \
    static void cast_##FROM##_##TO(void *out, const void *in, size_t count)                        \
    {                                                                                              \
        TO_AT *to = out;                                                                           \
        const FROM_AT *from = in;                                                                  \
        HR_INDEPENDENT                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = TO_##TO(FROM_##FROM(from[i]));                                                 \
    }
#define CAST_SET(TO, TO_AT, FROM, ...)                                                             \
    kernels->cast.to[HR_NUM_##FROM][HR_NUM_##TO] = cast_##FROM##_##TO;

// The list cannot expand inside itself, so each source is spelled out once.
#define CAST_SOURCES(DO)                                                                           \
    HR_EACH_CAST(DO, I8, at_i8)                                                                    \
    HR_EACH_CAST(DO, I16, at_i16)                                                                  \
    HR_EACH_CAST(DO, I32, at_i32)                                                                  \
    HR_EACH_CAST(DO, I64, at_i64)                                                                  \
    HR_EACH_CAST(DO, U8, at_u8)                                                                    \
    HR_EACH_CAST(DO, U16, at_u16)                                                                  \
    HR_EACH_CAST(DO, U32, at_u32)                                                                  \
    HR_EACH_CAST(DO, U64, at_u64)                                                                  \
    HR_EACH_CAST(DO, F32, at_f32)                                                                  \
    HR_EACH_CAST(DO, F64, at_f64)                                                                  \
    HR_EACH_CAST(DO, F16, at_u16)                                                                  \
    HR_EACH_CAST(DO, BF16, at_u16)                                                                 \
    HR_EACH_CAST(DO, BOOL, at_u8)

CAST_SOURCES(CAST)

#define CAST_COPY(NAME, BYTES)                                                                     \
    static void NAME(void *out, const void *in, size_t count)                                      \
    {                                                                                              \
        if (count)                                                                                 \
            memmove(out, in, count *BYTES);                                                        \
    }
CAST_COPY(cast_copy_1, 1)
CAST_COPY(cast_copy_2, 2)
CAST_COPY(cast_copy_4, 4)
CAST_COPY(cast_copy_8, 8)

static void cast_fill(hr_kernels *kernels)
{
    static hr_cast_fn *const copies[9] = {
        [1] = cast_copy_1, [2] = cast_copy_2, [4] = cast_copy_4, [8] = cast_copy_8};
    CAST_SOURCES(CAST_SET)
    for (unsigned type = 0; type < HR_NUM_COUNT; type++)
        kernels->cast.to[type][type] = copies[hr__num_bytes((hr_num)type)];
}

#endif
