// SPDX-License-Identifier: Apache-2.0
// What the processor can do and how much of it is ours.
#ifndef HR_BASE_CPU_H
#define HR_BASE_CPU_H

#include "base/compiler.h"

enum {
    HR_CPU_AVX2 = 1 << 0 /* with BMI1, BMI2, FMA, F16C */,
    HR_CPU_AVX512 = 1 << 1 /* F, BW, DQ, VL, VBMI */,
    HR_CPU_NEON = 1 << 2
};

unsigned hr__cpu_features(void); // under the mask
void hr__cpu_set_mask(
    unsigned mask);      // tests; also HEADRACE_CPU_MASK. Takes effect before kernels are used
int hr__cpu_count(void); // affinity and cgroup quota, at least 1

#endif
