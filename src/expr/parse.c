// SPDX-License-Identifier: Apache-2.0
// Text to tree: a lexer over bounded bytes and an operator-precedence parser with two explicit stacks.
//
// Operands wait on one stack, operators and open brackets on the other; an operator that binds less tightly than the
// one on top makes the top take its operands. Nothing recurses, so how deep a text nests costs heap and is limited
// (HR_EXPR_DEPTH_MAX for the tree, STACK_MAX for what is open). Every message has the position, counted from 1.
#include "base/cursor.h"
#include "base/vec.h"
#include "block/block.h"
#include "expr/expr.h"
#include "expr/expr_tree.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_MAX       (4 * HR_EXPR_DEPTH_MAX)
#define NUMBER_MAX      400
#define ASSIGNMENTS_MAX 65536

typedef enum token_kind { T_END, T_NAME, T_QUOTED, T_INT, T_FLOAT, T_STRING, T_SYMBOL } token_kind;

typedef struct token {
    token_kind kind;
    const char *text; // where it begins
    size_t bytes;
    uint64_t i;
    double f;
} token;

typedef enum open_kind { OPEN_BINARY, OPEN_PREFIX, OPEN_BRACKET, OPEN_CALL, OPEN_CAST } open_kind;

typedef struct open_op {
    open_kind kind;
    const hr_function *function;
    int precedence;
    size_t position;
    size_t operand_base; // CALL: operands below are not its
} open_op;

typedef struct parser {
    const char *text, *at, *end;
    token token; // the one that is looked at
    HR_VEC(hr_expr *) operands;
    HR_VEC(open_op) ops;
    hr_error *err;
} parser;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}
static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t position_of(const parser *p, const char *at)
{
    return (size_t)(at - p->text) + 1;
}

static hr_status fail_at(const parser *p, const char *at, const char *what)
{
    size_t all = strlen(p->text);
    return HR_FAIL(p->err, HR_INVALID, "expression '%.*s%s', position %zu: %s",
                   (int)HR_MIN(all, 200), p->text, all > 200 ? "..." : "", position_of(p, at),
                   what);
}

// "found ')', expected ..."
static hr_status fail_token(const parser *p, const char *expected)
{
    char what[256];
    const token *t = &p->token;
    if (t->kind == T_END)
        snprintf(what, sizeof what, "found the end, expected %s", expected);
    else
        snprintf(what, sizeof what, "found '%.*s', expected %s", (int)HR_MIN(t->bytes, 40), t->text,
                 expected);
    return fail_at(p, t->text, what);
}

// --- numbers, without the locale ---

// Digits and exponent are handed to strtod without a decimal point.
static hr_status lex_float(parser *p, const char *begin, const char *end)
{
    char digits[NUMBER_MAX + 32];
    size_t count = 0;
    long exponent = 0, written = 0;
    bool fraction = false;
    const char *c = begin;
    for (; c < end && (is_digit(*c) || *c == '.'); c++) {
        if (*c == '.') {
            fraction = true;
            continue;
        }
        digits[count++] = *c;
        exponent -= fraction;
    }
    if (c < end) { // e
        bool negative = *++c == '-';
        for (c += *c == '-' || *c == '+'; c < end; c++)
            written = HR_MIN(written * 10 + (*c - '0'), 100000L);
        exponent += negative ? -written : written;
    }
    snprintf(digits + count, sizeof digits - count, "e%ld", exponent);
    p->token.f = strtod(digits, NULL);
    if (isinf(p->token.f))
        return fail_at(p, begin, "the number is too large for a float64");
    return HR_OK;
}

static hr_status lex_hex(parser *p)
{
    const char *c = p->at + 2;
    uint64_t value = 0;
    for (; c < p->end; c++) {
        char lower = (char)(*c | 0x20);
        unsigned digit = is_digit(*c)                     ? (unsigned)(*c - '0')
                         : (lower >= 'a' && lower <= 'f') ? (unsigned)(lower - 'a' + 10)
                                                          : 16;
        if (digit == 16)
            break;
        if (value >> 60)
            return fail_at(p, p->at, "the number does not fit in 64 bits");
        value = value << 4 | digit;
    }
    if (c == p->at + 2 || (c < p->end && (is_letter(*c) || is_digit(*c))))
        return fail_at(p, p->at, "a hexadecimal number is 0x and hexadecimal digits");
    p->token.kind = T_INT;
    p->token.i = value;
    p->at = c;
    return HR_OK;
}

