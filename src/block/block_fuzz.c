// SPDX-License-Identifier: Apache-2.0
// Hostile schemas and spans. Input: u32 schema bytes, u8 flags, schema, span.
//
// With flag 1 the header's checks are made right first, so that the engine gets past them. Oracles: a schema that was
// read is written and read back equal; of a block that passed FULL every value prints, and its rows taken into a new
// span pass FULL again and print the same.
#include "base/cursor.h"
#include "base/text.h"
#include "block/wire.h"

#include <stdlib.h>
#include <string.h>

enum { FIX_CHECKS = 1, ROWS_MAX = 64, TEXT_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool claim)
{
    if (!claim)
        abort();
}

static void check_schema(const hr_schema *schema)
{
    void *bytes = NULL;
    size_t count = 0;
    hr_schema *back = NULL;
    char text[256];
    need(!hr__schema_write(schema, &bytes, &count, NULL));
    need(!hr__schema_parse(bytes, count, &back, NULL));
    need(hr_schema_equal(schema, back));
    hr__schema_print(schema, text, sizeof text);
    hr_schema_unref(&back);
    hr__free(bytes);
}

static void print_rows(const hr_block *block, const uint32_t *indexes, int64_t rows, hr_text *out)
{
    for (int32_t i = 0; i < block->column_count; i++)
        for (int64_t row = 0; row < rows && !out->cut; row++)
            hr__column_print_json(&block->columns[i], indexes ? indexes[row] : row, out);
}

static void check_take(const hr_block *block, const uint32_t *indexes, int64_t rows)
{
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_block *copy = NULL;
    void *memory = NULL;
    if (hr__take_layout(block, indexes, rows, &layout, NULL) || hr__layout_finish(&layout, NULL) ||
        layout.span_bytes > 1 << 26)
        goto out;
    need(!hr__alloc_aligned(layout.span_bytes, HR_ALIGN, &memory, NULL));
    need(!hr__builder_init(&builder, &layout, memory, NULL));
    need(!hr__take_append(block, indexes, rows, &builder, 0, NULL));
    hr__builder_seal(&builder, rows);
    need(!hr__block_open(memory, layout.span_bytes, block->schema, HR_VALIDATE_FULL, NULL, NULL,
                         &copy, NULL));
    hr_text a, b;
    hr__text_init(&a, TEXT_BYTES_MAX);
    hr__text_init(&b, TEXT_BYTES_MAX);
    print_rows(block, indexes, rows, &a);
    print_rows(copy, NULL, rows, &b);
    need(strcmp(hr__text_str(&a), hr__text_str(&b)) == 0);
    hr__text_finish(&a);
    hr__text_finish(&b);
out:
    hr_block_unref(&copy);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr__free(memory);
}

static void fix_checks(uint8_t *span, size_t size, const hr_schema *schema)
{
    uint64_t header_bytes, hash = 0;
    if (size < HR_SPAN_HEAD_BYTES)
        return;
    for (int32_t i = 0; i < hr_schema_count(schema); i++)
        hash = hr__types_hash(hr_schema_field(schema, i)->type, hash);
    memcpy(span + 56, &hash, sizeof hash);
    memcpy(&header_bytes, span + 8, sizeof header_bytes);
    if (header_bytes < HR_SPAN_HEAD_BYTES || header_bytes > size)
        return;
    hash = hr__span_head_hash(span, (size_t)header_bytes);
    memcpy(span + 48, &hash, sizeof hash);
}

static void check_span(const uint8_t *bytes, size_t size, const hr_schema *schema, bool fix)
{
    uint8_t *span = NULL;
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    uint32_t indexes[ROWS_MAX];
    need(!hr__alloc_aligned(size, HR_ALIGN, &span, NULL));
    if (size)
        memcpy(span, bytes, size);
    if (fix)
        fix_checks(span, size, schema);
    if (hr__block_open(span, size, schema, HR_VALIDATE_BOUNDS, NULL, NULL, &block, &err) == HR_OK)
        (void)hr_block_bytes(block);
    hr_block_unref(&block);
    if (hr__block_open(span, size, schema, HR_VALIDATE_FULL, NULL, NULL, &block, &err) == HR_OK) {
        int64_t rows = HR_MIN(hr_block_rows(block), ROWS_MAX);
        for (int64_t i = 0; i < rows; i++)
            indexes[i] = (uint32_t)((i * 7 + 3) % rows);
        check_take(block, NULL, rows);
        check_take(block, indexes, rows);
    }
    hr_block_unref(&block);
    hr__free(span);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hr_cursor c = hr__cursor(data, size);
    hr_schema *schema = NULL;
    hr_error err = HR_ERROR_INIT;
    uint32_t schema_bytes = hr__cursor_u32(&c);
    uint8_t flags = hr__cursor_u8(&c);
    const uint8_t *text = hr__cursor_take(&c, schema_bytes);
    if (!text || hr__schema_parse(text, schema_bytes, &schema, &err) != HR_OK)
        return 0;
    check_schema(schema);
    check_span(c.at, hr__cursor_left(&c), schema, flags & FIX_CHECKS);
    hr_schema_unref(&schema);
    return 0;
}
