// SPDX-License-Identifier: Apache-2.0
// The heap's door, and what stands directly on it: arrays, arenas, buffers.
#include "base/arena.h"
#include "base/buffer.h"
#include "base/unit.h"
#include "base/vec.h"

static void mem__sizes_that_went_wrong_are_refused(void **state)
{
    hr_error err = HR_ERROR_INIT;
    void *p = &err;
    assert_status(hr__alloc(SIZE_MAX, &p, &err), HR_NOMEM);
    assert_ptr_equal(p, &err);
    assert_message_has(&err, "18446744073709551615 bytes");
    assert_status(hr__alloc_zero(SIZE_MAX / 2, 3, &p, &err), HR_NOMEM);
    assert_status(hr__alloc_aligned((size_t)1 << 60, 64, &p, &err), HR_NOMEM);
    p = NULL;
    assert_status(hr__realloc(&p, (size_t)1 << 60, NULL), HR_NOMEM);
    assert_null(p);
}

static void mem__size_zero_gives_a_pointer(void **state)
{
    void *p = NULL, *q = NULL;
    assert_status(hr__alloc(0, &p, NULL), HR_OK);
    assert_status(hr__alloc_zero(0, 8, &q, NULL), HR_OK);
    assert_non_null(p);
    assert_non_null(q);
    hr__free(p);
    hr__free(q);
    hr__free(NULL);
}

static void mem__aligned_is_aligned(void **state)
{
    for (size_t align = 1; align <= 4096; align *= 2) {
        void *p = NULL;
        assert_status(hr__alloc_aligned(100, align, &p, NULL), HR_OK);
        assert_int_equal((uintptr_t)p % align, 0);
        hr__free(p);
    }
}

static void mem__the_nth_allocation_fails_once(void **state)
{
    void *p = NULL, *q = NULL;
    hr__mem_fail_after(2);
    assert_status(hr__alloc(8, &p, NULL), HR_OK);
    assert_status(hr__alloc(8, &q, NULL), HR_NOMEM);
    assert_null(q);
    assert_status(hr__realloc(&p, 100, NULL), HR_OK);
    assert_int_equal(hr__mem_fail_after(0), 3);
    assert_int_equal(hr__mem_fail_after(0), 0);
    hr__free(p);
}

static void mem__failed_realloc_keeps_the_memory(void **state)
{
    char *p = NULL;
    assert_status(hr__strdup("kept", &p, NULL), HR_OK);
    hr__mem_fail_after(1);
    assert_status(hr__realloc(&p, 1000, NULL), HR_NOMEM);
    assert_string_equal(p, "kept");
    hr__free(p);
    assert_status(hr__strndup("kept whole", 4, &p, NULL), HR_OK);
    assert_string_equal(p, "kept");
    hr__free(p);
}

static void vec__grows_and_finishes_empty(void **state)
{
    HR_VEC(int) v = {0};
    for (int i = 0; i < 1000; i++)
        assert_status(HR_VEC_PUSH(&v, i, NULL), HR_OK);
    assert_int_equal(v.count, 1000);
    assert_int_equal(v.items[999], 999);
    HR_VEC_FINISH(&v);
    assert_null(v.items);
    assert_int_equal(v.capacity, 0);
    assert_status(HR_VEC_RESERVE(&v, SIZE_MAX / 2, NULL), HR_NOMEM);
    HR_VEC_FINISH(&v);
}

static void vec__failed_push_changes_nothing(void **state)
{
    HR_VEC(int) v = {0};
    assert_status(HR_VEC_PUSH(&v, 1, NULL), HR_OK);
    assert_status(HR_VEC_RESERVE(&v, SIZE_MAX, NULL), HR_NOMEM);
    assert_int_equal(v.count, 1);
    assert_int_equal(v.items[0], 1);
    HR_VEC_FINISH(&v);
}

static void bump__items_are_zero_aligned_and_apart(void **state)
{
    hr_bump bump;
    hr__bump_init(&bump, 1 << 20);
    uint8_t *last = NULL;
    for (size_t bytes = 0; bytes < 700; bytes++) {
        uint8_t *item = NULL;
        assert_status(hr__bump_alloc(&bump, bytes, &item, NULL), HR_OK);
        assert_int_equal((uintptr_t)item % 16, 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(item[i], 0);
        memset(item, 0xAB, bytes);
        if (last && bytes)
            assert_int_equal(*last, 0xAB);
        last = bytes ? item : last;
    }
    const char *text = NULL;
    assert_status(hr__bump_text(&bump, "abcdef", 3, &text, NULL), HR_OK);
    assert_string_equal(text, "abc");
    hr__bump_finish(&bump);
    assert_int_equal(bump.total_bytes, 0);
}

static void bump__ceiling_is_a_limit(void **state)
{
    hr_bump bump;
    hr_error err = HR_ERROR_INIT;
    void *p = NULL;
    hr__bump_init(&bump, 10000);
    assert_status(hr__bump_alloc(&bump, 10001, &p, &err), HR_LIMIT);
    assert_status(hr__bump_alloc(&bump, SIZE_MAX, &p, &err), HR_LIMIT);
    assert_status(hr__bump_array(&bump, SIZE_MAX / 2, 3, &p, &err), HR_LIMIT);
    for (int i = 0; i < 4; i++)
        assert_status(hr__bump_alloc(&bump, 2000, &p, &err), HR_OK);
    assert_status(hr__bump_alloc(&bump, 2000, &p, &err), HR_LIMIT);
    assert_message_has(&err, "10000 bytes");
    assert_true(bump.total_bytes <= 10000);
    hr__bump_finish(&bump);
}

static hr_status fill_bump(void *context, hr_error *err)
{
    hr_bump bump;
    hr_status status = HR_OK;
    hr__bump_init(&bump, 1 << 20);
    for (int i = 0; i < 100 && status == HR_OK; i++) {
        void *p = NULL;
        status = hr__bump_alloc(&bump, 1000, &p, err);
    }
    hr__bump_finish(&bump);
    return status;
}

static void bump__survives_torture(void **state)
{
    assert_true(hr__unit_torture(fill_bump, NULL) >= 3);
}

static void buffer__pads_with_zeros(void **state)
{
    for (size_t bytes = 0; bytes < 130; bytes++) {
        hr_buffer *b = NULL;
        assert_status(hr__buffer_alloc(bytes, &b, NULL), HR_OK);
        assert_int_equal((uintptr_t)b->data % 64, 0);
        for (size_t i = bytes; i < HR_ALIGN_UP(bytes, 64); i++)
            assert_int_equal(b->data[i], 0);
        hr__buffer_unref(&b);
        assert_null(b);
    }
    hr_buffer *none = NULL;
    assert_status(hr__buffer_alloc(SIZE_MAX - 10, &none, NULL), HR_NOMEM);
    hr__buffer_unref(&none);
    assert_null(hr__buffer_ref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mem__sizes_that_went_wrong_are_refused),
        cmocka_unit_test(mem__size_zero_gives_a_pointer),
        cmocka_unit_test(mem__aligned_is_aligned),
        cmocka_unit_test(mem__the_nth_allocation_fails_once),
        cmocka_unit_test(mem__failed_realloc_keeps_the_memory),
        cmocka_unit_test(vec__grows_and_finishes_empty),
        cmocka_unit_test(vec__failed_push_changes_nothing),
        cmocka_unit_test(bump__items_are_zero_aligned_and_apart),
        cmocka_unit_test(bump__ceiling_is_a_limit),
        cmocka_unit_test(bump__survives_torture),
        cmocka_unit_test(buffer__pads_with_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
