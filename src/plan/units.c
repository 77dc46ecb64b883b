// SPDX-License-Identifier: Apache-2.0
// Units: which fragment comes when. A pure function of (plan, epoch): no thread, worker or retry has a say.
//
// An iterator for each node of the pipe. Files are opened as they are reached (those behind are opened ahead on the
// io pool); a permutation needs the count of all fragments, so it opens all footers first.
#include "base/rng.h"
#include "plan/shuffle.h"
#include <string.h>

#define FILES_AHEAD         4
#define FILES_AHEAD_PASSING 16 // while units are passed over: nothing but footers is read

// A unit's name: this bit, the file, its fragment. Readers of JSON keep 53 bits.
#define NAMED         (1ll << 52)
#define FRAGMENT_BITS 24
#define FILE_BITS     28

struct hr_units {
    hr_pipe *pipe;
    uint64_t epoch;
    int64_t part, fragment; // leaf: where it stands
    hr_units **children;
    int32_t child_count, child;
    int64_t skipped, passed; // slice: rows (or units)
    HR_VEC(hr_unit) list;    // permutation
    uint32_t *order;
    size_t list_at;
    bool passing; // of files the footers alone are wanted
    struct inner_run *inner;
    hr_share *share; // borrowed
    hr_shuffler *shuffler;
    int64_t first_row; // of a shuffle: those before it are not wanted
    void (*rewake)(void *);
    void *rewake_context;
};

// --- an inner run: its batches are units ---

typedef struct inner_run {
    hr_mutex mutex;
    hr_out waiting;   // guards: mutex. One batch that waits to be taken
    bool full, over;  // guards: mutex
    hr_status status; // guards: mutex. When over
    hr_error error;
    int64_t *ends;
    hr_batcher *batcher;
    void (*rewake)(void *);
    void *rewake_context;
} inner_run;

static hr_status inner_put(void *self, const hr_out *out, hr_error *err)
{
    inner_run *r = self;
    if (out->epoch_end)
        return HR_OK;
    hr__mutex_lock(&r->mutex);
    bool full = r->full;
    if (!full) {
        r->waiting = *out;
        r->full = true;
    }
    hr__mutex_unlock(&r->mutex);
    if (full)
        return HR_AGAIN;
    r->rewake(r->rewake_context);
    return HR_OK;
}

static void inner_ended(void *self, hr_status status, const hr_error *err)
{
    inner_run *r = self;
    hr__mutex_lock(&r->mutex);
    r->over = true;
    r->status = status;
    r->error = *err;
    hr__mutex_unlock(&r->mutex);
    r->rewake(r->rewake_context);
}

static void inner_close(hr_runtime *rt, inner_run **run)
{
    inner_run *r = *run;
    *run = NULL;
    if (!r)
        return;
    hr__batcher_close(&r->batcher);
    if (r->full)
        hr__store_unref(hr__runtime_store(rt), r->waiting.object);
    hr__free(r->ends);
    hr__mutex_finish(&r->mutex);
    hr__free(r);
}

static hr_status inner_ends(inner_run *r, const hr_branch *b, hr_error *err)
{
    HR_TRY(hr__alloc_zero((size_t)b->inner_blocks, sizeof *r->ends, &r->ends, err));
    int64_t each = b->inner_rows / b->inner_blocks, more = b->inner_rows % b->inner_blocks, end = 0;
    for (int64_t i = 0; i < b->inner_blocks; i++)
        r->ends[i] = end += each + (i < more);
    return HR_OK;
}

