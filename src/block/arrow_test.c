// SPDX-License-Identifier: Apache-2.0
// Arrays made by hand as the C Data Interface describes them, not by our own exporter; then the round trip.
#include "base/unit.h"
#include "block/block_sample.h"

static int released_schemas, released_arrays;

static void release_schema(struct ArrowSchema *schema)
{
    released_schemas++;
    schema->release = NULL;
}

static void release_array(struct ArrowArray *array)
{
    released_arrays++;
    array->release = NULL;
}

static struct ArrowSchema make_schema(const char *format, const char *name, int64_t count,
                                      struct ArrowSchema **children)
{
    return (struct ArrowSchema){.format = format,
                                .name = name,
                                .flags = ARROW_FLAG_NULLABLE,
                                .n_children = count,
                                .children = children,
                                .release = release_schema};
}

static struct ArrowArray make_array(int64_t length, int64_t offset, int64_t buffer_count,
                                    const void **buffers)
{
    return (struct ArrowArray){.length = length,
                               .null_count = -1,
                               .offset = offset,
                               .n_buffers = buffer_count,
                               .buffers = buffers,
                               .release = release_array};
}

static hr_status import_schema(struct ArrowSchema *column, hr_schema **out, hr_error *err)
{
    struct ArrowSchema root = make_schema("+s", "", 1, &column);
    return hr_schema_import(&root, out, err);
}

// Imports one column as a block of `rows` rows that begin at row `offset` of the struct.
static hr_status import_column(struct ArrowSchema *schema, struct ArrowArray *column, int64_t rows,
                               int64_t offset, hr_block **out, hr_error *err)
{
    static const void *none[1];
    hr_schema *made = NULL;
    struct ArrowArray root = make_array(rows, offset, 1, none);
    root.n_children = 1;
    root.children = &column;
    hr_status status = import_schema(schema, &made, err);
    if (!status)
        status = hr_block_import(&root, made, out, err);
    if (!status)
        assert_null(root.release);
    hr_schema_unref(&made);
    return status;
}

static void assert_values(const hr_block *block, const char *expected)
{
    hr_text text;
    hr__text_init(&text, 1 << 16);
    for (int64_t i = 0; i < hr_block_rows(block); i++) {
        hr__text_put(&text, " ", i > 0);
        hr__column_print_json(hr_block_column(block, 0), i, &text);
    }
    assert_string_equal(hr__text_str(&text), expected);
    hr__text_finish(&text);
}

// Imports, compares what it prints, and sees the array released once.
static void check_import(struct ArrowSchema *schema, struct ArrowArray *column, int64_t rows,
                         int64_t offset, const char *expected)
{
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    if (import_column(schema, column, rows, offset, &block, &err))
        fail_msg("%s", err.message);
    released_arrays = 0;
    assert_values(block, expected);
    hr_block_unref(&block);
    assert_int_equal(released_arrays, 1); // the root; its children are its own affair
}

static void arrow__offsets_of_struct_and_column_add(void **state)
{
    int32_t values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    uint8_t bits[] = {0x7f, 0x03}; // 7 is null
    const void *buffers[] = {bits, values};
    struct ArrowSchema schema = make_schema("i", "a", 0, NULL);
    struct ArrowArray array = make_array(7, 3, 2, buffers);
    check_import(&schema, &array, 3, 2, "5 6 null");
    array.null_count = 1;
    check_import(&schema, &array, 7, 0, "3 4 5 6 null 8 9");
    array.null_count = 2; // a lie
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(import_column(&schema, &array, 7, 0, &block, &err), HR_CORRUPT);
    array.null_count = -1;
    schema.flags = 0;
    assert_int_equal(import_column(&schema, &array, 7, 0, &block, &err), HR_CORRUPT);
    check_import(&schema, &array, 3, 0, "3 4 5");
    assert_int_equal(import_column(&schema, &array, 7, 1, &block, &err), HR_INVALID);
}

static void arrow__validity_may_be_missing(void **state)
{
    uint8_t bits[] = {0x35};
    const void *buffers[] = {NULL, bits};
    struct ArrowSchema schema = make_schema("b", "a", 0, NULL);
    struct ArrowArray array = make_array(4, 1, 2, buffers);
    check_import(&schema, &array, 4, 0, "false true false true");
    array.null_count = 0;
    check_import(&schema, &array, 4, 0, "false true false true");
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    array.null_count = 1;
    assert_int_equal(import_column(&schema, &array, 4, 0, &block, &err), HR_INVALID);
}

