// SPDX-License-Identifier: Apache-2.0
// A program on a block, and rows of several blocks as one: both end in a new span of exactly the right size.
//
// Rows are computed in pieces that stay in cache (APPLY_PIECE_BYTES); unchanged columns are copied whole. With a
// predicate, what computed columns need is gathered first, so that they are computed for the rows that are kept alone.
#include "base/stats.h"
#include "kernel/kernel.h"
#include "plan/place.h"
#include <string.h>

#define APPLY_PIECE_BYTES (128 << 10)

typedef struct apply {
    hr_program *program;
    const hr_schema *schema;
    hr_eval *eval;
    int64_t rows;             // that come out
    uint32_t *selected;       // NULL: all
    const hr_column *columns; // of the source
    int32_t column_count;
    hr_column *inputs;  // for computed columns: the source's, or gathered
    hr_block *gathered; // holds them
    hr_runtime *runtime;
} apply;

static int64_t piece_rows(const hr_schema *schema, int64_t rows)
{
    int64_t row_bytes = 0;
    for (int32_t i = 0; i < hr_schema_count(schema); i++) {
        int64_t bytes = hr_type_row_bytes(hr_schema_field(schema, i)->type);
        row_bytes += bytes ? bytes : 16;
    }
    return HR_MAX(1, HR_MIN(rows, APPLY_PIECE_BYTES / HR_MAX(row_bytes, 1)));
}

static hr_status select_rows(apply *a, int64_t rows, const hr_row_sample *sample, hr_error *err)
{
    hr_scratch *scratch = hr__runtime_scratch(a->runtime);
    a->rows = rows;
    bool filtered = hr__program_has_predicate(a->program);
    if ((!filtered && !sample) || rows == 0)
        return HR_OK;
    HR_TRY(hr__scratch_take(scratch, (size_t)rows * sizeof *a->selected, &a->selected, err));
    if (filtered)
        HR_TRY(hr__eval_filter(a->eval, a->columns, rows, a->selected, &a->rows, err));
    else
        hr__kernels()->fill.iota_i32((int32_t *)a->selected, 0, 1, (size_t)rows);
    if (sample)
        a->rows = hr__sample_rows(sample, a->selected, a->rows);
    return HR_OK;
}

static bool any_computed(const apply *a)
{
    for (int32_t i = 0; i < hr_schema_count(a->schema); i++)
        if (hr__program_passthrough(a->program, i) < 0)
            return true;
    return false;
}

// Columns that the program reads, as a schema of their own, gathered by the selection.
static hr_status gather_inputs(apply *a, const hr_schema *source, hr_error *err)
{
    const int32_t *sources;
    const bool *in_predicate;
    hr_schema *schema = NULL;
    hr_block *narrow = NULL;
    hr_column *columns = NULL;
    hr_target target = {a->runtime, HR_PLACE_SCRATCH, false};
    hr_result result;
    int32_t count = hr__program_sources(a->program, &sources, &in_predicate);
    hr_status status;
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(count, 1), sizeof *columns, &columns, err));
    for (int32_t i = 0; i < count; i++)
        columns[i] = a->columns[sources[i]];
    HR_GO(hr__schema_project(source, sources, NULL, count, &schema, err));
    HR_GO(hr__block_make(schema, count ? columns[0].rows : a->rows, columns, NULL, NULL, &narrow,
                         err));
    hr_gather_piece piece = {narrow, a->selected, a->rows};
    HR_GO(hr__gather(schema, &piece, 1, &target, &result, err));
    a->gathered = result.block;
    for (int32_t i = 0; i < count; i++)
        a->inputs[sources[i]] = *hr_block_column(a->gathered, i);
out:
    hr_block_unref(&narrow);
    hr_schema_unref(&schema);
    hr__free(columns);
    return status;
}

static hr_status prepare(apply *a, const hr_schema *source, int64_t rows,
                         const hr_row_sample *sample, hr_error *err)
{
    HR_TRY(hr__eval_open(a->program, &a->eval, err));
    HR_TRY(select_rows(a, rows, sample, err));
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(a->column_count, 1), sizeof *a->inputs, &a->inputs, err));
    memcpy(a->inputs, a->columns, (size_t)a->column_count * sizeof *a->inputs);
    if (a->selected && a->rows < rows && any_computed(a))
        HR_TRY(gather_inputs(a, source, err));
    return HR_OK;
}

// Parts of the rows that went in become parts of those that were selected.
static void move_marks(hr_marks *marks, const uint32_t *selected, int64_t rows)
{
    int64_t at = 0;
    for (int64_t i = 0; i < marks->count; i++) {
        while (at < rows && selected[at] < marks->at[i])
            at++;
        marks->at[i] = at;
    }
}

static hr_status measure(apply *a, hr_layout *layout, hr_error *err)
{
    HR_TRY(hr__layout_init(layout, a->schema, a->rows, err));
    for (int32_t i = 0; i < hr_schema_count(a->schema); i++) {
        int32_t from = hr__program_passthrough(a->program, i);
        if (from >= 0)
            HR_TRY(
                hr__take_measure_column(&a->columns[from], a->selected, a->rows, layout, i, err));
        else
            layout->nodes[i].data_bytes = hr__eval_var_bytes(a->eval, i, a->inputs, a->rows);
    }
    return hr__layout_finish(layout, err);
}

