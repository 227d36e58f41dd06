/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "raft/membership.h"
#include "unit/raft/core_fixture.h"

enum { ELECTION_MS = 100 };

static struct raft_membership voters(uint32_t count, const uint64_t *ids)
{
    struct raft_membership membership = {.voter_count = count};

    for (uint32_t i = 0; i < count; i++) {
        membership.voters[i] = ids[i];
    }
    return membership;
}

#define VOTERS(...)                                     \
    voters(sizeof((const uint64_t[]){__VA_ARGS__}) / 8, \
           (const uint64_t[]){__VA_ARGS__})

static int change(struct fixture *fixture, struct raft_membership target)
{
    return step(fixture,
                (struct raft_event){.type = RAFT_CHANGE, .target = &target});
}

static void assert_membership(const struct fixture *fixture,
                              struct raft_membership expected)
{
    assert_true(membership_equal(raft_membership(fixture->raft), &expected));
}

static void assert_phase(const struct fixture *fixture,
                         enum raft_change_phase phase)
{
    assert_int_equal(fixture->effects.change.phase, phase);
}

/* Leads its voters with an entry of its own term committed. */
static void lead_committed(struct fixture *fixture, uint32_t count)
{
    start(fixture, count);
    if (count == 1) {
        assert_ok(tick(fixture));
        assert_ok(persisted(fixture));
    } else {
        lead(fixture, count);
    }
    assert_ok(persisted(fixture));
    for (uint64_t id = 2; id <= count / 2 + 1; id++) {
        assert_ok(receive_ack(fixture, id, 1, 0));
    }
    assert_int_equal(raft_commit_index(fixture->raft), 1);
}

static void one_voter_becomes_three(void **state)
{
    struct fixture *fixture = *state;
    struct raft_membership learning = VOTERS(1);
    struct raft_membership joint = VOTERS(1, 2, 3);

    learning.learner_count = 2;
    learning.learners[0] = 2;
    learning.learners[1] = 3;
    joint.voter_old_count = 1;
    joint.voters_old[0] = 1;
    lead_committed(fixture, 1);
    assert_ok(change(fixture, VOTERS(1, 2, 3)));
    assert_phase(fixture, RAFT_CHANGE_LEARNING);
    assert_true(fixture->effects.membership_changed);
    assert_membership(fixture, learning);
    assert_int_equal(raft_membership_index(fixture->raft), 2);
    assert_ok(persisted(fixture));
    assert_phase(fixture, RAFT_CHANGE_CATCH_UP);
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_phase(fixture, RAFT_CHANGE_NONE);
    assert_ok(receive_ack(fixture, 3, 2, 0));
    assert_phase(fixture, RAFT_CHANGE_JOINT);
    assert_membership(fixture, joint);
    /* Of the new half, one more is needed. */
    assert_ok(persisted(fixture));
    assert_int_equal(raft_commit_index(fixture->raft), 2);
    assert_ok(receive_ack(fixture, 2, 3, 0));
    assert_phase(fixture, RAFT_CHANGE_FINAL);
    assert_int_equal(raft_commit_index(fixture->raft), 3);
    assert_membership(fixture, VOTERS(1, 2, 3));
    assert_ok(receive_ack(fixture, 3, 4, 0));
    assert_phase(fixture, RAFT_CHANGE_NONE);
    assert_ok(receive_ack(fixture, 2, 4, 0));
    assert_phase(fixture, RAFT_CHANGE_DONE);
    assert_int_equal(raft_commit_index(fixture->raft), 4);
    assert_int_equal(raft_reachable_voters(fixture->raft, fixture->now_ms), 3);
}

/* From {1, 2, 3} to {1, 4, 5}, up to the joint entry at 3. */
static void go_joint(struct fixture *fixture)
{
    lead_committed(fixture, 3);
    assert_ok(change(fixture, VOTERS(1, 4, 5)));
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 4, 2, 0));
    assert_ok(receive_ack(fixture, 5, 2, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 1);
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_int_equal(raft_membership_index(fixture->raft), 3);
    assert_phase(fixture, RAFT_CHANGE_JOINT);
    assert_ok(persisted(fixture));
}

