// SPDX-License-Identifier: Apache-2.0
// Growth of the arrays declared with HR_VEC: by half as much again, so that appending is linear in total.
#include "base/vec.h"

#include <string.h>

#define FIRST_ITEMS 8

hr_status hr__vec_reserve(void *items, size_t count, size_t *capacity, size_t more,
                          size_t item_bytes, hr_error *err)
{
    size_t need, bytes;
    if (HR_LIKELY(more <= *capacity - count))
        return HR_OK;
    if (HR_ADD_OVERFLOWS(count, more, &need))
        return HR_FAIL(err, HR_NOMEM, "out of memory: an array of %zu and %zu items", count, more);
    size_t grown = *capacity + *capacity / 2;
    grown = HR_MAX(grown, FIRST_ITEMS);
    grown = HR_MAX(grown, need);
    if (HR_MUL_OVERFLOWS(grown, item_bytes, &bytes))
        return HR_FAIL(err, HR_NOMEM, "out of memory: an array of %zu items of %zu bytes", grown,
                       item_bytes);
    HR_TRY(hr__realloc(items, bytes, err));
    *capacity = grown;
    return HR_OK;
}