static hr_status lex_number(parser *p)
{
    const char *begin = p->at, *c = begin;
    if (p->end - c >= 2 && c[0] == '0' && (c[1] | 0x20) == 'x')
        return lex_hex(p);
    bool is_float = false, fits = true;
    uint64_t value = 0;
    for (; c < p->end && is_digit(*c); c++)
        fits &= !HR_MUL_OVERFLOWS(value, 10, &value) &&
                !HR_ADD_OVERFLOWS(value, (uint64_t)(*c - '0'), &value);
    if (c < p->end && *c == '.') {
        is_float = true;
        for (c++; c < p->end && is_digit(*c); c++)
            ;
    }
    if (c < p->end && (*c | 0x20) == 'e') {
        is_float = true;
        c++;
        c += c < p->end && (*c == '-' || *c == '+');
        if (c == p->end || !is_digit(*c))
            return fail_at(p, begin, "the exponent of a number needs digits");
        for (; c < p->end && is_digit(*c); c++)
            ;
    }
    if (c < p->end && is_letter(*c))
        return fail_at(p, c, "a letter right after a number: names begin with a letter");
    if (c - begin > NUMBER_MAX)
        return fail_at(p, begin, "a number of more than 400 characters");
    p->at = c;
    p->token.kind = is_float ? T_FLOAT : T_INT;
    p->token.i = value;
    if (is_float)
        return lex_float(p, begin, c);
    return fits ? HR_OK
                : fail_at(p, begin, "the integer does not fit in 64 bits; write 1e20 for a float");
}

// Up to the closing quote; a doubled quote stands for itself.
static hr_status lex_quoted(parser *p, token_kind kind)
{
    const char *begin = p->at, quote = *begin, *c = begin + 1;
    for (;; c++) {
        if (c == p->end)
            return fail_at(p, begin,
                           quote == '`' ? "the name has no closing `"
                                        : "the string has no closing '");
        if (*c == quote && !(c + 1 < p->end && c[1] == quote))
            break;
        c += *c == quote;
    }
    p->at = c + 1;
    p->token.kind = kind;
    return HR_OK;
}

static hr_status lex_symbol(parser *p)
{
    static const char *const symbols[] = {"==", "!=", "<=", ">=", "//", "**", "+", "-", "*",
                                          "/",  "%",  "<",  ">",  "(",  ")",  ",", "=", ";"};
    size_t left = (size_t)(p->end - p->at);
    for (size_t i = 0; i < HR_COUNTOF(symbols); i++) {
        size_t n = strlen(symbols[i]);
        if (n <= left && memcmp(symbols[i], p->at, n) == 0) {
            p->token.kind = T_SYMBOL;
            p->at += n;
            return HR_OK;
        }
    }
    switch (*p->at) {
    case '"':
        return fail_at(p, p->at, "strings stand in 'single quotes', names in `backquotes`");
    case '&':
    case '|':
    case '!':
        return fail_at(p, p->at, "write and, or, not instead of &, |, !");
    default:
        return fail_at(p, p->at, "a character that means nothing here");
    }
}

static hr_status next(parser *p)
{
    while (p->at < p->end && is_space(*p->at))
        p->at++;
    p->token = (token){.kind = T_END, .text = p->at};
    if (p->at == p->end)
        return HR_OK;
    char c = *p->at;
    hr_status status;
    if (is_digit(c) || (c == '.' && p->end - p->at > 1 && is_digit(p->at[1]))) {
        status = lex_number(p);
    } else if (is_letter(c)) {
        while (p->at < p->end && (is_letter(*p->at) || is_digit(*p->at)))
            p->at++;
        p->token.kind = T_NAME;
        status = HR_OK;
    } else if (c == '\'' || c == '`') {
        status = lex_quoted(p, c == '`' ? T_QUOTED : T_STRING);
    } else {
        status = lex_symbol(p);
    }
    p->token.bytes = (size_t)(p->at - p->token.text);
    return status;
}

