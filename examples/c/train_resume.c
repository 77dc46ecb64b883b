// SPDX-License-Identifier: Apache-2.0
// A trainer in C that may be killed at any time and goes on at the row where its last checkpoint was committed.
//
//   train_resume TABLE RUN        start it, kill it (kill -9, or Ctrl-C), start it again
//
// One program is both: hr_worker_main runs the loop where the trainer started this process, and returns -1 elsewhere.
// The worker counts the rows it trained on; what it counted is its model, kept in the checkpoint. With more workers a
// model that all of them share (by all-reduce) is what rank 0 keeps; the rows are dealt and resumed the same way.
#include <headrace/headrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define EPOCHS      2
#define COMMIT_EACH 10 // batches

typedef struct model {
    long long rows, epochs;
    double fares;
} model;

// Of the checkpoint that this life begins from; zero when it begins from the start.
static void load(const char *folder, model *m)
{
    char path[4200], line[200] = "", *at = line;
    snprintf(path, sizeof path, "%s/model", folder);
    FILE *file = fopen(path, "r");
    if (file && fgets(line, sizeof line, file)) {
        m->rows = strtoll(at, &at, 10);
        m->epochs = strtoll(at, &at, 10);
        m->fares = strtod(at, &at);
    }
    if (file)
        fclose(file);
}

static hr_status save(hr_session *session, const model *m, hr_error *err)
{
    char folder[64], path[80], json[120];
    snprintf(folder, sizeof folder, "/tmp/train-resume-XXXXXX");
    if (!mkdtemp(folder))
        return HR_IO;
    snprintf(path, sizeof path, "%s/model", folder);
    FILE *file = fopen(path, "w");
    if (file) {
        fprintf(file, "%lld %lld %.17g\n", m->rows, m->epochs, m->fares);
        fclose(file);
    }
    snprintf(json, sizeof json, "{\"rows\": %lld, \"epochs\": %lld}", m->rows, m->epochs);
    hr_status status = hr_session_report_checkpoint(session, json, folder, err); // durable now
    remove(path);
    remove(folder);
    return status;
}

static hr_status train(hr_session *session, hr_feed *feed, model *m, hr_error *err)
{
    const struct timespec work = {0, 2000000}; // what a model would take
    hr_batch *batch = NULL;
    hr_status status;
    for (int n = 1; (status = hr_feed_next(feed, &batch, err)) == HR_OK; n++) {
        const double *fare; // borrowed from batch
        if ((status = hr_batch_f64(batch, "fare", &fare, err)) != HR_OK)
            break;
        for (int64_t i = 0; i < hr_batch_rows(batch); i++)
            m->fares += fare[i];
        m->rows += hr_batch_rows(batch);
        hr_batch_unref(&batch);
        nanosleep(&work, NULL);
        if (n % COMMIT_EACH == 0 && (status = save(session, m, err)) != HR_OK)
            break;
    }
    hr_batch_unref(&batch);
    return status; // HR_END: the epoch's end
}

static hr_status loop(hr_session *session, void *context, hr_error *err)
{
    hr_stream_options order = HR_STREAM_OPTIONS_INIT;
    hr_feed *feed = NULL;
    model m = {0};
    char line[200];
    if (hr_session_checkpoint(session))
        load(hr_session_checkpoint(session), &m);
    order.global_batch_rows = 256; // the steps are the same for any number of workers
    order.epochs = EPOCHS;
    order.shuffle = HR_SHUFFLE_WINDOW;
    order.seed = 7;
    hr_status status = hr_session_feed(session, "train", &order, NULL, &feed, err);
    snprintf(line, sizeof line, "begins at row %lld of epoch %lld", m.rows, m.epochs);
    if (status == HR_OK)
        status = hr_session_line(session, line, err);
    while (status == HR_OK && (status = train(session, feed, &m, err)) == HR_END) {
        m.epochs++;
        if ((status = save(session, &m, err)) == HR_OK)
            status = hr_feed_next_epoch(feed, err);
    }
    snprintf(line, sizeof line, "trained on %lld rows in %lld epochs, fares %.2f", m.rows, m.epochs,
             m.fares);
    if (status == HR_END) // no further epoch
        status = hr_session_line(session, line, err);
    hr_feed_close(&feed);
    return status;
}

static void print_line(void *context, int64_t rank, const char *line)
{
    printf("worker %d %s\n", (int)rank, line);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int code = hr_worker_main(loop, NULL);
    if (code >= 0)
        return code;
    hr_trainer_options options = HR_TRAINER_OPTIONS_INIT;
    hr_trainer_result *result = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = NULL;
    hr_dataset *trips = NULL;
    char *last = NULL;
    hr_status status;
    if (argc < 3)
        return fprintf(stderr, "train_resume TABLE RUN\n"), 2;
    options.run_folder = argv[2];
    options.keep = 2;
    options.max_failures = 3; // a worker that dies: all go on from the last checkpoint
    options.on_line = print_line;
    if (hr_checkpoint_find(argv[2], &last, &err) == HR_OK)
        options.resume_from = last; // this whole program was killed before
    if ((status = hr_runtime_open(NULL, &rt, &err)) == HR_OK &&
        (status = hr_read_parquet(rt, argv[1], NULL, &trips, &err)) == HR_OK) {
        const hr_trainer_dataset datasets[] = {{"train", trips, true}};
        options.datasets = datasets;
        options.dataset_count = 1;
        status = hr_trainer_run(rt, &options, &result, &err);
    }
    if (status == HR_OK)
        printf("%d checkpoints, the last one %s\n", (int)result->checkpoints,
               result->last_checkpoint);
    else
        fprintf(stderr, "headrace: %s\n", err.message);
    hr_trainer_result_free(&result);
    hr_text_free(last);
    hr_dataset_unref(&trips);
    hr_runtime_close(&rt);
    return status == HR_OK ? 0 : 1;
}
