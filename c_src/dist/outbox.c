/* SPDX-License-Identifier: Apache-2.0
 * What we send of our own accord: messages and monitors. */
#include "base/ensure.h"
#include "dist/control.h"
#include "dist/frame.h"
#include "dist/inbox.h"
#include "dist/signal.h"
#include "etf/writer.h"

/* Nobody registers it, and it says what it is for where it is seen. */
#define PROBE_NAME "$quorate_probe"

enum {
    MESSAGE_VERSION = 1, /* docs/protocol.md, section 2 */
    REFERENCE_WORDS = 3,
    REFERENCE_WORD0_BITS = 18, /* a virtual machine refuses more */
};

void outbox_send(struct inbox *inbox, struct bytes to_pid, struct bytes message,
                 struct buf *out)
{
    size_t begin = signal_begin_send(to_pid, out);

    (void)inbox; /* the receiver is not told who sends */
    etf_put_raw(out, message);
    frame_end(out, begin);
}

void outbox_send_name(struct inbox *inbox, const char *name,
                      struct bytes message, struct buf *out)
{
    size_t begin = signal_begin_send_name(inbox, name, out);

    etf_put_raw(out, message);
    frame_end(out, begin);
}

size_t outbox_begin(struct inbox *inbox, struct bytes to_pid, const char *name,
                    const char *kind, struct buf *out)
{
    size_t begin;

    ensure(to_pid.size > 0 || name != NULL);
    begin = to_pid.size > 0 ? signal_begin_send(to_pid, out)
                            : signal_begin_send_name(inbox, name, out);
    etf_put_tuple(out, 4);
    etf_put_atom(out, "quorate");
    etf_put_u64(out, MESSAGE_VERSION);
    etf_put_atom(out, kind);
    return begin;
}

void outbox_end(struct buf *out, size_t begin)
{
    frame_end(out, begin);
}

static void put_new_reference(struct inbox *inbox, struct buf *out)
{
    uint64_t number = inbox->reference_next++;
    const uint32_t words[REFERENCE_WORDS] = {
        (uint32_t)number & ((UINT32_C(1) << REFERENCE_WORD0_BITS) - 1),
        (uint32_t)(number >> REFERENCE_WORD0_BITS),
        (uint32_t)(number >> (REFERENCE_WORD0_BITS + 32))};

    etf_put_reference(out, inbox->node, inbox->creation, words,
                      REFERENCE_WORDS);
}

void outbox_monitor(struct inbox *inbox, struct bytes pid, struct buf *out,
                    struct buf *ret_reference)
{
    size_t begin = control_begin(out, CONTROL_MONITOR_P, 4);
    size_t offset = ret_reference->size;

    put_new_reference(inbox, ret_reference);
    signal_put_self(inbox, out);
    etf_put_raw(out, pid);
    if (buf_error(ret_reference) == 0) {
        etf_put_raw(out, bytes_of(ret_reference->data + offset,
                                  ret_reference->size - offset));
    }
    frame_end(out, begin);
}

void outbox_probe(struct inbox *inbox, struct buf *out)
{
    size_t begin = control_begin(out, CONTROL_MONITOR_P, 4);

    signal_put_self(inbox, out);
    etf_put_atom(out, PROBE_NAME);
    put_new_reference(inbox, out);
    frame_end(out, begin);
}

void outbox_demonitor(struct inbox *inbox, struct bytes pid,
                      struct bytes reference, struct buf *out)
{
    size_t begin = control_begin(out, CONTROL_DEMONITOR_P, 4);

    signal_put_self(inbox, out);
    etf_put_raw(out, pid);
    etf_put_raw(out, reference);
    frame_end(out, begin);
}
