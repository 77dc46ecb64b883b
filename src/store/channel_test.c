// SPDX-License-Identifier: Apache-2.0
// Channels and ports in one process.
#include "base/thread.h"
#include "store/channel.h"
#include "store/port.h"
#include "store/store_test_support.h"

static hr_descriptor batch(hr_object_id id, uint64_t step)
{
    return (hr_descriptor){.kind = HR_DESCRIPTOR_BATCH, .step = step, .object = id, .rows = 8};
}

static hr_channel *open_channel(hr_store *store, uint32_t slots)
{
    hr_schema *schema = test_schema();
    hr_channel *channel = NULL;
    assert_int_equal(hr__channel_open(store, schema, slots, 64 * MIB, &channel, NULL), HR_OK);
    hr_schema_unref(&schema);
    return channel;
}

static void push(hr_channel *channel, const hr_descriptor *d, hr_status want)
{
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr__channel_push(channel, d, &err), want);
}

static void channel__hands_over_in_order_and_takes_leases_back(void **unused)
{
    test_store t;
    test_store_open(&t, 16 * MIB, 64 * MIB, NULL);
    hr_channel *channel = open_channel(t.store, 4);
    hr_port *port = NULL;
    assert_int_equal(hr__port_open_local(channel, &port, NULL), HR_OK);
    for (uint64_t step = 0; step < 100; step++) {
        hr_descriptor d = batch(make_object(t.store, 64 << 10, step), step);
        push(channel, &d, HR_OK);
        hr_lease lease;
        assert_int_equal(hr__port_next(port, 0, &lease, NULL), HR_OK);
        assert_int_equal(lease.descriptor.step, step);
        assert_true(has_pattern(lease.span, lease.span_bytes, step));
        assert_int_equal(hr__port_leased_bytes(port), 64 << 10);
        hr__port_release(port, &lease);
    }
    hr_channel_state state;
    hr__channel_state(channel, &state);
    assert_int_equal(state.delivered, 100);
    assert_int_equal(state.delivered_rows, 800);
    assert_int_equal(state.leased_bytes, 0);
    assert_int_equal(state.step, 100);
    hr_store_stats stats;
    hr__store_stats(t.store, &stats);
    assert_int_equal(stats.object_count, 0);
    hr__channel_finish(channel, HR_END, NULL);
    hr_lease lease;
    assert_int_equal(hr__port_next(port, UINT64_MAX, &lease, NULL), HR_END);
    hr__port_close(&port);
    hr__channel_close(&channel);
    test_store_close(&t);
}

static void channel__is_bounded_by_slots_and_not_by_kept_leases(void **unused)
{
    test_store t;
    hr_lease leases[10];
    test_store_open(&t, 16 * MIB, 64 * MIB, NULL);
    hr_channel *channel = open_channel(t.store, 2);
    hr_port *port = NULL;
    assert_int_equal(hr__port_open_local(channel, &port, NULL), HR_OK);
    for (uint64_t step = 0; step < 10; step += 2) {
        hr_descriptor a = batch(make_object(t.store, 4096, step), step);
        hr_descriptor b = batch(make_object(t.store, 4096, step + 1), step + 1);
        hr_descriptor c = batch(make_object(t.store, 4096, 99), 99);
        push(channel, &a, HR_OK);
        push(channel, &b, HR_OK);
        push(channel, &c, HR_AGAIN);
        hr__store_unref(t.store, c.object);
        assert_int_equal(hr__port_next(port, 0, &leases[step], NULL), HR_OK);
        assert_int_equal(hr__port_next(port, 0, &leases[step + 1], NULL), HR_OK);
        hr_lease none;
        assert_int_equal(hr__port_next(port, 0, &none, NULL), HR_TIMEOUT);
    }
    for (uint64_t step = 0; step < 10; step++)
        assert_true(has_pattern(leases[step].span, leases[step].span_bytes, step));
    for (int i = 9; i >= 0; i -= 2)
        hr__port_release(port, &leases[i]);
    hr__port_close(&port); // the others come back with it
    hr_channel_state state;
    hr__channel_state(channel, &state);
    assert_true(state.gone);
    assert_int_equal(state.leased_bytes, 0);
    hr_descriptor d = batch(make_object(t.store, 4096, 1), 1);
    push(channel, &d, HR_END);
    hr__store_unref(t.store, d.object);
    hr_store_stats stats;
    hr__store_stats(t.store, &stats);
    assert_int_equal(stats.object_count, 0);
    hr__channel_close(&channel);
    test_store_close(&t);
}

