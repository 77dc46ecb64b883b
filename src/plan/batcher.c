// SPDX-License-Identifier: Apache-2.0
// The batcher: pieces in order become batches in order, as a flow of its own.
//
// Taking looks at the rows that wait and forms the next batch: batches that lie within one piece are views of it, and
// all that do are one item; a batch that spans pieces (or whose rows are permuted) is gathered into an object of its
// own by a pool thread. What a batch holds is decided in order by one thread at a time, so it depends on the rows
// alone.
#include "base/hash.h"
#include "base/text.h"
#include "base/rng.h"
#include "plan/plan_internal.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef struct waiting { // a piece that waits, or what is left of it
    hr_piece piece;
    uint32_t *order; // permuted windows: its rows' order; freed with it
    int64_t order_at;
} waiting;

struct hr_batcher {
    hr_batch_config config;
    hr_out_sink sink;
    hr_read_flow *read;
    hr_flow *flow;
    hr_mutex mutex;
    HR_VEC(hr_piece) queue; // guards: mutex. From queue_at on
    size_t queue_at;        // guards: mutex
    uint64_t queue_bytes;   // guards: mutex
    bool put_blocked;       // guards: mutex. The read flow was told HR_AGAIN
    bool read_over;         // guards: mutex
    bool reading;           // guards: mutex. `read` is set
    hr_status read_status;  // guards: mutex
    hr_error read_error;
    // the taker's
    HR_VEC(waiting) carry; // what the next batches are made of
    size_t carry_at;
    int64_t carry_rows, carry_bytes;
    int64_t batch, rows_before; // of this epoch
    uint64_t least_bytes;       // that the share was told
    _Atomic int64_t dropped_rows;
    // The next piece may use the reserve only when no batch could be made without it: room for what can be made goes
    // first.
    _Atomic bool lacking;    // the taker needs more rows
    _Atomic int32_t gathers; // taken and not laid out yet
};

typedef enum item_kind { ITEM_VIEWS, ITEM_GATHER, ITEM_EPOCH_END } item_kind;

typedef struct gather_source {
    hr_object_id object;
    int64_t first, rows;
    uint32_t *order; // owned copy of the indexes; NULL: in order
} gather_source;

typedef struct batch_item {
    item_kind kind;
    uint32_t epoch;
    int64_t batch, row_index;
    hr_object_id object; // views: a reference; gathered: the result
    int64_t first, rows; // of all of them
    int64_t each, given; // views: rows a batch; rows given on so far
    int64_t row_bytes;
    gather_source *sources;
    int32_t source_count;
    bool counted; // in gathers
} batch_item;

// --- from the read flow ---

static hr_status put(void *self, hr_piece *piece, hr_error *err)
{
    hr_batcher *b = self;
    hr_status status = HR_OK;
    hr__mutex_lock(&b->mutex);
    bool full = b->queue_at < b->queue.count && b->queue_bytes >= b->config.window_bytes;
    if (full) {
        b->put_blocked = true;
        status = HR_AGAIN;
    } else {
        if (b->queue_at == b->queue.count)
            b->queue.count = b->queue_at = 0;
        status = HR_VEC_PUSH(&b->queue, *piece, err);
        if (status == HR_OK)
            b->queue_bytes += (uint64_t)piece->bytes;
    }
    hr__mutex_unlock(&b->mutex);
    if (status == HR_OK) {
        if (b->config.blocks && (piece->object || piece->block) && !piece->skipped)
            atomic_fetch_add_explicit(b->config.blocks, 1, memory_order_relaxed); // a figure
        hr__flow_kick(b->flow); // opened before the read flow, closed after it
    }
    return status;
}

static void read_ended(void *self, hr_status status, const hr_error *err)
{
    hr_batcher *b = self;
    hr__mutex_lock(&b->mutex);
    b->read_over = true;
    b->read_status = status;
    b->read_error = *err;
    hr__mutex_unlock(&b->mutex);
    hr__flow_kick(b->flow);
}

static bool hungry(void *self)
{
    hr_batcher *b = self;
    return atomic_load(&b->lacking) && atomic_load(&b->gathers) == 0;
}

static void tell_hungry(hr_batcher *b)
{
    hr__mutex_lock(&b->mutex);
    bool reading = b->reading;
    hr__mutex_unlock(&b->mutex);
    if (reading && hungry(b))
        hr__read_kick(b->read);
}

