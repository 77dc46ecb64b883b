// SPDX-License-Identifier: Apache-2.0
// Growing array of one type, declared in place:   HR_VEC(hr_fragment) fragments;   zero-initialised is empty.
#ifndef HR_BASE_VEC_H
#define HR_BASE_VEC_H

#include "base/mem.h"
#include <string.h>

#define HR_VEC(type)                                                                               \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t count;                                                                              \
        size_t capacity;                                                                           \
    }

// Grows so that `more` further items fit. Used by the macros; `items` is the address of the items pointer.
HR_USE_RESULT hr_status hr__vec_reserve(void *items, size_t count, size_t *capacity, size_t more,
                                        size_t item_bytes, hr_error *err);
#define HR_VEC_RESERVE(v, more, err)                                                               \
    hr__vec_reserve(&(v)->items, (v)->count, &(v)->capacity, (more), sizeof *(v)->items, (err))
// Append one item; an expression of type hr_status.
#define HR_VEC_PUSH(v, item, err)                                                                  \
    (HR_VEC_RESERVE(v, 1, err) != HR_OK ? HR_NOMEM : ((v)->items[(v)->count++] = (item), HR_OK))
// For a queue whose items before *at were taken: makes room at the end once they are half of it.
#define HR_VEC_DROP_FRONT(v, at)                                                                   \
    do {                                                                                           \
        if (*(at) > 0 && *(at)*2 >= (v)->count) {                                                  \
            memmove((v)->items, (v)->items + *(at), ((v)->count - *(at)) * sizeof *(v)->items);    \
            (v)->count -= *(at);                                                                   \
            *(at) = 0;                                                                             \
        }                                                                                          \
    } while (0)
#define HR_VEC_FINISH(v) (hr__free((v)->items), (v)->items = NULL, (v)->count = (v)->capacity = 0)

#endif
