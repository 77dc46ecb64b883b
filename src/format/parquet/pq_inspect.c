// SPDX-License-Identifier: Apache-2.0
// What a file is, for people and as JSON: rows, row groups, and for each column type, encodings, codec and sizes.
#include "format/parquet/pq.h"
#include "base/text.h"
#include <inttypes.h>
#include <string.h>

typedef struct totals {
    int64_t stored, raw, values, nulls; // nulls -1: some chunk does not tell
    uint32_t encodings, codecs;
} totals;

static totals sum_column(const pq_reader *r, const pq_leaf *leaf)
{
    totals t = {0};
    for (int32_t g = 0; g < r->file.group_count; g++) {
        const pq_chunk *c = &r->file.groups[g].chunks[leaf->chunk_index];
        t.stored += c->compressed_bytes;
        t.raw += HR_MAX(c->uncompressed_bytes, 0) & INT64_C(0xffffffffffff);
        t.values += c->values & INT64_C(0xffffffffffff);
        t.encodings |= c->encodings;
        t.codecs |= 1u << (c->codec & 31);
        if (c->statistics.null_count < 0 || t.nulls < 0)
            t.nulls = -1;
        else
            t.nulls += c->statistics.null_count & INT64_C(0xffffffffffff);
    }
    return t;
}

static void name_bits(hr_text *out, uint32_t bits, const char *(*name)(int), const char *quote,
                      const char *between)
{
    bool first = true;
    for (int i = 0; i < 32; i++) {
        if (!(bits >> i & 1))
            continue;
        hr__text_add(out, "%s%s%s%s", first ? "" : between, quote, name(i), quote);
        first = false;
    }
}

static const char *encoding_name(int i)
{
    return hr__pq_encoding_name(i);
}

static void json_column(const pq_reader *r, const pq_leaf *leaf, hr_text *out)
{
    char type[256];
    totals t = sum_column(r, leaf);
    hr__text_add(out, "{\"name\":");
    hr__text_json(out, leaf->name, strlen(leaf->name));
    hr__text_add(out, ",\"path\":");
    hr__text_json(out, leaf->path, strlen(leaf->path));
    hr__text_add(out, ",\"type\":\"%s\",\"nullable\":%s,\"physical\":\"%s\",\"encodings\":[",
                 hr_type_print(&leaf->type, type, sizeof type), leaf->nullable ? "true" : "false",
                 hr__pq_type_name((int32_t)leaf->physical));
    name_bits(out, t.encodings, encoding_name, "\"", ",");
    hr__text_add(out, "],\"codecs\":[");
    name_bits(out, t.codecs, hr__codec_name, "\"", ",");
    hr__text_add(out,
                 "],\"values\":%" PRId64 ",\"stored_bytes\":%" PRId64 ",\"raw_bytes\":%" PRId64,
                 t.values, t.stored, t.raw);
    if (t.nulls >= 0)
        hr__text_add(out, ",\"nulls\":%" PRId64, t.nulls);
    hr__text_char(out, '}');
}

static void print_json(const pq_reader *r, hr_text *out)
{
    hr__text_add(out, "{\"format\":\"parquet\",\"name\":");
    hr__text_json(out, r->base.source->name, strlen(r->base.source->name));
    hr__text_add(out, ",\"bytes\":%" PRIu64 ",\"rows\":%" PRId64 ",\"created_by\":",
                 r->base.source->bytes, r->file.rows);
    hr__text_json(out, r->file.created_by, strlen(r->file.created_by));
    hr__text_add(out, ",\"columns\":[");
    for (int32_t i = 0; i < r->leaf_count; i++) {
        hr__text_add(out, "%s", i ? "," : "");
        json_column(r, &r->leaves[i], out);
    }
    hr__text_add(out, "],\"unsupported\":[");
    for (int32_t i = 0; i < r->base.unsupported_count; i++) {
        hr__text_add(out, "%s", i ? "," : "");
        hr__text_json(out, r->base.unsupported[i], strlen(r->base.unsupported[i]));
    }
    hr__text_add(out, "],\"row_groups\":[");
    for (int32_t i = 0; i < r->file.group_count; i++)
        hr__text_add(out, "%s{\"rows\":%" PRId64 ",\"stored_bytes\":%" PRId64 "}", i ? "," : "",
                     r->infos[i].rows, r->infos[i].stored_bytes);
    hr__text_add(out, "]}\n");
}

static void print_text(const pq_reader *r, hr_text *out)
{
    char bytes[32], raw[32], type[256];
    hr__text_add(out, "%s: parquet, %s, %" PRId64 " rows in %d row group%s, %s\n",
                 r->base.source->name, hr__format_bytes(r->base.source->bytes, bytes), r->file.rows,
                 r->file.group_count, r->file.group_count == 1 ? "" : "s",
                 r->file.created_by[0] ? r->file.created_by : "written by an unnamed program");
    for (int32_t i = 0; i < r->leaf_count; i++) {
        const pq_leaf *leaf = &r->leaves[i];
        totals t = sum_column(r, leaf);
        hr__text_add(out, "  %s: %s%s, %s of %s, ", leaf->name,
                     hr_type_print(&leaf->type, type, sizeof type),
                     leaf->nullable ? "" : " not null", hr__format_bytes((uint64_t)t.stored, bytes),
                     hr__format_bytes((uint64_t)t.raw, raw));
        name_bits(out, t.codecs, hr__codec_name, "", "+");
        hr__text_add(out, ", ");
        name_bits(out, t.encodings, encoding_name, "", " ");
        if (t.nulls >= 0)
            hr__text_add(out, ", %" PRId64 " nulls", t.nulls);
        hr__text_char(out, '\n');
    }
    for (int32_t i = 0; i < r->base.unsupported_count; i++)
        hr__text_add(out, "  %s (not read by this release)\n", r->base.unsupported[i]);
    for (int32_t i = 0; i < r->file.group_count; i++)
        hr__text_add(out, "  row group %d: %" PRId64 " rows, %s\n", i, r->infos[i].rows,
                     hr__format_bytes((uint64_t)r->infos[i].stored_bytes, bytes));
}

hr_status hr__pq_inspect(hr_reader *reader, bool json, hr_text *out, hr_error *err)
{
    if (json)
        print_json((const pq_reader *)reader, out);
    else
        print_text((const pq_reader *)reader, out);
    if (out->failed)
        return HR_FAIL(err, HR_NOMEM, "%s: no memory for its description", reader->source->name);
    return HR_OK;
}
