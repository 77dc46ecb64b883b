// SPDX-License-Identifier: Apache-2.0
// Flows and the pool that serves them.
//
// Each flow is a ring of items between head (the next to give on) and tail (the next to take):
//
//      head                                   tail
//       v                                      v
//     DONE   RUNNING   DONE   BLOCKED   READY   (empty)
//
// A thread of the pool looks at the flows, lowest level first, for one of: give the head on, work on the oldest ready
// item, take one more. One mutex guards all of it and is never held in a callback. An item whose work had no room is
// BLOCKED until a kick; the one that becomes head is tried again at once, as it may use the reserve. A callback that
// says HR_AGAIN may have been overtaken by a kick: `kicks` tells.
//
// A head that met HR_LIMIT draws a ticket. While there is one no work is begun but that of the lowest ticket's head,
// when all other work is done: what waits holds nothing (exec.h), so it finds all memory that is not out as results.
#include "exec/exec_internal.h"
#include "base/os.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define RETRY_NS   (100ull * 1000 * 1000)
#define FAIR_TURNS 8 // one turn in so many goes to whoever waited longest, whatever its level

typedef enum item_state {
    ITEM_EMPTY,
    ITEM_READY,
    ITEM_RUNNING,
    ITEM_BLOCKED,
    ITEM_DONE,
    ITEM_FAILED
} item_state;

typedef struct item {
    item_state state;
    uint64_t weight_bytes;
    uint64_t blocked_since_ns;
    hr_status status; // ITEM_FAILED
    hr_error error;
} item;

struct hr_flow {
    hr_flow *next;
    hr_runtime *runtime;
    hr_flow_ops ops;
    void *self;
    hr_flow_config config;
    hr_crew *crew; // a reference; NULL: none
    uint32_t ring_slots;
    item *items;   // guards: pool mutex; the error of a RUNNING item is its thread's
    uint8_t *data; // ring_slots x item_bytes; a RUNNING item's is its thread's
    uint64_t head, tail;
    uint64_t held_bytes;
    uint64_t kicks;
    uint64_t served; // the pool's turn that last served it
    uint64_t
        stuck_since_ns; // since when the head is told HR_AGAIN, or was looked at for that; 0: it is not
    uint64_t stuck_from_ns; // the same, looks or not
    bool undo_due;
    uint64_t ticket;  // not 0: its head wants to work alone; the lowest of the pool is next
    uint32_t running; // callbacks under way
    bool taking, giving, take_blocked, give_blocked;
    bool exhausted; // take said HR_END, or nothing more may be taken
    bool cancelled, ended;
    hr_status end_status;
    hr_error end_error;
};

static void *item_data(hr_flow *f, uint64_t index)
{
    return f->data + (index % f->ring_slots) * f->ops.item_bytes;
}

static item *item_at(hr_flow *f, uint64_t index)
{
    return &f->items[index % f->ring_slots];
}

// --- what can be done (all under the mutex) ---

typedef enum action { ACT_NONE, ACT_GIVE, ACT_UNDO, ACT_WORK, ACT_TAKE, ACT_END } action;

static bool may_take(const hr_flow *f)
{
    if (f->taking || f->take_blocked || f->exhausted || f->cancelled)
        return false;
    uint64_t held = f->tail - f->head;
    if (held == 0)
        return true;
    return held < f->config.window_slots && held < f->ring_slots &&
           f->held_bytes < f->config.window_bytes;
}

static action next_action(hr_flow *f, uint64_t *index_out)
{
    if (f->ended)
        return ACT_NONE;
    if (f->cancelled)
        return f->running == 0 ? ACT_END : ACT_NONE;
    if (f->head < f->tail && !f->giving) {
        item *head = item_at(f, f->head);
        if (head->state == ITEM_FAILED)
            return f->running == 0 ? ACT_END : ACT_NONE;
        if (head->state == ITEM_DONE && !f->give_blocked) {
            *index_out = f->head;
            return ACT_GIVE;
        }
    }
    if (f->undo_due)
        return ACT_UNDO;
    for (uint64_t i = f->head; i < f->tail; i++) {
        if (item_at(f, i)->state == ITEM_READY) {
            *index_out = i;
            return ACT_WORK;
        }
    }
    if (may_take(f)) {
        *index_out = f->tail;
        return ACT_TAKE;
    }
    if (f->exhausted && f->head == f->tail && f->running == 0)
        return ACT_END;
    return ACT_NONE;
}

