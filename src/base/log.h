// SPDX-License-Identifier: Apache-2.0
// The library logs only what has no caller. Lower case, one line. Trace by topic: HEADRACE_TRACE=sched,store.
#ifndef HR_BASE_LOG_H
#define HR_BASE_LOG_H

#include "base/error.h"

typedef enum hr_topic {
    HR_TOPIC_SCHED = 1,
    HR_TOPIC_STORE = 2,
    HR_TOPIC_SPILL = 4,
    HR_TOPIC_PLAN = 8,
    HR_TOPIC_FEED = 16,
    HR_TOPIC_WORKER = 32,
    HR_TOPIC_IO = 64
} hr_topic;
void hr__log(hr_log_level level, const char *format, ...) HR_PRINTF(2, 3);
bool hr__trace_on(hr_topic topic);
void hr__trace(hr_topic topic, const char *format, ...)
    HR_PRINTF(2, 3); // call under hr__trace_on where it is hot

#endif
