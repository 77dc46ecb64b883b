// SPDX-License-Identifier: Apache-2.0
// What a reader was given, as a log: a line a batch, so that two runs can be compared (hr_digest_diff).
//
//   # headrace digest 1 rank 0 plan 4f21c09ab3d77e10 seed 7      a line for each time the log was opened
//   EPOCH STEP ROWS SUM RUNNING                                  SUM: hr_batch_checksum; RUNNING: over all so far
//
// SUM adds up over ranks, so logs of another number of workers compare where the steps are the same.
#ifndef HR_FEED_RUN_LOG_H
#define HR_FEED_RUN_LOG_H

#include <headrace/feed.h>

typedef struct hr_digest hr_digest;
// Opens FOLDER/rank-RANK.digest at its end; the folder is made. Its last line may be cut: a new one begins.
HR_USE_RESULT hr_status hr__digest_open(const char *folder, int64_t rank, uint64_t plan_hash,
                                        uint64_t seed, hr_digest **out, hr_error *err);
// Reads the whole batch. Lines are written when a page of them is full, and by flush.
HR_USE_RESULT hr_status hr__digest_add(hr_digest *digest, const hr_batch *batch, hr_error *err);
HR_USE_RESULT hr_status hr__digest_flush(hr_digest *digest, hr_error *err);
void hr__digest_close(hr_digest **digest); // flushes

#endif
