// SPDX-License-Identifier: Apache-2.0
// Tokens to tree: an operator-precedence parser with two explicit stacks.
//
// Operands wait on one stack, operators and open brackets on the other; an operator that binds less tightly than the
// one on top makes the top take its operands. Nothing recurses, so how deep a text nests costs heap and is limited
// (HR_EXPR_DEPTH_MAX for the tree, STACK_MAX for what is open).
#include "base/vec.h"
#include "block/block.h"
#include "expr/expr.h"
#include "expr/expr_tree.h"
#include "expr/lex.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define STACK_MAX       (4 * HR_EXPR_DEPTH_MAX)
#define ASSIGNMENTS_MAX 65536

typedef enum open_kind { OPEN_BINARY, OPEN_PREFIX, OPEN_BRACKET, OPEN_CALL, OPEN_CAST } open_kind;

typedef struct open_op {
    open_kind kind;
    const hr_function *function;
    int precedence;
    size_t position;
    size_t operand_base; // CALL: operands below are not its
} open_op;

typedef struct parser {
    hr_lexer lex;
    HR_VEC(hr_expr *) operands;
    HR_VEC(open_op) ops;
    hr_error *err; // the lexer's too
} parser;

// --- the stacks ---

// Takes `e`.
static hr_status push_operand(parser *p, hr_expr *e)
{
    if (HR_VEC_PUSH(&p->operands, e, p->err) != HR_OK) {
        hr_expr_unref(&e);
        return HR_NOMEM;
    }
    return HR_OK;
}

static hr_status push_op(parser *p, open_op op)
{
    if (p->ops.count >= STACK_MAX)
        return hr__lex_fail_at(&p->lex, p->lex.token.text,
                               "nested too deeply: assign a part to a column first");
    op.position = hr__lex_position(&p->lex, p->lex.token.text);
    op.operand_base = p->operands.count;
    return HR_VEC_PUSH(&p->ops, op, p->err);
}

// Replaces the last `count` operands by a call of them.
static hr_status make_call(parser *p, const hr_function *function, size_t count, size_t position)
{
    hr_expr **args = p->operands.items + (p->operands.count - count), *e;
    hr_status status = hr__expr_make_call(function, args, (int32_t)count, &e, p->err);
    if (status) {
        hr__error_context(p->err, "position %zu", position);
        return status;
    }
    for (size_t i = 0; i < count; i++)
        hr_expr_unref(&args[i]);
    p->operands.count -= count;
    return push_operand(p, e);
}

static hr_status reduce_top(parser *p)
{
    open_op op = p->ops.items[--p->ops.count];
    return make_call(p, op.function, op.kind == OPEN_BINARY ? 2 : 1, op.position);
}

static const open_op *top(const parser *p)
{
    const open_op *op = p->ops.count ? &p->ops.items[p->ops.count - 1] : NULL;
    return op && op->kind <= OPEN_PREFIX ? op : NULL;
}

// Operators on top that bind at least as tightly as `precedence` take their operands.
static hr_status reduce_to(parser *p, int precedence)
{
    while (top(p) && top(p)->precedence >= precedence)
        HR_TRY(reduce_top(p));
    return HR_OK;
}

// --- operands ---

static hr_status unquoted(parser *p, hr_expr_kind kind, hr_expr **out)
{
    const char *c = p->lex.token.text + 1, *end = p->lex.token.text + p->lex.token.bytes - 1;
    char *copy;
    size_t count = 0;
    HR_TRY(hr__alloc(p->lex.token.bytes, &copy, p->err));
    for (; c < end; c++) {
        copy[count++] = *c;
        c += *c == *p->lex.token.text;
    }
    hr_status status = kind == HR_EXPR_COLUMN && count == 0
                           ? hr__lex_fail_at(&p->lex, p->lex.token.text,
                                             "a name between backquotes needs a character")
                           : hr__expr_make_text(kind, copy, count, out, p->err);
    hr__free(copy);
    return status;
}

static hr_status make_int(parser *p, hr_expr **out)
{
    const open_op *minus = top(p);
    if (p->lex.token.i == (uint64_t)INT64_MAX + 1 && minus && minus->kind == OPEN_PREFIX &&
        minus->precedence == HR_BIND_MINUS) {
        p->ops.count--; // the least integer: its magnitude alone does not fit
        return hr_expr_int(INT64_MIN, out, p->err);
    }
    if (p->lex.token.i > INT64_MAX)
        return hr__lex_fail_at(&p->lex, p->lex.token.text,
                               "the integer does not fit in int64; write 1e19 for a float");
    return hr_expr_int((int64_t)p->lex.token.i, out, p->err);
}