static hr_status fill(apply *a, hr_builder *b, hr_error *err)
{
    int32_t count = hr_schema_count(a->schema);
    hr_column *piece = NULL;
    hr_status status = HR_OK;
    for (int32_t i = 0; i < count; i++) {
        int32_t from = hr__program_passthrough(a->program, i);
        if (from >= 0)
            HR_TRY(hr__take_append_column(&a->columns[from], a->selected, a->rows, &b->slots[i], 0,
                                          err));
    }
    if (!any_computed(a))
        return HR_OK;
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(a->column_count, 1), sizeof *piece, &piece, err));
    int64_t step = piece_rows(a->schema, a->rows);
    for (int64_t at = 0; at < a->rows; at += step) {
        int64_t n = HR_MIN(step, a->rows - at);
        for (int32_t c = 0; c < a->column_count; c++)
            if (a->inputs[c].type)
                piece[c] = hr__column_slice(&a->inputs[c], at, n);
        HR_GO(hr__eval_columns(a->eval, piece, n, b->slots, at, err));
    }
out:
    hr__free(piece);
    return status;
}

static void finish_apply(apply *a)
{
    hr__eval_close(&a->eval);
    hr__scratch_give(hr__runtime_scratch(a->runtime), a->selected);
    hr_block_unref(&a->gathered);
    hr__free(a->inputs);
}

hr_status hr__program_apply(hr_program *program, const hr_block *block, const hr_target *target,
                            hr_result *out, hr_error *err)
{
    hr_rows rows = {block->schema, block->columns, block->column_count, block->rows};
    return hr__program_apply_rows(program, &rows, target, out, err);
}

hr_status hr__program_apply_rows(hr_program *program, const hr_rows *rows, const hr_target *target,
                                 hr_result *out, hr_error *err)
{
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_span_memory span = {0};
    hr_status status;
    apply a = {
        .program = program,
        .schema = hr__program_schema(program),
        .columns = rows->columns,
        .column_count = rows->column_count,
        .runtime = target->runtime,
    };
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_TRANSFORM);
    HR_GO(prepare(&a, rows->schema, rows->rows, target->sample, err));
    if (a.rows == 0 && target->place == HR_PLACE_ARENA) { // nothing to keep
        *out = (hr_result){0};
        goto out;
    }
    HR_GO(measure(&a, &layout, err));
    HR_GO(hr__span_take(target, layout.span_bytes, &span, err));
    HR_GO(hr__builder_init(&builder, &layout, span.memory, err));
    HR_GO(fill(&a, &builder, err));
    hr__builder_seal(&builder, a.rows);
    HR_GO(hr__span_done(&span, a.schema, a.rows, out, err));
    if (target->marks && a.selected)
        move_marks(target->marks, a.selected, a.rows);
out:
    hr__span_drop(&span);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    finish_apply(&a);
    hr__busy_leave(mark);
    return status;
}

hr_status hr__gather(const hr_schema *schema, const hr_gather_piece *pieces, int32_t count,
                     const hr_target *target, hr_result *out, hr_error *err)
{
    hr_layout layout = {0}, more = {0};
    hr_builder builder = {0};
    hr_span_memory span = {0};
    int64_t at = 0;
    hr_status status;
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_BATCH);
    if (count == 0)
        HR_GO(hr__layout_init(&layout, schema, 0, err));
    for (int32_t i = 0; i < count; i++) {
        HR_GO(hr__take_layout(pieces[i].block, pieces[i].indexes, pieces[i].rows,
                              i ? &more : &layout, err));
        if (i)
            HR_GO(hr__layout_add(&layout, &more, err));
        hr__layout_release(&more);
    }
    HR_GO(hr__layout_finish(&layout, err));
    HR_GO(hr__span_take(target, layout.span_bytes, &span, err));
    HR_GO(hr__builder_init(&builder, &layout, span.memory, err));
    for (int32_t i = 0; i < count; i++) {
        HR_GO(
            hr__take_append(pieces[i].block, pieces[i].indexes, pieces[i].rows, &builder, at, err));
        at += pieces[i].rows;
    }
    hr__builder_seal(&builder, at);
    HR_GO(hr__span_done(&span, schema, at, out, err));
out:
    hr__span_drop(&span);
    hr__builder_release(&builder);
    hr__layout_release(&more);
    hr__layout_release(&layout);
    hr__busy_leave(mark);
    return status;
}

// --- rows from anywhere ---

hr_status hr__mix(const hr_schema *schema, const hr_mixture *of, const hr_target *target,
                  hr_result *out, hr_error *err)
{
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_span_memory span = {0};
    hr_status status;
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_BATCH);
    HR_GO(hr__mix_layout(schema, of, &layout, err));
    HR_GO(hr__span_take(target, layout.span_bytes, &span, err));
    HR_GO(hr__builder_init(&builder, &layout, span.memory, err));
    HR_GO(hr__mix_append(of, &builder, err));
    hr__builder_seal(&builder, of->rows);
    HR_GO(hr__span_done(&span, schema, of->rows, out, err));
out:
    hr__span_drop(&span);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr__busy_leave(mark);
    return status;
}
