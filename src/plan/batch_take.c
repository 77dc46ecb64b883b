// SPDX-License-Identifier: Apache-2.0
// The batcher's taker: which rows the next batches hold.
//
//   queue ──▶ carry (pieces, or rounds of lanes) ──▶ items: views of a piece, or gathers
//
// A step's first batch is formed when the whole step is carried, or the epoch's end is seen: only then is it known how
// many rows it has. All of a step's batches follow without looking further. What is decided here depends on the rows
// alone, never on which of them happen to be there: an item holds more or fewer batches, but a batch is the same.
#include "plan/batch_parts.h"

#include "base/text.h"
#include <stdio.h>
#include <string.h>

// --- carrying ---

static void begin_epoch(hr_batcher *b, const hr_piece *p)
{
    const hr_batch_start *start = &b->config.start;
    if (b->begun)
        return;
    b->begun = true;
    b->epoch = p->epoch;
    b->rows_before = p->start.order_row;
    b->batch = 0;
    b->cut = b->config.cut;
    b->step = (hr_place_in_order){.order_row = p->start.order_row};
    if (b->rounds && p->epoch == start->epoch)
        b->step.unit = start->round;
    else if (!b->rounds)
        b->step = p->start;
    b->passed = p->epoch != start->epoch || (!start->row && !start->more_pieces);
    b->more_pieces = start->more_pieces;
}

static hr_status carry(hr_batcher *b, const hr_waiting *w, hr_error *err)
{
    HR_TRY(HR_VEC_PUSH(&b->carry, *w, err));
    b->carry_rows += w->rows;
    b->carry_bytes += w->bytes;
    return HR_OK;
}

// A piece of a lane goes to its lane; rounds that are complete with it are carried.
static hr_status carry_rounds(hr_batcher *b, hr_piece *piece, hr_error *err)
{
    hr_round *round = NULL;
    HR_TRY(hr__rounds_put(b->rounds, piece, err));
    for (;;) {
        HR_TRY(hr__rounds_next(b->rounds, &round, err));
        if (!round)
            return HR_OK;
        hr_waiting w = {.round = round,
                        .rows = round->rows,
                        .bytes = round->bytes,
                        .at = {.unit = round->number, .order_row = b->rows_before + b->carry_rows}};
        hr_status status = carry(b, &w, err);
        if (status != HR_OK) {
            hr__round_unref(&round);
            return status;
        }
    }
}

static hr_status carry_piece(hr_batcher *b, hr_piece *piece, hr_error *err)
{
    hr_waiting w = {.object = piece->object,
                    .first = piece->first,
                    .rows = piece->rows,
                    .bytes = piece->bytes,
                    .at = piece->start};
    begin_epoch(b, piece);
    if (b->rounds)
        return carry_rounds(b, piece, err);
    hr_status status = carry(b, &w, err);
    if (status != HR_OK)
        hr__store_unref(hr__runtime_store(b->config.runtime), piece->object);
    return status;
}

// Moves pieces from the queue until `need` rows are carried. *end_out: the epoch's end comes next.
static hr_status fill_carry(hr_batcher *b, int64_t need, bool *end_out, hr_error *err)
{
    bool kick = false;
    hr_status status = HR_OK;
    *end_out = false;
    HR_VEC_DROP_FRONT(&b->carry, &b->carry_at);
    hr__mutex_lock(&b->mutex);
    while (status == HR_OK && b->queue_at < b->queue.count && b->carry_rows < need) {
        hr_piece piece = b->queue.items[b->queue_at];
        *end_out = piece.epoch_end;
        if (piece.epoch_end) {
            begin_epoch(b, &piece);
            break;
        }
        b->queue_bytes -= (uint64_t)piece.bytes;
        b->queue_at++;
        kick = b->put_blocked;
        b->put_blocked = false;
        hr__mutex_unlock(&b->mutex);
        status = carry_piece(b, &piece, err);
        if (kick)
            hr__read_kick(b->read);
        hr__mutex_lock(&b->mutex);
    }
    hr__mutex_unlock(&b->mutex);
    return status;
}

void hr__waiting_release(hr_batcher *b, hr_waiting *w)
{
    if (w->object)
        hr__store_unref(hr__runtime_store(b->config.runtime), w->object);
    hr__round_unref(&w->round);
}

static int64_t row_bytes_of(const hr_waiting *w)
{
    return w->bytes / HR_MAX(w->rows, 1);
}

static hr_waiting *front(hr_batcher *b)
{
    return &b->carry.items[b->carry_at];
}

