// SPDX-License-Identifier: Apache-2.0
/**
 * Status codes, errors, version and the log sink: what every other header builds on.
 *
 * Threads: every function here may be called from any thread. An hr_error belongs to its caller.
 */
#ifndef HEADRACE_BASE_H
#define HEADRACE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HR_API                         __attribute__((visibility("default")))
#define HR_USE_RESULT                  __attribute__((warn_unused_result))
#define HR_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define HR_API
#define HR_USE_RESULT
#define HR_PRINTF(format_index, first)
#endif

/** What a call came to. Failures are negative and few; each tells what can be done about it. */
typedef enum hr_status {
    HR_OK = 0,
    HR_END = 1,          /**< nothing more: the normal end of an iteration */
    HR_AGAIN = 2,        /**< not now: the message says what it waits for; ask again */
    HR_INVALID = -1,     /**< the caller's argument is wrong: change the call */
    HR_NOMEM = -2,       /**< the heap refused */
    HR_IO = -3,          /**< the system refused: disk, socket, process */
    HR_CORRUPT = -4,     /**< the bytes are not what their format allows */
    HR_UNSUPPORTED = -5, /**< understood, and not done by this build or release */
    HR_NOT_FOUND = -6,   /**< no such file, column, object */
    HR_DENIED = -7,      /**< permission */
    HR_LIMIT = -8,       /**< a budget or limit is too small: the message says the size needed */
    HR_TIMEOUT = -9,     /**< waited as long as it was told to */
    HR_CANCELLED = -10,  /**< somebody closed or interrupted it */
    HR_USER = -11,       /**< the user's own function failed */
} hr_status;

#define HR_ERROR_MESSAGE_BYTES 1024

/** Why a call failed. Owned by the caller; every function that takes one accepts NULL. */
typedef struct hr_error {
    hr_status status;
    char message[HR_ERROR_MESSAGE_BYTES]; /**< one line, no newline at its end */
} hr_error;

#define HR_ERROR_INIT                                                                              \
    {                                                                                              \
        HR_OK,                                                                                     \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/** The name of a status, as "CORRUPT"; "?" for a number that is none. Static text. */
HR_API const char *hr_status_name(hr_status status);

#define HR_VERSION_MAJOR 0
#define HR_VERSION_MINOR 1
#define HR_VERSION_PATCH 0

/** The version of the library in use, as "0.1.0". Static text. */
HR_API const char *hr_version(void);
/** Seconds since this process was started, as the system counts them (to about 10 ms). */
HR_API double hr_process_age_s(void);

typedef enum hr_log_level {
    HR_LOG_ERROR = 0,
    HR_LOG_WARNING = 1,
    HR_LOG_INFO = 2,
    HR_LOG_TRACE = 3,
} hr_log_level;

/** Receives one line (no newline). Called from any thread, never under a lock of ours. */
typedef void (*hr_log_sink)(void *context, hr_log_level level, const char *line);

/**
 * Sets where log lines go. NULL restores the default, which writes warnings and errors (and spill lines)
 * to standard error. The library logs only what has no caller to return it to.
 */
HR_API void hr_log_set_sink(hr_log_sink sink, void *context);

#ifdef __cplusplus
}
#endif
#endif
