// SPDX-License-Identifier: Apache-2.0
// Lanes: an epoch's units dealt to lanes (order.h), and the pieces of them in the order in which rounds need them.
//
// A piece is larger than a lane's share of a round, so that pages are decompressed once; which rows of it belong to
// which round is marked on it, and after a filter the marks say how many of them are left. The next piece is always
// that of the lowest lane that the oldest incomplete round lacks. A piece of a function's input is a call's (or a few),
// cut from the unit's start as everywhere, and belongs as a whole to the round of its first row: nobody knows which of
// a function's rows came from which.
#include "plan/lanes.h"

#include "base/vec.h"
#include <string.h>

#define AHEAD_PIECES 4 // before a unit ends the next of its lane is read ahead

typedef struct reading {
    int64_t row;          // up to which it was handed out
    int64_t unit_begin;   // the lane's row with which `current` begins
    hr_unit_run *current; // a reference
    hr_unit_run *ahead;   // a reference
    int64_t ahead_begin;  // as unit_begin
} reading;

struct hr_lanes {
    hr_pipe *pipe; // borrowed
    hr_lanes_config config;
    hr_units *source;       // until all units are known
    HR_VEC(hr_unit) units;  // with rows
    HR_VEC(int64_t) counts; // their rows
    hr_order *order;        // NULL: not dealt yet
    reading *lanes;
    int64_t round; // the oldest one that lacks rows
    int32_t at;    // the lane looked at
};

hr_status hr__lanes_open(hr_pipe *pipe, uint64_t epoch, const hr_lanes_config *config,
                         hr_lanes **out, hr_error *err)
{
    hr_lanes *l;
    HR_TRY(hr__alloc_zero(1, sizeof *l, &l, err));
    l->pipe = pipe;
    l->config = *config;
    l->round = config->first_round;
    hr_status status = hr__units_open(pipe, config->share, epoch, config->rewake,
                                      config->rewake_context, &l->source, err);
    if (status != HR_OK)
        hr__lanes_close(&l);
    else
        *out = l;
    return status;
}

void hr__lanes_close(hr_lanes **lanes)
{
    hr_lanes *l = *lanes;
    *lanes = NULL;
    if (!l)
        return;
    for (int32_t i = 0; l->lanes && i < hr__order_lanes(l->order); i++) {
        hr__unit_run_unref(&l->lanes[i].current);
        hr__unit_run_unref(&l->lanes[i].ahead);
    }
    hr__free(l->lanes);
    hr__order_close(&l->order);
    hr__units_close(&l->source);
    HR_VEC_FINISH(&l->units);
    HR_VEC_FINISH(&l->counts);
    hr__free(l);
}

// --- cutting ---

static int64_t aimed_rows(const hr_lanes *l, const hr_unit *u)
{
    int64_t row_bytes = hr__unit_row_bytes(u), rows = HR_MAX(1, l->config.task_bytes / row_bytes);
    int64_t step = u->branch->function_rows;
    if (u->branch->has_function) { // nothing of the budget: the order depends on it
        rows = HR_MIN(HR_MAX(1, HR_LANE_CALL_BYTES / row_bytes),
                      HR_MAX(1, l->config.window_rows / l->config.lanes));
        return step ? HR_MAX(step, rows / step * step) : rows;
    }
    return rows > 64 ? rows / 64 * 64 : rows; // whole words of a validity bitmap
}

// Where the round's first piece of a unit begins, counted from the unit's start.
static int64_t first_row(const hr_lanes *l, const hr_unit *u, int64_t row)
{
    int64_t step = u->branch->has_function ? aimed_rows(l, u) : 1;
    return (row + step - 1) / step * step;
}

static const hr_unit *unit_at(const hr_lanes *l, int32_t lane_index, int64_t row, int64_t *begin)
{
    return &l->units.items[hr__order_unit(l->order, lane_index, row, begin)];
}

static hr_status deal(hr_lanes *l, hr_error *err)
{
    hr_unit unit;
    hr_status status;
    while ((status = hr__units_next(l->source, &unit, err)) == HR_OK) {
        HR_ASSERT(!unit.object); // a permutation keeps what inner runs make
        if (unit.rows == 0)
            continue;
        HR_TRY(HR_VEC_PUSH(&l->counts, unit.rows, err));
        HR_TRY(HR_VEC_PUSH(&l->units, unit, err));
    }
    if (status != HR_END)
        return status;
    hr__units_close(&l->source);
    HR_TRY(hr__order_open(l->counts.items, l->counts.count, l->config.lanes, l->config.window_rows,
                          &l->order, err));
    HR_TRY(hr__alloc_zero((size_t)hr__order_lanes(l->order), sizeof *l->lanes, &l->lanes, err));
    l->round = HR_MIN(l->round, hr__order_rounds(l->order));
    for (int32_t i = 0; i < hr__order_lanes(l->order); i++) {
        reading *it = &l->lanes[i];
        it->row = hr__order_begin(l->order, l->round, i);
        if (it->row == hr__order_lane_rows(l->order, i))
            continue;
        const hr_unit *u = unit_at(l, i, it->row, &it->unit_begin);
        it->row = it->unit_begin + HR_MIN(u->rows, first_row(l, u, it->row - it->unit_begin));
    }
    return HR_OK;
}

