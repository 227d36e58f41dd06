/* SPDX-License-Identifier: Apache-2.0
 * How calls are answered, each kind in the way that its caller awaits. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "dist/exits.h"
#include "dist/flags.h"
#include "dist/frame.h"
#include "dist/inbox.h"
#include "dist/relations.h"
#include "dist/signal.h"
#include "etf/reader.h"
#include "etf/writer.h"

/* --- Copies --------------------------------------------------------------- */

/* Appends `source` to the memory at *place, which has room. */
static struct bytes copy_bytes(struct bytes source, uint8_t **place)
{
    struct bytes copy = bytes_of(*place, source.size);

    if (source.size > 0) {
        memcpy(*place, source.data, source.size);
    }
    *place += source.size;
    return copy;
}

/* A copy, with the process that it is. */
struct kept {
    struct process process;
    struct call call;
};

static bool is_spawn(const struct call *call)
{
    switch (call->kind) {
    case CALL_SPAWN:
    case CALL_SPAWN_CAST:
    case CALL_SPAWN_PLAIN:
        return true;
    case CALL_GEN:
    case CALL_GEN_CAST:
    case CALL_BLOCK:
    case CALL_REX:
        return false;
    }
    return false;
}

struct call *call_copy(struct inbox *inbox, struct inbox_peer *peer,
                       const struct call *call)
{
    size_t size = call->from.size + call->tag.size + call->result.size;
    struct kept *kept = mem_alloc(sizeof(*kept) + size);
    uint8_t *place;
    struct call *copy;

    if (kept == NULL) {
        return NULL;
    }
    place = (uint8_t *)(kept + 1);
    copy = &kept->call;
    *copy = *call;
    copy->from = copy_bytes(call->from, &place);
    copy->tag = copy_bytes(call->tag, &place);
    copy->result = copy_bytes(call->result, &place);
    copy->module = bytes_of(NULL, 0);
    copy->function = bytes_of(NULL, 0);
    copy->args = bytes_of(NULL, 0);
    copy->spans = NULL;
    if (is_spawn(call)) {
        copy->process = &kept->process;
        kept->process.call = copy;
        kept->process.id = call->pid_id;
        kept->process.serial = call->pid_serial;
        if (processes_add(inbox, peer, copy->process) != 0) {
            mem_free(kept);
            return NULL;
        }
    }
    return copy;
}

void call_free(struct inbox *inbox, struct call *call)
{
    struct kept *kept;

    if (call == NULL) {
        return;
    }
    kept = LIST_ENTRY(call, struct kept, call);
    if (call->process != NULL) {
        /* Unanswered: the member stops, and its links go with it. */
        while (call->process->holder != NULL &&
               !list_is_empty(&call->process->relations)) {
            relations_remove(inbox, LIST_ENTRY(call->process->relations.next,
                                               struct relation, process_link));
        }
        processes_remove(inbox, call->process);
    }
    mem_free(kept);
}

/* --- Parts of answers ----------------------------------------------------- */

static void put_args(const struct call *call, struct buf *out)
{
    if (call->args.size > 0) {
        etf_put_raw(out, call->args);
    } else {
        etf_put_nil(out);
    }
}

/* [{M, F, Args, []}]: the stack of an undefined function. */
static void put_undef_stack(const struct call *call, struct buf *out)
{
    etf_put_list(out, 1);
    etf_put_tuple(out, 4);
    etf_put_atom_bytes(out, call->module);
    etf_put_atom_bytes(out, call->function);
    put_args(call, out);
    etf_put_nil(out);
    etf_put_nil(out);
}

static void put_stack(const struct call_result *result, struct buf *out)
{
    if (result->stack.size > 0) {
        etf_put_raw(out, result->stack);
    } else {
        etf_put_nil(out);
    }
}

/* {Class, Reason} */
static void put_pair(const char *class, struct bytes reason, struct buf *out)
{
    etf_put_tuple(out, 2);
    etf_put_atom(out, class);
    etf_put_raw(out, reason);
}

/* The value; gives, of what is inserted into it, the bytes that are not in
 * `out`. */
static size_t put_with_insert(const struct call_result *result, struct buf *out)
{
    const struct call_insert *insert = result->insert;
    struct bytes value = result->value;
    size_t absent;

    ensure(insert->at <= value.size);
    buf_put(out, value.data, insert->at);
    absent = insert->put(insert, out);
    buf_put_bytes(out,
                  bytes_of(value.data + insert->at, value.size - insert->at));
    return absent;
}

static inline size_t put_value(const struct call_result *result,
                               struct buf *out)
{
    if (result->insert != NULL) {
        return put_with_insert(result, out);
    }
    etf_put_raw(out, result->value);
    return 0;
}

