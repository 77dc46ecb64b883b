// SPDX-License-Identifier: Apache-2.0
// The check's report: the guide's lines, then where the time went.
//
// A worker's time is waiting or its own. What was waited for is told by what the pipeline's threads were busy with
// meanwhile: the wait is dealt to their causes in proportion, as far as they were busy at all; the rest is
// hand-over (descriptors, waking up, a pipeline that had nothing to do). All shares are of the workers' time and
// sum to 1.
#include "train/check_parts.h"

#include "base/option.h"
#include "block/block.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIB 1048576.0

void hr__check_attribute(hr_check_report *report)
{
    const hr_stream_stats *s = &report->stream;
    const double busy[HR_CAUSES] = {
        [HR_CAUSE_STORAGE] = s->storage_s,   [HR_CAUSE_DECOMPRESS] = s->decompress_s,
        [HR_CAUSE_DECODE] = s->decode_s,     [HR_CAUSE_TRANSFORM] = s->transform_s,
        [HR_CAUSE_FUNCTION] = s->function_s, [HR_CAUSE_BATCH] = s->batch_s,
        [HR_CAUSE_SPILL] = s->spill_s,       [HR_CAUSE_MEMORY] = s->memory_s,
    };
    double total = report->wait_s + report->own_s, all_busy = 0;
    memset(report->share, 0, sizeof report->share);
    if (total <= 0) {
        report->share[HR_CAUSE_CONSUMER] = 1;
        return;
    }
    for (int c = 0; c < HR_CAUSES; c++)
        all_busy += busy[c];
    double dealt = HR_MIN(report->wait_s, all_busy);
    for (int c = 0; c < HR_CAUSES; c++)
        report->share[c] = all_busy > 0 ? dealt / total * (busy[c] / all_busy) : 0;
    report->share[HR_CAUSE_HANDOVER] = (report->wait_s - dealt) / total;
    report->share[HR_CAUSE_CONSUMER] = report->own_s / total;
}

static hr_cause widest(const hr_check_report *report)
{
    hr_cause best = HR_CAUSE_CONSUMER;
    for (int c = 0; c < HR_CAUSES; c++)
        if (report->share[c] > report->share[best])
            best = (hr_cause)c;
    return best;
}

void hr__check_widest(const hr_check_report *report, hr_text *out)
{
    hr_cause cause = widest(report);
    double share = report->share[cause];
    static const char *const advice[HR_CAUSES] = {
        [HR_CAUSE_STORAGE] =
            "storage bounds this job; a faster disk, a copy that compresses better, "
            "or fewer columns would help",
        [HR_CAUSE_DECOMPRESS] =
            "decompression bounds this job; more threads, or a copy written with "
            "lz4 or none",
        [HR_CAUSE_DECODE] = "decoding bounds this job; more threads, or fewer columns",
        [HR_CAUSE_TRANSFORM] =
            "the transform bounds this job; more threads, or materialise it once "
            "when several epochs are read",
        [HR_CAUSE_FUNCTION] = "your own function bounds this job; an expression that runs in C, or "
                              "more processes",
        [HR_CAUSE_BATCH] =
            "laying out batches bounds this job; whole blocks, or batches that divide "
            "a block's rows, are handed over without a copy",
        [HR_CAUSE_SPILL] = "the disk that spills bounds this job; a larger memory budget, or "
                           "streaming instead of bulk",
        [HR_CAUSE_MEMORY] = "the memory budget bounds this job; a larger one, or smaller batches",
        [HR_CAUSE_HANDOVER] = "hand-over bounds this job; larger batches, or a deeper prefetch",
        [HR_CAUSE_CONSUMER] = "the trainer itself: the ingest keeps up with it",
    };
    hr__text_add(out, "%s", advice[cause]);
    if (cause != HR_CAUSE_CONSUMER && share < 0.999)
        hr__text_add(out, " (hidden entirely, the loop would be %.1f x as fast)", 1 / (1 - share));
    hr__text_char(out, '.');
}

// --- numbers as people read them ---

// 3000000 as "3,000,000".
static void add_count(hr_text *out, int64_t value)
{
    char digits[32];
    int count = snprintf(digits, sizeof digits, "%lld", (long long)value);
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0 && digits[i - 1] != '-')
            hr__text_char(out, ',');
        hr__text_char(out, digits[i]);
    }
}

// Two decimals at most and one at least, as Python prints round(x, 2).
static void add_round(hr_text *out, double value)
{
    char text[64];
    int count = snprintf(text, sizeof text, "%.2f", value);
    if (count > 0 && count < (int)sizeof text && text[count - 1] == '0')
        text[count - 1] = '\0';
    hr__text_add(out, "%s", text);
}

static double rate(int64_t bytes, double seconds)
{
    return seconds > 0 ? (double)bytes / MIB / seconds : 0;
}

