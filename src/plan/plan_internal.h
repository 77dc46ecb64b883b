// SPDX-License-Identifier: Apache-2.0
// What the files of this room share.
//
//   dataset   what the user holds: a node, and row-local steps chained on it (expr's normal form)
//   node      an origin of rows (files, blocks, ...) or an operation on datasets (limit, union, ...)
//   pipe      a dataset lowered: a tree of leaves (a branch each), concatenations, slices and permutations
//   branch    an origin and the stages that each of its rows goes through, in one task
//   unit      a fragment of an origin, or a part of its rows; tasks are cut from units
//   piece     what a task gave: rows of an object in the arena (or of a block), in order
//   run       a pipe running: the read flow, and where its pieces go
#ifndef HR_PLAN_PLAN_INTERNAL_H
#define HR_PLAN_PLAN_INTERNAL_H

#include "base/thread.h"
#include "base/vec.h"
#include "expr/expr.h"
#include "format/format.h"
#include "plan/plan.h"

#define HR_BRANCH_STAGES_MAX  64
#define HR_BRANCH_SAMPLES_MAX 8

// --- files.c: many files as one origin; footers are read when needed and given back when many are open ---
typedef struct hr_files hr_files;
// A row's number is its file's, shifted, and its own in the file (hr_read_options.row_numbers).
#define HR_ROW_NUMBER_FILE_SHIFT 40
HR_USE_RESULT hr_status hr__files_open(hr_runtime *runtime, const char *const *patterns,
                                       size_t count, const hr_open_options *options,
                                       const char *row_numbers, hr_files **out, hr_error *err);
hr_files *hr__files_ref(hr_files *files);
void hr__files_unref(hr_files **files);
size_t hr__files_count(const hr_files *files);
const hr_schema *hr__files_schema(const hr_files *files);
const char *hr__files_path(const hr_files *files, size_t index);
uint64_t
hr__files_digest(const hr_files *files); // of names and sizes, and of the first file's footer
// Adds all footers to a digest; opens them.
HR_USE_RESULT hr_status hr__files_add_footers(hr_files *files, uint64_t *h, hr_error *err);
// The reader of one file, kept open until released. INVALID: its schema differs from the first file's.
HR_USE_RESULT hr_status hr__files_acquire(hr_files *files, size_t index, hr_reader **out,
                                          hr_error *err);
void hr__files_release(hr_files *files, size_t index);
// Opens it on the io pool; when the footer alone is wanted, unless that was read before.
void hr__files_will_need(hr_files *files, size_t index, bool footer);
// Fragments of one file, known once it was opened; copied, so they stay when it is closed.
HR_USE_RESULT hr_status hr__files_fragments(hr_files *files, size_t index,
                                            const hr_fragment_info **out, int32_t *count_out,
                                            hr_error *err);
HR_USE_RESULT hr_status hr__files_open_all(hr_files *files,
                                           hr_error *err); // in parallel, on the io pool

// Rows of all files (-1: not all footers were read yet), and bytes read from storage so far.
void hr__files_figures(hr_files *files, int64_t *rows_out, int64_t *read_bytes_out);

// --- nodes ---
typedef enum hr_node_kind {
    HR_NODE_FILES,
    HR_NODE_READER,
    HR_NODE_BLOCKS,
    HR_NODE_SERIES, // origins
    HR_NODE_FUNCTION,
    HR_NODE_PROCESS,
    HR_NODE_LIMIT,
    HR_NODE_UNION,
    HR_NODE_REPARTITION,
    HR_NODE_SPLIT,
    HR_NODE_PERMUTE,
    HR_NODE_SHUFFLE,
    HR_NODE_SAMPLE,
    HR_NODE_SLICE,
} hr_node_kind;

typedef struct hr_kept { // a materialised dataset
    hr_series *series;
    int64_t *rows; // of each object
    int64_t *bytes;
    size_t count;
    int64_t total_rows, total_bytes;
} hr_kept;

