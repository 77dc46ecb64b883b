// SPDX-License-Identifier: Apache-2.0
// The least the seed's job can do: tensors of a range, times two, times two, every word of the result read.
//
//     limit_seed [--threads 2] [--blocks 40] [--rows 500] [--words 25600] [--passes 5]
//
// Row r of the range is r in each of its words. A thread makes the words of a row in first-level cache, multiplies them
// twice (by numbers that the compiler does not know) into one of its two block buffers, which are warm, and sums the
// block when it is complete, as a trainer would that takes it whole.
#include "limit_common.h"

#define CHUNK_WORDS 2048

typedef struct seed_job {
    uint64_t blocks, rows, words;
    uint64_t a, b;
    uint64_t *buffers[LIMIT_THREADS_MAX][2];
} seed_job;

static void make_row(uint64_t *out, uint64_t words, uint64_t row, uint64_t a, uint64_t b)
{
    uint64_t source[CHUNK_WORDS];
    for (size_t i = 0; i < CHUNK_WORDS; i++)
        source[i] = row;
    __asm__ volatile("" : : "r"(source) : "memory"); // they may be anything now
    for (uint64_t at = 0; at < words; at += CHUNK_WORDS) {
        uint64_t count = words - at < CHUNK_WORDS ? words - at : CHUNK_WORDS;
        for (uint64_t i = 0; i < count; i++)
            out[at + i] = source[i] * a * b;
    }
}

static void run(limit_worker *worker)
{
    seed_job *job = worker->job;
    int turn = 0;
    for (uint64_t block = (uint64_t)worker->index; block < job->blocks;
         block += (uint64_t)worker->count) {
        uint64_t *out = job->buffers[worker->index][turn ^= 1];
        for (uint64_t row = 0; row < job->rows; row++)
            make_row(out + row * job->words, job->words, block * job->rows + row, job->a, job->b);
        worker->sum += limit_sum(out, job->rows * job->words * 8);
    }
}

int main(int argc, char **argv)
{
    static seed_job job;
    volatile uint64_t two = 2;
    int threads = limit_threads(argc, argv);
    job.blocks = limit_option(argc, argv, "--blocks", 40);
    job.rows = limit_option(argc, argv, "--rows", 500);
    job.words = limit_option(argc, argv, "--words", 25600);
    job.a = two, job.b = two;
    size_t block_bytes = job.rows * job.words * 8;
    for (int t = 0; t < threads; t++)
        for (int i = 0; i < 2; i++)
            job.buffers[t][i] = limit_warm(block_bytes);
    limit_report("limit_seed", run, &job, threads, limit_passes(argc, argv),
                 (double)block_bytes * (double)job.blocks);
    return 0;
}