static hr_status make_word(parser *p, hr_expr **out)
{
    if (hr__lex_is(&p->lex, "null"))
        return hr_expr_null(out, p->err);
    if (hr__lex_is(&p->lex, "true") || hr__lex_is(&p->lex, "false"))
        return hr_expr_bool(hr__lex_is(&p->lex, "true"), out, p->err);
    if (hr__lex_is(&p->lex, "nan") || hr__lex_is(&p->lex, "inf"))
        return hr_expr_float(hr__lex_is(&p->lex, "nan") ? (double)NAN : (double)INFINITY, out,
                             p->err);
    if (hr__expr_is_reserved(p->lex.token.text, p->lex.token.bytes))
        return hr__lex_fail_token(&p->lex,
                                  "a value (a column of that name stands in `backquotes`)");
    return hr__expr_make_text(HR_EXPR_COLUMN, p->lex.token.text, p->lex.token.bytes, out, p->err);
}

// A name with an open bracket right behind it.
static hr_status open_call(parser *p)
{
    const char *name = p->lex.token.text;
    size_t bytes = p->lex.token.bytes;
    open_op op = {.kind = OPEN_CAST};
    if (!hr__lex_is(&p->lex, "cast")) {
        op.kind = OPEN_CALL;
        op.function = hr__function_find(name, bytes);
        if (!op.function || op.function->precedence != HR_BIND_NONE) {
            char what[128];
            snprintf(what, sizeof what, "no function is called '%.*s'", (int)HR_MIN(bytes, 60),
                     name);
            return hr__lex_fail_at(&p->lex, name, what);
        }
    }
    HR_TRY(push_op(p, op));
    HR_TRY(hr__lex_next(&p->lex)); // the bracket
    return hr__lex_next(&p->lex);
}

static hr_status take_operand(parser *p, bool *done)
{
    hr_expr *e = NULL;
    *done = false;
    if (hr__lex_is(&p->lex, "(")) {
        HR_TRY(push_op(p, (open_op){.kind = OPEN_BRACKET}));
        return hr__lex_next(&p->lex);
    }
    if (hr__lex_is(&p->lex, "-")) {
        HR_TRY(push_op(p, (open_op){.kind = OPEN_PREFIX,
                                    .precedence = HR_BIND_MINUS,
                                    .function = hr__function_find("-", 1)}));
        return hr__lex_next(&p->lex);
    }
    if (hr__lex_is(&p->lex, "not")) {
        if (top(p) && top(p)->precedence > HR_BIND_NOT)
            return hr__lex_fail_token(&p->lex, "a value (put brackets around a `not`)");
        HR_TRY(push_op(p, (open_op){.kind = OPEN_PREFIX,
                                    .precedence = HR_BIND_NOT,
                                    .function = hr__function_find("not", 3)}));
        return hr__lex_next(&p->lex);
    }
    bool reserved = hr__expr_is_reserved(p->lex.token.text, p->lex.token.bytes);
    if (p->lex.token.kind == T_NAME && !reserved && hr__lex_follows(&p->lex, '('))
        return open_call(p);
    *done = true;
    switch (p->lex.token.kind) {
    case T_NAME:
        HR_TRY(make_word(p, &e));
        break;
    case T_QUOTED:
    case T_STRING:
        HR_TRY(unquoted(p, p->lex.token.kind == T_STRING ? HR_EXPR_TEXT : HR_EXPR_COLUMN, &e));
        break;
    case T_INT:
        HR_TRY(make_int(p, &e));
        break;
    case T_FLOAT:
        HR_TRY(hr_expr_float(p->lex.token.f, &e, p->err));
        break;
    default:
        return hr__lex_fail_token(&p->lex, "a name, a number, a string or '('");
    }
    HR_TRY(push_operand(p, e));
    return hr__lex_next(&p->lex);
}

// --- what follows a value ---

