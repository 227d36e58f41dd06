/* SPDX-License-Identifier: Apache-2.0
 * The directory of members. Who votes is not said here but by the membership
 * of the log itself: this is where its ids get names and addresses. And their
 * sessions, by which a command that comes again is known. */
#include "base/err.h"
#include "command/apply.h"

int apply_put_member(struct apply *apply)
{
    const struct command *command = apply->command;
    struct directory *directory = &apply->machine->directory;
    struct directory_entry entry;
    int rv = directory_entry_init(&entry, command->member, command->instance,
                                  command->node, command->address);

    rv = rv == 0 ? directory_put(directory, &entry) : rv;
    if (rv == 0) {
        directory->index = apply->index;
        apply_emit_members(apply);
    }
    return rv;
}

int apply_drop_member(struct apply *apply)
{
    struct directory *directory = &apply->machine->directory;

    if (!directory_drop(directory, apply->command->member)) {
        return ERR_NOT_FOUND;
    }
    sessions_drop(&apply->machine->sessions, apply->command->member);
    directory->index = apply->index;
    apply_emit_members(apply);
    return 0;
}

int apply_open_session(struct apply *apply)
{
    const struct command *command = apply->command;

    return sessions_open(&apply->machine->sessions, command->member,
                         command->nonce, apply->index);
}
