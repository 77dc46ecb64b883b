// SPDX-License-Identifier: Apache-2.0
// DELTA_BINARY_PACKED (Encodings.md): a header, then blocks of miniblocks, each bit-packed over its own width.
//
//   {values a block, miniblocks a block, values in all, first value}  blocks
//   block: {least delta}  a width byte each miniblock  miniblocks
//
// Sums wrap in the type's own width, as every writer's do. Counts are checked against the page's own, so that a header
// can ask for no more memory than the page declares.
#include "format/parquet/pq_page.h"
#include "kernel/kernel.h"
#include <inttypes.h>
#include <string.h>

#define CHUNK 1024

typedef struct delta {
    hr_cursor c;
    uint64_t block_values, miniblocks, miniblock_values;
    size_t width; // of a value: 4 or 8
    union {
        int32_t i32;
        int64_t i64;
    } last;
    int64_t min_delta;
    uint8_t *out;
    uint64_t left; // values to come
} delta;

static hr_status header(delta *d, int64_t values, hr_error *err)
{
    d->block_values = hr__cursor_varint(&d->c);
    d->miniblocks = hr__cursor_varint(&d->c);
    uint64_t total = hr__cursor_varint(&d->c);
    int64_t first = hr__cursor_zigzag(&d->c);
    if (d->c.failed)
        return HR_FAIL(err, HR_CORRUPT, "DELTA_BINARY_PACKED: its header is cut short");
    if (d->block_values == 0 || d->block_values % 128 || d->block_values > 1u << 24 ||
        d->miniblocks == 0 || d->block_values % d->miniblocks ||
        d->block_values / d->miniblocks % 32)
        return HR_FAIL(err, HR_CORRUPT,
                       "DELTA_BINARY_PACKED: blocks of %" PRIu64 " values in %" PRIu64
                       " miniblocks; allowed multiples of 128 up to 2^24, and of 32",
                       d->block_values, d->miniblocks);
    d->miniblock_values = d->block_values / d->miniblocks;
    if (total != (uint64_t)values)
        return HR_FAIL(err, HR_CORRUPT,
                       "DELTA_BINARY_PACKED: %" PRIu64 " values, the page has %" PRId64, total,
                       values);
    d->left = total;
    if (total == 0)
        return HR_OK;
    d->last.i64 = first;
    if (d->width == 4)
        d->last.i32 = (int32_t)first;
    memcpy(d->out, &d->last, d->width);
    d->out += d->width;
    d->left--;
    return HR_OK;
}

// Values of one miniblock whose packed bytes are at `bytes`.
static void unpack(delta *d, const uint8_t *bytes, size_t count, unsigned bits, size_t values)
{
    const hr_kernels *k = hr__kernels();
    uint64_t wide[CHUNK];
    for (size_t at = 0; at < values;) {
        size_t n = HR_MIN(values - at, CHUNK);
        if (d->width == 8) {
            k->unpack.to_u64(wide, bytes, count, bits, at, n);
            k->delta.sum_i64((int64_t *)wide, wide, n, d->min_delta, &d->last.i64);
            memcpy(d->out, wide, n * 8);
        } else {
            uint32_t *narrow = (uint32_t *)wide;
            if (bits <= 32)
                k->unpack.to_u32(narrow, bytes, count, bits, at, n);
            else
                for (size_t i = 0; i < n; i++) {
                    uint64_t one;
                    k->unpack.to_u64(&one, bytes, count, bits, at + i, 1);
                    narrow[i] = (uint32_t)one;
                }
            k->delta.sum_i32((int32_t *)narrow, narrow, n, (int32_t)d->min_delta, &d->last.i32);
            memcpy(d->out, narrow, n * 4);
        }
        d->out += n * d->width;
        at += n;
    }
}

static hr_status block(delta *d, hr_error *err)
{
    d->min_delta = hr__cursor_zigzag(&d->c);
    const uint8_t *widths = hr__cursor_take(&d->c, (size_t)d->miniblocks);
    if (!widths)
        return HR_FAIL(err, HR_CORRUPT,
                       "DELTA_BINARY_PACKED: cut short with %" PRIu64 " values to come", d->left);
    for (uint64_t m = 0; m < d->miniblocks && d->left > 0; m++) {
        unsigned bits = widths[m];
        uint64_t values = HR_MIN(d->left, d->miniblock_values);
        uint64_t stored = (d->miniblock_values * bits + 7) / 8, needed = (values * bits + 7) / 8;
        size_t there = hr__cursor_left(&d->c);
        if (bits > 64 || needed > there)
            return HR_FAIL(err, HR_CORRUPT,
                           "DELTA_BINARY_PACKED: a miniblock of %u bits a value takes %" PRIu64
                           " bytes, %zu are left",
                           bits, needed, there);
        // The last miniblock may lack its padding.
        size_t count = (size_t)HR_MIN(stored, there);
        unpack(d, hr__cursor_take(&d->c, count), count, bits, (size_t)values);
        d->left -= values;
    }
    return HR_OK;
}

hr_status hr__pq_delta_read(const uint8_t *bytes, size_t count, size_t width, int64_t values,
                            void *out, size_t *used_out, hr_error *err)
{
    delta d = {.c = hr__cursor(bytes, count), .width = width, .out = out};
    HR_TRY(header(&d, values, err));
    while (d.left > 0)
        HR_TRY(block(&d, err));
    *used_out = hr__cursor_offset(&d.c);
    return HR_OK;
}
