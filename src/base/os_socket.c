// SPDX-License-Identifier: Apache-2.0
// Local sockets: whole messages with descriptors, and waiting for several at once.
//
// A packet is at most 64 KiB and is received whole or refused: a peer that sends more, or more descriptors than were
// asked for, is answered with CORRUPT and everything it sent is closed. Every descriptor is close-on-exec from birth.
#include "base/mem.h"
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG     64
#define POLL_FDS    64 // more than these are waited for with heap memory
#define NS_PER_S    UINT64_C(1000000000)
#define SEND_WAIT_S 10 // a peer that reads nothing for so long is stuck or stopped

static hr_status address_of(const char *path, struct sockaddr_un *out, hr_error *err)
{
    size_t bytes = strlen(path);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (bytes == 0 || bytes >= sizeof out->sun_path)
        return HR_FAIL(err, HR_INVALID,
                       "socket path '%s' has %zu bytes: 1 to %zu are allowed; choose a shorter "
                       "XDG_RUNTIME_DIR",
                       path, bytes, sizeof out->sun_path - 1);
    memcpy(out->sun_path, path, bytes);
    return HR_OK;
}

static void limit_sending(int fd)
{
    struct timeval wait = {.tv_sec = SEND_WAIT_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

static hr_status new_socket(int *fd_out, hr_error *err)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return hr__error_errno(err, errno, "local socket");
    limit_sending(fd);
    *fd_out = fd;
    return HR_OK;
}

// True when a socket file stands at `path` and nobody listens on it.
static bool is_dead(const char *path)
{
    int fd = -1;
    struct stat st;
    struct sockaddr_un address;
    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode) ||
        address_of(path, &address, NULL) != HR_OK || new_socket(&fd, NULL) != HR_OK)
        return false;
    bool refused =
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno == ECONNREFUSED;
    hr__close_fd(&fd);
    return refused;
}

hr_status hr__socket_listen(const char *path, int *fd_out, hr_error *err)
{
    struct sockaddr_un address;
    int fd = -1;
    HR_TRY(address_of(path, &address, err));
    HR_TRY(new_socket(&fd, err));
    int failed = bind(fd, (struct sockaddr *)&address, sizeof address);
    if (failed && errno == EADDRINUSE && is_dead(path) && unlink(path) == 0)
        failed = bind(fd, (struct sockaddr *)&address, sizeof address);
    // The folder is ours alone already; the mode is for whoever put the socket elsewhere.
    if (failed || chmod(path, 0600) != 0 || listen(fd, BACKLOG) != 0) {
        int errnum = errno;
        hr__close_fd(&fd);
        return hr__error_errno(err, errnum, "listen on '%s'", path);
    }
    *fd_out = fd;
    return HR_OK;
}

hr_status hr__socket_connect(const char *path, int *fd_out, hr_error *err)
{
    struct sockaddr_un address;
    int fd = -1, failed;
    HR_TRY(address_of(path, &address, err));
    HR_TRY(new_socket(&fd, err));
    do
        failed = connect(fd, (struct sockaddr *)&address, sizeof address);
    while (failed && errno == EINTR);
    if (failed) {
        int errnum = errno;
        hr__close_fd(&fd);
        if (errnum == ECONNREFUSED)
            return HR_FAIL(err, HR_NOT_FOUND, "connect to '%s': nobody listens there any more",
                           path);
        return hr__error_errno(err, errnum, "connect to '%s'", path);
    }
    *fd_out = fd;
    return HR_OK;
}

hr_status hr__socket_accept(int listener, int *fd_out, uint32_t *uid_out, pid_t *pid_out,
                            hr_error *err)
{
    int fd;
    do
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0)
        return hr__error_errno(err, errno, "accept");
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
        int errnum = errno;
        hr__close_fd(&fd);
        return hr__error_errno(err, errnum, "credentials of a peer");
    }
    limit_sending(fd);
    *fd_out = fd;
    if (uid_out)
        *uid_out = peer.uid;
    if (pid_out)
        *pid_out = peer.pid;
    return HR_OK;
}

hr_status hr__socket_pair(int fds_out[2], hr_error *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return hr__error_errno(err, errno, "socket pair");
    for (int i = 0; i < 2; i++) {
        limit_sending(fds[i]);
        fds_out[i] = fds[i];
    }
    return HR_OK;
}

hr_status hr__socket_never_wait(int fd, hr_error *err)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return hr__error_errno(err, errno, "socket that never waits");
    return HR_OK;
}