// Takes `rows` off the front.
static void consume(hr_batcher *b, int64_t rows)
{
    hr_waiting *w = front(b);
    int64_t bytes = rows == w->rows ? w->bytes : rows * row_bytes_of(w);
    w->first += rows;
    w->rows -= rows;
    w->bytes -= bytes;
    b->carry_bytes -= bytes;
    b->carry_rows -= rows;
    b->rows_before += rows;
    if (w->rows == 0) {
        hr__waiting_release(b, w);
        b->carry_at++;
    }
}

// --- forming ---

// What is carried and the batch made of it must be in the arena together, where an extent may be an eighth larger.
static hr_status check_fits(const hr_batcher *b, int64_t need, hr_error *err)
{
    double arena = (double)hr__share_most(b->config.share);
    double row = (double)b->carry_bytes / (double)HR_MAX(b->carry_rows, 1);
    double held = (double)b->carry_bytes + (b->rounds ? (double)hr__rounds_bytes(b->rounds) : 0);
    char size[32], budget[32];
    if ((held + row * (double)HR_MIN(need, b->carry_rows)) * 9 / 8 <= arena)
        return HR_OK;
    double all = HR_MAX(row * (double)need, held);
    return HR_FAIL(
        err, HR_LIMIT,
        "%lld rows in one piece%s take about %s: it needs a memory budget of at least %s",
        (long long)need,
        b->rounds         ? " and the window that it is taken from (window_rows)"
        : b->cut.rows > 0 ? " (batch_rows)"
                          : "",
        hr__format_bytes((uint64_t)HR_MIN(all, 1e18), size),
        hr__format_bytes((uint64_t)HR_MIN(all * 4, 1e18), budget));
}

static void note_source(hr_batcher *b, hr_gather_source *to, const hr_waiting *w, int64_t rows)
{
    *to = (hr_gather_source){.object = w->object, .first = w->first, .rows = rows};
    if (w->object)
        hr__store_ref(hr__runtime_store(b->config.runtime), w->object);
    if (w->round)
        to->round = hr__round_ref(w->round);
}

// Estimates of what a piece or a batch takes may be too low.
static void raise_least(hr_batcher *b, uint64_t bytes)
{
    if (bytes <= b->least_bytes)
        return;
    b->least_bytes = bytes;
    hr__share_raise(b->config.share, bytes);
}

static void count_gather(hr_batcher *b, hr_batch_item *it, int64_t bytes)
{
    it->kind = HR_ITEM_GATHER;
    it->row_bytes = bytes / HR_MAX(it->rows, 1);
    it->counted = true;
    atomic_fetch_add(&b->gathers, 1);
    raise_least(b, (uint64_t)bytes / 4 * 9); // its pieces and itself
}

static hr_status take_gather(hr_batcher *b, hr_batch_item *it, hr_error *err)
{
    size_t most = b->carry.count - b->carry_at;
    int64_t bytes = 0;
    HR_TRY(hr__alloc_zero(HR_MAX(most, 1), sizeof *it->sources, &it->sources, err));
    for (int64_t left = it->rows; left > 0;) {
        int64_t n = HR_MIN(left, front(b)->rows);
        bytes += row_bytes_of(front(b)) * n;
        note_source(b, &it->sources[it->source_count++], front(b), n);
        consume(b, n);
        left -= n;
    }
    count_gather(b, it, bytes);
    return HR_OK;
}

static void take_views(hr_batcher *b, hr_batch_item *it)
{
    const hr_waiting *w = front(b);
    it->kind = HR_ITEM_VIEWS;
    it->object = w->object;
    it->first = w->first;
    it->row_bytes = row_bytes_of(w);
    hr__store_ref(hr__runtime_store(b->config.runtime), w->object);
    consume(b, it->rows);
}

// Batches after the first that end where `most` rows do at the latest.
static void extend(const hr_batcher *b, hr_batch_item *it, int64_t most)
{
    int64_t carried = b->rows_before + b->carry_rows - b->cut.row;
    int64_t ready = b->cut.row + carried / b->cut.rows * b->cut.rows; // of steps that are whole
    most = HR_MIN(most, ready - b->rows_before);
    while (hr__cut_end(&b->cut, it->batch + it->count) - b->rows_before <= most) {
        it->rows = hr__cut_end(&b->cut, it->batch + it->count) - b->rows_before;
        it->count++;
    }
}

