/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/membership.h"
#include "unit/raft/core_fixture.h"

enum { ELECTION_MS = 100, HEARTBEAT_MS = 20 };

static int hand_over(struct fixture *fixture, uint64_t to)
{
    return step(fixture,
                (struct raft_event){.type = RAFT_HANDOVER, .successor = to});
}

/* How many members were told to campaign by the last step; `to` is the last. */
static size_t told(const struct fixture *fixture, uint64_t *ret_to)
{
    size_t count = 0;

    for (size_t i = 0; i < fixture->effects.send_count; i++) {
        if (fixture->sent[i].type == MESSAGE_TIMEOUT_NOW) {
            *ret_to = fixture->effects.sends[i].to;
            count++;
        }
    }
    return count;
}

static void lead_committed(struct fixture *fixture)
{
    start(fixture, 3);
    lead(fixture, 3);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 1, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 1);
}

static int receive_plain(struct fixture *fixture, uint64_t from,
                         enum message_type type, uint64_t term)
{
    struct message message = {.type = type, .term = term};

    return receive(fixture, from, &message, NULL);
}

static void the_successor_has_all_before_it_is_told(void **state)
{
    struct fixture *fixture = *state;
    uint64_t to = 0;

    lead_committed(fixture);
    assert_ok(propose(fixture, "x"));
    assert_ok(persisted(fixture));
    assert_ok(hand_over(fixture, 2));
    assert_int_equal(told(fixture, &to), 0);
    assert_err(propose(fixture, "not now"), ERR_BUSY);
    assert_err(hand_over(fixture, 3), ERR_BUSY);
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_int_equal(told(fixture, &to), 1);
    assert_int_equal(to, 2);
    /* Its election ends it. */
    assert_ok(receive_vote(fixture, 2, 5, 2, 1));
    assert_int_equal(raft_role(fixture->raft), RAFT_LEADER);
    {
        struct message vote = {.type = MESSAGE_VOTE,
                               .term = 5,
                               .index = 2,
                               .index_term = 1,
                               .is_handover = true};

        assert_ok(receive(fixture, 2, &vote, NULL));
    }
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    assert_false(fixture->effects.handover_failed);
    assert_ok(persisted(fixture));
    assert_true(fixture->sent[0].is_granted);
}

static void a_successor_that_does_not_come_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    uint64_t to = 0;

    lead_committed(fixture);
    assert_ok(hand_over(fixture, 2));
    assert_int_equal(told(fixture, &to), 1);
    /* What may get lost is said again. */
    fixture->now_ms += HEARTBEAT_MS;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(told(fixture, &to), 1);
    fixture->now_ms += ELECTION_MS - HEARTBEAT_MS - 1;
    assert_ok(receive_ack(fixture, 2, 1, 0));
    assert_err(propose(fixture, "not yet"), ERR_BUSY);
    fixture->now_ms += 1;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_true(fixture->effects.handover_failed);
    assert_int_equal(raft_role(fixture->raft), RAFT_LEADER);
    assert_ok(propose(fixture, "again"));
    assert_false(fixture->effects.handover_failed);
}

static void who_is_nearest_is_chosen(void **state)
{
    struct fixture *fixture = *state;
    uint64_t to = 0;

    start(fixture, 5);
    lead(fixture, 5);
    assert_err(hand_over(fixture, 0), ERR_BUSY);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 1, 0));
    assert_ok(receive_ack(fixture, 3, 1, 0));
    assert_ok(propose(fixture, "x"));
    assert_ok(receive_ack(fixture, 4, 2, 0));
    assert_ok(hand_over(fixture, 0));
    assert_int_equal(told(fixture, &to), 1);
    assert_int_equal(to, 4);
}

static void only_voters_can_succeed(void **state)
{
    struct fixture *fixture = *state;
    struct raft_membership target = {.voters = {1, 2, 3},
                                     .learners = {4},
                                     .voter_count = 3,
                                     .learner_count = 1};

    start(fixture, 3);
    assert_err(hand_over(fixture, 2), ERR_NOT_LEADER);
    lead(fixture, 3);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 1, 0));
    assert_ok(step(
        fixture, (struct raft_event){.type = RAFT_CHANGE, .target = &target}));
    assert_err(hand_over(fixture, 4), ERR_NOT_FOUND);
    assert_err(hand_over(fixture, 1), ERR_NOT_FOUND);
    assert_err(hand_over(fixture, 9), ERR_NOT_FOUND);
}

static void a_single_voter_has_no_successor(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 1);
    assert_ok(tick(fixture));
    assert_ok(persisted(fixture));
    assert_ok(persisted(fixture));
    assert_err(hand_over(fixture, 0), ERR_NOT_FOUND);
    assert_ok(propose(fixture, "x"));
}

