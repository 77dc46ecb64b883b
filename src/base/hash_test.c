// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"
#include "base/unit.h"

// By zlib 1.3's crc32 over the bytes (7 i + 3) mod 256.
static void crc32__equals_zlib(void **state)
{
    static const struct {
        size_t count;
        uint32_t crc;
    } known[] = {{0, 0},          {1, 0x4b0bbe37},  {7, 0x54491cdb},   {8, 0xe2e35978},
                 {9, 0x3d351cfe}, {63, 0xb7350c2a}, {1000, 0x17bc2a46}};
    uint8_t bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + 3);
    for (size_t i = 0; i < HR_COUNTOF(known); i++)
        assert_int_equal(hr__crc32(0, bytes, known[i].count), known[i].crc);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 13)
        assert_int_equal(hr__crc32(hr__crc32(0, bytes, cut), bytes + cut, sizeof bytes - cut),
                         0x17bc2a46);
    assert_int_equal(hr__crc32(0, "123456789", 9), 0xcbf43926); // the check value of the standard
}

static void hash64__is_xxh3(void **state)
{
    assert_int_equal(hr__hash64("", 0, 0), UINT64_C(0x2d06800538d394c2));
    assert_int_not_equal(hr__hash64("a", 1, 0), hr__hash64("a", 1, 1));
    assert_int_not_equal(hr__hash64("a", 1, 0), hr__hash64("b", 1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32__equals_zlib),
        cmocka_unit_test(hash64__is_xxh3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
