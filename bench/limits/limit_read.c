// SPDX-License-Identifier: Apache-2.0
// The least that reading a Parquet file can do: decompress its pages, write as many bytes as they decode to, and
// read those.
//
//     limit_read FILE [--threads 2] [--passes 5] [--decoded-bytes N]
//
// The file is mapped and its pages found before the clock starts. A page goes to a thread by its number: it is
// decompressed into warm memory by the codec that the file names, its share of `--decoded-bytes` (by default its plain
// size) is written to a warm ring, and what was written is summed. Nothing is decoded. Only trusted files: nothing is
// checked either.
// Field numbers: apache/parquet-format, src/main/thrift/parquet.thrift.
#include "limit_common.h"
#include "format/codec.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_BYTES ((size_t)4 << 20)

typedef struct page {
    const uint8_t *stored;
    size_t stored_bytes, plain_bytes, decoded_bytes;
    int codec;
} page;

typedef struct read_job {
    page *pages;
    size_t count, capacity;
    size_t plain_bytes_max;
    uint64_t plain_bytes;
    uint8_t *plain[LIMIT_THREADS_MAX];
    uint8_t *ring[LIMIT_THREADS_MAX];
} read_job;

// --- the compact protocol, as much of it as finds pages ---

typedef struct wire {
    const uint8_t *at;
    int id, type; // of the field at hand
} wire;

static uint64_t varint(wire *w)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        uint8_t byte = *w->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
}

