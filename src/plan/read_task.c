// SPDX-License-Identifier: Apache-2.0
// Reading rows through the first program of a branch.
//
// The direct way: what comes out unchanged is decoded straight into its place in the new span, what is computed in
// place is decoded into its result's memory, and only what is used up by computing goes through scratch. All of it in
// pieces of rows, so that each value is written once into memory and transformed before it leaves the cache. The
// other way, for predicates and variable-width results: all columns into scratch, then apply.c. Columns of the
// predicate are read first; where no row passes, the others are never decompressed.
//
// When memory is short a unit is read narrowly: column after column, each letting its pages go before the next, so that
// a task needs its result and what one column takes. Whatever the way, a task that is refused memory holds none.
#include "kernel/kernel.h"
#include "plan/epoch_cache.h"
#include "plan/place.h"
#include <stdatomic.h>
#include <string.h>

// Whole tasks, mostly: the more rows of a column are taken at once, the more often a line of its dictionary is still
// there (20 columns of 100,000 entries each: 5 to 8 % less time than in pieces of 160 KiB).
#define READ_PIECE_BYTES (4 << 20)
// A span that outgrows the cache is made in a piece of scratch that stays in it, and copied past the cache: a store to
// it would read it first. Measured on 98 MiB blocks in bench/compare.py, workload seed.
#define STREAM_BYTES_MIN   (16 << 20)
#define STREAM_PIECE_BYTES (160 << 10)

typedef struct source_slot {
    hr_slot *to;    // where the column is decoded
    hr_slot own;    // when it is not an output's slot itself
    bool piecewise; // scratch of one piece: row 0 again for each
    void *memory;   // scratch to give back
} source_slot;

typedef struct hr_read_state {
    hr_fragment *fragment; // borrowed from the unit
    hr_pass *pass;
    const hr_format *format;
    hr_runtime *runtime;
    hr_schema *narrow;     // of the columns read
    hr_layout layout;      // of the result
    hr_layout read_layout; // of the columns read
    bool by_column;
    int32_t turn; // the column that is opened first
} hr_read_state;

static void end(hr_task *t)
{
    hr_read_state *s = t->read;
    t->read = NULL;
    if (!s)
        return;
    if (s->pass)
        s->format->pass_end(s->pass);
    hr__layout_release(&s->layout);
    hr__layout_release(&s->read_layout);
    hr_schema_unref(&s->narrow);
    hr__free(s);
}

// --- the unit's fragment, opened by its first task ---

static hr_status open_fragment(hr_unit_run *run, hr_error *err)
{
    hr_branch *b = run->unit.branch;
    hr_node *n = b->origin;
    if (n->kind == HR_NODE_READER)
        run->reader = n->reader;
    else if (!run->reader)
        HR_TRY(hr__files_acquire(n->files, (size_t)run->unit.part, &run->reader, err));
    const hr_format *format = run->reader->format;
    int32_t index = (int32_t)run->unit.fragment;
    if (b->term_count && format->prune &&
        format->prune(run->reader, index, b->terms, b->term_count)) {
        run->pruned = true;
        return HR_OK;
    }
    HR_TRY(format->fragment_open(run->reader, index, b->columns, b->column_count,
                                 hr__runtime_scratch(run->runtime), &run->fragment, err));
    if (format->fragment_start)
        format->fragment_start(run->fragment, run->from);
    return HR_OK;
}

void hr__hints_init(hr_hints *hints)
{
    hr__mutex_init(&hints->mutex);
    hr__cond_init(&hints->none);
}

void hr__hints_finish(hr_hints *hints)
{
    hr__mutex_lock(&hints->mutex);
    hints->stopping = true;
    while (hints->count > 0)
        hr__cond_wait(&hints->none, &hints->mutex);
    hr__mutex_unlock(&hints->mutex);
    hr__cond_finish(&hints->none);
    hr__mutex_finish(&hints->mutex);
}

static bool hint_wanted(hr_hints *hints)
{
    hr__mutex_lock(&hints->mutex);
    bool wanted = !hints->stopping;
    hr__mutex_unlock(&hints->mutex);
    return wanted;
}

static void hint_count(hr_hints *hints, int32_t change)
{
    hr__mutex_lock(&hints->mutex);
    hints->count += change;
    if (hints->count == 0)
        hr__cond_broadcast(&hints->none);
    hr__mutex_unlock(&hints->mutex);
}

