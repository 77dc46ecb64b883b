// SPDX-License-Identifier: Apache-2.0
// The reader: small decoders against the specification's own examples, and whole files (made by our writer) read by
// any cut, by several threads at once, truncated anywhere, and with any allocation failing.
#include "base/rng.h"
#include "format/parquet/pq_sample.h"
#include <stdlib.h>

static void hybrid__reads_the_example_of_the_specification(void **state)
{
    // 0 to 7 packed in 3 bits (Encodings.md), then a run of five 6s.
    static const uint8_t bytes[] = {0x03, 0x88, 0xc6, 0xfa, 0x0a, 0x06};
    uint32_t out[13];
    pq_hybrid h;
    hr__hybrid_init(&h, bytes, sizeof bytes, 3);
    assert_true(hr__hybrid_read(&h, out, 13));
    for (uint32_t i = 0; i < 13; i++)
        assert_int_equal(out[i], i < 8 ? i : 6);
    assert_false(hr__hybrid_read(&h, out, 1));
    hr__hybrid_init(&h, bytes, sizeof bytes, 3);
    assert_true(hr__hybrid_skip(&h, 9));
    assert_true(hr__hybrid_read(&h, out, 4));
    assert_false(hr__hybrid_skip(&h, 1));
}

// Runs of both kinds, from one level to a thousand, in a chosen mix of short and long.
static size_t write_runs(uint64_t seed, uint8_t *out, size_t room, uint64_t longest)
{
    size_t at = 0;
    for (uint64_t i = 0; at + 300 < room; i++) {
        uint64_t draw = hr__rng_u64(seed, 1, i), length = 1 + draw % longest;
        bool packed = draw >> 40 & 1;
        uint64_t head = (packed ? (length + 7) / 8 : length) << 1 | packed;
        for (; head > 0x7f; head >>= 7)
            out[at++] = (uint8_t)(head | 0x80);
        out[at++] = (uint8_t)head;
        for (uint64_t k = 0; packed && k < (length + 7) / 8; k++)
            out[at++] = (uint8_t)hr__rng_u64(seed, 2 + i, k);
        if (!packed)
            out[at++] = draw >> 50 & 1;
    }
    return at;
}

static void hybrid__gives_the_same_as_bits_and_as_values(void **state)
{
    uint8_t runs[2000], bits[4096 / 8 + 8];
    uint32_t values[4096];
    for (uint64_t seed = 0; seed < 500; seed++) {
        size_t bytes = write_runs(seed, runs, sizeof runs, seed % 2 ? 30 : 1000);
        size_t first = seed % 70, count = 1 + hr__rng_u64(seed, 0, 0) % 1900;
        uint8_t value = seed >> 1 & 1;
        pq_hybrid h, same;
        hr__hybrid_init(&h, runs, bytes, 1);
        assert_true(hr__hybrid_skip(&h, first));
        same = h;
        bool is_whole = hr__hybrid_read(&same, values, count);
        assert_int_equal(hr__hybrid_bits(&h, count, value, bits), is_whole);
        for (size_t i = 0; is_whole && i < count; i++)
            assert_int_equal(bits[i / 8] >> (i % 8) & 1, values[i] == value);
    }
    static const uint8_t two[] = {20 << 1, 2}; // a run of twos is no run of bits
    pq_hybrid h;
    hr__hybrid_init(&h, two, sizeof two, 1);
    assert_false(hr__hybrid_bits(&h, 20, 1, bits));
}

static void delta__reads_the_examples_of_the_specification(void **state)
{
    // 7, 5, 3, 1, 2, 3, 4, 5: deltas -2 -2 -2 1 1 1 1, least -2, packed in 2 bits (Encodings.md).
    static const uint8_t bytes[] = {0x80, 0x01, 0x04, 0x08, 0x0e, 0x03, 0x02, 0x00, 0x00,
                                    0x00, 0xc0, 0x3f, 0,    0,    0,    0,    0,    0};
    static const int32_t expected[] = {7, 5, 3, 1, 2, 3, 4, 5};
    int32_t narrow[8];
    int64_t wide[8];
    size_t used = 0;
    assert_int_equal(hr__pq_delta_read(bytes, sizeof bytes, 4, 8, narrow, &used, NULL), HR_OK);
    assert_int_equal(hr__pq_delta_read(bytes, sizeof bytes, 8, 8, wide, &used, NULL), HR_OK);
    for (int i = 0; i < 8; i++)
        assert_true(narrow[i] == expected[i] && wide[i] == expected[i]);
    assert_int_equal(used, sizeof bytes);
    assert_int_equal(hr__pq_delta_read(bytes, sizeof bytes, 4, 9, narrow, &used, NULL), HR_CORRUPT);
    assert_int_equal(hr__pq_delta_read(bytes, 9, 4, 8, narrow, &used, NULL), HR_CORRUPT);
}

