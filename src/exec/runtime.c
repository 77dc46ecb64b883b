// SPDX-License-Identifier: Apache-2.0
// The runtime: store, ledger, pools and service as one handle. What limits us (memory, control group, processors) is
// found out when it opens, and told. It knows the process that opened it: a child after fork() is refused and frees
// nothing.
#include "exec/exec_internal.h"
#include "base/cpu.h"
#include "base/log.h"
#include "base/option.h"
#include "base/os.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BUDGET_BYTES_MIN       (16ull << 20)
#define SCRATCH_KEEP_BYTES_MAX (128ull << 20)
// What is made or restored ahead leaves a quarter of the arena to what is needed now.
#define RESERVE_PART 4

static const hr_option_row runtime_rows[] = {
    {"memory_bytes", HR_OPTION_BYTES, offsetof(hr_runtime_options, memory_bytes), 0, 0, 1e18, NULL,
     "bytes for shared memory and the pipeline's heap together", "--memory", "memory_bytes"},
    {"threads", HR_OPTION_INT, offsetof(hr_runtime_options, threads), 0, 0, HR_THREADS_MAX, NULL,
     "threads that decode and transform", "--threads", "threads"},
    {"io_threads", HR_OPTION_INT, offsetof(hr_runtime_options, io_threads), 4, 1, 64, NULL,
     "threads that read ahead", NULL, "io_threads"},
    {"spill_dir", HR_OPTION_TEXT, offsetof(hr_runtime_options, spill_dir), 0, 0, 0, NULL,
     "folder for what does not fit; \"none\": nowhere", "--spill", "spill_dir"},
    {"cpus", HR_OPTION_INT, offsetof(hr_runtime_options, cpus), 0, 0, 1e6, NULL,
     "CPU slots that trainers share; 0: the processors of this process", NULL, "num_cpus"},
    {"gpus", HR_OPTION_INT, offsetof(hr_runtime_options, gpus), 0, 0, 1e6, NULL,
     "GPU slots that trainers share", NULL, "num_gpus"},
};
const hr_option_table hr__runtime_options =
    HR_OPTION_TABLE("runtime", hr_runtime_options, runtime_rows, "headrace.init");

static hr_status choose_budget(hr_runtime_options *o, char *why, size_t room, hr_error *err)
{
    hr_memory_info info;
    const char *text = hr__env("HEADRACE_MEMORY");
    uint64_t bytes = (uint64_t)o->memory_bytes;
    char a[32], b[32];
    hr__memory_info(&info);
    uint64_t left = info.available_bytes;
    (void)snprintf(why, room, "as asked");
    if (!bytes && text) {
        HR_TRY(hr__parse_bytes(text, &bytes, err));
        (void)snprintf(why, room, "HEADRACE_MEMORY");
    }
    if (!bytes) {
        bytes = info.available_bytes / 10 * 3;
        (void)snprintf(why, room, "30 %% of available memory");
        if (info.cgroup_limit_bytes != UINT64_MAX) {
            uint64_t group =
                info.cgroup_limit_bytes - HR_MIN(info.cgroup_limit_bytes, info.cgroup_used_bytes);
            if (group / 2 < bytes) {
                bytes = group / 2;
                (void)snprintf(why, room, "half of what the control group leaves");
            }
        }
    }
    if (bytes < BUDGET_BYTES_MIN)
        return HR_FAIL(err, HR_LIMIT,
                       "memory budget of %s is too small: at least %s are needed (memory_bytes, "
                       "HEADRACE_MEMORY)",
                       hr__format_bytes(bytes, a), hr__format_bytes(BUDGET_BYTES_MIN, b));
    if (bytes > left)
        return HR_FAIL(err, HR_LIMIT,
                       "memory budget of %s: only %s of memory are available; ask for less "
                       "(memory_bytes, HEADRACE_MEMORY)",
                       hr__format_bytes(bytes, a), hr__format_bytes(left, b));
    o->memory_bytes = (int64_t)bytes;
    return HR_OK;
}

static hr_status choose_threads(hr_runtime_options *o, hr_error *err)
{
    const char *text = hr__env("HEADRACE_THREADS");
    if (!o->threads && text)
        HR_TRY(hr__option_parse(&hr__runtime_options, "threads", text, o, err));
    if (!o->threads)
        o->threads = HR_MIN(hr__cpu_count(), HR_THREADS_MAX);
    return HR_OK;
}

