// SPDX-License-Identifier: Apache-2.0
// The service inside: peers and what they may open.
//
// Locks: service.lock guards the list of peers and what says so below; everything else of a peer belongs to the
// service thread. It comes before no other lock: channels, the handler and the socket are called without it, save a
// send that never waits.
#ifndef HR_STORE_SERVICE_H
#define HR_STORE_SERVICE_H

#include "store/channel.h"
#include "store/message.h"

#define HR_OFFERS_MAX       256
#define HR_OUTBOX_BYTES_MAX ((size_t)4 << 20)

typedef struct hr_offer {
    char name[HR_STREAM_NAME_MAX + 1];
    hr_channel *channel; // a reference; NULL: this entry is free. guarded by service.lock
    bool open;           // the peer's port; the service thread's
} hr_offer;

// A message that the socket did not take yet.
typedef struct hr_letter {
    struct hr_letter *next;
    size_t bytes;
    int fds[2], fd_count; // of our own, duplicated
    uint8_t data[];
} hr_letter;

struct hr_peer {
    hr_peer *next;
    hr_service *service;
    void *tag;
    bool paired;  // made by hr__service_pair: its owner closes it
    bool greeted; // the service thread's
    int fd, watch_fd, bell_fd;
    // service.lock:
    bool gone, closing;
    hr_letter *first, **last;
    size_t outbox_bytes;
    uint32_t offer_count;
    hr_offer offers[HR_OFFERS_MAX];
};

struct hr_service {
    hr_store *store;
    hr_service_handler handler;
    hr_thread thread;
    hr_mutex lock;
    hr_cond reaped;
    hr_peer *peers;
    bool stopping;
    int wake_fd, listen_fd, lock_fd; // listen_fd -1: somebody else in this process listens
    uint8_t buffer[HR_MESSAGE_BYTES_MAX];
};

// peer.c, on the service thread; `gone` becomes true when the peer must go
void hr__peer_read(hr_peer *peer);
void hr__peer_rang(hr_peer *peer);
void hr__peer_flush(hr_peer *peer);
void hr__peer_end(hr_peer *peer); // its channels are detached, its descriptors closed
hr_status hr__peer_make(hr_service *service, int fd, bool paired, void *tag, hr_peer **out,
                        hr_error *err);
void hr__peer_free(hr_peer *peer);

// runtime_files.c: PID.sock and PID.lock. *listen_fd_out is -1 when another service of this process listens.
HR_USE_RESULT hr_status hr__runtime_claim(int *listen_fd_out, int *lock_fd_out, hr_error *err);
void hr__runtime_unclaim(int *listen_fd, int *lock_fd);

#endif
