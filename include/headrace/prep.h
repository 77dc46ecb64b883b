// SPDX-License-Identifier: Apache-2.0
/**
 * Preprocessors: learn from one dataset, apply to any, and to single blocks (serving).
 *
 * A preprocessor is immutable and reference-counted: fitting returns a new, fitted one. It may be
 * shared between threads.
 */
#ifndef HEADRACE_PREP_H
#define HEADRACE_PREP_H

#include <headrace/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hr_prep hr_prep;

typedef enum hr_fit_status {
    HR_NOT_FITTABLE = 0, /**< nothing to learn */
    HR_NOT_FITTED = 1,
    HR_PARTIALLY_FITTED = 2, /**< a chain of which a part was fitted on its own */
    HR_FITTED = 3,
} hr_fit_status;

/** Assignments as hr_dataset_map; columns are looked up when it is applied. INVALID: where in the text. */
HR_API HR_USE_RESULT hr_status hr_prep_map(const char *assignments, hr_prep **out, hr_error *err);
/** The user's function on blocks; options may be NULL (hr_dataset_map_blocks). */
HR_API HR_USE_RESULT hr_status hr_prep_map_blocks(hr_block_function function, void *context,
                                                  const hr_function_options *options, hr_prep **out,
                                                  hr_error *err);
/** The user's function in processes (hr_dataset_map_process). */
HR_API HR_USE_RESULT hr_status hr_prep_map_process(const hr_process_options *options, hr_prep **out,
                                                   hr_error *err);

typedef struct hr_standard_scaler_options {
    size_t size;
    hr_type_id type; /**< of the result: FLOAT64 (default) or FLOAT32 */
} hr_standard_scaler_options;
#define HR_STANDARD_SCALER_OPTIONS_INIT                                                            \
    {                                                                                              \
        sizeof(hr_standard_scaler_options), HR_TYPE_NULL                                           \
    }
/** (x - mean) / std with ddof 0 of each column; nulls and NaN are passed over when learning and
 *  kept when applying; std 0 divides by 1. */
HR_API HR_USE_RESULT hr_status hr_prep_standard_scaler(const char *const *columns,
                                                       const hr_standard_scaler_options *options,
                                                       hr_prep **out, hr_error *err);
/** One after the other: each learns from what those before it give. INVALID: a chain in a chain. */
HR_API HR_USE_RESULT hr_status hr_prep_chain(hr_prep *const *preps, int32_t count, hr_prep **out,
                                             hr_error *err);

HR_API hr_prep *hr_prep_ref(const hr_prep *prep);
HR_API void hr_prep_unref(hr_prep **prep);
HR_API hr_fit_status hr_prep_fit_status(const hr_prep *prep);
/** Learns from the dataset, in one pass for all columns of a stage. Stateless ones come back as they
 *  are. NOT_FOUND, INVALID: a column is missing or is no number. */
HR_API HR_USE_RESULT hr_status hr_prep_fit(const hr_prep *prep, const hr_dataset *dataset,
                                           hr_prep **out, hr_error *err);
/** Lazily applied. INVALID: not fitted. */
HR_API HR_USE_RESULT hr_status hr_prep_transform(const hr_prep *prep, const hr_dataset *dataset,
                                                 hr_dataset **out, hr_error *err);
/** Applied to one block now; needs no runtime. UNSUPPORTED: functions in processes. */
HR_API HR_USE_RESULT hr_status hr_prep_transform_block(const hr_prep *prep, const hr_block *block,
                                                       hr_block **out, hr_error *err);
/** What was learned, by name ("mean(x)"), as JSON. Freed with hr_text_free. */
HR_API HR_USE_RESULT hr_status hr_prep_learned(const hr_prep *prep, char **out, hr_error *err);
/** As JSON, freed with hr_text_free. UNSUPPORTED: functions of the user cannot be saved here. */
HR_API HR_USE_RESULT hr_status hr_prep_save(const hr_prep *prep, char **out, hr_error *err);
/** What hr_prep_save wrote. INVALID: it is no saved preprocessor, and where; UNSUPPORTED: of a later
 *  release; LIMIT: larger than any is. */
HR_API HR_USE_RESULT hr_status hr_prep_load(const char *json, hr_prep **out, hr_error *err);
/** "Chain(preprocessors=(StandardScaler(columns=['a'], ...), BatchMapper(x = x * 2)))". Returns buffer. */
HR_API const char *hr_prep_print(const hr_prep *prep, char *buffer, size_t room);

#ifdef __cplusplus
}
#endif
#endif
