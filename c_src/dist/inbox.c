/* SPDX-License-Identifier: Apache-2.0
 * What a frame means: control.c says what it is; here each operation has its
 * handler, and messages to our names are looked into. */
#include "dist/inbox.h"

#include "base/ensure.h"
#include "base/err.h"
#include "dist/control.h"
#include "dist/frame.h"
#include "dist/message.h"
#include "dist/signal.h"
#include "etf/reader.h"
#include "etf/writer.h"

/* One frame being handled. */
struct turn {
    struct inbox *inbox;
    const struct inbox_peer *peer;
    const struct control *control;
    struct buf *out;
    struct inbox_event *event; /* to be filled; NONE at first */
};

void inbox_init(struct inbox *inbox, struct bytes node, uint32_t creation)
{
    struct buf self;

    *inbox = (struct inbox){.node = node,
                            .creation = creation,
                            .pid_next = SIGNAL_SELF_ID + 1,
                            .reference_next = 1};
    buf_init(&self, sizeof(inbox->self));
    signal_put_self(inbox, &self);
    if (buf_error(&self) == 0) {
        memcpy(inbox->self, self.data, self.size);
        inbox->self_size = self.size;
    }
    buf_close(&self);
}

/* --- Who is there --------------------------------------------------------- */

static bool is_name_of_ours(struct bytes name)
{
    static const char *const names[] = {INBOX_NAMES};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bytes_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool is_self(const struct inbox *inbox, struct bytes pid)
{
    uint32_t id;
    uint32_t serial;

    if (bytes_equal(pid, bytes_of(inbox->self, inbox->self_size))) {
        return true;
    }
    /* The node's name may be written in another way. */
    return signal_is_own(inbox, pid, &id, &serial) && id == SIGNAL_SELF_ID &&
           serial == 0;
}

/* Whether a process that lives as long as we do is behind the pid or name. */
static bool is_alive(const struct inbox *inbox, struct bytes target)
{
    struct etf_reader reader = etf_reader_of(target);
    struct bytes name;

    if (etf_read_atom(&reader, &name) == 0) {
        return is_name_of_ours(name);
    }
    return is_self(inbox, target);
}

/* --- Calls ---------------------------------------------------------------- */

static void give_call(struct turn *turn, enum call_kind kind,
                      const struct call *call)
{
    turn->event->type = INBOX_CALL;
    turn->event->call = *call;
    turn->event->call.kind = kind;
}

/* Answers a gen_server call at once with a raw term. */
static void reply_now(struct turn *turn, const struct call *call,
                      const char *value, size_t size)
{
    struct call_result result = {.type = CALL_VALUE,
                                 .value = bytes_of(value, size)};

    ensure(call->kind == CALL_GEN);
    call_reply(turn->inbox, turn->peer, call, &result, turn->out);
}

static void reply_bad_request(struct turn *turn, const struct call *call)
{
    /* {error, {badarg, request}} */
    static const char term[] = "h\2"
                               "w\5error"
                               "h\2"
                               "w\6badarg"
                               "w\7request";

    reply_now(turn, call, term, sizeof(term) - 1);
}

/* --- Messages to names ---------------------------------------------------- */

static void give_message(struct turn *turn, const char *name)
{
    turn->event->type = INBOX_MESSAGE;
    turn->event->name = bytes_of_string(name);
    turn->event->from = turn->control->from;
    turn->event->message = turn->control->payload;
}

static void on_quorate(struct turn *turn)
{
    struct call call = {0};
    struct etf_reader request;

    switch (message_read(turn->control->payload, &call, &request)) {
    case MESSAGE_PLAIN:
        give_message(turn, "quorate");
        break;
    case MESSAGE_CALL:
        if (etf_read_tuple_of(&request, 3) == 0 &&
            message_read_mfa(&request, &call) == 0) {
            give_call(turn, CALL_GEN, &call);
        } else {
            reply_bad_request(turn, &call);
        }
        break;
    case MESSAGE_CAST:
        if (etf_read_tuple_of(&request, 3) == 0 &&
            message_read_mfa(&request, &call) == 0) {
            give_call(turn, CALL_GEN_CAST, &call);
        }
        break;
    case MESSAGE_BAD:
        break;
    }
}

static void on_quorate_member(struct turn *turn)
{
    struct call call = {0};
    struct etf_reader request;

    switch (message_read(turn->control->payload, &call, &request)) {
    case MESSAGE_PLAIN:
        give_message(turn, "quorate_member");
        break;
    case MESSAGE_CALL:
        reply_bad_request(turn, &call);
        break;
    case MESSAGE_CAST:
    case MESSAGE_BAD:
        break;
    }
}

/* kernel: net_kernel answers is_auth; net_adm:ping/1 asks it. */
static void on_net_kernel(struct turn *turn)
{
    static const char yes[] = "w\3yes";
    struct call call = {0};
    struct etf_reader request;

    if (message_read(turn->control->payload, &call, &request) != MESSAGE_CALL) {
        return;
    }
    if (etf_read_tuple_of(&request, 2) == 0 &&
        etf_take_atom(&request, "is_auth")) {
        reply_now(turn, &call, yes, sizeof(yes) - 1);
    } else {
        reply_bad_request(turn, &call);
    }
}

/* {features_reply, Node, [erpc]} */
static void reply_features(struct turn *turn, struct bytes to)
{
    size_t begin = signal_begin_send(to, turn->out);

    etf_put_tuple(turn->out, 3);
    etf_put_atom(turn->out, "features_reply");
    etf_put_atom_bytes(turn->out, turn->inbox->node);
    etf_put_list(turn->out, 1);
    etf_put_atom(turn->out, "erpc");
    etf_put_nil(turn->out);
    frame_end(turn->out, begin);
}

/* {Pid, Request}, as nodes that are no virtual machines send it. */
static void on_rex_plain(struct turn *turn)
{
    struct etf_reader reader = etf_reader_of(turn->control->payload);
    struct call call = {0};
    enum etf_type type;

    if (etf_read_tuple_of(&reader, 2) != 0 || etf_peek(&reader, &type) != 0 ||
        type != ETF_PID || etf_read_raw(&reader, &call.from) != 0) {
        return;
    }
    if (etf_take_atom(&reader, "features_request")) {
        reply_features(turn, call.from);
    } else if (message_read_rex(&reader, "call", &call)) {
        give_call(turn, CALL_REX, &call);
    }
}

static void on_rex(struct turn *turn)
{
    struct call call = {0};
    struct etf_reader request;
    struct etf_reader again;

    switch (message_read(turn->control->payload, &call, &request)) {
    case MESSAGE_PLAIN:
        on_rex_plain(turn);
        break;
    case MESSAGE_CALL:
        again = request;
        if (message_read_rex(&request, "block_call", &call) ||
            message_read_rex(&again, "call", &call)) {
            give_call(turn, CALL_GEN, &call);
        } else {
            reply_bad_request(turn, &call);
        }
        break;
    case MESSAGE_CAST:
        if (message_read_rex(&request, "cast", &call)) {
            give_call(turn, CALL_GEN_CAST, &call);
        }
        break;
    case MESSAGE_BAD:
        break;
    }
}

static void on_reg_send(struct turn *turn)
{
    static const struct {
        const char *name;
        void (*handle)(struct turn *turn);
    } names[] = {{"quorate", on_quorate},
                 {"quorate_member", on_quorate_member},
                 {"rex", on_rex},
                 {"net_kernel", on_net_kernel}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bytes_is(turn->control->name, names[i].name)) {
            names[i].handle(turn);
            return;
        }
    }
}

