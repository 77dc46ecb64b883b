// SPDX-License-Identifier: Apache-2.0
// The tree: constructors, counting, equality.
//
// Two things are made canonical here, so that printing and parsing give the same tree: minus over a number is the
// negative number, and there is one NaN. Destruction and equality keep their own lists instead of recursing, because
// how deep a tree is, its author decides.
#include "expr/expr_tree.h"

#include "block/block.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

const hr_function *hr__function_find(const char *name, size_t bytes)
{
    const hr_function *const tables[] = {hr__functions_math, hr__functions_null};
    for (size_t t = 0; t < HR_COUNTOF(tables); t++)
        for (const hr_function *f = tables[t]; f->name; f++)
            if (strlen(f->name) == bytes && memcmp(f->name, name, bytes) == 0)
                return f;
    return NULL;
}

bool hr__expr_is_reserved(const char *word, size_t bytes)
{
    static const char *const words[] = {"and",  "or",    "not", "is", "null",
                                        "true", "false", "nan", "inf"};
    for (size_t i = 0; i < HR_COUNTOF(words); i++)
        if (strlen(words[i]) == bytes && memcmp(words[i], word, bytes) == 0)
            return true;
    return false;
}

static hr_status make(hr_expr_kind kind, size_t text_bytes, hr_expr **out, hr_error *err)
{
    hr_expr *e;
    HR_TRY(hr__alloc_zero(1, sizeof *e + text_bytes + 1, &e, err));
    atomic_init(&e->refs, 1);
    e->kind = kind;
    e->depth = 1;
    *out = e;
    return HR_OK;
}

hr_status hr__expr_make_text(hr_expr_kind kind, const char *text, size_t bytes, hr_expr **out,
                             hr_error *err)
{
    if (bytes > HR_EXPR_TEXT_MAX)
        return HR_FAIL(err, HR_INVALID, "expression: a text of %zu bytes, at most %d are allowed",
                       bytes, HR_EXPR_TEXT_MAX);
    hr_expr *e;
    HR_TRY(make(kind, bytes, &e, err));
    memcpy(e->text, text, bytes);
    *out = e;
    return HR_OK;
}

hr_status hr_expr_column(const char *name, hr_expr **out, hr_error *err)
{
    if (!name || !*name)
        return HR_FAIL(err, HR_INVALID, "expression: a column needs a name");
    return hr__expr_make_text(HR_EXPR_COLUMN, name, strlen(name), out, err);
}

hr_status hr_expr_int(int64_t value, hr_expr **out, hr_error *err)
{
    hr_expr *e;
    HR_TRY(make(HR_EXPR_INT, 0, &e, err));
    e->i = value;
    *out = e;
    return HR_OK;
}

hr_status hr_expr_float(double value, hr_expr **out, hr_error *err)
{
    hr_expr *e;
    HR_TRY(make(HR_EXPR_FLOAT, 0, &e, err));
    e->f = isnan(value) ? (double)NAN : value;
    *out = e;
    return HR_OK;
}

hr_status hr_expr_bool(bool value, hr_expr **out, hr_error *err)
{
    hr_expr *e;
    HR_TRY(make(HR_EXPR_BOOL, 0, &e, err));
    e->i = value;
    *out = e;
    return HR_OK;
}

hr_status hr_expr_text(const char *value, hr_expr **out, hr_error *err)
{
    if (!value)
        return HR_FAIL(err, HR_INVALID, "expression: a text literal needs a text, found NULL");
    return hr__expr_make_text(HR_EXPR_TEXT, value, strlen(value), out, err);
}

hr_status hr_expr_null(hr_expr **out, hr_error *err)
{
    return make(HR_EXPR_NULL, 0, out, err);
}

// Takes references to args.
static hr_status make_parent(hr_expr_kind kind, hr_expr *const *args, int32_t count, hr_expr **out,
                             hr_error *err)
{
    int32_t depth = 0;
    for (int32_t i = 0; i < count; i++) {
        if (!args[i])
            return HR_FAIL(err, HR_INVALID, "expression: argument %d is NULL", (int)i + 1);
        depth = HR_MAX(depth, args[i]->depth);
    }
    if (depth >= HR_EXPR_DEPTH_MAX)
        return HR_FAIL(err, HR_INVALID,
                       "expression: nested deeper than %d: assign a part of it to a column first",
                       HR_EXPR_DEPTH_MAX);
    hr_expr *e;
    HR_TRY(make(kind, 0, &e, err));
    e->depth = depth + 1;
    e->arg_count = count;
    for (int32_t i = 0; i < count; i++)
        e->args[i] = hr_expr_ref(args[i]);
    *out = e;
    return HR_OK;
}