// The next batch of `rows` rows, and as many behind it as are one piece of work with it.
static hr_status take_batches(hr_batcher *b, hr_batch_item *it, int64_t rows,
                              uint64_t *weight_bytes, hr_error *err)
{
    const hr_waiting *w = front(b);
    bool steps = b->cut.rows > 0;
    int64_t ranks = HR_MAX(b->cut.ranks, 1);
    bool views = w->object && w->rows >= rows;
    *it = (hr_batch_item){.epoch = (uint32_t)b->epoch,
                          .batch = b->batch,
                          .count = 1,
                          .row_index = b->rows_before,
                          .rows = rows,
                          .cut = b->cut,
                          .at = steps && b->batch % ranks ? b->step : w->at};
    int64_t group = HR_GATHER_BYTES / HR_MAX(row_bytes_of(w), 1);
    if (steps && views)
        extend(b, it, w->rows);
    else if (steps && w->round && !b->config.single)
        extend(b, it, w->rows >= rows ? HR_MIN(w->rows, group) : group);
    // Steps that begin within the item can be made again from where it begins.
    if (!steps || b->batch % ranks == 0 || (b->batch + it->count) / ranks > b->batch / ranks)
        b->step = w->at;
    b->batch += it->count;
    if (views) {
        take_views(b, it);
        return HR_OK;
    }
    HR_TRY(check_fits(b, rows, err));
    HR_TRY(take_gather(b, it, err));
    *weight_bytes = (uint64_t)(it->row_bytes * it->rows);
    return HR_OK;
}

// --- the epoch's end ---

static void take_end(hr_batcher *b, hr_batch_item *it)
{
    hr__mutex_lock(&b->mutex);
    *it = (hr_batch_item){.kind = HR_ITEM_EPOCH_END,
                          .epoch = (uint32_t)b->epoch,
                          .batch = b->batch,
                          .row_index = b->rows_before,
                          .at = b->step};
    b->queue_at++;
    bool kick = b->put_blocked;
    b->put_blocked = false;
    hr__mutex_unlock(&b->mutex);
    if (kick)
        hr__read_kick(b->read);
    if (b->rounds)
        hr__rounds_end_epoch(b->rounds);
    b->begun = false;
}

static void drop_carry(hr_batcher *b)
{
    while (b->carry_at < b->carry.count)
        consume(b, front(b)->rows);
}

// What is carried does not fill a step: from here on the epoch's steps are as its tail wants it.
static void begin_tail(hr_batcher *b)
{
    int64_t row = hr__cut_step_row(&b->cut, b->batch);
    int64_t rows = b->rows_before + b->carry_rows - row;
    if (b->config.tail == HR_TAIL_DROP) {
        atomic_fetch_add_explicit(&b->dropped_rows, rows, memory_order_relaxed);
        drop_carry(b);
        return;
    }
    if (b->config.tail == HR_TAIL_PAD) {
        atomic_fetch_add_explicit(&b->padded_rows, b->cut.rows - rows, memory_order_relaxed);
        b->pad_rows = rows;
        return;
    }
    b->cut = (hr_cut){row, b->batch / b->cut.ranks, rows, b->cut.ranks};
}

// Each rank's batch of the padded step has all of the tail as its source.
static hr_status take_padded(hr_batcher *b, hr_batch_item *it, uint64_t *weight_bytes,
                             hr_error *err)
{
    int64_t step_row = hr__cut_step_row(&b->cut, b->batch);
    int64_t begin = hr__cut_part(&b->cut, b->batch % b->cut.ranks), bytes = 0;
    int64_t end = hr__cut_end(&b->cut, b->batch);
    size_t count = b->carry.count - b->carry_at;
    *it = (hr_batch_item){.epoch = (uint32_t)b->epoch,
                          .batch = b->batch,
                          .count = 1,
                          .row_index = step_row + begin,
                          .first = begin,
                          .rows = end - step_row - begin,
                          .end_row = step_row + b->pad_rows,
                          .cut = b->cut,
                          .at = front(b)->at,
                          .cycle = true};
    HR_TRY(hr__alloc_zero(count, sizeof *it->sources, &it->sources, err));
    for (size_t i = b->carry_at; i < b->carry.count; i++) {
        const hr_waiting *w = &b->carry.items[i];
        note_source(b, &it->sources[it->source_count++], w, w->rows);
        bytes += w->bytes;
    }
    count_gather(b, it, bytes / b->pad_rows * it->rows);
    *weight_bytes = (uint64_t)(it->row_bytes * it->rows);
    if (++b->batch % b->cut.ranks == 0) {
        b->pad_rows = 0;
        drop_carry(b);
    }
    return HR_OK;
}

// --- waiting ---

