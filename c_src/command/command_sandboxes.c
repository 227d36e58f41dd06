/* SPDX-License-Identifier: Apache-2.0
 * Sandboxes: at most one owner each, known by an epoch that only grows.
 *
 *   CLAIM ──> STARTING ──STARTED──> RUNNING ──STOP──> STOPPING ──> removed
 *                ^ └──FAILED, lease ended──┐ └──STOPPED: normal──> removed
 *              PLACE                       v
 *                └────────────────────  UNPLACED ──STOP──> removed
 *
 * After too many failed starts in a row: FAILED instead of UNPLACED. */
#include "base/ensure.h"
#include "base/err.h"
#include "command/apply.h"
#include "etf/reader.h"
#include "registry/copies.h"
#include "registry/tables.h"

static void remove_sandbox(struct apply *apply, struct sandbox *sandbox)
{
    struct worker *owner = sandbox->worker;

    apply_end_grant(apply, sandbox->epoch);
    apply_forget_restore(apply, sandbox);
    registry_take_sandbox(&apply->machine->registry, sandbox);
    apply->result->sandbox = NULL;
    apply->result->worker = owner;
    apply_emit_sandbox(apply, EVENT_REMOVED, sandbox, owner);
    registry_free_sandbox(sandbox);
}

void apply_lose_owner(struct apply *apply, struct sandbox *sandbox)
{
    struct worker *owner = sandbox->worker;

    if (sandbox->status == SANDBOX_STOPPING) {
        remove_sandbox(apply, sandbox);
        return;
    }
    registry_unplace_sandbox(&apply->machine->registry, sandbox);
    apply_emit_sandbox(apply, EVENT_UNPLACED, sandbox, owner);
}

static bool amount_fits(uint32_t committed, uint32_t need, uint32_t capacity)
{
    /* Without a capacity the sum must still be one that can be counted. */
    uint32_t limit = capacity == 0 ? UINT32_MAX : capacity;

    return committed <= limit && need <= limit - committed;
}

static bool worker_fits(const struct worker *worker,
                        const struct resources *need)
{
    return amount_fits(worker->committed.cpu, need->cpu,
                       worker->capacity.cpu) &&
           amount_fits(worker->committed.memory, need->memory,
                       worker->capacity.memory) &&
           amount_fits(worker->sandbox_count, 1, worker->sandboxes_max);
}

int apply_claim(struct apply *apply)
{
    const struct command *command = apply->command;
    struct registry *registry = &apply->machine->registry;
    struct sandbox values = {.id = command->id,
                             .spec = command->spec,
                             .options = command->options,
                             .birth = apply->index,
                             .epoch = apply->index,
                             .need = command->need,
                             .priority = command->priority,
                             .replica_count = command->replica_count,
                             .replicas = command->replicas};
    struct sandbox *sandbox = registry_sandbox(registry, command->id);
    struct worker *worker;
    int rv;

    if (sandbox != NULL) {
        apply->result->sandbox = sandbox;
        return ERR_EXISTS;
    }
    worker = apply_leased_worker(apply);
    if (worker == NULL) {
        return ERR_CLOSED;
    }
    if (!apply_may_grant(apply)) {
        return ERR_BUSY;
    }
    if (!worker_fits(worker, &command->need)) {
        return ERR_NO_CAPACITY;
    }
    rv = registry_add_sandbox(registry, &values, worker, &sandbox);
    if (rv != 0) {
        return rv;
    }
    apply->result->sandbox = sandbox;
    apply_emit_sandbox(apply, EVENT_CLAIMED, sandbox, worker);
    return 0;
}

int apply_place(struct apply *apply)
{
    const struct command *command = apply->command;
    struct registry *registry = &apply->machine->registry;
    struct sandbox *sandbox = registry_sandbox(registry, command->id);
    struct worker *worker;

    if (sandbox == NULL) {
        return ERR_NOT_FOUND;
    }
    apply->result->sandbox = sandbox;
    if (sandbox->epoch != command->epoch ||
        sandbox->status != SANDBOX_UNPLACED) {
        return ERR_STALE_EPOCH;
    }
    if (sandbox->epoch == apply->index) {
        return ERR_BUSY;
    }
    worker = apply_leased_worker(apply);
    if (worker == NULL) {
        return ERR_CLOSED;
    }
    if (!worker_fits(worker, &sandbox->need)) {
        return ERR_NO_CAPACITY;
    }
    registry_place_sandbox(registry, sandbox, worker, apply->index);
    apply_emit_sandbox(apply, EVENT_CLAIMED, sandbox, worker);
    return 0;
}

/* The sandbox that an agent reports on, if the agent owns it: 0,
 * ERR_NOT_FOUND, ERR_STALE_EPOCH. */
