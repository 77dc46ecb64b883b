// SPDX-License-Identifier: Apache-2.0
#include "base/unit.h"
#include "block/block_sample.h"

static hr_block *make(int64_t rows, uint64_t seed)
{
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    if (sample_block(rows, seed, &block, &err))
        fail_msg("%s", err.message);
    return block;
}

static hr_block *take(const hr_block *block, const uint32_t *indexes, int64_t count)
{
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_block *out = NULL;
    hr_error err = HR_ERROR_INIT;
    void *memory = NULL;
    assert_int_equal(hr__take_layout(block, indexes, count, &layout, &err), HR_OK);
    assert_int_equal(hr__layout_finish(&layout, &err), HR_OK);
    assert_int_equal(hr__alloc_aligned(layout.span_bytes, 64, &memory, &err), HR_OK);
    memset(memory, 0xa5, layout.span_bytes);
    assert_int_equal(hr__builder_init(&builder, &layout, memory, &err), HR_OK);
    if (hr__take_append(block, indexes, count, &builder, 0, &err))
        fail_msg("%s", err.message);
    hr__builder_seal(&builder, count);
    if (hr__block_open(memory, layout.span_bytes, block->schema, HR_VALIDATE_FULL, hr__free, memory,
                       &out, &err))
        fail_msg("%s", err.message);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    return out;
}

static void block__slice_shows_the_same_rows(void **state)
{
    hr_block *block = make(37, 1), *part = NULL, *inner = NULL, *none = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr_block_slice(block, 5, 20, &part, &err), HR_OK);
    assert_int_equal(hr_block_slice(part, 3, 9, &inner, &err), HR_OK);
    assert_int_equal(hr_block_slice(part, 20, 0, &none, &err), HR_OK);
    int64_t whole_bytes = hr_block_bytes(block);
    assert_true(hr_block_bytes(inner) < hr_block_bytes(part));
    assert_true(hr_block_bytes(part) < whole_bytes);
    hr_block_unref(&block);
    block = make(37, 1);
    for (int64_t i = 0; i < 9; i++)
        assert_true(sample_rows_equal(inner, i, block, 8 + i));
    assert_int_equal(hr_block_rows(none), 0);
    assert_int_equal(hr__block_validate(inner, HR_VALIDATE_FULL, &err), HR_OK);
    hr_block_unref(&part);
    hr_block_unref(&inner);
    hr_block_unref(&none);
    assert_int_equal(hr_block_slice(block, 30, 8, &part, &err), HR_INVALID);
    assert_int_equal(hr_block_slice(block, -1, 8, &part, &err), HR_INVALID);
    assert_int_equal(hr_block_slice(block, INT64_MAX, INT64_MAX, &part, &err), HR_INVALID);
    hr_block_unref(&block);
}

static void schema__project_renames_and_reorders(void **state)
{
    hr_block *block = make(9, 4);
    hr_schema *schema = NULL;
    hr_error err = HR_ERROR_INIT;
    int32_t indexes[] = {8, 0, 5};
    const char *names[] = {"kind", NULL, NULL};
    assert_int_equal(hr__schema_project(block->schema, indexes, names, 3, &schema, &err), HR_OK);
    assert_int_equal(hr_schema_find(schema, "kind"), 0);
    assert_int_equal(hr_schema_find(schema, "vec"), 2);
    assert_int_equal(hr_schema_find(schema, "cat"), -1);
    hr_schema_unref(&schema);
    hr_block_unref(&block);
}

static void block__take_gathers_any_rows(void **state)
{
    hr_block *block = make(100, 7), *part = NULL;
    hr_error err = HR_ERROR_INIT;
    uint32_t indexes[64];
    uint64_t random = 3;
    for (int i = 0; i < 64; i++)
        indexes[i] = sample_random(&random) % 60;
    hr_block *got = take(block, indexes, 64);
    for (int64_t i = 0; i < 64; i++)
        assert_true(sample_rows_equal(got, i, block, indexes[i]));
    hr_block_unref(&got);
    assert_int_equal(hr_block_slice(block, 33, 60, &part, &err), HR_OK);
    got = take(part, indexes, 64);
    for (int64_t i = 0; i < 64; i++)
        assert_true(sample_rows_equal(got, i, part, indexes[i]));
    hr_block_unref(&got);
    got = take(part, NULL, 41);
    for (int64_t i = 0; i < 41; i++)
        assert_true(sample_rows_equal(got, i, part, i));
    hr_block_unref(&got);
    got = take(part, indexes, 0);
    assert_int_equal(hr_block_rows(got), 0);
    hr_block_unref(&got);
    hr_layout layout = {0};
    indexes[63] = 60;
    assert_int_equal(hr__take_layout(part, indexes, 64, &layout, &err), HR_INVALID);
    assert_int_equal(hr__take_layout(part, NULL, 61, &layout, &err), HR_INVALID);
    hr_block_unref(&part);
    hr_block_unref(&block);
}

