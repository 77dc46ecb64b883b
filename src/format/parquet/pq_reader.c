// SPDX-License-Identifier: Apache-2.0
// The reader: footer, columns and fragments of one file behind the room's table.
#include "base/hash.h"
#include "format/parquet/pq_page.h"
#include "block/block.h"
#include <string.h>

static bool probe(hr_source *source)
{
    char magic[PQ_MAGIC_BYTES];
    if (hr__source_read(source, 0, sizeof magic, magic, NULL) != HR_OK)
        return false;
    return memcmp(magic, PQ_MAGIC, 4) == 0 || memcmp(magic, PQ_MAGIC_ENCRYPTED, 4) == 0;
}

// What the columns of a row group take: stored in the file, and decoded. An estimate, since dictionaries and runs
// decode to more than their pages.
static void set_info(const pq_reader *reader, int32_t index, hr_fragment_info *info)
{
    const pq_group *group = &reader->file.groups[index];
    double all = 0;
    *info = (hr_fragment_info){.rows = group->rows};
    for (int32_t i = 0; i < reader->leaf_count; i++) {
        const pq_leaf *leaf = &reader->leaves[i];
        const pq_chunk *chunk = &group->chunks[leaf->chunk_index];
        double decoded = (double)HR_MAX(chunk->uncompressed_bytes, 0);
        if (leaf->value_bytes > 0)
            decoded = (double)chunk->values * leaf->value_bytes;
        else if (leaf->convert == PQ_CONVERT_BYTES)
            decoded = HR_MAX(decoded, (double)chunk->values * 8);
        info->stored_bytes += chunk->compressed_bytes;
        all += decoded;
    }
    info->decoded_bytes = all < 9e18 ? (int64_t)all : INT64_MAX;
}

static void close_reader(hr_reader *reader)
{
    pq_reader *r = (pq_reader *)reader;
    if (!r)
        return;
    hr_schema_unref(&r->base.schema);
    hr__pq_file_finish(&r->file);
    hr__bump_finish(&r->bump);
    hr__source_unref(&r->base.source);
    hr__free(r);
}

static hr_status open_reader(hr_source *source, const hr_open_options *options, hr_reader **out,
                             hr_error *err)
{
    pq_reader *r = NULL;
    HR_TRY(hr__alloc_zero(1, sizeof *r, &r, err));
    hr_status status = HR_OK;
    r->base.format = &hr__parquet_format;
    r->base.source = hr__source_ref(source);
    r->options = options ? *options : (hr_open_options){0};
    hr__bump_init(&r->bump, 64u << 20);
    HR_GO(hr__pq_file_read(source, &r->file, err));
    r->base.rows = r->file.rows;
    r->base.digest = hr__hash64(r->file.footer, r->file.footer_bytes, 0);
    r->base.fragment_count = r->file.group_count;
    HR_GO(hr__pq_schema_read(r, err));
    if (r->options.tensors_from_lists)
        HR_GO(hr__pq_tensors_find(r, err));
    r->options.expected = NULL; // borrowed for this call
    HR_GO(hr__pq_schema_make(r, err));
    HR_GO(hr__bump_array(&r->bump, (size_t)r->file.group_count + 1, sizeof *r->infos, &r->infos,
                         err));
    for (int32_t i = 0; i < r->file.group_count; i++)
        set_info(r, i, &r->infos[i]);
    r->base.fragments = r->infos;
    *out = &r->base;
    return HR_OK;
out:
    close_reader(&r->base);
    return status;
}

const hr_format hr__parquet_format = {
    .name = "parquet",
    .suffixes = {".parquet", ".parq", ".pq", NULL},
    .probe = probe,
    .open = open_reader,
    .close = close_reader,
    .inspect = hr__pq_inspect,
    .check = hr__pq_check_headers,
    .prune = hr__pq_prune,
    .fragment_open = hr__pq_fragment_open,
    .fragment_close = hr__pq_fragment_close,
    .fragment_start = hr__pq_fragment_start,
    .fragment_will_need = hr__pq_fragment_will_need,
    .pass_begin = hr__pq_pass_begin,
    .pass_measure = hr__pq_pass_measure,
    .pass_fill = hr__pq_pass_fill,
    .pass_release = hr__pq_pass_release,
    .pass_end = hr__pq_pass_end,
};
