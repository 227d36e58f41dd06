/* SPDX-License-Identifier: Apache-2.0
 * Whole clusters through the stories that matter; test/sim checks the rules
 * after every step. */
#include "lib/test.h"
#include "raft/message.h"
#include "sim/cluster.h"

#include <stdio.h>

static int teardown(void **state)
{
    cluster_free(*state);
    *state = NULL;
    return 0;
}

static struct cluster *new_cluster(void **state, uint32_t count, uint64_t seed)
{
    struct cluster *cluster = cluster_new(count, seed);

    *state = cluster;
    return cluster;
}

static int lead(struct cluster *cluster)
{
    int leader = cluster_run_until_leader(cluster, 5000);

    assert_true(leader >= 0);
    return leader;
}

/* Some position that is not in `not_these` (a set of bits). */
static int other(const struct cluster *cluster, unsigned not_these)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if ((not_these >> i & 1) == 0) {
            return (int)i;
        }
    }
    fail_msg("there is no other node");
    return -1;
}

static void assert_no_failure(const struct cluster *cluster)
{
    assert_string_equal(cluster->failure, "");
}

static uint64_t last_of(const struct cluster *cluster, int node)
{
    return raft_last_index(cluster->nodes[node].raft);
}

/* 300 ms each way and 5 % of packets lost at default settings, in the
 * simulator's scale of one to five: what is lost comes again after a round trip
 * and a half, and holds up what was sent behind it. With fixed timeouts this
 * was a term every two seconds. */
static void bad_networks_cost_no_elections(void **state)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct cluster *cluster = new_cluster(state, 3, seed);
        uint64_t term;

        (void)lead(cluster);
        cluster->faults.delay_min_ms = 60;
        cluster->faults.stall_percent = 5;
        cluster->faults.stall_ms = 180;
        /* It learns how the network is, and then elects nobody for five
         * minutes, but is not blind for a lost leader. */
        cluster_run(cluster, 4000);
        term = raft_term(cluster->nodes[0].raft);
        cluster_run(cluster, 60000);
        assert_int_equal(raft_term(cluster->nodes[0].raft), term);
        cluster_crash(cluster, cluster_leader(cluster));
        assert_true(cluster_run_until_leader(cluster, 10000) >= 0);
        assert_no_failure(cluster);
        teardown(state);
    }
}

static void clusters_of_all_sizes_elect_and_commit(void **state)
{
    for (uint32_t count = 1; count <= RAFT_VOTERS_MAX; count++) {
        struct cluster *cluster = new_cluster(state, count, count);
        int leader = lead(cluster);

        for (int i = 0; i < 100; i++) {
            assert_ok(cluster_propose(cluster, leader, "command"));
        }
        assert_true(cluster_run_until_committed(cluster, 101, 1000));
        assert_no_failure(cluster);
        (void)teardown(state);
    }
}

static void a_quiet_cluster_keeps_its_leader(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 1);
    int leader = lead(cluster);
    uint64_t term = raft_term(cluster->nodes[leader].raft);
    uint64_t sent = cluster->sent_count;

    cluster_run(cluster, 10000);
    assert_int_equal(cluster_leader(cluster), leader);
    assert_int_equal(raft_term(cluster->nodes[leader].raft), term);
    /* A heartbeat and its answer for two followers, every interval. */
    assert_true(cluster->sent_count - sent <=
                4 * (10000 / CLUSTER_HEARTBEAT_MS + 1));
    assert_no_failure(cluster);
}

static void a_crashed_leader_is_replaced_and_nothing_is_lost(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 2);
    int old = lead(cluster);
    int leader;

    assert_ok(cluster_propose(cluster, old, "kept"));
    assert_true(cluster_run_until_committed(cluster, 2, 1000));
    cluster_crash(cluster, old);
    leader = lead(cluster);
    assert_true(leader != old);
    assert_true(last_of(cluster, leader) >= 3);
    cluster_restart(cluster, old);
    assert_true(cluster_run_until_committed(cluster, 3, 2000));
    assert_no_failure(cluster);
}

static void
all_killed_at_once_come_back_with_all_they_acknowledged(void **state)
{
    struct cluster *cluster = new_cluster(state, 5, 3);
    int leader = lead(cluster);

    for (int i = 0; i < 50; i++) {
        assert_ok(cluster_propose(cluster, leader, "kept"));
    }
    assert_true(cluster_run_until_committed(cluster, 51, 1000));
    for (int i = 0; i < 5; i++) {
        cluster_crash(cluster, i);
    }
    for (int i = 0; i < 5; i++) {
        cluster_restart(cluster, i);
    }
    leader = lead(cluster);
    assert_true(
        cluster_run_until_committed(cluster, last_of(cluster, leader), 1000));
    assert_true(last_of(cluster, leader) >= 52);
    assert_no_failure(cluster);
}

