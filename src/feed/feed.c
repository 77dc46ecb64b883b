// SPDX-License-Identifier: Apache-2.0
// The iterator: batches of an epoch, epochs, position.
//
//   next ──▶ batch … batch ──▶ END ──next_epoch──▶ batch …      END again until next_epoch
//
// Whether there is a further epoch is only known by looking at what comes next, so next_epoch takes the first thing
// of the new epoch and keeps it for the next call; what it waited for counts as that batch's delay.
#include "feed/feed_parts.h"

#include "base/log.h"
#include "base/option.h"
#include "base/os.h"
#include "feed/run_log.h"
#include <string.h>

static const hr_option_row feed_rows[] = {
    {"timeout_s", HR_OPTION_SECONDS, offsetof(hr_feed_options, timeout_s), 0, 0, 1e9, NULL,
     "seconds that one next waits at most; 0: as long as it takes"},
    {"digest", HR_OPTION_TEXT, offsetof(hr_feed_options, digest), 0, 0, 0, NULL,
     "folder for a log of what was delivered", "--digest"},
};
const hr_option_table hr__feed_options = HR_OPTION_TABLE("feed", hr_feed_options, feed_rows, NULL);

struct hr_feed {
    hr_feed_end *end;
    uint64_t timeout_ns;
    bool epoch_ended; // next gives END until next_epoch
    bool finished;    // the stream gave END: there will be nothing more
    bool asked;       // something was pulled, or a pull was waited for
    bool has_pending; // next_epoch looked ahead
    hr_lease pending;
    uint64_t pending_wait_ns;
    hr_position position;
    hr_delay delay;
    hr_digest *digest; // NULL: none asked for
};

hr_status hr__feed_open_port(hr_port *port, const hr_feed_origin *origin,
                             const hr_feed_options *options, hr_feed **out, hr_error *err)
{
    hr_status status;
    hr_feed *feed = NULL;
    hr_feed_options resolved;
    HR_GO(hr__options_resolve(&hr__feed_options, options, &resolved, err));
    HR_GO(hr__alloc_zero(1, sizeof *feed, &feed, err));
    if (resolved.digest)
        HR_GO(hr__digest_open(resolved.digest, origin->rank, origin->start.plan_hash,
                              origin->start.seed, &feed->digest, err));
    hr_port *taken = port;
    port = NULL;
    HR_GO(hr__end_open(taken, origin, &feed->end, err));
    feed->timeout_ns = resolved.timeout_s > 0 ? (uint64_t)(resolved.timeout_s * 1e9) : UINT64_MAX;
    feed->position = origin->start;
    hr__delay_init(&feed->delay);
    *out = feed;
    return HR_OK;
out:
    if (feed)
        hr__digest_close(&feed->digest);
    hr__free(feed);
    hr__port_close(&port);
    return status;
}

void hr_feed_close(hr_feed **feed_inout)
{
    hr_feed *feed = feed_inout ? *feed_inout : NULL;
    if (!feed)
        return;
    *feed_inout = NULL;
    if (hr__end_is_foreign(feed->end))
        return; // the parent's
    if (feed->has_pending && feed->pending.descriptor.kind == HR_DESCRIPTOR_BATCH)
        hr__port_release(feed->end->port, &feed->pending);
    if (feed->end->origin.closed)
        feed->end->origin.closed(feed->end->origin.arg);
    hr__digest_close(&feed->digest);
    hr__end_unref(&feed->end);
    hr__delay_finish(&feed->delay);
    hr__free(feed);
}

static hr_status check_process(const hr_feed *feed, hr_error *err)
{
    if (hr__end_is_foreign(feed->end))
        return HR_FAIL(err, HR_DENIED,
                       "this feed belongs to process %d, and this is a fork of it: open a feed of "
                       "its own in each process (train.h starts workers)",
                       (int)feed->end->pid);
    return HR_OK;
}

// The next thing of the stream: what was looked at already, or what the port gives.
static hr_status pull(hr_feed *feed, hr_lease *out, hr_error *err)
{
    if (feed->has_pending) {
        *out = feed->pending;
        feed->has_pending = false;
        return HR_OK;
    }
    if (feed->finished)
        return HR_END;
    feed->asked = true;
    hr_error local = HR_ERROR_INIT;
    hr_status status = hr__port_next(feed->end->port, feed->timeout_ns, out, &local);
    if (status == HR_END)
        feed->finished = true;
    else if (status == HR_TIMEOUT)
        return HR_FAIL(err, HR_TIMEOUT,
                       "no batch came within %.3g seconds: wait longer (timeout_s), or look at "
                       "where the pipeline's time goes (headrace check)",
                       (double)feed->timeout_ns * 1e-9);
    else if (status != HR_OK)
        hr__error_copy(err, &local);
    return status;
}

static void stand_at_epoch(hr_feed *feed, int64_t epoch)
{
    hr_position *p = &feed->position;
    p->epoch = epoch;
    p->step = p->row = p->unit = p->unit_row = p->order_row = p->more_units = 0;
}