static void channel__counts_views_of_one_object_once(void **unused)
{
    test_store t;
    hr_lease leases[3];
    test_store_open(&t, 16 * MIB, 64 * MIB, NULL);
    hr_channel *channel = open_channel(t.store, 4);
    hr_port *port = NULL;
    assert_int_equal(hr__port_open_local(channel, &port, NULL), HR_OK);
    hr_object_id id = make_object(t.store, MIB, 7);
    for (uint64_t i = 0; i < 3; i++) {
        hr_descriptor d = batch(id, i);
        hr__store_ref(t.store, id);
        push(channel, &d, HR_OK);
        assert_int_equal(hr__port_next(port, 0, &leases[i], NULL), HR_OK);
    }
    hr__store_unref(t.store, id);
    assert_int_equal(hr__port_leased_bytes(port), MIB);
    hr__port_release(port, &leases[1]);
    assert_int_equal(hr__port_leased_bytes(port), MIB);
    hr__port_release(port, &leases[0]);
    hr__port_release(port, &leases[2]);
    assert_int_equal(hr__port_leased_bytes(port), 0);
    hr__channel_close(&channel);
    hr_lease lease;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr__port_next(port, UINT64_MAX, &lease, &err), HR_CANCELLED);
    assert_non_null(strstr(err.message, "closed by the runtime"));
    hr__port_close(&port);
    test_store_close(&t);
}

static void take_back(void *context, const hr_descriptor *d)
{
    uint64_t **at = context;
    *(*at)++ = d->step;
}

static void channel__revokes_newest_first_and_the_consumer_goes_on(void **unused)
{
    test_store t;
    test_store_open(&t, 16 * MIB, 64 * MIB, NULL);
    hr_channel *channel = open_channel(t.store, 8);
    hr_port *port = NULL;
    assert_int_equal(hr__port_open_local(channel, &port, NULL), HR_OK);
    hr_object_id ids[6];
    for (uint64_t i = 0; i < 6; i++) {
        ids[i] = make_object(t.store, 4096, i);
        hr_descriptor d = batch(ids[i], i);
        push(channel, &d, HR_OK);
    }
    uint64_t steps[6] = {0}, *at = steps;
    hr__channel_revoke(channel, 2, take_back, &at);
    assert_int_equal(at - steps, 4);
    assert_int_equal(steps[0], 5);
    assert_int_equal(steps[3], 2);
    for (int i = 2; i < 6; i++)
        hr__store_unref(t.store, ids[i]); // ours again
    hr_descriptor again = batch(make_object(t.store, 4096, 42), 2);
    push(channel, &again, HR_OK);
    for (uint64_t i = 0; i < 3; i++) {
        hr_lease lease;
        assert_int_equal(hr__port_next(port, 0, &lease, NULL), HR_OK);
        assert_int_equal(lease.descriptor.step, i);
        assert_true(has_pattern(lease.span, lease.span_bytes, i < 2 ? i : 42));
        hr__port_release(port, &lease);
    }
    hr__channel_close(&channel);
    hr__port_close(&port);
    test_store_close(&t);
}

static void channel__epoch_ends_lease_nothing_and_errors_arrive(void **unused)
{
    test_store t;
    test_store_open(&t, 16 * MIB, 64 * MIB, NULL);
    hr_channel *channel = open_channel(t.store, 8);
    hr_port *port = NULL;
    assert_int_equal(hr__port_open_local(channel, &port, NULL), HR_OK);
    hr_descriptor end = {.kind = HR_DESCRIPTOR_EPOCH_END, .epoch = 3, .row_index = 17};
    push(channel, &end, HR_OK);
    hr__channel_finish(channel, HR_CORRUPT, "page 3: bad");
    hr_lease lease;
    hr_error err = HR_ERROR_INIT;
    assert_int_equal(hr__port_next(port, 0, &lease, NULL), HR_OK);
    assert_int_equal(lease.descriptor.kind, HR_DESCRIPTOR_EPOCH_END);
    hr__port_release(port, &lease);
    hr_channel_state state;
    hr__channel_state(channel, &state);
    assert_int_equal(state.epoch, 4);
    assert_int_equal(hr__port_next(port, 0, &lease, &err), HR_CORRUPT);
    assert_string_equal(err.message, "page 3: bad");
    push(channel, &end, HR_INVALID);
    hr__channel_close(&channel);
    hr__port_close(&port);
    test_store_close(&t);
}

