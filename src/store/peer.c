// SPDX-License-Identifier: Apache-2.0
// One connection, seen from the runtime: what the peer says, which channels it opened, what it is still to be sent.
//
// A peer is gone when its socket ends, when its process ends (a forked child of it may hold the socket open), or
// when it says something that cannot be. Then its channels are detached, which takes every lease back. Messages to
// it never wait: what its socket does not take stands in a bounded outbox, which the service thread empties.
#include "store/service.h"

#include "base/os.h"

#include <string.h>
#include <unistd.h>

hr_status hr__peer_make(hr_service *service, int fd, bool paired, void *tag, hr_peer **out,
                        hr_error *err)
{
    hr_peer *peer = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *peer, &peer, err));
    peer->service = service;
    peer->tag = tag;
    peer->paired = paired;
    peer->fd = peer->watch_fd = peer->bell_fd = -1;
    peer->last = &peer->first;
    hr_status status = hr__eventfd(&peer->bell_fd, err);
    if (status == HR_OK)
        status = hr__socket_never_wait(fd, err);
    if (status) {
        hr__peer_free(peer);
        return status;
    }
    peer->fd = fd;
    *out = peer;
    return HR_OK;
}

static void free_letter(hr_letter *letter)
{
    for (int i = 0; i < letter->fd_count; i++)
        hr__close_fd(&letter->fds[i]);
    hr__free(letter);
}

void hr__peer_free(hr_peer *peer)
{
    while (peer->first) {
        hr_letter *letter = peer->first;
        peer->first = letter->next;
        free_letter(letter);
    }
    hr__close_fd(&peer->fd);
    hr__close_fd(&peer->watch_fd);
    hr__close_fd(&peer->bell_fd);
    hr__free(peer);
}

static hr_status write_letter(hr_peer *peer, const void *bytes, size_t count, const int *fds,
                              int fd_count, hr_error *err)
{
    hr_letter *letter = NULL;
    if (peer->outbox_bytes + count > HR_OUTBOX_BYTES_MAX)
        return HR_FAIL(err, HR_LIMIT,
                       "worker: it has not read %zu bytes of messages, allowed are %zu: is it "
                       "stopped?",
                       peer->outbox_bytes, HR_OUTBOX_BYTES_MAX);
    HR_TRY(hr__alloc(sizeof *letter + count, &letter, err));
    *letter = (hr_letter){.bytes = count};
    memcpy(letter->data, bytes, count);
    for (; letter->fd_count < fd_count; letter->fd_count++) {
        letter->fds[letter->fd_count] = dup(fds[letter->fd_count]);
        if (letter->fds[letter->fd_count] < 0) {
            free_letter(letter);
            return HR_FAIL(err, HR_LIMIT, "worker: no descriptor left to send it a stream");
        }
    }
    *peer->last = letter;
    peer->last = &letter->next;
    peer->outbox_bytes += count;
    return HR_OK;
}

static hr_status send_to(hr_peer *peer, const void *bytes, size_t count, const int *fds,
                         int fd_count, hr_error *err)
{
    hr_service *service = peer->service;
    hr__mutex_lock(&service->lock);
    hr_status status = peer->gone || peer->closing ? HR_END : HR_TIMEOUT;
    if (status == HR_TIMEOUT && !peer->first)
        status = hr__socket_send(peer->fd, bytes, count, fds, fd_count, err);
    if (status == HR_TIMEOUT) {
        status = write_letter(peer, bytes, count, fds, fd_count, err);
        hr__eventfd_wake(service->wake_fd);
    }
    hr__mutex_unlock(&service->lock);
    return status == HR_CANCELLED ? HR_END : status;
}

hr_status hr__peer_send(hr_peer *peer, uint32_t type, const void *bytes, size_t count,
                        hr_error *err)
{
    uint8_t *packet = NULL;
    size_t packet_bytes;
    HR_TRY(hr__message_frame(type, bytes, count, &packet, &packet_bytes, err));
    hr_status status = send_to(peer, packet, packet_bytes, NULL, 0, err);
    hr__free(packet);
    return status;
}

void hr__peer_flush(hr_peer *peer)
{
    hr__mutex_lock(&peer->service->lock);
    while (peer->first && !peer->gone) {
        hr_letter *letter = peer->first;
        hr_status status = hr__socket_send(peer->fd, letter->data, letter->bytes, letter->fds,
                                           letter->fd_count, NULL);
        if (status == HR_TIMEOUT)
            break;
        peer->gone = status != HR_OK;
        peer->outbox_bytes -= letter->bytes;
        peer->first = letter->next;
        if (!peer->first)
            peer->last = &peer->first;
        free_letter(letter);
    }
    hr__mutex_unlock(&peer->service->lock);
}

