// SPDX-License-Identifier: Apache-2.0
// Rows that are a thousand times larger than their source says, in small budgets: texts that a file holds once and
// repeats, and functions that make much of little. What one thread can do in a budget, several do too, and the rows and
// their order are the same.
#include "flow_support.h"

#define ROWS       24000
#define GROUP_ROWS 6000
#define TEXT_BYTES 4096
#define TEXTS      5

// --- rows of an id and a long text ---

typedef struct swollen {
    int64_t *ids;
    int32_t *offsets;
    char *text;
    const void *id_buffers[2], *text_buffers[3], *no_buffer[1];
    struct ArrowArray id, words, *columns[2];
} swollen;

static void release_column(struct ArrowArray *array)
{
    array->release = NULL;
}

static void release_swollen(struct ArrowArray *array)
{
    swollen *s = array->private_data;
    free(s->ids);
    free(s->offsets);
    free(s->text);
    free(s);
    array->release = NULL;
}

static hr_schema *swollen_schema(void)
{
    hr_type id = {.id = HR_TYPE_INT64}, text = {.id = HR_TYPE_STRING};
    hr_field fields[] = {{"id", &id, false}, {"text", &text, false}};
    hr_schema *schema = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_schema_make(fields, 2, &schema, &err));
    return schema;
}

// Short and long ones by turns: what was seen so far says nothing about what comes.
static int64_t text_bytes_of(int64_t id, int64_t mean)
{
    return id / 1500 % 2 ? 2 * mean - 16 : 16;
}

static hr_status swell(const int64_t *ids, int64_t rows, int64_t text_bytes,
                       const hr_schema *schema, hr_block **out, hr_error *err)
{
    swollen *s = calloc(1, sizeof *s);
    s->ids = malloc((size_t)(rows + 1) * sizeof *s->ids);
    s->offsets = malloc((size_t)(rows + 1) * sizeof *s->offsets);
    memcpy(s->ids, ids, (size_t)rows * sizeof *ids);
    int64_t bytes = 0;
    for (int64_t i = 0; i < rows; i++) {
        s->offsets[i] = (int32_t)bytes;
        bytes += text_bytes_of(ids[i], text_bytes);
    }
    s->offsets[rows] = (int32_t)bytes;
    s->text = malloc((size_t)bytes + 1);
    for (int64_t i = 0; i < rows; i++)
        memset(s->text + s->offsets[i], 'a' + (int)(ids[i] % TEXTS),
               (size_t)text_bytes_of(ids[i], text_bytes));
    s->id_buffers[1] = s->ids;
    s->text_buffers[1] = s->offsets;
    s->text_buffers[2] = s->text;
    s->id = (struct ArrowArray){
        .length = rows, .n_buffers = 2, .buffers = s->id_buffers, .release = release_column};
    s->words = (struct ArrowArray){
        .length = rows, .n_buffers = 3, .buffers = s->text_buffers, .release = release_column};
    s->columns[0] = &s->id;
    s->columns[1] = &s->words;
    struct ArrowArray array = {.length = rows,
                               .n_buffers = 1,
                               .buffers = s->no_buffer,
                               .n_children = 2,
                               .children = s->columns,
                               .release = release_swollen,
                               .private_data = s};
    return hr_block_import(&array, schema, out, err);
}

static char folder[64];

// --- functions ---

typedef struct user {
    hr_schema *schema;
} user;

static hr_status user_run(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    user *u = context;
    const hr_column *c = hr_block_column(in, 0);
    return swell((const int64_t *)c->data + c->offset, hr_block_rows(in), 400, u->schema, out, err);
}

static hr_dataset *function_of(const hr_dataset *d, user *u, int64_t batch_rows)
{
    hr_dataset *out = NULL;
    hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    o.name = "swell";
    o.batch_rows = batch_rows;
    o.schema = u->schema;
    ok(hr_dataset_map_blocks(d, user_run, u, &o, &out, &err));
    return out;
}

// --- runs ---

typedef enum kind { TEXT_FILE, FILTERED, FUNCTION, KINDS } kind;

typedef struct outcome {
    int64_t rows;
    uint64_t sum;
    hr_status status;
    hr_error err;
    double seconds;
} outcome;

// Streams at rest, which keep what they were promised.
static hr_feed *rest(hr_runtime *rt, uint64_t seed)
{
    hr_dataset *d = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_batch *batch = NULL;
    ok(hr_range(rt, 100000, 10, &d, &err));
    o.batch_rows = 1000;
    o.epochs = -1;
    o.seed = seed;
    hr_feed *feed = feed_of(d, &o);
    ok(hr_feed_next(feed, &batch, &err));
    hr_batch_unref(&batch);
    hr_dataset_unref(&d);
    return feed;
}

