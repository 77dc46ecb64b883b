// SPDX-License-Identifier: Apache-2.0
/*
 * Bitmaps, 64 bits at a step. Ranges begin and end anywhere: a step reads a word at any bit offset and
 * writes one at any bit offset, touching only bytes that hold bits of the range. A first short step brings
 * the output to a byte boundary, so that all other steps store whole words.
 */
#ifndef HR_KERNEL_BITS_LOOPS_H
#define HR_KERNEL_BITS_LOOPS_H

#include "kernel/loop.h"

/** Does STEP(at, n) for every step of a range; whole words apart, so that 64 is a constant there. */
#define BITS_STEPS(out_offset, count, STEP)                                                        \
    size_t at = 0;                                                                                 \
    unsigned head = (unsigned)HR_MIN((8 - (out_offset) % 8) % 8, count);                           \
    if (head) {                                                                                    \
        STEP(head)                                                                                 \
        at = head;                                                                                 \
    }                                                                                              \
    for (; (count)-at >= 64; at += 64) {                                                           \
        STEP(64)                                                                                   \
    }                                                                                              \
    if (at < (count)) {                                                                            \
        STEP((unsigned)((count)-at))                                                               \
    }

#define STEP_COPY(n) bits_put(out, out_offset + at, n, bits_get(in, in_offset + at, n));

static void bits_copy_words(uint8_t *out, size_t out_offset, const uint8_t *in, size_t in_offset,
                            size_t count)
{
    BITS_STEPS(out_offset, count, STEP_COPY)
}

static void bits_copy(uint8_t *out, size_t out_offset, const uint8_t *in, size_t in_offset,
                      size_t count)
{
    size_t head = HR_MIN((8 - out_offset % 8) % 8, count);
    if (out_offset % 8 != in_offset % 8) {
        bits_copy_words(out, out_offset, in, in_offset, count);
        return;
    }
    bits_copy_words(out, out_offset, in, in_offset, head);
    size_t bytes = (count - head) / 8, done = head + bytes * 8;
    if (bytes)
        memmove(out + (out_offset + head) / 8, in + (in_offset + head) / 8, bytes);
    bits_copy_words(out, out_offset + done, in, in_offset + done, count - done);
}

#define BITS_BINARY(NAME, STEP)                                                                    \
    static void NAME(uint8_t *out, size_t out_offset, const uint8_t *a, size_t a_offset,           \
                     const uint8_t *b, size_t b_offset, size_t count)                              \
    {                                                                                              \
        BITS_STEPS(out_offset, count, STEP)                                                        \
    }
#define BOTH(OP, n)                                                                                \
    bits_put(out, out_offset + at, n,                                                              \
             bits_get(a, a_offset + at, n) OP bits_get(b, b_offset + at, n));
#define STEP_AND(n)    BOTH(&, n)
#define STEP_OR(n)     BOTH(|, n)
#define STEP_XOR(n)    BOTH(^, n)
#define STEP_ANDNOT(n) BOTH(&~, n)

BITS_BINARY(bits_and, STEP_AND)
BITS_BINARY(bits_or, STEP_OR)
BITS_BINARY(bits_xor, STEP_XOR)
BITS_BINARY(bits_andnot, STEP_ANDNOT)

static void bits_set(uint8_t *out, size_t offset, size_t count, bool value)
{
    uint64_t word = value ? ~0ull : 0;
    unsigned head = (unsigned)HR_MIN((8 - offset % 8) % 8, count);
    if (head)
        bits_put(out, offset, head, word);
    size_t bytes = (count - head) / 8, done = head + bytes * 8;
    if (bytes)
        memset(out + (offset + head) / 8, (int)(word & 0xff), bytes);
    if (done < count)
        bits_put(out, offset + done, (unsigned)(count - done), word);
}

/** Bit i is byte i != 0, for 8 bytes: each byte's truth in its top bit, then the eight of them gathered. */
HR_INLINE uint64_t truth_of_8(uint64_t bytes)
{
    const uint64_t low7 = 0x7f7f7f7f7f7f7f7full;
    uint64_t tops = ((((bytes & low7) + low7) | bytes) & ~low7) >> 7;
    return tops * 0x0102040810204080ull >> 56;
}

static size_t bits_from_bytes(uint8_t *out, size_t out_offset, const uint8_t *bytes, size_t count)
{
    size_t total = 0;
    unsigned step;
    for (size_t at = 0; at < count; at += step) {
        uint64_t word = 0;
        unsigned i = 0;
        step = bits_step(out_offset, at, count);
        for (; i + 8 <= step; i += 8)
            word |= truth_of_8(load64(bytes + at + i)) << i;
        for (; i < step; i++)
            word |= (uint64_t)(bytes[at + i] != 0) << i;
        bits_put(out, out_offset + at, step, word);
        total += ones(word);
    }
    return total;
}

static void bits_to_bytes(uint8_t *out, const uint8_t *bits, size_t offset, size_t count)
{
    for (size_t at = 0; at < count; at += 64) {
        unsigned step = (unsigned)HR_MIN(count - at, 64), i = 0;
        uint64_t word = bits_get(bits, offset + at, step);
        for (; i + 8 <= step; i += 8) {
            uint64_t spread = (word >> i & 0xff) * 0x0101010101010101ull & 0x8040201008040201ull;
            store64(out + at + i,
                    ((spread + 0x7f7f7f7f7f7f7f7full) | spread) >> 7 & 0x0101010101010101ull);
        }
        for (; i < step; i++)
            out[at + i] = word >> i & 1;
    }
}

static size_t bits_positions(uint32_t *out, const uint8_t *bits, size_t offset, size_t count,
                             uint32_t base)
{
    uint32_t *to = out;
    for (size_t at = 0; at < count; at += 64) {
        unsigned step = (unsigned)HR_MIN(count - at, 64);
        uint64_t word = bits_get(bits, offset + at, step);
        uint32_t first = base + (uint32_t)at;
        if (word == ~0ull) {
            for (unsigned i = 0; i < 64; i++)
                to[i] = first + i;
            to += 64;
            continue;
        }
        for (; word; word &= word - 1)
            *to++ = first + (uint32_t)__builtin_ctzll(word);
    }
    return (size_t)(to - out);
}

static void bits_fill(hr_kernels *kernels)
{
    kernels->bits.count = bits_count;
    kernels->bits.copy = bits_copy;
    kernels->bits.logic[HR_LOGIC_AND] = bits_and;
    kernels->bits.logic[HR_LOGIC_OR] = bits_or;
    kernels->bits.logic[HR_LOGIC_XOR] = bits_xor;
    kernels->bits.logic[HR_LOGIC_ANDNOT] = bits_andnot;
    kernels->bits.set = bits_set;
    kernels->bits.from_bytes = bits_from_bytes;
    kernels->bits.to_bytes = bits_to_bytes;
    kernels->bits.positions = bits_positions;
}

#endif