static void arrow__empty_arrays_may_have_no_buffers(void **state)
{
    const void *buffers[3] = {NULL, NULL, NULL};
    static const char *const formats[] = {"i",      "u",           "U",       "Z",  "b",
                                          "d:10,2", "d:70,-5,256", "tsn:UTC", "w:5"};
    for (size_t i = 0; i < HR_COUNTOF(formats); i++) {
        struct ArrowSchema schema = make_schema(formats[i], "a", 0, NULL);
        struct ArrowArray array = make_array(0, 0, 3, buffers);
        check_import(&schema, &array, 0, 0, "");
    }
    struct ArrowSchema item = make_schema("u", "item", 0, NULL), *items = &item;
    struct ArrowSchema list = make_schema("+L", "a", 1, &items);
    struct ArrowArray child = make_array(0, 0, 3, buffers), *children = &child;
    struct ArrowArray array = make_array(0, 0, 2, buffers);
    array.n_children = 1;
    array.children = &children;
    check_import(&list, &array, 0, 0, "");
    int64_t zero[3] = {0, 0, 0}; // rows without items over a child without buffers
    const void *with[2] = {NULL, zero};
    array = make_array(2, 0, 2, with);
    array.n_children = 1;
    array.children = &children;
    check_import(&list, &array, 2, 0, "[] []");
}

static void arrow__lists_of_sliced_children(void **state)
{
    int64_t offsets[] = {0, 1, 1, 4};
    int32_t text_offsets[] = {0, 1, 2, 3, 4, 5};
    const void *text_buffers[] = {NULL, text_offsets, "vwxyz"};
    const void *buffers[] = {NULL, offsets};
    struct ArrowSchema item = make_schema("u", "item", 0, NULL), *items = &item;
    struct ArrowSchema list = make_schema("+L", "a", 1, &items);
    struct ArrowArray child = make_array(4, 1, 3, text_buffers), *children = &child;
    struct ArrowArray array = make_array(3, 0, 2, buffers);
    array.n_children = 1;
    array.children = &children;
    check_import(&list, &array, 3, 0, "[\"w\"] [] [\"x\",\"y\",\"z\"]");
    check_import(&list, &array, 2, 1, "[] [\"x\",\"y\",\"z\"]");
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    child.length = 3; // the last row ends behind it
    assert_int_equal(import_column(&list, &array, 3, 0, &block, &err), HR_CORRUPT);
    child.length = 4;
    offsets[2] = 0;
    assert_int_equal(import_column(&list, &array, 3, 0, &block, &err), HR_CORRUPT);
}

static void arrow__dictionary_codes_of_any_width_become_int32(void **state)
{
    int32_t offsets[] = {0, 1, 3, 6};
    const void *value_buffers[] = {NULL, offsets, "abbccc"};
    int8_t i8[] = {9, 2, 0, -1, 1};
    uint8_t u8[] = {9, 2, 0, 255, 1};
    int16_t i16[] = {9, 2, 0, -1, 1};
    uint16_t u16[] = {9, 2, 0, 999, 1};
    int32_t i32[] = {9, 2, 0, -1, 1};
    uint32_t u32[] = {9, 2, 0, UINT32_MAX, 1};
    int64_t i64[] = {9, 2, 0, -1, 1};
    uint64_t u64[] = {9, 2, 0, UINT64_MAX, 1};
    const struct {
        const char *format;
        const void *codes;
    } cases[] = {{"c", i8},  {"C", u8},  {"s", i16}, {"S", u16},
                 {"i", i32}, {"I", u32}, {"l", i64}, {"L", u64}};
    uint8_t bits = 0x17; // row 3 is null
    for (size_t i = 0; i < HR_COUNTOF(cases); i++) {
        const void *buffers[] = {&bits, cases[i].codes};
        struct ArrowSchema values = make_schema("u", "", 0, NULL);
        struct ArrowSchema schema = make_schema(cases[i].format, "a", 0, NULL);
        schema.dictionary = &values;
        struct ArrowArray value_array = make_array(3, 0, 3, value_buffers);
        struct ArrowArray array = make_array(4, 1, 2, buffers);
        array.dictionary = &value_array;
        check_import(&schema, &array, 4, 0, "\"ccc\" \"a\" null \"bb\"");
        array.offset = 0; // the code 9 becomes visible
        hr_block *block = NULL;
        hr_error err = HR_ERROR_INIT;
        assert_int_equal(import_column(&schema, &array, 3, 0, &block, &err), HR_CORRUPT);
        assert_non_null(strstr(err.message, "dictionary index 9, entries 3"));
    }
}