typedef struct hr_node {
    _Atomic uint32_t refs;
    hr_node_kind kind;
    hr_runtime *runtime; // a reference
    hr_mutex mutex;
    hr_schema *schema;   // guards: mutex. NULL: not known yet (functions); once set it stays
    char *name;          // "read", "limit(10)", "f"
    char *source;        // "trips/*.parquet": origins
    hr_dataset **inputs; // references
    int32_t input_count;
    hr_dataset *
        kept_input; // guards: mutex. Repartition: its input, run once; NULL: not run, or there was no need
    hr_files *files;
    hr_reader *reader;                     // HR_NODE_READER: owned
    _Atomic int64_t rows_read, bytes_made; // origins: by all that read them, for display
    hr_block **blocks;                     // HR_NODE_BLOCKS: references
    int32_t block_count;
    hr_kept kept;
    hr_block_function function;
    void *function_context;
    void (*function_release)(void *context);
    hr_udf *udf;
    int64_t batch_rows; // functions
    int64_t number;     // limit: rows; repartition: blocks; split: parts
    int64_t index;      // split
    bool equal;         // split
    uint64_t seed;      // permute, shuffle, sample
    uint64_t below;     // sample: rows whose keys are below it; `equal`: other ones in each epoch
    uint64_t digest;    // processes: of the function; kept: of the plan that made it
} hr_node;

HR_USE_RESULT hr_status hr__node_make(hr_runtime *runtime, hr_node_kind kind, const char *name,
                                      const hr_schema *schema, const hr_dataset *const *inputs,
                                      int32_t input_count, hr_node **out, hr_error *err);
hr_node *hr__node_ref(hr_node *node);
void hr__node_unref(hr_node **node);
// A function's schema is found by running it on the first rows.
// Rows that an origin gave, and the bytes of their values.
void hr__node_count(hr_node *node, int64_t rows, int64_t bytes);
HR_USE_RESULT hr_status hr__node_schema(hr_node *node, const hr_schema **out, hr_error *err);

// --- stage_stats.c: what the guide prints ---
typedef struct hr_spread {
    double min, max, sum;
} hr_spread;
typedef struct hr_stage_stats {
    _Atomic uint32_t refs;
    hr_mutex mutex;
    char *name;          // "read->map"
    bool started, ended; // guards: mutex, as all below
    uint64_t start_ns, end_ns;
    int64_t tasks, units, units_expected; // units_expected -1: not known
    hr_spread wall_s, cpu_s, rows, bytes;
} hr_stage_stats;
HR_USE_RESULT hr_status hr__stage_stats_make(const char *name, hr_stage_stats **out, hr_error *err);
hr_stage_stats *hr__stage_stats_ref(hr_stage_stats *stats);
void hr__stage_stats_unref(hr_stage_stats **stats);
void hr__stage_stats_start(hr_stage_stats *stats, int64_t units_expected);
void hr__stage_stats_task(hr_stage_stats *stats, double wall_s, double cpu_s, int64_t rows,
                          int64_t bytes);
void hr__stage_stats_end(hr_stage_stats *stats);
void hr__stage_stats_print(hr_stage_stats *stats, int index, bool json, hr_text *out);

// --- datasets ---
struct hr_dataset {
    _Atomic uint32_t refs;
    hr_runtime *runtime;    // a reference
    hr_node *node;          // a reference
    hr_chain *chain;        // NULL: the node's rows as they are
    char *label;            // "read->map->filter"
    hr_stage_stats *stats;  // of the last run that began with it
    hr_stage_stats *before; // of the run that materialised its node; may be NULL
    // lower.c's: what was found of its pipe, so that a plan of many steps is not lowered anew for each. 0: not asked
    _Atomic uint8_t row_exact, has_function;
};
// Takes node.
HR_USE_RESULT hr_status hr__dataset_make(hr_runtime *runtime, hr_node *node, hr_chain *chain,
                                         const char *label, hr_dataset **out, hr_error *err);
// Which rows, in which order of fragments, with which values (digest.c).
HR_USE_RESULT hr_status hr__dataset_digest(const hr_dataset *dataset, uint64_t *out, hr_error *err);
uint64_t hr__function_digest(const char *const *argv, const void *payload, size_t bytes);
// Rows without running anything; *known false when only a run can tell.
HR_USE_RESULT hr_status hr__dataset_exact_rows(const hr_dataset *dataset, int64_t *rows_out,
                                               bool *known_out, hr_error *err);

