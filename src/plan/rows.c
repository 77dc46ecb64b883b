// SPDX-License-Identifier: Apache-2.0
// A gather of rows from many blocks at once, in the order asked for.
//
// Columns of one width without nulls, which most are, go from their blocks to their places in one copy. The others
// (strings, lists, nulls, bits, dictionaries) go by two: rows of one block together into scratch, in as many pieces
// as there are blocks, then from there by one permutation. What is taken at once is some MiB, so the second is in
// cache.
#include "plan/rows.h"
#include "plan/place.h"
#include <stdatomic.h>
#include <string.h>

static bool is_plain(const hr_column *c)
{
    hr_type_id id = c->type->id;
    return !hr__type_has_offsets(c->type) && id != HR_TYPE_BOOL && id != HR_TYPE_NULL &&
           id != HR_TYPE_DICTIONARY && (!c->validity || c->null_count == 0);
}

static hr_status note_bases(hr_rowset *set, int32_t field, hr_error *err)
{
    const void **bases;
    for (uint32_t b = 0; b < set->block_count; b++)
        if (!is_plain(&set->blocks[b]->columns[set->columns[field]]))
            return HR_OK;
    HR_TRY(hr__alloc_zero(HR_MAX(set->block_count, 1), sizeof *bases, &bases, err));
    for (uint32_t b = 0; b < set->block_count; b++) {
        const hr_column *c = &set->blocks[b]->columns[set->columns[field]];
        bases[b] = (const uint8_t *)c->data + c->offset * hr_type_row_bytes(c->type);
    }
    set->bases[field] = bases;
    return HR_OK;
}

hr_status hr__rowset_make(const hr_schema *schema, const int32_t *columns, hr_block **blocks,
                          uint32_t count, hr_rowset **out, hr_error *err)
{
    hr_rowset *set = NULL;
    hr_status status = hr__alloc_zero(1, sizeof *set, &set, err);
    if (status != HR_OK) {
        for (uint32_t b = 0; b < count; b++)
            hr_block_unref(&blocks[b]);
        hr__free(blocks);
        return status;
    }
    set->refs = 1;
    set->schema = hr_schema_ref(schema);
    set->blocks = blocks;
    set->block_count = count;
    set->column_count = hr_schema_count(schema);
    size_t fields = (size_t)HR_MAX(set->column_count, 1);
    HR_GO(hr__alloc_zero(fields, sizeof *set->columns, &set->columns, err));
    HR_GO(hr__alloc_zero(fields, sizeof *set->bases, &set->bases, err));
    for (int32_t i = 0; i < set->column_count; i++) {
        set->columns[i] = columns ? columns[i] : i;
        HR_GO(note_bases(set, i, err));
    }
    *out = set;
    return HR_OK;
out:
    hr__rowset_unref(&set);
    return status;
}

hr_rowset *hr__rowset_ref(hr_rowset *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void hr__rowset_unref(hr_rowset **set)
{
    hr_rowset *s = *set;
    *set = NULL;
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t b = 0; b < s->block_count; b++)
        hr_block_unref(&s->blocks[b]);
    hr__free(s->blocks);
    for (int32_t i = 0; s->bases && i < s->column_count; i++)
        hr__free(s->bases[i]);
    hr__free(s->bases);
    hr__free(s->columns);
    hr_schema_unref(&s->schema);
    hr__free(s);
}

// --- the columns that go by two ---

typedef struct slow {
    int32_t *fields, field_count;
    hr_schema *schema;
    hr_layout layout;
    hr_builder builder;
    hr_span_memory span;
    hr_block *block;    // of the slow columns, rows of one block together
    uint32_t *by_block; // row numbers within blocks, those of one block together
    uint32_t *places;   // of each row that comes out: where it is in `block`
    int64_t rows;
} slow;

