/* SPDX-License-Identifier: Apache-2.0
 * Conflict copies: the last states of those who lost. A record for each, by
 * number; the state itself is with the replicas, under a key of its own.
 *
 *   KEEP ──> oldest first in one ring ──DISCARD, no room, too old──> dropped
 *              └─ RESTORE: its sandbox begins anew with it ─ RESTORED ─┘
 *
 * Few (REGISTRY_COPIES_MAX), so they are looked for one after the other. */
#ifndef QUORATE_REGISTRY_COPIES_H
#define QUORATE_REGISTRY_COPIES_H

#include "base/attr.h"
#include "base/bytes.h"
#include "base/list.h"
#include "registry/registry.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    REGISTRY_COPIES_MAX = 1024,
    REGISTRY_COPIES_OF_ONE_MAX = 8, /* of one sandbox */
    REGISTRY_COPY_SIZE_MAX = 64 * 1024 * 1024,
    REGISTRY_COPY_ABOUT_SIZE_MAX = 2048,
    REGISTRY_COPY_KEY_SIZE = 6 + 8, /* prefix, number */
};

#define REGISTRY_COPIES_SIZE_MAX (UINT64_C(1) << 30) /* bytes of all states */

enum copy_restore {
    COPY_TAKE = 1,    /* the sandbox begins with the copy */
    COPY_RESOLVE = 2, /* its callback says with what */
};

struct copy {
    struct list link;       /* in registry->copies, the oldest first */
    uint64_t number;        /* grows; also the birth and epoch of its state */
    uint64_t epoch;         /* of the ownership that the state is of */
    uint64_t time_s;        /* when it was kept: Unix time, seconds */
    uint64_t size;          /* of the state, bytes */
    uint64_t restore_epoch; /* under which a restore was asked for; 0: none */
    enum copy_restore how;  /* of the restore, else COPY_TAKE */
    uint8_t replica_count;
    uint64_t replicas[REGISTRY_REPLICAS_MAX]; /* member ids */
    struct bytes id;    /* of the sandbox; behind the structure */
    struct bytes about; /* raw term of whoever kept it; idem */
    struct bytes
        outcome; /* raw term: what a restore came to; owned; or empty */
};

/* The copy of that number, or NULL. */
struct copy *registry_copy(const struct registry *registry, uint64_t number);

/* The copy that this sandbox is to begin anew with, or NULL. */
struct copy *registry_restoring(const struct registry *registry,
                                const struct sandbox *sandbox);

/* Whether its owner has to end it first: it was there before the restore. */
bool registry_must_yield(const struct registry *registry,
                         const struct sandbox *sandbox);

/* What has to go so that one more of `size` bytes of this id has room: the
 * oldest of the id, or of all. NULL: there is room, or (*ret_is_full) none can
 * be made, because all of them are about to be restored. */
struct copy *registry_copy_in_the_way(const struct registry *registry,
                                      struct bytes id, uint64_t size,
                                      bool *ret_is_full);

/* A copy like `values`, of which id, about and outcome are copied; the newest.
 * ERR_NOMEM; ERR_LIMIT: there are too many. */
int registry_add_copy(struct registry *registry, const struct copy *values,
                      struct copy **ret_copy) MUST_USE;

/* Its sandbox is to begin with it, in place of what was asked before; or with
 * none (NULL). */
void registry_restore_from(struct registry *registry, struct sandbox *sandbox,
                           struct copy *copy, enum copy_restore how);

/* ERR_NOMEM: nothing was changed. */
int registry_put_outcome(struct copy *copy, struct bytes outcome) MUST_USE;

void registry_take_copy(struct registry *registry, struct copy *copy);
void registry_free_copy(struct copy *copy); /* NULL is allowed */
void registry_free_copies(struct registry *registry);

/* Of no id that is a sandbox's: under which the state is stored. */
void registry_copy_key(uint64_t number,
                       uint8_t ret_key[REGISTRY_COPY_KEY_SIZE]);

/* Whether an id is of that kind, and so can be no sandbox's. */
bool registry_id_is_reserved(struct bytes id);

void registry_check_copies(const struct registry *registry);

#endif
