// SPDX-License-Identifier: Apache-2.0
// Limits of containers: which group this process is in, and the numbers in its files.
//
// /proc/self/cgroup has a line "0::/path" for version 2, and "id:controllers:/path" for version 1. Inside a container
// the path may name a place that is not mounted there; the nearest folder above it that exists is then the group.
#include "base/cgroup.h"
#include "base/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOUNT "/sys/fs/cgroup"

bool hr__read_small(const char *path, char *out, size_t room)
{
    int fd = -1;
    if (hr__open_file(path, O_RDONLY, 0, &fd, NULL) != HR_OK)
        return false;
    // Not pread: files of /proc may answer in pieces and some cannot seek.
    size_t used = 0;
    while (used + 1 < room) {
        ssize_t got = read(fd, out + used, room - 1 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    out[used] = 0;
    hr__close_fd(&fd);
    return used > 0;
}

// True when `name` stands in a comma-separated list of `bytes` bytes.
static bool listed(const char *list, size_t bytes, const char *name)
{
    size_t name_bytes = strlen(name);
    for (size_t at = 0; at < bytes;) {
        size_t step = 0;
        while (at + step < bytes && list[at + step] != ',')
            step++;
        if (step == name_bytes && memcmp(list + at, name, step) == 0)
            return true;
        at += step + 1;
    }
    return false;
}

static bool set_dir(hr_cgroup *group, const char *mount, const char *path, size_t path_bytes)
{
    while (path_bytes > 0 && path[path_bytes - 1] == '/')
        path_bytes--;
    int bytes = snprintf(group->dir, sizeof group->dir, "%s%.*s", mount, (int)path_bytes, path);
    group->root_bytes = strlen(mount);
    if (bytes < 0 || (size_t)bytes >= sizeof group->dir || strstr(group->dir, "/../"))
        return false;
    while (access(group->dir, F_OK) != 0) {
        if (!hr__cgroup_up(group))
            return false;
    }
    return true;
}

bool hr__cgroup_self(const char *controller, hr_cgroup *out)
{
    char lines[4096], mount[64];
    if (!hr__read_small("/proc/self/cgroup", lines, sizeof lines))
        return false;
    for (char *line = lines; *line;) {
        size_t bytes = strcspn(line, "\n");
        char *names = memchr(line, ':', bytes);
        char *path = names ? memchr(names + 1, ':', bytes - (size_t)(names + 1 - line)) : NULL;
        if (path) {
            size_t names_bytes = (size_t)(path - names - 1);
            size_t path_bytes = bytes - (size_t)(path + 1 - line);
            out->version_2 = names_bytes == 0;
            snprintf(mount, sizeof mount, MOUNT "/%s", controller);
            if (names_bytes && listed(names + 1, names_bytes, controller))
                return set_dir(out, mount, path + 1, path_bytes);
            // Beside version 1 an empty version 2 tree may be mounted: it counts only where it has controllers.
            if (!names_bytes && access(MOUNT "/cgroup.controllers", F_OK) == 0)
                return set_dir(out, MOUNT, path + 1, path_bytes);
        }
        line += bytes + (line[bytes] == '\n');
    }
    return false;
}

bool hr__cgroup_up(hr_cgroup *group)
{
    size_t bytes = strlen(group->dir);
    if (bytes <= group->root_bytes)
        return false;
    while (bytes > group->root_bytes && group->dir[bytes - 1] != '/')
        bytes--;
    while (bytes > group->root_bytes && group->dir[bytes - 1] == '/')
        bytes--;
    group->dir[bytes] = 0;
    return true;
}

bool hr__cgroup_text(const hr_cgroup *group, const char *file, char *out, size_t room)
{
    char path[sizeof group->dir + 64];
    snprintf(path, sizeof path, "%s/%s", group->dir, file);
    return hr__read_small(path, out, room);
}

bool hr__cgroup_number(const hr_cgroup *group, const char *file, uint64_t *out)
{
    char text[64];
    if (!hr__cgroup_text(group, file, text, sizeof text) || text[0] < '0' || text[0] > '9')
        return false;
    *out = strtoull(text, NULL, 10);
    return true;
}
