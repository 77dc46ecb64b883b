// SPDX-License-Identifier: Apache-2.0
// Time by cause, and distributions.
//
// A thread always knows what it is busy with: entering, switching and leaving each close the span that was running and
// add it to its account, so spans never overlap and their sum is the time that passed. A distribution keeps every value
// up to 64 Ki, then a uniform sample of all seen (Vitter's algorithm R) whose choices come from a counter-based
// generator: the same values in the same order give the same quantiles.
#include "base/stats.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/rng.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_MAX  ((size_t)64 << 10)
#define FIRST_VALUES 256
#define RNG_SEED     UINT64_C(0x6865616472616365)

#define STREAM_REPLACE 1

const char *hr__cause_name(hr_cause cause)
{
    static const char *const names[HR_CAUSES] = {"storage",  "decompress", "decode", "transform",
                                                 "function", "batch",      "spill",  "memory",
                                                 "handover", "consumer"};
    return (unsigned)cause < HR_CAUSES ? names[cause] : "?";
}

static _Thread_local struct {
    hr_busy_mark mark;
    uint64_t since_ns;
} running;

static hr_busy_mark change(hr_busy_mark next)
{
    hr_busy_mark previous = running.mark;
    if (!previous.busy && !next.busy)
        return previous;
    uint64_t now_ns = hr__now_ns();
    // Relaxed: counts, read for display.
    if (previous.busy) {
        atomic_fetch_add_explicit(&previous.busy->ns[previous.cause], now_ns - running.since_ns,
                                  memory_order_relaxed);
        atomic_fetch_sub_explicit(&previous.busy->threads[previous.cause], 1, memory_order_relaxed);
    }
    if (next.busy)
        atomic_fetch_add_explicit(&next.busy->threads[next.cause], 1, memory_order_relaxed);
    running.mark = next;
    running.since_ns = now_ns;
    return previous;
}

hr_busy_mark hr__busy_enter(hr_busy *busy, hr_cause cause)
{
    return change((hr_busy_mark){busy, cause});
}

hr_busy_mark hr__busy_switch(hr_cause cause)
{
    return change((hr_busy_mark){running.mark.busy, cause});
}

void hr__busy_leave(hr_busy_mark previous)
{
    change(previous);
}

void hr__busy_count_read(uint64_t bytes)
{
    if (running.mark.busy)
        atomic_fetch_add_explicit(&running.mark.busy->read_bytes, bytes, memory_order_relaxed);
}

static bool make_room(hr_samples *s, size_t need)
{
    if (need <= s->capacity)
        return true;
    size_t capacity = HR_MAX(s->capacity * 2, (size_t)FIRST_VALUES);
    capacity = HR_MAX(capacity, need);
    if (hr__realloc(&s->values, capacity * sizeof *s->values, NULL) != HR_OK)
        return false;
    s->capacity = capacity;
    return true;
}

void hr__samples_add(hr_samples *s, double value)
{
    s->max = s->seen == 0 || value > s->max ? value : s->max;
    s->sum += value;
    s->seen++;
    if (s->count < SAMPLES_MAX && s->count + 1 == s->seen) {
        if (make_room(s, s->count + 1))
            s->values[s->count++] = value;
        return;
    }
    // Also after a failed allocation: what room there is goes on as the sample.
    uint64_t at = hr__rng_below(RNG_SEED, STREAM_REPLACE, s->seen, s->seen);
    if (at < s->count)
        s->values[at] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Many quantiles are asked for one after the other: all but the first find the values sorted.
static bool is_sorted(const hr_samples *s)
{
    for (size_t i = 1; i < s->count; i++)
        if (s->values[i - 1] > s->values[i])
            return false;
    return true;
}

double hr__samples_quantile(hr_samples *s, double q)
{
    if (s->count == 0)
        return 0;
    if (!is_sorted(s))
        qsort(s->values, s->count, sizeof *s->values, compare);
    double at = HR_MIN(HR_MAX(q, 0.0), 1.0) * (double)(s->count - 1);
    size_t below = (size_t)floor(at);
    size_t above = HR_MIN(below + 1, s->count - 1);
    double part = at - (double)below, step = s->values[above] - s->values[below];
    // From the nearer end, as numpy does, so that the result is never outside the two.
    return part < 0.5 ? s->values[below] + step * part : s->values[above] - step * (1 - part);
}

void hr__samples_finish(hr_samples *s)
{
    hr__free(s->values);
    *s = (hr_samples){0};
}
