// SPDX-License-Identifier: Apache-2.0
/**
 * Expressions: row-local work over columns, as trees that run in C on all threads.
 *
 * Text form (what hr_expr_parse, `--map` and `--filter` read), loosest binding first:
 *
 *     or   and   not   == != < <= > >=  (also `is null`, `is not null`)   + -   * / // %   unary -   ** (right)   call
 *
 *     names: a, _b2, `any name in backquotes` (`` doubled inside)    numbers: 3, -1.5e3, 0x1f, nan, inf
 *     strings: 'it''s'      true false null
 *     cast(x, float32)  where(c, a, b)  min(a, b)  max(a, b)  clip(x, lo, hi)  abs(x)  sign(x)  pow(x, y)
 *     exp expm1 log log1p log2 log10 sqrt sin cos tanh   floor ceil round trunc
 *     is_null(x)  is_nan(x)  is_inf(x)  is_finite(x)  fill_null(x, v)  fill_nan(x, v)
 *
 * Comparisons do not chain. At most 1 MiB of text and 1,000 levels of nesting; what is deeper is assigned in steps.
 *
 * Types: integers keep the wider of both (signed with unsigned: the next wider signed, at most int64); an integer with
 * a float gives a float that holds it (float64 for int32 and wider); a literal takes its partner's type where its value
 * fits, else it counts as int64 or float64; `/` is float division (float64 for integers), `//` and `%` round to minus
 * infinity as in Python; integers wrap. An integer to the power of a written whole number >= 0 stays an integer, other
 * powers and the functions of the third line give floats (float64 from integers); floor, ceil, round (half to even)
 * and trunc leave integers as they are. min and max are NaN where either is. float16 and bfloat16 are computed in
 * float32 and rounded after each operation. Comparisons of int64 with uint64 are exact; of integers with
 * floats, in the float they meet in. bool is no number: cast it.
 *
 * Casts: integers wrap; float to integer truncates, saturates, NaN gives 0; to bool is `!= 0` (NaN is true); times give
 * the integer of their unit; decimals go to float64 or float32 only, and everything else on them is UNSUPPORTED.
 *
 * A null makes its result null, save in `and`, `or` (Kleene), `where` (a null condition chooses the last), `is_null`,
 * `fill_null`. Integer division by zero is null. A filter keeps the rows where it is true.
 *
 * A tensor meets a tensor of the same shape, or a scalar column or literal, value by value; its rows are null as a
 * whole, and is_null(tensor) is one bool a row. Comparing tensors gives bools for where and cast; as a
 * column they are cast, to uint8 say. Integers are not divided (// %) by a tensor of integers.
 *
 * Strings, binaries and dictionaries of them compare by bytes, with each other and with literals; where and fill_null
 * make a plain string. Times compare with their own type, with integers of their unit and with ISO text
 * ('2024-01-31', '2024-01-31T10:20:30.5', '10:20' for times of day; Z or +02:00 where the type has a zone); min, max,
 * where and fill_null keep them; arithmetic needs a cast.
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

/** Reads the text form. *out is a reference, as in all of these. INVALID: the message has the position and what was
 *  expected there, or says that it is too long or too deep. */
HR_API HR_USE_RESULT hr_status hr_expr_parse(const char *text, hr_expr **out, hr_error *err);
/** A column by its name, which is looked up when the expression meets a schema. */
HR_API HR_USE_RESULT hr_status hr_expr_column(const char *name, hr_expr **out, hr_error *err);
/** Literals. Text is copied; null has the type of what it meets. */
HR_API HR_USE_RESULT hr_status hr_expr_int(int64_t value, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_float(double value, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_bool(bool value, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_text(const char *value, hr_expr **out, hr_error *err);
HR_API HR_USE_RESULT hr_status hr_expr_null(hr_expr **out, hr_error *err);
/** A function or operator by its name ("+", "where", "log1p"). Takes references of its own; args stay the caller's.
 *  INVALID: no such function, wrong count of arguments. */
HR_API HR_USE_RESULT hr_status hr_expr_call(const char *function, hr_expr *const *args,
                                            int32_t count, hr_expr **out, hr_error *err);
/** The argument as another type. INVALID: `type` is no number and not BOOL. */
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
