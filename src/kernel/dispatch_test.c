// SPDX-License-Identifier: Apache-2.0
// What the table promises; what its entries compute is kernel_check's to say.
#include "base/unit.h"
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include "base/cpu.h"
#include "kernel/kernel.h"

/** Entries that are absent by contract: operations of floats, for integers, and the contrary. */
static size_t absent_entries(void)
{
    size_t ints = HR_NUM_INT_COUNT, floats = HR_NUM_ARITH_COUNT - HR_NUM_INT_COUNT;
    size_t binary = (HR_ARITH_COUNT - HR_ARITH_DIV) * HR_SHAPE_COUNT * ints;
    size_t unary = (HR_UNARY_COUNT - HR_UNARY_SQRT) * ints;
    return binary + unary + HR_CLASSIFY_COUNT * ints + ints + floats;
}

static size_t null_entries(const hr_kernels *kernels)
{
    size_t nulls = 0;
    for (size_t at = 0; at < sizeof *kernels; at += sizeof(void (*)(void))) {
        void (*entry)(void);
        memcpy(&entry, (const char *)kernels + at, sizeof entry);
        nulls += entry == NULL;
    }
    return nulls;
}

static void dispatch__the_reference_sets_every_entry(void **state)
{
    static hr_kernels kernels;
    hr__kernels_fill(&kernels, 0);
    assert_int_equal(null_entries(&kernels), absent_entries());
    assert_string_equal(hr__kernels_isa(0), "c");
}

static void dispatch__a_better_set_leaves_no_entry_empty(void **state)
{
    static hr_kernels kernels;
    hr__kernels_fill(&kernels, hr__cpu_features());
    assert_int_equal(null_entries(&kernels), absent_entries());
}

static void dispatch__the_table_is_filled_once(void **state)
{
    const hr_kernels *first = hr__kernels();
    assert_ptr_equal(hr__kernels(), first);
    assert_int_equal(null_entries(first), absent_entries());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dispatch__the_reference_sets_every_entry),
        cmocka_unit_test(dispatch__a_better_set_leaves_no_entry_empty),
        cmocka_unit_test(dispatch__the_table_is_filled_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
