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

typedef struct row_ref {
    uint32_t block, row;
} row_ref;

static hr_status mix_indexes(const rig *r, const uint32_t *indexes, int64_t rows, bool all,
                             hr_block **out, hr_error *err)
{
    const hr_mixture of = {r->blocks, BLOCKS, indexes, rows, all};
    const hr_schema *schema = r->blocks[0]->schema;
    hr_layout layout = {0};
    hr_builder builder = {0};
    void *memory = NULL;
    hr_status status;
    HR_GO(hr__mix_layout(schema, &of, &layout, err));
    HR_GO(sample_build(&layout, &builder, &memory, err));
    HR_GO(hr__mix_append(&of, &builder, err));
    HR_GO(sample_seal(&layout, &builder, &memory, schema, rows, out, err));
out:
    sample_release(&layout, &builder, memory);
    return status;
}

static hr_status mix(const rig *r, const row_ref *order, int64_t rows, hr_block **out,
                     hr_error *err)
{
    uint32_t indexes[1024];
    for (int64_t i = 0; i < rows; i++) {
        int64_t first = 0;
        for (uint32_t b = 0; b < order[i].block; b++)
            first += hr_block_rows(r->blocks[b]);
        indexes[i] = (uint32_t)first + order[i].row;
    }
    return mix_indexes(r, indexes, rows, false, out, err);
}

static void check(const rig *r, const row_ref *order, int64_t rows)
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
    static row_ref order[ROWS];
    uint64_t random = 7;
    rig r;
    rig_open(&r);
    for (int round = 0; round < 40; round++) {
        int64_t rows = 1 + sample_random(&random) % (round % 2 ? 10 : ROWS); // few: one by one
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
    row_ref order[131];
    rig r;
    rig_open(&r);
    for (uint32_t i = 0; i < HR_COUNTOF(order); i++)
        order[i] = (row_ref){3, i};
    check(&r, order, HR_COUNTOF(order));
    rig_close(&r);
}

// Every row of all blocks, backwards.
static int64_t reverse(const rig *r, uint32_t *indexes)
{
    int64_t rows = 0;
    for (int b = 0; b < BLOCKS; b++)
        rows += hr_block_rows(r->blocks[b]);
    for (int64_t i = 0; i < rows; i++)
        indexes[i] = (uint32_t)(rows - 1 - i);
    return rows;
}

static void check_reversed(const rig *r)
{
    uint32_t indexes[1024];
    hr_error err = HR_ERROR_INIT;
    hr_block *out = NULL;
    int64_t row = reverse(r, indexes);
    assert_ok(mix_indexes(r, indexes, row, true, &out, &err), &err);
    for (int b = 0; b < BLOCKS; b++)
        for (int64_t i = 0; i < hr_block_rows(r->blocks[b]); i++)
            assert_true(sample_rows_equal(out, --row, r->blocks[b], i));
    assert_int_equal(row, 0);
    hr_block_unref(&out);
}

static void mix__takes_all_rows_of_all_blocks(void **state)
{
    rig r;
    rig_open(&r);
    check_reversed(&r);
    rig_close(&r);
}

typedef struct text_rule { // row i has lengths[i % count] letters
    int64_t lengths[3];
    int64_t count;
} text_rule;

// Strings with offsets of both sizes by a rule, and a tensor of a line and more.
static hr_status text_block(int64_t rows, const text_rule *rule, hr_block **out, hr_error *err)
{
    static const hr_type small = {.id = HR_TYPE_STRING};
    static const hr_type large = {.id = HR_TYPE_STRING, .large = true}, u8 = {.id = HR_TYPE_UINT8};
    static const hr_type wide = {.id = HR_TYPE_TENSOR, .item = &u8, .ndim = 1, .shape = {72}};
    static const hr_field fields[] = {
        {.name = "s", .type = &small}, {.name = "l", .type = &large}, {.name = "w", .type = &wide}};
    hr_schema *schema = NULL;
    hr_layout layout = {0};
    hr_builder builder = {0};
    void *memory = NULL;
    int64_t at = 0;
    hr_status status;
    HR_GO(hr_schema_make(fields, HR_COUNTOF(fields), &schema, err));
    HR_GO(hr__layout_init(&layout, schema, rows, err));
    for (int64_t i = 0; i < rows; i++)
        at += rule->lengths[i % rule->count];
    layout.nodes[0].data_bytes = layout.nodes[1].data_bytes = at;
    HR_GO(hr__layout_finish(&layout, err));
    HR_GO(sample_build(&layout, &builder, &memory, err));
    for (int64_t i = 0; i < at; i++)
        ((char *)builder.slots[0].data)[i] = ((char *)builder.slots[1].data)[i] =
            (char)('a' + i % 23);
    at = 0;
    for (int64_t i = 0; i < rows; i++) {
        at += rule->lengths[i % rule->count];
        ((int32_t *)builder.slots[0].offsets)[i + 1] = (int32_t)at;
        ((int64_t *)builder.slots[1].offsets)[i + 1] = at;
        memset((char *)builder.slots[2].data + 72 * i, (int)(rows + i), 72);
    }
    HR_GO(sample_seal(&layout, &builder, &memory, schema, rows, out, err));
out:
    sample_release(&layout, &builder, memory);
    hr_schema_unref(&schema);
    return status;
}

static void mix__copies_strings_of_every_length(void **state)
{
    // Of one length, that rows are taken by; of several, one of them none at all; longer than fits a short copy; long.
    static const text_rule rules[] = {{{8}, 1},         {{10}, 1},  {{0}, 1},      {{3, 16, 0}, 3},
                                      {{17, 1, 40}, 3}, {{300}, 1}, {{500, 90}, 2}};
    static const int64_t rows[BLOCKS] = {40, 0, 11, 100, 64};
    hr_error err = HR_ERROR_INIT;
    for (size_t i = 0; i < HR_COUNTOF(rules); i++) {
        rig r;
        for (int b = 0; b < BLOCKS; b++)
            assert_ok(text_block(rows[b], &rules[i], &r.blocks[b], &err), &err);
        check_reversed(&r);
        const row_ref some[] = {{3, 99}, {0, 0}, {3, 99}, {4, 63}, {2, 10}};
        check(&r, some, HR_COUNTOF(some));
        rig_close(&r);
    }
}

static void mix__refuses_rows_that_are_not_there(void **state)
{
    const uint32_t indexes[] = {1, 246};
    hr_error err = HR_ERROR_INIT;
    hr_block *out = NULL;
    rig r;
    rig_open(&r);
    assert_int_equal(mix_indexes(&r, indexes, 2, false, &out, &err), HR_INVALID);
    rig_close(&r);
}

static hr_status mix_some(void *context, hr_error *err)
{
    const row_ref order[] = {{0, 1}, {2, 3}, {4, 5}, {0, 1}};
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
        cmocka_unit_test(mix__takes_all_rows_of_all_blocks),
        cmocka_unit_test(mix__copies_strings_of_every_length),
        cmocka_unit_test(mix__refuses_rows_that_are_not_there),
        cmocka_unit_test(mix__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("mix", tests, NULL, NULL);
}
