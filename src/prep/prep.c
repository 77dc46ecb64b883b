// SPDX-License-Identifier: Apache-2.0
// The handle: references, fitting in one pass, and the lazy transform.
#include "prep/prep_parts.h"

#include <string.h>

hr_status hr__prep_new(const hr_prep_class *class_, size_t bytes, void *out, hr_error *err)
{
    hr_prep *prep = NULL;
    HR_TRY(hr__alloc_zero(1, bytes, &prep, err));
    prep->refs = 1;
    prep->class_ = class_;
    *(hr_prep **)out = prep;
    return HR_OK;
}

hr_prep *hr_prep_ref(const hr_prep *prep)
{
    hr_prep *shared = (hr_prep *)prep; // the count is not part of what is immutable
    // Relaxed: whoever refs has a reference already.
    atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    return shared;
}

void hr_prep_unref(hr_prep **prep_inout)
{
    hr_prep *prep = prep_inout ? *prep_inout : NULL;
    if (!prep)
        return;
    *prep_inout = NULL;
    // Acquire and release: the last one out must see what the others did.
    if (atomic_fetch_sub_explicit(&prep->refs, 1, memory_order_acq_rel) != 1)
        return;
    prep->class_->close(prep);
    hr__free(prep);
}

hr_fit_status hr_prep_fit_status(const hr_prep *prep)
{
    return prep->class_->fit_status(prep);
}

// --- one pass for several ---

typedef struct hr_fit_pass {
    hr_prep *const *preps;
    int32_t count;
    size_t *offsets; // of each one's state
    size_t state_bytes;
} hr_fit_pass;

static hr_status pass_step(void *context, void *state, const hr_block *block, hr_error *err)
{
    hr_fit_pass *pass = context;
    for (int32_t i = 0; i < pass->count; i++) {
        const hr_prep *prep = pass->preps[i];
        HR_TRY(prep->class_->step(prep, (uint8_t *)state + pass->offsets[i], block, err));
    }
    return HR_OK;
}

static hr_status pass_fold(void *context, void *total, const void *state, hr_error *err)
{
    hr_fit_pass *pass = context;
    for (int32_t i = 0; i < pass->count; i++) {
        const hr_prep *prep = pass->preps[i];
        HR_TRY(prep->class_->fold(prep, (uint8_t *)total + pass->offsets[i],
                                  (const uint8_t *)state + pass->offsets[i], err));
    }
    return HR_OK;
}

static bool holds_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

// The columns that the pass must read, each once, NULL-ended; freed by the caller.
static hr_status pass_columns(const hr_fit_pass *pass, const char ***out, hr_error *err)
{
    size_t room = 1, count = 0;
    for (int32_t i = 0; i < pass->count; i++)
        for (const char *const *c = pass->preps[i]->class_->columns(pass->preps[i]); *c; c++)
            room++;
    const char **names = NULL;
    HR_TRY(hr__alloc_zero(room, sizeof *names, &names, err));
    for (int32_t i = 0; i < pass->count; i++)
        for (const char *const *c = pass->preps[i]->class_->columns(pass->preps[i]); *c; c++)
            if (!holds_name(names, count, *c))
                names[count++] = *c;
    *out = names;
    return HR_OK;
}

static hr_status learn_all(const hr_fit_pass *pass, const void *total, hr_prep **fitted,
                           hr_error *err)
{
    for (int32_t i = 0; i < pass->count; i++) {
        const hr_prep *prep = pass->preps[i];
        hr_status status =
            prep->class_->learn(prep, (const uint8_t *)total + pass->offsets[i], &fitted[i], err);
        if (status != HR_OK) {
            while (i-- > 0)
                hr_prep_unref(&fitted[i]);
            return status;
        }
    }
    return HR_OK;
}

hr_status hr__prep_fit_together(hr_prep *const *preps, int32_t count, const hr_dataset *dataset,
                                hr_prep **fitted, hr_error *err)
{
    hr_status status;
    hr_fit_pass pass = {preps, count, NULL, 0};
    const char **columns = NULL;
    void *total = NULL;
    const hr_schema *schema = NULL;
    HR_GO(hr_dataset_schema(dataset, &schema, err));
    HR_GO(hr__alloc_zero((size_t)count, sizeof *pass.offsets, &pass.offsets, err));
    for (int32_t i = 0; i < count; i++) {
        HR_GO(preps[i]->class_->check(preps[i], schema, err));
        pass.offsets[i] = pass.state_bytes;
        pass.state_bytes += HR_ALIGN_UP(preps[i]->class_->state_bytes(preps[i]), 16);
    }
    HR_GO(pass_columns(&pass, &columns, err));
    HR_GO(hr__alloc_zero(1, pass.state_bytes, &total, err));
    hr_reduce reduce = {"fit", pass.state_bytes, pass_step, pass_fold};
    HR_GO(hr__dataset_reduce(dataset, columns, &reduce, &pass, total, err));
    status = learn_all(&pass, total, fitted, err);
out:
    hr__free(total);
    hr__free(columns);
    hr__free(pass.offsets);
    return status;
}

