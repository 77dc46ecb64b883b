// SPDX-License-Identifier: Apache-2.0
// How much memory a function's process holds beyond what it held after its first call. A process that grew by more than
// its bound leaks, for all that can be known, and is replaced between two calls.
//
// All processes of a function together may grow by half the runtime's budget, each by 64 MiB at least. What a process
// holds after its first call is not judged: interpreters, modules and models are as large as they are.
#ifndef HR_EXEC_UDF_GROWTH_H
#define HR_EXEC_UDF_GROWTH_H

#include "base/os.h"

#define HR_UDF_GROWTH_BYTES_MIN ((uint64_t)64 << 20)

typedef struct hr_udf_growth {
    uint64_t first_bytes; // after its first call; 0: it had none
    uint64_t held_bytes;  // when last looked at; 0: never, or the system does not tell
} hr_udf_growth;

uint64_t hr__udf_growth_bound(uint64_t budget_bytes, int processes);
// Looks at the process, whatever it is at. segment_bytes: of the segments that it has mapped for us, which do not
// count; inputs that its function keeps do.
void hr__udf_growth_look(hr_udf_growth *growth, pid_t pid, uint64_t segment_bytes);
// After a call, and a look: whether the process is to be replaced.
bool hr__udf_growth_exceeds(hr_udf_growth *growth, uint64_t bound_bytes);

#endif