static void end_epoch(hr_feed *feed, const hr_descriptor *descriptor)
{
    stand_at_epoch(feed, (int64_t)descriptor->epoch + 1);
    feed->epoch_ended = true;
    feed->delay.epochs++;
}

// Counted when delivered, not when prefetched: a resumed feed begins after the last batch the reader had.
static void deliver(hr_feed *feed, const hr_descriptor *descriptor, const hr_batch *batch,
                    int64_t copied)
{
    hr_position *p = &feed->position;
    p->epoch = (int64_t)descriptor->epoch;
    p->step = (int64_t)descriptor->step + 1;
    p->row = descriptor->end_row;
    p->unit = descriptor->unit;
    p->unit_row = descriptor->unit_row;
    p->order_row = descriptor->order_row;
    p->more_units = descriptor->more_units;
    feed->delay.rows += descriptor->rows;
    feed->delay.bytes += batch->bytes;
    if (copied > 0) {
        feed->delay.copied_batches++;
        feed->delay.copied_bytes += copied;
    }
}

hr_status hr_feed_next(hr_feed *feed, hr_batch **out, hr_error *err)
{
    HR_TRY(check_process(feed, err));
    if (feed->epoch_ended)
        return HR_END;
    hr_lease lease;
    hr_batch *batch = NULL;
    int64_t copied = 0;
    uint64_t entered = hr__delay_enter(&feed->delay);
    uint64_t before = feed->has_pending ? feed->pending_wait_ns : 0;
    hr_status status = pull(feed, &lease, err);
    if (status == HR_OK && lease.descriptor.kind == HR_DESCRIPTOR_EPOCH_END) {
        end_epoch(feed, &lease.descriptor);
        status = feed->digest ? hr__digest_flush(feed->digest, err) : HR_OK;
        status = status == HR_OK ? HR_END : status;
    } else if (status == HR_OK) {
        hr_descriptor descriptor = lease.descriptor;
        status = hr__batch_open(feed->end, &lease, &batch, &copied, err);
        if (status == HR_OK)
            deliver(feed, &descriptor, batch, copied);
        if (status == HR_OK && feed->digest)
            status = hr__digest_add(feed->digest, batch, err);
    }
    hr__delay_leave(&feed->delay, entered, before, status == HR_OK);
    if (status == HR_OK)
        *out = batch;
    else
        hr_batch_unref(&batch);
    return status;
}

// Takes and drops what is left of the epoch that the reader is in.
static hr_status pass_over(hr_feed *feed, hr_error *err)
{
    while (!feed->epoch_ended) {
        hr_lease lease;
        HR_TRY(pull(feed, &lease, err));
        if (lease.descriptor.kind == HR_DESCRIPTOR_EPOCH_END)
            end_epoch(feed, &lease.descriptor);
        else
            hr__port_release(feed->end->port, &lease);
    }
    return HR_OK;
}

hr_status hr_feed_next_epoch(hr_feed *feed, hr_error *err)
{
    HR_TRY(check_process(feed, err));
    uint64_t entered = hr__delay_enter(&feed->delay);
    hr_lease lease;
    hr_status status = pass_over(feed, err);
    uint64_t asked = hr__now_ns();
    if (status == HR_OK)
        status = pull(feed, &lease, err);
    if (status == HR_OK) {
        feed->pending = lease;
        feed->has_pending = true;
        feed->pending_wait_ns = hr__now_ns() - asked;
        feed->epoch_ended = false;
    }
    hr__delay_leave(&feed->delay, entered, 0, false);
    return status;
}

void hr_feed_position(const hr_feed *feed, hr_position *out)
{
    *out = feed->position;
}

hr_status hr_feed_go_on(hr_feed *feed, const hr_position *position, hr_error *err)
{
    const hr_feed_origin *origin = &feed->end->origin;
    HR_TRY(check_process(feed, err));
    if (feed->asked || !origin->go_on)
        return HR_FAIL(err, HR_UNSUPPORTED,
                       "only a feed of a deferred stream goes on elsewhere, and only before its "
                       "first batch was asked for: open another one at the position");
    HR_TRY(origin->go_on(origin->arg, position, err));
    uint64_t seed = feed->position.seed; // without a shuffle the position may have another
    feed->position = *position;
    feed->position.seed = seed;
    return HR_OK;
}

size_t hr_feed_delays(hr_feed *feed, double *out, size_t count)
{
    hr_samples *waits = &feed->delay.waits;
    count = HR_MIN(count, waits->count);
    for (size_t i = 0; i < count; i++)
        out[i] = hr__samples_quantile(waits, ((double)i + 0.5) / (double)count);
    return count;
}

void hr_feed_get_stats(hr_feed *feed, hr_feed_stats *out, size_t out_bytes)
{
    hr_feed_stats now;
    hr__delay_print(&feed->delay, &now);
    hr__stats_copy(out, out_bytes, &now, sizeof now);
}

const hr_schema *hr_feed_schema(const hr_feed *feed)
{
    return hr__port_schema(feed->end->port);
}
