/* SPDX-License-Identifier: Apache-2.0
 * What this member writes into its ownership journal, and when
 * (docs/ownership-journal.md). None of it can fail or wait: a journal that
 * cannot keep up, or has no room, says so itself. Private to node/. */
#ifndef QUORATE_NODE_RECORDER_H
#define QUORATE_NODE_RECORDER_H

#include "base/attr.h"
#include "base/buf.h"
#include "command/command.h"
#include "io/sys.h"
#include "journal/record.h"
#include "placement/placement.h"
#include "state/coordinator.h"
#include "store/state_db.h"

#include <stdint.h>

struct agent;
struct journal;
struct node;

struct recorder {
    struct journal *journal; /* NULL: none is kept */
    struct sys_lock lock;    /* of a directory of its own */
    bool is_locked;
    const struct command *command; /* that is being applied */
    uint8_t run[JOURNAL_RUN_SIZE];
    uint64_t dropped_told; /* records that the log has told of */
    bool is_failing;       /* idem */
};

/* Takes the directory that was given for the journal, if one was. An error of
 * sys_lock_dir(), as is its text. */
int recorder_lock(struct node *node, struct buf *error) MUST_USE;

/* Without a journal the member goes on, and says so. */
void recorder_open(struct node *node);
void recorder_close(struct node *node);

/* Tells the log of what is not written. */
void recorder_tick(struct node *node);

/* What an applied entry did; recorder.command is the command. */
void recorder_event(struct node *node, const struct command_event *event);

/* The state is that of a snapshot now, whose last entry is this one. */
void recorder_restored(struct node *node, uint64_t index);

/* Before an order leaves. */
void recorder_ordered(struct node *node, enum journal_type type,
                      const struct agent *agent, struct bytes id,
                      uint64_t epoch);

/* All of this run of a worker has ended; FENCED: but for available sandboxes.
 */
void recorder_death(struct node *node, const struct agent *agent,
                    enum journal_cause cause);
void recorder_killed(struct node *node, const struct agent *agent, int rv);

/* What this replica stored; on the writer thread of the states. */
void recorder_stored(struct node *node, enum state_db_change change,
                     struct bytes id, uint64_t epoch, uint64_t seq);

/* What a majority stored for this coordinator. */
void recorder_acknowledged(struct node *node, struct bytes id,
                           struct state_version version);
void recorder_sealed(struct node *node, struct bytes id, uint64_t epoch,
                     struct state_version found);

/* The leader proposes `worker`, the choice of the last selection, for a sandbox
 * whose ownership was `prior`, 0: it has had none. */
void recorder_placed(struct node *node, struct bytes id, uint64_t prior,
                     const struct worker *worker);

#endif
