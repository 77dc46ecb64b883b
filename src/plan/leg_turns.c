// SPDX-License-Identifier: Apache-2.0
// Legs that lack room: in each other's way, or in their own.
//
// A stream is promised what one leg needs, by the footers. When legs of ranks that lagged run beside the shared one,
// each may hold half of a step and lack the rest; when pieces are many times larger than the footers say, younger ones
// may hold what the oldest lacks. Neither ends by itself. A leg can begin again from what it pushed last, so:
//
//   a leg is stuck, others run       the others rest, and from then on one runs at a time: the next that a reader waits
//                                    for has its turn when the readers of the one that runs are served
//   it is stuck, or refused, alone   all begin again with less at once: one piece at a time, then smaller pieces. A
//                                    function's calls stay as they are
//   and that does not help           an error, where a reader would wait for ever
//
// Closing a batcher waits for its callbacks, so a thread of the stream's own does it, started at first need.
#include "base/os.h"
#include "plan/stream_parts.h"

#define STUCK_NS    (500ull * 1000 * 1000)
#define TURN_NS     (200ull * 1000 * 1000)
#define HOPELESS_NS (5ull * 1000 * 1000 * 1000)
#define PATIENCE_NS                                                                                \
    (60ull * 1000 * 1000 * 1000) // others have more than their own, which may come back
#define SQUEEZED_MAX 5

// --- what is known, lock held ---

static int32_t squeezed_max(const hr_stream *s)
{
    bool smaller = s->cut.rows > 0 && !hr__pipe_has_calls(s->pipe);
    if (s->options.shuffle == HR_SHUFFLE_WINDOW)
        smaller &= !hr__pipe_has_function(s->pipe);
    return smaller ? SQUEEZED_MAX : 1;
}

static hr_leg *leg_at(const hr_stream *s, int64_t rank)
{
    return rank < 0 ? s->shared : s->ranks[rank].own;
}

// A reader of it waits and has nothing.
static bool is_awaited(const hr_leg *l)
{
    const hr_stream *s = l->stream;
    for (int64_t r = 0; r < s->options.ranks; r++) {
        hr_channel_state state;
        if (!hr__leg_serves(l, r) || s->ranks[r].state == HR_RANK_GONE)
            continue;
        hr__channel_state(s->ranks[r].channel, &state);
        if (!state.gone && state.waiting && state.undelivered == 0)
            return true;
    }
    return false;
}

static bool runs(const hr_leg *l)
{
    return l && l->batcher && !l->ended;
}

static bool rests(const hr_leg *l)
{
    return l && !l->batcher && !l->over && !l->leaving;
}

bool hr__leg_may_retry(const hr_leg *l)
{
    const hr_stream *s = l->stream;
    if (s->closing || hr__pipe_has_inner(s->pipe))
        return false;
    bool others = false;
    for (int64_t r = -1; r < s->options.ranks; r++)
        others |= leg_at(s, r) != l && runs(leg_at(s, r));
    return others || s->squeezed < squeezed_max(s);
}

// --- what is done, by the stream's own thread: the lock is let go meanwhile ---

static void rest_leg(hr_leg *l)
{
    hr_stream *s = l->stream;
    hr_batcher *b = l->batcher;
    l->batcher = NULL;
    l->leaving = true;
    hr__mutex_unlock(&s->mutex);
    int64_t dropped = hr__batcher_dropped_rows(b), padded = hr__batcher_padded_rows(b);
    hr__batcher_close(&b);
    hr__mutex_lock(&s->mutex);
    if (l->over && !l->ended) // all was pushed but its end
        hr__leg_finish(l, HR_END, "");
    l->leaving = l->ended = l->refused = false;
    l->stuck_ns = 0;
    if (l->only_rank < 0) {
        s->dropped_rows += dropped;
        s->padded_rows += padded;
    }
}

static void begin_leg(hr_leg *l)
{
    hr_stream *s = l->stream;
    hr_error err = HR_ERROR_INIT;
    if (s->closing || hr__leg_begin(l, &err) == HR_OK)
        return;
    hr__leg_finish(l, err.status, err.message);
    l->over = l->ended = true;
    if (l->batcher)
        rest_leg(l);
}

