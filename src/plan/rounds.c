// SPDX-License-Identifier: Apache-2.0
#include "plan/rounds.h"

#include "plan/order.h"
#include <stdatomic.h>

typedef struct waiting {
    hr_piece piece;
    int64_t mark; // the next of its marks
} waiting;

typedef struct lane {
    HR_VEC(waiting) pieces; // from `at` on
    size_t at;
} lane;

struct hr_rounds {
    hr_runtime *runtime;
    uint64_t seed;
    uint32_t epoch;
    int64_t next, ready; // rounds
    int64_t bytes;
    HR_VEC(lane) lanes;
};

// --- rounds ---

hr_round *hr__round_ref(hr_round *round)
{
    atomic_fetch_add_explicit(&round->refs, 1, memory_order_relaxed);
    return round;
}

void hr__round_unref(hr_round **round)
{
    hr_round *r = *round;
    *round = NULL;
    // Acquire and release: the last one out must see what the others did.
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int32_t i = 0; i < r->block_count; i++)
        hr_block_unref(&r->blocks[i]);
    hr__free(r->blocks);
    for (int32_t i = 0; i < r->part_count; i++)
        hr__store_unref(hr__runtime_store(r->runtime), r->parts[i].object);
    hr__free(r->parts);
    hr__free(r->order);
    hr__mutex_finish(&r->mutex);
    hr__free(r);
}

static hr_status find_order(hr_round *r, hr_error *err)
{
    if (r->rows > UINT32_MAX)
        return HR_FAIL(err, HR_LIMIT, "a shuffle round of %lld rows: window_rows is too large",
                       (long long)r->rows);
    HR_TRY(hr__alloc((size_t)r->rows * sizeof *r->order, &r->order, err));
    hr__order_permute(r->seed, r->epoch, r->number, r->order, (uint32_t)r->rows);
    return HR_OK;
}

static hr_status open_part(const hr_round *r, const hr_round_part *part, const hr_schema *schema,
                           hr_block **out, hr_error *err)
{
    hr_block *whole = NULL;
    HR_TRY(hr__store_block(hr__runtime_store(r->runtime), part->object, schema, &whole, err));
    hr_status status = hr_block_slice(whole, part->first, part->rows, out, err);
    hr_block_unref(&whole);
    return status;
}

static hr_status open_parts(hr_round *r, const hr_schema *schema, hr_error *err)
{
    if (!r->blocks)
        HR_TRY(
            hr__alloc_zero((size_t)HR_MAX(r->part_count, 1), sizeof *r->blocks, &r->blocks, err));
    for (; r->block_count < r->part_count; r->block_count++)
        HR_TRY(open_part(r, &r->parts[r->block_count], schema, &r->blocks[r->block_count], err));
    return HR_OK;
}

// The lock is held in calls into the store: who waits for it waits for what they make.
hr_status hr__round_prepare(hr_round *r, const hr_schema *schema, hr_error *err)
{
    hr__mutex_lock(&r->mutex);
    hr_status status = r->order ? HR_OK : find_order(r, err);
    if (status == HR_OK)
        status = open_parts(r, schema, err);
    hr__mutex_unlock(&r->mutex);
    return status;
}

// --- lanes ---

hr_status hr__rounds_open(hr_runtime *runtime, uint64_t seed, int64_t first_round, hr_rounds **out,
                          hr_error *err)
{
    HR_TRY(hr__alloc_zero(1, sizeof **out, out, err));
    (*out)->runtime = runtime;
    (*out)->seed = seed;
    (*out)->next = (*out)->ready = first_round;
    return HR_OK;
}

static void drop_piece(hr_rounds *r, hr_piece *piece)
{
    if (piece->object)
        hr__store_unref(hr__runtime_store(r->runtime), piece->object);
    hr__free(piece->marks);
    piece->marks = NULL;
}

