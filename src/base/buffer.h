// SPDX-License-Identifier: Apache-2.0
// Counted bytes. Immutable once shared; the count is atomic.
#ifndef HR_BASE_BUFFER_H
#define HR_BASE_BUFFER_H

#include "base/mem.h"

typedef struct hr_buffer {
    _Atomic uint32_t refs;
    const uint8_t *data;
    size_t bytes;
} hr_buffer;

// 64-aligned, padded, zero tail.
HR_USE_RESULT hr_status hr__buffer_alloc(size_t bytes, hr_buffer **out, hr_error *err);
hr_buffer *hr__buffer_ref(hr_buffer *buffer); // returns it; NULL is fine
void hr__buffer_unref(hr_buffer **buffer);

#endif
