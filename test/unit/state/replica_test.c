/* SPDX-License-Identifier: Apache-2.0
 * The replica's rules, one at a time. */
#include "base/crc32c.h"
#include "lib/test.h"
#include "state/replica.h"

static struct state_message make_write(uint64_t epoch, uint64_t seq,
                                       uint64_t ballot, const char *value)
{
    struct state_message message = {
        .kind = STATE_KIND_WRITE,
        .has_version = true,
        .has_value = value != NULL,
        .ticket = 1,
        .stamp = {.version = {.epoch = epoch, .seq = seq}, .ballot = ballot},
        .id = bytes_of_string("x")};

    if (value != NULL) {
        message.value = bytes_of_string(value);
        message.crc = crc32c(0, message.value);
    }
    return message;
}

static struct state_message make_promise(uint64_t epoch, uint64_t ballot)
{
    return (struct state_message){
        .kind = STATE_KIND_PROMISE,
        .stamp = {.version = {.epoch = epoch}, .ballot = ballot},
        .id = bytes_of_string("x")};
}

/* Decides and takes over what comes of it. */
static struct state_decision step(struct state_replica *replica,
                                  struct state_message request)
{
    struct state_decision decision;

    state_replica_decide(replica, &request, &decision);
    if (decision.status != STATE_STATUS_OK || !decision.is_changed) {
        assert_int_equal(decision.next.promised, replica->promised);
        assert_int_equal(
            state_stamp_compare(decision.next.stamp, replica->stamp), 0);
        assert_int_equal(decision.next.crc, replica->crc);
    }
    *replica = decision.next;
    return decision;
}

static enum state_status write_status(struct state_replica *replica,
                                      uint64_t epoch, uint64_t seq,
                                      const char *value)
{
    return step(replica, make_write(epoch, seq, 0, value)).status;
}

static void newer_versions_are_stored(void **state)
{
    struct state_replica replica = {0};
    struct state_decision decision;

    (void)state;
    decision = step(&replica, make_write(3, 1, 0, "a"));
    assert_int_equal(decision.status, STATE_STATUS_OK);
    assert_true(decision.takes_value);
    assert_true(decision.is_changed);
    assert_int_equal(replica.promised, 3);
    assert_int_equal(write_status(&replica, 3, 5, "b"), STATE_STATUS_OK);
    assert_int_equal(write_status(&replica, 4, 1, "c"), STATE_STATUS_OK);
    assert_int_equal(replica.promised, 4);
    assert_int_equal(replica.stamp.version.epoch, 4);
    assert_int_equal(replica.size, 1);
}

static void older_versions_and_epochs_are_refused(void **state)
{
    struct state_replica replica = {0};

    (void)state;
    assert_int_equal(write_status(&replica, 3, 5, "b"), STATE_STATUS_OK);
    assert_int_equal(write_status(&replica, 3, 4, "a"),
                     STATE_STATUS_STALE_VERSION);
    assert_int_equal(write_status(&replica, 2, 9, "a"),
                     STATE_STATUS_STALE_EPOCH);
    assert_int_equal(step(&replica, make_promise(6, 1)).status,
                     STATE_STATUS_OK);
    assert_int_equal(write_status(&replica, 5, 1, "a"),
                     STATE_STATUS_STALE_EPOCH);
    assert_int_equal(step(&replica, make_promise(5, 9)).status,
                     STATE_STATUS_STALE_EPOCH);
    assert_int_equal(replica.stamp.version.seq, 5);
}

static void a_repeated_write_is_done_already(void **state)
{
    struct state_replica replica = {0};
    struct state_decision decision;

    (void)state;
    assert_int_equal(write_status(&replica, 3, 5, "b"), STATE_STATUS_OK);
    decision = step(&replica, make_write(3, 5, 0, "b"));
    assert_int_equal(decision.status, STATE_STATUS_OK);
    assert_false(decision.is_changed);
    assert_int_equal(write_status(&replica, 3, 5, "c"),
                     STATE_STATUS_STALE_VERSION);
    assert_int_equal(write_status(&replica, 3, 5, NULL),
                     STATE_STATUS_STALE_VERSION);
}

static void a_predecessors_state_does_not_count(void **state)
{
    struct state_replica replica = {0};
    struct state_message request = {.kind = STATE_KIND_READ,
                                    .id = bytes_of_string("x")};
    struct state_decision decision;

    (void)state;
    assert_int_equal(write_status(&replica, 3, 5, "b"), STATE_STATUS_OK);
    decision = step(&replica, request);
    assert_true(decision.has_version);
    assert_true(decision.shows_value);
    request.birth = 3;
    assert_true(step(&replica, request).has_version);
    request.birth = 4;
    decision = step(&replica, request);
    assert_false(decision.has_version);
    assert_false(decision.shows_value);
    request = make_write(4, 1, 0, "b");
    request.birth = 4;
    assert_int_equal(step(&replica, request).status, STATE_STATUS_OK);
    assert_int_equal(replica.stamp.version.epoch, 4);
}

