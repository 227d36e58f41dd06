/* SPDX-License-Identifier: Apache-2.0
 * What the nodes are at, for whoever looks at a failure. */
#include "sim/cluster_internal.h"

#include <inttypes.h>
#include <stdio.h>

static void print_ids(const char *name, const uint64_t *ids, uint32_t count)
{
    (void)fprintf(stderr, " %s", name);
    for (uint32_t i = 0; i < count; i++) {
        (void)fprintf(stderr, "%s%" PRIu64, i == 0 ? "=" : ",", ids[i]);
    }
}

static void describe_node(const struct cluster_node *node)
{
    static const char *const roles[] = {"follower", "pre_candidate",
                                        "candidate", "leader"};
    const struct raft *raft = node->raft;
    const struct raft_membership *membership;

    (void)fprintf(stderr, "  node %" PRIu64 ": disk=%" PRIu64, node->id,
                  disk_last(&node->log));
    if (raft == NULL) {
        (void)fprintf(stderr, " down\n");
        return;
    }
    membership = raft_membership(raft);
    (void)fprintf(stderr,
                  " %s term=%" PRIu64 " leader=%" PRIu64 " commit=%" PRIu64
                  " last=%" PRIu64 " snapshot=%" PRIu64 " membership=%" PRIu64,
                  roles[raft_role(raft)], raft_term(raft), raft_leader(raft),
                  raft_commit_index(raft), raft_last_index(raft),
                  raft_snapshot(raft)->index, raft_membership_index(raft));
    print_ids("voters", membership->voters, membership->voter_count);
    print_ids("old", membership->voters_old, membership->voter_old_count);
    print_ids("learners", membership->learners, membership->learner_count);
    (void)fprintf(stderr, "\n");
}

void cluster_describe(const struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        describe_node(&cluster->nodes[i]);
    }
}
