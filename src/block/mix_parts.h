// SPDX-License-Identifier: Apache-2.0
// What the files of a mix share (block_mix.c has the idea). Caller-serialised.
#ifndef HR_BLOCK_MIX_PARTS_H
#define HR_BLOCK_MIX_PARTS_H

#include "block/wire.h"
#include "kernel/kernel.h"

// A column of values of one width, to be taken.
typedef struct hr_mix_values {
    int32_t column;
    size_t width;
    void *to; // [rows]
} hr_mix_values;

enum { HR_MIX_TOGETHER = 4 };

typedef struct hr_mix {
    const hr_mixture *of;
    int64_t flat_rows;  // of all blocks
    hr_table_row *refs; // block and row of each row that comes out; made when a column wants them
    const void **bases; // of each block: its values of a column
    const void **offsets;
    int32_t *shifts; // of its codes
    bool *used;      // some row of it comes out
    void *flat;      // room for what is brought together
    size_t flat_bytes;
    hr_mix_values fours[HR_MIX_TOGETHER], eights[2]; // wait for others of their width
    int32_t four_count, eight_count;
} hr_mix;

int64_t hr__mix_rows(const hr_mixture *of);
const hr_column *hr__mix_column(const hr_mix *m, int32_t block, int32_t column);
// At least so many bytes at m->flat; what stood there is gone.
HR_USE_RESULT hr_status hr__mix_room(hr_mix *m, size_t bytes, hr_error *err);
// Takes the values, at hr__mix_values_end at the latest.
HR_USE_RESULT hr_status hr__mix_values(hr_mix *m, const hr_mix_values *values, hr_error *err);
HR_USE_RESULT hr_status hr__mix_values_end(hr_mix *m, hr_error *err);
// All that are bits: truth values, and which values are there.
HR_USE_RESULT hr_status hr__mix_bits(hr_mix *m, hr_builder *builder, hr_error *err);

#endif
