// SPDX-License-Identifier: Apache-2.0
// Steps, tails and positions: a stream cut off after any step and gone on with from any rank's position, at another
// number of ranks, gives what an undisturbed one would have.
#include "flow_lives.h"

#define ROWS      3000
#define STEP_ROWS 250

static char folder[64]; // ROWS in 3 files, row groups of 170

static int set_up(void **state)
{
    make_folder(folder);
    write_rows(folder, ROWS, 1100, 170);
    return 0;
}

static int tear_down(void **state)
{
    remove_folder(folder);
    return 0;
}

// --- plans ---

typedef hr_dataset *(*plan)(hr_runtime *rt);

static hr_dataset *exact(hr_runtime *rt)
{
    return files_of(rt, folder);
}

static hr_dataset *filtered(hr_runtime *rt)
{
    hr_dataset *d = exact(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_filter(d, "id % 7 < 4 and id % 500 > 90", &out, &err));
    hr_dataset_unref(&d);
    return out;
}

// Drops rows by where they stand in its input: what comes out tells how its input was cut.
static hr_status skip_some(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    const hr_column *c = hr_block_column(in, 0);
    const int64_t *ids = (const int64_t *)c->data + c->offset;
    int64_t rows = hr_block_rows(in), skip = rows ? 1 + ids[0] % 5 : 0;
    skip = skip < rows ? skip : rows;
    return hr_block_slice(in, skip, rows - skip, out, err);
}

