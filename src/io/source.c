// SPDX-License-Identifier: Apache-2.0
// What all sources share: reference count, name, and the check that a range lies inside.
#include "io/source.h"
#include "base/mem.h"
#include "base/stats.h"
#include <inttypes.h>
#include <stdatomic.h>

hr_status hr__source_make(size_t struct_bytes, const hr_source_ops *ops, const char *name,
                          void *out, hr_error *err)
{
    hr_source *source = NULL;
    HR_TRY(hr__alloc_zero(1, struct_bytes, &source, err));
    hr_status status = hr__strdup(name, &source->name, err);
    if (status) {
        hr__free(source);
        return status;
    }
    source->ops = ops;
    atomic_init(&source->refs, 1);
    *(hr_source **)out = source;
    return HR_OK;
}

hr_status hr__source_open(const char *uri, hr_source **out, hr_error *err)
{
    const hr_scheme *scheme = NULL;
    const char *rest = NULL;
    HR_TRY(hr__uri_split(uri, &scheme, &rest, err));
    return scheme->open(rest, uri, out, err);
}

hr_status hr__source_read(hr_source *source, uint64_t offset, size_t bytes, void *to, hr_error *err)
{
    if (offset > source->bytes || bytes > source->bytes - offset)
        return HR_FAIL(err, HR_CORRUPT,
                       "%s: truncated: bytes %" PRIu64 " to %" PRIu64
                       " are asked for, there are %" PRIu64,
                       source->name, offset, offset + bytes, source->bytes);
    if (bytes == 0)
        return HR_OK;
    hr__busy_count_read(bytes);
    atomic_fetch_add_explicit(&source->read_bytes, bytes, memory_order_relaxed); // a figure
    return source->ops->read(source, offset, bytes, to, err);
}

void hr__source_will_need(hr_source *source, uint64_t offset, uint64_t bytes)
{
    if (source->ops->will_need && offset < source->bytes)
        source->ops->will_need(source, offset, HR_MIN(bytes, source->bytes - offset));
}

hr_source *hr__source_ref(hr_source *source)
{
    // Relaxed: whoever copies a reference already holds one.
    if (source)
        atomic_fetch_add_explicit(&source->refs, 1, memory_order_relaxed);
    return source;
}

void hr__source_unref(hr_source **source)
{
    hr_source *last = *source;
    *source = NULL;
    // Release, then acquire by the last one: what others did to the source is seen before it goes.
    if (!last || atomic_fetch_sub_explicit(&last->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (last->ops->close)
        last->ops->close(last);
    hr__free(last->name);
    hr__free(last);
}