// --- what is read ahead ---

// `row`: of the unit, counted from its start, from which on it is wanted.
static hr_status make_run(hr_lanes *l, const hr_unit *unit, int64_t row, hr_unit_run **out,
                          hr_error *err)
{
    HR_TRY(hr__unit_run_make(l->pipe->runtime, unit, out, err));
    (*out)->from += row;
    const hr_node *n = unit->branch->origin;
    if (l->config.hints && n && n->kind == HR_NODE_FILES)
        hr__unit_run_will_need(*out, l->config.hints);
    return HR_OK;
}

static hr_status enter_unit(hr_lanes *l, int32_t i, hr_error *err)
{
    reading *it = &l->lanes[i];
    const hr_unit *u = unit_at(l, i, it->row, &it->unit_begin);
    if (it->ahead && it->ahead_begin == it->unit_begin) {
        it->current = it->ahead;
        it->ahead = NULL;
        return HR_OK;
    }
    return make_run(l, u, it->row - it->unit_begin, &it->current, err);
}

static hr_status look_ahead(hr_lanes *l, int32_t i, int64_t piece_rows, hr_error *err)
{
    reading *it = &l->lanes[i];
    int64_t end = it->unit_begin + it->current->unit.rows;
    if (it->ahead || end == hr__order_lane_rows(l->order, i) ||
        (end - it->row) / AHEAD_PIECES >= piece_rows)
        return HR_OK;
    return make_run(l, unit_at(l, i, end, &it->ahead_begin), 0, &it->ahead, err);
}

// The first round's units are read from at once, so all are hinted before the first waits.
static hr_status enter_all(hr_lanes *l, hr_error *err)
{
    for (int32_t i = 0; i < hr__order_lanes(l->order); i++)
        if (!l->lanes[i].current && l->lanes[i].row < hr__order_lane_rows(l->order, i))
            HR_TRY(enter_unit(l, i, err));
    return HR_OK;
}

// --- pieces ---

static hr_status make_marks(const hr_lanes *l, int32_t i, int64_t row, int64_t rows, bool whole,
                            hr_marks **out, hr_error *err)
{
    int64_t first = hr__order_round_of(l->order, i, row);
    int64_t last = whole ? first : hr__order_round_of(l->order, i, row + rows - 1);
    hr_marks *marks;
    HR_TRY(
        hr__alloc(sizeof *marks + (size_t)(last - first + 1) * sizeof marks->at[0], &marks, err));
    marks->first_round = first;
    marks->count = last - first + 1;
    for (int64_t k = first; k < last; k++)
        marks->at[k - first] = hr__order_begin(l->order, k + 1, i) - row;
    marks->at[last - first] = rows;
    *out = marks;
    return HR_OK;
}

// How many rows a piece takes: to the next border of pieces, which are counted from the unit's start, so that each
// epoch cuts alike. A first piece after a place within the epoch would often be short, and the next one be wanted at
// once, while other lanes wait: it goes half a piece beyond the border.
static int64_t piece_rows(const hr_lanes *l, const hr_unit *u, int64_t in_unit)
{
    int64_t aimed = aimed_rows(l, u), rows = aimed,
            half = aimed > 128 ? aimed / 128 * 64 : aimed / 2;
    if (!u->branch->has_function)
        rows -= in_unit % aimed;
    if (rows < half)
        rows += half;
    return HR_MIN(u->rows - in_unit, rows);
}

// Moves to the lane that the oldest incomplete round lacks. False: all is handed out.
static bool find_lane(hr_lanes *l)
{
    while (l->round < hr__order_rounds(l->order)) {
        for (; l->at < hr__order_lanes(l->order); l->at++)
            if (l->lanes[l->at].row < hr__order_begin(l->order, l->round + 1, l->at))
                return true;
        l->at = 0;
        l->round++;
    }
    return false;
}

hr_status hr__lanes_next(hr_lanes *l, hr_lane_piece *out, hr_error *err)
{
    if (!l->order) {
        HR_TRY(deal(l, err));
        HR_TRY(enter_all(l, err));
    }
    if (!find_lane(l))
        return HR_END;
    int32_t i = l->at;
    reading *it = &l->lanes[i];
    if (!it->current)
        HR_TRY(enter_unit(l, i, err));
    const hr_unit *u = &it->current->unit;
    int64_t in_unit = it->row - it->unit_begin, rows = piece_rows(l, u, in_unit);
    hr_lane_piece piece = {.first = u->first + in_unit, .rows = rows, .lane = i};
    HR_TRY(make_marks(l, i, it->row, rows, u->branch->has_function, &piece.marks, err));
    piece.run = hr__unit_run_ref(it->current);
    it->row += rows;
    if (in_unit + rows == u->rows)
        hr__unit_run_unref(&it->current);
    else if (look_ahead(l, i, aimed_rows(l, u), NULL) != HR_OK)
        it->ahead = NULL; // a hint less
    (void)find_lane(l);
    piece.rounds_ready = l->round;
    *out = piece;
    return HR_OK;
}
