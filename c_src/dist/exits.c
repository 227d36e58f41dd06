/* SPDX-License-Identifier: Apache-2.0
 * Links, monitors and ends of processes. The process behind our names traps
 * exits: what would end another one comes out as an event. */
#include "dist/exits.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "dist/frame.h"
#include "dist/signal.h"
#include "etf/reader.h"
#include "etf/writer.h"

/* --- Whom a signal is for ------------------------------------------------- */

/* One of our processes as a peer names it. */
struct target {
    bool is_self;            /* the one behind our names */
    struct process *process; /* or a spawned one; NULL: there is none */
};

static struct target find_target(const struct turn *turn, struct bytes pid)
{
    struct target target = {.is_self = turn_is_self(turn, pid)};
    uint32_t id;
    uint32_t serial;

    if (!target.is_self && signal_is_own(turn->inbox, pid, &id, &serial)) {
        target.process = processes_find(turn->inbox, id, serial);
    }
    return target;
}

/* Whether the signal comes from the process whose call it is. */
static bool is_caller(const struct turn *turn, const struct process *process)
{
    return process->peer == turn->peer &&
           bytes_equal(process->call->from, turn->control->from);
}

/* --- Ends of ours --------------------------------------------------------- */

/* Where frames for `to` go while `peer` is being served. */
static struct buf *out_for(const struct inbox_peer *to,
                           const struct inbox_peer *peer, struct buf *out)
{
    if (to == peer) {
        return out;
    }
    return to->out == NULL ? NULL : to->out(to->arg);
}

static void end_frame(struct buf *out, size_t begin, struct bytes reason)
{
    etf_put_raw(out, reason);
    frame_end(out, begin);
}

void exits_tell(struct inbox *inbox, struct process *process,
                struct bytes reason, const struct inbox_peer *peer,
                struct buf *out)
{
    struct signal_from from = {.id = process->id, .serial = process->serial};

    while (!list_is_empty(&process->relations)) {
        struct relation *relation =
            LIST_ENTRY(process->relations.next, struct relation, process_link);
        const struct inbox_peer *to = relation->peer;
        struct buf *to_out = out_for(to, peer, out);

        if (to_out != NULL && relation->kind == RELATION_MONITOR_IN) {
            end_frame(to_out,
                      signal_begin_down(inbox, to, &from, relation->remote,
                                        relation->reference, to_out),
                      reason);
        } else if (to_out != NULL && !relation->is_unlinking) {
            end_frame(
                to_out,
                signal_begin_exit(inbox, to, &from, relation->remote, to_out),
                reason);
        }
        relations_remove(inbox, relation);
    }
}

static void tell_caller(struct inbox *inbox, const struct process *process,
                        struct bytes reason, struct buf *out)
{
    struct signal_from from = {.id = process->id, .serial = process->serial};
    const struct call *call = process->call;

    if (call->is_linked) {
        end_frame(
            out,
            signal_begin_exit(inbox, process->peer, &from, call->from, out),
            reason);
    }
    if (call->is_monitored) {
        end_frame(out,
                  signal_begin_down(inbox, process->peer, &from, call->from,
                                    call->tag, out),
                  reason);
    }
}

/* A signal ends a spawned call. `peer` NULL: nobody is being served. */
static void end_process(struct inbox *inbox, struct process *process,
                        struct bytes reason, const struct inbox_peer *peer,
                        struct buf *out, struct inbox_event *event)
{
    struct buf *caller_out = out_for(process->peer, peer, out);

    if (caller_out != NULL) {
        tell_caller(inbox, process, reason, caller_out);
    }
    exits_tell(inbox, process, reason, peer, out);
    processes_remove(inbox, process);
    event->type = INBOX_CANCEL;
    event->owner = process->call->owner;
    event->reference = process->call->tag;
}

static void end_target(struct turn *turn, struct process *process,
                       struct bytes reason)
{
    end_process(turn->inbox, process, reason, turn->peer, turn->out,
                turn->event);
}

/* --- Links ---------------------------------------------------------------- */

static void refuse_link(struct turn *turn, struct bytes reason)
{
    const struct control *control = turn->control;
    struct signal_from from = {.raw = control->to};

    end_frame(turn->out,
              signal_begin_exit(turn->inbox, turn->peer, &from, control->from,
                                turn->out),
              reason);
}

void exits_link(struct turn *turn)
{
    const struct control *control = turn->control;
    struct target target = find_target(turn, control->to);
    struct relation *relation;
    int rv;

    if (!target.is_self && target.process == NULL) {
        refuse_link(turn, SIGNAL_NOPROC);
        return;
    }
    if (target.process != NULL && target.process->call->is_linked &&
        is_caller(turn, target.process)) {
        return;
    }
    rv = relations_add(turn->inbox, turn->peer,
                       &(struct relation_ends){.kind = RELATION_LINK,
                                               .process = target.process,
                                               .remote = control->from},
                       &relation);
    /* One that we are unlinking stays so: their link has crossed our request,
     * which ends it as soon as they see it. */
    if (rv != 0 && rv != ERR_EXISTS) {
        refuse_link(turn, SIGNAL_SYSTEM_LIMIT);
    }
}

