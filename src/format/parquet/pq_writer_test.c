// SPDX-License-Identifier: Apache-2.0
// What the writer can be asked without a reader: its encodings against small decoders, its refusals, its behaviour
// when memory runs out. That other programs read its files is shown by the Python tests.
#include "base/unit.h"
#include "format/parquet/pq_write.h"
#include "base/cursor.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// --- the hybrid ---

// Reads `count` values back; false when the bytes are not a hybrid of that many.
static bool hybrid_decode(const hr_pqw_bytes *bytes, uint32_t width, uint32_t *out, size_t count)
{
    hr_cursor c = hr__cursor(bytes->items, bytes->count);
    size_t done = 0;
    while (done < count && !c.failed) {
        uint64_t head = hr__cursor_varint(&c);
        if ((head & 1) == 0) {
            uint32_t value = 0;
            for (uint32_t b = 0; b < (width + 7) / 8; b++)
                value |= (uint32_t)hr__cursor_u8(&c) << 8 * b;
            for (uint64_t i = 0; i < head >> 1 && done < count; i++)
                out[done++] = value;
            continue;
        }
        const uint8_t *packed = hr__cursor_take(&c, (head >> 1) * width);
        if (packed == NULL)
            return false;
        for (uint64_t i = 0; i < (head >> 1) * 8 && done < count; i++) {
            uint64_t value = 0;
            for (uint32_t b = 0; b < width; b++)
                value |= (uint64_t)(packed[(i * width + b) / 8] >> ((i * width + b) % 8) & 1) << b;
            out[done++] = (uint32_t)value;
        }
    }
    return !c.failed && done == count && hr__cursor_left(&c) == 0;
}

static void hybrid__gives_back_what_was_said(void **state)
{
    enum { VALUES = 5000 };
    uint32_t *said = malloc(VALUES * sizeof *said), *back = malloc(VALUES * sizeof *back);
    uint64_t seed = 7;
    for (uint32_t width = 1; width <= 32; width++) {
        hr_pqw_hybrid hybrid = {0};
        hr__pqw_hybrid_reset(&hybrid, width);
        size_t count = 0;
        while (count < VALUES) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t run = seed >> 60 ? (seed >> 40) % 4 + 1 : (seed >> 40) % 700 + 1;
            run = HR_MIN(run, VALUES - count);
            uint32_t value = (uint32_t)(seed >> 20) & (uint32_t)((UINT64_C(1) << width) - 1);
            assert_int_equal(hr__pqw_hybrid_run(&hybrid, value, (int64_t)run, NULL), HR_OK);
            for (size_t i = 0; i < run; i++)
                said[count++] = value;
        }
        assert_int_equal(hr__pqw_hybrid_end(&hybrid, NULL), HR_OK);
        assert_true(hybrid_decode(&hybrid.out, width, back, VALUES));
        assert_memory_equal(said, back, VALUES * sizeof *said);
        hr__pqw_hybrid_release(&hybrid);
    }
    free(said);
    free(back);
}

static void hybrid__says_a_long_run_in_a_few_bytes(void **state)
{
    hr_pqw_hybrid hybrid = {0};
    hr__pqw_hybrid_reset(&hybrid, 1);
    for (int i = 0; i < 25600; i++)
        assert_int_equal(hr__pqw_hybrid_run(&hybrid, 1, 1, NULL), HR_OK);
    assert_int_equal(hr__pqw_hybrid_end(&hybrid, NULL), HR_OK);
    assert_int_equal(hybrid.out.count, 4); // varint(25600 << 1), 1
    hr__pqw_hybrid_release(&hybrid);
}

// --- Thrift ---

