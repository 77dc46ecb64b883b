// SPDX-License-Identifier: Apache-2.0
// The reader: small decoders against the specification's own examples, and whole files (made by our writer) read by
// any cut, by several threads at once, truncated anywhere, and with any allocation failing.
#include "base/rng.h"
#include "base/unit.h"
#include "block/wire.h"
#include "format/parquet/pq_page.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS 5000

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

// --- whole files: a: int32 with nulls, s: string with nulls, f: three floats, r: ragged int64 ---

static int32_t a_data[ROWS], s_offsets[ROWS + 1], f_offsets[ROWS + 1], r_offsets[ROWS + 1];
static uint8_t a_valid[ROWS / 8 + 1], s_valid[ROWS / 8 + 1], r_valid[ROWS / 8 + 1];
static char s_data[ROWS * 8];
static float f_data[ROWS * 3];
static int64_t r_data[ROWS * 5];
static char path[64];

static void set_bit(uint8_t *bits, int i, bool on)
{
    bits[i / 8] = (uint8_t)(on ? bits[i / 8] | 1 << (i % 8) : bits[i / 8] & ~(1 << (i % 8)));
}

static void write_file(int64_t row_group_rows, int64_t page_bytes, bool zstd)
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

static bool valid(const hr_slot *slot, int64_t row)
{
    return !slot->validity || (slot->validity[row / 8] >> (row % 8) & 1);
}

// Whether row `row` of the slots is row `i` of the file.
static bool row_is(const hr_slot *slots, int64_t row, int i, bool tensor)
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

static hr_status read_pass(hr_reader *reader, hr_fragment *fragment, int64_t first, int64_t rows,
                           int64_t piece, int64_t file_row, bool *right, hr_error *err)
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

typedef struct worker {
    hr_reader *reader;
    hr_fragment *fragment;
    int64_t first, step;
    bool right;
    hr_status status;
    hr_thread thread;
} worker;

static void work(void *arg)
{
    worker *w = arg;
    w->right = true;
    for (int64_t first = w->first; first < ROWS && !w->status; first += 4 * w->step)
        w->status = read_pass(w->reader, w->fragment, first, HR_MIN(w->step, ROWS - first), 100, 0,
                              &w->right, NULL);
}

// --- a row group entered in its middle ---

typedef struct opened {
    hr_source *source;
    hr_reader *reader;
    hr_fragment *fragment;
    hr_scratch *scratch;
    hr_ledger ledger;
} opened;

static size_t load(uint8_t *bytes, size_t room)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t count = fread(bytes, 1, room, f);
    fclose(f);
    unlink(path);
    return count;
}

static void open_bytes(opened *o, const uint8_t *bytes, size_t count, bool tensors)
{
    const hr_open_options options = {.tensors_from_lists = tensors};
    hr__ledger_init(&o->ledger, 64u << 20);
    assert_int_equal(hr__scratch_open(&o->ledger, 1u << 20, &o->scratch, NULL), HR_OK);
    assert_int_equal(hr__source_memory(bytes, count, "m.parquet", &o->source, NULL), HR_OK);
    assert_int_equal(hr__format_open(o->source, &options, &o->reader, NULL), HR_OK);
}

static void enter(opened *o, int64_t from)
{
    static const int32_t columns[] = {0, 1, 2, 3};
    const hr_format *format = o->reader->format;
    if (o->fragment)
        format->fragment_close(o->fragment);
    assert_int_equal(
        format->fragment_open(o->reader, 0, columns, 4, o->scratch, &o->fragment, NULL), HR_OK);
    format->fragment_start(o->fragment, from);
}

static void close_opened(opened *o)
{
    if (o->fragment)
        o->reader->format->fragment_close(o->fragment);
    hr__reader_close(&o->reader);
    hr__source_unref(&o->source);
    hr__scratch_close(&o->scratch);
    assert_int_equal(o->ledger.used_bytes, 0);
}

// Rows from `from` on, then those before it, are what was written. Returns the bytes read for the first of them.
static uint64_t enters(opened *o, int64_t from)
{
    static const int64_t step = 700;
    uint64_t before = o->source->read_bytes, read = 0;
    hr_error err = HR_ERROR_INIT;
    bool right = true;
    enter(o, from);
    for (int64_t at = from; at < ROWS; at += step) {
        if (read_pass(o->reader, o->fragment, at, HR_MIN(step, ROWS - at), 100, 0, &right, &err))
            fail_msg("from %d, at %d: %s", (int)from, (int)at, err.message);
        read = read ? read : o->source->read_bytes - before;
    }
    for (int64_t at = from; at > 0; at -= HR_MIN(at, step)) {
        int64_t first = HR_MAX(at - step, 0);
        if (read_pass(o->reader, o->fragment, first, at - first, 64, 0, &right, &err))
            fail_msg("from %d, back at %d: %s", (int)from, (int)at, err.message);
    }
    assert_true(right);
    return read;
}

