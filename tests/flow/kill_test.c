// SPDX-License-Identifier: Apache-2.0
// A training job killed at random points, again and again, each life with another number of workers and another
// prefetch depth: the rows up to each life's last committed checkpoint, joined, are every row of each epoch exactly
// once, in the order of an undisturbed run.
//
// This program is the test, the driver that it kills ("drive"), and the driver's workers. Workers write down what
// they get: where they begin, then (epoch, index in its order, id) of each row. Rank 0 commits when all ranks have
// come as far, as ranks that train in step have. HEADRACE_KILLS (10) and HEADRACE_SEED change the numbers.
#include "flow_support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ROWS        12000
#define STEP_ROWS   128
#define EPOCHS      3
#define WORKERS_MAX 4
#define COMMIT_EACH 4 // steps
#define STATE_BYTES 4096
#define EPOCH_STEPS 1000000 // more than an epoch has

// What the driver tells its workers.
typedef struct job {
    char folder[64];
    int64_t life, prefetch;
    int32_t shuffle, filtered;
    int32_t die; // rank 0 dies by itself, in each life that begins before the last epoch
} job;

typedef struct record {
    int64_t epoch, index, id;
} record;

// Beside the records: how far each rank has come.
typedef struct barrier {
    _Atomic int64_t done[WORKERS_MAX];
} barrier;

// --- the data ---

static hr_status skip_some(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    const hr_column *c = hr_block_column(in, 0);
    const int64_t *ids = (const int64_t *)c->data + c->offset;
    int64_t rows = hr_block_rows(in), skip = rows ? 1 + ids[0] % 5 : 0;
    skip = skip < rows ? skip : rows;
    return hr_block_slice(in, skip, rows - skip, out, err);
}

static hr_status open_data(hr_runtime *rt, const job *j, hr_dataset **out, hr_error *err)
{
    char data[80];
    hr_dataset *read = NULL, *some = NULL;
    hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
    o.batch_rows = 700;
    snprintf(data, sizeof data, "%s/data", j->folder);
    hr_status status = hr_read_parquet(rt, data, NULL, &read, err);
    if (status == HR_OK && !j->filtered) {
        *out = read;
        return HR_OK;
    }
    if (status == HR_OK)
        status = hr_dataset_filter(read, "id % 7 < 5 and id % 900 > 90", &some, err);
    if (status == HR_OK)
        status = hr_dataset_map_blocks(some, skip_some, NULL, &o, out, err);
    hr_dataset_unref(&some);
    hr_dataset_unref(&read);
    return status;
}

static hr_stream_options order_of(const job *j)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    o.global_batch_rows = STEP_ROWS;
    o.epochs = EPOCHS;
    o.shuffle = (hr_shuffle)j->shuffle;
    o.window_rows = 1000;
    o.seed = 7;
    o.prefetch_blocks = j->prefetch;
    return o;
}

// --- the worker ---

typedef struct worker {
    hr_session *session;
    job job;
    int log;
    barrier *barrier;
    int64_t rank, world, steps, commits;
} worker;

static hr_status fail_text(hr_error *err, const char *text)
{
    if (err) {
        err->status = HR_USER;
        snprintf(err->message, sizeof err->message, "%s (%s)", text, strerror(errno));
    }
    return HR_USER;
}

