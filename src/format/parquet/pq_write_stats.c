// SPDX-License-Identifier: Apache-2.0
// Statistics of a column chunk: nulls, NaNs, least and greatest value in the order of the type (parquet.thrift,
// Statistics and ColumnOrder.TYPE_ORDER). They are taken from the stored form, so that whatever a value was in the
// block, what a reader compares with is what it will read.
//
// NaN is in neither bound; a zero is written as -0 in the minimum and +0 in the maximum. Bounds longer than
// HR_PQW_STAT_BYTES_MAX are cut, the upper one raised, and said not to be exact.
#include "format/parquet/pq_write.h"
#include <math.h>

void hr__pqw_stats_reset(hr_pqw_stats *stats)
{
    stats->null_count = 0;
    stats->nan_count = 0;
    stats->any = false;
    stats->min_bytes.count = stats->max_bytes.count = 0;
}

void hr__pqw_stats_release(hr_pqw_stats *stats)
{
    HR_VEC_FINISH(&stats->min_bytes);
    HR_VEC_FINISH(&stats->max_bytes);
}

// Least and greatest of `count` values of one C type; the loops are written for the vectoriser.
#define RANGE(name, type, wide, member)                                                            \
    static void name(hr_pqw_stats *stats, const uint8_t *at, int64_t count)                        \
    {                                                                                              \
        type low, high;                                                                            \
        memcpy(&low, at, sizeof low);                                                              \
        high = low;                                                                                \
        for (int64_t i = 1; i < count; i++) {                                                      \
            type value;                                                                            \
            memcpy(&value, at + i * (int64_t)sizeof value, sizeof value);                          \
            low = value < low ? value : low;                                                       \
            high = value > high ? value : high;                                                    \
        }                                                                                          \
        if (!stats->any || (wide)low < stats->min.member)                                          \
            stats->min.member = (wide)low;                                                         \
        if (!stats->any || (wide)high > stats->max.member)                                         \
            stats->max.member = (wide)high;                                                        \
        stats->any = true;                                                                         \
    }
RANGE(range_i32, int32_t, int64_t, i)
RANGE(range_i64, int64_t, int64_t, i)
RANGE(range_u32, uint32_t, uint64_t, u)
RANGE(range_u64, uint64_t, uint64_t, u)
#undef RANGE

static double half(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value;
    if (exponent == 31)
        value = fraction ? NAN : INFINITY;
    else
        value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -value : value;
}

static uint16_t half_bits(double value) // of a value that came from half()
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    int exponent;
    value = fabs(value);
    if (isinf(value))
        return sign | 0x7c00;
    if (value < ldexp(1, -14))
        return sign | (uint16_t)ldexp(value, 24);
    double fraction = frexp(value, &exponent);
    return sign | (uint16_t)((exponent + 14) << 10) | ((uint16_t)ldexp(fraction, 11) & 1023);
}

static void range_float(hr_pqw_stats *stats, const hr_pqw_leaf *leaf, const uint8_t *at,
                        int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double value;
        if (leaf->order == HR_PQW_ORDER_HALF) {
            uint16_t bits;
            memcpy(&bits, at + 2 * i, 2);
            value = half(bits);
        } else if (leaf->physical == PQ_TYPE_FLOAT) {
            float narrow;
            memcpy(&narrow, at + 4 * i, 4);
            value = (double)narrow;
        } else {
            memcpy(&value, at + 8 * i, 8);
        }
        if (isnan(value)) {
            stats->nan_count++;
            continue;
        }
        if (!stats->any || value < stats->min.f)
            stats->min.f = value;
        if (!stats->any || value > stats->max.f)
            stats->max.f = value;
        stats->any = true;
    }
}

static void range_bits(hr_pqw_stats *stats, const uint8_t *bits, int64_t first, int64_t count)
{
    for (int64_t i = first; i < first + count; i++) {
        uint64_t bit = bits[i >> 3] >> (i & 7) & 1;
        if (!stats->any || bit < stats->min.u)
            stats->min.u = bit;
        if (!stats->any || bit > stats->max.u)
            stats->max.u = bit;
        stats->any = true;
    }
}

static int compare(const hr_pqw_leaf *leaf, const uint8_t *a, size_t a_bytes, const uint8_t *b,
                   size_t b_bytes)
{
    if (leaf->order == HR_PQW_ORDER_DECIMAL && (*a ^ *b) & 0x80)
        return *a & 0x80 ? -1 : 1;
    size_t common = HR_MIN(a_bytes, b_bytes);
    int by_bytes = common ? memcmp(a, b, common) : 0;
    return by_bytes ? by_bytes : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static hr_status range_bytes(hr_pqw_stats *stats, const hr_pqw_leaf *leaf, const uint8_t *at,
                             int64_t count, hr_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bytes = (uint32_t)leaf->stored_bytes;
        if (leaf->form == HR_PQW_TEXT) {
            memcpy(&bytes, at, 4);
            at += 4;
        }
        if (!stats->any ||
            compare(leaf, at, bytes, stats->min_bytes.items, stats->min_bytes.count) < 0) {
            stats->min_bytes.count = 0;
            HR_TRY(hr__pqw_put(&stats->min_bytes, at, bytes, err));
        }
        if (!stats->any ||
            compare(leaf, at, bytes, stats->max_bytes.items, stats->max_bytes.count) > 0) {
            stats->max_bytes.count = 0;
            HR_TRY(hr__pqw_put(&stats->max_bytes, at, bytes, err));
        }
        stats->any = true;
        at += bytes;
    }
    return HR_OK;
}

