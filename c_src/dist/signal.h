/* SPDX-License-Identifier: Apache-2.0
 * The signals that we send, as whole frames, and our own identifiers. Pids and
 * references of peers are raw terms and go back byte for byte. The form of a
 * signal depends on the flags agreed with the peer. */
#ifndef QUORATE_DIST_SIGNAL_H
#define QUORATE_DIST_SIGNAL_H

#include "base/buf.h"
#include "base/bytes.h"
#include "dist/inbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SIGNAL_SELF_ID = 1,            /* the process behind our names */
    SIGNAL_PID_ID_MAX = 0xfffffff, /* 28 bits: what every peer can hold */
    SIGNAL_PID_SERIAL_MAX = 0x1fff,
};

/* Reasons and other atoms as raw terms. */
#define SIGNAL_NORMAL       bytes_of("w\6normal", 8)
#define SIGNAL_NOPROC       bytes_of("w\6noproc", 8)
#define SIGNAL_KILLED       bytes_of("w\6killed", 8)
#define SIGNAL_NOCONNECTION bytes_of("w\14noconnection", 14)
#define SIGNAL_SYSTEM_LIMIT bytes_of("w\14system_limit", 14)

/* Appends one of our pids / the one behind our names, as a raw term. */
void signal_put_pid(const struct inbox *inbox, uint32_t id, uint32_t serial,
                    struct buf *out);
void signal_put_self(const struct inbox *inbox, struct buf *out);

/* Whether the raw pid is a process of this run of ours; its number. */
bool signal_is_own(const struct inbox *inbox, struct bytes pid,
                   uint32_t *ret_id, uint32_t *ret_serial);

/* Messages in parts: begin, append the raw message, frame_end(). */
size_t signal_begin_send(const struct inbox *inbox,
                         const struct inbox_peer *peer, struct bytes to_pid,
                         struct buf *out);
size_t signal_begin_send_name(const struct inbox *inbox, const char *name,
                              struct buf *out);
size_t signal_begin_send_alias(const struct inbox *inbox,
                               const struct inbox_peer *peer,
                               struct bytes alias, struct buf *out);

/* Whom a signal comes from: a raw pid or name, or one of our processes. */
struct signal_from {
    struct bytes raw;
    uint32_t id; /* if `raw` is empty */
    uint32_t serial;
};

/* A link breaks / a monitor fires: begin, append the raw reason, frame_end().
 */
size_t signal_begin_exit(const struct inbox *inbox,
                         const struct inbox_peer *peer,
                         const struct signal_from *from, struct bytes to,
                         struct buf *out);
size_t signal_begin_down(const struct inbox *inbox,
                         const struct inbox_peer *peer,
                         const struct signal_from *from, struct bytes to,
                         struct bytes reference, struct buf *out);
/* exit(To, Reason), in the same way. */
size_t signal_begin_exit2(const struct inbox *inbox,
                          const struct inbox_peer *peer, struct bytes to,
                          struct buf *out);

void signal_unlink_ack(struct bytes id, struct bytes from, struct bytes to,
                       struct buf *out);

/* A spawn request is granted / refused. */
void signal_spawn_reply(const struct inbox *inbox, const struct call *call,
                        struct buf *out);
void signal_spawn_error(struct bytes reference, struct bytes to,
                        const char *error, struct buf *out);

#endif