static int64_t zigzag(wire *w)
{
    uint64_t value = varint(w);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

// The next field of a struct; 0 at its end. `last` is the id before it.
static int field(wire *w, int last)
{
    uint8_t head = *w->at++;
    w->type = head & 15;
    if (w->type == 0)
        return 0;
    w->id = head >> 4 ? last + (head >> 4) : (int)zigzag(w);
    return 1;
}

static size_t list(wire *w, int *type_out)
{
    uint8_t head = *w->at++;
    *type_out = head & 15;
    return head >> 4 == 15 ? varint(w) : (size_t)(head >> 4);
}

static void skip(wire *w, int type)
{
    int item;
    switch (type) {
    case 1:
    case 2: // a bool, in the field's head
        break;
    case 3:
        w->at++;
        break;
    case 7:
        w->at += 8;
        break;
    case 8: {
        uint64_t bytes = varint(w);
        w->at += bytes;
        break;
    }
    case 9:
    case 10:
        for (size_t n = list(w, &item); n > 0; n--)
            item <= 2 ? (void)w->at++ : skip(w, item);
        break;
    case 12:
        for (int last = 0; field(w, last); last = w->id) {
            int id = w->id;
            skip(w, w->type);
            w->id = id;
        }
        break;
    default:
        varint(w);
        break;
    }
}

// Reads a struct of integers: values[id] of those below 16, the others skipped.
static void integers(wire *w, int64_t values[16])
{
    memset(values, 0, 16 * sizeof *values);
    for (int last = 0, id; field(w, last); last = id) {
        id = w->id;
        if (id < 16 && w->type >= 4 && w->type <= 6)
            values[id] = zigzag(w);
        else
            skip(w, w->type);
    }
}

static void add_page(read_job *job, page p)
{
    if (job->count == job->capacity) {
        job->capacity = job->capacity ? job->capacity * 2 : 1024;
        job->pages = realloc(job->pages, job->capacity * sizeof *job->pages);
        if (job->pages == NULL)
            limit_die("realloc");
    }
    if (p.plain_bytes > job->plain_bytes_max)
        job->plain_bytes_max = p.plain_bytes;
    job->plain_bytes += p.plain_bytes;
    job->pages[job->count++] = p;
}

// ColumnMetaData: codec 4, total_compressed_size 7, data_page_offset 9, dictionary_page_offset 11.
static void add_chunk(read_job *job, const uint8_t *file, wire *w)
{
    int64_t meta[16], header[16];
    integers(w, meta);
    int64_t begin = meta[11] > 0 && meta[11] < meta[9] ? meta[11] : meta[9];
    wire pages = {.at = file + begin};
    while (pages.at < file + begin + meta[7]) { // PageHeader: plain size 2, stored size 3
        integers(&pages, header);
        add_page(job, (page){.stored = pages.at,
                             .stored_bytes = (size_t)header[3],
                             .plain_bytes = (size_t)header[2],
                             .codec = (int)meta[4]});
        pages.at += header[3];
    }
}

// Walks to field `wanted` of the struct at hand; what is there is the caller's to read.
static int find(wire *w, int wanted, int *last)
{
    while (field(w, *last)) {
        *last = w->id;
        if (w->id == wanted)
            return 1;
        int id = w->id;
        skip(w, w->type);
        *last = id;
    }
    return 0;
}

static void finish_struct(wire *w, int last)
{
    while (find(w, -1, &last))
        ;
}

// FileMetaData.row_groups 4, RowGroup.columns 1, ColumnChunk.meta_data 3.
static void add_file(read_job *job, const uint8_t *file, size_t bytes)
{
    uint32_t footer_bytes;
    int item, last = 0;
    memcpy(&footer_bytes, file + bytes - 8, 4);
    wire w = {.at = file + bytes - 8 - footer_bytes};
    if (!find(&w, 4, &last))
        return;
    for (size_t groups = list(&w, &item); groups > 0; groups--) {
        int in_group = 0;
        find(&w, 1, &in_group);
        for (size_t chunks = list(&w, &item); chunks > 0; chunks--) {
            int in_chunk = 0;
            if (find(&w, 3, &in_chunk))
                add_chunk(job, file, &w);
            finish_struct(&w, in_chunk);
        }
        finish_struct(&w, in_group);
    }
}

// --- the work ---

static const uint8_t *decompress(const page *p, uint8_t *plain)
{
    hr_error err = HR_ERROR_INIT;
    if (p->codec == HR_CODEC_NONE)
        return p->stored;
    if (hr__codec_decompress((hr_codec)p->codec, p->stored, p->stored_bytes, plain, p->plain_bytes,
                             &err) != HR_OK) {
        fprintf(stderr, "limit_read: %s\n", err.message);
        exit(1);
    }
    return plain;
}

static void run(limit_worker *worker)
{
    read_job *job = worker->job;
    uint8_t *ring = job->ring[worker->index];
    for (size_t i = (size_t)worker->index; i < job->count; i += (size_t)worker->count) {
        const page *p = &job->pages[i];
        const uint8_t *plain = decompress(p, job->plain[worker->index]);
        size_t plain_bytes = p->codec == HR_CODEC_NONE ? p->stored_bytes : p->plain_bytes;
        for (size_t left = p->decoded_bytes, from = 0; left > 0 && plain_bytes > 0;) {
            size_t step = left < RING_BYTES ? left : RING_BYTES;
            for (size_t at = 0;
                 at < step;) { // from the page, again and again when it decodes to more
                size_t part = plain_bytes - from < step - at ? plain_bytes - from : step - at;
                memcpy(ring + at, plain + from, part);
                at += part;
                from = from + part == plain_bytes ? 0 : from + part;
            }
            worker->sum += limit_sum(ring, step);
            left -= step;
        }
    }
}

int main(int argc, char **argv)
{
    static read_job job;
    struct stat info;
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: limit_read FILE [--threads 2] [--passes 5] [--decoded-bytes N]\n");
        return 2;
    }
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0)
        limit_die(argv[1]);
    size_t bytes = (size_t)info.st_size;
    const uint8_t *file = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (file == MAP_FAILED)
        limit_die("mmap");
    add_file(&job, file, bytes);
    int threads = limit_threads(argc, argv);
    double decoded = (double)limit_option(argc, argv, "--decoded-bytes", job.plain_bytes);
    for (size_t i = 0; i < job.count; i++)
        job.pages[i].decoded_bytes =
            (size_t)((double)job.pages[i].plain_bytes * decoded / (double)job.plain_bytes);
    for (int t = 0; t < threads; t++) {
        job.plain[t] = limit_warm(job.plain_bytes_max + 64);
        job.ring[t] = limit_warm(RING_BYTES);
    }
    limit_report("limit_read", run, &job, threads, limit_passes(argc, argv), decoded);
    return 0;
}
