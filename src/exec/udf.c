// SPDX-License-Identifier: Apache-2.0
// Functions of the user in processes of their own: the runtime's side. Here the calls; udf_process.c has the processes.
//
// A call takes an idle process (or has one more started, up to the limit), copies the block into the process's input
// segment, and waits for the answer on the socket. Who waits is the calling thread, in slices, so that an
// interruption or a close is seen within a tenth of a second whatever the function does. A process that dies costs
// its caller a new process and another try; the third death by one block is that block's failure.
//
//   caller (pool thread)                    supervisor (one thread a function)
//   slot EMPTY -> WANTED  ---------------->  spawns: WANTED -> STARTED (or FAILED)
//   STARTED -> BUSY -> IDLE -> BUSY ...
//   a death, or too much growth: kills, reaps, EMPTY
//
// The supervisor exists for one reason: a child's death signal is tied to the thread that made it, so that thread
// must live as long as the children do. Pool threads may come and go.
//
// The mutex guards the slots' states alone. A slot that is not EMPTY or IDLE belongs to one thread, which uses its
// socket and segments without a lock. Nothing is held during I/O.
#include "base/log.h"
#include "block/wire.h"
#include "exec/udf_parts.h"
#include "exec/udf_wire.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// A result on the pipeline's heap.
typedef struct result {
    hr_runtime *runtime;
    void *memory;
    uint64_t forced_bytes; // charged by force and not scratch; 0: it is scratch
} result;

static void result_release(void *owner)
{
    result *r = owner;
    if (r->forced_bytes) {
        hr__free(r->memory);
        hr__ledger_uncharge(hr__runtime_ledger(r->runtime), HR_LEDGER_HEAP, r->forced_bytes);
    } else {
        hr__scratch_give(hr__runtime_scratch(r->runtime), r->memory);
    }
    hr__runtime_unref(&r->runtime);
    hr__free(r);
}

static hr_status result_make(hr_udf *udf, uint64_t bytes, result **out, hr_error *err)
{
    result *r = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *r, &r, err));
    r->runtime = hr__runtime_ref(udf->runtime);
    status = hr__scratch_take(hr__runtime_scratch(udf->runtime), bytes, &r->memory, err);
    if (status == HR_LIMIT) {
        status = hr__alloc_aligned(bytes + HR_SPAN_PAD_BYTES, 64, &r->memory, err);
        if (status == HR_OK) {
            r->forced_bytes = bytes + HR_SPAN_PAD_BYTES;
            hr__udf_charge(udf, r->forced_bytes);
        }
    }
    if (status) {
        hr__runtime_unref(&r->runtime);
        hr__free(r);
        return status;
    }
    *out = r;
    return HR_OK;
}

// --- one call ---

// What came of a try. LOST: the process is gone (or talks nonsense): the slot must be emptied.
typedef enum try_end { TRY_DONE, TRY_FAILED, TRY_LOST, TRY_UNSENT } try_end;

// The next message, or a reason to stop waiting for it.
static hr_status await(hr_udf *udf, hr_udf_slot *s, hr_udf_message *message, char *text,
                       hr_error *err)
{
    for (;;) {
        int fds[2] = {s->fd, udf->wake_fd}, passed = -1;
        bool ready[2] = {false, false};
        hr_status status = hr__poll_read(fds, 2, ready, HR_UDF_SLICE_NS, err);
        if (status == HR_OK && ready[0]) {
            status = hr__udf_receive(s->fd, message, text, &passed, err);
            hr__close_fd(&passed); // processes pass none
            return status;
        }
        if (status != HR_OK && status != HR_TIMEOUT)
            return status;
        if (ready[1])
            return HR_FAIL(err, HR_CANCELLED, "function '%s' was closed", udf->name);
        hr__udf_growth_look(&s->growth, s->pid, s->in.bytes + s->out.bytes);
        HR_TRY(hr__udf_check_wanted(udf, err));
    }
}

// Of a wait or a send: whatever broke the conversation makes the process useless.
static try_end end_of(hr_status status)
{
    return status == HR_OK ? TRY_DONE : status == HR_CANCELLED ? TRY_FAILED : TRY_LOST;
}

