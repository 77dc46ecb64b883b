// SPDX-License-Identifier: Apache-2.0
// What a worker and its trainer say to each other. One message a packet (store.h carries them), fields little-endian:
//
//   worker    FEED        u32 request, i64 x HR_WIRE_OPTIONS, u32 bytes, position, name
//                                                                      a shard of a dataset as a feed
//             LINE        text                                         for the user
//             DETAILS     bytes                                        of the FINISH that follows; as many as it takes
//             FINISH      i32 status, words                            the loop is over
//             STATS       name                                         the statistics of a dataset
//             CHECKPOINT  u32 request, metrics                         where shall it go?
//             COMMIT      u32 request, u32 whether it is there         what was staged is whole and durable, or is not
//             LEAVE       u32 request                                  the feed that it was answered by is closed
//   trainer   FED         u32 request, i32 status, u32 bytes, position, text
//                                                                      where it begins; channel to open, or why not
//             TEXT        u32 last, text                               answers STATS
//             STAGE       u32 request, i32 status, text                folder to fill; END: another rank's is kept
//             COMMITTED   u32 request, i32 status, text                folder to remove ("-": none), or why not
//
// Reports do not go this way: report_ring.h. A worker is started with
//
//   HEADRACE_ATTACH_FD   its connection              HEADRACE_RANK, HEADRACE_WORLD_SIZE
//   HEADRACE_REPORT_FD   its ring for reports        HEADRACE_PAYLOAD_FD   u64 bytes, then the payload
//   HEADRACE_CHECKPOINT  folder to begin from, or "" HEADRACE_WORKER_OF    its trainer's process
#ifndef HR_TRAIN_TRAIN_WIRE_H
#define HR_TRAIN_TRAIN_WIRE_H

#include "base/cursor.h"
#include "base/text.h"
#include <headrace/train.h>

enum {
    HR_WIRE_FEED = 64,
    HR_WIRE_LINE,
    HR_WIRE_DETAILS,
    HR_WIRE_FINISH,
    HR_WIRE_STATS,
    HR_WIRE_CHECKPOINT,
    HR_WIRE_COMMIT,
    HR_WIRE_LEAVE,
    HR_WIRE_FED = 80,
    HR_WIRE_TEXT,
    HR_WIRE_STAGE,
    HR_WIRE_COMMITTED,
};

#define HR_WIRE_OPTIONS     12
#define HR_WIRE_NAME_MAX    200u
#define HR_WIRE_PATH_MAX    4096u
#define HR_WIRE_PART_BYTES  32768u
#define HR_WIRE_DETAILS_MAX ((size_t)4 << 20)

// Options of a stream as numbers; `ranks` is the trainer's to set, the position goes by itself.
static inline void hr__wire_options_put(int64_t to[HR_WIRE_OPTIONS], const hr_stream_options *o)
{
    const int64_t values[HR_WIRE_OPTIONS] = {
        o->batch_rows,        o->drop_last,   o->prefetch_blocks,
        o->prefetch_bytes,    o->epochs,      o->shuffle,
        (int64_t)o->seed,     o->window_rows, o->first_epoch,
        o->global_batch_rows, o->tail,        o->order_lanes};
    memcpy(to, values, sizeof values);
}

// Numbers that no option has are left to hr_dataset_stream, which words them.
static inline void hr__wire_options_get(const int64_t from[HR_WIRE_OPTIONS], hr_stream_options *o)
{
    *o = (hr_stream_options)HR_STREAM_OPTIONS_INIT;
    o->batch_rows = from[0];
    o->drop_last = from[1] != 0;
    o->prefetch_blocks = from[2];
    o->prefetch_bytes = from[3];
    o->epochs = from[4];
    o->shuffle = (hr_shuffle)HR_MAX(-1, HR_MIN(from[5], INT16_MAX));
    o->seed = (uint64_t)from[6];
    o->window_rows = from[7];
    o->first_epoch = from[8];
    o->global_batch_rows = from[9];
    o->tail = (hr_tail)HR_MAX(-1, HR_MIN(from[10], INT16_MAX));
    o->order_lanes = from[11];
}

// Bytes that are preceded by their number, as text with its end; "" when there are none. False: too many, or a NUL.
static inline bool hr__wire_counted(hr_cursor *c, char *to, size_t room)
{
    uint32_t count = hr__cursor_u32(c);
    const uint8_t *bytes = count < room ? hr__cursor_take(c, count) : NULL;
    if (c->failed || count >= room || (count > 0 && (!bytes || memchr(bytes, 0, count))))
        return false;
    if (count > 0)
        memcpy(to, bytes, count);
    to[count] = '\0';
    return true;
}

// The rest of a message as text with its end, cut at room - 1. False: it is empty or holds a NUL.
static inline bool hr__wire_text(hr_cursor *c, char *to, size_t room)
{
    size_t count = hr__cursor_left(c);
    count = HR_MIN(count, room - 1);
    const uint8_t *bytes = hr__cursor_take(c, count);
    if (!bytes || count == 0 || memchr(bytes, 0, count))
        return false;
    memcpy(to, bytes, count);
    to[count] = '\0';
    return true;
}

#endif
