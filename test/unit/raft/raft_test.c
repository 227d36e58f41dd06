/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "raft/raft.h"
#include "unit/raft/core_fixture.h"

static void a_single_voter_elects_itself_at_once(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 1);
    assert_int_equal(raft_deadline_ms(fixture->raft), fixture->now_ms);
    assert_ok(tick(fixture));
    assert_int_equal(raft_role(fixture->raft), RAFT_CANDIDATE);
    assert_int_equal(fixture->effects.persist.term, 1);
    assert_int_equal(fixture->effects.persist.voted_for, 1);
    assert_ok(persisted(fixture));
    assert_int_equal(raft_role(fixture->raft), RAFT_LEADER);
    assert_int_equal(raft_commit_index(fixture->raft), 0);
    assert_ok(persisted(fixture));
    assert_int_equal(raft_commit_index(fixture->raft), 1);
    assert_true(raft_has_quorum(fixture->raft, fixture->now_ms));
    assert_true(raft_deadline_ms(fixture->raft) == UINT64_MAX);
}

static void a_single_voter_commits_what_is_on_its_disk(void **state)
{
    struct fixture *fixture = *state;
    struct raft_entry entry;

    start(fixture, 1);
    assert_ok(tick(fixture));
    assert_ok(persisted(fixture));
    assert_ok(persisted(fixture));
    assert_ok(propose(fixture, "a"));
    assert_int_equal(fixture->effects.proposed_index, 2);
    assert_int_equal(fixture->effects.proposed_term, 1);
    assert_int_equal(fixture->effects.persist.entry_count, 1);
    assert_false(fixture->effects.commit_changed);
    assert_ok(persisted(fixture));
    assert_true(fixture->effects.commit_changed);
    assert_ok(raft_entry_get(fixture->raft, 2, &entry));
    assert_bytes(entry.data, "a", 1);
    assert_err(raft_entry_get(fixture->raft, 3, &entry), ERR_NOT_FOUND);
    assert_err(raft_entry_get(fixture->raft, 0, &entry), ERR_NOT_FOUND);
    assert_ok(read_at(fixture, 77));
    assert_int_equal(fixture->effects.read_count, 1);
    assert_int_equal(fixture->effects.reads[0].read_id, 77);
    assert_int_equal(fixture->effects.reads[0].index, 2);
    assert_false(fixture->effects.reads[0].is_failed);
}

/* Its membership may be newer than ours (dissertation 4.2.3). */
static void a_stranger_gets_a_vote_but_has_none(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_vote(fixture, 99, 5, 0, 0));
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->effects.sends[0].to, 99);
    assert_true(fixture->sent[0].is_granted);
    assert_ok(tick(fixture));
    assert_ok(receive_reply(fixture, 99, MESSAGE_PRE_VOTE_REPLY, 6));
    assert_int_equal(raft_role(fixture->raft), RAFT_PRE_CANDIDATE);
}

static void what_comes_from_oneself_is_ignored(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    assert_ok(receive_vote(fixture, 1, 5, 0, 0));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_int_equal(fixture->effects.persist.seq, 0);
    assert_int_equal(raft_term(fixture->raft), 0);
    assert_err(step(fixture, (struct raft_event){.type = RAFT_MESSAGE,
                                                 .from = 99,
                                                 .bytes = bytes_of("x", 1)}),
               ERR_MALFORMED);
}

/* More strangers than there is room for answers: some get none. */
static void a_crowd_of_strangers_is_bounded(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 3);
    for (uint64_t id = 10; id < 200; id++) {
        assert_ok(receive_vote(fixture, id, 5, 0, 0));
    }
    assert_ok(persisted(fixture));
    assert_true(fixture->effects.send_count >= RAFT_VOTERS_MAX);
    assert_true(fixture->effects.send_count < SENDS_KEPT);
    assert_int_equal(fixture->effects.sends[0].to, 10);
    assert_true(fixture->sent[0].is_granted);
    assert_false(fixture->sent[1].is_granted);
}