// `, type)` of a cast.
static hr_status close_cast(parser *p)
{
    char name[16];
    int type = -1;
    HR_TRY(hr__lex_next(&p->lex));
    if (p->lex.token.kind == T_NAME && p->lex.token.bytes < sizeof name) {
        memcpy(name, p->lex.token.text, p->lex.token.bytes);
        name[p->lex.token.bytes] = 0;
        type = hr__type_id_parse(name);
    }
    if (type < HR_TYPE_BOOL || type > HR_TYPE_FLOAT64)
        return hr__lex_fail_token(
            &p->lex, "bool, int8 to int64, uint8 to uint64, float16, bfloat16, float32 "
                     "or float64");
    HR_TRY(hr__lex_next(&p->lex));
    if (!hr__lex_is(&p->lex, ")"))
        return hr__lex_fail_token(&p->lex, "')' after the type of cast");
    hr_expr **arg = &p->operands.items[p->operands.count - 1], *e;
    HR_TRY(hr_expr_cast(*arg, (hr_type_id)type, &e, p->err));
    hr_expr_unref(arg);
    *arg = e;
    p->ops.count--;
    return hr__lex_next(&p->lex);
}

// ')' or ',': *value_next after a comma.
static hr_status take_delimiter(parser *p, bool *value_next)
{
    bool comma = hr__lex_is(&p->lex, ",");
    HR_TRY(reduce_to(p, 0));
    open_op *op = p->ops.count ? &p->ops.items[p->ops.count - 1] : NULL;
    if (!op || (comma && op->kind == OPEN_BRACKET))
        return hr__lex_fail_token(&p->lex, comma
                                               ? "a comma only between the arguments of a function"
                                               : "the end: nothing is open");
    if (op->kind == OPEN_CAST) {
        if (!comma)
            return hr__lex_fail_token(&p->lex, "',' and the type of cast");
        return close_cast(p);
    }
    if (comma) {
        if (p->operands.count - op->operand_base >= (size_t)op->function->args_max) {
            char what[96];
            snprintf(what, sizeof what, "')': '%s' takes %d argument%s", op->function->name,
                     op->function->args_max, op->function->args_max == 1 ? "" : "s");
            return hr__lex_fail_token(&p->lex, what);
        }
        *value_next = true;
        return hr__lex_next(&p->lex);
    }
    open_op closed = *op;
    p->ops.count--;
    if (closed.kind == OPEN_CALL)
        HR_TRY(make_call(p, closed.function, p->operands.count - closed.operand_base,
                         closed.position));
    return hr__lex_next(&p->lex);
}

// `is null`, `is not null` behind a value.
static hr_status take_is(parser *p)
{
    size_t position = hr__lex_position(&p->lex, p->lex.token.text);
    HR_TRY(reduce_to(p, HR_BIND_ADD));
    if (top(p) && top(p)->precedence == HR_BIND_COMPARE)
        return hr__lex_fail_at(&p->lex, p->lex.token.text,
                               "put brackets around the comparison before `is`");
    HR_TRY(hr__lex_next(&p->lex));
    bool negative = hr__lex_is(&p->lex, "not");
    if (negative)
        HR_TRY(hr__lex_next(&p->lex));
    if (!hr__lex_is(&p->lex, "null"))
        return hr__lex_fail_token(&p->lex, "null, or not null");
    HR_TRY(make_call(p, hr__function_find("is_null", 7), 1, position));
    if (negative)
        HR_TRY(make_call(p, hr__function_find("not", 3), 1, position));
    return hr__lex_next(&p->lex);
}

static hr_status take_operator(parser *p)
{
    const hr_function *f =
        p->lex.token.kind == T_SYMBOL || hr__lex_is(&p->lex, "and") || hr__lex_is(&p->lex, "or")
            ? hr__function_find(p->lex.token.text, p->lex.token.bytes)
            : NULL;
    if (!f && hr__lex_is(&p->lex, "="))
        return hr__lex_fail_token(&p->lex, "an operator; == compares");
    if (!f)
        return hr__lex_fail_token(&p->lex, "an operator or the end");
    int precedence = f->precedence;
    if (precedence == HR_BIND_COMPARE) {
        HR_TRY(reduce_to(p, HR_BIND_ADD));
        if (top(p) && top(p)->precedence == HR_BIND_COMPARE)
            return hr__lex_fail_token(&p->lex,
                                      "an end: comparisons do not chain, write a < b and b < c");
    } else {
        HR_TRY(reduce_to(p, precedence + (precedence == HR_BIND_POW)));
    }
    HR_TRY(push_op(p, (open_op){.kind = OPEN_BINARY, .function = f, .precedence = precedence}));
    return hr__lex_next(&p->lex);
}

