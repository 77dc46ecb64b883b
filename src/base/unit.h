// SPDX-License-Identifier: Apache-2.0
// For unit tests of every room: cmocka, and torture by the n-th allocation.
#ifndef HR_BASE_UNIT_H
#define HR_BASE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define assert_status(call, expected) assert_int_equal((call), (expected))
// Succeeds, or shows the message of `err`.
#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        hr_status unit_status = (call);                                                            \
        if (unit_status != HR_OK)                                                                  \
            fail_msg("%s: %s", hr_status_name(unit_status), (err)->message);                       \
    } while (0)
#define assert_message_has(err, text)                                                              \
    do {                                                                                           \
        if (!strstr((err)->message, (text)))                                                       \
            fail_msg("no '%s' in '%s'", (text), (err)->message);                                   \
    } while (0)

// Longer than anything takes on a machine that has much else to do: a standstill becomes a failure.
#define UNIT_WAIT_NS UINT64_C(120000000000)

static inline void hr__unit_stand_still(const char *waits_for)
{
    fprintf(stderr, "not within %d s: %s\n", (int)(UNIT_WAIT_NS / 1000000000), waits_for);
    abort(); // from any thread
}

// Waits for an event that another thread or process makes.
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        uint64_t unit_begin_ns = hr__now_ns();                                                     \
        for (; !(condition); hr__sleep_ns(500000))                                                 \
            if (hr__now_ns() - unit_begin_ns > UNIT_WAIT_NS)                                       \
                hr__unit_stand_still(#condition);                                                  \
    } while (0)

// Calls run(context, err) with its 1st, 2nd, 3rd... allocation failing until it succeeds. Each failure must be worded
// and be NOMEM, and run() must leave nothing behind (the address sanitizer says). Returns how many were made to fail.
static inline unsigned hr__unit_torture(hr_status (*run)(void *context, hr_error *err),
                                        void *context)
{
    for (unsigned n = 1;; n++) {
        hr_error err = HR_ERROR_INIT;
        hr__mem_fail_after(n);
        hr_status status = run(context, &err);
        hr__mem_fail_after(0);
        if (status == HR_OK)
            return n - 1;
        assert_int_equal(status, HR_NOMEM);
        assert_int_equal(err.status, HR_NOMEM);
        assert_true(err.message[0] != 0);
        assert_true(n < 100000);
    }
}

#endif
