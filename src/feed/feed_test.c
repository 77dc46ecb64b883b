// SPDX-License-Identifier: Apache-2.0
// Feeds over a channel in one process: order, epochs, kept batches, tensors, checksums. The rows hold columns of every
// shape.
#include "base/os.h"
#include "base/unit.h"
#include "block/block_sample.h"
#include "feed/feed.h"
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS 700
#define MIB  ((size_t)1 << 20)

typedef struct test_store {
    hr_ledger ledger;
    hr_store *store;
} test_store;

static void nobody_waits(void *context) {}

static void test_store_open(test_store *t, uint64_t arena_bytes, uint64_t ledger_bytes)
{
    hr_error err = HR_ERROR_INIT;
    hr__ledger_init(&t->ledger, ledger_bytes);
    hr_store_config config = {&t->ledger, arena_bytes, NULL, false, nobody_waits, NULL};
    assert_ok(hr__store_open(&config, &t->store, &err), &err);
}

static void test_store_close(test_store *t)
{
    hr__store_close(&t->store);
    assert_int_equal(t->ledger.used_bytes, 0);
}

typedef struct rig {
    test_store store;
    hr_block *block;
    hr_channel *channel;
    hr_feed *feed;
    uint64_t step, row_index;
    int closed, released;
} rig;

static void count_closed(void *arg)
{
    ((rig *)arg)->closed++;
}

static void count_released(void *arg)
{
    ((rig *)arg)->released++;
}

static void rig_open(rig *r, uint64_t lease_bytes_max)
{
    hr_error err = HR_ERROR_INIT;
    hr_port *port = NULL;
    memset(r, 0, sizeof *r);
    test_store_open(&r->store, 64 * MIB, 128 * MIB);
    assert_ok(sample_block(ROWS, 7, &r->block, &err), &err);
    assert_ok(hr__channel_open(r->store.store, hr_block_schema(r->block), 256, lease_bytes_max,
                               &r->channel, &err),
              &err);
    assert_ok(hr__port_open_local(r->channel, &port, &err), &err);
    hr_feed_origin origin = {.start = {.seed = 7, .plan_hash = 99},
                             .closed = count_closed,
                             .released = count_released,
                             .arg = r};
    assert_ok(hr__feed_open_port(port, &origin, NULL, &r->feed, &err), &err);
}

static void rig_close(rig *r)
{
    hr_feed_close(&r->feed);
    assert_int_equal(r->closed, 1);
    assert_int_equal(r->released, 1);
    hr__channel_close(&r->channel);
    hr_block_unref(&r->block);
    test_store_close(&r->store);
}

static hr_object_id put_block(rig *r, const hr_block *block)
{
    hr_error err = HR_ERROR_INIT;
    hr_object object;
    assert_ok(hr__store_create(r->store.store, block->span_bytes, false, &object, &err), &err);
    memcpy(object.memory, block->span, block->span_bytes);
    hr__store_seal(r->store.store, object.id, block->span_bytes);
    return object.id;
}

static void push_rows(rig *r, hr_object_id id, uint32_t epoch, int64_t first, int64_t rows)
{
    hr_error err = HR_ERROR_INIT;
    hr_descriptor d = {.kind = HR_DESCRIPTOR_BATCH,
                       .epoch = epoch,
                       .step = r->step++,
                       .object = id,
                       .first_row = first,
                       .rows = rows,
                       .row_index = r->row_index,
                       .step_row = (int64_t)r->row_index,
                       .end_row = (int64_t)r->row_index + rows};
    r->row_index += (uint64_t)rows;
    assert_ok(hr__channel_push(r->channel, &d, &err), &err);
}

static void push_end(rig *r, uint32_t epoch)
{
    hr_descriptor d = {.kind = HR_DESCRIPTOR_EPOCH_END, .epoch = epoch, .row_index = r->row_index};
    assert_int_equal(hr__channel_push(r->channel, &d, NULL), HR_OK);
    r->step = r->row_index = 0;
}

// An epoch of the sample's rows cut in batches of `batch` rows, all views of one object.
static void push_epoch(rig *r, const hr_block *block, uint32_t epoch, int64_t batch)
{
    hr_object_id id = put_block(r, block);
    for (int64_t at = 0; at < ROWS; at += batch) {
        hr__store_ref(r->store.store, id);
        push_rows(r, id, epoch, at, HR_MIN(batch, ROWS - at));
    }
    hr__store_unref(r->store.store, id);
    push_end(r, epoch);
}

