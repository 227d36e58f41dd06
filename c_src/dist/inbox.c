/* SPDX-License-Identifier: Apache-2.0
 * What a frame means: control.c says what it is; here is which handler each
 * operation has. Messages are looked into by mailbox.c, the signals between
 * processes are exits.c's. */
#include "dist/inbox.h"

#include "base/ensure.h"
#include "base/err.h"
#include "dist/control_scan.h"
#include "dist/exits.h"
#include "dist/message.h"
#include "dist/relations.h"
#include "dist/signal.h"
#include "dist/turn.h"
#include "etf/reader.h"

void inbox_init(struct inbox *inbox, struct bytes node, uint32_t creation)
{
    struct buf self;

    *inbox = (struct inbox){.node = node,
                            .creation = creation,
                            .pid_next = SIGNAL_SELF_ID + 1,
                            .reference_next = 1,
                            .unlink_next = 1};
    inbox_set_seed(inbox, creation);
    buf_init(&self, sizeof(inbox->self));
    signal_put_self(inbox, &self);
    if (buf_error(&self) == 0) {
        memcpy(inbox->self, self.data, self.size);
        inbox->self_size = self.size;
    }
    buf_close(&self);
}

void inbox_set_seed(struct inbox *inbox, uint64_t seed)
{
    ensure(inbox->processes.count == 0);
    ensure(inbox->relations.count == 0);
    map_init(&inbox->processes, INBOX_PROCESSES_MAX, seed);
    map_init(&inbox->relations, INBOX_RELATIONS_MAX, ~seed);
}

void inbox_close(struct inbox *inbox)
{
    ensure(inbox->processes.count == 0);
    ensure(inbox->relations.count == 0);
    ensure(inbox->lost == NULL);
    map_close(&inbox->processes);
    map_close(&inbox->relations);
}

const struct etf_spans *turn_spans(const struct turn *turn)
{
    return turn->peer->scan == NULL ? NULL : &turn->peer->scan->spans;
}

bool turn_is_self(const struct turn *turn, struct bytes pid)
{
    const struct inbox *inbox = turn->inbox;
    uint32_t id;
    uint32_t serial;

    if (bytes_equal(pid, bytes_of(inbox->self, inbox->self_size))) {
        return true;
    }
    /* The node's name may be written in another way. */
    return signal_is_own(inbox, pid, &id, &serial) && id == SIGNAL_SELF_ID &&
           serial == 0;
}

/* --- Spawn requests ------------------------------------------------------- */

/* Numbers of processes that still run are passed over. */
static void take_pid(struct inbox *inbox, struct call *call)
{
    do {
        call->pid_id = inbox->pid_next;
        call->pid_serial = inbox->pid_serial;
        if (inbox->pid_next < SIGNAL_PID_ID_MAX) {
            inbox->pid_next++;
        } else {
            inbox->pid_next = SIGNAL_SELF_ID + 1;
            inbox->pid_serial = (inbox->pid_serial + 1) & SIGNAL_PID_SERIAL_MAX;
        }
    } while (processes_find(inbox, call->pid_id, call->pid_serial) != NULL);
}

static enum call_kind spawn_kind(const struct control *control)
{
    if (!bytes_is(control->module, "erpc")) {
        return CALL_SPAWN_PLAIN;
    }
    if (control->arity == 4 && bytes_is(control->function, "execute_call")) {
        return CALL_SPAWN;
    }
    if (control->arity == 3 && bytes_is(control->function, "execute_cast")) {
        return CALL_SPAWN_CAST;
    }
    return CALL_SPAWN_PLAIN;
}

/* erlang:apply/2 has a fun, and there is no code here for it. */
static bool is_fun(const struct call *call)
{
    return call->arity == 2 && bytes_is(call->module, "erlang") &&
           bytes_is(call->function, "apply");
}

static void on_spawn_request(struct turn *turn)
{
    const struct control *control = turn->control;
    struct call call = {.kind = spawn_kind(control),
                        .spans = turn_spans(turn),
                        .from = control->from,
                        .tag = control->reference,
                        .is_monitored = control->is_monitored,
                        .is_linked = control->is_linked};
    int rv;

    if (control->has_bad_option) {
        signal_spawn_error(call.tag, call.from, "badopt", turn->out);
        return;
    }
    if (call.kind == CALL_SPAWN_PLAIN) {
        call.module = control->module;
        call.function = control->function;
        rv = message_read_args(control->payload, control->arity, &call);
    } else {
        rv = message_read_spawn(control->payload, call.kind == CALL_SPAWN,
                                &call);
    }
    if (rv != 0) {
        signal_spawn_error(call.tag, call.from, "badarg", turn->out);
        return;
    }
    take_pid(turn->inbox, &call);
    signal_spawn_reply(turn->inbox, &call, turn->out);
    if (is_fun(&call)) {
        struct call_result result = {.type = CALL_ERROR,
                                     .value = bytes_of("w\6notsup", 8)};

        call_reply(turn->inbox, turn->peer, &call, &result, turn->out);
        return;
    }
    turn->event->type = INBOX_CALL;
    turn->event->call = call;
}

/* --- Operations ----------------------------------------------------------- */

static void handle(struct turn *turn)
{
    const struct control *control = turn->control;

    switch (control->op) {
    case CONTROL_SEND:
        if (turn_is_self(turn, control->to)) {
            mailbox_receive_pid(turn);
        }
        break;
    case CONTROL_REG_SEND:
        mailbox_receive_name(turn);
        break;
    case CONTROL_SPAWN_REQUEST:
        on_spawn_request(turn);
        break;
    case CONTROL_SPAWN_REPLY:
        exits_spawn_reply(turn);
        break;
    case CONTROL_LINK:
        exits_link(turn);
        break;
    case CONTROL_UNLINK_ID:
        exits_unlink(turn);
        break;
    case CONTROL_UNLINK_ID_ACK:
        exits_unlink_ack(turn);
        break;
    case CONTROL_MONITOR_P:
        exits_monitor(turn);
        break;
    case CONTROL_DEMONITOR_P:
        exits_demonitor(turn);
        break;
    case CONTROL_MONITOR_P_EXIT:
        exits_monitor_exit(turn);
        break;
    case CONTROL_EXIT:
        exits_exit(turn);
        break;
    case CONTROL_EXIT2:
        exits_exit2(turn);
        break;
    /* Peers that unlink without an identifier are not let in; our group leader
     * is our own business; we hand out no aliases. */
    case CONTROL_UNLINK:
    case CONTROL_GROUP_LEADER:
    case CONTROL_ALIAS_SEND:
        break;
    }
}

int inbox_receive(struct inbox *inbox, struct inbox_peer *peer,
                  struct bytes frame, struct buf *out,
                  struct inbox_event *ret_event, const char **ret_cause)
{
    struct control control;
    struct turn turn = {.inbox = inbox,
                        .peer = peer,
                        .control = &control,
                        .out = out,
                        .event = ret_event};
    int rv =
        peer->scan == NULL
            ? control_decode(frame, peer->flags, &control, ret_cause)
            : control_decode_scanned(frame, peer->scan, &control, ret_cause);

    if (rv != 0) {
        return rv;
    }
    ret_event->type = INBOX_NONE;
    handle(&turn);
    return 0;
}
