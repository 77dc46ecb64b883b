// SPDX-License-Identifier: Apache-2.0
// Every codec that writes also reads itself back; sizes that do not fit are refused.
#include "base/unit.h"
#include "format/codec.h"
#include "base/mem.h"
#include <string.h>

static void fill(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 5));
}

static void codec__gives_back_what_it_took(void **state)
{
    static uint8_t in[100000], back[100000];
    fill(in, sizeof in);
    for (int codec = 0; codec < HR_CODEC_COUNT; codec++) {
        size_t room = hr__codec_bound(codec, sizeof in), bytes = 0;
        uint8_t *packed = NULL;
        if (!room)
            continue;
        assert_int_equal(hr__alloc(room, &packed, NULL), HR_OK);
        assert_int_equal(hr__codec_compress(codec, 0, in, sizeof in, packed, room, &bytes, NULL),
                         HR_OK);
        assert_true(hr__codec_can_hold(codec, bytes, sizeof in));
        memset(back, 0, sizeof back);
        assert_int_equal(hr__codec_decompress(codec, packed, bytes, back, sizeof back, NULL),
                         HR_OK);
        assert_memory_equal(in, back, sizeof in);
        // One byte less or more than the stream holds, or a stream cut short, is CORRUPT.
        assert_int_equal(hr__codec_decompress(codec, packed, bytes, back, sizeof back - 1, NULL),
                         HR_CORRUPT);
        assert_int_equal(hr__codec_decompress(codec, packed, bytes - 1, back, sizeof back, NULL),
                         HR_CORRUPT);
        hr__free(packed);
    }
}

// Of some that compresses well and some that does not at all.
static void fill_mixed(uint8_t *bytes, size_t count)
{
    uint64_t x = 1;
    for (size_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = i / 1000 % 3 == 1 ? (uint8_t)(x >> 56) : (uint8_t)(i / 100 + (x >> 63));
    }
}

static void codec__reads_the_front_of_a_stream(void **state)
{
    static uint8_t in[300000], front[300000];
    static const size_t rooms[] = {0, 1, 4, 100, 16384, 131072, 200001, sizeof in};
    fill_mixed(in, sizeof in);
    for (int codec = 0; codec < HR_CODEC_COUNT; codec++) {
        size_t room = hr__codec_bound(codec, sizeof in), bytes = 0, got;
        bool stops = codec == HR_CODEC_NONE || codec == HR_CODEC_SNAPPY || codec == HR_CODEC_ZSTD ||
                     codec == HR_CODEC_LZ4_RAW;
        uint8_t *packed = NULL;
        if (!room)
            continue;
        assert_int_equal(hr__alloc(room, &packed, NULL), HR_OK);
        assert_int_equal(hr__codec_compress(codec, 0, in, sizeof in, packed, room, &bytes, NULL),
                         HR_OK);
        for (size_t i = 0; i < HR_COUNTOF(rooms); i++) {
            memset(front, 0, sizeof front);
            got = hr__codec_prefix(codec, packed, bytes, front, rooms[i]);
            assert_int_equal(got, stops ? rooms[i] : 0);
            assert_memory_equal(front, in, got);
        }
        // Of a front there is as much as it holds, or nothing; never something else.
        for (size_t cut = 0; cut < bytes; cut += 1 + cut / 50) {
            got = hr__codec_prefix(codec, packed, cut, front, sizeof front);
            assert_true(got < sizeof in);
            assert_memory_equal(front, in, got);
        }
        if (stops)
            assert_int_equal(hr__codec_prefix(codec, packed, bytes * 9 / 10, front, 4096), 4096);
        hr__free(packed);
    }
}

