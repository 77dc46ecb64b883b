// SPDX-License-Identifier: Apache-2.0
// Checkpoints, the worker's side: the folder copied and made durable, with the place of every feed in it.
//
// For each dataset the newest feed counts. One that was closed before its end stands where the next request for the
// dataset would begin: that is what an undisturbed run does next.
#include "base/os.h"
#include "train/session_parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// --- where the feeds stand ---

// Closed ones of the same dataset tell nothing any more once there is a newer one.
static void drop_closed(hr_session *session, const char *dataset)
{
    for (hr_session_feed_note **at = &session->notes; *at;) {
        hr_session_feed_note *note = *at;
        if (note->feed || strcmp(note->name, dataset) != 0) {
            at = &note->next;
            continue;
        }
        *at = note->next;
        hr__free(note);
    }
}

hr_status hr__session_note_feed(hr_session *session, const char *dataset,
                                const hr_stream_options *options, hr_session_feed_note **out,
                                hr_error *err)
{
    hr_session_feed_note *note = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *note, &note, err));
    drop_closed(session, dataset);
    memcpy(note->name, dataset,
           strlen(dataset) + 1); // its length was checked when it was asked for
    note->epochs = HR_MAX(options->epochs, (int64_t)1);
    note->asked_epoch = options->position ? options->position->epoch : options->first_epoch;
    note->session = session;
    note->request = session->requests;
    note->next = session->notes;
    session->notes = note;
    *out = note;
    return HR_OK;
}

void hr__session_drop_note(hr_session *session, hr_session_feed_note *note)
{
    hr_session_feed_note **at = &session->notes;
    while (*at != note)
        at = &(*at)->next;
    *at = note->next;
    hr__free(note);
}

void hr__session_forget_feeds(hr_session *session)
{
    while (session->notes) {
        hr_session_feed_note *note = session->notes;
        session->notes = note->next;
        note->forgotten = true;
        if (!note->feed)
            hr__free(note);
    }
}

static bool position_of(const hr_session_feed_note *note, hr_position *out)
{
    if (!note->feed) {
        *out = note->position;
        return note->has_position;
    }
    hr_feed_position(note->feed, out);
    return true;
}

// The start of the request after the one that `at` lies in.
static hr_position after_request(const hr_session_feed_note *note, const hr_position *at)
{
    hr_position out = *at;
    int64_t done = HR_MAX(at->epoch - note->asked_epoch, (int64_t)0);
    out.epoch = note->asked_epoch + (done / note->epochs + 1) * note->epochs;
    out.step = out.row = out.unit = out.unit_row = out.order_row = out.more_units = 0;
    return out;
}

void hr__session_feed_closed(void *arg)
{
    hr_session_feed_note *note = arg;
    hr_feed_stats stats;
    if (note->forgotten) {
        hr__free(note);
        return;
    }
    hr_feed_get_stats(note->feed, &stats, sizeof stats);
    note->has_position = position_of(note, &note->position);
    const hr_position *at = &note->position;
    bool whole = stats.epochs > 0 && at->step == 0 && at->row == 0 &&
                 (at->epoch - note->asked_epoch) % note->epochs == 0;
    if (note->has_position && !whole)
        note->position = after_request(note, at);
    note->feed = NULL;
    // Its batches may be kept, and its port with them: the trainer learns that nothing more is wanted. If it is gone,
    // nobody needs to know.
    (void)!hr__session_send(note->session, HR_WIRE_LEAVE, &note->request, sizeof note->request,
                            NULL);
}

static hr_status gather(const hr_session *session, hr_checkpoint *out, hr_error *err)
{
    *out = (hr_checkpoint){.number = -1, .rank = session->rank, .world_size = session->world_size};
    for (const hr_session_feed_note *note = session->notes; note; note = note->next) {
        hr_named_position named;
        if (hr__checkpoint_position(out, note->name) || !position_of(note, &named.position))
            continue; // an older one, or one that tells nothing
        memcpy(named.name, note->name, sizeof named.name);
        HR_TRY(HR_VEC_PUSH(&out->positions, named, err));
    }
    return HR_OK;
}

// --- writing ---

static hr_status write_head(hr_session *session, const char *json, const char *to, hr_error *err)
{
    hr_checkpoint checkpoint;
    hr_text text;
    char path[HR_WIRE_PATH_MAX + 64];
    hr__text_init(&text, (size_t)4 << 20);
    hr_status status = gather(session, &checkpoint, err);
    if (status == HR_OK) {
        hr__checkpoint_print(&checkpoint, json, &text);
        if (text.failed || text.cut)
            status = HR_FAIL(err, HR_NOMEM, "no memory for the text of a checkpoint");
    }
    if (status == HR_OK) {
        snprintf(path, sizeof path, "%s/%s", to, HR_CHECKPOINT_FILE);
        status = hr__file_write(path, hr__text_str(&text), text.bytes, err);
    }
    hr__checkpoint_finish(&checkpoint);
    hr__text_finish(&text);
    return status;
}

