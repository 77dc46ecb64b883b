// SPDX-License-Identifier: Apache-2.0
// Many files as one origin. The first footer is read when the dataset is made, the others when a row of theirs is
// near (or all at once, in parallel, for a count). A reader is an open descriptor and a parsed footer, so at most
// FILES_OPEN_MAX that nobody uses stay open, oldest out first; what the plan needs to know of a closed file (rows and
// bytes of its fragments) is kept.
#include "base/hash.h"
#include "base/log.h"
#include "plan/plan_internal.h"
#include <stdatomic.h>
#include <string.h>

#define FILES_OPEN_MAX 64

typedef struct file {
    char *path;
    hr_reader *reader; // NULL: closed
    int32_t users;
    uint64_t released; // order of release: the oldest is closed first
    bool opening, known, failed;
    hr_fragment_info *fragments;
    int32_t fragment_count;
    int64_t rows;
    uint64_t digest;     // of its footer
    uint64_t read_bytes; // by readers that are closed
    hr_error error;      // failed: what every later opening gets
} file;

struct hr_files {
    _Atomic uint32_t refs;
    hr_runtime *runtime; // borrowed: the node holds it
    hr_open_options options;
    char *row_numbers; // the column of them; NULL: none
    hr_mutex mutex;
    hr_cond opened;
    file *files; // guards: mutex, except paths
    size_t count;
    size_t open_count; // guards: mutex
    uint64_t releases; // guards: mutex
    hr_schema *schema; // of the first file; nullable throughout when there are more
    uint64_t digest;
};

// --- schemas that must be one ---

static hr_status check_schema(const hr_files *files, const file *f, const hr_reader *reader,
                              hr_error *err)
{
    char found[96], expected[96];
    const char *first = files->files[0].path;
    int32_t count = hr_schema_count(files->schema);
    for (int32_t i = 0; i < count; i++) {
        const hr_field *want = hr_schema_field(files->schema, i);
        int32_t at = hr_schema_find(reader->schema, want->name);
        if (at < 0)
            return HR_FAIL(err, HR_INVALID,
                           "%s: no column '%s', which %s has; read files of one schema, or name "
                           "the columns they share",
                           f->path, want->name, first);
        const hr_field *have = hr_schema_field(reader->schema, at);
        if (at != i || !hr__type_equal(have->type, want->type))
            return HR_FAIL(err, HR_INVALID,
                           "%s: column '%s' is %s (number %d), in %s it is %s (number %d); all "
                           "files must have one schema",
                           f->path, want->name, hr_type_print(have->type, found, sizeof found),
                           (int)at, first, hr_type_print(want->type, expected, sizeof expected),
                           (int)i);
    }
    if (hr_schema_count(reader->schema) > count)
        return HR_FAIL(err, HR_INVALID,
                       "%s: column '%s' is not in %s; all files must have one schema", f->path,
                       hr_schema_field(reader->schema, count)->name, first);
    return HR_OK;
}

static hr_status make_schema(hr_files *files, const hr_reader *first, hr_error *err)
{
    int32_t count = hr_schema_count(first->schema);
    hr_field *fields = NULL;
    hr_status status;
    if (files->count == 1) {
        files->schema = hr_schema_ref(first->schema);
        return HR_OK;
    }
    HR_TRY(hr__alloc_zero((size_t)count, sizeof *fields, &fields, err));
    for (int32_t i = 0; i < count; i++) {
        fields[i] = *hr_schema_field(first->schema, i);
        fields[i].nullable = true; // later files may have nulls where the first says it has none
    }
    HR_GO(hr_schema_make(fields, count, &files->schema, err));
out:
    hr__free(fields);
    return status;
}

// --- opening ---

static hr_status open_reader(hr_files *files, file *f, hr_reader **out, hr_error *err)
{
    hr_source *source = NULL;
    hr_reader *reader = NULL;
    hr_open_options options = files->options;
    hr_status status;
    options.expected = files->schema;
    HR_TRY(hr__source_open(f->path, &source, err));
    HR_GO(hr__format_open(source, &options, &reader, err));
    if (files->row_numbers)
        HR_GO(hr__numbered_open(&reader, files->row_numbers,
                                (int64_t)(f - files->files) << HR_ROW_NUMBER_FILE_SHIFT, &reader,
                                err));
    if (f->known && (reader->fragment_count != f->fragment_count || reader->rows != f->rows ||
                     reader->digest != f->digest)) {
        status = HR_FAIL(err, HR_CORRUPT,
                         "%s: it had %lld rows in %d row groups (footer %016llx) and now has %lld "
                         "in %d (%016llx): somebody wrote it while it was read",
                         f->path, (long long)f->rows, (int)f->fragment_count,
                         (unsigned long long)f->digest, (long long)reader->rows,
                         (int)reader->fragment_count, (unsigned long long)reader->digest);
        goto out;
    }
    if (files->schema)
        HR_GO(check_schema(files, f, reader, err));
    else
        files->digest = hr__hash64(&reader->digest, sizeof reader->digest, files->digest);
    *out = reader;
    reader = NULL;
out:
    hr__reader_close(&reader);
    hr__source_unref(&source);
    return status;
}

