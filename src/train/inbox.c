// SPDX-License-Identifier: Apache-2.0
// Messages of workers: copied by the service thread, handled on the caller's.
//
// The service thread never waits: past its ceiling the inbox drops lines (and counts them), which are the only
// messages a worker can send without end. All others are few.
#include "train/train_parts.h"

#include "base/os.h"
#include <stdio.h>
#include <string.h>

#define INBOX_LINES_BYTES_MAX ((size_t)8 << 20)

static void push_message(hr_worker *worker, uint32_t type, const void *bytes, size_t count)
{
    hr_trainer *trainer = worker->trainer;
    hr_trainer_message *message = NULL;
    bool line = type == HR_WIRE_LINE;
    hr_status status = hr__alloc(sizeof *message + count, &message, NULL);
    hr__mutex_lock(&trainer->mutex);
    if (status != HR_OK || (line && trainer->inbox_bytes > INBOX_LINES_BYTES_MAX)) {
        trainer->lines_dropped += line;
        hr__mutex_unlock(&trainer->mutex);
        if (status == HR_OK)
            hr__free(message);
        return;
    }
    *message = (hr_trainer_message){NULL, worker, type, count};
    if (count > 0)
        memcpy(message->data, bytes, count);
    *trainer->inbox_last = message;
    trainer->inbox_last = &message->next;
    trainer->inbox_bytes += count;
    hr__mutex_unlock(&trainer->mutex);
    hr__runtime_ring(trainer->runtime);
}

static void got_message(hr_peer_owner *owner, hr_peer *peer, uint32_t type, const void *bytes,
                        size_t count)
{
    if (type != 0)
        push_message((hr_worker *)owner, type, bytes, count);
}

static void got_gone(hr_peer_owner *owner, hr_peer *peer)
{
    push_message((hr_worker *)owner, 0, NULL, 0);
}

void (*const hr__inbox_message)(hr_peer_owner *, hr_peer *, uint32_t, const void *,
                                size_t) = got_message;
void (*const hr__inbox_gone)(hr_peer_owner *, hr_peer *) = got_gone;

// --- handling ---

// An answer that cannot be sent (the worker is gone, or does not read) is nobody's loss.
static void answer(hr_worker *worker, uint32_t type, const void *bytes, size_t count)
{
    if (worker->peer_gone || hr__peer_send(worker->peer, type, bytes, count, NULL) != HR_OK)
        return;
}

void hr__worker_answer(hr_worker *worker, uint32_t type, uint32_t request, hr_status status,
                       const char *text)
{
    uint8_t packet[8 + HR_WIRE_PATH_MAX];
    int32_t number = (int32_t)status;
    size_t bytes = HR_MIN(strlen(text), (size_t)HR_WIRE_PATH_MAX);
    memcpy(packet, &request, 4);
    memcpy(packet + 4, &number, 4);
    memcpy(packet + 8, text, bytes);
    answer(worker, type, packet, 8 + bytes);
}

static void answer_feed(hr_worker *worker, uint32_t request, const hr_shared_pass *pass,
                        hr_status status, const char *text)
{
    uint8_t packet[12 + HR_POSITION_BYTES_MAX + HR_ERROR_MESSAGE_BYTES];
    char position[HR_POSITION_BYTES_MAX] = "";
    int32_t number = (int32_t)status;
    size_t bytes = HR_MIN(strlen(text), (size_t)HR_ERROR_MESSAGE_BYTES);
    if (pass)
        hr_position_print(hr__stream_start(pass->stream), position);
    uint32_t position_bytes = (uint32_t)strlen(position);
    memcpy(packet, &request, 4);
    memcpy(packet + 4, &number, 4);
    memcpy(packet + 8, &position_bytes, 4);
    memcpy(packet + 12, position, position_bytes);
    memcpy(packet + 12 + position_bytes, text, bytes);
    answer(worker, HR_WIRE_FED, packet, 12 + position_bytes + bytes);
}

