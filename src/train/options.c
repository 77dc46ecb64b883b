// SPDX-License-Identifier: Apache-2.0
// The reference of all options: the tables of all rooms, in the order in which a job meets them.
#include "base/option.h"
#include "feed/feed.h"
#include "plan/plan.h"
#include "train/train_parts.h"
#include <headrace/headrace.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES_MAX (1 << 20)

static const hr_option_table *const tables[] = {
    &hr__runtime_options, &hr__read_options,  &hr__function_options, &hr__process_options,
    &hr__split_options,   &hr__pack_options,  &hr__stream_options,   &hr__feed_options,
    &hr__trainer_options, &hr__check_options, &hr__write_options,
};

static hr_status find(const char *name, size_t *first_out, size_t *count_out, hr_error *err)
{
    char known[256];
    size_t used = 0;
    *first_out = 0;
    *count_out = HR_COUNTOF(tables);
    known[0] = 0;
    for (size_t i = 0; name && i < HR_COUNTOF(tables) && used < sizeof known; i++) {
        if (strcmp(tables[i]->name, name) == 0) {
            *first_out = i;
            *count_out = 1;
            return HR_OK;
        }
        int bytes =
            snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", tables[i]->name);
        used += bytes > 0 ? (size_t)bytes : 0;
    }
    return name ? HR_FAIL(err, HR_NOT_FOUND, "no options '%.64s': there are %s", name, known)
                : HR_OK;
}

hr_status hr_options_describe(const char *name, bool json, char **out, hr_error *err)
{
    size_t first, count;
    hr_text text;
    HR_TRY(find(name, &first, &count, err));
    hr__text_init(&text, TEXT_BYTES_MAX);
    if (json)
        hr__text_add(&text, "{\"tables\": [");
    for (size_t i = first; i < first + count; i++) {
        if (json) {
            hr__text_add(&text, "%s", i > first ? ",\n" : "");
            hr__options_print_json(tables[i], &text);
        } else {
            hr__text_add(&text, "%s", i > first ? "\n" : "");
            hr__options_print(tables[i], &text);
        }
    }
    if (json)
        hr__text_add(&text, "]}\n");
    hr_status status = hr__text_take(&text, out, err);
    hr__text_finish(&text);
    return status;
}
