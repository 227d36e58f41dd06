/* SPDX-License-Identifier: Apache-2.0
 * Workers with leases, and the sandboxes that they own, around the nodes of a
 * random run: agents that attach, keep their leases alive, start, report,
 * freeze, die and come back; and what members and the leader do for them
 * (c_src/node/agents.c, orders.c and controller.c, in small). What is decided
 * is decided by the production command machine.
 *
 * The rule that must hold: no two owners of a sandbox act at the same instant
 * of true time. An agent acts until its own deadline and the time that it takes
 * to kill what it runs, by a clock that is wrong by 1 % at most. */
#ifndef QUORATE_TEST_SIM_OWNERS_H
#define QUORATE_TEST_SIM_OWNERS_H

#include "sim/machines.h"

enum { OWNERS_AGENTS = 3, OWNERS_SANDBOXES = 4 };

/* Bugs of the shell that must be found; see mutations.sh. */
enum owners_mutation {
    OWNERS_MUTATION_NONE,
    OWNERS_MUTATION_LEASE_UNCOMMITTED, /* a renewal is good before its commit */
    OWNERS_MUTATION_LEASE_SHORT,       /* ends when the owner's does */
    OWNERS_MUTATION_DEADLINE_LATE      /* counted from when the answer comes */
};

#ifdef RAFT_MUTATIONS
extern enum owners_mutation owners_mutation;
#define OWNERS_IS_MUTATED(name) (owners_mutation == OWNERS_MUTATION_##name)
#else
#define OWNERS_IS_MUTATED(name) false
#endif

/* Without it there are no agents, and nothing else here does anything. */
void owners_start(struct cluster *cluster);
void owners_free(struct cluster *cluster);

/* Now and then: the leader's work, and what befalls agents. */
void owners_tick(struct cluster *cluster);

/* All goes well from here on. */
void owners_settle(struct cluster *cluster);

/* What a node's machine says, and of what it was asked. */
void owners_event(struct cluster_machine *machine,
                  const struct command_event *event);
void owners_refused(struct cluster_machine *machine,
                    const struct command *command, int rv);
void owners_restored(struct cluster_machine *machine);

/* The node forgets who is attached to it. */
void owners_crash(struct cluster *cluster, const struct cluster_node *node);

/* A message to an agent, or of one to a node; frees its data. */
void owners_handle_agent(struct cluster *cluster, struct cluster_event *event);
void owners_handle_node(struct cluster *cluster, struct cluster_event *event);

/* A worker with a lease, as the node knows it; false: there is none. */
bool owners_pick(struct cluster *cluster, const struct cluster_node *node,
                 struct command *command);

struct bytes owners_sandbox(uint64_t number); /* its id */

#endif
