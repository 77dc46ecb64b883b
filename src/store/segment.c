// SPDX-License-Identifier: Apache-2.0
// The memfd of the arena and who maps what of it.
//
//   file:  [ segment 0 ][4K][ segment 1 ][4K] ... sparse up to room_bytes
//
// One file for the store's whole life; it is mapped piece by piece, as extents ask for fresh address space, so that
// a process with a small `ulimit -v` maps what it uses. A piece that cannot be mapped is tried at half the size.
// The page between two segments keeps free ranges from joining across them. Readers learn the segment of an extent
// with each descriptor and map it when first met; their descriptor of the file is read-only.
#include "store/store_priv.h"

#include "base/os.h"

#include <fcntl.h>
#include <stdio.h>

#define SEGMENT_BYTES_MIN ((uint64_t)16 << 20)
#define ROOM_FACTOR                                                                                \
    64 // classes never join: space for the worst mix of sizes that was met, many times over

hr_status hr__arena_open(hr_arena *arena, uint64_t resident_bytes_max, hr_error *err)
{
    hr_memory_info info;
    hr__memory_info(&info);
    uint64_t least = hr__page_up(resident_bytes_max) + 2 * SEGMENT_BYTES_MIN, room;
    arena->fd = arena->read_fd = -1;
    if (HR_MUL_OVERFLOWS(resident_bytes_max, (uint64_t)ROOM_FACTOR, &room) || room > INT64_MAX / 2)
        room = INT64_MAX / 2;
    if (info.address_space_bytes != UINT64_MAX)
        room = HR_MIN(room, info.address_space_bytes);
    arena->room_bytes = hr__page_up(HR_MAX(room, least));
    arena->segment_bytes = HR_ALIGN_UP(resident_bytes_max, SEGMENT_BYTES_MIN);
    arena->segment_bytes = HR_MIN(arena->segment_bytes, HR_SEGMENT_BYTES_MAX);
    HR_TRY(hr__memfd("headrace-arena", arena->room_bytes, &arena->fd, err));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", arena->fd);
    hr_status status = hr__open_file(path, O_RDONLY | O_CLOEXEC, 0, &arena->read_fd, err);
    if (status)
        hr__close_fd(&arena->fd);
    return status;
}

void hr__arena_close(hr_arena *arena)
{
    for (size_t i = 0; i < arena->segments.count; i++)
        hr__unmap(arena->segments.items[i].memory, arena->segments.items[i].bytes);
    HR_VEC_FINISH(&arena->segments);
    hr__close_fd(&arena->fd);
    hr__close_fd(&arena->read_fd);
}

hr_status hr__arena_grow(hr_arena *arena, uint64_t bytes, hr_error *err)
{
    uint64_t want = HR_MAX(arena->segment_bytes, bytes);
    HR_TRY(HR_VEC_RESERVE(&arena->segments, 1, err));
    for (;;) {
        void *memory = NULL;
        hr_status status = HR_LIMIT;
        want = HR_MIN(want, arena->room_bytes - HR_MIN(arena->room_bytes, arena->next_offset));
        if (want >= bytes)
            status = hr__map_fd(arena->fd, arena->next_offset, want, HR_MAP_WRITE, &memory, NULL);
        if (status == HR_OK) {
            arena->segments.items[arena->segments.count++] =
                (hr_segment){arena->next_offset, want, memory, 0};
            arena->next_offset += want + HR_EXTENT_BYTES_MIN;
            return HR_OK;
        }
        if (want <= bytes)
            return HR_FAIL(err, HR_LIMIT,
                           "store: no address space for %llu more bytes of shared memory (%llu of "
                           "%llu are mapped): raise `ulimit -v`",
                           (unsigned long long)bytes, (unsigned long long)arena->next_offset,
                           (unsigned long long)arena->room_bytes);
        want = HR_MAX(bytes, hr__page_up(want / 2));
        arena->segment_bytes = HR_MIN(arena->segment_bytes, HR_MAX(want, SEGMENT_BYTES_MIN));
    }
}

