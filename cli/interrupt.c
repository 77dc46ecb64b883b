// SPDX-License-Identifier: Apache-2.0
// Ctrl-C: the first signal cancels what the runtime does, so that everything is put away; the third ends the program at
// once (the second may be the first again: timeout(1) sends it to the process and then to its group). A pipe that
// nobody reads any more is an error of the write, for the same reason.
#include "cli.h"

#include <signal.h>
#include <string.h>

static hr_runtime *volatile interrupted_runtime;
static volatile sig_atomic_t interrupted_by;
static volatile sig_atomic_t interrupted_count;

static void on_signal(int number)
{
    interrupted_by = number;
    if (++interrupted_count > 2) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    hr_runtime *runtime = interrupted_runtime;
    if (runtime)
        hr_runtime_interrupt(runtime);
}

void cli_interrupt_begin(hr_runtime *runtime)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    interrupted_runtime = runtime;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)sigaction(numbers[i], &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
    if (runtime && interrupted_by) // it came while the runtime was being opened
        hr_runtime_interrupt(runtime);
}

void cli_interrupt_end(void)
{
    interrupted_runtime = NULL;
}

int cli_interrupt_code(int code)
{
    return interrupted_by ? 128 + (int)interrupted_by : code;
}