static hr_status inner_open(hr_units *u, hr_error *err)
{
    hr_branch *b = u->pipe->branch;
    inner_run *r = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *r, &r, err));
    hr__mutex_init(&r->mutex);
    r->rewake = u->rewake;
    r->rewake_context = u->rewake_context;
    if (b->inner_blocks)
        HR_GO(inner_ends(r, b, err));
    hr_read_config read = {
        .pipe = b->inner,
        .share = u->share,
        .place = HR_PLACE_ARENA,
        .first_epoch = u->epoch,
        .epochs = 1,
        .task_bytes = b->inner_blocks ? 4 << 20 : 0,
        .task_bytes_max = (int64_t)(hr__runtime_arena_bytes(u->pipe->runtime) / 16),
        .window_slots = 2 * (uint32_t)hr_runtime_threads(u->pipe->runtime),
        .window_bytes = hr__runtime_arena_bytes(u->pipe->runtime) / 8,
        .level = 30,
        .busy = b->busy,
    };
    hr_batch_config batch = {
        .runtime = u->pipe->runtime,
        .share = u->share,
        .schema = b->origin_schema,
        .ends = r->ends,
        .end_count = b->inner_blocks,
        .limit_rows = b->inner_limit,
        .level = 20,
        .window_slots = 2,
        .window_bytes = read.window_bytes,
        .busy = b->busy,
    };
    hr_out_sink sink = {.put = inner_put, .ended = inner_ended, .self = r};
    HR_GO(hr__batcher_open(&read, &batch, &sink, &r->batcher, err));
    u->inner = r;
    return HR_OK;
out:
    inner_close(u->pipe->runtime, &r);
    return status;
}

static hr_status inner_next(hr_units *u, hr_unit *out, hr_error *err)
{
    if (!u->inner)
        HR_TRY(inner_open(u, err));
    inner_run *r = u->inner;
    hr_status status = HR_AGAIN;
    hr__mutex_lock(&r->mutex);
    if (r->full) {
        *out = (hr_unit){.branch = u->pipe->branch,
                         .fragment = r->waiting.batch,
                         .first = r->waiting.first,
                         .row_index = (int64_t)r->waiting.row_index,
                         .rows = r->waiting.rows,
                         .bytes = r->waiting.bytes,
                         .object = r->waiting.object};
        r->full = false;
        status = HR_OK;
    } else if (r->over) {
        status = r->status == HR_END ? HR_END : hr__error_copy(err, &r->error);
    }
    hr__mutex_unlock(&r->mutex);
    if (status == HR_OK)
        hr__batcher_kick(r->batcher);
    return status;
}

// --- a shuffle ---

static hr_status shuffled_next(hr_units *u, hr_unit *out, hr_error *err)
{
    hr_branch *b = u->pipe->branch;
    hr_shuffle_config config = {
        .inner = b->inner,
        .schema = b->inner->schema,
        .program = b->shuffle_program,
        .seed = b->shuffle_seed,
        .epoch = u->epoch,
        .align_rows = b->align_rows,
        .unit_rows = b->unit_rows,
        .first_row = u->first_row,
        .busy = b->busy,
        .share = u->share,
        .rewake = u->rewake,
        .rewake_context = u->rewake_context,
    };
    if (!u->shuffler)
        HR_TRY(hr__shuffle_open(&config, &u->shuffler, err));
    HR_TRY(hr__shuffle_next(u->shuffler, out, err));
    out->branch = b;
    return HR_OK;
}

// --- leaves ---

static hr_status next_of_files(hr_units *u, hr_unit *out, hr_error *err)
{
    hr_files *files = u->pipe->branch->origin->files;
    while ((size_t)u->part < hr__files_count(files)) {
        const hr_fragment_info *infos;
        int32_t count;
        if (u->fragment == 0) {
            int64_t most = u->passing ? FILES_AHEAD_PASSING : FILES_AHEAD;
            for (int64_t ahead = 1; ahead <= most; ahead++)
                hr__files_will_need(files, (size_t)(u->part + ahead), u->passing);
        }
        HR_TRY(hr__files_fragments(files, (size_t)u->part, &infos, &count, err));
        if (u->fragment < count) {
            *out = (hr_unit){.branch = u->pipe->branch,
                             .part = u->part,
                             .fragment = u->fragment,
                             .rows = infos[u->fragment].rows,
                             .bytes = infos[u->fragment].decoded_bytes};
            u->fragment++;
            return HR_OK;
        }
        u->part++;
        u->fragment = 0;
    }
    return HR_END;
}

