/* SPDX-License-Identifier: Apache-2.0
 * Takes a snapshot of a command machine: its state at one index, as bytes, made
 * piece by piece while commands go on being applied.
 *
 *   begin ──> make, take, make, take, ... ──> whole
 *
 * What is about to change is made into bytes first (registry/walk.h), so
 * applying adds to the bytes as well. They must be taken: once more than
 * `size_max` wait, the snapshot has failed and the machine goes on without.
 *
 * The format is in snapshot_record.h; command_restore.h reads it. */
#ifndef QUORATE_COMMAND_COMMAND_SNAPSHOT_H
#define QUORATE_COMMAND_COMMAND_SNAPSHOT_H

#include "base/attr.h"
#include "base/buf.h"
#include "command/command.h"

#include <stdbool.h>

struct command_snapshot {
    struct command_machine *machine; /* NULL: none is under way */
    struct buf bytes;                /* made; the caller takes and clears */
    uint64_t record_count;
    bool is_whole; /* with `bytes`, all of it was given */
};

/* None is under way. */
void command_snapshot_init(struct command_snapshot *snapshot);

/* Begins one of the machine's state as it is now; one at a time. Members,
 * sessions and workers are made into bytes at once, at most 5 MiB. ERR_NOMEM,
 * ERR_LIMIT. */
int command_snapshot_begin(struct command_snapshot *snapshot,
                           struct command_machine *machine,
                           size_t size_max) MUST_USE;

/* Goes on until `bytes` has `size` bytes or all is there. ERR_NOMEM, ERR_LIMIT:
 * also if that befell when a command was applied. Then, and when it is whole,
 * none is under way any more. */
int command_snapshot_make(struct command_snapshot *snapshot,
                          size_t size) MUST_USE;

/* Gives it up, frees the bytes. */
void command_snapshot_close(struct command_snapshot *snapshot);

#endif
