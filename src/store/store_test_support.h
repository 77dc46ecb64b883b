// SPDX-License-Identifier: Apache-2.0
// What the room's tests share: a small store, objects with known bytes, a schema of one column.
#ifndef HR_STORE_STORE_TEST_SUPPORT_H
#define HR_STORE_STORE_TEST_SUPPORT_H

#include "base/unit.h"
#include "base/os.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

typedef struct test_store {
    hr_ledger ledger;
    _Atomic uint64_t wakes;
    hr_store *store;
} test_store;

static inline void count_wake(void *context)
{
    atomic_fetch_add(&((test_store *)context)->wakes, 1);
}

static inline void test_store_open(test_store *t, uint64_t arena_bytes, uint64_t ledger_bytes,
                                   const char *spill_dir)
{
    hr_error err = HR_ERROR_INIT;
    memset(t, 0, sizeof *t);
    hr__ledger_init(&t->ledger, ledger_bytes);
    hr_store_config config = {&t->ledger, arena_bytes, spill_dir, true, count_wake, t};
    hr_status status = hr__store_open(&config, &t->store, &err);
    if (status)
        fail_msg("%s", err.message);
}

// Closes it; nothing may be charged any more.
static inline void test_store_close(test_store *t)
{
    hr__store_close(&t->store);
    assert_int_equal(atomic_load(&t->ledger.used_bytes), 0);
}

static inline hr_schema *test_schema(void)
{
    static hr_type type = {.id = HR_TYPE_INT64};
    hr_field field = {"x", &type, false};
    hr_schema *schema = NULL;
    assert_int_equal(hr_schema_make(&field, 1, &schema, NULL), HR_OK);
    return schema;
}

// Bytes that depend on key and place, so that a wrong object or a torn one is seen.
static inline void fill_pattern(uint8_t *memory, size_t bytes, uint64_t key)
{
    uint64_t *words = (uint64_t *)(void *)memory;
    for (size_t i = 0; i < bytes / 8; i++)
        words[i] = key * 0x9e3779b97f4a7c15u + i;
}

static inline bool has_pattern(const uint8_t *memory, size_t bytes, uint64_t key)
{
    const uint64_t *words = (const uint64_t *)(const void *)memory;
    for (size_t i = 0; i < bytes / 8; i++)
        if (words[i] != key * 0x9e3779b97f4a7c15u + i)
            return false;
    return true;
}

// A sealed object; 0 when the store says AGAIN.
static inline hr_object_id try_object(hr_store *store, size_t bytes, uint64_t key)
{
    hr_error err = HR_ERROR_INIT;
    hr_object object;
    hr_status status = hr__store_create(store, bytes, false, &object, &err);
    if (status == HR_AGAIN)
        return 0;
    if (status)
        fail_msg("%s: %s", hr_status_name(status), err.message);
    fill_pattern(object.memory, bytes, key);
    hr__store_seal(store, object.id, bytes);
    return object.id;
}

static inline hr_object_id make_object(hr_store *store, size_t bytes, uint64_t key)
{
    hr_object_id id;
    wait_until((id = try_object(store, bytes, key)) != 0);
    return id;
}

#endif