static hr_status worker_open(worker *w, hr_error *err)
{
    char path[200];
    size_t bytes = 0;
    const char *from = hr_session_checkpoint(w->session), *slash = from ? strrchr(from, '/') : NULL;
    memcpy(&w->job, hr_session_payload(w->session, &bytes), sizeof w->job);
    w->rank = hr_session_rank(w->session);
    w->world = hr_session_world_size(w->session);
    snprintf(path, sizeof path, "%s/log.%05d.%06d.%d", w->job.folder, (int)w->job.life,
             slash ? 1 + (int)strtol(slash + 1 + strlen("checkpoint_"), NULL, 10) : 0,
             (int)w->rank);
    w->log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    *strrchr(path, '.') = '\0';
    memcpy(strstr(path, "/log."), "/bar.", 5);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (w->log < 0 || fd < 0 || ftruncate(fd, sizeof *w->barrier) != 0)
        return fail_text(err, path);
    w->barrier = mmap(NULL, sizeof *w->barrier, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return w->barrier == MAP_FAILED ? fail_text(err, "barrier") : HR_OK;
}

static hr_status note(worker *w, const record *records, int64_t count, hr_error *err)
{
    size_t bytes = (size_t)count * sizeof *records;
    return write(w->log, records, bytes) == (ssize_t)bytes ? HR_OK : fail_text(err, "log");
}

// The state of the loop: the place, many times over, so that half of it shows.
static hr_status write_state(const worker *w, const hr_position *at, char folder[120],
                             hr_error *err)
{
    int64_t words[STATE_BYTES / sizeof(int64_t)];
    char path[140];
    for (size_t i = 0; i < COUNTOF(words); i++)
        words[i] = at->epoch * ROWS + at->row;
    snprintf(folder, 120, "%s/state.%d", w->job.folder, (int)w->rank);
    snprintf(path, sizeof path, "%s/state", folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return fail_text(err, folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool good = fd >= 0 && write(fd, words, sizeof words) == (ssize_t)sizeof words;
    close(fd);
    return good ? HR_OK : fail_text(err, path);
}

static hr_status check_state(const worker *w, const hr_position *at, hr_error *err)
{
    int64_t words[STATE_BYTES / sizeof(int64_t)];
    char path[512];
    const char *from = hr_session_checkpoint(w->session);
    if (!from)
        return HR_OK;
    snprintf(path, sizeof path, "%s/state", from);
    int fd = open(path, O_RDONLY);
    bool good = fd >= 0 && read(fd, words, sizeof words) == (ssize_t)sizeof words;
    close(fd);
    for (size_t i = 0; good && i < COUNTOF(words); i++)
        good = words[i] == at->epoch * ROWS + at->row;
    return good ? HR_OK : fail_text(err, "the state of the checkpoint is not of its position");
}

static hr_status commit(worker *w, hr_feed *feed, int64_t come, hr_error *err)
{
    char folder[120];
    hr_position at;
    for (int64_t rank = 0; rank < w->world; rank++)
        while (atomic_load(&w->barrier->done[rank]) < come)
            sleep_ms(1);
    hr_feed_position(feed, &at);
    hr_status status = write_state(w, &at, folder, err);
    if (status == HR_OK)
        status = hr_session_report_checkpoint(w->session, "{\"loss\": NaN}", folder, err);
    w->commits++;
    if (status == HR_OK && w->job.die && w->rank == 0 && w->commits == 3 && at.epoch < EPOCHS - 1)
        raise(SIGKILL);
    return status;
}

// After a step, or an epoch's end.
static hr_status come_to(worker *w, hr_feed *feed, int64_t epoch, int64_t step, hr_error *err)
{
    int64_t come = epoch * EPOCH_STEPS + step;
    atomic_store(&w->barrier->done[w->rank], come);
    if (w->rank == 0 && (step == 0 || step % COMMIT_EACH == 0))
        return commit(w, feed, come, err);
    return HR_OK;
}

static hr_status learn(worker *w, hr_feed *feed, hr_error *err)
{
    static record records[STEP_ROWS];
    hr_batch *batch = NULL;
    const int64_t *ids = NULL;
    int64_t epoch = 0;
    for (;;) {
        hr_status status = hr_feed_next(feed, &batch, err);
        if (status == HR_END) {
            hr_position at;
            hr_feed_position(feed, &at);
            epoch = at.epoch;
            status = come_to(w, feed, epoch, 0, err);
            if (status == HR_OK)
                status = hr_feed_next_epoch(feed, err);
            if (status == HR_OK)
                continue;
        }
        if (status == HR_OK)
            status = hr_batch_i64(batch, "id", &ids, err);
        if (status != HR_OK)
            return status;
        int64_t rows = hr_batch_rows(batch), step = hr_batch_step(batch) + 1;
        epoch = hr_batch_epoch(batch);
        for (int64_t i = 0; i < rows; i++)
            records[i] = (record){epoch, hr_batch_first_row(batch) + i, ids[i]};
        hr_batch_unref(&batch);
        status = note(w, records, rows, err);
        sleep_ms(1);
        if (status == HR_OK)
            status = come_to(w, feed, epoch, step, err);
        if (status != HR_OK)
            return status;
    }
}

static hr_status loop(hr_session *session, void *context, hr_error *err)
{
    worker w = {.session = session};
    hr_feed *feed = NULL;
    hr_position at;
    hr_status status = worker_open(&w, err);
    hr_stream_options o = order_of(&w.job);
    if (status == HR_OK)
        status = hr_session_feed(session, "train", &o, NULL, &feed, err);
    if (status != HR_OK)
        return status;
    hr_feed_position(feed, &at);
    const record first = {-1, at.epoch, at.row};
    atomic_store(&w.barrier->done[w.rank], at.epoch * EPOCH_STEPS + at.step);
    status = check_state(&w, &at, err);
    if (status == HR_OK)
        status = note(&w, &first, 1, err);
    if (status == HR_OK)
        status = learn(&w, feed, err);
    hr_feed_close(&feed);
    return status;
}

// --- the driver: drive FOLDER LIFE WORKERS PREFETCH THREADS SHUFFLE FILTERED DIE ---

static int drive(char **argv)
{
    job j = {.life = strtol(argv[3], NULL, 10),
             .prefetch = strtol(argv[5], NULL, 10),
             .shuffle = (int32_t)strtol(argv[7], NULL, 10),
             .filtered = (int32_t)strtol(argv[8], NULL, 10),
             .die = (int32_t)strtol(argv[9], NULL, 10)};
    char run[100], *last = NULL;
    hr_trainer_options o = HR_TRAINER_OPTIONS_INIT;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = runtime_of(strtol(argv[6], NULL, 10), 64 * MIB);
    hr_dataset *data = NULL;
    snprintf(j.folder, sizeof j.folder, "%s", argv[2]);
    snprintf(run, sizeof run, "%s/run", j.folder);
    hr_status status = open_data(rt, &j, &data, &err);
    const hr_trainer_dataset datasets[] = {{"train", data, true}};
    o.workers = strtol(argv[4], NULL, 10);
    o.payload = &j;
    o.payload_bytes = sizeof j;
    o.datasets = datasets;
    o.dataset_count = 1;
    o.run_folder = run;
    o.keep = 2;
    o.fail_fast = true;
    o.max_failures = j.die ? 20 : 0;
    if (hr_checkpoint_find(run, &last, &err) == HR_OK)
        o.resume_from = last;
    if (status == HR_OK)
        status = hr_trainer_run(rt, &o, &result, &err);
    if (status != HR_OK)
        fprintf(stderr, "life %d: %s\n", (int)j.life, err.message);
    if (status == HR_OK && j.die && result->life_count < 3)
        fprintf(stderr, "only %d lives\n", (int)result->life_count), status = HR_USER;
    hr_trainer_result_free(&result);
    hr_text_free(last);
    hr_dataset_unref(&data);
    hr_runtime_close(&rt);
    return status == HR_OK ? 0 : 1;
}

// --- the test ---

typedef struct bench {
    job job;
    int64_t *order; // of EPOCHS epochs, undisturbed
    int64_t rows;   // of one epoch
    uint64_t random;
} bench;

static int64_t pick(bench *b, int64_t count)
{
    b->random = b->random * 6364136223846793005ull + 1442695040888963407ull;
    return (int64_t)((b->random >> 33) % (uint64_t)count);
}

static void bench_open(bench *b, hr_shuffle shuffle, bool filtered, bool die)
{
    char data[80];
    pass alone;
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = NULL;
    hr_error err = HR_ERROR_INIT;
    *b = (bench){.job = {.shuffle = (int32_t)shuffle, .filtered = filtered, .die = die}};
    const char *seed = getenv("HEADRACE_SEED");
    b->random = seed ? strtoull(seed, NULL, 10) : (uint64_t)(seconds_now() * 1e6);
    printf("seed %llu\n", (unsigned long long)b->random);
    fflush(stdout);
    make_folder(b->job.folder);
    snprintf(data, sizeof data, "%s/data", b->job.folder);
    write_rows(data, ROWS, 2500, 600);
    hr_stream_options o = order_of(&b->job);
    ok(open_data(rt, &b->job, &d, &err));
    pass_over(&alone, d, &o);
    assert_ended(&alone);
    b->rows = alone.count / EPOCHS;
    b->order = malloc((size_t)alone.count * sizeof *b->order);
    memcpy(b->order, alone.ids, (size_t)alone.count * sizeof *b->order);
    assert_int_equal(b->rows * EPOCHS, alone.count);
    pass_finish(&alone);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void remove_all(const char *folder)
{
    char path[500];
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (unlink(path) != 0)
            remove_all(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static void bench_close(bench *b)
{
    free(b->order);
    remove_all(b->job.folder);
}

static pid_t start_driver(bench *b)
{
    extern char **environ;
    char text[6][24];
    pid_t pid = -1;
    const int64_t prefetch[] = {0, 1, 3, HR_PREFETCH_NONE};
    b->job.life++;
    snprintf(text[0], sizeof text[0], "%d", (int)b->job.life);
    snprintf(text[1], sizeof text[1], "%d", 1 + (int)pick(b, WORKERS_MAX));
    snprintf(text[2], sizeof text[2], "%d", (int)prefetch[pick(b, COUNTOF(prefetch))]);
    snprintf(text[3], sizeof text[3], "%d", 1 + (int)pick(b, 3));
    snprintf(text[4], sizeof text[4], "%d", (int)b->job.shuffle);
    snprintf(text[5], sizeof text[5], "%d", (int)b->job.filtered);
    const char *argv[] = {
        "/proc/self/exe", "drive", b->job.folder,          text[0], text[1], text[2], text[3],
        text[4],          text[5], b->job.die ? "1" : "0", NULL};
    assert_int_equal(posix_spawn(&pid, argv[0], NULL, NULL, (char **)argv, environ), 0);
    return pid;
}

// Its workers are ours once it is dead (we are their reaper): all end by themselves.
static void await_orphans(void)
{
    for (double until = seconds_now() + WAIT_S;;) {
        pid_t got = waitpid(-1, NULL, WNOHANG);
        if (got < 0 && errno == ECHILD)
            return;
        if (seconds_now() > until)
            fail_msg("workers outlive their driver");
        if (got == 0)
            sleep_ms(2);
    }
}

// One life: killed after so long, or (kill_ms < 0) let alone. True: it came to its end.
static bool live(bench *b, int kill_ms)
{
    int state = 0;
    pid_t pid = start_driver(b), got = 0;
    double until = seconds_now() + (kill_ms < 0 ? WAIT_S : kill_ms * 1e-3);
    while ((got = waitpid(pid, &state, WNOHANG)) == 0 && seconds_now() < until)
        sleep_ms(2);
    if (got == 0) {
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &state, 0), pid);
    }
    await_orphans();
    if (kill_ms < 0 && !(WIFEXITED(state) && WEXITSTATUS(state) == 0))
        fail_msg("life %d, which nobody killed, ended with state %x", (int)b->job.life,
                 (unsigned)state);
    return WIFEXITED(state) && WEXITSTATUS(state) == 0;
}

// --- what they wrote down ---

typedef struct logged {
    char name[64]; // "log.LIFE.CHECKPOINT.RANK": sorts by life, then by what it began from
    record *records;
    int64_t count;
} logged;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const logged *)a)->name, ((const logged *)b)->name);
}

