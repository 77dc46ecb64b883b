// SPDX-License-Identifier: Apache-2.0
// A run's folder, the trainer's side: which checkpoints there are, and which one is next.
//
//   stage    a hidden folder for a worker to fill and make durable
//   commit   its renaming to checkpoint_N, made durable; then those that are no longer kept are renamed to hidden
//            names, and removed after that
//
// So whoever lists the folder, at whatever moment the machine stops, sees whole checkpoints alone. What stays hidden
// after a crash is removed by the next trainer that opens the folder, which holds its lock.
#include "train/run_folder.h"

#include "base/os.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOCK_NAME ".headrace.lock"

static const char staged[] = ".staged.", doomed[] = ".doomed.";

static hr_status path_of(const hr_run_folder *run, const char *name, char **out, hr_error *err)
{
    size_t room = strlen(run->path) + strlen(name) + 2;
    HR_TRY(hr__alloc(room, out, err));
    snprintf(*out, room, "%s/%s", run->path, name);
    return HR_OK;
}

// --- opening ---

static void note_kept(void *context, const char *name)
{
    hr_run_folder *run = context;
    hr_kept_checkpoint kept = {0};
    if (!hr__checkpoint_number(name, &kept.number))
        return;
    run->next = HR_MAX(run->next, kept.number + 1);
    if (HR_VEC_PUSH(&run->kept, kept, NULL) != HR_OK)
        return; // it is not noted, and so it stays
}

static void read_scores(hr_run_folder *run)
{
    for (size_t i = 0; run->keep_metric && i < run->kept.count; i++) {
        char name[HR_CHECKPOINT_NAME_BYTES], *path = NULL;
        hr_checkpoint read;
        hr_kept_checkpoint *kept = &run->kept.items[i];
        if (path_of(run, hr__checkpoint_name(kept->number, name), &path, NULL) == HR_OK &&
            hr__checkpoint_read(path, run->keep_metric, &read, NULL) == HR_OK) {
            kept->has_score = read.has_score;
            kept->score = read.score;
            hr__checkpoint_finish(&read);
        }
        hr__free(path);
    }
}

static void remove_hidden(void *context, const char *name)
{
    const hr_run_folder *run = context;
    char *path = NULL;
    if (strncmp(name, staged, sizeof staged - 1) != 0 &&
        strncmp(name, doomed, sizeof doomed - 1) != 0)
        return;
    if (path_of(run, name, &path, NULL) == HR_OK)
        hr__folder_remove(path);
    hr__free(path);
}

void hr__run_folder_clean(hr_run_folder *run)
{
    if (run->path && hr__folder_list(run->path, remove_hidden, run, NULL) != HR_OK)
        return; // nothing to see, nothing to remove
}

static hr_status lock_folder(hr_run_folder *run, hr_error *err)
{
    char *path = NULL;
    HR_TRY(path_of(run, LOCK_NAME, &path, err));
    hr_status status = hr__file_lock(path, &run->lock_fd, err);
    hr__free(path);
    if (status == HR_AGAIN)
        return HR_FAIL(err, HR_INVALID,
                       "the run folder '%s' is in use by another trainer: give each run its own",
                       run->path);
    return status;
}

static hr_status keep_preprocessor(hr_run_folder *run, const hr_trainer_options *o, hr_error *err)
{
    char *path = NULL, *beside = NULL;
    hr_status status;
    if (o->preprocessor_bytes == 0)
        return HR_OK;
    HR_GO(path_of(run, HR_CHECKPOINT_PREPROCESSOR, &path, err));
    HR_GO(path_of(run, ".staged.preprocessor", &beside, err));
    HR_GO(hr__file_write(beside, o->preprocessor, o->preprocessor_bytes, err));
    HR_GO(hr__rename(beside, path, err));
    HR_GO(hr__folder_sync(run->path, err));
out:
    hr__free(path);
    hr__free(beside);
    return status;
}

hr_status hr__run_folder_open(const hr_trainer_options *o, hr_run_folder *run, hr_error *err)
{
    *run = (hr_run_folder){.lock_fd = -1,
                           .keep = o->keep,
                           .keep_metric = o->keep_metric,
                           .keep_smallest = o->keep_smallest,
                           .last = -1,
                           .begun_from = -1};
    if (!o->run_folder)
        return HR_OK;
    HR_TRY(hr__folder_make(o->run_folder, err));
    HR_TRY(hr__path_real(o->run_folder, &run->path, err));
    HR_TRY(lock_folder(run, err));
    hr__run_folder_clean(run);
    HR_TRY(hr__folder_list(run->path, note_kept, run, err));
    read_scores(run);
    return keep_preprocessor(run, o, err);
}

