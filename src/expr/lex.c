// SPDX-License-Identifier: Apache-2.0
// Text to tokens: names, numbers (without the locale), quoted names and strings, symbols.
#include "expr/lex.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "expr/expr.h"
#include "expr/expr_tree.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 400

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

size_t hr__lex_position(const hr_lexer *l, const char *at)
{
    return (size_t)(at - l->text) + 1;
}

hr_status hr__lex_fail_at(const hr_lexer *l, const char *at, const char *what)
{
    size_t all = strlen(l->text);
    return HR_FAIL(l->err, HR_INVALID, "expression '%.*s%s', position %zu: %s",
                   (int)HR_MIN(all, 200), l->text, all > 200 ? "..." : "", hr__lex_position(l, at),
                   what);
}

// "found ')', expected ..."
hr_status hr__lex_fail_token(const hr_lexer *l, const char *expected)
{
    char what[256];
    const hr_token *t = &l->token;
    if (t->kind == T_END)
        snprintf(what, sizeof what, "found the end, expected %s", expected);
    else
        snprintf(what, sizeof what, "found '%.*s', expected %s", (int)HR_MIN(t->bytes, 40), t->text,
                 expected);
    return hr__lex_fail_at(l, t->text, what);
}

// --- numbers, without the locale ---

// Digits and exponent are handed to strtod without a decimal point.
static hr_status lex_float(hr_lexer *l, const char *begin, const char *end)
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
    l->token.f = strtod(digits, NULL);
    if (isinf(l->token.f))
        return hr__lex_fail_at(l, begin, "the number is too large for a float64");
    return HR_OK;
}

static hr_status lex_hex(hr_lexer *l)
{
    const char *c = l->at + 2;
    uint64_t value = 0;
    for (; c < l->end; c++) {
        char lower = (char)(*c | 0x20);
        unsigned digit = is_digit(*c)                     ? (unsigned)(*c - '0')
                         : (lower >= 'a' && lower <= 'f') ? (unsigned)(lower - 'a' + 10)
                                                          : 16;
        if (digit == 16)
            break;
        if (value >> 60)
            return hr__lex_fail_at(l, l->at, "the number does not fit in 64 bits");
        value = value << 4 | digit;
    }
    if (c == l->at + 2 || (c < l->end && (is_letter(*c) || is_digit(*c))))
        return hr__lex_fail_at(l, l->at, "a hexadecimal number is 0x and hexadecimal digits");
    l->token.kind = T_INT;
    l->token.i = value;
    l->at = c;
    return HR_OK;
}

static hr_status lex_number(hr_lexer *l)
{
    const char *begin = l->at, *c = begin;
    if (l->end - c >= 2 && c[0] == '0' && (c[1] | 0x20) == 'x')
        return lex_hex(l);
    bool is_float = false, fits = true;
    uint64_t value = 0;
    for (; c < l->end && is_digit(*c); c++)
        fits &= !HR_MUL_OVERFLOWS(value, 10, &value) &&
                !HR_ADD_OVERFLOWS(value, (uint64_t)(*c - '0'), &value);
    if (c < l->end && *c == '.') {
        is_float = true;
        for (c++; c < l->end && is_digit(*c); c++)
            ;
    }
    if (c < l->end && (*c | 0x20) == 'e') {
        is_float = true;
        c++;
        c += c < l->end && (*c == '-' || *c == '+');
        if (c == l->end || !is_digit(*c))
            return hr__lex_fail_at(l, begin, "the exponent of a number needs digits");
        for (; c < l->end && is_digit(*c); c++)
            ;
    }
    if (c < l->end && is_letter(*c))
        return hr__lex_fail_at(l, c, "a letter right after a number: names begin with a letter");
    if (c - begin > NUMBER_MAX)
        return hr__lex_fail_at(l, begin, "a number of more than 400 characters");
    l->at = c;
    l->token.kind = is_float ? T_FLOAT : T_INT;
    l->token.i = value;
    if (is_float)
        return lex_float(l, begin, c);
    return fits ? HR_OK
                : hr__lex_fail_at(l, begin,
                                  "the integer does not fit in 64 bits; write 1e20 for a float");
}