static void set_gone(hr_peer *peer)
{
    hr__mutex_lock(&peer->service->lock);
    peer->gone = true;
    hr__mutex_unlock(&peer->service->lock);
}

static void answer(hr_peer *peer, const hr_packet *packet, const int *fds, int fd_count)
{
    if (send_to(peer, packet->data, packet->bytes, fds, fd_count, NULL) != HR_OK)
        set_gone(peer);
}

static void refuse(hr_peer *peer, const hr_error *why)
{
    hr_packet packet;
    hr__packet_begin(&packet, HR_MESSAGE_REFUSED);
    hr__packet_u32(&packet, (uint32_t)why->status);
    hr__packet_put(&packet, why->message, strlen(why->message));
    answer(peer, &packet, NULL, 0);
}

static void greet(hr_peer *peer, hr_cursor *c)
{
    hr_error err = HR_ERROR_INIT;
    uint32_t magic = hr__cursor_u32(c), version = hr__cursor_u32(c), pid = hr__cursor_u32(c);
    if (c->failed || magic != HR_MESSAGE_MAGIC || version != HR_MESSAGE_VERSION || peer->greeted) {
        (void)HR_FAIL(&err, HR_UNSUPPORTED,
                      "attach: the runtime speaks version %u, the worker %u: use one release of "
                      "headrace for both",
                      HR_MESSAGE_VERSION, version);
        refuse(peer, &err);
        return;
    }
    peer->greeted = true;
    // A pid that is not the peer's own only keeps its own leases longer.
    hr_status status = hr__process_watch((pid_t)pid, &peer->watch_fd, NULL);
    if (status)
        peer->watch_fd = -1; // gone already, or not to be watched: the socket tells
    hr_packet packet;
    hr__packet_begin(&packet, HR_MESSAGE_WELCOME);
    hr__packet_u32(&packet, HR_MESSAGE_MAGIC);
    hr__packet_u32(&packet, HR_MESSAGE_VERSION);
    hr__packet_u32(&packet, (uint32_t)getpid());
    const int fds[2] = {peer->service->store->arena.read_fd, peer->bell_fd};
    answer(peer, &packet, fds, 2);
}

hr_status hr__peer_offer(hr_peer *peer, const char *name, hr_channel *channel, hr_error *err)
{
    hr_service *service = peer->service;
    size_t bytes = strlen(name);
    if (bytes < 1 || bytes > HR_STREAM_NAME_MAX)
        return HR_FAIL(err, HR_INVALID, "stream name '%s': %zu bytes, allowed are 1 to %u", name,
                       bytes, HR_STREAM_NAME_MAX);
    hr_status status = HR_OK;
    hr__mutex_lock(&service->lock);
    hr_offer *free_one = NULL;
    for (uint32_t i = 0; i < peer->offer_count && status == HR_OK; i++) {
        if (!peer->offers[i].channel)
            free_one = &peer->offers[i];
        else if (strcmp(peer->offers[i].name, name) == 0)
            status =
                HR_FAIL(err, HR_INVALID, "stream '%s' is offered to this worker already", name);
    }
    if (status == HR_OK && !free_one && peer->offer_count == HR_OFFERS_MAX)
        status = HR_FAIL(err, HR_LIMIT, "stream '%s': a worker may have %d at once", name,
                         HR_OFFERS_MAX);
    if (status == HR_OK && (peer->gone || peer->closing))
        status = HR_END;
    if (status == HR_OK) {
        if (!free_one)
            free_one = &peer->offers[peer->offer_count++];
        memcpy(free_one->name, name, bytes + 1);
        free_one->open = false;
        hr__channel_hold(channel);
        free_one->channel = channel;
    }
    hr__mutex_unlock(&service->lock);
    return status;
}

static hr_offer *find_offer(hr_peer *peer, const char *name)
{
    hr_offer *found = NULL;
    hr__mutex_lock(&peer->service->lock);
    for (uint32_t i = 0; i < peer->offer_count && !found; i++)
        if (peer->offers[i].channel && strcmp(peer->offers[i].name, name) == 0)
            found = &peer->offers[i];
    hr__mutex_unlock(&peer->service->lock);
    return found;
}

