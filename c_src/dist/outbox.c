/* SPDX-License-Identifier: Apache-2.0
 * What we send of our own accord: messages, links, monitors, exit signals and
 * calls, as the process behind our names. */
#include "base/ensure.h"
#include "base/err.h"
#include "dist/control.h"
#include "dist/flags.h"
#include "dist/frame.h"
#include "dist/inbox.h"
#include "dist/relations.h"
#include "dist/signal.h"
#include "etf/reader.h"
#include "etf/writer.h"

/* Nobody registers it, and it says what it is for where it is seen. */
#define PROBE_NAME "$quorate_probe"

enum {
    MESSAGE_VERSION = 1, /* docs/protocol.md, section 2 */
    REFERENCE_WORDS = 3,
    REFERENCE_WORD0_BITS = 18, /* a virtual machine refuses more */
};

static const struct bytes nothing = {.data = NULL, .size = 0};

/* --- Messages ------------------------------------------------------------- */

void outbox_send(struct inbox *inbox, const struct inbox_peer *peer,
                 struct bytes to_pid, struct bytes message, struct buf *out)
{
    size_t begin = signal_begin_send(inbox, peer, to_pid, out);

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

void outbox_send_alias(struct inbox *inbox, const struct inbox_peer *peer,
                       struct bytes alias, struct bytes message,
                       struct buf *out)
{
    size_t begin = signal_begin_send_alias(inbox, peer, alias, out);

    etf_put_raw(out, message);
    frame_end(out, begin);
}

void outbox_put_envelope(const char *kind, struct buf *out)
{
    etf_put_tuple(out, 4);
    etf_put_atom(out, "quorate");
    etf_put_u64(out, MESSAGE_VERSION);
    etf_put_atom(out, kind);
}

size_t outbox_begin(struct inbox *inbox, const char *name, const char *kind,
                    struct buf *out)
{
    size_t begin = signal_begin_send_name(inbox, name, out);

    outbox_put_envelope(kind, out);
    return begin;
}

size_t outbox_begin_pid(struct inbox *inbox, const struct inbox_peer *peer,
                        struct bytes to_pid, const char *kind, struct buf *out)
{
    size_t begin = signal_begin_send(inbox, peer, to_pid, out);

    outbox_put_envelope(kind, out);
    return begin;
}

void outbox_end(struct buf *out, size_t begin)
{
    frame_end(out, begin);
}

void outbox_end_without(struct buf *out, size_t begin, size_t absent)
{
    frame_end_without(out, begin, absent);
}

/* --- References ----------------------------------------------------------- */

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

/* A relation under a new reference, which is appended to `ret_reference`. */
static int refer(struct inbox *inbox, struct inbox_peer *peer,
                 enum relation_kind kind, struct bytes target,
                 struct buf *ret_reference, struct relation **ret_relation)
{
    size_t offset = ret_reference->size;
    int rv;

    put_new_reference(inbox, ret_reference);
    rv = buf_error(ret_reference);
    if (rv != 0) {
        return rv;
    }
    return relations_add(
        inbox, peer,
        &(struct relation_ends){.kind = kind,
                                .remote = target,
                                .reference =
                                    bytes_of(ret_reference->data + offset,
                                             ret_reference->size - offset)},
        ret_relation);
}

/* --- Monitors and links --------------------------------------------------- */

int outbox_monitor(struct inbox *inbox, struct inbox_peer *peer,
                   struct bytes target, struct buf *out,
                   struct buf *ret_reference)
{
    struct relation *relation;
    size_t begin;
    int rv = refer(inbox, peer, RELATION_MONITOR_OUT, target, ret_reference,
                   &relation);

    if (rv != 0) {
        return rv;
    }
    begin = control_begin(out, CONTROL_MONITOR_P, 4);
    signal_put_self(inbox, out);
    etf_put_raw(out, target);
    etf_put_raw(out, relation->reference);
    frame_end(out, begin);
    return 0;
}

void outbox_probe(struct inbox *inbox, struct buf *out)
{
    size_t begin = control_begin(out, CONTROL_MONITOR_P, 4);

    signal_put_self(inbox, out);
    etf_put_atom(out, PROBE_NAME);
    put_new_reference(inbox, out);
    frame_end(out, begin);
}

void outbox_demonitor(struct inbox *inbox, struct inbox_peer *peer,
                      struct bytes reference, struct buf *out)
{
    struct relation *relation =
        relations_find(inbox, peer, RELATION_MONITOR_OUT, reference);
    size_t begin;

