// SPDX-License-Identifier: Apache-2.0
// Two runs compared by their logs: the first step at which they were given other rows.
//
// A log is a file, or a folder with one for each rank. A step that a log has twice came again after a restart; it must
// have been the same. Steps are compared as the sums over their ranks, so the number of ranks may differ.
#include "feed/run_log.h"

#include "base/os.h"
#include "base/text.h"
#include "base/vec.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_BYTES_MAX (1ll << 32)

typedef struct step {
    uint64_t epoch, step, rows, sum;
    uint64_t line; // of its file
} step;
typedef HR_VEC(step) steps;

typedef struct run_log {
    const char *name;
    steps all; // of all ranks, in order
    int ranks;
} run_log;

static int by_step(const void *a, const void *b)
{
    const step *x = a, *y = b;
    if (x->epoch != y->epoch)
        return x->epoch < y->epoch ? -1 : 1;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static void sort(steps *s)
{
    if (s->count > 1)
        qsort(s->items, s->count, sizeof *s->items, by_step);
}

static bool same_step(const step *a, const step *b)
{
    return a->epoch == b->epoch && a->step == b->step;
}

// Numbers with one space between them, the last two in hexadecimal, and nothing else.
static bool parse_step(const char *line, uint64_t values[5])
{
    for (int i = 0; i < 5; i++) {
        char *end;
        if (!isxdigit((unsigned char)*line))
            return false;
        errno = 0;
        values[i] = strtoull(line, &end, i < 3 ? 10 : 16);
        if (errno || *end != (i < 4 ? ' ' : 0))
            return false;
        line = end + 1;
    }
    return true;
}

// One line; a line that was cut by a kill is left out, any other that is no step is CORRUPT.
static hr_status read_line(const char *path, const char *line, uint64_t number, bool last,
                           steps *to, hr_error *err)
{
    uint64_t v[5];
    if (line[0] == '#' || line[0] == 0)
        return HR_OK;
    if (parse_step(line, v))
        return HR_VEC_PUSH(to, ((step){v[0], v[1], v[2], v[3], number}), err);
    return last ? HR_OK
                : HR_FAIL(err, HR_CORRUPT,
                          "%s, line %llu: no step of a digest (EPOCH STEP ROWS SUM RUNNING)", path,
                          (unsigned long long)number);
}

static hr_status read_lines(const char *path, char *text, steps *to, hr_error *err)
{
    uint64_t number = 0;
    if (strncmp(text, "# headrace digest 1 ", 20) != 0)
        return HR_FAIL(err, HR_CORRUPT, "%s: no digest of a run: its first line is another", path);
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        // What a new life found cut off, it ended: the next line is its own first.
        bool last = !next || next[1] == '#';
        if (next)
            *next++ = 0;
        HR_TRY(read_line(path, line, ++number, last, to, err));
    }
    return HR_OK;
}

// A step that comes twice in the log of one rank: the same, or the log contradicts itself.
static hr_status fold_repeats(const char *path, steps *s, hr_error *err)
{
    size_t kept = 0;
    sort(s);
    for (size_t i = 0; i < s->count; i++) {
        const step *at = &s->items[i];
        if (kept && same_step(&s->items[kept - 1], at)) {
            if (s->items[kept - 1].rows != at->rows || s->items[kept - 1].sum != at->sum)
                return HR_FAIL(err, HR_CORRUPT,
                               "%s: epoch %llu, step %llu came twice (lines %llu and %llu), with "
                               "other rows: the two lives of this run saw other data",
                               path, (unsigned long long)at->epoch, (unsigned long long)at->step,
                               (unsigned long long)s->items[kept - 1].line,
                               (unsigned long long)at->line);
            continue;
        }
        s->items[kept++] = *at;
    }
    s->count = kept;
    return HR_OK;
}

static hr_status read_file(const char *path, run_log *log, hr_error *err)
{
    hr_status status;
    int fd = -1;
    char *text = NULL;
    steps found = {0};
    size_t bytes = 0;
    struct stat st;
    HR_TRY(hr__open_file(path, O_RDONLY | O_CLOEXEC, 0, &fd, err));
    if (fstat(fd, &st) != 0) {
        status = hr__error_errno(err, errno, "%s", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > LOG_BYTES_MAX) {
        status = HR_FAIL(err, HR_INVALID, "%s: no file of at most 4 GiB", path);
        goto out;
    }
    HR_GO(hr__alloc((size_t)st.st_size + 1, &text, err));
    HR_GO(hr__pread_full(fd, text, (size_t)st.st_size, 0, &bytes, err));
    text[bytes] = 0;
    HR_GO(read_lines(path, text, &found, err));
    HR_GO(fold_repeats(path, &found, err));
    for (size_t i = 0; i < found.count; i++)
        HR_GO(HR_VEC_PUSH(&log->all, found.items[i], err));
    log->ranks++;
out:
    HR_VEC_FINISH(&found);
    hr__free(text);
    hr__close_fd(&fd);
    return status;
}

static hr_status read_folder(const char *folder, DIR *dir, run_log *log, hr_error *err)
{
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        size_t n = strlen(e->d_name);
        char *path = NULL;
        hr_text text;
        if (n < 8 || strcmp(e->d_name + n - 7, ".digest") != 0)
            continue;
        hr__text_init(&text, 8192);
        hr__text_add(&text, "%s/%s", folder, e->d_name);
        HR_TRY(hr__text_take(&text, &path, err));
        hr_status status = read_file(path, log, err);
        hr__free(path);
        HR_TRY(status);
    }
    return log->ranks ? HR_OK
                      : HR_FAIL(err, HR_NOT_FOUND, "%s: no rank-*.digest in this folder", folder);
}

