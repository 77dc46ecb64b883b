// SPDX-License-Identifier: Apache-2.0
// Datasets: a node and row-local steps chained on it. Row-local operations never make a node: they are substituted into
// the chain at once (so a wrong column is an error here and not later), and run fused with the read.
#include "base/option.h"
#include "plan/plan_internal.h"
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define LABEL_BYTES 512

hr_status hr__dataset_make(hr_runtime *runtime, hr_node *node, hr_chain *chain, const char *label,
                           hr_dataset **out, hr_error *err)
{
    hr_dataset *d = NULL;
    hr_status status;
    HR_GO(hr__alloc_zero(1, sizeof *d, &d, err));
    d->refs = 1;
    d->runtime = hr__runtime_ref(runtime);
    HR_GO(hr__strdup(label, &d->label, err));
    HR_GO(hr__stage_stats_make(label, &d->stats, err));
    d->node = node;
    d->chain = chain;
    *out = d;
    return HR_OK;
out:
    if (d)
        hr_dataset_unref(&d);
    hr__chain_close(&chain);
    hr__node_unref(&node);
    return status;
}

hr_dataset *hr_dataset_ref(const hr_dataset *dataset)
{
    hr_dataset *d = (hr_dataset *)(uintptr_t)dataset; // the count is not part of what is immutable
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void hr_dataset_unref(hr_dataset **dataset)
{
    hr_dataset *d = *dataset;
    *dataset = NULL;
    if (!d || hr__runtime_is_foreign(d->runtime) ||
        atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
        return;
    hr__chain_close(&d->chain);
    hr__node_unref(&d->node);
    hr__stage_stats_unref(&d->stats);
    hr__stage_stats_unref(&d->before);
    hr__free(d->label);
    hr__runtime_unref(&d->runtime);
    hr__free(d);
}

const char *hr__dataset_stage_name(const hr_dataset *dataset, char *buffer, size_t room)
{
    (void)snprintf(buffer, room, "%s", dataset->label);
    return buffer;
}

const char *hr__dataset_source_name(const hr_dataset *dataset, char *buffer, size_t room)
{
    const hr_node *n = dataset->node;
    while (!n->source && n->input_count > 0)
        n = n->inputs[0]->node;
    (void)snprintf(buffer, room, "%s", n->source ? n->source : n->name);
    return buffer;
}

hr_status hr_dataset_schema(const hr_dataset *dataset, const hr_schema **out, hr_error *err)
{
    if (dataset->chain) {
        *out = hr__chain_schema(dataset->chain);
        return HR_OK;
    }
    return hr__node_schema(dataset->node, out, err);
}

// --- row-local steps ---

typedef hr_status (*chain_step)(hr_chain *chain, const void *args, hr_error *err);

static hr_status add_step(const hr_dataset *dataset, const char *name, chain_step step,
                          const void *args, hr_dataset **out, hr_error *err)
{
    hr_chain *chain = NULL;
    const hr_schema *schema;
    char label[LABEL_BYTES];
    hr_status status;
    HR_TRY(hr__runtime_check(dataset->runtime, err));
    if (dataset->chain) {
        HR_TRY(hr__chain_clone(dataset->chain, &chain, err));
    } else {
        HR_TRY(hr__node_schema(dataset->node, &schema, err));
        HR_TRY(hr__chain_open(schema, &chain, err));
    }
    HR_GO(step(chain, args, err));
    (void)snprintf(label, sizeof label, "%s->%s", dataset->label, name);
    return hr__dataset_make(dataset->runtime, hr__node_ref(dataset->node), chain, label, out, err);
out:
    hr__chain_close(&chain);
    return status;
}

static hr_status step_map(hr_chain *chain, const void *args, hr_error *err)
{
    hr_assignment *list = NULL;
    int32_t count = 0;
    hr_status status = HR_OK;
    HR_TRY(hr__assignments_parse(args, &list, &count, err));
    for (int32_t i = 0; i < count; i++)
        HR_GO(hr__chain_assign(chain, list[i].name, list[i].expr, err));
out:
    hr__assignments_free(list, count);
    return status;
}

hr_status hr_dataset_map(const hr_dataset *dataset, const char *assignments, hr_dataset **out,
                         hr_error *err)
{
    return add_step(dataset, "map", step_map, assignments, out, err);
}

typedef struct assign_args {
    const char *name;
    const hr_expr *expr;
} assign_args;

static hr_status step_assign(hr_chain *chain, const void *args, hr_error *err)
{
    const assign_args *a = args;
    return hr__chain_assign(chain, a->name, a->expr, err);
}

hr_status hr_dataset_assign(const hr_dataset *dataset, const char *name, const hr_expr *expr,
                            hr_dataset **out, hr_error *err)
{
    assign_args args = {name, expr};
    return add_step(dataset, "map", step_assign, &args, out, err);
}

static hr_status step_filter(hr_chain *chain, const void *args, hr_error *err)
{
    return hr__chain_filter(chain, args, err);
}

hr_status hr_dataset_filter_expr(const hr_dataset *dataset, const hr_expr *predicate,
                                 hr_dataset **out, hr_error *err)
{
    return add_step(dataset, "filter", step_filter, predicate, out, err);
}

hr_status hr_dataset_filter(const hr_dataset *dataset, const char *predicate, hr_dataset **out,
                            hr_error *err)
{
    hr_expr *expr = NULL;
    HR_TRY(hr_expr_parse(predicate, &expr, err));
    hr_status status = hr_dataset_filter_expr(dataset, expr, out, err);
    hr_expr_unref(&expr);
    return status;
}

static int32_t count_names(const char *const *names)
{
    int32_t n = 0;
    while (names && names[n])
        n++;
    return n;
}

static hr_status step_select(hr_chain *chain, const void *args, hr_error *err)
{
    return hr__chain_select(chain, args, count_names(args), err);
}

hr_status hr_dataset_select(const hr_dataset *dataset, const char *const *names, hr_dataset **out,
                            hr_error *err)
{
    return add_step(dataset, "select", step_select, names, out, err);
}

static hr_status step_drop(hr_chain *chain, const void *args, hr_error *err)
{
    return hr__chain_drop(chain, args, count_names(args), err);
}

hr_status hr_dataset_drop(const hr_dataset *dataset, const char *const *names, hr_dataset **out,
                          hr_error *err)
{
    return add_step(dataset, "drop", step_drop, names, out, err);
}

typedef struct rename_args {
    const char *from, *to;
} rename_args;

static hr_status step_rename(hr_chain *chain, const void *args, hr_error *err)
{
    const rename_args *a = args;
    return hr__chain_rename(chain, a->from, a->to, err);
}

hr_status hr_dataset_rename(const hr_dataset *dataset, const char *from, const char *to,
                            hr_dataset **out, hr_error *err)
{
    rename_args args = {from, to};
    return add_step(dataset, "rename", step_rename, &args, out, err);
}

static const char *const nulls_choices[] = {"error", "nan", "value", NULL};
static const hr_option_row pack_rows[] = {
    {"nulls", HR_OPTION_CHOICE, offsetof(hr_pack_options, nulls), 0, 0, 2, nulls_choices,
     "what a null becomes", NULL, "nulls"},
    {"keep", HR_OPTION_BOOL, offsetof(hr_pack_options, keep), 0, 0, 1, NULL,
     "the columns stay, too"},
};
const hr_option_table hr__pack_options =
    HR_CALL_OPTION_TABLE("pack", hr_pack_options, pack_rows, "iter_batches(tensor=)");

static hr_status step_pack(hr_chain *chain, const void *args, hr_error *err)
{
    return hr__chain_pack(chain, args, err);
}

hr_status hr_dataset_pack(const hr_dataset *dataset, const char *const *names, const char *as,
                          const hr_pack_options *options, hr_dataset **out, hr_error *err)
{
    // The type is an enum of the size of int, and null_value may be any number: they have no row that could bound them.
    hr_pack_options o = HR_PACK_OPTIONS_INIT;
    HR_TRY(hr__options_resolve(&hr__pack_options, options, &o, err));
    hr_pack pack = {
        .names = names,
        .count = count_names(names),
        .type = o.type == HR_TYPE_NULL ? HR_TYPE_FLOAT32 : o.type,
        .out_name = as,
        .keep = o.keep,
        .null_error = o.nulls == HR_NULLS_ERROR,
        .null_fill = o.nulls == HR_NULLS_NAN ? (double)NAN : o.null_value,
    };
    return add_step(dataset, "pack", step_pack, &pack, out, err);
}
