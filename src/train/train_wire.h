// SPDX-License-Identifier: Apache-2.0
// What a worker and its trainer say to each other. One message a packet (store.h carries them), fields little-endian:
//
//   worker    FEED      u32 request, i64 x HR_WIRE_OPTIONS, name     a shard of a dataset as a feed
//             LINE      text                                         for the user
//             DETAILS   bytes                                        of the FINISH that follows; as many as it takes
//             FINISH    i32 status, words                            the loop is over
//             STATS     name                                         the statistics of a dataset
//   trainer   FED       u32 request, i32 status, u64 seed, u64 plan hash, text     channel to open, or why not
//             TEXT      u32 last, text                               answers STATS
//
// Reports do not go this way: report_ring.h. A worker is started with
//
//   HEADRACE_ATTACH_FD   its connection              HEADRACE_RANK, HEADRACE_WORLD_SIZE
//   HEADRACE_REPORT_FD   its ring for reports        HEADRACE_PAYLOAD_FD   u64 bytes, then the payload
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
    HR_WIRE_FED = 80,
    HR_WIRE_TEXT,
};

#define HR_WIRE_OPTIONS     11
#define HR_WIRE_NAME_MAX    200u
#define HR_WIRE_PART_BYTES  32768u
#define HR_WIRE_DETAILS_MAX ((size_t)4 << 20)

// Options of a stream as numbers; `ranks` and `only_rank` are the trainer's to set.
static inline void hr__wire_options_put(int64_t to[HR_WIRE_OPTIONS], const hr_stream_options *o)
{
    const int64_t values[HR_WIRE_OPTIONS] = {o->batch_rows,
                                             o->drop_last,
                                             o->prefetch_blocks,
                                             o->prefetch_bytes,
                                             o->epochs,
                                             o->shuffle,
                                             (int64_t)o->seed,
                                             o->window_rows,
                                             o->first_epoch,
                                             o->first_step,
                                             0};
    memcpy(to, values, sizeof values);
}

static inline void hr__wire_options_get(const int64_t from[HR_WIRE_OPTIONS], hr_stream_options *o)
{
    *o = (hr_stream_options)HR_STREAM_OPTIONS_INIT;
    o->batch_rows = from[0];
    o->drop_last = from[1] != 0;
    o->prefetch_blocks = from[2];
    o->prefetch_bytes = from[3];
    o->epochs = from[4];
    o->shuffle =
        from[5] >= 0 && from[5] <= HR_SHUFFLE_WINDOW ? (hr_shuffle)from[5] : HR_SHUFFLE_NONE;
    o->seed = (uint64_t)from[6];
    o->window_rows = from[7];
    o->first_epoch = from[8];
    o->first_step = from[9];
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
