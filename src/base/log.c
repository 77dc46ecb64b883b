// SPDX-License-Identifier: Apache-2.0
// The log sink, tracing by topic, and failed assertions: all that this library ever writes to standard error.
//
// A line is composed on the stack and handed over whole, so lines of several threads never mix. The sink is called
// outside the lock: one that was replaced a moment ago may see one last line.
#include "base/log.h"
#include "base/option.h"
#include "base/thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 2048

static hr_mutex sink_mutex = HR_MUTEX_INIT;
static hr_log_sink sink;   // guards: sink_mutex; NULL: default_sink
static void *sink_context; // guards: sink_mutex

static void write_stderr(const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(STDERR_FILENO, text, bytes);
        if (written <= 0)
            return; // nobody is left to be told
        text += written;
        bytes -= (size_t)written;
    }
}

static void default_sink(void *context, hr_log_level level, const char *line)
{
    static const char *const prefix[] = {"error: ", "warning: ", "", "trace: "};
    char text[LINE_BYTES + 32];
    // Informational lines (spilling) stand without a prefix, as the guide prints them.
    int bytes = snprintf(text, sizeof text, "%s%s%s\n",
                         level == HR_LOG_INFO ? "" : "headrace: ", prefix[level], line);
    if (bytes > 0)
        write_stderr(text, HR_MIN((size_t)bytes, sizeof text - 1));
}

void hr_log_set_sink(hr_log_sink new_sink, void *context)
{
    hr__mutex_lock(&sink_mutex);
    sink = new_sink;
    sink_context = context;
    hr__mutex_unlock(&sink_mutex);
}

static void emit(hr_log_level level, const char *format, va_list args)
{
    char line[LINE_BYTES];
    vsnprintf(line, sizeof line, format, args);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    }
    hr__mutex_lock(&sink_mutex);
    hr_log_sink to = sink ? sink : default_sink;
    void *context = sink_context;
    hr__mutex_unlock(&sink_mutex);
    to(context, level, line);
}

void hr__log(hr_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    emit(level, format, args);
    va_end(args);
}

#define TOPICS_READ (UINT32_C(1) << 31) // set once the environment was looked at

static uint32_t topics_of(const char *list)
{
    static const struct {
        const char *name;
        uint32_t bits;
    } known[] = {{"sched", HR_TOPIC_SCHED}, {"store", HR_TOPIC_STORE}, {"spill", HR_TOPIC_SPILL},
                 {"plan", HR_TOPIC_PLAN},   {"feed", HR_TOPIC_FEED},   {"worker", HR_TOPIC_WORKER},
                 {"io", HR_TOPIC_IO},       {"all", TOPICS_READ - 1}};
    uint32_t bits = 0;
    while (list && *list) {
        size_t bytes = strcspn(list, ",");
        for (size_t i = 0; i < HR_COUNTOF(known); i++) {
            if (strlen(known[i].name) == bytes && memcmp(known[i].name, list, bytes) == 0)
                bits |= known[i].bits;
        }
        list += bytes + (list[bytes] == ',');
    }
    return bits;
}

bool hr__trace_on(hr_topic topic)
{
    static _Atomic uint32_t topics;
    // Relaxed: every thread that finds it unread works out the same value.
    uint32_t bits = atomic_load_explicit(&topics, memory_order_relaxed);
    if (HR_UNLIKELY(!bits)) {
        bits = topics_of(hr__env("HEADRACE_TRACE")) | TOPICS_READ;
        atomic_store_explicit(&topics, bits, memory_order_relaxed);
    }
    return bits & (uint32_t)topic;
}

void hr__trace(hr_topic topic, const char *format, ...)
{
    if (!hr__trace_on(topic))
        return;
    va_list args;
    va_start(args, format);
    emit(HR_LOG_TRACE, format, args);
    va_end(args);
}

HR_NORETURN void hr__assert_failed(const char *file, int line, const char *text)
{
    char message[512];
    int bytes =
        snprintf(message, sizeof message,
                 "headrace: bug: %s:%d: expected %s; please report this line\n", file, line, text);
    if (bytes > 0)
        write_stderr(message, HR_MIN((size_t)bytes, sizeof message - 1));
    abort();
}