static hr_status next_of_leaf(hr_units *u, hr_unit *out, hr_error *err)
{
    hr_branch *b = u->pipe->branch;
    if (b->shuffled)
        return shuffled_next(u, out, err);
    if (b->inner)
        return inner_next(u, out, err);
    const hr_node *n = b->origin;
    int64_t i = u->fragment;
    switch (n->kind) {
    case HR_NODE_FILES:
        return next_of_files(u, out, err);
    case HR_NODE_READER:
        if (i >= n->reader->fragment_count)
            return HR_END;
        *out = (hr_unit){.branch = b,
                         .fragment = i,
                         .rows = n->reader->fragments[i].rows,
                         .bytes = n->reader->fragments[i].decoded_bytes};
        break;
    case HR_NODE_BLOCKS:
        if (i >= n->block_count)
            return HR_END;
        *out = (hr_unit){.branch = b,
                         .fragment = i,
                         .rows = hr_block_rows(n->blocks[i]),
                         .bytes = hr_block_bytes(n->blocks[i])};
        break;
    default:
        HR_ASSERT(n->kind == HR_NODE_SERIES);
        if (i >= (int64_t)n->kept.count)
            return HR_END;
        *out = (hr_unit){
            .branch = b, .fragment = i, .rows = n->kept.rows[i], .bytes = n->kept.bytes[i]};
        break;
    }
    u->fragment++;
    return HR_OK;
}

// --- inner nodes ---

static hr_status next_of_concat(hr_units *u, hr_unit *out, hr_error *err)
{
    while (u->child < u->child_count) {
        hr_status status = hr__units_next(u->children[u->child], out, err);
        if (status != HR_END)
            return status;
        u->child++;
    }
    return HR_END;
}

static hr_status next_of_slice(hr_units *u, hr_unit *out, hr_error *err)
{
    const hr_pipe *p = u->pipe;
    for (;;) {
        if (p->rows >= 0 && u->passed >= p->rows)
            return HR_END;
        HR_TRY(hr__units_next(u->children[0], out, err));
        int64_t size = p->by_units ? 1 : out->rows;
        int64_t skip = HR_MIN(p->skip - u->skipped, size);
        u->skipped += skip;
        if (skip == size && size > 0) {
            if (out->object)
                hr__store_unref(hr__runtime_store(p->runtime), out->object);
            continue;
        }
        int64_t keep = size - skip;
        if (p->rows >= 0)
            keep = HR_MIN(keep, p->rows - u->passed);
        u->passed += keep;
        if (!p->by_units && out->rows > 0) {
            out->bytes = (int64_t)((double)out->bytes * (double)keep / (double)out->rows);
            out->first += skip;
            out->rows = keep;
        }
        return HR_OK;
    }
}

static hr_status open_footers(const hr_pipe *p, hr_error *err)
{
    if (p->kind == HR_PIPE_LEAF && p->branch->origin && p->branch->origin->kind == HR_NODE_FILES)
        HR_TRY(hr__files_open_all(p->branch->origin->files, err));
    for (int32_t i = 0; i < p->child_count; i++)
        HR_TRY(open_footers(p->children[i], err));
    return HR_OK;
}

hr_status hr__pipe_add_footers(const hr_pipe *p, uint64_t *h, hr_error *err)
{
    const hr_node *n = p->branch ? p->branch->origin : NULL;
    if (n && n->kind == HR_NODE_FILES)
        HR_TRY(hr__files_add_footers(n->files, h, err));
    if (p->branch && p->branch->inner)
        HR_TRY(hr__pipe_add_footers(p->branch->inner, h, err));
    for (int32_t i = 0; i < p->child_count; i++)
        HR_TRY(hr__pipe_add_footers(p->children[i], h, err));
    return HR_OK;
}