static void open_and_tell(hr_unit_run *run)
{
    hr__mutex_lock(&run->mutex);
    // A failure comes again, and is returned, when the first task gets here.
    bool open = run->fragment || run->pruned || open_fragment(run, NULL) == HR_OK;
    hr_fragment *fragment = open ? run->fragment : NULL;
    hr__mutex_unlock(&run->mutex);
    if (fragment)
        run->reader->format->fragment_will_need(fragment, run->from,
                                                run->unit.first + run->unit.rows - run->from);
}

static void read_ahead(void *a, int64_t unused_b, int64_t unused_c)
{
    hr_unit_run *run = a;
    hr_hints *hints = run->hints;
    if (hint_wanted(hints))
        open_and_tell(run);
    hr__unit_run_unref(&run);
    hint_count(hints, -1);
}

void hr__unit_run_will_need(hr_unit_run *run, hr_hints *hints)
{
    if (hr__unit_is_kept(&run->unit))
        return;
    run->hints = hints;
    hint_count(hints, 1);
    if (!hr__io_submit(run->runtime, read_ahead, hr__unit_run_ref(run), 0, 0)) {
        hr__unit_run_unref(&run);
        hint_count(hints, -1);
    }
}

// Who comes first to a column reads its dictionary and finds its pages, and others wait for that: so the tasks that
// come to a unit at the same time begin at different columns.
static int32_t first_turn(hr_unit_run *run)
{
    int64_t threads = hr_runtime_threads(run->runtime);
    int64_t number = atomic_fetch_add_explicit(&run->begun, 1, memory_order_relaxed);
    return number < threads ? (int32_t)(number * run->unit.branch->column_count / threads) : 0;
}

static hr_status begin(hr_task *t, bool narrow, bool *pruned_out, hr_error *err)
{
    hr_unit_run *run = t->unit;
    hr_branch *b = run->unit.branch;
    hr_read_state *s;
    hr_status status = HR_OK;
    hr__mutex_lock(&run->mutex);
    if (!run->fragment && !run->pruned)
        status = open_fragment(run, err);
    *pruned_out = run->pruned;
    hr__mutex_unlock(&run->mutex);
    HR_TRY(status);
    if (*pruned_out)
        return HR_OK;
    HR_TRY(hr__alloc_zero(1, sizeof *s, &s, err));
    t->read = s;
    s->runtime = run->runtime;
    s->format = run->reader->format;
    s->fragment = run->fragment;
    s->by_column = narrow && s->format->pass_release;
    s->turn = narrow ? 0 : first_turn(run);
    HR_TRY(
        hr__schema_project(b->origin_schema, b->columns, NULL, b->column_count, &s->narrow, err));
    return s->format->pass_begin(s->fragment, t->first, t->rows, &s->pass, err);
}

// The k-th column in this task's turn. Refused once nobody wants the result: a column may take milliseconds.
static hr_status next_column(const hr_task *t, int32_t k, int32_t *out, hr_error *err)
{
    int32_t count = t->unit->unit.branch->column_count;
    *out = (t->read->turn + k) % count;
    if (atomic_load_explicit(t->stop, memory_order_relaxed))
        return HR_FAIL(err, HR_CANCELLED, "closed");
    return HR_OK;
}

static void let_go(hr_read_state *s, int32_t i)
{
    if (s->by_column)
        s->format->pass_release(s->pass, i);
}

// --- the direct way ---

static int32_t output_of(const hr_program *program, int32_t source,
                         int32_t (*relation)(const hr_program *, int32_t), int32_t *count_out)
{
    int32_t found = -1;
    *count_out = 0;
    for (int32_t i = 0; i < hr_schema_count(hr__program_schema(program)); i++) {
        if (relation(program, i) != source)
            continue;
        if (found < 0)
            found = i;
        (*count_out)++;
    }
    return found;
}

static bool is_direct(const hr_program *program, const hr_branch *b)
{
    const hr_schema *schema = hr__program_schema(program);
    bool computes = false;
    int32_t count;
    if (hr__program_has_predicate(program) || b->sample_count)
        return false;
    for (int32_t i = 0; i < hr_schema_count(schema); i++) {
        const hr_type *type = hr_schema_field(schema, i)->type;
        if (hr__program_passthrough(program, i) >= 0)
            continue;
        computes = true;
        if (hr__type_has_offsets(type) || type->id == HR_TYPE_DICTIONARY)
            return false;
    }
    for (int32_t i = 0; i < b->column_count; i++) {
        const hr_type *type = hr_schema_field(b->origin_schema, b->columns[i])->type;
        int32_t out = output_of(program, b->columns[i], hr__program_passthrough, &count);
        if (count > 1 ||
            (out < 0 && (hr__type_has_offsets(type) || type->id == HR_TYPE_DICTIONARY)))
            return false;
        if (computes && (type->id == HR_TYPE_LIST || type->id == HR_TYPE_DICTIONARY))
            return false;
    }
    return true;
}