// The flow whose head is to work alone, or NULL. Until it did, nothing else is begun to be worked on; giving, which
// frees memory, and taking go on.
static const hr_flow *next_alone(const hr_pool *pool)
{
    const hr_flow *found = NULL;
    for (const hr_flow *f = pool->flows; f; f = f->next)
        if (f->ticket && !f->cancelled && !f->ended && (!found || f->ticket < found->ticket))
            found = f;
    return found;
}

// The lowest level first, so that what is begun is finished; of one level who waited longest. A consumer that is never
// satisfied must not starve the flows of others, so now and then the level does not count.
static hr_flow *pick_at(hr_pool *pool, hr_turn turn, action *action_out, uint64_t *index_out)
{
    hr_flow *found = NULL;
    bool fair = pool->turns % FAIR_TURNS == 0;
    const hr_flow *alone = next_alone(pool);
    for (hr_flow *f = pool->flows; f; f = f->next) {
        uint64_t index = 0;
        if (!hr__crew_may(f->crew, turn))
            continue;
        if (found && (f->config.level > found->config.level && !fair))
            break;
        if (found && f->served >= found->served)
            continue;
        action act = next_action(f, &index);
        if (act == ACT_NONE || (act == ACT_WORK && alone && (f != alone || pool->working > 0)))
            continue;
        found = f;
        *action_out = act;
        *index_out = index;
    }
    if (found)
        found->served = pool->turns;
    return found;
}

// Whom threads are reserved for comes first.
static hr_flow *pick(hr_pool *pool, action *action_out, uint64_t *index_out)
{
    hr_flow *found = NULL;
    pool->turns++;
    if (pool->reserved > 0) {
        if (hr__crew_guest_turn(pool))
            found = pick_at(pool, HR_TURN_GUESTS, action_out, index_out);
        if (!found)
            found = pick_at(pool, HR_TURN_OWED, action_out, index_out);
    }
    return found ? found : pick_at(pool, HR_TURN_ANYBODY, action_out, index_out);
}

static void wake_one(hr_pool *pool)
{
    if (pool->idle > 0)
        hr__cond_signal(&pool->work);
}

static void unblock(hr_flow *f, uint64_t index)
{
    item *it = item_at(f, index);
    if (it->state != ITEM_BLOCKED)
        return;
    it->state = ITEM_READY;
    hr_cause cause = f->config.blocked_cause ? f->config.blocked_cause : HR_CAUSE_MEMORY;
    if (f->config.busy && index == f->head)
        atomic_fetch_add_explicit(&f->config.busy->ns[cause], hr__now_ns() - it->blocked_since_ns,
                                  memory_order_relaxed);
}

static void kick_locked(hr_flow *f)
{
    f->kicks++;
    f->take_blocked = f->give_blocked = false;
    for (uint64_t i = f->head; i < f->tail; i++)
        unblock(f, i);
}

// --- doing it (called with the mutex, which is let go around the callback) ---

// A callback may fail without words (a user's function): the status must not get lost with them.
static void word_failure(const hr_flow *f, hr_status status, hr_error *err)
{
    if (status < 0 && err->status != status) {
        bool worded = err->message[0] != 0;
        if (!worded)
            (void)HR_FAIL(err, status, "%s failed without a message", f->config.name);
        err->status = status;
    }
}

// The head may have waited for what a callback held that is back now.
static void unblock_head(hr_flow *f)
{
    if (f->head < f->tail)
        unblock(f, f->head);
}

