// SPDX-License-Identifier: Apache-2.0
#include "feed/run_log.h"

#include "base/hash.h"
#include "base/os.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define LINE_BYTES 128

struct hr_digest {
    int fd;
    char *path;
    uint64_t end; // of what is written
    uint64_t running;
    hr_text lines; // not written yet
};

static hr_status begin(hr_digest *d, int64_t rank, uint64_t plan_hash, uint64_t seed, hr_error *err)
{
    struct stat st;
    char last = '\n';
    size_t read;
    if (fstat(d->fd, &st) != 0)
        return hr__error_errno(err, errno, "%s", d->path);
    d->end = (uint64_t)st.st_size;
    if (d->end)
        HR_TRY(hr__pread_full(d->fd, &last, 1, d->end - 1, &read, err));
    if (last != '\n') // whoever wrote it was killed
        hr__text_char(&d->lines, '\n');
    hr__text_add(&d->lines, "# headrace digest 1 rank %lld plan %016llx seed %llu\n",
                 (long long)rank, (unsigned long long)plan_hash, (unsigned long long)seed);
    return HR_OK;
}

hr_status hr__digest_open(const char *folder, int64_t rank, uint64_t plan_hash, uint64_t seed,
                          hr_digest **out, hr_error *err)
{
    hr_status status;
    hr_digest *d = NULL;
    hr_text path;
    HR_TRY(hr__alloc_zero(1, sizeof *d, &d, err));
    d->fd = -1;
    hr__text_init(&d->lines, 2 * PAGE_BYTES);
    hr__text_init(&path, 4096);
    hr__text_add(&path, "%s/rank-%lld.digest", folder, (long long)rank);
    HR_GO(hr__text_take(&path, &d->path, err));
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        status = hr__error_errno(err, errno, "digest folder %s", folder);
        goto out;
    }
    HR_GO(hr__open_file(d->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666, &d->fd, err));
    HR_GO(begin(d, rank, plan_hash, seed, err));
    *out = d;
    return HR_OK;
out:
    hr__text_finish(&path);
    hr__digest_close(&d);
    return status;
}

hr_status hr__digest_flush(hr_digest *digest, hr_error *err)
{
    if (digest->lines.failed)
        return HR_FAIL(err, HR_NOMEM, "no memory for the digest's lines");
    HR_TRY(hr__pwrite_full(digest->fd, hr__text_str(&digest->lines), digest->lines.bytes,
                           digest->end, err));
    digest->end += digest->lines.bytes;
    hr__text_clear(&digest->lines);
    return HR_OK;
}

hr_status hr__digest_add(hr_digest *digest, const hr_batch *batch, hr_error *err)
{
    uint64_t words[5] = {digest->running, (uint64_t)hr_batch_epoch(batch),
                         (uint64_t)hr_batch_step(batch), (uint64_t)hr_batch_rows(batch),
                         hr_batch_checksum(batch)};
    digest->running = hr__hash64(words, sizeof words, 0);
    hr__text_add(&digest->lines, "%llu %llu %llu %016llx %016llx\n", (unsigned long long)words[1],
                 (unsigned long long)words[2], (unsigned long long)words[3],
                 (unsigned long long)words[4], (unsigned long long)digest->running);
    return digest->lines.bytes + LINE_BYTES > PAGE_BYTES ? hr__digest_flush(digest, err) : HR_OK;
}

void hr__digest_close(hr_digest **digest)
{
    hr_digest *d = *digest;
    *digest = NULL;
    if (!d)
        return;
    if (d->fd >= 0 && hr__digest_flush(d, NULL) != HR_OK)
        hr__text_clear(&d->lines); // the disk is full, and its reader was told before
    hr__close_fd(&d->fd);
    hr__text_finish(&d->lines);
    hr__free(d->path);
    hr__free(d);
}
