// SPDX-License-Identifier: Apache-2.0
// Fronts of streams. Input: u8 codec, u16 room, u16 cut, bytes: taken for a hostile stream, and packed to a good one.
//
// Oracles: less room gives a prefix of what more room gives; what decompresses whole begins with what its front gave,
// which is all that was asked for; a front that is cut short gives a prefix. Of lz4 our own streams alone are compared:
// to its library a distance of 0 means bytes that it never wrote.
#include "base/cursor.h"
#include "base/mem.h"
#include "format/codec.h"
#include <stdlib.h>
#include <string.h>

enum { ROOM_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool claim)
{
    if (!claim)
        abort();
}

// Memory of exactly that size, so that a byte beyond is noticed.
static uint8_t *copy_of(const uint8_t *bytes, size_t count)
{
    uint8_t *copy = NULL;
    need(!hr__alloc(HR_MAX(count, 1), &copy, NULL));
    if (count)
        memcpy(copy, bytes, count);
    return copy;
}

static void check_stream(hr_codec codec, const uint8_t *in, size_t in_bytes, size_t room,
                         size_t cut, bool compare)
{
    uint8_t *all = NULL, *some = NULL, *whole = NULL, *front = copy_of(in, HR_MIN(cut, in_bytes));
    need(!hr__alloc(ROOM_MAX, &all, NULL) && !hr__alloc(HR_MAX(room, 1), &some, NULL) &&
         !hr__alloc(ROOM_MAX, &whole, NULL));
    size_t most = hr__codec_prefix(codec, in, in_bytes, all, ROOM_MAX);
    need(most <= ROOM_MAX);
    size_t got = hr__codec_prefix(codec, in, in_bytes, some, room);
    need(got <= room && (!compare || memcmp(some, all, HR_MIN(got, most)) == 0));
    if (compare && most > 0 &&
        hr__codec_decompress(codec, in, in_bytes, whole, most, NULL) == HR_OK) {
        need(memcmp(whole, all, most) == 0 && got == HR_MIN(room, most));
        got = hr__codec_prefix(codec, front, HR_MIN(cut, in_bytes), some, room);
        need(got <= room && got <= most && memcmp(some, whole, got) == 0);
    }
    hr__free(front);
    hr__free(all);
    hr__free(some);
    hr__free(whole);
}

static void check_own(hr_codec codec, const uint8_t *in, size_t in_bytes, size_t room, size_t cut)
{
    size_t bound = hr__codec_bound(codec, in_bytes), count = 0;
    uint8_t *packed = NULL;
    if (!bound || in_bytes > ROOM_MAX)
        return;
    need(!hr__alloc(bound, &packed, NULL));
    need(!hr__codec_compress(codec, 0, in, in_bytes, packed, bound, &count, NULL));
    uint8_t *exact = copy_of(packed, count);
    check_stream(codec, exact, count, room, cut, true);
    hr__free(exact);
    hr__free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hr_cursor c = hr__cursor(data, size);
    hr_codec codec = (hr_codec)(hr__cursor_u8(&c) % HR_CODEC_COUNT);
    size_t room = hr__cursor_u16(&c), cut = hr__cursor_u16(&c), left = hr__cursor_left(&c);
    if (c.failed || hr__codec_check((int)codec, NULL))
        return 0;
    uint8_t *bytes = copy_of(c.at, left);
    check_stream(codec, bytes, left, room, cut, codec != HR_CODEC_LZ4_RAW);
    check_own(codec, bytes, left, room, cut);
    hr__free(bytes);
    return 0;
}
