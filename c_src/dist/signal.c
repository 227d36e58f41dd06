/* SPDX-License-Identifier: Apache-2.0
 * The signals that we send. */
#include "dist/signal.h"

#include "base/ensure.h"
#include "dist/control.h"
#include "dist/flags.h"
#include "dist/frame.h"
#include "etf/reader.h"
#include "etf/writer.h"

enum { PID_NUMBERS_SIZE = 12 }; /* id, serial, creation: the end of a pid */

void signal_put_pid(const struct inbox *inbox, uint32_t id, uint32_t serial,
                    struct buf *out)
{
    struct etf_pid pid = {.node = inbox->node,
                          .id = id,
                          .serial = serial,
                          .creation = inbox->creation};
    size_t numbers = out->size + inbox->self_size - PID_NUMBERS_SIZE;

    if (inbox->self_size == 0) {
        etf_put_pid(out, &pid);
        return;
    }
    /* All pids of ours differ in two numbers only. */
    buf_put(out, inbox->self, inbox->self_size);
    buf_patch_u32(out, numbers, id);
    buf_patch_u32(out, numbers + 4, serial);
}

void signal_put_self(const struct inbox *inbox, struct buf *out)
{
    if (inbox->self_size > 0) {
        buf_put(out, inbox->self, inbox->self_size);
    } else {
        signal_put_pid(inbox, SIGNAL_SELF_ID, 0, out);
    }
}

bool signal_is_own(const struct inbox *inbox, struct bytes pid,
                   uint32_t *ret_id, uint32_t *ret_serial)
{
    struct etf_reader reader = etf_reader_of(pid);
    struct etf_pid numbers;

    if (etf_read_pid(&reader, &numbers) != 0 ||
        numbers.creation != inbox->creation ||
        !bytes_equal(numbers.node, inbox->node)) {
        return false;
    }
    *ret_id = numbers.id;
    *ret_serial = numbers.serial;
    return true;
}

static bool has(const struct inbox_peer *peer, uint64_t flag)
{
    return (peer->flags & flag) != 0;
}

size_t signal_begin_send(const struct inbox *inbox,
                         const struct inbox_peer *peer, struct bytes to_pid,
                         struct buf *out)
{
    size_t begin;

    if (has(peer, DIST_FLAG_SEND_SENDER)) {
        begin = control_begin(out, CONTROL_SEND_SENDER, 3);
        signal_put_self(inbox, out);
    } else {
        begin = control_begin(out, CONTROL_SEND, 3);
        etf_put_atom(out, "");
    }
    etf_put_raw(out, to_pid);
    control_payload(out);
    return begin;
}

size_t signal_begin_send_name(const struct inbox *inbox, const char *name,
                              struct buf *out)
{
    size_t begin = control_begin(out, CONTROL_REG_SEND, 4);

    signal_put_self(inbox, out);
    etf_put_atom(out, "");
    etf_put_atom(out, name);
    control_payload(out);
    return begin;
}

size_t signal_begin_send_alias(const struct inbox *inbox,
                               const struct inbox_peer *peer,
                               struct bytes alias, struct buf *out)
{
    size_t begin;

    if (has(peer, DIST_FLAG_ALTACT_SIG)) {
        begin = control_begin(out, CONTROL_ALTACT_SIG_SEND, 4);
        etf_put_u64(out, CONTROL_ALTACT_ALIAS);
    } else {
        begin = control_begin(out, CONTROL_ALIAS_SEND, 3);
    }
    signal_put_self(inbox, out);
    etf_put_raw(out, alias);
    control_payload(out);
    return begin;
}

/* --- Ends of processes ---------------------------------------------------- */

/* The reason is the last element of the tuple, or else the payload; in both
 * cases it comes last. */
static size_t begin_reasoned(const struct inbox_peer *peer, uint8_t op,
                             uint8_t op_with_payload, uint32_t arity,
                             struct buf *out)
{
    return has(peer, DIST_FLAG_EXIT_PAYLOAD)
               ? control_begin(out, op_with_payload, arity - 1)
               : control_begin(out, op, arity);
}

static void before_reason(const struct inbox_peer *peer, struct buf *out)
{
    if (has(peer, DIST_FLAG_EXIT_PAYLOAD)) {
        control_payload(out);
    }
}

static void put_from(const struct inbox *inbox, const struct signal_from *from,
                     struct buf *out)
{
    if (from->raw.size > 0) {
        etf_put_raw(out, from->raw);
    } else {
        signal_put_pid(inbox, from->id, from->serial, out);
    }
}

size_t signal_begin_exit(const struct inbox *inbox,
                         const struct inbox_peer *peer,
                         const struct signal_from *from, struct bytes to,
                         struct buf *out)
{
    size_t begin =
        begin_reasoned(peer, CONTROL_EXIT, CONTROL_PAYLOAD_EXIT, 4, out);

    put_from(inbox, from, out);
    etf_put_raw(out, to);
    before_reason(peer, out);
    return begin;
}

size_t signal_begin_down(const struct inbox *inbox,
                         const struct inbox_peer *peer,
                         const struct signal_from *from, struct bytes to,
                         struct bytes reference, struct buf *out)
{
    size_t begin = begin_reasoned(peer, CONTROL_MONITOR_P_EXIT,
                                  CONTROL_PAYLOAD_MONITOR_P_EXIT, 5, out);

    put_from(inbox, from, out);
    etf_put_raw(out, to);
    etf_put_raw(out, reference);
    before_reason(peer, out);
    return begin;
}

size_t signal_begin_exit2(const struct inbox *inbox,
                          const struct inbox_peer *peer, struct bytes to,
                          struct buf *out)
{
    size_t begin =
        begin_reasoned(peer, CONTROL_EXIT2, CONTROL_PAYLOAD_EXIT2, 4, out);

    signal_put_self(inbox, out);
    etf_put_raw(out, to);
    before_reason(peer, out);
    return begin;
}

void signal_unlink_ack(struct bytes id, struct bytes from, struct bytes to,
                       struct buf *out)
{
    size_t begin = control_begin(out, CONTROL_UNLINK_ID_ACK, 4);

    etf_put_raw(out, id);
    etf_put_raw(out, from);
    etf_put_raw(out, to);
    frame_end(out, begin);
}

void signal_spawn_reply(const struct inbox *inbox, const struct call *call,
                        struct buf *out)
{
    size_t begin = control_begin(out, CONTROL_SPAWN_REPLY, 5);
    uint64_t flags = 0;

    ensure(call->pid_id > SIGNAL_SELF_ID);
    flags |= call->is_linked ? CONTROL_SPAWN_LINKED : 0;
    flags |= call->is_monitored ? CONTROL_SPAWN_MONITORED : 0;
    etf_put_raw(out, call->tag);
    etf_put_raw(out, call->from);
    etf_put_u64(out, flags);
    signal_put_pid(inbox, call->pid_id, call->pid_serial, out);
    frame_end(out, begin);
}

void signal_spawn_error(struct bytes reference, struct bytes to,
                        const char *error, struct buf *out)
{
    size_t begin = control_begin(out, CONTROL_SPAWN_REPLY, 5);

    etf_put_raw(out, reference);
    etf_put_raw(out, to);
    etf_put_u64(out, 0);
    etf_put_atom(out, error);
    frame_end(out, begin);
}
