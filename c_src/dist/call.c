/* SPDX-License-Identifier: Apache-2.0
 * How calls are answered, each kind in the way that its caller awaits. */
#include "base/ensure.h"
#include "base/mem.h"
#include "dist/control.h"
#include "dist/flags.h"
#include "dist/frame.h"
#include "dist/inbox.h"
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

struct call *call_copy(const struct call *call)
{
    size_t size = call->from.size + call->tag.size + call->result.size;
    uint8_t *place;
    struct call *copy;

    copy = mem_alloc(sizeof(*copy) + size);
    if (copy == NULL) {
        return NULL;
    }
    place = (uint8_t *)(copy + 1);
    *copy = *call;
    copy->from = copy_bytes(call->from, &place);
    copy->tag = copy_bytes(call->tag, &place);
    copy->result = copy_bytes(call->result, &place);
    copy->module = bytes_of(NULL, 0);
    copy->function = bytes_of(NULL, 0);
    copy->args = bytes_of(NULL, 0);
    return copy;
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

static void put_gen_result(const struct call *call,
                           const struct call_result *result, struct buf *out)
{
    switch (result->type) {
    case CALL_VALUE:
        etf_put_raw(out, result->value);
        break;
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
        etf_put_tuple(out, 2);
        etf_put_atom(out, "error");
        etf_put_raw(out, result->value);
        break;
    }
}

static void reply_gen(const struct inbox *inbox, const struct inbox_peer *peer,
                      const struct call *call, const struct call_result *result,
                      struct buf *out)
{
    struct bytes alias;
    size_t begin;

    if ((peer->flags & DIST_FLAG_ALIAS) != 0 && find_alias(call->tag, &alias)) {
        begin = signal_begin_send_alias(inbox, alias, out);
    } else {
        begin = signal_begin_send(call->from, out);
    }
    etf_put_tuple(out, 2);
    etf_put_raw(out, call->tag);
    put_gen_result(call, result, out);
    frame_end(out, begin);
}

/* --- rex ------------------------------------------------------------------ */

/* {badrpc, {'EXIT', {Reason, Stack}}}, up to the reason. */
static void put_badrpc(struct buf *out)
{
    etf_put_tuple(out, 2);
    etf_put_atom(out, "badrpc");
    etf_put_tuple(out, 2);
    etf_put_atom(out, "EXIT");
    etf_put_tuple(out, 2);
}

static void reply_rex(const struct call *call, const struct call_result *result,
                      struct buf *out)
{
    size_t begin = signal_begin_send(call->from, out);

    etf_put_tuple(out, 2);
    etf_put_atom(out, "rex");
    switch (result->type) {
    case CALL_VALUE:
        etf_put_raw(out, result->value);
        break;
    case CALL_UNDEF:
        put_badrpc(out);
        etf_put_atom(out, "undef");
        put_undef_stack(call, out);
        break;
    case CALL_ERROR:
        put_badrpc(out);
        etf_put_raw(out, result->value);
        etf_put_nil(out);
        break;
    }
    frame_end(out, begin);
}

/* --- Spawned calls -------------------------------------------------------- */

/* The exit reason in which erpc finds the outcome (kernel: erpc:call/5). */
static void put_exit_reason(const struct call *call,
                            const struct call_result *result, struct buf *out)
{
    if (call->kind == CALL_SPAWN_CAST) {
        etf_put_atom(out, "normal");
        return;
    }
    etf_put_tuple(out, result->type == CALL_VALUE ? 3 : 4);
    etf_put_raw(out, call->result);
    switch (result->type) {
    case CALL_VALUE:
        etf_put_atom(out, "return");
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
        etf_put_nil(out);
        break;
    }
}

static void reply_spawn(const struct inbox *inbox, const struct call *call,
                        const struct call_result *result, struct buf *out)
{
    size_t begin;

    if (call->is_linked) {
        begin = control_begin(out, CONTROL_EXIT, 4);
        signal_put_pid(inbox, call->pid_id, call->pid_serial, out);
        etf_put_raw(out, call->from);
        put_exit_reason(call, result, out);
        frame_end(out, begin);
    }
    if (call->is_monitored) {
        begin = control_begin(out, CONTROL_MONITOR_P_EXIT, 5);
        signal_put_pid(inbox, call->pid_id, call->pid_serial, out);
        etf_put_raw(out, call->from);
        etf_put_raw(out, call->tag);
        put_exit_reason(call, result, out);
        frame_end(out, begin);
    }
}

void call_reply(struct inbox *inbox, const struct inbox_peer *peer,
                const struct call *call, const struct call_result *result,
                struct buf *out)
{
    ensure(result->type != CALL_VALUE || result->value.size > 0);
    ensure(result->type != CALL_ERROR || result->value.size > 0);

    switch (call->kind) {
    case CALL_GEN:
        reply_gen(inbox, peer, call, result, out);
        break;
    case CALL_GEN_CAST:
        break;
    case CALL_SPAWN:
    case CALL_SPAWN_CAST:
        reply_spawn(inbox, call, result, out);
        break;
    case CALL_REX:
        reply_rex(call, result, out);
        break;
    }
}
