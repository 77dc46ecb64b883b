// SPDX-License-Identifier: Apache-2.0
// The inside of a session: its connection, and the feeds that it was asked for, whose positions stand in checkpoints.
#ifndef HR_TRAIN_SESSION_PARTS_H
#define HR_TRAIN_SESSION_PARTS_H

#include "feed/feed.h"
#include "store/store.h"
#include "train/checkpoint.h"
#include "train/report_ring.h"
#include "train/train_wire.h"

// A feed that was opened. It belongs to the session and to the feed, and goes with the last of them.
typedef struct hr_session_feed_note {
    struct hr_session_feed_note *next; // an older one
    char name[HR_WIRE_NAME_MAX + 1];
    hr_session *session;
    uint32_t request;  // that it was asked for by
    hr_feed *feed;     // NULL: closed
    bool forgotten;    // the session is gone
    bool has_position; // closed: where the next request goes on
    hr_position position;
    int64_t epochs, asked_epoch; // epochs of the request, counted from asked_epoch on
} hr_session_feed_note;

// Whether a trainer started this process as its worker, and it never opened a session.
bool hr__worker_is_none(void);

struct hr_session {
    hr_client *client;
    hr_report_ring *reports;
    int64_t rank, world_size;
    void *payload_map; // u64 bytes, then the payload
    size_t payload_map_bytes, payload_bytes;
    char *checkpoint;            // to begin from; NULL: none
    hr_session_feed_note *notes; // newest first
    uint32_t requests;
};

// CANCELLED: the trainer ended, or was killed.
HR_USE_RESULT hr_status hr__session_send(hr_session *session, uint32_t type, const void *bytes,
                                         size_t count, hr_error *err);
// Waits for an answer; those of other types (of a question given up) are passed over.
HR_USE_RESULT hr_status hr__session_receive(hr_session *session, uint32_t type, uint8_t *bytes,
                                            size_t room, hr_cursor *out, hr_error *err);

// session_checkpoint.c
HR_USE_RESULT hr_status hr__session_note_feed(hr_session *session, const char *dataset,
                                              const hr_stream_options *options,
                                              hr_session_feed_note **out, hr_error *err);
void hr__session_drop_note(hr_session *session, hr_session_feed_note *note);
void hr__session_feed_closed(void *note); // a feed's `closed`
void hr__session_forget_feeds(hr_session *session);

#endif