static int64_t read_logs(const bench *b, logged *out, int64_t room)
{
    char path[400];
    int64_t count = 0;
    DIR *dir = opendir(b->job.folder);
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat info;
        if (strncmp(e->d_name, "log.", 4) != 0)
            continue;
        assert_true(count < room);
        logged *l = &out[count];
        snprintf(path, sizeof path, "%s/%s", b->job.folder, e->d_name);
        snprintf(l->name, sizeof l->name, "%.60s", e->d_name);
        assert_int_equal(stat(path, &info), 0);
        l->count = info.st_size / (int64_t)sizeof(record);
        l->records = malloc((size_t)info.st_size + 1);
        int fd = open(path, O_RDONLY);
        assert_int_equal(read(fd, l->records, (size_t)info.st_size), info.st_size);
        close(fd);
        if (l->count > 0)
            count++; // killed before it knew where it began: it got nothing
        else
            free(l->records);
    }
    closedir(dir);
    qsort(out, (size_t)count, sizeof *out, by_name);
    return count;
}

static bool same_life(const logged *a, const logged *b)
{
    return strncmp(a->name, b->name, strlen("log.00000.000000")) == 0;
}

static int64_t start_of(const bench *b, const logged *l)
{
    assert_int_equal(l->records[0].epoch, -1);
    return l->records[0].index * b->rows + l->records[0].id;
}

