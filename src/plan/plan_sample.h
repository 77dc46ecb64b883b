// SPDX-License-Identifier: Apache-2.0
// For unit tests of plans: a runtime, a range, the batches of a stream at its channel, and allocations that fail in
// turn while a runtime's threads work.
#ifndef HR_PLAN_PLAN_SAMPLE_H
#define HR_PLAN_PLAN_SAMPLE_H

#include "base/unit.h"
#include "plan/plan_internal.h"

static inline hr_runtime *sample_runtime(int threads)
{
    hr_runtime_options o = HR_RUNTIME_OPTIONS_INIT;
    hr_runtime *rt = NULL;
    hr_error err = HR_ERROR_INIT;
    o.memory_bytes = 32 << 20;
    o.threads = threads;
    assert_ok(hr_runtime_open(&o, &rt, &err), &err);
    return rt;
}

static inline hr_dataset *sample_range(hr_runtime *rt, int64_t rows, int64_t blocks)
{
    hr_dataset *d = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_range(rt, rows, blocks, &d, &err), &err);
    return d;
}

// A stream of one reader and its end.
static inline hr_status sample_open(const hr_dataset *d, const hr_stream_options *o,
                                    hr_stream **stream, hr_port **port, hr_error *err)
{
    HR_TRY(hr_dataset_stream(d, o, stream, err));
    return hr__port_open_local(hr__stream_channel(*stream, 0), port, err);
}

// Takes batches, `most` at most, while there are fewer than rows_max rows; adds to rows. HR_END when the stream ended.
static inline hr_status sample_pull(hr_port *port, int64_t most, int64_t rows_max, int64_t *rows,
                                    hr_error *err)
{
    for (int64_t n = 0; n < most && *rows < rows_max;) {
        hr_lease lease;
        HR_TRY(hr__port_next(port, UNIT_WAIT_NS, &lease, err));
        if (lease.descriptor.kind != HR_DESCRIPTOR_BATCH)
            continue;
        *rows += lease.descriptor.rows;
        hr__port_release(port, &lease);
        n++;
    }
    return HR_OK;
}

// Opens a stream, takes batches until there are rows_max rows or no more, and closes it.
static inline hr_status sample_read(const hr_dataset *d, const hr_stream_options *o,
                                    int64_t rows_max, int64_t *rows, hr_error *err)
{
    hr_stream *s = NULL;
    hr_port *port = NULL;
    hr_status status = sample_open(d, o, &s, &port, err);
    if (status == HR_OK)
        status = sample_pull(port, INT64_MAX, rows_max, rows, err);
    hr__port_close(&port);
    hr_stream_close(&s);
    return status == HR_END ? HR_OK : status;
}

// run() with each of the first `most` allocations failing in turn. What was refused may have been a hint, so a run may
// succeed; one that fails is NOMEM, in words, and nothing stays behind. Returns how many failed.
static inline int sample_torture(hr_runtime *rt, hr_status (*run)(hr_runtime *rt, hr_error *err),
                                 unsigned most)
{
    hr_error err = HR_ERROR_INIT;
    hr_memory_stats before, after;
    int failed = 0;
    assert_ok(run(rt, &err), &err);
    hr_runtime_memory(rt, &before, sizeof before);
    for (unsigned n = 1; n <= most; n++) {
        err = (hr_error)HR_ERROR_INIT;
        hr__mem_fail_after(n);
        hr_status status = run(rt, &err);
        hr__mem_fail_after(0);
        if (status == HR_OK)
            continue;
        failed++;
        if (status != HR_NOMEM || err.status != HR_NOMEM || !err.message[0])
            fail_msg("allocation %u: %s (%s): '%s'", n, hr_status_name(status),
                     hr_status_name(err.status), err.message);
    }
    assert_ok(run(rt, &err), &err);
    hr_runtime_memory(rt, &after, sizeof after);
    assert_int_equal(after.object_count, before.object_count);
    return failed;
}

#endif
