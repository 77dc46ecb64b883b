// SPDX-License-Identifier: Apache-2.0
// Counted bytes, behind their head in one allocation.
#include "base/buffer.h"

#include <stdatomic.h>
#include <string.h>

#define HEAD_BYTES HR_ALIGN_UP(sizeof(hr_buffer), HR_ALIGN)

hr_status hr__buffer_alloc(size_t bytes, hr_buffer **out, hr_error *err)
{
    size_t need;
    hr_buffer *buffer = NULL;
    if (HR_ADD_OVERFLOWS(bytes, HEAD_BYTES + 2 * HR_ALIGN, &need))
        return HR_FAIL(err, HR_NOMEM, "out of memory: a buffer of %zu bytes", bytes);
    size_t padded = HR_MAX(HR_ALIGN_UP(bytes, HR_ALIGN), (size_t)HR_ALIGN);
    HR_TRY(hr__alloc_aligned(HEAD_BYTES + padded, HR_ALIGN, &buffer, err));
    uint8_t *data = (uint8_t *)buffer + HEAD_BYTES;
    memset(data + bytes, 0, padded - bytes);
    *buffer = (hr_buffer){.data = data, .bytes = bytes};
    atomic_init(&buffer->refs, 1);
    *out = buffer;
    return HR_OK;
}

hr_buffer *hr__buffer_ref(hr_buffer *buffer)
{
    // Relaxed: who has a reference already sees the buffer.
    if (buffer)
        atomic_fetch_add_explicit(&buffer->refs, 1, memory_order_relaxed);
    return buffer;
}

void hr__buffer_unref(hr_buffer **buffer)
{
    hr_buffer *b = *buffer;
    *buffer = NULL;
    // Release what this owner did with the bytes; the last one acquires what all did before it frees them.
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
        hr__free(b);
}
