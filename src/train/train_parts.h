// SPDX-License-Identifier: Apache-2.0
// Inside the room: a trainer, the lives of its workers, the streams they share.
//
//   service thread ──messages──▶ inbox ──▶ the caller's thread: opens streams, calls the user back, watches processes
//
// A trainer goes through lives: each starts all workers and ends when the last of them is over. What a life had (its
// workers, passes, messages) is gone before the next one begins.
//
// Everything but the inbox belongs to the caller's thread, so it has no locks; the service thread only copies what
// it got, and rings the runtime's bell.
#ifndef HR_TRAIN_TRAIN_PARTS_H
#define HR_TRAIN_TRAIN_PARTS_H

#include "base/option.h"
#include "base/thread.h"
#include "base/vec.h"
#include "exec/exec.h"
#include "plan/plan.h"
#include "store/store.h"
#include "train/report_ring.h"
#include "train/run_folder.h"
#include "train/train_wire.h"
#include <headrace/train.h>
#include <sys/types.h>

extern const hr_option_table hr__trainer_options, hr__check_options;

typedef struct hr_trainer_message {
    struct hr_trainer_message *next;
    struct hr_worker *worker;
    uint32_t type; // 0: the connection is gone
    size_t bytes;
    uint8_t data[];
} hr_trainer_message;

typedef struct hr_worker {
    hr_peer_owner owner; // first: the service's tag
    hr_trainer *trainer;
    int64_t rank;
    pid_t pid; // 0: not started, or reaped
    hr_peer *peer;
    hr_report_ring *ring;
    bool peer_gone, reaped, ended, finished, idle, cancelled;
    int exit_code;
    int64_t memory_kills; // processes that the kernel killed for want of memory while it lived
    uint64_t reaped_ns, finished_ns, ended_ns;
    hr_status status; // of its FINISH
    char *message;
    uint8_t *details;
    size_t details_bytes;
    uint64_t active_ns, active_mark; // when it last did something, and what we saw then
    uint64_t messages;
    int64_t batches, rows, undelivered_rows; // undelivered: -1 not known
    // By dataset: its first request was made, which goes on at the checkpoint's position
    bool *restored;
    char *staged, *staged_metrics; // the folder that it fills; NULL: none
    int64_t left_rows; // of passes whose channel went before we knew why: undelivered if it died
    // Its request for a feed that finds no room until others leave theirs; NULL: none
    hr_trainer_message *waiting;
    uint64_t waiting_tries, waiting_mark, waiting_ns; // passes closed, what others took, since when
} hr_worker;

// What was asked for, so that equal requests are known: a dataset, options, and a position of the asker's.
typedef struct hr_pass_key {
    const hr_trainer_dataset *dataset;
    hr_stream_options options; // as asked; its position points to nothing
    bool has_position;
    hr_position position;
} hr_pass_key;

// One pass over a dataset that ranks share: the n-th request of each rank with equal keys.
typedef struct hr_shared_pass {
    struct hr_shared_pass *next;
    hr_pass_key key;
    int64_t number;    // n
    bool restored;     // begins at the position of the life's checkpoint
    int64_t only_rank; // it serves this one alone; -1: all
    hr_stream *stream;
    uint64_t memory_ns; // its waits for room, when something moved last (stall.c)
    int64_t first_epoch;
    // Borrowed from the key or the checkpoint; NULL: at the start of first_epoch
    const hr_position *begins;
    uint32_t *asked; // by rank: the number of its request; 0: none yet
    bool *left;      // by rank
} hr_shared_pass;

// How often each rank asked with some key: outlives the passes.
typedef struct hr_pass_count {
    struct hr_pass_count *next;
    hr_pass_key key;
    int64_t *requests; // by rank
} hr_pass_count;

struct hr_trainer {
    hr_runtime *runtime; // referenced
    hr_service *service;
    hr_trainer_options options; // copies of its own (trainer_options.c)
    hr_slots_claim *slots;
    hr_crew *crew; // the ingest threads that it reserved; NULL: none
    hr_worker *workers;
    int64_t worker_count;
    int payload_fd;
    hr_memory_sampler *sampler;
    hr_shared_pass *passes;
    hr_pass_count *counts;
    uint64_t pass_serial, passes_closed;
    hr_stream_stats stats; // of passes that ended
    uint64_t started_ns, ticked_ns;

    int64_t life_count;              // over
    HR_VEC(hr_trainer_life *) lives; // those that are over, as far as memory sufficed to note them
    uint64_t life_started_ns;
    uint64_t memory_kills; // of the system, when it started
    hr_run_folder run;
    char *checkpoint;       // folder that this life begins from; NULL: none
    hr_checkpoint restored; // what it holds

    uint64_t moved_ns, moved_mark; // when something moved last, and what we saw then
    bool stall_told;
    int64_t stalls;

    _Atomic bool cancel_asked;
    _Atomic bool waited_for; // a call is inside, perhaps in a callback
    bool ended;
    hr_status status; // what went wrong outside of the workers; when it ended: what the run came to
    hr_error error;
    hr_trainer_result *result; // once it ended; NULL: no memory for it