// Work is done and its memory back: the oldest item that was refused some tries again.
static void unblock_next(hr_flow *f)
{
    for (uint64_t i = f->head; i < f->tail; i++) {
        if (item_at(f, i)->state == ITEM_BLOCKED) {
            unblock(f, i);
            return;
        }
    }
}

static void fail_flow(hr_flow *f, hr_status status, const hr_error *err)
{
    if (f->end_status == HR_OK) {
        f->end_status = status;
        if (err)
            f->end_error = *err;
    }
    f->cancelled = true; // nothing more is begun; what runs is waited for
}

static void do_take(hr_pool *pool, hr_flow *f, uint64_t index)
{
    item *it = item_at(f, index);
    hr_error err = HR_ERROR_INIT;
    uint64_t kicks = f->kicks, weight = 0;
    f->taking = true;
    f->running++;
    wake_one(pool); // taking may open files: others go on meanwhile
    hr__mutex_unlock(&pool->mutex);
    memset(item_data(f, index), 0, f->ops.item_bytes);
    hr_busy_mark mark = hr__busy_enter(f->config.busy, HR_CAUSE_HANDOVER);
    hr_status status = f->ops.take(f->self, item_data(f, index), &weight, &err);
    hr__busy_leave(mark);
    hr__mutex_lock(&pool->mutex);
    f->running--;
    f->taking = false;
    word_failure(f, status, &err);
    if (status == HR_OK) {
        *it = (item){.state = ITEM_READY, .weight_bytes = weight};
        f->held_bytes += weight;
        f->tail++;
    } else if (status == HR_AGAIN) {
        f->take_blocked = f->kicks == kicks;
    } else if (status == HR_END) {
        f->exhausted = true;
    } else { // the failure waits for its turn behind what was taken before
        *it = (item){.state = ITEM_FAILED, .status = status, .error = err};
        f->tail++;
        f->exhausted = true;
    }
    unblock_head(f);
}

// The flow whose work this thread is at: what waits inside (a function in a process) asks whether to go on.
static _Thread_local hr_flow *working_for;

bool hr__flow_is_unwanted(void)
{
    hr_flow *f = working_for;
    if (!f)
        return false;
    hr__mutex_lock(&f->runtime->pool.mutex);
    bool unwanted = f->cancelled;
    hr__mutex_unlock(&f->runtime->pool.mutex);
    return unwanted;
}

static void do_work(hr_pool *pool, hr_flow *f, uint64_t index)
{
    item *it = item_at(f, index);
    hr_error err = HR_ERROR_INIT;
    uint64_t kicks = f->kicks;
    bool oldest = index == f->head, alone = f->ticket != 0;
    it->state = ITEM_RUNNING;
    f->running++;
    pool->working++;
    wake_one(pool); // another thread may take more meanwhile
    hr__mutex_unlock(&pool->mutex);
    hr_busy_mark mark = hr__busy_enter(f->config.busy, HR_CAUSE_DECODE);
    working_for = f;
    hr_status status = f->ops.work(f->self, item_data(f, index), oldest, &err);
    working_for = NULL;
    hr__busy_leave(mark);
    hr__mutex_lock(&pool->mutex);
    f->running--;
    pool->working--;
    word_failure(f, status, &err);
    // Memory that others hold now comes back: only the oldest, alone, finds that there never is enough.
    bool crowded = status == HR_LIMIT && !alone;
    if (alone) {
        f->ticket = 0;
        hr__cond_broadcast(&pool->work);
    } else if (crowded && oldest) {
        f->ticket = ++pool->tickets;
    }
    if (oldest && status != HR_AGAIN) {
        f->stuck_since_ns = f->stuck_from_ns = 0;
    } else if (oldest && !f->stuck_since_ns) {
        f->stuck_since_ns = hr__now_ns();
        f->stuck_from_ns = f->stuck_from_ns ? f->stuck_from_ns : f->stuck_since_ns;
    }
    if (status == HR_OK) {
        it->state = ITEM_DONE;
        unblock_next(f);
    } else if (status == HR_AGAIN || crowded) {
        bool now = f->ticket || f->kicks != kicks || (index == f->head && !oldest);
        it->state = now ? ITEM_READY : ITEM_BLOCKED;
        it->blocked_since_ns = hr__now_ns();
    } else {
        it->state = ITEM_FAILED;
        it->status = status;
        it->error = err;
        f->exhausted = true;
    }
    if (f->head != index)
        unblock_head(f);
}

