// SPDX-License-Identifier: Apache-2.0
// Recycled scratch memory.
//
// The first touch of a fresh page costs some ten times what a copy into a warm one does, so a decoder's buffers are
// kept between pages of a file instead of going back to the system. Buffers come in classes of a quarter of a power of
// two; a free one is found in its own class or in the next few above it, newest first.
//
//     memory from the heap or the system       what the caller gets (64-byte aligned)
//     v                                        v
//     | head: class, guard, next (64 bytes) | bytes asked, rounded up to the class | 64 bytes of slack |
//
// What is kept stays charged to the ledger, up to keep_bytes_max; when new sizes come, the class that was used longest
// ago gives its buffers back first, so the cache follows the work. One mutex guards the lists; the heap and the ledger
// are called outside it where they may take long.
#include "base/ledger.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"

#define FIRST_SHIFT   12 // the smallest class is 4 KiB
#define CLASSES       (4 * 28 + 1)
#define CLASSES_ABOVE 3 // a buffer up to 1.75 times the size asked is taken
#define HEAD_BYTES    64
// Larger ones are pages of their own: what is freed leaves the process, where a heap of many threads would keep it and
// the budget would not be what the process weighs. (With a sanitizer they are the heap's, which it watches.)
#ifdef __SANITIZE_ADDRESS__
#define MAPPED_BYTES_MIN UINT64_MAX
#else
#define MAPPED_BYTES_MIN (UINT64_C(256) << 10)
#endif
#define SLACK_BYTES 64
#define GUARD       UINT32_C(0x5C4A7C11)

typedef struct head {
    uint32_t guard;
    uint32_t class_index;
    struct head *next;
} head;
static_assert(sizeof(head) <= HEAD_BYTES, "the head fits in front of an aligned buffer");

struct hr_scratch {
    hr_ledger *ledger;
    uint64_t keep_bytes_max;
    hr_mutex mutex;
    head *kept[CLASSES];       // guards: mutex
    uint64_t used_at[CLASSES]; // guards: mutex; the clock when the class was last used
    uint64_t clock;            // guards: mutex
    uint64_t kept_bytes;       // guards: mutex
    uint64_t lent_count;       // guards: mutex
    hr_mutex spare_mutex;      // before `mutex`; held while a spare gives
    hr_spare *spares;          // guards: spare_mutex. The one asked last is at the end
};

// Bytes that a buffer of a class holds: 4 KiB times 1, 1.25, 1.5, 1.75, 2, 2.5, ...
static uint64_t class_bytes(unsigned class_index)
{
    return (uint64_t)(4 + class_index % 4) << (FIRST_SHIFT - 2 + class_index / 4);
}

static uint64_t charged_bytes(unsigned class_index)
{
    return class_bytes(class_index) + HEAD_BYTES + SLACK_BYTES;
}

// The smallest class that holds `bytes`; CLASSES when none does.
static unsigned class_of(uint64_t bytes)
{
    unsigned shift = FIRST_SHIFT;
    while (shift < 63 && (UINT64_C(2) << shift) <= bytes)
        shift++;
    unsigned class_index = 4 * (shift - FIRST_SHIFT);
    while (class_index < CLASSES && class_bytes(class_index) < bytes)
        class_index++;
    return class_index;
}

hr_status hr__scratch_open(hr_ledger *ledger, uint64_t keep_bytes_max, hr_scratch **out,
                           hr_error *err)
{
    hr_scratch *scratch = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *scratch, &scratch, err));
    scratch->ledger = ledger;
    scratch->keep_bytes_max = keep_bytes_max;
    hr__mutex_init(&scratch->mutex);
    hr__mutex_init(&scratch->spare_mutex);
    *out = scratch;
    return HR_OK;
}

void hr__scratch_close(hr_scratch **scratch)
{
    hr_scratch *s = *scratch;
    if (!s)
        return;
    HR_ASSERT(s->lent_count == 0 && !s->spares);
    hr__scratch_trim(s);
    hr__mutex_finish(&s->spare_mutex);
    hr__mutex_finish(&s->mutex);
    hr__free(s);
    *scratch = NULL;
}