// Reads what the worker asks for; `position` is where options->position points, if it has one.
static hr_status read_request(hr_cursor *c, char name[HR_WIRE_NAME_MAX + 1],
                              hr_stream_options *options, hr_position *position, hr_error *err)
{
    int64_t values[HR_WIRE_OPTIONS];
    char text[HR_POSITION_BYTES_MAX];
    for (int i = 0; i < HR_WIRE_OPTIONS; i++)
        values[i] = (int64_t)hr__cursor_u64(c);
    hr__wire_options_get(values, options);
    if (!hr__wire_counted(c, text, sizeof text) || !hr__wire_text(c, name, HR_WIRE_NAME_MAX + 1))
        return HR_FAIL(err, HR_CORRUPT, "a request that names no dataset");
    if (text[0] == '\0')
        return HR_OK;
    options->position = position;
    return hr_position_parse(text, position, err);
}

// HR_AGAIN: it waits for room that others have.
static hr_status handle_feed(hr_trainer *trainer, hr_worker *worker, hr_cursor *c)
{
    hr_error err = HR_ERROR_INIT;
    char name[HR_WIRE_NAME_MAX + 1], channel_name[HR_WIRE_NAME_MAX];
    hr_stream_options options;
    hr_position position;
    hr_shared_pass *pass = NULL;
    uint32_t request = hr__cursor_u32(c);
    hr_status status = read_request(c, name, &options, &position, &err);
    if (status == HR_OK)
        status = hr__pass_request(trainer, worker, request, name, &options, &pass, &err);
    if (status == HR_LIMIT && hr__pass_may_wait(trainer, worker))
        return HR_AGAIN;
    if (status == HR_OK) {
        snprintf(channel_name, sizeof channel_name, "pass%llu.%lld",
                 (unsigned long long)++trainer->pass_serial, (long long)worker->rank);
        status =
            hr__peer_offer(worker->peer, channel_name, hr__pass_channel(pass, worker->rank), &err);
    }
    if (status == HR_OK)
        answer_feed(worker, request, pass, HR_OK, channel_name);
    else
        answer_feed(worker, request, NULL, status, err.message[0] ? err.message : "?");
    return HR_OK;
}

// Handles a request for a feed, or lays it aside until others have left theirs. Takes the message.
static void try_feed(hr_trainer *trainer, hr_worker *worker, hr_trainer_message *message)
{
    hr_cursor c = hr__cursor(message->data, message->bytes);
    hr__passes_retire(trainer); // what it left itself, it may need
    worker->waiting_tries = trainer->passes_closed;
    bool wait = handle_feed(trainer, worker, &c) == HR_AGAIN;
    worker->waiting = wait ? message : NULL;
    if (!wait)
        hr__free(message);
}

void hr__inbox_retry(hr_trainer *trainer)
{
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        hr_worker *worker = &trainer->workers[i];
        if (worker->waiting && (worker->waiting_tries != trainer->passes_closed ||
                                !hr__pass_may_wait(trainer, worker)))
            try_feed(trainer, worker, worker->waiting);
    }
}

static void handle_stats(hr_trainer *trainer, hr_worker *worker, hr_cursor *c)
{
    char name[HR_WIRE_NAME_MAX + 1];
    char *text = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_status status = HR_NOT_FOUND;
    if (hr__wire_text(c, name, sizeof name))
        for (int32_t i = 0; i < trainer->options.dataset_count; i++)
            if (strcmp(trainer->options.datasets[i].name, name) == 0)
                status = hr_dataset_stats(trainer->options.datasets[i].dataset, false, &text, &err);
    const char *words = status == HR_OK ? text : err.message;
    size_t bytes = strlen(words), at = 0;
    do {
        uint8_t packet[4 + HR_WIRE_PART_BYTES];
        size_t part = HR_MIN(bytes - at, (size_t)HR_WIRE_PART_BYTES);
        uint32_t last = at + part == bytes;
        memcpy(packet, &last, 4);
        memcpy(packet + 4, words + at, part);
        answer(worker, HR_WIRE_TEXT, packet, 4 + part);
        at += part;
    } while (at < bytes);
    hr_text_free(text);
}

