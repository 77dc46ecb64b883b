// SPDX-License-Identifier: Apache-2.0
// For unit tests of the executor and of who builds on it: a small runtime that cannot spill.
#ifndef HR_EXEC_EXEC_SAMPLE_H
#define HR_EXEC_EXEC_SAMPLE_H

#include "base/unit.h"
#include "exec/exec.h"

static inline hr_runtime *sample_runtime(int threads, int64_t memory_mib)
{
    hr_runtime_options o = HR_RUNTIME_OPTIONS_INIT;
    hr_runtime *rt = NULL;
    hr_error err = HR_ERROR_INIT;
    o.memory_bytes = memory_mib << 20;
    o.threads = threads;
    o.spill_dir = "none";
    assert_ok(hr_runtime_open(&o, &rt, &err), &err);
    return rt;
}

#endif