static bool token_is(const parser *p, const char *text)
{
    return (p->token.kind == T_SYMBOL || p->token.kind == T_NAME) &&
           p->token.bytes == strlen(text) && memcmp(p->token.text, text, p->token.bytes) == 0;
}

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
        return fail_at(p, p->token.text, "nested too deeply: assign a part to a column first");
    op.position = position_of(p, p->token.text);
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
    const char *c = p->token.text + 1, *end = p->token.text + p->token.bytes - 1;
    char *copy;
    size_t count = 0;
    HR_TRY(hr__alloc(p->token.bytes, &copy, p->err));
    for (; c < end; c++) {
        copy[count++] = *c;
        c += *c == *p->token.text;
    }
    hr_status status =
        kind == HR_EXPR_COLUMN && count == 0
            ? fail_at(p, p->token.text, "a name between backquotes needs a character")
            : hr__expr_make_text(kind, copy, count, out, p->err);
    hr__free(copy);
    return status;
}

static hr_status make_int(parser *p, hr_expr **out)
{
    const open_op *minus = top(p);
    if (p->token.i == (uint64_t)INT64_MAX + 1 && minus && minus->kind == OPEN_PREFIX &&
        minus->precedence == HR_BIND_MINUS) {
        p->ops.count--; // the least integer: its magnitude alone does not fit
        return hr_expr_int(INT64_MIN, out, p->err);
    }
    if (p->token.i > INT64_MAX)
        return fail_at(p, p->token.text,
                       "the integer does not fit in int64; write 1e19 for a float");
    return hr_expr_int((int64_t)p->token.i, out, p->err);
}

static hr_status make_word(parser *p, hr_expr **out)
{
    if (token_is(p, "null"))
        return hr_expr_null(out, p->err);
    if (token_is(p, "true") || token_is(p, "false"))
        return hr_expr_bool(token_is(p, "true"), out, p->err);
    if (token_is(p, "nan") || token_is(p, "inf"))
        return hr_expr_float(token_is(p, "nan") ? (double)NAN : (double)INFINITY, out, p->err);
    if (hr__expr_is_reserved(p->token.text, p->token.bytes))
        return fail_token(p, "a value (a column of that name stands in `backquotes`)");
    return hr__expr_make_text(HR_EXPR_COLUMN, p->token.text, p->token.bytes, out, p->err);
}

// A name with an open bracket right behind it.
static hr_status open_call(parser *p)
{
    const char *name = p->token.text;
    size_t bytes = p->token.bytes;
    open_op op = {.kind = OPEN_CAST};
    if (!token_is(p, "cast")) {
        op.kind = OPEN_CALL;
        op.function = hr__function_find(name, bytes);
        if (!op.function || op.function->precedence != HR_BIND_NONE) {
            char what[128];
            snprintf(what, sizeof what, "no function is called '%.*s'", (int)HR_MIN(bytes, 60),
                     name);
            return fail_at(p, name, what);
        }
    }
    HR_TRY(push_op(p, op));
    HR_TRY(next(p)); // the bracket
    return next(p);
}

static bool bracket_follows(const parser *p)
{
    const char *c = p->at;
    while (c < p->end && is_space(*c))
        c++;
    return c < p->end && *c == '(';
}

