/* SPDX-License-Identifier: Apache-2.0
 * The production command machine of each node, fed with what its core commits.
 * All must come to the same: what commands answer and what events there are is
 * chained, entry by entry, and now and then the whole state is compared. */
#ifndef QUORATE_TEST_SIM_MACHINES_H
#define QUORATE_TEST_SIM_MACHINES_H

#include "base/buf.h"
#include "command/command.h"
#include "sim/cluster.h"

struct cluster_machine {
    struct command_machine machine;
    struct cluster *cluster;
    struct cluster_node *node;
    uint64_t chain; /* of all answers and events so far */
    bool is_first;  /* no other node has applied this entry before */
};

/* Anew, with what is in the node's snapshot, if there is one. */
void machine_open(struct cluster *cluster, struct cluster_node *node);
void machine_close(struct cluster_node *node);

/* The node commits the entry; `is_first`: before all others. */
void machine_apply(struct cluster *cluster, struct cluster_node *node,
                   const struct raft_entry *entry, bool is_first);

/* Appends the state as it is now. */
void machine_save(struct cluster_node *node, struct buf *bytes);

/* The value of a register as the node has it now. */
uint64_t machine_register(const struct cluster_node *node, uint64_t reg);

/* The name that stands for a register. */
struct bytes machine_register_name(uint64_t reg);

#endif
