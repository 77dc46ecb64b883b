// SPDX-License-Identifier: Apache-2.0
// A global order as a run of its own: what the inside of a shuffle shares.
//
//   source   gives the rows of one epoch as parts, sorted one by one, ascending: part after part is the order
//   part     rows named in a rowset; resident sources share one, streamed ones have one a part
//   shuffle  cuts the parts in units of unit_rows rows, gathers each into an object, in parallel, in order
//
// There are two sources, and both give the same order: shuffle_resident.c (blocks that lie in memory: an index of
// keys is sorted, rows stay where they are) and shuffle_exchange.c (anything else, of any size: rows are written by
// parts first).
#ifndef HR_PLAN_SHUFFLE_H
#define HR_PLAN_SHUFFLE_H

#include "plan/row_sort.h"
#include "plan/rows.h"

// Memory of an index: counted, never refused. It is held while others wait for room, so it must not wait for theirs;
// what is kept leaves for the disk instead.
HR_USE_RESULT hr_status hr__index_take(hr_runtime *runtime, size_t bytes, void *out, hr_error *err);
void hr__index_give(hr_runtime *runtime, void *memory); // NULL is fine

typedef struct hr_sorted_part {
    _Atomic uint32_t refs;
    hr_runtime *runtime; // borrowed
    hr_rowset *set;
    hr_table_row *rows; // of the index
    int64_t count;
} hr_sorted_part;
// Takes the set (also on failure). `rows` has room for count, the caller fills it.
HR_USE_RESULT hr_status hr__sorted_part_make(hr_runtime *runtime, hr_rowset *set, int64_t count,
                                             hr_sorted_part **out, hr_error *err);
void hr__sorted_part_unref(hr_sorted_part **part);

typedef struct hr_part_source hr_part_source;
typedef struct hr_part_source_ops {
    uint32_t parts_ahead; // sorted and not begun, at most
    bool one_by_one;      // no part is loaded before the one before it was given on
    // Asked before each part: there may be more meanwhile. HR_AGAIN: not known yet; the `sort` flow is kicked when
    // it is. *row_bytes_out: of a typical row.
    hr_status (*parts)(hr_part_source *source, uint32_t *count_out, int64_t *row_bytes_out,
                       hr_error *err);
    // Each part once, in order. HR_AGAIN: called again for it.
    hr_status (*load)(hr_part_source *source, uint32_t part, hr_sorted_part **out, hr_error *err);
    void (*stop)(hr_part_source *source); // no callback runs, none will
    void (*close)(hr_part_source *source);
} hr_part_source_ops;
struct hr_part_source {
    const hr_part_source_ops *ops;
};

typedef struct hr_shuffle_config {
    hr_pipe *inner;          // borrowed: the rows in plan order
    const hr_schema *schema; // of them; borrowed
    hr_program *program;     // what is done to each row afterwards; borrowed; NULL: nothing
    uint64_t seed, epoch;
    int64_t align_rows; // units are multiples of it where that makes none too large
    int64_t unit_rows;  // 0: found from the rows' size
    int64_t first_row;  // rows of the order that nobody wants: whole units of them are not made
    // Tests: streamed, in so many parts; 0: resident where it can be, parts by memory
    uint32_t partitions;
    hr_busy *busy;   // may be NULL
    hr_share *share; // borrowed: what is made counts to it; may be NULL
    void (*rewake)(void *context);
    void *rewake_context;
} hr_shuffle_config;

// HR_AGAIN: some of it is on disk after all.
HR_USE_RESULT hr_status hr__resident_open(const hr_shuffle_config *config, hr_flow *sort,
                                          hr_part_source **out, hr_error *err);
HR_USE_RESULT hr_status hr__exchange_open(const hr_shuffle_config *config, hr_flow *sort,
                                          hr_part_source **out, hr_error *err);
// Whether the rows lie in memory as they are, and their index is small beside them.
bool hr__resident_fits(const hr_shuffle_config *config);

HR_USE_RESULT hr_status hr__shuffle_open(const hr_shuffle_config *config, hr_shuffler **out,
                                         hr_error *err);
// The next unit: an object with a reference that goes with it. HR_AGAIN, HR_END.
HR_USE_RESULT hr_status hr__shuffle_next(hr_shuffler *shuffle, hr_unit *out, hr_error *err);
void hr__shuffle_close(hr_shuffler **shuffle);
// Rows a unit, of rows so large.
int64_t hr__shuffle_unit_rows(int64_t row_bytes, int64_t align_rows, uint64_t arena_bytes);

#endif
