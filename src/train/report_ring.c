// SPDX-License-Identifier: Apache-2.0
#include "train/report_ring.h"

#include "base/mem.h"
#include "base/os.h"
#include <stdatomic.h>
#include <string.h>

#define RING_MAGIC   0x52505248u // "HRPR"
#define RING_VERSION 1u
#define RING_SLOTS   8u
#define SLOT_BYTES   32768u
#define SLOTS_AT     4096u
#define RING_BYTES   (SLOTS_AT + RING_SLOTS * SLOT_BYTES)

enum { SLOT_EMPTY, SLOT_WRITING, SLOT_READY, SLOT_READING };

typedef struct ring_header {
    uint32_t magic, version, slots, slot_bytes;
    uint8_t pad[48];
    _Atomic uint64_t written, replaced;
} ring_header;
static_assert(sizeof(ring_header) == 80, "part of what two processes share");

typedef struct ring_slot {
    _Atomic uint32_t state;
    uint32_t bytes;
    uint8_t pad[56];
    char text[SLOT_BYTES - 64];
} ring_slot;
static_assert(sizeof(ring_slot) == SLOT_BYTES, "part of what two processes share");

struct hr_report_ring {
    ring_header *header;
    uint32_t next; // slot to write or to read
};

static ring_slot *slot_at(const hr_report_ring *ring, uint32_t index)
{
    return (ring_slot *)(void *)((uint8_t *)ring->header + SLOTS_AT) + index % RING_SLOTS;
}

static hr_status map_ring(int fd, hr_report_ring **out, hr_error *err)
{
    hr_report_ring *ring = NULL;
    void *memory = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *ring, &ring, err));
    hr_status status = hr__map_fd(fd, 0, RING_BYTES, HR_MAP_WRITE, &memory, err);
    if (status != HR_OK) {
        hr__free(ring);
        return status;
    }
    ring->header = memory;
    *out = ring;
    return HR_OK;
}

hr_status hr__report_ring_make(hr_report_ring **out, int *fd_out, hr_error *err)
{
    int fd = -1;
    HR_TRY(hr__memfd("headrace-reports", RING_BYTES, &fd, err));
    hr_status status = map_ring(fd, out, err);
    if (status != HR_OK) {
        hr__close_fd(&fd);
        return status;
    }
    ring_header *header = (*out)->header;
    header->magic = RING_MAGIC;
    header->version = RING_VERSION;
    header->slots = RING_SLOTS;
    header->slot_bytes = SLOT_BYTES;
    *fd_out = fd;
    return HR_OK;
}

hr_status hr__report_ring_attach(int fd, hr_report_ring **out, hr_error *err)
{
    hr_report_ring *ring = NULL;
    HR_TRY(map_ring(fd, &ring, err));
    const ring_header *header = ring->header;
    if (header->magic != RING_MAGIC || header->version != RING_VERSION ||
        header->slots != RING_SLOTS || header->slot_bytes != SLOT_BYTES) {
        hr__report_ring_close(&ring);
        return HR_FAIL(err, HR_UNSUPPORTED,
                       "this worker speaks version %u of reports and its trainer another: use one "
                       "release of headrace for both",
                       RING_VERSION);
    }
    *out = ring;
    return HR_OK;
}

void hr__report_ring_close(hr_report_ring **ring_inout)
{
    hr_report_ring *ring = *ring_inout;
    *ring_inout = NULL;
    if (!ring)
        return;
    hr__unmap(ring->header, RING_BYTES);
    hr__free(ring);
}

static bool move_state(ring_slot *slot, uint32_t from, uint32_t to)
{
    // Acquire and release: the text belongs to whoever moved the state last.
    return atomic_compare_exchange_strong_explicit(&slot->state, &from, to, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

// A slot to write in: the next one when it is empty, else the newest that was not read.
static ring_slot *claim(hr_report_ring *ring)
{
    for (;;) {
        ring_slot *slot = slot_at(ring, ring->next);
        if (move_state(slot, SLOT_EMPTY, SLOT_WRITING)) {
            ring->next++;
            return slot;
        }
        slot = slot_at(ring, ring->next - 1);
        if (move_state(slot, SLOT_READY, SLOT_WRITING)) {
            atomic_fetch_add_explicit(&ring->header->replaced, 1, memory_order_relaxed);
            return slot;
        }
        // The reader has reached even the newest, so that the next one is empty or about to be.
    }
}

hr_status hr__report_ring_write(hr_report_ring *ring, const char *text, hr_error *err)
{
    size_t bytes = strlen(text);
    if (bytes > HR_REPORT_BYTES_MAX)
        return HR_FAIL(err, HR_INVALID,
                       "a report of %zu bytes; %u are allowed: report numbers, and "
                       "keep what is large in a checkpoint",
                       bytes, HR_REPORT_BYTES_MAX);
    ring_slot *slot = claim(ring);
    memcpy(slot->text, text, bytes);
    slot->bytes = (uint32_t)bytes;
    atomic_store_explicit(&slot->state, SLOT_READY, memory_order_release);
    atomic_fetch_add_explicit(&ring->header->written, 1, memory_order_relaxed);
    return HR_OK;
}

bool hr__report_ring_read(hr_report_ring *ring, char *to)
{
    ring_slot *slot = slot_at(ring, ring->next);
    if (!move_state(slot, SLOT_READY, SLOT_READING))
        return false;
    uint32_t bytes = HR_MIN(slot->bytes, HR_REPORT_BYTES_MAX);
    memcpy(to, slot->text, bytes);
    to[bytes] = '\0';
    ring->next++;
    atomic_store_explicit(&slot->state, SLOT_EMPTY, memory_order_release);
    return true;
}

uint64_t hr__report_ring_written(const hr_report_ring *ring)
{
    return atomic_load_explicit(&ring->header->written, memory_order_relaxed);
}

uint64_t hr__report_ring_replaced(const hr_report_ring *ring)
{
    return atomic_load_explicit(&ring->header->replaced, memory_order_relaxed);
}
