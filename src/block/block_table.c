// SPDX-License-Identifier: Apache-2.0
// Rows as text for people and for other programs: an aligned table, or JSON lines.
//
// A table is laid out in two walks, widths first: so only the rows' text is held, never a grid of cells.
#include "base/text.h"
#include "block/block.h"
#include <string.h>

#define TEXT_BYTES_MAX ((size_t)1 << 30)
#define CELL_BYTES_MAX ((size_t)1 << 20)
#define CELL_WIDTH     40

// One cell as it is shown: text without its quotes, cut at CELL_WIDTH.
static void cell(const hr_block *block, int32_t column, int64_t row, hr_text *out)
{
    hr__text_clear(out);
    hr__column_print_json(hr_block_column(block, column), row, out);
}

static const char *shown(const hr_text *text, size_t *bytes_out)
{
    const char *at = hr__text_str(text);
    size_t bytes = text->bytes;
    if (bytes >= 2 && at[0] == '"' && at[bytes - 1] == '"') {
        at++;
        bytes -= 2;
    }
    *bytes_out = bytes;
    return at;
}

// Characters, not bytes: what continues a UTF-8 sequence has no width of its own.
static size_t width_of(const char *text, size_t bytes)
{
    size_t width = 0;
    for (size_t i = 0; i < bytes; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

static void put_cell(hr_text *out, const char *text, size_t bytes, size_t width, bool right)
{
    size_t wide = width_of(text, bytes);
    bool cut = wide > width;
    if (cut) { // at a character's border, with a mark
        size_t at = 0, seen = 0;
        while (at < bytes && seen + 1 < width) {
            do
                at++;
            while (at < bytes && ((unsigned char)text[at] & 0xc0) == 0x80);
            seen++;
        }
        bytes = at;
        wide = width;
    }
    for (size_t i = wide; right && i < width; i++)
        hr__text_char(out, ' ');
    hr__text_put(out, text, bytes);
    if (cut)
        hr__text_add(out, "…");
    for (size_t i = wide; !right && i < width; i++)
        hr__text_char(out, ' ');
}

static bool is_right(const hr_type *type)
{
    return hr__type_is_number(type) || type->id == HR_TYPE_DECIMAL128 ||
           type->id == HR_TYPE_DECIMAL256;
}

static void end_line(hr_text *out)
{
    while (out->bytes > 0 && out->data[out->bytes - 1] == ' ')
        out->data[--out->bytes] = '\0';
    hr__text_char(out, '\n');
}

static void print_table(const hr_block *block, size_t *widths, hr_text *one, hr_text *out)
{
    const hr_schema *schema = hr_block_schema(block);
    int32_t columns = hr_schema_count(schema);
    size_t bytes;
    for (int32_t c = 0; c < columns; c++) {
        const char *name = hr_schema_field(schema, c)->name;
        widths[c] = width_of(name, strlen(name));
        for (int64_t row = 0; row < hr_block_rows(block); row++) {
            cell(block, c, row, one);
            const char *text = shown(one, &bytes);
            widths[c] = HR_MAX(widths[c], HR_MIN(width_of(text, bytes), (size_t)CELL_WIDTH));
        }
    }
    for (int64_t row = -1; row < hr_block_rows(block); row++) {
        for (int32_t c = 0; c < columns; c++) {
            const hr_field *field = hr_schema_field(schema, c);
            const char *text = field->name;
            bytes = strlen(field->name);
            if (row >= 0) {
                cell(block, c, row, one);
                text = shown(one, &bytes);
            }
            hr__text_add(out, "%s", c > 0 ? "  " : "");
            put_cell(out, text, bytes, widths[c], is_right(field->type));
        }
        end_line(out);
    }
}

static void print_json_lines(const hr_block *block, hr_text *out)
{
    const hr_schema *schema = hr_block_schema(block);
    for (int64_t row = 0; row < hr_block_rows(block); row++) {
        hr__text_char(out, '{');
        for (int32_t c = 0; c < hr_schema_count(schema); c++) {
            const char *name = hr_schema_field(schema, c)->name;
            hr__text_add(out, "%s", c > 0 ? ", " : "");
            hr__text_json(out, name, strlen(name));
            hr__text_add(out, ": ");
            hr__column_print_json(hr_block_column(block, c), row, out);
        }
        hr__text_add(out, "}\n");
    }
}

hr_status hr_block_print(const hr_block *block, hr_print form, char **out, hr_error *err)
{
    hr_text text, one;
    size_t *widths = NULL;
    hr_status status = HR_OK;
    hr__text_init(&text, TEXT_BYTES_MAX);
    hr__text_init(&one, CELL_BYTES_MAX);
    if (form == HR_PRINT_JSON) {
        print_json_lines(block, &text);
    } else {
        HR_GO(hr__alloc_zero((size_t)hr_schema_count(hr_block_schema(block)) + 1, sizeof *widths,
                             &widths, err));
        print_table(block, widths, &one, &text);
    }
    if (text.cut)
        status =
            HR_FAIL(err, HR_LIMIT, "%lld rows are more than 1 GiB of text: print fewer at once",
                    (long long)hr_block_rows(block));
    else
        status = hr__text_take(&text, out, err);
out:
    hr__free(widths);
    hr__text_finish(&one);
    hr__text_finish(&text);
    return status;
}
