// SPDX-License-Identifier: Apache-2.0
// Checks of bitmaps, and of what moves by them.
#include "kernel/check/check.h"

static void put_bit(uint8_t *bits, size_t index, bool value)
{
    uint8_t mask = (uint8_t)(1 << index % 8);
    bits[index / 8] = (uint8_t)(value ? bits[index / 8] | mask : bits[index / 8] & ~mask);
}

/** An output bitmap and its twin, which plain code fills: equal afterwards, to the bits around the range. */
typedef struct twin {
    uint8_t *out, *want;
    size_t offset, bytes;
} twin;

static twin twin_of(hr_check *check, size_t count)
{
    twin t = {.offset = hr__check_below(check, 20)};
    t.bytes = (t.offset + count + 7) / 8;
    t.out = hr__check_bytes(check, t.bytes);
    t.want = hr__check_bytes(check, t.bytes);
    memcpy(t.want, t.out, t.bytes);
    return t;
}

static bool twin_same(const twin *t)
{
    return memcmp(t->out, t->want, t->bytes) == 0;
}

static void check_from_bytes(hr_check *check, size_t count)
{
    twin t = twin_of(check, count);
    uint8_t *bytes = hr__check_bytes(check, count);
    size_t truths = 0;
    for (size_t i = 0; i < count; i++) {
        bytes[i] = bytes[i] % 3 ? bytes[i] % 4 : bytes[i];
        put_bit(t.want, t.offset + i, bytes[i] != 0);
        truths += bytes[i] != 0;
    }
    CLAIM(check, check->kernels->bits.from_bytes(t.out, t.offset, bytes, count) == truths, count,
          t.offset);
    CLAIM(check, twin_same(&t), count, 0);
}

void hr__check_bits(hr_check *check)
{
    size_t count = hr__check_below(check, 700), offset = hr__check_below(check, 20), total = 0;
    const uint8_t *bits = hr__check_bitmap(check, offset + count);
    for (size_t i = 0; i < count; i++)
        total += bit_at(bits, offset + i);
    CLAIM(check, check->kernels->bits.count(bits, offset, count) == total, count, offset);

    uint32_t *positions = hr__check_words(check, total * 4);
    CLAIM(check, check->kernels->bits.positions(positions, bits, offset, count, 77) == total, count,
          offset);
    uint8_t *bytes = hr__check_bytes(check, count);
    check->kernels->bits.to_bytes(bytes, bits, offset, count);
    for (size_t i = 0, k = 0; i < count; i++) {
        CLAIM(check, bytes[i] == bit_at(bits, offset + i), i, offset);
        if (bit_at(bits, offset + i))
            CLAIM(check, positions[k++] == 77 + i, i, offset);
    }
    bool value = hr__check_random(check) & 1;
    twin t = twin_of(check, count);
    for (size_t i = 0; i < count; i++)
        put_bit(t.want, t.offset + i, value);
    check->kernels->bits.set(t.out, t.offset, count, value);
    CLAIM(check, twin_same(&t), count, t.offset);
    check_from_bytes(check, count);
}

void hr__check_bits_logic(hr_check *check)
{
    size_t count = hr__check_below(check, 400);
    size_t a_offset = hr__check_below(check, 20), b_offset = hr__check_below(check, 20);
    const uint8_t *a = hr__check_bitmap(check, a_offset + count);
    const uint8_t *b = hr__check_bitmap(check, b_offset + count);
    for (unsigned op = 0; op < HR_LOGIC_COUNT + 1; op++) {
        twin t = twin_of(check, count);
        for (size_t i = 0; i < count; i++) {
            bool x = bit_at(a, a_offset + i), y = bit_at(b, b_offset + i);
            const bool want[HR_LOGIC_COUNT + 1] = {x && y, x || y, x != y, x && !y, x};
            put_bit(t.want, t.offset + i, want[op]);
        }
        if (op < HR_LOGIC_COUNT)
            check->kernels->bits.logic[op](t.out, t.offset, a, a_offset, b, b_offset, count);
        else
            check->kernels->bits.copy(t.out, t.offset, a, a_offset, count);
        CLAIM(check, twin_same(&t), op, count);
        uint8_t *same = hr__check_bytes(check, t.bytes);
        memcpy(same, t.out, t.bytes);
        if (op < HR_LOGIC_COUNT) {
            // In place with an input of the same offset: and, or with itself; xor, andnot give zeros.
            check->kernels->bits.logic[op](same, t.offset, same, t.offset, t.out, t.offset, count);
            bool stays = op == HR_LOGIC_AND || op == HR_LOGIC_OR;
            for (size_t i = 0; i < count; i++)
                CLAIM(check, bit_at(same, t.offset + i) == (stays && bit_at(t.out, t.offset + i)),
                      op, i);
        }
    }
}

