// SPDX-License-Identifier: Apache-2.0
// Of the page (check_html.c): what each stage cost, drawn from its statistics.
//
//     name of the stage
//      time |#######----|  1.2 s of 40 tasks, 0.9 s at work        # at work (cpu)   - waiting, for storage or a core
//     bytes |####|         38 MiB, 982,038 rows
//
// All stages of a dataset have one scale for the time and one for the bytes: the longest bar is the dearest stage.
#include "train/check_parts.h"

#include <jansson.h>
#include <stdio.h>

#define WIDTH     640
#define HEIGHT    46
#define LEFT      46
#define BAR       16 // of its height
#define BAR_WIDTH 360

typedef struct stage {
    const char *name; // the parsed statistics'
    bool started;
    double tasks, wall_s, cpu_s, rows, bytes;
} stage;

static double total_of(const json_t *item, const char *name)
{
    return json_number_value(json_object_get(json_object_get(item, name), "total"));
}

static stage read_stage(const json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    return (stage){.name = name ? name : "?",
                   .started = json_is_true(json_object_get(item, "started")),
                   .tasks = json_number_value(json_object_get(item, "tasks")),
                   .wall_s = total_of(item, "wall_s"),
                   .cpu_s = total_of(item, "cpu_s"),
                   .rows = total_of(item, "rows"),
                   .bytes = total_of(item, "bytes")};
}

static double bar_width(double value, double most)
{
    return most > 0 ? BAR_WIDTH * HR_MIN(value / most, 1.0) : 0;
}

static void print_bar(int line, const char *what, double width, const char *css, const char *words,
                      hr_text *out)
{
    int y = 2 + line * (BAR + 6);
    hr__text_add(out,
                 "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n"
                 "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n"
                 "<text x=\"%.1f\" y=\"%d\">%s</text>\n",
                 LEFT - 6, y + 12, what, css, LEFT, y, width, BAR, LEFT + width + 6, y + 12, words);
}

static void print_stage(const stage *s, double most_s, double most_bytes, hr_text *out)
{
    char words[160], a[32], b[32];
    hr__text_add(out, "<p>");
    hr__html_escape(out, s->name);
    if (!s->started) {
        hr__text_add(out, " <span class=\"soft\">not executed</span></p>\n");
        return;
    }
    hr__text_add(out, "</p>\n<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, HEIGHT);
    (void)snprintf(words, sizeof words, "%s in %.0f task%s, %s at work",
                   hr__format_seconds(s->wall_s, a), s->tasks, s->tasks == 1 ? "" : "s",
                   hr__format_seconds(s->cpu_s, b));
    print_bar(0, "time", bar_width(s->wall_s, most_s), "waits", words, out);
    hr__text_add(out, "<rect class=\"bar\" x=\"%d\" y=\"2\" width=\"%.1f\" height=\"%d\"/>\n", LEFT,
                 bar_width(HR_MIN(s->cpu_s, s->wall_s), most_s), BAR);
    (void)snprintf(words, sizeof words, "%s, %.0f rows",
                   hr__format_bytes((uint64_t)HR_MAX(s->bytes, 0.0), a), s->rows);
    print_bar(1, "bytes", bar_width(s->bytes, most_bytes), "bar", words, out);
    hr__text_add(out, "</svg>\n");
}

void hr__html_stages(const char *stats_json, hr_text *out)
{
    json_error_t where;
    size_t i;
    json_t *item, *root = stats_json ? json_loads(stats_json, 0, &where) : NULL;
    json_t *stages = json_object_get(root, "stages");
    double most_s = 0, most_bytes = 0;
    json_array_foreach(stages, i, item)
    {
        stage s = read_stage(item);
        most_s = HR_MAX(most_s, s.wall_s);
        most_bytes = HR_MAX(most_bytes, s.bytes);
    }
    json_array_foreach(stages, i, item)
    {
        stage s = read_stage(item);
        print_stage(&s, most_s, most_bytes, out);
    }
    json_decref(root);
}
