/* SPDX-License-Identifier: Apache-2.0
 * The random run: every seed draws its own mixture of faults. */
#include "base/err.h"
#include "sim/cluster_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SLICE_MS = 10,
    SETTLE_MS = 20000,
    /* Probes carry 64 KiB: with such entries a log is caught up in steps. */
    BIG_SIZE = 70 * 1000
};

static uint32_t draw(struct cluster *cluster, uint32_t bound)
{
    return (uint32_t)rng_below(&cluster->rng, bound);
}

static void draw_faults(struct cluster *cluster)
{
    struct cluster_faults *faults = &cluster->faults;

    faults->drop_percent = draw(cluster, 2) == 0 ? 0 : draw(cluster, 30);
    faults->duplicate_percent = draw(cluster, 2) == 0 ? 0 : draw(cluster, 20);
    faults->delay_max_ms = 1 + draw(cluster, draw(cluster, 2) == 0 ? 4 : 60);
    faults->is_ordered = draw(cluster, 2) == 0;
    faults->snapshot_permille =
        draw(cluster, 2) == 0 ? 0 : 1 + draw(cluster, 50);
    faults->disk_max_ms = draw(cluster, draw(cluster, 2) == 0 ? 3 : 80);
}

static void toggle_node(struct cluster *cluster, int node)
{
    if (cluster->nodes[node].raft == NULL) {
        cluster_restart(cluster, node);
    } else {
        cluster_crash(cluster, node);
    }
}

static void cut_some_link(struct cluster *cluster)
{
    uint32_t from = draw(cluster, cluster->node_count);
    uint32_t to = draw(cluster, cluster->node_count);

    cluster->is_cut[from][to] = !cluster->is_cut[from][to];
}

static void cut_in_two(struct cluster *cluster)
{
    uint32_t sides = draw(cluster, 1U << cluster->node_count);

    for (uint32_t i = 0; i < cluster->node_count; i++) {
        for (uint32_t j = 0; j < cluster->node_count; j++) {
            cluster->is_cut[i][j] = (sides >> i & 1) != (sides >> j & 1);
        }
    }
}

/* Some other voters and learners. Seeds without spare nodes change nothing. */
static void change_members(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);
    unsigned all = (1U << cluster->node_count) - 1;
    unsigned voters = draw(cluster, all) + 1;

    if (leader >= 0 && cluster->voter_count < cluster->node_count) {
        (void)cluster_change(cluster, leader, voters, draw(cluster, all + 1));
    }
}

static void hand_over(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);
    int to = (int)draw(cluster, cluster->node_count + 1) - 1;

    if (leader >= 0) {
        (void)cluster_hand_over(cluster, leader, to);
    }
}

static void disturb(struct cluster *cluster)
{
    int node = (int)draw(cluster, cluster->node_count);

    switch (draw(cluster, 16)) {
    case 0:
    case 1:
        toggle_node(cluster, node);
        return;
    case 2:
        cluster_isolate(cluster, node, true);
        return;
    case 3:
        cut_some_link(cluster);
        return;
    case 4:
        cut_in_two(cluster);
        return;
    case 5:
    case 6:
    case 7:
        cluster_mend(cluster);
        return;
    case 8:
        cluster->is_disk_stuck[node] = !cluster->is_disk_stuck[node];
        return;
    case 9:
        node = cluster_leader(cluster);
        if (node >= 0) {
            cluster_crash(cluster, node);
        }
        return;
    case 10:
        node = cluster_leader(cluster);
        if (node >= 0) {
            cluster_isolate(cluster, node, true);
        }
        return;
    case 11:
    case 12:
        change_members(cluster);
        return;
    case 13:
    case 14:
        hand_over(cluster);
        return;
    default:
        if (cluster->nodes[node].raft == NULL) {
            cluster_restart(cluster, node);
        }
        return;
    }
}

static int propose(struct cluster *cluster, int node)
{
    static char text[BIG_SIZE + 1];
    bool is_big = cluster->seed % 4 == 3 && draw(cluster, 3) == 0;
    int size = snprintf(text, sizeof(text), "%" PRIu64 ".%d.%" PRIu64,
                        cluster->now_ms, node, cluster->step_count);
    int rv;

    if (!is_big) {
        return cluster_propose(cluster, node, text);
    }
    memset(text + size, 'x', sizeof(text) - (size_t)size - 1);
    rv = cluster_propose(cluster, node, text);
    text[size] = '\0';
    return rv;
}