static hr_status no_more(hr_batcher *b, hr_error *err)
{
    hr__mutex_lock(&b->mutex);
    hr_status status = !b->read_over || b->queue_at < b->queue.count ? HR_AGAIN
                       : b->read_status == HR_END                    ? HR_END
                                                  : hr__error_copy(err, &b->read_error);
    hr__mutex_unlock(&b->mutex);
    return status;
}

static hr_status lack(hr_batcher *b, int64_t need, hr_error *err)
{
    HR_TRY(check_fits(b, need, err));
    hr_status status = no_more(b, err);
    if (status == HR_AGAIN && !atomic_exchange(&b->lacking, true))
        hr__batcher_tell_hungry(b);
    return status;
}

// The epoch ended before the row that the position names, or has no row there: it was not made of these rows.
static hr_status fail_place(const hr_batcher *b, hr_error *err)
{
    return HR_FAIL(err, HR_INVALID,
                   "position: row %lld is behind the end of epoch %llu here: was it edited, or did "
                   "the data change?",
                   (long long)b->config.start.row, (unsigned long long)b->epoch);
}

// Rows that were delivered in an earlier life. HR_AGAIN: there are more to come.
static hr_status pass_over(hr_batcher *b, bool *end_out, hr_error *err)
{
    const hr_batch_start *start = &b->config.start;
    *end_out = false;
    while (b->rows_before < start->row || b->more_pieces > 0) {
        HR_TRY(fill_carry(b, 1, end_out, err));
        if (!b->begun || (b->carry_rows == 0 && !*end_out))
            return lack(b, 1, err);
        if (*end_out && b->carry_rows == 0) {
            if (b->rows_before < start->row)
                return fail_place(b, err);
            break;
        }
        if (b->rows_before < start->row) {
            consume(b, HR_MIN(start->row - b->rows_before, front(b)->rows));
        } else {
            consume(b, front(b)->rows);
            b->more_pieces--;
        }
    }
    b->passed = true;
    b->batch = start->batch;
    if (b->cut.rows > 0) {
        b->cut.row = start->row;
        b->cut.step = start->batch / b->cut.ranks;
    }
    return HR_OK;
}

// Rows that the next batch wants; 0: as many as the next piece has; -1: no more batches.
static int64_t wanted_rows(hr_batcher *b)
{
    const hr_batch_config *c = &b->config;
    int64_t need = 0;
    if (c->cut.rows > 0)
        return hr__cut_end(&b->cut, b->batch) - b->rows_before;
    if (c->ends) {
        while (b->batch < c->end_count && c->ends[b->batch] <= b->rows_before)
            b->batch++; // a block of no rows
        if (b->batch >= c->end_count)
            return -1;
        need = c->ends[b->batch] - b->rows_before;
    }
    if (c->limit_rows >= 0) {
        int64_t left = c->limit_rows - b->rows_before;
        if (left <= 0)
            return -1;
        need = need ? HR_MIN(need, left) : 0;
    }
    return need;
}

// How many rows must be carried before that batch is formed.
static int64_t needed_rows(const hr_batcher *b, int64_t wanted)
{
    if (b->cut.rows == 0)
        return HR_MAX(wanted, 1);
    return hr__cut_step_row(&b->cut, b->batch) + b->cut.rows - b->rows_before;
}

hr_status hr__batch_take(hr_batcher *b, hr_batch_item *it, uint64_t *weight_bytes, hr_error *err)
{
    for (;;) {
        bool end = false;
        if (!b->begun)
            HR_TRY(fill_carry(b, 1, &end, err));
        if (!b->begun)
            return lack(b, 1, err);
        if (!b->passed)
            HR_TRY(pass_over(b, &end, err));
        int64_t wanted = wanted_rows(b);
        if (wanted < 0 && b->cut.rows == 0)
            return HR_END;
        int64_t need = needed_rows(b, wanted);
        HR_TRY(fill_carry(b, need, &end, err));
        if (b->pad_rows > 0)
            return take_padded(b, it, weight_bytes, err);
        if (b->carry_rows < need && !end)
            return lack(b, need, err);
        if (b->carry_rows == 0) {
            take_end(b, it);
            return HR_OK;
        }
        if (b->cut.rows > 0 && b->carry_rows < need) {
            begin_tail(b);
            continue;
        }
        if (b->cut.rows > 0 && wanted == 0) { // a tail of fewer rows than ranks
            b->batch++;
            continue;
        }
        if (wanted == 0)
            wanted = front(b)->rows;
        if (b->config.limit_rows >= 0)
            wanted = HR_MIN(wanted, b->config.limit_rows - b->rows_before);
        atomic_store(&b->lacking, false);
        return take_batches(b, it, HR_MIN(wanted, b->carry_rows), weight_bytes, err);
    }
}