// Bytes over the time that workers waited for them: what the feed could give. Without touching there is nothing else.
static double handed_rate(const hr_check_report *report)
{
    if (!report->touch)
        return rate(report->bytes, report->loop_s);
    int64_t count = 0;
    for (int64_t i = 0; i < report->worker_count; i++)
        count += report->workers[i].has_result;
    return count > 0 ? rate(report->bytes, report->wait_s / (double)count) : 0;
}

static const char *end_name(hr_worker_end end)
{
    static const char *const names[] = {"done", "failed", "died", "idle", "cancelled"};
    return (unsigned)end < HR_COUNTOF(names) ? names[end] : "?";
}

// --- the guide's lines ---

static void print_preprocessing(const hr_check_report *report, hr_text *out)
{
    hr__text_add(out, "Starting dataset preprocessing\nPreprocessed datasets in ");
    hr__text_double(out, report->preprocess_s);
    hr__text_add(out, " seconds\n");
    if (!report->prep)
        return;
    hr__text_add(out, "Preprocessor %s\nPreprocessor transform stats:\n\n%s", report->prep,
                 report->prep_stats);
    size_t bytes = strlen(report->prep_stats);
    if (bytes == 0 || report->prep_stats[bytes - 1] != '\n')
        hr__text_char(out, '\n');
}

static void print_worker(const hr_check_report *report, int64_t rank, hr_text *out)
{
    const hr_check_result *r = &report->workers[rank].result;
    hr__text_add(out, "Time to read all data ");
    hr__text_double(out, r->loop_s);
    hr__text_add(out, " seconds\nP50/P95/Max batch delay (s) ");
    hr__text_double(out, r->delay_p50_s);
    hr__text_char(out, ' ');
    hr__text_double(out, r->delay_p95_s);
    hr__text_char(out, ' ');
    hr__text_double(out, r->delay_max_s);
    hr__text_add(out, "\nNum epochs read %lld\nNum batches read %lld\nNum bytes read ",
                 (long long)r->epochs, (long long)r->batches);
    add_round(out, (double)r->bytes / MIB);
    hr__text_add(out, " MiB\nMean throughput ");
    add_round(out, rate(r->bytes, r->loop_s));
    hr__text_add(out, " MiB/s\n");
    if (rank != 0)
        return;
    char waiting[32], own[32], total[32];
    hr__text_add(out, "Ingest stats from rank=0:\n\n%s", report->stats);
    hr__text_add(out,
                 "\nDataset iterator time breakdown:\n* Waiting for batches: %s\n* In user code: "
                 "%s\n* Total time: %s\n",
                 hr__format_seconds(r->wait_s, waiting), hr__format_seconds(r->own_s, own),
                 hr__format_seconds(r->loop_s, total));
}

// --- where the time went ---

static void print_head(const hr_check_report *report, hr_text *out)
{
    static const char *const shuffles[] = {"no shuffle", "blocks shuffled", "window shuffle",
                                           "global shuffle"};
    char bytes[32];
    hr__text_add(out, "\n%s  ", report->source);
    add_count(out, report->rows);
    hr__text_add(out, " rows, %s    %lld worker%s, ",
                 hr__format_bytes((uint64_t)report->bytes, bytes), (long long)report->worker_count,
                 report->worker_count == 1 ? "" : "s");
    if (report->global_batch_rows > 0) {
        hr__text_add(out, "steps of ");
        add_count(out, report->global_batch_rows);
    } else if (report->batch_rows > 0) {
        hr__text_add(out, "batches of ");
        add_count(out, report->batch_rows);
    } else {
        hr__text_add(out, "whole blocks");
    }
    hr__text_add(out, ", %s", shuffles[report->shuffle]);
    if (report->shuffle != HR_SHUFFLE_NONE)
        hr__text_add(out, ", seed %llu", (unsigned long long)report->seed);
    hr__text_add(out, "\n%s%s\n\n", report->plan,
                 report->bulk ? "  (bulk: materialised first)" : "");
}

static void print_throughput(const hr_check_report *report, hr_text *out)
{
    char loop[32], first[32];
    hr__text_add(out, "Throughput: ");
    if (report->touch) {
        add_count(out, llround(rate(report->bytes, report->loop_s)));
        hr__text_add(out, " MiB/s touched (handed over: ");
        add_count(out, llround(handed_rate(report)));
        hr__text_add(out, ")");
    } else {
        add_count(out, llround(handed_rate(report)));
        hr__text_add(out, " MiB/s handed over (by reference: no byte was read; --touch reads all)");
    }
    hr__text_add(out, "    ");
    add_count(out, report->batches);
    hr__text_add(out, " batches in %s, first batch after %s\n",
                 hr__format_seconds(report->loop_s, loop),
                 hr__format_seconds(report->first_batch_s, first));
}

