// SPDX-License-Identifier: Apache-2.0
// Messages between the runtime and its function processes, and the details of a failure.
//
// A failure travels from a pool thread to whoever pulls the rows, through queues that carry a message alone. Its
// details (a pickled exception) wait here: the last ones of the process, with the one who asks comparing them with
// the message it got. A thread that asks gets a copy of its own, so that the next failure cannot change it under the
// reader.
#include "exec/udf_wire.h"
#include "base/thread.h"
#include "exec/exec.h"
#include <string.h>

hr_status hr__udf_send(int fd, const hr_udf_message *message, const char *text, int pass_fd,
                       hr_error *err)
{
    uint8_t packet[sizeof *message + HR_UDF_TEXT_BYTES_MAX];
    hr_udf_message head = *message;
    size_t text_bytes = text ? strlen(text) : 0;
    if (text_bytes > HR_UDF_TEXT_BYTES_MAX - 1)
        text_bytes = HR_UDF_TEXT_BYTES_MAX - 1;
    head.magic = HR_UDF_MAGIC;
    head.text_bytes = (uint32_t)text_bytes;
    memcpy(packet, &head, sizeof head);
    if (text_bytes)
        memcpy(packet + sizeof head, text, text_bytes);
    return hr__socket_send(fd, packet, sizeof head + text_bytes, &pass_fd, pass_fd >= 0, err);
}

hr_status hr__udf_receive(int fd, hr_udf_message *out, char *text, int *fd_out, hr_error *err)
{
    uint8_t packet[sizeof *out + HR_UDF_TEXT_BYTES_MAX];
    hr_udf_message head;
    size_t count = 0;
    int got[1] = {-1}, got_count = 1;
    HR_TRY(hr__socket_receive(fd, packet, sizeof packet, &count, got, &got_count, err));
    if (!got_count)
        got[0] = -1;
    bool whole = count >= sizeof head;
    if (whole)
        memcpy(&head, packet, sizeof head);
    if (!whole || head.magic != HR_UDF_MAGIC || head.type < HR_UDF_BEGIN ||
        head.type > HR_UDF_ERROR || head.text_bytes != count - sizeof head ||
        head.text_bytes >= HR_UDF_TEXT_BYTES_MAX || head.details_bytes > HR_UDF_DETAILS_BYTES_MAX ||
        head.segment_bytes > HR_UDF_SEGMENT_BYTES_MAX ||
        head.span_bytes > HR_UDF_SEGMENT_BYTES_MAX || head.schema_bytes > HR_UDF_SCHEMA_BYTES_MAX ||
        head.schema_at > HR_UDF_SEGMENT_BYTES_MAX) {
        hr__close_fd(&got[0]);
        return HR_FAIL(err, HR_CORRUPT, "function process: a message of %zu bytes that is none",
                       count);
    }
    memcpy(text, packet + sizeof head, head.text_bytes);
    text[head.text_bytes] = 0;
    *out = head;
    *fd_out = got[0];
    return HR_OK;
}

// One for each thread that ever asked: reachable from here, so that it is freed by the next failure's reader at most.
typedef struct details_copy {
    struct details_copy *next;
    void *bytes;
} details_copy;

static hr_mutex details_mutex = HR_MUTEX_INIT;
static void *details_bytes;          // guards: details_mutex
static size_t details_count;         // guards: details_mutex
static details_copy *details_copies; // guards: details_mutex
static _Thread_local details_copy *details_mine;

void hr__udf_set_details(const void *bytes, size_t count)
{
    void *copy = NULL;
    if (count > HR_UDF_DETAILS_BYTES_MAX)
        count = 0;
    // Without memory the failure goes without its details.
    if (count && hr__alloc(count, &copy, NULL) == HR_OK)
        memcpy(copy, bytes, count);
    hr__mutex_lock(&details_mutex);
    void *old = details_bytes;
    details_bytes = copy;
    details_count = copy ? count : 0;
    hr__mutex_unlock(&details_mutex);
    hr__free(old);
}

const void *hr__udf_get_details(size_t *count_out)
{
    *count_out = 0;
    hr__mutex_lock(&details_mutex);
    if (details_mine) {
        hr__free(details_mine->bytes);
        details_mine->bytes = NULL;
    }
    if (details_count) {
        if (!details_mine &&
            hr__alloc_zero(1, sizeof *details_mine, &details_mine, NULL) == HR_OK) {
            details_mine->next = details_copies;
            details_copies = details_mine;
        }
        if (details_mine && hr__alloc(details_count, &details_mine->bytes, NULL) == HR_OK) {
            memcpy(details_mine->bytes, details_bytes, details_count);
            *count_out = details_count;
        }
    }
    hr__mutex_unlock(&details_mutex);
    return *count_out ? details_mine->bytes : NULL;
}
