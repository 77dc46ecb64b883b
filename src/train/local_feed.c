// SPDX-License-Identifier: Apache-2.0
// A stream's ends in the process that runs it. They stand here and not in feed/, which knows no streams.
//
// The stream stops when its reader closes the feed; the runtime stays until the reader's last batch is gone.
#include "feed/feed.h"
#include "plan/plan.h"

typedef struct hr_local_end {
    hr_stream *stream; // owned; NULL: the caller's, or closed
    hr_runtime *runtime;
} hr_local_end;

static hr_status end_go_on(void *arg, const hr_position *position, hr_error *err)
{
    const hr_local_end *end = arg;
    return hr__stream_go_on(end->stream, position, err);
}

static void end_closed(void *arg)
{
    hr_local_end *end = arg;
    hr_stream_close(&end->stream);
}

static void end_released(void *arg)
{
    hr_local_end *end = arg;
    hr__runtime_unref(&end->runtime);
    hr__free(end);
}

// Takes `owned` (may be NULL), also on failure.
static hr_status open_end(hr_stream *stream, int64_t rank, hr_stream *owned,
                          const hr_feed_options *options, hr_feed **out, hr_error *err)
{
    hr_status status;
    hr_port *port = NULL;
    hr_local_end *end = NULL;
    HR_GO(hr__alloc_zero(1, sizeof *end, &end, err));
    HR_GO(hr__port_open_local(hr__stream_channel(stream, rank), &port, err));
    end->runtime = hr__runtime_ref(hr__stream_runtime(stream));
    end->stream = owned;
    hr_feed_origin origin = {.start = *hr__stream_start(stream),
                             .go_on = owned ? end_go_on : NULL,
                             .closed = end_closed,
                             .released = end_released,
                             .arg = end,
                             .rank = rank};
    status = hr__feed_open_port(port, &origin, options, out, err);
    if (status == HR_OK)
        return HR_OK;
    hr__runtime_unref(&end->runtime);
out:
    hr_stream_close(&owned);
    hr__free(end);
    return status;
}

hr_status hr_feed_open(hr_stream **stream, const hr_feed_options *options, hr_feed **out,
                       hr_error *err)
{
    hr_stream *taken = *stream;
    *stream = NULL;
    int64_t ranks = hr_stream_ranks(taken);
    if (ranks != 1) {
        hr_stream_close(&taken);
        return HR_FAIL(err, HR_INVALID,
                       "this stream has %lld ranks: open each end with hr_feed_open_rank",
                       (long long)ranks);
    }
    return open_end(taken, 0, taken, options, out, err);
}

hr_status hr_feed_open_rank(hr_stream *stream, int64_t rank, const hr_feed_options *options,
                            hr_feed **out, hr_error *err)
{
    if (rank < 0 || rank >= hr_stream_ranks(stream))
        return HR_FAIL(err, HR_INVALID, "rank %lld of a stream of %lld ranks", (long long)rank,
                       (long long)hr_stream_ranks(stream));
    return open_end(stream, rank, NULL, options, out, err);
}
