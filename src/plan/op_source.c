// SPDX-License-Identifier: Apache-2.0
// Origins of rows: files, synthetic rows, blocks in memory.
#include "base/option.h"
#include "plan/plan_internal.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const lists_choices[] = {"auto", "ragged", NULL};
static const hr_option_row read_rows[] = {
    {"verify_checksums", HR_OPTION_BOOL, offsetof(hr_read_options, verify_checksums), 0, 0, 1, NULL,
     "check page CRCs where the file has them", "--verify", "verify_checksums"},
    {"lists", HR_OPTION_CHOICE, offsetof(hr_read_options, lists), 0, 0, 1, lists_choices,
     "auto: lists of numbers of one length are tensors; ragged: always lists", NULL, "ragged"},
    {"row_numbers", HR_OPTION_TEXT, offsetof(hr_read_options, row_numbers), 0, 0, 0, NULL,
     "name of a further column: where each row stands in its source"},
};
const hr_option_table hr__read_options =
    HR_OPTION_TABLE("read", hr_read_options, read_rows, "read_parquet");

// --- files ---

static hr_status node_of_files(hr_runtime *rt, const char *path, const hr_read_options *o,
                               hr_node **out, hr_error *err)
{
    hr_open_options open = {.verify_checksums = o->verify_checksums,
                            .tensors_from_lists = o->lists == HR_LISTS_AUTO};
    const char **patterns = NULL;
    size_t count = 1;
    hr_files *files = NULL;
    hr_node *node = NULL;
    hr_status status;
    while (o->paths && o->paths[count - 1])
        count++;
    HR_TRY(hr__alloc_zero(count, sizeof *patterns, &patterns, err));
    patterns[0] = path;
    for (size_t i = 1; i < count; i++)
        patterns[i] = o->paths[i - 1];
    HR_GO(hr__files_open(rt, patterns, count, &open, o->row_numbers, &files, err));
    HR_GO(hr__node_make(rt, HR_NODE_FILES, "read", hr__files_schema(files), NULL, 0, &node, err));
    HR_GO(hr__strdup(path, &node->source, err));
    node->files = files;
    files = NULL;
    *out = node;
    node = NULL;
out:
    hr__node_unref(&node);
    hr__files_unref(&files);
    hr__free(patterns);
    return status;
}

// A column that the file has and we do not read yet is named as what it is.
static void name_unsupported(hr_node *node, const char *const *columns, hr_error *err)
{
    hr_reader *reader = NULL;
    if (!err || hr__files_acquire(node->files, 0, &reader, NULL) != HR_OK)
        return;
    for (int32_t c = 0; columns && columns[c]; c++) {
        char quoted[256];
        (void)snprintf(quoted, sizeof quoted, "column '%s", columns[c]);
        for (int32_t u = 0; u < reader->unsupported_count; u++) {
            if (strncmp(reader->unsupported[u], quoted, strlen(quoted)) == 0)
                (void)HR_FAIL(err, HR_UNSUPPORTED, "%s: %s", hr__files_path(node->files, 0),
                              reader->unsupported[u]);
        }
    }
    hr__files_release(node->files, 0);
}

// A file of nested columns alone would be rows without columns.
static hr_status check_readable(hr_runtime *rt, hr_files *files, hr_error *err)
{
    hr_reader *reader = NULL;
    hr_status status = HR_OK;
    HR_TRY(hr__files_acquire(files, 0, &reader, err));
    bool none = reader->unsupported_count > 0 && hr_schema_count(reader->schema) == 0;
    if (none && reader->format->check)
        status = reader->format->check(reader, hr__runtime_scratch(rt), err);
    if (none && status == HR_OK)
        status = HR_FAIL(err, HR_UNSUPPORTED, "%s: %s, and no column that can be read",
                         hr__files_path(files, 0), reader->unsupported[0]);
    hr__files_release(files, 0);
    return status;
}

// A selection at the read is part of the read.
static hr_status select_columns(const hr_dataset *all, const hr_read_options *o, hr_dataset **out,
                                hr_error *err)
{
    const char **names = NULL;
    size_t count = 0;
    while (o->columns[count])
        count++;
    HR_TRY(hr__alloc_zero(count + 2, sizeof *names, &names, err));
    for (size_t i = 0; i < count; i++)
        names[i] = o->columns[i];
    names[count] = o->row_numbers; // NULL: none
    hr_dataset *some = NULL;
    hr_status status;
    HR_GO(hr_dataset_select(all, names, &some, err));
    hr__free(some->label);
    some->label = NULL;
    HR_GO(hr__strdup("read", &some->label, err));
    *out = some;
    some = NULL;
out:
    hr_dataset_unref(&some);
    hr__free(names);
    return status;
}