void hr__run_folder_close(hr_run_folder *run)
{
    if (run->lock_fd >= 0)
        hr__run_folder_clean(run);
    hr__close_fd(&run->lock_fd);
    hr__free(run->path);
    HR_VEC_FINISH(&run->kept);
    run->path = NULL;
}

// --- staging and committing ---

hr_status hr__run_folder_stage(hr_run_folder *run, char **out, hr_error *err)
{
    char name[64], *path = NULL;
    if (!run->path)
        return HR_FAIL(err, HR_INVALID,
                       "a checkpoint was reported, and this trainer has no folder to keep it in: "
                       "give it one (run_folder)");
    snprintf(name, sizeof name, "%s%ld.%llu", staged, (long)getpid(),
             (unsigned long long)++run->serial);
    HR_TRY(path_of(run, name, &path, err));
    hr_status status = hr__folder_make(path, err);
    if (status == HR_OK)
        *out = path;
    else
        hr__free(path);
    return status;
}

hr_status hr__run_folder_commit(hr_run_folder *run, const char *from, const char *metrics,
                                char **path_out, hr_error *err)
{
    hr_kept_checkpoint kept = {.number = run->next};
    char name[HR_CHECKPOINT_NAME_BYTES], *path = NULL;
    hr_status status;
    kept.has_score = hr__metric_of(metrics, run->keep_metric, &kept.score);
    HR_GO(HR_VEC_RESERVE(&run->kept, 1, err));
    HR_GO(path_of(run, hr__checkpoint_name(kept.number, name), &path, err));
    HR_GO(hr__rename(from, path, err));
    run->next++;
    run->last = kept.number;
    run->committed++;
    run->kept.items[run->kept.count++] = kept;
    HR_GO(hr__folder_sync(run->path, err));
    *path_out = path;
    path = NULL;
out:
    hr__free(path);
    return status;
}

// Whether `a` is to go before `b`.
static bool is_worse(const hr_run_folder *run, const hr_kept_checkpoint *a,
                     const hr_kept_checkpoint *b)
{
    if (a->has_score != b->has_score)
        return b->has_score;
    if (a->has_score && a->score != b->score)
        return run->keep_smallest ? a->score > b->score : a->score < b->score;
    return a->number < b->number;
}

// The last one stays, and the one that this life began from: a slow worker may still be reading it.
static size_t worst_of(const hr_run_folder *run)
{
    size_t worst = SIZE_MAX;
    for (size_t i = 0; i < run->kept.count; i++) {
        const hr_kept_checkpoint *kept = &run->kept.items[i];
        if (kept->number == run->last || kept->number == run->begun_from)
            continue;
        if (worst == SIZE_MAX || is_worse(run, kept, &run->kept.items[worst]))
            worst = i;
    }
    return worst;
}

static size_t protected_count(const hr_run_folder *run)
{
    bool begun_is_kept = false;
    for (size_t i = 0; i < run->kept.count; i++)
        begun_is_kept |= run->kept.items[i].number == run->begun_from;
    return begun_is_kept && run->begun_from != run->last;
}

char *hr__run_folder_retire(hr_run_folder *run)
{
    char name[HR_CHECKPOINT_NAME_BYTES], hidden[64], *from = NULL, *to = NULL;
    size_t worst = worst_of(run);
    if (run->keep <= 0 || worst == SIZE_MAX ||
        run->kept.count <= (size_t)run->keep + protected_count(run))
        return NULL;
    int64_t number = run->kept.items[worst].number;
    snprintf(hidden, sizeof hidden, "%s%lld.%llu", doomed, (long long)number,
             (unsigned long long)++run->serial);
    run->kept.items[worst] = run->kept.items[--run->kept.count];
    bool moved = path_of(run, hr__checkpoint_name(number, name), &from, NULL) == HR_OK &&
                 path_of(run, hidden, &to, NULL) == HR_OK && hr__rename(from, to, NULL) == HR_OK;
    hr__free(from);
    if (!moved) {
        hr__free(to);
        to = NULL;
    }
    return to;
}

hr_status hr__run_folder_last(const hr_run_folder *run, char **out, hr_error *err)
{
    char name[HR_CHECKPOINT_NAME_BYTES];
    *out = NULL;
    if (run->last < 0)
        return HR_OK;
    return path_of(run, hr__checkpoint_name(run->last, name), out, err);
}
