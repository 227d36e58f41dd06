/* SPDX-License-Identifier: Apache-2.0
 * The machine: begin, end, and which command goes where. What commands mean is
 * in command_leases.c, command_sandboxes.c, command_names.c, command_copies.c
 * and command_members.c; which ones come again, in command_repeat.c. */
#include "base/ensure.h"
#include "base/err.h"
#include "command/apply.h"
#include "registry/copies.h"

#ifdef RAFT_MUTATIONS
enum command_mutation command_mutation;
#endif

void command_machine_init(struct command_machine *machine, uint64_t seed,
                          command_event_cb *event_cb, void *event_arg)
{
    *machine =
        (struct command_machine){.event_cb = event_cb, .event_arg = event_arg};
    registry_init(&machine->registry, seed);
}

void command_machine_close(struct command_machine *machine)
{
    if (machine != NULL) {
        registry_close(&machine->registry);
        sessions_close(&machine->sessions);
    }
}

void command_machine_move(struct command_machine *to,
                          struct command_machine *from,
                          command_event_cb *event_cb, void *event_arg)
{
    *to = *from;
    registry_move(&to->registry, &from->registry);
    to->event_cb = event_cb;
    to->event_arg = event_arg;
    command_machine_init(from, 0, NULL, NULL);
}

static void emit(struct apply *apply, struct command_event *event)
{
    struct command_machine *machine = apply->machine;

    event->index = apply->index;
    if (machine->event_cb != NULL) {
        machine->event_cb(machine->event_arg, event);
    }
}

void apply_emit_worker(struct apply *apply, enum command_event_type type,
                       struct worker *worker)
{
    emit(apply, &(struct command_event){.type = type, .worker = worker});
}

void apply_emit_lease_ended(struct apply *apply, struct worker *worker,
                            uint64_t lease)
{
    emit(apply, &(struct command_event){.type = EVENT_LEASE_ENDED,
                                        .worker = worker,
                                        .lease = lease});
}

void apply_emit_sandbox(struct apply *apply, enum command_event_type type,
                        struct sandbox *sandbox, struct worker *worker)
{
    emit(apply, &(struct command_event){
                    .type = type, .worker = worker, .sandbox = sandbox});
}

void apply_emit_name(struct apply *apply, enum command_event_type type,
                     struct registered_name *name, struct worker *worker)
{
    emit(apply,
         &(struct command_event){.type = type, .worker = worker, .name = name});
}

void apply_emit_members(struct apply *apply)
{
    emit(apply, &(struct command_event){.type = EVENT_MEMBERS_CHANGED});
}

void apply_emit_copy(struct apply *apply, enum command_event_type type,
                     struct copy *copy)
{
    emit(apply, &(struct command_event){.type = type, .copy = copy});
}

void apply_end_grant(struct apply *apply, uint64_t grant)
{
    ensure(grant <= apply->index);
    if (grant == apply->index) {
        apply->machine->burnt_index = apply->index;
    }
}

bool apply_may_grant(const struct apply *apply)
{
    return apply->machine->burnt_index != apply->index &&
           apply->machine->held_epoch == 0;
}

static int dispatch(struct apply *apply)
{
    switch (apply->command->type) {
    case COMMAND_ATTACH:
        return apply_attach(apply);
    case COMMAND_RENEW:
        return apply_renew(apply);
    case COMMAND_EXPIRE:
        return apply_expire(apply);
    case COMMAND_RELEASE:
        return apply_release(apply);
    case COMMAND_CLAIM:
        return apply_claim(apply);
    case COMMAND_PLACE:
        return apply_place(apply);
    case COMMAND_STARTED:
        return apply_started(apply);
    case COMMAND_FAILED:
        return apply_failed(apply);
    case COMMAND_STOP:
        return apply_stop(apply);
    case COMMAND_STOPPED:
        return apply_stopped(apply);
    case COMMAND_REGISTER:
        return apply_register(apply);
    case COMMAND_UNREGISTER:
        return apply_unregister(apply);
    case COMMAND_PUT_MEMBER:
        return apply_put_member(apply);
    case COMMAND_DROP_MEMBER:
        return apply_drop_member(apply);
    case COMMAND_OPEN_SESSION:
        return apply_open_session(apply);
    case COMMAND_RECOVER:
        return apply_recover(apply);
    case COMMAND_RESUME:
        return apply_resume(apply);
    case COMMAND_KEEP:
        return apply_keep(apply);
    case COMMAND_DISCARD:
        return apply_discard(apply);
    case COMMAND_RESTORE:
        return apply_restore(apply);
    case COMMAND_RESTORED:
        return apply_restored(apply);
    }
    unreachable();
}

/* What the proposer wants to know beside the outcome itself. */
static void complete(struct command_result *result)
{
    if (result->sandbox != NULL) {
        result->epoch = result->sandbox->epoch;
    } else if (result->name != NULL) {
        result->epoch = result->name->epoch;
    }
}

static void find_owner(struct command_result *result)
{
    if (result->worker == NULL && result->sandbox != NULL) {
        result->worker = result->sandbox->worker;
    }
    if (result->worker == NULL && result->name != NULL) {
        result->worker = result->name->worker;
    }
}

/* Once for each request id; then what was is told again. */
static int apply_once(struct apply *apply)
{
    struct session *session;
    int rv = 0;

    if (apply_recall(apply, &session)) {
        return 0;
    }
    if (session != NULL) {
        rv = session_reserve(session, apply->command->request.number);
    }
    if (rv == 0) {
        apply->result->rv = dispatch(apply);
        rv = apply->result->rv == ERR_NOMEM ? ERR_NOMEM : 0;
    }
    if (rv == 0) {
        complete(apply->result);
    }
    if (rv == 0 && session != NULL) {
        apply_remember(apply);
    }
    return rv;
}

uint64_t command_epoch(const struct command_machine *machine, uint64_t index)
{
    return index + machine->epoch_base;
}

bool command_is_epoch_over(const struct command_machine *machine,
                           struct bytes id, uint64_t epoch)
{
    const struct sandbox *sandbox = registry_sandbox(&machine->registry, id);

    if (sandbox != NULL) {
        return epoch < sandbox->birth;
    }
    /* Of a conflict copy, which no sandbox is; its number is no epoch. */
    if (registry_id_is_reserved(id)) {
        return false;
    }
    /* What was granted in the last entry, or is not applied yet, is not seen
     * to have ended. */
    return epoch < command_epoch(machine, machine->applied_index);
}

int command_apply(struct command_machine *machine, uint64_t index,
                  const struct command *command,
                  struct command_result *ret_result)
{
    uint64_t epoch = command_epoch(machine, index);
    struct command_result result = {.index = epoch};
    struct apply apply = {.machine = machine,
                          .index = epoch,
                          .command = command,
                          .result = &result};
    int rv;

    ensure(index > 0);
    ensure(index >= machine->applied_index);
    rv = apply_once(&apply);
    if (rv != 0) {
        return rv;
    }
    machine->applied_index = index;
    find_owner(&result);
    *ret_result = result;
    return 0;
}

bool command_recall(struct command_machine *machine,
                    const struct command *command,
                    struct command_result *ret_result)
{
    uint64_t epoch = command_epoch(machine, machine->applied_index);
    struct command_result result = {.index = epoch};
    struct apply apply = {.machine = machine,
                          .index = epoch,
                          .command = command,
                          .result = &result};
    struct session *session;

    if (!apply_recall(&apply, &session)) {
        return false;
    }
    find_owner(&result);
    *ret_result = result;
    return true;
}
