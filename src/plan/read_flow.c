// SPDX-License-Identifier: Apache-2.0
// The read flow: units of epoch after epoch, cut in tasks, worked on by the pool, put into a sink in order.
//
// How rows are cut depends on footers, options and the plan, never on threads or free memory: a task aims at
// task_bytes of decoded data; it ends where a batch ends when row counts are exact (so that batches are views of it),
// and at multiples of a function's batch_rows counted from the fragment's start when there is a function (so that it
// gets the same input batches in every run). For a window shuffle units are dealt to lanes, and lanes.c says what comes
// next. A run may begin within an epoch: at a unit, and a row in it from which tasks were cut before; or at a round.
#include "plan/lanes.h"
#include <stdatomic.h>
#include <string.h>

#define ROW_BLOCK 64 // tasks begin at whole words of a validity bitmap, when nothing else decides

typedef struct cursor {
    hr_node *node; // borrowed: the pipe holds it
    hr_series_cursor *cursor;
} cursor;

struct hr_read_flow {
    hr_read_config config;
    hr_share *share; // owned, when none was given
    hr_piece_sink sink;
    hr_flow *flow;
    bool exact;
    // the taker's
    uint64_t epoch;
    int64_t epochs_left; // -1: endless
    hr_units *units;
    hr_lanes *lanes;              // instead of units
    hr_unit_run *current, *ahead; // references
    bool units_over;
    hr_status ahead_status; // of looking ahead: told when its turn comes
    hr_error ahead_error;
    int64_t at, unit_index, epoch_rows;
    int64_t start_unit; // of the start, as units are counted here; -1: not looked at
    bool placed,
        resumed; // in the first epoch: at its start's unit and row; behind what is passed over
    bool begun;  // some item of this epoch was taken
    HR_VEC(cursor) cursors;
    hr_hints hints;
    _Atomic bool stopping;
    // the giver's
    int64_t order_row;
};

typedef struct read_item {
    hr_task task;
    uint64_t epoch;
    int64_t unit_index;
    int32_t lane;
    int64_t rounds_ready;
    int64_t order_row; // before the epoch's first item; -1: not its first
    bool epoch_end;
    bool lacking; // nothing goes on without it, and there was no room
    void *state;  // reductions
} read_item;

// --- taking ---

static void rewake(void *context)
{
    hr_read_flow *r = context;
    hr__flow_kick(r->flow); // only a taker opens inner runs, and they are closed before the flow
}

static hr_status find_unit(hr_read_flow *r, hr_unit *unit, hr_error *err)
{
    if (r->units_over)
        return HR_END;
    do {
        hr_status status = hr__units_next(r->units, unit, err);
        r->units_over = status == HR_END;
        HR_TRY(status);
    } while (unit->rows == 0);
    return HR_OK;
}

static void drop_unit(const hr_read_flow *r, const hr_unit *unit)
{
    if (unit->object)
        hr__store_unref(hr__runtime_store(r->config.pipe->runtime), unit->object);
}

// Takes the unit, also on failure. `row`: of it, from which on it is wanted.
static hr_status make_run(hr_read_flow *r, const hr_unit *unit, int64_t row, hr_unit_run **out,
                          hr_error *err)
{
    hr_status status = hr__unit_run_make(r->config.pipe->runtime, unit, out, err);
    if (status != HR_OK)
        drop_unit(r, unit);
    else
        (*out)->from += row;
    return status;
}

static hr_status next_run(hr_read_flow *r, hr_unit_run **out, hr_error *err)
{
    hr_unit unit;
    HR_TRY(find_unit(r, &unit, err));
    return make_run(r, &unit, 0, out, err);
}

static hr_status move_cursor(hr_read_flow *r, const hr_unit *unit, hr_error *err)
{
    hr_node *n = unit->branch->origin;
    cursor *found = NULL;
    if (!n || n->kind != HR_NODE_SERIES)
        return HR_OK;
    for (size_t i = 0; i < r->cursors.count && !found; i++)
        if (r->cursors.items[i].node == n)
            found = &r->cursors.items[i];
    if (!found) {
        cursor made = {.node = n};
        HR_TRY(HR_VEC_RESERVE(&r->cursors, 1, err));
        HR_TRY(hr__series_cursor_open(n->kept.series, r->config.epochs != 1, &made.cursor, err));
        found = &r->cursors.items[r->cursors.count];
        r->cursors.items[r->cursors.count++] = made;
    }
    hr__series_cursor_move(found->cursor, (size_t)unit->fragment);
    return HR_OK;
}

