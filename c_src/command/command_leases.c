/* SPDX-License-Identifier: Apache-2.0
 * Leases: the right of one run (incarnation) of a worker to act.
 *
 *            ATTACH                EXPIRE, RELEASE, ATTACH of another run
 *   no lease ──────> lease = index ──────────────────────────> no lease
 *                      └─ RENEW, ATTACH of the same run ─┐
 *                      └────────────────<────────────────┘
 *
 * A worker is remembered without a lease, so that a run that is over cannot
 * attach again. The clock is the host's, so a run that is over while the next
 * one has a lease is known by its older reading; after a restart of the host
 * the lease has to run out first. */
#include "base/err.h"
#include "command/apply.h"
#include "registry/tables.h"

struct worker *apply_leased_worker(struct apply *apply)
{
    const struct command *command = apply->command;
    struct worker *worker =
        registry_worker(&apply->machine->registry, command->worker);

    if (worker == NULL || worker->lease == 0) {
        return NULL;
    }
    /* Who registers a name does not know leases: the one at this moment. */
    if (worker->lease != command->lease &&
        (command->type != COMMAND_REGISTER || command->lease != 0)) {
        return NULL;
    }
    apply->result->worker = worker;
    return worker;
}

/* The shell hears of the worker first, then of all that it owned. */
void apply_end_lease(struct apply *apply, struct worker *worker)
{
    uint64_t lease = worker->lease;

    apply_end_grant(apply, lease);
    worker->lease = 0;
    apply_emit_lease_ended(apply, worker, lease);
    while (!list_is_empty(&worker->sandboxes)) {
        apply_lose_owner(apply, LIST_ENTRY(worker->sandboxes.next,
                                           struct sandbox, worker_link));
    }
    while (!list_is_empty(&worker->names)) {
        apply_remove_name(apply,
                          LIST_ENTRY(worker->names.next, struct registered_name,
                                     worker_link));
    }
}

/* Of the workers without a lease, the one that has been away longest. The
 * order of the map is another one on each member, so names break ties. */
static struct worker *find_evictable(const struct registry *registry)
{
    struct worker *oldest = NULL;
    struct worker *worker;
    size_t position = 0;

    while ((worker = map_next(&registry->workers, &position)) != NULL) {
        if (worker->lease != 0) {
            continue;
        }
        if (oldest == NULL || worker->renewed_index < oldest->renewed_index ||
            (worker->renewed_index == oldest->renewed_index &&
             bytes_compare(worker->name, oldest->name) < 0)) {
            oldest = worker;
        }
    }
    return oldest;
}

static int add_worker(struct apply *apply, struct worker **ret_worker)
{
    struct registry *registry = &apply->machine->registry;

    if (registry->workers.count >= REGISTRY_WORKERS_MAX) {
        struct worker *worker = find_evictable(registry);

        if (worker == NULL) {
            return ERR_LIMIT;
        }
        registry_take_worker(registry, worker);
        apply_emit_worker(apply, EVENT_WORKER_REMOVED, worker);
        registry_free_worker(worker);
    }
    return registry_add_worker(registry, apply->command->worker, ret_worker);
}

static void put_attached(struct apply *apply, struct worker *worker)
{
    const struct command *command = apply->command;

    worker->renewed_index = apply->index;
    worker->renewed_clock = command->clock;
    worker->member = command->member;
    /* What a member with a longer term has promised may be in use yet. */
    if (command->term_ms > worker->term_ms) {
        worker->term_ms = command->term_ms;
    }
    worker->capacity = command->capacity;
    worker->sandboxes_max = command->sandboxes_max;
    apply->result->worker = worker;
    apply_emit_worker(apply, EVENT_LEASE_GRANTED, worker);
}

int apply_attach(struct apply *apply)
{
    const struct command *command = apply->command;
    struct worker *worker =
        registry_worker(&apply->machine->registry, command->worker);

    apply->result->worker = worker;
    if (worker != NULL && worker->lease != 0 &&
        command->clock < worker->renewed_clock &&
        !COMMAND_IS_MUTATED(ATTACH_LATE)) {
        /* It was on its way for long: the worker has been heard since, maybe by
         * another member, and what it said then does not hold any more. */
        return ERR_STALE_EPOCH;
    }
    if (worker != NULL &&
        bytes_equal(command->incarnation,
                    bytes_of(worker->incarnation, REGISTRY_INCARNATION_SIZE))) {
        if (worker->lease == 0) {
            return ERR_CLOSED;
        }
        put_attached(apply, worker);
        return 0;
    }
    if (!apply_may_grant(apply) ||
        (worker != NULL && worker->lease == apply->index)) {
        return ERR_BUSY;
    }
    if (worker == NULL) {
        int rv = add_worker(apply, &worker);

        if (rv != 0) {
            return rv;
        }
    } else if (worker->lease != 0) {
        apply_end_lease(apply, worker);
    }
    memcpy(worker->incarnation, command->incarnation.data,
           REGISTRY_INCARNATION_SIZE);
    worker->lease = apply->index;
    worker->term_ms = 0;
    put_attached(apply, worker);
    return 0;
}

int apply_renew(struct apply *apply)
{
    const struct command *command = apply->command;
    struct worker *worker = apply_leased_worker(apply);

    if (worker == NULL) {
        return ERR_CLOSED;
    }
    worker->renewed_index = apply->index;
    if (command->clock > worker->renewed_clock) {
        worker->renewed_clock = command->clock;
    }
    apply_emit_worker(apply, EVENT_LEASE_RENEWED, worker);
    return 0;
}

int apply_expire(struct apply *apply)
{
    struct worker *worker = apply_leased_worker(apply);

    if (worker == NULL) {
        return ERR_CLOSED;
    }
    if (worker->renewed_index != apply->command->renewed_index &&
        !COMMAND_IS_MUTATED(EXPIRE_BLIND)) {
        return ERR_STALE_EPOCH;
    }
    apply_end_lease(apply, worker);
    return 0;
}

int apply_release(struct apply *apply)
{
    struct worker *worker = apply_leased_worker(apply);

    if (worker == NULL) {
        return ERR_CLOSED;
    }
    apply_end_lease(apply, worker);
    return 0;
}