static void learners_count_in_no_majority(void **state)
{
    struct fixture *fixture = *state;
    struct raft_membership target = VOTERS(1, 2, 3);

    target.learner_count = 2;
    target.learners[0] = 4;
    target.learners[1] = 5;
    lead_committed(fixture, 3);
    assert_ok(change(fixture, target));
    assert_phase(fixture, RAFT_CHANGE_FINAL);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 4, 2, 0));
    assert_ok(receive_ack(fixture, 5, 2, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 1);
    assert_ok(read_at(fixture, 7));
    assert_ok(receive_ack(fixture, 4, 2, 1));
    assert_ok(receive_ack(fixture, 5, 2, 1));
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(receive_ack(fixture, 2, 2, 1));
    assert_int_equal(fixture->effects.read_count, 1);
    assert_phase(fixture, RAFT_CHANGE_DONE);
    /* They do not keep it in office either. */
    fixture->now_ms += ELECTION_MS - 1;
    assert_ok(receive_ack(fixture, 4, 2, 1));
    assert_ok(receive_ack(fixture, 5, 2, 1));
    fixture->now_ms += 1;
    assert_false(raft_has_quorum(fixture->raft, fixture->now_ms));
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
}

static void a_joint_commit_needs_both_majorities(void **state)
{
    struct fixture *fixture = *state;

    go_joint(fixture);
    assert_ok(receive_ack(fixture, 4, 3, 0));
    assert_ok(receive_ack(fixture, 5, 3, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 2);
    assert_ok(receive_ack(fixture, 3, 3, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 3);
    assert_phase(fixture, RAFT_CHANGE_FINAL);
    assert_membership(fixture, VOTERS(1, 4, 5));
}

static void a_joint_read_needs_both_majorities(void **state)
{
    struct fixture *fixture = *state;

    go_joint(fixture);
    assert_ok(read_at(fixture, 7));
    assert_ok(receive_ack(fixture, 4, 2, 1));
    assert_ok(receive_ack(fixture, 5, 2, 1));
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(receive_ack(fixture, 2, 2, 1));
    assert_int_equal(fixture->effects.read_count, 1);
}

static void a_joint_leader_has_to_hear_from_both_halves(void **state)
{
    struct fixture *fixture = *state;

    go_joint(fixture);
    fixture->now_ms += ELECTION_MS - 1;
    assert_ok(receive_ack(fixture, 4, 2, 0));
    assert_ok(receive_ack(fixture, 5, 2, 0));
    /* Such gaps make its patience twice as long, for both halves. */
    fixture->now_ms += ELECTION_MS - 1;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    assert_phase(fixture, RAFT_CHANGE_FAILED);
    assert_int_equal(fixture->effects.change.reason, RAFT_CHANGE_LEADER_LOST);
}

static void a_joint_election_needs_both_majorities(void **state)
{
    struct fixture *fixture = *state;
    uint64_t term;

    go_joint(fixture);
    fixture->now_ms += ELECTION_MS;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    term = raft_term(fixture->raft) + 1;
    assert_ok(tick(fixture));
    assert_int_equal(fixture->effects.send_count, 4);
    assert_ok(receive_reply(fixture, 4, MESSAGE_PRE_VOTE_REPLY, term));
    assert_ok(receive_reply(fixture, 5, MESSAGE_PRE_VOTE_REPLY, term));
    assert_int_equal(raft_role(fixture->raft), RAFT_PRE_CANDIDATE);
    assert_ok(receive_reply(fixture, 2, MESSAGE_PRE_VOTE_REPLY, term));
    assert_int_equal(raft_role(fixture->raft), RAFT_CANDIDATE);
    assert_ok(persisted(fixture));
    assert_ok(receive_reply(fixture, 2, MESSAGE_VOTE_REPLY, term));
    assert_ok(receive_reply(fixture, 3, MESSAGE_VOTE_REPLY, term));
    assert_int_equal(raft_role(fixture->raft), RAFT_CANDIDATE);
    assert_ok(receive_reply(fixture, 5, MESSAGE_VOTE_REPLY, term));
    assert_int_equal(raft_role(fixture->raft), RAFT_LEADER);
    /* What the one before has begun, this one ends. */
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 4, 0));
    assert_ok(receive_ack(fixture, 5, 4, 0));
    assert_membership(fixture, VOTERS(1, 4, 5));
    assert_int_equal(raft_membership_index(fixture->raft), 5);
}

