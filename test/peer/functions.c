/* SPDX-License-Identifier: Apache-2.0
 * The functions of quorate_peer; its first lines say what they do. */
#include "base/ensure.h"
#include "base/err.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "peer/peer_node.h"

/* --- Arguments ------------------------------------------------------------ */

struct args {
    struct bytes raw[PEER_ARGS_MAX];
    uint8_t small[PEER_ARGS_MAX][2]; /* elements of a list of bytes */
};

static int read_args(const struct call *call, struct args *args)
{
    struct etf_reader reader = etf_reader_of(call->args);
    struct etf_list list;
    bool has_more;
    uint32_t i = 0;
    int rv = etf_list_begin(&reader, &list);

    while (rv == 0 && (rv = etf_list_next(&list, &has_more)) == 0 && has_more) {
        if (i == PEER_ARGS_MAX) {
            return ERR_LIMIT;
        }
        rv = etf_read_raw(&list.element, &args->raw[i]);
        if (rv == 0 && args->raw[i].size <= 2) {
            memcpy(args->small[i], args->raw[i].data, args->raw[i].size);
            args->raw[i].data = args->small[i];
        }
        i++;
    }
    return rv;
}

static bool read_number(struct bytes raw, uint64_t max, uint64_t *ret_number)
{
    struct etf_reader reader = etf_reader_of(raw);

    return etf_read_u64(&reader, ret_number) == 0 && *ret_number <= max;
}

static bool is_of(struct bytes raw, enum etf_type wanted)
{
    struct etf_reader reader = etf_reader_of(raw);
    enum etf_type type;

    return etf_peek(&reader, &type) == 0 && type == wanted;
}

/* The link to the node of a pid, or to a node by name. */
static struct peer_link *find_link(struct peer_node *node, struct bytes raw)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct peer *peer;
    struct etf_pid pid;
    struct bytes name;

    if (etf_read_pid(&reader, &pid) == 0) {
        name = pid.node;
    } else if (etf_read_atom(&reader, &name) != 0) {
        return NULL;
    }
    peer = peers_find(node->peers, name);
    return peer == NULL ? NULL : (struct peer_link *)peer_data(peer);
}

/* --- Answers -------------------------------------------------------------- */

void answer_close(struct answer *answer)
{
    buf_close(&answer->value);
    buf_close(&answer->stack);
    buf_close(&answer->reference);
}

static void give_atom(struct answer *answer, const char *name)
{
    etf_put_atom(&answer->value, name);
}

/* An exception with the function as the stack. */
static void give_exception(struct answer *answer, enum call_result_type type,
                           const struct call *call, struct bytes reason)
{
    answer->result.type = type;
    buf_clear(&answer->value);
    etf_put_raw(&answer->value, reason);
    etf_put_list(&answer->stack, 1);
    etf_put_tuple(&answer->stack, 4);
    etf_put_atom_bytes(&answer->stack, call->module);
    etf_put_atom_bytes(&answer->stack, call->function);
    etf_put_u64(&answer->stack, call->arity);
    etf_put_nil(&answer->stack);
    etf_put_nil(&answer->stack);
}

static void give_badarg(struct answer *answer, const struct call *call)
{
    give_exception(answer, CALL_ERROR, call, bytes_of("w\6badarg", 8));
}

/* --- Functions ------------------------------------------------------------ */

struct turn {
    struct peer_node *node;
    const struct call *call;
    struct args args;
    struct answer *answer;
};

static void do_echo(struct turn *turn)
{
    etf_put_raw(&turn->answer->value, turn->args.raw[0]);
}

static void do_self(struct turn *turn)
{
    etf_put_raw(&turn->answer->value,
                bytes_of(turn->node->inbox.self, turn->node->inbox.self_size));
}

static void answer_after(struct turn *turn, struct bytes value)
{
    uint64_t ms;

    if (!read_number(turn->args.raw[0], PEER_SLEEP_MS_MAX, &ms)) {
        give_badarg(turn->answer, turn->call);
        return;
    }
    etf_put_raw(&turn->answer->value, value);
    turn->answer->is_later = true;
    turn->answer->delay_ms = ms;
}

static void do_sleep(struct turn *turn)
{
    answer_after(turn, bytes_of("w\2ok", 4));
}

static void do_reply_after(struct turn *turn)
{
    answer_after(turn, turn->args.raw[1]);
}

static void do_throw(struct turn *turn)
{
    give_exception(turn->answer, CALL_THROW, turn->call, turn->args.raw[0]);
}

static void do_exit(struct turn *turn)
{
    do_echo(turn);
    turn->answer->result.type = CALL_EXIT;
}

static void do_error(struct turn *turn)
{
    give_exception(turn->answer, CALL_ERROR, turn->call, turn->args.raw[0]);
}

