// SPDX-License-Identifier: Apache-2.0
/*
 * Dictionary gather. Codes come from a file, so they are checked; to keep the check out of the gather, a
 * piece of codes is first reduced to its greatest (which vectorises), and only then used.
 */
#ifndef HR_KERNEL_DICT_LOOPS_H
#define HR_KERNEL_DICT_LOOPS_H

#include "kernel/rows_loops.h"

enum { DICT_PIECE_CODES = 1024 };

ROWS_GATHER(dict_rows, uint32_t)

static bool dict_check(const uint32_t *codes, size_t count, size_t entries)
{
    if (entries > UINT32_MAX)
        return true;
    for (size_t at = 0; at < count; at += DICT_PIECE_CODES) {
        size_t piece = HR_MIN(count - at, DICT_PIECE_CODES);
        uint32_t greatest = 0;
        for (size_t i = 0; i < piece; i++)
            greatest = HR_MAX(greatest, codes[at + i]);
        if (greatest >= entries)
            return false;
    }
    return true;
}

static bool dict_gather(void *out, const void *values, size_t entries, const uint32_t *codes,
                        size_t count, size_t width)
{
    for (size_t at = 0; at < count; at += DICT_PIECE_CODES) {
        size_t piece = HR_MIN(count - at, DICT_PIECE_CODES);
        if (!dict_check(codes + at, piece, entries))
            return false;
        dict_rows((uint8_t *)out + at * width, values, codes + at, piece, width);
    }
    return true;
}

static void dict_fill(hr_kernels *kernels)
{
    kernels->dict.gather = dict_gather;
    kernels->dict.check = dict_check;
}

#endif
