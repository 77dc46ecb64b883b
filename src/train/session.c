// SPDX-License-Identifier: Apache-2.0
// The worker's side: my rank, my shard of a dataset, what I report, how I ended.
//
// A feed asked for is opened in two steps: the trainer starts (or finds) the shared stream and offers this rank's
// channel under a name; the port is opened by that name and batches come through shared memory from then on.
#include "base/option.h"
#include "base/os.h"
#include "train/session_parts.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static hr_status env_number(const char *name, int64_t max, int64_t *out, hr_error *err)
{
    const char *text = hr__env(name);
    char *end = NULL;
    if (!text)
        return HR_FAIL(err, HR_INVALID,
                       "%s is not set: this process was not started by a headrace trainer "
                       "(hr_trainer_run, headrace.Trainer)",
                       name);
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || value < 0 || value > max)
        return HR_FAIL(err, HR_INVALID, "%s is '%.40s', allowed are 0 to %lld", name, text,
                       (long long)max);
    *out = (int64_t)value;
    return HR_OK;
}

static hr_status map_payload(hr_session *session, int fd, hr_error *err)
{
    void *map = NULL;
    uint64_t bytes = 0;
    HR_TRY(hr__map_fd(fd, 0, sizeof bytes, HR_MAP_READ, &map, err));
    memcpy(&bytes, map, sizeof bytes);
    hr__unmap(map, sizeof bytes);
    if (bytes > (uint64_t)PTRDIFF_MAX - sizeof bytes)
        return HR_FAIL(err, HR_CORRUPT, "a payload of %llu bytes", (unsigned long long)bytes);
    session->payload_bytes = (size_t)bytes;
    session->payload_map_bytes = (size_t)bytes + sizeof bytes;
    return hr__map_fd(fd, 0, session->payload_map_bytes, HR_MAP_READ, &session->payload_map, err);
}

// Whether this process became the worker that it was started as. Relaxed: whoever asks opened it before, or never.
static _Atomic bool became_worker;

bool hr__worker_is_none(void)
{
    const char *parent = hr__env("HEADRACE_WORKER_OF");
    return parent && strtoll(parent, NULL, 10) == (long long)getppid() &&
           !atomic_load_explicit(&became_worker, memory_order_relaxed);
}

hr_status hr_session_open(hr_session **out, hr_error *err)
{
    hr_status status;
    hr_session *session = NULL;
    int64_t attach = -1, reports = -1, payload = -1;
    HR_GO(hr__alloc_zero(1, sizeof *session, &session, err));
    HR_GO(env_number("HEADRACE_ATTACH_FD", INT32_MAX, &attach, err));
    HR_GO(env_number("HEADRACE_REPORT_FD", INT32_MAX, &reports, err));
    HR_GO(env_number("HEADRACE_PAYLOAD_FD", INT32_MAX, &payload, err));
    HR_GO(env_number("HEADRACE_WORLD_SIZE", INT32_MAX, &session->world_size, err));
    HR_GO(env_number("HEADRACE_RANK", session->world_size - 1, &session->rank, err));
    const char *checkpoint = hr__env("HEADRACE_CHECKPOINT");
    if (checkpoint)
        HR_GO(hr__strdup(checkpoint, &session->checkpoint, err));
    HR_GO(map_payload(session, (int)payload, err));
    HR_GO(hr__report_ring_attach((int)reports, &session->reports, err));
    HR_GO(hr__client_open_fd((int)attach, &session->client, err));
    atomic_store_explicit(&became_worker, true, memory_order_relaxed);
    *out = session;
    session = NULL;
out:
    for (int64_t *fd = (int64_t[]){reports, payload, -2}; *fd != -2; fd++) {
        int number = (int)*fd;
        hr__close_fd(&number); // mapped, or of no use
    }
    hr_session_close(&session);
    return status;
}

void hr_session_close(hr_session **session_inout)
{
    hr_session *session = session_inout ? *session_inout : NULL;
    if (!session)
        return;
    *session_inout = NULL;
    hr__session_forget_feeds(session);
    hr__client_close(&session->client); // feeds that are open keep their part of it
    hr__report_ring_close(&session->reports);
    if (session->payload_map)
        hr__unmap(session->payload_map, session->payload_map_bytes);
    hr__free(session->checkpoint);
    hr__free(session);
}

