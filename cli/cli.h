// SPDX-License-Identifier: Apache-2.0
//
// The `headrace` program: commands as rows, flags as rows, exit codes in one table. Built on the public headers alone.
#ifndef HR_CLI_CLI_H
#define HR_CLI_CLI_H

#include <headrace/headrace.h>

// --- flags (flags.c) ---
typedef enum cli_flag_type {
    CLI_BOOL,    // bool
    CLI_INT,     // int64_t
    CLI_SEED,    // uint64_t
    CLI_BYTES,   // int64_t, "1GiB"
    CLI_SECONDS, // double
    CLI_TEXT,    // const char *
    CLI_WORD,    // int: which of arg's words, as "none|blocks"
    CLI_NAMES,   // cli_names: "a,b"
    CLI_STEP,    // cli_steps: repeated, kept in the order given
} cli_flag_type;

typedef struct cli_flag {
    const char *name; // "--rows"
    const char *arg;  // "N"; NULL for CLI_BOOL
    cli_flag_type type;
    size_t offset; // in the command's struct
    const char *help;
    int64_t min;      // CLI_INT
    const char *word; // CLI_INT: this word stands for word_value ("auto")
    int64_t word_value;
} cli_flag;

#define CLI_NAMES_MAX 1024
typedef struct cli_names {
    const char *items[CLI_NAMES_MAX + 1]; // NULL-ended
    int count;
} cli_names;
// "a,b" cut up in place. False: a name is empty, or there are too many.
bool cli_split(char *text, cli_names *to);
#define CLI_STEPS_MAX 256
typedef struct cli_step {
    const char *flag; // "--map"
    char *text;
} cli_step;
typedef struct cli_steps {
    cli_step items[CLI_STEPS_MAX];
    int count;
} cli_steps;

// --- commands (main.c) ---
typedef struct cli_command {
    const char *name;
    const char *args; // "SOURCE"
    const char *summary;
    const char *more;      // printed after the flags; may be NULL
    const cli_flag *flags; // ended by a NULL name
    int operands_min, operands_max;
    bool hidden;
    int (*run)(const struct cli_command *self, int argc,
               char **argv); // after its name; returns the exit code
} cli_command;

extern const cli_command cli_check, cli_inspect, cli_cat, cli_diff, cli_memory, cli_options,
    cli_version, cli_which, cli_worker;
const cli_command *const *cli_commands(void); // NULL-ended

// Parses argv after the command's name into `to`; operands are moved to the front of argv. Returns how many, or -1
// after having said what is wrong; -2 when --help was printed.
int cli_parse(const cli_command *command, int argc, char **argv, void *to);
void cli_help(const cli_command *command);
#define CLI_SAMPLE   "F[,SEED]"
#define CLI_PART     "I/N"
#define CLI_SHUFFLES "none|blocks|window|global" // CLI_WORD: the index is an hr_shuffle
// The word of `words` (NULL-ended) most like `word`; NULL: none is.
const char *cli_nearest(const char *word, const char *const *words);

// --- plans (command_plan.c) ---
typedef struct cli_plan {
    hr_runtime *runtime;
    hr_dataset *source; // as it was opened
    hr_dataset *dataset;
    hr_prep *waiting[CLI_STEPS_MAX]; // assignments and scalers that nothing has needed yet
    int32_t waiting_count;
} cli_plan;
// A runtime, the source and its steps (NULL: none), until cli_plan_close, which is due on failure too. Signals cancel
// what the runtime does from here to there.
hr_status cli_plan_open(cli_plan *plan, const hr_runtime_options *budget, const char *source,
                        const hr_read_options *read, const cli_steps *steps, hr_error *err);
// Fits what waits and makes it part of the dataset.
hr_status cli_plan_apply(cli_plan *plan, hr_error *err);
// Hands out what waits as one preprocessor, unfitted; *out stays NULL when nothing does.
hr_status cli_plan_prep(cli_plan *plan, hr_prep **out, hr_error *err);
// Takes `next` as the plan's dataset when `status` is HR_OK; returns `status`.
hr_status cli_plan_replace(cli_plan *plan, hr_status status, hr_dataset *next);
void cli_plan_close(cli_plan *plan);

// --- ends (exit_codes.c) ---
enum { CLI_OK = 0, CLI_USAGE = 2, CLI_WORKER_LOST = 13, CLI_DIFFERS = 14 };
int cli_exit_code(hr_status status);
// "headrace: message", what to try, and the exit code.
int cli_fail(hr_status status, const hr_error *err);
int cli_usage(const char *command, const char *format, ...) HR_PRINTF(2, 3);
void cli_print_exit_codes(void);
// Text to standard output, freed; a failure (a full disk, a closed pipe) is an exit code.
int cli_print(char *text);
int cli_flush(void); // the same of what was printed so far

// --- Ctrl-C (interrupt.c) ---
// SIGINT, SIGTERM, SIGHUP cancel what the runtime does
void cli_interrupt_begin(hr_runtime *runtime);
void cli_interrupt_end(void);
int cli_interrupt_code(int code); // 128 + the signal when one came, else `code`

// --- progress (progress.c) ---
typedef struct cli_progress {
    bool shown;
    double began_s;
} cli_progress;
void cli_progress_begin(cli_progress *progress); // silent where standard error is no terminal
hr_status cli_progress_tick(void *progress, int64_t rows, int64_t rows_expected, hr_error *err);
void cli_progress_end(cli_progress *progress);

#endif