// Goes on where it stopped when an inner run had nothing yet.
static hr_status fill_list(hr_units *u, hr_error *err)
{
    hr_unit unit;
    hr_status status;
    if (u->list.count == 0)
        HR_TRY(open_footers(u->pipe, err));
    hr__units_set_passing(u->children[0], true);
    while ((status = hr__units_next(u->children[0], &unit, err)) == HR_OK)
        HR_TRY(HR_VEC_PUSH(&u->list, unit, err));
    if (status != HR_END)
        return status;
    HR_TRY(hr__alloc_zero(HR_MAX(u->list.count, 1), sizeof *u->order, &u->order, err));
    hr__rng_permute(u->pipe->seed, hr__rng_stream(HR_RNG_BLOCK_ORDER, u->epoch), u->order,
                    (uint32_t)u->list.count);
    return HR_OK;
}

static hr_status next_of_permutation(hr_units *u, hr_unit *out, hr_error *err)
{
    if (!u->order)
        HR_TRY(fill_list(u, err));
    if (u->list_at >= u->list.count)
        return HR_END;
    *out = u->list.items[u->order[u->list_at++]];
    return HR_OK;
}

hr_status hr__units_next(hr_units *units, hr_unit *out, hr_error *err)
{
    switch (units->pipe->kind) {
    case HR_PIPE_LEAF:
        HR_TRY(next_of_leaf(units, out, err));
        out->epoch = units->epoch;
        return HR_OK;
    case HR_PIPE_CONCAT:
        return next_of_concat(units, out, err);
    case HR_PIPE_SLICE:
        return next_of_slice(units, out, err);
    case HR_PIPE_PERMUTE:
        return next_of_permutation(units, out, err);
    }
    return HR_END;
}

hr_status hr__units_open(hr_pipe *pipe, hr_share *share, uint64_t epoch, void (*rewake)(void *),
                         void *rewake_context, hr_units **out, hr_error *err)
{
    hr_units *u = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *u, &u, err));
    *u = (hr_units){.pipe = pipe,
                    .share = share,
                    .epoch = epoch,
                    .rewake = rewake,
                    .rewake_context = rewake_context};
    HR_GO(hr__alloc_zero((size_t)HR_MAX(pipe->child_count, 1), sizeof *u->children, &u->children,
                         err));
    for (; u->child_count < pipe->child_count; u->child_count++)
        HR_GO(hr__units_open(pipe->children[u->child_count], share, epoch, rewake, rewake_context,
                             &u->children[u->child_count], err));
    *out = u;
    return HR_OK;
out:
    hr__units_close(&u);
    return status;
}

void hr__units_close(hr_units **units)
{
    hr_units *u = *units;
    *units = NULL;
    if (!u)
        return;
    inner_close(u->pipe->runtime, &u->inner);
    hr__shuffle_close(&u->shuffler);
    for (int32_t i = 0; i < u->child_count; i++)
        hr__units_close(&u->children[i]);
    for (size_t i = u->list_at; i < u->list.count; i++) {
        hr_object_id object = u->list.items[u->order ? u->order[i] : i].object;
        if (object)
            hr__store_unref(hr__runtime_store(u->pipe->runtime), object);
    }
    hr__free(u->children);
    HR_VEC_FINISH(&u->list);
    hr__free(u->order);
    hr__free(u);
}

void hr__units_set_passing(hr_units *u, bool passing)
{
    u->passing = passing;
    for (int32_t i = 0; i < u->child_count; i++)
        hr__units_set_passing(u->children[i], passing);
}

static hr_files *files_in_order(const hr_pipe *p)
{
    const hr_branch *b = p->kind == HR_PIPE_LEAF ? p->branch : NULL;
    bool plain = b && !b->shuffled && !b->inner && b->origin && b->origin->kind == HR_NODE_FILES;
    return plain ? b->origin->files : NULL;
}

