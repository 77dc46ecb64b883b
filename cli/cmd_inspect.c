// SPDX-License-Identifier: Apache-2.0
// `headrace inspect FILE`: what a file holds.
#include "cli.h"

typedef struct inspect_flags {
    bool json;
} inspect_flags;

static const cli_flag flags[] = {
    {"--json", NULL, CLI_BOOL, offsetof(inspect_flags, json), "one JSON object"},
    {NULL},
};

static int run_inspect(const cli_command *self, int argc, char **argv)
{
    inspect_flags given = {false};
    hr_error err = HR_ERROR_INIT;
    char *text = NULL;
    int operands = cli_parse(self, argc, argv, &given);
    if (operands < 0)
        return operands == -2 ? CLI_OK : CLI_USAGE;
    hr_status status = hr_inspect(argv[0], given.json, &text, &err);
    return status == HR_OK ? cli_print(text) : cli_fail(status, &err);
}

const cli_command cli_inspect = {
    "inspect", "FILE", "what a file holds: schema, row groups, codecs, statistics",
    NULL,      flags,  1,
    1,         false,  run_inspect,
};