// What a hostile consumer writes into the ring is passed over.
static void channel__a_hostile_consumer_harms_only_itself(void **unused)
{
    test_store t;
    test_store_open(&t, 16 * MIB, 64 * MIB, NULL);
    hr_channel *channel = open_channel(t.store, 4);
    hr_port *port = NULL;
    assert_int_equal(hr__port_open_local(channel, &port, NULL), HR_OK);
    hr_ring *ring = channel->ring;
    hr_descriptor d = batch(make_object(t.store, 4096, 1), 0);
    push(channel, &d, HR_OK);
    // Numbers that are none, numbers that are not out, and one twice.
    uint32_t lies[] = {UINT32_MAX, 0, 5, 5, channel->leases};
    for (uint32_t i = 0; i < 5; i++)
        atomic_store(hr__ring_return(ring, 4, channel->leases, i), lies[i]);
    atomic_store(&ring->return_tail, 5);
    for (uint32_t i = 0; i < 4; i++)
        atomic_store(&hr__ring_slot(ring, 4, i)->state, i ? HR_RING_TAKEN : 77);
    hr_channel_state state;
    hr__channel_state(channel, &state);
    assert_int_equal(state.undelivered, 1);
    assert_int_equal(state.delivered, 0);
    atomic_store(&ring->return_tail, 0x7fffffff); // more than there are
    hr__channel_state(channel, &state);
    hr__port_close(&port);
    hr__channel_close(&channel);
    hr_store_stats stats;
    hr__store_stats(t.store, &stats);
    assert_int_equal(stats.object_count, 0);
    test_store_close(&t);
}

// --- two threads: pushes and revocations against takes and releases ---

typedef struct race {
    test_store t;
    hr_channel *channel;
    hr_port *port;
    uint64_t taken;
    bool wrong;
} race;

static void consume(void *context)
{
    race *r = context;
    hr_lease kept[3];
    int count = 0;
    for (;;) {
        hr_lease lease;
        if (hr__port_next(r->port, UINT64_MAX, &lease, NULL) != HR_OK)
            break;
        if (lease.descriptor.step != r->taken ||
            !has_pattern(lease.span, lease.span_bytes, lease.descriptor.step))
            r->wrong = true;
        r->taken++;
        kept[count++] = lease;
        if (count == 3)
            while (count)
                hr__port_release(r->port, &kept[--count]);
    }
    while (count)
        hr__port_release(r->port, &kept[--count]);
}

typedef struct revoked {
    hr_store *store;
    uint64_t next;
} revoked;

static void note_revoked(void *context, const hr_descriptor *d)
{
    revoked *r = context;
    r->next = d->step;
    hr__store_unref(r->store, d->object);
}

static void channel__survives_revocation_against_a_taking_consumer(void **unused)
{
    race r = {0};
    hr_thread thread = {0};
    test_store_open(&r.t, 16 * MIB, 64 * MIB, NULL);
    r.channel = open_channel(r.t.store, 8);
    assert_int_equal(hr__port_open_local(r.channel, &r.port, NULL), HR_OK);
    assert_int_equal(hr__thread_start(&thread, "consumer", HR_THREAD_NORMAL, consume, &r, NULL),
                     HR_OK);
    uint64_t steps = 20000, next = 0;
    while (next < steps) {
        hr_descriptor d = batch(make_object(r.t.store, 4096, next), next);
        hr_status status = hr__channel_push(r.channel, &d, NULL);
        if (status == HR_OK) {
            next++;
        } else {
            assert_int_equal(status, HR_AGAIN);
            hr__store_unref(r.t.store, d.object);
        }
        if (status == HR_AGAIN || next % 7 == 0) {
            revoked back = {r.t.store, next};
            hr__channel_revoke(r.channel, (uint32_t)(next % 3), note_revoked, &back);
            next = back.next;
        }
    }
    hr__channel_finish(r.channel, HR_END, NULL);
    hr__thread_join(&thread);
    assert_false(r.wrong);
    assert_int_equal(r.taken, steps);
    hr__port_close(&r.port);
    hr__channel_close(&r.channel);
    hr_store_stats stats;
    hr__store_stats(r.t.store, &stats);
    assert_int_equal(stats.object_count, 0);
    assert_int_equal(stats.leased_bytes, 0);
    test_store_close(&r.t);
}