hr_status hr_prep_fit(const hr_prep *prep, const hr_dataset *dataset, hr_prep **out, hr_error *err)
{
    int32_t parts;
    if (hr__prep_chain_parts(prep, &parts))
        return hr__prep_chain_fit(prep, dataset, out, err);
    if (!prep->class_->step) {
        *out = hr_prep_ref(prep);
        return HR_OK;
    }
    hr_prep *one = (hr_prep *)prep; // only its reference count would change
    return hr__prep_fit_together(&one, 1, dataset, out, err);
}

// --- transforming a dataset: each step makes a new lazy one ---

typedef struct hr_dataset_sink {
    hr_prep_sink sink;
    hr_dataset *dataset;
} hr_dataset_sink;

static void sink_replace(hr_dataset_sink *self, hr_dataset *next)
{
    hr_dataset_unref(&self->dataset);
    self->dataset = next;
}

static hr_status sink_assign(hr_prep_sink *sink, const char *name, const hr_expr *expr,
                             hr_error *err)
{
    hr_dataset_sink *self = (hr_dataset_sink *)sink;
    hr_dataset *next = NULL;
    HR_TRY(hr_dataset_assign(self->dataset, name, expr, &next, err));
    sink_replace(self, next);
    return HR_OK;
}

static hr_status sink_function(hr_prep_sink *sink, hr_block_function function, void *context,
                               const hr_function_options *options, hr_error *err)
{
    hr_dataset_sink *self = (hr_dataset_sink *)sink;
    hr_dataset *next = NULL;
    HR_TRY(hr_dataset_map_blocks(self->dataset, function, context, options, &next, err));
    sink_replace(self, next);
    return HR_OK;
}

static hr_status sink_process(hr_prep_sink *sink, const hr_process_options *options, hr_error *err)
{
    hr_dataset_sink *self = (hr_dataset_sink *)sink;
    hr_dataset *next = NULL;
    HR_TRY(hr_dataset_map_process(self->dataset, options, &next, err));
    sink_replace(self, next);
    return HR_OK;
}

static hr_status check_fitted(const hr_prep *prep, hr_error *err)
{
    hr_fit_status fit = hr_prep_fit_status(prep);
    if (fit == HR_NOT_FITTED || fit == HR_PARTIALLY_FITTED)
        return HR_FAIL(err, HR_INVALID,
                       "%s has not been fitted%s: call fit (or fit_transform) on a dataset first",
                       prep->class_->name, fit == HR_NOT_FITTED ? "" : " as a whole");
    return HR_OK;
}

hr_status hr_prep_transform(const hr_prep *prep, const hr_dataset *dataset, hr_dataset **out,
                            hr_error *err)
{
    HR_TRY(check_fitted(prep, err));
    hr_dataset_sink self = {{sink_assign, sink_function, sink_process}, hr_dataset_ref(dataset)};
    hr_status status = prep->class_->transform(prep, &self.sink, err);
    if (status != HR_OK) {
        hr_dataset_unref(&self.dataset);
        return status;
    }
    *out = self.dataset;
    return HR_OK;
}

hr_status hr_prep_transform_block(const hr_prep *prep, const hr_block *block, hr_block **out,
                                  hr_error *err)
{
    HR_TRY(check_fitted(prep, err));
    return hr__prep_apply_block(prep, block, out, err);
}

const char *hr_prep_print(const hr_prep *prep, char *buffer, size_t room)
{
    hr_text text;
    hr__text_init(&text, room > 0 ? room : 1);
    prep->class_->print(prep, &text);
    if (room > 0) {
        size_t count = HR_MIN(text.bytes, room - 1);
        memcpy(buffer, hr__text_str(&text), count);
        buffer[count] = '\0';
    }
    hr__text_finish(&text);
    return buffer;
}
