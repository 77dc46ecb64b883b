// SPDX-License-Identifier: Apache-2.0
// Shared memory, mappings, and what this machine and container allow us.
#include "base/os.h"
#include "base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

hr_status hr__memfd(const char *name, uint64_t bytes, int *fd_out, hr_error *err)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return hr__error_errno(err, errno, "shared memory '%s'", name);
    if (bytes > INT64_MAX || ftruncate(fd, (off_t)bytes) != 0) {
        int failed = bytes > INT64_MAX ? EFBIG : errno;
        hr__close_fd(&fd);
        return hr__error_errno(err, failed, "shared memory '%s' of %llu bytes", name,
                               (unsigned long long)bytes);
    }
    *fd_out = fd;
    return HR_OK;
}

hr_status hr__map_fd(int fd, uint64_t offset, size_t bytes, hr_map_mode mode, void **out,
                     hr_error *err)
{
    if (bytes == 0 || offset > INT64_MAX)
        return HR_FAIL(err, HR_INVALID, "map of %zu bytes at offset %llu", bytes,
                       (unsigned long long)offset);
    int protection = mode == HR_MAP_READ ? PROT_READ : PROT_READ | PROT_WRITE;
    // A private copy reserves nothing until it is written: without NORESERVE a strict machine would want swap for it.
    int flags = mode == HR_MAP_PRIVATE ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
    void *memory = mmap(NULL, bytes, protection, flags, fd, (off_t)offset);
    if (memory == MAP_FAILED)
        return hr__error_errno(err, errno, "map of %zu bytes at offset %llu", bytes,
                               (unsigned long long)offset);
    *out = memory;
    return HR_OK;
}

hr_status hr__map_pages(size_t bytes, void **out, hr_error *err)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return HR_FAIL(err, HR_NOMEM, "out of memory: %zu bytes were refused", bytes);
    *out = memory;
    return HR_OK;
}

void hr__unmap(void *memory, size_t bytes)
{
    if (!memory)
        return;
    int failed = munmap(memory, bytes);
    HR_ASSERT(!failed);
}

hr_status hr__punch(int fd, uint64_t offset, uint64_t bytes, hr_error *err)
{
    int failed;
    do
        failed =
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
    while (failed && errno == EINTR);
    if (failed)
        return hr__error_errno(err, errno, "giving back %llu bytes at offset %llu",
                               (unsigned long long)bytes, (unsigned long long)offset);
    return HR_OK;
}

void hr__drop_private(void *memory, size_t bytes)
{
    int failed = madvise(memory, bytes, MADV_DONTNEED);
    HR_ASSERT(!failed);
}

// The number behind a label in a file such as /proc/meminfo.
static bool labelled(const char *text, const char *label, uint64_t *out)
{
    size_t label_bytes = strlen(label);
    for (const char *line = text; *line;) {
        if (strncmp(line, label, label_bytes) == 0) {
            *out = strtoull(line + label_bytes, NULL, 10);
            return true;
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return false;
}

// What a group uses and could not give back at once: inactive pages of files are cache.
static uint64_t group_used(const hr_cgroup *group)
{
    char text[8192];
    uint64_t used = 0, cache = 0;
    hr__cgroup_number(group, group->version_2 ? "memory.current" : "memory.usage_in_bytes", &used);
    if (hr__cgroup_text(group, "memory.stat", text, sizeof text))
        labelled(text, group->version_2 ? "inactive_file " : "total_inactive_file ", &cache);
    return used > cache ? used - cache : 0;
}

static void group_limits(hr_memory_info *out)
{
    hr_cgroup group;
    out->cgroup_limit_bytes = UINT64_MAX;
    if (!hr__cgroup_self("memory", &group))
        return;
    out->cgroup_used_bytes = group_used(&group);
    do {
        uint64_t limit;
        const char *file = group.version_2 ? "memory.max" : "memory.limit_in_bytes";
        // Version 1 writes "none" as the largest multiple of a page in 63 bits.
        if (hr__cgroup_number(&group, file, &limit) && limit < (UINT64_C(1) << 60) &&
            limit < out->cgroup_limit_bytes) {
            out->cgroup_limit_bytes = limit;
            out->cgroup_used_bytes = group_used(&group);
        }
    } while (hr__cgroup_up(&group));
}

static uint64_t resource_limit(int resource)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

void hr__memory_info(hr_memory_info *out)
{
    char text[8192];
    uint64_t kib;
    *out = (hr_memory_info){0};
    if (hr__read_small("/proc/meminfo", text, sizeof text) && labelled(text, "MemAvailable:", &kib))
        out->available_bytes = kib * 1024;
    group_limits(out);
    out->address_space_bytes = resource_limit(RLIMIT_AS);
    out->files_max = resource_limit(RLIMIT_NOFILE);
}

uint64_t hr__resident_bytes(pid_t pid, uint64_t *shared_out)
{
    char path[64], text[8192];
    uint64_t anonymous = 0, shared = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    if (hr__read_small(path, text, sizeof text)) {
        labelled(text, "RssAnon:", &anonymous);
        labelled(text, "RssShmem:", &shared);
    }
    *shared_out = shared * 1024;
    return anonymous * 1024;
}

uint64_t hr__anonymous_bytes(pid_t pid)
{
    uint64_t shared;
    return hr__resident_bytes(pid, &shared);
}

uint64_t hr__memory_kills(void)
{
    char text[16384];
    if (!hr__read_small("/proc/vmstat", text, sizeof text))
        return 0;
    const char *at = strstr(text, "\noom_kill ");
    return at ? strtoull(at + strlen("\noom_kill "), NULL, 10) : 0;
}
