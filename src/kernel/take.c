// SPDX-License-Identifier: Apache-2.0
/*
 * Rows by index. The gathers are bound by cache misses, not by instructions, so there is one version for
 * all instruction sets, but of those that take several columns at once (take_avx2.c). Variable-length rows
 * take two passes: offsets first, which tell the caller how many bytes to make room for, then bytes.
 */
#include "kernel/dispatch.h"
#include "kernel/rows_loops.h"

enum {
    TAKE_SMALL_BYTES = 16,
    // From here on rows go past the cache, two asked for early: of 1.2 GiB in rows of 2 KiB
    // (bench/limits/limit_gather.c) two threads then gather 3.9 GiB/s, and 2.3 without; rows of 256 bytes lose by
    // the fence that each row ends with.
    TAKE_PAST_BYTES = 1024,
    TAKE_PAST_AHEAD = 2
};

ROWS_GATHER(take_rows32, uint32_t)
ROWS_GATHER(take_rows64, uint64_t)

#define TAKE_TOGETHER(JOIN, PART, COLUMNS, WIDTH)                                                  \
    static void JOIN(void *rows, const void *const *columns, size_t count)                         \
    {                                                                                              \
        for (size_t i = 0; i < count; i++)                                                         \
            for (size_t k = 0; k < COLUMNS; k++)                                                   \
                memcpy((uint8_t *)rows + 16 * i + WIDTH * k,                                       \
                       (const uint8_t *)columns[k] + WIDTH * i, WIDTH);                            \
    }                                                                                              \
    static void PART(void *const *out, const void *rows, const uint32_t *index, size_t count)      \
    {                                                                                              \
        for (size_t i = 0; i < count; i++)                                                         \
            for (size_t k = 0; k < COLUMNS; k++)                                                   \
                memcpy((uint8_t *)out[k] + WIDTH * i,                                              \
                       (const uint8_t *)rows + 16 * (size_t)index[i] + WIDTH * k, WIDTH);          \
    }

TAKE_TOGETHER(take_join4x4, take_part4x4, 4, 4)
TAKE_TOGETHER(take_join2x8, take_part2x8, 2, 8)

#define TAKE_BITS(NAME, INDEX)                                                                     \
    static void NAME(uint8_t *out, size_t out_offset, const uint8_t *in, size_t in_offset,         \
                     const INDEX *index, size_t count)                                             \
    {                                                                                              \
        for (size_t at = 0; at < count; at += 64) {                                                \
            unsigned piece = (unsigned)HR_MIN(count - at, 64);                                     \
            uint64_t word = 0;                                                                     \
            for (unsigned i = 0; i < piece; i++)                                                   \
                word |= (uint64_t)bit_at(in, in_offset + index[at + i]) << i;                      \
            bits_put(out, out_offset + at, piece, word);                                           \
        }                                                                                          \
    }

TAKE_BITS(take_bits32, uint32_t)
TAKE_BITS(take_bits64, uint64_t)

#define TAKE_CHECK(NAME, INDEX)                                                                    \
    static bool NAME(const INDEX *index, size_t count, uint64_t limit)                             \
    {                                                                                              \
        INDEX greatest = 0;                                                                        \
        for (size_t i = 0; i < count; i++)                                                         \
            greatest = HR_MAX(greatest, index[i]);                                                 \
        return count == 0 || greatest < limit;                                                     \
    }

TAKE_CHECK(take_check32, uint32_t)
TAKE_CHECK(take_check64, uint64_t)

#define TAKE_OFFSETS(NAME, OFFSET, INDEX)                                                          \
    static bool NAME(OFFSET *out, OFFSET start, const OFFSET *offsets, const INDEX *index,         \
                     size_t count)                                                                 \
    {                                                                                              \
        OFFSET total = start;                                                                      \
        bool bad = false;                                                                          \
        out[0] = start;                                                                            \
        for (size_t i = 0; i < count; i++) {                                                       \
            OFFSET length;                                                                         \
            bad |=                                                                                 \
                __builtin_sub_overflow(offsets[index[i] + (size_t)1], offsets[index[i]], &length); \
            bad |= length < 0;                                                                     \
            bad |= HR_ADD_OVERFLOWS(total, length, &total);                                        \
            out[i + 1] = total;                                                                    \
        }                                                                                          \
        return !bad;                                                                               \
    }

TAKE_OFFSETS(take_offsets32, int32_t, uint32_t)
TAKE_OFFSETS(take_offsets64, int64_t, uint32_t)
TAKE_OFFSETS(take_offsets32_by64, int32_t, uint64_t)
TAKE_OFFSETS(take_offsets64_by64, int64_t, uint64_t)