/* --- Results of rpc ------------------------------------------------------- */

/* {badrpc, {'EXIT', {Reason, Stack}}}, up to the reason. */
static void put_badrpc(struct buf *out)
{
    etf_put_tuple(out, 2);
    etf_put_atom(out, "badrpc");
    etf_put_tuple(out, 2);
    etf_put_atom(out, "EXIT");
    etf_put_tuple(out, 2);
}

static size_t put_rpc_result(const struct call *call,
                             const struct call_result *result, struct buf *out)
{
    switch (result->type) {
    case CALL_VALUE:
        return put_value(result, out);
    case CALL_THROW: /* as `catch` gives it */
        etf_put_raw(out, result->value);
        break;
    case CALL_EXIT:
        etf_put_tuple(out, 2);
        etf_put_atom(out, "badrpc");
        put_pair("EXIT", result->value, out);
        break;
    case CALL_UNDEF:
        put_badrpc(out);
        etf_put_atom(out, "undef");
        put_undef_stack(call, out);
        break;
    case CALL_ERROR:
        put_badrpc(out);
        etf_put_raw(out, result->value);
        put_stack(result, out);
        break;
    }
    return 0;
}

/* --- gen_server calls ----------------------------------------------------- */

/* The reference of a tag [alias|Ref] or [[alias|Ref]|Extra] (stdlib:
 * gen:reply/2). */
static bool find_alias(struct bytes tag, struct bytes *ret_alias)
{
    static const uint8_t list_of_one[] = {108, 0, 0, 0, 1};
    struct etf_reader reader;
    enum etf_type type;

    for (int depth = 0; depth < 2; depth++) {
        if (tag.size < sizeof(list_of_one) ||
            memcmp(tag.data, list_of_one, sizeof(list_of_one)) != 0) {
            return false;
        }
        tag = bytes_of(tag.data + sizeof(list_of_one),
                       tag.size - sizeof(list_of_one));
        reader = etf_reader_of(tag);
        if (etf_take_atom(&reader, "alias")) {
            return etf_peek(&reader, &type) == 0 && type == ETF_REFERENCE &&
                   etf_read_raw(&reader, ret_alias) == 0;
        }
    }
    return false;
}

static size_t put_gen_result(const struct call *call,
                             const struct call_result *result, struct buf *out)
{
    switch (result->type) {
    case CALL_VALUE:
        return put_value(result, out);
    case CALL_UNDEF:
        etf_put_tuple(out, 2);
        etf_put_atom(out, "error");
        etf_put_tuple(out, 2);
        etf_put_atom(out, "undef");
        etf_put_tuple(out, 3);
        etf_put_atom_bytes(out, call->module);
        etf_put_atom_bytes(out, call->function);
        etf_put_u64(out, call->arity);
        break;
    case CALL_ERROR:
        put_pair("error", result->value, out);
        break;
    case CALL_THROW:
    case CALL_EXIT:
        etf_put_tuple(out, 2);
        etf_put_atom(out, "error");
        put_pair(result->type == CALL_THROW ? "throw" : "exit", result->value,
                 out);
        break;
    }
    return 0;
}

static void reply_gen(const struct inbox *inbox, const struct inbox_peer *peer,
                      const struct call *call, const struct call_result *result,
                      struct buf *out)
{
    struct bytes alias;
    size_t begin;
    size_t absent;

    if ((peer->flags & DIST_FLAG_ALIAS) != 0 && find_alias(call->tag, &alias)) {
        begin = signal_begin_send_alias(inbox, peer, alias, out);
    } else {
        begin = signal_begin_send(inbox, peer, call->from, out);
    }
    etf_put_tuple(out, 2);
    etf_put_raw(out, call->tag);
    if (call->kind == CALL_BLOCK) {
        absent = put_rpc_result(call, result, out);
    } else {
        absent = put_gen_result(call, result, out);
    }
    frame_end_without(out, begin, absent);
}

static void reply_rex(const struct inbox *inbox, const struct inbox_peer *peer,
                      const struct call *call, const struct call_result *result,
                      struct buf *out)
{
    size_t begin = signal_begin_send(inbox, peer, call->from, out);

    etf_put_tuple(out, 2);
    etf_put_atom(out, "rex");
    frame_end_without(out, begin, put_rpc_result(call, result, out));
}

/* --- Spawned calls -------------------------------------------------------- */