static void feed__gives_an_epochs_rows_and_then_end(void **unused)
{
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    int64_t row = 0;
    rig_open(&r, 64 * MIB);
    push_epoch(&r, r.block, 0, 64);
    push_epoch(&r, r.block, 1, ROWS);
    hr__channel_finish(r.channel, HR_END, NULL);
    while (hr_feed_next(r.feed, &batch, &err) == HR_OK) {
        hr_block *block = NULL;
        assert_int_equal(hr_batch_first_row(batch), row);
        assert_ok(hr_batch_block(batch, &block, &err), &err);
        for (int64_t i = 0; i < hr_block_rows(block); i += 17)
            assert_true(sample_rows_equal(block, i, r.block, row + i));
        row += hr_batch_rows(batch);
        hr_batch_unref(&batch);
        hr_block_unref(&block);
    }
    assert_int_equal(row, ROWS);
    assert_int_equal(hr_feed_next(r.feed, &batch, &err), HR_END);
    hr_position at;
    hr_feed_position(r.feed, &at);
    assert_int_equal(at.epoch, 1); // its end was seen
    assert_int_equal(at.step, 0);
    assert_int_equal(at.row, 0);
    assert_int_equal(at.plan_hash, 99);
    assert_ok(hr_feed_next_epoch(r.feed, &err), &err);
    assert_ok(hr_feed_next(r.feed, &batch, &err), &err);
    assert_int_equal(hr_batch_epoch(batch), 1);
    assert_int_equal(hr_batch_rows(batch), ROWS);
    hr_batch_unref(&batch);
    assert_int_equal(hr_feed_next_epoch(r.feed, &err), HR_END);
    hr_feed_stats stats;
    hr_feed_get_stats(r.feed, &stats, sizeof stats);
    assert_int_equal(stats.epochs, 2);
    assert_int_equal(stats.rows, 2 * ROWS);
    assert_int_equal(stats.batches, (ROWS + 63) / 64 + 1);
    rig_close(&r);
}

static void feed__passes_over_the_rest_of_an_epoch(void **unused)
{
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    rig_open(&r, 64 * MIB);
    push_epoch(&r, r.block, 0, 10);
    push_epoch(&r, r.block, 1, 100);
    assert_ok(hr_feed_next(r.feed, &batch, &err), &err);
    hr_batch_unref(&batch);
    assert_ok(hr_feed_next_epoch(r.feed, &err), &err);
    assert_ok(hr_feed_next(r.feed, &batch, &err), &err);
    assert_int_equal(hr_batch_epoch(batch), 1);
    assert_int_equal(hr_batch_step(batch), 0);
    hr_batch_unref(&batch);
    hr_feed_close(&r.feed); // half read
    rig_close(&r);
}

static uint64_t sum_of(rig *r, int64_t *copied_out)
{
    hr_error err = HR_ERROR_INIT;
    hr_batch *kept[256], *batch = NULL;
    size_t count = 0;
    uint64_t sum = 0;
    while (hr_feed_next(r->feed, &batch, &err) == HR_OK)
        kept[count++] = batch;
    for (size_t i = 0; i < count; i++) { // a batch that was kept still holds its own rows
        sum += hr_batch_checksum(kept[i]);
        hr_batch_unref(&kept[i]);
    }
    hr_feed_stats stats;
    hr_feed_get_stats(r->feed, &stats, sizeof stats);
    *copied_out = stats.copied_batches;
    return sum;
}

static uint64_t checksum_with(int64_t batch_rows, uint64_t lease_bytes_max, int64_t *copied_out)
{
    rig r;
    rig_open(&r, lease_bytes_max);
    push_epoch(&r, r.block, 0, batch_rows);
    uint64_t sum = sum_of(&r, copied_out);
    rig_close(&r);
    return sum;
}

static void checksum__is_the_same_for_any_cut_and_any_memory(void **unused)
{
    static const int64_t cuts[] = {ROWS, 1 << 20, 512, 513, 64, 7, 3};
    int64_t copied;
    uint64_t expected = checksum_with(ROWS, 64 * MIB, &copied);
    assert_int_equal(copied, 0);
    for (size_t i = 0; i < HR_COUNTOF(cuts); i++) {
        int64_t cut = HR_MIN(cuts[i], (int64_t)ROWS);
        assert_int_equal(checksum_with(cut, 64 * MIB, &copied), expected);
        assert_int_equal(checksum_with(cut, 1, &copied), expected);
        assert_true(copied > 0);
    }
}