/* Clients ask whoever calls itself leader, old ones too. */
static void load(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct raft *raft = cluster->nodes[i].raft;

        if (raft == NULL || raft_role(raft) != RAFT_LEADER) {
            continue;
        }
        for (uint32_t count = draw(cluster, 4); count > 0; count--) {
            int rv = propose(cluster, (int)i);

            /* Busy: it hands over. */
            if (rv != 0 && rv != ERR_BUSY) {
                cluster_fail(cluster, "a proposal is refused");
            }
        }
        if (draw(cluster, 3) == 0) {
            (void)cluster_read(cluster, (int)i);
        }
    }
}

static void take_snapshots(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if (draw(cluster, 1000) < cluster->faults.snapshot_permille) {
            cluster_snapshot(cluster, (int)i);
        }
    }
}

static bool run_until_members_are_final(struct cluster *cluster)
{
    uint64_t end_ms = cluster->now_ms + SETTLE_MS;

    while (cluster->now_ms < end_ms) {
        int leader = cluster_leader(cluster);
        const struct raft *raft;

        cluster_run(cluster, SLICE_MS);
        if (leader != cluster_leader(cluster) || leader < 0) {
            continue;
        }
        raft = cluster->nodes[leader].raft;
        if (raft_membership(raft)->voter_old_count == 0 &&
            raft_membership_index(raft) <= raft_commit_index(raft) &&
            (cluster->nodes[leader].change.phase == RAFT_CHANGE_NONE ||
             cluster->nodes[leader].change.phase >= RAFT_CHANGE_DONE)) {
            return true;
        }
    }
    return false;
}

/* A handover that leads nowhere is over after an election timeout. */
static int propose_last(struct cluster *cluster)
{
    int leader = cluster_run_until_leader(cluster, SETTLE_MS);

    if (leader >= 0 && cluster_propose(cluster, leader, "last") == 0) {
        return leader;
    }
    cluster_run(cluster, 2 * CLUSTER_ELECTION_MS);
    leader = cluster_run_until_leader(cluster, SETTLE_MS);
    if (leader < 0 || cluster_propose(cluster, leader, "last") != 0) {
        return -1;
    }
    return leader;
}

/* All nodes up and connected: one leader, and all commit what it proposes. */
static void settle(struct cluster *cluster)
{
    int leader;

    cluster_mend(cluster);
    cluster->faults = (struct cluster_faults){
        .delay_max_ms = 2, .is_ordered = true, .disk_max_ms = 2};
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if (cluster->nodes[i].raft == NULL) {
            cluster_restart(cluster, (int)i);
        }
    }
    /* What was on its way under the old faults arrives first. */
    cluster_run(cluster, 500);
    leader = cluster_run_until_leader(cluster, SETTLE_MS);
    if (leader < 0) {
        cluster_fail(cluster, "no leader comes up after all was mended");
        return;
    }
    if (!run_until_members_are_final(cluster)) {
        cluster_fail(cluster, "a change of members does not come to its end");
        return;
    }
    leader = propose_last(cluster);
    if (leader < 0 ||
        !cluster_run_until_committed(
            cluster, raft_last_index(cluster->nodes[leader].raft), SETTLE_MS)) {
        cluster_fail(cluster, "the members do not come to agree");
    }
    oracle_logs_match(cluster);
}

bool cluster_swarm(struct cluster *cluster, uint64_t ms)
{
    uint64_t end_ms = cluster->now_ms + ms;
    uint32_t calm = 5 + draw(cluster, 40);
    draw_faults(cluster);
    while (cluster->now_ms < end_ms && cluster->failure[0] == '\0') {
        load(cluster);
        take_snapshots(cluster);
        if (draw(cluster, calm) == 0) {
            disturb(cluster);
        }
        if (draw(cluster, 200) == 0) {
            draw_faults(cluster);
        }
        cluster_run(cluster, 1 + draw(cluster, SLICE_MS));
    }
    if (cluster->failure[0] == '\0') {
        settle(cluster);
    }
    return cluster->failure[0] == '\0';
}