// A unit became the current one: has the one behind it read ahead where bytes come from files.
static hr_status begin_unit(hr_read_flow *r, hr_error *err)
{
    r->at = r->current->from;
    r->unit_index++;
    HR_TRY(move_cursor(r, &r->current->unit, err));
    const hr_node *n = r->current->unit.branch->origin;
    if (n && n->kind == HR_NODE_FILES) {
        hr_status status = next_run(r, &r->ahead, &r->ahead_error);
        if (status < 0)
            r->ahead_status = status;
        if (status == HR_OK && r->ahead->unit.branch->origin &&
            r->ahead->unit.branch->origin->kind == HR_NODE_FILES)
            hr__unit_run_will_need(r->ahead, &r->hints);
    }
    return HR_OK;
}

static hr_status next_unit(hr_read_flow *r, hr_error *err)
{
    if (r->ahead) {
        r->current = r->ahead;
        r->ahead = NULL;
    } else if (r->ahead_status != HR_OK) {
        (void)hr__error_copy(err, &r->ahead_error);
        return r->ahead_status;
    } else {
        HR_TRY(next_run(r, &r->current, err));
    }
    return begin_unit(r, err);
}

static bool is_first_epoch(const hr_read_flow *r)
{
    return r->epoch == r->config.first_epoch;
}

static int64_t cut_rows(const hr_read_flow *r)
{
    const hr_unit *u = &r->current->unit;
    const hr_read_config *c = &r->config;
    int64_t left = u->first + u->rows - r->at, function_rows = u->branch->function_rows;
    int64_t aim = c->task_bytes;
    if (aim == 0 && c->task_bytes_max > 0 && u->bytes > c->task_bytes_max)
        aim = c->task_bytes_max;
    if (aim == 0)
        return left;
    int64_t n = HR_MAX(1, aim / hr__unit_row_bytes(u));
    if (function_rows) {
        n = HR_MAX(function_rows, n / function_rows * function_rows);
    } else if (c->align_rows && r->exact) { // then no branch has a function
        int64_t from = is_first_epoch(r) ? c->pass_rows : 0;
        int64_t to_end = (c->align_rows - (r->epoch_rows - from) % c->align_rows) % c->align_rows;
        n = to_end +
            HR_MAX(to_end ? 0 : c->align_rows, (n - to_end) / c->align_rows * c->align_rows);
    } else if (n > ROW_BLOCK) {
        n = n / ROW_BLOCK * ROW_BLOCK;
    }
    return HR_MIN(n, left);
}

static hr_status begin_lanes(hr_read_flow *r, hr_error *err)
{
    hr_lanes_config lanes = {.lanes = r->config.lanes,
                             .window_rows = r->config.window_rows,
                             .task_bytes = r->config.task_bytes,
                             .share = r->config.share,
                             .first_round = is_first_epoch(r) ? r->config.start.unit : 0,
                             .hints = &r->hints,
                             .rewake = rewake,
                             .rewake_context = r};
    return hr__lanes_open(r->config.pipe, r->epoch, &lanes, &r->lanes, err);
}

static hr_status begin_epoch(hr_read_flow *r, hr_error *err)
{
    if (r->epochs_left == 0)
        return HR_END;
    if (r->config.may_begin && !r->config.may_begin(r->config.may_begin_context, r->epoch))
        return HR_AGAIN;
    r->begun = false;
    if (r->config.lanes) {
        r->epoch_rows = is_first_epoch(r) ? r->config.start.order_row : 0;
        return begin_lanes(r, err);
    }
    HR_TRY(hr__units_open(r->config.pipe, r->config.share, r->epoch, rewake, r, &r->units, err));
    r->units_over = false;
    r->unit_index = -1;
    r->epoch_rows = 0;
    r->resumed = !is_first_epoch(r);
    return HR_OK;
}