static void block__concat_keeps_every_row(void **state)
{
    hr_block *blocks[4] = {make(11, 1), make(0, 2), make(40, 3), NULL}, *out = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr_block_slice(blocks[2], 7, 13, &blocks[3], &err), HR_OK);
    if (hr__block_concat(blocks, 4, blocks[0]->schema, &out, &err))
        fail_msg("%s", err.message);
    assert_int_equal(hr__block_validate(out, HR_VALIDATE_FULL, &err), HR_OK);
    assert_int_equal(hr_block_rows(out), 64);
    int64_t at = 0;
    for (int b = 0; b < 4; b++)
        for (int64_t i = 0; i < hr_block_rows(blocks[b]); i++)
            assert_true(sample_rows_equal(out, at++, blocks[b], i));
    // Values that stand in the span already are not appended again.
    hr_block *twice[2] = {blocks[2], blocks[3]}, *joined = NULL;
    assert_int_equal(hr__block_concat(twice, 2, blocks[0]->schema, &joined, &err), HR_OK);
    assert_int_equal(hr_block_column(joined, 8)->child->rows, SAMPLE_ENTRIES);
    hr_block_unref(&joined);
    assert_int_equal(hr__block_concat(NULL, 0, blocks[0]->schema, &joined, &err), HR_OK);
    assert_int_equal(hr_block_rows(joined), 0);
    hr_block_unref(&joined);
    hr_block_unref(&out);
    for (int b = 0; b < 4; b++)
        hr_block_unref(&blocks[b]);
}

static void block__nulls_are_counted_in_views(void **state)
{
    hr_block *block = make(100, 12), *part = NULL;
    assert_int_equal(hr_block_slice(block, 13, 70, &part, NULL), HR_OK);
    for (int32_t i = 0; i < SAMPLE_COLUMNS; i++) {
        const hr_column *c = hr_block_column(part, i);
        int64_t nulls = 0;
        for (int64_t row = 0; row < c->rows; row++)
            nulls += !hr__column_is_valid(c, row);
        assert_int_equal(hr__column_null_count(c), nulls);
    }
    hr_block_unref(&part);
    hr_block_unref(&block);
}

static void block__fewer_rows_than_planned_may_be_sealed(void **state)
{
    hr_block *block = make(50, 5), *out = NULL;
    hr_layout layout = {0};
    hr_builder builder = {0};
    hr_error err = HR_ERROR_INIT;
    void *memory = NULL;
    assert_int_equal(hr__take_layout(block, NULL, 50, &layout, &err), HR_OK);
    assert_int_equal(hr__layout_finish(&layout, &err), HR_OK);
    assert_int_equal(hr__alloc_aligned(layout.span_bytes, 64, &memory, &err), HR_OK);
    assert_int_equal(hr__builder_init(&builder, &layout, memory, &err), HR_OK);
    uint32_t odd[25];
    for (uint32_t i = 0; i < 25; i++)
        odd[i] = 2 * i + 1;
    assert_int_equal(hr__take_append(block, odd, 20, &builder, 0, &err), HR_OK);
    assert_int_equal(hr__take_append(block, odd + 20, 5, &builder, 20, &err), HR_OK);
    hr__builder_seal(&builder, 25);
    int64_t rows = 0;
    size_t bytes = 0;
    assert_int_equal(hr__span_peek(memory, layout.span_bytes, &rows, &bytes, &err), HR_OK);
    assert_int_equal(rows, 25);
    assert_true(bytes <= layout.span_bytes);
    assert_int_equal(hr__block_open(memory, bytes, block->schema, HR_VALIDATE_FULL, hr__free,
                                    memory, &out, &err),
                     HR_OK);
    for (int64_t i = 0; i < 25; i++)
        assert_true(sample_rows_equal(out, i, block, odd[i]));
    hr_block_unref(&out);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    hr_block_unref(&block);
}

static void block__plan_that_overflows_32_bit_offsets_is_refused(void **state)
{
    hr_schema *schema = NULL;
    hr_layout layout = {0};
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(sample_schema(&schema, &err), HR_OK);
    assert_int_equal(hr__layout_init(&layout, schema, 10, &err), HR_OK);
    layout.nodes[3].data_bytes = (int64_t)INT32_MAX + 1;
    assert_int_equal(hr__layout_finish(&layout, &err), HR_LIMIT);
    layout.nodes[3].data_bytes = 0;
    layout.nodes[layout.nodes[5].child].rows = (int64_t)INT32_MAX + 1;
    assert_int_equal(hr__layout_finish(&layout, &err), HR_LIMIT);
    layout.nodes[layout.nodes[5].child].rows = 0;
    layout.nodes[4].data_bytes = (int64_t)INT32_MAX + 1; // large
    assert_int_equal(hr__layout_finish(&layout, &err), HR_OK);
    assert_true(layout.span_bytes > INT32_MAX);
    hr__layout_release(&layout);
    assert_int_equal(hr__layout_init(&layout, schema, -1, &err), HR_INVALID);
    assert_int_equal(hr__layout_init(&layout, schema, INT64_MAX, &err), HR_INVALID);
    hr_schema_unref(&schema);
}

static hr_status build_and_use(void *unused, hr_error *err)
{
    hr_block *blocks[2] = {NULL}, *out = NULL, *part = NULL;
    hr_status status;
    HR_GO(sample_block(20, 1, &blocks[0], err));
    HR_GO(sample_block(10, 2, &blocks[1], err));
    HR_GO(hr__block_concat(blocks, 2, blocks[0]->schema, &out, err));
    HR_GO(hr_block_slice(out, 3, 9, &part, err));
out:
    hr_block_unref(&part);
    hr_block_unref(&out);
    hr_block_unref(&blocks[0]);
    hr_block_unref(&blocks[1]);
    return status;
}

static void block__survives_every_failed_allocation(void **state)
{
    assert_true(hr__unit_torture(build_and_use, NULL) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block__slice_shows_the_same_rows),
        cmocka_unit_test(schema__project_renames_and_reorders),
        cmocka_unit_test(block__take_gathers_any_rows),
        cmocka_unit_test(block__concat_keeps_every_row),
        cmocka_unit_test(block__nulls_are_counted_in_views),
        cmocka_unit_test(block__fewer_rows_than_planned_may_be_sealed),
        cmocka_unit_test(block__plan_that_overflows_32_bit_offsets_is_refused),
        cmocka_unit_test(block__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
