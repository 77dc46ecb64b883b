// SPDX-License-Identifier: Apache-2.0
// Files written whole or not at all. Caller-serialised.
//
// Bytes go to a hidden file beside the place, ".NAME.PID-N.tmp", which listings leave out. Commit makes it durable
// (fsync), renames it over the place and makes the renaming durable (fsync of the folder). Until then a reader sees
// what stood there before; closed without commit, the hidden file goes. A process that is killed leaves it behind: it
// is never read, and its name says which process it was.
//
// Small writes are gathered; one as large as the buffer goes past it.
#include "io/io.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BUFFER_BYTES   ((size_t)256 << 10)
#define ATTEMPTS_MAX   100
#define FILE_MODE      0666 // less the umask
#define NAME_BYTES_MAX 200  // of the place's name within the hidden one: both stay under NAME_MAX

struct hr_sink {
    int fd;
    int folder_fd;
    char *path;      // as the user gave it
    char *temporary; // the hidden name; "" after commit
    uint8_t *buffer;
    size_t buffered_bytes;
    uint64_t flushed_bytes;
    bool failed, committed;
};

static _Atomic uint32_t sink_count;

// A refusal for want of room becomes a sentence with the numbers that it takes to act.
static hr_status word_full(const hr_sink *sink, size_t more_bytes, hr_status status, hr_error *err)
{
    char written[32], more[32], free_text[32];
    struct statvfs disk;
    if (status != HR_LIMIT)
        return status;
    uint64_t free_bytes =
        fstatvfs(sink->fd, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : 0;
    return HR_FAIL(err, HR_LIMIT,
                   "%s: the disk (or the quota on it) is full: %s written, %s more to write, %s "
                   "free; make room or write elsewhere",
                   sink->path, hr__format_bytes(sink->flushed_bytes, written),
                   hr__format_bytes(more_bytes, more), hr__format_bytes(free_bytes, free_text));
}

static hr_status check_place(const char *path, hr_error *err)
{
    struct stat info;
    if (path[0] == '\0')
        return HR_FAIL(err, HR_INVALID, "the path to write to is empty");
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return HR_FAIL(err, HR_INVALID, "%s: %s stands there; only a file can be replaced", path,
                       S_ISDIR(info.st_mode) ? "a folder" : "a device or socket");
    return HR_OK;
}

static hr_status open_folder(hr_sink *sink, size_t folder_bytes, hr_error *err)
{
    char *folder = NULL;
    HR_TRY(hr__strndup(folder_bytes ? sink->path : ".", folder_bytes ? folder_bytes : 1, &folder,
                       err));
    hr_status status =
        hr__open_file(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, &sink->folder_fd, err);
    hr__free(folder);
    if (status != HR_OK)
        hr__error_context(err, "%s: the folder to write in", sink->path);
    return status;
}

// Makes the hidden file in the folder, under a name that nobody has.
static hr_status make_temporary(hr_sink *sink, const char *name, hr_error *err)
{
    size_t room = strlen(name) + 64;
    HR_TRY(hr__alloc(room, &sink->temporary, err));
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        // Relaxed: any number will do that no other thread has.
        uint32_t n = atomic_fetch_add_explicit(&sink_count, 1, memory_order_relaxed);
        snprintf(sink->temporary, room, ".%.*s.%ld-%u.tmp", NAME_BYTES_MAX, name, (long)getpid(),
                 n);
        sink->fd = openat(sink->folder_fd, sink->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                          FILE_MODE);
        if (sink->fd >= 0)
            return HR_OK;
        if (errno != EEXIST && errno != EINTR)
            break;
    }
    int number = errno;
    sink->temporary[0] = '\0';
    return hr__error_errno(err, number, "%s: cannot make a file beside it", sink->path);
}

