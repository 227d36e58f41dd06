/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/raft/core_fixture.h"

static void reads_wait_for_the_first_commit_of_the_term(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 1);
    assert_ok(tick(fixture));
    assert_ok(persisted(fixture));
    assert_ok(read_at(fixture, 1));
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->effects.read_count, 1);
    assert_int_equal(fixture->effects.reads[0].index, 1);
}

static void many_reads_share_a_round(void **state)
{
    struct fixture *fixture = *state;
    uint64_t round;

    start(fixture, 3);
    lead(fixture, 3);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 1, 0));
    assert_ok(read_at(fixture, 0));
    assert_int_equal(fixture->effects.send_count, 2);
    round = fixture->sent[0].read_seq;
    for (uint64_t i = 1; i < 100; i++) {
        assert_ok(read_at(fixture, i));
        assert_int_equal(fixture->effects.send_count, 0);
        assert_int_equal(fixture->effects.read_count, 0);
    }
    /* Only the read that came before the round is answered by it. */
    assert_ok(receive_ack(fixture, 3, 1, round));
    assert_int_equal(fixture->effects.read_count, 1);
    assert_int_equal(fixture->effects.reads[0].read_id, 0);
    assert_int_equal(fixture->effects.send_count, 2);
    assert_ok(receive_ack(fixture, 2, 1, round));
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(receive_ack(fixture, 2, 1, round + 1));
    assert_int_equal(fixture->effects.read_count, 99);
    for (size_t i = 0; i < 99; i++) {
        assert_int_equal(fixture->effects.reads[i].read_id, i + 1);
        assert_int_equal(fixture->effects.reads[i].index, 1);
        assert_false(fixture->effects.reads[i].is_failed);
    }
}

static void a_read_round_is_confirmed_before_the_disk_is_done(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 1, 1));
    assert_ok(persisted(fixture));
    assert_ok(receive_append(
        fixture,
        (struct message){.term = 1, .index = 1, .index_term = 1, .read_seq = 4},
        1, 1));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->sent[0].read_seq, 4);
    assert_int_equal(fixture->sent[0].index, 1);
}

/* --- Of a follower, id 1; the leader is 2 ----------------------------------
 */

static void follow(struct fixture *fixture)
{
    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 1, 1));
    assert_ok(persisted(fixture));
}

static int receive_answer(struct fixture *fixture, uint64_t from,
                          uint64_t read_id, uint64_t index)
{
    struct message message = {.type = MESSAGE_READ_REPLY,
                              .term = raft_term(fixture->raft),
                              .read_id = read_id,
                              .index = index};

    return receive(fixture, from, &message, NULL);
}

/* The question that the last step sent to the leader. */
static uint64_t asked(const struct fixture *fixture)
{
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->effects.sends[0].to, 2);
    assert_int_equal(fixture->sent[0].type, MESSAGE_READ);
    assert_int_equal(fixture->sent[0].term, 1);
    return fixture->sent[0].read_id;
}

static void a_follower_asks_once_for_all_its_reads(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first;
    uint64_t second;

    follow(fixture);
    assert_ok(read_at(fixture, 0));
    first = asked(fixture);
    for (uint64_t i = 1; i < 100; i++) {
        assert_ok(read_at(fixture, i));
        assert_int_equal(fixture->effects.send_count, 0);
        assert_int_equal(fixture->effects.read_count, 0);
    }
    /* The answer is for what was there when it was asked for. */
    assert_ok(receive_answer(fixture, 2, first, 7));
    assert_int_equal(fixture->effects.read_count, 1);
    assert_int_equal(fixture->effects.reads[0].read_id, 0);
    assert_int_equal(fixture->effects.reads[0].index, 7);
    assert_false(fixture->effects.reads[0].is_failed);
    second = asked(fixture);
    assert_int_not_equal(first, second);
    /* Nor does it serve twice. */
    assert_ok(receive_answer(fixture, 2, first, 7));
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(receive_answer(fixture, 2, second, 9));
    assert_int_equal(fixture->effects.read_count, 99);
    for (size_t i = 0; i < 99; i++) {
        assert_int_equal(fixture->effects.reads[i].read_id, i + 1);
        assert_int_equal(fixture->effects.reads[i].index, 9);
    }
    assert_int_equal(fixture->effects.send_count, 0);
}

static void only_the_leader_of_the_term_tells_the_index(void **state)
{
    struct fixture *fixture = *state;
    struct message old = {
        .type = MESSAGE_READ_REPLY, .term = 2, .read_id = 0, .index = 7};

    follow(fixture);
    assert_ok(read_at(fixture, 0));
    old.read_id = asked(fixture);
    assert_ok(receive_answer(fixture, 3, old.read_id, 7));
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(receive(fixture, 2, &old, NULL));
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(receive_answer(fixture, 2, old.read_id ^ 1, 7));
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(receive_answer(fixture, 2, old.read_id, 7));
    assert_int_equal(fixture->effects.read_count, 1);
}

static void a_lost_question_is_asked_again(void **state)
{
    struct fixture *fixture = *state;
    struct message heartbeat = {.term = 1, .index = 1, .index_term = 1};
    uint64_t id;

    follow(fixture);
    assert_ok(read_at(fixture, 0));
    id = asked(fixture);
    assert_ok(receive_append(fixture, heartbeat, 0, 1));
    assert_int_equal(fixture->effects.send_count, 1); /* its acknowledgement */
    fixture->now_ms += 20;
    assert_ok(receive_append(fixture, heartbeat, 0, 1));
    assert_int_equal(fixture->effects.send_count, 2);
    assert_int_equal(fixture->sent[1].type, MESSAGE_READ);
    assert_int_equal(fixture->sent[1].read_id, id);
}

