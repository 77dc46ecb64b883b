// SPDX-License-Identifier: Apache-2.0
// Bounded queue of pointers, many producers and consumers. Thread-safe.
#ifndef HR_BASE_QUEUE_H
#define HR_BASE_QUEUE_H

#include "base/thread.h"

typedef struct hr_queue hr_queue;
HR_USE_RESULT hr_status hr__queue_open(size_t capacity, hr_queue **out, hr_error *err);
void hr__queue_close(hr_queue **queue); // frees it; nobody may be inside
void hr__queue_stop(hr_queue *queue);   // pushes fail from now on; pops drain, then fail
bool hr__queue_try_push(hr_queue *queue, void *item); // false: full or stopped
bool hr__queue_pop(hr_queue *queue, void **item_out); // waits; false once stopped and empty

#endif
