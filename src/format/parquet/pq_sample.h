// SPDX-License-Identifier: Apache-2.0
// For tests of the reader: files of our own writer, whose rows are known, and passes over them that check each row.
// Columns: a: int32 with nulls, s: string with nulls, f: three floats, r: ragged int64 with nulls.
#ifndef HR_FORMAT_PQ_SAMPLE_H
#define HR_FORMAT_PQ_SAMPLE_H

#include "base/unit.h"
#include "block/wire.h"
#include "format/parquet/pq_page.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROWS 5000

static int32_t a_data[ROWS], s_offsets[ROWS + 1], f_offsets[ROWS + 1], r_offsets[ROWS + 1];
static uint8_t a_valid[ROWS / 8 + 1], s_valid[ROWS / 8 + 1], r_valid[ROWS / 8 + 1];
static char s_data[ROWS * 8];
static float f_data[ROWS * 3];
static int64_t r_data[ROWS * 5];
static char path[64];

static inline void set_bit(uint8_t *bits, int i, bool on)
{
    bits[i / 8] = (uint8_t)(on ? bits[i / 8] | 1 << (i % 8) : bits[i / 8] & ~(1 << (i % 8)));
}

static inline void write_file(int64_t row_group_rows, int64_t page_bytes, bool zstd)
{
    static const hr_type i32 = {.id = HR_TYPE_INT32}, text = {.id = HR_TYPE_STRING};
    static const hr_type f32 = {.id = HR_TYPE_FLOAT32}, i64 = {.id = HR_TYPE_INT64};
    static const hr_type floats = {.id = HR_TYPE_LIST, .item = &f32};
    static const hr_type ragged = {.id = HR_TYPE_LIST, .item = &i64};
    static const hr_field fields[] = {
        {"a", &i32, true}, {"s", &text, true}, {"f", &floats, false}, {"r", &ragged, true}};
    for (int i = 0; i < ROWS; i++) {
        a_data[i] = i * 3;
        set_bit(a_valid, i, i % 7 != 0);
        set_bit(s_valid, i, i % 11 != 0);
        int n = i % 11 ? snprintf(s_data + s_offsets[i], 9, "s%d", i % 300) : 0;
        s_offsets[i + 1] = s_offsets[i] + n;
        for (int k = 0; k < 3; k++)
            f_data[i * 3 + k] = (float)(i * 3 + k) / 2;
        f_offsets[i + 1] = 3 * (i + 1);
        set_bit(r_valid, i, i % 13 != 0);
        int items = i % 13 ? i % 6 : 0;
        for (int k = 0; k < items; k++)
            r_data[r_offsets[i] + k] = (int64_t)i * 10 + k;
        r_offsets[i + 1] = r_offsets[i] + items;
    }
    const hr_column f_items = {&f32, ROWS * 3, 0, 0, NULL, NULL, f_data, NULL};
    const hr_column r_items = {&i64, r_offsets[ROWS], 0, 0, NULL, NULL, r_data, NULL};
    const hr_column columns[] = {{&i32, ROWS, 0, -1, a_valid, NULL, a_data, NULL},
                                 {&text, ROWS, 0, -1, s_valid, s_offsets, s_data, NULL},
                                 {&floats, ROWS, 0, 0, NULL, f_offsets, NULL, &f_items},
                                 {&ragged, ROWS, 0, -1, r_valid, r_offsets, NULL, &r_items}};
    const hr_parquet_write_options options = {
        .zstd = zstd, .row_group_rows = row_group_rows, .page_bytes = page_bytes};
    hr_schema *schema = NULL;
    hr_block *block = NULL;
    hr_sink *sink = NULL;
    hr_parquet_writer *writer = NULL;
    snprintf(path, sizeof path, "/tmp/headrace-pq-%d.parquet", (int)getpid());
    assert_int_equal(hr_schema_make(fields, 4, &schema, NULL), HR_OK);
    assert_int_equal(hr__block_make(schema, ROWS, columns, NULL, NULL, &block, NULL), HR_OK);
    assert_int_equal(hr__sink_open(path, &sink, NULL), HR_OK);
    assert_int_equal(hr__parquet_writer_open(sink, schema, &options, &writer, NULL), HR_OK);
    assert_int_equal(hr__parquet_writer_add(writer, block, NULL), HR_OK);
    assert_int_equal(hr__parquet_writer_finish(writer, NULL), HR_OK);
    hr__parquet_writer_close(&writer);
    hr__sink_close(&sink);
    hr_block_unref(&block);
    hr_schema_unref(&schema);
}

static inline bool valid(const hr_slot *slot, int64_t row)
{
    return !slot->validity || (slot->validity[row / 8] >> (row % 8) & 1);
}