static void reads_of_a_follower_end_with_its_leader(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_err(read_at(fixture, 0), ERR_NOT_LEADER);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 1, 1));
    assert_ok(read_at(fixture, 0));
    /* It waits until the term is on disk: the question speaks of it. */
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->effects.send_count, 2);
    assert_int_equal(fixture->sent[1].type, MESSAGE_READ);
    assert_ok(read_at(fixture, 1));
    assert_ok(tick(fixture));
    assert_int_equal(raft_role(fixture->raft), RAFT_PRE_CANDIDATE);
    assert_int_equal(fixture->effects.read_count, 2);
    assert_true(fixture->effects.reads[0].is_failed);
    assert_true(fixture->effects.reads[1].is_failed);
    assert_err(read_at(fixture, 2), ERR_NOT_LEADER);
}

/* --- Of followers, told by the leader, id 1 --------------------------------
 */

static int receive_question(struct fixture *fixture, uint64_t from, uint64_t id)
{
    struct message message = {
        .type = MESSAGE_READ, .term = raft_term(fixture->raft), .read_id = id};

    return receive(fixture, from, &message, NULL);
}

static void lead_of(struct fixture *fixture, uint32_t voters)
{
    start(fixture, voters);
    lead(fixture, voters);
    assert_ok(persisted(fixture));
    for (uint64_t id = 2; id <= voters / 2 + 1; id++) {
        assert_ok(receive_ack(fixture, id, 1, 0));
    }
    assert_int_equal(raft_commit_index(fixture->raft), 1);
}

static void assert_told(const struct fixture *fixture, size_t at, uint64_t to,
                        uint64_t id, uint64_t index)
{
    assert_true(fixture->effects.send_count > at);
    assert_int_equal(fixture->effects.sends[at].to, to);
    assert_int_equal(fixture->sent[at].type, MESSAGE_READ_REPLY);
    assert_int_equal(fixture->sent[at].read_id, id);
    assert_int_equal(fixture->sent[at].index, index);
}

static void asker_and_leader_may_be_a_majority(void **state)
{
    struct fixture *fixture = *state;

    lead_of(fixture, 3);
    assert_ok(receive_question(fixture, 3, 77));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_told(fixture, 0, 3, 77, 1);
    /* It confirmed nothing for others. */
    assert_ok(read_at(fixture, 5));
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(receive_question(fixture, 3, 78));
    assert_told(fixture, 0, 3, 78, 1);
    assert_int_equal(fixture->effects.read_count, 0);
}

static void among_five_askers_share_a_round(void **state)
{
    struct fixture *fixture = *state;
    uint64_t round;

    lead_of(fixture, 5);
    assert_ok(receive_question(fixture, 2, 77));
    assert_int_equal(fixture->effects.send_count, 4);
    round = fixture->sent[0].read_seq;
    assert_ok(receive_question(fixture, 2, 77)); /* the same, repeated */
    assert_ok(receive_question(fixture, 3, 50));
    assert_ok(read_at(fixture, 5));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(receive_ack(fixture, 4, 1, round));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(receive_ack(fixture, 5, 1, round));
    assert_told(fixture, 0, 2, 77, 1);
    /* And the next round begins. */
    assert_int_equal(fixture->effects.send_count, 5);
    assert_int_equal(fixture->effects.read_count, 0);
    assert_ok(receive_ack(fixture, 4, 1, round + 1));
    assert_ok(receive_ack(fixture, 5, 1, round + 1));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_told(fixture, 0, 3, 50, 1);
    assert_int_equal(fixture->effects.read_count, 1);
}

static void a_question_waits_for_the_first_commit_of_the_term(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    lead(fixture, 3);
    assert_ok(receive_question(fixture, 2, 77));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 3, 1, 0)); /* the no-op is committed */
    assert_ok(receive_ack(fixture, 3, 1, 1));
    assert_told(fixture, fixture->effects.send_count - 1, 2, 77, 1);
}

static void strangers_and_old_terms_are_told_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct message old = {.type = MESSAGE_READ, .term = 7, .read_id = 1};

    lead_of(fixture, 3);
    assert_ok(receive_question(fixture, 9, 77));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(receive(fixture, 2, &old, NULL));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_int_equal(raft_role(fixture->raft), RAFT_LEADER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_wait_for_the_first_commit_of_the_term),
        TEST(many_reads_share_a_round),
        TEST(a_read_round_is_confirmed_before_the_disk_is_done),
        TEST(a_follower_asks_once_for_all_its_reads),
        TEST(only_the_leader_of_the_term_tells_the_index),
        TEST(a_lost_question_is_asked_again),
        TEST(reads_of_a_follower_end_with_its_leader),
        TEST(asker_and_leader_may_be_a_majority),
        TEST(among_five_askers_share_a_round),
        TEST(a_question_waits_for_the_first_commit_of_the_term),
        TEST(strangers_and_old_terms_are_told_nothing),
    };

    return cmocka_run_group_tests_name("raft/read", tests, NULL, NULL);
}
