// SPDX-License-Identifier: Apache-2.0
// Prints a Parquet file as JSON lines, so that a script can compare it with another reader bit for bit:
//
//   {"rows": n, "columns": [{"name", "type", "nullable"}...], "unsupported": [...]}
//   {"group": g, "column": name, "rows": n, "validity": hex or null, "offsets": ..., "data": ..., "child": {...}}
//   {"status": "OK"}                 or {"status": "CORRUPT", "message": ...}
//
//   pq_dump [--checksums] [--tensors] [--pass ROWS] [--piece ROWS] [--backward] [--quiet] FILE
//
// --pass cuts row groups in passes of so many rows, --piece their filling; --backward takes the passes from the end.
#include "block/wire.h"
#include "format/format.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    hr_open_options open;
    int64_t pass_rows, piece_rows;
    bool backward, quiet;
    const char *path;
} options;

static void print_hex(const char *name, const void *bytes, int64_t count)
{
    const uint8_t *p = bytes;
    printf(",\"%s\":", name);
    if (!p) {
        printf("null");
        return;
    }
    putchar('"');
    for (int64_t i = 0; i < count; i++)
        printf("%02x", p[i]);
    putchar('"');
}

static void print_slot(const hr_slot *slot, int64_t rows)
{
    const hr_type *type = slot->type;
    int64_t bytes = hr_type_row_bytes(type) * rows, items = 0;
    size_t offset_bytes = 0;
    if (type->id == HR_TYPE_BOOL)
        bytes = (rows + 7) / 8;
    if (type->id == HR_TYPE_STRING || type->id == HR_TYPE_BINARY || type->id == HR_TYPE_LIST) {
        offset_bytes = (size_t)(rows + 1) * 4;
        bytes = items = ((const int32_t *)slot->offsets)[rows];
    }
    printf(",\"rows\":%" PRId64 ",\"nulls\":%" PRId64, rows, slot->null_count);
    print_hex("validity", slot->validity, (rows + 7) / 8);
    print_hex("offsets", offset_bytes ? slot->offsets : NULL, (int64_t)offset_bytes);
    if (type->id == HR_TYPE_LIST) {
        printf(",\"child\":{\"x\":0");
        print_slot(slot->child, items);
        printf("}");
    } else {
        print_hex("data", type->id == HR_TYPE_NULL ? NULL : slot->data, bytes);
    }
}

static hr_status read_pass(const options *o, hr_reader *reader, hr_fragment *fragment,
                           int32_t group, int64_t first, int64_t rows, hr_error *err)
{
    const hr_format *format = reader->format;
    int32_t count = hr_schema_count(reader->schema);
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_pass *pass = NULL;
    void *memory = NULL;
    hr_status status = HR_OK;
    HR_GO(hr__layout_init(&layout, reader->schema, rows, err));
    HR_GO(format->pass_begin(fragment, first, rows, &pass, err));
    for (int32_t i = 0; i < count; i++)
        HR_GO(format->pass_measure(pass, i, &layout, i, err));
    HR_GO(hr__layout_finish(&layout, err));
    HR_GO(hr__alloc_aligned(layout.span_bytes, HR_ALIGN, &memory, err));
    HR_GO(hr__builder_init(&builder, &layout, memory, err));
    for (int64_t at = 0; at < rows; at += o->piece_rows)
        for (int32_t i = 0; i < count; i++)
            HR_GO(format->pass_fill(pass, i, HR_MIN(o->piece_rows, rows - at), &builder.slots[i],
                                    at, err));
    for (int32_t i = 0; i < count && !o->quiet; i++) {
        printf("{\"group\":%d,\"first\":%" PRId64 ",\"column\":\"%s\"", group, first,
               hr_schema_field(reader->schema, i)->name);
        print_slot(&builder.slots[i], rows);
        printf("}\n");
    }
out:
    if (pass)
        format->pass_end(pass);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr__free(memory);
    return status;
}

