// SPDX-License-Identifier: Apache-2.0
// One after the other: each learns from what those before it give.
//
// Fitting goes through the chain once and reads the data as seldom as it can: neighbours that learn from columns
// which none of them writes are fitted in one pass. The last ones are only fitted, not applied: nobody reads their
// result here.
#include "prep/prep_parts.h"

#include <string.h>

typedef struct hr_chained {
    hr_prep base;
    hr_prep **parts;
    int32_t count;
} hr_chained;

static const hr_chained *as_chain(const hr_prep *prep)
{
    return (const hr_chained *)prep;
}

hr_prep *const *hr__prep_chain_parts(const hr_prep *prep, int32_t *count_out)
{
    if (prep->class_ != &hr__prep_class_chain)
        return NULL;
    *count_out = as_chain(prep)->count;
    return as_chain(prep)->parts;
}

// Takes the references in `parts` on success.
static hr_status chain_open(hr_prep **parts, int32_t count, hr_prep **out, hr_error *err)
{
    hr_chained *chain = NULL;
    HR_TRY(hr__prep_new(&hr__prep_class_chain, sizeof *chain, &chain, err));
    chain->parts = parts;
    chain->count = count;
    *out = &chain->base;
    return HR_OK;
}

static void parts_free(hr_prep **parts, int32_t count)
{
    for (int32_t i = 0; parts && i < count; i++)
        hr_prep_unref(&parts[i]);
    hr__free(parts);
}

hr_status hr_prep_chain(hr_prep *const *preps, int32_t count, hr_prep **out, hr_error *err)
{
    hr_prep **parts = NULL;
    if (count < 0)
        return HR_FAIL(err, HR_INVALID, "a chain of %d preprocessors", (int)count);
    for (int32_t i = 0; i < count; i++)
        if (preps[i]->class_ == &hr__prep_class_chain)
            return HR_FAIL(err, HR_INVALID,
                           "preprocessor %d of the chain is a chain itself: list its parts instead",
                           (int)i);
    HR_TRY(hr__alloc_zero((size_t)count + 1, sizeof *parts, &parts, err));
    for (int32_t i = 0; i < count; i++)
        parts[i] = hr_prep_ref(preps[i]);
    hr_status status = chain_open(parts, count, out, err);
    if (status != HR_OK)
        parts_free(parts, count);
    return status;
}

static void chain_close(hr_prep *prep)
{
    parts_free(((hr_chained *)prep)->parts, as_chain(prep)->count);
}

static hr_fit_status chain_fit_status(const hr_prep *prep)
{
    int32_t fitted = 0, unfitted = 0;
    for (int32_t i = 0; i < as_chain(prep)->count; i++) {
        hr_fit_status status = hr_prep_fit_status(as_chain(prep)->parts[i]);
        fitted += status == HR_FITTED;
        unfitted += status == HR_NOT_FITTED;
    }
    if (fitted + unfitted == 0)
        return HR_NOT_FITTABLE;
    if (unfitted == 0)
        return HR_FITTED;
    return fitted > 0 ? HR_PARTIALLY_FITTED : HR_NOT_FITTED;
}

// Whether `later` learns from a column that `earlier` writes.
static bool depends_on(const hr_prep *later, const hr_prep *earlier)
{
    for (const char *const *a = later->class_->columns(later); *a; a++)
        for (const char *const *b = earlier->class_->columns(earlier); *b; b++)
            if (strcmp(*a, *b) == 0)
                return true;
    return false;
}

// How many parts from `first` on can learn from one and the same dataset.
static int32_t group_count(const hr_chained *chain, int32_t first)
{
    int32_t count = 1;
    for (; first + count < chain->count; count++) {
        const hr_prep *next = chain->parts[first + count];
        if (!next->class_->step)
            return count;
        for (int32_t i = first; i < first + count; i++)
            if (depends_on(next, chain->parts[i]))
                return count;
    }
    return count;
}

static hr_status transform_by(hr_prep *const *parts, int32_t count, hr_dataset **dataset,
                              hr_error *err)
{
    for (int32_t i = 0; i < count; i++) {
        hr_dataset *next = NULL;
        HR_TRY(hr_prep_transform(parts[i], *dataset, &next, err));
        hr_dataset_unref(dataset);
        *dataset = next;
    }
    return HR_OK;
}

