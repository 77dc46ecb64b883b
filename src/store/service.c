// SPDX-License-Identifier: Apache-2.0
// The one thread that listens: for connections, for messages, for bells, and for the end of a peer.
//
//   wake_fd     somebody changed the list of peers, or wrote a letter
//   listen_fd   PID.sock
//   per peer    its socket, its process (pidfd), its bell
//
// The thread alone frees peers, so that what poll said about one still holds while it is looked at. Callbacks run
// on it and without the lock; hr__peer_close waits until none of that peer's is under way.
#include "store/service.h"

#include "base/os.h"

#include <unistd.h>

#define LETTERS_NS  5000000u // outboxes are tried again so often: poll says nothing about writing
#define FDS_A_PEER  3
#define FDS_OF_OURS 2

static _Thread_local const hr_service *serving; // by the calling thread

static uint32_t count_peers(const hr_service *service)
{
    uint32_t count = 0;
    for (const hr_peer *p = service->peers; p; p = p->next)
        count++;
    return count;
}

static void unlink_peer(hr_service *service, hr_peer *peer)
{
    hr__mutex_lock(&service->lock);
    hr_peer **at = &service->peers;
    while (*at != peer)
        at = &(*at)->next;
    *at = peer->next;
    hr__cond_broadcast(&service->reaped);
    hr__mutex_unlock(&service->lock);
    hr__peer_free(peer);
}

// Peers that are gone are ended and told of; those to be closed leave the list.
static void reap(hr_service *service)
{
    hr__mutex_lock(&service->lock);
    hr_peer *peer = service->peers;
    hr__mutex_unlock(&service->lock);
    while (peer) {
        hr__mutex_lock(&service->lock);
        hr_peer *next = peer->next; // new peers come at the front, and we alone take away
        bool gone = peer->gone, closing = peer->closing, ended = peer->fd < 0;
        hr__mutex_unlock(&service->lock);
        if ((gone || closing) && !ended) {
            hr__peer_end(peer);
            if (!closing && service->handler.gone)
                service->handler.gone(service->handler.context, peer);
            hr__mutex_lock(&service->lock);
            closing |= peer->closing;
            hr__mutex_unlock(&service->lock);
        }
        if (closing || (gone && !peer->paired))
            unlink_peer(service, peer);
        peer = next;
    }
}

static void add_peer(hr_service *service, hr_peer *peer)
{
    hr__mutex_lock(&service->lock);
    peer->next = service->peers;
    service->peers = peer;
    hr__mutex_unlock(&service->lock);
    hr__eventfd_wake(service->wake_fd);
}

static void accept_peer(hr_service *service)
{
    int fd = -1;
    uint32_t uid = 0;
    hr_peer *peer = NULL;
    if (hr__socket_accept(service->listen_fd, &fd, &uid, NULL, NULL) != HR_OK)
        return;
    if (uid == geteuid() && hr__peer_make(service, fd, false, NULL, &peer, NULL) == HR_OK)
        add_peer(service, peer);
    else
        hr__close_fd(&fd);
}

// Fills fds (room for all) and says how long to wait at most.
static int gather(hr_service *service, int *fds, hr_peer **peers, uint32_t room,
                  uint64_t *timeout_out)
{
    int count = 0;
    *timeout_out = UINT64_MAX;
    fds[count++] = service->wake_fd;
    fds[count++] = service->listen_fd;
    hr__mutex_lock(&service->lock);
    uint32_t n = 0;
    for (hr_peer *p = service->peers; p && n < room; p = p->next) {
        bool ended = p->fd < 0;
        peers[n++] = p;
        fds[count++] = p->fd;
        fds[count++] = p->watch_fd;
        fds[count++] = ended ? -1 : p->bell_fd;
        if (p->first && !ended)
            *timeout_out = LETTERS_NS;
        if ((p->gone && !ended) || p->closing)
            *timeout_out = 0;
    }
    hr__mutex_unlock(&service->lock);
    return count;
}

static void look_at_peer(hr_peer *peer, const bool *ready)
{
    // The bell first: what was taken before a process ended counts as taken.
    if (ready[2])
        hr__peer_rang(peer);
    if (ready[0])
        hr__peer_read(peer);
    else if (ready[1]) {
        hr__mutex_lock(&peer->service->lock);
        peer->gone = true;
        hr__mutex_unlock(&peer->service->lock);
    }
    hr__peer_flush(peer);
}

static bool is_stopping(hr_service *service)
{
    hr__mutex_lock(&service->lock);
    bool stopping = service->stopping;
    hr__mutex_unlock(&service->lock);
    return stopping;
}

typedef struct poll_set {
    int *fds;
    bool *ready;
    hr_peer **peers;
    uint32_t room;
} poll_set;

