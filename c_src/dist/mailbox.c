/* SPDX-License-Identifier: Apache-2.0
 * Messages to our names: each name is looked up in a table, and messages that
 * are calls, casts or requests of the kernel are looked into. */
#include "base/ensure.h"
#include "dist/frame.h"
#include "dist/message.h"
#include "dist/signal.h"
#include "dist/turn.h"
#include "etf/reader.h"
#include "etf/writer.h"

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
    struct call call = {.spans = turn_spans(turn)};
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
    struct call call = {.spans = turn_spans(turn)};
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
    struct call call = {.spans = turn_spans(turn)};
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
    size_t begin = signal_begin_send(turn->inbox, turn->peer, to, turn->out);

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
    struct call call = {.spans = turn_spans(turn)};
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
    struct call call = {.spans = turn_spans(turn)};
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
            give_call(turn, CALL_BLOCK, &call);
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

/* --- Who is there --------------------------------------------------------- */

static const struct {
    const char *name;
    void (*handle)(struct turn *turn);
} names[] = {{"quorate", on_quorate},
             {"quorate_member", on_quorate_member},
             {"rex", on_rex},
             {"net_kernel", on_net_kernel}};

static const char *const promised[] = {INBOX_NAMES};
_Static_assert(sizeof(promised) / sizeof(promised[0]) ==
                   sizeof(names) / sizeof(names[0]),
               "every name has its handler");

bool mailbox_has_name(struct bytes name)
{
    for (size_t i = 0; i < sizeof(promised) / sizeof(promised[0]); i++) {
        if (bytes_is(name, promised[i])) {
            return true;
        }
    }
    return false;
}

void mailbox_receive_name(struct turn *turn)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bytes_is(turn->control->name, names[i].name)) {
            names[i].handle(turn);
            return;
        }
    }
}

/* {io_request, From, ReplyAs, Request}: the calls that we spawn elsewhere have
 * our process as their group leader, and would wait for ever if nobody took
 * what they print. It is dropped. */
static bool take_io_request(struct turn *turn)
{
    struct etf_reader reader = etf_reader_of(turn->control->payload);
    enum etf_type type;
    struct bytes from;
    struct bytes reply_as;
    uint32_t arity;
    size_t begin;

    if (etf_read_tuple_of(&reader, 4) != 0 ||
        !etf_take_atom(&reader, "io_request") ||
        etf_peek(&reader, &type) != 0 || type != ETF_PID ||
        etf_read_raw(&reader, &from) != 0 ||
        etf_read_raw(&reader, &reply_as) != 0) {
        return false;
    }
    begin = signal_begin_send(turn->inbox, turn->peer, from, turn->out);
    etf_put_tuple(turn->out, 3);
    etf_put_atom(turn->out, "io_reply");
    etf_put_raw(turn->out, reply_as);
    if (etf_read_tuple(&reader, &arity) == 0 &&
        etf_take_atom(&reader, "put_chars")) {
        etf_put_atom(turn->out, "ok");
    } else {
        etf_put_tuple(turn->out, 2);
        etf_put_atom(turn->out, "error");
        etf_put_atom(turn->out, "enotsup");
    }
    frame_end(turn->out, begin);
    return true;
}

void mailbox_receive_pid(struct turn *turn)
{
    /* The process behind our names answers to its pid as `quorate`. */
    if (!take_io_request(turn)) {
        on_quorate(turn);
    }
}