// Results that younger items hold go until the head has its room, which it then finds alone.
static void do_undo(hr_pool *pool, hr_flow *f)
{
    void *head = item_data(f, f->head);
    uint64_t from = f->stuck_from_ns;
    bool any = false;
    f->undo_due = false;
    f->stuck_since_ns = 0;
    if (f->head == f->tail || item_at(f, f->head)->state != ITEM_BLOCKED)
        return;
    item_at(f, f->head)->state = ITEM_RUNNING; // nobody touches it meanwhile
    f->running++;
    for (uint64_t i = f->tail; f->config.undo && i-- > f->head + 1;) {
        item *it = item_at(f, i);
        if (it->state != ITEM_DONE)
            continue;
        it->state = ITEM_RUNNING;
        hr__mutex_unlock(&pool->mutex);
        bool undone = f->config.undo(f->self, head, item_data(f, i));
        hr__mutex_lock(&pool->mutex);
        it->state = undone ? ITEM_BLOCKED : ITEM_DONE;
        it->blocked_since_ns = hr__now_ns();
        any |= undone;
    }
    if (!any && f->config.stuck && from) {
        hr__mutex_unlock(&pool->mutex);
        f->config.stuck(f->self, head, hr__now_ns() - from);
        hr__mutex_lock(&pool->mutex);
    }
    f->running--;
    item_at(f, f->head)->state = ITEM_BLOCKED;
    unblock(f, f->head); // it may have been kicked meanwhile; and so it is looked at again
    if (any && !f->ticket)
        f->ticket = ++pool->tickets;
}

static void do_give(hr_pool *pool, hr_flow *f, uint64_t index)
{
    item *it = item_at(f, index);
    hr_error err = HR_ERROR_INIT;
    uint64_t kicks = f->kicks;
    f->giving = true;
    f->running++;
    hr__mutex_unlock(&pool->mutex);
    hr_busy_mark mark = hr__busy_enter(f->config.busy, HR_CAUSE_HANDOVER);
    hr_status status = f->ops.give(f->self, item_data(f, index), &err);
    if (status != HR_AGAIN)
        f->ops.drop(f->self, item_data(f, index));
    hr__busy_leave(mark);
    hr__mutex_lock(&pool->mutex);
    f->running--;
    f->giving = false;
    word_failure(f, status, &err);
    if (status == HR_AGAIN) {
        f->give_blocked = f->kicks == kicks;
        unblock_head(f);
        return;
    }
    f->held_bytes -= it->weight_bytes;
    it->state = ITEM_EMPTY;
    f->head++;
    unblock_head(f); // it may use the reserve now
    if (status != HR_OK)
        fail_flow(f, status, &err);
}

static void do_end(hr_pool *pool, hr_flow *f)
{
    item *head = f->head < f->tail ? item_at(f, f->head) : NULL;
    if (f->end_status == HR_OK && head && head->state == ITEM_FAILED) {
        f->end_status = head->status;
        f->end_error = head->error;
    }
    if (f->end_status == HR_OK)
        f->end_status = f->cancelled ? HR_CANCELLED : HR_END;
    f->cancelled = true;
    f->running++;
    hr__mutex_unlock(&pool->mutex);
    for (uint64_t i = f->head; i < f->tail; i++) {
        if (item_at(f, i)->state != ITEM_EMPTY)
            f->ops.drop(f->self, item_data(f, i));
    }
    if (f->ops.ended)
        f->ops.ended(f->self, f->end_status, &f->end_error);
    hr__mutex_lock(&pool->mutex);
    f->running--;
    f->head = f->tail;
    f->ended = true;
}

