// SPDX-License-Identifier: Apache-2.0
// Whether this process is a forked child of the one that opened a handle. A counter bumped in each child: no system
// call at each use, and no lock that a fork may have left held is touched to find out.
#include "store/store_priv.h"

static _Atomic uint32_t generation = 1;

static void in_child(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed); // the child has one thread
}

static void watch(void)
{
    hr__at_fork_child(in_child);
}

uint32_t hr__fork_generation(void)
{
    static hr_once once = HR_ONCE_INIT;
    hr__once(&once, watch);
    return atomic_load_explicit(&generation, memory_order_relaxed);
}
