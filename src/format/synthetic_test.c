// SPDX-License-Identifier: Apache-2.0
// Synthetic rows: cut as `range_tensor` always was, row i filled with i, by any pieces.
#include "base/unit.h"
#include "format/format.h"
#include <string.h>

static void synthetic__cuts_blocks_as_ray_did(void **state)
{
    static const struct {
        int64_t rows, blocks, count, first, last;
    } cases[] = {{1005, 10, 11, 100, 5}, {500, 10, 10, 50, 50}, {3, 10, 3, 1, 1}, {0, 5, 0, 0, 0}};
    const int64_t shape[] = {2, 3};
    for (size_t i = 0; i < HR_COUNTOF(cases); i++) {
        hr_reader *r = NULL;
        assert_int_equal(
            hr__synthetic_open(cases[i].rows, shape, 2, cases[i].blocks, "data", false, &r, NULL),
            HR_OK);
        assert_int_equal(r->fragment_count, cases[i].count);
        assert_int_equal(r->rows, cases[i].rows);
        if (cases[i].count > 0) {
            assert_int_equal(r->fragments[0].rows, cases[i].first);
            assert_int_equal(r->fragments[cases[i].count - 1].rows, cases[i].last);
        }
        hr__reader_close(&r);
    }
}

static void synthetic__fills_rows_by_their_number(void **state)
{
    const int64_t shape[] = {2, 3};
    const int32_t zero = 0;
    hr_reader *r = NULL;
    hr_fragment *f = NULL;
    hr_pass *p = NULL;
    int64_t data[6 * 6];
    hr_slot slot = {.data = data};
    assert_int_equal(hr__synthetic_open(25, shape, 2, 3, "data", false, &r, NULL), HR_OK);
    assert_int_equal(r->format->fragment_open(r, 1, &zero, 1, NULL, &f, NULL), HR_OK);
    assert_int_equal(r->format->pass_begin(f, 2, 6, &p, NULL), HR_OK);
    assert_int_equal(r->format->pass_fill(p, 0, 4, &slot, 0, NULL), HR_OK);
    assert_int_equal(r->format->pass_fill(p, 0, 2, &slot, 4, NULL), HR_OK);
    for (int i = 0; i < 36; i++)
        assert_int_equal(data[i], 8 + 2 + i / 6);
    assert_int_equal(r->format->pass_fill(p, 0, 1, &slot, 0, NULL), HR_INVALID);
    r->format->pass_end(p);
    assert_int_equal(r->format->pass_begin(f, 5, 4, &p, NULL), HR_INVALID);
    r->format->fragment_close(f);
    hr__reader_close(&r);
}

static void synthetic__refuses_bad_shapes(void **state)
{
    const int64_t bad[] = {2, 0}, huge[] = {INT64_MAX, 2};
    hr_reader *r = NULL;
    assert_int_equal(hr__synthetic_open(5, bad, 2, 1, "data", false, &r, NULL), HR_INVALID);
    assert_int_equal(hr__synthetic_open(5, huge, 2, 1, "data", false, &r, NULL), HR_INVALID);
    assert_int_equal(hr__synthetic_open(5, bad, 0, 1, "data", false, &r, NULL), HR_INVALID);
    assert_int_equal(hr__synthetic_open(-1, NULL, 0, 1, "id", true, &r, NULL), HR_INVALID);
    assert_int_equal(hr__synthetic_open(5, NULL, 0, 0, "id", true, &r, NULL), HR_INVALID);
    assert_int_equal(hr__synthetic_open(INT64_MAX, NULL, 0, 1 << 25, "id", true, &r, NULL),
                     HR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synthetic__cuts_blocks_as_ray_did),
        cmocka_unit_test(synthetic__fills_rows_by_their_number),
        cmocka_unit_test(synthetic__refuses_bad_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
