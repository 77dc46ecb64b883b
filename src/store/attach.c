// SPDX-License-Identifier: Apache-2.0
// The worker's side: one connection, the arena seen through it, ports over rings.
//
// Several threads may use a client: one waits for messages while another opens a stream. Whoever waits first reads
// the socket for all: answers go to `answer`, messages of upper rooms to `inbox`, and the others are woken. The
// runtime's end is noticed by its socket and by its process (pidfd): a forked child of the runtime may keep the
// socket open.
#include "store/message.h"
#include "store/port.h"

#include "base/os.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_NS                                                                                  \
    10000000000u // a runtime that lives answers at once; a stopped one is no reason to hang
#define INBOX_BYTES_MAX ((size_t)16 << 20)

typedef struct inbox_message {
    struct inbox_message *next;
    uint32_t type;
    size_t bytes;
    uint8_t data[];
} inbox_message;

struct hr_client {
    hr_mutex lock; // guards: all below `reader`
    hr_cond changed;
    hr_mutex request; // one question at a time
    uint32_t fork_generation;
    int fd, bell_fd, arena_fd, watch_fd;
    pid_t pid;
    hr_reader reader; // has its own lock
    uint32_t refs;    // the owner and its ports
    bool reading, lost, closed;
    bool answered;
    size_t answer_bytes;
    int answer_fds[2], answer_fd_count;
    inbox_message *first, **last;
    size_t inbox_bytes;
    uint8_t answer[HR_MESSAGE_BYTES_MAX];
    uint8_t buffer[HR_MESSAGE_BYTES_MAX]; // the reading thread's
};

static hr_status gone(const hr_client *client, hr_status status, hr_error *err)
{
    return HR_FAIL(err, status, "runtime %ld: it is gone", (long)client->pid);
}

static hr_status check_fork(const hr_client *client, hr_error *err)
{
    if (client->fork_generation == hr__fork_generation())
        return HR_OK;
    return HR_FAIL(err, HR_DENIED,
                   "runtime %ld: attached by the parent of this process; a forked "
                   "child attaches anew",
                   (long)client->pid);
}

static void drop_fds(hr_client *client)
{
    for (int i = 0; i < client->answer_fd_count; i++)
        hr__close_fd(&client->answer_fds[i]);
    client->answer_fd_count = 0;
}

static void unref_client(hr_client *client)
{
    hr__mutex_lock(&client->lock);
    bool last = --client->refs == 0;
    hr__mutex_unlock(&client->lock);
    if (!last)
        return;
    drop_fds(client);
    while (client->first) {
        inbox_message *message = client->first;
        client->first = message->next;
        hr__free(message);
    }
    hr__reader_finish(&client->reader);
    hr__close_fd(&client->fd);
    hr__close_fd(&client->bell_fd);
    hr__close_fd(&client->arena_fd);
    hr__close_fd(&client->watch_fd);
    hr__cond_finish(&client->changed);
    hr__mutex_finish(&client->lock);
    hr__mutex_finish(&client->request);
    hr__free(client);
}

// --- receiving ---

// Lock held. What the reading thread found in its buffer goes where it belongs.
static hr_status sort_message(hr_client *client, size_t count, int *fds, int fd_count)
{
    uint32_t type = 0;
    inbox_message *message = NULL;
    if (count < sizeof type)
        return HR_CORRUPT;
    memcpy(&type, client->buffer, sizeof type);
    if (type < HR_MESSAGE_UPPER) {
        drop_fds(client); // of an answer that nobody waited for any more
        memcpy(client->answer, client->buffer, count);
        memcpy(client->answer_fds, fds, sizeof *fds * (size_t)fd_count);
        client->answer_fd_count = fd_count;
        client->answer_bytes = count;
        client->answered = true;
        return HR_OK;
    }
    for (int i = 0; i < fd_count; i++)
        hr__close_fd(&fds[i]);
    count -= sizeof type;
    if (client->inbox_bytes + count > INBOX_BYTES_MAX)
        return HR_LIMIT;
    HR_TRY(hr__alloc(sizeof *message + count, &message, NULL));
    *message = (inbox_message){NULL, type, count};
    memcpy(message->data, client->buffer + sizeof type, count);
    *client->last = message;
    client->last = &message->next;
    client->inbox_bytes += count;
    return HR_OK;
}