static void do_big(struct turn *turn)
{
    struct buf *value = &turn->answer->value;
    uint64_t size;
    uint8_t *room;

    if (!read_number(turn->args.raw[0], PEER_VALUE_SIZE_MAX / 2, &size)) {
        give_badarg(turn->answer, turn->call);
        return;
    }
    buf_put_u8(value, 109); /* BINARY_EXT */
    buf_put_u32(value, (uint32_t)size);
    room = buf_reserve(value, size);
    if (room != NULL) {
        memset(room, 'x', size);
        buf_commit(value, size);
    }
}

static void do_link(struct turn *turn)
{
    struct peer_link *link = find_link(turn->node, turn->args.raw[0]);

    if (link == NULL || !is_of(turn->args.raw[0], ETF_PID) ||
        outbox_link(&turn->node->inbox, &link->inbox_peer, turn->args.raw[0],
                    peer_out(link->peer)) != 0) {
        give_badarg(turn->answer, turn->call);
        return;
    }
    give_atom(turn->answer, "true");
}

static void do_unlink(struct turn *turn)
{
    struct peer_link *link = find_link(turn->node, turn->args.raw[0]);

    if (link != NULL) {
        outbox_unlink(&turn->node->inbox, &link->inbox_peer, turn->args.raw[0],
                      peer_out(link->peer));
    }
    give_atom(turn->answer, "true");
}

/* A pid, or {Name, Node}. */
static void do_monitor(struct turn *turn)
{
    struct bytes target = turn->args.raw[0];
    struct bytes where = target;
    struct etf_reader reader = etf_reader_of(target);
    struct peer_link *link;

    if (etf_read_tuple_of(&reader, 2) == 0 &&
        (etf_read_raw(&reader, &target) != 0 ||
         etf_read_raw(&reader, &where) != 0)) {
        give_badarg(turn->answer, turn->call);
        return;
    }
    link = find_link(turn->node, where);
    if (link == NULL ||
        outbox_monitor(&turn->node->inbox, &link->inbox_peer, target,
                       peer_out(link->peer), &turn->answer->value) != 0) {
        give_badarg(turn->answer, turn->call);
    }
}

/* Of whatever peer it is: none has one of another's. */
static void do_demonitor(struct turn *turn)
{
    struct bytes node_of_caller = turn->call->from;
    struct peer_link *link = find_link(turn->node, node_of_caller);

    if (link != NULL) {
        outbox_demonitor(&turn->node->inbox, &link->inbox_peer,
                         turn->args.raw[0], peer_out(link->peer));
    }
    give_atom(turn->answer, "true");
}

/* To a pid, or an alias of the caller's node. */
static void do_send(struct turn *turn)
{
    struct bytes to = turn->args.raw[0];
    bool is_alias = is_of(to, ETF_REFERENCE);
    struct peer_link *link =
        find_link(turn->node, is_alias ? turn->call->from : to);

    if (link == NULL || (!is_alias && !is_of(to, ETF_PID))) {
        give_badarg(turn->answer, turn->call);
        return;
    }
    if (is_alias) {
        outbox_send_alias(&turn->node->inbox, &link->inbox_peer, to,
                          turn->args.raw[1], peer_out(link->peer));
    } else {
        outbox_send(&turn->node->inbox, &link->inbox_peer, to,
                    turn->args.raw[1], peer_out(link->peer));
    }
    give_atom(turn->answer, "ok");
}

static void do_exit2(struct turn *turn)
{
    struct peer_link *link = find_link(turn->node, turn->args.raw[0]);

    if (link == NULL || !is_of(turn->args.raw[0], ETF_PID)) {
        give_badarg(turn->answer, turn->call);
        return;
    }
    outbox_exit2(&turn->node->inbox, &link->inbox_peer, turn->args.raw[0],
                 turn->args.raw[1], peer_out(link->peer));
    give_atom(turn->answer, "true");
}

static bool read_name(struct bytes raw, struct bytes *ret_name)
{
    struct etf_reader reader = etf_reader_of(raw);

    return etf_read_atom(&reader, ret_name) == 0;
}

static void do_spawn_call(struct turn *turn)
{
    struct peer_link *link = find_link(turn->node, turn->args.raw[0]);
    struct outbox_call call = {.args = turn->args.raw[3]};

    if (link == NULL || !read_name(turn->args.raw[1], &call.module) ||
        !read_name(turn->args.raw[2], &call.function) ||
        outbox_spawn(&turn->node->inbox, &link->inbox_peer, &call,
                     peer_out(link->peer), &turn->answer->reference) != 0) {
        give_badarg(turn->answer, turn->call);
        return;
    }
    turn->answer->is_later = true;
    turn->answer->delay_ms = UINT64_MAX;
}

static void do_events(struct turn *turn)
{
    struct peer_node *node = turn->node;

    if (node->event_count > 0) {
        etf_put_list(&turn->answer->value, node->event_count);
        buf_put_bytes(&turn->answer->value, buf_bytes(&node->events));
    }
    etf_put_nil(&turn->answer->value);
    buf_clear(&node->events);
    node->event_count = 0;
}