static void thrift__stays_within_its_bytes(void **state)
{
    pq_wire wire;
    int16_t id = 0;
    uint8_t deep[200];
    memset(deep, 0x1c, sizeof deep); // structs in structs
    pq_thrift t = hr__thrift(deep, sizeof deep);
    assert_true(hr__thrift_field(&t, &id, &wire));
    hr__thrift_skip(&t, wire);
    assert_true(hr__thrift_failed(&t) && !hr__thrift_truncated(&t));
    // A list of 2^28 structs in six bytes; a string longer than what is left; a number that never ends.
    static const uint8_t list[] = {0xfc, 0xff, 0xff, 0xff, 0x7f, 0};
    static const uint8_t text[] = {0x05, 'a', 'b'};
    static const uint8_t number[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    uint32_t bytes = 0;
    t = hr__thrift(list, sizeof list);
    assert_int_equal(hr__thrift_list(&t, PQ_WIRE_LIST, PQ_WIRE_STRUCT), 0);
    assert_true(hr__thrift_failed(&t));
    t = hr__thrift(text, sizeof text);
    assert_null(hr__thrift_binary(&t, PQ_WIRE_BINARY, &bytes));
    assert_true(hr__thrift_truncated(&t));
    t = hr__thrift(number, sizeof number);
    assert_int_equal(hr__thrift_i64(&t, PQ_WIRE_I64), 0);
    assert_true(hr__thrift_failed(&t) && !hr__thrift_truncated(&t));
}

// --- whole files ---

static hr_status read_file(const hr_open_options *options, int64_t pass_rows, int64_t piece,
                           bool *right, hr_error *err)
{
    static const int32_t columns[] = {0, 1, 2, 3};
    hr_source *source = NULL;
    hr_reader *reader = NULL;
    hr_scratch *scratch = NULL;
    hr_fragment *fragment = NULL;
    hr_ledger ledger;
    hr_status status = HR_OK;
    *right = true;
    hr__ledger_init(&ledger, 64u << 20);
    HR_GO(hr__scratch_open(&ledger, 1u << 20, &scratch, err));
    HR_GO(hr__source_open(path, &source, err));
    HR_GO(hr__format_open(source, options, &reader, err));
    int64_t file_row = 0;
    for (int32_t g = 0; g < reader->fragment_count; g++) {
        int64_t rows = reader->fragments[g].rows;
        HR_GO(reader->format->fragment_open(reader, g, columns, 4, scratch, &fragment, err));
        for (int64_t first = 0; first < rows; first += pass_rows)
            HR_GO(read_pass(reader, fragment, first, HR_MIN(pass_rows, rows - first), piece,
                            file_row, right, err));
        reader->format->fragment_close(fragment);
        fragment = NULL;
        file_row += rows;
    }
    *right &= file_row == ROWS;
out:
    if (fragment)
        reader->format->fragment_close(fragment);
    hr__reader_close(&reader);
    hr__source_unref(&source);
    hr__scratch_close(&scratch);
    return status;
}

static void reader__gives_the_same_rows_by_any_cut(void **state)
{
    static const int64_t cuts[][2] = {{ROWS, ROWS}, {1000, 64}, {777, 1}, {1, 1}, {2500, 999}};
    static const int64_t files[][3] = {{ROWS, 1 << 20, 0}, {1700, 512, 1}, {ROWS, 4096, 1}};
    for (size_t f = 0; f < HR_COUNTOF(files); f++) {
        write_file(files[f][0], files[f][1], files[f][2]);
        for (size_t c = 0; c < HR_COUNTOF(cuts); c++) {
            hr_open_options options = {.tensors_from_lists = c % 2, .verify_checksums = true};
            hr_error err = HR_ERROR_INIT;
            bool right = false;
            if (read_file(&options, cuts[c][0], cuts[c][1], &right, &err) != HR_OK)
                fail_msg("%s", err.message);
            assert_true(right);
        }
        unlink(path);
    }
}

static void fragment__serves_several_passes_at_once(void **state)
{
    static const int32_t columns[] = {0, 1, 2, 3};
    hr_source *source = NULL;
    hr_reader *reader = NULL;
    hr_scratch *scratch = NULL;
    hr_ledger ledger;
    write_file(ROWS, 1024, true);
    hr__ledger_init(&ledger, 64u << 20);
    assert_int_equal(hr__scratch_open(&ledger, 1u << 20, &scratch, NULL), HR_OK);
    assert_int_equal(hr__source_open(path, &source, NULL), HR_OK);
    assert_int_equal(hr__format_open(source, NULL, &reader, NULL), HR_OK);
    for (int round = 0; round < 10; round++) {
        hr_fragment *fragment = NULL;
        assert_int_equal(
            reader->format->fragment_open(reader, 0, columns, 4, scratch, &fragment, NULL), HR_OK);
        reader->format->fragment_start(fragment, round * 400);
        read_with_four(reader, fragment, 60 + round * 31);
        reader->format->fragment_close(fragment);
    }
    hr__reader_close(&reader);
    hr__source_unref(&source);
    hr__scratch_close(&scratch);
    assert_int_equal(ledger.used_bytes, 0);
    unlink(path);
}

static void reader__survives_every_failed_allocation(void **state)
{
    const hr_open_options options = {.tensors_from_lists = true};
    write_file(ROWS, 4096, true);
    hr_status status = HR_NOMEM;
    for (uint64_t n = 1; status != HR_OK; n++) {
        bool right = false;
        (void)hr__mem_fail_after(n);
        status = read_file(&options, 2000, 500, &right, NULL);
        assert_true(status == HR_OK || status == HR_NOMEM);
        assert_true(status != HR_OK || right);
        assert_true(n < 100000);
    }
    (void)hr__mem_fail_after(0);
    unlink(path);
}

static void prune__keeps_what_it_does_not_understand(void **state)
{
    hr_source *source = NULL;
    hr_reader *reader = NULL;
    static const struct {
        hr_predicate_term term;
        bool first, last; // pruned: of the first and of the last row group
    } rows[] = {
        {{0, HR_OP_LT, HR_TYPE_INT64, 0, 0, NULL}, true, true},
        {{0, HR_OP_LT, HR_TYPE_INT64, 100, 0, NULL}, false, true},
        {{0, HR_OP_GT, HR_TYPE_INT64, 10000, 0, NULL}, true, false},
        {{0, HR_OP_EQ, HR_TYPE_FLOAT64, 0, 2.5e9, NULL}, true, true},
        {{0, HR_OP_EQ, HR_TYPE_STRING, 0, 0, "x"}, false, false},
        {{0, HR_OP_IS_NULL, HR_TYPE_NULL, 0, 0, NULL}, false, false},
        {{0, HR_OP_IS_NOT_NULL, HR_TYPE_NULL, 0, 0, NULL}, false, false},
        {{1, HR_OP_EQ, HR_TYPE_STRING, 0, 0, "t"}, true, true},
        {{1, HR_OP_EQ, HR_TYPE_STRING, 0, 0, "s1"}, false, false},
        {{2, HR_OP_EQ, HR_TYPE_INT64, -5, 0, NULL}, false, false},
        {{99, HR_OP_EQ, HR_TYPE_INT64, -5, 0, NULL}, false, false},
    };
    write_file(1000, 4096, false);
    assert_int_equal(hr__source_open(path, &source, NULL), HR_OK);
    assert_int_equal(hr__format_open(source, NULL, &reader, NULL), HR_OK);
    for (size_t i = 0; i < HR_COUNTOF(rows); i++) {
        if (reader->format->prune(reader, 0, &rows[i].term, 1) != rows[i].first)
            fail_msg("term %zu, first row group", i);
        if (reader->format->prune(reader, 4, &rows[i].term, 1) != rows[i].last)
            fail_msg("term %zu, last row group", i);
    }
    hr__reader_close(&reader);
    hr__source_unref(&source);
    unlink(path);
}

static void reader__refuses_a_file_cut_anywhere(void **state)
{
    static uint8_t bytes[1 << 20];
    write_file(ROWS, 4096, true);
    size_t count = load(bytes, sizeof bytes);
    for (size_t cut = 0; cut < count; cut += 1 + cut / 64) {
        hr_source *source = NULL;
        hr_reader *reader = NULL;
        hr_error err = HR_ERROR_INIT;
        assert_int_equal(hr__source_memory(bytes, cut, "cut.parquet", &source, NULL), HR_OK);
        assert_int_equal(hr__format_open(source, NULL, &reader, &err), HR_CORRUPT);
        assert_non_null(strstr(err.message, "cut.parquet"));
        hr__source_unref(&source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hybrid__reads_the_example_of_the_specification),
        cmocka_unit_test(hybrid__gives_the_same_as_bits_and_as_values),
        cmocka_unit_test(delta__reads_the_examples_of_the_specification),
        cmocka_unit_test(thrift__stays_within_its_bytes),
        cmocka_unit_test(reader__gives_the_same_rows_by_any_cut),
        cmocka_unit_test(fragment__serves_several_passes_at_once),
        cmocka_unit_test(reader__survives_every_failed_allocation),
        cmocka_unit_test(prune__keeps_what_it_does_not_understand),
        cmocka_unit_test(reader__refuses_a_file_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