// Lock held, let go of while it waits: reads one message for all, or waits until another thread did.
static void receive_one(hr_client *client, uint64_t timeout_ns)
{
    if (client->reading || client->answered) { // an answer stays until it was used
        (void)hr__cond_wait_ns(&client->changed, &client->lock, timeout_ns);
        return;
    }
    int fds[2] = {client->fd, client->watch_fd}, got[2], got_count = 2;
    bool ready[2] = {false, false};
    size_t count = 0;
    client->reading = true;
    hr__mutex_unlock(&client->lock);
    hr_status status = hr__poll_read(fds, 2, ready, timeout_ns, NULL);
    if (status == HR_OK && ready[0])
        status = hr__socket_receive(client->fd, client->buffer, sizeof client->buffer, &count, got,
                                    &got_count, NULL);
    else if (status == HR_OK)
        status = HR_END; // the process ended, and nothing is left to read
    hr__mutex_lock(&client->lock);
    client->reading = false;
    if (status == HR_OK)
        status = sort_message(client, count, got, got_count);
    if (status != HR_OK && status != HR_TIMEOUT)
        client->lost = true;
    hr__cond_broadcast(&client->changed);
}

static hr_status send_packet(hr_client *client, const hr_packet *packet, hr_error *err)
{
    hr_status status = hr__socket_send(client->fd, packet->data, packet->bytes, NULL, 0, err);
    return status == HR_CANCELLED ? gone(client, HR_CANCELLED, err) : status;
}

// Waits for the next answer. client->request is held, so that `answer` stays until the next question.
static hr_status await_answer(hr_client *client, uint32_t type, hr_cursor *out, hr_error *err)
{
    uint64_t deadline = hr__now_ns() + ANSWER_NS;
    hr__mutex_lock(&client->lock);
    for (uint64_t now; !client->answered && !client->lost && (now = hr__now_ns()) < deadline;)
        receive_one(client, deadline - now);
    bool answered = client->answered, lost = client->lost;
    client->lost |= !answered; // a late answer must not be taken for the next question's
    hr__mutex_unlock(&client->lock);
    if (!answered && lost)
        return gone(client, HR_CANCELLED, err);
    if (!answered)
        return HR_FAIL(err, HR_TIMEOUT, "runtime %ld: no answer within %u seconds: is it stopped?",
                       (long)client->pid, (unsigned)(ANSWER_NS / 1000000000u));
    *out = hr__cursor(client->answer, client->answer_bytes);
    uint32_t got = hr__cursor_u32(out);
    if (got == type)
        return HR_OK;
    if (got == HR_MESSAGE_REFUSED) {
        char words[HR_ERROR_MESSAGE_BYTES];
        hr_status status = (hr_status)(int32_t)hr__cursor_u32(out);
        bool known = !out->failed && status < 0 && status >= HR_USER;
        if (known && hr__cursor_text(out, words, sizeof words))
            return HR_FAIL(err, status, "%s", words);
    }
    return HR_FAIL(err, HR_CORRUPT, "runtime %ld: answer of type %u, expected %u",
                   (long)client->pid, got, type);
}

// The answer was used: the next one may be read.
static void answer_used(hr_client *client)
{
    hr__mutex_lock(&client->lock);
    drop_fds(client);
    client->answered = false;
    hr__cond_broadcast(&client->changed);
    hr__mutex_unlock(&client->lock);
}

static void end_question(hr_client *client)
{
    answer_used(client);
    hr__mutex_unlock(&client->request);
}

// Waits out the question before and asks; on success end_question follows.
static hr_status ask(hr_client *client, const hr_packet *packet, uint32_t type, hr_cursor *out,
                     hr_error *err)
{
    hr__mutex_lock(&client->request);
    hr__mutex_lock(&client->lock);
    bool closed = client->closed;
    hr__mutex_unlock(&client->lock);
    hr_status status = closed ? HR_FAIL(err, HR_CANCELLED, "runtime: this connection was closed")
                              : send_packet(client, packet, err);
    if (status == HR_OK)
        status = await_answer(client, type, out, err);
    if (status)
        end_question(client);
    return status;
}

// --- opening ---

static hr_status shake_hands(hr_client *client, hr_error *err)
{
    hr_packet packet;
    hr_cursor c;
    hr__packet_begin(&packet, HR_MESSAGE_HELLO);
    hr__packet_u32(&packet, HR_MESSAGE_MAGIC);
    hr__packet_u32(&packet, HR_MESSAGE_VERSION);
    hr__packet_u32(&packet, (uint32_t)getpid());
    HR_TRY(ask(client, &packet, HR_MESSAGE_WELCOME, &c, err));
    uint32_t magic = hr__cursor_u32(&c), version = hr__cursor_u32(&c), pid = hr__cursor_u32(&c);
    hr_status status = HR_OK;
    if (c.failed || magic != HR_MESSAGE_MAGIC || version != HR_MESSAGE_VERSION ||
        client->answer_fd_count != 2) {
        status = HR_FAIL(err, HR_CORRUPT, "runtime: a welcome of version %u, expected %u", version,
                         HR_MESSAGE_VERSION);
    } else {
        client->pid = (pid_t)pid;
        client->arena_fd = client->answer_fds[0];
        client->bell_fd = client->answer_fds[1];
        client->answer_fd_count = 0;
        hr__reader_init(&client->reader, client->arena_fd);
        if (hr__process_watch(client->pid, &client->watch_fd, NULL) == HR_NOT_FOUND)
            status = gone(client, HR_CANCELLED, err);
    }
    end_question(client);
    return status;
}

