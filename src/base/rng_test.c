// SPDX-License-Identifier: Apache-2.0
#include "base/rng.h"
#include "base/unit.h"

// The known answers published with Random123 (kat_vectors, philox4x32 with 10 rounds): counter, key, result.
static void rng__philox_gives_the_known_answers(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], result[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < HR_COUNTOF(known); i++) {
        const uint32_t *c = known[i].counter, *k = known[i].key;
        uint32_t out[4];
        hr__rng_block((uint64_t)k[1] << 32 | k[0], (uint64_t)c[3] << 32 | c[2],
                      (uint64_t)c[1] << 32 | c[0], out);
        assert_memory_equal(out, known[i].result, sizeof out);
    }
}

static void rng__u64_is_the_low_half_of_a_block(void **state)
{
    assert_int_equal(hr__rng_u64(0, 0, 0), UINT64_C(0xe169c58d6627e8d5));
}

static void rng__below_is_in_bounds_and_even(void **state)
{
    unsigned seen[7] = {0};
    for (uint64_t i = 0; i < 70000; i++) {
        uint64_t draw = hr__rng_below(1, 2, i, 7);
        assert_true(draw < 7);
        seen[draw]++;
    }
    for (int i = 0; i < 7; i++)
        assert_true(seen[i] > 9600 && seen[i] < 10400); // 4 standard deviations are 370
    assert_int_equal(hr__rng_below(1, 2, 3, 1), 0);
    // A bound for which nearly half of the draws must be made again.
    uint64_t bound = (UINT64_C(1) << 63) + 1;
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(hr__rng_below(1, 2, i, bound) < bound);
}

static void rng__permutation_holds_each_once(void **state)
{
    enum { COUNT = 1000 };
    uint32_t a[COUNT], b[COUNT];
    bool seen[COUNT] = {false};
    hr__rng_permute(5, 6, a, COUNT);
    hr__rng_permute(5, 6, b, COUNT);
    assert_memory_equal(a, b, sizeof a);
    unsigned in_place = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(a[i] < COUNT && !seen[a[i]]);
        seen[a[i]] = true;
        in_place += a[i] == i;
    }
    assert_true(in_place < 10); // one is expected
    hr__rng_permute(5, 7, b, COUNT);
    assert_memory_not_equal(a, b, sizeof a);
    hr__rng_permute(5, 6, a, 0);
    hr__rng_permute(5, 6, a, 1);
    assert_int_equal(a[0], 0);
}

static void rng__permutations_are_equally_likely(void **state)
{
    unsigned seen[4][4] = {{0}};
    for (uint64_t stream = 0; stream < 24000; stream++) {
        uint32_t p[4];
        hr__rng_permute(11, stream, p, 4);
        for (int i = 0; i < 4; i++)
            seen[i][p[i]]++;
    }
    for (int i = 0; i < 16; i++)
        assert_true(seen[i / 4][i % 4] > 5720 && seen[i / 4][i % 4] < 6280);
}

// What is written here is written into positions and resumed: a change of it is a change of the format.
static void rng__permutation_never_changes(void **state)
{
    uint32_t p[8];
    hr__rng_permute(7, hr__rng_stream(HR_RNG_BLOCK_ORDER, 0), p, 8);
    static const uint32_t expected[8] = {7, 4, 1, 0, 5, 3, 6, 2};
    assert_memory_equal(p, expected, sizeof p);
}

static void rng__streams_of_purposes_are_apart(void **state)
{
    assert_true(hr__rng_stream(HR_RNG_BLOCK_ORDER, 5) != hr__rng_stream(HR_RNG_WINDOW, 5));
    assert_true(hr__rng_stream(HR_RNG_WINDOW, 5) != hr__rng_stream(HR_RNG_WINDOW, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rng__philox_gives_the_known_answers),
        cmocka_unit_test(rng__u64_is_the_low_half_of_a_block),
        cmocka_unit_test(rng__below_is_in_bounds_and_even),
        cmocka_unit_test(rng__permutation_holds_each_once),
        cmocka_unit_test(rng__permutations_are_equally_likely),
        cmocka_unit_test(rng__permutation_never_changes),
        cmocka_unit_test(rng__streams_of_purposes_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
