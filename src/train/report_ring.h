// SPDX-License-Identifier: Apache-2.0
// Reports of one worker, through memory that it shares with its trainer: writing one never waits.
//
//   0      magic, version, slots, slot bytes          64   written, replaced (the worker's)
//   4096   slot 0: state, bytes, text ... slot 1 ...
//
// One writer, one reader, both go round the slots in order. A slot goes EMPTY -> WRITING -> READY -> READING ->
// EMPTY. When all are full the writer takes back the newest one that was not read: so the latest metrics win, and
// the count of replaced ones tells. The reader trusts nothing: lengths are bounded, a slot left WRITING by a worker
// that died is never read.
#ifndef HR_TRAIN_REPORT_RING_H
#define HR_TRAIN_REPORT_RING_H

#include "base/error.h"

#define HR_REPORT_BYTES_MAX (32768u - 64u)

typedef struct hr_report_ring hr_report_ring;

// The reader's end makes the memory; *fd_out is for the worker and stays the caller's.
HR_USE_RESULT hr_status hr__report_ring_make(hr_report_ring **out, int *fd_out, hr_error *err);
HR_USE_RESULT hr_status hr__report_ring_attach(int fd, hr_report_ring **out, hr_error *err);
void hr__report_ring_close(hr_report_ring **ring);
// INVALID: longer than HR_REPORT_BYTES_MAX.
HR_USE_RESULT hr_status hr__report_ring_write(hr_report_ring *ring, const char *text,
                                              hr_error *err);
// The oldest one that was not read, with its end, in `to` (HR_REPORT_BYTES_MAX + 1); false: none.
bool hr__report_ring_read(hr_report_ring *ring, char *to);
uint64_t hr__report_ring_written(const hr_report_ring *ring);
uint64_t hr__report_ring_replaced(const hr_report_ring *ring);

#endif