static hr_status learn(file *f, const hr_reader *reader, hr_error *err)
{
    if (f->known)
        return HR_OK;
    HR_TRY(hr__alloc_zero((size_t)HR_MAX(reader->fragment_count, 1), sizeof *f->fragments,
                          &f->fragments, err));
    if (reader->fragment_count)
        memcpy(f->fragments, reader->fragments,
               (size_t)reader->fragment_count * sizeof *f->fragments);
    f->fragment_count = reader->fragment_count;
    f->rows = reader->rows;
    f->digest = reader->digest;
    f->known = true;
    return HR_OK;
}

// Closes the reader released longest ago while too many are open. Returns it, for closing without the lock.
static hr_reader *close_oldest(hr_files *files)
{
    file *oldest = NULL;
    if (files->open_count <= FILES_OPEN_MAX)
        return NULL;
    for (size_t i = 0; i < files->count; i++) {
        file *f = &files->files[i];
        if (f->reader && !f->users && (!oldest || f->released < oldest->released))
            oldest = f;
    }
    if (!oldest)
        return NULL;
    hr_reader *reader = oldest->reader;
    oldest->reader = NULL;
    oldest->read_bytes += atomic_load_explicit(&reader->source->read_bytes, memory_order_relaxed);
    files->open_count--;
    return reader;
}

// Once per file: whoever comes first opens it without the lock, the others wait.
static hr_status open_once(hr_files *files, file *f, hr_error *err)
{
    hr_reader *reader = NULL;
    hr_error own = HR_ERROR_INIT;
    while (f->opening)
        hr__cond_wait(&files->opened, &files->mutex);
    if (f->failed)
        return hr__error_copy(err, &f->error);
    if (f->reader)
        return HR_OK;
    f->opening = true;
    hr__mutex_unlock(&files->mutex);
    hr_status status = open_reader(files, f, &reader, &own);
    hr__mutex_lock(&files->mutex);
    f->opening = false;
    if (status == HR_OK)
        status = learn(f, reader, &own);
    if (status == HR_OK) {
        f->reader = reader;
        files->open_count++;
    } else {
        hr__reader_close(&reader);
        f->failed = status != HR_NOMEM && status != HR_CANCELLED;
        f->error = own;
        (void)hr__error_copy(err, &own);
    }
    hr__cond_broadcast(&files->opened);
    return status;
}

hr_status hr__files_acquire(hr_files *files, size_t index, hr_reader **out, hr_error *err)
{
    file *f = &files->files[index];
    hr_reader *closing = NULL;
    hr__mutex_lock(&files->mutex);
    hr_status status = open_once(files, f, err);
    if (status == HR_OK) {
        f->users++;
        *out = f->reader;
        closing = close_oldest(files);
    }
    hr__mutex_unlock(&files->mutex);
    hr__reader_close(&closing);
    return status;
}

void hr__files_release(hr_files *files, size_t index)
{
    file *f = &files->files[index];
    hr__mutex_lock(&files->mutex);
    HR_ASSERT(f->users > 0);
    if (--f->users == 0)
        f->released = ++files->releases;
    hr_reader *closing = close_oldest(files);
    hr__mutex_unlock(&files->mutex);
    hr__reader_close(&closing);
}

hr_status hr__files_fragments(hr_files *files, size_t index, const hr_fragment_info **out,
                              int32_t *count_out, hr_error *err)
{
    file *f = &files->files[index];
    hr__mutex_lock(&files->mutex);
    bool known = f->known;
    hr__mutex_unlock(&files->mutex);
    if (!known) {
        hr_reader *reader;
        HR_TRY(hr__files_acquire(files, index, &reader, err));
        hr__files_release(files, index);
    }
    *out = f->fragments; // once known, never changed
    *count_out = f->fragment_count;
    return HR_OK;
}

// --- ahead, on the io pool ---

static void open_ahead(void *a, int64_t index, int64_t unused)
{
    hr_files *files = a;
    hr_reader *reader;
    // A failure is kept with the file and returned to whoever reaches it.
    if (hr__files_acquire(files, (size_t)index, &reader, NULL) == HR_OK)
        hr__files_release(files, (size_t)index);
    hr__files_unref(&files);
}

