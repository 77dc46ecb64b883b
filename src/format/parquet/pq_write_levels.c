// SPDX-License-Identifier: Apache-2.0
// The RLE and bit-packing hybrid, outwards (Encodings.md, RLE = 3).
//
//   run     := varint(length << 1) value, in whole bytes
//   packed  := varint(groups << 1 | 1), then groups of 8 values of `width` bits, lowest bit first
//
// The caller says runs, of length 1 where it has nothing better. A run first fills the group of 8 that is open; what
// is left of it becomes a run of its own if it is 8 or longer, else it opens the next group. A packed run has at most
// 63 groups, so that its header is one byte and can be written when its length is known.
#include "format/parquet/pq_write.h"

#define GROUPS_MAX 63

uint32_t hr__pqw_bit_width(uint64_t value_max)
{
    uint32_t width = 0;
    for (; value_max > 0; value_max >>= 1)
        width++;
    return width;
}

void hr__pqw_hybrid_reset(hr_pqw_hybrid *hybrid, uint32_t width)
{
    hybrid->out.count = 0;
    hybrid->width = width;
    hybrid->repeat = 0;
    hybrid->pending_count = 0;
    hybrid->groups = 0;
}

void hr__pqw_hybrid_release(hr_pqw_hybrid *hybrid)
{
    HR_VEC_FINISH(&hybrid->out);
}

// Writes the 8 pending values as a group of the open packed run.
static hr_status put_group(hr_pqw_hybrid *hybrid, hr_error *err)
{
    HR_TRY(HR_VEC_RESERVE(&hybrid->out, 1 + hybrid->width, err));
    uint8_t *out = hybrid->out.items;
    if (hybrid->groups == GROUPS_MAX)
        hybrid->groups = 0;
    if (hybrid->groups == 0)
        hybrid->header_at = hybrid->out.count++;
    uint64_t bits = 0;
    uint32_t held = 0;
    for (int i = 0; i < 8; i++) {
        bits |= (uint64_t)hybrid->pending[i] << held;
        for (held += hybrid->width; held >= 8; held -= 8, bits >>= 8)
            out[hybrid->out.count++] = (uint8_t)bits;
    }
    hybrid->groups++;
    out[hybrid->header_at] = (uint8_t)(hybrid->groups << 1 | 1);
    hybrid->pending_count = 0;
    return HR_OK;
}

static hr_status put_run(hr_pqw_hybrid *hybrid, hr_error *err)
{
    uint8_t value[4] = {(uint8_t)hybrid->value, (uint8_t)(hybrid->value >> 8),
                        (uint8_t)(hybrid->value >> 16), (uint8_t)(hybrid->value >> 24)};
    hybrid->groups = 0;
    HR_TRY(hr__pqw_varint(&hybrid->out, (uint64_t)hybrid->repeat << 1, err));
    return hr__pqw_put(&hybrid->out, value, (hybrid->width + 7) / 8, err);
}

hr_status hr__pqw_hybrid_flush(hr_pqw_hybrid *hybrid, hr_error *err)
{
    if (hybrid->pending_count > 0) {
        while (hybrid->pending_count < 8 && hybrid->repeat > 0) {
            hybrid->pending[hybrid->pending_count++] = hybrid->value;
            hybrid->repeat--;
        }
        if (hybrid->pending_count == 8)
            HR_TRY(put_group(hybrid, err));
    }
    if (hybrid->repeat >= 8) {
        HR_TRY(put_run(hybrid, err));
        hybrid->repeat = 0;
    }
    for (; hybrid->repeat > 0; hybrid->repeat--)
        hybrid->pending[hybrid->pending_count++] = hybrid->value;
    return HR_OK;
}

hr_status hr__pqw_hybrid_end(hr_pqw_hybrid *hybrid, hr_error *err)
{
    HR_TRY(hr__pqw_hybrid_flush(hybrid, err));
    if (hybrid->pending_count == 0)
        return HR_OK;
    while (hybrid->pending_count < 8)
        hybrid->pending[hybrid->pending_count++] = 0;
    return put_group(hybrid, err);
}