static void gather_done(hr_batcher *b, batch_item *it)
{
    if (!it->counted)
        return;
    it->counted = false;
    if (atomic_fetch_sub(&b->gathers, 1) == 1)
        tell_hungry(b);
}

// --- taking ---

static hr_status permute(const hr_batcher *b, waiting *w, hr_error *err)
{
    uint64_t key[2] = {w->piece.epoch, w->piece.row_index};
    HR_TRY(hr__alloc_zero((size_t)w->piece.rows, sizeof *w->order, &w->order, err));
    hr__rng_permute(b->config.seed,
                    hr__rng_stream(HR_RNG_WINDOW, hr__hash64(key, sizeof key, 0) >> 8), w->order,
                    (uint32_t)w->piece.rows);
    return HR_OK;
}

// Moves pieces from the queue until `need` rows are carried. *front_end: the epoch's end comes next.
static hr_status fill_carry(hr_batcher *b, int64_t need, bool *front_end, hr_error *err)
{
    bool kick = false;
    hr_status status = HR_OK;
    *front_end = false;
    if (b->carry_at == b->carry.count)
        b->carry.count = b->carry_at = 0;
    hr__mutex_lock(&b->mutex);
    while (b->queue_at < b->queue.count) {
        const hr_piece *p = &b->queue.items[b->queue_at];
        *front_end = p->epoch_end;
        if (p->epoch_end || (b->carry_at < b->carry.count && b->carry_rows >= need) ||
            (p->skipped && b->carry_rows))
            break;
        waiting w = {.piece = *p};
        status = HR_VEC_PUSH(&b->carry, w, err);
        if (status != HR_OK)
            break;
        b->queue_bytes -= (uint64_t)p->bytes;
        b->carry_rows += p->rows;
        b->carry_bytes += p->bytes;
        b->queue_at++;
        kick = b->put_blocked;
        if (p->skipped)
            break;
    }
    if (kick)
        b->put_blocked = false;
    hr__mutex_unlock(&b->mutex);
    if (kick)
        hr__read_kick(b->read);
    for (size_t i = b->carry_at; status == HR_OK && b->config.permute && i < b->carry.count; i++)
        if (!b->carry.items[i].order && !b->carry.items[i].piece.skipped)
            status = permute(b, &b->carry.items[i], err);
    return status;
}

static void release_waiting(hr_batcher *b, waiting *w)
{
    if (w->piece.object)
        hr__store_unref(hr__runtime_store(b->config.runtime), w->piece.object);
    hr__free(w->order);
}

static int64_t piece_row_bytes(const hr_piece *piece)
{
    return piece->bytes / HR_MAX(piece->rows, 1);
}

// Takes `rows` off the front piece.
static void consume(hr_batcher *b, int64_t rows)
{
    waiting *w = &b->carry.items[b->carry_at];
    int64_t bytes = rows * piece_row_bytes(&w->piece);
    if (rows == w->piece.rows)
        bytes = w->piece.bytes;
    if (w->order)
        w->order_at += rows;
    else
        w->piece.first += rows;
    w->piece.rows -= rows;
    w->piece.bytes -= bytes;
    b->carry_bytes -= bytes;
    b->carry_rows -= rows;
    b->rows_before += rows;
    if (w->piece.rows == 0) {
        release_waiting(b, w);
        b->carry_at++;
    }
}