// Takes a kept buffer off the lists, or NULL. Under the mutex.
static head *pop_kept(hr_scratch *s, unsigned class_index)
{
    for (unsigned i = class_index; i < CLASSES && i <= class_index + CLASSES_ABOVE; i++) {
        head *h = s->kept[i];
        if (!h)
            continue;
        s->kept[i] = h->next;
        s->kept_bytes -= charged_bytes(i);
        s->used_at[i] = ++s->clock;
        return h;
    }
    return NULL;
}

static hr_status alloc_head(unsigned class_index, head **out, hr_error *err)
{
    uint64_t bytes = charged_bytes(class_index);
    void *memory = NULL;
    if (bytes >= MAPPED_BYTES_MIN)
        HR_TRY(hr__map_pages(bytes, &memory, err));
    else
        HR_TRY(hr__alloc_aligned(bytes, HR_ALIGN, &memory, err));
    *out = memory;
    **out = (head){GUARD, class_index, NULL};
    return HR_OK;
}

static void free_head(head *h)
{
    uint64_t bytes = charged_bytes(h->class_index);
    h->guard = 0;
    if (bytes >= MAPPED_BYTES_MIN)
        hr__unmap(h, bytes);
    else
        hr__free(h);
}

// Frees a list of buffers that nobody can see any more; returns the bytes given back.
static uint64_t free_list(hr_scratch *s, head *list)
{
    uint64_t bytes = 0;
    while (list) {
        head *next = list->next;
        bytes += charged_bytes(list->class_index);
        free_head(list);
        list = next;
    }
    if (bytes)
        hr__ledger_uncharge(s->ledger, HR_LEDGER_SCRATCH, bytes);
    return bytes;
}

// Charges a new buffer, for which whatever is kept may go.
static bool charge(hr_scratch *s, uint64_t bytes)
{
    do {
        if (hr__ledger_try_charge(s->ledger, HR_LEDGER_SCRATCH, bytes))
            return true;
    } while (hr__scratch_reclaim(s, bytes));
    return false;
}

static void *lend(head *h)
{
    h->next = NULL;
    return (uint8_t *)h + HEAD_BYTES;
}

hr_status hr__scratch_take(hr_scratch *scratch, size_t bytes, void *out, hr_error *err)
{
    void **result = out;
    unsigned class_index = class_of(bytes);
    if (class_index >= CLASSES)
        return HR_FAIL(err, HR_LIMIT, "scratch of %zu bytes: at most %llu in one piece", bytes,
                       (unsigned long long)class_bytes(CLASSES - 1));
    hr__mutex_lock(&scratch->mutex);
    head *h = pop_kept(scratch, class_index);
    scratch->used_at[class_index] = ++scratch->clock;
    scratch->lent_count += h != NULL;
    hr__mutex_unlock(&scratch->mutex);
    if (h) {
        *result = lend(h);
        return HR_OK;
    }
    uint64_t need = charged_bytes(class_index);
    if (!charge(scratch, need)) {
        hr_ledger *ledger = scratch->ledger;
        return HR_FAIL(err, HR_LIMIT,
                       "scratch of %llu bytes does not fit: %llu of %llu bytes of the memory "
                       "budget are in use; give it more memory or fewer threads",
                       (unsigned long long)need, (unsigned long long)ledger->used_bytes,
                       (unsigned long long)ledger->limit_bytes);
    }
    hr_status status = alloc_head(class_index, &h, err);
    if (status != HR_OK) {
        hr__ledger_uncharge(scratch->ledger, HR_LEDGER_SCRATCH, need);
        return status;
    }
    hr__mutex_lock(&scratch->mutex);
    scratch->lent_count++;
    hr__mutex_unlock(&scratch->mutex);
    *result = lend(h);
    return HR_OK;
}

