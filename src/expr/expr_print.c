// SPDX-License-Identifier: Apache-2.0
// The tree as text, with the fewest brackets that parsing needs to give the same tree back.
//
// The writer needs no memory of its own beside a stack bounded by the depth of trees, so it cannot fail: what does
// not fit is cut. Numbers are written without the C library's locale: the shortest digits that read back the same.
#include "expr/expr_tree.h"

#include "block/block.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sink {
    char *buffer;
    size_t bytes, room; // room without the NUL
} sink;

static void put(sink *s, const char *text, size_t bytes)
{
    size_t n = HR_MIN(bytes, s->room - s->bytes);
    memcpy(s->buffer + s->bytes, text, n);
    s->bytes += n;
}
static void puts_(sink *s, const char *text)
{
    put(s, text, strlen(text));
}

static void put_quoted(sink *s, const char *text, char quote)
{
    put(s, &quote, 1);
    for (; *text; text++) {
        put(s, text, 1);
        if (*text == quote)
            put(s, text, 1);
    }
    put(s, &quote, 1);
}

static void put_name(sink *s, const char *name)
{
    bool plain = !(*name >= '0' && *name <= '9');
    for (const char *c = name; *c; c++)
        plain &= (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' ||
                 (*c >= '0' && *c <= '9') || (unsigned char)*c >= 0x80;
    if (plain && !hr__expr_is_reserved(name, strlen(name)))
        puts_(s, name);
    else
        put_quoted(s, name, '`');
}

// Digits d.ddd and a decimal exponent from "%.*e", whose point may be any character.
static void put_float(sink *s, double value)
{
    if (isnan(value)) {
        puts_(s, "nan");
        return;
    }
    if (signbit(value))
        put(s, "-", 1);
    value = fabs(value);
    if (isinf(value)) {
        puts_(s, "inf");
        return;
    }
    char text[48], digits[24], out[64];
    int precision = 0;
    do
        snprintf(text, sizeof text, "%.*e", precision, value);
    while (strtod(text, NULL) != value && ++precision < 17);
    const char *e = strchr(text, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10), count = precision + 1;
    digits[0] = text[0];
    memcpy(digits + 1, e - precision, (size_t)precision);
    digits[count] = 0;
    if (exponent >= 0 && exponent < 17) { // 1200.0, 12.5
        for (; count < exponent + 2; count++)
            digits[count] = '0';
        digits[count] = 0;
        snprintf(out, sizeof out, "%.*s.%s", exponent + 1, digits, digits + exponent + 1);
    } else if (exponent < 0 && exponent >= -5) { // 0.00012
        snprintf(out, sizeof out, "0.%.*s%s", -exponent - 1, "0000", digits);
    } else {
        snprintf(out, sizeof out, "%c%s%se%d", digits[0], count > 1 ? "." : "", digits + 1,
                 exponent);
    }
    puts_(s, out);
}

static void put_leaf(sink *s, const hr_expr *e)
{
    char number[32];
    switch (e->kind) {
    case HR_EXPR_COLUMN:
        put_name(s, e->text);
        break;
    case HR_EXPR_INT:
        snprintf(number, sizeof number, "%lld", (long long)e->i);
        puts_(s, number);
        break;
    case HR_EXPR_FLOAT:
        put_float(s, e->f);
        break;
    case HR_EXPR_BOOL:
        puts_(s, e->i ? "true" : "false");
        break;
    case HR_EXPR_TEXT:
        put_quoted(s, e->text, '\'');
        break;
    default:
        puts_(s, "null");
    }
}

// The least precedence that argument `i` may have without brackets.
static int needed(const hr_expr *e, int32_t i)
{
    int p = hr__expr_precedence(e);
    if (p == HR_BIND_ATOM)
        return HR_BIND_OR;
    if (e->arg_count == 1)
        return p;
    if (p == HR_BIND_POW)
        return i == 0 ? HR_BIND_ATOM : HR_BIND_MINUS;
    return i == 0 && p != HR_BIND_COMPARE ? p : p + 1;
}

// What stands before argument `i`, or after the last one.
static void put_around(sink *s, const hr_expr *e, int32_t i)
{
    char type[32];
    bool call = hr__expr_precedence(e) == HR_BIND_ATOM;
    const char *name = e->kind == HR_EXPR_CAST ? "cast" : e->function->name;
    if (i == 0 && (call || e->arg_count == 1)) {
        puts_(s, name);
        puts_(s, call ? "(" : e->function->precedence == HR_BIND_NOT ? " " : "");
    } else if (i == e->arg_count && e->kind == HR_EXPR_CAST) {
        puts_(s, ", ");
        puts_(s, hr_type_print(hr__type_primitive(e->cast), type, sizeof type));
        puts_(s, ")");
    } else if (i == e->arg_count) {
        puts_(s, call ? ")" : "");
    } else if (i > 0 && call) {
        puts_(s, ", ");
    } else if (i > 0) {
        puts_(s, " ");
        puts_(s, name);
        puts_(s, " ");
    }
}

const char *hr_expr_print(const hr_expr *expr, char *buffer, size_t room)
{
    struct {
        const hr_expr *node;
        int32_t next; // argument
        bool bracket;
    } stack[HR_EXPR_DEPTH_MAX + 1];
    if (room == 0)
        return buffer;
    sink s = {buffer, 0, room - 1};
    size_t depth = 0;
    if (expr) {
        stack[depth].node = expr;
        stack[depth].next = 0;
        stack[depth++].bracket = false;
    }
    while (depth > 0 && s.bytes < s.room) {
        const hr_expr *e = stack[depth - 1].node;
        int32_t i = stack[depth - 1].next++;
        if (i == 0 && stack[depth - 1].bracket)
            put(&s, "(", 1);
        if (e->arg_count == 0)
            put_leaf(&s, e);
        else
            put_around(&s, e, i);
        if (i < e->arg_count) {
            HR_ASSERT(depth < HR_COUNTOF(stack));
            stack[depth].node = e->args[i];
            stack[depth].next = 0;
            stack[depth++].bracket = hr__expr_precedence(e->args[i]) < needed(e, i);
        } else {
            if (stack[depth - 1].bracket)
                put(&s, ")", 1);
            depth--;
        }
    }
    buffer[s.bytes] = 0;
    return buffer;
}
