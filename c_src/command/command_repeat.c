/* SPDX-License-Identifier: Apache-2.0
 * Commands that come again: those with a request id are applied once, and
 * later get the result that they had. Only the outcome was kept; what it was
 * about is looked up by the command itself. */
#include "base/err.h"
#include "command/apply.h"

/* The sandbox that a claim of that outcome made, or found there. */
static struct sandbox *claimed(const struct session_outcome *outcome,
                               struct sandbox *sandbox)
{
    if (sandbox != NULL && outcome->rv == 0 &&
        sandbox->birth != outcome->index) {
        return NULL;
    }
    return sandbox;
}

/* One that is stopping ends by being removed, and no other way. */
static struct sandbox *stopped(struct sandbox *sandbox)
{
    return sandbox != NULL && sandbox->status == SANDBOX_STOPPING ? sandbox
                                                                  : NULL;
}

static struct registered_name *registered(const struct session_outcome *outcome,
                                          struct registered_name *name)
{
    if (name != NULL && outcome->rv == 0 && name->epoch != outcome->epoch) {
        return NULL;
    }
    return name;
}

static void look_up(const struct apply *apply,
                    const struct session_outcome *outcome)
{
    const struct registry *registry = &apply->machine->registry;
    const struct command *command = apply->command;
    struct command_result *result = apply->result;

    switch (command->type) {
    case COMMAND_CLAIM:
        result->sandbox =
            claimed(outcome, registry_sandbox(registry, command->id));
        return;
    case COMMAND_STOP:
        result->sandbox = stopped(registry_sandbox(registry, command->id));
        return;
    case COMMAND_PLACE:
    case COMMAND_STARTED:
    case COMMAND_FAILED:
    case COMMAND_STOPPED:
    case COMMAND_RESTORE:
    case COMMAND_RESTORED:
        result->sandbox = registry_sandbox(registry, command->id);
        return;
    case COMMAND_REGISTER:
        result->name =
            registered(outcome, registry_name(registry, command->name));
        return;
    case COMMAND_UNREGISTER:
        result->name = outcome->rv == ERR_STALE_EPOCH
                           ? registry_name(registry, command->name)
                           : NULL;
        return;
    case COMMAND_ATTACH:
    case COMMAND_RENEW:
    case COMMAND_EXPIRE:
    case COMMAND_RELEASE:
        result->worker = registry_worker(registry, command->worker);
        return;
    case COMMAND_PUT_MEMBER:
    case COMMAND_DROP_MEMBER:
    case COMMAND_OPEN_SESSION:
    case COMMAND_RECOVER:
    case COMMAND_RESUME:
    case COMMAND_KEEP:
    case COMMAND_DISCARD:
        return;
    }
}

bool apply_recall(struct apply *apply, struct session **ret_session)
{
    const struct command *command = apply->command;
    struct command_result *result = apply->result;
    const struct session_outcome *outcome;
    int rv = ERR_STALE_REQUEST;

    *ret_session = NULL;
    if (command->request.number == 0) {
        return false;
    }
    *ret_session = sessions_find(&apply->machine->sessions, &command->request);
    if (*ret_session != NULL) {
        rv = session_look(*ret_session, command->request.number, &outcome);
    }
    if (rv == ERR_NOT_FOUND || (rv == 0 && COMMAND_IS_MUTATED(APPLY_TWICE))) {
        return false;
    }
    if (rv != 0) {
        result->rv = ERR_STALE_REQUEST;
        return true;
    }
    result->rv = outcome->rv;
    result->index = outcome->index;
    result->epoch = outcome->epoch;
    result->is_repeated = true;
    look_up(apply, outcome);
    return true;
}

/* The leader goes on to another worker, under the same id. */
static bool is_tried_elsewhere(const struct command *command, int rv)
{
    return command->type == COMMAND_CLAIM &&
           (rv == ERR_CLOSED || rv == ERR_BUSY || rv == ERR_NO_CAPACITY);
}

void apply_remember(const struct apply *apply)
{
    const struct command_result *result = apply->result;
    struct session *session =
        sessions_find(&apply->machine->sessions, &apply->command->request);

    if (session != NULL && !is_tried_elsewhere(apply->command, result->rv)) {
        session_remember(session, &(struct session_outcome){
                                      .number = apply->command->request.number,
                                      .index = apply->index,
                                      .epoch = result->epoch,
                                      .rv = result->rv});
    }
}
