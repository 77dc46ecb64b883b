// SPDX-License-Identifier: Apache-2.0
// `headrace diff`: whether two runs were given the same rows, by their digests.
#include "cli.h"

static const cli_flag no_flags[] = {{NULL}};

static int run_diff(const cli_command *self, int argc, char **argv)
{
    hr_error err = HR_ERROR_INIT;
    char *text = NULL;
    bool same = false;
    int operands = cli_parse(self, argc, argv, NULL);
    if (operands < 0)
        return operands == -2 ? CLI_OK : CLI_USAGE;
    hr_status status = hr_digest_diff(argv[0], argv[1], &same, &text, &err);
    if (status != HR_OK)
        return cli_fail(status, &err);
    int code = cli_print(text);
    return code == CLI_OK && !same ? CLI_DIFFERS : code;
}

const cli_command cli_diff = {
    "diff",
    "A B",
    "whether two runs were given the same rows",
    "A and B are folders that `check --digest` wrote, or files of them.",
    no_flags,
    2,
    2,
    false,
    run_diff,
};