static void arrow__fixed_size_lists_are_tensors(void **state)
{
    int16_t values[26];
    for (int i = 0; i < 26; i++)
        values[i] = (int16_t)i;
    const void *leaf_buffers[] = {NULL, values}, *none[] = {NULL};
    struct ArrowSchema leaf = make_schema("s", "item", 0, NULL), *leafs = &leaf;
    struct ArrowSchema inner = make_schema("+w:3", "item", 1, &leafs), *inners = &inner;
    struct ArrowSchema outer = make_schema("+w:2", "a", 1, &inners);
    struct ArrowArray items = make_array(24, 2, 2, leaf_buffers), *item = &items;
    struct ArrowArray rows = make_array(7, 1, 1, none), *row = &rows;
    struct ArrowArray array = make_array(2, 1, 1, none);
    rows.n_children = array.n_children = 1;
    rows.children = &item;
    array.children = &row;
    check_import(&outer, &array, 2, 0, "[[11,12,13],[14,15,16]] [[17,18,19],[20,21,22]]");
    check_import(&outer, &array, 1, 1, "[[17,18,19],[20,21,22]]");
    uint8_t bits[] = {0xff, 0xff, 0x7f, 0xff}; // value 23 is null, outside; then 22 as well
    leaf_buffers[0] = bits;
    check_import(&outer, &array, 2, 0, "[[11,12,13],[14,15,16]] [[17,18,19],[20,21,22]]");
    bits[2] = 0xbf;
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(import_column(&outer, &array, 2, 0, &block, &err), HR_INVALID);
    assert_non_null(strstr(err.message, "row 1"));
    uint8_t row_bits = 0x2; // rows 1 (seen) and 2 (null)
    const void *outer_buffers[] = {&row_bits};
    array.buffers = outer_buffers;
    check_import(&outer, &array, 2, 0, "[[11,12,13],[14,15,16]] null");
    rows.length = 5;
    assert_int_equal(import_column(&outer, &array, 2, 0, &block, &err), HR_INVALID);
}

static void arrow__extension_gives_tensors_their_shape(void **state)
{
    char metadata[256];
    const char *json = "{ \"dim_names\": [\"C\",\"}\"], \"permutation\":[0,1],\"shape\":[3, 2] }";
    const char *texts[] = {"other",
                           "x",
                           "ARROW:extension:name",
                           "arrow.fixed_shape_tensor",
                           "ARROW:extension:metadata",
                           json};
    int32_t pairs = 3;
    char *at = (char *)memcpy(metadata, &pairs, 4) + 4;
    for (int i = 0; i < 6; i++) {
        int32_t bytes = (int32_t)strlen(texts[i]);
        at = (char *)memcpy(at, &bytes, 4) + 4;
        at = (char *)memcpy(at, texts[i], (size_t)bytes) + bytes;
    }
    float values[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const void *leaf_buffers[] = {NULL, values}, *none[] = {NULL};
    struct ArrowSchema leaf = make_schema("f", "item", 0, NULL), *leafs = &leaf;
    struct ArrowSchema tensor = make_schema("+w:6", "a", 1, &leafs);
    tensor.metadata = metadata;
    struct ArrowArray items = make_array(12, 0, 2, leaf_buffers), *item = &items;
    struct ArrowArray array = make_array(2, 0, 1, none);
    array.n_children = 1;
    array.children = &item;
    check_import(&tensor, &array, 1, 1, "[[7,8],[9,10],[11,12]]");
    hr_schema *schema = NULL;
    hr_error err = HR_ERROR_INIT;
    tensor.format = "+w:7";
    assert_int_equal(import_schema(&tensor, &schema, &err), HR_INVALID);
    tensor.format = "+w:6";
    memcpy(memmem(metadata, sizeof metadata, "[0,1]", 5), "[1,0]", 5);
    assert_int_equal(import_schema(&tensor, &schema, &err), HR_UNSUPPORTED);
}

static void arrow__what_we_lack_is_refused_by_name(void **state)
{
    static const char *const formats[] = {"+m",  "+ud:0,1", "+us:0",  "+r",  "vu",       "vz",
                                          "+vl", "+vL",     "tin",    "tiM", "d:5,2,32", "zz",
                                          "",    "+s",      "d:5,2,", "w:x"};
    for (size_t i = 0; i < HR_COUNTOF(formats); i++) {
        struct ArrowSchema schema = make_schema(formats[i], "odd", 0, NULL);
        hr_schema *out = NULL;
        hr_error err = HR_ERROR_INIT;
        hr_status status = import_schema(&schema, &out, &err);
        assert_int_equal(status, HR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "odd"));
        assert_non_null(strstr(err.message, formats[i]));
    }
    struct ArrowSchema text = make_schema("u", "item", 0, NULL), *texts = &text;
    struct ArrowSchema list = make_schema("+w:2", "odd", 1, &texts);
    hr_schema *out = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(import_schema(&list, &out, &err), HR_UNSUPPORTED);
    // Lists in lists without end.
    struct ArrowSchema deep[40], *next[40];
    for (int i = 0; i < 40; i++) {
        next[i] = &deep[(i + 1) % 40];
        deep[i] = make_schema("+l", "odd", 1, &next[i]);
    }
    assert_int_equal(import_schema(&deep[0], &out, &err), HR_LIMIT);
}