static int64_t rows_left(const hr_read_flow *r)
{
    return r->current->unit.first + r->current->unit.rows - r->at;
}

static void advance(hr_read_flow *r, int64_t rows)
{
    r->at += rows;
    r->epoch_rows += rows;
    if (rows_left(r) == 0)
        hr__unit_run_unref(&r->current);
}

// How many rows of a unit lie before where an earlier life was; all of them, and it is not begun.
static int64_t rows_before(hr_read_flow *r, const hr_unit *unit, int64_t index)
{
    const hr_place_in_order *start = &r->config.start;
    int64_t passed = 0;
    if (index < r->start_unit)
        return unit->rows;
    if (!r->placed) {
        passed = HR_MIN(start->unit_row, unit->rows);
        r->epoch_rows = start->order_row;
        r->placed = true;
    }
    if (r->exact) { // as many rows come out as go in: what was delivered need not be read
        int64_t more = HR_MIN(unit->rows - passed, r->config.pass_rows - r->epoch_rows);
        passed += HR_MAX(more, 0);
        r->epoch_rows += HR_MAX(more, 0);
    }
    return passed;
}

// Goes on from where an earlier life was: units before it are passed over, and where as many rows come out as go in,
// rows too, without reading them. Called again when it had to wait.
static hr_status resume(hr_read_flow *r, hr_error *err)
{
    int64_t start = r->config.start.unit;
    hr_unit unit;
    if (!r->placed && hr__units_pass(r->units, r->config.pass_rows)) {
        HR_TRY(next_unit(r, err));
        r->epoch_rows = r->current->unit.row_index;
        r->placed = r->resumed = true;
        return HR_OK;
    }
    if (r->start_unit < 0 && hr__unit_is_named(start))
        HR_TRY(hr__units_enter(r->units, start, err));
    r->start_unit = hr__unit_is_named(start) ? 0 : start;
    hr__units_set_passing(r->units, true);
    while (!r->placed || (r->exact && r->epoch_rows < r->config.pass_rows)) {
        HR_TRY(find_unit(r, &unit, err));
        int64_t passed = rows_before(r, &unit, r->unit_index + 1);
        if (passed == unit.rows) {
            drop_unit(r, &unit);
            r->unit_index++;
            continue;
        }
        hr__units_set_passing(r->units, false);
        HR_TRY(make_run(r, &unit, passed, &r->current, err));
        HR_TRY(begin_unit(r, err));
    }
    hr__units_set_passing(r->units, false);
    r->resumed = true;
    return HR_OK;
}

static void end_epoch(hr_read_flow *r, read_item *it)
{
    hr__units_close(&r->units);
    hr__lanes_close(&r->lanes);
    it->epoch_end = true;
    it->epoch = r->epoch++;
    if (r->epochs_left > 0)
        r->epochs_left--;
}

static hr_status take_of_units(hr_read_flow *r, read_item *it, hr_error *err)
{
    if (!r->resumed)
        HR_TRY(resume(r, err));
    if (!r->current)
        HR_TRY(next_unit(r, err));
    it->unit_index = r->unit_index;
    it->task.unit = hr__unit_run_ref(r->current);
    it->task.first = r->at;
    it->task.rows = cut_rows(r);
    return HR_OK;
}

static hr_status take_of_lanes(hr_read_flow *r, read_item *it, hr_error *err)
{
    hr_lane_piece piece;
    HR_TRY(hr__lanes_next(r->lanes, &piece, err));
    it->lane = piece.lane;
    it->rounds_ready = piece.rounds_ready;
    it->task.unit = piece.run;
    it->task.first = piece.first;
    it->task.rows = piece.rows;
    it->task.marks = piece.marks;
    return move_cursor(r, &piece.run->unit, err); // the item is dropped with what it has
}

