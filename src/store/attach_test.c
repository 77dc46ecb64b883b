// SPDX-License-Identifier: Apache-2.0
// Channels across processes: this program starts itself as a worker or as a runtime.
#include "base/thread.h"
#include "store/channel.h"
#include "store/store_test_support.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64];

static pid_t start(const char *role, int fd, bool die_with_parent)
{
    char self[256], number[16];
    pid_t pid = 0;
    assert_int_equal(hr__self_path(self, sizeof self, NULL), HR_OK);
    snprintf(number, sizeof number, "%d", fd);
    const char *argv[] = {self, role, number, NULL};
    hr_spawn spawn = {.argv = argv,
                      .keep_fds = &fd,
                      .keep_fd_count = fd >= 0,
                      .die_with_parent = die_with_parent};
    assert_int_equal(hr__spawn(&spawn, &pid, NULL), HR_OK);
    return pid;
}

static int ended(pid_t pid)
{
    bool done = false;
    int code = -1;
    assert_int_equal(hr__reap(pid, true, &done, &code, NULL), HR_OK);
    return code;
}

// --- roles ---

static hr_port *worker_port(const char *fd_text, hr_client **client)
{
    hr_error err = HR_ERROR_INIT;
    hr_port *port = NULL;
    if (hr__client_open_fd((int)strtol(fd_text, NULL, 10), client, &err) != HR_OK ||
        hr__client_port(*client, "train", &port, &err) != HR_OK) {
        fprintf(stderr, "worker: %s\n", err.message);
        exit(3);
    }
    return port;
}

// Reads everything, keeps two leases at a time, checks each byte, writes into private copies.
static int read_all(const char *fd_text)
{
    hr_client *client = NULL;
    hr_port *port = worker_port(fd_text, &client);
    hr_error err = HR_ERROR_INIT;
    hr_lease kept = {.slot = UINT32_MAX}, lease;
    uint64_t step = 0;
    hr_status status;
    if (strcmp(hr_schema_field(hr__port_schema(port), 0)->name, "x") != 0)
        return 4;
    while ((status = hr__port_next(port, UNIT_WAIT_NS, &lease, &err)) == HR_OK) {
        void *private_ = NULL;
        uint64_t at = lease.descriptor.step;
        if (at != step++ || !has_pattern(lease.span, lease.span_bytes, at))
            return 5;
        if (hr__port_private(port, &lease, &private_, &err) != HR_OK ||
            !has_pattern(private_, lease.span_bytes, at))
            return 6;
        memset(private_, 0xdd, lease.span_bytes);
        if (!has_pattern(lease.span, lease.span_bytes, at))
            return 7;
        if (kept.slot != UINT32_MAX)
            hr__port_release(port, &kept);
        kept = lease;
    }
    uint64_t total[2] = {step, (uint64_t)getpid()};
    if (hr__client_send(client, 64, total, sizeof total, &err) != HR_OK)
        return 8;
    hr__port_release(port, &kept);
    hr__port_close(&port);
    hr__client_close(&client);
    return status == HR_END ? 0 : 9;
}

// Takes two batches, forks and says so, then sleeps until it is killed.
static int hold_and_sleep(const char *fd_text)
{
    hr_client *client = NULL;
    hr_port *port = worker_port(fd_text, &client);
    hr_lease a, b;
    if (hr__port_next(port, UINT64_MAX, &a, NULL) || hr__port_next(port, UINT64_MAX, &b, NULL))
        return 3;
    pid_t child = fork(); // an orphan that holds the socket open must not matter
    if (child == 0) {
        if (hr__port_next(port, 0, &a, NULL) != HR_INVALID)
            _exit(1);
        hr__port_release(port, &a); // frees nothing
        hr__port_close(&port);
        hr__client_close(&client);
        char held[96];
        snprintf(held, sizeof held, "%s/held", folder);
        for (int i = 0; i < 1200 && access(held, F_OK) == 0; i++)
            usleep(50000);
        _exit(0);
    }
    if (hr__client_send(client, 64, NULL, 0, NULL) != HR_OK)
        return 4;
    while (pause() != 0) // until it is killed
        ;
    return 0;
}

typedef struct test_runtime {
    test_store t;
    hr_service *service;
    hr_channel *channel;
    _Atomic uint32_t gones, changes, messages;
    _Atomic uint64_t number;
} test_runtime;

