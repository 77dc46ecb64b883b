// SPDX-License-Identifier: Apache-2.0
// Streams that ranks share. The n-th request of each rank for a dataset with equal options reads the n-th pass.
//
// A pass is started by whoever asks first, with an end for each rank; the others find it. The next request starts
// another pass, whose first epoch continues the count, so that a loop over epochs that asks anew each time sees the
// orders that one feed over all of them would. Who leaves a pass early costs the others nothing. A dataset that is
// not split has passes of its own for each rank. A pass that finds no room waits for ranks that are behind to leave
// theirs.
//
// After a restart each rank's first request for a dataset goes on at the checkpoint's position: it is the request that
// was under way then, so the count of requests goes on from there too. All ranks have the same position: they share.
#include "train/train_parts.h"

#include "base/os.h"
#include <stdio.h>
#include <string.h>

#define WAIT_FOR_OTHERS_NS (60ull * 1000 * 1000 * 1000) // that take nothing meanwhile

static bool equal_positions(const hr_position *a, const hr_position *b)
{
    char x[HR_POSITION_BYTES_MAX], y[HR_POSITION_BYTES_MAX];
    return strcmp(hr_position_print(a, x), hr_position_print(b, y)) == 0;
}

static bool equal_keys(const hr_pass_key *a, const hr_pass_key *b)
{
    int64_t x[HR_WIRE_OPTIONS], y[HR_WIRE_OPTIONS];
    hr__wire_options_put(x, &a->options);
    hr__wire_options_put(y, &b->options);
    return a->dataset == b->dataset && memcmp(x, y, sizeof x) == 0 &&
           a->has_position == b->has_position &&
           (!a->has_position || equal_positions(&a->position, &b->position));
}

static const hr_trainer_dataset *find_dataset(const hr_trainer *trainer, const char *name)
{
    for (int32_t i = 0; i < trainer->options.dataset_count; i++)
        if (strcmp(trainer->options.datasets[i].name, name) == 0)
            return &trainer->options.datasets[i];
    return NULL;
}

static hr_status fail_dataset(const hr_trainer *trainer, const char *name, hr_error *err)
{
    hr_text names;
    hr__text_init(&names, 512);
    for (int32_t i = 0; i < trainer->options.dataset_count; i++)
        hr__text_add(&names, "%s'%s'", i > 0 ? ", " : "", trainer->options.datasets[i].name);
    hr_status status = HR_FAIL(err, HR_NOT_FOUND, "the trainer has no dataset '%s'; it has: %s",
                               name, names.bytes > 0 ? hr__text_str(&names) : "none");
    hr__text_finish(&names);
    return status;
}

// How many requests this rank has made with this key.
static hr_status find_count(hr_trainer *trainer, const hr_pass_key *key, hr_pass_count **out,
                            hr_error *err)
{
    hr_pass_count *count = trainer->counts;
    while (count && !equal_keys(&count->key, key))
        count = count->next;
    if (!count) {
        HR_TRY(hr__alloc_zero(1, sizeof *count, &count, err));
        hr_status status = hr__alloc_zero((size_t)trainer->worker_count, sizeof *count->requests,
                                          &count->requests, err);
        if (status != HR_OK) {
            hr__free(count);
            return status;
        }
        count->key = *key;
        count->next = trainer->counts;
        trainer->counts = count;
    }
    *out = count;
    return HR_OK;
}

// Epochs of one request; endless ones count as one.
static int64_t epochs_of(const hr_pass_key *key)
{
    return HR_MAX(key->options.epochs, (int64_t)1);
}

static int64_t epoch_of_first(const hr_pass_key *key)
{
    return key->has_position ? key->position.epoch : key->options.first_epoch;
}

// A request that goes on at a checkpoint's position: as many requests as came before its epoch were made already.
static int64_t requests_before(const hr_pass_key *key, const hr_position *position)
{
    int64_t epochs = position->epoch - epoch_of_first(key);
    return HR_MAX(epochs, (int64_t)0) / epochs_of(key);
}

static hr_status start_stream(hr_trainer *trainer, hr_shared_pass *pass, hr_error *err)
{
    const hr_pass_key *key = &pass->key;
    hr_stream_options options = key->options;
    int64_t epochs = epochs_of(key);
    options.ranks = key->dataset->split ? trainer->worker_count : 1;
    if (trainer->options.ingest_bytes > 0)
        options.prefetch_bytes = options.prefetch_bytes > 0
                                     ? HR_MIN(options.prefetch_bytes, trainer->options.ingest_bytes)
                                     : trainer->options.ingest_bytes;
    pass->first_epoch = epoch_of_first(key) + pass->number * epochs;
    if (pass->restored)
        pass->begins = hr__checkpoint_position(&trainer->restored, key->dataset->name);
    else if (pass->number == 0 && key->has_position)
        pass->begins = &key->position;
    options.position = pass->begins;
    if (pass->begins) {
        if (pass->restored && options.epochs > 0) // those of this request that are left
            options.epochs =
                epochs - HR_MAX(pass->begins->epoch - epoch_of_first(key), (int64_t)0) % epochs;
        pass->first_epoch = pass->begins->epoch;
    }
    options.first_epoch = pass->first_epoch;
    return hr__dataset_stream(key->dataset->dataset, &options, trainer->crew, &pass->stream, err);
}

