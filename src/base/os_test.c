// SPDX-License-Identifier: Apache-2.0
// Clocks, shared memory, files, sockets, processes, and what the machine allows.
#include "base/cpu.h"
#include "base/os.h"
#include "base/thread.h"
#include "base/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static hr_error err;

static void clocks__run_forward(void **state)
{
    uint64_t begin_ns = hr__now_ns();
    hr__sleep_ns(1000000);
    assert_true(hr__now_ns() >= begin_ns + 1000000);
    assert_true(hr__thread_cpu_ns() > 0);
    assert_true(hr__process_age_ns() < UINT64_C(600000000000));
}

static void memfd__private_map_hides_its_writes(void **state)
{
    size_t bytes = 4 * (size_t)sysconf(_SC_PAGESIZE);
    int fd = -1;
    void *read = NULL, *write = NULL, *own = NULL;
    assert_ok(hr__memfd("test", bytes, &fd, &err), &err);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_ok(hr__map_fd(fd, 0, bytes, HR_MAP_READ, &read, &err), &err);
    assert_ok(hr__map_fd(fd, 0, bytes, HR_MAP_WRITE, &write, &err), &err);
    assert_ok(hr__map_fd(fd, 0, bytes, HR_MAP_PRIVATE, &own, &err), &err);
    assert_status(hr__map_fd(fd, 0, 0, HR_MAP_READ, &own, &err), HR_INVALID);
    assert_true(hr__map_fd(-1, 0, 1, HR_MAP_READ, &own, &err) < 0);
    memset(write, 1, bytes);
    memset(own, 2, bytes);
    assert_int_equal(*(char *)read, 1);
    hr__drop_private(own, bytes);
    assert_int_equal(*(char *)own, 1);
    struct stat st;
    assert_ok(hr__punch(fd, 0, bytes / 2, &err), &err);
    fstat(fd, &st);
    assert_int_equal(st.st_blocks * 512, bytes / 2);
    assert_int_equal(*(char *)read, 0);
    assert_int_equal(*((char *)read + bytes - 1), 1);
    hr__unmap(read, bytes);
    hr__unmap(write, bytes);
    hr__unmap(own, bytes);
    hr__unmap(NULL, 0);
    hr__close_fd(&fd);
    assert_int_equal(fd, -1);
    assert_true(hr__memfd("test", UINT64_MAX, &fd, &err) < 0);
}

static void memory_info__is_plausible(void **state)
{
    hr_memory_info info;
    hr__memory_info(&info);
    assert_true(info.available_bytes > (1 << 20));
    assert_true(info.cgroup_limit_bytes > (1 << 20));
    assert_true(info.files_max >= 16);
    assert_true(hr__anonymous_bytes(getpid()) > 0);
    assert_int_equal(hr__anonymous_bytes(0x7ffffff), 0);
    assert_true(hr__cpu_count() >= 1);
    hr__cpu_set_mask(0);
    assert_int_equal(hr__cpu_features(), 0);
    hr__cpu_set_mask(HR_CPU_AVX2);
    assert_int_equal(hr__cpu_features() & ~(unsigned)HR_CPU_AVX2, 0);
}

static void files__short_read_is_the_end(void **state)
{
    char path[] = "/tmp/headrace-test-XXXXXX", bytes[10] = {0};
    int fd = mkstemp(path);
    size_t got = 0;
    assert_ok(hr__pwrite_full(fd, "abcdef", 6, 2, &err), &err);
    assert_ok(hr__pread_full(fd, bytes, sizeof bytes, 1, &got, &err), &err);
    assert_int_equal(got, 7);
    assert_memory_equal(bytes, "\0abcdef", 7);
    assert_status(hr__pread_full(fd, bytes, 2, UINT64_MAX, &got, &err), HR_INVALID);
    hr__close_fd(&fd);
    assert_ok(hr__open_file(path, O_RDONLY, 0, &fd, &err), &err);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_status(hr__pwrite_full(fd, "x", 1, 0, &err), HR_IO);
    hr__close_fd(&fd);
    unlink(path);
    assert_status(hr__open_file(path, O_RDONLY, 0, &fd, &err), HR_NOT_FOUND);
    assert_message_has(&err, path);
    assert_ok(hr__open_file("/dev/full", O_WRONLY, 0, &fd, &err), &err);
    assert_status(hr__pwrite_full(fd, "x", 1, 0, &err), HR_LIMIT);
    hr__close_fd(&fd);
}

static void wake(void *context)
{
    _Atomic uint32_t *word = context;
    atomic_store(word, 1);
    hr__futex_wake(word, 1);
}