hr_status hr__pqw_stats_add(hr_pqw_stats *stats, const hr_pqw_leaf *leaf, const uint8_t *stored,
                            int64_t first, int64_t count, hr_error *err)
{
    bool wide = leaf->physical == PQ_TYPE_INT64;
    if (count == 0)
        return HR_OK;
    switch (leaf->order) {
    case HR_PQW_ORDER_NONE:
        break;
    case HR_PQW_ORDER_SIGNED:
        (wide ? range_i64 : range_i32)(stats, stored, count);
        break;
    case HR_PQW_ORDER_UNSIGNED:
        if (leaf->physical == PQ_TYPE_BOOLEAN)
            range_bits(stats, stored, first, count);
        else
            (wide ? range_u64 : range_u32)(stats, stored, count);
        break;
    case HR_PQW_ORDER_FLOAT:
    case HR_PQW_ORDER_HALF:
        range_float(stats, leaf, stored, count);
        break;
    case HR_PQW_ORDER_BYTES:
    case HR_PQW_ORDER_DECIMAL:
        return range_bytes(stats, leaf, stored, count, err);
    }
    return HR_OK;
}

// --- writing ---

// Cuts a lower bound; a prefix is never above what it is a prefix of. Text is cut between characters.
static size_t cut(const hr_pqw_leaf *leaf, const uint8_t *bytes, size_t count)
{
    if (leaf->form != HR_PQW_TEXT || count <= HR_PQW_STAT_BYTES_MAX)
        return count;
    count = HR_PQW_STAT_BYTES_MAX;
    if (leaf->type->id == HR_TYPE_STRING)
        while (count > 0 && (bytes[count] & 0xc0) == 0x80)
            count--;
    return count;
}

// Cuts an upper bound and raises its last byte that can be raised (text: its last ASCII character). 0: there is none.
static size_t cut_above(const hr_pqw_leaf *leaf, uint8_t *bytes, size_t count)
{
    uint8_t top = leaf->type->id == HR_TYPE_STRING ? 0x7e : 0xfe;
    for (count = cut(leaf, bytes, count); count > 0; count--) {
        if (bytes[count - 1] <= top) {
            bytes[count - 1]++;
            return count;
        }
    }
    return 0;
}

static size_t fixed_bound(const hr_pqw_stats *stats, const hr_pqw_leaf *leaf, bool max,
                          uint8_t out[8])
{
    size_t bytes = leaf->physical == PQ_TYPE_BOOLEAN ? 1 : (size_t)leaf->stored_bytes;
    if (leaf->order == HR_PQW_ORDER_FLOAT || leaf->order == HR_PQW_ORDER_HALF) {
        double value = max ? stats->max.f : stats->min.f;
        float narrow;
        if (value == 0)
            value = max ? 0.0 : -0.0;
        narrow = (float)value;
        uint16_t bits = leaf->order == HR_PQW_ORDER_HALF ? half_bits(value) : 0;
        memcpy(out,
               bytes == 8   ? (void *)&value
               : bytes == 4 ? (void *)&narrow
                            : (void *)&bits,
               bytes);
    } else {
        uint64_t value = max ? stats->max.u : stats->min.u; // the low bytes of i are the same
        memcpy(out, &value, bytes);
    }
    return bytes;
}

void hr__pqw_stats_write(hr_pqw_thrift *t, int16_t id, const hr_pqw_stats *stats,
                         const hr_pqw_leaf *leaf)
{
    uint8_t low[HR_PQW_STAT_BYTES_MAX + 8], high[HR_PQW_STAT_BYTES_MAX + 8];
    const uint8_t *min = low, *max = high;
    size_t min_bytes = 0, max_bytes = 0;
    bool by_bytes = leaf->order == HR_PQW_ORDER_BYTES || leaf->order == HR_PQW_ORDER_DECIMAL;
    bool min_exact = true, max_exact = true, has_min = stats->any, has_max = stats->any;
    if (stats->any && by_bytes) {
        min = stats->min_bytes.items, max = stats->max_bytes.items;
        min_bytes = cut(leaf, min, stats->min_bytes.count);
        max_bytes = stats->max_bytes.count;
        min_exact = min_bytes == stats->min_bytes.count;
        if (leaf->form == HR_PQW_TEXT && max_bytes > HR_PQW_STAT_BYTES_MAX) {
            memcpy(high, max, HR_PQW_STAT_BYTES_MAX + 1);
            max_bytes = cut_above(leaf, high, max_bytes);
            max = high;
            max_exact = false;
            has_max = max_bytes > 0;
        }
    } else if (stats->any) {
        min_bytes = fixed_bound(stats, leaf, false, low);
        max_bytes = fixed_bound(stats, leaf, true, high);
    }
    hr__pqw_field_struct(t, id);
    hr__pqw_field_i64(t, PQ_STATISTICS_NULL_COUNT, stats->null_count);
    if (has_max)
        hr__pqw_field_binary(t, PQ_STATISTICS_MAX_VALUE, max, max_bytes);
    if (has_min)
        hr__pqw_field_binary(t, PQ_STATISTICS_MIN_VALUE, min, min_bytes);
    if (has_max)
        hr__pqw_field_bool(t, PQ_STATISTICS_IS_MAX_VALUE_EXACT, max_exact);
    if (has_min)
        hr__pqw_field_bool(t, PQ_STATISTICS_IS_MIN_VALUE_EXACT, min_exact);
    if (leaf->order == HR_PQW_ORDER_FLOAT || leaf->order == HR_PQW_ORDER_HALF)
        hr__pqw_field_i64(t, PQ_STATISTICS_NAN_COUNT, stats->nan_count);
    hr__pqw_struct_end(t);
}