static void print_shares(const hr_check_report *report, hr_text *out)
{
    double waited = 1 - report->share[HR_CAUSE_CONSUMER];
    const char *separator = "";
    hr__text_add(out, "The trainer waited %.0f %% of the time", waited * 100);
    bool taken[HR_CAUSES] = {[HR_CAUSE_CONSUMER] = true};
    for (int n = 0; n < HR_CAUSES; n++) { // largest first
        int best = -1;
        for (int c = 0; c < HR_CAUSES; c++)
            if (!taken[c] && (best < 0 || report->share[c] > report->share[best]))
                best = c;
        if (best < 0 || report->share[best] < 0.005)
            break;
        taken[best] = true;
        hr__text_add(out, "%s%s %.0f %%", n == 0 ? ", for: " : separator,
                     best == HR_CAUSE_HANDOVER ? "hand-over" : hr__cause_name((hr_cause)best),
                     report->share[best] * 100);
        separator = ", ";
    }
    hr__text_add(out, ".\nWidest gain: ");
    hr__check_widest(report, out);
    hr__text_char(out, '\n');
}

static void print_memory(const hr_check_report *report, hr_text *out)
{
    char a[32], b[32];
    hr__text_add(out, "Memory: peak %s of %s budget, ", hr__format_bytes(report->peak_bytes, a),
                 hr__format_bytes(report->memory.budget_bytes, b));
    const hr_stream_stats *s = &report->stream;
    if (s->memory_rows + s->reread_rows)
        hr__text_add(out, "epochs from the 2nd on %.0f %% from memory, ",
                     100.0 * (double)s->memory_rows / (double)(s->memory_rows + s->reread_rows));
    if (report->spilled_bytes == 0)
        hr__text_add(out, "nothing spilled.");
    else
        hr__text_add(out, "%s spilled, %s restored.", hr__format_bytes(report->spilled_bytes, a),
                     hr__format_bytes(report->restored_bytes, b));
    if (report->copied_batches > 0)
        hr__text_add(out, " %lld batches copied for workers that held too many.",
                     (long long)report->copied_batches);
    if (report->stream.dropped_rows > 0)
        hr__text_add(out, " %lld rows dropped at epochs' ends.",
                     (long long)report->stream.dropped_rows);
    if (report->stream.padded_rows > 0)
        hr__text_add(out, " %lld rows given again to fill epochs' last steps.",
                     (long long)report->stream.padded_rows);
    if (report->touch)
        hr__text_add(out, " Checksum %016llx.", (unsigned long long)report->checksum);
    hr__text_char(out, '\n');
}

static void print_fates(const hr_check_report *report, hr_text *out)
{
    for (int64_t i = 0; i < report->worker_count; i++) {
        const hr_check_worker_report *w = &report->workers[i];
        if (w->end == HR_WORKER_DONE)
            continue;
        hr__text_add(out, "Worker %lld %s: %s; ", (long long)i,
                     w->end == HR_WORKER_IDLE ? "was idle" : end_name(w->end),
                     w->message ? w->message : "?");
        if (w->undelivered_rows < 0)
            hr__text_add(out, "how many rows were not delivered to it is not known");
        else
            hr__text_add(out, "%lld rows were not delivered to it", (long long)w->undelivered_rows);
        hr__text_add(out, " (%lld were).\n", (long long)w->rows);
    }
}

static void print_text(const hr_check_report *report, hr_text *out)
{
    print_preprocessing(report, out);
    for (int64_t i = 0; i < report->worker_count; i++)
        hr__text_add(out, "Starting train loop on worker %lld\n", (long long)i);
    for (int64_t i = 0; i < report->worker_count; i++)
        if (report->workers[i].has_result)
            print_worker(report, i, out);
    print_head(report, out);
    print_throughput(report, out);
    print_shares(report, out);
    print_memory(report, out);
    print_fates(report, out);
}

// --- JSON ---

static void key(hr_text *out, const char *name)
{
    char last = out->bytes > 0 ? hr__text_str(out)[out->bytes - 1] : '{';
    hr__text_add(out, "%s\"%s\": ", last == '{' ? "" : ", ", name);
}

static void json_int(hr_text *out, const char *name, uint64_t value)
{
    key(out, name);
    hr__text_add(out, "%llu", (unsigned long long)value);
}

static void json_real(hr_text *out, const char *name, double value)
{
    key(out, name);
    hr__text_double(out, value);
}

static void json_text(hr_text *out, const char *name, const char *value)
{
    key(out, name);
    if (value)
        hr__text_json(out, value, strlen(value));
    else
        hr__text_add(out, "null");
}