static hr_status measure_direct(hr_task *t, hr_program *program, hr_error *err)
{
    hr_read_state *s = t->read;
    hr_branch *b = t->unit->unit.branch;
    int32_t count;
    HR_TRY(hr__layout_init(&s->layout, hr__program_schema(program), t->rows, err));
    HR_TRY(hr__layout_init(&s->read_layout, s->narrow, t->rows, err));
    for (int32_t k = 0, i; k < b->column_count; k++) {
        HR_TRY(next_column(t, k, &i, err));
        int32_t out = output_of(program, b->columns[i], hr__program_passthrough, &count);
        if (out >= 0)
            HR_TRY(s->format->pass_measure(s->pass, i, &s->layout, out, err));
        else
            HR_TRY(s->format->pass_measure(s->pass, i, &s->read_layout, i, err));
        let_go(s, i);
    }
    return hr__layout_finish(&s->layout, err);
}

static hr_status scratch_slot(hr_read_state *s, const hr_layout_node *node, int64_t rows,
                              source_slot *to, hr_error *err)
{
    hr_node_bytes bytes;
    if (!hr__node_bytes(node->type, rows, &bytes))
        return HR_FAIL(err, HR_LIMIT, "a row too large for memory");
    size_t data = HR_ALIGN_UP((size_t)bytes.data, HR_ALIGN) + HR_ALIGN;
    size_t validity = HR_ALIGN_UP((size_t)bytes.validity, HR_ALIGN) + HR_ALIGN;
    HR_TRY(hr__scratch_take(hr__runtime_scratch(s->runtime), data + validity, &to->memory, err));
    to->own = (hr_slot){.type = node->type,
                        .rows = rows,
                        .data = to->memory,
                        .data_bytes = bytes.data,
                        .null_count = -1};
    if (node->has_validity)
        to->own.validity = (uint8_t *)to->memory + data;
    to->to = &to->own;
    to->piecewise = true;
    return HR_OK;
}

static hr_status place_sources(hr_task *t, hr_program *program, hr_builder *builder, int64_t step,
                               source_slot *slots, hr_error *err)
{
    hr_read_state *s = t->read;
    hr_branch *b = t->unit->unit.branch;
    int32_t count;
    for (int32_t i = 0; i < b->column_count; i++) {
        const hr_layout_node *node = &s->read_layout.nodes[i];
        int32_t out = output_of(program, b->columns[i], hr__program_passthrough, &count);
        if (out >= 0) {
            slots[i].to = &builder->slots[out];
            continue;
        }
        out = output_of(program, b->columns[i], hr__program_in_place, &count);
        if (out >= 0 && (!node->has_validity || builder->slots[out].validity)) {
            slots[i].own = (hr_slot){.type = node->type,
                                     .rows = t->rows,
                                     .data = builder->slots[out].data,
                                     .data_bytes = builder->slots[out].data_bytes,
                                     .null_count = -1};
            if (node->has_validity)
                slots[i].own.validity = builder->slots[out].validity;
            slots[i].to = &slots[i].own;
            continue;
        }
        HR_TRY(scratch_slot(s, node, step, &slots[i], err));
    }
    return HR_OK;
}

static hr_column slot_rows(const hr_slot *slot, int64_t first, int64_t rows)
{
    return (hr_column){.type = slot->type,
                       .rows = rows,
                       .offset = first,
                       .null_count = -1,
                       .validity = slot->validity,
                       .offsets = slot->offsets,
                       .data = slot->data};
}

// One piece of each column from where it was made to where it stays.
static void stream_piece(const hr_builder *piece, int64_t rows, hr_builder *builder, int64_t at)
{
    for (int32_t i = 0; i < builder->layout->column_count; i++) {
        size_t row_bytes = (size_t)hr_type_row_bytes(builder->slots[i].type);
        hr__kernels()->fill.stream((uint8_t *)builder->slots[i].data + (size_t)at * row_bytes,
                                   piece->slots[i].data, (size_t)rows * row_bytes);
    }
}

