// SPDX-License-Identifier: Apache-2.0
// What the user wrote: assignments (hr_prep_map), a function on blocks (hr_prep_map_blocks), a function in processes
// (hr_prep_map_process). None learns anything.
#include "prep/prep_parts.h"

#include "base/option.h"
#include <string.h>

static hr_fit_status never_fittable(const hr_prep *prep)
{
    return HR_NOT_FITTABLE;
}

static hr_status nothing_learned(const hr_prep *prep, json_t **out, hr_error *err)
{
    *out = json_object();
    return *out ? HR_OK : HR_FAIL(err, HR_NOMEM, "out of memory");
}

// --- assignments ---

typedef struct hr_assignments_prep {
    hr_prep base;
    char *text; // as the user wrote it
    hr_assignment *list;
    int32_t count;
} hr_assignments_prep;

hr_status hr_prep_map(const char *assignments, hr_prep **out, hr_error *err)
{
    hr_assignments_prep *map = NULL;
    HR_TRY(hr__prep_new(&hr__prep_class_map, sizeof *map, &map, err));
    hr_prep *prep = &map->base;
    hr_status status = hr__strdup(assignments, &map->text, err);
    if (status == HR_OK)
        status = hr__assignments_parse(assignments, &map->list, &map->count, err);
    if (status == HR_OK) {
        *out = prep;
        return HR_OK;
    }
    hr_prep_unref(&prep);
    return status;
}

static void map_close(hr_prep *prep)
{
    hr_assignments_prep *map = (hr_assignments_prep *)prep;
    if (map->list)
        hr__assignments_free(map->list, map->count);
    hr__free(map->text);
}

static hr_status map_transform(const hr_prep *prep, hr_prep_sink *sink, hr_error *err)
{
    const hr_assignments_prep *map = (const hr_assignments_prep *)prep;
    for (int32_t i = 0; i < map->count; i++)
        HR_TRY(sink->assign(sink, map->list[i].name, map->list[i].expr, err));
    return HR_OK;
}

static void map_print(const hr_prep *prep, hr_text *out)
{
    hr__text_add(out, "BatchMapper(%s)", ((const hr_assignments_prep *)prep)->text);
}

static hr_status map_save(const hr_prep *prep, json_t *into, hr_error *err)
{
    return hr__saved_set(into, "assignments",
                         json_string(((const hr_assignments_prep *)prep)->text), err);
}

static hr_status map_load(const json_t *from, hr_prep **out, hr_error *err)
{
    const char *text = NULL;
    HR_TRY(hr__saved_text(from, "assignments", &text, err));
    return hr_prep_map(text, out, err);
}

const hr_prep_class hr__prep_class_map = {
    .name = "BatchMapper",
    .close = map_close,
    .fit_status = never_fittable,
    .transform = map_transform,
    .print = map_print,
    .learned = nothing_learned,
    .save = map_save,
    .load = map_load,
};

// --- a function on blocks ---

// The user's context is released once, when neither the preprocessor nor any dataset made with it can call the
// function. So both hold this, and datasets are given `call_shared`.
typedef struct hr_shared_function {
    _Atomic uint32_t refs;
    hr_block_function function;
    void *context;
    void (*release)(void *context);
} hr_shared_function;

typedef struct hr_function_prep {
    hr_prep base;
    hr_shared_function *shared;
    char *name;
    hr_schema *schema;
    int64_t batch_rows;
} hr_function_prep;

static hr_status call_shared(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    hr_shared_function *shared = context;
    return shared->function(shared->context, in, out, err);
}