// Rows that the next batch wants; 0: as many as the next piece has; -1: no more batches.
static int64_t wanted_rows(hr_batcher *b)
{
    const hr_batch_config *c = &b->config;
    // Rows that were passed over may have ended within a batch: what is left of it is a short one that nobody wants.
    int64_t need = c->batch_rows ? c->batch_rows - b->rows_before % c->batch_rows : 0;
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

static void take_views(hr_batcher *b, batch_item *it, int64_t need)
{
    const hr_piece *p = &b->carry.items[b->carry_at].piece;
    int64_t count = need == b->config.batch_rows ? p->rows / need : 1;
    *it = (batch_item){
        .kind = ITEM_VIEWS,
        .epoch = p->epoch,
        .batch = b->batch,
        .row_index = b->rows_before,
        .object = p->object,
        .first = p->first,
        .rows = count * need,
        .each = need,
        .row_bytes = piece_row_bytes(p),
    };
    hr__store_ref(hr__runtime_store(b->config.runtime), p->object);
    b->batch += count;
    consume(b, count * need);
}

static hr_status copy_order(const waiting *w, int64_t rows, uint32_t **out, hr_error *err)
{
    if (!w->order)
        return HR_OK;
    HR_TRY(hr__alloc((size_t)rows * sizeof **out, out, err));
    for (int64_t i = 0; i < rows; i++)
        (*out)[i] = (uint32_t)w->piece.first + w->order[w->order_at + i];
    return HR_OK;
}

// Estimates of what a piece or a batch takes may be too low.
static void raise_least(hr_batcher *b, uint64_t bytes)
{
    if (bytes <= b->least_bytes)
        return;
    b->least_bytes = bytes;
    hr__share_raise(b->config.share, bytes);
}

static hr_status take_gather(hr_batcher *b, batch_item *it, int64_t need, hr_error *err)
{
    int32_t most = (int32_t)(b->carry.count - b->carry_at);
    gather_source *sources = NULL;
    int64_t bytes = 0;
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(most, 1), sizeof *sources, &sources, err));
    *it = (batch_item){.kind = ITEM_GATHER,
                       .epoch = b->carry.items[b->carry_at].piece.epoch,
                       .batch = b->batch,
                       .row_index = b->rows_before,
                       .rows = need,
                       .each = need,
                       .sources = sources,
                       .counted = true};
    atomic_fetch_add(&b->gathers, 1);
    for (int64_t left = need; left > 0;) {
        waiting *w = &b->carry.items[b->carry_at];
        int64_t n = HR_MIN(left, w->piece.rows);
        gather_source *s = &sources[it->source_count];
        *s = (gather_source){.object = w->piece.object, .first = w->piece.first, .rows = n};
        HR_TRY(copy_order(w, n, &s->order, err)); // the item is dropped with what it has
        hr__store_ref(hr__runtime_store(b->config.runtime), s->object);
        it->source_count++;
        bytes += piece_row_bytes(&w->piece) * n;
        consume(b, n);
        left -= n;
    }
    it->row_bytes = bytes / need;
    b->batch++;
    raise_least(b, (uint64_t)bytes / 4 * 9); // its pieces and itself
    return HR_OK;
}

static void take_skip(hr_batcher *b)
{
    consume(b, b->carry.items[b->carry_at].piece.rows);
    b->batch = b->rows_before / b->config.batch_rows;
}

static void take_end(hr_batcher *b, batch_item *it)
{
    hr__mutex_lock(&b->mutex);
    *it = (batch_item){.kind = ITEM_EPOCH_END,
                       .epoch = b->queue.items[b->queue_at].epoch,
                       .batch = b->batch,
                       .row_index = b->rows_before};
    b->queue_at++;
    bool kick = b->put_blocked;
    b->put_blocked = false;
    hr__mutex_unlock(&b->mutex);
    if (kick)
        hr__read_kick(b->read);
    b->batch = b->rows_before = 0;
}

static void drop_rest(hr_batcher *b)
{
    atomic_fetch_add_explicit(&b->dropped_rows, b->carry_rows, memory_order_relaxed);
    while (b->carry_at < b->carry.count)
        consume(b, b->carry.items[b->carry_at].piece.rows);
}

// What is carried and the batch made of it must be in the arena together, where an extent may be an eighth larger.
static hr_status check_fits(const hr_batcher *b, int64_t need, hr_error *err)
{
    double arena = (double)hr__share_most(b->config.share);
    double carried = (double)b->carry_bytes, row = carried / (double)HR_MAX(b->carry_rows, 1);
    char size[32], budget[32], text[64] = "";
    if ((carried + row * (double)HR_MIN(need, b->carry_rows)) * 9 / 8 <= arena)
        return HR_OK;
    double all = row * (double)need;
    if (b->config.batch_rows)
        (void)snprintf(text, sizeof text, " (batch_rows)");
    return HR_FAIL(
        err, HR_LIMIT,
        "%lld rows in one piece%s take about %s: it needs a memory budget of at least %s",
        (long long)need, text, hr__format_bytes((uint64_t)HR_MIN(all, 1e18), size),
        hr__format_bytes((uint64_t)HR_MIN(all * 4, 1e18), budget));
}

