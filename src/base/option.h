// SPDX-License-Identifier: Apache-2.0
// Option rows: one table beside a struct gives defaults, bounds, the environment (HEADRACE_NAME), and what `headrace
// options` prints: the reference of all that can be given, and where. Option structs begin with `size_t size`; a
// missing tail reads as zero and zero means the default.
#ifndef HR_BASE_OPTION_H
#define HR_BASE_OPTION_H

#include "base/text.h"

typedef enum hr_option_type {
    HR_OPTION_INT,
    HR_OPTION_BYTES,
    HR_OPTION_SECONDS,
    HR_OPTION_BOOL,
    HR_OPTION_TEXT,
    HR_OPTION_CHOICE
} hr_option_type;

typedef struct hr_option_row {
    const char *name; // as the struct's field: "batch_rows"
    // INT, BYTES: int64_t; SECONDS: double; BOOL: bool; TEXT: const char *; CHOICE: int
    hr_option_type type;
    size_t offset;              // offsetof the field
    double default_value;       // what zero means (INT, BYTES, SECONDS); shown in the reference
    double min, max;            // bounds after the default was applied
    const char *const *choices; // CHOICE: NULL-ended; the index is the value
    const char *help;           // one sentence
    const char *flag;           // of the commands that have it: "--batch-rows"; NULL: none has
    const char *keyword;        // in the table's functions of Python; NULL: none
} hr_option_row;

typedef struct hr_option_table {
    const char *name; // "read", "stream", ...
    size_t struct_bytes;
    const hr_option_row *rows;
    size_t row_count;
    const char *struct_name;
    const char *python; // where its keywords are given: "iter_batches, ..."; NULL: nowhere
    bool call_only;     // the environment does not count: it means this one call
} hr_option_table;
#define HR_OPTION_TABLE(name, type, rows, python)                                                  \
    {                                                                                              \
        name, sizeof(type), rows, HR_COUNTOF(rows), #type, python, false                           \
    }
#define HR_CALL_OPTION_TABLE(name, type, rows, python)                                             \
    {                                                                                              \
        name, sizeof(type), rows, HR_COUNTOF(rows), #type, python, true                            \
    }

// Copies the user's struct (NULL: zeros; short: zero tail) into `to`, with our size. INVALID: it has no size;
// UNSUPPORTED: it is longer, and something is set there.
HR_USE_RESULT hr_status hr__options_copy(const char *name, const void *from, void *to,
                                         size_t struct_bytes, hr_error *err);
// The same with defaults applied and bounds checked. INVALID names the option, the value and the bounds.
HR_USE_RESULT hr_status hr__options_resolve(const hr_option_table *table, const void *from,
                                            void *to, hr_error *err);
// The other way: of what is counted (`from`) as much as the caller's struct has, zeros behind what we know.
void hr__stats_copy(void *out, size_t out_bytes, const void *from, size_t from_bytes);
// Sets one field from text, as the command line does.
HR_USE_RESULT hr_status hr__option_parse(const hr_option_table *table, const char *name,
                                         const char *value, void *to, hr_error *err);
// All rows for people, or as one JSON object.
void hr__options_print(const hr_option_table *table, hr_text *out);
void hr__options_print_json(const hr_option_table *table, hr_text *out);
// HEADRACE_NAME of an option, into `out`.
const char *hr__option_variable(const char *name, char *out, size_t room);
// The environment's only door: NULL when unset or empty.
const char *hr__env(const char *name);
char *const *hr__env_all(void); // every "NAME=value", NULL-ended; borrowed until somebody sets one

#endif
