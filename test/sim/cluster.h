/* SPDX-License-Identifier: Apache-2.0
 * A cluster of production cores in one process and in virtual time, with a
 * network that drops, duplicates, delays and reorders, disks that lose what
 * was not flushed, crashes and restarts. One seed gives one run.
 *
 * After each step of a core the cluster checks: one leader a term, one vote a
 * term, nothing leaves before it is on disk, no commit without a majority of
 * disks, all members commit the same, new leaders have all that was
 * committed, logs match, reads see what was committed before them. The first
 * violation is printed with its seed, and kept in `failure`. */
#ifndef QUORATE_TEST_SIM_CLUSTER_H
#define QUORATE_TEST_SIM_CLUSTER_H

#include "base/bytes.h"
#include "base/rng.h"
#include "raft/raft.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CLUSTER_ELECTION_MS = 100,
    CLUSTER_HEARTBEAT_MS = 20,
    CLUSTER_CHUNK_SIZE = 512,
    CLIENTS = 4,
    CLIENT_REGISTERS = 3,
    CLIENT_OPS_MAX = 2000,
    CLUSTER_TERMS_MAX = 4096,
    CLUSTER_READS_MAX = 4096
};

struct cluster_faults {
    uint32_t drop_percent;
    uint32_t duplicate_percent;
    uint32_t delay_min_ms; /* messages take this and 1..delay_max_ms */
    uint32_t delay_max_ms;
    uint32_t stall_percent; /* of messages that are lost once, and arrive
                               later: */
    uint32_t stall_ms;      /* so much, and what was sent after them, too */
    bool is_ordered;        /* a link keeps the order, as a connection does */
    uint32_t disk_max_ms;   /* writes take 0..this */
    uint32_t disk_permille; /* of the calls that end with an error */
    uint32_t snapshot_permille; /* of a node, in a slice of the swarm */
};

struct cluster_entry {
    uint64_t term;
    enum raft_entry_type type;
    uint8_t *data; /* owned */
    size_t size;
};

struct cluster_log {
    uint64_t base;                 /* index before the first one */
    struct cluster_entry *entries; /* owned */
    size_t count;
    size_t capacity;
};

struct cluster_machine; /* test/sim/machines.h */
struct cluster_write;   /* on its way to a disk */
struct disk;

struct cluster_snapshot {
    struct raft_snapshot about; /* index 0: there is none */
    uint8_t *data;              /* owned */
};

struct cluster_node {
    uint64_t id;
    struct raft *raft; /* NULL: down */
    uint64_t incarnation;
    struct disk *disk; /* owned */
    /* What the log said is on disk: */
    uint64_t term;
    uint64_t voted_for;
    struct cluster_log log;
    struct cluster_write *writes_first;
    struct cluster_write *writes_last;
    uint64_t committed;               /* up to here compared with the others */
    uint64_t hash;                    /* of all entries up to there */
    struct cluster_machine *machine;  /* owned; has applied them */
    struct cluster_snapshot snapshot; /* on disk */
    struct cluster_snapshot snapshot_before; /* kept for whom it is sent to */
    struct cluster_snapshot incoming;        /* not on disk yet */
    bool is_taking;
    uint64_t clock_then_ms;  /* what its clock showed at ... */
    uint64_t clock_since_ms; /* ... this time */
    uint32_t clock_rate;     /* thousandths */
    uint64_t paused_until_ms;
    uint64_t refused_count; /* messages that its core called malformed */
    struct raft_change_report change;  /* the last one */
    struct raft_membership membership; /* in use before the last step */
};

struct cluster_committed {
    uint64_t term;        /* of the entry */
    uint64_t leader_term; /* of the leader that committed it */
    uint64_t hash;        /* of all entries up to it */
    uint64_t chain;       /* of what their commands did */
    uint64_t state;       /* of the machine after it; 0: not compared here */
};

struct cluster_read {
    uint64_t node;
    uint64_t incarnation;
    uint64_t committed; /* by anyone, when it was asked */
    bool is_answered;
    bool is_failed;
    uint64_t index;
};

struct cluster_event;
struct clients;
struct owners;

