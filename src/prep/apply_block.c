// SPDX-License-Identifier: Apache-2.0
// A preprocessor applied to one block at once, as a server does with one request: no runtime, no threads.
//
// Assignments gather in a chain and run together; a function of the user ends the chain, runs on what it gave, and
// a new chain begins. Columns that nobody computed are the input's own memory: the result keeps the input.
#include "prep/prep_parts.h"

#include "block/block.h"
#include <string.h>

typedef struct hr_block_sink {
    hr_prep_sink sink;
    hr_block *block; // so far
    hr_chain *chain; // on it; NULL: nothing waits
} hr_block_sink;

// What a result's columns lie in.
typedef struct hr_result_owner {
    hr_block *input;
    void *memory;
} hr_result_owner;

static void owner_release(void *arg)
{
    hr_result_owner *owner = arg;
    hr_block_unref(&owner->input);
    hr__free(owner->memory);
    hr__free(owner);
}

// Bytes of one computed column's buffers, each padded.
typedef struct hr_slot_bytes {
    size_t validity, offsets, data;
} hr_slot_bytes;

static hr_status measure(hr_eval *eval, const hr_program *program, int32_t index,
                         const hr_column *inputs, int64_t rows, hr_slot_bytes *out, hr_error *err)
{
    const hr_field *field = hr_schema_field(hr__program_schema(program), index);
    size_t row_bytes = (size_t)hr_type_row_bytes(field->type);
    size_t data;
    if (HR_MUL_OVERFLOWS((size_t)rows, row_bytes, &data) || data > PTRDIFF_MAX / 4)
        return HR_FAIL(err, HR_LIMIT,
                       "column '%s': %lld rows of %zu bytes are more than memory "
                       "can hold",
                       field->name, (long long)rows, row_bytes);
    if (field->type->id == HR_TYPE_BOOL)
        data = ((size_t)rows + 7) / 8;
    *out = (hr_slot_bytes){0, 0, 0};
    if (field->nullable)
        out->validity = HR_ALIGN_UP(((size_t)rows + 7) / 8 + 1, HR_ALIGN);
    if (hr__type_has_offsets(field->type)) {
        out->offsets = HR_ALIGN_UP(((size_t)rows + 1) * (field->type->large ? 8 : 4), HR_ALIGN);
        data = (size_t)hr__eval_var_bytes(eval, index, inputs, rows);
    }
    out->data = HR_ALIGN_UP(data + 1, HR_ALIGN);
    return HR_OK;
}

// Carves the computed columns' slots out of one piece of memory; slots of the others stay empty.
static hr_status make_slots(hr_eval *eval, const hr_program *program, const hr_column *inputs,
                            int64_t rows, hr_slot *slots, void **memory_out, hr_error *err)
{
    hr_status status;
    int32_t count = hr_schema_count(hr__program_schema(program));
    hr_slot_bytes *sizes = NULL;
    size_t total = HR_ALIGN;
    uint8_t *memory = NULL;
    HR_GO(hr__alloc_zero((size_t)count + 1, sizeof *sizes, &sizes, err));
    for (int32_t i = 0; i < count; i++) {
        if (hr__program_passthrough(program, i) >= 0)
            continue;
        HR_GO(measure(eval, program, i, inputs, rows, &sizes[i], err));
        if (HR_ADD_OVERFLOWS(total, sizes[i].validity + sizes[i].offsets + sizes[i].data, &total)) {
            status = HR_FAIL(err, HR_LIMIT, "the block's result is more than memory can hold");
            goto out;
        }
    }
    HR_GO(hr__alloc_aligned(total, HR_ALIGN, &memory, err));
    *memory_out = memory;
    for (int32_t i = 0; i < count; i++) {
        if (hr__program_passthrough(program, i) >= 0)
            continue;
        const hr_field *field = hr_schema_field(hr__program_schema(program), i);
        slots[i] = (hr_slot){.type = field->type, .rows = rows, .null_count = -1};
        slots[i].data_bytes = (int64_t)sizes[i].data;
        slots[i].validity = sizes[i].validity ? memory : NULL;
        memory += sizes[i].validity;
        slots[i].offsets = sizes[i].offsets ? memory : NULL;
        if (sizes[i].offsets)
            memset(slots[i].offsets, 0, 8 < sizes[i].offsets ? 8 : sizes[i].offsets);
        memory += sizes[i].offsets;
        slots[i].data = memory;
        memory += sizes[i].data;
    }
out:
    hr__free(sizes);
    return status;
}

