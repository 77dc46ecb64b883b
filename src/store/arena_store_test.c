// SPDX-License-Identifier: Apache-2.0
// Extents and objects: charges, recycling, limits.
#include "base/thread.h"
#include "store/store_priv.h"
#include "store/store_test_support.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t charged(test_store *t)
{
    hr_store_stats stats;
    hr__store_stats(t->store, &stats);
    assert_int_equal(stats.arena_charged_bytes,
                     atomic_load(&t->ledger.kind_used_bytes[HR_LEDGER_ARENA]));
    return stats.arena_charged_bytes;
}

static void arena__charges_touched_pages_and_recycles_warm_ones_first(void **unused)
{
    test_store t;
    hr_object a, b, c;
    test_store_open(&t, 64 * MIB, 256 * MIB, NULL);
    assert_int_equal(charged(&t), 0);
    assert_int_equal(hr__store_create(t.store, MIB + 1, false, &a, NULL), HR_OK);
    assert_int_equal(charged(&t), MIB + 4096);
    assert_int_equal(hr__store_create(t.store, MIB, false, &b, NULL), HR_OK);
    uint8_t *warm = b.memory;
    hr__store_unref(t.store, a.id);
    hr__store_unref(t.store, b.id);
    assert_int_equal(charged(&t), 2 * MIB + 4096); // pages stay
    assert_int_equal(hr__store_create(t.store, MIB - 5000, false, &c, NULL), HR_OK);
    assert_ptr_equal(c.memory, warm);
    assert_int_equal(charged(&t), 2 * MIB + 4096);
    assert_int_equal(hr__store_trim(t.store, 1), MIB + 4096);
    assert_int_equal(charged(&t), MIB);
    hr__store_unref(t.store, c.id);
    test_store_close(&t);
}

static void arena__punches_the_coldest_when_the_ledger_refuses(void **unused)
{
    test_store t;
    hr_object_id ids[8];
    test_store_open(&t, 8 * MIB, 6 * MIB, NULL);
    for (int i = 0; i < 6; i++)
        ids[i] = make_object(t.store, MIB, 1);
    assert_int_equal(try_object(t.store, MIB, 2), 0); // the ledger's limit
    for (int i = 0; i < 6; i++)
        hr__store_unref(t.store, ids[i]);
    assert_true(atomic_load(&t.wakes) > 0);
    // Another size: cold pages of the first are punched for it.
    for (int i = 0; i < 3; i++)
        ids[i] = make_object(t.store, 2 * MIB, 3);
    assert_int_equal(charged(&t), 6 * MIB);
    hr__ledger_force_charge(&t.ledger, HR_LEDGER_HEAP, 5 * MIB); // somebody else needs it
    hr__store_unref(t.store, ids[0]);
    assert_int_equal(hr__store_trim(t.store, UINT64_MAX), 2 * MIB);
    hr__ledger_uncharge(&t.ledger, HR_LEDGER_HEAP, 5 * MIB);
    hr__store_unref(t.store, ids[1]);
    hr__store_unref(t.store, ids[2]);
    test_store_close(&t);
}

static void arena__keeps_a_reserve_and_says_what_never_fits(void **unused)
{
    test_store t;
    hr_object o;
    hr_error err = HR_ERROR_INIT;
    test_store_open(&t, 4 * MIB, 64 * MIB, NULL);
    hr__store_set_reserve(t.store, 2 * MIB);
    hr_object_id a = make_object(t.store, 2 * MIB, 1);
    assert_int_equal(hr__store_create(t.store, MIB, false, &o, NULL), HR_AGAIN);
    hr_store_stats stats;
    hr__store_stats(t.store, &stats);
    assert_int_equal(stats.waiting, 1);
    assert_int_equal(hr__store_create(t.store, MIB, true, &o, NULL), HR_OK);
    hr__store_unref(t.store, o.id);
    hr__store_unref(t.store, a);
    assert_int_equal(hr__store_create(t.store, 5 * MIB, true, &o, &err), HR_LIMIT);
    assert_non_null(strstr(err.message, "5242880 bytes"));
    assert_int_equal(hr__store_create(t.store, SIZE_MAX, true, &o, &err), HR_LIMIT);
    test_store_close(&t);
}

// Sizes that drift: classes never join, yet their space comes back.
static void arena__drifting_sizes_stay_within_the_budget(void **unused)
{
    test_store t;
    uint64_t arena = 16 * MIB, draw = 12345;
    test_store_open(&t, arena, 64 * MIB, NULL);
    hr_object_id held[8] = {0};
    for (uint64_t i = 0; i < 4000; i++) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        hr__store_unref(t.store, held[i % 8]);
        hr_object o;
        assert_int_equal(
            hr__store_create(t.store, 4096 + (draw >> 33) % (2 * MIB - 4096), false, &o, NULL),
            HR_OK);
        o.memory[0] = o.memory[o.bytes - 1] = 1;
        held[i % 8] = o.id;
        assert_true(charged(&t) <= arena);
    }
    assert_true(t.store->arena.segments.count <= 64);
    for (int i = 0; i < 8; i++)
        hr__store_unref(t.store, held[i]);
    test_store_close(&t);
}