// Every row is that of the undisturbed order; those in [from, to) are marked.
static void check_rows(const bench *b, const logged *l, int64_t from, int64_t to, char *seen)
{
    for (int64_t i = 1; i < l->count; i++) {
        const record *r = &l->records[i];
        int64_t at = r->epoch * b->rows + r->index;
        if (r->epoch < 0 || at < from || at >= EPOCHS * b->rows || b->order[at] != r->id)
            fail_msg("%s: row %d of epoch %d has id %d, expected %d; the life began at %d", l->name,
                     (int)r->index, (int)r->epoch, (int)r->id,
                     at >= 0 && at < EPOCHS * b->rows ? (int)b->order[at] : -1, (int)from);
        if (at >= to)
            continue; // after the last checkpoint: it comes again
        if (seen[at]++)
            fail_msg("%s: row %d of epoch %d came twice", l->name, (int)r->index, (int)r->epoch);
    }
}

static void check_run(const bench *b)
{
    static logged logs[4000];
    int64_t total = EPOCHS * b->rows, count = read_logs(b, logs, COUNTOF(logs)), next;
    char *seen = calloc((size_t)total, 1);
    assert_true(count > 0);
    for (int64_t i = 0; i < count; i = next) {
        int64_t from = start_of(b, &logs[i]);
        for (next = i; next < count && same_life(&logs[i], &logs[next]); next++)
            assert_int_equal(start_of(b, &logs[next]), from);
        int64_t to = next < count ? start_of(b, &logs[next]) : total;
        assert_true(to >= from);
        for (int64_t k = i; k < next; k++)
            check_rows(b, &logs[k], from, to, seen);
    }
    for (int64_t at = 0; at < total; at++)
        if (!seen[at])
            fail_msg("row %d of epoch %d was never trained on", (int)(at % b->rows),
                     (int)(at / b->rows));
    free(seen);
    for (int64_t i = 0; i < count; i++)
        free(logs[i].records);
}