static void describe(const hr_program *program, const hr_block *block, const hr_slot *slots,
                     hr_column *columns)
{
    int32_t count = hr_schema_count(hr__program_schema(program));
    for (int32_t i = 0; i < count; i++) {
        int32_t source = hr__program_passthrough(program, i);
        if (source >= 0)
            columns[i] = *hr_block_column(block, source);
        else
            columns[i] = (hr_column){.type = slots[i].type,
                                     .rows = hr_block_rows(block),
                                     .null_count = slots[i].validity ? slots[i].null_count : 0,
                                     .validity = slots[i].validity,
                                     .offsets = slots[i].offsets,
                                     .data = slots[i].data};
    }
}

static hr_status run_program(const hr_program *program, const hr_block *block, hr_block **out,
                             hr_error *err)
{
    hr_status status;
    const hr_schema *schema = hr__program_schema(program);
    size_t in_count = (size_t)hr_schema_count(hr_block_schema(block));
    size_t out_count = (size_t)hr_schema_count(schema);
    hr_eval *eval = NULL;
    hr_column *inputs = NULL, *columns = NULL;
    hr_slot *slots = NULL;
    hr_result_owner *owner = NULL;
    HR_GO(hr__alloc_zero(1, sizeof *owner, &owner, err));
    owner->input = hr_block_ref(block);
    HR_GO(hr__alloc_zero(in_count + 1, sizeof *inputs, &inputs, err));
    HR_GO(hr__alloc_zero(out_count + 1, sizeof *columns, &columns, err));
    HR_GO(hr__alloc_zero(out_count + 1, sizeof *slots, &slots, err));
    for (size_t i = 0; i < in_count; i++)
        inputs[i] = *hr_block_column(block, (int32_t)i);
    HR_GO(hr__eval_open(program, &eval, err));
    HR_GO(make_slots(eval, program, inputs, hr_block_rows(block), slots, &owner->memory, err));
    HR_GO(hr__eval_columns(eval, inputs, hr_block_rows(block), slots, 0, err));
    describe(program, block, slots, columns);
    HR_GO(hr__block_make(schema, hr_block_rows(block), columns, owner_release, owner, out, err));
    owner = NULL;
out:
    hr__eval_close(&eval);
    hr__free(slots);
    hr__free(columns);
    hr__free(inputs);
    if (owner)
        owner_release(owner);
    return status;
}

// Runs what waits in the chain.
static hr_status flush(hr_block_sink *self, hr_error *err)
{
    if (!self->chain)
        return HR_OK;
    hr_program *program = NULL;
    hr_block *next = NULL;
    HR_TRY(hr__chain_finish(self->chain, &program, err));
    hr_status status = run_program(program, self->block, &next, err);
    hr__program_unref(&program);
    hr__chain_close(&self->chain);
    HR_TRY(status);
    hr_block_unref(&self->block);
    self->block = next;
    return HR_OK;
}

static hr_status block_assign(hr_prep_sink *sink, const char *name, const hr_expr *expr,
                              hr_error *err)
{
    hr_block_sink *self = (hr_block_sink *)sink;
    if (!self->chain)
        HR_TRY(hr__chain_open(hr_block_schema(self->block), &self->chain, err));
    return hr__chain_assign(self->chain, name, expr, err);
}

static hr_status block_function(hr_prep_sink *sink, hr_block_function function, void *context,
                                const hr_function_options *options, hr_error *err)
{
    hr_block_sink *self = (hr_block_sink *)sink;
    hr_block *next = NULL;
    HR_TRY(flush(self, err));
    HR_TRY(hr__block_function_call(function, context, self->block, &next, err));
    hr_block_unref(&self->block);
    self->block = next;
    if (options->release)
        options->release(context);
    return HR_OK;
}

static hr_status block_process(hr_prep_sink *sink, const hr_process_options *options, hr_error *err)
{
    return HR_FAIL(err, HR_UNSUPPORTED,
                   "'%s' runs in processes of a runtime: transform a dataset, not a single block",
                   options->name);
}

hr_status hr__prep_apply_block(const hr_prep *prep, const hr_block *block, hr_block **out,
                               hr_error *err)
{
    hr_block_sink self = {{block_assign, block_function, block_process}, hr_block_ref(block), NULL};
    hr_status status = prep->class_->transform(prep, &self.sink, err);
    if (status == HR_OK)
        status = flush(&self, err);
    hr__chain_close(&self.chain);
    if (status != HR_OK) {
        hr_block_unref(&self.block);
        return status;
    }
    *out = self.block;
    return HR_OK;
}