static void arrow__misaligned_buffers_are_copied(void **state)
{
    _Alignas(8) char memory[64];
    int32_t offsets[] = {0, 2, 2, 5};
    int64_t numbers[] = {7, -8, 9};
    uint8_t bits = 0x6;
    memcpy(memory + 1, offsets, sizeof offsets);
    const void *text_buffers[] = {&bits, memory + 1, "abcde"};
    struct ArrowSchema schema = make_schema("u", "a", 0, NULL);
    struct ArrowArray array = make_array(2, 1, 3, text_buffers);
    check_import(&schema, &array, 2, 0, "\"\" \"cde\"");
    memcpy(memory + 4, numbers, sizeof numbers);
    const void *buffers[] = {&bits, memory + 4};
    schema = make_schema("l", "a", 0, NULL);
    array = make_array(3, 0, 2, buffers);
    check_import(&schema, &array, 2, 1, "-8 9");
    check_import(&schema, &array, 3, 0, "null -8 9");
}

static void arrow__struct_with_null_rows_is_refused(void **state)
{
    int32_t values[] = {1, 2, 3};
    uint8_t bits = 0x5;
    const void *buffers[] = {NULL, values}, *root_buffers[] = {&bits};
    struct ArrowSchema schema = make_schema("i", "a", 0, NULL);
    struct ArrowArray column = make_array(3, 0, 2, buffers), *children = &column;
    struct ArrowArray root = make_array(3, 0, 1, root_buffers);
    root.n_children = 1;
    root.children = &children;
    hr_schema *made = NULL;
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(import_schema(&schema, &made, &err), HR_OK);
    released_arrays = 0;
    assert_int_equal(hr_block_import(&root, made, &block, &err), HR_INVALID);
    assert_int_equal(released_arrays, 1); // taken also on failure
    root = make_array(1, 2, 1, root_buffers);
    root.n_children = 1;
    root.children = &children;
    assert_int_equal(hr_block_import(&root, made, &block, &err), HR_OK);
    assert_values(block, "3");
    hr_block_unref(&block);
    hr_schema_unref(&made);
}

static hr_block *round_trip(const hr_block *block)
{
    struct ArrowSchema arrow_schema = {0};
    struct ArrowArray arrow = {0};
    hr_schema *schema = NULL;
    hr_block *back = NULL;
    hr_error err = HR_ERROR_INIT;
    if (hr_schema_export(block->schema, &arrow_schema, &err) ||
        hr_block_export(block, &arrow, &err) || hr_schema_import(&arrow_schema, &schema, &err) ||
        hr_block_import(&arrow, schema, &back, &err))
        fail_msg("%s", err.message);
    arrow_schema.release(&arrow_schema);
    assert_null(arrow_schema.release);
    hr_schema_unref(&schema);
    return back;
}

