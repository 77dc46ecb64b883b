// SPDX-License-Identifier: Apache-2.0
// How fast the disk under a folder takes sequential writes that go past the page cache.
//
//     raw_write DIR [--mib 1024] [--passes 5] [--block-kib 4096]
//
// Each pass writes a new file with O_DIRECT, waits for fdatasync, and removes it. Ends with 77 where the file system
// has no O_DIRECT.
#include "limit_common.h"
#include <fcntl.h>
#include <unistd.h>

typedef struct write_job {
    const char *folder;
    uint8_t *block;
    size_t block_bytes;
    uint64_t bytes;
} write_job;

static void run(limit_worker *worker)
{
    write_job *job = worker->job;
    char path[4096];
    snprintf(path, sizeof path, "%s/.raw_write.%ld", job->folder, (long)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EINVAL) {
        fprintf(stderr, "skipped: %s has no O_DIRECT\n", job->folder);
        unlink(path);
        exit(77);
    }
    if (fd < 0)
        limit_die(path);
    for (uint64_t at = 0; at < job->bytes; at += job->block_bytes) {
        ssize_t put = pwrite(fd, job->block, job->block_bytes, (off_t)at);
        if (put != (ssize_t)job->block_bytes) {
            unlink(path);
            limit_die("pwrite");
        }
    }
    int failed = fdatasync(fd);
    unlink(path);
    close(fd);
    if (failed)
        limit_die("fdatasync");
}

int main(int argc, char **argv)
{
    static write_job job;
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: raw_write DIR [--mib 1024] [--passes 5] [--block-kib 4096]\n");
        return 2;
    }
    job.folder = argv[1];
    job.block_bytes = limit_option(argc, argv, "--block-kib", 4096) << 10;
    uint64_t blocks = (limit_option(argc, argv, "--mib", 1024) << 20) / job.block_bytes;
    job.bytes = (blocks ? blocks : 1) * job.block_bytes;
    job.block = limit_warm(job.block_bytes); // page-aligned, as O_DIRECT wants it
    for (size_t i = 0; i < job.block_bytes; i++)
        job.block[i] = (uint8_t)(i * 2654435761u >> 11);
    limit_report("raw_write", run, &job, 1, limit_passes(argc, argv), (double)job.bytes);
    return 0;
}