static void a_minority_stops_and_a_majority_goes_on(void **state)
{
    struct cluster *cluster = new_cluster(state, 5, 4);
    int old = lead(cluster);
    int leader;

    cluster_isolate(cluster, old, true);
    cluster_run(cluster, 3 * CLUSTER_ELECTION_MS);
    assert_int_not_equal(raft_role(cluster->nodes[old].raft), RAFT_LEADER);
    assert_false(raft_has_quorum(cluster->nodes[old].raft, cluster->now_ms));
    leader = lead(cluster);
    assert_true(leader != old);
    assert_ok(cluster_propose(cluster, leader, "more"));
    cluster_run(cluster, 200);
    assert_true(raft_commit_index(cluster->nodes[leader].raft) >= 3);
    cluster_mend(cluster);
    assert_true(
        cluster_run_until_committed(cluster, last_of(cluster, leader), 2000));
    assert_no_failure(cluster);
}

static void a_member_that_was_cut_off_disturbs_nobody(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 5);
    int leader = lead(cluster);
    int lonely = other(cluster, 1U << leader);
    uint64_t term = raft_term(cluster->nodes[leader].raft);

    cluster_isolate(cluster, lonely, true);
    cluster_run(cluster, 5000);
    cluster_mend(cluster);
    cluster_run(cluster, 1000);
    assert_int_equal(cluster_leader(cluster), leader);
    assert_int_equal(raft_term(cluster->nodes[leader].raft), term);
    assert_true(raft_has_quorum(cluster->nodes[lonely].raft, cluster->now_ms));
    assert_no_failure(cluster);
}

static void a_leader_that_can_send_but_not_hear_steps_down(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 6);
    int old = lead(cluster);
    int leader;

    for (int i = 0; i < 3; i++) {
        cluster->is_cut[i][old] = true;
    }
    cluster_run(cluster, 5 * CLUSTER_ELECTION_MS);
    leader = lead(cluster);
    assert_true(leader != old);
    assert_no_failure(cluster);
}

static void an_old_leader_answers_no_read(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 7);
    int old = lead(cluster);
    int read;
    int leader;

    cluster_isolate(cluster, old, true);
    read = cluster_read(cluster, old);
    assert_true(read >= 0);
    cluster_run(cluster, 3 * CLUSTER_ELECTION_MS);
    assert_true(cluster->reads[read].is_answered);
    assert_true(cluster->reads[read].is_failed);
    leader = lead(cluster);
    read = cluster_read(cluster, leader);
    cluster_run(cluster, 10);
    assert_true(cluster->reads[read].is_answered);
    assert_false(cluster->reads[read].is_failed);
    assert_no_failure(cluster);
}

static void a_stuck_disk_of_the_leader_does_not_stop_commits(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 8);
    int leader = lead(cluster);

    cluster->is_disk_stuck[leader] = true;
    assert_ok(cluster_propose(cluster, leader, "two other disks have it"));
    assert_true(cluster_run_until_committed(cluster, 2, 100));
    assert_no_failure(cluster);
}

static void a_follower_far_behind_catches_up(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 9);
    int leader = lead(cluster);
    int late = other(cluster, 1U << leader);

    cluster_crash(cluster, late);
    for (int i = 0; i < 5000; i++) {
        assert_ok(cluster_propose(cluster, leader, "something to catch up"));
        if (i % 100 == 0) {
            cluster_run(cluster, 3);
        }
    }
    cluster_restart(cluster, late);
    assert_true(
        cluster_run_until_committed(cluster, last_of(cluster, leader), 1000));
    assert_no_failure(cluster);
}

/* Figure 3.7 of the thesis, with 3 members: a leader of term 1 leaves an entry
 * on its own disk only; another leads term 2 and leaves an entry on its disk
 * only; the first leads again, and copies its old entry to a majority. If that
 * counted as committed, the second could still overwrite it. */
