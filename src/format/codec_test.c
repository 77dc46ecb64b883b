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
        cmocka_unit_test(codec__reads_members_one_after_another),
        cmocka_unit_test(codec__reads_hadoop_frames),
        cmocka_unit_test(codec__names_what_it_cannot_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
