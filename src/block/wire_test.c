// SPDX-License-Identifier: Apache-2.0
// A sealed span, one field at a time made hostile, its header's check made right again: each must be refused.
#include "base/unit.h"
#include "block/block_sample.h"

typedef struct fixture {
    hr_block *block; // the original
    uint8_t *span;   // a copy to spoil, of exactly its size
    size_t bytes;
} fixture;

static int set_up(void **state)
{
    fixture *f = NULL;
    if (hr__alloc_zero(1, sizeof *f, &f, NULL) || sample_block(24, 11, &f->block, NULL))
        return 1;
    f->bytes = f->block->span_bytes;
    if (hr__alloc_aligned(f->bytes, HR_ALIGN, &f->span, NULL))
        return 1;
    memcpy(f->span, f->block->span, f->bytes);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    hr_block_unref(&f->block);
    hr__free(f->span);
    hr__free(f);
    return 0;
}

static hr_status open_span(fixture *f, hr_validate_level level)
{
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_status status =
        hr__block_open(f->span, f->bytes, f->block->schema, level, NULL, NULL, &block, &err);
    if (status && !err.message[0])
        fail_msg("no message");
    hr_block_unref(&block);
    return status;
}

// Opens with `bytes` at `at` replaced, then puts the original back.
static hr_status open_with(fixture *f, size_t at, const void *bytes, size_t count,
                           hr_validate_level level)
{
    size_t header_bytes =
        HR_SPAN_HEAD_BYTES + (size_t)hr__schema_node_count(f->block->schema) * HR_SPAN_NODE_BYTES;
    assert_true(at + count <= f->bytes);
    memcpy(f->span + at, bytes, count);
    uint64_t hash = hr__span_head_hash(f->span, header_bytes);
    memcpy(f->span + 48, &hash, sizeof hash);
    hr_status status = open_span(f, level);
    memcpy(f->span, f->block->span, f->bytes);
    return status;
}

static hr_status open_with_u64(fixture *f, size_t at, uint64_t value)
{
    return open_with(f, at, &value, sizeof value, HR_VALIDATE_BOUNDS);
}

static size_t position(const fixture *f, const void *in_block)
{
    return (size_t)((const uint8_t *)in_block - (const uint8_t *)f->block->span);
}

static void wire__sealed_span_opens_at_every_level(void **state)
{
    fixture *f = *state;
    assert_int_equal(open_span(f, HR_VALIDATE_NONE), HR_OK);
    assert_int_equal(open_span(f, HR_VALIDATE_BOUNDS), HR_OK);
    assert_int_equal(open_span(f, HR_VALIDATE_FULL), HR_OK);
}

static void wire__spoiled_header_is_refused(void **state)
{
    fixture *f = *state;
    uint32_t other = 2, zero = 0, many = 9000;
    assert_int_equal(open_with(f, 0, "HRBX", 4, HR_VALIDATE_NONE), HR_CORRUPT);
    assert_int_equal(open_with(f, 4, &other, 4, HR_VALIDATE_NONE), HR_UNSUPPORTED);
    assert_int_equal(open_with(f, 32, &other, 4, HR_VALIDATE_NONE), HR_CORRUPT);
    assert_int_equal(open_with(f, 36, &zero, 4, HR_VALIDATE_NONE), HR_CORRUPT);
    assert_int_equal(open_with(f, 36, &many, 4, HR_VALIDATE_NONE), HR_CORRUPT);
    assert_int_equal(open_with(f, 40, &zero, 4, HR_VALIDATE_NONE), HR_CORRUPT);
    static const uint64_t odd[] = {0, 1, 23, 1ull << 40, UINT64_MAX, 1ull << 63};
    for (size_t i = 0; i < HR_COUNTOF(odd); i++) {
        assert_int_equal(open_with_u64(f, 8, odd[i]), HR_CORRUPT);
        assert_int_equal(open_with_u64(f, 16, odd[i]), HR_CORRUPT);
        assert_int_equal(open_with_u64(f, 24, odd[i]), HR_CORRUPT);
        assert_int_equal(open_with_u64(f, 56, odd[i]), HR_CORRUPT);
    }
    f->span[64]++;
    assert_int_equal(open_span(f, HR_VALIDATE_BOUNDS), HR_CORRUPT); // the check tells
    f->span[64]--;
    for (size_t cut = 0; cut < f->bytes; cut += cut < 128 ? 1 : 61) {
        hr_block *block = NULL;
        assert_int_equal(hr__block_open(f->span, cut, f->block->schema, HR_VALIDATE_BOUNDS, NULL,
                                        NULL, &block, NULL),
                         HR_CORRUPT);
    }
}

