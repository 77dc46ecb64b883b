// SPDX-License-Identifier: Apache-2.0
// The platform seam: clocks, shared memory, futexes, sockets with descriptors, processes, memory figures.
#ifndef HR_BASE_OS_H
#define HR_BASE_OS_H

#include "base/error.h"
#include <sys/types.h>

// --- clocks ---
uint64_t hr__now_ns(void);        // monotonic
uint64_t hr__thread_cpu_ns(void); // of the calling thread
// Since the process was started (exec), from /proc/self/stat and uptime.
uint64_t hr__process_age_ns(void);
void hr__sleep_ns(uint64_t ns);

// --- memory ---
HR_USE_RESULT hr_status hr__memfd(const char *name, uint64_t bytes, int *fd_out,
                                  hr_error *err); // close-on-exec, sparse
typedef enum hr_map_mode {
    HR_MAP_READ,    // shared, read-only
    HR_MAP_WRITE,   // shared, read and write
    HR_MAP_PRIVATE, // read and write, copied on write, never seen by others
} hr_map_mode;
HR_USE_RESULT hr_status hr__map_fd(int fd, uint64_t offset, size_t bytes, hr_map_mode mode,
                                   void **out, hr_error *err);
// Zeroed pages of our own, which go back to the system when unmapped.
HR_USE_RESULT hr_status hr__map_pages(size_t bytes, void **out, hr_error *err);
void hr__unmap(void *memory, size_t bytes);
// Gives the pages of a range of a memfd back to the kernel (FALLOC_FL_PUNCH_HOLE).
HR_USE_RESULT hr_status hr__punch(int fd, uint64_t offset, uint64_t bytes, hr_error *err);
// MADV_DONTNEED: private copies go, the shared pages show again
void hr__drop_private(void *memory, size_t bytes);
typedef struct hr_memory_info {
    uint64_t available_bytes;    // MemAvailable
    uint64_t cgroup_limit_bytes; // UINT64_MAX: none
    uint64_t cgroup_used_bytes;
    uint64_t address_space_bytes; // RLIMIT_AS, UINT64_MAX: none
    uint64_t files_max;           // RLIMIT_NOFILE
} hr_memory_info;
void hr__memory_info(hr_memory_info *out);
// Anonymous memory (RssAnon) of a process, 0 when it is gone. Shared pages are not in it.
uint64_t hr__anonymous_bytes(pid_t pid);
// The same, and in *shared_out its pages of shared memory (RssShmem).
uint64_t hr__resident_bytes(pid_t pid, uint64_t *shared_out);
// How many processes the kernel has killed for want of memory since it started, of any group; 0 where it does not tell.
uint64_t hr__memory_kills(void);

// --- waiting across processes ---
// Waits while *word == expected; false when the time was up (timeout_ns UINT64_MAX: none). May return early.
bool hr__futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void hr__futex_wake(_Atomic uint32_t *word, int count);

// --- files (retry EINTR; a short count is the end of the file or a full disk) ---
HR_USE_RESULT hr_status hr__open_file(const char *path, int flags, int mode, int *fd_out,
                                      hr_error *err);
void hr__close_fd(int *fd); // leaves -1; -1 is fine
HR_USE_RESULT hr_status hr__pread_full(int fd, void *to, size_t bytes, uint64_t offset,
                                       size_t *read_out, hr_error *err);
HR_USE_RESULT hr_status hr__pwrite_full(int fd, const void *from, size_t bytes, uint64_t offset,
                                        hr_error *err);

// Makes the file long enough for a range and gives it space on the disk, where the file system can.
HR_USE_RESULT hr_status hr__preallocate(int fd, uint64_t offset, uint64_t bytes, hr_error *err);
// Free bytes of the file system that holds `path`, for this user.
HR_USE_RESULT hr_status hr__free_bytes(const char *path, uint64_t *out, hr_error *err);

// --- folders (os_folder.c) ---
HR_USE_RESULT hr_status hr__folder_make(const char *path,
                                        hr_error *err); // and those above; fine when it is there
HR_USE_RESULT hr_status hr__folder_sync(const char *path, hr_error *err); // its entries are durable
// Copies what is in `from` (files, links to files, folders) into the folder `to`, and makes all of it durable. `skip`:
// names at the top that are left out, NULL-ended; may be NULL. INVALID: a device, pipe, socket, link to a folder.
HR_USE_RESULT hr_status hr__folder_copy(const char *from, const char *to, const char *const *skip,
                                        hr_error *err);
