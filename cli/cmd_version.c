// SPDX-License-Identifier: Apache-2.0
// `headrace version`, and the hidden `headrace worker`, which a check starts.
#include "cli.h"

#include <stdio.h>

static const cli_flag no_flags[] = {{NULL}};

static int run_version(const cli_command *self, int argc, char **argv)
{
    int operands = cli_parse(self, argc, argv, NULL);
    if (operands < 0)
        return operands == -2 ? CLI_OK : CLI_USAGE;
    printf("headrace %s\n", hr_version());
    return CLI_OK;
}

const cli_command cli_version = {
    "version", "", "the version of this program", NULL, no_flags, 0, 0, false, run_version,
};

static int run_worker(const cli_command *self, int argc, char **argv)
{
    return hr_check_worker();
}

const cli_command cli_worker = {
    "worker", "", "a check's worker process", NULL, no_flags, 0, 0, true, run_worker,
};
