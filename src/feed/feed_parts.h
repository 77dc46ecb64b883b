// SPDX-License-Identifier: Apache-2.0
// Inside the room: the end that a feed and its batches share, batches, delays.
//
//   hr_feed ──ref──┐
//   hr_batch ─block─ hr_hold ──ref── hr_feed_end ── hr_port
//
// A hold is the right to some bytes: a lease of the port, or memory of the reader's own. It is the owner of the
// block over them, so whatever slices or exports live on that block keep it, and its end, and the port. The port
// closes when the feed and the last hold are gone.
#ifndef HR_FEED_FEED_PARTS_H
#define HR_FEED_FEED_PARTS_H

#include "base/stats.h"
#include "base/thread.h"
#include "feed/feed.h"
#include <stdatomic.h>

#define HR_OWN_BUFFERS_KEPT 4

typedef struct hr_own_buffer {
    void *memory;
    size_t bytes;
} hr_own_buffer;

typedef struct hr_feed_end {
    _Atomic uint32_t refs;
    pid_t pid; // of the process that opened it, for messages
    // How often this process had come out of a fork: a child refuses and frees nothing
    uint32_t forks;
    hr_port *port;
    hr_feed_origin origin;
    hr_mutex mutex;                          // guards: kept, kept_count
    hr_own_buffer kept[HR_OWN_BUFFERS_KEPT]; // recycled: warm pages first
    int32_t kept_count;
    hr_object_id checked; // the object whose span was last found sound (the feed's thread only)
} hr_feed_end;

HR_USE_RESULT hr_status hr__end_open(hr_port *port, const hr_feed_origin *origin, hr_feed_end **out,
                                     hr_error *err); // takes port
hr_feed_end *hr__end_ref(hr_feed_end *end);
void hr__end_unref(hr_feed_end **end);
bool hr__end_is_foreign(const hr_feed_end *end); // we are a forked child
// 64-aligned memory of the reader's own, recycled.
HR_USE_RESULT hr_status hr__end_take_memory(hr_feed_end *end, size_t bytes, hr_own_buffer *out,
                                            hr_error *err);
void hr__end_give_memory(hr_feed_end *end, hr_own_buffer *buffer);

typedef struct hr_hold {
    hr_feed_end *end;
    bool leased;
    hr_lease lease;
    hr_own_buffer own; // where not leased
} hr_hold;

// A column made dense: kept with its batch, so that asking twice gives the same memory.
typedef struct hr_made_tensor {
    struct hr_made_tensor *next;
    int32_t column;
    hr_tensor_mode mode;
    hr_nulls nulls;
    double null_value;
    hr_tensor tensor;
    hr_own_buffer own;
} hr_made_tensor;

struct hr_batch {
    _Atomic uint32_t refs;
    hr_hold *hold;   // borrowed: the block's owner
    hr_block *block; // its rows
    int64_t bytes, epoch, step, first_row;
    hr_mutex mutex; // guards: made, private_span
    hr_made_tensor *made;
    uint8_t *private_span;
};

// Makes a batch of what the port gave. Takes the lease, also on failure. *copied_out: bytes copied, 0 when it was
// not.
HR_USE_RESULT hr_status hr__batch_open(hr_feed_end *end, const hr_lease *lease, hr_batch **out,
                                       int64_t *copied_out, hr_error *err);
void hr__batch_drop_tensors(hr_batch *batch); // tensor.c
// The span writable, the batch's rows seen by it alone; NULL: there is no such place (batch->mutex held).
HR_USE_RESULT hr_status hr__batch_private(hr_batch *batch, uint8_t **out, hr_error *err);

// --- where the reader's time goes (delay.c). Caller-serialised ---
typedef struct hr_delay {
    hr_samples waits;
    double wait_s, own_s, first_batch_s;
    uint64_t opened_ns,
        left_ns; // left_ns: when the reader was last let go; 0 before the first call
    int64_t batches, rows, bytes, epochs, copied_batches, copied_bytes;
} hr_delay;
void hr__delay_init(hr_delay *delay);
uint64_t hr__delay_enter(hr_delay *delay); // the reader asks: returns now
// It is let go; a batch came (else the epoch's end, or an error). `before_ns`: waited for it already.
void hr__delay_leave(hr_delay *delay, uint64_t entered_ns, uint64_t before_ns, bool batch);
void hr__delay_print(hr_delay *delay, hr_feed_stats *out);
void hr__delay_finish(hr_delay *delay);

#endif
