// SPDX-License-Identifier: Apache-2.0
// Samples, and parts of a dataset by row numbers, in Ray's semantics. A part is a slice: it reads its own rows alone.
#include "base/option.h"
#include "plan/plan_internal.h"
#include <stdio.h>
#include <string.h>

// A dataset whose rows are counted: itself, or what it gives, kept.
static hr_status counted(const hr_dataset *dataset, hr_dataset **out, int64_t *rows_out,
                         hr_error *err)
{
    bool known;
    HR_TRY(hr__dataset_exact_rows(dataset, rows_out, &known, err));
    if (known) {
        *out = hr_dataset_ref(dataset);
        return HR_OK;
    }
    HR_TRY(hr_dataset_materialize(dataset, out, err));
    *rows_out = (*out)->node->kept.total_rows;
    return HR_OK;
}

static hr_status make(const hr_dataset *dataset, hr_node_kind kind, const char *name,
                      const char *step, hr_node **node_out, hr_dataset **out, hr_error *err)
{
    const hr_schema *schema;
    char label[512];
    HR_TRY(hr_dataset_schema(dataset, &schema, err));
    HR_TRY(hr__node_make(dataset->runtime, kind, name, schema, &dataset, 1, node_out, err));
    (void)snprintf(label, sizeof label, "%s->%s", dataset->label, step);
    return hr__dataset_make(dataset->runtime, *node_out, NULL, label, out, err); // takes the node
}

static hr_status slice(const hr_dataset *dataset, int64_t first, int64_t rows, hr_dataset **out,
                       hr_error *err)
{
    hr_node *node;
    char name[96];
    (void)snprintf(name, sizeof name, "rows(%lld to %lld)", (long long)first,
                   (long long)(first + rows));
    HR_TRY(make(dataset, HR_NODE_SLICE, name, "split", &node, out, err));
    node->index = first;
    node->number = rows;
    return HR_OK;
}

hr_status hr_dataset_random_sample(const hr_dataset *dataset, double fraction, uint64_t seed,
                                   bool each_epoch, hr_dataset **out, hr_error *err)
{
    hr_node *node;
    char name[96];
    if (!(fraction >= 0 && fraction <= 1))
        return HR_FAIL(err, HR_INVALID, "random_sample: a fraction of %g: it is from 0 to 1",
                       fraction);
    if (fraction == 1) {
        *out = hr_dataset_ref(dataset);
        return HR_OK;
    }
    (void)snprintf(name, sizeof name, "random_sample(%g, %llu)", fraction,
                   (unsigned long long)seed);
    HR_TRY(make(dataset, HR_NODE_SAMPLE, name, "random_sample", &node, out, err));
    node->seed = seed;
    node->below = (uint64_t)(fraction * 0x1p64);
    node->digest = node->below;
    node->equal = each_epoch;
    return HR_OK;
}

static hr_status split_counted(const hr_dataset *dataset, int64_t all, const int64_t *rows,
                               int32_t count, hr_dataset **out, hr_error *err)
{
    hr_status status = HR_OK;
    int64_t first = 0;
    for (int32_t i = 0; status == HR_OK && i <= count; i++) {
        int64_t end = i < count ? HR_MIN(rows[i], all) : all;
        status = slice(dataset, first, end - first, &out[i], err);
        first = end;
    }
    for (int32_t i = 0; status != HR_OK && i <= count; i++)
        if (out[i])
            hr_dataset_unref(&out[i]);
    return status;
}

static hr_status check_rows(const int64_t *rows, int32_t count, hr_error *err)
{
    if (count < 1)
        return HR_FAIL(err, HR_INVALID, "a split at no row: at least one is needed");
    for (int32_t i = 0; i < count; i++)
        if (rows[i] < (i ? rows[i - 1] : 0))
            return HR_FAIL(err, HR_INVALID,
                           "a split at row %lld after %lld: they ascend, from 0 on",
                           (long long)rows[i], (long long)(i ? rows[i - 1] : 0));
    return HR_OK;
}

hr_status hr_dataset_split_at_indices(const hr_dataset *dataset, const int64_t *rows, int32_t count,
                                      hr_dataset **out, hr_error *err)
{
    hr_dataset *whole = NULL;
    int64_t all = 0;
    HR_TRY(check_rows(rows, count, err));
    HR_TRY(counted(dataset, &whole, &all, err));
    hr_status status = split_counted(whole, all, rows, count, out, err);
    hr_dataset_unref(&whole);
    return status;
}

