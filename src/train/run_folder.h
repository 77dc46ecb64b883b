// SPDX-License-Identifier: Apache-2.0
// A run's folder as its trainer keeps it. The trainer's thread alone.
#ifndef HR_TRAIN_RUN_FOLDER_H
#define HR_TRAIN_RUN_FOLDER_H

#include "train/checkpoint.h"

typedef struct hr_kept_checkpoint {
    int64_t number;
    bool has_score;
    double score;
} hr_kept_checkpoint;

typedef struct hr_run_folder {
    char *path; // absolute; NULL: none was given
    int lock_fd;
    int64_t keep;
    const char *keep_metric; // borrowed from the trainer's options
    bool keep_smallest;
    HR_VEC(hr_kept_checkpoint) kept;
    int64_t next;       // the number of the next one
    int64_t last;       // committed by this trainer; -1: none yet
    int64_t begun_from; // what this life began from, when it stands in this folder; -1
    int64_t committed;
    uint64_t serial;
} hr_run_folder;

// Takes its lock, removes what a crash left, writes the preprocessor. Close it whatever this returns. INVALID:
// another trainer holds it.
HR_USE_RESULT hr_status hr__run_folder_open(const hr_trainer_options *options, hr_run_folder *out,
                                            hr_error *err);
void hr__run_folder_close(hr_run_folder *run);
void hr__run_folder_clean(hr_run_folder *run); // removes what is hidden: nobody may be filling it
// A folder to fill; its path is the caller's to free.
HR_USE_RESULT hr_status hr__run_folder_stage(hr_run_folder *run, char **out, hr_error *err);
// Makes a filled one the newest checkpoint.
HR_USE_RESULT hr_status hr__run_folder_commit(hr_run_folder *run, const char *from,
                                              const char *metrics, char **path_out, hr_error *err);
// Hides one that is no longer kept, for the caller to remove (and the path to free); NULL: all others are kept.
char *hr__run_folder_retire(hr_run_folder *run);
// The last one that this trainer committed; NULL: none yet.
HR_USE_RESULT hr_status hr__run_folder_last(const hr_run_folder *run, char **out, hr_error *err);

#endif