static void codec__makes_nothing_of_a_damaged_front(void **state)
{
    uint8_t out[100];
    static const struct {
        hr_codec codec;
        uint8_t bytes[8];
        size_t count, got;
    } fronts[] = {
        {HR_CODEC_SNAPPY, {100, 0 << 2, 'x', 1, 2}, 5, 1},      // a copy from before the start
        {HR_CODEC_SNAPPY, {100, 0 << 2, 'x', 1, 0}, 5, 1},      // from nowhere
        {HR_CODEC_SNAPPY, {100, 0 << 2, 'x', 1, 1}, 5, 5},      // overlapping: xxxx
        {HR_CODEC_SNAPPY, {3, 0 << 2, 'x', 1, 1}, 5, 3},        // no more than it says it holds
        {HR_CODEC_SNAPPY, {100, 62 << 2, 255}, 3, 0},           // a length that is cut
        {HR_CODEC_SNAPPY, {255, 255}, 2, 0},                    // the same, of all
        {HR_CODEC_ZSTD, {0x28, 0xb5, 0x2f, 0xfd, 0xff}, 5, 0},  // half a header
        {HR_CODEC_LZ4_RAW, {0x10, 'x', 9, 0, 0x10, 'y'}, 6, 0}, // from before the start
        {HR_CODEC_GZIP, {0x1f, 0x8b, 8}, 3, 0},
    };
    for (size_t i = 0; i < HR_COUNTOF(fronts); i++) {
        if (hr__codec_check(fronts[i].codec, NULL))
            continue;
        size_t got =
            hr__codec_prefix(fronts[i].codec, fronts[i].bytes, fronts[i].count, out, sizeof out);
        assert_int_equal(got, fronts[i].got);
    }
    assert_int_equal(hr__codec_prefix(42, out, 1, out, 1), 0);
}

static void codec__reads_members_one_after_another(void **state)
{
    uint8_t in[500], packed[2000], back[1000];
    size_t first = 0, second = 0;
    if (!hr__codec_bound(HR_CODEC_GZIP, 1))
        skip();
    fill(in, sizeof in);
    assert_int_equal(hr__codec_compress(HR_CODEC_GZIP, 0, in, 500, packed, 1000, &first, NULL), 0);
    assert_int_equal(
        hr__codec_compress(HR_CODEC_GZIP, 0, in, 500, packed + first, 1000, &second, NULL), 0);
    assert_int_equal(hr__codec_decompress(HR_CODEC_GZIP, packed, first + second, back, 1000, NULL),
                     0);
    assert_memory_equal(in, back + 500, 500);
}

static void codec__reads_hadoop_frames(void **state)
{
    uint8_t in[500], packed[1100], back[500];
    size_t bytes = 0;
    if (!hr__codec_bound(HR_CODEC_LZ4_RAW, 1))
        skip();
    fill(in, sizeof in);
    assert_int_equal(
        hr__codec_compress(HR_CODEC_LZ4_RAW, 0, in, 500, packed + 8, 1000, &bytes, NULL), 0);
    memset(packed, 0, 8);
    packed[2] = 500 >> 8;
    packed[3] = 500 & 255;
    packed[6] = (uint8_t)(bytes >> 8);
    packed[7] = (uint8_t)bytes;
    assert_int_equal(hr__codec_decompress(HR_CODEC_LZ4, packed, bytes + 8, back, 500, NULL), 0);
    assert_memory_equal(in, back, 500);
    assert_int_equal(hr__codec_decompress(HR_CODEC_LZ4, packed + 8, bytes, back, 500, NULL), 0);
}

static void codec__names_what_it_cannot_do(void **state)
{
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr__codec_check(HR_CODEC_LZO, &err), HR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "lzo"));
    assert_int_equal(hr__codec_check(42, &err), HR_CORRUPT);
    assert_false(hr__codec_can_hold(HR_CODEC_SNAPPY, 10, 1 << 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codec__gives_back_what_it_took),
        cmocka_unit_test(codec__reads_the_front_of_a_stream),
        cmocka_unit_test(codec__makes_nothing_of_a_damaged_front),
        cmocka_unit_test(codec__reads_members_one_after_another),
        cmocka_unit_test(codec__reads_hadoop_frames),
        cmocka_unit_test(codec__names_what_it_cannot_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
