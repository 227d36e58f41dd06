/* SPDX-License-Identifier: Apache-2.0
 * The composition root: one member. It owns the loop, feeds the pure machines
 * and carries out their effects in order.
 *
 *   peers ──frames──▶ links ──calls────▶ requests ──▶ queries, sandboxes,
 *                       │                                names, states
 *                       ├──raft, commands──▶ log ──apply──▶ command machine
 *                       ├──agent messages──▶ agents ◀──events──┘   │
 *                       └──replica─────────▶ states         controller
 *
 * Files: node.c (life), node_log.c (the log's shell), node_log_disk.c (its
 * disk), node_snapshot.h (what lets it be cut), links.c (peers, members),
 * growing.h (who the members are), agents.c
 * (attached workers), hung.c (those that hang), orders.c (starts and stops),
 * takeovers.c (what went on without a lease), controller.c (the leader's work),
 * partitions.h (who reaches whom), requests.c (calls under way), retries.c
 * (those that are asked again), access.c (what a peer may), recorder.h (the
 * ownership journal), secrets.c (cookies), and one file per family of calls.
 * This header is private to the folder. */
#ifndef QUORATE_NODE_NODE_H
#define QUORATE_NODE_NODE_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "cluster/members.h"
#include "command/command.h"
#include "config/settings.h"
#include "dist/inbox.h"
#include "dist/parts.h"
#include "io/loop.h"
#include "io/peers.h"
#include "io/sys.h"
#include "node/growing.h"
#include "node/node_snapshot.h"
#include "node/partitions.h"
#include "node/recorder.h"
#include "placement/placement.h"
#include "raft/raft.h"
#include "security/cookies.h"
#include "security/role.h"
#include "state/coordinator.h"
#include "store/state_db.h"
#include "store/wal.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    NODE_BATCH_SIZE_MAX = 512 * 1024, /* bytes of one proposed entry */
    NODE_ENTRIES_IN_FLIGHT = 2,       /* proposed and not committed */
    NODE_TICK_MS = 50,                /* housekeeping of agents, controller */
    NODE_DIAL_MIN_MS = 100,           /* pause before a member is dialled */
    NODE_DIAL_MAX_MS = 1000,          /* the same after many failures */
    NODE_LINK_STABLE_MS = 10000,      /* a link that stood so long was good */
    NODE_LATE_TURNS_MAX = 8,          /* in which silence is not judged yet */
    NODE_RENEW_MS = 250,              /* keep-alives gathered for the log */
    NODE_ORDER_RETRY_MS = 2000,       /* an unanswered order is sent again */
    NODE_ORDER_CHECK_MS = 200, /* the same after a change of the leader */
    NODE_RESULT_SIZE_MAX = 80 * 1024 * 1024,
    NODE_REQUEST_BYTES_MAX = 512 * 1024 * 1024, /* of arguments kept */
};

struct node;
struct request;
struct agent;
struct stray; /* provisional.c */

/* Someone who waits for a proposed command to be applied. `result` is NULL
 * when the entry was lost to another leader, so that the command surely has
 * not been applied; or when the node stops. */
struct proposal;
typedef void proposal_done_fn(struct node *node, void *arg,
                              const struct command_result *result);
struct proposal {
    struct list link;
    uint64_t index;
    uint64_t term;
    uint32_t ordinal; /* of the command in its entry */
    proposal_done_fn *done;
    void *arg;
};

/* Under which this member gives request ids (retries.c). */
struct own_session {
    uint64_t index;  /* 0: it is not open yet */
    uint64_t nonce;  /* of the command that opens it; 0: none was sent */
    uint64_t number; /* the last one given */
    uint64_t due_ms; /* when the command is sent again */
};

/* All workers as the selector sees them. */
struct placement_view {
    struct placement_candidate *candidates;
    struct bytes *names;     /* borrowed from the workers */
    struct worker **workers; /* borrowed from the registry */
    size_t count;
    size_t chosen;
};

/* What is known of a connected peer. */
struct link {
    struct peer *peer;
    struct inbox_peer inbox_peer; /* name is borrowed from the peer */
    struct member *member;        /* NULL unless it is one of ours, and has
                                     greeted us */
    enum security_role role;
    bool may_manage;           /* add and remove members */
    struct list requests;      /* of struct request, by link_node */
    struct list node_link;     /* in node->links */
    struct parts parts;        /* big messages from and to a member */
    struct control_scan *scan; /* owned; of a frame that is arriving */
    size_t check_count;        /* requests that are or wait to be checked */
    struct stray *stray;       /* provisional.c: it asked for a lease in vain;
                                  NULL: did not, or has one now */
};