static int kills_wanted(int share)
{
    const char *text = getenv("HEADRACE_KILLS");
    int kills = text ? (int)strtol(text, NULL, 10) : 10;
    return kills / share > 0 ? kills / share : 1;
}

// Run after run, until so many kills have struck.
static void check_killed(hr_shuffle shuffle, bool filtered, int kills)
{
    int struck = 0;
    while (struck < kills) {
        bench b;
        bench_open(&b, shuffle, filtered, false);
        bool over = false;
        for (int n = 0; n < 40 && struck < kills && !over; n++) {
            over = live(&b, 40 + (int)pick(&b, 360));
            struck += !over;
        }
        if (!over)
            live(&b, -1);
        check_run(&b);
        bench_close(&b);
    }
}

static void job__killed_at_random_trains_on_each_row_once(void **state)
{
    check_killed(HR_SHUFFLE_WINDOW, false, kills_wanted(2));
}

static void job__with_filters_and_a_function_that_skips_does_too(void **state)
{
    check_killed(HR_SHUFFLE_WINDOW, true, kills_wanted(4));
    check_killed(HR_SHUFFLE_NONE, true, kills_wanted(4));
}

static void workers__that_die_are_started_again_at_the_row(void **state)
{
    bench b;
    bench_open(&b, HR_SHUFFLE_WINDOW, false, true);
    live(&b, -1);
    check_run(&b);
    bench_close(&b);
}

int main(int argc, char **argv)
{
    int code = hr_worker_main(loop, NULL);
    if (code >= 0)
        return code;
    if (argc == 10 && strcmp(argv[1], "drive") == 0)
        return drive(argv);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers__that_die_are_started_again_at_the_row),
        cmocka_unit_test(job__killed_at_random_trains_on_each_row_once),
        cmocka_unit_test(job__with_filters_and_a_function_that_skips_does_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