hr_status hr__client_open_fd(int fd, hr_client **out, hr_error *err)
{
    hr_client *client = NULL;
    hr_status status = hr__alloc_zero(1, sizeof *client, &client, err);
    if (status) {
        hr__close_fd(&fd);
        return status;
    }
    client->fd = fd;
    client->bell_fd = client->arena_fd = client->watch_fd = -1;
    client->refs = 1;
    client->last = &client->first;
    client->fork_generation = hr__fork_generation();
    hr__mutex_init(&client->lock);
    hr__mutex_init(&client->request);
    hr__cond_init(&client->changed);
    hr__reader_init(&client->reader, -1);
    status = shake_hands(client, err);
    if (status)
        unref_client(client);
    else
        *out = client;
    return status;
}

hr_status hr__client_open_pid(pid_t pid, hr_client **out, hr_error *err)
{
    char dir[256], path[320];
    int fd = -1;
    HR_TRY(hr__runtime_dir(dir, sizeof dir, err));
    snprintf(path, sizeof path, "%s/%ld.sock", dir, (long)pid);
    hr_status status = hr__socket_connect(path, &fd, err);
    if (status == HR_NOT_FOUND)
        return HR_FAIL(err, HR_NOT_FOUND, "no runtime of this user has process number %ld",
                       (long)pid);
    HR_TRY(status);
    return hr__client_open_fd(fd, out, err);
}

void hr__client_close(hr_client **client_)
{
    hr_client *client = *client_;
    *client_ = NULL;
    if (!client || client->fork_generation != hr__fork_generation())
        return;
    hr__mutex_lock(&client->lock);
    client->closed = client->lost = true;
    hr__cond_broadcast(&client->changed);
    hr__mutex_unlock(&client->lock);
    unref_client(client);
}

// --- messages of upper rooms ---

hr_status hr__client_send(hr_client *client, uint32_t type, const void *bytes, size_t count,
                          hr_error *err)
{
    uint8_t *packet = NULL;
    size_t packet_bytes;
    HR_TRY(check_fork(client, err));
    HR_TRY(hr__message_frame(type, bytes, count, &packet, &packet_bytes, err));
    hr_status status = hr__socket_send(client->fd, packet, packet_bytes, NULL, 0, err);
    hr__free(packet);
    return status == HR_CANCELLED ? HR_END : status;
}

hr_status hr__client_receive(hr_client *client, uint64_t timeout_ns, uint32_t *type_out,
                             void *bytes, size_t room, size_t *count_out, hr_error *err)
{
    HR_TRY(check_fork(client, err));
    uint64_t start = hr__now_ns();
    uint64_t deadline = timeout_ns > UINT64_MAX - start ? UINT64_MAX : start + timeout_ns;
    hr_status status = HR_OK;
    hr__mutex_lock(&client->lock);
    for (bool again = true; !client->first && !client->lost && again;) {
        uint64_t now = hr__now_ns();
        again = now < deadline || now == start || timeout_ns == 0;
        receive_one(client, deadline == UINT64_MAX ? UINT64_MAX
                            : deadline > now       ? deadline - now
                                                   : 0);
        again = again && hr__now_ns() < deadline;
    }
    inbox_message *message = client->first;
    if (message && message->bytes > room) {
        status = HR_FAIL(err, HR_LIMIT, "message of %zu bytes, there is room for %zu",
                         message->bytes, room);
    } else if (message) {
        client->first = message->next;
        if (!client->first)
            client->last = &client->first;
        client->inbox_bytes -= message->bytes;
        *type_out = message->type;
        *count_out = message->bytes;
        memcpy(bytes, message->data, message->bytes);
        hr__free(message);
    } else {
        status = client->lost ? HR_END : HR_TIMEOUT;
    }
    hr__mutex_unlock(&client->lock);
    return status;
}