static void open_port(hr_peer *peer, hr_cursor *c)
{
    char name[HR_STREAM_NAME_MAX + 1];
    hr_error err = HR_ERROR_INIT;
    hr_packet packet;
    hr_offer *offer = hr__cursor_text(c, name, sizeof name) ? find_offer(peer, name) : NULL;
    hr_status status = HR_OK;
    if (!offer)
        status = HR_FAIL(&err, HR_NOT_FOUND, "attach: no stream of that name for this process");
    else
        status = hr__channel_attach(offer->channel, &err);
    if (status) {
        refuse(peer, &err);
        return;
    }
    offer->open = true;
    hr__packet_begin(&packet, HR_MESSAGE_OPENED);
    hr__packet_u32(&packet, (uint32_t)(offer - peer->offers));
    hr__packet_u64(&packet, offer->channel->ring_bytes);
    answer(peer, &packet, &offer->channel->ring_fd, 1);
    hr__channel_rang(offer->channel); // it is attached now
}

static void end_offer(hr_peer *peer, hr_offer *offer)
{
    hr_channel *channel = offer->channel;
    bool open = offer->open;
    hr__mutex_lock(&peer->service->lock);
    offer->channel = NULL;
    offer->open = false;
    hr__mutex_unlock(&peer->service->lock);
    // Never opened: nobody will read it now, and the owner must know.
    if (open || hr__channel_attach(channel, NULL) == HR_OK) {
        hr__channel_finish(channel, HR_CANCELLED, "stream: the runtime closed this connection");
        hr__channel_detach(channel);
    }
    hr__channel_drop(channel);
}

static void send_stats(hr_peer *peer, hr_cursor *c)
{
    char what[32];
    hr_text text;
    hr_packet packet;
    hr__text_init(&text, (size_t)16 << 20);
    if (!hr__cursor_text(c, what, sizeof what))
        what[0] = 0;
    if (peer->service->handler.stats) {
        peer->service->handler.stats(peer->service->handler.context, what, &text);
    } else {
        hr_store_stats stats;
        hr__store_stats(peer->service->store, &stats);
        hr__store_stats_print(&stats, &text);
    }
    size_t at = 0;
    do {
        size_t count = HR_MIN(text.bytes - at, (size_t)HR_PART_BYTES_MAX);
        hr__packet_begin(&packet, HR_MESSAGE_PART);
        hr__packet_u32(&packet, at + count == text.bytes);
        hr__packet_put(&packet, hr__text_str(&text) + at, count);
        answer(peer, &packet, NULL, 0);
        at += count;
    } while (at < text.bytes);
    hr__text_finish(&text);
}

void hr__peer_read(hr_peer *peer)
{
    hr_service *service = peer->service;
    size_t count = 0;
    hr_status status = hr__socket_receive(peer->fd, service->buffer, sizeof service->buffer, &count,
                                          NULL, NULL, NULL);
    hr_cursor c = hr__cursor(service->buffer, status ? 0 : count);
    uint32_t type = hr__cursor_u32(&c);
    if (c.failed || (!peer->greeted && type != HR_MESSAGE_HELLO)) {
        set_gone(peer);
    } else if (type >= HR_MESSAGE_UPPER) {
        if (service->handler.message)
            service->handler.message(service->handler.context, peer, type, c.at,
                                     hr__cursor_left(&c));
    } else if (type == HR_MESSAGE_HELLO) {
        greet(peer, &c);
    } else if (type == HR_MESSAGE_OPEN) {
        open_port(peer, &c);
    } else if (type == HR_MESSAGE_STATS) {
        send_stats(peer, &c);
    } else if (type == HR_MESSAGE_CLOSE) {
        uint32_t number = hr__cursor_u32(&c);
        if (c.failed || number >= HR_OFFERS_MAX || !peer->offers[number].open)
            set_gone(peer);
        else
            end_offer(peer, &peer->offers[number]);
    } else {
        set_gone(peer);
    }
}

void hr__peer_rang(hr_peer *peer)
{
    hr__eventfd_drain(peer->bell_fd);
    for (uint32_t i = 0; i < HR_OFFERS_MAX; i++)
        if (peer->offers[i].open)
            hr__channel_rang(peer->offers[i].channel);
}

void hr__peer_end(hr_peer *peer)
{
    set_gone(peer); // no offer and no letter is added from here on
    for (uint32_t i = 0; i < HR_OFFERS_MAX; i++)
        if (peer->offers[i].channel)
            end_offer(peer, &peer->offers[i]);
    hr__mutex_lock(&peer->service->lock);
    hr__close_fd(&peer->fd);
    hr__close_fd(&peer->watch_fd);
    hr__mutex_unlock(&peer->service->lock);
}

void *hr__peer_tag(const hr_peer *peer)
{
    return peer->tag;
}