static hr_status read_group(const options *o, hr_reader *reader, int32_t group, hr_scratch *scratch,
                            hr_error *err)
{
    int32_t count = hr_schema_count(reader->schema);
    int64_t rows = reader->fragments[group].rows, step = HR_MIN(o->pass_rows, HR_MAX(rows, 1));
    int64_t passes = (rows + step - 1) / step;
    hr_fragment *fragment = NULL;
    int32_t *columns = NULL;
    hr_status status = HR_OK;
    HR_TRY(hr__alloc_zero((size_t)count, sizeof *columns, &columns, err));
    for (int32_t i = 0; i < count; i++)
        columns[i] = i;
    HR_GO(reader->format->fragment_open(reader, group, columns, count, scratch, &fragment, err));
    for (int64_t k = 0; k < passes; k++) {
        int64_t first = (o->backward ? passes - 1 - k : k) * step;
        HR_GO(read_pass(o, reader, fragment, group, first, HR_MIN(step, rows - first), err));
    }
out:
    if (fragment)
        reader->format->fragment_close(fragment);
    hr__free(columns);
    return status;
}

static void print_head(const hr_reader *reader)
{
    char type[256];
    printf("{\"file_rows\":%" PRId64 ",\"columns\":[", reader->rows);
    for (int32_t i = 0; i < hr_schema_count(reader->schema); i++) {
        const hr_field *field = hr_schema_field(reader->schema, i);
        printf("%s{\"name\":\"%s\",\"type\":\"%s\",\"nullable\":%s}", i ? "," : "", field->name,
               hr_type_print(field->type, type, sizeof type), field->nullable ? "true" : "false");
    }
    printf("],\"unsupported\":[");
    for (int32_t i = 0; i < reader->unsupported_count; i++)
        printf("%s\"%s\"", i ? "," : "", reader->unsupported[i]);
    printf("]}\n");
}

static hr_status dump(const options *o, hr_error *err)
{
    hr_source *source = NULL;
    hr_reader *reader = NULL;
    hr_scratch *scratch = NULL;
    hr_ledger ledger;
    hr_status status = HR_OK;
    hr__ledger_init(&ledger, 512u << 20);
    HR_GO(hr__source_open(o->path, &source, err));
    HR_GO(hr__scratch_open(&ledger, 64u << 20, &scratch, err));
    HR_GO(hr__format_open(source, &o->open, &reader, err));
    if (!o->quiet)
        print_head(reader);
    for (int32_t g = 0; g < reader->fragment_count; g++)
        HR_GO(read_group(o, reader, g, scratch, err));
out:
    hr__reader_close(&reader);
    hr__scratch_close(&scratch);
    hr__source_unref(&source);
    return status;
}

int main(int argc, char **argv)
{
    options o = {.pass_rows = INT64_MAX, .piece_rows = INT64_MAX >> 1};
    hr_error err = HR_ERROR_INIT;
    hr_text text;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--checksums") == 0)
            o.open.verify_checksums = true;
        else if (strcmp(argv[i], "--tensors") == 0)
            o.open.tensors_from_lists = true;
        else if (strcmp(argv[i], "--backward") == 0)
            o.backward = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            o.quiet = true;
        else if (strcmp(argv[i], "--pass") == 0 && i + 1 < argc)
            o.pass_rows = atoll(argv[++i]);
        else if (strcmp(argv[i], "--piece") == 0 && i + 1 < argc)
            o.piece_rows = atoll(argv[++i]);
        else
            o.path = argv[i];
    }
    if (!o.path || o.pass_rows < 1 || o.piece_rows < 1)
        return 2;
    hr_status status = dump(&o, &err);
    hr__text_init(&text, 4096);
    hr__text_json(&text, err.message, strlen(err.message));
    if (status)
        printf("{\"status\":\"%s\",\"message\":%s}\n", hr_status_name(status), hr__text_str(&text));
    else
        printf("{\"status\":\"OK\"}\n");
    hr__text_finish(&text);
    return status ? 1 : 0;
}