// The bytes of every null of the fixed-width columns are overwritten.
static void soil_nulls(hr_block *block)
{
    for (int32_t c = 0; c < hr_schema_count(hr_block_schema(block)); c++) {
        const hr_column *column = hr_block_column(block, c);
        int64_t width = hr_type_row_bytes(column->type);
        for (int64_t row = 0; width > 0 && row < hr_block_rows(block); row++)
            if (!hr__column_is_valid(column, row))
                memset((uint8_t *)(uintptr_t)column->data + row * width, 0x55, (size_t)width);
    }
}

static void checksum__ignores_bytes_under_nulls_and_notices_a_value(void **unused)
{
    int64_t copied;
    uint64_t expected = checksum_with(ROWS, 64 * MIB, &copied);
    rig r;
    rig_open(&r, 64 * MIB);
    soil_nulls(r.block);
    push_epoch(&r, r.block, 0, 100);
    push_epoch(&r, r.block, 1, 100);
    assert_int_equal(sum_of(&r, &copied), expected);
    assert_int_equal(hr_feed_next_epoch(r.feed, NULL), HR_OK);
    ((int32_t *)(uintptr_t)hr_block_column(r.block, 0)->data)[400] ^= 1;
    push_epoch(&r, r.block, 2, 100);
    (void)sum_of(&r, &copied);
    assert_int_equal(hr_feed_next_epoch(r.feed, NULL), HR_OK);
    assert_int_not_equal(sum_of(&r, &copied), expected);
    rig_close(&r);
}

static void feed__stays_alive_in_batches_and_blocks_that_are_kept(void **unused)
{
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    hr_block *block = NULL;
    rig_open(&r, 64 * MIB);
    push_epoch(&r, r.block, 0, 100);
    assert_ok(hr_feed_next(r.feed, &batch, &err), &err);
    assert_ok(hr_batch_block(batch, &block, &err), &err);
    hr_feed_close(&r.feed);
    hr_batch_unref(&batch);
    assert_int_equal(r.closed, 1);
    assert_int_equal(r.released, 0);
    assert_true(sample_rows_equal(block, 99, r.block, 99));
    hr_block_unref(&block);
    assert_int_equal(r.released, 1);
    rig_close(&r);
}

static void feed__refuses_a_forked_child(void **unused)
{
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    rig_open(&r, 64 * MIB);
    push_epoch(&r, r.block, 0, 100);
    assert_ok(hr_feed_next(r.feed, &batch, &err), &err);
    pid_t child = fork();
    if (child == 0) {
        hr_batch *other = NULL;
        hr_tensor tensor;
        bool refused = hr_feed_next(r.feed, &other, NULL) == HR_DENIED &&
                       hr_batch_tensor(batch, 0, HR_TENSOR_READ, HR_NULLS_ERROR, 0, &tensor,
                                       NULL) == HR_DENIED;
        hr_batch_unref(&batch);
        hr_feed_close(&r.feed);
        _exit(refused ? 0 : 1);
    }
    int code = -1;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    assert_int_equal(hr_batch_rows(batch), 100);
    hr_batch_unref(&batch);
    rig_close(&r);
}

// --- tensors ---

static hr_batch *one_batch(rig *r, uint64_t lease_bytes_max)
{
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    rig_open(r, lease_bytes_max);
    hr_object_id id = put_block(r, r->block);
    push_rows(r, id, 0, 5, 301);
    assert_ok(hr_feed_next(r->feed, &batch, &err), &err);
    return batch;
}

static int32_t column_of(const rig *r, const char *name)
{
    return hr_schema_find(hr_block_schema(r->block), name);
}

static void tensor__is_the_blocks_memory_when_it_can_be(void **unused)
{
    rig r;
    hr_tensor t;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = one_batch(&r, 64 * MIB);
    const hr_column *column = NULL;
    assert_ok(
        hr_batch_tensor(batch, column_of(&r, "i32"), HR_TENSOR_READ, HR_NULLS_ERROR, 0, &t, &err),
        &err);
    assert_int_equal(t.type, HR_TYPE_INT32);
    assert_int_equal(t.ndim, 1);
    assert_int_equal(t.shape[0], 301);
    assert_false(t.writable);
    assert_ok(hr_batch_column(batch, "i32", &column, &err), &err);
    assert_ptr_equal(t.data, (const int32_t *)column->data + column->offset);
    assert_ok(
        hr_batch_tensor(batch, column_of(&r, "when"), HR_TENSOR_READ, HR_NULLS_ERROR, 0, &t, &err),
        &err);
    assert_int_equal(t.type, HR_TYPE_INT64);
    hr_batch_unref(&batch);
    rig_close(&r);
}