// An interrupted runtime begins nothing more: every flow that is not over is cancelled.
static void cancel_interrupted(hr_pool *pool)
{
    if (!hr__runtime_interrupted(pool->runtime))
        return;
    for (hr_flow *f = pool->flows; f; f = f->next) {
        if (!f->ended && !f->cancelled) {
            hr_error err = HR_ERROR_INIT;
            (void)HR_FAIL(&err, HR_CANCELLED, "interrupted");
            fail_flow(f, HR_CANCELLED, &err);
        }
    }
}

// Now and then what waits is asked again: a consumer that lags is noticed by time, not by an event, and so is a head
// whose room others hold.
static void retry_gives(hr_pool *pool)
{
    uint64_t now = hr__now_ns();
    if (now < pool->retry_at_ns)
        return;
    pool->retry_at_ns = now + RETRY_NS;
    for (hr_flow *f = pool->flows; f; f = f->next) {
        f->give_blocked = false;
        f->undo_due = (f->config.undo || f->config.stuck) && f->stuck_since_ns &&
                      now - f->stuck_since_ns > RETRY_NS;
    }
}

static void pool_run(void *arg)
{
    hr_pool *pool = arg;
    hr__mutex_lock(&pool->mutex);
    while (!pool->stopping) {
        action act = ACT_NONE;
        uint64_t index = 0;
        cancel_interrupted(pool);
        retry_gives(pool);
        hr_flow *f = pick(pool, &act, &index);
        if (!f) {
            pool->idle++;
            if (pool->flows) // looks for an interruption now and then
                (void)hr__cond_wait_ns(&pool->work, &pool->mutex, RETRY_NS);
            else
                hr__cond_wait(&pool->work, &pool->mutex);
            pool->idle--;
            continue;
        }
        hr_crew *crew = f->crew;
        uint64_t entered = hr__crew_enter(pool, crew);
        switch (act) {
        case ACT_TAKE:
            do_take(pool, f, index);
            break;
        case ACT_UNDO:
            do_undo(pool, f);
            break;
        case ACT_WORK:
            do_work(pool, f, index);
            break;
        case ACT_GIVE:
            do_give(pool, f, index);
            break;
        case ACT_END:
            do_end(pool, f);
            break;
        case ACT_NONE:
            break;
        }
        hr__crew_leave(pool, crew, entered);
        hr__cond_broadcast(&pool->quiet);
    }
    hr__mutex_unlock(&pool->mutex);
}

// --- the pool ---

hr_status hr__pool_start(hr_runtime *runtime, int threads, hr_error *err)
{
    hr_pool *pool = &runtime->pool;
    pool->runtime = runtime;
    hr__mutex_init(&pool->mutex);
    hr__cond_init(&pool->work);
    hr__cond_init(&pool->quiet);
    for (int i = 0; i < threads; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "hr-cpu-%d", i);
        HR_TRY(hr__thread_start(&pool->threads[i], name, HR_THREAD_BATCH, pool_run, pool, err));
        pool->thread_count++;
    }
    return HR_OK;
}

void hr__pool_stop(hr_runtime *runtime)
{
    hr_pool *pool = &runtime->pool;
    if (!pool->runtime)
        return;
    hr__mutex_lock(&pool->mutex);
    pool->stopping = true;
    hr__cond_broadcast(&pool->work);
    hr__mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->thread_count; i++)
        hr__thread_join(&pool->threads[i]);
    HR_ASSERT(pool->flows == NULL);
}

void hr__pool_finish(hr_runtime *runtime)
{
    hr_pool *pool = &runtime->pool;
    if (!pool->runtime)
        return;
    hr__cond_finish(&pool->quiet);
    hr__cond_finish(&pool->work);
    hr__mutex_finish(&pool->mutex);
}