static outcome run(kind what, hr_shuffle shuffle, int64_t threads, int64_t mib, int64_t batch_rows,
                   int beside)
{
    hr_runtime *rt = runtime_of(threads, mib * MIB);
    hr_dataset *d = NULL, *made = NULL;
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_feed_options wait = HR_FEED_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_stream *stream = NULL;
    hr_feed *feed = NULL;
    hr_batch *batch = NULL;
    hr_feed *resting[4] = {0};
    user u = {swollen_schema()};
    outcome out = {.seconds = seconds_now()};
    if (what == FUNCTION) {
        ok(hr_range(rt, 10 * ROWS, 24, &d, &err));
        made = function_of(d, &u, 1000);
    } else {
        d = files_of(rt, folder);
        made = what == FILTERED ? filter_of(d, "id % 3 != 1") : hr_dataset_ref(d);
    }
    o.batch_rows = batch_rows;
    o.shuffle = shuffle;
    o.window_rows = 1000;
    o.seed = 5;
    wait.timeout_s = 30;
    for (int i = 0; i < beside; i++)
        resting[i] = rest(rt, (uint64_t)i);
    out.status = hr_dataset_stream(made, &o, &stream, &out.err);
    if (out.status == HR_OK)
        out.status = hr_feed_open(&stream, &wait, &feed, &out.err);
    while (out.status == HR_OK && (out.status = hr_feed_next(feed, &batch, &out.err)) == HR_OK) {
        out.rows += hr_batch_rows(batch);
        out.sum += hr_batch_checksum(batch);
        hr_batch_unref(&batch);
    }
    hr_feed_close(&feed);
    for (int i = 0; i < beside; i++)
        hr_feed_close(&resting[i]);
    hr_dataset_unref(&made);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
    hr_schema_unref(&u.schema);
    out.seconds = seconds_now() - out.seconds;
    return out;
}

static void check_budget(kind what, hr_shuffle shuffle, int64_t batch_rows, int64_t mib, int beside,
                         const outcome *all)
{
    bool fits = false;
    for (int64_t threads = 1; threads <= 4; threads += 3) {
        outcome one = run(what, shuffle, threads, mib, batch_rows, beside);
        if (one.status != HR_END && (fits || !beside || one.status != HR_LIMIT))
            fail_msg("kind %d, shuffle %d, batches of %d, %d MiB, %d beside, %d threads: %s after "
                     "%d rows: %s",
                     what, shuffle, (int)batch_rows, (int)mib, beside, (int)threads,
                     hr_status_name(one.status), (int)one.rows, one.err.message);
        if (one.status == HR_END) {
            assert_int_equal(one.rows, all->rows);
            assert_true(one.sum == all->sum);
            fits = true;
        }
    }
}

static void check(kind what, hr_shuffle shuffle, int64_t batch_rows)
{
    static const int64_t budgets[] = {32, 64};
    outcome all = run(what, shuffle, 2, 1024, batch_rows, 0);
    assert_int_equal(all.status, HR_END);
    for (size_t b = 0; b < COUNTOF(budgets); b++)
        for (int beside = 0; beside <= 2; beside += 2)
            check_budget(what, shuffle, batch_rows, budgets[b], beside, &all);
}

static void swell__texts_of_a_file(void **state)
{
    check(TEXT_FILE, HR_SHUFFLE_NONE, 256);
    check(TEXT_FILE, HR_SHUFFLE_NONE, 1000);
    check(TEXT_FILE, HR_SHUFFLE_WINDOW, 256);
}

static void swell__filtered_texts(void **state)
{
    check(FILTERED, HR_SHUFFLE_NONE, 256);
    check(FILTERED, HR_SHUFFLE_WINDOW, 256);
}

static void swell__what_functions_make(void **state)
{
    check(FUNCTION, HR_SHUFFLE_NONE, 256);
    check(FUNCTION, HR_SHUFFLE_WINDOW, 256);
}

static int write_texts(void **state)
{
    hr_runtime *rt = runtime_of(2, 1024 * MIB);
    hr_schema *schema = swollen_schema();
    hr_block *block = NULL;
    hr_dataset *d = NULL;
    hr_write_options o = HR_WRITE_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    int64_t *ids = malloc(ROWS * sizeof *ids);
    make_folder(folder);
    for (int64_t i = 0; i < ROWS; i++)
        ids[i] = i;
    ok(swell(ids, ROWS, TEXT_BYTES, schema, &block, &err));
    ok(hr_from_blocks(rt, &block, 1, schema, &d, &err));
    o.row_group_rows = GROUP_ROWS;
    ok(hr_dataset_write_parquet(d, folder, &o, &err));
    free(ids);
    hr_dataset_unref(&d);
    hr_block_unref(&block);
    hr_schema_unref(&schema);
    hr_runtime_close(&rt);
    return 0;
}

static int remove_texts(void **state)
{
    remove_folder(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(swell__texts_of_a_file),
        cmocka_unit_test(swell__filtered_texts),
        cmocka_unit_test(swell__what_functions_make),
    };
    return cmocka_run_group_tests_name("swell", tests, write_texts, remove_texts);
}
