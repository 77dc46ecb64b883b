// SPDX-License-Identifier: Apache-2.0
// Flags by table: --name VALUE or --name=VALUE, in any order among the operands; `--` ends them.
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 28

static const cli_flag *find_flag(const cli_command *command, const char *text, size_t bytes)
{
    for (const cli_flag *f = command->flags; f->name; f++)
        if (strlen(f->name) == bytes && memcmp(f->name, text, bytes) == 0)
            return f;
    return NULL;
}

// Letters to change, add or take away (Levenshtein), at most 9 looked at.
static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);
    if (n >= 63 || strlen(a) >= 63)
        return 99;
    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned drop = row[j] + 1, add = row[j - 1] + 1;
            row[j] = change < drop ? change : drop;
            row[j] = row[j] < add ? row[j] : add;
        }
    }
    return row[n];
}

const char *cli_nearest(const char *word, const char *const *words)
{
    const char *best = NULL;
    unsigned least = (unsigned)strlen(word) / 3 + 2;
    for (; *words; words++) {
        unsigned d = distance(word, *words);
        if (d < least) {
            least = d;
            best = *words;
        }
    }
    return best;
}

static int fail_unknown(const cli_command *command, const char *flag)
{
    const char *names[64];
    size_t count = 0;
    for (const cli_flag *f = command->flags; f->name && count < 63; f++)
        names[count++] = f->name;
    names[count] = NULL;
    const char *near = cli_nearest(flag, names);
    cli_usage(command->name, near ? "no flag %s; did you mean %s?" : "no flag %s", flag, near);
    return -1;
}

static int set_int(const cli_command *command, const cli_flag *flag, const char *value, int64_t *to)
{
    char *end = NULL;
    if (flag->word && strcmp(value, flag->word) == 0) {
        *to = flag->word_value;
        return 0;
    }
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < flag->min) {
        cli_usage(command->name, "%s takes a whole number of at least %lld%s%s, not '%s'",
                  flag->name, (long long)flag->min, flag->word ? ", or " : "",
                  flag->word ? flag->word : "", value);
        return -1;
    }
    *to = (int64_t)number;
    return 0;
}

static int set_seed(const cli_command *command, const cli_flag *flag, const char *value,
                    uint64_t *to)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno != 0 || *value < '0' || *value > '9' || *end != '\0') {
        cli_usage(command->name, "%s takes a whole number from 0 to %llu, not '%s'", flag->name,
                  (unsigned long long)UINT64_MAX, value);
        return -1;
    }
    *to = (uint64_t)number;
    return 0;
}

// Binary multiples, as "1GiB", "512M", "1.5g".
static int set_bytes(const cli_command *command, const cli_flag *flag, const char *value,
                     int64_t *to)
{
    static const char units[] = "kmgt";
    char *end = NULL;
    double number = strtod(value, &end), scale = 1;
    bool good = end != value && number > 0;
    if (good && *end) {
        const char *unit = strchr(units, *end | 0x20);
        for (const char *u = units; unit && u <= unit; u++)
            scale *= 1024;
        end += unit ? 1 : 0;
        if (unit && (*end | 0x20) == 'i')
            end++;
        if ((*end | 0x20) == 'b')
            end++;
    }
    if (!good || *end != '\0' || number * scale >= 0x1p63) {
        cli_usage(command->name, "%s takes a size as 512M, 1.5GiB or 1073741824, not '%s'",
                  flag->name, value);
        return -1;
    }
    *to = (int64_t)(number * scale);
    return 0;
}

static int set_seconds(const cli_command *command, const cli_flag *flag, const char *value,
                       double *to)
{
    char *end = NULL;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || !(number > 0) || number > 1e9) {
        cli_usage(command->name, "%s takes seconds above 0, not '%s'", flag->name, value);
        return -1;
    }
    *to = number;
    return 0;
}

bool cli_split(char *text, cli_names *to)
{
    to->count = 0;
    for (char *at = text;; at++) {
        size_t bytes = strcspn(at, ",");
        if (bytes == 0 || to->count == CLI_NAMES_MAX)
            return false;
        to->items[to->count++] = at;
        to->items[to->count] = NULL;
        at += bytes;
        if (!*at)
            return true;
        *at = '\0';
    }
}

