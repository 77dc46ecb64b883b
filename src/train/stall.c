// SPDX-License-Identifier: Apache-2.0
// The watchdog: when nothing has moved for a while, one line says who waits for whom.
//
// Movement is whatever a worker takes, asks or reports, and whatever a pipeline reads or makes. A worker waits for a
// batch, or does something of its own; a pipeline waits for what its threads are in at the moment (storage, a
// function), or for room in memory, which readers hold.
#include "train/train_parts.h"

#include "base/log.h"
#include <stdatomic.h>
#include <string.h>

#define WORKERS_TOLD 4

static uint64_t movement(hr_trainer *trainer)
{
    uint64_t mark = 0;
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        const hr_worker *worker = &trainer->workers[i];
        bool waiting;
        if (worker->ring)
            mark += hr__report_ring_written(worker->ring);
        mark += hr__passes_progress(trainer, worker, &waiting) + worker->messages + worker->ended +
                worker->finished;
    }
    for (const hr_shared_pass *pass = trainer->passes; pass; pass = pass->next) {
        hr_stream_stats s;
        hr_stream_get_stats(pass->stream, &s, sizeof s);
        mark += (uint64_t)(s.rows + s.blocks + s.batches + s.source_bytes);
    }
    return mark;
}

static uint64_t memory_ns(const hr_shared_pass *pass)
{
    const hr_busy *busy = hr__stream_busy(pass->stream);
    return atomic_load_explicit(&busy->ns[HR_CAUSE_MEMORY], memory_order_relaxed);
}

// What its threads are in now, those first that wait themselves; then room, where waiting for it has gone on.
static const char *awaited_by(const hr_shared_pass *pass)
{
    static const struct {
        hr_cause cause;
        const char *words;
    } rows[] = {{HR_CAUSE_STORAGE, "storage (a read is under way)"},
                {HR_CAUSE_FUNCTION, "a function of yours (a call is under way)"},
                {HR_CAUSE_SPILL, "the spill disk"},
                {HR_CAUSE_MEMORY, "room in memory"},
                {HR_CAUSE_DECOMPRESS, "decompressing"},
                {HR_CAUSE_DECODE, "decoding"},
                {HR_CAUSE_TRANSFORM, "its expressions"},
                {HR_CAUSE_BATCH, "the making of batches"}};
    const hr_busy *busy = hr__stream_busy(pass->stream);
    for (size_t i = 0; i < HR_COUNTOF(rows); i++)
        if (atomic_load_explicit(&busy->threads[rows[i].cause], memory_order_relaxed) > 0)
            return rows[i].words;
    return memory_ns(pass) > pass->memory_ns ? "room in memory" : NULL;
}

static void tell_pass(const hr_shared_pass *pass, const hr_worker *worker, uint64_t now,
                      hr_text *out)
{
    hr_channel_state state;
    char bytes[32];
    hr__channel_state(hr__pass_channel(pass, worker->rank), &state);
    const char *cause = awaited_by(pass);
    if (state.waiting) {
        hr__text_add(out, " waits for a batch of '%s' (epoch %u, step %llu; for %.0f s)",
                     pass->key.dataset->name, state.epoch, (unsigned long long)state.step,
                     (double)(now - state.waiting_since_ns) * 1e-9);
        hr__text_add(out, ", whose pipeline waits for %s", cause ? cause : "nothing that is known");
    } else {
        hr__text_add(out, " is at its own work after step %llu of epoch %u of '%s'",
                     (unsigned long long)state.step, state.epoch, pass->key.dataset->name);
    }
    if (state.leased_bytes > 0)
        hr__text_add(out, ", holding %s of batches", hr__format_bytes(state.leased_bytes, bytes));
}

static void tell_worker(const hr_trainer *trainer, const hr_worker *worker, uint64_t now,
                        hr_text *out)
{
    bool told = false;
    hr__text_add(out, "worker %lld", (long long)worker->rank);
    for (const hr_shared_pass *pass = trainer->passes; pass; pass = pass->next) {
        if (!pass->asked[worker->rank] || pass->left[worker->rank])
            continue;
        hr__text_add(out, "%s", told ? " and" : "");
        tell_pass(pass, worker, now, out);
        told = true;
    }
    if (worker->waiting) {
        hr__text_add(out, "%s waits for room for another pass, which those have that are behind",
                     told ? " and" : "");
        told = true;
    }
    if (!told)
        hr__text_add(out, "%s",
                     worker->messages == 0 ? " has not asked for anything yet"
                                           : " reads nothing and reports nothing");
}

static bool is_active(const hr_worker *worker)
{
    return !worker->ended && !worker->finished && !worker->reaped;
}

static void tell(hr_trainer *trainer, uint64_t now)
{
    hr_text line;
    int64_t active = 0;
    hr__text_init(&line, 4096);
    hr__text_add(&line, "headrace: %s: nothing has moved for %.3g s: ", trainer->options.name,
                 (double)(now - trainer->moved_ns) * 1e-9);
    for (int64_t i = 0; i < trainer->worker_count; i++) {
        if (!is_active(&trainer->workers[i]) || active++ >= WORKERS_TOLD)
            continue;
        hr__text_add(&line, "%s", active > 1 ? "; " : "");
        tell_worker(trainer, &trainer->workers[i], now, &line);
    }
    if (active > WORKERS_TOLD)
        hr__text_add(&line, "; and %lld more", (long long)(active - WORKERS_TOLD));
    if (active > 0 && trainer->options.on_line)
        trainer->options.on_line(trainer->options.context, -1, hr__text_str(&line));
    else if (active > 0)
        hr__log(HR_LOG_WARNING, "%s", hr__text_str(&line));
    trainer->stalls += active > 0;
    hr__text_finish(&line);
}

void hr__stall_watch(hr_trainer *trainer, uint64_t now)
{
    if (trainer->options.stall_warning_s < 0)
        return;
    uint64_t mark = movement(trainer);
    if (mark != trainer->moved_mark) {
        trainer->moved_mark = mark;
        trainer->moved_ns = now;
        trainer->stall_told = false;
        for (hr_shared_pass *pass = trainer->passes; pass; pass = pass->next)
            pass->memory_ns = memory_ns(pass);
        return;
    }
    if (trainer->stall_told ||
        (double)(now - trainer->moved_ns) * 1e-9 < trainer->options.stall_warning_s)
        return;
    trainer->stall_told = true;
    tell(trainer, now);
}
