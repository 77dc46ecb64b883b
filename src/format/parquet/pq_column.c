// SPDX-License-Identifier: Apache-2.0
// A column of an open fragment: its list of pages, found in order and prepared by whoever needs them first.
//
// One mutex a column guards the list and the pages' states; it is never held while a page is read or prepared. One
// thread at a time walks over headers (`walking`); any number prepare different pages; a thread that needs a page which
// another one prepares waits for `changed`.
//
// Flat columns know a page's rows from its header. Lists in v1 pages do not: rows are counted by the levels, so pages
// are prepared in order from the first; what a pass does not need of them stays, up to KEEP_BYTES_MAX, for the pass
// that does. Of pages before the row that a fragment is entered at the levels alone are read.
//
// What no pass has pinned is kept to save work alone: unread windows, prepared pages, the dictionary. It goes when
// memory is short (hr__pq_column_spare) and is read again by whoever needs it.
#include "format/parquet/pq_page.h"
#include <inttypes.h>

#define KEEP_BYTES_MAX (16u << 20)

hr_status hr__pq_column_open(pq_fragment *fragment, pq_column *column, const pq_leaf *leaf,
                             hr_error *err)
{
    const pq_file *file = &fragment->reader->file;
    const pq_chunk *chunk = &fragment->group->chunks[leaf->chunk_index];
    column->fragment = fragment;
    column->leaf = leaf;
    column->chunk = chunk;
    hr_status status = hr__codec_check(chunk->codec, err);
    if (!status && !leaf->is_list && chunk->values != fragment->group->rows)
        status = HR_FAIL(err, HR_CORRUPT, "%" PRId64 " values, its row group has %" PRId64 " rows",
                         chunk->values, fragment->group->rows);
    if (status)
        return hr__pq_page_context(column, NULL, status, err);
    hr__mutex_init(&column->mutex);
    hr__cond_init(&column->changed);
    column->next_at = (uint64_t)chunk->start;
    column->end_at = column->next_at + (uint64_t)chunk->compressed_bytes;
    if (file->pads_dictionary)
        column->end_at = HR_MIN(column->end_at + 100, file->data_end);
    column->window_bytes = 64u << 10;
    column->last_bytes = UINT32_MAX; // of the first page nothing is known, and most are large
    return HR_OK;
}

void hr__pq_column_close(pq_column *column)
{
    if (!column->chunk)
        return;
    for (size_t i = 0; i < column->pages.count; i++) {
        HR_ASSERT(column->pages.items[i]->pins == 0);
        hr__pq_page_drop(column, column->pages.items[i]);
        hr__free(column->pages.items[i]);
    }
    HR_VEC_FINISH(&column->pages);
    hr__pq_window_unref(column, &column->window);
    hr__pq_dictionary_drop(column);
    hr__cond_finish(&column->changed);
    hr__mutex_finish(&column->mutex);
}

// Sets row_first of the pages from `from` on as far as rows are known. Under the mutex. A number that is set stays and
// is not written again: whoever pinned its page reads it without the mutex.
static void number_rows(pq_column *column, size_t from)
{
    for (size_t i = from; i < column->pages.count; i++) {
        pq_page *page = column->pages.items[i];
        pq_page *before = i > 0 ? column->pages.items[i - 1] : NULL;
        if (page->row_first >= 0 || (before && (before->row_first < 0 || before->rows < 0)))
            return;
        page->row_first = before ? before->row_first + before->rows : 0;
    }
}

// Finds one more page; under the mutex, which is let go meanwhile.
static hr_status walk(pq_column *column, hr_error *err)
{
    pq_page *page = NULL;
    pq_pages listed = {0};
    if (column->walking) {
        hr__cond_wait(&column->changed, &column->mutex);
        return HR_OK;
    }
    // Room for the page is made before, so that nothing can fail after it was found.
    HR_TRY(HR_VEC_RESERVE(&column->pages, 1, err));
    bool enters = !column->entered;
    hr_status status = HR_OK;
    column->walking = column->entered = true;
    hr__mutex_unlock(&column->mutex);
    if (enters)
        status = hr__pq_index_read(column, &listed, err);
    if (!status && listed.count == 0)
        status = hr__pq_page_walk(column, &page, err);
    hr__mutex_lock(&column->mutex);
    column->walking = false;
    if (!status && listed.count > 0) {
        HR_VEC_FINISH(&column->pages);
        column->pages = listed;
        column->walked = true;
        hr__pq_window_unref(column, &column->window);
    } else if (!status && page) {
        column->pages.items[column->pages.count++] = page;
        number_rows(column, column->pages.count - 1);
    } else if (!status) {
        column->walked = true;
        hr__pq_window_unref(column, &column->window);
    }
    hr__cond_broadcast(&column->changed);
    return status;
}

