/* SPDX-License-Identifier: Apache-2.0
 * What the coordinator does with failures, nonsense, full tables and no
 * memory. */
#include "unit/state/coordinator_fixture.h"

static void failures_of_a_minority_are_borne(void **state)
{
    struct fixture *fixture = *state;

    network_replica(&fixture->network, 1)->fault = STATE_STATUS_NO_SPACE;
    write_now(fixture, 1, 1, "one");
    network_replica(&fixture->network, 2)->fault = STATE_STATUS_NO_SPACE;
    start_write(fixture, 1, 2, "two");
    run(fixture);
    assert_completed(fixture, ERR_NO_SPACE, 0, 0);
    network_replica(&fixture->network, 1)->fault = STATE_STATUS_CORRUPT;
    network_replica(&fixture->network, 2)->fault = STATE_STATUS_CORRUPT;
    start_other(fixture, 0, STATE_SEAL, 4);
    run(fixture);
    assert_completed(fixture, ERR_CORRUPT, 0, 0);
    network_replica(&fixture->network, 1)->fault = STATE_STATUS_IO;
    network_replica(&fixture->network, 2)->fault = STATE_STATUS_IO;
    start_other(fixture, 0, STATE_READ, 0);
    run(fixture);
    assert_completed(fixture, ERR_IO, 0, 0);
}

static void a_value_damaged_on_its_way_back_is_not_used(void **state)
{
    struct fixture *fixture = *state;

    write_now(fixture, 1, 1, "one");
    network_replica(&fixture->network, 1)->value[0] ^= 1;
    start_other(fixture, 0, STATE_READ, 0);
    run(fixture);
    assert_value(fixture, "one");
    assert_completed(fixture, 0, 1, 1);
    network_replica(&fixture->network, 2)->value[0] ^= 1;
    start_other(fixture, 0, STATE_READ, 0);
    run(fixture);
    assert_completed(fixture, ERR_CORRUPT, 0, 0);
}

static void requests_that_cannot_be_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct state_request request = make_request(fixture, STATE_SEAL, 4);

    request.replicas[2] = 1;
    assert_err(network_start(&fixture->network, 0, &request), ERR_BADARG);
    request = make_request(fixture, STATE_SEAL, 0);
    assert_err(network_start(&fixture->network, 0, &request), ERR_BADARG);
    request = make_request(fixture, STATE_SEAL, UINT64_MAX);
    assert_err(network_start(&fixture->network, 0, &request), ERR_BADARG);
    request = make_request(fixture, STATE_SEAL, 4);
    request.replica_count = 0;
    assert_err(network_start(&fixture->network, 0, &request), ERR_BADARG);
    request = make_request(fixture, STATE_SEAL, 4);
    request.id.size = 0;
    assert_err(network_start(&fixture->network, 0, &request), ERR_BADARG);
    request = make_request(fixture, STATE_WRITE, 4);
    request.value = bytes_of("", (size_t)STATE_SIZE_MAX + 1);
    assert_err(network_start(&fixture->network, 0, &request), ERR_LIMIT);
    assert_int_equal(state_deadline_ms(fixture->network.tables[0]), UINT64_MAX);
}

static int receive(struct fixture *fixture, uint64_t from,
                   const struct state_message *message)
{
    struct state_effects effects;
    struct buf buf;
    int rv;

    buf_init(&buf, STATE_MESSAGE_SIZE_MAX);
    assert_ok(state_message_encode(message, &buf));
    rv = state_receive(fixture->network.tables[0], from, buf_bytes(&buf), NULL,
                       0, &effects);
    buf_close(&buf);
    if (rv == 0) {
        network_carry_out(&fixture->network, 0, &effects);
    } else {
        assert_int_equal(effects.send_count, 0);
        assert_int_equal(effects.completion_count, 0);
    }
    return rv;
}