/** A short copy without a call: 8 bytes that overlap, 4 that overlap, or bytes. */
HR_INLINE void copy_short(uint8_t *out, const uint8_t *in, size_t bytes)
{
    if (bytes >= 8) {
        uint64_t head = load64(in), tail = load64(in + bytes - 8);
        store64(out, head);
        store64(out + bytes - 8, tail);
    } else if (bytes >= 4) {
        uint32_t head, tail;
        memcpy(&head, in, 4);
        memcpy(&tail, in + bytes - 4, 4);
        memcpy(out, &head, 4);
        memcpy(out + bytes - 4, &tail, 4);
    } else {
        for (size_t i = 0; i < bytes; i++)
            out[i] = in[i];
    }
}

#define TAKE_BYTES(NAME, OFFSET, INDEX)                                                            \
    static void NAME(void *out, const OFFSET *new_offsets, const void *in, const OFFSET *offsets,  \
                     const INDEX *index, size_t count, size_t element_bytes)                       \
    {                                                                                              \
        uint8_t *to = out;                                                                         \
        const uint8_t *from = in;                                                                  \
        for (size_t i = 0; i < count; i++) {                                                       \
            if (i + ROWS_AHEAD < count)                                                            \
                HR_PREFETCH(from + (size_t)offsets[index[i + ROWS_AHEAD]] * element_bytes);        \
            size_t bytes = (size_t)(new_offsets[i + 1] - new_offsets[i]) * element_bytes;          \
            const uint8_t *row = from + (size_t)offsets[index[i]] * element_bytes;                 \
            if (bytes <= TAKE_SMALL_BYTES)                                                         \
                copy_short(to, row, bytes);                                                        \
            else                                                                                   \
                memcpy(to, row, bytes);                                                            \
            to += bytes;                                                                           \
        }                                                                                          \
    }

TAKE_BYTES(take_bytes32, int32_t, uint32_t)
TAKE_BYTES(take_bytes64, int64_t, uint32_t)
TAKE_BYTES(take_bytes32_by64, int32_t, uint64_t)
TAKE_BYTES(take_bytes64_by64, int64_t, uint64_t)

#define TAKE_MIXED(WIDTH)                                                                          \
    HR_INLINE void take_mixed_##WIDTH(uint8_t *out, const void *const *bases,                      \
                                      const hr_table_row *rows, size_t count)                      \
    {                                                                                              \
        for (size_t i = 0; i < count; i++)                                                         \
            memcpy(out + i * WIDTH,                                                                \
                   (const uint8_t *)bases[rows[i].base] + (size_t)rows[i].row * WIDTH, WIDTH);     \
    }

TAKE_MIXED(1)
TAKE_MIXED(2)
TAKE_MIXED(4)
TAKE_MIXED(8)

static void take_mixed_any(uint8_t *out, const void *const *bases, const hr_table_row *rows,
                           size_t count, size_t width)
{
    bool past = width >= TAKE_PAST_BYTES;
    size_t lead = HR_MIN(width, ROWS_PREFETCH_BYTES), ahead = past ? TAKE_PAST_AHEAD : ROWS_AHEAD;
    for (size_t i = 0; i < count; i++) {
        if (i + ahead < count) {
            const hr_table_row *next = &rows[i + ahead];
            const uint8_t *from = (const uint8_t *)bases[next->base] + (size_t)next->row * width;
            for (size_t at = 0; at < lead; at += 64)
                HR_PREFETCH(from + at);
        }
        const uint8_t *row = (const uint8_t *)bases[rows[i].base] + (size_t)rows[i].row * width;
        if (past)
            hr__kernels()->fill.stream(out + i * width, row, width);
        else
            memcpy(out + i * width, row, width);
    }
}

static void take_mixed(void *out, const void *const *bases, const hr_table_row *rows, size_t count,
                       size_t width)
{
    switch (width) {
    case 1:
        take_mixed_1(out, bases, rows, count);
        break;
    case 2:
        take_mixed_2(out, bases, rows, count);
        break;
    case 4:
        take_mixed_4(out, bases, rows, count);
        break;
    case 8:
        take_mixed_8(out, bases, rows, count);
        break;
    default:
        take_mixed_any(out, bases, rows, count, width);
    }
}

void hr__take_fill_c(hr_kernels *kernels)
{
    kernels->take.rows32 = take_rows32;
    kernels->take.rows64 = take_rows64;
    kernels->take.mixed = take_mixed;
    kernels->take.join4x4 = take_join4x4;
    kernels->take.part4x4 = take_part4x4;
    kernels->take.join2x8 = take_join2x8;
    kernels->take.part2x8 = take_part2x8;
    kernels->take.bits32 = take_bits32;
    kernels->take.bits64 = take_bits64;
    kernels->take.check32 = take_check32;
    kernels->take.check64 = take_check64;
    kernels->take.offsets32 = take_offsets32;
    kernels->take.offsets64 = take_offsets64;
    kernels->take.offsets32_by64 = take_offsets32_by64;
    kernels->take.offsets64_by64 = take_offsets64_by64;
    kernels->take.bytes32 = take_bytes32;
    kernels->take.bytes64 = take_bytes64;
    kernels->take.bytes32_by64 = take_bytes32_by64;
    kernels->take.bytes64_by64 = take_bytes64_by64;
}
