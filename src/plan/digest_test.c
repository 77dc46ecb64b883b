// SPDX-License-Identifier: Apache-2.0
// The identity of plans: the same when built again in another runtime, another one whenever rows or values would be
// others.
#include "block/block_sample.h"
#include "plan/plan_sample.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t digest_of(const hr_dataset *d)
{
    uint64_t h = 0;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr__dataset_digest(d, &h, &err), &err);
    return h;
}

static hr_status pass_on(void *context, const hr_block *in, hr_block **out, hr_error *err)
{
    *out = hr_block_ref(in);
    return HR_OK;
}

static int64_t number(const char *text)
{
    char *end;
    int64_t value = strtoll(text, &end, 10);
    assert_true(end > text && !*end);
    return value;
}

// The words of a step; those that are not there are empty.
typedef struct words {
    char word[4][32];
} words;

static words split(const char *text)
{
    words w = {{""}};
    for (int i = 0; i < 4 && *text; i++) {
        size_t bytes = strcspn(text, " ");
        (void)snprintf(w.word[i], sizeof w.word[i], "%.*s", (int)bytes, text);
        text += bytes + (text[bytes] == ' ');
    }
    return w;
}

static hr_status add_function(const hr_dataset *d, bool process, const char *name, const char *more,
                              hr_dataset **out, hr_error *err)
{
    const char *argv[] = {"/usr/bin/program", "serve", NULL};
    hr_function_options f = HR_FUNCTION_OPTIONS_INIT;
    hr_process_options p = HR_PROCESS_OPTIONS_INIT;
    f.name = p.name = name;
    if (!process) {
        f.batch_rows = number(more);
        return hr_dataset_map_blocks(d, pass_on, NULL, &f, out, err);
    }
    p.argv = argv;
    p.payload = more;
    p.payload_bytes = strlen(more);
    p.identity = strncmp(more, "as:", 3) == 0 ? "told" : NULL;
    return hr_dataset_map_process(d, &p, out, err);
}

// One step of a plan: "map x = id + 1", "limit 5", and so on.
static hr_status add_step(const hr_dataset *d, const char *text, hr_dataset **out, hr_error *err)
{
    words w = split(text);
    const char *verb = w.word[0], *a = w.word[1], *b = w.word[2], *c = w.word[3];
    const char *names[] = {a, *b ? b : NULL, NULL};
    if (strcmp(verb, "map") == 0)
        return hr_dataset_map(d, text + 4, out, err);
    if (strcmp(verb, "filter") == 0)
        return hr_dataset_filter(d, text + 7, out, err);
    if (strcmp(verb, "select") == 0)
        return hr_dataset_select(d, names, out, err);
    if (strcmp(verb, "drop") == 0)
        return hr_dataset_drop(d, names, out, err);
    if (strcmp(verb, "rename") == 0)
        return hr_dataset_rename(d, a, b, out, err);
    if (strcmp(verb, "pack") == 0) {
        hr_pack_options o = HR_PACK_OPTIONS_INIT;
        o.type = *c ? HR_TYPE_FLOAT64 : HR_TYPE_FLOAT32;
        return hr_dataset_pack(d, names, "packed", &o, out, err);
    }
    if (strcmp(verb, "limit") == 0)
        return hr_dataset_limit(d, number(a), out, err);
    if (strcmp(verb, "repartition") == 0)
        return hr_dataset_repartition(d, number(a), out, err);
    if (strcmp(verb, "split") == 0)
        return hr_dataset_split(d, (int32_t)number(a), (int32_t)number(b), *c != 0, out, err);
    if (strcmp(verb, "permute") == 0)
        return hr_dataset_randomize_block_order(d, (uint64_t)number(a), out, err);
    if (strcmp(verb, "keep") == 0)
        return hr_dataset_materialize(d, out, err);
    if (strcmp(verb, "twice") == 0)
        return hr_dataset_union((const hr_dataset *[]){d, d}, 2, out, err);
    return add_function(d, strcmp(verb, "process") == 0, a, b, out, err);
}

