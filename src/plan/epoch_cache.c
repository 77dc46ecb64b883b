// SPDX-License-Identifier: Apache-2.0
// A map from a place in the files to an object that was offered to the store: it may be gone when it is asked for.
//
// A piece is found again by its unit and its rows, so units are cut in the same way in each epoch of a stream. What is
// kept is what the branch's first program made: row-local work is not done again. Functions of the user are called in
// each epoch, on the same rows as before; they may be random. When not all fits, the first rows of the data stay and
// the others are read again, the same ones in each epoch: a page is read for any of its rows, so pieces here and there
// would save nothing.
#include "plan/epoch_cache.h"
#include "base/map.h"
#include <stdatomic.h>
#include <string.h>

typedef struct kept_piece {
    hr_object_id object;
    int64_t rows, out_rows, bytes;
} kept_piece;

struct hr_epoch_cache {
    hr_runtime *runtime; // borrowed, as the pipe does
    hr_mutex mutex;
    hr_map *places;                          // guards: mutex. To numbers of pieces
    HR_VEC(kept_piece) pieces;               // guards: mutex
    uint64_t first_epoch;                    // guards: mutex, once known
    bool begun;                              // guards: mutex
    _Atomic int64_t rows_taken, rows_missed; // missed: in later epochs
};

typedef struct place {
    int64_t part, fragment, first;
} place;

static hr_status open_cache(hr_runtime *runtime, hr_epoch_cache **out, hr_error *err)
{
    hr_epoch_cache *c;
    HR_TRY(hr__alloc_zero(1, sizeof *c, &c, err));
    hr_status status = hr__map_open(&c->places, err);
    if (status != HR_OK) {
        hr__free(c);
        return status;
    }
    c->runtime = runtime;
    hr__mutex_init(&c->mutex);
    *out = c;
    return HR_OK;
}

// Fine when it was done before: who is gone is not there.
static void withdraw(hr_epoch_cache *c)
{
    for (size_t i = 0; i < c->pieces.count; i++)
        hr__store_withdraw(hr__runtime_store(c->runtime), c->pieces.items[i].object);
}

void hr__epoch_cache_close(hr_epoch_cache **cache)
{
    hr_epoch_cache *c = *cache;
    *cache = NULL;
    if (!c)
        return;
    withdraw(c);
    HR_VEC_FINISH(&c->pieces);
    hr__map_close(&c->places);
    hr__mutex_finish(&c->mutex);
    hr__free(c);
}

static bool varies(const hr_branch *b)
{
    for (int32_t i = 0; i < b->sample_count; i++)
        if (b->samples[i].each_epoch)
            return true;
    return false;
}

hr_status hr__pipe_keep_pieces(hr_pipe *p, hr_error *err)
{
    hr_branch *b = p->branch;
    if (b && b->inner)
        HR_TRY(hr__pipe_keep_pieces(b->inner, err));
    if (b && b->origin && b->origin->kind == HR_NODE_FILES && !b->cache && !varies(b))
        HR_TRY(open_cache(b->origin->runtime, &b->cache, err));
    for (int32_t i = 0; i < p->child_count; i++)
        HR_TRY(hr__pipe_keep_pieces(p->children[i], err));
    return HR_OK;
}

void hr__pipe_drop_pieces(const hr_pipe *p)
{
    if (p->branch && p->branch->inner)
        hr__pipe_drop_pieces(p->branch->inner);
    if (p->branch && p->branch->cache)
        withdraw(p->branch->cache);
    for (int32_t i = 0; i < p->child_count; i++)
        hr__pipe_drop_pieces(p->children[i]);
}

void hr__pipe_kept_rows(const hr_pipe *p, int64_t *taken, int64_t *missed)
{
    const hr_branch *b = p->branch;
    if (b && b->inner)
        hr__pipe_kept_rows(b->inner, taken, missed);
    if (b && b->cache) {
        *taken += atomic_load_explicit(&b->cache->rows_taken, memory_order_relaxed);
        *missed += atomic_load_explicit(&b->cache->rows_missed, memory_order_relaxed);
    }
    for (int32_t i = 0; i < p->child_count; i++)
        hr__pipe_kept_rows(p->children[i], taken, missed);
}