static void tensor__that_is_written_reaches_nobody_else(void **unused)
{
    static const uint64_t shares[] = {64 * MIB, 1}; // leased, and copied
    for (size_t s = 0; s < 2; s++) {
        rig r;
        hr_tensor t, again;
        hr_error err = HR_ERROR_INIT;
        hr_batch *batch = one_batch(&r, shares[s]), *neighbour = NULL;
        hr_object_id id = put_block(&r, r.block);
        push_rows(&r, id, 0, 0, ROWS);
        assert_ok(hr_feed_next(r.feed, &neighbour, &err), &err);
        uint64_t before = hr_batch_checksum(neighbour);
        int32_t i32 = column_of(&r, "i32");
        assert_ok(hr_batch_tensor(batch, i32, HR_TENSOR_WRITE, HR_NULLS_ERROR, 0, &t, &err), &err);
        assert_true(t.writable);
        assert_memory_equal(t.data, (const int32_t *)hr_block_column(r.block, 0)->data + 5,
                            301 * sizeof(int32_t));
        memset((void *)(uintptr_t)t.data, 0, 301 * sizeof(int32_t));
        assert_ok(hr_batch_tensor(batch, i32, HR_TENSOR_WRITE, HR_NULLS_ERROR, 0, &again, &err),
                  &err);
        assert_ptr_equal(again.data, t.data);
        assert_int_equal(hr_batch_checksum(neighbour), before);
        hr_batch_unref(&batch);
        hr_batch_unref(&neighbour);
        rig_close(&r);
    }
}

static void tensor__nulls_become_what_was_asked(void **unused)
{
    rig r;
    hr_tensor t;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = one_batch(&r, 64 * MIB);
    int32_t f64 = column_of(&r, "f64");
    const hr_column *column = hr_block_column(r.block, f64);
    assert_status(hr_batch_tensor(batch, f64, HR_TENSOR_READ, HR_NULLS_ERROR, 0, &t, &err),
                  HR_INVALID);
    assert_message_has(&err, "'f64'");
    assert_message_has(&err, "nulls");
    for (int mode = 0; mode < 2; mode++) {
        hr_nulls nulls = mode ? HR_NULLS_VALUE : HR_NULLS_NAN;
        assert_ok(hr_batch_tensor(batch, f64, HR_TENSOR_READ, nulls, -1.5, &t, &err), &err);
        const double *values = t.data;
        for (int64_t i = 0; i < 301; i++) {
            double want = ((const double *)column->data)[5 + i];
            if (!hr__column_is_valid(column, 5 + i))
                want = mode ? -1.5 : (double)NAN;
            assert_true(values[i] == want || (isnan(values[i]) && isnan(want)));
        }
    }
    hr_batch_unref(&batch);
    rig_close(&r);
}

static void tensor__of_booleans_is_bytes_or_floats(void **unused)
{
    rig r;
    hr_tensor t;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = one_batch(&r, 64 * MIB);
    int32_t flag = column_of(&r, "flag");
    const hr_column *column = hr_block_column(r.block, flag);
    assert_status(hr_batch_tensor(batch, flag, HR_TENSOR_READ, HR_NULLS_VALUE, 2, &t, &err),
                  HR_INVALID);
    assert_ok(hr_batch_tensor(batch, flag, HR_TENSOR_READ, HR_NULLS_VALUE, 1, &t, &err), &err);
    assert_int_equal(t.type, HR_TYPE_BOOL);
    hr_tensor f;
    assert_ok(hr_batch_tensor(batch, flag, HR_TENSOR_READ, HR_NULLS_NAN, 0, &f, &err), &err);
    assert_int_equal(f.type, HR_TYPE_FLOAT32);
    for (int64_t i = 0; i < 301; i++) {
        bool valid = hr__column_is_valid(column, 5 + i);
        int bit = ((const uint8_t *)column->data)[(5 + i) / 8] >> ((5 + i) % 8) & 1;
        assert_int_equal(((const uint8_t *)t.data)[i], valid ? bit : 1);
        float got = ((const float *)f.data)[i];
        assert_true(valid ? got == (float)bit : isnan(got));
    }
    hr_batch_unref(&batch);
    rig_close(&r);
}