void hr__pool_kick_all(hr_runtime *runtime)
{
    hr_pool *pool = &runtime->pool;
    hr__mutex_lock(&pool->mutex);
    for (hr_flow *f = pool->flows; f; f = f->next)
        kick_locked(f);
    hr__cond_broadcast(&pool->work);
    hr__mutex_unlock(&pool->mutex);
}

// --- flows, from outside ---

hr_status hr__flow_open(hr_runtime *runtime, const hr_flow_ops *ops, void *self,
                        const hr_flow_config *config, hr_flow **out, hr_error *err)
{
    hr_flow *f = NULL;
    hr_status status = HR_OK;
    HR_ASSERT(config->window_slots >= 1 && ops->item_bytes > 0);
    HR_TRY(hr__runtime_check(runtime, err));
    HR_GO(hr__alloc_zero(1, sizeof *f, &f, err));
    f->ring_slots = HR_MAX(config->window_slots, 64);
    f->ops = *ops;
    f->ops.item_bytes = HR_ALIGN_UP(ops->item_bytes, 16);
    f->self = self;
    f->config = *config;
    f->runtime = runtime;
    HR_GO(hr__alloc_zero(f->ring_slots, sizeof *f->items, &f->items, err));
    HR_GO(hr__alloc_zero(f->ring_slots, f->ops.item_bytes, &f->data, err));
    *out = f; // before it runs: callbacks may want to know it
    hr_pool *pool = &runtime->pool;
    hr__mutex_lock(&pool->mutex);
    f->crew = hr__crew_ref_locked(config->crew);
    hr_flow **at = &pool->flows;
    while (*at && (*at)->config.level <= config->level)
        at = &(*at)->next;
    f->next = *at;
    *at = f;
    hr__cond_broadcast(&pool->work);
    hr__mutex_unlock(&pool->mutex);
    return HR_OK;
out:
    if (f) {
        hr__free(f->items);
        hr__free(f->data);
        hr__free(f);
    }
    return status;
}

void hr__flow_kick(hr_flow *flow)
{
    hr_pool *pool = &flow->runtime->pool;
    hr__mutex_lock(&pool->mutex);
    kick_locked(flow);
    wake_one(pool);
    hr__mutex_unlock(&pool->mutex);
}

bool hr__flow_wait(hr_flow *flow, uint64_t timeout_ns)
{
    hr_pool *pool = &flow->runtime->pool;
    uint64_t until = timeout_ns == UINT64_MAX ? UINT64_MAX : hr__now_ns() + timeout_ns;
    hr__mutex_lock(&pool->mutex);
    while (!flow->ended) {
        uint64_t now = hr__now_ns();
        if (now >= until)
            break;
        (void)hr__cond_wait_ns(&pool->quiet, &pool->mutex,
                               until == UINT64_MAX ? UINT64_MAX : until - now);
    }
    bool ended = flow->ended;
    hr__mutex_unlock(&pool->mutex);
    return ended;
}

// The closing thread ends the flow itself when no callback runs: it may be the only thread of the pool.
void hr__flow_stop(hr_flow *f)
{
    hr_pool *pool = &f->runtime->pool;
    hr__mutex_lock(&pool->mutex);
    if (!f->ended)
        f->cancelled = true;
    while (!f->ended || f->running > 0) {
        if (f->running == 0)
            do_end(pool, f);
        else
            hr__cond_wait(&pool->quiet, &pool->mutex);
    }
    hr__cond_broadcast(&pool->quiet);
    hr__mutex_unlock(&pool->mutex);
}

void hr__flow_close(hr_flow **flow)
{
    hr_flow *f = *flow;
    if (!f)
        return;
    hr_pool *pool = &f->runtime->pool;
    hr__flow_stop(f);
    hr__mutex_lock(&pool->mutex);
    hr_flow **at = &pool->flows;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    hr__crew_unref_locked(f->crew);
    hr__mutex_unlock(&pool->mutex);
    hr__free(f->items);
    hr__free(f->data);
    hr__free(f);
    *flow = NULL;
}
