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
    assert_int_equal(hr__map_count(m), 5001);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_true(hr__map_get(m, &i, sizeof i, &value));
        assert_int_equal(value, i * 2);
    }
    assert_true(hr__map_get(m, NULL, 0, &value));
    assert_int_equal(value, 77);
    uint32_t absent = 5000;
    assert_false(hr__map_get(m, &absent, sizeof absent, NULL));
    assert_ok(hr__map_put(m, "", 0, 78, &err), &err);
    assert_int_equal(hr__map_count(m), 5001);
    hr__map_close(&m);
    hr__map_close(&m);
}

static void map__iterates_in_order_of_insertion(void **state)
{
    hr_map *m = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr__map_open(&m, &err), &err);
    for (uint32_t i = 0; i < 1000; i++)
        assert_ok(hr__map_put(m, &i, sizeof i, i, &err), &err);
    for (uint32_t i = 0; i < 1000; i += 2)
        assert_true(hr__map_remove(m, &i, sizeof i));
    for (uint32_t i = 0; i < 1000; i += 4) // again, now at the end
        assert_ok(hr__map_put(m, &i, sizeof i, i, &err), &err);
    size_t cursor = 0, key_bytes, count = 0;
    const void *key;
    uint64_t value;
    while (hr__map_next(m, &cursor, &key, &key_bytes, &value)) {
        assert_int_equal(value, count < 500 ? 2 * count + 1 : 4 * (count - 500));
        assert_int_equal(key_bytes, 4);
        uint32_t id;
        memcpy(&id, key, sizeof id);
        assert_int_equal(id, value);
        count++;
    }
    assert_int_equal(count, 750);
    hr__map_close(&m);
}

static void map__stays_small_when_keys_come_and_go(void **state)
{
    hr_map *m = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr__map_open(&m, &err), &err);
    hr__mem_fail_after(0);
    for (uint64_t i = 0; i < 100000; i++) {
        assert_ok(hr__map_put(m, &i, sizeof i, i, &err), &err);
        if (i >= 10) {
            uint64_t old = i - 10;
            assert_true(hr__map_remove(m, &old, sizeof old));
        }
    }
    assert_int_equal(hr__map_count(m), 10);
    size_t cursor = 0;
    uint64_t value;
    assert_true(hr__map_next(m, &cursor, NULL, NULL, &value));
    assert_int_equal(value, 99990);
    assert_true(cursor < 200);
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
    assert_int_equal(hr__map_count(m), count);
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
        cmocka_unit_test(map__iterates_in_order_of_insertion),
        cmocka_unit_test(map__stays_small_when_keys_come_and_go),
        cmocka_unit_test(map__survives_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
