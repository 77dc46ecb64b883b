// SPDX-License-Identifier: Apache-2.0
// The batcher: pieces in order become batches in order, as a flow of its own.
//
// Taking (batch_take.c) says what the next batches hold. Those that lie within one piece are views of it, and all that
// do are one item; a batch that spans pieces is gathered into an object of its own by a pool thread, and so are
// permuted rows, as many batches of a round at once as make a fair piece of work: they are views of what was gathered.
#include "plan/batch_parts.h"

#include <string.h>

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
        HR_VEC_DROP_FRONT(&b->queue, &b->queue_at);
        status = HR_VEC_PUSH(&b->queue, *piece, err);
        if (status == HR_OK)
            b->queue_bytes += (uint64_t)piece->bytes;
    }
    hr__mutex_unlock(&b->mutex);
    if (status == HR_OK) {
        if (b->config.blocks && (piece->object || piece->block))
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

static void read_stuck(void *self, uint64_t for_ns)
{
    hr_batcher *b = self;
    if (b->sink.stuck)
        b->sink.stuck(b->sink.self, for_ns);
}

static void stuck(void *self, const void *head, uint64_t for_ns)
{
    read_stuck(self, for_ns);
}

void hr__batcher_tell_hungry(hr_batcher *b)
{
    hr__mutex_lock(&b->mutex);
    bool reading = b->reading;
    hr__mutex_unlock(&b->mutex);
    if (reading && hungry(b))
        hr__read_kick(b->read);
}

static void gather_done(hr_batcher *b, hr_batch_item *it)
{
    if (!it->counted)
        return;
    it->counted = false;
    if (atomic_fetch_sub(&b->gathers, 1) == 1)
        hr__batcher_tell_hungry(b);
}

// --- gathering ---

static hr_status take(void *self, void *item, uint64_t *weight_bytes, hr_error *err)
{
    return hr__batch_take(self, item, weight_bytes, err);
}

static hr_status open_source(hr_batcher *b, const hr_gather_source *s, hr_block **out,
                             hr_error *err)
{
    hr_block *whole = NULL;
    HR_TRY(hr__store_block(hr__runtime_store(b->config.runtime), s->object, b->config.schema,
                           &whole, err));
    hr_status status = hr_block_slice(whole, s->first, s->rows, out, err);
    hr_block_unref(&whole);
    return status;
}

static hr_status open_sources(hr_batcher *b, const hr_batch_item *it, hr_gather_piece *pieces,
                              hr_error *err)
{
    for (int32_t i = 0; i < it->source_count; i++) {
        hr_block *part = NULL;
        HR_TRY(open_source(b, &it->sources[i], &part, err));
        pieces[i] = (hr_gather_piece){part, NULL, it->sources[i].rows};
    }
    return HR_OK;
}

static hr_status gather_in_order(hr_batcher *b, const hr_batch_item *it, const hr_target *target,
                                 hr_result *result, hr_error *err)
{
    hr_gather_piece *pieces = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(it->source_count, 1), sizeof *pieces, &pieces, err));
    HR_GO(open_sources(b, it, pieces, err));
    status = hr__gather(b->config.schema, pieces, it->source_count, target, result, err);
out:
    for (int32_t i = 0; i < it->source_count; i++) {
        hr_block *block = (hr_block *)(uintptr_t)pieces[i].block;
        hr_block_unref(&block);
    }
    hr__free(pieces);
    return status;
}

// Blocks of all sources, one after the other, and which of their rows.
typedef struct mixture {
    HR_VEC(hr_block *) blocks; // references
    HR_VEC(uint32_t) indexes;
    int64_t rows; // of the blocks
} mixture;