static void on_message(void *context, hr_peer *peer, uint32_t type, const void *bytes, size_t count)
{
    test_runtime *r = context;
    uint64_t words[2] = {0};
    memcpy(words, bytes, HR_MIN(count, sizeof words));
    atomic_store(&r->number, words[0]);
    atomic_fetch_add(&r->messages, 1);
    if (type == 65 && hr__peer_offer(peer, "train", r->channel, NULL) == HR_OK &&
        hr__peer_send(peer, 66, "offered", 8, NULL) != HR_OK)
        atomic_store(&r->number, 0);
}

static void on_gone(void *context, hr_peer *peer)
{
    atomic_fetch_add(&((test_runtime *)context)->gones, 1);
}

static void on_change(void *context)
{
    atomic_fetch_add(&((test_runtime *)context)->changes, 1);
}

static void runtime_open(test_runtime *r, const char *spill_dir)
{
    hr_error err = HR_ERROR_INIT;
    memset(r, 0, sizeof *r);
    test_store_open(&r->t, 16 * MIB, 64 * MIB, spill_dir);
    hr_schema *schema = test_schema();
    assert_int_equal(hr__channel_open(r->t.store, schema, 4, 8 * MIB, &r->channel, NULL), HR_OK);
    hr_schema_unref(&schema);
    hr__channel_on_change(r->channel, on_change, r);
    hr_service_handler handler = {.message = on_message, .gone = on_gone, .context = r};
    hr_status status = hr__service_open(r->t.store, &handler, &r->service, &err);
    if (status)
        fail_msg("%s", err.message);
}

static void runtime_close(test_runtime *r)
{
    hr__channel_close(&r->channel);
    hr__service_close(&r->service);
    test_store_close(&r->t);
}

static void push_waiting(test_runtime *r, uint64_t step, size_t bytes)
{
    hr_descriptor d = {.step = step, .rows = 1, .object = make_object(r->t.store, bytes, step)};
    hr_status status;
    wait_until((status = hr__channel_push(r->channel, &d, NULL)) != HR_AGAIN);
    assert_int_equal(status, HR_OK);
}

static int be_runtime(void)
{
    test_runtime r;
    runtime_open(&r, folder);
    for (uint64_t step = 0; step < 2; step++)
        push_waiting(&r, step, 65536);
    while (pause() != 0) // until it is killed
        ;
    return 0;
}

// --- tests ---

static hr_peer *start_worker(test_runtime *r, const char *role, pid_t *pid)
{
    hr_peer *peer = NULL;
    int fd = -1;
    assert_int_equal(hr__service_pair(r->service, r, &peer, &fd, NULL), HR_OK);
    assert_ptr_equal(hr__peer_tag(peer), r);
    assert_int_equal(hr__peer_offer(peer, "train", r->channel, NULL), HR_OK);
    assert_int_equal(hr__peer_offer(peer, "train", r->channel, NULL), HR_INVALID);
    *pid = start(role, fd, true);
    hr__close_fd(&fd);
    return peer;
}

static void attach__another_process_reads_every_batch(void **unused)
{
    test_runtime r;
    pid_t pid;
    runtime_open(&r, NULL);
    hr_peer *peer = start_worker(&r, "read", &pid);
    for (uint64_t step = 0; step < 300; step++)
        push_waiting(&r, step, step % 3 ? 65536 : 300000);
    hr__channel_finish(r.channel, HR_END, NULL);
    assert_int_equal(ended(pid), 0);
    wait_until(atomic_load(&r.gones) == 1);
    assert_int_equal(atomic_load(&r.number), 300);
    assert_true(atomic_load(&r.changes) > 0);
    hr_channel_state state;
    hr__channel_state(r.channel, &state);
    assert_int_equal(state.delivered, 300);
    assert_int_equal(state.leased_bytes, 0);
    hr_store_stats stats;
    hr__store_stats(r.t.store, &stats);
    assert_int_equal(stats.object_count, 0);
    assert_int_equal(hr__peer_send(peer, 64, "x", 1, NULL), HR_END);
    hr__peer_close(r.service, peer);
    runtime_close(&r);
}

static void count_back(void *context, const hr_descriptor *d)
{
    test_runtime *r = context;
    hr__store_unref(r->t.store, d->object);
    atomic_fetch_add(&r->messages, 1);
}

