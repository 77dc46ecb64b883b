// SPDX-License-Identifier: Apache-2.0
// One program as trainer and as worker: the trainer starts itself again and marks the worker by its own process
// number, so that a trainer that a worker starts in turn is not taken for a worker.
#include "base/log.h"
#include "base/option.h"
#include <headrace/train.h>
#include <stdlib.h>
#include <unistd.h>

int hr_worker_main(hr_worker_loop loop, void *context)
{
    hr_session *session = NULL;
    hr_error err = HR_ERROR_INIT, last = HR_ERROR_INIT;
    const char *parent = hr__env("HEADRACE_WORKER_OF");
    if (!parent || strtoll(parent, NULL, 10) != (long long)getppid())
        return -1;
    hr_status status = hr_session_open(&session, &err);
    if (status != HR_OK) {
        hr__log(HR_LOG_ERROR, "worker: %s", err.message);
        return 1;
    }
    status = loop(session, context, &err);
    if (status == HR_END)
        status = HR_OK; // the end of a feed is no failure
    // When even this cannot be told the trainer is gone, and nobody is left to tell.
    hr_status told =
        hr_session_finish(session, status, status == HR_OK ? NULL : err.message, NULL, 0, &last);
    hr_session_close(&session);
    return status == HR_OK && told == HR_OK ? 0 : 1;
}