static void unref_shared(void *context)
{
    hr_shared_function *shared = context;
    if (!shared || atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (shared->release)
        shared->release(shared->context);
    hr__free(shared);
}

hr_status hr_prep_map_blocks(hr_block_function function, void *context,
                             const hr_function_options *options, hr_prep **out, hr_error *err)
{
    hr_status status;
    hr_prep *prep = NULL;
    hr_function_prep *own = NULL;
    hr_function_options given;
    HR_TRY(hr__options_copy("function", options, &given, sizeof given, err));
    HR_GO(hr__prep_new(&hr__prep_class_function, sizeof *own, &own, err));
    prep = &own->base;
    HR_GO(hr__alloc_zero(1, sizeof *own->shared, &own->shared, err));
    own->shared->refs = 1;
    own->shared->function = function;
    own->shared->context = context;
    HR_GO(hr__strdup(given.name ? given.name : "function", &own->name, err));
    own->schema = given.schema ? hr_schema_ref(given.schema) : NULL;
    own->batch_rows = given.batch_rows;
    own->shared->release = given.release; // from here on the context is ours
    *out = prep;
    return HR_OK;
out:
    hr_prep_unref(&prep);
    return status;
}

static void function_close(hr_prep *prep)
{
    hr_function_prep *own = (hr_function_prep *)prep;
    unref_shared(own->shared);
    hr_schema_unref(&own->schema);
    hr__free(own->name);
}

static hr_status function_transform(const hr_prep *prep, hr_prep_sink *sink, hr_error *err)
{
    const hr_function_prep *own = (const hr_function_prep *)prep;
    hr_function_options options = HR_FUNCTION_OPTIONS_INIT;
    options.name = own->name;
    options.schema = own->schema;
    options.batch_rows = own->batch_rows;
    options.release = unref_shared;
    atomic_fetch_add_explicit(&own->shared->refs, 1, memory_order_relaxed); // we hold one already
    hr_status status = sink->function(sink, call_shared, own->shared, &options, err);
    if (status != HR_OK)
        unref_shared(own->shared);
    return status;
}

static void function_print(const hr_prep *prep, hr_text *out)
{
    hr__text_add(out, "BatchMapper(fn=%s)", ((const hr_function_prep *)prep)->name);
}

const hr_prep_class hr__prep_class_function = {
    .name = "BatchMapper",
    .close = function_close,
    .fit_status = never_fittable,
    .transform = function_transform,
    .print = function_print,
    .learned = nothing_learned,
};

// --- a function in processes ---

typedef struct hr_process_prep {
    hr_prep base;
    char **argv;
    char *name, *identity;
    void *payload;
    hr_process_options options; // its pointers lead to the members above
    hr_schema *schema;
} hr_process_prep;

hr_status hr_prep_map_process(const hr_process_options *options, hr_prep **out, hr_error *err)
{
    hr_status status;
    hr_prep *prep = NULL;
    hr_process_prep *own = NULL;
    int32_t count = 0;
    hr_process_options given;
    HR_TRY(hr__options_copy("process", options, &given, sizeof given, err));
    if (!given.argv || !given.argv[0])
        return HR_FAIL(err, HR_INVALID, "map_process: argv names no program");
    HR_GO(hr__prep_new(&hr__prep_class_process, sizeof *own, &own, err));
    prep = &own->base;
    own->schema = given.schema ? hr_schema_ref(given.schema) : NULL;
    HR_GO(hr__names_copy(given.argv, &own->argv, &count, err));
    HR_GO(hr__strdup(given.name ? given.name : "function", &own->name, err));
    if (given.identity)
        HR_GO(hr__strdup(given.identity, &own->identity, err));
    HR_GO(hr__alloc(given.payload_bytes, &own->payload, err));
    if (given.payload_bytes > 0)
        memcpy(own->payload, given.payload, given.payload_bytes);
    own->options = given;
    own->options.argv = (const char *const *)own->argv;
    own->options.name = own->name;
    own->options.identity = own->identity;
    own->options.payload = own->payload;
    *out = prep;
    return HR_OK;
out:
    hr_prep_unref(&prep);
    return status;
}

static void process_close(hr_prep *prep)
{
    hr_process_prep *own = (hr_process_prep *)prep;
    hr__names_free(own->argv);
    hr__free(own->name);
    hr__free(own->identity);
    hr__free(own->payload);
    hr_schema_unref(&own->schema);
}

static hr_status process_transform(const hr_prep *prep, hr_prep_sink *sink, hr_error *err)
{
    return sink->process(sink, &((const hr_process_prep *)prep)->options, err);
}

static void process_print(const hr_prep *prep, hr_text *out)
{
    hr__text_add(out, "BatchMapper(fn=%s)", ((const hr_process_prep *)prep)->name);
}

const hr_prep_class hr__prep_class_process = {
    .name = "BatchMapper",
    .close = process_close,
    .fit_status = never_fittable,
    .transform = process_transform,
    .print = process_print,
    .learned = nothing_learned,
};