int64_t hr_session_rank(const hr_session *session)
{
    return session->rank;
}

int64_t hr_session_world_size(const hr_session *session)
{
    return session->world_size;
}

const void *hr_session_payload(const hr_session *session, size_t *bytes_out)
{
    if (bytes_out)
        *bytes_out = session->payload_bytes;
    return (const uint8_t *)session->payload_map + sizeof(uint64_t);
}

const char *hr_session_checkpoint(const hr_session *session)
{
    return session->checkpoint;
}

hr_status hr__session_send(hr_session *session, uint32_t type, const void *bytes, size_t count,
                           hr_error *err)
{
    hr_status status = hr__client_send(session->client, type, bytes, count, err);
    if (status == HR_END)
        return HR_FAIL(err, HR_CANCELLED, "the trainer that started this worker is gone");
    return status;
}

hr_status hr__session_receive(hr_session *session, uint32_t type, uint8_t *bytes, size_t room,
                              hr_cursor *out, hr_error *err)
{
    for (;;) {
        uint32_t got = 0;
        size_t count = 0;
        hr_status status =
            hr__client_receive(session->client, UINT64_MAX, &got, bytes, room, &count, err);
        if (status == HR_END)
            return HR_FAIL(err, HR_CANCELLED, "the trainer that started this worker is gone");
        HR_TRY(status);
        if (got == type) {
            *out = hr__cursor(bytes, count);
            return HR_OK;
        }
    }
}

// --- feeds ---

typedef struct session_offer {
    hr_position start; // it begins there
    char channel[HR_WIRE_NAME_MAX + 1];
} session_offer;

static void add(uint8_t *packet, size_t *at, const void *bytes, size_t count)
{
    memcpy(packet + *at, bytes, count);
    *at += count;
}

static hr_status ask_for_feed(hr_session *session, const char *dataset,
                              const hr_stream_options *options, hr_error *err)
{
    uint8_t
        packet[8 + HR_WIRE_OPTIONS * sizeof(int64_t) + HR_POSITION_BYTES_MAX + HR_WIRE_NAME_MAX];
    int64_t values[HR_WIRE_OPTIONS];
    char position[HR_POSITION_BYTES_MAX] = "";
    size_t name_bytes = strlen(dataset), at = 0;
    if (name_bytes < 1 || name_bytes > HR_WIRE_NAME_MAX)
        return HR_FAIL(err, HR_INVALID, "a dataset's name of %zu bytes; 1 to %u are allowed",
                       name_bytes, HR_WIRE_NAME_MAX);
    if (options->position)
        hr_position_print(options->position, position);
    hr__wire_options_put(values, options);
    uint32_t position_bytes = (uint32_t)strlen(position);
    session->requests++;
    add(packet, &at, &session->requests, sizeof session->requests);
    add(packet, &at, values, sizeof values);
    add(packet, &at, &position_bytes, sizeof position_bytes);
    add(packet, &at, position, position_bytes);
    add(packet, &at, dataset, name_bytes);
    return hr__session_send(session, HR_WIRE_FEED, packet, at, err);
}

static hr_status read_offer(hr_cursor *c, session_offer *out, hr_error *err)
{
    char text[HR_ERROR_MESSAGE_BYTES];
    hr_status status = (hr_status)(int32_t)hr__cursor_u32(c);
    if (!hr__wire_counted(c, text, HR_POSITION_BYTES_MAX))
        return HR_FAIL(err, HR_CORRUPT, "the trainer's answer has no position");
    if (status == HR_OK)
        HR_TRY(hr_position_parse(text, &out->start, err));
    if (!hr__wire_text(c, text, sizeof text))
        return HR_FAIL(err, HR_CORRUPT, "the trainer's answer names no stream");
    if (status != HR_OK)
        return HR_FAIL(err, status < 0 && status >= HR_USER ? status : HR_IO, "%s", text);
    if (strlen(text) > HR_WIRE_NAME_MAX)
        return HR_FAIL(err, HR_CORRUPT, "the trainer's answer names a stream of %zu bytes",
                       strlen(text));
    memcpy(out->channel, text, strlen(text) + 1);
    return HR_OK;
}