// Into the builder; by way of `piece`, when there is one, whose first rows are written again for each piece.
static hr_status fill_pieces(hr_task *t, hr_program *program, hr_builder *builder,
                             hr_builder *piece, int64_t step, source_slot *slots, hr_error *err)
{
    hr_builder *work = piece ? piece : builder;
    hr_read_state *s = t->read;
    hr_branch *b = t->unit->unit.branch;
    int32_t source_count = hr_schema_count(b->origin_schema);
    hr_column *inputs = NULL;
    hr_eval *eval = NULL;
    hr_status status;
    HR_GO(hr__alloc_zero((size_t)HR_MAX(source_count, 1), sizeof *inputs, &inputs, err));
    HR_GO(hr__eval_open(program, &eval, err));
    for (int64_t at = 0; at < t->rows; at += step) {
        int64_t n = HR_MIN(step, t->rows - at);
        (void)hr__busy_switch(HR_CAUSE_DECODE);
        for (int32_t i = 0; i < b->column_count; i++) {
            int64_t row = slots[i].piecewise || piece ? 0 : at;
            HR_GO(s->format->pass_fill(s->pass, i, n, slots[i].to, row, err));
            inputs[b->columns[i]] = slot_rows(slots[i].to, row, n);
        }
        (void)hr__busy_switch(HR_CAUSE_TRANSFORM);
        HR_GO(hr__eval_columns(eval, inputs, n, work->slots, piece ? 0 : at, err));
        if (piece)
            stream_piece(piece, n, builder, at);
    }
out:
    hr__eval_close(&eval);
    hr__free(inputs);
    return status;
}

// All rows of each column, then what is computed of them.
static hr_status fill_columns(hr_task *t, hr_program *program, hr_builder *builder, int64_t step,
                              source_slot *slots, hr_error *err)
{
    hr_read_state *s = t->read;
    hr_branch *b = t->unit->unit.branch;
    int32_t source_count = hr_schema_count(b->origin_schema);
    hr_column *inputs = NULL;
    hr_eval *eval = NULL;
    hr_status status;
    HR_GO(hr__alloc_zero((size_t)HR_MAX(source_count, 1), sizeof *inputs, &inputs, err));
    HR_GO(hr__eval_open(program, &eval, err));
    for (int32_t i = 0; i < b->column_count; i++) {
        HR_GO(s->format->pass_fill(s->pass, i, t->rows, slots[i].to, 0, err));
        let_go(s, i);
    }
    (void)hr__busy_switch(HR_CAUSE_TRANSFORM);
    for (int64_t at = 0; at < t->rows; at += step) {
        int64_t n = HR_MIN(step, t->rows - at);
        for (int32_t i = 0; i < b->column_count; i++)
            inputs[b->columns[i]] = slot_rows(slots[i].to, at, n);
        HR_GO(hr__eval_columns(eval, inputs, n, builder->slots, at, err));
    }
out:
    hr__eval_close(&eval);
    hr__free(inputs);
    return status;
}

// Of the columns read; values of no fixed size count as a view of them.
static int64_t read_row_bytes(const hr_branch *b)
{
    int64_t row_bytes = 0;
    for (int32_t i = 0; i < b->column_count; i++) {
        int64_t bytes = hr_type_row_bytes(hr_schema_field(b->origin_schema, b->columns[i])->type);
        row_bytes += bytes ? bytes : 16;
    }
    return row_bytes;
}

static int64_t piece_rows(const hr_branch *b, int64_t rows, int64_t bytes)
{
    int64_t row_bytes = read_row_bytes(b);
    int64_t step = bytes / HR_MAX(row_bytes, 1);
    step = step >= 64 ? step / 64 * 64
                      : HR_MAX(step, 1); // whole words of validity where rows are small
    return HR_MIN(step, rows);
}

static bool is_streamed(const hr_layout *layout)
{
    if (layout->span_bytes < STREAM_BYTES_MIN || layout->node_count != layout->column_count)
        return false;
    for (int32_t i = 0; i < layout->node_count; i++)
        if (layout->nodes[i].has_validity || !hr_type_row_bytes(layout->nodes[i].type))
            return false;
    return true;
}

