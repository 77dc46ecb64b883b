// SPDX-License-Identifier: Apache-2.0
// Inside the room: what a preprocessor is, as a table of functions, and where its transform goes.
//
//   fit        step: what one block tells; fold: two such states into one; learn: the last state into a fitted
//              preprocessor
//   transform  a list of steps put into a sink: assignments of expressions, functions of the user. The same list
//              fuses into a lazy dataset or runs at once over one block.
//
// States are plain bytes, zero is the empty set, and they are folded in block order: so one pass serves any number of
// preprocessors at once, and the result is the same for any number of threads.
#ifndef HR_PREP_PREP_PARTS_H
#define HR_PREP_PREP_PARTS_H

#include "base/text.h"
#include "base/vec.h"
#include "expr/expr.h"
#include "plan/plan.h"
#include <headrace/prep.h>
#include <jansson.h>
#include <stdatomic.h>

typedef struct hr_prep_sink hr_prep_sink;
struct hr_prep_sink {
    hr_status (*assign)(hr_prep_sink *sink, const char *name, const hr_expr *expr, hr_error *err);
    hr_status (*function)(hr_prep_sink *sink, hr_block_function function, void *context,
                          const hr_function_options *options, hr_error *err);
    hr_status (*process)(hr_prep_sink *sink, const hr_process_options *options, hr_error *err);
};

typedef struct hr_prep_class {
    const char *name; // as it is printed and saved
    void (*close)(hr_prep *prep);
    hr_fit_status (*fit_status)(const hr_prep *prep);
    hr_status (*transform)(const hr_prep *prep, hr_prep_sink *sink, hr_error *err);
    void (*print)(const hr_prep *prep, hr_text *out);
    hr_status (*learned)(const hr_prep *prep, json_t **out, hr_error *err);
    hr_status (*save)(const hr_prep *prep, json_t *into, hr_error *err); // its own members
    hr_status (*load)(const json_t *from, hr_prep **out, hr_error *err);

    // Those that learn; NULL for the others. columns: read by step, and written by transform, NULL-ended.
    const char *const *(*columns)(const hr_prep *prep);
    hr_status (*check)(const hr_prep *prep, const hr_schema *schema, hr_error *err);
    size_t (*state_bytes)(const hr_prep *prep);
    hr_status (*step)(const hr_prep *prep, void *state, const hr_block *block, hr_error *err);
    hr_status (*fold)(const hr_prep *prep, void *total, const void *state, hr_error *err);
    hr_status (*learn)(const hr_prep *prep, const void *total, hr_prep **out, hr_error *err);
} hr_prep_class;

// What every preprocessor begins with.
struct hr_prep {
    _Atomic uint32_t refs;
    const hr_prep_class *class_;
};

extern const hr_prep_class hr__prep_class_map;
extern const hr_prep_class hr__prep_class_function;
extern const hr_prep_class hr__prep_class_process;
extern const hr_prep_class hr__prep_class_scaler;
extern const hr_prep_class hr__prep_class_chain;

// prep.c
HR_USE_RESULT hr_status hr__prep_new(const hr_prep_class *class_, size_t bytes, void *out,
                                     hr_error *err); // zeroed, one reference
// Fits several that do not depend on each other in one pass over the dataset; fitted[i] is a reference.
HR_USE_RESULT hr_status hr__prep_fit_together(hr_prep *const *preps, int32_t count,
                                              const hr_dataset *dataset, hr_prep **fitted,
                                              hr_error *err);

// prep_chain.c
hr_prep *const *hr__prep_chain_parts(const hr_prep *prep, int32_t *count_out); // NULL: not a chain
HR_USE_RESULT hr_status hr__prep_chain_fit(const hr_prep *chain, const hr_dataset *dataset,
                                           hr_prep **out, hr_error *err);

// saved.c: members of an object, checked. INVALID names the member.
HR_USE_RESULT hr_status hr__saved_names(const json_t *from, const char *member, char ***out,
                                        int32_t *count_out, hr_error *err); // NULL-ended
HR_USE_RESULT hr_status hr__saved_text(const json_t *from, const char *member, const char **out,
                                       hr_error *err); // borrowed from `from`
HR_USE_RESULT hr_status hr__saved_set(json_t *into, const char *member, json_t *value,
                                      hr_error *err); // takes value; NULL is NOMEM
HR_USE_RESULT hr_status hr__saved_dump(json_t *value, char **out, hr_error *err);
HR_USE_RESULT hr_status hr__prep_to_json(const hr_prep *prep, json_t **out, hr_error *err);
HR_USE_RESULT hr_status hr__prep_from_json(const json_t *from, hr_prep **out, hr_error *err);
void hr__names_free(char **names);
HR_USE_RESULT hr_status hr__names_copy(const char *const *names, char ***out, int32_t *count_out,
                                       hr_error *err);
void hr__names_print(char *const *names, hr_text *out); // ['a', 'b']

// apply_block.c
HR_USE_RESULT hr_status hr__prep_apply_block(const hr_prep *prep, const hr_block *block,
                                             hr_block **out, hr_error *err);

#endif
