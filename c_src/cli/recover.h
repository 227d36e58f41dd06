/* SPDX-License-Identifier: Apache-2.0
 * What `recover plan` and `recover apply` have in common: the directories that
 * are left of one cluster, and what can be told of the states in them. Private
 * to the folder. */
#ifndef QUORATE_CLI_RECOVER_H
#define QUORATE_CLI_RECOVER_H

#include "base/attr.h"
#include "base/buf.h"
#include "cli/options.h"
#include "cli/survivor.h"

#include <stddef.h>
#include <stdint.h>

enum { RECOVER_DIRS_MAX = REGISTRY_REPLICAS_MAX };

struct recover {
    struct survivor survivors[RECOVER_DIRS_MAX];
    size_t count;      /* of those that were opened, in the order given */
    size_t newest;     /* whose log is the most advanced */
    uint32_t left;     /* voters of the newest membership among them */
    uint32_t left_old; /* idem, of its other half */
};

/* What there is of a sandbox's state. */
enum recover_find {
    RECOVER_KEPT,   /* a copy; no acknowledged write can have missed it */
    RECOVER_BEHIND, /* a copy; the lost replicas may have had a newer one */
    RECOVER_NONE,   /* a replica is here, and nothing was saved there */
    RECOVER_LOST,   /* all its replicas are lost */
    RECOVER_FINDS
};

/* Opens them all. Errors as of survivor_open(); ERR_BADARG: they do not belong
 * together. To be closed in any case. */
int recover_open(struct recover *recover, const struct options *options,
                 struct buf *error) MUST_USE;
void recover_close(struct recover *recover);

/* Whether the voters among them would elect a leader. */
bool recover_has_quorum(const struct recover *recover);

/* Looks for one sandbox's state in all of them: the newest copy, whose bytes
 * the caller closes, and who has it (NULL: nobody). */
int recover_look(struct recover *recover, const struct sandbox *sandbox,
                 enum recover_find *ret_find, struct survivor_state *ret_state,
                 const struct survivor **ret_holder) MUST_USE;

/* Prints the plan. */
int recover_show(struct recover *recover, enum options_output form,
                 struct buf *error) MUST_USE;

/* Makes the first of them a cluster of its own. */
int recover_apply(struct recover *recover, const struct options_local *local,
                  struct buf *error) MUST_USE;

#endif
