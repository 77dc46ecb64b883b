// SPDX-License-Identifier: Apache-2.0
// `headrace COMMAND ...`: finds the command's row and runs it.
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cli_command *const commands[] = {&cli_check,  &cli_inspect, &cli_cat,     &cli_diff,
                                              &cli_memory, &cli_options, &cli_version, &cli_which,
                                              &cli_worker, NULL};

const cli_command *const *cli_commands(void)
{
    return commands;
}

static const cli_command *find_command(const char *name)
{
    for (const cli_command *const *c = commands; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

static void print_overview(void)
{
    printf("headrace %s: training data from storage to a trainer: read, preprocess, feed\n\n"
           "usage: headrace COMMAND ...\n\n",
           hr_version());
    for (const cli_command *const *c = commands; *c; c++)
        if (!(*c)->hidden)
            printf("  %-9s %s\n", (*c)->name, (*c)->summary);
    printf("  %-9s %s\n\n", "help",
           "help COMMAND: its flags; help exit-codes: how the program ends");
    printf("SOURCE is a Parquet file, a glob, a folder, range:ROWS[,blocks=N], or\n"
           "range_tensor:ROWSxAxBxC[,blocks=N] (one column, `data`).\n");
}

static int unknown_command(const char *name)
{
    const char *names[sizeof commands / sizeof commands[0] + 1];
    size_t count = 0;
    for (const cli_command *const *c = commands; *c; c++)
        if (!(*c)->hidden)
            names[count++] = (*c)->name;
    names[count++] = "help";
    names[count] = NULL;
    const char *near = cli_nearest(name, names);
    return cli_usage(NULL, near ? "no command '%s'; did you mean '%s'?" : "no command '%s'", name,
                     near);
}

static int help(int argc, char **argv)
{
    if (argc == 0) {
        print_overview();
        return CLI_OK;
    }
    if (strcmp(argv[0], "exit-codes") == 0) {
        cli_print_exit_codes();
        return CLI_OK;
    }
    const cli_command *command = find_command(argv[0]);
    if (!command)
        return unknown_command(argv[0]);
    cli_help(command);
    return CLI_OK;
}

// Standard streams that are closed would be the numbers of the next files that are opened, which prints would then
// write to. A file larger than is allowed is an error with words, not a signal.
static void begin(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0)
            exit(1);
    (void)signal(SIGXFSZ, SIG_IGN);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_overview();
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(name, "--version") == 0)
        name = "version";
    const cli_command *command = find_command(name);
    if (!command)
        return unknown_command(name);
    return command->run(command, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
    begin();
    int code = run(argc, argv);
    return code == CLI_OK ? cli_flush() : code;
}
