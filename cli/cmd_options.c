// SPDX-License-Identifier: Apache-2.0
// `headrace options`: what can be set, what it is when left alone, and where it may be given.
#include "cli.h"

typedef struct options_flags {
    bool json;
} options_flags;

static const cli_flag flags[] = {
    {"--json", NULL, CLI_BOOL, offsetof(options_flags, json), "one JSON object"},
    {NULL},
};

static int run_options(const cli_command *self, int argc, char **argv)
{
    options_flags given = {false};
    hr_error err = HR_ERROR_INIT;
    char *text = NULL;
    int operands = cli_parse(self, argc, argv, &given);
    if (operands < 0)
        return operands == -2 ? CLI_OK : CLI_USAGE;
    hr_status status = hr_options_describe(operands ? argv[0] : NULL, given.json, &text, &err);
    return status == HR_OK ? cli_print(text) : cli_fail(status, &err);
}

const cli_command cli_options = {
    "options",
    "[NAME]",
    "all options: meaning, default, bounds, where each may be given",
    "NAME is that of one group, as stream. The environment counts where nothing else was said. "
    "Fields that are\n"
    "functions, lists or seeds are told in include/headrace.",
    flags,
    0,
    1,
    false,
    run_options,
};
