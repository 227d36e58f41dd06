/* SPDX-License-Identifier: Apache-2.0
 * The agents that are attached to this member (docs/protocol.md, section 2).
 * Private to node/. */
#ifndef QUORATE_NODE_AGENTS_H
#define QUORATE_NODE_AGENTS_H

#include "node/node.h"

enum { AGENT_RUNNING_MAX = 1000000 }; /* sandboxes in one attach message */

struct agent {
    struct node *node;
    struct bytes worker; /* node name; owned, the map's key */
    uint8_t incarnation[REGISTRY_INCARNATION_SIZE];
    struct bytes pid;        /* raw term; owned */
    struct link *link;       /* NULL: not connected */
    uint64_t lease;          /* 0: not granted yet */
    uint64_t clock;          /* its newest reading, ms */
    uint64_t heard_ms;       /* when that arrived */
    uint64_t asked_clock;    /* of the newest renewal that was asked for */
    uint64_t asked_heard_ms; /* when that reading arrived */
    uint64_t renewed_ms;     /* when the keep-alive arrived whose renewal is the
                                newest that is committed: its lease and ours
                                count from there */
    uint64_t probed_ms;      /* asked whether it lives; 0: was not */
    uint64_t probe_sent_ms;  /* the last time */
    uint64_t sign_ms;        /* of its last sign of life, later by the time
                                that this member did not run */
    uint64_t acked;          /* bytes that its system has taken in */
    uint64_t acked_ms;       /* when that grew */
    bool is_fenced;          /* its run is over, and says that only available
                                sandboxes of it go on */
    bool is_hung;            /* dealt with, until it is renewed */
    bool is_renew_due;       /* kept alive since the last renewal was sent */
    bool is_proven_dead;     /* its process has ended; release until applied */
    struct resources capacity;
    uint32_t sandboxes_max;
    uint16_t cpu_load_permille;
    uint16_t memory_load_permille;
    struct bytes running; /* raw list of attach; owned; until reconciled */
    struct process_watch *watch; /* NULL: its process is not seen from here */
};

/* Whether `incarnation` is the one that this agent attached as. */
bool agent_is_incarnation(const struct agent *agent, struct bytes incarnation);

/* Forgets it; it is freed. */
void agent_remove(struct node *node, struct agent *agent);

/* Its lease begins, or goes on, with what arrived as this clock reading. */
void agent_renewed(struct agent *agent, uint64_t clock);

/* A raw term as a binary that the agent decodes: what its virtual machine does
 * not take costs the start then, and not the link. */
void agent_put_opaque(struct buf *body, struct bytes raw);

/* A term of an agent that others will read: it, or an atom in place of one that
 * is too big, or that would cost them their link. */
struct bytes agent_term(struct node *node, struct bytes term, size_t size_max);

/* Sends a message if the agent is connected. `body` is in node->scratch. */
void agent_send(struct node *node, const struct agent *agent, const char *kind);

#endif