static hr_status add_source(hr_batcher *b, const hr_gather_source *s, mixture *m, hr_error *err)
{
    const hr_round *round = s->round;
    if (m->rows > UINT32_MAX - (round ? round->rows : s->rows))
        return HR_FAIL(err, HR_LIMIT, "a batch of too many rows");
    HR_TRY(HR_VEC_RESERVE(&m->indexes, (size_t)s->rows, err));
    HR_TRY(HR_VEC_RESERVE(&m->blocks, (size_t)(round ? round->block_count : 1), err));
    for (int64_t i = 0; i < s->rows; i++)
        m->indexes.items[m->indexes.count++] =
            (uint32_t)(m->rows + (round ? round->order[s->first + i] : i));
    for (int32_t i = 0; round && i < round->block_count; i++)
        m->blocks.items[m->blocks.count++] = hr_block_ref(round->blocks[i]);
    if (!round) {
        HR_TRY(open_source(b, s, &m->blocks.items[m->blocks.count], err));
        m->blocks.count++;
    }
    m->rows += round ? round->rows : s->rows;
    return HR_OK;
}

static void finish_mixture(mixture *m)
{
    for (size_t i = 0; i < m->blocks.count; i++)
        hr_block_unref(&m->blocks.items[i]);
    HR_VEC_FINISH(&m->blocks);
    HR_VEC_FINISH(&m->indexes);
}

// Row i of a padded batch is row (first + i) % rows of its sources.
static hr_status repeat(const hr_batch_item *it, mixture *m, hr_error *err)
{
    uint32_t *indexes = NULL;
    HR_TRY(hr__alloc((size_t)it->rows * sizeof *indexes, &indexes, err));
    for (int64_t i = 0; i < it->rows; i++)
        indexes[i] = m->indexes.items[(size_t)(it->first + i) % m->indexes.count];
    HR_VEC_FINISH(&m->indexes);
    m->indexes.items = indexes;
    m->indexes.count = m->indexes.capacity = (size_t)it->rows;
    return HR_OK;
}

static hr_status gather_mixed(hr_batcher *b, const hr_batch_item *it, const hr_target *target,
                              hr_result *result, hr_error *err)
{
    const hr_schema *schema = b->config.schema;
    hr_round *only = it->source_count == 1 && !it->cycle ? it->sources[0].round : NULL;
    hr_mixture of = {.rows = it->rows};
    mixture m = {0};
    hr_status status = HR_OK;
    for (int32_t i = 0; i < it->source_count; i++)
        if (it->sources[i].round)
            HR_TRY(hr__round_prepare(it->sources[i].round, schema, err));
    if (only) { // most: its order serves as it is
        of.blocks = only->blocks;
        of.count = only->block_count;
        of.indexes = only->order + it->sources[0].first;
        of.all = it->rows == only->rows;
        return hr__mix(schema, &of, target, result, err);
    }
    for (int32_t i = 0; i < it->source_count; i++)
        HR_GO(add_source(b, &it->sources[i], &m, err));
    if (it->cycle)
        HR_GO(repeat(it, &m, err));
    of.blocks = m.blocks.items;
    of.count = (int32_t)m.blocks.count;
    of.indexes = m.indexes.items;
    status = hr__mix(schema, &of, target, result, err);
out:
    finish_mixture(&m);
    return status;
}

static bool is_wanted(hr_batcher *b, const hr_batch_item *it)
{
    for (int64_t i = 0; i < it->count; i++)
        if (!b->sink.wanted || b->sink.wanted(b->sink.self, it->batch + i, it->epoch))
            return true;
    return false;
}

static hr_status work(void *self, void *item, bool oldest, hr_error *err)
{
    hr_batcher *b = self;
    hr_batch_item *it = item;
    hr_target target = {b->config.runtime, HR_PLACE_ARENA, oldest, b->config.share, NULL};
    hr_result result;
    if (it->kind == HR_ITEM_GATHER && !it->object && is_wanted(b, it)) {
        hr_status (*gather)(hr_batcher *, const hr_batch_item *, const hr_target *, hr_result *,
                            hr_error *) = b->rounds || it->cycle ? gather_mixed : gather_in_order;
        HR_TRY(gather(b, it, &target, &result, err));
        it->object = result.object;
        it->first = 0;
    }
    gather_done(b, it);
    return HR_OK;
}

// --- giving ---

static hr_status give_end(hr_batcher *b, const hr_batch_item *it, hr_error *err)
{
    hr_out out = {.batch = it->batch,
                  .row_index = (uint64_t)it->row_index,
                  .step_row = it->row_index,
                  .end_row = it->row_index,
                  .at = it->at,
                  .epoch = it->epoch,
                  .epoch_end = true};
    return b->sink.put(b->sink.self, &out, err);
}