hr_status hr__socket_send(int fd, const void *bytes, size_t count, const int *fds, int fd_count,
                          hr_error *err)
{
    // A packet of nothing could not be told from the end.
    if (count == 0 || count > HR_MESSAGE_BYTES_MAX || fd_count < 0 || fd_count > HR_MESSAGE_FDS_MAX)
        return HR_FAIL(err, HR_INVALID,
                       "message of %zu bytes with %d descriptors: 1 to %d bytes and at most %d "
                       "are allowed",
                       count, fd_count, HR_MESSAGE_BYTES_MAX, HR_MESSAGE_FDS_MAX);
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * HR_MESSAGE_FDS_MAX)] = {0};
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fd_count);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fd_count);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * (size_t)fd_count);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)count)
        return HR_OK;
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN))
        return HR_FAIL(err, HR_CANCELLED, "send: the peer is gone");
    if (sent < 0 && errno == EAGAIN)
        return HR_FAIL(err, HR_TIMEOUT,
                       "send: the peer does not read (within %d seconds, where the socket waits)",
                       SEND_WAIT_S);
    return hr__error_errno(err, sent < 0 ? errno : EIO, "send %zu bytes", count);
}

// Gathers the descriptors of a message into `got` (room for HR_MESSAGE_FDS_MAX).
static int collect_fds(struct msghdr *message, int *got)
{
    int count = 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int one;
            memcpy(&one, CMSG_DATA(h) + i * sizeof one, sizeof one);
            if (count < HR_MESSAGE_FDS_MAX)
                got[count++] = one;
            else
                hr__close_fd(&one);
        }
    }
    return count;
}

hr_status hr__socket_receive(int fd, void *bytes, size_t room, size_t *count_out, int *fds,
                             int *fd_count_inout, hr_error *err)
{
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * HR_MESSAGE_FDS_MAX)];
    struct iovec part = {.iov_base = bytes, .iov_len = room};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    int fd_room = fd_count_inout ? *fd_count_inout : 0, got_fds[HR_MESSAGE_FDS_MAX];
    ssize_t got;
    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno != ECONNRESET)
        return hr__error_errno(err, errno, "receive");
    int fd_count = got < 0 ? 0 : collect_fds(&message, got_fds);
    bool cut = got > 0 && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    if (got <= 0 || cut || fd_count > fd_room) {
        for (int i = 0; i < fd_count; i++)
            hr__close_fd(&got_fds[i]);
        if (got <= 0)
            return HR_END;
        return HR_FAIL(err, HR_CORRUPT,
                       "receive: a message of more than %zu bytes or %d descriptors", room,
                       fd_room);
    }
    if (fd_count_inout) {
        memcpy(fds, got_fds, sizeof *fds * (size_t)fd_count);
        *fd_count_inout = fd_count;
    }
    *count_out = (size_t)got;
    return HR_OK;
}

static int poll_until(struct pollfd *polled, int count, uint64_t timeout_ns)
{
    uint64_t begin_ns = hr__now_ns();
    for (;;) {
        uint64_t spent_ns = hr__now_ns() - begin_ns;
        uint64_t left_ns = timeout_ns > spent_ns ? timeout_ns - spent_ns : 0;
        struct timespec wait = {.tv_sec = (time_t)(left_ns / NS_PER_S),
                                .tv_nsec = (long)(left_ns % NS_PER_S)};
        int ready = ppoll(polled, (nfds_t)count, timeout_ns == UINT64_MAX ? NULL : &wait, NULL);
        if (ready >= 0 || errno != EINTR)
            return ready;
    }
}

hr_status hr__poll_read(const int *fds, int count, bool *ready_out, uint64_t timeout_ns,
                        hr_error *err)
{
    struct pollfd few[POLL_FDS], *polled = few;
    if (count > POLL_FDS)
        HR_TRY(hr__alloc_zero((size_t)count, sizeof *polled, &polled, err));
    for (int i = 0; i < count; i++)
        polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    int ready = poll_until(polled, count, timeout_ns);
    hr_status status = HR_OK;
    if (ready < 0)
        status = hr__error_errno(err, errno, "waiting for %d descriptors", count);
    else if (ready == 0)
        status = HR_FAIL(err, HR_TIMEOUT, "nothing arrived in %.3f seconds",
                         (double)timeout_ns / (double)NS_PER_S);
    for (int i = 0; i < count && status == HR_OK; i++)
        ready_out[i] = polled[i].revents != 0;
    if (polled != few)
        hr__free(polled);
    return status;
}

hr_status hr__eventfd(int *fd_out, hr_error *err)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return hr__error_errno(err, errno, "event descriptor");
    *fd_out = fd;
    return HR_OK;
}

void hr__eventfd_wake(int fd)
{
    uint64_t one = 1;
    ssize_t written;
    do
        written = write(fd, &one, sizeof one);
    while (written < 0 && errno == EINTR);
}

void hr__eventfd_drain(int fd)
{
    uint64_t count;
    ssize_t got;
    do
        got = read(fd, &count, sizeof count);
    while (got < 0 && errno == EINTR);
}
