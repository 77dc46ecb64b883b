// SPDX-License-Identifier: Apache-2.0
// Lives at random: plans over few or many files, some of them without a row, cut off after any number of steps, gone on
// with by other ranks, threads, budgets and prefetch depths. Joined they are the undisturbed stream.
//
// HEADRACE_SEED names the first case, HEADRACE_CASES how many there are.
#include "flow_lives.h"

#define CASES      24
#define MANY_FILES 2000
#define LAYOUTS    4

typedef struct random_source {
    uint64_t state;
} random_source;

// 0 to below - 1 (splitmix64)
static int64_t pick(random_source *r, int64_t below)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (int64_t)((x ^ x >> 31) % (uint64_t)below);
}

// --- files: their rows, those of a file and of a row group; every so many files one without a row comes before ---

static const struct {
    int64_t rows, file_rows, group_rows, empty_every;
} layouts[LAYOUTS] = {
    {5000, 5000, 700, 0}, {4000, 333, 50, 3}, {2 * MANY_FILES, 2, 1, 7}, {90, 20, 7, 1}};
static struct {
    char path[64];
} folders[LAYOUTS];

static int64_t file_count(int i)
{
    return (layouts[i].rows + layouts[i].file_rows - 1) / layouts[i].file_rows;
}

// "part-00003-empty" comes right behind "part-00003" in the order of names.
static void empty_name(const char *folder, int64_t part, char path[96])
{
    snprintf(path, 96, "%.63s/part-%05d-empty.parquet", folder, (int)part);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[4096];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, in)) > 0;)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(in);
    fclose(out);
}

static void add_empty(int i, const char *empty)
{
    char path[96];
    for (int64_t k = 0; layouts[i].empty_every && k < file_count(i); k += layouts[i].empty_every) {
        empty_name(folders[i].path, k, path);
        copy_file(empty, path);
    }
}

static int set_up(void **state)
{
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_error err = HR_ERROR_INIT;
    char none[64], empty[96];
    for (int i = 0; i < LAYOUTS; i++) {
        make_folder(folders[i].path);
        write_rows(folders[i].path, layouts[i].rows, layouts[i].file_rows, layouts[i].group_rows);
    }
    hr_dataset *d = files_of(rt, folders[0].path), *nothing = filter_of(d, "id < 0");
    make_folder(none);
    ok(hr_dataset_write_parquet(nothing, none, NULL, &err));
    file_of(none, 0, empty);
    for (int i = 0; i < LAYOUTS; i++)
        add_empty(i, empty);
    remove_folder(none);
    hr_dataset_unref(&nothing);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
    return 0;
}

static int tear_down(void **state)
{
    char path[96];
    for (int i = 0; i < LAYOUTS; i++) {
        for (int64_t k = 0; k < file_count(i); k++) {
            file_of(folders[i].path, (int)k, path);
            unlink(path);
            empty_name(folders[i].path, k, path);
            unlink(path);
        }
        rmdir(folders[i].path);
    }
    return 0;
}

// --- a case ---

typedef struct chance {
    int layout, plan;
    int64_t seed;
    hr_stream_options options;
    char name[256];
} chance;

static const char *const plans[] = {"all",      "most",  "stretches", "none", "called",
                                    "cut anew", "limit", "sample",    "kept"};

static hr_status pass_on(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    *out = hr_block_ref(in);
    return HR_OK;
}

static hr_dataset *plan_of(const chance *c, hr_runtime *rt)
{
    hr_dataset *d = files_of(rt, folders[c->layout].path), *out = NULL;
    hr_function_options calls = HR_FUNCTION_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    calls.batch_rows = 32;
    switch (c->plan) {
    case 1:
        ok(hr_dataset_filter(d, "id % 7 != 2", &out, &err));
        break;
    case 2:
        ok(hr_dataset_filter(d, "id % 1000 < 150", &out, &err));
        break;
    case 3:
        ok(hr_dataset_filter(d, "id < 0", &out, &err));
        break;
    case 4: {
        hr_dataset *some = filter_of(d, "id % 5 != 2");
        ok(hr_dataset_map_blocks(some, pass_on, NULL, &calls, &out, &err));
        hr_dataset_unref(&some);
        break;
    }
    case 5:
        ok(hr_dataset_repartition(d, 11, &out, &err));
        break;
    case 6: {
        hr_dataset *some = filter_of(d, "id % 3 != 2");
        ok(hr_dataset_limit(some, layouts[c->layout].rows / 2, &out, &err));
        hr_dataset_unref(&some);
        break;
    }
    case 7:
        ok(hr_dataset_random_sample(d, 0.3, 5, c->seed % 2, &out, &err));
        break;
    case 8:
        ok(hr_dataset_materialize(d, &out, &err));
        break;
    default:
        return d;
    }
    hr_dataset_unref(&d);
    return out;
}

