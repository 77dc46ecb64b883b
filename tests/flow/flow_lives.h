// SPDX-License-Identifier: Apache-2.0
// Lives: a stream read by all its ranks in step, for some steps, from one position to the next.
#ifndef HR_TESTS_FLOW_LIVES_H
#define HR_TESTS_FLOW_LIVES_H

#include "flow_support.h"

#define RANKS_MAX 4

typedef struct life {
    pass rows;                            // of all ranks, rank by rank within a step
    int64_t steps;                        // read
    char position[HR_POSITION_BYTES_MAX]; // of one rank, after them
    hr_stream_stats stats;
} life;

static inline void end_life(life *l)
{
    pass_finish(&l->rows);
}

// One step; false when the last epoch is over.
static inline bool read_step(life *l, hr_feed **feeds, int64_t ranks)
{
    hr_error err = HR_ERROR_INIT;
    int64_t ended = 0, more = 0;
    for (int64_t r = 0; r < ranks; r++) {
        hr_batch *batch = NULL;
        hr_status status = hr_feed_next(feeds[r], &batch, &err);
        if (status == HR_END) {
            ended++;
            continue;
        }
        ok(status);
        pass_note(&l->rows, batch);
        hr_batch_unref(&batch);
    }
    if (ended < ranks) {
        l->steps++;
        return true;
    }
    for (int64_t r = 0; r < ranks; r++)
        more += hr_feed_next_epoch(feeds[r], &err) == HR_OK;
    assert_true(more == 0 || more == ranks);
    l->rows.epochs++;
    if (l->rows.epochs <= EPOCHS_NOTED)
        l->rows.epoch_at[l->rows.epochs] = l->rows.count;
    l->rows.status = more ? HR_OK : HR_END;
    return more > 0;
}

// `steps` steps (-1: to the end), then the position of a rank.
static inline life live(const hr_dataset *d, hr_stream_options o, const char *from, int64_t steps,
                        int64_t teller)
{
    life l = {.steps = 0};
    hr_error err = HR_ERROR_INIT;
    hr_stream *s = NULL;
    hr_feed *feeds[RANKS_MAX] = {NULL};
    hr_feed_options wait = HR_FEED_OPTIONS_INIT;
    hr_position start, at;
    wait.timeout_s = WAIT_S;
    if (from) {
        ok(hr_position_parse(from, &start, &err));
        o.position = &start;
        o.epochs -= start.epoch;
    }
    ok(hr_dataset_stream(d, &o, &s, &err));
    for (int64_t r = 0; r < o.ranks; r++)
        ok(hr_feed_open_rank(s, r, &wait, &feeds[r], &err));
    if (from) { // nothing read: it stands where it began
        hr_feed_position(feeds[teller], &at);
        assert_string_equal(hr_position_print(&at, l.position), from);
    }
    while ((steps < 0 || l.steps < steps) && read_step(&l, feeds, o.ranks)) {
    }
    hr_feed_position(feeds[teller], &at);
    hr_position_print(&at, l.position);
    hr_stream_get_stats(s, &l.stats, sizeof l.stats);
    for (int64_t r = 0; r < o.ranks; r++)
        hr_feed_close(&feeds[r]);
    hr_stream_close(&s);
    return l;
}

static inline bool holds(const life *whole, int64_t at, const life *part)
{
    size_t bytes = (size_t)part->rows.count * sizeof *whole->rows.ids;
    return bytes == 0 || memcmp(whole->rows.ids + at, part->rows.ids, bytes) == 0;
}

#endif
