// SPDX-License-Identifier: Apache-2.0
// Where the reader's time goes: waiting in hr_feed_next, or its own between two calls.
//
// A delay is the guide's: from the moment the reader has finished a batch (it asks for the next) to the moment it has
// the next. The wait for an epoch's end is no batch's delay, but it is waiting.
#include "feed/feed_parts.h"

#include "base/os.h"

void hr__delay_init(hr_delay *delay)
{
    *delay = (hr_delay){.opened_ns = hr__now_ns()};
}

uint64_t hr__delay_enter(hr_delay *delay)
{
    uint64_t now = hr__now_ns();
    if (delay->left_ns != 0)
        delay->own_s += (double)(now - delay->left_ns) * 1e-9;
    return now;
}

void hr__delay_leave(hr_delay *delay, uint64_t entered_ns, uint64_t before_ns, bool batch)
{
    uint64_t now = hr__now_ns();
    double waited = (double)(now - entered_ns) * 1e-9;
    delay->left_ns = now;
    delay->wait_s += waited;
    if (!batch)
        return;
    if (delay->batches == 0)
        delay->first_batch_s = (double)(now - delay->opened_ns) * 1e-9;
    delay->batches++;
    hr__samples_add(&delay->waits, waited + (double)before_ns * 1e-9);
}

void hr__delay_print(hr_delay *delay, hr_feed_stats *out)
{
    *out = (hr_feed_stats){
        .batches = delay->batches,
        .rows = delay->rows,
        .bytes = delay->bytes,
        .epochs = delay->epochs,
        .delay_p50_s = hr__samples_quantile(&delay->waits, 0.50),
        .delay_p95_s = hr__samples_quantile(&delay->waits, 0.95),
        .delay_max_s = delay->waits.max,
        .wait_s = delay->wait_s,
        .own_s = delay->own_s,
        .first_batch_s = delay->first_batch_s,
        .copied_batches = delay->copied_batches,
        .copied_bytes = delay->copied_bytes,
    };
}

void hr__delay_finish(hr_delay *delay)
{
    hr__samples_finish(&delay->waits);
}
