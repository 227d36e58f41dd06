/* SPDX-License-Identifier: Apache-2.0
 * The random run: every seed draws its own mixture of faults. */
#include "base/err.h"
#include "sim/cluster_internal.h"
#include "sim/owners.h"
#include "sim/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SLICE_MS = 10,
    /* All is mended: from here on it must take no longer to agree. */
    LIVE_TIMEOUTS = 60,
    SETTLE_MS = LIVE_TIMEOUTS * CLUSTER_ELECTION_MS,
    /* Probes carry 64 KiB: with such entries a log is caught up in steps. */
    BIG_SIZE = 70 * 1000
};

static uint32_t draw(struct cluster *cluster, uint32_t bound)
{
    return (uint32_t)rng_below(&cluster->rng, bound);
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

/* Reads of those that know a leader, or knew one. */
static void ask_followers(struct cluster *cluster, uint32_t node)
{
    if (draw(cluster, 500) == 0) {
        cluster_lose_link(cluster, (int)node,
                          raft_leader(cluster->nodes[node].raft));
    }
    if (draw(cluster, 6) == 0) {
        (void)cluster_read(cluster, (int)node);
    }
    if (draw(cluster, 3) == 0) {
        clients_begin(cluster, draw(cluster, CLIENTS), node);
    }
}

/* Clients ask whoever calls itself leader, old ones too, and read from the
 * others. */
static void load(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct raft *raft = cluster->nodes[i].raft;

        if (raft == NULL || clock_is_paused(cluster, &cluster->nodes[i])) {
            continue;
        }
        if (raft_role(raft) != RAFT_LEADER) {
            ask_followers(cluster, i);
            continue;
        }
        for (uint32_t count = draw(cluster, 3); count > 0; count--) {
            int rv = propose(cluster, (int)i);

            /* Busy: it hands over. */
            if (rv != 0 && rv != ERR_BUSY) {
                cluster_fail(cluster, "a proposal is refused");
            }
        }
        if (draw(cluster, 3) == 0) {
            (void)cluster_read(cluster, (int)i);
        }
        clients_again(cluster, i);
        if (draw(cluster, 2) == 0) {
            clients_begin(cluster, draw(cluster, CLIENTS), i);
        }
    }
    if (draw(cluster, 20) == 0) {
        clients_give_up(cluster, draw(cluster, CLIENTS));
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

/* Members that a failing disk has ended are started again by and by. */
static void start_ended(struct cluster *cluster)
{
    if (cluster->faults.disk_permille == 0 || draw(cluster, 10) != 0) {
        return;
    }
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if (cluster->nodes[i].raft == NULL) {
            cluster_restart(cluster, (int)i);
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

/* A handover that leads nowhere is over after an election timeout. One whose
 * disk was full may begin another then: it has yet to write that there is room.
 */
static int propose_last(struct cluster *cluster)
{
    uint64_t end_ms = cluster->now_ms + SETTLE_MS;

    do {
        int leader = cluster_run_until_leader(cluster, SETTLE_MS);

        if (leader >= 0 && cluster_propose(cluster, leader, "last") == 0) {
            return leader;
        }
        cluster_run(cluster, 2 * CLUSTER_ELECTION_MS);
    } while (cluster->now_ms < end_ms);
    return -1;
}

/* All commit what the leader proposes. A write that had failed before all was
 * mended may end the leader only now, and what it has proposed with it; then
 * the next one proposes again. */
static bool agree(struct cluster *cluster)
{
    unsigned long long ends;
    int leader;

    do {
        ends = cluster->end_count;
        leader = propose_last(cluster);
        if (leader >= 0 &&
            cluster_run_until_committed(
                cluster, raft_last_index(cluster->nodes[leader].raft),
                SETTLE_MS)) {
            return true;
        }
    } while (ends != cluster->end_count);
    return false;
}

/* All nodes up and connected: one leader, and all agree with it. */
static void settle(struct cluster *cluster)
{
    uint64_t since_ms = cluster->now_ms;
    int leader;

    cluster_mend(cluster);
    cluster->is_mended = true;
    owners_settle(cluster);
    cluster->faults = (struct cluster_faults){
        .delay_max_ms = 2, .is_ordered = true, .disk_max_ms = 2};
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        cluster_set_clock(cluster, (int)i, 1000);
        if (cluster->nodes[i].raft == NULL) {
            cluster_restart(cluster, (int)i);
        }
    }
    /* What was on its way under the old faults arrives first. */
    cluster_run(cluster, CLUSTER_ELECTION_MS);
    leader = cluster_run_until_leader(cluster, SETTLE_MS);
    if (leader < 0) {
        cluster_fail(cluster, "no leader comes up after all was mended");
        return;
    }
    if (!run_until_members_are_final(cluster)) {
        cluster_fail(cluster, "a change of members does not come to its end");
        return;
    }
    if (!agree(cluster)) {
        cluster_fail(cluster, "the members do not come to agree");
    }
    cluster->live_ms = cluster->now_ms - since_ms;
    oracle_logs_match(cluster);
    clients_check(cluster);
}

bool cluster_swarm_by(struct cluster *cluster, const struct plan *plan,
                      uint64_t ms)
{
    uint64_t start_ms = cluster->now_ms;
    size_t next = 0;

    owners_start(cluster);
    while (cluster->now_ms < start_ms + ms && cluster->failure[0] == '\0') {
        for (; next < plan->count &&
               plan->faults[next].ms <= cluster->now_ms - start_ms;
             next++) {
            if (!plan->faults[next].is_left_out) {
                plan_carry_out(cluster, &plan->faults[next]);
            }
        }
        load(cluster);
        owners_tick(cluster);
        take_snapshots(cluster);
        start_ended(cluster);
        cluster_run(cluster, 1 + draw(cluster, SLICE_MS));
    }
    if (cluster->failure[0] == '\0') {
        settle(cluster);
    }
    return cluster->failure[0] == '\0';
}

bool cluster_swarm(struct cluster *cluster, uint64_t ms)
{
    static struct plan plan;

    plan_draw(&plan, cluster, ms);
    return cluster_swarm_by(cluster, &plan, ms);
}