/* Who waits until another member leads, as it was asked for. */
struct transfer_wait {
    uint64_t request; /* its number; 0: nobody waits */
    uint64_t to;
    bool has_failed; /* we lead on */
};

struct node {
    const struct settings *settings;
    struct loop *loop;
    struct tls *tls;         /* NULL: links are plain */
    struct cookies *cookies; /* secrets.c */
    struct peers *peers;
    struct inbox inbox;
    struct members members;
    struct member *self;
    struct rng rng;
    uint64_t seed;
    uint64_t now_ms; /* of this turn */
    uint64_t started_ms;
    uint64_t quorum_seen_ms; /* when there last was a majority */
    uint64_t tick_due_ms;
    uint64_t turn_ms;      /* when the turn before this one was */
    uint32_t smooth_turns; /* in a row, none of them late; see hung.c */
    struct redial join_redials[SETTINGS_MEMBERS_MAX]; /* as settings->joins */
    struct card card;     /* who we are: the file `identity` */
    bool is_card_saved;   /* the file is as the card is */
    bool has_new_members; /* the log said something about members */
    struct growing growing;
    struct transfer_wait transfer;
    struct partitions partitions;
    struct raft_change_report change_report; /* not looked at yet */
    bool is_ready;
    bool is_announced; /* to the supervisor */
    bool is_stopping;
    bool is_locked; /* the data directory is ours */
    int exit_code;

    struct list links; /* of struct link: all connected peers */

    /* node_log.c */
    struct sys_lock lock;
    struct wal *wal;
    struct raft *raft;
    _Atomic uint64_t wal_done_seq; /* written by the writer thread */
    _Atomic int wal_done_status;   /* idem */
    _Atomic bool wal_is_full;      /* idem: it waits for room on the disk */
    bool is_log_full;              /* the same, as it was told */
    uint64_t make_way_ms;          /* when another leader may be asked for */
    uint64_t wal_seen_seq;         /* told to the core */
    struct buf batch;              /* commands to propose */
    uint32_t batch_count;
    struct buf outgoing;         /* commands for another member that leads */
    struct list batch_proposals; /* of struct proposal */
    struct list proposals;       /* proposed, by index and ordinal */
    uint64_t proposed_index;     /* the last entry of ours */
    bool was_leader;
    uint32_t late_turns; /* since a deadline of the core has come */
    uint64_t leader_since_ms;
    struct list reads;           /* of struct request: gathered this turn */
    struct list reads_pending;   /* asked, not confirmed; read_id ascending */
    struct list reads_confirmed; /* to be answered at their read_index */
    uint64_t read_id;

    struct command_machine machine;
    struct node_snapshot snapshot;
    struct recorder recorder;

    uint64_t resumed_epoch; /* controller.c: the recovery whose end was
                               proposed */
    /* placing.c */
    struct placement_view view; /* of the last selection */
    size_t view_capacity;       /* workers that its arrays have room for */
    uint32_t places_in_flight;  /* proposed and not applied */
    uint64_t placing_due_ms;    /* when it is looked for places again */
    struct pacing {
        struct list fresh;  /* of struct sandbox_note: young starts, the oldest
                               first; of sandboxes that are new */
        struct list moved;  /* and of those that ran before */
        struct list waited; /* without a worker, and somebody waits */
        uint32_t fresh_count;
        uint32_t moved_count;
        uint64_t created_ms; /* when the last one was created */
    } pacing;

    /* agents.c, orders.c */
    struct map agents;       /* of struct agent, by worker name */
    struct map worker_notes; /* of struct worker_note, by worker name */
    uint64_t renew_due_ms;
    struct list orders;    /* of struct sandbox_note, the oldest first */
    struct list seals;     /* recoveries for start orders */
    struct list takeovers; /* takeovers.c */
    struct list strays;    /* provisional.c */
    size_t stray_count;

    /* states */
    struct state_db *db;
    struct state_table *states;

    /* requests.c */
    struct map requests;   /* of struct request, by number */
    struct map executions; /* execute.c: by the reference of the call */
    struct heap request_deadlines;
    struct check *check; /* checks.c: under way; NULL: none is */
    struct list checks;  /* of struct request: wait for theirs */
    uint64_t request_number;
    struct own_session own_session;
    uint64_t routed_term;   /* calls went to the leader of this term, ... */
    uint64_t routed_leader; /* ... who was this one */
    size_t request_bytes;   /* of the arguments of all requests */
    struct list waiting_applied; /* of struct request: for an index */
    struct list waiting_leader;  /* of struct request: none is known */
    struct buf scratch;          /* results under construction */
    struct call_insert insert;   /* into it; its blob is held; NULL: none */