static chance case_of(int64_t seed)
{
    static const char *const shuffles[] = {"none", "blocks", "window", "global"};
    random_source r = {(uint64_t)seed * 7919 + 1};
    chance c = {.seed = seed, .options = HR_STREAM_OPTIONS_INIT};
    hr_stream_options *o = &c.options;
    c.layout = (int)pick(&r, LAYOUTS);
    c.plan = (int)pick(&r, COUNTOF(plans));
    o->shuffle = (hr_shuffle)pick(&r, 4);
    o->tail = (hr_tail)pick(&r, 3);
    o->epochs = 1 + pick(&r, 3);
    o->seed = (uint64_t)pick(&r, 1000);
    o->window_rows = 1 + pick(&r, 900);
    o->order_lanes = 1 + pick(&r, 12);
    o->global_batch_rows = RANKS_MAX + pick(&r, layouts[c.layout].rows / 3);
    snprintf(c.name, sizeof c.name,
             "seed %lld: layout %d, %s, %s, tail %d, %lld epochs, %lld rows a step",
             (long long)seed, c.layout, plans[c.plan], shuffles[o->shuffle], (int)o->tail,
             (long long)o->epochs, (long long)o->global_batch_rows);
    return c;
}

static void play(const chance *c)
{
    random_source r = {(uint64_t)c->seed};
    hr_stream_options o = c->options;
    hr_runtime *rt = runtime_of(2, 64 * MIB);
    hr_dataset *d = plan_of(c, rt);
    hr_error err = HR_ERROR_INIT;
    char at[HR_POSITION_BYTES_MAX] = "";
    int64_t row = 0;
    o.ranks = 1;
    life whole = live(d, o, NULL, -1, 0);
    for (bool over = false; !over;) {
        if (pick(&r, 2)) { // what was opened and kept is gone
            hr_dataset_unref(&d);
            hr_runtime_close(&rt);
            rt = runtime_of(1 + pick(&r, 3), (24 + pick(&r, 60)) * MIB);
            d = plan_of(c, rt);
        }
        o.ranks = 1 + pick(&r, RANKS_MAX);
        o.prefetch_blocks = pick(&r, 4) - 1;
        int64_t steps = pick(&r, 5) ? pick(&r, 1 + whole.steps) : -1;
        life part = live(d, o, *at ? at : NULL, steps, pick(&r, o.ranks));
        if (part.rows.count > whole.rows.count - row || !holds(&whole, row, &part))
            fail_msg("%s: from row %lld, by %lld ranks from %s", c->name, (long long)row,
                     (long long)o.ranks, at);
        row += part.rows.count;
        // A rank without a row of the tail stands behind the epoch at once.
        hr_position next;
        ok(hr_position_parse(part.position, &next, &err));
        over = part.rows.status == HR_END || next.epoch == o.epochs;
        memcpy(at, part.position, sizeof at);
        end_life(&part);
    }
    if (row != whole.rows.count)
        fail_msg("%s: %lld rows of %lld", c->name, (long long)row, (long long)whole.rows.count);
    end_life(&whole);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

static void resume__lives_at_random_are_one(void **state)
{
    const char *seed = getenv("HEADRACE_SEED"), *cases = getenv("HEADRACE_CASES");
    int64_t first = seed ? strtoll(seed, NULL, 10) : 1,
            count = cases ? strtoll(cases, NULL, 10) : CASES;
    for (int64_t i = first; i < first + count; i++) {
        chance c = case_of(i);
        play(&c);
    }
    // A global order that is begun in memory, and then has no room there.
    chance found = case_of(2403);
    play(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resume__lives_at_random_are_one)};
    return cmocka_run_group_tests_name("resume_random", tests, set_up, tear_down);
}