static void arrow__round_trip_keeps_rows_and_types(void **state)
{
    hr_block *block = NULL, *part = NULL;
    hr_error err = HR_ERROR_INIT;
    const uint32_t bfloats = 1u << 13 | 1u << 19; // print other digits as float32
    assert_int_equal(sample_block(60, 9, &block, &err), HR_OK);
    assert_int_equal(hr_block_slice(block, 7, 33, &part, &err), HR_OK);
    hr_block *whole_back = round_trip(block), *part_back = round_trip(part);
    hr_block *alone = round_trip(part_back);
    hr_block_unref(&block);
    hr_block_unref(&part_back); // what it lent lives on
    hr_block *again = NULL;
    assert_int_equal(hr_block_slice(whole_back, 7, 33, &again, &err), HR_OK);
    for (int64_t i = 0; i < 33; i++) {
        assert_true(sample_rows_match(alone, i, part, i, bfloats));
        assert_true(sample_rows_equal(again, i, alone, i));
    }
    for (int32_t i = 0; i < SAMPLE_COLUMNS; i++) {
        const hr_field *a = hr_schema_field(part->schema, i);
        const hr_field *b = hr_schema_field(alone->schema, i);
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->nullable, b->nullable);
        if (i != 13 && i != 19) // bfloat16 came back as float32
            assert_true(hr__type_equal(a->type, b->type));
    }
    assert_int_equal(hr_schema_field(alone->schema, 13)->type->id, HR_TYPE_FLOAT32);
    assert_int_equal(hr_schema_field(alone->schema, 19)->type->item->id, HR_TYPE_FLOAT32);
    hr_block_unref(&whole_back);
    hr_block_unref(&alone);
    hr_block_unref(&again);
    hr_block_unref(&part);
}

static void arrow__moved_children_outlive_their_parent(void **state)
{
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    struct ArrowArray arrow = {0};
    assert_int_equal(sample_block(10, 2, &block, &err), HR_OK);
    assert_int_equal(hr_block_export(block, &arrow, &err), HR_OK);
    struct ArrowArray labels = *arrow.children[14];
    arrow.children[14]->release = NULL;
    struct ArrowArray values = *arrow.children[19]->children[0]; // a copy of bfloat16
    arrow.children[19]->children[0]->release = NULL;
    hr_block_unref(&block);
    arrow.release(&arrow);
    const int32_t *offsets = labels.buffers[1];
    assert_int_equal(offsets[0], 0);
    assert_int_equal(labels.children[0]->dictionary->length, SAMPLE_ENTRIES);
    volatile float sum = 0;
    for (int64_t i = 0; i < values.length; i++)
        sum += ((const float *)values.buffers[1])[i];
    labels.release(&labels);
    values.release(&values);
}

static hr_status export_and_import(void *context, hr_error *err)
{
    const hr_block *block = context;
    struct ArrowSchema arrow_schema = {0};
    struct ArrowArray arrow = {0};
    hr_schema *schema = NULL;
    hr_block *back = NULL;
    hr_status status;
    HR_GO(hr_schema_export(block->schema, &arrow_schema, err));
    HR_GO(hr_schema_import(&arrow_schema, &schema, err));
    HR_GO(hr_block_export(block, &arrow, err));
    status = hr_block_import(&arrow, schema, &back, err);
    assert_null(arrow.release);
out:
    if (arrow_schema.release)
        arrow_schema.release(&arrow_schema);
    hr_schema_unref(&schema);
    hr_block_unref(&back);
    return status;
}

static void arrow__survives_every_failed_allocation(void **state)
{
    hr_block *block = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(sample_block(10, 2, &block, &err), &err);
    assert_true(hr__unit_torture(export_and_import, block) > 10);
    hr_block_unref(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrow__offsets_of_struct_and_column_add),
        cmocka_unit_test(arrow__validity_may_be_missing),
        cmocka_unit_test(arrow__empty_arrays_may_have_no_buffers),
        cmocka_unit_test(arrow__lists_of_sliced_children),
        cmocka_unit_test(arrow__dictionary_codes_of_any_width_become_int32),
        cmocka_unit_test(arrow__fixed_size_lists_are_tensors),
        cmocka_unit_test(arrow__extension_gives_tensors_their_shape),
        cmocka_unit_test(arrow__what_we_lack_is_refused_by_name),
        cmocka_unit_test(arrow__misaligned_buffers_are_copied),
        cmocka_unit_test(arrow__struct_with_null_rows_is_refused),
        cmocka_unit_test(arrow__round_trip_keeps_rows_and_types),
        cmocka_unit_test(arrow__moved_children_outlive_their_parent),
        cmocka_unit_test(arrow__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
