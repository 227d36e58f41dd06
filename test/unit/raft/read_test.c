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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_wait_for_the_first_commit_of_the_term),
        TEST(many_reads_share_a_round),
        TEST(a_read_round_is_confirmed_before_the_disk_is_done),
    };

    return cmocka_run_group_tests_name("raft/read", tests, NULL, NULL);
}
