/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/raft/core_fixture.h"

static void an_ack_leaves_only_when_the_entries_are_on_disk(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 2, 1));
    assert_int_equal(fixture->effects.persist.entry_count, 2);
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_true(fixture->sent[0].is_granted);
    assert_int_equal(fixture->sent[0].index, 2);
    /* A heartbeat does not acknowledge what is still on its way to disk. */
    assert_ok(receive_append(
        fixture, (struct message){.term = 1, .index = 2, .index_term = 1}, 1,
        1));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(receive_append(
        fixture, (struct message){.term = 1, .index = 3, .index_term = 1}, 0,
        0));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->sent[0].index, 2);
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->sent[0].index, 3);
}

static void s2_only_what_the_leader_matched_is_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t terms[] = {1, 1, 2, 2, 2};

    start_with(fixture, 3, 2, terms, 5);
    /* The heartbeat of a new leader says nothing of entries 3 to 5. */
    assert_ok(receive_append(
        fixture,
        (struct message){.term = 3, .index = 2, .index_term = 1, .commit = 5},
        0, 0));
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_true(fixture->sent[0].is_granted);
    assert_int_equal(fixture->sent[0].index, 2);
    assert_int_equal(raft_commit_index(fixture->raft), 2);
    assert_int_equal(raft_last_index(fixture->raft), 5);
    /* Nor does an entry that is there already. */
    assert_ok(receive_append(
        fixture, (struct message){.term = 3, .index = 2, .index_term = 1}, 1,
        2));
    assert_int_equal(fixture->sent[0].index, 3);
    assert_int_equal(fixture->effects.persist.seq, 0);
    /* What conflicts is cut, in the same write as its replacement. */
    assert_ok(receive_append(
        fixture, (struct message){.term = 3, .index = 3, .index_term = 2}, 1,
        3));
    assert_int_equal(fixture->effects.persist.truncate_from, 4);
    assert_int_equal(fixture->effects.persist.entry_count, 1);
    assert_int_equal(raft_last_index(fixture->raft), 4);
}

static void s2_an_old_leaders_entries_are_not_acked_to_a_new_one(void **state)
{
    struct fixture *fixture = *state;
    struct message heartbeat = {.type = MESSAGE_APPEND, .term = 2};

    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 1}, 3, 1));
    /* Before they are on disk another leader shows up. */
    assert_ok(receive(fixture, 3, &heartbeat, NULL));
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->effects.sends[0].to, 3);
    assert_int_equal(fixture->sent[0].term, 2);
    assert_int_equal(fixture->sent[0].index, 0);
}

static void a_refusal_says_how_far_back_to_go(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t terms[] = {1, 1, 4, 4, 4};

    start_with(fixture, 3, 5, terms, 5);
    assert_ok(receive_append(
        fixture, (struct message){.term = 5, .index = 9, .index_term = 5}, 0,
        0));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_false(fixture->sent[0].is_granted);
    assert_int_equal(fixture->sent[0].index, 9);
    assert_int_equal(fixture->sent[0].hint_index, 5);
    assert_int_equal(fixture->sent[0].hint_term, 4);
    assert_ok(receive_append(
        fixture, (struct message){.term = 5, .index = 5, .index_term = 3}, 0,
        0));
    assert_int_equal(fixture->sent[0].hint_index, 2);
    assert_int_equal(fixture->sent[0].hint_term, 1);
}

static void a_stale_leader_learns_the_new_term(void **state)
{
    struct fixture *fixture = *state;

    start_with(fixture, 3, 7, NULL, 0);
    assert_ok(receive_append(fixture, (struct message){.term = 6}, 1, 6));
    assert_int_equal(fixture->effects.persist.seq, 0);
    assert_int_equal(raft_last_index(fixture->raft), 0);
    assert_int_equal(fixture->sent[0].term, 7);
    assert_false(fixture->sent[0].is_granted);
}

/* By the time that the answer arrives, the same member may lead the new term,
 * with a log that is shorter than its old one. */
static void an_answer_to_an_old_term_names_no_place_in_the_log(void **state)
{
    struct fixture *fixture = *state;

    start_with(fixture, 3, 7, NULL, 0);
    assert_ok(receive_append(
        fixture, (struct message){.term = 6, .index = 525, .index_term = 6}, 0,
        0));
    assert_int_equal(fixture->sent[0].term, 7);
    assert_int_equal(fixture->sent[0].index, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_ack_leaves_only_when_the_entries_are_on_disk),
        TEST(s2_only_what_the_leader_matched_is_acknowledged),
        TEST(s2_an_old_leaders_entries_are_not_acked_to_a_new_one),
        TEST(a_refusal_says_how_far_back_to_go),
        TEST(a_stale_leader_learns_the_new_term),
        TEST(an_answer_to_an_old_term_names_no_place_in_the_log),
    };

    return cmocka_run_group_tests_name("raft/follower", tests, NULL, NULL);
}