static const char *choose_spill_dir(const hr_runtime_options *o)
{
    const char *dir = o->spill_dir;
    if (!dir)
        dir = hr__env("HEADRACE_SPILL");
    if (!dir)
        dir = hr__env("TMPDIR");
    if (!dir)
        dir = "/var/tmp";
    return strcmp(dir, "none") == 0 ? NULL : dir;
}

static void store_wake(void *context)
{
    hr__pool_kick_all(context);
}

static uint64_t reclaim(void *context, uint64_t bytes)
{
    hr_runtime *rt = context;
    return hr__scratch_reclaim(rt->scratch, bytes);
}

static uint64_t give_idle_pages(hr_spare *spare, uint64_t bytes)
{
    hr_runtime *rt = (hr_runtime *)((char *)spare - offsetof(hr_runtime, idle_pages));
    return hr__store_trim(rt->store, bytes);
}

static uint64_t give_offered(hr_spare *spare, uint64_t bytes)
{
    hr_runtime *rt = (hr_runtime *)((char *)spare - offsetof(hr_runtime, offered));
    return hr__store_trim_offered(rt->store, bytes);
}

static void free_runtime(hr_runtime *rt)
{
    if (rt->has_spare) {
        hr__scratch_remove_spare(rt->scratch, &rt->idle_pages);
        hr__scratch_remove_spare(rt->scratch, &rt->offered);
    }
    if (rt->service)
        hr__service_close(&rt->service);
    hr__io_stop(rt);
    hr__pool_stop(rt);
    hr__store_close(&rt->store); // its threads kick the pool until they are joined
    hr__pool_finish(rt);
    hr__scratch_close(&rt->scratch);
    hr__mutex_finish(&rt->service_mutex);
    hr__mutex_finish(&rt->slots_mutex);
    hr__free(rt->spill_dir);
    hr__free(rt);
}

static hr_status open_parts(hr_runtime *rt, const hr_runtime_options *o, hr_error *err)
{
    hr_store_config store = {
        .ledger = &rt->ledger,
        .arena_bytes_max = rt->arena_bytes,
        .spill_dir = rt->spill_dir,
        .spill_direct = true,
        .wake = store_wake,
        .wake_context = rt,
        .reclaim = reclaim,
        .reclaim_context = rt,
    };
    HR_TRY(hr__scratch_open(&rt->ledger,
                            HR_MIN((uint64_t)o->memory_bytes / 8, SCRATCH_KEEP_BYTES_MAX),
                            &rt->scratch, err));
    // The store may wake the pool as soon as it lives.
    HR_TRY(hr__pool_start(rt, (int)o->threads, err));
    HR_TRY(hr__store_open(&store, &rt->store, err));
    hr__store_set_reserve(rt->store, rt->arena_bytes / RESERVE_PART);
    rt->idle_pages.give = give_idle_pages;
    hr__scratch_add_spare(rt->scratch, &rt->idle_pages);
    rt->offered = (hr_spare){.give = give_offered, .first = true};
    hr__scratch_add_spare(rt->scratch, &rt->offered);
    rt->has_spare = true;
    HR_TRY(hr__io_start(rt, (int)o->io_threads, err));
    return HR_OK;
}

hr_status hr_runtime_open(const hr_runtime_options *options, hr_runtime **out, hr_error *err)
{
    hr_runtime_options o;
    hr_runtime *rt = NULL;
    hr_status status;
    char why[64], bytes[32];
    HR_TRY(hr__options_resolve(&hr__runtime_options, options, &o, err));
    HR_TRY(choose_budget(&o, why, sizeof why, err));
    HR_TRY(choose_threads(&o, err));
    const char *spill = choose_spill_dir(&o);
    HR_TRY(hr__alloc_zero(1, sizeof *rt, &rt, err));
    rt->refs = 1;
    rt->pid = getpid();
    hr__mutex_init(&rt->service_mutex);
    hr__mutex_init(&rt->slots_mutex);
    hr__ledger_init(&rt->ledger, (uint64_t)o.memory_bytes);
    rt->arena_bytes = (uint64_t)o.memory_bytes / 4 * 3;
    rt->slots[HR_SLOT_CPU] = o.cpus > 0 ? o.cpus : hr__cpu_count();
    rt->slots[HR_SLOT_GPU] = o.gpus;
    rt->slots[HR_SLOT_INGEST] = o.threads;
    if (spill)
        HR_GO(hr__strdup(spill, &rt->spill_dir, err));
    (void)snprintf(rt->describe, sizeof rt->describe,
                   "budget %s (%s), %d thread%s, spill to %.120s",
                   hr__format_bytes((uint64_t)o.memory_bytes, bytes), why, (int)o.threads,
                   o.threads == 1 ? "" : "s", spill ? spill : "nowhere");
    HR_GO(open_parts(rt, &o, err));
    // `headrace memory` asks over the service's socket; a runtime that cannot have one works all the same.
    hr_service *service;
    if (hr__runtime_service(rt, &service, NULL) != HR_OK)
        hr__trace(HR_TOPIC_SCHED, "no service: other processes cannot ask this runtime");
    hr__trace(HR_TOPIC_SCHED, "runtime open: %s", rt->describe);
    *out = rt;
    return HR_OK;
out:
    free_runtime(rt);
    return status;
}