static void check_spread_bits(hr_check *check, const uint8_t *bits, size_t offset, size_t rows,
                              size_t total)
{
    size_t in_offset = hr__check_below(check, 20);
    const uint8_t *dense = hr__check_bytes(check, (in_offset + total + 7) / 8);
    const uint8_t *sparse = hr__check_bytes(check, (in_offset + rows + 7) / 8);
    twin wide = twin_of(check, rows), narrow = twin_of(check, total);
    for (size_t i = 0, k = 0; i < rows; i++) {
        bool bit = bit_at(bits, offset + i);
        put_bit(wide.want, wide.offset + i, bit && bit_at(dense, in_offset + k));
        if (bit)
            put_bit(narrow.want, narrow.offset + k++, bit_at(sparse, in_offset + i));
    }
    CLAIM(check,
          check->kernels->spread.spread_bits(wide.out, wide.offset, dense, in_offset, bits, offset,
                                             rows) == total,
          rows, total);
    CLAIM(check,
          check->kernels->spread.compact_bits(narrow.out, narrow.offset, sparse, in_offset, bits,
                                              offset, rows) == total,
          rows, total);
    CLAIM(check, twin_same(&wide) && twin_same(&narrow), rows, total);
}

void hr__check_spread(hr_check *check)
{
    static const size_t widths[] = {1, 2, 3, 4, 8, 12, 16, 33};
    size_t rows = hr__check_below(check, 500), offset = hr__check_below(check, 20), total = 0;
    const uint8_t *bits = hr__check_bitmap(check, offset + rows);
    for (size_t i = 0; i < rows; i++)
        total += bit_at(bits, offset + i);
    for (size_t w = 0; w < HR_COUNTOF(widths); w++) {
        size_t width = widths[w];
        const uint8_t *dense = hr__check_bytes(check, total * width);
        uint8_t *wide = hr__check_bytes(check, rows * width);
        uint8_t *same = hr__check_bytes(check, rows * width);
        uint8_t *narrow = hr__check_bytes(check, total * width);
        memcpy(same, dense, total * width);
        CLAIM(check, check->kernels->spread.spread(wide, dense, bits, offset, rows, width) == total,
              width, rows);
        CLAIM(check, check->kernels->spread.spread(same, same, bits, offset, rows, width) == total,
              width, rows);
        static const uint8_t zeros[64];
        for (size_t i = 0, k = 0; i < rows; i++) {
            const uint8_t *want = bit_at(bits, offset + i) ? dense + k++ * width : zeros;
            CLAIM(check, memcmp(wide + i * width, want, width) == 0, width, i);
        }
        CLAIM(check, memcmp(wide, same, rows * width) == 0, width, rows);
        CLAIM(check,
              check->kernels->spread.compact(narrow, wide, bits, offset, rows, width) == total,
              width, rows);
        CLAIM(check, memcmp(narrow, dense, total * width) == 0, width, rows);
        CLAIM(check, check->kernels->spread.compact(same, same, bits, offset, rows, width) == total,
              width, rows);
        CLAIM(check, memcmp(same, dense, total * width) == 0, width, rows);
    }
    check_spread_bits(check, bits, offset, rows, total);
}
