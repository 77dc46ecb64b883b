// SPDX-License-Identifier: Apache-2.0
/*
 * Checks of reductions and row hashes. Sums and moments are compared with long double to 1e-12 and with the
 * reference to the bit; hashes by what they promise: the same for any cut, offset and bytes under nulls.
 */
#include "kernel/check/check.h"

#include <math.h>

static bool near(double got, long double want, long double scale)
{
    return fabsl((long double)got - want) <= 1e-12L * scale + 1e-300L;
}

static void check_moments(hr_check *check, const double *x, const uint8_t *valid, size_t offset,
                          size_t count)
{
    hr_moments all = {0}, cut = {0}, other = {0}, same = {0};
    hr_sum sum = {0}, rest = {0}, twin = {0};
    long double total = 0, size = 0, m2 = 0;
    uint64_t kept = 0;
    size_t middle = count ? hr__check_below(check, count) : 0;
    for (size_t i = 0; i < count; i++)
        if (!valid || bit_at(valid, offset + i))
            kept++, total += (long double)x[i], size += fabsl((long double)x[i]);
    for (size_t i = 0; i < count; i++)
        if (!valid || bit_at(valid, offset + i))
            m2 += ((long double)x[i] - total / kept) * ((long double)x[i] - total / kept);
    check->kernels->reduce.moments[HR_NUM_F64](&all, x, valid, offset, count);
    check->reference->reduce.moments[HR_NUM_F64](&same, x, valid, offset, count);
    check->kernels->reduce.moments[HR_NUM_F64](&cut, x, valid, offset, middle);
    check->kernels->reduce.moments[HR_NUM_F64](&other, x + middle, valid, offset + middle,
                                               count - middle);
    check->kernels->reduce.moments_merge(&cut, &other);
    check->kernels->reduce.sum_float[HR_NUM_F64](&sum, x, valid, offset, middle);
    check->kernels->reduce.sum_float[HR_NUM_F64](&rest, x + middle, valid, offset + middle,
                                                 count - middle);
    check->kernels->reduce.sum_merge(&sum, &rest);
    check->reference->reduce.sum_float[HR_NUM_F64](&twin, x, valid, offset, count);
    CLAIM(check, memcmp(&all, &same, sizeof all) == 0, count, kept);
    CLAIM(check, all.count == kept && cut.count == kept, count, kept);
    CLAIM(check, near(sum.high, total, size) && near(twin.high, total, size), count, kept);
    if (kept == 0)
        return;
    CLAIM(check, near(all.mean, total / kept, size / kept), count, kept);
    CLAIM(check, near(cut.mean, total / kept, size / kept), count, kept);
    CLAIM(check, near(all.m2, m2, m2) && near(cut.m2, m2, m2), count, kept);
}

