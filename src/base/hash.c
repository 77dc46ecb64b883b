// SPDX-License-Identifier: Apache-2.0
// XXH3 for our own keys and checksums, CRC-32 for formats that ask for it.
//
// CRC-32 (IEEE 802.3, reflected, polynomial 0xEDB88320) eight bytes at a time: table k holds the remainder of a byte
// that has k further bytes behind it. Remainders are linear over XOR, so a table of 256 is written as the eight of its
// single bits and the compiler makes the rest: constants, nothing to initialise.
#include "base/hash.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define ENTRY(n, a, b, c, d, e, f, g, h)                                                           \
    (((n)&1 ? a : 0) ^ ((n)&2 ? b : 0) ^ ((n)&4 ? c : 0) ^ ((n)&8 ? d : 0) ^ ((n)&16 ? e : 0) ^    \
     ((n)&32 ? f : 0) ^ ((n)&64 ? g : 0) ^ ((n)&128 ? h : 0))
#define ROW4(n, ...)                                                                               \
    ENTRY(n, __VA_ARGS__), ENTRY(n + 1, __VA_ARGS__), ENTRY(n + 2, __VA_ARGS__),                   \
        ENTRY(n + 3, __VA_ARGS__)
#define ROW16(n, ...)                                                                              \
    ROW4(n, __VA_ARGS__), ROW4(n + 4, __VA_ARGS__), ROW4(n + 8, __VA_ARGS__),                      \
        ROW4(n + 12, __VA_ARGS__)
#define ROW64(n, ...)                                                                              \
    ROW16(n, __VA_ARGS__), ROW16(n + 16, __VA_ARGS__), ROW16(n + 32, __VA_ARGS__),                 \
        ROW16(n + 48, __VA_ARGS__)
#define TABLE(...)                                                                                 \
    {                                                                                              \
        ROW64(0, __VA_ARGS__), ROW64(64, __VA_ARGS__), ROW64(128, __VA_ARGS__),                    \
            ROW64(192, __VA_ARGS__)                                                                \
    }

static const uint32_t remainders[8][256] = {
    TABLE(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8, 0x76dc4190,
          0xedb88320),
    TABLE(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2, 0xf0794f05,
          0x3b83984b),
    TABLE(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0, 0x709a8dc0,
          0xe1351b80),
    TABLE(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e, 0x9b14583d,
          0xed59b63b),
    TABLE(0x3d6029b0, 0x7ac05360, 0xf580a6c0, 0x30704bc1, 0x60e09782, 0xc1c12f04, 0x58f35849,
          0xb1e6b092),
    TABLE(0xcb5cd3a5, 0x4dc8a10b, 0x9b914216, 0xec53826d, 0x03d6029b, 0x07ac0536, 0x0f580a6c,
          0x1eb014d8),
    TABLE(0xa6770bb4, 0x979f1129, 0xf44f2413, 0x33ef4e67, 0x67de9cce, 0xcfbd399c, 0x440b7579,
          0x8816eaf2),
    TABLE(0xccaa009e, 0x4225077d, 0x844a0efa, 0xd3e51bb5, 0x7cbb312b, 0xf9766256, 0x299dc2ed,
          0x533b85da),
};

uint64_t hr__hash64(const void *bytes, size_t count, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, count, seed);
}

static uint32_t byte_of(uint64_t word, int index)
{
    return (uint32_t)(word >> (8 * index)) & 0xFF;
}

uint32_t hr__crc32(uint32_t crc, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    crc = ~crc;
    for (; count >= 8; at += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        word ^= crc;
        crc = remainders[7][byte_of(word, 0)] ^ remainders[6][byte_of(word, 1)] ^
              remainders[5][byte_of(word, 2)] ^ remainders[4][byte_of(word, 3)] ^
              remainders[3][byte_of(word, 4)] ^ remainders[2][byte_of(word, 5)] ^
              remainders[1][byte_of(word, 6)] ^ remainders[0][byte_of(word, 7)];
    }
    for (; count > 0; at++, count--)
        crc = crc >> 8 ^ remainders[0][(crc ^ *at) & 0xFF];
    return ~crc;
}
