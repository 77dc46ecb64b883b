// SPDX-License-Identifier: Apache-2.0
// Functions of the user in processes of their own: the process's side.
//
// One thread, one call at a time. The input segment is mapped copy-on-write: the function may change what it was
// given in place, nobody else sees it, and the changed pages are dropped before the next call. Who keeps a view of
// its input beyond the call keeps the mapping: the segment is then his and the runtime makes another.
#include "base/option.h"
#include "block/wire.h"
#include "exec/exec.h"
#include "exec/udf_wire.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// A mapped input segment. The server holds one reference, the block over it another.
typedef struct input {
    _Atomic uint32_t refs;
    void *memory;
    uint64_t bytes;
} input;

typedef struct server {
    int fd;
    const hr_udf_server *user;
    input *in;
    void *out;
    uint64_t out_bytes;
    void *schema_bytes; // of the last call: what `schema` was parsed from
    size_t schema_count;
    hr_schema *schema;
} server;

static void input_unref(void *owner)
{
    input *in = owner;
    // Release: this holder's reads are done before the unmapping; acquire: the last one sees all of them done.
    if (in && atomic_fetch_sub_explicit(&in->refs, 1, memory_order_acq_rel) == 1) {
        hr__unmap(in->memory, in->bytes);
        hr__free(in);
    }
}

// Takes fd.
static hr_status map_input(server *s, int fd, uint64_t bytes, hr_error *err)
{
    input *in = NULL;
    hr_status status;
    input_unref(s->in);
    s->in = NULL;
    HR_GO(hr__alloc_zero(1, sizeof *in, &in, err));
    in->refs = 1;
    in->bytes = bytes;
    HR_GO(hr__map_fd(fd, 0, bytes, HR_MAP_PRIVATE, &in->memory, err));
    s->in = in;
    in = NULL;
out:
    hr__free(in);
    hr__close_fd(&fd);
    return status;
}

static hr_status open_input(server *s, const hr_udf_message *message, hr_block **out, hr_error *err)
{
    input *in = s->in;
    if (!in || message->span_bytes > in->bytes || message->schema_at > in->bytes ||
        message->schema_bytes > in->bytes - message->schema_at)
        return HR_FAIL(err, HR_CORRUPT, "call: a span of %llu bytes outside its segment",
                       (unsigned long long)message->span_bytes);
    const uint8_t *schema_bytes = (const uint8_t *)in->memory + message->schema_at;
    if (!s->schema || s->schema_count != message->schema_bytes ||
        memcmp(s->schema_bytes, schema_bytes, s->schema_count) != 0) {
        void *copy = NULL;
        hr_schema *schema = NULL;
        HR_TRY(hr__alloc(message->schema_bytes, &copy, err));
        memcpy(copy, schema_bytes, message->schema_bytes);
        hr_status status = hr__schema_parse(copy, message->schema_bytes, &schema, err);
        if (status) {
            hr__free(copy);
            return status;
        }
        hr__free(s->schema_bytes);
        hr_schema_unref(&s->schema);
        s->schema_bytes = copy;
        s->schema_count = message->schema_bytes;
        s->schema = schema;
    }
    HR_TRY(hr__block_open(in->memory, message->span_bytes, s->schema, HR_VALIDATE_BOUNDS,
                          input_unref, in, out, err));
    atomic_fetch_add_explicit(&in->refs, 1, memory_order_relaxed);
    return HR_OK;
}

static hr_status send_failure(server *s, const hr_error *failure, const void *details,
                              size_t details_bytes, hr_error *err)
{
    if (details_bytes > HR_UDF_DETAILS_BYTES_MAX)
        details_bytes = 0;
    hr_udf_message message = {
        .type = HR_UDF_ERROR, .status = failure->status, .details_bytes = (uint32_t)details_bytes};
    HR_TRY(hr__udf_send(s->fd, &message, failure->message, -1, err));
    if (details_bytes)
        HR_TRY(hr__socket_send(s->fd, details, details_bytes, NULL, 0, err));
    return HR_OK;
}

// Asks for an output segment of so many bytes. *refused_out: the runtime has no room and told its caller.
static hr_status need_output(server *s, uint64_t bytes, bool *refused_out, hr_error *err)
{
    hr_udf_message message = {.type = HR_UDF_NEED, .segment_bytes = bytes};
    char text[HR_UDF_TEXT_BYTES_MAX];
    int fd = -1;
    if (bytes > HR_UDF_SEGMENT_BYTES_MAX)
        return HR_FAIL(err, HR_LIMIT, "the function returned %llu bytes: at most %llu",
                       (unsigned long long)bytes, (unsigned long long)HR_UDF_SEGMENT_BYTES_MAX);
    if (s->out)
        hr__unmap(s->out, s->out_bytes);
    s->out = NULL;
    HR_TRY(hr__udf_send(s->fd, &message, NULL, -1, err));
    HR_TRY(hr__udf_receive(s->fd, &message, text, &fd, err));
    *refused_out = message.type == HR_UDF_REFUSE;
    if (*refused_out) {
        hr__close_fd(&fd);
        return HR_OK;
    }
    if (message.type != HR_UDF_SEGMENT || fd < 0 || message.segment_bytes < bytes) {
        hr__close_fd(&fd);
        return HR_FAIL(err, HR_CORRUPT, "asked for a segment of %llu bytes, got message %u",
                       (unsigned long long)bytes, message.type);
    }
    hr_status status = hr__map_fd(fd, 0, message.segment_bytes, HR_MAP_WRITE, &s->out, err);
    hr__close_fd(&fd);
    s->out_bytes = message.segment_bytes;
    return status;
}

