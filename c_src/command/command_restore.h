/* SPDX-License-Identifier: Apache-2.0
 * Makes a command machine of the bytes of command_snapshot.h. They may be cut
 * anywhere, and are trusted in nothing: what breaks a limit or an invariant is
 * refused, and a machine that came to its end is one that registry_check()
 * holds for.
 *
 *   begin ──> feed, feed, ... ──> finish */
#ifndef QUORATE_COMMAND_COMMAND_RESTORE_H
#define QUORATE_COMMAND_COMMAND_RESTORE_H

#include "base/attr.h"
#include "base/buf.h"
#include "command/command.h"

#include <stdbool.h>

struct command_restore {
    struct command_machine *machine; /* the caller's */
    struct buf record;               /* the beginning of one */
    struct worker **workers;         /* by number - 1; owned */
    uint64_t record_count;
    uint32_t worker_count; /* restored; the other counts are those to be */
    uint32_t member_total;
    uint32_t worker_total;
    uint32_t sandbox_total;
    uint32_t name_total;
    uint32_t copy_total;
    uint32_t restoring_count; /* sandboxes that begin anew */
    bool is_whole;            /* the last record has come */
};

/* Makes an empty machine, without a callback, to be filled. The caller closes
 * it, whatever comes of this. */
void command_restore_begin(struct command_restore *restore,
                           struct command_machine *machine, uint64_t seed);

/* Takes over the next bytes. ERR_MALFORMED; ERR_UNSUPPORTED: of a later
 * version; ERR_NOMEM. After an error there is nothing but to close. */
int command_restore_feed(struct command_restore *restore,
                         struct bytes bytes) MUST_USE;

/* All bytes were fed: the machine is as it was. ERR_TRUNCATED, ERR_MALFORMED,
 * ERR_NOMEM. */
int command_restore_finish(struct command_restore *restore) MUST_USE;

/* Frees all but the machine. */
void command_restore_close(struct command_restore *restore);

#endif
