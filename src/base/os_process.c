// SPDX-License-Identifier: Apache-2.0
// Starting other programs from a process with threads.
//
// fork() copies the address space of a process that may hold gigabytes, and leaves every lock of every other thread
// held in the child. posix_spawn() avoids both and cannot ask for a death signal. So the child is made by clone() with
// CLONE_VM | CLONE_VFORK, as posix_spawn does inside: it borrows our memory on a stack of its own while this thread
// sleeps, makes system calls and nothing else, and is gone into the new program. Everything that needs memory or a lock
// (the path, the environment) is prepared before. The child leaves the reason in shared memory when it fails.
//
// All signals are blocked meanwhile: a handler of the program must not run on the child's stack in our memory.
#include "base/mem.h"
#include "base/option.h"
#include "base/os.h"
#include "base/vec.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_STACK_BYTES ((size_t)64 << 10)
#define FIRST_FREE_FD     3
#define SIGNALS           64
#define FDS_WITHOUT_RANGE 65536 // how many are closed one by one where close_range is missing

// Shared with the child, whether or not the rest of our memory is.
typedef struct child_room {
    char stack[CHILD_STACK_BYTES];
    volatile int failed_errno;
} child_room;

// The thread sanitizer takes clone() for fork() and stops watching the child's thread, which in shared memory is ours:
// a race after the first spawn would go unseen. So under it the child gets a copy of the memory; we sleep as before.
#define CHILD_FLAGS ((HR_THREAD_SANITIZER ? 0 : CLONE_VM) | CLONE_VFORK | SIGCHLD)

typedef struct launch {
    const hr_spawn *spawn;
    const char *path;
    char **envp;
    pid_t parent;
    child_room *room;
} launch;

// What rt_sigaction(2) takes, zero being the default action; glibc's own struct has another layout.
typedef struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
} kernel_sigaction;

// Everything below runs in the child, in the parent's memory: system calls only.
HR_UNSANITIZED static int child_main(void *context)
{
    launch *l = context;
    const hr_spawn *spawn = l->spawn;
    kernel_sigaction standard = {0, 0, 0, 0};
    uint64_t no_signals = 0;
    for (int number = 1; number <= SIGNALS; number++)
        syscall(SYS_rt_sigaction, number, &standard, NULL, sizeof standard.mask);
    if (spawn->die_with_parent) {
        syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        // It may have died before the line above.
        if (syscall(SYS_getppid) != l->parent)
            syscall(SYS_exit_group, 127);
    }
    if (syscall(SYS_close_range, FIRST_FREE_FD, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        for (int fd = FIRST_FREE_FD; fd < FDS_WITHOUT_RANGE; fd++)
            syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
    }
    for (int i = 0; i < spawn->keep_fd_count; i++)
        syscall(SYS_fcntl, spawn->keep_fds[i], F_SETFD, 0);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof no_signals);
    syscall(SYS_execve, l->path, spawn->argv, l->envp);
    l->room->failed_errno = errno;
    syscall(SYS_exit_group, 127);
    return 127;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

// Finds argv[0] as a shell would.
static hr_status find_program(const char *name, char *out, size_t room, hr_error *err)
{
    const char *path = hr__env("PATH");
    if (strchr(name, '/')) {
        if (snprintf(out, room, "%s", name) >= (int)room)
            return HR_FAIL(err, HR_INVALID, "program path of %zu bytes: at most %zu", strlen(name),
                           room - 1);
        return HR_OK;
    }
    for (path = path ? path : "/usr/local/bin:/usr/bin:/bin"; *path;) {
        size_t bytes = strcspn(path, ":");
        int wanted = bytes ? snprintf(out, room, "%.*s/%s", (int)bytes, path, name)
                           : snprintf(out, room, "./%s", name);
        if (wanted > 0 && (size_t)wanted < room && is_program(out))
            return HR_OK;
        path += bytes + (path[bytes] == ':');
    }
    return HR_FAIL(err, HR_NOT_FOUND, "program '%s' is not on PATH", name);
}

// True when one of the rows sets the variable that `entry` sets.
static bool replaced(const char *entry, const char *const *rows)
{
    size_t name_bytes = strcspn(entry, "=") + 1;
    for (; rows && *rows; rows++) {
        if (strncmp(*rows, entry, name_bytes) == 0)
            return true;
    }
    return false;
}

static hr_status make_environment(const char *const *rows, char ***out, hr_error *err)
{
    HR_VEC(char *) list = {0};
    hr_status status = HR_OK;
    for (char *const *entry = hr__env_all(); *entry; entry++) {
        if (!replaced(*entry, rows))
            HR_GO(HR_VEC_PUSH(&list, *entry, err));
    }
    for (; rows && *rows; rows++)
        HR_GO(HR_VEC_PUSH(&list, (char *)*rows, err));
    HR_GO(HR_VEC_PUSH(&list, NULL, err));
    *out = list.items;
    return HR_OK;
out:
    HR_VEC_FINISH(&list);
    return status;
}

static hr_status clone_child(launch *l, pid_t *pid_out, hr_error *err)
{
    child_room *room =
        mmap(NULL, sizeof *room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return hr__error_errno(err, errno, "memory to start '%s'", l->path);
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    l->room = room;
    // Returns once the child has execed or is gone.
    pid_t pid = clone(child_main, room->stack + CHILD_STACK_BYTES, CHILD_FLAGS, l);
    int errnum = errno, failed_errno = room->failed_errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    munmap(room, sizeof *room);
    if (pid < 0)
        return hr__error_errno(err, errnum, "start '%s'", l->path);
    if (failed_errno) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return hr__error_errno(err, failed_errno, "start '%s'", l->path);
    }
    *pid_out = pid;
    return HR_OK;
}

hr_status hr__spawn(const hr_spawn *spawn, pid_t *pid_out, hr_error *err)
{
    char path[4096];
    char **envp = NULL;
    HR_TRY(find_program(spawn->argv[0], path, sizeof path, err));
    HR_TRY(make_environment(spawn->env, &envp, err));
    launch l = {.spawn = spawn, .path = path, .envp = envp, .parent = getpid()};
    hr_status status = clone_child(&l, pid_out, err);
    hr__free(envp);
    return status;
}

hr_status hr__reap(pid_t pid, bool wait, bool *ended_out, int *code_out, hr_error *err)
{
    int state = 0;
    pid_t got;
    do
        got = waitpid(pid, &state, wait ? 0 : WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == ECHILD)
        return HR_FAIL(err, HR_NOT_FOUND, "process %ld is no child of ours, or was waited for",
                       (long)pid);
    if (got < 0)
        return hr__error_errno(err, errno, "waiting for process %ld", (long)pid);
    *ended_out = got == pid;
    if (got == pid)
        *code_out = WIFSIGNALED(state) ? 128 + WTERMSIG(state) : WEXITSTATUS(state);
    return HR_OK;
}

hr_status hr__process_watch(pid_t pid, int *fd_out, hr_error *err)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0); // close-on-exec by itself
    if (fd < 0 && errno == ESRCH)
        return HR_FAIL(err, HR_NOT_FOUND, "process %ld is gone", (long)pid);
    if (fd < 0 && errno == ENOSYS)
        return HR_FAIL(err, HR_UNSUPPORTED, "watching a process needs Linux 5.3");
    if (fd < 0)
        return hr__error_errno(err, errno, "watching process %ld", (long)pid);
    *fd_out = fd;
    return HR_OK;
}