static void impossible_messages_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct message foreign = {.type = MESSAGE_APPEND, .term = 1};

    start(fixture, 3);
    assert_ok(receive_append(fixture, (struct message){.term = 1, .commit = 2},
                             2, 1));
    assert_ok(persisted(fixture));
    assert_int_equal(raft_commit_index(fixture->raft), 2);
    /* A second leader in the term. */
    assert_err(receive(fixture, 3, &foreign, NULL), ERR_MALFORMED);
    /* Other entries where there is a commit. */
    assert_err(receive_append(fixture, (struct message){.term = 9}, 1, 9),
               ERR_MALFORMED);
    assert_err(
        receive_append(fixture,
                       (struct message){.term = 9, .index = 2, .index_term = 9},
                       0, 0),
        ERR_MALFORMED);
    assert_int_equal(raft_term(fixture->raft), 1);
    assert_int_equal(raft_last_index(fixture->raft), 2);
    assert_int_equal(raft_leader(fixture->raft), 2);
}

static void wrong_configurations_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct raft_config good = {.id = 1,
                                     .voters = {1, 2},
                                     .voter_count = 2,
                                     .election_timeout_ms = 100,
                                     .heartbeat_interval_ms = 20};
    struct raft_recovered recovered = {.term = 0};
    struct raft_config configs[6] = {good, good, good, good, good, good};

    configs[0].id = 0;
    configs[1].voters[1] = 0;
    configs[2].voter_count = RAFT_VOTERS_MAX + 1;
    configs[3].voters[1] = 1;
    configs[4].heartbeat_interval_ms = 50;
    configs[5].voters[0] = 0;
    for (size_t i = 0; i < 6; i++) {
        assert_err(raft_new(&configs[i], &recovered, 0, &fixture->raft),
                   ERR_BADARG);
    }
    assert_null(fixture->raft);
}

static void wrong_logs_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct raft_config config = {.id = 1,
                                 .voters = {1},
                                 .voter_count = 1,
                                 .election_timeout_ms = 100,
                                 .heartbeat_interval_ms = 20};
    struct raft_entry entries[2] = {{.index = 1, .term = 2},
                                    {.index = 2, .term = 1}};
    struct raft_recovered recovered = {
        .term = 2, .entries = entries, .entry_count = 2};

    assert_err(raft_new(&config, &recovered, 0, &fixture->raft), ERR_CORRUPT);
    entries[1].term = 3;
    assert_err(raft_new(&config, &recovered, 0, &fixture->raft), ERR_CORRUPT);
    entries[1].term = 2;
    entries[1].index = 3;
    assert_err(raft_new(&config, &recovered, 0, &fixture->raft), ERR_CORRUPT);
    assert_null(fixture->raft);
}

/* The steps of a short life, each tried with memory running out at every
 * allocation; what failed must have changed nothing. */
static void lack_of_memory_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct raft_event event = {.type = RAFT_PROPOSE,
                               .bytes = bytes_of_string("command")};

    start(fixture, 3);
    lead(fixture, 3);
    for (int i = 0; i < 300; i++) {
        uint64_t last = raft_last_index(fixture->raft);
        uint64_t failing = 0;
        int rv;

        do {
            mem_fail_after(failing);
            event.now_ms = fixture->now_ms;
            rv = raft_step(fixture->raft, &event, &fixture->effects);
            mem_fail_after(UINT64_MAX);
            raft_check(fixture->raft);
            if (rv != 0) {
                assert_err(rv, ERR_NOMEM);
                assert_int_equal(raft_last_index(fixture->raft), last);
                assert_int_equal(fixture->effects.send_count, 0);
                assert_int_equal(fixture->effects.persist.seq, 0);
            }
            failing++;
        } while (rv != 0);
        assert_int_equal(raft_last_index(fixture->raft), last + 1);
        fixture->seq++;
    }
    assert_ok(persisted(fixture));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_single_voter_elects_itself_at_once),
        TEST(a_single_voter_commits_what_is_on_its_disk),
        TEST(a_stranger_gets_a_vote_but_has_none),
        TEST(what_comes_from_oneself_is_ignored),
        TEST(a_crowd_of_strangers_is_bounded),
        TEST(impossible_messages_change_nothing),
        TEST(wrong_configurations_are_refused),
        TEST(wrong_logs_are_refused),
        TEST(lack_of_memory_changes_nothing),
    };

    return cmocka_run_group_tests_name("raft/raft", tests, NULL, NULL);
}