static void a_promise_tells_the_newest_and_is_kept_once(void **state)
{
    struct state_replica replica = {0};
    struct state_decision decision;

    (void)state;
    assert_int_equal(write_status(&replica, 3, 5, "b"), STATE_STATUS_OK);
    decision = step(&replica, make_promise(4, 10));
    assert_true(decision.is_changed);
    assert_true(decision.shows_value);
    assert_false(decision.takes_value);
    decision = step(&replica, make_promise(4, 10));
    assert_int_equal(decision.status, STATE_STATUS_OK);
    assert_false(decision.is_changed);
}

static void the_greater_ballot_shuts_out_the_lower(void **state)
{
    struct state_replica replica = {0};

    (void)state;
    assert_int_equal(step(&replica, make_promise(4, 10)).status,
                     STATE_STATUS_OK);
    assert_int_equal(step(&replica, make_promise(4, 20)).status,
                     STATE_STATUS_OK);
    assert_int_equal(step(&replica, make_promise(4, 10)).status,
                     STATE_STATUS_STALE_BALLOT);
    assert_int_equal(step(&replica, make_write(4, 0, 10, "a")).status,
                     STATE_STATUS_STALE_BALLOT);
    assert_int_equal(step(&replica, make_write(4, 0, 20, "b")).status,
                     STATE_STATUS_OK);
    /* A later seal gives the same version its own ballot. */
    assert_int_equal(step(&replica, make_write(4, 0, 30, "b")).status,
                     STATE_STATUS_OK);
    assert_int_equal(replica.promised_ballot, 30);
    /* The owner has no ballot. */
    assert_int_equal(write_status(&replica, 4, 1, "c"), STATE_STATUS_OK);
    assert_int_equal(step(&replica, make_write(4, 0, 30, "b")).status,
                     STATE_STATUS_STALE_VERSION);
    assert_int_equal(replica.promised_ballot, 30);
}

static void no_state_can_be_a_version(void **state)
{
    struct state_replica replica = {0};
    struct state_decision decision;

    (void)state;
    assert_int_equal(write_status(&replica, 3, 1, "a"), STATE_STATUS_OK);
    assert_int_equal(step(&replica, make_write(4, 0, 9, NULL)).status,
                     STATE_STATUS_OK);
    decision = step(&replica, make_promise(5, 1));
    assert_true(decision.has_version);
    assert_false(decision.shows_value);
}

static void answers_carry_what_is_known(void **state)
{
    struct state_replica replica = {0};
    struct state_message request = make_promise(4, 10);
    struct state_message answer;
    struct state_decision decision;

    (void)state;
    request.ticket = 99;
    assert_int_equal(write_status(&replica, 3, 5, "abc"), STATE_STATUS_OK);
    decision = step(&replica, request);
    state_replica_answer(&request, &decision, bytes_of_string("abc"), &answer);
    assert_int_equal(answer.kind, STATE_KIND_PROMISE_ACK);
    assert_int_equal(answer.ticket, 99);
    assert_int_equal(answer.promised, 4);
    assert_int_equal(answer.promised_ballot, 10);
    assert_int_equal(answer.stamp.version.seq, 5);
    assert_bytes(answer.value, "abc", 3);
    assert_true(state_message_is_intact(&answer));
    state_replica_refuse(&request, STATE_STATUS_IO, &answer);
    assert_int_equal(answer.kind, STATE_KIND_PROMISE_ACK);
    assert_int_equal(answer.ticket, 99);
    assert_false(answer.has_version);
}

static void forgetting_spares_what_is_newer(void **state)
{
    struct state_replica replica = {0};

    (void)state;
    assert_false(state_replica_forget(&replica, 9));
    assert_int_equal(write_status(&replica, 3, 5, "abc"), STATE_STATUS_OK);
    assert_int_equal(step(&replica, make_promise(6, 1)).status,
                     STATE_STATUS_OK);
    assert_false(state_replica_forget(&replica, 2));
    assert_true(replica.has_version);
    assert_true(state_replica_forget(&replica, 5));
    assert_false(replica.has_version);
    assert_int_equal(replica.promised, 6);
    assert_false(state_replica_forget(&replica, 5));
    assert_true(state_replica_forget(&replica, 6));
    assert_int_equal(replica.promised, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newer_versions_are_stored),
        cmocka_unit_test(older_versions_and_epochs_are_refused),
        cmocka_unit_test(a_repeated_write_is_done_already),
        cmocka_unit_test(a_predecessors_state_does_not_count),
        cmocka_unit_test(a_promise_tells_the_newest_and_is_kept_once),
        cmocka_unit_test(the_greater_ballot_shuts_out_the_lower),
        cmocka_unit_test(no_state_can_be_a_version),
        cmocka_unit_test(answers_carry_what_is_known),
        cmocka_unit_test(forgetting_spares_what_is_newer),
    };

    return cmocka_run_group_tests_name("state_replica", tests, NULL, NULL);
}
