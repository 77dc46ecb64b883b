// SPDX-License-Identifier: Apache-2.0
// Any bytes as a file: open, read every row group whole, then again by other passes and pieces, entering it at a row
// within. Oracle: what two ways of cutting read is the same, value by value, and fails or succeeds alike; save that a
// page index that contradicts the pages is noticed by those alone that go by it.
#include "base/hash.h"
#include "block/wire.h"
#include "format/parquet/pq.h"
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX  200000 // of a row group that is read: others are only opened
#define BYTES_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct cut {
    int64_t pass_rows, piece_rows;
    bool backward;
    int64_t from; // the row that a row group is entered at
} cut;

static bool bit(const uint8_t *bits, int64_t at)
{
    return !bits || (bits[at / 8] >> (at % 8) & 1);
}

// A hash of one row's value that does not depend on how the rows were cut.
static uint64_t hash_row(const hr_slot *slot, int64_t row, uint64_t seed)
{
    const hr_type *type = slot->type;
    int64_t bytes = hr_type_row_bytes(type);
    if (type->id == HR_TYPE_NULL || !bit(slot->validity, row))
        return hr__hash64("null", 4, seed);
    if (type->id == HR_TYPE_BOOL)
        return hr__hash64(bit(slot->data, row) ? "t" : "f", 1, seed);
    if (bytes > 0)
        return hr__hash64((const uint8_t *)slot->data + row * bytes, (size_t)bytes, seed);
    const int32_t *offsets = (const int32_t *)slot->offsets + row;
    if (type->id != HR_TYPE_LIST)
        return hr__hash64((const uint8_t *)slot->data + offsets[0],
                          (size_t)(offsets[1] - offsets[0]), seed);
    uint64_t hash = seed + (uint64_t)(offsets[1] - offsets[0]);
    for (int64_t i = offsets[0]; i < offsets[1]; i++)
        hash = hash_row(slot->child, i, hash);
    return hash;
}

static hr_status read_pass(hr_reader *r, hr_fragment *fragment, int64_t first, int64_t rows,
                           int64_t piece, uint64_t *sum)
{
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_pass *pass = NULL;
    void *memory = NULL;
    hr_error err = HR_ERROR_INIT;
    int32_t count = hr_schema_count(r->schema);
    hr_status status = HR_OK;
    HR_GO(hr__layout_init(&layout, r->schema, rows, &err));
    HR_GO(r->format->pass_begin(fragment, first, rows, &pass, &err));
    for (int32_t i = 0; i < count; i++)
        HR_GO(r->format->pass_measure(pass, i, &layout, i, &err));
    HR_GO(hr__layout_finish(&layout, &err));
    if (layout.span_bytes > 4 * BYTES_MAX) {
        status = HR_LIMIT;
        goto out;
    }
    HR_GO(hr__alloc_aligned(layout.span_bytes, HR_ALIGN, &memory, &err));
    HR_GO(hr__builder_init(&builder, &layout, memory, &err));
    for (int64_t at = 0; at < rows; at += piece)
        for (int32_t i = 0; i < count; i++)
            HR_GO(r->format->pass_fill(pass, i, HR_MIN(piece, rows - at), &builder.slots[i], at,
                                       &err));
    for (int32_t i = 0; i < count; i++)
        for (int64_t row = 0; row < rows; row++)
            *sum += hash_row(&builder.slots[i], row, (uint64_t)(first + row) * 1024 + (uint64_t)i);
out:
    if (status && status != HR_NOMEM && !err.message[0] && status != HR_LIMIT)
        abort(); // a failure without a word
    if (pass)
        r->format->pass_end(pass);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr__free(memory);
    return status;
}

static hr_status read_group(hr_reader *r, int32_t group, const cut *c, hr_scratch *scratch,
                            uint64_t *sum)
{
    int32_t columns[64], count = hr_schema_count(r->schema);
    hr_fragment *fragment = NULL;
    int64_t rows = r->fragments[group].rows;
    if (count > (int32_t)HR_COUNTOF(columns) || rows > ROWS_MAX)
        return HR_OK;
    for (int32_t i = 0; i < count; i++)
        columns[i] = i;
    HR_TRY(r->format->fragment_open(r, group, columns, count, scratch, &fragment, NULL));
    r->format->fragment_start(fragment, HR_MIN(c->from, rows));
    hr_status status = HR_OK;
    int64_t passes = (rows + c->pass_rows - 1) / c->pass_rows;
    for (int64_t k = 0; k < passes && !status; k++) {
        int64_t first = (c->backward ? passes - 1 - k : k) * c->pass_rows;
        status =
            read_pass(r, fragment, first, HR_MIN(c->pass_rows, rows - first), c->piece_rows, sum);
    }
    r->format->fragment_close(fragment);
    return status;
}

static hr_status read_all(hr_reader *r, const cut *c, hr_scratch *scratch, uint64_t *sum)
{
    for (int32_t g = 0; g < HR_MIN(r->fragment_count, 8); g++)
        HR_TRY(read_group(r, g, c, scratch, sum));
    return HR_OK;
}

static bool has_index(const hr_reader *reader)
{
    const pq_file *file = &((const pq_reader *)reader)->file;
    for (int32_t g = 0; g < file->group_count; g++)
        for (int32_t i = 0; i < file->leaf_count; i++)
            if (file->groups[g].chunks[i].index_bytes)
                return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const hr_open_options options = {.verify_checksums = false,
                                     .tensors_from_lists = size > 0 && (data[size - 1] & 1)};
    hr_source *source = NULL;
    hr_reader *reader = NULL;
    hr_scratch *scratch = NULL;
    hr_ledger ledger;
    hr_text text;
    hr__ledger_init(&ledger, BYTES_MAX);
    if (hr__source_memory(data, size, "fuzz.parquet", &source, NULL) != HR_OK ||
        hr__scratch_open(&ledger, 4u << 20, &scratch, NULL) != HR_OK)
        return 0;
    if (hr__format_open(source, &options, &reader, NULL) == HR_OK) {
        const cut whole = {ROWS_MAX, ROWS_MAX, false, 0};
        const cut cuts = {1 + (int64_t)(size % 1999), 1 + (int64_t)(size % 97), size % 2,
                          (int64_t)(size % 997)};
        uint64_t sum = 0, again = 0;
        hr__text_init(&text, 1 << 16);
        (void)reader->format->inspect(reader, size % 3 == 0, &text, NULL);
        hr__text_finish(&text);
        hr_status status = read_all(reader, &whole, scratch, &sum);
        bool few = true;
        for (int32_t g = 0; g < reader->fragment_count; g++)
            few &= reader->fragments[g].rows <= 64 * cuts.pass_rows;
        hr_status other = few ? read_all(reader, &cuts, scratch, &again) : status;
        if (few && status == HR_OK && other == HR_OK && sum != again)
            abort();
        if (few && (status == HR_OK) != (other == HR_OK) && status != HR_LIMIT &&
            other != HR_LIMIT && !has_index(reader))
            abort();
    }
    hr__reader_close(&reader);
    hr__scratch_close(&scratch);
    hr__source_unref(&source);
    return 0;
}