static void one_change_at_a_time(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_err(change(fixture, VOTERS(1, 2)), ERR_NOT_LEADER);
    lead(fixture, 3);
    /* Nothing of its own term is committed. */
    assert_err(change(fixture, VOTERS(1, 2)), ERR_BUSY);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 1, 0));
    assert_ok(change(fixture, VOTERS(1, 2)));
    assert_phase(fixture, RAFT_CHANGE_JOINT);
    assert_err(change(fixture, VOTERS(1, 3)), ERR_BUSY);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_phase(fixture, RAFT_CHANGE_FINAL);
    assert_err(change(fixture, VOTERS(1, 3)), ERR_BUSY);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 3, 0));
    assert_phase(fixture, RAFT_CHANGE_DONE);
    assert_ok(change(fixture, VOTERS(2, 1)));
    assert_phase(fixture, RAFT_CHANGE_DONE);
    assert_int_equal(fixture->effects.persist.seq, 0);
    assert_ok(change(fixture, VOTERS(1)));
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct raft_membership crowd = VOTERS(1, 2, 3, 4, 5, 6);

    lead_committed(fixture, 1);
    assert_err(change(fixture, VOTERS(1, 1)), ERR_BADARG);
    assert_err(change(fixture, VOTERS(0)), ERR_BADARG);
    assert_err(change(fixture, (struct raft_membership){.voter_count = 0}),
               ERR_BADARG);
    crowd.voter_old_count = 1;
    crowd.voters_old[0] = 1;
    assert_err(change(fixture, crowd), ERR_BADARG);
    /* More learners on the way than there is room for. */
    crowd = VOTERS(1);
    crowd.learner_count = RAFT_LEARNERS_MAX;
    for (uint32_t i = 0; i < RAFT_LEARNERS_MAX; i++) {
        crowd.learners[i] = 50 + i;
    }
    assert_ok(change(fixture, crowd));
    assert_ok(persisted(fixture));
    assert_phase(fixture, RAFT_CHANGE_DONE);
    assert_err(change(fixture, VOTERS(1, 2)), ERR_LIMIT);
}

static void a_silent_newcomer_is_named_and_left_out(void **state)
{
    struct fixture *fixture = *state;

    lead_committed(fixture, 1);
    assert_ok(change(fixture, VOTERS(1, 2, 3)));
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 2, 0));
    fixture->now_ms += ELECTION_MS * RAFT_CATCH_UP_STALL_TIMEOUTS - 1;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_phase(fixture, RAFT_CHANGE_NONE);
    fixture->now_ms += 1;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_phase(fixture, RAFT_CHANGE_FAILED);
    assert_int_equal(fixture->effects.change.reason, RAFT_CHANGE_STALLED);
    assert_int_equal(fixture->effects.change.member, 3);
    assert_membership(fixture, VOTERS(1));
    assert_ok(persisted(fixture));
    assert_ok(change(fixture, VOTERS(1, 2)));
}