hr_runtime *hr__runtime_ref(hr_runtime *runtime)
{
    atomic_fetch_add_explicit(&runtime->refs, 1, memory_order_relaxed);
    return runtime;
}

void hr__runtime_unref(hr_runtime **runtime)
{
    hr_runtime *rt = *runtime;
    *runtime = NULL;
    if (!rt || rt->pid != getpid()) // a child after fork frees nothing: the threads are not here
        return;
    // Release: what this thread did with it is before the free; acquire: the free sees what others did.
    if (atomic_fetch_sub_explicit(&rt->refs, 1, memory_order_acq_rel) == 1)
        free_runtime(rt);
}

void hr_runtime_close(hr_runtime **runtime)
{
    hr__runtime_unref(runtime);
}

hr_status hr__runtime_check(const hr_runtime *runtime, hr_error *err)
{
    if (runtime->pid != getpid())
        return HR_FAIL(err, HR_DENIED,
                       "the runtime belongs to process %lld: after fork() open one of your own, or "
                       "start workers with spawn",
                       (long long)runtime->pid);
    if (hr__runtime_interrupted(runtime))
        return HR_FAIL(err, HR_CANCELLED, "interrupted");
    return HR_OK;
}

bool hr__runtime_is_foreign(const hr_runtime *runtime)
{
    return runtime->pid != getpid();
}

hr_store *hr__runtime_store(hr_runtime *runtime)
{
    return runtime->store;
}
hr_ledger *hr__runtime_ledger(hr_runtime *runtime)
{
    return &runtime->ledger;
}
hr_scratch *hr__runtime_scratch(hr_runtime *runtime)
{
    return runtime->scratch;
}
uint64_t hr__runtime_budget_bytes(const hr_runtime *runtime)
{
    return runtime->ledger.limit_bytes;
}
uint64_t hr__runtime_arena_bytes(const hr_runtime *runtime)
{
    return runtime->arena_bytes;
}
int hr_runtime_threads(const hr_runtime *runtime)
{
    return runtime->pool.thread_count;
}

bool hr__runtime_interrupted(const hr_runtime *runtime)
{
    return atomic_load_explicit(&runtime->interrupted, memory_order_relaxed);
}

void hr_runtime_interrupt(hr_runtime *runtime)
{
    atomic_store_explicit(&runtime->interrupted, true, memory_order_relaxed);
    hr__runtime_ring(runtime);
}

void hr_runtime_resume(hr_runtime *runtime)
{
    atomic_store_explicit(&runtime->interrupted, false, memory_order_relaxed);
}

const char *hr_runtime_describe(const hr_runtime *runtime, char *buffer, size_t room)
{
    (void)snprintf(buffer, room, "%s", runtime->describe);
    return buffer;
}

// --- service ---

static void service_message(void *context, hr_peer *peer, uint32_t type, const void *bytes,
                            size_t count)
{
    hr_peer_owner *owner = hr__peer_tag(peer);
    if (owner)
        owner->message(owner, peer, type, bytes, count);
}

static void service_gone(void *context, hr_peer *peer)
{
    hr_peer_owner *owner = hr__peer_tag(peer);
    if (owner)
        owner->gone(owner, peer);
}