// Lists learn a page's rows when it is prepared for the first time.
static void learn_rows(pq_column *column, pq_page *page)
{
    if (page->rows >= 0)
        return;
    page->rows = page->begins;
    number_rows(column, (size_t)page->number + 1);
}

// Makes a page READY; under the mutex, which is let go meanwhile.
static hr_status ready(pq_column *column, pq_page *page, hr_error *err)
{
    while (page->state == PQ_BUSY)
        hr__cond_wait(&column->changed, &column->mutex);
    if (page->state == PQ_READY)
        return HR_OK;
    page->state = PQ_BUSY;
    hr__mutex_unlock(&column->mutex);
    hr_status status = hr__pq_page_prepare(column, page, err);
    hr__mutex_lock(&column->mutex);
    page->state = status ? PQ_UNREAD : PQ_READY;
    if (!status) {
        column->kept_bytes += page->held_bytes;
        learn_rows(column, page);
        // Decompressed: the bytes it came from are not needed any more.
        if (page->memory)
            hr__pq_window_unref(column, &page->window);
    }
    hr__cond_broadcast(&column->changed);
    return status;
}

// Lists that are entered in their middle: of a page before that the rows alone are wanted, and those were not counted.
static bool is_passed_over(const pq_column *column, const pq_page *page)
{
    return page->rows < 0 && page->row_first < column->from_row && !page->looked_at &&
           column->leaf->row_values == 0; // a tensor's page is one that holds that row
}

// Counts them; under the mutex, which is let go meanwhile. Where that cannot be done the page is as it was.
static hr_status learn_rows_alone(pq_column *column, pq_page *page, hr_error *err)
{
    int64_t rows = -1;
    if (page->state == PQ_BUSY) {
        hr__cond_wait(&column->changed, &column->mutex);
        return HR_OK;
    }
    page->state = PQ_BUSY;
    page->pins++;
    hr__mutex_unlock(&column->mutex);
    hr_status status = hr__pq_page_rows(column, page, &rows, err);
    hr__mutex_lock(&column->mutex);
    page->pins--;
    page->state = PQ_UNREAD;
    page->looked_at = true;
    if (!status && rows >= 0) {
        page->rows = rows;
        number_rows(column, (size_t)page->number + 1);
        if (page->row_first + rows <= column->from_row)
            hr__pq_window_unref(column, &page->window);
    }
    hr__cond_broadcast(&column->changed);
    return status;
}

static hr_status missing_rows(pq_column *column, int64_t found, hr_error *err)
{
    hr_status status =
        HR_FAIL(err, HR_CORRUPT, "its pages end after %" PRId64 " rows, its row group has %" PRId64,
                found, column->fragment->group->rows);
    return hr__pq_page_context(column, NULL, status, err);
}

// Unpins; under the mutex. `keep`: some of its rows may still be wanted.
static void unpin(pq_column *column, pq_page *page, bool keep)
{
    if (--page->pins == 0 && (!keep || column->kept_bytes > KEEP_BYTES_MAX))
        hr__pq_page_drop(column, page);
}