static void newcomers_that_cannot_keep_up_are_left_out(void **state)
{
    struct fixture *fixture = *state;

    lead_committed(fixture, 1);
    assert_ok(change(fixture, VOTERS(1, 2)));
    assert_ok(persisted(fixture));
    for (int round = 1; round <= RAFT_CATCH_UP_ROUNDS_MAX; round++) {
        uint64_t last = raft_last_index(fixture->raft);

        assert_phase(fixture,
                     round == 1 ? RAFT_CHANGE_CATCH_UP : RAFT_CHANGE_NONE);
        assert_ok(propose(fixture, "more"));
        assert_ok(persisted(fixture));
        fixture->now_ms += ELECTION_MS;
        assert_ok(receive_ack(fixture, 2, last, 0));
    }
    assert_phase(fixture, RAFT_CHANGE_FAILED);
    assert_int_equal(fixture->effects.change.reason, RAFT_CHANGE_TOO_SLOW);
    assert_membership(fixture, VOTERS(1));
}

static void a_leader_leads_its_own_removal_to_the_end(void **state)
{
    struct fixture *fixture = *state;

    lead_committed(fixture, 3);
    assert_ok(change(fixture, VOTERS(2, 3)));
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 2, 0));
    /* Its own copy is none of the new half's. */
    assert_int_equal(raft_commit_index(fixture->raft), 1);
    assert_ok(receive_ack(fixture, 3, 2, 0));
    assert_phase(fixture, RAFT_CHANGE_FINAL);
    assert_false(raft_is_voter(fixture->raft));
    assert_ok(persisted(fixture));
    assert_ok(propose(fixture, "still accepted"));
    assert_ok(receive_ack(fixture, 2, 3, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 2);
    assert_int_equal(raft_role(fixture->raft), RAFT_LEADER);
    assert_ok(receive_ack(fixture, 3, 3, 0));
    assert_phase(fixture, RAFT_CHANGE_DONE);
    assert_int_equal(raft_commit_index(fixture->raft), 3);
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    assert_true(raft_deadline_ms(fixture->raft) == UINT64_MAX);
}

static size_t sends_to(const struct fixture *fixture, uint64_t to)
{
    size_t count = 0;

    for (size_t i = 0; i < fixture->effects.send_count; i++) {
        count += fixture->effects.sends[i].to == to ? 1 : 0;
    }
    return count;
}

static int heartbeat(struct fixture *fixture)
{
    fixture->now_ms += 20;
    return step(fixture, (struct raft_event){.type = RAFT_TICK});
}

/* {1, 2, 3} becomes {1, 2}; the final entry, at 3, is committed. */
static void remove_3(struct fixture *fixture)
{
    lead_committed(fixture, 3);
    assert_ok(receive_ack(fixture, 3, 1, 0));
    assert_ok(change(fixture, VOTERS(1, 2)));
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_phase(fixture, RAFT_CHANGE_FINAL);
    assert_int_equal(sends_to(fixture, 3), 1);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 3, 3, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 2);
    assert_ok(receive_ack(fixture, 2, 3, 0));
    assert_phase(fixture, RAFT_CHANGE_DONE);
    assert_int_equal(raft_commit_index(fixture->raft), 3);
}

static void who_leaves_is_told_that_it_is_committed(void **state)
{
    struct fixture *fixture = *state;

    remove_3(fixture);
    assert_int_equal(sends_to(fixture, 3), 1);
    assert_int_equal(fixture->sent[fixture->effects.send_count - 1].commit, 3);
    assert_ok(heartbeat(fixture));
    assert_int_equal(sends_to(fixture, 3), 0);
    assert_int_equal(sends_to(fixture, 2), 1);
    assert_int_equal(raft_reachable_voters(fixture->raft, fixture->now_ms), 2);
}

static void who_leaves_in_silence_is_forgotten_after_a_while(void **state)
{
    struct fixture *fixture = *state;

    lead_committed(fixture, 3);
    assert_ok(change(fixture, VOTERS(1, 2)));
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 3, 0));
    assert_phase(fixture, RAFT_CHANGE_DONE);
    for (int i = 0; i < 2 * ELECTION_MS / 20 - 1; i++) {
        assert_ok(heartbeat(fixture));
        assert_int_equal(sends_to(fixture, 3), 1);
        assert_ok(receive_ack(fixture, 2, 3, 0));
    }
    assert_ok(heartbeat(fixture));
    assert_int_equal(sends_to(fixture, 3), 0);
}