hr_status hr__self_path(char *out, size_t room, hr_error *err)
{
    ssize_t bytes = readlink("/proc/self/exe", out, room);
    if (bytes < 0)
        return hr__error_errno(err, errno, "path of this program");
    if ((size_t)bytes >= room)
        return HR_FAIL(err, HR_INVALID, "path of this program: more than %zu bytes", room - 1);
    out[bytes] = 0;
    return HR_OK;
}

// A folder that somebody else owns or can write to would let them stand in for our runtime.
static hr_status check_private(const char *path, hr_error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return hr__error_errno(err, errno, "folder '%s'", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return HR_FAIL(err, HR_DENIED,
                       "folder '%s' belongs to user %u with mode %03o: it must be a folder of "
                       "user %u with mode 700; remove it, or set XDG_RUNTIME_DIR",
                       path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777,
                       (unsigned)geteuid());
    return HR_OK;
}

hr_status hr__runtime_dir(char *out, size_t room, hr_error *err)
{
    const char *base = hr__env("XDG_RUNTIME_DIR");
    struct stat st;
    // After su or sudo the variable may still name the folder of another user.
    bool ours = base && base[0] == '/' && stat(base, &st) == 0 && S_ISDIR(st.st_mode) &&
                st.st_uid == geteuid();
    int bytes = ours ? snprintf(out, room, "%s/headrace", base)
                     : snprintf(out, room, "/tmp/headrace-%u", (unsigned)geteuid());
    if (bytes < 0 || (size_t)bytes >= room)
        return HR_FAIL(err, HR_INVALID, "runtime folder: its path has more than %zu bytes",
                       room - 1);
    if (mkdir(out, 0700) != 0 && errno != EEXIST)
        return hr__error_errno(err, errno, "make folder '%s'", out);
    return check_private(out, err);
}

double hr_process_age_s(void)
{
    return (double)hr__process_age_ns() * 1e-9;
}
