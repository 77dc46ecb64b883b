// SPDX-License-Identifier: Apache-2.0
// What the flow tests share: runtimes, sources, and a pass over a stream written down row by row. Public headers alone.
//
// Rows carry a column "id", by which each test knows what should have come; hr_batch_checksum covers the rest.
#ifndef HR_TESTS_FLOW_SUPPORT_H
#define HR_TESTS_FLOW_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <headrace/headrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB          ((int64_t)1 << 20)
#define COUNTOF(a)   (sizeof(a) / sizeof *(a))
#define WAIT_S       120.0 // longer than anything here takes: a standstill becomes a failure
#define EPOCHS_NOTED 8

#define ok(call)                                                                                   \
    do {                                                                                           \
        hr_status ok_status = (call);                                                              \
        if (ok_status != HR_OK)                                                                    \
            fail_msg("%s: %s: %s", #call, hr_status_name(ok_status), err.message);                 \
    } while (0)
#define fails(call, expected, words)                                                               \
    do {                                                                                           \
        hr_status fails_status = (call);                                                           \
        if (fails_status != (expected) || !strstr(err.message, (words)))                           \
            fail_msg("%s: %s: '%s', expected %s with '%s'", #call, hr_status_name(fails_status),   \
                     err.message, hr_status_name(expected), (words));                              \
    } while (0)

static inline hr_runtime *runtime_of(int64_t threads, int64_t memory_bytes)
{
    hr_runtime_options o = HR_RUNTIME_OPTIONS_INIT;
    hr_runtime *rt = NULL;
    hr_error err = HR_ERROR_INIT;
    o.threads = threads;
    o.memory_bytes = memory_bytes;
    ok(hr_runtime_open(&o, &rt, &err));
    return rt;
}

static inline double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static inline void stand_still(const char *waits_for)
{
    fprintf(stderr, "not within %.0f s: %s\n", WAIT_S, waits_for);
    abort(); // from any thread
}

// Waits for an event that another thread or process makes.
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        for (double until_s = seconds_now() + WAIT_S; !(condition); sleep_ms(1))                   \
            if (seconds_now() > until_s)                                                           \
                stand_still(#condition);                                                           \
    } while (0)

// Memory of this process that no file backs: the heap, not the arena.
static inline int64_t anonymous_bytes(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    int64_t kib = 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtoll(line + 8, NULL, 10);
    fclose(f);
    return kib * 1024;
}

// --- folders ---

static inline void make_folder(char path[64])
{
    snprintf(path, 64, "/tmp/headrace-flow-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline void file_of(const char *folder, int part, char path[96])
{
    snprintf(path, 96, "%.63s/part-%05d.parquet", folder, part);
}

static inline void remove_folder(const char *folder)
{
    char path[96];
    for (int i = 0; i < 400; i++) {
        file_of(folder, i, path);
        if (unlink(path) != 0)
            break;
    }
    rmdir(folder);
}

// Rows id, name, x (null now and then), v (a tensor of 3), in files of file_rows and row groups of group_rows.
static inline void write_rows(const char *folder, int64_t rows, int64_t file_rows,
                              int64_t group_rows)
{
    hr_runtime *rt = runtime_of(2, 128 * MIB);
    hr_dataset *ids = NULL, *wide = NULL, *packed = NULL;
    hr_write_options o = HR_WRITE_OPTIONS_INIT;
    hr_pack_options pack = HR_PACK_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    const char *names[] = {"a", "b", "c", NULL};
    o.file_rows = file_rows;
    o.row_group_rows = group_rows;
    ok(hr_range(rt, rows, 16, &ids, &err));
    ok(hr_dataset_map(ids, "x = id * 0.5; a = id % 7; b = id % 11; c = id % 13", &wide, &err));
    ok(hr_dataset_pack(wide, names, "v", &pack, &packed, &err));
    ok(hr_dataset_write_parquet(packed, folder, &o, &err));
    hr_dataset_unref(&packed);
    hr_dataset_unref(&wide);
    hr_dataset_unref(&ids);
    hr_runtime_close(&rt);
}

static inline hr_dataset *files_of(hr_runtime *rt, const char *folder)
{
    hr_dataset *d = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_read_parquet(rt, folder, NULL, &d, &err));
    return d;
}

static inline hr_dataset *filter_of(const hr_dataset *d, const char *predicate)
{
    hr_dataset *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_filter(d, predicate, &out, &err));
    return out;
}

// --- feeds ---

static inline hr_feed *feed_of(const hr_dataset *d, const hr_stream_options *o)
{
    hr_stream *s = NULL;
    hr_feed *feed = NULL;
    hr_feed_options wait = HR_FEED_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    wait.timeout_s = WAIT_S;
    ok(hr_dataset_stream(d, o, &s, &err));
    ok(hr_feed_open(&s, &wait, &feed, &err));
    return feed;
}

// --- a pass written down ---

typedef struct pass {
    int64_t *ids;
    int64_t count, room;
    int64_t epochs, epoch_at[EPOCHS_NOTED + 1]; // where each epoch begins in ids
    uint64_t sums[EPOCHS_NOTED];                // checksums of each epoch
    int64_t batches, rows_min, rows_max;
    int64_t first_row; // of the first batch
    hr_status status;  // of the last call: HR_END
    hr_error err;
} pass;

static inline void pass_finish(pass *p)
{
    free(p->ids);
    memset(p, 0, sizeof *p);
}

static inline void pass_note(pass *p, hr_batch *batch)
{
    hr_error err = HR_ERROR_INIT;
    const int64_t *ids = NULL;
    int64_t rows = hr_batch_rows(batch);
    if (hr_batch_i64(batch, "id", &ids, &err) != HR_OK) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    if (p->count + rows > p->room) {
        p->room = 2 * p->room + rows;
        p->ids = realloc(p->ids, (size_t)p->room * sizeof *p->ids);
    }
    memcpy(p->ids + p->count, ids, (size_t)rows * sizeof *ids);
    if (p->batches == 0)
        p->first_row = hr_batch_first_row(batch);
    p->count += rows;
    p->batches++;
    p->rows_min = p->rows_min && p->rows_min < rows ? p->rows_min : rows;
    p->rows_max = p->rows_max > rows ? p->rows_max : rows;
    if (p->epochs < EPOCHS_NOTED)
        p->sums[p->epochs] += hr_batch_checksum(batch);
}

// What is left of the feed, to the end of its last epoch or a failure.
static inline void pass_feed(pass *p, hr_feed *feed)
{
    hr_batch *batch = NULL;
    do {
        if (p->epochs <= EPOCHS_NOTED)
            p->epoch_at[p->epochs] = p->count;
        while ((p->status = hr_feed_next(feed, &batch, &p->err)) == HR_OK) {
            pass_note(p, batch);
            hr_batch_unref(&batch);
        }
        if (p->status != HR_END)
            return;
        p->epochs++;
        if (p->epochs <= EPOCHS_NOTED)
            p->epoch_at[p->epochs] = p->count;
        p->status = hr_feed_next_epoch(feed, &p->err);
    } while (p->status == HR_OK);
}

// A pass of one reader over the dataset.
static inline void pass_over(pass *p, const hr_dataset *dataset, const hr_stream_options *options)
{
    hr_stream *stream = NULL;
    hr_feed *feed = NULL;
    hr_feed_options wait = HR_FEED_OPTIONS_INIT;
    wait.timeout_s = WAIT_S;
    memset(p, 0, sizeof *p);
    p->status = hr_dataset_stream(dataset, options, &stream, &p->err);
    if (p->status != HR_OK)
        return;
    p->status = hr_feed_open(&stream, &wait, &feed, &p->err);
    if (p->status == HR_OK)
        pass_feed(p, feed);
    hr_feed_close(&feed);
}

static inline void assert_ended(const pass *p)
{
    if (p->status != HR_END)
        fail_msg("the pass ended as %s: %s", hr_status_name(p->status), p->err.message);
}

static inline void assert_ids(const pass *p, int64_t first, int64_t step, int64_t count)
{
    assert_ended(p);
    if (p->count != count)
        fail_msg("%lld rows, expected %lld", (long long)p->count, (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (p->ids[i] != first + i * step)
            fail_msg("row %lld has id %lld, expected %lld", (long long)i, (long long)p->ids[i],
                     (long long)(first + i * step));
}

// Each id of [0, rows) once in epoch `epoch`.
static inline void assert_each_once(const pass *p, int64_t epoch, int64_t rows)
{
    char *seen = calloc((size_t)rows, 1);
    assert_ended(p);
    assert_int_equal(p->epoch_at[epoch + 1] - p->epoch_at[epoch], rows);
    for (int64_t i = p->epoch_at[epoch]; i < p->epoch_at[epoch + 1]; i++) {
        assert_true(p->ids[i] >= 0 && p->ids[i] < rows);
        assert_int_equal(seen[p->ids[i]], 0);
        seen[p->ids[i]] = 1;
    }
    free(seen);
}

static inline bool is_same(const pass *a, const pass *b)
{
    assert_ended(a);
    assert_ended(b);
    return a->count == b->count && a->epochs == b->epochs &&
           memcmp(a->ids, b->ids, (size_t)a->count * sizeof *a->ids) == 0 &&
           memcmp(a->sums, b->sums, sizeof a->sums) == 0;
}

// --- a block of one int64 column ---

typedef struct owned_array {
    int64_t *values;
    const void *buffers[2], *no_buffer[1];
    struct ArrowArray column, *columns[1];
} owned_array;

static inline void owned_release_column(struct ArrowArray *array)
{
    array->release = NULL;
}

static inline void owned_release(struct ArrowArray *array)
{
    owned_array *o = array->private_data;
    if (o->column.release)
        o->column.release(&o->column);
    free(o->values);
    free(o);
    array->release = NULL;
}

static inline hr_status block_of_ids(const hr_schema *schema, const int64_t *ids, int64_t rows,
                                     hr_block **out, hr_error *err)
{
    owned_array *o = calloc(1, sizeof *o);
    o->values = malloc((size_t)(rows + 1) * sizeof *o->values);
    memcpy(o->values, ids, (size_t)rows * sizeof *ids);
    o->buffers[1] = o->values;
    o->column = (struct ArrowArray){
        .length = rows, .n_buffers = 2, .buffers = o->buffers, .release = owned_release_column};
    o->columns[0] = &o->column;
    struct ArrowArray array = {.length = rows,
                               .n_buffers = 1,
                               .buffers = o->no_buffer,
                               .n_children = 1,
                               .children = o->columns,
                               .release = owned_release,
                               .private_data = o};
    return hr_block_import(&array, schema, out, err);
}

static inline hr_schema *schema_of(const char *name, hr_type_id id)
{
    hr_type type = {.id = id};
    hr_field field = {name, &type, false};
    hr_schema *schema = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_schema_make(&field, 1, &schema, &err));
    return schema;
}

#endif