static void pass_free(hr_shared_pass *pass)
{
    hr_stream_close(&pass->stream);
    hr__free(pass->asked);
    hr__free(pass->left);
    hr__free(pass);
}

hr_channel *hr__pass_channel(const hr_shared_pass *pass, int64_t rank)
{
    if (pass->only_rank >= 0 && pass->only_rank != rank)
        return NULL;
    return hr__stream_channel(pass->stream, pass->key.dataset->split ? rank : 0);
}

static int64_t stream_rank(const hr_shared_pass *pass, int64_t rank)
{
    return pass->key.dataset->split ? rank : 0;
}

static hr_status open_pass(hr_trainer *trainer, const hr_shared_pass *wanted, hr_shared_pass **out,
                           hr_error *err)
{
    hr_status status;
    hr_shared_pass *pass = NULL;
    size_t ranks = (size_t)trainer->worker_count;
    HR_TRY(hr__alloc_zero(1, sizeof *pass, &pass, err));
    *pass = *wanted; // `begins` points into the copy once it has started
    HR_GO(hr__alloc_zero(ranks, sizeof *pass->asked, &pass->asked, err));
    HR_GO(hr__alloc_zero(ranks, sizeof *pass->left, &pass->left, err));
    HR_GO(start_stream(trainer, pass, err));
    for (int64_t rank = 0; rank < trainer->worker_count; rank++) {
        bool served = pass->only_rank < 0 || pass->only_rank == rank;
        pass->left[rank] = !served || trainer->workers[rank].ended;
        if (served && pass->left[rank])
            hr__stream_abandon(pass->stream, stream_rank(pass, rank));
    }
    pass->next = trainer->passes;
    trainer->passes = pass;
    *out = pass;
    return HR_OK;
out:
    pass_free(pass);
    return status;
}

static bool is_wanted(const hr_shared_pass *pass, const hr_shared_pass *wanted)
{
    return pass->number == wanted->number && pass->restored == wanted->restored &&
           pass->only_rank == wanted->only_rank && equal_keys(&pass->key, &wanted->key);
}

hr_status hr__pass_request(hr_trainer *trainer, hr_worker *worker, uint32_t request,
                           const char *name, const hr_stream_options *options, hr_shared_pass **out,
                           hr_error *err)
{
    hr_shared_pass wanted = {.key = {.options = *options}};
    hr_pass_key *key = &wanted.key;
    hr_pass_count *count = NULL;
    key->dataset = find_dataset(trainer, name);
    if (!key->dataset)
        return fail_dataset(trainer, name, err);
    key->options.position = NULL;
    key->has_position = options->position != NULL;
    if (options->position)
        key->position = *options->position;
    HR_TRY(find_count(trainer, key, &count, err));
    bool *seen = &worker->restored[key->dataset - trainer->options.datasets];
    const hr_position *position = hr__checkpoint_position(&trainer->restored, name);
    wanted.restored = !*seen && position && !key->has_position;
    wanted.number =
        wanted.restored ? requests_before(key, position) : count->requests[worker->rank];
    wanted.only_rank = key->dataset->split ? -1 : worker->rank;
    hr_shared_pass *pass = trainer->passes;
    while (pass && !is_wanted(pass, &wanted))
        pass = pass->next;
    if (!pass)
        HR_TRY(open_pass(trainer, &wanted, &pass, err));
    *seen = true; // what was refused may be asked for again
    count->requests[worker->rank] = wanted.number + 1;
    pass->asked[worker->rank] = request;
    worker->left_rows = 0; // it lives: what it left, it left of its own will
    *out = pass;
    return HR_OK;
}

uint64_t hr__passes_progress(hr_trainer *trainer, const hr_worker *worker, bool *waiting_out)
{
    uint64_t delivered = (uint64_t)worker->batches;
    *waiting_out = worker->waiting != NULL;
    for (hr_shared_pass *pass = trainer->passes; pass; pass = pass->next) {
        if (!pass->asked[worker->rank] || pass->left[worker->rank])
            continue;
        hr_channel_state state;
        hr__channel_state(hr__pass_channel(pass, worker->rank), &state);
        delivered += state.delivered;
        *waiting_out |= state.waiting;
    }
    return delivered;
}

// -1 is not known.
static int64_t add_rows(int64_t a, int64_t b)
{
    return a < 0 || b < 0 ? -1 : a + b;
}