static int set_names(const cli_command *command, const cli_flag *flag, char *value, cli_names *to)
{
    if (cli_split(value, to))
        return 0;
    cli_usage(command->name, "%s takes 1 to %d names as a,b", flag->name, CLI_NAMES_MAX);
    return -1;
}

// The index of `value` in the flag's "a|b|c".
static int set_word(const cli_command *command, const cli_flag *flag, const char *value, int *to)
{
    size_t bytes = strlen(value);
    int index = 0;
    for (const char *at = flag->arg;; at += 1, index++) {
        size_t word = strcspn(at, "|");
        if (word == bytes && memcmp(at, value, bytes) == 0) {
            *to = index;
            return 0;
        }
        at += word;
        if (!*at)
            break;
    }
    cli_usage(command->name, "%s takes %s, not '%s'", flag->name, flag->arg, value);
    return -1;
}

static int set_flag(const cli_command *command, const cli_flag *flag, char *value, void *to)
{
    void *field = (char *)to + flag->offset;
    switch (flag->type) {
    case CLI_BOOL:
        *(bool *)field = true;
        return 0;
    case CLI_INT:
        return set_int(command, flag, value, field);
    case CLI_SEED:
        return set_seed(command, flag, value, field);
    case CLI_BYTES:
        return set_bytes(command, flag, value, field);
    case CLI_SECONDS:
        return set_seconds(command, flag, value, field);
    case CLI_TEXT:
        *(const char **)field = value;
        return 0;
    case CLI_WORD:
        return set_word(command, flag, value, field);
    case CLI_NAMES:
        return set_names(command, flag, value, field);
    case CLI_STEP: {
        cli_steps *steps = field;
        if (steps->count == CLI_STEPS_MAX) {
            cli_usage(command->name, "more than %d steps", CLI_STEPS_MAX);
            return -1;
        }
        steps->items[steps->count++] = (cli_step){flag->name, value};
        return 0;
    }
    }
    return -1;
}

int cli_parse(const cli_command *command, int argc, char **argv, void *to)
{
    int operands = 0;
    bool flags_ended = false;
    for (int i = 0; i < argc; i++) {
        char *text = argv[i];
        if (flags_ended || text[0] != '-' || text[1] == '\0') {
            argv[operands++] = text;
            continue;
        }
        if (strcmp(text, "--") == 0) {
            flags_ended = true;
            continue;
        }
        if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            cli_help(command);
            return -2;
        }
        size_t bytes = strcspn(text, "=");
        const cli_flag *flag = find_flag(command, text, bytes);
        char *value = text[bytes] ? text + bytes + 1 : NULL;
        if (!flag)
            return fail_unknown(command, text);
        if (flag->type == CLI_BOOL && value) {
            cli_usage(command->name, "%s takes no value", flag->name);
            return -1;
        }
        if (flag->type != CLI_BOOL && !value && ++i < argc)
            value = argv[i];
        if (flag->type != CLI_BOOL && !value) {
            cli_usage(command->name, "%s takes a value: %s %s", flag->name, flag->name, flag->arg);
            return -1;
        }
        if (set_flag(command, flag, value, to) != 0)
            return -1;
    }
    if (operands < command->operands_min || operands > command->operands_max) {
        cli_usage(command->name,
                  operands < command->operands_min ? "%s is missing"
                                                   : "too many: "
                                                     "it takes %s",
                  command->args[0] ? command->args : "nothing");
        return -1;
    }
    return operands;
}

void cli_help(const cli_command *command)
{
    printf("usage: headrace %s%s%s%s\n\n%s\n", command->name, command->args[0] ? " " : "",
           command->args, command->flags->name ? " [flags]" : "", command->summary);
    if (command->flags->name)
        printf("\n");
    for (const cli_flag *f = command->flags; f->name; f++) {
        int used = printf("  %s%s%s", f->name, f->arg ? " " : "", f->arg ? f->arg : "");
        if (used >= HELP_COLUMN)
            used = printf("\n") - 1;
        printf("%*s%s\n", HELP_COLUMN - used, "", f->help);
    }
    if (command->more)
        printf("\n%s\n", command->more);
}