// The trainer's, which stands beside the staged folder.
static hr_status copy_preprocessor(const char *to, hr_error *err)
{
    char from[HR_WIRE_PATH_MAX + 64], target[HR_WIRE_PATH_MAX + 64];
    struct stat info;
    const char *slash = strrchr(to, '/');
    int folder_bytes = slash ? (int)(slash - to) : 0;
    snprintf(from, sizeof from, "%.*s/%s", folder_bytes, to, HR_CHECKPOINT_PREPROCESSOR);
    snprintf(target, sizeof target, "%s/%s", to, HR_CHECKPOINT_PREPROCESSOR);
    if (stat(from, &info) != 0)
        return HR_OK;
    return hr__file_copy(from, target, err);
}

static hr_status fill(hr_session *session, const char *json, const char *folder, const char *to,
                      hr_error *err)
{
    static const char *const ours[] = {HR_CHECKPOINT_FILE, HR_CHECKPOINT_PREPROCESSOR, NULL};
    if (folder)
        HR_TRY(hr__folder_copy(folder, to, ours, err));
    HR_TRY(copy_preprocessor(to, err));
    HR_TRY(write_head(session, json, to, err));
    return hr__folder_sync(to, err);
}

// --- asking ---

// The answer to the last request: its status, and what comes with it.
static hr_status await_answer(hr_session *session, uint32_t type, char *text, hr_error *err)
{
    uint8_t bytes[16 + HR_WIRE_PATH_MAX];
    for (;;) {
        hr_cursor c;
        HR_TRY(hr__session_receive(session, type, bytes, sizeof bytes, &c, err));
        if (hr__cursor_u32(&c) != session->requests)
            continue;
        hr_status status = (hr_status)(int32_t)hr__cursor_u32(&c);
        if (!hr__wire_text(&c, text, HR_WIRE_PATH_MAX + 1))
            return HR_FAIL(err, HR_CORRUPT, "the trainer's answer to a checkpoint is empty");
        if (status == HR_OK || status == HR_END)
            return status;
        return HR_FAIL(err, status < 0 && status >= HR_USER ? status : HR_IO, "%s", text);
    }
}

static hr_status commit(hr_session *session, bool good, char *text, hr_error *err)
{
    uint32_t packet[2] = {session->requests, good};
    HR_TRY(hr__session_send(session, HR_WIRE_COMMIT, packet, sizeof packet, err));
    return await_answer(session, HR_WIRE_COMMITTED, text, err);
}

hr_status hr_session_report_checkpoint(hr_session *session, const char *json, const char *folder,
                                       hr_error *err)
{
    uint8_t packet[sizeof(uint32_t) + HR_REPORT_BYTES_MAX];
    char to[HR_WIRE_PATH_MAX + 1], doomed[HR_WIRE_PATH_MAX + 1];
    size_t bytes = strlen(json);
    if (bytes < 1 || bytes > HR_REPORT_BYTES_MAX)
        return HR_FAIL(err, HR_INVALID,
                       "metrics of %zu bytes with a checkpoint; 1 to %u are allowed", bytes,
                       HR_REPORT_BYTES_MAX);
    session->requests++;
    memcpy(packet, &session->requests, sizeof session->requests);
    memcpy(packet + sizeof session->requests, json, bytes);
    HR_TRY(hr__session_send(session, HR_WIRE_CHECKPOINT, packet, sizeof session->requests + bytes,
                            err));
    hr_status status = await_answer(session, HR_WIRE_STAGE, to, err);
    if (status == HR_END)
        return HR_OK; // another rank's is kept
    HR_TRY(status);
    status = fill(session, json, folder, to, err);
    if (status != HR_OK) {
        hr_error local = HR_ERROR_INIT;
        hr__error_context(err, "checkpoint");
        hr__folder_remove(to);
        // The trainer only forgets it; when even that cannot be said, the trainer is gone.
        return commit(session, false, doomed, &local) == HR_CANCELLED ? HR_CANCELLED : status;
    }
    status = commit(session, true, doomed, err);
    if (status != HR_OK)
        hr__folder_remove(to);
    else if (doomed[0] == '/')
        hr__folder_remove(doomed);
    return status;
}
