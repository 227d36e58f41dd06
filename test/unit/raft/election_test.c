/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/raft/core_fixture.h"

static void a_vote_leaves_only_when_it_is_on_disk(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_vote(fixture, 2, 5, 0, 0));
    assert_int_equal(fixture->effects.persist.term, 5);
    assert_int_equal(fixture->effects.persist.voted_for, 2);
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->effects.sends[0].to, 2);
    assert_true(fixture->sent[0].is_granted);
}

static void s3_one_vote_a_term_whoever_asks(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_vote(fixture, 2, 5, 0, 0));
    assert_ok(persisted(fixture));
    assert_ok(receive_vote(fixture, 3, 5, 9, 4));
    assert_int_equal(fixture->effects.persist.seq, 0);
    assert_int_equal(fixture->effects.send_count, 1);
    assert_false(fixture->sent[0].is_granted);
    /* The same candidate may have missed the answer. */
    assert_ok(receive_vote(fixture, 2, 5, 0, 0));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_true(fixture->sent[0].is_granted);
}

static void s3_the_vote_survives_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct raft_config config = {.id = 1,
                                 .voters = {1, 2, 3},
                                 .voter_count = 3,
                                 .election_timeout_ms = 100,
                                 .heartbeat_interval_ms = 20};
    struct raft_recovered recovered = {.term = 5, .voted_for = 2};

    assert_ok(raft_new(&config, &recovered, fixture->now_ms, &fixture->raft));
    assert_ok(receive_vote(fixture, 3, 5, 0, 0));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_false(fixture->sent[0].is_granted);
}

static void a_candidate_asks_only_when_its_own_vote_is_on_disk(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(tick(fixture));
    assert_int_equal(raft_role(fixture->raft), RAFT_PRE_CANDIDATE);
    assert_int_equal(raft_term(fixture->raft), 0);
    assert_int_equal(fixture->effects.send_count, 2);
    assert_int_equal(fixture->sent[0].type, MESSAGE_PRE_VOTE);
    assert_ok(receive_reply(fixture, 2, MESSAGE_PRE_VOTE_REPLY, 1));
    assert_int_equal(raft_role(fixture->raft), RAFT_CANDIDATE);
    assert_int_equal(fixture->effects.send_count, 0);
    /* An answer to what was not asked is no vote. */
    assert_ok(receive_reply(fixture, 3, MESSAGE_VOTE_REPLY, 1));
    assert_int_equal(raft_role(fixture->raft), RAFT_CANDIDATE);
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->effects.send_count, 2);
    assert_int_equal(fixture->sent[0].type, MESSAGE_VOTE);
    assert_ok(receive_reply(fixture, 3, MESSAGE_VOTE_REPLY, 1));
    assert_int_equal(raft_role(fixture->raft), RAFT_LEADER);
    assert_int_equal(fixture->sent[0].type, MESSAGE_APPEND);
    assert_int_equal(fixture->sent[0].entry_count, 1);
}

static void an_older_log_gets_no_vote(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t terms[] = {1, 3, 3};

    start_with(fixture, 3, 3, terms, 3);
    assert_ok(receive_vote(fixture, 2, 4, 9, 2));
    assert_ok(persisted(fixture));
    assert_false(fixture->sent[0].is_granted);
    assert_ok(receive_vote(fixture, 2, 5, 2, 3));
    assert_ok(persisted(fixture));
    assert_false(fixture->sent[0].is_granted);
    assert_ok(receive_vote(fixture, 3, 5, 3, 3));
    assert_ok(persisted(fixture));
    assert_true(fixture->sent[0].is_granted);
}

static void no_pre_vote_while_a_leader_is_heard(void **state)
{
    struct fixture *fixture = *state;
    struct message heartbeat = {.term = 1};
    struct message ask = {.type = MESSAGE_PRE_VOTE, .term = 2};

    start(fixture, 3);
    assert_ok(receive_append(fixture, heartbeat, 0, 0));
    assert_ok(persisted(fixture));
    assert_ok(receive(fixture, 3, &ask, NULL));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_false(fixture->sent[0].is_granted);
    fixture->now_ms += 100;
    assert_ok(receive(fixture, 3, &ask, NULL));
    assert_true(fixture->sent[0].is_granted);
    assert_int_equal(fixture->sent[0].term, 2);
    assert_int_equal(raft_term(fixture->raft), 1);
}

static int lose_link(struct fixture *fixture, uint64_t to)
{
    return step(fixture,
                (struct raft_event){.type = RAFT_LINK_LOST, .from = to});
}

