// SPDX-License-Identifier: Apache-2.0
// The ledger, and the scratch memory that is charged to it.
#include "base/ledger.h"
#include "base/thread.h"
#include "base/unit.h"

#define KIB UINT64_C(1024)

static void ledger__says_no_over_the_limit(void **state)
{
    hr_ledger l;
    hr__ledger_init(&l, 100);
    assert_true(hr__ledger_try_charge(&l, HR_LEDGER_ARENA, 60));
    assert_false(hr__ledger_try_charge(&l, HR_LEDGER_HEAP, 41));
    assert_true(hr__ledger_try_charge(&l, HR_LEDGER_HEAP, 40));
    assert_false(hr__ledger_try_charge(&l, HR_LEDGER_HEAP, 1));
    assert_false(hr__ledger_try_charge(&l, HR_LEDGER_HEAP, UINT64_MAX));
    hr__ledger_force_charge(&l, HR_LEDGER_SCRATCH, 10);
    assert_int_equal(l.used_bytes, 110);
    hr__ledger_uncharge(&l, HR_LEDGER_ARENA, 60);
    assert_int_equal(l.used_bytes, 50);
    assert_int_equal(l.peak_bytes, 110);
    assert_int_equal(l.kind_peak_bytes[HR_LEDGER_ARENA], 60);
    assert_int_equal(l.kind_used_bytes[HR_LEDGER_HEAP], 40);
}

static void charge_often(void *context)
{
    hr_ledger *l = context;
    for (int i = 0; i < 20000; i++) {
        if (hr__ledger_try_charge(l, HR_LEDGER_HEAP, 7))
            hr__ledger_uncharge(l, HR_LEDGER_HEAP, 7);
    }
}

static void ledger__is_exact_under_threads(void **state)
{
    hr_ledger l;
    hr_thread threads[4];
    hr_error err = HR_ERROR_INIT;
    hr__ledger_init(&l, 20);
    for (int i = 0; i < 4; i++)
        assert_ok(hr__thread_start(&threads[i], "ledger", HR_THREAD_NORMAL, charge_often, &l, &err),
                  &err);
    for (int i = 0; i < 4; i++)
        hr__thread_join(&threads[i]);
    assert_int_equal(l.used_bytes, 0);
    assert_int_equal(l.kind_used_bytes[HR_LEDGER_HEAP], 0);
    assert_true(l.peak_bytes <= 20 && l.peak_bytes >= 7);
}

static void scratch__comes_back_warm(void **state)
{
    hr_ledger l;
    hr_scratch *s = NULL;
    hr_error err = HR_ERROR_INIT;
    void *a = NULL, *b = NULL, *c = NULL;
    hr__ledger_init(&l, 1024 * KIB);
    assert_ok(hr__scratch_open(&l, 512 * KIB, &s, &err), &err);
    assert_ok(hr__scratch_take(s, 64 * KIB, &a, &err), &err);
    assert_int_equal((uintptr_t)a % 64, 0);
    memset(a, 1, 64 * KIB + 64);
    uint64_t charged = l.used_bytes;
    assert_true(charged >= 64 * KIB && charged < 65 * KIB);
    hr__scratch_give(s, a);
    assert_int_equal(l.used_bytes, charged);
    // Its own size, a little less, and no longer: half the size is a class of its own.
    assert_ok(hr__scratch_take(s, 50 * KIB, &b, &err), &err);
    assert_ptr_equal(a, b);
    hr__scratch_give(s, b);
    assert_ok(hr__scratch_take(s, 32 * KIB, &c, &err), &err);
    assert_ptr_not_equal(a, c);
    hr__scratch_give(s, c);
    hr__scratch_give(s, NULL);
    assert_true(hr__scratch_trim(s) > 96 * KIB);
    assert_int_equal(l.used_bytes, 0);
    hr__scratch_close(&s);
    assert_null(s);
}

static void scratch__keeps_at_most_what_it_was_told(void **state)
{
    hr_ledger l;
    hr_scratch *s = NULL;
    hr_error err = HR_ERROR_INIT;
    void *many[8], *large = NULL;
    hr__ledger_init(&l, 1 << 30);
    assert_ok(hr__scratch_open(&l, 200 * KIB, &s, &err), &err);
    for (int i = 0; i < 8; i++)
        assert_ok(hr__scratch_take(s, 40 * KIB, &many[i], &err), &err);
    for (int i = 0; i < 8; i++)
        hr__scratch_give(s, many[i]);
    assert_true(l.used_bytes <= 200 * KIB);
    assert_true(l.used_bytes >= 160 * KIB);
    // A new size pushes the old one out.
    assert_ok(hr__scratch_take(s, 160 * KIB, &large, &err), &err);
    hr__scratch_give(s, large);
    uint64_t kept = l.used_bytes;
    assert_true(kept >= 160 * KIB && kept <= 200 * KIB);
    // What could never be kept does not push anything out.
    assert_ok(hr__scratch_take(s, 1024 * KIB, &large, &err), &err);
    hr__scratch_give(s, large);
    assert_int_equal(l.used_bytes, kept);
    hr__scratch_close(&s);
    assert_int_equal(l.used_bytes, 0);
}

static void scratch__limit_names_the_size(void **state)
{
    hr_ledger l;
    hr_scratch *s = NULL;
    hr_error err = HR_ERROR_INIT;
    void *a = NULL, *b = NULL;
    hr__ledger_init(&l, 100 * KIB);
    assert_ok(hr__scratch_open(&l, 1024 * KIB, &s, &err), &err);
    assert_status(hr__scratch_take(s, 500 * KIB, &a, &err), HR_LIMIT);
    assert_ok(hr__scratch_take(s, 80 * KIB, &a, &err), &err);
    assert_status(hr__scratch_take(s, 40 * KIB, &b, &err), HR_LIMIT);
    assert_null(b);
    assert_message_has(&err, "41088 bytes");
    hr__scratch_give(s, a);
    // Kept buffers of the wrong size make room.
    assert_ok(hr__scratch_take(s, 40 * KIB, &b, &err), &err);
    assert_true(l.used_bytes < 50 * KIB);
    hr__scratch_give(s, b);
    assert_status(hr__scratch_take(s, SIZE_MAX, &b, &err), HR_LIMIT);
    hr__scratch_close(&s);
}