hr_status hr__sink_open(const char *path, hr_sink **out, hr_error *err)
{
    hr_sink *sink = NULL;
    hr_status status;
    HR_TRY(check_place(path, err));
    HR_GO(hr__alloc_zero(1, sizeof *sink, &sink, err));
    sink->fd = sink->folder_fd = -1;
    HR_GO(hr__strdup(path, &sink->path, err));
    HR_GO(hr__alloc(BUFFER_BYTES, &sink->buffer, err));
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (name[0] == '\0') {
        status = HR_FAIL(err, HR_INVALID, "%s: names a folder, not a file", path);
        goto out;
    }
    HR_GO(open_folder(sink, slash ? (size_t)(name - path) : 0, err));
    HR_GO(make_temporary(sink, name, err));
    *out = sink;
    return HR_OK;
out:
    hr__sink_close(&sink);
    return status;
}

static hr_status write_out(hr_sink *sink, const void *bytes, size_t count, hr_error *err)
{
    hr_status status = hr__pwrite_full(sink->fd, bytes, count, sink->flushed_bytes, err);
    if (status != HR_OK) {
        sink->failed = true;
        if (status == HR_LIMIT)
            return word_full(sink, count, status, err);
        hr__error_context(err, "%s", sink->path);
        return status;
    }
    sink->flushed_bytes += count;
    return HR_OK;
}

static hr_status flush(hr_sink *sink, hr_error *err)
{
    size_t count = sink->buffered_bytes;
    if (count == 0)
        return HR_OK;
    HR_TRY(write_out(sink, sink->buffer, count, err));
    sink->buffered_bytes = 0;
    return HR_OK;
}

static hr_status check_open(const hr_sink *sink, hr_error *err)
{
    if (!sink->failed && !sink->committed)
        return HR_OK;
    return HR_FAIL(err, HR_INVALID, "%s: %s; nothing more can be written", sink->path,
                   sink->failed ? "a write failed before" : "it was committed");
}

hr_status hr__sink_write(hr_sink *sink, const void *bytes, size_t count, hr_error *err)
{
    HR_TRY(check_open(sink, err));
    if (count == 0)
        return HR_OK;
    if (count > BUFFER_BYTES - sink->buffered_bytes)
        HR_TRY(flush(sink, err));
    if (count >= BUFFER_BYTES)
        return write_out(sink, bytes, count, err);
    memcpy(sink->buffer + sink->buffered_bytes, bytes, count);
    sink->buffered_bytes += count;
    return HR_OK;
}

uint64_t hr__sink_bytes(const hr_sink *sink)
{
    return sink->flushed_bytes + sink->buffered_bytes;
}

static hr_status sync_fd(const hr_sink *sink, int fd, hr_error *err)
{
    while (fsync(fd) != 0) {
        if (errno == EINTR)
            continue;
        hr_status status =
            hr__error_errno(err, errno, "%s: cannot be made durable (fsync)", sink->path);
        return word_full(sink, 0, status, err);
    }
    return HR_OK;
}

hr_status hr__sink_commit(hr_sink *sink, hr_error *err)
{
    hr_status status;
    HR_TRY(check_open(sink, err));
    HR_GO(flush(sink, err));
    HR_GO(sync_fd(sink, sink->fd, err));
    const char *slash = strrchr(sink->path, '/');
    if (renameat(sink->folder_fd, sink->temporary, sink->folder_fd,
                 slash ? slash + 1 : sink->path) != 0) {
        status = hr__error_errno(err, errno, "%s: the finished file cannot be renamed to it",
                                 sink->path);
        goto out;
    }
    sink->temporary[0] = '\0';
    sink->committed = true;
    return sync_fd(sink, sink->folder_fd, err);
out:
    sink->failed = true;
    return status;
}

void hr__sink_close(hr_sink **out)
{
    hr_sink *sink = *out;
    if (sink == NULL)
        return;
    if (sink->fd >= 0 && sink->temporary[0] != '\0')
        unlinkat(sink->folder_fd, sink->temporary, 0);
    hr__close_fd(&sink->fd);
    hr__close_fd(&sink->folder_fd);
    hr__free(sink->temporary);
    hr__free(sink->buffer);
    hr__free(sink->path);
    hr__free(sink);
    *out = NULL;
}