static void thrift__writes_the_compact_protocol(void **state)
{
    static const uint8_t want[] = {
        0x15, 0x02,             // 1: i32 1
        0x21,                   // 3: true
        0x18, 0x02, 'h',  'r',  // 4: "hr"
        0x06, 0x28, 0x80, 0x01, // 20: i64 64
        0x19, 0x25, 0x01, 0x04, // 21: list of i32 -1, 2
        0x1c, 0x00,             // 22: {}
        0x13, 0x08,             // 23: byte 8
        0x19, 0xf5, 0x0f,       // 24: list of 15 i32
        0x00,
    };
    hr_pqw_bytes out = {0};
    hr_pqw_thrift t = hr__pqw_thrift(&out, NULL);
    hr__pqw_struct_begin(&t);
    hr__pqw_field_i32(&t, 1, 1);
    hr__pqw_field_bool(&t, 3, true);
    hr__pqw_field_binary(&t, 4, "hr", 2);
    hr__pqw_field_i64(&t, 20, 64);
    hr__pqw_field_list(&t, 21, PQ_WIRE_I32, 2);
    hr__pqw_item_i32(&t, -1);
    hr__pqw_item_i32(&t, 2);
    hr__pqw_field_empty(&t, 22);
    hr__pqw_field_i8(&t, 23, 8);
    hr__pqw_field_list(&t, 24, PQ_WIRE_I32, 15);
    hr__pqw_struct_end(&t);
    assert_int_equal(t.status, HR_OK);
    assert_int_equal(out.count, sizeof want);
    assert_memory_equal(out.items, want, sizeof want);
    HR_VEC_FINISH(&out);
}

// --- files ---

typedef struct sample {
    char path[64];
    hr_schema *schema;
    hr_block *block;
    hr_sink *sink;
    hr_parquet_writer *writer;
    hr_error err;
} sample;

static void sample_open(sample *s, const hr_field *fields, const hr_column *columns, int32_t count,
                        int64_t rows)
{
    *s = (sample){0};
    snprintf(s->path, sizeof s->path, "/tmp/hr-pqw-%ld.parquet", (long)getpid());
    assert_int_equal(hr_schema_make(fields, count, &s->schema, &s->err), HR_OK);
    assert_int_equal(hr__block_make(s->schema, rows, columns, NULL, NULL, &s->block, &s->err),
                     HR_OK);
}

static void sample_close(sample *s)
{
    hr__parquet_writer_close(&s->writer);
    hr__sink_close(&s->sink);
    hr_block_unref(&s->block);
    hr_schema_unref(&s->schema);
    unlink(s->path);
}

static hr_status sample_write(sample *s, const hr_parquet_write_options *options)
{
    HR_TRY(hr__sink_open(s->path, &s->sink, &s->err));
    HR_TRY(hr__parquet_writer_open(s->sink, s->schema, options, &s->writer, &s->err));
    HR_TRY(hr__parquet_writer_add(s->writer, s->block, &s->err));
    HR_TRY(hr__parquet_writer_add(s->writer, s->block, &s->err));
    return hr__parquet_writer_finish(s->writer, &s->err);
}

// One column of `type`, written with the default options; the message is left in s->err.
static hr_status write_column(sample *s, const hr_type *type, bool nullable, hr_column column)
{
    hr_field field = {"x", type, nullable};
    column.type = type;
    column.null_count = -1;
    sample_open(s, &field, &column, 1, column.rows);
    return sample_write(s, NULL);
}

static const hr_type bool_type = {.id = HR_TYPE_BOOL};
static const hr_type int16_type = {.id = HR_TYPE_INT16};
static const hr_type int32_type = {.id = HR_TYPE_INT32};
static const hr_type float_type = {.id = HR_TYPE_FLOAT32};
static const hr_type text_type = {.id = HR_TYPE_STRING};
static const hr_type list_type = {.id = HR_TYPE_LIST, .item = &int16_type};
static const hr_type tensor_type = {
    .id = HR_TYPE_TENSOR, .ndim = 2, .shape = {2, 3}, .item = &float_type};
static const hr_type coded_type = {.id = HR_TYPE_DICTIONARY, .item = &text_type};

#define WIDE_COLUMNS 6
#define WIDE_ROWS    4

