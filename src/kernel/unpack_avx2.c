// SPDX-License-Identifier: Apache-2.0
/*
 * Bit-packed integers by AVX2 and BMI2. Groups of 8 values are `width` whole bytes, so a group's layout is
 * always the same and comes from a table made once for a call:
 *
 *   to_u8, to_u16   pdep deals 8, or twice 4, packed values to the lanes of a word
 *   to_u32          8 lanes: pshufb brings each lane its 4 bytes, a variable shift cuts the value out;
 *                   widths up to 25, as 7 bits of misalignment must fit too
 *   to_u64, and     4 lanes of 8 bytes, twice a group; widths up to 57
 *   wider to_u32
 *
 * Values before the first whole group, near the end of the input, and of other widths are the reference's.
 */
#include <immintrin.h>

#include "kernel/dispatch.h"
#include "kernel/unpack_loops.h"

enum { GROUP = 8 };

/** How many whole groups, of `count` values at `in`, may be read by loads of `reach` bytes at their start. */
static size_t safe_groups(size_t in_bytes, unsigned width, size_t count, size_t reach)
{
    size_t groups = count / GROUP;
    if (in_bytes < reach)
        return 0;
    return HR_MIN(groups, (in_bytes - reach) / width + 1);
}

/** What a caller does around the groups: the reference before and after them. */
#define UNPACK_GROUPS(NAME, REST, T, GROUPS, LEAST_WIDTH, MOST_WIDTH)                              \
    static void NAME(T *out, const uint8_t *in, size_t in_bytes, unsigned width, size_t first,     \
                     size_t count)                                                                 \
    {                                                                                              \
        if (width < LEAST_WIDTH || width > MOST_WIDTH) {                                           \
            REST(out, in, in_bytes, width, first, count);                                          \
            return;                                                                                \
        }                                                                                          \
        size_t head = HR_MIN((GROUP - first % GROUP) % GROUP, count);                              \
        if (head)                                                                                  \
            REST(out, in, in_bytes, width, first, head);                                           \
        size_t byte = (first + head) / GROUP * width;                                              \
        size_t done = head;                                                                        \
        if (count - head >= GROUP && byte < in_bytes)                                              \
            done += GROUP * GROUPS(out + head, in + byte, in_bytes - byte, width, count - head);   \
        if (done < count)                                                                          \
            REST(out + done, in, in_bytes, width, first + done, count - done);                     \
    }

static size_t groups_u8(uint8_t *out, const uint8_t *in, size_t in_bytes, unsigned width,
                        size_t count)
{
    size_t groups = safe_groups(in_bytes, width, count, 8);
    uint64_t lanes = low_mask(width) * 0x0101010101010101ull;
    for (size_t g = 0; g < groups; g++, in += width, out += GROUP)
        store64(out, _pdep_u64(load64(in), lanes));
    return groups;
}

static size_t groups_u16(uint16_t *out, const uint8_t *in, size_t in_bytes, unsigned width,
                         size_t count)
{
    unsigned half = 4 * width / 8, shift = 4 * width % 8;
    size_t groups = safe_groups(in_bytes, width, count, half + 8);
    uint64_t lanes = low_mask(width) * 0x0001000100010001ull;
    for (size_t g = 0; g < groups; g++, in += width, out += GROUP) {
        store64(out, _pdep_u64(load64(in), lanes));
        store64(out + 4, _pdep_u64(load64(in + half) >> shift, lanes));
    }
    return groups;
}

/**
 * For `lanes` values of `lane_bytes` each, the first at bit `bit` of a 16-byte load: which bytes each lane
 * takes (-1 is a zero byte) and by how many bits it is shifted down.
 */
static void lane_layout(uint8_t *bytes, uint64_t *shifts, unsigned lanes, unsigned lane_bytes,
                        unsigned bit, unsigned width)
{
    for (unsigned i = 0; i < lanes; i++, bit += width) {
        for (unsigned j = 0; j < lane_bytes; j++)
            bytes[i * lane_bytes + j] = (uint8_t)(bit / 8 + j < 16 ? bit / 8 + j : 0x80);
        shifts[i] = bit % 8;
    }
}