/* --- Spawn requests ------------------------------------------------------- */

static void take_pid(struct inbox *inbox, struct call *call)
{
    call->pid_id = inbox->pid_next;
    call->pid_serial = inbox->pid_serial;
    if (inbox->pid_next < SIGNAL_PID_ID_MAX) {
        inbox->pid_next++;
        return;
    }
    inbox->pid_next = SIGNAL_SELF_ID + 1;
    inbox->pid_serial = (inbox->pid_serial + 1) & SIGNAL_PID_SERIAL_MAX;
}

static void on_spawn_request(struct turn *turn)
{
    const struct control *control = turn->control;
    struct call call = {.from = control->from,
                        .tag = control->reference,
                        .is_monitored = control->is_monitored,
                        .is_linked = control->is_linked};
    bool is_erpc = bytes_is(control->module, "erpc");
    bool is_call = is_erpc && control->arity == 4 &&
                   bytes_is(control->function, "execute_call");
    bool is_cast = is_erpc && control->arity == 3 &&
                   bytes_is(control->function, "execute_cast");

    if (!is_call && !is_cast) {
        signal_spawn_error(call.tag, call.from, "notsup", turn->out);
        return;
    }
    if (message_read_spawn(control->payload, is_call, &call) != 0) {
        signal_spawn_error(call.tag, call.from, "badarg", turn->out);
        return;
    }
    take_pid(turn->inbox, &call);
    signal_spawn_reply(turn->inbox, &call, turn->out);
    give_call(turn, is_call ? CALL_SPAWN : CALL_SPAWN_CAST, &call);
}