// Where the parts end; one that would be empty takes a row of the part before it.
static hr_status ends_of_shares(const double *shares, int32_t count, int64_t all, int64_t *ends,
                                hr_error *err)
{
    double sum = 0;
    int64_t less = 0;
    for (int32_t i = 0; i < count; i++) {
        if (!(shares[i] > 0))
            return HR_FAIL(err, HR_INVALID, "a share of %g: each is over 0", shares[i]);
        sum += shares[i];
        ends[i] = (int64_t)((double)all * HR_MIN(sum, 1));
    }
    if (count < 1 || !(sum < 1))
        return HR_FAIL(err, HR_INVALID, "%d shares with a sum of %g: at least one, below 1",
                       (int)count, sum);
    for (int32_t i = count - 2; i >= 0; i--) {
        ends[i] -= less;
        if (ends[i] == ends[i + 1]) {
            less++;
            ends[i]--;
        }
    }
    for (int32_t i = 0; i < count; i++)
        if (ends[i] <= 0)
            return HR_FAIL(err, HR_INVALID, "%lld rows in %d parts of these shares: some are empty",
                           (long long)all, (int)count + 1);
    return HR_OK;
}

hr_status hr_dataset_split_proportionately(const hr_dataset *dataset, const double *shares,
                                           int32_t count, hr_dataset **out, hr_error *err)
{
    hr_dataset *whole = NULL;
    int64_t all = 0, *ends = NULL;
    hr_status status;
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(count, 1), sizeof *ends, &ends, err));
    HR_GO(counted(dataset, &whole, &all, err));
    HR_GO(ends_of_shares(shares, count, all, ends, err));
    HR_GO(split_counted(whole, all, ends, count, out, err));
out:
    if (whole)
        hr_dataset_unref(&whole);
    hr__free(ends);
    return status;
}

static const hr_option_row split_rows[] = {
    {"test_rows", HR_OPTION_INT, offsetof(hr_split_options, test_rows), 0, 0, 1e15, NULL,
     "rows of the test part", NULL, "test_size"},
    {"shuffle", HR_OPTION_BOOL, offsetof(hr_split_options, shuffle), 0, 0, 1, NULL,
     "rows are shuffled first", NULL, "shuffle"},
};
const hr_option_table hr__split_options = HR_CALL_OPTION_TABLE(
    "train_test_split", hr_split_options, split_rows, "Dataset.train_test_split");

// The parts' rows, as they are, or shuffled and kept: another order in each epoch would mix the parts.
static hr_status rows_to_split(const hr_dataset *dataset, const hr_split_options *o,
                               hr_dataset **out, int64_t *rows_out, hr_error *err)
{
    hr_dataset *shuffled = NULL;
    if (!o->shuffle)
        return counted(dataset, out, rows_out, err);
    HR_TRY(hr_dataset_random_shuffle(dataset, o->seed, &shuffled, err));
    hr_status status = hr_dataset_materialize(shuffled, out, err);
    hr_dataset_unref(&shuffled);
    if (status == HR_OK)
        *rows_out = (*out)->node->kept.total_rows;
    return status;
}

hr_status hr_dataset_train_test_split(const hr_dataset *dataset, const hr_split_options *options,
                                      hr_dataset **train_out, hr_dataset **test_out, hr_error *err)
{
    hr_split_options o;
    hr_dataset *whole = NULL, *parts[2] = {NULL};
    int64_t all = 0;
    HR_TRY(hr__options_resolve(&hr__split_options, options, &o, err));
    bool by_share = o.test_share > 0 && o.test_share < 1;
    if (by_share == (o.test_rows > 0) || (!by_share && o.test_share != 0))
        return HR_FAIL(err, HR_INVALID,
                       "a test part of %g of the rows and of %lld rows: give one of them, a share "
                       "over 0 and below 1, or a number of rows",
                       o.test_share, (long long)o.test_rows);
    HR_TRY(rows_to_split(dataset, &o, &whole, &all, err));
    int64_t end = by_share ? (int64_t)((double)all * (1 - o.test_share)) : all - o.test_rows;
    hr_status status = HR_OK;
    if (end <= 0 || end >= all)
        status = HR_FAIL(err, HR_INVALID,
                         "%lld rows to learn from and %lld to test, of %lld: both need some",
                         (long long)end, (long long)(all - end), (long long)all);
    if (status == HR_OK)
        status = split_counted(whole, all, &end, 1, parts, err);
    hr_dataset_unref(&whole);
    if (status == HR_OK) {
        *train_out = parts[0];
        *test_out = parts[1];
    }
    return status;
}
