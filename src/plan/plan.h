// SPDX-License-Identifier: Apache-2.0
// The room's door, for prep and train; what users see is dataset.h and stream.h.
#ifndef HR_PLAN_PLAN_H
#define HR_PLAN_PLAN_H

#include "exec/exec.h"
#include <headrace/dataset.h>
#include <headrace/stream.h>

extern const hr_option_table hr__read_options, hr__stream_options, hr__function_options,
    hr__process_options, hr__pack_options, hr__split_options, hr__write_options;

// "range_tensor(20000, 80x80x4)": what it reads, for reports. Returns buffer.
const char *hr__dataset_source_name(const hr_dataset *dataset, char *buffer, size_t room);
// "read->map->scale": what one stage does, for statistics and reports. Returns buffer.
const char *hr__dataset_stage_name(const hr_dataset *dataset, char *buffer, size_t room);

// One call of a user's function. USER where it breaks its own rules: a status that is no failure, no block.
HR_USE_RESULT hr_status hr__block_function_call(hr_block_function function, void *context,
                                                const hr_block *in, hr_block **out, hr_error *err);

// One pass over the chosen columns: states of blocks, made in parallel, folded in block order, so that the result is
// the same for any number of threads.
typedef struct hr_reduce {
    const char *name;   // for statistics: "fit"
    size_t state_bytes; // zeroed at the start
    hr_status (*step)(void *context, void *state, const hr_block *block,
                      hr_error *err); // several at once, on different states
    hr_status (*fold)(void *context, void *total, const void *state, hr_error *err); // in order
} hr_reduce;
HR_USE_RESULT hr_status hr__dataset_reduce(const hr_dataset *dataset, const char *const *columns,
                                           const hr_reduce *reduce, void *context, void *total,
                                           hr_error *err);

// As hr_dataset_stream; the threads of `crew` (borrowed while it is open; NULL: none) work for it.
HR_USE_RESULT hr_status hr__dataset_stream(const hr_dataset *dataset,
                                           const hr_stream_options *options, hr_crew *crew,
                                           hr_stream **out, hr_error *err);
// A rank's channel of a running stream (borrowed until the stream is closed).
hr_channel *hr__stream_channel(hr_stream *stream, int64_t rank);
hr_runtime *hr__stream_runtime(const hr_stream *stream);
const hr_position *hr__stream_start(const hr_stream *stream); // of its first batch
// A deferred stream of one rank that nobody has asked begins there. UNSUPPORTED: another one.
HR_USE_RESULT hr_status hr__stream_go_on(hr_stream *stream, const hr_position *position,
                                         hr_error *err);
// Rows of `rank` in the epoch it is in that were not delivered to it: -1 when not known.
int64_t hr__stream_undelivered_rows(hr_stream *stream, int64_t rank);
// Nobody reads this rank any more (its worker is gone): what it held is dropped, its steps are not made again.
void hr__stream_abandon(hr_stream *stream, int64_t rank);
// Busy time of its threads by cause so far, in ns.
const hr_busy *hr__stream_busy(const hr_stream *stream);

#endif
