// SPDX-License-Identifier: Apache-2.0
// The processes of a function and their segments: who starts them, who has them, and how they end.
#include "base/log.h"
#include "exec/udf_parts.h"
#include "exec/udf_wire.h"
#include <signal.h>
#include <stdio.h>

// --- memory ---

// Charged in full when made. What the ledger refuses even after the idle pages went is charged all the same: a
// function that was called must be able to answer, and there are no more segments than two a process.
void hr__udf_charge(hr_udf *udf, uint64_t bytes)
{
    hr_ledger *ledger = hr__runtime_ledger(udf->runtime);
    if (hr__ledger_try_charge(ledger, HR_LEDGER_HEAP, bytes))
        return;
    hr__store_trim(hr__runtime_store(udf->runtime), bytes);
    hr__scratch_trim(hr__runtime_scratch(udf->runtime));
    if (!hr__ledger_try_charge(ledger, HR_LEDGER_HEAP, bytes))
        hr__ledger_force_charge(ledger, HR_LEDGER_HEAP, bytes);
}

void hr__udf_segment_drop(hr_udf *udf, hr_udf_segment *s)
{
    if (s->fd < 0)
        return;
    hr__unmap(s->memory, s->bytes);
    hr__close_fd(&s->fd);
    hr__ledger_uncharge(hr__runtime_ledger(udf->runtime), HR_LEDGER_HEAP, s->bytes);
    *s = (hr_udf_segment){-1, 0, NULL};
}

// Makes the segment at least so large; a new one when it is too small. Half as much again, so that blocks that grow a
// little each time do not make a segment each.
hr_status hr__udf_segment_fit(hr_udf *udf, hr_udf_segment *s, uint64_t bytes, bool map,
                              hr_error *err)
{
    hr_status status;
    if (s->fd >= 0 && s->bytes >= bytes)
        return HR_OK;
    uint64_t room = bytes + bytes / 2 + HR_UDF_GRAIN_BYTES - 1;
    room -= room % HR_UDF_GRAIN_BYTES;
    hr__udf_segment_drop(udf, s);
    hr_udf_segment made = {-1, room, NULL};
    hr__udf_charge(udf, room);
    HR_GO(hr__memfd("headrace-function", room, &made.fd, err));
    if (map)
        HR_GO(hr__map_fd(made.fd, 0, room, HR_MAP_WRITE, &made.memory, err));
    *s = made;
    return HR_OK;
out:
    hr__close_fd(&made.fd);
    hr__ledger_uncharge(hr__runtime_ledger(udf->runtime), HR_LEDGER_HEAP, room);
    return status;
}

// --- starting and ending processes ---

static hr_status spawn_process(hr_udf *udf, hr_udf_slot *s, hr_error *err)
{
    int pair[2] = {-1, -1};
    char where[48];
    hr_status status;
    HR_TRY(hr__socket_pair(pair, err));
    (void)snprintf(where, sizeof where, "HEADRACE_FUNCTION_FD=%d", pair[1]);
    const char *env[] = {where, NULL};
    hr_spawn spawn = {.argv = (const char *const *)udf->argv,
                      .env = env,
                      .keep_fds = &pair[1],
                      .keep_fd_count = 1,
                      .die_with_parent = true};
    HR_GO(hr__spawn(&spawn, &s->pid, err));
    s->fd = pair[0];
    pair[0] = -1;
    s->begun = false;
    s->growth = (hr_udf_growth){0};
    hr__trace(HR_TOPIC_WORKER, "function '%s': process %ld started", udf->name, (long)s->pid);
out:
    hr__close_fd(&pair[0]);
    hr__close_fd(&pair[1]);
    if (status)
        hr__error_context(err, "function '%s'", udf->name);
    return status;
}