// Steps separated by '|', from a range of 1,000 rows. "tensor": of tensors.
static uint64_t digest_of_plan(hr_runtime *rt, const char *plan)
{
    char text[256], *at = text, *next;
    hr_dataset *d = NULL, *more;
    hr_error err = HR_ERROR_INIT;
    (void)snprintf(text, sizeof text, "%s", plan);
    if (strncmp(text, "tensor", 6) == 0)
        assert_ok(hr_range_tensor(rt, 1000, (const int64_t[]){2, 3}, 2, 7, &d, &err), &err);
    else
        assert_ok(hr_range(rt, 1000, strncmp(text, "blocks", 6) ? 7 : 9, &d, &err), &err);
    for (; at; at = next) {
        next = strchr(at, '|');
        if (next)
            *next++ = 0;
        if (strcmp(at, "range") == 0 || strcmp(at, "tensor") == 0 || strcmp(at, "blocks") == 0)
            continue;
        assert_ok(add_step(d, at, &more, &err), &err);
        hr_dataset_unref(&d);
        d = more;
    }
    uint64_t h = digest_of(d);
    hr_dataset_unref(&d);
    return h;
}

static void digest__tells_plans_apart_and_is_the_same_when_built_again(void **state)
{
    static const char *const plans[] = {
        "range",
        "tensor",
        "blocks",
        "map x = id * 2",
        "map x = id * 3",
        "map x = id * 2.0",
        "map x = id + 2",
        "map x = 2 - id",
        "map x = id - 2",
        "map y = id * 2",
        "map id = id * 2",
        "map x = id * 2; y = id",
        "map y = id; x = id * 2",
        "filter id > 3",
        "filter id > 4",
        "filter id >= 4",
        "filter id > 3 and id < 9",
        "filter id > 3|map x = id * 2",
        "map x = id * 2|filter x > 3",
        "map x = id * 2|select x",
        "rename id x",
        "map t = 'ab'",
        "map t = 'ac'",
        "map t = null",
        "map x = cast(id, float32)",
        "map x = cast(id, float64)",
        "map x = id|pack id x",
        "map x = id * 2|pack x id",
        "map x = id|pack id x float64",
        "map x = id * 2|pack id x",
        "limit 5",
        "limit 6",
        "limit 5|map x = id * 2",
        "repartition 5",
        "split 5 0",
        "split 5 1",
        "split 5 1 equal",
        "permute 5",
        "permute 6",
        "twice",
        "twice|twice",
        "keep",
        "map x = id * 2|keep",
        "map x = id * 3|keep",
        "function f 0",
        "function g 0",
        "function f 10",
        "function f 0|limit 5",
        "limit 5|function f 0",
        "process f abc",
        "process f abd",
        "process g abc",
        "process f as:1",
    };
    hr_runtime *rt = sample_runtime(1), *other = sample_runtime(1);
    uint64_t found[HR_COUNTOF(plans)];
    for (size_t i = 0; i < HR_COUNTOF(plans); i++) {
        found[i] = digest_of_plan(rt, plans[i]);
        if (digest_of_plan(other, plans[i]) != found[i])
            fail_msg("'%s' is another plan when built again", plans[i]);
        for (size_t k = 0; k < i; k++)
            if (found[k] == found[i])
                fail_msg("'%s' and '%s' are one plan", plans[k], plans[i]);
    }
    hr_runtime_close(&other);
    hr_runtime_close(&rt);
}

static void digest__does_not_tell_how_a_plan_was_written(void **state)
{
    static const char *const same[][2] = {
        {"range", "map x = id * 2|drop x"},
        {"range", "rename id x|rename x id"},
        {"map x = id * 2; y = x + 1", "map x = id * 2|map y = id * 2 + 1"},
        {"map x = id * (1 + 1)", "map x = id * 2"},
        {"filter id > 3 and id < 9", "filter id > 3|filter id < 9"},
        {"process f as:1",
         "process f as:2"}, // the payload may hold what is no part of the function
    };
    hr_runtime *rt = sample_runtime(1);
    for (size_t i = 0; i < HR_COUNTOF(same); i++)
        if (digest_of_plan(rt, same[i][0]) != digest_of_plan(rt, same[i][1]))
            fail_msg("'%s' and '%s' are two plans", same[i][0], same[i][1]);
    hr_runtime_close(&rt);
}