// --- pipes (lower.c) ---
typedef enum hr_stage_kind { HR_STAGE_PROGRAM, HR_STAGE_FUNCTION, HR_STAGE_PROCESS } hr_stage_kind;
typedef struct hr_stage {
    hr_stage_kind kind;
    hr_program *program; // a reference
    hr_node *node;       // functions: a reference
} hr_stage;

typedef struct hr_sample { // rows that are kept: by their keys (row_keys.h)
    uint64_t seed, below;
    bool each_epoch; // other ones in each
} hr_sample;

typedef struct hr_pipe hr_pipe;
typedef struct hr_shuffler hr_shuffler;       // shuffle.h
typedef struct hr_epoch_cache hr_epoch_cache; // epoch_cache.h
typedef struct hr_branch {
    hr_node *origin;     // a reference; NULL: the rows of `inner`, cut
    hr_pipe *inner;      // owned
    int64_t inner_limit; // rows, or -1
    int64_t inner_blocks,
        inner_rows; // repartition: this many blocks of so many rows; 0: as they come
    bool shuffled;  // the inner rows come in a global order of (shuffle_seed, epoch)
    uint64_t shuffle_seed;
    // A reference: done to rows that are shuffled where they lie; NULL: nothing
    hr_program *shuffle_program;
    int64_t unit_rows;        // of a shuffle; 0: as align_rows and the rows' size say
    int64_t align_rows;       // of a shuffle that nothing is done to: what batches are cut from
    hr_busy *busy;            // accounts inner runs; borrowed; NULL: nobody does
    hr_schema *origin_schema; // what units hold: of the origin's rows, or the inner ones
    hr_stage stages[HR_BRANCH_STAGES_MAX];
    int32_t stage_count;
    // Of rows as they come in; the first stage is a program
    hr_sample samples[HR_BRANCH_SAMPLES_MAX];
    int32_t sample_count;
    uint64_t salt;         // tells this leaf from others of the plan
    hr_epoch_cache *cache; // of decoded pieces; NULL: none is kept
    int32_t *columns;      // origins with a reader: what is read, ascending
    int32_t column_count;
    int64_t function_rows;    // tasks are cut in multiples of it; 0: no function wants it
    int64_t made_row_bytes;   // what comes out takes at least so much a row; 0: a function tells
    bool row_exact;           // as many rows come out as go in
    bool has_function;        // of the user: tasks are cut from each unit's start
    hr_predicate_term *terms; // for pruning by statistics
    int32_t term_count;
} hr_branch;

typedef enum hr_pipe_kind {
    HR_PIPE_LEAF,
    HR_PIPE_CONCAT,
    HR_PIPE_SLICE,
    HR_PIPE_PERMUTE
} hr_pipe_kind;
struct hr_pipe {
    hr_pipe_kind kind;
    hr_branch *branch; // leaf
    hr_pipe **children;
    int32_t child_count;
    int64_t skip, rows; // slice by rows (rows -1: the rest), or by units
    bool by_units;
    uint64_t seed;       // permute
    hr_runtime *runtime; // borrowed; the root's
    hr_schema *schema;   // root: of what comes out
};
HR_USE_RESULT hr_status hr__pipe_lower(const hr_dataset *dataset, hr_pipe **out, hr_error *err);
void hr__pipe_free(hr_pipe **pipe);
bool hr__pipe_row_exact(const hr_pipe *pipe);
bool hr__pipe_has_function(const hr_pipe *pipe);
bool hr__pipe_has_calls(
    const hr_pipe *pipe); // functions that would be called otherwise in smaller tasks
bool hr__pipe_has_inner(const hr_pipe *pipe);         // some of its units are made by running
bool hr__pipe_is_resident(const hr_pipe *pipe);       // blocks in memory, to which nothing is done
void hr__pipe_set_busy(hr_pipe *pipe, hr_busy *busy); // who pays for inner runs

