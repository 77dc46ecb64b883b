// SPDX-License-Identifier: Apache-2.0
// Chaining: every step rewrites the list of outputs over the one graph, so however many steps there were, an output is
// a node over source columns. A step that fails changes nothing that can be seen.
#include "expr/expr_graph.h"
#include "expr/expr_program.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define OUTPUTS_MAX 65536

static int32_t find(const hr_chain *c, const char *name)
{
    for (size_t i = 0; i < c->outputs.count; i++)
        if (strcmp(c->outputs.items[i].name, name) == 0)
            return (int32_t)i;
    return -1;
}

static hr_status must_find(const hr_chain *c, const char *name, int32_t *out, hr_error *err)
{
    char names[512] = "";
    size_t at = 0;
    *out = name ? find(c, name) : -1;
    if (*out >= 0)
        return HR_OK;
    for (size_t i = 0; i < c->outputs.count && at + 1 < sizeof names; i++) {
        size_t room = sizeof names - at, bytes = strlen(c->outputs.items[i].name);
        if (bytes + 3 > room) {
            memcpy(names + HR_MIN(at, sizeof names - 4), "...", 4);
            break;
        }
        memcpy(names + at, i ? ", " : "", i ? 2 : 0);
        memcpy(names + at + (i ? 2 : 0), c->outputs.items[i].name, bytes + 1);
        at += bytes + (i ? 2 : 0);
    }
    return HR_FAIL(err, HR_NOT_FOUND, "there is no column '%.200s'; there are: %s",
                   name ? name : "(NULL)", names);
}

static int32_t resolve(void *context, const char *name)
{
    hr_chain *c = context;
    int32_t i = find(c, name);
    return i < 0 ? -1 : c->outputs.items[i].node;
}

// What hr__chain_schema made is of the step before.
static void changed(hr_chain *c)
{
    hr_schema_unref(&c->schema);
}

static hr_status append(hr_chain *c, const char *name, int32_t node, hr_error *err)
{
    hr_output o = {NULL, node};
    if (c->outputs.count >= OUTPUTS_MAX)
        return HR_FAIL(err, HR_LIMIT, "more than %d columns", OUTPUTS_MAX);
    HR_TRY(HR_VEC_RESERVE(&c->outputs, 1, err));
    HR_TRY(hr__strdup(name, &o.name, err));
    c->outputs.items[c->outputs.count++] = o;
    return HR_OK;
}

hr_status hr__chain_open(const hr_schema *source, hr_chain **out, hr_error *err)
{
    hr_chain *c;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *c, &c, err));
    c->predicate = -1;
    HR_GO(hr__graph_open(source, &c->graph, err));
    for (int32_t i = 0; i < hr_schema_count(source); i++) {
        int32_t node;
        HR_GO(hr__graph_column(&c->graph, i, &node, err));
        HR_GO(append(c, hr_schema_field(source, i)->name, node, err));
    }
    *out = c;
    return HR_OK;
out:
    hr__chain_close(&c);
    return status;
}

hr_status hr__chain_clone(const hr_chain *chain, hr_chain **out, hr_error *err)
{
    hr_chain *c;
    hr_status status;
    HR_TRY(hr__alloc_zero(1, sizeof *c, &c, err));
    c->predicate = chain->predicate;
    HR_GO(hr__graph_clone(&chain->graph, &c->graph, err));
    for (size_t i = 0; i < chain->outputs.count; i++)
        HR_GO(append(c, chain->outputs.items[i].name, chain->outputs.items[i].node, err));
    *out = c;
    return HR_OK;
out:
    hr__chain_close(&c);
    return status;
}

void hr__chain_close(hr_chain **chain)
{
    hr_chain *c = chain ? *chain : NULL;
    if (!c)
        return;
    for (size_t i = 0; i < c->outputs.count; i++)
        hr__free(c->outputs.items[i].name);
    HR_VEC_FINISH(&c->outputs);
    hr__graph_close(&c->graph);
    hr_schema_unref(&c->schema);
    hr__free(c);
    *chain = NULL;
}