// Up to the closing quote; a doubled quote stands for itself.
static hr_status lex_quoted(hr_lexer *l, hr_token_kind kind)
{
    const char *begin = l->at, quote = *begin, *c = begin + 1;
    for (;; c++) {
        if (c == l->end)
            return hr__lex_fail_at(l, begin,
                                   quote == '`' ? "the name has no closing `"
                                                : "the string has no closing '");
        if (*c == quote && !(c + 1 < l->end && c[1] == quote))
            break;
        c += *c == quote;
    }
    l->at = c + 1;
    l->token.kind = kind;
    return HR_OK;
}

static hr_status lex_symbol(hr_lexer *l)
{
    static const char *const symbols[] = {"==", "!=", "<=", ">=", "//", "**", "+", "-", "*",
                                          "/",  "%",  "<",  ">",  "(",  ")",  ",", "=", ";"};
    size_t left = (size_t)(l->end - l->at);
    for (size_t i = 0; i < HR_COUNTOF(symbols); i++) {
        size_t n = strlen(symbols[i]);
        if (n <= left && memcmp(symbols[i], l->at, n) == 0) {
            l->token.kind = T_SYMBOL;
            l->at += n;
            return HR_OK;
        }
    }
    switch (*l->at) {
    case '"':
        return hr__lex_fail_at(l, l->at, "strings stand in 'single quotes', names in `backquotes`");
    case '&':
    case '|':
    case '!':
        return hr__lex_fail_at(l, l->at, "write and, or, not instead of &, |, !");
    default:
        return hr__lex_fail_at(l, l->at, "a character that means nothing here");
    }
}

hr_status hr__lex_next(hr_lexer *l)
{
    while (l->at < l->end && is_space(*l->at))
        l->at++;
    l->token = (hr_token){.kind = T_END, .text = l->at};
    if (l->at == l->end)
        return HR_OK;
    char c = *l->at;
    hr_status status;
    if (is_digit(c) || (c == '.' && l->end - l->at > 1 && is_digit(l->at[1]))) {
        status = lex_number(l);
    } else if (is_letter(c)) {
        while (l->at < l->end && (is_letter(*l->at) || is_digit(*l->at)))
            l->at++;
        l->token.kind = T_NAME;
        status = HR_OK;
    } else if (c == '\'' || c == '`') {
        status = lex_quoted(l, c == '`' ? T_QUOTED : T_STRING);
    } else {
        status = lex_symbol(l);
    }
    l->token.bytes = (size_t)(l->at - l->token.text);
    return status;
}

bool hr__lex_is(const hr_lexer *l, const char *text)
{
    return (l->token.kind == T_SYMBOL || l->token.kind == T_NAME) &&
           l->token.bytes == strlen(text) && memcmp(l->token.text, text, l->token.bytes) == 0;
}

bool hr__lex_follows(const hr_lexer *l, char c)
{
    const char *at = l->at;
    while (at < l->end && is_space(*at))
        at++;
    return at < l->end && *at == c;
}

hr_status hr__lex_init(hr_lexer *l, const char *text, hr_error *err)
{
    if (!text)
        return HR_FAIL(err, HR_INVALID, "expression: the text is NULL");
    size_t bytes = strnlen(text, HR_EXPR_TEXT_MAX + 1);
    if (bytes > HR_EXPR_TEXT_MAX)
        return HR_FAIL(err, HR_INVALID, "expression: more than %d bytes of text", HR_EXPR_TEXT_MAX);
    *l = (hr_lexer){.text = text, .at = text, .end = text + bytes, .err = err};
    return HR_OK;
}