/* By its name, from epmd; the outcome is seen by is_linked. */
static void do_dial(struct turn *turn)
{
    struct etf_reader reader = etf_reader_of(turn->args.raw[0]);
    struct bytes name;

    if (etf_read_atom(&reader, &name) != 0 ||
        peers_dial(turn->node->peers, name, NULL, 0) != 0) {
        give_badarg(turn->answer, turn->call);
        return;
    }
    give_atom(turn->answer, "ok");
}

static void do_is_linked(struct turn *turn)
{
    give_atom(turn->answer, find_link(turn->node, turn->args.raw[0]) == NULL
                                ? "false"
                                : "true");
}

/* {Calls under way, links and monitors} */
static void do_tables(struct turn *turn)
{
    etf_put_tuple(&turn->answer->value, 2);
    etf_put_u64(&turn->answer->value, turn->node->inbox.processes.count);
    etf_put_u64(&turn->answer->value, turn->node->inbox.relations.count);
}

static const struct {
    const char *name;
    uint32_t arity;
    void (*run)(struct turn *turn);
} functions[] = {
    {"echo", 1, do_echo},
    {"self", 0, do_self},
    {"sleep", 1, do_sleep},
    {"reply_after", 2, do_reply_after},
    {"throw", 1, do_throw},
    {"exit", 1, do_exit},
    {"error", 1, do_error},
    {"big", 1, do_big},
    {"link", 1, do_link},
    {"unlink", 1, do_unlink},
    {"monitor", 1, do_monitor},
    {"demonitor", 1, do_demonitor},
    {"send", 2, do_send},
    {"exit2", 2, do_exit2},
    {"spawn_call", 4, do_spawn_call},
    {"events", 0, do_events},
    {"tables", 0, do_tables},
    {"dial", 1, do_dial},
    {"is_linked", 1, do_is_linked},
};

void functions_call(struct peer_node *node, const struct call *call,
                    struct answer *ret_answer)
{
    struct turn turn = {.node = node, .call = call, .answer = ret_answer};
    bool is_ours =
        bytes_is(call->module, "t") || bytes_is(call->module, "ct_parity");

    *ret_answer = (struct answer){.result = {.type = CALL_VALUE}};
    buf_init(&ret_answer->value, PEER_VALUE_SIZE_MAX);
    buf_init(&ret_answer->stack, 4096);
    buf_init(&ret_answer->reference, INBOX_REFERENCE_SIZE_MAX);
    for (size_t i = 0; is_ours && i < sizeof(functions) / sizeof(functions[0]);
         i++) {
        if (bytes_is(call->function, functions[i].name) &&
            call->arity == functions[i].arity) {
            ensure(read_args(call, &turn.args) == 0);
            functions[i].run(&turn);
            ensure(buf_error(&ret_answer->value) == 0);
            ret_answer->result.value = buf_bytes(&ret_answer->value);
            ret_answer->result.stack = buf_bytes(&ret_answer->stack);
            return;
        }
    }
    ret_answer->result.type = CALL_UNDEF;
}

/* --- Events --------------------------------------------------------------- */

void functions_put_outcome(const struct inbox_event *event, struct buf *out)
{
    static const char *const names[] = {
        [OUTCOME_RETURN] = "return",   [OUTCOME_THROW] = "throw",
        [OUTCOME_EXIT] = "exit",       [OUTCOME_ERROR] = "error",
        [OUTCOME_REFUSED] = "refused", [OUTCOME_SIGNAL] = "signal",
        [OUTCOME_LOST] = "lost"};

    etf_put_tuple(out, 2);
    etf_put_atom(out, names[event->outcome]);
    etf_put_raw(out, event->message);
}

/* {'DOWN', Pid or {Name, Node}, Reason} */
static void put_down(const struct peer_link *link,
                     const struct inbox_event *event, struct buf *out)
{
    etf_put_tuple(out, 3);
    etf_put_atom(out, "DOWN");
    if (is_of(event->from, ETF_ATOM)) {
        etf_put_tuple(out, 2);
        etf_put_raw(out, event->from);
        etf_put_atom_bytes(out, link->inbox_peer.name);
    } else {
        etf_put_raw(out, event->from);
    }
    etf_put_raw(out, event->reason);
}

void functions_event(struct peer_node *node, const struct peer_link *link,
                     const struct inbox_event *event)
{
    struct buf *out = &node->events;

    switch (event->type) {
    case INBOX_DOWN:
        put_down(link, event, out);
        break;
    case INBOX_EXIT:
        etf_put_tuple(out, 3);
        etf_put_atom(out, "EXIT");
        etf_put_raw(out, event->from);
        etf_put_raw(out, event->reason);
        break;
    case INBOX_MESSAGE:
        etf_put_tuple(out, 2);
        etf_put_atom(out, "message");
        etf_put_raw(out, event->message);
        break;
    case INBOX_NONE:
    case INBOX_CALL:
    case INBOX_RESULT:
    case INBOX_CANCEL:
        return;
    }
    ensure(buf_error(out) == 0);
    node->event_count++;
}