// --- units (units.c): what comes when, a function of (plan, epoch) ---
typedef struct hr_unit {
    hr_branch *branch;
    int64_t part;        // file, or 0
    int64_t fragment;    // row group, block or object
    int64_t first, rows; // of the fragment
    int64_t bytes;       // decoded estimate of these rows
    hr_object_id object; // inner runs: the rows themselves (a reference)
    int64_t row_index;   // inner runs: of the first row, in their order
    uint64_t epoch;
} hr_unit;
typedef struct hr_units hr_units;
// rewake is called when a unit that was HR_AGAIN may be there.
// What it makes on the way (inner runs) counts to the share.
HR_USE_RESULT hr_status hr__units_open(hr_pipe *pipe, hr_share *share, uint64_t epoch,
                                       void (*rewake)(void *), void *rewake_context, hr_units **out,
                                       hr_error *err);
HR_USE_RESULT hr_status hr__units_next(hr_units *units, hr_unit *out,
                                       hr_error *err); // HR_END, HR_AGAIN
void hr__units_close(hr_units **units);
// Of a row, as it is read or as it comes out: what tasks are cut by.
int64_t hr__unit_row_bytes(const hr_unit *unit);
// Before the first: about so many rows of the order are not wanted, and it can leave them out (shuffles do; the first
// unit's row_index tells how many). False: it cannot.
bool hr__units_pass(hr_units *units, int64_t rows);
// What comes is not read but passed over: more footers are opened at a time.
// The unit's name, where the pipe is files in their order; else -1.
int64_t hr__unit_name(const hr_pipe *pipe, const hr_unit *unit);
// Nothing was taken yet: begins with the unit of that name. INVALID: no such name.
HR_USE_RESULT hr_status hr__units_enter(hr_units *units, int64_t name, hr_error *err);
bool hr__unit_is_named(int64_t number);
void hr__units_set_passing(hr_units *units, bool passing);
// Bytes of a typical unit, from what is known without reading more; 0: nothing is.
int64_t hr__pipe_unit_bytes(const hr_pipe *pipe);
int64_t hr__pipe_unit_rows(const hr_pipe *pipe);
int64_t hr__pipe_row_bytes(const hr_pipe *pipe); // of a typical row, from the same
int64_t
hr__pipe_source_row_bytes(const hr_pipe *pipe); // the same of the sources: whatever is made of them
// Adds all footers of its files to a digest; opens them.
HR_USE_RESULT hr_status hr__pipe_add_footers(const hr_pipe *pipe, uint64_t *h, hr_error *err);
// How many there are; opens all footers.
HR_USE_RESULT hr_status hr__pipe_count_units(hr_pipe *pipe, int64_t *count_out, int64_t *bytes_out,
                                             hr_error *err);

// --- tasks (task.c): rows of a unit through the stages of its branch ---
// Parts of a task's rows that belong to rounds, one after the other: where each ends. A filter moves them.
typedef struct hr_marks {
    int64_t first_round, count;
    int64_t at[];
} hr_marks;
typedef enum hr_place { HR_PLACE_ARENA, HR_PLACE_SCRATCH, HR_PLACE_HEAP } hr_place;

// Hints under way on the io pool: they use the pipe, so a run waits for its own before it ends.
typedef struct hr_hints {
    hr_mutex mutex;
    hr_cond none;
    int32_t count; // guards: mutex
    bool stopping; // guards: mutex. What has not begun is not begun
} hr_hints;
void hr__hints_init(hr_hints *hints);
void hr__hints_finish(hr_hints *hints); // waits

typedef struct hr_unit_run { // a unit while tasks of it run
    _Atomic uint32_t refs;
    hr_unit unit;
    // The first row of its fragment that is wanted; set before anybody else has the run
    int64_t from;
    hr_runtime *runtime;
    hr_mutex mutex;
    hr_reader *reader;     // guards: mutex
    hr_fragment *fragment; // guards: mutex
    bool pruned;           // guards: mutex. No row of it can pass the predicate
    _Atomic bool narrow;   // memory was short: its columns are read one after the other
    _Atomic int32_t begun; // tasks that began to read it
    hr_hints *hints;       // set before a hint is submitted
} hr_unit_run;
HR_USE_RESULT hr_status hr__unit_run_make(hr_runtime *runtime, const hr_unit *unit,
                                          hr_unit_run **out, hr_error *err);
