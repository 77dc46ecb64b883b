// SPDX-License-Identifier: Apache-2.0
// From the number of a row to its file, row group and row.
#include "plan/plan_internal.h"

static hr_status find_fragment(const char *source, const hr_fragment_info *fragments, int32_t count,
                               int64_t row, hr_row_place *out, hr_error *err)
{
    int64_t left = row;
    for (int32_t i = 0; i < count && left >= 0; i++) {
        if (left < fragments[i].rows) {
            *out = (hr_row_place){source, i, left};
            return HR_OK;
        }
        left -= fragments[i].rows;
    }
    return HR_FAIL(err, HR_NOT_FOUND, "%s has no row %lld", source, (long long)row);
}

hr_status hr_dataset_locate(const hr_dataset *dataset, int64_t number, hr_row_place *out,
                            hr_error *err)
{
    const hr_node *n = dataset->node;
    const hr_fragment_info *fragments;
    int32_t count;
    int64_t file = number >> HR_ROW_NUMBER_FILE_SHIFT,
            row = number & ((1ll << HR_ROW_NUMBER_FILE_SHIFT) - 1);
    if (n->kind == HR_NODE_READER)
        return find_fragment(n->source, n->reader->fragments, n->reader->fragment_count, number,
                             out, err);
    if (n->kind != HR_NODE_FILES)
        return HR_FAIL(err, HR_INVALID,
                       "rows are located in a source that was read with row_numbers, before "
                       "functions and operations on "
                       "whole datasets");
    if (file < 0 || (size_t)file >= hr__files_count(n->files))
        return HR_FAIL(err, HR_NOT_FOUND, "row number %lld: there are %zu files", (long long)number,
                       hr__files_count(n->files));
    HR_TRY(hr__files_fragments(n->files, (size_t)file, &fragments, &count, err));
    return find_fragment(hr__files_path(n->files, (size_t)file), fragments, count, row, out, err);
}
