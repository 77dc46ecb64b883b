// SPDX-License-Identifier: Apache-2.0
// A run as one page, the check's or a trainer's: HTML with pictures in SVG, nothing loaded from anywhere, well-formed
// as XML.
//
//     key figures
//     where the time went     a bar of all workers' time by cause, and its legend
//     throughput, memory      lines over the loop's time, from samples that the driver took (check_parts.h)
//     delays                  how many batches were waited for how long; bins are decades cut in five
//     stages                  check_stages.c; the statistics as text behind them
//     workers                 what each waited for data and did itself; how it ended
//     stalls, lives           of a trainer, where there were any
#include "train/check_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIB           1048576.0
#define WIDTH         640
#define HEIGHT        170
#define LEFT          70
#define BOTTOM        28
#define TOP           12
#define PLOT_WIDTH    (WIDTH - LEFT - 12)
#define PLOT_HEIGHT   (HEIGHT - TOP - BOTTOM)
#define DECADES       8 // from 100 ns on
#define BINS_A_DECADE 5
#define BINS          (DECADES * BINS_A_DECADE)
#define WORKERS_DRAWN 64

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width\"/>\n<style>\n"
    ":root{--ink:#1d2430;--soft:#667085;--line:#d8dde6;--page:#fff;--card:#f5f7fa;--main:#2563a8}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#384150;"
    "--page:#14181f;--card:#1d232c;--main:#6ea8e5}}\n"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);"
    "max-width:700px;margin:2em auto;padding:0 1em}\n"
    "h1{font-size:1.4em;margin:0}h2{font-size:1.05em;margin:2em 0 .4em}"
    "p{margin:.3em 0}.soft{color:var(--soft)}\n"
    ".cards{display:flex;flex-wrap:wrap;gap:.7em;margin:1.2em 0}"
    ".card{background:var(--card);border-radius:8px;padding:.5em .9em}"
    ".card b{display:block;font-size:1.25em}\n"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .8em .2em 0;"
    "border-bottom:1px solid var(--line);vertical-align:top}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    "svg{width:100%;height:auto;display:block}svg "
    "text{font-size:11px;fill:var(--soft)}summary{cursor:pointer;margin:.6em 0}"
    ".axis{stroke:var(--line)}.curve{fill:none;stroke:var(--main);stroke-width:2}"
    ".bar{fill:var(--main)}.waits{fill:var(--main);opacity:.35}.own{fill:var(--line)}.limit{stroke:"
    "#c2410c;stroke-dasharray:5 4}\n"
    "pre{background:var(--card);border-radius:8px;padding:.8em;overflow-x:auto;font-size:12px}\n"
    ".dot{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.5em}\n"
    "</style>\n<title>headrace: ";

static const char *const colors[HR_CAUSES] = {
    [HR_CAUSE_STORAGE] = "#8c5a2b",  [HR_CAUSE_DECOMPRESS] = "#c2410c",
    [HR_CAUSE_DECODE] = "#d99a1c",   [HR_CAUSE_TRANSFORM] = "#5b8c2a",
    [HR_CAUSE_FUNCTION] = "#2a8c7d", [HR_CAUSE_BATCH] = "#2563a8",
    [HR_CAUSE_SPILL] = "#7c3aed",    [HR_CAUSE_MEMORY] = "#b83280",
    [HR_CAUSE_HANDOVER] = "#64748b", [HR_CAUSE_CONSUMER] = "#cbd2dc",
};

// --- text ---