static void futex__wakes_and_times_out(void **state)
{
    _Atomic uint32_t word = 0;
    hr_thread t;
    assert_false(hr__futex_wait(&word, 0, 1000000));
    assert_true(hr__futex_wait(&word, 5, UINT64_MAX)); // it is not 5
    assert_ok(hr__thread_start(&t, "wake", HR_THREAD_NORMAL, wake, &word, &err), &err);
    while (atomic_load(&word) == 0)
        hr__futex_wait(&word, 0, UINT64_MAX);
    hr__thread_join(&t);
}

static void socket__carries_messages_and_descriptors(void **state)
{
    int pair[2], memory = -1, got_fds[2] = {-1, -1}, fd_count = 2;
    char bytes[16];
    size_t count = 0;
    void *map = NULL;
    assert_ok(hr__socket_pair(pair, &err), &err);
    assert_ok(hr__memfd("sent", 4096, &memory, &err), &err);
    assert_ok(hr__pwrite_full(memory, "hello", 5, 0, &err), &err);
    assert_ok(hr__socket_send(pair[0], "one", 3, &memory, 1, &err), &err);
    assert_ok(hr__socket_send(pair[0], "two!", 4, NULL, 0, &err), &err);
    assert_ok(hr__socket_receive(pair[1], bytes, 16, &count, got_fds, &fd_count, &err), &err);
    assert_int_equal(count, 3);
    assert_int_equal(fd_count, 1);
    assert_true(fcntl(got_fds[0], F_GETFD) & FD_CLOEXEC);
    assert_ok(hr__map_fd(got_fds[0], 0, 4096, HR_MAP_READ, &map, &err), &err);
    assert_memory_equal(map, "hello", 5);
    hr__unmap(map, 4096);
    assert_ok(hr__socket_receive(pair[1], bytes, 16, &count, NULL, NULL, &err), &err);
    assert_int_equal(count, 4);
    // Nothing and too much are refused before they are sent.
    assert_status(hr__socket_send(pair[0], "", 0, NULL, 0, &err), HR_INVALID);
    assert_status(hr__socket_send(pair[0], bytes, HR_MESSAGE_BYTES_MAX + 1, NULL, 0, &err),
                  HR_INVALID);
    hr__close_fd(&pair[0]);
    assert_status(hr__socket_receive(pair[1], bytes, 16, &count, NULL, NULL, &err), HR_END);
    assert_status(hr__socket_send(pair[1], "x", 1, NULL, 0, &err), HR_CANCELLED);
    hr__close_fd(&pair[1]);
    hr__close_fd(&got_fds[0]);
    hr__close_fd(&memory);
}

static int open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void socket__what_was_not_asked_for_is_refused_and_closed(void **state)
{
    int pair[2], fds[3] = {0, 1, 2}, got_fds[1], fd_count = 1;
    char bytes[16];
    size_t count = 0;
    assert_ok(hr__socket_pair(pair, &err), &err);
    int before = open_fds();
    assert_ok(hr__socket_send(pair[0], "0123456789abcdefg", 17, fds, 1, &err), &err);
    assert_status(hr__socket_receive(pair[1], bytes, 16, &count, got_fds, &fd_count, &err),
                  HR_CORRUPT);
    assert_ok(hr__socket_send(pair[0], "x", 1, fds, 3, &err), &err);
    assert_status(hr__socket_receive(pair[1], bytes, 16, &count, got_fds, &fd_count, &err),
                  HR_CORRUPT);
    assert_ok(hr__socket_send(pair[0], "x", 1, fds, 3, &err), &err);
    assert_status(hr__socket_receive(pair[1], bytes, 16, &count, NULL, NULL, &err), HR_CORRUPT);
    assert_int_equal(open_fds(), before);
    hr__close_fd(&pair[0]);
    hr__close_fd(&pair[1]);
}

static void socket__listener_replaces_a_dead_one(void **state)
{
    char dir[] = "/tmp/headrace-test-XXXXXX", path[128];
    int listener = -1, second = -1, client = -1, server = -1;
    uint32_t uid = 0;
    pid_t pid = 0;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    assert_ok(hr__socket_listen(path, &listener, &err), &err);
    assert_true(hr__socket_listen(path, &second, &err) < 0); // it lives
    hr__close_fd(&listener);
    assert_status(hr__socket_connect(path, &client, &err), HR_NOT_FOUND);
    assert_ok(hr__socket_listen(path, &listener, &err), &err);
    assert_ok(hr__socket_connect(path, &client, &err), &err);
    assert_ok(hr__socket_accept(listener, &server, &uid, &pid, &err), &err);
    assert_int_equal(uid, geteuid());
    assert_int_equal(pid, getpid());
    struct stat st;
    stat(path, &st);
    assert_int_equal(st.st_mode & 0777, 0600);
    hr__close_fd(&client);
    hr__close_fd(&server);
    hr__close_fd(&listener);
    unlink(path);
    char long_path[200];
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = 0;
    assert_status(hr__socket_listen(long_path, &listener, &err), HR_INVALID);
    assert_status(hr__socket_connect(path, &client, &err), HR_NOT_FOUND);
    rmdir(dir);
}