// The page that holds row `first`, or the last one before whose place is known.
static size_t first_page(const pq_column *column, int64_t first)
{
    size_t low = 0, high = column->pages.count;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        int64_t begins = column->pages.items[middle]->row_first;
        // The last page that begins at or before the row: pages without rows of their own come before it.
        if (begins >= 0 && begins <= first)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// What a page is to rows [first, end): asked when its row_first is known; `rows` may not be.
typedef enum place { PLACE_BEFORE, PLACE_INSIDE, PLACE_UNKNOWN, PLACE_AFTER } place;

static place page_place(const pq_page *page, bool may_continue, int64_t first, int64_t end)
{
    if (page->row_first > end || (page->row_first == end && !may_continue))
        return PLACE_AFTER;
    if (page->row_first == end) // only what continues the last row
        return page->state == PQ_READY ? (page->ends[0] > 0 ? PLACE_INSIDE : PLACE_AFTER)
                                       : PLACE_UNKNOWN;
    if (page->rows < 0)
        return PLACE_UNKNOWN;
    return page->row_first + page->rows <= first ? PLACE_BEFORE : PLACE_INSIDE;
}

static hr_status pin_pages(pq_column *column, int64_t first, int64_t end, pq_pinned *pinned,
                           hr_error *err)
{
    for (size_t i = first_page(column, first);;) {
        if (i == column->pages.count) {
            pq_page *last = i > 0 ? column->pages.items[i - 1] : NULL;
            int64_t found = last && last->rows >= 0 ? last->row_first + last->rows : 0;
            if (column->walked && found < end)
                return missing_rows(column, found, err);
            if (column->walked)
                return HR_OK;
            HR_TRY(walk(column, err));
            continue;
        }
        pq_page *page = column->pages.items[i];
        HR_ASSERT(page->row_first >= 0);
        if (is_passed_over(column, page)) {
            HR_TRY(learn_rows_alone(column, page, err));
            continue;
        }
        // Some begin a row, so nothing of them continues the page before.
        bool continues = column->leaf->is_list && !page->is_listed && !page->is_v2;
        place where = page_place(page, continues, first, end);
        if (where == PLACE_AFTER)
            return HR_OK;
        if (where == PLACE_BEFORE) {
            i++;
            continue;
        }
        page->pins++;
        hr_status status = ready(column, page, err);
        where = page_place(page, continues, first, end);
        if (status || where != PLACE_INSIDE)
            unpin(column, page, !status);
        HR_TRY(status);
        if (where == PLACE_INSIDE) {
            if (HR_VEC_PUSH(&pinned->pages, page, err) != HR_OK) {
                unpin(column, page, true);
                return HR_NOMEM;
            }
            i++;
        }
    }
}

// Reads a dictionary that went; under the mutex, which is let go meanwhile.
static hr_status restore_dictionary(pq_column *column, hr_error *err)
{
    while (column->dictionary_gone) {
        if (column->walking) {
            hr__cond_wait(&column->changed, &column->mutex);
            continue;
        }
        column->walking = true;
        hr__mutex_unlock(&column->mutex);
        hr_status status = hr__pq_dictionary_reload(column, err);
        hr__mutex_lock(&column->mutex);
        column->walking = false;
        column->dictionary_gone = status != HR_OK;
        hr__cond_broadcast(&column->changed);
        HR_TRY(status);
    }
    return HR_OK;
}

hr_status hr__pq_column_pin(pq_column *column, int64_t first, int64_t rows, pq_pinned *pinned,
                            hr_error *err)
{
    if (rows == 0)
        return HR_OK;
    hr__mutex_lock(&column->mutex);
    if (!pinned->uses)
        column->users++;
    pinned->uses = true;
    hr_status status = restore_dictionary(column, err);
    if (!status)
        status = pin_pages(column, first, first + rows, pinned, err);
    hr__mutex_unlock(&column->mutex);
    return status;
}

void hr__pq_column_unpin(pq_column *column, int64_t first, int64_t rows, pq_pinned *pinned)
{
    if (!pinned->uses)
        return;
    hr__mutex_lock(&column->mutex);
    for (size_t i = 0; i < pinned->pages.count; i++) {
        pq_page *page = pinned->pages.items[i];
        int64_t begin = HR_MAX(first, page->row_first);
        int64_t end = HR_MIN(first + rows, page->row_first + page->rows);
        page->rows_passed += HR_MAX(end - begin, 0);
        unpin(column, page, page->rows_passed < page->rows);
    }
    column->users--;
    hr__mutex_unlock(&column->mutex);
    HR_VEC_FINISH(&pinned->pages);
    pinned->uses = false;
}

uint64_t hr__pq_column_spare(pq_column *column)
{
    uint64_t bytes = 0;
    hr__mutex_lock(&column->mutex);
    for (size_t i = 0; i < column->pages.count; i++) {
        pq_page *page = column->pages.items[i];
        if (page->pins || (page->state != PQ_READY && !page->window))
            continue;
        bytes += page->state == PQ_READY ? page->held_bytes : 0;
        bytes += page->window && page->window->refs == 1 ? page->window->bytes : 0;
        hr__pq_page_drop(column, page);
    }
    if (column->users == 0 && !column->walking) {
        bytes += column->window && column->window->refs == 1 ? column->window->bytes : 0;
        hr__pq_window_unref(column, &column->window);
        if (column->dictionary.memory) {
            bytes += (uint64_t)column->dictionary_page.raw_bytes;
            hr__pq_dictionary_drop(column);
            column->dictionary_gone = true;
        }
    }
    hr__mutex_unlock(&column->mutex);
    return bytes;
}