static void service_stats(void *context, const char *what, hr_text *out)
{
    hr_runtime *rt = context;
    hr_store_stats s;
    hr__store_stats(rt->store, &s);
    if (strcmp(what, "json") == 0) {
        hr_slots_stats slots;
        hr_runtime_slots(rt, &slots, sizeof slots);
        hr__text_add(out,
                     "{\"pid\": %lld, \"budget_bytes\": %llu, \"used_bytes\": %llu, "
                     "\"arena_charged_bytes\": %llu, "
                     "\"arena_peak_bytes\": %llu, \"object_count\": %llu, \"needed_bytes\": %llu, "
                     "\"spilled_bytes\": %llu, "
                     "\"restored_bytes\": %llu, \"consumed_bytes\": %llu, \"cpus\": %g, "
                     "\"cpus_used\": %g, \"gpus\": %g, \"gpus_used\": %g}\n",
                     (long long)rt->pid, (unsigned long long)rt->ledger.limit_bytes,
                     (unsigned long long)rt->ledger.used_bytes,
                     (unsigned long long)s.arena_charged_bytes,
                     (unsigned long long)s.arena_peak_bytes, (unsigned long long)s.object_count,
                     (unsigned long long)s.needed_bytes, (unsigned long long)s.spilled_bytes,
                     (unsigned long long)s.restored_bytes, (unsigned long long)s.consumed_bytes,
                     slots.cpus, slots.cpus_used, slots.gpus, slots.gpus_used);
        return;
    }
    if (strcmp(what, "stats-only") != 0)
        hr__text_add(out, "Runtime of process %lld: %s\n", (long long)rt->pid, rt->describe);
    hr__store_stats_print(&s, out);
    if (strcmp(what, "stats-only") != 0)
        hr__slots_print(rt, out);
}

hr_status hr__runtime_service(hr_runtime *runtime, hr_service **out, hr_error *err)
{
    hr_service_handler handler = {service_message, service_gone, service_stats, runtime};
    hr_status status = HR_OK;
    HR_TRY(hr__runtime_check(runtime, err));
    hr__mutex_lock(&runtime->service_mutex);
    if (!runtime->service)
        status = hr__service_open(runtime->store, &handler, &runtime->service, err);
    if (status == HR_OK)
        *out = runtime->service;
    hr__mutex_unlock(&runtime->service_mutex);
    return status;
}

// --- figures ---

void hr_runtime_memory(hr_runtime *runtime, hr_memory_stats *out, size_t out_bytes)
{
    hr_store_stats s;
    hr__store_stats(runtime->store, &s);
    const hr_memory_stats now = {
        .budget_bytes = runtime->ledger.limit_bytes,
        .used_bytes = atomic_load_explicit(&runtime->ledger.used_bytes, memory_order_relaxed),
        .peak_bytes = atomic_load_explicit(&runtime->ledger.peak_bytes, memory_order_relaxed),
        .arena_used_bytes = s.arena_charged_bytes,
        .arena_peak_bytes = s.arena_peak_bytes,
        .object_count = s.object_count,
        .needed_bytes = s.needed_bytes,
        .spilled_bytes = s.spilled_bytes,
        .spilled_objects = s.spilled_objects,
        .restored_bytes = s.restored_bytes,
        .restored_objects = s.restored_objects,
        .spill_write_s = (double)s.spill_write_ns / 1e9,
        .restore_read_s = (double)s.restore_read_ns / 1e9,
        .consumed_bytes = s.consumed_bytes,
        .leased_bytes = s.leased_bytes,
        .copied_bytes = s.copied_bytes,
    };
    hr__stats_copy(out, out_bytes, &now, sizeof now);
}

hr_status hr_memory_summary(const char *what, char **out, hr_error *err)
{
    pid_t pids[64];
    size_t count = 0;
    size_t answered = 0;
    hr_text text;
    hr_status status;
    if (strcmp(what, "") != 0 && strcmp(what, "stats-only") != 0 && strcmp(what, "json") != 0)
        return HR_FAIL(err, HR_INVALID,
                       "memory summary '%s': \"stats-only\", \"json\" or \"\" (all)", what);
    HR_TRY(hr__runtimes(pids, HR_COUNTOF(pids), &count, err));
    hr__text_init(&text, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        hr_client *client = NULL;
        // A runtime may end between the listing and the question: it is passed over then.
        if (hr__client_open_pid(pids[i], &client, NULL) == HR_OK &&
            hr__client_stats(client, what, &text, NULL) == HR_OK)
            answered++;
        hr__client_close(&client);
    }
    if (!answered) {
        hr__text_finish(&text);
        return HR_FAIL(err, HR_NOT_FOUND, "no runtime of this user is running");
    }
    status = hr__text_take(&text, out, err);
    hr__text_finish(&text);
    return status;
}

void hr_text_free(char *text)
{
    hr__free(text);
}
