// SPDX-License-Identifier: Apache-2.0
// The only malloc of the project, with torture: the n-th allocation can be made to fail.
#ifndef HR_BASE_MEM_H
#define HR_BASE_MEM_H

#include "base/error.h"

// Each sets *out only on success and words HR_NOMEM with the size. A size of 0 gives a valid pointer.
HR_USE_RESULT hr_status hr__alloc(size_t bytes, void *out, hr_error *err);
HR_USE_RESULT hr_status hr__alloc_zero(size_t count, size_t each, void *out,
                                       hr_error *err); // overflow checked
HR_USE_RESULT hr_status hr__alloc_aligned(size_t bytes, size_t align, void *out, hr_error *err);
// *inout stays valid (and unchanged) on failure.
HR_USE_RESULT hr_status hr__realloc(void *inout, size_t bytes, hr_error *err);
HR_USE_RESULT hr_status hr__strdup(const char *text, char **out, hr_error *err);
HR_USE_RESULT hr_status hr__strndup(const char *text, size_t bytes, char **out, hr_error *err);
void hr__free(void *p); // NULL is fine; for memory of every function above

// Torture (tests): the n-th allocation from now fails (1 = the next); 0 switches it off. Returns how many
// allocations were made since the last call. Counts over all threads.
uint64_t hr__mem_fail_after(uint64_t n);

#endif