static void json_workers(const hr_check_report *report, hr_text *out)
{
    key(out, "workers");
    hr__text_char(out, '[');
    for (int64_t i = 0; i < report->worker_count; i++) {
        const hr_check_worker_report *w = &report->workers[i];
        hr__text_add(out, "%s{", i > 0 ? ", " : "");
        json_int(out, "rank", (uint64_t)i);
        json_text(out, "end", end_name(w->end));
        key(out, "exit_code");
        hr__text_add(out, "%d", w->exit_code);
        json_int(out, "rows", (uint64_t)w->rows);
        json_int(out, "batches", (uint64_t)w->batches);
        key(out, "undelivered_rows");
        if (w->undelivered_rows < 0)
            hr__text_add(out, "null");
        else
            hr__text_add(out, "%lld", (long long)w->undelivered_rows);
        json_text(out, "message", w->message);
        hr__text_char(out, '}');
    }
    hr__text_char(out, ']');
}

static void json_times(const hr_check_report *report, hr_text *out)
{
    json_real(out, "first_batch_s", report->first_batch_s);
    json_real(out, "preprocess_s", report->preprocess_s);
    json_real(out, "loop_s", report->loop_s);
    key(out, "epoch_s");
    hr__text_char(out, '[');
    for (uint32_t e = 0; e < report->epoch_count; e++) {
        hr__text_add(out, "%s", e > 0 ? ", " : "");
        hr__text_double(out, report->epoch_s[e]);
    }
    hr__text_char(out, ']');
    json_real(out, "delay_p50_s", report->delay_p50_s);
    json_real(out, "delay_p95_s", report->delay_p95_s);
    json_real(out, "delay_max_s", report->delay_max_s);
    key(out, "wait");
    hr__text_char(out, '{');
    for (int c = 0; c < HR_CAUSES; c++)
        json_real(out, hr__cause_name((hr_cause)c), report->share[c]);
    hr__text_char(out, '}');
}

static void json_amounts(const hr_check_report *report, hr_text *out)
{
    json_int(out, "rows", (uint64_t)report->rows);
    json_int(out, "batches", (uint64_t)report->batches);
    json_int(out, "epochs", (uint64_t)report->epochs);
    json_int(out, "bytes", (uint64_t)report->bytes);
    key(out, "checksum");
    if (report->touch)
        hr__text_add(out, "\"%016llx\"", (unsigned long long)report->checksum);
    else
        hr__text_add(out, "null");
    json_real(out, "handed_mib_s", handed_rate(report));
    key(out, "touched_mib_s");
    if (report->touch)
        hr__text_double(out, rate(report->bytes, report->loop_s));
    else
        hr__text_add(out, "null");
    json_int(out, "peak_rss_bytes", report->peak_bytes);
    json_int(out, "arena_peak_bytes", report->memory.arena_peak_bytes);
    json_int(out, "budget_bytes", report->memory.budget_bytes);
    json_int(out, "spilled_bytes", report->spilled_bytes);
    json_int(out, "restored_bytes", report->restored_bytes);
    json_real(out, "spill_write_s", report->memory.spill_write_s);
    json_real(out, "restore_read_s", report->memory.restore_read_s);
    json_int(out, "copied_bytes", (uint64_t)report->copied_bytes);
    json_int(out, "source_bytes", (uint64_t)report->stream.source_bytes);
    json_int(out, "memory_rows", (uint64_t)report->stream.memory_rows);
    json_int(out, "reread_rows", (uint64_t)report->stream.reread_rows);
    json_int(out, "dropped_rows", (uint64_t)report->stream.dropped_rows);
    json_int(out, "padded_rows", (uint64_t)report->stream.padded_rows);
}

static void print_json(const hr_check_report *report, hr_text *out)
{
    hr_text gain;
    hr__text_init(&gain, 4096);
    hr__check_widest(report, &gain);
    hr__text_char(out, '{');
    json_text(out, "source", report->source);
    json_text(out, "plan", report->plan);
    json_times(report, out);
    json_amounts(report, out);
    json_int(out, "threads", (uint64_t)report->threads);
    json_workers(report, out);
    json_text(out, "preprocessor", report->prep);
    key(out, "preprocess_stats");
    hr__text_add(out, "%s", report->prep_stats_json);
    key(out, "stats");
    hr__text_add(out, "%s", report->stats_json);
    json_text(out, "widest_gain", hr__text_str(&gain));
    hr__text_add(out, "}\n");
    hr__text_finish(&gain);
}

hr_status hr_check_print(const hr_check_report *report, bool json, char **out, hr_error *err)
{
    hr_text text;
    hr__text_init(&text, (size_t)64 << 20);
    if (json)
        print_json(report, &text);
    else
        print_text(report, &text);
    hr_status status = hr__text_take(&text, out, err);
    hr__text_finish(&text);
    return status;
}
