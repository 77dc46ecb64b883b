// SPDX-License-Identifier: Apache-2.0
// Errors: the first function that knows writes the message, others only add context in front of it.
//
//     return HR_FAIL(err, HR_CORRUPT, "page %d at byte %lld: ...", ...);   words and returns the status
//     HR_TRY(call(..., err));                                             forwards a failure (or HR_END)
//     HR_GO(call(..., err));            the same with clean-up: sets `status`, jumps to the label `out`
#ifndef HR_BASE_ERROR_H
#define HR_BASE_ERROR_H

#include "base/compiler.h"
#include <headrace/base.h>
#include <stdarg.h>

// Writes the message and returns `status`, so that it can stand in a return. err may be NULL.
hr_status hr__error_set(hr_error *err, hr_status status, const char *format, ...) HR_PRINTF(3, 4);
hr_status hr__error_setv(hr_error *err, hr_status status, const char *format, va_list args);
// Puts "context: " before the message that is there; keeps the status. A message too long is cut at its end.
void hr__error_context(hr_error *err, const char *format, ...) HR_PRINTF(2, 3);
// "what: strerror(errnum)" with the status that fits errnum: ENOENT NOT_FOUND, EACCES/EPERM DENIED,
// ENOMEM NOMEM, ENOSPC/EDQUOT/EMFILE LIMIT, EINTR CANCELLED, else IO.
hr_status hr__error_errno(hr_error *err, int errnum, const char *format, ...) HR_PRINTF(3, 4);
// Copies one error into another; either may be NULL. Returns from's status (HR_OK when from is NULL).
hr_status hr__error_copy(hr_error *to, const hr_error *from);

// Inside, HR_AGAIN also says: nothing now, and who can go on will be woken.

// A failure is never HR_OK, and the compiler knows it: an output that a failed call left alone is not taken for one
// that is read.
static inline hr_status hr__failed(hr_status status)
{
    return status != HR_OK ? status : HR_INVALID;
}

#define HR_FAIL(err, status, ...) hr__failed(hr__error_set(err, status, __VA_ARGS__))
#define HR_TRY(call)                                                                               \
    do {                                                                                           \
        hr_status hr_try_status = (call);                                                          \
        if (HR_UNLIKELY(hr_try_status))                                                            \
            return hr_try_status;                                                                  \
    } while (0)
#define HR_GO(call)                                                                                \
    do {                                                                                           \
        status = (call);                                                                           \
        if (HR_UNLIKELY(status))                                                                   \
            goto out;                                                                              \
    } while (0)

#endif