static hr_status bind(hr_chain *c, const hr_expr *expr, int32_t *out, hr_error *err)
{
    hr_status status = hr__graph_bind(&c->graph, expr, resolve, c, out, err);
    if (status && err && status != HR_NOMEM) {
        char text[160];
        hr__error_context(err, "expression '%s'", hr_expr_print(expr, text, sizeof text));
    }
    return status;
}

static hr_status check_name(const char *name, hr_error *err)
{
    return name && *name ? HR_OK : HR_FAIL(err, HR_INVALID, "a column needs a name");
}

hr_status hr__chain_assign(hr_chain *chain, const char *name, const hr_expr *expr, hr_error *err)
{
    int32_t node, at;
    HR_TRY(check_name(name, err));
    HR_TRY(bind(chain, expr, &node, err));
    hr_status status = hr__graph_check_output(&chain->graph, node, err);
    if (status) {
        hr__error_context(err, "column '%s'", name);
        return status;
    }
    at = find(chain, name);
    if (at < 0)
        HR_TRY(append(chain, name, node, err));
    else
        chain->outputs.items[at].node = node;
    changed(chain);
    return HR_OK;
}

hr_status hr__chain_filter(hr_chain *chain, const hr_expr *predicate, hr_error *err)
{
    int32_t node;
    HR_TRY(bind(chain, predicate, &node, err));
    const hr_node *n = hr__graph_node(&chain->graph, node);
    if (n->cls == HR_CLASS_NULL)
        HR_TRY(hr__graph_cast(&chain->graph, node, HR_NUM_BOOL, &node, err));
    n = hr__graph_node(&chain->graph, node);
    if (n->cls != HR_CLASS_BOOL || n->is_tensor) {
        char text[160], type[96];
        return HR_FAIL(err, HR_INVALID, "filter '%s' is %s; it must be bool, one for each row",
                       hr_expr_print(predicate, text, sizeof text),
                       hr_type_print(&n->type, type, sizeof type));
    }
    if (chain->predicate >= 0)
        HR_TRY(hr__graph_logic(&chain->graph, HR_NODE_AND, 0, chain->predicate, node, &node, err));
    chain->predicate = node;
    changed(chain);
    return HR_OK;
}

// Keeps outputs in the order of `indexes`; the names of the others are freed.
static hr_status keep_only(hr_chain *c, const int32_t *indexes, int32_t count, hr_error *err)
{
    hr_output *kept = NULL;
    HR_TRY(hr__alloc_zero((size_t)count + 1, sizeof *kept, &kept, err));
    for (int32_t i = 0; i < count; i++) {
        kept[i] = c->outputs.items[indexes[i]];
        c->outputs.items[indexes[i]].name = NULL;
    }
    for (size_t i = 0; i < c->outputs.count; i++)
        hr__free(c->outputs.items[i].name);
    hr__free(c->outputs.items);
    c->outputs.items = kept;
    c->outputs.count = (size_t)count;
    c->outputs.capacity = (size_t)count + 1;
    changed(c);
    return HR_OK;
}

// The outputs that names mean, each once: indexes in the order of the names, and flags by output.
static hr_status choose(const hr_chain *c, const char *const *names, int32_t count,
                        int32_t **indexes_out, bool **named_out, hr_error *err)
{
    int32_t *indexes = NULL;
    bool *named = NULL;
    hr_status status;
    HR_GO(hr__alloc_zero(c->outputs.count + (size_t)HR_MAX(count, 0) + 1, sizeof *indexes, &indexes,
                         err));
    HR_GO(hr__alloc_zero(c->outputs.count + 1, sizeof *named, &named, err));
    for (int32_t i = 0; i < count; i++) {
        HR_GO(must_find(c, names[i], &indexes[i], err));
        if (named[indexes[i]])
            HR_GO(HR_FAIL(err, HR_INVALID, "column '%s' is named twice", names[i]));
        named[indexes[i]] = true;
    }
    *indexes_out = indexes;
    *named_out = named;
    return HR_OK;
out:
    hr__free(indexes);
    hr__free(named);
    return status;
}

