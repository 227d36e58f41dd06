/* SPDX-License-Identifier: Apache-2.0
 * The signals that we send, as whole frames, and our own identifiers. Pids and
 * references of peers are raw terms and go back byte for byte. */
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

/* Appends one of our pids / the one behind our names, as a raw term. */
void signal_put_pid(const struct inbox *inbox, uint32_t id, uint32_t serial,
                    struct buf *out);
void signal_put_self(const struct inbox *inbox, struct buf *out);

/* Whether the raw pid is a process of this run of ours; its number. */
bool signal_is_own(const struct inbox *inbox, struct bytes pid,
                   uint32_t *ret_id, uint32_t *ret_serial);

/* Messages in parts: begin, append the raw message, frame_end(). */
size_t signal_begin_send(struct bytes to_pid, struct buf *out);
size_t signal_begin_send_name(const struct inbox *inbox, const char *name,
                              struct buf *out);
size_t signal_begin_send_alias(const struct inbox *inbox, struct bytes alias,
                               struct buf *out);

/* `from` and `to` are raw; `reason` is an atom's name. */
void signal_exit(struct bytes from, struct bytes to, const char *reason,
                 struct buf *out);
/* A monitor of `from` (pid or name) fires. */
void signal_monitor_exit(struct bytes from, struct bytes to,
                         struct bytes reference, const char *reason,
                         struct buf *out);
void signal_unlink_ack(struct bytes id, struct bytes from, struct bytes to,
                       struct buf *out);

/* A spawn request is granted / refused. */
void signal_spawn_reply(const struct inbox *inbox, const struct call *call,
                        struct buf *out);
void signal_spawn_error(struct bytes reference, struct bytes to,
                        const char *error, struct buf *out);

#endif