/* An append from 2 in that term: one entry with this membership. */
static int receive_membership(struct fixture *fixture, uint64_t prev,
                              uint64_t prev_term, uint64_t term,
                              struct raft_membership membership)
{
    uint8_t bytes[MEMBERSHIP_SIZE_MAX];
    size_t size = membership_encode(&membership, bytes);
    struct raft_entry entry = {
        .term = term, .type = RAFT_ENTRY_CONFIG, .data = bytes_of(bytes, size)};
    struct message message = {.type = MESSAGE_APPEND,
                              .term = term,
                              .index = prev,
                              .index_term = prev_term,
                              .entry_count = 1};

    return receive(fixture, 2, &message, &entry);
}

static void a_membership_that_is_cut_gives_way_to_the_one_before(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_membership(fixture, 0, 0, 1, VOTERS(1, 2)));
    assert_membership(fixture, VOTERS(1, 2));
    assert_ok(receive_membership(fixture, 1, 1, 2, VOTERS(2, 3)));
    assert_membership(fixture, VOTERS(2, 3));
    assert_false(raft_is_voter(fixture->raft));
    assert_ok(receive_append(
        fixture, (struct message){.term = 3, .index = 1, .index_term = 1}, 1,
        3));
    assert_membership(fixture, VOTERS(1, 2));
    assert_true(raft_is_voter(fixture->raft));
    assert_ok(receive_append(fixture, (struct message){.term = 4}, 1, 4));
    assert_membership(fixture, VOTERS(1, 2, 3));
    assert_int_equal(raft_membership_index(fixture->raft), 0);
}

static void an_uncommitted_membership_survives_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct raft_membership membership = VOTERS(1, 2, 3, 4);
    uint8_t bytes[MEMBERSHIP_SIZE_MAX];
    size_t size = membership_encode(&membership, bytes);
    const struct raft_config config = {.id = 1,
                                       .voters = {1},
                                       .voter_count = 1,
                                       .election_timeout_ms = ELECTION_MS,
                                       .heartbeat_interval_ms = 20};
    const struct raft_entry entries[] = {
        {.index = 1, .term = 1, .type = RAFT_ENTRY_NOOP},
        {.index = 2,
         .term = 1,
         .type = RAFT_ENTRY_CONFIG,
         .data = bytes_of(bytes, size)},
        {.index = 3, .term = 1, .type = RAFT_ENTRY_NOOP}};
    const struct raft_recovered recovered = {
        .term = 1, .entries = entries, .entry_count = 3};

    assert_ok(raft_new(&config, &recovered, fixture->now_ms, &fixture->raft));
    raft_check(fixture->raft);
    assert_membership(fixture, membership);
    assert_int_equal(raft_membership_index(fixture->raft), 2);
    /* It does not elect itself alone. */
    assert_ok(tick(fixture));
    assert_int_equal(raft_role(fixture->raft), RAFT_PRE_CANDIDATE);
    assert_int_equal(fixture->effects.send_count, 3);
}

/* 2 leads; the entry that removes 1 is in the logs of 1 and 2 alone, and 2 is
 * gone: only 1 can bring it to 3. */
static void one_that_is_leaving_campaigns_until_that_is_committed(void **state)
{
    struct fixture *fixture = *state;
    struct message commit = {
        .type = MESSAGE_APPEND, .term = 1, .index = 1, .index_term = 1};

    start(fixture, 3);
    assert_ok(receive_membership(fixture, 0, 0, 1, VOTERS(2, 3)));
    assert_ok(persisted(fixture));
    assert_false(raft_is_voter(fixture->raft));
    assert_true(raft_deadline_ms(fixture->raft) != UINT64_MAX);
    assert_ok(tick(fixture));
    assert_int_equal(raft_role(fixture->raft), RAFT_PRE_CANDIDATE);
    /* Its own vote counts for nothing. */
    assert_ok(receive_reply(fixture, 3, MESSAGE_PRE_VOTE_REPLY, 2));
    assert_int_equal(raft_role(fixture->raft), RAFT_PRE_CANDIDATE);
    commit.commit = 1;
    assert_ok(receive(fixture, 2, &commit, NULL));
    assert_true(raft_deadline_ms(fixture->raft) == UINT64_MAX);
}

