/* SPDX-License-Identifier: Apache-2.0
 * The coordinator, one situation at a time. */
#include "unit/state/coordinator_fixture.h"

static void a_write_is_done_at_a_majority(void **state)
{
    struct fixture *fixture = *state;

    start_write(fixture, 1, 1, "one");
    assert_int_equal(fixture->network.pool_count, 3);
    network_deliver(&fixture->network, 0, false);
    network_deliver(&fixture->network, 2, false);
    assert_int_equal(fixture->count, 0);
    network_deliver(&fixture->network, 0, false);
    assert_int_equal(fixture->count, 0);
    run(fixture);
    assert_completed(fixture, 0, 1, 1);
}

static void one_message_serves_all_replicas(void **state)
{
    struct fixture *fixture = *state;
    struct state_request request = make_request(fixture, STATE_WRITE, 1);
    struct state_effects effects;

    request.seq = 1;
    request.value = bytes_of_string("one");
    assert_ok(state_start(fixture->network.tables[0], &request, 0, &effects));
    assert_int_equal(effects.send_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(effects.sends[i].to, i + 1);
        assert_ptr_equal(effects.sends[i].message.data,
                         effects.sends[0].message.data);
        assert_true(state_message_is_request(effects.sends[i].message));
    }
}

static void the_silent_are_asked_again_until_the_deadline(void **state)
{
    struct fixture *fixture = *state;

    cut(fixture, 2, true);
    cut(fixture, 3, true);
    start_write(fixture, 1, 1, "one");
    run(fixture);
    assert_int_equal(state_deadline_ms(fixture->network.tables[0]),
                     STATE_RETRY_MS);
    fixture->network.now_ms = STATE_RETRY_MS;
    network_tick(&fixture->network);
    assert_int_equal(fixture->network.pool_count, 2);
    cut(fixture, 3, false);
    run(fixture);
    assert_completed(fixture, 0, 1, 1);
    cut(fixture, 3, true);
    start_write(fixture, 1, 2, "two");
    pass(fixture, DEADLINE_MS - 1);
    assert_int_equal(fixture->count, 0);
    pass(fixture, 1);
    assert_completed(fixture, ERR_TIMEOUT, 0, 0);
    assert_int_equal(state_deadline_ms(fixture->network.tables[0]), UINT64_MAX);
}

static void a_seal_finds_the_newest_and_shuts_out_the_old_owner(void **state)
{
    struct fixture *fixture = *state;

    cut(fixture, 1, true);
    write_now(fixture, 1, 1, "one");
    write_now(fixture, 1, 2, "two");
    cut(fixture, 1, false);
    cut(fixture, 3, true);
    start_other(fixture, 1, STATE_SEAL, 5);
    run(fixture);
    assert_value(fixture, "two");
    assert_completed(fixture, 0, 5, 0);
    start_write(fixture, 1, 3, "three");
    run(fixture);
    assert_completed(fixture, ERR_STALE_EPOCH, 5, 0);
    start_other(fixture, 1, STATE_SEAL, 4);
    run(fixture);
    assert_completed(fixture, ERR_STALE_EPOCH, 5, 0);
    write_now(fixture, 5, 1, "four");
}

static void a_seal_tells_only_what_a_majority_has_stored(void **state)
{
    struct fixture *fixture = *state;

    cut(fixture, 2, true);
    cut(fixture, 3, true);
    start_write(fixture, 1, 1, "one");
    pass(fixture, DEADLINE_MS);
    assert_completed(fixture, ERR_TIMEOUT, 0, 0);
    cut(fixture, 2, false);
    start_other(fixture, 0, STATE_SEAL, 5);
    network_deliver(&fixture->network, 0, false); /* promise 1 */
    network_deliver(&fixture->network, 0, false); /* promise 2 */
    network_deliver(&fixture->network, 0, false); /* lost */
    network_deliver(&fixture->network, 0, false); /* promised 1 */
    network_deliver(&fixture->network, 0, false); /* promised 2 */
    assert_int_equal(fixture->network.pool_count, 3);
    network_deliver(&fixture->network, 0, false);
    network_deliver(&fixture->network, 2, false);
    assert_int_equal(fixture->count, 0);
    run(fixture);
    assert_value(fixture, "one");
    assert_completed(fixture, 0, 5, 0);
}

static void the_first_owner_finds_nothing_and_writes_nothing(void **state)
{
    struct fixture *fixture = *state;

    start_other(fixture, 0, STATE_SEAL, 1);
    run(fixture);
    assert_false(fixture->completions[0].has_value);
    assert_completed(fixture, 0, 0, 0);
    assert_false(network_replica(&fixture->network, 1)->state.has_version);
}