static hr_status find_slow(slow *s, const hr_row_run *runs, int32_t count, hr_error *err)
{
    const hr_schema *schema = runs[0].set->schema;
    int32_t fields = hr_schema_count(schema);
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(fields, 1), sizeof *s->fields, &s->fields, err));
    for (int32_t f = 0; f < fields; f++) {
        bool plain = true;
        for (int32_t r = 0; r < count; r++)
            plain &= runs[r].set->bases[f] != NULL;
        if (!plain)
            s->fields[s->field_count++] = f;
    }
    return HR_OK;
}

// Orders the rows of a run by block; starts[b]: where block b's begin in by_block, counted from `at`.
static void order_by_block(slow *s, const hr_row_run *run, int64_t at, uint32_t *starts)
{
    memset(starts, 0, (run->set->block_count + 1) * sizeof *starts);
    for (int64_t i = 0; i < run->count; i++)
        starts[run->rows[i].base + 1]++;
    for (uint32_t b = 0; b < run->set->block_count; b++)
        starts[b + 1] += starts[b];
    for (int64_t i = 0; i < run->count; i++) {
        uint32_t place = (uint32_t)at + starts[run->rows[i].base]++;
        s->by_block[place] = run->rows[i].row;
        s->places[at + i] = place;
    }
    for (uint32_t b = run->set->block_count; b > 0; b--) // as they were
        starts[b] = starts[b - 1];
    starts[0] = 0;
}

typedef hr_status (*slow_step)(slow *s, const hr_block *block, const int32_t *columns,
                               const uint32_t *rows, int64_t count, int64_t at, hr_error *err);

static hr_status measure_piece(slow *s, const hr_block *block, const int32_t *columns,
                               const uint32_t *rows, int64_t count, int64_t at, hr_error *err)
{
    hr_layout more = {0};
    hr_status status;
    HR_GO(hr__layout_init(&more, s->schema, count, err));
    for (int32_t i = 0; i < s->field_count; i++)
        HR_GO(hr__take_measure_column(&block->columns[columns[s->fields[i]]], rows, count, &more, i,
                                      err));
    if (!s->layout.nodes) {
        s->layout = more;
        return HR_OK;
    }
    status = hr__layout_add(&s->layout, &more, err);
out:
    hr__layout_release(&more);
    return status;
}

static hr_status append_piece(slow *s, const hr_block *block, const int32_t *columns,
                              const uint32_t *rows, int64_t count, int64_t at, hr_error *err)
{
    for (int32_t i = 0; i < s->field_count; i++)
        HR_TRY(hr__take_append_column(&block->columns[columns[s->fields[i]]], rows, count,
                                      &s->builder.slots[i], at, err));
    return HR_OK;
}

static hr_status each_piece(slow *s, const hr_row_run *runs, int32_t count, uint32_t *starts,
                            slow_step step, hr_error *err)
{
    int64_t at = 0;
    for (int32_t r = 0; r < count; r++) {
        const hr_rowset *set = runs[r].set;
        order_by_block(s, &runs[r], at, starts);
        for (uint32_t b = 0; b < set->block_count; b++) {
            int64_t n = (int64_t)starts[b + 1] - starts[b];
            if (n)
                HR_TRY(step(s, set->blocks[b], set->columns, s->by_block + at + starts[b], n,
                            at + starts[b], err));
        }
        at += runs[r].count;
    }
    return HR_OK;
}