hr_status hr__prep_chain_fit(const hr_prep *prep, const hr_dataset *dataset, hr_prep **out,
                             hr_error *err)
{
    const hr_chained *chain = as_chain(prep);
    hr_status status;
    hr_prep **fitted = NULL;
    hr_dataset *now = hr_dataset_ref(dataset);
    int32_t last = -1; // the last one that learns
    for (int32_t i = 0; i < chain->count; i++)
        if (chain->parts[i]->class_->step)
            last = i;
    HR_GO(hr__alloc_zero((size_t)chain->count + 1, sizeof *fitted, &fitted, err));
    for (int32_t i = 0; i < chain->count;) {
        int32_t group = 1;
        if (chain->parts[i]->class_->step) {
            group = group_count(chain, i);
            HR_GO(hr__prep_fit_together(&chain->parts[i], group, now, &fitted[i], err));
        } else {
            fitted[i] = hr_prep_ref(chain->parts[i]);
        }
        if (i + group <= last)
            HR_GO(transform_by(&fitted[i], group, &now, err));
        i += group;
    }
    HR_GO(chain_open(fitted, chain->count, out, err));
    fitted = NULL;
out:
    parts_free(fitted, chain->count);
    hr_dataset_unref(&now);
    return status;
}

static hr_status chain_transform(const hr_prep *prep, hr_prep_sink *sink, hr_error *err)
{
    for (int32_t i = 0; i < as_chain(prep)->count; i++) {
        const hr_prep *part = as_chain(prep)->parts[i];
        HR_TRY(part->class_->transform(part, sink, err));
    }
    return HR_OK;
}

static void chain_print(const hr_prep *prep, hr_text *out)
{
    hr__text_add(out, "Chain(preprocessors=(");
    for (int32_t i = 0; i < as_chain(prep)->count; i++) {
        const hr_prep *part = as_chain(prep)->parts[i];
        hr__text_add(out, "%s", i > 0 ? ", " : "");
        part->class_->print(part, out);
    }
    // As a tuple of one is printed in Python.
    hr__text_add(out, "%s))", as_chain(prep)->count == 1 ? "," : "");
}

static hr_status parts_to_json(const hr_prep *prep,
                               hr_status (*each)(const hr_prep *part, json_t **out, hr_error *err),
                               json_t **out, hr_error *err)
{
    json_t *list = json_array();
    if (!list)
        return HR_FAIL(err, HR_NOMEM, "out of memory while saving a chain");
    for (int32_t i = 0; i < as_chain(prep)->count; i++) {
        json_t *part = NULL;
        hr_status status = each(as_chain(prep)->parts[i], &part, err);
        if (status == HR_OK && json_array_append_new(list, part) != 0)
            status = HR_FAIL(err, HR_NOMEM, "out of memory while saving a chain");
        if (status != HR_OK) {
            json_decref(list);
            return status;
        }
    }
    *out = list;
    return HR_OK;
}

static hr_status part_learned(const hr_prep *part, json_t **out, hr_error *err)
{
    return part->class_->learned(part, out, err);
}

static hr_status chain_learned(const hr_prep *prep, json_t **out, hr_error *err)
{
    return parts_to_json(prep, part_learned, out, err);
}

static hr_status chain_save(const hr_prep *prep, json_t *into, hr_error *err)
{
    json_t *list = NULL;
    HR_TRY(parts_to_json(prep, hr__prep_to_json, &list, err));
    return hr__saved_set(into, "preprocessors", list, err);
}

static hr_status chain_load(const json_t *from, hr_prep **out, hr_error *err)
{
    const json_t *list = json_object_get(from, "preprocessors");
    if (!json_is_array(list))
        return HR_FAIL(err, HR_INVALID, "saved Chain: 'preprocessors' is not a list");
    size_t count = json_array_size(list);
    if (count > 10000)
        return HR_FAIL(err, HR_LIMIT, "saved Chain: %zu preprocessors, 10000 allowed", count);
    hr_prep **parts = NULL;
    HR_TRY(hr__alloc_zero(count + 1, sizeof *parts, &parts, err));
    hr_status status = HR_OK;
    for (size_t i = 0; i < count; i++) {
        const json_t *part = json_array_get(list, i);
        const char *name = NULL;
        HR_GO(hr__saved_text(part, "class", &name, err));
        if (strcmp(name, hr__prep_class_chain.name) == 0) {
            status = HR_FAIL(err, HR_INVALID, "saved Chain: preprocessor %zu is a chain itself", i);
            goto out;
        }
        HR_GO(hr__prep_from_json(part, &parts[i], err));
    }
    HR_GO(chain_open(parts, (int32_t)count, out, err));
    parts = NULL;
out:
    parts_free(parts, (int32_t)count);
    return status;
}

const hr_prep_class hr__prep_class_chain = {
    .name = "Chain",
    .close = chain_close,
    .fit_status = chain_fit_status,
    .transform = chain_transform,
    .print = chain_print,
    .learned = chain_learned,
    .save = chain_save,
    .load = chain_load,
};
