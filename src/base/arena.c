// SPDX-License-Identifier: Apache-2.0
// Bump memory for metadata that dies together.
//
// Chunks double from 4 KiB to 256 KiB, so a small footer costs little and a large one few calls. The ceiling counts
// whole chunks: it is what a hostile file can make us allocate, not what it can make us use.
#include "base/arena.h"

#include <string.h>

#define FIRST_CHUNK_BYTES ((size_t)4 << 10)
#define CHUNK_BYTES_MAX   ((size_t)256 << 10)
#define ITEM_ALIGN        16

struct hr_bump_chunk {
    struct hr_bump_chunk *next;
    size_t bytes; // behind this head
};
static_assert(sizeof(struct hr_bump_chunk) % ITEM_ALIGN == 0, "items begin aligned");

void hr__bump_init(hr_bump *bump, size_t total_bytes_max)
{
    *bump = (hr_bump){.total_bytes_max = total_bytes_max};
}

void hr__bump_finish(hr_bump *bump)
{
    struct hr_bump_chunk *chunk = bump->chunks;
    while (chunk) {
        struct hr_bump_chunk *next = chunk->next;
        hr__free(chunk);
        chunk = next;
    }
    *bump = (hr_bump){.total_bytes_max = bump->total_bytes_max};
}

// A new chunk of at least `bytes`.
static hr_status grow(hr_bump *bump, size_t bytes, hr_error *err)
{
    const size_t head = sizeof(struct hr_bump_chunk);
    size_t left = bump->total_bytes_max - bump->total_bytes;
    size_t wish = bump->chunks ? (bump->chunks->bytes + head) * 2 : FIRST_CHUNK_BYTES;
    if (left < head || bytes > left - head)
        return HR_FAIL(err, HR_LIMIT,
                       "metadata of more than %zu bytes: %zu are in use and %zu more are needed",
                       bump->total_bytes_max, bump->total_bytes, bytes);
    wish = HR_MIN(wish, CHUNK_BYTES_MAX);
    wish = HR_MIN(HR_MAX(wish, bytes + head), left);
    struct hr_bump_chunk *chunk = NULL;
    HR_TRY(hr__alloc_zero(1, wish, &chunk, err));
    chunk->next = bump->chunks;
    chunk->bytes = wish - head;
    bump->chunks = chunk;
    bump->used_bytes = 0;
    bump->total_bytes += wish;
    return HR_OK;
}

hr_status hr__bump_alloc(hr_bump *bump, size_t bytes, void *out, hr_error *err)
{
    size_t left = bump->chunks ? bump->chunks->bytes - bump->used_bytes : 0;
    if (!bump->chunks || bytes > left)
        HR_TRY(grow(bump, bytes, err));
    void *item = (char *)(bump->chunks + 1) + bump->used_bytes;
    // A chunk need not end at a multiple of the alignment.
    size_t used = HR_ALIGN_UP(bump->used_bytes + bytes, ITEM_ALIGN);
    bump->used_bytes = HR_MIN(used, bump->chunks->bytes);
    memcpy(out, &item, sizeof item);
    return HR_OK;
}

hr_status hr__bump_array(hr_bump *bump, size_t count, size_t each, void *out, hr_error *err)
{
    size_t bytes;
    if (HR_MUL_OVERFLOWS(count, each, &bytes))
        return HR_FAIL(err, HR_LIMIT, "metadata of %zu items of %zu bytes: at most %zu in all",
                       count, each, bump->total_bytes_max);
    return hr__bump_alloc(bump, bytes, out, err);
}

hr_status hr__bump_text(hr_bump *bump, const char *bytes, size_t count, const char **out,
                        hr_error *err)
{
    char *copy = NULL;
    size_t need;
    if (HR_ADD_OVERFLOWS(count, (size_t)1, &need))
        return HR_FAIL(err, HR_LIMIT, "metadata text of %zu bytes", count);
    HR_TRY(hr__bump_alloc(bump, need, &copy, err));
    if (count)
        memcpy(copy, bytes, count);
    *out = copy;
    return HR_OK;
}
