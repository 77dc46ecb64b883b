// SPDX-License-Identifier: Apache-2.0
// Counted bytes with a deallocator: foreign memory (Arrow, NumPy) enters without a copy. Immutable once shared; the
// count is atomic.
#ifndef HR_BASE_BUFFER_H
#define HR_BASE_BUFFER_H

#include "base/mem.h"

typedef struct hr_buffer {
    _Atomic uint32_t refs;
    const uint8_t *data;
    size_t bytes;
    void (*release)(struct hr_buffer *buffer); // frees data; NULL: nothing to free
    void *owner;                               // for release
} hr_buffer;

HR_USE_RESULT hr_status hr__buffer_alloc(size_t bytes, hr_buffer **out,
                                         hr_error *err); // 64-aligned, padded, zero tail
HR_USE_RESULT hr_status hr__buffer_wrap(const void *data, size_t bytes,
                                        void (*release)(hr_buffer *), void *owner, hr_buffer **out,
                                        hr_error *err); // on failure the caller still owns data
hr_buffer *hr__buffer_ref(hr_buffer *buffer);           // returns it; NULL is fine
void hr__buffer_unref(hr_buffer **buffer);

#endif