hr_status hr__chain_select(hr_chain *chain, const char *const *names, int32_t count, hr_error *err)
{
    int32_t *indexes;
    bool *named;
    HR_TRY(choose(chain, names, count, &indexes, &named, err));
    hr_status status = keep_only(chain, indexes, count, err);
    hr__free(indexes);
    hr__free(named);
    return status;
}

// All that are not named.
static int32_t the_others(const hr_chain *c, const bool *named, int32_t *indexes)
{
    int32_t count = 0;
    for (size_t i = 0; i < c->outputs.count; i++)
        if (!named[i])
            indexes[count++] = (int32_t)i;
    return count;
}

hr_status hr__chain_drop(hr_chain *chain, const char *const *names, int32_t count, hr_error *err)
{
    int32_t *indexes;
    bool *named;
    HR_TRY(choose(chain, names, count, &indexes, &named, err));
    int32_t left = the_others(chain, named, indexes);
    hr_status status = keep_only(chain, indexes, left, err);
    hr__free(indexes);
    hr__free(named);
    return status;
}

hr_status hr__chain_rename(hr_chain *chain, const char *from, const char *to, hr_error *err)
{
    int32_t at;
    char *name;
    HR_TRY(check_name(to, err));
    HR_TRY(must_find(chain, from, &at, err));
    if (strcmp(from, to) == 0)
        return HR_OK;
    if (find(chain, to) >= 0)
        return HR_FAIL(err, HR_INVALID, "rename '%s' to '%s': there is such a column already", from,
                       to);
    HR_TRY(hr__strdup(to, &name, err));
    hr__free(chain->outputs.items[at].name);
    chain->outputs.items[at].name = name;
    changed(chain);
    return HR_OK;
}

// --- packing ---

static hr_status check_packed(const hr_node *n, const char *name, hr_num num, hr_error *err)
{
    char type[96], wanted[32];
    bool same = n->num == num || hr__num_is_float(num);
    if (n->cls == HR_CLASS_NUMBER && same)
        return HR_OK;
    return HR_FAIL(err, HR_INVALID, "pack into %s: column '%s' is %s%s",
                   hr_type_print(hr__num_type(num), wanted, sizeof wanted), name,
                   hr_type_print(&n->type, type, sizeof type),
                   n->cls == HR_CLASS_NUMBER
                       ? ": pack into an integer needs columns of that type; cast them"
                       : "; only numbers and tensors can be packed, cast others");
}

static hr_status check_fill(const hr_pack *pack, hr_num num, bool nullable, hr_error *err)
{
    double v = pack->null_fill;
    bool fits = hr__num_is_float(num) ||
                (v == floor(v) && fabs(v) <= 0x1p53 && (hr__num_is_signed(num) || v >= 0) &&
                 fabs(v) < ldexp(1, (int)hr__num_bytes(num) * 8 - hr__num_is_signed(num)));
    if (!nullable || pack->null_error || fits)
        return HR_OK;
    return HR_FAIL(err, HR_INVALID, "pack into an integer type: nulls cannot become %g", v);
}