static hr_status await_offer(hr_session *session, session_offer *out, hr_error *err)
{
    uint8_t bytes[2048];
    for (;;) {
        hr_cursor c;
        HR_TRY(hr__session_receive(session, HR_WIRE_FED, bytes, sizeof bytes, &c, err));
        if (hr__cursor_u32(&c) == session->requests)
            return read_offer(&c, out, err);
    }
}

hr_status hr_session_feed(hr_session *session, const char *dataset,
                          const hr_stream_options *options, const hr_feed_options *feed_options,
                          hr_feed **out, hr_error *err)
{
    session_offer offer;
    hr_stream_options full;
    hr_port *port = NULL;
    hr_session_feed_note *note = NULL;
    HR_TRY(
        hr__options_copy("stream", options, &full, sizeof full, err)); // the trainer resolves them
    HR_TRY(ask_for_feed(session, dataset, &full, err));
    HR_TRY(await_offer(session, &offer, err));
    HR_TRY(hr__client_port(session->client, offer.channel, &port, err));
    hr_status status = hr__session_note_feed(session, dataset, &full, &note, err);
    if (status != HR_OK) {
        hr__port_close(&port);
        return status;
    }
    hr_feed_origin origin = {.start = offer.start,
                             .closed = hr__session_feed_closed,
                             .arg = note,
                             .rank = session->rank};
    status = hr__feed_open_port(port, &origin, feed_options, &note->feed, err);
    if (status == HR_OK)
        *out = note->feed;
    else
        hr__session_drop_note(session, note);
    return status;
}

// --- telling ---

hr_status hr_session_report(hr_session *session, const char *json, hr_error *err)
{
    return hr__report_ring_write(session->reports, json, err);
}

hr_status hr_session_line(hr_session *session, const char *line, hr_error *err)
{
    size_t bytes = strlen(line);
    return hr__session_send(session, HR_WIRE_LINE, line, HR_MIN(bytes, (size_t)HR_WIRE_PART_BYTES),
                            err);
}

hr_status hr_session_stats(hr_session *session, const char *dataset, char **out, hr_error *err)
{
    hr_text text;
    hr_status status;
    uint8_t *bytes = NULL;
    uint32_t last = 0;
    hr__text_init(&text, (size_t)16 << 20);
    HR_GO(hr__alloc(HR_WIRE_PART_BYTES + 64, &bytes, err));
    HR_GO(hr__session_send(session, HR_WIRE_STATS, dataset,
                           HR_MIN(strlen(dataset), (size_t)HR_WIRE_NAME_MAX), err));
    while (!last) {
        hr_cursor c;
        HR_GO(hr__session_receive(session, HR_WIRE_TEXT, bytes, HR_WIRE_PART_BYTES + 64, &c, err));
        last = hr__cursor_u32(&c);
        if (c.failed)
            last = 1;
        hr__text_put(&text, (const char *)c.at, hr__cursor_left(&c));
    }
    status = hr__text_take(&text, out, err);
out:
    hr__free(bytes);
    hr__text_finish(&text);
    return status;
}

hr_status hr_session_finish(hr_session *session, hr_status status, const char *message,
                            const void *details, size_t details_bytes, hr_error *err)
{
    uint8_t packet[sizeof(int32_t) + HR_ERROR_MESSAGE_BYTES];
    int32_t number = (int32_t)status;
    size_t words = message ? HR_MIN(strlen(message), (size_t)HR_ERROR_MESSAGE_BYTES) : 0;
    if (details_bytes > HR_WIRE_DETAILS_MAX)
        return HR_FAIL(err, HR_LIMIT, "details of %zu bytes; %zu are allowed", details_bytes,
                       HR_WIRE_DETAILS_MAX);
    for (size_t at = 0; at < details_bytes;) {
        size_t part = HR_MIN(details_bytes - at, (size_t)HR_WIRE_PART_BYTES);
        HR_TRY(
            hr__session_send(session, HR_WIRE_DETAILS, (const uint8_t *)details + at, part, err));
        at += part;
    }
    memcpy(packet, &number, sizeof number);
    if (words > 0)
        memcpy(packet + sizeof number, message, words);
    return hr__session_send(session, HR_WIRE_FINISH, packet, sizeof number + words, err);
}
