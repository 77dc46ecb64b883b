// SPDX-License-Identifier: Apache-2.0
// What the two files of the exchange share: parts as series of the store, and dealing rows to them.
#ifndef HR_PLAN_SHUFFLE_EXCHANGE_H
#define HR_PLAN_SHUFFLE_EXCHANGE_H

#include "plan/shuffle.h"

typedef struct hr_exchange hr_exchange;

typedef struct hr_exchange_part {
    hr_series *series; // objects of the keyed schema, in plan order
    hr_series_cursor *cursor;
    int64_t bytes;
    uint64_t span; // the keys of a part are those of one value of (key x span) / 2^64
} hr_exchange_part;

typedef struct hr_deal_source { // rows to be dealt
    hr_object_id object;        // a reference that goes with it
    int64_t first, rows;
    uint64_t unit; // of the plan: what their keys are made of
    int64_t unit_row;
    bool keyed; // dealt before: the keys are in the last column
} hr_deal_source;

typedef struct hr_dealt hr_dealt; // a source, its rows' keys and their order by parts

// Rows of several sources dealt to parts: an object a part. Zeroed but for what is said; kept between calls.
typedef struct hr_deal {
    hr_exchange *exchange;
    hr_deal_source *sources; // owned
    size_t source_count;
    uint32_t part_count;
    uint64_t span; // of the part that all rows are of; 0: all keys
    hr_dealt *dealt;
    size_t dealt_count;
    hr_object_id *objects; // of each part; 0: no rows
    int64_t *bytes;
    uint32_t made, kept; // parts
    bool counted;
} hr_deal;
// Makes the objects. `oldest`: each is kept at once, so that it may leave for the disk. HR_AGAIN: call again.
HR_USE_RESULT hr_status hr__deal_run(hr_deal *deal, uint32_t first_part, bool oldest,
                                     hr_error *err);
// Gives objects that were made to their parts, from `first_part` of the exchange on.
HR_USE_RESULT hr_status hr__deal_keep(hr_deal *deal, uint32_t first_part, hr_error *err);
void hr__deal_finish(hr_deal *deal, hr_runtime *runtime);

struct hr_exchange {
    hr_part_source base;
    hr_shuffle_config config;
    hr_runtime *runtime;
    hr_schema *keyed; // the rows' columns and their keys
    hr_flow *sort, *deal;
    int64_t chunk_bytes;
    bool numbered_through; // keys by row of the epoch, not of the unit
    // the reader's
    int64_t unit, unit_row;
    hr_mutex mutex;
    hr_read_flow *read;            // guards: mutex
    HR_VEC(hr_deal_source) pieces; // guards: mutex. Read and not dealt
    int64_t pieces_bytes;          // guards: mutex
    bool put_blocked;              // guards: mutex
    bool read_over;                // guards: mutex
    hr_status read_status;         // guards: mutex
    bool dealt;                    // guards: mutex. Pass 1 is over
    hr_status status;              // guards: mutex. Why it never will be
    hr_error error;                // guards: mutex
    bool stopping;                 // guards: mutex
    _Atomic int32_t dealing;       // chunks taken and not given
    // the dealer's in pass 1, then the sorter's
    hr_exchange_part *parts;
    uint32_t part_count;
    size_t part_room;
    int64_t row_bytes;
    // the sorter's: the part that is being loaded
    HR_VEC(hr_block *) blocks;
    hr_deal again; // a part that is dealt again
    size_t again_at;
    uint32_t again_count;
};
// `count` parts more, before part `at`, each of the given span.
HR_USE_RESULT hr_status hr__exchange_insert_parts(hr_exchange *exchange, uint32_t at,
                                                  uint32_t count, uint64_t span, hr_error *err);

#endif