static hr_status open_piece(hr_runtime *rt, const hr_schema *schema, int64_t rows,
                            hr_layout *layout, hr_builder *piece, void **memory, hr_error *err)
{
    HR_TRY(hr__layout_init(layout, schema, rows, err));
    for (int32_t i = 0; i < layout->node_count; i++)
        layout->nodes[i].has_validity = false;
    HR_TRY(hr__layout_finish(layout, err));
    HR_TRY(hr__scratch_take(hr__runtime_scratch(rt), layout->span_bytes, memory, err));
    return hr__builder_init(piece, layout, *memory, err);
}

static hr_status read_direct(hr_task *t, hr_program *program, const hr_target *target,
                             hr_result *out, hr_error *err)
{
    hr_branch *b = t->unit->unit.branch;
    hr_span_memory span = {0};
    hr_builder builder = {0};
    hr_layout piece_layout = {0};
    hr_builder piece = {0};
    void *piece_memory = NULL;
    source_slot *slots = NULL;
    hr_status status;
    HR_TRY(measure_direct(t, program, err));
    bool narrow = t->read->by_column, streamed = !narrow && is_streamed(&t->read->layout);
    int64_t step = piece_rows(b, t->rows, streamed ? STREAM_PIECE_BYTES : READ_PIECE_BYTES);
    HR_TRY(hr__span_take(target, t->read->layout.span_bytes, &span, err));
    HR_GO(hr__alloc_zero((size_t)HR_MAX(b->column_count, 1), sizeof *slots, &slots, err));
    HR_GO(hr__builder_init(&builder, &t->read->layout, span.memory, err));
    if (streamed)
        HR_GO(open_piece(target->runtime, hr__program_schema(program), step, &piece_layout, &piece,
                         &piece_memory, err));
    HR_GO(place_sources(t, program, streamed ? &piece : &builder, narrow ? t->rows : step, slots,
                        err));
    if (narrow)
        HR_GO(fill_columns(t, program, &builder, step, slots, err));
    else
        HR_GO(fill_pieces(t, program, &builder, streamed ? &piece : NULL, step, slots, err));
    hr__builder_seal(&builder, t->rows);
    HR_GO(hr__span_done(&span, hr__program_schema(program), t->rows, out, err));
out:
    for (int32_t i = 0; slots && i < b->column_count; i++)
        hr__scratch_give(hr__runtime_scratch(target->runtime), slots[i].memory);
    hr__free(slots);
    hr__builder_release(&piece);
    hr__layout_release(&piece_layout);
    hr__scratch_give(hr__runtime_scratch(target->runtime), piece_memory);
    hr__builder_release(&builder);
    hr__span_drop(&span);
    return status;
}

// --- the other way ---

// Decodes the columns that `wanted` marks (by position) as a block in scratch; puts them in their places in `columns`.
static hr_status decode(hr_task *t, const bool *wanted, hr_column *columns, hr_block **out,
                        hr_error *err)
{
    hr_read_state *s = t->read;
    hr_branch *b = t->unit->unit.branch;
    hr_target target = {s->runtime, HR_PLACE_SCRATCH, false};
    hr_span_memory span = {0};
    hr_builder builder = {0};
    hr_layout layout = {0};
    hr_schema *schema = NULL;
    int32_t *places = NULL, count = 0;
    hr_result result;
    hr_status status;
    HR_TRY(hr__alloc_zero(2 * (size_t)HR_MAX(b->column_count, 1), sizeof *places, &places, err));
    int32_t *place_of = places + b->column_count;
    for (int32_t i = 0; i < b->column_count; i++) {
        place_of[i] = count;
        if (wanted[i])
            places[count++] = i;
    }
    HR_GO(hr__schema_project(s->narrow, places, NULL, count, &schema, err));
    HR_GO(hr__layout_init(&layout, schema, t->rows, err));
    for (int32_t k = 0, i; k < b->column_count; k++) {
        HR_GO(next_column(t, k, &i, err));
        if (!wanted[i])
            continue;
        HR_GO(s->format->pass_measure(s->pass, i, &layout, place_of[i], err));
        let_go(s, i);
    }
    HR_GO(hr__layout_finish(&layout, err));
    HR_GO(hr__span_take(&target, layout.span_bytes, &span, err));
    HR_GO(hr__builder_init(&builder, &layout, span.memory, err));
    for (int32_t i = 0; i < count; i++) {
        HR_GO(s->format->pass_fill(s->pass, places[i], t->rows, &builder.slots[i], 0, err));
        let_go(s, places[i]);
    }
    hr__builder_seal(&builder, t->rows);
    HR_GO(hr__span_done(&span, schema, t->rows, &result, err));
    *out = result.block;
    for (int32_t i = 0; i < count; i++)
        columns[b->columns[places[i]]] = *hr_block_column(*out, i);
out:
    hr__span_drop(&span);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr_schema_unref(&schema);
    hr__free(places);
    return status;
}