const hr_segment *hr__arena_find(const hr_arena *arena, uint64_t offset)
{
    size_t low = 0, high = arena->segments.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (arena->segments.items[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    HR_ASSERT(low > 0);
    return &arena->segments.items[low - 1];
}

void hr__reader_init(hr_reader *reader, int fd)
{
    *reader = (hr_reader){.fd = fd};
    hr__mutex_init(&reader->lock);
}

void hr__reader_finish(hr_reader *reader)
{
    for (size_t i = 0; i < reader->segments.count; i++) {
        hr_reader_segment *s = &reader->segments.items[i];
        if (s->shared)
            hr__unmap(s->shared, s->bytes);
        if (s->private_)
            hr__unmap(s->private_, s->bytes);
    }
    HR_VEC_FINISH(&reader->segments);
    HR_VEC_FINISH(&reader->claims);
    hr__mutex_finish(&reader->lock);
}

static hr_status reader_segment(hr_reader *reader, const hr_range *want, hr_reader_segment **out,
                                hr_error *err)
{
    // Newest first: batches come from where the last one came from.
    for (size_t i = reader->segments.count; i-- > 0;) {
        hr_reader_segment *s = &reader->segments.items[i];
        if (s->offset == want->offset && s->bytes == want->bytes) {
            *out = s;
            return HR_OK;
        }
    }
    hr_reader_segment fresh = {want->offset, want->bytes, NULL, NULL};
    HR_TRY(HR_VEC_PUSH(&reader->segments, fresh, err));
    *out = &reader->segments.items[reader->segments.count - 1];
    return HR_OK;
}

// reader->lock is held
static hr_status map_at(hr_reader *reader, const hr_range *segment, const hr_range *span,
                        bool writable, uint8_t **out, hr_error *err)
{
    uint64_t offset = span->offset, bytes = span->bytes;
    if (offset < segment->offset || offset - segment->offset > segment->bytes ||
        bytes > segment->bytes - (offset - segment->offset))
        return HR_FAIL(err, HR_CORRUPT,
                       "stream: %llu bytes at offset %llu lie outside of their segment of %llu "
                       "bytes at %llu",
                       (unsigned long long)bytes, (unsigned long long)offset,
                       (unsigned long long)segment->bytes, (unsigned long long)segment->offset);
    hr_reader_segment *s = NULL;
    HR_TRY(reader_segment(reader, segment, &s, err));
    uint8_t **memory = writable ? &s->private_ : &s->shared;
    void *mapped = NULL;
    if (!*memory) {
        HR_TRY(hr__map_fd(reader->fd, s->offset, s->bytes, writable ? HR_MAP_PRIVATE : HR_MAP_READ,
                          &mapped, err));
        *memory = mapped;
    }
    *out = *memory + (offset - s->offset);
    return HR_OK;
}

hr_status hr__reader_at(hr_reader *reader, const hr_range *segment, uint64_t offset, uint64_t bytes,
                        uint8_t **out, hr_error *err)
{
    const hr_range span = {offset, bytes};
    hr__mutex_lock(&reader->lock);
    hr_status status = map_at(reader, segment, &span, false, out, err);
    hr__mutex_unlock(&reader->lock);
    return status;
}

static hr_reader_claim *find_claim(hr_reader *reader, uint64_t offset)
{
    for (size_t i = reader->claims.count; i-- > 0;)
        if (reader->claims.items[i].offset == offset)
            return &reader->claims.items[i];
    return NULL;
}

// reader->lock is held
static hr_status claim_rows(hr_reader *reader, const hr_range *segment, const hr_range *span,
                            int64_t first_row, int64_t end_row, uint8_t **out, hr_error *err)
{
    uint8_t *memory = NULL;
    hr_reader_claim *claim = find_claim(reader, span->offset);
    if (claim && first_row < claim->rows_end) {
        *out = NULL;
        return HR_OK;
    }
    HR_TRY(map_at(reader, segment, span, true, &memory, err));
    if (!claim) {
        const hr_reader_claim fresh = {.offset = span->offset, .bytes = span->bytes};
        HR_TRY(HR_VEC_PUSH(&reader->claims, fresh, err));
        claim = &reader->claims.items[reader->claims.count - 1];
    }
    claim->count++;
    claim->rows_end = end_row;
    *out = memory;
    return HR_OK;
}

hr_status hr__reader_claim(hr_reader *reader, const hr_range *segment, const hr_range *span,
                           int64_t first_row, int64_t end_row, uint8_t **out, hr_error *err)
{
    hr__mutex_lock(&reader->lock);
    hr_status status = claim_rows(reader, segment, span, first_row, end_row, out, err);
    hr__mutex_unlock(&reader->lock);
    return status;
}

void hr__reader_unclaim(hr_reader *reader, uint64_t offset, uint8_t *memory)
{
    hr__mutex_lock(&reader->lock);
    hr_reader_claim *claim = find_claim(reader, offset);
    HR_ASSERT(claim && claim->count > 0);
    if (--claim->count == 0) {
        hr__drop_private(memory, hr__page_up(claim->bytes));
        *claim = reader->claims.items[--reader->claims.count];
    }
    hr__mutex_unlock(&reader->lock);
}