static hr_status no_more(hr_batcher *b, hr_error *err)
{
    hr__mutex_lock(&b->mutex);
    hr_status status = !b->read_over || b->queue_at < b->queue.count ? HR_AGAIN
                       : b->read_status == HR_END                    ? HR_END
                                                  : hr__error_copy(err, &b->read_error);
    hr__mutex_unlock(&b->mutex);
    return status;
}

static hr_status take(void *self, void *item, uint64_t *weight_bytes, hr_error *err)
{
    hr_batcher *b = self;
    batch_item *it = item;
    for (;;) {
        bool front_end;
        int64_t need = wanted_rows(b);
        if (need < 0)
            return HR_END;
        HR_TRY(fill_carry(b, HR_MAX(need, 1), &front_end, err));
        bool some = b->carry_at < b->carry.count;
        if (some && b->carry.items[b->carry_at].piece.skipped) {
            take_skip(b);
            continue;
        }
        if (some && need == 0) {
            need = b->carry.items[b->carry_at].piece.rows;
            if (b->config.limit_rows >= 0)
                need = HR_MIN(need, b->config.limit_rows - b->rows_before);
        }
        if (!some || b->carry_rows < need) {
            if (!front_end) {
                HR_TRY(check_fits(b, need, err));
                hr_status status = no_more(b, err);
                if (status == HR_AGAIN && !atomic_exchange(&b->lacking, true))
                    tell_hungry(b);
                return status;
            }
            if (!some) {
                take_end(b, it);
                return HR_OK;
            }
            if (b->config.drop_last) {
                drop_rest(b);
                continue;
            }
            need = b->carry_rows;
        }
        const waiting *w = &b->carry.items[b->carry_at];
        atomic_store(&b->lacking, false);
        if (w->piece.rows >= need && !w->order) {
            take_views(b, it, need);
            return HR_OK;
        }
        HR_TRY(check_fits(b, need, err));
        HR_TRY(take_gather(b, it, need, err));
        *weight_bytes = (uint64_t)(it->row_bytes * it->rows);
        return HR_OK;
    }
}

// --- gathering ---

static hr_status open_sources(hr_batcher *b, const batch_item *it, hr_gather_piece *pieces,
                              hr_error *err)
{
    hr_store *store = hr__runtime_store(b->config.runtime);
    for (int32_t i = 0; i < it->source_count; i++) {
        const gather_source *s = &it->sources[i];
        hr_block *whole = NULL, *part = NULL;
        HR_TRY(hr__store_block(store, s->object, b->config.schema, &whole, err));
        if (s->order) {
            part = whole;
        } else {
            hr_status status = hr_block_slice(whole, s->first, s->rows, &part, err);
            hr_block_unref(&whole);
            HR_TRY(status);
        }
        pieces[i] = (hr_gather_piece){part, s->order, s->rows};
    }
    return HR_OK;
}

static hr_status work(void *self, void *item, bool oldest, hr_error *err)
{
    hr_batcher *b = self;
    batch_item *it = item;
    hr_gather_piece *pieces = NULL;
    hr_result result;
    hr_status status;
    if (it->kind != ITEM_GATHER || it->object ||
        (b->sink.wanted && !b->sink.wanted(b->sink.self, it->batch, it->epoch))) {
        gather_done(b, it);
        return HR_OK;
    }
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(it->source_count, 1), sizeof *pieces, &pieces, err));
    hr_target target = {b->config.runtime, HR_PLACE_ARENA, oldest, b->config.share};
    HR_GO(open_sources(b, it, pieces, err));
    HR_GO(hr__gather(b->config.schema, pieces, it->source_count, &target, &result, err));
    it->object = result.object;
    gather_done(b, it);
out:
    for (int32_t i = 0; i < it->source_count; i++) {
        hr_block *block = (hr_block *)(uintptr_t)pieces[i].block;
        hr_block_unref(&block);
    }
    hr__free(pieces);
    return status;
}

// --- giving ---