// What another keeps to save work: buffers of the scratch itself.
typedef struct hoard {
    hr_spare spare; // first
    hr_scratch *scratch;
    void *kept[4];
    int asked;
} hoard;

static uint64_t hoard_give(hr_spare *spare, uint64_t bytes)
{
    hoard *h = (hoard *)spare;
    h->asked++;
    for (int i = 0; i < 4; i++) {
        if (h->kept[i]) {
            hr__scratch_give(h->scratch, h->kept[i]);
            h->kept[i] = NULL;
            return 40 * KIB;
        }
    }
    return 0;
}

static void scratch__spares_give_in_turn_before_a_limit(void **state)
{
    hr_ledger l;
    hr_scratch *s = NULL;
    hr_error err = HR_ERROR_INIT;
    hoard hoards[2];
    void *a = NULL, *b = NULL;
    hr__ledger_init(&l, 350 * KIB);
    assert_ok(hr__scratch_open(&l, 1024 * KIB, &s, &err), &err);
    for (int i = 0; i < 2; i++) {
        hoards[i] = (hoard){.spare.give = hoard_give, .scratch = s};
        for (int k = 0; k < 4; k++)
            assert_ok(hr__scratch_take(s, 40 * KIB, &hoards[i].kept[k], &err), &err);
        hr__scratch_add_spare(s, &hoards[i].spare);
    }
    assert_ok(hr__scratch_take(s, 80 * KIB, &a, &err), &err);
    assert_true(hoards[0].asked > 0 && hoards[1].asked > 0);
    assert_ok(hr__scratch_take(s, 160 * KIB, &b, &err), &err);
    hr__scratch_give(s, b);
    assert_status(hr__scratch_take(s, 300 * KIB, &b, &err), HR_LIMIT); // `a` is in use
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 4; k++)
            assert_null(hoards[i].kept[k]);
        hr__scratch_remove_spare(s, &hoards[i].spare);
    }
    hr__scratch_give(s, a);
    hr__scratch_close(&s);
    assert_int_equal(l.used_bytes, 0);
}

static void scratch__every_size_is_writable_with_slack(void **state)
{
    hr_ledger l;
    hr_scratch *s = NULL;
    hr_error err = HR_ERROR_INIT;
    hr__ledger_init(&l, 1 << 30);
    assert_ok(hr__scratch_open(&l, 0, &s, &err), &err);
    for (size_t bytes = 0; bytes < 40000; bytes += 61) {
        uint8_t *p = NULL;
        assert_ok(hr__scratch_take(s, bytes, &p, &err), &err);
        memset(p, 0xCD, HR_ALIGN_UP(bytes, 64) + 64);
        hr__scratch_give(s, p);
    }
    assert_int_equal(l.used_bytes, 0);
    hr__scratch_close(&s);
}

static hr_status use_scratch(void *context, hr_error *err)
{
    hr_ledger *l = context;
    hr_scratch *s = NULL;
    void *a = NULL, *b = NULL;
    HR_TRY(hr__scratch_open(l, 64 * KIB, &s, err));
    hr_status status = hr__scratch_take(s, 10000, &a, err);
    if (status == HR_OK)
        status = hr__scratch_take(s, 20000, &b, err);
    hr__scratch_give(s, b);
    hr__scratch_give(s, a);
    hr__scratch_close(&s);
    return status;
}

static void scratch__survives_torture(void **state)
{
    hr_ledger l;
    hr__ledger_init(&l, 1 << 30);
    assert_int_equal(hr__unit_torture(use_scratch, &l), 3);
    assert_int_equal(l.used_bytes, 0);
}

static void take_and_give(void *context)
{
    hr_scratch *s = context;
    for (int i = 0; i < 3000; i++) {
        uint8_t *p = NULL;
        if (hr__scratch_take(s, (size_t)(i % 7) * 3000, &p, NULL) == HR_OK) {
            p[0] = (uint8_t)i;
            hr__scratch_give(s, p);
        }
    }
}

static void scratch__is_thread_safe(void **state)
{
    hr_ledger l;
    hr_scratch *s = NULL;
    hr_thread threads[3];
    hr_error err = HR_ERROR_INIT;
    hr__ledger_init(&l, 60 * KIB);
    assert_ok(hr__scratch_open(&l, 30 * KIB, &s, &err), &err);
    for (int i = 0; i < 3; i++)
        assert_ok(hr__thread_start(&threads[i], "scratch", HR_THREAD_BATCH, take_and_give, s, &err),
                  &err);
    for (int i = 0; i < 3; i++)
        hr__thread_join(&threads[i]);
    hr__scratch_close(&s);
    assert_int_equal(l.used_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger__says_no_over_the_limit),
        cmocka_unit_test(ledger__is_exact_under_threads),
        cmocka_unit_test(scratch__comes_back_warm),
        cmocka_unit_test(scratch__keeps_at_most_what_it_was_told),
        cmocka_unit_test(scratch__limit_names_the_size),
        cmocka_unit_test(scratch__spares_give_in_turn_before_a_limit),
        cmocka_unit_test(scratch__every_size_is_writable_with_slack),
        cmocka_unit_test(scratch__survives_torture),
        cmocka_unit_test(scratch__is_thread_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