static void a_seal_that_found_nothing_stays_so(void **state)
{
    struct fixture *fixture = *state;

    /* An unacknowledged write of the first owner is at replica 3 alone. */
    cut(fixture, 1, true);
    cut(fixture, 2, true);
    start_write(fixture, 1, 1, "one");
    pass(fixture, DEADLINE_MS);
    assert_completed(fixture, ERR_TIMEOUT, 0, 0);
    cut(fixture, 1, false);
    cut(fixture, 2, false);
    cut(fixture, 3, true);
    start_other(fixture, 0, STATE_SEAL, 5);
    run(fixture);
    assert_false(fixture->completions[0].has_value);
    assert_completed(fixture, 0, 5, 0);
    cut(fixture, 3, false);
    cut(fixture, 1, true);
    start_other(fixture, 1, STATE_SEAL, 5);
    run(fixture);
    assert_false(fixture->completions[0].has_value);
    assert_completed(fixture, 0, 5, 0);
    start_other(fixture, 1, STATE_SEAL, 6);
    run(fixture);
    assert_false(fixture->completions[0].has_value);
    assert_completed(fixture, 0, 6, 0);
}

static void seals_of_one_epoch_end_with_one_value(void **state)
{
    struct fixture *fixture = *state;

    /* "one" is everywhere, "two" at replica 3 alone. */
    write_now(fixture, 1, 1, "one");
    cut(fixture, 1, true);
    cut(fixture, 2, true);
    start_write(fixture, 1, 2, "two");
    pass(fixture, DEADLINE_MS);
    assert_completed(fixture, ERR_TIMEOUT, 0, 0);
    /* A first seal finds "one" and gets it to replica 1 only. */
    cut(fixture, 1, false);
    cut(fixture, 2, false);
    cut(fixture, 3, true);
    start_other(fixture, 0, STATE_SEAL, 5);
    for (size_t i = 0; i < 5; i++) {
        network_deliver(&fixture->network, 0, false);
    }
    cut(fixture, 2, true);
    pass(fixture, DEADLINE_MS);
    assert_completed(fixture, ERR_TIMEOUT, 0, 0);
    /* A second one, without replica 1, finds "two". */
    cut(fixture, 2, false);
    cut(fixture, 3, false);
    cut(fixture, 1, true);
    start_other(fixture, 1, STATE_SEAL, 5);
    run(fixture);
    pass(fixture, STATE_RETRY_MS);
    assert_value(fixture, "two");
    assert_completed(fixture, 0, 5, 0);
    /* Nobody is shown the first one's any more, whoever is asked. */
    for (uint64_t down = 1; down <= 3; down++) {
        for (uint64_t id = 1; id <= 3; id++) {
            cut(fixture, id, id == down);
        }
        start_other(fixture, 0, STATE_READ, 0);
        run(fixture);
        assert_value(fixture, "two");
        assert_completed(fixture, 0, 5, 0);
        start_other(fixture, 0, STATE_SEAL, 5);
        run(fixture);
        pass(fixture, STATE_RETRY_MS);
        assert_value(fixture, "two");
        assert_completed(fixture, 0, 5, 0);
    }
}

static void a_seal_done_again_finds_what_the_owner_wrote_since(void **state)
{
    struct fixture *fixture = *state;

    start_other(fixture, 0, STATE_SEAL, 5);
    run(fixture);
    assert_completed(fixture, 0, 5, 0);
    cut(fixture, 3, true);
    write_now(fixture, 5, 1, "one");
    cut(fixture, 3, false);
    cut(fixture, 2, true);
    start_other(fixture, 1, STATE_SEAL, 5);
    run(fixture);
    assert_value(fixture, "one");
    assert_completed(fixture, 0, 5, 1);
    write_now(fixture, 5, 2, "two");
}

static void a_read_agreed_on_needs_no_write(void **state)
{
    struct fixture *fixture = *state;

    start_other(fixture, 0, STATE_READ, 0);
    run(fixture);
    assert_false(fixture->completions[0].has_value);
    assert_completed(fixture, 0, 0, 0);
    write_now(fixture, 1, 1, "one");
    start_other(fixture, 0, STATE_READ, 0);
    for (size_t i = 0; i < 6; i++) {
        network_deliver(&fixture->network, 0, false);
    }
    assert_int_equal(fixture->network.pool_count, 0);
    assert_value(fixture, "one");
    assert_completed(fixture, 0, 1, 1);
}

static void a_read_writes_back_what_a_minority_has(void **state)
{
    struct fixture *fixture = *state;

    cut(fixture, 2, true);
    cut(fixture, 3, true);
    start_write(fixture, 1, 1, "one");
    pass(fixture, DEADLINE_MS);
    assert_completed(fixture, ERR_TIMEOUT, 0, 0);
    cut(fixture, 2, false);
    start_other(fixture, 1, STATE_READ, 0);
    run(fixture);
    assert_value(fixture, "one");
    assert_completed(fixture, 0, 1, 1);
    assert_int_equal(
        network_replica(&fixture->network, 2)->state.stamp.version.seq, 1);
}

