// SPDX-License-Identifier: Apache-2.0
// The growth of a function's process: one read of /proc/PID/status a call, tens of us beside the call's own copies.
#include "exec/udf_growth.h"

uint64_t hr__udf_growth_bound(uint64_t budget_bytes, int processes)
{
    return HR_MAX(budget_bytes / 2 / (uint64_t)processes, HR_UDF_GROWTH_BYTES_MIN);
}

void hr__udf_growth_look(hr_udf_growth *growth, pid_t pid, uint64_t segment_bytes)
{
    uint64_t shared, anonymous = hr__resident_bytes(pid, &shared);
    if (anonymous) // 0: it is gone, and what it held last is what is to be told
        growth->held_bytes = anonymous + (shared > segment_bytes ? shared - segment_bytes : 0);
}

bool hr__udf_growth_exceeds(hr_udf_growth *growth, uint64_t bound_bytes)
{
    if (!growth->first_bytes)
        growth->first_bytes = growth->held_bytes;
    return growth->held_bytes > growth->first_bytes + bound_bytes;
}