// The function's failure in its own words, and the details that follow it.
static hr_status take_failure(hr_udf *udf, hr_udf_slot *s, const hr_udf_message *message,
                              const char *text, hr_error *err)
{
    uint8_t details[HR_UDF_DETAILS_BYTES_MAX];
    size_t count = 0;
    int fds[1], fd_count = 0;
    if (message->details_bytes &&
        (hr__socket_receive(s->fd, details, sizeof details, &count, fds, &fd_count, err) ||
         count != message->details_bytes))
        return HR_FAIL(err, HR_CORRUPT, "function '%s': details of %u bytes did not come",
                       udf->name, message->details_bytes);
    hr__udf_set_details(count ? details : NULL, count);
    // CORRUPT and CANCELLED mean something else here: that the conversation broke.
    bool plain = message->status < 0 && message->status > HR_USER &&
                 message->status != HR_CORRUPT && message->status != HR_CANCELLED;
    hr_status status = plain ? (hr_status)message->status : HR_USER;
    return HR_FAIL(err, status, "%s", text[0] ? text : "the function failed and said nothing");
}

static try_end begin_process(hr_udf *udf, hr_udf_slot *s, hr_error *err, hr_status *status_out)
{
    hr_udf_message message = {.type = HR_UDF_BEGIN, .segment_bytes = udf->payload_bytes};
    char text[HR_UDF_TEXT_BYTES_MAX];
    hr_status status = hr__udf_send(s->fd, &message, NULL, udf->payload_fd, err);
    if (status == HR_OK)
        status = await(udf, s, &message, text, err);
    else if (status == HR_CANCELLED)
        status = HR_END;
    *status_out = status;
    if (status)
        return end_of(status);
    if (message.type == HR_UDF_ERROR) {
        *status_out = take_failure(udf, s, &message, text, err);
        return *status_out == HR_CORRUPT ? TRY_LOST : TRY_FAILED;
    }
    if (message.type != HR_UDF_READY) {
        *status_out = HR_CORRUPT;
        return TRY_LOST;
    }
    s->begun = true;
    return TRY_DONE;
}

// The block and its schema into the input segment; *head says where.
static hr_status write_input(hr_udf *udf, hr_udf_slot *s, const hr_block *in, hr_udf_message *head,
                             int *pass_fd, hr_error *err)
{
    hr_layout layout = {0};
    hr_builder builder = {0};
    void *schema = NULL;
    size_t schema_bytes = 0;
    bool fits;
    hr_status status;
    HR_GO(hr__schema_write(in->schema, &schema, &schema_bytes, err));
    HR_GO(hr__take_layout(in, NULL, in->rows, &layout, err));
    HR_GO(hr__layout_finish(&layout, err));
    head->schema_at = hr__udf_schema_at(layout.span_bytes);
    head->schema_bytes = schema_bytes;
    fits = s->in.fd >= 0 && s->in.bytes >= head->schema_at + schema_bytes;
    HR_GO(hr__udf_segment_fit(udf, &s->in, head->schema_at + schema_bytes, true, err));
    HR_GO(hr__builder_init(&builder, &layout, s->in.memory, err));
    HR_GO(hr__take_append(in, NULL, in->rows, &builder, 0, err));
    hr__builder_seal(&builder, in->rows);
    memcpy((uint8_t *)s->in.memory + head->schema_at, schema, schema_bytes);
    head->span_bytes = layout.span_bytes;
    head->segment_bytes = s->in.bytes;
    *pass_fd = fits ? -1 : s->in.fd; // the number alone would not tell: it is reused
out:
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr__free(schema);
    return status;
}

