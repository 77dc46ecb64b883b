// SPDX-License-Identifier: Apache-2.0
// Processor features and the number of processors that are ours.
//
// A feature is a set of instructions that the kernels of one file may use together: it is there when the processor has
// all of them and the system saves their registers. The count is the smaller of the affinity mask and what the
// container's quota comes to; four threads on a quota of two only take turns.
#include "base/cpu.h"
#include "base/cgroup.h"
#include "base/option.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define CPUS_MAX      8192
#define FEATURES_READ (1U << 31) // set once the processor was asked

static unsigned detect(void)
{
    unsigned features = 0;
#if defined(__x86_64__)
    // __builtin_cpu_supports also asks whether the system saves the wide registers; F16C it does not know everywhere.
    unsigned a, b, c = 0, d;
    bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    if (f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma"))
        features |= HR_CPU_AVX2;
    if ((features & HR_CPU_AVX2) && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi"))
        features |= HR_CPU_AVX512;
#elif defined(__aarch64__)
    features |= HR_CPU_NEON; // part of the base architecture
#endif
    return features;
}

static _Atomic unsigned allowed; // 0: not asked yet

unsigned hr__cpu_features(void)
{
    static _Atomic unsigned found;
    // Relaxed: every thread that finds them unset works out the same values.
    unsigned have = atomic_load_explicit(&found, memory_order_relaxed);
    if (!have) {
        have = detect() | FEATURES_READ;
        atomic_store_explicit(&found, have, memory_order_relaxed);
    }
    unsigned mask = atomic_load_explicit(&allowed, memory_order_relaxed);
    if (!mask) {
        const char *text = hr__env("HEADRACE_CPU_MASK");
        mask = (text ? (unsigned)strtoul(text, NULL, 0) : ~0U) | FEATURES_READ;
        atomic_store_explicit(&allowed, mask, memory_order_relaxed);
    }
    return have & mask & ~FEATURES_READ;
}

void hr__cpu_set_mask(unsigned mask)
{
    atomic_store_explicit(&allowed, mask | FEATURES_READ, memory_order_relaxed);
}

static int affinity_count(void)
{
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    if (!set)
        return 1;
    int count = 1;
    if (sched_getaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), set) == 0)
        count = CPU_COUNT_S(CPU_ALLOC_SIZE(CPUS_MAX), set);
    CPU_FREE(set);
    return count;
}

// The processors that one group's quota comes to, rounded up; 0 when it has none.
static uint64_t group_quota(const hr_cgroup *group)
{
    uint64_t quota_us = 0, period_us = 0;
    char text[128], *end;
    if (!group->version_2) {
        if (!hr__cgroup_number(group, "cpu.cfs_quota_us", &quota_us) ||
            !hr__cgroup_number(group, "cpu.cfs_period_us", &period_us))
            return 0;
    } else {
        // "max 100000" or "200000 100000"
        if (!hr__cgroup_text(group, "cpu.max", text, sizeof text))
            return 0;
        quota_us = strtoull(text, &end, 10);
        period_us = strtoull(end, NULL, 10);
    }
    return period_us ? (quota_us + period_us - 1) / period_us : 0;
}

int hr__cpu_count(void)
{
    int count = HR_MAX(affinity_count(), 1);
    hr_cgroup group;
    if (!hr__cgroup_self("cpu", &group))
        return count;
    do {
        uint64_t quota = group_quota(&group);
        if (quota && quota < (uint64_t)count)
            count = (int)quota;
    } while (hr__cgroup_up(&group));
    return count;
}