static void s1_figure_8_loses_nothing_that_was_committed(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 10);
    int first = lead(cluster);
    int second;
    int again;

    cluster_run(cluster, 100);
    cluster_isolate(cluster, first, true);
    assert_ok(cluster_propose(cluster, first, "of the first"));
    cluster_run(cluster, 5);
    cluster_crash(cluster, first);
    second = lead(cluster);
    cluster_run(cluster, 100);
    cluster_isolate(cluster, second, true);
    assert_ok(cluster_propose(cluster, second, "of the second"));
    cluster_run(cluster, 5);
    cluster_crash(cluster, second);
    cluster_mend(cluster);
    cluster_restart(cluster, first);
    again = lead(cluster);
    assert_true(again != second);
    cluster_crash(cluster, again);
    cluster_restart(cluster, second);
    (void)lead(cluster);
    cluster_restart(cluster, again);
    assert_true(cluster_run_until_committed(
        cluster, last_of(cluster, cluster_leader(cluster)), 2000));
    assert_no_failure(cluster);
}

/* A follower with a long tail of a lost leader's entries: the new leader may
 * not count them for its own entries of the same indexes. */
static void s2_a_tail_of_other_entries_counts_for_nothing(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 11);
    int old = lead(cluster);
    int leader;

    cluster_run(cluster, 100);
    cluster_isolate(cluster, old, true);
    for (int i = 0; i < 20; i++) {
        assert_ok(cluster_propose(cluster, old, "nobody else has this"));
    }
    cluster_run(cluster, 3 * CLUSTER_ELECTION_MS);
    leader = lead(cluster);
    cluster_crash(cluster, other(cluster, 1U << old | 1U << leader));
    for (int i = 0; i < 5; i++) {
        assert_ok(cluster_propose(cluster, leader, "of the new leader"));
    }
    cluster_mend(cluster);
    assert_true(
        cluster_run_until_committed(cluster, last_of(cluster, leader), 2000));
    assert_int_equal(last_of(cluster, old), last_of(cluster, leader));
    assert_no_failure(cluster);
}

/* Two candidates at a time, and voters that restart in between. */
static void s3_no_term_has_two_leaders(void **state)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct cluster *cluster = new_cluster(state, 3, seed);

        cluster->faults.disk_max_ms = 40;
        cluster->faults.delay_max_ms = 40;
        for (int i = 0; i < 40; i++) {
            int node = i % 3;

            cluster_run(cluster, 60);
            cluster_crash(cluster, node);
            cluster_run(cluster, 5);
            cluster_restart(cluster, node);
        }
        assert_no_failure(cluster);
        (void)teardown(state);
    }
}

static void a_forged_vote_makes_no_leader(void **state)
{
    struct cluster *cluster = new_cluster(state, 3, 12);
    struct message vote = {
        .type = MESSAGE_VOTE_REPLY, .term = 1, .is_granted = true};
    struct buf buf;

    buf_init(&buf, 64);
    message_put(&buf, &vote);
    for (int i = 0; i < 3; i++) {
        assert_ok(cluster_inject(cluster, i, 99, buf_bytes(&buf)));
        assert_ok(cluster_inject(cluster, i, (uint64_t)(i + 1) % 3 + 1,
                                 buf_bytes(&buf)));
        assert_int_equal(raft_role(cluster->nodes[i].raft), RAFT_FOLLOWER);
    }
    buf_close(&buf);
    (void)lead(cluster);
    assert_no_failure(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(bad_networks_cost_no_elections, teardown),
        cmocka_unit_test_teardown(clusters_of_all_sizes_elect_and_commit,
                                  teardown),
        cmocka_unit_test_teardown(a_quiet_cluster_keeps_its_leader, teardown),
        cmocka_unit_test_teardown(
            a_crashed_leader_is_replaced_and_nothing_is_lost, teardown),
        cmocka_unit_test_teardown(
            all_killed_at_once_come_back_with_all_they_acknowledged, teardown),
        cmocka_unit_test_teardown(a_minority_stops_and_a_majority_goes_on,
                                  teardown),
        cmocka_unit_test_teardown(a_member_that_was_cut_off_disturbs_nobody,
                                  teardown),
        cmocka_unit_test_teardown(
            a_leader_that_can_send_but_not_hear_steps_down, teardown),
        cmocka_unit_test_teardown(an_old_leader_answers_no_read, teardown),
        cmocka_unit_test_teardown(
            a_stuck_disk_of_the_leader_does_not_stop_commits, teardown),
        cmocka_unit_test_teardown(a_follower_far_behind_catches_up, teardown),
        cmocka_unit_test_teardown(s1_figure_8_loses_nothing_that_was_committed,
                                  teardown),
        cmocka_unit_test_teardown(s2_a_tail_of_other_entries_counts_for_nothing,
                                  teardown),
        cmocka_unit_test_teardown(s3_no_term_has_two_leaders, teardown),
        cmocka_unit_test_teardown(a_forged_vote_makes_no_leader, teardown),
    };

    return cmocka_run_group_tests_name("raft/cluster", tests, NULL, NULL);
}
