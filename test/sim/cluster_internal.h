/* SPDX-License-Identifier: Apache-2.0
 * What the files of the simulator share: cluster.c has time, network and
 * cores, lifecycle.c how nodes come and go, event.c what is to happen, disk.c
 * and snapshots.c the disks, storage.c their bytes, files.c and
 * system/calls.c what stands for files, clocks.c clocks and pauses, oracle.c
 * the rules that must hold, machines.c what the log means, clients.c those who
 * call, owners.c and owner_*.c those who own, plan.c what goes wrong, swarm.c
 * the random run, describe.c what a failure is told with. */
#ifndef QUORATE_TEST_SIM_CLUSTER_INTERNAL_H
#define QUORATE_TEST_SIM_CLUSTER_INTERNAL_H

#include "base/attr.h"
#include "command/command.h"
#include "sim/cluster.h"
#include "store/wal.h"

struct cluster_write {
    struct cluster_write *next;
    uint64_t seq;
    uint64_t term;
    uint64_t voted_for;
    uint64_t truncate_from;
    bool is_log_reset;
    uint64_t base_index;
    struct cluster_log log; /* the entries to append; owned */
};

enum cluster_event_type {
    EVENT_MESSAGE,
    EVENT_DISK,
    EVENT_FULL,
    EVENT_TAKEN,
    EVENT_CHUNK_STORED,
    EVENT_STORED,
    EVENT_CHUNK_LOST,
    EVENT_TO_SHELL, /* of an agent or another node; seq: test/sim/owners.c */
    EVENT_TO_AGENT  /* `node` is the agent */
};

struct cluster_event {
    uint64_t time_ms;
    uint64_t order;
    enum cluster_event_type type;
    uint32_t node;
    uint64_t incarnation; /* all but MESSAGE */
    uint64_t seq;         /* DISK; CHUNK_STORED, STORED: of the transfer */
    uint64_t from;        /* MESSAGE; CHUNK_LOST: receiver */
    uint64_t end;         /* CHUNK_STORED */
    struct raft_snapshot *about; /* of snapshots; owned */
    uint8_t *data;               /* MESSAGE, TAKEN; owned */
    size_t size;
};

/* `memory`, or abort() if it is NULL. */
void *cluster_must(void *memory);

/* A copy for the caller to free. */
uint8_t *cluster_copy(struct bytes bytes);

void event_push(struct cluster *cluster, struct cluster_event event);

/* Removes the first one; there must be one. Its data is the caller's. */
struct cluster_event event_pop(struct cluster *cluster);

void disk_new(struct cluster *cluster, struct cluster_node *node);
void disk_free(struct cluster_node *node);

/* Runs the production recovery on the node's files: as of wal_open(). */
int disk_start(struct cluster *cluster, struct cluster_node *node,
               struct wal_recovery *ret_recovery, struct buf *error) MUST_USE;

/* The process ends. */
void disk_stop(struct cluster *cluster, struct cluster_node *node,
               bool is_power_cut);
bool disk_is_damaged(const struct cluster_node *node);
uint32_t disk_checksum(const struct cluster_node *node);

void disk_write_begin(struct cluster *cluster, struct cluster_node *node,
                      const struct raft_persist *persist);

/* The writes up to `seq` have ended: whether they are on disk. */
bool disk_write_end(struct cluster *cluster, struct cluster_node *node,
                    uint64_t seq);

/* Then the next ones begin. */
void disk_write_next(struct cluster *cluster, struct cluster_node *node);

/* A snapshot on disk covers up to there. */
void disk_release(struct cluster_node *node, uint64_t index);

/* The oldest write that is on its way counts as done, or is forgotten. */
void disk_take_write(struct cluster_node *node, bool is_kept);

/* The last index of a log on disk. */
uint64_t disk_last(const struct cluster_log *log);

/* Cuts the start of the log, up to `index` if it is there. */
void disk_cut_start(struct cluster_log *log, uint64_t index);

void disk_log_free(struct cluster_log *log);

/* One step of a node's core, and all that it asks for. */
int cluster_step(struct cluster *cluster, struct cluster_node *node,
                 struct raft_event *event);
void cluster_send(struct cluster *cluster, uint64_t from, uint64_t to,
                  struct bytes bytes);

/* The node's process ends. */
void lifecycle_end(struct cluster *cluster, struct cluster_node *node,
                   bool is_power_cut);

bool clock_is_paused(const struct cluster *cluster,
                     const struct cluster_node *node);
uint64_t clock_of(const struct cluster *cluster,
                  const struct cluster_node *node);
uint64_t clock_when(const struct cluster *cluster,
                    const struct cluster_node *node, uint64_t local_ms);

void clients_new(struct cluster *cluster);
void clients_free(struct cluster *cluster);
void clients_begin(struct cluster *cluster, uint32_t client, uint32_t node);
void clients_give_up(struct cluster *cluster, uint32_t client);
/* Those that were not heard of ask this node, which leads. */
void clients_again(struct cluster *cluster, uint32_t node);
/* A command is applied for the first time by anyone. */
void clients_applied(struct cluster *cluster, uint64_t index,
                     const struct command *command,
                     const struct command_result *result);
/* Some node has applied more. */
void clients_look(struct cluster *cluster);
void clients_read_done(struct cluster *cluster, const struct raft_read *done);
void clients_check(struct cluster *cluster);

/* What a step asks for about snapshots, and what came of it. */
void snapshots_carry_out(struct cluster *cluster, struct cluster_node *node,
                         const struct raft_effects *effects);
void snapshots_handle(struct cluster *cluster,
                      const struct cluster_event *event);
/* What the machine saved in it. */
struct bytes snapshot_state(const struct cluster_snapshot *snapshot);
void snapshots_crash(struct cluster_node *node);
void snapshots_restart(struct cluster *cluster, struct cluster_node *node);
void snapshots_free(struct cluster_node *node);

void cluster_fail(struct cluster *cluster, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* Prints what each node is at. */
void cluster_describe(const struct cluster *cluster);

/* Checks what a step of a node's core asks to send. */
void oracle_sends(struct cluster *cluster, struct cluster_node *node,
                  const struct raft_effects *effects);

/* Its core refuses what another core has sent. */
void oracle_refused(struct cluster *cluster, const struct cluster_node *node,
                    uint64_t from, struct bytes bytes);

/* Checks roles and commits after a step of a node's core. */
void oracle_step(struct cluster *cluster, struct cluster_node *node,
                 const struct raft_effects *effects);

/* The membership in use is the newest one in the log. */
void oracle_membership(struct cluster *cluster,
                       const struct cluster_node *node);

/* What was recovered is what the log said is on disk, with any number of the
 * writes that were on their way, in order. */
void oracle_recovered(struct cluster *cluster, struct cluster_node *node,
                      const struct wal_recovery *recovery);

/* Logs agree up to the last place where their terms do. */
void oracle_logs_match(struct cluster *cluster);

#endif