static void attach__leases_of_a_killed_worker_return(void **unused)
{
    test_runtime r;
    pid_t pid;
    hr_channel_state state = {0};
    char held[96]; // while this file stands, the orphan lives
    snprintf(held, sizeof held, "%s/held", folder);
    fclose(fopen(held, "w"));
    runtime_open(&r, NULL);
    hr_peer *peer = start_worker(&r, "hold", &pid);
    for (uint64_t step = 0; step < 5; step++)
        push_waiting(&r, step, 65536);
    wait_until(atomic_load(&r.messages) == 1); // it has forked
    hr__channel_state(r.channel, &state);
    assert_int_equal(state.delivered, 2);
    assert_int_equal(state.leased_bytes, 2 * 65536);
    assert_true(state.attached);
    kill(pid, SIGKILL);
    wait_until(atomic_load(&r.gones));
    assert_int_equal(ended(pid), 128 + SIGKILL);
    assert_int_equal(unlink(held), 0);
    hr__channel_state(r.channel, &state);
    assert_true(state.gone);
    assert_int_equal(state.leased_bytes, 0);
    assert_int_equal(state.undelivered, 3);
    hr__channel_revoke(r.channel, 0, count_back, &r);
    assert_int_equal(atomic_load(&r.messages), 1 + 3);
    hr_store_stats stats;
    hr__store_stats(r.t.store, &stats);
    assert_int_equal(stats.object_count, 0);
    hr__peer_close(r.service, peer);
    runtime_close(&r);
}

static void attach__a_worker_that_never_attached_is_gone_too(void **unused)
{
    test_runtime r;
    pid_t pid;
    runtime_open(&r, NULL);
    hr_peer *peer = start_worker(&r, "quit", &pid);
    assert_int_equal(ended(pid), 0);
    wait_until(atomic_load(&r.gones));
    hr_channel_state state;
    hr__channel_state(r.channel, &state);
    assert_true(state.gone);
    hr__peer_close(r.service, peer);
    runtime_close(&r);
}

// Waits for a runtime to answer, asks it to offer its stream, takes one batch.
static hr_client *join(pid_t pid, hr_port **port, hr_lease *lease)
{
    hr_client *client = NULL;
    uint32_t type = 0;
    char words[16];
    size_t count = 0;
    wait_until(hr__client_open_pid(pid, &client, NULL) == HR_OK);
    assert_int_equal(hr__client_port(client, "train", port, NULL), HR_NOT_FOUND);
    assert_int_equal(hr__client_receive(client, 0, &type, words, sizeof words, &count, NULL),
                     HR_TIMEOUT);
    assert_int_equal(hr__client_send(client, 65, NULL, 0, NULL), HR_OK);
    assert_int_equal(
        hr__client_receive(client, UNIT_WAIT_NS, &type, words, sizeof words, &count, NULL), HR_OK);
    assert_int_equal(type, 66);
    assert_string_equal(words, "offered");
    assert_int_equal(hr__client_port(client, "train", port, NULL), HR_OK);
    assert_int_equal(hr__port_next(*port, UNIT_WAIT_NS, lease, NULL), HR_OK);
    assert_true(has_pattern(lease->span, lease->span_bytes, 0));
    return client;
}

// Files in a folder, the runtimes' own folder apart.
static int count_files(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        count += e->d_name[0] != '.' && strcmp(e->d_name, "headrace") != 0;
    closedir(dir);
    return count;
}

