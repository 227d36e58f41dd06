/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/raft/core_fixture.h"

static void s1_copies_of_an_old_terms_entry_do_not_commit_it(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t terms[] = {1, 2};

    /* Figure 3.7: s1 was leader of term 2, and is again in term 4. */
    start_with(fixture, 5, 3, terms, 2);
    lead(fixture, 5);
    assert_int_equal(raft_last_index(fixture->raft), 3);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_ok(receive_ack(fixture, 3, 2, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 0);
    assert_ok(receive_ack(fixture, 2, 3, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 0);
    assert_ok(receive_ack(fixture, 3, 3, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 3);
}

static void the_leaders_own_copy_counts_when_it_is_on_disk(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    lead(fixture, 3);
    assert_ok(receive_ack(fixture, 2, 1, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 0);
    assert_ok(persisted(fixture));
    assert_int_equal(raft_commit_index(fixture->raft), 1);
    /* Two followers are a majority without it. */
    assert_ok(propose(fixture, "a"));
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 1);
    assert_ok(receive_ack(fixture, 3, 2, 0));
    assert_int_equal(raft_commit_index(fixture->raft), 2);
}

static void followers_hear_of_a_commit_at_once(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    lead(fixture, 3);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 1, 0));
    assert_true(fixture->effects.commit_changed);
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->effects.sends[0].to, 2);
    assert_int_equal(fixture->sent[0].commit, 1);
    assert_int_equal(fixture->sent[0].entry_count, 0);
    /* The other one as soon as it has answered. */
    assert_ok(receive_ack(fixture, 3, 1, 0));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->effects.sends[0].to, 3);
    assert_int_equal(fixture->sent[0].commit, 1);
    assert_ok(receive_ack(fixture, 3, 1, 0));
    assert_int_equal(fixture->effects.send_count, 0);
}

static void entries_leave_ahead_of_their_answers_up_to_the_window(void **state)
{
    struct fixture *fixture = *state;
    size_t sent = 0;

    start(fixture, 3);
    lead(fixture, 3);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 1, 0));
    for (int i = 0; i < 200; i++) {
        assert_ok(propose(fixture, "x"));
        sent += fixture->effects.send_count;
    }
    /* Member 3 is still being probed. */
    assert_int_equal(sent, RAFT_WINDOW_MAX);
    /* One answer makes room for all that waits, in one message. */
    assert_ok(receive_ack(fixture, 2, 2, 0));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->sent[0].index, 65);
    assert_int_equal(fixture->sent[0].entry_count, 136);
}

static void messages_and_window_are_bounded_in_bytes(void **state)
{
    struct fixture *fixture = *state;
    static char text[400 * 1000 + 1];
    size_t bytes = 0;

    memset(text, 'x', sizeof(text) - 1);
    start(fixture, 3);
    lead(fixture, 3);
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 1, 0));
    for (int i = 0; i < 20; i++) {
        assert_ok(propose(fixture, text));
        for (size_t j = 0; j < fixture->effects.send_count; j++) {
            assert_true(fixture->effects.sends[j].bytes.size <=
                        RAFT_MESSAGE_SIZE_MAX + MESSAGE_HEADER_SIZE_MAX);
            bytes += fixture->effects.sends[j].bytes.size;
        }
    }
    assert_true(bytes >= (size_t)4 * 1000 * 1000);
    assert_true(bytes <= (size_t)6 * 1024 * 1024);
}

static void too_big_and_too_much_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *text = malloc(RAFT_PROPOSAL_SIZE_MAX + 2);
    int rv = 0;
    int count = 0;

    assert_non_null(text);
    memset(text, 'x', RAFT_PROPOSAL_SIZE_MAX + 1);
    text[RAFT_PROPOSAL_SIZE_MAX + 1] = '\0';
    start(fixture, 3);
    lead(fixture, 3);
    assert_err(propose(fixture, text), ERR_LIMIT);
    text[RAFT_PROPOSAL_SIZE_MAX] = '\0';
    while (rv == 0) {
        rv = propose(fixture, text);
        count++;
    }
    assert_err(rv, ERR_BUSY);
    assert_int_equal(count, RAFT_UNCOMMITTED_MAX / RAFT_PROPOSAL_SIZE_MAX + 1);
    assert_int_equal(fixture->effects.send_count, 0);
    assert_int_equal(fixture->effects.persist.seq, 0);
    free(text);
}

static void a_refused_append_is_tried_again_further_back(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t terms[] = {1, 1, 2, 2, 4, 4};
    struct message refusal = {.type = MESSAGE_APPEND_REPLY,
                              .index = 6,
                              .hint_index = 5,
                              .hint_term = 3};

    start_with(fixture, 3, 4, terms, 6);
    lead(fixture, 3);
    refusal.term = raft_term(fixture->raft);
    assert_ok(receive(fixture, 3, &refusal, NULL));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->sent[0].index, 4);
    assert_int_equal(fixture->sent[0].index_term, 2);
    assert_int_equal(fixture->sent[0].entry_count, 3);
    /* The same refusal again is stale. */
    assert_ok(receive(fixture, 3, &refusal, NULL));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(receive_ack(fixture, 3, 7, 0));
    assert_ok(persisted(fixture));
    assert_int_equal(raft_commit_index(fixture->raft), 7);
}

static void a_leader_refuses_impossible_answers(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    lead(fixture, 3);
    assert_err(receive_ack(fixture, 2, 2, 0), ERR_MALFORMED);
    assert_err(receive_ack(fixture, 2, 1, 1), ERR_MALFORMED);
    assert_err(
        receive_append(
            fixture, (struct message){.term = raft_term(fixture->raft)}, 0, 0),
        ERR_MALFORMED);
    assert_int_equal(raft_role(fixture->raft), RAFT_LEADER);
    assert_int_equal(raft_commit_index(fixture->raft), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(s1_copies_of_an_old_terms_entry_do_not_commit_it),
        TEST(the_leaders_own_copy_counts_when_it_is_on_disk),
        TEST(followers_hear_of_a_commit_at_once),
        TEST(entries_leave_ahead_of_their_answers_up_to_the_window),
        TEST(messages_and_window_are_bounded_in_bytes),
        TEST(too_big_and_too_much_is_refused),
        TEST(a_refused_append_is_tried_again_further_back),
        TEST(a_leader_refuses_impossible_answers),
    };

    return cmocka_run_group_tests_name("raft/replication", tests, NULL, NULL);
}
