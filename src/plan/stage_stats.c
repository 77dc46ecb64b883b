// SPDX-License-Identifier: Apache-2.0
// Statistics of a stage, printed as the guide prints them (reference 2.1): blocks executed, wall and cpu time, output
// rows and bytes as min, max, mean and total, tasks per node.
#include "base/os.h"
#include "plan/plan_internal.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

hr_status hr__stage_stats_make(const char *name, hr_stage_stats **out, hr_error *err)
{
    hr_stage_stats *s = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *s, &s, err));
    hr_status status = hr__strdup(name, &s->name, err);
    if (status != HR_OK) {
        hr__free(s);
        return status;
    }
    s->refs = 1;
    s->units_expected = -1;
    hr__mutex_init(&s->mutex);
    *out = s;
    return HR_OK;
}

hr_stage_stats *hr__stage_stats_ref(hr_stage_stats *stats)
{
    if (stats)
        atomic_fetch_add_explicit(&stats->refs, 1, memory_order_relaxed);
    return stats;
}

void hr__stage_stats_unref(hr_stage_stats **stats)
{
    hr_stage_stats *s = *stats;
    *stats = NULL;
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    hr__mutex_finish(&s->mutex);
    hr__free(s->name);
    hr__free(s);
}

void hr__stage_stats_start(hr_stage_stats *stats, int64_t units_expected)
{
    if (!stats)
        return;
    hr__mutex_lock(&stats->mutex);
    stats->started = true;
    stats->ended = false;
    stats->start_ns = stats->end_ns = hr__now_ns();
    stats->tasks = stats->units = 0;
    stats->units_expected = units_expected;
    stats->wall_s = stats->cpu_s = stats->rows = stats->bytes = (hr_spread){0};
    hr__mutex_unlock(&stats->mutex);
}

static void spread_add(hr_spread *s, double value, bool first)
{
    s->min = first ? value : HR_MIN(s->min, value);
    s->max = first ? value : HR_MAX(s->max, value);
    s->sum += value;
}

void hr__stage_stats_task(hr_stage_stats *stats, double wall_s, double cpu_s, int64_t rows,
                          int64_t bytes)
{
    if (!stats)
        return;
    hr__mutex_lock(&stats->mutex);
    bool first = stats->tasks++ == 0;
    spread_add(&stats->wall_s, wall_s, first);
    spread_add(&stats->cpu_s, cpu_s, first);
    spread_add(&stats->rows, (double)rows, first);
    spread_add(&stats->bytes, (double)bytes, first);
    stats->end_ns = hr__now_ns();
    hr__mutex_unlock(&stats->mutex);
}

void hr__stage_stats_end(hr_stage_stats *stats)
{
    if (!stats)
        return;
    hr__mutex_lock(&stats->mutex);
    stats->ended = true;
    hr__mutex_unlock(&stats->mutex);
}

static void print_times(const char *what, const hr_spread *s, int64_t count, hr_text *out)
{
    char a[32], b[32], c[32], d[32];
    hr__text_add(out, "* %s: %s min, %s max, %s mean, %s total\n", what,
                 hr__format_seconds(s->min, a), hr__format_seconds(s->max, b),
                 hr__format_seconds(s->sum / (double)count, c), hr__format_seconds(s->sum, d));
}

static void print_counts(const char *what, const hr_spread *s, int64_t count, hr_text *out)
{
    hr__text_add(out, "* %s: %.0f min, %.0f max, %.0f mean, %.0f total\n", what, s->min, s->max,
                 s->sum / (double)count, s->sum);
}

static void spread_json(const char *name, const hr_spread *s, hr_text *out)
{
    hr__text_add(out, ", \"%s\": {\"min\": ", name);
    hr__text_double(out, s->min);
    hr__text_add(out, ", \"max\": ");
    hr__text_double(out, s->max);
    hr__text_add(out, ", \"total\": ");
    hr__text_double(out, s->sum);
    hr__text_char(out, '}');
}

static void print_json(const hr_stage_stats *s, hr_text *out)
{
    hr__text_add(out, "{\"name\": ");
    hr__text_json(out, s->name, strlen(s->name));
    hr__text_add(out, ", \"started\": %s, \"ended\": %s, \"tasks\": %lld, \"seconds\": ",
                 s->started ? "true" : "false", s->ended ? "true" : "false", (long long)s->tasks);
    hr__text_double(out, (double)(s->end_ns - s->start_ns) / 1e9);
    spread_json("wall_s", &s->wall_s, out);
    spread_json("cpu_s", &s->cpu_s, out);
    spread_json("rows", &s->rows, out);
    spread_json("bytes", &s->bytes, out);
    hr__text_char(out, '}');
}

void hr__stage_stats_print(hr_stage_stats *stats, int index, bool json, hr_text *out)
{
    char t[32];
    hr__mutex_lock(&stats->mutex);
    if (json) {
        print_json(stats, out);
    } else if (!stats->started || stats->tasks == 0) {
        hr__text_add(out, "Stage %d %s: not executed yet\n", index, stats->name);
    } else {
        int64_t expected = HR_MAX(stats->units_expected, stats->tasks);
        hr__text_add(out, "Stage %d %s: %lld/%lld blocks executed in %s%s\n", index, stats->name,
                     (long long)stats->tasks, (long long)expected,
                     hr__format_seconds((double)(stats->end_ns - stats->start_ns) / 1e9, t),
                     stats->ended ? "" : " (running)");
        print_times("Remote wall time", &stats->wall_s, stats->tasks, out);
        print_times("Remote cpu time", &stats->cpu_s, stats->tasks, out);
        print_counts("Output num rows", &stats->rows, stats->tasks, out);
        print_counts("Output size bytes", &stats->bytes, stats->tasks, out);
        hr__text_add(out, "* Tasks per node: %lld min, %lld max, %lld mean; 1 nodes used\n",
                     (long long)stats->tasks, (long long)stats->tasks, (long long)stats->tasks);
    }
    hr__mutex_unlock(&stats->mutex);
}