static hr_status take(void *self, void *item, uint64_t *weight_bytes, hr_error *err)
{
    hr_read_flow *r = self;
    read_item *it = item;
    if (!r->units && !r->lanes)
        HR_TRY(begin_epoch(r, err));
    *it = (read_item){.epoch = r->epoch, .order_row = -1};
    it->task.place = r->config.place;
    it->task.share = r->config.share;
    it->task.stop = &r->stopping;
    hr_status status = r->lanes ? take_of_lanes(r, it, err) : take_of_units(r, it, err);
    if (status != HR_OK && status != HR_END)
        return status;
    if (!r->begun)
        it->order_row = r->epoch_rows;
    r->begun = true;
    if (status == HR_END) {
        end_epoch(r, it);
        return HR_OK;
    }
    *weight_bytes = (uint64_t)(it->task.rows * hr__unit_row_bytes(&it->task.unit->unit));
    if (!r->lanes)
        advance(r, it->task.rows);
    return HR_OK;
}

// --- working ---

static hr_status reduce_item(hr_read_flow *r, read_item *it, hr_error *err)
{
    if (!it->state)
        HR_TRY(hr__alloc_zero(1, r->sink.state_bytes, &it->state, err));
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_TRANSFORM);
    hr_status status = r->sink.step(r->sink.self, it->task.block, it->state, err);
    hr__busy_leave(mark);
    if (status == HR_OK)
        hr_block_unref(&it->task.block);
    return status;
}

static hr_status work(void *self, void *item, bool oldest, hr_error *err)
{
    hr_read_flow *r = self;
    read_item *it = item;
    if (it->epoch_end)
        return HR_OK;
    bool urgent = oldest && (!r->sink.hungry || r->sink.hungry(r->sink.self));
    it->task.oldest = oldest;
    hr_status status = hr__task_run(&it->task, urgent, err);
    it->lacking = urgent && status == HR_AGAIN;
    if (status == HR_LIMIT && !urgent) // nobody needs it yet: memory comes back, or the sink asks
        return HR_AGAIN;
    HR_TRY(status);
    return r->sink.step ? reduce_item(r, it, err) : HR_OK;
}

// What is done behind it may hold the room that the oldest lacks: pieces can be larger than footers say.
static bool undo(void *self, const void *head_, void *item)
{
    const read_item *head = head_;
    read_item *it = item;
    return head->lacking && !it->epoch_end && hr__task_undo(&it->task);
}

static void stuck(void *self, const void *head_, uint64_t for_ns)
{
    hr_read_flow *r = self;
    const read_item *head = head_;
    if (head->lacking && r->sink.stuck)
        r->sink.stuck(r->sink.self, for_ns);
}

// --- giving ---

static hr_status give(void *self, void *item, hr_error *err)
{
    hr_read_flow *r = self;
    read_item *it = item;
    hr_task *t = &it->task;
    if (it->order_row >= 0) {
        r->order_row = it->order_row;
        it->order_row = -1; // given again when there was no room
    }
    hr_piece piece = {
        .object = t->object,
        .block = t->block,
        .first = t->out_first,
        .rows = t->out_rows,
        .bytes = t->out_bytes,
        .unit = it->unit_index,
        .start = {.unit = it->unit_index, .order_row = r->order_row},
        .epoch = (uint32_t)it->epoch,
        .epoch_end = it->epoch_end,
        .lane = it->lane,
        .rounds_ready = it->rounds_ready,
        .marks = t->marks,
    };
    if (!it->epoch_end) {
        int64_t name = hr__unit_name(r->config.pipe, &t->unit->unit);
        piece.start.unit_row = t->first - t->unit->unit.first;
        piece.start.unit = name < 0 ? it->unit_index : name;
    }
    bool empty = !piece.rows && !piece.block && !piece.marks;
    if (it->epoch_end || !empty) {
        if (r->sink.step && !it->epoch_end)
            HR_TRY(r->sink.put_state(r->sink.self, it->state, err));
        else if (r->sink.put)
            HR_TRY(r->sink.put(r->sink.self, &piece, err));
        t->object = 0; // they went with the piece
        t->block = NULL;
        t->marks = NULL;
    } else if (r->sink.step) {
        HR_TRY(r->sink.put_state(r->sink.self, it->state, err));
    }
    r->order_row += piece.rows;
    if (!it->epoch_end)
        hr__stage_stats_task(r->config.stats, (double)t->wall_ns / 1e9, (double)t->cpu_ns / 1e9,
                             piece.rows, piece.bytes);
    return HR_OK;
}

static void drop(void *self, void *item)
{
    read_item *it = item;
    hr__task_finish(&it->task);
    hr__free(it->state);
    it->state = NULL;
}

