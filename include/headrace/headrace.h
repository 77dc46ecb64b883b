// SPDX-License-Identifier: Apache-2.0
/**
 * headrace: training-data ingest at the speed of the machine. Read → preprocess → feed.
 *
 *     runtime.h   shared memory, threads, budgets: one handle
 *     schema.h    types and fields            block.h    immutable columns, Arrow in and out
 *     expr.h      row-local work as trees     dataset.h  lazy plans: read, map, filter, materialise
 *     prep.h      preprocessors               stream.h   a plan running, in batches, dealt to ranks
 *     feed.h      a trainer's end of it       train.h    worker processes, the ingest check
 *
 * Conventions. Every call that can fail returns hr_status and takes an hr_error last, which may be
 * NULL; outputs are set on success alone. Any such call may return NOMEM, and HR_DENIED after fork();
 * what else it returns stands beside it. "Borrows" means until the call returns or as stated;
 * "takes", also on failure; "returns a reference", yours to unref. hr_x_ref gives a further
 * reference; hr_x_unref, hr_x_close and hr_x_free take the address of a pointer, which may be NULL,
 * and leave NULL there. Text is UTF-8 and ends with 0; functions that print into a buffer of `room`
 * bytes cut what is too long, and return the buffer.
 *
 * Structs. What may grow says how large it is: option structs begin with their size and come from
 * HR_X_OPTIONS_INIT (zero always means the default; NULL means all defaults); calls that fill in
 * statistics are told sizeof their struct and write no more. Structs that the library allocates grow
 * at their end, and are reached through pointers, one each. All others (hr_type, hr_column, hr_tensor,
 * hr_position, elements of arrays that you pass) stay as they are for as long as the library's
 * major version; what is said to be unstable does not.
 *
 * Threads. Immutable things (schemas, blocks, expressions, datasets, preprocessors, batches) and
 * the runtime may be shared; things with state (streams, feeds, sessions) have one user at a time.
 *
 * Processes. After fork() a child must not use what it inherited: calls return HR_DENIED and free
 * nothing. Start workers through train.h.
 */
#ifndef HEADRACE_HEADRACE_H
#define HEADRACE_HEADRACE_H

#include <headrace/base.h>
#include <headrace/block.h>
#include <headrace/dataset.h>
#include <headrace/expr.h>
#include <headrace/feed.h>
#include <headrace/prep.h>
#include <headrace/runtime.h>
#include <headrace/schema.h>
#include <headrace/stream.h>
#include <headrace/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What the option structs have: of each field that has bounds its name, type, default, bounds and
 *  meaning, and where else it may be given: the environment, which counts where the field was left
 *  alone; a flag of the program; a keyword in Python. `name`: of one struct, as "stream"; NULL: all.
 *  json: one object. Freed with hr_text_free. NOT_FOUND lists the names. */
HR_API HR_USE_RESULT hr_status hr_options_describe(const char *name, bool json, char **out,
                                                   hr_error *err);

#ifdef __cplusplus
}
#endif
#endif
