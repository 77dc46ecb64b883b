// SPDX-License-Identifier: Apache-2.0
// The room's door: a feed over a port, whoever stands behind it. What users see is headrace/feed.h.
//
// A feed knows ports and nothing above them: no plan, no task, no file. So a worker process needs this room, the
// store's reading half and no more. Opening a stream in the same process is the train room's (local_feed.c).
#ifndef HR_FEED_FEED_H
#define HR_FEED_FEED_H

#include "base/option.h"
#include "base/stats.h"
#include "store/store.h"
#include <headrace/feed.h>

extern const hr_option_table hr__feed_options;

// Where a port leads.
typedef struct hr_feed_origin {
    hr_position start; // of the stream's first batch; what it says of data and order holds for all
    // The stream has not begun: it is to begin there. UNSUPPORTED: it has. May be NULL: it cannot.
    hr_status (*go_on)(void *arg, const hr_position *position, hr_error *err);
    // Called once by hr_feed_close: the reader wants no more (stop the stream). May be NULL.
    void (*closed)(void *arg);
    // Called once when the port was closed: the feed and its last batch are gone. May be NULL; any thread.
    void (*released)(void *arg);
    void *arg;
    int64_t rank;
} hr_feed_origin;

// Takes the port, also on failure (then neither callback is called).
HR_USE_RESULT hr_status hr__feed_open_port(hr_port *port, const hr_feed_origin *origin,
                                           const hr_feed_options *options, hr_feed **out,
                                           hr_error *err);

#endif