int64_t hr__unit_name(const hr_pipe *pipe, const hr_unit *unit)
{
    if (!files_in_order(pipe) || unit->part >> FILE_BITS || unit->fragment >> FRAGMENT_BITS)
        return -1;
    return NAMED | unit->part << FRAGMENT_BITS | unit->fragment;
}

bool hr__unit_is_named(int64_t number)
{
    return number >= NAMED;
}

hr_status hr__units_enter(hr_units *u, int64_t name, hr_error *err)
{
    hr_files *files = files_in_order(u->pipe);
    int64_t part = (name - NAMED) >> FRAGMENT_BITS;
    if (!files || name < NAMED || part >= (int64_t)hr__files_count(files))
        return HR_FAIL(err, HR_INVALID, "position: there is no unit %lld", (long long)name);
    u->part = part;
    u->fragment = name & ((1 << FRAGMENT_BITS) - 1);
    for (int64_t ahead = 1; ahead <= FILES_AHEAD; ahead++)
        hr__files_will_need(files, (size_t)(part + ahead), false);
    return HR_OK;
}

bool hr__units_pass(hr_units *u, int64_t rows)
{
    const hr_branch *b = u->pipe->branch;
    if (!b || !b->shuffled || b->stage_count)
        return false;
    u->first_row = rows;
    return true;
}

// --- counting ---

typedef struct largest {
    int64_t unit_bytes, unit_rows, row_bytes;
} largest;

int64_t hr__unit_row_bytes(const hr_unit *u)
{
    return HR_MAX(HR_MAX(1, u->branch->made_row_bytes), u->bytes / HR_MAX(u->rows, 1));
}

static void note_unit(largest *l, int64_t rows, int64_t bytes)
{
    l->unit_bytes = HR_MAX(l->unit_bytes, bytes);
    l->unit_rows = HR_MAX(l->unit_rows, rows);
    l->row_bytes = HR_MAX(l->row_bytes, bytes / HR_MAX(rows, 1));
}

static void note_units(const hr_pipe *pipe, largest *l)
{
    const hr_node *n = pipe->branch ? pipe->branch->origin : NULL;
    for (int32_t i = 0; i < pipe->child_count; i++)
        note_units(pipe->children[i], l);
    if (pipe->branch && pipe->branch->inner)
        note_units(pipe->branch->inner, l);
    if (n && n->kind == HR_NODE_FILES) {
        const hr_fragment_info *infos;
        int32_t count = 0;
        if (hr__files_fragments(n->files, 0, &infos, &count, NULL) == HR_OK)
            for (int32_t f = 0; f < count; f++)
                note_unit(l, infos[f].rows, infos[f].decoded_bytes);
    } else if (n && n->kind == HR_NODE_READER) {
        for (int32_t f = 0; f < n->reader->fragment_count; f++)
            note_unit(l, n->reader->fragments[f].rows, n->reader->fragments[f].decoded_bytes);
    } else if (n && n->kind == HR_NODE_BLOCKS) {
        for (int32_t i = 0; i < n->block_count; i++)
            note_unit(l, hr_block_rows(n->blocks[i]), hr_block_bytes(n->blocks[i]));
    } else if (n && n->kind == HR_NODE_SERIES) {
        for (size_t i = 0; i < n->kept.count; i++)
            note_unit(l, n->kept.rows[i], n->kept.bytes[i]);
    }
}

int64_t hr__pipe_unit_bytes(const hr_pipe *pipe)
{
    largest l = {0};
    note_units(pipe, &l);
    int64_t made = pipe->branch ? pipe->branch->made_row_bytes : 0;
    return HR_MAX(l.unit_bytes, (int64_t)HR_MIN((double)made * (double)l.unit_rows, 1e15));
}

