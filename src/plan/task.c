// SPDX-License-Identifier: Apache-2.0
// A task: rows of one unit through all stages of its branch, on one thread, into one span.
#include "base/os.h"
#include "plan/epoch_cache.h"
#include "plan/place.h"
#include <stdatomic.h>
#include <string.h>

hr_status hr__unit_run_make(hr_runtime *runtime, const hr_unit *unit, hr_unit_run **out,
                            hr_error *err)
{
    hr_unit_run *run;
    HR_TRY(hr__alloc_zero(1, sizeof *run, &run, err));
    run->refs = 1;
    run->unit = *unit;
    run->from = unit->first;
    run->runtime = runtime;
    hr__mutex_init(&run->mutex);
    *out = run;
    return HR_OK;
}

hr_unit_run *hr__unit_run_ref(hr_unit_run *run)
{
    atomic_fetch_add_explicit(&run->refs, 1, memory_order_relaxed);
    return run;
}

void hr__unit_run_unref(hr_unit_run **run)
{
    hr_unit_run *r = *run;
    *run = NULL;
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    hr_node *n = r->unit.branch->origin;
    if (r->fragment)
        r->reader->format->fragment_close(r->fragment);
    if (r->reader && n->kind == HR_NODE_FILES)
        hr__files_release(n->files, (size_t)r->unit.part);
    if (r->unit.object)
        hr__store_unref(hr__runtime_store(r->runtime), r->unit.object);
    hr__mutex_finish(&r->mutex);
    hr__free(r);
}

// --- the rows of units that are blocks already ---

static hr_object_id unit_object(const hr_unit_run *run)
{
    const hr_node *n = run->unit.branch->origin;
    if (!n)
        return run->unit.object;
    return n->kind == HR_NODE_SERIES ? hr__series_at(n->kept.series, (size_t)run->unit.fragment)
                                     : 0;
}

static hr_status source_block(hr_task *t, hr_block **out, hr_error *err)
{
    hr_unit_run *run = t->unit;
    hr_branch *b = run->unit.branch;
    hr_store *store = hr__runtime_store(run->runtime);
    hr_object_id object = unit_object(run);
    hr_block *whole = NULL;
    if (!object) {
        whole = hr_block_ref(b->origin->blocks[run->unit.fragment]);
    } else {
        const uint8_t *memory;
        size_t bytes;
        HR_TRY(hr__store_pin(store, object, &memory, &bytes, err)); // HR_AGAIN: being restored
        hr_status status = hr__store_block(store, object, b->origin_schema, &whole, err);
        hr__store_unpin(store, object);
        HR_TRY(status);
    }
    hr_status status = hr_block_slice(whole, t->first, t->rows, out, err);
    hr_block_unref(&whole);
    if (status == HR_OK && !object)
        hr__node_count(b->origin, t->rows, hr_block_bytes(*out));
    return status;
}

// --- stages ---

hr_status hr__block_function_call(hr_block_function function, void *context, const hr_block *in,
                                  hr_block **out, hr_error *err)
{
    hr_block *result = NULL;
    hr_error own = HR_ERROR_INIT;
    hr_status status = function(context, in, &result, &own);
    if (status > 0) // HR_END or our own: nothing a function may say
        return HR_FAIL(err, HR_USER, "it returned status %d", (int)status);
    if (status < 0) // our own LIMIT would have it called again
        return HR_FAIL(err, status == HR_LIMIT ? HR_USER : status, "%s",
                       own.message[0] ? own.message : "it failed without a message");
    if (!result)
        return HR_FAIL(err, HR_USER, "it returned no block");
    *out = result;
    return HR_OK;
}

hr_status hr__function_call(hr_node *n, const hr_block *in, hr_block **out, hr_error *err)
{
    hr_block *result = NULL;
    if (n->kind == HR_NODE_PROCESS) {
        HR_TRY(hr__udf_call(n->udf, in, &result, err));
    } else {
        HR_TRY(hr__block_function_call(n->function, n->function_context, in, &result, err));
    }
    *out = result;
    return HR_OK;
}

