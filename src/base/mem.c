// SPDX-License-Identifier: Apache-2.0
// The heap's only door.
//
// Everything else asks here, so that three things hold everywhere: a refused allocation is an error with a size in it,
// a size that went wrong is refused before the system is asked, and a test can make any single allocation fail.
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// No allocation of this project comes near a tebibyte: what asks for more is a size gone wrong.
#define ALLOC_BYTES_MAX ((size_t)1 << 40)

static _Atomic uint64_t allocations_made;
static _Atomic uint64_t allocation_to_fail; // 0: none

uint64_t hr__mem_fail_after(uint64_t n)
{
    // Relaxed: tests set this while nothing else runs; the count is a count.
    atomic_store_explicit(&allocation_to_fail, 0, memory_order_relaxed);
    uint64_t made = atomic_exchange_explicit(&allocations_made, 0, memory_order_relaxed);
    atomic_store_explicit(&allocation_to_fail, n, memory_order_relaxed);
    return made;
}

// Counts one allocation; false when it must fail.
static bool may_allocate(size_t bytes)
{
    uint64_t index = atomic_fetch_add_explicit(&allocations_made, 1, memory_order_relaxed) + 1;
    uint64_t fail = atomic_load_explicit(&allocation_to_fail, memory_order_relaxed);
    return HR_LIKELY(index != fail) && bytes <= ALLOC_BYTES_MAX;
}

static HR_COLD hr_status refused(size_t bytes, hr_error *err)
{
    return HR_FAIL(err, HR_NOMEM, "out of memory: %zu bytes were refused", bytes);
}

static hr_status hand_out(void *memory, size_t bytes, void *out, hr_error *err)
{
    if (HR_UNLIKELY(!memory))
        return refused(bytes, err);
    memcpy(out, &memory, sizeof memory);
    return HR_OK;
}

hr_status hr__alloc(size_t bytes, void *out, hr_error *err)
{
    return hand_out(may_allocate(bytes) ? malloc(bytes ? bytes : 1) : NULL, bytes, out, err);
}

hr_status hr__alloc_zero(size_t count, size_t each, void *out, hr_error *err)
{
    size_t bytes;
    if (HR_MUL_OVERFLOWS(count, each, &bytes))
        return HR_FAIL(err, HR_NOMEM, "out of memory: %zu times %zu bytes were asked", count, each);
    return hand_out(may_allocate(bytes) ? calloc(bytes ? bytes : 1, 1) : NULL, bytes, out, err);
}

hr_status hr__alloc_aligned(size_t bytes, size_t align, void *out, hr_error *err)
{
    HR_ASSERT(align && (align & (align - 1)) == 0);
    void *memory = NULL;
    if (may_allocate(bytes) &&
        posix_memalign(&memory, HR_MAX(align, sizeof(void *)), bytes ? bytes : 1) != 0)
        memory = NULL;
    return hand_out(memory, bytes, out, err);
}

hr_status hr__realloc(void *inout, size_t bytes, hr_error *err)
{
    void *old, *grown = NULL;
    memcpy(&old, inout, sizeof old);
    if (may_allocate(bytes))
        grown = realloc(old, bytes ? bytes : 1);
    return hand_out(grown, bytes, inout, err);
}

hr_status hr__strdup(const char *text, char **out, hr_error *err)
{
    return hr__strndup(text, strlen(text), out, err);
}

hr_status hr__strndup(const char *text, size_t bytes, char **out, hr_error *err)
{
    char *copy = NULL;
    HR_TRY(hr__alloc(bytes + 1, &copy, err));
    if (bytes)
        memcpy(copy, text, bytes);
    copy[bytes] = 0;
    *out = copy;
    return HR_OK;
}

void hr__free(void *p)
{
    free(p);
}