struct cluster {
    uint64_t seed;
    struct rng rng;
    uint64_t now_ms;
    uint64_t step_count;
    uint32_t node_count;
    uint32_t voter_count; /* the first so many are the first voters */
    struct cluster_node nodes[RAFT_VOTERS_MAX];
    struct cluster_faults faults;
    uint32_t trailing_entries;                     /* behind a snapshot */
    bool is_cut[RAFT_VOTERS_MAX][RAFT_VOTERS_MAX]; /* from, to */
    uint64_t link_busy_ms[RAFT_VOTERS_MAX][RAFT_VOTERS_MAX];
    bool is_disk_stuck[RAFT_VOTERS_MAX];
    struct cluster_event *events; /* owned; a heap by time and order */
    size_t event_count;
    size_t event_capacity;
    uint64_t event_order;
    uint64_t leaders[CLUSTER_TERMS_MAX]; /* by term: id, 0: none */
    uint64_t votes[CLUSTER_TERMS_MAX][RAFT_VOTERS_MAX]; /* by term, voter */
    struct cluster_committed *committed;                /* owned; from 1 on */
    size_t committed_count;
    size_t committed_capacity;
    struct cluster_read reads[CLUSTER_READS_MAX];
    size_t read_count;
    uint64_t sent_count;
    struct clients *clients; /* owned */
    struct owners *owners;   /* owned; NULL: there are none */
    size_t answered_count;   /* calls of clients, once checked */
    size_t election_count;
    size_t change_count;   /* changes of members that were done */
    size_t handover_count; /* votes asked for by way of one */
    size_t restore_count;  /* snapshots that were installed */
    size_t repeat_count;   /* commands that came again */
    size_t owner_count;    /* sandboxes that began to run */
    size_t expiry_count;   /* leases that ended */
    size_t end_count;      /* of members whose disk had failed */
    size_t full_count;     /* waits for room */
    size_t refusal_count;  /* starts on damaged files */
    size_t torn_count;     /* tails that were cut */
    uint64_t live_ms;      /* how long it took to agree at the end */
    bool is_mended;        /* nobody stays down */
    bool is_quiet;         /* a failure is kept, but not printed */
    char failure[200];     /* "": none */
};

/* Starts all nodes with empty disks. Aborts if memory is short. */
struct cluster *cluster_new(uint32_t node_count, uint64_t seed);

/* Only the first `voter_count` nodes are voters; the others wait. */
struct cluster *cluster_new_with(uint32_t node_count, uint32_t voter_count,
                                 uint64_t seed);
void cluster_free(struct cluster *cluster);

/* Lets virtual time pass. */
void cluster_run(struct cluster *cluster, uint64_t ms);

/* Runs until there is a leader that has committed an entry of its term and
 * can reach a majority; its position (0, 1, ...) or -1 after `ms`. */
int cluster_run_until_leader(struct cluster *cluster, uint64_t ms);

/* Runs until every running node has committed `index`, but those that are not
 * in the membership of the leader; false after `ms`. */
bool cluster_run_until_committed(struct cluster *cluster, uint64_t index,
                                 uint64_t ms);

/* The leader of the highest term, or -1. */
int cluster_leader(const struct cluster *cluster);

int cluster_propose(struct cluster *cluster, int node, const char *text);

/* The node's connection to the one of that id ends, as it hears. */
void cluster_lose_link(struct cluster *cluster, int node, uint64_t to);

/* Begins a read; its position in `reads`, or -1 if the core refused. */
int cluster_read(struct cluster *cluster, int node);

/* Asks that node for other members, given as bits by position. */
int cluster_change(struct cluster *cluster, int node, unsigned voters,
                   unsigned learners);

/* Runs until the node's change has ended, and how; NONE after `ms`. */
enum raft_change_phase cluster_run_until_changed(struct cluster *cluster,
                                                 int node, uint64_t ms);

/* Its clock runs at `rate` thousandths of the true one. */
void cluster_set_clock(struct cluster *cluster, int node, uint32_t rate);

/* It stands still, its clock does not. */
void cluster_pause(struct cluster *cluster, int node, uint64_t ms);

/* Asks that node to hand over to another one (-1: to whom it likes). */
int cluster_hand_over(struct cluster *cluster, int node, int to);

/* The node begins to write a snapshot of its state. */
void cluster_snapshot(struct cluster *cluster, int node);

/* The process is killed, or the power cut: then what was not flushed is lost;
 * some of it may have reached the disk. */
void cluster_crash(struct cluster *cluster, int node);

/* Starts on what its disk gives back. If that is an error, the node stays down;
 * it must not be one of the log's own making. */
void cluster_restart(struct cluster *cluster, int node);

/* Nothing can be written to its disk for so long. */
void cluster_fill_disk(struct cluster *cluster, int node, uint64_t ms);

/* A bit of a file that was flushed turns over: the node must not start, or it
 * must be of no consequence. `number` says which one. The damage is mended by
 * cluster_mend() or a later cluster_mend_disk(). */
void cluster_damage_disk(struct cluster *cluster, int node, uint64_t number);
void cluster_mend_disk(struct cluster *cluster, int node);

/* Cuts or mends the links of one node in both directions. */
void cluster_isolate(struct cluster *cluster, int node, bool is_cut);
void cluster_mend(struct cluster *cluster);

/* Hands the bytes to the core as a message from that id; the core's error. */
int cluster_inject(struct cluster *cluster, int node, uint64_t from,
                   struct bytes bytes);

/* A random run for `ms`: faults, crashes, pauses, clocks that run wrong,
 * partitions, changes of members, handovers, snapshots, and clients. Then all
 * is mended, and the cluster must soon agree; what the clients saw must be
 * linearizable. False: `failure`. */
bool cluster_swarm(struct cluster *cluster, uint64_t ms);

/* The same by a plan that was drawn before (test/sim/plan.h). */
struct plan;
bool cluster_swarm_by(struct cluster *cluster, const struct plan *plan,
                      uint64_t ms);

#endif