    struct {
        uint64_t calls;
        uint64_t forwarded;
        uint64_t refused_frames;
        uint64_t forbidden; /* what a role may not */
        uint64_t unknown_messages;
        uint64_t dropped_commands; /* no room; their senders try again */
        uint64_t dropped_messages; /* to members, idem */
        uint64_t workers_hung;     /* did not give up their lease in time */
        uint64_t workers_killed;   /* of those */
    } counters;
};

/* node.c */
void node_fail(struct node *node, int exit_code, const char *event,
               const char *why);

/* node_log.c */
int node_log_open(struct node *node, struct buf *error) MUST_USE;
void node_log_close(struct node *node); /* also half-open */
void node_log_drain(struct node *node); /* finished writes */
/* node_log_disk.c: what is on disk by now; false: the disk failed, and with it
 * the member. */
bool node_log_disk(struct node *node, uint64_t *ret_seq);
void node_log_hand_over(struct node *node); /* to another leader, if it can */
/* To this voter; errors as of raft_step(). What becomes of it: transfer.c. */
int node_log_transfer(struct node *node, uint64_t member_id) MUST_USE;
void node_log_flush(struct node *node); /* proposes the batch, starts reads */
void node_log_apply(struct node *node); /* applies what is committed */
void node_log_tick(struct node *node);
void node_log_receive(struct node *node, const struct link *link,
                      struct bytes message);
void node_log_link_lost(struct node *node, uint64_t member_id);
bool node_log_is_leader(const struct node *node);
/* An event that the core takes unless memory is gone; then the member ends. */
void node_log_tell(struct node *node, struct raft_event *event);
/* Asks for another membership; leader only. Errors as of raft_step(). */
int node_log_change(struct node *node,
                    const struct raft_membership *target) MUST_USE;
/* Adds a command to the batch; leader only. `done` NULL: nobody waits. On
 * error nothing was added and `done` is never called. */
int node_log_propose(struct node *node, const struct command *command,
                     proposal_done_fn *done, void *arg) MUST_USE;
/* The same from a member that may not be the leader: the command goes to
 * whoever leads; lost ones are sent again by whoever cares. */
void node_log_submit(struct node *node, const struct command *command);
/* Proposes what was gathered; the index by which all is applied that was
 * proposed here before. */
uint64_t node_log_settle(struct node *node);
/* Commands that another member submitted. */
int node_log_receive_commands(struct node *node, struct bytes batch) MUST_USE;

/* links.c, links_send.c, dialling.c */
void links_config(struct peers_callbacks *ret_callbacks);
void links_dial(struct node *node);
/* Forgets all links, so that nothing is sent any more. */
void links_close(struct node *node);
/* Sends {quorate, 1, Kind, Binary} to a member, if there is a link, whole and
 * behind all that was sent before: for what has to stay in its order. */
void links_send_member(struct node *node, uint64_t member_id, const char *kind,
                       struct bytes content);
struct link *links_member(const struct node *node, uint64_t member_id);
/* Whether members have sent more than was read in this turn. */
bool links_have_unread(const struct node *node);
/* The link to a peer of that name, if it is up. */
struct link *links_find(const struct node *node, struct bytes name);
/* The same message to a peer that may be no member yet. */
void links_send_binary(struct node *node, struct link *link, const char *kind,
                       struct bytes content);
/* What the peer may, after its name or who is a member has changed. */
void links_set_role(const struct node *node, struct link *link);
/* It is, or is not any more, one of the members. */
void links_member_up(struct node *node, struct link *link,
                     struct member *member);
void links_member_gone(struct node *node, struct link *link);
/* Sends {quorate, 1, Kind, Body} to a member. A big body goes in parts, by
 * others that come later, and without a copy if it has a blob, which may be
 * NULL here. ERR_BUSY: too much is under way; ERR_LIMIT, ERR_NOMEM. */
int links_send(struct node *node, struct link *link, const char *kind,
               const struct parts_message *body) MUST_USE;
struct link *links_leader(struct node *node); /* NULL: unknown or down */
/* A message {quorate, 1, Kind, Body} to a pid; the body is the raw term in
 * node->scratch, with what is to be inserted. */
void links_send_pid(struct node *node, struct link *link, struct bytes pid,
                    const char *kind);

/* agents.c */
void agents_init(struct node *node);
void agents_close(struct node *node);
void agents_receive(struct node *node, struct link *link, struct bytes kind,
                    struct bytes body);
void agents_link_up(struct node *node, struct link *link);
void agents_link_down(struct node *node, const struct link *link);
void agents_tick(struct node *node);
void agents_tell_members(struct node *node); /* there are others now */
void agents_leave(struct node *node);        /* they are to attach elsewhere */
void agents_command_refused(struct node *node, const struct command *command,
                            int rv);
