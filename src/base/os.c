// SPDX-License-Identifier: Apache-2.0
// Clocks, futexes and files.
#include "base/os.h"
#include "base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t hr__now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t hr__thread_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t hr__process_age_ns(void)
{
    // proc(5): field 22 of stat is the start in clock ticks since boot. Field 2 is the name in brackets, which may
    // hold spaces and brackets itself, so fields are counted from the last bracket, where the third begins.
    char text[1024];
    if (!hr__read_small("/proc/self/stat", text, sizeof text))
        return 0;
    char *at = strrchr(text, ')');
    for (int number = 2; at && number < 22; number++)
        at = strchr(at + 1, ' ');
    long ticks_per_s = sysconf(_SC_CLK_TCK);
    if (!at || ticks_per_s <= 0)
        return 0;
    uint64_t start_ns = strtoull(at + 1, NULL, 10) * (NS_PER_S / (uint64_t)ticks_per_s);
    uint64_t now_ns = clock_ns(CLOCK_BOOTTIME);
    return now_ns > start_ns ? now_ns - start_ns : 0;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

void hr__sleep_ns(uint64_t ns)
{
    struct timespec left = timespec_of(ns);
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

bool hr__futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    // Not FUTEX_PRIVATE_FLAG: the word may stand in memory shared by processes.
    struct timespec t = timespec_of(timeout_ns);
    long failed = syscall(SYS_futex, word, FUTEX_WAIT, expected,
                          timeout_ns == UINT64_MAX ? NULL : &t, NULL, 0);
    return !(failed && errno == ETIMEDOUT);
}

void hr__futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

hr_status hr__open_file(const char *path, int flags, int mode, int *fd_out, hr_error *err)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return hr__error_errno(err, errno, "open '%s'", path);
    *fd_out = fd;
    return HR_OK;
}

void hr__close_fd(int *fd)
{
    // Linux frees the number even when close is interrupted: it is never tried again.
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static hr_status check_range(uint64_t offset, size_t bytes, hr_error *err)
{
    uint64_t end;
    if (HR_ADD_OVERFLOWS(offset, (uint64_t)bytes, &end) || end > INT64_MAX)
        return HR_FAIL(err, HR_INVALID, "%zu bytes at offset %llu are past any file", bytes,
                       (unsigned long long)offset);
    return HR_OK;
}

hr_status hr__pread_full(int fd, void *to, size_t bytes, uint64_t offset, size_t *read_out,
                         hr_error *err)
{
    size_t done = 0;
    HR_TRY(check_range(offset, bytes, err));
    while (done < bytes) {
        ssize_t got = pread(fd, (char *)to + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hr__error_errno(err, errno, "read %zu bytes at offset %llu", bytes - done,
                                   (unsigned long long)(offset + done));
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *read_out = done;
    return HR_OK;
}

hr_status hr__pwrite_full(int fd, const void *from, size_t bytes, uint64_t offset, hr_error *err)
{
    size_t done = 0;
    HR_TRY(check_range(offset, bytes, err));
    while (done < bytes) {
        ssize_t put = pwrite(fd, (const char *)from + done, bytes - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        // A file system that takes nothing and gives no reason is full.
        if (put <= 0)
            return hr__error_errno(err, put < 0 ? errno : ENOSPC, "write %zu bytes at offset %llu",
                                   bytes - done, (unsigned long long)(offset + done));
        done += (size_t)put;
    }
    return HR_OK;
}

hr_status hr__preallocate(int fd, uint64_t offset, uint64_t bytes, hr_error *err)
{
    int failed;
    HR_TRY(check_range(offset, bytes, err));
    do
        failed = fallocate(fd, 0, (off_t)offset, (off_t)bytes);
    while (failed && errno == EINTR);
    // A file system that cannot allocate ahead allocates as it is written.
    if (failed && errno != EOPNOTSUPP)
        return hr__error_errno(err, errno, "space for %llu bytes at offset %llu",
                               (unsigned long long)bytes, (unsigned long long)offset);
    return HR_OK;
}

hr_status hr__free_bytes(const char *path, uint64_t *out, hr_error *err)
{
    struct statvfs info;
    if (statvfs(path, &info) != 0)
        return hr__error_errno(err, errno, "free space of '%s'", path);
    *out = (uint64_t)info.f_bavail * info.f_frsize;
    return HR_OK;
}