void hr__rounds_close(hr_rounds **rounds)
{
    hr_rounds *r = *rounds;
    *rounds = NULL;
    if (!r)
        return;
    for (size_t i = 0; i < r->lanes.count; i++) {
        lane *l = &r->lanes.items[i];
        for (; l->at < l->pieces.count; l->at++)
            drop_piece(r, &l->pieces.items[l->at].piece);
        HR_VEC_FINISH(&l->pieces);
    }
    HR_VEC_FINISH(&r->lanes);
    hr__free(r);
}

hr_status hr__rounds_put(hr_rounds *r, hr_piece *piece, hr_error *err)
{
    hr_status status = HR_OK;
    r->epoch = piece->epoch;
    r->ready = piece->rounds_ready;
    while (status == HR_OK && r->lanes.count <= (size_t)piece->lane) {
        lane none = {.at = 0};
        status = HR_VEC_PUSH(&r->lanes, none, err);
    }
    if (status == HR_OK && piece->rows > 0) {
        lane *l = &r->lanes.items[piece->lane];
        waiting w = {.piece = *piece};
        HR_VEC_DROP_FRONT(&l->pieces, &l->at);
        status = HR_VEC_PUSH(&l->pieces, w, err);
        if (status == HR_OK) {
            r->bytes += piece->bytes;
            return HR_OK;
        }
    }
    drop_piece(r, piece);
    return status;
}

// What the lane's front piece has for the round, as a part; false: nothing, or nothing more.
static bool next_part(hr_rounds *r, lane *l, int64_t round, hr_round_part *part, int64_t *bytes)
{
    while (l->at < l->pieces.count) {
        waiting *w = &l->pieces.items[l->at];
        hr_piece *p = &w->piece;
        const hr_marks *m = p->marks;
        if (m->first_round + w->mark > round)
            return false;
        int64_t begin = w->mark ? m->at[w->mark - 1] : 0, rows = m->at[w->mark] - begin;
        bool last = ++w->mark == m->count;
        if (rows > 0) {
            hr__store_ref(hr__runtime_store(r->runtime), p->object);
            *part = (hr_round_part){p->object, p->first + begin, rows};
            *bytes = (int64_t)((double)p->bytes * (double)rows / (double)p->rows);
        }
        if (last) {
            drop_piece(r, p);
            l->at++;
        }
        if (rows > 0)
            return true;
    }
    return false;
}

static hr_status make_round(hr_rounds *r, int64_t number, hr_round **out, hr_error *err)
{
    HR_VEC(hr_round_part) parts = {0};
    hr_round *made = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *made, &made, err));
    made->refs = 1;
    made->runtime = r->runtime;
    made->seed = r->seed;
    made->epoch = r->epoch;
    made->number = number;
    hr__mutex_init(&made->mutex);
    for (size_t i = 0; i < r->lanes.count; i++) {
        hr_round_part part = {0};
        int64_t bytes = 0;
        while (next_part(r, &r->lanes.items[i], number, &part, &bytes)) {
            status = HR_VEC_PUSH(&parts, part, err);
            if (status != HR_OK) {
                hr__store_unref(hr__runtime_store(r->runtime), part.object);
                goto out;
            }
            made->rows += part.rows;
            made->bytes += bytes;
            r->bytes -= bytes;
        }
    }
    status = HR_OK;
out:
    made->parts = parts.items;
    made->part_count = (int32_t)parts.count;
    if (status != HR_OK)
        hr__round_unref(&made);
    else
        *out = made;
    return status;
}

hr_status hr__rounds_next(hr_rounds *r, hr_round **out, hr_error *err)
{
    *out = NULL;
    while (!*out && r->next < r->ready) {
        HR_TRY(make_round(r, r->next++, out, err));
        if ((*out)->rows == 0)
            hr__round_unref(out);
    }
    return HR_OK;
}

int64_t hr__rounds_bytes(const hr_rounds *r)
{
    return HR_MAX(r->bytes, 0);
}

void hr__rounds_end_epoch(hr_rounds *r)
{
    for (size_t i = 0; i < r->lanes.count; i++)
        HR_ASSERT(r->lanes.items[i].at == r->lanes.items[i].pieces.count);
    r->next = r->ready = 0;
    r->bytes = 0; // what rounding left
}
