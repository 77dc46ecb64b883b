// SPDX-License-Identifier: Apache-2.0
// Epochs from memory: decoded pieces of files, kept from one epoch of a stream to the next as far as there is room.
#ifndef HR_PLAN_EPOCH_CACHE_H
#define HR_PLAN_EPOCH_CACHE_H

#include "plan/plan_internal.h"

// Gives each leaf that reads files a cache of its own. What is made anew in each epoch (samples that differ) has none.
HR_USE_RESULT hr_status hr__pipe_keep_pieces(hr_pipe *pipe, hr_error *err);
// Adds rows that were taken from memory so far, and those that were not, in epochs after the first.
void hr__pipe_kept_rows(const hr_pipe *pipe, int64_t *taken, int64_t *missed);
// There is no later epoch: nothing is kept any more.
void hr__pipe_drop_pieces(const hr_pipe *pipe);
void hr__epoch_cache_close(hr_epoch_cache **cache);

// Whether the task's rows, through the branch's first program, are the same in each epoch and may be looked up.
bool hr__piece_is_kept(const hr_task *task);
// HR_OK: an object with a reference, or none where nothing was left of the rows. HR_END: it is not there. HR_AGAIN: it
// is, but the task's share has no room for it now.
HR_USE_RESULT hr_status hr__piece_find(hr_task *task, bool urgent, hr_result *out);
void hr__piece_offer(const hr_task *task, const hr_result *made);
bool hr__unit_is_kept(const hr_unit *unit); // its first piece is there: nothing need be read ahead

#endif
