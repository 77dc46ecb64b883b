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
 * NULL; outputs are set on success alone. "Borrows" means until the call returns or as stated;
 * "takes", also on failure; "returns a reference", yours to unref. Option structs begin with their
 * size, come from HR_X_OPTIONS_INIT, and zero always means the default; NULL means all defaults.
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

#endif
