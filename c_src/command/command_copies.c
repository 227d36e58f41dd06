/* SPDX-License-Identifier: Apache-2.0
 * Conflict copies, and how a sandbox begins anew with one:
 *
 *   RESTORE ──> its owner, if any, ends it ──> UNPLACED ──PLACE──> STARTING
 *                  (registry_must_yield)          the new owner writes what it
 *                                                 begins with, ──RESTORED──>
 *                                                 and starts it
 *
 * Until RESTORED each new owner does that anew; after it none does, since what
 * the copy gave is an acknowledged state of the sandbox then. */
#include "base/ensure.h"
#include "base/err.h"
#include "command/apply.h"
#include "registry/copies.h"
#include "registry/tables.h"

static void drop_copy(struct apply *apply, struct copy *copy)
{
    registry_take_copy(&apply->machine->registry, copy);
    apply_emit_copy(apply, EVENT_COPY_DROPPED, copy);
    registry_free_copy(copy);
}

/* The numbers are apart from epochs, since one entry may have many of them;
 * but after a recovery they are greater than all that were lost. */
static uint64_t next_number(const struct apply *apply)
{
    uint64_t last = apply->machine->registry.copy_number_last;

    return last < apply->index ? apply->index : last + 1;
}

int apply_keep(struct apply *apply)
{
    const struct command *command = apply->command;
    struct registry *registry = &apply->machine->registry;
    const struct sandbox *sandbox = registry_sandbox(registry, command->id);
    struct copy values = {.number = next_number(apply),
                          .epoch = command->epoch,
                          .time_s = command->clock,
                          .size = command->size,
                          .how = COPY_TAKE,
                          .replica_count = command->replica_count,
                          .id = command->id,
                          .about = command->about};
    struct copy *copy = NULL;
    bool is_full;
    int rv;

    if (sandbox == NULL) {
        return ERR_NOT_FOUND;
    }
    if (command->epoch > sandbox->epoch) {
        return ERR_STALE_EPOCH; /* that was never granted */
    }
    memcpy(values.replicas, command->replicas,
           command->replica_count * sizeof(values.replicas[0]));
    while ((copy = registry_copy_in_the_way(registry, command->id,
                                            command->size, &is_full)) != NULL) {
        drop_copy(apply, copy);
    }
    if (is_full) {
        return ERR_BUSY;
    }
    rv = registry_add_copy(registry, &values, &copy);
    if (rv == 0) {
        apply->result->epoch = copy->number;
        apply_emit_copy(apply, EVENT_COPY_KEPT, copy);
    }
    return rv;
}

/* The copy that the command names, if it is of the id that it names. */
static struct copy *named_copy(const struct apply *apply)
{
    struct copy *copy =
        registry_copy(&apply->machine->registry, apply->command->copy);

    return copy != NULL && bytes_equal(copy->id, apply->command->id) ? copy
                                                                     : NULL;
}

int apply_discard(struct apply *apply)
{
    struct copy *copy = named_copy(apply);

    if (copy == NULL) {
        return ERR_NOT_FOUND;
    }
    if (copy->restore_epoch != 0) {
        return ERR_BUSY;
    }
    drop_copy(apply, copy);
    return 0;
}

int apply_restore(struct apply *apply)
{
    struct registry *registry = &apply->machine->registry;
    struct copy *copy = named_copy(apply);
    struct sandbox *sandbox = registry_sandbox(registry, apply->command->id);

    if (copy == NULL || sandbox == NULL ||
        sandbox->status == SANDBOX_STOPPING) {
        return ERR_NOT_FOUND;
    }
    apply->result->sandbox = sandbox;
    if (sandbox->status == SANDBOX_FAILED) {
        int rv = registry_put_failures(registry, sandbox, 0, bytes_of(NULL, 0));

        ensure(rv == 0); /* forgetting allocates nothing */
        registry_revive_sandbox(registry, sandbox);
        apply_emit_sandbox(apply, EVENT_UNPLACED, sandbox, NULL);
    }
    registry_restore_from(registry, sandbox, copy,
                          (enum copy_restore)apply->command->how);
    if (sandbox->worker != NULL) {
        apply_emit_sandbox(apply, EVENT_YIELDING, sandbox, sandbox->worker);
    }
    return 0;
}

int apply_restored(struct apply *apply)
{
    const struct command *command = apply->command;
    struct registry *registry = &apply->machine->registry;
    struct copy *copy = named_copy(apply);
    struct sandbox *sandbox = registry_sandbox(registry, command->id);
    int rv;

    if (sandbox == NULL) {
        return ERR_NOT_FOUND;
    }
    apply->result->sandbox = sandbox;
    if (sandbox->epoch != command->epoch || sandbox->worker == NULL ||
        copy == NULL || registry_restoring(registry, sandbox) != copy ||
        registry_must_yield(registry, sandbox)) {
        return ERR_STALE_EPOCH;
    }
    rv = registry_put_outcome(copy, command->reason);
    if (rv == 0) {
        registry_restore_from(registry, sandbox, NULL, COPY_TAKE);
    }
    return rv;
}

void apply_forget_restore(struct apply *apply, struct sandbox *sandbox)
{
    if (sandbox->is_restoring) {
        registry_restore_from(&apply->machine->registry, sandbox, NULL,
                              COPY_TAKE);
    }
}

static bool is_among(uint64_t replica, const struct command *command)
{
    for (uint32_t i = 0; i < command->replica_count; i++) {
        if (command->replicas[i] == replica) {
            return true;
        }
    }
    return false;
}

void apply_recover_copies(struct apply *apply)
{
    struct list *head = &apply->machine->registry.copies;
    struct list *next;

    for (struct list *link = head->next; link != head; link = next) {
        struct copy *copy = LIST_ENTRY(link, struct copy, link);
        bool is_here = copy->replica_count == 0;

        next = link->next;
        for (uint32_t i = 0; i < copy->replica_count; i++) {
            is_here |= is_among(copy->replicas[i], apply->command);
        }
        if (!is_here) {
            struct sandbox *sandbox =
                registry_sandbox(&apply->machine->registry, copy->id);

            if (sandbox != NULL && copy->restore_epoch != 0) {
                apply_forget_restore(apply, sandbox);
            }
            drop_copy(apply, copy);
        } else if (copy->replica_count > 0) {
            copy->replicas[0] = apply->command->member;
            copy->replica_count = 1;
        }
    }
}