// One token where a value must come; *done when it was a whole value.
static hr_status take_operand(parser *p, bool *done)
{
    hr_expr *e = NULL;
    *done = false;
    if (token_is(p, "(")) {
        HR_TRY(push_op(p, (open_op){.kind = OPEN_BRACKET}));
        return next(p);
    }
    if (token_is(p, "-")) {
        HR_TRY(push_op(p, (open_op){.kind = OPEN_PREFIX,
                                    .precedence = HR_BIND_MINUS,
                                    .function = hr__function_find("-", 1)}));
        return next(p);
    }
    if (token_is(p, "not")) {
        if (top(p) && top(p)->precedence > HR_BIND_NOT)
            return fail_token(p, "a value (put brackets around a `not`)");
        HR_TRY(push_op(p, (open_op){.kind = OPEN_PREFIX,
                                    .precedence = HR_BIND_NOT,
                                    .function = hr__function_find("not", 3)}));
        return next(p);
    }
    bool reserved = hr__expr_is_reserved(p->token.text, p->token.bytes);
    if (p->token.kind == T_NAME && !reserved && bracket_follows(p))
        return open_call(p);
    *done = true;
    switch (p->token.kind) {
    case T_NAME:
        HR_TRY(make_word(p, &e));
        break;
    case T_QUOTED:
    case T_STRING:
        HR_TRY(unquoted(p, p->token.kind == T_STRING ? HR_EXPR_TEXT : HR_EXPR_COLUMN, &e));
        break;
    case T_INT:
        HR_TRY(make_int(p, &e));
        break;
    case T_FLOAT:
        HR_TRY(hr_expr_float(p->token.f, &e, p->err));
        break;
    default:
        return fail_token(p, "a name, a number, a string or '('");
    }
    HR_TRY(push_operand(p, e));
    return next(p);
}

// --- what follows a value ---

// `, type)` of a cast.
static hr_status close_cast(parser *p)
{
    char name[16];
    int type = -1;
    HR_TRY(next(p));
    if (p->token.kind == T_NAME && p->token.bytes < sizeof name) {
        memcpy(name, p->token.text, p->token.bytes);
        name[p->token.bytes] = 0;
        type = hr__type_id_parse(name);
    }
    if (type < HR_TYPE_BOOL || type > HR_TYPE_FLOAT64)
        return fail_token(p, "bool, int8 to int64, uint8 to uint64, float16, bfloat16, float32 "
                             "or float64");
    HR_TRY(next(p));
    if (!token_is(p, ")"))
        return fail_token(p, "')' after the type of cast");
    hr_expr **arg = &p->operands.items[p->operands.count - 1], *e;
    HR_TRY(hr_expr_cast(*arg, (hr_type_id)type, &e, p->err));
    hr_expr_unref(arg);
    *arg = e;
    p->ops.count--;
    return next(p);
}

// ')' or ',': *value_next after a comma.
static hr_status take_delimiter(parser *p, bool *value_next)
{
    bool comma = token_is(p, ",");
    HR_TRY(reduce_to(p, 0));
    open_op *op = p->ops.count ? &p->ops.items[p->ops.count - 1] : NULL;
    if (!op || (comma && op->kind == OPEN_BRACKET))
        return fail_token(p, comma ? "a comma only between the arguments of a function"
                                   : "the end: nothing is open");
    if (op->kind == OPEN_CAST) {
        if (!comma)
            return fail_token(p, "',' and the type of cast");
        return close_cast(p);
    }
    if (comma) {
        if (p->operands.count - op->operand_base >= (size_t)op->function->args_max) {
            char what[96];
            snprintf(what, sizeof what, "')': '%s' takes %d argument%s", op->function->name,
                     op->function->args_max, op->function->args_max == 1 ? "" : "s");
            return fail_token(p, what);
        }
        *value_next = true;
        return next(p);
    }
    open_op closed = *op;
    p->ops.count--;
    if (closed.kind == OPEN_CALL)
        HR_TRY(make_call(p, closed.function, p->operands.count - closed.operand_base,
                         closed.position));
    return next(p);
}

// `is null`, `is not null` behind a value.
static hr_status take_is(parser *p)
{
    size_t position = position_of(p, p->token.text);
    HR_TRY(reduce_to(p, HR_BIND_ADD));
    if (top(p) && top(p)->precedence == HR_BIND_COMPARE)
        return fail_at(p, p->token.text, "put brackets around the comparison before `is`");
    HR_TRY(next(p));
    bool negative = token_is(p, "not");
    if (negative)
        HR_TRY(next(p));
    if (!token_is(p, "null"))
        return fail_token(p, "null, or not null");
    HR_TRY(make_call(p, hr__function_find("is_null", 7), 1, position));
    if (negative)
        HR_TRY(make_call(p, hr__function_find("not", 3), 1, position));
    return next(p);
}