static hr_status give(void *self, void *item, hr_error *err)
{
    hr_batcher *b = self;
    batch_item *it = item;
    hr_store *store = hr__runtime_store(b->config.runtime);
    if (it->kind == ITEM_EPOCH_END) {
        hr_out out = {.batch = it->batch,
                      .row_index = (uint64_t)it->row_index,
                      .epoch = it->epoch,
                      .epoch_end = true,
                      .dropped_rows = atomic_load_explicit(&b->dropped_rows, memory_order_relaxed)};
        return b->sink.put(b->sink.self, &out, err);
    }
    while (it->given < it->rows) {
        hr_out out = {
            .object = it->object,
            .first = it->first + it->given,
            .rows = it->each,
            .bytes = it->row_bytes * it->each,
            .row_index = (uint64_t)(it->row_index + it->given),
            .batch = it->batch + it->given / it->each,
            .epoch = it->epoch,
        };
        if (it->object)
            hr__store_ref(store, it->object);
        hr_status status = b->sink.put(b->sink.self, &out, err);
        if (status != HR_OK) {
            if (it->object)
                hr__store_unref(store, it->object);
            return status;
        }
        it->given += it->each;
    }
    return HR_OK;
}

static void drop(void *self, void *item)
{
    hr_batcher *b = self;
    batch_item *it = item;
    hr_store *store = hr__runtime_store(b->config.runtime);
    gather_done(b, it);
    if (it->object)
        hr__store_unref(store, it->object);
    for (int32_t i = 0; i < it->source_count; i++) {
        hr__store_unref(store, it->sources[i].object);
        hr__free(it->sources[i].order);
    }
    hr__free(it->sources);
    *it = (batch_item){0};
}

static void ended(void *self, hr_status status, const hr_error *err)
{
    hr_batcher *b = self;
    if (b->sink.ended)
        b->sink.ended(b->sink.self, status, err);
}

// --- life ---

hr_status hr__batcher_open(const hr_read_config *read, const hr_batch_config *config,
                           const hr_out_sink *sink, hr_batcher **out, hr_error *err)
{
    static const hr_flow_ops ops = {sizeof(batch_item), take, work, give, drop, ended};
    hr_batcher *b = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *b, &b, err));
    b->config = *config;
    b->sink = *sink;
    hr__mutex_init(&b->mutex);
    hr_flow_config flow = {.name = "batch",
                           .level = config->level,
                           .window_slots = config->window_slots,
                           .window_bytes = config->window_bytes,
                           .busy = config->busy};
    hr_piece_sink reads = {.put = put, .ended = read_ended, .hungry = hungry, .self = b};
    *out = b; // the sink may be called before this returns
    HR_GO(hr__flow_open(config->runtime, &ops, b, &flow, &b->flow, err));
    // From here on the sink may be in a call that waits for a lock of our caller: on failure it closes what began.
    HR_TRY(hr__read_open(read, &reads, &b->read, err));
    hr__mutex_lock(&b->mutex);
    b->reading = true;
    hr__mutex_unlock(&b->mutex);
    hr__read_kick(b->read); // it may have been refused before it was known to be needed
    return HR_OK;
out:
    *out = NULL;
    hr__batcher_close(&b);
    return status;
}

void hr__batcher_kick(hr_batcher *batcher)
{
    hr__flow_kick(batcher->flow);
}

int64_t hr__batcher_dropped_rows(const hr_batcher *batcher)
{
    return atomic_load_explicit(&batcher->dropped_rows, memory_order_relaxed);
}

void hr__batcher_close(hr_batcher **batcher)
{
    hr_batcher *b = *batcher;
    *batcher = NULL;
    if (!b)
        return;
    // Either flow kicks the other, so both stand still before one of them is freed.
    hr__mutex_lock(&b->mutex);
    b->reading = false; // what is dropped from here on tells nobody
    hr__mutex_unlock(&b->mutex);
    if (b->flow)
        hr__flow_stop(b->flow);
    hr__read_close(&b->read);
    hr__flow_close(&b->flow);
    hr_store *store = hr__runtime_store(b->config.runtime);
    for (size_t i = b->queue_at; i < b->queue.count; i++)
        if (b->queue.items[i].object)
            hr__store_unref(store, b->queue.items[i].object);
    for (size_t i = b->carry_at; i < b->carry.count; i++)
        release_waiting(b, &b->carry.items[i]);
    HR_VEC_FINISH(&b->queue);
    HR_VEC_FINISH(&b->carry);
    hr__mutex_finish(&b->mutex);
    hr__free(b);
}
