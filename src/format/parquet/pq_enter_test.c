// SPDX-License-Identifier: Apache-2.0
// A row group entered in its middle: by the pages' headers, or by a page index, whatever is in it.
#include "format/parquet/pq_sample.h"

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
    make_indexed(&x, 512, true, 0);
    open_indexed(&o, &x, false);
    for (int round = 0; round < 10; round++) {
        enter(&o, 2000);
        read_with_four(o.reader, o.fragment, 130);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fragment__may_be_entered_at_any_row),
        cmocka_unit_test(index__leads_to_any_row),
        cmocka_unit_test(index__serves_several_passes_at_once),
        cmocka_unit_test(index__that_contradicts_the_pages_is_corrupt),
        cmocka_unit_test(index__that_cannot_be_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