static void wire__spoiled_buffer_table_is_refused(void **state)
{
    fixture *f = *state;
    static const uint64_t odd[] = {1,          63,        32, 64, UINT64_MAX, UINT64_MAX - 63,
                                   1ull << 63, 1ull << 40};
    size_t nodes = (size_t)hr__schema_node_count(f->block->schema);
    for (size_t entry = 0; entry < 3 * nodes; entry++) {
        size_t at = HR_SPAN_HEAD_BYTES + 16 * entry;
        uint64_t offset, bytes;
        memcpy(&offset, f->span + at, 8);
        memcpy(&bytes, f->span + at + 8, 8);
        for (size_t i = 0; offset && i < HR_COUNTOF(odd); i++)
            assert_int_equal(open_with_u64(f, at, odd[i]), HR_CORRUPT);
        for (size_t i = 4; i < HR_COUNTOF(odd); i++)
            assert_int_equal(open_with_u64(f, at + 8, odd[i]), HR_CORRUPT);
        if (offset && bytes)
            assert_int_equal(open_with_u64(f, at + 8, 0), HR_CORRUPT);
    }
    for (size_t node = 0; node < nodes; node++) {
        size_t at = HR_SPAN_HEAD_BYTES + 48 * nodes + 16 * node;
        assert_int_equal(open_with_u64(f, at, UINT64_MAX), HR_CORRUPT);
        assert_int_equal(open_with_u64(f, at, 1ull << 41), HR_CORRUPT);
        assert_int_equal(open_with_u64(f, at + 8, (uint64_t)-2), HR_CORRUPT);
        assert_int_equal(open_with_u64(f, at + 8, 1ull << 20), HR_CORRUPT);
    }
}

static hr_status open_with_i32(fixture *f, const void *in_block, int32_t value,
                               hr_validate_level level)
{
    return open_with(f, position(f, in_block), &value, sizeof value, level);
}

static void wire__spoiled_values_are_seen_by_full(void **state)
{
    fixture *f = *state;
    const hr_column *name = hr_block_column(f->block, 3), *cat = hr_block_column(f->block, 8);
    const hr_column *vec = hr_block_column(f->block, 5), *deep = hr_block_column(f->block, 9);
    const int32_t *offsets = name->offsets;
    assert_int_equal(open_with_i32(f, &offsets[3], 1 << 20, HR_VALIDATE_BOUNDS), HR_OK);
    assert_int_equal(open_with_i32(f, &offsets[3], 1 << 20, HR_VALIDATE_FULL), HR_CORRUPT);
    assert_int_equal(open_with_i32(f, &offsets[3], -1, HR_VALIDATE_FULL), HR_CORRUPT);
    assert_int_equal(open_with_i32(f, &offsets[0], -1, HR_VALIDATE_BOUNDS), HR_CORRUPT);
    assert_int_equal(open_with_i32(f, &offsets[24], 1 << 20, HR_VALIDATE_BOUNDS), HR_CORRUPT);
    offsets = vec->offsets;
    assert_int_equal(open_with_i32(f, &offsets[24], 1 << 20, HR_VALIDATE_BOUNDS), HR_CORRUPT);
    offsets = deep->child->offsets;
    assert_int_equal(open_with_i32(f, &offsets[1], 1 << 20, HR_VALIDATE_FULL), HR_CORRUPT);
    for (int64_t row = 0; row < 24; row++) { // under nulls as well
        const int32_t *codes = cat->data;
        assert_int_equal(open_with_i32(f, &codes[row], SAMPLE_ENTRIES, HR_VALIDATE_FULL),
                         HR_CORRUPT);
        assert_int_equal(open_with_i32(f, &codes[row], -1, HR_VALIDATE_FULL), HR_CORRUPT);
        assert_int_equal(open_with_i32(f, &codes[row], 0, HR_VALIDATE_FULL), HR_OK);
    }
    const uint8_t *text = hr_block_column(f->block, 4)->data; // no nulls
    assert_int_equal(open_with(f, position(f, text), "\xff", 1, HR_VALIDATE_FULL), HR_CORRUPT);
    uint8_t flipped = (uint8_t)(name->validity[0] ^ 1); // another number of nulls than told
    assert_int_equal(open_with(f, position(f, name->validity), &flipped, 1, HR_VALIDATE_FULL),
                     HR_CORRUPT);
}

static void wire__misaligned_span_is_refused(void **state)
{
    fixture *f = *state;
    hr_block *block = NULL;
    assert_int_equal(hr__block_open(f->span + 8, f->bytes - 8, f->block->schema, HR_VALIDATE_NONE,
                                    NULL, NULL, &block, NULL),
                     HR_INVALID);
}

static void wire__equal_rows_make_equal_spans(void **state)
{
    fixture *f = *state;
    hr_block *blocks[1] = {f->block}, *a = NULL, *b = NULL;
    assert_int_equal(hr__block_concat(blocks, 1, f->block->schema, &a, NULL), HR_OK);
    assert_int_equal(hr__block_concat(blocks, 1, f->block->schema, &b, NULL), HR_OK);
    assert_int_equal(a->span_bytes, b->span_bytes);
    assert_memory_equal(a->span, b->span, a->span_bytes);
    hr_block_unref(&a);
    hr_block_unref(&b);
}

#define WITH_SPAN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SPAN(wire__sealed_span_opens_at_every_level),
        WITH_SPAN(wire__spoiled_header_is_refused),
        WITH_SPAN(wire__spoiled_buffer_table_is_refused),
        WITH_SPAN(wire__spoiled_values_are_seen_by_full),
        WITH_SPAN(wire__misaligned_span_is_refused),
        WITH_SPAN(wire__equal_rows_make_equal_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
