// SPDX-License-Identifier: Apache-2.0
// `headrace memory`: what the running runtimes of this user hold.
#include "cli.h"

typedef struct memory_flags {
    bool stats_only, json;
} memory_flags;

static const cli_flag flags[] = {
    {"--stats-only", NULL, CLI_BOOL, offsetof(memory_flags, stats_only), "the totals alone"},
    {"--json", NULL, CLI_BOOL, offsetof(memory_flags, json), "one JSON object"},
    {NULL},
};

static int run_memory(const cli_command *self, int argc, char **argv)
{
    memory_flags given = {false};
    hr_error err = HR_ERROR_INIT;
    char *text = NULL;
    int operands = cli_parse(self, argc, argv, &given);
    if (operands < 0)
        return operands == -2 ? CLI_OK : CLI_USAGE;
    const char *what = given.json ? "json" : given.stats_only ? "stats-only" : "";
    hr_status status = hr_memory_summary(what, &text, &err);
    return status == HR_OK ? cli_print(text) : cli_fail(status, &err);
}

const cli_command cli_memory = {
    "memory", "",    "what the runtimes of this user hold now: answered while a job runs",
    NULL,     flags, 0,
    0,        false, run_memory,
};