int hr__udf_end_process(hr_udf *udf, hr_udf_slot *s, bool by_us)
{
    int code = 0;
    bool ended = false;
    hr__close_fd(&s->fd);
    if (!by_us) {
        // It hung up: it is ending by itself and its code tells why, unless it only closed the socket.
        for (int i = 0; i < 100 && !ended; i++) {
            if (hr__reap(s->pid, false, &ended, &code, NULL))
                ended = true;
            if (!ended)
                hr__sleep_ns(2000000);
        }
    }
    if (!ended) {
        kill(s->pid, SIGKILL);
        (void)!hr__reap(s->pid, true, &ended, &code, NULL);
    }
    hr__udf_segment_drop(udf, &s->in);
    hr__udf_segment_drop(udf, &s->out);
    hr__mutex_lock(&udf->mutex);
    s->state = SLOT_EMPTY;
    hr__cond_broadcast(&udf->changed);
    hr__mutex_unlock(&udf->mutex);
    return code;
}

static hr_udf_slot *find_slot(hr_udf *udf, hr_udf_slot_state state)
{
    for (int i = 0; i < udf->processes_max; i++)
        if (udf->slots[i].state == state)
            return &udf->slots[i];
    return NULL;
}

void hr__udf_supervise(void *arg)
{
    hr_udf *udf = arg;
    hr__mutex_lock(&udf->mutex);
    while (!udf->closing || udf->callers > 0) {
        hr_udf_slot *s = find_slot(udf, SLOT_WANTED);
        if (!s) {
            hr__cond_wait(&udf->changed, &udf->mutex);
            continue;
        }
        hr__mutex_unlock(&udf->mutex);
        hr_error failure = HR_ERROR_INIT;
        hr_status status = spawn_process(udf, s, &failure);
        hr__mutex_lock(&udf->mutex);
        s->failure = failure;
        s->state = status ? SLOT_FAILED : SLOT_STARTED;
        hr__cond_broadcast(&udf->changed);
    }
    hr__mutex_unlock(&udf->mutex);
    for (int i = 0; i < udf->processes_max; i++)
        if (udf->slots[i].state == SLOT_IDLE)
            hr__udf_end_process(udf, &udf->slots[i], true);
}

hr_status hr__udf_check_wanted(hr_udf *udf, hr_error *err)
{
    HR_TRY(hr__runtime_check(udf->runtime, err));
    if (hr__flow_is_unwanted())
        return HR_FAIL(err, HR_CANCELLED, "nobody wants the result of function '%s' any more",
                       udf->name);
    return HR_OK;
}

hr_status hr__udf_check_open(hr_udf *udf, hr_error *err)
{
    if (udf->closing)
        return HR_FAIL(err, HR_CANCELLED, "function '%s' was closed", udf->name);
    return hr__runtime_check(udf->runtime, err);
}

hr_status hr__udf_acquire(hr_udf *udf, hr_udf_slot **out, hr_error *err)
{
    hr_status status = HR_OK;
    hr_udf_slot *mine = NULL;
    hr__mutex_lock(&udf->mutex);
    for (;;) {
        if (mine && mine->state == SLOT_STARTED) {
            mine->state = SLOT_BUSY;
            break;
        }
        if (mine && mine->state == SLOT_FAILED) {
            status = hr__error_copy(err, &mine->failure);
            mine->state = SLOT_EMPTY;
            hr__cond_broadcast(&udf->changed);
            break;
        }
        // One that is being started is waited for: that is short, and nobody else would take it.
        if (!mine) {
            if ((status = hr__udf_check_open(udf, err)))
                break;
            if ((mine = find_slot(udf, SLOT_IDLE))) {
                mine->state = SLOT_BUSY;
                break;
            }
            if ((mine = find_slot(udf, SLOT_EMPTY))) {
                mine->state = SLOT_WANTED;
                hr__cond_broadcast(&udf->changed);
            }
        }
        (void)hr__cond_wait_ns(&udf->changed, &udf->mutex, HR_UDF_SLICE_NS);
        if (mine)
            continue;
        hr__mutex_unlock(&udf->mutex);
        status = hr__udf_check_wanted(udf, err);
        hr__mutex_lock(&udf->mutex);
        if (status)
            break;
    }
    hr__mutex_unlock(&udf->mutex);
    if (status == HR_OK)
        *out = mine;
    return status;
}

void hr__udf_give_back(hr_udf *udf, hr_udf_slot *s)
{
    hr__mutex_lock(&udf->mutex);
    s->state = SLOT_IDLE;
    hr__cond_broadcast(&udf->changed);
    hr__mutex_unlock(&udf->mutex);
}
