// SPDX-License-Identifier: Apache-2.0
// Local files by pread: a file that shrinks while we read it is an error, where a mapping would be a signal. The page
// cache is the cache; will_need tells the kernel what comes.
#include "io/source.h"
#include "base/os.h"
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

typedef struct file_source {
    hr_source base;
    int fd;
} file_source;

static hr_status file_read(hr_source *source, uint64_t offset, size_t bytes, void *to,
                           hr_error *err)
{
    file_source *file = (file_source *)source;
    size_t got = 0;
    hr_status status = hr__pread_full(file->fd, to, bytes, offset, &got, err);
    if (status) {
        hr__error_context(err, "%s", source->name);
        return status;
    }
    if (got != bytes)
        return HR_FAIL(err, HR_IO,
                       "%s: ends at byte %" PRIu64 ", it had %" PRIu64
                       " bytes when it was opened: somebody is writing it",
                       source->name, offset + got, source->bytes);
    return HR_OK;
}

static void file_will_need(hr_source *source, uint64_t offset, uint64_t bytes)
{
    // A hint: whether the system takes it changes nothing but the time.
    (void)posix_fadvise(((file_source *)source)->fd, (off_t)offset, (off_t)bytes,
                        POSIX_FADV_WILLNEED);
}

static void file_close(hr_source *source)
{
    hr__close_fd(&((file_source *)source)->fd);
}

static const hr_source_ops file_ops = {file_read, file_will_need, file_close};

hr_status hr__file_open(const char *path, const char *name, hr_source **out, hr_error *err)
{
    hr_source *source = NULL;
    struct stat st;
    HR_TRY(hr__source_make(sizeof(file_source), &file_ops, name, &source, err));
    file_source *file = (file_source *)source;
    file->fd = -1;
    hr_status status = hr__open_file(path, O_RDONLY, 0, &file->fd, err);
    if (!status && fstat(file->fd, &st) != 0)
        status = HR_FAIL(err, HR_IO, "%s: its size cannot be asked for", name);
    if (!status && !S_ISREG(st.st_mode))
        status = HR_FAIL(err, HR_INVALID, "%s: not a regular file", name);
    if (status) {
        hr__source_unref(&source);
        return status;
    }
    source->bytes = (uint64_t)st.st_size;
    source->version = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    *out = source;
    return HR_OK;
}