static void a_lost_link_to_the_leader_is_not_waited_out(void **state)
{
    struct fixture *fixture = *state;
    uint64_t lost_ms;

    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 0, 0));
    assert_ok(persisted(fixture));
    assert_ok(lose_link(fixture, 3)); /* not the leader's */
    assert_int_equal(raft_leader(fixture->raft), 2);
    lost_ms = fixture->now_ms;
    assert_ok(lose_link(fixture, 2));
    assert_int_equal(raft_leader(fixture->raft), 0);
    assert_int_equal(raft_term(fixture->raft), 1);
    /* The lowest id of those that are left has the first turn. */
    assert_int_equal(raft_deadline_ms(fixture->raft), lost_ms);
    assert_ok(tick(fixture));
    assert_int_equal(raft_role(fixture->raft), RAFT_PRE_CANDIDATE);
    /* The others still hear the leader, or think so: it asks again soon, but
     * not for ever. */
    for (int i = 0; i < 4; i++) {
        struct message no = {.type = MESSAGE_PRE_VOTE_REPLY, .term = 1};

        assert_ok(receive(fixture, 3, &no, NULL));
        assert_true(raft_deadline_ms(fixture->raft) <= fixture->now_ms + 30);
        assert_ok(tick(fixture));
        assert_int_equal(fixture->sent[0].type, MESSAGE_PRE_VOTE);
        assert_int_equal(raft_term(fixture->raft), 1);
    }
    assert_true(raft_deadline_ms(fixture->raft) >= fixture->now_ms + 100);
    /* And if it was the link alone, all is as before. */
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 0, 0));
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    assert_int_equal(raft_leader(fixture->raft), 2);
}

static void who_lost_the_leader_grants_a_pre_vote_and_waits(void **state)
{
    struct fixture *fixture = *state;
    struct message ask = {.type = MESSAGE_PRE_VOTE, .term = 2};

    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 0, 0));
    assert_ok(persisted(fixture));
    assert_ok(receive(fixture, 3, &ask, NULL));
    assert_false(fixture->sent[0].is_granted);
    assert_ok(lose_link(fixture, 2));
    assert_ok(receive(fixture, 3, &ask, NULL));
    assert_true(fixture->sent[0].is_granted);
    assert_int_equal(raft_deadline_ms(fixture->raft), fixture->now_ms + 25);
}

static void a_leader_without_a_majority_steps_down(void **state)
{
    struct fixture *fixture = *state;
    uint64_t start_ms;
    size_t failed = 0;

    start(fixture, 3);
    lead(fixture, 3);
    start_ms = fixture->now_ms;
    assert_int_equal(raft_reachable_voters(fixture->raft, start_ms), 2);
    assert_ok(read_at(fixture, 5));
    while (raft_role(fixture->raft) == RAFT_LEADER) {
        assert_ok(tick(fixture));
        failed += fixture->effects.read_count;
    }
    assert_int_equal(fixture->now_ms - start_ms, 100);
    assert_int_equal(raft_term(fixture->raft), 1);
    assert_int_equal(raft_leader(fixture->raft), 0);
    assert_int_equal(failed, 1);
    assert_true(fixture->effects.reads[0].is_failed);
    assert_false(raft_has_quorum(fixture->raft, fixture->now_ms));
    assert_err(propose(fixture, "x"), ERR_NOT_LEADER);
    assert_err(read_at(fixture, 6), ERR_NOT_LEADER);
}

static void a_member_that_is_no_voter_never_stands(void **state)
{
    struct fixture *fixture = *state;
    struct raft_config config = {.id = 9,
                                 .voters = {2, 3, 4},
                                 .voter_count = 3,
                                 .election_timeout_ms = 100,
                                 .heartbeat_interval_ms = 20};
    struct raft_recovered recovered = {.term = 0};

    assert_ok(raft_new(&config, &recovered, fixture->now_ms, &fixture->raft));
    assert_true(raft_deadline_ms(fixture->raft) == UINT64_MAX);
    fixture->now_ms += 100000;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 1, 1));
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->sent[0].index, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_vote_leaves_only_when_it_is_on_disk),
        TEST(s3_one_vote_a_term_whoever_asks),
        TEST(s3_the_vote_survives_a_restart),
        TEST(a_candidate_asks_only_when_its_own_vote_is_on_disk),
        TEST(an_older_log_gets_no_vote),
        TEST(no_pre_vote_while_a_leader_is_heard),
        TEST(a_lost_link_to_the_leader_is_not_waited_out),
        TEST(who_lost_the_leader_grants_a_pre_vote_and_waits),
        TEST(a_leader_without_a_majority_steps_down),
        TEST(a_member_that_is_no_voter_never_stands),
    };

    return cmocka_run_group_tests_name("raft/election", tests, NULL, NULL);
}