void exits_unlink(struct turn *turn)
{
    const struct control *control = turn->control;
    struct target target = find_target(turn, control->to);
    struct relation *relation;

    /* Before any other signal to that process (erl_dist_protocol: "Link
     * Protocol"). */
    signal_unlink_ack(control->id, control->to, control->from, turn->out);
    if (!target.is_self && target.process == NULL) {
        return;
    }
    if (target.process != NULL && is_caller(turn, target.process)) {
        target.process->call->is_linked = false;
    }
    relation = relations_find_link(turn->inbox, turn->peer, target.process,
                                   control->from);
    if (relation != NULL && !relation->is_unlinking) {
        relations_remove(turn->inbox, relation);
    }
}

void exits_unlink_ack(struct turn *turn)
{
    const struct control *control = turn->control;
    struct target target = find_target(turn, control->to);
    struct relation *relation =
        relations_find_link(turn->inbox, turn->peer, NULL, control->from);
    struct etf_reader reader = etf_reader_of(control->id);
    uint64_t id;

    /* Only the process behind our names ever unlinks. */
    if (target.is_self && relation != NULL && relation->is_unlinking &&
        etf_read_u64(&reader, &id) == 0 && id == relation->unlink_id) {
        relations_remove(turn->inbox, relation);
    }
}

/* --- Exit signals --------------------------------------------------------- */

static void give_exit(struct turn *turn)
{
    turn->event->type = INBOX_EXIT;
    turn->event->from = turn->control->from;
    turn->event->reason = turn->control->reason;
}

static bool is_atom(struct bytes term, const char *name)
{
    struct etf_reader reader = etf_reader_of(term);

    return etf_take_atom(&reader, name);
}

/* The end of a process with which one of ours is linked, or was. */
void exits_exit(struct turn *turn)
{
    const struct control *control = turn->control;
    struct target target = find_target(turn, control->to);
    struct process *process = target.process;
    bool is_linked = false;
    struct relation *relation;

    if (!target.is_self && process == NULL) {
        return;
    }
    relation =
        relations_find_link(turn->inbox, turn->peer, process, control->from);
    if (relation != NULL && !relation->is_unlinking) {
        is_linked = true;
        relations_remove(turn->inbox, relation);
    }
    if (process != NULL && process->call->is_linked &&
        is_caller(turn, process)) {
        is_linked = true;
        process->call->is_linked = false;
    }
    if (is_linked && target.is_self) {
        give_exit(turn);
    } else if (is_linked && !is_atom(control->reason, "normal")) {
        end_target(turn, process, control->reason);
    }
}

void exits_exit2(struct turn *turn)
{
    const struct control *control = turn->control;
    struct target target = find_target(turn, control->to);
    bool is_kill = is_atom(control->reason, "kill");

    if (target.is_self && !is_kill) {
        give_exit(turn);
    } else if (target.process != NULL && is_kill) {
        end_target(turn, target.process, SIGNAL_KILLED);
    } else if (target.process != NULL && !is_atom(control->reason, "normal")) {
        end_target(turn, target.process, control->reason);
    }
}

/* --- Monitors ------------------------------------------------------------- */

static void fire(struct turn *turn, struct bytes reason)
{
    const struct control *control = turn->control;
    struct signal_from from = {.raw = control->to};

    end_frame(turn->out,
              signal_begin_down(turn->inbox, turn->peer, &from, control->from,
                                control->reference, turn->out),
              reason);
}

void exits_monitor(struct turn *turn)
{
    const struct control *control = turn->control;
    struct etf_reader reader = etf_reader_of(control->to);
    struct relation *relation;
    struct target target;
    struct bytes name;
    int rv;

    if (etf_read_atom(&reader, &name) == 0) {
        if (!mailbox_has_name(name)) {
            fire(turn, SIGNAL_NOPROC);
        }
        return;
    }
    target = find_target(turn, control->to);
    if (target.is_self) {
        return;
    }
    if (target.process == NULL) {
        fire(turn, SIGNAL_NOPROC);
        return;
    }
    rv = relations_add(turn->inbox, turn->peer,
                       &(struct relation_ends){.kind = RELATION_MONITOR_IN,
                                               .process = target.process,
                                               .remote = control->from,
                                               .reference = control->reference},
                       &relation);
    if (rv != 0 && rv != ERR_EXISTS) {
        fire(turn, SIGNAL_SYSTEM_LIMIT);
    }
}

void exits_demonitor(struct turn *turn)
{
    const struct control *control = turn->control;
    struct relation *relation;
    struct target target;

    if (turn->inbox->processes.count == 0) {
        return;
    }
    target = find_target(turn, control->to);
    if (target.process == NULL) {
        return;
    }
    if (is_caller(turn, target.process) &&
        bytes_equal(target.process->call->tag, control->reference)) {
        target.process->call->is_monitored = false;
        return;
    }
    relation = relations_find(turn->inbox, turn->peer, RELATION_MONITOR_IN,
                              control->reference);
    if (relation != NULL && relation->process == target.process) {
        relations_remove(turn->inbox, relation);
    }
}