// Unlinks buffers of the classes used longest ago until `bytes` more may be kept. Under the mutex.
static head *unlink_oldest(hr_scratch *s, uint64_t bytes)
{
    head *freed = NULL;
    while (s->kept_bytes + bytes > s->keep_bytes_max) {
        unsigned oldest = CLASSES;
        for (unsigned i = 0; i < CLASSES; i++) {
            if (s->kept[i] && (oldest == CLASSES || s->used_at[i] < s->used_at[oldest]))
                oldest = i;
        }
        if (oldest == CLASSES)
            break;
        head *h = s->kept[oldest];
        s->kept[oldest] = h->next;
        s->kept_bytes -= charged_bytes(oldest);
        h->next = freed;
        freed = h;
    }
    return freed;
}

void hr__scratch_give(hr_scratch *scratch, void *memory)
{
    if (!memory)
        return;
    head *h = (head *)((uint8_t *)memory - HEAD_BYTES), *freed = NULL;
    HR_ASSERT(h->guard == GUARD && h->class_index < CLASSES);
    uint64_t bytes = charged_bytes(h->class_index);
    hr__mutex_lock(&scratch->mutex);
    HR_ASSERT(scratch->lent_count > 0);
    scratch->lent_count--;
    scratch->used_at[h->class_index] = ++scratch->clock;
    if (bytes <= scratch->keep_bytes_max) {
        freed = unlink_oldest(scratch, bytes);
        h->next = scratch->kept[h->class_index];
        scratch->kept[h->class_index] = h;
        scratch->kept_bytes += bytes;
    } else {
        h->next = NULL;
        freed = h;
    }
    hr__mutex_unlock(&scratch->mutex);
    free_list(scratch, freed);
}

uint64_t hr__scratch_trim(hr_scratch *scratch)
{
    head *freed = NULL;
    hr__mutex_lock(&scratch->mutex);
    for (unsigned i = 0; i < CLASSES; i++) {
        while (scratch->kept[i]) {
            head *h = scratch->kept[i];
            scratch->kept[i] = h->next;
            h->next = freed;
            freed = h;
        }
    }
    scratch->kept_bytes = 0;
    hr__mutex_unlock(&scratch->mutex);
    return free_list(scratch, freed);
}

// --- spares ---

void hr__scratch_add_spare(hr_scratch *scratch, hr_spare *spare)
{
    hr__mutex_lock(&scratch->spare_mutex);
    spare->next = scratch->spares;
    scratch->spares = spare;
    hr__mutex_unlock(&scratch->spare_mutex);
}

// The link that leads to `spare`, or the last one (NULL). Under the spare mutex.
static hr_spare **link_of(hr_scratch *s, const hr_spare *spare)
{
    hr_spare **at = &s->spares;
    while (*at && *at != spare)
        at = &(*at)->next;
    return at;
}

void hr__scratch_remove_spare(hr_scratch *scratch, hr_spare *spare)
{
    hr__mutex_lock(&scratch->spare_mutex);
    hr_spare **at = link_of(scratch, spare);
    HR_ASSERT(*at);
    *at = spare->next;
    hr__mutex_unlock(&scratch->spare_mutex);
}

// Under the spare mutex.
static uint64_t ask_first(hr_scratch *s, uint64_t bytes)
{
    uint64_t done = 0;
    for (hr_spare *spare = s->spares; spare && done < bytes; spare = spare->next)
        if (spare->first)
            done += spare->give(spare, bytes - done);
    return done;
}

uint64_t hr__scratch_reclaim(hr_scratch *scratch, uint64_t bytes)
{
    hr__mutex_lock(&scratch->spare_mutex);
    uint64_t done = ask_first(scratch, bytes);
    bool enough = done >= bytes;
    if (!enough)
        done += hr__scratch_trim(scratch);
    for (hr_spare *first = NULL; done < bytes;) {
        hr_spare *spare = scratch->spares;
        if (!spare || spare == first)
            break; // all were asked since one gave
        uint64_t given = spare->first ? 0 : spare->give(spare, bytes - done);
        done += given;
        if (given || !first)
            first = given ? NULL : spare;
        scratch->spares = spare->next; // to the end: they give in turn
        *link_of(scratch, NULL) = spare;
        spare->next = NULL;
    }
    hr__mutex_unlock(&scratch->spare_mutex);
    if (!enough)
        hr__scratch_trim(scratch); // what was given as scratch is kept there
    return done;
}