static hr_status read_bytes(hr_udf_slot *s, void *to, uint64_t at, uint64_t bytes, hr_error *err)
{
    size_t got = 0;
    if (at > s->out.bytes || bytes > s->out.bytes - at)
        return HR_FAIL(err, HR_CORRUPT, "%llu bytes at %llu of a segment of %llu",
                       (unsigned long long)bytes, (unsigned long long)at,
                       (unsigned long long)s->out.bytes);
    HR_TRY(hr__pread_full(s->out.fd, to, bytes, at, &got, err));
    if (got != bytes)
        return HR_FAIL(err, HR_CORRUPT, "the segment was cut to %llu bytes",
                       (unsigned long long)(at + got));
    return HR_OK;
}

// Copies what the process wrote, and only then looks at it: it may go on writing there as it likes.
static hr_status read_output(hr_udf *udf, hr_udf_slot *s, const hr_udf_message *message,
                             hr_block **out, hr_error *err)
{
    void *schema_bytes = NULL;
    hr_schema *schema = NULL;
    result *r = NULL;
    hr_status status;
    HR_GO(hr__alloc(message->schema_bytes, &schema_bytes, err));
    HR_GO(read_bytes(s, schema_bytes, message->schema_at, message->schema_bytes, err));
    HR_GO(hr__schema_parse(schema_bytes, message->schema_bytes, &schema, err));
    HR_GO(result_make(udf, message->span_bytes, &r, err));
    HR_GO(read_bytes(s, r->memory, 0, message->span_bytes, err));
    HR_GO(hr__block_open(r->memory, message->span_bytes, schema, HR_VALIDATE_FULL, result_release,
                         r, out, err));
    r = NULL;
out:
    if (r)
        result_release(r);
    hr_schema_unref(&schema);
    hr__free(schema_bytes);
    if (status)
        hr__error_context(err, "what function '%s' returned", udf->name);
    return status;
}

// A process that is refused its segment forgets its result and waits for the next call.
static hr_status answer_need(hr_udf *udf, hr_udf_slot *s, uint64_t bytes, bool *refused_out,
                             hr_error *err)
{
    hr_udf_message message = {.type = HR_UDF_REFUSE};
    hr_status status = hr__udf_segment_fit(udf, &s->out, bytes, false, err);
    *refused_out = status != HR_OK;
    if (status == HR_OK) {
        message.type = HR_UDF_SEGMENT;
        message.segment_bytes = s->out.bytes;
    }
    hr_status sent =
        hr__udf_send(s->fd, &message, NULL, status ? -1 : s->out.fd, status ? NULL : err);
    return status ? status : sent == HR_CANCELLED ? HR_END : sent;
}

static try_end call_process(hr_udf *udf, hr_udf_slot *s, const hr_block *in, hr_block **out,
                            hr_error *err, hr_status *status_out)
{
    hr_udf_message message = {.type = HR_UDF_CALL};
    char text[HR_UDF_TEXT_BYTES_MAX];
    int pass_fd = -1;
    bool refused = false;
    hr_status status = write_input(udf, s, in, &message, &pass_fd, err);
    *status_out = status;
    if (status)
        return TRY_FAILED;
    status = *status_out = hr__udf_send(s->fd, &message, NULL, pass_fd, err);
    if (status)
        return status == HR_CANCELLED ? TRY_UNSENT : TRY_LOST;
    while ((status = await(udf, s, &message, text, err)) == HR_OK && message.type == HR_UDF_NEED) {
        if ((status = answer_need(udf, s, message.segment_bytes, &refused, err)))
            break;
    }
    *status_out = status;
    if (status)
        return refused ? TRY_FAILED : end_of(status);
    if (message.type == HR_UDF_ERROR) {
        *status_out = take_failure(udf, s, &message, text, err);
        return *status_out == HR_CORRUPT ? TRY_LOST : TRY_FAILED;
    }
    if (message.type != HR_UDF_RESULT || s->out.fd < 0) {
        *status_out = HR_FAIL(err, HR_CORRUPT, "function '%s': an answer of type %u", udf->name,
                              message.type);
        return TRY_LOST;
    }
    if (message.input_kept)
        hr__udf_segment_drop(udf, &s->in);
    *status_out = read_output(udf, s, &message, out, err);
    return *status_out ? TRY_FAILED : TRY_DONE;
}