// Whether row `row` of the slots is row `i` of the file.
static inline bool row_is(const hr_slot *slots, int64_t row, int i, bool tensor)
{
    const int32_t *s = (const int32_t *)slots[1].offsets + row;
    const int32_t *r = (const int32_t *)slots[3].offsets + row;
    const float *f =
        tensor ? (const float *)slots[2].data + row * 3
               : (const float *)slots[2].child->data + ((const int32_t *)slots[2].offsets)[row];
    bool same = valid(&slots[0], row) == (i % 7 != 0) && valid(&slots[1], row) == (i % 11 != 0) &&
                valid(&slots[3], row) == (i % 13 != 0);
    same &= i % 7 == 0 || ((const int32_t *)slots[0].data)[row] == a_data[i];
    same &= s[1] - s[0] == s_offsets[i + 1] - s_offsets[i] &&
            memcmp((const char *)slots[1].data + s[0], s_data + s_offsets[i],
                   (size_t)(s[1] - s[0])) == 0;
    same &= memcmp(f, f_data + i * 3, 12) == 0;
    same &= r[1] - r[0] == r_offsets[i + 1] - r_offsets[i] &&
            memcmp((const int64_t *)slots[3].child->data + r[0], r_data + r_offsets[i],
                   (size_t)(r[1] - r[0]) * 8) == 0;
    return same;
}

static inline hr_status read_pass(hr_reader *reader, hr_fragment *fragment, int64_t first,
                                  int64_t rows, int64_t piece, int64_t file_row, bool *right,
                                  hr_error *err)
{
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_pass *pass = NULL;
    void *memory = NULL;
    hr_status status = HR_OK;
    int32_t count = hr_schema_count(reader->schema);
    HR_GO(hr__layout_init(&layout, reader->schema, rows, err));
    HR_GO(reader->format->pass_begin(fragment, first, rows, &pass, err));
    for (int32_t i = 0; i < count; i++)
        HR_GO(reader->format->pass_measure(pass, i, &layout, i, err));
    HR_GO(hr__layout_finish(&layout, err));
    HR_GO(hr__alloc_aligned(layout.span_bytes, HR_ALIGN, &memory, err));
    HR_GO(hr__builder_init(&builder, &layout, memory, err));
    for (int64_t at = 0; at < rows; at += piece)
        for (int32_t i = 0; i < count; i++)
            HR_GO(reader->format->pass_fill(pass, i, HR_MIN(piece, rows - at), &builder.slots[i],
                                            at, err));
    bool tensor = hr_schema_field(reader->schema, 2)->type->id == HR_TYPE_TENSOR;
    for (int64_t row = 0; row < rows; row++)
        *right &= row_is(builder.slots, row, (int)(file_row + first + row), tensor);
out:
    if (pass)
        reader->format->pass_end(pass);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr__free(memory);
    return status;
}

// Four passes at once take the rows in turn, `step` at a time, from back to front.
typedef struct sample_pass {
    hr_reader *reader;
    hr_fragment *fragment;
    int64_t first, step;
    bool right;
    hr_status status;
    hr_thread thread;
} sample_pass;

static inline void read_every_fourth(void *context)
{
    sample_pass *p = context;
    p->right = true;
    for (int64_t first = p->first; first < ROWS && !p->status; first += 4 * p->step)
        p->status = read_pass(p->reader, p->fragment, first, HR_MIN(p->step, ROWS - first), 100, 0,
                              &p->right, NULL);
}

static inline void read_with_four(hr_reader *reader, hr_fragment *fragment, int64_t step)
{
    sample_pass passes[4];
    hr_error err = HR_ERROR_INIT;
    for (int i = 0; i < 4; i++) {
        passes[i] = (sample_pass){
            .reader = reader, .fragment = fragment, .first = (3 - i) * step, .step = step};
        assert_ok(hr__thread_start(&passes[i].thread, "pass", HR_THREAD_NORMAL, read_every_fourth,
                                   &passes[i], &err),
                  &err);
    }
    for (int i = 0; i < 4; i++) {
        hr__thread_join(&passes[i].thread);
        assert_int_equal(passes[i].status, HR_OK);
        assert_true(passes[i].right);
    }
}

// A file in memory, and its first row group.
typedef struct opened {
    hr_source *source;
    hr_reader *reader;
    hr_fragment *fragment;
    hr_scratch *scratch;
    hr_ledger ledger;
} opened;

static inline size_t load(uint8_t *bytes, size_t room)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t count = fread(bytes, 1, room, f);
    fclose(f);
    unlink(path);
    return count;
}

static inline void open_bytes(opened *o, const uint8_t *bytes, size_t count, bool tensors)
{
    const hr_open_options options = {.tensors_from_lists = tensors};
    hr__ledger_init(&o->ledger, 64u << 20);
    assert_int_equal(hr__scratch_open(&o->ledger, 1u << 20, &o->scratch, NULL), HR_OK);
    assert_int_equal(hr__source_memory(bytes, count, "m.parquet", &o->source, NULL), HR_OK);
    assert_int_equal(hr__format_open(o->source, &options, &o->reader, NULL), HR_OK);
}

static inline void enter(opened *o, int64_t from)
{
    static const int32_t columns[] = {0, 1, 2, 3};
    const hr_format *format = o->reader->format;
    if (o->fragment)
        format->fragment_close(o->fragment);
    assert_int_equal(
        format->fragment_open(o->reader, 0, columns, 4, o->scratch, &o->fragment, NULL), HR_OK);
    format->fragment_start(o->fragment, from);
}

static inline void close_opened(opened *o)
{
    if (o->fragment)
        o->reader->format->fragment_close(o->fragment);
    hr__reader_close(&o->reader);
    hr__source_unref(&o->source);
    hr__scratch_close(&o->scratch);
    assert_int_equal(o->ledger.used_bytes, 0);
}

#endif