static void attach__a_killed_runtime_cancels_and_leaves_nothing(void **unused)
{
    pid_t pid = start("runtime", -1, true), pids[8];
    hr_port *port = NULL;
    hr_lease lease, other;
    hr_error err = HR_ERROR_INIT;
    hr_text text;
    size_t count = 0;
    hr_client *client = join(pid, &port, &lease);
    assert_int_equal(hr__runtimes(pids, 8, &count, NULL), HR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(pids[0], pid);
    assert_int_equal(hr__port_next(port, UNIT_WAIT_NS, &other, NULL), HR_OK); // both are there
    hr__text_init(&text, 65536);
    assert_int_equal(hr__client_stats(client, "stats-only", &text, NULL), HR_OK);
    assert_non_null(strstr(hr__text_str(&text), "Plasma memory usage 0 MiB, 2 objects"));
    hr__text_finish(&text);
    hr__port_release(port, &other);
    kill(pid, SIGKILL);
    assert_int_equal(hr__port_next(port, UNIT_WAIT_NS, &other, &err), HR_CANCELLED);
    assert_non_null(strstr(err.message, "gone"));
    uint32_t type;
    assert_int_equal(hr__client_receive(client, UINT64_MAX, &type, NULL, 0, &count, NULL), HR_END);
    assert_true(has_pattern(lease.span, lease.span_bytes, 0)); // what we hold stays
    assert_int_equal(ended(pid), 128 + SIGKILL);
    hr__port_release(port, &lease);
    hr__port_close(&port);
    hr__client_close(&client);
    // The next runtime starts, and the dead one's files are gone.
    test_runtime r;
    runtime_open(&r, folder);
    assert_int_equal(hr__runtimes(pids, 8, &count, NULL), HR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(pids[0], getpid());
    runtime_close(&r);
    assert_int_equal(count_files(folder), 0);
    assert_int_equal(hr__client_open_pid(pid, &client, &err), HR_NOT_FOUND);
}

static void attach__a_client_outlived_by_its_port_is_safe(void **unused)
{
    pid_t pid = start("runtime", -1, true);
    hr_port *port = NULL;
    hr_lease lease;
    hr_client *client = join(pid, &port, &lease);
    hr__client_close(&client);
    assert_true(has_pattern(lease.span, lease.span_bytes, 0));
    hr__port_release(port, &lease);
    hr__port_close(&port);
    kill(pid, SIGKILL);
    (void)ended(pid);
}

static void ping(void *context)
{
    test_runtime *r = context;
    for (uint64_t step = 0; step < 2000; step++)
        push_waiting(r, step, 4096);
}

// How long a batch that lies ready takes, and one that is waited for: printed, not judged (the machine may be busy).
static void attach__tells_the_latency_in_one_process(void **unused)
{
    test_runtime r;
    hr_thread thread = {0};
    runtime_open(&r, NULL);
    hr_port *port = NULL;
    hr_lease lease;
    assert_int_equal(hr__port_open_local(r.channel, &port, NULL), HR_OK);
    assert_int_equal(hr__thread_start(&thread, "ping", HR_THREAD_NORMAL, ping, &r, NULL), HR_OK);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(hr__port_next(port, UNIT_WAIT_NS, &lease, NULL), HR_OK);
        hr__port_release(port, &lease);
    }
    hr__thread_join(&thread);
    uint64_t ready = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        push_waiting(&r, i, 4096);
        uint64_t begin = hr__now_ns();
        assert_int_equal(hr__port_next(port, 0, &lease, NULL), HR_OK);
        hr__port_release(port, &lease);
        ready += hr__now_ns() - begin;
    }
    print_message("a ready batch, taken and released: %.2f us\n", (double)ready / 1e6);
    hr__port_close(&port);
    runtime_close(&r);
}

int main(int argc, char **argv)
{
    const char *dir = getenv("HR_TEST_FOLDER");
    snprintf(folder, sizeof folder, "%s", dir ? dir : "/tmp/hr-attach-XXXXXX");
    if (argc > 2 && strcmp(argv[1], "read") == 0)
        return read_all(argv[2]);
    if (argc > 2 && strcmp(argv[1], "hold") == 0)
        return hold_and_sleep(argv[2]);
    if (argc > 2 && strcmp(argv[1], "quit") == 0)
        return 0;
    if (argc > 2 && strcmp(argv[1], "runtime") == 0)
        return be_runtime();
    if (!mkdtemp(folder))
        return 1;
    setenv("XDG_RUNTIME_DIR", folder, 1);
    setenv("HR_TEST_FOLDER", folder, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attach__tells_the_latency_in_one_process),
        cmocka_unit_test(attach__another_process_reads_every_batch),
        cmocka_unit_test(attach__leases_of_a_killed_worker_return),
        cmocka_unit_test(attach__a_worker_that_never_attached_is_gone_too),
        cmocka_unit_test(attach__a_killed_runtime_cancels_and_leaves_nothing),
        cmocka_unit_test(attach__a_client_outlived_by_its_port_is_safe),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char inner[96];
    snprintf(inner, sizeof inner, "%s/headrace", folder);
    rmdir(inner);
    rmdir(folder);
    return failed;
}
