// SPDX-License-Identifier: Apache-2.0
// Where a new span goes: an object of the arena, scratch memory that is recycled, or the heap.
#ifndef HR_PLAN_PLACE_H
#define HR_PLAN_PLACE_H

#include "plan/plan_internal.h"

typedef struct hr_span_memory {
    hr_target target;
    void *memory;
    size_t bytes;
    hr_object object; // arena
} hr_span_memory;

HR_USE_RESULT hr_status hr__span_take(const hr_target *target, size_t bytes, hr_span_memory *out,
                                      hr_error *err); // HR_AGAIN: arena only
void hr__span_drop(hr_span_memory *span);             // not sealed; nothing taken is fine
// The span was sealed by a builder: it becomes the result, and belongs to it. On failure it is dropped.
HR_USE_RESULT hr_status hr__span_done(hr_span_memory *span, const hr_schema *schema, int64_t rows,
                                      hr_result *out, hr_error *err);

#endif
