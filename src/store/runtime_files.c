// SPDX-License-Identifier: Apache-2.0
// The files by which runtimes of one user find each other, and what dead ones leave behind.
//
//   PID.lock   flock'ed as long as the runtime lives: the kernel lets go of it, however the runtime ends
//   PID.sock   the socket
//
// Whoever comes (a starting runtime, `headrace memory`) removes the files of those who are gone: the lock can be
// taken, or the process does not exist. A forked child of a dead runtime may hold its lock, hence the second test.
// A file is removed only by who holds its lock, or under a number that no process has.
#include "store/service.h"

#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 512

static _Atomic bool claimed; // by a service of this process
static _Atomic uint32_t claimed_generation;

typedef struct runtime_paths {
    char lock[PATH_BYTES], sock[PATH_BYTES];
} runtime_paths;

static void name_paths(runtime_paths *out, const char *dir, pid_t pid)
{
    snprintf(out->lock, sizeof out->lock, "%s/%ld.lock", dir, (long)pid);
    snprintf(out->sock, sizeof out->sock, "%s/%ld.sock", dir, (long)pid);
}

static void remove_paths(const runtime_paths *paths)
{
    // The lock last: who sees no lock finds no socket either.
    (void)!unlink(paths->sock);
    (void)!unlink(paths->lock);
}

// Whether `fd` still is what stands at `path`: it may have been removed between open and flock.
static bool is_same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

static hr_status take_lock(const runtime_paths *paths, int *fd_out, hr_error *err)
{
    for (int i = 0; i < 100; i++) {
        int fd = -1;
        HR_TRY(hr__open_file(paths->lock, O_RDWR | O_CREAT, 0600, &fd, err));
        bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
        if (locked && is_same_file(fd, paths->lock)) {
            *fd_out = fd;
            return HR_OK;
        }
        // Held by the orphan of a runtime that had our number: its file goes, ours is new.
        if (!locked && errno == EWOULDBLOCK)
            remove_paths(paths);
        hr__close_fd(&fd);
    }
    return HR_FAIL(err, HR_IO, "runtime: '%s' cannot be locked", paths->lock);
}

hr_status hr__runtime_claim(int *listen_fd_out, int *lock_fd_out, hr_error *err)
{
    char dir[PATH_BYTES - 32];
    runtime_paths paths;
    int lock_fd = -1, listen_fd = -1;
    uint32_t generation = hr__fork_generation();
    // A forked child starts anew: what its parent claimed is the parent's.
    if (atomic_exchange(&claimed_generation, generation) == generation && atomic_load(&claimed))
        return HR_OK;
    HR_TRY(hr__runtimes(NULL, 0, NULL, err)); // removes what the dead left
    HR_TRY(hr__runtime_dir(dir, sizeof dir, err));
    name_paths(&paths, dir, getpid());
    HR_TRY(take_lock(&paths, &lock_fd, err));
    (void)!unlink(paths.sock);
    hr_status status = hr__socket_listen(paths.sock, &listen_fd, err);
    if (status) {
        remove_paths(&paths);
        hr__close_fd(&lock_fd);
        return status;
    }
    atomic_store(&claimed, true);
    *listen_fd_out = listen_fd;
    *lock_fd_out = lock_fd;
    return HR_OK;
}

void hr__runtime_unclaim(int *listen_fd, int *lock_fd)
{
    char dir[PATH_BYTES - 32];
    runtime_paths paths;
    if (*lock_fd < 0)
        return;
    if (hr__runtime_dir(dir, sizeof dir, NULL) == HR_OK) {
        name_paths(&paths, dir, getpid());
        if (is_same_file(*lock_fd, paths.lock))
            remove_paths(&paths);
    }
    hr__close_fd(listen_fd);
    hr__close_fd(lock_fd);
    atomic_store(&claimed, false);
}

// Whether the runtime of a lock file lives; its files are removed when it does not.
static bool lives(const char *dir, pid_t pid)
{
    runtime_paths paths;
    int fd = -1;
    name_paths(&paths, dir, pid);
    if (kill(pid, 0) != 0 && errno == ESRCH) {
        remove_paths(&paths);
        return false;
    }
    if (pid == getpid())
        return atomic_load(&claimed);
    if (hr__open_file(paths.lock, O_RDWR, 0, &fd, NULL) != HR_OK)
        return false;
    bool dead = flock(fd, LOCK_EX | LOCK_NB) == 0;
    // Between its open and its flock a starting runtime looks dead: it finds its file gone, and makes it anew.
    if (dead && is_same_file(fd, paths.lock))
        remove_paths(&paths);
    hr__close_fd(&fd);
    return !dead;
}

hr_status hr__runtimes(pid_t *pids, size_t room, size_t *count_out, hr_error *err)
{
    char dir[PATH_BYTES - 32];
    size_t count = 0;
    HR_TRY(hr__runtime_dir(dir, sizeof dir, err));
    DIR *folder = opendir(dir);
    if (!folder)
        return hr__error_errno(err, errno, "folder '%s'", dir);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *end = NULL;
        errno = 0;
        long pid = strtol(entry->d_name, &end, 10);
        if (errno || pid <= 0 || end == entry->d_name || strcmp(end, ".lock") != 0)
            continue;
        if (lives(dir, (pid_t)pid) && count < room)
            pids[count++] = (pid_t)pid;
    }
    closedir(folder);
    if (count_out)
        *count_out = count;
    return HR_OK;
}
