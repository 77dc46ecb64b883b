// SPDX-License-Identifier: Apache-2.0
// Bounded reads over untrusted bytes. A read past the end sets `failed`, returns zero and consumes nothing
// more: so a parser reads a group of fields and checks once. Little-endian.
#ifndef HR_BASE_CURSOR_H
#define HR_BASE_CURSOR_H

#include "base/compiler.h"
#include <string.h>

typedef struct hr_cursor {
    const uint8_t *at, *end, *begin;
    bool failed;
} hr_cursor;

static inline hr_cursor hr__cursor(const void *bytes, size_t count)
{
    const uint8_t *p = (const uint8_t *)bytes;
    return (hr_cursor){p, p ? p + count : p, p, false};
}
static inline size_t hr__cursor_left(const hr_cursor *c)
{
    return (size_t)(c->end - c->at);
}
static inline size_t hr__cursor_offset(const hr_cursor *c)
{
    return (size_t)(c->at - c->begin);
}
// The next `count` bytes, or NULL (and failed).
static inline const uint8_t *hr__cursor_take(hr_cursor *c, size_t count)
{
    if (c->failed || count > hr__cursor_left(c)) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += count;
    return p;
}
#define HR_CURSOR_READ(name, type)                                                                 \
    static inline type hr__cursor_##name(hr_cursor *c)                                             \
    {                                                                                              \
        type value = 0;                                                                            \
        const uint8_t *p = hr__cursor_take(c, sizeof value);                                       \
        if (p)                                                                                     \
            memcpy(&value, p, sizeof value);                                                       \
        return value;                                                                              \
    }
HR_CURSOR_READ(u8, uint8_t)
HR_CURSOR_READ(u16, uint16_t)
HR_CURSOR_READ(u32, uint32_t)
HR_CURSOR_READ(u64, uint64_t)
#undef HR_CURSOR_READ
// LEB128, at most 10 bytes; longer or running past the end is failed.
static inline uint64_t hr__cursor_varint(hr_cursor *c)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b = hr__cursor_u8(c);
        if (c->failed)
            return 0;
        if (shift == 63 && b > 1)
            break;
        value |= (uint64_t)(b & 0x7f) << (shift & 63);
        if (!(b & 0x80))
            return value;
    }
    c->failed = true;
    return 0;
}
static inline int64_t hr__cursor_zigzag(hr_cursor *c)
{
    uint64_t v = hr__cursor_varint(c);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
