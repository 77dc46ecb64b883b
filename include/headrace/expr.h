// SPDX-License-Identifier: Apache-2.0
/**
 * Expressions: row-local work over columns, as trees that run in C on all threads.
 *
 * Text form (what hr_expr_parse, `--map` and `--filter` read), loosest binding first:
 *
 *     or   and   not   == != < <= > >=  (also `is null`, `is not null`)   + -   * / // %   unary -   ** (right)   call
 *
 *     names: a, _b2, `any name in backquotes`      numbers: 3, -1.5e3, 0x1f      strings: 'it''s'      true false null
 *     cast(x, float32)  where(c, a, b)  min(a, b)  max(a, b)  clip(x, lo, hi)  abs(x)  exp log log1p sqrt pow(x, y)
 *     floor ceil round  is_null(x)  is_nan(x)  fill_null(x, v)  fill_nan(x, v)
 *
 * Types: integers keep the wider of both (signed with unsigned: the next wider signed, at most
 * int64); an integer with a float gives a float that holds it (float64 for int32 and wider); a
 * literal takes its partner's type where its value fits; `/` is float division, `//` and `%` round
 * to minus infinity as in Python; integers wrap. A null makes its result null, save in `and`, `or`
 * (Kleene), `where`, `is_null`, `fill_null`. A tensor meets a tensor of the same shape, or a scalar
 * column or literal, value by value. Integer division by zero is null.
 *
 * An expression is immutable and reference-counted: it may be shared between threads.
 */
#ifndef HEADRACE_EXPR_H
#define HEADRACE_EXPR_H

#include <headrace/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hr_expr hr_expr;

/** INVALID: the message has the position and what was expected there. */
HR_API HR_USE_RESULT hr_status hr_expr_parse(const char *text, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_column(const char *name, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_int(int64_t value, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_float(double value, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_bool(bool value, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_text(const char *value, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_null(hr_expr **out, hr_error *err);
/** A function or operator by its name ("+", "where", "log1p"). Takes references of its own; args stay the caller's.
 *  INVALID: no such function, wrong count of arguments. */
HR_API HR_USE_RESULT hr_status hr_expr_call(const char *function, hr_expr *const *args,
                                            int32_t count, hr_expr **out, hr_error *err);
/** `type` is a number or BOOL. */
HR_API HR_USE_RESULT hr_status hr_expr_cast(const hr_expr *arg, hr_type_id type, hr_expr **out,
                                            hr_error *err);
HR_API hr_expr *hr_expr_ref(const hr_expr *expr);
HR_API void hr_expr_unref(hr_expr **expr);
/** The text form; parsing it gives the same tree. Cut where it is too long. Returns buffer. */
HR_API const char *hr_expr_print(const hr_expr *expr, char *buffer, size_t room);
/** The type it has over a schema. INVALID names the column or function and what it was given. What *out points to
 *  (item, timezone) is borrowed from static memory or from `schema`. */
HR_API HR_USE_RESULT hr_status hr_expr_type(const hr_expr *expr, const hr_schema *schema,
                                            hr_type *out, hr_error *err);

#ifdef __cplusplus
}
#endif
#endif