hr_status hr_read_parquet(hr_runtime *runtime, const char *path, const hr_read_options *options,
                          hr_dataset **out, hr_error *err)
{
    hr_read_options o;
    hr_node *node = NULL;
    hr_dataset *all = NULL;
    HR_TRY(hr__runtime_check(runtime, err));
    HR_TRY(hr__options_resolve(&hr__read_options, options, &o, err));
    HR_TRY(node_of_files(runtime, path, &o, &node, err));
    HR_TRY(hr__dataset_make(runtime, node, NULL, "read", &all, err));
    if (!o.columns) {
        hr_status readable = check_readable(runtime, node->files, err);
        if (readable != HR_OK)
            hr_dataset_unref(&all);
        else
            *out = all;
        return readable;
    }
    hr_status status = select_columns(all, &o, out, err);
    if (status == HR_NOT_FOUND) {
        name_unsupported(all->node, o.columns, err);
        status = err ? err->status : status;
    }
    hr_dataset_unref(&all);
    return status;
}

// --- synthetic rows ---

static hr_status synthetic(hr_runtime *rt, int64_t rows, const int64_t *shape, int32_t ndim,
                           int64_t blocks, bool as_range, const char *row_numbers, hr_dataset **out,
                           hr_error *err)
{
    hr_reader *reader = NULL;
    hr_node *node = NULL;
    char name[128];
    hr_status status;
    HR_TRY(hr__runtime_check(rt, err));
    HR_TRY(hr__synthetic_open(rows, shape, ndim, blocks ? blocks : 200, as_range ? "id" : "data",
                              as_range, &reader, err));
    if (row_numbers)
        HR_GO(hr__numbered_open(&reader, row_numbers, 0, &reader, err));
    HR_GO(hr__node_make(rt, HR_NODE_READER, "read", reader->schema, NULL, 0, &node, err));
    node->reader = reader;
    reader = NULL;
    int used =
        snprintf(name, sizeof name, as_range ? "range(%lld" : "range_tensor(%lld", (long long)rows);
    for (int32_t i = 0; i < ndim && !as_range; i++)
        used += snprintf(name + used, sizeof name - (size_t)used, "%s%lld", i ? "x" : ", ",
                         (long long)shape[i]);
    (void)snprintf(name + used, sizeof name - (size_t)used, ")");
    HR_GO(hr__strdup(name, &node->source, err));
    return hr__dataset_make(rt, node, NULL, "read", out, err);
out:
    hr__node_unref(&node);
    hr__reader_close(&reader);
    return status;
}

hr_status hr_range(hr_runtime *runtime, int64_t rows, int64_t blocks, hr_dataset **out,
                   hr_error *err)
{
    return synthetic(runtime, rows, NULL, 0, blocks, true, NULL, out, err);
}

hr_status hr_range_tensor(hr_runtime *runtime, int64_t rows, const int64_t *shape, int32_t ndim,
                          int64_t blocks, hr_dataset **out, hr_error *err)
{
    return synthetic(runtime, rows, shape, ndim, blocks, false, NULL, out, err);
}

// --- blocks in memory ---

hr_status hr_from_blocks(hr_runtime *runtime, hr_block *const *blocks, int32_t count,
                         const hr_schema *schema, hr_dataset **out, hr_error *err)
{
    hr_node *node = NULL;
    hr_status status = HR_OK;
    char a[256], b[256];
    for (int32_t i = 0; i < count; i++) {
        if (!hr_schema_equal(hr_block_schema(blocks[i]), schema))
            return HR_FAIL(err, HR_INVALID, "block %d has the schema (%s), the dataset (%s)",
                           (int)i, hr__schema_print(hr_block_schema(blocks[i]), a, sizeof a),
                           hr__schema_print(schema, b, sizeof b));
    }
    HR_TRY(hr__node_make(runtime, HR_NODE_BLOCKS, "read", schema, NULL, 0, &node, err));
    HR_GO(hr__alloc_zero((size_t)HR_MAX(count, 1), sizeof *node->blocks, &node->blocks, err));
    for (; node->block_count < count; node->block_count++)
        node->blocks[node->block_count] = hr_block_ref(blocks[node->block_count]);
    HR_GO(hr__strdup("memory", &node->source, err));
    return hr__dataset_make(runtime, node, NULL, "read", out, err);
out:
    hr__node_unref(&node);
    return status;
}