// Writes 1,000 rows of id * `factor` to `folder` and gives the digest of reading it.
static uint64_t digest_of_files(hr_runtime *rt, const char *folder, int64_t factor,
                                int64_t file_rows, bool only_x)
{
    const char *columns[] = {"x", NULL};
    hr_dataset *d = NULL, *x = NULL, *read = NULL;
    hr_error err = HR_ERROR_INIT;
    hr_write_options w = HR_WRITE_OPTIONS_INIT;
    hr_read_options r = HR_READ_OPTIONS_INIT;
    char text[64], file[128];
    w.codec = "none";
    w.file_rows = file_rows;
    r.columns = only_x ? columns : NULL;
    (void)snprintf(text, sizeof text, "x = id * %d", (int)factor);
    assert_ok(hr_range(rt, 1000, 1, &d, &err), &err);
    assert_ok(hr_dataset_map(d, text, &x, &err), &err);
    assert_ok(hr_dataset_write_parquet(x, folder, &w, &err), &err);
    assert_ok(hr_read_parquet(rt, folder, &r, &read, &err), &err);
    uint64_t h = digest_of(read);
    hr_dataset_unref(&read);
    hr_dataset_unref(&x);
    hr_dataset_unref(&d);
    for (int i = 0;; i++) {
        (void)snprintf(file, sizeof file, "%s/part-%05d.parquet", folder, i);
        if (unlink(file) != 0)
            break;
    }
    assert_int_equal(rmdir(folder), 0);
    return h;
}

static void digest__of_files_is_of_names_sizes_and_what_the_first_one_holds(void **state)
{
    char base[] = "/tmp/headrace-digest-XXXXXX", a[64], b[64];
    hr_runtime *rt = sample_runtime(1);
    assert_non_null(mkdtemp(base));
    (void)snprintf(a, sizeof a, "%s/a", base);
    (void)snprintf(b, sizeof b, "%s/b", base);
    uint64_t first = digest_of_files(rt, a, 2, 500, false);
    assert_true(digest_of_files(rt, b, 2, 500, false) == first); // elsewhere, written later
    assert_true(digest_of_files(rt, a, 3, 500, false) != first); // as large
    assert_true(digest_of_files(rt, a, 2, 400, false) != first);
    assert_true(digest_of_files(rt, a, 2, 500, true) != first);
    assert_int_equal(rmdir(base), 0);
    hr_runtime_close(&rt);
}

static uint64_t digest_of_blocks(hr_runtime *rt, hr_block *const *blocks, int32_t count)
{
    hr_dataset *d = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_from_blocks(rt, blocks, count, hr_block_schema(blocks[0]), &d, &err), &err);
    uint64_t h = digest_of(d);
    hr_dataset_unref(&d);
    return h;
}

static void digest__of_blocks_is_of_their_values(void **state)
{
    hr_runtime *rt = sample_runtime(1);
    hr_block *a = NULL, *same = NULL, *other = NULL, *head = NULL, *tail = NULL, *part = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(sample_block(100, 7, &a, &err), &err);
    assert_ok(sample_block(100, 7, &same, &err), &err);
    assert_ok(sample_block(100, 8, &other, &err), &err);
    assert_ok(hr_block_slice(a, 0, 37, &head, &err), &err);
    assert_ok(hr_block_slice(same, 0, 37, &part, &err), &err);
    assert_ok(hr_block_slice(a, 37, 63, &tail, &err), &err);
    assert_true(digest_of_blocks(rt, &a, 1) == digest_of_blocks(rt, &same, 1));
    assert_true(digest_of_blocks(rt, &a, 1) != digest_of_blocks(rt, &other, 1));
    assert_true(digest_of_blocks(rt, &head, 1) == digest_of_blocks(rt, &part, 1));
    assert_true(digest_of_blocks(rt, &head, 1) != digest_of_blocks(rt, &tail, 1));
    uint64_t forth = digest_of_blocks(rt, (hr_block *[]){head, tail}, 2);
    assert_true(digest_of_blocks(rt, (hr_block *[]){tail, head}, 2) != forth);
    assert_true(digest_of_blocks(rt, &a, 1) != forth); // other blocks, so other orders of blocks
    for (hr_block **b = (hr_block *[]){a, same, other, head, tail, part, NULL}; *b;)
        hr_block_unref(b++);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest__tells_plans_apart_and_is_the_same_when_built_again),
        cmocka_unit_test(digest__does_not_tell_how_a_plan_was_written),
        cmocka_unit_test(digest__of_files_is_of_names_sizes_and_what_the_first_one_holds),
        cmocka_unit_test(digest__of_blocks_is_of_their_values),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