static hr_dataset *worked(hr_runtime *rt)
{
    hr_dataset *d = filtered(rt), *out = NULL;
    hr_function_options o = HR_FUNCTION_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    o.batch_rows = 32;
    ok(hr_dataset_map_blocks(d, skip_some, NULL, &o, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *cut_anew(hr_runtime *rt)
{
    hr_dataset *d = exact(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_repartition(d, 13, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *limited(hr_runtime *rt)
{
    hr_dataset *d = filtered(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_limit(d, 1111, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static hr_dataset *joined(hr_runtime *rt)
{
    hr_dataset *parts[2] = {limited(rt), exact(rt)}, *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_union((const hr_dataset *const *)parts, 2, &out, &err));
    hr_dataset_unref(&parts[0]);
    hr_dataset_unref(&parts[1]);
    return out;
}

static hr_dataset *kept(hr_runtime *rt)
{
    hr_dataset *d = filtered(rt), *out = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_dataset_materialize(d, &out, &err));
    hr_dataset_unref(&d);
    return out;
}

static void assert_tail(const char *name, const life *whole, const life *first, const life *second)
{
    if (first->rows.count + second->rows.count != whole->rows.count || !holds(whole, 0, first) ||
        !holds(whole, first->rows.count, second))
        fail_msg("%s: %lld and %lld rows are not the whole's %lld; from %s", name,
                 (long long)first->rows.count, (long long)second->rows.count,
                 (long long)whole->rows.count, first->position);
}

static hr_stream_options options_of(hr_shuffle shuffle)
{
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    o.shuffle = shuffle;
    o.seed = 77;
    o.window_rows = 600;
    o.order_lanes = 5;
    o.global_batch_rows = STEP_ROWS;
    o.epochs = 2;
    return o;
}

static const struct {
    const char *name;
    plan make;
} plans[] = {{"exact", exact},   {"filtered", filtered}, {"worked", worked}, {"cut", cut_anew},
             {"limit", limited}, {"joined", joined},     {"kept", kept}};
static const char *const shuffles[] = {"none", "blocks", "window", "global"};

static void resume__steps_are_the_same_for_any_number_of_ranks(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    for (size_t i = 0; i < COUNTOF(plans); i++) {
        hr_dataset *d = plans[i].make(rt);
        for (int k = 0; k < 4; k++) {
            hr_stream_options o = options_of((hr_shuffle)k);
            life one = {.steps = 0};
            for (int64_t ranks = 1; ranks <= RANKS_MAX; ranks++) {
                o.ranks = ranks;
                life l = live(d, o, NULL, -1, 0);
                if (ranks == 1) {
                    one = l;
                    continue;
                }
                assert_int_equal(l.steps, one.steps);
                assert_int_equal(l.rows.count, one.rows.count);
                assert_memory_equal(l.rows.ids, one.rows.ids,
                                    (size_t)l.rows.count * sizeof *l.rows.ids);
                assert_true(l.rows.sums[0] == one.rows.sums[0]);
                assert_true(l.rows.sums[1] == one.rows.sums[1]);
                end_life(&l);
            }
            end_life(&one);
        }
        hr_dataset_unref(&d);
    }
    hr_runtime_close(&rt);
}

static void resume__goes_on_after_every_step_at_any_number_of_ranks(void **state)
{
    static const int64_t changes[][2] = {{1, 1}, {1, 3}, {2, 4}, {4, 1}, {3, 2}};
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    for (size_t i = 0; i < COUNTOF(plans); i++) {
        hr_dataset *d = plans[i].make(rt);
        for (int k = 0; k < 4; k++) {
            hr_stream_options o = options_of((hr_shuffle)k);
            char name[64];
            o.ranks = 1;
            life whole = live(d, o, NULL, -1, 0);
            for (int64_t step = 0; step <= whole.steps; step++) {
                const int64_t *change = changes[(step + (int64_t)i) % (int64_t)COUNTOF(changes)];
                o.ranks = change[0];
                o.prefetch_blocks = step % 3 - 1;
                life first = live(d, o, NULL, step, step % change[0]);
                o.ranks = change[1];
                o.prefetch_blocks = 0;
                life second = live(d, o, first.position, -1, 0);
                snprintf(name, sizeof name, "%s, %s, step %lld, ranks %lld to %lld", plans[i].name,
                         shuffles[k], (long long)step, (long long)change[0], (long long)change[1]);
                assert_tail(name, &whole, &first, &second);
                end_life(&second);
                end_life(&first);
            }
            end_life(&whole);
        }
        hr_dataset_unref(&d);
    }
    hr_runtime_close(&rt);
}

// Cut off again and again: each life begins where the last one's position says.
static void resume__goes_on_from_a_resumed_stream(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    for (size_t i = 0; i < 3; i++) {
        hr_dataset *d = plans[i].make(rt);
        for (int k = 0; k < 4; k++) {
            hr_stream_options o = options_of((hr_shuffle)k);
            char at[HR_POSITION_BYTES_MAX] = "";
            int64_t row = 0;
            o.ranks = 1;
            life whole = live(d, o, NULL, -1, 0);
            for (int64_t n = 0; row < whole.rows.count; n++) {
                o.ranks = 1 + n % RANKS_MAX;
                life part = live(d, o, *at ? at : NULL, 1 + n % 3, n % o.ranks);
                assert_true(part.rows.count <= whole.rows.count - row);
                assert_memory_equal(part.rows.ids, whole.rows.ids + row,
                                    (size_t)part.rows.count * sizeof *part.rows.ids);
                row += part.rows.count;
                memcpy(at, part.position, sizeof at);
                end_life(&part);
            }
            end_life(&whole);
        }
        hr_dataset_unref(&d);
    }
    hr_runtime_close(&rt);
}

// With batch_rows fixed the steps grow with the ranks, and the order of rows is what stays.
static void resume__keeps_the_order_when_steps_change(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    for (size_t i = 0; i < 3; i++) {
        hr_dataset *d = plans[i].make(rt);
        for (int k = 0; k < 4; k++) {
            hr_stream_options o = options_of((hr_shuffle)k);
            o.global_batch_rows = 0;
            o.batch_rows = 64;
            o.ranks = 3;
            life whole = live(d, o, NULL, -1, 0);
            life first = live(d, o, NULL, 4, 1);
            o.ranks = 2;
            o.batch_rows = 70;
            life second = live(d, o, first.position, -1, 0);
            assert_tail(plans[i].name, &whole, &first, &second);
            end_life(&second);
            end_life(&first);
            end_life(&whole);
        }
        hr_dataset_unref(&d);
    }
    hr_runtime_close(&rt);
}

static void resume__goes_on_with_whole_blocks(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    for (size_t i = 0; i < COUNTOF(plans); i++) {
        hr_dataset *d = plans[i].make(rt);
        for (int k = 0; k < 4; k++) {
            hr_stream_options o = options_of((hr_shuffle)k);
            o.global_batch_rows = 0;
            o.ranks = 1;
            life whole = live(d, o, NULL, -1, 0);
            for (int64_t step = 0; step <= whole.steps / 2; step++) {
                o.ranks = 1 + step % 3;
                life first = live(d, o, NULL, step / o.ranks, step % o.ranks);
                o.ranks = 1 + step % 2;
                life second = live(d, o, first.position, -1, 0);
                assert_tail(plans[i].name, &whole, &first, &second);
                end_life(&second);
                end_life(&first);
            }
            end_life(&whole);
        }
        hr_dataset_unref(&d);
    }
    hr_runtime_close(&rt);
}

static void resume__stands_at_the_next_epoch_once_one_has_ended(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = exact(rt);
    hr_stream_options o = options_of(HR_SHUFFLE_WINDOW);
    hr_error err = HR_ERROR_INIT;
    hr_position at;
    o.ranks = 1;
    o.epochs = 1;
    life l = live(d, o, NULL, -1, 0);
    ok(hr_position_parse(l.position, &at, &err));
    assert_int_equal(at.epoch, 1);
    assert_int_equal(at.step, 0);
    assert_int_equal(at.row, 0);
    o.epochs = 3;
    life rest = live(d, o, l.position, -1, 0), whole = live(d, o, NULL, -1, 0);
    assert_tail("epoch", &whole, &l, &rest);
    end_life(&whole);
    end_life(&rest);
    end_life(&l);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

// --- tails ---

static void resume__tails_are_dropped_shared_or_padded(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = exact(rt);
    for (int64_t ranks = 1; ranks <= RANKS_MAX; ranks++) {
        for (int k = 0; k < 4; k++) {
            hr_stream_options o = options_of((hr_shuffle)k);
            int64_t full = ROWS / 257 * 257, tail = ROWS % 257;
            o.global_batch_rows = 257;
            o.epochs = 1;
            o.ranks = ranks;
            o.tail = HR_TAIL_UNEVEN;
            life uneven = live(d, o, NULL, -1, 0);
            assert_int_equal(uneven.rows.count, ROWS);
            assert_each_once(&uneven.rows, 0, ROWS);
            o.tail = HR_TAIL_DROP;
            life drop = live(d, o, NULL, -1, 0);
            assert_int_equal(drop.rows.count, full);
            assert_int_equal(drop.stats.dropped_rows, tail);
            assert_memory_equal(drop.rows.ids, uneven.rows.ids, (size_t)full * sizeof(int64_t));
            o.tail = HR_TAIL_PAD;
            life pad = live(d, o, NULL, -1, 0);
            assert_int_equal(pad.rows.count, full + 257);
            assert_int_equal(pad.stats.padded_rows, 257 - tail);
            for (int64_t i = 0; i < 257; i++)
                assert_int_equal(pad.rows.ids[full + i], uneven.rows.ids[full + i % tail]);
            assert_memory_equal(pad.rows.ids, uneven.rows.ids, (size_t)full * sizeof(int64_t));
            end_life(&pad);
            end_life(&drop);
            end_life(&uneven);
        }
    }
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void resume__a_tail_of_fewer_rows_than_ranks(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = NULL;
    hr_error err = HR_ERROR_INIT;
    ok(hr_range(rt, 102, 5, &d, &err));
    for (int tail = 0; tail < 3; tail++) {
        hr_stream_options o = options_of(HR_SHUFFLE_WINDOW);
        int64_t expected[] = {102, 100, 110};
        o.global_batch_rows = 10;
        o.epochs = 1;
        o.ranks = 4;
        o.tail = (hr_tail)tail;
        life whole = live(d, o, NULL, -1, 0);
        assert_int_equal(whole.rows.count, expected[tail]);
        for (int64_t step = 9; step <= whole.steps; step++) {
            o.ranks = 3;
            // A rank that the tail left without a batch does not know of that step.
            life first = live(d, o, NULL, step, 2);
            o.ranks = 4;
            life second = live(d, o, first.position, -1, 0);
            assert_tail("tail", &whole, &first, &second);
            end_life(&second);
            end_life(&first);
        }
        end_life(&whole);
    }
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

// --- a rank that lags ---

static void resume__a_rank_that_slept_gets_what_it_missed(void **state)
{
    for (int tail = 0; tail < 3; tail++) {
        for (int k = 0; k < 4; k++) {
            hr_runtime *rt = runtime_of(2, 64 * MIB);
            hr_dataset *d = worked(rt);
            hr_stream_options o = options_of((hr_shuffle)k);
            hr_error err = HR_ERROR_INIT;
            hr_stream *s = NULL;
            hr_feed *awake = NULL, *asleep = NULL;
            hr_feed_options wait = HR_FEED_OPTIONS_INIT;
            hr_batch *batch = NULL;
            hr_stream_stats stats;
            pass p[2] = {{0}}, alone[2] = {{0}};
            wait.timeout_s = WAIT_S;
            o.tail = (hr_tail)tail;
            o.ranks = 2;
            o.prefetch_blocks = 3;
            for (int lag = 0; lag < 2; lag++) {
                pass *of = lag ? p : alone;
                ok(hr_dataset_stream(d, &o, &s, &err));
                ok(hr_feed_open_rank(s, 0, &wait, &awake, &err));
                ok(hr_feed_open_rank(s, 1, &wait, &asleep, &err));
                if (lag) { // one batch, then nothing until the other has all of its own
                    ok(hr_feed_next(asleep, &batch, &err));
                    pass_note(&of[1], batch);
                    hr_batch_unref(&batch);
                    pass_feed(&of[0], awake);
                    pass_feed(&of[1], asleep);
                    hr_stream_get_stats(s, &stats, sizeof stats);
                    assert_true(stats.revoked > 0);
                } else {
                    life l = {.steps = 0};
                    hr_feed *feeds[2] = {awake, asleep};
                    for (bool more = true; more;) {
                        int64_t ended = 0, went = 0;
                        for (int r = 0; r < 2; r++) {
                            hr_status status = hr_feed_next(feeds[r], &batch, &err);
                            ended += status == HR_END;
                            if (status == HR_OK)
                                pass_note(&of[r], batch);
                            hr_batch_unref(&batch);
                        }
                        for (int r = 0; ended == 2 && r < 2; r++)
                            went += hr_feed_next_epoch(feeds[r], &err) == HR_OK;
                        more = ended < 2 || went == 2;
                    }
                    end_life(&l);
                }
                hr_feed_close(&awake);
                hr_feed_close(&asleep);
                hr_stream_close(&s);
            }
            for (int r = 0; r < 2; r++) {
                assert_int_equal(p[r].count, alone[r].count);
                assert_memory_equal(p[r].ids, alone[r].ids, (size_t)p[r].count * sizeof *p[r].ids);
                pass_finish(&p[r]);
                pass_finish(&alone[r]);
            }
            hr_dataset_unref(&d);
            hr_runtime_close(&rt);
        }
    }
}

// --- files before the position ---

static void spoil(const char *path)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -100, SEEK_END), 0); // its footer
    for (int i = 0; i < 92; i++)
        fputc(0xff, f);
    fclose(f);
}

// Of files in their order; a unit that is counted, not named, opens them all the same.
static void resume__leaves_files_before_the_position_closed(void **state)
{
    char own[64], path[96];
    make_folder(own);
    write_rows(own, ROWS, 1100, 170);
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = files_of(rt, own), *again;
    hr_stream_options o = options_of(HR_SHUFFLE_NONE);
    hr_error err = HR_ERROR_INIT;
    hr_batch *batch = NULL;
    hr_position at;
    o.ranks = o.epochs = 1;
    life whole = live(d, o, NULL, -1, 0), first = live(d, o, NULL, 10, 0);
    ok(hr_position_parse(first.position, &at, &err));
    assert_int_equal(at.unit, (1ll << 52) + (2 << 24)); // where the step from row 2,250 on is made
    at.unit = 7 + 7;
    life counted = live(d, o, hr_position_print(&at, (char[HR_POSITION_BYTES_MAX]){0}), -1, 0);
    assert_tail("counted", &whole, &first, &counted);
    file_of(own, 1, path);
    spoil(path);
    again = files_of(rt, own);
    life second = live(again, o, first.position, -1, 0);
    assert_tail("named", &whole, &first, &second);
    o.position = &at;
    hr_feed *feed = feed_of(again, &o);
    fails(hr_feed_next(feed, &batch, &err), HR_CORRUPT, "part-00001");
    hr_feed_close(&feed);
    at.unit = (1ll << 52) + (3 << 24);
    feed = feed_of(again, &o);
    fails(hr_feed_next(feed, &batch, &err), HR_INVALID, "there is no unit");
    hr_feed_close(&feed);
    end_life(&second);
    end_life(&counted);
    end_life(&first);
    end_life(&whole);
    hr_dataset_unref(&again);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
    remove_folder(own);
}

// --- what is refused ---

static void resume__refuses_a_position_of_something_else(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = exact(rt), *other = filtered(rt);
    hr_stream_options o = options_of(HR_SHUFFLE_WINDOW), changed;
    hr_error err = HR_ERROR_INIT;
    hr_stream *s = NULL;
    hr_position at;
    o.ranks = 1;
    life l = live(d, o, NULL, 3, 0);
    ok(hr_position_parse(l.position, &at, &err));
    o.position = &at;
    fails(hr_dataset_stream(other, &o, &s, &err), HR_INVALID, "other data");
    changed = o;
    changed.seed = 78;
    fails(hr_dataset_stream(d, &changed, &s, &err), HR_INVALID, "seed 77, not 78");
    changed = o;
    changed.window_rows = 601;
    fails(hr_dataset_stream(d, &changed, &s, &err), HR_INVALID, "window_rows 600");
    changed = o;
    changed.order_lanes = 6;
    fails(hr_dataset_stream(d, &changed, &s, &err), HR_INVALID, "order_lanes 5");
    changed = o;
    changed.shuffle = HR_SHUFFLE_NONE;
    fails(hr_dataset_stream(d, &changed, &s, &err), HR_INVALID, "shuffle \"window\", not \"none\"");
    at.order_row = at.row + 1;
    fails(hr_dataset_stream(d, &o, &s, &err), HR_INVALID, "cannot be");
    end_life(&l);
    hr_dataset_unref(&other);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void resume__refuses_options_that_exclude_each_other(void **state)
{
    hr_runtime *rt = runtime_of(1, 64 * MIB);
    hr_dataset *d = exact(rt);
    hr_stream_options o = HR_STREAM_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_stream *s = NULL;
    o.global_batch_rows = 3;
    o.ranks = 4;
    fails(hr_dataset_stream(d, &o, &s, &err), HR_INVALID, "each rank needs a row");
    o.batch_rows = 3;
    fails(hr_dataset_stream(d, &o, &s, &err), HR_INVALID, "give one of them");
    o.batch_rows = o.global_batch_rows = 0;
    o.tail = HR_TAIL_PAD;
    fails(hr_dataset_stream(d, &o, &s, &err), HR_INVALID, "whole blocks");
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resume__steps_are_the_same_for_any_number_of_ranks),
        cmocka_unit_test(resume__goes_on_after_every_step_at_any_number_of_ranks),
        cmocka_unit_test(resume__goes_on_from_a_resumed_stream),
        cmocka_unit_test(resume__keeps_the_order_when_steps_change),
        cmocka_unit_test(resume__goes_on_with_whole_blocks),
        cmocka_unit_test(resume__stands_at_the_next_epoch_once_one_has_ended),
        cmocka_unit_test(resume__tails_are_dropped_shared_or_padded),
        cmocka_unit_test(resume__a_tail_of_fewer_rows_than_ranks),
        cmocka_unit_test(resume__a_rank_that_slept_gets_what_it_missed),
        cmocka_unit_test(resume__leaves_files_before_the_position_closed),
        cmocka_unit_test(resume__refuses_a_position_of_something_else),
        cmocka_unit_test(resume__refuses_options_that_exclude_each_other),
    };
    return cmocka_run_group_tests_name("resume", tests, set_up, tear_down);
}