static void poll__tells_which_is_ready(void **state)
{
    int fds[80];
    bool ready[80];
    for (int i = 0; i < 80; i++)
        assert_ok(hr__eventfd(&fds[i], &err), &err);
    assert_status(hr__poll_read(fds, 2, ready, 1000000, &err), HR_TIMEOUT);
    assert_status(hr__poll_read(fds, 80, ready, 0, &err), HR_TIMEOUT);
    hr__eventfd_wake(fds[70]);
    hr__eventfd_wake(fds[70]);
    assert_ok(hr__poll_read(fds, 80, ready, UINT64_MAX, &err), &err);
    for (int i = 0; i < 80; i++)
        assert_int_equal(ready[i], i == 70);
    hr__eventfd_drain(fds[70]);
    assert_status(hr__poll_read(&fds[70], 1, ready, 0, &err), HR_TIMEOUT);
    for (int i = 0; i < 80; i++)
        hr__close_fd(&fds[i]);
}

static int run_shell(const char *script, const char *const *env, int keep)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    hr_spawn spawn = {.argv = argv,
                      .env = env,
                      .keep_fds = &keep,
                      .keep_fd_count = keep >= 0,
                      .die_with_parent = true};
    pid_t pid = 0;
    bool ended = false;
    int code = -1;
    assert_ok(hr__spawn(&spawn, &pid, &err), &err);
    assert_ok(hr__reap(pid, true, &ended, &code, &err), &err);
    assert_true(ended);
    return code;
}

static void spawn__gives_exit_codes_and_signals(void **state)
{
    assert_int_equal(run_shell("exit 7", NULL, -1), 7);
    assert_int_equal(run_shell("kill -TERM $$", NULL, -1), 128 + SIGTERM);
}

static void spawn__environment_is_ours_and_the_rows(void **state)
{
    const char *const env[] = {"HEADRACE_TEST_A=new", "HEADRACE_TEST_B=two", NULL};
    setenv("HEADRACE_TEST_A", "old", 1);
    setenv("HEADRACE_TEST_C", "kept", 1);
    assert_int_equal(run_shell("test \"$HEADRACE_TEST_A$HEADRACE_TEST_B$HEADRACE_TEST_C\" = "
                               "newtwokept",
                               env, -1),
                     0);
    assert_string_equal(getenv("HEADRACE_TEST_A"), "old");
}