/* The exit reason in which erpc finds the outcome (kernel: erpc:call/5). */
static size_t put_erpc_reason(const struct call *call,
                              const struct call_result *result, struct buf *out)
{
    bool has_stack = result->type == CALL_UNDEF || result->type == CALL_ERROR;

    etf_put_tuple(out, has_stack ? 4 : 3);
    etf_put_raw(out, call->result);
    switch (result->type) {
    case CALL_VALUE:
        etf_put_atom(out, "return");
        return put_value(result, out);
    case CALL_THROW:
        etf_put_atom(out, "throw");
        etf_put_raw(out, result->value);
        break;
    case CALL_EXIT:
        etf_put_atom(out, "exit");
        etf_put_raw(out, result->value);
        break;
    case CALL_UNDEF:
        etf_put_atom(out, "error");
        etf_put_atom(out, "undef");
        put_undef_stack(call, out);
        break;
    case CALL_ERROR:
        etf_put_atom(out, "error");
        etf_put_raw(out, result->value);
        put_stack(result, out);
        break;
    }
    return 0;
}

/* The reason with which the process of any other function ends. */
static void put_plain_reason(const struct call *call,
                             const struct call_result *result, struct buf *out)
{
    switch (result->type) {
    case CALL_VALUE:
        etf_put_atom(out, "normal");
        break;
    case CALL_EXIT:
        etf_put_raw(out, result->value);
        break;
    case CALL_UNDEF:
        etf_put_tuple(out, 2);
        etf_put_atom(out, "undef");
        put_undef_stack(call, out);
        break;
    case CALL_ERROR:
        etf_put_tuple(out, 2);
        etf_put_raw(out, result->value);
        put_stack(result, out);
        break;
    case CALL_THROW:
        etf_put_tuple(out, 2);
        put_pair("nocatch", result->value, out);
        put_stack(result, out);
        break;
    }
}

static size_t put_exit_reason(const struct call *call,
                              const struct call_result *result, struct buf *out)
{
    switch (call->kind) {
    case CALL_SPAWN:
        return put_erpc_reason(call, result, out);
    case CALL_SPAWN_PLAIN:
        put_plain_reason(call, result, out);
        break;
    case CALL_SPAWN_CAST: /* nobody looks at it */
        etf_put_atom(out, "normal");
        break;
    case CALL_GEN:
    case CALL_GEN_CAST:
    case CALL_BLOCK:
    case CALL_REX:
        unreachable();
    }
    return 0;
}

/* Those who found out about the process by themselves. */
static void tell_others(struct inbox *inbox, const struct inbox_peer *peer,
                        const struct call *call,
                        const struct call_result *result, struct buf *out)
{
    struct buf reason;

    if (!list_is_empty(&call->process->relations)) {
        buf_init(&reason, FRAME_SIZE_MAX);
        /* Nowhere else than in the output is there room for inserts. */
        ensure(put_exit_reason(call, result, &reason) == 0);
        exits_tell(inbox, call->process,
                   buf_error(&reason) == 0 ? buf_bytes(&reason)
                                           : SIGNAL_SYSTEM_LIMIT,
                   peer, out);
        buf_close(&reason);
    }
    processes_remove(inbox, call->process);
}

static void reply_spawn(struct inbox *inbox, const struct inbox_peer *peer,
                        const struct call *call,
                        const struct call_result *result, struct buf *out)
{
    struct signal_from from = {.id = call->pid_id, .serial = call->pid_serial};
    size_t begin;
    size_t absent;

    if (call->process != NULL && call->process->holder == NULL) {
        return; /* It was ended by a signal, which they have been told. */
    }
    if (call->is_linked) {
        begin = signal_begin_exit(inbox, peer, &from, call->from, out);
        absent = put_exit_reason(call, result, out);
        frame_end_without(out, begin, absent);
    }
    if (call->is_monitored) {
        begin =
            signal_begin_down(inbox, peer, &from, call->from, call->tag, out);
        absent = put_exit_reason(call, result, out);
        frame_end_without(out, begin, absent);
    }
    if (call->process != NULL) {
        tell_others(inbox, peer, call, result, out);
    }
}

void call_reply(struct inbox *inbox, const struct inbox_peer *peer,
                const struct call *call, const struct call_result *result,
                struct buf *out)
{
    ensure(result->type == CALL_UNDEF || result->value.size > 0 ||
           result->insert != NULL);

    switch (call->kind) {
    case CALL_GEN:
    case CALL_BLOCK:
        reply_gen(inbox, peer, call, result, out);
        break;
    case CALL_GEN_CAST:
        break;
    case CALL_SPAWN:
    case CALL_SPAWN_CAST:
    case CALL_SPAWN_PLAIN:
        reply_spawn(inbox, peer, call, result, out);
        break;
    case CALL_REX:
        reply_rex(inbox, peer, call, result, out);
        break;
    }
}