void hr__folder_remove(const char *path); // with all that is in it, as far as it can
HR_USE_RESULT hr_status hr__folder_list(const char *path,
                                        void (*each)(void *context, const char *name),
                                        void *context, hr_error *err);
HR_USE_RESULT hr_status hr__rename(const char *from, const char *to, hr_error *err);
// Makes (or replaces) a file of these bytes, durable. LIMIT: the disk is full, with numbers.
HR_USE_RESULT hr_status hr__file_write(const char *path, const void *bytes, size_t count,
                                       hr_error *err);
HR_USE_RESULT hr_status hr__file_copy(const char *from, const char *to,
                                      hr_error *err); // `to` must not be there; durable
// An advisory lock that the kernel lets go of with the process. AGAIN: somebody has it.
HR_USE_RESULT hr_status hr__file_lock(const char *path, int *fd_out, hr_error *err);
HR_USE_RESULT hr_status hr__path_real(const char *path, char **out, hr_error *err); // absolute

// --- sockets (AF_UNIX, SOCK_SEQPACKET: one message a packet, at most 64 KiB, up to 8 descriptors) ---
#define HR_MESSAGE_BYTES_MAX 65536
#define HR_MESSAGE_FDS_MAX   8
HR_USE_RESULT hr_status hr__socket_listen(const char *path, int *fd_out, hr_error *err);
HR_USE_RESULT hr_status hr__socket_connect(const char *path, int *fd_out, hr_error *err);
HR_USE_RESULT hr_status hr__socket_accept(int listener, int *fd_out, uint32_t *uid_out,
                                          pid_t *pid_out, hr_error *err);
HR_USE_RESULT hr_status hr__socket_pair(int fds_out[2], hr_error *err);
// CANCELLED: the peer is gone. TIMEOUT: it has read nothing for 10 seconds.
HR_USE_RESULT hr_status hr__socket_send(int fd, const void *bytes, size_t count, const int *fds,
                                        int fd_count, hr_error *err);
// From now on a send to a peer that is full gives TIMEOUT at once instead of waiting for it.
HR_USE_RESULT hr_status hr__socket_never_wait(int fd, hr_error *err);
// HR_END: the peer is gone. *fd_count_inout: room in, received out.
HR_USE_RESULT hr_status hr__socket_receive(int fd, void *bytes, size_t room, size_t *count_out,
                                           int *fds, int *fd_count_inout, hr_error *err);
// Waits until one of fds can be read (or hung up); sets ready_out[i]. HR_TIMEOUT when the time was up.
HR_USE_RESULT hr_status hr__poll_read(const int *fds, int count, bool *ready_out,
                                      uint64_t timeout_ns, hr_error *err);
HR_USE_RESULT hr_status hr__eventfd(int *fd_out, hr_error *err);
void hr__eventfd_wake(int fd);
void hr__eventfd_drain(int fd);

// --- processes ---
typedef struct hr_spawn {
    const char *const *argv; // argv[0] is the program (a path, or found on PATH)
    const char *const
        *env;            // "NAME=value" rows added to (or replacing) ours, NULL-ended; may be NULL
    const int *keep_fds; // descriptors that the child keeps, under the same numbers, beside 0, 1, 2
    int keep_fd_count;
    // PDEATHSIG SIGKILL; the child also checks that the parent still lives. Linux sends the signal when the THREAD
    // that spawned ends: call from one that outlives the child.
    bool die_with_parent;
} hr_spawn;
HR_USE_RESULT hr_status hr__spawn(const hr_spawn *spawn, pid_t *pid_out,
                                  hr_error *err); // never a bare fork
// *ended_out false while it runs. code_out: exit code, or 128 + signal.
HR_USE_RESULT hr_status hr__reap(pid_t pid, bool wait, bool *ended_out, int *code_out,
                                 hr_error *err);
// A descriptor that can be read (hr__poll_read) once the process ended, a child or not, reaped or not. NOT_FOUND: it
// is gone. UNSUPPORTED: the kernel has no such thing (before 5.3).
HR_USE_RESULT hr_status hr__process_watch(pid_t pid, int *fd_out, hr_error *err);
HR_USE_RESULT hr_status hr__self_path(char *out, size_t room, hr_error *err); // /proc/self/exe
// The folder for sockets of this user's runtimes ($XDG_RUNTIME_DIR/headrace, else /tmp/headrace-UID), made 0700.
HR_USE_RESULT hr_status hr__runtime_dir(char *out, size_t room, hr_error *err);

#endif