// After a call: the process is another caller's, or replaced by a fresh one at the next call.
static void give_back_or_replace(hr_udf *udf, hr_udf_slot *s)
{
    hr_udf_growth *growth = &s->growth;
    uint64_t bound =
        hr__udf_growth_bound(hr__runtime_ledger(udf->runtime)->limit_bytes, udf->processes_max);
    char first[32], held[32], most[32];
    hr__udf_growth_look(growth, s->pid, s->in.bytes + s->out.bytes);
    if (!hr__udf_growth_exceeds(growth, bound)) {
        hr__udf_give_back(udf, s);
        return;
    }
    bool told = atomic_fetch_add_explicit(&udf->replaced, 1, memory_order_relaxed) > 0;
    hr__trace(HR_TOPIC_WORKER, "function '%s': process %ld replaced: it held %s", udf->name,
              (long)s->pid, hr__format_bytes(growth->held_bytes, held));
    if (!told)
        hr__log(HR_LOG_WARNING,
                "function '%s': its process grew from %s to %s, more than by the %s that it may; "
                "it is replaced by a fresh one, as are others like it (explain counts them). "
                "Nothing is lost; does the function keep what it was given or made?",
                udf->name, hr__format_bytes(growth->first_bytes, first),
                hr__format_bytes(growth->held_bytes, held), hr__format_bytes(bound, most));
    (void)hr__udf_end_process(udf, s, true);
}

int64_t hr__udf_replaced(const hr_udf *udf)
{
    return atomic_load_explicit(&udf->replaced, memory_order_relaxed);
}

// How a LOST process ended.
typedef struct death {
    int code;
    uint64_t held_bytes; // 0: not known
} death;

// One try with one process.
static try_end try_once(hr_udf *udf, const hr_block *in, hr_block **out, hr_error *err,
                        hr_status *status_out, death *death_out)
{
    hr_udf_slot *s = NULL;
    try_end end = TRY_DONE;
    if ((*status_out = hr__udf_acquire(udf, &s, err)))
        return TRY_FAILED;
    if (!s->begun)
        end = begin_process(udf, s, err, status_out);
    bool begun = end == TRY_DONE;
    if (begun)
        end = call_process(udf, s, in, out, err, status_out);
    // One that was cancelled is still at its work; one that could not begin is of no use to others.
    bool lost = end == TRY_LOST || end == TRY_UNSENT;
    if (lost || *status_out == HR_CANCELLED || !begun) {
        death_out->held_bytes = s->growth.held_bytes;
        death_out->code = hr__udf_end_process(udf, s, !lost || *status_out == HR_CORRUPT);
    } else {
        give_back_or_replace(udf, s);
    }
    return end;
}

static void tell_death(const death *d, char *how, size_t room)
{
    char held[32];
    if (d->code == 128 + SIGKILL && d->held_bytes)
        (void)snprintf(how, room,
                       "killed by signal %d, holding %s when last seen; where memory ran out, "
                       "smaller batches or fewer processes need less",
                       SIGKILL, hr__format_bytes(d->held_bytes, held));
    else if (d->code > 128)
        (void)snprintf(how, room, "killed by signal %d", d->code - 128);
    else
        (void)snprintf(how, room, "exit code %d", d->code);
}

static hr_status call_counted(hr_udf *udf, const hr_block *in, hr_block **out, hr_error *err)
{
    hr_status status = HR_OK;
    int deaths = 0, unsent = 0;
    death last = {0};
    for (;;) {
        try_end end = try_once(udf, in, out, err, &status, &last);
        if (end == TRY_DONE || end == TRY_FAILED)
            return status;
        // A process that had died while it was idle is no fault of this block.
        if (end == TRY_UNSENT && ++unsent <= udf->processes_max)
            continue;
        deaths++;
        char how[160];
        tell_death(&last, how, sizeof how);
        if (deaths == HR_UDF_DEATHS_MAX) {
            hr__udf_set_details(NULL, 0);
            return HR_FAIL(
                err, HR_USER,
                "function '%s': its process died %d times at this block of %lld rows (%s); the job "
                "stops here",
                udf->name, deaths, (long long)in->rows, how);
        }
        hr__log(
            HR_LOG_WARNING,
            "function '%s': its process died (%s); another is started and the block tried again",
            udf->name, how);
    }
}

