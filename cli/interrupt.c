// SPDX-License-Identifier: Apache-2.0
// Ctrl-C: the first signal cancels what the runtime does, so that everything is put away; another one, more than a second
// later, ends the program at once (sooner it is the same one: timeout(1) sends it to the process and to its group). A pipe that nobody reads any more is an error of the write, for the same reason.
#include "cli.h"

#include <signal.h>
#include <string.h>
#include <time.h>

static hr_runtime *volatile interrupted_runtime;
static volatile sig_atomic_t interrupted_by;
static volatile time_t interrupted_at;

static void on_signal(int number)
{
    time_t now = time(NULL);
    if (interrupted_by && now - interrupted_at >= 2) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    if (interrupted_by)
        return;
    interrupted_by = number;
    interrupted_at = now;
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
