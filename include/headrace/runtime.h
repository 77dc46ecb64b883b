// SPDX-License-Identifier: Apache-2.0
/**
 * The runtime: shared memory, threads and budgets as one handle. One is enough for a program.
 *
 * A runtime may be used from any thread. It belongs to the process that opened it: after fork() a
 * child's calls on it (and on everything made from it) return HR_DENIED, and closing frees nothing
 * there. Close what was made from it first.
 */
#ifndef HEADRACE_RUNTIME_H
#define HEADRACE_RUNTIME_H

#include <headrace/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hr_runtime hr_runtime;

/** Zero means the default, for every field. */
typedef struct hr_runtime_options {
    size_t size;
    /** Bytes for shared memory and the pipeline's heap together. Default: the smaller of 30 % of
     *  the available memory and half of what the control group leaves; HEADRACE_MEMORY. */
    int64_t memory_bytes;
    /** Threads that decode and transform. Default: the processors of this process; HEADRACE_THREADS */
    int64_t threads;
    int64_t io_threads; /**< threads that read ahead. Default 4 */
    /** Where what does not fit goes. Default: HEADRACE_SPILL, TMPDIR, /var/tmp. "none": nowhere */
    const char *spill_dir;
    /** Slots that trainers share; ingest takes none. Default: the processors of this process, and no
     *  GPU; HEADRACE_CPUS, HEADRACE_GPUS. */
    int64_t cpus, gpus;
} hr_runtime_options;
#define HR_RUNTIME_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(hr_runtime_options), 0, 0, 0, NULL, 0, 0                                            \
    }

/** Opens a runtime. options may be NULL. LIMIT: the budget is below 16 MiB or over what the machine has.
 *  DENIED, IO: shared memory or threads could not be had. */
HR_API HR_USE_RESULT hr_status hr_runtime_open(const hr_runtime_options *options, hr_runtime **out,
                                               hr_error *err);
/** Ends its threads and gives the memory back. Streams that are still open end as HR_CANCELLED. */
HR_API void hr_runtime_close(hr_runtime **runtime);

/** What a runtime holds now, and held at most. Fields are appended in later releases. */
typedef struct hr_memory_stats {
    uint64_t budget_bytes;
    uint64_t used_bytes, peak_bytes;             /**< arena pages and pipeline heap together */
    uint64_t arena_used_bytes, arena_peak_bytes; /**< shared memory: pages touched */
    uint64_t object_count;
    uint64_t needed_bytes; /**< of objects that are kept or held: what cannot simply go */
    uint64_t spilled_bytes, spilled_objects, restored_bytes, restored_objects;
    double spill_write_s, restore_read_s; /**< the store's own time in writes and reads */
    uint64_t consumed_bytes;              /**< handed to consumers */
    uint64_t leased_bytes,
        copied_bytes; /**< held by consumers now; copied because they held too much */
} hr_memory_stats;
/** out_bytes: sizeof *out. */
HR_API void hr_runtime_memory(hr_runtime *runtime, hr_memory_stats *out, size_t out_bytes);

/** The ledger of slots that trainers take (train.h). Fields are appended in later releases. */
typedef struct hr_slots_stats {
    double cpus, gpus;           /**< there are */
    double cpus_used, gpus_used; /**< taken now */
    int64_t holders;             /**< trainers that hold some */
    int64_t ingest_threads,
        ingest_threads_reserved; /**< that decode and transform; of them, reserved */
} hr_slots_stats;
/** out_bytes: sizeof *out. */
HR_API void hr_runtime_slots(hr_runtime *runtime, hr_slots_stats *out, size_t out_bytes);
/** How many threads decode and transform. */
HR_API int hr_runtime_threads(const hr_runtime *runtime);
/** "budget 7.1 GiB (30 % of available memory), 2 threads, spill to /var/tmp": one line. Returns buffer. */
HR_API const char *hr_runtime_describe(const hr_runtime *runtime, char *buffer, size_t room);

/** The text of `headrace memory` over all runtimes of this user that answer. what: "stats-only", "json" or "" (all).
 *  *out is freed with hr_text_free. NOT_FOUND: no runtime is running. */
HR_API HR_USE_RESULT hr_status hr_memory_summary(const char *what, char **out, hr_error *err);
/** Frees text that a function of this library returned. NULL is fine. */
HR_API void hr_text_free(char *text);

/** Cancels everything that waits in this runtime (Ctrl-C handlers may call it: async-signal-safe).
 *  Calls return HR_CANCELLED. */
HR_API void hr_runtime_interrupt(hr_runtime *runtime);
/** Forgets an interruption, once what it cancelled has returned: later calls work again. */
HR_API void hr_runtime_resume(hr_runtime *runtime);

#ifdef __cplusplus
}
#endif
#endif
