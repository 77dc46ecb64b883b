// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"
#include "base/unit.h"

static void map__finds_what_was_put(void **state)
{
    hr_map *m = NULL;
    hr_error err = HR_ERROR_INIT;
    uint64_t value = 0;
    assert_ok(hr__map_open(&m, &err), &err);
    assert_false(hr__map_get(m, "a", 1, &value));
    assert_false(hr__map_remove(m, "a", 1));
    for (uint32_t i = 0; i < 5000; i++)
        assert_ok(hr__map_put(m, &i, sizeof i, i * 2, &err), &err);
    assert_ok(hr__map_put(m, "", 0, 77, &err), &err);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_true(hr__map_get(m, &i, sizeof i, &value));
        assert_int_equal(value, i * 2);
    }
    assert_true(hr__map_get(m, NULL, 0, &value));
    assert_int_equal(value, 77);
    uint32_t absent = 5000;
    assert_false(hr__map_get(m, &absent, sizeof absent, NULL));
    assert_ok(hr__map_put(m, "", 0, 78, &err), &err);
    assert_true(hr__map_get(m, NULL, 0, &value));
    assert_int_equal(value, 78);
    hr__map_close(&m);
    hr__map_close(&m);
}

static void map__keeps_what_is_left_when_keys_come_and_go(void **state)
{
    hr_map *m = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr__map_open(&m, &err), &err);
    for (uint64_t i = 0; i < 100000; i++) {
        assert_ok(hr__map_put(m, &i, sizeof i, i, &err), &err);
        if (i >= 10) {
            uint64_t old = i - 10;
            assert_true(hr__map_remove(m, &old, sizeof old));
        }
    }
    for (uint64_t i = 0; i < 100000; i++)
        assert_int_equal(hr__map_get(m, &i, sizeof i, NULL), i >= 99990);
    hr__map_close(&m);
}

static hr_status fill(void *context, hr_error *err)
{
    hr_map *m = NULL;
    HR_TRY(hr__map_open(&m, err));
    hr_status status = HR_OK;
    uint32_t count = 0;
    for (; count < 200; count++) {
        status = hr__map_put(m, &count, sizeof count, count, err);
        if (status != HR_OK)
            break;
    }
    // What was put before the failure is still there, and nothing else.
    for (uint32_t i = 0; i < 200; i++)
        assert_int_equal(hr__map_get(m, &i, sizeof i, NULL), i < count);
    hr__map_close(&m);
    return status;
}

static void map__survives_torture(void **state)
{
    assert_true(hr__unit_torture(fill, NULL) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map__finds_what_was_put),
        cmocka_unit_test(map__keeps_what_is_left_when_keys_come_and_go),
        cmocka_unit_test(map__survives_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