hr_status hr__udf_call(hr_udf *udf, const hr_block *in, hr_block **out, hr_error *err)
{
    hr__mutex_lock(&udf->mutex);
    hr_status status = hr__udf_check_open(udf, err);
    if (status == HR_OK && !udf->supervisor.started)
        status = hr__thread_start(&udf->supervisor, "hr-function", HR_THREAD_NORMAL,
                                  hr__udf_supervise, udf, err);
    if (status == HR_OK)
        udf->callers++;
    hr__mutex_unlock(&udf->mutex);
    HR_TRY(status);
    status = call_counted(udf, in, out, err);
    hr__mutex_lock(&udf->mutex);
    udf->callers--;
    hr__cond_broadcast(&udf->changed);
    hr__mutex_unlock(&udf->mutex);
    return status;
}

// --- life ---

static void udf_free(hr_udf *udf)
{
    for (int i = 0; i < HR_UDF_ARGS_MAX; i++)
        hr__free(udf->argv[i]);
    hr__close_fd(&udf->payload_fd);
    hr__close_fd(&udf->wake_fd);
    hr__cond_finish(&udf->changed);
    hr__mutex_finish(&udf->mutex);
    hr__free(udf->name);
    hr__runtime_unref(&udf->runtime);
    hr__free(udf);
}

hr_status hr__udf_open(hr_runtime *runtime, const hr_udf_config *config, hr_udf **out,
                       hr_error *err)
{
    hr_udf *udf = NULL;
    hr_status status;
    HR_TRY(hr__runtime_check(runtime, err));
    if (!config->argv || !config->argv[0])
        return HR_FAIL(err, HR_INVALID, "function in processes: argv names no program");
    HR_TRY(hr__alloc_zero(1, sizeof *udf, &udf, err));
    udf->runtime = hr__runtime_ref(runtime);
    udf->pid = getpid();
    udf->payload_fd = udf->wake_fd = -1;
    hr__mutex_init(&udf->mutex);
    hr__cond_init(&udf->changed);
    int wanted = config->processes_max > 0 ? config->processes_max : hr_runtime_threads(runtime);
    udf->processes_max = HR_MIN(wanted, HR_UDF_PROCESSES_MAX);
    for (int i = 0; i < HR_UDF_PROCESSES_MAX; i++) {
        udf->slots[i].fd = -1;
        udf->slots[i].in.fd = udf->slots[i].out.fd = -1;
    }
    HR_GO(hr__strdup(config->name ? config->name : "function", &udf->name, err));
    for (int i = 0; config->argv[i]; i++) {
        if (i == HR_UDF_ARGS_MAX) {
            status = HR_FAIL(err, HR_INVALID, "function '%s': more than %d arguments", udf->name,
                             HR_UDF_ARGS_MAX);
            goto out;
        }
        HR_GO(hr__strdup(config->argv[i], &udf->argv[i], err));
    }
    udf->payload_bytes = config->payload_bytes;
    HR_GO(hr__memfd("headrace-payload", udf->payload_bytes, &udf->payload_fd, err));
    if (udf->payload_bytes)
        HR_GO(hr__pwrite_full(udf->payload_fd, config->payload, udf->payload_bytes, 0, err));
    HR_GO(hr__eventfd(&udf->wake_fd, err));
    *out = udf;
    return HR_OK;
out:
    udf_free(udf);
    return status;
}

void hr__udf_close(hr_udf **udf)
{
    hr_udf *u = *udf;
    *udf = NULL;
    if (!u || u->pid != getpid())
        return;
    hr__mutex_lock(&u->mutex);
    u->closing = true;
    hr__eventfd_wake(u->wake_fd);
    hr__cond_broadcast(&u->changed);
    hr__mutex_unlock(&u->mutex);
    // It leaves when the last caller has, and ends the processes on its way. Without a call there is none.
    hr__thread_join(&u->supervisor);
    udf_free(u);
}
