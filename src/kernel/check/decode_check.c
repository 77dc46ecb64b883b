// SPDX-License-Identifier: Apache-2.0
// Checks of what decoders use: unpack, delta, byte_split, dict.
#include "kernel/check/check.h"

static uint64_t plain_bits(const uint8_t *in, size_t in_bytes, size_t bit, unsigned width)
{
    uint64_t value = 0;
    for (unsigned j = 0; j < width; j++)
        if ((bit + j) / 8 < in_bytes)
            value |= (uint64_t)bit_at(in, bit + j) << j;
    return value;
}

#define UNPACK_CASE(T, FIELD)                                                                      \
    if (width <= 8 * sizeof(T)) {                                                                  \
        T *out = hr__check_words(check, count * sizeof(T));                                        \
        check->kernels->unpack.FIELD(out, in, in_bytes, width, first, count);                      \
        for (size_t i = 0; i < count; i++)                                                         \
            CLAIM(check, out[i] == plain_bits(in, in_bytes, (first + i) * width, width), width,    \
                  i);                                                                              \
    }

void hr__check_unpack(hr_check *check)
{
    for (unsigned width = 0; width <= 64; width++) {
        size_t count = hr__check_below(check, 200), first = hr__check_below(check, 20);
        size_t in_bytes = ((first + count) * width + 7) / 8;
        switch (hr__check_below(check, 4)) {
        case 0:
            in_bytes += hr__check_below(check, 40);
            break;
        case 1:
            in_bytes -= hr__check_below(check, in_bytes + 1);
        }
        const uint8_t *in = hr__check_bytes(check, in_bytes);
        UNPACK_CASE(uint8_t, to_u8)
        UNPACK_CASE(uint16_t, to_u16)
        UNPACK_CASE(uint32_t, to_u32)
        UNPACK_CASE(uint64_t, to_u64)
        hr__check_release(check);
    }
}

#define DELTA_CASE(T, U, FIELD)                                                                    \
    {                                                                                              \
        size_t count = hr__check_below(check, 70);                                                 \
        U *packed = hr__check_words(check, count * sizeof(U));                                     \
        T *out = hr__check_words(check, count * sizeof(T));                                        \
        T least = (T)hr__check_random(check), last = (T)hr__check_random(check), same = last;      \
        U sum = (U)last;                                                                           \
        check->kernels->delta.FIELD(out, packed, count, least, &last);                             \
        for (size_t i = 0; i < count; i++) {                                                       \
            sum += packed[i] + (U)least;                                                           \
            CLAIM(check, out[i] == (T)sum, i, count);                                              \
        }                                                                                          \
        CLAIM(check, last == (T)sum, last, sum);                                                   \
        check->kernels->delta.FIELD((T *)packed, packed, count, least, &same);                     \
        CLAIM(check, same == last && memcmp(packed, out, count * sizeof(T)) == 0, count, 0);       \
    }

void hr__check_delta(hr_check *check)
{
    DELTA_CASE(int32_t, uint32_t, sum_i32)
    DELTA_CASE(int64_t, uint64_t, sum_i64)
}

void hr__check_byte_split(hr_check *check)
{
    static const size_t widths[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 20};
    for (size_t w = 0; w < HR_COUNTOF(widths); w++) {
        size_t width = widths[w], count = hr__check_below(check, 150);
        size_t stride = count + hr__check_below(check, 3);
        size_t in_bytes = count ? (width - 1) * stride + count : 0;
        uint8_t *in = hr__check_bytes(check, in_bytes);
        uint8_t *out = hr__check_bytes(check, count * width);
        check->kernels->byte_split.join(out, in, stride, width, count);
        for (size_t i = 0; i < count * width; i++)
            CLAIM(check, out[i] == in[i % width * stride + i / width], width, i);
        uint8_t *back = hr__check_bytes(check, in_bytes);
        memcpy(back, in, in_bytes);
        for (size_t j = 0; j < width; j++)
            memset(back + j * stride, 0, count);
        check->kernels->byte_split.split(back, stride, out, width, count);
        CLAIM(check, memcmp(back, in, in_bytes) == 0, width, count);
    }
    hr__check_release(check);
}

void hr__check_dict(hr_check *check)
{
    static const size_t widths[] = {1, 2, 3, 4, 8, 12, 16, 100};
    for (size_t w = 0; w < HR_COUNTOF(widths); w++) {
        size_t width = widths[w], entries = 1 + hr__check_below(check, 300);
        size_t count = hr__check_below(check, 3000);
        const uint8_t *values = hr__check_bytes(check, entries * width);
        uint32_t *codes = hr__check_words(check, count * 4);
        uint8_t *out = hr__check_bytes(check, count * width);
        for (size_t i = 0; i < count; i++)
            codes[i] %= entries;
        CLAIM(check, check->kernels->dict.check(codes, count, entries), count, entries);
        CLAIM(check, check->kernels->dict.gather(out, values, entries, codes, count, width), width,
              count);
        for (size_t i = 0; i < count; i++)
            CLAIM(check, memcmp(out + i * width, values + codes[i] * width, width) == 0, width, i);
        if (count == 0)
            continue;
        codes[hr__check_below(check, count)] = (uint32_t)entries;
        CLAIM(check, !check->kernels->dict.check(codes, count, entries), count, entries);
        CLAIM(check, !check->kernels->dict.gather(out, values, entries, codes, count, width), width,
              count);
        hr__check_release(check);
    }
}