static void handle_details(hr_worker *worker, const void *bytes, size_t count)
{
    if (worker->details_bytes + count > HR_WIRE_DETAILS_MAX ||
        hr__realloc(&worker->details, worker->details_bytes + count, NULL) != HR_OK)
        return; // the words of FINISH remain
    memcpy(worker->details + worker->details_bytes, bytes, count);
    worker->details_bytes += count;
}

static void handle_finish(hr_worker *worker, hr_cursor *c)
{
    char words[HR_ERROR_MESSAGE_BYTES];
    hr_status status = (hr_status)(int32_t)hr__cursor_u32(c);
    if (worker->finished || c->failed)
        return;
    worker->finished = true;
    worker->finished_ns = hr__now_ns();
    worker->status = status >= HR_USER && status <= HR_OK ? status : HR_USER;
    if (!hr__wire_text(c, words, sizeof words))
        memcpy(words, "?", 2);
    if (worker->status != HR_OK && hr__strdup(words, &worker->message, NULL) != HR_OK)
        worker->message = NULL;
}

static hr_status handle(hr_trainer *trainer, const hr_trainer_message *message, hr_error *err)
{
    hr_worker *worker = message->worker;
    hr_cursor c = hr__cursor(message->data, message->bytes);
    worker->messages++;
    switch (message->type) {
    case 0:
        worker->peer_gone = true;
        break;
    case HR_WIRE_LEAVE:
        hr__pass_leave(trainer, worker, hr__cursor_u32(&c));
        break;
    case HR_WIRE_LINE: {
        char line[HR_WIRE_PART_BYTES + 1];
        if (trainer->options.on_line && hr__wire_text(&c, line, sizeof line))
            trainer->options.on_line(trainer->options.context, worker->rank, line);
        break;
    }
    case HR_WIRE_DETAILS:
        handle_details(worker, message->data, message->bytes);
        break;
    case HR_WIRE_FINISH:
        handle_finish(worker, &c);
        break;
    case HR_WIRE_STATS:
        handle_stats(trainer, worker, &c);
        break;
    case HR_WIRE_CHECKPOINT:
        return hr__commit_stage(trainer, worker, &c, err);
    case HR_WIRE_COMMIT:
        hr__commit_take(trainer, worker, &c);
        break;
    default: // of another release: none of ours
        break;
    }
    return HR_OK;
}

hr_status hr__call_report(hr_trainer *trainer, int64_t rank, const char *json, hr_error *err)
{
    if (!trainer->options.on_report)
        return HR_OK;
    return trainer->options.on_report(trainer->options.context, rank, json, err);
}

// Reports are read before messages that came after them: the last report precedes FINISH.
static hr_status drain_reports(hr_trainer *trainer, hr_error *err)
{
    char text[HR_REPORT_BYTES_MAX + 1];
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        hr_worker *worker = &trainer->workers[i];
        while (worker->ring && hr__report_ring_read(worker->ring, text))
            HR_TRY(hr__call_report(trainer, worker->rank, text, err));
    }
    return HR_OK;
}

hr_status hr__inbox_drain(hr_trainer *trainer, hr_error *err)
{
    hr__mutex_lock(&trainer->mutex);
    hr_trainer_message *messages = trainer->inbox;
    trainer->inbox = NULL;
    trainer->inbox_last = &trainer->inbox;
    trainer->inbox_bytes = 0;
    hr__mutex_unlock(&trainer->mutex);
    hr_status status = drain_reports(trainer, err);
    while (messages) {
        hr_trainer_message *message = messages;
        messages = message->next;
        if (status == HR_OK && message->type == HR_WIRE_FEED && !message->worker->waiting) {
            message->worker->messages++;
            try_feed(trainer, message->worker, message);
            continue;
        }
        if (status == HR_OK)
            status = handle(trainer, message, err);
        hr__free(message);
    }
    return status;
}

void hr__inbox_free(hr_trainer *trainer)
{
    while (trainer->inbox) {
        hr_trainer_message *message = trainer->inbox;
        trainer->inbox = message->next;
        hr__free(message);
    }
    trainer->inbox_last = &trainer->inbox;
    trainer->inbox_bytes = 0;
}
