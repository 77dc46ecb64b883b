// SPDX-License-Identifier: Apache-2.0
// Bump memory for metadata that dies together (a footer, a plan): freed at once, with a ceiling. Caller-serialised.
#ifndef HR_BASE_ARENA_H
#define HR_BASE_ARENA_H

#include "base/mem.h"

typedef struct hr_bump {
    struct hr_bump_chunk *chunks;
    size_t used_bytes;      // of the newest chunk
    size_t total_bytes;     // over all chunks
    size_t total_bytes_max; // the ceiling: past it HR_LIMIT
} hr_bump;

void hr__bump_init(hr_bump *bump, size_t total_bytes_max);
void hr__bump_finish(hr_bump *bump);
HR_USE_RESULT hr_status hr__bump_alloc(hr_bump *bump, size_t bytes, void *out,
                                       hr_error *err); // zeroed, 16-aligned
HR_USE_RESULT hr_status hr__bump_array(hr_bump *bump, size_t count, size_t each, void *out,
                                       hr_error *err);
HR_USE_RESULT hr_status hr__bump_text(hr_bump *bump, const char *bytes, size_t count,
                                      const char **out, hr_error *err);

#endif