    hr_mutex mutex; // guards: inbox, inbox_last, inbox_bytes, lines_dropped
    hr_trainer_message *inbox, **inbox_last;
    size_t inbox_bytes;
    uint64_t lines_dropped;
};

// trainer_options.c
HR_USE_RESULT hr_status hr__trainer_options_copy(const hr_trainer_options *from,
                                                 hr_trainer_options *to, hr_error *err);
void hr__trainer_options_free(hr_trainer_options *options);
HR_USE_RESULT hr_status hr__trainer_slots(hr_trainer *trainer, hr_error *err); // takes them

// life.c
HR_USE_RESULT hr_status hr__life_start(hr_trainer *trainer, hr_error *err);
int64_t hr__life_watch(hr_trainer *trainer, uint64_t now_ns); // how many are still at work
void hr__life_cancel(hr_trainer *trainer);                    // kills who is still at work
void hr__life_stop(hr_trainer *trainer);                      // nothing of it is left
// Who ended it, when it did not come to its end by itself; NULL: nobody. Deaths count where the options say so.
const hr_worker *hr__life_culprit(const hr_trainer *trainer);
bool hr__deaths_count(const hr_trainer *trainer);
bool hr__worker_failed(const hr_worker *worker);
bool hr__worker_died(const hr_worker *worker);

// stall.c: says who waits for whom, once nothing has moved for long
void hr__stall_watch(hr_trainer *trainer, uint64_t now_ns);

// trainer_result.c
hr_worker_end hr__worker_end_of(const hr_worker *worker);
// Notes the life that is over, ended by `culprit` (NULL: by itself).
// Counts and notes the life that is over. Returns why, borrowed from the note; NULL: no reason, or no memory.
const char *hr__life_note(hr_trainer *trainer, const hr_worker *culprit);
void hr__lives_free(hr_trainer_life **lives, int64_t count);
// What the run came to, when nothing went wrong outside of the workers.
hr_status hr__trainer_judge(hr_trainer *trainer, hr_error *err);
void hr__trainer_sum_up(hr_trainer *trainer); // sets the result

// workers.c
HR_USE_RESULT hr_status hr__worker_start(hr_trainer *trainer, hr_worker *worker, hr_error *err);
// Looks whether it ended; true when it is over with it, and what it left has been taken.
bool hr__worker_watch(hr_worker *worker, uint64_t now_ns);
void hr__worker_kill(hr_worker *worker);
void hr__worker_finish(hr_worker *worker); // kills, reaps, frees

// passes.c
// options->position: the worker's own wish; NULL: none. LIMIT: no room; hr__pass_may_wait tells whether there may be.
HR_USE_RESULT hr_status hr__pass_request(hr_trainer *trainer, hr_worker *worker, uint32_t request,
                                         const char *dataset, const hr_stream_options *options,
                                         hr_shared_pass **out, hr_error *err);
// Whether others still read passes that this worker has left: their room comes back. Not for ever: they must get on.
bool hr__pass_may_wait(hr_trainer *trainer, hr_worker *worker);
void hr__pass_leave(hr_trainer *trainer, hr_worker *worker, uint32_t request); // its feed is closed
hr_channel *hr__pass_channel(const hr_shared_pass *pass, int64_t rank); // NULL: not of this pass
// What the worker has taken so far, as a number that grows; *waiting_out: it waits for us.
uint64_t hr__passes_progress(hr_trainer *trainer, const hr_worker *worker, bool *waiting_out);
// The worker is gone (`died`: before its end): what it was given is counted, its ranks are given up.
void hr__passes_leave(hr_trainer *trainer, hr_worker *worker, bool died);
int64_t hr__passes_rows(const hr_trainer *trainer); // that the workers of this life took so far
void hr__passes_retire(hr_trainer *trainer);        // closes those that nobody will read any more
void hr__passes_close(hr_trainer *trainer);

// commits.c: what workers say of checkpoints
HR_USE_RESULT hr_status hr__commit_stage(hr_trainer *trainer, hr_worker *worker, hr_cursor *c,
                                         hr_error *err);
void hr__commit_take(hr_trainer *trainer, hr_worker *worker, hr_cursor *c);

// inbox.c
void hr__worker_answer(hr_worker *worker, uint32_t type, uint32_t request, hr_status status,
                       const char *text);
HR_USE_RESULT hr_status hr__call_report(hr_trainer *trainer, int64_t rank, const char *json,
                                        hr_error *err);
extern void (*const hr__inbox_message)(hr_peer_owner *owner, hr_peer *peer, uint32_t type,
                                       const void *bytes, size_t count);
extern void (*const hr__inbox_gone)(hr_peer_owner *owner, hr_peer *peer);
// Handles what came; does not wait.
HR_USE_RESULT hr_status hr__inbox_drain(hr_trainer *trainer, hr_error *err);
void hr__inbox_retry(hr_trainer *trainer); // requests that wait for room
void hr__inbox_free(hr_trainer *trainer);

#endif