static size_t groups_u32_narrow(uint32_t *out, const uint8_t *in, size_t in_bytes, unsigned width,
                                size_t count)
{
    unsigned half = 4 * width / 8;
    size_t groups = safe_groups(in_bytes, width, count, half + 16);
    uint8_t bytes[32];
    uint64_t shifts[8];
    lane_layout(bytes, shifts, 4, 4, 0, width);
    lane_layout(bytes + 16, shifts + 4, 4, 4, 4 * width % 8, width);
    const __m256i pick = _mm256_loadu_si256((const __m256i *)bytes);
    const __m256i down =
        _mm256_setr_epi32((int)shifts[0], (int)shifts[1], (int)shifts[2], (int)shifts[3],
                          (int)shifts[4], (int)shifts[5], (int)shifts[6], (int)shifts[7]);
    const __m256i mask = _mm256_set1_epi32((int)low_mask(width));
    for (size_t g = 0; g < groups; g++, in += width, out += GROUP) {
        __m256i word =
            _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)in)),
                                    _mm_loadu_si128((const __m128i *)(in + half)), 1);
        word = _mm256_srlv_epi32(_mm256_shuffle_epi8(word, pick), down);
        _mm256_storeu_si256((__m256i *)out, _mm256_and_si256(word, mask));
    }
    return groups;
}

/** Where the four pairs of a group begin, and how their lanes are cut out: two registers of two pairs. */
typedef struct pair_layout {
    unsigned at[4];
    __m256i pick[2], down[2];
} pair_layout;

static void pair_layout_of(pair_layout *layout, unsigned width)
{
    uint8_t bytes[64];
    uint64_t shifts[8];
    for (unsigned pair = 0; pair < 4; pair++) {
        unsigned bit = 2 * pair * width;
        layout->at[pair] = bit / 8;
        lane_layout(bytes + 16 * pair, shifts + 2 * pair, 2, 8, bit % 8, width);
    }
    for (unsigned i = 0; i < 2; i++) {
        layout->pick[i] = _mm256_loadu_si256((const __m256i *)(bytes + 32 * i));
        layout->down[i] = _mm256_loadu_si256((const __m256i *)(shifts + 4 * i));
    }
}

HR_INLINE __m256i pairs_of(const uint8_t *in, const pair_layout *layout, unsigned i, __m256i mask)
{
    __m256i word = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(in + layout->at[2 * i]))),
        _mm_loadu_si128((const __m128i *)(in + layout->at[2 * i + 1])), 1);
    word = _mm256_srlv_epi64(_mm256_shuffle_epi8(word, layout->pick[i]), layout->down[i]);
    return _mm256_and_si256(word, mask);
}

static size_t groups_u64(uint64_t *out, const uint8_t *in, size_t in_bytes, unsigned width,
                         size_t count)
{
    pair_layout layout;
    pair_layout_of(&layout, width);
    const __m256i mask = _mm256_set1_epi64x((long long)low_mask(width));
    size_t groups = safe_groups(in_bytes, width, count, layout.at[3] + 16);
    for (size_t g = 0; g < groups; g++, in += width, out += GROUP) {
        _mm256_storeu_si256((__m256i *)out, pairs_of(in, &layout, 0, mask));
        _mm256_storeu_si256((__m256i *)(out + 4), pairs_of(in, &layout, 1, mask));
    }
    return groups;
}

static size_t groups_u32(uint32_t *out, const uint8_t *in, size_t in_bytes, unsigned width,
                         size_t count)
{
    if (width <= 25)
        return groups_u32_narrow(out, in, in_bytes, width, count);
    pair_layout layout;
    pair_layout_of(&layout, width);
    const __m256i mask = _mm256_set1_epi64x((long long)low_mask(width));
    size_t groups = safe_groups(in_bytes, width, count, layout.at[3] + 16);
    for (size_t g = 0; g < groups; g++, in += width, out += GROUP) {
        __m256 low = _mm256_castsi256_ps(pairs_of(in, &layout, 0, mask));
        __m256 high = _mm256_castsi256_ps(pairs_of(in, &layout, 1, mask));
        // The low halves of both, in lanes 0 1 4 5 2 3 6 7 of the order wanted.
        __m256i mixed = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88));
        _mm256_storeu_si256((__m256i *)out, _mm256_permute4x64_epi64(mixed, 0xd8));
    }
    return groups;
}

UNPACK_GROUPS(groups_to_u8, unpack_to_u8, uint8_t, groups_u8, 1, 8)
UNPACK_GROUPS(groups_to_u16, unpack_to_u16, uint16_t, groups_u16, 1, 16)
UNPACK_GROUPS(groups_to_u32, unpack_to_u32, uint32_t, groups_u32, 1, 32)
UNPACK_GROUPS(groups_to_u64, unpack_to_u64, uint64_t, groups_u64, 1, 57)

void hr__unpack_fill_avx2(hr_kernels *kernels)
{
    kernels->unpack.to_u8 = groups_to_u8;
    kernels->unpack.to_u16 = groups_to_u16;
    kernels->unpack.to_u32 = groups_to_u32;
    kernels->unpack.to_u64 = groups_to_u64;
}