static void answers_out_of_place_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct state_request request = make_request(fixture, STATE_WRITE, 4);
    struct state_message wire;
    struct state_message answer = {.kind = STATE_KIND_WRITE_ACK};
    struct state_effects effects;

    request.seq = 1;
    assert_ok(state_start(fixture->network.tables[0], &request, 0, &effects));
    assert_ok(state_message_decode(effects.sends[0].message, &wire));
    answer.ticket = wire.ticket;
    assert_ok(receive(fixture, 9, &answer)); /* not a replica of it */
    answer.ticket++;
    assert_ok(receive(fixture, 1, &answer)); /* no such operation */
    answer.ticket = wire.ticket;
    answer.kind = STATE_KIND_READ_ACK;
    assert_ok(receive(fixture, 1, &answer)); /* was not asked */
    answer.kind = STATE_KIND_WRITE_ACK;
    answer.status = STATE_STATUS_STALE_EPOCH;
    answer.promised = 4;
    assert_err(receive(fixture, 1, &answer), ERR_MALFORMED);
    answer.status = STATE_STATUS_STALE_BALLOT;
    assert_err(receive(fixture, 1, &answer), ERR_MALFORMED);
    answer.status = STATE_STATUS_STALE_VERSION;
    assert_err(receive(fixture, 1, &answer), ERR_MALFORMED);
    answer = (struct state_message){.kind = STATE_KIND_READ,
                                    .id = bytes_of_string("x")};
    assert_err(receive(fixture, 1, &answer), ERR_MALFORMED);
    answer = (struct state_message){.kind = STATE_KIND_WRITE_ACK,
                                    .ticket = wire.ticket};
    assert_ok(receive(fixture, 1, &answer));
    assert_ok(receive(fixture, 1, &answer)); /* counts once */
    assert_int_equal(fixture->count, 0);
    assert_ok(receive(fixture, 2, &answer));
    assert_completed(fixture, 0, 4, 1);
}

static void full_tables_are_busy_and_end_in_bounded_steps(void **state)
{
    struct fixture *fixture = *state;
    struct state_table *table = fixture->network.tables[0];
    struct state_request request = make_request(fixture, STATE_READ, 0);
    struct state_effects effects;
    size_t ended = 0;

    for (size_t i = 0; i < STATE_OPERATIONS_MAX; i++) {
        assert_ok(state_start(table, &request, 0, &effects));
    }
    assert_err(state_start(table, &request, 0, &effects), ERR_BUSY);
    while (state_deadline_ms(table) <= DEADLINE_MS) {
        assert_ok(state_tick(table, DEADLINE_MS, &effects));
        assert_true(effects.completion_count > 0);
        assert_true(effects.completion_count <= 1024);
        for (size_t i = 0; i < effects.completion_count; i++) {
            assert_err(effects.completions[i].rv, ERR_TIMEOUT);
        }
        ended += effects.completion_count;
    }
    assert_int_equal(ended, STATE_OPERATIONS_MAX);
    assert_ok(state_start(table, &request, DEADLINE_MS, &effects));
}

static void a_start_without_memory_starts_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct state_request request = make_request(fixture, STATE_WRITE, 1);
    uint64_t failures = 0;
    int rv;

    request.value = bytes_of_string("one");
    do {
        mem_fail_after(failures);
        rv = network_start(&fixture->network, 0, &request);
        mem_fail_after(UINT64_MAX);
        if (rv != 0) {
            assert_err(rv, ERR_NOMEM);
            assert_int_equal(state_deadline_ms(fixture->network.tables[0]),
                             UINT64_MAX);
            failures++;
        }
    } while (rv != 0);
    assert_true(failures >= 3);
    run(fixture);
    assert_completed(fixture, 0, 1, 1);
}

static void an_answer_without_memory_counts_as_lost(void **state)
{
    struct fixture *fixture = *state;
    struct network *network = &fixture->network;
    struct state_effects effects;
    struct network_message wire;

    write_now(fixture, 1, 1, "one");
    /* The other table has no memory left over from earlier requests. */
    start_other(fixture, 1, STATE_SEAL, 4);
    for (size_t i = 0; i < 3; i++) {
        network_deliver(network, 0, false);
    }
    while (network->pool_count > 0) {
        wire = network->pool[--network->pool_count];
        mem_fail_after(0);
        assert_err(state_receive(network->tables[1], wire.from,
                                 bytes_of(wire.bytes, wire.size), NULL,
                                 network->now_ms, &effects),
                   ERR_NOMEM);
        mem_fail_after(UINT64_MAX);
    }
    assert_int_equal(fixture->count, 0);
    pass(fixture, STATE_RETRY_MS);
    assert_value(fixture, "one");
    assert_completed(fixture, 0, 4, 0);
}

static void a_table_without_memory_is_not_made(void **state)
{
    struct state_table *table = NULL;

    (void)state;
    mem_fail_after(0);
    assert_err(state_table_new(1, 2, &table), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_null(table);
    state_table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(failures_of_a_minority_are_borne),
        TEST(a_value_damaged_on_its_way_back_is_not_used),
        TEST(requests_that_cannot_be_are_refused),
        TEST(answers_out_of_place_change_nothing),
        TEST(full_tables_are_busy_and_end_in_bounded_steps),
        TEST(a_start_without_memory_starts_nothing),
        TEST(an_answer_without_memory_counts_as_lost),
        cmocka_unit_test(a_table_without_memory_is_not_made),
    };

    return cmocka_run_group_tests_name("state_coordinator_failure", tests, NULL,
                                       NULL);
}