static void the_successor_campaigns_at_once(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 1, 1));
    /* Its disk is behind: it would only have a vote more to write. */
    assert_ok(receive_plain(fixture, 2, MESSAGE_TIMEOUT_NOW, 1));
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    assert_ok(persisted(fixture));
    assert_ok(receive_plain(fixture, 2, MESSAGE_TIMEOUT_NOW, 1));
    assert_int_equal(raft_role(fixture->raft), RAFT_CANDIDATE);
    assert_int_equal(raft_term(fixture->raft), 2);
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->effects.send_count, 2);
    assert_int_equal(fixture->sent[0].type, MESSAGE_VOTE);
    assert_true(fixture->sent[0].is_handover);
    /* If that comes to nothing, the next campaign is as any other. */
    assert_ok(tick(fixture));
    assert_int_equal(raft_role(fixture->raft), RAFT_PRE_CANDIDATE);
    assert_ok(receive_reply(fixture, 2, MESSAGE_PRE_VOTE_REPLY, 3));
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->sent[0].type, MESSAGE_VOTE);
    assert_false(fixture->sent[0].is_handover);
}

static void only_the_leader_of_the_term_can_name_one(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 4}, 1, 4));
    assert_ok(persisted(fixture));
    assert_ok(receive_plain(fixture, 2, MESSAGE_TIMEOUT_NOW, 3));
    assert_err(receive_plain(fixture, 3, MESSAGE_TIMEOUT_NOW, 4),
               ERR_MALFORMED);
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    assert_int_equal(raft_term(fixture->raft), 4);
}

/* S3 of a handover: dqlite's followers gave such a candidate a second vote. */
static void a_handover_gets_no_second_vote(void **state)
{
    struct fixture *fixture = *state;
    struct message vote = {.type = MESSAGE_VOTE,
                           .term = 5,
                           .index = 9,
                           .index_term = 4,
                           .is_handover = true};

    start(fixture, 3);
    assert_ok(receive_vote(fixture, 2, 5, 0, 0));
    assert_ok(persisted(fixture));
    assert_ok(receive(fixture, 3, &vote, NULL));
    assert_int_equal(fixture->effects.persist.seq, 0);
    assert_int_equal(fixture->effects.send_count, 1);
    assert_false(fixture->sent[0].is_granted);
}

static void a_removed_leader_names_a_successor(void **state)
{
    struct fixture *fixture = *state;
    struct raft_membership target = {.voters = {2, 3}, .voter_count = 2};
    uint64_t to = 0;

    lead_committed(fixture);
    assert_ok(step(
        fixture, (struct raft_event){.type = RAFT_CHANGE, .target = &target}));
    assert_err(hand_over(fixture, 1), ERR_NOT_FOUND);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_ok(receive_ack(fixture, 3, 2, 0));
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 3, 3, 0));
    assert_ok(receive_ack(fixture, 2, 3, 0));
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    assert_int_equal(told(fixture, &to), 1);
    assert_true(to == 2 || to == 3);
}

static void a_higher_rank_waits_longer(void **state)
{
    struct fixture *fixture = *state;
    struct raft_config config = {.id = 1,
                                 .voters = {1, 2, 3},
                                 .voter_count = 3,
                                 .election_timeout_ms = ELECTION_MS,
                                 .heartbeat_interval_ms = HEARTBEAT_MS,
                                 .election_rank = 2};
    struct raft_recovered recovered = {.term = 0};

    assert_ok(raft_new(&config, &recovered, fixture->now_ms, &fixture->raft));
    assert_true(raft_deadline_ms(fixture->raft) >=
                fixture->now_ms + 3 * ELECTION_MS);
    assert_true(raft_deadline_ms(fixture->raft) <
                fixture->now_ms + 4 * ELECTION_MS);
    raft_free(fixture->raft);
    fixture->raft = NULL;
    config.election_rank = RAFT_RANK_MAX + 1;
    assert_err(raft_new(&config, &recovered, 0, &fixture->raft), ERR_BADARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_successor_has_all_before_it_is_told),
        TEST(a_successor_that_does_not_come_is_given_up),
        TEST(who_is_nearest_is_chosen),
        TEST(only_voters_can_succeed),
        TEST(a_single_voter_has_no_successor),
        TEST(the_successor_campaigns_at_once),
        TEST(only_the_leader_of_the_term_can_name_one),
        TEST(a_handover_gets_no_second_vote),
        TEST(a_removed_leader_names_a_successor),
        TEST(a_higher_rank_waits_longer),
    };

    return cmocka_run_group_tests_name("raft/handover", tests, NULL, NULL);
}