/* --- Answers to our own calls --------------------------------------------- */

/* {Ref, return, Value}, {Ref, throw or exit, Reason}, {Ref, error, {erpc, R}},
 * {Ref, error, Reason, Stack}; any other reason is that of a signal (kernel:
 * erpc:execute_call/4). */
static bool read_outcome(struct bytes reason, struct bytes reference,
                         struct inbox_event *event)
{
    static const struct {
        const char *name;
        enum call_outcome outcome;
    } classes[] = {{"return", OUTCOME_RETURN},
                   {"throw", OUTCOME_THROW},
                   {"exit", OUTCOME_EXIT},
                   {"error", OUTCOME_ERROR}};
    struct etf_reader reader = etf_reader_of(reason);
    struct bytes raw;
    uint32_t arity;
    size_t i = 0;

    if (etf_read_tuple(&reader, &arity) != 0 || (arity != 3 && arity != 4) ||
        etf_read_raw(&reader, &raw) != 0 || !bytes_equal(raw, reference)) {
        return false;
    }
    while (i < 4 && !etf_take_atom(&reader, classes[i].name)) {
        i++;
    }
    if (i == 4 || (arity == 4) > (classes[i].outcome == OUTCOME_ERROR)) {
        return false;
    }
    event->outcome = classes[i].outcome;
    if (arity == 3 && event->outcome == OUTCOME_ERROR) {
        event->outcome = OUTCOME_REFUSED;
        if (etf_read_tuple_of(&reader, 2) != 0 ||
            !etf_take_atom(&reader, "erpc")) {
            return false;
        }
    }
    return etf_read_raw(&reader, &event->message) == 0;
}

static void give_result(struct turn *turn, struct relation *relation)
{
    const struct control *control = turn->control;

    turn->event->type = INBOX_RESULT;
    turn->event->reference = control->reference;
    if (!read_outcome(control->reason, control->reference, turn->event)) {
        turn->event->outcome = OUTCOME_SIGNAL;
        turn->event->message = control->reason;
    }
    relations_remove(turn->inbox, relation);
}

void exits_monitor_exit(struct turn *turn)
{
    const struct control *control = turn->control;
    struct relation *relation = relations_find(
        turn->inbox, turn->peer, RELATION_SPAWN_OUT, control->reference);

    if (relation != NULL) {
        give_result(turn, relation);
        return;
    }
    relation = relations_find(turn->inbox, turn->peer, RELATION_MONITOR_OUT,
                              control->reference);
    if (relation != NULL) {
        turn->event->type = INBOX_DOWN;
        turn->event->from = control->from;
        turn->event->reference = control->reference;
        turn->event->reason = control->reason;
        relations_remove(turn->inbox, relation);
    }
}

void exits_spawn_reply(struct turn *turn)
{
    const struct control *control = turn->control;
    struct etf_reader reader = etf_reader_of(control->result);
    struct relation *relation = relations_find(
        turn->inbox, turn->peer, RELATION_SPAWN_OUT, control->reference);
    struct bytes name;

    if (relation != NULL && etf_read_atom(&reader, &name) == 0) {
        turn->event->type = INBOX_RESULT;
        turn->event->reference = control->reference;
        turn->event->outcome = OUTCOME_REFUSED;
        turn->event->message = control->result;
        relations_remove(turn->inbox, relation);
    }
}

/* --- Links of the network ------------------------------------------------- */

static void lose_relation(struct inbox *inbox, struct inbox_peer *peer,
                          struct relation *relation, struct inbox_event *event)
{
    struct process *process = relation->process;
    bool is_over = relation->is_unlinking;

    relations_detach(inbox, relation);
    inbox->lost = relation;
    event->reason = SIGNAL_NOCONNECTION;
    event->from = relation->remote;
    event->reference = relation->reference;
    switch (relation->kind) {
    case RELATION_LINK:
        if (process == NULL) {
            event->type = is_over ? INBOX_NONE : INBOX_EXIT;
        } else if (!is_over) {
            end_process(inbox, process, SIGNAL_NOCONNECTION, peer, NULL, event);
        }
        break;
    case RELATION_MONITOR_IN:
        break;
    case RELATION_MONITOR_OUT:
        event->type = INBOX_DOWN;
        break;
    case RELATION_SPAWN_OUT:
        event->type = INBOX_RESULT;
        event->outcome = OUTCOME_LOST;
        event->message = event->reason;
        break;
    }
}

bool inbox_next_lost(struct inbox *inbox, struct inbox_peer *peer,
                     struct inbox_event *ret_event)
{
    struct inbox_event event = {.type = INBOX_NONE};

    mem_free(inbox->lost);
    inbox->lost = NULL;
    while (event.type == INBOX_NONE) {
        if (peer->processes != NULL) {
            end_process(inbox, peer->processes, SIGNAL_NOCONNECTION, peer, NULL,
                        &event);
        } else if (peer->relations != NULL) {
            mem_free(inbox->lost);
            lose_relation(inbox, peer, peer->relations, &event);
        } else {
            mem_free(inbox->lost);
            inbox->lost = NULL;
            return false;
        }
    }
    *ret_event = event;
    return true;
}