static void tensor__keeps_shapes_and_refuses_strings(void **unused)
{
    rig r;
    hr_tensor t;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = one_batch(&r, 64 * MIB);
    int32_t img = column_of(&r, "img");
    const hr_column *column = hr_block_column(r.block, img);
    assert_ok(hr_batch_tensor(batch, img, HR_TENSOR_READ, HR_NULLS_VALUE, 9, &t, &err), &err);
    assert_int_equal(t.ndim, 3);
    assert_int_equal(t.shape[1] * 10 + t.shape[2], 23);
    for (int64_t i = 0; i < 301 * 6; i++) {
        bool valid = hr__column_is_valid(column, 5 + i / 6);
        assert_int_equal(((const uint8_t *)t.data)[i],
                         valid ? ((const uint8_t *)column->data)[5 * 6 + i] : 9);
    }
    assert_status(
        hr_batch_tensor(batch, column_of(&r, "name"), HR_TENSOR_READ, HR_NULLS_ERROR, 0, &t, &err),
        HR_INVALID);
    assert_message_has(&err, "'name'");
    assert_message_has(&err, "string");
    const hr_column *none = NULL;
    assert_status(hr_batch_column(batch, "nope", &none, &err), HR_NOT_FOUND);
    assert_message_has(&err, "i32");
    const int32_t *exact = NULL;
    assert_ok(hr_batch_i32(batch, "i32", &exact, &err), &err);
    assert_int_equal(exact[0], ((const int32_t *)hr_block_column(r.block, 0)->data)[5]);
    const double *wrong = NULL;
    assert_status(hr_batch_f64(batch, "i32", &wrong, &err), HR_INVALID);
    hr_batch_unref(&batch);
    rig_close(&r);
}

static void feed__returns_the_pipelines_error_and_its_timeout(void **unused)
{
    rig r;
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    rig_open(&r, 64 * MIB);
    hr__channel_finish(r.channel, HR_CORRUPT, "column 'a', page 3: bad");
    assert_status(hr_feed_next(r.feed, &batch, &err), HR_CORRUPT);
    assert_message_has(&err, "page 3");
    rig_close(&r);
}

// What was pushed: a batch, and a tensor of it that is made.
static hr_status read_pushed(rig *r, hr_error *err)
{
    hr_batch *batch = NULL;
    hr_tensor t;
    hr_status status = hr_feed_next(r->feed, &batch, err);
    if (status == HR_OK)
        status = hr_batch_tensor(batch, 1, HR_TENSOR_READ, HR_NULLS_NAN, 0, &t, err);
    hr_batch_unref(&batch);
    return status;
}

static void feed__survives_failing_allocations(void **unused)
{
    static const uint64_t shares[] = {64 * MIB, 1};
    for (size_t s = 0; s < 2; s++) {
        rig r;
        hr_error err = HR_ERROR_INIT;
        hr_status status = HR_NOMEM;
        rig_open(&r, shares[s]);
        for (uint64_t n = 1; status != HR_OK; n++) {
            push_rows(&r, put_block(&r, r.block), 0, 3, 100);
            hr__mem_fail_after(n);
            status = read_pushed(&r, &err);
            hr__mem_fail_after(0);
            assert_true(status == HR_OK || status == HR_NOMEM);
        }
        push_rows(&r, put_block(&r, r.block), 0, 3, 100);
        assert_ok(read_pushed(&r, &err), &err);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feed__gives_an_epochs_rows_and_then_end),
        cmocka_unit_test(feed__passes_over_the_rest_of_an_epoch),
        cmocka_unit_test(checksum__is_the_same_for_any_cut_and_any_memory),
        cmocka_unit_test(checksum__ignores_bytes_under_nulls_and_notices_a_value),
        cmocka_unit_test(feed__stays_alive_in_batches_and_blocks_that_are_kept),
        cmocka_unit_test(feed__refuses_a_forked_child),
        cmocka_unit_test(tensor__is_the_blocks_memory_when_it_can_be),
        cmocka_unit_test(tensor__that_is_written_reaches_nobody_else),
        cmocka_unit_test(tensor__nulls_become_what_was_asked),
        cmocka_unit_test(tensor__of_booleans_is_bytes_or_floats),
        cmocka_unit_test(tensor__keeps_shapes_and_refuses_strings),
        cmocka_unit_test(feed__returns_the_pipelines_error_and_its_timeout),
        cmocka_unit_test(feed__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
