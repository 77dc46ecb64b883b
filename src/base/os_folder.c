// SPDX-License-Identifier: Apache-2.0
// Folders: made, copied, made durable, removed, listed, locked.
//
// A copy is durable when it is done: each file and each folder was synchronised. Trees are walked with a list of
// folders still to be looked at, so that no depth of theirs is a depth of ours.
#include "base/os.h"
#include "base/text.h"
#include "base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES  ((size_t)1 << 20)
#define FOLDERS_MAX 100000u
#define FOLDER_MODE 0777 // less the umask
#define FILE_MODE   0666

typedef HR_VEC(char *) path_list;

static void free_paths(path_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        hr__free(list->items[i]);
    HR_VEC_FINISH(list);
}

static hr_status join(const char *folder, const char *name, char **out, hr_error *err)
{
    size_t room = strlen(folder) + strlen(name) + 2;
    HR_TRY(hr__alloc(room, out, err));
    snprintf(*out, room, "%s%s%s", folder, name[0] ? "/" : "", name);
    return HR_OK;
}

static hr_status push_path(path_list *list, char **path, hr_error *err)
{
    hr_status status = list->count < FOLDERS_MAX
                           ? HR_VEC_PUSH(list, *path, err)
                           : HR_FAIL(err, HR_LIMIT, "folder '%s': more than %u folders in a tree",
                                     *path, FOLDERS_MAX);
    if (status != HR_OK)
        hr__free(*path);
    *path = NULL;
    return status;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

// A full disk (or quota) becomes a sentence with the number that it takes to act.
static hr_status fail_write(const char *path, int number, uint64_t bytes, hr_error *err)
{
    char wanted[32], left[32];
    uint64_t free_bytes = 0;
    if (number != ENOSPC && number != EDQUOT)
        return hr__error_errno(err, number, "write '%s'", path);
    char *folder = NULL;
    if (hr__strdup(path, &folder, NULL) == HR_OK) {
        char *slash = strrchr(folder, '/');
        if (slash)
            *slash = '\0';
        if (hr__free_bytes(slash ? folder : ".", &free_bytes, NULL) != HR_OK)
            free_bytes = 0;
    }
    hr__free(folder);
    return HR_FAIL(err, HR_LIMIT,
                   "'%s': the disk (or the quota on it) is full: %s to write, %s free; make room "
                   "or write elsewhere",
                   path, hr__format_bytes(bytes, wanted), hr__format_bytes(free_bytes, left));
}

// --- making ---

hr_status hr__folder_make(const char *path, hr_error *err)
{
    char *copy = NULL;
    hr_status status = HR_OK;
    struct stat info;
    HR_TRY(hr__strdup(path, &copy, err));
    for (char *at = copy + (copy[0] == '/'); status == HR_OK; at++) {
        char here = *at;
        if (here != '/' && here != '\0')
            continue;
        *at = '\0';
        if (copy[0] && mkdir(copy, FOLDER_MODE) != 0 && errno != EEXIST)
            status = hr__error_errno(err, errno, "make folder '%s'", copy);
        *at = here;
        if (here == '\0')
            break;
    }
    if (status == HR_OK && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
        status =
            HR_FAIL(err, HR_INVALID, "'%s' is no folder, and stands where one is needed", path);
    hr__free(copy);
    return status;
}

hr_status hr__folder_sync(const char *path, hr_error *err)
{
    int fd = -1;
    int failed;
    HR_TRY(hr__open_file(path, O_RDONLY | O_DIRECTORY, 0, &fd, err));
    do
        failed = fsync(fd);
    while (failed != 0 && errno == EINTR);
    int number = errno;
    hr__close_fd(&fd);
    // Some file systems have nothing to do for a folder, and say so.
    if (failed != 0 && number != EINVAL)
        return hr__error_errno(err, number, "make folder '%s' durable", path);
    return HR_OK;
}

hr_status hr__rename(const char *from, const char *to, hr_error *err)
{
    if (rename(from, to) != 0)
        return hr__error_errno(err, errno, "rename '%s' to '%s'", from, to);
    return HR_OK;
}

// --- files in them ---

static hr_status sync_file(int fd, const char *path, hr_error *err)
{
    while (fsync(fd) != 0)
        if (errno != EINTR)
            return fail_write(path, errno, 0, err);
    return HR_OK;
}

hr_status hr__file_write(const char *path, const void *bytes, size_t count, hr_error *err)
{
    int fd = -1;
    HR_TRY(hr__open_file(path, O_WRONLY | O_CREAT | O_TRUNC, FILE_MODE, &fd, err));
    hr_status status = HR_OK;
    const char *from = bytes;
    size_t done = 0;
    while (done < count && status == HR_OK) {
        ssize_t put = write(fd, from + done, count - done);
        if (put > 0)
            done += (size_t)put;
        else if (put == 0 || errno != EINTR)
            status = fail_write(path, put == 0 ? ENOSPC : errno, count - done, err);
    }
    if (status == HR_OK)
        status = sync_file(fd, path, err);
    hr__close_fd(&fd);
    return status;
}

static hr_status copy_slowly(int from, int to, uint8_t *buffer, const char *path, hr_error *err)
{
    for (;;) {
        ssize_t got = read(from, buffer, COPY_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hr__error_errno(err, errno, "read what is copied to '%s'", path);
        if (got == 0)
            return HR_OK;
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(to, buffer + done, (size_t)(got - done));
            if (put > 0)
                done += put;
            else if (put == 0 || errno != EINTR)
                return fail_write(path, put == 0 ? ENOSPC : errno, (uint64_t)(got - done), err);
        }
    }
}

// By the kernel, which may share blocks instead; what it will not copy is read and written.
static hr_status copy_bytes(int from, int to, uint64_t bytes, uint8_t *buffer, const char *path,
                            hr_error *err)
{
    uint64_t done = 0;
    while (done < bytes) {
        ssize_t got = copy_file_range(from, NULL, to, NULL, bytes - done, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == ENOSPC || errno == EDQUOT))
            return fail_write(path, errno, bytes - done, err);
        if (got <= 0)
            break;
        done += (uint64_t)got;
    }
    return copy_slowly(from, to, buffer, path, err);
}

static hr_status copy_file(const char *from, const char *to, uint8_t *buffer, hr_error *err)
{
    int source = -1, target = -1;
    struct stat info;
    hr_status status = hr__open_file(from, O_RDONLY, 0, &source, err);
    if (status == HR_OK)
        status = hr__open_file(to, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE, &target, err);
    if (status == HR_OK && fstat(source, &info) != 0)
        status = hr__error_errno(err, errno, "size of '%s'", from);
    if (status == HR_OK)
        status = copy_bytes(source, target, (uint64_t)info.st_size, buffer, to, err);
    if (status == HR_OK)
        status = sync_file(target, to, err);
    hr__close_fd(&source);
    hr__close_fd(&target);
    return status;
}

hr_status hr__file_copy(const char *from, const char *to, hr_error *err)
{
    uint8_t *buffer = NULL;
    HR_TRY(hr__alloc(COPY_BYTES, &buffer, err));
    hr_status status = copy_file(from, to, buffer, err);
    hr__free(buffer);
    return status;
}

// --- trees ---

typedef struct copy_job {
    const char *from, *to;
    const char *const *skip; // names at the top that are left out; NULL-ended
    path_list folders;       // still to be copied, below `from`
    uint8_t *buffer;
} copy_job;

static bool is_skipped(const copy_job *job, const char *folder, const char *name)
{
    for (const char *const *skip = job->skip; folder[0] == '\0' && skip && *skip; skip++)
        if (strcmp(*skip, name) == 0)
            return true;
    return false;
}

static hr_status copy_entry(copy_job *job, const char *folder, const char *name, hr_error *err)
{
    hr_status status;
    struct stat info;
    char *below = NULL, *from = NULL, *to = NULL;
    HR_GO(folder[0] ? join(folder, name, &below, err) : hr__strdup(name, &below, err));
    HR_GO(join(job->from, below, &from, err));
    HR_GO(join(job->to, below, &to, err));
    if (lstat(from, &info) != 0) {
        status = hr__error_errno(err, errno, "copy '%s'", from);
        goto out;
    }
    bool is_link = S_ISLNK(info.st_mode);
    if (is_link && stat(from, &info) != 0) {
        status = hr__error_errno(err, errno, "copy '%s', a link", from);
    } else if (S_ISREG(info.st_mode)) {
        status = copy_file(from, to, job->buffer, err);
    } else if (S_ISDIR(info.st_mode) && !is_link) {
        if (mkdir(to, FOLDER_MODE) != 0)
            status = fail_write(to, errno, 0, err);
        else
            status = push_path(&job->folders, &below, err);
    } else {
        status = HR_FAIL(err, HR_INVALID, "copy '%s': it is %s; files and folders can be copied",
                         from, is_link ? "a link to a folder" : "a device, pipe or socket");
    }
out:
    hr__free(below);
    hr__free(from);
    hr__free(to);
    return status;
}

static hr_status copy_folder(copy_job *job, const char *folder, hr_error *err)
{
    char *from = NULL, *to = NULL;
    DIR *dir = NULL;
    hr_status status;
    HR_GO(join(job->from, folder, &from, err));
    HR_GO(join(job->to, folder, &to, err));
    dir = opendir(from);
    if (!dir) {
        status = hr__error_errno(err, errno, "folder '%s'", from);
        goto out;
    }
    for (struct dirent *entry; status == HR_OK && (entry = readdir(dir));)
        if (!is_dots(entry->d_name) && !is_skipped(job, folder, entry->d_name))
            status = copy_entry(job, folder, entry->d_name, err);
    if (status == HR_OK)
        status = hr__folder_sync(to, err);
out:
    if (dir)
        closedir(dir);
    hr__free(from);
    hr__free(to);
    return status;
}

hr_status hr__folder_copy(const char *from, const char *to, const char *const *skip, hr_error *err)
{
    copy_job job = {.from = from, .to = to, .skip = skip};
    hr_status status;
    char *top = NULL;
    HR_GO(hr__alloc(COPY_BYTES, &job.buffer, err));
    HR_GO(hr__strdup("", &top, err));
    HR_GO(push_path(&job.folders, &top, err));
    while (job.folders.count > 0 && status == HR_OK) {
        char *folder = job.folders.items[--job.folders.count];
        status = copy_folder(&job, folder, err);
        hr__free(folder);
    }
out:
    free_paths(&job.folders);
    hr__free(job.buffer);
    return status;
}

// Removes what is no folder, and notes the folders. False: it cannot be read.
static bool empty_folder(const char *folder, path_list *found)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return false;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *path = NULL;
        struct stat info;
        if (is_dots(entry->d_name) || join(folder, entry->d_name, &path, NULL) != HR_OK)
            continue;
        if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
            if (push_path(found, &path, NULL) != HR_OK)
                continue;
        } else {
            (void)unlink(path);
        }
        hr__free(path);
    }
    closedir(dir);
    return true;
}

