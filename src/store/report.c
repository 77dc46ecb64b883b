// SPDX-License-Identifier: Apache-2.0
// The text of `headrace memory --stats-only`, line for line as Ray's `ray memory --stats-only` has it: scripts read
// these lines, so their words stay. Lines after the first two are there only when there is something to say.
#include "store/store.h"

#include <stdio.h>

#define MIB 1048576u

// Two decimals, as Python prints round(x, 2): "50.0", "33.33", "0.0".
static void add_percent(hr_text *out, uint64_t part, uint64_t whole)
{
    char text[48];
    double percent = whole ? 100.0 * (double)part / (double)whole : 0;
    int bytes = snprintf(text, sizeof text, "%.2f", percent);
    if (text[bytes - 1] == '0')
        text[bytes - 1] = 0;
    hr__text_add(out, "%s%%", text);
}

static void add_io(hr_text *out, const char *what, const char *direction, uint64_t bytes,
                   uint64_t objects, uint64_t ns)
{
    if (!bytes || !ns)
        return;
    hr__text_add(out, "%s %llu MiB, %llu objects, avg %s throughput %llu MiB/s\n", what,
                 (unsigned long long)(bytes / MIB), (unsigned long long)objects, direction,
                 (unsigned long long)((double)bytes / MIB / ((double)ns / 1e9)));
}

void hr__store_stats_print(const hr_store_stats *s, hr_text *out)
{
    hr__text_add(out, "--- Aggregate object store stats across all nodes ---\n");
    hr__text_add(out, "Plasma memory usage %llu MiB, %llu objects, ",
                 (unsigned long long)(s->arena_used_bytes / MIB),
                 (unsigned long long)s->object_count);
    add_percent(out, s->arena_used_bytes, s->arena_bytes_max);
    hr__text_add(out, " full, ");
    add_percent(out, s->needed_bytes, s->arena_bytes_max);
    hr__text_add(out, " needed\n");
    add_io(out, "Spilled", "write", s->spilled_bytes, s->spilled_objects, s->spill_write_ns);
    add_io(out, "Restored", "read", s->restored_bytes, s->restored_objects, s->restore_read_ns);
    if (s->consumed_bytes)
        hr__text_add(out, "Objects consumed by Ray tasks: %llu MiB.\n",
                     (unsigned long long)(s->consumed_bytes / MIB));
    if (s->waiting)
        hr__text_add(out, "Object fetches queued, waiting for available memory.\n");
}