static void spawn__keeps_the_named_descriptors_alone(void **state)
{
    int fd = -1;
    char script[128];
    assert_ok(hr__memfd("kept", 4096, &fd, &err), &err);
    int open_one = dup(fd); // not close-on-exec, as a careless program would have it
    snprintf(script, sizeof script, "test -e /proc/self/fd/%d && ! test -e /proc/self/fd/%d", fd,
             open_one);
    assert_int_equal(run_shell(script, NULL, fd), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(open_one);
    hr__close_fd(&fd);
}

static void spawn__child_starts_with_plain_signals(void **state)
{
    sigset_t all, before, now;
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    int code = run_shell("grep -q '^SigBlk:.0000000000000000' /proc/self/status && "
                         "grep -q '^SigIgn:.0000000000000000' /proc/self/status",
                         NULL, -1);
    sigprocmask(SIG_SETMASK, &before, &now);
    assert_true(sigismember(&now, SIGUSR1)); // ours were left as they were
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(code, 0);
}

static void spawn__failure_is_told_by_the_parent(void **state)
{
    const char *none[] = {"/nonexistent/program", NULL}, *nowhere[] = {"no-such-program-x", NULL};
    const char *not_one[] = {"/etc/passwd", NULL};
    pid_t pid = 0;
    assert_status(hr__spawn(&(hr_spawn){.argv = none}, &pid, &err), HR_NOT_FOUND);
    assert_message_has(&err, "/nonexistent/program");
    assert_status(hr__spawn(&(hr_spawn){.argv = nowhere}, &pid, &err), HR_NOT_FOUND);
    assert_status(hr__spawn(&(hr_spawn){.argv = not_one}, &pid, &err), HR_DENIED);
    assert_int_equal(pid, 0);
    bool ended;
    int code;
    assert_status(hr__reap(getpid(), false, &ended, &code, &err), HR_NOT_FOUND);
}

static void spawn__running_child_has_not_ended(void **state)
{
    const char *argv[] = {"sleep", "100", NULL};
    pid_t pid = 0;
    bool ended = true;
    int code = 0;
    assert_ok(hr__spawn(&(hr_spawn){.argv = argv, .die_with_parent = true}, &pid, &err), &err);
    assert_ok(hr__reap(pid, false, &ended, &code, &err), &err);
    assert_false(ended);
    kill(pid, SIGKILL);
    assert_ok(hr__reap(pid, true, &ended, &code, &err), &err);
    assert_int_equal(code, 128 + SIGKILL);
}

static void spawn_and_end(void *context)
{
    const char *argv[] = {"sleep", "100", NULL};
    *(hr_status *)context =
        hr__spawn(&(hr_spawn){.argv = argv, .die_with_parent = true}, (pid_t *)context + 1, NULL);
}

static void spawn__child_dies_with_the_thread_that_made_it(void **state)
{
    // The documented meaning of die_with_parent, and the quickest way to see that it is set.
    hr_thread t;
    struct {
        hr_status status;
        pid_t pid;
    } made = {HR_OK, 0};
    bool ended = false;
    int code = 0;
    assert_ok(hr__thread_start(&t, "parent", HR_THREAD_NORMAL, spawn_and_end, &made, &err), &err);
    hr__thread_join(&t);
    assert_status(made.status, HR_OK);
    assert_ok(hr__reap(made.pid, true, &ended, &code, &err), &err);
    assert_int_equal(code, 128 + SIGKILL);
}

static hr_status spawn_true(void *context, hr_error *e)
{
    const char *argv[] = {"true", NULL};
    pid_t pid = 0;
    bool ended;
    int code;
    HR_TRY(hr__spawn(&(hr_spawn){.argv = argv}, &pid, e));
    return hr__reap(pid, true, &ended, &code, e);
}

static void spawn__survives_torture(void **state)
{
    assert_true(hr__unit_torture(spawn_true, NULL) >= 1);
}

static void runtime_dir__must_be_ours_alone(void **state)
{
    char base[] = "/tmp/headrace-test-XXXXXX", path[128], small[8];
    assert_non_null(mkdtemp(base));
    setenv("XDG_RUNTIME_DIR", base, 1);
    assert_ok(hr__runtime_dir(path, sizeof path, &err), &err);
    assert_memory_equal(path, base, strlen(base));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_ok(hr__runtime_dir(path, sizeof path, &err), &err);
    assert_int_equal(chmod(path, 0755), 0);
    assert_status(hr__runtime_dir(path, sizeof path, &err), HR_DENIED);
    assert_message_has(&err, "mode 700");
    rmdir(path);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_status(hr__runtime_dir(path, sizeof path, &err), HR_DENIED);
    unlink(path);
    assert_status(hr__runtime_dir(small, sizeof small, &err), HR_INVALID);
    rmdir(base);
    unsetenv("XDG_RUNTIME_DIR");
}

static void self_path__is_this_program(void **state)
{
    char path[4096], small[3];
    assert_ok(hr__self_path(path, sizeof path, &err), &err);
    assert_int_equal(access(path, X_OK), 0);
    assert_status(hr__self_path(small, sizeof small, &err), HR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks__run_forward),
        cmocka_unit_test(memfd__private_map_hides_its_writes),
        cmocka_unit_test(memory_info__is_plausible),
        cmocka_unit_test(files__short_read_is_the_end),
        cmocka_unit_test(futex__wakes_and_times_out),
        cmocka_unit_test(socket__carries_messages_and_descriptors),
        cmocka_unit_test(socket__what_was_not_asked_for_is_refused_and_closed),
        cmocka_unit_test(socket__listener_replaces_a_dead_one),
        cmocka_unit_test(poll__tells_which_is_ready),
        cmocka_unit_test(spawn__gives_exit_codes_and_signals),
        cmocka_unit_test(spawn__environment_is_ours_and_the_rows),
        cmocka_unit_test(spawn__keeps_the_named_descriptors_alone),
        cmocka_unit_test(spawn__child_starts_with_plain_signals),
        cmocka_unit_test(spawn__failure_is_told_by_the_parent),
        cmocka_unit_test(spawn__running_child_has_not_ended),
        cmocka_unit_test(spawn__child_dies_with_the_thread_that_made_it),
        cmocka_unit_test(spawn__survives_torture),
        cmocka_unit_test(runtime_dir__must_be_ours_alone),
        cmocka_unit_test(self_path__is_this_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