static hr_status take_operator(parser *p)
{
    const hr_function *f = p->token.kind == T_SYMBOL || token_is(p, "and") || token_is(p, "or")
                               ? hr__function_find(p->token.text, p->token.bytes)
                               : NULL;
    if (!f && token_is(p, "="))
        return fail_token(p, "an operator; == compares");
    if (!f)
        return fail_token(p, "an operator or the end");
    int precedence = f->precedence;
    if (precedence == HR_BIND_COMPARE) {
        HR_TRY(reduce_to(p, HR_BIND_ADD));
        if (top(p) && top(p)->precedence == HR_BIND_COMPARE)
            return fail_token(p, "an end: comparisons do not chain, write a < b and b < c");
    } else {
        HR_TRY(reduce_to(p, precedence + (precedence == HR_BIND_POW)));
    }
    HR_TRY(push_op(p, (open_op){.kind = OPEN_BINARY, .function = f, .precedence = precedence}));
    return next(p);
}

// One expression, up to the end or to a ';' that is left as the token looked at.
static hr_status parse_one(parser *p, hr_expr **out)
{
    bool done = false, value_next = true;
    while (value_next || !(p->token.kind == T_END || token_is(p, ";"))) {
        if (value_next) {
            HR_TRY(take_operand(p, &done));
            value_next = !done;
        } else if (token_is(p, ")") || token_is(p, ",")) {
            HR_TRY(take_delimiter(p, &value_next));
        } else if (token_is(p, "is")) {
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
        return fail_token(p, what);
    }
    HR_ASSERT(p->operands.count == 1);
    *out = p->operands.items[0];
    p->operands.count = 0;
    return HR_OK;
}

static hr_status parser_init(parser *p, const char *text, hr_error *err)
{
    if (!text)
        return HR_FAIL(err, HR_INVALID, "expression: the text is NULL");
    size_t bytes = strnlen(text, HR_EXPR_TEXT_MAX + 1);
    if (bytes > HR_EXPR_TEXT_MAX)
        return HR_FAIL(err, HR_INVALID, "expression: more than %d bytes of text", HR_EXPR_TEXT_MAX);
    *p = (parser){.text = text, .at = text, .end = text + bytes, .err = err};
    return HR_OK;
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
    HR_GO(next(&p));
    HR_GO(parse_one(&p, &e));
    if (p.token.kind != T_END)
        HR_GO(fail_token(&p, "the end: one expression, not a list"));
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
    bool reserved = p->token.kind == T_NAME && hr__expr_is_reserved(p->token.text, p->token.bytes);
    if ((p->token.kind != T_NAME && p->token.kind != T_QUOTED) || reserved)
        return fail_token(p, "the name of a column and '='");
    if (p->token.kind == T_QUOTED)
        HR_GO(unquoted(p, HR_EXPR_COLUMN, &name));
    else
        HR_GO(hr__expr_make_text(HR_EXPR_COLUMN, p->token.text, p->token.bytes, &name, p->err));
    HR_GO(next(p));
    if (!token_is(p, "="))
        HR_GO(fail_token(p, "'=' and an expression, as in x = x * 2"));
    HR_GO(next(p));
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
    HR_GO(next(&p));
    do {
        if (list.count >= ASSIGNMENTS_MAX)
            HR_GO(fail_token(&p, "the end: 65536 assignments at most"));
        HR_GO(HR_VEC_RESERVE(&list, 1, err));
        HR_GO(parse_assignment(&p, &list.items[list.count]));
        list.count++;
        if (token_is(&p, ";"))
            HR_GO(next(&p));
    } while (p.token.kind != T_END);
    *out = list.items;
    *count_out = (int32_t)list.count;
    list.items = NULL;
    list.count = 0;
out:
    hr__assignments_free(list.items, (int32_t)list.count);
    parser_finish(&p);
    return status;
}
