/* SPDX-License-Identifier: Apache-2.0
 * Between owners.c (the leader, and what binds all), owner_nodes.c and
 * owner_agents.c. */
#ifndef QUORATE_TEST_SIM_OWNERS_INTERNAL_H
#define QUORATE_TEST_SIM_OWNERS_INTERNAL_H

#include "base/buf.h"
#include "sim/cluster_internal.h"
#include "sim/owners.h"

enum {
    TTL_OWNER_MS = 400,
    STOP_BUDGET_MS = 20,
    TTL_LEADER_MS = 430, /* 400 * 1.01 + 20 <= 430 * 0.99 */
    KEEPALIVE_MS = 60,
    SILENCE_MS = 150, /* then another member is asked */
    AGENT_TICK_MS = 25,
    LINK_MS_MAX = 8, /* between an agent and its member */
    BATCH_MAX = 64 * 1024
};

#define NOT_AN_AGENT UINT32_MAX

enum owner_message_type {
    TO_NODE_ATTACH,
    TO_NODE_KEEPALIVE,
    TO_NODE_REPORT,
    TO_NODE_GONE,     /* the process of a worker has exited */
    TO_NODE_COMMANDS, /* from another node; its data is a batch */
    TO_AGENT_TICK,
    TO_AGENT_ATTACHED,
    TO_AGENT_RENEWED,
    TO_AGENT_START,
    TO_AGENT_STOP,
    TO_AGENT_CONFIRM, /* say whether it runs */
    TO_AGENT_LOST
};

struct owner_message {
    uint32_t agent;
    uint64_t connection; /* of the agent; an older one is not heard any more */
    uint64_t incarnation;
    uint64_t clock;
    uint64_t lease;
    enum command_type report;
    uint64_t sandbox;
    uint64_t epoch;
    uint64_t running[OWNERS_SANDBOXES]; /* epochs; 0: it does not run */
};

/* What runs, or ran last, under a sandbox's id. */
struct agent_run {
    uint64_t epoch; /* 0: nothing runs */
    uint64_t seen;  /* the greatest epoch that there was an order for */
};

struct sim_agent {
    uint32_t clock_rate;  /* thousandths */
    uint64_t incarnation; /* of its virtual machine */
    uint32_t node;        /* that it talks to */
    uint64_t connection;
    bool is_attached;
    uint64_t lease;
    uint64_t deadline; /* by its clock: it acts until then */
    uint64_t heard_ms; /* when it was told something good, true time */
    uint64_t sent_ms;  /* when it last attached or kept alive */
    uint64_t paused_until_ms;
    uint64_t busy_ms; /* both ways of the connection keep their order */
    struct agent_run runs[OWNERS_SANDBOXES];
};

/* An agent as its node knows it. */
struct attached {
    bool is_here;
    uint64_t connection;
    uint64_t incarnation;
    uint64_t clock;
    uint64_t lease; /* 0: not granted yet */
    uint64_t running[OWNERS_SANDBOXES];
};

struct sim_shell {
    uint32_t clock_rate; /* of the clock that leases run by */
    struct attached agents[OWNERS_AGENTS];
    uint64_t renewed_ms[OWNERS_AGENTS];   /* when a renewal was applied */
    uint64_t expire_index[OWNERS_AGENTS]; /* an EXPIRE of it is proposed */
    uint64_t leader_term;
    uint64_t leader_since_ms;
    struct buf batch; /* to propose, or dropped */
};

struct owners {
    struct rng rng;
    struct sim_agent agents[OWNERS_AGENTS];
    struct sim_shell shells[RAFT_VOTERS_MAX];
    uint64_t claimed[OWNERS_SANDBOXES]; /* the greatest epoch granted */
    uint64_t started[OWNERS_SANDBOXES]; /* the greatest epoch that ran */
    bool is_calm;
};

struct bytes owners_worker(uint32_t agent); /* its name */
void owners_incarnation(uint64_t number, uint8_t *ret_bytes);

/* The agent of that worker, or NOT_AN_AGENT. */
uint32_t owners_agent_of(const struct worker *worker);
struct sim_shell *owners_shell(const struct cluster *cluster,
                               const struct cluster_node *node);
bool owners_leads(const struct cluster_node *node);
uint64_t owners_draw(struct cluster *cluster, uint64_t bound);

/* What the clock shows that leases run by. */
uint64_t owners_lease_clock(const struct cluster *cluster,
                            const struct sim_shell *shell);

/* The message is copied. */
void owners_post(struct cluster *cluster, enum cluster_event_type event_type,
                 uint32_t target, uint64_t time_ms,
                 enum owner_message_type type,
                 const struct owner_message *message);

/* owner_nodes.c: the owner is to start the sandbox, or to stop it. */
void owners_order(struct cluster *cluster, const struct cluster_node *node,
                  const struct sandbox *sandbox);

/* owner_agents.c */
void owner_agents_start(struct cluster *cluster);
void owner_agents_receive(struct cluster *cluster, uint32_t agent,
                          enum owner_message_type type,
                          const struct owner_message *message);
/* It may be killed, frozen, or cut off. */
void owner_agents_befall(struct cluster *cluster, uint32_t agent);

#endif
