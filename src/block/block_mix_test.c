// SPDX-License-Identifier: Apache-2.0
// Rows from anywhere: each is the row that was named, for columns of every shape, slices, repeats, other dictionaries.
#include "base/unit.h"
#include "block/block_sample.h"

#define BLOCKS 5

typedef struct rig {
    hr_block *blocks[BLOCKS];
} rig;

static void rig_open(rig *r)
{
    hr_error err = HR_ERROR_INIT;
    hr_block *whole = NULL;
    static const int64_t rows[] = {40, 0, 11, 300, 64};
    for (int b = 0; b < BLOCKS; b++)
        assert_ok(sample_block(rows[b], (uint64_t)b + 1, &r->blocks[b], &err), &err);
    whole = r->blocks[3]; // a slice, whose bits do not begin at a byte
    assert_ok(hr_block_slice(whole, 13, 131, &r->blocks[3], &err), &err);
    hr_block_unref(&whole);
}

static void rig_close(rig *r)
{
    for (int b = 0; b < BLOCKS; b++)
        hr_block_unref(&r->blocks[b]);
}

static hr_status mix(const rig *r, const hr_row_ref *order, int64_t rows, hr_block **out,
                     hr_error *err)
{
    const hr_schema *schema = r->blocks[0]->schema;
    hr_layout layout = {0};
    hr_builder builder = {0};
    void *memory = NULL;
    hr_status status;
    HR_GO(hr__mix_layout(schema, r->blocks, BLOCKS, order, rows, &layout, err));
    HR_GO(hr__alloc_aligned(layout.span_bytes, HR_ALIGN, &memory, err));
    memset(memory, 0xa5, layout.span_bytes);
    HR_GO(hr__builder_init(&builder, &layout, memory, err));
    HR_GO(hr__mix_append(r->blocks, BLOCKS, order, rows, &builder, err));
    hr__builder_seal(&builder, rows);
    HR_GO(hr__block_open(memory, layout.span_bytes, schema, HR_VALIDATE_FULL, hr__free, memory, out,
                         err));
    memory = NULL;
out:
    hr__free(memory);
    hr__builder_release(&builder);
    hr__layout_release(&layout);
    return status;
}

static void check(const rig *r, const hr_row_ref *order, int64_t rows)
{
    hr_error err = HR_ERROR_INIT;
    hr_block *out = NULL;
    assert_ok(mix(r, order, rows, &out, &err), &err);
    assert_int_equal(hr_block_rows(out), rows);
    for (int64_t i = 0; i < rows; i++)
        assert_true(sample_rows_equal(out, i, r->blocks[order[i].block], order[i].row));
    hr_block_unref(&out);
}

static void mix__gives_the_rows_that_are_named(void **state)
{
    enum { ROWS = 500 };
    static hr_row_ref order[ROWS];
    uint64_t random = 7;
    rig r;
    rig_open(&r);
    for (int round = 0; round < 20; round++) {
        int64_t rows = 1 + sample_random(&random) % ROWS;
        for (int64_t i = 0; i < rows; i++) {
            do
                order[i].block = sample_random(&random) % BLOCKS;
            while (hr_block_rows(r.blocks[order[i].block]) == 0);
            int64_t of = hr_block_rows(r.blocks[order[i].block]);
            order[i].row = sample_random(&random) % (uint32_t)of;
        }
        check(&r, order, rows);
    }
    check(&r, order, 0);
    rig_close(&r);
}

static void mix__of_one_block_in_order_is_the_block(void **state)
{
    hr_row_ref order[131];
    rig r;
    rig_open(&r);
    for (uint32_t i = 0; i < HR_COUNTOF(order); i++)
        order[i] = (hr_row_ref){3, i};
    check(&r, order, HR_COUNTOF(order));
    rig_close(&r);
}

static void mix__refuses_rows_that_are_not_there(void **state)
{
    const hr_row_ref order[] = {{0, 1}, {2, 11}};
    hr_error err = HR_ERROR_INIT;
    hr_block *out = NULL;
    rig r;
    rig_open(&r);
    assert_int_equal(mix(&r, order, 2, &out, &err), HR_INVALID);
    rig_close(&r);
}

static hr_status mix_some(void *context, hr_error *err)
{
    const hr_row_ref order[] = {{0, 1}, {2, 3}, {4, 5}, {0, 1}};
    hr_block *out = NULL;
    HR_TRY(mix(context, order, HR_COUNTOF(order), &out, err));
    hr_block_unref(&out);
    return HR_OK;
}

static void mix__survives_every_failed_allocation(void **state)
{
    rig r;
    rig_open(&r);
    assert_true(hr__unit_torture(mix_some, &r) >= 8);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mix__gives_the_rows_that_are_named),
        cmocka_unit_test(mix__of_one_block_in_order_is_the_block),
        cmocka_unit_test(mix__refuses_rows_that_are_not_there),
        cmocka_unit_test(mix__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("mix", tests, NULL, NULL);
}
