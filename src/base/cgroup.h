// SPDX-License-Identifier: Apache-2.0
// Where this process stands in the cgroup tree, version 1 or 2, for reading limits. Caller-serialised.
#ifndef HR_BASE_CGROUP_H
#define HR_BASE_CGROUP_H

#include "base/compiler.h"

typedef struct hr_cgroup {
    bool version_2;
    size_t root_bytes; // the length of the mount point in dir
    char dir[512];
} hr_cgroup;

// The group of the calling process for a controller ("memory", "cpu"); false when there is none to be seen.
bool hr__cgroup_self(const char *controller, hr_cgroup *out);
// To the parent group; false at the root. Limits of every ancestor hold too.
bool hr__cgroup_up(hr_cgroup *group);
// Reads a number from a file of the group; false when it is missing or says "max".
bool hr__cgroup_number(const hr_cgroup *group, const char *file, uint64_t *out);
// A small file's text, NUL-terminated and cut to room; false when it cannot be read.
bool hr__read_small(const char *path, char *out, size_t room);
bool hr__cgroup_text(const hr_cgroup *group, const char *file, char *out, size_t room);

#endif