// A block with every kind of branch: flat, bits, text, list, tensor, dictionary.
static void wide_open(sample *s)
{
    static const uint8_t valid[64] = {0x0b}, bits[64] = {0x06};
    static const int32_t numbers[] = {5, -1, 7, 1 << 30}, offsets[] = {0, 1, 1, 3, 6},
                         codes[] = {1, 0, 1, 1};
    static const int16_t items[] = {1, 2, 3, 4, 5, 6};
    static const float values[WIDE_ROWS * 6] = {1, 2, -0.0f, 4};
    static const hr_column item_column = {
        .type = &int16_type, .rows = 6, .null_count = -1, .data = items};
    static const int32_t word_offsets[] = {0, 3, 9};
    static const hr_column words = {.type = &text_type,
                                    .rows = 2,
                                    .null_count = -1,
                                    .offsets = word_offsets,
                                    .data = "onetwelve"};
    const hr_field fields[WIDE_COLUMNS] = {
        {"flat", &int32_type, true}, {"bits", &bool_type, false},     {"text", &text_type, true},
        {"list", &list_type, true},  {"tensor", &tensor_type, false}, {"coded", &coded_type, true},
    };
    const hr_column columns[WIDE_COLUMNS] = {
        {.type = &int32_type,
         .rows = WIDE_ROWS,
         .null_count = -1,
         .validity = valid,
         .data = numbers},
        {.type = &bool_type, .rows = WIDE_ROWS, .null_count = -1, .data = bits},
        {.type = &text_type,
         .rows = WIDE_ROWS,
         .null_count = -1,
         .offsets = offsets,
         .data = "abcdef"},
        {.type = &list_type,
         .rows = WIDE_ROWS,
         .null_count = -1,
         .validity = valid,
         .offsets = offsets,
         .child = &item_column},
        {.type = &tensor_type, .rows = WIDE_ROWS, .null_count = -1, .data = values},
        {.type = &coded_type, .rows = WIDE_ROWS, .null_count = -1, .data = codes, .child = &words},
    };
    sample_open(s, fields, columns, WIDE_COLUMNS, WIDE_ROWS);
}

static void writer__makes_a_file_with_both_magics(void **state)
{
    sample s;
    char head[4], tail[4];
    wide_open(&s);
    assert_int_equal(sample_write(&s, NULL), HR_OK);
    FILE *file = fopen(s.path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(head, 1, 4, file), 4);
    assert_int_equal(fseek(file, -4, SEEK_END), 0);
    assert_int_equal(fread(tail, 1, 4, file), 4);
    fclose(file);
    assert_memory_equal(head, "PAR1", 4);
    assert_memory_equal(tail, "PAR1", 4);
    sample_close(&s);
}

static void writer__survives_every_failed_allocation(void **state)
{
    const hr_parquet_write_options options = {.row_group_rows = 3, .page_bytes = 64};
    uint64_t n = 1;
    for (hr_status status = HR_NOMEM; status != HR_OK; n++) {
        sample s;
        wide_open(&s);
        hr__mem_fail_after(n);
        status = sample_write(&s, &options);
        hr__mem_fail_after(0);
        assert_true(status == HR_OK || status == HR_NOMEM);
        assert_int_equal(access(s.path, F_OK) == 0, status == HR_OK);
        sample_close(&s);
    }
    assert_true(n > 20);
}

static void writer__refuses_a_null_where_none_may_be(void **state)
{
    static const uint8_t valid[64] = {0x05};
    static const int32_t numbers[] = {1, 2, 3};
    sample s;
    hr_column column = {.rows = 3, .validity = valid, .data = numbers};
    assert_int_equal(write_column(&s, &int32_type, false, column), HR_INVALID);
    assert_non_null(strstr(s.err.message, "'x' has a null"));
    // The first failure ends it: columns may differ in rows now.
    assert_int_equal(hr__parquet_writer_add(s.writer, s.block, &s.err), HR_INVALID);
    assert_int_equal(hr__parquet_writer_finish(s.writer, &s.err), HR_INVALID);
    assert_int_equal(access(s.path, F_OK), -1);
    sample_close(&s);
}

