// SPDX-License-Identifier: Apache-2.0
// How the program ends: one table of codes, words and what to try.
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct cli_code {
    int code;
    hr_status status;
    const char *meaning;
    const char *remedy; // NULL: the message says it
} cli_code;

static const cli_code codes[] = {
    {0, HR_OK, "done", NULL},
    {1, HR_END, "a bug of headrace's own, or output that could not be written", NULL},
    {2, HR_END, "the command line is wrong", NULL},
    {3, HR_INVALID, "an expression, a column's type or another argument is wrong",
     "headrace inspect FILE tells names and types, headrace help COMMAND its flags"},
    {4, HR_NOMEM, "the heap refused", "a smaller --memory, fewer --threads"},
    {5, HR_IO, "the system refused: disk, socket, process", NULL},
    {6, HR_CORRUPT, "the bytes are not what their format allows",
     "headrace inspect FILE; then make the file anew"},
    {7, HR_UNSUPPORTED, "understood, and not done by this build", "--columns reads the others"},
    {8, HR_NOT_FOUND, "no such file, column or runtime", NULL},
    {9, HR_DENIED, "permission", NULL},
    {10, HR_LIMIT, "a budget or limit is too small", "a larger --memory, or smaller --batch-rows"},
    {11, HR_TIMEOUT, "waited as long as it was told to", NULL},
    {12, HR_USER, "a function of the user failed", NULL},
    {13, HR_END, "finished, but a worker died or was ended: the report says which", NULL},
    {14, HR_END, "`headrace diff`: the two runs were given other rows", NULL},
    {130, HR_CANCELLED, "interrupted (128 + the signal's number)", NULL},
};

static const cli_code *find_code(hr_status status)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].status == status && status != HR_END)
            return &codes[i];
    return &codes[1];
}

int cli_exit_code(hr_status status)
{
    return find_code(status)->code;
}

// What to try, unless the message says it; NULL: nothing.
static const char *remedy_of(const cli_code *code, const char *message)
{
    if (strstr(message, "option '"))
        return "headrace options tells what each may be";
    if (strncmp(message, "--", 2) == 0 || strstr(message, "raise ") || strstr(message, "digest"))
        return NULL;
    return code->remedy;
}

int cli_fail(hr_status status, const hr_error *err)
{
    const cli_code *code = find_code(status);
    const char *remedy = remedy_of(code, err->message);
    fprintf(stderr, "headrace: %s\n", err->message[0] ? err->message : hr_status_name(status));
    if (remedy)
        fprintf(stderr, "try: %s\n", remedy);
    return code->code;
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "headrace%s%s: ", command ? " " : "", command ? command : "");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\ntry: headrace %s%s--help\n", command ? command : "", command ? " " : "");
    va_end(args);
    return CLI_USAGE;
}

void cli_print_exit_codes(void)
{
    printf("code  status       meaning\n");
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        printf("%4d  %-11s  %s\n", codes[i].code,
               codes[i].status == HR_END ? "" : hr_status_name(codes[i].status), codes[i].meaning);
}

int cli_print(char *text)
{
    (void)fputs(text, stdout); // what failed is told by the flush
    hr_text_free(text);
    return cli_flush();
}

// Why standard output failed. An earlier print may have, and its errno is gone: a pipe that nobody reads can be seen.
static int why_not_written(int errnum)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (errnum)
        return errnum;
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) ? EPIPE : EIO;
}

int cli_flush(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CLI_OK;
    int why = why_not_written(errno);
    if (why == EPIPE) // who read has what it wanted
        return 128 + SIGPIPE;
    fprintf(stderr, "headrace: standard output: %s\n", strerror(why));
    return 1;
}
