// SPDX-License-Identifier: Apache-2.0
/*
 * What the checks of the families share. Each check compares the table under test with plain code of its
 * own, value by value, on random input of odd sizes at odd addresses; buffers end where their bytes end, so
 * that the address sanitizer sees a read or a write too far.
 */
#ifndef HR_KERNEL_CHECK_CHECK_H
#define HR_KERNEL_CHECK_CHECK_H

#include <stdio.h>
#include <string.h>

#include "kernel/loop.h"

typedef struct hr_check {
    const char *isa;
    const hr_kernels *kernels;   // under test
    const hr_kernels *reference; // must give the same bits
    uint64_t state;              // of the random numbers
    void *held[256];
    size_t held_count, failures;
} hr_check;

typedef void hr_check_fn(hr_check *check);

hr_check_fn hr__check_unpack, hr__check_delta, hr__check_byte_split, hr__check_dict;
hr_check_fn hr__check_bits, hr__check_bits_logic, hr__check_spread, hr__check_take;
hr_check_fn hr__check_cast, hr__check_decimal, hr__check_arith, hr__check_divide, hr__check_unary;
hr_check_fn hr__check_compare, hr__check_select, hr__check_affine, hr__check_reduce;
hr_check_fn hr__check_touch, hr__check_hash, hr__check_interleave, hr__check_fill;

/** Times the families of both tables and prints GB/s and ratios; for people. */
void hr__check_bench(const hr_kernels *reference, const hr_kernels *kernels, const char *isa);

uint64_t hr__check_random(hr_check *check);
size_t hr__check_below(hr_check *check, size_t limit); // 0 .. limit - 1; limit >= 1

/** `bytes` of random content at an odd address, with nothing after them; freed after the check. */
void *hr__check_bytes(hr_check *check, size_t bytes);
/** As hr__check_bytes, aligned to 8 for typed pointers. */
void *hr__check_words(hr_check *check, size_t bytes);
/** A bitmap of `bits` bits, in one of a few densities: empty, sparse, half, dense, full. */
uint8_t *hr__check_bitmap(hr_check *check, size_t bits);
/** `count` values of a type, with its limits, zeros, halves and, for floats, NaN and infinities among them. */
void *hr__check_values(hr_check *check, hr_num type, size_t count);
void hr__check_release(hr_check *check);

/** Whether two values are the same; floats that are NaN are. */
bool hr__check_same(hr_num type, const void *a, const void *b);
void hr__check_fail(hr_check *check, const char *file, int line, const char *text, long long a,
                    long long b);

/** States a claim; a and b are numbers that help to find the case. */
#define CLAIM(check, condition, a, b)                                                              \
    do {                                                                                           \
        if (!(condition))                                                                          \
            hr__check_fail(check, __FILE__, __LINE__, #condition, (long long)(a), (long long)(b)); \
    } while (0)

#endif
