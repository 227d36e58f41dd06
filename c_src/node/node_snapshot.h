/* SPDX-License-Identifier: Apache-2.0
 * Snapshots of the state machine: taken when the log has grown, sent to members
 * that lack what was cut, and installed in place of the own state.
 *
 * - node_snapshot.c: taking. A piece in each turn, written by the thread of
 *   store/snapshots.h; then the log is cut.
 * - node_snapshot_move.c: chunks to and from other members.
 * - node_snapshot_install.c: bytes become a machine, at the start and in place
 *   of the own one, which is taken apart piece by piece.
 *
 * Private to node/. */
#ifndef QUORATE_NODE_NODE_SNAPSHOT_H
#define QUORATE_NODE_NODE_SNAPSHOT_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/list.h"
#include "command/command.h"
#include "command/command_snapshot.h"
#include "raft/raft.h"
#include "store/snapshots.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    NODE_SNAPSHOT_SLICE = 512 * 1024,            /* bytes made in a turn */
    NODE_SNAPSHOT_QUEUE_MAX = 4 * 1024 * 1024,   /* bytes before the disk */
    NODE_SNAPSHOT_BUFFER_MAX = 64 * 1024 * 1024, /* idem, not yet queued */
    NODE_SNAPSHOT_TAKE_APART = 4096,             /* records freed in a turn */
    NODE_SNAPSHOT_RETRY_MS = 10000,              /* after one that failed */
    NODE_SNAPSHOT_RETRY_MAX_MS = 320000,         /* after many */
    NODE_SNAPSHOT_SENDS_MAX = 64,                /* chunks being read */
};

struct node;
struct snapshot_load;

struct node_snapshot {
    struct snapshots *disk;

    /* The own one that is under way. */
    struct command_snapshot making;
    struct raft_snapshot about; /* index 0: none is */
    bool is_begun;              /* on the disk */
    bool is_finishing;          /* all of it is queued */
    bool is_wanted;             /* now, however short the log is */
    uint64_t log_bytes;         /* applied since the last one began */
    uint64_t began_ms;
    uint64_t retry_ms; /* not before */
    uint32_t failed_in_a_row;
    uint64_t needed_told; /* to the disk */

    /* Those that go to other members and come from one. */
    struct list sends; /* of chunks that are being read */
    uint32_t send_count;
    uint64_t send_number;
    uint64_t failed_transfer;    /* to tell the core; 0: none */
    struct snapshot_load *load;  /* bytes become a machine; NULL: not */
    uint64_t load_transfer;      /* of that, and of what came of it */
    struct raft_snapshot coming; /* idem */
    struct command_machine fresh;
    bool is_fresh; /* `fresh` is whole and may be installed */
    struct command_machine old;
    bool is_old; /* `old` is being taken apart */

    /* For status. */
    uint64_t last_index;
    uint64_t last_size;
    uint64_t last_time_s; /* of the wall clock */
    uint64_t taken_count;
    uint64_t failed_count;
    uint64_t installed_count;
};

/* Restores the newest snapshot that is whole, and tells of those that are not;
 * `ret_snapshot` has index 0 if there is none. `ret_error` says what is wrong
 * with the newest one, if that is why. ERR_IO, ERR_NOMEM: no start. */
int node_snapshot_restore(struct node *node, struct raft_snapshot *ret_snapshot,
                          struct buf *ret_error) MUST_USE;

/* Starts the thread. */
int node_snapshot_open(struct node *node, struct buf *error) MUST_USE;
void node_snapshot_close(struct node *node); /* also if it is not open */

/* What the thread has done, what is due, and a piece of what is under way. */
void node_snapshot_tick(struct node *node);

/* Effects of the core about snapshots; after all others. */
void node_snapshot_carry_out(struct node *node,
                             const struct raft_effects *effects);

/* --- Between the files ---------------------------------------------------- */

/* The state gives way to what has come in: the effect `restore`. */
void node_snapshot_install(struct node *node);

void node_snapshot_meta(const struct raft_snapshot *snapshot,
                        struct snapshot_meta *ret_meta);

/* A result that is not about the own one. */
void node_snapshot_moved(struct node *node, struct snapshots_result *result);
void node_snapshot_move_tick(struct node *node);
void node_snapshot_move_close(struct node *node);

/* Begins to make a machine of the snapshot on disk that has come in. */
int node_snapshot_load(struct node *node) MUST_USE;
void node_snapshot_take_apart(struct node *node); /* a piece of the old one */
void node_snapshot_install_close(struct node *node);

/* Gives up the own one that is under way, if there is one. */
void node_snapshot_give_up(struct node *node);

#endif
