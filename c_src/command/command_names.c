/* SPDX-License-Identifier: Apache-2.0
 * Registered names: they live as long as the lease of their worker. */
#include "base/err.h"
#include "command/apply.h"
#include "registry/tables.h"

void apply_remove_name(struct apply *apply, struct registered_name *name)
{
    struct worker *worker = name->worker;

    apply_end_grant(apply, name->epoch);
    registry_take_name(&apply->machine->registry, name);
    apply_emit_name(apply, EVENT_NAME_REMOVED, name, worker);
    registry_free_name(name);
}

int apply_register(struct apply *apply)
{
    const struct command *command = apply->command;
    struct registry *registry = &apply->machine->registry;
    struct worker *worker = apply_leased_worker(apply);
    struct registered_name *name = registry_name(registry, command->name);
    int rv;

    if (worker == NULL) {
        return ERR_CLOSED;
    }
    apply->result->name = name;
    if (name != NULL) {
        return bytes_equal(name->pid, command->pid) ? 0 : ERR_EXISTS;
    }
    if (!apply_may_grant(apply)) {
        return ERR_BUSY;
    }
    rv = registry_add_name(registry,
                           &(struct registered_name){.name = command->name,
                                                     .pid = command->pid,
                                                     .meta = command->meta,
                                                     .epoch = apply->index},
                           worker, &name);
    if (rv != 0) {
        return rv;
    }
    apply->result->name = name;
    apply_emit_name(apply, EVENT_NAME_REGISTERED, name, worker);
    return 0;
}

int apply_unregister(struct apply *apply)
{
    const struct command *command = apply->command;
    struct registered_name *name =
        registry_name(&apply->machine->registry, command->name);

    if (name == NULL ||
        (command->pid.size > 0 && !bytes_equal(name->pid, command->pid))) {
        return ERR_NOT_FOUND;
    }
    apply->result->worker = name->worker;
    if (command->epoch != 0 && command->epoch != name->epoch) {
        apply->result->name = name;
        return ERR_STALE_EPOCH;
    }
    apply_remove_name(apply, name);
    return 0;
}