int64_t hr__pipe_unit_rows(const hr_pipe *pipe)
{
    largest l = {0};
    note_units(pipe, &l);
    return l.unit_rows;
}

int64_t hr__pipe_source_row_bytes(const hr_pipe *pipe)
{
    largest l = {0};
    note_units(pipe, &l);
    return l.row_bytes;
}

int64_t hr__pipe_row_bytes(const hr_pipe *pipe)
{
    largest l = {0};
    int64_t fixed = 0;
    note_units(pipe, &l);
    for (int32_t i = 0; i < hr_schema_count(pipe->schema); i++) // packing may widen rows
        fixed += hr_type_row_bytes(hr_schema_field(pipe->schema, i)->type);
    return HR_MAX(l.row_bytes, fixed);
}

static hr_status count_leaf(const hr_branch *b, int64_t *count, int64_t *bytes, hr_error *err)
{
    if (b->inner) {
        int64_t inner = 0, inner_bytes = 0;
        HR_TRY(hr__pipe_count_units(b->inner, &inner, &inner_bytes, err));
        *count += b->inner_blocks ? b->inner_blocks : inner;
        *bytes += inner_bytes;
        return HR_OK;
    }
    const hr_node *n = b->origin;
    if (n->kind == HR_NODE_FILES) {
        HR_TRY(hr__files_open_all(n->files, err));
        for (size_t i = 0; i < hr__files_count(n->files); i++) {
            const hr_fragment_info *infos;
            int32_t fragments;
            HR_TRY(hr__files_fragments(n->files, i, &infos, &fragments, err));
            *count += fragments;
            for (int32_t f = 0; f < fragments; f++)
                *bytes += infos[f].decoded_bytes;
        }
    } else if (n->kind == HR_NODE_READER) {
        *count += n->reader->fragment_count;
        for (int32_t f = 0; f < n->reader->fragment_count; f++)
            *bytes += n->reader->fragments[f].decoded_bytes;
    } else if (n->kind == HR_NODE_BLOCKS) {
        *count += n->block_count;
        for (int32_t i = 0; i < n->block_count; i++)
            *bytes += hr_block_bytes(n->blocks[i]);
    } else {
        *count += (int64_t)n->kept.count;
        *bytes += n->kept.total_bytes;
    }
    return HR_OK;
}

// A slice by rows over units that are known: walked, as its units are.
static hr_status count_slice(hr_pipe *pipe, int64_t *count, int64_t *bytes, hr_error *err)
{
    hr_units *u = NULL;
    hr_unit unit;
    hr_status status;
    HR_TRY(open_footers(pipe, err));
    HR_TRY(hr__units_open(pipe, NULL, 0, NULL, NULL, &u, err));
    while ((status = hr__units_next(u, &unit, err)) == HR_OK) {
        *count += 1;
        *bytes += unit.bytes;
    }
    hr__units_close(&u);
    return status == HR_END ? HR_OK : status;
}

hr_status hr__pipe_count_units(hr_pipe *pipe, int64_t *count_out, int64_t *bytes_out, hr_error *err)
{
    int64_t count = 0, bytes = 0;
    if (pipe->kind == HR_PIPE_LEAF) {
        HR_TRY(count_leaf(pipe->branch, &count, &bytes, err));
    } else if (pipe->kind == HR_PIPE_SLICE && !hr__pipe_has_inner(pipe)) {
        HR_TRY(count_slice(pipe, &count, &bytes, err));
    } else {
        for (int32_t i = 0; i < pipe->child_count; i++) {
            int64_t c, b;
            HR_TRY(hr__pipe_count_units(pipe->children[i], &c, &b, err));
            count += c;
            bytes += b;
        }
        if (pipe->kind == HR_PIPE_SLICE && pipe->by_units)
            count = pipe->rows < 0 ? HR_MAX(count - pipe->skip, 0) : HR_MIN(count, pipe->rows);
    }
    *count_out = count;
    *bytes_out = bytes;
    return HR_OK;
}