// A small address space (ulimit -v) maps small segments and reuses what it has.
static void arena__works_in_a_small_address_space(void **unused)
{
    pid_t pid = fork();
    if (pid == 0) {
        hr_memory_info info;
        hr__memory_info(&info);
        struct rlimit limit = {(rlim_t)260 << 20, (rlim_t)260 << 20};
        test_store t;
        if (setrlimit(RLIMIT_AS, &limit) != 0)
            _exit(2);
        hr_error err = HR_ERROR_INIT;
        hr__ledger_init(&t.ledger, 256 * MIB);
        hr_store_config config = {&t.ledger, 128 * MIB, NULL, false, NULL, NULL};
        if (hr__store_open(&config, &t.store, &err) != HR_OK)
            _exit(3);
        for (size_t i = 0; i < 200; i++) {
            hr_object o;
            if (hr__store_create(t.store, MIB * (1 + i % 50), false, &o, &err) != HR_OK)
                _exit(4);
            o.memory[o.bytes - 1] = 1;
            hr__store_unref(t.store, o.id);
        }
        _exit(0);
    }
    int state = 0;
    assert_int_equal(waitpid(pid, &state, 0), pid);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_int_equal(state, 0);
#endif
}

static void arena__a_forked_child_is_refused_and_frees_nothing(void **unused)
{
    test_store t;
    test_store_open(&t, 4 * MIB, 64 * MIB, NULL);
    hr_object_id id = make_object(t.store, MIB, 5);
    pid_t pid = fork();
    if (pid == 0) {
        hr_object o;
        bool right = hr__store_create(t.store, MIB, false, &o, NULL) == HR_DENIED;
        hr__store_unref(t.store, id);
        hr__store_close(&t.store);
        _exit(right && !t.store ? 0 : 1);
    }
    int state = 0;
    assert_int_equal(waitpid(pid, &state, 0), pid);
    assert_int_equal(state, 0);
    const uint8_t *memory = NULL;
    size_t bytes = 0;
    assert_int_equal(hr__store_pin(t.store, id, &memory, &bytes, NULL), HR_OK);
    assert_true(has_pattern(memory, bytes, 5));
    hr__store_unpin(t.store, id);
    hr__store_unref(t.store, id);
    test_store_close(&t);
}

static void create_and_drop(void *context)
{
    test_store *t = context;
    for (int i = 0; i < 5000; i++) {
        hr_object o;
        if (hr__store_create(t->store, MIB + (size_t)(i % 7) * 400000, false, &o, NULL) == HR_OK)
            hr__store_unref(t->store, o.id);
    }
}

// What a creation and its release cost, warm: printed, not judged.
static void arena__creation_by_several_threads(void **unused)
{
    test_store t;
    hr_thread threads[4] = {0};
    test_store_open(&t, 256 * MIB, 256 * MIB, NULL);
    create_and_drop(&t);
    uint64_t begin = hr__now_ns();
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            hr__thread_start(&threads[i], "create", HR_THREAD_NORMAL, create_and_drop, &t, NULL),
            HR_OK);
    for (int i = 0; i < 4; i++)
        hr__thread_join(&threads[i]);
    print_message("a creation and its release, 4 threads: %.2f us\n",
                  (double)(hr__now_ns() - begin) / 20000 / 1000);
    test_store_close(&t);
}

static void ranges__join_with_their_neighbours(void **unused)
{
    hr_ranges r = {0};
    uint64_t at = 0;
    hr__ranges_add(&r, 0, 10);
    hr__ranges_add(&r, 20, 10);
    hr__ranges_add(&r, 40, 10);
    assert_int_equal(r.list.count, 3);
    assert_false(hr__ranges_take(&r, 11, &at));
    hr__ranges_add(&r, 10, 10); // both sides
    assert_int_equal(r.list.count, 2);
    hr__ranges_add(&r, 30, 5); // before
    hr__ranges_add(&r, 35, 5); // and after
    assert_int_equal(r.list.count, 1);
    assert_true(hr__ranges_take(&r, 50, &at));
    assert_int_equal(at, 0);
    assert_int_equal(r.list.count, 0);
    hr__ranges_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena__works_in_a_small_address_space),
        cmocka_unit_test(ranges__join_with_their_neighbours),
        cmocka_unit_test(arena__charges_touched_pages_and_recycles_warm_ones_first),
        cmocka_unit_test(arena__punches_the_coldest_when_the_ledger_refuses),
        cmocka_unit_test(arena__keeps_a_reserve_and_says_what_never_fits),
        cmocka_unit_test(arena__drifting_sizes_stay_within_the_budget),
        cmocka_unit_test(arena__a_forked_child_is_refused_and_frees_nothing),
        cmocka_unit_test(arena__creation_by_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