static hr_status poll_set_grow(poll_set *set, uint32_t peers)
{
    if (set->room >= peers && set->room > 0) // set last: all three are there
        return HR_OK;
    uint32_t room = peers + 16;
    size_t fds = (size_t)room * FDS_A_PEER + FDS_OF_OURS;
    HR_TRY(hr__realloc(&set->fds, fds * sizeof *set->fds, NULL));
    HR_TRY(hr__realloc(&set->ready, fds * sizeof *set->ready, NULL));
    HR_TRY(hr__realloc(&set->peers, room * sizeof *set->peers, NULL));
    set->room = room;
    return HR_OK;
}

static void serve(void *service_)
{
    hr_service *service = service_;
    poll_set set = {0};
    serving = service;
    while (!is_stopping(service)) {
        hr__mutex_lock(&service->lock);
        uint32_t count = count_peers(service);
        hr__mutex_unlock(&service->lock);
        if (poll_set_grow(&set, count) != HR_OK && set.room == 0) {
            hr__sleep_ns(LETTERS_NS); // no heap at all: later, perhaps
            continue;
        }
        uint64_t timeout_ns;
        int fds = gather(service, set.fds, set.peers, set.room, &timeout_ns);
        if (hr__poll_read(set.fds, fds, set.ready, timeout_ns, NULL) == HR_OK) {
            if (set.ready[0])
                hr__eventfd_drain(service->wake_fd);
            for (int i = FDS_OF_OURS; i < fds; i += FDS_A_PEER)
                if (set.fds[i] >= 0)
                    look_at_peer(set.peers[(i - FDS_OF_OURS) / FDS_A_PEER], set.ready + i);
            if (set.ready[1])
                accept_peer(service);
        } else {
            for (int i = FDS_OF_OURS; i < fds; i += FDS_A_PEER)
                if (set.fds[i] >= 0)
                    hr__peer_flush(set.peers[(i - FDS_OF_OURS) / FDS_A_PEER]);
        }
        reap(service);
    }
    hr__free(set.fds);
    hr__free(set.ready);
    hr__free(set.peers);
}

static void free_service(hr_service *service)
{
    hr__runtime_unclaim(&service->listen_fd, &service->lock_fd);
    hr__close_fd(&service->wake_fd);
    hr__cond_finish(&service->reaped);
    hr__mutex_finish(&service->lock);
    hr_store *store = service->store;
    hr__free(service);
    hr__store_let_go(store);
}

hr_status hr__service_open(hr_store *store, const hr_service_handler *handler, hr_service **out,
                           hr_error *err)
{
    hr_service *service = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *service, &service, err));
    hr__store_hold(store);
    service->store = store;
    service->handler = handler ? *handler : (hr_service_handler){0};
    service->wake_fd = service->listen_fd = service->lock_fd = -1;
    hr__mutex_init(&service->lock);
    hr__cond_init(&service->reaped);
    hr_status status = HR_OK;
    HR_GO(hr__eventfd(&service->wake_fd, err));
    HR_GO(hr__runtime_claim(&service->listen_fd, &service->lock_fd, err));
    HR_GO(hr__thread_start(&service->thread, "hr-service", HR_THREAD_NORMAL, serve, service, err));
out:
    if (status)
        free_service(service);
    else
        *out = service;
    return status;
}

void hr__service_close(hr_service **service_)
{
    hr_service *service = *service_;
    *service_ = NULL;
    if (!service || hr__store_forked(service->store))
        return;
    hr__mutex_lock(&service->lock);
    service->stopping = true;
    hr__mutex_unlock(&service->lock);
    hr__eventfd_wake(service->wake_fd);
    hr__thread_join(&service->thread);
    while (service->peers) {
        hr_peer *peer = service->peers;
        if (peer->fd >= 0)
            hr__peer_end(peer);
        unlink_peer(service, peer);
    }
    free_service(service);
}

hr_status hr__service_pair(hr_service *service, void *tag, hr_peer **peer_out, int *child_fd_out,
                           hr_error *err)
{
    int fds[2] = {-1, -1};
    hr_peer *peer = NULL;
    HR_TRY(hr__socket_pair(fds, err));
    hr_status status = hr__peer_make(service, fds[0], true, tag, &peer, err);
    if (status) {
        hr__close_fd(&fds[0]);
        hr__close_fd(&fds[1]);
        return status;
    }
    add_peer(service, peer);
    *peer_out = peer;
    *child_fd_out = fds[1];
    return HR_OK;
}

void hr__peer_close(hr_service *service, hr_peer *peer)
{
    hr__mutex_lock(&service->lock);
    peer->closing = true;
    hr__eventfd_wake(service->wake_fd);
    // On the service thread itself (from a callback) it goes when the callback is over.
    bool wait = serving != service;
    while (wait) {
        const hr_peer *p = service->peers;
        while (p && p != peer)
            p = p->next;
        wait = p != NULL;
        if (wait)
            hr__cond_wait(&service->reaped, &service->lock);
    }
    hr__mutex_unlock(&service->lock);
}
