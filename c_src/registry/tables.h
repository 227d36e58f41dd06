/* SPDX-License-Identifier: Apache-2.0
 * How the tables of registry.h change; for command/ only. Every function keeps
 * the rings, the counters and the memory right, so that registry_check() holds
 * after each of them. What a change means, and whether it is allowed, is
 * decided in command/.
 *
 *   add ──> owned by a worker <──> in the ring `unplaced` ──> take ──> free
 *                     └──> failed: in no ring ─────────────────┘
 *
 * `take` removes from the tables and leaves the memory to the caller, who
 * frees it once nobody looks at it any more. */
#ifndef QUORATE_REGISTRY_TABLES_H
#define QUORATE_REGISTRY_TABLES_H

#include "base/attr.h"
#include "base/bytes.h"
#include "registry/registry.h"

/* A worker without a lease; its name is copied. ERR_LIMIT, ERR_NOMEM. */
int registry_add_worker(struct registry *registry, struct bytes name,
                        struct worker **ret_worker) MUST_USE;

/* Out of the table. It must own no sandbox and no name. */
void registry_take_worker(struct registry *registry, struct worker *worker);
void registry_free_worker(struct worker *worker); /* NULL is allowed */

/* A sandbox that `owner` is to start. From `values` come id, spec and options
 * (copied), birth, epoch, need, priority and replicas; the rest is ignored.
 * There must be none of this id. ERR_LIMIT, ERR_NOMEM. */
int registry_add_sandbox(struct registry *registry,
                         const struct sandbox *values, struct worker *owner,
                         struct sandbox **ret_sandbox) MUST_USE;

/* From the ring `unplaced` to `owner`, which is to start it. */
void registry_place_sandbox(struct registry *registry, struct sandbox *sandbox,
                            struct worker *owner, uint64_t epoch);

/* From its owner to the end of the ring `unplaced`; forgets the pid. */
void registry_unplace_sandbox(struct registry *registry,
                              struct sandbox *sandbox);

/* From its owner or the ring `unplaced` to nowhere: it is not to be started;
 * forgets the pid. */
void registry_fail_sandbox(struct registry *registry, struct sandbox *sandbox);

/* It failed, and is to be tried again: to the end of the ring `unplaced`. */
void registry_revive_sandbox(struct registry *registry,
                             struct sandbox *sandbox);

/* Of its replicas, if it has any, this member is the only one. */
void registry_lone_replica(struct registry *registry, struct sandbox *sandbox,
                           uint64_t member);

/* It runs as `pid` (copied). ERR_NOMEM. */
int registry_run_sandbox(struct registry *registry, struct sandbox *sandbox,
                         struct bytes pid) MUST_USE;

/* Its owner is to stop it; forgets the pid. */
void registry_stop_sandbox(struct registry *registry, struct sandbox *sandbox);

/* Replaces the reason by a copy, and the count of failed starts. ERR_NOMEM. */
int registry_put_failures(struct registry *registry, struct sandbox *sandbox,
                          uint8_t failures, struct bytes reason) MUST_USE;

/* Out of the table and whichever ring it is in; `worker` is NULL then. */
void registry_take_sandbox(struct registry *registry, struct sandbox *sandbox);
void registry_free_sandbox(struct sandbox *sandbox); /* NULL is allowed */

/* A sandbox as it was in other tables, in no ring yet. All of `values` is taken
 * over; the owner is one of this registry, or NULL. Only more of
 * these may follow, then registry_join_rings(); or registry_close().
 * ERR_EXISTS, ERR_LIMIT, ERR_NOMEM. */
int registry_restore_sandbox(struct registry *registry,
                             const struct sandbox *values) MUST_USE;

/* The same with a name. */
int registry_restore_name(struct registry *registry,
                          const struct registered_name *values) MUST_USE;

/* A name of `owner`. From `values` come name, pid, meta (copied) and epoch.
 * There must be none of this name. ERR_LIMIT, ERR_NOMEM. */
int registry_add_name(struct registry *registry,
                      const struct registered_name *values,
                      struct worker *owner,
                      struct registered_name **ret_name) MUST_USE;

/* Out of the table and the ring of its owner; `worker` is NULL then. */
void registry_take_name(struct registry *registry,
                        struct registered_name *name);
void registry_free_name(struct registered_name *name); /* NULL is allowed */

#endif