/* --- Signals to processes ------------------------------------------------- */

static void on_send(struct turn *turn)
{
    /* The process behind our names answers to its pid as `quorate`. */
    if (is_self(turn->inbox, turn->control->to)) {
        on_quorate(turn);
    }
}

static void on_link(struct turn *turn)
{
    const struct control *control = turn->control;

    if (!is_self(turn->inbox, control->to)) {
        signal_exit(control->to, control->from, "noproc", turn->out);
    }
}

static void on_monitor(struct turn *turn)
{
    const struct control *control = turn->control;

    if (!is_alive(turn->inbox, control->to)) {
        signal_monitor_exit(control->to, control->from, control->reference,
                            "noproc", turn->out);
    }
}

/* A monitor on a spawned call is its caller's; who drops it has given up. */
static void on_demonitor(struct turn *turn)
{
    uint32_t id;
    uint32_t serial;

    if (signal_is_own(turn->inbox, turn->control->to, &id, &serial) &&
        id != SIGNAL_SELF_ID) {
        turn->event->type = INBOX_CANCEL;
        turn->event->reference = turn->control->reference;
    }
}

static void on_monitor_exit(struct turn *turn)
{
    turn->event->type = INBOX_DOWN;
    turn->event->reference = turn->control->reference;
    turn->event->reason = turn->control->reason;
}

static void handle(struct turn *turn)
{
    const struct control *control = turn->control;

    switch (control->op) {
    case CONTROL_SEND:
        on_send(turn);
        break;
    case CONTROL_REG_SEND:
        on_reg_send(turn);
        break;
    case CONTROL_SPAWN_REQUEST:
        on_spawn_request(turn);
        break;
    case CONTROL_LINK:
        on_link(turn);
        break;
    case CONTROL_UNLINK_ID:
        signal_unlink_ack(control->id, control->to, control->from, turn->out);
        break;
    case CONTROL_MONITOR_P:
        on_monitor(turn);
        break;
    case CONTROL_DEMONITOR_P:
        on_demonitor(turn);
        break;
    case CONTROL_MONITOR_P_EXIT:
        on_monitor_exit(turn);
        break;
    /* Our processes do not die of others, and we hand out no aliases, make no
     * links and spawn nothing. */
    case CONTROL_EXIT:
    case CONTROL_EXIT2:
    case CONTROL_UNLINK:
    case CONTROL_GROUP_LEADER:
    case CONTROL_ALIAS_SEND:
    case CONTROL_SPAWN_REPLY:
    case CONTROL_UNLINK_ID_ACK:
        break;
    }
}

int inbox_receive(struct inbox *inbox, const struct inbox_peer *peer,
                  struct bytes frame, struct buf *out,
                  struct inbox_event *ret_event, const char **ret_cause)
{
    struct inbox_event event = {.type = INBOX_NONE};
    struct control control;
    struct turn turn = {.inbox = inbox,
                        .peer = peer,
                        .control = &control,
                        .out = out,
                        .event = &event};
    int rv =
        peer->scan == NULL
            ? control_decode(frame, peer->flags, &control, ret_cause)
            : control_decode_scanned(frame, peer->scan, &control, ret_cause);

    if (rv != 0) {
        return rv;
    }
    handle(&turn);
    *ret_event = event;
    return 0;
}