bool hr__pass_may_wait(hr_trainer *trainer, hr_worker *worker)
{
    uint64_t taken = 0, now = hr__now_ns();
    bool any = false;
    for (const hr_shared_pass *pass = trainer->passes; pass; pass = pass->next) {
        if (pass->asked[worker->rank] && !pass->left[worker->rank])
            continue; // it would not end by that
        for (int64_t rank = 0; rank < trainer->worker_count; rank++) {
            hr_channel_state state;
            if (rank == worker->rank || pass->left[rank] || trainer->workers[rank].waiting)
                continue;
            hr__channel_state(hr__pass_channel(pass, rank), &state);
            taken += state.delivered + 1;
            any = true;
        }
    }
    if (!worker->waiting || taken != worker->waiting_mark)
        worker->waiting_ns = now;
    worker->waiting_mark = taken;
    return any && now - worker->waiting_ns < WAIT_FOR_OTHERS_NS;
}

// Takes its figures, and gives its rank up.
static void leave(hr_shared_pass *pass, hr_worker *worker)
{
    hr_channel_state state;
    hr__channel_state(hr__pass_channel(pass, worker->rank), &state);
    worker->batches += (int64_t)state.delivered;
    worker->rows += (int64_t)state.delivered_rows;
    pass->left[worker->rank] = true;
    hr__stream_abandon(pass->stream, stream_rank(pass, worker->rank));
}

void hr__pass_leave(hr_trainer *trainer, hr_worker *worker, uint32_t request)
{
    for (hr_shared_pass *pass = trainer->passes; pass; pass = pass->next)
        if (request && pass->asked[worker->rank] == request && !pass->left[worker->rank])
            leave(pass, worker);
}

// The rank reads no more of this pass, and we were not told why.
static void lose(hr_shared_pass *pass, hr_worker *worker, bool died)
{
    if (pass->asked[worker->rank]) {
        int64_t rows = hr__stream_undelivered_rows(pass->stream, stream_rank(pass, worker->rank));
        if (died)
            worker->undelivered_rows = add_rows(worker->undelivered_rows, rows);
        else
            worker->left_rows = add_rows(worker->left_rows, rows);
    }
    leave(pass, worker);
}

int64_t hr__passes_rows(const hr_trainer *trainer)
{
    int64_t rows = 0;
    for (int64_t i = 0; i < trainer->worker_count; i++)
        rows += trainer->workers[i].rows; // of passes that it left
    for (const hr_shared_pass *pass = trainer->passes; pass; pass = pass->next)
        for (int64_t rank = 0; rank < trainer->worker_count; rank++) {
            hr_channel_state state;
            if (!pass->asked[rank] || pass->left[rank])
                continue;
            hr__channel_state(hr__pass_channel(pass, rank), &state);
            rows += (int64_t)state.delivered_rows;
        }
    return rows;
}

void hr__passes_leave(hr_trainer *trainer, hr_worker *worker, bool died)
{
    for (hr_shared_pass *pass = trainer->passes; pass; pass = pass->next)
        if (!pass->left[worker->rank])
            lose(pass, worker, died);
    if (died) // its socket may have closed before its process was reaped
        worker->undelivered_rows = add_rows(worker->undelivered_rows, worker->left_rows);
}

static void add_stats(hr_stream_stats *to, const hr_stream *stream)
{
    hr_stream_stats s;
    hr_stream_get_stats(stream, &s, sizeof s);
    to->storage_s += s.storage_s;
    to->decompress_s += s.decompress_s;
    to->decode_s += s.decode_s;
    to->transform_s += s.transform_s;
    to->function_s += s.function_s;
    to->batch_s += s.batch_s;
    to->spill_s += s.spill_s;
    to->memory_s += s.memory_s;
    to->rows += s.rows;
    to->blocks += s.blocks;
    to->batches += s.batches;
    to->dropped_rows += s.dropped_rows;
    to->padded_rows += s.padded_rows;
    to->memory_rows += s.memory_rows;
    to->reread_rows += s.reread_rows;
    to->source_bytes += s.source_bytes;
    to->revoked += s.revoked;
}

static void close_pass(hr_trainer *trainer, hr_shared_pass **at)
{
    hr_shared_pass *pass = *at;
    *at = pass->next;
    trainer->passes_closed++;
    add_stats(&trainer->stats, pass->stream);
    pass_free(pass);
}

void hr__passes_retire(hr_trainer *trainer)
{
    for (hr_shared_pass **at = &trainer->passes; *at;) {
        hr_shared_pass *pass = *at;
        bool needed = false;
        for (int64_t rank = 0; rank < trainer->worker_count; rank++) {
            if (pass->left[rank])
                continue;
            hr_channel_state state;
            hr__channel_state(hr__pass_channel(pass, rank), &state);
            if (pass->asked[rank] && state.attached && state.gone)
                lose(pass, &trainer->workers[rank], false);
            else
                needed = true;
        }
        if (needed)
            at = &pass->next;
        else
            close_pass(trainer, at);
    }
}

void hr__passes_close(hr_trainer *trainer)
{
    while (trainer->passes)
        close_pass(trainer, &trainer->passes);
    while (trainer->counts) {
        hr_pass_count *count = trainer->counts;
        trainer->counts = count->next;
        hr__free(count->requests);
        hr__free(count);
    }
}
