/* SPDX-License-Identifier: Apache-2.0
 * After the loss of a majority: one member goes on alone. It cannot know what
 * the others granted that it never heard of, so nothing that was granted
 * before counts any more, and what is granted from now on is greater.
 *
 *   RECOVER ──> nobody has a lease, none is granted ──RESUME──> as ever
 *
 * RESUME is for the leader, once every lease that the lost ones may have
 * renewed has run out. */
#include "base/ensure.h"
#include "base/err.h"
#include "command/apply.h"
#include "registry/tables.h"

/* The term `state_lost`. */
static const uint8_t state_lost[] = {119, 10,  's', 't', 'a', 't',
                                     'e', '_', 'l', 'o', 's', 't'};

/* The first by lease: all members must take them in the same order. */
static struct worker *find_leased(const struct registry *registry)
{
    struct worker *first = NULL;
    struct worker *worker;
    size_t position = 0;

    while ((worker = map_next(&registry->workers, &position)) != NULL) {
        if (worker->lease != 0 &&
            (first == NULL || worker->lease < first->lease)) {
            first = worker;
        }
    }
    return first;
}

static bool has_copy(const struct sandbox *sandbox,
                     const struct command *command)
{
    for (uint32_t i = 0; i < sandbox->replica_count; i++) {
        for (uint32_t j = 0; j < command->replica_count; j++) {
            if (sandbox->replicas[i] == command->replicas[j]) {
                return true;
            }
        }
    }
    return sandbox->replica_count == 0;
}

/* One without a copy must not begin anew as if it never had a state. */
static int adopt(struct apply *apply, struct sandbox *sandbox)
{
    struct registry *registry = &apply->machine->registry;
    bool is_lost = !has_copy(sandbox, apply->command);
    int rv;

    registry_lone_replica(registry, sandbox, apply->command->member);
    if (!is_lost || sandbox->status != SANDBOX_UNPLACED) {
        return 0;
    }
    rv = registry_put_failures(registry, sandbox, sandbox->failures,
                               bytes_of(state_lost, sizeof(state_lost)));
    if (rv == 0) {
        apply_forget_restore(apply, sandbox);
        registry_fail_sandbox(registry, sandbox);
        apply_emit_sandbox(apply, EVENT_START_FAILED, sandbox, NULL);
    }
    return rv;
}

static int adopt_all(struct apply *apply)
{
    const struct map *sandboxes = &apply->machine->registry.sandboxes;
    struct sandbox *sandbox;
    size_t position = 0;
    int rv = 0;

    while (rv == 0 && (sandbox = map_next(sandboxes, &position)) != NULL) {
        rv = adopt(apply, sandbox);
    }
    return rv;
}

static void forget_others(struct apply *apply)
{
    struct directory *directory = &apply->machine->directory;

    for (uint32_t i = directory->count; i > 0; i--) {
        uint64_t id = directory->entries[i - 1].id;

        sessions_drop(&apply->machine->sessions, id);
        if (id != apply->command->member) {
            ensure(directory_drop(directory, id));
        }
    }
    directory->index = apply->index;
    apply_emit_members(apply);
}

int apply_recover(struct apply *apply)
{
    struct command_machine *machine = apply->machine;
    const struct command *command = apply->command;
    struct worker *worker;
    int rv;

    if (command->epoch > COMMAND_EPOCH_MAX ||
        apply->index > COMMAND_EPOCH_MAX - command->epoch) {
        return ERR_LIMIT;
    }
    while ((worker = find_leased(&machine->registry)) != NULL) {
        apply_end_lease(apply, worker);
    }
    rv = adopt_all(apply);
    if (rv != 0) {
        return rv;
    }
    apply_recover_copies(apply);
    forget_others(apply);
    machine->epoch_base += command->epoch;
    machine->held_epoch = apply->index;
    return 0;
}

int apply_resume(struct apply *apply)
{
    struct command_machine *machine = apply->machine;

    if (machine->held_epoch == 0 ||
        machine->held_epoch != apply->command->epoch) {
        return ERR_STALE_EPOCH;
    }
    machine->held_epoch = 0;
    return 0;
}
