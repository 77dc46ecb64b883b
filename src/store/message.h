// SPDX-License-Identifier: Apache-2.0
// What worker and runtime say to each other over the socket. One message a packet: a type, then its fields, each
// little-endian and as wide as said here. Types from 64 on are the upper rooms' own.
//
//   HELLO    u32 magic, u32 version, u32 pid                    worker: first message
//   WELCOME  u32 magic, u32 version, u32 pid                    runtime; with the arena (read-only) and the bell
//   OPEN     name                                               worker
//   OPENED   u32 number, u64 ring bytes                         runtime; with the ring
//   REFUSED  u32 status, words                                  runtime: instead of WELCOME or OPENED
//   CLOSE    u32 number                                         worker: this port's leases are back
//   STATS    what                                               worker
//   PART     u32 last, text                                     runtime
//
// After OPENED nothing but the ring and the bell is needed for batches: the socket tells of death.
#ifndef HR_STORE_MESSAGE_H
#define HR_STORE_MESSAGE_H

#include "base/cursor.h"
#include "base/os.h"

#define HR_MESSAGE_MAGIC   0x52414548u // "HEAR"
#define HR_MESSAGE_VERSION 1u
#define HR_MESSAGE_UPPER   64u
#define HR_STREAM_NAME_MAX 63u
#define HR_PART_BYTES_MAX  32768u

typedef enum hr_message_type {
    HR_MESSAGE_HELLO = 1,
    HR_MESSAGE_WELCOME,
    HR_MESSAGE_OPEN,
    HR_MESSAGE_OPENED,
    HR_MESSAGE_REFUSED,
    HR_MESSAGE_CLOSE,
    HR_MESSAGE_STATS,
    HR_MESSAGE_PART
} hr_message_type;

// Fields appended one by one into room that is large enough for any of the messages above.
typedef struct hr_packet {
    size_t bytes;
    uint8_t data[HR_PART_BYTES_MAX + 64];
} hr_packet;

static inline void hr__packet_put(hr_packet *packet, const void *bytes, size_t count)
{
    HR_ASSERT(count <= sizeof packet->data - packet->bytes);
    memcpy(packet->data + packet->bytes, bytes, count);
    packet->bytes += count;
}
static inline void hr__packet_u32(hr_packet *packet, uint32_t value)
{
    hr__packet_put(packet, &value, sizeof value);
}
static inline void hr__packet_u64(hr_packet *packet, uint64_t value)
{
    hr__packet_put(packet, &value, sizeof value);
}
static inline void hr__packet_begin(hr_packet *packet, uint32_t type)
{
    packet->bytes = 0;
    hr__packet_u32(packet, type);
}
// A message of an upper room as it goes over the socket, freed with hr__free. INVALID: not a type of theirs, too long.
HR_USE_RESULT hr_status hr__message_frame(uint32_t type, const void *bytes, size_t count,
                                          uint8_t **packet_out, size_t *bytes_out, hr_error *err);
// The rest of a message as text: false when it does not fit.
static inline bool hr__cursor_text(hr_cursor *c, char *out, size_t room)
{
    size_t count = hr__cursor_left(c);
    if (count >= room)
        return false;
    memcpy(out, c->at, count);
    out[count] = 0;
    return true;
}

#endif