hr_status hr__client_stats(hr_client *client, const char *what, hr_text *out, hr_error *err)
{
    hr_packet packet;
    hr_cursor c;
    HR_TRY(check_fork(client, err));
    hr__packet_begin(&packet, HR_MESSAGE_STATS);
    hr__packet_put(&packet, what, HR_MIN(strlen(what), (size_t)31));
    hr_status status = ask(client, &packet, HR_MESSAGE_PART, &c, err);
    if (status)
        return status;
    for (;;) {
        uint32_t last = hr__cursor_u32(&c);
        hr__text_put(out, (const char *)c.at, hr__cursor_left(&c));
        if (last || c.failed)
            break;
        answer_used(client);
        status = await_answer(client, HR_MESSAGE_PART, &c, err);
        if (status)
            break;
    }
    end_question(client);
    return status;
}

// --- ports ---

typedef struct remote_end {
    hr_client *client; // a reference
    uint32_t number;
    void *ring;
    size_t ring_bytes;
} remote_end;

static void remote_bell(void *context)
{
    hr__eventfd_wake(((remote_end *)context)->client->bell_fd);
}

static bool remote_alive(void *context)
{
    hr_client *client = ((remote_end *)context)->client;
    bool ready = false;
    hr__mutex_lock(&client->lock);
    bool lost = client->lost;
    hr__mutex_unlock(&client->lock);
    if (lost)
        return false;
    if (client->watch_fd < 0) // a kernel without pidfd
        return getpgid(client->pid) >= 0;
    return hr__poll_read(&client->watch_fd, 1, &ready, 0, NULL) != HR_OK || !ready;
}

static void remote_close(void *context, hr_port *port)
{
    remote_end *end = context;
    hr_packet packet;
    hr__packet_begin(&packet, HR_MESSAGE_CLOSE);
    hr__packet_u32(&packet, end->number);
    hr__mutex_lock(&end->client->lock);
    bool tell = !end->client->closed;
    hr__mutex_unlock(&end->client->lock);
    if (tell) // fails: it is gone, or learns from the end of the connection
        (void)!send_packet(end->client, &packet, NULL);
    if (end->ring)
        hr__unmap(end->ring, end->ring_bytes);
    unref_client(end->client);
    hr__free(end);
}

static hr_status map_ring(remote_end *end, int fd, uint64_t bytes, hr_schema **schema_out,
                          hr_error *err)
{
    if (bytes < HR_RING_SLOTS_AT || bytes > ((uint64_t)1 << 32))
        return HR_FAIL(err, HR_CORRUPT, "stream: a ring of %llu bytes", (unsigned long long)bytes);
    end->ring_bytes = (size_t)bytes;
    HR_TRY(hr__map_fd(fd, 0, end->ring_bytes, HR_MAP_WRITE, &end->ring, err));
    const hr_ring *ring = end->ring;
    HR_TRY(hr__ring_check(ring, end->ring_bytes, err));
    return hr__schema_parse((const uint8_t *)end->ring + ring->schema_at, ring->schema_bytes,
                            schema_out, err);
}

hr_status hr__client_port(hr_client *client, const char *stream_name, hr_port **out, hr_error *err)
{
    hr_packet packet;
    hr_cursor c;
    remote_end *end = NULL;
    hr_schema *schema = NULL;
    HR_TRY(check_fork(client, err));
    if (strlen(stream_name) > HR_STREAM_NAME_MAX)
        return HR_FAIL(err, HR_INVALID, "stream name of %zu bytes, allowed are %u",
                       strlen(stream_name), HR_STREAM_NAME_MAX);
    HR_TRY(hr__alloc_zero(1, sizeof *end, &end, err));
    hr__packet_begin(&packet, HR_MESSAGE_OPEN);
    hr__packet_put(&packet, stream_name, strlen(stream_name));
    hr_status status = ask(client, &packet, HR_MESSAGE_OPENED, &c, err);
    if (status) {
        hr__free(end);
        hr__error_context(err, "stream '%s'", stream_name);
        return status;
    }
    hr__mutex_lock(&client->lock);
    client->refs++;
    hr__mutex_unlock(&client->lock);
    end->client = client;
    end->number = hr__cursor_u32(&c);
    uint64_t bytes = hr__cursor_u64(&c);
    if (c.failed || client->answer_fd_count != 1)
        status = HR_FAIL(err, HR_CORRUPT, "stream '%s': no ring came with the answer", stream_name);
    else
        status = map_ring(end, client->answer_fds[0], bytes, &schema, err);
    end_question(client);
    const hr_port_end table = {end, &client->reader, remote_bell, remote_alive, remote_close};
    if (status == HR_OK)
        status = hr__port_make(end->ring, end->ring_bytes, schema, &table, out, err);
    if (status)
        remote_close(end, NULL);
    hr_schema_unref(&schema);
    return status;
}