static hr_status check_schema(const hr_stage *stage, const hr_block *result, hr_error *err)
{
    const hr_schema *expected;
    char a[256], b[256];
    HR_TRY(hr__node_schema(stage->node, &expected, err));
    if (hr_schema_equal(expected, hr_block_schema(result)))
        return HR_OK;
    return HR_FAIL(
        err, HR_USER,
        "it returned (%s), where its first rows gave (%s): all its results must have one schema",
        hr__schema_print(hr_block_schema(result), a, sizeof a),
        hr__schema_print(expected, b, sizeof b));
}

static hr_status check_wanted(const hr_task *t, hr_error *err)
{
    if (atomic_load(t->stop))
        return HR_FAIL(err, HR_CANCELLED, "closed");
    return hr__runtime_check(t->unit->runtime, err);
}

// The function over the block in calls of its batch_rows.
static hr_status run_function(const hr_task *t, const hr_stage *stage, const hr_block *in,
                              hr_block **out, hr_error *err)
{
    int64_t step = stage->node->batch_rows ? stage->node->batch_rows : HR_MAX(hr_block_rows(in), 1);
    HR_VEC(hr_block *) results = {0};
    hr_block *part = NULL;
    hr_status status = HR_OK;
    int64_t at = 0;
    for (; at < hr_block_rows(in); at += step) {
        hr_block *result = NULL;
        HR_GO(check_wanted(t, err));
        HR_GO(hr_block_slice(in, at, HR_MIN(step, hr_block_rows(in) - at), &part, err));
        hr_busy_mark mark = hr__busy_switch(HR_CAUSE_FUNCTION);
        status = hr__function_call(stage->node, part, &result, err);
        hr__busy_leave(mark);
        if (status != HR_OK)
            goto out;
        status = check_schema(stage, result, err);
        if (status == HR_OK)
            status = HR_VEC_PUSH(&results, result, err);
        if (status != HR_OK) {
            hr_block_unref(&result);
            goto out;
        }
        hr_block_unref(&part);
    }
    if (results.count == 1) {
        *out = hr_block_ref(results.items[0]);
    } else {
        const hr_schema *schema;
        HR_GO(hr__node_schema(stage->node, &schema, err));
        HR_GO(hr__block_concat(results.items, results.count, schema, out, err));
    }
out:
    if (status < 0 && status != HR_CANCELLED)
        hr__error_context(err, "%s, rows %lld to %lld of block %lld", stage->node->name,
                          (long long)(t->first + at),
                          (long long)(t->first + HR_MIN(at + step, hr_block_rows(in)) - 1),
                          (long long)t->unit->unit.fragment);
    hr_block_unref(&part);
    for (size_t i = 0; i < results.count; i++)
        hr_block_unref(&results.items[i]);
    HR_VEC_FINISH(&results);
    return status;
}

static bool has_function_before(const hr_branch *b, int32_t stage)
{
    for (int32_t i = 0; i < stage; i++)
        if (b->stages[i].kind != HR_STAGE_PROGRAM)
            return true;
    return false;
}

// Made, not placed yet: kept, so that a function is not called again for these rows.
static void keep_pending(hr_task *t, hr_block **block, int32_t stage)
{
    t->pending = *block;
    t->pending_stage = stage;
    *block = NULL;
}

// Applies stages [from, count) to the block; the last program writes to the target itself.
static hr_status run_stages(hr_task *t, int32_t from, hr_block **block, const hr_target *target,
                            hr_result *out, hr_error *err)
{
    hr_branch *b = t->unit->unit.branch;
    hr_target between = {target->runtime, HR_PLACE_SCRATCH, false, NULL, target->marks};
    for (int32_t i = from; i < b->stage_count; i++) {
        const hr_stage *stage = &b->stages[i];
        hr_block *next = NULL;
        hr_target to = i + 1 == b->stage_count ? *target : between;
        to.sample = i == 0 ? target->sample : NULL;
        if (stage->kind == HR_STAGE_PROGRAM) {
            hr_result made = {0};
            bool last = i + 1 == b->stage_count;
            hr_status status = hr__program_apply(stage->program, *block, &to, &made, err);
            if (status == HR_AGAIN && has_function_before(b, i))
                keep_pending(t, block, i);
            HR_TRY(status);
            if (last) {
                *out = made;
                return HR_OK;
            }
            next = made.block;
        } else {
            HR_TRY(run_function(t, stage, *block, &next, err));
        }
        hr_block_unref(block);
        *block = next;
    }
    keep_pending(t, block, b->stage_count);
    return HR_AGAIN;
}

