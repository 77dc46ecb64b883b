// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernels share: values at any address, words of a bitmap at any bit, lists of types.
 *
 * `x_loops.h` holds the loops of a family that a compiler vectorises well. `x.c` includes it for the
 * reference and `x_avx2.c` once more, compiled with other flags, so the two are one source. Everything
 * here and there is static, which is why the same names may stand in both objects.
 */
#ifndef HR_KERNEL_LOOP_H
#define HR_KERNEL_LOOP_H

#include <string.h>

#include "base/compiler.h"
#include "kernel/kernel.h"

typedef int8_t at_i8;
typedef uint8_t at_u8;
typedef int16_t HR_UNALIGNED at_i16;
typedef uint16_t HR_UNALIGNED at_u16;
typedef int32_t HR_UNALIGNED at_i32;
typedef uint32_t HR_UNALIGNED at_u32;
typedef int64_t HR_UNALIGNED at_i64;
typedef uint64_t HR_UNALIGNED at_u64;
typedef float HR_UNALIGNED at_f32;
typedef double HR_UNALIGNED at_f64;

// X(ENUM SUFFIX, value type, type at any address, unsigned type of the same width)
#define HR_EACH_SIGNED(X)                                                                          \
    X(I8, int8_t, at_i8, uint8_t)                                                                  \
    X(I16, int16_t, at_i16, uint16_t)                                                              \
    X(I32, int32_t, at_i32, uint32_t)                                                              \
    X(I64, int64_t, at_i64, uint64_t)
#define HR_EACH_UNSIGNED(X)                                                                        \
    X(U8, uint8_t, at_u8, uint8_t)                                                                 \
    X(U16, uint16_t, at_u16, uint16_t)                                                             \
    X(U32, uint32_t, at_u32, uint32_t)                                                             \
    X(U64, uint64_t, at_u64, uint64_t)
#define HR_EACH_FLOAT(X)                                                                           \
    X(F32, float, at_f32, uint32_t)                                                                \
    X(F64, double, at_f64, uint64_t)
#define HR_EACH_INT(X)   HR_EACH_SIGNED(X) HR_EACH_UNSIGNED(X)
#define HR_EACH_ARITH(X) HR_EACH_INT(X) HR_EACH_FLOAT(X)

HR_INLINE uint64_t load64(const void *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

HR_INLINE void store64(void *at, uint64_t word)
{
    memcpy(at, &word, 8);
}

/** Reads `bytes` 0..8 bytes as a little-endian word, zero extended. */
HR_INLINE uint64_t load_tail(const uint8_t *at, size_t bytes)
{
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; i++)
        word |= (uint64_t)at[i] << (8 * i);
    return word;
}

HR_INLINE uint64_t low_mask(unsigned bits)
{
    return bits >= 64 ? ~0ull : (1ull << bits) - 1;
}

/** `count` 1..64 bits at a bit offset; touches only the bytes they stand in. */
HR_INLINE uint64_t bits_get(const uint8_t *bits, size_t offset, unsigned count)
{
    const uint8_t *at = bits + offset / 8;
    unsigned shift = offset % 8, bytes = (shift + count + 7) / 8;
    uint64_t word = bytes >= 8 ? load64(at) >> shift : load_tail(at, bytes) >> shift;
    if (bytes == 9)
        word |= (uint64_t)at[8] << (64 - shift);
    return word & low_mask(count);
}

/** Writes `count` 1..64 bits; the bits around them stay. The upper bits of `word` are ignored. */
HR_INLINE void bits_put(uint8_t *bits, size_t offset, unsigned count, uint64_t word)
{
    uint8_t *at = bits + offset / 8;
    unsigned shift = offset % 8;
    if (shift == 0 && count == 64) {
        store64(at, word);
        return;
    }
    for (unsigned done = 0; done < count; at++) {
        unsigned take = HR_MIN(8 - shift, count - done);
        uint8_t mask = (uint8_t)(low_mask(take) << shift);
        *at = (uint8_t)((*at & ~mask) | ((uint8_t)((word >> done) << shift) & mask));
        done += take;
        shift = 0;
    }
}

HR_INLINE bool bit_at(const uint8_t *bits, size_t index)
{
    return bits[index / 8] >> (index % 8) & 1;
}

/** The validity of `count` rows up to 64 from `row`; all ones without a bitmap. */
HR_INLINE uint64_t valid_word(const uint8_t *valid, size_t offset, size_t row, unsigned count)
{
    return valid ? bits_get(valid, offset + row, count) : low_mask(count);
}

HR_INLINE unsigned ones(uint64_t word)
{
    return (unsigned)__builtin_popcountll(word);
}

/** The bits of the next step, when `at` of `count` bits are done and the output began at `out_offset`. */
HR_INLINE unsigned bits_step(size_t out_offset, size_t at, size_t count)
{
    size_t step = 64 - (out_offset + at) % 8;
    return (unsigned)HR_MIN(step, count - at);
}

/** How many bits of a range are 1. */
static inline size_t bits_count(const uint8_t *bits, size_t offset, size_t count)
{
    size_t total = 0, at = 0;
    for (unsigned step; at < count && (offset + at) % 8 != 0; at += step) {
        step = bits_step(offset, at, count);
        total += ones(bits_get(bits, offset + at, step));
    }
    for (; count - at >= 64; at += 64)
        total += ones(load64(bits + (offset + at) / 8));
    if (at < count)
        total += ones(bits_get(bits, offset + at, (unsigned)(count - at)));
    return total;
}

#endif