static int find_owned(struct apply *apply, struct sandbox **ret_sandbox)
{
    struct sandbox *sandbox =
        registry_sandbox(&apply->machine->registry, apply->command->id);

    if (sandbox == NULL) {
        return ERR_NOT_FOUND;
    }
    apply->result->sandbox = sandbox;
    if ((sandbox->epoch != apply->command->epoch &&
         !COMMAND_IS_MUTATED(STALE_REPORT)) ||
        sandbox->worker == NULL) {
        return ERR_STALE_EPOCH;
    }
    *ret_sandbox = sandbox;
    return 0;
}

int apply_started(struct apply *apply)
{
    const struct command *command = apply->command;
    struct registry *registry = &apply->machine->registry;
    struct sandbox *sandbox = NULL;
    int rv = find_owned(apply, &sandbox);

    if (rv != 0) {
        return rv;
    }
    if (sandbox->status == SANDBOX_STOPPING ||
        (sandbox->status == SANDBOX_RUNNING &&
         bytes_equal(sandbox->pid, command->pid))) {
        return 0;
    }
    /* Another pid under the same epoch: its own supervisor restarted it. */
    rv = registry_run_sandbox(registry, sandbox, command->pid);
    if (rv != 0) {
        return rv;
    }
    rv = registry_put_failures(registry, sandbox, 0, bytes_of(NULL, 0));
    ensure(rv == 0); /* forgetting allocates nothing */
    apply_emit_sandbox(apply, EVENT_STARTED, sandbox, sandbox->worker);
    return 0;
}

/* It did not start, or gave up: elsewhere, unless that was tried enough. */
static int give_up(struct apply *apply, struct sandbox *sandbox)
{
    struct registry *registry = &apply->machine->registry;
    struct worker *owner = sandbox->worker;
    int rv = registry_put_failures(registry, sandbox,
                                   (uint8_t)(sandbox->failures + 1),
                                   apply->command->reason);

    if (rv != 0) {
        return rv;
    }
    if (sandbox->failures >= COMMAND_START_FAILURES_MAX) {
        apply_forget_restore(apply, sandbox);
        registry_fail_sandbox(registry, sandbox);
    } else {
        registry_unplace_sandbox(registry, sandbox);
    }
    apply->result->worker = owner;
    apply_emit_sandbox(apply, EVENT_START_FAILED, sandbox, owner);
    return 0;
}

int apply_failed(struct apply *apply)
{
    struct sandbox *sandbox = NULL;
    int rv = find_owned(apply, &sandbox);

    if (rv != 0) {
        return rv;
    }
    if (sandbox->status == SANDBOX_STOPPING) {
        remove_sandbox(apply, sandbox);
        return 0;
    }
    if (registry_must_yield(&apply->machine->registry, sandbox)) {
        apply_lose_owner(apply, sandbox);
        return 0;
    }
    return give_up(apply, sandbox);
}

int apply_stop(struct apply *apply)
{
    struct sandbox *sandbox =
        registry_sandbox(&apply->machine->registry, apply->command->id);

    if (sandbox == NULL) {
        return ERR_NOT_FOUND;
    }
    if (sandbox->worker == NULL) {
        remove_sandbox(apply, sandbox);
        return 0;
    }
    apply->result->sandbox = sandbox;
    if (sandbox->status != SANDBOX_STOPPING) {
        registry_stop_sandbox(&apply->machine->registry, sandbox);
        apply_emit_sandbox(apply, EVENT_STOPPING, sandbox, sandbox->worker);
    }
    return 0;
}

/* Whether a supervisor would call this end normal: `normal`, `shutdown`,
 * `{shutdown, _}`. */
static bool reason_is_normal(struct bytes reason)
{
    struct etf_reader reader = etf_reader_of(reason);
    uint32_t arity;

    if (etf_read_tuple(&reader, &arity) == 0) {
        return arity == 2 && etf_take_atom(&reader, "shutdown");
    }
    return etf_take_atom(&reader, "normal") ||
           etf_take_atom(&reader, "shutdown");
}

int apply_stopped(struct apply *apply)
{
    struct sandbox *sandbox = NULL;
    int rv = find_owned(apply, &sandbox);

    if (rv != 0) {
        return rv;
    }
    if (sandbox->status != SANDBOX_STOPPING &&
        registry_must_yield(&apply->machine->registry, sandbox)) {
        apply_lose_owner(apply, sandbox); /* however it ended */
        return 0;
    }
    if (sandbox->status == SANDBOX_STOPPING ||
        reason_is_normal(apply->command->reason)) {
        remove_sandbox(apply, sandbox);
        return 0;
    }
    return give_up(apply, sandbox);
}