// One expression, up to the end or to a ';' that is left as the token looked at.
static hr_status parse_one(parser *p, hr_expr **out)
{
    bool done = false, value_next = true;
    while (value_next || !(p->lex.token.kind == T_END || hr__lex_is(&p->lex, ";"))) {
        if (value_next) {
            HR_TRY(take_operand(p, &done));
            value_next = !done;
        } else if (hr__lex_is(&p->lex, ")") || hr__lex_is(&p->lex, ",")) {
            HR_TRY(take_delimiter(p, &value_next));
        } else if (hr__lex_is(&p->lex, "is")) {
            HR_TRY(take_is(p));
        } else {
            HR_TRY(take_operator(p));
            value_next = true;
        }
    }
    HR_TRY(reduce_to(p, 0));
    if (p->ops.count) {
        char what[64];
        snprintf(what, sizeof what, "')': the bracket at position %zu is open",
                 p->ops.items[p->ops.count - 1].position);
        return hr__lex_fail_token(&p->lex, what);
    }
    HR_ASSERT(p->operands.count == 1);
    *out = p->operands.items[0];
    p->operands.count = 0;
    return HR_OK;
}

static hr_status parser_init(parser *p, const char *text, hr_error *err)
{
    *p = (parser){.err = err};
    return hr__lex_init(&p->lex, text, err);
}

static void parser_finish(parser *p)
{
    for (size_t i = 0; i < p->operands.count; i++)
        hr_expr_unref(&p->operands.items[i]);
    HR_VEC_FINISH(&p->operands);
    HR_VEC_FINISH(&p->ops);
}

hr_status hr_expr_parse(const char *text, hr_expr **out, hr_error *err)
{
    parser p;
    hr_expr *e = NULL;
    hr_status status;
    HR_TRY(parser_init(&p, text, err));
    HR_GO(hr__lex_next(&p.lex));
    HR_GO(parse_one(&p, &e));
    if (p.lex.token.kind != T_END)
        HR_GO(hr__lex_fail_token(&p.lex, "the end: one expression, not a list"));
    *out = e;
    e = NULL;
out:
    hr_expr_unref(&e);
    parser_finish(&p);
    return status;
}

// --- assignments ---

void hr__assignments_free(hr_assignment *list, int32_t count)
{
    for (int32_t i = 0; list && i < count; i++) {
        hr__free(list[i].name);
        hr_expr_unref(&list[i].expr);
    }
    hr__free(list);
}

static hr_status parse_assignment(parser *p, hr_assignment *out)
{
    hr_expr *name = NULL;
    hr_assignment made = {0};
    hr_status status = HR_OK;
    bool reserved =
        p->lex.token.kind == T_NAME && hr__expr_is_reserved(p->lex.token.text, p->lex.token.bytes);
    if ((p->lex.token.kind != T_NAME && p->lex.token.kind != T_QUOTED) || reserved)
        return hr__lex_fail_token(&p->lex, "the name of a column and '='");
    if (p->lex.token.kind == T_QUOTED)
        HR_GO(unquoted(p, HR_EXPR_COLUMN, &name));
    else
        HR_GO(hr__expr_make_text(HR_EXPR_COLUMN, p->lex.token.text, p->lex.token.bytes, &name,
                                 p->err));
    HR_GO(hr__lex_next(&p->lex));
    if (!hr__lex_is(&p->lex, "="))
        HR_GO(hr__lex_fail_token(&p->lex, "'=' and an expression, as in x = x * 2"));
    HR_GO(hr__lex_next(&p->lex));
    HR_GO(parse_one(p, &made.expr));
    HR_GO(hr__strdup(name->text, &made.name, p->err));
    *out = made;
    made.expr = NULL;
out:
    hr_expr_unref(&name);
    hr_expr_unref(&made.expr);
    return status;
}

hr_status hr__assignments_parse(const char *text, hr_assignment **out, int32_t *count_out,
                                hr_error *err)
{
    parser p;
    HR_VEC(hr_assignment) list = {0};
    hr_status status;
    HR_TRY(parser_init(&p, text, err));
    HR_GO(hr__lex_next(&p.lex));
    do {
        if (list.count >= ASSIGNMENTS_MAX)
            HR_GO(hr__lex_fail_token(&p.lex, "the end: 65536 assignments at most"));
        HR_GO(HR_VEC_RESERVE(&list, 1, err));
        HR_GO(parse_assignment(&p, &list.items[list.count]));
        list.count++;
        if (hr__lex_is(&p.lex, ";"))
            HR_GO(hr__lex_next(&p.lex));
    } while (p.lex.token.kind != T_END);
    *out = list.items;
    *count_out = (int32_t)list.count;
    list.items = NULL;
    list.count = 0;
out:
    hr__assignments_free(list.items, (int32_t)list.count);
    parser_finish(&p);
    return status;
}