// Writes the result and says so. *refused_out: nothing was said; the caller of the other side knows already.
static hr_status write_output(server *s, const hr_block *block, hr_udf_message *message,
                              bool *refused_out, hr_error *err)
{
    hr_layout layout = {0};
    hr_builder builder = {0};
    void *schema = NULL;
    size_t schema_bytes = 0;
    hr_status status;
    HR_GO(hr__schema_write(block->schema, &schema, &schema_bytes, err));
    HR_GO(hr__take_layout(block, NULL, block->rows, &layout, err));
    HR_GO(hr__layout_finish(&layout, err));
    uint64_t at = hr__udf_schema_at(layout.span_bytes);
    if (!s->out || s->out_bytes < at + schema_bytes)
        HR_GO(need_output(s, at + schema_bytes, refused_out, err));
    if (*refused_out)
        goto out;
    HR_GO(hr__builder_init(&builder, &layout, s->out, err));
    HR_GO(hr__take_append(block, NULL, block->rows, &builder, 0, err));
    hr__builder_seal(&builder, block->rows);
    memcpy((uint8_t *)s->out + at, schema, schema_bytes);
    *message = (hr_udf_message){.type = HR_UDF_RESULT,
                                .span_bytes = layout.span_bytes,
                                .schema_at = at,
                                .schema_bytes = schema_bytes};
out:
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr__free(schema);
    return status;
}

// The function runs, its result goes out. A failure of ours with the result is told as the function's.
static hr_status serve_call(server *s, const hr_udf_message *call, hr_error *err)
{
    hr_error failure = HR_ERROR_INIT;
    hr_block *in = NULL, *made = NULL;
    const void *details = NULL;
    size_t details_bytes = 0;
    hr_udf_message message = {0};
    bool refused = false;
    hr_status status = open_input(s, call, &in, &failure);
    if (status == HR_OK)
        status = s->user->function(s->user->context, in, &made, &details, &details_bytes, &failure);
    hr_block_unref(&in);
    if (status == HR_OK && !made)
        status = HR_FAIL(&failure, HR_USER, "it returned no block");
    if (status == HR_OK)
        status = write_output(s, made, &message, &refused, &failure);
    hr_block_unref(&made);
    // Acquire: what a thread of the function read from its input is read before the pages are dropped.
    bool kept = s->in && atomic_load_explicit(&s->in->refs, memory_order_acquire) > 1;
    if (s->in && !kept)
        hr__drop_private(s->in->memory, s->in->bytes);
    if (status == HR_END) // the runtime hung up
        return HR_END;
    if (status) {
        failure.status = status;
        return send_failure(s, &failure, details, details_bytes, err);
    }
    if (refused)
        return HR_OK;
    if (kept) {
        input_unref(s->in);
        s->in = NULL;
    }
    message.input_kept = kept;
    return hr__udf_send(s->fd, &message, NULL, -1, err);
}

// Takes fd. A function that cannot begin says why and goes on waiting: the runtime ends the process.
static hr_status serve_begin(server *s, uint64_t bytes, int fd, hr_error *err)
{
    hr_error failure = HR_ERROR_INIT;
    hr_udf_message ready = {.type = HR_UDF_READY};
    void *payload = NULL;
    size_t got = 0;
    hr_status status;
    HR_GO(hr__alloc(bytes, &payload, err));
    if (bytes)
        HR_GO(hr__pread_full(fd, payload, bytes, 0, &got, err));
    if (got != bytes) {
        status = HR_FAIL(err, HR_CORRUPT, "payload of %zu bytes instead of %llu", got,
                         (unsigned long long)bytes);
        goto out;
    }
    if (s->user->begin)
        status = s->user->begin(s->user->context, payload, bytes, &failure);
    if (status) {
        failure.status = status;
        status = send_failure(s, &failure, NULL, 0, err);
    } else {
        status = hr__udf_send(s->fd, &ready, NULL, -1, err);
    }
out:
    hr__free(payload);
    hr__close_fd(&fd);
    return status;
}

static hr_status serve_one(server *s, hr_error *err)
{
    hr_udf_message message;
    char text[HR_UDF_TEXT_BYTES_MAX];
    int fd = -1;
    HR_TRY(hr__udf_receive(s->fd, &message, text, &fd, err));
    if (message.type == HR_UDF_BEGIN && fd >= 0)
        return serve_begin(s, message.segment_bytes, fd, err);
    if (message.type == HR_UDF_CALL) {
        if (fd >= 0)
            HR_TRY(map_input(s, fd, message.segment_bytes, err));
        return serve_call(s, &message, err);
    }
    hr__close_fd(&fd);
    return HR_FAIL(err, HR_CORRUPT, "function process: message of type %u", message.type);
}

hr_status hr__udf_serve(const hr_udf_server *user, hr_error *err)
{
    const char *text = hr__env("HEADRACE_FUNCTION_FD");
    char *end = NULL;
    server s = {.user = user};
    long fd = text ? strtol(text, &end, 10) : -1;
    if (!text || *end || fd < 3 || fd > INT32_MAX)
        return HR_FAIL(err, HR_INVALID,
                       "HEADRACE_FUNCTION_FD is not set: this program is started by a runtime");
    s.fd = (int)fd;
    hr_status status;
    do
        status = serve_one(&s, err);
    while (status == HR_OK);
    if (status == HR_CANCELLED) // hung up while we were sending
        status = HR_END;
    hr__close_fd(&s.fd);
    input_unref(s.in);
    if (s.out)
        hr__unmap(s.out, s.out_bytes);
    hr__free(s.schema_bytes);
    hr_schema_unref(&s.schema);
    return status;
}