// True: it has the room that others had.
static bool rest_others(hr_stream *s, const hr_leg *except)
{
    bool any = false;
    for (int64_t r = -1; r < s->options.ranks; r++) {
        hr_leg *l = leg_at(s, r);
        if (l == except || !runs(l))
            continue;
        rest_leg(l);
        any = s->crowded = true;
    }
    return any;
}

static void fail_leg(hr_leg *l)
{
    hr_error err = HR_ERROR_INIT;
    if (!l->refused)
        (void)HR_FAIL(&l->why, HR_LIMIT,
                      "the rows that one step needs at once (batch_rows, window_rows) found no "
                      "room for %.0f s: close other "
                      "work, or give a larger memory budget",
                      (double)l->stuck_ns * 1e-9);
    hr__error_copy(&err, &l->why);
    hr__leg_finish(l, HR_LIMIT, l->why.message);
    l->over = l->ended = true;
    rest_leg(l);
}

static void free_leg(hr_leg *l)
{
    hr_stream *s = l->stream;
    if (rest_others(s, l)) {
        if (l->refused) {
            rest_leg(l);
            begin_leg(l);
        }
        return;
    }
    if (s->squeezed == squeezed_max(s)) {
        uint64_t patience = hr__share_has_all(s->share) ? HOPELESS_NS : PATIENCE_NS;
        if (l->refused || l->stuck_ns >= patience)
            fail_leg(l);
        return;
    }
    s->squeezed++;
    rest_leg(l);
    begin_leg(l);
}

// It has pushed something in its turn, and nobody waits for more, or others have waited for long.
static bool may_rest(const hr_leg *l)
{
    return !is_awaited(l) || (l->pushed && hr__now_ns() - l->begun_ns > TURN_NS);
}

// The next leg that is waited for runs, once the one that does may rest.
static void take_turns(hr_stream *s)
{
    hr_leg *running = NULL, *next = NULL;
    for (int64_t r = -1; r < s->options.ranks && !running; r++)
        running = runs(leg_at(s, r)) ? leg_at(s, r) : NULL;
    if (running && !may_rest(running))
        return;
    for (int64_t i = 0; i <= s->options.ranks && !next; i++) {
        int64_t r = (s->turn + 2 + i) % (s->options.ranks + 1) - 1;
        hr_leg *l = leg_at(s, r);
        if (rests(l) && is_awaited(l))
            next = l;
    }
    if (!next)
        return;
    s->turn = next->only_rank;
    if (running)
        rest_leg(running);
    begin_leg(next);
}

static hr_leg *find_stuck(const hr_stream *s)
{
    for (int64_t r = -1; r < s->options.ranks; r++) {
        hr_leg *l = leg_at(s, r);
        if (l && l->batcher && (l->refused || (runs(l) && l->stuck_ns && is_awaited(l))))
            return l;
    }
    return NULL;
}

static void run_turns(void *stream)
{
    hr_stream *s = stream;
    hr__mutex_lock(&s->mutex);
    while (!s->closing) {
        if (!s->turn_due) {
            hr__cond_wait(&s->turns, &s->mutex);
            continue;
        }
        s->turn_due = false;
        hr_leg *stuck = find_stuck(s);
        if (stuck)
            free_leg(stuck);
        if (s->crowded && !s->closing)
            take_turns(s);
    }
    hr__mutex_unlock(&s->mutex);
}

// --- from outside ---

void hr__turns_look(hr_stream *s)
{
    if (s->closing)
        return;
    if (!s->turner.started &&
        hr__thread_start(&s->turner, "hr-turns", HR_THREAD_NORMAL, run_turns, s, NULL) != HR_OK)
        return; // the next one who looks tries again
    s->turn_due = true;
    hr__cond_signal(&s->turns);
}

void hr__leg_stuck(void *leg, uint64_t for_ns)
{
    hr_leg *l = leg;
    hr_stream *s = l->stream;
    if (for_ns < STUCK_NS || hr__pipe_has_inner(s->pipe))
        return;
    hr__mutex_lock(&s->mutex);
    if (!l->leaving) {
        l->stuck_ns = for_ns;
        hr__turns_look(s);
    }
    hr__mutex_unlock(&s->mutex);
}

void hr__turns_close(hr_stream *s)
{
    hr__mutex_lock(&s->mutex);
    hr__cond_signal(&s->turns);
    hr__mutex_unlock(&s->mutex);
    hr__thread_join(&s->turner);
}
