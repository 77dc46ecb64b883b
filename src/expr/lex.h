// SPDX-License-Identifier: Apache-2.0
// Text to tokens, one at a time, over bounded bytes. Every message has the position, counted from 1.
#ifndef HR_EXPR_LEX_H
#define HR_EXPR_LEX_H

#include "base/error.h"

typedef enum hr_token_kind {
    T_END,
    T_NAME,
    T_QUOTED,
    T_INT,
    T_FLOAT,
    T_STRING,
    T_SYMBOL
} hr_token_kind;

typedef struct hr_token {
    hr_token_kind kind;
    const char *text; // where it begins
    size_t bytes;
    uint64_t i;
    double f;
} hr_token;

typedef struct hr_lexer {
    const char *text, *at, *end;
    hr_token token; // the one that is looked at
    hr_error *err;
} hr_lexer;

HR_USE_RESULT hr_status hr__lex_init(hr_lexer *l, const char *text, hr_error *err);
HR_USE_RESULT hr_status hr__lex_next(hr_lexer *l);    // to `token`; T_END at the end
bool hr__lex_is(const hr_lexer *l, const char *text); // the token is this symbol or word
// Whether the next character but space, behind the token, is this one.
bool hr__lex_follows(const hr_lexer *l, char c);
size_t hr__lex_position(const hr_lexer *l, const char *at);
// INVALID, with the position.
hr_status hr__lex_fail_at(const hr_lexer *l, const char *at, const char *what);
hr_status hr__lex_fail_token(const hr_lexer *l, const char *expected); // "found ..., expected ..."

#endif