static void writer__refuses_codes_outside_the_dictionary(void **state)
{
    static const int32_t codes[] = {0, 2}, offsets[] = {0, 1, 2};
    static const hr_column words = {
        .type = &text_type, .rows = 2, .null_count = -1, .offsets = offsets, .data = "ab"};
    sample s;
    hr_column column = {.rows = 2, .data = codes, .child = &words};
    assert_int_equal(write_column(&s, &coded_type, false, column), HR_INVALID);
    assert_non_null(strstr(s.err.message, "code 2, entries 2"));
    sample_close(&s);
}

static void writer__refuses_values_that_do_not_fit(void **state)
{
    static const int64_t seconds[] = {INT64_MAX / 1000 + 1};
    static const uint8_t decimal[16] = {0, 0, 1}; // 65536: five digits
    static const hr_type stamp = {.id = HR_TYPE_TIMESTAMP, .unit = HR_SECOND};
    static const hr_type two_digits = {.id = HR_TYPE_DECIMAL128, .precision = 2};
    static const hr_type negative = {.id = HR_TYPE_DECIMAL128, .precision = 2, .scale = -1};
    sample s;
    assert_int_equal(write_column(&s, &stamp, false, (hr_column){.rows = 1, .data = seconds}),
                     HR_INVALID);
    sample_close(&s);
    assert_int_equal(write_column(&s, &two_digits, false, (hr_column){.rows = 1, .data = decimal}),
                     HR_INVALID);
    sample_close(&s);
    assert_int_equal(write_column(&s, &negative, false, (hr_column){.rows = 1, .data = decimal}),
                     HR_UNSUPPORTED);
    assert_non_null(strstr(s.err.message, "'x'"));
    sample_close(&s);
}

static void writer__refuses_a_block_of_another_schema(void **state)
{
    static const int32_t numbers[] = {1};
    sample s, other;
    wide_open(&s);
    assert_int_equal(hr__sink_open(s.path, &s.sink, &s.err), HR_OK);
    assert_int_equal(hr__parquet_writer_open(s.sink, s.schema, NULL, &s.writer, &s.err), HR_OK);
    hr_field field = {"y", &int32_type, false};
    hr_column column = {.type = &int32_type, .rows = 1, .null_count = -1, .data = numbers};
    sample_open(&other, &field, &column, 1, 1);
    assert_int_equal(hr__parquet_writer_add(s.writer, other.block, &s.err), HR_INVALID);
    assert_non_null(strstr(s.err.message, "1 columns"));
    // A refused block leaves the writer as it was.
    assert_int_equal(hr__parquet_writer_add(s.writer, s.block, &s.err), HR_OK);
    assert_int_equal(hr__parquet_writer_finish(s.writer, &s.err), HR_OK);
    assert_int_equal(hr__parquet_writer_finish(s.writer, &s.err), HR_INVALID);
    sample_close(&other);
    sample_close(&s);
}

static void writer__checks_its_options(void **state)
{
    const hr_parquet_write_options bad[] = {
        {.row_group_rows = -1}, {.page_bytes = 1}, {.page_bytes = INT64_MAX}};
    sample s;
    wide_open(&s);
    assert_int_equal(hr__sink_open(s.path, &s.sink, &s.err), HR_OK);
    for (size_t i = 0; i < HR_COUNTOF(bad); i++) {
        assert_int_equal(hr__parquet_writer_open(s.sink, s.schema, &bad[i], &s.writer, &s.err),
                         HR_INVALID);
        assert_null(s.writer);
    }
    sample_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hybrid__gives_back_what_was_said),
        cmocka_unit_test(hybrid__says_a_long_run_in_a_few_bytes),
        cmocka_unit_test(thrift__writes_the_compact_protocol),
        cmocka_unit_test(writer__makes_a_file_with_both_magics),
        cmocka_unit_test(writer__survives_every_failed_allocation),
        cmocka_unit_test(writer__refuses_a_null_where_none_may_be),
        cmocka_unit_test(writer__refuses_codes_outside_the_dictionary),
        cmocka_unit_test(writer__refuses_values_that_do_not_fit),
        cmocka_unit_test(writer__refuses_a_block_of_another_schema),
        cmocka_unit_test(writer__checks_its_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