static void one_that_waits_to_join_never_campaigns(void **state)
{
    struct fixture *fixture = *state;
    const struct raft_config config = {.id = 1,
                                       .election_timeout_ms = ELECTION_MS,
                                       .heartbeat_interval_ms = 20};
    const struct raft_recovered recovered = {.term = 0};

    assert_ok(raft_new(&config, &recovered, fixture->now_ms, &fixture->raft));
    raft_check(fixture->raft);
    assert_true(raft_deadline_ms(fixture->raft) == UINT64_MAX);
    fixture->now_ms += 1000;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(raft_role(fixture->raft), RAFT_FOLLOWER);
    assert_ok(receive_membership(fixture, 0, 0, 1, VOTERS(1, 2)));
    assert_ok(persisted(fixture));
    assert_true(fixture->sent[0].is_granted);
    assert_true(raft_is_voter(fixture->raft));
}

static void whoever_hears_from_a_leader_is_not_disturbed(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 1, 1));
    assert_ok(persisted(fixture));
    assert_ok(receive_vote(fixture, 9, 7, 5, 1));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_int_equal(raft_term(fixture->raft), 1);
    assert_int_equal(raft_leader(fixture->raft), 2);
    fixture->now_ms += ELECTION_MS;
    assert_ok(receive_vote(fixture, 9, 7, 5, 1));
    assert_int_equal(raft_term(fixture->raft), 7);
}

static void lack_of_memory_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct raft_membership target = VOTERS(1, 2);
    struct raft_event event = {.type = RAFT_CHANGE, .target = &target};
    uint64_t failing = 0;
    int rv;

    lead_committed(fixture, 1);
    event.now_ms = fixture->now_ms;
    do {
        mem_fail_after(failing);
        rv = raft_step(fixture->raft, &event, &fixture->effects);
        mem_fail_after(UINT64_MAX);
        raft_check(fixture->raft);
        if (rv != 0) {
            assert_err(rv, ERR_NOMEM);
            assert_membership(fixture, VOTERS(1));
            assert_int_equal(fixture->effects.persist.seq, 0);
        }
        failing++;
    } while (rv != 0);
    assert_phase(fixture, RAFT_CHANGE_LEARNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_voter_becomes_three),
        TEST(learners_count_in_no_majority),
        TEST(a_joint_commit_needs_both_majorities),
        TEST(a_joint_read_needs_both_majorities),
        TEST(a_joint_leader_has_to_hear_from_both_halves),
        TEST(a_joint_election_needs_both_majorities),
        TEST(one_change_at_a_time),
        TEST(what_makes_no_sense_is_refused),
        TEST(a_silent_newcomer_is_named_and_left_out),
        TEST(newcomers_that_cannot_keep_up_are_left_out),
        TEST(a_leader_leads_its_own_removal_to_the_end),
        TEST(who_leaves_is_told_that_it_is_committed),
        TEST(who_leaves_in_silence_is_forgotten_after_a_while),
        TEST(a_membership_that_is_cut_gives_way_to_the_one_before),
        TEST(an_uncommitted_membership_survives_a_restart),
        TEST(one_that_is_leaving_campaigns_until_that_is_committed),
        TEST(one_that_waits_to_join_never_campaigns),
        TEST(whoever_hears_from_a_leader_is_not_disturbed),
        TEST(lack_of_memory_changes_nothing),
    };

    return cmocka_run_group_tests_name("raft/change", tests, NULL, NULL);
}