hr_status hr__expr_make_call(const hr_function *function, hr_expr *const *args, int32_t count,
                             hr_expr **out, hr_error *err)
{
    if (count < function->args_min || count > function->args_max) {
        bool range = function->args_min != function->args_max;
        return HR_FAIL(err, HR_INVALID, "expression: '%s' takes %d%s%.*d argument%s, found %d",
                       function->name, function->args_min, range ? " or " : "", range ? 1 : 0,
                       range ? function->args_max : 0, function->args_max == 1 ? "" : "s",
                       (int)count);
    }
    // Minus over a number is that number.
    if (count == 1 && args[0] && function->precedence == HR_BIND_ADD) {
        if (args[0]->kind == HR_EXPR_INT)
            return hr_expr_int((int64_t)(0 - (uint64_t)args[0]->i), out, err);
        if (args[0]->kind == HR_EXPR_FLOAT)
            return hr_expr_float(-args[0]->f, out, err);
    }
    hr_expr *e;
    HR_TRY(make_parent(HR_EXPR_CALL, args, count, &e, err));
    e->function = function;
    *out = e;
    return HR_OK;
}

hr_status hr_expr_call(const char *function, hr_expr *const *args, int32_t count, hr_expr **out,
                       hr_error *err)
{
    const hr_function *f = function ? hr__function_find(function, strlen(function)) : NULL;
    if (!f)
        return HR_FAIL(err, HR_INVALID, "expression: no function is called '%s'",
                       function ? function : "(NULL)");
    return hr__expr_make_call(f, args, count, out, err);
}

hr_status hr_expr_cast(const hr_expr *arg, hr_type_id type, hr_expr **out, hr_error *err)
{
    if (type < HR_TYPE_BOOL || type > HR_TYPE_FLOAT64)
        return HR_FAIL(err, HR_INVALID,
                       "expression: cast to type %d: only numbers and bool are allowed", (int)type);
    hr_expr *args[1] = {(hr_expr *)arg}, *e;
    HR_TRY(make_parent(HR_EXPR_CAST, args, 1, &e, err));
    e->cast = type;
    *out = e;
    return HR_OK;
}

hr_expr *hr_expr_ref(const hr_expr *expr)
{
    hr_expr *e = (hr_expr *)expr;
    // Relaxed: whoever copies a reference already sees the object.
    if (e)
        atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void hr_expr_unref(hr_expr **expr)
{
    hr_expr *dead = NULL, *e = expr ? *expr : NULL;
    if (!e)
        return;
    *expr = NULL;
    // Acquire-release: the last holder must see everything the others did before it frees.
    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
        dead = e;
    while (dead) {
        e = dead;
        dead = e->next_dead;
        for (int32_t i = 0; i < e->arg_count; i++) {
            hr_expr *a = e->args[i];
            if (atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1) {
                a->next_dead = dead;
                dead = a;
            }
        }
        hr__free(e);
    }
}

static bool same_node(const hr_expr *a, const hr_expr *b)
{
    if (a->kind != b->kind || a->arg_count != b->arg_count || a->function != b->function ||
        a->cast != b->cast || a->i != b->i || a->depth != b->depth)
        return false;
    return memcmp(&a->f, &b->f, sizeof a->f) == 0 && strcmp(a->text, b->text) == 0;
}

bool hr__expr_equal(const hr_expr *a, const hr_expr *b)
{
    // A walk in step: at most two siblings wait at each level.
    const hr_expr *stack[HR_EXPR_DEPTH_MAX * (HR_EXPR_ARGS_MAX - 1) + 2][2];
    size_t count = 0;
    stack[count][0] = a;
    stack[count++][1] = b;
    while (count > 0) {
        a = stack[--count][0];
        b = stack[count][1];
        if (a == b)
            continue;
        if (!same_node(a, b))
            return false;
        for (int32_t i = 0; i < a->arg_count; i++) {
            HR_ASSERT(count < HR_COUNTOF(stack));
            stack[count][0] = a->args[i];
            stack[count++][1] = b->args[i];
        }
    }
    return true;
}

int hr__expr_precedence(const hr_expr *e)
{
    if (e->kind == HR_EXPR_INT)
        return e->i < 0 ? HR_BIND_MINUS : HR_BIND_ATOM;
    if (e->kind == HR_EXPR_FLOAT)
        return signbit(e->f) && !isnan(e->f) ? HR_BIND_MINUS : HR_BIND_ATOM;
    if (e->kind != HR_EXPR_CALL || e->function->precedence == HR_BIND_NONE)
        return HR_BIND_ATOM;
    if (e->arg_count == 1 && e->function->precedence == HR_BIND_ADD)
        return HR_BIND_MINUS;
    return e->function->precedence;
}