bool hr__piece_is_kept(const hr_task *t)
{
    const hr_branch *b = t->unit->unit.branch;
    // Where rows are left out, marks say how many of which round are: that is not kept.
    return b->cache && t->place == HR_PLACE_ARENA && (!t->marks || b->row_exact);
}

// Lock held. NULL: nothing was kept from there on.
static kept_piece *piece_at(hr_epoch_cache *c, const place *at)
{
    uint64_t number;
    return hr__map_get(c->places, at, sizeof *at, &number) ? &c->pieces.items[number] : NULL;
}

hr_status hr__piece_find(hr_task *t, bool urgent, hr_result *out)
{
    const hr_unit *u = &t->unit->unit;
    hr_epoch_cache *c = u->branch->cache;
    place at = {u->part, u->fragment, t->first};
    hr__mutex_lock(&c->mutex);
    if (!c->begun)
        c->first_epoch = u->epoch;
    c->begun = true;
    bool later = u->epoch > c->first_epoch;
    const kept_piece *p = piece_at(c, &at);
    bool found = p && p->rows == t->rows;
    if (found)
        *out = (hr_result){.object = p->object, .rows = p->out_rows, .bytes = p->bytes};
    hr__mutex_unlock(&c->mutex);
    hr_status status = found ? HR_OK : HR_END;
    if (found && out->object)
        status =
            hr__store_take_offered(hr__runtime_store(c->runtime), t->share, out->object, urgent);
    if (status != HR_OK)
        *out = (hr_result){0};
    if (status == HR_OK)
        atomic_fetch_add_explicit(&c->rows_taken, t->rows, memory_order_relaxed);
    else if (status == HR_END && later && !t->missed)
        atomic_fetch_add_explicit(&c->rows_missed, t->rows, memory_order_relaxed);
    t->missed |= status == HR_END; // it may be asked again when there was no room to read it
    return status;
}

// Who stays when not all fits: the lowest. Beyond what the bits can tell the newest go first.
static uint64_t order_of(const place *at)
{
    uint64_t part = HR_MIN((uint64_t)at->part, 0xfffffu);
    uint64_t fragment = HR_MIN((uint64_t)at->fragment, 0xffffu);
    return part << 44 | fragment << 28 | HR_MIN((uint64_t)at->first >> 6, 0xfffffffu);
}

void hr__piece_offer(const hr_task *t, const hr_result *made)
{
    const hr_unit *u = &t->unit->unit;
    hr_epoch_cache *c = u->branch->cache;
    place at = {u->part, u->fragment, t->first};
    kept_piece kept = {made->object, t->rows, made->rows, made->bytes};
    if (made->object &&
        !hr__store_offer(hr__runtime_store(c->runtime), made->object, order_of(&at)))
        return;
    hr_object_id before = 0;
    hr__mutex_lock(&c->mutex);
    kept_piece *p = piece_at(c, &at);
    bool noted = true;
    if (p) {
        before = p->object;
        *p = kept;
    } else {
        noted = HR_VEC_PUSH(&c->pieces, kept, NULL) == HR_OK;
        if (noted && hr__map_put(c->places, &at, sizeof at, c->pieces.count - 1, NULL) != HR_OK) {
            c->pieces.count--;
            noted = false;
        }
    }
    hr__mutex_unlock(&c->mutex);
    hr__store_withdraw(hr__runtime_store(c->runtime), noted ? before : made->object);
}

bool hr__unit_is_kept(const hr_unit *u)
{
    hr_epoch_cache *c = u->branch->cache;
    place at = {u->part, u->fragment, u->first};
    if (!c)
        return false;
    hr__mutex_lock(&c->mutex);
    const kept_piece *p = piece_at(c, &at);
    bool known = p != NULL;
    hr_object_id object = known ? p->object : 0;
    hr__mutex_unlock(&c->mutex);
    hr_store *store = hr__runtime_store(c->runtime);
    if (!known || !object) // nothing is left of its first rows
        return known;
    if (hr__store_take_offered(store, NULL, object, false) != HR_OK)
        return false;
    hr__store_unref(store, object);
    return true;
}