void agents_event(struct node *node, const struct command_event *event);
/* The state is another one: agents are to say anew what they run. */
void agents_restored(struct node *node);
struct agent *agents_find(const struct node *node, struct bytes worker);
bool agents_receive_load(struct node *node, struct bytes body);

/* hung.c */
void hung_turn(struct node *node); /* once a turn */
void hung_tick(struct node *node);

/* orders.c */
void orders_init(struct node *node);
void orders_close(struct node *node);
void orders_event(struct node *node, const struct command_event *event);
void orders_reconcile(struct node *node, struct agent *agent);
/* A list like that of attach, of some; false: it is malformed. */
bool orders_reconcile_some(struct node *node, struct agent *agent,
                           struct bytes running);
void orders_tick(struct node *node);
void orders_leader_changed(struct node *node);
void orders_leave(struct node *node); /* forgets what is not answered */

/* Its agent says that it runs in this epoch. */
void orders_confirmed(struct sandbox *sandbox, uint64_t epoch);

void orders_sealed(struct node *node, const struct state_completion *done);

/* takeovers.c */
void takeovers_init(struct node *node);
void takeovers_leave(struct node *node); /* forgets all; no agent is told */
/* The agent says in `running` that it runs what the log does not give to it:
 * whether it is to go on with it, and is going to be told so. */
bool takeovers_running(struct node *node, const struct agent *agent,
                       const struct command *running, struct sandbox *sandbox);
/* Before orders are given by the event, and after. */
void takeovers_before(const struct node *node,
                      const struct command_event *event);
void takeovers_event(struct node *node, const struct command_event *event);
void takeovers_tick(struct node *node);
/* Two pairs of the order to start: mode, and the epoch that may go on. */
void takeovers_put(struct buf *body, const struct sandbox *sandbox);

/* provisional.c */
/* What an attach says of an agent that gets no lease. */
struct stray_words {
    struct bytes incarnation;
    struct bytes pid; /* raw */
    struct bytes ids; /* raw list of what it runs provisionally; or empty */
};
void provisional_init(struct node *node);
/* The agent of this link may be asked to start something; or not any more. */
void provisional_refused(struct node *node, struct link *link,
                         const struct stray_words *words);
void provisional_attached(struct node *node, struct link *link);
/* How many run provisionally, as those agents said last. */
uint64_t provisional_count(const struct node *node);
/* Whether an agent is asked to start what a call of ours would create, and has
 * no majority for; then its end is seen to. */
bool provisional_begin(struct node *node, struct request *request) MUST_USE;
/* What the agent has to say of that, and of what it runs. */
void provisional_answer(struct node *node, const struct link *link,
                        struct bytes body);
void provisional_offer(struct node *node, const struct link *link,
                       struct bytes body);
void provisional_link_down(struct node *node, struct link *link);

/* conflicts.c */
void conflicts_event(struct node *node, const struct command_event *event);
void conflicts_tick(struct node *node); /* drops what is too old; leader */
/* The agent is to end what it does not own, as it says in `running`; while
 * there is such a sandbox (or NULL), it gives its last state to be kept, and
 * goes by the policy. */
void conflicts_not_owner(struct node *node, const struct agent *agent,
                         const struct command *running,
                         const struct sandbox *sandbox);
/* Our agents are to say whether they run this sandbox. */
void conflicts_ask_agents(struct node *node, struct bytes id);

/* transfer.c */
void transfer_begin(struct node *node, struct request *request);
void transfer_turn(struct node *node);

/* controller.c */
/* Whether all is applied that was committed before this leader was elected: one
 * that is not would act on an old registry. */
bool controller_is_up_to_date(const struct node *node);
void controller_tick(struct node *node);
void controller_event(struct node *node, const struct command_event *event);
void controller_role_changed(struct node *node);
void controller_restored(struct node *node); /* the state is another one */

/* placing.c: workers for the sandboxes that have none. */
void placing_tick(struct node *node);
void placing_start_failed(const struct node *node,
                          const struct command_event *event);

/* pacing.c: the leader's starts of sandboxes that ran before. How many more may
 * be placed now. */
uint32_t pacing_budget(struct node *node) MUST_USE;
void pacing_init(struct node *node);
void pacing_event(struct node *node, const struct command_event *event);
void pacing_leave_all(struct node *node); /* before notes are freed unseen */

/* states.c */
/* `shared`: the bytes that the message is in, if others may hold them. */
void states_receive(struct node *node, const struct link *link,
                    struct bytes message, struct blob *shared);
void states_drain(struct node *node);
void states_tick(struct node *node);
int states_start(struct node *node,
                 const struct state_request *request) MUST_USE;

#endif
