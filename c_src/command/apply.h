/* SPDX-License-Identifier: Apache-2.0
 * One command on its way through the machine; private to command/.
 *
 * Each `apply_x` gives what the proposer is told, or ERR_NOMEM. It allocates
 * first and changes second, so that a failed command changed nothing (but may
 * have forgotten a worker without a lease; ERR_NOMEM ends the member). */
#ifndef QUORATE_COMMAND_APPLY_H
#define QUORATE_COMMAND_APPLY_H

#include "base/attr.h"
#include "command/command.h"

#include <stdbool.h>

/* Bugs that the simulator has to find; see test/sim/mutations.sh. */
enum command_mutation {
    COMMAND_MUTATION_NONE,
    COMMAND_MUTATION_DEDUP_LOST,   /* outcomes are not in a snapshot */
    COMMAND_MUTATION_APPLY_TWICE,  /* an outcome is not looked for */
    COMMAND_MUTATION_EXPIRE_BLIND, /* a lease that was renewed since */
    COMMAND_MUTATION_STALE_REPORT, /* of an older owner counts */
    COMMAND_MUTATION_ATTACH_LATE   /* an old attach is as good as a new one */
};

#ifdef RAFT_MUTATIONS
extern enum command_mutation command_mutation;
#define COMMAND_IS_MUTATED(name) (command_mutation == COMMAND_MUTATION_##name)
#else
#define COMMAND_IS_MUTATED(name) false
#endif

struct apply {
    struct command_machine *machine;
    uint64_t index; /* of the entry, as epochs count */
    const struct command *command;
    struct command_result *result;
};

/* command_leases.c */
int apply_attach(struct apply *apply) MUST_USE;
int apply_renew(struct apply *apply) MUST_USE;
int apply_expire(struct apply *apply) MUST_USE;
int apply_release(struct apply *apply) MUST_USE;

/* Its sandboxes and names follow. */
void apply_end_lease(struct apply *apply, struct worker *worker);

/* The worker that the command names, if the lease that it names is live; also
 * makes it part of the result. */
struct worker *apply_leased_worker(struct apply *apply);

/* command_sandboxes.c */
int apply_claim(struct apply *apply) MUST_USE;
int apply_place(struct apply *apply) MUST_USE;
int apply_started(struct apply *apply) MUST_USE;
int apply_failed(struct apply *apply) MUST_USE;
int apply_stop(struct apply *apply) MUST_USE;
int apply_stopped(struct apply *apply) MUST_USE;

/* The owner's lease ended: back to the ring, or forgotten if it was to be
 * stopped anyway. */
void apply_lose_owner(struct apply *apply, struct sandbox *sandbox);

/* command_names.c */
int apply_register(struct apply *apply) MUST_USE;
int apply_unregister(struct apply *apply) MUST_USE;
void apply_remove_name(struct apply *apply, struct registered_name *name);

/* command_members.c */
int apply_put_member(struct apply *apply) MUST_USE;
int apply_drop_member(struct apply *apply) MUST_USE;
int apply_open_session(struct apply *apply) MUST_USE;

/* command_repeat.c: whether the command's request id answers it, by the result;
 * else the session that is to remember it, or NULL. */
bool apply_recall(struct apply *apply, struct session **ret_session) MUST_USE;

/* Room was made in the session for it; the command may have ended it. */
void apply_remember(const struct apply *apply);

/* command_copies.c */
int apply_keep(struct apply *apply) MUST_USE;
int apply_discard(struct apply *apply) MUST_USE;
int apply_restore(struct apply *apply) MUST_USE;
int apply_restored(struct apply *apply) MUST_USE;
/* The sandbox goes, or its copy. */
void apply_forget_restore(struct apply *apply, struct sandbox *sandbox);
/* RECOVER: copies whose states are lost are dropped. */
void apply_recover_copies(struct apply *apply);

/* command_recover.c */
int apply_recover(struct apply *apply) MUST_USE;
int apply_resume(struct apply *apply) MUST_USE;

/* command_apply.c: tells the shell. */
void apply_emit_worker(struct apply *apply, enum command_event_type type,
                       struct worker *worker);
void apply_emit_lease_ended(struct apply *apply, struct worker *worker,
                            uint64_t lease);
void apply_emit_sandbox(struct apply *apply, enum command_event_type type,
                        struct sandbox *sandbox, struct worker *worker);
void apply_emit_name(struct apply *apply, enum command_event_type type,
                     struct registered_name *name, struct worker *worker);
void apply_emit_copy(struct apply *apply, enum command_event_type type,
                     struct copy *copy);
void apply_emit_members(struct apply *apply);

/* A grant with this number has ended: if it was of this very entry, the number
 * is used up. */
void apply_end_grant(struct apply *apply, uint64_t grant);
bool apply_may_grant(const struct apply *apply);

#endif