void hr__folder_remove(const char *path)
{
    path_list found = {0};
    char *top = NULL;
    if (hr__strdup(path, &top, NULL) != HR_OK || push_path(&found, &top, NULL) != HR_OK)
        return;
    // A folder stands before those within it: emptied from the front, removed from the back.
    for (size_t i = 0; i < found.count; i++)
        (void)empty_folder(found.items[i], &found);
    for (size_t i = found.count; i-- > 0;)
        (void)rmdir(found.items[i]);
    free_paths(&found);
}

hr_status hr__folder_list(const char *path, void (*each)(void *context, const char *name),
                          void *context, hr_error *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return hr__error_errno(err, errno, "folder '%s'", path);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (!is_dots(entry->d_name))
            each(context, entry->d_name);
    closedir(dir);
    return HR_OK;
}

hr_status hr__path_real(const char *path, char **out, hr_error *err)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return hr__error_errno(err, errno, "'%s'", path);
    return hr__strdup(real, out, err);
}

hr_status hr__file_lock(const char *path, int *fd_out, hr_error *err)
{
    int fd = -1;
    HR_TRY(hr__open_file(path, O_RDWR | O_CREAT, FILE_MODE, &fd, err));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int number = errno;
        hr__close_fd(&fd);
        if (number == EWOULDBLOCK)
            return HR_FAIL(err, HR_AGAIN, "'%s' is locked by another process", path);
        return hr__error_errno(err, number, "lock '%s'", path);
    }
    *fd_out = fd;
    return HR_OK;
}