static void a_read_waits_for_a_seal_that_is_ahead(void **state)
{
    struct fixture *fixture = *state;
    struct state_message promise = {
        .kind = STATE_KIND_PROMISE,
        .stamp = {.version = {.epoch = 5}, .ballot = 1},
        .id = bytes_of_string("sandbox")};
    struct state_decision decision;

    cut(fixture, 2, true);
    cut(fixture, 3, true);
    start_write(fixture, 1, 1, "one");
    pass(fixture, DEADLINE_MS);
    assert_completed(fixture, ERR_TIMEOUT, 0, 0);
    cut(fixture, 2, false);
    cut(fixture, 3, false);
    for (uint64_t id = 2; id <= 3; id++) {
        struct network_replica *replica =
            network_replica(&fixture->network, id);

        state_replica_decide(&replica->state, &promise, &decision);
        replica->state = decision.next;
    }
    start_other(fixture, 1, STATE_READ, 0);
    run(fixture);
    pass(fixture, 100);
    assert_int_equal(fixture->count, 0);
    start_other(fixture, 0, STATE_SEAL, 6);
    cut(fixture, 1, true);
    run(fixture);
    assert_false(fixture->completions[0].has_value);
    assert_completed(fixture, 0, 6, 0);
    pass(fixture, 2 * STATE_RETRY_MS);
    assert_false(fixture->completions[0].has_value);
    assert_completed(fixture, 0, 6, 0);
}

static void a_write_without_a_number_takes_the_next(void **state)
{
    struct fixture *fixture = *state;

    start_write(fixture, 1, 0, "one");
    run(fixture);
    assert_completed(fixture, 0, 1, 1);
    write_now(fixture, 1, 5, "five");
    start_write(fixture, 1, 0, "six");
    run(fixture);
    assert_completed(fixture, 0, 1, 6);
    start_other(fixture, 0, STATE_SEAL, 9);
    run(fixture);
    assert_value(fixture, "six");
    assert_completed(fixture, 0, 9, 0);
    start_write(fixture, 9, 0, "seven");
    run(fixture);
    assert_completed(fixture, 0, 9, 1);
    start_write(fixture, 1, 0, "late");
    run(fixture);
    assert_completed(fixture, ERR_STALE_EPOCH, 9, 0);
}

static void an_older_number_is_a_stale_version(void **state)
{
    struct fixture *fixture = *state;

    write_now(fixture, 1, 5, "five");
    write_now(fixture, 1, 5, "five");
    start_write(fixture, 1, 4, "four");
    run(fixture);
    assert_completed(fixture, ERR_STALE_VERSION, 1, 5);
    start_write(fixture, 1, 5, "another");
    run(fixture);
    assert_completed(fixture, ERR_STALE_VERSION, 1, 5);
}

static void a_predecessor_is_not_seen(void **state)
{
    struct fixture *fixture = *state;
    struct state_request request = make_request(fixture, STATE_READ, 0);

    write_now(fixture, 3, 5, "five");
    request.birth = 4;
    assert_ok(network_start(&fixture->network, 0, &request));
    run(fixture);
    assert_false(fixture->completions[0].has_value);
    assert_completed(fixture, 0, 0, 0);
    request.birth = 3;
    assert_ok(network_start(&fixture->network, 0, &request));
    run(fixture);
    assert_value(fixture, "five");
    assert_completed(fixture, 0, 3, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_is_done_at_a_majority),
        TEST(one_message_serves_all_replicas),
        TEST(the_silent_are_asked_again_until_the_deadline),
        TEST(a_seal_finds_the_newest_and_shuts_out_the_old_owner),
        TEST(a_seal_tells_only_what_a_majority_has_stored),
        TEST(the_first_owner_finds_nothing_and_writes_nothing),
        TEST(a_seal_that_found_nothing_stays_so),
        TEST(seals_of_one_epoch_end_with_one_value),
        TEST(a_seal_done_again_finds_what_the_owner_wrote_since),
        TEST(a_read_agreed_on_needs_no_write),
        TEST(a_read_writes_back_what_a_minority_has),
        TEST(a_read_waits_for_a_seal_that_is_ahead),
        TEST(a_write_without_a_number_takes_the_next),
        TEST(an_older_number_is_a_stale_version),
        TEST(a_predecessor_is_not_seen),
    };

    return cmocka_run_group_tests_name("state_coordinator", tests, NULL, NULL);
}