static hr_status none_pass(hr_program *program, const hr_column *columns, int64_t rows,
                           hr_runtime *rt, bool *none_out, hr_error *err)
{
    hr_eval *eval = NULL;
    uint32_t *selected = NULL;
    int64_t count = 0;
    hr_status status;
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_TRANSFORM);
    HR_GO(hr__eval_open(program, &eval, err));
    HR_GO(
        hr__scratch_take(hr__runtime_scratch(rt), (size_t)rows * sizeof *selected, &selected, err));
    HR_GO(hr__eval_filter(eval, columns, rows, selected, &count, err));
    *none_out = count == 0;
out:
    hr__scratch_give(hr__runtime_scratch(rt), selected);
    hr__eval_close(&eval);
    hr__busy_leave(mark);
    return status;
}

static hr_status read_through_scratch(hr_task *t, hr_program *program, const hr_target *target,
                                      hr_result *out, hr_error *err)
{
    hr_branch *b = t->unit->unit.branch;
    const int32_t *sources;
    const bool *in_predicate;
    hr_block *first = NULL, *rest = NULL;
    hr_column *columns = NULL;
    bool *wanted = NULL, none = false;
    hr_status status;
    int32_t count = hr__program_sources(program, &sources, &in_predicate),
            all = hr_schema_count(b->origin_schema);
    HR_GO(hr__alloc_zero((size_t)HR_MAX(all, 1), sizeof *columns, &columns, err));
    HR_GO(hr__alloc_zero((size_t)HR_MAX(count, 1), sizeof *wanted, &wanted, err));
    if (hr__program_has_predicate(program)) {
        HR_GO(decode(t, in_predicate, columns, &first, err));
        HR_GO(none_pass(program, columns, t->rows, target->runtime, &none, err));
    }
    if (none && target->place == HR_PLACE_ARENA) {
        *out = (hr_result){0};
        goto out;
    }
    for (int32_t i = 0; i < count; i++)
        wanted[i] = !(first && in_predicate[i]);
    HR_GO(decode(t, wanted, columns, &rest, err));
    hr_rows rows = {b->origin_schema, columns, all, t->rows};
    HR_GO(hr__program_apply_rows(program, &rows, target, out, err));
out:
    hr_block_unref(&first);
    hr_block_unref(&rest);
    hr__free(columns);
    hr__free(wanted);
    return status;
}

static hr_status read_once(hr_task *task, const hr_target *target, bool narrow, hr_result *out,
                           hr_error *err)
{
    hr_branch *b = task->unit->unit.branch;
    hr_program *program = b->stages[0].program;
    bool pruned;
    hr_status status = begin(task, narrow, &pruned, err);
    if (status == HR_OK && pruned && target->place == HR_PLACE_ARENA) {
        *out = (hr_result){0};
        return HR_OK;
    }
    if (status == HR_OK && pruned) { // a block of no rows is wanted
        hr_gather_piece nothing = {0};
        return hr__gather(hr__program_schema(program), &nothing, 0, target, out, err);
    }
    if (status == HR_OK)
        status = is_direct(program, b) ? read_direct(task, program, target, out, err)
                                       : read_through_scratch(task, program, target, out, err);
    if (status == HR_OK)
        hr__node_count(b->origin, task->rows, task->rows * read_row_bytes(b));
    end(task);
    return status;
}

hr_status hr__task_read(hr_task *task, const hr_target *target, hr_result *out, hr_error *err)
{
    _Atomic bool *narrow = &task->unit->narrow;
    bool at_once = atomic_load_explicit(narrow, memory_order_relaxed);
    if (at_once && !task->oldest) // several would take each other's pages: one by one is faster
        return HR_AGAIN;
    hr_status status = read_once(task, target, at_once, out, err);
    if (status != HR_LIMIT || at_once || !task->urgent)
        return status;
    // Those after it read the unit in the same way: trying both each time would cost more.
    atomic_store_explicit(narrow, true, memory_order_relaxed);
    return read_once(task, target, true, out, err);
}