    if (relation == NULL) {
        /* The process of a call that we spawned is not known here; its answer
         * is no longer awaited, and that is all. */
        relation = relations_find(inbox, peer, RELATION_SPAWN_OUT, reference);
        if (relation != NULL) {
            relations_remove(inbox, relation);
        }
        return;
    }
    begin = control_begin(out, CONTROL_DEMONITOR_P, 4);
    signal_put_self(inbox, out);
    etf_put_raw(out, relation->remote);
    etf_put_raw(out, relation->reference);
    frame_end(out, begin);
    relations_remove(inbox, relation);
}

int outbox_link(struct inbox *inbox, struct inbox_peer *peer, struct bytes pid,
                struct buf *out)
{
    struct relation *relation = relations_find_link(inbox, peer, NULL, pid);
    size_t begin;
    int rv;

    if (relation != NULL && !relation->is_unlinking) {
        return 0;
    }
    if (relation != NULL) {
        relation->is_unlinking = false; /* the old acknowledgement is late */
    } else {
        rv = relations_add(
            inbox, peer,
            &(struct relation_ends){.kind = RELATION_LINK, .remote = pid},
            &relation);
        if (rv != 0) {
            return rv;
        }
    }
    begin = control_begin(out, CONTROL_LINK, 3);
    signal_put_self(inbox, out);
    etf_put_raw(out, pid);
    frame_end(out, begin);
    return 0;
}

void outbox_unlink(struct inbox *inbox, struct inbox_peer *peer,
                   struct bytes pid, struct buf *out)
{
    struct relation *relation = relations_find_link(inbox, peer, NULL, pid);
    size_t begin;

    if (relation == NULL || relation->is_unlinking) {
        return;
    }
    relation->is_unlinking = true;
    relation->unlink_id = inbox->unlink_next++;
    begin = control_begin(out, CONTROL_UNLINK_ID, 4);
    etf_put_u64(out, relation->unlink_id);
    signal_put_self(inbox, out);
    etf_put_raw(out, pid);
    frame_end(out, begin);
}

void outbox_exit2(struct inbox *inbox, const struct inbox_peer *peer,
                  struct bytes pid, struct bytes reason, struct buf *out)
{
    size_t begin = signal_begin_exit2(inbox, peer, pid, out);

    etf_put_raw(out, reason);
    frame_end(out, begin);
}

/* --- Calls ---------------------------------------------------------------- */

int outbox_spawn(struct inbox *inbox, struct inbox_peer *peer,
                 const struct outbox_call *call, struct buf *out,
                 struct buf *ret_reference)
{
    struct relation *relation;
    size_t begin;
    int rv;

    if ((peer->flags & DIST_FLAG_SPAWN) == 0) {
        return ERR_UNSUPPORTED;
    }
    rv = refer(inbox, peer, RELATION_SPAWN_OUT, nothing, ret_reference,
               &relation);
    if (rv != 0) {
        return rv;
    }
    begin = control_begin(out, CONTROL_SPAWN_REQUEST, 6);
    etf_put_raw(out, relation->reference);
    signal_put_self(inbox, out);
    signal_put_self(inbox, out); /* the group leader */
    etf_put_tuple(out, 3);
    etf_put_atom(out, "erpc");
    etf_put_atom(out, "execute_call");
    etf_put_u64(out, 4);
    etf_put_list(out, 1);
    etf_put_atom(out, "monitor");
    etf_put_nil(out);
    control_payload(out);
    etf_put_list(out, 4);
    etf_put_raw(out, relation->reference);
    etf_put_atom_bytes(out, call->module);
    etf_put_atom_bytes(out, call->function);
    etf_put_raw(out, call->args);
    etf_put_nil(out);
    frame_end(out, begin);
    return 0;
}