static bool reads_kept(const hr_pipe *p)
{
    if (p->branch && p->branch->origin && p->branch->origin->kind == HR_NODE_SERIES)
        return true;
    for (int32_t i = 0; i < p->child_count; i++)
        if (reads_kept(p->children[i]))
            return true;
    return false;
}

static void ended(void *self, hr_status status, const hr_error *err)
{
    hr_read_flow *r = self;
    if (status == HR_END)
        hr__stage_stats_end(r->config.stats);
    if (r->sink.ended)
        r->sink.ended(r->sink.self, status, err);
}

// --- life ---

static hr_status open_share(hr_read_flow *r, hr_error *err)
{
    const hr_read_config *c = &r->config;
    hr_runtime *rt = c->pipe->runtime;
    uint64_t piece = (uint64_t)hr__pipe_unit_bytes(c->pipe);
    uint64_t arena = hr__runtime_arena_bytes(rt);
    bool inner = hr__pipe_has_inner(c->pipe);
    if (c->share || (c->place != HR_PLACE_ARENA && !inner))
        return HR_OK;
    if (c->task_bytes_max)
        piece = HR_MIN(piece, (uint64_t)c->task_bytes_max);
    uint64_t least = piece / 8 * 9;
    if (inner)
        least = HR_MAX(4 * least, arena / 4);
    hr_share_want want = {.least = least, .good = least + 4 * piece};
    want.fast = want.good + c->window_bytes;
    HR_TRY(hr__share_open(hr__runtime_store(rt), &want, &r->share, err));
    r->config.share = r->share;
    return HR_OK;
}

hr_status hr__read_open(const hr_read_config *config, const hr_piece_sink *sink, hr_read_flow **out,
                        hr_error *err)
{
    static const hr_flow_ops ops = {sizeof(read_item), take, work, give, drop, ended};
    hr_read_flow *r;
    HR_TRY(hr__alloc_zero(1, sizeof *r, &r, err));
    r->config = *config;
    r->sink = *sink;
    r->epoch = config->first_epoch;
    r->epochs_left = config->epochs;
    r->start_unit = -1;
    r->exact = hr__pipe_row_exact(config->pipe);
    hr__hints_init(&r->hints);
    hr_flow_config flow = {
        .name = "read",
        .level = config->level,
        .window_slots = config->window_slots,
        .window_bytes = config->window_bytes,
        .busy = config->busy,
        .undo = config->place == HR_PLACE_ARENA ? undo : NULL,
        .stuck = stuck,
        .crew = config->crew,
        .blocked_cause = reads_kept(config->pipe) ? HR_CAUSE_SPILL : HR_CAUSE_MEMORY,
    };
    hr__stage_stats_start(config->stats, -1);
    *out = r; // the sink may be called before this returns
    hr_status status = open_share(r, err);
    if (status == HR_OK)
        status = hr__flow_open(config->pipe->runtime, &ops, r, &flow, &r->flow, err);
    if (status != HR_OK) {
        *out = NULL;
        hr__share_close(&r->share);
        hr__hints_finish(&r->hints);
        hr__free(r);
    }
    return status;
}

void hr__read_kick(hr_read_flow *read)
{
    hr__flow_kick(read->flow);
}
bool hr__read_wait(hr_read_flow *read, uint64_t timeout_ns)
{
    return hr__flow_wait(read->flow, timeout_ns);
}

void hr__read_close(hr_read_flow **read)
{
    hr_read_flow *r = *read;
    *read = NULL;
    if (!r)
        return;
    atomic_store(&r->stopping, true);
    hr__flow_stop(r->flow);
    hr__units_close(&r->units); // inner runs kick the flow until they are closed
    hr__lanes_close(&r->lanes);
    hr__flow_close(&r->flow);
    hr__unit_run_unref(&r->current);
    hr__unit_run_unref(&r->ahead);
    hr__hints_finish(&r->hints);
    for (size_t i = 0; i < r->cursors.count; i++)
        hr__series_cursor_close(&r->cursors.items[i].cursor);
    HR_VEC_FINISH(&r->cursors);
    hr__share_close(&r->share);
    hr__free(r);
}