static void fragment__may_be_entered_at_any_row(void **state)
{
    static uint8_t bytes[1 << 20];
    static const int64_t files[][2] = {{512, 0}, {4096, 1}, {16384, 0}, {1 << 20, 1}};
    static const int64_t rows[] = {1, 63, 64, 700, 2501, ROWS - 1, ROWS};
    for (size_t f = 0; f < 2 * HR_COUNTOF(files); f++) {
        opened o = {0};
        write_file(ROWS, files[f / 2][0], files[f / 2][1]);
        open_bytes(&o, bytes, load(bytes, sizeof bytes), f % 2);
        for (size_t i = 0; i < HR_COUNTOF(rows); i++)
            enters(&o, rows[i]);
        close_opened(&o);
    }
}

// A file of our writer with a page index put between data and footer, its chunks pointed at it in memory.
typedef struct indexed {
    uint8_t bytes[1 << 20];
    size_t count;
    int64_t at[4];
    int32_t sizes[4];
} indexed;

static size_t put_number(uint8_t *to, int64_t value)
{
    uint64_t v = (uint64_t)value << 1;
    size_t n = 0;
    for (; v > 127; v >>= 7)
        to[n++] = (uint8_t)(v | 128);
    to[n++] = (uint8_t)v;
    return n;
}

// `lie`: added to the first row of the page in the middle.
static size_t put_index(uint8_t *to, const pq_column *column, int64_t lie)
{
    size_t n = 0, count = column->pages.count;
    to[n++] = 0x19;
    to[n++] = 0xfc; // structs
    for (size_t v = count; (to[n++] = (uint8_t)(v > 127 ? v | 128 : v)) > 127;)
        v >>= 7;
    for (size_t i = 0; i < count; i++) {
        const pq_page *p = column->pages.items[i];
        to[n++] = 0x16;
        n += put_number(to + n, (int64_t)p->header_at);
        to[n++] = 0x15;
        n += put_number(to + n, (int64_t)(p->payload_at + p->stored_bytes - p->header_at));
        to[n++] = 0x16;
        n += put_number(to + n, p->row_first + (i == count / 2 ? lie : 0));
        to[n++] = 0;
    }
    to[n++] = 0;
    return n;
}

static void make_indexed(indexed *x, int64_t page_bytes, bool zstd, int64_t lie)
{
    static uint8_t bytes[1 << 20], index[1 << 16];
    opened o = {0};
    bool right = true;
    write_file(ROWS, page_bytes, zstd);
    size_t count = load(bytes, sizeof bytes), data = 0, n = 0;
    open_bytes(&o, bytes, count, false);
    enter(&o, 0);
    assert_int_equal(read_pass(o.reader, o.fragment, 0, ROWS, ROWS, 0, &right, NULL), HR_OK);
    data = (size_t)((pq_reader *)o.reader)->file.data_end;
    for (int i = 0; i < 4; i++) {
        x->at[i] = (int64_t)(data + n);
        n += put_index(index + n, &((pq_fragment *)o.fragment)->columns[i], lie);
        x->sizes[i] = (int32_t)(data + n - (size_t)x->at[i]);
    }
    x->count = count + n;
    memcpy(x->bytes, bytes, data);
    memcpy(x->bytes + data, index, n);
    memcpy(x->bytes + data + n, bytes + data, count - data);
    close_opened(&o);
}

static void open_indexed(opened *o, indexed *x, bool tensors)
{
    open_bytes(o, x->bytes, x->count, tensors);
    for (int i = 0; i < 4; i++) {
        pq_chunk *c = &((pq_reader *)o->reader)->file.groups[0].chunks[i];
        c->index_at = x->at[i];
        c->index_bytes = x->sizes[i];
    }
}

static void index__leads_to_any_row(void **state)
{
    static indexed x;
    static const int64_t rows[] = {1, 64, 2501, ROWS - 1, ROWS};
    for (int kind = 0; kind < 8; kind++) {
        opened o = {0};
        make_indexed(&x, kind & 1 ? 512 : 6000, kind & 2, 0);
        open_indexed(&o, &x, kind & 4);
        for (size_t i = 0; i < HR_COUNTOF(rows); i++)
            enters(&o, rows[i]);
        // Lists' levels need not be read: what was read for the last rows is little.
        assert_true(enters(&o, ROWS - 10) < x.count / 2);
        close_opened(&o);
    }
}