// A private mapping shows its writer's bytes to nobody, and a recycled extent shows its fresh bytes.
static void port__private_bytes_are_forgotten_with_the_lease(void **unused)
{
    test_store t;
    test_store_open(&t, 16 * MIB, 64 * MIB, NULL);
    hr_channel *channel = open_channel(t.store, 4);
    hr_port *port = NULL;
    const uint8_t *first = NULL;
    assert_int_equal(hr__port_open_local(channel, &port, NULL), HR_OK);
    for (uint64_t round = 0; round < 3; round++) {
        hr_descriptor d = batch(make_object(t.store, MIB, round), round);
        hr_lease lease;
        void *memory = NULL;
        push(channel, &d, HR_OK);
        assert_int_equal(hr__port_next(port, 0, &lease, NULL), HR_OK);
        if (round == 0)
            first = lease.span;
        assert_ptr_equal(lease.span, first); // the same extent comes again: warm pages first
        assert_int_equal(hr__port_private(port, &lease, &memory, NULL), HR_OK);
        assert_true(has_pattern(memory, MIB, round));
        memset(memory, 0xee, MIB);
        assert_true(has_pattern(lease.span, MIB, round));
        hr__port_release(port, &lease);
    }
    hr__port_close(&port);
    hr__channel_close(&channel);
    test_store_close(&t);
}

// Batches of one object share a private mapping: it goes with the last of them, and no row is handed out in it twice.
static void port__what_was_written_stays_while_its_neighbours_go(void **unused)
{
    test_store t;
    test_store_open(&t, 16 * MIB, 64 * MIB, NULL);
    hr_channel *channel = open_channel(t.store, 4);
    hr_port *port = NULL;
    hr_lease leases[3];
    void *memory[3];
    assert_int_equal(hr__port_open_local(channel, &port, NULL), HR_OK);
    for (int round = 0; round < 2; round++) {
        const int64_t rows_at[] = {0, 4, 0}; // the third one's rows are the first one's
        hr_object_id id = make_object(t.store, MIB, 7);
        for (int i = 0; i < 3; i++) {
            hr_descriptor d = batch(id, (uint64_t)i);
            d.first_row = rows_at[i];
            d.rows = 4;
            if (i > 0)
                hr__store_ref(t.store, id);
            push(channel, &d, HR_OK);
            assert_int_equal(hr__port_next(port, 0, &leases[i], NULL), HR_OK);
            assert_int_equal(hr__port_private(port, &leases[i], &memory[i], NULL), HR_OK);
        }
        assert_true(has_pattern(memory[0], MIB, 7));
        assert_ptr_equal(memory[1], memory[0]);
        assert_null(memory[2]);
        memset(memory[0], 0xee, MIB / 2);
        hr__port_release(port, &leases[1]);
        hr__port_release(port, &leases[2]);
        assert_int_equal(((const uint8_t *)memory[0])[MIB / 2 - 1], 0xee);
        hr__port_release(port, &leases[0]);
    }
    hr__port_close(&port);
    hr__channel_close(&channel);
    test_store_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channel__hands_over_in_order_and_takes_leases_back),
        cmocka_unit_test(channel__is_bounded_by_slots_and_not_by_kept_leases),
        cmocka_unit_test(channel__counts_views_of_one_object_once),
        cmocka_unit_test(channel__revokes_newest_first_and_the_consumer_goes_on),
        cmocka_unit_test(channel__epoch_ends_lease_nothing_and_errors_arrive),
        cmocka_unit_test(channel__a_hostile_consumer_harms_only_itself),
        cmocka_unit_test(channel__survives_revocation_against_a_taking_consumer),
        cmocka_unit_test(port__private_bytes_are_forgotten_with_the_lease),
        cmocka_unit_test(port__what_was_written_stays_while_its_neighbours_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
