// SPDX-License-Identifier: Apache-2.0
// Writing a dataset as Parquet files: one a block, or of a number of rows. Each file appears when it is whole.
#include "base/option.h"
#include "base/os.h"
#include "plan/plan_internal.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ROW_GROUP_ROWS 122880
#define FILES_MAX      100000

static const hr_option_row write_rows[] = {
    {"codec", HR_OPTION_TEXT, offsetof(hr_write_options, codec), 0, 0, 0, NULL,
     "\"zstd\" (default) or \"none\"", NULL, "codec"},
    {"row_group_rows", HR_OPTION_INT, offsetof(hr_write_options, row_group_rows), ROW_GROUP_ROWS, 1,
     1e9, NULL, "rows a row group", NULL, "row_group_rows"},
    {"file_rows", HR_OPTION_INT, offsetof(hr_write_options, file_rows), 0, 0, 1e15, NULL,
     "rows a file at most; 0: one file a block", NULL, "file_rows"},
};
const hr_option_table hr__write_options =
    HR_CALL_OPTION_TABLE("write", hr_write_options, write_rows, "Dataset.write_parquet");

typedef struct out_files {
    const char *folder;
    const hr_schema *schema;
    hr_write_options options;
    hr_parquet_write_options parquet;
    hr_sink *sink;
    hr_parquet_writer *writer;
    int64_t file_rows; // of the open file
    int64_t unit;      // of the open file
    int64_t count, rows;
} out_files;

static hr_status prepare_folder(const char *folder, hr_error *err)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return hr__error_errno(err, errno, "%s: cannot make the folder", folder);
    DIR *dir = opendir(folder);
    if (!dir)
        return hr__error_errno(err, errno, "%s", folder);
    hr_status status = HR_OK;
    for (struct dirent *e; status == HR_OK && (e = readdir(dir)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (n > 8 && strncmp(e->d_name, "part-", 5) == 0 &&
            strcmp(e->d_name + n - 8, ".parquet") == 0)
            status = HR_FAIL(err, HR_INVALID,
                             "%s has '%s' already: remove it, or write to another folder", folder,
                             e->d_name);
    }
    (void)closedir(dir);
    return status;
}

static hr_status end_file(out_files *o, hr_error *err)
{
    if (!o->writer)
        return HR_OK;
    HR_TRY(hr__parquet_writer_finish(o->writer, err)); // commits the sink
    hr__parquet_writer_close(&o->writer);
    hr__sink_close(&o->sink);
    return HR_OK;
}

static hr_status begin_file(out_files *o, hr_error *err)
{
    char path[4096];
    if (o->count >= FILES_MAX)
        return HR_FAIL(err, HR_LIMIT, "more than %d files in %s: set file_rows, or repartition",
                       FILES_MAX, o->folder);
    if (snprintf(path, sizeof path, "%s/part-%05lld.parquet", o->folder, (long long)o->count) >=
        (int)sizeof path)
        return HR_FAIL(err, HR_INVALID, "%s: path too long", o->folder);
    HR_TRY(hr__sink_open(path, &o->sink, err));
    HR_TRY(hr__parquet_writer_open(o->sink, o->schema, &o->parquet, &o->writer, err));
    o->count++;
    o->file_rows = 0;
    return HR_OK;
}

static hr_status add_block(out_files *o, const hr_block *block, int64_t unit, hr_error *err)
{
    int64_t at = 0, rows = hr_block_rows(block), most = o->options.file_rows;
    if (!most && o->writer && unit != o->unit)
        HR_TRY(end_file(o, err));
    o->unit = unit;
    do {
        hr_block *part = NULL;
        if (most && o->writer && o->file_rows == most)
            HR_TRY(end_file(o, err));
        if (!o->writer)
            HR_TRY(begin_file(o, err));
        int64_t n = most ? HR_MIN(rows - at, most - o->file_rows) : rows - at;
        HR_TRY(hr_block_slice(block, at, n, &part, err));
        hr_status status = hr__parquet_writer_add(o->writer, part, err);
        hr_block_unref(&part);
        HR_TRY(status);
        at += n;
        o->file_rows += n;
        o->rows += n;
    } while (at < rows);
    return HR_OK;
}

hr_status hr_dataset_write_parquet(const hr_dataset *dataset, const char *folder,
                                   const hr_write_options *options, hr_error *err)
{
    out_files o = {.folder = folder, .unit = -1};
    hr_collector *c = NULL;
    hr_status status;
    HR_TRY(hr__options_resolve(&hr__write_options, options, &o.options, err));
    const char *codec = o.options.codec ? o.options.codec : "zstd";
    if (strcmp(codec, "zstd") != 0 && strcmp(codec, "none") != 0)
        return HR_FAIL(err, HR_INVALID, "codec '%s': \"zstd\" or \"none\"", codec);
    o.parquet = (hr_parquet_write_options){.zstd = codec[0] == 'z',
                                           .row_group_rows = o.options.row_group_rows};
    HR_TRY(prepare_folder(folder, err));
    HR_TRY(hr__collector_open(dataset, HR_PLACE_HEAP, 4 << 20, &c, err));
    o.schema = hr__collector_schema(c);
    for (;;) {
        hr_block *block;
        int64_t unit;
        status = hr__collector_next(c, &block, &unit, err);
        if (status != HR_OK)
            break;
        status = add_block(&o, block, unit, err);
        hr_block_unref(&block);
        if (status != HR_OK)
            break;
    }
    if (status == HR_END)
        status = o.count ? HR_OK : begin_file(&o, err); // a dataset of no rows keeps its schema
    if (status == HR_OK)
        status = end_file(&o, err);
    if (status == HR_OK && o.options.rows_out)
        *o.options.rows_out = o.rows;
    hr__parquet_writer_close(&o.writer);
    hr__sink_close(&o.sink);
    hr__collector_close(&c);
    return status;
}