hr_unit_run *hr__unit_run_ref(hr_unit_run *run);
// Starts reading the unit's bytes, on the io pool; opens its fragment there.
void hr__unit_run_will_need(hr_unit_run *run, hr_hints *hints);
void hr__unit_run_unref(hr_unit_run **run);

typedef struct hr_task {
    hr_unit_run *unit;   // a reference
    int64_t first, rows; // in the unit's fragment
    hr_place place;
    hr_share *share; // borrowed: what the object counts to
    bool oldest;     // nothing before it is unfinished
    bool urgent;     // nothing goes on without it: it is read narrowly rather than not at all
    bool missed;     // it was looked for among what is kept (epoch_cache.c)
    hr_marks *marks; // owned; NULL: none. Of rows that go in, then of rows that came out
    // Nobody wants the result any more: looked at between calls of functions
    const _Atomic bool *stop;
    struct hr_read_state *read; // while it runs
    // kept while there is no room in the arena
    hr_block *pending;     // what functions made
    int32_t pending_stage; // how many stages it went through
    // the result: rows [out_first, + out_rows) of an object (arena), or a block
    hr_object_id object;
    hr_block *block;
    bool pinned; // the unit's own object is handed on: it stays in memory until it was given on
    int64_t out_first, out_rows, out_bytes;
    uint64_t wall_ns, cpu_ns;
} hr_task;
HR_USE_RESULT hr_status hr__task_run(hr_task *task, bool oldest,
                                     hr_error *err); // HR_AGAIN: no room; call again
// Drops the result, so that it can be run again. False: it cannot (a function is not called twice), or holds none.
bool hr__task_undo(hr_task *task);
// Drops what it holds; the result's references too, unless they were moved out
void hr__task_finish(hr_task *task);

// One call of a function's node, of either kind.
HR_USE_RESULT hr_status hr__function_call(hr_node *node, const hr_block *in, hr_block **out,
                                          hr_error *err);

// Applies a program to a block: into the arena (object_out) or as a new block in scratch or heap memory. HR_AGAIN as
// above.
typedef struct hr_row_sample { // rows of a unit that are looked at, and which of them are kept
    const hr_sample *samples;
    int32_t count;
    uint64_t epoch, unit;
    int64_t row; // the first one's number
} hr_row_sample;
// Of the rows that are named those that are kept, in place; returns how many.
int64_t hr__sample_rows(const hr_row_sample *sample, uint32_t *rows, int64_t count);
// What a task's rows, from row `first` of the unit's fragment on, are sampled by.
hr_row_sample hr__unit_sample(const hr_unit *unit, int64_t first);

typedef struct hr_target {
    hr_runtime *runtime;
    hr_place place;
    bool oldest;
    hr_share *share;             // borrowed
    hr_marks *marks;             // moved by what is filtered; NULL: none
    const hr_row_sample *sample; // which rows go in; NULL: all
} hr_target;
typedef struct hr_result {
    hr_object_id object;
    hr_block *block;
    int64_t rows, bytes;
} hr_result;
HR_USE_RESULT hr_status hr__program_apply(hr_program *program, const hr_block *block,
                                          const hr_target *target, hr_result *out, hr_error *err);
// The same on columns that need not be a block; those the program does not read may be zeroed.
typedef struct hr_rows {
    const hr_schema *schema;
    const hr_column *columns;
    int32_t column_count;
    int64_t rows;
} hr_rows;
HR_USE_RESULT hr_status hr__program_apply_rows(hr_program *program, const hr_rows *rows,
                                               const hr_target *target, hr_result *out,
                                               hr_error *err);
// Reads the task's rows and applies the branch's first program to them (read_task.c). Refused, it holds nothing.
HR_USE_RESULT hr_status hr__task_read(hr_task *task, const hr_target *target, hr_result *out,
                                      hr_error *err);