void hr__files_will_need(hr_files *files, size_t index, bool footer)
{
    if (index >= files->count)
        return;
    hr__mutex_lock(&files->mutex);
    file *f = &files->files[index];
    bool wanted = !f->reader && !(footer && f->known) && !f->opening && !f->failed;
    hr__mutex_unlock(&files->mutex);
    if (wanted &&
        !hr__io_submit(files->runtime, open_ahead, hr__files_ref(files), (int64_t)index, 0))
        hr__files_unref(&files);
}

hr_status hr__files_open_all(hr_files *files, hr_error *err)
{
    const hr_fragment_info *infos;
    int32_t count;
    enum { AHEAD = 16 };
    for (size_t i = 0; i < HR_MIN(files->count, (size_t)AHEAD); i++)
        hr__files_will_need(files, i, true);
    for (size_t i = 0; i < files->count; i++) {
        hr__files_will_need(files, i + AHEAD, true);
        HR_TRY(hr__files_fragments(files, i, &infos, &count, err));
        HR_TRY(hr__runtime_check(files->runtime, err));
    }
    return HR_OK;
}

// --- figures ---

void hr__files_figures(hr_files *files, int64_t *rows_out, int64_t *read_bytes_out)
{
    uint64_t bytes = 0;
    int64_t rows = 0;
    bool known = true;
    hr__mutex_lock(&files->mutex);
    for (size_t i = 0; i < files->count; i++) {
        const file *f = &files->files[i];
        known = known && f->known;
        rows += f->rows;
        bytes += f->read_bytes;
        if (f->reader)
            bytes += atomic_load_explicit(&f->reader->source->read_bytes, memory_order_relaxed);
    }
    hr__mutex_unlock(&files->mutex);
    *rows_out = known ? rows : -1;
    *read_bytes_out = (int64_t)bytes;
}

// --- life ---

// Folders may be elsewhere on another machine, and times change by copying: neither counts.
static uint64_t digest_listing(const hr_listing *listing)
{
    uint64_t h = listing->count;
    for (size_t i = 0; i < listing->count; i++) {
        const char *slash = strrchr(listing->paths[i], '/');
        const char *name = slash ? slash + 1 : listing->paths[i];
        h = hr__hash64(name, strlen(name), h);
        h = hr__hash64(&listing->bytes[i], sizeof listing->bytes[i], h);
    }
    return h;
}

hr_status hr__files_open(hr_runtime *runtime, const char *const *patterns, size_t count,
                         const hr_open_options *options, const char *row_numbers, hr_files **out,
                         hr_error *err)
{
    hr_listing listing = {0};
    hr_files *files = NULL;
    hr_reader *first = NULL;
    hr_status status;
    HR_TRY(hr__list(patterns, count, ".parquet", &listing, err));
    HR_GO(hr__alloc_zero(1, sizeof *files, &files, err));
    files->refs = 1;
    files->runtime = runtime;
    files->options = *options;
    hr__mutex_init(&files->mutex);
    hr__cond_init(&files->opened);
    if (row_numbers)
        HR_GO(hr__strdup(row_numbers, &files->row_numbers, err));
    HR_GO(hr__alloc_zero(listing.count, sizeof *files->files, &files->files, err));
    for (; files->count < listing.count; files->count++)
        HR_GO(hr__strdup(listing.paths[files->count], &files->files[files->count].path, err));
    files->digest = digest_listing(&listing);
    HR_GO(hr__files_acquire(files, 0, &first, err));
    status = make_schema(files, first, err);
    hr__files_release(files, 0);
    if (status == HR_OK) {
        *out = files;
        files = NULL;
    }
out:
    hr__files_unref(&files);
    hr__listing_free(&listing);
    return status;
}

hr_files *hr__files_ref(hr_files *files)
{
    atomic_fetch_add_explicit(&files->refs, 1, memory_order_relaxed);
    return files;
}

void hr__files_unref(hr_files **files)
{
    hr_files *f = *files;
    *files = NULL;
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < f->count; i++) {
        hr__reader_close(&f->files[i].reader);
        hr__free(f->files[i].fragments);
        hr__free(f->files[i].path);
    }
    hr__free(f->files);
    hr__free(f->row_numbers);
    hr_schema_unref(&f->schema);
    hr__cond_finish(&f->opened);
    hr__mutex_finish(&f->mutex);
    hr__free(f);
}

size_t hr__files_count(const hr_files *files)
{
    return files->count;
}
const hr_schema *hr__files_schema(const hr_files *files)
{
    return files->schema;
}
const char *hr__files_path(const hr_files *files, size_t index)
{
    return files->files[index].path;
}
uint64_t hr__files_digest(const hr_files *files)
{
    return files->digest;
}

hr_status hr__files_add_footers(hr_files *files, uint64_t *h, hr_error *err)
{
    HR_TRY(hr__files_open_all(files, err));
    for (size_t i = 0; i < files->count; i++) // once known, never changed
        *h = hr__hash64(&files->files[i].digest, sizeof files->files[i].digest, *h);
    return HR_OK;
}
