// SPDX-License-Identifier: Apache-2.0
// Which lists are tensors: lists of numbers whose rows all have the same count of items and no nulls.
//
// A look at the first page that holds a whole row gives the count; the footer then tells at once where it cannot be so,
// since a chunk of n rows must have exactly n times as many values. What passes both and is uneven after all is
// found when it is read, and said. Files after the first are not looked into: theirs are tensors where the first one's
// are and the footer allows it.
#include "format/parquet/pq_page.h"
#include "block/block.h"

#define LOOK_BYTES_MAX  (256u << 20)
#define ROW_VALUES_MAX  (1 << 26)
#define ROWS_LOOKED_MAX 1024

static bool counts_fit(const pq_reader *reader, const pq_leaf *leaf, int64_t values)
{
    for (int32_t g = 0; g < reader->file.group_count; g++) {
        const pq_group *group = &reader->file.groups[g];
        int64_t expected = 0;
        if (HR_MUL_OVERFLOWS(group->rows, values, &expected) ||
            group->chunks[leaf->chunk_index].values != expected)
            return false;
    }
    return true;
}

// The count of items that the rows of the first pages share, or 0.
static int64_t shared_count(const pq_pinned *pinned, int64_t rows)
{
    const pq_page *page = pinned->pages.items[0];
    if (page->row_valid || page->slot_valid)
        return 0;
    if (page->rows == 1 && pinned->pages.count > 1) {
        int64_t items = page->slots;
        for (size_t i = 1; i < pinned->pages.count; i++)
            items += pinned->pages.items[i]->ends[0];
        return items;
    }
    int64_t items = page->ends[1] - page->ends[0];
    // The last row of a page may go on behind it.
    int64_t whole = HR_MIN(rows, page->rows > 1 ? page->rows - 1 : page->rows);
    for (int64_t i = 1; i < whole; i++)
        if ((int64_t)(page->ends[i + 1] - page->ends[i]) != items)
            return 0;
    return items;
}

static void make_tensor(pq_leaf *leaf, int64_t values)
{
    leaf->row_values = values;
    leaf->nullable = false;
    leaf->type = (hr_type){.id = HR_TYPE_TENSOR, .ndim = 1, .shape = {values}, .item = &leaf->item};
}

static void take_expected(pq_reader *reader)
{
    const hr_schema *expected = reader->options.expected;
    for (int32_t i = 0; i < reader->leaf_count; i++) {
        pq_leaf *leaf = &reader->leaves[i];
        int32_t at = leaf->is_list ? hr_schema_find(expected, leaf->name) : -1;
        const hr_type *type = at < 0 ? NULL : hr_schema_field(expected, at)->type;
        if (type && type->id == HR_TYPE_TENSOR && type->ndim == 1 &&
            type->item->id == leaf->item.id && counts_fit(reader, leaf, type->shape[0]))
            make_tensor(leaf, type->shape[0]);
    }
}

static hr_status look(pq_reader *reader, int32_t index, int32_t group, hr_scratch *scratch,
                      hr_error *err)
{
    pq_leaf *leaf = &reader->leaves[index];
    hr_fragment *fragment = NULL;
    pq_pinned pinned = {0};
    HR_TRY(hr__pq_fragment_open(&reader->base, group, &index, 1, scratch, &fragment, err));
    pq_column *column = &((pq_fragment *)fragment)->columns[0];
    // The first row alone: its page is as much as must be read.
    hr_status status = hr__pq_column_pin(column, 0, 1, &pinned, err);
    int64_t values = 0;
    if (!status && pinned.pages.count > 0)
        values = shared_count(&pinned, ROWS_LOOKED_MAX);
    hr__pq_column_unpin(column, 0, 1, &pinned);
    hr__pq_fragment_close(fragment);
    if (!status && values > 0 && values <= ROW_VALUES_MAX && counts_fit(reader, leaf, values))
        make_tensor(leaf, values);
    return status;
}

hr_status hr__pq_tensors_find(pq_reader *reader, hr_error *err)
{
    hr_ledger ledger;
    hr_scratch *scratch = NULL;
    hr_status status = HR_OK;
    int32_t group = 0;
    if (reader->options.expected) {
        take_expected(reader);
        return HR_OK;
    }
    while (group < reader->file.group_count && reader->file.groups[group].rows == 0)
        group++;
    if (group == reader->file.group_count)
        return HR_OK;
    hr__ledger_init(&ledger, LOOK_BYTES_MAX);
    HR_TRY(hr__scratch_open(&ledger, 4u << 20, &scratch, err));
    for (int32_t i = 0; i < reader->leaf_count && !status; i++) {
        pq_leaf *leaf = &reader->leaves[i];
        const pq_group *first = &reader->file.groups[group];
        int64_t values = first->chunks[leaf->chunk_index].values;
        // Without a whole number of items a row there is nothing to look at.
        if (leaf->is_list && hr__type_is_number(&leaf->item) && values % first->rows == 0 &&
            counts_fit(reader, leaf, values / first->rows))
            status = look(reader, i, group, scratch, err);
        // A column that cannot be read says so when it is read: others may be wanted.
        if (status && status != HR_NOMEM && status != HR_IO)
            status = HR_OK;
    }
    hr__scratch_close(&scratch);
    return status;
}