// What is made is put where it is wanted.
static hr_status place_pending(hr_task *t, const hr_target *target, hr_result *out, hr_error *err)
{
    int64_t rows = hr_block_rows(t->pending);
    if (target->place != HR_PLACE_ARENA) {
        *out = (hr_result){.block = t->pending, .rows = rows, .bytes = hr_block_bytes(t->pending)};
        t->pending = NULL;
        return HR_OK;
    }
    if (rows == 0) {
        *out = (hr_result){0};
    } else {
        hr_gather_piece piece = {t->pending, NULL, rows};
        HR_TRY(hr__gather(hr_block_schema(t->pending), &piece, 1, target, out, err));
    }
    hr_block_unref(&t->pending);
    return HR_OK;
}

static bool is_reader(const hr_branch *b)
{
    return b->origin && (b->origin->kind == HR_NODE_FILES || b->origin->kind == HR_NODE_READER);
}

// An object of the arena that nothing is done to goes on as it is.
static bool passes_whole(const hr_task *t)
{
    const hr_unit *u = &t->unit->unit;
    return u->branch->stage_count == 0 && t->place == HR_PLACE_ARENA && unit_object(t->unit);
}

static hr_status pass_whole(hr_task *t, hr_result *out, hr_error *err)
{
    hr_store *store = hr__runtime_store(t->unit->runtime);
    hr_object_id object = unit_object(t->unit);
    const uint8_t *memory;
    size_t bytes;
    int64_t rows;
    HR_TRY(hr__store_pin(store, object, &memory, &bytes,
                         err)); // in memory, and stays until it is given back
    hr_status status = hr__span_peek(memory, bytes, &rows, &bytes, err);
    if (status != HR_OK) {
        hr__store_unpin(store, object);
        return status;
    }
    hr__store_ref(store, object);
    *out = (hr_result){
        .object = object,
        .rows = t->rows,
        .bytes = (int64_t)((double)bytes * (double)t->rows / (double)HR_MAX(rows, 1)),
    };
    t->pinned = true;
    t->out_first = t->first;
    return HR_OK;
}

// What a function gets may be kept in the arena, where there is room at once; else it is made as if nothing were kept.
static hr_status read_to_keep(hr_task *t, const hr_target *target, hr_result *out, hr_error *err)
{
    hr_target keep = *target;
    hr_result made = {0};
    keep.place = HR_PLACE_ARENA;
    keep.oldest = false;
    keep.share = t->share;
    hr_status status = hr__piece_find(t, t->urgent, &made);
    if (status == HR_AGAIN && !t->urgent)
        return HR_AGAIN;
    if (status != HR_OK) {
        if (hr__task_read(t, &keep, &made, NULL) != HR_OK)
            return hr__task_read(t, target, out, err);
        hr__piece_offer(t, &made);
    }
    hr_store *store = hr__runtime_store(t->unit->runtime);
    const hr_schema *schema = hr__program_schema(t->unit->unit.branch->stages[0].program);
    if (!made.object) { // a block of no rows is wanted
        hr_gather_piece nothing = {0};
        return hr__gather(schema, &nothing, 0, target, out, err);
    }
    status = hr__store_block(store, made.object, schema, &out->block, err);
    hr__store_unref(store, made.object); // the block has one of its own
    out->rows = made.rows;
    out->bytes = made.bytes;
    return status;
}