// Rows of blocks one after the other as one new span; indexes[i] NULL: rows [first, first + rows) of block i.
typedef struct hr_gather_piece {
    const hr_block *block;
    const uint32_t *indexes;
    int64_t rows;
} hr_gather_piece;
HR_USE_RESULT hr_status hr__gather(const hr_schema *schema, const hr_gather_piece *pieces,
                                   int32_t count, const hr_target *target, hr_result *out,
                                   hr_error *err);

// The same from anywhere.
HR_USE_RESULT hr_status hr__mix(const hr_schema *schema, const hr_mixture *of,
                                const hr_target *target, hr_result *out, hr_error *err);

// --- runs (read_flow.c): a pipe running, epoch after epoch ---
// A place in an epoch's order from which rows can be made: a unit and a row in it, or a round (lanes). Units of files
// that come in their order are named (hr__unit_name), so that files before them stay closed; others are counted.
typedef struct hr_place_in_order {
    int64_t unit, unit_row;
    int64_t order_row; // rows of the epoch before it
} hr_place_in_order;

typedef struct hr_piece {
    hr_object_id object; // arena: a reference that goes with the piece
    hr_block *block;     // otherwise: a reference
    int64_t first, rows;
    int64_t bytes;
    int64_t unit; // running number of the unit in its epoch
    hr_place_in_order start;
    uint32_t epoch;
    bool epoch_end; // no rows: the epoch is over
    // Lanes: all that follows. Such a piece may have no rows, and then no object.
    int32_t lane;
    int64_t rounds_ready; // rounds below it are complete with this piece
    hr_marks *marks;      // goes with the piece
} hr_piece;

typedef struct hr_piece_sink {
    // In order, one thread at a time. HR_OK takes the piece's reference; HR_AGAIN: no room; HR_END: nobody wants more.
    hr_status (*put)(void *self, hr_piece *piece, hr_error *err);
    void (*ended)(void *self, hr_status status, const hr_error *err);
    // Parallel, before put, when set: makes `state` from the block, which is dropped then (reductions).
    hr_status (*step)(void *self, const hr_block *block, void *state, hr_error *err);
    // Whether the sink lacks the next piece, so that it may take from the reserve; NULL: always.
    bool (*hungry)(void *self);
    // May be NULL. The next piece, which it lacks, has found no room for so long.
    void (*stuck)(void *self, uint64_t for_ns);
    size_t state_bytes;
    hr_status (*put_state)(void *self, void *state, hr_error *err);
    void *self;
} hr_piece_sink;

typedef struct hr_read_config {
    hr_pipe *pipe;   // borrowed
    hr_share *share; // borrowed; NULL: it opens one where it needs one
    hr_place place;
    uint64_t first_epoch;
    hr_place_in_order start; // in the first epoch
    // From there on rows that need not be read: passed over as far as counts are exact
    int64_t pass_rows;
    int64_t epochs; // -1: endless
    // Whether it may be begun; else hr__read_kick says that it may. NULL: always
    bool (*may_begin)(void *context, uint64_t epoch);
    void *may_begin_context;
    int64_t align_rows; // tasks end at multiples of it in the epoch where counts are exact; 0: no
    int64_t task_bytes; // aimed at; 0: a whole unit a task
    int64_t lanes,
        window_rows;        // pieces of lanes as rounds need them (lanes.h); 0: units in sequence
    int64_t task_bytes_max; // whole units larger than this are cut; 0: never
    uint32_t window_slots;
    uint64_t window_bytes;
    int level;
    hr_busy *busy;
    hr_crew *crew;         // may be NULL
    hr_stage_stats *stats; // may be NULL
} hr_read_config;

typedef struct hr_read_flow hr_read_flow;
HR_USE_RESULT hr_status hr__read_open(const hr_read_config *config, const hr_piece_sink *sink,
                                      hr_read_flow **out, hr_error *err);
void hr__read_kick(hr_read_flow *read); // the sink has room again
void hr__read_close(hr_read_flow **read);
bool hr__read_wait(hr_read_flow *read, uint64_t timeout_ns);

