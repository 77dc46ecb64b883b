// SPDX-License-Identifier: Apache-2.0
// Bytes at hand as a source: tests, fuzzers, and files that somebody has read already.
#include "io/source.h"
#include <string.h>

typedef struct memory_source {
    hr_source base;
    const uint8_t *data;
} memory_source;

static hr_status memory_read(hr_source *source, uint64_t offset, size_t bytes, void *to,
                             hr_error *err)
{
    memcpy(to, ((memory_source *)source)->data + offset, bytes);
    return HR_OK;
}

static const hr_source_ops memory_ops = {memory_read, NULL, NULL};

hr_status hr__source_memory(const void *bytes, size_t count, const char *name, hr_source **out,
                            hr_error *err)
{
    hr_source *source = NULL;
    HR_TRY(hr__source_make(sizeof(memory_source), &memory_ops, name, &source, err));
    ((memory_source *)source)->data = bytes;
    source->bytes = count;
    *out = source;
    return HR_OK;
}
