/* SPDX-License-Identifier: Apache-2.0
 * The data directory of a member that is not running, read as its start would
 * read it: who it is, its log to the end, and its replicas of states. What is
 * in the log is applied, committed or not, since nobody is left to ask. */
#ifndef QUORATE_CLI_SURVIVOR_H
#define QUORATE_CLI_SURVIVOR_H

#include "base/attr.h"
#include "base/buf.h"
#include "cluster/card.h"
#include "command/command.h"
#include "io/sys.h"
#include "raft/raft.h"
#include "state/message.h"
#include "store/state_db.h"
#include "store/wal.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct survivor {
    const char *dir; /* borrowed */
    struct sys_lock lock;
    struct card card;
    struct card next;  /* of a recovery that was begun; its id is 0: none was */
    bool is_recovered; /* that one is in the log */
    uint64_t term;     /* seen */
    uint64_t last_term; /* of the last entry; with its index, the position */
    uint64_t last_index;
    bool is_log_reset; /* the snapshot is all that counts: the next write to
                          the log begins behind it */
    uint64_t snapshot_index;           /* surely committed; 0: not known */
    struct raft_membership membership; /* the newest, committed or not */
    struct command_machine machine;
    struct wal *wal;
    struct state_db *db;
    sem_t ready; /* the store has an answer, or the log is on disk */
    _Atomic int wal_status;
};

/* The newest that a replica has of one state. */
struct survivor_state {
    bool has_version;
    bool has_value;
    struct state_stamp stamp;
    struct buf bytes; /* owned: what `value` lies in */
    struct bytes value;
    uint32_t crc;
};

/* Locks the directory and reads it; a torn end of the log is cut, as at a
 * start. ERR_NOT_FOUND, ERR_IN_USE, ERR_CORRUPT, ERR_UNSUPPORTED, ERR_BADARG,
 * ERR_IO, ERR_NOMEM; `error` has a line. To be closed in any case. */
int survivor_open(struct survivor *survivor, const char *dir,
                  struct buf *error) MUST_USE;
void survivor_close(struct survivor *survivor);

/* <0: `a` lacks entries that `b` has, by the rule for votes (Raft dissertation,
 * 3.6.1). */
int survivor_compare(const struct survivor *a, const struct survivor *b);

/* Errors as of the store. The caller closes ret_state->bytes. */
int survivor_state(struct survivor *survivor, const struct sandbox *sandbox,
                   struct survivor_state *ret_state) MUST_USE;
int survivor_put_state(struct survivor *survivor, const struct sandbox *sandbox,
                       const struct survivor_state *state) MUST_USE;

/* Writes to the log; 0 once it is on disk. */
int survivor_append(struct survivor *survivor,
                    const struct raft_persist *persist) MUST_USE;

#endif