// The steps of all ranks, those of one number added up.
static hr_status read_log(const char *name, run_log *log, hr_error *err)
{
    log->name = name;
    DIR *dir = opendir(name);
    hr_status status = dir ? read_folder(name, dir, log, err) : read_file(name, log, err);
    if (dir)
        closedir(dir);
    HR_TRY(status);
    size_t kept = 0;
    steps *s = &log->all;
    sort(s);
    for (size_t i = 0; i < s->count; i++) {
        if (kept && same_step(&s->items[kept - 1], &s->items[i])) {
            s->items[kept - 1].rows += s->items[i].rows;
            s->items[kept - 1].sum += s->items[i].sum;
        } else {
            s->items[kept++] = s->items[i];
        }
    }
    s->count = kept;
    return HR_OK;
}

static void say_log(hr_text *t, const run_log *log)
{
    uint64_t rows = 0;
    const steps *s = &log->all;
    for (size_t i = 0; i < s->count; i++)
        rows += s->items[i].rows;
    hr__text_add(t, "%s: %d rank%s, %zu steps, %llu rows", log->name, log->ranks,
                 log->ranks == 1 ? "" : "s", s->count, (unsigned long long)rows);
    if (s->count)
        hr__text_add(t, ", to epoch %llu, step %llu",
                     (unsigned long long)s->items[s->count - 1].epoch,
                     (unsigned long long)s->items[s->count - 1].step);
    hr__text_add(t, "\n");
}

// Steps of one log added up, from the start of an epoch on.
typedef struct place {
    const steps *log;
    size_t next;
    uint64_t epoch, rows, sum;
} place;

static bool advance(place *p)
{
    if (p->next == p->log->count)
        return false;
    const step *s = &p->log->items[p->next++];
    if (s->epoch != p->epoch || p->next == 1)
        p->rows = p->sum = 0;
    p->epoch = s->epoch;
    p->rows += s->rows;
    p->sum += s->sum;
    return true;
}

static int by_place(const place *a, const place *b)
{
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    return a->rows < b->rows ? -1 : a->rows > b->rows;
}

// Steps of other sizes: the same rows in the same order have the same sums wherever both logs end a step.
static void say_other_steps(hr_text *t, const steps *a, const steps *b)
{
    place p = {.log = a}, q = {.log = b}, same = {0};
    size_t places = 0;
    bool more = advance(&p) && advance(&q);
    hr__text_add(t, "steps of other sizes compare where both end a step: ");
    while (more) {
        int order = by_place(&p, &q);
        if (order == 0 && p.sum != q.sum) {
            hr__text_add(t, "rows %llu to %llu of epoch %llu differ\n",
                         (unsigned long long)(same.epoch == p.epoch ? same.rows : 0),
                         (unsigned long long)(p.rows - 1), (unsigned long long)p.epoch);
            return;
        }
        if (order == 0) {
            same = p;
            places++;
        }
        more = (order > 0 || advance(&p)) && (order < 0 || advance(&q));
    }
    if (places)
        hr__text_add(
            t,
            "at all %zu of these places, to row %llu of epoch %llu, the rows before are the same\n",
            places, (unsigned long long)same.rows, (unsigned long long)same.epoch);
    else
        hr__text_add(t, "there is no such place\n");
}

static void say_difference(hr_text *t, const step *a, const step *b, size_t before)
{
    const step *first = !a ? b : !b ? a : by_step(a, b) <= 0 ? a : b;
    hr__text_add(t, "first difference: epoch %llu, step %llu; %zu steps before it are the same\n",
                 (unsigned long long)first->epoch, (unsigned long long)first->step, before);
    if (a && b && same_step(a, b))
        hr__text_add(t, "  %llu rows, sum %016llx, against %llu rows, sum %016llx\n",
                     (unsigned long long)a->rows, (unsigned long long)a->sum,
                     (unsigned long long)b->rows, (unsigned long long)b->sum);
    else
        hr__text_add(t, "  only the %s has this step\n", first == a ? "first" : "second");
    hr__text_add(t, "`headrace which SOURCE --epoch %llu --step %llu` names its rows\n",
                 (unsigned long long)first->epoch, (unsigned long long)first->step);
}

hr_status hr_digest_diff(const char *a, const char *b, bool *same_out, char **text_out,
                         hr_error *err)
{
    hr_status status;
    run_log x = {0}, y = {0};
    hr_text t;
    hr__text_init(&t, 1 << 16);
    HR_GO(read_log(a, &x, err));
    HR_GO(read_log(b, &y, err));
    const steps *p = &x.all, *q = &y.all;
    size_t n = 0;
    while (n < p->count && n < q->count && same_step(&p->items[n], &q->items[n]) &&
           p->items[n].rows == q->items[n].rows && p->items[n].sum == q->items[n].sum)
        n++;
    *same_out = n == p->count && n == q->count;
    say_log(&t, &x);
    say_log(&t, &y);
    if (*same_out)
        hr__text_add(&t, "the same rows in the same steps\n");
    else
        say_difference(&t, n < p->count ? &p->items[n] : NULL, n < q->count ? &q->items[n] : NULL,
                       n);
    if (n < p->count && n < q->count && p->items[n].rows != q->items[n].rows)
        say_other_steps(&t, p, q);
    status = hr__text_take(&t, text_out, err);
out:
    hr__text_finish(&t);
    HR_VEC_FINISH(&x.all);
    HR_VEC_FINISH(&y.all);
    return status;
}