static hr_status make_pack(hr_chain *c, const hr_pack *pack, const int32_t *indexes, hr_num num,
                           int32_t *out, hr_error *err)
{
    int32_t *list = NULL;
    const char **names = NULL;
    hr_status status;
    bool nullable = false;
    hr_type item_type = {.id = HR_TYPE_TENSOR, .ndim = 1, .item = hr__num_type(num)};
    hr_node n = {.op = HR_NODE_PACK,
                 .cls = HR_CLASS_NUMBER,
                 .num = num,
                 .is_tensor = true,
                 .list_count = pack->count,
                 .null_error = pack->null_error,
                 .null_fill = pack->null_fill};
    HR_GO(hr__alloc((size_t)pack->count * sizeof *list, &list, err));
    HR_GO(hr__alloc((size_t)pack->count * sizeof *names, &names, err));
    for (int32_t i = 0; i < pack->count; i++) {
        list[i] = c->outputs.items[indexes[i]].node;
        names[i] = pack->names[i];
        const hr_node *a = hr__graph_node(&c->graph, list[i]);
        HR_GO(check_packed(a, names[i], num, err));
        nullable |= a->nullable;
        if (HR_ADD_OVERFLOWS(n.row_values, a->row_values, &n.row_values))
            HR_GO(HR_FAIL(err, HR_LIMIT, "pack: a row has too many values"));
    }
    HR_GO(check_fill(pack, num, nullable, err));
    n.type = item_type;
    n.type.shape[0] = n.row_values;
    n.list = list;
    n.list_names = names;
    status = hr__graph_add(&c->graph, &n, out, err);
out:
    hr__free(list);
    hr__free(names);
    return status;
}

hr_status hr__chain_pack(hr_chain *chain, const hr_pack *pack, hr_error *err)
{
    int32_t *indexes = NULL, node, at;
    bool *named = NULL;
    hr_status status;
    int num = hr__num_of_type(pack->type);
    HR_TRY(check_name(pack->out_name, err));
    if (pack->count < 1)
        return HR_FAIL(err, HR_INVALID, "pack '%s': no column is named", pack->out_name);
    if (num < 0 || pack->type > HR_TYPE_FLOAT64 ||
        (num >= HR_NUM_INT_COUNT && num != HR_NUM_F32 && num != HR_NUM_F64))
        return HR_FAIL(err, HR_INVALID, "pack '%s': into float32, float64 or an integer type",
                       pack->out_name);
    HR_TRY(choose(chain, pack->names, pack->count, &indexes, &named, err));
    at = find(chain, pack->out_name);
    if (at >= 0 && (pack->keep || !named[at]))
        HR_GO(
            HR_FAIL(err, HR_INVALID, "pack '%s': there is such a column already", pack->out_name));
    HR_GO(make_pack(chain, pack, indexes, (hr_num)num, &node, err));
    HR_GO(append(chain, pack->out_name, node, err));
    if (!pack->keep) {
        // named has a flag to spare: the new one, appended last, stays.
        int32_t left = the_others(chain, named, indexes);
        if ((status = keep_only(chain, indexes, left, err)) != HR_OK) {
            hr__free(chain->outputs.items[--chain->outputs.count].name);
        }
    }
    changed(chain);
out:
    hr__free(indexes);
    hr__free(named);
    return status;
}

// --- what it has become ---

const hr_schema *hr__chain_schema(const hr_chain *chain)
{
    hr_chain *c = (hr_chain *)chain; // the schema is made once and kept
    hr_field *fields;
    if (c->schema)
        return c->schema;
    if (hr__alloc_zero(c->outputs.count + 1, sizeof *fields, &fields, NULL) != HR_OK)
        return NULL;
    for (size_t i = 0; i < c->outputs.count; i++) {
        const hr_node *n = hr__graph_node(&c->graph, c->outputs.items[i].node);
        fields[i] = (hr_field){c->outputs.items[i].name, &n->type, n->nullable};
    }
    if (hr_schema_make(fields, (int32_t)c->outputs.count, &c->schema, NULL) != HR_OK)
        c->schema = NULL;
    hr__free(fields);
    return c->schema;
}

bool hr__chain_is_identity(const hr_chain *chain)
{
    const hr_schema *source = chain->graph.source;
    if (chain->predicate >= 0 || (int32_t)chain->outputs.count != hr_schema_count(source))
        return false;
    for (size_t i = 0; i < chain->outputs.count; i++) {
        const hr_node *n = hr__graph_node(&chain->graph, chain->outputs.items[i].node);
        if (n->op != HR_NODE_COLUMN || n->column != (int32_t)i ||
            strcmp(chain->outputs.items[i].name, hr_schema_field(source, (int32_t)i)->name) != 0)
            return false;
    }
    return true;
}