static hr_status arrow_failed(struct ArrowArrayStream *stream, int code, const char *what,
                              hr_error *err)
{
    const char *text = stream->get_last_error ? stream->get_last_error(stream) : NULL;
    return HR_FAIL(err, HR_IO, "Arrow stream, %s: %s", what, text ? text : strerror(code));
}

static hr_status pull_arrow(struct ArrowArrayStream *stream, hr_schema **schema_out,
                            hr_block ***blocks_out, size_t *count_out, hr_error *err)
{
    struct ArrowSchema described = {0};
    HR_VEC(hr_block *) blocks = {0};
    hr_schema *schema = NULL;
    hr_status status;
    int code = stream->get_schema(stream, &described);
    if (code)
        return arrow_failed(stream, code, "schema", err);
    HR_GO(hr_schema_import(&described, &schema, err));
    for (;;) {
        struct ArrowArray array = {0};
        hr_block *block = NULL;
        code = stream->get_next(stream, &array);
        if (code) {
            status = arrow_failed(stream, code, "next array", err);
            goto out;
        }
        if (!array.release)
            break;
        HR_GO(hr_block_import(&array, schema, &block, err));
        status = HR_VEC_PUSH(&blocks, block, err);
        if (status != HR_OK) {
            hr_block_unref(&block);
            goto out;
        }
    }
    *schema_out = schema;
    *blocks_out = blocks.items;
    *count_out = blocks.count;
    described.release(&described);
    return HR_OK;
out:
    for (size_t i = 0; i < blocks.count; i++)
        hr_block_unref(&blocks.items[i]);
    HR_VEC_FINISH(&blocks);
    hr_schema_unref(&schema);
    if (described.release)
        described.release(&described);
    return status;
}

hr_status hr_from_arrow(hr_runtime *runtime, struct ArrowArrayStream *stream, hr_dataset **out,
                        hr_error *err)
{
    hr_schema *schema = NULL;
    hr_block **blocks = NULL;
    size_t count = 0;
    hr_status status = pull_arrow(stream, &schema, &blocks, &count, err);
    stream->release(stream);
    if (status == HR_OK)
        status = hr_from_blocks(runtime, blocks, (int32_t)count, schema, out, err);
    for (size_t i = 0; i < count; i++)
        hr_block_unref(&blocks[i]);
    hr__free(blocks);
    hr_schema_unref(&schema);
    return status;
}

// --- what the command line calls SOURCE ---

static hr_status parse_number(const char **at, int64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)**at))
        return HR_INVALID;
    errno = 0;
    long long value = strtoll(*at, &end, 10);
    if (errno)
        return HR_INVALID;
    *at = end;
    *out = value;
    return HR_OK;
}

hr_status hr_open_source(hr_runtime *runtime, const char *source, const hr_read_options *options,
                         hr_dataset **out, hr_error *err)
{
    static const char tensor[] = "range_tensor:", range[] = "range:";
    bool is_tensor = strncmp(source, tensor, strlen(tensor)) == 0;
    int64_t rows = 0, blocks = 0, shape[HR_TENSOR_DIMS_MAX];
    int32_t ndim = 0;
    if (!is_tensor && strncmp(source, range, strlen(range)) != 0)
        return hr_read_parquet(runtime, source, options, out, err);
    const char *at = source + (is_tensor ? strlen(tensor) : strlen(range));
    hr_status status = parse_number(&at, &rows);
    while (status == HR_OK && is_tensor && *at == 'x' && ndim < HR_TENSOR_DIMS_MAX) {
        at++;
        status = parse_number(&at, &shape[ndim++]);
    }
    if (status == HR_OK && strncmp(at, ",blocks=", 8) == 0) {
        at += 8;
        status = parse_number(&at, &blocks);
    }
    if (status != HR_OK || *at || (is_tensor && ndim == 0))
        return HR_FAIL(err, HR_INVALID,
                       "source '%s': not understood at '%s'; say range:ROWS[,blocks=N] or "
                       "range_tensor:ROWSxAxB[,blocks=N]",
                       source, at);
    hr_read_options o;
    hr_dataset *all = NULL;
    HR_TRY(hr__options_resolve(&hr__read_options, options, &o, err));
    HR_TRY(synthetic(runtime, rows, shape, ndim, blocks, !is_tensor, o.row_numbers, &all, err));
    if (o.columns)
        status = select_columns(all, &o, out, err);
    else
        *out = hr_dataset_ref(all);
    hr_dataset_unref(&all);
    return status;
}