static void index__serves_several_passes_at_once(void **state)
{
    static indexed x;
    opened o = {0};
    worker workers[4];
    make_indexed(&x, 512, true, 0);
    open_indexed(&o, &x, false);
    for (int round = 0; round < 10; round++) {
        enter(&o, 2000);
        for (int i = 0; i < 4; i++) {
            workers[i] = (worker){
                .reader = o.reader, .fragment = o.fragment, .first = (3 - i) * 130, .step = 130};
            assert_int_equal(hr__thread_start(&workers[i].thread, "pass", HR_THREAD_NORMAL, work,
                                              &workers[i], NULL),
                             HR_OK);
        }
        for (int i = 0; i < 4; i++) {
            hr__thread_join(&workers[i].thread);
            assert_true(workers[i].status == HR_OK && workers[i].right);
        }
    }
    close_opened(&o);
}

static void index__that_contradicts_the_pages_is_corrupt(void **state)
{
    static indexed x;
    opened o = {0};
    hr_error err = HR_ERROR_INIT;
    bool right = true;
    make_indexed(&x, 6000, true, 1);
    open_indexed(&o, &x, false);
    enter(&o, 2501);
    hr_status status = read_pass(o.reader, o.fragment, 0, ROWS, 100, 0, &right, &err);
    assert_int_equal(status, HR_CORRUPT);
    assert_non_null(strstr(err.message, "page index"));
    enter(&o, 0); // who begins at the front does not ask it
    assert_int_equal(read_pass(o.reader, o.fragment, 0, ROWS, 100, 0, &right, &err), HR_OK);
    assert_true(right);
    close_opened(&o);
}

static void index__that_cannot_be_is_passed_over(void **state)
{
    static indexed x;
    make_indexed(&x, 6000, true, 0);
    for (int cut = 0; cut < 400; cut++) { // bytes of it changed, or its end cut
        static indexed bad;
        opened o = {0};
        hr_error err = HR_ERROR_INIT;
        bool right = true;
        int column = cut % 4, at = cut / 4 % x.sizes[column];
        bad = x;
        bad.bytes[bad.at[column] + at] ^= (uint8_t)(1 << cut % 7);
        if (cut % 5 == 0)
            bad.sizes[column] = at;
        if (cut % 11 == 0)
            bad.at[column] = cut % 2 ? INT64_MAX - 1 : -5;
        open_indexed(&o, &bad, false);
        enter(&o, 2501);
        hr_status status = read_pass(o.reader, o.fragment, 2501, 1000, 100, 0, &right, &err);
        assert_true(status == HR_OK || status == HR_CORRUPT);
        assert_true(status || right);
        close_opened(&o);
    }
}

static void fragment__serves_several_passes_at_once(void **state)
{
    static const int32_t columns[] = {0, 1, 2, 3};
    hr_source *source = NULL;
    hr_reader *reader = NULL;
    hr_scratch *scratch = NULL;
    hr_ledger ledger;
    worker workers[4];
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
        for (int i = 0; i < 4; i++) {
            int64_t step = 60 + round * 31;
            workers[i] = (worker){
                .reader = reader, .fragment = fragment, .first = (3 - i) * step, .step = step};
            assert_int_equal(hr__thread_start(&workers[i].thread, "pass", HR_THREAD_NORMAL, work,
                                              &workers[i], NULL),
                             HR_OK);
        }
        for (int i = 0; i < 4; i++) {
            hr__thread_join(&workers[i].thread);
            assert_int_equal(workers[i].status, HR_OK);
            assert_true(workers[i].right);
        }
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
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t count = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    unlink(path);
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
        cmocka_unit_test(fragment__may_be_entered_at_any_row),
        cmocka_unit_test(index__leads_to_any_row),
        cmocka_unit_test(index__serves_several_passes_at_once),
        cmocka_unit_test(index__that_contradicts_the_pages_is_corrupt),
        cmocka_unit_test(index__that_cannot_be_is_passed_over),
        cmocka_unit_test(fragment__serves_several_passes_at_once),
        cmocka_unit_test(reader__survives_every_failed_allocation),
        cmocka_unit_test(prune__keeps_what_it_does_not_understand),
        cmocka_unit_test(reader__refuses_a_file_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