// How many bytes the character here has; 0: it is none that XML takes.
static size_t character(const unsigned char *s)
{
    size_t more = s[0] < 0x80                   ? 0
                  : s[0] >= 0xc2 && s[0] < 0xe0 ? 1
                  : (s[0] & 0xf0) == 0xe0       ? 2
                  : s[0] >= 0xf0 && s[0] < 0xf5 ? 3
                                                : 9;
    if (more == 9 || (s[0] < 0x20 && s[0] != '\n' && s[0] != '\t') || s[0] == 0x7f)
        return 0;
    for (size_t i = 1; i <= more; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool surrogate = s[0] == 0xed && s[1] >= 0xa0,
         overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool beyond = (s[0] == 0xf4 && s[1] >= 0x90) || (s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe);
    return surrogate || overlong || beyond ? 0 : more + 1;
}

void hr__html_escape(hr_text *out, const char *text)
{
    while (*text) {
        size_t bytes = character((const unsigned char *)text);
        if (*text == '&')
            hr__text_add(out, "&amp;");
        else if (*text == '<')
            hr__text_add(out, "&lt;");
        else if (*text == '>')
            hr__text_add(out, "&gt;");
        else if (*text == '"')
            hr__text_add(out, "&quot;");
        else if (bytes == 0)
            hr__text_add(out, "&#xFFFD;");
        else
            hr__text_put(out, text, bytes);
        text += bytes ? bytes : 1;
    }
}

static void card(hr_text *out, const char *value, const char *what)
{
    hr__text_add(out, "<div class=\"card\"><b>%s</b><span class=\"soft\">%s</span></div>\n", value,
                 what);
}

static double rate(int64_t bytes, double seconds)
{
    return seconds > 0 ? (double)bytes / MIB / seconds : 0;
}

// --- sections ---

static void print_cards(const hr_check_report *report, hr_text *out)
{
    char a[64], b[64];
    hr__text_add(out, "<div class=\"cards\">\n");
    (void)snprintf(a, sizeof a, "%.0f MiB/s", rate(report->bytes, report->loop_s));
    card(out, a,
         report->title   ? "handed over"
         : report->touch ? "touched"
                         : "handed over, nothing touched");
    (void)snprintf(a, sizeof a, "%lld", (long long)report->rows);
    (void)snprintf(b, sizeof b, "rows, %lld batches", (long long)report->batches);
    card(out, a, b);
    card(out, hr__format_seconds(report->loop_s, a), "in the loop");
    if (!report->title) // a trainer's loop does other things first
        card(out, hr__format_seconds(report->first_batch_s, a), "until the first batch");
    (void)snprintf(a, sizeof a, "%.0f %%", (1 - report->share[HR_CAUSE_CONSUMER]) * 100);
    card(out, a, "of the time waited");
    card(out, hr__format_bytes(report->peak_bytes, a), "peak memory");
    hr__text_add(out, "</div>\n");
}

static const char *cause_words(int cause)
{
    return cause == HR_CAUSE_CONSUMER   ? "the trainer itself"
           : cause == HR_CAUSE_HANDOVER ? "hand-over"
                                        : hr__cause_name((hr_cause)cause);
}

static void print_shares(const hr_check_report *report, hr_text *out)
{
    double at = 0;
    hr__text_add(out, "<h2>Where the time went</h2>\n<svg viewBox=\"0 0 %d 34\" role=\"img\">\n",
                 WIDTH);
    for (int c = 0; c < HR_CAUSES; c++) {
        double width = report->share[c] * WIDTH;
        if (width > 0)
            hr__text_add(out,
                         "<rect x=\"%.2f\" y=\"2\" width=\"%.2f\" height=\"30\" fill=\"%s\">"
                         "<title>%s %.1f %%</title></rect>\n",
                         at, width, colors[c], cause_words(c), report->share[c] * 100);
        at += width;
    }
    hr__text_add(out, "</svg>\n<table>\n");
    for (int c = 0; c < HR_CAUSES; c++)
        if (report->share[c] >= 0.0005)
            hr__text_add(out,
                         "<tr><td><span class=\"dot\" style=\"background:%s\"></span>%s</td>"
                         "<td class=\"n\">%.1f %%</td></tr>\n",
                         colors[c], cause_words(c), report->share[c] * 100);
    hr__text_add(out, "</table>\n<p>Widest gain: ");
    hr_text gain;
    hr__text_init(&gain, 4096);
    hr__check_widest(report, &gain);
    hr__html_escape(out, hr__text_str(&gain));
    hr__text_finish(&gain);
    hr__text_add(out, "</p>\n");
}

static void begin_plot(hr_text *out, const char *title, const char *top, const char *right)
{
    hr__text_add(out,
                 "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\">\n"
                 "<path class=\"axis\" fill=\"none\" d=\"M%d %dV%dH%d\"/>\n"
                 "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n"
                 "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">0</text>\n"
                 "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n",
                 title, WIDTH, HEIGHT, LEFT, TOP, TOP + PLOT_HEIGHT, LEFT + PLOT_WIDTH, LEFT - 6,
                 TOP + 10, top, LEFT - 6, TOP + PLOT_HEIGHT, LEFT + PLOT_WIDTH, HEIGHT - 8, right);
}

static double plot_y(double value, double max)
{
    return TOP + PLOT_HEIGHT * (1 - (max > 0 ? value / max : 0));
}

// The rate between two samples, at the later one.
static double sample_rate(const hr_check_report *report, uint32_t i)
{
    const hr_check_sample *s = &report->samples[i], *before = s - 1;
    double row_bytes = report->rows > 0 ? (double)report->bytes / (double)report->rows : 0;
    return i > 0 && s->at_s > before->at_s
               ? (double)(s->rows - before->rows) * row_bytes / MIB / (s->at_s - before->at_s)
               : 0;
}

static double sample_memory(const hr_check_report *report, uint32_t i)
{
    return (double)report->samples[i].used_bytes;
}

typedef double (*sample_value)(const hr_check_report *report, uint32_t i);

static void print_curve(const hr_check_report *report, sample_value value, double max, hr_text *out)
{
    double end_s = report->samples[report->sample_count - 1].at_s;
    hr__text_add(out, "<polyline class=\"curve\" points=\"");
    for (uint32_t i = 0; i < report->sample_count; i++)
        hr__text_add(out, "%.1f,%.1f ",
                     LEFT + PLOT_WIDTH * (end_s > 0 ? report->samples[i].at_s / end_s : 0),
                     plot_y(value(report, i), max));
    hr__text_add(out, "\"/>\n</svg>\n");
}

static double greatest(const hr_check_report *report, sample_value value)
{
    double max = 0;
    for (uint32_t i = 0; i < report->sample_count; i++)
        max = HR_MAX(max, value(report, i));
    return max;
}

static void print_over_time(const hr_check_report *report, hr_text *out)
{
    char top[64], right[32], budget[32];
    if (report->sample_count < 2)
        return;
    double fastest = greatest(report, sample_rate), used = greatest(report, sample_memory);
    double limit = (double)report->memory.budget_bytes, most = HR_MAX(limit, used);
    hr__format_seconds(report->samples[report->sample_count - 1].at_s, right);
    (void)snprintf(top, sizeof top, "%.0f MiB/s", fastest);
    begin_plot(out, "Throughput", top, right);
    print_curve(report, sample_rate, fastest, out);
    begin_plot(out, "Memory against the budget", hr__format_bytes((uint64_t)most, top), right);
    hr__text_add(out, "<path class=\"limit\" d=\"M%d %.1fH%d\"/>\n", LEFT, plot_y(limit, most),
                 LEFT + PLOT_WIDTH);
    print_curve(report, sample_memory, most, out);
    hr__text_add(out,
                 "<p class=\"soft\">The line is what was used (%s at most) of the budget (%s); ",
                 hr__format_bytes((uint64_t)used, top), hr__format_bytes((uint64_t)limit, budget));
    hr__text_add(out, "all processes together held %s at their peak.</p>\n",
                 hr__format_bytes(report->peak_bytes, right));
}

static int bin_of(double delay_s)
{
    double at = (log10(HR_MAX(delay_s, 1e-9)) + 7) * BINS_A_DECADE;
    return at < 0 ? 0 : at >= BINS ? BINS - 1 : (int)at;
}

// Each worker's quantiles stand for as many of its batches each.
static double fill_bins(const hr_check_report *report, double bins[BINS])
{
    double most = 0;
    memset(bins, 0, BINS * sizeof *bins);
    for (int64_t w = 0; w < report->worker_count; w++) {
        const hr_check_result *r = &report->workers[w].result;
        for (uint32_t i = 0; report->workers[w].has_result && i < r->delay_count; i++)
            bins[bin_of(r->delays[i])] += (double)r->batches / r->delay_count;
    }
    for (int i = 0; i < BINS; i++)
        most = HR_MAX(most, bins[i]);
    return most;
}

static void print_delays(const hr_check_report *report, hr_text *out)
{
    static const char *const marks[DECADES] = {"100 ns", "1 us",  "10 us", "100 us",
                                               "1 ms",   "10 ms", "0.1 s", "1 s"};
    double bins[BINS], step = (double)PLOT_WIDTH / BINS;
    double most = fill_bins(report, bins);
    char top[32], a[32], b[32], c[32];
    if (most <= 0)
        return;
    (void)snprintf(top, sizeof top, "%.0f batches", ceil(most));
    begin_plot(out, "Batch delays", top, "");
    for (int i = 0; i < BINS; i++)
        if (bins[i] > 0)
            hr__text_add(
                out,
                "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
                "\n",
                LEFT + i * step + 1, plot_y(bins[i], most), step - 2,
                TOP + PLOT_HEIGHT - plot_y(bins[i], most));
    for (int d = 0; d < DECADES; d++)
        hr__text_add(out, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", LEFT + d * BINS_A_DECADE * step,
                     HEIGHT - 8, marks[d]);
    hr__text_add(out, "</svg>\n<p class=\"soft\">P50 %s, P95 %s, longest %s</p>\n",
                 hr__format_seconds(report->delay_p50_s, a),
                 hr__format_seconds(report->delay_p95_s, b),
                 hr__format_seconds(report->delay_max_s, c));
}

// What each worker waited for data, and did itself between batches; the rest of a row is its start and its end.
static void draw_workers(const hr_check_report *report, hr_text *out)
{
    enum { ROW = 20, BAR = 14, LABEL = 60 };
    int drawn = (int)HR_MIN(report->worker_count, (int64_t)WORKERS_DRAWN);
    double scale = report->loop_s > 0 ? (WIDTH - LABEL) / report->loop_s : 0;
    const hr_check_worker_report *most = NULL;
    char a[32], b[32];
    hr__text_add(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, drawn * ROW);
    for (int i = 0; i < drawn; i++) {
        const hr_check_worker_report *w = &report->workers[i];
        double wait = HR_MIN(w->result.wait_s * scale, (double)(WIDTH - LABEL));
        double own = HR_MIN(w->result.own_s * scale, WIDTH - LABEL - wait);
        hr__text_add(out,
                     "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">rank %d</text>\n"
                     "<rect class=\"bar\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n"
                     "<rect class=\"own\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n",
                     LABEL - 8, i * ROW + 12, i, LABEL, i * ROW + 1, wait, BAR, LABEL + wait,
                     i * ROW + 1, own, BAR);
        if (!most || w->result.wait_s > most->result.wait_s)
            most = w;
    }
    hr__text_add(out,
                 "</svg>\n<p class=\"soft\">Coloured: waiting for data; grey: its own work between "
                 "batches.");
    if (most && most->result.wait_s > 0)
        hr__text_add(
            out, " Worker %lld waited longest: %s of %s.", (long long)(most - report->workers),
            hr__format_seconds(most->result.wait_s, a), hr__format_seconds(report->loop_s, b));
    hr__text_add(out, "</p>\n");
}

static const char *end_name(hr_worker_end end)
{
    static const char *const names[] = {"done", "failed", "died", "idle", "cancelled"};
    return (unsigned)end < HR_COUNTOF(names) ? names[end] : "?";
}

static void print_workers(const hr_check_report *report, hr_text *out)
{
    char a[32], b[32];
    hr__text_add(out, "<h2>Workers</h2>\n");
    draw_workers(report, out);
    hr__text_add(out, "<table>\n<tr><th>rank</th><th>end</th><th class=\"n\">rows"
                      "</th><th class=\"n\">batches</th><th class=\"n\">waited</th>"
                      "<th class=\"n\">P95 delay</th></tr>\n");
    for (int64_t i = 0; i < report->worker_count; i++) {
        const hr_check_worker_report *w = &report->workers[i];
        hr__text_add(out, "<tr><td>%lld</td><td>%s%s", (long long)i, end_name(w->end),
                     w->message ? ": " : "");
        hr__html_escape(out, w->message ? w->message : "");
        hr__text_add(
            out,
            "</td><td class=\"n\">%lld</td><td class=\"n\">%lld</td><td class=\"n\">%s</td>"
            "<td class=\"n\">%s</td></tr>\n",
            (long long)w->rows, (long long)w->batches, hr__format_seconds(w->result.wait_s, a),
            hr__format_seconds(w->result.delay_p95_s, b));
    }
    hr__text_add(out, "</table>\n");
}

static void print_stages(const hr_check_report *report, hr_text *out)
{
    hr__text_add(out, "<h2>Stages</h2>\n");
    if (report->bulk) // streamed, the transform is a part of what follows
        hr__html_stages(report->prep_stats_json, out);
    hr__html_stages(report->stats_json, out);
    for (int64_t i = 0; i < report->other_count; i++) {
        hr__text_add(out, "<p class=\"soft\">Dataset ");
        hr__html_escape(out, report->others[i].name);
        hr__text_add(out, "</p>\n");
        hr__html_stages(report->others_stats_json[i], out);
    }
    hr__text_add(out, "<details><summary class=\"soft\">as text</summary>\n<pre>");
    hr__html_escape(out, report->bulk && report->prep_stats ? report->prep_stats : "");
    hr__html_escape(out, report->stats ? report->stats : "");
    hr__text_add(out, "</pre>\n</details>\n");
}

static void print_stalls(const hr_check_report *report, hr_text *out)
{
    if (report->stall_count == 0)
        return;
    hr__text_add(out, "<h2>Stalls</h2>\n<ul>\n");
    for (int64_t i = 0; i < report->stall_count; i++) {
        hr__text_add(out, "<li>");
        hr__html_escape(out, report->stalls[i]);
        hr__text_add(out, "</li>\n");
    }
    hr__text_add(out, "</ul>\n");
}

static void print_lives(const hr_check_report *report, hr_text *out)
{
    char a[32];
    if (report->life_count < 2)
        return;
    hr__text_add(
        out, "<h2>Lives</h2>\n<p class=\"soft\">Workers and delays are those of the last one.</p>\n"
             "<table>\n<tr><th>began from</th><th>end</th><th class=\"n\">took</th></tr>\n");
    for (int64_t i = 0; i < report->life_count; i++) {
        const hr_trainer_life *life = report->lives[i];
        if (life->from_checkpoint < 0)
            hr__text_add(out, "<tr><td>the start</td><td>");
        else
            hr__text_add(out, "<tr><td>checkpoint %lld</td><td>", (long long)life->from_checkpoint);
        hr__html_escape(out, life->reason ? life->reason : "done");
        hr__text_add(out, "</td><td class=\"n\">%s</td></tr>\n",
                     hr__format_seconds(life->seconds, a));
    }
    hr__text_add(out, "</table>\n");
}

static void print_head(const hr_check_report *report, hr_text *out)
{
    const char *name = report->title ? report->title : report->source;
    hr__text_add(out, "%s", head);
    hr__html_escape(out, name);
    hr__text_add(out, "</title>\n</head>\n<body>\n<h1>");
    hr__html_escape(out, name);
    hr__text_add(out, "</h1>\n<p class=\"soft\">");
    if (report->title) {
        hr__html_escape(out, report->source);
        hr__text_add(out, "<br/>");
    }
    hr__html_escape(out, report->plan);
    hr__text_add(out, "%s<br/>%lld worker%s, %d thread%s",
                 report->bulk ? " (bulk: materialised first)" : "", (long long)report->worker_count,
                 report->worker_count == 1 ? "" : "s", report->threads,
                 report->threads == 1 ? "" : "s");
    if (report->shuffle != HR_SHUFFLE_NONE)
        hr__text_add(out, ", seed %llu", (unsigned long long)report->seed);
    hr__text_add(out, "</p>\n");
}

static void print_page(const hr_check_report *report, hr_text *out)
{
    print_head(report, out);
    print_cards(report, out);
    print_shares(report, out);
    print_over_time(report, out);
    print_delays(report, out);
    print_stages(report, out);
    print_workers(report, out);
    print_stalls(report, out);
    print_lives(report, out);
    hr__text_add(out, "</body>\n</html>\n");
}

hr_status hr_check_print_html(const hr_check_report *report, char **out, hr_error *err)
{
    hr_text text;
    hr__text_init(&text, (size_t)64 << 20);
    print_page(report, &text);
    hr_status status = hr__text_take(&text, out, err);
    hr__text_finish(&text);
    return status;
}