static hr_out out_of(const hr_batch_item *it)
{
    const hr_cut *cut = &it->cut;
    hr_out out = {
        .object = it->object,
        .first = it->first + it->given_rows,
        .rows = it->rows,
        .row_index = (uint64_t)(it->row_index + it->given_rows),
        .batch = it->batch + it->given,
        .step_row = it->row_index,
        .end_row = it->row_index + it->rows,
        .at = it->at,
        .epoch = it->epoch,
    };
    if (cut->rows > 0) {
        int64_t rank = out.batch % cut->ranks;
        out.rows = hr__cut_part(cut, rank + 1) - hr__cut_part(cut, rank);
        out.step_row = hr__cut_step_row(cut, out.batch);
        out.end_row = it->end_row ? it->end_row : out.step_row + cut->rows;
    }
    out.bytes = it->row_bytes * out.rows;
    return out;
}

static hr_status give(void *self, void *item, hr_error *err)
{
    hr_batcher *b = self;
    hr_batch_item *it = item;
    hr_store *store = hr__runtime_store(b->config.runtime);
    if (it->kind == HR_ITEM_EPOCH_END)
        return give_end(b, it, err);
    for (; it->given < it->count; it->given++) {
        hr_out out = out_of(it);
        if (out.rows == 0) // of a tail
            continue;
        if (it->object)
            hr__store_ref(store, it->object);
        hr_status status = b->sink.put(b->sink.self, &out, err);
        if (status != HR_OK) {
            if (it->object)
                hr__store_unref(store, it->object);
            return status;
        }
        it->given_rows += out.rows;
    }
    return HR_OK;
}

static void drop(void *self, void *item)
{
    hr_batcher *b = self;
    hr_batch_item *it = item;
    hr_store *store = hr__runtime_store(b->config.runtime);
    gather_done(b, it);
    if (it->object)
        hr__store_unref(store, it->object);
    for (int32_t i = 0; i < it->source_count; i++) {
        hr__store_unref(store, it->sources[i].object);
        hr__round_unref(&it->sources[i].round);
    }
    hr__free(it->sources);
    *it = (hr_batch_item){0};
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
    static const hr_flow_ops ops = {sizeof(hr_batch_item), take, work, give, drop, ended};
    hr_batcher *b = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *b, &b, err));
    b->config = *config;
    b->sink = *sink;
    hr__mutex_init(&b->mutex);
    if (config->permute)
        HR_GO(hr__rounds_open(config->runtime, config->seed, config->start.round, &b->rounds, err));
    hr_flow_config flow = {.name = "batch",
                           .level = config->level,
                           .window_slots = config->window_slots,
                           .window_bytes = config->window_bytes,
                           .busy = config->busy,
                           .crew = config->crew,
                           .stuck = stuck};
    hr_piece_sink reads = {
        .put = put, .ended = read_ended, .hungry = hungry, .stuck = read_stuck, .self = b};
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

void hr__batcher_kick_read(hr_batcher *batcher)
{
    hr__read_kick(batcher->read);
}

int64_t hr__batcher_dropped_rows(const hr_batcher *batcher)
{
    return atomic_load_explicit(&batcher->dropped_rows, memory_order_relaxed);
}
int64_t hr__batcher_padded_rows(const hr_batcher *batcher)
{
    return atomic_load_explicit(&batcher->padded_rows, memory_order_relaxed);
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
    for (size_t i = b->queue_at; i < b->queue.count; i++) {
        hr__store_unref(store, b->queue.items[i].object);
        hr__free(b->queue.items[i].marks);
    }
    for (size_t i = b->carry_at; i < b->carry.count; i++)
        hr__waiting_release(b, &b->carry.items[i]);
    hr__rounds_close(&b->rounds);
    HR_VEC_FINISH(&b->queue);
    HR_VEC_FINISH(&b->carry);
    hr__mutex_finish(&b->mutex);
    hr__free(b);
}