// --- batcher.c: pieces to batches ---
// Permuted at once, or one batch. Of narrow rows a whole round, since each group reads every line of it.
#define HR_GATHER_BYTES (4 << 20)
// Steps that follow each other from a row on. Rank r's batch of a step begins rows * r / ranks rows into it.
typedef struct hr_cut {
    int64_t row, step; // the first of them
    int64_t rows, ranks;
} hr_cut;
static inline int64_t hr__cut_part(const hr_cut *cut, int64_t rank)
{
    return cut->rows / cut->ranks * rank + cut->rows % cut->ranks * rank / cut->ranks;
}
static inline int64_t hr__cut_step_row(const hr_cut *cut, int64_t batch)
{
    return cut->row + (batch / cut->ranks - cut->step) * cut->rows;
}
static inline int64_t hr__cut_end(const hr_cut *cut, int64_t batch)
{
    return hr__cut_step_row(cut, batch) + hr__cut_part(cut, batch % cut->ranks + 1);
}
// Where batches begin in the first epoch: rows before `row` of the order were delivered, then `more_pieces` pieces.
typedef struct hr_batch_start {
    uint64_t epoch;
    int64_t row, more_pieces;
    int64_t batch; // number of the first one
    int64_t round; // lanes: pieces come from this one on
} hr_batch_start;
typedef struct hr_batch_config {
    hr_runtime *runtime;
    hr_share *share; // borrowed
    const hr_schema *schema;
    hr_cut cut;          // steps of `rows` rows for `ranks` ranks; no rows: pieces as they are
    hr_tail tail;        // of steps
    const int64_t *ends; // repartition: row numbers where batches end, ascending
    int64_t end_count;
    int64_t limit_rows; // -1: none
    bool permute;       // pieces are of lanes: rounds of them, permuted
    uint64_t seed;
    hr_batch_start start;
    int level;
    bool single; // batches are gathered one at a time
    uint32_t window_slots;
    uint64_t window_bytes;
    hr_busy *busy;
    hr_crew *crew;           // may be NULL
    _Atomic int64_t *blocks; // counts pieces that were read; may be NULL
} hr_batch_config;
typedef struct hr_out {  // one batch
    hr_object_id object; // a reference that goes with it
    int64_t first, rows, bytes;
    uint64_t row_index;
    int64_t batch;             // number in its epoch
    int64_t step_row, end_row; // of its step, in the epoch's order
    hr_place_in_order at;      // from where its step can be made again: not behind step_row
    uint32_t epoch;
    bool epoch_end;
} hr_out;
typedef struct hr_out_sink {
    hr_status (*put)(void *self, const hr_out *out, hr_error *err); // as hr_piece_sink.put
    bool (*wanted)(void *self, int64_t batch,
                   uint32_t epoch); // false: need not be laid out; may be NULL
    // May be NULL. What it needs to go on has found no room for so long.
    void (*stuck)(void *self, uint64_t for_ns);
    void (*ended)(void *self, hr_status status, const hr_error *err);
    void *self;
} hr_out_sink;
typedef struct hr_batcher hr_batcher;
// On failure *out is NULL, or what had begun: the caller closes it, holding no lock that its sink takes.
HR_USE_RESULT hr_status hr__batcher_open(const hr_read_config *read, const hr_batch_config *config,
                                         const hr_out_sink *sink, hr_batcher **out, hr_error *err);
void hr__batcher_kick(hr_batcher *batcher);      // the sink has room again
void hr__batcher_kick_read(hr_batcher *batcher); // an epoch may be begun
void hr__batcher_close(hr_batcher **batcher);
int64_t hr__batcher_dropped_rows(const hr_batcher *batcher);
int64_t hr__batcher_padded_rows(const hr_batcher *batcher);

// --- collect.c: the caller's thread takes blocks ---
typedef struct hr_collector hr_collector;
HR_USE_RESULT hr_status hr__collector_open(const hr_dataset *dataset, hr_place place,
                                           int64_t task_bytes, hr_collector **out, hr_error *err);
HR_USE_RESULT hr_status hr__collector_next(hr_collector *collector, hr_block **out,
                                           int64_t *unit_out, hr_error *err);
const hr_schema *hr__collector_schema(const hr_collector *collector);
void hr__collector_close(hr_collector **collector);

#endif