// Reads the rows through the first program, unless that was done in an earlier epoch and is still there.
static hr_status read_rows(hr_task *t, const hr_target *target, hr_result *out, hr_error *err)
{
    if (!hr__piece_is_kept(t))
        return hr__task_read(t, target, out, err);
    if (target->place != HR_PLACE_ARENA)
        return read_to_keep(t, target, out, err);
    hr_status status = hr__piece_find(t, t->urgent, out);
    if (status != HR_END)
        return status;
    HR_TRY(hr__task_read(t, target, out, err));
    hr__piece_offer(t, out);
    return HR_OK;
}

static hr_status run(hr_task *t, const hr_target *target, hr_result *out, hr_error *err)
{
    hr_branch *b = t->unit->unit.branch;
    hr_target between = {target->runtime, HR_PLACE_SCRATCH, false, NULL,
                         target->marks,   target->sample};
    hr_block *block = NULL;
    int32_t from = 0;
    hr_status status;
    if (t->pending && t->pending_stage == b->stage_count)
        return place_pending(t, target, out, err);
    if (passes_whole(t))
        return pass_whole(t, out, err);
    if (t->pending) {
        block = t->pending;
        from = t->pending_stage;
        t->pending = NULL;
    } else if (is_reader(b)) {
        hr_result made = {0};
        bool last = b->stage_count == 1;
        HR_TRY(read_rows(t, last ? target : &between, &made, err));
        if (last) {
            *out = made;
            return HR_OK;
        }
        block = made.block;
        from = 1;
    } else {
        HR_TRY(source_block(t, &block, err));
    }
    status = run_stages(t, from, &block, target, out, err);
    hr_block_unref(&block);
    if (status == HR_AGAIN && t->pending && t->pending_stage == b->stage_count)
        status = place_pending(t, target, out, err);
    return status;
}

static void close_marks(hr_marks *marks, int64_t rows)
{
    HR_ASSERT(rows == 0 || marks->count == 1 || marks->at[marks->count - 1] == rows);
    for (int64_t i = 0; i < marks->count && rows == 0; i++)
        marks->at[i] = 0; // nothing was selected, so nobody looked which
    marks->at[marks->count - 1] = rows;
}

hr_status hr__task_run(hr_task *task, bool oldest, hr_error *err)
{
    // Of a function's rows nobody knows where they came from: they are one part.
    hr_target target = {task->unit->runtime, task->place, oldest, task->share,
                        task->unit->unit.branch->has_function ? NULL : task->marks};
    const hr_row_sample sample = hr__unit_sample(&task->unit->unit, task->first);
    if (sample.count)
        target.sample = &sample;
    hr_result result = {0};
    uint64_t wall = hr__now_ns(), cpu = hr__thread_cpu_ns();
    task->urgent = oldest;
    hr_status status = task->rows ? run(task, &target, &result, err) : HR_OK;
    task->wall_ns += hr__now_ns() - wall;
    task->cpu_ns += hr__thread_cpu_ns() - cpu;
    if (status != HR_OK)
        return status;
    task->object = result.object;
    task->block = result.block;
    task->out_rows = result.rows;
    if (task->marks)
        close_marks(task->marks, result.rows);
    task->out_bytes = result.bytes;
    return HR_OK;
}

bool hr__task_undo(hr_task *task)
{
    const hr_branch *b = task->unit->unit.branch;
    // Marks were moved by what was left out.
    if (!task->object || !is_reader(b) || b->has_function || (task->marks && !b->row_exact))
        return false;
    hr__store_unref(hr__runtime_store(task->unit->runtime), task->object);
    task->object = 0;
    task->out_rows = task->out_bytes = 0;
    return true;
}

void hr__task_finish(hr_task *task)
{
    if (!task->unit)
        return;
    hr_store *store = hr__runtime_store(task->unit->runtime);
    hr_block_unref(&task->pending);
    hr_block_unref(&task->block);
    if (task->pinned)
        hr__store_unpin(store, unit_object(task->unit));
    if (task->object)
        hr__store_unref(store, task->object);
    task->object = 0;
    hr__free(task->marks);
    task->marks = NULL;
    hr__unit_run_unref(&task->unit);
}
