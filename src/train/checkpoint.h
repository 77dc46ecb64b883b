// SPDX-License-Identifier: Apache-2.0
// Checkpoints on disk: names, and the file that we add to what the loop wrote.
//
//   RUN/checkpoint_000003/           what the loop wrote, and
//       headrace.json                who reported it when, its metrics, where its feeds stood
//       preprocessor.json            as the trainer was given it
//   RUN/preprocessor.json            the same; copied from here into each
//   RUN/.headrace.lock               held by the trainer whose run it is
//   RUN/.staged.*  RUN/.doomed.*     on the way in, and out: not there for readers
//
// headrace.json: {"headrace": "checkpoint", "version": 1, "rank": 0, "world_size": 2, "epoch": 1, "step": 70,
// "metrics": {...}, "positions": {"train": {...}}}. Metrics that are no JSON (NaN) are kept as text.
#ifndef HR_TRAIN_CHECKPOINT_H
#define HR_TRAIN_CHECKPOINT_H

#include "base/text.h"
#include "base/vec.h"
#include "train/train_wire.h"

#define HR_CHECKPOINT_FILE         "headrace.json"
#define HR_CHECKPOINT_PREPROCESSOR "preprocessor.json"
#define HR_CHECKPOINT_NAME_BYTES   32u

// Where the feed of a dataset stood.
typedef struct hr_named_position {
    char name[HR_WIRE_NAME_MAX + 1];
    hr_position position;
} hr_named_position;

typedef struct hr_checkpoint {
    int64_t number; // -1: its folder was given another name
    int64_t rank, world_size;
    HR_VEC(hr_named_position) positions;
    bool has_score;
    double score; // its metric of the name that was asked for
} hr_checkpoint;

// The text of headrace.json, of everything but the number and the score.
void hr__checkpoint_print(const hr_checkpoint *checkpoint, const char *metrics, hr_text *out);
// Reads a checkpoint's folder. NOT_FOUND: it has no headrace.json. CORRUPT, UNSUPPORTED: another one.
HR_USE_RESULT hr_status hr__checkpoint_read(const char *folder, const char *metric,
                                            hr_checkpoint *out, hr_error *err);
void hr__checkpoint_finish(hr_checkpoint *checkpoint);
const hr_position *hr__checkpoint_position(const hr_checkpoint *checkpoint, const char *dataset);
// A number in metrics; false: there is none of this name.
bool hr__metric_of(const char *metrics, const char *name, double *out);

const char *hr__checkpoint_name(int64_t number, char buffer[HR_CHECKPOINT_NAME_BYTES]);
bool hr__checkpoint_number(const char *name, int64_t *out);
// The folder itself when it is a checkpoint's, else the newest one in it. Absolute; hr__free it.
HR_USE_RESULT hr_status hr__checkpoint_find(const char *folder, char **out, hr_error *err);

#endif
