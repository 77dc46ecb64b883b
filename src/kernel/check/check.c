// SPDX-License-Identifier: Apache-2.0
/*
 * kernel_check: every instruction set this machine reaches, against plain code and against the reference.
 *
 *     kernel_check [--bench] [--seed N]
 *
 * Names the sets reached and those skipped; exits 1 if a claim failed.
 */
#include "kernel/check/check.h"

#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/mem.h"

uint64_t hr__check_random(hr_check *check)
{
    // SplitMix64 (Steele, Lea, Flood, 2014).
    uint64_t z = check->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

size_t hr__check_below(hr_check *check, size_t limit)
{
    return hr__check_random(check) % limit;
}

static void *take_room(hr_check *check, size_t bytes, size_t lead)
{
    uint8_t *at = NULL;
    if (check->held_count == HR_COUNTOF(check->held) || hr__alloc(bytes + lead, &at, NULL) != HR_OK)
        abort();
    check->held[check->held_count++] = at;
    for (size_t i = 0; i < bytes; i++)
        at[lead + i] = (uint8_t)hr__check_random(check);
    return at + lead;
}

void *hr__check_bytes(hr_check *check, size_t bytes)
{
    return take_room(check, bytes, hr__check_below(check, 9));
}

void *hr__check_words(hr_check *check, size_t bytes)
{
    return take_room(check, bytes, 8 * hr__check_below(check, 3));
}

uint8_t *hr__check_bitmap(hr_check *check, size_t bits)
{
    uint8_t *at = hr__check_bytes(check, (bits + 7) / 8);
    size_t density = hr__check_below(check, 6);
    for (size_t i = 0; i < (bits + 7) / 8; i++) {
        uint8_t a = at[i], b = (uint8_t)hr__check_random(check);
        // The last density has runs, so that whole words are full or empty.
        at[i] = density == 0   ? 0
                : density == 1 ? a & b & (uint8_t)(b >> 1)
                : density == 2 ? a
                : density == 3 ? a | b
                : density == 4 ? 0xff
                               : (i / 16 % 3 == 0   ? 0
                                  : i / 16 % 3 == 1 ? 0xff
                                                    : a);
    }
    return at;
}

static uint64_t special_float(hr_check *check, hr_num type)
{
    static const double odd[] = {
        0.0,     -0.0,    1.0,      -1.0,         0.5,           1.5,          2.5,
        -2.5,    127.5,   255.4,    255.6,        -128.9,        32767.5,      65535.5,
        65504.0, 65519,   65520.0,  2147483647.0, -2147483649.0, 4294967295.0, 9.3e18,
        1.9e19,  -9.3e18, 1e-7,     6e-8,         2.9e-8,        1e-45,        3e38,
        1e300,   1e-310,  INFINITY, -INFINITY,    NAN,           16777217.0};
    double value = odd[hr__check_below(check, HR_COUNTOF(odd))];
    uint64_t word = 0;
    float narrow = (float)value;
    memcpy(&word, type == HR_NUM_F64 ? (const void *)&value : (const void *)&narrow,
           type == HR_NUM_F64 ? 8 : 4);
    return type == HR_NUM_F16 || type == HR_NUM_BF16 ? word >> 16 : word;
}

void *hr__check_values(hr_check *check, hr_num type, size_t count)
{
    size_t width = hr__num_bytes(type);
    uint8_t *at = hr__check_bytes(check, count * width);
    for (size_t i = 0; i < count; i++) {
        uint64_t word = hr__check_random(check), which = hr__check_random(check) % 8;
        if (type >= HR_NUM_F32 && type <= HR_NUM_BF16 && which < 3)
            word = special_float(check, type);
        else if (type <= HR_NUM_U64 && which < 4)
            word = which == 0   ? word % 5 - 2
                   : which == 1 ? 1ull << (8 * width - 1)
                   : which == 2 ? (1ull << (8 * width - 1)) - 1
                                : word >> word % 64;
        else if (type == HR_NUM_BOOL)
            word = which < 4 ? word & 1 : word;
        else if (type == HR_NUM_F64 && which < 5)
            word = (word & 0x800fffffffffffffull) | (1000 + word % 90) << 52;
        else if (type == HR_NUM_F32 && which < 5)
            word = (word & 0x807fffffu) | (100 + word % 60) << 23;
        memcpy(at + i * width, &word, width);
    }
    return at;
}

void hr__check_release(hr_check *check)
{
    while (check->held_count)
        hr__free(check->held[--check->held_count]);
}

bool hr__check_same(hr_num type, const void *a, const void *b)
{
    double x, y;
    float f, g;
    uint16_t h, k;
    switch (type) {
    case HR_NUM_F64:
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        break;
    case HR_NUM_F32:
        memcpy(&f, a, 4);
        memcpy(&g, b, 4);
        x = (double)f, y = (double)g;
        break;
    case HR_NUM_F16:
    case HR_NUM_BF16:
        memcpy(&h, a, 2);
        memcpy(&k, b, 2);
        x = (h & 0x7fff) > (type == HR_NUM_F16 ? 0x7c00 : 0x7f80) ? NAN : h;
        y = (k & 0x7fff) > (type == HR_NUM_F16 ? 0x7c00 : 0x7f80) ? NAN : k;
        break;
    default:
        x = y = 0;
    }
    if (x != x || y != y)
        return x != x && y != y;
    return memcmp(a, b, hr__num_bytes(type)) == 0;
}

void hr__check_fail(hr_check *check, const char *file, int line, const char *text, long long a,
                    long long b)
{
    if (check->failures++ < 20)
        fprintf(stderr, "%s:%d: %s: failed: %s (%lld, %lld)\n", file, line, check->isa, text, a, b);
}

static size_t check_isa(const hr_kernels *reference, unsigned features, uint64_t seed)
{
    static const struct {
        const char *name;
        hr_check_fn *run;
        unsigned times;
    } rows[] = {
        {"unpack", hr__check_unpack, 30},
        {"delta", hr__check_delta, 200},
        {"byte_split", hr__check_byte_split, 60},
        {"dict", hr__check_dict, 100},
        {"bits", hr__check_bits, 400},
        {"bits logic", hr__check_bits_logic, 300},
        {"spread", hr__check_spread, 150},
        {"take", hr__check_take, 60},
        {"cast", hr__check_cast, 20},
        {"decimal", hr__check_decimal, 50},
        {"arith", hr__check_arith, 10},
        {"divide", hr__check_divide, 10},
        {"unary", hr__check_unary, 10},
        {"compare", hr__check_compare, 10},
        {"select", hr__check_select, 60},
        {"affine", hr__check_affine, 20},
        {"reduce", hr__check_reduce, 60},
        {"touch", hr__check_touch, 100},
        {"hash", hr__check_hash, 40},
        {"interleave", hr__check_interleave, 60},
        {"fill", hr__check_fill, 60},
    };
    hr_kernels kernels;
    hr_check check = {.isa = hr__kernels_isa(features), .kernels = &kernels};
    memset(&kernels, 0, sizeof kernels);
    hr__kernels_fill(&kernels, features);
    check.reference = reference;
    for (size_t i = 0; i < HR_COUNTOF(rows); i++) {
        size_t before = check.failures;
        check.state = seed + i;
        for (unsigned time = 0; time < rows[i].times; time++) {
            rows[i].run(&check);
            hr__check_release(&check);
        }
        if (check.failures > before)
            printf("%s %s: %zu claims failed\n", check.isa, rows[i].name, check.failures - before);
    }
    return check.failures;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        unsigned feature;
    } sets[] = {{"c", 0}, {"avx2", HR_CPU_AVX2}, {"avx512", HR_CPU_AVX512}, {"neon", HR_CPU_NEON}};
    uint64_t seed = 20231;
    bool bench = false;
    size_t failures = 0;
    static hr_kernels reference;
    for (int i = 1; i < argc; i++) {
        bench |= strcmp(argv[i], "--bench") == 0;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
    }
    hr__kernels_fill(&reference, 0);
    for (size_t i = 0; i < HR_COUNTOF(sets); i++) {
        unsigned features = sets[i].feature & hr__cpu_features();
        if (features != sets[i].feature || strcmp(hr__kernels_isa(features), sets[i].name) != 0) {
            printf("skipped %s: %s\n", sets[i].name,
                   features == sets[i].feature ? "this build has no versions for it"
                                               : "this processor, or its mask, has it not");
            continue;
        }
        size_t failed = check_isa(&reference, features, seed);
        printf("reached %s: %s (seed %llu)\n", sets[i].name, failed ? "FAILED" : "agrees",
               (unsigned long long)seed);
        failures += failed;
        if (bench && features) {
            hr_kernels kernels;
            hr__kernels_fill(&kernels, features);
            hr__check_bench(&reference, &kernels, sets[i].name);
        }
    }
    return failures ? 1 : 0;
}