static hr_status take_slow(slow *s, const hr_row_run *runs, int32_t count, hr_runtime *rt,
                           hr_error *err)
{
    hr_target target = {.runtime = rt, .place = HR_PLACE_SCRATCH};
    hr_result made;
    uint32_t blocks = 0, *starts = NULL;
    hr_status status;
    for (int32_t r = 0; r < count; r++)
        blocks = HR_MAX(blocks, runs[r].set->block_count);
    HR_GO(hr__alloc_zero((size_t)blocks + 1, sizeof *starts, &starts, err));
    HR_GO(hr__alloc_zero((size_t)HR_MAX(s->rows, 1), sizeof *s->by_block, &s->by_block, err));
    HR_GO(hr__alloc_zero((size_t)HR_MAX(s->rows, 1), sizeof *s->places, &s->places, err));
    HR_GO(
        hr__schema_project(runs[0].set->schema, s->fields, NULL, s->field_count, &s->schema, err));
    HR_GO(each_piece(s, runs, count, starts, measure_piece, err));
    HR_GO(hr__layout_finish(&s->layout, err));
    HR_GO(hr__span_take(&target, s->layout.span_bytes, &s->span, err));
    HR_GO(hr__builder_init(&s->builder, &s->layout, s->span.memory, err));
    HR_GO(each_piece(s, runs, count, starts, append_piece, err));
    hr__builder_seal(&s->builder, s->rows);
    HR_GO(hr__span_done(&s->span, s->schema, s->rows, &made, err));
    s->block = made.block;
out:
    hr__free(starts);
    return status;
}

static void finish_slow(slow *s)
{
    hr_block_unref(&s->block);
    hr__span_drop(&s->span);
    hr__builder_release(&s->builder);
    hr__layout_release(&s->layout);
    hr_schema_unref(&s->schema);
    hr__free(s->by_block);
    hr__free(s->places);
    hr__free(s->fields);
}

// --- all of them ---

static hr_status measure(const slow *s, const hr_schema *schema, hr_layout *layout, hr_error *err)
{
    HR_TRY(hr__layout_init(layout, schema, s->rows, err));
    for (int32_t f = 0; f < layout->column_count; f++)
        layout->nodes[f].has_validity = false;
    for (int32_t i = 0; i < s->field_count; i++)
        HR_TRY(hr__take_measure_column(&s->block->columns[i], s->places, s->rows, layout,
                                       s->fields[i], err));
    return hr__layout_finish(layout, err);
}

static hr_status fill(const slow *s, const hr_row_run *runs, int32_t count, hr_builder *b,
                      hr_error *err)
{
    const hr_kernels *k = hr__kernels();
    for (int32_t f = 0, slow_at = 0; f < b->layout->column_count; f++) {
        if (slow_at < s->field_count && s->fields[slow_at] == f) {
            HR_TRY(hr__take_append_column(&s->block->columns[slow_at++], s->places, s->rows,
                                          &b->slots[f], 0, err));
            continue;
        }
        size_t width = (size_t)hr_type_row_bytes(b->slots[f].type);
        uint8_t *to = b->slots[f].data;
        for (int32_t r = 0; width && r < count; r++) {
            k->take.mixed(to, runs[r].set->bases[f], runs[r].rows, (size_t)runs[r].count, width);
            to += (size_t)runs[r].count * width;
        }
    }
    return HR_OK;
}

hr_status hr__rows_gather(const hr_row_run *runs, int32_t count, const hr_target *target,
                          hr_result *out, hr_error *err)
{
    const hr_schema *schema = runs[0].set->schema;
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_span_memory span = {0};
    slow s = {0};
    hr_status status;
    hr_busy_mark mark = hr__busy_switch(HR_CAUSE_BATCH);
    for (int32_t r = 0; r < count; r++)
        s.rows += runs[r].count;
    HR_GO(find_slow(&s, runs, count, err));
    if (s.field_count)
        HR_GO(take_slow(&s, runs, count, target->runtime, err));
    HR_GO(measure(&s, schema, &layout, err));
    HR_GO(hr__span_take(target, layout.span_bytes, &span, err));
    HR_GO(hr__builder_init(&builder, &layout, span.memory, err));
    HR_GO(fill(&s, runs, count, &builder, err));
    hr__builder_seal(&builder, s.rows);
    HR_GO(hr__span_done(&span, schema, s.rows, out, err));
out:
    hr__span_drop(&span);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    finish_slow(&s);
    hr__busy_leave(mark);
    return status;
}