#define TYPE_CASE(SUFFIX, T, AT, U)                                                                \
    {                                                                                              \
        const AT *x = hr__check_values(check, HR_NUM_##SUFFIX, count);                             \
        T least = 0, greatest = 0, got_least = 0, got_greatest = 0;                                \
        size_t seen = 0;                                                                           \
        uint64_t sum = 0;                                                                          \
        for (size_t i = 0; i < count; i++) {                                                       \
            if ((valid && !bit_at(valid, offset + i)) || x[i] != x[i])                             \
                continue;                                                                          \
            least = seen && least < x[i] ? least : x[i];                                           \
            greatest = seen && greatest > x[i] ? greatest : x[i];                                  \
            sum += HR_NUM_##SUFFIX <= HR_NUM_U64 ? (uint64_t)(TO_SUM)x[i] : 0;                     \
            seen++;                                                                                \
        }                                                                                          \
        size_t got = check->kernels->reduce.extent[HR_NUM_##SUFFIX](&got_least, &got_greatest, x,  \
                                                                    valid, offset, count);         \
        CLAIM(check, got == seen, got, seen);                                                      \
        CLAIM(check, got_least == least && got_greatest == greatest, HR_NUM_##SUFFIX, count);      \
        if (HR_NUM_##SUFFIX <= HR_NUM_U64)                                                         \
            CLAIM(check,                                                                           \
                  check->kernels->reduce.sum_int[HR_NUM_##SUFFIX](x, valid, offset, count) == sum, \
                  HR_NUM_##SUFFIX, count);                                                         \
    }

void hr__check_reduce(hr_check *check)
{
    size_t count = hr__check_below(check, 3000), offset = hr__check_below(check, 20);
    const uint8_t *valid =
        hr__check_random(check) & 1 ? hr__check_bitmap(check, offset + count) : NULL;
#define TO_SUM uint64_t
    HR_EACH_INT(TYPE_CASE)
#undef TO_SUM
#define TO_SUM int
    HR_EACH_FLOAT(TYPE_CASE)
#undef TO_SUM
    double *x = hr__check_words(check, count * 8);
    double center = (double)hr__check_below(check, 3) * 1e6;
    for (size_t i = 0; i < count; i++)
        x[i] = center + (double)(int64_t)hr__check_random(check) / 4e18;
    check_moments(check, x, valid, offset, count);
}

void hr__check_touch(hr_check *check)
{
    size_t bytes = hr__check_below(check, 600);
    const uint8_t *in = hr__check_bytes(check, bytes);
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += (uint64_t)in[i] << i % 8 * 8;
    CLAIM(check, check->kernels->reduce.touch(in, bytes) == sum, bytes, 0);
}

/** One table of every kind of column, so that a hash of rows [first, first + rows) can be asked for. */
typedef struct table {
    const uint8_t *values[HR_NUM_COUNT], *wide[4], *flags, *valid, *text;
    const int32_t *offsets32;
    const int64_t *offsets64;
    size_t valid_offset;
} table;

static const size_t wide_values[4] = {2, 3, 11, 5000};
static const hr_num wide_types[4] = {HR_NUM_F32, HR_NUM_U8, HR_NUM_F64, HR_NUM_F32};

static uint64_t table_hash(const hr_kernels *k, const table *t, size_t first, size_t rows)
{
    uint64_t acc[128];
    size_t offset = t->valid_offset + first;
    k->hash.seed(acc, 1000 + first, rows, 42);
    for (int type = 0; type < HR_NUM_COUNT; type++) {
        size_t width = hr__num_bytes((hr_num)type);
        const uint8_t *at = t->values[type] + first * width;
        k->hash.fixed(acc, at, (hr_num)type, 1, type % 2 ? t->valid : NULL, offset, rows);
    }
    for (int i = 0; i < 4; i++)
        k->hash.fixed(acc, t->wide[i] + first * wide_values[i] * hr__num_bytes(wide_types[i]),
                      wide_types[i], wide_values[i], t->valid, offset, rows);
    k->hash.bits(acc, t->flags, first, t->valid, offset, rows);
    k->hash.var32(acc, t->text, HR_NUM_U8, t->offsets32 + first, t->valid, offset, rows);
    k->hash.var64(acc, t->text, HR_NUM_F16, t->offsets64 + first, NULL, 0, rows);
    k->hash.nulls(acc, rows);
    return k->hash.finish_sum(rows % 2 ? acc : NULL, acc, rows);
}

/** Other bytes under nulls, other NaNs: content that must not matter. */
static void disturb(hr_check *check, const table *t, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        if (!bit_at(t->valid, t->valid_offset + i))
            for (int type = 1; type < HR_NUM_COUNT; type += 2)
                ((uint8_t *)t->values[type])[i * hr__num_bytes((hr_num)type)] ^= 0x5a;
        uint32_t nan = 0xffc00001u | (uint32_t)hr__check_below(check, 1000), old;
        memcpy(&old, t->wide[3] + i * 20000 + 19996, 4);
        if ((old & 0x7fffffff) > 0x7f800000)
            memcpy((uint8_t *)t->wide[3] + i * 20000 + 19996, &nan, 4);
    }
}

void hr__check_hash(hr_check *check)
{
    size_t rows = 1 + hr__check_below(check, 80), cut = hr__check_below(check, rows);
    table t = {.valid_offset = hr__check_below(check, 20)};
    int32_t *offsets32 = hr__check_words(check, (rows + 1) * 4);
    int64_t *offsets64 = hr__check_words(check, (rows + 1) * 8);
    for (int type = 0; type < HR_NUM_COUNT; type++)
        t.values[type] = hr__check_values(check, (hr_num)type, rows);
    for (int i = 0; i < 4; i++)
        t.wide[i] = hr__check_values(check, wide_types[i], rows * wide_values[i]);
    t.flags = hr__check_bitmap(check, rows);
    t.valid = hr__check_bitmap(check, t.valid_offset + rows);
    offsets32[0] = 3, offsets64[0] = 3;
    for (size_t i = 0; i < rows; i++)
        offsets64[i + 1] = offsets32[i + 1] = offsets32[i] + (int32_t)hr__check_below(check, 20);
    t.offsets32 = offsets32, t.offsets64 = offsets64;
    t.text = hr__check_bytes(check, (size_t)offsets32[rows] * 2);

    uint64_t whole = table_hash(check->kernels, &t, 0, rows);
    CLAIM(check, whole == table_hash(check->reference, &t, 0, rows), rows, 0);
    CLAIM(check,
          whole == table_hash(check->kernels, &t, 0, cut) +
                       table_hash(check->kernels, &t, cut, rows - cut),
          rows, cut);
    disturb(check, &t, rows);
    CLAIM(check, whole == table_hash(check->kernels, &t, 0, rows), rows, 0);
    size_t row = hr__check_below(check, rows);
    ((uint8_t *)t.values[HR_NUM_U32])[row * 4] ^= 1;
    CLAIM(check, whole != table_hash(check->kernels, &t, 0, rows), rows, row);

    uint64_t index[3] = {5, 6, 7}, a[3], b[3];
    check->kernels->hash.seed_at(a, index, 3, 9);
    check->kernels->hash.seed(b, 5, 3, 9);
    CLAIM(check, memcmp(a, b, sizeof a) == 0, 0, 0);
}
